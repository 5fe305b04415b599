"""Edits of pyproject.toml that no manager makes; comments and layout stay."""

from __future__ import annotations

import tomllib

import tomlkit
from tomlkit.exceptions import TOMLKitError

from mlops_lab.errors import LabError
from mlops_lab.manifests.pyproject import normalized

__all__ = ["led_by", "without_group"]


def led_by(text: str, leader: str) -> str:
    """A pyproject.toml in which `[tool.mlops-lab]` names the leader.

    Args:
        text: The file's text.
        leader: The manager.

    Raises:
        LabError: The file cannot be edited as it is written (code 2).
    """
    try:
        document = tomlkit.parse(text)
        tool = document.setdefault("tool", tomlkit.table(is_super_table=True))
        tool.setdefault("mlops-lab", tomlkit.table())["leader"] = leader
        again = tomlkit.dumps(document)
        if tomllib.loads(again)["tool"]["mlops-lab"]["leader"] == leader:
            return again
    except (ValueError, KeyError, TypeError, TOMLKitError):
        pass  # such as a table that is written in one line
    raise LabError(
        "pyproject.toml is written in a way in which [tool.mlops-lab] cannot be changed",
        f'write `leader = "{leader}"` there by hand, then run `invoke lock`',
    )


def without_group(text: str, group: str) -> str:
    """A pyproject.toml in which `[tool.mlops-lab] groups` does not name a group.

    Args:
        text: The file's text.
        group: The group's normalised name.
    """
    document = tomlkit.parse(text)
    groups = document["tool"]["mlops-lab"]["groups"]
    for name in [name for name in groups if normalized(str(name)) == group]:
        groups.remove(name)
    return tomlkit.dumps(document)
