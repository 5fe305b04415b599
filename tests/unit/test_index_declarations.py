"""What one manager is told of second indexes in pyproject.toml, told to the other one."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from mlops_lab.errors import LabError
from mlops_lab.manifests.index_declarations import handed_over

FIRST, SECOND = "https://index.example/first", "https://index.example/second"
HEAD = """\
# A project.
[project]
name = "p"
version = "1"
requires-python = ">=3.11"
dependencies = ["torch>=2", "six"]  # both

[dependency-groups]
Dev = ["ruff"]
"""


def source(name: str = "first", url: str = FIRST, priority: str = "explicit") -> str:
    return f'\n[[tool.poetry.source]]\nname = "{name}"\nurl = "{url}"\npriority = "{priority}"\n'


def index(name: str = "first", url: str = FIRST, more: str = "explicit = true") -> str:
    return f'\n[[tool.uv.index]]\nname = "{name}"\nurl = "{url}"\n{more}\n'


def poetry_pins(*lines: str) -> str:
    return "\n[tool.poetry.dependencies]\n" + "".join(f"{line}\n" for line in lines)


def uv_pins(*lines: str) -> str:
    return "\n[tool.uv.sources]\n" + "".join(f"{line}\n" for line in lines)


def told(text: str, to: str) -> tuple[str, dict[str, Any], list[str]]:
    """The new text, the manager's table in it, and what was said; a second time there is nothing left to do."""
    new, said = handed_over(text, to)
    assert handed_over(new, to)[0] == new
    assert [each for each in handed_over(new, to)[1] if " cannot " not in each] == []
    return new, tomllib.loads(new)["tool"].get(to, {}), said


def test_uv_is_told_of_poetrys_index_and_of_what_comes_from_there() -> None:
    text = HEAD + poetry_pins('torch = { source = "first" }') + source()
    new, uv, said = told(text, "uv")
    assert new == text + index() + uv_pins('torch = { index = "first" }')
    assert uv == {
        "index": [{"name": "first", "url": FIRST, "explicit": True}],
        "sources": {"torch": {"index": "first"}},
    }
    assert said == ["pyproject.toml: uv is told of the index first, which Poetry has (torch comes from there)"]


def test_poetry_is_told_of_uvs_index_and_of_what_comes_from_there() -> None:
    text = HEAD + uv_pins('torch = { index = "first" }', 'Ruff = { index = "first" }') + index()
    new, poetry, said = told(text, "poetry")
    assert new.startswith(text)
    assert poetry == {
        "source": [{"name": "first", "url": FIRST, "priority": "explicit"}],
        "dependencies": {"torch": {"source": "first"}},
        # As the project spells it: Poetry refuses the same group in another spelling.
        "group": {"Dev": {"dependencies": {"Ruff": {"source": "first"}}}},
    }
    assert said == ["pyproject.toml: Poetry is told of the index first, which uv has (torch and Ruff come from there)"]


@pytest.mark.parametrize("to", ["poetry", "uv"])
def test_what_both_know_stays_as_it_is(to: str) -> None:
    pins = poetry_pins('torch = { source = "first" }') + uv_pins('torch = { index = "other" }')
    text = HEAD + pins + source() + index("other", f"{FIRST}/")
    assert handed_over(text, to) == (text, [])
    assert handed_over(HEAD, to) == (HEAD, [])


def test_of_a_known_index_only_the_package_is_told() -> None:
    text = HEAD + poetry_pins('torch = { source = "first" }') + source() + index("other", FIRST)
    _, uv, said = told(text, "uv")
    assert uv["sources"] == {"torch": {"index": "other"}}
    assert said == ["pyproject.toml: uv is told that torch comes from the index other, as Poetry is"]


@pytest.mark.parametrize(
    ("priority", "more"),
    [("explicit", {"explicit": True}), ("supplemental", {}), ("primary", {"default": True})],
)
def test_each_priority_has_its_like(priority: str, more: dict[str, bool]) -> None:
    _, uv, _ = told(HEAD + source("the first", priority=priority), "uv")
    assert uv["index"] == [{"name": "the-first", "url": FIRST, **more}]
    line = "".join(f"{key} = true" for key in more)
    _, poetry, _ = told(HEAD + index(more=line), "poetry")
    assert poetry["source"] == [{"name": "first", "url": FIRST, "priority": priority}]


def test_uv_has_one_default_index_the_last_of_poetrys() -> None:
    _, uv, _ = told(HEAD + source(priority="primary") + source("second", SECOND, "primary"), "uv")
    assert [each.get("default") for each in uv["index"]] == [None, True]


def test_poetrys_own_default_index_is_nothing_to_tell() -> None:
    text = HEAD + poetry_pins('six = { source = "pypi" }') + '\n[[tool.poetry.source]]\nname = "pypi"\n'
    assert handed_over(text, "uv") == (text, [])


def test_an_index_without_a_name_is_called_after_its_host() -> None:
    text = f'{HEAD}\n[tool.uv]\nindex-url = "{FIRST}"\nextra-index-url = ["https://other.example/simple"]\n'
    _, poetry, _ = told(text, "poetry")
    assert [(each["name"], each["priority"]) for each in poetry["source"]] == [
        ("other.example", "supplemental"),
        ("index.example", "primary"),
    ]


CANNOT = "pyproject.toml: Poetry cannot be told of the index"
FLAT = 'format = "flat" is a list of files, which Poetry takes as a page only (an address that ends in .html)'


def test_a_page_of_files_is_taken_and_a_folder_of_files_is_not() -> None:
    page = f"{FIRST}/torch_stable.html"
    _, uv, _ = told(HEAD + source(url=page), "uv")
    assert uv["index"] == [{"name": "first", "url": page, "format": "flat", "explicit": True}]
    _, poetry, _ = told(HEAD + index(url=page, more='format = "flat"'), "poetry")
    assert poetry["source"] == [{"name": "first", "url": page, "priority": "supplemental"}]
    text = HEAD + uv_pins('torch = { index = "first" }') + index(more='format = "flat"') + index("local", "./wheels")
    assert handed_over(text, "poetry") == (
        text,
        [
            f"{CANNOT} first: {FLAT}",
            f"{CANNOT} local: ./wheels is a folder, and Poetry needs an address",
        ],
    )


# --- markers and extras ---


def test_markers_go_with_the_origin_and_poetry_is_told_the_rest() -> None:
    pins = uv_pins(
        "torch = [",
        """  { index = "first", marker = "sys_platform == 'linux' and platform_machine == 'x86_64'" },""",
        """  { index = "second", marker = "sys_platform == 'win32'" },""",
        "]",
    )
    _, poetry, _ = told(HEAD + pins + index() + index("second", SECOND), "poetry")
    assert poetry["dependencies"]["torch"] == [
        {"source": "first", "markers": "sys_platform == 'linux' and platform_machine == 'x86_64'"},
        {"source": "second", "markers": "sys_platform == 'win32'"},
        {
            "markers": "(sys_platform != 'linux' or platform_machine != 'x86_64') and sys_platform != 'win32'",
        },
    ]


def test_markers_that_leave_nothing_out_have_no_rest() -> None:
    pins = uv_pins(
        "torch = [",
        """  { index = "first", marker = "os_name == 'java' or (python_version < '3.12' and os_name == 'nt')" },""",
        """  { index = "second", marker = "os_name != 'java' and (python_version >= '3.12' or os_name != 'nt')" },""",
        "]",
    )
    _, poetry, _ = told(HEAD + pins + index() + index("second", SECOND), "poetry")
    assert [each.get("source") for each in poetry["dependencies"]["torch"]] == ["first", "second"]


def test_pythons_and_platforms_of_poetry_become_markers() -> None:
    pins = poetry_pins(
        'torch = [{ source = "first", python = "^3.11.2", platform = "linux" },',
        """  { source = "second", markers = "sys_platform == 'darwin' or os_name == 'nt'", python = "<3.12" }]""",
    )
    _, uv, _ = told(HEAD + pins + source() + source("second", SECOND), "uv")
    assert uv["sources"]["torch"] == [
        {
            "index": "first",
            "marker": "sys_platform == 'linux' and python_full_version >= '3.11.2' and python_version < '4.0'",
        },
        {"index": "second", "marker": "(sys_platform == 'darwin' or os_name == 'nt') and python_version < '3.12'"},
    ]


def test_extras_that_exclude_each_other_do_so_for_both() -> None:
    pins = poetry_pins(
        """torch = [{ source = "first", markers = "extra == 'cpu' and extra != 'gpu'" },""",
        """  { source = "second", markers = "sys_platform == 'linux' and extra == 'gpu' and extra != 'cpu'" }]""",
    )
    _, uv, _ = told(HEAD + pins + source() + source("second", SECOND) + "\n[tool.uv]\npackage = false\n", "uv")
    assert uv["sources"]["torch"] == [
        {"index": "first", "extra": "cpu"},
        {"index": "second", "marker": "sys_platform == 'linux'", "extra": "gpu"},
    ]
    assert uv["conflicts"] == [[{"extra": "cpu"}, {"extra": "gpu"}]]
    back = HEAD + uv_pins('torch = [{ index = "first", extra = "cpu" }, { index = "second", extra = "gpu" }]')
    _, poetry, _ = told(back + index() + index("second", SECOND), "poetry")
    assert poetry["dependencies"]["torch"] == [
        {"source": "first", "markers": "extra == 'cpu' and extra != 'gpu'"},
        {"source": "second", "markers": "extra == 'gpu' and extra != 'cpu'"},
    ]


@pytest.mark.parametrize(
    ("to", "text", "where"),
    [
        (
            "uv",
            poetry_pins('torch = [{ source = "first", version = "1" }, { source = "second", version = "2" }]')
            + source()
            + source("second", SECOND),
            "tool.uv.sources",
        ),
        (
            "poetry",
            uv_pins('torch = [{ index = "first" }, { index = "second" }]') + index() + index("second", SECOND),
            "tool.poetry.dependencies",
        ),
    ],
)
def test_what_cannot_be_told_apart_is_said(to: str, text: str, where: str) -> None:
    _, _, said = told(HEAD + text, to)
    name = {"uv": "uv", "poetry": "Poetry"}[to]
    assert said[-1] == (
        f"pyproject.toml: {name} cannot be told that torch comes from first or second: declare it yourself in [{where}]"
    )


def test_a_version_in_poetrys_table_stays() -> None:
    text = HEAD + poetry_pins('torch = ">=2"  # new', 'six = { version = "1", optional = true }')
    pins = uv_pins(
        'Torch = { index = "first" }', 'six = { index = "first" }', 'ruff = { index = "first", group = "dev" }'
    )
    _, poetry, _ = told(text + pins + index(), "poetry")
    assert poetry["dependencies"] == {
        "torch": {"version": ">=2", "source": "first"},
        "six": {"version": "1", "optional": True, "source": "first"},
    }
    assert poetry["group"]["Dev"]["dependencies"] == {"ruff": {"source": "first"}}


def test_what_poetry_takes_from_elsewhere_stays() -> None:
    text = (
        HEAD
        + poetry_pins('torch = { path = "../torch" }')
        + source()
        + uv_pins('torch = { index = "first" }')
        + index()
    )
    assert handed_over(text, "poetry") == (text, [])


# --- the file ---


@pytest.mark.parametrize(
    "layout",
    [
        "[tool.uv]\n# limits\nenvironments = []\n\n[tool.ruff]\nline-length = 100\n",
        '[tool.uv]\nindex = [{ name = "o", url = "https://o.example/s" }]\n\n[tool.ruff]\n',
        '[[tool.uv.index]]\nname = "o"\nurl = "o"\n\n[tool.ruff]\n\n[tool.uv.sources]\nx = { path = "x" }\n',
        '[tool.uv.sources.x]\npath = "x"\n\n[tool.ruff]\n',
        '[tool]\nuv.sources.x.path = "x"\n',
        "",
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_layout_keeps_its_comments_and_blank_lines(layout: str, end: str) -> None:
    text = (HEAD + "\n" + layout + poetry_pins('torch = { source = "first" }  # gpu') + source()).replace("\n", end)
    new, uv, _ = told(text, "uv")
    assert {"name": "first", "url": FIRST, "explicit": True} in uv["index"]
    assert uv["sources"]["torch"] == {"index": "first"}
    assert all(line in new.split(end) for line in text.split(end) if not line.startswith("index = "))
    assert f"{end}{end}[tool.ruff]" in new or "[tool.ruff]" not in text
    assert new.count("\r\n") == (new.count("\n") if end == "\r\n" else 0)


def test_a_layout_that_takes_nothing_more_is_refused_with_what_to_write() -> None:
    inline = f'poetry = {{ source = [{{ name = "first", url = "https://me:pw@{FIRST[8:]}", priority = "explicit" }}] }}'
    text = HEAD.replace("# A project.", f"tool = {{ {inline}, uv = {{ }} }}")
    with pytest.raises(LabError) as caught:
        handed_over(text.replace("uv = { }", 'uv = { index = "no list" }'), "uv")
    assert caught.value.message == "pyproject.toml: nothing can be added to [tool.uv]"
    assert caught.value.hint.startswith('write it yourself: [[tool.uv.index]]\nname = "first"\nurl = "https://***@')
