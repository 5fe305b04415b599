"""Whether the interpreter starts, and is the one that is meant."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_lab.doctor.subject import REBUILD, tell
from mlops_lab.runner import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlops_lab.doctor.subject import Subject
    from mlops_lab.findings import Finding

__all__ = ["find"]

# What a Python needs before anything else; the rest of the standard library stands in for it.
_QUESTION = (
    "import json, platform, sys, encodings, os, site; "
    "print(json.dumps({'version': platform.python_version(), 'prefix': sys.prefix, 'base': sys.base_prefix}))"
)

_CANDIDATE = re.compile(r"(?:a|b|rc)\d+.*")


def find(subject: Subject) -> Iterator[Finding]:
    """The record of the Python, its base, and what it says of itself when it is started."""
    prefix, python, said = subject.prefix, subject.environment.python, subject.config
    if not said:
        what = "record of a python" if subject.environment.conda else "pyvenv.cfg"
        yield _ill(f"{prefix} has no readable {what}")
        return
    if gone := _gone(home := said.get("home") or "(not named)"):
        yield _ill(f"the Python that it was made from {gone}: {home}")
        return
    if not os.access(python, os.X_OK):
        yield _ill(f"{python} is missing or cannot be started")
        return
    try:
        # What a .pth file prints at the start comes before the answer.
        answer = json.loads(subject.ask([str(python), "-I", "-c", _QUESTION]).strip().rpartition("\n")[2])
        version, there = str(answer["version"]), str(answer["prefix"])
    except CommandFailed as error:
        yield _ill(f"{python} does not start: {' / '.join(error.tail[-2:]) or error.message}")
    except (ValueError, KeyError, TypeError):
        yield _ill(f"{python} is no Python: it does not answer as one")
    else:
        yield from _meant(subject, version, there)


def _gone(home: str) -> str:
    """What is the matter with the folder of the base; empty where nothing is."""
    try:
        return "" if Path(home).is_dir() else "is gone"
    except OSError as error:
        return f"cannot be looked at ({error.strerror})"


def _meant(subject: Subject, version: str, there: str) -> Iterator[Finding]:
    if os.path.realpath(there) != os.path.realpath(subject.prefix):
        yield _ill(f"{subject.environment.python} works on {there}, not on {subject.prefix}")
    fingerprint: Any = subject.stamp.fingerprint if subject.stamp else None
    python = (fingerprint or {}).get("python")
    stamped = str(python.get("version") or "") if isinstance(python, dict) else ""
    sides = {"its own record": subject.version, "the stamp of the last setup": stamped}
    for where, expected in sides.items():
        # A venv of 3.14.0rc1 records 3.14.0.
        if not expected or expected == version or expected == _CANDIDATE.sub("", version):
            continue
        # A new patch release in the place of the old one, as systems update it, runs what was installed.
        same = expected.split(".")[:2] == version.split(".")[:2]
        yield tell(
            "interpreter",
            f"it runs Python {version}, and {where} says {expected}",
            REBUILD,
            sides=[(str(subject.environment.python), version), (where, expected)],
            severity="warning" if same else "error",
            mend="" if same else "rebuild",
        )
        return


def _ill(why: str) -> Finding:
    return tell("interpreter", why, REBUILD, mend="rebuild")
