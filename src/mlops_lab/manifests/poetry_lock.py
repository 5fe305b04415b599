"""poetry.lock: what Poetry installs where, https://python-poetry.org/docs/basic-usage/#installing-dependencies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from mlops_lab.errors import LabError, redact
from mlops_lab.manifests.constraints import from_poetry
from mlops_lab.manifests.lock_lines import LockLines
from mlops_lab.manifests.markers import holds
from mlops_lab.manifests.model import Document, Pin, PythonRange, Requirement
from mlops_lab.manifests.pyproject import ANEW, at, named, normalized, read_text, read_toml
from mlops_lab.manifests.unread import Notes, from_root, kind_of, list_of, optional_text, table_of, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from mlops_lab.manifests.lock_lines import Section

__all__ = [
    "LockedPackage",
    "Passing",
    "checked",
    "decided",
    "document",
    "joined",
    "load",
    "locked_package",
    "pins_for",
    "read",
    "refused",
    "remembered",
    "seed",
    "versions_for",
    "without_extras",
]

# What `type` says in a [package.source]; without one the package comes from the default index.
KINDS = {"legacy": "index", "git": "git", "url": "url", "file": "path", "directory": "path"}
DIRECT = {"git": "git", "url": "url", "path": "path", "file": "path"}
GROUPED = "2.1"
"""The version of the format from which on groups and markers stand at each package."""
EXTRA = re.compile(r"""extra (==|!=) (?:'([^']*)'|"([^"]*)")""")
TRUE, FALSE = "python_version >= '0'", "python_version < '0'"


@dataclass
class Passing:
    """Which markers hold in an environment; each is evaluated once.

    Attributes:
        environment: Every marker variable.
        active: The extras that are asked for, as markers spell them.
        known: Marker → whether it holds.
    """

    environment: Mapping[str, str]
    active: set[str]
    known: dict[str | None, bool] = field(default_factory=lambda: {None: True})

    def __call__(self, marker: str | None) -> bool:
        """Whether a marker holds."""
        if marker not in self.known:
            self.known[marker] = holds(decided(marker, self.active), self.environment)
        return self.known[marker]


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
    checked(path, data)
    packages = data.get("package", [])
    if not isinstance(packages, list) or not all(
        isinstance(package, dict) and {"name", "version"} <= set(package) for package in packages
    ):
        raise at(path, 1, 1, "not a lock of Poetry: a [[package]] without name or version", ANEW)
    return data


def checked(path: Path, data: Mapping[str, Any]) -> None:
    """Refuse tables that are no lock at all.

    Raises:
        LabError: They are none.
    """
    metadata = data.get("metadata")
    if not isinstance(metadata, dict) or "lock-version" not in metadata:
        raise at(path, 1, 1, "not a lock of Poetry: no lock-version in [metadata]", ANEW)


def document(data: Mapping[str, Any], path: str, text: str = "") -> Document:
    """A poetry.lock as what it says; what cannot be understood in it is left out and noted.

    Args:
        data: Its tables.
        path: The file, from the project's root.
        text: Its text, for the lines.
    """
    notes = Notes(path)
    packages = data.get("package", [])
    entries: list[Any] = packages if isinstance(packages, list) else []
    lines = LockLines(text, len(entries))
    if entries is not packages:
        notes.add(lines.line_of("package"), f"package must be an array, not {kind_of(packages)}", ANEW)
    metadata = data["metadata"] if isinstance(data.get("metadata"), dict) else {}
    hashes = metadata.get("files") if isinstance(metadata.get("files"), dict) else None
    pins = []
    for number, entry in enumerate(entries):
        section = lines.section(number)
        try:
            if pin := _pin(entry, path, section, notes, hashes):
                pins.append(pin)
        except LabError as error:
            notes.add(section.line(), error.message, error.hint or ANEW)
    python = metadata.get("python-versions", "*")
    return Document(
        path=path,
        format="poetry.lock",
        role="lock",
        pins=tuple(pins),
        pythons=_pythons(python, path, lines, notes),
        digest=str(metadata.get("content-hash", "")),
        groups=tuple(dict.fromkeys(group for pin in pins for group in pin.groups if group != "main")),
        extras=_extras(data.get("extras", {}), lines, notes),
        edition=str(metadata.get("lock-version", "")),
        # The last, because what stands before can have to be noted.
        unread=notes.sorted(),
    )


def read(path: Path) -> tuple[LockedPackage, ...]:
    """Every package of a poetry.lock.

    Raises:
        LabError: It cannot be read, is not TOML, is not a lock, or something in it cannot be understood.
    """
    data = load(path)
    entries = data.get("package", [])
    found = refused(document(data, path.name, read_text(path)), path, len(entries))
    return tuple(
        locked_package(pin, entry.get("source", {}).get("url")) for pin, entry in zip(found.pins, entries, strict=True)
    )


_last: dict[str, tuple[Mapping[str, Any], Document]] = {}


def remembered(data: Mapping[str, Any], name: str, read: Callable[[Mapping[str, Any], str], Document]) -> Document:
    """The document of the tables that were asked for last: one command asks for every place that is supported.

    Args:
        data: The tables, which nobody changes.
        name: The file's name.
        read: Makes a document of them.
    """
    if name not in _last or _last[name][0] is not data:
        _last[name] = (data, read(data, name))
    return _last[name][1]


def refused(found: Document, path: Path, count: int) -> Document:
    """A document with all packages of a lock.

    Raises:
        LabError: One of them could not be understood.
    """
    if len(found.pins) != count:
        first = found.unread[0]
        raise at(path, first.line, 1, first.message, first.hint)
    return found


def locked_package(pin: Pin, source: str | None) -> LockedPackage:
    """A pin as the managers' locks are compared.

    Args:
        pin: What the lock says.
        source: Its address, as it is written.
    """
    return LockedPackage(
        name=pin.name,
        version=pin.version,
        marker=pin.marker,
        groups=pin.groups,
        optional=pin.optional,
        source=source,
        kind=pin.kind,
        commit=pin.commit,
    )


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
    found = pins_for(remembered(data, "poetry.lock", document), environment, groups, extras)
    return {name: pin.version for name, pin in found.items()}


def pins_for(
    found: Document, environment: Mapping[str, str], groups: Sequence[str], extras: Sequence[str] = ()
) -> dict[str, Pin]:
    """What Poetry would install, by name.

    Args:
        found: The lock.
        environment: Every marker variable (`marker_environment`).
        groups: Those beside the main dependencies, which always count.
        extras: The project's own extras that are asked for.
    """
    wanted = {"main", *(normalized(group) for group in groups)}
    passes = Passing(environment, {normalized(extra) for extra in extras})
    if found.edition >= GROUPED:
        return {pin.name: pin for pin in found.pins if _is_wanted(pin, wanted, passes)}
    # Locks before 2.1 say neither group nor marker; the oldest tell what only development needs.
    plain = {pin.name: pin for pin in found.pins if not pin.optional and (len(wanted) > 1 or pin.groups != ("dev",))}
    by_name: dict[str, list[Pin]] = {}
    for pin in found.pins:
        by_name.setdefault(pin.name, []).append(pin)
    todo = [name for extra, names in found.extras if extra in passes.active for name in names]
    while todo:
        for pin in by_name.get(name := todo.pop(), ()):
            if name not in plain:
                plain[name] = pin
                todo += [edge.name for edge in pin.requires if passes(edge.marker)]
    return plain


def _is_wanted(pin: Pin, wanted: set[str], passes: Passing) -> bool:
    if not pin.groups:
        return not pin.optional
    if pin.group_markers:
        return any(passes(marker) for group, marker in pin.group_markers if group in wanted)
    return not wanted.isdisjoint(pin.groups) and passes(pin.marker)


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


def _markers(entry: Mapping[str, Any], groups: Sequence[str]) -> dict[str, str | None]:
    """The marker of each group; a table of markers leaves out the groups that have none."""
    markers = entry.get("markers")
    if isinstance(markers, Mapping):
        table = {normalized(name): text_of(markers, name) for name in markers}
        return {group: table.get(group) for group in groups}
    return dict.fromkeys(groups, optional_text(entry, "markers"))


def _groups(entry: Mapping[str, Any]) -> tuple[str, ...]:
    if "category" in entry and "groups" not in entry:
        return (text_of(entry, "category"),)
    return tuple(dict.fromkeys(normalized(group) for group in list_of(entry, "groups", str)))


def _pin(entry: object, path: str, section: Section, notes: Notes, hashes: Mapping[str, Any] | None) -> Pin | None:
    if not isinstance(entry, dict):
        raise LabError(f"a [[package]] must be a table, not {kind_of(entry)}")
    name, version = text_of(entry, "name"), text_of(entry, "version")
    line = section.of("version")
    groups = _groups(entry)
    markers = _markers(entry, groups)
    if not all(notes.marker(marker, line) for marker in dict.fromkeys(markers.values())):
        return None
    kind, source, commit = _source(entry, path)
    requires, extra_requires = _edges(entry, path, section, notes)
    files = entry.get("files") or (hashes or {}).get(name)
    return Pin(
        name=normalized(name),
        version=version,
        path=path,
        line=line,
        marker=joined(list(markers.values())),
        groups=groups,
        optional=bool(entry.get("optional", False)),
        kind=kind,
        source=source,
        commit=commit,
        hashed=bool(files),
        requires=requires,
        extra_requires=extra_requires,
        group_markers=tuple(markers.items()) if isinstance(entry.get("markers"), dict) else (),
    )


def _source(entry: Mapping[str, Any], path: str) -> tuple[str, str, str]:
    """Kind, address and commit of where a package comes from."""
    if not (source := table_of(entry, "source")):
        return "index", "", ""
    kind = KINDS.get(text_of(source, "type", "legacy"), "index")
    address = redact(text_of(source, "url", ""))
    return kind, from_root(path, address) if kind == "path" else address, text_of(source, "resolved_reference", "")


def _edges(
    entry: Mapping[str, Any], path: str, section: Section, notes: Notes
) -> tuple[tuple[Requirement, ...], tuple[tuple[str, Requirement], ...]]:
    """What a package needs, and what each of its extras does."""
    always, on_demand = list[Requirement](), list[tuple[str, Requirement]]()
    section.turn_to("\n[package.dependencies]")
    for name, value in table_of(entry, "dependencies").items():
        line = section.next(f"\n{name} = ", f'\n"{name}" = ', f"{name} =")
        several = isinstance(value, list)
        for each in value if several else [value]:
            place = section.next("\n    {") if several and len(value) > 1 else line
            try:
                edge = _edge(name, each, path, place)
            except LabError as error:
                notes.add(place, f"{name}: {error.message}", error.hint)
                continue
            if not notes.marker(edge.marker, place):
                continue
            if isinstance(each, dict) and each.get("optional") and (extras := EXTRA.findall(edge.marker or "")):
                on_demand += [(normalized(one or other), edge) for _, one, other in extras]
            else:
                always.append(edge)
    return tuple(always), tuple(on_demand)


def _edge(name: str, value: object, path: str, line: int) -> Requirement:
    if isinstance(value, str):
        return Requirement(normalized(name), from_poetry(value), path, line, f"{name} {value}")
    if not isinstance(value, dict):
        raise LabError(f"a dependency must be text or a table, not {kind_of(value)}")
    version = text_of(value, "version", "*")
    kind = next((kind for key, kind in DIRECT.items() if key in value), "index")
    return Requirement(
        name=normalized(name),
        specifier=from_poetry(version) if kind == "index" else "",
        path=path,
        line=line,
        text=f"{name} {version}",
        marker=optional_text(value, "markers"),
        extras=tuple(sorted({normalized(extra) for extra in list_of(value, "extras", str)})),
        kind=kind,
    )


def _pythons(text: object, path: str, lines: LockLines, notes: Notes) -> tuple[PythonRange, ...]:
    line = lines.line_of("python-versions")
    if not isinstance(text, str):
        notes.add(line, f"python-versions must be text, not {kind_of(text)}", ANEW)
        return ()
    try:
        return (PythonRange(from_poetry(text), path, line, text, "metadata.python-versions"),)
    except LabError as error:
        notes.add(line, error.message, error.hint)
        return ()


def _extras(table: object, lines: LockLines, notes: Notes) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The project's own extras."""
    line = lines.line_of("extras")
    if not isinstance(table, dict):
        notes.add(line, f"extras must be a table, not {kind_of(table)}", ANEW)
        return ()
    found = {normalized(extra): notes.attempt(line, partial(list_of, table, extra, str)) or [] for extra in table}
    return tuple((extra, tuple(dict.fromkeys(named(text) for text in texts))) for extra, texts in found.items())
