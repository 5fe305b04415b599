"""The leader's lock, the other lock that follows it with the very same versions, and the exported requirements."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mlops_lab import indexes
from mlops_lab.errors import FOUND, LabError
from mlops_lab.manifests import poetry_lock, pyproject, uv_lock
from mlops_lab.manifests.markers import marker_environment
from mlops_lab.project import LOCKS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mlops_lab.manifests.poetry_lock import LockedPackage
    from mlops_lab.project import Project

__all__ = [
    "Difference",
    "differences",
    "exported_in_step",
    "follow",
    "pins_of",
    "read_all",
    "supported",
    "wanted",
    "write_requirements",
]

_HASH = re.compile(rb"sha(?:256|384|512):[0-9a-f]+")
_PLATFORMS = ("linux", "darwin", "win32")
_MINORS = tuple(f"3.{minor}" for minor in range(8, 17))
_LOAD: Mapping[str, Callable[[Path], dict[str, Any]]] = {"poetry": poetry_lock.load, "uv": uv_lock.load}
_VERSIONS_FOR: Mapping[str, Callable[[dict[str, Any], Mapping[str, str], Sequence[str]], dict[str, str]]] = {
    "poetry": poetry_lock.versions_for,
    "uv": uv_lock.versions_for,
}
_READ: Mapping[str, Callable[[Path], Sequence[LockedPackage]]] = {"poetry": poetry_lock.read, "uv": uv_lock.read}


class Step(Protocol):
    """Runs a row of the guide with values for its placeholders."""

    def __call__(
        self, name: str, variant: str = "", *, by: str = "", cwd: Path | None = None, **values: str | Sequence[str]
    ) -> str | None:
        """Run it; returns what it printed."""


@dataclass(frozen=True)
class Difference:
    """One package that two files give at different versions.

    Attributes:
        package: Its normalised name.
        where: The Python and platform it differs for, such as `3.12 on linux`.
        first: Its version in the first file; empty when it is not there.
        second: Its version in the second file; empty when it is not there.
    """

    package: str
    where: str
    first: str
    second: str

    def __str__(self) -> str:
        """In words."""
        return f"{self.package} {self.first or '(none)'} ≠ {self.second or '(none)'} for Python {self.where}"


def supported(project: Project) -> list[str]:
    """The Pythons that a project supports, such as `3.12`, as far as any lock can know them today."""
    from packaging.specifiers import SpecifierSet

    # A minor version counts when some release of it is allowed: ">=3.11.4" allows 3.11.
    allowed = SpecifierSet(pyproject.requires_python(project.data) or ">=3.8")
    found = [minor for minor in _MINORS if f"{minor}.99" in allowed or f"{minor}.0" in allowed]
    return found or list(_MINORS)


def _environments(project: Project) -> dict[str, dict[str, str]]:
    return {
        f"{python} on {platform}": marker_environment(python, platform)
        for python in supported(project)
        for platform in _PLATFORMS
    }


def _compare(where: str, first: Mapping[str, str], second: Mapping[str, str]) -> list[Difference]:
    return [
        Difference(name, where, first.get(name, ""), second.get(name, ""))
        for name in sorted({*first, *second})
        if first.get(name) != second.get(name)
    ]


def _versions(project: Project, manager: str, groups: Sequence[str]) -> dict[str, dict[str, str]]:
    """What a lock gives for every supported Python and platform: place → name → version."""
    data = _LOAD[manager](project.lock(manager))
    return {
        where: _VERSIONS_FOR[manager](data, environment, groups)
        for where, environment in _environments(project).items()
    }


def wanted(project: Project, manager: str, python: str, groups: Sequence[str]) -> dict[str, str]:
    """What a manager installs on this machine: name → version.

    Args:
        project: The project.
        manager: The manager, for its lock.
        python: The full version of the environment's Python.
        groups: The dependency groups beside main.
    """
    return _VERSIONS_FOR[manager](_LOAD[manager](project.lock(manager)), marker_environment(python), groups)


def differences(project: Project) -> list[Difference]:
    """Where the two locks disagree: for every supported Python and platform, in the groups that both managers see."""
    alone = set(pyproject.poetry_only_groups(project.data))
    groups = [group for group in pyproject.all_group_names(project.data) if group not in alone]
    first, second = (_versions(project, manager, groups) for manager in LOCKS)
    return [found for where in first for found in _compare(where, first[where], second[where])]


def pins_of(path: Path) -> list[str]:
    """What makes uv take a poetry.lock's very versions: `name==version ; marker`, one for each locked package.

    Without the markers uv fails, or chooses otherwise, as soon as a package is locked at two versions.
    """
    return [
        f"{package.name}=={package.version}" + (f" ; {package.marker}" if package.marker else "")
        for package in poetry_lock.read(path)
        if package.kind == "index"
    ]


def follow(project: Project, leader: str, manager: str, step: Step, fresh: Callable[[], bool]) -> None:
    """Bring the other manager's lock to the leader's versions, if it is not there already.

    Args:
        project: The project.
        leader: The manager whose lock has the versions.
        manager: The manager whose lock follows.
        step: Runs a row of the guide.
        fresh: Tells whether the lock that follows fits the manifest: equal versions do not say so, when a package
            that was locked already is now declared as well.

    Raises:
        LabError: It cannot take them: the packages are named, with both versions (code 1).
    """
    path = project.lock(manager)
    known = _digest(*(project.lock(each) for each in LOCKS), project.pyproject)
    if path.exists() and (project.remembered("aligned") == known or (not differences(project) and fresh())):
        project.remember(aligned=known)
        return
    _ALIGN[manager](project, leader, step)
    if wrong := differences(project):
        raise LabError(
            f"{path.name} cannot take {len(wrong)} of {LOCKS[leader]}'s versions, the first: {wrong[0]}",
            f"lock anew with `invoke lock`; if that does not help, loosen the requirement that only {leader} can take",
            code=FOUND,
        )
    project.remember(aligned=_digest(*(project.lock(each) for each in LOCKS), project.pyproject))


def _align_uv(project: Project, leader: str, step: Step) -> None:
    step("align", by="uv", pins=pins_of(project.lock(leader)))


def _align_poetry(project: Project, leader: str, step: Step) -> None:
    """Lock the leader's pins as direct dependencies of a scratch project, then the real project beside that lock.

    `poetry lock` keeps what is locked already and still fits; it has no way to be told versions.
    """
    import tomlkit

    with tempfile.TemporaryDirectory(dir=project.state, prefix="scratch-") as name:
        scratch = Path(name)
        pinned = _pinned_project(project, _reached(project, leader))
        (scratch / "pyproject.toml").write_text(tomlkit.dumps(pinned), encoding="utf-8")
        step("align", by="poetry", cwd=scratch)
        # Beside the real manifest, but not in its place until it is whole.
        shutil.copy2(scratch / LOCKS["poetry"], project.lock("poetry"))
    step("align", by="poetry")


def _pinned_project(project: Project, pins: Sequence[str]) -> dict[str, Any]:
    """A manifest that declares the pins and nothing else, for the same Pythons and with the same second indexes."""
    poetry = project.data.get("tool", {}).get("poetry", {})
    python = poetry.get("dependencies", {}).get("python")
    made: dict[str, Any] = {
        "project": {
            "name": "scratch",
            "version": "0",
            "requires-python": project.data.get("project", {}).get("requires-python", ">=3.8"),
            "dependencies": list(pins),
        },
        "tool": {"poetry": {"package-mode": False, "dependencies": {}}},
    }
    if python is not None:
        made["tool"]["poetry"]["dependencies"]["python"] = python
    if "source" in poetry:
        made["tool"]["poetry"]["source"] = poetry["source"]
    return made


def _reached(project: Project, manager: str) -> list[str]:
    """Every version that a lock gives, with the marker under which it is reached: `name==version ; marker`."""
    everywhere = _environments(project)
    places: dict[tuple[str, str], list[str]] = {}
    for where, versions in _versions(project, manager, pyproject.all_group_names(project.data)).items():
        for name, version in versions.items():
            places.setdefault((name, version), []).append(where)
    return [
        f"{name}=={version}" + ("" if len(found) == len(everywhere) else f" ; {_marker(found, everywhere)}")
        for (name, version), found in sorted(places.items())
        if version
    ]


def _marker(found: Sequence[str], everywhere: Mapping[str, Mapping[str, str]]) -> str:
    clauses = (
        f"(python_version == '{everywhere[where]['python_version']}'"
        f" and sys_platform == '{everywhere[where]['sys_platform']}')"
        for where in found
    )
    return " or ".join(clauses)


_ALIGN: Mapping[str, Callable[[Project, str, Step], None]] = {"uv": _align_uv, "poetry": _align_poetry}


def exported_in_step(project: Project, manager: str, groups: Sequence[str], path: Path) -> bool:
    """Whether exported requirements pin exactly what a lock gives, for every supported Python and platform.

    A hash that no lock knows would let pip install a file that nobody has locked.
    """
    if not path.exists():
        return False
    known = _digest(*(project.lock(each) for each in LOCKS), project.pyproject, path) + f"{manager} {','.join(groups)}"
    if project.remembered(f"exported {path.name}") == known:
        return True
    from mlops_lab.manifests import requirements

    pins = requirements.read(path)
    if any(pin.version and not pin.hashed for pin in pins) or not _hashes(path) <= _locked_hashes(project):
        return False
    environments = _environments(project)
    locked = _versions(project, manager, groups)
    if any(_compare(where, locked[where], requirements.pins_for(pins, environments[where])) for where in locked):
        return False
    project.remember(**{f"exported {path.name}": known})
    return True


def _hashes(path: Path) -> set[bytes]:
    return set(_HASH.findall(path.read_bytes()))


def _locked_hashes(project: Project) -> set[bytes]:
    """Of both locks: each manager leaves out files that the other one lists."""
    return set().union(*(_hashes(project.lock(each)) for each in LOCKS if project.lock(each).exists()))


def write_requirements(project: Project, path: Path, step: Step) -> None:
    """Export hashed requirements into a file, in one piece.

    Second indexes that the project declares are named in it: `uv export` leaves them out, and pip would not find what
    is pinned to them.
    """
    new = project.state / "requirements.new"
    try:
        step("export", requirements=str(new))
        text = new.read_text(encoding="utf-8")
        named = {line.rpartition(" ")[2] for line in text.splitlines() if line.startswith("--extra-index-url")}
        missing = [url for url in map(_public, indexes.project_indexes(project.data)) if url not in named]
        new.write_text("".join(f"--extra-index-url {url}\n" for url in missing) + text, encoding="utf-8")
        # Resolved: requirements that are a symbolic link stay one; the file behind it may lie on another disk.
        shutil.move(new, path.resolve())
    finally:
        new.unlink(missing_ok=True)


def _public(url: str) -> str:
    """An address without credentials: the file goes into git, and pip is handed the whole address apart."""
    return re.sub(r"(?<=://)[^/]*@", "", url)


def packages(project: Project, manager: str) -> Sequence[LockedPackage]:
    """Every package of a lock, the project itself left out; none where there is no lock."""
    path = project.lock(manager)
    return [package for package in _READ[manager](path) if package.kind != "project"] if path.exists() else []


def count(project: Project, manager: str) -> int:
    """How many packages a lock holds; 0 where there is none."""
    return len(packages(project, manager))


def read_all(project: Project) -> None:
    """Read every lock that is there.

    Raises:
        LabError: One is broken (code 2; file, line and column).
    """
    for manager, read in _READ.items():
        if project.lock(manager).exists():
            read(project.lock(manager))


def _digest(*paths: Path) -> str:
    content = b"\0".join(path.read_bytes() if path.exists() else b"" for path in paths)
    return hashlib.blake2b(content, digest_size=16).hexdigest()
