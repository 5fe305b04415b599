"""Whether the installed packages fit together: `pip check` in words that say what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_lab.doctor.subject import INSTALL, tell
from mlops_lab.environment import SEEDS, normalise

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from packaging.requirements import Requirement

    from mlops_lab.doctor.distribution import Distribution
    from mlops_lab.doctor.subject import Subject
    from mlops_lab.findings import Finding

__all__ = ["find"]


def find(subject: Subject, locked: Mapping[str, str]) -> Iterator[Finding]:
    """Requirements of installed packages that are not met.

    Args:
        subject: The environment.
        locked: What the lock gives it: normalised name → version.
    """
    for each in subject.distributions:
        for requirement in _holding(each, subject):
            name = normalise(requirement.name)
            there = subject.names.get(name, "")
            if there and _fits(requirement, there):
                continue
            yield _unmet(subject, each, requirement, there, locked)


def _unmet(
    subject: Subject, each: Distribution, requirement: Requirement, there: str, locked: Mapping[str, str]
) -> Finding:
    name = normalise(requirement.name)
    wants = f"{name}{requirement.specifier}"
    sides = [
        (subject.short(each.folder), f"requires {wants}"),
        (subject.short(subject.prefix), there or "not installed"),
    ]
    if not there and each.folder in subject.condas:
        why = f"{each.title} requires {wants}, which is not installed under that name: it is conda's own package, and "
        why += "conda, which has checked what it needs, gives some packages other names"
        return tell("unmet", why, package=each.name, sides=sides, severity="note")
    why = f"{each.title} requires {wants}, and {f'{name} {there} is installed' if there else 'it is not installed'}"
    if not there and subject.sees_base:
        why += " here: it may be one of the base interpreter's packages, which can be imported too"
        return tell("unmet", why, package=each.name, sides=sides, severity="note")
    if name in locked and locked[name] != there:
        return tell("unmet", why, INSTALL, package=each.name, sides=sides, mend="install")
    if each.name in SEEDS:
        return tell("unmet", why, package=each.name, sides=sides, severity="note")
    command = f"invoke update {name}" if there and name in locked else f'invoke add "{wants}"'
    return tell("unmet", why, command, package=each.name, sides=sides)


def _fits(requirement: Requirement, version: str) -> bool:
    from packaging.version import InvalidVersion

    try:
        return requirement.specifier.contains(version, prereleases=True)
    except InvalidVersion:
        return not requirement.specifier


def _holding(each: Distribution, subject: Subject) -> Iterator[Requirement]:
    """What a distribution requires here, without any of its extras."""
    from packaging.requirements import Requirement

    from mlops_lab.manifests.markers import marker_environment

    version = subject.version or subject.series
    variables = {**marker_environment(version), "extra": ""} if version else {}
    for text in each.requires:
        try:
            requirement = Requirement(text)
            if not requirement.marker or requirement.marker.evaluate(dict(variables)):
                yield requirement
        except ValueError:
            continue  # what older tools wrote there
