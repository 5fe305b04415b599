"""The reference: what tasks, sessions, settings, findings and exit codes there are, from the code that has them."""

from __future__ import annotations

import ast
import contextlib
import copy
import dataclasses
import inspect
import itertools
import runpy
from typing import TYPE_CHECKING, Any

from mlops_lab import errors
from mlops_lab.project import MANIFESTS, Settings
from mlops_lab.report.markdown import code, prose, table
from mlops_lab.tasks import namespace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from types import ModuleType

    from invoke.parser.argument import Argument
    from invoke.tasks import Task
    from nox._decorators import Func

__all__ = [
    "Setting",
    "arguments",
    "check_titles",
    "described",
    "drift_kinds",
    "exit_codes",
    "manifests",
    "parity_classes",
    "session_options",
    "session_words",
    "settings",
    "task_list",
    "tasks",
    "variables",
]


# --- tasks ---------------------------------------------------------------------------------------------------------


def task_list() -> str:
    """Every task with its sentence."""
    rows = ((f"[{code(name)}](#{name})", prose(_paragraphs(task)[0])) for name, task in namespace.tasks.items())
    return "\n".join(table(("task", "what it does"), rows))


def tasks() -> str:
    """Every task with all its options."""
    return "\n".join(line for name, task in namespace.tasks.items() for line in _task(name, task))


def _task(name: str, task: Task[Any]) -> Iterator[str]:
    yield from (f"## {name} {{ #{name} }}", "")
    for paragraph in _paragraphs(task):
        yield from (prose(paragraph), "")
    if found := arguments(task):
        yield from table(("option", "meaning"), map(_option, found))
        yield ""


def arguments(task: Task[Any]) -> list[Argument]:
    """The options of a task; of a copy, since Invoke takes the help out of the task that it asks for them."""
    asked = copy.copy(task)
    asked.help = dict(task.help)
    return asked.get_arguments()


def _paragraphs(task: Task[Any]) -> list[str]:
    return [" ".join(part.split()) for part in (inspect.getdoc(task.body) or "").split("\n\n")]


def _option(argument: Argument) -> tuple[str, str]:
    names = sorted(argument.names, key=len, reverse=True)
    meaning = prose(argument.help or "")
    if argument.positional:
        return code(names[0].upper()), meaning
    value = "" if argument.kind is bool else f" {names[0].upper()}"
    flags = [code(f"--{each}{value}") if len(each) > 1 else code(f"-{each}") for each in names]
    # A flag is off, and the help of an option says what stands for nothing.
    default = f"; default: {code(str(argument.default))}" if argument.default else ""
    return ", ".join(flags), f"{meaning}{default}"


# --- sessions ------------------------------------------------------------------------------------------------------


def session_words(noxfile: Path) -> str:
    """Every session of a noxfile with its words.

    Args:
        noxfile: The file; it is run, as nox does it.
    """
    from nox import registry

    with contextlib.chdir(noxfile.parent):
        runpy.run_path(str(noxfile))
    rows = (_session(name, session) for name, session in registry.get().items())
    return "\n".join(table(("session", "what it does", "plain `nox` runs it"), rows))


def _session(name: str, session: Func) -> tuple[str, str, str]:
    said, _, example = " ".join((inspect.getdoc(session.func) or "").split()).rstrip(".").partition(": nox ")
    shown = f"{prose(said)}: {code(f'nox {example}')}" if example else f"{prose(said)}."
    calls = getattr(session, "parametrize", None) or []
    names = [code(f"{name}({call})") for call in calls] or [code(name)]
    return ", ".join(names), shown, "yes" if session.default else "no"


def session_options() -> str:
    """What the sessions for every project take behind `--`."""
    from mlops_lab.sessions import WORDS

    rows = ((code(f"{option} {option.strip('-').upper()}"), prose(meaning)) for option, meaning in WORDS.items())
    return "\n".join(table(("option", "meaning"), rows))


# --- settings ------------------------------------------------------------------------------------------------------


def settings() -> str:
    """What can stand in `[tool.mlops-lab]`."""
    return "\n".join(table(("setting", "meaning"), ((code(each.key), each.said) for each in described(Settings))))


@dataclasses.dataclass(frozen=True)
class Setting:
    """A setting in words.

    Attributes:
        key: Where it stands below `[tool.mlops-lab]`, with dots.
        meaning: What its dataclass says of it.
        choices: The words that it takes; none where it takes others.
        default: What stands for it where it is not there, as Markdown.
    """

    key: str
    meaning: str
    choices: Sequence[str]
    default: str

    @property
    def said(self) -> str:
        """What it means, what it takes and what stands for it, as Markdown."""
        choices = f" One of: {', '.join(map(code, self.choices))}." if self.choices else ""
        return prose(self.meaning) + choices + (f" Default: {self.default}." if self.default else "")


def described(kind: type, table_of: str = "") -> list[Setting]:
    """The settings of a dataclass, those of a table in it among them.

    Args:
        kind: The dataclass; its docstring says what each attribute means.
        table_of: What stands in front of their keys.
    """
    found: list[Setting] = []
    meanings = _attributes(kind)
    for each in dataclasses.fields(kind):
        key = table_of + str(each.metadata.get("key", each.name.replace("_", "-")))
        default = each.default if each.default_factory is dataclasses.MISSING else each.default_factory()
        if dataclasses.is_dataclass(default):
            found += described(type(default), f"{key}.")
        else:
            found.append(Setting(key, meanings[each.name], each.metadata.get("choices", ()), _value(default)))
    return found


def _value(default: object) -> str:
    match default:
        case dict():
            return ", ".join(code(f'{name} = "{value}"') for name, value in default.items())
        case None | () | []:
            return ""
        case tuple() | list():
            return ", ".join(code(str(each)) for each in default)
    return code(str(default))


def _attributes(kind: type) -> dict[str, str]:
    """What the docstring of a class says of its attributes."""
    found: dict[str, str] = {}
    name = ""
    section = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")[2]
    for line in section.splitlines():
        if line.startswith("    ") and not line.startswith("     "):
            name, _, said = line.strip().partition(": ")
            found[name] = said
        elif name and line.strip():
            found[name] += f" {line.strip()}"
    return found


# --- files ---------------------------------------------------------------------------------------------------------


def manifests() -> str:
    """The files that an environment is made from."""
    return "\n".join(f"- {code(name)}" for name in MANIFESTS)


# --- findings ------------------------------------------------------------------------------------------------------


def drift_kinds() -> str:
    """The kinds of what drift finds."""
    from mlops_lab.drift.saying import KINDS

    return _meanings("finding", KINDS)


def check_titles() -> str:
    """The checks of doctor."""
    from mlops_lab.doctor import CHECKS

    return _meanings("check", {check.name: check.title for check in CHECKS})


def parity_classes() -> str:
    """What parity tells apart, and does not call a divergence."""
    from mlops_lab.parity.judging import CLASSES

    return _meanings("class", CLASSES)


def variables() -> str:
    """The variables that lead a tool astray."""
    from mlops_lab.doctor.variables import VARIABLES

    return _meanings("variable", {row.name: row.why for row in VARIABLES})


def _meanings(heading: str, words: Mapping[str, str]) -> str:
    return "\n".join(table((heading, "means"), ((code(name), prose(text)) for name, text in words.items())))


# --- exit codes ----------------------------------------------------------------------------------------------------


def exit_codes() -> str:
    """The exit codes, by the words that stand below them in the code."""
    said = {value: text.removeprefix("Exit code: ") for value, text in _said(errors).items()}
    rows = ((code(str(value)), prose(_sentence(text))) for value, text in sorted(said.items()))
    return "\n".join(table(("exit code", "means"), ((code("0"), "Everything is fine."), *rows)))


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _said(module: ModuleType) -> dict[int, str]:
    """The numbers that a module names → the text that stands below each."""
    body = ast.parse(inspect.getsource(module)).body
    found = {}
    for constant, text in itertools.pairwise(body):
        match constant, text:
            case ast.Assign(value=ast.Constant(value=int(value))), ast.Expr(value=ast.Constant(value=str(said))):
                found[value] = said
    return found
