"""The records of a prefix, `conda-meta/*.json`: what is installed, and whether its files are still there.

Source: https://github.com/conda/ceps/blob/main/cep-0032.md and
https://docs.conda.io/projects/conda/en/latest/dev-guide/api/conda/models/records/index.html (PrefixRecord)
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlops_lab.environment import normalise

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping
    from pathlib import Path

__all__ = ["Findings", "Record", "files_of", "inspect", "ledger", "read", "untouched"]

_COMPILED = (".pyc", ".pyo")


@dataclass(frozen=True)
class Record:
    """A package that is installed.

    Attributes:
        file: Its record.
        data: What the record holds.
    """

    file: Path
    data: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The package."""
        return str(self.data["name"])

    @property
    def version(self) -> str:
        """Its version."""
        return str(self.data["version"])

    @property
    def build(self) -> str:
        """Its build string."""
        return str(self.data["build"])

    @property
    def channel(self) -> str:
        """The channel that it came from, as an address."""
        return str(self.data.get("channel") or "")

    @property
    def subdir(self) -> str:
        """The subfolder of the channel."""
        return str(self.data.get("subdir") or "")

    @property
    def paths(self) -> Iterator[Mapping[str, Any]]:
        """Its files with kinds and hashes, as far as nobody is expected to write them anew."""
        own = frozenset(self.data["files"])
        for entry in (self.data.get("paths_data") or {}).get("paths") or ():
            if entry.get("path_type") != "directory" and not entry["_path"].endswith(_COMPILED):
                # conda writes the paths of a noarch package as the package has them, and where they went into `files`.
                yield entry if entry["_path"] in own else {**entry, "_path": self._placed(entry["_path"])}

    def _placed(self, path: str) -> str:
        """Where a file of a noarch package went."""
        if path.startswith("python-scripts/"):
            return path.replace("python-scripts/", "bin/", 1)
        sites = (file.partition("site-packages/")[0] for file in self.data["files"] if "site-packages/" in file)
        return next(sites, "") + path if path.startswith("site-packages/") else path


@dataclass
class Findings:
    """What is not as it was left; package → its files.

    Attributes:
        missing: Files that are gone.
        altered: Files with other contents.
        replaced: Package → what pip, Poetry or uv put in its place, such as `idna 3.10`.
        broken: Records that cannot be read.
    """

    missing: dict[str, list[str]] = field(default_factory=dict)
    altered: dict[str, list[str]] = field(default_factory=dict)
    replaced: dict[str, str] = field(default_factory=dict)
    broken: list[Path] = field(default_factory=list)

    @property
    def damaged(self) -> set[str]:
        """The packages that are to be linked anew."""
        return set(self.missing) | set(self.altered)


def read(prefix: Path) -> tuple[list[Record], list[Path]]:
    """The records of a prefix by name, and the files that are no records although they should be."""
    found, broken = [], []
    for file in sorted((prefix / "conda-meta").glob("*.json")):
        try:
            data = json.loads(file.read_bytes())
            record = Record(file, data)
            _ = (record.name, record.version, record.build, data["files"])
        except (OSError, ValueError, KeyError, TypeError):
            broken.append(file)
        else:
            found.append(record)
    return sorted(found, key=lambda record: record.name), broken


def files_of(records: Iterable[Record]) -> set[str]:
    """Every file that the packages own."""
    return {path for record in records for path in record.data["files"]}


def ledger(prefix: Path, records: Iterable[Record], apart: Container[str] = ()) -> dict[str, list[int]]:
    """Every recorded file, and every record, with its size and modification time in nanoseconds.

    Args:
        prefix: The environment.
        records: What is installed.
        apart: Packages whose files are left out, because another installer wrote them.
    """
    found = {}
    for record in records:
        paths = [] if record.name in apart else [entry["_path"] for entry in record.paths]
        for path in (f"conda-meta/{record.file.name}", *paths):
            if (status := _status(f"{prefix}/{path}")) is not None:
                found[path] = [status.st_size, status.st_mtime_ns]
    return found


def untouched(prefix: Path, known: Mapping[str, list[int]]) -> bool:
    """Whether every file is as the ledger has it, and no record came or went; nothing is read."""
    try:
        names = {f"conda-meta/{name}" for name in os.listdir(f"{prefix}/conda-meta") if name.endswith(".json")}  # noqa: PTH208
        if names != {path for path in known if path.startswith("conda-meta/") and path.endswith(".json")}:
            return False
        for path, left in known.items():
            status = os.lstat(f"{prefix}/{path}")
            if [status.st_size, status.st_mtime_ns] != left:
                return False
    except OSError:
        return False
    return True


def inspect(
    prefix: Path, records: Iterable[Record], known: Mapping[str, list[int]], *, thorough: bool = False
) -> Findings:
    """Compare the files with the records.

    Args:
        prefix: The environment.
        records: What is installed.
        known: The ledger of the last run: a file with the same size and time is not read again.
        thorough: Whether every file is read all the same.
    """
    findings = Findings()
    for record in records:
        for entry in record.paths:
            status = _status(f"{prefix}/{entry['_path']}")
            if status is None:
                findings.missing.setdefault(record.name, []).append(entry["_path"])
            elif (thorough or known.get(entry["_path"]) != [status.st_size, status.st_mtime_ns]) and not _as_recorded(
                prefix, entry, status
            ):
                findings.altered.setdefault(record.name, []).append(entry["_path"])
    _tell_replaced(prefix, records, findings)
    return findings


def _status(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except OSError:
        return None


def _as_recorded(prefix: Path, entry: Mapping[str, Any], status: os.stat_result) -> bool:
    if entry.get("path_type") == "softlink":
        return stat.S_ISLNK(status.st_mode)
    # A file with the prefix in it has another hash in the package than here.
    expected = entry.get("sha256_in_prefix") or (None if entry.get("prefix_placeholder") else entry.get("sha256"))
    if expected is None:
        return True
    try:
        with (prefix / entry["_path"]).open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest() == str(expected)
    except OSError:
        return False


def _tell_replaced(prefix: Path, records: Iterable[Record], findings: Findings) -> None:
    """A package that another installer replaced is meant to be as it is: the lock decides there, not conda."""
    for record in records:
        if record.name not in findings.damaged:
            continue
        if other := _replacement(prefix, record, findings):
            findings.missing.pop(record.name, None)
            findings.altered.pop(record.name, None)
            findings.replaced[record.name] = other


def _replacement(prefix: Path, record: Record, findings: Findings) -> str:
    """What stands in the place of a package; empty where nothing does."""
    missing = set(findings.missing.get(record.name, ()))
    for entry in record.paths:
        folder, _, file = entry["_path"].rpartition("/")
        site, _, distribution = folder.rpartition("/")
        # Not what setuptools and pip carry in folders of their own.
        if not distribution.endswith(".dist-info") or not site.endswith("site-packages"):
            continue
        if file == "METADATA" and entry["_path"] in missing:
            wanted = normalise(distribution.partition("-")[0])
            for name in _distributions(prefix / site):
                if normalise(name.partition("-")[0]) == wanted and name != distribution:
                    return " ".join(name.removesuffix(".dist-info").split("-", 1))
        if file == "INSTALLER" and entry["_path"] in findings.altered.get(record.name, ()):
            return " ".join(distribution.removesuffix(".dist-info").split("-", 1))
    return ""


def _distributions(site: Path) -> list[str]:
    try:
        return [
            name
            for name in os.listdir(site)  # noqa: PTH208 - names are what is wanted
            if name.endswith(".dist-info") and not name.startswith("~")
        ]
    except OSError:
        return []
