"""A change that is stopped at any point, in any way: every file is as it was before, or as it was to be.

By default each point is tried once, the kinds of fault taking turns, under one hybrid; `nox -s faults` tries every kind
at every point under three hybrids.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import faults, forked
from support.processes import assert_none_left

from mlops_lab.environment import Environment, inventory
from mlops_lab.project import MANIFESTS, STATE

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    Lab = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="what a command has started is found in /proc"),
]

PROJECTS = Path(__file__).parents[1] / "projects"
ALL = bool(os.environ.get("MLOPS_LAB_ALL_FAULTS"))
CASES = {"venv+uv": "uv", "venv+poetry": "poetry", "pip+uv": "poetry"} if ALL else {"venv+uv": "uv"}
"""Hybrid → who leads. Where all are tried, both locks are there; else only the leader's, which takes less time."""
CHANGES = {"add": ["add", "cowsay"], "remove": ["remove", "six", "--group", "docs"], "update": ["update", "pyjokes"]}
_TIMEOUT = 120

Point = tuple[str, int]
"""What is about to be done, and for which time."""


@dataclass
class Bench:
    """A project with a finished environment, on which one change after the other is stopped."""

    root: Path
    hybrid: str
    environ: dict[str, str]
    lab: Lab
    state: bytes = b""
    before: dict[str, bytes] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)

    @property
    def prefix(self) -> Path:
        return self.root / ".venv"

    def files(self) -> dict[str, bytes]:
        return {name: (self.root / name).read_bytes() for name in MANIFESTS if (self.root / name).is_file()}

    def installed(self) -> dict[str, str]:
        return inventory(Environment(self.prefix))

    def run(self, words: list[str], point: Point | None, kind: str = "") -> tuple[int, str]:
        """Make a change that is stopped at a point; its exit code and what it printed."""
        plan: dict[str, Any] = {"point": point, "kind": kind, "root": str(self.root), "prefix": str(self.prefix)}
        plan["report"] = str(self.report)
        self.report.unlink(missing_ok=True)
        # What is remembered from the last run would spare this one some of the points.
        (self.root / STATE / "state.json").write_bytes(self.state)
        words = [json.dumps(plan), *words]
        done = forked.run(faults.main, words, cwd=self.root, environ=self.environ, timeout=_TIMEOUT)
        return done.returncode, done.stdout + done.stderr

    def points(self) -> list[Point]:
        return [(what, times) for what, times in json.loads(self.report.read_text(encoding="utf-8"))]

    @property
    def report(self) -> Path:
        return self.root.parent / "points.json"


@pytest.fixture(scope="module", params=CASES)
def bench(
    request: pytest.FixtureRequest, lab: Lab, workshop: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    root = tmp_path_factory.mktemp("faults") / "grouped"
    # A cache that nobody else fills anew.
    environ = {**workshop, "UV_CACHE_DIR": str(root.with_name("uv"))}
    lab = functools.partial(lab, environ=environ)
    leader = CASES[request.param]
    shutil.copytree(PROJECTS / "grouped", root)
    lab("setup", "--hybrid", request.param, cwd=root)
    # From the versions of the committed lock, so that an update has something to do.
    lab("lock", "--leader", leader, cwd=root)
    if not ALL:
        (root / "poetry.lock").unlink()
    lab("setup", cwd=root)
    made = Bench(root, request.param, environ, lab)
    made.before, made.packages = made.files(), made.installed()
    made.state = (root / STATE / "state.json").read_bytes()
    yield made
    assert_none_left(root)


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_that_is_stopped_at_any_point(bench: Bench, name: str, record_property: Callable[..., None]) -> None:
    words = CHANGES[name]
    bench.environ.pop("UV_OFFLINE", None)
    code, said = bench.run(words, None)
    assert code == 0, said
    # An index may tell more of a file at one time than at another, and uv.lock keeps what it told.
    bench.environ["UV_OFFLINE"] = "1"
    points, after, changed = bench.points(), bench.files(), bench.installed()
    assert after != bench.before
    undo(bench)
    record_property("points", len(points))
    kinds = faults.KINDS if ALL else ()
    tried = [
        (point, kind)
        for number, point in enumerate(points)
        for kind in kinds or [faults.KINDS[number % len(faults.KINDS)]]
    ]
    held = [stopped(bench, words, point, kind, after, changed) for point, kind in tried]
    # The last points come when the change has been made, the first ones when it has not.
    assert 0 < sum(held) < len(tried)
    sys.stdout.write(f"\n{bench.hybrid} {name}: {len(points)} points, {len(tried)} faults, {sum(held)} changes made\n")


def stopped(
    bench: Bench, words: list[str], point: Point, kind: str, after: dict[str, bytes], changed: dict[str, str]
) -> bool:
    """Stop a change, and see that it is made or is not; returns whether it was made, and takes it back."""
    code, said = bench.run(words, point, kind)
    where = f"{kind} at {point}: exit code {code}\n{said}"
    assert "Traceback" not in "".join(line for line in said.splitlines() if not line.startswith("  |")), where
    if kind == "SIGKILL":
        assert code == -9, where
        # Whatever command comes next puts things right, once the last child has ended.
        assert bench.lab("lock", "--check", cwd=bench.root, check=None).returncode == 0, where
    else:
        assert point in bench.points(), where
    now = bench.files()
    assert now in (bench.before, after), where
    assert code == 0 or now == bench.before or _late(point[0]), where
    assert not (bench.root / ".mlops-lab" / "journal").exists(), where
    assert not list(bench.root.parent.glob(".*mlops-lab-draft")), where
    assert bench.installed() == (changed if now == after else bench.packages), where
    if now == after:
        undo(bench)
    return now == after


def _late(what: str) -> bool:
    """Whether a point comes when the change holds: what is left then is to tidy up."""
    return "history" in what or "draft" in what or "state.json" in what


def undo(bench: Bench) -> None:
    """Go back to where every change starts."""
    bench.lab("undo", cwd=bench.root)
    assert bench.files() == bench.before
    assert bench.installed() == bench.packages
