"""Build the package and publish it: from files that git knows, a version that is not there yet, never half checked."""

from __future__ import annotations

import contextlib
import re
import shutil
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from mlops_lab import repositories, simple_index
from mlops_lab.errors import FOUND, LabError
from mlops_lab.guide import MANAGERS
from mlops_lab.manifests import pyproject
from mlops_lab.recipe import recover
from mlops_lab.runner import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from mlops_lab.project import Project
    from mlops_lab.repositories import Repository
    from mlops_lab.steps import Steps

__all__ = ["Built", "Published", "build", "publish"]

_DIST = "dist"
_SHOWN = 5
_OURS = frozenset({".mlops-lab", ".venv"})
"""What has no business in a package: logs and the environment."""
_REFUSED = re.compile(
    r"(?:HTTP|[Ss]tatus|[Ee]rror|code)\W+40[13]\b|\b40[13] (?:Client|Unauth|Forb)|[Mm]issing credentials"
)
"""What a tool says when a server does not take the credentials, or wants some."""


@dataclass(frozen=True)
class Built:
    """What a build made.

    Attributes:
        name: The project's normalised name.
        version: The version.
        files: The wheel and the sdist, relative to the project.
    """

    name: str
    version: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Published(Built):
    """What was published, or would have been.

    Attributes:
        repository: The repository's name.
        upload: The address, without credentials; empty for the one that the tools know by themselves.
        uploaded: Whether it was; a rehearsal uploads nothing.
    """

    repository: str
    upload: str
    uploaded: bool


def build(steps: Steps) -> Built:
    """Build a wheel and an sdist into `dist/`; what lies there of other versions stays.

    Raises:
        LabError: The project is no package (code 2), or the build failed or made something else (code 1).
    """
    # A change that is under way, or was killed, is in no package: it may not come to its end.
    recover(steps)
    _refuse_no_package(steps.project.data)
    with _made(steps) as (folder, made):
        return _kept(steps.project, folder, made)


def publish(steps: Steps, repository: str, *, dry_run: bool) -> Published:
    """Build the package and upload it.

    Args:
        steps: The project and its tools.
        repository: The name of the repository.
        dry_run: Whether to do everything but the upload.

    Raises:
        LabError: There is no such repository, the project is no package, or has files that git does not know (code 2);
            the version is there already, the index does not answer, or a command failed (code 1).
    """
    recover(steps)
    place = repositories.chosen(steps.project, repository, steps.environ)
    _refuse_no_package(steps.project.data)
    _refuse_changes(steps)
    _say_who(steps, place)
    with _made(steps) as (folder, made):
        _refuse_existing(steps, place, made)
        kept = _kept(steps.project, folder, made)
        _upload(steps, place, folder, made, dry_run=dry_run)
    return Published(kept.name, kept.version, kept.files, place.name, place.upload, not dry_run)


# --- what is refused before anything is made ---


def _refuse_no_package(data: Mapping[str, Any]) -> None:
    # All managers are asked: what is published shall not depend on the hybrid.
    if not all(pyproject.is_package(data, manager) for manager in MANAGERS):
        raise LabError(
            "this project is no package: it has no [build-system], or says that it is none",
            "declare a [build-system], without package-mode = false ([tool.poetry]) or package = false ([tool.uv])",
        )


def _refuse_changes(steps: Steps) -> None:
    """Refuse to publish what git does not know: nobody could look it up, or build it again."""
    root = steps.project.root
    try:
        argv = ["git", "status", "--porcelain", "--no-renames", "--untracked-files=normal", "-z", "--", "."]
        printed = steps.runner.ask(argv, root)
    except CommandFailed as error:
        if any((folder / ".git").exists() for folder in (root, *root.parents)):
            raise LabError(f"git cannot tell what has changed: {' '.join(error.tail)}", "mend that first") from error
        steps.observer.say("this is no git repository: nobody can look up what this version was made from")
        return
    names = [entry[3:] for entry in printed.split("\0") if entry]
    if names:
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        raise LabError(
            f"git does not have all that would be published: {', '.join(names[:_SHOWN])}{more}",
            "commit these files, or let git ignore what belongs to nobody else",
        )


def _say_who(steps: Steps, place: Repository) -> None:
    source = place.credentials.source if place.credentials.password else "none in the environment, a keyring is asked"
    steps.observer.say(f"to {place}; credentials: {source}")


# --- building ---


@contextlib.contextmanager
def _made(steps: Steps) -> Iterator[tuple[Path, Built]]:
    """Build into a folder of its own, where no older file can be taken for one of these; it goes in the end."""
    folder = Path(tempfile.mkdtemp(prefix="dist-", dir=steps.project.state))
    try:
        steps.step("build", dist=_relative(steps.project, folder))
        yield folder, _checked(steps.project, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _relative(project: Project, path: Path) -> str:
    # uv takes files for patterns: in the project's own path there may be a bracket.
    return path.relative_to(project.root).as_posix()


def _checked(project: Project, folder: Path) -> Built:
    """What a build made, if it is one wheel and one sdist of this project and version, without our own files."""
    from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename

    wheels, sdists = sorted(folder.glob("*.whl")), sorted(folder.glob("*.tar.gz"))
    if (len(wheels), len(sdists)) != (1, 1):
        names = ", ".join(path.name for path in (*wheels, *sdists)) or "nothing"
        raise _wrong(f"the build made {names}, and not one wheel and one sdist")
    try:
        name, version, *_ = parse_wheel_filename(wheels[0].name)
        other = parse_sdist_filename(sdists[0].name)
    except (InvalidSdistFilename, InvalidWheelFilename) as error:
        raise _wrong(str(error)) from error
    wanted = (project.name, _declared(project) or version)
    if not (name, version) == other == wanted:
        raise _wrong(f"the build made {wheels[0].name} and {sdists[0].name}, and not {' '.join(map(str, wanted))}")
    _refuse_our_own(wheels[0], _top_of_wheel(wheels[0]))
    _refuse_our_own(sdists[0], _top_of_sdist(sdists[0]))
    return Built(project.name, str(version), (wheels[0].name, sdists[0].name))


def _wrong(message: str) -> LabError:
    return LabError(message, "look at [build-system] and at the settings of its backend", code=FOUND)


def _declared(project: Project) -> Any:  # noqa: ANN401 - packaging is imported only where something is built
    """The version in [project]; None where the backend finds it out."""
    from packaging.version import InvalidVersion, Version

    text = project.data.get("project", {}).get("version")
    try:
        return Version(text) if text else None
    except (InvalidVersion, TypeError):
        return None


def _top_of_wheel(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {part for name in archive.namelist() for part in PurePosixPath(name).parts[:1]}


def _top_of_sdist(sdist: Path) -> set[str]:
    """The names at the top of the project; in an sdist all of it lies in one folder."""
    with tarfile.open(sdist) as archive:
        return {part for name in archive.getnames() for part in PurePosixPath(name).parts[1:2]}


def _refuse_our_own(path: Path, names: set[str]) -> None:
    """Some backends pack all that the topmost .gitignore does not name: ours lies in the folder that it ignores."""
    if found := sorted(_OURS & names):
        raise LabError(
            f"{path.name} would hold {', '.join(found)}: logs, or an environment",
            f"add these lines to .gitignore: {' '.join(f'/{name}/' for name in found)}",
            code=FOUND,
        )


def _kept(project: Project, folder: Path, made: Built) -> Built:
    """Copy the files into dist/, which ignores itself in git when it is new."""
    dist = project.root / _DIST
    if not dist.exists():
        dist.mkdir()
        (dist / ".gitignore").write_text("*\n", encoding="utf-8")
    for name in made.files:
        shutil.copy2(folder / name, dist / name)
    return Built(made.name, made.version, tuple(f"{_DIST}/{name}" for name in made.files))


# --- uploading ---


def _refuse_existing(steps: Steps, place: Repository, made: Built) -> None:
    """Refuse a version that is there: it stays what it was for everybody who has locked it."""
    there = _there(steps, place, made.name)
    if there is None:
        steps.observer.say(f"whether {place.name} has {made.version} already, the upload has to tell: {_blind(place)}")
    elif taken := simple_index.of_version(there, made.version):
        raise LabError(
            f"{made.name} {made.version} is in {place.name} already ({', '.join(taken)})",
            "raise the version in pyproject.toml: what is published is never changed",
            code=FOUND,
        )


def _blind(place: Repository) -> str:
    if place.upload and not place.index:
        return f"no index is declared for it (`index` under [tool.mlops-lab.repositories.{place.name}])"
    return "its index does not let us look"


def _there(steps: Steps, place: Repository, name: str) -> tuple[str, ...] | None:
    """The files that a repository has of a project; None where that cannot be known."""
    index = place.index if place.upload else steps.toolbox.default_index()
    who = place.credentials
    # The usual index is public, and pip may have been sent to another one: what is meant for the upload stays here.
    login = (who.username, who.password) if who.password and place.upload else None
    if not index:
        return None
    return simple_index.files(index, name, config=steps.toolbox.pip_config, environ=steps.environ, login=login)


def _upload(steps: Steps, place: Repository, folder: Path, made: Built, *, dry_run: bool) -> None:
    shown = _relative(steps.project, folder)
    told = replace(steps, given=repositories.handed(place, steps.environ))
    try:
        told.step(
            "publish",
            "rehearsal" if dry_run else "",
            dist=shown,
            files=[f"{shown}/{name}" for name in made.files],
            repository=[repositories.spoken_of(place)] if place.upload else [],
            upload=[place.upload] if place.upload else [],
        )
    except CommandFailed as error:
        if any(_REFUSED.search(line) for line in error.said):
            error.hint = _refused(place)
        raise


def _refused(place: Repository) -> str:
    if place.credentials.password:
        return f"{place.name} refuses the credentials of {place.credentials.source}, or refuses them for this package"
    return f"{place.name} wants credentials: set {repositories.variables_to_set(place)}"
