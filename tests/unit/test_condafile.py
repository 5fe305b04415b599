"""What conda is asked for: the file as it stands, or a copy that says which Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlops_lab import condafile, project
from mlops_lab.errors import WRONG, LabError
from mlops_lab.manifests import conda_env

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mlops_lab.project import Project

PYPROJECT = '[project]\nname = "p"\nversion = "1"\nrequires-python = "{allowed}"\n'
CONDA_YML = "name: p\ndependencies:\n  - {python}\n  - pip\n"
POETRY_LOCK = """\
[[package]]
name = "a"
version = "1"
python-versions = ">=3.6"

[metadata]
lock-version = "2.1"
python-versions = "{allowed}"
content-hash = "0"
"""
UV_LOCK = 'version = 1\nrevision = 3\nrequires-python = "{allowed}"\n'


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Project]:
    def make(python: str = "python", allowed: str = ">=3.11", **locks: str) -> Project:
        (tmp_path / "pyproject.toml").write_text(PYPROJECT.format(allowed=allowed), encoding="utf-8")
        (tmp_path / "conda.yml").write_text(CONDA_YML.format(python=python), encoding="utf-8")
        for name, text in (("poetry", POETRY_LOCK), ("uv", UV_LOCK)):
            if name in locks:
                (tmp_path / f"{name}.lock").write_text(text.format(allowed=locks[name]), encoding="utf-8")
        return project.find(tmp_path)

    return make


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(LabError) as caught:
        call()
    assert caught.value.code == WRONG
    return str(caught.value)


@pytest.mark.parametrize(
    ("python", "allowed", "asked", "there", "expected"),
    [
        # conda.yml says enough.
        ("python >=3.11,<3.14", ">=3.11,<3.14", None, "", None),
        ("python =3.12", ">=3.11", None, "", None),
        # It allows more than the project does.
        ("python", ">=3.11,<3.14", None, "", ">=3.11,<3.14"),
        ("python >=3.9", ">=3.11", None, "", ">=3.9,>=3.11"),
        # Asked for.
        ("python =3.12", ">=3.11", "3.13", "", "3.13.*"),
        ("python =3.12", ">=3.11", "python3.13.1", "", "==3.13.1"),
        # What is there stays, within its series.
        ("python >=3.11,<3.14", ">=3.11", None, "3.12.4", ">=3.11,<3.14,3.12.*"),
        ("python", ">=3.11", None, "3.12.4", "3.12.*"),
        ("python =3.12", ">=3.11", None, "3.12.4", None),
        # Unless the files do not allow it any more.
        ("python >=3.13", ">=3.11", None, "3.12.4", None),
        ("python", ">=3.13", None, "3.12.4", ">=3.13"),
    ],
)
def test_the_python_that_conda_is_asked_for(
    made: Callable[..., Project], python: str, allowed: str, asked: str | None, there: str, expected: str | None
) -> None:
    assert condafile.python_wanted(made(python, allowed), asked, there) == expected


@pytest.mark.parametrize(
    ("locks", "where"),
    [
        ({}, "pyproject.toml:4 allows >=3.12: change one of the two"),
        ({"poetry": ">=3.12"}, "pyproject.toml:4 allows >=3.12: change one of the two"),
    ],
)
def test_a_python_that_the_project_excludes_is_refused(
    made: Callable[..., Project], locks: dict[str, str], where: str
) -> None:
    message = refused(lambda: condafile.checked(made("python =3.11", ">=3.12", **locks)))
    assert message == f"conda.yml:3 asks for python 3.11, but {where}"


@pytest.mark.parametrize(("locks", "where"), [({"poetry": ">=3.12"}, "poetry.lock:8"), ({"uv": ">=3.12"}, "uv.lock:3")])
def test_a_python_that_a_lock_excludes_is_refused(
    made: Callable[..., Project], locks: dict[str, str], where: str
) -> None:
    message = refused(lambda: condafile.checked(made("python <3.12", ">=3.11", **locks)))
    assert message == (
        f"conda.yml:3 asks for python <3.12, but {where} allows >=3.12: "
        "change conda.yml, or lock again for that Python with `invoke lock`"
    )


def test_a_patch_version_meets_a_range(made: Callable[..., Project]) -> None:
    assert condafile.checked(made("python =3.12.47", ">=3.12.40,<3.12.50")).python == "3.12.47"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("/usr/bin/python3", "--python '/usr/bin/python3' is not a version: conda brings a Python of its own: write"),
        ("3.9", "Python 3.9 is not allowed: pyproject.toml requires >=3.11: choose another --python"),
    ],
)
def test_a_python_that_conda_cannot_bring_is_refused(made: Callable[..., Project], asked: str, message: str) -> None:
    assert refused(lambda: condafile.python_wanted(made(), asked, "")).startswith(message)


def test_without_a_conda_yml_or_a_python_there_is_nothing_to_make(made: Callable[..., Project]) -> None:
    here = made("libhello")
    assert refused(lambda: condafile.checked(here)).startswith("conda.yml: no python among its dependencies")
    (here.root / "conda.yml").unlink()
    assert refused(lambda: condafile.checked(project.find(here.root))).startswith("there is no conda.yml: write one")


# --- the copy ---


BLOCK = """\
# of the team
name: p
channels:
  - nodefaults
  - conda-forge
dependencies:
  - "python >=3.11"   # the interpreter
  - python-dateutil
  - pip:
      - -r requirements.txt
"""
BLOCK_COPY = """\
# of the team
name: p
channels:
  - conda-forge
  - conda-forge
dependencies:
  - "python 3.12.*"   # the interpreter
  - python-dateutil
  - pip:
      - -r requirements.txt
"""
FLOW = "name: p\nchannels: [nodefaults, conda-forge]\ndependencies: ['python', python, pip]\n"
FLOW_COPY = 'name: p\nchannels: [conda-forge, conda-forge]\ndependencies: ["python 3.12.*", "python 3.12.*", pip]\n'


@pytest.mark.parametrize(("text", "copied"), [(BLOCK, BLOCK_COPY), (FLOW, FLOW_COPY)])
def test_a_copy_says_other_words_in_the_same_places_and_is_gone_afterwards(
    tmp_path: Path, text: str, copied: str
) -> None:
    path = tmp_path / "conda.yml"
    path.write_text(text, encoding="utf-8")
    env = conda_env.read(path)
    with condafile.given(env, "3.12.*", nodefaults=False) as name:
        assert name == condafile.COPY
        assert (tmp_path / name).read_text(encoding="utf-8") == copied
    with condafile.given(env, None, nodefaults=False) as name:
        assert '"python 3.12' not in (tmp_path / name).read_text(encoding="utf-8")
    with condafile.given(env, None, nodefaults=True) as name:
        assert name == "conda.yml"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["conda.yml"]


def test_what_a_killed_command_left_of_a_copy_goes(tmp_path: Path) -> None:
    path = tmp_path / "conda.yml"
    path.write_text(FLOW, encoding="utf-8")
    (tmp_path / condafile.COPY).touch()
    with condafile.given(conda_env.read(path), None, nodefaults=True):
        assert not (tmp_path / condafile.COPY).exists()


def test_what_is_written_in_a_strange_way_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "conda.yml"
    path.write_text('dependencies:\n  - "pyth\\x6fn >=3.11"\n', encoding="utf-8")
    with (
        pytest.raises(LabError, match=r"^conda.yml:2: 'python >=3.11' is written in a way"),
        condafile.given(conda_env.read(path), "3.12.*", nodefaults=True),
    ):
        pass
