"""The health of an environment: `mlops-lab doctor --prefix ENV`, and what `invoke doctor` and conda's doctor ask of us.

`CHECKS` need nothing but the environment, and no library but Python's own, so that they start at once. What compares
the environment with a project's files is in `belonging`, what mends it in `mending`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_lab import conda_meta
from mlops_lab.doctor import gpu, interpreter, network, records, startup, variables
from mlops_lab.doctor.subject import Check, Subject, tell
from mlops_lab.environment import Environment
from mlops_lab.errors import LabError
from mlops_lab.findings import SEVERITIES, Finding, Findings
from mlops_lab.runner import Runner

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "CHECKS",
    "Check",
    "Finding",
    "Subject",
    "examine",
    "fitting",
    "found_in",
    "is_environment",
    "of_prefix",
    "subject_of",
]

PATIENCE = 20.0
"""Seconds that an interpreter has to start; one on a cold network file system needs several."""

CHECKS: tuple[Check, ...] = (
    Check("interpreter", "the interpreter starts, and is the one that is meant", interpreter.find),
    Check("records", "every record can be read, and speaks of its package", records.unreadable),
    Check("missing", "every recorded file is there", records.missing),
    Check("altered", "every recorded file is as it was installed", records.changed),
    Check("duplicates", "no package is recorded twice", records.doubled),
    Check("leftovers", "no leftovers of an interrupted installation", records.leftover),
    Check("lost", "no code without a record, no record that is lost", records.lost),
    Check("overwritten", "no package has written over another one", records.overwritten),
    Check("startup", "nothing unrecorded runs or is imported at every start", startup.find),
    Check("variables", "no variables that lead an import or a tool astray", variables.find),
    Check("certificates", "certificates are there, and the same for every tool", network.certificates),
    Check("proxies", "proxies are the same for every tool", network.proxies),
    Check("gpu", "the GPU's driver is new enough for what is installed", gpu.find),
)
"""What is examined, and the function that does it; a new check is a row."""


def subject_of(environment: Environment, environ: Mapping[str, str]) -> Subject:
    """An environment to examine, its interpreter started for real."""
    runner = Runner(None, environ)
    runner.patience = PATIENCE
    # Not in the environment's folder, which may not be one, nor in the user's, which may be gone.
    return Subject(environment, environ, partial(runner.ask, cwd=environment.prefix.parent))


def examine(subject: Subject, checks: Iterable[Check] = CHECKS) -> list[tuple[Check, list[Finding]]]:
    """Every check with what it found; what stops a check is a finding too."""
    return [(check, _guarded(check, subject)) for check in checks]


def _guarded(check: Check, subject: Subject) -> list[Finding]:
    found: list[Finding] = []
    try:
        found.extend(check.find(subject))
    except LabError as error:
        found.append(tell("unexamined", error.message, otherwise=error.hint))
    except Exception as error:  # noqa: BLE001 - what an environment holds may be anything, and is nobody's traceback
        why = f"not examined: {type(error).__name__}: {error}"
        otherwise = "make the files readable, or make the environment anew: `invoke setup --force`"
        found.append(tell("unexamined", why, otherwise=otherwise))
    return found


def found_in(subject: Subject, examined: Sequence[tuple[Check, list[Finding]]], seconds: float) -> Findings:
    """What the checks found, for every report: the gravest first."""
    # What keeps several checks from their work is told once.
    findings = dict.fromkeys(finding for _, each in examined for finding in each)
    there = []
    with contextlib.suppress(OSError):  # of which the checks have told
        there = subject.distributions
    return Findings(
        "doctor",
        str(subject.prefix),
        sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)),
        {
            "Python": subject.version or "unknown",
            "packages": str(len(there)),
            "recorded files": str(sum(len(each.files) for each in there)),
            "checks": str(len(examined)),
        },
        seconds=seconds,
        facts={"checks": {check.name: len(each) for check, each in examined}},
    )


def is_environment(prefix: Path) -> bool:
    """Whether a folder says that it is an environment, however broken."""
    return (prefix / conda_meta.FOLDER).is_dir() or (prefix / "pyvenv.cfg").exists()


def of_prefix(prefix: Path, environ: Mapping[str, str]) -> tuple[list[tuple[Check, list[Finding]]], Findings]:
    """Examine an environment on its own, whoever made it: each check with what it found, and all of it together.

    Raises:
        LabError: There is no environment, or it cannot be looked at (code 2).
    """
    started = time.monotonic()
    # Not `Path.absolute`, which leaves `..` as it is: what is recorded is compared as text.
    prefix = Path(os.path.abspath(prefix))  # noqa: PTH100
    try:
        there = is_environment(prefix)
    except OSError as error:
        raise LabError(f"{prefix} cannot be looked at: {error.strerror}", "make the folder readable") from error
    if not there:
        raise LabError(f"{prefix} is not an environment", "make it with `invoke setup`")
    subject = subject_of(Environment(prefix, conda=(prefix / conda_meta.FOLDER).is_dir()), environ)
    examined = [(check, [fitting(subject, each) for each in found]) for check, found in examine(subject)]
    return examined, found_in(subject, examined, time.monotonic() - started)


def fitting(subject: Subject, finding: Finding) -> Finding:
    """A finding whose command fits the environment: our recipes would put another one in the place of somebody's."""
    if subject.is_ours or not finding.command.startswith("invoke "):
        return finding
    otherwise = finding.otherwise or "put it right with what made the environment"
    return dataclasses.replace(finding, command="", mend="", otherwise=otherwise)
