"""The task that finds files which disagree, and mends what can be."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.context import Context  # noqa: TC002 - Invoke reads the signatures

from mlops_lab.errors import FOUND, LabError
from mlops_lab.tasks.face import guide_task, open_for, remainder, request_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlops_lab.findings import Findings
    from mlops_lab.report.findings import Form

__all__ = ["drift"]


@guide_task(
    help={
        "fix": "Bring locks, exports and the environment up to date, then examine again; what people wrote stays",
        "no_environment": "Compare the files only, as a commit hook does: the environment may still follow them",
        "markdown": "Print Markdown, alone on standard output",
    }
)
def drift(
    _: Context,
    fix: bool = False,
    hybrid: str | None = None,
    prefix: str | None = None,
    no_environment: bool = False,
    offline: bool = False,
    verbose: bool = False,
    json: bool = False,
    markdown: bool = False,
) -> None:
    """Find files that disagree with each other or with the environment.

    Nothing is resolved, started or written without --fix. Files may be named behind `--`: one is compared with all of
    the project's, several with each other. What shall be left alone stands in pyproject.toml, as globs of files and
    packages: [tool.mlops-lab.drift] ignore = ["docs/requirements.txt", "types-*"]; what conda calls otherwise than the
    index, in [tool.mlops-lab.conda-names]: "my-torch" = "torch".
    """
    from mlops_lab import drift as drifting
    from mlops_lab.guide import hybrid_named
    from mlops_lab.report import findings as report

    if json and markdown:
        raise LabError("--json and --markdown are two forms of one report", "choose one of them")
    if prefix is not None and no_environment:
        raise LabError("--prefix names an environment, and --no-environment leaves it out", "choose one of them")
    if hybrid is not None:
        hybrid_named(hybrid)  # a slip is told without --fix too
    form: Form = "json" if json else "markdown" if markdown else "text"
    files = [Path(name) for name in remainder()]

    def examine() -> Findings:
        subject = drifting.subject_at(Path.cwd(), os.environ, prefix)
        return drifting.examine(dataclasses.replace(subject, environment=None) if no_environment else subject, files)

    found = examine()
    if fix and any(finding.mend for finding in found.findings):
        found = _mended(found, examine, hybrid, prefix, offline=offline, verbose=verbose)
    elif fix and found.findings:
        sys.stderr.write("nothing is mended: what was found is for a person to decide\n")
    report.tell(found, form, environ=os.environ, out=sys.stdout, notes=sys.stderr)
    if found.errors:
        sys.exit(FOUND)


def _mended(
    found: Findings,
    examine: Callable[[], Findings],
    hybrid: str | None,
    prefix: str | None,
    *,
    offline: bool,
    verbose: bool,
) -> Findings:
    """Mend the files, then the environment, since that follows them; returns what is left."""
    from mlops_lab.drift import mending

    request = request_for(hybrid, prefix, offline=offline)
    steps = open_for(request, verbose=verbose, changes=True)
    said = [*mending.files(steps, found.findings)]
    found = examine()
    if done := [*mending.environment(steps, request, found.findings)]:
        said += done
        found = examine()
    return dataclasses.replace(found, mended=said)
