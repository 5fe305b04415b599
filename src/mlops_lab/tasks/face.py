"""What every task shares: how it reads the words, opens the project, and ends."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from invoke.tasks import Task, task

from mlops_lab.errors import FOUND, INTERRUPTED, PIPE_CLOSED, LabError
from mlops_lab.guide import ENGINES
from mlops_lab.tasks.completing import CompletedTask

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlops_lab.choices import Request
    from mlops_lab.steps import Steps

__all__ = ["guide_task", "open_for", "remainder", "request_for", "run_row"]


_Body = TypeVar("_Body", bound="Callable[..., Any]")

HELP = {
    "hybrid": "BACKEND+MANAGER, such as venv+uv; default: the one used last, else the project's (see `invoke hybrids`)",
    "prefix": "The environment's folder; default: .venv, for conda the one that conda.yml names",
    "python": "A version such as 3.12, or an interpreter's path",
    "group": "A dependency group; repeat it for several. Main and exactly these; default: every group",
    "conda": f"The program that acts as conda: {', '.join(ENGINES[:-1])} or {ENGINES[-1]}; "
    "default: the first that is there",
    "force": "Rebuild the environment even where it looks finished",
    "offline": "Fetch nothing",
    "verbose": "Show every command and all that it prints",
    "json": "Print JSON, alone on standard output",
    "dry_run": "Show what would change, and change nothing",
    "no_install": "Change the files only; `invoke install` brings the environment along",
}


def face(body: _Body) -> _Body:
    """End with the exit code of the design, and never with a traceback for a user's mistake."""

    @functools.wraps(body)
    def wrapped(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - it stands for any task
        from mlops_lab.runner import interruptible

        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            # A pipe of another encoding shall not end in a traceback for the want of a tick.
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")
            elif stream is None:  # closed from the start (`>&-`): nobody listens
                setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - for good
        try:
            with interruptible():
                return body(*args, **kwargs)
        except LabError as error:
            complain(error, as_json=bool(kwargs.get("json")))
            sys.exit(error.code)
        except KeyboardInterrupt:
            hint = "the next `invoke setup` repairs what was left unfinished"
            complain(LabError("interrupted", hint, code=INTERRUPTED), as_json=bool(kwargs.get("json")))
            sys.exit(INTERRUPTED)
        except BrokenPipeError:
            # The reader has gone (`invoke guide | head`); Python would complain once more at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(PIPE_CLOSED)
        except OSError as error:
            # A full disk, or a file that cannot be written: wherever it happens, it is no fault of ours.
            from mlops_lab.hints import hint_for

            complain(LabError(str(error), hint_for(str(error)), code=FOUND), as_json=bool(kwargs.get("json")))
            sys.exit(FOUND)

    return wrapped  # type: ignore[return-value] # the same signature, by functools.wraps


def guide_task(*, help: Mapping[str, str] | None = None, **options: Any) -> Callable[[Callable[..., None]], Task[Any]]:  # noqa: A002, ANN401 - Invoke's own words
    """A task with the help of those options that it has."""

    def decorate(body: Callable[..., None]) -> Task[Any]:
        names = body.__code__.co_varnames[: body.__code__.co_argcount]
        known = {**HELP, **(help or {})}
        options.setdefault("klass", CompletedTask)
        made: Task[Any] = task(help={name: known[name] for name in names if name in known}, **options)(face(body))
        return made

    return decorate


def complain(error: LabError, *, as_json: bool) -> None:
    from mlops_lab.report import outcome

    if as_json:
        # Where nothing can be written, standard error has it all the same.
        with contextlib.suppress(OSError):
            sys.stdout.write(outcome.error_as_json(error) + "\n")
    sys.stderr.write(outcome.error_text(error) + "\n")


def remainder() -> list[str]:
    """What stands after the first `--`; Invoke itself hands it over as one text, its boundaries lost."""
    return sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []


def open_for(request: Request, *, verbose: bool = False, changes: bool = False, to_run: bool = True) -> Steps:
    """The steps for what the user asked for; what a killed change left is put back first.

    Args:
        request: What was asked for.
        verbose: Whether every command and all that it prints is shown.
        changes: Whether the task changes the environment, and so cannot run inside it.
        to_run: Whether steps shall run, or only be shown.

    Raises:
        LabError: Wrong words, or a broken pyproject.toml (code 2).
    """
    from mlops_lab.report.progress import watching
    from mlops_lab.steps import leave_environment, open_steps

    observer = watching(os.environ, sys.stderr, verbose=verbose)
    steps = open_steps(request, start=Path.cwd(), environ=os.environ, observer=observer, to_run=to_run)
    if changes:
        leave_environment(steps, sys.argv[1:])
    elif to_run:
        recover_first(steps)
    return steps


def recover_first(steps: Steps) -> None:
    """Whatever comes after a killed change works on whole files; those that make changes see to it themselves."""
    from mlops_lab import recipe

    with contextlib.suppress(LabError):  # what cannot be put right by the way is told by the command itself
        recipe.recover(steps, wait=False)


def run_row(name: str, hybrid: str | None, prefix: str | None, *more: str, kernel: str | None = None) -> None:
    """Run one row and show what its command prints; then those of `more` that the hybrid needs."""
    from mlops_lab.report.progress import Echo
    from mlops_lab.runner import CommandFailed
    from mlops_lab.steps import open_steps

    observer = Echo(sys.stdout, sys.stderr)
    steps = open_steps(request_for(hybrid, prefix), start=Path.cwd(), environ=os.environ, observer=observer)
    recover_first(steps)
    values: dict[str, Any] = {} if kernel is None else {"kernel": kernel}
    failed: list[LabError] = []
    for row in (name, *more):
        try:
            if steps.step(row, **values) is None and row == name:
                hint = f"see `invoke guide --hybrid {steps.hybrid}`"
                raise LabError(f"{steps.hybrid} needs no step {name!r}", hint)
        except CommandFailed as error:
            failed.append(error)  # the others may find something too
    if failed:
        raise failed[0]


def request_for(hybrid: str | None, prefix: str | None, *, offline: bool = False) -> Request:
    """What most tasks are asked for."""
    from mlops_lab.choices import Request

    return Request(hybrid=hybrid, prefix=prefix, offline=offline)
