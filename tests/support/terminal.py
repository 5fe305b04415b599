"""A reader's terminal: one bash, in which the folder, the variables and the functions stay from command to command."""

from __future__ import annotations

import os
import select
import shlex
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

__all__ = ["Done", "Terminal"]

_PATIENCE = 300.0


@dataclass(frozen=True)
class Done:
    """A command that has ended: its exit code, all that it printed as it came, and how many seconds it took."""

    code: int
    printed: str
    seconds: float


@dataclass
class Terminal:
    """Runs one command after the other; nobody types anything into them.

    Attributes:
        cwd: The folder in which it starts.
        environ: All its variables at the start.
    """

    cwd: Path
    environ: Mapping[str, str]
    _bash: subprocess.Popen[bytes] = field(init=False)
    _said: tempfile.TemporaryDirectory[str] = field(init=False)

    def __enter__(self) -> Self:
        """Start bash, in a session of its own: what it leaves running ends with it."""
        self._said = tempfile.TemporaryDirectory()
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=self.cwd,
            env=dict(self.environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End bash, and with it what is still running."""
        os.killpg(self._bash.pid, signal.SIGKILL)
        self._bash.communicate()
        self._said.cleanup()

    def run(self, command: str) -> Done:
        """Run a command as if it were typed, and wait for its end.

        Raises:
            TimeoutError: It did not end.
            EOFError: It ended bash itself.
        """
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        path = Path(self._said.name, "said")
        # A group of commands is no subshell. What bash itself prints is the exit code alone.
        line = f"{{ eval {shlex.quote(command)}; }} </dev/null >{shlex.quote(str(path))} 2>&1; printf '%s\\n' $?\n"
        started = time.monotonic()
        self._bash.stdin.write(line.encode())
        self._bash.stdin.flush()
        if not select.select([self._bash.stdout], [], [], _PATIENCE)[0]:
            raise TimeoutError(f"{command} has not ended after {_PATIENCE:.0f} s")
        code = self._bash.stdout.readline()
        if not code:
            raise EOFError(f"{command} has ended the shell")
        return Done(int(code), path.read_text(encoding="utf-8", errors="replace"), time.monotonic() - started)
