"""Make an environment beside its place and move it there, or change one where it is."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_lab.conda import history, marker, network, pip, prefixes, records
from mlops_lab.conda.marker import Marker
from mlops_lab.errors import FOUND, LabError, redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from rattler import PrefixRecord, RepoDataRecord

    from mlops_lab.conda.channels import Channel
    from mlops_lab.conda.network import Access
    from mlops_lab.conda.talk import Talk

__all__ = ["Order", "build", "change", "settle"]


@dataclass(frozen=True)
class Order:
    """What is to be done to a prefix.

    Attributes:
        prefix: The environment.
        command: What the user typed, for the history.
        specs: What is asked for: name → spec.
        dropped: Names that are no longer asked for.
        channels: The channels that were searched.
        variables: What activation is to set.
        pip: Pip's part.
        inputs: A digest of what was asked for.
        lock: The descriptor of the prefix' lock.
    """

    prefix: Path
    command: str
    specs: Mapping[str, str]
    dropped: tuple[str, ...] = ()
    channels: tuple[Channel, ...] = ()
    variables: Mapping[str, str] = dataclasses.field(default_factory=dict)
    pip: pip.Part | None = None
    inputs: str = ""
    lock: int | None = None


async def build(order: Order, wanted: Sequence[RepoDataRecord], access: Access, talk: Talk) -> None:
    """Make the environment anew; one that is there is replaced when the new one is complete.

    Raises:
        LabError: Something could not be fetched or installed (code 1); then everything is as it was before.
    """
    prefix = order.prefix
    new, old = prefixes.beside(prefix, prefixes.NEW), prefixes.beside(prefix, prefixes.OLD)
    prefix.parent.mkdir(parents=True, exist_ok=True)
    try:
        await _link(new, wanted, order.channels, access, talk, final=prefix)
        _finish(order, new, before=set(), state=marker.BUILDING if order.pip else marker.COMPLETE)
        if prefix.exists():
            prefix.rename(old)
        new.rename(prefix)
        if order.pip:
            pip.install(prefix, order.pip, order.lock, talk)
            settle(order)
    except BaseException:
        _undo(prefix, new, old)
        raise
    history.register(prefix)
    prefixes.clear(old)


def _undo(prefix: Path, new: Path, old: Path) -> None:
    """Put back what was there before."""
    with contextlib.suppress(LabError):
        prefixes.clear(new)
    found = marker.read(prefix)
    if found is not None and found.state == marker.BUILDING:
        prefixes.discard(prefix)
    if old.exists() and not prefix.exists():
        old.rename(prefix)


async def change(
    order: Order,
    wanted: Sequence[RepoDataRecord],
    installed: Sequence[PrefixRecord],
    access: Access,
    talk: Talk,
    *,
    again: Iterable[str] = (),
    left_alone: Iterable[str] = (),
) -> None:
    """Bring the packages of an environment to what is wanted, where it is.

    Args:
        order: What is to be done.
        wanted: The packages that the environment is to hold.
        installed: The packages that it holds.
        access: Client and cache.
        talk: Where progress is told.
        again: Packages to link again, because files of theirs are not as they should be.
        left_alone: Packages that another installer replaced.

    Raises:
        LabError: Something could not be fetched or installed (code 1); the next run mends what is half done.
    """
    prefix, apart = order.prefix, set(left_alone)
    current, broken = records.read(prefix)
    before = {history.distribution(record, order.channels) for record in current}
    earlier = marker.read(prefix) or Marker()
    keep = {_key(record) for record in wanted} - {_key(record) for record in wanted if record.name.normalized in again}
    # What another installer put in their place is its own, whatever version is wanted: it is never swept away.
    leaving = [
        record
        for record in current
        if (record.name, record.version, record.build) not in keep and record.name not in apart
    ]
    there = {(record.name, record.version, record.build) for record in current}
    journal = (*earlier.journal, *sorted(records.files_of(leaving)))
    coming = [r for r in wanted if _key(r) not in there and r.name.normalized not in apart]
    linking = (*earlier.linking, *map(_file_name, coming))
    marker.write(prefix, Marker(marker.CHANGING, earlier.files, journal=journal, linking=linking))
    for file in broken:
        # Half written by a killed run, which was about to link that package.
        file.unlink(missing_ok=True)
    await _link(prefix, wanted, order.channels, access, talk, installed=installed, again=again, left_alone=apart)
    _sweep(prefix, journal, linking, access.cache)
    _finish(order, prefix, before=before, state=marker.CHANGING)


def settle(order: Order, replaced: Mapping[str, str] | None = None) -> None:
    """Write down that the environment is finished, what it was made from, and how its files were left."""
    found, _ = records.read(order.prefix)
    apart = dict(replaced or {})
    done = pip.left(order.prefix, order.pip) if order.pip else (marker.read(order.prefix) or Marker()).pip
    marker.write(
        order.prefix, Marker(marker.COMPLETE, records.ledger(order.prefix, found, apart), done, order.inputs, apart)
    )
    history.register(order.prefix)


async def _link(
    target: Path,
    wanted: Sequence[RepoDataRecord],
    channels: Sequence[Channel],
    access: Access,
    talk: Talk,
    *,
    final: Path | None = None,
    installed: Sequence[PrefixRecord] = (),
    again: Iterable[str] = (),
    left_alone: Iterable[str] = (),
) -> None:
    from rattler import exceptions, install
    from rattler.package_cache import PackageCache, ValidationMode

    from mlops_lab.conda.progress import Progress

    _assert_fetchable(wanted, installed, access)
    # Environments share files with the cache by hard links: what was altered in one would be altered in the next.
    cache = PackageCache.new_layered([access.cache], False, ValidationMode.full())  # noqa: FBT003 - rattler's order
    access.cache.mkdir(parents=True, exist_ok=True)
    there = {_key(record) for record in installed}
    try:
        await install(
            list(wanted),
            target,
            package_cache=cache,
            installed_packages=list(installed),
            reinstall_packages=set(again) or None,
            ignored_packages=set(left_alone) or None,
            client=access.client,
            execute_link_scripts=False,
            # Its methods do nothing by default, which mypy takes for abstract.
            reporter=Progress(talk),  # type: ignore[abstract]
            alternative_target_prefix=final,
        )
    except (exceptions.InstallerError, exceptions.LinkError, exceptions.TransactionError, exceptions.IoError) as error:
        raise _failed(error, channels) from error
    for record in wanted:
        if _key(record) not in there and (script := _script(target, record.name.normalized)):
            talk.say(f"{record.name.normalized}: its script {script} was not run: this conda runs no code of packages")


def _script(target: Path, name: str) -> str:
    names = (f"Scripts/.{name}-post-link.bat",) if os.name == "nt" else (f"bin/.{name}-post-link.sh",)
    return next((script for script in names if (target / script).exists()), "")


def _assert_fetchable(wanted: Sequence[RepoDataRecord], installed: Sequence[PrefixRecord], access: Access) -> None:
    if not access.offline:
        return
    there = {_key(record) for record in installed}
    missing = [
        _file_name(record)
        for record in wanted
        if _key(record) not in there
        and not record.url.startswith("file:")
        and not (access.cache / _file_name(record)).is_dir()
    ]
    if missing:
        hint = "run it once without --offline"
        raise LabError(f"offline, and not in the cache: {', '.join(sorted(missing))}", hint, code=FOUND)


def _failed(error: Exception, channels: Sequence[Channel]) -> LabError:
    text = " ".join(line.strip() for line in str(error).splitlines())
    if "error sending request" in text or "HTTP status" in text:
        return network.failure(error, channels)
    from mlops_lab.hints import hint_for

    hint = hint_for(text) or "run the command again: it mends what is half done"
    return LabError(f"a package could not be installed: {redact(text)}", hint, code=FOUND)


def _key(record: RepoDataRecord) -> tuple[str, str, str]:
    return record.name.normalized, str(record.version), str(record.build)


def _file_name(record: RepoDataRecord) -> str:
    return "-".join(_key(record))


def _finish(order: Order, prefix: Path, *, before: set[str], state: str) -> None:
    """Write what conda expects and py-rattler does not."""
    found, _ = records.read(prefix)
    history.settle(found, order.specs)
    after = {history.distribution(record, order.channels) for record in found}
    update = [spec for name, spec in order.specs.items() if history.requested(prefix).get(name) != spec]
    if before != after or update or order.dropped:
        history.append(prefix, before, after, command=order.command, update=update, remove=order.dropped)
    history.set_variables(prefix, order.variables)
    files = records.ledger(prefix, found)
    marker.write(prefix, Marker(state, files, (marker.read(prefix) or Marker()).pip, order.inputs))


def _sweep(prefix: Path, journal: Iterable[str], linking: Iterable[str], cache: Path) -> None:
    """Delete what killed runs left of packages that are not there any more, or never came to be."""
    # Half written records, py-rattler's and ours, and what py-rattler tries links and copies on write with.
    for pattern in ("conda-meta/prefix_record_*", "conda-meta/.*.writing", "symtest_*", ".refprobe-*"):
        for half in prefix.glob(pattern):
            if half.is_dir() and not half.is_symlink():
                shutil.rmtree(half, ignore_errors=True)
            else:
                half.unlink(missing_ok=True)
    found, _ = records.read(prefix)
    owned = records.files_of(found)
    python = next((".".join(record.version.split(".")[:2]) for record in found if record.name == "python"), "")
    candidates = {*journal, *(path for name in linking for path in _files_in_cache(cache / name, python))}
    for path in sorted(candidates - owned, reverse=True):
        file = prefix / path
        with contextlib.suppress(OSError):
            file.unlink()
        with contextlib.suppress(OSError):
            file.parent.rmdir()


def _files_in_cache(package: Path, python: str) -> list[str]:
    """Where the files of an extracted package go; py-rattler may have been killed before it wrote that down."""
    try:
        paths = [entry["_path"] for entry in json.loads((package / "info/paths.json").read_bytes())["paths"]]
        index: Mapping[str, Any] = json.loads((package / "info/index.json").read_bytes())
    except (OSError, ValueError, KeyError, TypeError):
        return []
    if index.get("noarch") != "python":
        return paths
    site = f"lib/python{python}/site-packages/"
    placed = [path.replace("site-packages/", site, 1) if path.startswith("site-packages/") else path for path in paths]
    placed = [
        path.replace("python-scripts/", "bin/", 1) if path.startswith("python-scripts/") else path for path in placed
    ]
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        link = json.loads((package / "info/link.json").read_bytes())
        placed += [f"bin/{point.partition('=')[0].strip()}" for point in link["noarch"]["entry_points"]]
    return placed
