"""uv.lock: a graph in which markers stand on the edges, https://docs.astral.sh/uv/concepts/resolution/."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mlops_lab.manifests.markers import holds
from mlops_lab.manifests.poetry_lock import LockedPackage, decided, joined
from mlops_lab.manifests.pyproject import at, normalized, read_toml

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["LockedPackage", "load", "read", "versions_for"]

KINDS = {"registry": "index", "git": "git", "url": "url", "path": "path", "directory": "path", "editable": "path"}
HINT = "make a new one: uv lock"

Entry = Mapping[str, Any]


# --- reading -------------------------------------------------------------------------------------------------------


def load(path: Path) -> dict[str, Any]:
    """The tables of a uv.lock.

    Raises:
        LabError: It cannot be read, is not TOML, or is not a lock.
    """
    data, _ = read_toml(path)
    packages = data.get("package", [])
    if not isinstance(data.get("version"), int) or "requires-python" not in data:
        raise at(path, 1, 1, "not a lock of uv: no version or no requires-python", HINT)
    if not isinstance(packages, list) or not all({"name", "source"} <= set(package) for package in packages):
        raise at(path, 1, 1, "not a lock of uv: a [[package]] without name or source", HINT)
    return data


def read(path: Path) -> tuple[LockedPackage, ...]:
    """Every package of a uv.lock.

    Its `marker` says which of several versions is meant, and is None for a package with one version: where that one is
    installed is a question to `versions_for`. `groups` and `optional` are what can be reached at all.

    Raises:
        LabError: It cannot be read, is not TOML, or is not a lock.
    """
    data = load(path)
    graph = _Graph(data, lambda _: True)
    grouped = {group: graph.reach(graph.group(group)) for group in graph.group_names()}
    by_group = {"main": graph.reach([*graph.main(), *graph.extras()])} | grouped
    needed = graph.reach(graph.main()).union(*grouped.values())
    return tuple(
        _package(
            entry,
            project=graph.is_project(entry),
            groups=tuple(group for group, reached in by_group.items() if number in reached),
            optional=number in by_group["main"] and number not in needed and not graph.is_project(entry),
        )
        for number, entry in enumerate(graph.entries)
    )


def versions_for(
    path_or_data: Path | Mapping[str, Any],
    environment: Mapping[str, str],
    groups: Sequence[str],
    extras: Sequence[str] = (),
) -> dict[str, str]:
    """What uv would install: version by name, without the project itself and what is virtual (never installed).

    Args:
        path_or_data: The lock, or its tables (`load`).
        environment: Every marker variable (`marker_environment`).
        groups: Those beside the main dependencies, which always count.
        extras: The project's own extras that are asked for.
    """
    data = path_or_data if isinstance(path_or_data, Mapping) else load(path_or_data)
    wanted, asked = [normalized(group) for group in groups], [normalized(extra) for extra in extras]
    known: dict[str | None, bool] = {}

    def passes(marker: str | None) -> bool:
        if marker not in known:
            known[marker] = holds(decided(marker, active), environment)
        return known[marker]

    graph = _Graph(data, passes)
    active = graph.spelled(wanted, asked)
    edges = [*graph.main(), *(edge for group in wanted for edge in graph.group(group)), *graph.extras(asked)]
    reached = graph.reach(edges)
    return {
        normalized(entry["name"]): str(entry.get("version", ""))
        for number, entry in enumerate(graph.entries)
        if number in reached and not _is_here(entry) and "virtual" not in entry["source"]
    }


def _is_here(entry: Entry) -> bool:
    return "." in {entry["source"].get("virtual"), entry["source"].get("editable"), entry["source"].get("directory")}


def _package(entry: Entry, *, project: bool, groups: tuple[str, ...], optional: bool) -> LockedPackage:
    (key, address), *_ = entry["source"].items()
    return LockedPackage(
        name=normalized(entry["name"]),
        version=str(entry.get("version", "")),
        marker=joined(entry.get("resolution-markers", [])),
        groups=groups,
        optional=optional,
        source=str(address),
        kind="project" if project else KINDS.get(key, "path"),
        commit=str(address).rpartition("#")[2] if key == "git" else "",
    )


# --- the graph -----------------------------------------------------------------------------------------------------


class _Graph:
    """The packages of a lock and the edges between them that a predicate on markers lets through."""

    def __init__(self, data: Mapping[str, Any], passes: Callable[[str | None], bool]) -> None:
        self.entries: list[Entry] = data.get("package", [])
        self.passes = passes
        self.manifest: Mapping[str, Any] = data.get("manifest", {})
        self.by_name: dict[str, list[int]] = defaultdict(list)
        for number, entry in enumerate(self.entries):
            self.by_name[entry["name"]].append(number)
        self.members = set(self.manifest.get("members", []))
        # A workspace without a [project] of its own installs all its members.
        here = [entry for entry in self.entries if _is_here(entry)]
        self.roots = here or [entry for entry in self.entries if entry["name"] in self.members]

    def is_project(self, entry: Entry) -> bool:
        """Whether it is the project itself or a member of its workspace."""
        return _is_here(entry) or ("registry" not in entry["source"] and entry["name"] in self.members)

    def group_names(self) -> list[str]:
        """Every group of the project."""
        tables = [
            *(root.get("dev-dependencies", {}) for root in self.roots),
            self.manifest.get("dependency-groups", {}),
        ]
        return list(dict.fromkeys(name for table in tables for name in table))

    def spelled(self, groups: Iterable[str], extras: Iterable[str]) -> set[str]:
        """Groups and extras as markers spell them where some conflict.

        Source: https://docs.astral.sh/uv/reference/internals/resolver/#conflicting-dependencies
        """
        words = [*(("group", group) for group in groups), *(("extra", extra) for extra in extras)]
        return {f"{word}-{len(root['name'])}-{root['name']}-{name}" for root in self.roots for word, name in words}

    def main(self) -> list[Entry]:
        """The edges that leave the project, without those of its own extras."""
        edges = [edge for root in self.roots for edge in root.get("dependencies", [])]
        edges += [{"name": root["name"]} for root in self.roots if not _is_here(root)]
        return [*edges, *self.manifest.get("requirements", [])]

    def extras(self, names: Iterable[str] | None = None) -> list[Entry]:
        """The edges that leave the project for these of its extras, or for all of them."""
        tables = [root.get("optional-dependencies", {}) for root in self.roots]
        wanted = list(names) if names is not None else list(dict.fromkeys(name for table in tables for name in table))
        return [edge for table in tables for name in wanted for edge in table.get(name, [])]

    def group(self, name: str) -> list[Entry]:
        """The edges that leave the project for one of its groups; none for a group that it does not have."""
        tables = [
            *(root.get("dev-dependencies", {}) for root in self.roots),
            self.manifest.get("dependency-groups", {}),
        ]
        return [edge for table in tables for edge in table.get(name, [])]

    def reach(self, edges: Iterable[Entry]) -> set[int]:
        """The numbers of the packages at which these edges and all that follow end."""
        todo, seen = list(edges), set[tuple[int, str]]()
        while todo:
            edge = todo.pop()
            if not self.passes(edge.get("marker")):
                continue
            for number in self._targets(edge):
                for extra in ("", *edge.get("extra", edge.get("extras", ()))):
                    if (number, extra) not in seen:
                        seen.add((number, extra))
                        todo += self._leaving(self.entries[number], extra)
        return {number for number, _ in seen}

    def _leaving(self, entry: Entry, extra: str) -> Sequence[Entry]:
        found: Sequence[Entry] = (
            entry.get("optional-dependencies", {}).get(extra, []) if extra else entry.get("dependencies", [])
        )
        return found

    def _targets(self, edge: Entry) -> list[int]:
        """The packages that an edge means: uv names version and source only where the name is not enough."""
        named = [
            number
            for number in self.by_name[edge["name"]]
            if all(self.entries[number].get(key) == edge[key] for key in ("version", "source") if key in edge)
        ]
        if len(named) == 1:
            return named
        return [number for number in named if self._resolved_here(self.entries[number])]

    def _resolved_here(self, entry: Entry) -> bool:
        markers = entry.get("resolution-markers", [])
        return not markers or any(self.passes(marker) for marker in markers)
