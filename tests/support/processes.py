"""Programs that a test stops on the way: what they said so far, and what of them is still running."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

__all__ = ["PATIENCE", "Started", "assert_none_left", "children"]

PATIENCE = 60.0


@dataclass
class Started:
    """A mlops-lab that runs in a process group of its own, and what it has said so far."""

    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)
    coming: queue.Queue[str | None] = field(default_factory=queue.Queue)

    def __post_init__(self) -> None:
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        for line in self.process.stderr or ():
            self.said.append(line.rstrip("\n"))
            self.coming.put(line)
        self.coming.put(None)

    def until(self, text: str) -> None:
        """Wait for a line that holds this text."""
        while (line := self.coming.get(timeout=PATIENCE)) is not None:
            if text in line:
                return
        raise AssertionError(f"{text!r} was never said: {self.said}")

    def end(self) -> int:
        """Wait for the end; returns the exit code."""
        code = self.process.wait(timeout=PATIENCE)
        self.reader.join(timeout=PATIENCE)
        return code


def children(folder: Path) -> list[str]:
    """The command lines of processes that work in a folder, or were told of it."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
            works_in = (entry / "cwd").readlink()
            if words and (works_in.is_relative_to(folder) or str(folder) in words):
                found.append(words)
    return found


def assert_none_left(folder: Path) -> None:
    """Nothing that was started works on in a folder."""
    limit = time.monotonic() + PATIENCE
    while (left := children(folder)) and time.monotonic() < limit:
        time.sleep(0.1)
    assert left == []
