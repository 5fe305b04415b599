"""`python -m rendering.browser SITE`: look at the built site as readers do, on a phone and on a desktop.

Every page has to load without an error or a warning in the console, without a request that fails or that goes to
another host, and without scrolling sideways; links and anchors have to lead somewhere, the search has to find, and a
hybrid that was chosen once has to be chosen on the whole page.
"""

from __future__ import annotations

import argparse
import functools
import os
import shutil
import sys
import threading
import time
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from mlops_lab import errors
from mlops_lab.guide import HYBRIDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response

__all__ = ["VARIABLE", "Missing", "browser_at", "dead_links", "look"]


class Look(NamedTuple):
    """How a reader sees a page."""

    width: int
    height: int
    scheme: Literal["dark", "light"]


VARIABLE = "MLOPS_LAB_BROWSER"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LOOKS: Mapping[str, Look] = {"phone": Look(390, 844, "dark"), "desktop": Look(1440, 900, "light")}
_WORD = "drift"
_LINKS = "[...document.querySelectorAll('a[href], link[href], img[src], script[src]')].map(e => e.href || e.src)"
_ANCHORS = "[...document.querySelectorAll('[id], a[name]')].map(e => e.id || e.name)"
# The elements that stick out of the window, the innermost of them: it is they that have to be mended.
_WIDE = """() => document.documentElement.scrollWidth <= window.innerWidth ? [] :
  [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > window.innerWidth + 1
    && ![...e.children].some(c => c.getBoundingClientRect().right > window.innerWidth + 1))
  .slice(0, 3).map(e => `${e.tagName.toLowerCase()} ${e.className}: ${(e.textContent || '').trim().slice(0, 60)}`)"""
_CHOSEN = """() => [...document.querySelectorAll('.tabbed-set')].map(
  set => set.querySelectorAll('.tabbed-labels > label')[[...set.querySelectorAll(':scope > input')]
  .findIndex(each => each.checked)].textContent.trim())"""


class Missing(Exception):
    """There is no browser, or nothing to look at; the text says how to get it."""


def browser_at(environ: Mapping[str, str]) -> str:
    """The path of the system's browser.

    Raises:
        Missing: There is none.
    """
    if chosen := environ.get(VARIABLE):
        if shutil.which(chosen):
            return chosen
        raise Missing(f"{VARIABLE} names {chosen}, which is no program: name a Chromium")
    found = next((path for name in PROGRAMS if (path := shutil.which(name, path=environ.get("PATH")))), None)
    if found is None:
        raise Missing(f"the site is looked at in Chromium: `apt-get install chromium`, or set {VARIABLE} to one's path")
    return found


def look(site: Path, shots: Path | None = None) -> tuple[list[str], str]:
    """Look at every page of a built site.

    Args:
        site: The folder.
        shots: Where pictures of the pages go; None: none are taken.

    Returns:
        What is wrong, and what was looked at.

    Raises:
        Missing: There is no browser, or no page.
    """
    from playwright.sync_api import Error, sync_playwright

    program = browser_at(os.environ)
    names = sorted(path.relative_to(site).as_posix().removesuffix("index.html") for path in site.rglob("*.html"))
    if not names:
        raise Missing(f"{site} has no pages: build them with `mkdocs build --strict`")
    started = time.monotonic()
    wrong: list[str] = []
    seen: dict[str, tuple[list[str], list[str]]] = {}
    with _served(site) as base, sync_playwright() as play:
        # Chromium refuses to build its sandbox for root.
        options = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        try:
            browser = play.chromium.launch(executable_path=program, args=options)
        except Error as error:
            raise Missing(f"{program} does not start as Chromium does: set {VARIABLE} to one's path") from error
        for kind in LOOKS:
            wrong += _walk(_page(browser, base, kind, wrong), base, names, kind, seen, shots)
        wrong += _used(browser, base)
        browser.close()
        wrong += dead_links(base, seen, site)
    wrong = list(dict.fromkeys(wrong))
    links = sum(len(found) for found, _ in seen.values())
    said = f"{len(names)} pages at {len(LOOKS)} sizes, {links} links, in {time.monotonic() - started:.0f} s"
    return wrong, said


def dead_links(base: str, seen: Mapping[str, tuple[Sequence[str], Sequence[str]]], site: Path) -> Iterator[str]:
    """The links of pages to this site that lead nowhere.

    Args:
        base: The site's address.
        seen: Page → where its links lead, and its anchors.
        site: The site's folder.
    """
    anchors = {urljoin(base, name): set(found) for name, (_, found) in seen.items()}
    for name, (links, _) in seen.items():
        for link in dict.fromkeys(links):
            address, anchor = urldefrag(link)
            if not address.startswith(base):
                continue
            if address not in anchors and not (site / unquote(urlsplit(address).path).lstrip("/")).is_file():
                yield f"{name or '/'}: {link.removeprefix(base)} leads nowhere"
            elif anchor and address in anchors and unquote(anchor) not in anchors[address]:
                yield f"{name or '/'}: {link.removeprefix(base)} has no such anchor"


@contextmanager
def _served(site: Path) -> Iterator[str]:
    """The site on a port of this machine's own."""
    handler = functools.partial(_Quiet, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    """A server that does not tell of each request."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the standard library
        """Say nothing."""


def _walk(
    page: Page,
    base: str,
    names: Sequence[str],
    kind: str,
    seen: dict[str, tuple[list[str], list[str]]],
    shots: Path | None,
) -> list[str]:
    wrong: list[str] = []
    for name in names:
        page.goto(urljoin(base, name), wait_until="load")
        wrong += [f"{kind}, {name or '/'}: wider than the window: {each}" for each in page.evaluate(_WIDE)]
        seen[name] = page.evaluate(_LINKS), page.evaluate(_ANCHORS)
        if shots is not None:
            page.screenshot(path=shots / f"{name.strip('/').replace('/', '-') or 'home'}-{kind}.png", full_page=True)
    page.close()
    return wrong


def _page(browser: Browser, base: str, kind: str, wrong: list[str]) -> Page:
    """A page that keeps what it says of itself in `wrong`."""
    look = LOOKS[kind]
    page = browser.new_page(viewport={"width": look.width, "height": look.height}, color_scheme=look.scheme)

    def note(what: str) -> None:
        wrong.append(f"{kind}, {page.url.removeprefix(base) or '/'}: {what}")

    def said(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            note(f"{message.type} in the console: {message.text}")

    def asked(request: Request) -> None:
        if not request.url.startswith((base, "data:", "blob:")):
            note(f"asks another host: {request.url}")

    def failed(request: Request) -> None:
        # What a page is still asking for when it is left has not failed.
        if request.failure != "net::ERR_ABORTED":
            note(f"failed: {request.url}: {request.failure}")

    def answered(response: Response) -> None:
        if response.status >= 400:  # noqa: PLR2004 - HTTP's errors
            note(f"{response.status} for {response.url}")

    page.on("console", said)
    page.on("pageerror", lambda error: note(f"error: {error}"))
    page.on("request", asked)
    page.on("requestfailed", failed)
    page.on("response", answered)
    return page


def _used(browser: Browser, base: str) -> list[str]:
    """Search for a word, and choose a hybrid."""
    from playwright.sync_api import Error

    wrong: list[str] = []
    page = _page(browser, base, "desktop", wrong)
    for use in (_search, _choose):
        try:
            wrong += use(page, base)
        except Error as error:
            wrong.append(f"{use.__name__.strip('_')}: {str(error).splitlines()[0]}")
    page.close()
    return wrong


def _search(page: Page, base: str) -> Iterator[str]:
    page.goto(base, wait_until="networkidle")
    box = page.get_by_role("textbox", name="Search")
    box.click()
    box.press_sequentially(_WORD)
    page.locator(".md-search-result__item a").first.click()
    page.wait_for_url(lambda address: not address.endswith("/#") and address != base)
    if _WORD not in page.inner_text("article").lower():
        yield f"search: the first page that it finds for {_WORD!r} does not have the word: {page.url}"


def _choose(page: Page, base: str) -> Iterator[str]:
    page.goto(urljoin(base, "guide/"), wait_until="networkidle")
    last = HYBRIDS[-1].name
    page.locator(".tabbed-labels > label", has_text=last).first.click()
    chosen = set(page.evaluate(_CHOSEN))
    if chosen != {last}:
        yield f"guide: {last} was chosen, and the page shows {', '.join(sorted(chosen))}"


def main() -> int:
    """Run the command.

    Returns:
        0: nothing is wrong; 1: something is, or there is no browser that starts; 130: interrupted.
    """
    from playwright.sync_api import Error

    words = argparse.ArgumentParser(prog="python -m rendering.browser")
    words.add_argument("site", type=Path, help="the folder of the built site")
    words.add_argument("--shots", type=Path, help="a folder for pictures of every page")
    asked = words.parse_args()
    if asked.shots:
        asked.shots.mkdir(parents=True, exist_ok=True)
    try:
        wrong, said = look(asked.site, asked.shots)
    except (Missing, Error) as error:
        sys.stderr.write(f"{str(error).splitlines()[0]}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return errors.INTERRUPTED
    sys.stdout.write("".join(f"{each}\n" for each in wrong))
    count = f"{len(wrong)} {'things are' if wrong[1:] else 'thing is'} wrong" if wrong else "nothing is wrong"
    sys.stdout.write(f"looked at {said}: {count}\n")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
