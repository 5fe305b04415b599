"""Every command of README, docs and CONTRIBUTING is typed by a page's reader, or a test is named that proves it."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from typing import TYPE_CHECKING

import pytest
import yaml
from support.claims import CLAIMS
from support.documented import READ, ROOT, alike, missing, pages, pieces, said, typed

from mlops_lab.project import find

if TYPE_CHECKING:
    from pathlib import Path

FENCE = "```"
TYPED = {alike(piece.text) for page in READ for piece in typed(page) if piece.kind == "command"}
CLAIMED = {alike(command): claim for command, claim in CLAIMS.items()}
READERS = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests" / "real").glob("test_*.py"))
NO_COMMANDS = {
    *("--conda NAME", "--conda team-conda", '[tool.mlops-lab] conda = "team-conda"', "[tool.mlops-lab] conda"),
    *("[tool.mlops-lab] hybrid", "[tool.mlops-lab] leader", 'leader = "uv"', "explicit = true", "if hybrid == …"),
    *("RUN --mount=type=secret,id=pip,target=/etc/pip.conf …", "fix: no finding about a venv that runs us"),
}
"""All that pages set as code in several words, and that is typed into no shell."""
REGISTRIES = re.compile(r"pypi\.org|pythonhosted|anaconda\.(?:org|com)|prefix\.dev|pytorch\.org|ghcr\.io|docker\.io")


def commands(page: str) -> list[str]:
    return [piece.text for piece in said(page) if piece.kind == "command"]


# --- all pages -------------------------------------------------------------------------------------------------------


def test_all_pages_are_looked_at() -> None:
    found = pages()
    assert {"README.md", "CONTRIBUTING.md", "docs/index.md", "docs/guide.md", "docs/reference/tasks.md"} <= {*found}
    assert {*READ} <= {*found}
    assert len([command for page in found for command in commands(page)]) > 150


@pytest.mark.parametrize("page", pages())
def test_every_command_is_typed_or_claimed(page: str) -> None:
    nobody = [command for command in commands(page) if alike(command) not in TYPED | CLAIMED.keys()]
    assert not nobody, f"{page}: let a reader type it, or say in tests/support/claims.py which test proves it"


def test_what_is_set_as_code_is_a_command_or_known_as_none() -> None:
    found = {piece.text for page in pages() for piece in said(page) if piece.kind == "words"}
    assert found == NO_COMMANDS, "name its program in tests/support/documented.py, or say here that it is no command"


@pytest.mark.parametrize("page", READ)
def test_no_command_hides_that_another_one_has_failed(page: str) -> None:
    for piece in typed(page):
        if piece.kind == "command":
            joined = {";", "&", "|", "||"} & {*shlex.shlex(piece.text, posix=True, punctuation_chars=True)}
            assert not joined, f"{page}:{piece.line}: a shell tells how the last one ended; `&&` tells of both"


@pytest.mark.parametrize("page", READ)
def test_every_page_that_is_to_be_read_has_a_reader(page: str) -> None:
    folder, _, stem = page.removesuffix(".md").rpartition("/")
    one = rf'reading\("{re.escape(page)}"'
    several = rf'parametrize\("page", \[[^\]]*"{stem}"[^\]]*\]\)\n[^\n]+\n +with reading\(f"{folder}/{{page}}\.md"'
    assert re.search(f"{one}|{several}", READERS)


@pytest.mark.parametrize("page", pages())
def test_every_file_that_a_page_shows_has_a_name(page: str) -> None:
    for piece in said(page):
        if piece.kind in {"file", "more"} and not piece.text.startswith("--- a/"):
            assert piece.title, f"{page}:{piece.line}: a fence with title=… is written, and so proven"


@pytest.mark.parametrize("page", [page for page in pages() if page not in READ])
def test_the_files_of_a_page_without_a_reader_can_be_read(page: str, tmp_path: Path) -> None:
    for piece in said(page):
        assert piece.kind != "output", f"{page}:{piece.line}: nobody looks whether that is printed"
        if piece.kind not in {"file", "more"}:
            continue
        if piece.title == "pyproject.toml":
            groups = tomllib.loads(piece.text)["tool"]["mlops-lab"].get("groups", [])
            declared = "".join(f"{group} = []\n" for group in groups)
            text = f'[project]\nname = "x"\nversion = "1"\n[dependency-groups]\n{declared}{piece.text}'
            (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
            assert find(tmp_path).settings
        else:
            assert piece.title in {"noxfile.py", "tasks.py"}, f"{page}:{piece.line}: nobody knows how to prove it"
            assert "mlops_lab" in ast.dump(ast.parse(piece.text))


def test_the_hook_that_a_page_takes_from_here_is_there() -> None:
    (shown,) = [piece.text for piece in said("docs/how-to/your-project.md") if piece.title == ".pre-commit-config.yaml"]
    offered = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    (repo,) = yaml.safe_load(shown)["repos"]
    assert {hook["id"] for hook in repo["hooks"]} <= {hook["id"] for hook in offered}


@pytest.mark.parametrize("page", pages())
def test_no_page_names_a_registry(page: str) -> None:
    assert REGISTRIES.findall((ROOT / page).read_text(encoding="utf-8")) == []


# --- what is claimed -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", CLAIMS)
def test_a_claim_is_for_a_command_of_a_page_and_names_a_proof_that_there_is(command: str) -> None:
    claim = CLAIMS[command]
    assert alike(command) in {alike(each) for page in pages() for each in commands(page)}, "no page has it any more"
    assert alike(command) not in TYPED, "a reader types it: the claim is not needed"
    assert claim.why
    file, _, test = claim.by.partition("::")
    assert test
    declared = re.search(rf"((?:@.*\n)*)def {test}\(", (ROOT / file).read_text(encoding="utf-8"))
    assert declared
    assert "default=False" not in declared[1], "this session is no part of every run"


# --- reading pages ---------------------------------------------------------------------------------------------------


def test_blocks_sentences_and_situations_in_their_order() -> None:
    page = f"""Type `invoke setup` or
`nox -s
parity`, not `invoke`; it may find something: `invoke drift` (exits with 1).

<!-- here: an empty folder -->

    {FENCE}console title="exits with 2"
    cd folder
    # a comment
    invoke add \\
        tabulate
    {FENCE}

{FENCE}text
what is printed
{FENCE}

{FENCE}toml title="pyproject.toml, at the end"
[tool.x]
{FENCE}

<!-- rendered: guide -->
`invoke rendered now`
<!-- /rendered -->
"""
    found = [(piece.kind, piece.text, piece.line, piece.title, piece.inline, piece.exits) for piece in pieces(page)]
    assert found == [
        ("command", "invoke setup", 1, "", True, 0),
        ("command", "nox -s parity", 2, "", True, 0),
        ("command", "invoke drift", 3, "", True, 1),
        ("here", "an empty folder", 5, "", False, 0),
        ("command", "cd folder", 8, "", False, 0),
        ("command", "invoke add \\\n    tabulate", 10, "", False, 2),
        ("output", "what is printed", 15, "", False, 0),
        ("more", "[tool.x]\n", 19, "pyproject.toml", False, 0),
    ]


def test_a_command_is_known_by_its_first_word_behind_variables() -> None:
    page = "`CONDA_OVERRIDE_CUDA=12 mlops-lab setup`, `uv`, `x.txt`, `a b`, ``echo `x` ``, `mlops-lab add x \\| y`"
    assert [(piece.kind, piece.text) for piece in pieces(page)] == [
        ("command", "CONDA_OVERRIDE_CUDA=12 mlops-lab setup"),
        ("words", "a b"),
        ("words", "echo `x`"),
        ("command", "mlops-lab add x | y"),
    ]


@pytest.mark.parametrize(
    "page",
    [
        "Type:\n\n    invoke setup\n",
        "<pre>invoke setup</pre>",
        "<code>invoke setup</code>",
        f"{FENCE}zsh\ninvoke setup\n{FENCE}",
        f'{FENCE}{{.console title="x"}}\ninvoke setup\n{FENCE}',
        "`sudo invoke setup`",
        "`$ invoke  setup`",
    ],
)
def test_a_command_in_another_dress_is_seen(page: str) -> None:
    assert [piece.kind for piece in pieces(page)] == ["words"]


def test_a_command_that_goes_on_beyond_its_block_is_one() -> None:
    assert [piece.text for piece in pieces(f"{FENCE}console\ninvoke \\\n{FENCE}")] == ["invoke \\"]


def test_invoke_and_mlops_lab_are_the_same_tasks() -> None:
    assert alike('eval "$(invoke activate)"') == 'eval "$(mlops-lab activate)"'
    assert alike("invoke --list") == "invoke --list"


@pytest.mark.parametrize(
    ("shown", "lost"),
    [
        ("cowsay 6.0 → 6.1", ""),
        ("cowsay   5 → 7", ""),
        ("…\nready", ""),
        ("ready\n…\ntime 8 ms", ""),
        ("first …", ""),
        ("✓ 1  Create the environment   2.6 s", ""),
        ("✓ 2  Create the environment   2.6 s", ""),
        ("✓ 1  Create   2.6 s", "✓ 1  Create   2.6 s"),
        ("time 6 ms\nready", "ready"),
        ("cowsay", "cowsay"),
        ("nothing to do", "nothing to do"),
    ],
)
def test_what_a_page_shows_is_compared_loosely_and_in_its_order(shown: str, lost: str) -> None:
    assert (
        missing(
            shown,
            "first of all\nok 1  Create the environment  3.0 s  done\n  cowsay 6.0   → 6.1\nready\n  time    6.5 ms\n",
        )
        == lost
    )
