"""On which line of a lock a package, its version and its edges stand, without looking at every line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mlops_lab.manifests.pyproject import LARGE, read_text, read_toml
from mlops_lab.manifests.toml_places import Lines, places

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["LockLines", "Section", "tables"]


# One file of a package, as Poetry and uv write it, that is not the first of its list.
_FILE = re.compile(
    r'(?<=,)\n    \{ ?(?:file|url) = "[^"\\\n]*", hash = "[^"\\\n]*"'
    r'(?:, size = \d+)?(?:, upload-time = "[^"\\\n]*")? ?\},'
)


def _places_of(head: str, text: str) -> list[int]:
    """Where the lines start that start with this text."""
    found = [0] if text.startswith(head[1:]) else []
    place = text.find(head)
    while place >= 0:
        found.append(place + 1)
        place = text.find(head, place + 1)
    return found


def tables(path: Path) -> tuple[dict[str, Any], str]:
    """The tables of a lock with one file of each package, and its text.

    Nine tenths of a lock are hashes, of which nothing here needs more than that there are some; without them it is read
    in a third of the time.

    Raises:
        LabError: It cannot be read, or is not TOML, with line and column.
    """
    text = read_text(path)
    if len(text) >= LARGE:
        import tomli

        try:
            return tomli.loads(_FILE.sub("\n", text)), text
        except (ValueError, RecursionError):
            pass  # It is read in full, for the words and the place of the refusal.
    return read_toml(path)


class Section:
    """One entry of a lock in its text.

    Args:
        lines: The lines of the whole text.
        text: The whole text.
        start: Where the entry starts.
        end: Where the next one starts.
    """

    __slots__ = ("_at", "_end", "_lines", "_start", "_text")

    def __init__(self, lines: Lines, text: str, start: int, end: int) -> None:
        self._lines, self._text, self._start, self._end = lines, text, start, end
        self._at = start

    def line(self) -> int:
        """Where the entry starts."""
        return self._lines.at(self._start)

    def of(self, key: str) -> int:
        """The line of one of its own keys; where the entry starts, when it is written in an unusual way."""
        place = self._text.find(f"\n{key} = ", self._start, self._end)
        return self.line() if place < 0 else self._lines.at(place) + 1

    def turn_to(self, *heads: str) -> None:
        """Go on behind the first of these texts; from the entry's start where none is there."""
        found = (self._text.find(head, self._start, self._end) for head in heads)
        self._at = next((place for place in found if place >= 0), self._start)

    def next(self, *texts: str) -> int:
        """The line of the next of these texts that is there; the line reached so far, when none is."""
        for text in texts:
            place = self._text.find(text, self._at, self._end)
            if place >= 0:
                self._at = place + len(text)
                return self._lines.at(place + text.startswith("\n"))
        return self._lines.at(self._at)


class LockLines:
    """The entries of a lock in its text, which is TOML and names each of them as `[[package]]`.

    Args:
        text: The text; empty: everything stands on line 1.
        count: How many entries there are.
        name: What they are called there.
    """

    def __init__(self, text: str, count: int, name: str = "package") -> None:
        self._lines = Lines(text)
        self._text = text
        starts: Sequence[int] = _places_of(f"\n[[{name}]]", text)
        if len(starts) != count:
            # Spaces, an array in one line, or such a text inside of another one: looked up exactly, which takes long.
            exact = places(text)
            breaks = [0, *(found.end() for found in re.finditer("\n", text))]
            starts = [breaks[exact.get((name, number), 1) - 1] for number in range(count)]
        self._starts = [*starts, len(text)]

    def section(self, number: int) -> Section:
        """One entry."""
        return Section(self._lines, self._text, self._starts[number], self._starts[number + 1])

    def line_of(self, key: str) -> int:
        """The line of `key = ` outside of the entries, as far as it is easy to tell; else 1."""
        for head in (f"\n{key} = ", f"\n{key}=", f"\n[{key}]"):
            place = self._text.rfind(head)
            if place >= 0:
                return self._lines.at(place) + 1
        return 1
