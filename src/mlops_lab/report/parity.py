"""A comparison of environments: the verdict, each pair, and the packages that are not the same everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_lab.parity import CLASSES
from mlops_lab.parity.telling import few
from mlops_lab.report import findings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

    from rich.console import RenderableType

    from mlops_lab.findings import Findings
    from mlops_lab.inventories import Package
    from mlops_lab.parity import Comparison
    from mlops_lab.report.findings import Form

__all__ = ["lines", "markdown", "page", "tell"]

_STYLES = {"identical": "bold green", "equivalent": "bold yellow", "divergent": "bold red"}
_MEANING = {
    "identical": "the same versions, and the same contents of all files",
    "equivalent": "the same versions, as far as the lock means them to be",
    "divergent": "not the same versions",
}
_FEW = 12
_NOWHERE = "none"


def lines(comparison: Comparison) -> list[str]:
    """What can be said without a table: the verdict, the pairs that are otherwise, and the classes."""
    count, verdict = len(comparison.inventories), comparison.verdict
    found = [f"{verdict}: {count} environments, {len(comparison.packages)} packages; {_MEANING[verdict]}"]
    if len({pair.verdict for pair in comparison.pairs}) > 1:
        found += [f"  {pair.verdict:<10} {pair.first} and {pair.second}" for pair in comparison.pairs]
    for grouped, meaning in CLASSES.items():
        names = [name for name, each in comparison.classes.items() if each == grouped]
        if names:
            found.append(f"  {', '.join(few(names, _FEW))}: {meaning}")
    return found


def _rows(comparison: Comparison) -> list[list[str]]:
    """The packages that count and are not the same everywhere: their version in each environment."""
    names = sorted(
        {
            each.package
            for pair in comparison.pairs
            for each in pair.differences
            if not each.grouped and each.cause != "unrecorded" and each.kind not in {"conda", "build"}
        }
    )
    divergent = set(comparison.divergent)
    there = comparison.inventories.values()
    return [[name, *(_cell(each.packages.get(name), name in divergent) for each in there)] for name in names]


def _cell(package: Package | None, divergent: bool) -> str:  # noqa: FBT001 - one of two forms
    if package is None:
        return _NOWHERE
    # Of the same version, the contents tell two apart.
    return package.version if divergent else f"{package.version} {package.content[:8]}"


def page(comparison: Comparison) -> RenderableType:
    """The verdict and the table, for people."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    first, *rest = lines(comparison)
    parts: list[RenderableType] = [Text(first, style=_STYLES[comparison.verdict], overflow="fold")]
    parts += [Text(line, style="dim", overflow="fold") for line in rest]
    if rows := _rows(comparison):
        table = Table(box=box.SIMPLE_HEAD)
        for heading in ("package", *comparison.inventories):
            table.add_column(Text(heading), overflow="fold")
        for row in rows:
            table.add_row(*map(Text, row))
        parts.append(table)
    return Group(*parts)


def markdown(comparison: Comparison) -> str:
    """The same in GitHub's Markdown."""
    said = (findings.escaped(line.strip()) for line in lines(comparison))
    found = [f"**{comparison.verdict}**", "", *(f"- {line}" for line in said), ""]
    if rows := _rows(comparison):
        heading = ["package", *comparison.inventories]
        table = [heading, ["---"] * len(heading), *rows]
        found += [f"| {' | '.join(map(findings.escaped, row))} |" for row in table]
        found.append("")
    return "\n".join(found) + "\n"


def tell(
    found: Findings,
    comparison: Comparison,
    form: Form = "text",
    *,
    environ: Mapping[str, str],
    out: TextIO,
    notes: TextIO,
) -> None:
    """Show a comparison and what was found in it; the arguments are those of `findings.tell`."""
    details = markdown(comparison)
    if form == "text":
        from mlops_lab.report.pages import show_page

        show_page(page(comparison))
    elif form == "markdown":
        out.write(details)
    findings.tell(found, form, environ=environ, out=out, notes=notes, details=details)
