"""What the world refuses: the index, a hash, the disk. Exit code 1, files as before, and the next setup mends it.

Then two at once: one prefix, one cache of tools.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Lab = Callable[..., subprocess.CompletedProcess[str]]
    Case = Callable[..., Path]

pytestmark = pytest.mark.real

SMALL = Path(__file__).parents[1] / "projects" / "small"
FILES = ("pyproject.toml", "conda.yml", "poetry.lock", "uv.lock", "requirements.txt")
HYBRIDS = ("venv+poetry", "venv+uv", "pip+poetry", "pip+uv")
UNFINISHED = "   the last setup of this environment was not finished"
SEEDS = {"pip", "setuptools", "wheel"}
UNREACHABLE = (
    "  try: the package index cannot be reached: check the network, the proxy and pip's index-url (`pip config list`)"
)
OTHER_HASH = (
    "  try: a file of the index is not the one that was locked: if the lock is right, the index or a proxy is not; "
    "otherwise lock again with `mlops-lab lock`"
)
FULL = "free some disk space, then run the command again"


def files(project: Path) -> dict[str, bytes]:
    """The manifests and locks that are there."""
    return {name: (project / name).read_bytes() for name in FILES if (project / name).exists()}


def unfinished(prefix: Path) -> bool:
    """Whether a prefix says of itself that it is not finished."""
    return json.loads((prefix / "mlops-lab.json").read_text(encoding="utf-8"))["fingerprint"] is None


def assert_mended(lab: Lab, project: Path, *words: str) -> None:
    """The next setup says why it works, and ends with the right packages."""
    done = lab("setup", "--json", *words, cwd=project)
    assert UNFINISHED in done.stderr.splitlines()
    found = json.loads(done.stdout)
    assert set(found["packages"]) - SEEDS >= {"cowsay", "iniconfig", "pyjokes", "small"}
    assert found["packages"]["small"] == "1.2.3"
    assert lab("run", *words[2:], "--", "python", "-c", "import cowsay, small", cwd=project).stderr == ""


@pytest.fixture(scope="module")
def tooled(workshop: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The variables, after every tool was provisioned: it is not the tools that are to meet the trouble."""
    project = tmp_path_factory.mktemp("tooled") / "small"
    shutil.copytree(SMALL, project)
    argv = [sys.executable, "-m", "mlops_lab", "setup", "--hybrid", "pip+poetry"]
    subprocess.run(argv, cwd=project, env=workshop, check=True, capture_output=True)
    return workshop


# --- the index -----------------------------------------------------------------------------------------------------


def nowhere(folder: Path) -> dict[str, str]:
    """An index on a closed port, empty caches, and few attempts: how patient a tool is, is not what is looked at."""
    return {
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_RETRIES": "1",
        "UV_HTTP_RETRIES": "0",
        "POETRY_REQUESTS_MAX_RETRIES": "0",
        **{f"{tool}_CACHE_DIR": str(folder / f"empty-{tool}") for tool in ("PIP", "UV", "POETRY")},
    }


@pytest.mark.usefixtures("tooled")
@pytest.mark.parametrize("hybrid", ["venv+poetry", "venv+uv", "pip+poetry"])
def test_an_index_that_cannot_be_reached(hybrid: str, lab: Lab, case: Case, tmp_path: Path) -> None:
    project = case("small")
    before = files(project)
    done = lab("setup", "--hybrid", hybrid, cwd=project, environ=nowhere(tmp_path), check=1)
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1] == UNREACHABLE
    assert re.search(r"(?m)^error: `.+` failed \(exit code \d+\)$", done.stderr)
    assert files(project) == before
    prefix = project / ".venv"
    assert not prefix.exists() or unfinished(prefix)

    # Nothing is remembered of what failed.
    state = project / ".mlops-lab" / "state.json"
    assert not state.exists() or "hybrid" not in json.loads(state.read_text(encoding="utf-8"))
    done = lab("setup", "--hybrid", hybrid, "--json", cwd=project)
    assert json.loads(done.stdout)["ok"] is True
    assert files(project).items() >= before.items()


def test_json_tells_the_failure_to_programs(tooled: dict[str, str], lab: Lab, case: Case, tmp_path: Path) -> None:
    assert tooled
    project = case("small")
    (project / "poetry.lock").unlink()
    done = lab("setup", "--hybrid", "venv+uv", "--json", cwd=project, environ=nowhere(tmp_path), check=1)
    found = json.loads(done.stdout)
    assert (found["ok"], found["code"]) == (False, 1)
    assert found["hint"] == UNREACHABLE.removeprefix("  try: ")
    assert "`" in found["error"]
    assert Path(found["log"]).read_text(encoding="utf-8").count(found["tail"][-1].strip()) > 0
    assert not (project / "poetry.lock").exists()
    assert not (project / ".venv").exists()


@pytest.mark.usefixtures("tooled")
def test_adding_a_package_without_an_index_changes_nothing(lab: Lab, case: Case, tmp_path: Path) -> None:
    project = case("small")
    before = files(project)
    for leader in ("poetry", "uv"):
        text = before["pyproject.toml"].decode() + f'\n[tool.mlops-lab]\nleader = "{leader}"\n'
        (project / "pyproject.toml").write_text(text, encoding="utf-8")
        left = files(project)
        done = lab("add", "packaging", "--hybrid", "venv+uv", cwd=project, environ=nowhere(tmp_path), check=1)
        assert done.stderr.splitlines()[-1] == UNREACHABLE
        assert files(project) == left
        assert not (project / ".mlops-lab" / "journal").exists()


# --- the hash ------------------------------------------------------------------------------------------------------

# With pip the lock as well: requirements whose hashes no lock knows are exported anew.
TAMPERED = {
    "venv+poetry": ("poetry.lock",),
    "venv+uv": ("uv.lock",),
    "pip+poetry": ("poetry.lock", "requirements.txt"),
    "pip+uv": ("uv.lock", "requirements.txt"),
}


@pytest.mark.usefixtures("tooled")
@pytest.mark.parametrize("hybrid", HYBRIDS)
def test_a_hash_that_does_not_match(hybrid: str, lab: Lab, case: Case) -> None:
    project = case("small")
    lab("check", "--hybrid", "venv+poetry", cwd=project)
    if hybrid.endswith("+uv"):
        lab("export", "--hybrid", "venv+uv", cwd=project)  # makes uv.lock
    good = {project / name: (project / name).read_bytes() for name in TAMPERED[hybrid]}
    for path, content in good.items():
        path.write_bytes(re.sub(rb"sha256:[0-9a-f]{64}", b"sha256:" + b"0" * 64, content))
    before = files(project)
    done = lab("setup", "--hybrid", hybrid, cwd=project, check=1)
    assert done.stderr.splitlines()[-1] == OTHER_HASH
    assert files(project) == before
    assert unfinished(project / ".venv")
    assert not list((project / ".venv").glob("lib/*/site-packages/cowsay"))

    for path, content in good.items():
        path.write_bytes(content)
    assert_mended(lab, project, "--hybrid", hybrid)


@pytest.mark.usefixtures("tooled")
def test_requirements_with_hashes_that_no_lock_knows_are_exported_anew(lab: Lab, case: Case) -> None:
    project = case("small")
    path = project / "requirements.txt"
    good = path.read_bytes()
    path.write_bytes(re.sub(rb"sha256:[0-9a-f]{64}", b"sha256:" + b"0" * 64, good))
    done = lab("setup", "--hybrid", "pip+poetry", cwd=project)
    assert "requirements.txt does not match poetry.lock: it is exported anew" in done.stderr
    assert path.read_bytes() == good


# --- the disk ------------------------------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A disk of a given size."""
    mounted = tmp_path / "disk"

    def mount(size: str) -> Path:
        mounted.mkdir()
        argv = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(mounted)]
        if shutil.which("mount") is None or subprocess.run(argv, check=False, capture_output=True).returncode:
            pytest.skip("a tmpfs cannot be mounted here")
        return mounted

    yield mount
    subprocess.run(["umount", "--lazy", mounted], check=False, capture_output=True)


@contextlib.contextmanager
def filled(folder: Path, left: int) -> Iterator[None]:
    """A disk with so many bytes left."""
    size = shutil.disk_usage(folder).free - left
    with (folder / "filler").open("wb") as file:
        for _ in range(size >> 12):
            file.write(bytes(1 << 12))
    yield
    (folder / "filler").unlink()


@pytest.mark.usefixtures("tooled")
def test_a_disk_that_is_full_while_the_environment_is_created(
    lab: Lab, case: Case, disk: Callable[[str], Path]
) -> None:
    hybrid = "venv+uv"
    project, small = case("small"), disk("64k")
    before, prefix = files(project), small / "env"
    done = lab("setup", "--hybrid", hybrid, "--prefix", str(prefix), cwd=project, check=1)
    assert done.stderr.splitlines()[-1] == f"  try: {FULL}"
    assert files(project).items() >= before.items()
    assert unfinished(prefix)

    subprocess.run(["mount", "-o", "remount,size=64m", small], check=True)
    assert_mended(lab, project, "--hybrid", hybrid, "--prefix", str(prefix))


@pytest.mark.usefixtures("tooled")
@pytest.mark.parametrize("hybrid", ["venv+poetry", "venv+uv", "pip+poetry"])
def test_a_disk_that_is_full_while_packages_are_installed(
    hybrid: str, lab: Lab, case: Case, disk: Callable[[str], Path]
) -> None:
    project, small = case("small"), disk("64m")
    words = ("--hybrid", hybrid, "--prefix", str(small / "env"))
    lab("create", *words, cwd=project)
    before = files(project)
    with filled(small, 1 << 14):
        done = lab("setup", *words, cwd=project, check=1)
    assert done.stderr.splitlines()[-1] == f"  try: {FULL}"
    assert files(project).items() >= before.items()
    assert unfinished(small / "env")
    assert_mended(lab, project, *words)


@pytest.mark.usefixtures("tooled")
@pytest.mark.parametrize("left", [0, 1 << 12, 3 << 12, 10 << 12], ids="{} bytes left".format)
@pytest.mark.parametrize("words", [["add", "packaging"], ["setup"]], ids=" ".join)
def test_a_full_disk_under_the_project(
    words: list[str], left: int, lab: Lab, case: Case, disk: Callable[[str], Path], tmp_path: Path
) -> None:
    small = disk("2m")
    project = case("small", "disk/small", git=False)
    asked = [*words, "--hybrid", "venv+uv", "--prefix", str(tmp_path / "env")]
    before = files(project)
    with filled(small, left):
        done = lab(*asked, cwd=project, check=1)
    assert done.stderr.splitlines()[-1].endswith(f": {FULL}")
    assert files(project) == before
    assert not (project / ".mlops-lab" / "journal").exists()
    assert not (tmp_path / "env").exists()
    if left == 0:
        lab(*asked, cwd=project)
        assert set(files(project)) == set(FILES)


# --- two at once ---------------------------------------------------------------------------------------------------


def at_once(*started: tuple[list[str], Path], environ: Mapping[str, str]) -> list[tuple[int, list[str]]]:
    """Run several at the same time; returns the exit code and the lines on standard error of each."""
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "mlops_lab", *words],
            cwd=folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for words, folder in started
    ]
    try:
        said = [process.communicate(timeout=240)[1].splitlines() for process in running]
    finally:
        for process in running:
            process.kill()
    return [(process.returncode, lines) for process, lines in zip(running, said, strict=True)]


def test_two_setups_of_one_prefix_take_turns(case: Case, tooled: dict[str, str]) -> None:
    project = case("small")
    words = ["setup", "--hybrid", "venv+uv"]
    done = at_once((words, project), (words, project), environ=tooled)
    assert [code for code, _ in done] == [0, 0], done
    said = [line for _, lines in done for line in lines]
    assert said.count(f"   waiting: another process is changing {project}/.venv") == 1
    assert sum("Create the environment" in line for line in said) == 1
    assert sum("Install exactly the lock" in line for line in said) == 1


def test_two_setups_of_one_project_with_two_prefixes_take_turns_on_its_files(
    case: Case, tooled: dict[str, str]
) -> None:
    project = case("small")
    started = [(["setup", "--hybrid", "venv+uv", "--prefix", name], project) for name in ("one", "two")]
    done = at_once(*started, environ=tooled)
    assert [code for code, _ in done] == [0, 0], done
    assert not unfinished(project / "one")
    assert not unfinished(project / "two")


def test_a_tool_that_two_need_at_once_is_provisioned_once(case: Case, tooled: dict[str, str], tmp_path: Path) -> None:
    environ = {**tooled, "MLOPS_LAB_CACHE_DIR": str(tmp_path / "fresh")}
    words = ["check", "--hybrid", "venv+poetry"]
    one, two = case("small", "one"), case("small", "two")
    done = at_once((words, one), (words, two), environ=environ)
    assert [code for code, _ in done] == [0, 0], done
    (folder,) = (tmp_path / "fresh" / "tools").glob("poetry-*")
    said = [line for _, lines in done for line in lines]
    assert sum("provisioning poetry (" in line for line in said) == 1
    assert said.count(f"waiting: another process is changing {folder}") == 1

    # And it is there for the next one.
    marker = folder / "complete.json"
    made = marker.stat().st_mtime_ns
    assert set(json.loads(marker.read_text())) == {"poetry", "poetry-plugin-export", "poetry-plugin-pypi-mirror"}
    ((code, lines),) = at_once((words, one), environ=environ)
    assert (code, lines) == (0, [])
    assert marker.stat().st_mtime_ns == made


def test_a_half_provisioned_tool_is_provisioned_anew(case: Case, tooled: dict[str, str], tmp_path: Path) -> None:
    cache = tmp_path / "fresh"
    project = case("small")
    lacking = {**tooled, "MLOPS_LAB_CACHE_DIR": str(cache), **nowhere(tmp_path)}
    words = ["check", "--hybrid", "venv+poetry"]
    ((code, lines),) = at_once((words, project), environ=lacking)
    assert code == 1
    assert lines[-1] == UNREACHABLE
    (folder,) = (cache / "tools").glob("poetry-*")
    assert not (folder / "complete.json").exists()
    ((code, _),) = at_once((words, project), environ={**tooled, "MLOPS_LAB_CACHE_DIR": str(cache)})
    assert code == 0
    assert (folder / "complete.json").exists()
