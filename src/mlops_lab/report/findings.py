"""What a check found: a page for people, JSON for programs, Markdown for pull requests, annotations for GitHub.

Nothing is imported for a form that is not asked for: a check that found nothing answers at once.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mlops_lab.errors import redact
from mlops_lab.findings import SEVERITIES
from mlops_lab.report.markdown import code, escaped, table
from mlops_lab.report.spoken import as_typed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import TextIO

    from rich.console import RenderableType
    from rich.text import Text

    from mlops_lab.findings import Finding, Findings, Source

__all__ = [
    "SCHEMA",
    "Form",
    "as_json",
    "headline",
    "markdown",
    "page",
    "schema",
    "tell",
    "workflow_commands",
]

Form = Literal["text", "json", "markdown"]
SCHEMA = "mlops-lab/findings/1"
"""The name and version of the JSON form; a field that changes its meaning, or goes, makes it another version."""

_MARKS = {"error": "✗", "warning": "!", "note": "·"}
_STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}
_LEVELS = {"error": "error", "warning": "warning", "note": "notice"}
_FEW = 3
_MANY = 12
# https://docs.github.com/actions/reference/workflow-commands-for-github-actions#step-isolation-and-limits
_SUMMARY_LIMIT = 1024 * 1024 - 1024


def tell(
    found: Findings, form: Form = "text", *, environ: Mapping[str, str], out: TextIO, notes: TextIO, details: str = ""
) -> None:
    """Show what was found; on GitHub, also beside the lines that it is about and in the job's summary.

    Args:
        found: What was found.
        form: What standard output gets.
        environ: The user's variables, which say whether this is GitHub.
        out: Standard output: the form that was asked for, alone.
        notes: Standard error, where annotations go.
        details: Markdown for the job's summary, below the findings.
    """
    if form == "json":
        out.write(as_json(found) + "\n")
    elif form == "markdown":
        out.write(markdown(found))
    elif found.findings:
        from mlops_lab.report.pages import show_page

        show_page(page(found))
    else:
        out.write("\n".join([headline(found), *_ends(found)]) + "\n")
    if environ.get("GITHUB_ACTIONS") == "true":
        notes.write("".join(f"{line}\n" for line in workflow_commands(found, environ.get("GITHUB_WORKSPACE", ""))))
    if summary := environ.get("GITHUB_STEP_SUMMARY"):
        text = markdown(found) + details
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(text if len(text.encode()) < _SUMMARY_LIMIT else markdown(found, few=_FEW))


def _plain(text: str) -> str:
    """A text of a file without credentials, and without characters that would work on a terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in redact(text))


def _counts(findings: Sequence[Finding]) -> str:
    """The kinds, in the order of the findings, and how many there are of each: `conflict (2), stale`."""
    counted = dict.fromkeys((finding.kind for finding in findings), 0)
    for finding in findings:
        counted[finding.kind] += 1
    return ", ".join(f"{kind} ({count})" if count > 1 else kind for kind, count in counted.items())


def headline(found: Findings) -> str:
    """The result in a line."""
    count = len(found.findings)
    many = f"{count} findings" if count > 1 else "1 finding" if count else "nothing found"
    kinds = f": {_counts(found.findings)}" if count else ""
    return f"{found.check}: {many} in {_plain(found.subject)}{kinds}"


def _examined(found: Findings) -> str:
    said = [f"{name} ({what})" if what else name for name, what in found.examined.items()]
    return ", ".join([*said[:_MANY], *([f"{len(said) - _MANY} more"] if len(said) > _MANY else [])])


def _ends(found: Findings) -> list[str]:
    """The lines below the findings: what was mended, what was examined, what to type next."""
    lines = [f"mended: {_plain(as_typed(each))}" for each in found.mended]
    lines.append(f"examined in {found.seconds:.2f} s: {_plain(_examined(found)) or 'nothing, since nothing is there'}")
    if any(finding.mend for finding in found.findings):
        count = sum(bool(finding.mend) for finding in found.findings)
        lines.append(as_typed(f"next: `invoke {found.check} --fix` mends {count} of {len(found.findings)}"))
    return lines


# --- people --------------------------------------------------------------------------------------------------------


def page(found: Findings) -> RenderableType:
    """Each finding with its sides, why, and the command that mends it."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [Text(headline(found), style="bold"), Text()]
    for finding in found.findings:
        parts += [*_finding(finding), Text()]
    return Group(*parts, *(Text(line, overflow="fold") for line in _ends(found)))


def _finding(finding: Finding) -> Iterator[Text]:
    from rich.text import Text

    style = _STYLES[finding.severity]
    title = Text.assemble((f"{_MARKS[finding.severity]} {finding.kind:<10} ", style), overflow="fold")
    if finding.package:
        title.append(f"{_plain(finding.package)}  ", style="bold cyan")
    title.append(_plain(as_typed(finding.why)))
    yield title
    width = max((len(_place(source)) for source in finding.sources), default=0)
    for source in finding.sources:
        yield Text.assemble("    ", (f"{_place(source):<{width}}", "cyan"), "  ", _plain(source.said), overflow="fold")
    if finding.where:
        yield Text(f"    on {', '.join(finding.where)}", style="dim", overflow="fold")
    if finding.command:
        yield Text.assemble("    → ", (as_typed(finding.command), "green"), overflow="fold")
    if finding.otherwise:
        lead = "    or: " if finding.command else "    → "
        yield Text(lead + _plain(as_typed(finding.otherwise)), overflow="fold")


def _place(source: Source) -> str:
    return _plain(f"{source.path}:{source.line}" if source.line else source.path)


# --- programs ------------------------------------------------------------------------------------------------------


def as_json(found: Findings) -> str:
    """One JSON object, as `schema()` describes it."""
    summary = {each: sum(finding.severity == each for finding in found.findings) for each in SEVERITIES}
    content = {
        "schema": SCHEMA,
        "check": found.check,
        "subject": found.subject,
        "ok": not found.errors,
        "summary": summary,
        "findings": [_as_object(finding) for finding in found.findings],
        "examined": dict(found.examined),
        "mended": [as_typed(each) for each in found.mended],
        "seconds": round(found.seconds, 3),
        "facts": dict(found.facts),
    }
    # An address ends where its text does: credentials can be told from the whole as well as from each part.
    return redact(json.dumps(content, indent=2, ensure_ascii=False))


def _as_object(finding: Finding) -> dict[str, Any]:
    spoken = {name: as_typed(getattr(finding, name)) for name in ("why", "command", "otherwise")}
    return {**asdict(finding), **spoken}


def schema() -> dict[str, Any]:
    """The JSON Schema of `as_json`, as it is documented."""
    found: dict[str, Any] = json.loads(Path(__file__).with_name("findings.schema.json").read_text(encoding="utf-8"))
    return found


# --- pull requests -------------------------------------------------------------------------------------------------


def markdown(found: Findings, few: int = 0) -> str:
    """A table for each severity, in GitHub's Markdown.

    Args:
        found: What was found.
        few: How many findings are shown of each severity; 0 stands for all.
    """
    mark = "❌" if found.errors else "✅"
    lines = [f"### {mark} {escaped(headline(found))}", ""]
    ordered = sorted(found.findings, key=lambda finding: SEVERITIES.index(finding.severity))
    for severity, group in groupby(ordered, key=lambda finding: finding.severity):
        findings = list(group)
        shown = findings[: few or None]
        more = [("…", "", "", f"{len(findings) - len(shown)} more", "")] if len(findings) > len(shown) else []
        rows = [*map(_row, shown), *more]
        lines += [*table((severity, "package", "where", "why", "what mends it"), rows), ""]
    return "\n".join([*lines, *(f"{escaped(line)}  " for line in _ends(found))]) + "\n"


def _row(finding: Finding) -> tuple[str, ...]:
    sides = "<br>".join(f"{code(_place(source))} {escaped(_plain(source.said))}" for source in finding.sources)
    why = escaped(_plain(as_typed(finding.why))) + (f" ({escaped(', '.join(finding.where))})" if finding.where else "")
    mends = "<br>".join(
        part
        for part in (
            code(as_typed(finding.command)) if finding.command else "",
            escaped(_plain(as_typed(finding.otherwise))),
        )
        if part
    )
    package = code(_plain(finding.package)) if finding.package else ""
    return finding.kind, package, sides, why, mends


# --- GitHub --------------------------------------------------------------------------------------------------------


def workflow_commands(found: Findings, workspace: str = "") -> Iterator[str]:
    """The commands that put each finding beside its line.

    Source: https://docs.github.com/actions/reference/workflow-commands-for-github-actions#setting-an-error-message

    Args:
        found: What was found.
        workspace: The folder of the checkout, from which GitHub counts paths; empty: the subject is that folder.
    """
    for finding in found.findings:
        yield _annotation(finding, Path(found.subject), workspace)


def _annotation(finding: Finding, subject: Path, workspace: str) -> str:
    properties = {"title": " ".join(part for part in (finding.kind, finding.package) if part)}
    if placed := next((source for source in reversed(finding.sources) if source.line), None):
        path = subject / placed.path
        inside = workspace and path.is_relative_to(workspace)
        properties["file"] = Path(os.path.relpath(path, workspace)).as_posix() if inside else placed.path
        properties["line"] = str(placed.line)
    mends = f"; {as_typed(finding.command)}" if finding.command else ""
    message = _command_text(_plain(as_typed(finding.why) + mends))
    listed = ",".join(f"{name}={_property(value)}" for name, value in sorted(properties.items()))
    return f"::{_LEVELS[finding.severity]} {listed}::{message}"


def _command_text(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _command_text(_plain(text)).replace(":", "%3A").replace(",", "%2C")
