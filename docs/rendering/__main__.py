"""`python -m rendering`: render every part that is not fresh; with --check say which, and end with 1."""

from __future__ import annotations

import argparse
import sys

from mlops_lab import errors
from rendering import captures, parts
from rendering.regions import Broken

_REMEDY = "make them anew: nox -s docs -- --render"


def main() -> int:
    """Run the command.

    Returns:
        0: all is fresh, or has been rendered; 1: something is stale; 2: markers say nothing, or a command failed;
        130: interrupted.
    """
    words = argparse.ArgumentParser(prog="python -m rendering", description=__doc__)
    words.add_argument("--check", action="store_true", help="change nothing; say what is stale, and end with 1")
    words.add_argument("--text", action="store_true", help="the texts alone: captures start commands")
    asked = words.parse_args()
    stale = 0
    try:
        for refresh in (parts.refresh,) if asked.text else (parts.refresh, captures.refresh):
            found = refresh(write=not asked.check)
            sys.stdout.write("".join(f"{'stale' if asked.check else 'rendered'}: {each}\n" for each in found))
            stale += len(found)
    except (Broken, captures.Failed) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return errors.INTERRUPTED
    if not stale or not asked.check:
        return 0
    sys.stderr.write(f"{stale} {'parts are' if stale > 1 else 'part is'} stale; {_REMEDY}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
