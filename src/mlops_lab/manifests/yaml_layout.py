"""Where everything stands in a YAML text, so that a piece of it can be changed and the rest stays to the byte."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = [
    "Change",
    "Layout",
    "Node",
    "below",
    "changed",
    "comma_after",
    "dash_of",
    "head_before",
    "in_brackets",
    "laid_out",
    "lead_of",
    "line_number",
    "line_start",
    "newline_at",
    "pairs",
    "whole_lines",
    "written",
]

# As PyYAML counts lines: https://yaml.org/spec/1.1/#id871136
_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_ENDS = ("\n", "\r", "\x85", "\u2028", "\u2029")
_COMMENT = re.compile(r"[ \t]*(?:[ \t]#.*)?")
_COMMA_AND_COMMENT = re.compile(r"[ \t]*,?[ \t]*(?:[ \t]#.*)?")
_HEADS = (yaml.ValueToken, yaml.AnchorToken, yaml.TagToken)
_BLOCKS = frozenset({"|", ">"})


class Change(NamedTuple):
    """A piece of a text, and what stands there afterwards."""

    start: int
    end: int
    text: str = ""


@dataclass(frozen=True)
class Node:
    """A value where it stands; an alias stands at its own place, not at the one of what it means.

    Attributes:
        kind: `text`, `list`, `mapping`, or `other` for an alias of a list or a mapping.
        outer: Where it starts, its anchor and tag included.
        start: Where its text, its quote or its bracket starts.
        end: Where it ends.
        value: The text.
        style: How the text is quoted; `|` or `>` for a block of lines.
        flow: Whether it is a list or a mapping in brackets.
        children: The entries of a list; keys and values of a mapping in turn.
        alias: Whether what it means stands elsewhere.
    """

    kind: str
    outer: int
    start: int
    end: int
    value: str = ""
    style: str = ""
    flow: bool = False
    children: tuple[Node, ...] = ()
    alias: bool = False

    @property
    def is_block(self) -> bool:
        """Whether it is a text of several lines after `|` or `>`."""
        return self.style in _BLOCKS


@dataclass(frozen=True)
class Layout:
    """A text, and where in it everything stands.

    Attributes:
        text: The text, without a byte order mark.
        top: What it holds.
        dashes: Where the hyphens of lists are.
        commas: Where the commas between entries in brackets are.
        heads: Where a key's colon, an anchor or a tag ends.
    """

    text: str
    top: Node
    dashes: tuple[int, ...]
    commas: tuple[int, ...]
    heads: tuple[int, ...]


def laid_out(text: str) -> Layout:
    """Where everything stands in a text that is YAML, holds something and has no byte order mark."""
    tokens = list(yaml.scan(text, Loader=yaml.SafeLoader))
    # A text's own start: its event starts at the anchor.
    starts = {_end(each): _start(each) for each in tokens if isinstance(each, yaml.ScalarToken)}
    # Behind the start of the stream and the one of the document.
    events = iter(list(yaml.parse(text, Loader=yaml.SafeLoader))[2:])
    return Layout(
        text=text,
        top=_node(next(events), events, starts, {}),
        dashes=tuple(_start(each) for each in tokens if isinstance(each, yaml.BlockEntryToken)),
        commas=tuple(_start(each) for each in tokens if isinstance(each, yaml.FlowEntryToken)),
        heads=tuple(_end(each) for each in tokens if isinstance(each, _HEADS)),
    )


def _start(marked: Any) -> int:  # noqa: ANN401 - a token or an event of PyYAML's
    return int(marked.start_mark.index)


def _end(marked: Any) -> int:  # noqa: ANN401 - a token or an event of PyYAML's
    return int(marked.end_mark.index)


def _node(event: Any, events: Iterator[Any], starts: Mapping[int, int], anchors: dict[str, Node]) -> Node:  # noqa: ANN401 - an event
    outer, end = _start(event), _end(event)
    if isinstance(event, yaml.AliasEvent):
        meant = anchors.get(str(event.anchor))
        is_text = meant is not None and meant.kind == "text"
        return Node("text" if is_text else "other", outer, outer, end, meant.value if meant else "", alias=True)
    if isinstance(event, yaml.ScalarEvent):
        node = Node("text", outer, starts.get(end, end), end, event.value, event.style or "")
    else:
        node = _collection(event, events, starts, anchors)
    if event.anchor:
        anchors[event.anchor] = node
    return node


def _collection(event: Any, events: Iterator[Any], starts: Mapping[int, int], anchors: dict[str, Node]) -> Node:  # noqa: ANN401 - an event
    children = []
    while not isinstance(following := next(events), yaml.CollectionEndEvent):
        children.append(_node(following, events, starts, anchors))
    flow = bool(event.flow_style)
    # Without brackets it ends, for YAML, where the next thing starts: behind comments that are not its own.
    end = _end(following) if flow or not children else children[-1].end
    start = _end(event) - 1 if flow else _start(event)
    kind = "list" if isinstance(event, yaml.SequenceStartEvent) else "mapping"
    return Node(kind, _start(event), start, end, flow=flow, children=tuple(children))


def pairs(node: Node) -> dict[str, tuple[Node, Node]]:
    """A mapping's keys and values by key."""
    keys, values = node.children[::2], node.children[1::2]
    return {key.value: (key, value) for key, value in zip(keys, values, strict=True)}


def in_brackets(layout: Layout, place: int) -> bool:
    """Whether a place is inside of brackets, where a comma ends a text."""
    return _is_inside(layout.top, place)


def _is_inside(node: Node, place: int) -> bool:
    return (node.flow and node.start < place < node.end) or any(_is_inside(child, place) for child in node.children)


def dash_of(layout: Layout, entry: Node) -> int:
    """Where the hyphen of a list's entry is."""
    return max(dash for dash in layout.dashes if dash < entry.outer)


def head_before(layout: Layout, place: int) -> int:
    """The end of the colon, or of the anchor behind it, that stands before a place."""
    return max(head for head in layout.heads if head <= place)


def comma_after(layout: Layout, holder: Node, entry: Node) -> int | None:
    """The comma that follows an entry in brackets; None where there is none."""
    until = min((each.outer for each in holder.children if each.outer > entry.outer), default=holder.end)
    return next((comma for comma in layout.commas if entry.end <= comma < until), None)


# --- lines ---------------------------------------------------------------------------------------------------------


def line_start(text: str, place: int) -> int:
    """Where the line of a place starts."""
    return max(text.rfind(end, 0, place) for end in _ENDS) + 1


def _line_end(text: str, place: int) -> tuple[int, int]:
    """Where a line's words end, and where the next line starts: the same where the file ends without a line end."""
    match = _BREAK.search(text, place)
    return (match.start(), match.end()) if match else (len(text), len(text))


def _before_end(text: str) -> int:
    """Where the line end starts that a text ends with; its length where it ends without."""
    return len(text) - (2 if text.endswith("\r\n") else text.endswith(_ENDS))


def line_number(text: str, place: int) -> int:
    """The line of a place, counted from 1."""
    return len(_BREAK.findall(text[:place])) + 1


def newline_at(text: str, place: int) -> str:
    """How lines end: the one of a place, else the first of the text."""
    start, end = _line_end(text, place)
    first = _BREAK.search(text)
    return text[start:end] or (first[0] if first else "\n")


def whole_lines(layout: Layout, start: int, end: int, *, comma: bool = False) -> tuple[int, int] | None:
    """The whole lines from a place to another; None where anything but a comment stands on them besides.

    Args:
        layout: The text.
        start: The first place.
        end: The last place.
        comma: Whether a comma may follow.
    """
    first, (stop, after) = line_start(layout.text, start), _line_end(layout.text, end)
    tail = _COMMA_AND_COMMENT if comma else _COMMENT
    alone = not layout.text[first:start].strip(" ") and tail.fullmatch(layout.text[end:stop])
    return (first, after) if alone else None


def below(layout: Layout, place: int, line: str) -> Change:
    """A new line under the one of a place."""
    # The end of a block of lines is the start of the line that follows it.
    last = _before_end(layout.text[:place])
    stop, after = _line_end(layout.text, last)
    newline = newline_at(layout.text, last)
    return Change(after, after, newline + line if stop == after else line + newline)


def changed(text: str, changes: Iterable[Change]) -> str:
    """The text after changes that do not overlap; where its last line had no line end, it has none afterwards."""
    made = text
    for change in sorted(changes, reverse=True):
        made = made[: change.start] + change.text + made[change.end :]
    return made if text.endswith(_ENDS) else made[: _before_end(made)]


# --- words ---------------------------------------------------------------------------------------------------------


def lead_of(layout: Layout, entry: Node) -> str | None:
    """What stands before a list's entry on its line: spaces, the hyphen, spaces; None where there is more."""
    dash = dash_of(layout, entry)
    indent = layout.text[line_start(layout.text, dash) : dash]
    gap = layout.text[dash + 1 : entry.outer]
    if indent.strip(" "):
        return None
    return f"{indent}-{gap if gap and not gap.strip(' ') else ' '}"


def written(value: str, *, flow: bool = False, style: str = "") -> str:
    """A text as YAML has it: plain where YAML then reads that text, else quoted.

    Args:
        value: The text, on one line.
        flow: Whether it is to stand in brackets.
        style: The quotes that it had before.
    """
    if not style and _is_plain(value, flow=flow):
        return value
    if style != "'" and not set(value) & {'"', "\\"}:
        return f'"{value}"'
    doubled = value.replace("'", "''")
    return f"'{doubled}'"


def _is_plain(value: str, *, flow: bool) -> bool:
    try:
        root = yaml.compose(f"[{value}]" if flow else f"- {value}", Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return False
    entries = root.value if isinstance(root, yaml.SequenceNode) else []
    return [(entry.tag, entry.value) for entry in entries] == [("tag:yaml.org,2002:str", value)]
