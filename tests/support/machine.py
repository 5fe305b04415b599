"""A machine that a stand-in plays: environments, manifests and locks are files, no tool runs."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlops_lab import project
from mlops_lab.environment import Environment
from mlops_lab.guide import hybrid_named
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
        self.root = self.cwd = root
        self.prefix = prefix
        self.ran: list[str] = []
        self.asked: list[str] = []
        self.held: set[int] = set()
        self.fails = ""
        self.fails_once = False
        self.extra: dict[str, str] = {}
        self.version = "1.0"

    def run(  # the signature is the runner's
        self, argv: Sequence[str], *, cwd: Path, changes: Mapping[str, str | None] | None = None, quiet: bool = False
    ) -> str:
        assert cwd in {self.root, self.root / ".mlops-lab" / "draft"}
        self.cwd = cwd
        assert quiet or changes is not None
        text = shlex.join(argv).replace(str(self.prefix), "ENV").replace(str(self.root), "ROOT")
        if quiet:
            self.asked.append(text)
            return ""
        self.ran.append(text)
        self.held.add(len(self.inherited))
        if self.fails and self.fails in text:
            self.fails = "" if self.fails_once else self.fails
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
            "poetry lock": lambda _: self.write(self.cwd / "poetry.lock", poetry_lock(self.version)),
            "uv lock --check": lambda _: None,
            "uv lock": lambda _: self.write(self.cwd / "uv.lock", uv_lock(self.version)),
            "poetry add": self.add,
            "poetry remove": self.add,
            "poetry update": lambda _: self.write(self.cwd / "poetry.lock", poetry_lock(self.version)),
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
        path = self.cwd / "pyproject.toml"
        path.write_text(path.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
        self.write(self.cwd / "poetry.lock", poetry_lock(self.version))


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


def maker(root: Path) -> Make:
    """Makes the steps of a small project whose locks are there."""
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
