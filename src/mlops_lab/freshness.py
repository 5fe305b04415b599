"""Whether a finished environment is still what it was made from and how it was left: the fingerprint of its stamp."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_lab import conda_meta
from mlops_lab.environment import (
    altered_files,
    config,
    distributions,
    look,
    missing_files,
    read_stamp,
    recorded_files,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlops_lab.environment import Environment, Stamp
    from mlops_lab.project import Project
    from mlops_lab.steps import Steps

__all__ = [
    "Reasons",
    "conda_yml_changed",
    "damaged",
    "digests",
    "disowned",
    "fingerprint",
    "is_as_left",
    "may_be_cached",
    "reasons",
]

Reasons = tuple[str, ...]

_PARTS = frozenset({"complete", "files", "tools", "python", "interpreter", "packages"})
FORMAT = 2
"""The form of the fingerprint; another one says nothing that could be compared."""


def fingerprint(
    steps: Steps,
    files: Mapping[str, str],
    *,
    complete: bool = True,
    foreign: Mapping[str, tuple[str, str]] | None = None,
) -> dict[str, Any]:
    """What the environment was made from and how it is left.

    Args:
        steps: The steps that made it.
        files: The digests of the manifests and locks as they were when the installation began.
        complete: Whether its packages were installed.
        foreign: What was not as the setup before had left it, when the installation began (see `disowned`): where it
            still is so, nobody has looked into it, and it stays reported.
    """
    from mlops_lab.interpreters import declared

    prefix = steps.environment.prefix
    there = look(steps.environment)
    for name, (then, now) in (foreign or {}).items():
        if there["packages"].get(name) == now:
            there["packages"][name] = then
    return {
        "format": FORMAT,
        "complete": complete,
        "files": dict(files),
        "tools": steps.toolbox.used,
        "python": {"version": _version_of(prefix), "path": _base_of(prefix), "declared": declared(steps.project)[0]},
        **there,
    }


def digests(project: Project) -> dict[str, str]:
    """Name → digest of every manifest and lock that a project has."""
    return {
        name: hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest() for name, path in project.files.items()
    }


def reasons(steps: Steps, asked_python: str | None) -> tuple[Reasons, Reasons]:
    """Why the environment has to be rebuilt, and why it has to be brought up to date; both empty when it is fresh."""
    environment = steps.environment
    stamp = read_stamp(environment.prefix)
    if stamp is None or not environment.exists:
        return ("there is no environment yet",), ()
    if stamp.fingerprint is None:
        return ("the last setup of this environment was not finished",), ()
    if other := _made_otherwise(steps, stamp, stamp.fingerprint):
        return (other,), ()
    now = look(environment)
    changed = _changed(steps, stamp.fingerprint)
    condas = {folder.name for folder in conda_meta.folders(environment.prefix)} if environment.conda else set()
    rebuild = [*_interpreter(stamp.fingerprint, now, asked_python), *_damaged(stamp.fingerprint, now, condas)]
    if changed and asked_python is None:
        rebuild += _outgrown(steps, stamp.fingerprint)
    renew = [*_renewed(steps, stamp, changed), *_arrivals(stamp.fingerprint, now)]
    (renew if steps.engine is not None and steps.engine.kind.repairs else rebuild).extend(
        _conda_damaged(stamp.fingerprint, now)
    )
    return tuple(rebuild), (*renew, *_conda_changed(stamp.fingerprint, now))


def _made_otherwise(steps: Steps, stamp: Stamp, then: Mapping[str, Any]) -> str:
    """Why nothing that is there can be kept; empty where it can."""
    engine = steps.engine.name if steps.engine else ""
    if then.get("format") != FORMAT or not then.keys() >= _PARTS:
        return "the environment was finished by another version of mlops-lab"
    if stamp.hybrid != steps.hybrid.name:
        return f"the environment was made with {stamp.hybrid}"
    if stamp.engine != engine:
        return f"the environment was made by {stamp.engine or 'another program'}, not by {engine}"
    if Path(stamp.project) != steps.project.root:
        return f"the project has moved here from {stamp.project}"
    return ""


def _changed(steps: Steps, then: Mapping[str, Any]) -> list[str]:
    files = digests(steps.project)
    return sorted(name for name in {*files, *then["files"]} if files.get(name) != then["files"].get(name))


def conda_yml_changed(steps: Steps, files: Mapping[str, str]) -> bool:
    """Whether conda.yml says something else than when the environment was made from it.

    Args:
        steps: The steps.
        files: The digests of the manifests and locks as they are now.
    """
    stamp, path = read_stamp(steps.environment.prefix), steps.project.conda_yml
    then = (stamp.fingerprint or {}).get("files", {}) if stamp else {}
    return path is None or then.get(path.name) != files.get(path.name)


def is_as_left(steps: Steps, stamp: Stamp) -> bool:
    """Whether an environment was finished from these very files, and conda's packages in it are as they were then."""
    then = stamp.fingerprint
    if then is None or then.get("files") != digests(steps.project):
        return False
    return not steps.environment.conda or then.get("conda") == conda_meta.digests(steps.environment.prefix)


def _outgrown(steps: Steps, then: Mapping[str, Any]) -> list[str]:
    """A Python that the changed files no longer mean; one that `--python` chose stays while their word is the same."""
    from packaging.specifiers import SpecifierSet

    from mlops_lab.interpreters import declared
    from mlops_lab.manifests import pyproject

    version = then["python"]["version"]
    wanted, where = declared(steps.project)
    if wanted != then["python"].get("declared") and version not in SpecifierSet(wanted):
        return [f"the environment has Python {version}, and {where} says {wanted}"]
    allowed = pyproject.requires_python(steps.project.data) or ""
    if version not in SpecifierSet(allowed):
        return [f"the environment has Python {version}, and pyproject.toml requires {allowed}"]
    return []


def _interpreter(then: Mapping[str, Any], now: Mapping[str, Any], asked: str | None) -> list[str]:
    if then["interpreter"] != now["interpreter"]:
        return ["the environment's interpreter has changed"]
    if asked is None:
        return []
    version, path = then["python"]["version"], then["python"]["path"]
    word = asked.removeprefix("python")
    # Not `Path.expanduser`, which raises for a user who does not exist.
    if f"{version}.".startswith(f"{word}.") or os.path.realpath(os.path.expanduser(asked)) == path:  # noqa: PTH111
        return []
    return [f"the environment has Python {version}, and {asked} is asked for"]


def damaged(environment: Environment) -> list[Path]:
    """The records of the distributions whose files may not be as the last setup left them.

    Of a setup that was not finished nothing is known: the doctor may have found what came altered from a cache.
    """
    stamp, site = read_stamp(environment.prefix), environment.site_packages
    if site is None or stamp is None:
        return []
    if not stamp.fingerprint:
        return distributions(environment)
    return [site / name for name in _touched(stamp.fingerprint, look(environment))]


def disowned(environment: Environment) -> dict[str, tuple[str, str]]:
    """The digests of the distributions whose files are not as the last setup left them: as it left them, and now."""
    stamp = read_stamp(environment.prefix)
    if stamp is None or not stamp.fingerprint:
        return {}
    then, now = stamp.fingerprint, look(environment)
    return {name: (then["packages"][name], now["packages"][name]) for name in _touched(then, now)}


def may_be_cached(distribution: Path) -> bool:
    """Whether what is wrong with a distribution's files may be in a manager's cache too, as the same files.

    A file with one name only is the environment's own. Where all agree with their record, it was written to as well,
    and nobody knows which of them are wrong.
    """
    wrong = altered_files(distribution)
    if not wrong and not missing_files(distribution):
        wrong = recorded_files(distribution)
    return any(file.status and file.status.st_nlink > 1 for file in wrong)


def _touched(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    before, after = then.get("packages", {}), now["packages"]
    return [name for name in before if name in after and before[name] != after[name]]


def _damaged(then: Mapping[str, Any], now: Mapping[str, Any], condas: set[str]) -> list[str]:
    wrong = [name for name in _touched(then, now) if name not in condas]
    return [f"files of {', '.join(_short(name) for name in wrong)} have changed or are missing"] if wrong else []


def _conda_damaged(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    before, after = then.get("conda", {}), now["conda"]
    wrong = [name for name in before if name in after and before[name] != after[name]]
    return [f"files of conda's {', '.join(wrong)} have changed or are missing"] if wrong else []


def _conda_changed(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    moved = sorted(then.get("conda", {}).keys() ^ now["conda"].keys())
    return [f"conda's packages changed behind conda.yml's back: {', '.join(moved)}"] if moved else []


def _arrivals(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    before, after = then["packages"].keys(), now["packages"].keys()
    found = []
    if came := sorted(after - before):
        found.append(f"installed behind the lock's back: {', '.join(_short(name) for name in came)}")
    if went := sorted(before - after):
        found.append(f"no longer installed: {', '.join(_short(name) for name in went)}")
    return found


def _renewed(steps: Steps, stamp: Stamp, changed: list[str]) -> list[str]:
    then = stamp.fingerprint or {}
    found = [] if then["complete"] else ["its packages are not installed yet"]
    if changed:
        found.append(f"{', '.join(changed)} changed since the last setup")
    tools = [name for name, mark in then["tools"].items() if steps.toolbox.changed(name, mark)]
    if tools:
        found.append(f"another {' and '.join(tools)} than at the last setup")
    if set(stamp.groups) != set(steps.groups):
        found.append(f"other groups: {', '.join(steps.groups) or 'main alone'}")
    return found


def _short(distribution: str) -> str:
    return distribution.rsplit(".", 1)[0].replace("-", " ", 1)


def _version_of(prefix: Path) -> str:
    return config(prefix).get("version", "")


def _base_of(prefix: Path) -> str:
    said = config(prefix)
    return os.path.realpath(said.get("executable") or Path(said.get("home", ""), "python3"))
