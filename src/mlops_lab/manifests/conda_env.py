"""conda.yml: what conda is asked for, as far as the rest of the program has to know it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import yaml

from mlops_lab.errors import LabError
from mlops_lab.manifests.marked import Item, composed, item, kind, mapping, refuse, sequence, text, texts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["CondaEnv", "is_python", "name_of", "python_specifier", "read"]

TOP = "write `name:`, `channels:` and `dependencies:`"

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
        dependencies: What conda is asked for, with lines.
        pip: What the nested `- pip:` list says, with lines.
        variables: What activation sets, as conda writes it into `conda-meta/state`.
        channel_items: The channels with lines.
    """

    path: Path
    name: str | None
    prefix: str | None
    channels: tuple[str, ...]
    python: str | None
    python_line: int | None
    dependencies: tuple[Item, ...] = ()
    pip: tuple[Item, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    channel_items: tuple[Item, ...] = ()


def read(path: Path) -> CondaEnv:
    """Read a conda environment file.

    Raises:
        LabError: It cannot be read, is not YAML, or something in it has the wrong type, with line and column.
    """
    top = mapping(path, composed(path), "the file", TOP)
    dependencies, pip = _dependencies(path, top.get("dependencies"))
    python, line = _python(dependencies)
    channels = texts(path, "channels", top.get("channels"))
    return CondaEnv(
        path=path,
        name=text(path, "name", top.get("name")),
        prefix=text(path, "prefix", top.get("prefix")),
        channels=tuple(channel.text for channel in channels),
        python=python,
        python_line=line,
        dependencies=tuple(dependencies),
        pip=tuple(pip),
        variables=_variables(path, top.get("variables")),
        channel_items=tuple(channels),
    )


def _dependencies(path: Path, node: yaml.Node | None) -> tuple[list[Item], list[Item]]:
    """What conda is asked for, and what pip is asked for in conda's nested `- pip: [...]`."""
    conda: list[Item] = []
    pip: list[Item] = []
    for entry in sequence(path, "dependencies", node):
        if not isinstance(entry, yaml.MappingNode):
            conda.append(item(path, "dependencies", entry))
            continue
        for key, value in mapping(path, entry, "dependencies").items():
            if key != "pip":
                hint = 'conda knows only pip there; quote a text that holds a colon and a space: "…"'
                refuse(path, entry, f'"{key}:" is no list that conda hands to another installer', hint)
            pip += texts(path, key, value)
    return conda, pip


def _variables(path: Path, node: yaml.Node | None) -> dict[str, str]:
    if kind(node) == "nothing":
        return {}
    found = {}
    for name, value in mapping(path, node, "variables", "write `NAME: value`").items():
        if not isinstance(value, yaml.ScalarNode):
            refuse(path, value, f"{name} must be text, not {kind(value)}", "write `NAME: value`")
        # https://github.com/conda/conda/blob/main/conda/base/constants.py (RESERVED_ENV_VARS)
        if name == "PATH":
            refuse(path, value, "PATH cannot be a variable of an environment", "conda sets it itself")
        found[name] = str(value.value)
    return found


def is_python(dependency: str) -> bool:
    """Whether a dependency asks for the interpreter."""
    return PYTHON.fullmatch(dependency.strip()) is not None


def name_of(dependency: str) -> str:
    """The name in a dependency such as `conda-forge::numpy >=2` or pip's `numpy[extra]==2.0`; empty without one."""
    match = re.match(r"(?:[^\s\[=]+::)?([A-Za-z0-9_][A-Za-z0-9._-]*)", dependency.strip())
    return match[1] if match else ""


def python_specifier(version: str) -> str:
    """Conda's version syntax for python as a PEP 440 specifier; `""` allows every version.

    `3.11` and `=3.11` mean the whole series in conda, see
    https://docs.conda.io/projects/conda-build/en/latest/resources/package-spec.html#package-match-specifications.

    Raises:
        LabError: PEP 440 has no such specifier, or it is not a version at all.
    """
    if "|" in version:
        raise LabError(
            f"python {version}: PEP 440 has no `or` between versions", 'write a range: "python >=3.11,<3.13"'
        )
    return ",".join(clause for part in "".join(version.split()).split(",") if (clause := _clause(part, version)))


def _clause(part: str, whole: str) -> str:
    if part == "*":
        return ""
    if not (match := CLAUSE.fullmatch(part)):
        raise LabError(
            f"python {whole}: not a version of python", 'write it as "python >=3.11,<3.14" or "python =3.12"'
        )
    operator, version = match["operator"] or "=", match["version"] + (match["pre"] or "")
    if operator == "=":
        return f"=={version}" if match["pre"] else f"=={version}.*"
    return f"{operator}{version}.*" if match["glob"] and operator in {"==", "!="} else f"{operator}{version}"


def _python(dependencies: list[Item]) -> tuple[str | None, int | None]:
    for dependency in dependencies:
        if match := PYTHON.fullmatch(dependency.text.strip()):
            return _version(match["rest"].strip()), dependency.line
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
