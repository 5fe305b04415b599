"""How a command ended: the summary of a setup, an error with the next thing to try."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

from mlops_lab.report.spoken import as_typed
from mlops_lab.runner import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mlops_lab.behind import Finding
    from mlops_lab.choices import Standing
    from mlops_lab.errors import LabError
    from mlops_lab.guide import Row
    from mlops_lab.publish import Built, Published
    from mlops_lab.recipe import Outcome

__all__ = [
    "as_json",
    "behind",
    "error_as_json",
    "error_text",
    "guide_as_json",
    "hybrids_as_json",
    "locks_in_step",
    "published",
    "summary",
    "tools_as_json",
]


_HEALTH = "manifest and lock agree, every file is as it was recorded, every requirement is met"
"""What has been checked when a setup comes to its end; it does not, when a check finds something."""


def summary(outcome: Outcome, activate: str) -> str:
    """The end of a setup, for people.

    Args:
        outcome: What the setup did.
        activate: How the user's shell activates the environment.
    """
    took = f"{outcome.seconds:.1f} s" if outcome.because else f"{outcome.seconds * 1000:.0f} ms"
    did = "ready" if outcome.because else "nothing to do: the environment is as the last setup left it"
    replaced = (("replaced", f"of conda's own packages: {', '.join(outcome.replaced)}"),)
    rows = (
        ("hybrid", f"{outcome.hybrid} ({outcome.reason})"),
        *((("conda", outcome.engine),) if outcome.engine else ()),
        ("python", outcome.python),
        ("prefix", outcome.prefix),
        ("groups", ", ".join(("main", *outcome.groups))),
        ("packages", f"{len(outcome.packages)} installed"),
        *(replaced if outcome.replaced else ()),
        ("health", _HEALTH if outcome.because else "as at the last setup; no file has changed since"),
        ("time", took),
        ("activate", activate),
        ("next", "`invoke run -- python`, `invoke add NAME`, `invoke guide`"),
    )
    return as_typed("\n".join([did, *(f"  {name:<9} {value}" for name, value in rows)]))


def as_json(outcome: Outcome | Built) -> str:
    """What came of a command, for programs: one JSON object with the fields of `outcome`."""
    return json.dumps({**dataclasses.asdict(outcome), "ok": True}, indent=2)


def published(done: Published) -> str:
    """What was published, for people: a line for each file."""
    did = "published" if done.uploaded else "would publish"
    where = f"{done.repository} ({done.upload})" if done.upload else done.repository
    return "\n".join(f"{did}: {file} to {where}" for file in done.files)


def behind(findings: Iterable[Finding]) -> list[str]:
    """What is in the environment behind the files' back: a line each, with the command that mends it."""
    return [
        as_typed(f"{each.message}: `{each.command}`" + (f"; {each.otherwise}" if each.otherwise else ""))
        for each in findings
    ]


def locks_in_step(*, as_json: bool) -> str:
    """The end of a check of the locks that found nothing."""
    return json.dumps({"ok": True}) if as_json else "the locks are in step"


def error_as_json(error: LabError) -> str:
    """A failure, for programs: `ok` is false, then the message, the hint and the exit code."""
    found = {"ok": False, "error": as_typed(error.message), "hint": as_typed(error.hint), "code": error.code}
    if isinstance(error, CommandFailed):
        found |= {"tail": error.tail, "log": str(error.log) if error.log else None}
    return json.dumps(found, indent=2)


def guide_as_json(commands: Iterable[tuple[Row, Sequence[str]]]) -> str:
    """The guide here and now: a list of objects with `step`, `name`, `title`, `why` and `command` (an argv)."""
    rows = [
        {"step": row.step, "name": row.name, "title": row.title, "why": row.why, "command": list(command)}
        for row, command in commands
    ]
    return json.dumps(rows, indent=2, ensure_ascii=False)


def hybrids_as_json(standings: Iterable[Standing]) -> str:
    """The hybrids: a list of objects with `hybrid`, `runs`, `why_not` and `remedy`."""
    rows = [
        {"hybrid": each.hybrid.name, "runs": not each.why_not, "why_not": each.why_not, "remedy": each.remedy}
        for each in standings
    ]
    return json.dumps(rows, indent=2)


def tools_as_json(found: Mapping[str, tuple[str, str]]) -> str:
    """The tools: an object of name → `version` and `origin`, both empty where the tool is not here."""
    return json.dumps(
        {name: {"version": version, "origin": origin} for name, (version, origin) in found.items()}, indent=2
    )


def error_text(error: LabError) -> str:
    """A failure for people: what failed, a tool's last lines and log, the next thing to try."""
    if not isinstance(error, CommandFailed):
        return as_typed(f"error: {error}")
    lines = [f"error: {error.message}", *(f"  | {line}" for line in error.tail)]
    if error.log:
        lines.append(f"  log: {error.log}")
    if error.hint:
        lines.append(f"  try: {as_typed(error.hint)}")
    return "\n".join(lines)
