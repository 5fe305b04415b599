"""The guide as nox sessions: `from mlops_lab.sessions import *` in a noxfile.py declares them.

`check` runs every step of the guide for one hybrid, for real, on a copy of the project with a prefix of its own, so
that it can add, update and remove a package and leave the checkout alone.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import nox

from mlops_lab import conda_meta, engines, project, recipe
from mlops_lab.choices import Request, standing
from mlops_lab.environment import config, inventory
from mlops_lab.errors import LabError
from mlops_lab.guide import HYBRIDS, ROWS, hybrid_named
from mlops_lab.report.outcome import error_text
from mlops_lab.report.progress import Counting, watching
from mlops_lab.runner import Runner
from mlops_lab.steps import open_steps
from mlops_lab.workcopy import copy_project

if TYPE_CHECKING:
    from mlops_lab.guide import Hybrid
    from mlops_lab.steps import Steps

__all__ = ["check", "index_settings"]

_SAMPLES = ("cowsay", "pyjokes", "iniconfig")
"""Small packages without requirements; the first that the project does not lock is added, updated and removed."""


@nox.session(venv_backend="none", allow_parallel=True)
@nox.parametrize("hybrid", [nox.param(hybrid.name, id=hybrid.name) for hybrid in HYBRIDS])
def check(session: nox.Session, hybrid: str) -> None:
    """Run all nine steps of the guide with one hybrid, on a copy of the project: nox -s check -- --python 3.12."""
    words = _Words(prog="nox -s check --", add_help=False)
    words.add_argument("--python", help="a version such as 3.12, or an interpreter's path")
    try:
        _check(session, hybrid_named(hybrid), words.parse_args(session.posargs).python)
    except LabError as error:
        session.error(error_text(error))


def index_settings() -> dict[str, str]:
    """The variables that send nox's own uv to the index that pip is configured to use."""
    observer = watching(os.environ, sys.stderr)
    steps = open_steps(Request(hybrid="venv+poetry"), start=Path.cwd(), environ=os.environ, observer=observer)
    return dict(steps.toolbox.settings("uv"))


class _Words(argparse.ArgumentParser):
    """Wrong words end this session, not nox."""

    def error(self, message: str) -> NoReturn:
        """Refuse wrong words."""
        raise LabError(f"{self.prog} {message}", "the session takes --python VERSION")


def _check(session: nox.Session, hybrid: Hybrid, python: str | None) -> None:
    here = project.find(Path.cwd())
    found = standing(here, hybrid)
    if found.why_not:
        session.skip(f"{found.why_not}: {found.remedy}")
    if hybrid.backend == "conda":
        _why, why_not = engines.available(here, Request(), os.environ)
        if why_not:
            session.skip(why_not)
    folder = here.state / "check" / hybrid.name
    folder.mkdir(parents=True, exist_ok=True)
    observer = Counting(watching(os.environ, sys.stderr))
    copy = copy_project(here.root, folder / "copy", _git(folder / "copy.log").ask)
    request = Request(hybrid=hybrid.name, python=python, prefix=str(folder / "environment"), force=True)
    # The copy is set up as the project is, so that every hybrid starts from the same lock; then the hybrid's own
    # manager leads, so that its spellings run for real.
    steps = open_steps(request, start=copy, environ=os.environ, observer=observer)
    recipe.setup(steps, request)
    _write_inventory(steps, folder / "inventory.json")
    from mlops_lab import changes  # `nox -l` shall not load what only a change needs

    leading = open_steps(request, start=copy, environ=os.environ, observer=observer, leader=hybrid.manager)
    leading.interpreter = steps.interpreter
    _change(leading)
    changes.lock(leading)
    changes.export(leading)
    recipe.install(leading)
    _write_inventory(leading, folder / "inventory-after.json")
    if missed := _missed(leading, observer.seen):
        session.error(f"these steps of the guide did not run: {', '.join(missed)}")
    session.log(f"{hybrid}: {len(inventory(steps.environment))} packages, {folder / 'inventory.json'}")


def _git(log: Path) -> Runner:
    """A runner for git without git's own variables, which a hook sets and which name another repository's files."""
    return Runner(log, {name: value for name, value in os.environ.items() if not name.startswith("GIT_")})


def _change(steps: Steps) -> None:
    """Add a package, update it and remove it, and look each time whether the environment has followed."""
    from mlops_lab import changes

    before = inventory(steps.environment)
    sample = next((name for name in _SAMPLES if name not in before), _SAMPLES[0])
    for row, present in (("add", True), ("update", True), ("remove", False)):
        changes.change(steps, row, [sample])
        if (sample in inventory(steps.environment)) is not present:
            raise LabError(f"after `{row} {sample}` the environment has not followed", str(steps.runner.log), code=1)
    if (after := inventory(steps.environment)) != before:
        moved = sorted({*before.items()} ^ {*after.items()})
        raise LabError(f"adding and removing {sample} left something else: {moved}", str(steps.runner.log), code=1)


def _missed(steps: Steps, seen: set[str]) -> list[str]:
    """The rows that a tool of the hybrid answers and that did not run."""
    answered = [row.name for row in ROWS if steps.answers(row)]
    needless = set() if recipe.installs_project(steps) else {"install-project"}
    return [name for name in answered if name not in seen | needless]


def _write_inventory(steps: Steps, path: Path) -> None:
    """What is installed, for comparison with other hybrids and machines."""
    content = {
        "hybrid": steps.hybrid.name,
        "python": config(steps.environment.prefix).get("version", ""),
        "platform": sysconfig.get_platform(),
        "packages": inventory(steps.environment),
        "engine": steps.engine.name if steps.engine else "",
        "conda": conda_meta.packages(steps.environment.prefix),
    }
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
