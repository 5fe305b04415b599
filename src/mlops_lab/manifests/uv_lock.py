"""uv.lock: a graph in which markers stand on the edges, https://docs.astral.sh/uv/concepts/resolution/."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from mlops_lab.errors import LabError, redact
from mlops_lab.manifests.constraints import from_pep440
from mlops_lab.manifests.lock_lines import LockLines
from mlops_lab.manifests.model import Document, Pin, PythonRange, Requirement
from mlops_lab.manifests.poetry_lock import (
    EXTRA,
    LockedPackage,
    Passing,
    joined,
    locked_package,
    refused,
    remembered,
    without_extras,
)
from mlops_lab.manifests.pyproject import ANEW, at, normalized, read_text, read_toml
from mlops_lab.manifests.unread import Notes, from_root, kind_of, list_of, optional_text, table_of, text_of

if TYPE_CHECKING:
    from pathlib import Path

    from mlops_lab.manifests.lock_lines import Section

__all__ = ["LockedPackage", "checked", "document", "load", "pins_for", "read", "versions_for"]

KINDS = {"registry": "index", "git": "git", "url": "url", "path": "path", "directory": "path", "editable": "path"}
HERE = frozenset({"virtual", "editable", "directory"})

Edges = Sequence[Requirement]


# --- reading -------------------------------------------------------------------------------------------------------


def load(path: Path) -> dict[str, Any]:
    """The tables of a uv.lock.

    Raises:
        LabError: It cannot be read, is not TOML, or is not a lock.
    """
    data, _ = read_toml(path)
    checked(path, data)
    packages = data.get("package", [])
    if not isinstance(packages, list) or not all(
        isinstance(package, dict) and {"name", "source"} <= set(package) for package in packages
    ):
        raise at(path, 1, 1, "not a lock of uv: a [[package]] without name or source", ANEW)
    return data


def checked(path: Path, data: Mapping[str, Any]) -> None:
    """Refuse tables that are no lock at all.

    Raises:
        LabError: They are none.
    """
    if not isinstance(data.get("version"), int) or "requires-python" not in data:
        raise at(path, 1, 1, "not a lock of uv: no version or no requires-python", ANEW)


def read(path: Path) -> tuple[LockedPackage, ...]:
    """Every package of a uv.lock.

    Its `marker` says which of several versions is meant, and is None for a package with one version: where that one is
    installed is a question to `versions_for`. `groups` and `optional` are what can be reached at all.

    Raises:
        LabError: It cannot be read, is not TOML, is not a lock, or something in it cannot be understood.
    """
    data = load(path)
    entries = data.get("package", [])
    found = refused(document(data, path.name, read_text(path)), path, len(entries))
    return tuple(
        locked_package(pin, str(next(iter(entry["source"].values()))))
        for pin, entry in zip(found.pins, entries, strict=True)
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
    found = pins_for(remembered(data, "uv.lock", document), environment, groups, extras)
    return {name: pin.version for name, pin in found.items()}


def pins_for(
    found: Document, environment: Mapping[str, str], groups: Sequence[str], extras: Sequence[str] = ()
) -> dict[str, Pin]:
    """What uv would install, by name, without the project itself and what is virtual (never installed).

    Args:
        found: The lock.
        environment: Every marker variable (`marker_environment`).
        groups: Those beside the main dependencies, which always count.
        extras: The project's own extras that are asked for.
    """
    wanted, asked = [normalized(group) for group in groups], [normalized(extra) for extra in extras]
    passes = Passing(environment, set())
    graph = _Graph(found.pins, found.requirements, passes)
    passes.active = graph.spelled(wanted, asked)
    edges = [*graph.main(), *(edge for group in wanted for edge in graph.group(group)), *graph.extras(asked)]
    reached = graph.reach(edges)
    return {
        pin.name: pin
        for number, pin in enumerate(found.pins)
        if number in reached and not _is_here(pin) and not pin.virtual
    }


@dataclass(frozen=True)
class _Around:
    """What the reading of each part has to know."""

    path: str
    notes: Notes
    members: frozenset[str]


def document(data: Mapping[str, Any], path: str, text: str = "") -> Document:
    """A uv.lock as what it says; what cannot be understood in it is left out and noted.

    Args:
        data: Its tables.
        path: The file, from the project's root.
        text: Its text, for the lines.
    """
    notes = Notes(path)
    entries = notes.attempt(1, lambda: list_of(data, "package", object)) or []
    lines = LockLines(text, len(entries))
    manifest = notes.attempt(1, lambda: table_of(data, "manifest")) or {}
    members = notes.attempt(1, lambda: list_of(manifest, "members", str)) or []
    around = _Around(path, notes, frozenset(map(normalized, members)))
    pins = []
    for number, entry in enumerate(entries):
        section = lines.section(number)
        if pin := notes.attempt(section.line(), partial(_pin, entry, around, section)):
            pins.append(pin)
    asked, declared = _manifest(manifest, around, lines)
    graph = _Graph(pins, asked, lambda _: True)
    here = [pin for pin in pins if _is_here(pin)]
    return Document(
        path=path,
        format="uv.lock",
        role="lock",
        requirements=asked,
        pins=_reached(graph),
        pythons=_pythons(data, around, lines),
        name=here[0].name if here else "",
        declared=_all_declared(here, declared),
        members=tuple(pin.source for pin in pins if pin.kind == "project" and not _is_here(pin)),
        environments=tuple(notes.attempt(1, lambda: list_of(data, "supported-markers", str)) or []),
        groups=tuple(dict.fromkeys([*graph.group_names(), *_empty_groups(entries, graph)])),
        extras=tuple(graph.extra_names().items()),
        edition=str(data.get("version", "")),
        # The last, because what stands before can have to be noted.
        unread=notes.sorted(),
    )


def _all_declared(here: Sequence[Pin], declared: tuple[Requirement, ...]) -> tuple[Requirement, ...] | None:
    """What the project's manifest asked for; None where the lock does not say."""
    own = here[0].declared if here else None
    return (*(own or ()), *declared) if own is not None or declared else None


def _empty_groups(entries: Sequence[object], graph: _Graph) -> Iterator[str]:
    """The groups that hold nothing: only what the manifest said names them."""
    roots = {root.name for root in graph.roots}
    for entry in entries:
        if isinstance(entry, dict) and normalized(str(entry.get("name"))) in roots:
            metadata = entry.get("metadata")
            groups = metadata.get("requires-dev") if isinstance(metadata, dict) else None
            if isinstance(groups, dict):
                yield from (normalized(group) for group, asked in groups.items() if asked == [])


def _reached(graph: _Graph) -> tuple[Pin, ...]:
    """Every package with the groups by which it can be reached at all."""
    grouped = {group: graph.reach(graph.group(group)) for group in graph.group_names()}
    by_group = {"main": graph.reach([*graph.main(), *graph.extras()])} | grouped
    needed = graph.reach(graph.main()).union(*grouped.values())
    return tuple(
        replace(
            pin,
            groups=tuple(group for group, reached in by_group.items() if number in reached),
            optional=number in by_group["main"] and number not in needed and pin.kind != "project",
        )
        for number, pin in enumerate(graph.pins)
    )


def _pythons(data: Mapping[str, Any], around: _Around, lines: LockLines) -> tuple[PythonRange, ...]:
    line = lines.line_of("requires-python")

    def read() -> tuple[PythonRange, ...]:
        text = text_of(data, "requires-python", "")
        return (PythonRange(from_pep440(text), around.path, line, text, "requires-python"),)

    return around.notes.attempt(line, read) or ()


def _manifest(
    manifest: Mapping[str, Any], around: _Around, lines: LockLines
) -> tuple[tuple[Requirement, ...], tuple[Requirement, ...]]:
    """What a workspace asks for that no member does, and all that it says of versions."""
    asked, declared = list[Requirement](), list[Requirement]()
    for key in ("requirements", "constraints", "overrides"):
        line = lines.line_of(key)
        for entry in around.notes.attempt(line, partial(list_of, manifest, key, dict)) or []:
            made = around.notes.attempt(line, partial(_declared, entry, around, line)) or []
            found = [replace(each, constrains=key == "constraints", overrides=key == "overrides") for each in made]
            declared += found
            asked += found if key == "requirements" else []
    groups = around.notes.attempt(1, partial(table_of, manifest, "dependency-groups")) or {}
    for group in groups:
        line = lines.line_of(group)
        for entry in around.notes.attempt(line, partial(list_of, groups, group, dict)) or []:
            made = around.notes.attempt(line, partial(_declared, entry, around, line)) or []
            found = [replace(each, group=normalized(group)) for each in made]
            declared += found
            asked += found
    return tuple(asked), tuple(declared)


def _pin(entry: object, around: _Around, section: Section) -> Pin | None:
    if not isinstance(entry, dict):
        raise LabError(f"a [[package]] must be a table, not {kind_of(entry)}")
    name = normalized(text_of(entry, "name"))
    line = section.of("version") if "version" in entry else section.of("name")
    key, address, commit = _source(table_of(entry, "source"), around.path)
    here = posixpath.dirname(around.path) or "."
    is_project = (key in HERE and address == here) or (key != "registry" and name in around.members)
    markers = list_of(entry, "resolution-markers", str)
    if not all(around.notes.marker(marker, line) for marker in markers):
        return None
    section.turn_to("\ndependencies = [")
    requires = tuple(_edges(entry, "dependencies", around, section))
    section.turn_to("\n[package.optional-dependencies]", "\noptional-dependencies")
    extras = table_of(entry, "optional-dependencies")
    extra_requires = [(normalized(extra), edge) for extra in extras for edge in _edges(extras, extra, around, section)]
    section.turn_to("\n[package.dev-dependencies]", "\ndev-dependencies")
    groups = table_of(entry, "dev-dependencies")
    group_requires = [(normalized(group), edge) for group in groups for edge in _edges(groups, group, around, section)]
    return Pin(
        name=name,
        version=text_of(entry, "version", ""),
        path=around.path,
        line=line,
        marker=joined(markers),
        kind="project" if is_project else KINDS.get(key, "path"),
        source=address,
        commit=commit,
        hashed=any(isinstance(each, dict) and "hash" in each for each in _files(entry)),
        requires=requires,
        extra_requires=tuple(extra_requires),
        group_requires=tuple(group_requires),
        virtual=key == "virtual",
        declared=_metadata(entry, around, section) if is_project else None,
    )


def _files(entry: Mapping[str, Any]) -> Sequence[object]:
    wheels = entry.get("wheels")
    return [entry.get("sdist"), *(wheels[:1] if isinstance(wheels, list) else ())]


def _source(source: Mapping[str, Any], path: str) -> tuple[str, str, str]:
    """What kind of source it is, its address, and the commit."""
    for key, address in source.items():
        if not isinstance(address, str):
            raise LabError(f"source.{key} must be text, not {kind_of(address)}", ANEW)
        shown = redact(address)
        if key == "git":
            return key, shown.partition("#")[0].partition("?")[0], shown.rpartition("#")[2] if "#" in shown else ""
        return key, shown if key == "url" else from_root(path, shown), ""
    raise LabError("source is missing", ANEW)


def _edges(table: Mapping[str, Any], key: str, around: _Around, section: Section) -> Iterator[Requirement]:
    for entry in list_of(table, key, dict):
        name = text_of(entry, "name")
        line = section.next(f'{{ name = "{name}"', f'"{name}"')
        if edge := around.notes.attempt(line, partial(_edge, name, entry, around, line)):
            yield edge


def _edge(name: str, entry: Mapping[str, Any], around: _Around, line: int) -> Requirement | None:
    version, marker = optional_text(entry, "version"), optional_text(entry, "marker")
    extras = list_of(entry, "extra" if "extra" in entry else "extras", str)
    key, address, _ = _source(table_of(entry, "source"), around.path) if "source" in entry else ("registry", "", "")
    if not around.notes.marker(marker, line):
        return None
    return Requirement(
        name=normalized(name),
        specifier=f"=={version}" if version else "",
        path=around.path,
        line=line,
        text=f"{name} {version}" if version else name,
        marker=marker,
        extras=tuple(sorted({normalized(extra) for extra in extras})),
        kind=KINDS.get(key, "path"),
        source=address,
    )


# --- what the manifest asked for ------------------------------------------------------------------------------------


def _metadata(entry: Mapping[str, Any], around: _Around, section: Section) -> tuple[Requirement, ...] | None:
    if "metadata" not in entry:
        return None
    metadata = table_of(entry, "metadata")
    found = []
    section.turn_to("\nrequires-dist", "\n[package.metadata]")
    for each in list_of(metadata, "requires-dist", dict):
        line = section.next(f'{{ name = "{each.get("name")}"')
        found += around.notes.attempt(line, partial(_declared, each, around, line)) or []
    groups = table_of(metadata, "requires-dev")
    section.turn_to("\n[package.metadata.requires-dev]")
    for group in groups:
        for each in list_of(groups, group, dict):
            line = section.next(f'{{ name = "{each.get("name")}"')
            made = around.notes.attempt(line, partial(_declared, each, around, line)) or []
            found += [replace(one, group=normalized(group)) for one in made]
    return tuple(found)


def _declared(entry: Mapping[str, Any], around: _Around, line: int) -> list[Requirement]:
    """A requirement as the manifest had it, once for each extra that brings it."""
    name, specifier = text_of(entry, "name"), text_of(entry, "specifier", "")
    whole = optional_text(entry, "marker")
    if not around.notes.marker(whole, line):
        return []
    extras = [normalized(one or other) for operator, one, other in EXTRA.findall(whole or "") if operator == "=="]
    key = next((key for key in KINDS if key in entry and key != "registry"), "registry")
    key = "virtual" if "virtual" in entry else key
    source = {} if key == "registry" else {key: entry[key]}
    _, address, _ = _source(source, around.path) if source else ("", text_of(entry, "index", ""), "")
    one = Requirement(
        name=normalized(name),
        specifier=from_pep440(specifier),
        path=around.path,
        line=line,
        text=f"{name}{specifier}",
        marker=without_extras(whole),
        extras=tuple(sorted({normalized(extra) for extra in list_of(entry, "extras", str)})),
        kind=KINDS.get(key, "path"),
        source=redact(address),
    )
    return [replace(one, extra=extra) for extra in dict.fromkeys(extras)] or [one]


# --- the graph -----------------------------------------------------------------------------------------------------


def _is_here(pin: Pin) -> bool:
    return pin.kind == "project" and pin.source == (posixpath.dirname(pin.path) or ".")


class _Graph:
    """The packages of a lock and the edges between them that a predicate on markers lets through."""

    def __init__(self, pins: Sequence[Pin], asked: Edges, passes: Callable[[str | None], bool]) -> None:
        self.pins = pins
        self.asked = asked
        self.passes = passes
        self.by_name: dict[str, list[int]] = defaultdict(list)
        for number, pin in enumerate(pins):
            self.by_name[pin.name].append(number)
        # A workspace without a [project] of its own installs all its members.
        here = [pin for pin in pins if _is_here(pin)]
        self.roots = here or [pin for pin in pins if pin.kind == "project"]

    def group_names(self) -> list[str]:
        """Every group of the project that holds something."""
        names = [group for root in self.roots for group, _ in root.group_requires]
        return list(dict.fromkeys([*names, *(edge.group for edge in self.asked if edge.group)]))

    def extra_names(self) -> dict[str, tuple[str, ...]]:
        """Every extra of the project that holds something, and what it brings."""
        found: dict[str, tuple[str, ...]] = {}
        for root in self.roots:
            for extra, edge in root.extra_requires:
                found[extra] = (*found.get(extra, ()), edge.name)
        return found

    def spelled(self, groups: Iterable[str], extras: Iterable[str]) -> set[str]:
        """Groups and extras as markers spell them where some conflict.

        Source: https://docs.astral.sh/uv/reference/internals/resolver/#conflicting-dependencies
        """
        words = [*(("group", group) for group in groups), *(("extra", extra) for extra in extras)]
        return {f"{word}-{len(root.name)}-{root.name}-{name}" for root in self.roots for word, name in words}

    def main(self) -> list[Requirement]:
        """The edges that leave the project, without those of its own extras."""
        edges = [edge for root in self.roots for edge in root.requires]
        edges += [
            Requirement(root.name, "", root.path, root.line, root.name) for root in self.roots if not _is_here(root)
        ]
        return [*edges, *(edge for edge in self.asked if not edge.group)]

    def extras(self, names: Iterable[str] | None = None) -> list[Requirement]:
        """The edges that leave the project for these of its extras, or for all of them."""
        wanted = None if names is None else set(names)
        return [edge for root in self.roots for extra, edge in root.extra_requires if wanted is None or extra in wanted]

    def group(self, name: str) -> list[Requirement]:
        """The edges that leave the project for one of its groups; none for a group that it does not have."""
        edges = [edge for root in self.roots for group, edge in root.group_requires if group == name]
        return [*edges, *(edge for edge in self.asked if edge.group == name)]

    def reach(self, edges: Iterable[Requirement]) -> set[int]:
        """The numbers of the packages at which these edges and all that follow end."""
        todo, seen = list(edges), set[tuple[int, str]]()
        while todo:
            edge = todo.pop()
            if not self.passes(edge.marker):
                continue
            for number in self._targets(edge):
                for extra in ("", *edge.extras):
                    if (number, extra) not in seen:
                        seen.add((number, extra))
                        todo += self._leaving(self.pins[number], extra)
        return {number for number, _ in seen}

    def _leaving(self, pin: Pin, extra: str) -> Edges:
        return [edge for name, edge in pin.extra_requires if name == extra] if extra else pin.requires

    def _targets(self, edge: Requirement) -> list[int]:
        """The packages that an edge means: uv names version and source only where the name is not enough."""
        named = self.by_name[edge.name]
        if len(named) > 1:
            exact = [number for number in named if self._is_meant(self.pins[number], edge)]
            named = exact or named
        if len(named) == 1:
            return named
        return [number for number in named if self._resolved_here(self.pins[number])]

    def _is_meant(self, pin: Pin, edge: Requirement) -> bool:
        return edge.specifier in {"", f"=={pin.version}"} and edge.source in {"", pin.source}

    def _resolved_here(self, pin: Pin) -> bool:
        return self.passes(pin.marker)
