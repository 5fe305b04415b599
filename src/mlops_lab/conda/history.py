"""What conda reads besides the records: the history of a prefix, the user's list of environments, hashes of links.

Source: https://github.com/conda/conda/blob/main/conda/history.py and conda/core/envs_manager.py
"""

from __future__ import annotations

import ast
import contextlib
import datetime as dt
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_lab.conda import channels, marker
from mlops_lab.environment import holding
from mlops_lab.errors import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from mlops_lab.conda.channels import Channel
    from mlops_lab.conda.records import Record

__all__ = [
    "append",
    "distribution",
    "register",
    "registered",
    "requested",
    "set_variables",
    "settle",
    "unregister",
    "variables",
]

_SPECS = re.compile(r"#\s*(?P<action>\w+)\s*specs:\s*(?P<specs>.+)")
_NAME = re.compile(r"(?:\S+::)?(?P<name>[A-Za-z0-9_.-]+)")


def distribution(record: Record, known: Sequence[Channel]) -> str:
    """A package as conda's history names it: `channel/subdir::name-version-build`."""
    channel = channels.canonical(record.channel, known)
    return f"{channel}/{record.subdir}::{record.name}-{record.version}-{record.build}"


def append(
    prefix: Path, before: set[str], after: set[str], *, command: str, update: Iterable[str], remove: Iterable[str]
) -> None:
    """Add what has been done to `conda-meta/history`, in conda's own form.

    Args:
        prefix: The environment.
        before: The packages before, as `distribution` names them.
        after: Those of now.
        command: What the user typed.
        update: The specs that were asked for.
        remove: The names that are no longer asked for.
    """
    lines = [f"==> {dt.datetime.now().astimezone():%Y-%m-%d %H:%M:%S} <==", f"# cmd: {redact(command)}"]
    lines += ["# conda version: 0.0.0"]
    lines += [f"-{name}" for name in sorted(before - after)] + [f"+{name}" for name in sorted(after - before)]
    # The form of Python's repr is what conda writes and reads.
    lines += [f"# remove specs: {sorted(remove)}"] if (remove := list(remove)) else []
    lines += [f"# update specs: {[redact(spec) for spec in update]}"] if (update := list(update)) else []
    with (prefix / "conda-meta" / "history").open("a", encoding="utf-8") as history:
        history.write("\n".join(lines) + "\n")


def requested(prefix: Path) -> dict[str, str]:
    """What was asked for so far and not removed since: name → spec."""
    try:
        lines = (prefix / "conda-meta" / "history").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return {}
    found: dict[str, str] = {}
    for line in lines:
        if not (match := _SPECS.match(line.strip())):
            continue
        for spec in _listed(match["specs"]):
            name = _NAME.match(spec)
            if not name:
                continue
            if match["action"] in {"remove", "uninstall"}:
                found.pop(name["name"].lower(), None)
            else:
                found[name["name"].lower()] = spec
    return found


def _listed(text: str) -> list[str]:
    try:
        specs = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return []
    return [spec for spec in specs if isinstance(spec, str)] if isinstance(specs, list) else []


def settle(records: Iterable[Record], specs: Mapping[str, str]) -> None:
    """Make the records what conda writes: no hash of a link's target, readable by others, with what was asked for.

    py-rattler hashes the text of a link; conda takes that for the hash of the file behind it.
    """
    mask = os.umask(0)
    os.umask(mask)
    for record in records:
        data, changed = dict(record.data), False
        for entry in data["paths_data"]["paths"]:
            if entry.get("path_type") == "softlink" and entry.pop("sha256_in_prefix", None):
                changed = True
        asked = [specs[record.name]] if record.name in specs else []
        if (data.get("requested_specs") or []) != asked or (data.get("requested_spec") or "") != "".join(asked):
            data.update(requested_specs=asked, requested_spec="".join(asked))
            changed = True
        if changed:
            marker.replace_text(record.file, json.dumps(data, indent=2))
        with contextlib.suppress(OSError):
            record.file.chmod(0o666 & ~mask)


def set_variables(prefix: Path, added: Mapping[str, str]) -> None:
    """Add variables to `conda-meta/state`, from which activation sets them; those that stand there stay."""
    if not added:
        return
    state = _state(prefix)
    before = state.get("env_vars") or {}
    if {**before, **added} != before:
        state["env_vars"] = {**before, **added}
        marker.replace_text(prefix / "conda-meta" / "state", json.dumps(state, ensure_ascii=False))


def variables(prefix: Path) -> dict[str, str]:
    """The variables that activation sets."""
    return dict(_state(prefix).get("env_vars") or {})


def _state(prefix: Path) -> dict[str, Any]:
    try:
        state = json.loads((prefix / "conda-meta" / "state").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


# --- ~/.conda/environments.txt -------------------------------------------------------------------------------------


def _list_file() -> Path:
    return Path("~/.conda/environments.txt").expanduser()


def registered() -> list[Path]:
    """The environments that the user's list names."""
    try:
        lines = _list_file().read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []
    return [Path(line.strip()) for line in lines if line.strip() and not line.startswith("#")]


def register(prefix: Path) -> None:
    """Put an environment on the user's list."""
    if prefix not in registered():
        _relist(lambda lines: [*lines, str(prefix)] if str(prefix) not in lines else lines)


def unregister(prefix: Path) -> None:
    """Take an environment off the user's list."""
    if prefix in registered():
        _relist(lambda lines: [line for line in lines if line.strip() != str(prefix)])


def _relist(change: Callable[[list[str]], list[str]]) -> None:
    file = _list_file()
    with holding(file, lambda _: None):
        try:
            lines = file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        except OSError:
            lines = []
        marker.replace_text(file, "".join(f"{line}\n" for line in change(lines)))
