"""The workflows and what updates them: what no checker of theirs looks at."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.workflow import Failed, Machine, evaluate, expand, filled, found, load, run_job

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
USES = re.compile(
    r"uses: (?P<action>[\w-]+/[\w-]+)@(?P<commit>[0-9a-f]{40}) # (?P<version>v\d+\.\d+\.\d+)$", re.MULTILINE
)


def test_these_are_the_workflows() -> None:
    assert [path.name for path in FILES] == ["ci.yml", "environments.yml", "release.yml"]


def test_every_action_is_pinned_everywhere_to_the_same_commit_with_its_version() -> None:
    pins: dict[str, set[tuple[str, str]]] = {}
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        matches = list(USES.finditer(text))
        assert len(matches) == text.count("uses:"), path.name
        for match in matches:
            pins.setdefault(match["action"], set()).add((match["commit"], match["version"]))
    assert {action: len(each) for action, each in pins.items() if len(each) > 1} == {}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_nothing_is_permitted_that_a_job_does_not_ask_for_and_no_job_runs_for_hours(path: Path) -> None:
    workflow = load(path)
    assert workflow["permissions"] == {}
    assert {"group", "cancel-in-progress"} <= set(workflow["concurrency"])
    assert workflow["defaults"] == {"run": {"shell": "bash"}}
    for name, job in workflow["jobs"].items():
        assert isinstance(job["permissions"], dict), name
        assert job["timeout-minutes"] <= 60, name
        for step in job["steps"]:
            assert "name" in step
            if "actions/checkout@" in step.get("uses", ""):
                assert step["with"]["persist-credentials"] is False
            if "actions/upload-artifact@" in step.get("uses", ""):
                # A job that is run again belongs to the same run, which has the artifact of before.
                # https://github.com/actions/upload-artifact/blob/main/docs/MIGRATION.md#overwriting-an-artifact
                assert (step["with"]["overwrite"], step["with"]["if-no-files-found"]) == (True, "error")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_value_is_pasted_into_a_command(path: Path) -> None:
    steps = [step for job in load(path)["jobs"].values() for step in job["steps"]]
    assert [step["name"] for step in steps if "${{" in step.get("run", "")] == []


@pytest.mark.parametrize("name", ["ci", "environments"])
def test_a_job_of_a_session_ends_its_summary_with_the_line_that_does_the_same_elsewhere(name: str) -> None:
    for job_name, job in load(ROOT / ".github" / "workflows" / f"{name}.yml")["jobs"].items():
        *_, last = job["steps"]
        if job_name != "pass":
            assert (last["name"], last["if"]) == ("How to do the same elsewhere", "failure()")
            assert last["run"].rstrip().endswith('>> "$GITHUB_STEP_SUMMARY"')


def test_what_is_updated_by_itself_is_there() -> None:
    data: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text(encoding="utf-8"))
    needed = {"github-actions": ".github/workflows/ci.yml", "pip": "poetry.lock", "npm": "package-lock.json"}
    assert [each["package-ecosystem"] for each in data["updates"]] == list(needed)
    for each in data["updates"]:
        folder = ROOT / each["directory"].lstrip("/")
        assert (folder / needed[each["package-ecosystem"]]).is_file()
        assert each["cooldown"]["default-days"] >= 7
        assert [group["patterns"] for group in each["groups"].values()] == [["*"]]


def test_the_lock_of_npm_has_hashes_and_no_address() -> None:
    lock = json.loads((ROOT / "tests" / "workflows" / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: each for name, each in lock["packages"].items() if name}
    assert [name for name, each in packages.items() if not each["integrity"].startswith("sha512-")] == []
    assert [name for name, each in packages.items() if "resolved" in each] == []


# --- the language of the workflows ---------------------------------------------------------------------------------

CONTEXT: dict[str, Any] = {
    "functions": {"join": lambda values, between: between.join(values), "always": lambda: True},
    "github": {"event_name": "pull_request"},
    "matrix": {"conda": "", "id": "a-b"},
    "needs": {"plan": {"result": "success"}, "check": {"result": "failure"}},
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("github.event_name == 'pull_request' && 'small' || 'full'", "small"),
        ("github.event_name != 'pull_request' && 'small' || 'full'", "full"),
        ("matrix.conda == 'conda'", False),
        ("!(matrix.conda == 'conda') && always()", True),
        ("join(needs.*.result, ' ')", "success failure"),
        ("matrix.nothing", ""),
        ("'it''s'", "it's"),
        ("'ONE' == 'one'", True),
        ("1 == 1", True),
    ],
)
def test_an_expression_means_what_it_means_on_github(text: str, value: object) -> None:
    assert evaluate(text, CONTEXT) == value


@pytest.mark.parametrize(
    "text",
    ["a b", "github.x +", "(1", "1 ~ 2", "", "env.A", "contains('a', 'b')", "join(needs.*.result ' ')", "1 == '1'"],
)
def test_an_expression_that_is_not_known_is_refused(text: str) -> None:
    with pytest.raises((AssertionError, KeyError)):
        evaluate(text, CONTEXT)


def test_a_text_is_filled_and_a_lone_expression_keeps_its_type() -> None:
    assert filled("x-${{ matrix.id }}-${{ matrix.conda }}y", CONTEXT) == "x-a-b-y"
    assert filled("${{ matrix.id == 'a-b' }}", CONTEXT) is True
    assert filled("is ${{ matrix.id == 'a-b' }}", CONTEXT) == "is true"


def test_a_matrix_with_axes_is_not_taken_for_one_without() -> None:
    assert expand({"include": [{"a": 1}]}) == [{"a": 1}]
    with pytest.raises(AssertionError):
        expand({"include": [], "os": ["linux"]})


def running(tmp_path: Path, job: dict[str, Any], needs: dict[str, Any] | None = None) -> None:
    """Run a workflow of one job, which starts nothing."""
    workflow = {"defaults": {"run": {"shell": "bash"}}, "jobs": {"it": {"steps": [], **job}}}
    run_job(workflow, "it", Machine(tmp_path, tmp_path, tmp_path, {}), needs=needs or {})


@pytest.mark.parametrize(
    "job",
    [
        {"continue-on-error": True},
        {"container": "debian"},
        {"steps": [{"name": "x", "run": ":", "continue-on-error": True}]},
        {"steps": [{"name": "x", "run": ":", "working-directory": "/"}]},
        {"steps": [{"name": "x", "run": "echo ${{ github.ref }}"}]},
    ],
)
def test_a_job_with_something_that_is_not_known_is_refused(job: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"not known here|go through variables"):
        running(tmp_path, job)


def test_a_job_whose_condition_is_not_met_does_not_run(tmp_path: Path) -> None:
    for result, condition in (("failure", "success()"), ("skipped", "!cancelled() && needs.a.result == 'success'")):
        with pytest.raises(AssertionError, match="it would be skipped"):
            running(tmp_path, {"if": condition}, {"a": {"result": result}})
    running(tmp_path, {"if": "always()"}, {"a": {"result": "failure"}})


def test_artifacts_are_kept_and_fetched_as_github_does_it(tmp_path: Path) -> None:
    at = Machine(tmp_path / "work", tmp_path, tmp_path / "artifacts", {})
    (at.workspace / "left").mkdir(parents=True)
    (at.workspace / "left" / "a.json").write_text("1", encoding="utf-8")
    given = {"name": "inventory-1", "path": "left/*.json"}
    at.upload(given)
    with pytest.raises(Failed, match=r"^\(409\) Conflict: an artifact inventory-1 is there already$"):
        at.upload(given)
    # One alone lies in the folder itself, several of them in one each: `parity` reads both.
    at.download({"pattern": "inventory-*", "path": "alone"})
    assert [path.name for path in found(at.workspace, "alone/*")] == ["a.json"]
    (at.workspace / "left" / "a.json").rename(at.workspace / "left" / "b.json")
    at.upload({**given, "name": "inventory-2"})
    at.upload({**given, "overwrite": "true"})
    at.download({"pattern": "inventory-*", "path": "all"})
    names = [path.relative_to(at.workspace).as_posix() for path in found(at.workspace, "all/**/*.json")]
    assert names == ["all/inventory-1/b.json", "all/inventory-2/b.json"]
    with pytest.raises(Failed, match=r"^Artifact 'inventory-3' not found$"):
        at.download({"name": "inventory-3"})


def test_globs_find_what_github_finds(tmp_path: Path) -> None:
    for name in (".x/a/inventory.json", ".x/a/copy/p/.x/logs/1.log", ".x/a/copy/q/p/.x/logs/2.log", "b.json"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert [path.name for path in found(tmp_path, ".x/*/inventory*.json")] == ["inventory.json"]
    assert [path.name for path in found(tmp_path, ".x/a/copy/**/.x/logs/*.log")] == ["1.log", "2.log"]
    assert [path.name for path in found(tmp_path, "*.json")] == ["b.json"]
