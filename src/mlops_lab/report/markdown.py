"""Pieces of Markdown: tables, blocks of code, and words that are to be read as they stand."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["code", "code_block", "escaped", "prose", "table"]

_CODE = re.compile(r"(`[^`]+`)")
# A cell ends at every bar that is not escaped, also within code.
_BAR = re.compile(r"(?<!\\)\|")


def escaped(text: str) -> str:
    """A text that Markdown shows as it is: a package's name can hold no markup, what a broken file says can."""
    for char in "\\|*_<>[]#":
        text = text.replace(char, f"\\{char}")
    return text


def prose(text: str) -> str:
    """A text of ours, whose code stands in backticks; nothing else in it is markup."""
    return "".join(part if _CODE.fullmatch(part) else escaped(part) for part in _CODE.split(text))


def code(text: str) -> str:
    """A piece of code in a line; a backtick would end it."""
    quoted = text.replace("`", "'")
    return f"`{quoted}`"


def code_block(text: str, language: str = "bash") -> list[str]:
    """A block of code, without a prompt, so that it can be copied."""
    return [f"```{language}", *text.splitlines(), "```"]


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table; what is in the cells is Markdown already."""
    lines = [headings, ["---"] * len(headings), *rows]
    return [f"| {' | '.join(_cell(text) for text in line)} |" for line in lines]


def _cell(text: str) -> str:
    return _BAR.sub(r"\\|", text)
