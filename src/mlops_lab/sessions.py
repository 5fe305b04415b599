"""The guide as nox sessions: `from mlops_lab.sessions import *` in a noxfile.py declares them.

`check` runs every step of the guide for one hybrid, for real, on a copy of the project with a prefix of its own, so
that it can add, update and remove a package and leave the checkout alone. `parity` compares what the hybrids install.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import nox

from mlops_lab import engines, project, recipe
from mlops_lab.choices import Request, standing
from mlops_lab.environment import inventory
from mlops_lab.errors import LabError
from mlops_lab.guide import ENGINES, HYBRIDS, ROWS, SETUP, WITHOUT_CONDA, hybrid_named, nearest
from mlops_lab.report.outcome import error_text
from mlops_lab.report.progress import Counting, Quiet, watching
from mlops_lab.runner import Runner
from mlops_lab.steps import open_steps
from mlops_lab.workcopy import copy_project

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlops_lab.guide import Hybrid
    from mlops_lab.inventories import Inventory
    from mlops_lab.parity import Comparison
    from mlops_lab.project import Project
    from mlops_lab.steps import Observer, Steps

__all__ = ["check", "index_settings", "parity"]

# nox shows what every logger says; which interpreters are tried is no news.
logging.getLogger("findpython").setLevel(logging.WARNING)

_SAMPLES = ("cowsay", "pyjokes", "iniconfig", "toolz")
"""Small packages without requirements; the first that the project does not lock is added, updated and removed."""


@nox.session(venv_backend="none", allow_parallel=True)
@nox.parametrize("hybrid", [nox.param(hybrid.name, id=hybrid.name) for hybrid in HYBRIDS])
def check(session: nox.Session, hybrid: str) -> None:
    """Run all nine steps of the guide with one hybrid, on a copy of the project: nox -s check -- --python 3.12."""
    try:
        _check(session, hybrid_named(hybrid), _asked("check", session.posargs))
    except LabError as error:
        session.error(error_text(error))


# Not beside others: in `nox -j` it begins when every `check` has ended.
@nox.session(venv_backend="none", allow_parallel=False)
def parity(session: nox.Session) -> None:
    """Compare what all hybrids install, those that `check` has not left set up anew: nox -s parity -- --python 3.12."""
    try:
        _parity(session, _asked("parity", session.posargs))
    except LabError as error:
        session.error(error_text(error))


def index_settings() -> dict[str, str]:
    """The variables that send nox's own uv to the index that pip is configured to use."""
    observer = watching(os.environ, sys.stderr)
    steps = open_steps(Request(hybrid=WITHOUT_CONDA.name), start=Path.cwd(), environ=os.environ, observer=observer)
    return dict(steps.toolbox.settings("uv"))


WORDS: Mapping[str, str] = {
    "--python": "A version such as 3.12, or an interpreter's path",
    "--conda": f"The program that acts as conda, for those hybrids that need one: {', '.join(ENGINES)}",
}
"""What `check` and `parity` take behind `--`, each with a value."""


class _Words(argparse.ArgumentParser):
    """Wrong words end this session, not nox."""

    def error(self, message: str) -> NoReturn:
        """Refuse wrong words."""
        raise LabError(f"{self.prog} {message}", "the session takes --python VERSION and --conda ENGINE")


def _asked(name: str, words: Sequence[str]) -> Request:
    """What the words after `--` ask for.

    Raises:
        LabError: They are no words of a session, or name no engine (code 2).
    """
    parser = _Words(prog=f"nox -s {name} --", add_help=False)
    for option, meaning in WORDS.items():
        parser.add_argument(option, help=meaning)
    asked = parser.parse_args(words)
    if asked.conda is not None and asked.conda not in ENGINES:
        raise LabError(f"there is no conda engine {asked.conda!r}", nearest(asked.conda, ENGINES))
    return Request(python=asked.python, conda=asked.conda)


def _check(session: nox.Session, hybrid: Hybrid, asked: Request) -> None:
    here = project.find(Path.cwd())
    if why_not := _why_not(here, hybrid, asked):
        session.skip(why_not)
    folder = here.state / "check" / hybrid.name
    observer = Counting(watching(os.environ, sys.stderr))
    steps, request = _set_up(here, hybrid, asked, folder, observer)
    from mlops_lab import changes  # `nox -l` shall not load what only a change needs

    leading = open_steps(
        request, start=steps.project.root, environ=os.environ, observer=observer, leader=hybrid.manager
    )
    leading.interpreter = steps.interpreter
    _look(steps)
    _change(leading)
    changes.lock(leading)
    changes.export(leading)
    recipe.install(leading)
    _write_inventory(leading, folder / "inventory-after.json", whole=False)
    if missed := _missed(leading, observer.seen):
        session.error(f"these steps of the guide did not run: {', '.join(missed)}")
    session.log(f"{hybrid}: {len(inventory(steps.environment))} packages, {folder / 'inventory.json'}")


def _why_not(here: Project, hybrid: Hybrid, asked: Request) -> str:
    """Why a hybrid cannot run here, with what to do about it; empty when it can."""
    found = standing(here, hybrid)
    if found.why_not:
        return f"{found.why_not}: {found.remedy}"
    return engines.available(here, asked, os.environ)[1] if hybrid.by_conda else ""


def _set_up(here: Project, hybrid: Hybrid, asked: Request, folder: Path, observer: Observer) -> tuple[Steps, Request]:
    """Set a hybrid up on a copy of the project, and leave its inventory in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    # What fails now shall not be judged by what an earlier session has left.
    (folder / "inventory.json").unlink(missing_ok=True)
    made_from = _inputs(here, hybrid)
    copy = copy_project(here.root, folder / "copy", _git(folder / "copy.log").ask)
    prefix = str(folder / "environment")
    engine = asked.conda if hybrid.by_conda else None
    request = replace(asked, hybrid=hybrid.name, prefix=prefix, conda=engine, force=True)
    # The copy is set up as the project is, so that every hybrid starts from the same lock; then the hybrid's own
    # manager leads, so that its spellings run for real.
    steps = open_steps(request, start=copy, environ=os.environ, observer=observer)
    recipe.setup(steps, request)
    _write_inventory(steps, folder / "inventory.json", made_from)
    return steps, request


def _git(log: Path) -> Runner:
    """A runner for git without git's own variables, which a hook sets and which name another repository's files."""
    return Runner(log, {name: value for name, value in os.environ.items() if not name.startswith("GIT_")})


def _look(steps: Steps) -> None:
    """Run the rows that only look and are no part of a setup."""
    for row in ROWS:
        if row.looks and row.name not in SETUP:
            steps.step(row.name)


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


def _inputs(here: Project, hybrid: Hybrid) -> dict[str, str]:
    """What the copy for a hybrid is made from: the project's own files, whatever is derived in the copy."""
    from mlops_lab import taking

    # Conda's environments are made from the same files as a venv, and to look for a conda takes its time.
    name = f"{WITHOUT_CONDA.backend}+{hybrid.manager}" if hybrid.by_conda else hybrid.name
    request = Request(hybrid=name, prefix=str(here.state / "check" / name / "environment"))
    return taking.inputs(open_steps(request, start=here.root, environ=os.environ, observer=Quiet(sys.stderr)))


def _write_inventory(
    steps: Steps, path: Path, made_from: Mapping[str, str] | None = None, *, whole: bool = True
) -> None:
    """What is installed, for comparison with other hybrids and machines."""
    from mlops_lab import inventories, taking

    inventories.write(taking.take(steps, made_from, whole=whole), path)


# --- parity --------------------------------------------------------------------------------------------------------


def _parity(session: nox.Session, asked: Request) -> None:
    from mlops_lab.parity import compare, labelled
    from mlops_lab.parity.here import Here

    here = project.find(Path.cwd())
    started = time.monotonic()
    there: list[Inventory] = []
    for hybrid in HYBRIDS:
        if why_not := _why_not(here, hybrid, asked):
            session.log(f"{hybrid} is left out: {why_not}")
            continue
        there.append(_left(session, here, hybrid, asked) or _anew(session, here, hybrid, asked))
    if len(there) < 2:  # noqa: PLR2004 - a pair
        session.skip(f"parity needs two hybrids that can run here, and there are {len(there)}")
    comparison = compare(labelled(there, here.root), Here(here).gives)
    if errors := _told(here, comparison, time.monotonic() - started):
        many = f"{errors} findings" if errors > 1 else "1 finding"
        session.error(f"the environments diverge: {many} above, with what mends it")


def _left(session: nox.Session, here: Project, hybrid: Hybrid, asked: Request) -> Inventory | None:
    """What an earlier session has left of a hybrid, where it was made from these very files and as it was asked."""
    from mlops_lab import inventories
    from mlops_lab.parity.judging import unlike_inputs

    wanted = _inputs(here, hybrid)
    for name in ("check", "parity"):
        path = here.state / name / hybrid.name / inventories.NAME
        try:
            found = inventories.read(path)
        except LabError:
            continue  # nothing is there, or what another version has left
        same = found.inputs and not unlike_inputs(found, replace(found, inputs=wanted))
        if same and set(found.groups) == set(here.groups) and _is_asked(here, hybrid, found, asked):
            session.log(f"{hybrid}: as `{name}` has left it, from the same files")
            return found
    return None


def _is_asked(here: Project, hybrid: Hybrid, found: Inventory, asked: Request) -> bool:
    """Whether an environment has the Python that a new one would have, and the engine that was asked for made it."""
    if hybrid.by_conda and asked.conda not in {None, found.engine}:
        return False
    if asked.python is not None:
        return f"{found.python}.".startswith(f"{asked.python.removeprefix('python')}.")
    if hybrid.by_conda:
        return True  # conda chooses within conda.yml, which is the same
    from mlops_lab import interpreters

    return interpreters.choose(here, None).version == found.python


def _anew(session: nox.Session, here: Project, hybrid: Hybrid, asked: Request) -> Inventory:
    from mlops_lab import inventories

    session.log(f"{hybrid}: set up on a copy")
    folder = here.state / "parity" / hybrid.name
    _set_up(here, hybrid, asked, folder, watching(os.environ, sys.stderr))
    return inventories.read(folder / inventories.NAME)


def _told(here: Project, comparison: Comparison, seconds: float) -> int:
    """Show what came of it, and leave the certificate; returns how many findings are errors."""
    from mlops_lab import certificate
    from mlops_lab.parity.here import Here
    from mlops_lab.parity.telling import told
    from mlops_lab.report import parity as report

    found = told(comparison, Here(here), subject=str(here.root), seconds=seconds)
    report.tell(found, comparison, environ=os.environ, out=sys.stdout, notes=sys.stderr)
    certificate.write(comparison, here.state / certificate.NAME)
    return found.errors
