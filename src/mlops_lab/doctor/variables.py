"""Variables of the shell that send a tool's work, or an import, somewhere else."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from mlops_lab.doctor.subject import tell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlops_lab.doctor.subject import Subject
    from mlops_lab.findings import Finding, Severity

__all__ = ["VARIABLES", "find"]


class Variable(NamedTuple):
    """A variable that bites.

    Attributes:
        name: Its name.
        bites: Whether it does here.
        why: What it does.
        severity: How much it matters.
        command: What mends it; `unset NAME` where it is empty.
    """

    name: str
    bites: Callable[[Subject, str], bool]
    why: str
    severity: Severity = "warning"
    command: str = ""


def _set(_subject: Subject, _value: str) -> bool:
    return True


def _on(_subject: Subject, value: str) -> bool:
    return value.lower() not in {"0", "no", "false", "off", "n", "f"}


def _off(subject: Subject, value: str) -> bool:
    return not _on(subject, value) and not subject.environ.get("VIRTUAL_ENV")


def _elsewhere(subject: Subject, value: str) -> bool:
    return os.path.realpath(value) != os.path.realpath(subject.prefix)


def _outer(subject: Subject, value: str) -> bool:
    # Where our tools are installed is active in the shell of whoever starts us there, and no tool of ours works on it.
    return _elsewhere(subject, value) and os.path.realpath(value) != os.path.realpath(sys.prefix)


def _outer_conda(subject: Subject, value: str) -> bool:
    # The base environment is active in most shells of most people, and every tool of ours is told where to work.
    return subject.environ.get("CONDA_DEFAULT_ENV") != "base" and _outer(subject, value)


def _base_beside_venv(subject: Subject, value: str) -> bool:
    return value == "base" and bool(subject.environ.get("VIRTUAL_ENV"))


def _conda_on(subject: Subject, value: str) -> bool:
    return subject.environment.conda and _on(subject, value)


VARIABLES: tuple[Variable, ...] = (
    Variable("PYTHONPATH", _set, "other packages come before the environment's own", "error"),
    Variable("PYTHONHOME", _set, "other packages come before the environment's own", "error"),
    Variable("PIP_USER", _on, "pip installs into the user's own folder"),
    Variable("PIP_TARGET", _set, "pip installs into another folder"),
    Variable("PIP_PREFIX", _set, "pip installs into another folder"),
    Variable("PIP_ROOT", _set, "pip installs into another folder"),
    Variable("PIP_PYTHON", _elsewhere, "pip works on another interpreter"),
    Variable("PIP_REQUIRE_VIRTUALENV", _conda_on, "pip refuses to work in an environment of conda's"),
    Variable(
        "CONDA_DEFAULT_ENV",
        _base_beside_venv,
        "Poetry ignores the venv where conda's base is active",
        command="conda deactivate",
    ),
    Variable("VIRTUAL_ENV", _outer, "another venv is active", command="deactivate"),
    Variable("CONDA_PREFIX", _outer_conda, "another environment of conda's is active", command="conda deactivate"),
    Variable("UV_PROJECT_ENVIRONMENT", _elsewhere, "`uv sync` works on another environment"),
    Variable("UV_SYSTEM_PYTHON", _on, "`uv pip` works on the system's Python"),
    Variable("POETRY_VIRTUALENVS_CREATE", _off, "without an active environment Poetry installs where it runs itself"),
)
"""A new variable is a row; why each bites is in the words of the tools' own documentation."""


def find(subject: Subject) -> Iterator[Finding]:
    """The variables that bite here."""
    for row in VARIABLES:
        value = subject.environ.get(row.name, "")
        if value and row.bites(subject, value):
            yield tell(
                "variable",
                f"{row.name} is set: {row.why}",
                row.command or f"unset {row.name}",
                sides=[(row.name, value)],
                severity=row.severity,
            )
