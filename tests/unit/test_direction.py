"""The contracts of import-linter in pyproject.toml: kept by the code, and broken by whoever imports upwards."""

from __future__ import annotations

import sys
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grimp
import pytest
from importlinter.api import read_configuration
from importlinter.contracts.acyclic_siblings import AcyclicSiblingsContract
from importlinter.contracts.layers import LayersContract
from importlinter.contracts.protected import ProtectedContract

if TYPE_CHECKING:
    from collections.abc import Mapping

    from importlinter import Contract

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
KINDS: Mapping[str, type[Contract]] = {
    "acyclic_siblings": AcyclicSiblingsContract,
    "layers": LayersContract,
    "protected": ProtectedContract,
}


@cache
def configuration() -> Mapping[str, Any]:
    return read_configuration(str(PYPROJECT))


def contracts() -> dict[str, dict[str, Any]]:
    return {contract["id"]: contract for contract in configuration()["contracts_options"]}


@cache
def code() -> grimp.ImportGraph:
    options = configuration()["session_options"]
    names = ("include_external_packages", "exclude_type_checking_imports")
    # The options come as texts.
    return grimp.build_graph(
        *options["root_packages"], **{name: options[name] == "True" for name in names}, cache_dir=None
    )


def broken(graph: grimp.ImportGraph) -> set[str]:
    """The contracts that a graph of imports does not keep."""
    return {
        name
        for name, options in contracts().items()
        if not contract(options).check(deepcopy(graph), verbose=False).kept
    }


def contract(options: dict[str, Any]) -> Contract:
    return KINDS[options["type"]](options["name"], configuration()["session_options"], options)


def test_the_code_keeps_every_contract() -> None:
    assert broken(code()) == set()


@pytest.mark.parametrize(
    ("importer", "imported", "expected"),
    [
        ("errors", "mlops_lab.guide", {"direction", "cycles"}),
        ("guide", "mlops_lab.recipe", {"direction", "cycles"}),
        ("manifests.model", "mlops_lab.project", {"direction", "cycles"}),
        ("runner", "mlops_lab.steps", {"direction", "cycles"}),
        ("steps", "mlops_lab.recipe", {"direction", "cycles"}),
        ("recipe", "mlops_lab.doctor", {"direction", "cycles"}),
        ("doctor", "mlops_lab.drift", {"direction"}),
        ("parity.judging", "mlops_lab.report.parity", {"direction", "cycles"}),
        ("report.pages", "mlops_lab.tasks.face", {"direction", "cycles"}),
        ("tasks.proving", "mlops_lab.sessions", {"direction"}),
        ("sessions", "mlops_lab.tasks.face", {"direction"}),
        ("conda_plugin", "mlops_lab.sessions", {"direction"}),
        ("tasks.proving", "mlops_lab.cli", {"direction", "cycles"}),
        ("drift.files", "mlops_lab.drift.siblings", {"cycles"}),
        ("condafile", "yaml", {"formats"}),
        ("locks", "tomli", {"formats"}),
        ("doctor.records", "rich", {"rich"}),
        ("engines", "rattler", {"rattler"}),
        ("recipe", "invoke", {"invoke"}),
        ("tasks.proving", "nox", {"nox"}),
        ("doctor.gpu", "subprocess", {"processes"}),
    ],
)
def test_one_import_upwards_or_of_another_rooms_library_breaks_one(
    importer: str, imported: str, expected: set[str]
) -> None:
    graph = deepcopy(code())
    name = f"mlops_lab.{importer}"
    assert {name, imported} <= graph.modules
    assert imported not in graph.find_modules_directly_imported_by(name)
    graph.add_import(importer=name, imported=imported, line_number=1, line_contents=f"import {imported}")
    assert broken(graph) == expected


def test_a_new_module_needs_a_place() -> None:
    graph = deepcopy(code())
    graph.add_module("mlops_lab.newcomer")
    assert broken(graph) == {"direction"}


@pytest.mark.parametrize("name", [name for name, options in contracts().items() if options["type"] == "protected"])
def test_every_library_is_used_where_it_may_be(name: str) -> None:
    """A contract about what nobody imports would be kept by everybody."""
    rooms = contracts()[name]["allowed_importers"]
    for library in contracts()[name]["protected_modules"]:
        users = code().find_modules_that_directly_import(library)
        assert {room for room in rooms if any(f"{user}.".startswith(f"{room}.") for user in users)} == {*rooms}


@pytest.mark.parametrize("name", ["errors", "guide", "hints", "findings"])
def test_what_everybody_knows_stands_on_the_standard_library(name: str) -> None:
    found = {module.partition(".")[0] for module in code().find_modules_directly_imported_by(f"mlops_lab.{name}")}
    assert found - {"mlops_lab"} <= sys.stdlib_module_names
    assert found
