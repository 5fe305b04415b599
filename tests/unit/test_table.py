"""What follows from the table by itself: whatever asks for a backend, a manager, a tool or a step asks the table."""

from __future__ import annotations

import ast
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from invoke.context import Context
from rich.console import Console

import mlops_lab
from mlops_lab import drift, guide, locks, moves, project, taking
from mlops_lab.drift import files
from mlops_lab.guide import BACKENDS, HYBRIDS, LEADER, MANAGERS, ROWS, TOOL_KINDS, Row, Spelling, hybrid_named
from mlops_lab.manifests import documents, index_declarations
from mlops_lab.report import pages
from mlops_lab.tasks import looking, namespace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PACKAGE = Path(mlops_lab.__path__[0])
LOOKS = Row(10, "peek", "Look around", "To look is free.", {"uv": Spelling("uv tree")}, looks=True)
CHANGES = Row(11, "shake", "Change something", "It has to be.", {"uv": Spelling("uv lock")})


# --- backends and managers ---


def test_every_backend_and_manager_make_a_hybrid() -> None:
    assert [str(hybrid) for hybrid in HYBRIDS] == [
        *("conda+poetry", "conda+uv", "venv+poetry", "venv+uv", "pip+poetry", "pip+uv"),
    ]
    assert [hybrid.name for hybrid in HYBRIDS if hybrid.by_conda] == ["conda+poetry", "conda+uv"]
    assert [hybrid.name for hybrid in HYBRIDS if hybrid.by_pip] == ["pip+poetry", "pip+uv"]


def test_what_is_taken_where_nothing_is_chosen_is_in_the_table() -> None:
    assert LEADER in MANAGERS
    assert guide.USUAL in HYBRIDS
    assert guide.WITHOUT_CONDA in HYBRIDS
    assert guide.USUAL.by_conda
    assert not guide.WITHOUT_CONDA.by_conda


def test_the_locks_have_the_names_of_the_table() -> None:
    assert project.LOCKS == {"poetry": "poetry.lock", "uv": "uv.lock"}
    assert {name: manager for manager, name in project.LOCKS.items()} == files.LOCKS
    assert set(project.LOCKS.values()) < set(project.MANIFESTS)


@pytest.mark.parametrize(
    "table",
    [
        pytest.param(locks._LOAD, id="locks._LOAD"),
        pytest.param(locks._READ, id="locks._READ"),
        pytest.param(locks._VERSIONS_FOR, id="locks._VERSIONS_FOR"),
        pytest.param(locks._ALIGN, id="locks._ALIGN"),
        pytest.param(taking._LISTED, id="taking._LISTED"),
        pytest.param(index_declarations.NAMES, id="index_declarations.NAMES"),
        pytest.param(index_declarations._READ, id="index_declarations._READ"),
        pytest.param(index_declarations._WRITE, id="index_declarations._WRITE"),
        pytest.param(index_declarations._ORIGINS, id="index_declarations._ORIGINS"),
        pytest.param(index_declarations._PIN, id="index_declarations._PIN"),
        pytest.param(index_declarations._WHERE, id="index_declarations._WHERE"),
        pytest.param(TOOL_KINDS, id="guide.TOOL_KINDS"),
    ],
)
def test_a_manager_has_its_own_way_wherever_one_is_needed(table: Mapping[str, Any]) -> None:
    assert [manager for manager in MANAGERS if manager not in table] == []


@pytest.mark.parametrize(
    "table",
    [
        pytest.param(documents.FORMATS, id="documents.FORMATS"),
        pytest.param(documents._ROLES, id="documents._ROLES"),
        pytest.param(drift._WHAT, id="drift._WHAT"),
        pytest.param(moves._READERS, id="moves._READERS"),
    ],
)
def test_a_managers_lock_is_known_wherever_files_are_read(table: Mapping[str, Any]) -> None:
    assert [manager.lock for manager in MANAGERS.values() if manager.lock not in table] == []


def _deciding(path: Path) -> Iterator[str]:
    """Where the name of a hybrid, its backend or its manager decides."""
    names = {*BACKENDS, *MANAGERS, *map(str, HYBRIDS)}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            asked = any(re.search(r"\bhybrid(\.(name|backend|manager))?$", ast.unparse(side)) for side in sides)
            if asked and names & {each.value for each in ast.walk(node) if isinstance(each, ast.Constant)}:
                yield ast.unparse(node)


def test_no_name_of_a_hybrid_decides_outside_the_table() -> None:
    assert {path.name: [*_deciding(path)] for path in PACKAGE.rglob("*.py") if [*_deciding(path)]} == {}


@pytest.mark.parametrize(
    "code",
    [
        "steps.hybrid.backend == 'pip'",
        "'conda' != hybrid.backend",
        "hybrid.name == 'venv+uv'",
        "hybrid.manager != 'uv'",
    ],
)
def test_such_a_decision_would_be_noticed(code: str, tmp_path: Path) -> None:
    (tmp_path / "some.py").write_text(f"if {code}:\n    pass\n", encoding="utf-8")
    assert [*_deciding(tmp_path / "some.py")] == [code]


# --- tools ---


def test_what_the_project_may_pin_are_the_parts_of_the_tools() -> None:
    assert project.PINS == {
        "pip": ">=25.3",
        "poetry": ">=2.2,<3",
        "poetry-plugin-export": ">=1.9",
        "poetry-plugin-pypi-mirror": ">=0.6",
        "uv": ">=0.11",
    }
    assert list(project.PINS) == sorted(project.PINS)


@pytest.mark.parametrize("name", [name for name, kind in TOOL_KINDS.items() if kind.parts])
def test_a_tool_that_can_be_provisioned_consists_of_itself_first_and_says_how_it_starts(name: str) -> None:
    assert next(iter(TOOL_KINDS[name].parts)) == name
    assert TOOL_KINDS[name].provisioned


# --- steps ---


def test_a_row_that_only_looks_makes_nothing_and_asks_no_leader() -> None:
    assert [row.name for row in ROWS if row.looks] == ["verify", "info", "check", "doctor", "records", "compat"]
    assert not [row.name for row in ROWS if row.looks and (row.makes_environment or row.by_leader or row.in_shell)]


def test_a_step_with_one_row_has_its_title_and_the_last_one_a_title_of_its_own() -> None:
    assert guide.step_title(1) == "Create the environment"
    assert guide.step_title(7) == "Examine the environment's health"
    assert guide.step_title(9) == "Keep it up to date"


def test_a_row_without_a_task_gets_one_if_it_only_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert looking.faces(namespace.task_names) == []
    monkeypatch.setattr(looking, "ROWS", (*ROWS, LOOKS, CHANGES))
    (made,) = looking.faces(namespace.task_names)
    assert made.name == "peek"
    assert made.__doc__ == "Step 10: look around."
    assert [argument.name for argument in made.get_arguments()] == ["hybrid", "prefix"]
    assert all(argument.help for argument in made.get_arguments())


def test_such_a_task_runs_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[object, ...]] = []
    monkeypatch.setattr(looking, "ROWS", (LOOKS,))
    monkeypatch.setattr(looking, "run_row", lambda *asked: ran.append(asked))
    (made,) = looking.faces(())
    made(Context(), hybrid="venv+uv")
    assert ran == [("peek", "venv+uv", None)]


@pytest.mark.parametrize("hybrid", ["venv+uv", "venv+poetry"])
def test_a_row_that_is_a_step_of_its_own_is_shown_under_its_title(hybrid: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guide, "ROWS", (*ROWS, LOOKS))
    console = Console(file=(shown := io.StringIO()), width=100)
    console.print(pages.guide_page(hybrid_named(hybrid), "uv", [(LOOKS, "uv tree")]))
    assert shown.getvalue().splitlines()[2] == "10  Look around"
