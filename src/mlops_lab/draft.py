"""A draft of the project: copies of its manifests and locks for the tools to change, links to everything else in it.

Poetry and uv read a manifest when they start and write it when they end, whatever somebody has typed into it meanwhile.
On a draft they can take away nobody's edit, and a command that is killed has changed nothing.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_lab.errors import LabError
from mlops_lab.manifests import pyproject
from mlops_lab.project import MANIFESTS, STATE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["is_left", "lay_out", "sweep"]

_FOLDER = "draft"
_NOT_LINKED = frozenset({STATE, ".venv", ".nox", *MANIFESTS})


def lay_out(root: Path, state: Path, *, leads_out: bool = False) -> Path:
    """Make a draft of a project.

    Args:
        root: The project's folder.
        state: The folder for our own state of it.
        leads_out: Whether a path that leads out of the project is about to be declared.

    Returns:
        The draft's folder. It lies in the state folder, or beside the project where paths lead out of the project: what
        the tools write into a lock is relative to the folder they work in.

    Raises:
        LabError: The folder beside the project cannot be made (code 2).
        OSError: The disk is full.
    """
    sweep(root, state)
    own, outside = _folders_with_a_path(root)
    folder = _beside(root, state) if outside or leads_out else state / _FOLDER
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise LabError(
            f"cannot make {folder}: {error.strerror}",
            "paths in pyproject.toml lead out of the project, so the tools work in a folder beside it: make its parent "
            "writable",
        ) from error
    _fill(root, folder, own)
    return folder


def is_left(root: Path, state: Path) -> bool:
    """Whether a command is working on a draft now, or was killed while it did."""
    return (state / _FOLDER).exists() or _beside(root, state).exists()


def sweep(root: Path, state: Path) -> None:
    """Remove what a killed command has left of its draft."""
    shutil.rmtree(state / _FOLDER, ignore_errors=True)
    shutil.rmtree(_beside(root, state), ignore_errors=True)
    for scratch in state.glob("scratch-*"):
        shutil.rmtree(scratch, ignore_errors=True)


def _beside(root: Path, state: Path) -> Path:
    # Nothing lies beside the root of the file system.
    return root.with_name(f".{root.name}.mlops-lab-{_FOLDER}") if root.name else state / _FOLDER


def _folders_with_a_path(root: Path) -> tuple[set[Path], bool]:
    """The project's own files and folders that manifests name by a path, and whether some path leads out of it.

    Both managers resolve such a path before they write it down: through a link it would lead back to the project.
    """
    found: set[Path] = set()
    todo, leads_out = [root], False
    while todo:
        folder = todo.pop()
        data = _manifest(folder)
        leads_out = leads_out or any("file:" in text for text in _requirements(data))
        for path in [*_paths(folder, data), *_members(folder, data)]:
            if not path.is_relative_to(root):
                leads_out = True
            elif path != root and path not in found and path.exists():
                found.add(path)
                todo += [path] if path.is_dir() else []
    return found, leads_out


def _manifest(folder: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # whoever reads the manifest reports what is wrong with it


def _requirements(data: Mapping[str, Any]) -> list[str]:
    try:
        return [text for _, text in pyproject.requirements(data)]
    except (AttributeError, TypeError):
        return []


def _paths(folder: Path, data: Mapping[str, Any]) -> Iterator[Path]:
    """What dependencies name by a path: Poetry's tables, and `tool.uv.sources`."""
    tool = data.get("tool", {})
    for name in ("poetry", "uv"):
        for path in _path_keys(tool.get(name, {}) if isinstance(tool, dict) else {}):
            yield Path(os.path.normpath(folder / path))


def _path_keys(value: Any) -> Iterator[str]:  # noqa: ANN401 - whatever stands in a manifest
    if isinstance(value, dict):
        if isinstance(path := value.get("path"), str):
            yield path
        value = list(value.values())
    if isinstance(value, list):
        for below in value:
            yield from _path_keys(below)


def _members(folder: Path, data: Mapping[str, Any]) -> list[Path]:
    """The members of a uv workspace: https://docs.astral.sh/uv/concepts/projects/workspaces/."""
    try:
        patterns = data["tool"]["uv"]["workspace"]["members"]
        return [path for pattern in patterns for path in folder.glob(pattern) if (path / "pyproject.toml").is_file()]
    except (KeyError, TypeError, ValueError, NotImplementedError):
        return []


def _fill(source: Path, folder: Path, own: set[Path], *, top: bool = True) -> None:
    for entry in sorted(source.iterdir()):
        if top and entry.name in MANIFESTS:
            if entry.is_file():
                shutil.copy2(entry, folder / entry.name)
        elif top and entry.name in _NOT_LINKED:
            continue
        elif entry in own and not entry.is_dir():
            _copy(entry, folder / entry.name)
        elif any(path == entry or path.is_relative_to(entry) for path in own):
            (folder / entry.name).mkdir()
            _fill(entry, folder / entry.name, own, top=False)
        elif entry.name == ".git" and entry.is_file():
            (folder / entry.name).write_text(_git_file(entry), encoding="utf-8")
        else:
            _link(entry, folder / entry.name)


def _git_file(path: Path) -> str:
    """What a submodule has in the place of its repository: `gitdir:` and a path, which may be relative to it."""
    text = path.read_text(encoding="utf-8")
    word, _, folder = text.strip().partition(" ")
    return f"{word} {(path.parent / folder).resolve()}\n" if word == "gitdir:" else text


def _copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _link(source: Path, target: Path) -> None:
    try:
        target.symlink_to(source, target_is_directory=source.is_dir())
    except OSError:
        if sys.platform != "win32":
            raise
        # Windows gives links to administrators only, junctions and hard links to everybody.
        if source.is_dir():
            import _winapi

            _winapi.CreateJunction(str(source), str(target))
        else:
            _copy(source, target)
