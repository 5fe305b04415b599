"""Which files of a project count, how their format is told, and that a broken one is a note and no crash."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops_lab.errors import LabError
from mlops_lab.manifests import documents
from mlops_lab.manifests.markers import marker_environment
from mlops_lab.manifests.model import Document, Unread

HERE = Path(__file__).resolve().parents[2]
HASH = "--hash=sha256:" + "a" * 64


def project(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def discovered(root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in documents.discover(root)]


# --- which files ---------------------------------------------------------------------------------------------------


def test_what_belongs_to_a_project(tmp_path: Path) -> None:
    root = project(
        tmp_path,
        {
            "pyproject.toml": """\
[project]
name = "lab"
dependencies = ["near", "far"]
[tool.uv.sources]
near = { path = "libs/near" }
far = { path = "../far" }
[tool.uv.workspace]
members = ["packages/*"]
""",
            "libs/near/pyproject.toml": "",
            "libs/near/requirements.txt": "",
            "packages/one/pyproject.toml": "",
            "packages/none/readme": "",
            "poetry.lock": "",
            "uv.lock": "",
            "pylock.toml": "",
            "pylock.gpu.toml": "",
            "conda.yml": "dependencies:\n- pip:\n  - -r deploy/cloud.txt\n",
            "environment-dev.yaml": "",
            "conda-lock.yml": "",
            "docker-compose.yml": "",
            "requirements.txt": "-r base.pip\n-c limits/all.txt\n-r gone.txt\n-r https://index.example/r.txt\n",
            "base.pip": "-r requirements.txt\n-r deep.txt\na\n",
            "deep.txt": "",
            "limits/all.txt": "",
            "deploy/cloud.txt": "",
            "requirements-dev.in": "",
            "dev-requirements.txt": "",
            "requirements_test.txt": "",
            "constraints.txt": "",
            "notes.txt": "",
            "requirements/docs.txt": "",
            "requirements/docs.in": "",
            "requirements/readme.md": "",
            ".python-version": "3.12",
            ".venv/pyproject.toml": "",
            "other/pyproject.toml": "",
            "other/requirements.txt": "",
            "tests/fixtures/requirements.txt": "",
            "node_modules/x/pyproject.toml": "",
        },
    )
    assert discovered(root) == [
        "pyproject.toml",
        "packages/one/pyproject.toml",
        "libs/near/pyproject.toml",
        "poetry.lock",
        "uv.lock",
        "pylock.gpu.toml",
        "pylock.toml",
        "conda.yml",
        "deploy/cloud.txt",
        "environment-dev.yaml",
        ".python-version",
        "constraints.txt",
        "dev-requirements.txt",
        "requirements-dev.in",
        "requirements.txt",
        "base.pip",
        "deep.txt",
        "limits/all.txt",
        "requirements_test.txt",
        "requirements/docs.in",
        "requirements/docs.txt",
    ]


def test_what_an_odd_file_includes_belongs_to_it_too(tmp_path: Path) -> None:
    root = project(
        tmp_path,
        {"environment.yml": 'dependencies: [pip: ["-r a.txt", "--constraint b.txt"]]', "a.txt": "", "b.txt": ""},
    )
    (root / "requirements.txt").write_bytes("x\r\n -r c.txt\r\n".encode("utf-16"))
    (root / "c.txt").touch()
    assert discovered(root) == ["environment.yml", "a.txt", "b.txt", "requirements.txt", "c.txt"]


def test_a_folder_of_nothing_or_none_at_all(tmp_path: Path) -> None:
    assert documents.discover(tmp_path) == []
    assert documents.discover(tmp_path / "gone") == []
    (tmp_path / "pyproject.toml").mkdir()
    assert documents.discover(tmp_path) == []


def test_this_projects_own_files_are_understood() -> None:
    found = {path.name: documents.read(path, HERE) for path in documents.discover(HERE)}
    assert {"pyproject.toml", "poetry.lock", "conda.yml", "requirements.txt"} <= set(found)
    assert not any(document.unread for document in found.values())
    lab = {"numpy", "pandas", "uvicorn", "gunicorn", "dvc", "hydra-core", "poetry", "poetry-plugin-export"}
    asked = {each.name for each in found["pyproject.toml"].requirements if each.group == "lab"}
    assert asked == lab
    pins = documents.locked(found["poetry.lock"], marker_environment("3.12", "linux"), ["lab"])
    assert lab <= set(pins)
    assert found["requirements.txt"].export is not None


# --- formats -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "format_"),
    [
        ("ENVIRONMENT.YML", "", "conda"),
        ("my-environment.yaml", "", "conda"),
        ("gpu.yml", "dependencies: []", "conda"),
        ("base.txt", "", "requirements"),
        ("reqs.in", "", "requirements"),
        ("copy.lock", "# This file is automatically @generated by Poetry\n[[package]]\n", "poetry.lock"),
        ("copy.lock", '[[package]]\nname = "a"\n', "uv.lock"),
        ("copy.toml", 'lock-version = "1.0"\n[[packages]]\n', "pylock"),
        ("copy.toml", "[project]\n", "pyproject.toml"),
        ("copy.lock", "", ""),
        ("readme.md", "", ""),
        ("conda-lock.yml", "", ""),
    ],
)
def test_the_format_of_a_file(tmp_path: Path, name: str, text: str, format_: str) -> None:
    assert documents.format_of(project(tmp_path, {name: text}) / name) == format_


def test_a_file_of_no_format(tmp_path: Path) -> None:
    with pytest.raises(LabError) as caught:
        documents.read(tmp_path / "readme.md", tmp_path)
    assert caught.value.message == "readme.md: no file that names packages"
    assert caught.value.hint.startswith("name one of: *requirements*.txt, environment.yml, pyproject.toml")


def test_what_is_not_there_or_no_file(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").mkdir()
    for name, message in (("uv.lock", "a directory stands in its place"), ("conda.yml", f"no such file in {tmp_path}")):
        with pytest.raises(LabError) as caught:
            documents.read(tmp_path / name, tmp_path)
        assert caught.value.message == f"{name}: {message}"
        lenient = documents.read_lenient(tmp_path / name, tmp_path)
        assert [(note.path, note.line, note.message) for note in lenient.unread] == [(name, 1, message)]


def test_a_broken_file_is_a_document_with_a_note(tmp_path: Path) -> None:
    root = project(tmp_path, {"sub/poetry.lock": "[metadata]\n<<<<<<< HEAD\n"})
    hint = (
        "a merge left both sides in the file: keep one of them, as `git checkout --ours poetry.lock` does, "
        "then `invoke lock`"
    )
    assert documents.read_lenient(root / "sub/poetry.lock", root) == Document(
        path="sub/poetry.lock",
        format="poetry.lock",
        role="lock",
        unread=(Unread("sub/poetry.lock", 2, "a merge conflict is not resolved", hint),),
    )


# --- .python-version -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3.12\n", [("==3.12.*", 1, "3.12")]),
        ("# ours\r\n\r\n3.12.1 # really\r\n3\r\n", [("==3.12.1", 3, "3.12.1"), ("==3.*", 4, "3")]),
        ("\ufeffcpython@3.13", [("==3.13.*", 1, "cpython@3.13")]),
        ("3.11.7/envs/lab", [("==3.11.7", 1, "3.11.7/envs/lab")]),
        ("3.14.0rc1", [("==3.14.0rc1", 1, "3.14.0rc1")]),
    ],
)
def test_versions_of_python(tmp_path: Path, text: str, expected: list[tuple[str, int, str]]) -> None:
    root = project(tmp_path, {".python-version": text})
    found = documents.read(root / ".python-version", root)
    assert [(each.specifier, each.line, each.text) for each in found.pythons] == expected
    assert not found.unread


def test_no_version_of_python(tmp_path: Path) -> None:
    root = project(tmp_path, {".python-version": "3.12\nmyenv\n"})
    (note,) = documents.read(root / ".python-version", root).unread
    assert (note.line, note.message, note.hint) == (2, '"myenv" is no version of Python', "write one such as 3.12")
    project(tmp_path, {".python-version": "# nothing\n"})
    with pytest.raises(LabError) as caught:
        documents.read(root / ".python-version", root)
    assert caught.value.message == ".python-version:1:1: no version of Python stands there"


# --- what is installed ---------------------------------------------------------------------------------------------


def test_what_exported_requirements_install(tmp_path: Path) -> None:
    markers = {"a==1": 'python_version < "3.12"', "a==2": 'python_version >= "3.12"', "b==1": 'os_name == "nt"'}
    text = "".join(f"{pin} ; {marker} {HASH}\n" for pin, marker in markers.items())
    root = project(tmp_path, {"requirements.txt": text})
    found = documents.read(root / "requirements.txt", root)
    for python, version in (("3.11", "1"), ("3.13", "2")):
        pins = documents.locked(found, marker_environment(python, "linux"), [])
        assert {name: pin.version for name, pin in pins.items()} == {"a": version}


def test_a_manifest_installs_nothing(tmp_path: Path) -> None:
    root = project(tmp_path, {"pyproject.toml": ""})
    found = documents.read(root / "pyproject.toml", root)
    with pytest.raises(LabError) as caught:
        documents.locked(found, marker_environment("3.12"), [])
    assert caught.value.message == "pyproject.toml: no lock"


def test_nothing_slow_is_imported_for_plain_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    root = project(
        tmp_path,
        {
            "pyproject.toml": '[project]\ndependencies = ["a>=1"]\n[tool.poetry.dependencies]\npython = ">=3.11"\n',
            "poetry.lock": '[[package]]\nname = "a"\nversion = "1"\n[package.dependencies]\nb = "1.2"\n[metadata]\nlock-version = "2.1"\npython-versions = ">=3.11,<3.14"\n',  # noqa: E501
            "requirements.txt": f"a==1 {HASH}\n",
        },
    )
    for module in ("poetry.core.constraints.version", "pip_requirements_parser", "yaml"):
        monkeypatch.setitem(sys.modules, module, None)
    assert not any(documents.read(path, root).unread for path in documents.discover(root))
