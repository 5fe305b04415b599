"""TAB in real shells: what Invoke's own completion scripts make of the words that are offered to them."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Case = Callable[..., Path]

pytestmark = pytest.mark.real

HERE = Path(__file__).parents[2]
_PATIENCE = 20.0
_EMPTY_THE_LINE = "\x15"
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07]*\x07|[()][0-9A-B]|.)|\x07")


@dataclass(frozen=True)
class Shell:
    """How a shell is started bare, and what a user writes into its configuration once."""

    argv: Sequence[str]
    before: str
    once: str


SHELLS = {
    "bash": Shell(("bash", "--norc", "--noprofile", "-i"), "", 'eval "$({program} --print-completion-script bash)"'),
    "zsh": Shell(
        ("zsh", "-f", "-i"),
        "autoload -Uz compinit && compinit -D -u",  # as every zsh has it that completes anything
        'eval "$({program} --print-completion-script zsh)"',
    ),
    "fish": Shell(("fish", "--no-config", "-i"), "", "{program} --print-completion-script fish | source"),
}


@dataclass
class Prompt:
    """A shell in a terminal of its own, at which keys are pressed."""

    argv: Sequence[str]
    cwd: Path
    environ: Mapping[str, str]
    seen: str = ""
    _pid: int = 0
    _terminal: int = -1

    def __enter__(self) -> Self:
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            os.chdir(self.cwd)
            os.execvpe(self.argv[0], list(self.argv), dict(self.environ))  # noqa: S606 - no shell starts this shell
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._terminal)

    def line(self, keys: str) -> None:
        """Press keys and return, and wait until the shell has done what that means."""
        self.press(f"{keys}\recho d''one\r", r"done\b")

    def press(self, keys: str, until: str) -> str:
        """Press keys, and wait until the terminal shows what matches a pattern; returns all that it shows from here."""
        os.write(self._terminal, keys.encode())
        shown, end = "", time.monotonic() + _PATIENCE
        while not re.search(until, shown):
            ready, _, _ = select.select([self._terminal], [], [], max(end - time.monotonic(), 0))
            assert ready, f"{until!r} was not shown within {_PATIENCE:.0f} s after {keys!r}:\n{shown}"
            self.seen += os.read(self._terminal, 1 << 16).decode(errors="replace")
            shown = _ESCAPES.sub("", self.seen)
        self.seen = ""
        return shown


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> Shell:
    if shutil.which(request.param) is None:
        pytest.skip(f"there is no {request.param} here: apt-get install {request.param}")
    return SHELLS[request.param]


@pytest.mark.parametrize("program", ["mlops-lab", "invoke"])
def test_a_tab_offers_hybrids_options_and_packages(
    case: Case, workshop: dict[str, str], shell: Shell, program: str, tmp_path: Path
) -> None:
    root = case("small", git=False)
    shutil.copy(HERE / "tasks.py", root)
    scripts = Path(sys.executable).parent
    environ = {**workshop, "PATH": f"{scripts}:{workshop['PATH']}", "TERM": "xterm", "HOME": str(tmp_path), "PS1": "$ "}
    with Prompt(shell.argv, root, environ) as prompt:
        for line in filter(None, (shell.before, shell.once.format(program=program))):
            prompt.line(line)
        prompt.press(f"{program} setup --hybrid ve\t", re.escape("--hybrid") + r"[\s\S]*venv\+")
        prompt.press("\t\t", r"venv\+poetry[\s\S]*venv\+uv")
        prompt.line(_EMPTY_THE_LINE)
        prompt.press(f"{program} setup --hyb\t", "--hybrid")
        prompt.line(_EMPTY_THE_LINE)
        prompt.press(f"{program} remove cow\t", "cowsay")
        prompt.line(_EMPTY_THE_LINE)
        # Bash would run it, if it were offered.
        manifest = (root / "pyproject.toml").read_text(encoding="utf-8")
        evil = manifest.replace("[dependency-groups]\n", '[dependency-groups]\n"$(touch ran)" = []\n')
        (root / "pyproject.toml").write_text(evil, encoding="utf-8")
        prompt.press(f"{program} setup --group d\t", r"--group d\w*ev")
    assert evil != manifest
    assert not (root / "ran").exists()
