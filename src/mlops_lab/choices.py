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
from mlops_lab.guide import HYBRIDS, Hybrid, hybrid_named, nearest
from mlops_lab.manifests import pyproject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlops_lab.project import Project

__all__ = ["Request", "Standing", "choose_environment", "choose_groups", "choose_hybrid", "refuse_prefix", "standing"]


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
    """

    hybrid: str | None = None
    python: str | None = None
    prefix: str | None = None
    groups: tuple[str, ...] = ()
    force: bool = False
    offline: bool = False


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


def standing(project: Project, hybrid: Hybrid) -> Standing:
    """Whether a hybrid can run on this machine and for this project, judged without starting anything."""
    if hybrid.backend == "conda":
        return Standing(hybrid, "no conda makes environments for mlops-lab yet", "take venv+poetry or venv+uv")
    if hybrid.manager == "uv" and "project" not in project.data:
        return Standing(
            hybrid,
            "uv does not read Poetry's own tables, and there is no [project]",
            "declare the project and its dependencies under [project], which both managers read",
        )
    if hybrid.manager == "uv" and (workspace := _workspace(project)):
        return Standing(
            hybrid,
            f"the project is a member of the uv workspace {workspace}, which has one lock for all its members",
            "run it there, or take venv+poetry",
        )
    if hybrid.manager == "uv" and (hidden := pyproject.poetry_only_groups(project.data)):
        return Standing(
            hybrid,
            f"uv does not read Poetry's own groups ({', '.join(hidden)})",
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


def choose_hybrid(project: Project, asked: str | None, *, to_run: bool = True) -> tuple[Hybrid, str]:
    """The hybrid, and why that one.

    Args:
        project: The project.
        asked: The name that the user gave; None for none.
        to_run: Whether its steps shall run; to show them, it need not be able to.

    Raises:
        LabError: There is no such hybrid, or it cannot run here (code 2).
    """
    for name, reason in (
        (asked, "asked for"),
        (project.remembered("hybrid"), "this project used it last"),
        (project.settings.hybrid, "[tool.mlops-lab] says so"),
    ):
        if name is not None and not _forgotten(project, name, asked):
            return _able(project, hybrid_named(name)) if to_run else hybrid_named(name), reason
    usual = hybrid_named("venv+poetry")
    able = [hybrid for hybrid in (usual, *HYBRIDS) if not standing(project, hybrid).why_not]
    return able[0], "no engine runs conda yet" if able[0] == usual else standing(project, usual).why_not


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


def choose_environment(project: Project, hybrid: Hybrid, asked: str | None) -> Environment:
    """The environment to work on: the prefix that was asked for, now or last time, else the project's own `.venv`.

    Raises:
        LabError: The prefix is no path, or one that cannot be looked at (code 2).
    """
    if asked is not None and not (asked.strip() and asked.isprintable()):
        raise LabError(f"--prefix {asked!r} names no folder", "write its path, for example --prefix .venv")
    text = asked if asked is not None else project.remembered("prefix")
    # Not `Path.expanduser`, which raises for a user who does not exist.
    prefix = Path(os.path.expanduser(text)) if text else project.root / ".venv"  # noqa: PTH111
    conda = hybrid.backend == "conda"
    name = project.conda_env.name if conda and project.conda_env else None
    return Environment(_real(prefix.absolute()), conda=conda, name=name or project.name)


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
    _refuse_foreign(project, prefix, force=force)
    folder = next(folder for folder in (prefix, *prefix.parents) if folder.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise LabError(f"{folder} cannot be written", "choose another place with --prefix, or make it writable")


def _refuse_foreign(project: Project, prefix: Path, *, force: bool) -> None:
    if not prefix.is_dir() or not any(prefix.iterdir()):
        return
    stamp = read_stamp(prefix)
    if stamp is not None and _looks_like_environment(prefix):
        if not _claimed(project, prefix, stamp.project, force=force):
            raise LabError(f"{prefix} belongs to the project {stamp.project}", "choose another one with --prefix")
        return
    if not (prefix / "pyvenv.cfg").exists():
        raise LabError(f"{prefix} is a folder with other files in it", "choose an empty or new one with --prefix")
    if not force:
        raise LabError(
            f"{prefix} is an environment that mlops-lab did not make",
            "rebuild it with --force, or choose another one with --prefix",
        )


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
