"""The `mlops-lab` command: the same tasks in any project, without a tasks.py of its own."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_lab.errors import FOUND, INTERRUPTED, WRONG, LabError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: The words after the program's name; by default the process' own.

    Returns:
        The exit code of DESIGN: 0 fine, 1 something was found or failed, 2 wrong words, 130 interrupted.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in words[1:]
    match [word for word in words if word != "--json"]:
        case ["doctor", "--prefix", prefix]:
            return _doctor(prefix, as_json=as_json)
        case ["doctor", option] if option.startswith("--prefix="):
            return _doctor(option.removeprefix("--prefix="), as_json=as_json)
        case _:
            return _tasks(words)


def _doctor(prefix: str, *, as_json: bool) -> int:
    """Step 7 of the guide's own command, which needs neither a project nor Invoke."""
    from mlops_lab import doctor
    from mlops_lab.report import checks, findings

    # A pipe of another encoding shall not end in a traceback for the want of a tick.
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        examined, found = doctor.of_prefix(Path(prefix), os.environ)
    except LabError as error:
        return _failed(error, as_json=as_json)
    except KeyboardInterrupt:
        return _failed(LabError("interrupted", code=INTERRUPTED), as_json=as_json)
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(f"{findings.as_json(found)}\n" if as_json else checks.as_lines(examined))
    return FOUND if found.errors else 0


def _failed(error: LabError, *, as_json: bool) -> int:
    from mlops_lab.report import outcome

    if as_json:
        sys.stdout.write(f"{outcome.error_as_json(error)}\n")
    sys.stderr.write(f"error: {error}\n")
    return error.code


def _tasks(words: Sequence[str]) -> int:
    from importlib.metadata import version

    from invoke.exceptions import ParseError
    from invoke.program import Program

    from mlops_lab.tasks import namespace, spread

    class LabProgram(Program):
        """Invoke's program, with wrong words answered by 2 as everywhere else."""

        def parse_core(self, argv: list[str] | None) -> None:
            _refusing(super().parse_core, argv)

        def parse_tasks(self) -> None:
            _refusing(super().parse_tasks)

        def parse_cleanup(self) -> None:
            try:
                super().parse_cleanup()
            except ValueError:
                if not self.args.complete.value:
                    raise
                sys.exit(0)  # an open quote behind a TAB: nothing can be offered, and no prompt wants a traceback

    def _refusing(parse: object, *args: object) -> None:
        try:
            parse(*args)  # type: ignore[operator]
        except ParseError as error:
            sys.stderr.write(f"error: {error}: see `mlops-lab --list`\n")
            sys.exit(WRONG)

    words = spread(words)
    # The tasks read what stands after `--` from here: Invoke hands it over as one text.
    sys.argv[1:] = words
    program = LabProgram(namespace=namespace, version=version("mlops-lab"), name="mlops-lab", binary="mlops-lab")
    try:
        program.run(["mlops-lab", *words])
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0
