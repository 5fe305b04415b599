"""Two inventories side by side: each package that is not the same in both, and whose choice led there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mlops_lab.environment import SEEDS, same_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from mlops_lab.inventories import CondaPackage, Inventory, Package

    Gives = Callable[[Inventory], Mapping[str, str] | None]
    """What the lock that is at hand gives an environment; None where it is not the one that was installed from."""

__all__ = ["CLASSES", "VERDICTS", "Difference", "Pair", "Verdict", "class_of", "judge", "unlike_inputs", "worst"]

Verdict = Literal["identical", "equivalent", "divergent"]
VERDICTS: tuple[Verdict, ...] = ("identical", "equivalent", "divergent")
"""Same versions and contents; same versions; neither."""

CLASSES: Mapping[str, str] = {
    "project": "the project itself",
    "seed": "build tools that an environment begins with",
    "conda": "conda's own, of which only versions are compared",
    "sdist": "built from source on each machine, so that only versions are compared",
    "place": "what the lock gives to one Python or platform alone, or as another wheel",
}
"""What is told apart, and no divergence."""

_Cause = Literal["other", "missing", "conda", "groups", "inputs", "locks", "unknown", "", "unrecorded", "source"]


@dataclass(frozen=True, slots=True)
class Difference:
    """A package that is not the same in two inventories.

    Attributes:
        kind: `version`, `absent` or `content` of a Python package; `source`, where it came from; `conda` or `build` of
            a package of conda's.
        package: Its name.
        grouped: The class that it is put in, so that it is no divergence; empty: it counts.
        cause: What led there: something installed behind the lock's back (`other`), not installed (`missing`), conda's
            choice, other groups, other input files, locks that disagree, or nobody knows.
    """

    kind: str
    package: str
    grouped: str = ""
    cause: _Cause = ""

    @property
    def diverges(self) -> bool:
        """Whether another version is there, or none."""
        return not self.grouped and self.kind in {"version", "absent", "conda"}


@dataclass(frozen=True, slots=True)
class Pair:
    """Two inventories, compared.

    Attributes:
        first: The label of the first one.
        second: The label of the second one.
        verdict: What they are to each other.
        differences: What is not the same in both.
    """

    first: str
    second: str
    verdict: Verdict
    differences: Sequence[Difference]


@dataclass(frozen=True)
class _Two:
    """What two inventories have in common, asked for each package."""

    first: Inventory
    second: Inventory
    gives: Gives

    @property
    def same_place(self) -> bool:
        return self.first.place == self.second.place

    @property
    def same_choice(self) -> bool:
        return (self.first.groups, self.first.extras) == (self.second.groups, self.second.extras)

    def blame(self, name: str) -> _Cause | Literal["place"]:
        """What made two locks give one package otherwise: the first that is not the same explains it."""
        if not self.same_choice:
            return "groups"
        if unlike_inputs(self.first, self.second):
            return "inputs"
        if not self.same_place and self._as_given(name):
            return "place"
        return "locks"

    def _as_given(self, name: str) -> bool:
        """Whether the lock says so itself; where it is not at hand, both have what their own one gives them."""
        for inventory in (self.first, self.second):
            given = self.gives(inventory)
            there = inventory.packages.get(name)
            if given is None or given.get(name) == "":  # not at hand, or a version that the lock does not name
                continue
            if not same_version(given.get(name, ""), there.version if there else ""):
                return False
        return True


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict over several: that of those who are least alike."""
    return max(verdicts, key=VERDICTS.index)


def judge(labels: tuple[str, str], first: Inventory, second: Inventory, gives: Gives = lambda _: None) -> Pair:
    """Compare two inventories.

    Args:
        labels: What they are called.
        first: The one.
        second: The other one.
        gives: Tells what the lock that is at hand gives an environment.
    """
    two = _Two(first, second, gives)
    names = sorted({*first.packages, *second.packages})
    found = [each for name in names if (each := _package(name, two)) is not None]
    found += _condas(two)
    verdict: Verdict = "identical"
    if any(each.kind in {"content", "source", "build"} or each.grouped == "place" for each in found):
        verdict = "equivalent"
    if any(each.diverges for each in found):
        verdict = "divergent"
    return Pair(*labels, verdict, found)


def unlike_inputs(first: Inventory, second: Inventory) -> list[str]:
    """The names of the files that two inventories were made from and that are not the same; derived ones apart."""
    derived = {*first.derived, *second.derived}
    names = (first.inputs.keys() | second.inputs.keys()) - derived if first.inputs and second.inputs else set()
    return sorted(
        name
        for name in names
        # A file that has changed since is not the same as anything.
        if first.inputs.get(name) != second.inputs.get(name) or not first.inputs[name]
    )


def class_of(name: str, package: Package, inventory: Inventory) -> str:
    """The class of a package whose contents are not compared; empty where they are."""
    if package.owner in {"project", "seed"}:
        return package.owner
    if package.owner == "conda" or (not package.owner and name in inventory.conda):
        return "conda"
    if not package.owner and name in SEEDS:
        return "seed"
    return "sdist" if package.built == "sdist" else ""


# --- one package ---------------------------------------------------------------------------------------------------


def _package(name: str, two: _Two) -> Difference | None:
    first, second = two.first.packages.get(name), two.second.packages.get(name)
    if first is None or second is None:
        return _absent(name, two, *((first, two.first) if first else (second, two.second)))
    classes = [class_of(name, first, two.first), class_of(name, second, two.second)]
    if not same_version(first.version, second.version):
        return _versions(name, two, (first, second), classes)
    if any(classes):
        # What was built from a source of somebody's own is not what another one took from the index.
        elsewhere = set(classes) <= {"", "sdist"} and _elsewhere(first, second)
        return Difference("source", name, cause="source") if elsewhere else None
    return _contents(name, two, first, second)


def _absent(name: str, two: _Two, there: Package | None, holder: Inventory) -> Difference | None:
    if there is None:
        return None
    other = two.second if holder is two.first else two.first
    grouped = class_of(name, there, holder)
    if grouped in {"project", "seed"} or (grouped == "conda" and not other.is_condas):
        return Difference("absent", name, grouped)
    cause = _why_absent(name, there, other)
    if cause != "lock":
        return Difference("absent", name, cause=cause)
    if there.owner == "lock" and other.form == holder.form:
        return _blamed("absent", name, two)
    # An inventory of the first form says nothing of whose choice it was.
    return Difference("absent", name, "" if two.same_place else "place", "unknown")


def _why_absent(name: str, there: Package, other: Inventory) -> _Cause | Literal["lock"]:
    """Who has it that a package is only in the one; `lock`: the lock, as far as anybody knows."""
    if there.owner == "other":
        return "other"
    if name in other.missing:
        return "missing"
    return "conda" if there.owner == "conda" else "lock"


def _blamed(kind: str, name: str, two: _Two) -> Difference:
    cause = two.blame(name)
    return Difference(kind, name, "place") if cause == "place" else Difference(kind, name, cause=cause)


def _versions(name: str, two: _Two, packages: tuple[Package, Package], classes: Sequence[str]) -> Difference:
    owners = {package.owner for package in packages}
    for grouped in ("project", "seed"):
        if grouped in classes:
            return Difference("version", name, grouped)
    if "other" in owners:
        return Difference("version", name, cause="other")
    if "conda" in classes:
        return Difference("version", name, cause="conda")
    if owners == {"lock"}:
        return _blamed("version", name, two)
    return Difference("version", name, cause="unknown")


def _contents(name: str, two: _Two, first: Package, second: Package) -> Difference | None:
    if "" in {first.content, second.content}:
        return Difference("content", name, cause="unrecorded")
    if first.content == second.content:
        return None
    if not two.same_place and first.tags != second.tags:
        return Difference("content", name, "place")
    return Difference("content", name, cause="source" if first.source != second.source else "")


def _elsewhere(first: Package, second: Package) -> bool:
    """Whether only one of two packages came from an index, and their files are not known to be the same."""
    sources = {first.source, second.source}
    return "index" in sources and sources > {"index"} and not (first.content and first.content == second.content)


# --- conda's own ---------------------------------------------------------------------------------------------------


def _condas(two: _Two) -> Iterator[Difference]:
    """The packages of conda's, of two environments that conda made; another platform has others."""
    first, second = two.first.conda, two.second.conda
    if not (first and second):
        return
    for name in sorted({*first, *second}):
        one, other = first.get(name), second.get(name)
        kind = _conda_kind(one, other)
        # What is a Python package as well is told by that.
        if kind and not (name in two.first.packages or name in two.second.packages):
            yield Difference(kind, name, "" if two.same_place else "place", "conda")


def _conda_kind(one: CondaPackage | None, other: CondaPackage | None) -> str:
    if one is None or other is None or one.version != other.version:
        return "conda"
    return "build" if one.build and other.build and one.build != other.build else ""
