"""What a reader cannot understand, gathered while it reads on; and the shapes that it expects."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from mlops_lab.errors import LabError
from mlops_lab.manifests.model import Unread
from mlops_lab.manifests.pyproject import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlops_lab.manifests.toml_places import Key

__all__ = ["Notes", "Tables", "as_unread", "from_root", "kind_of", "list_of", "optional_text", "table_of", "text_of"]

T = TypeVar("T")

_PLACE = re.compile(r"(?P<name>[^\n]+?):(?P<line>\d+):\d+: (?P<reason>.*)", re.DOTALL)


@dataclass
class Notes:
    """What could not be understood in one file.

    Attributes:
        path: The file, from the project's root and with `/`.
        found: The notes, in the order in which they were made.
        markers: Marker → why it is none; empty for those that are.
    """

    path: str
    found: list[Unread] = field(default_factory=list)
    markers: dict[str, str] = field(default_factory=dict)

    def add(self, line: int, message: str, hint: str = "") -> None:
        """Note something, once per line."""
        note = Unread(self.path, line, message, hint)
        if note not in self.found[-3:]:
            self.found.append(note)

    def marker(self, text: str | None, line: int) -> bool:
        """Whether a marker is one; each is parsed once, however often it stands there."""
        if not text:
            return True
        if text not in self.markers:
            self.markers[text] = _wrong_marker(text)
        if reason := self.markers[text]:
            self.add(line, reason, "correct the marker, or make the file again")
        return not reason

    def attempt(self, line: int, call: Callable[[], T]) -> T | None:
        """What a call returns; None after a refusal, which is noted."""
        try:
            return call()
        except LabError as error:
            self.take(error, line)
            return None

    def take(self, error: LabError, line: int) -> None:
        """Note a refusal; where its message has a place in this file, that is its line."""
        note = as_unread(error, self.path, line)
        self.add(note.line, note.message, note.hint)

    def sorted(self) -> tuple[Unread, ...]:
        """All of them, by line."""
        return tuple(sorted(self.found, key=lambda note: note.line))


@dataclass(frozen=True)
class Tables:
    """A TOML file while it is read.

    Attributes:
        data: All of it.
        places: The way to each part → its line.
        notes: What could not be understood so far.
    """

    data: Mapping[str, Any]
    places: Mapping[Key, int]
    notes: Notes

    def line(self, *keys: str | int) -> int:
        """The line of a part; the one of what it stands in, where it has none of its own."""
        while keys:
            if keys in self.places:
                return self.places[keys]
            keys = keys[:-1]
        return 1

    def table(self, *keys: str | int) -> dict[str, Any]:
        """A table; an empty one where there is none, or (which is noted) something else."""
        found: Any = self.data
        for length, key in enumerate(keys, 1):
            found = found.get(key, {})
            if not isinstance(found, dict):
                name = ".".join(map(str, keys[:length]))
                self.notes.add(self.line(*keys[:length]), f"{name} must be a table, not {kind_of(found)}")
                return {}
        return dict(found)

    def texts(self, table: Mapping[str, Any], key: str, keys: Key) -> tuple[str, ...]:
        """A list of texts of a table that stands at these keys; none where (which is noted) it is something else."""
        return tuple(self.notes.attempt(self.line(*keys), lambda: list_of(table, key, str)) or [])


def _wrong_marker(text: str) -> str:
    from mlops_lab.manifests.markers import parsed

    try:
        parsed(text)
    except LabError as error:
        return error.message
    return ""


def as_unread(error: LabError, path: str, line: int = 1) -> Unread:
    """A refusal as a note.

    Args:
        error: What was refused; its message starts with the file's name, and may go on with line and column.
        path: The file, from the project's root.
        line: The line where the message names none.
    """
    name = posixpath.basename(path)
    if (found := _PLACE.fullmatch(error.message)) and found["name"] == name:
        return Unread(path, int(found["line"]), found["reason"], error.hint)
    return Unread(path, line, error.message.removeprefix(f"{name}: "), error.hint)


def from_root(path: str, written: str) -> str:
    """A path that a file names, from the project's root and with `/`; addresses and absolute paths stay.

    Args:
        path: The file that names it, from the root.
        written: What it says.
    """
    plain = written.replace("\\", "/")
    if "://" in plain or plain.startswith(("/", "file:")) or re.match(r"[A-Za-z]:/", plain):
        return plain
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), plain))


# --- shapes --------------------------------------------------------------------------------------------------------


def kind_of(value: object) -> str:
    """What a value of TOML is, in words."""
    return KINDS.get(type(value), "a date or time")


def _refuse(key: str, kind: str, value: object) -> LabError:
    return LabError(f"{key} must be {kind}, not {kind_of(value)}", "correct it, or make the file again")


def text_of(table: Mapping[str, Any], key: str, default: str | None = None) -> str:
    """A text.

    Raises:
        LabError: There is none, or it is something else.
    """
    value = table.get(key, default)
    if value is None:
        raise LabError(f"{key} is missing", "add it, or make the file again")
    if not isinstance(value, str):
        raise _refuse(key, "text", value)
    return value


def optional_text(table: Mapping[str, Any], key: str) -> str | None:
    """A text; None where there is none.

    Raises:
        LabError: It is something else.
    """
    return text_of(table, key) if key in table else None


def table_of(table: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A table; an empty one where there is none.

    Raises:
        LabError: It is something else.
    """
    value = table.get(key, {})
    if not isinstance(value, dict):
        raise _refuse(key, "a table", value)
    return value


def list_of(table: Mapping[str, Any], key: str, of: type) -> list[Any]:
    """A list of texts or of tables; an empty one where there is none.

    Raises:
        LabError: It is something else, or an entry is.
    """
    value = table.get(key, [])
    if not isinstance(value, list):
        raise _refuse(key, "an array", value)
    for entry in value:
        if not isinstance(entry, of):
            raise _refuse(f"an entry of {key}", KINDS[of], entry)
    return value
