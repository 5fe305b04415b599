"""What a TAB offers: names, options, values from the table and the project, and never a word about what is wrong."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from invoke.collection import Collection
from invoke.exceptions import Exit

from mlops_lab import cli
from mlops_lab.errors import LabError
from mlops_lab.guide import ENGINES, HYBRIDS, MANAGERS
from mlops_lab.tasks import completing, namespace

if TYPE_CHECKING:
    from collections.abc import Callable

PYPROJECT = """
[project]
name = "p"
version = "1"
dependencies = ["Cow-Say>=6"]
[dependency-groups]
dev = ["iniconfig"]
docs = []
[tool.mlops-lab.repositories.team]
publish = "https://index.example/legacy/"
"""
HYBRID_NAMES = sorted(hybrid.name for hybrid in HYBRIDS)
TASKS = set(namespace.task_names)
FREE = {"certificate", "inventory", "name", "prefix", "python", "tag", "verify"}
PACKAGES = ["cow-say", "iniconfig"]
PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "completion.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"^\| `mlops-lab (.*)⇥` \| (.+) \|$", PAGE, re.MULTILINE)
"""What is typed there, and what is offered then."""


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., list[str] | None]:
    (tmp_path / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")

    def offered(name: str, *words: str) -> list[str] | None:
        task = next(each for each in namespace.to_contexts() if each.name == name)
        return completing.offered(task, words, tmp_path, {})

    return offered


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("setup --hybrid ve", HYBRID_NAMES),
        ("setup --hybrid", HYBRID_NAMES),
        ("setup --hybrid=ve", [f"--hybrid={name}" for name in HYBRID_NAMES]),
        ("setup --hybrid=", [f"--hybrid={name}" for name in HYBRID_NAMES]),
        # As Bash takes it apart.
        ("setup --hybrid = ve", HYBRID_NAMES),
        ("setup --hybrid =", HYBRID_NAMES),
        ("guide --hybrid", HYBRID_NAMES),
        ("setup --force --conda e", sorted(ENGINES)),
        ("lock --leader", sorted(MANAGERS)),
        ("activate --shell z", ["bash", "cmd", "fish", "powershell", "sh", "zsh"]),
        ("setup --group", ["dev", "docs"]),
        ("setup --group dev --group d", ["dev", "docs"]),
        ("add pandas --group", ["dev", "docs"]),
        ("publish --repository", ["pypi", "team"]),
        ("matrix --size s", ["full", "small"]),
        ("remove", PACKAGES),
        ("remove c", PACKAGES),
        ("remove cow-say --group dev ini", PACKAGES),
        ("remove -- cow-say i", PACKAGES),
        ("update", PACKAGES),
        ("remove -- cow-say --group d", PACKAGES),
        ("setup --hybrid venv+uv", HYBRID_NAMES),
    ],
)
def test_values_come_from_the_table_and_the_project(
    ask: Callable[..., list[str]], words: str, found: list[str]
) -> None:
    assert ask(*words.split()) == found


@pytest.mark.parametrize(
    "words",
    [
        *("setup", "setup --force", "setup --hybrid venv+uv se", "lock --check s"),
        *("lock --check drift --f", "setup --hybrid venv+uv lock --leader"),
    ],
)
def test_another_task_may_follow_and_invoke_knows_them(ask: Callable[..., list[str] | None], words: str) -> None:
    assert ask(*words.split()) is None


@pytest.mark.parametrize(
    "words",
    [
        "setup --prefix",
        "setup --python 3",
        "add",
        "add pan",
        "add -- a",
        "run -- py",
        "run -- pip --group",
        "lock --check -- x",
    ],
)
def test_files_are_the_shells_own_business(ask: Callable[..., list[str]], words: str) -> None:
    assert ask(*words.split()) == []


def test_options_are_those_of_the_task(ask: Callable[..., list[str]]) -> None:
    assert ask("setup", "--h") == ["--hybrid"]
    assert ask("setup", "--hybrid", "venv+uv", "--fo") == ["--force"]
    assert "--dry-run" in ask("remove", "--")
    assert "-h" in ask("setup", "-")
    # Conda's is a switch there, and a package may follow.
    assert ask("remove", "--conda") == PACKAGES


def test_every_option_with_choices_offers_them() -> None:
    valued = {
        argument.name
        for context in namespace.to_contexts()
        for argument in context.args.values()
        if argument.takes_value
    }
    offered = {name for name in completing._OFFERS if not name.endswith(" --")}
    # Paths, words of the user's own, and Pythons, which would have to be looked for.
    assert valued - offered == FREE
    assert offered <= valued


# --- at a prompt ---


@pytest.fixture
def tab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    (tmp_path / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def press(*typed: str) -> str:
        words = ["--complete", "--", "mlops-lab", *typed]
        monkeypatch.setattr(sys, "argv", ["mlops-lab", *words])
        assert cli.main(words) == 0
        out, err = capsys.readouterr()
        assert err == ""
        return out

    return press


def test_mlops_lab_prints_one_word_a_line(tab: Callable[..., str]) -> None:
    assert tab("setup", "--hybrid", "ve").splitlines() == HYBRID_NAMES
    assert tab("run", "--", "py") == ""
    assert "--list\n" in tab("--li")
    for typed in ((), ("se",), ("setup",), ("setup", "--force", "ve")):
        assert set(tab(*typed).splitlines()) == TASKS


@pytest.mark.parametrize(("keys", "told"), SHOWN)
def test_a_tab_offers_what_the_page_says(tab: Callable[..., str], keys: str, told: str) -> None:
    named = {"the groups of the project": ["dev", "docs"], "its packages": PACKAGES}
    wanted = named.get(told) or re.findall(r"`(.+?)`", told)
    begun = keys.rpartition(" ")[2]  # a shell itself leaves out what does not begin so
    assert [word for word in tab(*keys.split()).splitlines() if word.startswith(begun)] == wanted


def test_the_page_shows_some() -> None:
    assert len(SHOWN) == PAGE.count("⇥") > 0


@pytest.mark.parametrize(
    "content",
    [
        "[project",
        "[project]\nname = 1\n",
        'x = "\x00"',
        "[dependency-groups]\ndev = 3\n",
        "[tool.mlops-lab]\nhybrid = 1",
    ],
)
def test_a_broken_project_offers_nothing_and_says_nothing(tab: Callable[..., str], content: str) -> None:
    Path("pyproject.toml").write_text(content, encoding="utf-8")
    for words in (("setup", "--group"), ("remove",), ("publish", "--repository")):
        assert tab(*words) == ""
    assert tab("setup", "--hybrid").splitlines() == HYBRID_NAMES


def test_where_there_is_no_project_the_table_is_still_there(tab: Callable[..., str]) -> None:
    Path("pyproject.toml").unlink()
    assert tab("remove") == ""
    assert tab("lock", "--leader").splitlines() == sorted(MANAGERS)


def test_a_name_that_a_shell_would_expand_or_run_is_not_offered(tab: Callable[..., str]) -> None:
    names = ("$(touch ran)", "`touch ran`", "a;b", "a b", "a\\nb", "it's", "$HOME", "*", "~", "a{b,c}", "für")
    groups = "".join(f'"{name}" = []\n' for name in names)
    Path("pyproject.toml").write_text(PYPROJECT.replace("docs = []\n", groups), encoding="utf-8")
    assert tab("setup", "--group") == "dev\n"


@pytest.mark.parametrize("typed", [("setup", "--hybrid", "'ve"), ("run", "--", "echo", "it's"), ('"',), ("--x", "'")])
def test_an_open_quote_offers_nothing_and_says_nothing(tab: Callable[..., str], typed: tuple[str, ...]) -> None:
    assert tab(*typed) == ""


def test_what_goes_wrong_inside_stays_inside(tab: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object) -> list[str]:
        raise LabError("wrong")

    monkeypatch.setattr(completing, "offered", breaks)
    assert tab("setup", "--hybrid") == ""


def test_a_tasks_help_is_there_whenever_it_is_asked_for() -> None:
    for _ in range(2):
        arguments = namespace.tasks["setup"].get_arguments()
        assert [argument.name for argument in arguments if not argument.help] == []


def test_only_a_completion_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    for words in (
        ["mlops-lab", "add", "--", "--complete"],
        ["invoke", "--complete"],
        ["invoke", "--complete", "--", "invoke"],
        ["invoke", "setup"],
    ):
        monkeypatch.setattr(sys, "argv", words)
        assert len(namespace.to_contexts()) == len(TASKS)


def test_in_a_collection_of_the_users_own_it_is_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    mine = Collection()
    mine.add_collection(namespace, "lab")
    monkeypatch.setattr(sys, "argv", ["invoke", "--complete", "--", "invoke", "lab.remove", "c"])
    with pytest.raises(Exit):
        mine.to_contexts()
    assert capsys.readouterr().out.splitlines() == PACKAGES
