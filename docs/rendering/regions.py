"""Regions of a page that are rendered: `<!-- rendered: NAME -->` … `<!-- /rendered -->`, each a line of its own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

__all__ = ["Broken", "differing", "rendered"]

_MARK = re.compile(r"<!-- (?:rendered: (?P<name>[^\s]+)|(?P<end>/rendered)) -->")
# Meant as one, most likely: passed over, it would leave a region that nobody renders any more.
_ALMOST = re.compile(r"<!--\s*/?\s*rendered\b.*", re.IGNORECASE)


class Broken(Exception):
    """Markers of a page that say nothing that can be done; the text names page and line."""


def rendered(page: Path, text: str, parts: Mapping[str, Callable[[], str]]) -> str:
    """A page with every region as it is to be.

    Args:
        page: The page, for what is said of it.
        text: What stands in it.
        parts: Name of a region → what renders it.

    Raises:
        Broken: A region without an end, an end without a region, a name that nothing renders, or a slip in a marker.
    """
    out: list[str] = []
    for name, lines in _split(page, text, parts):
        out += [lines[0], "", *parts[name]().strip("\n").splitlines(), "", lines[-1]] if name else lines
    return "\n".join(out)


def differing(page: Path, text: str, fresh: str, parts: Mapping[str, Callable[[], str]]) -> list[str]:
    """The regions of a page that differ from those of the same page as it is to be.

    Raises:
        Broken: As above.
    """
    pairs = zip(_split(page, text, parts), _split(page, fresh, parts), strict=True)
    return [name for (name, lines), (_, others) in pairs if lines != others]


def _split(page: Path, text: str, parts: Mapping[str, Callable[[], str]]) -> Iterator[tuple[str, list[str]]]:
    """What is written by hand, without a name, and the regions with their markers, each as lines."""
    name, began, lines = "", 0, []
    for number, line in enumerate(text.split("\n"), 1):
        mark = _MARK.fullmatch(line.strip())
        if mark is None:
            if _ALMOST.fullmatch(line.strip()):
                raise Broken(f"{page}:{number}: write <!-- rendered: NAME --> or <!-- /rendered -->, on one line")
            lines.append(line)
        elif mark["end"]:
            if not name:
                raise Broken(f"{page}:{number}: a region ends here that has not begun")
            yield name, [*lines, line]
            name, lines = "", []
        else:
            if name:
                raise Broken(f"{page}:{began}: the region {name} has no end: write <!-- /rendered --> behind it")
            if mark["name"] not in parts:
                raise Broken(f"{page}:{number}: nothing renders {mark['name']}; one of: {', '.join(sorted(parts))}")
            yield "", lines
            name, began, lines = mark["name"], number, [line]
    if name:
        raise Broken(f"{page}:{began}: the region {name} has no end: write <!-- /rendered --> behind it")
    yield "", lines
