"""What people see while steps run: a live line on a terminal, plain lines elsewhere, folded groups on GitHub."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING, TextIO

from mlops_lab.report.spoken import as_typed
from mlops_lab.runner import show

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.status import Status

    from mlops_lab.guide import Row
    from mlops_lab.steps import Observer

__all__ = ["Counting", "Echo", "Folded", "Live", "Plain", "Quiet", "watching"]


def _heading(row: Row) -> str:
    return f"{row.step or '·'}  {row.title}"


class Quiet:
    """Says only what is worth knowing; the steps' own output is shown by somebody else."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def say(self, text: str) -> None:
        """Something worth knowing."""
        self._write(as_typed(text))

    def start(self, row: Row) -> None:
        """A step begins."""

    def command(self, argv: Sequence[str]) -> None:
        """A command of the step begins."""

    def line(self, text: str) -> None:
        """The command has printed a line."""

    def finish(self, row: Row, seconds: float, *, ok: bool) -> None:
        """The step has ended."""

    def _write(self, text: str) -> None:
        # Nobody may be reading any more (`| head`); the work goes on all the same.
        with contextlib.suppress(BrokenPipeError):
            self.stream.write(f"{text}\n")
            self.stream.flush()


class Plain(Quiet):
    """A line for each step when it has ended; with `verbose` every command and every line of it."""

    def __init__(self, stream: TextIO, *, verbose: bool = False) -> None:
        super().__init__(stream)
        self.verbose = verbose
        self.last = ""

    def say(self, text: str) -> None:
        """Something worth knowing."""
        self._write(f"   {as_typed(text)}")

    def start(self, row: Row) -> None:
        """A step begins."""
        self.last = ""
        if self.verbose:
            self._write(f"-- {_heading(row)}: {row.why}")

    def command(self, argv: Sequence[str]) -> None:
        """A command of the step begins."""
        if self.verbose:
            self._write(f"   $ {show(argv)}")

    def line(self, text: str) -> None:
        """The command has printed a line."""
        self.last = text.strip()
        if self.verbose:
            self._write(f"   | {text}")

    def finish(self, row: Row, seconds: float, *, ok: bool) -> None:
        """The step has ended."""
        last = f"  {_cut(self.last, 72)}" if self.last and not self.verbose else ""
        self._write(f"{'ok' if ok else '!!'} {_heading(row):<52} {seconds:6.1f} s{last}")


class Folded(Plain):
    """Plain lines with the commands' whole output in groups that GitHub folds.

    Source: https://docs.github.com/actions/reference/workflow-commands-for-github-actions#grouping-log-lines
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream, verbose=True)

    def start(self, row: Row) -> None:
        """A step begins."""
        self._write(f"::group::{_heading(row)}")

    def finish(self, row: Row, seconds: float, *, ok: bool) -> None:
        """The step has ended."""
        self._write("::endgroup::")
        super().finish(row, seconds, ok=ok)


class Live(Quiet):
    """A terminal: one line that moves while a step runs, one that stays when it has ended."""

    def __init__(self, console: Console) -> None:
        super().__init__(sys.stderr)
        self.console = console
        self.status: Status | None = None
        self.running: _Running | None = None

    def say(self, text: str) -> None:
        """Something worth knowing."""
        self.console.print(f"   {as_typed(text)}", style="dim", markup=False, highlight=False)

    def start(self, row: Row) -> None:
        """A step begins."""
        self.running = _Running(_heading(row), time.monotonic())
        self.status = self.console.status(self.running, spinner="dots")
        self.status.start()

    def line(self, text: str) -> None:
        """The command has printed a line."""
        if self.running is not None:
            self.running.last = text.strip()

    def finish(self, row: Row, seconds: float, *, ok: bool) -> None:
        """The step has ended."""
        from rich.text import Text

        if self.status is not None:
            self.status.stop()
            self.status = self.running = None
        mark = ("✓", "green") if ok else ("✗", "bold red")
        self.console.print(Text.assemble(mark, f" {_heading(row):<52}", (f"{seconds:6.1f} s", "dim")))


class _Running:
    """The moving line: the step, how long it has been running, the last line that its command printed."""

    def __init__(self, title: str, started: float) -> None:
        self.title = title
        self.started = started
        self.last = ""

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        """The line as it is now; rich asks for it several times a second."""
        from rich.text import Text

        text = Text.assemble(f"{self.title:<52}", (f"{time.monotonic() - self.started:6.1f} s", "dim"), "  ")
        text.append(self.last, style="dim")
        text.truncate(options.max_width, overflow="ellipsis")
        yield text


class Counting:
    """Passes everything on, and keeps the names of the rows that ran."""

    def __init__(self, to: Observer) -> None:
        self.to = to
        self.seen: set[str] = set()

    def say(self, text: str) -> None:
        """Something worth knowing."""
        self.to.say(text)

    def start(self, row: Row) -> None:
        """A step begins."""
        self.to.start(row)

    def command(self, argv: Sequence[str]) -> None:
        """A command of the step begins."""
        self.to.command(argv)

    def line(self, text: str) -> None:
        """The command has printed a line."""
        self.to.line(text)

    def finish(self, row: Row, seconds: float, *, ok: bool) -> None:
        """The step has ended."""
        if ok:
            self.seen.add(row.name)
        self.to.finish(row, seconds, ok=ok)


class Echo(Quiet):
    """A single step: the command and all that it prints, as if the user had typed it."""

    def __init__(self, stream: TextIO, notes: TextIO) -> None:
        super().__init__(stream)
        self.notes = notes

    def say(self, text: str) -> None:
        """Something worth knowing."""
        self.notes.write(f"{as_typed(text)}\n")

    def command(self, argv: Sequence[str]) -> None:
        """The command of the step begins."""
        self._write(f"$ {show(argv)}")

    def line(self, text: str) -> None:
        """The command has printed a line."""
        self._write(text)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def watching(environ: Mapping[str, str], stream: TextIO, *, verbose: bool = False) -> Observer:
    """The observer that fits where the output goes."""
    if environ.get("GITHUB_ACTIONS") == "true":
        return Folded(stream)
    if verbose or not stream.isatty():
        return Plain(stream, verbose=verbose)
    from rich.console import Console

    return Live(Console(file=stream))
