"""Somebody who does what a page says: types its commands, writes its files, and looks at what is printed."""

from __future__ import annotations

import os
import re
import shutil
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .documented import ROOT, missing, typed
from .terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from .conda_channel import Channel
    from .documented import Piece
    from .terminal import Done

__all__ = ["Reader", "reading"]

_PROJECTS = ROOT / "tests" / "projects"
_SUBSTITUTED = re.compile(r"\$\(([^()]+)\)")


@dataclass
class Reader:
    """Reads one page.

    Attributes:
        page: The page's path below this repository.
        terminal: Where the commands are typed.
        home: The reader's home, which a page may call `/home/you`.
        stands_for: What the page cannot know → what it is here, such as the path of this repository.
        situations: What happens where a page says `<!-- here: NAME -->`.
    """

    page: str
    terminal: Terminal
    home: Path
    stands_for: dict[str, str] = field(default_factory=dict)
    situations: dict[str, Callable[[], object]] = field(default_factory=dict)
    _printed: str = ""
    _seconds: dict[str, float] = field(default_factory=dict)

    def read(self) -> dict[str, float]:
        """Do all that the page says.

        Returns:
            Each command with the seconds that it took.

        Raises:
            AssertionError: A command ends otherwise than the page says, or does not print what the page shows.
        """
        last = None
        for piece in typed(self.page):
            if piece.kind == "output":
                self._look(piece)
            elif piece.kind == "command":
                if last is None or last.kind != "command":
                    self._printed = ""
                self._type(piece)
            elif piece.kind == "here":
                assert piece.text in self.situations, f"{self.page}:{piece.line}: nobody knows {piece.text!r}"
                self.situations[piece.text]()
            elif piece.title:
                self._write(piece)
            last = piece
        return self._seconds

    def type(self, command: str, exits: int = 0) -> Done:
        """Type a command that no page shows."""
        done = self.terminal.run(command)
        assert done.code == exits, f"`{command}` exits with {done.code}\n{done.printed}"
        return done

    def committed(self, project: str, *left_out: str) -> Path:
        """Get one of tests/projects, in a git repository, and go there."""
        root = self._new(project)
        shutil.copytree(_PROJECTS / project, root, ignore=shutil.ignore_patterns(*left_out), dirs_exist_ok=True)
        (root / ".gitignore").write_text(".venv/\n.mlops-lab/\n/uv.lock\n__pycache__/\n", encoding="utf-8")
        self.type("git init -q && git add -A && git commit -q -m start")
        return root

    def empty(self) -> Path:
        """Get an empty folder, and go there."""
        return self._new("empty")

    def _new(self, name: str) -> Path:
        there = self.home / "work"
        root = there / f"{name}-{len(list(there.iterdir()))}"
        root.mkdir()
        self.type(f"cd {root}")
        return root

    def _type(self, piece: Piece) -> None:
        # What fails in the place of a word, a shell does not tell.
        for inner in _SUBSTITUTED.findall(piece.text):
            self.type(inner)
        done = self.terminal.run(self._here(piece.text))
        self._seconds[piece.text] = done.seconds
        wanted = "" if not piece.exits else f", and the page says {piece.exits}"
        assert done.code == piece.exits, (
            f"{self.page}:{piece.line}: `{piece.text}` exits with {done.code}{wanted}\n{done.printed}"
        )
        self._printed += done.printed

    def _look(self, piece: Piece) -> None:
        printed = self._printed.replace(str(self.home), "/home/you")
        lost = missing(piece.text, printed)
        assert not lost, f"{self.page}:{piece.line}: {lost!r} is not printed:\n{printed}"

    def _write(self, piece: Piece) -> None:
        folder = Path(self.type("pwd").printed.strip())
        path = folder / piece.title.replace("~", str(self.home), 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.read_text(encoding="utf-8") + "\n" if piece.kind == "more" else ""
        path.write_text(before + self._here(piece.text), encoding="utf-8")

    def _here(self, text: str) -> str:
        for name, value in self.stands_for.items():
            text = text.replace(name, value)
        return text


@contextmanager
def reading(page: str, folder: Path, environ: Mapping[str, str], channel: Channel | None = None) -> Iterator[Reader]:
    """Somebody who is about to read a page, in an empty folder of an empty home.

    Args:
        page: The page's path below this repository.
        folder: Gets the home.
        environ: The variables of the machine.
        channel: The channel of conda's that answers where a page wants one.
    """
    home = folder / "home" / "you"
    (home / "work").mkdir(parents=True)
    shutil.copy2(Path(environ["HOME"], ".condarc"), home)
    variables = {
        **environ,
        "HOME": str(home),
        "USERPROFILE": str(home),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), environ["PATH"]]),
        "COLUMNS": "120",
        # What pip installs is compiled when it is imported, which most of it never is.
        "PIP_COMPILE": "0",
    }
    with Terminal(home / "work", variables) as terminal:
        reader = Reader(page, terminal, home, {"PATH/TO/mlops-lab": str(ROOT)})
        reader.situations |= {
            "a project": lambda: reader.committed("small", "conda.yml"),
            "an empty folder": lambda: (reader.type("unset CONDARC"), reader.empty()),
            "an empty folder with conda": lambda: (reader.type(_where(channel)), reader.empty()),
        }
        yield reader


def _where(channel: Channel | None) -> str:
    assert channel is not None, "the page wants a channel of conda's"
    return f"export {' '.join(f'{name}={value}' for name, value in channel.environ.items())}"
