"""What [tool.poetry] asks for, https://python-poetry.org/docs/dependency-specification/."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from mlops_lab.errors import LabError, redact
from mlops_lab.manifests.constraints import from_poetry, marker_of
from mlops_lab.manifests.model import PythonRange, Requirement
from mlops_lab.manifests.pyproject import normalized
from mlops_lab.manifests.unread import Tables, from_root, kind_of, list_of, optional_text, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mlops_lab.manifests.toml_places import Key

__all__ = ["Poetry", "joined", "read"]

ROOT = ("tool", "poetry")
DIRECT = {"git": "git", "url": "url", "path": "path", "file": "path"}


@dataclass
class Poetry:
    """What Poetry's tables say.

    Attributes:
        name: The project's name; empty where they have none.
        main: The project's own dependencies; what only an extra brings names it.
        groups: The dependencies of each group.
        optional: The groups that are installed only when they are asked for.
        includes: Which groups a group includes.
        extras: The project's own extras.
        pythons: Which Pythons it allows.
    """

    name: str = ""
    main: list[Requirement] = field(default_factory=list)
    groups: dict[str, list[Requirement]] = field(default_factory=dict)
    optional: list[str] = field(default_factory=list)
    includes: dict[str, list[str]] = field(default_factory=dict)
    extras: list[str] = field(default_factory=list)
    pythons: tuple[PythonRange, ...] = ()


def read(poetry: Mapping[str, Any], tables: Tables) -> Poetry:
    """What Poetry's tables say.

    Args:
        poetry: The table [tool.poetry].
        tables: The whole file.
    """
    found = Poetry(
        name=tables.notes.attempt(tables.line(*ROOT, "name"), partial(text_of, poetry, "name", "")) or "",
        main=list(_listed(tables, (*ROOT, "dependencies"), "")),
        pythons=tuple(_pythons(poetry, tables)),
    )
    if "dev-dependencies" in poetry:
        found.groups["dev"] = list(_listed(tables, (*ROOT, "dev-dependencies"), "dev"))
    for written in tables.table(*ROOT, "group") if poetry else ():
        keys = (*ROOT, "group", written)
        name, table = normalized(written), tables.table(*keys)
        asked = list(_listed(tables, (*keys, "dependencies"), "" if name == "main" else name))
        if name == "main":
            found.main += asked
            continue
        found.groups[name] = [*found.groups.get(name, ()), *asked]
        if table.get("optional") is True:
            found.optional.append(name)
        others = tables.texts(table, "include-groups", (*keys, "include-groups"))
        if others:
            found.includes[name] = [normalized(other) for other in others]
    extras = tables.table(*ROOT, "extras") if poetry else {}
    brought = {normalized(extra): tables.texts(extras, extra, (*ROOT, "extras", extra)) for extra in extras}
    found.extras = list(brought)
    found.main = [each for one in found.main for each in _in_extras(one, brought)]
    return found


def _in_extras(one: Requirement, extras: Mapping[str, Sequence[str]]) -> list[Requirement]:
    """An optional dependency once for each extra that brings it; without one it only limits the version."""
    if not one.constrains:
        return [one]
    names = [extra for extra, brought in extras.items() if one.name in map(normalized, brought)]
    return [replace(one, extra=extra, constrains=False) for extra in names] or [one]


def _pythons(poetry: Mapping[str, Any], tables: Tables) -> Iterator[PythonRange]:
    keys = (*ROOT, "dependencies", "python")
    line = tables.line(*keys)
    table = tables.table(*ROOT, "dependencies") if poetry else {}
    value = table.get("python", "")
    text = value.get("version", "") if isinstance(value, dict) else value
    if not isinstance(text, str):
        tables.notes.add(line, f"python must be text, not {kind_of(text)}")
    elif text and (specifier := tables.notes.attempt(line, partial(from_poetry, text))) is not None:
        yield PythonRange(specifier, tables.notes.path, line, text, ".".join(keys))


def _listed(tables: Tables, keys: Key, group: str) -> Iterator[Requirement]:
    """The dependencies of a table: name → constraint, or several of them."""
    if not isinstance(tables.data.get("tool"), dict) or "poetry" not in tables.data["tool"]:
        return
    for name, value in tables.table(*keys).items():
        if normalized(name) == "python":
            continue
        entries = value if isinstance(value, list) else [value]
        for number, entry in enumerate(entries):
            line = tables.line(*keys, name, number) if isinstance(value, list) else tables.line(*keys, name)
            made = tables.notes.attempt(line, partial(_one, name, entry, tables.notes.path, line, group))
            if made and tables.notes.marker(made.marker, line):
                yield made


def _one(name: str, value: object, path: str, line: int, group: str) -> Requirement:
    if isinstance(value, str):
        value = {"version": value}
    if not isinstance(value, dict):
        raise LabError(f"{name} must be text or a table, not {kind_of(value)}", 'write for example: numpy = "^2.1"')
    key = next((key for key in DIRECT if key in value), "")
    version = text_of(value, "version", "*")
    address = redact(text_of(value, key)) if key else ""
    if key in {"path", "file"}:
        address = from_root(path, address)
    try:
        specifier = "" if key else from_poetry(version)
    except LabError as error:
        raise LabError(f"{name}: {error.message}", error.hint) from error
    return Requirement(
        name=normalized(name),
        specifier=specifier,
        path=path,
        line=line,
        text=f"{name} {key} = {address}" if key else f"{name} {version}",
        marker=_marker(value),
        extras=tuple(sorted({normalized(extra) for extra in list_of(value, "extras", str)})),
        group=group,
        kind=DIRECT.get(key, "index"),
        source=address or text_of(value, "source", ""),
        constrains=value.get("optional") is True and not group,
        only="poetry",
    )


def _marker(value: Mapping[str, Any]) -> str | None:
    """Where it counts: `markers`, `python` and `platform` together."""
    parts = [optional_text(value, "markers")]
    for key, variable in (("python", "python_version"), ("platform", "sys_platform")):
        if text := optional_text(value, key):
            parts.append(marker_of(variable, text))
    return both(*parts)


def both(*markers: str | None) -> str | None:
    """Markers that must hold together, as one; None: everywhere."""
    said = [marker for marker in dict.fromkeys(markers) if marker]
    return said[0] if len(said) == 1 else " and ".join(f"({marker})" for marker in said) or None


def joined(standard: Sequence[Requirement], poetry: Sequence[Requirement], *, mixed: bool = False) -> list[Requirement]:
    """What [project] or [dependency-groups] asks for, as Poetry's table of the same group completes it.

    As Poetry does it: a package of both tables is one requirement; what only its own table names counts where the
    standard's table is empty, or is said to be dynamic
    (https://python-poetry.org/docs/dependency-specification/#projectdependencies-and-toolpoetrydependencies).

    Args:
        standard: What the standard's table asks for.
        poetry: What Poetry's table does.
        mixed: Whether the standard's table is said to be dynamic.
    """
    if not standard:
        return list(poetry)
    by_name: dict[str, list[Requirement]] = {}
    for each in poetry:
        by_name.setdefault(each.name, []).append(each)
    found = [each for one in standard for each in _views(one, by_name.get(one.name, ()))]
    if mixed:
        has_extras, has_plain = any(each.extra for each in standard), any(not each.extra for each in standard)
        optional = [each for each in poetry if each.extra or each.constrains]
        found += [] if has_extras else optional
        found += [] if has_plain else [each for each in poetry if each not in optional]
    return found


def _views(one: Requirement, others: Sequence[Requirement]) -> list[Requirement]:
    """One requirement as everybody sees it; apart where Poetry is told more than where the package comes from."""
    completed = [_completed(one, other) for other in others]
    if all((each.specifier, each.marker, each.kind) == (one.specifier, one.marker, one.kind) for each in completed):
        return completed[:1] or [one]
    return [*(replace(each, only="poetry") for each in completed), replace(one, only="uv")]


def _completed(one: Requirement, other: Requirement) -> Requirement:
    return replace(
        one,
        specifier=_met(one.specifier, other.specifier),
        marker=both(one.marker, other.marker),
        kind=one.kind if one.kind != "index" else other.kind,
        source=one.source or other.source,
    )


def _met(one: str, other: str) -> str:
    """What two specifiers both allow."""
    if not one or not other or one == other:
        return one or other
    return " || ".join(f"{left},{right}" for left in one.split(" || ") for right in other.split(" || "))
