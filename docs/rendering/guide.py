"""The guide's page: every row with the commands of all hybrids side by side, and the hybrids themselves."""

from __future__ import annotations

import textwrap
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

from mlops_lab.guide import (
    BACKENDS,
    ENGINE_KINDS,
    ENGINES,
    EXTRAS,
    HYBRIDS,
    ROWS,
    SETUP,
    TOOL_KINDS,
    label,
    spelling,
)
from mlops_lab.report.guide_markdown import answer, circumstances, for_shell, steps
from mlops_lab.report.markdown import code, code_block, prose, table
from mlops_lab.tasks import namespace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mlops_lab.guide import Hybrid, Row

__all__ = ["beyond", "guide", "hybrids", "setup_rows", "tools"]

_FIRST, *_OTHERS = ENGINES


def guide() -> str:
    """The nine steps."""
    return "\n".join(steps(ROWS, _tabs, lambda row: f" {{ #{row.name} }}"))


def beyond() -> str:
    """The commands beyond the nine steps, by tool."""
    lines: list[str] = []
    for row in EXTRAS:
        lines += [f"### {row.title} {{ #{row.name} }}", "", prose(row.why), "", *_task(row)]
        lines += [*table(("with", "command"), _by_tool(row)), ""]
    return "\n".join(lines)


def hybrids() -> str:
    """The table of the hybrids, one line for each backend."""
    return "\n".join(
        table(
            ("hybrid", "environment", "packages are installed by"),
            (_backend(name, list(members)) for name, members in groupby(HYBRIDS, key=lambda hybrid: hybrid.backend)),
        )
    )


def tools() -> str:
    """The guide's summary table."""
    return "\n".join(
        table(
            ("tool", "role", "strength"),
            ((f"[{name}]({kind.link})", prose(kind.role), prose(kind.strength)) for name, kind in TOOL_KINDS.items()),
        )
    )


def setup_rows() -> str:
    """What `setup` runs, in its order."""
    return " → ".join(f"[{name}](#{name})" for name in SETUP)


def _by_tool(row: Row) -> list[tuple[str, str]]:
    typed = {tool: code(label(found.command)) for tool, found in row.spellings.items()}
    if set(typed) >= set(BACKENDS) and len(set(typed.values())) == 1:
        return [("every hybrid", next(iter(typed.values())))]
    return [(code(tool), text) for tool, text in typed.items()]


def _backend(name: str, members: Iterable[Hybrid]) -> tuple[str, str, str]:
    names = ", ".join(code(hybrid.name) for hybrid in members)
    backend = BACKENDS[name]
    made = "a conda environment made from `conda.yml`" if backend.by_conda else "a venv"
    exported = "pip, from the hashed `requirements.txt` that the manager exports"
    return names, made, exported if backend.by_pip else "the manager, from its lock"


def _tabs(row: Row) -> Iterator[str]:
    yield from _task(row)
    for hybrid in HYBRIDS:
        yield from (f'=== "{hybrid}"', "")
        yield from _indented(_tab(row, hybrid))


def _task(row: Row) -> list[str]:
    name = row.part_of or row.name
    as_what = "A part of" if row.part_of else "As a task:"
    return [f"{as_what} [`invoke {name}`](reference/tasks.md#{name})", ""] if name in namespace.tasks else []


def _tab(row: Row, hybrid: Hybrid) -> Iterator[str]:
    leader = hybrid.manager
    spelled = spelling(row, hybrid, leader)
    if spelled is None:
        yield from ("*Not needed with this hybrid.*", "")
        return
    yield from answer(row, hybrid, leader, label(spelled.command))
    if others := [*_variants(row, hybrid), *_engines(row, hybrid)]:
        yield from ('??? note "In other circumstances"', "")
        yield from _indented(others)


def _variants(row: Row, hybrid: Hybrid) -> Iterator[str]:
    for when, text in circumstances(row, hybrid, hybrid.manager).items():
        yield from (f"Where {when}:", "", *code_block(text), "")


def _engines(row: Row, hybrid: Hybrid) -> Iterator[str]:
    """What is typed where another program acts as conda; nothing where no word of conda's is in the command."""
    told = partial(_typed, row, hybrid)
    others = [(engine, code(told(engine))) for engine in _OTHERS if hybrid.by_conda and told(engine) != told(_FIRST)]
    if others:
        yield from ("Where another program acts as conda:", "", *table(("program", "command"), others), "")


def _typed(row: Row, hybrid: Hybrid, engine: str) -> str:
    found = spelling(row, hybrid, hybrid.manager, engine)
    first, *rest = label(found.command).split(" ") if found else [""]
    return for_shell(row, " ".join([ENGINE_KINDS[engine].command if first == _FIRST else first, *rest]))


def _indented(lines: Iterable[str]) -> Iterator[str]:
    yield from (textwrap.indent(line, "    ") for line in lines)
