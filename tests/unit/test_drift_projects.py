"""`drift` on projects as real teams have them: it finds what is true of each, and nothing else."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

import pytest
from support.drift_projects import PROJECTS, Expected, Side, copied, differences, expected, names

from mlops_lab import drift
from mlops_lab.findings import Finding, Findings, Source

if TYPE_CHECKING:
    from pathlib import Path

_CLICK = Expected("conflict", "click", (Side("poetry.lock", 12, "8.2.0"), Side("uv.lock", None, "8.1.7")), ("3.10",))
_FOUND = Finding(
    "conflict",
    "click",
    (Source("poetry.lock", 12, "click 8.2.0"), Source("uv.lock", 30, "click 8.1.7")),
    "They differ.",
    "invoke lock",
    where=("3.10 on linux", "3.10 on win32"),
)


@cache
def _examined(name: str, folder: Path) -> tuple[Findings, dict[str, bytes], dict[str, bytes]]:
    root = copied(name, folder)
    before = _content(root)
    return drift.examine(drift.subject_at(root, {})), before, _content(root)


def _content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("drift")


@pytest.mark.parametrize("name", names())
def test_what_is_true_of_a_project_is_found_and_nothing_else(name: str, folder: Path) -> None:
    result, before, after = _examined(name, folder)
    missing, unexpected = differences(expected(name), result.findings)
    told = [*(f"not found: {line}" for line in missing), *(f"false alarm: {line}" for line in unexpected)]
    assert not told, "\n".join([f"{PROJECTS.name}/{name}", *told])
    assert before == after, "a check writes nothing"


@pytest.mark.parametrize("name", names())
def test_a_finding_says_why_and_what_to_do(name: str, folder: Path) -> None:
    for finding in _examined(name, folder)[0].findings:
        assert finding.why.strip(), finding
        assert finding.severity == "note" or finding.command or finding.otherwise, finding
        assert all((folder / name / source.path).is_file() for source in finding.sources), finding


def test_all_projects_together(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The two figures by which such a check is judged: what it misses, and how often it cries wolf."""
    true = missed = alarms = 0
    for name in names():
        missing, unexpected = differences(expected(name), _examined(name, folder)[0].findings)
        true += len(expected(name))
        missed += len(missing)
        alarms += len(unexpected)
    clean = sum(not expected(name) for name in names())
    with capsys.disabled():
        print(  # noqa: T201
            f"\ndrift: {len(names())} projects ({clean} of them clean), {true - missed} of {true} true findings found,"
            f" {alarms} false alarms"
        )
    assert len(names()) >= 20
    assert clean >= 10
    assert true >= 30
    assert (missed, alarms) == (0, 0)


@pytest.mark.parametrize("name", names())
def test_what_is_expected_stands_in_the_files(name: str) -> None:
    for one in expected(name):
        for side in one.sides:
            lines = _text(PROJECTS / name / side.path).splitlines()
            assert side.line is None or 1 <= side.line <= len(lines), side
            if side.line and side.said and not re.fullmatch("[0-9a-f]{7}", side.said):
                assert side.said in lines[side.line - 1], f"{side} is not what stands there: {lines[side.line - 1]}"


def _text(path: Path) -> str:
    data = path.read_bytes()
    return data.decode("utf-16" if data.startswith(b"\xff\xfe") else "utf-8-sig")


def test_a_finding_as_expected_is_no_difference() -> None:
    assert differences([_CLICK], [_FOUND]) == ([], [])


@pytest.mark.parametrize(
    "other",
    [
        Expected("stale", "click", _CLICK.sides),
        Expected("conflict", "rich", _CLICK.sides),
        Expected("conflict", "click", _CLICK.sides[:1]),
        Expected("conflict", "click", (Side("poetry.lock", 13, "8.2.0"), _CLICK.sides[1])),
        Expected("conflict", "click", (Side("poetry.lock", 12, "8.2.1"), _CLICK.sides[1])),
        Expected("conflict", "click", (Side("pylock.toml", 12, "8.2.0"), _CLICK.sides[1])),
        Expected("conflict", "click", _CLICK.sides, ("3.11",)),
        Expected("conflict", "click", _CLICK.sides, ("3.10 on linux",)),
    ],
    ids=["kind", "package", "a side too many", "line", "version", "file", "another place", "a place too many"],
)
def test_any_difference_is_one(other: Expected) -> None:
    missing, unexpected = differences([other], [_FOUND])
    assert len(missing) == len(unexpected) == 1


def test_a_finding_twice_is_a_false_alarm() -> None:
    missing, unexpected = differences([_CLICK], [_FOUND, _FOUND])
    assert not missing
    assert len(unexpected) == 1
    assert unexpected[0].startswith("error conflict click: poetry.lock:12: click 8.2.0 <> uv.lock:30: click 8.1.7")
