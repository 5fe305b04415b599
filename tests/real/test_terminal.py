"""The terminal that captures are taken in: it shows what a command says, and closing it ends all that runs in it."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from rendering import terminal

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.real


def test_it_shows_what_a_command_says_and_tells_how_it_ended(tmp_path: Path) -> None:
    command = r"stty size <&1; printf '\033[?25l\033[1mbold\033[0m\n'; exit 3"
    assert terminal.typed(command, tmp_path, os.environ) == (f"50 {terminal.COLUMNS}\n\x1b[1mbold\x1b[0m\n", 3)


def test_closing_it_ends_a_command_and_what_that_has_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "_closed", threading.Event())
    started = tmp_path / "started"
    with ThreadPoolExecutor() as pool:
        running = pool.submit(terminal.typed, f"sleep 600 & echo $! > {started}; wait", tmp_path, os.environ)
        while not started.exists() or not started.read_text(encoding="utf-8"):
            assert not running.done(), running.result()
            time.sleep(0.02)
        terminal.close()
        # It is over when nobody has the terminal open any more, the command's own child neither.
        assert running.result(timeout=60)[1] == -signal.SIGHUP
    assert terminal.typed("sleep 600", tmp_path, os.environ)[1] == -signal.SIGHUP, "none is opened any more"
