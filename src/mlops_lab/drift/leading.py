"""Which manager leads, as far as files tell: the tasks ask Git, which is a tool, and a check starts none."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from mlops_lab.guide import LEADER

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["leader_at"]

_STAGES = range(4)
"""0 is the usual one; the others are of a file that a merge has left unresolved."""
_PLAIN = {2, 3}
"""The versions of the index in which every path stands in full."""


def leader_at(root: Path, locks: Mapping[str, str]) -> str:
    """The manager of the one lock that Git tracks, else of the one that is there, else Poetry.

    Args:
        root: The project's folder.
        locks: Manager → the name of its lock.
    """
    index, folder = _index(root)
    there = [manager for manager, name in locks.items() if (root / name).exists()]
    some = [manager for manager in there if _is_tracked(f"{folder}{locks[manager]}", index)] or there
    return some[0] if len(some) == 1 else LEADER


def _index(root: Path) -> tuple[bytes, str]:
    """What Git tracks, and what the paths of a folder start with there; nothing where there is no repository."""
    for folder in (root, *root.parents):
        git = folder / ".git"
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if git.is_file():
                # Of a worktree, or a submodule: https://git-scm.com/docs/gitrepository-layout
                git = folder / git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
            index = (git / "index").read_bytes()
            inside = root.relative_to(folder).as_posix()
            return index, "" if inside == "." else f"{inside}/"
    return b"", ""


def _is_tracked(path: str, index: bytes) -> bool:
    """Whether a path stands in an index: behind its length, and before a zero byte.

    Source: https://git-scm.com/docs/index-format
    """
    name = path.encode()
    if int.from_bytes(index[4:8], "big") not in _PLAIN:
        return False
    return any((len(name) | stage << 12).to_bytes(2, "big") + name + b"\0" in index for stage in _STAGES)
