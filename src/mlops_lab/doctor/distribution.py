"""What an environment records of one distribution; its files may say anything, and nothing of it is believed.

Source: https://packaging.python.org/specifications/recording-installed-packages/
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from itertools import islice, takewhile
from pathlib import Path
from typing import NamedTuple

from mlops_lab.environment import BYTECODE, has_checksum, named

__all__ = ["Distribution", "File", "altered", "read"]

_HEAD = 20_000
"""Lines of a METADATA that are read; the description may be a book."""
_REQUIRES = "Requires-Dist"


class File(NamedTuple):
    """A file that a RECORD names.

    Attributes:
        path: As the record has it.
        place: Where that is.
        checksum: As the record has it, such as `sha256=…` in URL-safe base 64; empty where it has none.
        status: What is there now; None where nothing is.
    """

    path: str
    place: str
    checksum: str
    status: os.stat_result | None


@dataclass(frozen=True)
class Distribution:
    """A recorded distribution.

    Attributes:
        folder: Its `.dist-info` or `.egg-info`.
        name: Normalised, as the folder has it.
        version: As the folder has it.
        files: What its RECORD names within the environment; bytecode apart, which Python writes by itself.
        named: Every path of the RECORD within the environment, bytecode too.
        denied: What the RECORD names and nobody may look at.
        outside: What the RECORD names outside of the environment; nothing of it is looked at.
        strange: How many lines of the RECORD are none.
        unread: Why its RECORD cannot be read; empty where it can.
        says: `Name` and `Version` of its METADATA, as far as they are there.
        requires: Its requirements, as METADATA has them.
        no_metadata: Why that cannot be read; empty where it can.
    """

    folder: Path
    name: str
    version: str
    files: tuple[File, ...] = ()
    named: frozenset[str] = frozenset()
    denied: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    strange: int = 0
    unread: str = ""
    says: tuple[tuple[str, str], ...] = ()
    requires: tuple[str, ...] = ()
    no_metadata: str = ""

    @property
    def title(self) -> str:
        """Its name and version as the folder has them: `numpy 2.0`."""
        return f"{self.name} {self.version}".strip()


def read(folder: Path, prefix: Path) -> Distribution:
    """Read what is recorded of a distribution; what cannot be read is said in it."""
    name, version = named(folder)
    if folder.suffix != ".dist-info":
        return Distribution(folder, name, version, unread="it has none")
    pairs, barred = _metadata(folder / "METADATA")
    says = {key: value for key, value in pairs if key != _REQUIRES}
    lacking = [key for key in ("Name", "Version") if not says.get(key)]
    text, unread = _text(folder / "RECORD")
    files, places, denied, outside, strange = _record(text, folder.parent, prefix)
    return Distribution(
        folder=folder,
        name=name,
        version=version,
        files=files,
        named=places,
        denied=denied,
        outside=outside,
        strange=strange,
        unread=unread,
        says=tuple(says.items()),
        requires=tuple(value for key, value in pairs if key == _REQUIRES),
        no_metadata=barred or (f"has a METADATA without {' and '.join(lacking)}" if lacking else ""),
    )


def _barred(path: Path) -> str:
    """Why a file cannot be read; empty where it can, as far as its status tells."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return f"has no {path.name}"
    except OSError as error:
        return f"has a {path.name} that cannot be read ({error.strerror})"
    return "" if stat.S_ISREG(mode) else f"has a {path.name} that is no file"


def _text(path: Path) -> tuple[str, str]:
    if barred := _barred(path):
        return "", barred
    try:
        return path.read_text(encoding="utf-8"), ""
    except UnicodeDecodeError:
        return "", f"has a {path.name} that is no UTF-8"
    except OSError as error:
        return "", f"has a {path.name} that cannot be read ({error.strerror})"


def _metadata(path: Path) -> tuple[list[tuple[str, str]], str]:
    """Name, version and requirements, from the lines before the description; and why they cannot be read."""
    if barred := _barred(path):
        return [], barred
    try:
        with path.open("rb") as content:
            head = [line.decode("utf-8", "replace") for line in islice(iter(content.readline, b""), _HEAD)]
    except OSError as error:
        return [], f"has a {path.name} that cannot be read ({error.strerror})"
    pairs = (line.partition(":") for line in takewhile(str.strip, head))
    return [(key, value.strip()) for key, colon, value in pairs if colon and key in {"Name", "Version", _REQUIRES}], ""


def _record(
    text: str, site: Path, prefix: Path
) -> tuple[tuple[File, ...], frozenset[str], tuple[str, ...], tuple[str, ...], int]:
    files, places, denied, outside, strange = [], set[str](), [], [], 0
    root, real = f"{prefix}{os.sep}", f"{os.path.realpath(prefix)}{os.sep}"
    for line in text.splitlines():
        if not line.strip():
            continue
        path, checksum = _split(line)
        if not path or "\0" in path:
            strange += 1
            continue
        place = os.path.normpath(os.path.join(site, path))  # noqa: PTH118 - thousands of these: a Path costs more
        if not place.startswith(root):
            # Poetry records absolute paths, by the name that the environment had then.
            place = f"{os.path.realpath(Path(place).parent)}{os.sep}{Path(place).name}".replace(real, root, 1)
        if not place.startswith(root):
            outside.append(path)
            continue
        places.add(place)
        if path.endswith(BYTECODE):
            continue
        try:
            files.append(File(path, place, checksum, _status(place)))
        except PermissionError:
            denied.append(path)
    return tuple(files), frozenset(places), tuple(denied), tuple(outside), strange


def _split(line: str) -> tuple[str, str]:
    """The path and the checksum of a line; no path where it is no line of a record."""
    path, comma, checksum = line.rpartition(",")[0].rpartition(",")
    if not comma:
        return "", ""
    return (path[1:-1].replace('""', '"') if path.startswith('"') else path), checksum


def _status(place: str) -> os.stat_result | None:
    try:
        return os.stat(place)  # noqa: PTH116 - see above
    except PermissionError:
        raise
    except (OSError, ValueError):
        return None


def altered(file: File) -> bool:
    """Whether a file's content is not the recorded one, or cannot be read; the file is read."""
    return file.status is not None and not has_checksum(Path(file.place), file.checksum)
