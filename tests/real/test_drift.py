"""`drift` on locks that uv and Poetry made: it finds every single move, and `--fix` mends it by the recipes."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlops_lab import drift
from mlops_lab.manifests import documents

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from mlops_lab.manifests.model import Document, Pin

    Lab = Callable[..., subprocess.CompletedProcess[str]]
    Case = Callable[..., Path]

pytestmark = pytest.mark.real

CHECKOUT = Path(__file__).parents[2]
OWN = ("pyproject.toml", "conda.yml", "poetry.lock", "requirements.txt", "README.md")
EMPTY = 'version = 1\nrevision = 3\nrequires-python = ">=3.11"\n'
EVERY = 12
"""Of the packages of each file, every twelfth one is moved."""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, lab: Lab) -> Path:
    """A copy of this repository's files, with a uv.lock that `--fix` has made of one that locks nothing."""
    root = tmp_path_factory.mktemp("own")
    for name in OWN:
        shutil.copy2(CHECKOUT / name, root / name)
    assert [*drift.examine(drift.subject_at(root, {})).findings] == []
    (root / "uv.lock").write_text(EMPTY, encoding="utf-8")
    assert {each.kind for each in drift.examine(drift.subject_at(root, {})).findings} == {"missing"}
    before = {name: (root / name).read_bytes() for name in OWN}
    said = json.loads(lab("drift", "--fix", "--json", "--hybrid", "venv+uv", cwd=root).stdout)
    assert said["findings"] == []
    assert said["mended"][0].startswith("uv.lock")
    assert {name: (root / name).read_bytes() for name in OWN} == before
    return root


def moved(document: Document, pin: Pin) -> Document:
    """The same file with another version in one line."""
    pins = tuple(dataclasses.replace(each, version="0.0.1.dev7") if each is pin else each for each in document.pins)
    return dataclasses.replace(document, pins=pins)


@pytest.mark.parametrize("name", ["poetry.lock", "uv.lock", "requirements.txt"])
def test_every_single_move_of_a_version_is_found(own: Path, name: str) -> None:
    subject = drift.subject_at(own, {})
    every = [documents.read(path, own) for path in documents.discover(own)]
    (document,) = (each for each in every if each.path == name)
    pins = [pin for pin in document.pins if pin.kind != "project"]
    assert len(pins) > 150
    for pin in pins[::EVERY]:
        found = drift.compare(subject, [moved(each, pin) if each is document else each for each in every])
        assert {each.package for each in found} == {pin.name}
        assert all(any((side.path, side.line) == (name, pin.line) for side in each.sources) for each in found)
        assert any("0.0.1.dev7" in side.said for each in found for side in each.sources)


MOVES = {
    "pyproject.toml": ("packaging>=24.2", "packaging>=99", "packaging"),
    "conda.yml": ("  - pip\n", "  - pip\n  - numpy <2\n", "numpy"),
    ".python-version": ("", "3.10\n", ""),
}


@pytest.mark.parametrize("name", MOVES)
def test_a_move_in_what_people_write_is_found(own: Path, tmp_path: Path, name: str) -> None:
    root = tmp_path / "copy"
    shutil.copytree(own, root, ignore=shutil.ignore_patterns(".mlops-lab"))
    old, new, package = MOVES[name]
    text = (root / name).read_text(encoding="utf-8") if old else ""
    assert old in text
    (root / name).write_text(text.replace(old, new, 1) or new, encoding="utf-8")
    lines = (root / name).read_text(encoding="utf-8").splitlines()
    line = next(number for number, each in enumerate(lines, 1) if new.splitlines()[-1] in each)
    found = drift.examine(drift.subject_at(root, {})).findings
    assert {each.package for each in found} == {package}
    assert all(any((side.path, side.line) == (name, line) for side in each.sources) for each in found)


def test_what_can_be_mended_is_mended_and_the_rest_is_told(case: Case, lab: Lab) -> None:
    """A follower, an export and an environment that were changed by hand; what people wrote stays."""
    root = case("small")
    lab("setup", "--hybrid", "venv+uv", cwd=root)
    assert "nothing found" in lab("drift", cwd=root).stdout
    sound = {name: (root / name).read_bytes() for name in ("pyproject.toml", "poetry.lock", "requirements.txt")}
    (root / "conda.yml").write_text("name: small\ndependencies:\n  - cowsay <6\n", encoding="utf-8")
    _edit(root / "uv.lock", 'version = "2.3.1"', 'version = "2.2.0"')
    _edit(root / "requirements.txt", "cowsay==6.1", "cowsay==6.0")
    (record,) = (root / ".venv").glob("lib/python3*/site-packages/iniconfig-*.dist-info")
    shutil.rmtree(record)
    kinds = {(each["kind"], each["package"]) for each in _found(lab, root)}
    assert kinds == {("conflict", "iniconfig"), ("conflict", "cowsay"), ("installed", "iniconfig")}
    done = json.loads(lab("drift", "--fix", "--json", cwd=root, check=1).stdout)
    assert [(each["package"], each["sources"][-1]["path"]) for each in done["findings"]] == [("cowsay", "conda.yml")]
    assert len(done["mended"]) == 2
    assert {name: (root / name).read_bytes() for name in sound} == sound
    assert record.is_dir()
    # What uv itself refused to read, since the names of the files say another version, is made anew.
    assert "2.2.0" not in (root / "uv.lock").read_text(encoding="utf-8")


def test_a_lock_that_is_mended_can_be_taken_back(case: Case, lab: Lab) -> None:
    root = case("small")
    for name in ("poetry.lock", "requirements.txt"):
        (root / name).unlink()
    _edit(root / "pyproject.toml", "[tool.uv]\n", '[tool.mlops-lab]\nleader = "uv"\n\n[tool.uv]\n')
    lab("lock", "--hybrid", "venv+uv", cwd=root)
    assert "nothing found" in lab("drift", cwd=root).stdout
    before = (root / "uv.lock").read_bytes()
    _edit(root / "pyproject.toml", '"cowsay>=6",', '"cowsay>=6",\n    "six",')
    asked = (root / "pyproject.toml").read_bytes()
    (found,) = _found(lab, root)
    assert (found["kind"], found["package"], found["mend"]) == ("stale", "six", "lock")
    assert "uv.lock (six - → " in lab("drift", "--fix", "--hybrid", "venv+uv", cwd=root).stdout
    assert (root / "uv.lock").read_bytes() != before
    lab("undo", cwd=root)
    assert (root / "uv.lock").read_bytes() == before
    assert (root / "pyproject.toml").read_bytes() == asked


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def _found(lab: Lab, root: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(lab("drift", "--json", cwd=root, check=1).stdout)["findings"]
    return found
