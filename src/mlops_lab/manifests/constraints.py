"""What Poetry and conda write about versions, as PEP 440 specifiers; ` || ` stands between alternatives.

Sources: https://python-poetry.org/docs/dependency-specification/ and
https://docs.conda.io/projects/conda-build/en/latest/resources/package-spec.html#package-match-specifications
"""

from __future__ import annotations

import re
from functools import lru_cache

from mlops_lab.errors import LabError

__all__ = ["SPECIFIER", "from_conda", "from_pep440", "from_poetry", "marker_of"]

_PUBLIC = (
    r"v?(?:\d+!)?\d+(?:\.\d+)*"
    r"(?:[-_.]?(?:alpha|beta|preview|pre|a|b|c|rc)[-_.]?\d*)?(?:-\d+|[-_.]?(?:post|rev|r)[-_.]?\d*)?(?:[-_.]?dev[-_.]?\d*)?"
)
_LOCAL = r"(?:\+[a-z0-9]+(?:[-_.][a-z0-9]+)*)?"
_VERSION = re.compile(_PUBLIC + _LOCAL, re.IGNORECASE)
_WILDCARD = r"v?(?:\d+!)?\d+(?:\.\d+)*\.\*"
_CLAUSE = (
    rf"(?:[=!]=\s*(?:{_WILDCARD}|{_PUBLIC}{_LOCAL})|===\s*[^\s;,)]+|[<>]=?\s*{_PUBLIC}|~=\s*v?(?:\d+!)?\d+(?:\.\d+)+"
    r"(?:[-_.]?(?:alpha|beta|preview|pre|a|b|c|rc)[-_.]?\d*)?(?:-\d+|[-_.]?(?:post|rev|r)[-_.]?\d*)?(?:[-_.]?dev[-_.]?\d*)?)"
)
# The end of a version has to be one: `==1.0x` is none.
SPECIFIER = rf"{_CLAUSE}(?:\s*,\s*{_CLAUSE})*"
"""A specifier set as a regular expression, for lines that are too many to make an object of each."""

_SET = re.compile(SPECIFIER, re.IGNORECASE)
_BARE_WILDCARD = re.compile(r"\d+(?:\.\d+)*\.\*")
_CONDA_CLAUSE = re.compile(r"(?P<operator>~=|==|!=|<=|>=|<|>|=)?\s*(?P<version>v?\d[\w.!+-]*?)(?P<glob>\.?\*)?")
# How conda tells a build from a version, `_parse_version_plus_build` in
# https://github.com/conda/conda/blob/main/conda/models/match_spec.py
_BUILD = re.compile(r"(?P<version>.+?[^><!,|]??)(?P<build>(?<![=!|,<>~])[ =][^-=,|<>~]+?)?$")
_BRACKET = re.compile(r"""(?:^|[\[,\s])version\s*=\s*(?:'(?P<one>[^']*)'|"(?P<two>[^"]*)"|(?P<bare>[^\s,\]'"]+))""")

MOST = 1_000
"""How long a constraint may be: the parsers take the square of the time for one of spaces."""
_POETRY_HINT = 'write it as Poetry does: "^2.1", "~2.1", ">=2,<3" or "*"'
_CONDA_HINT = 'write it as conda does: "numpy=2.1", "numpy >=2,<3" or "numpy 2.1.*"'


@lru_cache(maxsize=8192)
def from_poetry(text: str) -> str:
    """A constraint of Poetry's as a specifier; empty: every version.

    Raises:
        LabError: It is none.
    """
    plain = text.strip()
    if plain in {"", "*"}:
        return ""
    if _SET.fullmatch(plain):
        return "".join(plain.split())
    if _VERSION.fullmatch(plain) or _BARE_WILDCARD.fullmatch(plain):
        return f"=={plain}"
    return _from_core(plain)


@lru_cache(maxsize=8192)
def from_pep440(text: str) -> str:
    """A specifier without its spaces; empty: every version.

    Raises:
        LabError: It is none.
    """
    plain = text.strip()
    if not plain or _SET.fullmatch(plain):
        return "".join(plain.split())
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        return ",".join(str(each) for each in SpecifierSet(plain))
    except InvalidSpecifier as error:
        raise LabError(f'"{text}" is not a version specifier', 'write it as ">=2.1,<3"') from error


def _from_core(text: str) -> str:
    if len(text) > MOST:
        raise LabError(f"a version constraint of {len(text)} characters", _POETRY_HINT)
    # 0.1 s, which most locks can do without.
    from poetry.core.constraints.version import Version, parse_constraint

    try:
        constraint = parse_constraint(text)
    except (ValueError, RecursionError) as error:
        raise LabError(f'"{text}" is not a version constraint', _POETRY_HINT) from error
    if constraint.is_any():
        return ""
    if constraint.is_empty():
        return "<0"
    return f"=={constraint}" if isinstance(constraint, Version) else str(constraint)


def marker_of(variable: str, text: str) -> str | None:
    """The marker for Poetry's `python = …` or `platform = …` of a dependency; None: everywhere.

    Args:
        variable: `python_version` or `sys_platform`.
        text: The constraint.

    Raises:
        LabError: It is none.
    """
    from poetry.core.constraints import generic, version
    from poetry.core.packages.utils.utils import create_nested_marker

    if len(text) > MOST:
        raise LabError(f"a constraint of {len(text)} characters", _POETRY_HINT)
    parse = version.parse_constraint if variable == "python_version" else generic.parse_constraint
    try:
        constraint = parse(text)
        return None if constraint.is_any() else create_nested_marker(variable, constraint) or None
    except (ValueError, RecursionError) as error:
        raise LabError(f'"{text}" is not a constraint', _POETRY_HINT) from error


# --- conda ---------------------------------------------------------------------------------------------------------


def from_conda(rest: str, *, series: bool = False) -> str:
    """What follows a name in a spec of conda's, as a specifier; empty: every version.

    Versions that PEP 440 does not know, such as `1.1.1w` of a C library, are left out of ranges and stand behind `===`
    otherwise.

    Args:
        rest: Such as `=1.26`, ` 1.26 py311_0`, `>=1,<2` or `[version='>=1']`.
        series: Whether a version without an operator means all that start with it, as of Python.

    Raises:
        LabError: It is none.
    """
    plain = rest.strip()
    if len(plain) > MOST:
        raise LabError(f"a version of {len(plain)} characters", _CONDA_HINT)
    bracket, before = "", plain
    if "[" in plain:
        before, _, inside = plain.partition("[")
        if found := _BRACKET.search(inside.rpartition("]")[0] if "]" in inside else inside):
            bracket = found["one"] or found["two"] or found["bare"] or ""
    text = (bracket or before).strip()
    match = _BUILD.match(text)
    if not text or not match:
        return ""
    version, exact = match["version"].strip(), bool(match["build"])
    if exact and re.match(r"=[^=]", version):
        version = version[1:].strip()
    alternatives = [_conjunction(part, rest, series=series) for part in version.split("|")]
    return " || ".join(dict.fromkeys(alternatives)) if all(alternatives) else ""


def _conjunction(text: str, whole: str, *, series: bool) -> str:
    clauses = (_conda_clause(part.strip(), whole, series=series) for part in text.split(","))
    return ",".join(clause for clause in clauses if clause)


def _conda_clause(part: str, whole: str, *, series: bool) -> str:
    if part in {"*", "=*", "==*"}:
        return ""
    if not (match := _CONDA_CLAUSE.fullmatch(part)):
        raise LabError(f'"{whole.strip()}" is no version of conda\'s', _CONDA_HINT)
    operator, version = match["operator"] or ("=" if series else "=="), match["version"]
    if not _VERSION.fullmatch(version):
        return f"==={version}" if operator in {"=", "=="} else ""
    starts = match["glob"] or operator == "="
    if operator in {"=", "=="} and starts:
        return f"=={version}" if _has_suffix(version) else f"=={version}.*"
    if operator == "!=" and starts:
        return f"!={version}" if _has_suffix(version) else f"!={version}.*"
    if operator == "~=" and "." not in version:
        return f"=={version}.*"
    if operator in {"<", ">", "<=", ">=", "~="}:
        version = version.partition("+")[0]
    return f"{operator}{version}"


def _has_suffix(version: str) -> bool:
    """Whether no more numbers can follow."""
    return not re.fullmatch(r"v?(?:\d+!)?\d+(?:\.\d+)*", version)
