"""Changes of real projects: afterwards every file and the environment say the same, or nothing has changed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.processes import assert_none_left

from mlops_lab.environment import Environment, inventory
from mlops_lab.project import MANIFESTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.processes import Started

    Lab = Callable[..., subprocess.CompletedProcess[str]]
    Case = Callable[..., Path]

pytestmark = pytest.mark.real

PROJECTS = Path(__file__).parents[1] / "projects"
CASES = {
    "legacy": ("venv+poetry", "pyjokes"),  # Poetry's own tables
    "small": ("venv+poetry", "pyjokes"),  # PEP 621, markers for two Pythons
    "layout": ("venv+uv", "pyjokes"),  # comments and odd formatting, a pip part in conda.yml
    "paths": ("venv+uv", "pyjokes"),  # a dependency by its path
    "extras": ("pip+poetry", "six"),  # extras
}
"""Project → its hybrid, and what is removed from it; groups are changed under every hybrid in test_hybrids.py."""
ADDED = "packaging"


def files(root: Path) -> dict[str, bytes]:
    """The manifests and locks that are there."""
    return {name: (root / name).read_bytes() for name in MANIFESTS if (root / name).is_file()}


def assert_in_step(lab: Lab, root: Path) -> None:
    """Both managers accept their locks, these and the export agree, and pip finds every requirement met."""
    lab("lock", "--check", cwd=root)
    log = max((root / ".mlops-lab" / "logs").glob("*.log"), key=lambda path: path.stat().st_mtime_ns)
    said = log.read_text(encoding="utf-8")
    checks = {"poetry.lock": "poetry check --lock\n", "uv.lock": "uv lock --check\n"}
    assert [name for name in files(root) if name in checks and checks[name] not in said] == []
    lab("compat", cwd=root)


def assert_pip_installs_it_anew(lab: Lab, root: Path, folder: Path) -> None:
    """Pip alone installs the export with its hashes, all that it needs included."""
    if (root / "requirements.txt").exists():
        pip = ["python", "-m", "pip", "install", "--quiet", "--require-hashes", "--target", str(folder)]
        lab("run", "--", *pip, "-r", "requirements.txt", cwd=root)


@pytest.mark.parametrize("name", CASES)
def test_after_every_change_all_say_the_same(name: str, lab: Lab, case: Case, tmp_path: Path) -> None:
    hybrid, removed = CASES[name]
    root = case(name)
    lab("setup", "--hybrid", hybrid, cwd=root)
    before, packages = files(root), inventory(Environment(root / ".venv"))
    done = json.loads(lab("add", ADDED, "--json", cwd=root).stdout)
    assert done["installed"] is True
    assert ADDED in {move["package"] for move in done["moves"]}
    assert_in_step(lab, root)
    assert inventory(Environment(root / ".venv")).keys() - packages.keys() == {ADDED}
    lab("undo", cwd=root)
    assert files(root) == before
    assert inventory(Environment(root / ".venv")) == packages
    lab("update", cwd=root)
    assert_in_step(lab, root)
    assert_pip_installs_it_anew(lab, root, tmp_path / "fresh")
    lab("remove", removed, cwd=root)
    assert_in_step(lab, root)
    assert removed not in inventory(Environment(root / ".venv"))
    assert removed.encode() not in b"".join(files(root).values())
    assert not list(root.parent.glob(".*mlops-lab-draft"))


def test_a_dry_run_tells_what_the_change_then_does(lab: Lab, case: Case) -> None:
    root = case("grouped")
    lab("setup", "--hybrid", "venv+uv", cwd=root)
    before = files(root)
    for words in (["add", ADDED, "--dev"], ["update"], ["remove", "six"]):
        shown = json.loads(lab(*words, "--dry-run", "--json", cwd=root).stdout)
        assert files(root) == before
        done = json.loads(lab(*words, "--json", cwd=root).stdout)
        assert (shown["moves"], shown["files"]) == (done["moves"], done["files"])
        before = files(root)


def test_the_indexes_of_this_machine_stay_out_of_the_manifest(lab: Lab, case: Case, tmp_path: Path) -> None:
    root = case("grouped")
    lab("lock", "--leader", "uv", "--hybrid", "venv+uv", cwd=root)
    more = tmp_path / "more" / "simple"
    more.mkdir(parents=True)
    environ = {"PIP_EXTRA_INDEX_URL": f"file://{more}"}
    lab("add", "cowsay", "--", "colorama<0.5", cwd=root, environ=environ)
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    assert '"colorama<0.5",\n    "cowsay>=6' in text
    assert ("index" in text, "source" in text) == (False, False)
    lab("add", "six", "--dev", cwd=root, environ=environ)
    assert '"six>=1.' in (root / "pyproject.toml").read_text(encoding="utf-8")
    lab("lock", "--check", cwd=root, environ=environ)


# --- paths ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("leader", ["poetry", "uv"])
def test_paths_in_the_files_are_the_projects_own(leader: str, lab: Lab, case: Case) -> None:
    root = case("paths")
    lab("lock", "--leader", leader, "--hybrid", f"venv+{leader}", cwd=root)
    lab("export", "--hybrid", f"venv+{leader}", cwd=root)
    assert "-e ./libs/greeter" in (root / "requirements.txt").read_text(encoding="utf-8")
    lab("lock", "--check", cwd=root)
    shutil.copytree(root / "libs" / "greeter", root / "libs" / "other")
    manifest = root / "libs" / "other" / "pyproject.toml"
    manifest.write_text(manifest.read_text(encoding="utf-8").replace("greeter", "other"), encoding="utf-8")
    if leader == "uv":
        # uv declares it in a table of its own, so that Poetry could not follow.
        (root / "poetry.lock").unlink()
    lab("add", f"other @ file://{root}/libs/other", "--no-install", "--hybrid", f"venv+{leader}", cwd=root)
    if (root / "poetry.lock").exists():
        assert 'url = "libs/other"\n' in locked(root)
    assert [name for name, text in files(root).items() if b"draft" in text] == []
    lab("lock", "--check", cwd=root)


# --- layout --------------------------------------------------------------------------------------------------------


def test_comments_and_layout_survive_a_change_of_both_manifests(lab: Lab, case: Case) -> None:
    root = case("layout")
    manifest, conda = ((root / name).read_text(encoding="utf-8") for name in ("pyproject.toml", "conda.yml"))
    lab("add", ADDED, "--hybrid", "venv+uv", cwd=root)
    lab("update", "pyjokes", cwd=root)
    lab("add", "--conda", "libhello>=1", cwd=root)
    lab("remove", "cowsay", cwd=root)
    now = (root / "pyproject.toml").read_text(encoding="utf-8")
    gone = [line for line in manifest.splitlines() if line not in now.splitlines()]
    assert [line for line in gone if "cowsay" not in line] == []
    assert "# --- what it says ---" in now
    # conda.yml's pip part has followed the lock, in the very lines that it had.
    expected = conda.replace("        - cowsay==6.1       # the cow\n", "")
    expected = expected.replace(
        "'pyjokes==0.6.0'", "'pyjokes==0.7.1'" if "0.7.1" in locked(root) else "'pyjokes==0.7.2'"
    )
    expected = expected.replace('    - "pip"\n', '    - "pip"\n    - libhello>=1\n')
    assert (root / "conda.yml").read_text(encoding="utf-8") == expected
    lab("remove", "--conda", "libhello", cwd=root)
    assert "libhello" not in (root / "conda.yml").read_text(encoding="utf-8")
    lab("remove", "--conda", "libhello", cwd=root, check=2)


def locked(root: Path) -> str:
    return (root / "poetry.lock").read_text(encoding="utf-8")


# --- bad input -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["poetry", "uv"])
def led(
    request: pytest.FixtureRequest, lab: Lab, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, dict[str, bytes]]]:
    """A project that each manager leads in turn; no test of bad input changes a byte of it."""
    root = tmp_path_factory.mktemp("led") / "grouped"
    shutil.copytree(PROJECTS / "grouped", root)
    lab("setup", "--hybrid", "venv+uv", cwd=root)
    lab("lock", "--leader", request.param, cwd=root)
    before = files(root)
    yield root, before
    assert files(root) == before
    assert not (root / ".mlops-lab" / "draft").exists()


BAD = {
    "no such package": (["add", "there-is-surely-no-package-of-this-name"], 1, ["there-is-surely-no-package"]),
    "no such version": (["add", "cowsay==99"], 1, ["cowsay"]),
    "a conflict": (["add", "iniconfig<2"], 1, ["iniconfig", "<2", ">=2"]),
    "a conflict between groups": (["add", "six<1.16", "--group", "lint"], 1, ["six", "<1.16", ">=1.16"]),
    "no version": (["add", "cowsay==one"], 2, ['"cowsay==one" is not a package']),
    "not declared": (["remove", "cowsay"], 2, ["pyproject.toml does not declare cowsay"]),
    "not declared in the group": (["remove", "pyjokes", "--group", "docs"], None, ["pyjokes"]),
    "not locked": (["update", "cowsay"], 2, ["lock does not have cowsay", "`mlops-lab add cowsay`"]),
    "no conda.yml": (["add", "--conda", "libhello"], 2, ["there is no conda.yml to change"]),
    "nobody to lead": (["lock", "--leader", "pip"], 2, ["there is no manager 'pip' to lead"]),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_answered_once_and_changes_nothing(
    name: str, lab: Lab, led: tuple[Path, dict[str, bytes]]
) -> None:
    root, before = led
    words, code, told = BAD[name]
    done = lab(*words, cwd=root, check=code)
    assert done.returncode in {1, 2}
    assert [word for word in told if word not in done.stderr] == []
    assert sum(line.startswith("error: ") for line in done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert files(root) == before


@pytest.mark.parametrize("name", ["pyproject.toml", "poetry.lock", "requirements.txt"])
def test_a_file_that_cannot_be_written_is_named_and_nothing_changes(
    name: str, lab: Lab, led: tuple[Path, dict[str, bytes]]
) -> None:
    root, before = led
    with read_only(root / name):
        done = lab("add", "cowsay", cwd=root, check=2)
    assert done.stderr.splitlines()[-1].startswith(f"error: {name} cannot be written: ")
    assert files(root) == before


@contextlib.contextmanager
def read_only(path: Path) -> Iterator[None]:
    """A file that nobody can write; to root a mode is no obstacle."""
    if os.geteuid():
        path.chmod(0o444)
    elif shutil.which("chattr") is None or subprocess.run(["chattr", "+i", path], check=False).returncode:
        pytest.skip("root can write every file here: chattr +i does not work")
    try:
        yield
    finally:
        path.chmod(0o644) if os.geteuid() else subprocess.run(["chattr", "-i", path], check=True)


@pytest.mark.parametrize("name", ["poetry.lock", "uv.lock"])
def test_a_broken_lock_is_refused_with_its_line(name: str, lab: Lab, led: tuple[Path, dict[str, bytes]]) -> None:
    root, before = led
    (root / name).write_bytes(before[name] + b"\n<<<<<<< HEAD\n")
    try:
        line = before[name].count(b"\n") + 2
        assert lab("add", "cowsay", cwd=root, check=2).stderr.startswith(f"error: {name}:{line}:1: ")
    finally:
        (root / name).write_bytes(before[name])


# --- somebody else, meanwhile --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pyproject.toml", "requirements.txt"])
def test_an_edit_during_a_change_is_never_overwritten(name: str, case: Case, start: Callable[..., Started]) -> None:
    root = case("grouped")
    before = files(root)
    add = start("add", "cowsay", "--hybrid", "venv+poetry", "--verbose", cwd=root)
    add.until("poetry add --lock")
    mine = before[name] + b"\n# mine\n"
    (root / name).write_bytes(mine)
    assert add.end() == 1
    assert files(root) == {**before, name: mine}
    said = f"error: {name} was edited while the change was made: your edit stays, and nothing else has changed: "
    assert f"{said}run the command again" in add.said
    assert_none_left(root)


def test_an_edit_while_it_installs_stays_when_the_change_is_taken_back(
    lab: Lab, case: Case, start: Callable[..., Started]
) -> None:
    root = case("small")
    lab("setup", "--hybrid", "venv+uv", cwd=root)
    before = files(root)
    add = start("add", ADDED, "--verbose", cwd=root)
    add.until("uv sync --locked")
    mine = (root / "pyproject.toml").read_bytes() + b"\n# mine\n"
    (root / "pyproject.toml").write_bytes(mine)
    os.kill(add.process.pid, signal.SIGINT)
    assert add.end() == 130, add.said
    assert files(root) == {**before, "pyproject.toml": mine}
    assert (root / ".mlops-lab" / "before" / "pyproject.toml").read_bytes() == before["pyproject.toml"]
    assert any("pyproject.toml was edited while it was being changed" in line for line in add.said)
    assert_none_left(root)


def test_two_changes_at_once_come_one_after_the_other(lab: Lab, case: Case, start: Callable[..., Started]) -> None:
    root = case("grouped")
    lab("setup", "--hybrid", "venv+uv", cwd=root)
    first = start("add", "cowsay", cwd=root)
    time.sleep(0.2)
    second = start("add", ADDED, cwd=root)
    assert (first.end(), second.end()) == (0, 0), (first.said, second.said)
    assert {"cowsay", ADDED} <= inventory(Environment(root / ".venv")).keys()
    lab("lock", "--check", cwd=root)
    assert len(json.loads(lab("history", "--json", cwd=root).stdout)) == 2


# --- a full disk ---------------------------------------------------------------------------------------------------


def test_a_disk_that_is_full_changes_nothing(lab: Lab, tmp_path: Path) -> None:
    small = tmp_path / "small disk"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(small)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("nobody may mount a small disk here")
    try:
        for name in ("pyproject.toml", "poetry.lock", "requirements.txt"):
            shutil.copy2(PROJECTS / "grouped" / name, small / name)
        before = files(small)
        lab("add", "cowsay", "--dry-run", "--hybrid", "venv+poetry", cwd=small)
        with contextlib.suppress(OSError), (small / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(b"x" * 4096)
        done = lab("add", "cowsay", "--hybrid", "venv+poetry", cwd=small, check=1)
        assert "No space left on device" in done.stderr
        assert files(small) == before
        (small / "filler").unlink()
        lab("add", "cowsay", "--hybrid", "venv+poetry", cwd=small)
        assert b'name = "cowsay"' in files(small)["poetry.lock"]
    finally:
        subprocess.run(["umount", str(small)], check=True)
