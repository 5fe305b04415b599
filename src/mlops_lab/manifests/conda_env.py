"""conda.yml: what conda is asked for, as far as the rest of the program has to know it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import yaml

from mlops_lab.errors import LabError
from mlops_lab.manifests.pyproject import at, conflict, read_text

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["CondaEnv", "python_specifier", "read"]

KINDS = {"map": "a mapping", "seq": "a list", "str": "text", "int": "a number", "float": "a number", "null": "nothing"}

PYTHON = re.compile(r"(?:[^\s\[=]+::)?python(?P<rest>$|[\s=<>!~\[].*)", re.IGNORECASE)
BRACKET = re.compile(r"""version\s*=\s*(?:'(?P<one>[^']*)'|"(?P<two>[^"]*)"|(?P<bare>[^\s,\]]+))""")
# How conda tells a build from a version, `_parse_version_plus_build` in
# https://github.com/conda/conda/blob/main/conda/models/match_spec.py
BUILD = re.compile(r"(?P<version>.+?[^><!,|]??)(?:(?<![=!|,<>~])[ =][^-=,|<>~]+?)?$")
CLAUSE = re.compile(
    r"(?P<operator>~=|==|!=|<=|>=|<|>|=)?(?P<version>\d+(?:\.\d+)*)(?P<pre>\.?(?:a|b|rc|dev)\d+)?(?P<glob>\.?\*)?",
)


@dataclass(frozen=True)
class CondaEnv:
    """A conda environment file.

    Attributes:
        path: The file.
        name: The environment's name.
        prefix: The environment's folder, which few files name.
        channels: As written.
        python: The version part of the python dependency in conda's syntax, such as `3.11` or `>=3.11,<3.14`.
        python_line: The line of the python dependency, also when it asks for no version.
    """

    path: Path
    name: str | None
    prefix: str | None
    channels: tuple[str, ...]
    python: str | None
    python_line: int | None


def read(path: Path) -> CondaEnv:
    """Read a conda environment file.

    Raises:
        LabError: It cannot be read, is not YAML, or something in it has the wrong type, with line and column.
    """
    top = _mapping(path, _composed(path), "the file")
    dependencies = _texts(path, "dependencies", top.get("dependencies"), nested=True)
    python, line = _python(dependencies)
    return CondaEnv(
        path=path,
        name=_text(path, "name", top.get("name")),
        prefix=_text(path, "prefix", top.get("prefix")),
        channels=tuple(text for text, _ in _texts(path, "channels", top.get("channels"))),
        python=python,
        python_line=line,
    )


def python_specifier(text: str) -> str:
    """Conda's version syntax for python as a PEP 440 specifier; `""` allows every version.

    `3.11` and `=3.11` mean the whole series in conda, see
    https://docs.conda.io/projects/conda-build/en/latest/resources/package-spec.html#package-match-specifications.

    Raises:
        LabError: PEP 440 has no such specifier, or it is not a version at all.
    """
    if "|" in text:
        raise LabError(f"python {text}: PEP 440 has no `or` between versions", 'write a range: "python >=3.11,<3.13"')
    return ",".join(clause for part in "".join(text.split()).split(",") if (clause := _clause(part, text)))


def _clause(part: str, text: str) -> str:
    if part == "*":
        return ""
    if not (match := CLAUSE.fullmatch(part)):
        raise LabError(f"python {text}: not a version of python", 'write it as "python >=3.11,<3.14" or "python =3.12"')
    operator, version = match["operator"] or "=", match["version"] + (match["pre"] or "")
    if operator == "=":
        return f"=={version}" if match["pre"] else f"=={version}.*"
    return f"{operator}{version}.*" if match["glob"] and operator in {"==", "!="} else f"{operator}{version}"


def _python(dependencies: list[tuple[str, int]]) -> tuple[str | None, int | None]:
    for text, line in dependencies:
        if match := PYTHON.fullmatch(text.strip()):
            return _version(match["rest"].strip()), line
    return None, None


def _version(rest: str) -> str | None:
    """The version in what follows the name: `=3.11=build`, ` 3.11 build`, ` >=3.11, <3.14` or `[version='…']`."""
    bracket = BRACKET.search(rest) if "[" in rest else None
    if bracket:
        return bracket["one"] or bracket["two"] or bracket["bare"]
    plain = rest.partition("[")[0].strip()
    if re.match(r"=[^=]", plain):
        plain = plain[1:].strip()
    match = BUILD.match(plain)
    return "".join(match["version"].split()) if match else None


# --- YAML with its marks -------------------------------------------------------------------------------------------


def _composed(path: Path) -> yaml.Node | None:
    text = read_text(path).removeprefix("\ufeff")
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise (conflict(path, text) or _broken(path, text, error)) from error


def _broken(path: Path, text: str, error: yaml.YAMLError) -> LabError:
    hint = "correct the line: the file is not YAML"
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        reason = error.problem or error.context or "not YAML"
        if "'\\t'" in reason:
            hint = "indent with spaces: YAML allows no tabs there"
        return at(path, mark.line + 1 if mark else 1, mark.column + 1 if mark else 1, reason, hint)
    before = text[: getattr(error, "position", 0)]
    reason = f"character {getattr(error, 'character', 0):#06x} is not allowed"
    return at(path, before.count("\n") + 1, len(before) - before.rfind("\n"), reason, hint)


def _refuse(path: Path, node: yaml.Node | None, reason: str, hint: str = "") -> NoReturn:
    line, column = (node.start_mark.line + 1, node.start_mark.column + 1) if node else (1, 1)
    raise at(path, line, column, reason, hint)


def _kind(node: yaml.Node | None) -> str:
    return KINDS.get(node.tag.rpartition(":")[2], node.tag.rpartition(":")[2]) if node else "nothing"


def _mapping(path: Path, node: yaml.Node | None, what: str) -> dict[str, yaml.Node]:
    if not isinstance(node, yaml.MappingNode):
        hint = "write `name:`, `channels:` and `dependencies:`"
        _refuse(path, node, f"{what} must hold a mapping, not {_kind(node)}", hint)
    found: dict[str, yaml.Node] = {}
    lines: dict[str, int] = {}
    for key, value in node.value:
        # PyYAML lets the last one win without a word; conda refuses the file.
        if key.value in found:
            _refuse(path, key, f'"{key.value}" stands twice, first in line {lines[key.value]}', "keep one of them")
        found[str(key.value)] = value
        lines[str(key.value)] = key.start_mark.line + 1
    return found


def _text(path: Path, what: str, node: yaml.Node | None) -> str | None:
    if _kind(node) == "nothing":
        return None
    if not isinstance(node, yaml.ScalarNode) or _kind(node) != "text":
        _refuse(path, node, f"{what} must be text, not {_kind(node)}", "put it in quotes")
    return str(node.value)


def _texts(path: Path, what: str, node: yaml.Node | None, *, nested: bool = False) -> list[tuple[str, int]]:
    """The texts of a list with their lines; `nested` allows conda's `- pip: [...]`, which is checked and left out."""
    if _kind(node) == "nothing":
        return []
    if not isinstance(node, yaml.SequenceNode):
        _refuse(path, node, f"{what} must be a list, not {_kind(node)}", "start each line with a hyphen: `- `")
    found = []
    for item in node.value:
        if nested and isinstance(item, yaml.MappingNode):
            for key, value in _mapping(path, item, what).items():
                _texts(path, key, value)
        elif _kind(item) != "text":
            _refuse(
                path, item, f"{what} must be a list of texts, not {_kind(item)}", "write one text after each hyphen"
            )
        else:
            found.append((str(item.value), item.start_mark.line + 1))
    return found
