"""A `.condarc`: the keys that say where packages come from and where environments live, with their lines.

Source: https://docs.conda.io/projects/conda/en/latest/user-guide/configuration/settings.html
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import yaml

from mlops_lab.manifests.marked import composed, kind, mapping, refuse, texts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["ALIASES", "LISTS", "MAPS", "TEXTS", "Condarc", "read"]

TEXTS = ("channel_alias", "channel_priority", "offline", "ssl_verify")
LISTS = ("channels", "default_channels", "envs_dirs", "pkgs_dirs")
MAPS = ("custom_channels", "proxy_servers")
ALIASES = {"verify_ssl": "ssl_verify", "channel": "channels", "envs_path": "envs_dirs"}
"""Older names of a key, as conda still reads them."""
HINT = "write `key: value`, see `conda config --describe`"


@dataclass(frozen=True)
class Condarc:
    """One configuration file; a key that it does not hold is not in the mappings.

    Attributes:
        path: The file.
        texts: Single values as text; true and false as `true` and `false`.
        lists: Lists.
        maps: Mappings of texts.
        multichannels: Names that stand for several channels.
        lines: The line of each key.
    """

    path: Path
    texts: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    maps: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    multichannels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)


def read(path: Path) -> Condarc:
    """Read a `.condarc`; keys that nobody here needs are left alone, whatever they hold.

    Raises:
        LabError: It cannot be read, is not YAML, or a key that is needed has the wrong type, with line and column.
    """
    root = composed(path)
    if kind(root) == "nothing":
        return Condarc(path)
    top = {ALIASES.get(key, key): node for key, node in mapping(path, root, "the file", HINT).items()}
    multi = top.get("custom_multichannels")
    return Condarc(
        path,
        texts={key: found for key in TEXTS if (found := _single(path, key, top.get(key))) is not None},
        lists={key: _list(path, key, top[key]) for key in LISTS if key in top},
        maps={key: _map(path, key, top[key]) for key in MAPS if key in top},
        multichannels={key: _list(path, key, node) for key, node in _optional(path, multi).items()},
        lines={key: node.start_mark.line + 1 for key, node in top.items()},
    )


def _optional(path: Path, node: yaml.Node | None) -> dict[str, yaml.Node]:
    return {} if kind(node) == "nothing" else mapping(path, node, "custom_multichannels", "write `name: [channel, …]`")


def _single(path: Path, key: str, node: yaml.Node | None) -> str | None:
    if kind(node) == "nothing":
        return None
    if not isinstance(node, yaml.ScalarNode):
        refuse(path, node, f"{key} must be a single value, not {kind(node)}", HINT)
    return _plain(node)


def _plain(node: yaml.ScalarNode) -> str:
    """The text of a single value; YAML 1.1 has a dozen spellings of true and false."""
    if kind(node) == "true or false":
        return "true" if node.value.lower() in {"true", "yes", "on", "y"} else "false"
    return str(node.value)


def _list(path: Path, key: str, node: yaml.Node) -> tuple[str, ...]:
    if isinstance(node, yaml.ScalarNode) and kind(node) == "text":
        return tuple(part for part in str(node.value).split(os.pathsep if key == "envs_dirs" else ",") if part.strip())
    return tuple(entry.text for entry in texts(path, key, node))


def _map(path: Path, key: str, node: yaml.Node) -> dict[str, str]:
    if kind(node) == "nothing":
        return {}
    found = {}
    for name, value in mapping(path, node, key, "write `name: address`").items():
        if kind(value) == "nothing":
            continue
        if not isinstance(value, yaml.ScalarNode) or kind(value) != "text":
            refuse(path, value, f"{key}: {name} must be text, not {kind(value)}", "write `name: address`")
        found[name] = str(value.value)
    return found
