"""The task that examines an environment's health, and mends what it can."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.context import Context  # noqa: TC002 - Invoke reads the signatures

from mlops_lab.errors import FOUND, LabError
from mlops_lab.tasks.face import guide_task, open_for, recover_first, request_for

if TYPE_CHECKING:
    from mlops_lab.choices import Request
    from mlops_lab.findings import Finding
    from mlops_lab.report.findings import Form

__all__ = ["doctor"]

_ROWS = ("doctor", "records")
"""The rows of the guide's seventh step."""
_SHOWN = 4


@guide_task(
    help={
        "fix": "Mend what can be mended, then examine again",
        "markdown": "Print Markdown, alone on standard output",
    }
)
def doctor(
    _: Context,
    hybrid: str | None = None,
    prefix: str | None = None,
    fix: bool = False,
    json: bool = False,
    markdown: bool = False,
) -> None:
    """Step 7: examine the environment's health; --fix mends what can be."""
    import dataclasses

    from mlops_lab.choices import refuse_others
    from mlops_lab.doctor import belonging, is_environment, mending
    from mlops_lab.report import findings as report

    if json and markdown:
        raise LabError("--json and --markdown are two forms of one report", "choose one of them")
    form: Form = "json" if json else "markdown" if markdown else "text"
    request = request_for(hybrid, prefix)
    steps = open_for(request, changes=fix)
    if fix:
        mending.bring_back(steps)
    if not is_environment(steps.environment.prefix):
        steps.require_environment()
    refuse_others(steps.project, steps.environment.prefix)
    belonging.keep_groups(steps)
    step = [] if fix or not steps.environment.exists else _step(request, shown=form == "text")
    found = belonging.examine(steps)
    if fix:
        found = mending.mend(steps, request, found)
    found = dataclasses.replace(found, findings=[*step, *found.findings])
    report.tell(found, form, environ=os.environ, out=sys.stdout, notes=sys.stderr)
    if found.errors:
        sys.exit(FOUND)


def _step(request: Request, *, shown: bool) -> list[Finding]:
    """Run the guide's own commands; what the doctor of a conda finds is a finding, what ours finds is found again."""
    from mlops_lab.doctor.subject import REBUILD, tell
    from mlops_lab.guide import row_named
    from mlops_lab.report.progress import Echo
    from mlops_lab.runner import CommandFailed
    from mlops_lab.steps import open_steps
    from mlops_lab.toolbox import OWN

    observer = Echo(sys.stdout if shown else sys.stderr, sys.stderr)
    steps = open_steps(request, start=Path.cwd(), environ=os.environ, observer=observer)
    recover_first(steps)
    found = []
    for name in _ROWS:
        words = steps.words(row_named(name))
        ours = words[:1] == [OWN]
        if not words or (ours and not shown):
            continue
        try:
            steps.step(name)
        except CommandFailed as error:
            if not ours:
                # Each check has a line: those with a tick are not what made it fail.
                said = [line.strip() for line in error.said if line.strip() and "✅" not in line][-_SHOWN:]
                command = shlex.join(steps.preview(row_named(name)))
                why = f"`{command}` ends with exit code {error.returncode}: {'; '.join(said)}"
                found.append(tell("conda", why, REBUILD, mend="rebuild"))
    return found
