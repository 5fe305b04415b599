"""A lock against itself: what one of its packages requires is locked at another version (`violation`) or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_lab.drift.files import UNSAFE
from mlops_lab.drift.places import told
from mlops_lab.drift.saying import fixed, nothing, out_of_step
from mlops_lab.drift.versions import allows
from mlops_lab.findings import Finding, Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlops_lab.drift.files import Files, Lock
    from mlops_lab.drift.places import Place
    from mlops_lab.manifests.model import Pin, Requirement

__all__ = ["found"]


def found(files: Files, leader: str) -> Iterator[Finding]:
    """What breaks in a lock: the edges of uv.lock and of exports name no ranges, those of poetry.lock do."""
    overridden = {each.name for document in files.manifests for each in document.requirements if each.overrides}
    for lock in files.locks:
        yield from _holes(files, lock, leader)
        wrong: dict[str, tuple[Pin, Requirement, Pin, list[Place]]] = {}
        for group in lock.alike if lock.manager != "uv" else ():
            for pin, edge, other in _broken(files, lock, group[0]):
                wrong.setdefault(other.name, (pin, edge, other, []))[3].extend(group)
        for name, (pin, edge, other, where) in wrong.items():
            if name not in overridden and not files.is_told(name, lock.path):
                said = _said(pin, edge)
                sources = (_source(pin, edge), fixed(other))
                why = f"{said}, and {lock.path} has {other.name} {other.version}"
                places = told(files.places, dict.fromkeys(where))
                yield files.tell(out_of_step("violation", name, sources, why, lock, leader, places))


def _holes(files: Files, lock: Lock, leader: str) -> Iterator[Finding]:
    """What a package of the lock requires, and the lock does not have in any version."""
    if lock.document.unread:
        return
    for pin in lock.document.pins:
        for edge in pin.requires:
            name = edge.name
            if name in lock.every or name in UNSAFE or name in files.own or files.is_told(name, lock.path):
                continue
            if pin.kind != "project" and any(_counts(files, lock, pin, edge, group[0]) for group in lock.alike):
                sources = (_source(pin, edge), nothing(lock.path, "not locked"))
                why = f"{_said(pin, edge)}, and {lock.path} does not have it"
                yield files.tell(out_of_step("missing", name, sources, why, lock, leader), lock.path)


def _counts(files: Files, lock: Lock, pin: Pin, edge: Requirement, place: Place) -> bool:
    return lock.at(place).get(pin.name) is pin and files.places.holds(edge.marker, place)


def _said(pin: Pin, edge: Requirement) -> str:
    return f"{pin.name} {pin.version} requires {edge.name}{edge.specifier}"


def _source(pin: Pin, edge: Requirement) -> Source:
    return Source(pin.path, edge.line or pin.line, _said(pin, edge))


def _broken(files: Files, lock: Lock, place: Place) -> Iterator[tuple[Pin, Requirement, Pin]]:
    """A package, what it requires, and what is locked instead, at one place."""
    there = lock.at(place)
    for pin in there.values():
        for edge in pin.requires:
            other = there.get(edge.name) if edge.specifier else None
            if other is None or other.kind != "index" or not other.version:
                continue
            if not allows(edge.specifier, other.version) and files.places.holds(edge.marker, place):
                yield pin, edge, other
