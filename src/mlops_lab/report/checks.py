"""The checks of an environment as lines: what is well has a tick, and what was found stands below its check."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_lab.findings import SEVERITIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlops_lab.doctor import Check
    from mlops_lab.findings import Finding

__all__ = ["as_lines"]

_MARKS = {"error": "✗", "warning": "!", "note": "✓"}


def as_lines(examined: Sequence[tuple[Check, Sequence[Finding]]]) -> str:
    """Each check with a tick, a cross or an exclamation mark, and what it found below it."""
    lines = []
    for check, findings in examined:
        worst = min((finding.severity for finding in findings), key=SEVERITIES.index, default="note")
        lines.append(f"{_MARKS[worst]} {check.title}")
        lines += [f"    {_line(finding)}" for finding in findings]
    return "".join(f"{line}\n" for line in lines)


def _line(finding: Finding) -> str:
    return ": ".join(part for part in (finding.why, finding.command or finding.otherwise) if part)
