"""Edits of pyproject.toml that no manager makes; comments and layout stay."""

from __future__ import annotations

import tomlkit

from mlops_lab.manifests.pyproject import normalized

__all__ = ["led_by", "without_group"]


def led_by(text: str, leader: str) -> str:
    """A pyproject.toml in which `[tool.mlops-lab]` names the leader.

    Args:
        text: The file's text.
        leader: The manager.
    """
    document = tomlkit.parse(text)
    tool = document.setdefault("tool", tomlkit.table(is_super_table=True))
    table = tool.setdefault("mlops-lab", tomlkit.table())
    table["leader"] = leader
    return tomlkit.dumps(document)


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
