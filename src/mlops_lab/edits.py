"""What a change edits on the draft: the manifest through the leader, or conda.yml, and what follows from that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_lab import drafting, locks
from mlops_lab.environment import normalise
from mlops_lab.errors import LabError
from mlops_lab.guide import nearest
from mlops_lab.manifests import manifest_edit, pyproject
from mlops_lab.project import LOCKS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mlops_lab.steps import Steps

__all__ = ["by_conda", "by_leader", "write"]


def by_leader(steps: Steps, name: str, packages: Sequence[str], group: str | None) -> Callable[[Steps], None]:
    """An edit of the manifest and the leader's lock, by the leader; everything else follows.

    Args:
        steps: The steps on the project.
        name: The row: `add`, `remove` or `update`.
        packages: Requirements, or names; for `update` none stands for every one.
        group: The dependency group; None stands for the project's own dependencies.

    Returns:
        What is to be done on the draft.

    Raises:
        LabError: The words are wrong (code 2).
    """
    if group == "main":
        raise LabError("main is another word for the project's own dependencies", "leave out --group")
    places = {group or "": list(packages)}
    if name == "remove":
        places = _places(steps, packages, group)
    elif name == "update":
        _refuse_unlocked(steps, packages)
    else:
        _refuse_twice(packages)

    def act(on: Steps) -> None:
        drafting.share_indexes(on, drafting.followers(on))
        # Another command may have changed the manifest since.
        found = _places(on, packages, group) if name == "remove" else places
        for place, named in found.items():
            before = pyproject.read_text(on.project.pyproject)
            on.step(name, "named" if named else "", packages=named, group=[place] if place else [])
            if name == "add":
                _keep_indexes(on, before, place, named)
        _forget_groups(on)
        on.reload()
        drafting.follow(on, drafting.followers(on), requirements=True)
        _move_conda_yml(on, removed=packages if name == "remove" else ())

    return act


def _keep_indexes(on: Steps, before: str, place: str, packages: Sequence[str]) -> None:
    """Keep what pip is configured to use on this machine out of the manifest: it is no business of the project's."""
    path = on.project.pyproject
    data = pyproject.read(path)
    if pyproject.index_tables(data) == pyproject.index_tables(on.project.data):
        return
    added = {pyproject.named(text): text for text in pyproject.requirements_of(data, place)}
    # What the manager made of a bare name; an address it may have taken apart.
    words = [text if "@" in text else added.get(pyproject.named(text), text) for text in packages]
    write(path, before)
    on.step("add", "as-is", packages=words, group=[place] if place else [])


def _places(steps: Steps, packages: Sequence[str], group: str | None) -> dict[str, list[str]]:
    """Where the packages are declared, so that nobody has to say it: group → packages.

    Raises:
        LabError: One is not declared at all, or not there (code 2).
    """
    declared = pyproject.declared(steps.project.data)
    found: dict[str, list[str]] = {}
    for name in packages:
        groups = declared.get(normalise(name))
        if groups is None:
            raise _undeclared(steps, name, sorted(declared))
        if group is not None and pyproject.normalized(group) not in groups:
            where = ", ".join(each or "the project's own dependencies" for each in groups)
            raise LabError(f"the group {group} does not have {name}", f"it is in: {where}")
        for place in groups if group is None else (group,):
            found.setdefault(place, []).append(name)
    # The groups first: without one, Poetry removes a package from everywhere.
    return dict(sorted(found.items(), reverse=True))


def _undeclared(steps: Steps, name: str, declared: Sequence[str]) -> LabError:
    extras = steps.project.data.get("project", {}).get("optional-dependencies", {})
    for extra, texts in extras.items():
        if any(pyproject.named(text) == normalise(name) for text in texts):
            hint = "take it out of pyproject.toml by hand, then run `invoke lock`"
            return LabError(f"only the extra {extra} declares {name}, and others may have asked for that", hint)
    return LabError(f"pyproject.toml does not declare {name}", nearest(normalise(name), declared))


def _refuse_twice(packages: Sequence[str]) -> None:
    """Refuse two requirements for one package: each manager makes something else of them, and neither both."""
    seen: dict[str, str] = {}
    for text in packages:
        name = pyproject.named(text)
        if name in seen:
            raise LabError(
                f"{name} is named twice, as {seen[name]} and {text}",
                "write one requirement, or write both into pyproject.toml by hand and run `invoke lock`",
            )
        seen[name] = text


def _forget_groups(on: Steps) -> None:
    """Take a group that has gone with its last package out of `[tool.mlops-lab] groups`, which would be wrong now."""
    path = on.project.pyproject
    known = pyproject.all_group_names(pyproject.read(path))
    for group in on.project.settings.groups or ():
        if group not in known:
            write(path, manifest_edit.without_group(pyproject.read_text(path), group))
            on.observer.say(
                f"pyproject.toml: the group {group} is empty and gone, and [tool.mlops-lab] groups forgets it"
            )


def _refuse_unlocked(steps: Steps, packages: Sequence[str]) -> None:
    """Refuse to update what is not locked: uv passes over such a name without a word."""
    locked = sorted({package.name for package in locks.packages(steps.project, steps.leader)})
    for name in packages:
        if locked and normalise(name) not in locked:
            close = nearest(normalise(name), locked).partition(" (one of: ")[0]
            hint = close if close.startswith("did you mean") else f"add it with `invoke add {name}`"
            raise LabError(f"{LOCKS[steps.leader]} does not have {name}", hint)


def _move_conda_yml(on: Steps, *, removed: Sequence[str]) -> None:
    """Let the pins of conda.yml's pip part follow the lock, which has the last word on them."""
    env = on.project.conda_env
    if env is None or not env.pip:
        return
    from mlops_lab.manifests import conda_edit

    locked: dict[str, set[str]] = {}
    for package in locks.packages(on.project, on.leader):
        locked.setdefault(package.name, set()).add(package.version)
    there = {conda_edit.pip_name(item.text) for item in env.pip}
    # A folder may have no version, and of two versions none is the pin's.
    single = {name: next(iter(found)) for name, found in locked.items() if len(found) == 1 and name in there}
    single = {name: version for name, version in single.items() if version}
    gone = sorted(there & {normalise(name) for name in removed} - locked.keys())
    text = conda_edit.pip_moved(env.path, pyproject.read_text(env.path), single)
    write(env.path, conda_edit.pip_removed(env.path, text, gone) if gone else text)


def by_conda(
    steps: Steps, name: str, packages: Sequence[str], group: str | None, *, rehearsal: bool
) -> Callable[[Steps], None]:
    """An edit of conda.yml.

    Args:
        steps: The steps on the project.
        name: The row: `add` or `remove`.
        packages: What conda is asked for, or names.
        group: The dependency group, of which conda.yml has none.
        rehearsal: Whether to let the engine resolve it, where it does not do so to install it.

    Returns:
        What is to be done on the draft.

    Raises:
        LabError: The words are wrong, or there is no conda.yml (code 2).
    """
    from mlops_lab.manifests import conda_edit

    env = steps.project.conda_env
    if group is not None:
        raise LabError("conda.yml has no groups", f"leave out --group: `invoke {name} --conda {' '.join(packages)}`")
    if env is None:
        raise LabError(
            "there is no conda.yml to change",
            "write one with `name:`, `channels:` and `dependencies:`, python among them",
        )
    edit = conda_edit.added if name == "add" else conda_edit.removed

    def act(on: Steps) -> None:
        path = on.project.root / env.path.name
        write(path, edit(path, pyproject.read_text(path), packages))
        on.reload()
        if on.engine is not None and rehearsal:
            on.make(rehearsal=True)
        elif on.engine is None:
            on.observer.say(f"{on.hybrid} has no conda that could tell whether there is such a package")

    return act


def write(path: Path, text: str) -> None:
    """Write a text with the ends of its lines as they are."""
    if text.encode() != path.read_bytes():
        path.write_bytes(text.encode())
