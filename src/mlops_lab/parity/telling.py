"""What a comparison came to, as findings: each package once, with every side, whose choice it was, and what to do."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mlops_lab import inventories
from mlops_lab.findings import SEVERITIES, Finding, Findings, Source
from mlops_lab.parity.here import Here
from mlops_lab.parity.judging import CLASSES, unlike_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from mlops_lab.inventories import Inventory
    from mlops_lab.parity import Comparison
    from mlops_lab.parity.judging import Difference

__all__ = ["facts", "few", "told"]

_CAUSES = ("other", "missing", "conda", "groups", "inputs", "locks", "unknown", "source", "", "unrecorded")
"""The first that holds for a package is told; the last one explains no difference."""
_FEW = 5
_MANY = 6
"""Names of environments in one sentence: one of each hybrid."""
_AGAIN = "set {odd} up again from its lock, and compare again"
_REASONS: Mapping[str, tuple[str, str]] = {
    "other": ("it was installed behind the lock's back in {odd}", _AGAIN),
    "missing": ("the lock gives it to {odd}, where it is not installed", _AGAIN),
    "conda": (
        "conda chose it from conda.yml for {condas}",
        "take {name} out of conda.yml, or ask there for the lock's version",
    ),
    "groups": ("other groups were asked for", "set all of them up with the same groups, and compare again"),
    "inputs": ("they were made from another {files}", "set all of them up from the same files, and compare again"),
    "locks": ("{locks} not agree", "when the locks are in step, set all of them up again, and compare again"),
    "unknown": (
        "the inventories do not say whose choice that is",
        "take the inventories anew with this mlops-lab: they then say so",
    ),
}
"""Cause → whose choice led there, and what can be done."""


def told(comparison: Comparison, here: Here | None = None, *, subject: str = "", seconds: float = 0.0) -> Findings:
    """The findings of a comparison.

    Args:
        comparison: The comparison.
        here: What the project at hand can say.
        subject: The folder of the project.
        seconds: How long it took.
    """
    teller = _Teller(comparison, here or Here())
    found = [*teller.heads(), *teller.packages()]
    return Findings(
        check="parity",
        subject=subject,
        findings=sorted(found, key=lambda finding: (SEVERITIES.index(finding.severity), finding.package)),
        examined={label: _examined(inventory) for label, inventory in comparison.inventories.items()},
        seconds=seconds,
        facts=facts(comparison),
    )


def facts(comparison: Comparison) -> dict[str, Any]:
    """For programs: the verdicts, what was compared, and what was put into a class."""
    classes: dict[str, list[str]] = {grouped: [] for grouped in CLASSES}
    for name, grouped in comparison.classes.items():
        classes[grouped].append(name)
    return {
        "verdict": comparison.verdict,
        "pairs": [
            {
                "first": pair.first,
                "second": pair.second,
                "verdict": pair.verdict,
                "divergent": sorted({each.package for each in pair.differences if each.diverges}),
            }
            for pair in comparison.pairs
        ],
        "inventories": {label: _summary(inventory) for label, inventory in comparison.inventories.items()},
        "packages": len(comparison.packages),
        "classes": {grouped: names for grouped, names in classes.items() if names},
    }


def _summary(inventory: Inventory) -> dict[str, Any]:
    return {
        "hybrid": inventory.hybrid,
        "engine": inventory.engine,
        "python": inventory.python,
        "platform": str(inventory.platform),
        "groups": list(inventory.groups),
        "packages": len(inventory.packages),
        "sha256": inventories.fingerprint(inventory),
    }


def _examined(inventory: Inventory) -> str:
    return f"{len(inventory.packages)} packages, Python {inventory.python or '?'} on {str(inventory.platform) or '?'}"


@dataclass
class _Case:
    """What the pairs say of one package."""

    kinds: set[str] = field(default_factory=set)
    causes: set[str] = field(default_factory=set)

    @property
    def cause(self) -> str:
        """The cause that is told."""
        return next(cause for cause in _CAUSES if cause in self.causes)


@dataclass
class _Teller:
    comparison: Comparison
    here: Here

    # --- what is not the same of the inventories themselves ---

    def heads(self) -> Iterator[Finding]:
        yield from self._inputs()
        yield from self._unfounded()
        yield from self._chosen()
        yield from self._place("python", lambda each: each.python, "Python")
        yield from self._place("platform", lambda each: str(each.platform), "the platform")
        yield from self._unrecorded()

    @cached_property
    def _unlike(self) -> list[str]:
        """The files that not all of them were made from alike."""
        known = self.comparison.inventories.values()
        pairs = itertools.combinations(known, 2)
        return sorted({name for one, other in pairs for name in unlike_inputs(one, other)})

    def _inputs(self) -> Iterator[Finding]:
        all_of_them = self.comparison.inventories
        for name in self._unlike:
            values = {label: each.inputs.get(name) for label, each in all_of_them.items() if each.inputs}
            said = {
                label: f"{name} {value[:12]}" if value else f"no {name}" if value is None else f"{name}, changed since"
                for label, value in values.items()
            }
            stale = [label for label, value in values.items() if value == ""]
            yield Finding(
                kind="inputs",
                package="",
                sources=_sources(said),
                why=f"{name} has changed since {_and(stale)} was made from it"
                if stale
                else f"they were made from another {name} each: what differs may differ for that reason",
                command="invoke install" if any(self.here.is_here(all_of_them[label]) for label in stale) else "",
                severity="warning",
                otherwise="set all of them up from the same files, and compare again",
            )

    def _unfounded(self) -> Iterator[Finding]:
        """Those of which nobody knows what they were made from; the first form never says it."""
        of_all = self.comparison.inventories
        names = [label for label, each in of_all.items() if not each.inputs and each.form > 1]
        if names:
            why = f"nobody knows which files {_and(names)} {'were' if len(names) > 1 else 'was'} made from"
            sources = _sources(dict.fromkeys(names, "no finished setup of the project"))
            yield Finding("inputs", "", sources, why, "", "note", "`invoke setup` makes an environment that says so")

    def _chosen(self) -> Iterator[Finding]:
        said = {label: _choice(each) for label, each in self.comparison.inventories.items() if each.form > 1}
        if len(set(said.values())) < 2:  # noqa: PLR2004 - one choice
            return
        names = sorted(
            name for name, case in self._cases.items() if case.cause == "groups" and case.kinds == {"absent"}
        )
        yield Finding(
            kind="groups",
            package="",
            sources=_sources(said),
            why="other groups were asked for"
            + (f", so {_and(few(names))} {'are' if len(names) > 1 else 'is'} not in all of them" if names else ""),
            command="",
            severity="error" if names else "warning",
            otherwise="set all of them up with the same groups: `invoke setup` takes `--group` several times",
        )

    def _place(self, kind: str, value: Callable[[Inventory], str], word: str) -> Iterator[Finding]:
        said = {label: value(each) or "?" for label, each in self.comparison.inventories.items()}
        if len(set(said.values())) > 1:
            why = f"{word} is not the same, so a lock may give other packages, and other wheels of them"
            yield Finding(kind, "", _sources(said), why, "", "note")

    def _unrecorded(self) -> Iterator[Finding]:
        names = sorted(name for name, case in self._cases.items() if "unrecorded" in case.causes)
        if not names:
            return
        without = {
            label: f"an inventory of form {each.form}"
            if each.form == 1
            else "no record of their files, or none to read"
            for label, each in self.comparison.inventories.items()
            if any(name in each.packages and not each.packages[name].content for name in names)
        }
        yield Finding(
            kind="unrecorded",
            package=names[0] if len(names) == 1 else "",
            sources=_sources(without),
            why=f"nobody knows what the files of {_and(few(names))} hold, so only versions are compared",
            command="",
            severity="note",
            otherwise="take the inventories anew, with `nox -s check` or `invoke parity --inventory FILE`",
        )

    # --- packages ---

    def packages(self) -> Iterator[Finding]:
        for name, case in self._cases.items():
            if case.cause == "unrecorded" or (case.cause == "groups" and case.kinds == {"absent"}):
                continue
            if case.kinds <= {"content", "source"}:
                yield self._contents(name, case)
            elif case.kinds <= {"conda", "build"}:
                yield self._conda(name, case)
            else:
                yield self._version(name, case)

    @cached_property
    def _cases(self) -> dict[str, _Case]:
        found: dict[str, _Case] = {}
        for pair in self.comparison.pairs:
            for each in pair.differences:
                if not each.grouped:
                    case = found.setdefault(_key(each), _Case())
                    case.kinds.add(each.kind)
                    case.causes.add(each.cause)
        for case in found.values():
            # Where versions differ, contents and sources do too.
            if case.kinds & {"version", "absent"}:
                case.kinds &= {"version", "absent"}
        return dict(sorted(found.items()))

    def _version(self, name: str, case: _Case) -> Finding:
        said: dict[str, str] = {}
        versions: dict[str, str | None] = {}
        odd = []
        for label, each in self.comparison.inventories.items():
            package = each.packages.get(name)
            versions[label] = package.version if package else None
            said[label] = f"{name} {package.version}" if package else f"no {name}"
            if package and package.owner == "other":
                odd.append(label)
                said[label] += f", and its lock has {package.locked}" if package.locked else ", which no lock has"
            elif package and package.owner == "conda":
                said[label] += ", conda's"
            elif package is None and name in each.missing:
                odd.append(label)
                said[label] += f", and its lock has {each.missing[name]}"
        there = sorted({version for version in versions.values() if version})
        lines = [source for version in there for source in self.here.lines(name, version)]
        why, command, otherwise = self._reason(name, case, odd)
        return Finding(
            kind="version" if "version" in case.kinds else "absent",
            package=name,
            sources=(*lines, *(self.here.condas(name) if case.cause == "conda" else ()), *_sources(said, last=odd)),
            why=f"{_spread(versions)}: {why}",
            command=command,
            otherwise=otherwise,
        )

    def _reason(self, name: str, case: _Case, odd: Sequence[str]) -> tuple[str, str, str]:
        """Whose choice led there, the command that mends it, and what else can be done."""
        there = self.comparison.inventories
        managers = sorted({each.hybrid.rpartition("+")[2] for each in there.values()})
        values = {
            "name": name,
            "odd": _and(odd),
            "condas": _and(_of(there, name, "conda")),
            "files": _and(self._unlike),
            "locks": f"the locks of {_and(managers)} do",
        }
        why, otherwise = _REASONS[case.cause]
        command = "invoke lock" if case.cause == "locks" else ""
        if case.cause in {"other", "missing"} and any(self.here.is_here(there[label]) for label in odd):
            command = "invoke install"
        return why.format(**values), command, otherwise.format(**values)

    def _contents(self, name: str, case: _Case) -> Finding:
        """The same version with other files: which ones, and whether another wheel explains it."""
        there = {label: each for label, each in self.comparison.inventories.items() if name in each.packages}
        packages = {label: each.packages[name] for label, each in there.items()}
        said = {
            label: f"{name} {package.version} {package.content[:12] or '(nobody knows)'}"
            + (f" from a {package.source}" if package.source not in {"index", ""} else "")
            for label, package in packages.items()
        }
        files = self._files(name, there)
        version = next(iter(packages.values())).version
        text = f"it is {version} everywhere, and its files are not the same"
        if case.cause == "source":
            elsewhere = [label for label, package in packages.items() if package.source not in {"index", ""}]
            text = f"it is {version} everywhere, and came from elsewhere than the index in {_and(elsewhere)}"
        if files:
            text += f": {_and(few(files))}"
        elif len({package.tags for package in packages.values()}) > 1:
            text += ": they are other wheels of it"
        here = any(self.here.is_here(each) for each in there.values())
        return Finding(
            kind="source" if case.cause == "source" else "content",
            package=name,
            sources=_sources(said),
            why=text,
            command="invoke doctor" if here else "",
            severity="warning",
            otherwise="somebody edited it, or installed another file of that version: set that environment up again",
        )

    def _files(self, name: str, there: Mapping[str, Inventory]) -> list[str]:
        """The files that are not the same, of two inventories that have other contents; none where nobody knows."""
        known: dict[str, Mapping[str, str] | None] = {}
        for each in there.values():
            content = each.packages[name].content
            known[content] = known.get(content) or inventories.paths(each).get(name)
        maps = [files for files in known.values() if files is not None]
        if len(maps) < 2:  # noqa: PLR2004 - the contents are the same, or nobody knows
            return []
        first, second, *_ = maps
        return sorted(file for file in {*first, *second} if first.get(file) != second.get(file))

    def _conda(self, name: str, case: _Case) -> Finding:
        bare = name.removeprefix(_CONDA)
        said = {
            label: f"{bare} {package.version} {package.build} {package.channel}".strip()
            if (package := each.conda.get(bare))
            else f"no {bare}"
            for label, each in self.comparison.inventories.items()
            if each.conda
        }
        builds = case.kinds == {"build"}
        return Finding(
            kind="build" if builds else "conda",
            package=bare,
            sources=(*self.here.condas(bare), *_sources(said)),
            why=f"conda chose another {'build' if builds else 'version'} of {bare} from conda.yml",
            command="",
            severity="warning" if builds else "error",
            otherwise=f"ask for one version of {bare} in conda.yml",
        )


_CONDA = "conda:"


def _key(difference: Difference) -> str:
    """A package of conda's is another one than a Python package of that name."""
    return f"{_CONDA if difference.kind in {'conda', 'build'} else ''}{difference.package}"


def _choice(inventory: Inventory) -> str:
    groups = f"groups {', '.join(('main', *inventory.groups))}"
    return f"{groups}; extras {', '.join(inventory.extras)}" if inventory.extras else groups


def _sources(said: Mapping[str, str], last: Sequence[str] = ()) -> tuple[Source, ...]:
    """One source for each thing that is said, with all who say it: the many first, what gives way last."""
    by_text: dict[str, list[str]] = {}
    for label, text in said.items():
        by_text.setdefault(text, []).append(label)
    ordered = sorted(by_text.items(), key=lambda item: (any(label in last for label in item[1]), -len(item[1])))
    return tuple(Source(", ".join(few(labels, _MANY)), 0, text) for text, labels in ordered)


def _spread(versions: Mapping[str, str | None]) -> str:
    """`1.0 in a and b, none in c`; a record may name no version."""
    by_version: dict[str, list[str]] = {}
    for label, version in versions.items():
        by_version.setdefault("none" if version is None else version or "no version", []).append(label)
    ordered = sorted(by_version.items(), key=lambda item: -len(item[1]))
    return ", ".join(f"{version} in {_and(few(labels, _MANY))}" for version, labels in ordered)


def _of(there: Mapping[str, Inventory], name: str, owner: str) -> list[str]:
    return [label for label, each in there.items() if (package := each.packages.get(name)) and package.owner == owner]


def few(names: Sequence[str], most: int = _FEW) -> list[str]:
    """The first of many, and how many more there are."""
    return [*names[:most], f"{len(names) - most} more"] if len(names) > most else list(names)


def _and(names: Iterable[str]) -> str:
    *most, last = names or ["one of them"]
    return f"{', '.join(most)} and {last}" if most else last
