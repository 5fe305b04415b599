"""`python -m mlops_lab`, also started by its file's path, from wherever the package lies."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    # By path, sys.path starts with the package itself instead of the folder that it lies in.
    here = Path(__file__).resolve().parent
    if sys.path and Path(sys.path[0]).resolve() == here:
        sys.path[0] = str(here.parent)

    from mlops_lab.cli import main

    sys.exit(main())
