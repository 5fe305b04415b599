"""What the project at hand can say of inventories: what its lock gives their environments, and in which line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlops_lab.environment import normalise
from mlops_lab.errors import LabError
from mlops_lab.findings import Source
from mlops_lab.inventories import inputs_of
from mlops_lab.project import LOCKS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mlops_lab.inventories import Inventory
    from mlops_lab.manifests.model import Document
    from mlops_lab.project import Project

__all__ = ["Here"]


@dataclass
class Here:
    """The project that the comparison runs in.

    Attributes:
        project: The project; None outside of one.
        environment: The prefix of its environment.
    """

    project: Project | None = None
    environment: Path | None = None
    _hashes: dict[str, str] = field(default_factory=dict, repr=False)
    _documents: dict[str, Document] = field(default_factory=dict, repr=False)
    _given: dict[tuple[object, ...], Mapping[str, str] | None] = field(default_factory=dict, repr=False)

    def gives(self, inventory: Inventory) -> Mapping[str, str] | None:
        """What the lock gives an environment: name → version; None where another lock, or none, is at hand."""
        lock = self._lock_of(inventory)
        if lock is None:
            return None
        # Asked for each package of each pair.
        place = lock.path, inventory.python, inventory.platform, inventory.groups, inventory.extras
        if place not in self._given:
            self._given[place] = _given(lock, inventory)
        return self._given[place]

    def is_here(self, inventory: Inventory) -> bool:
        """Whether it is the inventory of the environment of this project."""
        return self.environment is not None and inventory.origin == self.environment

    def lines(self, package: str, version: str) -> list[Source]:
        """Where the locks have a package at a version."""
        return [
            Source(pin.path, pin.line, f"{package} {version}")
            for name in LOCKS.values()
            if (lock := self._document(name)) is not None
            for pin in lock.pins
            if (pin.name, pin.version) == (package, version)
        ]

    def condas(self, package: str) -> list[Source]:
        """Where conda.yml asks for a package."""
        from mlops_lab.manifests.conda_env import name_of

        try:
            env = self.project.conda_env if self.project else None
        except LabError:
            return []
        items = env.dependencies if env else ()
        path = env.path.name if env else ""
        return [Source(path, item.line, item.text) for item in items if normalise(name_of(item.text)) == package]

    def _lock_of(self, inventory: Inventory) -> Document | None:
        """The lock that the environment was installed from, where that very one is at hand and sound."""
        own = inventory.hybrid.rpartition("+")[2]
        for manager in sorted(LOCKS, key=lambda each: each != own):
            name = LOCKS[manager]
            if inventory.inputs.get(name) and inventory.inputs[name] == self._hash(name):
                lock = self._document(name)
                return lock if lock is not None and not lock.unread else None
        return None

    def _hash(self, name: str) -> str:
        if name not in self._hashes:
            path = self.project.root / name if self.project else None
            self._hashes[name] = inputs_of({name: path})[name] if path and path.is_file() else ""
        return self._hashes[name]

    def _document(self, name: str) -> Document | None:
        """What a lock says; None where there is none."""
        from mlops_lab.manifests.documents import read_lenient

        if self.project is None or not (path := self.project.root / name).is_file():
            return None
        if name not in self._documents:
            self._documents[name] = read_lenient(path, self.project.root)
        return self._documents[name]


def _given(lock: Document, inventory: Inventory) -> Mapping[str, str] | None:
    from mlops_lab.manifests.documents import locked
    from mlops_lab.manifests.markers import marker_environment

    machine = inventory.platform.machine
    try:
        place = marker_environment(inventory.python, inventory.platform.sys_platform)
        environment = {**place, "platform_machine": machine} if machine else place
        pins = locked(lock, environment, inventory.groups, inventory.extras)
    except LabError:
        return None  # a place that markers do not know
    return {name: pin.version for name, pin in pins.items()}
