"""The places that a project supports, Pythons by platforms, and which markers hold where.

A marker is evaluated once for each combination of the variables that it names, not once for each package and place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from mlops_lab.errors import LabError
from mlops_lab.manifests.markers import PLATFORMS as USUAL
from mlops_lab.manifests.markers import holds, marker_environment
from mlops_lab.manifests.poetry_lock import EXTRA, decided

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

__all__ = ["Place", "Places", "places", "told"]

_MACHINES = (("linux", "aarch64"), ("darwin", "x86_64"))
"""Beside the usual machine of each platform."""
_MINORS = tuple(f"3.{minor}" for minor in range(8, 16))
_PATCHES = range(100)
_PATCH = re.compile(r"""python_full_version\s*[<>=!~]+\s*["']((3\.\d+)\.[1-9]\d*)["']""")
_VARIABLE = re.compile(r"\b(?:python_full_version|python_version|os_name|sys_platform|platform_\w+|implementation_\w+)")
_KNOWN = frozenset(marker_environment("3.12"))


@dataclass(frozen=True)
class Place:
    """A Python on a platform.

    Attributes:
        name: Such as `3.11 on linux`.
        python: Such as `3.11`, or `3.11.4` where a marker tells that one from others.
        platform: Such as `linux`, with a machine that is not the usual one behind it.
        variables: What markers are evaluated with.
    """

    name: str
    python: str
    platform: str
    variables: Mapping[str, str] = field(hash=False, compare=False)


@dataclass
class Places:
    """Every place that the files can tell from another one.

    Attributes:
        every: All of them.
    """

    every: Sequence[Place]
    _known: dict[tuple[str, tuple[str, ...]], bool] = field(default_factory=dict, repr=False)

    def holds(self, marker: str | None, place: Place, extras: Collection[str] = ()) -> bool:
        """Whether a marker holds at a place, with these extras; one that cannot be understood does."""
        if not marker:
            return True
        text = decided(marker, extras) or "" if "extra" in marker else marker
        values = tuple(place.variables[name] for name in _variables(text))
        key = (text, values)
        if key not in self._known:
            try:
                self._known[key] = holds(text, place.variables)
            except (LabError, ValueError, KeyError, RecursionError):
                self._known[key] = True
        return self._known[key]

    def where(self, marker: str | None, extras: Collection[str] = ()) -> tuple[Place, ...]:
        """The places at which a marker holds."""
        return tuple(place for place in self.every if self.holds(marker, place, extras)) if marker else (*self.every,)

    def numbers(self, marker: str | None) -> Iterator[int]:
        """The numbers of the places at which a marker holds, without any extra."""
        return (number for number, place in enumerate(self.every) if self.holds(marker, place))

    def among(self, some: Sequence[Place], marker: str | None, extra: str = "") -> list[Place]:
        """Those of some places at which a marker holds."""
        return [place for place in some if self.holds(marker, place, [extra] if extra else [])]

    def alike(self, markers: Iterable[str]) -> list[tuple[Place, ...]]:
        """The places in groups that none of these markers tells apart."""
        texts = sorted({each for marker in markers if marker for each in _both(marker)})
        found: dict[tuple[bool, ...], list[Place]] = {}
        for place in self.every:
            found.setdefault(tuple(self.holds(text, place) for text in texts), []).append(place)
        return [tuple(group) for group in found.values()]


def _both(marker: str) -> Iterator[str]:
    """A marker with its extras decided both ways; the same one where it names none."""
    if "extra" not in marker:
        yield marker
        return
    extras = {match[2] or match[3] for match in EXTRA.finditer(marker)}
    yield decided(marker, ()) or ""
    yield decided(marker, extras) or ""


@cache
def _variables(marker: str) -> tuple[str, ...]:
    return tuple(sorted(_KNOWN.intersection(_VARIABLE.findall(marker))))


def places(specifiers: Sequence[str], markers: Iterable[str], limits: Sequence[str] = ()) -> Places:
    """The places that a project supports.

    Args:
        specifiers: The Pythons that it allows; all of them count.
        markers: Every marker of its files: a patch release or a machine counts only where one speaks of it.
        limits: Markers of which one has to hold (`tool.uv.environments`).
    """
    texts = set(markers)
    patches = {match[1] for text in texts for match in _PATCH.finditer(text)}
    machines = any("platform_machine" in text for text in texts)
    every = [
        place for name, full in _pythons(specifiers, patches) for place in _platforms(name, full, machines=machines)
    ]
    limited = Places([place for place in every if any(Places([]).holds(limit, place) for limit in limits)])
    return limited if limited.every else Places(every)


def _pythons(specifiers: Sequence[str], patches: Collection[str]) -> Iterator[tuple[str, str]]:
    """Every Python to look at, with its full version: the first allowed release of a minor one, and more."""
    from mlops_lab.drift.versions import allows

    def allowed(version: str) -> bool:
        return all(allows(specifier, version) for specifier in specifiers)

    minors = [minor for minor in _MINORS if allowed(f"{minor}.99") or allowed(f"{minor}.0")]
    minors = minors or [minor for minor in _MINORS if any(allowed(f"{minor}.{patch}") for patch in _PATCHES)]
    for minor in minors or _MINORS:
        yield minor, next((full for patch in range(30) if allowed(full := f"{minor}.{patch}")), f"{minor}.0")
        for patch in sorted(patches):
            # Markers name the first release that is otherwise, or the last one that is not.
            bound = int(patch.rpartition(".")[2])
            for full in (f"{minor}.{bound}", f"{minor}.{bound + 1}"):
                if patch.startswith(f"{minor}.") and allowed(full):
                    yield full, full


def _platforms(name: str, python: str, *, machines: bool) -> Iterator[Place]:
    for platform in USUAL:
        # The same on every machine, whichever this one is.
        usual = {
            **marker_environment(python, platform),
            **USUAL[platform],
            "platform_release": "",
            "platform_version": "",
        }
        yield Place(f"{name} on {platform}", name, platform, usual)
        for system, machine in _MACHINES if machines else ():
            if system == platform:
                where = f"{platform} {machine}"
                yield Place(f"{name} on {where}", name, where, usual | {"platform_machine": machine})


def told(places: Places, some: Collection[Place]) -> tuple[str, ...]:
    """Some of the places in few words: none for all of them, `3.11` for every platform, `linux` for every Python."""
    if len(some) == len(places.every) or not some:
        return ()
    chosen = set(some)
    for key in ("platform", "python"):
        groups: dict[str, list[Place]] = {}
        for place in places.every:
            groups.setdefault(getattr(place, key), []).append(place)
        whole = [name for name, group in groups.items() if chosen.issuperset(group)]
        if sum(len(groups[name]) for name in whole) == len(chosen):
            return tuple(whole)
    return tuple(place.name for place in places.every if place in chosen)
