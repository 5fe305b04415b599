"""Environments of two hybrids are the same, and what somebody does to one of them is found and named."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import uv

from mlops_lab import certificate, inventories

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Lab = Callable[..., subprocess.CompletedProcess[str]]
    Case = Callable[..., Path]

pytestmark = pytest.mark.real

HYBRIDS = ("venv+uv", "pip+uv")


def found(lab: Lab, root: Path, *words: str, check: int = 0) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(lab("parity", "--json", *words, cwd=root, check=check).stdout)
    return told


def told(report: dict[str, Any]) -> list[tuple[str, str]]:
    return [(finding["kind"], finding["package"]) for finding in report["findings"]]


def test_two_hybrids_are_identical_until_somebody_changes_one(
    case: Case, lab: Lab, workshop: dict[str, str], tmp_path: Path
) -> None:
    root = case("small")
    prefixes = {hybrid: tmp_path / hybrid for hybrid in HYBRIDS}
    for hybrid, prefix in prefixes.items():
        lab("setup", "--hybrid", hybrid, "--prefix", str(prefix), cwd=root)
    both = ("--", *map(str, prefixes.values()))

    # The same, and the certificate says so.
    report = found(lab, root, *both)
    assert (report["facts"]["verdict"], report["findings"]) == ("identical", [])
    assert report["facts"]["classes"] == {"project": ["small"], "seed": ["pip"]}
    jsonschema.validate(certificate.read(root / ".mlops-lab" / "parity.json"), certificate.schema())
    assert found(lab, root, "--verify", ".mlops-lab/parity.json", *both)["findings"] == []

    # An inventory for another machine.
    lab("parity", "--inventory", "mine.json", "--hybrid", "venv+uv", "--prefix", str(prefixes["venv+uv"]), cwd=root)
    taken = inventories.read(root / "mine.json")
    jsonschema.validate(json.loads((root / "mine.json").read_text("utf-8")), inventories.schema())
    assert {package.installer for name, package in taken.packages.items() if name != "pip"} == {"uv"}
    assert {package.owner for package in taken.packages.values()} == {"lock", "project", "seed"}
    assert str(tmp_path) not in (root / "mine.json").read_text("utf-8")

    # One edited file. pip has copied it: the cache of the other tests is not touched.
    site = next((prefixes["pip+uv"] / "lib").glob("python*/site-packages"))
    with (site / "iniconfig" / "exceptions.py").open("a", encoding="utf-8") as file:
        file.write("# edited\n")
    report = found(lab, root, *both)
    assert (report["facts"]["verdict"], told(report)) == ("equivalent", [("content", "iniconfig")])
    assert report["findings"][0]["why"].endswith(": iniconfig/exceptions.py")
    named = found(lab, root, "--", "mine.json", str(prefixes["pip+uv"]))
    assert named["findings"][0]["why"] == report["findings"][0]["why"]

    # Another version, and a package that nobody declares.
    certified = root / "certified.json"
    shutil.copy2(root / ".mlops-lab" / "parity.json", certified)
    argv = [uv.find_uv_bin(), "pip", "install", "--python", str(prefixes["pip+uv"]), "iniconfig==2.0.0", "six"]
    _run(argv, root, workshop)
    report = found(lab, root, *both, check=1)
    assert (report["facts"]["verdict"], told(report)) == ("divergent", [("version", "iniconfig"), ("absent", "six")])
    why = [finding["why"].rpartition(": ")[2] for finding in report["findings"]]
    assert why == ["it was installed behind the lock's back in pip+uv"] * 2
    assert report["findings"][0]["sources"][-1]["said"] == "iniconfig 2.0.0, and its lock has 2.3.1"
    assert report["findings"][0]["sources"][0]["path"] == "poetry.lock"

    # What the certificate said is not so any more, also of the files that all was made from.
    with (root / "pyproject.toml").open("a", encoding="utf-8") as manifest:
        manifest.write("# another one\n")
    report = found(lab, root, "--verify", str(certified), *both, check=1)
    assert told(report) == [("inputs", ""), ("version", "iniconfig"), ("absent", "six")]


def _run(argv: list[str], root: Path, environ: dict[str, str]) -> None:
    subprocess.run(argv, cwd=root, env=environ, check=True, capture_output=True, timeout=120)
