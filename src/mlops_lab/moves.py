"""What a change comes to: for each package what every file said of it before, and what it says now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_lab.errors import redact
from mlops_lab.manifests import conda_env, poetry_lock, pyproject, requirements, uv_lock
from mlops_lab.project import CONDA_FILES, LOCKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

__all__ = ["Move", "between"]

_LOCKED = (*LOCKS.values(), "requirements.txt")


@dataclass(frozen=True)
class Move:
    """A package that is another one than before.

    Attributes:
        package: Its normalised name.
        before: Its version; its requirement where no lock has it; empty for one that is new.
        after: The same now; empty for one that has gone.
        files: The names of the files that say something else of it now.
    """

    package: str
    before: str
    after: str
    files: tuple[str, ...]


def between(before: Path, after: Path, names: Sequence[str]) -> list[Move]:
    """What changed between two folders with a project's manifests and locks.

    A package that a lock has only because the lock is new is no move: it is in another lock at that version already.

    Args:
        before: The folder as it was.
        after: The folder as it is.
        names: The files that changed.
    """
    if not names:
        return []
    looked = [*names, *(name for name in _LOCKED if name not in names)]
    old, new = ({name: _said(folder / name) for name in looked} for folder in (before, after))
    there = {name for name in names if (before / name).exists() and (after / name).exists()}
    packages = sorted({package for name in names for said in (old, new) for package in said[name]})
    moves = (_move(package, old, new, names) for package in packages)
    return [move for move in moves if move.before != move.after or there & {*move.files}]


def _move(
    package: str, old: Mapping[str, Mapping[str, str]], new: Mapping[str, Mapping[str, str]], names: Sequence[str]
) -> Move:
    files = tuple(name for name in names if old[name].get(package) != new[name].get(package))
    before, after = (_version(package, said, _LOCKED) for said in (old, new))
    if not before and not after:
        # No lock knows it: what the manifests ask for.
        before, after = (_version(package, said, said) for said in (old, new))
    return Move(package, before, after, files)


def _version(package: str, said: Mapping[str, Mapping[str, str]], names: Iterable[str]) -> str:
    return next((text for name in names if (text := said.get(name, {}).get(package, ""))), "")


def _said(path: Path) -> dict[str, str]:
    """What a file says of each package, in words; nothing where there is no file."""
    if not path.is_file():
        return {}
    found: dict[str, dict[str, None]] = {}
    for package, text in _READERS[path.name](path):
        found.setdefault(package, {})[redact(text)] = None
    return {package: ", ".join(texts) for package, texts in found.items()}


def _poetry(path: Path) -> list[tuple[str, str]]:
    return [(package.name, package.version) for package in poetry_lock.read(path)]


def _uv(path: Path) -> list[tuple[str, str]]:
    return [(package.name, package.version) for package in uv_lock.read(path) if package.kind != "project"]


def _pyproject(path: Path) -> list[tuple[str, str]]:
    return pyproject.requirements(pyproject.read(path))


def _conda(path: Path) -> list[tuple[str, str]]:
    env = conda_env.read(path)
    words: Sequence[str] = [item.text for item in (*env.dependencies, *env.pip)]
    return [(pyproject.normalized(conda_env.name_of(word)), word.strip()) for word in words]


_READERS: Mapping[str, Callable[[Path], list[tuple[str, str]]]] = {
    "pyproject.toml": _pyproject,
    "poetry.lock": _poetry,
    "uv.lock": _uv,
    "requirements.txt": requirements.exported,
    **dict.fromkeys(CONDA_FILES, _conda),
    ".python-version": lambda _: [],
}
