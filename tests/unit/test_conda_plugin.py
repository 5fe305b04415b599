"""What conda is told of our checks: without conda, with one of any age, and when a check fails."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from mlops_lab import conda_plugin, doctor
from mlops_lab.doctor import CHECKS, Subject
from mlops_lab.environment import STAMP, Environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@dataclass
class New:
    """As conda 26.5 has it."""

    name: str
    action: Callable[[str, bool], None]
    fixer: Any = None
    summary: str | None = None
    fix: str | None = None


@dataclass
class Old:
    """As conda 23.5 had it."""

    name: str
    action: Callable[[str, bool], None]


@pytest.fixture
def conda(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[type | None], ModuleType]]:
    """Stand in for conda's package, and load the plugin anew as conda does."""

    def load(kind: type | None) -> ModuleType:
        package, plugins, types = (ModuleType(f"conda{rest}") for rest in ("", ".plugins", ".plugins.types"))
        plugins.hookimpl = _hookimpl  # type: ignore[attr-defined]
        if kind:
            types.CondaHealthCheck = kind  # type: ignore[attr-defined]
        for module in (package, plugins, types):
            monkeypatch.setitem(sys.modules, module.__name__, module)
        return importlib.reload(conda_plugin)

    yield load
    monkeypatch.undo()
    importlib.reload(conda_plugin)


def _hookimpl(function: Any) -> Any:
    function.conda_impl = {"wrapper": False}
    return function


def test_without_conda_the_module_is_imported_and_has_no_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "conda", None)
    assert list(importlib.reload(conda_plugin).conda_health_checks()) == []


def test_every_check_of_the_doctor_is_one_of_condas(conda: Callable[[type | None], ModuleType]) -> None:
    plugin = conda(New)
    assert plugin.conda_health_checks.conda_impl == {"wrapper": False}
    found = list(plugin.conda_health_checks())
    assert [each.name for each in found] == [f"mlops-lab-{check.name}" for check in CHECKS]
    assert all(each.summary.startswith("Detect ") for each in found)


def test_a_conda_that_knows_no_summary_is_given_none(conda: Callable[[type | None], ModuleType]) -> None:
    found = list(conda(Old).conda_health_checks())
    assert len(found) == len(CHECKS)
    assert isinstance(found[0], Old)


def test_a_conda_without_health_checks_is_given_none(conda: Callable[[type | None], ModuleType]) -> None:
    assert list(conda(None).conda_health_checks()) == []


@pytest.fixture
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    prefix = tmp_path / "an env"
    site = prefix / "lib" / "python3.12" / "site-packages"
    (site / "numpy-2.0.dist-info").mkdir(parents=True)
    (site / "numpy-2.0.dist-info" / "METADATA").write_text("Name: numpy\nVersion: 2.0\n", encoding="utf-8")
    (site / "numpy-2.0.dist-info" / "RECORD").write_text("gone.py,,\n", encoding="utf-8")
    (prefix / "conda-meta").mkdir()
    (prefix / "conda-meta" / "python-3.12.1-0.json").write_text("{}", encoding="utf-8")

    def subject(environment: Environment, _environ: object) -> Subject:
        return Subject(environment, {}, lambda _: json.dumps({"version": "3.12.1", "prefix": str(prefix)}))

    monkeypatch.setattr(doctor, "subject_of", subject)
    return prefix


def shown(prefix: Path, name: str, capsys: pytest.CaptureFixture[str], *, verbose: bool = False) -> str:
    conda_plugin._subject.cache_clear()
    conda_plugin._show(name, str(prefix), verbose)
    return capsys.readouterr().out


def test_what_is_well_is_a_line(prefix: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(prefix, "duplicates", capsys) == "✅ No package is recorded twice.\n\n"


def test_what_is_ill_is_told_with_our_command_where_the_environment_is_ours(
    prefix: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "❌ Not so: every recorded file is there.\n\nnumpy 2.0: gone.py missing\n"
    assert shown(prefix, "missing", capsys) == f"{text}\n"
    (prefix / STAMP).touch()
    assert shown(prefix, "missing", capsys) == f"{text}  invoke setup --force\n\n"


def test_a_check_that_fails_is_a_line_too(
    prefix: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(doctor, "subject_of", broken)
    assert shown(prefix, "missing", capsys) == "❌ mlops-lab could not examine `missing`: RuntimeError: no\n\n"
