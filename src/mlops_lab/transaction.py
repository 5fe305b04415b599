"""Change files all or none: what was made on a draft takes the files' places at once, and gives way on any failure.

The journal holds the old bytes and what the new ones are, before the first file changes. Each file is replaced by a
rename, so that it is old or new and never between, a full disk included. What is neither old nor new was written by
somebody else: it stays.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlops_lab import draft as drafts
from mlops_lab.errors import FOUND, LabError
from mlops_lab.project import MANIFESTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = [
    "BEFORE",
    "Draft",
    "Entry",
    "Restored",
    "drafted",
    "history",
    "pending",
    "published",
    "recover",
    "refuse_unwritable",
]

_JOURNAL = "journal"
_HISTORY = "history"
_KEPT = 50
"""Changes that `undo` can go back."""
BEFORE = "before"
"""The folder, below the project's state, for the old bytes of files that somebody edited during a change."""


@dataclass(frozen=True)
class Draft:
    """Copies of a project's manifests and locks, which tools may change.

    Attributes:
        root: The project's folder.
        state: The folder for our own state of it.
        folder: The draft's folder.
        before: Name → digest of each manifest and lock as it was copied; None for one that was not there.
    """

    root: Path
    state: Path
    folder: Path
    before: Mapping[str, str | None]

    def changed(self) -> list[str]:
        """The names of the files that are others than they were."""
        return [name for name in MANIFESTS if _digest(self.folder / name) != self.before[name]]

    def edited(self) -> list[str]:
        """The names of the project's files that somebody has edited since they were copied."""
        return [name for name in MANIFESTS if _digest(self.root / name) != self.before[name]]


@dataclass(frozen=True)
class Restored:
    """What putting back came to.

    Attributes:
        back: The names of the files that were put back.
        left: The names of those that somebody has edited: they stay, their old bytes lie in `BEFORE`.
        installing: The prefix of the environment that was being brought to the new files; empty for none.
        unread: Whether there was a journal that cannot be read, which is kept in `BEFORE`.
    """

    back: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    installing: str = ""
    unread: bool = False

    def sentences(self, state: Path) -> list[str]:
        """What to tell the user of the edits that stay."""
        old = (state / BEFORE).relative_to(state.parent)
        found = [
            f"{name} was edited while it was being changed: it stays as it is now"
            + (f"; as it was before the change it is in {old / name}" if (state / BEFORE / name).exists() else "")
            for name in self.left
        ]
        if self.unread:
            found.append(f"what a killed command left cannot be read: it is in {old / _JOURNAL}; look at your files")
        return found


@dataclass(frozen=True)
class Entry:
    """A change that came to its end.

    Attributes:
        folder: Where its old bytes are.
        title: What the user asked for.
        time: When, in seconds since 1970.
        moves: What it changed, as the command told it.
        files: Name → digests of the file before and after it; None where there was none.
        undoes: The name of the entry that it took back; empty for any other change.
    """

    folder: Path
    title: str
    time: float
    moves: Sequence[Mapping[str, Any]] = ()
    files: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict)
    undoes: str = ""

    def old(self, name: str) -> Path:
        """The file with a manifest's old bytes; there is none where the manifest was not there."""
        return self.folder / f"old-{name}"

    def edited(self, root: Path) -> list[str]:
        """The names of its files that are not any more as it left them."""
        return [name for name, (_, after) in self.files.items() if _digest(root / name) != after]


@contextlib.contextmanager
def drafted(root: Path, state: Path, *, leads_out: bool = False) -> Iterator[Draft]:
    """A draft to work on; it is gone in the end, whatever has become of it.

    Args:
        root: The project's folder.
        state: The folder for our own state of it.
        leads_out: Whether a path that leads out of the project is about to be declared.

    Raises:
        LabError: It cannot be made (code 2).
    """
    try:
        folder = drafts.lay_out(root, state, leads_out=leads_out)
        # Of the copies: what is typed into a file between the two looks is an edit.
        yield Draft(root, state, folder, {name: _digest(folder / name) for name in MANIFESTS})
    finally:
        drafts.sweep(root, state)


@contextlib.contextmanager
def published(
    draft: Draft,
    say: Callable[[str], None],
    *,
    title: str = "",
    installing: str = "",
    note: Mapping[str, object] | None = None,
) -> Iterator[None]:
    """Put what was drafted in the files' places; on any error, and on Ctrl-C, the old bytes come back.

    Args:
        draft: The draft.
        say: Called with a sentence for each file that somebody else has edited meanwhile.
        title: What the user asked for; without one the change is not kept for `undo`.
        installing: The prefix of the environment that is brought to the new files before this ends.
        note: What the history shall keep of it: `moves`, `undoes`.

    Raises:
        LabError: Somebody has edited a file since it was copied (code 1), or one cannot be written (code 2): nothing
            has been changed.
        OSError: The disk is full: nothing has been changed.
    """
    names = draft.changed()
    if not names:
        yield
        return
    _refuse_edits(draft)
    for name in names:
        refuse_unwritable(draft.root / name)
    journal = _begin(draft, names, {"title": title, "time": time.time(), "installing": installing, **(note or {})})
    try:
        for name in names:
            _replace(journal, draft.root, name)
        yield
        if title:
            _keep(journal)
        else:
            _drop(journal)
    except BaseException:
        # Once the journal has gone, the change holds: whatever happens then only hinders the tidying up.
        if journal.exists():
            for sentence in _put_back(journal).sentences(draft.state):
                say(sentence)
        raise


def _refuse_edits(draft: Draft) -> None:
    if edited := draft.edited():
        raise LabError(
            f"{', '.join(edited)} was edited while the change was made: your edit stays, and nothing else has changed",
            "run the command again",
            code=FOUND,
        )


def refuse_unwritable(path: Path) -> None:
    """Refuse a file that cannot be written; a rename would not ask.

    Raises:
        LabError: It, or its folder, cannot be written (code 2).
    """
    real = path.resolve()
    try:
        if real.exists():
            real.open("r+b").close()
        elif not os.access(real.parent, os.W_OK):
            raise PermissionError(13, "the folder cannot be written")
    except OSError as error:
        raise LabError(
            f"{path.name} cannot be written: {error.strerror}", "make it writable; nothing has changed"
        ) from error


def pending(state: Path) -> bool:
    """Whether a command is changing files now, or was killed while it did."""
    return (state / _JOURNAL).is_dir() or drafts.is_left(state.parent, state)


def recover(root: Path, state: Path) -> Restored:
    """Put back what a killed command had changed."""
    drafts.sweep(root, state)
    shutil.rmtree(state / f"{_JOURNAL}.new", ignore_errors=True)
    shutil.rmtree(state / f"{_JOURNAL}.done", ignore_errors=True)
    journal = state / _JOURNAL
    return _put_back(journal) if journal.is_dir() else Restored()


def history(state: Path) -> list[Entry]:
    """The changes that came to their end, the oldest first."""
    folders = sorted((state / _HISTORY).iterdir()) if (state / _HISTORY).is_dir() else []
    return [entry for folder in folders if (entry := _entry(folder)) is not None]


# --- the journal ---------------------------------------------------------------------------------------------------


def _begin(draft: Draft, names: Sequence[str], note: Mapping[str, Any]) -> Path:
    """Lay the old bytes and the new ones side by side; one rename makes it the journal."""
    journal = draft.state / _JOURNAL
    building = journal.with_name(f"{_JOURNAL}.new")
    shutil.rmtree(building, ignore_errors=True)
    try:
        _lay_side_by_side(building, draft, names, note)
        building.replace(journal)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return journal


def _lay_side_by_side(building: Path, draft: Draft, names: Sequence[str], note: Mapping[str, Any]) -> None:
    building.mkdir(parents=True)
    files = {}
    for name in names:
        old, new = draft.root / name, draft.folder / name
        if old.exists():
            shutil.copy2(old, building / f"old-{name}")
        if new.exists():
            shutil.copyfile(new, building / f"new-{name}")
            shutil.copymode(old if old.exists() else new, building / f"new-{name}")
        files[name] = [draft.before[name], _digest(new)]
    # Names only: a copy of the project, its journal with it, puts back its own files and no others.
    content = json.dumps({**note, "files": files})
    (building / "change.json").write_text(content, encoding="utf-8")


def _entry(folder: Path) -> Entry | None:
    """What a journal says; None where it was not written by this version."""
    try:
        found = json.loads((folder / "change.json").read_text(encoding="utf-8"))
        files = {name: (before, after) for name, (before, after) in found["files"].items() if name in MANIFESTS}
        return Entry(folder, found["title"], found["time"], found.get("moves", ()), files, found.get("undoes", ""))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _replace(journal: Path, root: Path, name: str) -> None:
    new = journal / f"new-{name}"
    if new.exists():
        _put(new, root / name)
    else:
        (root / name).resolve().unlink(missing_ok=True)


def _put(source: Path, path: Path) -> None:
    """Put a file in another one's place, by a rename: there is the old one or the new one, and no room is needed."""
    target = path.resolve()  # a manifest that is a symbolic link stays one
    try:
        source.replace(target)
    except OSError as error:
        if error.errno not in {errno.EXDEV, errno.EBUSY}:
            raise
        _put_across(source, target)


def _put_across(source: Path, target: Path) -> None:
    """The same where the other one lies on another disk, or was mounted by itself."""
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        shutil.copy2(source, beside)
        beside.replace(target)
    except OSError as error:
        # What was mounted by itself can only be written where it is; for want of room it is left whole.
        if error.errno != errno.EBUSY:
            raise
        shutil.copy2(source, target)
    finally:
        beside.unlink(missing_ok=True)
    source.unlink()


def _put_back(journal: Path) -> Restored:
    state, root = journal.parent, journal.parent.parent
    entry = _entry(journal)
    if entry is None:
        return _keep_unread(journal, state / BEFORE)
    back: list[str] = []
    left: list[str] = []
    for name, (before, after) in entry.files.items():
        now = _digest(root / name)
        if now == before:
            continue
        if now != after:
            left.append(name)
            _save(journal / f"old-{name}", state / BEFORE / name)
        elif before is None:
            back.append(name)
            (root / name).resolve().unlink()
        else:
            back.append(name)
            _put(journal / f"old-{name}", root / name)
    installing = _installing(journal)
    _drop(journal)
    return Restored(tuple(back), tuple(left), installing)


def _installing(journal: Path) -> str:
    found = json.loads((journal / "change.json").read_text(encoding="utf-8")).get("installing")
    return found if isinstance(found, str) else ""


def _keep_unread(journal: Path, folder: Path) -> Restored:
    """Lay a journal aside that nobody can read: it may hold the only copy of the old bytes."""
    folder.mkdir(exist_ok=True)
    shutil.rmtree(folder / journal.name, ignore_errors=True)
    journal.replace(folder / journal.name)
    return Restored(unread=True)


def _save(source: Path, target: Path) -> None:
    # On a full disk the edit that stays is worth more.
    with contextlib.suppress(OSError):
        target.parent.mkdir(exist_ok=True)
        shutil.copy2(source, target)


def _drop(journal: Path) -> None:
    """Do away with the journal; one rename is the moment at which the files hold as they are."""
    done = journal.with_name(f"{_JOURNAL}.done")
    shutil.rmtree(done, ignore_errors=True)
    journal.replace(done)
    shutil.rmtree(done, ignore_errors=True)


def _keep(journal: Path) -> None:
    """Make the journal the history's last entry; one rename is the moment at which the change holds."""
    folder = journal.parent / _HISTORY
    folder.mkdir(exist_ok=True)
    known = sorted(path.name for path in folder.iterdir() if path.name.isdigit())
    number = int(known[-1]) + 1 if known else 1
    journal.replace(folder / f"{number:06}")
    for name in known[: max(0, len(known) + 1 - _KEPT)]:
        shutil.rmtree(folder / name, ignore_errors=True)


def _digest(path: Path) -> str | None:
    try:
        return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    except FileNotFoundError:
        return None
