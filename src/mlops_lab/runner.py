"""The one place that starts a process: an argv, never a shell; every line goes into a log."""

from __future__ import annotations

import contextlib
import shlex
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Self, TextIO

from mlops_lab.errors import FOUND, LabError, redact
from mlops_lab.hints import hint_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["CommandFailed", "Runner", "Terminated", "changed", "interruptible", "show"]

_TAIL = 12
_KEPT_LOGS = 30
_PATIENCE = 5.0
"""Seconds that a child has to clean up after Ctrl-C before it is told again, louder."""

QUIET: Mapping[str, str | None] = {
    # Tools write for a log here, and nobody answers questions.
    "NO_COLOR": "1",
    "PY_COLORS": None,
    "FORCE_COLOR": None,
    "CLICOLOR_FORCE": None,
    "POETRY_NO_INTERACTION": "1",
    "PIP_NO_INPUT": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_ROOT_USER_ACTION": "ignore",
    "UV_NO_PROGRESS": "1",
    # These send a tool's work, or its imports, somewhere else than into the environment that was asked for.
    "PYTHONPATH": None,
    "PYTHONHOME": None,
    "PIP_USER": None,
    "PIP_TARGET": None,
    "PIP_PREFIX": None,
    "PIP_ROOT": None,
    "PIP_PYTHON": None,
    "PIP_REQUIRE_VIRTUALENV": None,
    "PYTHONIOENCODING": "utf-8",
    "PYTHONUNBUFFERED": "1",
}
"""What every tool is given; None deletes a variable."""


class CommandFailed(LabError):
    """A command ended with an error.

    Attributes:
        argv: The command.
        returncode: Its exit code; negative for a signal.
        tail: Its last lines.
        log: The file that holds all of them.
        said: All of its lines, for a hint where the last ones give none: Poetry ends with advice that hides the cause.
    """

    def __init__(
        self, argv: Sequence[str], returncode: int, tail: Sequence[str], log: Path | None, said: Sequence[str] = ()
    ) -> None:
        how = f"exit code {returncode}" if returncode >= 0 else f"signal {-returncode}"
        hint = hint_for("\n".join(tail)) or hint_for("\n".join(said))
        super().__init__(f"`{show(argv)}` failed ({how})", hint, code=FOUND)
        self.argv = list(argv)
        self.returncode = returncode
        self.tail = list(tail)
        self.log = log
        self.said = list(said)


class Terminated(KeyboardInterrupt):
    """A polite kill, which reaches this process alone: Ctrl-C reaches its children as well."""


def show(argv: Sequence[str]) -> str:
    """A command for people to read and copy, without credentials."""
    return redact(shlex.join(argv))


def changed(environ: Mapping[str, str], *changes: Mapping[str, str | None]) -> dict[str, str]:
    """An environment with variables set, or deleted where the value is None; later changes win."""
    result = dict(environ)
    for change in changes:
        for name, value in change.items():
            if value is None:
                result.pop(name, None)
            else:
                result[name] = value
    return result


class Runner:
    """Starts commands, shows their last line, keeps every line in a log.

    Args:
        log: The log's path; its folder is made, old logs in it are removed. None keeps no log.
        environ: The variables that commands start from.
        on_line: Called with each line that a command prints.
        on_command: Called with each command before it starts.
    """

    def __init__(
        self,
        log: Path | None,
        environ: Mapping[str, str],
        on_line: Callable[[str], None] = lambda _: None,
        on_command: Callable[[Sequence[str]], None] = lambda _: None,
    ) -> None:
        self.log = log
        self.environ = environ
        self.on_line = on_line
        self.on_command = on_command
        self.inherited: tuple[int, ...] = ()
        self.patience: float | None = None
        """Seconds that a question of ours has; None: as long as it takes."""
        self.started = 0

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        changes: Mapping[str, str | None] | None = None,
        quiet: bool = False,
    ) -> str:
        """Run a command to its end.

        Args:
            argv: The command; its first word is a program's path or name.
            cwd: The folder to run it in.
            changes: Variables for it, beside those in `QUIET`; None deletes one.
            quiet: Whether it is a question of ours rather than a step: it is logged, but not shown.

        Returns:
            All that it printed, standard error included, in the order it came.

        Raises:
            CommandFailed: It could not be started, or ended with an error.
        """
        if not quiet:
            self.on_command(argv)
        self.started += 1
        lines: list[str] = []
        started = time.monotonic()
        with self._log() as log:
            log.write(f"$ {show(argv)}\n")
            try:
                process = self._start(argv, cwd, changes or {})
            except OSError as error:
                log.write(f"{error}\n")
                raise CommandFailed(argv, 127, [str(error)], self.log) from error
            code = self._stream(process, log, lines, shown=not quiet)
            log.write(f"[{code}, {time.monotonic() - started:.2f} s]\n")
        if code:
            raise CommandFailed(argv, code, [line for line in lines if line.strip()][-_TAIL:], self.log, lines)
        return "\n".join(lines)

    def ask(self, argv: Sequence[str], cwd: Path, changes: Mapping[str, str | None] | None = None) -> str:
        """Run a question of ours and return its standard output alone, to the byte; warnings are not the answer.

        Raises:
            CommandFailed: It could not be started, ended with an error, or has not answered within `patience`.
        """
        try:
            done = subprocess.run(
                list(argv),
                cwd=cwd,
                env=changed(self.environ, QUIET, changes or {}),
                timeout=self.patience,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="surrogateescape",
                check=False,
            )
        except OSError as error:
            raise CommandFailed(argv, 127, [str(error)], None) from error
        except subprocess.TimeoutExpired as error:
            raise CommandFailed(argv, 124, [f"no answer within {self.patience} s"], None) from error
        if done.returncode:
            raise CommandFailed(argv, done.returncode, done.stderr.splitlines()[-_TAIL:], None)
        return done.stdout

    @contextlib.contextmanager
    def inheriting(self, descriptor: int | None) -> Iterator[None]:
        """Let the children hold a lock as long as the last of them runs."""
        before = self.inherited
        self.inherited = before if descriptor is None else (*before, descriptor)
        try:
            yield
        finally:
            self.inherited = before

    def hand_over(self, argv: Sequence[str], *, cwd: Path, changes: Mapping[str, str | None]) -> int:
        """Give the terminal to a command, with nothing between it and the user.

        Returns:
            Its exit code; for a signal 128 and its number, as shells report it.

        Raises:
            LabError: It could not be started (code 2).
        """
        environ = changed(self.environ, changes)
        inside = _Inside()
        try:
            with (
                _handling(inside.pass_on, "SIGINT", *_POLITE),
                subprocess.Popen(list(argv), cwd=cwd, env=environ) as it,
            ):
                code = inside.until_end(it)
                return code if code >= 0 else 128 - code
        except OSError as error:
            raise LabError(
                f"cannot start {argv[0]!r}: {error.strerror}", "check its spelling, or install it"
            ) from error

    def _start(self, argv: Sequence[str], cwd: Path, changes: Mapping[str, str | None]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=changed(self.environ, QUIET, changes),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=self.inherited,
            encoding="utf-8",
            errors="replace",
        )

    def _stream(self, process: subprocess.Popen[str], log: _Log, lines: list[str], *, shown: bool) -> int:
        with process:
            try:
                for raw in process.stdout or ():
                    line = redact(raw.rstrip())
                    lines.append(line)
                    log.write(f"{line}\n")
                    if shown and line.strip():
                        self.on_line(line)
                return process.wait()
            except BaseException:
                _end(process)
                raise

    @contextlib.contextmanager
    def _log(self) -> Iterator[_Log]:
        log = _Log()
        if self.log is not None:
            try:
                log.file = self._open(self.log)
            except OSError:
                self.log = None
        with log:
            yield log

    def _open(self, path: Path) -> TextIO:
        if not path.exists():
            _make_folder(path.parent)
            for old in sorted(path.parent.glob("*.log"))[: 1 - _KEPT_LOGS]:
                old.unlink(missing_ok=True)
        return path.open("a", encoding="utf-8", errors="replace")


class _Log:
    """A log that is written for as long as it can be: a full disk must not hide what a command said."""

    file: TextIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.file is not None:
            with contextlib.suppress(OSError):
                self.file.close()

    def write(self, text: str) -> None:
        """Write a text; not at all once that has failed."""
        if self.file is None:
            return
        try:
            self.file.write(text)
            self.file.flush()
        except OSError:
            self.__exit__()
            self.file = None


def _make_folder(folder: Path) -> None:
    """Make the folder of the logs; git does not see what is in it."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")


def _end(process: subprocess.Popen[str]) -> None:
    """End a child that the terminal's Ctrl-C may or may not have reached: wait, then ask, then insist."""
    asked: tuple[tuple[signal.Signals | None, float], ...] = (
        (None, 1.0),
        (signal.SIGINT, _PATIENCE),
        (signal.SIGTERM, _PATIENCE),
    )
    for number, patience in asked:
        if number is not None:
            with contextlib.suppress(ValueError):  # Windows knows no such signal
                process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=patience)
            return
    process.kill()
    process.wait()


class _Inside:
    """An interactive child: Ctrl-C is its own business, a polite kill of ours is passed on.

    Nothing is raised while it is waited for: an exception between the system's answer and Python's note of it loses
    the exit code, and the next `wait` says 0 (`_try_wait`, https://github.com/python/cpython/blob/main/Lib/subprocess.py).
    """

    process: subprocess.Popen[bytes] | None = None
    asked_to_end = False

    def pass_on(self, number: int, _frame: object) -> None:
        """A signal's handler."""
        if number == signal.SIGINT:
            return
        self.asked_to_end = True
        if self.process is not None:
            self.process.terminate()

    def until_end(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for its end; returns its exit code."""
        self.process = process
        if self.asked_to_end:  # before it was known whom to tell
            process.terminate()
        return process.wait()


_POLITE = ("SIGTERM", "SIGHUP")
"""As CI systems send it, or a terminal that is closed."""


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let a polite kill clean up as Ctrl-C does."""

    def interrupt(_number: int, _frame: object) -> None:
        raise Terminated

    with _handling(interrupt, *_POLITE):
        yield


@contextlib.contextmanager
def _handling(handler: Callable[[int, object], None], *names: str) -> Iterator[None]:
    """Handle the signals of these names, as far as this system has them."""
    # Only the main thread may set handlers; elsewhere the caller has its own way to end us.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    # One that is ignored (`nohup`), or that C code handles, is none of our business.
    ours = [number for number in numbers if signal.getsignal(number) not in {signal.SIG_IGN, None}]
    before = {number: signal.signal(number, handler) for number in ours}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
