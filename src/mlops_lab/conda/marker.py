"""Our marker in a prefix: which engine made it, whether it was finished, and how its files were left."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["BUILDING", "CHANGING", "COMPLETE", "Marker", "path", "read", "replace_text", "write"]

BUILDING, CHANGING, COMPLETE = "building", "changing", "complete"
"""Being made for the first time; being changed in place; finished."""
FORMAT = 1


@dataclass(frozen=True)
class Marker:
    """What the engine knows of a prefix.

    Attributes:
        state: `BUILDING`, `CHANGING` or `COMPLETE`.
        files: Recorded file → size and modification time in nanoseconds, as we left it.
        inputs: A digest of what was asked for; empty where words and not a file asked.
        replaced: Packages that another installer had replaced, and by what.
        pip: What pip's part was made from and what it left; empty where there was none.
        journal: While packages change, the files that a kill may leave behind.
        linking: While packages change, those that are to come: `name-version-build`.
        format: The form of this file.
    """

    state: str = COMPLETE
    files: Mapping[str, list[int]] = field(default_factory=dict)
    pip: Mapping[str, Any] = field(default_factory=dict)
    inputs: str = ""
    replaced: Mapping[str, str] = field(default_factory=dict)
    journal: tuple[str, ...] = ()
    linking: tuple[str, ...] = ()
    format: int = FORMAT


def path(prefix: Path) -> Path:
    """The marker's file; no suffix, so that conda does not take it for a package's record."""
    return prefix / "conda-meta" / "mlops-lab"


def read(prefix: Path) -> Marker | None:
    """The marker of a prefix; None where another engine, or nobody, made it.

    One that cannot be read is ours all the same, and nothing is known of the files.
    """
    try:
        data = json.loads(path(prefix).read_bytes())
        marker = Marker(**{**data, "journal": tuple(data["journal"]), "linking": tuple(data["linking"])})
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError, KeyError):
        return Marker(CHANGING)
    sound = isinstance(marker.files, dict) and isinstance(marker.pip, dict) and marker.format == FORMAT
    return marker if sound else Marker(CHANGING)


def write(prefix: Path, marker: Marker) -> None:
    """Write the marker in one piece: a reader sees the old one or the new one."""
    replace_text(path(prefix), json.dumps(asdict(marker), separators=(",", ":")))


def replace_text(file: Path, text: str) -> None:
    """Write a file in one piece."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.writing")
    try:
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape")
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
