"""Answers that stay true while a state stays the same, kept for the user: a tool is asked once."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

from mlops_lab.environment import user_cache

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Facts", "read_json"]


class Facts:
    """What is known, in one file of the user's cache.

    Args:
        path: The file; by default the user's own.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or user_cache() / "facts.json"
        data = read_json(self.path)
        self.data: dict[str, Any] = data if isinstance(data, dict) else {}

    def get(self, key: str, state: object) -> Any:  # noqa: ANN401 - whatever was put
        """The answer; None where there is none for this state."""
        entry = self.data.get(key)
        return entry[1] if isinstance(entry, list) and entry[0] == _digest(state) else None

    def put(self, key: str, state: object, value: object) -> None:
        """Keep an answer, beside what others have kept meanwhile."""
        data = read_json(self.path)
        merged = {**(data if isinstance(data, dict) else {}), key: [_digest(state), value]}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            temporary = self.path.with_suffix(f".{os.getpid()}")
            temporary.write_text(json.dumps(merged), encoding="utf-8")
            temporary.replace(self.path)
        except OSError:
            return  # a cache that cannot be kept costs time, nothing else


def read_json(path: Path) -> Any:  # noqa: ANN401 - JSON
    """What a JSON file holds; None where it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _digest(state: object) -> str:
    """A state's digest; the state itself, which may be a proxy with a password, is not written anywhere."""
    return hashlib.blake2b(json.dumps(state).encode(), digest_size=12).hexdigest()
