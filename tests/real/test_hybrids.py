"""Every hybrid without conda, really built: the same packages, the same locks, and changes that reach every file."""

from __future__ import annotations

import json
import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlops_lab import locks
from mlops_lab.environment import SEEDS, Environment, inventory
from mlops_lab.manifests import poetry_lock, requirements, uv_lock
from mlops_lab.manifests.markers import marker_environment
from mlops_lab.project import find

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Mapping

    Lab = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.real

PROJECTS = Path(__file__).parent.parent / "projects"
HYBRIDS = ("venv+poetry", "venv+uv", "pip+poetry", "pip+uv")
FILES = ("pyproject.toml", "poetry.lock", "uv.lock", "requirements.txt")


def without_seeds(packages: Mapping[str, str]) -> dict[str, str]:
    return {name: version for name, version in packages.items() if name not in SEEDS}


def copied(name: str, to: Path, *left_out: str) -> Path:
    shutil.copytree(PROJECTS / name, to, ignore=shutil.ignore_patterns(*left_out))
    return to


def set_up(lab: Lab, root: Path, *words: str) -> dict[str, Any]:
    outcome: dict[str, Any] = json.loads(lab("setup", *words, "--json", cwd=root).stdout)
    return outcome


def locked(root: Path, python: str, *groups: str) -> dict[str, str]:
    """What poetry.lock gives on this platform."""
    return poetry_lock.versions_for(root / "poetry.lock", marker_environment(python), groups)


# --- the same packages, whatever sets them up ----------------------------------------------------------------------


@dataclass(frozen=True)
class Built:
    """A project that was set up, with the prefix that was asked for."""

    root: Path
    prefix: Path
    outcome: Mapping[str, Any]


def built(lab: Lab, base: Path, hybrid: str, python: str) -> Built:
    root = copied("small", base / f"Übungen zu {hybrid}" / "das Projekt")
    prefix = base / "Umgebungen für alle" / hybrid  # codespell:ignore alle
    return Built(root, prefix, set_up(lab, root, "--hybrid", hybrid, "--python", python, "--prefix", str(prefix)))


@pytest.fixture(scope="module", params=["3.11", "3.13"])
def on_python(
    request: pytest.FixtureRequest, lab: Lab, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, dict[str, Built]]:
    """The small project under every hybrid, with one Python; all paths have spaces and letters beyond ASCII."""
    python, base = request.param, tmp_path_factory.mktemp("Vergleich ")
    probe = lab("create", "--python", python, cwd=copied("small", base / "probe"), check=None)
    if f"there is no Python {python} on this machine" in probe.stderr:
        pytest.skip(f"this machine has no Python {python}")
    return python, {hybrid: built(lab, base, hybrid, python) for hybrid in HYBRIDS}


def test_every_hybrid_installs_exactly_the_lock_and_the_project_itself(
    on_python: tuple[str, dict[str, Built]],
) -> None:
    _, found = on_python
    for hybrid, each in found.items():
        expected = {**locked(each.root, each.outcome["python"], "dev"), "small": "1.2.3"}
        assert without_seeds(each.outcome["packages"]) == dict(sorted(expected.items())), hybrid


def test_markers_give_each_python_its_own_versions(on_python: tuple[str, dict[str, Built]]) -> None:
    python, found = on_python
    only_old = {"importlib-metadata", "lazy-importer", "zipp"}
    for each in found.values():
        packages = each.outcome["packages"]
        assert each.outcome["python"].startswith(f"{python}.")
        assert packages["pyjokes"] == {"3.11": "0.7.2", "3.13": "0.8.3"}[python]
        assert packages.keys() & only_old == (only_old if python == "3.11" else set())


def test_the_environment_stands_where_it_was_asked_for(on_python: tuple[str, dict[str, Built]]) -> None:
    for each in on_python[1].values():
        assert each.outcome["prefix"] == str(each.prefix)
        assert inventory(Environment(each.prefix)) == each.outcome["packages"]
        assert not (each.root / ".venv").exists()


def test_the_projects_own_command_runs_in_each(on_python: tuple[str, dict[str, Built]], lab: Lab) -> None:
    for each in on_python[1].values():
        assert "^__^" in lab("run", "--", "small", cwd=each.root).stdout


def test_the_environments_own_interpreter_imports_the_project(
    on_python: tuple[str, dict[str, Built]], lab: Lab
) -> None:
    code = "import small, sys; print(sys.prefix); print(small.__file__)"
    for each in on_python[1].values():
        printed = lab("run", "--", "python", "-X", "utf8", "-c", code, cwd=each.root).stdout
        assert printed.splitlines() == [str(each.prefix), str(each.root / "src" / "small" / "__init__.py")]


# --- missing locks, both leaders -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("leader", "follower"), [("poetry", "uv"), ("uv", "poetry")])
def test_missing_locks_are_made_and_the_follower_has_the_leaders_versions(
    leader: str, follower: str, lab: Lab, tmp_path: Path
) -> None:
    root = copied("small", tmp_path / "small", "*.lock", "requirements.txt")
    with (root / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(f'\n[tool.mlops-lab]\nleader = "{leader}"\n')
    found = [set_up(lab, root, "--hybrid", f"{backend}+{follower}") for backend in ("venv", "pip")]
    assert [name for name in FILES if not (root / name).exists()] == []
    assert locks.differences(find(root)) == []
    python = found[0]["python"]
    expected = {**locked(root, python, "dev"), "small": "1.2.3"}
    assert [without_seeds(each["packages"]) for each in found] == [dict(sorted(expected.items()))] * 2
    pins = requirements.pins_for(requirements.read(root / "requirements.txt"), marker_environment(python))
    assert pins == locked(root, python, "dev")
    for hybrid in ("venv+poetry", "venv+uv"):
        lab("check", "--hybrid", hybrid, cwd=root)


# --- groups, and changes that reach every file ---------------------------------------------------------------------


@dataclass(frozen=True)
class State:
    """What a project's files and its environment say after a command: name → version."""

    manifest: str
    poetry: Mapping[str, str]
    uv: Mapping[str, str]
    requirements: Mapping[str, str]
    installed: Mapping[str, str]

    @property
    def agreed(self) -> Mapping[str, str]:
        """What all of them say."""
        assert self.poetry == self.uv == self.requirements == self.installed
        return self.poetry


def state(root: Path) -> State:
    project, environment = find(root), marker_environment("3.12")
    return State(
        manifest=(root / "pyproject.toml").read_text(encoding="utf-8"),
        poetry=poetry_lock.versions_for(root / "poetry.lock", environment, project.groups),
        uv=uv_lock.versions_for(root / "uv.lock", environment, project.groups),
        requirements=requirements.pins_for(requirements.read(root / "requirements.txt"), environment),
        installed=without_seeds(inventory(Environment(root / ".venv"))),
    )


@pytest.fixture(scope="module")
def uv_lock_of_grouped(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lock that follows poetry.lock; it names the index, so it is made here."""
    root = copied("grouped", tmp_path_factory.mktemp("follower") / "grouped")
    lab("export", "--hybrid", "venv+uv", cwd=root)
    return root / "uv.lock"


@pytest.fixture(scope="module", params=HYBRIDS)
def grouped(
    request: pytest.FixtureRequest, lab: Lab, tmp_path_factory: pytest.TempPathFactory, uv_lock_of_grouped: Path
) -> tuple[Path, dict[str, Any]]:
    """A project with three groups that is no package, set up under one hybrid, and that first outcome."""
    root = copied("grouped", tmp_path_factory.mktemp("grouped") / "grouped")
    shutil.copy(uv_lock_of_grouped, root / "uv.lock")
    return root, set_up(lab, root, "--hybrid", request.param)


OLD = {"iniconfig": "2.0.0", "pyjokes": "0.7.2", "six": "1.16.0", "toml": "0.10.2"}


def test_no_group_means_every_group_and_the_committed_files_are_left_alone(
    grouped: tuple[Path, dict[str, Any]],
) -> None:
    root, outcome = grouped
    assert outcome["groups"] == ["dev", "docs", "lint"]
    assert without_seeds(outcome["packages"]) == OLD
    for name in ("pyproject.toml", "poetry.lock", "requirements.txt"):
        assert (root / name).read_bytes() == (PROJECTS / "grouped" / name).read_bytes()
    assert state(root).agreed == OLD


def test_what_is_no_package_is_installed_by_no_hybrid(grouped: tuple[Path, dict[str, Any]]) -> None:
    root, outcome = grouped
    assert "grouped" not in outcome["packages"]
    assert not list(root.glob("*.egg-info"))


def test_named_groups_are_installed_and_no_others(grouped: tuple[Path, dict[str, Any]], lab: Lab) -> None:
    root, _ = grouped
    before = (root / "requirements.txt").read_bytes()
    chosen = set_up(lab, root, "--group", "docs")
    assert chosen["because"] == ["other groups: docs"]
    # The group `docs` includes the group `dev`.
    assert without_seeds(chosen["packages"]) == {name: OLD[name] for name in ("iniconfig", "pyjokes", "six")}
    assert set_up(lab, root, "--group", "docs")["because"] == []
    again = set_up(lab, root)
    assert again["because"] == ["other groups: dev, docs, lint"]
    assert without_seeds(again["packages"]) == OLD
    assert (root / "requirements.txt").read_bytes() == before


def test_a_change_reaches_the_manifest_every_lock_the_export_and_the_environment(
    grouped: tuple[Path, dict[str, Any]], lab: Lab
) -> None:
    root, _ = grouped
    manifest = (root / "pyproject.toml").read_text(encoding="utf-8")
    lab("update", "pyjokes", cwd=root)
    updated = state(root)
    assert updated.manifest == manifest
    assert updated.agreed == {**OLD, "pyjokes": "0.8.3"}

    lab("add", "cowsay", "--", "colorama>=0.4", cwd=root)
    added = state(root)
    assert added.agreed.keys() == {*OLD, "cowsay", "colorama"}
    assert added.agreed == {**updated.agreed, **{name: added.agreed[name] for name in ("cowsay", "colorama")}}
    declared = ["pyjokes>=0.6", "cowsay (>=6.1,<7.0)", "colorama (>=0.4)"]
    assert tomllib.loads(added.manifest)["project"]["dependencies"] == declared
    for words in (("check", "--hybrid", "venv+poetry"), ("check", "--hybrid", "venv+uv"), ("compat",)):
        lab(*words, cwd=root)

    lab("remove", "cowsay", "--", "colorama", cwd=root)
    assert state(root).agreed == updated.agreed
    assert set_up(lab, root)["because"] == []
    for words in (("check", "--hybrid", "venv+poetry"), ("check", "--hybrid", "venv+uv"), ("compat",)):
        lab(*words, cwd=root)


NOWHERE = "there-is-surely-no-package-of-this-name"


def test_an_add_that_fails_leaves_every_byte_and_says_why_once(grouped: tuple[Path, dict[str, Any]], lab: Lab) -> None:
    root, _ = grouped
    before = {name: (root / name).read_bytes() for name in FILES}
    installed = inventory(Environment(root / ".venv"))
    failed = lab("add", NOWHERE, cwd=root, check=1)
    assert {name: (root / name).read_bytes() for name in FILES} == before
    assert inventory(Environment(root / ".venv")) == installed
    errors = [line for line in failed.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "/poetry add --lock " in errors[0]
    assert errors[0].endswith(f" {NOWHERE}` failed (exit code 1)")
    assert "  try: the index has no such package or version: check the spelling" in failed.stderr.splitlines()
    assert "Traceback" not in failed.stderr
    assert set_up(lab, root)["because"] == []


@pytest.fixture(scope="module")
def led_by_uv(lab: Lab, tmp_path_factory: pytest.TempPathFactory, uv_lock_of_grouped: Path) -> Path:
    root = copied("grouped", tmp_path_factory.mktemp("led-by-uv") / "grouped")
    shutil.copy(uv_lock_of_grouped, root / "uv.lock")
    with (root / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write('\n[tool.mlops-lab]\nleader = "uv"\n')
    set_up(lab, root, "--hybrid", "pip+uv")
    return root


def test_uv_leads_a_change_of_a_group_and_poetry_follows(led_by_uv: Path, lab: Lab) -> None:
    lab("add", "cowsay>=6", "--group", "lint", cwd=led_by_uv)
    added = state(led_by_uv)
    assert added.agreed == {**OLD, "cowsay": "6.1"}
    assert tomllib.loads(added.manifest)["dependency-groups"]["lint"] == ["cowsay>=6", "toml>=0.10"]
    lab("remove", "cowsay", "--group", "lint", cwd=led_by_uv)
    assert state(led_by_uv).agreed == OLD
    for hybrid in ("venv+poetry", "venv+uv"):
        lab("check", "--hybrid", hybrid, cwd=led_by_uv)


def test_an_add_that_uv_cannot_lock_leaves_every_byte(led_by_uv: Path, lab: Lab) -> None:
    before = {name: (led_by_uv / name).read_bytes() for name in FILES}
    failed = lab("add", NOWHERE, cwd=led_by_uv, check=1)
    assert {name: (led_by_uv / name).read_bytes() for name in FILES} == before
    errors = [line for line in failed.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert errors[0].endswith(f"uv add --no-sync {NOWHERE}` failed (exit code 1)")
