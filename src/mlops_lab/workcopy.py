"""A copy of the project to work on: a session may add, update and lock in it, and the checkout stays as it is.

In a git repository the copy is a clone with the working tree's files, so that tools which ask git (for a version, for
the list of files) work. Manifests and locks stay byte for byte, since a rewritten path would make a lock stale; what
they name outside of the copy is linked at the same relative place.
"""

from __future__ import annotations

import os
import re
import shutil
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

__all__ = ["MARKER", "copy_project"]

MARKER = ".mlops-lab-copy"
"""The file that says: this folder is ours, it may be emptied."""

ENVIRONMENT = ("pyvenv.cfg", "conda-meta")
CACHES = frozenset(
    [
        ".git",
        ".nox",
        ".tox",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        "__pycache__",
        "node_modules",
        ".mlops-lab",
    ],
)
LARGEST = 10_000_000
"""Bytes; without git, a larger file is taken for data."""

LINE_FILES = re.compile(r"(?:requirements.*|constraints.*)\.(?:txt|in)|(?:conda|environment)\.ya?ml")
# A path upwards in a line of pip's or conda's: quoted, bare, behind an option, or as file:../x
QUOTED = re.compile(r"""(["'])(\.\.(?:[\\/].*?)?)\1""")
BARE = re.compile(r"(?:^|[\s=]|(?<=-[ercf])|file:)(\.\.(?:[\\/][^\s\[;#\"']*)?)(?=$|[\s\[;#])", re.MULTILINE)


def copy_project(root: Path, folder: Path, run: Callable[[Sequence[str], Path], str]) -> Path:
    """Copy a project for a session.

    Args:
        root: The project, which may lie below the top of its git repository: then the whole repository is copied.
        folder: Where the copy goes. It is emptied first.
        run: Starts a command in a folder and returns its standard output; raises LabError when it fails. It must not
            pass on git's own variables (GIT_DIR, GIT_INDEX_FILE), which hooks set.

    Returns:
        The project inside the copy.

    Raises:
        LabError: The folder holds something that is not ours, or git or the disk failed.
    """
    root = root.resolve()
    _prepare(root, folder)
    folder = folder.resolve()
    top = _top(root, run)
    try:
        files = _known_to_git(top, folder, run) if top else _all_that_matter(root, folder)
        base = top or root
        outside = {target for file in files for target in _named_paths(base / file) if target.exists()}
        copy = _place(base, folder, outside)
        if top:
            run(["git", "clone", "--quiet", "--local", "--no-checkout", str(top), str(copy)], folder)
        _copy_files(base, copy, files)
        if top:
            run(["git", "reset", "--quiet"], copy)
        for target in sorted(outside):
            _link(target, Path(os.path.normpath(copy / os.path.relpath(target, base))), copy)
    except OSError as error:
        raise LabError(
            f"cannot copy {root} to {folder}: {error}", "look at the disk, or choose another folder"
        ) from error
    return copy / root.relative_to(base)


# --- the folder ----------------------------------------------------------------------------------------------------


def _prepare(root: Path, folder: Path) -> None:
    if root.is_relative_to(folder.resolve()):
        raise LabError(f"{folder} holds the project itself and cannot be emptied", "choose another folder")
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise LabError(f"{folder} is not a folder", "choose another one")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        entries = list(folder.iterdir())
        if entries and not (folder / MARKER).is_file():
            raise LabError(f"{folder} holds something that is not ours", "choose another folder, or empty it yourself")
        # Written first and removed never: a copy that was cut short can be emptied by the next one.
        (folder / MARKER).write_text("mlops-lab may delete everything in this folder\n", encoding="utf-8")
        for entry in entries:
            if entry.name != MARKER:
                _remove(entry)
    except OSError as error:
        raise LabError(f"cannot empty {folder}: {error}", "look at its owner, or choose another folder") from error


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()


def _place(base: Path, folder: Path, outside: Iterable[Path]) -> Path:
    """Where the copy goes: as deep in the folder, under the same names, as the paths out of it climb."""
    climbs = [Path(os.path.relpath(target, base)).parts.count("..") for target in outside]
    names = [parent.name or "top" for parent in base.parents][: max(climbs, default=0)]
    copy = folder.joinpath(*reversed(names), base.name or "top")
    copy.parent.mkdir(parents=True, exist_ok=True)
    return copy


# --- which files ---------------------------------------------------------------------------------------------------


def _top(root: Path, run: Callable[[Sequence[str], Path], str]) -> Path | None:
    """The top of the git repository; None without git, without a repository, or in one that ignores the project."""
    try:
        top = run(["git", "rev-parse", "--show-toplevel"], root).rstrip("\r\n")
        known = run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "."], root)
    except LabError:
        return None
    return Path(top).resolve() if top and known.strip("\0\n") else None


def _known_to_git(top: Path, folder: Path, run: Callable[[Sequence[str], Path], str]) -> list[Path]:
    """The files of a working tree, relative to it: tracked and still there, or neither tracked nor ignored."""
    tracked = _listed(top, ["--cached"], run)
    untracked = [path for path in _listed(top, ["--others", "--exclude-standard"], run) if _is_wanted(top, path)]
    found: dict[Path, None] = {}
    for path in [*tracked, *untracked]:
        whole = top / path
        if whole.is_relative_to(folder):
            continue
        if whole.is_dir() and not whole.is_symlink():  # a submodule, or a repository inside this one
            found |= dict.fromkeys(path / inner for inner in _inner(whole, folder, run))
        elif os.path.lexists(whole):
            found[path] = None
    return list(found)


def _listed(top: Path, which: Sequence[str], run: Callable[[Sequence[str], Path], str]) -> list[Path]:
    return [Path(name) for name in run(["git", "ls-files", "-z", *which], top).rstrip("\n").split("\0") if name]


def _inner(whole: Path, folder: Path, run: Callable[[Sequence[str], Path], str]) -> list[Path]:
    """The files of a repository inside the repository; a submodule that was never fetched is an empty folder."""
    return _known_to_git(whole, folder, run) if (whole / ".git").exists() else []


def _is_wanted(top: Path, path: Path) -> bool:
    """Whether an untracked file is neither in a cache nor in an environment that nobody told git to ignore."""
    return CACHES.isdisjoint(path.parts) and not any(
        _is_environment(top / place) for place in [path, *path.parents][:-1]
    )


def _is_environment(path: Path) -> bool:
    return any((path / name).exists() for name in ENVIRONMENT)


def _all_that_matter(root: Path, folder: Path) -> list[Path]:
    """Without git: every file but environments, caches and data."""
    found: list[Path] = []
    for parent, folders, files in os.walk(root):
        here = Path(parent)
        links = [name for name in folders if (here / name).is_symlink()]
        folders[:] = [
            name
            for name in folders
            if name not in CACHES and name not in links and here / name != folder and not _is_environment(here / name)
        ]
        found += [(here / name).relative_to(root) for name in [*files, *links] if _is_small(here / name)]
    return found


def _is_small(path: Path) -> bool:
    return path.is_symlink() or (path.is_file() and path.stat().st_size <= LARGEST)


# --- copying -------------------------------------------------------------------------------------------------------


def _copy_files(base: Path, copy: Path, files: Iterable[Path]) -> None:
    copy.mkdir(exist_ok=True)
    for file in files:
        (copy / file).parent.mkdir(parents=True, exist_ok=True)
        source = base / file
        if source.is_symlink() and _leads_out(source, base):
            (copy / file).symlink_to(source.resolve())
            continue
        with suppress(FileNotFoundError):  # gone since it was listed: another session's temporary file
            shutil.copy2(source, copy / file, follow_symlinks=False)


def _leads_out(link: Path, base: Path) -> bool:
    """Whether a relative link points out of the tree, and would point elsewhere from the copy."""
    target = link.readlink()
    return not target.is_absolute() and not Path(os.path.normpath(link.parent / target)).is_relative_to(base)


def _link(target: Path, spot: Path, copy: Path) -> None:
    """Link a real path at its place beside the copy; a place that holds the copy is filled entry by entry."""
    if spot in copy.parents:
        for entry in target.iterdir():
            _link(entry, spot / entry.name, copy)
    elif not os.path.lexists(spot):
        spot.parent.mkdir(parents=True, exist_ok=True)
        spot.symlink_to(target, target_is_directory=target.is_dir())


# --- paths that lead out -------------------------------------------------------------------------------------------


def _named_paths(file: Path) -> Iterator[Path]:
    """The absolute paths behind the relative ones in a manifest; a manifest that cannot be read names none."""
    if file.name != "pyproject.toml" and not LINE_FILES.fullmatch(file.name):
        return
    try:
        text = file.read_text(encoding="utf-8")
        names = _in_toml(tomllib.loads(text)) if file.name == "pyproject.toml" else _in_lines(text)
    except (OSError, ValueError):
        return  # whoever reads the manifest reports it, with its line
    for name in names:
        yield Path(os.path.normpath(file.parent / name.replace("\\", "/")))


def _in_lines(text: str) -> list[str]:
    return [match[2] for match in QUOTED.finditer(text)] + [match[1] for match in BARE.finditer(text)]


def _in_toml(value: Any, key: str = "") -> list[str]:  # noqa: ANN401
    """Every text that climbs (a path, a readme, a package folder, `name @ file:../x`), and every `path`."""
    if isinstance(value, dict):
        return [name for inner, below in value.items() for name in [*_climbing(inner), *_in_toml(below, inner)]]
    if isinstance(value, list):
        return [name for below in value for name in _in_toml(below)]
    if not isinstance(value, str):
        return []
    return [value] if key == "path" and value else _climbing(value)


def _climbing(text: str) -> list[str]:
    return [text] if re.match(r"\.\.(?:[\\/]|$)", text) else _in_lines(text)
