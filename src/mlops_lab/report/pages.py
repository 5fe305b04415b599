"""Pages rendered from the guide's table: the steps here and now, the hybrids, the tools, the diagram."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from mlops_lab.guide import MANAGERS, TOOL_KINDS, label, spelling, step_title
from mlops_lab.report.spoken import as_typed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import ConsoleOptions, RenderableType, RenderResult

    from mlops_lab.choices import Standing
    from mlops_lab.guide import Hybrid, Row

__all__ = ["diagram_page", "guide_page", "hybrids_page", "show_page", "tools_page"]

_NARROW = 20
"""Columns that a text has at least, however small the terminal is."""


def show_page(page: RenderableType, console: Console | None = None) -> None:
    """Print a page; where the output is no terminal, as wide as its lines need."""
    shown = console or Console()
    if not shown.is_terminal and console is None:
        shown = Console(width=200, soft_wrap=False)
    shown.print(page)


def guide_page(hybrid: Hybrid, leader: str, commands: Iterable[tuple[Row, str]]) -> RenderableType:
    """Every step with the command that would run.

    Args:
        hybrid: The hybrid that answers the rows.
        leader: The manager that resolves.
        commands: The rows with their commands, in the guide's order; an empty command means that nothing has to run.
    """
    parts: list[RenderableType] = []
    step = -1
    for row, command in commands:
        if row.step != step:
            step = row.step
            parts.append(Text(f"\n{step}  {step_title(step)}", style="bold"))
        parts.append(_line(row, command, hybrid, leader))
    heading = Text.assemble(("The guide with ", "bold"), (hybrid.name, "bold cyan"), f", {leader} resolves")
    return Group(heading, *parts)


def _line(row: Row, command: str, hybrid: Hybrid, leader: str) -> RenderableType:
    spelled = spelling(row, hybrid, leader)
    other = row.alternatives.get(hybrid.backend)
    more = (row.why, spelled.reason if spelled else "", f"({label(other)}: behind the files' back)" if other else "")
    shown = Text(command) if command else Text("(not needed with this hybrid)", style="dim")
    return _Hanging(row.name, [shown, *(Text(text, style="dim") for text in more if text)])


class _Hanging:
    """Texts behind a name; those that are too long go on where they have begun."""

    def __init__(self, name: str, texts: Sequence[Text]) -> None:
        self.name = name
        self.texts = texts

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Line by line, without blanks at the end of any."""
        first = Text(f"   {self.name:<16}", style="cyan")
        for text in self.texts:
            for line in text.wrap(console, max(options.max_width - len(first), _NARROW), overflow="fold"):
                line.rstrip()
                yield Text.assemble(first, line)
                first = Text(" " * len(first))


def hybrids_page(standings: Sequence[Standing], chosen: Hybrid | None, reason: str) -> RenderableType:
    """Which hybrids can run here, which not, why, and what to do about it."""
    table = Table(box=box.SIMPLE_HEAD, title_justify="left")
    for heading in ("hybrid", "runs here", "why", "what to do"):
        table.add_column(heading, overflow="fold")
    for found in standings:
        here = Text("no", style="red") if found.why_not else Text("yes", style="green")
        why = found.why_not or (reason if found.hybrid == chosen else "")
        todo = as_typed(found.remedy or f"invoke setup --hybrid {found.hybrid}")
        name = Text(found.hybrid.name, style="bold cyan" if found.hybrid == chosen else "cyan")
        # As texts: [tool.mlops-lab] is no markup.
        table.add_row(name, here, Text(why), Text(todo))
    return table


def tools_page(found: Mapping[str, tuple[str, str]]) -> RenderableType:
    """The guide's summary table, with the versions found.

    Args:
        found: Tool → its version and where it was found; empty texts where it was not.
    """
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("tool", "role", "strength", "version", "link"):
        table.add_column(heading, overflow="fold")
    for name, tool in TOOL_KINDS.items():
        version, origin = found.get(name, ("", ""))
        here = f"{version} ({origin})" if version else "not here"
        table.add_row(Text(name, style="cyan"), tool.role, tool.strength, here, tool.link)
    return table


def diagram_page(hybrid: Hybrid, versions: Mapping[str, str], where: str, counts: Mapping[str, int]) -> RenderableType:
    """The guide's conceptual diagram for one hybrid: who owns the environment, who locks, who installs.

    Args:
        hybrid: The hybrid.
        versions: Tool → version; `python` is the environment's.
        where: The environment's prefix.
        counts: How many packages are locked and installed.
    """

    def named(tool: str) -> Text:
        return Text.assemble((tool, "bold cyan"), f" {versions.get(tool, '')}".rstrip())

    installer = "pip" if hybrid.by_pip else hybrid.manager
    files = Tree(Text("pyproject.toml", style="bold"), guide_style="dim")
    locked = files.add(Text.assemble(named(hybrid.manager), " locks → ", (MANAGERS[hybrid.manager].lock, "bold")))
    locked.add(f"{counts.get('locked', 0)} packages with hashes")
    if hybrid.by_pip:
        locked = files.add(Text.assemble(named(hybrid.manager), " exports → ", ("requirements.txt", "bold")))
    locked.add(Text.assemble(named(installer), " installs ↓"))
    owner = "conda" if hybrid.by_conda else "venv"
    inside = Tree(Text.assemble((owner, "bold cyan"), f"  {where}"), guide_style="dim")
    inside.add(named("python"))
    if hybrid.by_conda:
        inside.add("libraries that are not Python")
    inside.add(f"{counts.get('installed', 0)} packages are installed, the project itself among them")
    return Group(
        Panel(files, title="the project", title_align="left", expand=False),
        Panel(inside, title="the environment", title_align="left", expand=False),
    )
