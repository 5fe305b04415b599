"""YAML with its marks: what the readers of conda's files share, so that every refusal names line and column."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import yaml

from mlops_lab.manifests.pyproject import at, conflict, read_bytes, read_text

if TYPE_CHECKING:
    from pathlib import Path

    from mlops_lab.errors import LabError

__all__ = ["Item", "composed", "item", "kind", "mapping", "refuse", "sequence", "text", "texts"]

KINDS = {
    "map": "a mapping",
    "seq": "a list",
    "str": "text",
    "int": "a number",
    "float": "a number",
    "bool": "true or false",
    "null": "nothing",
}


class Item(NamedTuple):
    """A text of a file, and where it stands.

    Attributes:
        text: As YAML reads it.
        line: Counted from 1.
        column: Counted from 1.
    """

    text: str
    line: int
    column: int


def composed(path: Path) -> yaml.Node | None:
    """The root of a YAML file; None when it is empty.

    Raises:
        LabError: It cannot be read or is not YAML, with line and column.
    """
    content = _text(path)
    try:
        return yaml.compose(content, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise (conflict(path, content) or _broken(path, content, error)) from error
    except RecursionError as error:
        raise at(path, 1, 1, "too many brackets inside of each other", "correct the file: it is not YAML") from error


def _text(path: Path) -> str:
    """The text of a file; UTF-16 is what PowerShell's `>` writes, and conda reads it."""
    data = read_bytes(path)
    if data[:2] in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}:
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError as error:
            raise at(path, 1, 1, "not UTF-16, as which it starts", "save the file as UTF-8") from error
    return read_text(path).removeprefix("\ufeff")


def _broken(path: Path, content: str, error: yaml.YAMLError) -> LabError:
    hint = "correct the line: the file is not YAML"
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        reason = error.problem or error.context or "not YAML"
        if "'\\t'" in reason:
            hint = "indent with spaces: YAML allows no tabs there"
        return at(path, mark.line + 1 if mark else 1, mark.column + 1 if mark else 1, reason, hint)
    before = content[: getattr(error, "position", 0)]
    reason = f"character {getattr(error, 'character', 0):#06x} is not allowed"
    return at(path, before.count("\n") + 1, len(before) - before.rfind("\n"), reason, hint)


def refuse(path: Path, node: yaml.Node | None, reason: str, hint: str = "") -> NoReturn:
    """Refuse what stands at a node.

    Raises:
        LabError: Always, with line and column.
    """
    line, column = (node.start_mark.line + 1, node.start_mark.column + 1) if node else (1, 1)
    raise at(path, line, column, reason, hint)


def kind(node: yaml.Node | None) -> str:
    """What a node holds, in words."""
    return KINDS.get(node.tag.rpartition(":")[2], node.tag.rpartition(":")[2]) if node else "nothing"


def mapping(path: Path, node: yaml.Node | None, what: str, hint: str = "") -> dict[str, yaml.Node]:
    """The values of a mapping.

    Raises:
        LabError: It is something else, or a key stands twice.
    """
    if not isinstance(node, yaml.MappingNode):
        refuse(path, node, f"{what} must hold a mapping, not {kind(node)}", hint)
    found: dict[str, yaml.Node] = {}
    lines: dict[str, int] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            refuse(path, key, f"{what} must have texts as keys, not {kind(key)}", hint)
        # PyYAML lets the last one win without a word; conda refuses the file.
        if key.value in found:
            refuse(path, key, f'"{key.value}" stands twice, first in line {lines[key.value]}', "keep one of them")
        found[str(key.value)] = value
        lines[str(key.value)] = key.start_mark.line + 1
    return found


def text(path: Path, what: str, node: yaml.Node | None) -> str | None:
    """A text; None where there is none.

    Raises:
        LabError: It is something else.
    """
    if kind(node) == "nothing":
        return None
    if not isinstance(node, yaml.ScalarNode) or kind(node) != "text":
        refuse(path, node, f"{what} must be text, not {kind(node)}", "put it in quotes")
    return str(node.value)


def sequence(path: Path, what: str, node: yaml.Node | None) -> list[yaml.Node]:
    """The nodes of a list; none where there is nothing.

    Raises:
        LabError: It is no list.
    """
    if kind(node) == "nothing":
        return []
    if not isinstance(node, yaml.SequenceNode):
        refuse(path, node, f"{what} must be a list, not {kind(node)}", "start each line with a hyphen: `- `")
    return list(node.value)


def item(path: Path, what: str, node: yaml.Node) -> Item:
    """A text in a list, and where it stands.

    Raises:
        LabError: It is no text.
    """
    if kind(node) != "text":
        refuse(path, node, f"{what} must be a list of texts, not {kind(node)}", "write one text after each hyphen")
    return Item(str(node.value), node.start_mark.line + 1, node.start_mark.column + 1)


def texts(path: Path, what: str, node: yaml.Node | None) -> list[Item]:
    """The texts of a list, and where they stand.

    Raises:
        LabError: It is no list, or something in it is no text.
    """
    return [item(path, what, entry) for entry in sequence(path, what, node)]
