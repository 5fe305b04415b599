"""What is read from conda's records; the folders are laid out as conda leaves them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlops_lab import conda_meta, shells
from mlops_lab.conda_meta import Replaced
from mlops_lab.environment import Environment, activation, config

SITE = "lib/python3.12/site-packages"


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    for folder in ("conda-meta", SITE, "bin"):
        (tmp_path / folder).mkdir(parents=True)
    record(tmp_path, "python-3.12.1-0_cpython", "bin/python3.12")
    record(tmp_path, "python-dateutil-2.9.0-pyh0", f"{SITE}/python_dateutil-2.9.0.dist-info/METADATA")
    (tmp_path / "conda-meta" / "history").touch()
    return tmp_path


def record(prefix: Path, name: str, *files: str) -> None:
    """A package that conda installed, with its files."""
    for file in files:
        path = prefix / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file, encoding="utf-8")
        if path.name == "METADATA":
            (path.parent / "INSTALLER").write_text("conda\n", encoding="utf-8")
    (prefix / "conda-meta" / f"{name}.json").write_text(json.dumps({"files": files}), encoding="utf-8")


def installed(prefix: Path, name: str, by: str = "uv") -> None:
    folder = prefix / SITE / f"{name}.dist-info"
    folder.mkdir(exist_ok=True)
    (folder / "INSTALLER").write_text(by, encoding="utf-8")


def test_names_and_versions_are_those_of_the_records_names(prefix: Path) -> None:
    assert conda_meta.packages(prefix) == {"python": "3.12.1", "python-dateutil": "2.9.0"}
    assert conda_meta.python_version(prefix) == "3.12.1"
    assert config(prefix) == {"version": "3.12.1", "home": str(prefix / "bin")}
    assert conda_meta.packages(prefix / "nowhere") == {}
    assert conda_meta.python_version(prefix / "nowhere") == ""


def test_what_conda_owns_are_the_distributions_in_site_packages_itself(prefix: Path) -> None:
    record(
        prefix,
        "setuptools-80-0",
        f"{SITE}/setuptools-80.dist-info/METADATA",
        f"{SITE}/setuptools/_vendor/wheel-1.dist-info/METADATA",
    )
    record(prefix, "Old_Style-1.0-0", f"{SITE}/Old_Style-1.0-py3.12.egg-info/PKG-INFO")
    assert conda_meta.owned(prefix) == {"python-dateutil": "2.9.0", "setuptools": "80", "old-style": "1.0"}
    assert conda_meta.folders(prefix) == {
        prefix / SITE / name
        for name in ("python_dateutil-2.9.0.dist-info", "setuptools-80.dist-info", "Old_Style-1.0-py3.12.egg-info")
    }


def test_what_others_installed_over_condas_own_is_replaced(prefix: Path) -> None:
    record(prefix, "a-1-0", f"{SITE}/a-1.dist-info/METADATA")
    record(prefix, "b-1-0", f"{SITE}/b-1.dist-info/METADATA")
    assert conda_meta.replaced(prefix, {"a": "1", "b": "1", "python-dateutil": "2.9.0"}) == []
    (prefix / SITE / "a-1.dist-info" / "INSTALLER").write_text("poetry 2.5\n", encoding="utf-8")
    (prefix / SITE / "b-1.dist-info").rename(prefix / SITE / "b-2.dist-info")
    found = conda_meta.replaced(prefix, {"a": "1", "b": "2", "python-dateutil": "2.9.0"})
    assert found == [Replaced("a", "1", "1"), Replaced("b", "1", "2")]
    assert str(found[1]) == "b 1 (now 2)"
    assert str(Replaced("c", "1", "")) == "c 1 (now gone)"


def test_a_digest_changes_with_every_file_but_bytecode(prefix: Path) -> None:
    record(prefix, "a-1-0", "lib/a.so", "lib/a.pyc", "share/a")
    before = conda_meta.digests(prefix)
    assert set(before) == {"a-1-0", "python-3.12.1-0_cpython", "python-dateutil-2.9.0-pyh0"}
    (prefix / "lib" / "a.pyc").unlink()
    assert conda_meta.digests(prefix) == before
    (prefix / "share" / "a").write_text("altered", encoding="utf-8")
    altered = conda_meta.digests(prefix)
    (prefix / "share" / "a").unlink()
    gone = conda_meta.digests(prefix)
    assert len({before["a-1-0"], altered["a-1-0"], gone["a-1-0"]}) == 3
    assert {**before, "a-1-0": ""} == {**gone, "a-1-0": ""}


@pytest.mark.parametrize("text", ["", "[]", "{", '{"files": 3}', '{"files": [1, null]}', "\\xff"])
def test_a_record_that_cannot_be_read_has_no_files(prefix: Path, text: str) -> None:
    (prefix / "conda-meta" / "a-1-0.json").write_text(text, encoding="utf-8")
    assert "a-1-0" in conda_meta.digests(prefix)
    assert conda_meta.owned(prefix) == {"python-dateutil": "2.9.0"}


def test_the_environments_own_variables_beat_those_of_its_packages(prefix: Path) -> None:
    folder = prefix / "etc" / "conda" / "env_vars.d"
    folder.mkdir(parents=True)
    (folder / "1.json").write_text('{"A": "package", "B": "package", "C": 3}', encoding="utf-8")
    (folder / "2.json").write_text("broken", encoding="utf-8")
    (prefix / "conda-meta" / "state").write_text('{"env_vars": {"A": "own"}}', encoding="utf-8")
    assert conda_meta.variables(prefix) == {"A": "own", "B": "package"}
    (prefix / "bin" / "python").touch()
    changes = activation(Environment(prefix, conda=True, name="e", by_name=True), {"PATH": "/bin"})
    assert (changes["A"], changes["B"], changes["CONDA_DEFAULT_ENV"], changes["VIRTUAL_ENV"]) == (
        "own",
        "package",
        "e",
        None,
    )


def test_scripts_are_run_in_order_and_undone_the_other_way_round(prefix: Path) -> None:
    for when in ("activate", "deactivate"):
        folder = prefix / "etc" / "conda" / f"{when}.d"
        folder.mkdir(parents=True)
        for name in ("a.sh", "b.sh", "a.fish", "a.ps1", "a.bat"):
            (folder / name).touch()
    found = shells.scripts("bash", prefix)
    assert [path.name for path in found.activate] == ["a.sh", "b.sh"]
    assert [path.name for path in found.deactivate] == ["b.sh", "a.sh"]
    assert [path.name for path in shells.scripts("fish", prefix).activate] == ["a.fish"]
    assert [path.name for path in shells.scripts("powershell", prefix).deactivate] == ["a.ps1"]
    assert shells.scripts("cmd", prefix) == shells.Scripts()


def test_the_text_runs_the_scripts_last_and_undoes_them_first() -> None:
    scripts = shells.Scripts((Path("/e/it's.sh"),), (Path("/e/off.sh"),))
    lines = shells.render("bash", {"A": "1"}, {}, scripts=scripts).splitlines()
    assert lines.index("export A='1'") < lines.index(". '/e/it'\"'\"'s.sh'") < lines.index("deactivate() {")
    assert lines[lines.index("deactivate() {") + 1] == "    . '/e/off.sh'"
    assert "source '/e/off.sh'" in shells.render("fish", {}, {}, scripts=scripts)
    assert ". '/e/off.sh'" in shells.render("powershell", {}, {}, scripts=scripts)
