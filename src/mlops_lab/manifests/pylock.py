"""pylock.toml: https://packaging.python.org/en/latest/specifications/pylock-toml/."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

from mlops_lab.errors import LabError, redact
from mlops_lab.manifests.constraints import from_pep440
from mlops_lab.manifests.lock_lines import LockLines
from mlops_lab.manifests.model import Document, Pin, PythonRange
from mlops_lab.manifests.poetry_lock import FALSE, TRUE, Passing
from mlops_lab.manifests.pyproject import at, normalized
from mlops_lab.manifests.unread import Notes, from_root, kind_of, list_of, optional_text, table_of, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mlops_lab.manifests.lock_lines import Section

__all__ = ["checked", "document", "pins_for"]

HINT = "make a new one, for example: uv export --format pylock.toml -o pylock.toml"
_ASKED = re.compile(
    r"""(?P<quote>['"])(?P<name>[^'"]*)(?P=quote)\s+(?P<no>not\s+)?in\s+(?P<of>extras|dependency_groups)"""
)


def checked(path: Path, data: Mapping[str, Any]) -> None:
    """Refuse tables that are no lock at all.

    Raises:
        LabError: They are none.
    """
    if "lock-version" not in data or "packages" not in data:
        raise at(path, 1, 1, "not a pylock.toml: no lock-version or no packages", HINT)


def document(data: Mapping[str, Any], path: str, text: str = "") -> Document:
    """A pylock.toml as what it says; what cannot be understood in it is left out and noted.

    Args:
        data: Its tables.
        path: The file, from the project's root.
        text: Its text, for the lines.
    """
    notes = Notes(path)
    entries = notes.attempt(1, lambda: list_of(data, "packages", object)) or []
    lines = LockLines(text, len(entries), "packages")
    pins = []
    for number, entry in enumerate(entries):
        section = lines.section(number)
        if pin := notes.attempt(section.line(), partial(_pin, entry, path, section, notes)):
            pins.append(pin)
    line = lines.line_of("requires-python")
    python = notes.attempt(line, lambda: text_of(data, "requires-python", "")) or ""
    specifier = notes.attempt(line, lambda: from_pep440(python)) if python else None
    extras = notes.attempt(lines.line_of("extras"), lambda: list_of(data, "extras", str)) or []
    groups = notes.attempt(lines.line_of("dependency-groups"), lambda: list_of(data, "dependency-groups", str)) or []
    environments = notes.attempt(lines.line_of("environments"), lambda: list_of(data, "environments", str)) or []
    return Document(
        path=path,
        format="pylock",
        role="lock",
        pins=tuple(pins),
        pythons=() if specifier is None else (PythonRange(specifier, path, line, python, "requires-python"),),
        environments=tuple(each for each in environments if notes.marker(each, lines.line_of("environments"))),
        groups=tuple(map(normalized, groups)),
        extras=tuple((normalized(extra), ()) for extra in extras),
        edition=str(data.get("lock-version", "")),
        # The last, because what stands before can have to be noted.
        unread=notes.sorted(),
    )


def pins_for(
    found: Document, environment: Mapping[str, str], groups: Sequence[str], extras: Sequence[str] = ()
) -> dict[str, Pin]:
    """What an installer would install, by name.

    Args:
        found: The lock.
        environment: Every marker variable (`marker_environment`).
        groups: Those beside the main dependencies, which always count.
        extras: The project's own extras that are asked for.
    """
    asked = {"extras": set(map(normalized, extras)), "dependency_groups": set(map(normalized, groups))}
    passes = Passing(environment, set())
    return {pin.name: pin for pin in found.pins if passes(_decided(pin.marker, asked)) and pin.kind != "project"}


def _decided(marker: str | None, asked: Mapping[str, set[str]]) -> str | None:
    """The marker with its extras and groups decided, which are sets that only locks know."""

    def said(match: re.Match[str]) -> str:
        return TRUE if (normalized(match["name"]) in asked[match["of"]]) != bool(match["no"]) else FALSE

    return _ASKED.sub(said, marker) if marker else marker


def _pin(entry: object, path: str, section: Section, notes: Notes) -> Pin | None:
    if not isinstance(entry, dict):
        raise LabError(f"a [[packages]] must be a table, not {kind_of(entry)}", HINT)
    name = normalized(text_of(entry, "name"))
    line = section.of("version") if "version" in entry else section.of("name")
    marker = optional_text(entry, "marker")
    if not notes.marker(_decided(marker, {"extras": set(), "dependency_groups": set()}), line):
        return None
    kind, source, commit = _source(entry, path)
    here = kind == "path" and source == (path.rpartition("/")[0] or ".")
    return Pin(
        name=name,
        version=text_of(entry, "version", ""),
        path=path,
        line=line,
        marker=marker,
        groups=_named(marker, "dependency_groups"),
        kind="project" if here else kind,
        source=source,
        commit=commit,
        hashed=_is_hashed(entry),
    )


def _named(marker: str | None, of: str) -> tuple[str, ...]:
    """The groups that a marker names."""
    return tuple(
        dict.fromkeys(normalized(found["name"]) for found in _ASKED.finditer(marker or "") if found["of"] == of)
    )


def _source(entry: Mapping[str, Any], path: str) -> tuple[str, str, str]:
    """Kind, address and commit of where a package comes from."""
    if vcs := table_of(entry, "vcs"):
        return "git", redact(text_of(vcs, "url", text_of(vcs, "path", ""))), text_of(vcs, "commit-id", "")
    if folder := table_of(entry, "directory"):
        return "path", from_root(path, text_of(folder, "path", "")), ""
    if archive := table_of(entry, "archive"):
        address = text_of(archive, "url", "")
        return ("url", redact(address), "") if address else ("path", from_root(path, text_of(archive, "path", "")), "")
    return "index", redact(text_of(entry, "index", "")), ""


def _is_hashed(entry: Mapping[str, Any]) -> bool:
    wheels = entry.get("wheels")
    files = [entry.get("sdist"), entry.get("archive"), *(wheels[:1] if isinstance(wheels, list) else ())]
    return any(isinstance(file, dict) and file.get("hashes") for file in files)
