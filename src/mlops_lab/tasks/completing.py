"""What a TAB offers: Invoke completes the names of tasks and options, and here are the values, for both programs.

`mlops-lab --print-completion-script zsh` and `invoke --print-completion-script zsh` print Invoke's own scripts. They
hand over what was typed without its quotes and without an empty last word.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke.exceptions import Exit
from invoke.parser.context import ParserContext
from invoke.tasks import Task

from mlops_lab.guide import ENGINES, HYBRIDS, MANAGERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from invoke.parser.argument import Argument

    from mlops_lab.project import Project

__all__ = ["CompletedTask", "offered"]

_ASKING = "--complete"
"""What Invoke's scripts call a program with; what was typed stands behind `--`, the program's name first."""


class CompletedTask(Task[Any]):
    """A task that answers a TAB behind its name: Invoke has no place for values, and asks only what there is to type.

    Not a collection that does: Invoke makes one of its own from that of a tasks.py.
    """

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """The task's arguments, as Invoke's parser takes them.

        Raises:
            Exit: What is asked for is a completion of this task's words, and it has been printed.
        """
        told = dict(self.help)
        arguments: list[Argument] = super().get_arguments(ignore_unknown_help)
        self.help = told  # Invoke takes it out as it hands it on, and whoever asks again would get none
        typed = _typed(sys.argv[1:])
        # In a collection of the user's own it is called `lab.setup`.
        if not typed or typed[0].rpartition(".")[2] != self.name:
            return arguments
        # Whatever is wrong with the words, the project or us: nobody wants to read it in the middle of a prompt.
        with contextlib.suppress(Exception):
            found = offered(ParserContext(self.name, args=arguments), typed[1:], Path.cwd(), os.environ)
            if found is None:
                return arguments
            sys.stdout.write("".join(f"{each}\n" for each in found))
        raise Exit


def _typed(words: Sequence[str]) -> list[str]:
    """What was typed behind the program's name, where it is to be completed."""
    start = words.index("--") if "--" in words else 0
    return list(words[start + 2 :]) if _ASKING in words[:start] else []


def offered(task: ParserContext, typed: Sequence[str], folder: Path, environ: Mapping[str, str]) -> list[str] | None:
    """What may stand in the place of the last word, or behind it; a shell offers files where there is nothing.

    Args:
        task: The task.
        typed: The words behind its name.
        folder: The folder to look for the project from.
        environ: The user's variables.

    Returns:
        The words; None where another task may follow, or has begun, which Invoke knows.

    Raises:
        ValueError: A quote is open.
        LabError: The project's files are broken.
    """
    # Bash takes `--hybrid=venv` apart.
    *before, last = [word for word in shlex.split(" ".join(typed)) if word != "="] or [""]
    asked, another = _read(task, before)
    if asked:
        return _values(asked, folder, environ)
    if another and not task.positional_args:
        return None
    flag, equals, _ = last.partition("=")
    if flag in task.flags and task.flags[flag].takes_value:
        values = _values(task.flags[flag].name, folder, environ)
        return [f"{flag}={value}" if equals else value for value in values]
    if last.startswith("-") and last not in task.flags:
        return [name for name in task.flag_names() if name.startswith(last)]
    if task.positional_args:
        return _values(f"{task.name} --", folder, environ)
    return None


def _read(task: ParserContext, words: Iterable[str]) -> tuple[str, bool]:
    """What waits for a value behind these words, a key of `_OFFERS`, and whether another task's name is among them."""
    option, another = "", False
    for word in words:
        if word == "--":
            return f"{task.name} --", False
        another = another or not (option or word.startswith("-"))
        taking = not option and word in task.flags and task.flags[word].takes_value
        option = task.flags[word].name if taking else ""
    return option, another


def _values(asked: str, folder: Path, environ: Mapping[str, str]) -> list[str]:
    found = _OFFERS[asked](folder, environ) if asked in _OFFERS else ()
    # Bash expands what it is offered, and would run the `$(...)` in a group's name:
    # https://www.gnu.org/software/bash/manual/html_node/Programmable-Completion-Builtins.html
    return sorted(each for each in found if shlex.quote(each) == each)


def _project(folder: Path) -> Project:
    from mlops_lab.project import find

    return find(folder)


def _groups(folder: Path, _: Mapping[str, str]) -> Iterable[str]:
    from mlops_lab.manifests import pyproject

    return pyproject.all_group_names(_project(folder).data)


def _packages(folder: Path, _: Mapping[str, str]) -> Iterable[str]:
    from mlops_lab.manifests import pyproject

    return pyproject.declared(_project(folder).data)


def _repositories(folder: Path, environ: Mapping[str, str]) -> Iterable[str]:
    from mlops_lab import repositories

    return repositories.names(_project(folder), environ)


def _shells(*_: object) -> Iterable[str]:
    from mlops_lab import shells

    return shells.SHELLS


def _sizes(*_: object) -> Iterable[str]:
    from mlops_lab import ci

    return ci.SIZES


_OFFERS: Mapping[str, Callable[[Path, Mapping[str, str]], Iterable[str]]] = {
    "conda": lambda *_: ENGINES,
    "group": _groups,
    "hybrid": lambda *_: [hybrid.name for hybrid in HYBRIDS],
    "leader": lambda *_: MANAGERS,
    "remove --": _packages,
    "repository": _repositories,
    "shell": _shells,
    "size": _sizes,
    "update --": _packages,
}
"""An option, or a task that takes packages → what there is to choose from."""
