"""pyproject.toml as what it asks for: [project], [dependency-groups], and what Poetry and uv say besides.

Sources: https://packaging.python.org/en/latest/specifications/pyproject-toml/,
https://packaging.python.org/en/latest/specifications/dependency-groups/
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from mlops_lab.errors import LabError, redact
from mlops_lab.manifests import poetry_tables, uv_tables
from mlops_lab.manifests.constraints import from_pep440
from mlops_lab.manifests.model import Document, PythonRange, Requirement
from mlops_lab.manifests.pep508 import parse
from mlops_lab.manifests.pyproject import normalized
from mlops_lab.manifests.toml_places import places
from mlops_lab.manifests.unread import Notes, Tables, from_root, kind_of, list_of, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from mlops_lab.manifests.poetry_tables import Poetry
    from mlops_lab.manifests.toml_places import Key
    from mlops_lab.manifests.uv_tables import Uv

__all__ = ["document"]


def document(data: Mapping[str, Any], path: str, text: str, folder: Path) -> Document:
    """A pyproject.toml as what it says; what cannot be understood in it is left out and noted.

    Args:
        data: Its tables.
        path: The file, from the project's root.
        text: Its text, for the lines.
        folder: Its folder, in which the members of a workspace are looked for.
    """
    tables = Tables(data, places(text), Notes(path))
    project = tables.table("project")
    tool = tables.table("tool")
    poetry = poetry_tables.read(tables.table("tool", "poetry") if tool else {}, tables)
    uv = uv_tables.read(tables.table("tool", "uv") if tool else {}, tables, folder)
    dynamic = tables.texts(project, "dynamic", ("project", "dynamic"))
    main = [*_listed(tables, project, ("project", "dependencies")), *_extras(tables)]
    grouped = _joined(_groups(tables, tables.table("dependency-groups")), poetry, uv)
    main = poetry_tables.joined(
        main, poetry.main, mixed="dependencies" in dynamic or "optional-dependencies" in dynamic
    )
    asked = [*main, *(each for several in grouped.values() for each in several), *uv.limits]
    extras = [*map(normalized, tables.table("project", "optional-dependencies")), *poetry.extras]
    requirements = uv_tables.with_sources(asked, uv.sources, beside="poetry" in tool)
    name = normalized(_name(tables, project) or poetry.name)
    pythons = (*_pythons(tables, project), *poetry.pythons)
    return Document(
        path=path,
        format="pyproject.toml",
        role="manifest",
        requirements=tuple(requirements),
        pythons=pythons,
        includes=_files(tables, "dependencies"),
        name=name,
        members=uv.members,
        environments=uv.environments,
        groups=tuple(grouped),
        optional_groups=tuple(poetry.optional),
        extras=tuple((extra, _brought(requirements, extra)) for extra in dict.fromkeys(extras)),
        dynamic=dynamic,
        # The last, because what stands before can have to be noted.
        unread=tables.notes.sorted(),
    )


def _joined(grouped: dict[str, list[Requirement]], poetry: Poetry, uv: Uv) -> dict[str, list[Requirement]]:
    """The standard's groups with what Poetry's and uv's tables say of them and of others."""
    for group, asked in poetry.groups.items():
        grouped[group] = poetry_tables.joined(grouped.get(group, []), asked)
    own = dict(grouped)
    for group in poetry.includes:
        others = (each for other in _included(group, poetry.includes) for each in own.get(other, ()))
        grouped[group] = [*own[group], *(replace(each, group=group) for each in others)]
    if uv.dev:
        grouped["dev"] = [*grouped.get("dev", ()), *uv.dev]
    for group, python in uv.pythons.items():
        if group in grouped:
            grouped[group] = [replace(each, marker=poetry_tables.both(python, each.marker)) for each in grouped[group]]
    return grouped


def _included(group: str, includes: Mapping[str, Sequence[str]]) -> list[str]:
    """The groups that a group includes, and those that these do, each once."""
    found = [group]
    for name in found:
        found += [other for other in dict.fromkeys(includes.get(name, ())) if other not in found]
    return found[1:]


def _brought(requirements: list[Requirement], extra: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each.name for each in requirements if each.extra == extra))


def _name(tables: Tables, project: Mapping[str, Any]) -> str:
    return tables.notes.attempt(tables.line("project", "name"), partial(text_of, project, "name", "")) or ""


def _pythons(tables: Tables, project: Mapping[str, Any]) -> Iterator[PythonRange]:
    line = tables.line("project", "requires-python")
    text = tables.notes.attempt(line, partial(text_of, project, "requires-python", "")) or ""
    if text and (specifier := tables.notes.attempt(line, partial(_range, text))) is not None:
        yield PythonRange(specifier, tables.notes.path, line, text, "project.requires-python")


def _range(text: str) -> str:
    try:
        return from_pep440(text)
    except LabError as error:
        raise LabError(f"requires-python: {error.message}", 'write it as ">=3.11,<3.14"') from error


def _files(tables: Tables, key: str) -> tuple[str, ...]:
    """The files from which setuptools takes what is dynamic.

    https://setuptools.pypa.io/en/latest/userguide/pyproject_config.html#dynamic-metadata
    """
    found = tables.data
    for part in ("tool", "setuptools", "dynamic", key):
        below = found.get(part)
        if not isinstance(below, dict):
            return ()
        found = below
    files = found.get("file")
    names = [files] if isinstance(files, str) else files if isinstance(files, list) else []
    return tuple(from_root(tables.notes.path, name) for name in names if isinstance(name, str))


# --- requirements --------------------------------------------------------------------------------------------------


def _one(tables: Tables, text: object, line: int, **fields: Any) -> Iterator[Requirement]:  # noqa: ANN401 - fields of any type
    """A requirement, if it is one."""

    def read() -> Requirement:
        if not isinstance(text, str):
            raise LabError(f"a requirement must be text, not {kind_of(text)}")
        asked = parse(text, tables.notes.path)
        return Requirement(
            name=asked.name,
            specifier=asked.specifier,
            path=tables.notes.path,
            line=line,
            text=redact(text.strip()),
            marker=asked.marker,
            extras=asked.extras,
            kind=asked.kind,
            source=asked.source,
            **fields,
        )

    made = tables.notes.attempt(line, read)
    if made and tables.notes.marker(made.marker, line):
        yield made


def _listed(tables: Tables, table: Mapping[str, Any], keys: Key, **fields: Any) -> Iterator[Requirement]:  # noqa: ANN401 - fields
    """The requirements of a list of texts."""
    texts = tables.notes.attempt(tables.line(*keys), partial(list_of, table, str(keys[-1]), object)) or []
    for number, text in enumerate(texts):
        yield from _one(tables, text, tables.line(*keys, number), **fields)


def _extras(tables: Tables) -> Iterator[Requirement]:
    keys = ("project", "optional-dependencies")
    table = tables.table(*keys)
    for extra in table:
        yield from _listed(tables, table, (*keys, extra), extra=normalized(extra))


def _groups(tables: Tables, groups: Mapping[str, Any]) -> dict[str, list[Requirement]]:
    """The requirements of each group, those of the groups that it includes too."""
    spelled = {normalized(name): name for name in groups}
    own: dict[str, list[Requirement | str]] = {name: [] for name in spelled}
    for name, written in spelled.items():
        keys = ("dependency-groups", written)
        entries = tables.notes.attempt(tables.line(*keys), partial(list_of, groups, written, object)) or []
        for number, entry in enumerate(entries):
            line = tables.line(*keys, number)
            if not isinstance(entry, dict):
                own[name] += _one(tables, entry, line, group=name)
            elif isinstance(other := entry.get("include-group"), str) and normalized(other) in spelled:
                own[name].append(normalized(other))
            else:
                hint = f"choose from {', '.join(spelled.values())}"
                tables.notes.add(line, f'the group "{written}" includes {_shown(entry)}, which is no group', hint)
    found = {}
    for name in own:
        found[name] = [replace(each, group=name) for each in _flat(name, own, (name,), tables)]
    return found


def _shown(entry: Mapping[str, Any]) -> str:
    other = entry.get("include-group")
    return f'"{other}"' if isinstance(other, str) else "something"


def _flat(
    name: str, own: Mapping[str, list[Requirement | str]], chain: tuple[str, ...], tables: Tables
) -> Iterator[Requirement]:
    for each in own[name]:
        if not isinstance(each, str):
            yield each
        elif each in chain:
            line = tables.line("dependency-groups", chain[0])
            tables.notes.add(line, f'the group "{chain[0]}" includes itself', "remove one of the `include-group`")
        else:
            yield from _flat(each, own, (*chain, each), tables)
