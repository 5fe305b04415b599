"""Edits of pyproject.toml that no manager makes; comments and layout stay."""

from __future__ import annotations

import tomlkit

__all__ = ["led_by"]


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
