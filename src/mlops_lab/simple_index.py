"""What an index has of a project, asked over the simple API: one page, JSON or HTML.

Source: https://packaging.python.org/specifications/simple-repository-api/
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import urllib.error
import urllib.request
from html.parser import HTMLParser
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from mlops_lab.errors import FOUND, LabError, redact
from mlops_lab.hints import hint_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mlops_lab.indexes import PipConfig

__all__ = ["files", "of_version"]

_PATIENCE = 15.0
"""Seconds."""
_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"
_NOT_FOR_US = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
_NOT_THERE = {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}


def files(
    index: str, project: str, *, config: PipConfig, environ: Mapping[str, str], login: tuple[str, str] | None = None
) -> tuple[str, ...] | None:
    """List the files that an index has of a project.

    Args:
        index: The address of the simple page, without credentials.
        project: The project's normalised name.
        config: What pip is configured to use: certificates, proxy, trusted hosts.
        environ: The user's variables.
        login: User and password; sent only where the server asks for them, and to no other host.

    Returns:
        The files' names; None where the server does not let us look.

    Raises:
        LabError: The index cannot be reached, or is in trouble (code 1).
    """
    address = f"{index.rstrip('/')}/{project}/"
    try:
        opener = _opener(urlsplit(index).netloc, config, environ)
        return _listed(_body(opener, address, login))
    except urllib.error.HTTPError as error:
        if error.code in _NOT_THERE:
            return ()
        if error.code in _NOT_FOR_US:
            return None
        raise _unanswered(index, f"HTTP status {error.code}") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise _unanswered(index, str(getattr(error, "reason", error))) from None


def _unanswered(index: str, reason: str) -> LabError:
    hint = hint_for(reason) or "try again later, or ask who runs it"
    return LabError(f"the index {redact(index)} does not answer: {redact(reason)}", hint, code=FOUND)


def _body(opener: urllib.request.OpenerDirector, address: str, login: tuple[str, str] | None) -> str:
    """The page; the credentials are shown only to the host that was asked, and only when it wants them."""
    try:
        return _read(opener, _request(address))
    except urllib.error.HTTPError as error:
        here = urlsplit(error.url or address)[:2] == urlsplit(address)[:2]
        if error.code not in _NOT_FOR_US or login is None or not here:
            raise
        request = _request(error.url or address)
        # Not passed on where the host sends us to another one.
        request.add_unredirected_header("Authorization", _basic(*login))
        return _read(opener, request)


def _request(address: str) -> urllib.request.Request:
    return urllib.request.Request(address, headers={"Accept": _ACCEPT})  # noqa: S310 - http or https, by its callers


def _read(opener: urllib.request.OpenerDirector, request: urllib.request.Request) -> str:
    with opener.open(request, timeout=_PATIENCE) as answer:
        body: bytes = answer.read()
    return body.decode("utf-8", errors="replace")


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _opener(netloc: str, config: PipConfig, environ: Mapping[str, str]) -> urllib.request.OpenerDirector:
    proxy = {"http": config.proxy, "https": config.proxy} if config.proxy else {}
    return urllib.request.build_opener(
        urllib.request.ProxyHandler(proxy | urllib.request.getproxies()),
        urllib.request.HTTPSHandler(context=_context(netloc, config, environ)),
    )


def _context(netloc: str, config: PipConfig, environ: Mapping[str, str]) -> ssl.SSLContext:
    if {netloc, netloc.partition(":")[0]} & set(config.trusted_hosts):
        return ssl._create_unverified_context()  # noqa: S323, SLF001 - the user's own `trusted-host`
    bundle = config.cert or environ.get("REQUESTS_CA_BUNDLE")
    path = Path(bundle).expanduser() if bundle else None
    if path is not None and path.is_dir():
        return ssl.create_default_context(capath=path)
    return ssl.create_default_context(cafile=path)


def _listed(body: str) -> tuple[str, ...]:
    """The names of the files on a page. Its body tells what it is; its headers do not always."""
    try:
        page = json.loads(body)
    except ValueError:
        return _links(body)
    found = page.get("files", []) if isinstance(page, dict) else []
    return tuple(str(file["filename"]) for file in found if isinstance(file, dict) and "filename" in file)


def _links(body: str) -> tuple[str, ...]:
    parser = _Links()
    parser.feed(body)
    return tuple(parser.names)


class _Links(HTMLParser):
    """Keeps the last part of every link's address, which is the file's name."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A link begins, or another element."""
        if tag == "a" and (address := dict(attrs).get("href")):
            self.names.append(unquote(urlsplit(address).path.rpartition("/")[2]))


def of_version(names: Iterable[str], version: str) -> list[str]:
    """Those of an index' files that are of a version, however it is written (`1.0` is `1.0.0`)."""
    from packaging.version import Version

    wanted = Version(version)
    return sorted(name for name in names if _version(name) == wanted)


def _version(name: str) -> object:
    """The version in a file's name; None where there is none, as in those of long ago."""
    from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename

    try:
        return parse_wheel_filename(name)[1] if name.endswith(".whl") else parse_sdist_filename(name)[1]
    except (InvalidSdistFilename, InvalidWheelFilename):
        return None
