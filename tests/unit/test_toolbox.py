"""Where a tool comes from, with the runner replaced: what it is asked, what it is told to install, what is kept."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import mlops_lab
from mlops_lab import environment, indexes, project, toolbox
from mlops_lab.errors import FOUND, WRONG, LabError
from mlops_lab.facts import Facts
from mlops_lab.runner import CommandFailed, Runner
from mlops_lab.toolbox import Tool, Toolbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

PARTS = ("poetry", "poetry-plugin-export", "poetry-plugin-pypi-mirror")
GOOD = json.dumps(dict(zip(PARTS, ("2.3.0", "1.9.0", "0.6.1"), strict=True)))
INDEX = "https://index.example/simple"
OTHER = "https://other.example/simple"
BASE = getattr(sys, "_base_executable", sys.executable)


@dataclass(frozen=True)
class Call:
    argv: tuple[str, ...]
    cwd: Path
    changes: Mapping[str, str | None]


class Recorder(Runner):
    """Keeps what it is given, and answers the first prepared text whose key is a part of the command."""

    def __init__(self, answers: Mapping[str, object]) -> None:
        super().__init__(None, {})
        self.answers = answers
        self.calls: list[Call] = []

    def run(
        self, argv: Sequence[str], *, cwd: Path, changes: Mapping[str, str | None] | None = None, quiet: bool = False
    ) -> str:
        assert quiet, "the toolbox only asks questions of its own"
        self.calls.append(Call(tuple(argv), cwd, dict(changes or {})))
        answer = next((text for key, text in self.answers.items() if key in shlex.join(argv)), "")
        if callable(answer):
            answer = answer(argv)
        if answer is None:
            raise CommandFailed(argv, 1, [], None)
        return str(answer)


class World:
    """A machine of our own: a PATH, a cache, a project, and prepared answers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "project"
        self.bin = folder / "bin"
        self.python = folder / "pythons" / "bin" / "python3"
        self.settings = ""
        self.environ: dict[str, str] = {}
        self.answers: dict[str, object] = {}
        self.said: list[str] = []
        for path in (self.root, self.bin, self.python.parent):
            path.mkdir(parents=True)
        self.python.touch()
        self.runner = Recorder(self.answers)

    def box(self, *, avoid: Sequence[Path] = (), offline: bool = False) -> Toolbox:
        text = f'[project]\nname = "p"\nversion = "1"\n{self.settings}'
        (self.root / "pyproject.toml").write_text(text, encoding="utf-8")
        self.runner = Recorder(self.answers)
        environ = {"PATH": str(self.bin), "PIP_CONFIG_FILE": os.devnull, "HOME": str(self.folder), **self.environ}
        return Toolbox(
            project.find(self.root),
            self.runner,
            avoid=avoid,
            environ=environ,
            offline=offline,
            say=self.said.append,
        )

    def program(self, name: str, head: str | None = None, folder: Path | None = None) -> Path:
        path = (folder or self.bin) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!{self.python}\n" if head is None else head, encoding="utf-8")
        path.chmod(0o755)
        return path

    @property
    def asked(self) -> list[tuple[str, ...]]:
        return [call.argv for call in self.runner.calls]

    def provisions(self, name: str, program: str, version: str) -> None:
        """Prepare what uv and the new environment's Python answer; the program appears with its environment."""

        def make(argv: Sequence[str]) -> str:
            folder = Path(argv[-1])
            assert not folder.exists()
            self.program(program, "", folder / "bin")
            (folder / "bin" / "python").touch(mode=0o755)
            return ""

        self.answers["venv --no-project"] = make
        self.answers[f"-I -c {shlex.quote(toolbox._VERSIONS)} {name}"] = json.dumps({name: version})


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path)
    bundled = made.program("uv", "\x7fELF", tmp_path / "bundled")
    made.answers[f"{bundled} --version"] = "uv 0.13.8 (x86_64)"
    monkeypatch.setattr(toolbox, "_bundled", lambda name: str(bundled) if name == "uv" else None)
    return made


def folder_of(box: Toolbox, name: str) -> Path:
    return box._folder(name)


# --- from PATH ---


def test_poetry_on_path_is_asked_for_itself_and_its_plugins_and_taken(world: World) -> None:
    script = world.program("poetry")
    world.answers["poetry-plugin-export"] = GOOD
    tool = world.box().find("poetry")
    assert tool == Tool("poetry", (str(script),), "2.3.0", str(script), "PATH")
    assert tool.interpreter == str(world.python)
    assert world.asked == [(str(world.python), "-I", "-c", toolbox._VERSIONS, *PARTS)]


def test_a_tool_is_looked_for_once_and_its_answer_is_kept_for_the_next_command(world: World) -> None:
    world.program("poetry")
    world.answers["poetry-plugin-export"] = GOOD
    box = world.box()
    assert box.find("poetry") is box.find("poetry") is box.peek("poetry")
    assert len(world.asked) == 1
    world.box().find("poetry")
    assert world.asked == []


def test_a_tool_is_asked_again_when_its_script_or_its_packages_changed(world: World) -> None:
    script = world.program("poetry")
    world.answers["poetry-plugin-export"] = GOOD
    world.box().find("poetry")
    os.utime(script, (1, 1))
    world.box().find("poetry")
    assert len(world.asked) == 1
    site = world.folder / "pythons" / "lib" / "python3.12" / "site-packages"
    (site / "poetry_plugin_new-1.0.dist-info").mkdir(parents=True)
    world.box().find("poetry")
    assert len(world.asked) == 1
    (site / "__pycache__").mkdir()
    world.box().find("poetry")
    assert world.asked == []


@pytest.mark.parametrize(
    "answer",
    [
        GOOD.replace("2.3.0", "1.8.0"),
        GOOD.replace("2.3.0", "3.0.0"),
        json.dumps({"poetry": "2.3.0"}),
        json.dumps({}),
        "no JSON",
        None,
    ],
)
def test_a_tool_that_is_too_old_lacks_a_plugin_or_does_not_answer_is_not_taken(
    world: World, answer: str | None
) -> None:
    world.program("poetry")
    world.answers["poetry-plugin-export"] = answer
    assert world.box().peek("poetry") is None


@pytest.mark.parametrize("head", ["#!/bin/bash\nexec x\n", "#!/no/such/python\n", "\x7fELF", ""])
def test_a_shim_or_a_script_without_its_python_is_not_asked(world: World, head: str) -> None:
    world.program("poetry", head)
    assert world.box().peek("poetry") is None
    assert world.asked == []


def test_a_tool_in_an_environment_of_the_project_is_not_taken(world: World) -> None:
    prefix = world.root / ".venv"
    world.program("poetry", folder=prefix / "bin")
    world.answers["poetry-plugin-export"] = GOOD
    world.environ["PATH"] = f"{prefix / 'bin'}{os.pathsep}{os.pathsep}{world.bin}"
    assert world.box().peek("poetry") is not None
    assert world.box(avoid=(prefix,)).peek("poetry") is None


@pytest.mark.parametrize(
    ("answer", "version"), [("uv 0.12.0", "0.12.0"), ("uv 0.1.0", "0.13.8"), ("uv", "0.13.8"), (None, "0.13.8")]
)
def test_uv_is_asked_for_its_version_and_the_bundled_one_follows(
    world: World, answer: str | None, version: str
) -> None:
    path = world.program("uv", "\x7fELF")
    world.answers[f"{path} --version"] = answer
    tool = world.box().find("uv")
    assert tool.version == version
    assert tool.origin == ("PATH" if version == "0.12.0" else "installed with mlops-lab")
    assert world.asked[0] == (str(path), "--version")


def test_the_uv_that_comes_with_us_is_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    assert toolbox._bundled("poetry") is None
    path = toolbox._bundled("uv")
    assert path is not None
    assert os.access(path, os.X_OK)

    def nowhere() -> str:
        raise FileNotFoundError

    monkeypatch.setattr("uv.find_uv_bin", nowhere)
    assert toolbox._bundled("uv") is None


def test_we_ourselves_are_started_with_the_interpreter_that_runs_us(world: World) -> None:
    tool = world.box().find("mlops-lab")
    assert tool.argv == (sys.executable, str(Path(mlops_lab.__file__).with_name("__main__.py")))
    assert world.asked == []


@pytest.mark.parametrize("look", ["find", "peek"])
def test_an_unknown_tool_is_refused(world: World, look: str) -> None:
    with pytest.raises(LabError) as caught:
        getattr(world.box(), look)("poetri")
    assert str(caught.value) == (
        "there is no tool 'poetri': did you mean poetry? (one of: poetry, uv, pip, mlops-lab, conda)"
    )


def test_a_pin_that_is_no_version_specifier_is_refused_before_anything_is_asked(world: World) -> None:
    world.settings = '[tool.mlops-lab.tools]\nuv = "latest"\n'
    world.answers.clear()
    with pytest.raises(LabError) as caught:
        world.box()._wanted("uv")
    assert str(caught.value) == (
        "pyproject.toml: tool.mlops-lab.tools.uv = 'latest' is not a version specifier: write it as \">=2.2,<3\""
    )
    assert caught.value.code == WRONG


# --- provisioned ---


def test_poetry_is_provisioned_with_uv_outside_of_every_environment(world: World) -> None:
    world.provisions("poetry", "poetry", "2.4.0")
    box = world.box()
    tool = box.find("poetry")
    folder, uv = folder_of(box, "poetry"), str(world.folder / "bundled" / "uv")
    assert tool == Tool(
        "poetry", (str(folder / "bin" / "poetry"),), "2.4.0", str(folder / "complete.json"), "provisioned"
    )
    wanted = ["poetry<3,>=2.2", "poetry-plugin-export>=1.9", "poetry-plugin-pypi-mirror>=0.6"]
    python = str(folder / "bin" / "python")
    assert world.asked[1:] == [
        (uv, "venv", "--no-project", "--python", BASE, str(folder)),
        (uv, "pip", "install", "--compile-bytecode", "--python", python, *wanted),
        (python, "-I", "-c", toolbox._VERSIONS, *PARTS),
    ]
    nowhere = {"VIRTUAL_ENV": None, "UV_PROJECT_ENVIRONMENT": None, "UV_PYTHON": None}
    assert [call.changes for call in world.runner.calls[1:]] == [nowhere, nowhere, {}]
    assert world.said == [f"provisioning poetry ({', '.join(wanted)}) in the user's cache"]


def test_a_provisioned_tool_is_found_again_without_starting_anything(world: World) -> None:
    world.provisions("pip", "python", "26.0")
    first = world.box().find("pip")
    again = world.box()
    assert again.peek("pip") == first
    assert again.find("pip") == first
    assert first.argv[1:] == ("-m", "pip")
    assert first.interpreter == first.argv[0]
    assert world.asked == []


def test_a_provisioned_tool_whose_program_is_gone_is_provisioned_anew(world: World) -> None:
    world.provisions("pip", "python", "26.0")
    tool = world.box().find("pip")
    Path(tool.argv[0]).unlink()
    box = world.box()
    assert box.peek("pip") is None
    assert box.find("pip") == tool
    assert len(world.asked) == 3


def test_another_pin_is_provisioned_into_another_folder(world: World) -> None:
    first = folder_of(world.box(), "pip")
    world.settings = '[tool.mlops-lab.tools]\npip = ">=26"\n'
    assert folder_of(world.box(), "pip") != first


def test_what_another_process_provisioned_meanwhile_is_taken(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    box = world.box()
    folder = folder_of(box, "pip")

    @contextlib.contextmanager
    def held(_prefix: Path, _say: object) -> Iterator[None]:
        world.program("python", "", folder / "bin")
        (folder / "complete.json").write_text('{"pip": "26.1"}', encoding="utf-8")
        yield

    monkeypatch.setattr(toolbox, "holding", held)
    assert box.find("pip").version == "26.1"
    assert world.asked == []


def test_a_provisioned_tool_without_a_program_is_an_error(world: World) -> None:
    world.provisions("poetry", "another", "2.4.0")
    box = world.box()
    with pytest.raises(LabError, match="but has no program there: delete "):
        box.find("poetry")


def test_a_failed_provisioning_leaves_nothing_that_looks_complete(world: World) -> None:
    world.provisions("pip", "python", "26.0")
    world.answers["pip install"] = None
    box = world.box()
    with pytest.raises(CommandFailed) as caught:
        box.find("pip")
    assert caught.value.code == FOUND
    assert world.box().peek("pip") is None


def test_a_pinned_uv_is_provisioned_by_the_one_that_is_here(world: World) -> None:
    world.settings = '[tool.mlops-lab.tools]\nuv = ">=99"\n'
    world.provisions("uv", "uv", "99.1")
    box = world.box()
    tool = box.find("uv")
    assert (tool.version, tool.origin) == ("99.1", "provisioned")
    assert [argv[0] for argv in world.asked if "install" in argv] == [str(world.folder / "bundled" / "uv")]
    assert box.peek("uv") == tool


def test_without_any_uv_the_error_says_how_to_get_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolbox, "_bundled", lambda _: None)
    with pytest.raises(LabError) as caught:
        world.box().find("pip")
    assert str(caught.value) == "there is no uv to install the tools with: install it: `pip install uv`"
    assert caught.value.code == FOUND


# --- the guide's summary, and what was used ---


def test_the_survey_installs_nothing_and_survives_a_broken_conda(world: World) -> None:
    conda = world.program("conda", "")
    world.answers[f"{conda} --version"] = "conda 26.7.0"
    assert world.box().survey() == {
        "conda": ("26.7.0", "conda of this machine"),
        "poetry": ("", ""),
        "uv": ("0.13.8", "installed with mlops-lab"),
        "pip": ("", ""),
    }
    for broken in (None, ""):
        world.answers[f"{conda} --version"] = broken
        assert world.box().survey()["conda"] == ("", "")
    conda.unlink()
    assert world.box().survey()["conda"] == (f"py-rattler {version('py-rattler')}", "embedded in mlops-lab")


def test_what_was_used_is_marked_and_a_change_of_it_is_seen(world: World) -> None:
    script = world.program("poetry")
    world.answers["poetry-plugin-export"] = GOOD
    box = world.box()
    box.find("poetry")
    box.find("mlops-lab")
    assert list(box.used) == ["poetry"]
    mark = json.loads(json.dumps(box.used["poetry"]))
    assert not world.box().changed("poetry", mark)
    first = world.program("poetry", folder=world.folder / "first")
    world.environ["PATH"] = f"{first.parent}{os.pathsep}{world.bin}"
    assert world.box().changed("poetry", mark)
    world.environ["PATH"] = ""
    assert not world.box().changed("poetry", mark)
    script.write_text(f"#!{world.python}\n# upgraded\n", encoding="utf-8")
    assert world.box().changed("poetry", mark)


# --- the index ---


def test_each_tool_is_sent_to_pips_index_and_what_it_cannot_take_is_said_once(world: World) -> None:
    world.environ |= {"PIP_INDEX_URL": INDEX, "PIP_FIND_LINKS": "/wheels"}
    box = world.box()
    assert box.settings("uv")["UV_DEFAULT_INDEX"] == INDEX
    assert box.settings("poetry") == {
        "POETRY_PYPI_MIRROR_URL": INDEX,
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
    }
    assert box.settings("pip") == {}
    assert box.settings("mlops-lab") == {}
    box.settings("poetry")
    assert world.said == [
        "Poetry cannot take pip's find-links (1 location): serve those files as a [[tool.poetry.source]]"
    ]
    assert world.asked == []


def with_pip(world: World) -> None:
    world.program("pip")
    world.answers["PyPI.simple_url"] = f"{INDEX}\n"
    world.answers[" pip"] = '{"pip": "26.0"}'


def test_beside_extra_indexes_the_default_one_is_what_pip_says_asked_once(world: World) -> None:
    with_pip(world)
    world.environ["PIP_EXTRA_INDEX_URL"] = OTHER
    expected = {"UV_DEFAULT_INDEX": OTHER, "UV_INDEX": INDEX, "UV_INDEX_STRATEGY": "unsafe-best-match"}
    assert world.box().settings("uv") == expected
    question = (str(world.python), "-I", "-c", toolbox._PIP_DEFAULT_INDEX)
    assert world.asked[-1] == question
    assert world.box().settings("uv") == expected
    assert question not in world.asked


def test_a_pip_that_has_to_be_provisioned_first_is_installed_without_the_extra_indexes(world: World) -> None:
    world.environ["PIP_EXTRA_INDEX_URL"] = OTHER
    world.environ["PIP_CERT"] = str(world.python)
    world.provisions("pip", "python", "26.0")
    world.answers["PyPI.simple_url"] = INDEX
    box = world.box()
    box.find("pip")
    (install,) = (call for call in world.runner.calls if "install" in call.argv)
    assert "UV_INDEX" not in install.changes
    assert install.changes["SSL_CERT_FILE"] == str(world.python)
    assert box.settings("uv")["UV_INDEX"] == INDEX


def with_poetry(world: World, answer: object) -> Callable[[], dict[str, str]]:
    world.program("poetry")
    world.answers["PyPiRepository"] = answer
    world.answers["poetry-plugin-export"] = GOOD
    return lambda: world.box().settings("poetry")


@pytest.mark.parametrize(("simple_only", "expected"), [(True, INDEX), (False, None)])
def test_poetry_is_sent_to_the_mirror_when_its_index_has_no_json(
    world: World, simple_only: bool, expected: str | None
) -> None:
    settings = with_poetry(world, json.dumps({"url": INDEX, "simple_only": simple_only}))
    assert settings().get("POETRY_PYPI_MIRROR_URL") == expected
    assert world.asked[-1] == (str(world.python), "-I", "-c", toolbox._DEFAULT_INDEX)
    assert world.runner.calls[-1].changes["POETRY_PYPI_MIRROR_URL"] is None
    assert settings().get("POETRY_PYPI_MIRROR_URL") == expected
    assert world.asked == []


def test_the_index_of_poetry_is_asked_with_the_certificate_and_the_proxy_of_pip(world: World) -> None:
    settings = with_poetry(world, json.dumps({"url": INDEX, "simple_only": True}))
    world.environ |= {"PIP_CERT": str(world.python), "PIP_PROXY": "http://proxy.example"}
    given = {name: value for name, value in settings().items() if name != "POETRY_PYPI_MIRROR_URL"}
    assert given["REQUESTS_CA_BUNDLE"] == str(world.python)
    assert "http://proxy.example" in given.values()
    assert world.runner.calls[-1].changes == {**given, "POETRY_PYPI_MIRROR_URL": None}


SIMPLE = json.dumps({"files": [], "versions": ["1.16.0", "1.17.0"]})
PAGES: dict[str, tuple[dict[str, tuple[int, str]], bool]] = {
    "all of its JSON": ({"simple/six/": (200, SIMPLE), "pypi/six/1.17.0/json": (200, '{"urls": []}')}, False),
    "no page of a version": ({"simple/six/": (200, SIMPLE)}, True),
    "HTML": ({"simple/six/": (200, "<html>")}, True),
    "JSON of another kind": ({"simple/six/": (200, "[]")}, True),
    "no simple page either": ({}, False),
}


@pytest.mark.parametrize(("pages", "simple_only"), PAGES.values(), ids=PAGES)
def test_what_the_index_of_poetry_answers_tells_what_it_lacks(
    pages: Mapping[str, tuple[int, str]],
    simple_only: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Session:
        def get(self, address: str, **_: object) -> SimpleNamespace:
            status, text = pages.get(address.removeprefix("https://index.example/"), (404, ""))
            return SimpleNamespace(status_code=status, text=text)

    class PyPiRepository:
        session, _base_url, _url = Session(), "https://index.example/", INDEX

    poetrys = ModuleType("poetry.repositories.pypi_repository")
    poetrys.PyPiRepository = PyPiRepository  # type: ignore[attr-defined]
    for name in ("poetry", "poetry.repositories"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, poetrys.__name__, poetrys)
    exec(toolbox._DEFAULT_INDEX, {})  # noqa: S102 - what Poetry's interpreter is given to run
    assert json.loads(capsys.readouterr().out) == {"url": INDEX, "simple_only": simple_only}


def test_the_index_is_asked_again_the_next_day_and_behind_another_proxy(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = with_poetry(world, json.dumps({"url": INDEX, "simple_only": True}))
    settings()
    world.environ["https_proxy"] = "http://user:word@proxy.example"
    settings()
    assert len(world.asked) == 1
    monkeypatch.setattr("time.time", lambda: 0.0)
    settings()
    assert len(world.asked) == 1
    facts = (environment.user_cache() / "facts.json").read_text(encoding="utf-8")
    assert "user:word" not in facts


@pytest.mark.parametrize("answer", [None, "Traceback"])
def test_an_index_that_does_not_answer_is_asked_again_by_the_next_command(world: World, answer: str | None) -> None:
    settings = with_poetry(world, answer)
    for _ in range(2):
        assert "POETRY_PYPI_MIRROR_URL" not in settings()
        assert toolbox._DEFAULT_INDEX in world.asked[-1]


def test_offline_no_index_is_asked(world: World) -> None:
    with_poetry(world, json.dumps({"url": INDEX, "simple_only": True}))
    assert "POETRY_PYPI_MIRROR_URL" not in world.box(offline=True).settings("poetry")
    assert world.asked == []


def test_pips_configuration_is_read_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    box = world.box()
    first = box.pip_config
    monkeypatch.setattr(indexes, "read_pip_config", None)
    assert box.pip_config is first


# --- small parts ---


def test_a_cache_that_cannot_be_written_costs_time_only(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MLOPS_LAB_CACHE_DIR", str(tmp_path / "file"))
    world.program("poetry")
    world.answers["poetry-plugin-export"] = GOOD
    for _ in range(2):
        assert world.box().find("poetry").version == "2.3.0"
        assert len(world.asked) == 1


@pytest.mark.parametrize("content", ["[]", "{", '{"key": 1}', '{"key": ["other", 1]}'])
def test_a_broken_or_strange_cache_is_as_good_as_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "facts.json"
    path.write_text(content, encoding="utf-8")
    facts = Facts(path)
    assert facts.get("key", "state") is None
    facts.put("key", "state", {"a": 1})
    assert Facts(path).get("key", "state") == {"a": 1}


def _trampoline(interpreter: str) -> str:
    return f"#!/bin/sh\n'''exec' {interpreter} \"$0\" \"$@\"\n' '''\nimport x\n"


SHEBANGS: dict[str, Callable[[str], str]] = {
    "plain": lambda python: f"#!{python}\nimport x\n",
    "with a space after it": lambda python: f"#! {python} \nimport x\n",
    "trampoline": _trampoline,
    "quoted trampoline": lambda python: _trampoline(f'"{python}"'),
}


@pytest.mark.parametrize("head", SHEBANGS.values(), ids=SHEBANGS.keys())
def test_the_python_of_a_script_is_read_from_its_first_line(tmp_path: Path, head: Any) -> None:
    python = tmp_path / "a b é" / "bin" / "python3.12"
    python.parent.mkdir(parents=True)
    python.touch()
    (tmp_path / "script").write_text(head(str(python)), encoding="utf-8")
    assert toolbox._shebang(tmp_path / "script") == str(python)


@pytest.mark.parametrize("head", ["#!/bin/sh\nexit\n", "#!/usr/bin/env python3\n", "#!", "x" * 2000])
def test_anything_else_names_no_python(tmp_path: Path, head: str) -> None:
    (tmp_path / "script").write_text(head, encoding="utf-8")
    assert toolbox._shebang(tmp_path / "script") == ""
    assert toolbox._shebang(tmp_path) == ""
