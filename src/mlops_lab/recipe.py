"""Which steps run in which order: set up, create, install, clean. It knows no tool."""

from __future__ import annotations

# What only a setup with something to do needs is imported where it is used: otherwise there is an answer in 0.2 s.
import contextlib
import shutil
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_lab import conda_meta, freshness, scripts
from mlops_lab.choices import refuse_prefix
from mlops_lab.environment import (
    SEEDS,
    STAMP,
    Stamp,
    altered_files,
    config,
    distributions,
    holding,
    inventory,
    is_held,
    missing_files,
    named,
    normalise,
    read_stamp,
    write_stamp,
)
from mlops_lab.errors import FOUND, LabError
from mlops_lab.guide import SETUP
from mlops_lab.manifests import pyproject
from mlops_lab.manifests.pyproject import is_package
from mlops_lab.project import STATE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from mlops_lab.choices import Request
    from mlops_lab.engines import Engine
    from mlops_lab.steps import Steps

__all__ = [
    "Outcome",
    "bring_back",
    "changing",
    "clean",
    "create",
    "install",
    "install_into",
    "installs_project",
    "recover",
    "refuse_missing",
    "refuse_unasked_engine",
    "refuse_wrong_files",
    "setup",
]

INSTALL = ("info", "check", "install", "install-project", "prune", "compat")
"""The rows that bring an environment that is there to the lock."""


@dataclass(frozen=True)
class Outcome:
    """What a setup found or did.

    Attributes:
        hybrid: The hybrid.
        reason: Why that one.
        prefix: The environment's prefix.
        python: The environment's Python version.
        groups: The dependency groups beside main.
        packages: Normalised name → version of what is installed.
        because: Why something had to be done; empty where nothing had to be.
        seconds: How long it took.
        engine: The program that acts as conda; empty for another backend.
        replaced: The packages of conda's that the lock put another version in the place of.
    """

    hybrid: str
    reason: str
    prefix: str
    python: str
    groups: Sequence[str]
    packages: Mapping[str, str]
    because: Sequence[str]
    seconds: float
    engine: str = ""
    replaced: Sequence[str] = ()


def setup(steps: Steps, request: Request) -> Outcome:
    """The guide from creation to health checks; nothing where nothing has changed since the last time.

    Raises:
        LabError: Wrong words or files, before anything is touched (code 2); a step failed or a check found something
            (code 1): the environment is then unfinished, and the next setup rebuilds it.
    """
    started = time.monotonic()
    recover(steps, mend=False)
    rebuild, renew = freshness.reasons(steps, request.python)
    if request.force:
        rebuild = ("asked for with --force", *rebuild)
    because = (*rebuild, *renew)
    if because:
        sound = refuse_wrong_files(steps)
        refuse_prefix(steps.project, steps.environment, force=request.force)
        refuse_unasked_engine(steps, request)
        _choose_interpreter(steps, request, rebuild=bool(rebuild))
        with changing(steps):
            steps.project.remember(sound=sound)
            because = _set_up(steps, request)
    _remember(steps, request)
    packages = inventory(steps.environment)
    return Outcome(
        hybrid=steps.hybrid.name,
        reason=steps.reason,
        prefix=str(steps.environment.prefix),
        python=config(steps.environment.prefix).get("version", ""),
        groups=steps.groups,
        packages=packages,
        because=because,
        seconds=time.monotonic() - started,
        engine=steps.engine.name if steps.engine else "",
        replaced=_replaced(steps, packages),
    )


def _replaced(steps: Steps, packages: Mapping[str, str]) -> list[str]:
    if steps.engine is None:
        return []
    return [str(found) for found in conda_meta.replaced(steps.environment.prefix, packages)]


def refuse_unasked_engine(steps: Steps, request: Request) -> None:
    """Refuse to replace what another conda made because a shell, or a cron job, does not have it on its PATH.

    Raises:
        LabError: That is what would happen (code 2).
    """
    stamp = read_stamp(steps.environment.prefix)
    if steps.engine is None or stamp is None or request.force or request.conda is not None:
        return
    # What pyproject.toml names has been asked for as well.
    if stamp.engine and steps.engine.name not in {stamp.engine, steps.project.settings.conda}:
        raise LabError(
            f"the environment at {steps.environment.prefix} was made by {stamp.engine}, which is not to be found now",
            f"put {stamp.engine} on PATH, or rebuild the environment with `--conda {steps.engine.name}`",
        )


def _remember(steps: Steps, request: Request) -> None:
    """The next command goes on with what this one worked on."""
    prefix = {"prefix": str(steps.environment.prefix)} if request.prefix else {}
    engine = {"engine": steps.engine.name} if steps.engine else {}
    steps.project.remember(hybrid=steps.hybrid.name, **prefix, **engine)


def recover(steps: Steps, *, mend: bool = True, wait: bool = True) -> None:
    """Put back what a killed command left, before any file is judged.

    Args:
        steps: The steps.
        mend: Whether to bring the environment back to the files too.
        wait: Whether to wait for a command that is at work, and for the last child of a killed one; otherwise that is
            left to the next command.
    """
    from mlops_lab import transaction

    if not transaction.pending(steps.project.root / STATE):
        return
    if not wait and (is_held(steps.environment.prefix) or is_held(steps.project.root)):
        return
    from mlops_lab import drafting

    with changing(steps), drafting.files_held(steps):
        prefix = drafting.put_back(steps).installing
        if prefix and mend and prefix == str(steps.environment.prefix):
            bring_back(steps)
        elif prefix and mend:
            steps.observer.say(f"{prefix} is unfinished: `invoke setup --prefix {prefix}` repairs it")


def bring_back(steps: Steps) -> None:
    """Bring an environment that was following a change to the files, which are as before it; the locks are held."""
    stamp = read_stamp(steps.environment.prefix)
    if stamp is None or not _is_ours(steps, stamp) or freshness.is_as_left(steps, stamp):
        return
    steps.observer.say("the environment is brought back to the files")
    known = pyproject.all_group_names(steps.project.data)
    steps.groups = tuple(group for group in stamp.groups if group in known)
    try:
        try:
            install_into(steps, conda=True)
            whole = not any(missing_files(folder) for folder in distributions(steps.environment))
        except LabError:
            whole = False
        if not whole:
            _make_anew(steps)
    except (LabError, OSError):
        steps.observer.say("that failed too, so it is unfinished: `invoke setup` repairs it")


def _is_ours(steps: Steps, stamp: Stamp) -> bool:
    engine = steps.engine.name if steps.engine else ""
    return (stamp.project, stamp.hybrid, stamp.engine) == (str(steps.project.root), steps.hybrid.name, engine)


def _make_anew(steps: Steps) -> None:
    """What an installer was stopped in the midst of may look whole to it."""
    version = config(steps.environment.prefix).get("version")
    if steps.interpreter is None and steps.engine is None:
        from mlops_lab import interpreters

        steps.interpreter = interpreters.choose(steps.project, version)
    _claim(steps, rebuild=True)
    files = freshness.digests(steps.project)
    _run(steps, SETUP, rebuild=True)
    _seal(steps, files)


def refuse_wrong_files(steps: Steps) -> str:
    """Read every manifest and lock now, so that a broken one is refused before anything is touched.

    Returns:
        What these files are, for `sound`: the next setup need not read the same ones again. Empty where requirements
        include other files, which it would not tell apart.
    """
    from mlops_lab import interpreters

    project = steps.project
    interpreters.declared(project)
    files = repr(sorted(freshness.digests(project).items()))
    if project.remembered("sound") == files:
        return files
    from mlops_lab import locks
    from mlops_lab.manifests import requirements

    pins = requirements.read(project.requirements) if project.requirements.exists() else ()
    locks.read_all(project)
    return files if all(pin.path == project.requirements for pin in pins) else ""


def _choose_interpreter(steps: Steps, request: Request, *, rebuild: bool) -> None:
    if steps.engine is not None:
        _choose_condas_python(steps, steps.engine, request, rebuild=rebuild)
        return
    from mlops_lab import interpreters

    steps.interpreter = interpreters.choose(steps.project, request.python)


def _choose_condas_python(steps: Steps, engine: Engine, request: Request, *, rebuild: bool) -> None:
    """Conda brings the interpreter: what is asked of it is judged now, and whether it can be asked at all."""
    from mlops_lab import condafile, engines

    condafile.python_wanted(steps.project, request.python, "")
    steps.asked_python = request.python
    if engine.is_embedded and rebuild and not steps.offline:
        # Before anything that is there is touched.
        _why, why_not = engines.channels_answer(steps.project, steps.environ)
        if why_not:
            reason = f"{steps.hybrid} cannot run here: {engine.word} acts as conda ({engine.reason}), and {why_not}"
            raise LabError(reason, engines.REMEDY, code=FOUND)


def _set_up(steps: Steps, request: Request) -> tuple[str, ...]:
    # Looked at again under the lock: another setup of this prefix may have finished meanwhile.
    rebuild, renew = freshness.reasons(steps, request.python)
    if request.force:
        rebuild = ("asked for with --force", *rebuild)
    for reason in (*rebuild, *renew):
        steps.observer.say(reason)
    if rebuild or renew:
        from mlops_lab import drafting

        with drafting.files_held(steps), drafting.drafted(steps) as (draft, on):
            drafting.prepare(on)
            with drafting.published(steps, draft, on):
                _bring_about(steps, rebuild=bool(rebuild))
    return (*rebuild, *renew)


def _bring_about(steps: Steps, *, rebuild: bool) -> None:
    """Make the environment, or mend it."""
    if rebuild:
        _refetch(steps)
        _rehearse(steps)
    _claim(steps, rebuild=rebuild)
    # Looked at before the installation: what is edited while it runs is not what is installed.
    files = freshness.digests(steps.project)
    _run(steps, SETUP, rebuild=rebuild)
    _seal(steps, files)


def _rehearse(steps: Steps) -> None:
    """Before an environment goes, find out if another can be made, where the engine does not see to that itself."""
    if steps.engine is not None and not steps.engine.kind.swaps and steps.environment.exists:
        steps.observer.say("the old environment goes only if a new one can be made: this is tried first")
        steps.make(rehearsal=True)


def _refetch(steps: Steps) -> None:
    """Forget what a manager's cache has of packages whose files were edited here: the cache has the same files."""
    folders, stamp = freshness.damaged(steps.environment), read_stamp(steps.environment.prefix)
    if stamp is None or not stamp.fingerprint:
        # These are all that there are: what agrees with its record is not suspected.
        folders = [folder for folder in folders if altered_files(folder)]
    names = [named(folder)[0] for folder in folders if freshness.may_be_cached(folder)]
    if names:
        steps.step("refetch", packages=names)


def _run(steps: Steps, names: Sequence[str], *, rebuild: bool = False) -> None:
    for name in names:
        if name == "prune":
            _prune(steps)
        elif name == "create" and not _unneeded(steps, name):
            _make(steps, rebuild=rebuild)
        elif not _unneeded(steps, name):
            steps.step(name)
        if name == "install":
            scripts.mend(steps.environment)


def _make(steps: Steps, *, rebuild: bool) -> None:
    """Make the environment, and say in it that it is ours: conda makes the whole prefix itself."""
    try:
        steps.make(rebuild=rebuild)
    finally:
        # Nobody else's environment of this name, made later by hand, shall be taken for what failed here.
        prefix = steps.environment.prefix
        if steps.engine is not None and (not prefix.exists() or read_stamp(prefix) is not None):
            steps.project.remember(making="")
    _claim(steps, rebuild=False, made=True)


def _unneeded(steps: Steps, name: str) -> bool:
    if name == "create":
        return steps.environment.exists and steps.engine is None
    return name == "install-project" and not installs_project(steps)


def installs_project(steps: Steps) -> bool:
    """Whether the project itself is a package; pip would install any folder."""
    return is_package(steps.project.data, steps.hybrid.manager)


@contextlib.contextmanager
def changing(steps: Steps) -> Iterator[None]:
    """Hold the environment's lock; the children hold it too, as long as the last of them runs."""
    with holding(steps.environment.prefix, steps.observer.say) as descriptor, steps.runner.inheriting(descriptor):
        yield


def _claim(steps: Steps, *, rebuild: bool, made: bool = False) -> None:
    """Say in the prefix that it is ours and unfinished; what has to be rebuilt is removed first.

    Conda makes the prefix itself: until it has, the project's state says whose it will be.

    Args:
        steps: The steps.
        rebuild: Whether the environment is to be made anew.
        made: Whether conda has just made or changed it.
    """
    prefix = steps.environment.prefix
    known = read_stamp(prefix)
    if rebuild and steps.engine is not None and steps.engine.kind.swaps and _is_its_own(steps, known):
        # It replaces the environment when the new one is finished; until then the old one is as it was.
        steps.project.remember(making=str(prefix))
        return
    if rebuild and prefix.exists():
        _empty(prefix)
    if steps.engine is not None and not rebuild and steps.environment.exists and not made:
        return  # said when conda has changed it: what cannot be solved has changed nothing
    if steps.engine is not None and not steps.environment.exists:
        steps.project.remember(making=str(prefix))
        if prefix.is_dir():
            prefix.rmdir()
        return
    write_stamp(prefix, _stamp(steps, known.installed if known and not rebuild else {}))


def _is_its_own(steps: Steps, known: Stamp | None) -> bool:
    """Whether the engine that is to make the environment has made the one that is there."""
    engine = steps.engine
    if engine is None or known is None or known.engine != engine.name or not steps.environment.exists:
        return False
    return not engine.is_embedded or conda_meta.has_marker(steps.environment.prefix)


def _stamp(steps: Steps, installed: Mapping[str, str], fingerprint: Mapping[str, Any] | None = None) -> Stamp:
    return Stamp(
        project=str(steps.project.root),
        hybrid=steps.hybrid.name,
        engine=steps.engine.name if steps.engine else "",
        groups=steps.groups,
        made_by=sys.executable,
        installed=installed,
        fingerprint=fingerprint,
    )


def _empty(prefix: Path) -> None:
    """Remove all that is in a prefix, what makes it known as ours last: killed on the way, it still is."""
    last = ("pyvenv.cfg", "conda-meta", STAMP)
    names = sorted(prefix.iterdir(), key=lambda path: last.index(path.name) if path.name in last else -1)
    for path in names:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _prune(steps: Steps) -> None:
    """Uninstall what left the lock, where the installer cannot."""
    if steps.hybrid.by_pip:
        extra = sorted(inventory(steps.environment).keys() - _required(steps) - SEEDS)
    elif steps.engine is not None:
        extra = sorted(_left_behind(steps))
    else:
        return
    if not extra:
        return
    steps.step("prune", packages=extra)
    if steps.engine is not None and (back := conda_meta.specs_of(steps.environment.prefix, extra)):
        steps.observer.say(
            f"the lock's versions of conda's own packages are gone, and they come back: {', '.join(back)}"
        )
        if steps.engine.kind.repairs:
            steps.make()
        else:
            steps.step("restore", packages=back)


def _required(steps: Steps) -> set[str]:
    """What pip installs: the exported requirements that hold here, and the project."""
    from mlops_lab.manifests import requirements
    from mlops_lab.manifests.markers import marker_environment

    version = config(steps.environment.prefix)["version"]
    wanted = requirements.pins_for(requirements.read(steps.requirements), marker_environment(version))
    return {*wanted, *_itself(steps)}


def _left_behind(steps: Steps) -> set[str]:
    """What an earlier setup installed from a lock that has it no longer, and conda does not own."""
    prefix = steps.environment.prefix
    stamp, there = read_stamp(prefix), inventory(steps.environment)
    gone = set(stamp.installed if stamp else ()) & (there.keys() - _locked(steps))
    if not gone:
        return set()
    replaced = {found.name for found in conda_meta.replaced(prefix, there)}
    return gone - (conda_meta.owned(prefix).keys() - replaced)


def _locked(steps: Steps) -> set[str]:
    """What the manager installs here: the lock's packages of these groups, and the project."""
    from mlops_lab import locks

    version = config(steps.environment.prefix)["version"]
    return {*locks.wanted(steps.project, steps.hybrid.manager, version, steps.groups), *_itself(steps)}


def _itself(steps: Steps) -> set[str]:
    return {normalise(steps.project.name)} if installs_project(steps) else set()


def _seal(
    steps: Steps,
    files: Mapping[str, str],
    *,
    complete: bool = True,
    foreign: Mapping[str, tuple[str, str]] | None = None,
) -> None:
    """Write the stamp, last of all."""
    there = inventory(steps.environment)
    if steps.engine is not None:
        # What is there besides is conda's, or comes from the pip part of conda.yml.
        locked = _locked(steps) if complete else set()
        installed = {name: version for name, version in there.items() if name in locked}
        if replaced := _replaced(steps, there):
            steps.observer.say(f"installed in the place of packages of conda's own: {', '.join(replaced)}")
    else:
        installed = {name: version for name, version in there.items() if name not in SEEDS}
    fingerprint = freshness.fingerprint(steps, files, complete=complete, foreign=foreign)
    write_stamp(steps.environment.prefix, _stamp(steps, installed, fingerprint))
    if steps.project.remembered("making"):
        steps.project.remember(making="")


def create(steps: Steps, request: Request) -> bool:
    """Make the environment, without any packages; returns False when it is there already.

    Raises:
        LabError: Wrong words or files (code 2), or the step failed (code 1).
    """
    recover(steps, mend=False)
    refuse_prefix(steps.project, steps.environment, force=request.force)
    _choose_interpreter(steps, request, rebuild=bool(request.force or freshness.reasons(steps, request.python)[0]))
    with changing(steps), holding(steps.project.root, steps.observer.say):
        rebuild, _ = freshness.reasons(steps, request.python)
        if not rebuild and not request.force:
            return False
        _rehearse(steps)
        _claim(steps, rebuild=True)
        _make(steps, rebuild=True)
        _seal(steps, freshness.digests(steps.project), complete=False)
    _remember(steps, request)
    return True


def install(steps: Steps) -> None:
    """Bring an environment that is there to the lock, and stamp it.

    Raises:
        LabError: There is no environment, or it is not the project's (code 2), or a step failed (code 1).
    """
    from mlops_lab import drafting

    recover(steps)
    refuse_missing(steps)
    refuse_wrong_files(steps)
    with changing(steps), drafting.files_held(steps), drafting.drafted(steps) as (draft, on):
        drafting.prepare(on)
        with drafting.published(steps, draft, on):
            install_into(steps)


def install_into(steps: Steps, *, conda: bool = False) -> None:
    """Run the steps that bring an environment to the lock, and stamp it; the locks are held.

    Args:
        steps: The steps.
        conda: Whether conda is to look at the environment even where conda.yml is the same.

    Raises:
        LabError: A step failed (code 1).
    """
    files, foreign = freshness.digests(steps.project), freshness.disowned(steps.environment)
    if steps.engine is not None and (conda or freshness.conda_yml_changed(steps, files)):
        _make(steps, rebuild=False)
    _claim(steps, rebuild=False, made=True)
    _run(steps, INSTALL)
    _seal(steps, files, foreign=foreign)


def refuse_missing(steps: Steps) -> None:
    """Refuse to install where there is no finished environment of this hybrid; its groups stay chosen.

    Raises:
        LabError: There is none, or it is not the project's (code 2).
    """
    stamp = read_stamp(steps.environment.prefix)
    if stamp is None or not steps.environment.exists:
        raise LabError(f"there is no environment at {steps.environment.prefix}", "make it with `invoke setup`")
    refuse_prefix(steps.project, steps.environment, force=False)
    if steps.engine is not None and stamp.fingerprint and stamp.engine != steps.engine.name:
        raise LabError(
            f"the environment at {steps.environment.prefix} was made by {stamp.engine}, and {steps.engine.name} acts "
            "as conda now: two of them in one environment leave files behind",
            f"rebuild it with `invoke setup --conda {steps.engine.name}`",
        )
    if stamp.fingerprint is None or stamp.hybrid != steps.hybrid.name:
        raise LabError(
            f"the environment at {steps.environment.prefix} was made with {stamp.hybrid}"
            if stamp.fingerprint
            else f"the environment at {steps.environment.prefix} was never finished",
            f"rebuild it with `invoke setup --hybrid {steps.hybrid}`",
        )
    # What was chosen at the setup stays chosen.
    known = pyproject.all_group_names(steps.project.data)
    steps.groups = tuple(group for group in stamp.groups if group in known)


def clean(steps: Steps) -> list[str]:
    """Remove the environment and our state; returns what was removed.

    Raises:
        LabError: The prefix is not ours to remove (code 2).
    """
    recover(steps, mend=False)
    prefix = steps.environment.prefix
    removed = []
    if prefix.exists() and read_stamp(prefix) is not None:
        refuse_prefix(steps.project, steps.environment, force=False)
        with changing(steps):
            if _is_its_own(steps, read_stamp(prefix)) and steps.engine is not None:
                steps.step("discard")  # conda takes it off its list of environments as well
            if prefix.exists():
                _empty(prefix)
                prefix.rmdir()
        removed.append(str(prefix))
    elif prefix.exists():
        raise LabError(f"{prefix} was not made by mlops-lab", "remove it yourself if it is not needed")
    state = steps.project.root / STATE
    if state.exists():
        # A command that is changing files at this moment needs its journal.
        with holding(steps.project.root, steps.observer.say):
            shutil.rmtree(state)
        removed.append(str(state))
    return removed
