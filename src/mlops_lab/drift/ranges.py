"""What people wrote in several files: ranges that do not meet, and ranges that leave out what is locked: `conflict`."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

from mlops_lab.drift.places import told
from mlops_lab.drift.saying import asked, edit, fixed
from mlops_lab.drift.versions import fits, meet
from mlops_lab.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mlops_lab.drift.files import Files, Lock, Written
    from mlops_lab.drift.places import Place
    from mlops_lab.findings import Source
    from mlops_lab.manifests.model import Pin, Requirement

__all__ = ["found"]


def found(files: Files) -> Iterator[Finding]:
    """Where the written files disagree with the manifest, else with what is locked, else with each other."""
    yield from _within(files)
    for name, asks in files.written.items():
        if name in files.own:
            continue
        for each in asks:
            if files.is_told(name, each.document.path):
                continue
            if finding := _against_manifest(files, each) or _against_pins(files, each):
                yield files.tell(finding, each.document.path)
        yield from _against_each_other(files, name, asks)


def _finding(files: Files, name: str, sources: tuple[Source, Source], why: str, where: Iterable[Place]) -> Finding:
    return Finding("conflict", name, sources, why, "", otherwise=edit(*sources), where=told(files.places, list(where)))


def _apart(name: str, first: Source, second: Source) -> str:
    return f"{first.path} asks for {first.said}, {second.path} asks for {second.said}: no version of {name} is both"


# --- pyproject.toml alone ------------------------------------------------------------------------------------------


def _within(files: Files) -> Iterator[Finding]:
    """Requirements of one pyproject.toml that nothing can satisfy together: a group or an extra comes on top."""
    for document in files.manifests:
        by_name: dict[str, list[Requirement]] = {}
        for each in document.requirements:
            if each.kind == "index" and not each.overrides:
                by_name.setdefault(each.name, []).append(each)
        for name, asks in by_name.items():
            for one, other in combinations(asks, 2) if len(asks) > 1 else ():
                if not _together(one, other) or meet(one.specifier, other.specifier):
                    continue
                where = [place for place in files.places.where(one.marker) if files.places.holds(other.marker, place)]
                if where and not files.is_told(name, document.path):
                    sources = (asked(one), asked(other))
                    yield files.tell(_finding(files, name, sources, _apart(name, *sources), where), document.path)


def _together(one: Requirement, other: Requirement) -> bool:
    """Whether somebody installs both: two groups, or two extras, may be meant to exclude each other."""
    scopes = {(each.group, each.extra) for each in (one, other)}
    return len(scopes) == 1 or ("", "") in scopes


# --- against what has the say --------------------------------------------------------------------------------------


def _against_manifest(files: Files, each: Written) -> Finding | None:
    asks = [one for document in files.manifests for one in document.requirements if one.name == each.name]
    asks = [one for one in asks if one.kind == "index" and not one.overrides]
    main = [one for one in asks if not (one.group or one.extra)]
    apart = [(one, where) for one in main if (where := _shared(files, one, each)) and not _meets(one, each)]
    if not apart and asks and not main:
        # What only groups and extras ask for may be meant for one of them alone.
        wheres = [(one, _shared(files, one, each)) for one in asks]
        wheres = [(one, where) for one, where in wheres if where]
        apart = wheres if wheres and not any(_meets(one, each) for one, _ in wheres) else []
    if not apart:
        return None
    one, where = apart[0]
    sources = (asked(one), asked(each.requirement))
    return _finding(files, each.name, sources, _apart(each.name, *sources), _unless_all(where, each))


def _meets(one: Requirement, each: Written) -> bool:
    return meet(one.specifier, each.specifier)


def _shared(files: Files, one: Requirement, each: Written) -> list[Place]:
    return files.places.among(each.places, one.marker, one.extra)


def _unless_all(where: Sequence[Place], each: Written) -> Sequence[Place]:
    return () if len(where) == len(each.places) else where


def _against_pins(files: Files, each: Written) -> Finding | None:
    """A range that no lock, and where there is none no exported file, can satisfy."""
    if not each.specifier:
        return None
    for kind in (files.locks, [export for export in files.exports if export.path != each.document.path]):
        wrong: list[tuple[Pin, Place]] = []
        some = [lock for lock in kind if each.name in lock.every and not files.is_told(each.name, lock.path)]
        if not some or all(_all_fit(lock, each) for lock in some):
            continue
        for place in each.places:
            pins = [pin for lock in some for pin in _pins(files, lock, each.name, place)]
            if pins and not any(fits(each.specifier, pin) for pin in pins):
                wrong.append((pins[0], place))
        if wrong:
            pin, where = wrong[0][0], [place for _, place in wrong]
            first, second = fixed(pin), asked(each.requirement)
            why = f"{pin.path} has {first.said}, and {second.path} asks for {second.said}"
            finding = _finding(files, each.name, (first, second), why, _unless_all(where, each))
            # Nobody edits what a tool has written.
            asking = (
                f", or ask for it in {files.manifest_path} and lock" if files.manifest else f", or make {pin.path} anew"
            )
            return replace(finding, otherwise=edit(second) + asking)
    return None


def _all_fit(lock: Lock, each: Written) -> bool:
    return all(fits(each.specifier, pin) for pin in lock.every[each.name])


def _pins(files: Files, lock: Lock, name: str, place: Place) -> list[Pin]:
    extras = ("", *files.extras) if lock.manager else ("",)
    return [pin for extra in extras if (pin := lock.at(place, extra).get(name))]


# --- against each other --------------------------------------------------------------------------------------------


def _against_each_other(files: Files, name: str, asks: Sequence[Written]) -> Iterator[Finding]:
    for one, other in combinations(asks, 2):
        if files.is_told(name, one.document.path, other.document.path) or _separate(one, other):
            continue
        chosen = set(other.places)
        where = [place for place in one.places if place in chosen]
        if where and not meet(one.specifier, other.specifier):
            sources = (asked(one.requirement), asked(other.requirement))
            finding = _finding(files, name, sources, _apart(name, *sources), _unless_all(where, one))
            yield files.tell(finding, other.document.path)


def _separate(one: Written, other: Written) -> bool:
    """Whether two files are for environments of their own: conda's files are, unless they name the same one."""
    first, second = one.document, other.document
    return first is not second and first.format == second.format == "conda" and first.name != second.name
