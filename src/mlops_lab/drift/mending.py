"""Mend what can be mended without touching what a person wrote: locks, exports and the environment, by the recipes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mlops_lab.changes import Changed
    from mlops_lab.choices import Request
    from mlops_lab.findings import Finding
    from mlops_lab.steps import Steps

__all__ = ["environment", "files"]

_FEW = 5
"""So many packages are named in a sentence."""


def files(steps: Steps, found: Iterable[Finding]) -> Iterator[str]:
    """Bring locks and exports up to date, in one change that `undo` takes back; yields what was mended, in words.

    Raises:
        LabError: A step failed (code 1): every file is then as it was before.
    """
    from mlops_lab import changes

    wanted = {finding.mend for finding in found}
    if "lock" in wanted:
        yield from _told(changes.lock(steps, only_there=True))
    elif wanted & {"follow", "export"}:
        yield from _told(changes.align(steps))


def _told(done: Changed) -> Iterator[str]:
    if not done.files:
        return
    moves = [move for move in done.moves if move.before != move.after]
    shown = [f"{move.package} {move.before or '-'} → {move.after or '-'}" for move in moves[:_FEW]]
    shown += [f"{len(moves) - _FEW} more"] if len(moves) > _FEW else []
    said = f" ({', '.join(shown)})" if shown else ""
    yield f"{', '.join(done.files)}{said}; `invoke undo` takes it back"


def environment(steps: Steps, request: Request, found: Iterable[Finding]) -> Iterator[str]:
    """Bring the environment to the lock; yields what was mended, in words.

    Raises:
        LabError: There is none of this hybrid (code 2), or a step failed (code 1).
    """
    import dataclasses

    from mlops_lab import recipe

    wanted = {finding.mend for finding in found}
    if "setup" in wanted:
        recipe.setup(steps, dataclasses.replace(request, force=True))
        yield f"{steps.environment.prefix} is made anew"
    elif "install" in wanted:
        recipe.install(steps)
        yield f"{steps.environment.prefix} is as the lock has it"
