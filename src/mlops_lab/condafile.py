"""What conda is asked for: conda.yml as it stands, or a copy of it beside it where the Python has to be said.

A copy is needed for `--python`, for an environment that is there already (its Python stays, since the packages of the
other Python would be left behind in the prefix) and where conda could choose a Python that the project does not allow.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

from mlops_lab.errors import LabError
from mlops_lab.manifests import pyproject
from mlops_lab.project import LOCKS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlops_lab.manifests.conda_env import CondaEnv
    from mlops_lab.manifests.marked import Item
    from mlops_lab.project import Project

__all__ = ["COPY", "checked", "given", "python_wanted"]

COPY = ".mlops-lab.conda.yml"
"""The copy's name, beside conda.yml: what its pip part names is relative to the file."""
_MINORS = tuple(f"3.{minor}" for minor in range(8, 20))


def checked(project: Project) -> CondaEnv:
    """The conda.yml of a project, if an environment can be made from it.

    Raises:
        LabError: There is none, it names no Python, or one that the project or a lock excludes (code 2).
    """
    env = project.conda_env
    if env is None:
        raise LabError(
            "there is no conda.yml", "write one with `name:`, `channels:` and `dependencies:`, python among them"
        )
    if env.python_line is None:
        raise LabError(
            f"{env.path.name}: no python among its dependencies, so there is nothing to install packages for",
            "add a line such as `- python >=3.11,<3.14` under `dependencies:`",
        )
    for name, allowed in _limits(project).items():
        if not _meet(_specifier(env), allowed):
            raise LabError(
                f"{env.path.name}:{env.python_line} asks for python {env.python}, but "
                f"{name}:{_line(project.root / name)} allows {allowed}",
                "change one of the two"
                if name == "pyproject.toml"
                else f"change {env.path.name}, or lock again for that Python with `invoke lock`",
            )
    return env


def python_wanted(project: Project, asked: str | None, there: str) -> str | None:
    """The versions of Python that conda shall choose from, where conda.yml alone would not say so.

    Args:
        project: The project.
        asked: What `--python` says.
        there: The version of the environment's Python; empty where there is no environment.

    Returns:
        A version specifier in the syntax that conda shares with PEP 440; None to take conda.yml as it stands.

    Raises:
        LabError: What was asked for is no version, or the project excludes it (code 2).
    """
    env = checked(project)
    limits = _limits(project)
    if asked is not None:
        return _asked(asked, limits)
    own = _specifier(env)
    if there and _meet(own, f"=={there}") and _all_meet(f"=={there}", limits):
        series = f"=={_minor(there)}.*"
        return None if _within(own, series) else _conda(",".join(part for part in (own, series) if part))
    if all(_within(own, allowed) for allowed in limits.values()):
        return None
    return _conda(",".join(part for part in (own, *limits.values()) if part))


@contextlib.contextmanager
def given(env: CondaEnv, python: str | None, *, nodefaults: bool) -> Iterator[str]:
    """The name of the file to hand to conda, in the project's folder; a copy is gone afterwards.

    Args:
        env: What conda.yml says.
        python: The versions of Python to choose from; None for what the file says.
        nodefaults: Whether conda understands the channel `nodefaults`; some versions take it for a channel's name.
    """
    copy = env.path.with_name(COPY)
    if python is None and (nodefaults or "nodefaults" not in env.channels):
        copy.unlink(missing_ok=True)  # of a command that was killed
        yield env.path.name
        return
    copy.write_text(_copied(env.path, python, nodefaults=nodefaults), encoding="utf-8")
    try:
        yield copy.name
    finally:
        copy.unlink(missing_ok=True)


def _copied(path: Path, python: str | None, *, nodefaults: bool) -> str:
    """The file with other words in the same places, so that whatever is said of a line is true of both files."""
    from mlops_lab.manifests.conda_env import is_python, read

    env, text = read(path), pyproject.read_text(path)
    lines = text.splitlines(keepends=True)
    words = {item.text: f'"python {python}"' for item in env.dependencies if python and is_python(item.text)}
    if not nodefaults:
        # A channel that stands there already changes nothing when it is named again.
        named = [channel for channel in env.channels if channel != "nodefaults"]
        words["nodefaults"] = named[0] if named else "conda-forge"
    # From the end of a line to its start: what was put in does not move the others.
    for item in sorted((*env.dependencies, *env.channel_items), key=lambda item: item.column, reverse=True):
        if item.text in words:
            lines[item.line - 1] = _reworded(path, lines[item.line - 1], item, words[item.text])
    return "".join(lines)


def _reworded(path: Path, line: str, item: Item, word: str) -> str:
    start = item.column - 1
    for quote in ("'", '"', ""):
        if line.startswith(quote + item.text + quote, start):
            return line[:start] + word + line[start + len(item.text) + 2 * len(quote) :]
    raise LabError(
        f"{path.name}:{item.line}: {item.text!r} is written in a way that cannot be changed", "write it plainly"
    )


# --- ranges of Python ---


def _limits(project: Project) -> dict[str, str]:
    """The file → the Pythons that it allows, in PEP 440's words."""
    found = {"pyproject.toml": pyproject.requires_python(project.data) or ""}
    for name in LOCKS.values():
        if (project.root / name).is_file():
            found[name] = _of_lock(project.root / name)
    return {name: allowed for name, allowed in found.items() if allowed}


def _of_lock(path: Path) -> str:
    from mlops_lab.manifests import poetry_lock, uv_lock

    if path.name == LOCKS["uv"]:
        return str(uv_lock.load(path).get("requires-python", ""))
    text = str(poetry_lock.load(path).get("metadata", {}).get("python-versions", ""))
    return pyproject.requires_python({"tool": {"poetry": {"dependencies": {"python": text}}}}) or ""


def _line(path: Path) -> int:
    text = pyproject.read_text(path)
    # Packages of poetry.lock have such a line of their own, before the lock's.
    start = max(text.find("\n[metadata]"), 0) if path.name == LOCKS["poetry"] else 0
    for key in ("requires-python", "python-versions", "python"):
        if match := re.compile(rf"^[ \t]*{key}\s*=", re.MULTILINE).search(text, start):
            return text.count("\n", 0, match.end()) + 1
    return 1


def _specifier(env: CondaEnv) -> str:
    from mlops_lab.manifests.conda_env import python_specifier

    try:
        return python_specifier(env.python) if env.python else ""
    except LabError as error:
        raise LabError(f"{env.path.name}:{env.python_line}: {error.message}", error.hint) from error


def _releases() -> list[str]:
    """Versions that stand for all: the first ones of each series, and one that no series reaches."""
    return [f"{minor}.{patch}" for minor in _MINORS for patch in (*range(30), 99)]


def _meet(first: str, second: str) -> bool:
    """Whether some Python satisfies both."""
    from packaging.specifiers import SpecifierSet

    both = SpecifierSet(",".join(part for part in (first, second) if part))
    named = [spec.version.removesuffix(".*") for spec in both if spec.operator == "=="]
    return any(version in both for version in (*_releases(), *named))


def _all_meet(first: str, limits: dict[str, str]) -> bool:
    return all(_meet(first, allowed) for allowed in limits.values())


def _within(inner: str, outer: str) -> bool:
    """Whether every Python of the first range is in the second."""
    from packaging.specifiers import SpecifierSet

    first, second = SpecifierSet(inner), SpecifierSet(outer)
    return all(version in second for version in _releases() if version in first)


def _asked(asked: str, limits: dict[str, str]) -> str:
    from packaging.version import InvalidVersion, Version

    word = asked.removeprefix("python")
    try:
        version = Version(word)
    except InvalidVersion as error:
        raise LabError(
            f"--python {asked!r} is not a version", "conda brings a Python of its own: write --python 3.12"
        ) from error
    series = len(version.release) < 3  # noqa: PLR2004 - major.minor.patch
    wanted = f"=={word}.*" if series else f"=={word}"
    for name, allowed in limits.items():
        if not _meet(wanted, allowed):
            raise LabError(f"Python {word} is not allowed: {name} requires {allowed}", "choose another --python")
    return _conda(wanted)


def _conda(specifier: str) -> str:
    """PEP 440 as conda writes it: without spaces, and `==3.12.*` as `3.12.*`."""
    return re.sub(r"==([\d.]+\.\*)", r"\1", "".join(specifier.split()))


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])
