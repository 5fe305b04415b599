"""Files change all or none: after an error, Ctrl-C, and a kill at any moment."""

from __future__ import annotations

import errno
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from mlops_lab import transaction
from mlops_lab.transaction import REPLACED, all_or_none, pending, recover

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OLD = b"old \xff\r\n"


class Killed(BaseException):
    """Stands for a kill: nothing after it runs."""


class Desk:
    """Two files that are there, one that is not, and the state folder."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.state.mkdir()
        self.files = {name: folder / name for name in ("pyproject.toml", "poetry.lock", "uv.lock")}
        self.manifest, self.lock, self.absent = self.files.values()
        self.manifest.write_bytes(OLD)
        self.lock.write_bytes(OLD)

    def change(self) -> None:
        self.manifest.write_bytes(b"new")
        self.lock.unlink()
        self.absent.write_bytes(b"new")

    @property
    def is_old(self) -> bool:
        return self.manifest.read_bytes() == self.lock.read_bytes() == OLD and not self.absent.exists()

    @property
    def is_new(self) -> bool:
        return self.manifest.read_bytes() == self.absent.read_bytes() == b"new" and not self.lock.exists()

    @property
    def left(self) -> list[str]:
        return sorted(path.name for path in self.state.iterdir() if path.name != REPLACED)


def fail(desk: Desk, change: Callable[[], object], error: BaseException) -> None:
    with all_or_none(desk.state, desk.files):
        change()
        raise error


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def killed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A command that changes every file and is killed before it could commit or put back."""

    def run() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(transaction, "_put_back", lambda *_: [])
            with pytest.raises(Killed):
                fail(desk, desk.change, Killed())

    return run


def test_a_change_that_ends_well_holds_and_leaves_nothing_behind(desk: Desk) -> None:
    with all_or_none(desk.state, desk.files):
        desk.change()
    assert desk.is_new
    assert desk.left == []
    assert recover(desk.state) == []
    assert desk.is_new


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), SystemExit(3), Killed()], ids=repr)
def test_whatever_ends_a_change_early_brings_the_old_bytes_back(desk: Desk, error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        fail(desk, desk.change, error)
    assert caught.value is error
    assert desk.is_old
    assert desk.left == []


def test_where_nothing_changed_no_file_is_written(desk: Desk) -> None:
    before = [path.stat() for path in (desk.manifest, desk.lock)]
    with pytest.raises(ValueError, match="x"), all_or_none(desk.state, desk.files):
        raise ValueError("x")
    after = [path.stat() for path in (desk.manifest, desk.lock)]
    assert [(one.st_ino, one.st_mtime_ns) for one in before] == [(one.st_ino, one.st_mtime_ns) for one in after]
    assert desk.left == []


def test_the_old_file_comes_back_with_its_mode_and_time(desk: Desk) -> None:
    desk.manifest.chmod(0o640)
    os.utime(desk.manifest, ns=(10**18, 10**18))
    with pytest.raises(ValueError, match="x"):
        fail(desk, desk.change, ValueError("x"))
    status = desk.manifest.stat()
    assert (status.st_mode & 0o777, status.st_mtime_ns) == (0o640, 10**18)


def test_what_is_not_named_is_left_as_it_is(desk: Desk, tmp_path: Path) -> None:
    other = tmp_path / "other"
    with pytest.raises(ValueError, match="x"):
        fail(desk, lambda: other.write_bytes(b"new"), ValueError("x"))
    assert other.read_bytes() == b"new"


# --- symbolic links ------------------------------------------------------------------------------------------------


@pytest.fixture
def linked(desk: Desk, tmp_path: Path) -> Path:
    """What pyproject.toml is a link to."""
    real = tmp_path / "elsewhere" / "real.toml"
    real.parent.mkdir()
    desk.manifest.rename(real)
    desk.manifest.symlink_to(real)
    return real


def test_a_link_stays_a_link_to_the_old_bytes(desk: Desk, linked: Path) -> None:
    with pytest.raises(ValueError, match="x"):
        fail(desk, desk.change, ValueError("x"))
    assert desk.manifest.is_symlink()
    assert linked.read_bytes() == OLD
    assert desk.is_old


def test_a_link_to_another_file_system_is_put_back_too(
    desk: Desk, linked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.rename

    def crossing(source: str | Path, target: str | Path) -> None:
        if str(target) == str(linked):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        rename(source, target)

    monkeypatch.setattr(os, "rename", crossing)
    with pytest.raises(ValueError, match="x"):
        fail(desk, desk.change, ValueError("x"))
    assert linked.read_bytes() == OLD
    assert desk.is_old
    assert desk.left == []


def test_what_a_link_to_nothing_came_to_lead_to_is_removed(desk: Desk, tmp_path: Path) -> None:
    desk.absent.symlink_to(tmp_path / "nothing")
    with pytest.raises(ValueError, match="x"):
        fail(desk, lambda: desk.absent.write_bytes(b"new"), ValueError("x"))
    assert desk.absent.is_symlink()
    assert not (tmp_path / "nothing").exists()


# --- kills ---------------------------------------------------------------------------------------------------------


def test_the_next_command_puts_back_what_a_killed_one_left(desk: Desk, killed: Callable[[], None]) -> None:
    assert not pending(desk.state)
    killed()
    assert desk.left == ["journal"]
    assert desk.is_new
    assert pending(desk.state)
    changed = desk.manifest.read_bytes()
    assert recover(desk.state) == ["pyproject.toml", "poetry.lock", "uv.lock"]
    assert desk.is_old
    assert desk.left == []
    assert not pending(desk.state)
    # Somebody may have gone on editing what the killed command had written.
    assert (desk.state / REPLACED / "pyproject.toml").read_bytes() == changed


@pytest.mark.parametrize(
    "content", ["", "[", "{}", '[["pyproject.toml", "x", true]]', '[["../thesis.txt", false]]', "[1]"]
)
def test_a_journal_of_another_form_changes_nothing(desk: Desk, killed: Callable[[], None], content: str) -> None:
    killed()
    (desk.state / "journal" / "files.json").write_text(content, encoding="utf-8")
    assert recover(desk.state) == []
    assert desk.is_new
    assert desk.left == []


def test_only_what_changed_is_named(desk: Desk, killed: Callable[[], None]) -> None:
    killed()
    desk.lock.write_bytes(OLD)
    desk.absent.unlink()
    assert recover(desk.state) == ["pyproject.toml"]
    assert desk.is_old


def test_without_a_journal_there_is_nothing_to_recover(desk: Desk) -> None:
    assert recover(desk.state) == []
    assert desk.is_old


def test_killed_after_the_commit_the_change_holds(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", _killed_at(desk.state / "journal.done", after_rename=True))
        with pytest.raises(Killed), all_or_none(desk.state, desk.files):
            desk.change()
    assert desk.left == ["journal.done"]
    assert recover(desk.state) == []
    assert desk.is_new
    assert desk.left == []


def _killed_at(path: Path, *, after_rename: bool) -> Callable[..., None]:
    """An rmtree that never removes this folder: the kill came first."""
    rmtree = shutil.rmtree

    def remove(folder: Path, *, ignore_errors: bool = False) -> None:
        if folder == path and path.exists() == after_rename:
            raise Killed
        rmtree(folder, ignore_errors=ignore_errors)

    return remove


def test_a_committed_change_left_behind_does_not_stop_the_next_one(desk: Desk) -> None:
    (desk.state / "journal.done").mkdir()
    (desk.state / "journal.done" / "0").write_bytes(b"older")
    with all_or_none(desk.state, desk.files):
        desk.change()
    assert desk.is_new
    assert desk.left == []


@pytest.mark.parametrize("survivors", [0, 1, 2])
def test_killed_while_it_puts_back_the_next_command_goes_on(
    desk: Desk, killed: Callable[[], None], monkeypatch: pytest.MonkeyPatch, survivors: int
) -> None:
    killed()
    moved: list[Path] = []
    move = shutil.move

    def dying(source: Path, target: Path) -> None:
        if len(moved) == survivors:
            raise Killed
        moved.append(target)
        move(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "move", dying)
        if survivors < 2:
            with pytest.raises(Killed):
                recover(desk.state)
    assert recover(desk.state) == ["pyproject.toml", "poetry.lock", "uv.lock"][len(moved) :]
    assert desk.is_old
    assert desk.left == []


def test_killed_after_it_put_back_nothing_is_put_back_again(
    desk: Desk, killed: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    killed()
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", _killed_at(desk.state / "journal.done", after_rename=True))
        with pytest.raises(Killed):
            recover(desk.state)
    assert desk.is_old
    desk.change()
    assert recover(desk.state) == []
    assert desk.is_new
    assert desk.left == []


def test_half_a_removed_journal_takes_no_file_away(desk: Desk, killed: Callable[[], None]) -> None:
    killed()
    (desk.state / "journal" / "0").unlink()
    assert recover(desk.state) == ["poetry.lock", "uv.lock"]
    assert desk.manifest.read_bytes() == b"new"


def test_killed_while_copies_are_laid_aside_nothing_is_put_back(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, _target: Path) -> None:
        if source == desk.lock:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copy2", full)
        with pytest.raises(OSError, match="No space left"), all_or_none(desk.state, desk.files):
            pytest.fail("the body shall not run")
    assert recover(desk.state) == []
    assert desk.is_old
    with all_or_none(desk.state, desk.files):
        desk.change()
    assert desk.is_new
    assert desk.left == []


@pytest.mark.parametrize("content", ["", "{", "\x00"])
def test_a_journal_that_cannot_be_read_changes_nothing(desk: Desk, content: str) -> None:
    (desk.state / "journal").mkdir()
    (desk.state / "journal" / "files.json").write_text(content, encoding="utf-8")
    assert recover(desk.state) == []
    assert desk.is_old
    assert desk.left == []
