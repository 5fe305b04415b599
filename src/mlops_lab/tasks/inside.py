"""The tasks that work inside the environment: run a command, a subshell, a Jupyter kernel."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.context import Context  # noqa: TC002 - Invoke reads the signatures

from mlops_lab.errors import LabError
from mlops_lab.tasks.face import guide_task, open_for, remainder, request_for, run_row

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["kernel", "run", "shell"]


@guide_task()
def run(_: Context, hybrid: str | None = None, prefix: str | None = None) -> None:
    """Run a command in the environment: invoke run -- CMD."""
    command = remainder()
    if not command:
        raise LabError("no command to run is given", "write it after two dashes: `invoke run -- python --version`")
    sys.exit(_inside(command, hybrid, prefix))


@guide_task()
def shell(_: Context, hybrid: str | None = None, prefix: str | None = None) -> None:
    """Start a subshell in the environment; `exit` leaves it."""
    command = os.environ.get("SHELL") or os.environ.get("COMSPEC") or "sh"
    sys.exit(_inside([command], hybrid, prefix))


def _inside(command: Sequence[str], hybrid: str | None, prefix: str | None) -> int:
    import shutil

    steps = open_for(request_for(hybrid, prefix))
    steps.require_environment()
    changes = steps.activated()
    found = shutil.which(command[0], path=changes["PATH"])
    if found is None:
        raise LabError(f"there is no command {command[0]!r} in the environment or on PATH", "check its spelling")
    return steps.runner.hand_over([found, *command[1:]], cwd=Path.cwd(), changes=changes)


@guide_task(help={"name": "The kernel's name; default: the project's"})
def kernel(_: Context, name: str | None = None, hybrid: str | None = None, prefix: str | None = None) -> None:
    """Register the environment as a Jupyter kernel."""
    # What Jupyter takes: https://jupyter-client.readthedocs.io/en/stable/kernels.html#kernel-specs
    if name is not None and not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        raise LabError(f"{name!r} is no name for a kernel", "write it with letters, digits, hyphens, periods and _")
    run_row("kernel", hybrid, prefix, kernel=name)
