"""The difference between what an environment holds and what it is to hold, and how it is told."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mlops_lab.conda import channels

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from rattler import RepoDataRecord

    from mlops_lab.conda.channels import Channel
    from mlops_lab.conda.records import Findings, Record

__all__ = ["actions", "dependents", "differing", "names", "new_python", "notes"]

Key = tuple[str, str, str]
_NAME = re.compile(r"(?:\S+::)?(?P<name>[^\s=<>!~\[]+)")


def differing(current: Iterable[Record], wanted: Iterable[RepoDataRecord]) -> tuple[dict[Key, Any], dict[Key, Any]]:
    """What is to go and what is to come: (name, version, build) → record."""
    there: dict[Key, Any] = {(record.name, record.version, record.build): record for record in current}
    coming: dict[Key, Any] = {(str(r.name.normalized), str(r.version), str(r.build)): r for r in wanted}
    return (
        {key: record for key, record in there.items() if key not in coming},
        {key: record for key, record in coming.items() if key not in there},
    )


def dependents(current: Iterable[Record], leaving: Iterable[str]) -> set[str]:
    """Packages, and those that cannot be without them."""
    needs = {record.name: names(record.data.get("depends") or ()) for record in current}
    # py-rattler is told that python needs pip, so that pip comes along: pip can go all the same.
    found: set[str] = set()
    waiting = [name for name in leaving if name in needs]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [other for other, needed in needs.items() if name in needed]
    return found


def names(depends: Iterable[str]) -> set[str]:
    """The packages that dependencies name."""
    return {match["name"] for text in depends if (match := _NAME.match(text))}


def new_python(current: Iterable[Record], wanted: Iterable[RepoDataRecord]) -> str:
    """`python 3.11 → 3.12` when the series changes; empty when it does not.

    What pip, Poetry or uv installed would stay behind in the old series' folder.
    """
    before = next((_series(record.version) for record in current if record.name == "python"), "")
    after = next((_series(str(record.version)) for record in wanted if record.name.normalized == "python"), "")
    return f"python {before} → {after}" if before and after and before != after else ""


def _series(version: str) -> str:
    return ".".join(version.split(".")[:2])


def notes(findings: Findings) -> Iterable[str]:
    """What was found in the environment, a line for each package."""
    for file in findings.broken:
        yield f"{file.name}: cannot be read; the package is installed again"
    for name, files in sorted(findings.missing.items()):
        yield f"{name}: {_count(files)} missing ({files[0]}{', …' if len(files) > 1 else ''}); installed again"
    for name, files in sorted(findings.altered.items()):
        yield f"{name}: {_count(files)} altered ({files[0]}{', …' if len(files) > 1 else ''}); installed again"
    if findings.replaced:
        listed = ", ".join(f"{name} (now {other})" for name, other in sorted(findings.replaced.items()))
        yield f"replaced by pip, Poetry or uv, and left as it is: {listed}"


def _count(files: Sequence[str]) -> str:
    return f"{len(files)} file{'s' if len(files) > 1 else ''}"


def actions(
    prefix: Path,
    current: Iterable[Record],
    wanted: Iterable[RepoDataRecord],
    searched: Sequence[Channel],
    left_alone: Collection[str] = (),
) -> dict[str, Any]:
    """What was done, as conda's commands tell a program; what another installer replaced is left alone."""
    going, coming = (
        {key: r for key, r in part.items() if key[0] not in left_alone} for part in differing(current, wanted)
    )
    unlink = [_dumped(record.data, record.channel, searched) for record in going.values()]
    link = [_dumped(_fields(record), record.channel or "", searched) for record in coming.values()]
    by_name = lambda entry: str(entry["name"])  # noqa: E731
    done = {"LINK": sorted(link, key=by_name), "UNLINK": sorted(unlink, key=by_name), "PREFIX": str(prefix)}
    told = {"success": True, "prefix": str(prefix), "actions": done}
    if not link and not unlink:
        told["message"] = "All requested packages already installed."
    return told


def _fields(record: RepoDataRecord) -> dict[str, Any]:
    return {
        "name": record.name.normalized,
        "version": str(record.version),
        "build": str(record.build),
        "build_number": record.build_number,
        "subdir": record.subdir,
    }


def _dumped(data: Mapping[str, Any], url: str, searched: Sequence[Channel]) -> dict[str, Any]:
    """A package as `dist_fields_dump` of conda's records gives it."""
    return {
        "base_url": url.rstrip("/"),
        "build_number": data["build_number"],
        "build_string": data["build"],
        "channel": channels.canonical(url, searched),
        "dist_name": f"{data['name']}-{data['version']}-{data['build']}",
        "name": data["name"],
        "platform": data["subdir"],
        "version": data["version"],
    }
