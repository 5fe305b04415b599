"""The `check` session: what runs on which copy, what it leaves, and what it finds, with the recipe replaced."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from mlops_lab import changes, engines, recipe, sessions, taking
from mlops_lab.choices import Request
from mlops_lab.errors import LabError
from mlops_lab.guide import HYBRIDS, ROWS, Row, Spelling, hybrid_named, spelling
from mlops_lab.inventories import Inventory, Package, Platform
from mlops_lab.steps import Steps
from mlops_lab.toolbox import Toolbox

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PYPROJECT = '[project]\nname = "p"\nversion = "1"\n'


class Ended(Exception):
    """How a session ended: nox raises too."""


class Session:
    """Stands in for nox's."""

    def __init__(self, *posargs: str) -> None:
        self.posargs = list(posargs)
        self.logged: list[str] = []

    def error(self, text: str) -> None:
        raise Ended(f"error: {text}")

    def skip(self, text: str) -> None:
        raise Ended(f"skipped: {text}")

    def log(self, text: str) -> None:
        self.logged.append(text)


class Play:
    """What the replaced recipe was told, and what is installed as it goes on."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.installed = {"a": "1", "p": "1"}
        self.after: dict[str, dict[str, str]] = {}
        self.silent: set[str] = set()
        self.fails: LabError | None = None

    def note(self, steps: Any, name: str, *more: object) -> None:
        self.told.append((name, steps.hybrid.name, steps.leader, *more))
        if self.fails is not None:
            raise self.fails
        self.installed = self.after.get(name, self.installed)

    def take(self, steps: Any, made_from: Any = None, *, whole: bool = True) -> Inventory:  # noqa: ARG002 - as the real one
        """The inventory of what is installed now."""
        packages = {name: Package(version) for name, version in self.installed.items()}
        return Inventory(steps.hybrid.name, "3.12.1", Platform(sys.platform), packages, inputs=made_from or {})

    def seen(self, steps: Any) -> None:
        """Report every row that a tool of the hybrid answers as run."""
        for row in ROWS:
            if spelling(row, steps.hybrid, steps.leader) and row.name not in self.silent:
                steps.observer.start(row)
                steps.observer.finish(row, 0.0, ok=True)


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    made = Play()

    def copy_project(root: Path, folder: Path, run: object) -> Path:
        made.told.append(("copy", root, folder, run))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
        return folder

    def change(steps: Any, row: str, packages: list[str]) -> None:
        made.note(steps, row, packages)
        if row == "add":
            made.installed = {**made.installed, packages[0]: "1"}
        if row == "remove":
            made.installed = {name: v for name, v in made.installed.items() if name != packages[0]} | made.after.get(
                "", {}
            )

    def setup(steps: Any, request: Request) -> None:
        steps.interpreter = "the chosen one"
        made.note(steps, "setup", request)
        made.seen(steps)

    def export(steps: Any) -> None:
        made.note(steps, "export")
        made.seen(steps)

    (tmp_path / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sessions, "copy_project", copy_project)
    monkeypatch.setattr(sessions, "inventory", lambda _: made.installed)
    monkeypatch.setattr(taking, "take", made.take)
    monkeypatch.setattr("mlops_lab.steps.Steps._tracked_leader", lambda _: "poetry")
    monkeypatch.setattr(recipe, "setup", setup)
    monkeypatch.setattr(Steps, "step", lambda *_: None)  # which only rows need that are in no recipe
    monkeypatch.setattr(changes, "change", change)
    monkeypatch.setattr(changes, "lock", lambda steps: made.note(steps, "lock"))
    monkeypatch.setattr(changes, "export", export)
    monkeypatch.setattr(recipe, "install", lambda steps: made.note(steps, "install", steps.interpreter))
    return made


def run(session: Session, hybrid: str) -> None:
    body: Callable[..., None] = sessions.check.func
    body(session, hybrid)


def test_there_is_one_session_for_each_hybrid_and_they_run_side_by_side() -> None:
    declared: Any = sessions.check
    assert (declared.venv_backend, declared.allow_parallel) == ("none", True)
    assert [str(param) for param in declared.parametrize] == [hybrid.name for hybrid in HYBRIDS]


@pytest.mark.parametrize("hybrid", [hybrid.name for hybrid in HYBRIDS if hybrid.backend != "conda"])
def test_every_step_runs_on_a_copy_with_a_prefix_of_its_own(play: Play, tmp_path: Path, hybrid: str) -> None:
    session = Session("--python", "3.12")
    run(session, hybrid)
    folder = tmp_path / ".mlops-lab" / "check" / hybrid
    manager = hybrid.split("+")[1]
    copied, *told = play.told
    request = Request(hybrid, "3.12", str(folder / "environment"), force=True)
    assert copied[:3] == ("copy", tmp_path, folder / "copy")
    assert told == [
        ("setup", hybrid, "poetry", request),
        *((row, hybrid, manager, ["cowsay"]) for row in ("add", "update", "remove")),
        ("lock", hybrid, manager),
        ("export", hybrid, manager),
        ("install", hybrid, manager, "the chosen one"),
    ]
    assert session.logged == [f"{hybrid}: 2 packages, {folder / 'inventory.json'}"]


def test_the_inventory_is_taken_before_any_change_and_again_at_the_end(play: Play, tmp_path: Path) -> None:
    play.after = {"install": {"a": "2", "p": "1"}}
    run(Session(), "venv+uv")
    folder = tmp_path / ".mlops-lab" / "check" / "venv+uv"
    first, last = (
        json.loads((folder / name).read_text("utf-8")) for name in ("inventory.json", "inventory-after.json")
    )
    assert (first["hybrid"], first["python"]["version"], first["platform"]["sys_platform"]) == (
        "venv+uv",
        "3.12.1",
        sys.platform,
    )
    assert first["packages"] == {"a": {"version": "1"}, "p": {"version": "1"}}
    # Of the project itself, whatever is derived in the copy.
    assert list(first["inputs"]) == ["pyproject.toml"]
    assert last["packages"] == {"a": {"version": "2"}, "p": {"version": "1"}}


@pytest.mark.parametrize(
    ("locked", "sample"),
    [
        (set(), "cowsay"),
        ({"cowsay"}, "pyjokes"),
        ({"cowsay", "pyjokes"}, "iniconfig"),
    ],
)
def test_the_package_that_is_added_is_one_that_the_project_does_not_lock(
    play: Play, locked: set[str], sample: str
) -> None:
    play.installed = dict.fromkeys(locked, "1")
    run(Session(), "venv+uv")
    assert [told[3] for told in play.told if told[0] == "add"] == [[sample]]


def test_a_package_that_does_not_arrive_is_found(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "change", lambda *_: None)
    assert play.installed
    with pytest.raises(Ended, match=r"^error: error: after `add cowsay` the environment has not followed: .*\.log$"):
        run(Session(), "venv+uv")


def test_what_adding_and_removing_leaves_behind_is_found(play: Play) -> None:
    play.after = {"": {"left": "1"}}
    with pytest.raises(Ended, match=r"adding and removing cowsay left something else: \[\('left', '1'\)\]: .*\.log$"):
        run(Session(), "pip+poetry")


@pytest.mark.parametrize("row", ["activate", "install", "export", "compat"])
def test_a_step_of_the_guide_that_did_not_run_is_found(play: Play, row: str) -> None:
    play.silent = {row, "prune"}
    with pytest.raises(Ended, match=rf"^error: these steps of the guide did not run: {row}, prune$"):
        run(Session(), "pip+uv")


def test_a_step_that_only_looks_runs_without_being_named_anywhere(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = Row(10, "peek", "Look", "It is free.", {"uv": Spelling("uv tree")}, looks=True)
    monkeypatch.setattr(sessions, "ROWS", (*ROWS, looks))
    with pytest.raises(Ended, match=r"^error: these steps of the guide did not run: peek$"):
        monkeypatch.setattr(Steps, "step", lambda *_: play.told.append("step"))
        run(Session(), "venv+uv")
    assert play.told.count("step") == 1
    monkeypatch.setattr(Steps, "step", lambda steps, _name: steps.observer.finish(looks, 0.0, ok=True))
    run(Session(), "venv+uv")


def test_a_failure_is_shown_as_the_tasks_show_it(play: Play) -> None:
    play.fails = LabError("wrong", "try this")
    with pytest.raises(Ended, match=r"^error: error: wrong: try this$"):
        run(Session(), "pip+uv")


def test_a_hybrid_that_cannot_run_here_is_skipped_with_the_reason(play: Play) -> None:
    with pytest.raises(Ended) as caught:
        run(Session(), "conda+uv")
    assert str(caught.value) == (
        "skipped: there is no conda.yml: write one with `name:`, `channels:` and `dependencies:`, python among them, "
        "or take venv+poetry"
    )
    assert play.told == []


def test_where_no_channel_answers_a_conda_session_is_skipped_with_the_reason(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "conda.yml").write_text("name: p\ndependencies: [python]\n", encoding="utf-8")
    monkeypatch.setattr(engines, "available", lambda *_: ("", "the channel x does not answer: refused"))
    with pytest.raises(Ended) as caught:
        run(Session(), "conda+uv")
    assert str(caught.value) == "skipped: the channel x does not answer: refused"
    assert play.told == []


def test_the_conda_that_is_asked_for_is_the_one_that_has_to_be_here_and_makes_the_environment(
    play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "conda.yml").write_text("name: p\ndependencies: [python]\n", encoding="utf-8")
    asked: list[str | None] = []

    def available(_here: object, request: Request, _environ: object) -> tuple[str, str]:
        asked.append(request.conda)
        return "", "it is not here"

    monkeypatch.setattr(engines, "available", available)
    with pytest.raises(Ended, match=r"^skipped: it is not here$"):
        run(Session("--conda", "micromamba"), "conda+uv")
    assert asked == ["micromamba"]
    # A venv needs none, whatever is asked for beside it.
    run(Session("--conda", "micromamba"), "venv+uv")
    (request,) = (words[0] for name, _, _, *words in play.told[1:] if name == "setup")
    assert (request.hybrid, request.conda) == ("venv+uv", None)


def test_a_conda_that_does_not_exist_is_refused_with_those_that_do(play: Play) -> None:
    with pytest.raises(Ended, match=r"^error: error: there is no conda engine 'mmaba': did you mean mamba or "):
        run(Session("--conda", "mmaba"), "conda+uv")
    assert play.told == []


@pytest.mark.parametrize("words", [["--pyhton", "3.12"], ["3.12"], ["--python"]])
def test_wrong_words_after_two_dashes_end_this_session_alone(play: Play, words: list[str]) -> None:
    with pytest.raises(Ended) as caught:
        run(Session(*words), "venv+uv")
    assert str(caught.value).startswith("error: error: nox -s check -- ")
    assert str(caught.value).endswith(": the session takes --python VERSION and --conda ENGINE")
    assert play.told == []


def test_an_unknown_hybrid_is_refused(play: Play) -> None:
    with pytest.raises(Ended, match=r"there is no hybrid 'venv\+pip'"):
        run(Session(), "venv+pip")
    assert play.told == []


def test_the_copy_is_made_without_gits_own_variables(
    play: Play, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    monkeypatch.setenv("KEPT", "1")
    run(Session(), "venv+uv")
    runner = play.told[0][3].__self__
    assert runner.log == tmp_path / ".mlops-lab" / "check" / "venv+uv" / "copy.log"
    assert runner.environ["KEPT"] == "1"
    assert not [name for name in runner.environ if name.startswith("GIT_")]


def test_noxs_own_uv_is_sent_to_pips_index(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"UV_DEFAULT_INDEX": "https://index.example/simple"}
    monkeypatch.setattr(Toolbox, "settings", lambda _, name: given if name == "uv" else {})
    assert sessions.index_settings() == given
    assert play.told == []


def test_a_row_counts_as_missed_only_where_a_tool_answers_it() -> None:
    hybrid = hybrid_named("venv+uv")
    steps: Any = SimpleNamespace(
        hybrid=hybrid,
        project=SimpleNamespace(data={}),
        answers=lambda row: spelling(row, hybrid, "uv") is not None,
    )
    answered = {row.name for row in ROWS} - {"install-project", "prune", "records"}
    assert sessions._missed(steps, set()) == [row.name for row in ROWS if row.name in answered]
    assert sessions._missed(steps, answered) == []
