"""`drift` as a user calls it: what it prints, how it ends, and which recipe mends what."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import jsonschema
import pytest

from mlops_lab import changes, cli, recipe
from mlops_lab.changes import Changed
from mlops_lab.choices import Request
from mlops_lab.drift import mending
from mlops_lab.findings import Finding
from mlops_lab.moves import Move
from mlops_lab.report.findings import schema
from mlops_lab.tasks import namespace

if TYPE_CHECKING:
    from mlops_lab.steps import Steps

CONDA = "name: p\ndependencies:\n  - python=3.12\n  - numpy<2\n"
REQUIREMENTS = "six\nnumpy>=2\n"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "conda.yml").write_text(CONDA, encoding="utf-8")
    (tmp_path / "requirements.txt").write_text(REQUIREMENTS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "nobody")
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    monkeypatch.delenv("CONDA_PREFIX", raising=False)
    return tmp_path


def test_the_task_is_there() -> None:
    assert "drift" in namespace.task_names


def test_what_is_found_ends_with_one(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["drift"]) == 1
    out = capsys.readouterr().out
    assert f"drift: 1 finding in {root}: conflict" in out
    assert "no version of numpy is both" in out
    assert "requirements.txt:2" in out
    assert "edit conda.yml:4 or requirements.txt:2" in out


def test_nothing_found_ends_with_zero(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "requirements.txt").write_text("six\n", encoding="utf-8")
    assert cli.main(["drift"]) == 0
    assert "nothing found" in capsys.readouterr().out


def test_programs_get_json_alone(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["drift", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    jsonschema.validate(found, schema())
    assert (found["check"], found["subject"], found["ok"]) == ("drift", str(root), False)
    (finding,) = found["findings"]
    assert [(side["path"], side["line"]) for side in finding["sources"]] == [("conda.yml", 4), ("requirements.txt", 2)]


@pytest.mark.usefixtures("root")
def test_pull_requests_get_markdown_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["drift", "--markdown"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("### ❌ drift: 1 finding in ")
    assert "| conflict | `numpy` |" in out


def test_github_is_told(root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(root))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(root / "summary.md"))
    assert cli.main(["drift", "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["findings"]
    assert "::error file=requirements.txt,line=2,title=conflict numpy::" in err
    assert "drift: 1 finding in " in (root / "summary.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["drift", "--json", "--markdown"], "two forms of one report"),
        (["drift", "--", "absent.txt"], "there is no file absent.txt"),
        (["drift", "--", "."], "there is no file ."),
        (["drift", "--", "notes.md"], "notes.md is no file that names packages"),
        (["drift", "--prefix", "nowhere"], "there is no environment of this project at nowhere"),
        (["drift", "--prefix", "x", "--no-environment"], "choose one of them"),
        (["drift", "stray"], "No idea what 'stray' is!"),
        (["drift", "--hybrid", "venv+poety"], "there is no hybrid 'venv+poety'"),  # codespell:ignore poety
    ],
)
def test_wrong_words_end_with_two(
    root: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "notes.md").touch()
    assert cli.main(words) == 2
    assert message in capsys.readouterr().err


def test_a_commit_is_not_refused_for_what_is_installed(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "requirements.txt").write_text("six\n", encoding="utf-8")
    manifest = '[project]\nname = "p"\nversion = "1"\nrequires-python = ">=3.12"\n'
    (root / "pyproject.toml").write_text(manifest, encoding="utf-8")
    scripts = root / ".venv" / "bin"
    scripts.mkdir(parents=True)
    (scripts / "python").touch(mode=0o755)
    (scripts.parent / "pyvenv.cfg").write_text("version = 3.10.1\n", encoding="utf-8")
    assert cli.main(["drift"]) == 1
    assert "Python 3.10.1" in capsys.readouterr().out
    assert cli.main(["drift", "--no-environment"]) == 0
    assert ".venv" not in capsys.readouterr().out


def test_files_may_lie_anywhere(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = root / "elsewhere" / "requirements.txt"
    other.parent.mkdir()
    other.write_text("numpy>=3\n", encoding="utf-8")
    assert cli.main(["drift", "--", "conda.yml", str(other)]) == 1
    assert "elsewhere/requirements.txt:1" in capsys.readouterr().out
    assert cli.main(["drift", "--", str(other)]) == 1


def test_nothing_is_written(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "pyproject.toml").write_text('[project]\nname = "p"\nversion = "1"\n', encoding="utf-8")
    before = sorted(root.rglob("*"))
    cli.main(["drift"])
    assert capsys.readouterr().err == ""
    cli.main(["drift", "--fix"])
    assert sorted(root.rglob("*")) == before
    assert capsys.readouterr().err == "nothing is mended: what was found is for a person to decide\n"


# --- mending -------------------------------------------------------------------------------------------------------


def finding(mend: str) -> Finding:
    return Finding("conflict", "six", (), "why", "invoke lock", mend=mend)


MOVED = [Move(f"p{number}", "1", "2", ("uv.lock",)) for number in range(7)]


@pytest.mark.parametrize(
    ("mends", "called"),
    [(["lock", "follow"], "lock"), (["follow"], "align"), (["export", ""], "align"), (["install"], ""), ([""], "")],
)
def test_which_recipe_mends_files(mends: list[str], called: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []

    def standing_in(name: str) -> Any:
        def run(_steps: object, **words: bool) -> Changed:
            ran.append(name)
            assert words == ({"only_there": True} if name == "lock" else {})
            return Changed(name, MOVED, ["uv.lock"], installed=False, dry_run=False, seconds=1.0)

        return run

    for name in ("lock", "align"):
        monkeypatch.setattr(changes, name, standing_in(name))
    said = list(mending.files(cast("Steps", None), map(finding, mends)))
    assert ran == ([called] if called else [])
    shown = "p0 1 → 2, p1 1 → 2, p2 1 → 2, p3 1 → 2, p4 1 → 2, 2 more"
    assert said == ([f"uv.lock ({shown}); `invoke undo` takes it back"] if called else [])


@pytest.mark.parametrize(
    ("mends", "called"), [(["install"], "install"), (["setup", "install"], "setup"), (["lock"], "")]
)
def test_which_recipe_mends_the_environment(mends: list[str], called: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []
    monkeypatch.setattr(recipe, "install", lambda _steps: ran.append("install"))
    monkeypatch.setattr(recipe, "setup", lambda _steps, request: ran.append(f"setup{' anew' * request.force}"))
    steps = cast("Steps", SimpleNamespace(environment=SimpleNamespace(prefix=Path("/p/.venv"))))
    said = list(mending.environment(steps, Request(), map(finding, mends)))
    assert ran == {"install": ["install"], "setup": ["setup anew"], "": []}[called]
    assert len(said) == len(ran)
