"""The `mlops-lab` command: its exit codes, and what it says of words that it does not know."""

from __future__ import annotations

import json
import runpy
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import mlops_lab
from mlops_lab import cli, doctor
from mlops_lab.errors import LabError
from mlops_lab.runner import CommandFailed, Runner

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.fixture(autouse=True)
def own_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The command writes its words into sys.argv, and looks for a project in the current folder."""
    monkeypatch.setattr(sys, "argv", ["mlops-lab"])
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["setpu"], "No idea what 'setpu' is!"),
        (["--nosuch"], "No idea what '--nosuch' is!"),
        (["setup", "--nosuch"], "No idea what '--nosuch' is!"),
        (["setup", "numpy"], "No idea what 'numpy' is!"),
        (["add"], "'add' did not receive required positional arguments: 'name'"),
        (["remove", "--offline"], "'remove' did not receive required positional arguments: 'name'"),
        (["add", "--index-url=x"], "No idea what 'x' is!"),
    ],
)
def test_wrong_words_are_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], words: list[str], expected: str
) -> None:
    assert cli.main(words) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error == f"error: {expected}: see `mlops-lab --list`\n"


def test_a_flag_without_its_value_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["setup", "--hybrid"]) == 2
    error = capsys.readouterr().err
    assert "needed value and was not given one" in error
    assert error.count("\n") == 1


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"mlops-lab {version('mlops-lab')}\n"


@pytest.mark.parametrize("words", [[], ["--list"]])
def test_without_a_task_the_tasks_are_listed(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert cli.main(words) == 0
    assert "  setup " in capsys.readouterr().out


def test_outside_of_a_project_every_task_says_what_to_do(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    expected = (
        f"error: there is no pyproject.toml in {tmp_path} or above it: "
        "go to the project's folder, or make one with `poetry init`\n"
    )
    for words in (["setup"], ["guide"], ["add", "numpy"], ["verify"], ["clean"]):
        assert cli.main(words) == 2
        assert capsys.readouterr() == ("", expected)


def test_without_words_of_its_own_it_takes_those_of_the_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["mlops-lab", "nosuch"])
    assert cli.main() == 2
    assert "'nosuch'" in capsys.readouterr().err


@pytest.mark.parametrize(("code", "expected"), [(None, 0), (0, 0), (3, 3), ("text", 1)])
def test_the_exit_code_is_the_tasks(monkeypatch: pytest.MonkeyPatch, code: object, expected: int) -> None:
    def execute(*_: object) -> None:
        raise SystemExit(code)

    monkeypatch.setattr("invoke.program.Program.execute", execute)
    assert cli.main(["hybrids"]) == expected


@pytest.mark.parametrize("words", [["--prefix", "{}"], ["--prefix={}"]])
def test_the_doctor_of_a_prefix_needs_no_project(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: list[str]
) -> None:
    prefix = tmp_path / "--an env"
    (prefix / "bin").mkdir(parents=True)
    given = [word.format(prefix) for word in words]
    assert cli.main(["doctor", *given]) == 2
    assert capsys.readouterr().err == f"error: {prefix} is not an environment: make it with `invoke setup`\n"
    (prefix / "pyvenv.cfg").write_text(f"home = {tmp_path}\n", encoding="utf-8")
    (prefix / "bin" / "python").touch(mode=0o755)

    def ask(_runner: Runner, argv: Sequence[str], **_: object) -> str:
        raise CommandFailed(argv, 126, ["no"], None)

    monkeypatch.setattr(Runner, "ask", ask)
    assert cli.main(["doctor", *given]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line[2:] for line in lines if not line.startswith("    ")] == [check.title for check in doctor.CHECKS]
    why = f"{prefix / 'bin' / 'python'} does not start: no"
    assert lines[1] == f"    {why}: put it right with what made the environment"
    assert cli.main(["doctor", *given, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["subject"] == str(prefix)


@pytest.mark.parametrize(
    "words", [["--prefix"], ["--prefix", "x", "--nosuch"], ["--hybrid", "venv+uv", "--prefix", "/x"]]
)
def test_any_other_doctor_is_the_task(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setattr(doctor, "of_prefix", lambda *_: pytest.fail("the doctor of a prefix was asked"))
    assert cli.main(["doctor", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1


def test_a_failure_of_the_doctor_is_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> int:
        raise LabError("broken", code=1)

    monkeypatch.setattr(doctor, "of_prefix", broken)
    assert cli.main(["doctor", "--prefix", "x"]) == 1


def test_the_package_runs_by_its_name_and_by_its_path(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    package = Path(mlops_lab.__file__).parent
    monkeypatch.setattr(sys, "argv", ["x", "nosuch"])
    monkeypatch.setattr(sys, "path", [str(package), *sys.path])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(package / "__main__.py"), run_name="__main__")
    assert caught.value.code == 2
    assert sys.path[0] == str(package.parent)
    with pytest.raises(SystemExit) as caught:
        runpy.run_module("mlops_lab", run_name="__main__")
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("'nosuch'") == 2
