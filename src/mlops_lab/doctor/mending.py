"""What the doctor can mend, by the recipes that set an environment up, and under their locks."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from typing import TYPE_CHECKING

from mlops_lab import doctor, recipe
from mlops_lab.doctor import belonging
from mlops_lab.doctor.distribution import altered
from mlops_lab.doctor.subject import tell
from mlops_lab.environment import STAMP
from mlops_lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlops_lab.choices import Request
    from mlops_lab.doctor.subject import Subject
    from mlops_lab.findings import Finding, Findings
    from mlops_lab.steps import Steps

__all__ = ["mend"]

_ROUNDS = 4
"""What was taken away may have brought others along, which show themselves when it has gone."""
_CONTENT = frozenset({"altered", "reinstalled", "provenance"})
"""Kinds of findings that may be true for the cache as well, whose files are the environment's by another name."""


def mend(steps: Steps, request: Request, found: Findings) -> Findings:
    """Mend what can be, and examine again.

    Args:
        steps: The steps, to be started outside of the environment.
        request: What the user asked for.
        found: What was found.

    Returns:
        What is left, and what was mended.
    """
    first = found
    stopped: list[Finding] = []
    for _ in range(_ROUNDS):
        ill = [each for each in found.findings if each.mend]
        if not ill:
            break
        try:
            _once(steps, request, ill)
        except LabError as error:
            stopped.append(tell("unmended", error.message, otherwise=error.hint))
        before, found = found, belonging.examine(steps)
        if stopped or _known(before) == _known(found):
            break
    left = _known(found)
    mended = [each.why for each in first.findings if each.mend and (each.kind, each.package, each.why) not in left]
    seconds = first.seconds + found.seconds
    return dataclasses.replace(found, findings=[*stopped, *found.findings], mended=mended, seconds=seconds)


def _known(found: Findings) -> set[tuple[str, str, str]]:
    return {(each.kind, each.package, each.why) for each in found.findings}


def _once(steps: Steps, request: Request, ill: Sequence[Finding]) -> None:
    ways = {each.mend for each in ill}
    subject = doctor.subject_of(steps.environment, steps.environ)
    if "sweep" in ways:
        _sweep(steps, subject)
    _forget(steps, subject, ill)
    if "rebuild" in ways:
        recipe.setup(steps, _asked(subject, request, ill, force=True))
    elif "setup" in ways:
        recipe.setup(steps, _asked(subject, request, ill, force=False))
    elif "prune" in ways:
        with recipe.changing(steps):
            steps.step("prune", packages=[each.package for each in ill if each.mend == "prune"])
        recipe.install(steps)
    elif "install" in ways:
        recipe.install(steps)


def _sweep(steps: Steps, subject: Subject) -> None:
    """Remove what an interrupted pip has put aside: nothing imports it, and no record names it."""
    site = steps.environment.site_packages
    with recipe.changing(steps):
        for path in sorted(site.glob("~*")) if site else ():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.parent == subject.environment.site_packages:
                path.unlink()


def _forget(steps: Steps, subject: Subject, ill: Sequence[Finding]) -> None:
    """Forget what a manager's cache has of packages whose files were written to here: the cache has the same files."""
    wrong = {each.package for each in ill if each.kind in _CONTENT}
    sealed = 0
    with contextlib.suppress(OSError):
        sealed = (subject.prefix / STAMP).stat().st_mtime_ns
    names = [
        each.name
        for each in subject.others
        if each.name in wrong
        and any(
            # A record that was edited too agrees with its files; when they were written to tells all the same.
            file.status and file.status.st_nlink > 1 and (file.status.st_mtime_ns > sealed or altered(file))
            for file in each.files
        )
    ]
    if names:
        with recipe.changing(steps):
            steps.step("refetch", packages=names)


def _asked(subject: Subject, request: Request, ill: Sequence[Finding], *, force: bool) -> Request:
    """The user's request, with the Python that the environment has, unless that is what is wrong with it."""
    wrong = any(each.kind in {"interpreter", "python"} for each in ill)
    python = None if wrong or not subject.series or not subject.environment.exists else subject.series
    return dataclasses.replace(request, force=force, python=python)
