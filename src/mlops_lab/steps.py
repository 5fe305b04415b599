"""One step of the guide at a time, on one project, hybrid and environment; it knows no tool by name."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shlex
import shutil
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mlops_lab.choices import choose_environment, choose_groups, choose_hybrid
from mlops_lab.environment import Environment, activation, config, holding, read_stamp
from mlops_lab.errors import FOUND, LabError
from mlops_lab.guide import Hybrid, Row, Spelling, row_named, spelling, words
from mlops_lab.hints import hint_for
from mlops_lab.manifests import pyproject
from mlops_lab.project import LOCKS, Project, find
from mlops_lab.runner import CommandFailed, Runner
from mlops_lab.toolbox import Toolbox

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlops_lab.choices import Request
    from mlops_lab.interpreters import Interpreter

__all__ = ["Observer", "Steps", "leave_environment", "open_steps"]

_LITTLE = 1 << 18
"""Bytes; a disk with less free space counts as full."""
_NOWHERE = "http://127.0.0.1:9"
"""The discard port: a tool that has no offline mode of its own meets this proxy instead of the network."""
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_OFFLINE: Mapping[str, str | None] = {
    "UV_OFFLINE": "1",
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
    _leader: str = field(default="", repr=False)

    @property
    def leader(self) -> str:
        """The manager that resolves: as declared, else the one lock that git tracks, else Poetry."""
        if not self._leader:
            self._leader = self.project.settings.leader or self._tracked_leader()
        return self._leader

    def _tracked_leader(self) -> str:
        try:
            argv = ["git", "ls-files", *LOCKS.values()]
            listed = self.runner.run(argv, cwd=self.project.root, quiet=True).split()
        except CommandFailed:
            # No git here: the one lock that is there says as much.
            listed = [name for name in LOCKS.values() if (self.project.root / name).exists()]
        tracked = [manager for manager, name in LOCKS.items() if name in listed]
        return tracked[0] if len(tracked) == 1 else "poetry"

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
        conda = self.project.conda_yml
        return {
            "prefix": str(self.environment.prefix),
            "python": str(self.environment.python),
            "name": self.environment.name or self.environment.prefix.name,
            "conda_yml": conda.name if conda else "conda.yml",
            "requirements": str(self.requirements.relative_to(self.project.root)),
            "groups": list(self.groups),
            "packages": [],
            "group": [],
            "pins": [],
            "kernel": self.project.name,
            "title": f"{self.project.name} ({self.hybrid})",
        }

    def words(self, row: Row, variant: str = "", **values: str | Sequence[str]) -> list[str]:
        """The command that answers a row, as the guide spells it, its placeholders filled; empty when no tool does."""
        spelled = self._spelled(row)
        return [] if spelled is None else words(spelled.text(variant), {**self.values, **values})

    def _spelled(self, row: Row) -> Spelling | None:
        # Who leads is a question to git: asked only where it matters.
        return spelling(row, self.hybrid, self.leader if row.by_leader else "")

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
        given |= activation(host, self.environ)
        given["UV_PROJECT_ENVIRONMENT"] = str(self.environment.prefix)
        given["UV_PYTHON"] = str(host.python)
        given["POETRY_VIRTUALENVS_CREATE"] = "false"
        given["UV_PYTHON_DOWNLOADS"] = "never"
        return given

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
            printed = self._activate() if row.in_shell else self._run(row, command, cwd)
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

    def preview(self, row: Row) -> list[str]:
        """The command that would run for a row here and now, in the words that a user could type; runs nothing."""
        variant = "existing" if self.environment.exists else ""
        return self.words(row, variant, packages=["PACKAGE"])

    def passes(self, name: str, by: str) -> bool:
        """Whether a row's command, as one tool spells it, ends well; it is asked quietly, as a question of ours."""
        row = row_named(name)
        command = words(row.spellings[by].text(), self.values)
        try:
            changes = self.variables(command[0], inside=row.needs_environment)
            self.runner.run(self.argv(row, command), cwd=self.project.root, changes=changes, quiet=True)
        except CommandFailed:
            return False
        return True

    def _run(self, row: Row, command: Sequence[str], cwd: Path | None) -> str:
        inside = row.needs_environment or row.makes_environment
        argv, changes = self.argv(row, command), self.variables(command[0], inside=inside)
        return self.runner.run(argv, cwd=cwd or self.project.root, changes=changes)

    def _activate(self) -> str:
        """Activation is variables, not a process; that it works is asked of the `python` that PATH then gives."""
        changes = activation(self.environment, self.environ)
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
        match = re.search(spelled.names_environment, printed)
        target = match[1] if match else "an environment that it does not name"
        if match is None or not _same_folder(self.project.root / target, self.environment.prefix):
            raise LabError(
                f"{self.hybrid.manager} would work on {target}, not on {self.environment.prefix}",
                f"unset the variables and settings that send {self.hybrid.manager} elsewhere, then run it again",
                code=FOUND,
            )


def _found(start: Path, observer: Observer) -> Project:
    """The project; one whose manifest a killed command has left half written gets it back first."""
    try:
        return find(start)
    except LabError:
        from mlops_lab import transaction

        states = (folder / ".mlops-lab" for folder in (start, *start.parents))
        state = next((state for state in states if transaction.pending(state)), None)
        if state is None:
            raise
        with holding(state.parent, observer.say):
            back = transaction.recover(state)
        observer.say(f"a command was killed while it changed {', '.join(back)}: put back as before")
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
    hybrid, reason = choose_hybrid(project, request.hybrid, to_run=to_run)
    environment = choose_environment(project, hybrid, request.prefix)
    # One log per command: the time to the second and the process tell two of them apart.
    log = project.root / ".mlops-lab" / "logs" / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    runner = Runner(log, environ, observer.line, observer.command)
    toolbox = Toolbox(
        project,
        runner,
        avoid=(environment.prefix, project.root / ".venv"),
        environ=environ,
        offline=request.offline,
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
        _leader=leader,
    )
