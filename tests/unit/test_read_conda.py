"""What an environment file asks for, of conda and of pip."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlops_lab.errors import LabError
from mlops_lab.manifests import documents
from mlops_lab.manifests.constraints import from_conda

if TYPE_CHECKING:
    from pathlib import Path

    from mlops_lab.manifests.model import Document


def read(folder: Path, text: str | bytes, name: str = "environment.yml") -> Document:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return documents.read(path, folder)


# As conda 26.7 itself reads each of them, asked for the versions beside it.
@pytest.mark.parametrize(
    ("rest", "specifier"),
    [
        ("", ""),
        (" *", ""),
        ("=1.26", "==1.26.*"),
        (" = 1.26", "==1.26.*"),
        ("=1.26.*", "==1.26.*"),
        ("=1.26*", "==1.26.*"),
        ("==1.26.*", "==1.26.*"),
        (" 1.26.*", "==1.26.*"),
        ("==1.26.4", "==1.26.4"),
        (" 1.26", "==1.26"),
        (" 1.26 py311_0", "==1.26"),
        ("=1.26=py311_0", "==1.26"),
        ("=1.26.4=*", "==1.26.4"),
        (">=1,<2", ">=1,<2"),
        (" >= 1 , < 2", ">=1,<2"),
        (">=1.26.*", ">=1.26"),
        ("!=1.5.*", "!=1.5.*"),
        ("~=1.26.2", "~=1.26.2"),
        ("~=2", "==2.*"),
        ("=1.2,<3", "==1.2.*,<3"),
        (" 1.2|1.3", "==1.2 || ==1.3"),
        ("=1.2|1.3", "==1.2.* || ==1.3"),
        (">=1,<2|>=3", ">=1,<2 || >=3"),
        ("[version='>=1']", ">=1"),
        ('[version="=1.26", build=py311_0]', "==1.26.*"),
        ("[build=py311_0]", ""),
        ("=1.1.1w", "===1.1.1w"),
        (">=1.1.1w", ""),
        ("=3.14.0rc1", "==3.14.0rc1"),
    ],
)
def test_condas_versions_in_pep440(rest: str, specifier: str) -> None:
    assert from_conda(rest) == specifier


def test_a_version_of_python_without_an_operator_is_a_series() -> None:
    assert (from_conda(" 3.11", series=True), from_conda("==3.11", series=True)) == ("==3.11.*", "==3.11")


def test_what_is_no_version_of_condas() -> None:
    with pytest.raises(LabError) as caught:
        from_conda(" new")
    assert caught.value.message == '"new" is no version of conda\'s'
    assert caught.value.hint.startswith("write it as conda does")


def test_a_version_that_would_take_for_ever_is_refused() -> None:
    with pytest.raises(LabError) as caught:
        from_conda(f"1{' ' * 60_000}2")
    assert caught.value.message == "a version of 60002 characters"


def test_an_environment_file(tmp_path: Path) -> None:
    text = """\
name: lab
channels: [conda-forge]
platforms:
  - linux-64
dependencies:
  - python >=3.11,<3.14
  - numpy=1.26
  - conda-forge::PyTorch[version='>=2']  # a comment
  - cmake
  - pip
  - pip:
      - -r requirements/base.txt
      - -c limits.txt
      - --extra-index-url https://me:secret@index.example/simple
      - torch==2.1.0 ; sys_platform == 'linux'  # another
      - lib @ git+https://code.example/lib
      - -e .
"""
    found = read(tmp_path, text)
    assert [(each.line, each.name, each.specifier, each.kind, each.source) for each in found.requirements] == [
        (7, "numpy", "==1.26.*", "conda", ""),
        (8, "pytorch", ">=2", "conda", "conda-forge"),
        (9, "cmake", "", "conda", ""),
        (10, "pip", "", "conda", ""),
        (15, "torch", "==2.1.0", "index", ""),
        (16, "lib", "", "git", "https://code.example/lib"),
    ]
    assert found.requirements[4].marker == "sys_platform == 'linux'"
    assert [(each.specifier, each.line, each.text) for each in found.pythons] == [
        (">=3.11,<3.14", 6, "python >=3.11,<3.14")
    ]
    assert (found.includes, found.limits) == (("requirements/base.txt",), ("limits.txt",))
    assert (found.name, found.format, found.role, found.unread) == ("lab", "conda", "manifest", ())
    assert "secret" not in str(found)


def test_parts_that_cannot_be_read(tmp_path: Path) -> None:
    text = """\
name: 3.11
dependancies: []  # codespell:ignore dependancies
dependencies:
  - numpy
  - 3.11
  - "=1"
  - numpy new
  - other: [a]
  - pip:
    - good
    - 3
    - hello world
  - [a]
"""
    found = read(tmp_path, text)
    assert [(note.line, note.message.partition(" (")[0]) for note in found.unread] == [
        (1, "name must be text, not a number"),
        (2, 'conda does not know "dependancies:"'),  # codespell:ignore dependancies
        (5, "dependencies must be a list of texts, not a number"),
        (6, '"=1" is no package spec'),
        (7, '"new" is no version of conda\'s'),
        (8, '"other:" is no list that conda hands to another installer'),
        (11, "pip must be a list of texts, not a number"),
        (12, '"hello world" is nothing that pip takes'),
        (13, "dependencies must be a list of texts, not a list"),
    ]
    assert [each.name for each in found.requirements] == ["numpy", "good"]


def test_utf16_with_its_mark_is_read(tmp_path: Path) -> None:
    found = read(tmp_path, "dependencies:\r\n- numpy\r\n".encode("utf-16"))
    assert [(each.name, each.line) for each in found.requirements] == [("numpy", 2)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dependencies:\n\t- a\n", "environment.yml:2:1: found character '\\t' that cannot start any token"),
        ("name: a\nname: b\n", 'environment.yml:2:1: "name" stands twice, first in line 1'),
        ("<<<<<<< HEAD\na: b\n=======\n", "environment.yml:1:1: a merge conflict is not resolved"),
        ("? [a]\n: b\n", "environment.yml:1:3: the file must have texts as keys, not a list"),
        ("[" * 1100, "environment.yml:1:1: too many brackets inside of each other"),
        (b"\xff\xfea", "environment.yml:1:1: not UTF-16, as which it starts"),
    ],
)
def test_files_that_are_none(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(LabError) as caught:
        read(tmp_path, text)
    assert (caught.value.message, caught.value.code) == (message, 2)
