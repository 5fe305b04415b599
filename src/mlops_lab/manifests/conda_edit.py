"""Edits of conda.yml as text: what is not asked for stays as it was written, to the byte.

Every result is read again, and refused unless it means what was asked for.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from mlops_lab.errors import LabError, redact
from mlops_lab.guide import nearest
from mlops_lab.manifests import conda_env, yaml_layout
from mlops_lab.manifests.pyproject import normalized
from mlops_lab.manifests.yaml_layout import Change, Layout, Node, below, comma_after, pairs, whole_lines, written

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["added", "pip_moved", "pip_name", "pip_removed", "removed"]

SPEC_HINT = 'write for example: numpy, "numpy >=2,<3", numpy=2.1, "numpy=2.1=py311*", conda-forge::numpy'
_BOM = "\ufeff"

# https://docs.conda.io/projects/conda-build/en/latest/resources/package-spec.html#package-match-specifications
_CLAUSE = r"(?:~=|==|!=|<=|>=|<|>|=)?\s*(?:v?\d[\w.!+-]*(?:\.?\*)?|\*)"
_BUILD = r"[\w.+*]+"
_FIELD = r"""\s*\w+\s*=\s*(?:'[^']*'|"[^"]*"|[^\s'"\[\],]+)\s*"""
_SPEC = re.compile(
    r"(?:[^\s\[\]=<>!~,]+::)?[A-Za-z0-9_][A-Za-z0-9_.-]*"
    rf"(?:(?=[\s=<>!~])\s*{_CLAUSE}(?:\s*[,|]\s*{_CLAUSE})*(?:\s*=\s*{_BUILD}|\s+{_BUILD})?)?"
    rf"(?:\s*\[{_FIELD}(?:,{_FIELD})*\])?"
)

# https://packaging.python.org/en/latest/specifications/dependency-specifiers/
_PIP_NAME = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?=$|[\s\[=<>!~;(@])")
_VERSION = r"[A-Za-z0-9][A-Za-z0-9.!+_-]*"
_PIN = re.compile(
    r"(?P<before>\s*(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\[\]]*\])?\s*==\s*)"
    rf"(?P<version>{_VERSION})(?P<after>\s*(?:;.*|\s#.*)?)",
    re.DOTALL,
)


@dataclass(frozen=True)
class _Meaning:
    """What a file says, as far as an edit could spoil it."""

    name: str | None
    prefix: str | None
    channels: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    dependencies: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()


class _Part(NamedTuple):
    """What conda is asked for, or what pip is.

    Attributes:
        entries: Finds its entries, each with the list that it stands in.
        texts: What the file says there.
        replaced: A meaning that says something else there.
        name_of: The name that an entry starts with.
        missing: The refusal of a name that is not there.
    """

    entries: Callable[[Layout], list[tuple[Node, Node]]]
    texts: Callable[[_Meaning], tuple[str, ...]]
    replaced: Callable[[_Meaning, tuple[str, ...]], _Meaning]
    name_of: Callable[[str], str]
    missing: str


# --- the edits -----------------------------------------------------------------------------------------------------


def added(path: Path, text: str, specs: Sequence[str]) -> str:
    """An environment file that asks conda for these too; what it asks for already gets the new spec.

    Args:
        path: The file, for messages.
        text: Its text.
        specs: Such as `numpy`, `numpy >=2` or `conda-forge::numpy=2.1`; a bare name changes nothing where it is
            declared already.

    Raises:
        LabError: The file is broken, one of the specs is none, or the file is written in a way that cannot be edited
            (code 2).
    """
    for spec in [_checked(spec) for spec in specs]:
        text = _with(path, text, spec)
    return text


def removed(path: Path, text: str, names: Sequence[str]) -> str:
    """An environment file that does not ask conda for these any more.

    Args:
        path: The file, for messages.
        text: Its text.
        names: Names without versions.

    Raises:
        LabError: The file is broken, does not declare one of them, or is written in a way that cannot be edited
            (code 2).
    """
    for name in dict.fromkeys(each.strip().lower() for each in names):
        text = _without(path, text, name, CONDA)
    return text


def pip_moved(path: Path, text: str, versions: Mapping[str, str]) -> str:
    """An environment file whose nested `- pip:` list pins these packages to these versions.

    Only an exact pin such as `name[extra]==1.0 ; marker` is moved; one with hashes stays.

    Args:
        path: The file, for messages.
        text: Its text.
        versions: Name → the new version.

    Raises:
        LabError: The file is broken, a version is none, or the file is written in a way that cannot be edited (code 2).
    """
    wanted = {normalized(name): _checked_version(name, version) for name, version in versions.items()}
    before, layout = _read(path, text), _layout(text)
    moved = tuple(_moved(each, wanted) for each in before.pip)
    changes = [
        _repinned(path, layout, entry, new, wanted)
        for (_, entry), old, new in zip(_pip(layout), before.pip, moved, strict=True)
        if old != new
    ]
    return _edited(path, text, changes, replace(before, pip=moved), "the pins of pip's part")


def pip_removed(path: Path, text: str, names: Sequence[str]) -> str:
    """An environment file whose nested `- pip:` list does not name these any more; an emptied list goes as well.

    Args:
        path: The file, for messages.
        text: Its text.
        names: Names without versions.

    Raises:
        LabError: The file is broken, its nested list does not name one of them, or it is written in a way that cannot
            be edited (code 2).
    """
    for name in dict.fromkeys(map(normalized, names)):
        text = _without(path, text, name, PIP)
    return text


def pip_name(item: str) -> str:
    """The normalised name that a line of the nested `- pip:` list starts with; empty for options, paths, addresses."""
    match = _PIP_NAME.match(item)
    return normalized(match[1]) if match else ""


def _with(path: Path, text: str, spec: str) -> str:
    before, layout, name = _read(path, text), _layout(text), _conda_name(spec)
    declared = [entry for _, entry in _dependencies(layout) if _conda_name(entry.value) == name]
    if declared and spec.lower() == name:
        return text
    if declared:
        changes = [_reworded(path, layout, entry, spec) for entry in declared]
        meant = tuple(spec if _conda_name(each) == name else each for each in before.dependencies)
    else:
        changes, meant = _placed(path, layout, spec), (*before.dependencies, spec)
    return _edited(path, text, changes, replace(before, dependencies=meant), spec)


def _without(path: Path, text: str, name: str, part: _Part) -> str:
    """The text without the entries of a name: one after the other, since each moves what follows it."""
    names = [part.name_of(each) for each in part.texts(_read(path, text))]
    if name not in names:
        known = sorted({each for each in names if each})
        hint = nearest(name, known) if known else "nothing is declared there"
        raise LabError(part.missing.format(file=path.name, name=name), hint)
    while name in names:
        before, layout, number = _read(path, text), _layout(text), names.index(name)
        said = part.texts(before)
        holder, entry = part.entries(layout)[number]
        meant = part.replaced(before, (*said[:number], *said[number + 1 :]))
        text = _edited(path, text, _dropped(path, layout, holder, entry), meant, name)
        del names[number]
    return text


# --- what is asked for ---------------------------------------------------------------------------------------------


def _checked(spec: str) -> str:
    if spec.isprintable() and _SPEC.fullmatch(spec.strip()):
        return spec.strip()
    shown = redact(spec)
    shown = shown if shown.isprintable() else shown.encode("unicode_escape").decode("ascii")
    raise LabError(f'"{shown}" is no package spec', SPEC_HINT)


def _checked_version(name: str, version: str) -> str:
    if not re.fullmatch(_VERSION, version):
        raise LabError(f"{name}: {version!r} is not a version", "write it as 2.1")
    return version


def _conda_name(spec: str) -> str:
    return conda_env.name_of(spec).lower()


def _moved(item: str, wanted: Mapping[str, str]) -> str:
    """A requirement with another version in its exact pin; anything else as it is."""
    match = _PIN.fullmatch(item)
    version = wanted.get(normalized(match["name"])) if match else None
    return item if match is None or version is None else f"{match['before']}{version}{match['after']}"


# --- before and after ----------------------------------------------------------------------------------------------


def _read(path: Path, text: str) -> _Meaning:
    """What the reader makes of a text.

    Raises:
        LabError: The reader refuses it, with line and column.
    """
    # It reads files, and its messages name the file.
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, path.name)
        copy.write_bytes(text.encode())
        env = conda_env.read(copy)
    return _Meaning(
        name=env.name,
        prefix=env.prefix,
        channels=env.channels,
        variables=env.variables,
        dependencies=tuple(item.text for item in env.dependencies),
        pip=tuple(item.text for item in env.pip),
    )


def _layout(text: str) -> Layout:
    return yaml_layout.laid_out(text.removeprefix(_BOM))


def _edited(path: Path, text: str, changes: Sequence[Change], meant: _Meaning, what: str) -> str:
    """The text after the changes.

    Raises:
        LabError: It cannot be read any more, or means something else than it shall (code 2).
    """
    mark = _BOM if text.startswith(_BOM) else ""
    edited = mark + yaml_layout.changed(text.removeprefix(_BOM), changes)
    try:
        said = _read(path, edited)
    except LabError:
        said = None
    if said != meant:
        raise _by_hand(path.name, what)
    return edited


def _by_hand(where: str, what: str) -> LabError:
    return LabError(f"{where}: this is written in a way in which {redact(what)} cannot be changed", "change it by hand")


def _refuse(path: Path, layout: Layout, node: Node, what: str) -> NoReturn:
    raise _by_hand(f"{path.name}:{yaml_layout.line_number(layout.text, node.start)}", what)


# --- what stands where ---------------------------------------------------------------------------------------------


def _dependencies(layout: Layout) -> list[tuple[Node, Node]]:
    found = pairs(layout.top).get("dependencies")
    return [(found[1], entry) for entry in found[1].children if entry.kind == "text"] if found else []


def _pip(layout: Layout) -> list[tuple[Node, Node]]:
    found = pairs(layout.top).get("dependencies")
    parts = [entry for entry in found[1].children if entry.kind == "mapping"] if found else []
    lists = [value for part in parts for _, value in pairs(part).values()]
    return [(holder, entry) for holder in lists for entry in holder.children]


CONDA = _Part(
    entries=_dependencies,
    texts=lambda meaning: meaning.dependencies,
    replaced=lambda meaning, texts: replace(meaning, dependencies=texts),
    name_of=_conda_name,
    missing="{file} does not declare {name}",
)
PIP = _Part(
    entries=_pip,
    texts=lambda meaning: meaning.pip,
    replaced=lambda meaning, texts: replace(meaning, pip=texts),
    name_of=pip_name,
    missing="pip's part of {file} does not name {name}",
)


# --- put in --------------------------------------------------------------------------------------------------------


def _placed(path: Path, layout: Layout, spec: str) -> list[Change]:
    found = pairs(layout.top).get("dependencies")
    if found is None:
        return _new_list(path, layout, spec)
    key, value = found
    if value.kind == "text":
        return [_first_entry(layout, key, value, spec)]
    if value.kind != "list":
        _refuse(path, layout, key, spec)
    return _into_brackets(layout, value, spec) if value.flow else [_into_lines(path, layout, value, spec)]


def _into_lines(path: Path, layout: Layout, holder: Node, spec: str) -> Change:
    plain = [entry for entry in holder.children if entry.kind == "text"]
    model = plain[-1] if plain else holder.children[0]
    lead = yaml_layout.lead_of(layout, model)
    if lead is None:
        _refuse(path, layout, model, spec)
    line = lead + written(spec)
    if plain:
        return below(layout, model.end, line)
    start = yaml_layout.line_start(layout.text, yaml_layout.dash_of(layout, model))
    return Change(start, start, line + yaml_layout.newline_at(layout.text, start))


def _into_brackets(layout: Layout, holder: Node, spec: str) -> list[Change]:
    plain = [entry for entry in holder.children if entry.kind == "text"]
    word, after = written(spec, flow=True), holder.start + 1
    if not plain:
        return [Change(after, after, f"{word}, " if holder.children else word)]
    last = plain[-1]
    if whole_lines(layout, last.outer, last.end, comma=True) is None:
        return [Change(last.end, last.end, f", {word}")]
    comma = comma_after(layout, holder, last) is not None
    indent = layout.text[yaml_layout.line_start(layout.text, last.outer) : last.outer]
    line = below(layout, last.end, f"{indent}{word}{',' if comma else ''}")
    return [line] if comma else [Change(last.end, last.end, ","), line]


def _first_entry(layout: Layout, key: Node, value: Node, spec: str) -> Change:
    """The first entry of a key that holds nothing."""
    if value.start != value.end or layout.top.flow:
        return Change(value.start, value.end, f"[{written(spec, flow=True)}]")
    indent = layout.text[yaml_layout.line_start(layout.text, key.outer) : key.outer]
    return below(layout, value.end, _lead_of_lists(layout, indent) + written(spec))


def _new_list(path: Path, layout: Layout, spec: str) -> list[Change]:
    """The key and its first entry, at the end of the file."""
    text, first = layout.text, layout.top.children[0]
    indent = text[yaml_layout.line_start(text, first.outer) : first.outer]
    if layout.top.flow or indent.strip(" "):
        _refuse(path, layout, first, spec)
    newline = yaml_layout.newline_at(text, 0)
    entry = f"{indent}dependencies:{newline}{_lead_of_lists(layout, indent)}{written(spec)}"
    return [below(layout, len(text), entry)]


def _lead_of_lists(layout: Layout, indent: str) -> str:
    """What stands before the entries of the file's other lists, usually the channels."""
    lists = [value for _, value in pairs(layout.top).values() if value.kind == "list" and not value.flow]
    leads = (yaml_layout.lead_of(layout, value.children[0]) for value in lists if value.children)
    return next((lead for lead in leads if lead is not None), f"{indent}  - ")


# --- changed and taken out -----------------------------------------------------------------------------------------


def _reworded(path: Path, layout: Layout, entry: Node, value: str) -> Change:
    """An entry with another text, in the quotes that it has."""
    if entry.is_block:
        _refuse(path, layout, entry, value)
    flow = yaml_layout.in_brackets(layout, entry.start)
    return Change(entry.start, entry.end, written(value, flow=flow, style=entry.style))


def _repinned(path: Path, layout: Layout, entry: Node, moved: str, wanted: Mapping[str, str]) -> Change:
    """A pin with another version: the version alone where it stands as it is read, else the whole entry."""
    start, end = entry.start + len(entry.style), entry.end - len(entry.style)
    match = _PIN.fullmatch(layout.text[start:end])
    if match is None or entry.is_block:
        return _reworded(path, layout, entry, moved)
    return Change(start + match.start("version"), start + match.end("version"), wanted[normalized(match["name"])])


def _dropped(path: Path, layout: Layout, holder: Node, entry: Node) -> list[Change]:
    """An entry taken out of its list; pip's list goes when that empties it, and conda's is written as `[]`."""
    dependencies = pairs(layout.top)["dependencies"][1]
    if holder is not dependencies and len(holder.children) == 1:
        return _pip_dropped(path, layout, dependencies, holder, entry)
    if holder.flow:
        return [_word_dropped(layout, holder, entry)]
    emptied = _emptied(layout, holder) if holder is dependencies else []
    return [_line_dropped(path, layout, entry), *emptied]


def _pip_dropped(path: Path, layout: Layout, dependencies: Node, holder: Node, entry: Node) -> list[Change]:
    """The nested `- pip:` with its last entry."""
    outer = next(each for each in dependencies.children if holder in each.children)
    if dependencies.flow:
        return [_word_dropped(layout, dependencies, outer)]
    if holder.flow or outer.flow:
        return [_line_dropped(path, layout, outer), *_emptied(layout, dependencies)]
    # The two lines, and not what stands between them: comments stay.
    head = yaml_layout.head_before(layout, yaml_layout.dash_of(layout, entry))
    header = whole_lines(layout, yaml_layout.dash_of(layout, outer), head)
    if header is None:
        _refuse(path, layout, entry, entry.value)
    return [Change(*header), _line_dropped(path, layout, entry), *_emptied(layout, dependencies)]


def _emptied(layout: Layout, holder: Node) -> list[Change]:
    """A list that loses its only line is written in brackets: a key that holds nothing is no list."""
    if len(holder.children) > 1:
        return []
    head = yaml_layout.head_before(layout, yaml_layout.dash_of(layout, holder.children[0]))
    return [Change(head, head, " []")]


def _line_dropped(path: Path, layout: Layout, entry: Node) -> Change:
    lines = whole_lines(layout, yaml_layout.dash_of(layout, entry), entry.end)
    if lines is None or entry.is_block:
        _refuse(path, layout, entry, entry.value)
    return Change(*lines)


def _word_dropped(layout: Layout, holder: Node, entry: Node) -> Change:
    """An entry taken out of brackets, with one of the commas beside it."""
    text, comma = layout.text, comma_after(layout, holder, entry)
    lines = whole_lines(layout, entry.outer, entry.end, comma=True)
    if lines and (comma is None or comma < lines[1]):
        return Change(*lines)
    before = max((each.end for each in holder.children if each.end <= entry.outer), default=None)
    # Where commas stand first on a line, the one in front of an entry is its own.
    between = "" if comma is None else text[entry.end : comma]
    if comma is not None and not between.strip(" " if before else None):
        rest = text[comma + 1 :]
        return Change(entry.outer, comma + 1 + len(rest) - len(rest.lstrip(" ")))
    leading = None if before is None else next(each for each in layout.commas if each >= before)
    return Change(entry.outer if leading is None else leading, entry.end)
