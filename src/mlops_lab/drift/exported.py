"""Exported requirements against the locks, and compiled ones against what they were compiled from."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from mlops_lab.drift.files import UNSAFE, beside
from mlops_lab.drift.graph import needs, reached, tops
from mlops_lab.drift.places import told
from mlops_lab.drift.saying import FEW, MANY, asked, fixed, nothing, out_of_step
from mlops_lab.drift.scope import scope_of
from mlops_lab.drift.siblings import differ
from mlops_lab.drift.versions import allows, fits
from mlops_lab.manifests.pyproject import normalized

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mlops_lab.drift.files import Files, Lock
    from mlops_lab.drift.places import Place
    from mlops_lab.findings import Finding
    from mlops_lab.manifests.model import Document, Pin, Requirement

__all__ = ["found"]

_NARROWED = re.compile(r"--(?:no-emit-(?:package|local|workspace)|prune|package)\b")
"""Words of a header after which nobody can tell what an export lacks."""


def found(files: Files, leader: str) -> Iterator[Finding]:
    """What exported and compiled requirements have otherwise than what they were made from."""
    for export in files.exports:
        inputs = _inputs(files, export)
        yield from _compiled(files, export, inputs, leader)
        locks = _ordered(files, export)
        if locks:
            yield from _versions(files, export, locks, leader)
        if locks and not inputs:
            yield from _gone(files, export, locks, leader)
            yield from _lacking(files, export, locks[0], leader)


def _ordered(files: Files, export: Lock) -> list[Lock]:
    """The locks, the one first that the export was made from."""
    by = export.document.export.by if export.document.export else ""
    return sorted(files.locks, key=lambda lock: lock.manager != by)


def _inputs(files: Files, export: Lock) -> list[Document]:
    """What it was compiled from: a tool that resolved anew, and took nothing from a lock."""
    said = export.document.export
    if said is not None and "compile" in said.by:
        names = {*said.inputs, str(PurePosixPath(export.path).with_suffix(".in"))}
        folder = PurePosixPath(export.path).parent
        names |= {str(folder / name) for name in said.inputs}
        return [each for each in files.documents if each.path in names and each.path != export.path]
    if said is None or not said.by:
        beside = str(PurePosixPath(export.path).with_suffix(".in"))
        return [each for each in files.documents if each.path == beside]
    return []


# --- against what it was compiled from -----------------------------------------------------------------------------


def _compiled(files: Files, export: Lock, inputs: Sequence[Document], leader: str) -> Iterator[Finding]:
    here = scope_of(export.document, files.places)
    for document in inputs:
        # What is generated itself was a limit (`-c`), and asks for nothing.
        limits = beside(document)
        for each in _asked(document, export):
            if files.is_told(each.name, export.path) or each.kind != "index" or each.name in files.own:
                continue
            where = [place for place in here if files.places.holds(each.marker, place)]
            pins = [pin for place in where if (pin := export.at(place).get(each.name))]
            pins = pins or export.every.get(each.name, [])
            if pins and where and not any(fits(each.specifier, pin) for pin in pins):
                why = f"{export.path} has {pins[0].name} {pins[0].version}, and {each.path} asks for {each.text}"
                sources = (asked(each), fixed(pins[0]))
                found = out_of_step("violation", each.name, sources, why, export, leader)
                yield files.tell(found, export.path, each.path)
            elif not (pins or limits or each.constrains or _unsure(export, each.name)) and _everywhere(files, where):
                why = f"{each.path} asks for {each.text}, and {export.path} does not have it"
                sources = (asked(each), nothing(export.path, "not pinned"))
                yield files.tell(out_of_step("missing", each.name, sources, why, export, leader), export.path)


def _asked(document: Document, export: Lock) -> Iterator[Requirement]:
    """What counts of an input: of pyproject.toml the project's own dependencies and the extras that were named."""
    said = export.document.export
    for each in document.requirements:
        named = not each.extra or (said is not None and (each.extra in said.extras or "*" in said.extras))
        if document.format != "pyproject.toml" or (named and not each.group):
            yield each


def _everywhere(files: Files, where: Sequence[Place]) -> bool:
    """Whether these places are on all platforms: which one a file was compiled on, it does not say."""
    platforms = {place.variables["sys_platform"] for place in files.places.every}
    return {place.variables["sys_platform"] for place in where} == platforms


def _unsure(export: Lock, name: str) -> bool:
    """Whether nobody can tell if a package is there: what cannot be read may name it, and tools leave some out."""
    return name in UNSAFE or any(name in normalized(each.message) for each in export.document.unread)


# --- against the locks ---------------------------------------------------------------------------------------------


def _versions(files: Files, export: Lock, locks: Sequence[Lock], leader: str) -> Iterator[Finding]:
    """Pins that no lock has at that place."""
    here = scope_of(export.document, files.places)
    wrong: dict[str, tuple[Pin, Pin, list[Place]]] = {}
    for where in _alike(files, here, export, *locks):
        for name, pin in export.at(where[0]).items():
            if name in files.own or files.is_told(name, export.path):
                continue
            if (other := _other(files, locks, name, pin, where[0])) is not None:
                wrong.setdefault(name, (other, pin, []))[2].extend(where)
    wrong = {name: sides for name, sides in sorted(wrong.items()) if not files.is_told(name, sides[0].path)}
    if len(wrong) >= MANY and 2 * len(wrong) > len(export.every):
        yield _another(files, export, wrong, leader)
        return
    for name, (other, pin, where) in wrong.items():
        why = f"{other.path} has {fixed(other).said}, {pin.path} has {fixed(pin).said}"
        sources = (fixed(other), fixed(pin))
        places = () if len(where) == len(here) else told(files.places, where)
        yield files.tell(out_of_step("conflict", name, sources, why, export, leader, places), pin.path)


def _another(files: Files, export: Lock, wrong: Mapping[str, tuple[Pin, Pin, list[Place]]], leader: str) -> Finding:
    """Most of a file is otherwise: it was made at another time, which is one cause and one finding."""
    for name in export.every:
        files.told.add((export.path, name))
    other, pin, _ = next(iter(wrong.values()))
    why = (
        f"{export.path} was made long before {other.path}: {len(wrong)} of its {len(export.every)} packages are at "
        f"other versions ({', '.join(list(wrong)[:FEW])}, …)"
    )
    return out_of_step("stale", "", (fixed(other), fixed(pin)), why, export, leader)


def _alike(files: Files, here: Sequence[Place], *locks: Lock) -> Iterator[list[Place]]:
    """The places of a file's scope in groups that none of these files tells apart."""
    chosen = set(here)
    for alike in files.places.alike([marker for lock in locks for marker in lock.markers]):
        if found := [place for place in alike if place in chosen]:
            yield found


def _other(files: Files, locks: Sequence[Lock], name: str, pin: Pin, place: Place) -> Pin | None:
    """The locked pin that a pin disagrees with; None where it agrees with some lock, or no lock knows the package."""
    first: Pin | None = None
    for lock in locks:
        if name not in lock.every:
            continue
        for extra in ("", *files.extras):
            each = lock.at(place, extra).get(name)
            if each is not None and (not differ(each, pin) or _satisfies(each, pin)):
                return None
            first = first or each
            if each is not None and len(lock.every[name]) == 1:
                break
        if first is None and lock.document.members:
            # What only a member of the workspace needs is reached from there, and not from the root.
            pins = lock.every[name]
            if any(not differ(each, pin) or _satisfies(each, pin) for each in pins):
                return None
            first = pins[0]
    return first


def _satisfies(locked: Pin, pin: Pin) -> bool:
    return bool(pin.kind == locked.kind == "index" and pin.version and locked.version) and allows(
        f"=={pin.version}", locked.version
    )


def _gone(files: Files, export: Lock, locks: Sequence[Lock], leader: str) -> Iterator[Finding]:
    """Pins of packages that no lock has any more."""
    if export.document.export and export.document.export.by == "pip freeze":
        return
    for name, pins in export.every.items():
        if name in files.own or files.is_told(name, export.path) or any(name in lock.every for lock in locks):
            continue
        why = f"{pins[0].path} has {fixed(pins[0]).said}, and {locks[0].path} does not have it any more"
        sources = (nothing(locks[0].path, "not locked"), fixed(pins[0]))
        yield files.tell(out_of_step("stale", name, sources, why, export, leader), pins[0].path)


def _lacking(files: Files, export: Lock, lock: Lock, leader: str) -> Iterator[Finding]:
    """What the lock gives to everybody and an export of it does not have."""
    said = export.document.export
    if export.document.format == "requirements" and export.path != "requirements.txt" and not (said and said.command):
        return
    if said and (_NARROWED.search(said.command) or said.by == "pip freeze" or not said.main):
        return
    named = (said.groups if said else None) or ()
    groups = files.groups if "*" in named else [group for group in named if group in files.groups]
    plain = files.among(lock, [group for group in groups if not said or group not in said.without])
    absent: dict[str, tuple[Pin, list[Place]]] = {}
    here = scope_of(export.document, files.places)
    for alike in _alike(files, here, export, lock):
        there = export.at(alike[0])
        for name, pin in plain.at(alike[0]).items():
            if name not in there and name not in files.own and pin.kind != "path" and not _unsure(export, name):
                absent.setdefault(name, (pin, []))[1].extend(alike)
    requires = needs(lock, export)
    known = reached([name for path, name in files.told if path in {export.path, lock.path}], requires)
    for name in tops(absent.keys() - known, requires):
        pin, where = absent[name]
        why = f"{pin.path} has {fixed(pin).said}, and {export.path} does not have it"
        sources = (fixed(pin), nothing(export.path, "not pinned"))
        where = [] if len(where) >= len(here) else where
        yield files.tell(
            out_of_step("missing", name, sources, why, export, leader, told(files.places, where)),
            export.path,
        )
