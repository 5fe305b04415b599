"""Which steps in which order, on a machine that a stand-in plays: environments and locks are files, no tool runs."""

from __future__ import annotations

import shlex
import shutil
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from mlops_lab import freshness, interpreters, project, recipe, transaction
from mlops_lab.choices import Request
from mlops_lab.environment import Environment, Stamp, holding, read_stamp, write_stamp
from mlops_lab.errors import FOUND, WRONG, LabError
from mlops_lab.guide import hybrid_named
from mlops_lab.interpreters import Interpreter
from mlops_lab.runner import CommandFailed, Runner
from mlops_lab.steps import Steps
from mlops_lab.toolbox import Tool, Toolbox

HASH = " --hash=sha256:" + "0" * 64
PYPROJECT = """
[build-system]
requires = ["poetry-core"]
build-backend = "poetry.core.masonry.api"
[project]
name = "p"
version = "1"
requires-python = ">=3.12,<3.13"
dependencies = ["a>=1"]
[dependency-groups]
dev = ["b"]
[tool.mlops-lab]
leader = "{leader}"
"""
REQUIREMENTS = f"a==1.0{HASH}\nb==2.0{HASH}\n"
INSTALLED = {"a": "1.0", "b": "2.0", "p": "1"}


def poetry_lock(a: str = "1.0") -> str:
    groups = {"a": "main", "b": "dev"}
    packages = "".join(
        f'[[package]]\nname = "{name}"\nversion = "{version}"\noptional = false\ngroups = ["{groups[name]}"]\n'
        for name, version in (("a", a), ("b", "2.0"))
    )
    # The hash that REQUIREMENTS has for everything.
    packages += f'files = [{{ file = "b.whl", hash = "{HASH.removeprefix(" --hash=")}" }}]\n'
    return f'{packages}[metadata]\nlock-version = "2.1"\npython-versions = "*"\ncontent-hash = "0"\n'


def uv_lock(a: str = "1.0") -> str:
    registry = 'source = { registry = "https://index.example/simple" }'
    packages = "".join(
        f'[[package]]\nname = "{name}"\nversion = "{version}"\n{registry}\n'
        for name, version in (("a", a), ("b", "2.0"))
    )
    return (
        f'version = 1\nrequires-python = ">=3.12"\n{packages}[[package]]\nname = "p"\nversion = "1"\n'
        'source = { virtual = "." }\ndependencies = [{ name = "a" }]\n'
        '[package.dev-dependencies]\ndev = [{ name = "b" }]\n'
    )


class Machine(Runner):
    """Plays the tools: what they would leave on disk, and what they would print."""

    def __init__(self, root: Path, prefix: Path) -> None:
        super().__init__(None, {})
        self.root = root
        self.prefix = prefix
        self.ran: list[str] = []
        self.asked: list[str] = []
        self.held: set[int] = set()
        self.fails = ""
        self.extra: dict[str, str] = {}
        self.version = "1.0"

    def run(  # the signature is the runner's
        self, argv: Sequence[str], *, cwd: Path, changes: Mapping[str, str | None] | None = None, quiet: bool = False
    ) -> str:
        assert cwd == self.root
        assert quiet or changes is not None
        text = shlex.join(argv).replace(str(self.prefix), "ENV").replace(str(self.root), "ROOT")
        if quiet:
            self.asked.append(text)
            return ""
        self.ran.append(text)
        self.held.add(len(self.inherited))
        if self.fails and self.fails in text:
            raise CommandFailed(argv, 1, [], None)
        for part, play in self.plays.items():
            if part in text:
                return play(list(argv)) or ""
        return ""

    @property
    def plays(self) -> dict[str, Callable[[list[str]], str | None]]:
        return {
            "-m venv": self.make,
            "sys.prefix": lambda _: str(self.prefix),
            "poetry env info": lambda _: f"Path: {self.prefix}\n",
            "--dry-run": lambda _: f"Would use project environment at: {self.prefix}\n",
            "poetry export": lambda argv: self.write(Path(argv[-1].removeprefix("--output=")), self.requirements),
            "uv export": lambda argv: self.write(Path(argv[-1].removeprefix("--output-file=")), self.requirements),
            "poetry sync": lambda _: self.install(),
            "uv sync": lambda _: self.install(),
            "--require-hashes": lambda _: self.install(),
            "uninstall": self.uninstall,
            "poetry lock": lambda _: self.write(self.root / "poetry.lock", poetry_lock(self.version)),
            "uv lock --check": lambda _: None,
            "uv lock": lambda _: self.write(self.root / "uv.lock", uv_lock(self.version)),
            "poetry add": self.add,
            "poetry remove": self.add,
            "poetry update": lambda _: self.write(self.root / "poetry.lock", poetry_lock(self.version)),
        }

    @property
    def requirements(self) -> str:
        return REQUIREMENTS.replace("1.0", self.version)

    def write(self, path: Path, text: str) -> None:
        path.write_text(text, encoding="utf-8")

    def make(self, _argv: list[str]) -> None:
        site = self.prefix / "lib" / "python3.12" / "site-packages"
        (self.prefix / "bin").mkdir(parents=True)
        site.mkdir(parents=True)
        (self.prefix / "bin" / "python").touch(mode=0o755)
        (self.prefix / "pyvenv.cfg").write_text(f"version = 3.12.1\nexecutable = {sys.executable}\n", encoding="utf-8")
        self.record("pip", "26.0")

    def record(self, name: str, version: str) -> None:
        folder = self.prefix / "lib" / "python3.12" / "site-packages" / f"{name}-{version}.dist-info"
        folder.mkdir(exist_ok=True)
        (folder / "RECORD").touch()

    def install(self) -> None:
        for name, version in {**INSTALLED, "a": self.version, **self.extra}.items():
            self.record(name, version)

    def uninstall(self, argv: list[str]) -> None:
        for name in argv[argv.index("--yes") + 1 :]:
            for folder in (self.prefix / "lib" / "python3.12" / "site-packages").glob(f"{name}-*"):
                shutil.rmtree(folder)

    def add(self, _argv: list[str]) -> None:
        path = self.root / "pyproject.toml"
        path.write_text(path.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
        self.write(self.root / "poetry.lock", poetry_lock(self.version))


class Tools(Toolbox):
    def find(self, name: str) -> Tool:
        return Tool(name, (name,), "1", name, "PATH")

    def settings(self, _name: str) -> dict[str, str]:
        return {}


class Watcher:
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def __getattr__(self, _name: str) -> Any:
        return lambda *_, **__: None


Make = Callable[..., tuple[Steps, Machine]]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """The steps of a small project whose locks are there, on a machine that a stand-in plays."""
    chosen = Interpreter("/usr/bin/python3.12", "3.12.1")
    monkeypatch.setattr(interpreters, "choose", lambda _project, _asked: chosen)
    root = tmp_path / "project"
    root.mkdir()

    def made(hybrid: str = "venv+poetry", leader: str = "poetry", **files: str | None) -> tuple[Steps, Machine]:
        content = {
            "pyproject.toml": PYPROJECT.format(leader=leader),
            "poetry.lock": poetry_lock(),
            "uv.lock": uv_lock(),
            "requirements.txt": REQUIREMENTS,
            **{name.replace("_", "."): text for name, text in files.items()},
        }
        for name, text in content.items():
            if text is not None and not (root / name).exists():
                (root / name).write_text(text, encoding="utf-8")
        found = project.find(root)
        prefix = root / ".venv"
        machine = Machine(root, prefix)
        steps = Steps(
            project=found,
            hybrid=hybrid_named(hybrid),
            reason="asked for",
            environment=Environment(prefix, name="p"),
            groups=found.groups,
            toolbox=Tools(found, machine, avoid=(), environ={}),
            runner=machine,
            observer=Watcher(),
            environ={"PATH": "/usr/bin"},
        )
        return steps, machine

    return made


def said(steps: Steps) -> list[str]:
    assert isinstance(steps.observer, Watcher)
    return steps.observer.said


def snapshot(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in root.iterdir() if path.is_file()}


BEFORE = [
    "/usr/bin/python3.12 -m venv ENV",
    "ENV/bin/python -c 'import sys; print(sys.prefix)'",
    "ENV/bin/python -m pip --version",
]
AFTER = ["mlops-lab doctor --prefix ENV", "ENV/bin/python -m pip check"]
BY_PIP = [
    "pip --python ENV/bin/python install --no-compile --require-hashes --no-deps -r requirements.txt",
    "pip --python ENV/bin/python install --no-compile --no-deps -e .",
]
BY_POETRY = ["poetry env info", "poetry check --lock"]
BY_UV = ["uv sync --frozen --inexact --dry-run", "uv lock --check"]
MIDDLE = {
    "venv+poetry": [*BY_POETRY, "poetry sync --only=main --only=dev"],
    "venv+uv": [*BY_UV, "uv sync --locked --no-default-groups --group=dev"],
    "pip+poetry": [*BY_POETRY, *BY_PIP],
    "pip+uv": [*BY_UV, *BY_PIP],
}
EXPORT = {
    "poetry": (
        "poetry export --format=requirements.txt --only=main --only=dev --output=ROOT/.mlops-lab/requirements.new"
    ),
    "uv": (
        "uv export --locked --no-emit-project --no-annotate --no-header --no-default-groups --group=dev"
        " --output-file=ROOT/.mlops-lab/requirements.new"
    ),
}
FOLLOW = "uv lock --upgrade-package=a==1.0 --upgrade-package=b==2.0"


# --- setup ---


@pytest.mark.parametrize("hybrid", MIDDLE)
def test_setup_runs_the_guide_in_order_and_seals_the_environment(make: Make, hybrid: str) -> None:
    steps, machine = make(hybrid)
    before = snapshot(machine.root)
    done = recipe.setup(steps, Request(hybrid=hybrid))
    assert machine.ran == [*BEFORE, *MIDDLE[hybrid], *AFTER]
    assert (done.hybrid, done.reason, done.prefix, done.python) == (hybrid, "asked for", str(machine.prefix), "3.12.1")
    assert done.packages == {**INSTALLED, "pip": "26.0"}
    assert done.because == ("there is no environment yet",)
    assert snapshot(machine.root) == before
    stamp = read_stamp(machine.prefix)
    assert stamp is not None
    assert (stamp.project, stamp.hybrid, stamp.groups) == (str(machine.root), hybrid, ("dev",))
    assert (stamp.made_by, stamp.installed) == (sys.executable, INSTALLED)
    assert stamp.fingerprint is not None
    assert steps.project.remembered("hybrid") == hybrid
    assert steps.project.remembered("prefix") is None


@pytest.mark.parametrize("hybrid", MIDDLE)
def test_setup_again_starts_nothing(make: Make, hybrid: str) -> None:
    recipe.setup(make(hybrid)[0], Request(hybrid=hybrid))
    steps, machine = make(hybrid)
    done = recipe.setup(steps, Request(hybrid=hybrid))
    assert (machine.ran, done.because, said(steps)) == ([], (), [])
    assert done.packages == {**INSTALLED, "pip": "26.0"}


def test_every_command_inherits_the_locks_and_later_ones_do_not(make: Make) -> None:
    steps, machine = make()
    recipe.setup(steps, Request())
    assert machine.held == {2}
    assert machine.inherited == ()
    machine.held.clear()
    recipe.lock(steps)
    assert machine.held == {1}
    machine.held.clear()
    recipe.change(steps, "add", ["c"])
    assert machine.held == {2}
    assert machine.inherited == ()


def test_a_forced_setup_empties_the_prefix_first(make: Make, tmp_path: Path) -> None:
    recipe.setup(make()[0], Request())
    steps, machine = make()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    (machine.prefix / "link").symlink_to(elsewhere)
    (machine.prefix / "file").touch()
    done = recipe.setup(steps, Request(force=True))
    assert done.because == ("asked for with --force",)
    assert machine.ran == [*BEFORE, *MIDDLE["venv+poetry"], *AFTER]
    assert not (machine.prefix / "file").exists()
    assert not (machine.prefix / "link").exists()
    assert (elsewhere / "kept").exists()


def test_another_hybrid_rebuilds_and_says_so(make: Make) -> None:
    recipe.setup(make("venv+uv")[0], Request())
    steps, machine = make("pip+poetry")
    recipe.setup(steps, Request())
    assert said(steps) == ["the environment was made with venv+uv"]
    assert machine.ran[0] == BEFORE[0]


def test_a_changed_lock_is_brought_in_without_a_rebuild(make: Make) -> None:
    recipe.setup(make()[0], Request())
    steps, machine = make()
    (machine.root / "poetry.lock").write_text(poetry_lock("1.1"), encoding="utf-8")
    machine.version = "1.1"
    done = recipe.setup(steps, Request())
    assert done.because == ("poetry.lock changed since the last setup",)
    assert BEFORE[0] not in machine.ran
    # A setup writes no file that it does not need: only pip installs from the requirements.
    assert said(steps)[1:] == []
    assert (machine.root / "requirements.txt").read_text(encoding="utf-8") == REQUIREMENTS


def test_pip_is_given_what_is_locked(make: Make) -> None:
    recipe.setup(make("pip+poetry")[0], Request())
    steps, machine = make("pip+poetry")
    (machine.root / "poetry.lock").write_text(poetry_lock("1.1"), encoding="utf-8")
    machine.version = "1.1"
    recipe.setup(steps, Request())
    assert said(steps)[1:] == ["requirements.txt does not match poetry.lock: it is exported anew"]
    assert (machine.root / "requirements.txt").read_text(encoding="utf-8") == REQUIREMENTS.replace("1.0", "1.1")


def test_a_prefix_that_was_chosen_is_remembered_in_full(make: Make) -> None:
    steps, machine = make()
    recipe.setup(steps, Request(prefix="relative"))
    assert steps.project.remembered("prefix") == str(machine.prefix)


def test_a_setup_that_another_one_finished_meanwhile_has_nothing_to_do(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe.setup(make()[0], Request())
    steps, machine = make()
    answers = iter([(("there is no environment yet",), ()), ((), ())])
    monkeypatch.setattr(freshness, "reasons", lambda *_: next(answers))
    assert recipe.setup(steps, Request()).because == ()
    assert machine.ran == []


# --- locks that are missing ---


@pytest.mark.parametrize(
    ("hybrid", "leader", "missing", "expected"),
    [
        ("venv+poetry", "poetry", ["poetry_lock", "uv_lock", "requirements_txt"], ["poetry lock"]),
        ("venv+uv", "uv", ["poetry_lock", "uv_lock", "requirements_txt"], ["uv lock"]),
        ("venv+uv", "poetry", ["uv_lock", "requirements_txt"], [FOLLOW]),
        ("venv+uv", "poetry", ["uv_lock"], [FOLLOW]),
        ("venv+uv", "poetry", ["poetry_lock", "uv_lock", "requirements_txt"], ["poetry lock", FOLLOW]),
        ("pip+poetry", "poetry", ["requirements_txt"], [EXPORT["poetry"]]),
        ("pip+uv", "poetry", ["uv_lock", "requirements_txt"], [FOLLOW, EXPORT["uv"]]),
    ],
)
def test_what_is_missing_is_made_before_the_environment_is_touched(
    make: Make, hybrid: str, leader: str, missing: list[str], expected: list[str]
) -> None:
    steps, machine = make(hybrid, leader, **dict.fromkeys(missing))
    recipe.setup(steps, Request())
    assert machine.ran == [*expected, *BEFORE, *MIDDLE[hybrid], *AFTER]
    name = {"poetry": "poetry.lock", "uv": "uv.lock"}[leader]
    assert (f"there is no {name} yet: it is made" in said(steps)) is expected[0].endswith(" lock")


def test_requirements_of_chosen_groups_are_exported_beside_the_projects_own(make: Make) -> None:
    steps, machine = make("pip+poetry")
    steps.groups = ()
    machine.install = lambda: None  # type: ignore[method-assign]
    recipe.setup(steps, Request(groups=()))
    assert machine.ran[0] == EXPORT["poetry"].replace(" --only=dev", "")
    assert (machine.root / "requirements.txt").read_text(encoding="utf-8") == REQUIREMENTS
    assert any("-r .mlops-lab/requirements.txt" in command for command in machine.ran)


# --- what left the lock ---


@pytest.mark.parametrize("hybrid", MIDDLE)
def test_what_left_the_lock_is_uninstalled_where_the_installer_cannot(make: Make, hybrid: str) -> None:
    steps, machine = make(hybrid)
    machine.extra = {"zombie": "1", "gone_too": "2"}
    recipe.setup(steps, Request())
    pruned = [command for command in machine.ran if "uninstall" in command]
    expected = ["pip --python ENV/bin/python uninstall --yes gone-too zombie"]
    assert pruned == (expected if hybrid.startswith("pip") else [])


def test_a_project_that_is_no_package_is_neither_installed_nor_kept(make: Make) -> None:
    text = PYPROJECT.format(leader="poetry") + "[tool.poetry]\npackage-mode = false\n"
    steps, machine = make("pip+poetry", pyproject_toml=text)
    recipe.setup(steps, Request())
    assert BY_PIP[1] not in machine.ran
    assert "pip --python ENV/bin/python uninstall --yes p" in machine.ran


# --- failure ---

STEPS = ["-m venv", "sys.prefix", "pip --version", "env info", "check --lock", "poetry sync", "doctor", "pip check"]


@pytest.mark.parametrize("part", STEPS)
def test_a_failed_setup_leaves_no_stamp_that_counts_and_the_next_one_rebuilds(make: Make, part: str) -> None:
    steps, machine = make()
    machine.fails = part
    with pytest.raises(CommandFailed):
        recipe.setup(steps, Request())
    stamp = read_stamp(machine.prefix)
    assert stamp is not None
    assert stamp.fingerprint is None
    assert steps.project.remembered("hybrid") is None
    steps, machine = make()
    done = recipe.setup(steps, Request())
    assert machine.ran == [*BEFORE, *MIDDLE["venv+poetry"], *AFTER]
    expected = (
        "there is no environment yet" if part == "-m venv" else "the last setup of this environment was not finished"
    )
    assert done.because == (expected,)


@pytest.mark.parametrize("name", ["pyproject.toml", "poetry.lock", "uv.lock", "requirements.txt"])
def test_files_are_as_before_when_a_later_one_cannot_be_made(make: Make, name: str) -> None:
    steps, machine = make("pip+uv", uv_lock=None, requirements_txt="a==0.9\n")
    before = snapshot(machine.root)
    machine.fails = "export"
    with pytest.raises(CommandFailed):
        recipe.setup(steps, Request())
    assert snapshot(machine.root).get(name) == before.get(name)
    assert not machine.prefix.exists()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("poetry.lock", "<<<<<<< HEAD\n"),
        ("uv.lock", "version = \n"),
        ("requirements.txt", "; rm -rf ~\n"),
        ("conda.yml", "dependencies: [\n"),
    ],
)
@pytest.mark.parametrize("act", ["setup", "change", "lock", "export"])
def test_a_broken_file_is_refused_before_anything_is_touched(make: Make, name: str, text: str, act: str) -> None:
    steps, machine = make()
    (machine.root / name).write_text(text, encoding="utf-8")
    before = snapshot(machine.root)
    acts: dict[str, Callable[[], object]] = {
        "setup": lambda: recipe.setup(steps, Request()),
        "change": lambda: recipe.change(steps, "add", ["c"]),
        "lock": lambda: recipe.lock(steps),
        "export": lambda: recipe.export(steps),
    }
    with pytest.raises(LabError, match=rf"^{name}:\d+:\d+: ") as caught:
        acts[act]()
    assert caught.value.code == WRONG
    assert (machine.ran, machine.prefix.exists(), snapshot(machine.root)) == ([], False, before)


def test_a_prefix_of_another_project_is_refused(make: Make, tmp_path: Path) -> None:
    steps, machine = make()
    other = tmp_path / "other"
    other.mkdir()
    (other / "pyproject.toml").touch()
    write_stamp(machine.prefix, Stamp(str(other), "venv+uv"))
    with pytest.raises(LabError, match=f"belongs to the project {other}"):
        recipe.setup(steps, Request(force=True))
    assert machine.ran == []


def test_what_a_killed_command_left_is_put_back_first(make: Make) -> None:
    steps, machine = make()
    manifest = machine.root / "pyproject.toml"
    before = manifest.read_bytes()
    transaction._lay_aside(steps.project.state / "journal", {"pyproject.toml": manifest})
    manifest.write_text("half", encoding="utf-8")
    recipe.lock(steps)
    line = "a command was killed while it changed pyproject.toml: put back as before, "
    assert said(steps) == [f"{line}what stood there is in .mlops-lab/replaced"]
    assert manifest.read_bytes() == before


# --- create and install ---


def test_create_makes_the_environment_and_setup_completes_it(make: Make) -> None:
    steps, machine = make()
    assert recipe.create(steps, Request()) is True
    assert machine.ran == [BEFORE[0]]
    steps, machine = make()
    assert recipe.create(steps, Request()) is False
    assert machine.ran == []
    done = recipe.setup(steps, Request())
    assert done.because == ("its packages are not installed yet",)
    assert machine.ran == [*BEFORE[1:], *MIDDLE["venv+poetry"], *AFTER]


def test_create_with_force_makes_it_anew(make: Make) -> None:
    recipe.create(make()[0], Request())
    steps, machine = make()
    assert recipe.create(steps, Request(force=True)) is True
    assert machine.ran == [BEFORE[0]]


def test_install_brings_what_is_there_to_the_lock(make: Make) -> None:
    recipe.setup(make()[0], Request())
    steps, machine = make()
    recipe.install(steps)
    assert machine.ran == [*MIDDLE["venv+poetry"], AFTER[1]]
    assert (stamp := read_stamp(machine.prefix)) is not None
    assert stamp.fingerprint is not None


def test_install_without_an_environment_is_refused(make: Make) -> None:
    steps, machine = make()
    with pytest.raises(LabError) as caught:
        recipe.install(steps)
    assert str(caught.value) == f"there is no environment at {machine.prefix}: make it with `invoke setup`"
    assert machine.ran == []


def test_install_into_an_environment_of_another_hybrid_is_refused(make: Make) -> None:
    recipe.setup(make("pip+uv")[0], Request())
    steps, machine = make("venv+poetry")
    with pytest.raises(LabError) as caught:
        recipe.install(steps)
    assert str(caught.value) == (
        f"the environment at {machine.prefix} was made with pip+uv: rebuild it with `invoke setup --hybrid venv+poetry`"
    )
    assert (caught.value.code, machine.ran) == (WRONG, [])


def test_install_into_an_environment_that_was_never_finished_is_refused(make: Make) -> None:
    steps, machine = make()
    machine.make([])
    write_stamp(machine.prefix, Stamp(str(machine.root), "venv+poetry"))
    with pytest.raises(LabError, match=r"was never finished: rebuild it with `invoke setup --hybrid venv\+poetry`$"):
        recipe.install(steps)


# --- add, update, remove ---


@pytest.mark.parametrize(
    ("row", "packages", "group", "expected"),
    [
        ("add", ["c>=1", "d"], None, "poetry add --lock 'c>=1' d"),
        ("add", ["c"], "dev", "poetry add --lock --group=dev c"),
        ("remove", ["a"], None, "poetry remove --lock a"),
        ("remove", ["b"], None, "poetry remove --lock --group=dev b"),
        ("remove", ["b"], "dev", "poetry remove --lock --group=dev b"),
        ("update", [], None, "poetry update --lock"),
        ("update", ["a", "b"], None, "poetry update --lock a b"),
    ],
)
def test_a_change_edits_locks_exports_and_installs(
    make: Make, row: str, packages: list[str], group: str | None, expected: str
) -> None:
    recipe.setup(make()[0], Request())
    steps, machine = make()
    machine.version = "1.1"
    recipe.change(steps, row, packages, group)
    follow = FOLLOW.replace("1.0", "1.1")
    assert machine.ran == [expected, follow, EXPORT["poetry"], *MIDDLE["venv+poetry"], AFTER[1]]
    assert (machine.root / "uv.lock").read_text(encoding="utf-8") == uv_lock("1.1")
    assert "a==1.1" in (machine.root / "requirements.txt").read_text(encoding="utf-8")
    assert (stamp := read_stamp(machine.prefix)) is not None
    assert stamp.installed["a"] == "1.1"


def test_the_packages_of_several_groups_are_removed_group_by_group(make: Make) -> None:
    steps, machine = make()
    recipe.change(steps, "remove", ["a", "b"])
    assert machine.ran[:2] == ["poetry remove --lock --group=dev b", "poetry remove --lock a"]


def test_a_package_that_is_not_declared_is_not_removed(make: Make) -> None:
    steps, machine = make()
    with pytest.raises(LabError) as caught:
        recipe.change(steps, "remove", ["c"])
    assert str(caught.value) == "pyproject.toml does not declare c: one of: a, b"
    assert (caught.value.code, machine.ran) == (WRONG, [])


@pytest.mark.parametrize("part", ["poetry add", "uv lock --upgrade", "export", "poetry sync", "pip check"])
def test_a_failed_change_puts_every_file_back(make: Make, part: str) -> None:
    recipe.setup(make()[0], Request())
    steps, machine = make()
    before = snapshot(machine.root)
    machine.version, machine.fails = "1.1", part
    with pytest.raises(CommandFailed) as caught:
        recipe.change(steps, "add", ["c"])
    assert caught.value.code == FOUND
    assert snapshot(machine.root) == before
    assert (stamp := read_stamp(machine.prefix)) is not None
    reached = part in {"poetry sync", "pip check"}
    assert (stamp.fingerprint is None) is reached


def test_a_change_without_an_environment_installs_nothing_and_says_so(make: Make) -> None:
    steps, machine = make("venv+poetry", uv_lock=None, requirements_txt=None)
    recipe.change(steps, "add", ["c"])
    assert machine.ran == ["poetry add --lock c"]
    assert said(steps) == ["there is no environment to install into: make it with `invoke setup`"]


def test_a_change_in_an_environment_that_was_never_finished_is_refused(make: Make) -> None:
    steps, machine = make()
    machine.make([])
    write_stamp(machine.prefix, Stamp(str(machine.root), "venv+poetry"))
    with pytest.raises(LabError, match="was never finished"):
        recipe.change(steps, "add", ["c"])
    assert machine.ran == []


def test_a_group_that_has_just_come_is_installed_unless_others_were_chosen(make: Make) -> None:
    for groups, expected in ((("dev",), ("dev", "docs")), ((), ())):
        steps, machine = make(uv_lock=None, requirements_txt=None)
        steps.groups = groups
        manifest = machine.root / "pyproject.toml"
        manifest.write_text(PYPROJECT.format(leader="poetry"), encoding="utf-8")
        steps.project = project.find(machine.root)

        def add(_argv: list[str], manifest: Path = manifest) -> None:
            text = manifest.read_text(encoding="utf-8")
            manifest.write_text(
                text.replace("[dependency-groups]", '[dependency-groups]\ndocs = ["c"]'), encoding="utf-8"
            )

        machine.add = add  # type: ignore[method-assign]
        recipe.change(steps, "add", ["c"], "docs")
        assert tuple(sorted(steps.groups)) == expected


# --- lock, export, clean ---


def test_lock_lets_what_is_there_follow(make: Make) -> None:
    steps, machine = make("venv+poetry")
    machine.version = "1.1"
    recipe.lock(steps)
    assert machine.ran == ["poetry lock", FOLLOW.replace("1.0", "1.1"), EXPORT["poetry"]]
    assert not machine.prefix.exists()


def test_lock_makes_what_the_hybrid_needs_and_nothing_else(make: Make) -> None:
    steps, machine = make("venv+poetry", poetry_lock=None, uv_lock=None, requirements_txt=None)
    recipe.lock(steps)
    assert machine.ran == ["poetry lock"]
    steps, machine = make("venv+uv", uv_lock=None)
    recipe.lock(steps)
    assert machine.ran == ["poetry lock", FOLLOW]


def test_export_writes_the_requirements_even_where_they_are_in_step(make: Make) -> None:
    steps, machine = make("pip+uv")
    assert recipe.export(steps) == machine.root / "requirements.txt"
    assert machine.ran == [EXPORT["uv"]]


BY_HAND = "a\n"


def test_an_export_over_requirements_that_somebody_wrote_is_refused(make: Make) -> None:
    steps, machine = make("pip+uv", requirements_txt=BY_HAND)
    with pytest.raises(LabError) as caught:
        recipe.export(steps)
    assert str(caught.value) == (
        "requirements.txt has no hashes: somebody wrote it by hand, and an export would replace it: "
        "rename it (requirements.in is usual), or delete it, then export again"
    )
    assert (caught.value.code, machine.ran) == (WRONG, [])
    steps.groups = ()
    assert recipe.export(steps) == machine.root / ".mlops-lab" / "requirements.txt"
    assert (machine.root / "requirements.txt").read_text(encoding="utf-8") == BY_HAND


def test_pip_installs_from_an_export_of_ours_beside_them(make: Make) -> None:
    steps, machine = make("pip+uv", requirements_txt=BY_HAND)
    recipe.setup(steps, Request())
    assert BY_PIP[0].replace("requirements.txt", ".mlops-lab/requirements.txt") in machine.ran
    assert said(steps)[1:] == [
        "requirements.txt is written by hand and stays: .mlops-lab/requirements.txt is exported for pip"
    ]
    assert (machine.root / "requirements.txt").read_text(encoding="utf-8") == BY_HAND


def test_clean_removes_the_environment_and_our_state(make: Make) -> None:
    steps, machine = make()
    recipe.setup(steps, Request())
    assert recipe.clean(steps) == [str(machine.prefix), str(machine.root / ".mlops-lab")]
    assert sorted(path.name for path in machine.root.iterdir()) == sorted(
        ["poetry.lock", "pyproject.toml", "requirements.txt", "uv.lock"]
    )


def test_clean_with_nothing_there_removes_nothing(make: Make) -> None:
    steps, machine = make()
    assert recipe.clean(steps) == []
    assert not (machine.root / ".mlops-lab").exists()


def test_clean_leaves_what_we_did_not_make(make: Make) -> None:
    steps, machine = make()
    machine.make([])
    with pytest.raises(LabError) as caught:
        recipe.clean(steps)
    assert str(caught.value) == f"{machine.prefix} was not made by mlops-lab: remove it yourself if it is not needed"
    assert machine.prefix.exists()


def test_clean_puts_back_what_a_killed_command_left_before_its_journal_goes(make: Make) -> None:
    steps, machine = make()
    manifest = machine.root / "pyproject.toml"
    before = manifest.read_bytes()
    transaction._lay_aside(steps.project.state / "journal", {"pyproject.toml": manifest})
    manifest.write_text("half", encoding="utf-8")
    recipe.clean(steps)
    assert manifest.read_bytes() == before


# --- two at once ---


def test_nothing_is_changed_while_another_process_holds_the_environment(make: Make) -> None:
    steps, machine = make()

    class Busy(Exception):
        pass

    def busy(text: str) -> None:
        raise Busy(text)

    steps.observer.say = busy  # type: ignore[method-assign]
    held, enough = threading.Event(), threading.Event()

    def hold() -> None:
        with holding(machine.prefix, print):
            held.set()
            enough.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    try:
        with pytest.raises(Busy) as caught:
            recipe.setup(steps, Request())
    finally:
        enough.set()
        thread.join()
    assert str(caught.value) == f"waiting: another process is changing {machine.prefix}"
    assert machine.ran == []
