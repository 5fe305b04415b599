"""Documents as JSON and back, and requirements as a file that pip reads."""

from __future__ import annotations

import json
import re
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import lru_cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from mlops_lab.errors import LabError
from mlops_lab.manifests import model
from mlops_lab.manifests.model import Document
from mlops_lab.manifests.pep508 import parse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlops_lab.manifests.model import Requirement

__all__ = ["as_requirements", "from_json", "to_json"]

HINT = "give it what `to_json` wrote"


# --- JSON ----------------------------------------------------------------------------------------------------------


def to_json(document: Document) -> str:
    """A document as JSON; what is as it is by default is left out."""
    return json.dumps(_plain(document), ensure_ascii=False, separators=(",", ":"))


def from_json(text: str) -> Document:
    """The document that `to_json` wrote.

    Raises:
        LabError: It is something else (code 2).
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LabError(f"not JSON: {str(error).splitlines()[0]}", HINT) from error
    found: Document = _made(data, Document, "the document")
    return found


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a document holds
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if not is_dataclass(value):
        return value
    said = ((each, getattr(value, each.name)) for each in fields(value))
    return {each.name: _plain(now) for each, now in said if each.default is MISSING or now != each.default}


@lru_cache
def _shape(kind: type) -> dict[str, tuple[Any, Field[Any]]]:
    """The type of each field."""
    hints = get_type_hints(kind, vars(model))
    return {each.name: (hints[each.name], each) for each in fields(kind)}


def _made(value: Any, kind: Any, where: str) -> Any:  # noqa: ANN401 - JSON, and whatever a document holds
    """A value of JSON as the type of a field wants it."""
    if isinstance(kind, UnionType):
        if value is None and NoneType in get_args(kind):
            return None
        return _made(value, next(each for each in get_args(kind) if each is not NoneType), where)
    if get_origin(kind) is tuple:
        return _several(value, get_args(kind), where)
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise LabError(f"{where} must be one of {', '.join(get_args(kind))}", HINT)
        return value
    if is_dataclass(kind) and isinstance(kind, type):
        return _object(value, kind, where)
    if type(value) is not kind:
        raise LabError(f"{where} must be {kind.__name__}, not {type(value).__name__}", HINT)
    return value


def _several(value: Any, kinds: tuple[Any, ...], where: str) -> tuple[Any, ...]:  # noqa: ANN401 - JSON
    if not isinstance(value, list):
        raise LabError(f"{where} must be a list, not {type(value).__name__}", HINT)
    if kinds[-1] is Ellipsis:
        return tuple(_made(each, kinds[0], f"{where}[{number}]") for number, each in enumerate(value))
    if len(value) != len(kinds):
        raise LabError(f"{where} must have {len(kinds)} entries, not {len(value)}", HINT)
    pairs = enumerate(zip(value, kinds, strict=True))
    return tuple(_made(each, kind, f"{where}[{number}]") for number, (each, kind) in pairs)


def _object(value: Any, kind: type, where: str) -> Any:  # noqa: ANN401 - JSON
    if not isinstance(value, dict):
        raise LabError(f"{where} must be an object, not {type(value).__name__}", HINT)
    shape = _shape(kind)
    if unknown := sorted(set(value) - set(shape)):
        raise LabError(f"{where} has no {unknown[0]}", HINT)
    if missing := [name for name, (_, each) in shape.items() if each.default is MISSING and name not in value]:
        raise LabError(f"{where} lacks {missing[0]}", HINT)
    return kind(**{name: _made(each, shape[name][0], f"{where}.{name}") for name, each in value.items()})


# --- requirements --------------------------------------------------------------------------------------------------


def as_requirements(requirements: Iterable[Requirement]) -> str:
    """Requirements as the text of a requirements.txt in the project's root.

    Names, versions, extras, markers and sources stand in it; groups and the project's own extras do not.

    Raises:
        LabError: One of them is nothing that pip can be asked for: a package of conda's, or alternative versions.
    """
    return "".join(f"{_line(each)}\n" for each in requirements)


def _line(one: Requirement) -> str:
    if one.kind == "conda":
        raise LabError(f"{one.path}:{one.line}: {one.name} is a package of conda's", "leave it out")
    if "||" in one.specifier:
        hint = f"write a range in {one.path}:{one.line}"
        raise LabError(f"{one.path}:{one.line}: pip knows no alternatives ({one.name} {one.specifier})", hint)
    extras = f"[{','.join(one.extras)}]" if one.extras else ""
    marker = f" ; {one.marker}" if one.marker else ""
    if one.kind == "index":
        return f"{one.name}{extras}{one.specifier}{marker}"
    return f"{one.name}{extras} @ {_address(one)}{marker}"


def _address(one: Requirement) -> str:
    """The address as it is written, with a revision; put together where the text is none of the standard's."""
    if one.kind == "path":
        return one.source if ":" in one.source else f"file:{one.source}"
    if found := re.search(r"@\s*(\S+)", one.text):
        try:
            asked = parse(f"{one.name} @ {found[1]}", "requirements.txt")
        except LabError:
            asked = None
        if asked and (asked.kind, asked.source) == (one.kind, one.source):
            return found[1]
    return f"git+{one.source}" if one.kind == "git" else one.source
