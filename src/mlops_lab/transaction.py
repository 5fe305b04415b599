"""Change files all or none: copies are laid aside first and put back unless the change came to its end.

The copies lie in the project's state folder, so that putting them back is a rename, which works on a full disk too, and
so that the next command puts them back when this one was killed.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from typing import TYPE_CHECKING

from mlops_lab.project import MANIFESTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["REPLACED", "all_or_none", "pending", "recover"]

_JOURNAL = "journal"
_COMMITTED = "journal.done"
REPLACED = "replaced"
"""The folder, below the project's state, for files that gave way to what a killed command had laid aside."""


@contextlib.contextmanager
def all_or_none(state: Path, files: Mapping[str, Path]) -> Iterator[None]:
    """Keep every change to the files, or, on any error and on Ctrl-C, none of them.

    What gives way to the old bytes is kept in `replaced`: somebody may have edited the file meanwhile.

    Args:
        state: The project's state folder.
        files: Name → path of each file that may change, whether it exists or not.
    """
    journal = state / _JOURNAL
    _lay_aside(journal, files)
    try:
        yield
    except BaseException:
        _put_back(journal, state / REPLACED)
        raise
    _settle(journal)


def pending(state: Path) -> bool:
    """Whether a command is changing files now, or was killed while it did."""
    return (state / _JOURNAL).is_dir()


def recover(state: Path) -> list[str]:
    """Put back what a killed command had laid aside.

    What stood there instead is kept in `replaced`: somebody may have gone on editing since.

    Returns:
        The names of the files that were put back.
    """
    shutil.rmtree(state / _COMMITTED, ignore_errors=True)
    journal = state / _JOURNAL
    return _put_back(journal, state / REPLACED) if journal.is_dir() else []


def _lay_aside(journal: Path, files: Mapping[str, Path]) -> None:
    shutil.rmtree(journal, ignore_errors=True)
    building = journal.with_suffix(".new")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    for number, path in enumerate(files.values()):
        if path.exists():
            shutil.copy2(path, building / str(number))
    # Names only: a copy of the project, its journal with it, puts back its own files and no others.
    content = json.dumps([[name, path.exists()] for name, path in files.items()])
    (building / "files.json").write_text(content, encoding="utf-8")
    building.replace(journal)


def _put_back(journal: Path, keep: Path) -> list[str]:
    back: list[str] = []
    for number, (name, was_there) in enumerate(_content(journal)):
        # Resolved: a manifest that is a symbolic link stays one.
        path, copy = (journal.parent.parent / name).resolve(), journal / str(number)
        # A copy that is gone was put back by a command that was killed while it did so.
        if copy.exists() and not (path.exists() and path.read_bytes() == copy.read_bytes()):
            back.append(name)
            _keep(path, keep)
            # A rename, where the file is not a link to another file system.
            shutil.move(copy, path)
        elif not was_there and path.exists():
            back.append(name)
            _keep(path, keep)
            path.unlink()
    _settle(journal)
    return back


def _content(journal: Path) -> list[tuple[str, bool]]:
    """The project's files that a journal is about; none where it was not written by this version."""
    try:
        files = json.loads((journal / "files.json").read_text(encoding="utf-8"))
        return [(name, bool(was_there)) for name, was_there in files if name in MANIFESTS]
    except (OSError, ValueError, TypeError):
        return []


def _keep(path: Path, folder: Path) -> None:
    # On a full disk the old bytes are worth more than the new ones.
    with contextlib.suppress(OSError):
        folder.mkdir(exist_ok=True)
        shutil.copy2(path, folder / path.name)


def _settle(journal: Path) -> None:
    """Do away with the journal; one rename is the moment at which the files hold as they are, new or put back."""
    committed = journal.with_name(_COMMITTED)
    shutil.rmtree(committed, ignore_errors=True)
    journal.replace(committed)
    shutil.rmtree(committed, ignore_errors=True)
