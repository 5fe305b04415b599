"""The tasks of rows that only look and have no face of their own: the guide says all that there is to know of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from invoke.context import Context  # noqa: TC002 - Invoke reads the signatures

from mlops_lab.guide import ROWS
from mlops_lab.tasks.face import guide_task, run_row

if TYPE_CHECKING:
    from collections.abc import Container

    from invoke.tasks import Task

    from mlops_lab.guide import Row

__all__ = ["faces"]


def faces(known: Container[str]) -> list[Task[Any]]:
    """A task for every row that only looks and has none.

    A row that changes something gets none by itself: files change all or none, and that is more than a command.

    Args:
        known: The names of the tasks that there are.
    """
    return [_face(row) for row in ROWS if row.looks and not row.part_of and row.name not in known]


def _face(row: Row) -> Task[Any]:
    def look(_: Context, hybrid: str | None = None, prefix: str | None = None) -> None:
        run_row(row.name, hybrid, prefix)

    look.__doc__ = f"Step {row.step}: {row.title[:1].lower()}{row.title[1:]}."
    return guide_task(name=row.name)(look)
