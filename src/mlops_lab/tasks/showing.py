"""The tasks that show what there is: the guide here and now, hybrids, tools, the diagram."""

from __future__ import annotations

import os
import sys

from invoke.context import Context  # noqa: TC002 - Invoke reads the signatures

from mlops_lab.errors import LabError
from mlops_lab.tasks.face import guide_task, open_for, request_for

__all__ = ["diagram", "guide", "hybrids", "tools"]


@guide_task(help={"markdown": "Print the page of a team that follows the guide with this hybrid, as Markdown"})
def guide(
    _: Context, hybrid: str | None = None, prefix: str | None = None, json: bool = False, markdown: bool = False
) -> None:
    """Print every step as it would run here and now; runs none."""
    from mlops_lab.guide import ROWS
    from mlops_lab.report import guide_markdown, outcome, pages
    from mlops_lab.runner import show

    if json and markdown:
        raise LabError("--json and --markdown are two forms of one page", "choose one of them")
    steps = open_for(request_for(hybrid, prefix), to_run=False)
    commands = [(row, steps.preview(row, anew=markdown)) for row in ROWS]
    if json:
        sys.stdout.write(outcome.guide_as_json(commands) + "\n")
    elif markdown:
        active = steps.environment.prefix if steps.environment.by_name else None
        lines = [(row, guide_markdown.typed(command, steps.project.root, active)) for row, command in commands]
        sys.stdout.write(guide_markdown.team_page(steps.project.name, steps.hybrid, steps.leader, lines))
    else:
        lines = [(row, show(command)) for row, command in commands]
        pages.show_page(pages.guide_page(steps.hybrid, steps.leader, lines))


@guide_task()
def hybrids(_: Context, json: bool = False) -> None:
    """Show which hybrids can run here, which not, and what to do."""
    from mlops_lab import engines
    from mlops_lab.guide import HYBRIDS
    from mlops_lab.report import outcome, pages

    request = request_for(None, None)
    steps = open_for(request)
    found = engines.standings(HYBRIDS, steps.project, request, os.environ)
    if json:
        sys.stdout.write(outcome.hybrids_as_json(found) + "\n")
    else:
        pages.show_page(pages.hybrids_page(found, steps.hybrid, steps.reason))


@guide_task()
def tools(_: Context, json: bool = False) -> None:
    """Show conda, poetry, uv and pip: role, strength, version, link."""
    from mlops_lab.report import outcome, pages

    found = open_for(request_for(None, None)).toolbox.survey()
    if json:
        sys.stdout.write(outcome.tools_as_json(found) + "\n")
    else:
        pages.show_page(pages.tools_page(found))


@guide_task()
def diagram(_: Context, hybrid: str | None = None, prefix: str | None = None) -> None:
    """Draw who owns the environment, who locks and who installs."""
    from mlops_lab import locks
    from mlops_lab.environment import config, inventory
    from mlops_lab.report import pages

    steps = open_for(request_for(hybrid, prefix))
    versions = {name: version for name, (version, _origin) in steps.toolbox.survey().items()}
    versions["python"] = config(steps.environment.prefix).get("version", "(no environment yet)")
    locked = locks.count(steps.project, steps.hybrid.manager) or locks.count(steps.project, steps.leader)
    counts = {"locked": locked, "installed": len(inventory(steps.environment))}
    pages.show_page(pages.diagram_page(steps.hybrid, versions, str(steps.environment.prefix), counts))
