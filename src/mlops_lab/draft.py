"""A draft of the project: copies of its manifests and locks for the tools to change, links to everything else in it.

Poetry and uv read a manifest when they start and write it when they end, whatever somebody has typed into it meanwhile.
On a draft they can take away nobody's edit, and a command that is killed has changed nothing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tomllib
from typing import TYPE_CHECKING, Any

from mlops_lab.errors import LabError
from mlops_lab.project import MANIFESTS
from mlops_lab.workcopy import named_paths

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["lay_out", "sweep"]

_FOLDER = "draft"
_NOT_LINKED = frozenset({".mlops-lab", ".venv", ".nox", *MANIFESTS})


def lay_out(root: Path, state: Path) -> Path:
    """Make a draft of a project.

    Args:
        root: The project's folder.
        state: The folder for our own state of it.

    Returns:
        The draft's folder. It lies in the state folder, or beside the project where paths lead out of the project: what
        the tools write into a lock is relative to the folder they work in.

    Raises:
        LabError: The folder beside the project cannot be made (code 2).
        OSError: The disk is full.
    """
    sweep(root, state)
    own, leads_out = _folders_with_a_path(root)
    folder = _beside(root) if leads_out else state / _FOLDER
    try:
        folder.mkdir(parents=True)
    except PermissionError as error:
        raise LabError(
            f"cannot make {folder}: {error.strerror}",
            "paths in pyproject.toml lead out of the project, so the tools work in a folder beside it: make its parent "
            "writable",
        ) from error
    _fill(root, folder, own)
    return folder


def sweep(root: Path, state: Path) -> None:
    """Remove what a killed command has left of its draft."""
    shutil.rmtree(state / _FOLDER, ignore_errors=True)
    shutil.rmtree(_beside(root), ignore_errors=True)


def _beside(root: Path) -> Path:
    return root.with_name(f".{root.name}.mlops-lab-{_FOLDER}")


def _folders_with_a_path(root: Path) -> tuple[set[Path], bool]:
    """The project's own files and folders that manifests name by a path, and whether some path leads out of it.

    Both managers resolve such a path before they write it down: through a link it would lead back to the project.
    """
    found: set[Path] = set()
    todo, leads_out = [root], False
    while todo:
        folder = todo.pop()
        leads_out = leads_out or _names_an_address_of_a_file(folder / "pyproject.toml")
        for path in [*named_paths(folder / "pyproject.toml"), *_members(folder)]:
            if not path.is_relative_to(root):
                leads_out = True
            elif path != root and path not in found and path.exists():
                found.add(path)
                todo += [path] if path.is_dir() else []
    return found, leads_out


def _names_an_address_of_a_file(manifest: Path) -> bool:
    with contextlib.suppress(OSError):
        return b"file:" in manifest.read_bytes()
    return False


def _members(folder: Path) -> list[Path]:
    """The members of a uv workspace: https://docs.astral.sh/uv/concepts/projects/workspaces/."""
    try:
        data: Mapping[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
        patterns = data["tool"]["uv"]["workspace"]["members"]
        return [path for pattern in patterns for path in folder.glob(pattern) if (path / "pyproject.toml").is_file()]
    except (OSError, ValueError, KeyError, TypeError, NotImplementedError):
        return []  # whoever reads the manifest reports what is wrong with it


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
        else:
            _link(entry, folder / entry.name)


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
