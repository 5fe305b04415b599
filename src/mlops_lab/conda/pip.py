"""The `- pip:` part of an environment file: pip runs in the file's folder, on a requirements file beside it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_lab.environment import Environment, activation, distributions
from mlops_lab.errors import FOUND, LabError
from mlops_lab.runner import CommandFailed, Runner

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from mlops_lab.conda.talk import Talk
    from mlops_lab.manifests.marked import Item

__all__ = ["Part", "install", "left", "part", "stands", "sweep"]

_NAME = re.compile(r"condaenv\.(?P<pid>\d+)\.requirements\.txt")
_INCLUDED = re.compile(r"(?:-r|--requirement|-c|--constraint)(?:\s+|=|(?=\S))(?P<file>.+)")
_LOCAL = re.compile(r"(?:-e|--editable)\b|\.{0,2}/|\.{1,2}$|.*(?:@\s*file:|^file:)")


@dataclass(frozen=True)
class Part:
    """What pip is asked for.

    Attributes:
        file: The name of the environment file.
        folder: The folder that relative paths start from.
        lines: The lines of its requirements file.
        digest: What they and the files that they include say; empty when a folder is named, which may change.
    """

    file: str
    folder: Path
    lines: tuple[str, ...]
    digest: str


def part(file: Path, items: tuple[Item, ...]) -> Part | None:
    """Pip's part of a file; None where it has none.

    Raises:
        LabError: A file that it includes is not there, with line and column.
    """
    if not items:
        return None
    found = hashlib.blake2b(digest_size=16)
    local = False
    for item in items:
        line = os.path.expandvars(item.text.strip())
        local |= bool(_LOCAL.match(line))
        found.update(line.encode() + b"\0")
        try:
            for content in _included(line, file.parent, set()):
                found.update(content)
                local |= any(_LOCAL.match(inner.strip()) for inner in content.decode(errors="replace").splitlines())
        except OSError as error:
            where = f"{file.name}:{item.line}:{item.column}"
            raise LabError(
                f"{where}: {line}: {error.strerror}: {error.filename}",
                "correct the path: it starts from the folder of the file",
            ) from error
    return Part(file.name, file.parent, tuple(item.text for item in items), "" if local else found.hexdigest())


def _included(line: str, folder: Path, seen: set[Path]) -> Iterator[bytes]:
    match = _INCLUDED.fullmatch(line.partition(" #")[0].strip())
    if not match or "://" in match["file"]:
        return
    path = (folder / match["file"].strip().strip("'\"")).resolve()
    if path in seen:
        return
    seen.add(path)
    content = path.read_bytes()
    yield content
    for inner in content.decode(errors="replace").splitlines():
        yield from _included(inner.strip(), path.parent, seen)


def left(prefix: Path, wanted: Part) -> dict[str, Any]:
    """What pip's part was made from and what it left: the same again is nothing to do."""
    names = sorted(folder.name for folder in distributions(Environment(prefix, conda=True)))
    return {"digest": wanted.digest, "distributions": names}


def stands(prefix: Path, wanted: Part, known: Mapping[str, Any]) -> bool:
    """Whether the part was installed on the same lines, and all that it left is there; what others add is theirs."""
    now = left(prefix, wanted)
    there = known.get("distributions")
    same = bool(wanted.digest) and known.get("digest") == now["digest"] and isinstance(there, list)
    return same and set(there or ()) <= set(now["distributions"])


def install(prefix: Path, wanted: Part, lock: int | None, talk: Talk) -> None:
    """Run pip in the prefix.

    Args:
        prefix: The environment, which has pip.
        wanted: What pip is asked for.
        lock: The descriptor of the prefix' lock: pip holds it when this process is killed.
        talk: Where pip's lines go.

    Raises:
        LabError: There is no pip, or it failed (code 1).
    """
    environment = Environment(prefix, conda=True)
    file = wanted.folder / f"condaenv.{os.getpid()}.requirements.txt"
    runner = Runner(None, os.environ, on_line=lambda line: talk.say(f"pip: {line}"))
    changes = {**activation(environment, os.environ), "PYTHONNOUSERSITE": "1"}
    argv = [str(environment.python), "-m", "pip", "install", "--no-input", "-r", str(file)]
    talk.say(f"installing the pip part: {len(wanted.lines)} line{'s' if len(wanted.lines) > 1 else ''}")
    try:
        file.write_text("".join(f"{line}\n" for line in wanted.lines), encoding="utf-8")
        with runner.inheriting(lock):
            runner.run(argv, cwd=wanted.folder, changes=changes)
    except CommandFailed as error:
        raise _failed(wanted, error) from error
    finally:
        file.unlink(missing_ok=True)


def _failed(wanted: Part, error: CommandFailed) -> LabError:
    """Pip's own error; the command names a file that is gone by now."""
    said = [line for line in error.tail if line.startswith("ERROR:")] or error.tail[-1:]
    reason = f": {said[-1].removeprefix('ERROR:').strip()}" if said else ""
    return LabError(f"{wanted.file}: the pip part failed{reason}", error.hint or "its lines above say why", code=FOUND)


def sweep(folder: Path) -> None:
    """Remove the requirements files of runs that were killed."""
    for file in folder.glob("condaenv.*.requirements.txt"):
        if (match := _NAME.fullmatch(file.name)) and not _alive(int(match["pid"])):
            with contextlib.suppress(OSError):
                file.unlink()


def _alive(pid: int) -> bool:
    if os.name == "nt":
        return True  # there signal 0 is Ctrl-C: https://docs.python.org/3/library/os.html#os.kill
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
