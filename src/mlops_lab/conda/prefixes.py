"""Where environments live, whose they are, and the folders beside one in which a new one grows."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_lab.conda import history, marker
from mlops_lab.environment import STAMP
from mlops_lab.errors import FOUND, LabError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlops_lab.conda.config import Settings
    from mlops_lab.conda.talk import Talk

__all__ = [
    "assert_ours",
    "beside",
    "clear",
    "discard",
    "exists",
    "known",
    "locate",
    "name_of",
    "recover",
    "writable_folder",
]

_ROOT_NAMES = frozenset({"base", "root"})
NEW, OLD, TRASH = "new", "old", "trash"
"""The folders beside a prefix: what is being made, what it replaces, what is being deleted."""


def locate(
    name: str | None, prefix: str | None, settings: Settings, environ: Mapping[str, str], *, looking: bool = False
) -> Path:
    """The prefix that is meant.

    Args:
        name: The environment's name, looked up in every envs_dirs.
        prefix: Its folder, which need not exist.
        settings: The configuration.
        environ: For the active environment, which is meant when neither is given.
        looking: Whether nothing is going to be changed: conda's own environment may be looked at.

    Raises:
        LabError: Nothing is named, the name is none, or it is conda's own environment.
    """
    if prefix is not None:
        return _checked(Path(os.path.abspath(Path(prefix).expanduser())), environ, looking=looking)  # noqa: PTH100
    if name is None:
        if active := environ.get("CONDA_PREFIX"):
            return _checked(Path(active), environ, looking=looking)
        raise LabError(
            "no environment is named", "add --name NAME or --prefix FOLDER, or a line `name: NAME` to the file"
        )
    if name in _ROOT_NAMES:
        raise _root(name)
    # https://github.com/conda/conda/blob/main/conda/base/context.py (validate_prefix_name)
    if not name or name in {".", ".."} or re.search(r"[/\\ :#]", name):
        raise LabError(
            f'"{name}" cannot be the name of an environment',
            "use neither / : # nor blanks; a folder goes after --prefix",
        )
    found = [folder / name for folder in settings.envs_dirs if exists(folder / name)]
    if not found and looking:
        raise LabError(f'no environment is called "{name}"', "`env list` shows what there is")
    place = found[0] if found else writable_folder(settings.envs_dirs, "envs_dirs") / name
    return _checked(place, environ, looking=looking)


def _root(what: object) -> LabError:
    hint = "name another environment; this conda makes and changes only environments of its own"
    return LabError(f"{what} is the environment that a conda itself lives in: it is left alone", hint)


def _checked(prefix: Path, environ: Mapping[str, str], *, looking: bool) -> Path:
    # The folder behind any links: it is renamed when it is replaced, and its path is written into files.
    prefix = Path(os.path.realpath(prefix))
    roots = [environ.get("CONDA_ROOT"), environ.get("CONDA_ROOT_PREFIX"), environ.get("MAMBA_ROOT_PREFIX")]
    roots += [str(Path(exe).parent.parent) for exe in (environ.get("CONDA_EXE"),) if exe]
    if not looking and (str(prefix) in roots or (prefix / "condabin").is_dir()):
        raise _root(prefix)
    return prefix


def writable_folder(folders: tuple[Path, ...], key: str) -> Path:
    """The first folder that can be written, made if need be.

    Raises:
        LabError: There is none (code 2).
    """
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    listed = ", ".join(map(str, folders))
    raise LabError(
        f"none of the folders of {key} can be written: {listed}", f"name another one in `{key}` of ~/.condarc"
    )


def exists(prefix: Path) -> bool:
    """Whether conda would call this an environment."""
    return (prefix / "conda-meta" / "history").is_file()


def name_of(prefix: Path, settings: Settings) -> str:
    """What people call an environment; empty for one that does not live in envs_dirs."""
    return prefix.name if prefix.parent in {Path(os.path.realpath(folder)) for folder in settings.envs_dirs} else ""


def known(settings: Settings) -> list[Path]:
    """Every environment that the user's list or a folder of envs_dirs holds."""
    found = {path for path in history.registered() if exists(path)}
    for folder in settings.envs_dirs:
        if folder.is_dir():
            found |= {path for path in folder.iterdir() if exists(path) and not _beside(path)}
    return sorted(found)


def assert_ours(prefix: Path) -> None:
    """Refuse to change what this engine did not make.

    Args:
        prefix: The folder.

    Raises:
        LabError: Another engine made it, it is no environment, or this process runs from it (code 2).
    """
    if prefix.resolve() in {Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()}:
        hint = "run it from outside, for example with the Python that mlops-lab was installed with"
        raise LabError(f"this command runs from {prefix} and cannot change it", hint)
    if not prefix.is_dir() and not prefix.exists():
        return
    if not prefix.is_dir():
        raise LabError(f"{prefix} is a file", "name a folder that does not exist yet")
    # A recipe may have left its stamp there before anything else.
    if marker.read(prefix) is not None or all(path.name == STAMP for path in prefix.iterdir()):
        return
    if (prefix / "conda-meta").is_dir():
        hint = "change it with the conda, mamba or micromamba that made it, or choose another --name or --prefix"
        raise LabError(f"{prefix} was made by another conda: two engines in one environment leave files behind", hint)
    raise LabError(f"{prefix} is no conda environment, and it is not empty", "choose another --name or --prefix")


# --- beside a prefix -----------------------------------------------------------------------------------------------


def beside(prefix: Path, role: str) -> Path:
    """The folder beside a prefix in which its successor grows, its predecessor waits, or rubbish lies."""
    return prefix.with_name(f".{prefix.name}.mlops-lab-{role}")


def _beside(path: Path) -> bool:
    return path.name.startswith(".") and path.name.rpartition(".mlops-lab-")[2] in {NEW, OLD, TRASH}


def clear(path: Path) -> None:
    """Delete a folder; threads of an interrupted installation may still write into it for a moment."""
    for _ in range(20):
        shutil.rmtree(path, ignore_errors=True)
        if not os.path.lexists(path):
            return
        time.sleep(0.05)
    raise LabError(f"{path} cannot be deleted", "delete it by hand, then run the command again", code=FOUND)


def discard(prefix: Path) -> None:
    """Delete an environment so that nobody ever sees half of it."""
    trash = beside(prefix, TRASH)
    clear(trash)
    prefix.rename(trash)
    clear(trash)


def recover(prefix: Path, talk: Talk) -> None:
    """Clear away what a killed run left: the old environment comes back unless the new one was finished."""
    new, old, trash = (beside(prefix, role) for role in (NEW, OLD, TRASH))
    if trash.exists():
        clear(trash)
    if new.exists():
        talk.say(f"clearing away what an interrupted run left beside {prefix}")
        clear(new)
    found = marker.read(prefix)
    if found is not None and found.state == marker.BUILDING:
        talk.say(f"clearing away {prefix}, which an interrupted run left half made")
        discard(prefix)
    if old.exists():
        if prefix.exists():
            clear(old)
        else:
            old.rename(prefix)
