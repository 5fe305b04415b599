"""What runs at every start of the interpreter, or brings other folders in: `.pth` files, sitecustomize, the user site.

Source: https://docs.python.org/3/library/site.html
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_lab.doctor.subject import REBUILD, listed, tell
from mlops_lab.environment import named

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlops_lab.doctor.subject import Subject
    from mlops_lab.findings import Finding, Severity

__all__ = ["find"]

_KNOWN = re.compile(r"_virtualenv\.pth|distutils-precedence\.pth|easy-install\.pth|.*-nspkg\.pth|__editable__.*\.pth")
"""Written by installers themselves, which do not record them all."""
_CUSTOM = ("sitecustomize.py", "usercustomize.py")


def find(subject: Subject) -> Iterator[Finding]:
    """Files that nobody records and that bring other code in, and the packages of the user's own folder."""
    site = subject.environment.site_packages
    recorded = subject.condas_files.union(*(each.named for each in subject.distributions))
    for path in sorted(site.glob("*.pth")) if site else ():
        if str(path) not in recorded and not _KNOWN.fullmatch(path.name):
            yield from _path_file(subject, path)
    for path in (site / name for name in _CUSTOM) if site else ():
        if path.exists() and str(path) not in recorded:
            why = f"{subject.short(path)} runs at every start, and no installed package records it"
            yield tell("startup", why, REBUILD, severity="warning", sides=[(subject.short(path), "unrecorded")])
    if subject.sees_base:
        why = "the packages of the base interpreter can be imported too: include-system-site-packages is true"
        # Our recipes make none like that; others do so on purpose.
        ours = subject.stamp is not None
        severity: Severity = "warning" if ours else "note"
        yield tell("startup", why, REBUILD if ours else "", severity=severity, sides=[("pyvenv.cfg", "true")])
    yield from _user_site(subject)


def _path_file(subject: Subject, path: Path) -> Iterator[Finding]:
    lines = [line.strip() for line in subject.text(path).splitlines()]
    code = [line for line in lines if line.startswith(("import ", "import\t"))]
    folders = [line for line in lines if line and not line.startswith("#") and line not in code]
    outside = [line for line in folders if not _inside(subject, path.parent / line)]
    for what, found in (("runs code at every start", code), ("brings another folder in", outside)):
        if found:
            yield tell(
                "startup",
                f"{subject.short(path)} {what}, and no installed package records it: {listed([found[0][:120]])}",
                REBUILD,
                severity="warning",
                sides=[(subject.short(path), line[:120]) for line in found[:3]],
            )


def _inside(subject: Subject, path: Path) -> bool:
    try:
        return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(subject.prefix))
    except (OSError, ValueError):
        return False


def _user_site(subject: Subject) -> Iterator[Finding]:
    """A venv leaves the user's packages out; a conda environment has them before its own."""
    if not (subject.environment.conda or subject.sees_base) or subject.environ.get("PYTHONNOUSERSITE"):
        return
    folder = _user_folder(subject)
    if folder is None:
        return
    theirs = dict(named(each) for each in sorted(folder.glob("*.dist-info")))
    hidden = [name for name in theirs if name in subject.names]
    for name in hidden:
        yield tell(
            "user-site",
            f"{name} {theirs[name]} of {folder} comes before the environment's {subject.names[name]}",
            "export PYTHONNOUSERSITE=1",
            package=name,
            severity="warning",
            sides=[(str(folder), theirs[name]), (subject.short(subject.prefix), subject.names[name])],
        )
    if theirs and not hidden:
        why = f"{len(theirs)} packages of {folder} can be imported too: {listed(sorted(theirs), 3)}"
        yield tell("user-site", why, "export PYTHONNOUSERSITE=1", severity="note")


def _user_folder(subject: Subject) -> Path | None:
    """The user's own site-packages for this Python: https://docs.python.org/3/library/site.html#site.USER_SITE."""
    home, base = subject.environ.get("HOME", ""), subject.environ.get("PYTHONUSERBASE", "")
    if sys.platform == "win32":
        base = base or f"{subject.environ.get('APPDATA', '')}/Python"
        return Path(base) / f"Python{subject.series.replace('.', '')}" / "site-packages"
    if not subject.series or not (base or home):
        return None
    return Path(base or f"{home}/.local") / "lib" / f"python{subject.series}" / "site-packages"
