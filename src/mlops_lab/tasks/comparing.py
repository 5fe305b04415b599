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
    started, project = time.monotonic(), _project()
    if inventory is not None:
        _refuse_several({"--inventory": inventory, "--json": json, "--markdown": markdown, "files": remainder()})
        _take(_path(inventory), hybrid, prefix)
        return
    named, own = _named(), _environment(hybrid, prefix) if hybrid or prefix else None
    if own is None and project is not None and not named:
        own = _own(project)
    here, ours = Here(project, own.origin if own else None), [own] if own else []
    if verify is not None:
        _verify(verify, here, [*(named or _left(project)), *ours], form)
    else:
        there = named or _one_each(_left(project), project)
        _compare(here, [*there, *ours], certificate, form, started)


def _refuse_several(flags: Mapping[str, object]) -> None:
    given = [flag for flag, value in flags.items() if value not in (None, False, [])]
    if len(given) > 1:
        raise LabError(f"{' and '.join(given)} do not go together", "choose one of them")


def _path(word: str) -> Path:
    return Path(os.path.expanduser(word))  # noqa: PTH111 - as for `--prefix`


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
        path = _path(word)
        if os.path.isfile(path / STAMP):  # noqa: PTH113 - `Path.is_file` raises for a name that is too long
            found.append(_environment(None, str(path)))
        else:
            found += map(inventories.read, inventories.gather(path))
    return found


def _left(project: Project | None) -> list[Inventory]:
    """What the sessions have left: those of `check`, then what `parity` set up itself."""
    from mlops_lab.inventories import NAME, read
    from mlops_lab.project import STATE

    if project is None:
        raise LabError(
            "there is no project here, and no inventory is named", "name some: `invoke parity -- FILE FOLDER`"
        )
    folders = [project.root / STATE / session for session in ("check", "parity")]
    return [read(path) for folder in folders for path in sorted(folder.glob(f"*/{NAME}"))]


def _one_each(there: list[Inventory], project: Project | None) -> list[Inventory]:
    """Of each hybrid one: the first that was made from the files as they are now, else the first."""
    from mlops_lab.inventories import inputs_of

    now = inputs_of(project.files if project else {})
    found: dict[str, Inventory] = {}
    for inventory in sorted(there, key=lambda each: not _is_of_now(each, now)):
        found.setdefault(inventory.hybrid, inventory)
    return [found[hybrid] for hybrid in sorted(found)]


def _is_of_now(inventory: Inventory, now: Mapping[str, str]) -> bool:
    inputs = {name: value for name, value in inventory.inputs.items() if name not in inventory.derived}
    return bool(inputs) and all(now.get(name) == value for name, value in inputs.items())


def _own(project: Project) -> Inventory | None:
    """The inventory of the project's environment, where one is finished."""
    from mlops_lab import taking
    from mlops_lab.environment import read_stamp

    # Where nothing was ever set up, which hybrid it would be is a question to the network.
    if not (project.remembered("hybrid") or project.settings.hybrid):
        return None
    steps = open_for(request_for(None, None), to_run=False)
    stamp = read_stamp(steps.environment.prefix)
    finished = stamp is not None and stamp.fingerprint is not None and steps.environment.exists
    return taking.take(steps) if finished and stamp and stamp.hybrid == steps.hybrid.name else None


def _environment(hybrid: str | None, prefix: str | None) -> Inventory:
    """The inventory of an environment that the user named.

    Raises:
        LabError: There is none, it is another project's, or another hybrid made it (code 2).
    """
    from mlops_lab import taking
    from mlops_lab.environment import read_stamp

    stamp = read_stamp(_path(prefix)) if prefix else None
    steps = open_for(request_for(hybrid or (stamp.hybrid if stamp else None), prefix), to_run=False)
    if (stamp := read_stamp(steps.environment.prefix)) and stamp.hybrid != steps.hybrid.name:
        what = f"{steps.environment.prefix} was made with {stamp.hybrid}, not with {steps.hybrid}"
        raise LabError(what, f"say `--hybrid {stamp.hybrid}`, or name another environment with --prefix")
    return taking.take(steps)


# --- what is done with it ------------------------------------------------------------------------------------------


def _take(path: Path, hybrid: str | None, prefix: str | None) -> None:
    from mlops_lab import inventories

    taken = _environment(hybrid, prefix)
    inventories.write(taken, path)
    sys.stdout.write(f"{path}: {len(taken.packages)} packages of {taken.hybrid}\n")


def _compare(here: Here, there: list[Inventory], certificate: str | None, form: Form, started: float) -> None:
    import dataclasses

    from mlops_lab.parity import compare, labelled
    from mlops_lab.parity.telling import told
    from mlops_lab.report import parity as report

    comparison = compare(labelled(there, Path.cwd()), here.gives)
    path = _certify(comparison, certificate, here.project)
    found = told(comparison, here, subject=_subject(here), seconds=time.monotonic() - started)
    found = dataclasses.replace(found, facts={**found.facts, "certificate": _shown(path) if path else ""})
    report.tell(found, comparison, form, environ=os.environ, out=sys.stdout, notes=sys.stderr)
    if form == "text" and path is not None:
        sys.stdout.write(f"certificate: {_shown(path)}\n")
    if found.errors:
        sys.exit(FOUND)


def _certify(comparison: Comparison, asked: str | None, project: Project | None) -> Path | None:
    """Leave the certificate; nobody asked for the usual one, so where it cannot be written, the result stands."""
    from mlops_lab import certificate

    if asked is None and project is None:
        return None
    try:
        path = project.state / certificate.NAME if asked is None and project else _path(asked or "")
        certificate.write(comparison, path)
    except LabError as error:
        if asked is not None:
            raise
        sys.stderr.write(f"no certificate: {error}\n")
        return None
    return path


def _verify(path: str, here: Here, there: list[Inventory], form: Form) -> None:
    from mlops_lab import certificate
    from mlops_lab.inventories import inputs_of
    from mlops_lab.report import findings as report
    from mlops_lab.verifying import verify

    known = certificate.read(_path(path))
    now = inputs_of(here.project.files) if here.project else None
    found = verify(known, there, now, name=path, subject=_subject(here), gives=here.gives)
    report.tell(found, form, environ=os.environ, out=sys.stdout, notes=sys.stderr)
    if found.errors:
        sys.exit(FOUND)


def _subject(here: Here) -> str:
    return str(here.project.root if here.project else Path.cwd())


def _shown(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
