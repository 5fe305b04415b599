"""A comparison of environments: the verdict, each pair, and the packages that are not the same everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_lab.parity import CLASSES, VERDICTS
from mlops_lab.parity.telling import few
from mlops_lab.report import findings
from mlops_lab.report.markdown import escaped, table

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
_MANY = 6
"""Up to so many environments, one of each hybrid, every pair and every column is shown."""
_LABELS = 3
_NOWHERE = "none"


def lines(comparison: Comparison) -> list[str]:
    """What can be said without a table: the verdict, the pairs that are otherwise, and the classes."""
    count, verdict = len(comparison.inventories), comparison.verdict
    found = [f"{verdict}: {count} environments, {len(comparison.packages)} packages; {_MEANING[verdict]}"]
    if len({pair.verdict for pair in comparison.pairs}) > 1:
        found += _pairs(comparison)
    for grouped, meaning in CLASSES.items():
        names = [name for name, each in comparison.classes.items() if each == grouped]
        if names:
            found.append(f"  {', '.join(few(names, _FEW))}: {meaning}")
    return found


def _pairs(comparison: Comparison) -> list[str]:
    """Each pair with its verdict; of many, how many there are of each, and the first of those that diverge."""
    pairs = comparison.pairs
    if len(comparison.inventories) <= _MANY:
        return [f"  {pair.verdict:<10} {pair.first} and {pair.second}" for pair in pairs]
    counts = {verdict: sum(pair.verdict == verdict for pair in pairs) for verdict in VERDICTS}
    divergent = [f"{pair.first} and {pair.second}" for pair in pairs if pair.verdict == VERDICTS[-1]]
    said = [f"  {verdict:<10} {count} of {len(pairs)} pairs" for verdict, count in counts.items() if count]
    return [*said, *(f"  {VERDICTS[-1]:<10} {names}" for names in few(divergent, _FEW))]


def _table(comparison: Comparison) -> list[list[str]]:
    """The packages that are not the same everywhere, below the names of the environments.

    Of many environments, those that have the same ones stand in one column.
    """
    rows = _rows(comparison)
    columns = [[label, *(row[number] for row in rows)] for number, label in enumerate(comparison.inventories, 1)]
    if len(columns) > _MANY:
        alike: dict[tuple[str, ...], list[str]] = {}
        for label, *cells in columns:
            alike.setdefault(tuple(cells), []).append(label)
        columns = [[", ".join(few(labels, _LABELS)), *cells] for cells, labels in alike.items()]
    return [list(row) for row in zip(["package", *(row[0] for row in rows)], *columns, strict=True)] if rows else []


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
    if told := _table(comparison):
        headings, *rows = told
        columns = Table(box=box.SIMPLE_HEAD)
        for heading in headings:
            columns.add_column(Text(heading), overflow="fold")
        for row in rows:
            columns.add_row(*map(Text, row))
        parts.append(columns)
    return Group(*parts)


def markdown(comparison: Comparison) -> str:
    """The same in GitHub's Markdown."""
    said = (escaped(line.strip()) for line in lines(comparison))
    found = [f"**{comparison.verdict}**", "", *(f"- {line}" for line in said), ""]
    if told := _table(comparison):
        headings, *rows = ([escaped(text) for text in row] for row in told)
        found += [*table(headings, rows), ""]
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
