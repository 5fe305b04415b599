"""pyproject.toml: its groups and Pythons, as Poetry and uv read them; and how every reader here names file and line.

Only tomllib is imported, because every start of the program reads this file.
"""

from __future__ import annotations

import re
import tomllib
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from mlops_lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

__all__ = [
    "ANEW",
    "all_group_names",
    "at",
    "both_sides",
    "conflict",
    "declared",
    "group_names",
    "index_tables",
    "is_package",
    "named",
    "normalized",
    "poetry_only_groups",
    "project_name",
    "read",
    "read_bytes",
    "read_text",
    "read_toml",
    "requirements",
    "requirements_of",
    "requires_python",
]

SHAPES: tuple[tuple[str, type], ...] = (
    ("project", dict),
    ("project.name", str),
    ("project.requires-python", str),
    ("dependency-groups", dict),
    ("dependency-groups.*", list),
    ("tool", dict),
    ("tool.mlops-lab", dict),
    ("tool.uv", dict),
    ("tool.poetry", dict),
    ("tool.poetry.name", str),
    ("tool.poetry.dependencies", dict),
    ("tool.poetry.dependencies.python", str),
    ("tool.poetry.dev-dependencies", dict),
    ("tool.poetry.group", dict),
    ("tool.poetry.group.*", dict),
    ("tool.poetry.group.*.optional", bool),
    ("tool.poetry.group.*.dependencies", dict),
)
"""What must hold before anything here is read; `*` stands for every key."""

KINDS = {dict: "a table", list: "an array", str: "text", bool: "true or false", int: "a number", float: "a number"}

# Neither manager reads a broken lock, not even to lock anew.
ANEW = "take it as it was with `git checkout`, or delete it: `invoke lock` makes it anew"
"""What to do about a lock that cannot be read: nobody corrects one by hand."""

LARGE = 100_000
"""From how many characters on a text is read with the faster of two parsers."""

POSITION = re.compile(r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")
CONFLICT = re.compile(r"^(?:<{7}|>{7}|\|{7}) |^={7}\r?$", re.MULTILINE)
HEADER = re.compile(r"\s*\[{1,2}\s*([^\]]+?)\s*\]{1,2}\s*(?:#.*)?$")
KEY = re.compile(r"""\s*((?:[\w.-]|"[^"]*"|'[^']*')+)\s*=""")
PART = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")

# What `packaging` takes, which is not imported for every start: `~=3` and `>=3.x` are no specifiers.
RELEASE = r"v?\d+(?:\.\d+)*"
SUFFIX = r"(?:\.?(?:a|b|c|rc|alpha|beta|pre|preview)\d*)?(?:\.?post\d*)?(?:\.?dev\d*)?"
CLAUSE = re.compile(
    rf"(?:==|!=){RELEASE}\.\*|(?:===?|!=|[<>]=?){RELEASE}{SUFFIX}|~=v?\d+(?:\.\d+)+{SUFFIX}", re.IGNORECASE
)
CARET_OR_TILDE = re.compile(r"([~^])(\d+(?:\.\d+)*)\S*")
MINORS = range(50)
PATCHES = range(30)


# --- where it stands -----------------------------------------------------------------------------------------------


def at(path: Path, line: int, column: int, reason: str, hint: str = "") -> LabError:
    """The error for a place in a file, in the spelling that editors and terminals make a link of."""
    return LabError(f"{path.name}:{line}:{column}: {reason}", hint)


def conflict(path: Path, text: str) -> LabError | None:
    """The error for a merge-conflict marker, None when the text has none."""
    if not (found := CONFLICT.search(text)):
        return None
    line = text.count("\n", 0, found.start()) + 1
    return at(path, line, 1, "a merge conflict is not resolved", both_sides(path.name))


def both_sides(name: str) -> str:
    """What to do about a file in which a merge left both sides."""
    after = ", then `invoke lock`" if name.endswith(".lock") else ""
    return f"a merge left both sides in the file: keep one of them, as `git checkout --ours {name}` does{after}"


def _path_of_keys(text: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in PART.findall(text))


def _line_of(text: str, keys: tuple[str, ...]) -> int:
    """The line of a key. No TOML parser tells it, so the text is searched; a key in an inline table has its table's."""
    prefix: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := HEADER.match(line):
            prefix = here = _path_of_keys(header[1])
        elif key := KEY.match(line):
            here = (*prefix, *_path_of_keys(key[1]))
        else:
            continue
        if here[: len(keys)] == keys:
            return number
    return _line_of(text, keys[:-1]) if keys else 1


# --- reading -------------------------------------------------------------------------------------------------------


def read_bytes(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        LabError: There is none, it is a directory, or it cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        if path.is_symlink():
            raise LabError(f"{path.name}: leads to {path.readlink()}, which is not there", "mend the link") from error
        raise LabError(f"{path.name}: no such file in {path.parent}") from error
    except IsADirectoryError as error:
        raise LabError(f"{path.name}: a directory stands in its place", f"move {path} away") from error
    except OSError as error:
        raise LabError(f"{path.name}: cannot be read: {error.strerror}", f"see `ls -l {path}`") from error


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, a byte order mark included.

    Raises:
        LabError: It cannot be read, or is not UTF-8 (with the line).
    """
    data = read_bytes(path)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode()
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        bad = "UTF-16" if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else f"byte 0x{data[error.start]:02x}"
        raise at(path, line, column, f"not UTF-8 ({bad})", "save the file as UTF-8") from error


@lru_cache(maxsize=8)
def _loaded(text: str) -> dict[str, Any]:
    """The tables of a text, which nobody changes: one command reads a large lock several times, each time in 0.1 s."""
    if len(text) < LARGE:
        return tomllib.loads(text)
    import tomli

    try:
        # Compiled, it takes a third of the time; a small file is read before it is imported.
        return tomli.loads(text)
    except tomli.TOMLDecodeError:
        return tomllib.loads(text)


def read_toml(path: Path) -> tuple[dict[str, Any], str]:
    """The tables of a TOML file, and its text.

    Raises:
        LabError: It cannot be read, or is not TOML, with line and column.
    """
    text = read_text(path)
    if text.startswith("\ufeff"):
        raise at(path, 1, 1, "starts with a byte order mark", "save the file as UTF-8 without one (BOM)")
    try:
        return _loaded(text), text
    except RecursionError as error:
        raise at(path, 1, 1, "too many brackets inside of each other", "correct the file: it is not TOML") from error
    except ValueError as error:
        # Nearly always a TOMLDecodeError; a number of thousands of digits is one that only Python refuses.
        if unresolved := conflict(path, text):
            raise unresolved from error
        place = POSITION.search(str(error))
        line = int(place["line"]) if place and place["line"] else text.rstrip().count("\n") + 1
        column = int(place["column"]) if place and place["column"] else len(text.rstrip().rpartition("\n")[2]) + 1
        hint = ANEW if path.suffix == ".lock" else "correct the line: the file is not TOML"
        raise at(path, line, column, POSITION.sub("", str(error)), hint) from error


def _found(value: Any, keys: tuple[str, ...], seen: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:  # noqa: ANN401
    if not keys:
        yield seen, value
    elif isinstance(value, dict):
        for key in value if keys[0] == "*" else [keys[0]] if keys[0] in value else []:
            yield from _found(value[key], keys[1:], (*seen, key))


def read(path: Path) -> dict[str, Any]:
    """The tables of a pyproject.toml, in which whatever this module reads has the right type.

    Raises:
        LabError: It cannot be read, is not TOML, or a table is something else, with line and column.
    """
    data, text = read_toml(path)
    for name, kind in SHAPES:
        for keys, value in _found(data, tuple(name.split("."))):
            if not isinstance(value, kind):
                reason = f"{'.'.join(keys)} must be {KINDS[kind]}, not {KINDS.get(type(value), 'a date or time')}"
                raise at(path, _line_of(text, keys), 1, reason)
    try:
        requires_python(data)
    except LabError as error:
        keys = tuple(error.message.partition(" = ")[0].split("."))
        raise at(path, _line_of(text, keys), 1, error.message, error.hint) from error
    return data


# --- names and groups ----------------------------------------------------------------------------------------------


def normalized(name: str) -> str:
    """A name as every tool compares it: https://packaging.python.org/en/latest/specifications/name-normalization/."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _poetry(data: Mapping[str, Any]) -> dict[str, Any]:
    return cast("dict[str, Any]", data.get("tool", {}).get("poetry", {}))


def _pep735(data: Mapping[str, Any]) -> list[str]:
    return [normalized(name) for name in data.get("dependency-groups", {})]


def _poetry_groups(data: Mapping[str, Any]) -> dict[str, bool]:
    """Poetry's own groups and whether each is optional; `main` is another word for no group."""
    poetry = _poetry(data)
    groups = {normalized(name): bool(table.get("optional")) for name, table in poetry.get("group", {}).items()}
    if "dev-dependencies" in poetry:
        groups.setdefault("dev", False)
    return {name: optional for name, optional in groups.items() if name != "main"}


def all_group_names(data: Mapping[str, Any]) -> tuple[str, ...]:
    """Every group, in the declared order, those of [dependency-groups] before those that only Poetry has."""
    return tuple(dict.fromkeys([*_pep735(data), *_poetry_groups(data)]))


def group_names(data: Mapping[str, Any]) -> tuple[str, ...]:
    """Every group that is installed by default: all but Poetry's `optional = true`."""
    optional = {name for name, is_optional in _poetry_groups(data).items() if is_optional}
    return tuple(name for name in all_group_names(data) if name not in optional)


def poetry_only_groups(data: Mapping[str, Any]) -> tuple[str, ...]:
    """The groups that uv cannot see, because they are not in [dependency-groups]."""
    seen = _pep735(data)
    return tuple(name for name in _poetry_groups(data) if name not in seen)


def declared(data: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Where each package is declared: normalised name → its groups; the empty one is the project's own dependencies.

    Extras are left out: neither manager removes from them without being told which.
    """
    project, poetry = data.get("project", {}), _poetry(data)
    tables = {"": poetry.get("dependencies", {}), "dev": poetry.get("dev-dependencies", {})}
    places: list[tuple[str, Iterable[str]]] = [("", map(_named, project.get("dependencies", [])))]
    for group, requirements in data.get("dependency-groups", {}).items():
        places.append((normalized(group), [_named(each) for each in requirements if isinstance(each, str)]))
    for group, table in poetry.get("group", {}).items():
        tables["" if group == "main" else normalized(group)] = table.get("dependencies", {})
    places += [(group, (name for name in table if name != "python")) for group, table in tables.items()]
    found: dict[str, tuple[str, ...]] = {}
    for group, names in places:
        for name in map(normalized, names):
            found[name] = tuple(dict.fromkeys((*found.get(name, ()), group)))
    return found


def index_tables(data: Mapping[str, Any]) -> tuple[Any, Any]:
    """What a project says of indexes: uv's tables and Poetry's."""
    return data.get("tool", {}).get("uv", {}).get("index"), _poetry(data).get("source")


def requirements_of(data: Mapping[str, Any], group: str) -> list[str]:
    """The requirements of a group, or of the project itself, as they are written; Poetry's own tables left out."""
    if not group:
        texts = data.get("project", {}).get("dependencies", [])
    else:
        groups = {normalized(name): texts for name, texts in data.get("dependency-groups", {}).items()}
        texts = groups.get(normalized(group), [])
    return [text for text in texts if isinstance(text, str)]


def requirements(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Every requirement as it is written (normalised name, text): of all groups, extras and Poetry's own tables."""
    project, poetry = data.get("project", {}), _poetry(data)
    lists = [
        project.get("dependencies", []),
        *project.get("optional-dependencies", {}).values(),
        *data.get("dependency-groups", {}).values(),
    ]
    groups = poetry.get("group", {}).values()
    tables = [
        poetry.get("dependencies", {}),
        poetry.get("dev-dependencies", {}),
        *(group.get("dependencies", {}) for group in groups),
    ]
    texts = [text for each in lists for text in each if isinstance(text, str)]
    found = [(normalized(_named(text)), text.strip()) for text in texts]
    found += [
        (normalized(name), f"{name} {_written(value)}".strip()) for table in tables for name, value in table.items()
    ]
    return [(name, text) for name, text in found if name not in {"", "python"}]


def _written(value: object) -> str:
    """Poetry's constraint: a text, a table with `version`, or several of them."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return str(value.get("version") or next((f"{key} = {said}" for key, said in value.items()), ""))
    return " or ".join(map(_written, value)) if isinstance(value, list) else ""


def named(requirement: str) -> str:
    """The normalised name that a requirement starts with; empty where it has none."""
    return normalized(_named(requirement))


def _named(requirement: str) -> str:
    """The name that a requirement starts with (https://packaging.python.org/specifications/dependency-specifiers/)."""
    match = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", requirement)
    return match[1] if match else ""


def project_name(data: Mapping[str, Any]) -> str | None:
    """The project's normalised name, if it has one."""
    name = data.get("project", {}).get("name") or _poetry(data).get("name")
    return normalized(name) if name else None


def is_package(data: Mapping[str, Any], manager: str) -> bool:
    """Whether a manager installs the project itself too, or only what it depends on.

    https://python-poetry.org/docs/basic-usage/#operating-modes and
    https://docs.astral.sh/uv/concepts/projects/config/#build-systems
    """
    uv = data.get("tool", {}).get("uv", {})
    said = {"poetry": _poetry(data).get("package-mode", True), "uv": uv.get("package", "build-system" in data)}
    return bool(said[manager])


# --- which Pythons -------------------------------------------------------------------------------------------------


def requires_python(data: Mapping[str, Any]) -> str | None:
    """The Pythons that both [project] and Poetry allow, as one PEP 440 specifier.

    Raises:
        LabError: One of the two is not a version constraint.
    """
    own = str(data.get("project", {}).get("requires-python", ""))
    poetry = str(_poetry(data).get("dependencies", {}).get("python", ""))
    clauses = [
        *_checked("project.requires-python", own, "".join(own.split()).split(",")),
        *_checked("tool.poetry.dependencies.python", poetry, _from_poetry(poetry)),
    ]
    return ",".join(dict.fromkeys(clauses)) or None


def _checked(key: str, text: str, clauses: Iterable[str]) -> list[str]:
    wanted = [clause for clause in clauses if clause]
    if all(CLAUSE.fullmatch(clause) for clause in wanted):
        return wanted
    raise LabError(f'{key} = "{text}" is not a version constraint', 'write it as ">=3.11,<3.14"')


def _from_poetry(text: str) -> list[str]:
    """Poetry's constraints as PEP 440 clauses, https://python-poetry.org/docs/dependency-specification/."""
    alternatives = [_conjunction(part) for part in re.split(r"\|\|?", text)]
    if len(alternatives) == 1:
        return alternatives[0]
    for alternative in alternatives:
        _checked("tool.poetry.dependencies.python", text, alternative)
    return _union(alternatives)


def _conjunction(text: str) -> list[str]:
    words = re.sub(r"([<>=!~^])\s+", r"\1", text.strip())
    return [clause for word in re.split(r"[\s,]+", words) for clause in _pep440(word)]


def _pep440(word: str) -> list[str]:
    if word in {"", "*"}:
        return []
    if match := CARET_OR_TILDE.fullmatch(word):
        return [f">={word[1:]}", f"<{_upper(match[1], [int(number) for number in match[2].split('.')])}"]
    if word[0].isdigit():
        return [f"=={word}"]
    return [f"={word}"] if re.match(r"=\d", word) else [word]


def _upper(sign: str, numbers: list[int]) -> str:
    """The first version that `^` (keep the first number that is not 0) or `~` (keep the minor) leaves out."""
    first = next((place for place, number in enumerate(numbers) if number), len(numbers) - 1)
    keep = min(len(numbers), 2) - 1 if sign == "~" else first
    bumped = [*numbers[:keep], numbers[keep] + 1]
    return ".".join(str(number) for number in [*bumped, 0][: max(2, len(bumped))])


def _union(alternatives: list[list[str]]) -> list[str]:
    """The span of all alternatives without the minor versions that none allows: PEP 440 has no `or`."""
    from packaging.specifiers import SpecifierSet

    specifiers = [SpecifierSet(",".join(alternative)) for alternative in alternatives]
    minors = [
        minor
        for minor in MINORS
        if any(specifier.contains(f"3.{minor}.{patch}") for specifier in specifiers for patch in PATCHES)
    ]
    if not minors:
        return ["<0"]
    gaps = [f"!=3.{minor}.*" for minor in range(minors[0], minors[-1]) if minor not in minors]
    upper = [] if minors[-1] == MINORS[-1] else [f"<3.{minors[-1] + 1}"]
    return [f">=3.{minors[0]}", *upper, *gaps]
