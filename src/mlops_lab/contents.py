"""What the files of an installed distribution hold: a digest of it that is the same whoever installed them."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from typing import TYPE_CHECKING

from mlops_lab.environment import WINDOWS, is_regular

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from mlops_lab.environment import Environment

__all__ = ["MISSING", "digest", "hashes"]

MISSING = "missing"
"""Stands for the hash of a file that the record names and that is not there."""
_RECORDS = (".dist-info", ".egg-info")
# Installers put headers into folders of different names: https://docs.python.org/3/library/sysconfig.html
_HEADERS = re.compile(r"^include/(?:site/)?python3\.\d+t?/")


def digest(files: Mapping[str, str]) -> str:
    """One hash over names and hashes, in the order of the names."""
    lines = "".join(f"{name}\0{content}\n" for name, content in sorted(files.items()))
    return hashlib.sha256(lines.encode(errors="surrogateescape")).hexdigest()


def hashes(environment: Environment, distribution: Path) -> dict[str, str] | None:
    """The SHA-256 of each file of a distribution that every installer installs alike; every one of them is read.

    Left out are what an installer writes itself: the records, bytecode, and scripts, whose first line names the
    environment.

    Returns:
        Name → hash. Names count from the folder of the packages, and begin with `ENV/` beside it. None where nobody
        knows: the distribution has no RECORD, or one of its files cannot be read.
    """
    found, scripts, record = {}, str(environment.scripts) + os.sep, distribution / "RECORD"
    if not is_regular(record):
        return None
    try:
        # What is no UTF-8 is a file's name all the same, where the system has such names.
        text = record.read_text(encoding="utf-8", errors="surrogateescape")
        for name, path in _files(str(environment.prefix), str(distribution.parent), text):
            if (content := _hash(path, script=path.startswith(scripts))) is not None:
                found[name] = content
    except OSError:
        return None
    return found


def _files(prefix: str, site: str, record: str) -> Iterator[tuple[str, str]]:
    """The recorded files in the environment: their names, and their paths."""
    parent = os.path.realpath(site)  # a link may lead there, and what the record names counts from its end
    for line in record.splitlines():
        path = line.rpartition(",")[0].rpartition(",")[0]
        if path.startswith('"'):
            path = path[1:-1].replace('""', '"')
        if not path or path.endswith(".pyc") or "\0" in path:
            continue
        whole = os.path.normpath(os.path.join(parent, path))  # noqa: PTH118 - thousands of these: a Path costs more
        # Poetry records its own editable files by absolute paths; what a record names elsewhere is nobody's package.
        if whole.startswith(parent + os.sep):
            name = whole[len(parent) + 1 :].replace(os.sep, "/")
            if not name.partition("/")[0].endswith(_RECORDS):
                yield name, whole
        elif whole.startswith(prefix + os.sep):
            name = whole[len(prefix) + 1 :].replace(os.sep, "/")
            yield f"ENV/{_HEADERS.sub('include/', name)}", whole


def _hash(path: str, *, script: bool) -> str | None:
    """The hash of a file; None for a script that its installer wrote.

    Raises:
        OSError: It is there, and cannot be read.
    """
    if script and WINDOWS:
        return None  # a launcher, whose end names the environment
    if not _is_file(path):
        return MISSING
    with open(path, "rb") as content:  # noqa: PTH123 - likewise
        if script and content.read(2) == b"#!":
            return None
        content.seek(0)
        return hashlib.file_digest(content, "sha256").hexdigest()


def _is_file(path: str) -> bool:
    """Whether a file is there, and no pipe, which would never end.

    Raises:
        PermissionError: Nobody may look.
    """
    try:
        return stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116 - thousands of these: a Path costs more
    except PermissionError:
        raise
    except (OSError, ValueError):  # too long, links that lead round in a circle, no name of this system
        return False
