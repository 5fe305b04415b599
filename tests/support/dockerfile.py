"""A Dockerfile's lines, done where no Docker is: its folders lie below one of ours, its images are this machine."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Build", "instructions"]

_FOLDERS = re.compile(r"(?<![\w.\-/}])/(?=(?:opt|tmp|app|home|srv)\b)")
_USERS = re.compile(r"useradd --create-home (\w+)")
"""What is not done on this machine; the home is made."""


def instructions(text: str) -> list[tuple[str, str]]:
    """The instructions in their order, each in one line."""
    joined = re.sub(r"\\\n\s*", "", text)
    lines = [line.strip().partition(" ") for line in joined.splitlines() if line.strip() and not line.startswith("#")]
    return [(word.upper(), rest.strip()) for word, _, rest in lines]


@dataclass
class Build:
    """An image in the making.

    Attributes:
        context: The folder that Docker is given.
        root: Stands for the image's `/`, in each stage.
        run: Runs a command in a shell, with the PATH of the image's `ENV`.
    """

    context: Path
    root: Path
    run: Callable[[str], str]
    path: str = ""
    user: str = "root"
    base: str = ""
    copied: list[str] = field(default_factory=list)
    said: str = ""

    def make(self, text: str) -> str:
        """Do what a Dockerfile says; returns what its `CMD` prints."""
        for word, rest in instructions(text):
            getattr(self, f"_{word.lower()}")(rest)
        return self.said

    def _from(self, rest: str) -> None:
        base = rest.split(" ", maxsplit=1)[0]
        assert self.base in {"", base}, "an environment holds the path of its interpreter: all stages have the same"
        self.base, self.path, self.user = base, "", "root"

    def _run(self, rest: str) -> None:
        if match := _USERS.fullmatch(rest):
            (self.root / "home" / match[1]).mkdir(parents=True)
            return
        self.run(self._here(rest))

    def _copy(self, rest: str) -> None:
        *sources, target = shlex.split(rest)
        if sources[0].startswith("--from="):
            # The stages share one root: what is copied is there, under the same path.
            assert [target] == sources[1:], "an environment holds its own path: it cannot be copied to another one"
            assert (self.root / target.lstrip("/")).exists(), f"{target} is not in the stage before"
            return
        folder = self.root / target.lstrip("/")
        folder.mkdir(parents=True, exist_ok=True)
        found = [path for source in sources for path in sorted(self.context.glob(source))]
        assert found, f"COPY {rest}: there is no such file"
        for path in found:
            name = path.relative_to(self.context).as_posix()
            assert not self._ignored(name), f".dockerignore keeps {name} from Docker"
            self.copied.append(name)
            shutil.copy2(path, folder)

    def _ignored(self, name: str) -> bool:
        """Whether `.dockerignore` leaves a file out: the last line that fits decides."""
        out = False
        for line in (self.context / ".dockerignore").read_text(encoding="utf-8").split():
            if fnmatch(name, line.removeprefix("!")):
                out = not line.startswith("!")
        return out

    def _env(self, rest: str) -> None:
        name, _, value = rest.partition("=")
        assert name == "PATH", f"ENV {name} is not known here"
        self.path = self._here(value)

    def _user(self, rest: str) -> None:
        self.user = rest

    def _workdir(self, rest: str) -> None:
        (self.root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)

    def _cmd(self, rest: str) -> None:
        self.said = self.run(f"PATH={self.path} {shlex.join(json.loads(rest))}")

    def _here(self, text: str) -> str:
        return _FOLDERS.sub(f"{self.root.as_posix()}/", text)
