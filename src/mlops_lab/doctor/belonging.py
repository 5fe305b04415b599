"""Whether an environment is the one that a project's files mean: its Python, its lock, its stamp, its tools."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from mlops_lab import behind, conda_meta, doctor, freshness
from mlops_lab.doctor import requires
from mlops_lab.doctor.subject import INSTALL, REBUILD, Check, listed, tell
from mlops_lab.environment import is_held, normalise
from mlops_lab.errors import LabError, redact
from mlops_lab.guide import row_named
from mlops_lab.manifests import pyproject
from mlops_lab.project import LOCKS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlops_lab.doctor.subject import Subject
    from mlops_lab.findings import Finding, Findings
    from mlops_lab.steps import Steps

__all__ = ["examine", "keep_groups"]

_SETUP = "invoke setup"


def examine(steps: Steps) -> Findings:
    """Examine a project's environment: on its own, and against the project's files.

    Args:
        steps: The steps, with the groups that the environment was made with (`keep_groups`).
    """
    started = time.monotonic()
    subject = doctor.subject_of(steps.environment, steps.environ)
    examined = doctor.examine(subject, (*doctor.CHECKS, *_checks(steps)))
    if subject.stamp is None:
        # What our recipes did not make they do not change unasked.
        examined = [(check, [dataclasses.replace(each, mend="") for each in found]) for check, found in examined]
    return doctor.found_in(subject, _once(examined), time.monotonic() - started)


def keep_groups(steps: Steps) -> None:
    """What was chosen at the setup stays chosen: otherwise every such environment would look stale."""
    subject = doctor.subject_of(steps.environment, steps.environ)
    if subject.stamp:
        known = pyproject.all_group_names(steps.project.data)
        steps.groups = tuple(group for group in subject.stamp.groups if group in known)


def _checks(steps: Steps) -> tuple[Check, ...]:
    rows = (
        ("python", "the project allows the environment's Python", _python),
        ("lock", "nothing came, changed or went behind the files' back", _behind),
        ("provenance", "every package comes from where the lock takes it", _provenance),
        ("reinstalled", "every package is the one that the last setup left", _reinstalled),
        ("fit", "the installed packages fit together", _fit),
        ("conda", "every file of conda's is as it was installed", _condas),
        ("fresh", "the environment is as the last setup left it, from these very files", _stale),
        ("tools", "the tools are the versions that the project asks for", _tools),
    )
    return tuple(Check(name, title, partial(find, steps)) for name, title, find in rows)


def _once(examined: list[tuple[Check, list[Finding]]]) -> list[tuple[Check, list[Finding]]]:
    """Each illness once, in the words of the check that knows most of it."""
    by_name = {check.name: found for check, found in examined}
    absent = {each.package for each in by_name["lock"] if each.kind == "absent"}
    # Only the files know whether what has gone is missed; only the disk, that its files are still there.
    gone = {each.package for each in by_name["lost"] if each.kind == "gone"}
    if all(each.kind != "unexamined" for each in by_name["lock"]):
        gone &= absent
    ill = {each.package for each in (*by_name["missing"], *by_name["altered"], *by_name["provenance"]) if each.package}
    ill |= {each.package for each in (*by_name["records"], *by_name["lock"], *by_name["overwritten"])}
    replaced = {each.package for each in by_name["lock"]}

    def counts(check: Check, each: Finding) -> bool:
        if each.kind == "absent":
            return each.package not in gone
        if each.kind == "gone":
            return each.package in gone
        if check.name == "reinstalled":
            return each.package not in ill
        return not (each.kind == "replaced" and each.package in replaced)

    return [(check, [each for each in found if counts(check, each)]) for check, found in examined]


def _python(steps: Steps, subject: Subject) -> Iterator[Finding]:
    from packaging.specifiers import SpecifierSet

    allowed, version = pyproject.requires_python(steps.project.data) or "", subject.version
    if version and version not in SpecifierSet(allowed):
        yield tell(
            "python",
            f"the environment has Python {version}, and pyproject.toml requires {allowed}",
            REBUILD,
            sides=[("pyproject.toml", allowed), (subject.short(subject.prefix), version)],
            mend="rebuild",
        )


def _behind(steps: Steps, subject: Subject) -> Iterator[Finding]:
    condas = conda_meta.owned(subject.prefix) if subject.environment.conda else {}
    for each in behind.found(steps):
        lock = (
            "conda-meta" if each.expected and condas.get(each.package) == each.expected else LOCKS[steps.hybrid.manager]
        )
        kind = "absent" if not each.there else "stray" if not each.expected else "changed"
        sides = [(lock, each.expected or "not asked for"), (subject.short(subject.prefix), each.there or "not there")]
        yield tell(
            kind,
            each.message,
            each.command,
            package=each.package,
            sides=sides,
            otherwise=each.otherwise,
            mend=_mend(steps, each),
        )


def _mend(steps: Steps, found: behind.Finding) -> str:
    """The recipe that makes it as the files have it, whatever else the finding offers."""
    if found.command.startswith("invoke add --conda"):
        return "rebuild" if "--force" in found.otherwise else "setup"
    if found.there and not found.expected:
        return "prune" if steps.environment.conda else "install"
    return {INSTALL: "install", _SETUP: "setup"}.get(found.command, "rebuild")


def _provenance(steps: Steps, subject: Subject) -> Iterator[Finding]:
    """Packages that somebody installed from a file, a folder or an address, although the lock has an index for them.

    Source: https://packaging.python.org/en/latest/specifications/direct-url-data-structure/
    """
    manager = steps.hybrid.manager
    indexed = _from_index(steps)
    for each in subject.others:
        if each.name not in indexed:
            continue
        if address := _address(subject.text(each.folder / "direct_url.json")):
            yield tell(
                "provenance",
                f"{each.title} was installed from {address}, and {LOCKS[manager]} takes it from an index: nobody has "
                "compared it with the hashes of the lock",
                REBUILD,
                package=each.name,
                sides=[(subject.short(each.folder / "direct_url.json"), address), (LOCKS[manager], "from an index")],
                mend="rebuild",
            )


def _from_index(steps: Steps) -> set[str]:
    from mlops_lab import locks

    kinds: dict[str, set[str]] = {}
    for package in locks.packages(steps.project, steps.hybrid.manager):
        kinds.setdefault(package.name, set()).add(package.kind)
    return {name for name, found in kinds.items() if found == {"index"}}


def _address(text: str) -> str:
    try:
        said: Any = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return "an address that cannot be read"
    return redact(str(said["url"])) if isinstance(said, dict) and said.get("url") else ""


def _reinstalled(_: Steps, subject: Subject) -> Iterator[Finding]:
    """Packages whose files are others than the last setup left, and whose records agree with them."""
    stamp = subject.stamp
    if stamp is None or not stamp.fingerprint or not subject.environment.site_packages:
        return
    folders = {each.folder: each for each in subject.others}
    for folder in freshness.damaged(subject.environment):
        if each := folders.get(folder):
            yield tell(
                "reinstalled",
                f"{each.title} has other files than the last setup left: it was installed again, or edited together "
                "with its record",
                REBUILD,
                package=each.name,
                sides=[(subject.short(folder / "RECORD"), "another one than at the last setup")],
                mend="rebuild",
            )


def _fit(steps: Steps, subject: Subject) -> Iterator[Finding]:
    yield from requires.find(subject, _wanted(steps, subject))


def _wanted(steps: Steps, subject: Subject) -> Mapping[str, str]:
    from mlops_lab import locks

    version = subject.version
    if not version or not steps.project.lock(steps.hybrid.manager).exists():
        return {}
    return locks.wanted(steps.project, steps.hybrid.manager, version, steps.groups)


def _condas(_: Steps, subject: Subject) -> Iterator[Finding]:
    if not subject.environment.conda:
        return
    from mlops_lab.conda import records

    there, broken = records.read(subject.prefix)
    found = records.inspect(subject.prefix, there, {}, thorough=True)
    for what, files in (("missing", found.missing), ("altered", found.altered)):
        for name, names in sorted(files.items()):
            why = f"conda's {name}: {listed(names)} {what}"
            yield tell(what, why, REBUILD, package=normalise(name), sides=[("conda-meta", name)], mend="rebuild")
    for path in broken:
        why = f"{subject.short(path)} is a record of conda's that cannot be read"
        yield tell("broken", why, REBUILD, mend="rebuild")


def _stale(steps: Steps, subject: Subject) -> Iterator[Finding]:
    if not steps.environment.exists:
        return  # which the check of the interpreter tells better
    if subject.stamp is None:
        why = "the environment has no stamp: nobody knows which files it was made from"
        yield tell("stale", why, REBUILD, severity="warning")
        return
    if subject.stamp.fingerprint is None and is_held(subject.prefix):
        why = "another process is setting the environment up at this moment"
        yield tell("stale", why, otherwise="wait until it has ended, then examine it again")
        return
    rebuild, renew = freshness.reasons(steps, None)
    # A setup without the word would go on with what was used last, and find nothing to do.
    command = _SETUP if subject.stamp.hybrid == steps.hybrid.name else f"{_SETUP} --hybrid {steps.hybrid}"
    if rebuild:
        yield tell("stale", "; ".join(rebuild), command, mend="rebuild")
    elif renew:
        yield tell("stale", "; ".join(renew), command, severity="warning", mend="setup")


def _tools(steps: Steps, _: Subject) -> Iterator[Finding]:
    pins = steps.project.settings.tools
    answers = (steps.words(row_named(row))[:1] for row in ("check", "install"))
    for name in dict.fromkeys(name for words in answers for name in words):
        try:
            tool = steps.toolbox.peek(name)
        except LabError as error:
            yield tell("tool", error.message, otherwise=error.hint)
            continue
        if tool is None:
            wanted, there = pins.get(name, ""), shutil.which(name, path=steps.environ.get("PATH", ""))
            why = f"{name} {wanted} is not here with the plugins that it needs: it is fetched when it is first needed"
            sides = [("pyproject.toml", f"{name} {wanted}"), *([("PATH", there)] if there else [])]
            yield tell("tool", why, "invoke tools", severity="note", sides=sides)
