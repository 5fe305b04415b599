"""poetry.lock: what Poetry installs where, https://python-poetry.org/docs/basic-usage/#installing-dependencies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from mlops_lab.manifests.markers import holds
from mlops_lab.manifests.pyproject import at, normalized, read_toml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

__all__ = ["LockedPackage", "decided", "joined", "load", "read", "seed", "versions_for", "without_extras"]

# What `type` says in a [package.source]; without one the package comes from the default index.
KINDS = {"legacy": "index", "git": "git", "url": "url", "file": "path", "directory": "path"}
EXTRA = re.compile(r"""extra (==|!=) (?:'([^']*)'|"([^"]*)")""")
TRUE, FALSE = "python_version >= '0'", "python_version < '0'"


@dataclass(frozen=True)
class LockedPackage:
    """A package in a lock, the same for every manager.

    Attributes:
        name: Normalised.
        version: `""` where the lock names none (a project whose version is dynamic).
        marker: Where it counts, None: everywhere.
        groups: Those that want it, `main` included; empty where an old lock does not say.
        optional: Only an extra wants it.
        source: Its address: an index, a repository, a file or a folder. None: the default index.
        kind: `index`, `git`, `url`, `path` or `project` (the project itself and the members of its workspace).
        commit: The commit, of a package from a repository.
    """

    name: str
    version: str
    marker: str | None
    groups: tuple[str, ...]
    optional: bool
    source: str | None
    kind: str
    commit: str = ""


def load(path: Path) -> dict[str, Any]:
    """The tables of a poetry.lock.

    Raises:
        LabError: It cannot be read, is not TOML, or is not a lock.
    """
    data, _ = read_toml(path)
    metadata, packages = data.get("metadata"), data.get("package", [])
    if not isinstance(metadata, dict) or "lock-version" not in metadata:
        raise at(path, 1, 1, "not a lock of Poetry: no lock-version in [metadata]", "make a new one: poetry lock")
    if not isinstance(packages, list) or not all({"name", "version"} <= set(package) for package in packages):
        raise at(
            path, 1, 1, "not a lock of Poetry: a [[package]] without name or version", "make a new one: poetry lock"
        )
    return data


def read(path: Path) -> tuple[LockedPackage, ...]:
    """Every package of a poetry.lock.

    Raises:
        LabError: It cannot be read, is not TOML, or is not a lock.
    """
    return tuple(_package(entry) for entry in load(path).get("package", []))


def versions_for(
    path_or_data: Path | Mapping[str, Any],
    environment: Mapping[str, str],
    groups: Sequence[str],
    extras: Sequence[str] = (),
) -> dict[str, str]:
    """What Poetry would install: version by name.

    Args:
        path_or_data: The lock, or its tables (`load`).
        environment: Every marker variable (`marker_environment`).
        groups: Those beside the main dependencies, which always count.
        extras: The project's own extras that are asked for.
    """
    data = path_or_data if isinstance(path_or_data, Mapping) else load(path_or_data)
    wanted = {"main", *(normalized(group) for group in groups)}
    active = {normalized(extra) for extra in extras}
    known: dict[str | None, bool] = {}

    def passes(marker: str | None) -> bool:
        if marker not in known:
            known[marker] = holds(decided(marker, active), environment)
        return known[marker]

    return {
        normalized(entry["name"]): str(entry["version"])
        for entry in data.get("package", [])
        if _is_wanted(entry, wanted, passes)
    }


def joined(markers: Sequence[str | None]) -> str | None:
    """Markers of which one is enough, as one; None as soon as one of them always holds."""
    distinct = list(dict.fromkeys(markers))
    if not distinct or not all(distinct):
        return None
    return distinct[0] if len(distinct) == 1 else " or ".join(f"({marker})" for marker in distinct)


def decided(marker: str | None, active: Iterable[str]) -> str | None:
    """The marker with its extras decided: several can be active, but a marker evaluates one value only."""

    def said(match: re.Match[str]) -> str:
        return TRUE if ((match[2] or match[3]) in active) == (match[1] == "==") else FALSE

    return EXTRA.sub(said, marker) if marker else marker


def without_extras(marker: str | None) -> str | None:
    """Where a marker can hold at all, whatever the extras; None: everywhere."""
    if not marker or not EXTRA.search(marker):
        return marker
    text, before = EXTRA.sub("*", marker), ""
    while text != before:
        # One that is true adds nothing to an `and`; parentheses around nothing else can go.
        before, text = text, re.sub(r"\((\*(?: or \*)*)\)", "*", re.sub(r"\* and | and \*", "", text))
    if "*" not in text:
        return text
    return text.replace("*", TRUE) if "(" in text else None


def seed(packages: Iterable[Mapping[str, Any]]) -> str:
    """A poetry.lock from which `poetry lock` takes versions: it keeps what is locked already and still fits.

    Of a package from an index Poetry reads no more than name, version and source here; the rest it looks up again.

    Args:
        packages: The fields of each package that shall not be as in the empty one; `name` and `version` at least.
    """
    import tomlkit

    empty = {"optional": False, "python-versions": "*", "groups": ["main"], "files": []}
    entries = [{**empty, **package} for package in packages]
    metadata = {"lock-version": "2.1", "python-versions": "*", "content-hash": ""}
    return tomlkit.dumps({"package": entries, "metadata": metadata})


def _is_wanted(entry: Mapping[str, Any], wanted: set[str], passes: Callable[[str | None], bool]) -> bool:
    markers = _markers(entry)
    if not markers:  # before lock-version 2.1 neither groups nor markers were written
        return not entry.get("optional", False)
    return any(passes(marker) for group, marker in markers.items() if group in wanted)


def _markers(entry: Mapping[str, Any]) -> dict[str, str | None]:
    """The marker of each group; a table of markers leaves out the groups that have none."""
    markers = entry.get("markers")
    table = cast("dict[str, str]", markers) if isinstance(markers, Mapping) else None
    return {
        normalized(group): table.get(group) if table is not None else cast("str | None", markers)
        for group in entry.get("groups", [])
    }


def _package(entry: Mapping[str, Any]) -> LockedPackage:
    markers = _markers(entry)
    source = entry.get("source", {})
    return LockedPackage(
        name=normalized(entry["name"]),
        version=str(entry["version"]),
        marker=joined(list(markers.values())),
        groups=tuple(markers),
        optional=bool(entry.get("optional", False)),
        source=source.get("url"),
        kind=KINDS.get(source.get("type", "legacy"), "index"),
        commit=str(source.get("resolved_reference", "")),
    )
