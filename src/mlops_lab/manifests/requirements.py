"""requirements.txt as pip reads it, and the package names that a user types."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from pip_requirements_parser import (
    IncorrectRequirementLine,
    InstallRequirement,
    InvalidRequirementLine,
    RequirementsFile,
)

from mlops_lab.errors import LabError, redact
from mlops_lab.manifests.markers import holds
from mlops_lab.manifests.pyproject import at, conflict, read_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Pin", "exported", "parse_words", "pins_for", "read"]

# Options of today's pip that the parser, a copy of an older pip, does not know:
# https://pip.pypa.io/en/stable/reference/requirements-file-format/#supported-options
NEWER_OPTIONS = re.compile(
    r"(?:^|\s)(?:-C|--config-settings?|--only-final|--all-releases|--uploaded-prior-to)[=\s]\s*\S+"
)

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
    parsed = _parsed(path)
    requirements = [*parsed.requirements, *(_mended(path, line) for line in parsed.invalid_lines if _counts(line))]
    pins = [_pin(path, requirement) for requirement in requirements if requirement is not None and requirement.name]
    for option in parsed.options:
        for name in option.options.get("requirements", ()):
            pins += _included(path, option.line_number, name, chain)
    return sorted(pins, key=lambda pin: (pin.path != path, pin.line))


_known: dict[bytes, RequirementsFile] = {}
"""The file that was parsed last, by its bytes: one command reads the same large one several times, each in 0.3 s."""


def _parsed(path: Path) -> RequirementsFile:
    data = read_bytes(path)
    try:
        if data not in _known:
            _known.clear()
            _known[data] = RequirementsFile.from_file(str(path))
        return _known[data]
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        hint = "save the file as UTF-8, or name its encoding in the first line: # -*- coding: … -*-"
        raise at(path, line, 1, f"not {error.encoding.upper()}", hint) from error
    except LookupError as error:
        raise at(path, 1, 1, str(error), "save the file as UTF-8") from error


def exported(path: Path) -> list[tuple[str, str]]:
    """Name and version of each pin in a file that a manager exported; other lines are passed over.

    Parsing such a file as whatever somebody may have written takes a hundred times as long.
    """
    found = _PINNED.findall(read_bytes(path).decode("utf-8", errors="replace"))
    return [(canonicalize_name(name), version) for name, version in found]


def _counts(line: InvalidRequirementLine) -> bool:
    """Pip ignores words behind an option on a line of its own, so they are no error."""
    return not (isinstance(line, IncorrectRequirementLine) and "trailing" in line.error_message)


def _mended(path: Path, line: InvalidRequirementLine) -> InstallRequirement | None:
    """The requirement of a line that only the parser refuses; None for a line with options only.

    Raises:
        LabError: Pip refuses the line too.
    """
    text, count = NEWER_OPTIONS.subn("", line.line)
    again = _reparsed(text) if count else None
    if again is None or again.invalid_lines:
        raise conflict(path, read_bytes(path).decode(errors="replace")) or _refused(path, line)
    if not again.requirements:
        return None
    again.requirements[0].requirement_line = line.requirement_line
    return again.requirements[0]


def _reparsed(text: str) -> RequirementsFile:
    # The parser reads files only: its own `from_string` misses an import in 32.0.1.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "requirements.txt")
        path.write_text(text, encoding="utf-8")
        return RequirementsFile.from_file(str(path))


def _refused(path: Path, line: InvalidRequirementLine) -> LabError:
    reason = re.sub(r"^(?:Invalid requirement: ?:? ?|\w+: error: )", "", line.error_message).splitlines()
    told = f" ({reason[0].strip()})" if reason else ""
    return at(
        path, line.line_number, 1, f"{_quoted(line.line)} is nothing that pip takes{told}", "correct or remove the line"
    )


def _pin(path: Path, requirement: InstallRequirement) -> Pin:
    version = (requirement.get_pinned_version or "") if requirement.specifier else ""
    return Pin(
        name=canonicalize_name(requirement.name),
        version="" if version.endswith(".*") else version,
        marker=str(requirement.marker) if requirement.marker else None,
        hashed=bool(requirement.hash_options),
        line=requirement.line_number,
        path=path,
    )


def _included(path: Path, line: int, name: str, chain: tuple[Path, ...]) -> list[Pin]:
    if "://" in name:
        return []
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
