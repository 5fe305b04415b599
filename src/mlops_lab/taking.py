"""Taking the inventory of an environment: its files and records are read, and no tool is started."""

from __future__ import annotations

import json
import os
import platform as machine
import sys
import sysconfig
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from mlops_lab import conda_meta, contents, freshness
from mlops_lab.environment import (
    SEEDS,
    config,
    distributions,
    identity,
    is_regular,
    named,
    normalise,
    read_stamp,
    same_version,
)
from mlops_lab.errors import FOUND, LabError
from mlops_lab.inventories import CondaPackage, Inventory, Package, Platform, inputs_of, is_name
from mlops_lab.manifests import pyproject
from mlops_lab.project import LOCKS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from packaging.tags import Tag

    from mlops_lab.environment import Environment, Stamp
    from mlops_lab.steps import Steps

__all__ = ["inputs", "take"]

_LONG = 40
"""Characters of an installer's name: no more of a file that anybody may have written."""
_SOURCES = frozenset({"repository", "folder", "editable", "sdist"})
"""Where a package is built from its source."""


def inputs(steps: Steps) -> dict[str, str]:
    """Name → SHA-256 of the manifests and locks that an environment of this hybrid is made from, as they are now."""
    return inputs_of(_files(steps))


def _files(steps: Steps) -> dict[str, Path]:
    """The files that count for the hybrid; for groups of its own, pip has requirements of its own."""
    files = {**steps.project.files, "requirements.txt": steps.requirements}
    return {name: path for name, path in files.items() if _counts(steps, name) and path.is_file()}


def _counts(steps: Steps, name: str) -> bool:
    """Whether a file counts for the hybrid: pip alone installs from requirements, and those by hand are nobody's."""
    other = {LOCKS[manager] for manager in LOCKS if manager not in {steps.leader, steps.hybrid.manager}}
    return name not in other and (name != "requirements.txt" or steps.hybrid.by_pip)


def _derived(steps: Steps) -> tuple[str, ...]:
    """What is made from the leader's lock, and written otherwise by every tool, index and machine."""
    return tuple(sorted({"requirements.txt", *LOCKS.values()} - {LOCKS[steps.leader]}))


def take(steps: Steps, made_from: Mapping[str, str] | None = None, *, whole: bool = True) -> Inventory:
    """The inventory of an environment.

    Args:
        steps: The steps that lead to it.
        made_from: What it was made from, where that is known better than by the files of `steps`.
        whole: Whether the files of the packages are read, which takes a second for half a gigabyte.

    Raises:
        LabError: There is no environment, or a file of the project is broken (code 2); somebody changed the environment
            meanwhile (code 1).
    """
    steps.require_environment()
    environment, prefix = steps.environment, steps.environment.prefix
    before = _looked(environment)
    known, folders = _known(steps), _folders(environment)
    # Of the project itself there is the path of its folder, which would make equal environments unlike.
    read = {name: whole and name != known.project for name in folders}
    hashed = {name: contents.hashes(environment, folder) if read[name] else None for name, folder in folders.items()}
    stamp, used = read_stamp(prefix), _inputs_then(steps) if made_from is None else dict(made_from)
    taken = Inventory(
        hybrid=steps.hybrid.name,
        engine=steps.engine.name if steps.engine else "",
        python=_version(environment),
        implementation=_implementation(environment),
        platform=_platform(),
        groups=tuple(sorted(stamp.groups if stamp else steps.groups)),
        tools=steps.toolbox.versions,
        inputs=used,
        derived=tuple(name for name in _derived(steps) if name in used),
        packages={name: _package(name, folder, known, hashed[name]) for name, folder in folders.items()},
        conda=_conda(prefix) if environment.conda else {},
        # What an extra or a platform leaves out is not missing: the lock says so itself.
        missing={name: version for name, version in known.locked.items() if name not in folders},
        origin=prefix,
        paths={name: files for name, files in hashed.items() if files} if whole else None,
    )
    if _looked(environment) != before:
        raise LabError(f"{prefix} was changed while it was read", "run it again when nobody installs there", code=FOUND)
    return taken


def _looked(environment: Environment) -> dict[str, object]:
    """Which distributions there are, and whether an installer has written one of them anew."""
    return {folder.name: identity(folder / "RECORD") for folder in distributions(environment)}


def _folders(environment: Environment) -> dict[str, Path]:
    """Name → where it is recorded; without folders that are called like no package, which pip does not see either."""
    there = [folder for folder in distributions(environment) if folder.name.isprintable()]
    return {name: folder for name, folder in sorted((named(folder)[0], folder) for folder in there) if is_name(name)}


def _inputs_then(steps: Steps) -> dict[str, str]:
    """The inputs, without the hash of a file that is not any more what the environment was made from.

    None of them where nobody knows what that was.
    """
    stamp = read_stamp(steps.environment.prefix)
    then = (stamp.fingerprint or {}).get("files") if stamp else None
    if not isinstance(then, dict):
        return {}
    now = freshness.digests(steps.project)
    own = steps.requirements == steps.project.requirements
    gone = {name: "" for name in then if _counts(steps, name)}
    there = {
        # Requirements of our own, for other groups, are in no stamp.
        name: value if then.get(name) == now.get(name) or (name == "requirements.txt" and not own) else ""
        for name, value in inputs(steps).items()
    }
    return dict(sorted({**gone, **there}.items()))


def _is_as_then(steps: Steps, stamp: Stamp | None, name: str) -> bool:
    """Whether a file is what the environment was finished from; where nobody knows, it counts."""
    then = (stamp.fingerprint or {}).get("files") if stamp else None
    return not isinstance(then, dict) or then.get(name) == freshness.digests(steps.project).get(name)


def _version(environment: Environment) -> str:
    return config(environment.prefix).get("version", "")


def _implementation(environment: Environment) -> str:
    """As uv and virtualenv name it; where Python's own venv or conda say nothing, it is the usual one."""
    return config(environment.prefix).get("implementation", "cpython").lower()


def _platform() -> Platform:
    """This machine; the C library as the interpreter that runs us sees it, which is the system's."""
    libc = " ".join(part for part in machine.libc_ver() if part)
    return Platform(sys.platform, machine.machine(), libc, sysconfig.get_platform())


def _conda(prefix: Path) -> dict[str, CondaPackage]:
    channels = conda_meta.channels(prefix)
    parts = {name: record.rsplit("-", 2) for name, record in conda_meta.records(prefix).items()}
    return {
        name: CondaPackage(version, build, channels.get(name, "")) for name, (_name, version, build) in parts.items()
    }


# --- whose choice --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Known:
    """What is known of the packages beside their records.

    Attributes:
        project: The project's own name; empty where it is no package.
        locked: What the lock gives this environment.
        asked: Whether a lock could be asked at all.
        condas: The folders of the distributions that are conda's.
        part: What the pip part of conda.yml brings.
        built: Tells how a package came to be: `wheel`, `sdist` or nothing, by its name and version.
    """

    project: str
    locked: Mapping[str, str]
    asked: bool
    condas: Collection[Path]
    part: Collection[str]
    built: Callable[[str, str], str]


def _known(steps: Steps) -> _Known:
    from mlops_lab import behind, locks

    project, environment = steps.project, steps.environment
    manager = steps.hybrid.manager if project.lock(steps.hybrid.manager).exists() else steps.leader
    stamp = read_stamp(environment.prefix)
    # A lock that has changed since says nothing of what was installed then.
    asked = project.lock(manager).exists() and _is_as_then(steps, stamp, LOCKS[manager])
    own = normalise(project.name) if pyproject.is_package(project.data, steps.hybrid.manager) else ""
    there = pyproject.all_group_names(project.data)
    groups = [group for group in (stamp.groups if stamp else steps.groups) if group in there]
    installed = {name: version for name, version in (stamp.installed if stamp else {}).items() if name != own}
    locked = locks.wanted(project, manager, _version(environment), groups) if asked else installed
    return _Known(
        project=own,
        locked=locked,
        asked=asked or bool(installed),
        condas=conda_meta.folders(environment.prefix) if environment.conda else (),
        part=behind.pip_part(steps) if environment.conda else (),
        built=_builds(project.lock(manager), manager, environment) if asked else lambda _name, _version: "",
    )


def _package(name: str, folder: Path, known: _Known, files: Mapping[str, str] | None) -> Package:
    version, source = named(folder)[1], _source(folder)
    owner, locked = _owner(name, version, folder, known)
    return Package(
        version=version,
        owner=owner,
        locked=locked,
        installer=_first_line(folder / "INSTALLER"),
        source=source,
        built="sdist" if source in _SOURCES else known.built(name, version),
        tags=_tags(folder),
        content=contents.digest(files) if files is not None else "",
        files=len(files or ()),
    )


def _owner(name: str, version: str, folder: Path, known: _Known) -> tuple[str, str]:
    """Whose choice a package is, and the version that the lock has instead."""
    if name == known.project:
        return "project", ""
    if folder in known.condas or name in known.part:
        return "conda", ""
    if name in known.locked:
        locked = known.locked[name]
        return ("lock", "") if not locked or same_version(locked, version) else ("other", locked)
    if name in SEEDS:
        return "seed", ""
    return ("other" if known.asked else ""), ""


def _first_line(path: Path) -> str:
    if not is_regular(path):
        return ""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            line = file.readline(_LONG).strip()
    except OSError:
        return ""
    return line if line.isprintable() else ""


def _source(folder: Path) -> str:
    """Where a distribution came from, in a word: the address itself may hold a password, or be a path here.

    Source: https://packaging.python.org/en/latest/specifications/direct-url-data-structure/
    """
    path = folder / "direct_url.json"
    if not os.path.lexists(path):
        return "index"
    try:
        said = json.loads(path.read_text(encoding="utf-8")) if is_regular(path) else None
    except (OSError, ValueError, RecursionError):
        return "unknown"
    if not isinstance(said, dict):
        return "unknown"
    vcs, local = said.get("vcs_info"), said.get("dir_info")
    if isinstance(vcs, dict):
        return "repository"
    if isinstance(local, dict):
        return "editable" if local.get("editable") is True else "folder"
    # pip and uv write an archive for a wheel and for an sdist alike; the name tells them apart.
    return "wheel" if str(said.get("url", "")).partition("#")[0].endswith(".whl") else "sdist"


def _tags(folder: Path) -> str:
    """The tags of the wheel that was installed, as they stand in it.

    Source: https://packaging.python.org/en/latest/specifications/binary-distribution-format/#file-contents
    """
    if not is_regular(folder / "WHEEL"):
        return ""
    try:
        lines = (folder / "WHEEL").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    found = " ".join(sorted({line.partition(":")[2].strip() for line in lines if line.startswith("Tag:")}))
    return found[:1000] if found.isprintable() else ""


# --- wheels that a lock has ----------------------------------------------------------------------------------------


def _builds(lock: Path, manager: str, environment: Environment) -> Callable[[str, str], str]:
    """Tells whether the lock has a wheel of a package for this environment: otherwise it had to be built."""
    from packaging.utils import InvalidWheelFilename, canonicalize_version, parse_wheel_filename

    known = {(name, canonicalize_version(version)): list(files) for name, version, files in _LISTED[manager](lock)}
    here = _supported(environment)

    def fits(file: str) -> bool:
        try:
            return not here.isdisjoint(parse_wheel_filename(file)[3])
        except InvalidWheelFilename:
            return False

    def built(name: str, version: str) -> str:
        files = known.get((name, canonicalize_version(version)), [])
        if not files:
            return ""
        return "wheel" if any(fits(file) for file in files if file.endswith(".whl")) else "sdist"

    return built


def _supported(environment: Environment) -> set[Tag]:
    """The tags of the wheels that an environment's Python can take, on this machine."""
    from packaging import tags

    major, minor, *_ = [*_version(environment).split("."), "", ""]
    python = (int(major), int(minor)) if major.isdigit() and minor.isdigit() else sys.version_info[:2]
    site, name = environment.site_packages, f"cp{python[0]}{python[1]}"
    abi = f"{name}t" if site and site.parent.name.endswith("t") else name  # free-threaded
    return {*tags.cpython_tags(python, [abi]), *tags.compatible_tags(python, name)}


def _of_poetry(lock: Path) -> Iterator[tuple[str, str, Iterable[str]]]:
    from mlops_lab.manifests import poetry_lock

    data = poetry_lock.load(lock)
    # Before lock-version 2.0 the files stood apart.
    apart = data["metadata"].get("files", {})
    for entry in data.get("package", []):
        files = entry.get("files") or apart.get(entry["name"], [])
        yield normalise(entry["name"]), str(entry["version"]), _names(files)


def _of_uv(lock: Path) -> Iterator[tuple[str, str, Iterable[str]]]:
    from mlops_lab.manifests import uv_lock

    for entry in uv_lock.load(lock).get("package", []):
        files = [*entry.get("wheels", []), *([entry["sdist"]] if "sdist" in entry else [])]
        yield normalise(entry["name"]), str(entry.get("version", "")), _names(files)


def _names(files: Iterable[Any]) -> list[str]:
    """The names of files, which uv has at the end of their addresses."""
    tables = [file for file in files if isinstance(file, dict)]
    said = [str(file.get("file") or file.get("filename") or file.get("url") or file.get("path")) for file in tables]
    return [unquote(text.rpartition("/")[2].partition("#")[0]) for text in said]


_LISTED: Mapping[str, Callable[[Path], Iterator[tuple[str, str, Iterable[str]]]]] = {
    "poetry": _of_poetry,
    "uv": _of_uv,
}
"""Manager → the packages of its lock: name, version, and the names of the files."""
