"""The project on disk: its root, `[tool.mlops-lab]`, its manifests and locks, and the folder for our own state."""

from __future__ import annotations

import errno
import json
import os
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mlops_lab.ci import Ci, read
from mlops_lab.errors import LabError
from mlops_lab.guide import ENGINES, HYBRIDS, MANAGERS, TOOL_KINDS, nearest
from mlops_lab.manifests import pyproject

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mlops_lab.manifests.conda_env import CondaEnv

__all__ = ["CONDA_FILES", "LOCKS", "MANIFESTS", "STATE", "Project", "Settings", "find"]

CONDA_FILES = ("conda.yml", "conda.yaml", "environment.yml", "environment.yaml")
LOCKS: Mapping[str, str] = {name: manager.lock for name, manager in MANAGERS.items()}
MANIFESTS = ("pyproject.toml", *CONDA_FILES, "requirements.txt", ".python-version", *LOCKS.values())
"""The files that an environment is made from, as far as a project has them."""
PINS: Mapping[str, str] = dict(sorted(pin for kind in TOOL_KINDS.values() for pin in kind.parts.items()))
"""The tools' versions where the project says nothing."""
STATE = ".mlops-lab"
"""The folder of a project for our own state: logs, journal, history, the last hybrid."""
_ADDRESSES = ("publish", "index")


@dataclass(frozen=True)
class Settings:
    """The table `[tool.mlops-lab]`; the documentation has these words, and what stands in the fields' metadata.

    Attributes:
        hybrid: The hybrid to use where none is asked for and none was used before; without it conda+poetry where a
            conda is there or its channel answers, else venv+poetry.
        leader: The manager that resolves; without it the one whose lock alone git tracks, else Poetry.
        groups: The dependency groups to install by default; without it every one that is not optional.
        tools: Tool → the versions of it that will do.
        conda: The program that shall act as conda; without it the first that is there.
        repositories: Name → where a package is published to: its `publish` address, and `index`, its simple page.
        conda_names: Conda's name of a package → its name on the index; empty for what is no Python package.
        drift_ignore: Globs of files and packages that `drift` leaves alone.
        ci: What runs where on GitHub.
    """

    hybrid: str | None = field(default=None, metadata={"choices": tuple(hybrid.name for hybrid in HYBRIDS)})
    leader: str | None = field(default=None, metadata={"choices": tuple(MANAGERS)})
    groups: tuple[str, ...] | None = None
    tools: Mapping[str, str] = field(default_factory=lambda: dict(PINS))
    conda: str | None = field(default=None, metadata={"choices": ENGINES})
    repositories: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    conda_names: Mapping[str, str] = field(default_factory=dict)
    drift_ignore: tuple[str, ...] = field(default=(), metadata={"key": "drift.ignore"})
    ci: Ci = field(default_factory=Ci)


@dataclass(frozen=True)
class Project:
    """A folder with a pyproject.toml, as it was when it was read.

    Attributes:
        root: The folder.
        data: What pyproject.toml says.
        settings: What it says to us.
        home: Of a draft, the folder of the project itself.
    """

    root: Path
    data: Mapping[str, Any]
    settings: Settings
    home: Path | None = None

    @property
    def pyproject(self) -> Path:
        """The manifest that makes it a project."""
        return self.root / "pyproject.toml"

    @property
    def requirements(self) -> Path:
        """The exported, hashed requirements of the default groups."""
        return self.root / "requirements.txt"

    @property
    def requirements_by_hand(self) -> bool:
        """Whether the requirements are no export of a lock, which has a hash for every file."""
        try:
            content = self.requirements.read_bytes()
        except OSError:
            return False
        return bool(content.strip()) and b"--hash=" not in content

    @property
    def conda_yml(self) -> Path | None:
        """The manifest of conda, under the first of its usual names that exists."""
        return next((path for name in CONDA_FILES if (path := self.root / name).exists()), None)

    @cached_property
    def conda_env(self) -> CondaEnv | None:
        """What conda's manifest says.

        Raises:
            LabError: It is broken (code 2; file, line and column).
        """
        if self.conda_yml is None:
            return None
        from mlops_lab.manifests import conda_env

        return conda_env.read(self.conda_yml)

    def lock(self, manager: str) -> Path:
        """The lock that a manager writes."""
        return self.root / LOCKS[manager]

    @property
    def name(self) -> str:
        """The project's normalised name; its folder's name where it has none."""
        return pyproject.project_name(self.data) or (self.home or self.root).name

    @property
    def groups(self) -> tuple[str, ...]:
        """The dependency groups that are installed by default."""
        return pyproject.group_names(self.data) if self.settings.groups is None else self.settings.groups

    @property
    def files(self) -> dict[str, Path]:
        """The manifests and locks that exist, by name."""
        return {name: path for name in MANIFESTS if (path := self.root / name).is_file()}

    @property
    def _state(self) -> Path:
        return (self.home or self.root) / STATE

    @property
    def state(self) -> Path:
        """The folder for logs and the last hybrid; it ignores itself in git.

        Raises:
            LabError: It cannot be made (code 2).
            OSError: The disk is full.
        """
        folder = self._state
        try:
            folder.mkdir(exist_ok=True)
            ignore = folder / ".gitignore"
            if not ignore.exists():
                ignore.write_text("*\n", encoding="utf-8")
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise  # no wrong word or file: the faces say what to do
            raise LabError(f"cannot write {folder}: {error.strerror}", "make the project's folder writable") from error
        return folder

    def remembered(self, name: str) -> str | None:
        """What `remember` kept; None where there is nothing that can be read."""
        try:
            value = json.loads((self._state / "state.json").read_text(encoding="utf-8"))[name]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return value if isinstance(value, str) else None

    def remember(self, **values: str) -> None:
        """Keep values for the next command of this project on this machine."""
        path = self.state / "state.json"
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            known = {}
        kept = known if isinstance(known, dict) else {}
        if {**kept, **values} == kept:
            return
        # Of its own name: two commands of one project may end at the same time.
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps({**kept, **values}), encoding="utf-8")
        temporary.replace(path)


def find(start: Path, *, home: Path | None = None) -> Project:
    """The project that a folder lies in.

    Args:
        start: The folder.
        home: Of a draft, the folder of the project itself.

    Raises:
        LabError: No pyproject.toml here or above, or it is broken (code 2).
    """
    for folder in (start, *start.parents):
        path = folder / "pyproject.toml"
        if path.exists():
            data = pyproject.read(path)
            return Project(folder, data, _settings(data), home)
    raise LabError(
        f"there is no pyproject.toml in {start} or above it",
        "go to the project's folder, or make one with `poetry init`",
    )


def _settings(data: Mapping[str, Any]) -> Settings:
    table = data.get("tool", {}).get("mlops-lab", {})
    if not isinstance(table, dict):
        raise LabError("pyproject.toml: tool.mlops-lab is not a table", "write it as [tool.mlops-lab]")
    hybrid = _text(table, "hybrid")
    known = [each.name for each in HYBRIDS]
    if hybrid is not None and hybrid not in known:
        raise LabError(f"pyproject.toml: there is no hybrid {hybrid!r}", nearest(hybrid, known))
    leader = _text(table, "leader")
    if leader is not None and leader not in MANAGERS:
        raise LabError(f"pyproject.toml: there is no manager {leader!r} to lead", nearest(leader, MANAGERS))
    groups = table.get("groups")
    if groups is not None and not (isinstance(groups, list) and all(isinstance(group, str) for group in groups)):
        raise LabError("pyproject.toml: tool.mlops-lab.groups is not a list of names", 'write groups = ["dev"]')
    conda = _text(table, "conda")
    if conda is not None and conda not in ENGINES:
        raise LabError(f"pyproject.toml: there is no conda engine {conda!r}", nearest(conda, ENGINES))
    return Settings(
        hybrid,
        leader,
        None if groups is None else _known_groups(data, groups),
        _tools(table),
        conda,
        _repositories(table),
        _conda_names(table),
        _drift_ignore(table),
        read(table.get("ci", {})),
    )


def _text(table: Mapping[str, Any], key: str) -> str | None:
    value = table.get(key)
    if value is not None and not isinstance(value, str):
        raise LabError(f"pyproject.toml: tool.mlops-lab.{key} is not a text", f'write {key} = "…"')
    return value


def _known_groups(data: Mapping[str, Any], groups: list[str]) -> tuple[str, ...]:
    known = pyproject.all_group_names(data)
    names = [pyproject.normalized(group) for group in groups]
    for group in names:
        if group not in known:
            raise LabError(f"pyproject.toml: tool.mlops-lab.groups names {group!r}", nearest(group, known))
    return tuple(names)


def _tools(table: Mapping[str, Any]) -> Mapping[str, str]:
    tools = table.get("tools", {})
    if not isinstance(tools, dict):
        raise LabError("pyproject.toml: tool.mlops-lab.tools is not a table", "write it as [tool.mlops-lab.tools]")
    for name, versions in tools.items():
        if name not in PINS:
            raise LabError(f"pyproject.toml: tool.mlops-lab.tools names {name!r}", nearest(name, list(PINS)))
        if not isinstance(versions, str):
            raise LabError(f"pyproject.toml: tool.mlops-lab.tools.{name} is not a text", f'write {name} = ">=1"')
    return {**PINS, **tools}


def _conda_names(table: Mapping[str, Any]) -> Mapping[str, str]:
    names = table.get("conda-names", {})
    if not isinstance(names, dict):
        raise LabError(
            "pyproject.toml: tool.mlops-lab.conda-names is not a table",
            'write it as [tool.mlops-lab.conda-names] with lines such as "my-torch" = "torch"',
        )
    for name, index in names.items():
        if not isinstance(index, str) or not re.fullmatch(r"|[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", index):
            raise LabError(
                f"pyproject.toml: tool.mlops-lab.conda-names says {index!r} of {name}, which is no name of a package",
                f'write "{name}" = "NAME", or "{name}" = "" for what is no Python package',
            )
    return {pyproject.normalized(name): index for name, index in names.items()}


def _drift_ignore(table: Mapping[str, Any]) -> tuple[str, ...]:
    drift = table.get("drift", {})
    if not isinstance(drift, dict):
        raise LabError("pyproject.toml: tool.mlops-lab.drift is not a table", "write it as [tool.mlops-lab.drift]")
    for key in drift:
        if key != "ignore":
            raise LabError(f"pyproject.toml: tool.mlops-lab.drift has a key {key!r}", nearest(key, ["ignore"]))
    ignore = drift.get("ignore", [])
    if not isinstance(ignore, list) or not all(isinstance(each, str) and each for each in ignore):
        raise LabError(
            "pyproject.toml: tool.mlops-lab.drift.ignore is not a list of files and packages",
            'write ignore = ["docs/requirements.txt", "types-*"]',
        )
    return tuple(ignore)


def _repositories(table: Mapping[str, Any]) -> Mapping[str, Mapping[str, str]]:
    found = table.get("repositories", {})
    if not isinstance(found, dict):
        raise LabError(
            "pyproject.toml: tool.mlops-lab.repositories is not a table", "write it as [tool.mlops-lab.repositories]"
        )
    for name, addresses in found.items():
        _refuse_repository(f"tool.mlops-lab.repositories.{name}", name, addresses)
    return found


def _refuse_repository(where: str, name: str, addresses: object) -> None:
    # The name becomes a part of a variable's.
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", name):
        raise LabError(f"pyproject.toml: {where} has no name for a repository", "write it with letters, digits, - . _")
    if not isinstance(addresses, dict) or "publish" not in addresses:
        hint = f'write {name} = {{ publish = "ADDRESS", index = "ADDRESS" }}'
        raise LabError(f"pyproject.toml: {where} does not say where to publish to", hint)
    for key, address in addresses.items():
        if key not in _ADDRESSES:
            raise LabError(f"pyproject.toml: {where} has a key {key!r}", nearest(key, _ADDRESSES))
        if not isinstance(address, str) or not re.match(r"https?://[^/]", address):
            raise LabError(f"pyproject.toml: {where}.{key} is no address", 'write it as "https://…"')
