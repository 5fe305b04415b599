"""The task that compares environments: those of the check sessions, this project's own, and other machines'."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.context import Context  # noqa: TC002 - Invoke reads the signatures

from mlops_lab.errors import FOUND, LabError
from mlops_lab.tasks.face import guide_task, open_for, remainder, request_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlops_lab.findings import Findings
    from mlops_lab.inventories import Inventory
    from mlops_lab.parity import Comparison
    from mlops_lab.parity.here import Here
    from mlops_lab.project import Project
    from mlops_lab.report.findings import Form

__all__ = ["parity"]


@guide_task(
    help={
        "certificate": "Where the certificate goes; default: .mlops-lab/parity.json of the project",
        "verify": "Check a certificate instead: whether what it says is still so",
        "inventory": "Only take the inventory of this environment, into this file",
        "markdown": "Print Markdown, alone on standard output",
    }
)
def parity(
    _: Context,
    hybrid: str | None = None,
    prefix: str | None = None,
    certificate: str | None = None,
    verify: str | None = None,
    inventory: str | None = None,
    json: bool = False,
    markdown: bool = False,
) -> None:
    """Compare environments, also of other machines: parity -- FILE."""
    from mlops_lab.parity.here import Here

    form: Form = "json" if json else "markdown" if markdown else "text"
    _refuse_several({"--json": json, "--markdown": markdown})
    _refuse_several({"--certificate": certificate, "--verify": verify, "--inventory": inventory})
    project = _project()
    if inventory is not None:
        _take(inventory, hybrid, prefix)
    else:
        named = _named()
        own = _own(project, hybrid, prefix) if project and not named else None
        there = [*(named or _left(project)), *([own] if own else [])]
        if verify is not None:
            _verify(verify, project, there, form)
        else:
            _compare(Here(project, own.origin if own else None), there, certificate, form)


def _refuse_several(flags: Mapping[str, object]) -> None:
    given = [flag for flag, value in flags.items() if value]
    if len(given) > 1:
        raise LabError(f"{' and '.join(given)} do not go together", "choose one of them")


# --- what is compared ----------------------------------------------------------------------------------------------


def _project() -> Project | None:
    """The project; None outside of one: inventories of other machines need none.

    Raises:
        LabError: There is one, and its manifest is broken (code 2).
    """
    from mlops_lab.project import find

    here = Path.cwd()
    return find(here) if any((each / "pyproject.toml").exists() for each in (here, *here.parents)) else None


def _named() -> list[Inventory]:
    """The inventories that the user named: files, folders of them, and environments."""
    from mlops_lab import inventories
    from mlops_lab.environment import STAMP

    found: list[Inventory] = []
    for word in remainder():
        path = Path(os.path.expanduser(word))  # noqa: PTH111 - as for `--prefix`
        if os.path.isfile(path / STAMP):  # noqa: PTH113 - `Path.is_file` raises for a name that is too long
            found.append(_of_environment(word))
        else:
            found += map(inventories.read, inventories.gather(path))
    return found


def _left(project: Project | None) -> list[Inventory]:
    """What the sessions have left: those of `check`, and of `parity` what it set up itself."""
    from mlops_lab.inventories import NAME, read
    from mlops_lab.project import STATE

    if project is None:
        raise LabError(
            "there is no project here, and no inventory is named", "name some: `invoke parity -- FILE FOLDER`"
        )
    folders = [project.root / STATE / session for session in ("parity", "check")]
    found = {path.parent.name: path for folder in folders for path in sorted(folder.glob(f"*/{NAME}"))}
    return [read(path) for _, path in sorted(found.items())]


def _own(project: Project, hybrid: str | None, prefix: str | None) -> Inventory | None:
    """The inventory of the project's environment, where one is finished."""
    from mlops_lab import taking
    from mlops_lab.environment import read_stamp

    # Where nothing was ever set up, which hybrid it would be is a question to the network.
    if not (hybrid or prefix or project.remembered("hybrid") or project.settings.hybrid):
        return None
    steps = open_for(request_for(hybrid, prefix), to_run=False)
    stamp = read_stamp(steps.environment.prefix)
    if hybrid or prefix:
        steps.require_environment()
    finished = stamp is not None and stamp.fingerprint is not None and steps.environment.exists
    return taking.take(steps) if finished and stamp and stamp.hybrid == steps.hybrid.name else None


def _of_environment(prefix: str) -> Inventory:
    from mlops_lab import taking
    from mlops_lab.environment import read_stamp

    stamp = read_stamp(Path(prefix))
    return taking.take(open_for(request_for(stamp.hybrid if stamp else None, prefix), to_run=False))


# --- what is done with it ------------------------------------------------------------------------------------------


def _take(path: str, hybrid: str | None, prefix: str | None) -> None:
    from mlops_lab import inventories, taking

    if not Path(path).absolute().parent.is_dir():
        raise LabError(f"{path}: there is no such folder to write into", "make it, or name another file")
    taken = taking.take(open_for(request_for(hybrid, prefix), to_run=False))
    inventories.write(taken, Path(path))
    sys.stdout.write(f"{path}: {len(taken.packages)} packages of {taken.hybrid}\n")


def _compare(here: Here, there: list[Inventory], certificate: str | None, form: Form) -> None:
    import dataclasses

    from mlops_lab import certificate as certificates
    from mlops_lab.parity import compare, labelled
    from mlops_lab.parity.telling import told

    started, project = time.monotonic(), here.project
    comparison = compare(labelled(there, Path.cwd()), here.gives)
    found = told(comparison, here, subject=str(project.root if project else Path.cwd()))
    path = Path(certificate) if certificate else project.state / certificates.NAME if project else None
    if path is not None:
        certificates.write(comparison, path)
    facts = {**found.facts, "certificate": _shown(path) if path else ""}
    found = dataclasses.replace(found, seconds=time.monotonic() - started, facts=facts)
    _tell(found, form, comparison)
    if form == "text" and path is not None:
        sys.stdout.write(f"certificate: {_shown(path)}\n")
    if found.errors:
        sys.exit(FOUND)


def _verify(path: str, project: Project | None, there: list[Inventory], form: Form) -> None:
    from mlops_lab import certificate as certificates
    from mlops_lab.inventories import inputs_of

    subject = str(project.root if project else Path.cwd())
    known = certificates.read(Path(path))
    now = inputs_of(project.files) if project else None
    found = certificates.verify(known, there, now, name=path, subject=subject)
    _tell(found, form)
    if found.errors:
        sys.exit(FOUND)


def _shown(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _tell(found: Findings, form: Form, comparison: Comparison | None = None) -> None:
    from mlops_lab.report import findings as report
    from mlops_lab.report import pages
    from mlops_lab.report import parity as tables

    details = tables.markdown(comparison) if comparison else ""
    if form == "text" and comparison is not None:
        pages.show_page(tables.page(comparison))
    if form == "markdown":
        sys.stdout.write(details)
    report.tell(found, form, environ=os.environ, out=sys.stdout, notes=sys.stderr, details=details)
