"""One requirement as the standard writes it, https://packaging.python.org/en/latest/specifications/dependency-specifiers/.

Most are a name and a specifier, which a regular expression tells; only the others cost an object of `packaging`.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlsplit

from mlops_lab.errors import LabError, redact
from mlops_lab.manifests.constraints import SPECIFIER, from_pep440
from mlops_lab.manifests.pyproject import normalized
from mlops_lab.manifests.unread import from_root

__all__ = ["MOST", "Asked", "commit_of", "direct", "parse", "shown"]

HINT = 'write for example: "numpy>=2", "uvicorn[standard]>=0.30 ; python_version < \'3.13\'"'
MOST = 5_000
"""How long a requirement may be: the parsers take the square of the time for a line of spaces."""
LONGEST = 100
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
# Spaces are taken once and for all (`*+`): tried in every way, a line of many would take for ever.
_PLAIN = re.compile(
    rf"(?P<name>{_NAME})\s*+(?:\[\s*+(?P<extras>{_NAME}(?:\s*+,\s*+{_NAME})*)?\s*+\])?"
    rf"\s*+(?P<open>\()?\s*+(?P<specifier>{SPECIFIER})?\s*+(?(open)\))\s*+(?:;\s*+(?P<marker>\S.*))?",
    re.IGNORECASE,
)
_COMMIT = re.compile(r"@([0-9a-f]{40})(?:#|$)")
_VCS = re.compile(r"(git|hg|svn|bzr)\+")


class Asked(NamedTuple):
    """What a requirement says.

    Attributes:
        name: Normalised.
        specifier: Without spaces.
        extras: Normalised and sorted.
        marker: As it is written.
        kind: `index`, `git`, `url` or `path`.
        source: The address or the path.
    """

    name: str
    specifier: str = ""
    extras: tuple[str, ...] = ()
    marker: str | None = None
    kind: str = "index"
    source: str = ""


def parse(text: str, path: str) -> Asked:
    """One requirement.

    Args:
        text: What is written.
        path: The file, from the project's root, to which paths are relative.

    Raises:
        LabError: It is none.
    """
    if len(text) > MOST:
        raise LabError(f"{shown(text)} is no requirement ({len(text)} characters)", HINT)
    match = _PLAIN.fullmatch(text.strip())
    if match is None:
        return _parsed(text, path)
    extras = match["extras"]
    return Asked(
        name=normalized(match["name"]),
        specifier="".join((match["specifier"] or "").split()),
        extras=tuple(sorted({normalized(extra.strip()) for extra in extras.split(",")})) if extras else (),
        marker=match["marker"],
    )


def _parsed(text: str, path: str) -> Asked:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        requirement = Requirement(text)
    except (InvalidRequirement, RecursionError) as error:
        raise LabError(f"{shown(text)} is no requirement ({str(error).splitlines()[0]})", HINT) from error
    kind, source = direct(requirement.url, path) if requirement.url else ("index", "")
    _, _, marker = (text.partition(requirement.url)[2] if requirement.url else text).partition(";")
    return Asked(
        name=normalized(requirement.name),
        specifier=from_pep440(str(requirement.specifier)),
        extras=tuple(sorted({normalized(extra) for extra in requirement.extras})),
        marker=marker.strip() if requirement.marker else None,
        kind=kind,
        source=source,
    )


def shown(text: str) -> str:
    """What somebody wrote, in quotes: without credentials, on one line, and not all of it if it is long."""
    plain = redact(text.strip())
    plain = plain if plain.isprintable() else plain.encode("unicode_escape").decode("ascii")
    return f'"{plain[:LONGEST]}…"' if len(plain) > LONGEST else f'"{plain}"'


def commit_of(address: str) -> str:
    """The commit that an address names in full; empty where it names a branch, a tag, or nothing."""
    found = _COMMIT.search(address)
    return found[1] if found else ""


def direct(address: str, path: str) -> tuple[str, str]:
    """The kind of an address, and the address without revision, fragment and credentials.

    Args:
        address: Such as `git+https://host/name.git@main`, `https://host/name.whl` or `../name`.
        path: The file that names it, from the project's root.
    """
    plain, _, _ = redact(address).partition("#")
    if found := _VCS.match(plain):
        plain = plain[found.end() :]
        try:
            way = urlsplit(plain).path
        except ValueError:
            way = ""
        return "git", plain[: -len(way)] + way.rpartition("@")[0] if "@" in way else plain
    if plain.startswith("file:"):
        # Without slashes it counts from the file, as uv and pip read it.
        return "path", plain if plain.startswith("file:/") else from_root(path, plain.removeprefix("file:"))
    return ("url", plain) if "://" in plain else ("path", from_root(path, plain))
