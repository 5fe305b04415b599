"""Second indexes in pyproject.toml: what one manager is told of, told to the other one in its own words.

Poetry: https://python-poetry.org/docs/repositories/#package-sources; uv: https://docs.astral.sh/uv/concepts/indexes/.
"""

from __future__ import annotations

import re
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mlops_lab.errors import LabError, redact
from mlops_lab.manifests.markers import PLATFORMS, holds, marker_environment
from mlops_lab.manifests.pyproject import _from_poetry, declared, normalized

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

__all__ = ["handed_over"]

NAMES: Mapping[str, str] = {"poetry": "Poetry", "uv": "uv"}
OTHER: Mapping[str, str] = {"poetry": "uv", "uv": "poetry"}
PAGES = (".htm", ".html")
"""What Poetry takes for a page of files rather than an index: its "single page link source"."""
MINORS = range(8, 20)
# Extras stand in Poetry's markers; uv has a key of its own for them.
EXTRA = re.compile(r"""\s*(?:and\s+)?extra\s*(==|!=)\s*["']([^"']+)["'](?:\s+and\b)?\s*""")
NEGATED = {"==": "!=", "<": ">=", ">": "<=", "in": "not in"} | {"!=": "==", ">=": "<", "<=": ">", "not in": "in"}


@dataclass(frozen=True)
class Index:
    """An index beside, or in place of, the default one.

    Attributes:
        name: As its manager calls it.
        url: Its address.
        use: `explicit` (only for what is pinned to it), `default` (in place of the default one) or `plain`.
        flat: Whether it is a list of files.
    """

    name: str
    url: str
    use: str
    flat: bool


@dataclass(frozen=True)
class Origin:
    """Where a package comes from.

    Attributes:
        index: The name of the index, empty for the default one.
        marker: Where that holds; empty: everywhere.
        extra: The extra for which it holds; empty: for none in particular.
        group: The dependency group for which it holds; empty: for none in particular.
    """

    index: str
    marker: str = ""
    extra: str = ""
    group: str = ""


@dataclass(frozen=True)
class Edit:
    """A value to write into a table.

    Attributes:
        path: The table's keys.
        key: The key in it.
        value: What to write.
        appended: Whether the value is one more in an array of tables.
    """

    path: tuple[str, ...]
    key: str
    value: Any
    appended: bool = False


def handed_over(text: str, to: str) -> tuple[str, list[str]]:
    """Tell a manager of the indexes that only the other one is told of, and which packages come from there.

    Args:
        text: A pyproject.toml.
        to: The manager that is to be told.

    Returns:
        The new text, which is the old one when there is nothing to tell, and a sentence for each declaration that was
        added or that the manager cannot take.

    Raises:
        LabError: The file is written in a way that nothing can be added to (code 2).
    """
    data = tomllib.loads(text)
    names, edits, said = _indexes(data, to)
    pins, more = _pins(data, to, names, said)
    # tomlkit ends its own lines as Unix does.
    windows = 0 < text.count("\n") == text.count("\r\n")
    new = text.replace("\r\n", "\n") if windows else text
    for edit in (*edits, *pins):
        new = _edited(new, edit)
    text = new.replace("\n", "\r\n") if windows else new
    return text, [*(_sentence(to, name, packages) for name, packages in said.items()), *more]


def _sentence(to: str, name: str, packages: Sequence[str]) -> str:
    if name.startswith("!"):
        return name[1:]
    verb = "comes" if len(packages) == 1 else "come"
    why = f" ({' and '.join(packages)} {verb} from there)" if packages else ""
    return f"pyproject.toml: {NAMES[to]} is told of the index {name}, which {NAMES[OTHER[to]]} has{why}"


# --- indexes -------------------------------------------------------------------------------------------------------


def _indexes(data: Mapping[str, Any], to: str) -> tuple[dict[str, str], list[Edit], dict[str, list[str]]]:
    """What is to be told of indexes.

    Returns:
        How the manager calls each index that the other one names; the edits; and what there is to say: a name, or a
        sentence behind a `!`, each with the packages that come from it.
    """
    known = _READ[to](data)
    names: dict[str, str] = {}
    edits: list[Edit] = []
    said: dict[str, list[str]] = {}
    for index in _in_order(_READ[OTHER[to]](data), to):
        same = next((each for each in known if _same(each, index)), None)
        if same is not None:
            names[index.name] = same.name
        elif reason := _refused(index, to):
            said[f"!pyproject.toml: {NAMES[to]} cannot be told of the index {index.name}: {reason}"] = []
        else:
            names[index.name] = _spelled(index.name)
            edits.append(_WRITE[to](index))
            said[_spelled(index.name)] = []
    return names, edits, said


def _in_order(indexes: Sequence[Index], to: str) -> list[Index]:
    """The indexes as the manager can take them: uv has one default index, Poetry several primary ones."""
    defaults = [index for index in indexes if index.use == "default"]
    if to != "uv" or len(defaults) < 2:  # noqa: PLR2004 - more than one
        return list(indexes)
    return [Index(index.name, index.url, "plain", index.flat) if index in defaults[:-1] else index for index in indexes]


def _same(first: Index, second: Index) -> bool:
    return _spelled(first.name) == _spelled(second.name) or first.url.rstrip("/") == second.url.rstrip("/")


def _spelled(name: str) -> str:
    """A name in the letters that uv allows."""
    return re.sub(r"[^\w.-]", "-", name, flags=re.ASCII)


def _refused(index: Index, to: str) -> str:
    if to == "uv":
        return ""
    if "://" not in index.url:
        return f"{index.url} is a folder, and Poetry needs an address"
    if index.flat and not index.url.endswith(PAGES):
        return 'format = "flat" is a list of files, which Poetry takes as a page only (an address that ends in .html)'
    return ""


def _tables(data: Mapping[str, Any], tool: str, key: str) -> Iterator[Mapping[str, Any]]:
    found = data.get("tool", {}).get(tool, {}).get(key, [])
    yield from (each for each in found if isinstance(each, dict)) if isinstance(found, list) else ()


def _poetry_indexes(data: Mapping[str, Any]) -> list[Index]:
    """Poetry's sources; one without an address is its own default index."""
    use = {"primary": "default", "default": "default", "explicit": "explicit"}
    return [
        Index(
            str(source["name"]),
            str(source["url"]),
            use.get(str(source.get("priority", "primary")).lower(), "plain"),
            str(source["url"]).endswith(PAGES),
        )
        for source in _tables(data, "poetry", "source")
        if source.get("url") and source.get("name")
    ]


def _uv_indexes(data: Mapping[str, Any]) -> list[Index]:
    """The indexes of uv, in the old spelling too; one without a name is called after its host."""
    uv = data.get("tool", {}).get("uv", {})
    extra = uv.get("extra-index-url", [])
    tables = [
        *_tables(data, "uv", "index"),
        *({"url": url} for url in (extra if isinstance(extra, list) else [extra])),
        *([{"url": uv["index-url"], "default": True}] if "index-url" in uv else []),
    ]
    return [
        Index(
            str(table.get("name") or urlsplit(str(table["url"])).hostname or "index"),
            str(table["url"]),
            "default" if table.get("default") else "explicit" if table.get("explicit") else "plain",
            table.get("format") == "flat",
        )
        for table in tables
        if table.get("url")
    ]


def _to_poetry(index: Index) -> Edit:
    priority = {"default": "primary", "explicit": "explicit", "plain": "supplemental"}[index.use]
    value = {"name": _spelled(index.name), "url": index.url, "priority": priority}
    return Edit(("tool", "poetry"), "source", value, appended=True)


def _to_uv(index: Index) -> Edit:
    value: dict[str, Any] = {"name": _spelled(index.name), "url": index.url}
    value |= {"format": "flat"} if index.flat else {}
    value |= {index.use: True} if index.use != "plain" else {}
    return Edit(("tool", "uv"), "index", value, appended=True)


_READ: Mapping[str, Callable[[Mapping[str, Any]], list[Index]]] = {"poetry": _poetry_indexes, "uv": _uv_indexes}
_WRITE: Mapping[str, Callable[[Index], Edit]] = {"poetry": _to_poetry, "uv": _to_uv}


# --- which packages come from them ---------------------------------------------------------------------------------


def _pins(
    data: Mapping[str, Any], to: str, names: Mapping[str, str], said: dict[str, list[str]]
) -> tuple[list[Edit], list[str]]:
    """What is to be told of packages; those that come from an index of `said` are added there."""
    edits: list[Edit] = []
    more: list[str] = []
    for package, origins in _ORIGINS[OTHER[to]](data).items():
        told = list(
            dict.fromkeys(
                Origin(names[each.index], each.marker, each.extra, each.group)
                for each in origins
                if each.index in names
            )
        )
        written = _PIN[to](data, package, told) if told else []
        if written is None:
            more.append(
                f"pyproject.toml: {NAMES[to]} cannot be told that {package} comes from {_either(told)}: "
                f"declare it yourself in [{_WHERE[to]}]"
            )
        elif written:
            edits += written
            for name in dict.fromkeys(each.index for each in told if each.index in said):
                said[name].append(package)
            known = list(dict.fromkeys(each.index for each in told if each.index not in said))
            if known:
                more.append(
                    f"pyproject.toml: {NAMES[to]} is told that {package} comes from the index {' or '.join(known)}, "
                    f"as {NAMES[OTHER[to]]} is"
                )
    return edits, more


def _either(origins: Iterable[Origin]) -> str:
    return " or ".join(dict.fromkeys(each.index for each in origins))


def _poetry_tables(data: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every table of dependencies that Poetry has, with its group; the main one's is empty."""
    poetry = data.get("tool", {}).get("poetry", {})
    yield "", poetry.get("dependencies", {})
    yield "dev", poetry.get("dev-dependencies", {})
    for group, table in poetry.get("group", {}).items():
        yield ("" if group == "main" else group), table.get("dependencies", {})


def _poetry_origins(data: Mapping[str, Any]) -> dict[str, list[Origin]]:
    found: dict[str, list[Origin]] = {}
    for _, table in _poetry_tables(data):
        for name, value in table.items():
            entries = value if isinstance(value, list) else [value]
            for entry in entries:
                if isinstance(entry, dict) and entry.get("source"):
                    marker, extra = _apart(_poetry_marker(entry)) if len(entries) > 1 else ("", "")
                    found.setdefault(name, []).append(Origin(str(entry["source"]), marker, extra))
    return found


def _poetry_marker(entry: Mapping[str, Any]) -> str:
    """The marker of a dependency of Poetry's, its `python` and `platform` included."""
    parts = [str(entry["markers"])] if entry.get("markers") else []
    if entry.get("platform"):
        parts.append(f"sys_platform == '{entry['platform']}'")
    for clause in _from_poetry(str(entry.get("python", ""))):
        match = re.fullmatch(r"(\D+)([\d.]+)(\.\*)?", clause)
        if match:
            variable = "python_full_version" if match[2].count(".") > 1 else "python_version"
            parts.append(f"{variable} {match[1]} '{match[2]}'")
    return " and ".join(f"({part})" if len(parts) > 1 and " or " in part else part for part in parts)


def _apart(marker: str) -> tuple[str, str]:
    """A marker without its extras, and the extra that it asks for."""
    wanted = [name for sign, name in EXTRA.findall(marker) if sign == "=="]
    return EXTRA.sub("", marker).strip(), normalized(wanted[0]) if wanted else ""


def _uv_origins(data: Mapping[str, Any]) -> dict[str, list[Origin]]:
    found: dict[str, list[Origin]] = {}
    sources = data.get("tool", {}).get("uv", {}).get("sources", {})
    for name, value in sources.items():
        for entry in value if isinstance(value, list) else [value]:
            if isinstance(entry, dict) and entry.get("index"):
                keys = ("index", "marker", "extra", "group")
                found.setdefault(name, []).append(Origin(*(str(entry.get(key, "")) for key in keys)))
    return found


def _pin_uv(data: Mapping[str, Any], package: str, origins: Sequence[Origin]) -> list[Edit] | None:
    """The edits that tell uv; None where it cannot be told."""
    sources = data.get("tool", {}).get("uv", {}).get("sources", {})
    if normalized(package) in map(normalized, sources):
        return []
    path = ("tool", "uv", "sources")
    if len({each.index for each in origins}) == 1 and not any(each.extra for each in origins):
        markers = [each.marker for each in origins]
        if len(origins) == 1 or not all(markers) or _everywhere(markers):
            return [Edit(path, package, {"index": origins[0].index})]
    if not all(each.marker or each.extra for each in origins):
        return None
    value = [
        {"index": each.index}
        | ({"marker": each.marker} if each.marker else {})
        | ({"extra": each.extra} if each.extra else {})
        for each in origins
    ]
    return [Edit(path, package, value), *_exclusive(data, [each.extra for each in origins if each.extra])]


def _exclusive(data: Mapping[str, Any], extras: Sequence[str]) -> list[Edit]:
    """Extras that give one package two origins exclude each other, which uv wants to be told."""
    if len(set(extras)) < 2 or "conflicts" in data.get("tool", {}).get("uv", {}):  # noqa: PLR2004 - more than one
        return []
    return [Edit(("tool", "uv"), "conflicts", [[{"extra": extra} for extra in dict.fromkeys(extras)]])]


def _pin_poetry(data: Mapping[str, Any], package: str, origins: Sequence[Origin]) -> list[Edit] | None:
    """The edits that tell Poetry, one for each group that has the package; None where it cannot be told."""
    tables = dict(_poetry_tables(data))
    known = [*data.get("dependency-groups", {}), *tables]
    edits = []
    groups = declared(data).get(normalized(package), ())
    for group in groups or ("",):
        wanted = [each for each in origins if normalized(each.group or group or "main") == (group or "main")]
        # Poetry takes the two spellings of one group for two groups, and refuses the second.
        spelled = next((name for name in known if normalized(name) == group), group) if group else ""
        path = ("tool", "poetry", *(("group", spelled) if group else ()), "dependencies")
        table = tables.get(spelled, {})
        key = next((name for name in table if normalized(name) == normalized(package)), package)
        there = table.get(key, {})
        if isinstance(there, list) or (isinstance(there, dict) and {"source", "git", "path", "url"} & there.keys()):
            continue  # Poetry is told already
        if not wanted:
            continue
        value = _poetry_value({"version": there} if isinstance(there, str) else dict(there), wanted)
        if value is None:
            return None
        edits.append(Edit(path, key, value))
    return edits


def _poetry_value(there: Mapping[str, Any], origins: Sequence[Origin]) -> Any:  # noqa: ANN401 - a table or a list
    """A dependency as Poetry writes it.

    Where a list of markers leaves a place out, Poetry takes the whole dependency for absent there, and uv the default
    index: the rest is written too. https://python-poetry.org/docs/dependency-specification/#multiple-constraints-dependencies
    """
    if len(origins) == 1 and not origins[0].marker and not origins[0].extra:
        return {**there, "source": origins[0].index}
    if "markers" in there or "python" in there or not all(each.marker or each.extra for each in origins):
        return None
    extras = list(dict.fromkeys(each.extra for each in origins if each.extra))
    value = []
    for each in origins:
        others = [f"extra != '{extra}'" for extra in extras if extra != each.extra]
        marker = f"({each.marker})" if each.extra and " or " in each.marker else each.marker
        parts = [marker] if marker else []
        parts += [f"extra == '{each.extra}'", *others] if each.extra else []
        value.append({**there, "source": each.index, "markers": " and ".join(parts)})
    rest = "" if extras else _rest([each.marker for each in origins])
    if rest is None:
        return None
    return [*value, {**there, "markers": rest}] if rest else value


_ORIGINS: Mapping[str, Callable[[Mapping[str, Any]], dict[str, list[Origin]]]] = {
    "poetry": _poetry_origins,
    "uv": _uv_origins,
}
_PIN: Mapping[str, Callable[[Mapping[str, Any], str, Sequence[Origin]], list[Edit] | None]] = {
    "poetry": _pin_poetry,
    "uv": _pin_uv,
}
_WHERE: Mapping[str, str] = {"poetry": "tool.poetry.dependencies", "uv": "tool.uv.sources"}


# --- markers -------------------------------------------------------------------------------------------------------


def _everywhere(markers: Sequence[str]) -> bool:
    return all(any(holds(marker, place) for marker in markers) for place in _places())


def _places() -> Iterator[dict[str, str]]:
    for platform in PLATFORMS:
        for minor in MINORS:
            for machine in ("x86_64", "aarch64", "arm64", "AMD64"):
                yield marker_environment(f"3.{minor}", platform) | {"platform_machine": machine}


def _rest(markers: Sequence[str]) -> str | None:
    """The marker of all places that these leave out; empty where there is none, None where it cannot be said."""
    from packaging.markers import Marker

    try:
        rest = " and ".join(_negated(Marker(marker)._markers) for marker in markers)  # noqa: SLF001 - no public way in
    except KeyError:
        return None
    return rest if any(holds(rest, place) for place in _places()) else ""


def _negated(parsed: Any) -> str:  # noqa: ANN401 - packaging's own nested lists
    """The opposite of a parsed marker; `and` binds more tightly than `or`."""
    if isinstance(parsed, tuple):
        left, sign, right = (part.serialize() for part in parsed)
        return f"{left} {NEGATED[sign]} {right}".replace('"', "'")
    alternatives: list[list[str]] = [[]]
    for part in parsed:
        if part == "or":
            alternatives.append([])
        elif part != "and":
            alternatives[-1].append(_negated(part))
    words = [" or ".join(each) for each in alternatives]
    if len(words) == 1:
        return words[0] if len(alternatives[0]) == 1 else f"({words[0]})"
    return " and ".join(f"({word})" if " or " in word else word for word in words)


# --- writing -------------------------------------------------------------------------------------------------------


def _edited(text: str, edit: Edit) -> str:
    """The text with one value more: in the table where there is one, else at the end.

    Whatever the layout, the result is read again: it holds what it held, and the value.
    """
    for attempt in (_in_place, _at_the_end):
        with suppress(Exception):  # what tomlkit cannot do in one layout it says in many ways
            if tomllib.loads(new := _spaced(attempt(text, edit), text)) == _applied(tomllib.loads(text), edit):
                return new
    raise LabError(
        f"pyproject.toml: nothing can be added to [{'.'.join(edit.path)}]",
        f"write it yourself: {redact(_block(edit)).strip()}",
    )


def _applied(data: dict[str, Any], edit: Edit) -> dict[str, Any]:
    table = data
    for key in edit.path:
        table = table.setdefault(key, {})
    if edit.appended:
        table.setdefault(edit.key, []).append(edit.value)
    else:
        table[edit.key] = edit.value
    return data


def _in_place(text: str, edit: Edit) -> str:
    import tomlkit
    from tomlkit.items import AoT

    document = tomlkit.parse(text)
    table: Any = document
    for key in edit.path:
        table = table[key]
    if not edit.appended:
        table[edit.key] = tomlkit.parse(f"value = {_toml(edit.value)}")["value"]
    elif isinstance(table[edit.key], AoT):
        table[edit.key].append(tomlkit.parse(_block(Edit((), "x", edit.value, appended=True)))["x"][0])
    else:
        table[edit.key].append(tomlkit.parse(f"value = {_toml(edit.value)}")["value"])
    return tomlkit.dumps(document)


def _spaced(text: str, before: str) -> str:
    """The text with a blank line above the tables that had one: tomlkit takes it away from below a new value."""
    blank = {line for above, line in pairwise(before.split("\n")) if line.startswith("[") and not above.strip()}
    spaced = [
        f"\n{line}" if above.strip() and line in blank else line for above, line in pairwise(["", *text.split("\n")])
    ]
    return "\n".join(spaced)


def _at_the_end(text: str, edit: Edit) -> str:
    return f"{text.rstrip()}\n\n{_block(edit)}"


def _block(edit: Edit) -> str:
    keys = [_key(part) for part in edit.path]
    if not edit.appended:
        return f"[{'.'.join(keys)}]\n{_key(edit.key)} = {_toml(edit.value)}\n"
    lines = [f"{_key(key)} = {_toml(value)}" for key, value in edit.value.items()]
    return "\n".join([f"[[{'.'.join([*keys, _key(edit.key)])}]]", *lines, ""])


def _key(text: str) -> str:
    return text if re.fullmatch(r"[\w-]+", text, flags=re.ASCII) else _toml(text)


def _toml(value: Any) -> str:  # noqa: ANN401 - what TOML can hold
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {_toml(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list) and all(isinstance(each, dict) for each in value):
        return "[\n" + "".join(f"    {_toml(each)},\n" for each in value) + "]"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
