"""Commands as the user types them: the texts say `invoke`, and those who started `mlops-lab` need no tasks.py."""

from __future__ import annotations

import re
import sys
from pathlib import Path

__all__ = ["as_typed"]

_INVOKE = re.compile(r"(?:(?<=[`(])|(?<=\s\s)|(?<=missing: )|^)invoke (?=[a-z])")
"""In backticks or behind a bracket, and where a line or a column of a table begins."""


def as_typed(text: str) -> str:
    """A text with our own commands by the name of the program that was started."""
    program = Path(sys.argv[0])
    # The script, and `python -m mlops_lab`.
    ours = program.stem == "mlops-lab" or program.parts[-2:] == ("mlops_lab", "__main__.py")
    return _INVOKE.sub("mlops-lab ", text) if ours else text
