"""A capture as a picture: equal text gives equal bytes."""

from __future__ import annotations

import difflib
import io
import re

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from rendering.terminal import COLUMNS, LINES

__all__ = ["RULES", "alike", "difference", "drawn", "normalised"]

# A picture of a site that works offline asks no other host for a font.
_FORMAT = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL).replace(
    "Fira Code, monospace", "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
)

RULES: dict[str, tuple[re.Pattern[str], str]] = {
    "times": (re.compile(r" *\b\d+(\.\d+)? m?s\b|(?<=successful) in [^.]+"), " TIME"),
    "pythons": (re.compile(r"(?<![\d.])3\.\d\d(\.\d+)?\b"), "PYTHON"),
    # A venv begins with other build tools on another Python.
    "seeds": (re.compile(r"\b\d+ installed\b|(?<=packages \()\d+|(?<=files \()\d+|\b\d+ packages\b"), "MANY"),
    "seed names": (re.compile(r"pip(, setuptools)?(?=: build tools)"), "SEEDS"),
    "platforms": (re.compile(r"\b(linux|darwin|win32) [\w-]+"), "PLATFORM"),
}
"""What differs from run to run and from machine to machine, and is no reason to take a capture anew."""


def drawn(name: str, title: str, text: str) -> str:
    """A text with colours as SVG.

    Args:
        name: A word of its own, for what the picture's parts are called.
        title: What stands in the window's frame.
        text: The lines, with the terminal's own sequences for colours.
    """
    # All said, else the variables of whoever draws it would have their word: NO_COLOR, TERM.
    console = Console(
        file=io.StringIO(),
        width=COLUMNS,
        height=LINES,
        record=True,
        force_terminal=True,
        color_system="truecolor",
        no_color=False,
        legacy_windows=False,
    )
    console.print(Text.from_ansi(text))
    svg = console.export_svg(title=title, code_format=_FORMAT, unique_id=f"capture-{name}")
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def alike(first: str, second: str) -> bool:
    """Whether two captures say the same, but for what differs from run to run and from machine to machine."""
    return normalised(first) == normalised(second)


def difference(first: str, second: str) -> list[str]:
    """The lines in which two captures differ, as diff writes them; nothing where their colours alone do."""
    before, after = (Text.from_ansi(normalised(text)).plain.splitlines() for text in (first, second))
    lines = difflib.unified_diff(before, after, n=0, lineterm="")
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


def normalised(text: str) -> str:
    """A capture by which others are compared."""
    for pattern, word in RULES.values():
        text = pattern.sub(word, text)
    return text
