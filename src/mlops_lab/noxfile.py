"""The sessions of a project's noxfile.py: nox is asked for them, and nobody types their names again.

The command is a question of ours, as those to git are: it stands here and not in the guide, whose rows are answered by
a hybrid's tools, while nox runs where mlops-lab runs.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from mlops_lab.ci import Session
from mlops_lab.errors import LabError
from mlops_lab.guide import HYBRIDS, nearest
from mlops_lab.runner import CommandFailed, Runner

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["NAME", "of_hybrids", "with_tag"]

NAME = "noxfile.py"
CHECK = "check"
"""The session that runs the guide, once for each hybrid."""
_NONE = ("Sessions not found", "No sessions found")
"""How nox says that there is no session of a name, or none at all, with an exit code that it has for more than that."""
_LINES = f'from mlops_lab.sessions import {CHECK}, parity\n__all__ = ["{CHECK}", "parity"]'


def of_hybrids(root: Path, environ: Mapping[str, str]) -> list[Session]:
    """The sessions that run the guide, one for each hybrid.

    Args:
        root: The project's folder.
        environ: The user's variables.

    Raises:
        LabError: There is no noxfile.py, it cannot be read, it has no such session, or one for a hybrid that is none
            (code 2).
    """
    found = [session for session in _listed(root, environ, "--session", CHECK) if session.hybrid]
    if not found:
        raise LabError(f"{root / NAME} has no session {CHECK!r} for a hybrid", f"write into it:\n\n{_LINES}\n")
    names = [hybrid.name for hybrid in HYBRIDS]
    if other := next((session for session in found if session.hybrid not in names), None):
        what = f"{root / NAME} has a session {other.name} for {other.hybrid!r}, which is no hybrid"
        raise LabError(what, nearest(other.hybrid, names))
    return found


def with_tag(root: Path, environ: Mapping[str, str], tag: str) -> list[Session]:
    """The sessions that have a tag, but for those of the hybrids.

    Args:
        root: The project's folder.
        environ: The user's variables.
        tag: The tag.

    Raises:
        LabError: There is no noxfile.py, it cannot be read, or no session of it has the tag (code 2).
    """
    if found := [session for session in _listed(root, environ, "--tags", tag) if not session.hybrid]:
        return found
    tags = sorted({each for session in _listed(root, environ) if not session.hybrid for each in session.tags})
    hint = nearest(tag, tags) if tags else f'write @nox.session(tags=["{tag}"])'
    raise LabError(f"no session of {root / NAME} has the tag {tag!r}", hint)


def _listed(root: Path, environ: Mapping[str, str], *which: str) -> list[Session]:
    path = root / NAME
    if not path.is_file():
        raise LabError(f"there is no {NAME} in {root}", f"write one with these two lines:\n\n{_LINES}\n")
    # Not in the environment that its header asks for: the answer shall not take a minute.
    argv = [sys.executable, "-m", "nox", "--noxfile", str(path), "--script-mode", "none", "--list", "--json", *which]
    others = {name: None for name in environ if name.startswith("NOX")}
    look = f"look at it with `{' '.join(['nox --script-mode none --list', *which])}`"
    try:
        said = Runner(None, environ).ask(argv, root, others)
        # Above its one line stands what the file itself prints.
        return [_session(each) for each in json.loads(said.rstrip().rpartition("\n")[2])]
    except CommandFailed as error:
        last = error.tail[-1].removeprefix("nox > ") if error.tail else "it said nothing"
        if last.startswith(_NONE):
            return []
        raise LabError(f"nox cannot list the sessions of {path}: {last}", look) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        hint = f"nox >= 2026.10.20 is needed, and a file that neither exits nor prints last; {look}"
        raise LabError(f"nox lists the sessions of {path} in a form that is not known", hint) from error


def _session(each: Mapping[str, Any]) -> Session:
    return Session(
        name=str(each["session"]),
        hybrid=str(each["call_spec"].get("hybrid", "")),
        python=str(each["python"] or ""),
        tags=tuple(map(str, each["tags"])),
    )
