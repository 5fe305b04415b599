"""What py-rattler tells while it works, as plain lines."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rattler.install import InstallerReporter

if TYPE_CHECKING:
    from mlops_lab.conda.talk import Talk

__all__ = ["Progress"]

_EVERY = 2.0
"""Seconds between two lines about the same download."""


class Progress(InstallerReporter):
    """A reporter for py-rattler: most of its protocol nobody needs to hear."""

    def __init__(self, talk: Talk) -> None:
        self.talk = talk
        self.names: dict[int, str] = {}
        self.sizes: dict[int, int] = {}
        self.told: dict[int, float] = {}

    def on_transaction_start(self, total_operations: int) -> None:
        """The installation begins."""
        if total_operations:
            self.talk.say(f"installing: {total_operations} package{'s' if total_operations > 1 else ''} to change")

    def on_populate_cache_start(self, operation: int, package_name: str) -> int:
        """A package is looked up in the cache; what is returned names it in the calls below."""
        self.names[operation] = package_name
        return operation

    def on_download_start(self, cache_entry: int) -> int:
        """A download begins."""
        self.told[cache_entry] = time.monotonic()
        return cache_entry

    def on_download_progress(self, download_idx: int, progress: int, total: int | None) -> None:
        """Some of it is there: sizes in bytes."""
        self.sizes[download_idx] = progress
        now = time.monotonic()
        if now - self.told.get(download_idx, now) >= _EVERY:
            self.told[download_idx] = now
            of = f" of {total / 1e6:.1f}" if total else ""
            self.talk.say(f"fetching {self.names.get(download_idx, '')}: {progress / 1e6:.1f}{of} MB")

    def on_download_completed(self, download_idx: int) -> None:
        """All of it is there."""
        size = self.sizes.get(download_idx, 0) / 1e6
        self.talk.say(f"fetched {self.names.get(download_idx, '')} ({size:.1f} MB)")
