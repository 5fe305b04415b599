"""Files change all or none: after an error, Ctrl-C, a kill at any moment, and beside somebody who edits them."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlops_lab import draft as drafts
from mlops_lab import transaction
from mlops_lab.errors import FOUND, WRONG, LabError
from mlops_lab.transaction import BEFORE, Draft, Restored, drafted, history, pending, published, recover

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OLD = b"old \xff\r\n"
CHANGED = ("pyproject.toml", "poetry.lock", "uv.lock")


class Killed(BaseException):
    """Stands for a kill: nothing after it runs."""


class Desk:
    """A project: two files that are there, one that is not, and one that no change touches."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "project"
        self.state = self.root / ".mlops-lab"
        self.state.mkdir(parents=True)
        self.manifest, self.lock, self.absent = (self.root / name for name in CHANGED)
        self.other = self.root / "conda.yml"
        self.said: list[str] = []
        for path in (self.manifest, self.lock, self.other):
            path.write_bytes(OLD)

    def change(self, draft: Draft) -> None:
        (draft.folder / "pyproject.toml").write_bytes(b"new")
        (draft.folder / "poetry.lock").unlink()
        (draft.folder / "uv.lock").write_bytes(b"new")

    @contextlib.contextmanager
    def publishing(self, **words: Any) -> Iterator[Draft]:
        with drafted(self.root, self.state) as draft:
            self.change(draft)
            with published(draft, self.said.append, **words):
                yield draft

    @property
    def is_old(self) -> bool:
        same = self.manifest.read_bytes() == self.lock.read_bytes() == self.other.read_bytes() == OLD
        return same and not self.absent.exists()

    @property
    def is_new(self) -> bool:
        return self.manifest.read_bytes() == self.absent.read_bytes() == b"new" and not self.lock.exists()

    @property
    def left(self) -> list[str]:
        return sorted(path.name for path in self.state.iterdir())


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def killed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A command that has put every file in place and is killed before it could commit or put back."""

    def run(**words: Any) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(transaction, "_put_back", lambda *_: Restored())
            with pytest.raises(Killed), desk.publishing(**words):
                raise Killed

    return run


# --- the draft -----------------------------------------------------------------------------------------------------


def test_tools_work_on_copies_and_see_everything_else(desk: Desk) -> None:
    (desk.root / "src").mkdir()
    (desk.root / "src" / "m.py").touch()
    (desk.root / "README.md").write_text("x", encoding="utf-8")
    with drafted(desk.root, desk.state) as draft:
        assert draft.folder == desk.state / "draft"
        assert (draft.folder / "src" / "m.py").exists()
        assert (draft.folder / "README.md").read_text(encoding="utf-8") == "x"
        assert not (draft.folder / "pyproject.toml").is_symlink()
        assert not (draft.folder / ".mlops-lab").exists()
        desk.change(draft)
        assert draft.changed() == ["pyproject.toml", "poetry.lock", "uv.lock"]
        assert desk.is_old
    assert desk.left == []
    assert (desk.root / "src" / "m.py").exists()


@pytest.mark.parametrize(
    "text",
    [
        '[tool.poetry.dependencies]\nlib = { path = "../lib" }\n',
        '[tool.uv.sources]\nlib = { path = "/somewhere/lib" }\n',
        '[project]\ndependencies = ["lib @ file:///somewhere/lib"]\n',
    ],
)
def test_where_paths_lead_out_the_draft_lies_as_deep_as_the_project(desk: Desk, text: str) -> None:
    desk.manifest.write_text(text, encoding="utf-8")
    with drafted(desk.root, desk.state) as draft:
        assert draft.folder == desk.root.parent / ".project.mlops-lab-draft"
    assert [path.name for path in desk.root.parent.iterdir()] == ["project"]


@pytest.mark.parametrize(
    "text",
    ['[tool.api]\npath = "/api/v1"\n', "# settings of the log file: see docs\n", '[project]\nreadme = "../R.md"\n'],
)
def test_what_no_dependency_names_leads_nowhere(desk: Desk, text: str) -> None:
    desk.manifest.write_text(text, encoding="utf-8")
    with drafted(desk.root, desk.state) as draft:
        assert draft.folder == desk.state / "draft"


def test_a_path_that_is_about_to_be_declared_counts(desk: Desk) -> None:
    with drafted(desk.root, desk.state, leads_out=True) as draft:
        assert draft.folder == desk.root.parent / ".project.mlops-lab-draft"
        assert pending(desk.state)
    assert not pending(desk.state)


def test_a_submodule_finds_its_repository_from_the_draft(desk: Desk) -> None:
    (desk.root / ".git").write_text("gitdir: ../.git/modules/project\n", encoding="utf-8")
    with drafted(desk.root, desk.state) as draft:
        where = (draft.folder / ".git").read_text(encoding="utf-8")
    assert where == f"gitdir: {desk.root.parent}/.git/modules/project\n"


def test_a_folder_with_a_path_of_its_own_does_not_lead_back_to_the_project(desk: Desk) -> None:
    """Poetry resolves a path before it writes it into the lock."""
    desk.manifest.write_text(
        '[tool.uv.workspace]\nmembers = ["packages/*"]\n[tool.uv.sources]\nb = { path = "libs/b" }\n', encoding="utf-8"
    )
    for name in ("packages/a", "libs/b", "libs/c", "libs/d"):
        (desk.root / name).mkdir(parents=True)
    (desk.root / "packages/a/pyproject.toml").write_text("", encoding="utf-8")
    (desk.root / "libs/b/pyproject.toml").write_text(
        '[tool.poetry.dependencies]\nc = { path = "../c" }\n', encoding="utf-8"
    )
    with drafted(desk.root, desk.state) as draft:
        for name in ("packages/a", "libs/b", "libs/c"):
            assert (draft.folder / name).resolve() == draft.folder / name
        assert (draft.folder / "libs/b/pyproject.toml").exists()
        assert (draft.folder / "libs/d").resolve() == desk.root / "libs/d"
        assert draft.folder == desk.state / "draft"


def test_a_draft_beside_a_project_that_cannot_be_made_is_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.manifest.write_text('a = { path = "../lib" }\n', encoding="utf-8")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(LabError, match="make its parent writable") as caught, drafted(desk.root, desk.state):
        pytest.fail("the body shall not run")
    assert caught.value.code == WRONG


# --- put in place --------------------------------------------------------------------------------------------------


def test_a_change_that_ends_well_holds_and_leaves_nothing_behind(desk: Desk) -> None:
    with desk.publishing():
        assert desk.is_new
        assert pending(desk.state)
    assert desk.is_new
    assert desk.left == []
    assert recover(desk.root, desk.state) == Restored()
    assert desk.is_new


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), SystemExit(3), Killed()], ids=repr)
def test_whatever_ends_a_change_early_brings_the_old_bytes_back(desk: Desk, error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, desk.publishing():
        raise error
    assert caught.value is error
    assert desk.is_old
    assert desk.left == []


def test_an_error_on_the_draft_touches_no_file(desk: Desk) -> None:
    before = [path.stat() for path in (desk.manifest, desk.lock)]
    with pytest.raises(ValueError, match="x"), drafted(desk.root, desk.state) as draft:
        desk.change(draft)
        raise ValueError("x")
    after = [path.stat() for path in (desk.manifest, desk.lock)]
    assert [(one.st_ino, one.st_mtime_ns) for one in before] == [(one.st_ino, one.st_mtime_ns) for one in after]
    assert desk.left == []


def test_where_nothing_changed_nothing_is_written(desk: Desk) -> None:
    with drafted(desk.root, desk.state) as draft, published(draft, desk.said.append, title="lock"):
        assert desk.left == ["draft"]
    assert history(desk.state) == []
    assert desk.left == []


def test_the_old_file_comes_back_with_its_mode_and_time(desk: Desk) -> None:
    desk.manifest.chmod(0o640)
    os.utime(desk.manifest, ns=(10**18, 10**18))
    with pytest.raises(ValueError, match="x"), desk.publishing():
        assert desk.manifest.stat().st_mode & 0o777 == 0o640
        raise ValueError("x")
    status = desk.manifest.stat()
    assert (status.st_mode & 0o777, status.st_mtime_ns) == (0o640, 10**18)


@pytest.mark.parametrize("failing", CHANGED)
def test_a_disk_that_is_full_stops_before_anything_changes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    copyfile = shutil.copyfile

    def full(source: Path, target: Path, **words: Any) -> Any:
        if Path(source).name == failing and "journal" in str(target):
            raise OSError(errno.ENOSPC, "No space left on device")
        return copyfile(source, target, **words)

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space left"), desk.publishing():
        pytest.fail("the body shall not run")
    assert desk.is_old
    assert not pending(desk.state)
    monkeypatch.undo()
    with desk.publishing():
        pass
    assert desk.is_new
    assert desk.left == []


def test_a_file_that_cannot_be_written_is_refused_before_anything_changes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Path.open

    def refuse(path: Path, mode: str = "r", *more: Any, **words: Any) -> Any:
        if path == desk.lock and mode == "r+b":
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(path, mode, *more, **words)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(LabError) as caught, desk.publishing():
        pytest.fail("the body shall not run")
    assert str(caught.value) == (
        "poetry.lock cannot be written: Permission denied: make it writable; nothing has changed"
    )
    assert caught.value.code == WRONG
    assert desk.is_old


# --- somebody else's edits -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pyproject.toml", "uv.lock", "conda.yml"])
def test_an_edit_while_the_tools_work_stays_and_nothing_else_changes(desk: Desk, name: str) -> None:
    with pytest.raises(LabError) as caught, drafted(desk.root, desk.state) as draft:
        desk.change(draft)
        (desk.root / name).write_bytes(b"mine")
        with published(draft, desk.said.append):
            pytest.fail("the body shall not run")
    assert str(caught.value) == (
        f"{name} was edited while the change was made: your edit stays, and nothing else has changed: "
        "run the command again"
    )
    assert caught.value.code == FOUND
    assert (desk.root / name).read_bytes() == b"mine"
    assert desk.lock.read_bytes() == OLD
    assert desk.left == []


def test_an_edit_while_it_installs_stays_and_the_old_bytes_are_kept_for_it(desk: Desk) -> None:
    with pytest.raises(ValueError, match="x"), desk.publishing():
        desk.manifest.write_bytes(b"mine")
        raise ValueError("x")
    assert desk.manifest.read_bytes() == b"mine"
    assert desk.lock.read_bytes() == OLD
    assert not desk.absent.exists()
    assert (desk.state / BEFORE / "pyproject.toml").read_bytes() == OLD
    stays = "pyproject.toml was edited while it was being changed: it stays as it is now; "
    assert desk.said == [f"{stays}as it was before the change it is in .mlops-lab/before/pyproject.toml"]


def test_an_edit_after_a_kill_stays(desk: Desk, killed: Callable[[], None]) -> None:
    killed()
    desk.manifest.write_bytes(b"mine")
    assert recover(desk.root, desk.state) == Restored(("poetry.lock", "uv.lock"), ("pyproject.toml",))
    assert desk.manifest.read_bytes() == b"mine"
    assert desk.left == [BEFORE]


# --- symbolic links ------------------------------------------------------------------------------------------------


@pytest.fixture
def linked(desk: Desk, tmp_path: Path) -> Path:
    """What pyproject.toml is a link to."""
    real = tmp_path / "elsewhere" / "real.toml"
    real.parent.mkdir()
    desk.manifest.rename(real)
    desk.manifest.symlink_to(real)
    return real


def test_a_link_stays_a_link(desk: Desk, linked: Path) -> None:
    with desk.publishing():
        assert desk.manifest.is_symlink()
        assert linked.read_bytes() == b"new"
    with pytest.raises(ValueError, match="x"), drafted(desk.root, desk.state) as draft:
        (draft.folder / "pyproject.toml").write_bytes(b"newer")
        with published(draft, desk.said.append):
            assert linked.read_bytes() == b"newer"
            raise ValueError("x")
    assert desk.manifest.is_symlink()
    assert linked.read_bytes() == b"new"


@pytest.mark.parametrize("mounted", [False, True], ids=["another disk", "a file mounted by itself"])
def test_what_cannot_be_renamed_is_copied(
    desk: Desk, linked: Path, monkeypatch: pytest.MonkeyPatch, *, mounted: bool
) -> None:
    replace = Path.replace

    def crossing(source: Path, target: Path) -> Path:
        if Path(target) == linked and (mounted or source.parent != linked.parent):
            raise OSError(errno.EBUSY if mounted else errno.EXDEV, "Invalid cross-device link")
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", crossing)
    with pytest.raises(ValueError, match="x"), desk.publishing():
        assert linked.read_bytes() == b"new"
        raise ValueError("x")
    assert linked.read_bytes() == OLD
    assert [path.name for path in linked.parent.iterdir()] == [linked.name]
    assert desk.left == []


# --- kills ---------------------------------------------------------------------------------------------------------


def test_the_next_command_puts_back_what_a_killed_one_left(desk: Desk, killed: Callable[..., None]) -> None:
    assert not pending(desk.state)
    killed(installing="/p/.venv", title="add c")
    assert desk.left == ["journal"]
    assert desk.is_new
    assert pending(desk.state)
    assert recover(desk.root, desk.state) == Restored(CHANGED, installing="/p/.venv")
    assert desk.is_old
    assert desk.left == []
    assert not pending(desk.state)
    assert history(desk.state) == []


def test_a_draft_that_a_killed_command_left_is_swept(desk: Desk) -> None:
    drafts.lay_out(desk.root, desk.state)
    assert desk.left == ["draft"]
    recover(desk.root, desk.state)
    assert desk.left == []
    assert desk.is_old


@pytest.mark.parametrize("moved", [0, 1, 2, 3])
def test_killed_while_it_puts_files_in_place(desk: Desk, monkeypatch: pytest.MonkeyPatch, moved: int) -> None:
    replace, done = transaction._replace, 0

    def dying(journal: Path, root: Path, name: str) -> None:
        nonlocal done
        if done == moved:
            raise Killed
        done += 1
        replace(journal, root, name)

    with monkeypatch.context() as patch:
        patch.setattr(transaction, "_replace", dying)
        patch.setattr(transaction, "_put_back", lambda *_: Restored())
        with contextlib.suppress(Killed), desk.publishing():
            raise Killed
    assert recover(desk.root, desk.state).back == CHANGED[:moved]
    assert desk.is_old
    assert desk.left == []


@pytest.mark.parametrize("survivors", [0, 1, 2])
def test_killed_while_it_puts_back_the_next_command_goes_on(
    desk: Desk, killed: Callable[[], None], monkeypatch: pytest.MonkeyPatch, survivors: int
) -> None:
    killed()
    moved: list[Path] = []
    put = transaction._put

    def dying(source: Path, target: Path) -> None:
        if len(moved) == survivors:
            raise Killed
        moved.append(target)
        put(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(transaction, "_put", dying)
        if survivors < 2:
            with pytest.raises(Killed):
                recover(desk.root, desk.state)
    recover(desk.root, desk.state)
    assert desk.is_old
    assert desk.left == []


@pytest.mark.parametrize("content", ["", "[", "{}", "\x00"])
def test_a_journal_that_cannot_be_read_changes_nothing_and_is_kept(
    desk: Desk, killed: Callable[[], None], content: str
) -> None:
    killed()
    (desk.state / "journal" / "change.json").write_text(content, encoding="utf-8")
    restored = recover(desk.root, desk.state)
    assert restored == Restored(unread=True)
    assert desk.is_new
    assert desk.left == [BEFORE]
    assert (desk.state / BEFORE / "journal" / "old-pyproject.toml").read_bytes() == OLD
    told = "what a killed command left cannot be read: it is in .mlops-lab/before/journal; look at your files"
    assert restored.sentences(desk.state) == [told]


def test_a_journal_puts_back_no_other_files_than_the_projects_own(desk: Desk, killed: Callable[[], None]) -> None:
    killed()
    content = '{"title": "", "time": 0, "files": {"../thesis": [null, ""]}}'
    (desk.state / "journal" / "change.json").write_text(content, encoding="utf-8")
    (desk.root.parent / "thesis").write_bytes(b"mine")
    assert recover(desk.root, desk.state) == Restored()
    assert (desk.root.parent / "thesis").exists()


def test_a_link_to_a_full_disk_keeps_what_is_there(desk: Desk, linked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace, copy2 = Path.replace, shutil.copy2

    def crossing(source: Path, target: Path) -> Path:
        if Path(target) == linked:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return replace(source, target)

    def full(source: Path, target: Path, **words: Any) -> Any:
        if Path(target).parent == linked.parent:
            raise OSError(errno.ENOSPC, "No space left on device")
        return copy2(source, target, **words)

    monkeypatch.setattr(Path, "replace", crossing)
    monkeypatch.setattr(shutil, "copy2", full)
    with pytest.raises(OSError, match="No space left"), desk.publishing():
        pytest.fail("the body shall not run")
    assert linked.read_bytes() == OLD
    assert desk.is_old
    assert desk.left == []


def test_a_journal_that_was_never_finished_changes_nothing(desk: Desk) -> None:
    (desk.state / "journal.new").mkdir()
    assert recover(desk.root, desk.state) == Restored()
    assert desk.left == []


# --- history -------------------------------------------------------------------------------------------------------


def test_a_change_with_a_title_is_kept_with_its_old_bytes(desk: Desk) -> None:
    with desk.publishing(title="add c", note={"moves": [{"package": "c"}], "undoes": ""}):
        assert history(desk.state) == []
    (entry,) = history(desk.state)
    assert (entry.title, list(entry.files), list(entry.moves)) == ("add c", list(CHANGED), [{"package": "c"}])
    assert entry.old("pyproject.toml").read_bytes() == OLD
    assert not entry.old("uv.lock").exists()
    assert entry.edited(desk.root) == []
    desk.manifest.write_bytes(b"newer")
    assert entry.edited(desk.root) == ["pyproject.toml"]


def test_only_the_last_changes_are_kept_and_in_their_order(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transaction, "_KEPT", 3)
    for number in range(12):
        with drafted(desk.root, desk.state) as draft:
            (draft.folder / "pyproject.toml").write_bytes(b"%d" % number)
            with published(draft, desk.said.append, title=f"{number}"):
                pass
    assert [entry.title for entry in history(desk.state)] == ["9", "10", "11"]
