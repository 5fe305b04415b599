"""Change what the project depends on: manifests, locks, exported requirements and environment, or none of them."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_lab import drafting, edits, locks, moves, transaction
from mlops_lab.choices import ASKED, standing
from mlops_lab.environment import read_stamp
from mlops_lab.errors import FOUND, LabError, redact
from mlops_lab.guide import MANAGERS, Hybrid, nearest
from mlops_lab.manifests import manifest_edit
from mlops_lab.manifests.pyproject import read_text
from mlops_lab.project import LOCKS, STATE
from mlops_lab.recipe import bring_back, changing, install_into, recover, refuse_missing, refuse_wrong_files
from mlops_lab.runner import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from mlops_lab.moves import Move
    from mlops_lab.steps import Steps
    from mlops_lab.transaction import Draft, Entry

__all__ = ["Changed", "Options", "align", "change", "check_locks", "export", "history", "lock", "undo"]


_WRITTEN = ("pyproject.toml", *LOCKS.values(), "requirements.txt")
"""What nearly every change writes: refused at once where it cannot be, before a tool has worked for nothing."""


@dataclass(frozen=True)
class Options:
    """How to make a change.

    Attributes:
        conda: Whether the packages are conda's, in conda.yml.
        dry_run: Whether to show only what would change.
        install: Whether to bring the environment along.
    """

    conda: bool = False
    dry_run: bool = False
    install: bool = True


@dataclass(frozen=True)
class Changed:
    """What a change came to.

    Attributes:
        title: What was asked for.
        moves: The packages that are others than before.
        files: The files that have changed, or would.
        installed: Whether the environment has followed.
        dry_run: Whether this is only what would be.
        seconds: How long it took.
        is_undo: Whether it took another change back.
    """

    title: str
    moves: Sequence[Move]
    files: Sequence[str]
    installed: bool
    dry_run: bool
    seconds: float
    is_undo: bool = False


def change(
    steps: Steps, name: str, packages: Sequence[str], group: str | None = None, options: Options | None = None
) -> Changed:
    """Add, remove or update packages: the manifest, the locks, the exported requirements and the environment.

    Args:
        steps: The steps to run.
        name: The row: `add`, `remove` or `update`.
        packages: Requirements, or names; for `update` none stands for every one.
        group: The dependency group; None stands for the project's own dependencies.
        options: How.

    Raises:
        LabError: The words are wrong (code 2), or a step failed (code 1): every file is then as it was before.
    """
    how = options or Options()
    installed = _ready(steps, install=how.install and not how.dry_run)
    if how.conda:
        act = edits.by_conda(steps, name, packages, group, rehearsal=how.dry_run or not installed)
        installed = installed and steps.engine is not None
    else:
        act = edits.by_leader(steps, name, packages, group)
    title = " ".join([name, *(["--conda"] if how.conda else []), *([f"--group {group}"] if group else []), *packages])
    title = redact(title)  # it goes into the history
    outside = any("file:" in package for package in packages)
    done = _make(steps, title, act, install=installed, dry_run=how.dry_run, leads_out=outside)
    if how.install and not (how.dry_run or steps.environment.exists) and done.files:
        steps.observer.say("there is no environment to install into: make it with `invoke setup`")
    return done


def lock(steps: Steps, leader: str | None = None, *, dry_run: bool = False, only_there: bool = False) -> Changed:
    """Lock every version anew with the leader; what is there of the other files follows.

    Args:
        steps: The steps to run.
        leader: The manager that shall lead from now on; it starts from the versions that are locked.
        dry_run: Whether to show only what would change.
        only_there: Whether the hybrid's own lock is left unmade where there is none.

    Raises:
        LabError: There is no such manager (code 2), or a step failed (code 1): every file is then as it was before.
    """
    if leader is not None and leader not in MANAGERS:
        raise LabError(f"there is no manager {leader!r} to lead", nearest(leader, MANAGERS))
    if leader is not None and (found := standing(steps.project, Hybrid("venv", leader))).why_not:
        raise LabError(f"{leader} cannot lead: {found.why_not}", found.remedy)
    _ready(steps, install=False)

    def act(on: Steps) -> None:
        others = _there(on) if only_there else drafting.followers(on)
        drafting.share_indexes(on, others | ({leader} if leader else set()))
        if leader is not None:
            _hand_lead(on, leader)
        on.step("lock")
        drafting.follow(on, others, requirements=True)

    title = "lock" if leader is None else f"lock --leader {leader}"
    return _make(steps, title, act, install=False, dry_run=dry_run)


def align(steps: Steps) -> Changed:
    """Bring the other lock and the exported requirements, as far as they are there, to what the leader has locked.

    Raises:
        LabError: A step failed (code 1): every file is then as it was before.
    """
    _ready(steps, install=False)

    def act(on: Steps) -> None:
        there = _there(on)
        try:
            drafting.follow(on, there, requirements=True)
        except CommandFailed:
            # Edited by hand, it may be a lock no more: all that it has to say is the leader's.
            for each in there - {on.leader}:
                on.observer.say(f"{LOCKS[each]} cannot be brought along: it is made anew")
                on.project.lock(each).unlink()
            drafting.follow(on, there, requirements=True)

    return _make(steps, "drift --fix", act, install=False)


def _there(on: Steps) -> set[str]:
    """The managers whose locks are there."""
    return {manager for manager in LOCKS if on.project.lock(manager).exists()}


def _hand_lead(on: Steps, leader: str) -> None:
    """Let another manager lead, from the very versions that the one before has locked."""
    before = on.leader
    if leader != before and on.project.lock(before).exists():
        drafting.follow(on, {leader})
    edits.write(on.project.pyproject, manifest_edit.led_by(read_text(on.project.pyproject), leader))
    on.lead()


def check_locks(steps: Steps) -> None:
    """Check that every lock and the exported requirements say the same, and what the manifest asks for.

    Raises:
        LabError: They do not (code 1): every finding in a line.
    """
    recover(steps)
    refuse_wrong_files(steps)
    found = list(_stale(steps))
    if found:
        raise LabError(
            "\n  ".join(["the locks are not in step", *found]), "bring them up to date with `invoke lock`", code=FOUND
        )


def _stale(steps: Steps) -> Iterator[str]:
    project, there = steps.project, [manager for manager in LOCKS if steps.project.lock(manager).exists()]
    if steps.leader not in there:
        yield f"{LOCKS[steps.leader]} is missing, and {steps.leader} leads"
    for manager in there:
        if failed := steps.failure("check", manager):
            yield f"{LOCKS[manager]} does not fit pyproject.toml: {failed.tail[-1] if failed.tail else failed.message}"
    if len(there) == len(LOCKS):
        yield from (f"{' and '.join(LOCKS.values())} differ: {each}" for each in locks.differences(project))
    exporter = steps.hybrid.manager if steps.hybrid.by_pip else steps.leader
    if (
        exporter in there
        and steps.requirements.exists()
        and not locks.exported_in_step(project, exporter, steps.groups, steps.requirements)
    ):
        yield f"{steps.requirements.name} does not say what {LOCKS[exporter]} says"


def export(steps: Steps) -> Path:
    """Export hashed requirements from the lock of the hybrid's manager; returns the file's path.

    Raises:
        LabError: Somebody wrote the file by hand (code 2), or a step failed (code 1): every file is then as before.
    """
    _ready(steps, install=False)
    if set(steps.groups) == set(steps.project.groups) and steps.project.requirements_by_hand:
        raise LabError(
            "requirements.txt has no hashes: somebody wrote it by hand, and an export would replace it",
            "rename it (requirements.in is usual), or delete it, then export again",
        )

    def act(on: Steps) -> None:
        drafting.prepare(on)
        locks.write_requirements(on.project, on.requirements, on.step)

    _make(steps, "export", act, install=False)
    return steps.requirements


def undo(steps: Steps, *, install: bool = True, dry_run: bool = False) -> Changed:
    """Take the last change back.

    Raises:
        LabError: There is none, or somebody has edited its files since (code 2), or a step failed (code 1).
    """
    installed = _ready(steps, install=install and not dry_run)
    entry = _last(steps)

    def act(on: Steps) -> None:
        # Another command may have ended meanwhile.
        if _last(steps).folder != entry.folder:
            raise LabError("another command has changed the files meanwhile", "see `invoke history`", code=FOUND)
        for name in entry.files:
            if entry.old(name).exists():
                (on.project.root / name).write_bytes(entry.old(name).read_bytes())
            else:
                (on.project.root / name).unlink(missing_ok=True)
        on.lead()
        # What another command has derived since follows, and stays no longer than the lock that it followed. What the
        # change wrote is as it was before, even where that was behind a manifest that somebody had edited.
        if on.project.lock(on.leader).exists():
            since = {manager for manager in _there(on) if LOCKS[manager] not in entry.files}
            if installed and not on.project.lock(on.hybrid.manager).exists():
                since.add(on.hybrid.manager)
            drafting.follow(on, since, requirements=on.requirements.name not in entry.files)

    try:
        return _make(steps, f"undo {entry.title}", act, install=installed, dry_run=dry_run, undoes=entry.folder.name)
    except CommandFailed as error:
        if installed:
            # No manager installs from a lock that is older than a manifest that somebody has edited.
            alone = "take back the files alone with `invoke undo --no-install`"
            error.hint = f"{error.hint}, or {alone}" if error.hint else alone
        raise


def _last(steps: Steps) -> Entry:
    """The change to take back.

    Raises:
        LabError: There is none, or somebody has edited its files since (code 2).
    """
    entry = next(reversed(history(steps)), None)
    if entry is None:
        raise LabError("there is no change to take back", "`invoke history` lists those that there were")
    if edited := entry.edited(steps.project.root):
        raise LabError(
            f"{', '.join(edited)} changed since `{entry.title}`: taking that back would lose the later change",
            f"see `invoke history`; the old files are in {entry.folder.relative_to(steps.project.root)}",
        )
    return entry


def history(steps: Steps) -> list[Entry]:
    """The changes that can be taken back, the oldest first."""
    entries = transaction.history(steps.project.root / STATE)
    gone = {entry.undoes for entry in entries if entry.undoes}
    return [entry for entry in entries if not entry.undoes and entry.folder.name not in gone]


# --- how -----------------------------------------------------------------------------------------------------------


def _ready(steps: Steps, *, install: bool) -> bool:
    """Put back what a killed command left, refuse wrong files; returns whether there is an environment to install into.

    What is chosen by a setup stays chosen; where nothing is installed, another hybrid's environment is in nobody's way.
    """
    recover(steps)
    installed = install and steps.environment.exists and read_stamp(steps.environment.prefix) is not None
    if installed:
        refuse_missing(steps)
    steps.project.remember(sound=refuse_wrong_files(steps))
    return installed


def _make(
    steps: Steps,
    title: str,
    act: Callable[[Steps], None],
    *,
    install: bool,
    dry_run: bool = False,
    leads_out: bool = False,
    undoes: str = "",
) -> Changed:
    """Make a change on a draft, then put it in place and install it, all or nothing."""
    started = time.monotonic()
    for name in _WRITTEN if not dry_run else ():
        transaction.refuse_unwritable(steps.project.root / name)
    # The environment is held only for as long as it is changed.
    held = changing(steps) if install and not dry_run else contextlib.nullcontext()
    with (
        held,
        drafting.files_held(steps),
        _drafted(steps, install=install and not dry_run, leads_out=leads_out) as (
            draft,
            on,
        ),
    ):
        act(on)
        locks.own_paths(on.project)
        files = draft.changed()
        moved = moves.between(draft.root, draft.folder, files)
        if install and not dry_run and not on.project.lock(on.hybrid.manager).exists():
            install = False
            steps.observer.say(f"no {LOCKS[on.hybrid.manager]} is left to install from: `invoke setup` makes it anew")
        if not dry_run:
            note = {"moves": [dataclasses.asdict(move) for move in moved], "undoes": undoes}
            with _installed(steps, draft, on, title, install=install, note=note):
                if install:
                    install_into(steps)
    if steps.reason == ASKED and not dry_run:
        steps.project.remember(hybrid=steps.hybrid.name)
    took = time.monotonic() - started
    return Changed(title, moved, files, install and not dry_run, dry_run, took, is_undo=bool(undoes))


@contextlib.contextmanager
def _drafted(steps: Steps, *, install: bool, leads_out: bool) -> Iterator[tuple[Draft, Steps]]:
    """A draft of what is there now: another command may have ended since this one was started."""
    steps.reload()
    if install:
        refuse_missing(steps)
    with drafting.drafted(steps, leads_out=leads_out) as found:
        yield found


@contextlib.contextmanager
def _installed(
    steps: Steps, draft: Draft, on: Steps, title: str, *, install: bool, note: Mapping[str, object]
) -> Iterator[None]:
    """What is published stays only if the environment follows; else the environment is brought back as well."""
    begun = False
    try:
        prefix = str(steps.environment.prefix) if install else ""
        with drafting.published(steps, draft, on, title=title, installing=prefix, note=note):
            begun = install
            yield
    except BaseException:
        if begun:
            bring_back(steps)
        raise
