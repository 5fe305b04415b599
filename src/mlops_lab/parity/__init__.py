"""Environments compared: whether every hybrid and machine has the same packages, and whose choice it is where not."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_lab.errors import LabError
from mlops_lab.parity.judging import CLASSES, VERDICTS, Pair, Verdict, class_of, judge, worst

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from mlops_lab.inventories import Inventory
    from mlops_lab.parity.judging import Gives

__all__ = ["CLASSES", "VERDICTS", "Comparison", "Pair", "Verdict", "compare", "labelled"]


@dataclass(frozen=True)
class Comparison:
    """Several inventories, each compared with each other one.

    Attributes:
        inventories: Label → inventory.
        pairs: Every pair of them.
        classes: Package → the class that it is put in, so that its contents are not compared.
    """

    inventories: Mapping[str, Inventory]
    pairs: Sequence[Pair]
    classes: Mapping[str, str] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """The verdict over all: that of the pair that is least alike."""
        return worst(pair.verdict for pair in self.pairs)

    @property
    def packages(self) -> list[str]:
        """The names of all Python packages, in order."""
        return sorted({name for inventory in self.inventories.values() for name in inventory.packages})

    @property
    def divergent(self) -> list[str]:
        """The names of the packages whose version is not the same everywhere."""
        return sorted({each.package for pair in self.pairs for each in pair.differences if each.diverges})


def compare(inventories: Mapping[str, Inventory], gives: Gives = lambda _: None) -> Comparison:
    """Compare each inventory with each other one.

    Args:
        inventories: Label → inventory; two at least.
        gives: Tells what the lock that is at hand gives an environment; None where that is not known.

    Raises:
        LabError: There are fewer than two (code 2).
    """
    if len(inventories) < 2:  # noqa: PLR2004 - a pair
        what = f"only that of {next(iter(inventories))} is here" if inventories else "none is here"
        raise LabError(
            f"parity needs two inventories, and {what}",
            "run `nox -s check`, or name files and folders: `invoke parity -- FILE FOLDER`",
        )
    pairs = [
        judge((first, second), inventories[first], inventories[second], gives)
        for first, second in itertools.combinations(inventories, 2)
    ]
    return Comparison(inventories, pairs, _classes(inventories, pairs))


def _classes(inventories: Mapping[str, Inventory], pairs: Sequence[Pair]) -> dict[str, str]:
    found = {
        name: grouped
        for inventory in inventories.values()
        for name, package in inventory.packages.items()
        if (grouped := class_of(name, package, inventory))
    }
    for each in (each for pair in pairs for each in pair.differences if each.grouped):
        found.setdefault(each.package, each.grouped)
    return dict(sorted(found.items()))


def labelled(inventories: Sequence[Inventory], home: Path) -> dict[str, Inventory]:
    """Give each inventory a name for people: its hybrid, where that is not enough its place, then its file.

    Args:
        inventories: The inventories; one that is named twice, in whichever way, counts once.
        home: The folder that files are named from.
    """
    distinct = list({_place_of(inventory): inventory for inventory in inventories}.values())
    alike: dict[str, list[Inventory]] = {}
    for inventory in distinct:
        alike.setdefault(inventory.hybrid or "unknown", []).append(inventory)
    found: dict[str, Inventory] = {}
    for inventory in distinct:
        found[_unique(_label(inventory, alike[inventory.hybrid or "unknown"], home), found)] = inventory
    return found


def _label(inventory: Inventory, alike: Sequence[Inventory], home: Path) -> str:
    name = inventory.hybrid or "unknown"
    if len(alike) == 1:
        return name
    places = {_place(each) for each in alike}
    return f"{name} ({_place(inventory) if len(places) == len(alike) else _origin(inventory, home)})"


def _place(inventory: Inventory) -> str:
    return f"{inventory.python or '?'} on {str(inventory.platform) or '?'}"


def _origin(inventory: Inventory, home: Path) -> str:
    """A file, relative to a folder; of one elsewhere no more than the end: labels are handed on."""
    path, home = _place_of(inventory), Path(os.path.realpath(home))
    relative = path.relative_to(home) if path.is_relative_to(home) else None
    parts = relative.parts if relative and relative.parts else path.parts[-2:]
    return "/".join(parts)


def _place_of(inventory: Inventory) -> Path:
    return Path(os.path.realpath(inventory.origin))


def _unique(name: str, taken: Collection[str]) -> str:
    """The name, with a number where it is taken."""
    numbered = (f"{name} #{number}" for number in itertools.count(2))
    return next(each for each in itertools.chain([name], numbered) if each not in taken)
