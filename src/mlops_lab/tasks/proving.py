"""The task that proves: manifest, lock and environment agree."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from invoke.context import Context  # noqa: TC002 - Invoke reads the signatures

from mlops_lab.errors import FOUND, LabError
from mlops_lab.tasks.face import guide_task, open_for, request_for, run_row

if TYPE_CHECKING:
    from mlops_lab.steps import Steps

__all__ = ["check"]


@guide_task()
def check(_: Context, hybrid: str | None = None, prefix: str | None = None) -> None:
    """Step 6: check that manifest, lock and environment agree."""
    from mlops_lab.runner import CommandFailed

    failed = None
    try:
        run_row("check", hybrid, prefix)
    except CommandFailed as error:
        failed = error  # what is in the environment is another question
    found = _show_behind(open_for(request_for(hybrid, prefix), to_run=False))
    if failed:
        raise failed
    if found:
        hint = "each line above names the command that makes it official, or undoes it"
        raise LabError(f"the environment is not as the files have it: {', '.join(found)}", hint, code=FOUND)


def _show_behind(steps: Steps) -> list[str]:
    """Tell what was installed behind the files' back, and what to do about it; returns the packages."""
    from mlops_lab import behind
    from mlops_lab.report import outcome

    found = behind.found(steps)
    sys.stdout.write("".join(f"{line}\n" for line in outcome.behind(found)))
    return list(dict.fromkeys(finding.package for finding in found))
