"""One step of the guide at a time, on one project, hybrid and environment; it knows no tool by name."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shlex
import shutil
import sys
import time
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mlops_lab import conda_meta, condafile, engines
from mlops_lab.choices import choose_environment, choose_groups, choose_hybrid, refuse_others
from mlops_lab.environment import Environment, activation, config, holding, normalise, read_stamp
from mlops_lab.errors import FOUND, WRONG, LabError
from mlops_lab.guide import LEADER, LISTED, Hybrid, Row, Spelling, row_named, spelling, words
from mlops_lab.hints import hint_for
from mlops_lab.manifests import pyproject
from mlops_lab.project import LOCKS, STATE, Project, find
from mlops_lab.runner import QUIET, CommandFailed, Runner, changed
from mlops_lab.toolbox import CONDA, Toolbox

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlops_lab.choices import Request
    from mlops_lab.engines import Engine
    from mlops_lab.interpreters import Interpreter

__all__ = ["Observer", "Steps", "leave_environment", "open_steps"]

_ENVIRON = "import json, os; print(json.dumps(dict(os.environ)))"
_OF_THE_SHELL = frozenset({"_", "SHLVL", "PWD", "OLDPWD"})
_LITTLE = 1 << 18
"""Bytes; a disk with less free space counts as full."""
_NOWHERE = "http://127.0.0.1:9"
"""The discard port: a tool that has no offline mode of its own meets this proxy instead of the network."""
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_OFFLINE: Mapping[str, str | None] = {
    "UV_OFFLINE": "1",
    "CONDA_OFFLINE": "1",
    "PIP_NO_INDEX": "1",
    # Both spellings: Python prefers the lower one.
    **dict.fromkeys((*_PROXIES, *(name.lower() for name in _PROXIES)), _NOWHERE),
    "NO_PROXY": None,
    "no_proxy": None,
}


class Observer(Protocol):
    """Who watches the steps: the person at the terminal, a log, nobody."""

    def say(self, text: str) -> None:
        """Something worth knowing."""

    def start(self, row: Row) -> None:
        """A step begins."""

    def command(self, argv: Sequence[str]) -> None:
        """A command of the step begins."""

    def line(self, text: str) -> None:
        """The command has printed a line."""

    def finish(self, row: Row, seconds: float, *, ok: bool) -> None:
        """The step has ended."""


@dataclass
class Steps:
    """The steps of the guide on one environment.

    Attributes:
        project: The project.
        hybrid: The hybrid that answers the rows.
        reason: Why that hybrid.
        environment: The environment to work on.
        groups: The dependency groups to install beside main.
        toolbox: Where the tools come from.
        runner: Starts the commands.
        observer: Who watches.
        environ: The user's variables.
        offline: Whether nothing may be fetched.
        interpreter: The Python to make the environment with; None until one is chosen.
        engine: The program that acts as conda; None for a backend that is no conda.
        asked_python: What `--python` says, for a conda, which brings its own.
        given: Variables for the managers, beside the usual ones; they may hold credentials.
    """

    project: Project
    hybrid: Hybrid
    reason: str
    environment: Environment
    groups: tuple[str, ...]
    toolbox: Toolbox
    runner: Runner
    observer: Observer
    environ: Mapping[str, str]
    offline: bool = False
    interpreter: Interpreter | None = None
    engine: Engine | None = None
    asked_python: str | None = None
    given: Mapping[str, str | None] = field(default_factory=dict, repr=False)
    _leader: str = field(default="", repr=False)
    _activated: dict[str, str | None] = field(default_factory=dict, repr=False)

    @property
    def leader(self) -> str:
        """The manager that resolves: as declared, else the one lock that git tracks, else Poetry."""
        if not self._leader:
            self._leader = self.project.settings.leader or self._tracked_leader()
        return self._leader

    def _tracked_leader(self) -> str:
        try:
            argv = ["git", "ls-files", *LOCKS.values()]
            listed = self.runner.run(argv, cwd=self.project.home or self.project.root, quiet=True).split()
        except CommandFailed:
            # No git here: the one lock that is there says as much.
            listed = [name for name in LOCKS.values() if (self.project.root / name).exists()]
        tracked = [manager for manager, name in LOCKS.items() if name in listed]
        return tracked[0] if len(tracked) == 1 else LEADER

    @property
    def requirements(self) -> Path:
        """The exported requirements: the project's own for its default groups, else ours for this choice.

        Requirements that somebody wrote by hand are nobody's export: they stay as they are.
        """
        if set(self.groups) == set(self.project.groups) and not self.project.requirements_by_hand:
            return self.project.requirements
        return self.project.state / "requirements.txt"

    @property
    def values(self) -> dict[str, str | Sequence[str]]:
        """What fills the placeholders of the guide's commands."""
        conda, prefix = self.project.conda_yml, str(self.environment.prefix)
        return {
            "prefix": prefix,
            "python": str(self.environment.python),
            # Shown rather than run, it is the one that the user would meet.
            "interpreter": self.interpreter.path if self.interpreter else "python",
            "name": self.environment.name if self.environment.by_name else prefix,
            # Never by name: what that means is looked up again, and what is replaced or removed shall be this one.
            "where": ["-p", prefix],
            "channels": list(env.channels) if (env := self.project.conda_env if self.engine else None) else [],
            "conda_yml": conda.name if conda else "conda.yml",
            "requirements": self._shown(self.requirements),
            "groups": list(self.groups),
            "packages": [],
            "group": [],
            "pins": [],
            "kernel": self.project.name,
            "title": f"{self.project.name} ({self.hybrid})",
            "dist": "dist",
            "files": [],
            "repository": [],
            "upload": [],
        }

    def _shown(self, path: Path) -> str:
        root = self.project.root
        return str(path.relative_to(root) if path.is_relative_to(root) else path)

    def on(self, folder: Path) -> Steps:
        """The same steps on a draft of the project: they lead to the same environment."""
        draft = find(folder, home=self.project.home or self.project.root)
        return replace(self, project=draft, _leader=self.leader)

    def lead(self) -> None:
        """Read the project again, which says now who resolves."""
        self._leader = ""
        self.reload()

    def reload(self) -> None:
        """Read the project again after its manifest has changed; a group that has just come is installed by default."""
        usual = set(self.groups) == set(self.project.groups)
        self.project = find(self.project.root, home=self.project.home)
        self.toolbox.reload(self.project)
        if usual:
            self.groups = self.project.groups

    def words(self, row: Row, variant: str = "", **values: str | Sequence[str]) -> list[str]:
        """The command that answers a row, as the guide spells it, its placeholders filled; empty when no tool does."""
        spelled = self._spelled(row)
        return [] if spelled is None else words(spelled.text(variant), {**self.values, **values})

    def answers(self, row: Row) -> bool:
        """Whether a tool of the hybrid answers a row."""
        return self._spelled(row) is not None

    def _spelled(self, row: Row) -> Spelling | None:
        # Who leads is a question to git: asked only where it matters.
        return spelling(row, self.hybrid, self.leader if row.by_leader else "", self.engine.name if self.engine else "")

    def argv(self, row: Row, command: Sequence[str]) -> list[str]:
        """The argv of a command: its first word becomes the program's path, whatever PATH says.

        `python` is what the user would meet: the environment's once it is activated, before that the chosen one.
        """
        name, *rest = command
        if name != "python":
            return [*self.toolbox.find(name).argv, *rest]
        if row.needs_environment:
            return [str(self.environment.python), *rest]
        return [self.interpreter.path if self.interpreter else sys.executable, *rest]

    def variables(self, tool: str, *, inside: bool = True) -> dict[str, str | None]:
        """The variables for a tool: the index, and the environment as the one to work on.

        Args:
            tool: The word that the command starts with.
            inside: Whether the command works on the environment; otherwise it only needs a Python that the project
                allows, which the environment may not have any more, or not yet.
        """
        given: dict[str, str | None] = dict(self.toolbox.settings(tool))
        if self.offline:
            given |= _OFFLINE
        host = self.environment if inside or self._allowed() else self._stand_in()
        if tool == CONDA:
            return given  # it is told its environment by name or prefix, and reads the .condarc of the active one
        given |= activation(host, self.environ) if host != self.environment else self.activated()
        if self.environment.conda:
            # Poetry prefers it to CONDA_PREFIX, which it ignores where the environment is called base.
            given["VIRTUAL_ENV"] = str(host.prefix)
        given["UV_PROJECT_ENVIRONMENT"] = str(self.environment.prefix)
        given["UV_PYTHON"] = str(host.python)
        given["POETRY_VIRTUALENVS_CREATE"] = "false"
        given["UV_PYTHON_DOWNLOADS"] = "never"
        return {**given, **self.given}

    def activated(self) -> dict[str, str | None]:
        """The variables of the activated environment, with what the scripts of conda's packages set."""
        if not self._activated:
            self._activated = activation(self.environment, self.environ)
            if self.environment.conda and self.environment.exists:
                self._activated |= self._sourced(self._activated)
        return dict(self._activated)

    def _sourced(self, given: Mapping[str, str | None]) -> dict[str, str | None]:
        """What the scripts set: compilers and libraries of conda find each other in this way.

        Source: https://docs.conda.io/projects/conda/en/stable/dev-guide/deep-dives/activation.html
        """
        scripts = conda_meta.scripts(self.environment.prefix, "activate", ".sh")
        shell = shutil.which("bash") or shutil.which("sh")
        if not scripts or shell is None or os.name == "nt":  # there it may be the one of another system (WSL)
            return {}
        ask = 'for script; do . "$script" >&2; done; exec "$MLOPS_LAB_PYTHON" -I -c "$MLOPS_LAB_CODE"'
        asking = {"MLOPS_LAB_PYTHON": sys.executable, "MLOPS_LAB_CODE": _ENVIRON}
        argv = [shell, "-c", ask, shell, *map(str, scripts)]
        before = changed(self.environ, QUIET, given)
        after = json.loads(self.runner.ask(argv, self.project.root, {**given, **asking}))
        kept = {name: value for name, value in after.items() if name not in {*asking, *_OF_THE_SHELL}}
        gone = {name: None for name in before if name not in after and name not in _OF_THE_SHELL}
        return {**gone, **{name: value for name, value in kept.items() if before.get(name) != value}}

    def _allowed(self) -> bool:
        """Whether there is an environment, with a Python that the project allows."""
        if not self.environment.exists:
            return False
        from packaging.specifiers import SpecifierSet

        allowed = SpecifierSet(pyproject.requires_python(self.project.data) or "")
        return config(self.environment.prefix).get("version", "") in allowed

    def _stand_in(self) -> Environment:
        """An empty environment of the right Python, for commands that change files only.

        Without one to point at, Poetry makes one of its own or refuses, and uv chooses another interpreter.
        """
        from mlops_lab import interpreters

        chosen = self.interpreter or interpreters.choose(self.project, None)
        host = Environment(self.project.state / "stand-in" / chosen.version)
        if not host.exists:
            argv = [chosen.path, "-m", "venv", "--without-pip", str(host.prefix)]
            self.runner.run(argv, cwd=self.project.root, quiet=True)
        return host

    def step(
        self, name: str, variant: str = "", *, by: str = "", cwd: Path | None = None, **values: str | Sequence[str]
    ) -> str | None:
        """Run a row of the guide.

        Args:
            name: The row's name.
            variant: The circumstance that may ask for another spelling.
            by: The tool that answers the row; by default the one that the hybrid and the leader give.
            cwd: The folder to run it in; by default the project's.
            **values: Placeholder → value, beside those that every command is given.

        Returns:
            What the command printed; None when no tool of the hybrid answers the row.

        Raises:
            CommandFailed: The command failed (code 1).
            LabError: The row needs an environment, and there is none (code 2), or the command would work on another
                environment than this one (code 1).
        """
        row = row_named(name)
        spelled = row.spellings[by] if by else self._spelled(row)
        if spelled is None:
            return None
        command = words(spelled.text(variant), {**self.values, **values})
        if row.needs_environment:
            self.require_environment()
        self.observer.start(row)
        started, ok = time.monotonic(), False
        try:
            printed = self._activate() if row.in_shell else self._run_forgiving(row, spelled, command, cwd)
            self._assert_target(spelled, printed)
            ok = True
        except CommandFailed as error:
            # ensurepip hides the reason from `python -m venv`.
            if not error.hint and _full(self.environment.prefix):
                error.hint = hint_for(os.strerror(errno.ENOSPC))
            raise
        finally:
            self.observer.finish(row, time.monotonic() - started, ok=ok)
        return printed

    def require_environment(self) -> None:
        """Refuse to go on without an environment.

        Raises:
            LabError: There is none (code 2).
        """
        if not self.environment.exists:
            raise LabError(f"there is no environment at {self.environment.prefix}", "make it with `invoke setup`")
        refuse_others(self.project, self.environment.prefix)

    def preview(self, row: Row, *, anew: bool = False) -> list[str]:
        """The command that would run for a row here and now, in the words that a user could type; runs nothing.

        Args:
            row: The row.
            anew: As if there were no environment yet.
        """
        variant = "existing" if self.environment.exists and not anew else ""
        known = self.environment
        where = ["-n", known.name] if known.by_name else ["-p", str(known.prefix)]
        command = self.words(row, variant, packages=["PACKAGE"], where=where)
        return [self.engine.word, *command[1:]] if self.engine and command[:1] == [CONDA] else command

    def passes(self, name: str, by: str) -> bool:
        """Whether a row's command, as one tool spells it, ends well; it is asked quietly, as a question of ours."""
        return self.failure(name, by) is None

    def failure(self, name: str, by: str) -> CommandFailed | None:
        """How a row's command, as one tool spells it, fails; None where it ends well."""
        row = row_named(name)
        command = words(row.spellings[by].text(), self.values)
        try:
            changes = self.variables(command[0], inside=row.needs_environment)
            self.runner.run(self.argv(row, command), cwd=self.project.root, changes=changes, quiet=True)
        except CommandFailed as error:
            return error
        return None

    def _run(self, row: Row, command: Sequence[str], cwd: Path | None, without: Sequence[str] = ()) -> str:
        inside = row.needs_environment or row.makes_environment
        argv, changes = self.argv(row, command), self.variables(command[0], inside=inside)
        return self.runner.run(argv, cwd=cwd or self.project.root, changes={**changes, **dict.fromkeys(without)})

    def _run_forgiving(self, row: Row, spelled: Spelling, command: Sequence[str], cwd: Path | None) -> str:
        try:
            return self._run(row, command, cwd, spelled.without)
        except CommandFailed as error:
            lines = [line for line in error.said if line.strip()]
            found = [re.fullmatch(spelled.not_installed, line) for line in lines] if spelled.not_installed else []
            owned = conda_meta.owned(self.environment.prefix) if found else {}
            # What conda did install and is gone is missing, whatever it is called.
            if not found or not all(m and normalise(m[1]) in owned and normalise(m[2]) not in owned for m in found):
                raise
            self.observer.say(f"no failure, since these are conda's own packages: {' '.join(lines)}")
            return "\n".join(error.said)

    def make(self, *, rebuild: bool = False, rehearsal: bool = False) -> None:
        """Make the environment; for conda, bring the one that is there to what conda.yml says.

        Args:
            rebuild: Whether one that is there is to be replaced instead.
            rehearsal: Whether only to find out if that can be, before anything is removed.

        Raises:
            CommandFailed: The command failed (code 1).
            LabError: conda.yml is not fit for it (code 2), or the command made no environment (code 1).
        """
        self._activated = {}
        if self.engine is None:
            self.step("create")
            return
        anew = rebuild or rehearsal
        there = config(self.environment.prefix).get("version", "") if self.environment.exists and not anew else ""
        env = condafile.checked(self.project)
        python = condafile.python_wanted(self.project, self.asked_python, there)
        with condafile.given(env, python, nodefaults=self.engine.kind.nodefaults) as name:
            try:
                replaced = "rebuild" if self.environment.exists else ""
                self.step("create", "rehearsal" if rehearsal else "existing" if there else replaced, conda_yml=name)
            except CommandFailed as error:
                raise _as_told(error, name, env.path.name) if self.engine.is_embedded else error from error
        if not rehearsal and not self.environment.exists:
            raise LabError(
                f"{self.engine.word} reports success, and there is no environment with a Python at "
                f"{self.environment.prefix}",
                f"look into {self.runner.log}",
                code=FOUND,
            )

    def _activate(self) -> str:
        """Activation is variables, not a process; that it works is asked of the `python` that PATH then gives."""
        self._activated = {}  # the environment has just been made or changed
        changes = self.activated()
        name, *rest = self.words(row_named("interpreter"))
        found = shutil.which(name, path=changes["PATH"]) or name
        printed = self.runner.run([found, *rest], cwd=self.project.root, changes=changes)
        if not _same_folder(Path(printed.strip()), self.environment.prefix):
            raise LabError(
                f"the activated `python` is that of {printed.strip()}", "rebuild: `invoke setup --force`", code=FOUND
            )
        return printed

    def _assert_target(self, spelled: Spelling, printed: str) -> None:
        if not spelled.names_environment:
            return
        if spelled.names_environment == LISTED:
            self._look_up(printed)
            return
        match = re.search(spelled.names_environment, printed)
        target = match[1] if match else "an environment that it does not name"
        if match is None or not _same_folder(self.project.root / target, self.environment.prefix):
            raise LabError(
                f"{self.hybrid.manager} would work on {target}, not on {self.environment.prefix}",
                f"unset the variables and settings that send {self.hybrid.manager} elsewhere, then run it again",
                code=FOUND,
            )

    def _look_up(self, printed: str) -> None:
        """Say so when conda does not list the environment: its records are checked elsewhere, and it works."""
        prefix = str(self.environment.prefix)
        if not any(line.endswith(prefix) for line in map(str.rstrip, printed.splitlines())):
            word = self.engine.word if self.engine else CONDA
            self.observer.say(f"{word} does not list {prefix}: it has to be activated by its path")


def _as_told(error: CommandFailed, given: str, name: str) -> LabError:
    """The embedded conda's own error: it names the line and what to do, and its exit code is right.

    Args:
        error: The failure.
        given: The file that it was given.
        name: The user's own file.
    """
    said = "\n".join(error.said).replace(given, name)
    match = re.search(r"^error: (?P<message>.+?)\n?(?:^hint: (?P<hint>.+))?\Z", said, re.DOTALL | re.MULTILINE)
    if match is None or error.returncode not in {FOUND, WRONG}:
        return error
    told = LabError(match["message"].strip(), (match["hint"] or "").strip(), code=error.returncode)
    told.add_note(f"log: {error.log}")
    return told


def _found(start: Path, observer: Observer) -> Project:
    """The project; a manifest that cannot be read because a command was killed while it wrote it comes back first."""
    try:
        return find(start)
    except LabError:
        from mlops_lab import transaction

        states = (folder / STATE for folder in (start, *start.parents))
        state = next((state for state in states if transaction.pending(state)), None)
        if state is None:
            raise
        with holding(state.parent, observer.say):
            restored = transaction.recover(state.parent, state)
        observer.say(f"a command was killed while it changed {', '.join(restored.back)}: put back as before")
        return find(start)


def leave_environment(steps: Steps, words: Sequence[str]) -> None:
    """Start over from outside when the environment's own interpreter runs us: it is about to be changed.

    After `eval "$(invoke activate)"` the first `invoke` is the environment's own, where the project depends on it.

    Args:
        steps: The steps that are going to change the environment.
        words: The user's words, to run again.

    Raises:
        SystemExit: The command ran from outside; its exit code.
        LabError: Nobody outside can run it (code 2).
    """
    environment = steps.environment
    if Path(sys.prefix).resolve() != environment.prefix:
        return
    stamp = read_stamp(environment.prefix)
    outside = stamp.made_by if stamp else ""
    argv = [outside, "-m", "mlops_lab"]
    if outside and Path(outside).exists() and not Path(outside).is_relative_to(environment.prefix):
        with contextlib.suppress(CommandFailed):
            steps.runner.run([outside, "-c", "import mlops_lab, invoke"], cwd=steps.project.root, quiet=True)
            folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
            path = os.pathsep.join(part for part in folders if part != str(environment.scripts))
            changes = {"PATH": path, "VIRTUAL_ENV": None, "CONDA_PREFIX": None}
            sys.exit(steps.runner.hand_over([*argv, *words], cwd=Path.cwd(), changes=changes))
    raise LabError(
        f"this runs inside {environment.prefix}, which it would change",
        f"leave the environment (`deactivate`) and run it from another one: `{shlex.join(['invoke', *words])}`",
    )


def _full(prefix: Path) -> bool:
    folder = next(folder for folder in (prefix, *prefix.parents) if folder.exists())
    return shutil.disk_usage(folder).free < _LITTLE


def _same_folder(first: Path, second: Path) -> bool:
    return first.resolve() == second.resolve()


def open_steps(
    request: Request,
    *,
    start: Path,
    environ: Mapping[str, str],
    observer: Observer,
    leader: str = "",
    to_run: bool = True,
) -> Steps:
    """The steps for what the user asked for.

    Args:
        request: What the user asked for.
        start: The folder to look for the project from.
        environ: The user's variables.
        observer: Who watches.
        leader: The manager that resolves; empty for the project's own choice.
        to_run: Whether the steps shall run, or only be shown.

    Raises:
        LabError: Wrong words, or a broken pyproject.toml (code 2).
    """
    project = _found(start, observer)
    # One log per command: the time to the second and the process tell two of them apart.
    log = project.root / STATE / "logs" / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    runner = Runner(log, environ, observer.line, observer.command)
    avoid = [project.root / ".venv"]
    conda = partial(engines.available, project, request, environ)
    hybrid, reason = choose_hybrid(project, request.hybrid, conda, to_run=to_run)
    engine, places = None, None
    if hybrid.by_conda:
        ask = partial(runner.ask, cwd=project.root)
        engine, places = engines.located(project, request.conda, environ, avoid, ask)
    environment = choose_environment(project, hybrid, request.prefix, places)
    toolbox = Toolbox(
        project,
        runner,
        avoid=(environment.prefix, *avoid),
        environ=environ,
        offline=request.offline,
        engine=engine,
        say=observer.say,
    )
    return Steps(
        project=project,
        hybrid=hybrid,
        reason=reason,
        environment=environment,
        groups=choose_groups(project, request.groups),
        toolbox=toolbox,
        runner=runner,
        observer=observer,
        environ=environ,
        offline=request.offline,
        engine=engine,
        _leader=leader,
    )
