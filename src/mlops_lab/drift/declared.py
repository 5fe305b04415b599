"""What pyproject.toml asks for against what a lock has: `stale`, `missing` or `violation`, one for a package."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mlops_lab.drift.files import UNSAFE
from mlops_lab.drift.graph import needs, reached, tops
from mlops_lab.drift.places import told
from mlops_lab.drift.saying import asked, fixed, nothing, out_of_step
from mlops_lab.drift.versions import fits, meaning

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

    from mlops_lab.drift.files import Files, Lock
    from mlops_lab.drift.places import Place
    from mlops_lab.findings import Finding
    from mlops_lab.manifests.model import Document, Pin, Requirement

__all__ = ["found"]


def found(files: Files, leader: str) -> Iterator[Finding]:
    """What the locks do not have as the manifests ask for it."""
    for lock in files.locks:
        for document in files.manifests:
            asks = _asks(files, lock, document)
            yield from _changed(files, lock, document, asks, leader)
            yield from _unfit(files, lock, [each for each in asks if each.name not in files.own], leader)
        if lock.manager == "poetry" and files.manifest:
            yield from _regrouped(files, lock, leader)
            yield from _unreached(files, lock, leader)


def _asks(files: Files, lock: Lock, document: Document) -> list[Requirement]:
    """What the manager of a lock reads in a manifest."""
    asks = [each for each in document.requirements if _sees(files, lock, each)]
    poetrys = [each for each in document.requirements if each.only == "poetry" and not each.group]
    if lock.manager == "uv" and poetrys and all(each.group for each in asks):
        # Of a project that says its dependencies in Poetry's words alone, uv asks the build backend.
        then = _declared(lock, document, files) or ()
        asks += poetrys if any(not each.group for each in then) else []
    return asks


def _sees(files: Files, lock: Lock, each: Requirement) -> bool:
    """Whether the manager of a lock reads this requirement at all."""
    if each.only not in {"", lock.manager}:
        return False
    # Poetry knows nothing of the groups of what it takes by its path.
    return lock.manager == "uv" or not each.group or each.path == files.manifest_path


# --- what the lock says that it was made for -----------------------------------------------------------------------


def _changed(
    files: Files, lock: Lock, document: Document, asks: Sequence[Requirement], leader: str
) -> Iterator[Finding]:
    """Where the manifest asks for something else than when the lock was made, which uv.lock remembers."""
    then = _declared(lock, document, files)
    if then is None:
        return
    dynamic = {"dependencies", "optional-dependencies"}.intersection(document.dynamic)
    now, before = _by_name(asks), _by_name(then)
    for name in [*now, *(name for name in before if name not in now)]:
        first, second = now.get(name, []), before.get(name, [])
        if document is not files.manifest and all(each.kind != "index" for each in second):
            # A member takes over the sources of the workspace's root.
            first = [replace(each, kind="path") if each.kind == "index" else each for each in first]
        if name == document.name or _meant(files, first) == _meant(files, second):
            continue
        if dynamic and not any(each.group or each.only for each in [*first, *second]):
            continue
        if document.unread and not first:
            continue  # it may stand in what cannot be read
        new = _odd(files, first, second)
        old = _odd(files, second, first)
        sources = (
            asked(new) if new else nothing(document.path, f"{name} not declared"),
            asked(old) if old else nothing(lock.path, f"{name} not asked for"),
        )
        why = f"{lock.path} was made when {document.path} asked for {_said(old)}; now it asks for {_said(new)}"
        yield files.tell(out_of_step("stale", name, sources, why, lock, leader), lock.path)


def _declared(lock: Lock, document: Document, files: Files) -> Sequence[Requirement] | None:
    if document is files.manifest:
        return lock.document.declared
    pins = lock.every.get(document.name, [])
    return pins[0].declared if pins else None


def _by_name(requirements: Iterable[Requirement]) -> dict[str, list[Requirement]]:
    by_name: dict[str, list[Requirement]] = {}
    for each in requirements:
        by_name.setdefault(each.name, []).append(each)
    return by_name


def _meant(files: Files, requirements: Iterable[Requirement]) -> dict[Hashable, frozenset[int]]:
    """What requirements come to, however they are written and divided: what is asked for → where, of all places.

    uv writes markers in a spelling of its own, leaves out what holds wherever the project is supported, and divides one
    requirement where its sources do.
    """
    found: dict[Hashable, frozenset[int]] = {}
    for each in requirements:
        where = frozenset(files.places.numbers(each.marker))
        if where:
            key = _key(each)
            found[key] = found.get(key, frozenset()) | where
    return found


def _key(each: Requirement) -> Hashable:
    specifier = meaning(each.specifier) if each.kind == "index" else ""
    scope = (each.group, each.extra, each.constrains, each.overrides)
    return (*scope, specifier, each.extras, each.kind == "index")


def _odd(files: Files, some: Sequence[Requirement], others: Sequence[Requirement]) -> Requirement | None:
    """The one of them that the others do not have; else any."""
    own, known = _meant(files, some), _meant(files, others)
    odd = (each for each in some if known.get(_key(each)) != own.get(_key(each)))
    return next(odd, some[0] if some else None)


def _said(requirement: Requirement | None) -> str:
    if requirement is None:
        return "no such package"
    scope = f" in the group {requirement.group}" if requirement.group else ""
    scope += f" in the extra {requirement.extra}" if requirement.extra else ""
    return f"{requirement.text}{scope}"


# --- what the lock has ---------------------------------------------------------------------------------------------


def _unfit(files: Files, lock: Lock, asks: Sequence[Requirement], leader: str) -> Iterator[Finding]:
    """What is asked for and not locked, or locked at a version that is not asked for."""
    overridden = {each.name for each in asks if each.overrides}
    for each in asks:
        if files.is_told(each.name, lock.path) or (each.name in overridden and not each.overrides):
            continue
        if _is_as_asked(lock, each):
            continue
        absent, wrong = _looked_up(files, lock, each)
        if wrong:
            pin, where = next(iter(wrong.values()))
            why = f"{lock.path} has {pin.name} {pin.version}, and {each.path} asks for {each.text}"
            sources = (asked(each), fixed(pin))
            yield files.tell(
                out_of_step("violation", each.name, sources, why, lock, leader, told(files.places, where)),
                lock.path,
            )
        elif absent and not lock.document.unread and (lock.grouped or each.name not in UNSAFE):
            why = f"{each.path} asks for {_said(each)}, and {lock.path} does not have it"
            sources = (asked(each), nothing(lock.path, "not locked"))
            yield files.tell(
                out_of_step("missing", each.name, sources, why, lock, leader, told(files.places, absent)),
                lock.path,
            )


def _is_as_asked(lock: Lock, each: Requirement) -> bool:
    """Whether every version that is there will do, in a lock that was made for this very requirement.

    Then nothing has to be looked up at every place; uv.lock says what it was made for, and that is compared before.
    """
    pins = lock.every.get(each.name, ())
    return bool(pins) and lock.document.declared is not None and all(fits(each.specifier, pin) for pin in pins)


def _looked_up(
    files: Files, lock: Lock, each: Requirement
) -> tuple[list[Place], Mapping[str, tuple[Pin, list[Place]]]]:
    """Where a package is not locked, and where at a version that is not asked for: version → pin and places."""
    absent: list[Place] = []
    wrong: dict[str, tuple[Pin, list[Place]]] = {}
    member = each.path != files.manifest_path
    for group in lock.alike:
        for place in files.places.among(group, each.marker, each.extra):
            pins = _pins(lock, each, place, loosely=member or bool(each.extra and not lock.grouped))
            if not pins:
                if not (each.constrains or each.overrides):
                    absent.append(place)
            elif each.kind == "index" and not any(fits(each.specifier, pin) for pin in pins):
                wrong.setdefault(pins[0].version, (pins[0], []))[1].append(place)
    return absent, wrong


def _pins(lock: Lock, each: Requirement, place: Place, *, loosely: bool) -> Sequence[Pin]:
    """What is locked of a package at a place; of what only a member or an old lock's extra wants, all that there is."""
    pin = lock.at(place, each.extra).get(each.name)
    if pin is not None:
        return [pin]
    return lock.every.get(each.name, []) if loosely else []


# --- what only Poetry's lock tells ---------------------------------------------------------------------------------


def _regrouped(files: Files, lock: Lock, leader: str) -> Iterator[Finding]:
    """What is asked for by a group for which Poetry's lock does not have it."""
    for each in files.manifest.requirements if files.manifest else ():
        group = each.group or "main"
        if each.constrains or each.name in files.own or not _sees(files, lock, each):
            continue
        pins = [pin for pin in lock.every.get(each.name, []) if pin.groups]
        if pins and not any(group in pin.groups for pin in pins) and not files.is_told(each.name, lock.path):
            why = f"{each.path} asks for {_said(each)}; {lock.path} has it for {' and '.join(pins[0].groups)} only"
            sources = (asked(each), fixed(pins[0]))
            yield files.tell(out_of_step("stale", each.name, sources, why, lock, leader), lock.path)


def _unreached(files: Files, lock: Lock, leader: str) -> Iterator[Finding]:
    """What nothing in the manifest leads to any more, without what only came along with it."""
    asks = [each for document in files.manifests for each in document.requirements]
    manifest = files.manifest
    if manifest is None or not (asks or manifest.name) or "dependencies" in manifest.dynamic:
        return
    if any(document.unread for document in files.manifests):
        return  # it may stand in what cannot be read
    extras = _led_to(lock, asks)
    left = {name: pins[0] for name, pins in lock.every.items() if name not in extras and name not in files.own}
    requires = needs(lock)
    for cause, names in _causes(lock, tops(left, requires), extras).items():
        brought = sorted(reached(names, requires) & left.keys() - {cause})
        asked_for = next((each for each in asks if each.name == cause), None)
        pin = lock.every[cause][0]
        files.told.update((lock.path, name) for name in brought)
        if cause in left:
            along = f" with {', '.join(brought)}" if brought else ""
            why = f"{lock.path} has {pin.name} {pin.version}{along}"
        else:
            why = f"{lock.path} has what extras of {cause} bring ({', '.join(brought)})"
        why += f", and nothing in {manifest.path} asks for it any more"
        first = asked(asked_for) if asked_for else nothing(manifest.path, f"{pin.name} not declared")
        yield files.tell(out_of_step("stale", cause, (first, fixed(pin)), why, lock, leader), lock.path)


def _causes(lock: Lock, names: Iterable[str], extras: Mapping[str, set[str]]) -> dict[str, list[str]]:
    """Who brought each of these packages: itself, or the package whose extra nobody asks for any more."""
    found: dict[str, list[str]] = {}
    dropped = {
        edge.name: name
        for name, asked_for in extras.items()
        for pin in lock.every.get(name, ())
        for extra, edge in pin.extra_requires
        if extra not in asked_for
    }
    for name in names:
        found.setdefault(dropped.get(name, name), []).append(name)
    return found


def _led_to(lock: Lock, asks: Iterable[Requirement]) -> dict[str, set[str]]:
    """The names that these requirements lead to, in whatever place, with the extras that are asked of each."""
    extras: dict[str, set[str]] = {}
    todo = list(asks)
    while todo:
        each = todo.pop()
        new = each.name not in extras
        known = extras.setdefault(each.name, set())
        fresh = set(each.extras) - known
        known |= fresh
        for pin in lock.every.get(each.name, ()):
            todo += pin.requires if new else ()
            todo += [edge for extra, edge in pin.extra_requires if extra in fresh]
    return extras
