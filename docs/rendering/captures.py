"""Captures: what real commands print in a real small project, in a home of their own, drawn by rich.

Beside each picture lies the text that it was drawn from. A capture is stale when the commands now say something else,
but for times and the like (`picture.RULES`), or when the picture is not what its text gives.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_lab import indexes
from mlops_lab.environment import user_cache
from mlops_lab.errors import LabError
from mlops_lab.guide import TOOL_KINDS
from mlops_lab.project import find
from mlops_lab.runner import Runner
from mlops_lab.toolbox import Toolbox
from rendering.picture import alike, difference, drawn
from rendering.terminal import COLUMNS, close, typed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["STORIES", "Failed", "Scene", "draw", "refresh", "stale", "without"]

FOLDER = Path(__file__).parents[1] / "captures"
PROJECT = Path(__file__).parent / "project"
_NAME = "forecast"
_FEW = 12
_TITLE = f"~/{_NAME}"
# Either path stands in quotes where a folder's name has a blank.
_OURSELVES = re.compile(r"(?m)(?<=^\$ ).+[/\\]mlops_lab[/\\]__main__\.py'? ")


class Failed(Exception):
    """A command of a scene did not end as it should; the text has what it printed."""


@dataclass(frozen=True)
class Scene:
    """What one picture shows.

    Attributes:
        name: The picture's name.
        typed: The command lines → the exit code of each.
        begins: From which words on the output is shown; empty: all of it.
    """

    name: str
    typed: Mapping[str, int]
    begins: str = ""


STORIES: Sequence[Sequence[Scene]] = (
    (
        Scene("guide", {"invoke guide --hybrid venv+uv": 0}),
        Scene("hybrids", {"invoke hybrids": 0}),
        Scene("setup", {"invoke setup --hybrid venv+uv": 0, "invoke setup": 0}),
        Scene("add", {"invoke add joblib==1.5.2": 0, "invoke undo": 0}),
        Scene(
            "doctor",
            {
                "rm .venv/lib/python3*/site-packages/humanize/time.py": 0,
                "invoke doctor": 1,
                "invoke doctor --fix": 0,
            },
        ),
        Scene("drift", {"sed -i 's/tabulate>=0.9/tabulate<0.9/' pyproject.toml": 0, "invoke drift": 1}),
    ),
    (Scene("parity", {"nox -s parity": 0}, begins="identical"),),
)
"""The scenes, in the order in which they are played; each story in a project of its own, at the same time."""


def refresh(*, write: bool) -> list[str]:
    """Play all scenes.

    Args:
        write: Whether pictures that are stale are drawn anew.

    Returns:
        The pictures that were stale.

    Raises:
        Failed: A command ended otherwise than it should.
    """
    played = _played()
    found = stale(FOLDER, played)
    before = {name: _read(FOLDER / f"{name}.ansi") for name in found}
    for name in found if write else ():
        # A picture that says the same is drawn from what it was drawn from, so that no figure moves for nothing.
        kept, text = before[name], played.get(name)
        draw(FOLDER, name, kept if text is not None and alike(kept, text) else text)
    told = {name: _why(before[name], played.get(name, "")) for name in found}
    return ["\n    ".join([f"docs/captures/{name}.svg", *why]) for name, why in told.items()]


def stale(folder: Path, played: Mapping[str, str]) -> list[str]:
    """The pictures of a folder that are not what the commands say now, or that no scene has.

    Args:
        folder: Where the pictures are.
        played: Name → what the commands of the scene have printed.
    """
    there = {path.stem for path in folder.glob("*.*")}
    return [name for name in sorted(there | {*played}) if not _is_fresh(folder, name, played.get(name))]


def draw(folder: Path, name: str, text: str | None) -> None:
    """Draw a picture beside its text; without a text take it away, since no scene has it any more."""
    for path, content in (
        (folder / f"{name}.ansi", text),
        (folder / f"{name}.svg", text and drawn(name, _TITLE, text)),
    ):
        if content is None:
            path.unlink(missing_ok=True)
        else:
            path.write_text(content, encoding="utf-8")


def _why(kept: str, text: str) -> Sequence[str]:
    """In what a capture differs from the one that is kept; of many lines the first."""
    if not kept:
        return ["there is none yet"]
    if not text:
        return ["no scene has it any more"]
    if alike(kept, text):
        return ["the picture is not what its text gives"]
    return difference(kept, text)[:_FEW] or ["the colours are others"]


def _is_fresh(folder: Path, name: str, text: str | None) -> bool:
    kept = _read(folder / f"{name}.ansi")
    return text is not None and alike(kept, text) and _read(folder / f"{name}.svg") == drawn(name, _TITLE, kept)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def _played() -> dict[str, str]:
    _provide()
    with ThreadPoolExecutor() as pool:
        try:
            return {name: text for story in pool.map(_play, STORIES) for name, text in story.items()}
        except BaseException:
            # The pool waits for the other stories, which nobody wants to see any more.
            close()
            raise


def _provide() -> None:
    """Have the tools there: else one story shows how they are installed, and the other one that it waits for them."""
    with _project() as (folder, environ):
        tools = Toolbox(find(folder), Runner(None, environ), avoid=(), environ=environ)
        try:
            for name in [name for name, kind in TOOL_KINDS.items() if kind.parts]:
                tools.find(name)
        except LabError as error:
            raise Failed(str(error)) from error


def _play(story: Sequence[Scene]) -> dict[str, str]:
    with _project() as (folder, environ):
        return {scene.name: without(str(folder.parent), _scene(scene, folder, environ)) for scene in story}


@contextmanager
def _project() -> Iterator[tuple[Path, Mapping[str, str]]]:
    """The project, which git knows, in a home of its own; its folder, and the variables of whoever works there."""
    # Short, and of one length on every machine: what a path stands in is broken into lines by its length.
    with tempfile.TemporaryDirectory(prefix="docs-", dir="/tmp") as folder:
        home = Path(folder).resolve()
        project = home / _NAME
        shutil.copytree(PROJECT, project)
        environ = _environ(home)
        (project / ".gitignore").write_text(".venv/\n.nox/\n/uv.lock\n__pycache__/\n", encoding="utf-8")
        for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "start"]):
            subprocess.run(
                [shutil.which("git") or "git", *words], cwd=project, env=environ, check=True, capture_output=True
            )
        yield project, environ


def _scene(scene: Scene, project: Path, environ: Mapping[str, str]) -> str:
    lines = []
    for command, expected in scene.typed.items():
        shown, code = typed(command, project, environ)
        if code != expected:
            raise Failed(f"{scene.name}: `{command}` ended with {code} instead of {expected}:\n{shown}")
        if scene.begins not in shown:
            raise Failed(f"{scene.name}: `{command}` does not say {scene.begins!r}:\n{shown}")
        # From the whole line on, with the colour that it begins with.
        begins = shown.rfind("\n", 0, shown.index(scene.begins)) + 1
        lines += [f"\x1b[1;32m$\x1b[0m \x1b[1m{command}\x1b[0m", *(["…"] if begins else []), shown[begins:]]
    return "\n".join(line.rstrip() for line in "\n".join(lines).strip().splitlines()) + "\n"


def without(home: str, text: str) -> str:
    """A text without what only this machine has: the home, and where mlops-lab itself lies."""
    return _OURSELVES.sub("mlops-lab ", text).replace(home, "~")


def _environ(home: Path) -> dict[str, str]:
    """The variables of somebody who has configured nothing but the way to the index."""
    config = indexes.read_pip_config(os.environ, Path(sys.prefix))
    way = {
        "PIP_INDEX_URL": config.index_url,
        "PIP_CERT": config.cert,
        "PIP_PROXY": config.proxy,
        "PIP_TRUSTED_HOST": " ".join(config.trusted_hosts),
    }
    cache = user_cache()
    return {
        **{name: value for name, value in way.items() if value},
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "SHELL": "/bin/bash",
        "TERM": "xterm-256color",
        "COLUMNS": str(COLUMNS),
        # rich: colours, and nothing that moves.
        "TTY_COMPATIBLE": "1",
        "TTY_INTERACTIVE": "0",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "docs",
        "GIT_AUTHOR_EMAIL": "docs@example.org",
        "GIT_COMMITTER_NAME": "docs",
        "GIT_COMMITTER_EMAIL": "docs@example.org",
        # What was fetched once is not fetched again for each capture.
        "MLOPS_LAB_CACHE_DIR": str(cache),
        "UV_CACHE_DIR": str(cache / "docs" / "uv"),
        "POETRY_CACHE_DIR": str(cache / "docs" / "poetry"),
        "PIP_CACHE_DIR": str(cache / "docs" / "pip"),
        **{name: os.environ[name] for name in ("PYENV_ROOT", "SSL_CERT_FILE") if name in os.environ},
    }
