"""One conda package: what is in it, and the `.conda` file that is made of it.

The format: https://docs.conda.io/projects/conda-build/en/stable/resources/package-spec.html
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import posixpath
import struct
import tarfile
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["PLACEHOLDER", "SUBDIR", "File", "Link", "Package", "write"]

# As long as conda-build's: what takes its place in a binary cannot be longer, and is filled up with zero bytes.
PLACEHOLDER = "/opt/" + "_placehold" * 25
SUBDIR = {"aarch64": "linux-aarch64"}.get(platform.machine(), "linux-64")

_TIME = 1_700_000_000  # of every file: the same contents make the same package, whose hash stays too
_BLOCK = 128 * 1024
_WINDOW = 7 << 3  # 2 ** (10 + 7) bytes: a reader needs no more memory than one block, however long the file is


@dataclass(frozen=True)
class File:
    """A file in a package; what holds the placeholder is told the prefix when it is installed."""

    data: bytes
    mode: int = 0o644

    @property
    def prefix_mode(self) -> Literal["text", "binary"] | None:
        """How the placeholder is replaced."""
        if PLACEHOLDER.encode() not in self.data:
            return None
        return "binary" if b"\0" in self.data else "text"


@dataclass(frozen=True)
class Link:
    """A relative symbolic link in a package."""

    target: str


@dataclass(frozen=True)
class Package:
    """A package; its name, version, build and dependencies are all that a solver looks at.

    Attributes:
        name: In conda's spelling.
        version: Such as `1.0`.
        build: The build string.
        build_number: The higher one is preferred.
        depends: Match specifications, such as `python >=3.11`.
        constrains: Match specifications of what need not be there.
        noarch: None for a package of this platform.
        files: Path in the prefix → what is there; a noarch Python package's modules lie in `site-packages/`.
        entry_points: Console scripts of a noarch Python package, such as `pip = pip._internal:main`.
    """

    name: str
    version: str
    build: str = "0"
    build_number: int = 0
    depends: tuple[str, ...] = ()
    constrains: tuple[str, ...] = ()
    noarch: Literal["generic", "python"] | None = None
    files: Mapping[str, File | Link] = field(default_factory=dict)
    entry_points: tuple[str, ...] = ()

    @property
    def subdir(self) -> str:
        """The channel's folder for it."""
        return "noarch" if self.noarch else SUBDIR

    @property
    def stem(self) -> str:
        """The name of its file, without the ending."""
        return f"{self.name}-{self.version}-{self.build}"

    def index(self) -> dict[str, Any]:
        """What `info/index.json` says, and the channel's index repeats."""
        about: dict[str, Any] = {
            "arch": None if self.noarch else platform.machine(),
            "build": self.build,
            "build_number": self.build_number,
            "constrains": list(self.constrains),
            "depends": list(self.depends),
            "license": "MIT",
            "name": self.name,
            "platform": None if self.noarch else "linux",
            "subdir": self.subdir,
            "timestamp": _TIME * 1000,
            "version": self.version,
        }
        return {**about, "noarch": self.noarch} if self.noarch else about


def write(package: Package, folder: Path) -> dict[str, Any]:
    """Write the `.conda` file into the subdir's folder; returns its record for the channel's index."""
    info = {f"info/{name}": File(text.encode()) for name, text in _info(package)}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in (
            ("metadata.json", b'{"conda_pkg_format_version": 2}'),
            (f"pkg-{package.stem}.tar.zst", _stored(_tar(package.files))),
            (f"info-{package.stem}.tar.zst", _stored(_tar(info))),
        ):
            archive.writestr(zipfile.ZipInfo(name), data)
    data = buffer.getvalue()
    folder.mkdir(parents=True, exist_ok=True)
    # Never into an existing file, which may be a hard link to another channel's.
    temporary = folder / f"{package.stem}.part"
    temporary.write_bytes(data)
    temporary.replace(folder / f"{package.stem}.conda")
    sums = {"md5": hashlib.md5(data, usedforsecurity=False).hexdigest(), "sha256": hashlib.sha256(data).hexdigest()}
    return {**package.index(), **sums, "size": len(data)}


def _info(package: Package) -> Iterator[tuple[str, str]]:
    yield "index.json", json.dumps(package.index(), indent=2)
    paths = [_path(path, package.files) for path in sorted(package.files)]
    yield "paths.json", json.dumps({"paths": paths, "paths_version": 1}, indent=2)
    yield "files", "".join(f"{path}\n" for path in sorted(package.files))
    yield "about.json", json.dumps({"license": "MIT", "summary": f"{package.name}, made for a test"})
    if package.noarch == "python":
        link = {"type": "python", "entry_points": list(package.entry_points)}
        yield "link.json", json.dumps({"noarch": link, "package_metadata_version": 1})


def _path(path: str, files: Mapping[str, File | Link]) -> dict[str, Any]:
    found = _followed(path, files)
    entry = {
        "_path": path,
        "path_type": "softlink" if isinstance(files[path], Link) else "hardlink",
        "sha256": hashlib.sha256(found.data).hexdigest(),
        "size_in_bytes": len(found.data),
    }
    if entry["path_type"] == "hardlink" and (mode := found.prefix_mode):
        entry |= {"file_mode": mode, "prefix_placeholder": PLACEHOLDER}
    return entry


def _followed(path: str, files: Mapping[str, File | Link]) -> File:
    """What a path leads to: the format wants the digest of a link's target."""
    found = files[path]
    if isinstance(found, File):
        return found
    return _followed(posixpath.normpath(posixpath.join(posixpath.dirname(path), found.target)), files)


def _tar(members: Mapping[str, File | Link]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path, member in sorted(members.items()):
            entry = tarfile.TarInfo(path)
            entry.mtime = _TIME
            if isinstance(member, Link):
                entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, member.target, 0o777
                archive.addfile(entry)
            else:
                entry.size, entry.mode = len(member.data), member.mode
                archive.addfile(entry, io.BytesIO(member.data))
    return buffer.getvalue()


def _stored(data: bytes) -> bytes:
    """A zstd frame of blocks as they are: no compressor is needed, and making it costs nothing (RFC 8878, 3.1.1)."""
    frame = [struct.pack("<IBBQ", 0xFD2FB528, 0b1100_0000, _WINDOW, len(data))]
    for start in range(0, len(data), _BLOCK):
        block = data[start : start + _BLOCK]
        last = start + _BLOCK >= len(data)
        frame += [struct.pack("<I", len(block) << 3 | last)[:3], block]
    return b"".join(frame)
