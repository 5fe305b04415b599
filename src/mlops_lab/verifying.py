"""Whether what a certificate says is still so: of the files, and of the inventories that are given or at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlops_lab.environment import same_version
from mlops_lab.findings import Finding, Findings, Source
from mlops_lab.inventories import fingerprint
from mlops_lab.parity.judging import VERDICTS, judge, worst

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mlops_lab.inventories import Inventory
    from mlops_lab.parity.judging import Gives

    _State = tuple[str, str]  # a version, and what tells two of it apart: the digest of the files, or conda's build

__all__ = ["verify"]

_BUILT = frozenset({"sdist", "project", "seed"})
"""Classes of packages that need not have the same files when they are set up anew."""


def verify(
    certificate: Mapping[str, Any],
    there: Sequence[Inventory],
    now: Mapping[str, str] | None,
    *,
    name: str,
    subject: str,
    gives: Gives = lambda _: None,
) -> Findings:
    """Whether what a certificate says is still so.

    Args:
        certificate: The certificate, as it was read.
        there: The inventories that are given, or at hand.
        now: The project's files now: name → SHA-256; None where there is no project to look at.
        name: What the certificate is called.
        subject: The folder of the project.
        gives: Tells what the lock that is at hand gives an environment.
    """
    matched = _matched(certificate, there)
    found = [
        *_verdict(certificate, name),
        *_judged(certificate, matched, gives, name),
        *(_inputs(certificate, now, name) if now is not None else _unseen(certificate, name)),
        *(finding for label, inventory in matched.items() for finding in _moved(certificate, label, inventory, name)),
        *_not_here(certificate, matched, name),
    ]
    examined = {name: f"{certificate['verdict']}, its digest is its own"}
    examined |= {label: f"{len(inventory.packages)} packages" for label, inventory in matched.items()}
    facts = {"certificate": certificate["digest"], "verdict": certificate["verdict"], "verified": sorted(matched)}
    return Findings("parity", subject, found, examined, facts=facts)


def _matched(certificate: Mapping[str, Any], there: Sequence[Inventory]) -> dict[str, Inventory]:
    """Label → the inventory that it means: the very same one, else one of the same hybrid and system.

    One of the same Python comes before one of another.
    """
    found: dict[str, Inventory] = {}
    left = list(there)
    marks = {id(each): fingerprint(each) for each in there}

    def is_same(said: Mapping[str, str], inventory: Inventory) -> bool:
        return said["sha256"] == marks[id(inventory)]

    for fits in (is_same, _is_alike, _is_of):
        for label, said in certificate["inventories"].items():
            match = next((each for each in left if label not in found and fits(said, each)), None)
            if match is not None:
                found[label] = match
                left.remove(match)
    return found


def _is_alike(said: Mapping[str, str], inventory: Inventory) -> bool:
    return _is_of(said, inventory) and said["python"] == inventory.python


def _is_of(said: Mapping[str, str], inventory: Inventory) -> bool:
    return (said["hybrid"], said["platform"]) == (inventory.hybrid, str(inventory.platform))


# --- what it says of itself ----------------------------------------------------------------------------------------


def _verdict(certificate: Mapping[str, Any], name: str) -> Iterator[Finding]:
    if certificate["verdict"] == VERDICTS[-1]:
        why = "it certifies that the environments diverge, not that they are the same"
        yield Finding("verdict", "", (Source(name, 0, VERDICTS[-1]),), why, "invoke parity")


def _judged(
    certificate: Mapping[str, Any], matched: Mapping[str, Inventory], gives: Gives, name: str
) -> Iterator[Finding]:
    """Verdicts that the very inventories of the certificate do not bear out; who writes one can write a digest too."""
    said = certificate["inventories"]
    same = {label for label, inventory in matched.items() if said[label]["sha256"] == fingerprint(inventory)}
    for pair in certificate["pairs"]:
        first, second = labels = pair["first"], pair["second"]
        if not same.issuperset(labels):
            continue
        verdict = judge(labels, matched[first], matched[second], gives).verdict
        # Where less is known of the lock than at that time, less is found.
        if worst((verdict, pair["verdict"])) != pair["verdict"]:
            why = f"{' and '.join(labels)} are {verdict}, and it says that they are {pair['verdict']}"
            sources = (Source(name, 0, pair["verdict"]), Source(", ".join(labels), 0, verdict))
            yield Finding("verdict", "", sources, why, "invoke parity")


# --- files ---------------------------------------------------------------------------------------------------------


def _inputs(certificate: Mapping[str, Any], now: Mapping[str, str], name: str) -> Iterator[Finding]:
    for file, hashes in certificate["inputs"].items():
        if now.get(file, "") in hashes and now.get(file):
            continue
        state = "has changed since" if file in now else "is gone"
        sources = (
            Source(name, 0, f"{file} {' or '.join(value[:12] or 'of before' for value in hashes)}"),
            Source(file, 0, now[file][:12] if file in now else "not there"),
        )
        why = f"{file} {state}, so the certificate speaks of other files"
        yield Finding("inputs", "", sources, why, "nox -s check parity")


def _unseen(certificate: Mapping[str, Any], name: str) -> Iterator[Finding]:
    """Outside of a project there are no files that could have changed."""
    if files := ", ".join(certificate["inputs"]):
        why = f"there is no project here, so nobody knows whether {files} are still the same"
        hint = "run it in the project's folder"
        yield Finding("unverified", "", (Source(name, 0, files),), why, "", "note", hint)


# --- inventories ---------------------------------------------------------------------------------------------------


def _moved(certificate: Mapping[str, Any], label: str, inventory: Inventory, name: str) -> Iterator[Finding]:
    said = certificate["inventories"][label]
    if said["python"] != inventory.python:
        sources = (Source(name, 0, f"Python {said['python']}"), Source(label, 0, f"Python {inventory.python}"))
        yield Finding("python", "", sources, f"{label} has another Python now", "")
    built = {package for package, grouped in certificate["classes"].items() if grouped in _BUILT}
    then = _states(certificate["packages"], "content", label)
    now = {package: (each.version, each.content) for package, each in inventory.packages.items()}
    for package in sorted({*then, *now}):
        states = then.get(package), now.get(package)
        yield from _package(package, *states, built=package in built, label=label, name=name)
    then = _states(certificate["conda"], "build", label)
    condas = {package: (each.version, each.build) for package, each in inventory.conda.items()}
    # What is a Python package as well is told by that.
    for package in sorted({*then, *condas} - now.keys() - certificate["packages"].keys()):
        yield from _conda(package, then.get(package), condas.get(package), label=label, name=name)


def _states(packages: Mapping[str, Any], key: str, label: str) -> dict[str, _State]:
    """How the packages were in an inventory: name → version, and what tells two of it apart."""
    return {
        package: (state["version"], state[key])
        for package, states in packages.items()
        for state in states
        if label in state["in"]
    }


def _package(
    package: str, then: _State | None, now: _State | None, *, built: bool, label: str, name: str
) -> Iterator[Finding]:
    if then is None or now is None or not same_version(then[0], now[0]):
        kind = "version" if then and now else "absent"
        yield _change(kind, package, _version(then), _version(now), "invoke install", label=label, name=name)
    elif then[1] and now[1] and then[1] != now[1] and not built:
        sources = (Source(name, 0, f"{package} {then[1][:12]}"), Source(label, 0, f"{package} {now[1][:12]}"))
        why = f"{package} {now[0]} in {label} has other files than at that time"
        yield Finding("content", package, sources, why, "invoke doctor")


def _conda(package: str, then: _State | None, now: _State | None, *, label: str, name: str) -> Iterator[Finding]:
    before, after = (" ".join(each).strip() if each else "absent" for each in (then, now))
    if before != after:
        yield _change("conda", package, before, after, "invoke setup", label=label, name=name)


def _version(state: _State | None) -> str:
    return "absent" if state is None else state[0] or "of no version"


def _change(kind: str, package: str, before: str, after: str, command: str, *, label: str, name: str) -> Finding:
    sources = (Source(name, 0, f"{package} {before}"), Source(label, 0, f"{package} {after}"))
    return Finding(kind, package, sources, f"{package} was {before} in {label}, and is {after} now", command)


def _not_here(certificate: Mapping[str, Any], matched: Mapping[str, Inventory], name: str) -> Iterator[Finding]:
    missing = [label for label in certificate["inventories"] if label not in matched]
    if missing:
        why = f"no inventory of {', '.join(missing)} is here, so nobody knows whether it still says the same"
        sources = tuple(Source(label, 0, "not at hand") for label in missing)
        hint = f"name the files behind two dashes: `invoke parity --verify {name} -- FILE`"
        yield Finding("unverified", "", sources, why, "", "note", hint)
