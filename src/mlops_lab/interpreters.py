"""The Pythons of this machine, and the one that a project's environment is made with.

They are found with findpython, which knows PATH, pyenv, asdf, rye, uv and the Windows registry; its own look-ups start
every interpreter that they meet, so what they found is kept while the folders are unchanged.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_lab.environment import identity, user_cache
from mlops_lab.errors import LabError
from mlops_lab.manifests import pyproject

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from findpython import PythonVersion

    from mlops_lab.project import Project

__all__ = ["Interpreter", "choose", "declared", "installed"]

_DAY = 86_400.0


@dataclass(frozen=True)
class Interpreter:
    """A Python on this machine.

    Attributes:
        path: Its real path, outside every environment.
        version: Its version, such as `3.12.1`.
        reason: Why it was chosen.
    """

    path: str
    version: str
    reason: str = ""

    @property
    def minor(self) -> str:
        """Its version up to the minor part, such as `3.12`."""
        return ".".join(self.version.split(".")[:2])


def installed(*, fresh: bool = False) -> list[Interpreter]:
    """Every CPython of this machine, the newest first.

    Args:
        fresh: Whether to look again, instead of believing what was found while the folders are unchanged.
    """
    cache = user_cache() / "interpreters.json"
    known = None if fresh else _remembered(cache)
    if known is None:
        known = _look()
        _remember(cache, known)
    return known


def choose(project: Project, asked: str | None) -> Interpreter:
    """The one interpreter for every hybrid: asked for, or conda.yml's, or .python-version's, or the newest allowed.

    Args:
        project: The project.
        asked: What `--python` says: a version such as `3.12`, or a path.

    Raises:
        LabError: It is not on this machine, or the project does not allow it (code 2).
    """
    allowed = pyproject.requires_python(project.data) or ""
    if asked is not None:
        return _asked(asked, allowed)
    wanted, reason = declared(project)
    for found in _fitting(installed(), wanted, allowed):
        return Interpreter(found.path, found.version, reason)
    for found in _fitting(installed(fresh=True), wanted, allowed):
        return Interpreter(found.path, found.version, reason)
    limits = " and ".join(part for part in (f"{wanted} ({reason})" if wanted else "", allowed) if part)
    raise LabError(f"no Python on this machine is {limits}", _available())


def declared(project: Project) -> tuple[str, str]:
    """A specifier, and the file that it comes from; no specifier where no file names a Python.

    Raises:
        LabError: The file is broken (code 2).
    """
    if (conda := project.conda_env) is not None and conda.python is not None:
        from mlops_lab.manifests.conda_env import python_specifier

        where = f"{conda.path.name}:{conda.python_line}"
        try:
            return python_specifier(conda.python), where
        except LabError as error:
            raise LabError(f"{where}: {error.message}", error.hint) from error
    pinned = project.root / ".python-version"
    if pinned.is_file() and (words := _words(pinned)):
        return _pinned(words[0].removeprefix("cpython-").removeprefix("python-")), ".python-version"
    return "", "the newest that pyproject.toml allows"


def _words(path: Path) -> list[str]:
    lines = pyproject.read_text(path).splitlines()
    return [word for line in lines for word in line.partition("#")[0].split()]


def _pinned(version: str) -> str:
    from packaging.version import InvalidVersion

    try:
        return _specifier(version)
    except InvalidVersion as error:
        raise LabError(f".python-version: {version!r} is not a version", "write a version such as 3.12") from error


def _specifier(text: str) -> str:
    """A version as a specifier: `3.12` stands for the whole series, `3.12.1` and `3.15rc1` for themselves."""
    from packaging.version import Version

    version = Version(text)
    series = len(version.release) < 3 and str(version) == version.base_version  # noqa: PLR2004 - major.minor.patch
    return f"=={version}.*" if series else f"=={version}"


def _asked(asked: str, allowed: str) -> Interpreter:
    from packaging.version import InvalidVersion

    word = asked.removeprefix("python")
    try:
        specifier = _specifier(word)
    except InvalidVersion:
        return _at(asked, allowed)
    found = _fitting(installed(), specifier, "") or _fitting(installed(fresh=True), specifier, "")
    if not found:
        raise LabError(f"there is no Python {word} on this machine", _available())
    return _permitted(Interpreter(found[0].path, found[0].version, "--python"), allowed)


def _at(asked: str, allowed: str) -> Interpreter:
    import findpython

    # Not `Path.expanduser`, which raises for a user who does not exist.
    path = Path(os.path.expanduser(asked))  # noqa: PTH111
    if not os.path.isfile(path):  # noqa: PTH113 - `Path.is_file` raises for a name that is too long
        raise LabError(f"{asked!r} is neither a Python version nor an interpreter's path", _available())
    found = findpython.PythonVersion(path.absolute())
    if not found.is_valid():
        raise LabError(f"{asked!r} does not run as a Python", _available())
    return _permitted(Interpreter(str(path.resolve()), str(found.version), "--python"), allowed)


def _permitted(found: Interpreter, allowed: str) -> Interpreter:
    if not _fitting([found], "", allowed):
        raise LabError(f"Python {found.version} is not allowed: pyproject.toml requires {allowed}", _available(allowed))
    return found


def _fitting(pythons: Iterable[Interpreter], *specifiers: str) -> list[Interpreter]:
    from packaging.specifiers import SpecifierSet

    wanted = SpecifierSet(",".join(specifier for specifier in specifiers if specifier))
    return [python for python in pythons if python.version in wanted]


def _available(allowed: str = "") -> str:
    versions = list(dict.fromkeys(python.version for python in _fitting(installed(), allowed)))
    return (
        f"on this machine: {', '.join(versions)}" if versions else "install one, for example with `uv python install`"
    )


def _look() -> list[Interpreter]:
    from findpython.providers import ALL_PROVIDERS
    from packaging.version import Version

    found: dict[Path, PythonVersion] = {}
    for kind in ALL_PROVIDERS.values():
        provider = kind.create()
        for python in provider.find_pythons() if provider is not None else ():
            # A shim is a script that starts another one, which its own provider finds.
            if python.executable.parent.name != "shims" and "pypy" not in python.executable.name.lower():
                found.setdefault(python.real_path, python)
    usable = [(path, python.version) for path, python in found.items() if python.is_valid()]
    stable = [(path, version) for path, version in usable if not version.is_prerelease]
    stable.sort(key=lambda pair: (Version(str(pair[1])), str(pair[0])), reverse=True)
    return [Interpreter(str(path), str(version)) for path, version in stable]


def _state(pythons: Sequence[Interpreter]) -> str:
    """A digest of the folders and interpreters; it changes when a Python comes or goes."""
    # Where the next one would be installed: beside `bin` and its parent, where the path is that deep.
    homes = {str([*Path(python.path).parents][:3][-1]) for python in pythons}
    folders = [*os.get_exec_path(), *sorted(homes)]
    looked = [str(identity(path)) for path in (*folders, *(python.path for python in pythons))]
    return hashlib.blake2b("\n".join([*folders, *looked]).encode(), digest_size=12).hexdigest()


def _remembered(cache: Path) -> list[Interpreter] | None:
    try:
        if time.time() - cache.stat().st_mtime > _DAY:
            return None
        data = json.loads(cache.read_text(encoding="utf-8"))
        pythons = [Interpreter(path, version) for path, version in data["pythons"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pythons if data["state"] == _state(pythons) else None


def _remember(cache: Path, pythons: Sequence[Interpreter]) -> None:
    data = {"state": _state(pythons), "pythons": [[python.path, python.version] for python in pythons]}
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        temporary = cache.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(data), encoding="utf-8")
        temporary.replace(cache)
    except OSError:
        return  # a cache that cannot be kept costs time, nothing else
