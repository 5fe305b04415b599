"""What goes wrong, in words for the person at the terminal: what failed, the valid choices, the next thing to try."""

from __future__ import annotations

import re

__all__ = ["FOUND", "INTERRUPTED", "PIPE_CLOSED", "WRONG", "LabError", "redact"]

FOUND = 1
"""Exit code: a check found something, or a step failed."""
WRONG = 2
"""Exit code: wrong words or files, refused before anything is touched."""
INTERRUPTED = 130
"""Exit code: Ctrl-C, as shells report it (128 + SIGINT)."""
PIPE_CLOSED = 141
"""Exit code: nobody reads the output any more, as shells report it (128 + SIGPIPE)."""


class LabError(Exception):
    """A failure that the user can act on; the faces print it without a traceback.

    Args:
        message: What failed, naming the thing (and its file, line and column where it has one).
        hint: The next thing to try, or the valid choices.
        code: The exit code, `WRONG` (2) or `FOUND` (1).
    """

    def __init__(self, message: str, hint: str = "", *, code: int = WRONG) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code

    def __str__(self) -> str:
        """One line: what failed, then what to try."""
        return f"{self.message}: {self.hint}" if self.hint else self.message


# Up to the last @ before the path: a password may hold an @ that nobody encoded.
_USERINFO = re.compile(r'(?<=://)[^/\s"<>]*@')
# A token of a conda channel is a part of its path: https://host/t/TOKEN/channel.
_TOKEN = re.compile(r'(://[^/\s"<>]+/t/)[^/\s"<>]+')


def redact(text: str) -> str:
    """Replace `user:password@`, `token@` and `/t/token/` by `***` in every address of a text."""
    return _TOKEN.sub(r"\1***", _USERINFO.sub("***@", text))
