"""One step at a time, with the runner replaced: the whole argv, the variables, and what is refused."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlops_lab import project
from mlops_lab.choices import Request
from mlops_lab.environment import Environment, Stamp, write_stamp
from mlops_lab.errors import FOUND, WRONG, LabError
from mlops_lab.guide import ROWS, Row, hybrid_named, row_named
from mlops_lab.interpreters import Interpreter
from mlops_lab.runner import CommandFailed, Runner
from mlops_lab.steps import Steps, leave_environment, open_steps
from mlops_lab.toolbox import Tool, Toolbox

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PYPROJECT = """
[project]
name = "p-q"
version = "1"
[dependency-groups]
dev = []
lab = []
"""


@dataclass(frozen=True)
class Call:
    argv: list[str]
    cwd: Path
    changes: dict[str, str | None]
    quiet: bool


class Recorder(Runner):
    """Keeps what it is given, and answers the first prepared text whose key is a part of the command."""

    def __init__(self) -> None:
        super().__init__(None, {})
        self.answers: dict[str, str | LabError] = {}
        self.calls: list[Call] = []
        self.code = 0

    def run(
        self, argv: Sequence[str], *, cwd: Path, changes: Mapping[str, str | None] | None = None, quiet: bool = False
    ) -> str:
        self.calls.append(Call(list(argv), cwd, dict(changes or {}), quiet))
        answer = next((text for key, text in self.answers.items() if key in shlex.join(argv)), "")
        if isinstance(answer, LabError):
            raise answer
        return answer

    def hand_over(self, argv: Sequence[str], *, cwd: Path, changes: Mapping[str, str | None]) -> int:
        self.calls.append(Call(list(argv), cwd, dict(changes), quiet=False))
        return self.code


class Tools(Toolbox):
    """Every tool is there, and says to whom its settings were given."""

    def find(self, name: str) -> Tool:
        return Tool(name, (f"/tools/{name}", "--its-own"), "1", f"/tools/{name}", "PATH")

    def settings(self, name: str) -> dict[str, str]:
        return {"SETTINGS_OF": name}


class Watcher:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def say(self, text: str) -> None:
        self.events.append(text)

    def start(self, row: Row) -> None:
        self.events.append(("start", row.name))

    def command(self, argv: Sequence[str]) -> None:
        self.events.append(("command", list(argv)))

    def line(self, text: str) -> None:
        self.events.append(("line", text))

    def finish(self, row: Row, seconds: float, *, ok: bool) -> None:
        assert seconds >= 0
        self.events.append(("finish", row.name, ok))


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Steps]:
    """The steps of a small project, with nobody behind them."""

    def made(hybrid: str = "venv+uv", settings: str = "", **more: Any) -> Steps:
        root = tmp_path / "the project é"
        root.mkdir(exist_ok=True)
        (root / "pyproject.toml").write_text(PYPROJECT + settings, encoding="utf-8")
        found, runner = project.find(root), Recorder()
        given: dict[str, Any] = {
            "project": found,
            "hybrid": hybrid_named(hybrid),
            "reason": "asked for",
            "environment": Environment(root / ".venv", name="p-q"),
            "groups": found.groups,
            "toolbox": Tools(found, runner, avoid=(), environ={}),
            "runner": runner,
            "observer": Watcher(),
            "environ": {"PATH": "/usr/bin:/old/bin", "VIRTUAL_ENV": "/old"},
            "interpreter": Interpreter("/usr/bin/python3.12", "3.12.1"),
            **more,
        }
        lay(root / ".mlops-lab" / "stand-in" / "3.12.1")
        return Steps(**given)

    return made


def lay(prefix: Path, version: str = "3.12.1") -> Path:
    """Make an environment, as far as it is looked at; returns its prefix."""
    (prefix / "bin").mkdir(parents=True, exist_ok=True)
    (prefix / "pyvenv.cfg").write_text(f"version = {version}\n", encoding="utf-8")
    (prefix / "bin" / "python").touch(mode=0o755)
    return prefix


def build(steps: Steps, version: str = "3.12.1") -> Path:
    """Make the environment that the steps work on; returns its prefix."""
    return lay(steps.environment.prefix, version)


def calls(steps: Steps) -> list[Call]:
    assert isinstance(steps.runner, Recorder)
    return steps.runner.calls


def answer(steps: Steps, part: str, text: str | LabError) -> None:
    """What the command that has this part prints, or fails with."""
    assert isinstance(steps.runner, Recorder)
    steps.runner.answers[part] = text


def events(steps: Steps) -> list[Any]:
    assert isinstance(steps.observer, Watcher)
    return steps.observer.events


FAILED = CommandFailed(["x"], 1, [], None)


# --- who leads ---


@pytest.mark.parametrize(
    ("listed", "leader"),
    [("poetry.lock", "poetry"), ("uv.lock", "uv"), ("poetry.lock\nuv.lock", "poetry"), ("", "poetry")],
)
def test_the_one_lock_that_git_tracks_leads(make: Callable[..., Steps], listed: str, leader: str) -> None:
    steps = make()
    answer(steps, "ls-files", listed)
    assert (steps.leader, steps.leader) == (leader, leader)
    root = steps.project.root
    assert calls(steps) == [Call(["git", "ls-files", "poetry.lock", "uv.lock"], root, {}, quiet=True)]


@pytest.mark.parametrize(
    ("files", "leader"),
    [(["uv.lock"], "uv"), (["poetry.lock"], "poetry"), (["poetry.lock", "uv.lock"], "poetry"), ([], "poetry")],
)
def test_without_git_the_one_lock_that_is_there_leads(
    make: Callable[..., Steps], files: list[str], leader: str
) -> None:
    steps = make()
    for name in files:
        (steps.project.root / name).touch()
    answer(steps, "git", FAILED)
    assert steps.leader == leader


def test_a_declared_leader_leads_and_git_is_not_asked(make: Callable[..., Steps]) -> None:
    steps = make(settings='[tool.mlops-lab]\nleader = "uv"\n')
    assert steps.leader == "uv"
    assert calls(steps) == []


# --- the words of a command ---

ADD = {"packages": ["a>=1", "; rm -rf ~"], "group": ["dev"]}


@pytest.mark.parametrize(
    ("hybrid", "leader", "name", "variant", "values", "expected"),
    [
        ("venv+uv", "uv", "add", "", ADD, "uv add --no-sync --group=dev 'a>=1' '; rm -rf ~'"),
        ("venv+uv", "poetry", "add", "", ADD, "poetry add --lock --group=dev 'a>=1' '; rm -rf ~'"),
        ("pip+poetry", "poetry", "add", "", {"packages": ["a"]}, "poetry add --lock a"),
        (
            "pip+uv",
            "uv",
            "update",
            "named",
            {"packages": ["a", "b"]},
            "uv lock --upgrade-package=a --upgrade-package=b",
        ),
        ("pip+uv", "uv", "update", "", {}, "uv lock --upgrade"),
        ("venv+poetry", "poetry", "install", "", {}, "poetry sync --only=main --only=dev --only=lab"),
        ("venv+uv", "poetry", "install", "", {}, "uv sync --locked --no-default-groups --group=dev --group=lab"),
        ("venv+uv", "uv", "prune", "", {}, ""),
        ("conda+poetry", "uv", "create", "existing", {}, "conda env update -p ENV -f conda.yml --prune"),
    ],
)
def test_the_words_of_a_row(
    make: Callable[..., Steps], hybrid: str, leader: str, name: str, variant: str, values: Any, expected: str
) -> None:
    steps = make(hybrid, _leader=leader)
    expected = expected.replace("ENV", shlex.quote(str(steps.environment.prefix)))
    assert steps.words(row_named(name), variant, **values) == shlex.split(expected)


def test_a_path_with_a_space_stays_one_word(make: Callable[..., Steps]) -> None:
    steps = make("pip+poetry")
    prefix = steps.environment.prefix
    assert steps.words(row_named("install")) == [
        "pip",
        "--python",
        str(prefix / "bin" / "python"),
        *("install", "--no-compile", "--require-hashes", "--no-deps", "-r", "requirements.txt"),
    ]
    assert steps.words(row_named("create")) == ["python", "-m", "venv", str(prefix)]


def test_requirements_of_chosen_groups_do_not_take_the_place_of_the_projects_own(make: Callable[..., Steps]) -> None:
    steps = make(groups=("lab", "dev"))
    assert steps.requirements == steps.project.root / "requirements.txt"
    steps = make(groups=("lab",))
    assert steps.requirements == steps.project.root / ".mlops-lab" / "requirements.txt"
    assert steps.values["requirements"] == ".mlops-lab/requirements.txt"


def test_requirements_that_somebody_wrote_by_hand_are_nobodys_export(make: Callable[..., Steps]) -> None:
    steps = make()
    own = steps.project.root / "requirements.txt"
    own.write_text("a>=1\n", encoding="utf-8")
    assert steps.requirements == steps.project.root / ".mlops-lab" / "requirements.txt"
    own.write_text("a==1 --hash=sha256:0\n", encoding="utf-8")
    assert steps.requirements == own


def test_the_name_and_the_manifest_of_conda_fall_back(make: Callable[..., Steps], tmp_path: Path) -> None:
    steps = make(environment=Environment(tmp_path / "somewhere"))
    assert (steps.values["where"], steps.values["conda_yml"]) == (["-p", str(tmp_path / "somewhere")], "conda.yml")
    steps.environment = Environment(tmp_path / "somewhere", conda=True, name="env", by_name=True)
    assert (steps.values["where"], steps.values["name"]) == (["-p", str(tmp_path / "somewhere")], "env")
    (steps.project.root / "environment.yml").touch()
    assert steps.values["conda_yml"] == "environment.yml"


def test_a_preview_shows_the_command_for_here_and_now_and_runs_nothing(make: Callable[..., Steps]) -> None:
    steps = make("conda+uv", _leader="uv")
    before = steps.preview(row_named("create"))
    steps.environment = Environment(build(steps), name="p-q")
    assert before[:3] == ["conda", "env", "create"]
    assert steps.preview(row_named("create"))[:3] == ["conda", "env", "update"]
    assert steps.preview(row_named("create"), anew=True) == before
    assert steps.preview(row_named("add")) == ["uv", "add", "--no-sync", "PACKAGE"]
    assert all(steps.preview(row) is not None for row in ROWS)
    assert calls(steps) == []


# --- the program and its variables ---


def test_a_tools_name_becomes_its_own_argv(make: Callable[..., Steps]) -> None:
    assert make().argv(row_named("lock"), ["uv", "lock"]) == ["/tools/uv", "--its-own", "lock"]


def test_python_is_the_environments_or_the_chosen_one(make: Callable[..., Steps]) -> None:
    steps = make(interpreter=None)
    words = ["python", "-m", "x"]
    assert steps.argv(row_named("create"), words) == [sys.executable, "-m", "x"]
    steps.interpreter = Interpreter("/usr/bin/python3.12", "3.12.1")
    assert steps.argv(row_named("create"), words) == ["/usr/bin/python3.12", "-m", "x"]
    assert steps.argv(row_named("compat"), words) == [str(steps.environment.python), "-m", "x"]


@pytest.mark.parametrize("version", ["", "3.99.0"])
def test_a_command_that_changes_files_only_gets_a_python_that_the_project_allows(
    make: Callable[..., Steps], version: str
) -> None:
    steps = make()
    (steps.project.root / "pyproject.toml").write_text(
        PYPROJECT.replace("[project]\n", '[project]\nrequires-python = "<3.99"\n'), encoding="utf-8"
    )
    steps.project = project.find(steps.project.root)
    if version:
        build(steps, version)
    stand_in = steps.project.state / "stand-in" / "3.12.1"
    given = steps.variables("uv", inside=False)
    assert given["PATH"] == f"{stand_in}/bin:/usr/bin:/old/bin"
    assert {name: given[name] for name in ("VIRTUAL_ENV", "UV_PYTHON", "UV_PROJECT_ENVIRONMENT")} == {
        "VIRTUAL_ENV": str(stand_in),
        "UV_PYTHON": f"{stand_in}/bin/python",
        "UV_PROJECT_ENVIRONMENT": str(steps.environment.prefix),
    }
    assert calls(steps) == []


def test_the_stand_in_is_made_once_with_the_chosen_python(make: Callable[..., Steps]) -> None:
    steps = make(interpreter=Interpreter("/usr/bin/python3.13", "3.13.0"))
    steps.variables("uv", inside=False)
    stand_in = str(steps.project.state / "stand-in" / "3.13.0")
    assert [call.argv for call in calls(steps)] == [["/usr/bin/python3.13", "-m", "venv", "--without-pip", stand_in]]


def test_with_an_allowed_environment_there_is_no_stand_in(make: Callable[..., Steps]) -> None:
    steps = make()
    prefix = str(build(steps))
    assert steps.variables("uv", inside=False)["VIRTUAL_ENV"] == prefix


def test_an_environment_is_the_one_to_work_on(make: Callable[..., Steps]) -> None:
    steps = make()
    prefix = str(build(steps))
    assert steps.variables("poetry") == {
        "SETTINGS_OF": "poetry",
        "PATH": f"{prefix}/bin:/usr/bin:/old/bin",
        "VIRTUAL_ENV": prefix,
        "VIRTUAL_ENV_PROMPT": "p-q",
        "CONDA_PREFIX": None,
        "CONDA_DEFAULT_ENV": None,
        "UV_PROJECT_ENVIRONMENT": prefix,
        "UV_PYTHON": f"{prefix}/bin/python",
        "PYTHONHOME": None,
        "POETRY_VIRTUALENVS_CREATE": "false",
        "UV_PYTHON_DOWNLOADS": "never",
    }


def test_offline_every_tool_is_cut_off(make: Callable[..., Steps]) -> None:
    given = make(offline=True).variables("uv")
    assert {name: given[name] for name in ("UV_OFFLINE", "PIP_NO_INDEX")} == {"UV_OFFLINE": "1", "PIP_NO_INDEX": "1"}
    assert {given[f"{kind}_PROXY"] for kind in ("HTTP", "HTTPS", "ALL")} == {"http://127.0.0.1:9"}
    assert not {"UV_OFFLINE", "HTTP_PROXY"} & make().variables("uv").keys()


# --- running a step ---


def test_a_step_runs_its_command_in_the_projects_folder_and_is_watched(make: Callable[..., Steps]) -> None:
    steps = make()
    answer(steps, "lock --check", "fine")
    assert steps.step("check") == "fine"
    variables = steps.variables("uv", inside=False)
    assert calls(steps) == [
        Call(["/tools/uv", "--its-own", "lock", "--check"], steps.project.root, variables, quiet=False)
    ]
    assert events(steps) == [("start", "check"), ("finish", "check", True)]


def test_a_step_may_be_answered_by_another_tool_in_another_folder(make: Callable[..., Steps], tmp_path: Path) -> None:
    steps = make("venv+poetry")
    steps.step("align", by="uv", cwd=tmp_path, pins=["a==1 ; x", "b==2"])
    (call,) = calls(steps)
    assert call.argv == ["/tools/uv", "--its-own", "lock", "--upgrade-package=a==1 ; x", "--upgrade-package=b==2"]
    assert (call.cwd, call.changes["SETTINGS_OF"]) == (tmp_path, "uv")


def test_a_row_that_no_tool_of_the_hybrid_answers_is_passed_over(make: Callable[..., Steps]) -> None:
    steps = make("venv+uv")
    assert steps.step("install-project") is None
    assert (calls(steps), events(steps)) == ([], [])


@pytest.mark.parametrize("name", [row.name for row in ROWS if row.needs_environment and row.name != "records"])
def test_a_step_inside_an_environment_that_is_not_there_is_refused(make: Callable[..., Steps], name: str) -> None:
    steps = make("pip+uv")
    with pytest.raises(LabError) as caught:
        steps.step(name)
    assert str(caught.value) == f"there is no environment at {steps.environment.prefix}: make it with `invoke setup`"
    assert caught.value.code == WRONG
    assert (calls(steps), events(steps)) == ([], [])


def test_an_unknown_step_is_refused(make: Callable[..., Steps]) -> None:
    with pytest.raises(LabError, match=r"^the guide has no step 'instal': did you mean install"):
        make().step("instal")  # codespell:ignore instal


def test_a_failed_step_ends_for_the_one_who_watches_too(make: Callable[..., Steps]) -> None:
    steps = make()
    answer(steps, "lock", CommandFailed(["uv"], 2, [], None))
    with pytest.raises(CommandFailed) as caught:
        steps.step("check")
    assert caught.value.hint == ""
    assert events(steps) == [("start", "check"), ("finish", "check", False)]


@pytest.mark.parametrize(("tail", "hint"), [([], "free some disk space"), (["timed out"], "the package index cannot")])
def test_a_failure_without_a_reason_on_a_full_disk_is_explained(
    make: Callable[..., Steps], monkeypatch: pytest.MonkeyPatch, tail: list[str], hint: str
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    steps = make()
    answer(steps, "lock", CommandFailed(["uv"], 2, tail, None))
    with pytest.raises(CommandFailed) as caught:
        steps.step("check")
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize(("answered", "passes"), [("fine", True), (FAILED, False)])
def test_a_question_is_asked_quietly_and_answered_with_yes_or_no(
    make: Callable[..., Steps], answered: str | LabError, passes: bool
) -> None:
    steps = make("venv+poetry")
    answer(steps, "lock", answered)
    assert steps.passes("check", "uv") is passes
    argv = ["/tools/uv", "--its-own", "lock", "--check"]
    assert calls(steps) == [Call(argv, steps.project.root, steps.variables("uv", inside=False), quiet=True)]
    assert events(steps) == []


# --- activation, and which environment a manager means ---


def test_activation_is_proven_by_the_python_that_path_then_gives(make: Callable[..., Steps]) -> None:
    steps = make()
    prefix = build(steps)
    answer(steps, "sys.prefix", f"{prefix}\n")
    assert steps.step("activate") == f"{prefix}\n"
    (call,) = calls(steps)
    assert call.argv == [str(prefix / "bin" / "python"), "-c", "import sys; print(sys.prefix)"]
    assert call.changes["PATH"] == f"{prefix / 'bin'}:/usr/bin:/old/bin"


def test_an_activation_that_gives_another_python_is_found(make: Callable[..., Steps]) -> None:
    steps = make()
    build(steps)
    answer(steps, "sys.prefix", "/usr\n")
    with pytest.raises(LabError) as caught:
        steps.step("activate")
    assert str(caught.value) == "the activated `python` is that of /usr: rebuild: `invoke setup --force`"
    assert caught.value.code == FOUND
    assert events(steps)[-1] == ("finish", "activate", False)


NAMED = {
    "venv+poetry": "Virtualenv\nPython:         3.12.1\nPath:           {}\nExecutable:     {}/bin/python\n",
    "venv+uv": "Discovered existing environment\nWould use project environment at: {}\nFound up-to-date lockfile\n",
}


@pytest.mark.parametrize("hybrid", NAMED)
@pytest.mark.parametrize("target", ["{prefix}", "{prefix}/", ".venv"])
def test_a_manager_that_names_our_environment_may_go_on(make: Callable[..., Steps], hybrid: str, target: str) -> None:
    steps = make(hybrid)
    prefix = build(steps)
    named = NAMED[hybrid].format(*[target.format(prefix=prefix)] * 2)
    answer(steps, "/tools/", named)
    assert steps.step("info") == named


@pytest.mark.parametrize("hybrid", NAMED)
@pytest.mark.parametrize(
    ("target", "said"), [("/other/.venv", "/other/.venv"), ("", "an environment that it does not name")]
)
def test_a_manager_that_would_work_elsewhere_is_stopped(
    make: Callable[..., Steps], hybrid: str, target: str, said: str
) -> None:
    steps = make(hybrid)
    prefix = build(steps)
    manager = steps.hybrid.manager
    answer(steps, "/tools/", NAMED[hybrid].format(target, target) if target else "")
    with pytest.raises(LabError) as caught:
        steps.step("info")
    assert caught.value.message == f"{manager} would work on {said}, not on {prefix}"
    assert caught.value.hint == (f"unset the variables and settings that send {manager} elsewhere, then run it again")
    assert caught.value.code == FOUND


# --- run from inside the environment ---


@pytest.fixture
def inside(make: Callable[..., Steps], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Steps]:
    """Steps whose environment's own interpreter runs us; another one made it."""

    def made(made_by: str | None = None) -> Steps:
        steps = make()
        prefix = build(steps)
        monkeypatch.setattr(sys, "prefix", str(prefix))
        monkeypatch.setenv("PATH", f"{prefix / 'bin'}:/usr/bin")
        outside = tmp_path / "outside-python"
        outside.touch()
        if made_by != "":
            stamp = Stamp(str(steps.project.root), "venv+uv", made_by=made_by or str(outside))
            write_stamp(prefix, stamp)
        return steps

    return made


def test_run_from_outside_nothing_is_started(make: Callable[..., Steps]) -> None:
    steps = make()
    leave_environment(steps, ["setup"])
    assert calls(steps) == []


def test_run_from_inside_it_starts_over_from_outside(inside: Callable[..., Steps], tmp_path: Path) -> None:
    steps = inside()
    assert isinstance(steps.runner, Recorder)
    steps.runner.code = 7
    with pytest.raises(SystemExit) as caught:
        leave_environment(steps, ["add", "--", "a b", "$(id)"])
    assert caught.value.code == 7
    outside = str(tmp_path / "outside-python")
    changes: dict[str, str | None] = {"PATH": "/usr/bin", "VIRTUAL_ENV": None, "CONDA_PREFIX": None}
    assert calls(steps) == [
        Call([outside, "-c", "import mlops_lab, invoke"], steps.project.root, {}, quiet=True),
        Call([outside, "-m", "mlops_lab", "add", "--", "a b", "$(id)"], Path.cwd(), changes, quiet=False),
    ]


@pytest.mark.parametrize("made_by", ["", "/no/such/python", "{prefix}/bin/python", None])
def test_where_nobody_outside_can_run_it_the_command_is_given(
    inside: Callable[..., Steps], tmp_path: Path, made_by: str | None
) -> None:
    prefix = tmp_path / "the project é" / ".venv"
    steps = inside(made_by if made_by is None else made_by.format(prefix=prefix))
    answer(steps, "import mlops_lab", FAILED)
    with pytest.raises(LabError) as caught:
        leave_environment(steps, ["add", "a b"])
    assert caught.value.message == f"this runs inside {prefix}, which it would change"
    assert caught.value.hint == ("leave the environment (`deactivate`) and run it from another one: `invoke add 'a b'`")
    assert caught.value.code == WRONG


# --- opening ---


def test_opening_takes_what_was_asked_for(make: Callable[..., Steps]) -> None:
    root = make().project.root
    request = Request(hybrid="pip+uv", prefix=str(root / "env"), groups=("lab",), offline=True)
    watcher, environ = Watcher(), {"PATH": "/nowhere"}
    below = root / "src"
    below.mkdir()
    steps = open_steps(request, start=below, environ=environ, observer=watcher, leader="uv")
    assert (steps.project.root, str(steps.hybrid), steps.reason) == (root, "pip+uv", "asked for")
    assert (steps.environment.prefix, steps.groups, steps.leader) == (root / "env", ("lab",), "uv")
    assert steps.offline
    assert steps.toolbox.offline
    assert steps.toolbox.avoid == (root / "env", root / ".venv")
    assert steps.runner.environ is environ
    assert steps.runner.log is not None
    assert steps.runner.log.parent == root / ".mlops-lab" / "logs"
    steps.runner.on_line("a line")
    steps.runner.on_command(["x"])
    steps.toolbox.say("a note")
    assert watcher.events == [("line", "a line"), ("command", ["x"]), "a note"]
    assert [path.name for path in (root / ".mlops-lab").iterdir() if path.name != "stand-in"] == []


def test_opening_refuses_before_anything_is_touched(make: Callable[..., Steps], tmp_path: Path) -> None:
    root = make().project.root
    for start, request, message in (
        (root, Request(hybrid="venv+pip"), "there is no hybrid 'venv+pip'"),
        (root, Request(hybrid="venv+uv", groups=("dex",)), "there is no dependency group 'dex'"),
        (tmp_path, Request(), f"there is no pyproject.toml in {tmp_path} or above it"),
    ):
        with pytest.raises(LabError) as caught:
            open_steps(request, start=start, environ={}, observer=Watcher())
        assert caught.value.message == message
        assert caught.value.hint
        assert caught.value.code == WRONG
    assert [path.name for path in (root / ".mlops-lab").iterdir() if path.name != "stand-in"] == []


def test_a_row_without_a_leader_does_not_ask_who_leads(make: Callable[..., Steps]) -> None:
    steps = make()
    steps.step("check")
    assert not any(call.argv[0] == "git" for call in calls(steps))
    steps = replace(steps, _leader="")
    steps.step("lock")
    assert calls(steps)[-2].argv[0] == "git"
