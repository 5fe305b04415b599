"""requirements.txt as pip reads it, and the package names that a user types."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from mlops_lab.errors import LabError, redact
from mlops_lab.manifests.asking import exact
from mlops_lab.manifests.markers import holds
from mlops_lab.manifests.pyproject import at, read_bytes
from mlops_lab.manifests.requirements_document import asked

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

__all__ = ["Pin", "exported", "parse_words", "pins_for", "read"]

_PINNED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)

EXAMPLES = 'write for example: numpy, "numpy>=2", "name @ https://host/name.whl"'
NAMES = "write only the name, for example: numpy"
FILES = (".whl", ".zip", ".tar.gz", ".tar.bz2", ".tgz")


@dataclass(frozen=True)
class Pin:
    """A package that a requirements file names.

    Attributes:
        name: Normalised.
        version: The exact version, `""` where the file gives none (a range, an address).
        marker: Where the line counts, None: everywhere.
        hashed: Whether the line carries hashes.
        line: The first line of the requirement, in the file in which it stands.
        path: The file, which is another one after `-r`.
    """

    name: str
    version: str
    marker: str | None
    hashed: bool
    line: int
    path: Path | None = None


# --- the file ------------------------------------------------------------------------------------------------------


def read(path: Path) -> tuple[Pin, ...]:
    """The packages that a requirements file and those it includes with `-r` name; constraints (`-c`) are not followed.

    Raises:
        LabError: It cannot be read, or a line is one that pip refuses, with its line.
    """
    return tuple(_read(path, (path.resolve(),)))


def pins_for(pins: Iterable[Pin], environment: Mapping[str, str]) -> dict[str, str]:
    """What pip would install in a marker environment: version (`""`: not pinned) by name; the first line wins."""
    found: dict[str, str] = {}
    for pin in pins:
        if pin.name not in found and holds(pin.marker, environment):
            found[pin.name] = pin.version
    return found


def _read(path: Path, chain: tuple[Path, ...]) -> list[Pin]:
    asking = asked(read_bytes(path), path.name)
    if unread := asking.notes.sorted():
        raise at(path, unread[0].line, 1, unread[0].message, unread[0].hint)
    hashed = {pin.line for pin in asking.pins if pin.hashed}
    pins = [
        Pin(each.name, exact(each.specifier), each.marker, each.line in hashed, each.line, path)
        for each in asking.requirements
    ]
    for name, line in asking.includes.items():
        pins += _included(path, line, name, chain)
    return sorted(pins, key=lambda pin: (pin.path != path, pin.line))


def exported(path: Path) -> list[tuple[str, str]]:
    """Name and version of each pin in a file that a manager exported; other lines are passed over.

    Parsing such a file as whatever somebody may have written takes a hundred times as long.
    """
    found = _PINNED.findall(read_bytes(path).decode("utf-8", errors="replace"))
    return [(canonicalize_name(name), version) for name, version in found]


def _included(path: Path, line: int, name: str, chain: tuple[Path, ...]) -> list[Pin]:
    other = path.parent / name
    if other.resolve() in chain:
        raise at(path, line, 1, f"{name} includes itself", "remove one of the `-r` lines")
    try:
        read_bytes(other)
    except LabError as error:
        raise at(path, line, 1, f"-r {name}: {error.message}") from error
    return _read(other, (*chain, other.resolve()))


# --- what a user types ---------------------------------------------------------------------------------------------


def parse_words(words: Sequence[str], *, names_only: bool = False) -> tuple[str, ...]:
    """The packages that a user named, each once, as typed.

    Args:
        words: One requirement each (PEP 508), such as `numpy`, `numpy>=2` or `name @ git+https://…`.
        names_only: Only bare names, for what is already in the manifest.

    Raises:
        LabError: A word is no requirement; none of them may reach a tool's command line.
    """
    found: dict[tuple[str, str], str] = {}
    for word in words:
        requirement = _requirement(word, names_only=names_only)
        text = str(requirement)
        found.setdefault((canonicalize_name(requirement.name), text.removeprefix(requirement.name)), word.strip())
    return tuple(found.values())


def _requirement(word: str, *, names_only: bool) -> Requirement:
    hint = NAMES if names_only else EXAMPLES
    if not word.isprintable() or word.startswith("-"):
        raise LabError(f"{_quoted(word)} is not a package", hint)
    try:
        requirement = Requirement(word)
    except InvalidRequirement as error:
        raise LabError(f"{_quoted(word)} is not a package", hint) from error
    if names_only and word.strip() != requirement.name:
        raise LabError(f"{_quoted(word)} is more than the name of a package", hint)
    if word.strip().lower().endswith(FILES) and not requirement.url:
        raise LabError(f"{_quoted(word)} is a file, not the name of a package", hint)
    if requirement.url and not re.match(r"[a-z][a-z+]*:\S", requirement.url):
        raise LabError(f"{_quoted(word)}: what follows @ is not an address", hint)
    return requirement


def _quoted(word: str) -> str:
    """The word in quotes, with control characters made visible and credentials left out."""
    shown = redact(word)
    return f'"{shown}"' if shown.isprintable() else f'"{shown.encode("unicode_escape").decode("ascii")}"'
