"""The environment against the lock: `installed`, and `python` where its interpreter is none that the project allows."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_lab import conda_meta
from mlops_lab.drift.graph import reached, tops
from mlops_lab.drift.saying import FEW, MANY, fixed, nothing, range_of
from mlops_lab.drift.versions import allows
from mlops_lab.environment import SEEDS, Environment, config, distributions, named, normalise, read_stamp, same_version
from mlops_lab.findings import Finding, Source
from mlops_lab.manifests.markers import marker_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mlops_lab.drift.files import Files, Lock
    from mlops_lab.environment import Stamp
    from mlops_lab.manifests.model import Pin

__all__ = ["environment_of", "found"]

_REQUIRES = re.compile(r"^Requires-Dist:\s*([A-Za-z0-9][A-Za-z0-9._-]*)", re.MULTILINE)
INSTALL = "invoke install"
SETUP = "invoke setup"
ANEW = "invoke setup --force"


@dataclass(frozen=True)
class _There:
    """An environment, looked at.

    Attributes:
        name: What it is called in the findings.
        option: The word that commands need to work on it; empty for the project's usual one.
        python: The version of its Python.
        packages: Normalised name → version.
        folders: Where each is recorded.
        conda: Whether it is conda's.
        condas: What conda owns in it.
        stamp: What it says of itself; None where somebody else made it.
    """

    name: str
    option: str
    python: str
    packages: Mapping[str, str]
    folders: Sequence[Path]
    conda: bool
    condas: frozenset[str]
    stamp: Stamp | None


def environment_of(
    root: Path, asked: str | None, remembered: str | None, environ: Mapping[str, str]
) -> Environment | None:
    """The project's environment, as far as files tell where it is; None where there is none.

    Args:
        root: The project's folder.
        asked: The prefix that is asked for now; None: none.
        remembered: The prefix that was asked for last.
        environ: The user's variables.
    """
    usual = [remembered, str(root / ".venv"), environ.get("CONDA_PREFIX"), *_condas()]
    for text in [asked] if asked is not None else usual:
        environment = _at(Path(text)) if text else None
        if environment is not None and _is_ours(environment, root):
            return environment
    return None


def _condas() -> Iterator[str]:
    """The environments that conda knows of: https://docs.conda.io/projects/conda/en/stable/dev-guide/api/index.html."""
    try:
        yield from (Path.home() / ".conda" / "environments.txt").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError, RuntimeError):
        return


def _at(prefix: Path) -> Environment | None:
    if (prefix / "pyvenv.cfg").is_file():
        return Environment(prefix.absolute())
    return Environment(prefix.absolute(), conda=True) if (prefix / conda_meta.FOLDER).is_dir() else None


def _is_ours(environment: Environment, root: Path) -> bool:
    """Whether an environment is the project's: by its stamp, or because it lies there and nobody else claims it."""
    stamp, inside = read_stamp(environment.prefix), environment.prefix.is_relative_to(root)
    if stamp is None:
        return inside
    return stamp.project == str(root) or (inside and not (Path(stamp.project) / "pyproject.toml").exists())


def found(files: Files, environment: Environment, root: Path, asked: str | None = None) -> Iterator[Finding]:
    """What is installed otherwise than locked.

    Args:
        files: The project's files.
        environment: Its environment.
        root: Its folder.
        asked: The prefix that was asked for; None: nobody asked for one.
    """
    there = _look(environment, root, asked)
    if there is None:
        return
    yield from _python(files, there)
    hybrid = there.stamp.hybrid if there.stamp else ""
    by = hybrid.rpartition("+")[2]
    lock = next((lock for lock in files.locks if lock.manager == by), next(iter(files.locks), None))
    if lock is not None and there.python:
        yield from _packages(files, lock, there)


def _look(environment: Environment, root: Path, asked: str | None) -> _There | None:
    if not environment.exists:
        return None
    prefix = environment.prefix
    name = str(prefix.relative_to(root)) if prefix.is_relative_to(root) else str(prefix)
    folders = distributions(environment)
    packages = dict(sorted(map(named, folders)))
    condas = frozenset(conda_meta.owned(prefix)) if environment.conda else frozenset()
    version = config(prefix).get("version", "")
    stamp = read_stamp(prefix)
    usual = asked is None and (stamp is not None or name == ".venv")
    option = "" if usual else f" --prefix {shlex.quote(asked or name)}"
    return _There(name, option, version, packages, folders, environment.conda, condas, stamp)


def _python(files: Files, there: _There) -> Iterator[Finding]:
    ranges = [each for document in files.documents if document.format != "conda" for each in document.pythons]
    for each in ranges:
        if there.python and not allows(each.specifier, there.python):
            sources = (range_of(each), Source(there.name, 0, f"Python {there.python}"))
            why = f"{there.name} has Python {there.python}, and {each.path} asks for {each.text}"
            mend = "setup" if there.stamp else ""
            yield Finding("python", "", sources, why, f"{ANEW}{there.option}", mend=mend)
            return


def _remedy(there: _There) -> tuple[str, str, str]:
    """The command, what else can be done, and the recipe that mends: only what we have made is changed by itself."""
    if there.stamp is None:
        return (
            f"{ANEW}{there.option}",
            f"install it yourself: mlops-lab did not make {there.name}, and makes it anew",
            "",
        )
    if there.stamp.fingerprint is None:
        return f"{SETUP}{there.option}", "", "setup"
    return f"{INSTALL}{there.option}", "", "install"


def _packages(files: Files, lock: Lock, there: _There) -> Iterator[Finding]:
    variables = marker_environment(there.python)
    wanted, allowed = _wanted(files, lock, there, variables)
    pins = [pin for name, pin in wanted.items() if not (name in files.own or pin.kind == "project" or pin.virtual)]
    unlike = [each for pin in pins if (each := _unlike(pin, there))]
    if len(unlike) >= MANY and 2 * len(unlike) > len(pins):
        yield _another(unlike, len(pins), lock, there)
    else:
        yield from unlike
    yield from _strays(files, lock, there, {*allowed, *wanted})


def _unlike(pin: Pin, there: _There) -> Finding | None:
    """What is not installed, or at another version."""
    version = there.packages.get(pin.name)
    if version is None:
        return _absent(pin, there)
    if not pin.version or same_version(_public(version, pin.version), pin.version):
        return None
    sources = (fixed(pin), Source(there.name, 0, f"{pin.name} {version}"))
    why = f"{there.name} has {pin.name} {version}, and {pin.path} has {pin.version}"
    command, otherwise, mend = _remedy(there)
    keeps = f'`invoke add "{pin.name}=={version}"` keeps it'
    otherwise = f"{otherwise}; {keeps}" if otherwise else keeps
    return Finding("installed", pin.name, sources, why, command, otherwise=otherwise, mend=mend)


def _another(unlike: Sequence[Finding], count: int, lock: Lock, there: _There) -> Finding:
    """Most of an environment is otherwise: it was made from something else, which is one cause and one finding."""
    names = ", ".join(each.package for each in unlike[:FEW])
    why = f"{there.name} has {len(unlike)} of the {count} packages of {lock.path} not at all or otherwise ({names}, …)"
    return replace(unlike[0], package="", why=why, otherwise=_remedy(there)[1])


def _public(version: str, locked: str) -> str:
    """The version without its local part, where the lock names none."""
    return version if "+" in locked else version.partition("+")[0]


def _wanted(
    files: Files, lock: Lock, there: _There, variables: Mapping[str, str]
) -> tuple[Mapping[str, Pin], set[str]]:
    """What the environment must have, and what it may have: without a stamp nobody knows which groups were meant."""
    from mlops_lab.manifests.documents import locked

    every = locked(lock.document, variables, files.groups, files.extras)
    if there.stamp is None:
        return locked(lock.document, variables, []), {*every, *lock.every}
    groups = [group for group in there.stamp.groups if group in files.groups]
    return locked(lock.document, variables, groups), set()


def _absent(pin: Pin, there: _There) -> Finding | None:
    if pin.name in there.condas or pin.name in SEEDS:
        return None
    sources = (fixed(pin), nothing(there.name, "not installed"))
    why = f"{pin.path} has {fixed(pin).said}, and {there.name} does not"
    command, otherwise, mend = _remedy(there)
    return Finding("installed", pin.name, sources, why, command, otherwise=otherwise, mend=mend)


def _strays(files: Files, lock: Lock, there: _There, expected: set[str]) -> Iterator[Finding]:
    """What is installed and not locked, and neither conda's, nor a seed, nor of the pip part of conda.yml."""
    known = {*expected, *files.own, *there.condas, *SEEDS}
    strays = there.packages.keys() - known
    if files.manifest is None and there.stamp is not None:
        # The project's own name stands in a file that is not there, or cannot be read.
        strays -= there.stamp.installed.keys()
    if not strays:
        return
    requires = {name: _requires(folder) for folder in there.folders for name in [named(folder)[0]]}
    part = [each for document in files.documents if document.format == "conda" for each in document.requirements]
    part = [each for each in part if each.kind != "conda"]
    if there.conda and any(not each.name for each in part):
        return  # nobody can tell what a path or an address has brought
    strays -= reached([each.name for each in part], requires)
    for name in tops(strays, requires):
        yield _stray(lock, there, name, sorted(reached([name], requires) & strays - {name}))


def _stray(lock: Lock, there: _There, name: str, others: Sequence[str]) -> Finding:
    version = there.packages[name]
    along = f" with its requirements ({', '.join(others)})" if others else ""
    why = f"{there.name} has {name} {version}{along}, and {lock.path} does not"
    sources = (nothing(lock.path, "not locked"), Source(there.name, 0, f"{name} {version}"))
    official = f"`invoke add {name}` makes it official"
    if there.conda:
        # Neither conda nor `invoke install` takes away there what another installer has brought.
        command = f"invoke run -- python -m pip uninstall {' '.join([name, *others])}"
        return Finding("installed", name, sources, why, command, otherwise=official)
    if there.stamp is None:
        return Finding("installed", name, sources, why, "", "warning", otherwise=f"{official}, or uninstall it")
    command, _, mend = _remedy(there)
    return Finding("installed", name, sources, why, command, otherwise=official, mend=mend)


def _requires(folder: Path) -> list[str]:
    """What a distribution requires, in whatever place: https://packaging.python.org/specifications/core-metadata/."""
    try:
        head = (folder / "METADATA").read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    except OSError:
        return []
    return [normalise(name) for name in _REQUIRES.findall(head)]
