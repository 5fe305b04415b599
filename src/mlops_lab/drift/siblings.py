"""Two locks side by side: the same package at two versions, or from two origins, for the same place: `conflict`."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from mlops_lab.drift.graph import needs, reached, tops
from mlops_lab.drift.places import told
from mlops_lab.drift.saying import fixed, nothing, out_of_step
from mlops_lab.environment import same_version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlops_lab.drift.files import Files, Lock
    from mlops_lab.drift.places import Place
    from mlops_lab.findings import Finding, Source
    from mlops_lab.manifests.model import Pin

__all__ = ["differ", "found"]

_Pair = tuple["Pin | None", "Pin | None"]


def found(files: Files, leader: str) -> Iterator[Finding]:
    """Where the locks differ, as far as neither of them is already told to be behind the manifest there."""
    for first, second in combinations(files.locks, 2):
        pairs = _pairs(files, first, second)
        absent = {name for name, by_pins in pairs.items() if any(None in pair for pair in by_pins)}
        known = {name for path, name in files.told if path in {first.path, second.path}}
        requires = needs(first, second)
        # What came or went with another package that differs is no finding of its own.
        brought = reached((pairs.keys() - absent) | known, requires)
        alone = {*tops(absent - brought, requires)}
        for name in [name for name in sorted(pairs) if name not in absent or name in alone]:
            if name not in known:
                yield files.tell(_finding(files, first, second, name, pairs[name], leader), second.path)


def _pairs(files: Files, first: Lock, second: Lock) -> dict[str, dict[_Pair, list[Place]]]:
    """Each package that differs: its pins in the two locks → the places."""
    pairs: dict[str, dict[_Pair, list[Place]]] = {}
    one, other = files.shared(first), files.shared(second)
    for alike in files.places.alike([*first.markers, *second.markers]):
        for extra in ("", *files.extras):
            here, there = one.at(alike[0], extra), other.at(alike[0], extra)
            for name in here.keys() | there.keys():
                pair = (here.get(name), there.get(name))
                if name not in files.own and differ(*pair):
                    places = pairs.setdefault(name, {}).setdefault(pair, [])
                    places += [each for each in alike if each not in places]
    return pairs


def differ(first: Pin | None, second: Pin | None) -> bool:
    """Whether two pins of a package cannot both be true."""
    if first is None or second is None:
        return True
    if first.version == second.version and first.kind == second.kind and first.commit == second.commit:
        return False
    if "git" in {first.kind, second.kind} and first.kind != second.kind:
        return True
    if (
        first.commit
        and second.commit
        and not (first.commit.startswith(second.commit) or second.commit.startswith(first.commit))
    ):
        return True
    return bool(first.version and second.version) and not same_version(first.version, second.version)


def _finding(
    files: Files, first: Lock, second: Lock, name: str, by_pins: Mapping[_Pair, list[Place]], leader: str
) -> Finding:
    # One difference is told; another one of the same package has the same cause.
    one, other = next(iter(by_pins))
    everywhere = list(dict.fromkeys(place for places in by_pins.values() for place in places))
    sources = (_source(one, first), _source(other, second))
    more = f" (and {len(by_pins) - 1} more)" if len(by_pins) > 1 else ""
    why = f"{first.path} has {_said(one, name)}, {second.path} has {_said(other, name)}{more}"
    if _is_behind(files, second):
        why += f": {second.path} is older than {files.manifest_path}"
    elif _is_behind(files, first):
        why += f": {first.path} is older than {files.manifest_path}"
    return out_of_step("conflict", name, sources, why, second, leader, told(files.places, everywhere))


def _is_behind(files: Files, lock: Lock) -> bool:
    return lock.path in files.behind


def _source(pin: Pin | None, lock: Lock) -> Source:
    return fixed(pin) if pin else nothing(lock.path, "not locked")


def _said(pin: Pin | None, name: str) -> str:
    return f"no {name}" if pin is None else fixed(pin).said
