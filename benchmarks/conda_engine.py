"""What the embedded conda takes, as a whole process, on a real local channel. It reports; it judges nothing.

    python benchmarks/conda_engine.py [--runs 15] [--json FILE]

Run it with an interpreter that has mlops-lab. Home, caches and channel are temporary. The
packages are in the cache before the first measured run, and the doctor reads every file after the last one.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_lab.engines import embedded

# The channel is the tests' own.
sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
from support.conda_channel import make

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

CONDA_YML = """\
name: bench
channels:
  - conda-forge
dependencies:
  - python >=3.11,<3.14
  - pip
  - libhello
"""
LIMITS = {"create": 0.5, "nothing to do": 0.25}
"""Seconds that are expected at most on a machine that does nothing else."""


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print; returns 0."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=15, help="runs of each command (default: 15)")
    parser.add_argument("--json", type=Path, help="write the seconds of every run to this file")
    args = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as folder:
        seconds = measure(Path(folder), args.runs)
    for name, taken in seconds.items():
        low, middle, high = min(taken), statistics.median(taken), max(taken)
        print(f"{name:<14} median {middle:.2f} s  ({low:.2f} to {high:.2f}, {len(taken)} runs; limit {LIMITS[name]} s)")
    if args.json:
        args.json.write_text(json.dumps(seconds, indent=2) + "\n", encoding="utf-8")
    return 0


def measure(folder: Path, runs: int) -> dict[str, list[float]]:
    """The seconds of each command, run by run."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("CONDA", "MAMBA", "PYTHON"))}
    channel = make(folder / "channel", environ=environ)
    environ |= {"HOME": str(folder), "MLOPS_LAB_CACHE_DIR": str(folder / "lab"), **channel.environ}
    (folder / "conda.yml").write_text(CONDA_YML, encoding="utf-8")
    prefix = folder / ".conda" / "envs" / "bench"

    def run(*words: str) -> float:
        return timed([*embedded().argv, *words], folder, environ)

    created, idle = ("env", "create", "-f", "conda.yml"), ("env", "update", "-f", "conda.yml", "--prune")
    run(*created)  # fills the cache
    found = {"create": repeated(runs, lambda: run(*created), before=lambda: shutil.rmtree(prefix))}
    found["nothing to do"] = repeated(runs, lambda: run(*idle))
    run("doctor", "-n", "bench")
    return found


def repeated(runs: int, measured: Callable[[], float], before: Callable[[], None] = lambda: None) -> list[float]:
    """The seconds of several runs; what has to be done before each is not counted."""
    taken = []
    for _ in range(runs):
        before()
        taken.append(measured())
    return taken


def timed(argv: Sequence[str], folder: Path, environ: Mapping[str, str]) -> float:
    """The seconds of a command, which has to succeed."""
    started = time.perf_counter()
    subprocess.run(argv, cwd=folder, env=dict(environ), check=True, capture_output=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
