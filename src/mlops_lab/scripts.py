"""The first line of an environment's scripts, where a system cannot start it: a path with spaces, or a long one.

pip, uv and Poetry all know the way out, but Poetry does not take it for the project's own scripts
(https://github.com/python-poetry/poetry/issues/3643).
"""

from __future__ import annotations

import base64
import hashlib
import os
import shlex
from typing import TYPE_CHECKING

from mlops_lab.environment import WINDOWS, distributions

if TYPE_CHECKING:
    from pathlib import Path

    from mlops_lab.environment import Environment

__all__ = ["mend"]

_LONGEST = 127
"""What every Linux reads of a first line (https://man7.org/linux/man-pages/man2/execve.2.html)."""


def mend(environment: Environment) -> list[str]:
    """Let `/bin/sh` start the scripts that the system cannot start by themselves; returns their names."""
    start = os.fsencode(f"#!{environment.scripts / 'python'}")
    if WINDOWS or (b" " not in start and len(start) < _LONGEST - len(b"3.11")):
        return []
    return [path.name for path in sorted(environment.scripts.iterdir()) if _mended(path, start, environment)]


def _mended(path: Path, start: bytes, environment: Environment) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        if file.read(len(start)) != start:
            return False
    before = path.read_bytes()
    first, _, rest = before.partition(b"\n")
    # Two languages in one text: sh runs `exec`, Python reads a string (https://github.com/pypa/distlib).
    launcher = f"#!/bin/sh\n'''exec' {shlex.quote(os.fsdecode(first[2:]))} \"$0\" \"$@\"\n' '''\n"
    after = os.fsencode(launcher) + rest
    path.write_bytes(after)
    _record(environment, _entry(before), _entry(after))
    return True


def _entry(content: bytes) -> bytes:
    """A file's hash and size as a RECORD has them."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
    return b",sha256=%b,%d" % (digest, len(content))


def _record(environment: Environment, before: bytes, after: bytes) -> None:
    for folder in distributions(environment):
        record = folder / "RECORD"
        if record.is_file() and before in (content := record.read_bytes()):
            record.write_bytes(content.replace(before, after))
