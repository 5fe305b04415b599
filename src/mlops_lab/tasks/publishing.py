"""The tasks that build the project and upload it."""

from __future__ import annotations

import sys

from invoke.context import Context  # noqa: TC002 - Invoke reads the signatures

from mlops_lab.tasks.face import guide_task, open_for, request_for

__all__ = ["build", "publish"]


@guide_task()
def build(_: Context, hybrid: str | None = None, verbose: bool = False, json: bool = False) -> None:
    """Build a wheel and an sdist into dist/."""
    from mlops_lab import publish as publishing
    from mlops_lab.report import outcome

    made = publishing.build(open_for(request_for(hybrid, None), verbose=verbose))
    text = outcome.as_json(made) if json else "\n".join(f"built: {file}" for file in made.files)
    sys.stdout.write(text + "\n")


_PUBLISH = {
    "repository": "Where to: a name of [tool.mlops-lab.repositories], of uv's or of Poetry's; default: pypi",
    "dry_run": "Do everything but the upload",
}


@guide_task(help=_PUBLISH)
def publish(
    _: Context,
    repository: str = "pypi",
    dry_run: bool = False,
    hybrid: str | None = None,
    verbose: bool = False,
    json: bool = False,
) -> None:
    """Build the package and upload it."""
    from mlops_lab import publish as publishing
    from mlops_lab.report import outcome

    done = publishing.publish(open_for(request_for(hybrid, None), verbose=verbose), repository, dry_run=dry_run)
    sys.stdout.write((outcome.as_json(done) if json else outcome.published(done)) + "\n")
