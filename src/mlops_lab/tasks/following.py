"""The tasks that follow the guide: set up, create, activate, verify, info, compat, install, clean."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from invoke.context import Context  # noqa: TC002 - Invoke reads the signatures

from mlops_lab.tasks.face import guide_task, open_for, request_for, run_row

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["activate", "clean", "compat", "create", "info", "install", "setup", "verify"]


@guide_task(iterable=["group"])
def setup(
    _: Context,
    hybrid: str | None = None,
    python: str | None = None,
    prefix: str | None = None,
    group: Sequence[str] | None = None,
    conda: str | None = None,
    force: bool = False,
    offline: bool = False,
    verbose: bool = False,
    json: bool = False,
) -> None:
    """Set the environment up: the guide, from creation to health checks."""
    from mlops_lab import recipe, shells
    from mlops_lab.choices import Request
    from mlops_lab.report import outcome

    request = Request(hybrid, python, prefix, tuple(group or ()), force, offline, conda)
    steps = open_for(request, verbose=verbose, changes=True)
    steps.observer.say(f"{steps.hybrid}: {steps.reason}")
    if steps.engine is not None:
        steps.observer.say(f"{steps.engine.word} acts as conda: {steps.engine.reason}")
    done = recipe.setup(steps, request)
    if json:
        sys.stdout.write(outcome.as_json(done) + "\n")
    else:
        shell = shells.detect(os.environ, shells.parent_names())
        sys.stdout.write(outcome.summary(done, shells.how_to(shell)) + "\n")


@guide_task()
def create(
    _: Context,
    hybrid: str | None = None,
    python: str | None = None,
    prefix: str | None = None,
    conda: str | None = None,
    force: bool = False,
    verbose: bool = False,
) -> None:
    """Step 1: create the environment, without packages."""
    from mlops_lab import recipe
    from mlops_lab.choices import Request

    request = Request(hybrid, python, prefix, force=force, conda=conda)
    steps = open_for(request, verbose=verbose, changes=True)
    made = recipe.create(steps, request)
    text = "created" if made else "there already"
    sys.stdout.write(f"{steps.environment.prefix}: {text}\n")


@guide_task(help={"shell": "bash, zsh, sh, fish, powershell or cmd; default: yours"})
def activate(_: Context, shell: str | None = None, hybrid: str | None = None, prefix: str | None = None) -> None:
    """Step 2: print what activates it: eval "$(invoke activate)"."""
    from mlops_lab import shells
    from mlops_lab.choices import Request
    from mlops_lab.environment import activation

    chosen = shell or shells.detect(os.environ, shells.parent_names())
    steps = open_for(Request(hybrid=hybrid, prefix=prefix))
    steps.require_environment()
    changes = activation(steps.environment, shells.original(os.environ))
    sourced = shells.scripts(chosen, steps.environment.prefix) if steps.environment.conda else None
    text = shells.render(chosen, changes, os.environ, prompt=steps.environment.name, scripts=sourced)
    sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape", newline="\n")  # type: ignore[union-attr]
    sys.stdout.write(text)


@guide_task()
def verify(_: Context, hybrid: str | None = None, prefix: str | None = None) -> None:
    """Step 3: verify that the environment is there."""
    run_row("verify", hybrid, prefix)


@guide_task()
def info(_: Context, hybrid: str | None = None, prefix: str | None = None) -> None:
    """Step 4: show which environment the manager uses."""
    run_row("info", hybrid, prefix)


@guide_task()
def compat(_: Context, hybrid: str | None = None, prefix: str | None = None) -> None:
    """Step 8: check that the installed packages fit together."""
    run_row("compat", hybrid, prefix)


@guide_task()
def install(
    _: Context,
    hybrid: str | None = None,
    prefix: str | None = None,
    offline: bool = False,
    verbose: bool = False,
) -> None:
    """Step 9: install exactly what is locked."""
    from mlops_lab import recipe

    steps = open_for(request_for(hybrid, prefix, offline=offline), verbose=verbose, changes=True)
    recipe.install(steps)
    sys.stdout.write(f"installed: {steps.environment.prefix}\n")


@guide_task()
def clean(_: Context, hybrid: str | None = None, prefix: str | None = None) -> None:
    """Remove the environment and mlops-lab's own state of the project."""
    from mlops_lab import recipe

    removed = recipe.clean(open_for(request_for(hybrid, prefix), changes=True))
    sys.stdout.write("".join(f"removed: {path}\n" for path in removed) or "nothing to remove\n")
