"""A plugin for conda: `conda doctor` shows our checks where mlops-lab is installed beside conda.

Conda loads this module at every start. So it imports next to nothing, and nothing that fails here is conda's trouble:
without conda, or with one that has no health checks, the hook yields nothing; a check that fails says so in a line.
Source: https://docs.conda.io/projects/conda/en/stable/dev-guide/plugins/health_checks.html
"""

from __future__ import annotations

import contextlib
from functools import cache, partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlops_lab.doctor import Subject

__all__ = ["CHECKS", "conda_health_checks"]

CHECKS = {
    "interpreter": "Detect an interpreter that does not start or is another one",
    "records": "Detect unreadable records of Python packages",
    "missing": "Detect missing files of what pip, Poetry or uv installed",
    "altered": "Detect altered files of what pip, Poetry or uv installed",
    "duplicates": "Detect Python packages that are recorded twice",
    "leftovers": "Detect leftovers of an interrupted pip",
    "lost": "Detect code without a record, and lost records",
    "overwritten": "Detect packages of conda that another installer wrote over",
    "startup": "Detect what runs or is imported at every start",
    "variables": "Detect variables that lead tools astray",
    "certificates": "Detect certificates that are missing or disagree",
    "proxies": "Detect proxies that disagree",
    "gpu": "Detect a GPU driver that is too old",
}
"""The doctor's checks by name, with a summary for `conda doctor --list`; here, since to import them takes its time."""


def _optional(function: Callable[[], Iterator[Any]]) -> Callable[[], Iterator[Any]]:
    """The function as a hook of conda's; as it is where there is no conda."""
    try:
        from conda.plugins import hookimpl
    except Exception:  # noqa: BLE001 - whatever is wrong with conda, it is not for this import to say
        return function
    hook: Callable[[], Iterator[Any]] = hookimpl(function)
    return hook


@_optional
def conda_health_checks() -> Iterator[Any]:
    """Each check of ours as one of conda's, under the name `mlops-lab-…`."""
    try:
        from conda.plugins.types import CondaHealthCheck
    except Exception:  # noqa: BLE001 - a conda before 23.5 has none
        return
    for name, summary in CHECKS.items():
        yield _made(CondaHealthCheck, f"mlops-lab-{name}", partial(_show, name), summary)


def _made(kind: Any, name: str, action: Callable[[str, bool], None], summary: str) -> Any:  # noqa: ANN401 - conda's
    """A health check; a conda before 26.5 knows no summary."""
    with contextlib.suppress(TypeError):
        return kind(name=name, action=action, summary=summary)
    return kind(name=name, action=action)


def _show(name: str, prefix: str, verbose: bool) -> None:  # noqa: FBT001 - conda's own words
    """Run a check and print what it found in the form of conda's doctor."""
    try:
        lines = list(_lines(name, prefix, verbose=verbose))
    except Exception as error:  # noqa: BLE001 - conda's doctor goes on with the next check
        lines = [f"❌ mlops-lab could not examine `{name}`: {type(error).__name__}: {error}"]
    print("\n".join([*lines, ""]))  # noqa: T201 - as conda's own checks do


def _lines(name: str, prefix: str, *, verbose: bool) -> Iterator[str]:
    from mlops_lab import doctor

    subject = _subject(prefix)
    check = next(check for check in doctor.CHECKS if check.name == name)
    ((_, findings),) = doctor.examine(subject, [check])
    grave = [finding for finding in findings if finding.severity != "note"]
    yield f"❌ Not so: {check.title}.\n" if grave else f"✅ {check.title[0].upper()}{check.title[1:]}."
    for finding in findings if verbose else grave:
        yield finding.why
        if command := doctor.fitting(subject, finding).command:
            yield f"  {command}"


@cache
def _subject(prefix: str) -> Subject:
    """The environment, whose records are read once for all checks."""
    import os
    from pathlib import Path

    from mlops_lab import conda_meta, doctor
    from mlops_lab.environment import Environment

    conda = Path(prefix, conda_meta.FOLDER).is_dir()
    return doctor.subject_of(Environment(Path(prefix), conda=conda), os.environ)
