"""A project's files side by side: which of them is what, whom each one answers to, and where it counts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from mlops_lab.drift.places import places
from mlops_lab.drift.scope import scope_of
from mlops_lab.guide import MANAGERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from mlops_lab.drift.places import Place, Places
    from mlops_lab.findings import Finding
    from mlops_lab.manifests.model import Document, Pin, Requirement

__all__ = ["UNSAFE", "Files", "Lock", "Written", "beside", "side_by_side"]

LOCKS: Mapping[str, str] = {manager.lock: name for name, manager in MANAGERS.items()}
UNSAFE = frozenset({"distribute", "pip", "setuptools", "wheel"})
"""What old Poetrys and pip-compile leave out: https://github.com/python-poetry/poetry/issues/1584."""


@dataclass
class Lock:
    """What a file fixes, looked up by place.

    Attributes:
        document: The file.
        manager: The manager that writes it; empty for exported requirements and pylock.toml.
        places: The project's places.
        groups: The groups to look at, all together.
    """

    document: Document
    manager: str
    places: Places
    groups: Sequence[str] = ()
    _found: dict[tuple[Place, str], Mapping[str, Pin]] = field(default_factory=dict, repr=False)

    @property
    def path(self) -> str:
        """The file's path."""
        return self.document.path

    @cached_property
    def every(self) -> dict[str, list[Pin]]:
        """Every pin, by name."""
        found: dict[str, list[Pin]] = {}
        for pin in self.document.pins:
            found.setdefault(pin.name, []).append(pin)
        return found

    @cached_property
    def grouped(self) -> bool:
        """Whether the file says which group wants what; locks of old Poetrys do not."""
        return self.manager == "uv" or any(pin.groups for pin in self.document.pins)

    @cached_property
    def markers(self) -> frozenset[str]:
        """Every marker of the file."""
        return frozenset(_markers(self.document))

    @cached_property
    def alike(self) -> list[tuple[Place, ...]]:
        """The project's places in groups that this file does not tell apart."""
        return self.places.alike(self.markers)

    @cached_property
    def _stands_for(self) -> dict[Place, Place]:
        return {place: group[0] for group in self.alike for place in group}

    def at(self, place: Place, extra: str = "") -> Mapping[str, Pin]:
        """What it installs at a place with every group, and with one extra where one is named."""
        from mlops_lab.manifests.documents import locked

        key = (self._stands_for[place], extra)
        if key not in self._found:
            self._found[key] = locked(self.document, key[0].variables, self.groups, [extra] if extra else [])
        return self._found[key]


@dataclass(frozen=True)
class Written:
    """A requirement that a person wrote, and where it counts.

    Attributes:
        requirement: What is asked for.
        name: The package's name on the index, which conda's need not be.
        specifier: Its range.
        document: The file.
        places: Where it counts.
    """

    requirement: Requirement
    name: str
    specifier: str
    document: Document
    places: tuple[Place, ...]


@dataclass
class Files:
    """The files of one project, read.

    Attributes:
        documents: All that could be read, in the order in which they are examined.
        places: The places that the project supports.
        manifest: Its pyproject.toml; None where there is none.
        members: The pyproject.toml of a workspace's other members, and of folders that it depends on.
        locks: What the managers lock, the leader's first.
        exports: Generated requirements and pylock.toml.
        written: What people ask for elsewhere than in pyproject.toml, by the package's name on the index.
        told: File and package of what has been told already: one cause, one finding.
        behind: The locks that are older than the manifest.
    """

    documents: Sequence[Document]
    places: Places
    manifest: Document | None
    members: Sequence[Document]
    locks: Sequence[Lock]
    exports: Sequence[Lock]
    written: Mapping[str, Sequence[Written]]
    told: set[tuple[str, str]] = field(default_factory=set)
    behind: set[str] = field(default_factory=set)
    _views: dict[tuple[str, tuple[str, ...]], Lock] = field(default_factory=dict, repr=False)

    @property
    def manifests(self) -> list[Document]:
        """Every pyproject.toml."""
        return [*([self.manifest] if self.manifest else []), *self.members]

    @property
    def manifest_path(self) -> str:
        """The path of the project's manifest."""
        return self.manifest.path if self.manifest else "pyproject.toml"

    def among(self, lock: Lock, groups: Iterable[str]) -> Lock:
        """A lock, looked at with other groups."""
        key = (lock.path, tuple(groups))
        if key[1] == tuple(lock.groups):
            return lock
        return self._views.setdefault(key, Lock(lock.document, lock.manager, lock.places, key[1]))

    @cached_property
    def poetry_groups(self) -> set[str]:
        """The groups that only Poetry sees."""
        asks = self.manifest.requirements if self.manifest else ()
        alone = {each.group for each in asks if each.only == "poetry"}
        return alone - {each.group for each in asks if each.only != "poetry"}

    def shared(self, lock: Lock) -> Lock:
        """A lock, looked at with the groups that every manager sees."""
        return self.among(lock, [group for group in self.groups if group not in self.poetry_groups])

    @cached_property
    def groups(self) -> list[str]:
        """Every group of the project."""
        return _groups(self.manifests, [lock.document for lock in self.locks])

    @cached_property
    def extras(self) -> list[str]:
        """Every extra of the project."""
        found = [each.extra for document in self.manifests[:1] for each in document.requirements if each.extra]
        return list(dict.fromkeys(found))

    @cached_property
    def own(self) -> frozenset[str]:
        """What the project and its members are called: they have no version to compare."""
        pins = (pin for lock in self.locks for pin in lock.document.pins)
        return frozenset(
            [*(each.name for each in self.manifests if each.name), *(pin.name for pin in pins if pin.kind == "project")]
        )

    def tell(self, finding: Finding, *paths: str) -> Finding:
        """Remember that a file's word on a package is told; by default all files of the finding."""
        for path in paths or [source.path for source in finding.sources]:
            self.told.add((path, finding.package))
        return finding

    def is_told(self, name: str, *paths: str) -> bool:
        """Whether one of these files' word on a package is told already."""
        return any((path, name) in self.told for path in paths)


def beside(document: Document) -> bool:
    """Whether it is requirements that a tool has generated."""
    generated = document.export is not None or any(pin.hashed for pin in document.pins)
    return document.format == "pylock" or (document.format == "requirements" and generated)


def side_by_side(documents: Sequence[Document], leader: str, names: Mapping[str, str]) -> Files:
    """Put a project's documents side by side.

    Args:
        documents: What was read.
        leader: The manager that resolves.
        names: What the project says of conda's names.
    """
    manifests = [each for each in documents if each.format == "pyproject.toml"]
    manifest = next((each for each in manifests if "/" not in each.path), None)
    found = places(
        _pythons(documents, manifest),
        {marker for document in documents for marker in _markers(document)},
        manifest.environments if manifest else (),
    )
    locked = [each for each in documents if each.format in LOCKS and "/" not in each.path]
    groups = _groups(manifests, locked)
    locks = [Lock(each, LOCKS[each.format], found, groups) for each in locked]
    locks.sort(key=lambda lock: lock.manager != leader)
    generated = [each for each in documents if beside(each)]
    return Files(
        documents=documents,
        places=found,
        manifest=manifest,
        members=[each for each in manifests if each is not manifest],
        locks=locks,
        exports=[Lock(each, "", found, groups) for each in generated],
        written=_written(documents, generated, found, names),
    )


def _groups(manifests: Sequence[Document], locks: Sequence[Document]) -> list[str]:
    """Every group of the manifests; without one, those that the locks name."""
    found: dict[str, None] = {}
    for document in manifests:
        found |= dict.fromkeys([*document.groups, *(each.group for each in document.requirements)])
    for document in locks if not manifests else ():
        found |= dict.fromkeys([*document.groups, *(group for pin in document.pins for group in pin.groups)])
    return [group for group in found if group not in {"", "main"}]


def _pythons(documents: Sequence[Document], manifest: Document | None) -> list[str]:
    """What decides which Pythons count: the manifest, else the locks, else whatever says something of them."""
    locks = [each for each in documents if each.format in LOCKS]
    for some in ([manifest] if manifest else [], locks[:1], documents):
        if specifiers := [each.specifier for document in some for each in document.pythons]:
            return specifiers
    return []


def _markers(document: Document) -> Iterator[str]:
    for requirement in document.requirements:
        if requirement.marker:
            yield requirement.marker
    for pin in document.pins:
        if pin.marker:
            yield pin.marker
        for edge in pin.requires:
            if edge.marker:
                yield edge.marker
        for _, edge in pin.extra_requires:
            if edge.marker:
                yield edge.marker


def _written(
    documents: Iterable[Document], generated: Sequence[Document], found: Places, names: Mapping[str, str]
) -> dict[str, list[Written]]:
    by_name: dict[str, list[Written]] = {}
    for document in documents:
        if document.format not in {"conda", "requirements"} or document in generated:
            continue
        here = scope_of(document, found)
        for each in document.requirements:
            for written in _one(each, document, here, found, names):
                by_name.setdefault(written.name, []).append(written)
    return by_name


def _one(
    each: Requirement, document: Document, here: Sequence[Place], found: Places, names: Mapping[str, str]
) -> Iterator[Written]:
    from mlops_lab.drift.conda_names import COUNTED, on_index

    name, specifier = each.name, each.specifier
    if each.kind == "conda":
        name = on_index(name, names)
        if name in COUNTED:
            specifier = re.sub(r"(?<![=~<>!])==\s*(\d+(?:\.\d+)*)(?=\s*(?:,|$))", r"==\1.*", specifier)
    if name and each.kind in {"conda", "index"}:
        where = tuple(place for place in here if found.holds(each.marker, place))
        yield Written(each, name, specifier, document, where)
