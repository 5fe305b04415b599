"""What the embedded conda says: results on standard output, everything else on standard error."""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from mlops_lab.errors import redact

if TYPE_CHECKING:
    from mlops_lab.errors import LabError

__all__ = ["Talk"]


@dataclass
class Talk:
    """Where words go.

    Attributes:
        json: Whether a program reads standard output.
        quiet: Whether only results and errors are said.
    """

    json: bool = False
    quiet: bool = False

    def say(self, text: str) -> None:
        """Something worth knowing."""
        if not self.quiet:
            self._write(sys.stderr, text)

    def result(self, data: object, text: str = "") -> None:
        """What was asked for: as data for a program, as text for people."""
        if self.json:
            self._write(sys.stdout, json.dumps(data, indent=2))
        elif text:
            self._write(sys.stdout, text)

    def error(self, error: LabError) -> None:
        """What failed, and the next thing to try; for a program in the shape of conda's own errors."""
        self._write(sys.stderr, f"error: {error.message}")
        if error.hint:
            self._write(sys.stderr, f"hint: {error.hint}")
        if self.json:
            message = redact(error.message)
            data = {"error": message, "message": message, "hint": redact(error.hint), "exit_code": error.code}
            self._write(sys.stdout, json.dumps({**data, "exception_name": type(error).__name__}, indent=2))

    @staticmethod
    def _write(stream: TextIO, text: str) -> None:
        # Nobody may be reading any more (`| head`); the work goes on all the same.
        with contextlib.suppress(BrokenPipeError):
            stream.write(f"{redact(text)}\n")
            stream.flush()
