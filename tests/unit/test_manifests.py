"""Every reader of a manifest or a lock: what it finds, and what it says about a broken file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mlops_lab.errors import WRONG, LabError
from mlops_lab.manifests import conda_env, poetry_lock, pyproject, requirements, uv_lock
from mlops_lab.manifests.marked import Item
from mlops_lab.manifests.markers import holds, marker_environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONFLICT = "a merge left both sides in the file: keep one of them, as `git checkout --ours {}` does"
ANEW = "take it as it was with `git checkout`, or delete it: `invoke lock` makes it anew"
NOT_TOML = "correct the line: the file is not TOML"
NOT_YAML = "correct the line: the file is not YAML"
HASH = "--hash=sha256:" + "a" * 64


def file(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refusal(call: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(LabError) as caught:
        call()
    assert caught.value.code == WRONG
    return caught.value.message, caught.value.hint


# --- pyproject.toml ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[project]\r\nname = \r\n", "pyproject.toml:2:8: Invalid value", NOT_TOML),
        ("[project\n", "pyproject.toml:1:9: Expected ']' at the end of a table declaration", NOT_TOML),
        ('a = "b', "pyproject.toml:1:7: Unterminated string", NOT_TOML),
        ('[project]\nname="a"\nname="b"\n', "pyproject.toml:3:9: Cannot overwrite a value", NOT_TOML),
        (
            "a = 1\n<<<<<<< HEAD\n",
            "pyproject.toml:2:1: a merge conflict is not resolved",
            CONFLICT.format("pyproject.toml"),
        ),
        (b"[a]\n# abc\xe9\n", "pyproject.toml:2:6: not UTF-8 (byte 0xe9)", "save the file as UTF-8"),
        ("a = 1".encode("utf-16"), "pyproject.toml:1:1: not UTF-8 (UTF-16)", "save the file as UTF-8"),
        (
            "\ufeffa = 1",
            "pyproject.toml:1:1: starts with a byte order mark",
            "save the file as UTF-8 without one (BOM)",
        ),
        ("tool = 3", "pyproject.toml:1:1: tool must be a table, not a number", ""),
        ('[tool]\nmlops-lab = "x"', "pyproject.toml:2:1: tool.mlops-lab must be a table, not text", ""),
        ("[project]\n\nname = 1", "pyproject.toml:3:1: project.name must be text, not a number", ""),
        (
            '["tool".poetry.group."dev"]\noptional = "yes"',
            "pyproject.toml:2:1: tool.poetry.group.dev.optional must be true or false, not text",
            "",
        ),
        (
            "[a]\n[dependency-groups]\ndev = { a = 1 }",
            "pyproject.toml:3:1: dependency-groups.dev must be an array, not a table",
            "",
        ),
        (
            "[tool]\npoetry = { group = { dev = 2026-01-01 } }",
            "pyproject.toml:2:1: tool.poetry.group.dev must be a table, not a date or time",
            "",
        ),
    ],
)
def test_a_broken_pyproject(tmp_path: Path, text: str | bytes, message: str, hint: str) -> None:
    assert refusal(lambda: pyproject.read(file(tmp_path, "pyproject.toml", text))) == (message, hint)


def test_no_pyproject_and_a_directory_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    assert refusal(lambda: pyproject.read(path)) == (f"pyproject.toml: no such file in {tmp_path}", "")
    path.mkdir()
    assert refusal(lambda: pyproject.read(path)) == (
        "pyproject.toml: a directory stands in its place",
        f"move {path} away",
    )


def test_groups_of_every_kind(tmp_path: Path) -> None:
    text = """
    [dependency-groups]
    Dev_Tools = []
    docs = []
    [tool.poetry.group.main.dependencies]
    [tool.poetry.group.docs]
    optional = true
    [tool.poetry.group.lab.dependencies]
    [tool.poetry.group.gpu]
    optional = true
    [tool.poetry.dev-dependencies]
    """
    data = pyproject.read(file(tmp_path, "pyproject.toml", text))
    assert pyproject.all_group_names(data) == ("dev-tools", "docs", "lab", "gpu", "dev")
    assert pyproject.group_names(data) == ("dev-tools", "lab", "dev")
    assert pyproject.poetry_only_groups(data) == ("lab", "gpu", "dev")


@pytest.mark.parametrize("data", [{}, {"project": {}}, {"tool": {"poetry": {}}}])
def test_an_empty_project(data: dict[str, Any]) -> None:
    assert pyproject.group_names(data) == ()
    assert pyproject.project_name(data) is None
    assert pyproject.requires_python(data) is None


def test_the_name_is_normalised() -> None:
    assert pyproject.project_name({"project": {"name": "My_Lab.x"}}) == "my-lab-x"
    assert pyproject.project_name({"tool": {"poetry": {"name": "Lab"}}}) == "lab"


@pytest.mark.parametrize(
    ("own", "poetry", "expected"),
    [
        (">=3.11", ">=3.11,<3.14", ">=3.11,<3.14"),
        (">= 3.11, <4", "", ">=3.11,<4"),
        ("", "^3.11", ">=3.11,<4.0"),
        ("", "^3", ">=3,<4.0"),
        ("", "^0.3.1", ">=0.3.1,<0.4"),
        ("", "^0", ">=0,<1.0"),
        ("", "~3.11", ">=3.11,<3.12"),
        ("", "~3", ">=3,<4.0"),
        ("", "~3.11.2", ">=3.11.2,<3.12"),
        ("", "~=3.11", "~=3.11"),
        ("", "3.11", "==3.11"),
        ("", "=3.11", "==3.11"),
        ("", "3.11.*", "==3.11.*"),
        ("", "*", None),
        (">=3.11", "*", ">=3.11"),
        ("", ">= 3.11 < 3.14", ">=3.11,<3.14"),
        ("", "^3.11,!=3.12.*", ">=3.11,<4.0,!=3.12.*"),
        ("", "~3.11 || ~3.13", ">=3.11,<3.14,!=3.12.*"),
        ("", "^3.12|>=3.14", ">=3.12"),
        ("", "<3|<2", "<0"),
    ],
)
def test_the_narrowest_python(own: str, poetry: str, expected: str | None) -> None:
    data = {"project": {"requires-python": own}, "tool": {"poetry": {"dependencies": {"python": poetry}}}}
    assert pyproject.requires_python(data) == expected


def test_a_python_that_is_no_constraint() -> None:
    hint = 'write it as ">=3.11,<3.14"'
    own = {"project": {"requires-python": "^3.11"}}
    assert refusal(lambda: pyproject.requires_python(own)) == (
        'project.requires-python = "^3.11" is not a version constraint',
        hint,
    )
    for text in ("new", "~3.11 || new", ">=3.11.*"):
        data = {"tool": {"poetry": {"dependencies": {"python": text}}}}
        message = f'tool.poetry.dependencies.python = "{text}" is not a version constraint'
        assert refusal(lambda data=data: pyproject.requires_python(data)) == (message, hint)  # type: ignore[misc]


# --- markers -------------------------------------------------------------------------------------------------------


def test_a_marker_environment_is_complete() -> None:
    found = marker_environment("3.12.1", "win32")
    assert found == {
        "implementation_name": "cpython",
        "implementation_version": "3.12.1",
        "os_name": "nt",
        "platform_machine": "AMD64",
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Windows",
        "platform_version": "",
        "python_full_version": "3.12.1",
        "python_version": "3.12",
        "sys_platform": "win32",
    }
    assert marker_environment("3.13")["python_full_version"] == "3.13.0"


def test_markers_hold_or_not() -> None:
    environment = marker_environment("3.11", "darwin")
    assert holds(None, environment)
    assert holds("python_version < '3.12' and sys_platform == 'darwin' and platform_release == ''", environment)
    assert not holds("extra == 'gpu'", environment)
    assert refusal(lambda: holds("python < 3", environment))[0].startswith(
        '"python < 3" is not an environment marker: '
    )
    assert refusal(lambda: marker_environment("3.11", "windows")) == (
        'unknown platform "windows"',
        "choose from linux, darwin, win32",
    )


# --- conda.yml -----------------------------------------------------------------------------------------------------


def test_a_conda_environment(tmp_path: Path) -> None:
    text = "\ufeffname: lab\r\nchannels: [conda-forge]\r\ndependencies:\r\n- python-dateutil\r\n- python >=3.11, <3.14 # x\r\n- pip:\r\n  - a==1\r\n"  # noqa: E501
    path = file(tmp_path, "conda.yml", text)
    assert conda_env.read(path) == conda_env.CondaEnv(
        path,
        "lab",
        None,
        ("conda-forge",),
        ">=3.11,<3.14",
        5,
        dependencies=(Item("python-dateutil", 4, 3), Item("python >=3.11, <3.14", 5, 3)),
        pip=(Item("a==1", 7, 5),),
        channel_items=(Item("conda-forge", 2, 12),),
    )


def test_a_conda_environment_with_nothing_in_it(tmp_path: Path) -> None:
    path = file(tmp_path, "conda.yml", "prefix: /opt/lab\nchannels:\ndependencies:\n")
    assert conda_env.read(path) == conda_env.CondaEnv(path, None, "/opt/lab", (), None, None)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "name: a\ndependencies:\n\t- python\n",
            "conda.yml:3:1: found character '\\t' that cannot start any token",
            "indent with spaces: YAML allows no tabs there",
        ),
        ("name: a\nb: 1\nname: c\n", 'conda.yml:3:1: "name" stands twice, first in line 1', "keep one of them"),
        (
            "",
            "conda.yml:1:1: the file must hold a mapping, not nothing",
            "write `name:`, `channels:` and `dependencies:`",
        ),
        (
            "- a\n",
            "conda.yml:1:1: the file must hold a mapping, not a list",
            "write `name:`, `channels:` and `dependencies:`",
        ),
        ("name: 3.11\n", "conda.yml:1:7: name must be text, not a number", "put it in quotes"),
        (
            "dependencies: python\n",
            "conda.yml:1:15: dependencies must be a list, not text",
            "start each line with a hyphen: `- `",
        ),
        (
            "dependencies:\n- 3.11\n",
            "conda.yml:2:3: dependencies must be a list of texts, not a number",
            "write one text after each hyphen",
        ),
        (
            "dependencies:\n- pip:\n  - 3\n",
            "conda.yml:3:5: pip must be a list of texts, not a number",
            "write one text after each hyphen",
        ),
        (
            "name: a\n<<<<<<< HEAD\nb: c\n=======\n",
            "conda.yml:2:1: a merge conflict is not resolved",
            CONFLICT.format("conda.yml"),
        ),
        ('a: "\x01"\n', "conda.yml:1:5: character 0x0001 is not allowed", NOT_YAML),
        ("a: [\n", "conda.yml:2:1: expected the node content, but found '<stream end>'", NOT_YAML),
        (b"a: 1\nname: \xe9\n", "conda.yml:2:7: not UTF-8 (byte 0xe9)", "save the file as UTF-8"),
    ],
)
def test_a_broken_conda_environment(tmp_path: Path, text: str | bytes, message: str, hint: str) -> None:
    assert refusal(lambda: conda_env.read(file(tmp_path, "conda.yml", text))) == (message, hint)


@pytest.mark.parametrize(
    ("dependency", "python"),
    [
        ("python", None),
        ("python_abi 3.11", None),
        ("python.app=3", None),
        ("python=3.11", "3.11"),
        ("python 3.11", "3.11"),
        ("python = 3.11", "3.11"),
        ("python==3.11.7", "==3.11.7"),
        ("python>= 3.11", ">=3.11"),
        ("python >=3.11,<3.14", ">=3.11,<3.14"),
        ("python=3.11.*=*_cpython", "3.11.*"),
        ("python 3.11.* *_cpython", "3.11.*"),
        ("python=3.11.7=h955ad1f_0", "3.11.7"),
        ("python=3.11|3.12", "3.11|3.12"),
        ("conda-forge/linux-64::python ~=3.11", "~=3.11"),
        ("'python[version=\">=3.11,<3.12\"]'", ">=3.11,<3.12"),
    ],
)
def test_the_python_of_a_conda_environment(tmp_path: Path, dependency: str, python: str | None) -> None:
    assert conda_env.read(file(tmp_path, "conda.yml", f"dependencies:\n- {dependency}\n")).python == python


@pytest.mark.parametrize(
    ("text", "specifier"),
    [
        ("3", "==3.*"),
        ("3.11", "==3.11.*"),
        ("=3.11", "==3.11.*"),
        ("3.11.*", "==3.11.*"),
        ("3.11*", "==3.11.*"),
        ("==3.11.7", "==3.11.7"),
        (">=3.11, <3.14", ">=3.11,<3.14"),
        (">=3.11.*,!=3.12.*", ">=3.11,!=3.12.*"),
        (">=3.11,<3.14.0a0", ">=3.11,<3.14.0a0"),
        ("=3.14.0rc1", "==3.14.0rc1"),
        ("*", ""),
    ],
)
def test_condas_versions_in_pep440(text: str, specifier: str) -> None:
    assert conda_env.python_specifier(text) == specifier


def test_versions_that_pep440_does_not_have() -> None:
    assert refusal(lambda: conda_env.python_specifier("3.11|3.12")) == (
        "python 3.11|3.12: PEP 440 has no `or` between versions",
        'write a range: "python >=3.11,<3.13"',
    )
    assert refusal(lambda: conda_env.python_specifier("new")) == (
        "python new: not a version of python",
        'write it as "python >=3.11,<3.14" or "python =3.12"',
    )


# --- requirements.txt ----------------------------------------------------------------------------------------------

REQUIREMENTS = f"""\
--extra-index-url https://index.example/simple
# a comment
NumPy==1.26.4 ; python_version < "3.12" \\
    {HASH} \\
    {HASH}
numpy==2.4.0 ; python_version >= "3.12" {HASH}
torch==2.1.0+cu121  # local
-e .
-e git+https://code.example/x.git#egg=edited
https://code.example/unnamed.zip
named @ https://code.example/named.zip ; sys_platform == "win32"
./wheels/foo_bar-1.0-py3-none-any.whl
ranged>=1
wild==1.*
built==1 --config-settings="--key=value"
--only-final :all:
"""


def test_the_pins_of_a_requirements_file(tmp_path: Path) -> None:
    found = requirements.read(file(tmp_path, "requirements.txt", REQUIREMENTS))
    assert [(pin.name, pin.version, pin.marker, pin.hashed, pin.line) for pin in found] == [
        ("numpy", "1.26.4", 'python_version < "3.12"', True, 3),
        ("numpy", "2.4.0", 'python_version >= "3.12"', True, 6),
        ("torch", "2.1.0+cu121", None, False, 7),
        ("edited", "", None, False, 9),
        ("named", "", 'sys_platform == "win32"', False, 11),
        ("foo-bar", "1.0", None, False, 12),
        ("ranged", "", None, False, 13),
        ("wild", "", None, False, 14),
        ("built", "1", None, False, 15),
    ]
    on_311 = requirements.pins_for(found, marker_environment("3.11", "linux"))
    assert (on_311["numpy"], "named" in on_311) == ("1.26.4", False)
    on_312 = requirements.pins_for(found, marker_environment("3.12", "win32"))
    assert (on_312["numpy"], on_312["named"]) == ("2.4.0", "")


@pytest.mark.parametrize(
    "text",
    [
        "a==1\r\nb==2 \\\r\n  --hash=sha256:" + "a" * 64 + "\r\n",
        "\ufeffa==1\nb==2\n",
        "a==1\nb==2\n".encode("utf-16"),
        b"# -*- coding: latin-1 -*- \xe9\na==1\nb==2\n",
    ],
)
def test_line_ends_and_encodings(tmp_path: Path, text: str | bytes) -> None:
    found = requirements.read(file(tmp_path, "requirements.txt", text))
    assert [(pin.name, pin.version) for pin in found] == [("a", "1"), ("b", "2")]


def test_included_files_are_read_and_constraints_are_not(tmp_path: Path) -> None:
    path = file(tmp_path, "requirements.txt", "-r base.txt\n-r https://index.example/r.txt\n-c limits.txt\nb==2\n")
    base = file(tmp_path, "base.txt", "\na==1\n")
    assert [(pin.name, pin.path, pin.line) for pin in requirements.read(path)] == [("b", path, 4), ("a", base, 2)]


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "a==1 \\\n  --hash=sha256:0\n\nhello world\n",
            'requirements.txt:4:1: "hello world" is nothing that pip takes (',
            "correct or remove the line",
        ),
        (
            "a=1\n",
            'requirements.txt:1:1: "a=1" is nothing that pip takes (= is not a valid operator. Did you mean == ?',
            "correct or remove the line",
        ),
        (
            "a==1\n--index-url https://me:secret@index.example --foo\n",
            'requirements.txt:2:1: "--index-url https://***@index.example --foo" is nothing that pip takes (no such',
            "correct or remove the line",
        ),
        (
            "a==1\n<<<<<<< HEAD\n",
            "requirements.txt:2:1: a merge conflict is not resolved",
            CONFLICT.format("requirements.txt"),
        ),
        ("\n-r requirements.txt\n", "requirements.txt:2:1: requirements.txt includes itself", "remove one of"),
        ("-r gone.txt\n", "requirements.txt:1:1: -r gone.txt: gone.txt: no such file in ", ""),
        (b"# -*- coding: new -*-\n", "requirements.txt:1:1: unknown encoding: new", "save the file as UTF-8"),
        (b"a==1\n# \xe9\n", "requirements.txt:2:1: not UTF-8", "save the file as UTF-8, or name its encoding"),
    ],
)
def test_a_broken_requirements_file(tmp_path: Path, text: str | bytes, message: str, hint: str) -> None:
    found = refusal(lambda: requirements.read(file(tmp_path, "requirements.txt", text)))
    assert (found[0][: len(message)], found[1][: len(hint)]) == (message, hint)


def test_what_a_user_types_as_packages() -> None:
    words = [
        "numpy",
        "NumPy",
        "numpy>=2",
        "numpy >= 2",
        'x[a]; python_version < "3.12"',
        "name @ git+https://h.example/x",
    ]
    assert requirements.parse_words(words) == ("numpy", "numpy>=2", words[4], words[5])
    assert requirements.parse_words(["b ", "a", "B"], names_only=True) == ("b", "a")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("", '"" is not a package'),
        ("; rm -rf ~", '"; rm -rf ~" is not a package'),
        ("$(id)", '"$(id)" is not a package'),
        ("--index-url=x", '"--index-url=x" is not a package'),
        ("-r", '"-r" is not a package'),
        ("a\nb", '"a\\nb" is not a package'),
        ("\x1b[31ma", '"\\x1b[31ma" is not a package'),
        ("../x", '"../x" is not a package'),
        ("https://me:secret@h.example/x.whl", '"https://***@h.example/x.whl" is not a package'),
        ("numpy pandas", '"numpy pandas" is not a package'),
        ("numpy=1", '"numpy=1" is not a package'),
        ("x-1.0-py3-none-any.whl", '"x-1.0-py3-none-any.whl" is a file, not the name of a package'),
        ("numpy@^2", '"numpy@^2": what follows @ is not an address'),
        ("x @ --index", '"x @ --index": what follows @ is not an address'),
    ],
)
def test_words_that_are_no_packages(word: str, message: str) -> None:
    hint = 'write for example: numpy, "numpy>=2", "name @ https://host/name.whl"'
    assert refusal(lambda: requirements.parse_words(["numpy", word])) == (message, hint)


@pytest.mark.parametrize("word", ["numpy>=2", "numpy[x]", "name @ https://h.example/x.whl"])
def test_only_names_are_removed(word: str) -> None:
    message = f'"{word}" is more than the name of a package'
    hint = "write only the name, for example: numpy"
    assert refusal(lambda: requirements.parse_words([word], names_only=True)) == (message, hint)


# --- the locks: one project, as both managers lock it --------------------------------------------------------------

POETRY_LOCK = """\
[[package]]
name = "Colorama"
version = "0.4.6"
optional = false
groups = ["main", "dev"]
markers = {main = "sys_platform == \\"win32\\""}

[[package]]
name = "numpy"
version = "1.26.4"
optional = false
groups = ["main"]
markers = "python_version == \\"3.11\\""

[[package]]
name = "numpy"
version = "2.5.5"
optional = false
groups = ["main"]
markers = "python_version >= \\"3.12\\""

[[package]]
name = "linkify-it-py"
version = "2.2.0"
optional = false
groups = ["docs", "dev"]
markers = {docs = "python_version >= \\"3.12\\"", dev = "sys_platform == \\"darwin\\""}

[[package]]
name = "torch"
version = "2.1.0+cu121"
optional = true
groups = ["main"]
markers = "extra == \\"gpu\\""

[package.source]
type = "legacy"
url = "https://index.example/simple"
reference = "torch"

[[package]]
name = "lib"
version = "1"
optional = false
groups = ["main"]

[package.source]
type = "directory"
url = "../lib"

[metadata]
lock-version = "2.1"
"""

UV_LOCK = """\
version = 1
requires-python = ">=3.11"

[[package]]
name = "colorama"
version = "0.4.6"
source = { registry = "https://index.example/simple" }

[[package]]
name = "demo"
source = { editable = "." }
dependencies = [
    { name = "colorama", marker = "sys_platform == 'win32'" },
    { name = "lib" },
    { name = "numpy", version = "1.26.4", source = { registry = "https://index.example/simple" }, marker = "python_full_version < '3.12'" },
    { name = "numpy", version = "2.5.5", source = { registry = "https://index.example/simple" }, marker = "python_full_version >= '3.12'" },
]

[package.optional-dependencies]
gpu = [{ name = "torch" }]
all = [{ name = "demo", extra = ["gpu"] }]

[package.dev-dependencies]
dev = [{ name = "colorama" }, { name = "markdown-it-py", extra = ["linkify"], marker = "sys_platform == 'darwin'" }]
docs = [{ name = "markdown-it-py", extra = ["linkify"], marker = "python_full_version >= '3.12'" }]

[[package]]
name = "lib"
version = "1"
source = { directory = "../lib" }

[[package]]
name = "linkify-it-py"
version = "2.2.0"
source = { registry = "https://index.example/simple" }
dependencies = [{ name = "markdown-it-py" }]

[[package]]
name = "markdown-it-py"
version = "4.3.0"
source = { git = "https://code.example/m.git?rev=x#1234" }

[package.optional-dependencies]
linkify = [{ name = "linkify-it-py" }]

[[package]]
name = "numpy"
version = "1.26.4"
source = { registry = "https://index.example/simple" }
resolution-markers = ["python_full_version < '3.12'"]

[[package]]
name = "numpy"
version = "2.5.5"
source = { registry = "https://index.example/simple" }
resolution-markers = ["python_full_version >= '3.13'", "python_full_version == '3.12.*'"]

[[package]]
name = "torch"
version = "2.1.0"
source = { registry = "https://index.example/simple" }
"""  # noqa: E501


def test_the_packages_of_a_poetry_lock(tmp_path: Path) -> None:
    found = poetry_lock.read(file(tmp_path, "poetry.lock", POETRY_LOCK))
    linkify = '(python_version >= "3.12") or (sys_platform == "darwin")'
    index = "https://index.example/simple"
    assert found == (
        poetry_lock.LockedPackage("colorama", "0.4.6", None, ("main", "dev"), False, None, "index"),
        poetry_lock.LockedPackage("numpy", "1.26.4", 'python_version == "3.11"', ("main",), False, None, "index"),
        poetry_lock.LockedPackage("numpy", "2.5.5", 'python_version >= "3.12"', ("main",), False, None, "index"),
        poetry_lock.LockedPackage("linkify-it-py", "2.2.0", linkify, ("docs", "dev"), False, None, "index"),
        poetry_lock.LockedPackage("torch", "2.1.0+cu121", 'extra == "gpu"', ("main",), True, index, "index"),
        poetry_lock.LockedPackage("lib", "1", None, ("main",), False, "../lib", "path"),
    )


def test_the_packages_of_a_uv_lock(tmp_path: Path) -> None:
    found = uv_lock.read(file(tmp_path, "uv.lock", UV_LOCK))
    two = "(python_full_version >= '3.13') or (python_full_version == '3.12.*')"
    assert [(package.name, package.marker, package.groups, package.optional, package.kind) for package in found] == [
        ("colorama", None, ("main", "dev"), False, "index"),
        ("demo", None, ("main",), False, "project"),
        ("lib", None, ("main",), False, "path"),
        ("linkify-it-py", None, ("dev", "docs"), False, "index"),
        ("markdown-it-py", None, ("dev", "docs"), False, "git"),
        ("numpy", "python_full_version < '3.12'", ("main",), False, "index"),
        ("numpy", two, ("main",), False, "index"),
        ("torch", None, ("main",), True, "index"),
    ]
    assert (found[1].version, found[2].source) == ("", "../lib")


@pytest.mark.parametrize("groups", [(), ("dev",), ("main", "Docs"), ("dev", "docs", "unknown")])
@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
@pytest.mark.parametrize("python", ["3.11", "3.12.4", "3.13"])
def test_both_locks_install_the_same(tmp_path: Path, python: str, platform: str, groups: tuple[str, ...]) -> None:
    poetry, uv = file(tmp_path, "poetry.lock", POETRY_LOCK), file(tmp_path, "uv.lock", UV_LOCK)
    environment = marker_environment(python, platform)
    found = uv_lock.versions_for(uv, environment, groups)
    found.pop("markdown-it-py", None)
    assert poetry_lock.versions_for(poetry, environment, groups) == found
    assert found["numpy"] == ("1.26.4" if python == "3.11" else "2.5.5")
    assert ("colorama" in found) == ("dev" in groups or platform == "win32")
    assert "torch" not in found
    assert "demo" not in found


def test_an_old_poetry_lock_says_nothing_of_groups(tmp_path: Path) -> None:
    packages = '[[package]]\nname="a"\nversion="1"\n[[package]]\nname="b"\nversion="1"\noptional=true\n'
    path = file(tmp_path, "poetry.lock", f'{packages}[metadata]\nlock-version="2.0"')
    assert [package.groups for package in poetry_lock.read(path)] == [(), ()]
    assert poetry_lock.versions_for(path, marker_environment("3.11"), ("dev",)) == {"a": "1"}


def test_a_uv_workspace_with_conflicting_groups() -> None:
    index = {"registry": "https://index.example/simple"}
    numpy = [{"name": "numpy", "version": version, "source": index} for version in ("1", "2", "3")]
    old = "python_full_version < '3.12' and extra == 'group-3-bar-b'"
    data: dict[str, Any] = {
        "manifest": {"members": ["bar", "foo"], "dependency-groups": {"dev": [{"name": "tool"}]}},
        "package": [
            {
                "name": "bar",
                "version": "1",
                "source": {"virtual": "packages/bar"},
                "dev-dependencies": {
                    "a": [numpy[0]],
                    "b": [
                        {**numpy[1], "marker": old},
                        {**numpy[2], "marker": "python_full_version >= '3.12' and extra != 'group-3-bar-a'"},
                    ],
                },
            },
            {"name": "foo", "version": "1", "source": {"editable": "packages/foo"}, "dependencies": [{"name": "bar"}]},
            *numpy,
            {"name": "tool", "version": "1", "source": index, "resolution-markers": ["python_version < '3.12'"]},
            {"name": "tool", "version": "2", "source": index, "resolution-markers": ["python_version >= '3.12'"]},
        ],
    }

    def found(python: str, *groups: str) -> dict[str, str]:
        return uv_lock.versions_for(data, marker_environment(python), groups)

    assert found("3.11", "a") == {"foo": "1", "numpy": "1"}
    assert found("3.11", "b", "dev") == {"foo": "1", "numpy": "2", "tool": "1"}
    assert found("3.12", "b", "dev") == {"foo": "1", "numpy": "3", "tool": "2"}


@pytest.mark.parametrize(
    ("name", "text", "message", "hint"),
    [
        ("poetry.lock", "[[package]\n", "poetry.lock:1:10: Expected ']]' at the end of an array declaration", ANEW),
        (
            "poetry.lock",
            "a = 1\r\n=======\r\n",
            "poetry.lock:2:1: a merge conflict is not resolved",
            f"{CONFLICT}, then `invoke lock`",
        ),
        (
            "poetry.lock",
            UV_LOCK,
            "poetry.lock:1:1: not a lock of Poetry: no lock-version in [metadata]",
            ANEW,
        ),
        (
            "poetry.lock",
            '[metadata]\nlock-version="2.1"\n[[package]]\nname="a"',
            "poetry.lock:1:1: not a lock of Poetry: a [[package]] without name or version",
            ANEW,
        ),
        (
            "uv.lock",
            ">>>>>>> theirs\n",
            "uv.lock:1:1: a merge conflict is not resolved",
            f"{CONFLICT}, then `invoke lock`",
        ),
        (
            "uv.lock",
            POETRY_LOCK,
            "uv.lock:1:1: not a lock of uv: no version or no requires-python",
            ANEW,
        ),
        (
            "uv.lock",
            'version=1\nrequires-python=""\n[[package]]\nname="a"',
            "uv.lock:1:1: not a lock of uv: a [[package]] without name or source",
            ANEW,
        ),
    ],
)
def test_a_broken_lock(tmp_path: Path, name: str, text: str, message: str, hint: str) -> None:
    reader = poetry_lock.read if name == "poetry.lock" else uv_lock.read
    assert refusal(lambda: reader(file(tmp_path, name, text))) == (message, hint.format(name))
