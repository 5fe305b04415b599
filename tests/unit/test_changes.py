"""Changes of what a project depends on: every file and the environment, or none of them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from support.machine import (
    AFTER,
    BEFORE,
    BY_PIP,
    EXPORT,
    FOLLOW,
    MIDDLE,
    PYPROJECT,
    REQUIREMENTS,
    Machine,
    Make,
    maker,
    poetry_lock,
    said,
    snapshot,
    uv_lock,
)

from mlops_lab import changes, drafting, interpreters, project, recipe, transaction
from mlops_lab.changes import Options
from mlops_lab.choices import Request
from mlops_lab.environment import Stamp, read_stamp, write_stamp
from mlops_lab.errors import FOUND, WRONG, LabError
from mlops_lab.interpreters import Interpreter
from mlops_lab.runner import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlops_lab.steps import Steps


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """The steps of a small project whose locks are there, on a machine that a stand-in plays."""
    chosen = Interpreter("/usr/bin/python3.12", "3.12.1")
    monkeypatch.setattr(interpreters, "choose", lambda _project, _asked: chosen)
    return maker(tmp_path / "project")


# --- add, update, remove ---


@pytest.mark.parametrize(
    ("row", "packages", "group", "expected"),
    [
        ("add", ["c>=1", "d"], None, "poetry add --lock 'c>=1' d"),
        ("add", ["c"], "dev", "poetry add --lock --group=dev c"),
        ("remove", ["a"], None, "poetry remove --lock a"),
        ("remove", ["b"], None, "poetry remove --lock --group=dev b"),
        ("remove", ["b"], "dev", "poetry remove --lock --group=dev b"),
        ("update", [], None, "poetry update --lock"),
        ("update", ["a", "b"], None, "poetry update --lock a b"),
    ],
)
def test_a_change_edits_locks_exports_and_installs(
    make: Make, row: str, packages: list[str], group: str | None, expected: str
) -> None:
    recipe.setup(make()[0], Request())
    steps, machine = make()
    machine.version = "1.1"
    changes.change(steps, row, packages, group)
    follow = FOLLOW.replace("1.0", "1.1")
    assert machine.ran == [expected, follow, EXPORT["poetry"], *MIDDLE["venv+poetry"], AFTER[1]]
    assert (machine.root / "uv.lock").read_text(encoding="utf-8") == uv_lock("1.1")
    assert "a==1.1" in (machine.root / "requirements.txt").read_text(encoding="utf-8")
    assert (stamp := read_stamp(machine.prefix)) is not None
    assert stamp.installed["a"] == "1.1"


def test_the_packages_of_several_groups_are_removed_group_by_group(make: Make) -> None:
    steps, machine = make()
    changes.change(steps, "remove", ["a", "b"])
    assert machine.ran[:2] == ["poetry remove --lock --group=dev b", "poetry remove --lock a"]


def test_a_package_that_is_not_declared_is_not_removed(make: Make) -> None:
    steps, machine = make()
    with pytest.raises(LabError) as caught:
        changes.change(steps, "remove", ["c"])
    assert str(caught.value) == "pyproject.toml does not declare c: one of: a, b"
    assert (caught.value.code, machine.ran) == (WRONG, [])


PARTS = ["poetry add", "uv lock --upgrade", "export", "poetry sync", "pip check"]
BACK = "the environment is brought back to the files"


@pytest.mark.parametrize("part", PARTS)
def test_a_failed_change_puts_every_file_back_and_the_environment(make: Make, part: str) -> None:
    recipe.setup(make()[0], Request())
    steps, machine = make()
    before = snapshot(machine.root)
    machine.version, machine.fails, machine.fails_once = "1.1", part, True
    with pytest.raises(CommandFailed) as caught:
        changes.change(steps, "add", ["c"])
    assert caught.value.code == FOUND
    assert snapshot(machine.root) == before
    assert (stamp := read_stamp(machine.prefix)) is not None
    assert stamp.fingerprint is not None
    assert (said(steps)[-1:] == [BACK]) is (part in {"poetry sync", "pip check"})
    assert changes.history(steps) == []


def test_an_environment_that_looks_whole_to_the_installer_and_is_not_is_made_anew(make: Make) -> None:
    recipe.setup(make()[0], Request())
    steps, machine = make()
    lost = machine.prefix / "lib" / "python3.12" / "site-packages" / "a-1.0.dist-info" / "RECORD"

    def lose() -> None:
        if lost.exists():
            lost.write_text("a.py,,\n", encoding="utf-8")

    machine.install, machine.fails, machine.fails_once = lose, "pip check", True  # type: ignore[method-assign]
    with pytest.raises(CommandFailed):
        changes.change(steps, "add", ["c"])
    anew = [*BEFORE, *MIDDLE["venv+poetry"], *AFTER]
    assert machine.ran[-len(anew) :] == anew


def test_an_environment_that_cannot_be_brought_back_is_said_to_be_unfinished(make: Make) -> None:
    recipe.setup(make()[0], Request())
    steps, machine = make()
    machine.fails = "poetry sync"
    with pytest.raises(CommandFailed):
        changes.change(steps, "add", ["c"])
    assert said(steps)[-2:] == [BACK, "that failed too, so it is unfinished: `invoke setup` repairs it"]
    assert (stamp := read_stamp(machine.prefix)) is not None
    assert stamp.fingerprint is None


def test_an_environment_is_brought_back_with_the_groups_that_were_chosen(make: Make) -> None:
    steps, machine = make()
    steps.groups = ()
    machine.extra = {"b": "2.0"}
    recipe.setup(steps, Request())
    steps, machine = make()
    steps.groups = ()
    machine.fails, machine.fails_once = "poetry sync", True
    with pytest.raises(CommandFailed):
        changes.change(steps, "add", ["c"])
    assert machine.ran[-3:] == ["poetry check --lock", "poetry sync --only=main", "ENV/bin/python -m pip check"]
    assert (stamp := read_stamp(machine.prefix)) is not None
    assert (stamp.groups, stamp.fingerprint is None) == ((), False)


def test_what_a_killed_change_left_of_one_environment_is_not_brought_to_another(make: Make) -> None:
    recipe.setup(make()[0], Request())
    steps, machine = make()
    with transaction.drafted(steps.project.root, steps.project.state) as draft:
        (draft.folder / "pyproject.toml").write_bytes(steps.project.pyproject.read_bytes() + b"# changed\n")
        note = {"title": "add c", "time": 0.0, "installing": "/other/.venv"}
        journal = transaction._begin(draft, draft.changed(), note)
        transaction._replace(journal, draft.root, "pyproject.toml")
    before = read_stamp(machine.prefix)
    recipe.recover(steps)
    assert said(steps) == [
        "a command was killed while it changed pyproject.toml: put back as before",
        "/other/.venv is unfinished: `invoke setup --prefix /other/.venv` repairs it",
    ]
    assert (machine.ran, read_stamp(machine.prefix)) == ([], before)


def test_credentials_of_an_address_are_in_no_table_and_no_history(make: Make) -> None:
    steps, machine = make(uv_lock=None, requirements_txt=None)
    address = "c @ git+https://me:s3cret@host/c.git"

    def add(_argv: list[str]) -> None:
        path = machine.cwd / "pyproject.toml"
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace('["a>=1"]', f'["a>=1", "{address}"]'), encoding="utf-8")

    machine.add = add  # type: ignore[method-assign]
    done = changes.change(steps, "add", [address])
    assert [move.after for move in done.moves] == ["c @ git+https://***@host/c.git"]
    kept = [path for path in (machine.root / ".mlops-lab").rglob("change.json") if b"s3cret" in path.read_bytes()]
    assert (kept, "s3cret" in repr(done)) == ([], False)


def test_an_edit_while_the_leader_resolves_is_not_overwritten(make: Make) -> None:
    steps, machine = make()
    manifest = machine.root / "pyproject.toml"
    text = manifest.read_text(encoding="utf-8") + "# mine\n"
    play = machine.add

    def add(argv: list[str]) -> None:
        manifest.write_text(text, encoding="utf-8")
        play(argv)

    machine.add = add  # type: ignore[method-assign,assignment]
    before = snapshot(machine.root)
    with pytest.raises(LabError, match=r"^pyproject.toml was edited while the change was made: ") as caught:
        changes.change(steps, "add", ["c"])
    assert caught.value.code == FOUND
    assert snapshot(machine.root) == {**before, "pyproject.toml": text.encode()}


def test_a_change_tells_what_moved_and_in_which_files(make: Make) -> None:
    steps, machine = make()
    machine.version = "1.1"
    done = changes.change(steps, "update", ["a"])
    assert [(move.package, move.before, move.after, move.files) for move in done.moves] == [
        ("a", "1.0", "1.1", ("requirements.txt", "poetry.lock", "uv.lock"))
    ]
    assert (done.title, done.files) == ("update a", ["requirements.txt", "poetry.lock", "uv.lock"])


def test_a_dry_run_changes_nothing_and_tells_the_same(make: Make) -> None:
    recipe.setup(make()[0], Request())
    steps, machine = make()
    before = snapshot(machine.root)
    machine.version = "1.1"
    done = changes.change(steps, "update", [], options=Options(dry_run=True))
    assert [(move.package, move.before, move.after) for move in done.moves] == [("a", "1.0", "1.1")]
    assert (done.dry_run, done.installed) == (True, False)
    assert snapshot(machine.root) == before
    assert not [command for command in machine.ran if "sync" in command]
    assert changes.history(steps) == []


def test_without_an_installation_the_files_change_and_the_next_setup_follows(make: Make) -> None:
    recipe.setup(make()[0], Request())
    steps, machine = make()
    machine.version = "1.1"
    done = changes.change(steps, "update", ["a"], options=Options(install=False))
    assert done.installed is False
    assert not [command for command in machine.ran if "sync" in command]
    steps, machine = make()
    assert recipe.setup(steps, Request()).because == (
        "poetry.lock, requirements.txt, uv.lock changed since the last setup",
    )


# --- words ---


@pytest.mark.parametrize(
    ("row", "packages", "group", "message"),
    [
        ("add", ["c", "C<2"], None, "c is named twice, as c and C<2: write one requirement, or write both "),
        ("add", ["c"], "main", "main is another word for the project's own dependencies: leave out --group"),
        ("remove", ["b"], "docs", "the group docs does not have b: it is in: dev"),
        ("remove", ["a"], "dev", "the group dev does not have a: it is in: the project's own dependencies"),
        ("remove", ["x"], None, "only the extra more declares x, and others may have asked for that: take it out "),
        ("update", ["aa"], None, "poetry.lock does not have aa: did you mean a?"),
        ("update", ["numpy"], None, "poetry.lock does not have numpy: add it with `invoke add numpy`"),
    ],
)
def test_wrong_words_are_refused_before_anything_runs(
    make: Make, row: str, packages: list[str], group: str | None, message: str
) -> None:
    manifest = PYPROJECT.format(leader="poetry").replace(
        "[dependency-groups]", '[project.optional-dependencies]\nmore = ["x>=1"]\n[dependency-groups]'
    )
    steps, machine = make(pyproject_toml=manifest)
    with pytest.raises(LabError) as caught:
        changes.change(steps, row, packages, group)
    assert str(caught.value).startswith(message)
    assert (caught.value.code, machine.ran) == (WRONG, [])


def test_a_group_that_went_with_its_last_package_is_not_named_any_more(make: Make) -> None:
    manifest = PYPROJECT.format(leader="poetry") + 'groups = ["Dev"]  # ours\n'
    steps, machine = make(pyproject_toml=manifest, uv_lock=None, requirements_txt=None)

    def remove(_argv: list[str]) -> None:
        path = machine.cwd / "pyproject.toml"
        path.write_text(path.read_text(encoding="utf-8").replace('dev = ["b"]', ""), encoding="utf-8")

    machine.add = remove  # type: ignore[method-assign]
    changes.change(steps, "remove", ["b"])
    text = (machine.root / "pyproject.toml").read_text(encoding="utf-8")
    assert 'leader = "poetry"\ngroups = []  # ours\n' in text


def test_another_leader_keeps_the_ends_of_the_lines(make: Make) -> None:
    steps, machine = make(pyproject_toml=PYPROJECT.format(leader="poetry").replace("\n", "\r\n"))
    changes.lock(steps, "uv")
    content = (machine.root / "pyproject.toml").read_bytes()
    assert content.count(b"\r\n") == content.count(b"\n") > 5


# --- undo ---


def test_undo_takes_the_changes_back_one_by_one(make: Make) -> None:
    recipe.setup(make()[0], Request())
    found = [snapshot(make()[1].root)]
    for version in ("1.1", "1.2"):
        steps, machine = make()
        machine.version = version
        changes.change(steps, "update", ["a"])
        found.append(snapshot(machine.root))
    assert [entry.title for entry in changes.history(steps)] == ["update a", "update a"]
    for expected in (found[1], found[0]):
        steps, machine = make()
        done = changes.undo(steps)
        assert snapshot(machine.root) == expected
        assert done.title == "undo update a"
        assert done.installed
    assert changes.history(steps) == []
    with pytest.raises(LabError, match="there is no change to take back") as caught:
        changes.undo(steps)
    assert caught.value.code == WRONG


def test_the_undo_of_another_leader_lets_the_one_before_lead_again(make: Make) -> None:
    steps, machine = make("venv+uv", uv_lock=uv_lock("0.9"))
    machine.version = "1.0"
    changes.lock(steps, "uv")
    steps, machine = make("venv+uv")
    changes.undo(steps)
    assert machine.ran == []
    assert (machine.root / "poetry.lock").read_text(encoding="utf-8") == poetry_lock("1.0")
    assert (machine.root / "uv.lock").read_text(encoding="utf-8") == uv_lock("0.9")


def test_a_lock_that_nobody_made_is_not_made_to_mend_another_one(make: Make) -> None:
    steps, machine = make("venv+uv", uv_lock=None)
    machine.version = "1.1"
    assert {*changes.lock(steps, only_there=True).files} == {"poetry.lock", "requirements.txt"}
    assert not (machine.root / "uv.lock").exists()
    changes.undo(make("venv+uv", uv_lock=None)[0])
    assert not (machine.root / "uv.lock").exists()
    changes.lock(make("venv+uv", uv_lock=None)[0])
    assert (machine.root / "uv.lock").exists()


def test_locks_that_were_behind_the_manifest_come_back_as_they_were(make: Make) -> None:
    """Nothing follows a lock that is older than the manifest: no manager takes its versions."""
    steps, machine = make("venv+poetry", poetry_lock=poetry_lock("0.8"), uv_lock=uv_lock("0.9"), requirements_txt=None)
    before = snapshot(machine.root)
    machine.version = "1.0"
    changes.lock(steps)
    steps, machine = make("venv+poetry", requirements_txt=None)
    assert snapshot(machine.root) != before
    assert {"poetry.lock", "uv.lock"} <= {*changes.undo(steps).files}
    assert machine.ran == []
    assert snapshot(machine.root) == before


def test_an_undo_that_another_change_overtook_loses_nothing(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    steps, machine = make()
    machine.version = "1.1"
    changes.change(steps, "update", ["a"])
    other, machine = make()
    machine.version = "1.2"
    steps, _ = make()
    held = drafting.files_held

    @contextlib.contextmanager
    def overtaken(of: Steps) -> Iterator[None]:
        if of is steps:
            changes.change(other, "update", ["a"])
        with held(of):
            yield

    monkeypatch.setattr(drafting, "files_held", overtaken)
    with pytest.raises(LabError, match="another command has changed the files meanwhile"):
        changes.undo(steps)
    assert "1.2" in (machine.root / "poetry.lock").read_text(encoding="utf-8")
    assert len(changes.history(steps)) == 2


def test_what_changed_since_is_not_taken_back_with_it(make: Make) -> None:
    steps, machine = make()
    machine.version = "1.1"
    changes.change(steps, "update", ["a"])
    manifest = machine.root / "poetry.lock"
    manifest.write_text(manifest.read_text(encoding="utf-8") + "# mine\n", encoding="utf-8")
    before = snapshot(machine.root)
    with pytest.raises(LabError) as caught:
        changes.undo(steps)
    assert str(caught.value) == (
        "poetry.lock changed since `update a`: taking that back would lose the later change: "
        "see `invoke history`; the old files are in .mlops-lab/history/000001"
    )
    assert snapshot(machine.root) == before


def test_without_the_lock_that_an_undo_took_nothing_is_installed(make: Make) -> None:
    steps, machine = make("venv+poetry", poetry_lock=None, uv_lock=None, requirements_txt=None)
    changes.lock(steps)
    recipe.setup(make()[0], Request())
    steps, machine = make()
    done = changes.undo(steps)
    assert not (machine.root / "poetry.lock").exists()
    assert done.installed is False
    assert said(steps)[-1] == "no poetry.lock is left to install from: `invoke setup` makes it anew"


def test_a_lock_that_came_later_follows_an_undo(make: Make) -> None:
    steps, machine = make("venv+poetry", uv_lock=None)
    machine.version = "1.1"
    changes.change(steps, "update", ["a"])
    (machine.root / "uv.lock").write_text(uv_lock("1.1"), encoding="utf-8")
    machine.version = "1.0"
    changes.undo(steps)
    assert (machine.root / "uv.lock").read_text(encoding="utf-8") == uv_lock("1.0")


def test_an_undo_that_cannot_be_installed_says_that_the_files_alone_can_be_taken_back(make: Make) -> None:
    recipe.setup(make()[0], Request())
    steps, machine = make()
    machine.version = "1.1"
    changes.change(steps, "update", ["a"])
    steps, machine = make()
    machine.fails, machine.fails_once = "poetry check", True
    with pytest.raises(CommandFailed) as caught:
        changes.undo(steps)
    assert caught.value.hint.endswith("take back the files alone with `invoke undo --no-install`")
    assert changes.undo(make()[0], install=False).files


# --- without an environment ---


def test_a_change_without_an_environment_installs_nothing_and_says_so(make: Make) -> None:
    steps, machine = make("venv+poetry", uv_lock=None, requirements_txt=None)
    changes.change(steps, "add", ["c"])
    assert machine.ran == ["poetry add --lock c"]
    assert said(steps) == ["there is no environment to install into: make it with `invoke setup`"]


def test_a_change_in_an_environment_that_was_never_finished_is_refused(make: Make) -> None:
    steps, machine = make()
    machine.make([])
    write_stamp(machine.prefix, Stamp(str(machine.root), "venv+poetry"))
    with pytest.raises(LabError, match="was never finished"):
        changes.change(steps, "add", ["c"])
    assert machine.ran == []


def test_a_group_that_has_just_come_is_installed_unless_others_were_chosen(make: Make) -> None:
    for groups, expected in ((("dev",), ("dev", "docs")), ((), ())):
        steps, machine = make(uv_lock=None, requirements_txt=None)
        steps.groups = groups
        manifest = machine.root / "pyproject.toml"
        manifest.write_text(PYPROJECT.format(leader="poetry"), encoding="utf-8")
        steps.project = project.find(machine.root)

        def add(_argv: list[str], machine: Machine = machine) -> None:
            manifest = machine.cwd / "pyproject.toml"
            text = manifest.read_text(encoding="utf-8")
            manifest.write_text(
                text.replace("[dependency-groups]", '[dependency-groups]\ndocs = ["c"]'), encoding="utf-8"
            )

        machine.add = add  # type: ignore[method-assign]
        changes.change(steps, "add", ["c"], "docs")
        assert tuple(sorted(steps.groups)) == expected


# --- lock, export ---


def test_lock_lets_what_is_there_follow(make: Make) -> None:
    steps, machine = make("venv+poetry")
    machine.version = "1.1"
    changes.lock(steps)
    assert machine.ran == ["poetry lock", FOLLOW.replace("1.0", "1.1"), EXPORT["poetry"]]
    assert not machine.prefix.exists()


def test_lock_makes_what_the_hybrid_needs_and_nothing_else(make: Make) -> None:
    steps, machine = make("venv+poetry", poetry_lock=None, uv_lock=None, requirements_txt=None)
    changes.lock(steps)
    assert machine.ran == ["poetry lock"]
    steps, machine = make("venv+uv", uv_lock=None)
    changes.lock(steps)
    assert machine.ran == ["poetry lock", FOLLOW]


def test_export_writes_the_requirements_even_where_they_are_in_step(make: Make) -> None:
    steps, machine = make("pip+uv")
    assert changes.export(steps) == machine.root / "requirements.txt"
    assert machine.ran == [EXPORT["uv"]]


BY_HAND = "a\n"


def test_an_export_over_requirements_that_somebody_wrote_is_refused(make: Make) -> None:
    steps, machine = make("pip+uv", requirements_txt=BY_HAND)
    with pytest.raises(LabError) as caught:
        changes.export(steps)
    assert str(caught.value) == (
        "requirements.txt has no hashes: somebody wrote it by hand, and an export would replace it: "
        "rename it (requirements.in is usual), or delete it, then export again"
    )
    assert (caught.value.code, machine.ran) == (WRONG, [])
    steps.groups = ()
    assert changes.export(steps) == machine.root / ".mlops-lab" / "requirements.txt"
    assert (machine.root / "requirements.txt").read_text(encoding="utf-8") == BY_HAND


def test_pip_installs_from_an_export_of_ours_beside_them(make: Make) -> None:
    steps, machine = make("pip+uv", requirements_txt=BY_HAND)
    recipe.setup(steps, Request())
    assert BY_PIP[0].replace("requirements.txt", ".mlops-lab/requirements.txt") in machine.ran
    assert said(steps)[1:] == [
        "requirements.txt is written by hand and stays: .mlops-lab/requirements.txt is exported for pip"
    ]
    assert (machine.root / "requirements.txt").read_text(encoding="utf-8") == BY_HAND


# --- who leads, and whether all are in step ---


def test_another_leader_starts_from_the_versions_that_are_locked(make: Make) -> None:
    steps, machine = make("venv+poetry", leader="poetry", uv_lock=None)
    done = changes.lock(steps, "uv")
    assert machine.ran == [FOLLOW, "uv lock"]
    assert 'leader = "uv"' in (machine.root / "pyproject.toml").read_text(encoding="utf-8")
    assert (machine.root / "uv.lock").read_text(encoding="utf-8") == uv_lock()
    assert done.files == ["pyproject.toml", "uv.lock"]
    steps, machine = make("venv+poetry")
    changes.undo(steps)
    assert 'leader = "poetry"' in (machine.root / "pyproject.toml").read_text(encoding="utf-8")
    assert not (machine.root / "uv.lock").exists()


def test_nobody_else_can_lead(make: Make) -> None:
    steps, machine = make()
    with pytest.raises(LabError, match="there is no manager 'pip' to lead: one of: poetry, uv"):
        changes.lock(steps, "pip")
    assert machine.ran == []


def test_locks_that_are_in_step_pass_and_change_nothing(make: Make) -> None:
    steps, machine = make()
    before = snapshot(machine.root)
    changes.check_locks(steps)
    assert [command for command in machine.asked if "lock" in command] == ["poetry check --lock", "uv lock --check"]
    assert snapshot(machine.root) == before


def test_every_lock_that_is_not_in_step_is_named(make: Make) -> None:
    steps, _machine = make(uv_lock=uv_lock("1.1"), requirements_txt=REQUIREMENTS.replace("a==1.0", "a==0.9"))
    with pytest.raises(LabError) as caught:
        changes.check_locks(steps)
    assert caught.value.code == FOUND
    found = caught.value.message.splitlines()
    assert found[0] == "the locks are not in step"
    assert found[1].startswith("  poetry.lock and uv.lock differ: a 1.0 ≠ 1.1 for Python 3.12 on ")
    assert found[-1] == "  requirements.txt does not say what poetry.lock says"


def test_the_leaders_lock_has_to_be_there(make: Make) -> None:
    steps, _machine = make(poetry_lock=None)
    with pytest.raises(LabError, match=r"poetry\.lock is missing, and poetry leads"):
        changes.check_locks(steps)
