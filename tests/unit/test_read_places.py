"""The lines of TOML, however it is laid out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import tomli
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_lab.manifests.lock_lines import LockLines
from mlops_lab.manifests.toml_places import Lines, places

if TYPE_CHECKING:
    from collections.abc import Iterator

LAYOUT = '''\
# [not.a.table]
[project]
name = "a" # name = "b"
dependencies = [
    "numpy",  # ]
    'pandas; python_version < "3.12"', """
several
lines""",

    "ruff",
]
urls.home."the page" = """[no]
table = 1"""
[project.optional-dependencies]
gpu = ["a", "b",
  "c"]
[tool.poetry.group."dev.x".dependencies]
numpy = {version = "^1", extras = ["a", "b"]}
torch = [
  {version = "1"},
  {version = "2", python = "<3.12"}]
[[tool.poetry.source]]
name = "one"
[tool.poetry.source.more]
x = 1
[[tool.poetry.source]]
name = "two"
deep = [[1, 2],
  [3]]
[ "\\u0061" . 'b\\' ]
when = 2026-01-01 10:00:00
less = -1.5e3
'''


def test_where_everything_stands() -> None:
    found = places(LAYOUT)
    assert found["project",] == 2
    assert found["project", "name"] == 3
    assert [found["project", "dependencies", number] for number in range(4)] == [5, 6, 6, 10]
    assert found["project", "urls", "home", "the page"] == 12
    assert ("table",) not in found
    assert ("not", "a", "table") not in found
    assert [found["project", "optional-dependencies", "gpu", number] for number in range(3)] == [15, 15, 16]
    dependencies = ("tool", "poetry", "group", "dev.x", "dependencies")
    assert found[dependencies] == 17
    assert found[*dependencies, "numpy", "extras", 1] == 18
    assert found[*dependencies, "torch", 1, "python"] == 21
    assert found["tool", "poetry", "source", 0, "more", "x"] == 25
    assert found["tool", "poetry", "source", 1, "name"] == 27
    assert found["tool", "poetry", "source", 1, "deep", 1, 0] == 29
    assert found["a", "b\\", "less"] == 32
    assert (found["project", "dependencies"], found["tool", "poetry", "source"]) == (4, 22)


def test_line_ends_of_every_kind() -> None:
    assert places(LAYOUT.replace("\n", "\r\n")) == places(LAYOUT)
    assert [Lines("a\n\nb").at(place) for place in range(4)] == [1, 1, 2, 3]


# --- every way into what tomli reads -------------------------------------------------------------------------------

KEYS = st.sampled_from(["a", "b-1", "c.d", "é", 'q"', "#", ""])
LEAVES = st.sampled_from([1, -2.5, True, "x", "[", "]]\n", "a = 1", "'", '"', "\\", "#"])
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


def inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)}={inline(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return "[ # ]\n" + "".join(f"  {inline(each)},\n" for each in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def laid_out(value: dict[str, Any], way: tuple[str, ...] = ()) -> str:
    """Tables with headers, arrays of tables with two brackets, everything else in its line."""
    text = "[" + ".".join(json.dumps(key) for key in way) + "]\n" if way else ""
    tables = {key: each for key, each in value.items() if isinstance(each, dict)}
    arrays = {
        key: each
        for key, each in value.items()
        if isinstance(each, list) and each and all(isinstance(one, dict) for one in each)
    }
    for key, each in value.items():
        if key not in tables and key not in arrays:
            text += f"{json.dumps(key)} = {inline(each)} # = [\n"
    for key, each in tables.items():
        text += laid_out(each, (*way, key))
    for key, several in arrays.items():
        for one in several:
            text += "[" + laid_out(one, (*way, key)).replace("]\n", "]]\n", 1)
    return text


def ways(value: Any, way: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if way:
        yield way
    if isinstance(value, dict):
        for key, each in value.items():
            yield from ways(each, (*way, key))
    if isinstance(value, list):
        for number, each in enumerate(value):
            yield from ways(each, (*way, number))


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(value=st.dictionaries(KEYS, VALUES, max_size=4))
def test_every_part_has_a_line(value: dict[str, Any]) -> None:
    text = laid_out(value)
    assert tomli.loads(text) == value
    found = places(text)
    assert set(found) == set(ways(value))
    for way, line in found.items():
        names = [key for key in way if isinstance(key, str)]
        # From the line on, what is left of the text still holds the last key of the way.
        assert json.dumps(names[-1], ensure_ascii=True) in "\n".join(text.split("\n")[: line + 1])


# --- locks ---------------------------------------------------------------------------------------------------------

LOCK = """\
version = 1

[[package]]
name = "a"
version = "1"

[[package]]
name = "b"
description = '''
[[package]]
'''
version = "2"
dependencies = [
    { name = "a" },
]
"""


def test_lines_of_a_lock_in_which_a_text_looks_like_a_package() -> None:
    lines = LockLines(LOCK, 2)
    assert [lines.section(number).line() for number in range(2)] == [3, 7]
    section = lines.section(1)
    assert (section.of("version"), section.of("missing")) == (12, 7)
    section.turn_to("\nnothing", "\ndependencies = [")
    assert (section.next('{ name = "a"'), section.next('{ name = "z"')) == (14, 14)
    assert (lines.line_of("version"), lines.line_of("missing")) == (12, 1)


def test_lines_of_a_lock_in_one_line() -> None:
    lines = LockLines('package = [{ name = "a" }, { name = "b" }]\n', 2)
    assert [lines.section(number).line() for number in range(2)] == [1, 1]
    assert LockLines("", 1).section(0).of("version") == 1
