"""`nox -s check` with conda: all nine steps on a real channel, on several Pythons, and what it says where none is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from mlops_lab.guide import ROWS
from mlops_lab.manifests import poetry_lock
from mlops_lab.manifests.markers import marker_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from support.conda_channel import Channel

    Case = Callable[..., Path]

pytestmark = pytest.mark.real

PROGRAMS = ("conda", "mamba", "micromamba")
CONDA = ("conda+poetry", "conda+uv")
HYBRIDS = (*CONDA, "venv+poetry")
NOXFILE = "from mlops_lab.sessions import check\n\n__all__ = ['check']\n"
# Which Pythons there are is known when the channel is made: the oldest and the newest of them.
OLDEST, NEWEST = 0, -1


def run_sessions(
    root: Path, environ: Mapping[str, str], hybrids: tuple[str, ...], *words: str
) -> subprocess.CompletedProcess[str]:
    (root / "noxfile.py").write_text(NOXFILE, encoding="utf-8")
    sessions = [f"check({hybrid})" for hybrid in hybrids]
    argv = [sys.executable, "-m", "nox", "--report", "report.json", "-s", *sessions, *words]
    return subprocess.run(
        argv,
        cwd=root,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def results(root: Path) -> dict[str, str]:
    report = json.loads((root / "report.json").read_text(encoding="utf-8"))
    return {session["signatures"][-1]: session["result"] for session in report["sessions"]}


def inventory(root: Path, hybrid: str, name: str = "inventory.json") -> dict[str, Any]:
    taken: dict[str, Any] = json.loads((root / ".mlops-lab" / "check" / hybrid / name).read_text(encoding="utf-8"))
    versions = {
        key: {package: each["version"] for package, each in taken[key].items()} for key in ("packages", "conda")
    }
    return {**taken, **versions, "python": taken["python"]["version"]}


@pytest.mark.parametrize(
    ("engine", "which", "hybrids"),
    [
        pytest.param("embedded", OLDEST, HYBRIDS, id="embedded, the oldest Python"),
        # Another Python is nothing new to the managers: test_hybrids.py sets both up with each.
        pytest.param("embedded", NEWEST, ("conda+uv",), id="embedded, the newest Python"),
        *(pytest.param(engine, NEWEST, HYBRIDS, id=f"{engine}, the newest Python") for engine in PROGRAMS),
    ],
)
def test_all_nine_steps_run_and_the_packages_of_the_lock_are_the_same_ones(
    case: Case,
    workshop: dict[str, str],
    conda_channel: Channel,
    engine: str,
    which: int,
    hybrids: tuple[str, ...],
) -> None:
    if engine in PROGRAMS and not shutil.which(engine):
        pytest.skip(f"there is no {engine} on PATH")
    root, python = case("native"), conda_channel.pythons[which]
    with (root / "pyproject.toml").open("a", encoding="utf-8") as manifest:
        manifest.write(f'\n[tool.mlops-lab]\nconda = "{engine}"\n')
    series = ".".join(python.split(".")[:2])
    environ = {**workshop, **conda_channel.environ, **({"PATH": os.environ["PATH"]} if engine in PROGRAMS else {})}
    done = run_sessions(root, environ, hybrids, "--", "--python", series)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert results(root) == {f"check({hybrid})": "success" for hybrid in hybrids}
    condas = [hybrid for hybrid in hybrids if hybrid in CONDA]
    titles = {row.title for row in ROWS if row.name != "install-project"}
    missing = {title for title in titles if said.count(f" {title} ") < len(condas)}
    assert not missing
    locked = poetry_lock.versions_for(root / "poetry.lock", marker_environment(python), ["dev"])
    wanted = {**locked, "native": "0.3.0"}
    for hybrid in hybrids:
        for name in ("inventory.json", "inventory-after.json"):
            taken = inventory(root, hybrid, name)
            assert {package: taken["packages"].get(package) for package in wanted} == wanted, (hybrid, name)
    for hybrid in condas:
        taken = inventory(root, hybrid)
        assert (taken["engine"], taken["python"], taken["conda"]["libhello"]) == (engine, python, "1.1")
        # What is there beside the lock is conda's own, and stays.
        assert taken["packages"].keys() - wanted.keys() <= taken["conda"].keys()
        assert inventory(root, hybrid, "inventory-after.json")["packages"] == taken["packages"]


def test_where_no_channel_answers_the_sessions_are_skipped_with_the_reason(
    case: Case, workshop: dict[str, str]
) -> None:
    root = case("native")
    done = run_sessions(root, workshop, CONDA)
    assert done.returncode == 0, done.stdout + done.stderr
    assert results(root) == {f"check({hybrid})": "skipped" for hybrid in CONDA}
    why = "no conda, mamba or micromamba is here, and the channel conda-forge does not answer: "
    assert done.stderr.count(f" skipped ({why}") == len(CONDA)
