"""The guide as Markdown: the page of a team, and the pieces of Markdown that it is made of."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops_lab.guide import ROWS, hybrid_named, row_named
from mlops_lab.report.guide_markdown import circumstances, team_page, typed
from mlops_lab.report.markdown import code_block, prose, table

CONDA, PIP = hybrid_named("conda+uv"), hybrid_named("pip+poetry")


def test_a_teams_page_has_the_steps_their_commands_and_the_tasks() -> None:
    page = team_page("my_project", PIP, "poetry", [(row, f"run {row.name}") for row in ROWS])
    assert page.startswith("# The environment of my\\_project\n\nWith pip+poetry; poetry resolves.")
    assert "```bash\ninvoke setup --hybrid pip+poetry\n```" in page
    assert [line for line in page.splitlines() if line.startswith("## ")] == [
        "## 1. Create the environment",
        "## 2. Activate it",
        "## 3. Verify that it is there",
        "## 4. See which environment the manager uses",
        "## 5. Add packages",
        "## 6. Check manifest and lock",
        "## 7. Examine the environment's health",
        "## 8. Check that the installed packages fit together",
        "## 9. Keep it up to date",
    ]
    for row in ROWS:
        assert f"{prose(row.why)}\n\n```bash\nrun {row.name}\n```\n" in page
        task = 'eval "$(invoke activate)"' if row.name == "activate" else f"invoke {row.part_of or row.name}"
        assert f"With Invoke: `{task}`" in page
    assert page.endswith("`invoke remove`\n")


def test_a_row_that_the_hybrid_does_not_need_is_left_out() -> None:
    page = team_page("p", CONDA, "uv", [(row, "" if row.name == "install-project" else "x") for row in ROWS])
    assert row_named("install-project").title not in page
    assert row_named("install").title in page


def test_what_prints_something_for_the_shell_is_read_by_it() -> None:
    page = team_page("p", CONDA, "uv", [(row, f"mlops-lab {row.name}") for row in ROWS])
    assert 'eval "$(mlops-lab activate)"' in page
    assert page.count("eval") == 2
    plain = team_page("p", CONDA, "uv", [(row_named("activate"), "conda activate lab")])
    assert "```bash\nconda activate lab\n```" in plain


def test_what_is_the_hybrids_own_has_its_reason_and_what_is_behind_the_files_back_is_named() -> None:
    page = team_page("p", CONDA, "uv", [(row, "x") for row in ROWS])
    assert "Without --inexact uv would remove the packages that conda itself needs." in page
    assert "Not `conda install PACKAGE…`: that is behind the files' back" in page


def test_circumstances_are_told_in_words() -> None:
    assert circumstances(row_named("update"), CONDA, "uv") == {
        "packages were named": "uv lock --upgrade-package=PACKAGE…"
    }
    assert circumstances(row_named("install-project"), CONDA, "uv") == {}


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (["python", "-m", "venv", "/a/b p/.venv"], "python -m venv .venv"),
        (["python", "-m", "venv", "/a/b p/my env"], "python -m venv 'my env'"),
        (["uv", "export", "--output-file=/a/b p/requirements.txt"], "uv export --output-file=requirements.txt"),
        (["python", "-m", "venv", "/a/b pp/.venv"], "python -m venv '/a/b pp/.venv'"),
        (["python", "-m", "venv", "/x/a/b p/.venv"], "python -m venv '/x/a/b p/.venv'"),
        (["poetry", "lock"], "poetry lock"),
        ([], ""),
    ],
)
def test_a_command_is_typed_in_the_projects_folder(command: list[str], shown: str) -> None:
    assert typed(command, Path("/a/b p")) == shown


def test_an_environment_that_each_machine_has_elsewhere_is_the_one_that_is_active() -> None:
    command = ["pip", "--python", "/home/me/my envs/lab/bin/python", "uninstall", "--yes", "PACKAGE"]
    shown = typed(command, Path("/a/p"), Path("/home/me/my envs/lab"))
    assert shown == 'pip --python "$CONDA_PREFIX"/bin/python uninstall --yes PACKAGE'


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a_b and `c_d|e`, <x> *y*", r"a\_b and `c_d|e`, \<x\> \*y\*"),
        ("no markup", "no markup"),
        ("a single ` is no code_", r"a single ` is no code\_"),
        ("", ""),
    ],
)
def test_words_are_shown_as_they_stand(text: str, shown: str) -> None:
    assert prose(text) == shown


def test_a_bar_ends_no_cell() -> None:
    assert table(("a", "b"), [("`x|y`", prose("1|2")), ("", "3")]) == [
        "| a | b |",
        "| --- | --- |",
        r"| `x\|y` | 1\|2 |",
        "|  | 3 |",
    ]


def test_a_block_of_code_has_every_line() -> None:
    assert code_block("a\nb", "toml") == ["```toml", "a", "b", "```"]
