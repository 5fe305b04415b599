"""Ctrl-C, a polite kill and kill -9: files come back, nothing runs on, and the next setup mends by itself."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.processes import PATIENCE, Started, assert_none_left, children

if TYPE_CHECKING:
    from collections.abc import Callable

    Lab = Callable[..., subprocess.CompletedProcess[str]]
    Case = Callable[..., Path]

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="the children are looked up in /proc"),
]

SMALL = Path(__file__).parents[1] / "projects" / "small"
FILES = ("pyproject.toml", "conda.yml", "poetry.lock", "uv.lock", "requirements.txt")
SEEDS = {"pip", "setuptools", "wheel"}
INTERRUPTED = "error: interrupted: the next `mlops-lab setup` repairs what was left unfinished"
UNFINISHED = "   the last setup of this environment was not finished"


def files(project: Path) -> dict[str, bytes]:
    """The manifests and locks that are there."""
    return {name: (project / name).read_bytes() for name in FILES if (project / name).exists()}


def finished(prefix: Path) -> bool:
    """Whether the stamp of a prefix says that it is finished."""
    return json.loads((prefix / "mlops-lab.json").read_text(encoding="utf-8"))["fingerprint"] is not None


def assert_mended(lab: Lab, project: Path, hybrid: str) -> list[str]:
    """The next setup ends with the right packages, and the one after it has nothing to do; returns what it said."""
    done = lab("setup", "--hybrid", hybrid, "--json", cwd=project)
    assert set(json.loads(done.stdout)["packages"]) - SEEDS == {"cowsay", "iniconfig", "pyjokes", "small"}
    assert finished(project / ".venv")
    assert lab("run", "--", "python", "-c", "import cowsay, small", cwd=project).stderr == ""
    assert json.loads(lab("setup", "--json", cwd=project).stdout)["because"] == []
    return done.stderr.splitlines()


def to_group(process: subprocess.Popen[str]) -> None:
    """Ctrl-C at a terminal: parent and children."""
    os.killpg(process.pid, signal.SIGINT)


def to_parent(number: signal.Signals) -> Callable[[subprocess.Popen[str]], None]:
    """A signal for the parent alone."""
    return lambda process: os.kill(process.pid, number)


ASKED = {
    "SIGINT to the group": to_group,
    "SIGINT": to_parent(signal.SIGINT),
    "SIGTERM": to_parent(signal.SIGTERM),
    "SIGHUP": to_parent(signal.SIGHUP),
}
MOMENTS = {
    "create": ("venv+uv", " -m venv ", 0.3),
    "install": ("pip+uv", " --require-hashes ", 0.2),
    "install-project": ("pip+poetry", " --no-deps -e .", 0.6),
}


@pytest.mark.parametrize(
    ("how", "moment"),
    [
        ("SIGINT to the group", "create"),
        ("SIGINT", "create"),
        ("SIGHUP", "create"),
        ("SIGTERM", "install"),
        ("SIGINT to the group", "install-project"),
    ],
)
def test_a_setup_that_is_asked_to_stop(
    how: str, moment: str, lab: Lab, case: Case, start: Callable[..., Started]
) -> None:
    project = case("small")
    hybrid, line, later = MOMENTS[moment]
    before = files(project)
    setup = start("setup", "--hybrid", hybrid, "--verbose", cwd=project)
    setup.until(line)
    time.sleep(later)
    ASKED[how](setup.process)
    assert setup.end() == 130, setup.said
    assert setup.said[-1] == INTERRUPTED
    assert not any("Traceback" in said for said in setup.said if not said.startswith("   |"))
    assert_none_left(project)
    assert files(project).items() >= before.items()
    assert not finished(project / ".venv")
    assert UNFINISHED in assert_mended(lab, project, hybrid)
    assert files(project).items() >= before.items()


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_setup_that_is_killed(moment: str, lab: Lab, case: Case, start: Callable[..., Started]) -> None:
    project = case("small")
    hybrid, line, later = MOMENTS[moment]
    before = files(project)
    setup = start("setup", "--hybrid", hybrid, "--verbose", cwd=project)
    setup.until(line)
    time.sleep(later)
    os.kill(setup.process.pid, signal.SIGKILL)
    assert setup.end() == -signal.SIGKILL
    alive = bool(children(project / ".venv"))
    said = assert_mended(lab, project, hybrid)
    assert UNFINISHED in said
    if moment == "create":
        # The child that it left holds the lock.
        assert alive
        assert f"   waiting: another process is changing {project}/.venv" in said
    assert files(project).items() >= before.items()
    assert_none_left(project)


def test_a_rebuild_that_is_killed_half_way_is_known_as_ours(
    lab: Lab, case: Case, start: Callable[..., Started]
) -> None:
    project = case("small")
    lab("create", "--hybrid", "venv+uv", cwd=project)
    setup = start("setup", "--hybrid", "venv+uv", "--force", "--verbose", cwd=project)
    setup.until("asked for with --force")
    os.kill(setup.process.pid, signal.SIGKILL)
    setup.end()
    assert_mended(lab, project, "venv+uv")
    assert_none_left(project)


# --- a change of manifest and locks --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ready(workshop: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a finished environment; every test leaves it as it was."""
    project = tmp_path_factory.mktemp("ready") / "small"
    shutil.copytree(SMALL, project)
    argv = [sys.executable, "-m", "mlops_lab", "setup", "--hybrid", "venv+uv"]
    subprocess.run(argv, cwd=project, env=workshop, check=True, capture_output=True)
    return project


CHANGES = {
    "while it locks": ("poetry add --lock", 0.4),
    "while the other lock follows": ("uv lock --upgrade-package", 0.0),
    "while it installs": ("uv sync --locked", 0.0),
}


@pytest.mark.parametrize(
    ("how", "moment"),
    [
        *(("SIGINT to the group", moment) for moment in CHANGES),
        ("SIGINT", "while it locks"),
        ("SIGTERM", "while it locks"),
    ],
)
def test_an_add_that_is_asked_to_stop_puts_every_file_back(
    how: str, moment: str, lab: Lab, ready: Path, start: Callable[..., Started]
) -> None:
    before = files(ready)
    line, later = CHANGES[moment]
    add = start("add", "packaging", "--verbose", cwd=ready)
    add.until(line)
    time.sleep(later)
    ASKED[how](add.process)
    assert add.end() == 130, add.said
    assert add.said[-1] == INTERRUPTED
    assert_none_left(ready)
    assert files(ready) == before
    assert not (ready / ".mlops-lab" / "journal").exists()
    assert_mended(lab, ready, "venv+uv")
    assert files(ready) == before


@pytest.mark.parametrize("moment", CHANGES)
def test_an_add_that_is_killed_is_undone_by_the_next_setup(
    moment: str, lab: Lab, ready: Path, start: Callable[..., Started]
) -> None:
    before = files(ready)
    line, later = CHANGES[moment]
    add = start("add", "packaging", "--verbose", cwd=ready)
    add.until(line)
    time.sleep(later)
    os.kill(add.process.pid, signal.SIGKILL)
    assert add.end() == -signal.SIGKILL
    said = assert_mended(lab, ready, "venv+uv")
    # Before that, the tools have worked on a draft.
    if moment == "while it installs":
        assert any(line.startswith("   a command was killed while it changed pyproject.toml") for line in said)
    assert_none_left(ready)
    assert files(ready) == before
    assert not (ready / ".mlops-lab" / "journal").exists()


def test_what_a_killed_lock_left_running_is_waited_for(lab: Lab, ready: Path, start: Callable[..., Started]) -> None:
    before = files(ready)
    lock = start("lock", "--verbose", cwd=ready)
    lock.until("poetry lock")
    limit = time.monotonic() + PATIENCE
    while not any("bin/poetry lock" in words for words in children(ready)) and time.monotonic() < limit:
        time.sleep(0.02)
    os.kill(lock.process.pid, signal.SIGKILL)
    os.killpg(lock.process.pid, signal.SIGSTOP)
    lock.end()
    again = start("lock", cwd=ready)
    again.until(f"waiting: another process is changing {ready}")
    assert again.process.poll() is None
    os.killpg(lock.process.pid, signal.SIGCONT)
    assert again.end() == 0, again.said
    assert_none_left(ready)
    assert files(ready) == before
    assert json.loads(lab("setup", "--json", cwd=ready).stdout)["because"] == []


def test_another_command_puts_files_back_too(lab: Lab, ready: Path, start: Callable[..., Started]) -> None:
    before = files(ready)
    add = start("add", "packaging", "--verbose", cwd=ready)
    add.until("uv sync --locked")
    os.kill(add.process.pid, signal.SIGKILL)
    add.end()
    done = lab("remove", "packaging", cwd=ready, check=2)
    assert "   a command was killed while it changed pyproject.toml" in done.stderr
    assert "   the environment is brought back to the files" in done.stderr
    assert_none_left(ready)
    assert files(ready) == before


def test_a_command_that_only_looks_puts_things_right_too(lab: Lab, ready: Path, start: Callable[..., Started]) -> None:
    before = files(ready)
    add = start("add", "packaging", "--verbose", cwd=ready)
    add.until("uv sync --locked")
    # One that looks while it is at work does not wait for it.
    lab("history", cwd=ready)
    os.kill(add.process.pid, signal.SIGKILL)
    add.end()
    assert_none_left(ready)
    done = lab("run", "--", "python", "-c", "import cowsay", cwd=ready)
    assert "   a command was killed while it changed pyproject.toml" in done.stderr
    assert "   the environment is brought back to the files" in done.stderr
    assert files(ready) == before
    assert json.loads(lab("setup", "--json", cwd=ready).stdout)["because"] == []


# --- a command of the user's ---------------------------------------------------------------------------------------


def test_ctrl_c_is_the_business_of_what_runs_inside(ready: Path, start: Callable[..., Started]) -> None:
    script = (
        "import sys, time\n"
        "try:\n"
        "    print('started', file=sys.stderr, flush=True)\n"
        "    time.sleep(60)\n"
        "except KeyboardInterrupt: sys.exit(9)\n"
    )
    run = start("run", "--", "python", "-c", script, cwd=ready)
    run.until("started")
    to_group(run.process)
    assert run.end() == 9
    run = start(
        "run", "--", "python", "-c", "import sys, time; print('started', file=sys.stderr); time.sleep(60)", cwd=ready
    )
    run.until("started")
    os.kill(run.process.pid, signal.SIGTERM)
    assert run.end() == 128 + signal.SIGTERM
    assert_none_left(ready)
