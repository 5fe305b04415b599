"""A terminal that keeps what a command prints there, colours and all."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["COLUMNS", "LINES", "close", "typed"]

COLUMNS = 98
LINES = 50
_open: set[subprocess.Popen[bytes]] = set()
_closed = threading.Event()
# Colours stay; what moves the cursor, hides it or names the window has no place on paper.
_OTHER = re.compile(r"\x1b(\[[0-9;?]*[A-Za-ln-z]|\][^\x07]*\x07)|\r")


def typed(command: str, folder: Path, environ: Mapping[str, str]) -> tuple[str, int]:
    """Run a command line in a terminal.

    Args:
        command: The line, as a user types it into bash.
        folder: Where it is typed.
        environ: All its variables.

    Returns:
        What the terminal showed, with its colours, and the exit code.
    """
    # Where there are none, as on Windows, the texts can be rendered all the same.
    import pty
    import termios

    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (LINES, COLUMNS))
    process = subprocess.Popen(
        ["/bin/bash", "-c", command],
        cwd=folder,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    _open.add(process)
    if _closed.is_set():  # before it was known whom to tell
        _hang_up(process)
    shown, code = _read(ours), process.wait()
    _open.discard(process)
    return _OTHER.sub("", shown.decode("utf-8", "replace")), code


def close() -> None:
    """Close all terminals for good: what runs there ends, with all that it has started."""
    _closed.set()
    for process in list(_open):
        _hang_up(process)


def _hang_up(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGHUP)


def _read(terminal: int) -> bytes:
    """All that comes, until nobody has the other side open any more."""
    parts = []
    try:
        while part := os.read(terminal, 1 << 16):
            parts.append(part)
    except OSError:  # Linux' way of saying that it is the end
        pass
    finally:
        os.close(terminal)
    return b"".join(parts)
