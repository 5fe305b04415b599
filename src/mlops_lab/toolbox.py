"""Finds or provisions a tool: the argv that replaces its name in a command of the guide.

Tools live outside the environment they manage. One on PATH is taken when its version and plugins satisfy
`[tool.mlops-lab.tools]` and it does not lie in an environment of the project; else the pinned one is installed with uv
into the user's cache, once, under a lock.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_lab import indexes
from mlops_lab.engines import COMMAND, Engine, choose, embedded
from mlops_lab.environment import holding, identity, user_cache
from mlops_lab.errors import FOUND, LabError
from mlops_lab.facts import Facts, read_json
from mlops_lab.guide import TOOL_KINDS, nearest
from mlops_lab.runner import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mlops_lab.project import Project
    from mlops_lab.runner import Runner

__all__ = ["OWN", "Tool", "Toolbox"]

OWN = "mlops-lab"
"""The word that stands for ourselves."""
CONDA = "conda"
"""The word that stands for the engine."""
ON_PATH = "PATH"
"""Where a tool was found that the user's PATH gives."""
_DAY = 86_400.0


_KINDS = {name: kind for name, kind in TOOL_KINDS.items() if kind.parts}

# Runs in a tool's own interpreter: what it has of the distributions that are named to it.
_VERSIONS = """
import importlib.metadata, json, sys
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""

# Runs in Poetry's interpreter, with its own session, headers and certificates. What the index answers tells what it
# speaks; its headers do not always (some answer HEAD as JSON and GET as HTML), nor does one page: Poetry resolves with
# the simple page and installs with the version's own, which many indexes do not have
# (https://github.com/python-poetry/poetry/blob/main/src/poetry/repositories/pypi_repository.py).
_DEFAULT_INDEX = """
import json
from poetry.repositories.pypi_repository import PyPiRepository
index = PyPiRepository()
def ask(page, **headers):
    return index.session.get(index._base_url + page, headers=headers, timeout=8, raise_for_status=False)
page = ask("simple/six/", Accept="application/vnd.pypi.simple.v1+json")
try:
    version = json.loads(page.text)["versions"][-1]
    speaks_json = "urls" in json.loads(ask(f"pypi/six/{version}/json").text)
except (ValueError, LookupError, TypeError):
    speaks_json = False
print(json.dumps({"url": index._url, "simple_only": page.status_code == 200 and not speaks_json}))
"""

_PIP_DEFAULT_INDEX = """
from pip._internal.models.index import PyPI
print(PyPI.simple_url)
"""


@dataclass(frozen=True)
class Tool:
    """A tool that can be run.

    Attributes:
        name: The word that it replaces.
        argv: What replaces the word.
        version: Its version.
        path: The file that tells one version from another: its program's real path.
        origin: Where it was found, for people.
    """

    name: str
    argv: tuple[str, ...]
    version: str
    path: str
    origin: str

    @property
    def interpreter(self) -> str:
        """The Python that a provisioned tool, or one with a Python script, runs on."""
        return _shebang(Path(self.argv[0])) or self.argv[0]


class Toolbox:
    """The tools of one project on this machine; each is looked for once.

    Args:
        project: The project, for its pins and its index.
        runner: Starts what has to be asked or installed.
        avoid: Environments that the recipe may change; no tool is taken from them.
        environ: The user's variables.
        offline: Whether nothing may be asked of a network.
        engine: The program that acts as conda; the embedded one where none was chosen.
        say: Called with a sentence when something takes long, or a tool cannot take a setting.
    """

    def __init__(
        self,
        project: Project,
        runner: Runner,
        *,
        avoid: Sequence[Path],
        environ: Mapping[str, str],
        offline: bool = False,
        engine: Engine | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.project = project
        self.runner = runner
        self.avoid = tuple(avoid)
        self.environ = environ
        self.offline = offline
        self.engine = engine
        self.say = say
        self._found: dict[str, Tool] = {}
        self._settings: dict[str, dict[str, str]] = {}
        self._said: set[str] = set()
        self._pip_config: indexes.PipConfig | None = None

    def reload(self, project: Project) -> None:
        """Go on with a project whose manifest has changed: it may declare another index."""
        if project.data != self.project.data:
            self._settings.clear()
        # Not its root, which may be a draft's.
        self.project = replace(self.project, data=project.data, settings=project.settings)

    def find(self, name: str) -> Tool:
        """The tool of that name, from PATH or provisioned.

        Raises:
            LabError: There is no such tool, its pin is no version specifier (code 2), or it could not be provisioned
                (code 1).
        """
        if name not in self._found:
            self._found[name] = self._part_of_us(name) or self._on_path(name) or self._provisioned(name)
        return self._found[name]

    def peek(self, name: str) -> Tool | None:
        """The tool of that name if it is there already; nothing is installed."""
        if name in self._found:
            return self._found[name]
        found = self._on_path(name)
        if found is None and name in _KINDS and (marker := read_json(self._folder(name) / "complete.json")):
            found = self._complete(name, marker)
        return found

    def survey(self) -> dict[str, tuple[str, str]]:
        """Every tool of the guide: its version and where it was found, both empty where it is not here."""
        found: dict[str, tuple[str, str]] = {}
        for name in TOOL_KINDS:
            if name in _KINDS:
                tool = self.peek(name)
                found[name] = (tool.version, tool.origin) if tool else ("", "")
            else:
                found[name] = self._surveyed_engine()
        return found

    def _surveyed_engine(self) -> tuple[str, str]:
        from importlib.metadata import version

        engine = self.engine or choose(self.project, None, self.environ, self.avoid)
        if engine.is_embedded:
            return f"py-rattler {version('py-rattler')}", "embedded in mlops-lab"
        version_of_it = self._asked_for_its_version(engine.path)
        return (version_of_it, f"{engine.name} of this machine") if version_of_it else ("", "")

    def _asked_for_its_version(self, path: str | None) -> str:
        """What a program says last when it is asked; empty where it is not here, or is broken."""
        try:
            words = self.runner.run([path, "--version"], cwd=self.project.root, quiet=True).split() if path else []
        except CommandFailed:
            words = []
        return words[-1] if words else ""

    @property
    def used(self) -> dict[str, Any]:
        """What the tools that were used are on disk, for the fingerprint of what they made."""
        return {name: _mark(tool) for name, tool in sorted(self._found.items()) if tool.path}

    @property
    def versions(self) -> dict[str, str]:
        """The versions of the tools that were used."""
        return {name: tool.version for name, tool in sorted(self._found.items()) if tool.version}

    def changed(self, name: str, mark: Mapping[str, Any]) -> bool:
        """Whether a tool is another one than when it was used: its files, or a program on PATH that would be taken.

        A tool that PATH does not give any more is no other one: inside the activated environment PATH is shorter.
        """
        if _state(mark["path"]) != mark["state"]:
            return True
        if name not in _KINDS:
            return False
        found = self._which(name)
        other = found is not None and os.path.realpath(found) != mark["path"]
        return other and self._satisfied(name, self._versions(name, str(found)))

    # --- what is there ---

    def _part_of_us(self, name: str) -> Tool | None:
        """The tools that are neither looked for nor provisioned: ourselves, and what acts as conda."""
        from mlops_lab import __file__ as package

        if name == OWN:
            return Tool(OWN, (sys.executable, str(Path(package).with_name("__main__.py"))), "", "", "this program")
        if name in {CONDA, COMMAND}:
            engine = self.engine if self.engine and name == CONDA else embedded()
            return Tool(name, engine.argv, "", engine.path, engine.name)
        return None

    def _which(self, name: str) -> str | None:
        folders = [
            folder
            for folder in os.get_exec_path(dict(self.environ))
            if folder and not any(Path(folder).absolute().is_relative_to(prefix) for prefix in self.avoid)
        ]
        return shutil.which(name, path=os.pathsep.join(folders))

    def _on_path(self, name: str) -> Tool | None:
        if name not in _KINDS:
            raise LabError(f"there is no tool {name!r}", nearest(name, [*_KINDS, OWN, CONDA]))
        for path, origin in ((self._which(name), ON_PATH), (_bundled(name), "installed with mlops-lab")):
            versions = self._versions(name, path) if path else {}
            if path and self._satisfied(name, versions):
                return Tool(name, (path,), versions[name], os.path.realpath(path), origin)
        return None

    def _satisfied(self, name: str, versions: Mapping[str, str]) -> bool:
        return all(part in versions and versions[part] in self._pin(part) for part in _KINDS[name].parts)

    def _pin(self, part: str) -> Any:  # noqa: ANN401 - packaging is imported only where a tool is looked for
        from packaging.specifiers import InvalidSpecifier, SpecifierSet

        text = self.project.settings.tools[part]
        try:
            return SpecifierSet(text)
        except InvalidSpecifier as error:
            raise LabError(
                f"pyproject.toml: tool.mlops-lab.tools.{part} = {text!r} is not a version specifier",
                'write it as ">=2.2,<3"',
            ) from error

    def _versions(self, name: str, path: str) -> dict[str, str]:
        """The versions of a tool on this machine and of its plugins, asked once for as long as its files stay."""
        interpreter = _shebang(Path(path))
        if not interpreter and not _KINDS[name].binary:
            return {}  # a shim: what is behind it depends on the folder it is started in
        facts = Facts()
        state = [identity(path), _packages_changed(interpreter)]
        if (known := facts.get(path, state)) is not None:
            return dict(known)
        argv = [interpreter, "-I", "-c", _VERSIONS, *_KINDS[name].parts] if interpreter else [path, "--version"]
        try:
            answer = self.runner.run(argv, cwd=self.project.root, quiet=True)
            versions = json.loads(answer) if interpreter else {name: answer.split()[1]}
        except (CommandFailed, ValueError, IndexError):
            return {}  # asked again the next time: it may have been a passing trouble
        facts.put(path, state, versions)
        return dict(versions)

    # --- what has to be provisioned ---

    def _wanted(self, name: str) -> list[str]:
        return [f"{part}{self._pin(part)}" for part in _KINDS[name].parts]

    def _folder(self, name: str) -> Path:
        wanted = [*self._wanted(name), platform.python_version(), sys.platform, platform.machine()]
        return user_cache() / "tools" / f"{name}-{hashlib.blake2b(repr(wanted).encode(), digest_size=8).hexdigest()}"

    def _complete(self, name: str, marker: Mapping[str, Any]) -> Tool | None:
        folder = self._folder(name)
        first, *rest = _KINDS[name].provisioned
        program = folder / ("Scripts" if os.name == "nt" else "bin") / (f"{first}.exe" if os.name == "nt" else first)
        # The Python that it was made with may have gone since.
        if not program.exists() or not program.with_name("python.exe" if os.name == "nt" else "python").exists():
            return None
        # The marker, not the program, is replaced when another version is provisioned.
        path = str(folder / "complete.json")
        return Tool(name, (str(program), *rest), str(marker.get(name, "")), path, "provisioned")

    def _provisioned(self, name: str) -> Tool:
        folder = self._folder(name)
        marker = folder / "complete.json"
        if (known := read_json(marker)) and (tool := self._complete(name, known)):
            return tool
        with holding(folder, self.say) as descriptor, self.runner.inheriting(descriptor):
            if (known := read_json(marker)) and (tool := self._complete(name, known)):
                return tool
            versions = self._install(name, folder)
            marker.write_text(json.dumps(versions), encoding="utf-8")
        tool = self._complete(name, versions)
        if tool is None:
            raise LabError(f"{name} was installed into {folder}, but has no program there", f"delete {folder}")
        return tool

    def _install(self, name: str, folder: Path) -> dict[str, str]:
        self.say(f"provisioning {name} ({', '.join(self._wanted(name))}) in the user's cache")
        uv = self._installer(name)
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        changes = {
            **self._settings_to_provision(name),
            "VIRTUAL_ENV": None,
            "UV_PROJECT_ENVIRONMENT": None,
            "UV_PYTHON": None,
            **({"UV_OFFLINE": "1"} if self.offline else {}),
        }
        base = getattr(sys, "_base_executable", sys.executable)
        parts = _KINDS[name].parts
        # Compiled, because a tool may be started where Python is told not to write bytecode.
        install = [*uv, "pip", "install", "--compile-bytecode", "--python", str(python), *self._wanted(name)]
        for argv in ([*uv, "venv", "--no-project", "--python", base, str(folder)], install):
            self.runner.run(argv, cwd=folder.parent, changes=changes, quiet=True)
        asked = [str(python), "-I", "-c", _VERSIONS, *parts]
        answer: dict[str, str] = json.loads(self.runner.run(asked, cwd=folder.parent, quiet=True))
        return answer

    def _installer(self, name: str) -> tuple[str, ...]:
        """The uv that installs a tool; where that is uv itself, any other version of it will do."""
        if name == "uv":
            path = _bundled(name) or self._which(name)
            if path is None:
                raise LabError("there is no uv to install the tools with", "install it: `pip install uv`", code=FOUND)
            self._found[name] = Tool(name, (path,), "", os.path.realpath(path), "for the meantime")
        return self.find("uv").argv

    def _settings_to_provision(self, name: str) -> dict[str, str]:
        """The variables for uv while it installs a tool: pip cannot be asked anything before it is here."""
        if name != "pip":
            return self.settings("uv")
        return self._for_uv(replace(self.pip_config, extra_index_urls=())).variables

    # --- the index, the same one for all tools ---

    @property
    def pip_config(self) -> indexes.PipConfig:
        """What pip is configured to use."""
        if self._pip_config is None:
            self._pip_config = indexes.read_pip_config(self.environ, Path(sys.prefix))
        return self._pip_config

    def settings(self, name: str) -> dict[str, str]:
        """The variables that send a tool to the index that pip is configured to use.

        What a tool cannot take is said, once.
        """
        if name not in self._settings:
            handed = self._handed(name)
            self._settings[name] = handed.variables
            for note in handed.notes:
                if note not in self._said:
                    self.say(note)
            self._said.update(handed.notes)
        return self._settings[name]

    def _handed(self, name: str) -> indexes.Handed:
        if name == "uv":
            return self._for_uv(self.pip_config)
        if name == "poetry":
            return indexes.for_poetry(self.pip_config, self.environ, mirror=self._mirror)
        if name in {"pip", CONDA}:  # conda hands the pip part of conda.yml to pip
            return indexes.for_pip(self.pip_config, self.environ, self.project.data)
        return indexes.Handed({}, ())

    def _for_uv(self, config: indexes.PipConfig) -> indexes.Handed:
        declares = indexes.declares_default_index(self.project.data)
        return indexes.for_uv(config, self.environ, default_index=self.default_index, declares_default=declares)

    def default_index(self) -> str:
        """The address of the default index, as pip knows it."""
        tool = self.find("pip")
        facts = Facts()
        key, state = f"default index of {tool.path}", [identity(tool.path)]
        if (known := facts.get(key, state)) is not None:
            return str(known)
        answer = self.runner.run(
            [tool.interpreter, "-I", "-c", _PIP_DEFAULT_INDEX], cwd=self.project.root, quiet=True
        ).strip()
        facts.put(key, state, answer)
        return answer

    def _mirror(self) -> str | None:
        """The simple page of Poetry's default index when that has not the JSON that Poetry reads; asked once a day."""
        if self.offline:
            return None
        tool = self.find("poetry")
        facts = Facts()
        proxies = sorted((key, value) for key, value in self.environ.items() if key.lower().endswith("_proxy"))
        key, state = f"JSON of the index of {tool.path}", [identity(tool.path), proxies, int(time.time() // _DAY)]
        known = facts.get(key, state)
        if known is None:
            # With pip's certificate and proxy, as Poetry itself will have them; with its plugin out of the way: the
            # question is about Poetry's own index.
            way = indexes.for_poetry(self.pip_config, self.environ, mirror=lambda: None).variables
            changes = {**way, "POETRY_PYPI_MIRROR_URL": None}
            try:
                argv = [tool.interpreter, "-I", "-c", _DEFAULT_INDEX]
                known = json.loads(self.runner.run(argv, cwd=self.project.root, changes=changes, quiet=True))
            except (CommandFailed, ValueError):
                return None  # unreachable: Poetry will say so itself, and the next command asks again
            facts.put(key, state, known)
        return str(known["url"]) if known["simple_only"] else None


def _mark(tool: Tool) -> dict[str, Any]:
    return {"path": tool.path, "state": _state(tool.path)}


def _state(path: str) -> list[Any]:
    """A tool's file, and the packages of the Python that it runs on: an upgrade may leave the file as it was."""
    return [identity(path), _packages_changed(_shebang(Path(path)))]


def _bundled(name: str) -> str | None:
    """The uv binary that is one of our own dependencies."""
    if name != "uv":
        return None
    import uv

    try:
        return str(uv.find_uv_bin())
    except FileNotFoundError:
        return None


def _shebang(script: Path) -> str:
    """The Python interpreter that a script names in its first line; empty for anything else."""
    try:
        with script.open("rb") as file:
            head = file.read(1024)
    except OSError:
        return ""
    if not head.startswith(b"#!"):
        return ""
    line, _, rest = head[2:].partition(b"\n")
    words = os.fsdecode(line).strip()
    # A path that is long or has spaces cannot stand in a first line: installers then write a sh trampoline
    # (https://github.com/pypa/distlib/blob/master/distlib/scripts.py).
    if words == "/bin/sh" and rest.startswith(b"'''exec' "):
        words = os.fsdecode(rest.splitlines()[0]).removeprefix("'''exec' ").rpartition(' "$0"')[0].strip('"')
    return words if "python" in Path(words).name and Path(words).exists() else ""


def _packages_changed(interpreter: str) -> object:
    """A value that changes when packages come to or leave the environment of an interpreter."""
    if not interpreter:
        return None
    folders = sorted(Path(interpreter).absolute().parents[1].glob("lib/python3*/site-packages"))
    # Not the folder's own time: bytecode and what a measurement of coverage leaves change that too.
    records = sorted(record.name for folder in folders for record in folder.glob("*.*-info"))
    return hashlib.blake2b("\n".join(records).encode(errors="surrogateescape"), digest_size=12).hexdigest()
