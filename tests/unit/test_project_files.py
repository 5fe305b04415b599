"""This repository's own manifests and locks say the same."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from mlops_lab import locks, project
from mlops_lab.manifests import conda_env, poetry_lock, requirements

ROOT = Path(__file__).parents[2]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MINORS = [f"3.{minor}" for minor in range(6, 30)]
# https://packaging.python.org/en/latest/specifications/inline-script-metadata/#reference-implementation
SCRIPT = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")
STEP_5 = ["poetry-plugin-export", "pandas", "numpy", "uvicorn", "gunicorn", "dvc", "hydra-core", "poetry"]


def header() -> dict[str, Any]:
    """The script metadata of noxfile.py."""
    (match,) = SCRIPT.finditer((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    assert match["type"] == "script"
    return tomllib.loads("".join(line[2:] for line in match["content"].splitlines(keepends=True)))


# --- noxfile.py ----------------------------------------------------------------------------------------------------


def test_nox_is_given_what_the_package_needs() -> None:
    assert header()["dependencies"] == PYPROJECT["project"]["dependencies"]


def test_nox_runs_on_the_same_pythons() -> None:
    assert header()["requires-python"] == PYPROJECT["project"]["requires-python"]


# --- the Pythons ---------------------------------------------------------------------------------------------------


def allowed(specifier: str) -> list[str]:
    return [minor for minor in MINORS if f"{minor}.0" in SpecifierSet(specifier)]


def conda_pythons() -> list[str]:
    python = conda_env.read(ROOT / "conda.yml").python
    assert python is not None
    return allowed(conda_env.python_specifier(python))


def poetry_pythons() -> list[str]:
    return allowed(PYPROJECT["tool"]["poetry"]["dependencies"]["python"])


def uv_pythons() -> list[str]:
    markers = [Marker(text) for text in PYPROJECT["tool"]["uv"]["environments"]]
    return [
        minor
        for minor in allowed(PYPROJECT["project"]["requires-python"])
        if any(marker.evaluate({"python_version": minor, "python_full_version": f"{minor}.0"}) for marker in markers)
    ]


def classified_pythons() -> list[str]:
    prefix = "Programming Language :: Python :: "
    versions = [text.removeprefix(prefix) for text in PYPROJECT["project"]["classifiers"] if text.startswith(prefix)]
    return [version for version in versions if version in MINORS]


def supported_pythons() -> list[str]:
    return locks.supported(project.find(ROOT))


@pytest.mark.parametrize("pythons", [conda_pythons, poetry_pythons, uv_pythons, classified_pythons, supported_pythons])
def test_every_file_means_the_same_pythons(pythons: Any) -> None:
    assert pythons() == ["3.11", "3.12", "3.13"]


# --- conda.yml -----------------------------------------------------------------------------------------------------


def test_conda_is_asked_for_python_and_pip_and_nothing_more() -> None:
    found = conda_env.read(ROOT / "conda.yml")
    assert (found.name, found.channels, found.python) == ("mlops_env", ("conda-forge",), ">=3.11,<3.14")
    text = (ROOT / "conda.yml").read_text(encoding="utf-8")
    assert text.partition("dependencies:\n")[2] == "  - python >=3.11,<3.14\n  - pip\n"


# --- pyproject.toml ------------------------------------------------------------------------------------------------


def test_the_group_lab_is_what_step_5_of_the_guide_adds() -> None:
    assert sorted(PYPROJECT["dependency-groups"]["lab"]) == sorted(STEP_5)


def test_every_group_is_installed_by_default() -> None:
    assert project.find(ROOT).groups == ("dev", "lab")


def test_a_tool_that_is_also_a_dependency_has_the_same_limits() -> None:
    tools = PYPROJECT["tool"]["mlops-lab"]["tools"]
    needed = {found.name: str(found.specifier) for found in map(Requirement, PYPROJECT["project"]["dependencies"])}
    assert needed["uv"] == tools["uv"]


def test_the_tools_defaults_are_the_ones_that_are_tried_here() -> None:
    tools = PYPROJECT["tool"]["mlops-lab"]["tools"]
    assert tools
    assert tools.items() <= project.PINS.items()


# --- the locks -----------------------------------------------------------------------------------------------------


def locked(groups: set[str] | None = None) -> dict[str, set[str]]:
    """Name → versions, of these groups or of all."""
    found: dict[str, set[str]] = {}
    for package in poetry_lock.read(ROOT / "poetry.lock"):
        if groups is not None and not groups & {*package.groups}:
            continue
        found.setdefault(package.name, set()).add(package.version)
    return found


@pytest.fixture(scope="module")
def pins() -> tuple[requirements.Pin, ...]:
    return requirements.read(ROOT / "requirements.txt")


def test_every_line_of_the_requirements_is_pinned_and_hashed(pins: tuple[requirements.Pin, ...]) -> None:
    assert len(pins) > 100
    assert [pin.name for pin in pins if not (pin.version and pin.hashed)] == []


def test_the_requirements_are_exactly_the_pins_of_the_default_groups(pins: tuple[requirements.Pin, ...]) -> None:
    found: dict[str, set[str]] = {}
    for pin in pins:
        found.setdefault(pin.name, set()).add(pin.version)
    assert found == locked({"main", *project.find(ROOT).groups})


def test_they_agree_on_every_python_and_platform(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "poetry.lock", "requirements.txt"):
        shutil.copy2(ROOT / name, tmp_path / name)
    copy = project.find(tmp_path)
    assert locks.exported_in_step(copy, "poetry", copy.groups, copy.requirements)


def test_everything_that_is_declared_is_locked() -> None:
    groups = PYPROJECT["dependency-groups"].values()
    declared = [*PYPROJECT["project"]["dependencies"], *(text for group in groups for text in group)]
    versions = locked()
    for requirement in map(Requirement, declared):
        found = versions[canonicalize_name(requirement.name)]
        assert any(version in requirement.specifier for version in found), f"{requirement}: {found}"


def test_the_lock_names_no_index() -> None:
    assert {package.source for package in poetry_lock.read(ROOT / "poetry.lock")} == {None}


@pytest.mark.parametrize("name", ["poetry.lock", "requirements.txt", "pyproject.toml", "conda.yml"])
def test_no_committed_file_holds_the_address_of_an_index(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert re.findall(r"https?://\S*/simple\S*|--(?:extra-)?index-url|--find-links|files\.\S+/packages/", text) == []


def test_what_is_derived_is_ignored_and_what_is_locked_is_not() -> None:
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert "/uv.lock" in ignored
    assert not {"poetry.lock", "/poetry.lock", "requirements.txt", "/requirements.txt", "*.lock"} & set(ignored)


def test_the_leader_is_the_one_whose_lock_is_committed() -> None:
    assert project.find(ROOT).settings.leader == "poetry"
