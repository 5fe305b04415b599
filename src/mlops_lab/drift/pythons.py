"""Which Pythons the files allow: ranges that do not meet (`python`), and a lock made for another range (`stale`)."""

from __future__ import annotations

import re
from itertools import combinations
from typing import TYPE_CHECKING

from mlops_lab.drift.saying import edit, out_of_step, range_of
from mlops_lab.drift.versions import allows, meet
from mlops_lab.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mlops_lab.drift.files import Files, Lock
    from mlops_lab.manifests.model import Document, PythonRange

__all__ = ["found"]

_VERSIONS = ("2.7.18", *(f"3.{minor}.{patch}" for minor in range(6, 30) for patch in (0, 99)), "4.0")
_RELEASE = re.compile(r"(\d+\.\d+)\.(\d+)")


def found(files: Files, leader: str) -> Iterator[Finding]:
    """Where the files cannot mean the same Python."""
    manifest = files.manifest.pythons if files.manifest else ()
    others = [each for document in files.documents for each in _said_by(document)]
    apart = [(one, other) for one, other in combinations(manifest, 2) if not _meet(one, other)]
    for other in others:
        apart += [(one, other) for one in manifest if not _meet(one, other)][:1]
    known = {id(other) for _, other in apart}
    apart += [
        (one, other)
        for one, other in combinations(others, 2)
        if not {id(one), id(other)} & known and not _separate(files, one, other) and not _meet(one, other)
    ]
    for one, other in apart:
        sources = (range_of(one), range_of(other))
        why = f"{one.path} wants Python {_said(one)}, {other.path} wants Python {_said(other)}: no Python is both"
        yield files.tell(Finding("python", "", sources, why, "", otherwise=edit(*sources)))
    for lock in files.locks:
        yield from _lock(files, lock, manifest, leader)


def _said(python: PythonRange) -> str:
    return python.text.removeprefix("python").strip() or python.text


def _said_by(document: Document) -> Sequence[PythonRange]:
    """What is neither the manifest's nor a lock's; of several lines of .python-version one is enough."""
    if document.format not in {"conda", "python-version"}:
        return ()
    return document.pythons[:1]


def _separate(files: Files, one: PythonRange, other: PythonRange) -> bool:
    """Whether they speak of environments of their own, as several files of conda's do."""
    formats = {document.path: document.format for document in files.documents}
    return formats[one.path] == formats[other.path] == "conda"


def _meet(one: PythonRange, other: PythonRange) -> bool:
    return meet(one.specifier, other.specifier)


def _lock(files: Files, lock: Lock, manifest: Sequence[PythonRange], leader: str) -> Iterator[Finding]:
    asked = [each for each in manifest if lock.manager == "poetry" or "poetry" not in each.key]
    members = [each for document in files.members for each in document.pythons] if lock.manager == "uv" else []
    if not asked or not lock.document.pythons:
        return
    own = lock.document.pythons[0]
    # Poetry writes its own range where there are two.
    meant = [[each.specifier for each in (*asked, *members)], [asked[-1].specifier]]
    if any(_alike(specifiers, [own.specifier]) for specifiers in meant):
        return
    kind = "stale" if all(meet(each, own.specifier) for each in meant[0]) else "python"
    sources = (range_of(asked[-1]), range_of(own))
    why = f"{lock.path} was made for Python {_said(own)}, and {asked[-1].path} asks for {_said(asked[-1])}"
    yield files.tell(out_of_step(kind, "", sources, why, lock, leader))


def _alike(some: Sequence[str], others: Sequence[str]) -> bool:
    """Whether ranges allow the same Pythons."""
    named = {(stem, int(patch)) for each in (*some, *others) for stem, patch in _RELEASE.findall(each)}
    bounds = {f"{stem}.{number}" for stem, patch in named for number in (max(patch - 1, 0), patch, patch + 1)}
    return all(
        all(allows(each, version) for each in some) == all(allows(each, version) for each in others)
        for version in (*_VERSIONS, *sorted(bounds))
    )
