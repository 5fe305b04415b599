"""The projects of `tests/projects/drift`: what is true of each, as people say it, and how that is compared."""

from __future__ import annotations

import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mlops_lab.findings import Finding

__all__ = ["PROJECTS", "Expected", "Side", "copied", "differences", "expected", "names"]

PROJECTS = Path(__file__).parent.parent / "projects" / "drift"
_EXPECTED = "expected.toml"


@dataclass(frozen=True)
class Side:
    """One side of an expected finding.

    Attributes:
        path: The file.
        line: None where no one line says it, such as what is not there at all.
        said: What the finding has to say of this side, at least: mostly the version.
    """

    path: str
    line: int | None
    said: str

    def __str__(self) -> str:
        place = self.path if self.line is None else f"{self.path}:{self.line}"
        return f"{place} ({self.said})" if self.said else place


@dataclass(frozen=True)
class Expected:
    """A finding that is true; `where` are words for the places that it has to name, and no others."""

    kind: str
    package: str
    sides: tuple[Side, ...]
    where: tuple[str, ...] = ()

    def __str__(self) -> str:
        places = f" [{', '.join(self.where)}]" if self.where else ""
        return f"{self.kind} {self.package or '-'}: {' <> '.join(map(str, self.sides))}{places}"

    def fits(self, finding: Finding) -> bool:
        """Whether the finding says this: kind, package, every side with its line and version, and no other side."""
        if (self.kind, self.package) != (finding.kind, finding.package) or len(self.sides) != len(finding.sources):
            return False
        left = list(finding.sources)
        for side in self.sides:
            found = next(
                (s for s in left if s.path == side.path and side.line in {None, s.line} and side.said in s.said), None
            )
            if found is None:
                return False
            left.remove(found)
        return not self.where or _same_places(self.where, finding.where)


def _same_places(words: Iterable[str], where: Sequence[str]) -> bool:
    told = " ".join(where)
    return all(word in told for word in words) and all(any(word in place for word in words) for place in where)


def names() -> list[str]:
    """Every project's folder."""
    return sorted(path.parent.name for path in PROJECTS.glob(f"*/{_EXPECTED}"))


def expected(name: str) -> tuple[Expected, ...]:
    """What is true of a project."""
    data = tomllib.loads((PROJECTS / name / _EXPECTED).read_text(encoding="utf-8"))
    return tuple(
        Expected(
            entry["kind"],
            entry["package"],
            tuple(_side(place, said) for place, said in zip(entry["sources"], entry["versions"], strict=True)),
            tuple(entry.get("where", ())),
        )
        for entry in data.get("finding", ())
    )


def _side(place: str, said: str) -> Side:
    path, colon, line = place.rpartition(":")
    return Side(path, int(line), said) if colon else Side(place, None, said)


def copied(name: str, into: Path) -> Path:
    """A copy of the project without what is expected of it."""
    return shutil.copytree(PROJECTS / name, into / name, ignore=shutil.ignore_patterns(_EXPECTED))


def differences(wanted: Iterable[Expected], findings: Iterable[Finding]) -> tuple[list[str], list[str]]:
    """What is missing and what is unexpected; notes are free."""
    missing: list[str] = []
    left = [finding for finding in findings if finding.severity != "note"]
    for one in wanted:
        found = next((finding for finding in left if one.fits(finding)), None)
        if found is None:
            missing.append(str(one))
        else:
            left.remove(found)
    return missing, [_told(finding) for finding in left]


def _told(finding: Finding) -> str:
    sides = " <> ".join(map(str, finding.sources))
    places = f" [{', '.join(finding.where)}]" if finding.where else ""
    return f"{finding.severity} {finding.kind} {finding.package or '-'}: {sides}{places}: {finding.why}"
