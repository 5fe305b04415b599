"""Versions and ranges: which version a range allows, whether two ranges meet, whether two texts mean the same."""

from __future__ import annotations

import contextlib
import re
from functools import cache
from typing import TYPE_CHECKING

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_version
from packaging.version import InvalidVersion, Version

if TYPE_CHECKING:
    from mlops_lab.manifests.model import Pin

__all__ = ["allows", "fits", "meaning", "meet"]

_OR = re.compile(r"\s*\|\|?\s*")
_EXACT = re.compile(r"===?\s*([^\s,*]+)\s*$")


@cache
def _alternatives(specifier: str) -> tuple[SpecifierSet, ...] | None:
    """The sets of which one is enough; None where the text is nothing that PEP 440 knows."""
    try:
        return tuple(SpecifierSet("" if part == "*" else part) for part in _OR.split(specifier.strip()))
    except InvalidSpecifier:
        return None


@cache
def allows(specifier: str, version: str) -> bool:
    """Whether a range allows a version; what cannot be judged is allowed.

    A prerelease that somebody has locked was meant, and `2.1.0+cu121` is a `2.1.0`, as PEP 440 has it.
    """
    sets = _alternatives(specifier)
    if sets is None:
        return True
    if not _is_version(version):
        return any(all(clause.operator != "===" or clause.version == version for clause in each) for each in sets)
    return any(each.contains(version, prereleases=True) for each in sets)


def fits(specifier: str, pin: Pin) -> bool:
    """Whether a pin is as a range asks for; what comes from elsewhere than an index has no version to judge."""
    return pin.kind != "index" or not pin.version or allows(specifier, pin.version)


@cache
def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True


@cache
def meet(first: str, second: str) -> bool:
    """Whether some version is in both ranges; what cannot be judged is.

    Nearly all that meet have a bound of one of them, or a little more, in common: only where there is no such witness
    poetry-core is asked, whose import takes longer than all the rest.
    """
    if not first or not second:
        return True
    if _alternatives(first) is None or _alternatives(second) is None:
        return True
    if any(allows(first, version) and allows(second, version) for version in _witnesses(first, second)):
        return True
    if _EXACT.match(first.strip()) or _EXACT.match(second.strip()):
        return False
    from poetry.core.constraints.version import parse_constraint

    with contextlib.suppress(ValueError, RecursionError):
        return not parse_constraint(first).intersect(parse_constraint(second)).is_empty()
    return True


def _witnesses(*specifiers: str) -> list[str]:
    found = ["0", "99999"]
    for specifier in specifiers:
        for each in _alternatives(specifier) or ():
            for clause in each:
                bound = clause.version.removesuffix(".*")
                found.append(bound)
                with contextlib.suppress(InvalidVersion):
                    known = Version(bound)
                    epoch = f"{known.epoch}!" if known.epoch else ""
                    found.append(f"{epoch}{'.'.join(map(str, known.release))}.1")
    return found


@cache
def meaning(specifier: str) -> frozenset[frozenset[tuple[str, str]]] | str:
    """A range as what it means, in whatever order and spelling it is written; the text itself where it is none."""
    sets = _alternatives(specifier)
    if sets is None:
        return "".join(specifier.split())
    return frozenset(frozenset((clause.operator, _canonical(clause.version)) for clause in each) for each in sets)


def _canonical(version: str) -> str:
    stem = version.removesuffix(".*")
    # How many numbers there are is a part of what `==1.0.*` and `~=1.0` mean; it is what `1.0` and `1` have in common.
    return version if stem != version else canonicalize_version(stem)
