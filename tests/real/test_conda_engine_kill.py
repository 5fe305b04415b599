"""kill -9 at many moments: whatever was running, the next run makes the environment what it should be, file by file."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest
from support.conda_engine import Conda, contents, wheel

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from support.conda_channel import Channel

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(sys.platform != "linux", reason="the channel is made of this machine's Pythons"),
]

HEAD = "name: lab\nchannels: [conda-forge]\n"
OLD = HEAD + "dependencies: ['python={0}', packaging=24.2, libhello=1.0, hello-gpu]\n"
NEW = HEAD + "dependencies: ['python={0}', packaging=25.0, libhello=1.1]\n"
PIP = HEAD + "dependencies:\n- python={0}\n- packaging=24.2\n- pip:\n  - --no-index\n  - ./wheels/{1}\n"
MOMENTS = 8
HOW = ("parent", "group")


@pytest.fixture(scope="module")
def conda(tmp_path_factory: pytest.TempPathFactory, workshop: dict[str, str], conda_channel: Channel) -> Conda:
    made = Conda(tmp_path_factory.mktemp("kill"), {**workshop, **conda_channel.environ})
    series = conda_channel.pythons[0].rpartition(".")[0]
    made.file(OLD.format(series), "old.yml")
    made.file(NEW.format(series), "new.yml")
    one = wheel(made.folder / "wheels", "one", "1.0", "x = 1\n" * 1000)
    made.file(PIP.format(series, one.name), "pip.yml")
    return made


@pytest.fixture(scope="module")
def wanted(conda: Conda) -> dict[str, dict[str, str]]:
    """What an environment holds that was made without a disturbance: file → contents."""
    found = {}
    for name in ("old.yml", "new.yml", "pip.yml"):
        conda.run("env", "create", "-f", name)
        found[name] = contents(conda.envs / "lab")
        conda.run("env", "remove", "-n", "lab")
    return found


def kill(process: subprocess.Popen[str], how: str) -> None:
    # A quick machine may have finished: then there is nothing to heal, and the rest of the test holds all the same.
    with contextlib.suppress(ProcessLookupError):
        if how == "group":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=30)
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def at(process: subprocess.Popen[str], line: str, later: float) -> bool:
    """Wait for a line, then a while; False when the process was quicker."""
    for said in process.stderr or ():
        if line in said:
            time.sleep(later)
            return process.poll() is None
    return False


def assert_healed(conda: Conda, name: str, wanted: dict[str, str]) -> None:
    conda.run("env", "update", "--prune", "-f", name)
    found = contents(conda.envs / "lab")
    # Pip notes the time of an installation nowhere, and the name of the file that it was handed neither.
    assert sorted(found.items() ^ wanted.items()) == []
    assert conda.left() == ["lab"]


@pytest.mark.parametrize("moment", range(MOMENTS))
def test_a_create(conda: Conda, wanted: dict[str, dict[str, str]], moment: int) -> None:
    conda.run("env", "remove", "-n", "lab", check=None)
    process = conda.start("env", "create", "-f", "old.yml")
    at(process, "installing:", moment * 0.012)
    kill(process, HOW[moment % 2])
    if (conda.envs / "lab").exists():
        assert contents(conda.envs / "lab") == wanted["old.yml"], "half an environment was seen"
    assert_healed(conda, "old.yml", wanted["old.yml"])


@pytest.mark.parametrize("moment", range(MOMENTS))
def test_an_update(conda: Conda, wanted: dict[str, dict[str, str]], moment: int) -> None:
    conda.run("env", "create", "--yes", "-f", "old.yml")
    process = conda.start("env", "update", "--prune", "-f", "new.yml")
    at(process, "installing:", moment * 0.006)
    kill(process, HOW[moment % 2])
    # Now and then the user changes his mind.
    name = "old.yml" if moment % 3 == 1 else "new.yml"
    assert_healed(conda, name, wanted[name])


def test_what_py_rattler_tries_links_and_copies_with_goes_with_the_next_change(
    conda: Conda, wanted: dict[str, dict[str, str]]
) -> None:
    conda.run("env", "create", "--yes", "-f", "old.yml")
    prefix = conda.envs / "lab"
    (prefix / ".refprobe-bnmksu").mkdir()
    (prefix / ".refprobe-bnmksu" / "src").touch()
    (prefix / "symtest_bnmksu").symlink_to("nothing")
    (prefix / "conda-meta" / "prefix_record_bnmksu").touch()
    assert_healed(conda, "new.yml", wanted["new.yml"])


@pytest.mark.parametrize("moment", range(3))
def test_a_replacing_create(conda: Conda, wanted: dict[str, dict[str, str]], moment: int) -> None:
    conda.run("env", "create", "--yes", "-f", "old.yml")
    process = conda.start("env", "create", "--yes", "-f", "new.yml")
    at(process, "installing:", 0.02 + moment * 0.03)
    kill(process, HOW[moment % 2])
    assert contents(conda.envs / "lab") in (wanted["old.yml"], wanted["new.yml"])
    assert_healed(conda, "new.yml", wanted["new.yml"])


@pytest.mark.parametrize(
    ("start", "later", "how"),
    [("none", 0.1, "group"), ("old.yml", 0.3, "group"), ("pip.yml", 0.3, "parent")],
)
def test_the_pip_part(conda: Conda, wanted: dict[str, dict[str, str]], start: str, later: float, how: str) -> None:
    conda.run("env", "remove", "-n", "lab", check=None)
    words = ["env", "create"]
    if start != "none":
        conda.run("env", "create", "-f", start)
        words = ["env", "create", "--yes"] if start == "pip.yml" else ["env", "update", "--prune"]
    process = conda.start(*words, "-f", "pip.yml")
    at(process, "installing the pip part", later)
    kill(process, how)
    assert_healed(conda, "pip.yml", wanted["pip.yml"])


def test_an_environment_that_was_healed_is_healthy(conda: Conda) -> None:
    conda.run("env", "create", "--yes", "-f", "old.yml")
    process = conda.start("env", "update", "--prune", "-f", "new.yml")
    at(process, "installing:", 0.01)
    kill(process, "group")
    found = conda.json("doctor", "-n", "lab", check=1)["checks"]["finished"]
    assert found == ["`env update` mends it"]
    conda.run("env", "update", "--prune", "-f", "new.yml")
    assert conda.json("doctor", "-n", "lab")["healthy"]


def test_pip_holds_the_lock_of_a_parent_that_was_killed(conda: Conda) -> None:
    conda.run("env", "remove", "-n", "lab", check=None)
    slow = conda.folder / "slow"
    slow.mkdir(exist_ok=True)
    (slow / "setup.py").write_text("import time\ntime.sleep(3)\nraise SystemExit('slow')\n")
    conda.file((conda.folder / "pip.yml").read_text().partition("  - --no-index")[0] + "  - ./slow\n", "slow.yml")
    process = conda.start("env", "create", "-f", "slow.yml")
    assert at(process, "pip: Processing", 0.2)
    kill(process, "parent")
    done = conda.run("env", "update", "-f", "old.yml")
    assert done.stderr.splitlines()[0] == f"waiting: another process is changing {conda.envs}/lab"


@pytest.mark.parametrize("role", ["new", "old"])
def test_a_kill_between_two_renames(conda: Conda, wanted: dict[str, dict[str, str]], role: str) -> None:
    conda.run("env", "create", "--yes", "-f", "old.yml")
    prefix: Path = conda.envs / "lab"
    beside = prefix.with_name(f".lab.mlops-lab-{role}")
    prefix.rename(beside) if role == "old" else beside.mkdir()
    if role == "old":
        conda.run("env", "update", "--dry-run", "-f", "old.yml")
        assert beside.exists(), "a dry run touches nothing"
    assert_healed(conda, "old.yml", wanted["old.yml"])
