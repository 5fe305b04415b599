"""What the project at hand can say of inventories: what its lock gives their environments, and in which line."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlops_lab.environment import normalise
from mlops_lab.errors import LabError
from mlops_lab.findings import Source
from mlops_lab.inventories import inputs_of
from mlops_lab.project import LOCKS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mlops_lab.inventories import Inventory
    from mlops_lab.project import Project

__all__ = ["Here"]

# Both managers write the name first, the version next.
_ENTRY = re.compile(r'^\[\[package\]\]\nname = "([^"\n]+)"\nversion = "([^"\n]+)"', re.MULTILINE)


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
    _data: dict[str, Any] = field(default_factory=dict, repr=False)
    _lines: dict[str, dict[tuple[str, str], int]] = field(default_factory=dict, repr=False)

    def gives(self, inventory: Inventory) -> Mapping[str, str] | None:
        """What the lock gives an environment: name → version; None where another lock, or none, is at hand."""
        from mlops_lab.manifests.markers import marker_environment

        manager = self._manager(inventory)
        if manager is None:
            return None
        try:
            place = marker_environment(inventory.python, inventory.platform.sys_platform)
            machine = inventory.platform.machine
            environment = {**place, "platform_machine": machine} if machine else place
            versions_for, data = self._lock(manager)
            return versions_for(data, environment, inventory.groups, inventory.extras)
        except LabError:
            return None  # a place that markers do not know, or a lock that its own check complains of

    def is_here(self, inventory: Inventory) -> bool:
        """Whether it is the inventory of the environment of this project."""
        return self.environment is not None and inventory.origin == self.environment

    def lines(self, package: str, version: str) -> list[Source]:
        """Where the locks have a package at a version."""
        return [
            Source(name, line, f"{package} {version}")
            for name in LOCKS.values()
            if (line := self._entries(name).get((package, version))) is not None
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

    def _manager(self, inventory: Inventory) -> str | None:
        """The manager whose lock the environment was installed from, where that very lock is at hand."""
        own = inventory.hybrid.rpartition("+")[2]
        for manager in sorted(LOCKS, key=lambda each: each != own):
            name = LOCKS[manager]
            if inventory.inputs.get(name) and inventory.inputs[name] == self._hash(name):
                return manager
        return None

    def _hash(self, name: str) -> str:
        if name not in self._hashes:
            path = self.project.root / name if self.project else None
            self._hashes[name] = inputs_of({name: path})[name] if path and path.is_file() else ""
        return self._hashes[name]

    def _lock(self, manager: str) -> tuple[Callable[..., dict[str, str]], Any]:
        from mlops_lab.manifests import poetry_lock, uv_lock

        module = {"poetry": poetry_lock, "uv": uv_lock}[manager]
        if manager not in self._data and self.project is not None:
            self._data[manager] = module.load(self.project.lock(manager))
        return module.versions_for, self._data[manager]

    def _entries(self, name: str) -> Mapping[tuple[str, str], int]:
        """Package and version → line of the version, in a lock."""
        if name not in self._lines:
            path = self.project.root / name if self.project else None
            text = path.read_text(encoding="utf-8", errors="replace") if path and path.is_file() else ""
            found, line, last = {}, 1, 0
            for match in _ENTRY.finditer(text):
                line += text.count("\n", last, match.start())
                last = match.start()
                found[normalise(match[1]), match[2]] = line + 2
            self._lines[name] = found
        return self._lines[name]
