"""What pyproject.toml asks for, in the words of the standards, of Poetry and of uv."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlops_lab.manifests import documents

if TYPE_CHECKING:
    from pathlib import Path

    from mlops_lab.manifests.model import Document, Requirement


def read(folder: Path, text: str, name: str = "pyproject.toml") -> Document:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return documents.read(path, folder)


def short(each: Requirement) -> tuple[object, ...]:
    """Line, name, specifier, and whatever else is not as usual."""
    usual = {"path", "line", "name", "specifier", "text"}
    other = {key: getattr(each, key) for key in each.__slots__ if key not in usual}
    said = [f"{key}={value}" for key, value in other.items() if value and value != "index"]
    return each.line, each.name, each.specifier, *said


def unread(found: Document) -> list[tuple[int, str, str]]:
    return [(note.line, note.message, note.hint) for note in found.unread]


def test_the_standards_own_tables(tmp_path: Path) -> None:
    text = """\
[project]
name = "My_Lab"
requires-python = ">= 3.11, <4"
dynamic = ["version"]
dependencies = [
  "NumPy >= 1.26, <3",  # a comment
  "uvicorn[standard, Http2] ; sys_platform != 'win32'", "old (>=1)",
  'lib @ git+ssh://me:secret@code.example/lib.git@v1.0#subdirectory=x ; os_name == "nt"',
  "wheel @ https://host.example/wheel-1-py3-none-any.whl",
]

[project.optional-dependencies]
gpu = ["torch==2.1.0+cu121"]
All_Of = ["my-lab[gpu]", "tqdm===4"]

[dependency-groups]
Test = [
  "pytest>=8", { include-group = "typing" }]
typing = ["mypy"]
dev = [{include-group = "test"}, "ruff~=0.14"]
none = []
"""
    found = read(tmp_path, text)
    assert [short(each) for each in found.requirements] == [
        (6, "numpy", ">=1.26,<3"),
        (7, "uvicorn", "", "marker=sys_platform != 'win32'", "extras=('http2', 'standard')"),
        (7, "old", ">=1"),
        (8, "lib", "", 'marker=os_name == "nt"', "kind=git", "source=ssh://***@code.example/lib.git"),
        (9, "wheel", "", "kind=url", "source=https://host.example/wheel-1-py3-none-any.whl"),
        (13, "torch", "==2.1.0+cu121", "extra=gpu"),
        (14, "my-lab", "", "extras=('gpu',)", "extra=all-of"),
        (14, "tqdm", "===4", "extra=all-of"),
        (18, "pytest", ">=8", "group=test"),
        (19, "mypy", "", "group=test"),
        (19, "mypy", "", "group=typing"),
        (18, "pytest", ">=8", "group=dev"),
        (19, "mypy", "", "group=dev"),
        (20, "ruff", "~=0.14", "group=dev"),
    ]
    assert "secret" not in str(found)
    assert [(each.specifier, each.line, each.text, each.key) for each in found.pythons] == [
        (">=3.11,<4", 3, ">= 3.11, <4", "project.requires-python")
    ]
    assert (found.name, found.role, found.dynamic) == ("my-lab", "manifest", ("version",))
    assert (found.groups, found.optional_groups) == (("test", "typing", "dev", "none"), ())
    assert found.extras == (("gpu", ("torch",)), ("all-of", ("my-lab", "tqdm")))
    assert not found.unread


def test_poetrys_own_layout(tmp_path: Path) -> None:
    text = """\
[tool.poetry]
name = "Old.Lab"
[tool.poetry.dependencies]
python = "^3.11"
numpy = "^1.26.4"
pandas = "~2.1"
exact = "1.2.3"
either = "<2 || >=3"
series = "1.2.*"
spaced = ">=1 <2"
any = "*"
whatever = "* || 1"
never = "<1 >2"
torch = [
  { version = "^2.1", platform = "linux", source = "cuda" },
  { version = "2.0.1", python = ">=3.11,<3.12", markers = "os_name == 'nt'" },
]
"dotted.name" = { version = ">=1", extras = ["B", "a"], optional = true }
lonely = { version = "1", optional = true }
lib = { path = "../lib", develop = true }
repo = { git = "https://code.example/repo.git", tag = "v1" }
page = { url = "https://host.example/page.whl" }
zipped = { file = "files/zipped.zip" }
[tool.poetry.extras]
Web = ["dotted-name"]
more = ["dotted.name"]
[tool.poetry.dev-dependencies]
black = "23.1"
[tool.poetry.group.main.dependencies]
six = "^0.0.3"
[tool.poetry.group.docs]
optional = true
include-groups = ["dev"]
[tool.poetry.group.docs.dependencies]
sphinx = "^7"
"""
    found = read(tmp_path, text)
    assert [short(each)[:-1] for each in found.requirements] == [
        (5, "numpy", ">=1.26.4,<2.0.0"),
        (6, "pandas", ">=2.1,<2.2"),
        (7, "exact", "==1.2.3"),
        (8, "either", "<2 || >=3"),
        (9, "series", "==1.2.*"),
        (10, "spaced", ">=1,<2"),
        (11, "any", ""),
        (12, "whatever", ""),
        (13, "never", "<0"),
        (15, "torch", ">=2.1,<3.0", 'marker=sys_platform == "linux"', "source=cuda"),
        (
            16,
            "torch",
            "==2.0.1",
            'marker=(os_name == \'nt\') and (python_version >= "3.11" and python_version < "3.12")',
        ),
        (18, "dotted-name", ">=1", "extras=('a', 'b')", "extra=web"),
        (18, "dotted-name", ">=1", "extras=('a', 'b')", "extra=more"),
        (19, "lonely", "==1", "constrains=True"),
        (20, "lib", "", "kind=path", "source=../lib"),
        (21, "repo", "", "kind=git", "source=https://code.example/repo.git"),
        (22, "page", "", "kind=url", "source=https://host.example/page.whl"),
        (23, "zipped", "", "kind=path", "source=files/zipped.zip"),
        (30, "six", ">=0.0.3,<0.0.4"),
        (28, "black", "==23.1", "group=dev"),
        (35, "sphinx", ">=7,<8", "group=docs"),
        (28, "black", "==23.1", "group=docs"),
    ]
    assert {each.only for each in found.requirements} == {"poetry"}
    assert [(each.specifier, each.line, each.key) for each in found.pythons] == [
        (">=3.11,<4.0", 4, "tool.poetry.dependencies.python")
    ]
    assert (found.name, found.groups, found.optional_groups) == ("old-lab", ("dev", "docs"), ("docs",))
    assert found.extras == (("web", ("dotted-name",)), ("more", ("dotted-name",)))
    assert not found.unread


def test_one_package_in_both_tables_is_one_requirement(tmp_path: Path) -> None:
    text = """\
[project]
dependencies = ["torch>=2", "numpy>=1,<3", "lib", "split"]
optional-dependencies.gpu = ["cupy"]
[dependency-groups]
dev = ["pytest>=8"]
[tool.poetry.dependencies]
torch = { source = "cuda" }
numpy = "^2.1"
lib = { path = "libs/lib" }
split = [{ version = "<2", python = "<3.12" }, { version = ">=2", platform = "win32" }]
cupy = { version = ">=13", optional = true }
unheard = "1"
[tool.poetry.group.dev.dependencies]
pytest = { version = "<9", allow-prereleases = true }
"""
    assert [short(each) for each in read(tmp_path, text).requirements] == [
        (2, "torch", ">=2", "source=cuda"),
        (2, "numpy", ">=1,<3,>=2.1,<3.0", "only=poetry"),
        (2, "numpy", ">=1,<3", "only=uv"),
        (2, "lib", "", "kind=path", "source=libs/lib", "only=poetry"),
        (2, "lib", "", "only=uv"),
        (2, "split", "<2", 'marker=python_version < "3.12"', "only=poetry"),
        (2, "split", ">=2", 'marker=sys_platform == "win32"', "only=poetry"),
        (2, "split", "", "only=uv"),
        (3, "cupy", ">=13", "extra=gpu", "only=poetry"),
        (3, "cupy", "", "extra=gpu", "only=uv"),
        (5, "pytest", ">=8,<9", "group=dev", "only=poetry"),
        (5, "pytest", ">=8", "group=dev", "only=uv"),
    ]
    # Told of the same folder in their own words, both managers see the same.
    told = f'{text}[tool.uv.sources]\nlib = {{ path = "libs/lib" }}\n'
    libs = [short(each) for each in read(tmp_path, told).requirements if each.name == "lib"]
    assert libs == [(2, "lib", "", "kind=path", "source=libs/lib")]
    # Said to be dynamic, what only Poetry's table names counts if it is of the other sort.
    mixed = text.replace('.gpu = ["cupy"]', " = {}").replace(
        "[project]", '[project]\ndynamic = ["optional-dependencies"]'
    )
    names = [each.name for each in read(tmp_path, mixed).requirements if each.only != "uv" and not each.group]
    assert names == ["torch", "numpy", "lib", "split", "split", "cupy"]


def test_uvs_tables(tmp_path: Path) -> None:
    for folder in ("packages/a", "packages/b", "packages/out", "packages/.hidden", "tools/c"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "pyproject.toml").touch()
    (tmp_path / "packages/empty").mkdir()
    text = """\
[project]
dependencies = ["torch>=2", "lib", "member", "elsewhere ; os_name == 'nt'"]
[project.optional-dependencies]
cpu = ["torch"]
[tool.uv]
dev-dependencies = ["ruff"]
constraint-dependencies = ["urllib3<3"]
override-dependencies = [
  "idna>=3"]
environments = "sys_platform == 'linux'"
[tool.uv.sources]
Torch = [{ index = "cpu", extra = "cpu" }, { index = "cuda", marker = "sys_platform == 'linux'" }]
lib = { path = "libs/lib", editable = true }
member = { workspace = true }
elsewhere = [
  { git = "https://code.example/e", rev = "x", marker = "python_version < '3.12'" },
  { url = "https://host.example/e.whl", marker = "python_version >= '3.12'" },
]
[tool.uv.workspace]
members = ["packages/*", "tools/c", "/opt/*"]
exclude = ["packages/out"]
"""
    found = read(tmp_path, text)
    assert [short(each) for each in found.requirements] == [
        (2, "torch", ">=2", "source=cuda"),
        (2, "lib", "", "kind=path", "source=libs/lib"),
        (2, "member", "", "kind=path"),
        (
            2,
            "elsewhere",
            "",
            "marker=(os_name == 'nt') and (python_version < '3.12')",
            "kind=git",
            "source=https://code.example/e",
        ),
        (
            2,
            "elsewhere",
            "",
            "marker=(os_name == 'nt') and (python_version >= '3.12')",
            "kind=url",
            "source=https://host.example/e.whl",
        ),
        (4, "torch", "", "extra=cpu", "source=cpu"),
        (6, "ruff", "", "group=dev", "only=uv"),
        (7, "urllib3", "<3", "constrains=True", "only=uv"),
        (9, "idna", ">=3", "overrides=True", "only=uv"),
    ]
    assert found.environments == ("sys_platform == 'linux'",)
    assert found.members == ("packages/a", "packages/b", "tools/c")
    assert not found.unread


def test_a_group_for_some_pythons_only(tmp_path: Path) -> None:
    text = """\
[dependency-groups]
docs = ["sphinx", "furo ; os_name == 'nt'"]
[tool.uv.dependency-groups]
docs = { requires-python = ">=3.12" }
gone = { requires-python = ">=3.12" }
"""
    assert [each.marker for each in read(tmp_path, text).requirements] == [
        "python_full_version >= '3.12'",
        "(python_full_version >= '3.12') and (os_name == 'nt')",
    ]


def test_groups_of_poetry_include_others_in_whatever_order(tmp_path: Path) -> None:
    text = """\
[tool.poetry.group.a]
include-groups = ["b"]
[tool.poetry.group.b]
include-groups = ["c", "a"]
[tool.poetry.group.b.dependencies]
six = "*"
[tool.poetry.group.c.dependencies]
rich = "*"
"""
    found = read(tmp_path, text)
    assert [(each.group, each.name) for each in found.requirements] == [
        ("a", "six"),
        ("a", "rich"),
        ("b", "six"),
        ("b", "rich"),
        ("c", "rich"),
    ]
    assert not found.unread


def test_paths_count_from_the_root(tmp_path: Path) -> None:
    text = '[project]\nname = "a"\ndependencies = ["b"]\n[tool.uv.sources]\nb = { path = "../b" }\n[tool.setuptools.dynamic]\ndependencies = { file = ["in.txt"] }\n'  # noqa: E501
    found = read(tmp_path, text, "packages/a/pyproject.toml")
    assert (found.path, found.requirements[0].source) == ("packages/a/pyproject.toml", "packages/b")
    assert found.includes == ("packages/a/in.txt",)


BAD = 'write for example: "numpy>=2", "uvicorn[standard]>=0.30 ; python_version < \'3.13\'"'
PARTS = [
    ('dependencies = ["a", "b c", "d"]', 3, '"b c" is no requirement (', BAD),
    ('dependencies = [\n"a",\n3]', 5, "a requirement must be text, not a number", ""),
    ("dependencies = 3", 3, "dependencies must be an array, not a number", "correct it, or make the file again"),
    ('dependencies = ["a ; python < 3"]', 3, '"python < 3" is not an environment marker: ', ""),
    (
        'requires-python = "^3"',
        3,
        'requires-python: "^3" is not a version specifier',
        'write it as ">=3.11,<3.14"',
    ),
    ("name = 1", 3, "name must be text, not a number", ""),
    ("optional-dependencies = []", 3, "project.optional-dependencies must be a table, not an array", ""),
    (
        "[dependency-groups]\na = [{ include-group = 'z' }]",
        4,
        'the group "a" includes "z", which is no group',
        "choose",
    ),
    ("[dependency-groups]\na = [{ include-group = 'a' }]", 4, 'the group "a" includes itself', "remove one of the"),
    ("[tool.poetry.dependencies]\na = 'new'", 4, 'a: "new" is not a version constraint', "write it as Poetry does:"),
    (
        f"[tool.poetry.dependencies]\na = '1{' ' * 60_000}2'",
        4,
        "a: a version constraint of 60002 characters",
        "write it as",
    ),
    (f"dependencies = ['a{' ' * 60_000}b']", 3, '"a   ', BAD),
    ("[tool.poetry.dependencies]\na = { version = 1 }", 4, "version must be text, not a number", ""),
    ("[tool.poetry.dependencies]\na = { python = 'new' }", 4, '"new" is not a constraint', "write it as Poetry does:"),
    ("[tool.poetry.dependencies]\na = { platform = 1 }", 4, "platform must be text, not a number", ""),
    ("[tool.poetry.dependencies]\npython = 3", 4, "python must be text, not a number", ""),
    ("[tool.poetry]\ngroup = 3", 4, "tool.poetry.group must be a table, not a number", ""),
    ("[tool.uv.sources]\na = { x = 1 }", 4, "a source names no index, git, url, path or workspace", ""),
    ("[tool.uv]\nenvironments = ['x']", 4, '"x" is not an environment marker: ', ""),
    ("[tool.uv]\nsources = 2026-01-01", 4, "tool.uv.sources must be a table, not a date or time", ""),
]


@pytest.mark.parametrize(("part", "line", "message", "hint"), PARTS)
def test_one_bad_part_leaves_the_rest(tmp_path: Path, part: str, line: int, message: str, hint: str) -> None:
    found = read(tmp_path, f"[project]\nversion = '1'\n{part}\n[tool.uv.workspace]\n[tool.x]\n", "pyproject.toml")
    (at, said, then), *others = unread(found)
    assert (at, said[: len(message)], then[: len(hint)], others) == (line, message, hint, [])


def test_what_is_good_beside_a_bad_part_is_there(tmp_path: Path) -> None:
    found = read(tmp_path, '[project]\ndependencies = ["a>=1", "b c"]\n[dependency-groups]\ndev = ["d"]\n')
    assert [short(each) for each in found.requirements] == [(2, "a", ">=1"), (4, "d", "", "group=dev")]
    assert len(found.unread) == 1
