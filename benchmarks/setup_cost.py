"""What `invoke setup` costs beside the same documented commands in a shell script. It reports; it judges nothing.

    python benchmarks/setup_cost.py [--pairs 7] [--hybrid venv+uv] [--only setup|pip|nothing|list] [--json FILE]

Run it with an interpreter that has mlops-lab and Invoke. The checkout is copied to a temporary folder and stays as it
is; the caches are the user's own, warm after one unmeasured run of each side. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_lab import interpreters
from mlops_lab.choices import Request
from mlops_lab.environment import activation
from mlops_lab.errors import LabError
from mlops_lab.guide import SETUP, row_named
from mlops_lab.project import MANIFESTS
from mlops_lab.report.progress import Quiet
from mlops_lab.runner import QUIET, changed, show
from mlops_lab.steps import open_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mlops_lab.steps import Steps

CHECKOUT = Path(__file__).resolve().parent.parent
COPIED = (*MANIFESTS, "tasks.py", "README.md", "LICENSE", "src")
HYBRIDS = ("venv+poetry", "venv+uv", "pip+poetry", "pip+uv")
INVOKE = (sys.executable, "-m", "invoke")
QUICK_PAIRS = 15
"""A comparison of fractions of a second needs more pairs than one of whole setups."""

# What would make the two sides unequal, or the figures depend on who runs this.
UNSET = ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV")


@dataclass(frozen=True)
class Side:
    """One of two commands that are compared.

    Attributes:
        name: What it is called in the table.
        argv: The command.
        cwd: The folder to run it in.
        environ: Its variables.
        prefix: The environment to remove before each run; None to leave everything as it is.
        accepted: The exit codes that are no failure.
    """

    name: str
    argv: Sequence[str]
    cwd: Path
    environ: Mapping[str, str]
    prefix: Path | None = None
    accepted: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class Comparison:
    """Two sides, the ratio that is expected at most, and the seconds of each pair."""

    title: str
    sides: tuple[Side, Side]
    expected: float
    seconds: Sequence[tuple[float, float]]

    @property
    def ratios(self) -> list[float]:
        """The first side's seconds over the second's, for each pair."""
        return [first / second for first, second in self.seconds]


class Failed(Exception):
    """A command of one side failed; its output is the message."""


def run(side: Side) -> float:
    """Run a side once, from no environment where it makes one; returns its seconds."""
    if side.prefix is not None:
        shutil.rmtree(side.prefix, ignore_errors=True)
        os.sync()  # what the run before has written shall not be paid by this one
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        done = subprocess.run(
            side.argv,
            cwd=side.cwd,
            env=dict(side.environ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
        seconds = time.perf_counter() - started
        if done.returncode not in side.accepted:
            output.seek(0)
            text = output.read().decode(errors="replace")
            raise Failed(f"{side.name}: `{show(side.argv)}` ended with {done.returncode}\n{text}")
    return seconds


def compare(title: str, first: Side, second: Side, expected: float, pairs: int) -> Comparison:
    """Run both sides alternately, the order swapped in every other pair, after one unmeasured run of each."""
    print(f"{title}: warming up", flush=True)
    for side in (first, second):
        run(side)  # provisions the tools, derives the locks that are missing, fills the caches
    seconds: list[tuple[float, float]] = []
    for number in range(pairs):
        if number % 2:
            after, before = run(second), run(first)
            seconds.append((before, after))
        else:
            seconds.append((run(first), run(second)))
        print(f"  {title}: pair {number + 1} of {pairs}: {seconds[-1][0]:.3f} s and {seconds[-1][1]:.3f} s", flush=True)
    return Comparison(title, (first, second), expected, seconds)


# --- the documented commands ---


def opened(copy: Path, hybrid: str, environ: Mapping[str, str]) -> Steps:
    """The steps of a hybrid on the copy, as `invoke setup` would open them."""
    steps = open_steps(Request(hybrid=hybrid), start=copy, environ=environ, observer=Quiet(sys.stderr))
    steps.interpreter = interpreters.choose(steps.project, None)
    return steps


def documented(steps: Steps, instead: Mapping[str, Sequence[str]] | None = None) -> list[str]:
    """The guide's commands for a setup, in its order, as lines of a shell script.

    Args:
        steps: The steps of the hybrid.
        instead: Row → the lines that take the place of its command.
    """
    lines: list[str] = []
    for name in SETUP:
        row = row_named(name)
        command = steps.words(row)
        # Nothing has to be pruned from an environment that has just been made.
        if not command or name == "prune":
            continue
        if instead and name in instead:
            lines += instead[name]
        elif row.in_shell or (row.needs_environment and command[0] == "python"):
            lines.append(shlex.join(command))  # the shell's own business, and the activated interpreter
        else:
            lines.append(shlex.join(steps.argv(row, command)))
    return lines


def script(folder: Path, name: str, lines: Sequence[str]) -> tuple[str, ...]:
    """Write a shell script; returns the argv that runs it."""
    path = folder / f"{name}.sh"
    path.write_text("\n".join(["set -euo pipefail", *lines, ""]), encoding="utf-8")
    return ("bash", str(path))


def by_hand(steps: Steps) -> dict[str, str]:
    """The variables for the script: what mlops-lab hands to the hybrid's tools, but for what activation sets."""
    given: dict[str, str | None] = {}
    for name in SETUP:
        command = steps.words(row_named(name))
        if command and command[0] not in {"python", "source"}:
            given |= steps.variables(command[0])
    of_activation = set(activation(steps.environment, steps.environ)) - {"UV_PROJECT_ENVIRONMENT"}
    kept = {key: value for key, value in given.items() if key not in of_activation}
    return changed(steps.environ, kept, {"UV_PYTHON": str(steps.environment.python)})


# --- the comparisons ---


def _setup(copy: Path, hybrid: str, environ: Mapping[str, str]) -> tuple[Steps, Side]:
    shutil.rmtree(copy / ".venv", ignore_errors=True)  # another hybrid's, which would be activated for the script
    steps = opened(copy, hybrid, environ)
    argv = (*INVOKE, "setup", "--hybrid", hybrid)
    return steps, Side("invoke setup", argv, copy, environ, steps.environment.prefix)


def same_commands(folder: Path, copy: Path, hybrid: str, environ: Mapping[str, str], pairs: int) -> Comparison:
    """`invoke setup` against the guide's own commands."""
    steps, ours = _setup(copy, hybrid, environ)
    argv = script(folder, hybrid, documented(steps))
    theirs = Side("the same commands", argv, copy, by_hand(steps), ours.prefix)
    return compare(f"setup {hybrid}", ours, theirs, 1.08, pairs)


def plain_pip(folder: Path, copy: Path, hybrid: str, environ: Mapping[str, str], pairs: int) -> Comparison:
    """`invoke setup` against `pip install -r requirements.txt` with the pip that `python -m venv` leaves."""
    steps, ours = _setup(copy, hybrid, environ)
    instead = {
        "install": [shlex.join(["pip", "install", "-r", str(steps.values["requirements"])])],
        "install-project": ["pip install -e ."],
    }
    argv = script(folder, f"{hybrid}-plain", documented(steps, instead))
    theirs = Side("pip install -r", argv, copy, by_hand(steps), ours.prefix)
    return compare(f"pip {hybrid}", ours, theirs, 0.7, pairs)


def nothing_to_do(copy: Path, environ: Mapping[str, str], pairs: int) -> Comparison:
    """`invoke setup` on a finished environment against `invoke --list`."""
    made = Side("invoke setup", (*INVOKE, "setup", "--hybrid", "venv+uv"), copy, environ, copy / ".venv")
    print("nothing: making the environment", flush=True)
    run(made)
    again = Side("invoke setup", made.argv, copy, environ)
    listed = Side("invoke --list", (*INVOKE, "--list"), copy, environ)
    return compare("nothing to do", again, listed, 2.5, max(pairs, QUICK_PAIRS))


def listing(folder: Path, copy: Path, environ: Mapping[str, str], pairs: int) -> Comparison:
    """`invoke --list` of this repository against that of an empty tasks.py."""
    empty = folder / "empty"
    empty.mkdir()
    (empty / "tasks.py").touch()
    ours = Side("invoke --list", (*INVOKE, "--list"), copy, environ)
    # Invoke ends with 1 where it has nothing to list.
    theirs = Side("an empty tasks.py", (*INVOKE, "--list"), empty, environ, accepted=(0, 1))
    return compare("list", ours, theirs, 1.3, max(pairs, QUICK_PAIRS))


def copied(folder: Path) -> Path:
    """Copy what a setup needs of the checkout; returns the copy."""
    copy = folder / "project"
    copy.mkdir()
    for name in COPIED:
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        elif source.exists():
            shutil.copy2(source, copy / name)
    return copy


# --- the words and the table ---


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """What the user asked for."""
    parser = argparse.ArgumentParser(description="Time `invoke setup` against the same documented commands.")
    parser.add_argument(
        "--pairs", type=int, default=7, help=f"pairs of each setup (default 7; quick ones {QUICK_PAIRS})"
    )
    parser.add_argument("--hybrid", action="append", choices=HYBRIDS, help="repeat it for several (default: all four)")
    parser.add_argument("--only", action="append", choices=("setup", "pip", "nothing", "list"), help="repeatable")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the seconds of every pair")
    parsed = parser.parse_args(words)
    if parsed.pairs < 1:
        parser.error("--pairs: at least one")
    return parsed


def planned(asked: argparse.Namespace, folder: Path, environ: Mapping[str, str]) -> list[Callable[[], Comparison]]:
    """The comparisons that were asked for, each still to be made."""
    copy, pairs = copied(folder), asked.pairs
    hybrids = [hybrid for hybrid in HYBRIDS if hybrid in (asked.hybrid or HYBRIDS)]
    plan: dict[str, list[Callable[[], Comparison]]] = {
        "setup": [partial(same_commands, folder, copy, hybrid, environ, pairs) for hybrid in hybrids],
        "pip": [partial(plain_pip, folder, copy, name, environ, pairs) for name in hybrids if name.startswith("pip+")],
        "nothing": [partial(nothing_to_do, copy, environ, pairs)],
        "list": [partial(listing, folder, copy, environ, pairs)],
    }
    return [make for name, makes in plan.items() if name in (asked.only or plan) for make in makes]


def table(found: Sequence[Comparison]) -> str:
    """The comparisons as lines of text."""
    head = ("comparison", "sides", "pairs", "seconds (medians)", "ratio", "min", "max", "expected")
    rows = [head]
    for each in found:
        first, second = (statistics.median(column) for column in zip(*each.seconds, strict=True))
        ratios = each.ratios
        rows.append(
            (
                each.title,
                " / ".join(side.name for side in each.sides),
                str(len(ratios)),
                f"{first:.3f} / {second:.3f}",
                f"{statistics.median(ratios):.3f}",
                f"{min(ratios):.3f}",
                f"{max(ratios):.3f}",
                f"<= {each.expected}",
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def raw(found: Sequence[Comparison]) -> str:
    """The comparisons with the seconds of every pair, as JSON."""
    data = [
        {
            "comparison": each.title,
            "sides": [side.name for side in each.sides],
            "expected": each.expected,
            "median": statistics.median(each.ratios),
            "seconds": each.seconds,
        }
        for each in found
    ]
    return json.dumps(data, indent=2) + "\n"


def main(words: Sequence[str] | None = None) -> int:
    """Make the comparisons and print the table; returns 1 when a command failed, whatever the figures are."""
    asked = arguments(words)
    environ = changed(os.environ, QUIET, dict.fromkeys(UNSET))
    found: list[Comparison] = []
    with tempfile.TemporaryDirectory(prefix="setup-cost-") as name:
        try:
            found += [make() for make in planned(asked, Path(name).resolve(), environ)]
        except (Failed, LabError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    print(f"\n{table(found)}")
    if asked.json:
        asked.json.write_text(raw(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
