"""What [tool.uv] asks for, https://docs.astral.sh/uv/concepts/projects/dependencies/."""

from __future__ import annotations

import fnmatch
import glob
import re
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from mlops_lab.errors import LabError, redact
from mlops_lab.manifests.model import Requirement
from mlops_lab.manifests.pep508 import parse
from mlops_lab.manifests.poetry_tables import both
from mlops_lab.manifests.pyproject import normalized
from mlops_lab.manifests.unread import Tables, from_root, kind_of, list_of, optional_text, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["Source", "Uv", "read", "with_sources"]

ROOT = ("tool", "uv")
_PYTHON = re.compile(r"(~=|===?|!=|<=|>=|<|>)\s*(\d[\w.*]*)")
LIMITS = {"constraint-dependencies": {"constrains": True}, "override-dependencies": {"overrides": True}}


@dataclass(frozen=True)
class Source:
    """Where uv takes a package from.

    Attributes:
        kind: As for a requirement.
        source: The index's name, an address, or a path.
        marker: Where it counts.
        extra: The project's own extra for which it counts; empty: for all.
        group: The group for which it counts; empty: for all.
    """

    kind: str
    source: str
    marker: str | None = None
    extra: str = ""
    group: str = ""


@dataclass
class Uv:
    """What uv's tables say.

    Attributes:
        dev: The dependencies of the group `dev`, in uv's older spelling.
        limits: Constraints and overrides.
        sources: Where packages come from.
        environments: The markers of the places that are supported.
        members: The folders of a workspace's members, from the project's root.
        pythons: Group → the marker of the Pythons that it is for.
    """

    dev: list[Requirement] = field(default_factory=list)
    limits: list[Requirement] = field(default_factory=list)
    sources: dict[str, list[Source]] = field(default_factory=dict)
    environments: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    pythons: dict[str, str] = field(default_factory=dict)


def read(uv: Mapping[str, Any], tables: Tables, folder: Path) -> Uv:
    """What uv's tables say.

    Args:
        uv: The table [tool.uv].
        tables: The whole file.
        folder: The file's folder.
    """
    if not uv:
        return Uv()
    limits = [each for key, fields in LIMITS.items() for each in _listed(uv, tables, key, **fields)]
    return Uv(
        dev=list(_listed(uv, tables, "dev-dependencies", group="dev")),
        limits=limits,
        sources=_sources(tables),
        environments=_environments(uv, tables),
        members=_members(tables, folder) if "workspace" in uv else (),
        pythons=_group_pythons(tables) if "dependency-groups" in uv else {},
    )


def with_sources(
    asked: Sequence[Requirement], sources: Mapping[str, Sequence[Source]], *, beside: bool
) -> list[Requirement]:
    """Requirements with where uv takes them from: one for each source of a package that has several.

    Args:
        asked: The requirements.
        sources: Name → where uv takes it from.
        beside: Whether Poetry reads the same requirements, and is not told of these sources.
    """
    found: dict[Requirement, None] = {}
    for one in asked:
        for each in _views(one, sources, beside=beside):
            # What both managers see in the same way is one requirement after all.
            other = replace(each, only={"uv": "poetry"}.get(each.only, ""))
            if each.only == "uv" and other in found:
                found = {replace(kept, only="") if kept == other else kept: None for kept in found}
            else:
                found[each] = None
    return list(found)


def _views(one: Requirement, sources: Mapping[str, Sequence[Source]], *, beside: bool) -> list[Requirement]:
    several = [each for each in sources.get(one.name, ()) if _counts(each, one)]
    if one.kind != "index" or one.only == "poetry" or not several:
        return [one]
    if all(each.kind == "index" for each in several):
        # From whichever index: the version that is asked for is the same.
        return [replace(one, source=one.source or several[0].source)]
    apart = beside and not one.only
    mine = replace(one, only="uv") if apart else one
    direct = [
        replace(mine, kind=each.kind, source=each.source, marker=both(one.marker, each.marker)) for each in several
    ]
    return [replace(one, only="poetry"), *direct] if apart else direct


def _counts(source: Source, one: Requirement) -> bool:
    return source.extra in {"", one.extra} and source.group in {"", one.group}


def _listed(uv: Mapping[str, Any], tables: Tables, key: str, **fields: Any) -> Iterator[Requirement]:  # noqa: ANN401 - fields
    line = tables.line(*ROOT, key)
    for number, text in enumerate(tables.notes.attempt(line, partial(list_of, uv, key, object)) or []):
        place = tables.line(*ROOT, key, number)
        made = tables.notes.attempt(place, partial(_one, text, tables.notes.path, place, fields))
        if made and tables.notes.marker(made.marker, place):
            yield made


def _one(text: object, path: str, line: int, fields: Mapping[str, Any]) -> Requirement:
    if not isinstance(text, str):
        raise LabError(f"a requirement must be text, not {kind_of(text)}")
    asked = parse(text, path)
    return Requirement(
        name=asked.name,
        specifier=asked.specifier,
        path=path,
        line=line,
        text=redact(text.strip()),
        marker=asked.marker,
        extras=asked.extras,
        kind=asked.kind,
        source=asked.source,
        only="uv",
        **fields,
    )


def _sources(tables: Tables) -> dict[str, list[Source]]:
    found = {}
    for name, value in tables.table(*ROOT, "sources").items():
        line = tables.line(*ROOT, "sources", name)
        several = value if isinstance(value, list) else [value]
        made = [tables.notes.attempt(line, partial(_source, each, tables.notes.path)) for each in several]
        found[normalized(name)] = [each for each in made if each is not None and tables.notes.marker(each.marker, line)]
    return found


def _source(value: object, path: str) -> Source:
    if not isinstance(value, dict):
        raise LabError(
            f"a source must be a table, not {kind_of(value)}", "write { index = … }, { git = … } or { path = … }"
        )
    kinds = {"git": "git", "url": "url", "path": "path", "workspace": "path", "index": "index"}
    key = next((key for key in kinds if key in value), "")
    if not key:
        raise LabError("a source names no index, git, url, path or workspace")
    address = "" if key == "workspace" else redact(text_of(value, key))
    return Source(
        kind=kinds[key],
        source=from_root(path, address) if key == "path" else address,
        marker=optional_text(value, "marker"),
        extra=normalized(text_of(value, "extra", "")),
        group=normalized(text_of(value, "group", "")),
    )


def _environments(uv: Mapping[str, Any], tables: Tables) -> tuple[str, ...]:
    line = tables.line(*ROOT, "environments")
    if isinstance(text := uv.get("environments"), str):
        found: list[str] = [text]
    else:
        found = tables.notes.attempt(line, partial(list_of, uv, "environments", str)) or []
    return tuple(marker for marker in found if tables.notes.marker(marker, line))


def _group_pythons(tables: Tables) -> dict[str, str]:
    """The Pythons of groups: https://docs.astral.sh/uv/concepts/projects/dependencies/#group-requires-python."""
    found = {}
    for group in tables.table(*ROOT, "dependency-groups"):
        keys = (*ROOT, "dependency-groups", group)
        text = tables.table(*keys).get("requires-python")
        clauses = _PYTHON.findall(text) if isinstance(text, str) else []
        if clauses:
            found[normalized(group)] = " and ".join(f"python_full_version {sign} '{full}'" for sign, full in clauses)
    return found


def _members(tables: Tables, folder: Path) -> tuple[str, ...]:
    """The folders that a workspace's patterns mean, as far as there is a project in them."""
    keys = (*ROOT, "workspace")
    workspace = tables.table(*keys)
    patterns = tables.texts(workspace, "members", (*keys, "members"))
    excluded = tables.texts(workspace, "exclude", (*keys, "exclude"))
    found: dict[str, None] = {}
    for pattern in patterns:
        # Of the two ways to look for files, `Path.glob` looks into hidden folders too, and so into environments.
        for name in sorted(glob.glob(pattern, root_dir=folder, recursive="**" in pattern)):  # noqa: PTH207
            place = name.replace("\\", "/").strip("/")
            left_out = any(fnmatch.fnmatchcase(place, each.strip("/")) for each in excluded)
            if not left_out and place != "." and (folder / name / "pyproject.toml").is_file():
                found[from_root(tables.notes.path, place)] = None
    return tuple(found)
