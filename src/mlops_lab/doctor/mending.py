"""What the doctor can mend, by the recipes that set an environment up, and under their locks."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import shutil
from typing import TYPE_CHECKING

from mlops_lab import doctor, freshness, recipe
from mlops_lab.doctor import belonging
from mlops_lab.doctor.subject import REBUILD, tell
from mlops_lab.environment import STAMP, read_stamp
from mlops_lab.errors import LabError
from mlops_lab.hints import hint_for
from mlops_lab.runner import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from mlops_lab.choices import Request
    from mlops_lab.doctor.subject import Subject
    from mlops_lab.findings import Finding, Findings
    from mlops_lab.steps import Steps

__all__ = ["aside_of", "bring_back", "mend"]

_ROUNDS = 4
"""What was taken away may have brought others along, which show themselves when it has gone."""
_LINES = 3
"""How many of a failed tool's last lines are told."""
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
    if read_stamp(steps.environment.prefix) is None:
        if not found.errors:
            return found
        why = f"{steps.environment.prefix} is an environment that mlops-lab did not make: nothing is changed unasked"
        return dataclasses.replace(found, findings=[tell("unmended", why, REBUILD), *found.findings])
    first = found
    stopped: list[Finding] = []
    for _ in range(_ROUNDS):
        ill = [each for each in found.findings if each.mend]
        if not ill:
            break
        try:
            _once(steps, request, ill)
        except (LabError, OSError) as error:
            stopped.append(_stopped(error))
        before, found = found, belonging.examine(steps)
        if stopped or _known(before) == _known(found):
            break
    # What was stopped half-way may have taken the ill file away with all the others.
    left = _known(first if stopped else found)
    mended = [each.why for each in first.findings if each.mend and (each.kind, each.package, each.why) not in left]
    seconds = first.seconds + found.seconds
    return dataclasses.replace(found, findings=[*stopped, *found.findings], mended=mended, seconds=seconds)


def _stopped(error: LabError | OSError) -> Finding:
    """Why nothing was mended, with a tool's last lines and its log."""
    if not isinstance(error, LabError):
        return tell("unmended", str(error), otherwise=hint_for(str(error)))
    sides = []
    if isinstance(error, CommandFailed):
        sides = [("its last lines", line) for line in error.tail if line.strip(" |")][-_LINES:]
        sides += [("the log", str(error.log))] if error.log else []
    return tell("unmended", error.message, otherwise=error.hint, sides=sides)


def _known(found: Findings) -> set[tuple[str, str, str]]:
    return {(each.kind, each.package, each.why) for each in found.findings}


def _once(steps: Steps, request: Request, ill: Sequence[Finding]) -> None:
    ways = {each.mend for each in ill}
    subject = doctor.subject_of(steps.environment, steps.environ)
    if "sweep" in ways:
        _sweep(steps)
    _forget(steps, subject, ill)
    if "rebuild" in ways:
        recipe.refuse_unasked_engine(steps, request)
        asked = _asked(steps, subject, request, ill)
        with _keeping(steps):
            recipe.setup(steps, dataclasses.replace(asked, force=True))
    elif "setup" in ways:
        recipe.setup(steps, _asked(steps, subject, request, ill))
    elif "prune" in ways:
        with recipe.changing(steps):
            steps.step("prune", packages=[each.package for each in ill if each.mend == "prune"])
        recipe.install(steps)
    elif "install" in ways:
        recipe.install(steps)


def bring_back(steps: Steps) -> None:
    """Bring the environment back that was put aside for a new one, where that was not finished.

    A command that is at work on it is waited for.
    """
    prefix, aside = steps.environment.prefix, aside_of(steps)
    with recipe.changing(steps):
        if _is_finished(aside) and not _is_finished(prefix):
            if prefix.exists():
                shutil.rmtree(prefix)
            aside.rename(prefix)
            steps.observer.say("the environment is as it was before")
        elif aside.exists():
            # Its stamp first: what cannot be removed of it is no environment.
            (aside / STAMP).unlink(missing_ok=True)
            shutil.rmtree(aside, ignore_errors=True)


def aside_of(steps: Steps) -> Path:
    """Where the old environment waits until a new one is finished."""
    name = hashlib.blake2b(os.fsencode(steps.environment.prefix), digest_size=6).hexdigest()
    return steps.project.state / f"set-aside-{name}"


def _is_finished(prefix: Path) -> bool:
    stamp = read_stamp(prefix)
    return stamp is not None and stamp.fingerprint is not None


@contextlib.contextmanager
def _keeping(steps: Steps) -> Iterator[None]:
    """Keep the old environment until a new one is finished: without a network, or room, there would be none.

    A conda sees to that itself.
    """
    prefix = steps.environment.prefix
    if steps.engine is None and _is_finished(prefix):
        # What cannot be renamed, such as the mount of a container, is made anew where it is.
        with recipe.changing(steps), contextlib.suppress(OSError):
            prefix.rename(aside_of(steps))
    try:
        yield
    finally:
        bring_back(steps)


def _sweep(steps: Steps) -> None:
    """Remove what an interrupted pip has put aside: nothing imports it, and no record names it."""
    site = steps.environment.site_packages
    with recipe.changing(steps):
        for path in sorted(site.glob("~*")) if site else ():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def _forget(steps: Steps, subject: Subject, ill: Sequence[Finding]) -> None:
    """Forget what a manager's cache has of packages whose files were written to here: the cache has the same files."""
    wrong = {each.package for each in ill if each.kind in _CONTENT}
    names = [each.name for each in subject.others if each.name in wrong and freshness.may_be_cached(each.folder)]
    if names:
        with recipe.changing(steps):
            steps.step("refetch", packages=names)


def _asked(steps: Steps, subject: Subject, request: Request, ill: Sequence[Finding]) -> Request:
    """The user's request, with the Python that the environment has, unless that is what is wrong with it."""
    series = subject.series
    wrong = any(each.kind in {"interpreter", "python"} for each in ill)
    if wrong or not series or not subject.environment.exists:
        return request
    # The files may have come to mean another one, which counts only where nobody asks for this one.
    outgrown = freshness.reasons(steps, None)[0] != freshness.reasons(steps, series)[0]
    return request if outgrown else dataclasses.replace(request, python=series)
