"""What a command works on: the hybrid, the prefix and the groups, as asked for or as the project says.

Everything that is wrong with the choice is refused here, before anything is touched.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_lab.environment import STAMP, Environment, read_stamp
from mlops_lab.errors import LabError
from mlops_lab.guide import HYBRIDS, MANAGERS, USUAL, WITHOUT_CONDA, Hybrid, hybrid_named, nearest
from mlops_lab.manifests import pyproject

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mlops_lab.project import Project

__all__ = [
    "ASKED",
    "Places",
    "Request",
    "Standing",
    "choose_environment",
    "choose_groups",
    "choose_hybrid",
    "refuse_others",
    "refuse_prefix",
    "standing",
]


ASKED = "asked for"
"""The reason for a hybrid that the user named."""
_SKELETON = frozenset({"bin", "include", "lib", "lib64", "Include", "Lib", "Scripts", ".gitignore"})
"""What `python -m venv` makes before it says in pyvenv.cfg what it has made."""


@dataclass(frozen=True)
class Request:
    """What the user asked for; None and empty stand for "as the project says".

    Attributes:
        hybrid: A hybrid's name.
        python: A Python version, or an interpreter's path.
        prefix: The environment's folder.
        groups: Dependency groups: main and exactly these.
        force: Whether to rebuild an environment that looks finished.
        offline: Whether nothing may be fetched.
        conda: The program that shall act as conda.
    """

    hybrid: str | None = None
    python: str | None = None
    prefix: str | None = None
    groups: tuple[str, ...] = ()
    force: bool = False
    offline: bool = False
    conda: str | None = None


@dataclass(frozen=True)
class Standing:
    """Whether a hybrid can run here.

    Attributes:
        hybrid: The hybrid.
        why_not: Why it cannot; empty when it can.
        remedy: What to do about it.
    """

    hybrid: Hybrid
    why_not: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Places:
    """Where an engine keeps environments.

    Attributes:
        root: Its base environment; empty where it has none.
        envs_dirs: The folders of named environments, in the order of its search.
    """

    root: str
    envs_dirs: tuple[str, ...]


def standing(project: Project, hybrid: Hybrid) -> Standing:
    """Whether a hybrid can run for this project, judged from its files."""
    if hybrid.by_conda and project.conda_yml is None:
        return Standing(
            hybrid,
            "there is no conda.yml",
            f"write one with `name:`, `channels:` and `dependencies:`, python among them, or take {WITHOUT_CONDA}",
        )
    manager = MANAGERS[hybrid.manager]
    if not manager.reads_poetry and "project" not in project.data:
        return Standing(
            hybrid,
            f"{hybrid.manager} does not read Poetry's own tables, and there is no [project]",
            "declare the project and its dependencies under [project], which both managers read",
        )
    if manager.workspaces and (workspace := _workspace(project)):
        return Standing(
            hybrid,
            f"the project is a member of the {hybrid.manager} workspace {workspace}, which has one lock for all its "
            "members",
            f"run it there, or take {WITHOUT_CONDA}",
        )
    if not manager.reads_poetry and (hidden := pyproject.poetry_only_groups(project.data)):
        return Standing(
            hybrid,
            f"{hybrid.manager} does not read Poetry's own groups ({', '.join(hidden)})",
            "declare them under [dependency-groups], which both managers read",
        )
    return Standing(hybrid)


def _workspace(project: Project) -> Path | None:
    """The uv workspace above that a project belongs to (https://docs.astral.sh/uv/concepts/projects/workspaces/)."""
    for folder in project.root.parents:
        path = folder / "pyproject.toml"
        if not path.is_file() or b"workspace" not in path.read_bytes():
            continue
        with contextlib.suppress(LabError):
            workspace = pyproject.read(path).get("tool", {}).get("uv", {}).get("workspace")
            members = workspace.get("members", []) if isinstance(workspace, dict) else []
            if any(project.root in folder.glob(pattern) for pattern in members if isinstance(pattern, str)):
                return folder
    return None


def choose_hybrid(
    project: Project, asked: str | None, conda: Callable[[], tuple[str, str]], *, to_run: bool = True
) -> tuple[Hybrid, str]:
    """The hybrid, and why that one.

    Args:
        project: The project.
        asked: The name that the user gave; None for none.
        conda: Tells whether a conda can work here, by why and by why not: one of the two is empty. Asked only where
            nothing else decides, since the answer may have to come from a network.
        to_run: Whether its steps shall run; to show them, it need not be able to.

    Raises:
        LabError: There is no such hybrid, or it cannot run here (code 2).
    """
    for name, reason in (
        (asked, ASKED),
        (project.remembered("hybrid"), "this project used it last"),
        (project.settings.hybrid, "[tool.mlops-lab] says so"),
    ):
        if name is not None and not _forgotten(project, name, asked):
            return _able(project, hybrid_named(name)) if to_run else hybrid_named(name), reason
    if why_not := standing(project, USUAL).why_not:
        able = [hybrid for hybrid in (WITHOUT_CONDA, *HYBRIDS) if not standing(project, hybrid).why_not]
        return able[0], why_not if able[0] == WITHOUT_CONDA else standing(project, WITHOUT_CONDA).why_not
    why, why_not = conda()
    return (USUAL, why) if why else (WITHOUT_CONDA, why_not)


def _forgotten(project: Project, name: str, asked: str | None) -> bool:
    """Whether it was only remembered, and cannot run any more: nobody asked for it now."""
    names = {hybrid.name: hybrid for hybrid in HYBRIDS}
    if name in (asked, project.settings.hybrid):
        return False
    return name not in names or bool(standing(project, names[name]).why_not)


def _able(project: Project, hybrid: Hybrid) -> Hybrid:
    found = standing(project, hybrid)
    if found.why_not:
        raise LabError(f"{hybrid} cannot run here: {found.why_not}", found.remedy)
    return hybrid


def choose_groups(project: Project, asked: Sequence[str]) -> tuple[str, ...]:
    """The dependency groups to install beside main.

    Raises:
        LabError: There is no such group (code 2).
    """
    known = pyproject.all_group_names(project.data)
    asked = [pyproject.normalized(group) for group in asked]
    for group in asked:
        if group not in known:
            hint = nearest(group, known) if known else "pyproject.toml declares no groups"
            raise LabError(f"there is no dependency group {group!r}", hint)
    return tuple(dict.fromkeys(asked)) or project.groups


def choose_environment(
    project: Project, hybrid: Hybrid, asked: str | None, places: Places | None = None
) -> Environment:
    """The environment to work on: the prefix that was asked for, now or last time, else the project's own.

    That is `.venv`, and for conda the one that conda.yml names.

    Args:
        project: The project.
        hybrid: The hybrid.
        asked: The prefix that the user gave; None for none.
        places: Where conda keeps environments.

    Raises:
        LabError: The prefix is no path, or one that cannot be looked at, or conda.yml names no environment that can be
            the project's (code 2).
    """
    if asked is not None and not (asked.strip() and asked.isprintable()):
        raise LabError(f"--prefix {asked!r} names no folder", "write its path, for example --prefix .venv")
    text = asked if asked is not None else project.remembered("prefix")
    # Not `Path.expanduser`, which raises for a user who does not exist.
    prefix = Path(os.path.expanduser(text)) if text else None  # noqa: PTH111
    if not hybrid.by_conda:
        return Environment(_real((prefix or project.root / ".venv").absolute()), name=project.name)
    name = _conda_name(project)
    envs_dirs = places.envs_dirs if places else ()
    if prefix is None:
        found = Environment(_real(_named(name, envs_dirs, project).absolute()), conda=True, name=name, by_name=True)
    else:
        real = _real(prefix.absolute())
        own = real == _found(name, envs_dirs)
        found = Environment(real, conda=True, name=name if own else real.name, by_name=own)
    if places and places.root and found.prefix == Path(places.root).resolve():
        raise _base(str(found.prefix), "choose another one with --prefix")
    return found


def _conda_name(project: Project) -> str:
    env = project.conda_env
    name = (env.name if env else None) or project.name
    file = env.path.name if env else "conda.yml"
    if name in {"base", "root"}:
        raise _base(f"{file}: {name!r}", f"write a name of the project's own, such as `name: {project.name}`")
    # https://docs.conda.io/projects/conda/en/stable/user-guide/tasks/manage-environments.html
    if any(character in name for character in " /:#") or not name.isprintable() or name.startswith("."):
        raise LabError(
            f"{file}: {name!r} is no name for an environment",
            "write it without spaces, slashes, colons and #, and without a period in front",
        )
    return name


def _base(what: str, hint: str) -> LabError:
    return LabError(
        f"{what} is conda's own environment (base), which conda itself runs in: a project's packages would break it, "
        "and `--prune` would remove conda",
        hint,
    )


def _found(name: str, envs_dirs: Sequence[str]) -> Path | None:
    """The environment that conda finds by its name."""
    places = (Path(folder) / name for folder in envs_dirs)
    return next((place.resolve() for place in places if (place / "conda-meta" / "history").is_file()), None)


def _named(name: str, envs_dirs: Sequence[str], project: Project) -> Path:
    """Where conda finds the environment of a name, or would make it."""
    if there_already := _found(name, envs_dirs):
        return there_already
    for folder in map(Path, envs_dirs):
        there = next((parent for parent in (folder, *folder.parents) if parent.exists()), folder)
        if os.access(there, os.W_OK):
            return folder / name
    raise LabError(
        f"none of conda's folders for environments can be written: {', '.join(envs_dirs) or '(there is none)'}",
        f"name another one in CONDA_ENVS_DIRS or .condarc, or choose one with --prefix {project.root / '.conda'}",
    )


def _real(prefix: Path) -> Path:
    """The folder behind any links: an environment holds its path in many files, and they shall name the real one."""
    try:
        real = prefix.resolve()
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            (real / STAMP).stat()
    except (OSError, RuntimeError) as error:  # RuntimeError: links that lead round in a circle
        reason = getattr(error, "strerror", None) or str(error)
        raise LabError(f"{prefix} cannot be looked at: {reason}", "choose another one with --prefix") from error
    return real


def refuse_prefix(project: Project, environment: Environment, *, force: bool) -> None:
    """Refuse a prefix that is not ours to change.

    Raises:
        LabError: It is a file, holds the project, belongs to another project, was made by somebody else, or cannot be
            written (code 2).
    """
    prefix = environment.prefix
    if prefix.exists() and not prefix.is_dir():
        raise LabError(f"{prefix} is a file, not a folder for an environment", "choose another one with --prefix")
    if project.root.is_relative_to(prefix):
        raise LabError(f"{prefix} holds the project itself", "choose a folder of its own with --prefix")
    if (prefix / "condabin").exists():
        raise _base(str(prefix), "choose another one with --prefix")
    _refuse_foreign(project, prefix, force=force)
    folder = next(folder for folder in (prefix, *prefix.parents) if folder.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise LabError(f"{folder} cannot be written", "choose another place with --prefix, or make it writable")


def _refuse_foreign(project: Project, prefix: Path, *, force: bool) -> None:
    if not prefix.is_dir() or not any(prefix.iterdir()):
        return
    stamp = read_stamp(prefix)
    if stamp is None and project.remembered("making") == str(prefix) and _looks_like_environment(prefix):
        return  # conda makes the whole prefix: only the project could say whose it would be
    if stamp is not None and _looks_like_environment(prefix):
        if not _claimed(project, prefix, stamp.project, force=force):
            raise _belongs_to(prefix, stamp.project)
        return
    if not {"pyvenv.cfg", "conda-meta"} & {path.name for path in prefix.iterdir()}:
        raise LabError(f"{prefix} is a folder with other files in it", "choose an empty or new one with --prefix")
    if not force:
        raise LabError(
            f"{prefix} is an environment that mlops-lab did not make",
            "rebuild it with --force, or choose another one with --prefix",
        )


def refuse_others(project: Project, prefix: Path) -> None:
    """Refuse to answer with the environment of another project that happens to have the same name.

    Raises:
        LabError: The stamp names another project (code 2).
    """
    stamp = read_stamp(prefix)
    if stamp is not None and not _claimed(project, prefix, stamp.project, force=False):
        raise _belongs_to(prefix, stamp.project)


def _belongs_to(prefix: Path, owner: str) -> LabError:
    hint = "choose another one with --prefix"
    if not (Path(owner) / "pyproject.toml").exists():
        hint = "that folder is gone: rebuild the environment for this project with `invoke setup --force`"
    return LabError(f"{prefix} belongs to the project {owner}", hint)


def _claimed(project: Project, prefix: Path, owner: str, *, force: bool) -> bool:
    """Whether an environment is the project's: by its stamp, or because it moved here with the project's folder."""
    if Path(owner) == project.root:
        return True
    gone = not (Path(owner) / "pyproject.toml").exists()
    return gone and (force or prefix.is_relative_to(project.root))


def _looks_like_environment(prefix: Path) -> bool:
    """Whether a folder is an environment, or what there is of one that was never finished.

    A stamp alone says nothing: everything in the folder is removed when the environment is rebuilt.
    """
    names = {path.name for path in prefix.iterdir() if not path.name.startswith(STAMP)}
    return bool(names & {"pyvenv.cfg", "conda-meta"}) or names <= _SKELETON
