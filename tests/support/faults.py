"""mlops-lab, stopped at one point: where it starts a command, while that runs, or where it changes a file.

The first word of its command line is JSON with `point` (what is reached and for which time, or null to stop nowhere),
`kind` (error, SIGINT or SIGKILL), `root` (the project), `prefix` (its environment) and `report` (a file for all points
that were reached, in their order); the others are those of mlops-lab.
Python tells an audit hook of everything that it is about to do: https://docs.python.org/3/library/audit_events.html
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

KINDS = ("error", "SIGINT", "SIGKILL")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = {
    "os.rename": (0, 1),
    "os.remove": (0,),
    "os.link": (0, 1),
    "os.symlink": (1,),
    "os.mkdir": (0,),
    "os.rmdir": (0,),
    "os.truncate": (0,),
}
_SOON = 0.03
"""Seconds after which a command that has been started is stopped."""


class Faults:
    """Counts the points that are passed, and stops at one of them."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.root = os.fspath(plan["root"])
        self.own = os.path.join(plan["prefix"], "mlops-lab.json")
        self.inside = os.fspath(plan["prefix"]) + os.sep
        self.logs = os.path.join(self.root, ".mlops-lab", "logs")
        self.passed: list[tuple[str, int]] = []
        self.main = threading.get_ident()
        self.busy = False

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if self.busy or threading.get_ident() != self.main:
            return
        self.busy = True
        try:
            if event == "subprocess.Popen":
                self.reach(f"before {_words(args[1])}")
                self.reach(f"while it runs: {_words(args[1])}", running=True)
            elif name := self.changed(event, args):
                self.reach(f"{event} {name}")
        finally:
            self.busy = False

    def changed(self, event: str, args: tuple[Any, ...]) -> str:
        """The project's file that is about to be changed, relative to the project; empty for anything else."""
        if event == "open":
            names = [args[0]] if isinstance(args[2], int) and args[2] & _WRITES else []
        else:
            names = [args[number] for number in _CHANGES.get(event, ())]
        for name in names:
            path = _absolute(name, args[-1] if event in {"os.remove", "os.rmdir"} else -1)
            if path.startswith(self.root + os.sep) and self.counts(path):
                return os.path.relpath(path, self.root)
        return ""

    def counts(self, path: str) -> bool:
        """Whether a change of it is ours: the log is written at any time, the environment by the installers."""
        return not path.startswith(self.logs) and (not path.startswith(self.inside) or path.startswith(self.own))

    def reach(self, what: str, *, running: bool = False) -> None:
        what = re.sub(r"\.\d+$", ".PID", what)
        times = 1 + sum(before == what for before, _ in self.passed)
        self.passed.append((what, times))
        if [what, times] != self.plan["point"]:
            return
        if running:
            threading.Thread(target=self.stop_soon, daemon=True).start()
        else:
            self.stop()

    def stop(self) -> None:
        kind = self.plan["kind"]
        if kind == "error":
            raise OSError(errno.ENOSPC, "No space left on device")
        os.kill(os.getpid(), getattr(signal, kind))

    def stop_soon(self) -> None:
        time.sleep(_SOON)
        if self.plan["kind"] != "error":
            self.stop()
        for child in _children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)


def _words(argv: Any) -> str:
    words = [os.fsdecode(word) for word in argv] if not isinstance(argv, str) else argv.split()
    return " ".join([os.path.basename(words[0]), *words[1:]])[:100]


def _absolute(name: Any, folder: Any) -> str:
    if isinstance(name, int):
        return ""
    path = os.fsdecode(name)
    if isinstance(folder, int) and folder >= 0 and not os.path.isabs(path):
        with contextlib.suppress(OSError):
            path = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), path)
    return os.path.abspath(path)


def _children() -> list[int]:
    found = []
    for path in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(word) for word in path.read_text(encoding="ascii").split()]
    return found


def main() -> int:
    """Run mlops-lab with one fault; its exit code."""
    plan, words = json.loads(sys.argv[1]), sys.argv[2:]
    from mlops_lab import cli

    sys.argv = ["mlops-lab", *words]
    faults = Faults(plan)
    sys.addaudithook(faults)
    try:
        return cli.main(words)
    finally:
        faults.busy = True
        Path(plan["report"]).write_text(json.dumps(faults.passed), encoding="utf-8")
