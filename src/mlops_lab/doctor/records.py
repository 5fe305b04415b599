"""What is recorded and what is there: missing and altered files, broken, doubled and lost records, leftovers."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_lab import conda_meta
from mlops_lab.doctor.distribution import altered
from mlops_lab.doctor.subject import INSTALL, REBUILD, listed, tell
from mlops_lab.environment import named, normalise

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlops_lab.doctor.distribution import Distribution
    from mlops_lab.doctor.subject import Subject
    from mlops_lab.findings import Finding

__all__ = ["changed", "doubled", "leftover", "lost", "missing", "overwritten", "unreadable"]

_CODE = (".py", ".so", ".pyd", ".pyc")
_CHUNK = re.compile(r"\d+|[a-z]+")


def unreadable(subject: Subject) -> Iterator[Finding]:
    """Records that are not there, cannot be read, or speak of something else."""
    for each in subject.others:
        if each.folder.suffix != ".dist-info":
            continue
        for why in (each.no_metadata, each.unread):
            if why:
                yield _broken(subject, each, f"{each.folder.name} {why}")
        if each.strange:
            lines = "a line that is no record" if each.strange == 1 else f"{each.strange} lines that are no records"
            yield _broken(subject, each, f"{each.folder.name} has a RECORD with {lines}")
        if each.denied:
            yield _broken(subject, each, f"{each.title}: {listed(each.denied)} cannot be looked at: permission denied")
        if each.outside:
            # An uninstall would delete them.
            files = listed([repr(path[:120]) for path in each.outside])
            yield _broken(subject, each, f"{each.folder.name} has a RECORD that names files outside of it: {files}")
        if said := _something_else(each):
            yield _broken(subject, each, f"{each.folder.name} has the METADATA of {said}")


def _something_else(each: Distribution) -> str:
    """What METADATA is about, where that is not what the folder is named after."""
    says = dict(each.says)
    if each.no_metadata:
        return ""
    same = normalise(says["Name"]) == each.name and _loosely(says["Version"]) == _loosely(each.version)
    return "" if same else f"{says['Name']} {says['Version']}"


def _loosely(version: str) -> list[str]:
    """A version in a form that its spelling in a folder's name shares: `1.0+cu121` and `1_0.cu121.0`."""
    parts = [part.lstrip("0") or "0" if part.isdigit() else part for part in _CHUNK.findall(version.lower())]
    while parts[-1:] == ["0"]:
        parts.pop()
    return parts


def _broken(subject: Subject, each: Distribution, why: str) -> Finding:
    return tell(
        "broken", why, REBUILD, package=each.name, sides=[(subject.short(each.folder), each.version)], mend="rebuild"
    )


def missing(subject: Subject) -> Iterator[Finding]:
    """Recorded files that are gone."""
    for each in subject.others:
        if gone := [file.path for file in each.files if file.status is None]:
            yield tell(
                "missing",
                f"{each.title}: {listed(gone)} missing",
                REBUILD,
                package=each.name,
                sides=[(subject.short(each.folder / "RECORD"), f"{len(each.files)} files, {len(gone)} of them gone")],
                mend="rebuild",
            )


def changed(subject: Subject) -> Iterator[Finding]:
    """Recorded files whose content is another one; every file is read."""
    for each in subject.others:
        if found := [file.path for file in each.files if altered(file)]:
            yield tell(
                "altered",
                f"{each.title}: {listed(found)} altered",
                REBUILD,
                package=each.name,
                sides=[(subject.short(each.folder / "RECORD"), f"{len(each.files)} files, {len(found)} differ")],
                mend="rebuild",
            )


def doubled(subject: Subject) -> Iterator[Finding]:
    """Packages that are recorded more than once."""
    names = Counter(each.name for each in subject.distributions)
    for name, count in names.items():
        if count > 1:
            folders = [each for each in subject.distributions if each.name == name]
            yield tell(
                "duplicate",
                f"{name} is recorded {count} times",
                REBUILD,
                package=name,
                sides=[(subject.short(each.folder), each.version) for each in folders],
                mend="rebuild",
            )


def leftover(subject: Subject) -> Iterator[Finding]:
    """What an interrupted installer, or another Python, left behind."""
    site = subject.environment.site_packages
    if site is None:
        return
    for folder in sorted(site.glob("~*")):
        # What it was called before pip put it aside: https://github.com/pypa/pip/blob/main/src/pip/_internal/utils/temp_dir.py
        yield tell(
            "leftover",
            f"{folder.name} is what an interrupted pip left behind",
            REBUILD,
            sides=[(subject.short(folder), "nothing imports it")],
            mend="sweep",
        )
    for other in sorted(subject.prefix.glob("lib/python3*/site-packages/*.dist-info")):
        if other.parent != site and other.parent.resolve() != site.resolve():
            yield tell(
                "leftover",
                f"{subject.short(other.parent)} has packages of a Python that is not the environment's any more",
                REBUILD,
                severity="warning",
                mend="rebuild",
            )
            return


def lost(subject: Subject) -> Iterator[Finding]:
    """Code that no record names: what a deleted `.dist-info` leaves, and what somebody copied there.

    The latter is nothing for `--fix`, which would throw it away unasked.
    """
    gone = _gone(subject)
    unrecorded = _unrecorded(subject)
    for top, files in unrecorded.items():
        if (name := normalise(Path(top).stem)) not in gone:
            yield tell(
                "unrecorded",
                f"{listed(sorted(files))} can be imported, and no installed package records it",
                REBUILD,
                package=name,
                severity="warning",
            )
    tops = {normalise(Path(top).stem) for top in unrecorded}
    for name, version in gone.items():
        there = ", and its files are still there: its dist-info was deleted" if name in tops else ""
        yield tell(
            "gone",
            f"{name} {version} was there after the last setup, and nothing records it now{there}",
            INSTALL,
            package=name,
            sides=[("the stamp of the last setup", version), (subject.short(subject.prefix), "not recorded")],
            mend="install",
        )


def _gone(subject: Subject) -> dict[str, str]:
    """What the last setup left and nothing records now: name → version."""
    fingerprint = subject.stamp.fingerprint if subject.stamp else None
    packages = (fingerprint or {}).get("packages")
    names = packages if isinstance(packages, dict) else {}
    then = dict(named(Path(name)) for name in names)
    return {name: version for name, version in then.items() if name not in subject.names}


def _unrecorded(subject: Subject) -> dict[str, list[str]]:
    """Files of code in site-packages that nothing records, by the first part of their path."""
    site = subject.environment.site_packages
    if site is None:
        return {}
    known = subject.condas_files.union(*(each.named for each in subject.distributions))
    excused = _excused(subject, site)
    found: dict[str, list[str]] = {}
    # Links are not followed, so no loop ends nowhere.
    for folder, folders, names in os.walk(site):
        folders[:] = [
            name for name in folders if name != "__pycache__" and not name.startswith("~") and not _is_info(name)
        ]
        code = [name for name in names if name.endswith(_CODE)]
        code += [name for name in folders if _leads_out(subject, f"{folder}{os.sep}{name}")]
        for name in code:
            path = f"{folder}{os.sep}{name}"
            if path not in known:
                short = os.path.relpath(path, site)
                if (top := short.partition(os.sep)[0]) not in excused:
                    found.setdefault(top, []).append(short)
    return found


def _leads_out(subject: Subject, folder: str) -> bool:
    """Whether a folder is a link to somewhere else, as people link their own code."""
    return Path(folder).is_symlink() and not Path(os.path.realpath(folder)).is_relative_to(subject.prefix.resolve())


def _is_info(name: str) -> bool:
    return name.endswith((".dist-info", ".egg-info"))


def _excused(subject: Subject, site: Path) -> set[str]:
    """Names that are somebody's although no RECORD says so, or are reported in another way."""
    found = {"_virtualenv.py", "sitecustomize.py", "usercustomize.py"}
    unlisted = [each for each in subject.distributions if each.unread]
    for each in unlisted:
        lines = subject.text(each.folder / "top_level.txt").split()
        found |= {*lines, *(f"{line}.py" for line in lines)}
    names = {each.name for each in unlisted}
    # An egg is its own record: https://setuptools.pypa.io/en/latest/deprecated/python_eggs.html
    return found | {entry.name for entry in site.iterdir() if normalise(entry.stem) in names or entry.suffix == ".egg"}


def overwritten(subject: Subject) -> Iterator[Finding]:
    """Packages of conda's that an installer of Python packages wrote over, and files that two records claim."""
    replaced = conda_meta.replaced(subject.prefix, subject.names) if subject.environment.conda else []
    for other in replaced:
        yield tell(
            "replaced",
            f"{other.name} {other.conda} is conda's, and "
            + (f"{other.name} {other.now} was installed over it" if other.now else "it is gone"),
            REBUILD,
            package=other.name,
            severity="note" if other.now else "warning",
            otherwise="nothing, if the lock wants it so",
        )
    known = {other.name for other in replaced}
    for each in subject.others:
        files = [file.path for file in each.files if file.place in subject.condas_files]
        if files and each.name not in known:
            yield tell(
                "overlap",
                f"{each.title} wrote over files that a package of conda's records: {listed(files)}",
                REBUILD,
                package=each.name,
                severity="warning",
            )
    for (first, second), files in _shared(subject).items():
        yield tell(
            "overlap",
            f"{first} and {second} both record {listed(files)}: the one that was installed last is there",
            package=second,
            severity="note",
            otherwise="nothing, if the two share it on purpose, as the packages of a namespace do",
        )


def _shared(subject: Subject) -> dict[tuple[str, str], list[str]]:
    owners: dict[str, str] = {}
    shared: dict[tuple[str, str], list[str]] = {}
    for each in subject.others:
        for file in each.files:
            if (first := owners.setdefault(file.place, each.name)) != each.name:
                shared.setdefault((first, each.name), []).append(file.path)
    return shared
