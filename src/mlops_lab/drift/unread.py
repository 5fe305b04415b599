"""What cannot be read: `unreadable`."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from mlops_lab.findings import Finding, Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from mlops_lab.findings import Severity
    from mlops_lab.manifests.model import Document

__all__ = ["found"]

HINT = "correct the line"
_NAME = re.compile(r'"[A-Za-z]')
"""pyenv-virtualenv keeps the name of an environment in .python-version: https://github.com/pyenv/pyenv-virtualenv."""


def found(documents: Iterable[Document], root: Path) -> Iterator[Finding]:
    """Every part of a file that cannot be understood, and every file that one includes and that is not there."""
    for document in documents:
        for each in document.unread:
            source = Source(each.path, each.line, "cannot be read")
            severity: Severity = (
                "note" if document.format == "python-version" and _NAME.match(each.message) else "error"
            )
            yield Finding("unreadable", "", (source,), each.message, "", severity, otherwise=each.hint or HINT)
        for name in (*document.includes, *document.limits):
            if "://" not in name and not (root / name).is_file():
                line, text = _line(root / document.path, PurePosixPath(name).name)
                source = Source(document.path, line, text)
                why, hint = f"{document.path} includes {name}, which is not there", "make it, or take the line out"
                yield Finding("unreadable", "", (source,), why, "", otherwise=hint)


def _line(path: Path, name: str) -> tuple[int, str]:
    """Where a file names another one, and how."""
    lines = path.read_bytes().decode("utf-8", errors="replace").splitlines()
    return next(((number, line.strip()) for number, line in enumerate(lines, 1) if name in line), (0, name))
