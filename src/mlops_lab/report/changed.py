"""What a change came to: one table for people, JSON for programs."""

from __future__ import annotations

import dataclasses
import json
import time
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from mlops_lab.report.spoken import as_typed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from mlops_lab.changes import Changed
    from mlops_lab.moves import Move
    from mlops_lab.transaction import Entry

__all__ = ["as_json", "history_as_json", "history_page", "page"]

_ABSENT = "-"


def page(done: Changed) -> RenderableType:
    """The packages that changed: from, to, and in which files."""
    end = Text(as_typed(_end(done)))
    return Group(_table(done.moves), end) if done.moves else end


def _table(moves: Sequence[Move]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("package", "from", "to", "in"):
        table.add_column(heading, overflow="fold")
    for move in moves:
        style = "green" if not move.before else "red" if not move.after else ""
        shown = (move.package, move.before or _ABSENT, move.after or _ABSENT, ", ".join(move.files))
        # Texts, not markup: an extra in brackets is none.
        table.add_row(*map(Text, shown), style=style)
    return table


def _end(done: Changed) -> str:
    if not done.files:
        return f"{done.title}: nothing to change"
    files = ", ".join(done.files)
    if done.dry_run:
        return f"{done.title}: {files} would change; nothing has"
    followed = "and the environment has followed" if done.installed else "the environment is as it was"
    back = "" if done.is_undo else "; `invoke undo` takes it back"
    return f"{done.title}: {files} changed, {followed} ({done.seconds:.1f} s){back}"


def as_json(done: Changed) -> str:
    """The same for programs: one JSON object with the fields of `Changed`."""
    return json.dumps({**dataclasses.asdict(done), "ok": True}, indent=2, ensure_ascii=False)


def history_page(entries: Sequence[Entry]) -> RenderableType:
    """The changes that can be taken back, the last one first."""
    if not entries:
        return Text("no change to take back")
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("when", "what", "packages", "files"):
        table.add_column(heading, overflow="fold")
    for entry in reversed(entries):
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.time))
        table.add_row(*map(Text, (when, entry.title, _moved(entry), ", ".join(entry.files))))
    return table


def _moved(entry: Entry) -> str:
    return ", ".join(
        f"{move['package']} {move['before'] or _ABSENT} → {move['after'] or _ABSENT}" for move in entry.moves
    )


def history_as_json(entries: Sequence[Entry]) -> str:
    """The same for programs: a list of objects with `title`, `time` (seconds since 1970), `moves` and `files`."""
    rows = [
        {"title": entry.title, "time": entry.time, "moves": list(entry.moves), "files": list(entry.files)}
        for entry in reversed(entries)
    ]
    return json.dumps(rows, indent=2, ensure_ascii=False)
