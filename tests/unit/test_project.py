"""The project on disk: where it starts, what it is made of, what it says of itself and what it remembers."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from mlops_lab import project
from mlops_lab.errors import WRONG, LabError
from mlops_lab.project import PINS, Project, find

HYBRIDS = "conda+poetry, conda+uv, venv+poetry, venv+uv, pip+poetry, pip+uv"
GROUPS = "[dependency-groups]\ndev = []\nLab_Work = []\n[tool.poetry.group.docs]\noptional = true\n"


def made(folder: Path, text: str = "", **files: str) -> Project:
    for name, content in {"pyproject.toml": text, **files}.items():
        (folder / name).write_text(content, encoding="utf-8")
    return find(folder)


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(LabError) as caught:
        made(folder, text)
    assert caught.value.code == WRONG
    return str(caught.value)


# --- where it starts -----------------------------------------------------------------------------------------------


def test_a_project_is_found_from_any_folder_in_it(tmp_path: Path) -> None:
    made(tmp_path)
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert find(tmp_path).root == find(tmp_path / "a" / "b").root == tmp_path


def test_the_nearest_project_wins(tmp_path: Path) -> None:
    made(tmp_path)
    (tmp_path / "inner").mkdir()
    made(tmp_path / "inner")
    assert find(tmp_path / "inner").root == tmp_path / "inner"


def test_without_a_manifest_here_or_above_there_is_no_project(tmp_path: Path) -> None:
    with pytest.raises(LabError) as caught:
        find(tmp_path)
    assert caught.value.message == f"there is no pyproject.toml in {tmp_path} or above it"
    assert caught.value.hint == "go to the project's folder, or make one with `poetry init`"
    assert caught.value.code == WRONG


def test_a_broken_manifest_is_refused_with_its_line(tmp_path: Path) -> None:
    assert refusal(tmp_path, "[project]\nname = \n").startswith("pyproject.toml:2:8: ")


# --- what it is made of --------------------------------------------------------------------------------------------


def test_its_files_are_where_every_tool_looks_for_them(tmp_path: Path) -> None:
    found = made(tmp_path)
    assert found.pyproject == tmp_path / "pyproject.toml"
    assert found.requirements == tmp_path / "requirements.txt"
    assert (found.lock("poetry"), found.lock("uv")) == (tmp_path / "poetry.lock", tmp_path / "uv.lock")


def test_only_the_files_that_are_there_count(tmp_path: Path) -> None:
    found = made(tmp_path, **{"uv.lock": "", "conda.yml": "", "other.txt": ""})
    (tmp_path / "poetry.lock").mkdir()
    assert found.files == {name: tmp_path / name for name in ("pyproject.toml", "conda.yml", "uv.lock")}


@pytest.mark.parametrize(
    ("files", "chosen"),
    [
        ([], None),
        (["environment.yaml"], "environment.yaml"),
        (["environment.yaml", "environment.yml"], "environment.yml"),
        (["environment.yml", "conda.yaml"], "conda.yaml"),
        (["conda.yaml", "conda.yml"], "conda.yml"),
    ],
)
def test_condas_manifest_has_four_usual_names(tmp_path: Path, files: list[str], chosen: str | None) -> None:
    found = made(tmp_path, **dict.fromkeys(files, "name: x\n"))
    assert (found.conda_yml.name if found.conda_yml else None) == chosen
    assert (found.conda_env.path.name if found.conda_env else None) == chosen


def test_a_broken_conda_manifest_is_refused_when_it_is_needed(tmp_path: Path) -> None:
    found = made(tmp_path, **{"conda.yml": "name: [\n"})
    with pytest.raises(LabError, match=r"^conda\.yml:2:1: "):
        _ = found.conda_env


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('[project]\nname = "My.Lab"\n', "my-lab"),
        ('[tool.poetry]\nname = "Old_Lab"\n', "old-lab"),
        ("", "Some Folder"),
    ],
)
def test_its_name_is_the_declared_one_or_its_folders(tmp_path: Path, text: str, name: str) -> None:
    (tmp_path / "Some Folder").mkdir()
    assert made(tmp_path / "Some Folder", text).name == name


@pytest.mark.parametrize(
    ("setting", "groups"),
    [("", ("dev", "lab-work")), ('groups = ["docs"]', ("docs",)), ("groups = []", ())],
)
def test_every_group_that_is_not_optional_is_installed_unless_it_says_otherwise(
    tmp_path: Path, setting: str, groups: tuple[str, ...]
) -> None:
    assert made(tmp_path, f"{GROUPS}\n[tool.mlops-lab]\n{setting}\n").groups == groups


# --- [tool.mlops-lab] ----------------------------------------------------------------------------------------------


def test_where_it_says_nothing_there_are_defaults(tmp_path: Path) -> None:
    settings = made(tmp_path).settings
    assert (settings.hybrid, settings.leader, settings.groups) == (None, None, None)
    assert settings.tools == PINS
    assert settings == project.Settings()


def test_what_it_says_is_taken(tmp_path: Path) -> None:
    text = '[tool.mlops-lab]\nhybrid = "pip+uv"\nleader = "uv"\n[tool.mlops-lab.tools]\npip = "==25.3"\n'
    settings = made(tmp_path, text).settings
    assert (settings.hybrid, settings.leader) == ("pip+uv", "uv")
    assert settings.tools == {**PINS, "pip": "==25.3"}
    addresses = {"publish": "https://index.example/", "index": "https://index.example/simple"}
    text = "[tool.mlops-lab.repositories.team]\n" + "".join(f"{key} = '{url}'\n" for key, url in addresses.items())
    assert made(tmp_path, text).settings.repositories == {"team": addresses}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'hybrid = "venv+pip"',
            f"pyproject.toml: there is no hybrid 'venv+pip': did you mean venv+uv or venv+poetry? (one of: {HYBRIDS})",
        ),
        ("hybrid = 1", 'pyproject.toml: tool.mlops-lab.hybrid is not a text: write hybrid = "…"'),
        ('leader = "pip"', "pyproject.toml: there is no manager 'pip' to lead: one of: poetry, uv"),
        ("leader = []", 'pyproject.toml: tool.mlops-lab.leader is not a text: write leader = "…"'),
        ('groups = "dev"', 'pyproject.toml: tool.mlops-lab.groups is not a list of names: write groups = ["dev"]'),
        ("groups = [1]", 'pyproject.toml: tool.mlops-lab.groups is not a list of names: write groups = ["dev"]'),
        (
            'groups = ["dve"]',
            "pyproject.toml: tool.mlops-lab.groups names 'dve': did you mean dev? (one of: dev, lab-work, docs)",
        ),
        ("tools = 1", "pyproject.toml: tool.mlops-lab.tools is not a table: write it as [tool.mlops-lab.tools]"),
        (
            'tools = { poetri = ">=2" }',
            (
                "pyproject.toml: tool.mlops-lab.tools names 'poetri': did you mean poetry? "
                "(one of: pip, poetry, poetry-plugin-export, poetry-plugin-pypi-mirror, uv)"
            ),
        ),
        ("tools = { uv = 1 }", 'pyproject.toml: tool.mlops-lab.tools.uv is not a text: write uv = ">=1"'),
        (
            "repositories = 1",
            ("pyproject.toml: tool.mlops-lab.repositories is not a table: write it as [tool.mlops-lab.repositories]"),
        ),
        (
            'repositories = { "a b" = {} }',
            (
                "pyproject.toml: tool.mlops-lab.repositories.a b has no name for a repository: "
                "write it with letters, digits, - . _"
            ),
        ),
        (
            "repositories = { team = 1 }",
            (
                "pyproject.toml: tool.mlops-lab.repositories.team does not say where to publish to: "
                'write team = { publish = "ADDRESS", index = "ADDRESS" }'
            ),
        ),
        (
            'repositories = { team = { index = "https://index.example/simple" } }',
            (
                "pyproject.toml: tool.mlops-lab.repositories.team does not say where to publish to: "
                'write team = { publish = "ADDRESS", index = "ADDRESS" }'
            ),
        ),
        (
            'repositories = { team = { publish = "https://index.example/", indx = "x" } }',  # codespell:ignore indx
            (
                "pyproject.toml: tool.mlops-lab.repositories.team has a key 'indx': "
                "did you mean index? (one of: publish, index)"
            ),
        ),
        (
            'repositories = { team = { publish = "ftp://index.example/" } }',
            'pyproject.toml: tool.mlops-lab.repositories.team.publish is no address: write it as "https://…"',
        ),
        (
            'repositories = { team = { publish = "https://index.example/", index = 1 } }',
            'pyproject.toml: tool.mlops-lab.repositories.team.index is no address: write it as "https://…"',
        ),
    ],
)
def test_what_it_says_wrongly_is_refused(tmp_path: Path, text: str, message: str) -> None:
    assert refusal(tmp_path, f"{GROUPS}\n[tool.mlops-lab]\n{text}\n") == message


def test_a_table_of_ours_that_is_none_is_refused(tmp_path: Path) -> None:
    message = "pyproject.toml:2:1: tool.mlops-lab must be a table, not a number"
    assert refusal(tmp_path, "[tool]\nmlops-lab = 1\n") == message


# --- what it remembers ---------------------------------------------------------------------------------------------


def test_its_state_ignores_itself_in_git_once(tmp_path: Path) -> None:
    found = made(tmp_path)
    assert not (tmp_path / ".mlops-lab").exists()
    assert found.state == tmp_path / ".mlops-lab"
    ignore = found.state / ".gitignore"
    assert ignore.read_text(encoding="utf-8") == "*\n"
    ignore.write_text("mine\n", encoding="utf-8")
    assert (found.state / ".gitignore").read_text(encoding="utf-8") == "mine\n"


def test_a_state_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    found = made(tmp_path)
    (tmp_path / ".mlops-lab").write_text("a file", encoding="utf-8")
    with pytest.raises(LabError) as caught:
        _ = found.state
    assert str(caught.value) == (
        f"cannot write {tmp_path / '.mlops-lab'}: File exists: make the project's folder writable"
    )
    assert caught.value.code == WRONG


def test_a_full_disk_is_no_wrong_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = made(tmp_path)

    def full(_path: Path, **_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", full)
        with pytest.raises(OSError, match="No space left on device"):
            _ = found.state


def test_what_was_remembered_comes_back_and_the_rest_stays(tmp_path: Path) -> None:
    found = made(tmp_path)
    found.remember(hybrid="venv+uv", prefix="/my env/é")
    found.remember(hybrid="pip+uv")
    assert found.remembered("hybrid") == "pip+uv"
    assert find(tmp_path).remembered("prefix") == "/my env/é"
    assert found.remembered("nothing") is None
    assert sorted(path.name for path in found.state.iterdir()) == [".gitignore", "state.json"]


def test_to_look_for_a_memory_writes_nothing(tmp_path: Path) -> None:
    assert made(tmp_path).remembered("hybrid") is None
    assert [path.name for path in tmp_path.iterdir()] == ["pyproject.toml"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff", b"[]", b"null", b'"hybrid"', b'{"hybrid": 1}', b'{"hybrid": null}']
)
def test_a_memory_that_cannot_be_read_is_none_and_no_obstacle(tmp_path: Path, content: bytes) -> None:
    found = made(tmp_path)
    (found.state / "state.json").write_bytes(content)
    assert found.remembered("hybrid") is None
    found.remember(hybrid="venv+uv")
    assert json.loads((found.state / "state.json").read_text(encoding="utf-8")) == {"hybrid": "venv+uv"}


def test_two_commands_that_end_together_do_not_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = made(tmp_path)
    replace = Path.replace

    def meanwhile(path: Path, target: Path) -> Path:
        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", replace)
            patch.setattr(os, "getpid", lambda: -1)
            found.remember(hybrid="pip+uv")
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", meanwhile)
        found.remember(hybrid="venv+uv")
    assert found.remembered("hybrid") == "venv+uv"
