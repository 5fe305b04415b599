"""What the doctor finds in a project's environment, what it mends by which recipe, and how the task ends."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

import pytest

from mlops_lab import cli, conda_meta, doctor, freshness, recipe
from mlops_lab.choices import Request
from mlops_lab.doctor import Subject, belonging, gpu, mending
from mlops_lab.environment import STAMP, Environment, Stamp, inventory, read_stamp, write_stamp
from mlops_lab.errors import FOUND, WRONG, LabError
from mlops_lab.report.progress import Quiet
from mlops_lab.runner import CommandFailed, Runner
from mlops_lab.steps import Steps, open_steps
from mlops_lab.tasks import health

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mlops_lab.findings import Finding

MANIFEST = """
[build-system]
requires = ["poetry-core"]
build-backend = "poetry.core.masonry.api"
[project]
name = "my_lab"
version = "1"
requires-python = ">=3.11,<3.14"
dependencies = ["numpy"]
[dependency-groups]
dev = ["pytest"]
[tool.mlops-lab]
hybrid = "venv+poetry"
leader = "poetry"
"""
LOCKED = {"numpy": ("1.26", "main"), "pytest": ("9.0.0", "dev")}
REBUILD = "invoke setup --force"
NOTHING = {"tool"}
"""What is found where nothing is ill: there is no Poetry on this PATH."""


def lock(**locked: tuple[str, str]) -> str:
    packages = "".join(
        f'[[package]]\nname = "{name}"\nversion = "{version}"\noptional = false\ngroups = ["{group}"]\n'
        for name, (version, group) in locked.items()
    )
    return f'{packages}[metadata]\nlock-version = "2.1"\npython-versions = "*"\ncontent-hash = "0"\n'


class World:
    """A project with an environment that was just finished."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "my project é"
        self.root.mkdir()
        self.prefix = self.root / ".venv"
        self.site = self.prefix / "lib" / "python3.12" / "site-packages"
        self.site.mkdir(parents=True)
        self.python = self.prefix / "bin" / "python"
        self.python.parent.mkdir()
        self.python.touch(mode=0o755)
        config = f"version = 3.12.1\nhome = {folder}\n"
        (self.prefix / "pyvenv.cfg").write_text(config, encoding="utf-8")
        self.write("pyproject.toml", MANIFEST)
        self.write("poetry.lock", lock(**LOCKED))
        for name, version in {"numpy": "1.26", "pytest": "9.0.0", "my_lab": "1", "pip": "26.0"}.items():
            self.install(name, version)
        self.environ = {"PATH": "/nowhere", "HOME": str(folder), "PIP_CONFIG_FILE": os.devnull}
        self.ran: list[Sequence[str]] = []
        self.seal()

    def write(self, name: str, text: str) -> None:
        (self.root / name).write_text(text, encoding="utf-8")

    def install(self, name: str, version: str, *requires: str, url: str = "") -> Path:
        for folder in self.site.glob(f"{name}-*"):
            shutil.rmtree(folder)
        folder = self.site / f"{name}-{version}.dist-info"
        folder.mkdir()
        (self.site / f"{name}.py").write_text(version, encoding="utf-8")
        lines = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {each}" for each in requires), "", "x"]
        (folder / "METADATA").write_text("\n".join(lines), encoding="utf-8")
        (folder / "RECORD").write_text(f"{name}.py,,\n", encoding="utf-8")
        if url:
            (folder / "direct_url.json").write_text(json.dumps({"url": url}), encoding="utf-8")
        return folder

    def put_back(self) -> None:
        """What a recipe does."""
        self.install("numpy", "1.26")
        self.seal()

    def uninstall(self, name: str) -> None:
        shutil.rmtree(next(self.site.glob(f"{name}-*")))
        (self.site / f"{name}.py").unlink()

    def seal(self) -> None:
        steps = self.steps()
        made = freshness.fingerprint(steps, freshness.digests(steps.project))
        there = {name: version for name, version in inventory(steps.environment).items() if name != "pip"}
        write_stamp(
            self.prefix, Stamp(str(self.root), "venv+poetry", groups=("dev",), installed=there, fingerprint=made)
        )

    def steps(self) -> Steps:
        steps = open_steps(Request(), start=self.root, environ=self.environ, observer=Quiet(io.StringIO()))
        belonging.keep_groups(steps)
        return steps

    def ask(self, _argv: Sequence[str]) -> str:
        return json.dumps({"version": "3.12.1", "prefix": str(self.prefix)})

    def subject(self, environment: Environment, _environ: object = None) -> Subject:
        return Subject(environment, self.environ, self.ask)

    def findings(self) -> list[Finding]:
        return list(belonging.examine(self.steps()).findings)

    def told(self) -> list[tuple[str, str, str, str]]:
        """Kind, package, command and recipe of what is found, notes apart."""
        return [
            (each.kind, each.package, each.command, each.mend) for each in self.findings() if each.severity != "note"
        ]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(gpu, "DRIVER", tmp_path / "no driver")
    made = World(tmp_path)
    monkeypatch.setattr(doctor, "subject_of", made.subject)
    return made


def test_a_finished_environment_is_sound(world: World) -> None:
    found = belonging.examine(world.steps())
    assert {each.kind for each in found.findings} == NOTHING
    assert found.errors == 0
    assert found.examined == {"Python": "3.12.1", "packages": "4", "recorded files": "4", "checks": "21"}
    assert found.subject == str(world.prefix)


# --- what is found -------------------------------------------------------------------------------------------------


def test_a_package_that_somebody_installed(world: World) -> None:
    world.install("cowsay", "6.1")
    assert world.told() == [
        ("stray", "cowsay", "invoke add cowsay", "install"),
        ("stale", "", "invoke setup", "setup"),
    ]


def test_another_version_than_the_lock_has(world: World) -> None:
    world.install("numpy", "1.25")
    assert ("changed", "numpy", "invoke install", "install") in world.told()


def test_a_package_that_is_gone_is_told_once(world: World) -> None:
    world.uninstall("numpy")
    (found,) = [each for each in world.findings() if each.package == "numpy"]
    assert (found.kind, found.command, found.mend) == ("gone", "invoke install", "install")


def test_a_deleted_dist_info_is_told_with_its_files(world: World) -> None:
    shutil.rmtree(next(world.site.glob("numpy-*")))
    (found,) = [each for each in world.findings() if each.package == "numpy"]
    assert found.why.endswith("and its files are still there: its dist-info was deleted")


def test_what_left_the_lock_and_the_environment_is_not_missed(world: World) -> None:
    world.write("poetry.lock", lock(pytest=("9.0.0", "dev")))
    world.uninstall("numpy")
    assert {each.kind for each in world.findings() if each.package == "numpy"} == set()


def test_a_wheel_that_is_not_the_locks(world: World) -> None:
    world.install("numpy", "1.26", url="https://me:word@index.example/numpy-1.26-py3-none-any.whl")
    (found,) = [each for each in world.findings() if each.package]
    assert (found.kind, found.command, found.mend) == ("provenance", REBUILD, "rebuild")
    assert found.why.startswith("numpy 1.26 was installed from https://***@index.example/numpy-1.26-py3-none-any.whl, ")
    assert "word@" not in repr(found)


@pytest.mark.parametrize("text", ["[]", '"x"', "{}", '{"url": ""}'])
def test_an_origin_that_says_nothing_is_none(world: World, text: str) -> None:
    folder = next(world.site.glob("numpy-*"))
    (folder / "direct_url.json").write_text(text, encoding="utf-8")
    assert "provenance" not in {each.kind for each in world.findings()}


def test_an_origin_that_cannot_be_read_is_told(world: World) -> None:
    folder = next(world.site.glob("numpy-*"))
    (folder / "direct_url.json").write_text("{", encoding="utf-8")
    assert ("provenance", "numpy", REBUILD, "rebuild") in world.told()


def test_the_project_itself_comes_from_its_folder(world: World) -> None:
    folder = next(world.site.glob("my_lab-*"))
    (folder / "direct_url.json").write_text('{"url": "file:///p"}', encoding="utf-8")
    assert {each.kind for each in world.findings()} == NOTHING


def test_files_that_changed_together_with_their_record(world: World) -> None:
    (world.site / "numpy.py").write_text("something else", encoding="utf-8")
    assert world.told() == [
        ("reinstalled", "numpy", REBUILD, "rebuild"),
        ("stale", "", "invoke setup", "rebuild"),
    ]


def test_requirements_that_are_not_met(world: World) -> None:
    world.install("numpy", "1.26", "absent>=2", "pytest<9", "old; python_version < '3'", "x; extra == 'y'", "no such!")
    world.seal()
    found = [(each.why, each.command) for each in world.findings() if each.kind == "unmet"]
    assert found == [
        ("numpy 1.26 requires absent>=2, and it is not installed", 'invoke add "absent>=2"'),
        ("numpy 1.26 requires pytest<9, and pytest 9.0.0 is installed", "invoke update pytest"),
    ]


def test_a_python_that_the_project_does_not_allow(world: World) -> None:
    world.write("pyproject.toml", MANIFEST.replace(">=3.11,<3.14", ">=3.13"))
    assert ("python", "", REBUILD, "rebuild") in world.told()


def test_changed_files_make_it_stale_and_an_unfinished_setup_ill(world: World) -> None:
    world.write("poetry.lock", lock(**LOCKED) + "\n")
    (stale,) = [each for each in world.findings() if each.kind == "stale"]
    assert (stale.severity, stale.why) == ("warning", "poetry.lock changed since the last setup")
    stamp = read_stamp(world.prefix)
    assert stamp is not None
    write_stamp(world.prefix, dataclasses.replace(stamp, fingerprint=None))
    (stale,) = [each for each in world.findings() if each.kind == "stale"]
    assert (stale.severity, stale.why) == ("error", "the last setup of this environment was not finished")
    (world.prefix / STAMP).unlink()
    (stale,) = [each for each in world.findings() if each.kind == "stale"]
    assert (stale.severity, stale.mend) == ("warning", "")


def test_the_hybrid_that_it_was_made_with_is_named_in_the_command(world: World) -> None:
    stamp = read_stamp(world.prefix)
    assert stamp is not None
    write_stamp(world.prefix, dataclasses.replace(stamp, hybrid="pip+uv"))
    (stale,) = [each for each in world.findings() if each.kind == "stale"]
    assert (stale.why, stale.command) == (
        "the environment was made with pip+uv",
        "invoke setup --hybrid venv+poetry",
    )


def test_what_another_process_is_setting_up_is_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    stamp = read_stamp(world.prefix)
    assert stamp is not None
    write_stamp(world.prefix, dataclasses.replace(stamp, fingerprint=None))
    monkeypatch.setattr(belonging, "is_held", lambda prefix: prefix == world.prefix)
    (stale,) = [each for each in world.findings() if each.kind == "stale"]
    assert (stale.why, stale.mend) == ("another process is setting the environment up at this moment", "")


def test_what_the_base_interpreter_may_have_is_not_missed(world: World) -> None:
    world.install("numpy", "1.26", "absent>=2")
    with (world.prefix / "pyvenv.cfg").open("a", encoding="utf-8") as config:
        config.write("include-system-site-packages = true\n")
    (unmet,) = [each for each in world.findings() if each.kind == "unmet"]
    assert unmet.severity == "note"
    assert unmet.why.endswith("it may be one of the base interpreter's packages, which can be imported too")


def test_groups_that_were_chosen_at_the_setup_are_no_illness(world: World) -> None:
    stamp = read_stamp(world.prefix)
    assert stamp is not None
    write_stamp(world.prefix, dataclasses.replace(stamp, groups=()))
    assert "stale" not in {each.kind for each in world.findings()}


def test_a_broken_lock_is_a_finding_and_the_rest_is_examined(world: World) -> None:
    world.write("poetry.lock", "nonsense")
    (world.site / "numpy.py").unlink()
    world.uninstall("pytest")
    told = world.told()
    assert ("missing", "numpy", REBUILD, "rebuild") in told
    assert ("gone", "pytest", "invoke install", "install") in told
    assert [kind for kind, *_ in told].count("unexamined") == 1


def test_condas_own_names_are_no_illness(world: World) -> None:
    folder = world.install("torch", "2.0", "pytorch-under-another-name")
    (world.prefix / conda_meta.FOLDER).mkdir()
    (folder / "INSTALLER").write_text("conda\n", encoding="utf-8")
    files = [f"{(folder / name).relative_to(world.prefix)}" for name in ("METADATA", "INSTALLER", "RECORD")]
    record: dict[str, Any] = {
        "name": "pytorch",
        "version": "2.0",
        "build": "0",
        "files": [*files, "gone.txt"],
        "depends": ["__cuda >=12"],
    }
    record["paths_data"] = {"paths": [{"_path": "gone.txt", "path_type": "hardlink"}]}
    path = world.prefix / conda_meta.FOLDER / "pytorch-2.0-0.json"
    path.write_text(json.dumps(record), encoding="utf-8")
    (path.with_name("broken-1-0.json")).write_text("{", encoding="utf-8")
    steps = world.steps()
    steps.environment = dataclasses.replace(steps.environment, conda=True)
    found = {(each.kind, each.severity, each.package) for each in belonging.examine(steps).findings}
    assert ("unmet", "note", "torch") in found
    assert ("gpu", "note", "") in found
    assert ("missing", "error", "pytorch") in found
    assert ("broken", "error", "") in found


# --- what is mended ------------------------------------------------------------------------------------------------


class Recipes:
    """The recipes, which note how they are called, and what they then do to the environment."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.called: list[Any] = []
        self.does: Callable[[], object] = world.seal

    def setup(self, steps: Steps, request: Request) -> None:
        self.called.append(("setup", request.force, request.python))
        if not self.world.prefix.exists() and (aside := mending.aside_of(steps)).exists():
            shutil.copytree(aside, self.world.prefix, symlinks=True)
            (self.world.prefix / STAMP).unlink()
        self.does()

    def install(self, _steps: Steps) -> None:
        self.called.append("install")
        self.does()

    def step(self, name: str, **values: Any) -> str:
        self.called.append((name, values.get("packages")))
        return ""


@pytest.fixture
def recipes(world: World, monkeypatch: pytest.MonkeyPatch) -> Recipes:
    made = Recipes(world)
    monkeypatch.setattr(recipe, "setup", made.setup)
    monkeypatch.setattr(recipe, "install", made.install)

    def step(_steps: Steps, name: str, **values: Any) -> str:
        return made.step(name, **values)

    monkeypatch.setattr(Steps, "step", step)
    return made


def mended(world: World) -> Any:
    steps = world.steps()
    return mending.mend(steps, Request(), belonging.examine(steps))


def test_nothing_to_mend_calls_nothing(world: World, recipes: Recipes) -> None:
    assert mended(world).mended == []
    assert recipes.called == []


def test_what_the_lock_misses_is_installed(world: World, recipes: Recipes) -> None:
    world.uninstall("numpy")
    recipes.does = world.put_back
    found = mended(world)
    # The stamp is stale too, and a setup does what an installation does.
    assert recipes.called == [("setup", False, "3.12")]
    assert found.mended[0] == "numpy 1.26 was there after the last setup, and nothing records it now"
    assert {each.kind for each in found.findings} == NOTHING


def test_an_altered_file_of_the_cache_is_forgotten_there_too(world: World, recipes: Recipes) -> None:
    os.link(world.site / "numpy.py", world.root / "cache")
    world.seal()
    (world.site / "numpy.py").write_text("something else", encoding="utf-8")
    os.utime(world.site / "numpy.py")
    assert {each.kind for each in mended(world).findings} == NOTHING
    assert recipes.called == [("refetch", ["numpy"]), ("setup", True, "3.12")]


def test_leftovers_are_swept_away_and_nothing_is_rebuilt(world: World, recipes: Recipes) -> None:
    (world.site / "~umpy").mkdir()
    (world.site / "~umpy" / "a.py").touch()
    (world.site / "~link").symlink_to(world.root)
    found = mended(world)
    assert recipes.called == []
    assert len(found.mended) == 2
    assert list(world.site.glob("~*")) == []
    assert (world.root / "pyproject.toml").exists()


def test_a_wrong_python_is_not_asked_for_again(world: World, recipes: Recipes) -> None:
    world.write("pyproject.toml", MANIFEST.replace(">=3.11,<3.14", ">=3.13"))
    mended(world)
    assert recipes.called[0] == ("setup", True, None)


def test_the_python_that_the_files_came_to_mean_is_taken(world: World, recipes: Recipes) -> None:
    world.write(".python-version", "3.11\n")
    mended(world)
    assert recipes.called[0] == ("setup", True, None)


def test_what_another_conda_made_is_not_replaced_by_this_one(
    world: World, recipes: Recipes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_steps: Steps, request: Request) -> None:
        assert not request.force
        raise LabError("made by conda", "put conda on PATH")

    monkeypatch.setattr(recipe, "refuse_unasked_engine", refuse)
    (world.site / "numpy.py").unlink()
    assert mended(world).findings[0].why == "made by conda"
    assert recipes.called == []


def test_what_cannot_be_mended_is_told_and_tried_once(world: World, recipes: Recipes) -> None:
    def refuse() -> None:
        raise LabError("no network", "try again", code=FOUND)

    (world.site / "numpy.py").unlink()
    recipes.does = refuse
    found = mended(world)
    assert len(recipes.called) == 1
    assert (found.findings[0].kind, found.findings[0].why, found.findings[0].otherwise) == (
        "unmended",
        "no network",
        "try again",
    )
    assert "missing" in {each.kind for each in found.findings}
    assert found.mended == []


def test_the_environment_is_as_before_when_no_new_one_can_be_made(world: World, recipes: Recipes) -> None:
    def refuse() -> None:
        raise CommandFailed(["uv", "sync"], 2, ["first", "second", "no index"], world.root / "the.log")

    (world.site / "numpy.py").unlink()
    recipes.does = refuse
    before, stamp = sorted(world.prefix.rglob("*")), read_stamp(world.prefix)
    found = mended(world)
    assert (sorted(world.prefix.rglob("*")), read_stamp(world.prefix)) == (before, stamp)
    assert not mending.aside_of(world.steps()).exists()
    assert [str(side) for side in found.findings[0].sources][-2:] == [
        "its last lines: no index",
        f"the log: {world.root / 'the.log'}",
    ]


def test_the_old_environment_goes_when_the_new_one_is_finished(world: World, recipes: Recipes) -> None:
    (world.site / "numpy.py").unlink()
    recipes.does = world.put_back
    assert mended(world).errors == 0
    assert not mending.aside_of(world.steps()).exists()


def test_what_the_disk_refuses_is_told(world: World, recipes: Recipes) -> None:
    def refuse() -> None:
        raise OSError(28, "No space left on device")

    (world.site / "numpy.py").unlink()
    recipes.does = refuse
    found = mended(world).findings[0]
    assert (found.kind, found.otherwise) == ("unmended", "free some disk space, then run the command again")


def test_an_environment_that_somebody_made_is_left_alone(world: World, recipes: Recipes) -> None:
    (world.site / "~umpy").mkdir()
    (world.site / "numpy.py").unlink()
    (world.prefix / STAMP).unlink()
    found = mended(world)
    assert recipes.called == []
    assert (world.site / "~umpy").exists()
    assert found.findings[0].why.endswith("that mlops-lab did not make: nothing is changed unasked")
    assert found.findings[0].command == REBUILD
    assert {each.mend for each in found.findings} == {""}


def test_what_was_written_with_its_record_is_forgotten_by_the_cache(world: World, recipes: Recipes) -> None:
    os.link(world.site / "numpy.py", world.root / "cache")
    world.seal()
    (world.site / "numpy.py").write_text("something else, and long ago", encoding="utf-8")
    os.utime(world.site / "numpy.py", ns=(1, 1))
    mended(world)
    assert recipes.called[0] == ("refetch", ["numpy"])


def test_what_stays_ill_is_not_tried_for_ever(world: World, recipes: Recipes) -> None:
    (world.site / "numpy.py").unlink()
    recipes.does = lambda: None
    assert mended(world).errors
    assert len(recipes.called) == 1


# --- the task ------------------------------------------------------------------------------------------------------


class Desk:
    """The command as a user types it."""

    def __init__(self, world: World, capsys: pytest.CaptureFixture[str]) -> None:
        self.world = world
        self.capsys = capsys
        self.out = self.err = ""

    def __call__(self, *words: str) -> int:
        code = cli.main(["doctor", *words])
        self.out, self.err = self.capsys.readouterr()
        return code


@pytest.fixture
def desk(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    def run(runner: Runner, argv: Sequence[str], **_: object) -> str:
        world.ran.append(argv)
        runner.on_command(argv)
        runner.on_line("✓ a line")
        return ""

    monkeypatch.setattr(Runner, "run", run)
    monkeypatch.setattr(sys, "argv", ["mlops-lab"])
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "VIRTUAL_ENV", "CONDA_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.chdir(world.root)
    return Desk(world, capsys)


def test_the_guides_command_comes_first_then_the_report(desk: Desk) -> None:
    assert desk() == 0
    lines = desk.out.splitlines()
    assert lines[0].startswith("$ ")
    assert desk.world.ran[0][-3:] == ["doctor", "--prefix", str(desk.world.prefix)]
    assert lines[1] == "✓ a line"
    assert lines[2].startswith("doctor: 1 finding in ")
    assert len(desk.world.ran) == 1


def test_an_ill_environment_is_exit_code_1_with_package_and_command(desk: Desk) -> None:
    (desk.world.site / "numpy.py").unlink()
    assert desk() == FOUND
    assert "numpy  numpy 1.26: numpy.py missing" in desk.out
    assert "→ mlops-lab setup --force" in desk.out
    assert "`mlops-lab doctor --fix` mends" in desk.out


def test_json_stands_alone_and_starts_nothing_of_ours_again(desk: Desk) -> None:
    (desk.world.site / "numpy.py").unlink()
    assert desk("--json") == FOUND
    found = json.loads(desk.out)
    assert found["ok"] is False
    assert "missing" in {each["kind"] for each in found["findings"]}
    assert desk.world.ran == []


def test_markdown_stands_alone(desk: Desk) -> None:
    assert desk("--markdown") == 0
    assert desk.out.startswith("### ✅ doctor: ")


def test_two_forms_of_one_report_are_refused(desk: Desk) -> None:
    assert desk("--json", "--markdown") == WRONG
    assert "--json and --markdown are two forms of one report: choose one of them" in desk.err


def test_without_an_environment_there_is_nothing_to_examine(desk: Desk) -> None:
    shutil.rmtree(desk.world.prefix)
    assert desk() == WRONG
    assert "there is no environment at" in desk.err


@pytest.mark.parametrize("words", [(), ("--json",), ("--fix",)])
def test_the_environment_of_another_project_is_refused(desk: Desk, words: Sequence[str]) -> None:
    other = desk.world.root.parent / "other"
    other.mkdir()
    (other / "pyproject.toml").touch()
    stamp = read_stamp(desk.world.prefix)
    assert stamp is not None
    write_stamp(desk.world.prefix, dataclasses.replace(stamp, project=str(other)))
    assert desk(*words) == WRONG
    assert f"{desk.world.prefix} belongs to the project {other}: choose another one with --prefix" in desk.err


def test_what_a_killed_fix_had_put_aside_comes_back_first(desk: Desk, recipes: Recipes) -> None:
    aside = mending.aside_of(desk.world.steps())
    desk.world.prefix.rename(aside)
    assert desk("--fix") == 0
    assert recipes.called == []
    assert "the environment is as it was before" in desk.err
    assert not aside.exists()


def test_what_is_left_of_an_old_environment_is_none(world: World, recipes: Recipes) -> None:
    def fail() -> None:
        shutil.rmtree(world.prefix)
        raise LabError("no network")

    aside = mending.aside_of(world.steps())
    (aside / "lib").mkdir(parents=True)
    (world.site / "numpy.py").unlink()
    recipes.does = fail
    mended(world)
    assert not world.prefix.exists()
    assert not aside.exists()


def test_an_environment_without_its_python_is_examined_all_the_same(desk: Desk) -> None:
    desk.world.python.unlink()
    assert desk("--json") == FOUND
    found = json.loads(desk.out)["findings"]
    assert [each["kind"] for each in found if each["severity"] == "error"] == ["interpreter"]
    assert desk.world.ran == []


def test_fix_mends_and_is_green(desk: Desk, recipes: Recipes) -> None:
    (desk.world.site / "numpy.py").unlink()
    recipes.does = desk.world.put_back
    assert desk("--fix") == 0
    assert "mended: numpy 1.26: numpy.py missing" in desk.out
    assert recipes.called == [("setup", True, "3.12")]


def test_what_condas_doctor_finds_is_a_finding(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def step(_steps: Steps, name: str, **_: object) -> str:
        said = ["report", "✅ a is well", "❌ files are missing", ""]
        raise CommandFailed(["/opt/conda", "doctor", name], 1, said[-2:], None, said)

    monkeypatch.setattr(
        Steps, "words", lambda _steps, row, *_, **__: ["conda" if row.name == "doctor" else "mlops-lab"]
    )
    monkeypatch.setattr(Steps, "step", step)
    (found,) = health._step(Request(), shown=True)
    assert (found.kind, found.mend) == ("conda", "rebuild")
    assert found.why == "`conda` ends with exit code 1: report; ❌ files are missing"
    assert desk.world.ran == []
