"""What requires what, in one lock or in several: which of some packages came, or went, because of another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from mlops_lab.drift.files import Lock
    from mlops_lab.manifests.model import Requirement

__all__ = ["needs", "reached", "tops"]


def needs(*locks: Lock) -> dict[str, set[str]]:
    """What each package requires in any of these locks, what it asks of another one's extras included: name → names."""
    found: dict[str, set[str]] = {}
    for lock in locks:
        for name, pins in lock.every.items():
            edges = found.setdefault(name, set())
            for pin in pins:
                for edge in (*pin.requires, *(edge for _, edge in pin.extra_requires)):
                    edges.add(edge.name)
                    if edge.extras:
                        edges.update(_of_extras(lock, edge))
    return found


def _of_extras(lock: Lock, edge: Requirement) -> Iterator[str]:
    for pin in lock.every.get(edge.name, ()):
        for extra, other in pin.extra_requires:
            if extra in edge.extras:
                yield other.name


def reached(names: Iterable[str], requires: Mapping[str, Collection[str]]) -> set[str]:
    """These packages and all that they require."""
    todo, seen = list(names), set[str]()
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += requires.get(name, ())
    return seen


def tops(names: Collection[str], requires: Mapping[str, Collection[str]]) -> list[str]:
    """Of these packages those that no other one of them requires; of a circle, the first by name."""
    among = {name: set(requires.get(name, ())).intersection(names) - {name} for name in names}
    brought = set().union(*among.values())
    found = sorted(name for name in names if name not in brought)
    seen = reached(found, among)
    for name in sorted(names):
        if name not in seen:
            found.append(name)
            seen |= reached([name], among)
    return found
