"""`doctor`: conda's own health checks by name, and those that only this engine needs.

Source: https://docs.conda.io/projects/conda/en/stable/commands/doctor.html
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from mlops_lab.conda import history, marker, plan, prefixes, records
from mlops_lab.environment import Environment
from mlops_lab.errors import LabError
from mlops_lab.runner import CommandFailed, Runner

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Check", "examine", "show"]


class Check(NamedTuple):
    """A health check and what it found.

    Attributes:
        name: As conda calls it, where conda has it.
        healthy: What is said when nothing was found.
        ill: What is said when something was.
        found: What was found, a line each.
        counts: Whether a finding makes the environment ill.
    """

    name: str
    healthy: str
    ill: str
    found: list[str]
    counts: bool = True


def examine(prefix: Path) -> list[Check]:
    """Run every check; all files are read.

    Raises:
        LabError: There is no environment (code 2).
    """
    if not prefixes.exists(prefix):
        raise LabError(f"{prefix} is no conda environment", "`env list` shows what there is")
    found, broken = records.read(prefix)
    findings = records.inspect(prefix, found, {}, thorough=True)
    replaced = [f"{name}: now {other}" for name, other in sorted(findings.replaced.items())]
    return [
        Check("missing-files", "no files are missing", "files are missing", _files(findings.missing)),
        Check("altered-files", "no files are altered", "files are altered", _files(findings.altered)),
        Check("environment-txt", "listed in environments.txt", "not listed in environments.txt", _registration(prefix)),
        Check("consistency", "every dependency is installed", "dependencies are missing", _dependencies(found)),
        Check("records", "every record can be read", "records cannot be read", [str(file) for file in broken]),
        Check("finished", "the last change was finished", "the last change was interrupted", _unfinished(prefix)),
        Check("python", "python runs", "python does not run", _python(prefix, found)),
        Check("replaced", "nothing is replaced", "replaced by pip, Poetry or uv", replaced, counts=False),
    ]


def show(prefix: Path, checks: Sequence[Check], *, verbose: bool = False) -> str:
    """The checks as lines with a tick or a cross."""
    lines = [f"environment health report for {prefix}"]
    for check in checks:
        mark = "✅" if not check.found else "❌" if check.counts else "ℹ️ "  # noqa: RUF001 - the sign, not a letter
        lines.append(f"{mark} {check.ill if check.found else check.healthy} ({check.name})")
        shown = check.found if verbose else check.found[:8]
        lines += [f"     {line}" for line in shown]
        lines += [
            f"     … and {len(check.found) - len(shown)} more: --verbose" if len(shown) < len(check.found) else ""
        ]
    return "\n".join(line for line in lines if line)


def _files(found: dict[str, list[str]]) -> list[str]:
    return [f"{name}: {file}" for name, files in sorted(found.items()) for file in files]


def _registration(prefix: Path) -> list[str]:
    for known in history.registered():
        if known == prefix or (known.exists() and known.samefile(prefix)):
            return []
    return [str(prefix)]


def _dependencies(found: Sequence[records.Record]) -> list[str]:
    names = {record.name for record in found}
    return [
        f"{record.name} needs {name}"
        for record in found
        for name in sorted(plan.names(record.data.get("depends") or ()))
        if name not in names and not name.startswith("__")
    ]


def _unfinished(prefix: Path) -> list[str]:
    known = marker.read(prefix)
    return [] if known is None or known.state == marker.COMPLETE else ["`env update` mends it"]


def _python(prefix: Path, found: Sequence[records.Record]) -> list[str]:
    if not any(record.name == "python" for record in found):
        return []
    python = Environment(prefix, conda=True).python
    try:
        Runner(None, os.environ).ask([str(python), "-I", "-c", "import sys, encodings, os, json"], prefix)
    except CommandFailed as error:
        return [error.message, *error.tail[-2:]]
    return []
