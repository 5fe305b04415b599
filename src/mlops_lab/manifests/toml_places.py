"""Where everything stands in a TOML text: no parser tells the line of a table, a key or a value."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Key", "Lines", "places"]

Key = tuple[str | int, ...]

_TOKEN = re.compile(
    r'''(?P<text>"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')'''
    r"""|(?P<comment>\#[^\n]*)|(?P<mark>[\[\]{}=,.\n])|(?P<bare>[^\s\[\]{}=,."'\#]+)""",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL)
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b"}
_LAST_CHARACTER = 0x10FFFF


class Lines:
    """The line of a place in a text, counted from 1."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._place, self._line = 0, 1

    def at(self, place: int) -> int:
        """The line of a place, counted from the one that was asked for last: most questions are near each other."""
        if place >= self._place:
            self._line += self._text.count("\n", self._place, place)
        else:
            self._line -= self._text.count("\n", place, self._place)
        self._place = place
        return self._line


class _Token(NamedTuple):
    kind: str
    text: str
    place: int


@dataclass
class _Open:
    """An array or an inline table that has not ended yet.

    Attributes:
        mark: Its bracket.
        key: The way to it.
        number: The entry of the array that comes next.
        here: The key of the table whose value comes next; None before a key.
    """

    mark: str
    key: Key
    number: int = 0
    here: Key | None = None


def places(text: str) -> dict[Key, int]:
    """The line of each table, key and value of a text that is TOML.

    Args:
        text: The text.

    Returns:
        The way to it, such as `("project", "dependencies", 0)` → its line, counted from 1; entries of arrays have
        numbers. What follows a key has the key's line.
    """
    return _Scan(text).found


class _Scan:
    """One pass over the tokens of a text."""

    def __init__(self, text: str) -> None:
        self.found: dict[Key, int] = {}
        self.lines = Lines(text)
        self.counts: dict[Key, int] = {}
        self.table: Key = ()
        kinds = (_Token(str(found.lastgroup), found[0], found.start()) for found in _TOKEN.finditer(text))
        self.tokens = (token for token in kinds if token.kind != "comment")
        for token in self.tokens:
            if token.kind in {"text", "bare"}:
                self._value(self._key(token, self.table))
            elif token.text == "[":
                self._header(token, is_array=text.startswith("[[", token.place))

    def _note(self, key: Key, place: int) -> None:
        self.found.setdefault(key, self.lines.at(place))

    def _header(self, first: _Token, *, is_array: bool) -> None:
        """`[table]`, or `[[entry of an array of tables]]`."""
        parts = list[str]()
        for token in self.tokens:
            if token.kind == "mark" and token.text in "]\n":
                break
            if token.kind != "mark":
                parts.append(_unquoted(token.text))
        key: Key = ()
        for part in parts:
            # What is below an array of tables belongs to its last entry.
            key = (*key, self.counts[key], part) if key in self.counts else (*key, part)
        if is_array:
            self._note(key, first.place)
            self.counts[key] = self.counts.get(key, -1) + 1
            key = (*key, self.counts[key])
        self.table = key
        for length in range(1, len(key) + 1):
            self._note(key[:length], first.place)

    def _key(self, first: _Token, table: Key) -> Key:
        """The way to the value that follows a key."""
        key: Key = (*table, _unquoted(first.text))
        self._note(key, first.place)
        for token in self.tokens:
            if token.kind == "mark" and token.text in "=\n":
                break
            if token.kind != "mark":
                key = (*key, _unquoted(token.text))
                self._note(key, first.place)
        return key

    def _value(self, key: Key) -> None:
        """What follows a key, to its end: the line's, or the one of the last bracket."""
        opened = list[_Open]()
        for token in self.tokens:
            mark = token.text if token.kind == "mark" else ""
            if mark in {"]", "}"}:
                del opened[-1:]
            if not opened and mark in {"]", "}", "\n"}:
                return
            if not opened:
                self._open(opened, mark, key)
            elif mark not in {"]", "}", "\n"}:
                self._inside(opened, mark, token)

    def _inside(self, opened: list[_Open], mark: str, token: _Token) -> None:
        """A token in brackets."""
        last = opened[-1]
        if mark == ",":
            last.number += 1
            last.here = None
        elif last.mark == "[":
            here: Key = (*last.key, last.number)
            self._note(here, token.place)
            self._open(opened, mark, here)
        elif last.here is None:
            last.here = self._key(token, last.key)
        else:
            self._open(opened, mark, last.here)

    def _open(self, opened: list[_Open], mark: str, key: Key) -> None:
        if mark in {"[", "{"}:
            opened.append(_Open(mark, key))


def _unquoted(text: str) -> str:
    """A key without its quotes."""
    if text[:1] == "'":
        return text.strip("'")
    return _ESCAPE.sub(_escaped, text[1:-1]) if text[:1] == '"' else text


def _escaped(found: re.Match[str]) -> str:
    if found[3]:
        return _ESCAPES.get(found[3], found[3])
    number = int(found[1] or found[2], 16)
    return chr(number) if number <= _LAST_CHARACTER else ""
