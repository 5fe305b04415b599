"""Which program acts as conda: conda, mamba or micromamba where there is one, else the embedded one of mlops-lab."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_lab.choices import Places, Standing, standing
from mlops_lab.environment import identity
from mlops_lab.errors import LabError
from mlops_lab.facts import Facts
from mlops_lab.guide import EMBEDDED, ENGINE_KINDS, ENGINES, WITHOUT_CONDA, nearest
from mlops_lab.runner import CommandFailed, Runner

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mlops_lab.choices import Request
    from mlops_lab.guide import EngineKind, Hybrid
    from mlops_lab.project import Project

__all__ = [
    "COMMAND",
    "NOT_HERE",
    "REMEDY",
    "Engine",
    "Places",
    "available",
    "channels_answer",
    "choose",
    "embedded",
    "found",
    "located",
    "places",
    "standings",
]

PATIENCE = 3
"""Seconds that a channel has to answer."""
COMMAND = ENGINE_KINDS[EMBEDDED].command
"""The embedded conda, as a user types it."""
HERE = "it is here"
_PROGRAMS = [kind.program for kind in ENGINE_KINDS.values() if kind.program]
NOT_HERE = f"no {', '.join(_PROGRAMS[:-1])} or {_PROGRAMS[-1]} is here"
REMEDY = f"install one of them, map the channel to a mirror in .condarc, or take {WITHOUT_CONDA}"
_ANSWERS: dict[str, tuple[str, str]] = {}


@dataclass(frozen=True)
class Engine:
    """A program that acts as conda.

    Attributes:
        name: One of `ENGINES`.
        argv: What takes the place of the word `conda`.
        path: The file that tells one version from another; empty for the embedded one, which is part of mlops-lab.
        reason: Why this one.
    """

    name: str
    argv: tuple[str, ...]
    path: str = ""
    reason: str = ""

    @property
    def is_embedded(self) -> bool:
        """Whether it is the one of mlops-lab."""
        return self.name == EMBEDDED

    @property
    def kind(self) -> EngineKind:
        """What has to be known of it."""
        return ENGINE_KINDS[self.name]

    @property
    def word(self) -> str:
        """What a user types for it."""
        return self.kind.command


def embedded(reason: str = "") -> Engine:
    """The embedded conda; it is started by its file's path, wherever the package lies."""
    from mlops_lab import __file__ as package

    program = Path(package).with_name("conda") / "__main__.py"
    return Engine(EMBEDDED, (sys.executable, str(program)), reason=reason)


def found(environ: Mapping[str, str], avoid: Sequence[Path] = ()) -> list[Engine]:
    """The engines that this machine has, the first choice first; the embedded one is always the last."""
    kinds = {name: kind for name, kind in ENGINE_KINDS.items() if kind.program}
    paths = {name: path for name, kind in kinds.items() if (path := _which(kind, environ, avoid))}
    there = [Engine(name, (path,), os.path.realpath(path)) for name, path in paths.items()]
    return [*there, embedded()]


def _which(kind: EngineKind, environ: Mapping[str, str], avoid: Sequence[Path]) -> str | None:
    folders = [
        folder
        for folder in os.get_exec_path(dict(environ))
        if folder and not any(Path(folder).absolute().is_relative_to(prefix) for prefix in avoid)
    ]
    if path := shutil.which(kind.program, path=os.pathsep.join(folders)):
        return path
    named = environ.get(kind.variable, "")
    return named if Path(named).stem == kind.program and os.access(named, os.X_OK) else None


def choose(project: Project, asked: str | None, environ: Mapping[str, str], avoid: Sequence[Path] = ()) -> Engine:
    """The engine: asked for, or the one used last, or as the project says, or the first that is there.

    Raises:
        LabError: There is no such engine, or this machine does not have it (code 2).
    """
    there = {engine.name: engine for engine in found(environ, avoid)}
    for name, reason in (
        (asked, "asked for with --conda"),
        (project.remembered("engine"), "this project used it last"),
        (project.settings.conda, "[tool.mlops-lab] conda says so"),
    ):
        if name is None or (name not in there and name not in {asked, project.settings.conda}):
            continue  # only remembered, and gone
        if name not in ENGINES:
            raise LabError(f"there is no conda engine {name!r}", nearest(name, ENGINES))
        if name not in there:
            raise LabError(f"there is no {name} on this machine", f"install it, or take one of: {', '.join(there)}")
        return _because(there[name], reason)
    first = next(iter(there.values()))
    return _because(first, NOT_HERE if first.is_embedded else HERE)


def _because(engine: Engine, reason: str) -> Engine:
    return Engine(engine.name, engine.argv, engine.path, reason)


def places(engine: Engine, environ: Mapping[str, str], ask: Callable[[Sequence[str]], str], facts: Facts) -> Places:
    """Where an engine keeps environments; a program is asked once for as long as its settings stay.

    Args:
        engine: The engine.
        environ: The user's variables.
        ask: Runs a command and returns what it printed.
        facts: Where answers are kept.

    Raises:
        LabError: The program does not answer as a conda does (code 2).
    """
    from mlops_lab.conda import config

    if engine.is_embedded:
        settings = config.load(environ)
        return Places("", tuple(str(path) for path in settings.envs_dirs))
    key, state = f"places of {engine.path}", _state(engine, environ, tuple(config.files(environ)))
    if (known := facts.get(key, state)) is None:
        known = _asked(engine, ask)
        facts.put(key, state, known)
    return Places(str(known["root"]), tuple(known["envs_dirs"]))


def located(
    project: Project,
    asked: str | None,
    environ: Mapping[str, str],
    avoid: Sequence[Path],
    ask: Callable[[Sequence[str]], str],
) -> tuple[Engine, Places]:
    """The engine, and where it keeps environments.

    What nobody asked for and is no conda in spite of its name (the index has another `mamba`) is passed over.

    Raises:
        LabError: What was asked for is not here, or does not answer as a conda does (code 2).
    """
    engine = choose(project, asked, environ, avoid)
    for other in (engine, *found(environ, avoid)):
        try:
            where = places(other, environ, ask, Facts())
        except LabError:
            if engine.reason != HERE:
                raise
            continue
        return other if other.reason else _because(other, NOT_HERE if other.is_embedded else HERE), where
    raise AssertionError("the embedded one asks nobody")


def _asked(engine: Engine, ask: Callable[[Sequence[str]], str]) -> dict[str, Any]:
    try:
        data = json.loads(ask([*engine.argv, "info", "--json"]))
    except (CommandFailed, ValueError):
        data = {}
    if not isinstance(data, dict):
        data = {}
    # conda's own keys, and those of mamba and micromamba, which have changed between their versions.
    dirs = data.get("envs_dirs") or data.get("envs directories")
    if not isinstance(dirs, list) or not dirs:
        raise LabError(
            f"{engine.path} does not answer `{engine.name} info --json` as a conda does",
            f"mend it, or take the embedded one: --conda {EMBEDDED}",
        )
    root = data.get("root_prefix") or data.get("base environment") or ""
    return {"root": str(root), "envs_dirs": [str(path) for path in dirs]}


def _state(engine: Engine, environ: Mapping[str, str], files: Sequence[Path]) -> list[Any]:
    names = sorted(name for name in environ if name.startswith(("CONDA_", "MAMBA_")))
    # What a shell's hook changes with every activation says nothing about where environments are kept.
    kept = [name for name in names if "PREFIX" not in name and "SHLVL" not in name and "PROMPT" not in name]
    return [identity(engine.path), {name: environ[name] for name in kept}, [identity(path) for path in files]]


def available(project: Project, request: Request, environ: Mapping[str, str]) -> tuple[str, str]:
    """Whether a conda can make environments here: why, and why not; one of the two is empty.

    A program is enough. The embedded one needs a channel that answers.
    """
    try:
        engine = choose(project, request.conda, environ, [project.root / ".venv"])
    except LabError as error:
        return "", str(error)
    if not engine.is_embedded:
        return f"{engine.name} is here", ""
    if request.offline:
        return "", f"{engine.reason}, and nothing may be fetched"
    why, why_not = channels_answer(project, environ)
    return why, f"{engine.reason}, and {why_not}" if why_not else ""


def standings(
    hybrids: Sequence[Hybrid], project: Project, request: Request, environ: Mapping[str, str]
) -> list[Standing]:
    """Whether each hybrid can run here; a channel is asked once, and only where it matters."""
    judged = [standing(project, hybrid) for hybrid in hybrids]
    if not any(found.hybrid.by_conda and not found.why_not for found in judged):
        return judged
    _why, why_not = available(project, request, environ)
    return [
        Standing(found.hybrid, why_not, REMEDY) if why_not and found.hybrid.by_conda and not found.why_not else found
        for found in judged
    ]


def channels_answer(project: Project, environ: Mapping[str, str]) -> tuple[str, str]:
    """Whether the channels of conda.yml answer within `PATIENCE`: why, and why not; one of the two is empty.

    A process asks once.
    """
    key = str(project.conda_yml)
    if key not in _ANSWERS:
        argv = [*embedded().argv, "channels", "--file", key, "--timeout", str(PATIENCE)]
        try:
            # No log: who only looks leaves nothing behind.
            answer = Runner(None, environ).ask(argv, project.root)
            _ANSWERS[key] = (f"the channel {' and '.join(answer.splitlines())} answers", "")
        except CommandFailed as error:
            said = [line.removeprefix("error: ") for line in error.tail if line.startswith("error: ")]
            _ANSWERS[key] = ("", said[0] if said else error.message)
    return _ANSWERS[key]
