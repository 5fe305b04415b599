"""Which program acts as conda, and where it keeps environments; a program is played by a file that can be executed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlops_lab import engines, project
from mlops_lab.choices import Request
from mlops_lab.engines import Engine, Places
from mlops_lab.errors import WRONG, LabError
from mlops_lab.facts import Facts
from mlops_lab.guide import HYBRIDS, hybrid_named
from mlops_lab.runner import CommandFailed, Runner

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mlops_lab.project import Project

PYPROJECT = '[project]\nname = "p"\nversion = "1"\n'


@pytest.fixture
def here(tmp_path: Path) -> Project:
    (tmp_path / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    (tmp_path / "conda.yml").write_text("name: p\ndependencies: [python]\n", encoding="utf-8")
    return project.find(tmp_path)


def machine(folder: Path, *names: str) -> dict[str, str]:
    """The variables of a machine that has these programs."""
    (folder / "bin").mkdir(exist_ok=True)
    for name in names:
        (folder / "bin" / name).touch(mode=0o755)
    return {"PATH": str(folder / "bin"), "HOME": str(folder / "home")}


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(LabError) as caught:
        call()
    assert caught.value.code == WRONG
    return str(caught.value)


@pytest.mark.parametrize(
    ("programs", "chosen"),
    [
        (("micromamba", "mamba", "conda"), "conda"),
        (("micromamba", "mamba"), "mamba"),
        (("micromamba",), "micromamba"),
        ((), "embedded"),
    ],
)
def test_the_first_that_is_there_acts_as_conda(
    here: Project, tmp_path: Path, programs: tuple[str, ...], chosen: str
) -> None:
    found = engines.choose(here, None, machine(tmp_path, *programs))
    why = "it is here" if programs else "no conda, mamba or micromamba is here"
    assert (found.name, found.reason) == (chosen, why)


def test_asked_for_then_remembered_then_declared(here: Project, tmp_path: Path) -> None:
    environ = machine(tmp_path, "conda", "micromamba", "mamba")
    (here.root / "pyproject.toml").write_text(f'{PYPROJECT}[tool.mlops-lab]\nconda = "micromamba"\n', encoding="utf-8")
    declared = project.find(here.root)
    found = engines.choose(declared, None, environ)
    assert (found.name, found.reason) == ("micromamba", "[tool.mlops-lab] conda says so")
    declared.remember(engine="embedded")
    found = engines.choose(declared, None, environ)
    assert (found.name, found.reason) == ("embedded", "this project used it last")
    found = engines.choose(declared, "mamba", environ)
    assert (found.name, found.reason) == ("mamba", "asked for with --conda")


def test_one_that_was_used_last_and_has_gone_is_forgotten(here: Project, tmp_path: Path) -> None:
    here.remember(engine="conda")
    assert engines.choose(here, None, machine(tmp_path, "mamba")).name == "mamba"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("conad", "there is no conda engine 'conad': did you mean conda? (one of: conda, mamba, micromamba, embedded)"),
        ("mamba", "there is no mamba on this machine: install it, or take one of: conda, embedded"),
    ],
)
def test_one_that_is_not_there_is_refused(here: Project, tmp_path: Path, asked: str, message: str) -> None:
    assert refused(lambda: engines.choose(here, asked, machine(tmp_path, "conda"))) == message


def test_a_declared_engine_has_to_be_one(here: Project) -> None:
    (here.root / "pyproject.toml").write_text(f'{PYPROJECT}[tool.mlops-lab]\nconda = "anaconda"\n', encoding="utf-8")
    message = refused(lambda: project.find(here.root))
    assert message.startswith("pyproject.toml: there is no conda engine 'anaconda': did you mean conda?")


def test_none_is_taken_from_an_environment_of_the_project(here: Project, tmp_path: Path) -> None:
    environ = machine(tmp_path, "conda")
    assert engines.choose(here, None, environ, [tmp_path]).name == "embedded"


def test_where_a_shell_has_it_as_a_function_the_hook_names_the_program(here: Project, tmp_path: Path) -> None:
    machine(tmp_path, "conda", "micromamba")
    environ = {"PATH": "/nowhere", "CONDA_EXE": str(tmp_path / "bin" / "conda")}
    assert engines.choose(here, None, environ).argv == (str(tmp_path / "bin" / "conda"),)
    environ = {"PATH": "/nowhere", "MAMBA_EXE": str(tmp_path / "bin" / "micromamba")}
    assert engines.choose(here, None, environ).name == "micromamba"


def test_the_embedded_one_is_a_part_of_us() -> None:
    found = engines.embedded()
    assert found.argv[0] == sys.executable
    assert Path(found.argv[1]).is_file()
    assert (found.word, found.path) == ("mlops-lab-conda", "")


# --- where environments live ---


class Asked:
    """Answers `info --json`, and counts how often it is asked."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.argvs: list[list[str]] = []

    def __call__(self, argv: Sequence[str]) -> str:
        self.argvs.append(list(argv))
        if self.answer is None:
            raise CommandFailed(argv, 1, [], None)
        return self.answer if isinstance(self.answer, str) else json.dumps(self.answer)


def program(folder: Path) -> tuple[Engine, dict[str, str]]:
    environ = machine(folder, "conda")
    path = str(folder / "bin" / "conda")
    return Engine("conda", (path,), path), environ


@pytest.mark.parametrize(
    "answer",
    [
        {"root_prefix": "/r", "envs_dirs": ["/e", "/f"]},
        {"base environment": "/r", "envs_dirs": ["/e", "/f"]},
        {"base environment": "/r", "envs directories": ["/e", "/f"]},
    ],
)
def test_a_program_is_asked_where_it_keeps_environments(tmp_path: Path, answer: dict[str, Any]) -> None:
    engine, environ = program(tmp_path)
    asked = Asked(answer)
    for _ in range(2):
        assert engines.places(engine, environ, asked, Facts()) == Places("/r", ("/e", "/f"))
    assert asked.argvs == [[engine.path, "info", "--json"]]
    # Its settings have changed: it is asked again.
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".condarc").write_text("envs_dirs: [/g]\n", encoding="utf-8")
    engines.places(engine, environ, asked, Facts())
    engines.places(engine, {**environ, "CONDA_ENVS_DIRS": "/h"}, asked, Facts())
    assert len(asked.argvs) == 3


@pytest.mark.parametrize("answer", [None, "what?", "[]", {}, {"envs_dirs": []}, {"envs_dirs": "x"}])
def test_a_program_that_does_not_answer_as_conda_does_is_refused(tmp_path: Path, answer: Any) -> None:
    engine, environ = program(tmp_path)
    message = refused(lambda: engines.places(engine, environ, Asked(answer), Facts()))
    assert message == (
        f"{engine.path} does not answer `conda info --json` as a conda does: mend it, or take the embedded one: "
        "--conda embedded"
    )


def test_the_embedded_one_keeps_them_where_condarc_says(tmp_path: Path) -> None:
    environ = {**machine(tmp_path), "CONDA_ENVS_DIRS": str(tmp_path / "envs")}
    found = engines.places(engines.embedded(), environ, Asked(None), Facts())
    assert found.envs_dirs[0] == str(tmp_path / "envs")
    assert found.root == ""


def test_what_is_no_conda_in_spite_of_its_name_is_passed_over_unless_it_was_asked_for(
    here: Project, tmp_path: Path
) -> None:
    environ = {**machine(tmp_path, "mamba", "micromamba"), "CONDA_ENVS_DIRS": str(tmp_path / "envs")}

    def ask(argv: Sequence[str]) -> str:
        if argv[0].endswith("/mamba"):
            raise CommandFailed(argv, 1, ["Usage: mamba [OPTIONS]"], None)
        return json.dumps({"base environment": "/r", "envs directories": ["/e"]})

    engine, places = engines.located(here, None, environ, (), ask)
    assert (engine.name, places) == ("micromamba", Places("/r", ("/e",)))
    assert "mamba does not answer" in refused(lambda: engines.located(here, "mamba", environ, (), ask))
    (tmp_path / "bin" / "micromamba").unlink()
    engine, places = engines.located(here, None, environ, (), ask)
    assert (engine.name, places.envs_dirs[0]) == ("embedded", str(tmp_path / "envs"))


# --- which hybrids can run ---


def test_where_no_channel_answers_the_hybrids_with_conda_cannot_run(
    here: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "channels_answer", lambda *_: ("", "the channel x does not answer: refused"))
    found = engines.standings(HYBRIDS, here, Request(), machine(tmp_path))
    why = "no conda, mamba or micromamba is here, and the channel x does not answer: refused"
    assert {each.hybrid.name: each.why_not for each in found if each.why_not} == {
        "conda+poetry": why,
        "conda+uv": why,
    }
    assert found[0].remedy.endswith("or take venv+poetry")
    found = engines.standings(HYBRIDS, here, Request(), machine(tmp_path, "conda"))
    assert not any(each.why_not for each in found)


def test_a_channel_is_not_asked_where_conda_cannot_run_anyway(here: Project, tmp_path: Path) -> None:
    (here.root / "conda.yml").unlink()
    found = engines.standings([hybrid_named("conda+uv")], project.find(here.root), Request(), machine(tmp_path))
    assert [each.why_not for each in found] == ["there is no conda.yml"]


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the channels answer like this."""

    def answer(*lines: str, fails: bool = False) -> None:
        def ask(_self: object, argv: Sequence[str], _cwd: Path) -> str:
            if fails:
                raise CommandFailed(argv, 1, list(lines), None, list(lines))
            return "\n".join(lines)

        monkeypatch.setattr(Runner, "ask", ask)
        monkeypatch.setattr(engines, "_ANSWERS", {})

    return answer


def test_a_channel_that_answers_is_named_and_one_that_does_not_as_well(
    here: Project, answering: Callable[..., None]
) -> None:
    answering("conda-forge")
    assert engines.channels_answer(here, {}) == ("the channel conda-forge answers", "")
    answering("error: the channel conda-forge does not answer: refused", "hint: look at the network", fails=True)
    assert engines.channels_answer(here, {}) == ("", "the channel conda-forge does not answer: refused")
    answering("Traceback", fails=True)
    assert engines.channels_answer(here, {})[1].endswith("failed (exit code 1)")


def test_a_process_asks_once_and_leaves_nothing_behind(here: Project, answering: Callable[..., None]) -> None:
    answering("conda-forge")
    engines.channels_answer(here, {})
    answers = dict(engines._ANSWERS)
    answering("error: gone", fails=True)
    engines._ANSWERS.update(answers)
    assert engines.channels_answer(here, {}) == ("the channel conda-forge answers", "")
    assert not (here.root / ".mlops-lab").exists()


def test_offline_no_channel_is_asked_and_an_engine_that_is_not_here_is_a_reason(here: Project, tmp_path: Path) -> None:
    environ = machine(tmp_path)
    why_not = engines.available(here, Request(offline=True), environ)[1]
    assert why_not == "no conda, mamba or micromamba is here, and nothing may be fetched"
    why_not = engines.available(here, Request(conda="mamba"), environ)[1]
    assert why_not == "there is no mamba on this machine: install it, or take one of: embedded"
    assert engines.available(here, Request(), machine(tmp_path, "conda")) == ("conda is here", "")
