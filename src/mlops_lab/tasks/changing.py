"""The tasks that change what the project depends on: add, lock, update, remove, undo, history, export."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from invoke.context import Context  # noqa: TC002 - Invoke reads the signatures

from mlops_lab.errors import LabError
from mlops_lab.tasks.face import guide_task, open_for, remainder, request_for
from mlops_lab.tasks.packages import ABSENT, OptionalPackageTask, PackageTask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlops_lab.changes import Changed, Options
    from mlops_lab.choices import Request

__all__ = ["add", "export", "history", "lock", "remove", "undo", "update"]


_PACKAGES = {
    "name": "A package; several stand after `--`: -- NAME NAME…",
    "group": "The dependency group to change; default: the project's own dependencies",
    "dev": "The same as --group dev",
    "conda": "A package of conda's, in conda.yml",
}


def _change(
    row: str, name: str, group: str | None, how: Options, request: Request, *, verbose: bool, json: bool
) -> None:
    from mlops_lab import changes
    from mlops_lab.manifests import requirements

    asked = [*([] if name == ABSENT else [name]), *remainder()]
    if not asked and row != "update":
        raise LabError(f"no package to {row} is named", f"name one: `invoke {row} NAME`")
    # What conda takes is no requirement of Python's; its own reader judges it.
    packages = tuple(dict.fromkeys(asked)) if how.conda else requirements.parse_words(asked, names_only=row != "add")
    # https://packaging.python.org/specifications/name-normalization/#name-format
    if group is not None and not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", group):
        raise LabError(f"{group!r} is no name for a dependency group", "write it with letters, digits, - . and _")
    _show(changes.change(open_for(request, verbose=verbose, changes=True), row, packages, group, how), json=json)


def _show(done: Changed, *, json: bool) -> None:
    from mlops_lab.report import changed, pages

    if json:
        sys.stdout.write(changed.as_json(done) + "\n")
    else:
        pages.show_page(changed.page(done))


def _options(*, conda: bool = False, dry_run: bool = False, no_install: bool = False) -> Options:
    from mlops_lab.changes import Options

    return Options(conda=conda, dry_run=dry_run, install=not no_install)


def _group(group: str | None, *, dev: bool) -> str | None:
    if dev and group not in {None, "dev"}:
        raise LabError(f"--dev is --group dev, and --group {group} is another one", "give one of the two")
    return "dev" if dev else group


@guide_task(klass=PackageTask, help=_PACKAGES)
def add(
    _: Context,
    name: str,
    group: str | None = None,
    dev: bool = False,
    conda: bool = False,
    dry_run: bool = False,
    no_install: bool = False,
    hybrid: str | None = None,
    prefix: str | None = None,
    offline: bool = False,
    verbose: bool = False,
    json: bool = False,
) -> None:
    """Step 5: add packages to manifest, locks and environment."""
    how = _options(conda=conda, dry_run=dry_run, no_install=no_install)
    request = request_for(hybrid, prefix, offline=offline)
    _change("add", name, _group(group, dev=dev), how, request, verbose=verbose, json=json)


@guide_task(
    help={"check": "Only check that every lock says the same; change nothing", "leader": "Let this manager lead"}
)
def lock(
    _: Context,
    check: bool = False,
    leader: str | None = None,
    dry_run: bool = False,
    hybrid: str | None = None,
    offline: bool = False,
    verbose: bool = False,
    json: bool = False,
) -> None:
    """Step 9: lock every version; the other files follow."""
    from mlops_lab import changes
    from mlops_lab.report import outcome

    if check and (leader or dry_run):
        raise LabError("--check changes nothing", "leave out --leader and --dry-run, or --check")
    steps = open_for(request_for(hybrid, None, offline=offline), verbose=verbose)
    if check:
        changes.check_locks(steps)
        sys.stdout.write(outcome.locks_in_step(as_json=json) + "\n")
    else:
        _show(changes.lock(steps, leader, dry_run=dry_run), json=json)


@guide_task(klass=OptionalPackageTask, help=_PACKAGES)
def update(
    _: Context,
    name: str,
    dry_run: bool = False,
    no_install: bool = False,
    hybrid: str | None = None,
    prefix: str | None = None,
    offline: bool = False,
    verbose: bool = False,
    json: bool = False,
) -> None:
    """Step 9: move to newer versions, all packages or the named ones."""
    how = _options(dry_run=dry_run, no_install=no_install)
    _change("update", name, None, how, request_for(hybrid, prefix, offline=offline), verbose=verbose, json=json)


@guide_task(klass=PackageTask, help=_PACKAGES)
def remove(
    _: Context,
    name: str,
    group: str | None = None,
    dev: bool = False,
    conda: bool = False,
    dry_run: bool = False,
    no_install: bool = False,
    hybrid: str | None = None,
    prefix: str | None = None,
    offline: bool = False,
    verbose: bool = False,
    json: bool = False,
) -> None:
    """Step 9: remove packages from manifest, locks and environment."""
    how = _options(conda=conda, dry_run=dry_run, no_install=no_install)
    request = request_for(hybrid, prefix, offline=offline)
    _change("remove", name, _group(group, dev=dev), how, request, verbose=verbose, json=json)


@guide_task()
def undo(
    _: Context,
    dry_run: bool = False,
    no_install: bool = False,
    hybrid: str | None = None,
    prefix: str | None = None,
    offline: bool = False,
    verbose: bool = False,
    json: bool = False,
) -> None:
    """Take the last change of add, remove, update, lock or export back."""
    from mlops_lab import changes

    steps = open_for(request_for(hybrid, prefix, offline=offline), verbose=verbose, changes=True)
    _show(changes.undo(steps, install=not no_install, dry_run=dry_run), json=json)


@guide_task()
def history(_: Context, json: bool = False) -> None:
    """List the changes that `undo` can take back, the last first."""
    from mlops_lab import changes
    from mlops_lab.report import changed, pages

    entries = changes.history(open_for(request_for(None, None)))
    if json:
        sys.stdout.write(changed.history_as_json(entries) + "\n")
    else:
        pages.show_page(changed.history_page(entries))


@guide_task(iterable=["group"])
def export(_: Context, hybrid: str | None = None, group: Sequence[str] | None = None, verbose: bool = False) -> None:
    """Step 9: export hashed requirements for pip."""
    from mlops_lab import changes
    from mlops_lab.choices import Request

    path = changes.export(open_for(Request(hybrid=hybrid, groups=tuple(group or ())), verbose=verbose))
    sys.stdout.write(f"exported: {path}\n")
