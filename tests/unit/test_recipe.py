"""Which steps in which order, on a machine that a stand-in plays: environments and locks are files, no tool runs."""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.machine import (
    AFTER,
    BEFORE,
    BY_PIP,
    EXPORT,
    FOLLOW,
    INSTALLED,
    MIDDLE,
    PYPROJECT,
    REQUIREMENTS,
    Machine,
    Make,
    maker,
    poetry_lock,
    said,
    snapshot,
)

from mlops_lab import changes, freshness, interpreters, recipe, transaction
from mlops_lab.choices import Request
from mlops_lab.environment import Stamp, holding, read_stamp, write_stamp
from mlops_lab.errors import WRONG, LabError
from mlops_lab.interpreters import Interpreter
from mlops_lab.runner import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mlops_lab.steps import Steps


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """The steps of a small project whose locks are there, on a machine that a stand-in plays."""
    chosen = Interpreter("/usr/bin/python3.12", "3.12.1")
    monkeypatch.setattr(interpreters, "choose", lambda _project, _asked: chosen)
    return maker(tmp_path / "project")


# --- setup ---


@pytest.mark.parametrize("hybrid", MIDDLE)
def test_setup_runs_the_guide_in_order_and_seals_the_environment(make: Make, hybrid: str) -> None:
    steps, machine = make(hybrid)
    before = snapshot(machine.root)
    done = recipe.setup(steps, Request(hybrid=hybrid))
    assert machine.ran == [*BEFORE, *MIDDLE[hybrid], *AFTER]
    assert (done.hybrid, done.reason, done.prefix, done.python) == (hybrid, "asked for", str(machine.prefix), "3.12.1")
    assert done.packages == {**INSTALLED, "pip": "26.0"}
    assert done.because == ("there is no environment yet",)
    assert snapshot(machine.root) == before
    stamp = read_stamp(machine.prefix)
    assert stamp is not None
    assert (stamp.project, stamp.hybrid, stamp.groups) == (str(machine.root), hybrid, ("dev",))
    assert (stamp.made_by, stamp.installed) == (sys.executable, INSTALLED)
    assert stamp.fingerprint is not None
    assert steps.project.remembered("hybrid") == hybrid
    assert steps.project.remembered("prefix") is None


@pytest.mark.parametrize("hybrid", MIDDLE)
def test_setup_again_starts_nothing(make: Make, hybrid: str) -> None:
    recipe.setup(make(hybrid)[0], Request(hybrid=hybrid))
    steps, machine = make(hybrid)
    done = recipe.setup(steps, Request(hybrid=hybrid))
    assert (machine.ran, done.because, said(steps)) == ([], (), [])
    assert done.packages == {**INSTALLED, "pip": "26.0"}


def test_every_command_inherits_the_locks_and_later_ones_do_not(make: Make) -> None:
    steps, machine = make()
    recipe.setup(steps, Request())
    assert machine.held == {2}
    assert machine.inherited == ()
    machine.held.clear()
    changes.lock(steps)
    assert machine.held == {1}
    machine.held.clear()
    changes.change(steps, "add", ["c"])
    assert machine.held == {2}
    assert machine.inherited == ()


def test_a_forced_setup_empties_the_prefix_first(make: Make, tmp_path: Path) -> None:
    recipe.setup(make()[0], Request())
    steps, machine = make()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    (machine.prefix / "link").symlink_to(elsewhere)
    (machine.prefix / "file").touch()
    done = recipe.setup(steps, Request(force=True))
    assert done.because == ("asked for with --force",)
    assert machine.ran == [*BEFORE, *MIDDLE["venv+poetry"], *AFTER]
    assert not (machine.prefix / "file").exists()
    assert not (machine.prefix / "link").exists()
    assert (elsewhere / "kept").exists()


def test_another_hybrid_rebuilds_and_says_so(make: Make) -> None:
    recipe.setup(make("venv+uv")[0], Request())
    steps, machine = make("pip+poetry")
    recipe.setup(steps, Request())
    assert said(steps) == ["the environment was made with venv+uv"]
    assert machine.ran[0] == BEFORE[0]


def test_a_changed_lock_is_brought_in_without_a_rebuild(make: Make) -> None:
    recipe.setup(make()[0], Request())
    steps, machine = make()
    (machine.root / "poetry.lock").write_text(poetry_lock("1.1"), encoding="utf-8")
    machine.version = "1.1"
    done = recipe.setup(steps, Request())
    assert done.because == ("poetry.lock changed since the last setup",)
    assert BEFORE[0] not in machine.ran
    # A setup writes no file that it does not need: only pip installs from the requirements.
    assert said(steps)[1:] == []
    assert (machine.root / "requirements.txt").read_text(encoding="utf-8") == REQUIREMENTS


def test_pip_is_given_what_is_locked(make: Make) -> None:
    recipe.setup(make("pip+poetry")[0], Request())
    steps, machine = make("pip+poetry")
    (machine.root / "poetry.lock").write_text(poetry_lock("1.1"), encoding="utf-8")
    machine.version = "1.1"
    recipe.setup(steps, Request())
    assert said(steps)[1:] == ["requirements.txt does not match poetry.lock: it is exported anew"]
    assert (machine.root / "requirements.txt").read_text(encoding="utf-8") == REQUIREMENTS.replace("1.0", "1.1")


def test_a_prefix_that_was_chosen_is_remembered_in_full(make: Make) -> None:
    steps, machine = make()
    recipe.setup(steps, Request(prefix="relative"))
    assert steps.project.remembered("prefix") == str(machine.prefix)


def test_a_setup_that_another_one_finished_meanwhile_has_nothing_to_do(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe.setup(make()[0], Request())
    steps, machine = make()
    answers = iter([(("there is no environment yet",), ()), ((), ())])
    monkeypatch.setattr(freshness, "reasons", lambda *_: next(answers))
    assert recipe.setup(steps, Request()).because == ()
    assert machine.ran == []


# --- locks that are missing ---


@pytest.mark.parametrize(
    ("hybrid", "leader", "missing", "expected"),
    [
        ("venv+poetry", "poetry", ["poetry_lock", "uv_lock", "requirements_txt"], ["poetry lock"]),
        ("venv+uv", "uv", ["poetry_lock", "uv_lock", "requirements_txt"], ["uv lock"]),
        ("venv+uv", "poetry", ["uv_lock", "requirements_txt"], [FOLLOW]),
        ("venv+uv", "poetry", ["uv_lock"], [FOLLOW]),
        ("venv+uv", "poetry", ["poetry_lock", "uv_lock", "requirements_txt"], ["poetry lock", FOLLOW]),
        ("pip+poetry", "poetry", ["requirements_txt"], [EXPORT["poetry"]]),
        ("pip+uv", "poetry", ["uv_lock", "requirements_txt"], [FOLLOW, EXPORT["uv"]]),
    ],
)
def test_what_is_missing_is_made_before_the_environment_is_touched(
    make: Make, hybrid: str, leader: str, missing: list[str], expected: list[str]
) -> None:
    steps, machine = make(hybrid, leader, **dict.fromkeys(missing))
    recipe.setup(steps, Request())
    assert machine.ran == [*expected, *BEFORE, *MIDDLE[hybrid], *AFTER]
    name = {"poetry": "poetry.lock", "uv": "uv.lock"}[leader]
    assert (f"there is no {name} yet: it is made" in said(steps)) is expected[0].endswith(" lock")


def test_requirements_of_chosen_groups_are_exported_beside_the_projects_own(make: Make) -> None:
    steps, machine = make("pip+poetry")
    steps.groups = ()
    machine.install = lambda: None  # type: ignore[method-assign]
    recipe.setup(steps, Request(groups=()))
    assert machine.ran[0] == EXPORT["poetry"].replace(" --only=dev", "")
    assert (machine.root / "requirements.txt").read_text(encoding="utf-8") == REQUIREMENTS
    assert any("-r .mlops-lab/requirements.txt" in command for command in machine.ran)


# --- what left the lock ---


@pytest.mark.parametrize("hybrid", MIDDLE)
def test_what_left_the_lock_is_uninstalled_where_the_installer_cannot(make: Make, hybrid: str) -> None:
    steps, machine = make(hybrid)
    machine.extra = {"zombie": "1", "gone_too": "2"}
    recipe.setup(steps, Request())
    pruned = [command for command in machine.ran if "uninstall" in command]
    expected = ["pip --python ENV/bin/python uninstall --yes gone-too zombie"]
    assert pruned == (expected if hybrid.startswith("pip") else [])


def test_a_project_that_is_no_package_is_neither_installed_nor_kept(make: Make) -> None:
    text = PYPROJECT.format(leader="poetry") + "[tool.poetry]\npackage-mode = false\n"
    steps, machine = make("pip+poetry", pyproject_toml=text)
    recipe.setup(steps, Request())
    assert BY_PIP[1] not in machine.ran
    assert "pip --python ENV/bin/python uninstall --yes p" in machine.ran


# --- failure ---

STEPS = ["-m venv", "sys.prefix", "pip --version", "env info", "check --lock", "poetry sync", "doctor", "pip check"]


@pytest.mark.parametrize("part", STEPS)
def test_a_failed_setup_leaves_no_stamp_that_counts_and_the_next_one_rebuilds(make: Make, part: str) -> None:
    steps, machine = make()
    machine.fails = part
    with pytest.raises(CommandFailed):
        recipe.setup(steps, Request())
    stamp = read_stamp(machine.prefix)
    assert stamp is not None
    assert stamp.fingerprint is None
    assert steps.project.remembered("hybrid") is None
    steps, machine = make()
    done = recipe.setup(steps, Request())
    assert machine.ran == [*BEFORE, *MIDDLE["venv+poetry"], *AFTER]
    expected = (
        "there is no environment yet" if part == "-m venv" else "the last setup of this environment was not finished"
    )
    assert done.because == (expected,)


@pytest.mark.parametrize("name", ["pyproject.toml", "poetry.lock", "uv.lock", "requirements.txt"])
def test_files_are_as_before_when_a_later_one_cannot_be_made(make: Make, name: str) -> None:
    steps, machine = make("pip+uv", uv_lock=None, requirements_txt="a==0.9\n")
    before = snapshot(machine.root)
    machine.fails = "export"
    with pytest.raises(CommandFailed):
        recipe.setup(steps, Request())
    assert snapshot(machine.root).get(name) == before.get(name)
    assert not machine.prefix.exists()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("poetry.lock", "<<<<<<< HEAD\n"),
        ("uv.lock", "version = \n"),
        ("requirements.txt", "; rm -rf ~\n"),
        ("conda.yml", "dependencies: [\n"),
    ],
)
@pytest.mark.parametrize("act", ["setup", "change", "lock", "export"])
def test_a_broken_file_is_refused_before_anything_is_touched(make: Make, name: str, text: str, act: str) -> None:
    steps, machine = make()
    (machine.root / name).write_text(text, encoding="utf-8")
    before = snapshot(machine.root)
    acts: dict[str, Callable[[], object]] = {
        "setup": lambda: recipe.setup(steps, Request()),
        "change": lambda: changes.change(steps, "add", ["c"]),
        "lock": lambda: changes.lock(steps),
        "export": lambda: changes.export(steps),
    }
    with pytest.raises(LabError, match=rf"^{name}:\d+:\d+: ") as caught:
        acts[act]()
    assert caught.value.code == WRONG
    assert (machine.ran, machine.prefix.exists(), snapshot(machine.root)) == ([], False, before)


def test_a_prefix_of_another_project_is_refused(make: Make, tmp_path: Path) -> None:
    steps, machine = make()
    other = tmp_path / "other"
    other.mkdir()
    (other / "pyproject.toml").touch()
    write_stamp(machine.prefix, Stamp(str(other), "venv+uv"))
    with pytest.raises(LabError, match=f"belongs to the project {other}"):
        recipe.setup(steps, Request(force=True))
    assert machine.ran == []


def killed_after_it_published(steps: Steps, manifest: bytes) -> None:
    """A command put another pyproject.toml in place, and was killed."""
    with transaction.drafted(steps.project.root, steps.project.state) as draft:
        (draft.folder / "pyproject.toml").write_bytes(manifest)
        journal = transaction._begin(draft, draft.changed(), {"title": "add c", "time": 0.0})
        transaction._replace(journal, draft.root, "pyproject.toml")
    assert transaction.pending(steps.project.state)


def test_what_a_killed_command_left_is_put_back_first(make: Make) -> None:
    steps, machine = make()
    manifest = machine.root / "pyproject.toml"
    before = manifest.read_bytes()
    killed_after_it_published(steps, manifest.read_bytes() + b"# changed\n")
    changes.lock(steps)
    assert said(steps) == ["a command was killed while it changed pyproject.toml: put back as before"]
    assert manifest.read_bytes() == before


# --- create and install ---


def test_create_makes_the_environment_and_setup_completes_it(make: Make) -> None:
    steps, machine = make()
    assert recipe.create(steps, Request()) is True
    assert machine.ran == [BEFORE[0]]
    steps, machine = make()
    assert recipe.create(steps, Request()) is False
    assert machine.ran == []
    done = recipe.setup(steps, Request())
    assert done.because == ("its packages are not installed yet",)
    assert machine.ran == [*BEFORE[1:], *MIDDLE["venv+poetry"], *AFTER]


def test_create_with_force_makes_it_anew(make: Make) -> None:
    recipe.create(make()[0], Request())
    steps, machine = make()
    assert recipe.create(steps, Request(force=True)) is True
    assert machine.ran == [BEFORE[0]]


def test_install_brings_what_is_there_to_the_lock(make: Make) -> None:
    recipe.setup(make()[0], Request())
    steps, machine = make()
    recipe.install(steps)
    assert machine.ran == [*MIDDLE["venv+poetry"], AFTER[1]]
    assert (stamp := read_stamp(machine.prefix)) is not None
    assert stamp.fingerprint is not None


def _written_with_its_record(machine: Machine) -> Path:
    """A package whose file is another one than at the last setup, and whose record agrees with that."""
    folder = next(machine.prefix.glob("lib/python3.12/site-packages/a-*.dist-info"))
    (folder.parent / "a.py").write_text("edited", encoding="utf-8")
    (folder / "RECORD").write_text("a.py,,\n", encoding="utf-8")
    return folder.parent / "a.py"


def test_an_installation_does_not_vouch_for_what_it_left_alone(make: Make) -> None:
    recipe.setup(make()[0], Request())
    steps, machine = make()
    _written_with_its_record(machine)
    recipe.install(steps)
    assert freshness.reasons(steps, None) == (("files of a 1.0 have changed or are missing",), ())


def test_what_agrees_with_its_record_and_was_edited_is_forgotten_by_the_cache(make: Make, tmp_path: Path) -> None:
    recipe.setup(make("venv+uv")[0], Request())
    steps, machine = make("venv+uv")
    os.link(_written_with_its_record(machine), tmp_path / "cache")
    recipe.setup(steps, Request())
    assert "uv cache clean a" in machine.ran


def test_an_installation_that_was_not_finished_makes_nothing_suspect(make: Make, tmp_path: Path) -> None:
    recipe.setup(make("venv+uv")[0], Request())
    steps, machine = make("venv+uv")
    os.link(_written_with_its_record(machine), tmp_path / "cache")
    stamp = read_stamp(machine.prefix)
    assert stamp is not None
    write_stamp(machine.prefix, replace(stamp, fingerprint=None))
    recipe.setup(steps, Request())
    assert not [command for command in machine.ran if command.startswith("uv cache")]


def test_install_without_an_environment_is_refused(make: Make) -> None:
    steps, machine = make()
    with pytest.raises(LabError) as caught:
        recipe.install(steps)
    assert str(caught.value) == f"there is no environment at {machine.prefix}: make it with `invoke setup`"
    assert machine.ran == []


def test_install_into_an_environment_of_another_hybrid_is_refused(make: Make) -> None:
    recipe.setup(make("pip+uv")[0], Request())
    steps, machine = make("venv+poetry")
    with pytest.raises(LabError) as caught:
        recipe.install(steps)
    assert str(caught.value) == (
        f"the environment at {machine.prefix} was made with pip+uv: rebuild it with `invoke setup --hybrid venv+poetry`"
    )
    assert (caught.value.code, machine.ran) == (WRONG, [])


def test_install_into_an_environment_that_was_never_finished_is_refused(make: Make) -> None:
    steps, machine = make()
    machine.make([])
    write_stamp(machine.prefix, Stamp(str(machine.root), "venv+poetry"))
    with pytest.raises(LabError, match=r"was never finished: rebuild it with `invoke setup --hybrid venv\+poetry`$"):
        recipe.install(steps)


# --- clean ---


def test_clean_removes_the_environment_and_our_state(make: Make) -> None:
    steps, machine = make()
    recipe.setup(steps, Request())
    assert recipe.clean(steps) == [str(machine.prefix), str(machine.root / ".mlops-lab")]
    assert sorted(path.name for path in machine.root.iterdir()) == sorted(
        ["poetry.lock", "pyproject.toml", "requirements.txt", "uv.lock"]
    )


def test_clean_with_nothing_there_removes_nothing(make: Make) -> None:
    steps, machine = make()
    assert recipe.clean(steps) == []
    assert not (machine.root / ".mlops-lab").exists()


def test_clean_leaves_what_we_did_not_make(make: Make) -> None:
    steps, machine = make()
    machine.make([])
    with pytest.raises(LabError) as caught:
        recipe.clean(steps)
    assert str(caught.value) == f"{machine.prefix} was not made by mlops-lab: remove it yourself if it is not needed"
    assert machine.prefix.exists()


def test_clean_puts_back_what_a_killed_command_left_before_its_journal_goes(make: Make) -> None:
    steps, machine = make()
    manifest = machine.root / "pyproject.toml"
    before = manifest.read_bytes()
    killed_after_it_published(steps, manifest.read_bytes() + b"# changed\n")
    recipe.clean(steps)
    assert manifest.read_bytes() == before


# --- two at once ---


def test_nothing_is_changed_while_another_process_holds_the_environment(make: Make) -> None:
    steps, machine = make()

    class Busy(Exception):
        pass

    def busy(text: str) -> None:
        raise Busy(text)

    steps.observer.say = busy  # type: ignore[method-assign]
    held, enough = threading.Event(), threading.Event()

    def hold() -> None:
        with holding(machine.prefix, print):
            held.set()
            enough.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    try:
        with pytest.raises(Busy) as caught:
            recipe.setup(steps, Request())
    finally:
        enough.set()
        thread.join()
    assert str(caught.value) == f"waiting: another process is changing {machine.prefix}"
    assert machine.ran == []
