"""The JSON schemas as tables: each field with its type and its meaning."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mlops_lab.report.markdown import code, prose, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["schema"]


def schema(path: Path) -> str:
    """A schema's title and description, and a line for each field.

    Args:
        path: The schema's file.
    """
    read = json.loads(path.read_text(encoding="utf-8"))
    rows = _fields(read, "", read.get("$defs", {}))
    return "\n".join([prose(read["description"]), "", *table(("field", "type", "meaning"), rows)])


def _fields(node: Mapping[str, Any], where: str, named: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for name, each in node.get("properties", {}).items():
        yield from _field(_resolved(each, named), f"{where}{name}", named)


def _field(node: Mapping[str, Any], where: str, named: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    yield code(where), _type(node), prose(node.get("description", ""))
    yield from _fields(node, f"{where}.", named)
    for key, mark in (("items", "[]"), ("additionalProperties", ".*")):
        if isinstance(node.get(key), dict):
            inner = _resolved(node[key], named)
            yield from _fields(inner, f"{where}{mark}.", named)
            if isinstance(inner.get("additionalProperties"), dict) or inner.get("type") == "array":
                yield from _field(inner, f"{where}{mark}", named)


def _resolved(node: Mapping[str, Any], named: Mapping[str, Any]) -> Mapping[str, Any]:
    """A node with what it refers to; its own words come first."""
    reference = node.get("$ref", "").rpartition("/")[2]
    return {**named[reference], **node} if reference else node


def _type(node: Mapping[str, Any]) -> str:
    if "const" in node:
        return code(json.dumps(node["const"]))
    if "enum" in node:
        return ", ".join(code(json.dumps(each)) for each in node["enum"])
    return str(node.get("type", ""))
