"""The `parity` session and task: which inventories are compared, what is set up anew, and how it ends."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from invoke.context import Context

from mlops_lab import certificate, engines, interpreters, inventories, project, recipe, sessions, taking
from mlops_lab.errors import LabError
from mlops_lab.guide import HYBRIDS
from mlops_lab.interpreters import Interpreter
from mlops_lab.inventories import Inventory, Package, Platform
from mlops_lab.tasks import namespace

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlops_lab.guide import Hybrid

PYPROJECT = '[project]\nname = "p"\nversion = "1"\n'
VENVS = [hybrid.name for hybrid in HYBRIDS if hybrid.backend != "conda"]


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


class World:
    """A project whose hybrids are set up by a stand-in."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.made: list[str] = []
        self.versions: dict[str, str] = {}
        self.fails: LabError | None = None

    def setup(self, steps: Any, _request: object) -> None:
        self.made.append(steps.hybrid.name)
        if self.fails:
            raise self.fails

    def take(self, steps: Any, made_from: dict[str, str] | None = None, *, whole: bool = True) -> Inventory:
        assert whole
        return self.inventory(steps.hybrid.name, made_from)

    def inventory(self, hybrid: str, made_from: dict[str, str] | None = None, **changes: Any) -> Inventory:
        package = Package(self.versions.get(hybrid, "1.0"), "lock", content="0" * 64)
        inputs = made_from or inventories.inputs_of({"pyproject.toml": self.root / "pyproject.toml"})
        usual = Inventory(hybrid, "3.12.1", Platform("linux", "x86_64"), {"a": package}, inputs=inputs)
        return dataclasses.replace(usual, **changes)

    def leave(self, hybrid: str, session: str = "check", **changes: Any) -> Path:
        folder = self.root / ".mlops-lab" / session / hybrid
        folder.mkdir(parents=True, exist_ok=True)
        inventories.write(self.inventory(hybrid, **changes), folder / inventories.NAME)
        return folder / inventories.NAME

    @property
    def certificate(self) -> dict[str, Any]:
        return certificate.read(self.root / ".mlops-lab" / "parity.json")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path / "w")
    made.root.mkdir()
    (made.root / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")

    def copy_project(_root: Path, folder: Path, _run: object) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
        return folder

    monkeypatch.chdir(made.root)
    monkeypatch.setattr(sessions, "copy_project", copy_project)
    monkeypatch.setattr("mlops_lab.steps.Steps._tracked_leader", lambda _: "poetry")
    monkeypatch.setattr(interpreters, "choose", lambda *_: Interpreter("/usr/bin/python3.12", "3.12.1"))
    monkeypatch.setattr(recipe, "setup", made.setup)
    monkeypatch.setattr(taking, "take", made.take)
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    return made


def run(*words: str) -> Session:
    session = Session(*words)
    body: Callable[..., None] = sessions.parity.func
    body(session)
    return session


# --- the session ---------------------------------------------------------------------------------------------------


def test_it_waits_for_the_sessions_that_run_side_by_side() -> None:
    declared: Any = sessions.parity
    assert (declared.venv_backend, declared.allow_parallel, declared.default) == ("none", False, True)


def test_what_check_has_left_is_taken_and_the_rest_is_set_up(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.leave("venv+uv")
    world.leave("pip+uv", "parity")
    session = run()
    assert world.made == ["venv+poetry", "pip+poetry"]
    assert session.logged == [
        *(
            f"{hybrid} is left out: there is no conda.yml: write one with `name:`, `channels:` and `dependencies:`, "
            "python among them, or take venv+poetry"
            for hybrid in ("conda+poetry", "conda+uv")
        ),
        "venv+poetry: set up on a copy",
        "venv+uv: as `check` has left it, from the same files",
        "pip+poetry: set up on a copy",
        "pip+uv: as `parity` has left it, from the same files",
    ]
    assert "identical: 4 environments, 1 packages" in capsys.readouterr().out
    assert (world.certificate["verdict"], list(world.certificate["inventories"])) == ("identical", VENVS)
    world.made.clear()
    run()
    assert world.made == []


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"made_from": {"pyproject.toml": "0" * 64}}, id="from another file"),
        pytest.param({"python": "3.11.7"}, id="with another Python"),
        pytest.param({"groups": ("dev",)}, id="with other groups"),
    ],
)
def test_what_was_made_otherwise_is_made_anew(world: World, changes: dict[str, Any]) -> None:
    for hybrid in VENVS:
        world.leave(hybrid)
    world.leave("venv+uv", **changes)
    run()
    assert world.made == ["venv+uv"]


def test_the_python_that_is_asked_for_is_the_one(world: World) -> None:
    for hybrid in VENVS:
        world.leave(hybrid, python="3.11.7")
    run("--python", "3.11")
    assert world.made == []
    run("--python", "3.1")
    assert world.made == VENVS


def test_the_conda_that_is_asked_for_has_made_what_is_taken(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    (world.root / "conda.yml").write_text("name: w\ndependencies: [python]\n", encoding="utf-8")
    monkeypatch.setattr(engines, "available", lambda *_: ("it is here", ""))
    made_from = inventories.inputs_of({name: world.root / name for name in ("conda.yml", "pyproject.toml")})
    for hybrid in VENVS:
        world.leave(hybrid, made_from=made_from)
    for hybrid, engine in (("conda+poetry", "conda"), ("conda+uv", "embedded")):
        world.leave(hybrid, made_from=made_from, engine=engine)
    run()
    assert world.made == []
    anew: list[str] = []

    def set_up(_session: object, _here: object, hybrid: Hybrid, _asked: object) -> Inventory:
        anew.append(hybrid.name)
        return world.inventory(hybrid.name, made_from)

    monkeypatch.setattr(sessions, "_anew", set_up)
    run("--conda", "embedded")
    assert anew == ["conda+poetry"]


def test_what_fails_leaves_nothing_to_be_compared_later(world: World) -> None:
    for hybrid in VENVS:
        world.leave(hybrid, "parity")
    world.leave("venv+uv", "parity", python="3.11.7")
    world.fails = LabError("wrong", "try this")
    with pytest.raises(Ended, match=r"^error: error: wrong: try this$"):
        run()
    assert not (world.root / ".mlops-lab" / "parity" / "venv+uv" / "inventory.json").exists()


def test_a_divergence_fails_and_is_shown(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.versions["pip+uv"] = "1.1"
    with pytest.raises(Ended, match=r"^error: the environments diverge: 1 finding above"):
        run()
    shown = capsys.readouterr().out
    assert "divergent: 4 environments" in shown
    assert "1.0 in venv+poetry, venv+uv and pip+poetry, 1.1 in pip+uv" in shown
    assert world.certificate["verdict"] == "divergent"


def test_one_hybrid_alone_is_skipped(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "HYBRIDS", HYBRIDS[-1:])
    with pytest.raises(Ended, match=r"^skipped: parity needs two hybrids that can run here, and there are 1$"):
        run()
    assert world.made == ["pip+uv"]


def test_conda_takes_part_where_it_can_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    (world.root / "conda.yml").write_text("name: p\ndependencies: [python]\n", encoding="utf-8")
    monkeypatch.setattr(engines, "available", lambda *_: ("it is here", ""))
    for hybrid in HYBRIDS:
        inputs = inventories.inputs_of({name: world.root / name for name in ("pyproject.toml", "conda.yml")})
        world.leave(hybrid.name, made_from=inputs)
    assert len(run().logged) == 6
    assert world.made == []


@pytest.mark.parametrize("words", [["--pyhton", "3.12"], ["3.12"]])
def test_wrong_words_end_this_session_alone(world: World, words: list[str]) -> None:
    with pytest.raises(
        Ended, match=r"^error: error: nox -s parity -- .*: the session takes --python VERSION and --conda ENGINE$"
    ):
        run(*words)
    assert world.made == []


# --- the task ------------------------------------------------------------------------------------------------------


def invoke(*files: str | Path, **flags: Any) -> int:
    """Run the task as Invoke does; the words after two dashes are read from the command line."""
    sys.argv[1:] = ["parity", *(("--", *map(str, files)) if files else ())]
    try:
        namespace.tasks["parity"](Context(), **flags)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.fixture(autouse=True)
def _argv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["invoke"])


def test_without_words_the_sessions_inventories_are_compared(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.leave("venv+uv")
    world.leave("pip+uv")
    world.leave("pip+uv", "parity", python="3.11.7")  # `check` has left a newer one
    assert invoke(json=True) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["check"], found["ok"], found["facts"]["verdict"]) == ("parity", True, "identical")
    assert found["facts"]["certificate"] == ".mlops-lab/parity.json"
    assert list(found["examined"].values()) == ["1 packages, Python 3.12.1 on linux x86_64"] * 2
    assert world.certificate["verdict"] == "identical"


def test_files_and_folders_are_compared_where_no_project_is(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = world.leave("venv+uv")
    world.versions["pip+uv"] = "1.1"
    world.leave("pip+uv")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert invoke(file.parents[1], certificate="c.json") == 1
    assert "divergent: 2 environments" in capsys.readouterr().out
    assert certificate.read(Path("c.json"))["verdict"] == "divergent"
    assert invoke(file, file.parents[1], markdown=True) == 1
    assert capsys.readouterr().out.startswith("**divergent**\n")
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["c.json"]


def test_a_certificate_is_verified_against_what_is_there(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.leave("venv+uv")
    world.leave("pip+uv")
    assert invoke() == 0
    assert invoke(verify=".mlops-lab/parity.json") == 0
    world.versions["pip+uv"] = "1.1"
    world.leave("pip+uv")
    (world.root / "pyproject.toml").write_text(PYPROJECT + "# more\n", encoding="utf-8")
    capsys.readouterr()
    assert invoke(verify=".mlops-lab/parity.json") == 1
    shown = capsys.readouterr().out
    assert "pyproject.toml has changed since, so the certificate speaks of other files" in shown
    assert "a was 1.0 in pip+uv, and is 1.1 now" in shown


def test_what_was_made_from_the_files_of_now_counts(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.leave("venv+uv", made_from={"pyproject.toml": "0" * 64}, python="3.11.7")
    world.leave("pip+uv", made_from={"pyproject.toml": "0" * 64})
    assert run().logged[2:] == [
        *(f"{hybrid}: set up on a copy" for hybrid in VENVS),
    ]
    capsys.readouterr()
    assert invoke(verify=".mlops-lab/parity.json", json=True) == 0
    assert len(json.loads(capsys.readouterr().out)["facts"]["verified"]) == 4
    assert invoke(json=True) == 0
    assert json.loads(capsys.readouterr().out)["findings"] == []


def test_the_table_is_shown_although_the_certificate_cannot_be_written(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    for hybrid in VENVS:
        world.leave(hybrid)
    (world.root / ".mlops-lab" / "parity.json").mkdir()
    with pytest.raises(Ended, match=r"parity\.json: cannot be written: it is a folder"):
        run()
    assert "identical: 4 environments" in capsys.readouterr().out
    # Nobody asks the task for it.
    assert invoke() == 0
    said = capsys.readouterr()
    assert "identical: 4 environments" in said.out
    assert said.err.startswith("no certificate: ")
    assert invoke(certificate=".mlops-lab") == 2


def test_the_environment_that_is_asked_for_is_compared_with_files(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mlops_lab.environment import Stamp, write_stamp

    file = world.leave("pip+uv")
    prefix = world.root / "here"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "python").touch()
    (prefix / "pyvenv.cfg").touch()
    write_stamp(prefix, Stamp(str(world.root), "venv+uv", fingerprint={}))
    monkeypatch.setattr(taking, "take", lambda steps: world.inventory(steps.hybrid.name, origin=prefix))
    assert invoke(file, prefix=str(prefix), hybrid="venv+uv", json=True) == 0
    assert list(json.loads(capsys.readouterr().out)["examined"]) == ["pip+uv", "venv+uv"]
    assert invoke(file, hybrid="nope") == 2
    # Nobody has to say again which hybrid made it, and nobody can say otherwise.
    project.find(world.root).remember(hybrid="pip+uv")
    assert invoke(inventory="x.json", prefix=str(prefix)) == 0
    assert inventories.read(Path("x.json")).hybrid == "venv+uv"
    capsys.readouterr()
    assert invoke(inventory="x.json", prefix=str(prefix), hybrid="pip+uv") == 2
    assert "was made with venv+uv, not with pip+uv: say `--hybrid venv+uv`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("files", "flags", "code", "message"),
    [
        ((), {}, 2, "parity needs two inventories, and none is here"),
        (("x.json",), {}, 2, "x.json: there is no such file"),
        (("pyproject.toml",), {}, 2, "pyproject.toml: no JSON"),
        ((".",), {}, 2, "neither the folder nor one in it has an inventory.json"),
        ((), {"json": True, "markdown": True}, 2, "--json and --markdown do not go together"),
        ((), {"certificate": "x", "verify": "y"}, 2, "--certificate and --verify do not go together"),
        ((), {"verify": "pyproject.toml"}, 2, "pyproject.toml: no JSON"),
        ((), {"verify": "none.json"}, 2, "none.json: cannot be read"),
        ((), {"inventory": "."}, 2, ".: cannot be written: it is a folder"),
        ((), {"inventory": "x.json", "json": True}, 2, "--inventory and --json do not go together"),
        (("y.json",), {"inventory": "x.json"}, 2, "--inventory and files do not go together"),
    ],
)
def test_wrong_words_and_files_are_refused(
    world: World,
    capsys: pytest.CaptureFixture[str],
    files: tuple[str, ...],
    flags: dict[str, Any],
    code: int,
    message: str,
) -> None:
    assert invoke(*files, **flags) == code
    said = capsys.readouterr()
    assert message in said.err + said.out
    assert not (world.root / ".mlops-lab" / "parity.json").exists()


def test_without_a_project_files_have_to_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke() == 2
    assert "there is no project here, and no inventory is named: name some" in capsys.readouterr().err


def test_a_broken_manifest_is_refused_all_the_same(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    (world.root / "pyproject.toml").write_text("[project\n", encoding="utf-8")
    assert invoke() == 2
    assert "pyproject.toml:1" in capsys.readouterr().err


def test_the_environment_of_the_project_takes_part_where_it_is_finished(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mlops_lab.environment import Stamp, write_stamp

    world.leave("pip+uv")
    prefix = world.root / ".venv"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "python").touch()
    (prefix / "pyvenv.cfg").touch()
    monkeypatch.setattr(taking, "take", lambda steps: world.inventory(steps.hybrid.name, origin=prefix))
    project.find(world.root).remember(hybrid="venv+uv")
    for stamp in (None, Stamp(str(world.root), "venv+uv"), Stamp(str(world.root), "pip+uv", fingerprint={})):
        if stamp:
            write_stamp(prefix, stamp)
        assert invoke() == 2
    write_stamp(prefix, Stamp(str(world.root), "venv+uv", fingerprint={}))
    assert invoke(json=True) == 0
    assert list(json.loads(capsys.readouterr().out)["examined"]) == ["pip+uv", "venv+uv"]
    # An environment may be named like a file.
    assert invoke(prefix, world.root / ".mlops-lab" / "check") == 0
