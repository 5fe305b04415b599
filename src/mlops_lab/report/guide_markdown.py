"""The guide as Markdown: a team's own page for one hybrid, and the pieces that a page of all hybrids is made of."""

from __future__ import annotations

import itertools
import os
import re
from typing import TYPE_CHECKING

from mlops_lab.guide import CIRCUMSTANCES, label, spelling, step_title
from mlops_lab.report.markdown import code_block, prose
from mlops_lab.runner import show
from mlops_lab.shells import how_to

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from mlops_lab.guide import Hybrid, Row

__all__ = ["answer", "circumstances", "for_shell", "steps", "task_of", "team_page", "typed"]

# What a shell does not quote.
_ACTIVE = "@CONDA_PREFIX@"


def team_page(project: str, hybrid: Hybrid, leader: str, commands: Iterable[tuple[Row, str]]) -> str:
    """The page of a team that follows the guide with one hybrid; plain Markdown for a wiki or a README.

    Args:
        project: The project's name.
        hybrid: The hybrid that answers the rows.
        leader: The manager that resolves.
        commands: The rows with their commands, in the guide's order; one that is empty has not to run, and is left out.
    """
    there = {row.name: (row, command) for row, command in commands if command}

    def body(row: Row) -> Iterator[str]:
        yield from answer(row, hybrid, leader, for_shell(row, there[row.name][1]))
        yield from (f"With Invoke: {task_of(row)}", "")

    head = (
        f"# The environment of {prose(project)}",
        "",
        f"With {hybrid}; {leader} resolves. All of it at once, checks included:",
        "",
        *code_block(f"invoke setup --hybrid {hybrid}"),
        "",
        "With mlops-lab installed, `mlops-lab` takes the same words as `invoke`, without a tasks.py.",
        "",
    )
    return "\n".join([*head, *steps([row for row, _ in there.values()], body)]).rstrip() + "\n"


def typed(command: Iterable[str], root: Path, active: Path | None = None) -> str:
    """A command as it is typed in the project's folder, wherever a member of the team has that; empty for none.

    Args:
        command: The command, with paths of this machine.
        root: The project's folder here.
        active: An environment whose place is each machine's own, and which is active from step 2 on.
    """
    texts = [_beginning(root, os.sep).sub("", text) for text in command]
    if active is None:
        return show(texts)
    shown = show([_beginning(active, "").sub(_ACTIVE, text) for text in texts])
    return shown.replace(_ACTIVE, '"$CONDA_PREFIX"')


def _beginning(path: Path, end: str) -> re.Pattern[str]:
    """A path where a word, or an option's value, begins with it."""
    return re.compile(rf"(?:^|(?<==)){re.escape(f'{path}{end}')}")


def steps(
    rows: Iterable[Row], body: Callable[[Row], Iterable[str]], anchor: Callable[[Row], str] = lambda _: ""
) -> Iterator[str]:
    """The lines of the steps: a heading for each, one for each further row, why, and the row's own lines.

    Args:
        rows: The rows, in the guide's order.
        body: The lines that stand below the words of a row.
        anchor: What stands behind a row's heading.
    """
    for step, group in itertools.groupby(rows, key=lambda row: row.step):
        title, rows_of_step = step_title(step), list(group)
        same = rows_of_step[0].title == title
        yield from (f"## {step}. {title}{anchor(rows_of_step[0]) if same else ''}", "")
        for row in rows_of_step:
            if row.title != title:
                yield from (f"### {row.title}{anchor(row)}", "")
            yield from (prose(row.why), "", *body(row))


def answer(row: Row, hybrid: Hybrid, leader: str, command: str) -> Iterator[str]:
    """The lines of a command: itself, why it is the hybrid's own, and what the guide shows beside it."""
    yield from (*code_block(command), "")
    spelled = spelling(row, hybrid, leader)
    if spelled is not None and spelled.reason:
        yield from (prose(spelled.reason), "")
    if other := row.alternatives.get(hybrid.backend):
        yield from (f"Not `{label(other)}`: that is behind the files' back, and the next machine does not get it.", "")


def circumstances(row: Row, hybrid: Hybrid, leader: str) -> Mapping[str, str]:
    """When a row has another command, in words → that command."""
    spelled = spelling(row, hybrid, leader)
    return {CIRCUMSTANCES[name]: label(text) for name, text in spelled.variants.items()} if spelled else {}


def task_of(row: Row) -> str:
    """The task that runs a row, as it is typed."""
    return f"`{for_shell(row, f'invoke {row.part_of or row.name}')}`"


def for_shell(row: Row, command: str) -> str:
    """A command as bash takes it: what ours prints for the shell has to be read by the shell."""
    return how_to("bash", command) if row.in_shell and command.startswith(("invoke ", "mlops-lab ")) else command
