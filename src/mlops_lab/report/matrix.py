"""What runs where on GitHub, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from mlops_lab.ci import LIMIT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from mlops_lab.ci import Entry

__all__ = ["page"]


def page(entries: Sequence[Entry]) -> RenderableType:
    """Each job, with the line that does the same on another machine."""
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("system", "Python", "session", "conda", "the same here"):
        table.add_column(heading, overflow="fold")
    for entry in entries:
        row = (entry.system, entry.python, entry.session, entry.conda, entry.command)
        table.add_row(*map(Text, row), end_section=entry is entries[-1])
    many = "entries" if len(entries) > 1 else "entry"
    return Group(table, Text(f"{len(entries)} {many} of the {LIMIT} that GitHub takes", style="dim"))
