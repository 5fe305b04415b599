"""Which Python a project's environment is made with; what is on the machine is said by the tests."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import findpython
import findpython.providers
import pytest
from packaging.version import Version

from mlops_lab import interpreters, project
from mlops_lab.environment import user_cache
from mlops_lab.errors import WRONG, LabError
from mlops_lab.interpreters import Interpreter, choose, declared, installed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlops_lab.project import Project

VERSIONS = ("3.14.0", "3.13.2", "3.12.9", "3.12.1", "3.11.7")
HERE = f"on this machine: {', '.join(VERSIONS)}"
ALLOWED = '[project]\nname = "p"\nrequires-python = ">=3.11,<3.14"\n'
CONDA = "name: x\ndependencies:\n  - python {}\n"


def pythons(*versions: str) -> list[Interpreter]:
    return [Interpreter(f"/opt/{version}/bin/python3", version) for version in versions]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """A machine with these Pythons; the list says of every look whether it was a fresh one."""
    looks: list[bool] = []

    def listed(*, fresh: bool = False) -> list[Interpreter]:
        looks.append(fresh)
        return pythons(*VERSIONS)

    monkeypatch.setattr(interpreters, "installed", listed)
    return looks


def made(folder: Path, text: str = ALLOWED, **files: str) -> Project:
    for name, content in {"pyproject.toml": text, **files}.items():
        (folder / name).write_text(content, encoding="utf-8")
    return project.find(folder)


def refused(found: Project, asked: str | None) -> str:
    with pytest.raises(LabError) as caught:
        choose(found, asked)
    assert caught.value.code == WRONG
    return str(caught.value)


# --- the one that the files mean -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "files", "version", "reason"),
    [
        (ALLOWED, {}, "3.13.2", "the newest that pyproject.toml allows"),
        ("", {}, "3.14.0", "the newest that pyproject.toml allows"),
        (ALLOWED, {".python-version": "3.12\n"}, "3.12.9", ".python-version"),
        (ALLOWED, {".python-version": "3.12.1\n3.11\n"}, "3.12.1", ".python-version"),
        (ALLOWED, {".python-version": "cpython-3.11\n"}, "3.11.7", ".python-version"),
        (ALLOWED, {".python-version": "python-3.11\n"}, "3.11.7", ".python-version"),
        (ALLOWED, {".python-version": "# ours\n\n 3.11 # since May\n"}, "3.11.7", ".python-version"),
        (ALLOWED, {".python-version": "\n"}, "3.13.2", "the newest that pyproject.toml allows"),
        (ALLOWED, {"conda.yml": CONDA.format("=3.12")}, "3.12.9", "conda.yml:3"),
        (ALLOWED, {"conda.yml": CONDA.format(">=3.11"), ".python-version": "3.11"}, "3.13.2", "conda.yml:3"),
        (ALLOWED, {"conda.yml": CONDA.format(""), ".python-version": "3.11"}, "3.11.7", ".python-version"),
        (ALLOWED, {"conda.yml": "name: x\n", ".python-version": "3.11"}, "3.11.7", ".python-version"),
    ],
)
def test_without_a_wish_the_files_choose(
    tmp_path: Path, machine: list[bool], text: str, files: dict[str, str], version: str, reason: str
) -> None:
    assert choose(made(tmp_path, text, **files), None) == Interpreter(f"/opt/{version}/bin/python3", version, reason)
    assert machine == [False]


def test_a_python_that_came_since_is_found_by_a_fresh_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def listed(*, fresh: bool = False) -> list[Interpreter]:
        return pythons("3.12.9") if fresh else pythons("3.9.1")

    monkeypatch.setattr(interpreters, "installed", listed)
    found = made(tmp_path)
    assert choose(found, None).version == "3.12.9"
    assert choose(found, "3.12").version == "3.12.9"


@pytest.mark.parametrize(
    ("text", "files", "message"),
    [
        (
            ALLOWED,
            {".python-version": "3.10"},
            "no Python on this machine is ==3.10.* (.python-version) and >=3.11,<3.14",
        ),
        ('[project]\nrequires-python = ">=3.20"\n', {}, "no Python on this machine is >=3.20"),
        ("", {"conda.yml": CONDA.format("3.10")}, "no Python on this machine is ==3.10.* (conda.yml:3)"),
    ],
)
def test_where_no_python_fits_those_that_are_here_are_listed(
    tmp_path: Path, machine: list[bool], text: str, files: dict[str, str], message: str
) -> None:
    assert refused(made(tmp_path, text, **files), None) == f"{message}: {HERE}"
    assert machine[:2] == [False, True]


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    ("text", "files", "message"),
    [
        (
            *(ALLOWED, {".python-version": "pypy3.10"}),
            ".python-version: 'pypy3.10' is not a version: write a version such as 3.12",
        ),
        (
            *(ALLOWED, {"conda.yml": CONDA.format("3.11|3.12")}),
            'conda.yml:3: python 3.11|3.12: PEP 440 has no `or` between versions: write a range: "python >=3.11,<3.13"',
        ),
    ],
)
def test_a_file_that_is_wrong_is_named(tmp_path: Path, text: str, files: dict[str, str], message: str) -> None:
    assert refused(made(tmp_path, text, **files), None) == message


@pytest.mark.parametrize("wrong", ["~=3", ">=3.x", ">=3.11.*", "==3.12rc1.*", "3.11", ">=3.11;<4"])
def test_a_constraint_that_is_none_is_refused_with_its_line(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(LabError) as caught:
        made(tmp_path, f'[project]\nname = "p"\nrequires-python = "{wrong}"\n')
    assert str(caught.value) == (
        f'pyproject.toml:3:1: project.requires-python = "{wrong}" is not a version constraint: '
        'write it as ">=3.11,<3.14"'
    )


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    "right", ["~=3.11", ">=3.11.dev0", ">= 3.11 , < 3.15", "==3.*", "!=3.12.*,>=3.11rc1", "===3.13.2", ""]
)
def test_every_constraint_that_is_one_can_be_asked(tmp_path: Path, right: str) -> None:
    found = choose(made(tmp_path, f'[project]\nname = "p"\nrequires-python = "{right}"\n'), None)
    assert found.version in {"3.14.0", "3.13.2"}


@pytest.mark.usefixtures("machine")
def test_a_python_version_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    found = made(tmp_path)
    (tmp_path / ".python-version").write_bytes(b"3.12\n\xff")
    assert refused(found, None) == ".python-version:2:1: not UTF-8 (byte 0xff): save the file as UTF-8"


@pytest.mark.parametrize(
    ("word", "specifier"),
    [
        *(("3", "==3.*"), ("3.12", "==3.12.*"), ("3.12.1", "==3.12.1"), ("v3.12", "==3.12.*")),
        *(("3.12-dev", "==3.12.dev0"), ("3.15rc1", "==3.15rc1"), ("3.12+local", "==3.12+local")),
    ],
)
def test_a_version_is_a_series_until_it_is_whole(tmp_path: Path, word: str, specifier: str) -> None:
    assert declared(made(tmp_path, **{".python-version": word})) == (specifier, ".python-version")


# --- the one that is asked for -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "version"),
    [("3.12", "3.12.9"), ("3.12.1", "3.12.1"), ("python3.11", "3.11.7"), ("3", "3.14.0"), (" 3.12 ", "3.12.9")],
)
def test_the_newest_of_the_version_that_is_asked_for(
    tmp_path: Path, machine: list[bool], asked: str, version: str
) -> None:
    found = made(tmp_path, "", **{".python-version": "3.11"})
    assert choose(found, asked) == Interpreter(f"/opt/{version}/bin/python3", version, "--python")
    assert machine == [False]


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("3.10", f"there is no Python 3.10 on this machine: {HERE}"),
        ("3.12.4", f"there is no Python 3.12.4 on this machine: {HERE}"),
        ("3.12rc1", f"there is no Python 3.12rc1 on this machine: {HERE}"),
        ("3.12-dev", f"there is no Python 3.12-dev on this machine: {HERE}"),
        ("3.12+x", f"there is no Python 3.12+x on this machine: {HERE}"),
        (
            "3.14",
            (
                "Python 3.14.0 is not allowed: pyproject.toml requires >=3.11,<3.14: "
                "on this machine: 3.13.2, 3.12.9, 3.12.1, 3.11.7"
            ),
        ),
        ("snake", f"'snake' is neither a Python version nor an interpreter's path: {HERE}"),
        ("", f"'' is neither a Python version nor an interpreter's path: {HERE}"),
        (">=3.11", f"'>=3.11' is neither a Python version nor an interpreter's path: {HERE}"),
        ("/nowhere/python", f"'/nowhere/python' is neither a Python version nor an interpreter's path: {HERE}"),
        ("~nobody-here/py", f"'~nobody-here/py' is neither a Python version nor an interpreter's path: {HERE}"),
        ("$(id)", f"'$(id)' is neither a Python version nor an interpreter's path: {HERE}"),
        ("x" * 300, f"'{'x' * 300}' is neither a Python version nor an interpreter's path: {HERE}"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused(tmp_path: Path, asked: str, message: str) -> None:
    assert refused(made(tmp_path), asked) == message


def test_where_there_is_no_python_at_all_one_can_be_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*, fresh: bool = False) -> list[Interpreter]:
        return pythons() if fresh else []

    monkeypatch.setattr(interpreters, "installed", none)
    expected = "there is no Python 3.12 on this machine: install one, for example with `uv python install`"
    assert refused(made(tmp_path), "3.12") == expected


@dataclass
class FakePython:
    """What findpython knows of an interpreter."""

    executable: Path
    text: str = "3.12.1"
    valid: bool = True

    @property
    def version(self) -> Version:
        return Version(self.text)

    @property
    def real_path(self) -> Path:
        return self.executable.resolve()

    def is_valid(self) -> bool:
        return self.valid


@pytest.mark.usefixtures("machine")
def test_a_path_may_be_asked_for_and_its_real_one_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "python3").touch()
    (tmp_path / "link").symlink_to(tmp_path / "python3")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(findpython, "PythonVersion", FakePython)
    found = made(tmp_path)
    for asked in (str(tmp_path / "link"), "~/link", "./link"):
        assert choose(found, asked) == Interpreter(str(tmp_path / "python3"), "3.12.1", "--python")


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    ("python", "message"),
    [
        ({"valid": False}, "'{}' does not run as a Python: " + HERE),
        (
            {"text": "3.9.1"},
            (
                "Python 3.9.1 is not allowed: pyproject.toml requires >=3.11,<3.14: "
                "on this machine: 3.13.2, 3.12.9, 3.12.1, 3.11.7"
            ),
        ),
    ],
)
def test_a_path_to_something_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, python: dict[str, Any], message: str
) -> None:
    (tmp_path / "python3").touch()
    monkeypatch.setattr(findpython, "PythonVersion", lambda path: FakePython(path, **python))
    assert refused(made(tmp_path), str(tmp_path / "python3")) == message.format(tmp_path / "python3")


@pytest.mark.parametrize(("version", "minor"), [("3.12.1", "3.12"), ("3.15.0rc1", "3.15")])
def test_a_minor_version(version: str, minor: str) -> None:
    assert Interpreter("/p", version).minor == minor


# --- what is on the machine ----------------------------------------------------------------------------------------


class Machine:
    """Providers that find the Pythons of a folder, and count how often they are asked."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.looks = 0
        self.found: list[FakePython] = []
        machine = self

        class Provider:
            @classmethod
            def create(cls) -> Provider:
                return cls()

            def find_pythons(self) -> Sequence[FakePython]:
                machine.looks += 1
                return machine.found

        class Absent:
            @classmethod
            def create(cls) -> None:
                return None

        monkeypatch.setattr(findpython.providers, "ALL_PROVIDERS", {"one": Provider, "two": Absent})
        monkeypatch.setenv("PATH", str(folder))

    def python(self, name: str, version: str = "3.12.1", *, valid: bool = True) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        self.found.append(FakePython(path, version, valid))
        return path


@pytest.fixture
def pyenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    (tmp_path / "pyenv").mkdir()
    return Machine(tmp_path / "pyenv", monkeypatch)


def test_every_usable_python_is_listed_once_the_newest_first(pyenv: Machine) -> None:
    old = pyenv.python("3.9/bin/python3", "3.9.20")
    new = pyenv.python("3.12/bin/python3", "3.12.1")
    (pyenv.folder / "link").symlink_to(new)
    pyenv.found.append(FakePython(pyenv.folder / "link"))
    pyenv.python("shims/python3", "3.13.0")
    pyenv.python("pypy/bin/PyPy3", "3.11.0")
    pyenv.python("broken/bin/python3", "3.13.1", valid=False)
    pyenv.python("beta/bin/python3", "3.15.0b1")
    assert installed() == [Interpreter(str(new), "3.12.1"), Interpreter(str(old), "3.9.20")]


def test_what_was_found_is_kept_while_the_folders_are_unchanged(pyenv: Machine) -> None:
    pyenv.python("3.12/bin/python3")
    assert installed() == installed() == installed()
    assert pyenv.looks == 1
    installed(fresh=True)
    assert pyenv.looks == 2


def _came(pyenv: Machine) -> None:
    pyenv.python("3.13/bin/python3", "3.13.0")


def _went(pyenv: Machine) -> None:
    pyenv.found.pop().executable.unlink()


def _upgraded(pyenv: Machine) -> None:
    pyenv.found[0].executable.write_text("a newer one", encoding="utf-8")


def _path(pyenv: Machine) -> None:
    os.environ["PATH"] += f"{os.pathsep}{pyenv.folder.parent}"


def _a_day_later(_pyenv: Machine) -> None:
    old = time.time() - 25 * 3600
    os.utime(user_cache() / "interpreters.json", (old, old))


def _broken(_pyenv: Machine) -> None:
    (user_cache() / "interpreters.json").write_text("{", encoding="utf-8")


def _of_another_kind(_pyenv: Machine) -> None:
    (user_cache() / "interpreters.json").write_text('{"pythons": [["/p"]]}', encoding="utf-8")


@pytest.mark.parametrize("change", [_came, _went, _upgraded, _path, _a_day_later, _broken, _of_another_kind])
def test_it_is_looked_again_after(pyenv: Machine, change: Any) -> None:
    pyenv.python("3.12/bin/python3")
    installed()
    change(pyenv)
    assert installed() == [Interpreter(str(one.executable), one.text) for one in reversed(pyenv.found)]
    assert pyenv.looks == 2
    installed()
    assert pyenv.looks == 2


def test_a_python_near_the_root_is_no_obstacle(pyenv: Machine) -> None:
    pyenv.found.append(FakePython(Path("/python3")))
    assert installed() == [Interpreter("/python3", "3.12.1")]
    assert installed() == [Interpreter("/python3", "3.12.1")]


def test_a_cache_that_cannot_be_kept_costs_time_only(
    pyenv: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MLOPS_LAB_CACHE_DIR", str(tmp_path / "file"))
    python = pyenv.python("3.12/bin/python3")
    assert installed() == installed() == [Interpreter(str(python), "3.12.1")]
    assert pyenv.looks == 2


def test_the_cache_holds_paths_and_versions_and_nothing_else(pyenv: Machine) -> None:
    python = pyenv.python("3.12/bin/python3")
    installed()
    kept = json.loads((user_cache() / "interpreters.json").read_text(encoding="utf-8"))
    assert kept["pythons"] == [[str(python), "3.12.1"]]
    assert set(kept) == {"state", "pythons"}
    assert [path.name for path in user_cache().iterdir()] == ["interpreters.json"]
