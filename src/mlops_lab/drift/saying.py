"""The words of the findings: sources as they are written, and the command that mends each kind of file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mlops_lab.findings import Finding, Source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlops_lab.drift.files import Lock
    from mlops_lab.manifests.model import Pin, PythonRange, Requirement

__all__ = ["FEW", "KINDS", "MANY", "asked", "edit", "fixed", "nothing", "out_of_step", "range_of"]

MANY, FEW = 20, 3
"""From how many differences on a whole is another one altogether, and how many of them are named then."""

LOCK, EXPORT = "invoke lock", "invoke export"

KINDS: Mapping[str, str] = {
    "conflict": "two files ask for, or have locked, versions that exclude each other",
    "violation": "a lock breaks its own manifest",
    "missing": "declared, and not locked",
    "stale": "the manifest has changed since the lock was made; its content, not a hash alone",
    "installed": "the environment is not what the lock says",
    "python": "ranges of interpreters that do not meet",
    "unreadable": "a file, or a line of it, that cannot be understood",
}
"""The kinds of findings, and what each means."""


def asked(requirement: Requirement) -> Source:
    """What a file asks for."""
    return Source(requirement.path, requirement.line, requirement.text)


def fixed(pin: Pin) -> Source:
    """What a file fixes."""
    at = f" at {pin.commit[:10]}" if pin.commit else ""
    origin = f" from {pin.kind}" if pin.kind in {"git", "url", "path"} else ""
    return Source(pin.path, pin.line, f"{pin.name} {pin.version}".strip() + origin + at)


def range_of(python: PythonRange) -> Source:
    """Which Pythons a file allows."""
    return Source(python.path, python.line, python.text)


def nothing(path: str, said: str) -> Source:
    """A file that does not have something."""
    return Source(path, 0, said)


def edit(*sources: Source) -> str:
    """What only a person can decide."""
    places = [f"{source.path}:{source.line}" if source.line else source.path for source in sources]
    return f"edit {' or '.join(dict.fromkeys(places))}"


def out_of_step(
    kind: str, name: str, sources: tuple[Source, ...], why: str, lock: Lock, leader: str, where: Sequence[str] = ()
) -> Finding:
    """A finding that a lock or an export is brought up to date for.

    Args:
        kind: The kind of finding.
        name: The package.
        sources: The sides, the lock or export last.
        why: What is wrong, in a sentence.
        lock: The lock or export that gives way.
        leader: The manager that resolves.
        where: The places that it is true for.
    """
    command, otherwise, mend = _remedy(lock, leader)
    return Finding(kind, name, sources, why, command, otherwise=otherwise, where=tuple(where), mend=mend)


def _remedy(lock: Lock, leader: str) -> tuple[str, str, str]:
    """The command, what else can be done, and the recipe that mends."""
    if lock.manager:
        return LOCK, "", "lock" if lock.manager == leader else "follow"
    export = lock.document.export
    header = export.command if export else ""
    hashed = any(pin.hashed for pin in lock.document.pins)
    if lock.path == "requirements.txt" and hashed and (not header or header.startswith(("uv export", "poetry export"))):
        return EXPORT, "", "export"
    # Our own export has hashes: it does not take the place of one that was made without them.
    if not header and export and export.by == "poetry":
        header = f"poetry export --without-hashes -o {lock.path}"
    again = (
        f"make it again with `{header}`{_where(lock)}"
        if header
        else f"make {lock.path} again with the tool that made it"
    )
    return "", again, ""


def _where(lock: Lock) -> str:
    """From which folder the command of a header was given, where it names the file without its folder."""
    folder, _, name = lock.path.rpartition("/")
    header = lock.document.export.command if lock.document.export else ""
    alone = re.search(rf"(?<![\w/.-]){re.escape(name)}(?!\S)", header)
    return f" in {folder}" if folder and alone and lock.path not in header else ""
