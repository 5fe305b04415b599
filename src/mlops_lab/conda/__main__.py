"""`mlops-lab-conda`, also `python -m mlops_lab.conda`: takes conda's words, ends without Python's own farewell."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn


def run() -> NoReturn:
    """Run the command of this process' words."""
    from mlops_lab.conda.cli import main

    code = main(sys.argv[1:])
    # A normal exit aborts now and then: https://github.com/PyO3/pyo3-async-runtimes/issues/40
    os._exit(code)


if __name__ == "__main__":
    # By its path, sys.path starts with this folder, whose modules have the names of others.
    here = Path(__file__).resolve().parent
    if sys.path and Path(sys.path[0]).resolve() == here:
        sys.path[0] = str(here.parents[1])
    run()
