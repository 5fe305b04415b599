"""The health of an environment, but for what conda's own doctor examines: `mlops-lab doctor --prefix ENV`.

Standard library only, so that it starts at once.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_lab import conda_meta
from mlops_lab.environment import Environment, altered_files, config, distributions, missing_files, normalise
from mlops_lab.errors import FOUND, LabError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["CHECKS", "Finding", "examine", "main"]


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with an environment.

    Attributes:
        what: What is wrong.
        remedy: The command that mends it.
    """

    what: str
    remedy: str


_REBUILD = "invoke setup --force"


def _interpreter(environment: Environment, _environ: Mapping[str, str]) -> Iterator[Finding]:
    said = config(environment.prefix)
    if not said:
        what = "record of a python" if environment.conda else "pyvenv.cfg"
        yield Finding(f"{environment.prefix} has no readable {what}", _REBUILD)
        return
    if not os.access(environment.python, os.X_OK):
        yield Finding(f"{environment.python} is missing or cannot be started", _REBUILD)
    if not Path(home := said.get("home") or "(not named)").is_dir():
        yield Finding(f"the Python that it was made from is gone: {home}", _REBUILD)


def _not_condas(environment: Environment) -> Iterator[Path]:
    """The distributions that conda's doctor does not know."""
    condas = conda_meta.folders(environment.prefix) if environment.conda else set()
    yield from (folder for folder in distributions(environment) if folder not in condas)


def _records(environment: Environment, _environ: Mapping[str, str]) -> Iterator[Finding]:
    for folder in _not_condas(environment):
        if folder.suffix != ".dist-info":
            continue
        for name in ("METADATA", "RECORD"):
            if not (folder / name).is_file():
                yield Finding(f"{folder.name} has no {name}", _REBUILD)
        if missing := missing_files(folder):
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            yield Finding(f"{folder.stem}: {missing[0]}{more} missing", _REBUILD)


def _contents(environment: Environment, _environ: Mapping[str, str]) -> Iterator[Finding]:
    for folder in _not_condas(environment):
        if altered := altered_files(folder):
            more = f" and {len(altered) - 1} more" if len(altered) > 1 else ""
            yield Finding(f"{folder.stem}: {altered[0].path}{more} altered", _REBUILD)


def _duplicates(environment: Environment, _environ: Mapping[str, str]) -> Iterator[Finding]:
    names = Counter(normalise(folder.stem.partition("-")[0]) for folder in distributions(environment))
    for name, count in names.items():
        if count > 1:
            yield Finding(f"{name} is recorded {count} times", _REBUILD)


def _leftovers(environment: Environment, _environ: Mapping[str, str]) -> Iterator[Finding]:
    site = environment.site_packages
    for folder in sorted(site.glob("~*")) if site else ():
        yield Finding(f"{folder.name} is what an interrupted pip left behind", _REBUILD)


def _variables(_environment: Environment, environ: Mapping[str, str]) -> Iterator[Finding]:
    for name in ("PYTHONPATH", "PYTHONHOME"):
        if environ.get(name):
            yield Finding(f"{name} is set: other packages come before the environment's own", f"unset {name}")


CHECKS: tuple[tuple[str, Callable[[Environment, Mapping[str, str]], Iterator[Finding]]], ...] = (
    ("the interpreter and where it comes from", _interpreter),
    ("every recorded file is there", _records),
    ("every recorded file is as it was installed", _contents),
    ("no package is recorded twice", _duplicates),
    ("no leftovers of an interrupted installation", _leftovers),
    ("no variables that bring other packages in", _variables),
)
"""What is examined, and the function that does it; a new check is a row."""


def examine(environment: Environment, environ: Mapping[str, str]) -> list[tuple[str, list[Finding]]]:
    """Every check with what it found."""
    return [(title, list(check(environment, environ))) for title, check in CHECKS]


def main(argv: Sequence[str]) -> int:
    """Print what is found; returns 1 when something is, 2 for a folder that is no environment."""
    parser = argparse.ArgumentParser(prog="mlops-lab doctor", description="Examine the health of an environment.")
    parser.add_argument("--prefix", type=Path, required=True, help="the environment's folder")
    prefix = parser.parse_args(argv).prefix
    conda = (prefix / conda_meta.FOLDER).is_dir()
    if not conda and not (prefix / "pyvenv.cfg").exists():
        raise LabError(f"{prefix} is not an environment", "make it with `invoke setup`")
    found = 0
    with contextlib.suppress(BrokenPipeError):
        for title, findings in examine(Environment(prefix.absolute(), conda=conda), os.environ):
            sys.stdout.write(f"{'✗' if findings else '✓'} {title}\n")
            for finding in findings:
                sys.stdout.write(f"    {finding.what}: {finding.remedy}\n")
            found += len(findings)
    return FOUND if found else 0
