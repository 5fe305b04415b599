"""The project's files on a draft: recovered, locked, followed, exported, then put in place all at once."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING

from mlops_lab import locks, transaction
from mlops_lab.environment import holding
from mlops_lab.errors import LabError
from mlops_lab.project import LOCKS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlops_lab.steps import Steps
    from mlops_lab.transaction import Draft, Restored

__all__ = ["drafted", "files_held", "follow", "followers", "prepare", "published", "put_back", "share_indexes"]


@contextlib.contextmanager
def files_held(steps: Steps) -> Iterator[None]:
    """Hold the lock of the project's files; the children hold it too, as long as the last of them runs."""
    with holding(steps.project.root, steps.observer.say) as descriptor, steps.runner.inheriting(descriptor):
        yield


@contextlib.contextmanager
def drafted(steps: Steps, *, leads_out: bool = False) -> Iterator[tuple[Draft, Steps]]:
    """A draft of the project's files, and the steps that work on it; the lock of the files is held.

    Args:
        steps: The steps on the project.
        leads_out: Whether a path that leads out of the project is about to be declared.

    Raises:
        LabError: The draft cannot be made (code 2).
    """
    if prefix := put_back(steps).installing:
        steps.observer.say(f"the environment at {prefix} is unfinished: `invoke setup` repairs it")
    with transaction.drafted(steps.project.root, steps.project.state, leads_out=leads_out) as draft:
        yield draft, steps.on(draft.folder)


@contextlib.contextmanager
def published(
    steps: Steps,
    draft: Draft,
    on: Steps,
    *,
    title: str = "",
    installing: str = "",
    note: Mapping[str, object] | None = None,
) -> Iterator[None]:
    """Put the drafted files in place, and go on with what they say; on any failure the old ones are back.

    Args:
        steps: The steps on the project.
        draft: The draft.
        on: The steps on the draft.
        title: What the user asked for; without one the change is not kept for `undo`.
        installing: The prefix of the environment that is brought to the new files before this ends.
        note: What the history shall keep of it.
    """
    locks.own_paths(on.project)
    before = (steps.project, steps.groups)
    try:
        with transaction.published(draft, steps.observer.say, title=title, installing=installing, note=note):
            steps.reload()
            steps.groups = on.groups
            yield
    except BaseException:
        steps.project, steps.groups = before
        steps.toolbox.reload(steps.project)
        raise


def put_back(steps: Steps) -> Restored:
    """Put back what a killed command changed, and say so; the lock of the files is held."""
    state = steps.project.state
    restored = transaction.recover(steps.project.root, state)
    if restored.back:
        steps.observer.say(f"a command was killed while it changed {', '.join(restored.back)}: put back as before")
    for sentence in restored.sentences(state):
        steps.observer.say(sentence)
    if restored.back or restored.left:
        steps.reload()
    return restored


def prepare(on: Steps) -> None:
    """Bring the locks and the exported requirements to what the installation needs.

    Raises:
        LabError: A step failed (code 1).
    """
    share_indexes(on, {on.hybrid.manager})
    if not on.project.lock(on.leader).exists():
        on.observer.say(f"there is no {LOCKS[on.leader]} yet: it is made")
        on.step("lock")
    follow(on, {on.hybrid.manager})


def share_indexes(on: Steps, managers: set[str]) -> None:
    """Tell these managers and the leader of the indexes that only the other one has been told of.

    Raises:
        LabError: pyproject.toml is laid out in a way that cannot be edited (code 2), or a step failed (code 1).
    """
    before = on.project.pyproject.read_bytes()
    for manager in sorted(managers | {on.leader}):
        told = on.project.pyproject.read_bytes()
        for sentence in locks.hand_over_indexes(on.project, manager):
            on.observer.say(sentence)
        if on.project.pyproject.read_bytes() != told:
            on.reload()
    # Poetry's lock knows what the manifest said of indexes.
    if on.project.pyproject.read_bytes() != before and on.project.lock(on.leader).exists():
        on.step("lock")


def followers(on: Steps) -> set[str]:
    """The managers whose locks are there, and the hybrid's own."""
    return {manager for manager in LOCKS if on.project.lock(manager).exists()} | {on.hybrid.manager}


def follow(on: Steps, managers: set[str], *, requirements: bool = False) -> None:
    """Bring the locks of these managers, and the requirements where pip installs or it is asked, to the leader's.

    Raises:
        LabError: A step failed, or a manager cannot take a version (code 1).
    """
    for other in sorted(managers - {on.leader}):
        locks.follow(on.project, on.leader, other, on.step, partial(on.passes, "check", other))
    by_pip = on.hybrid.by_pip
    if by_pip:
        _refuse_what_has_no_hash(on)
    if by_pip or (requirements and on.requirements.exists()):
        _export(on, on.hybrid.manager if by_pip else on.leader)


def _export(on: Steps, exporter: str) -> None:
    # Where pip does not install, the leader exports: a file in git shall not change its spelling with who works on it.
    if locks.exported_in_step(on.project, exporter, on.groups, on.requirements):
        return
    in_draft = on.requirements.is_relative_to(on.project.root)
    name = on.requirements.relative_to(on.project.root if in_draft else on.project.state.parent)
    if on.project.requirements_by_hand:
        on.observer.say(f"requirements.txt is written by hand and stays: {name} is exported for pip")
    else:
        on.observer.say(f"{name} does not match {LOCKS[exporter]}: it is exported anew")
    locks.write_requirements(on.project, on.requirements, partial(on.step, by=exporter))


def _refuse_what_has_no_hash(on: Steps) -> None:
    """Refuse, before an environment is touched, what pip will not install beside hashes: folders and repositories.

    Source: https://pip.pypa.io/en/stable/topics/secure-installs/#hash-checking-mode
    """
    for package in locks.packages(on.project, on.hybrid.manager):
        if package.kind in {"git", "path"}:
            raise LabError(
                f"{on.hybrid} cannot install {package.name}: pip checks hashes, and a {package.kind} has none",
                f"take venv+{on.hybrid.manager}",
            )
