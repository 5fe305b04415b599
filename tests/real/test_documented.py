"""README is done as it is written: its setup command in a copy of this repository, its table in a small project."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from support.documented import ROOT, said
from support.reader import reading

from mlops_lab.project import find
from mlops_lab.runner import Runner
from mlops_lab.workcopy import copy_project

pytestmark = pytest.mark.real


def test_readme(tmp_path: Path, workshop: dict[str, str]) -> None:
    with reading("README.md", tmp_path, workshop) as reader:
        checkout = copy_project(ROOT, reader.home / "work" / "mlops-lab", Runner(None, workshop).ask)
        # The sessions set up all of it; here the command and its way are the matter.
        manifest = checkout / "pyproject.toml"
        text = manifest.read_text(encoding="utf-8")
        assert text.count("\n[tool.mlops-lab]\n") == 1
        few = text.replace("\n[tool.mlops-lab]\n", '\n[tool.mlops-lab]\ngroups = ["server"]\n')
        manifest.write_text(few, encoding="utf-8")
        # Another page's reader makes one with venv, which takes ten times as long. virtualenv leaves a file `.venv`
        # beside it, which shall not lie in the checkout.
        reader.type("python -m virtualenv --quiet ~/environments/ENV && source ~/environments/ENV/bin/activate")
        reader.type(f"cd {checkout}")

        def project() -> None:
            # With one lock, and nothing to build, a change is quick; other pages have both.
            reader.committed("grouped", "poetry.lock", "requirements.txt")
            reader.type("mlops-lab lock --leader uv && rm -f poetry.lock")
            reader.type("mlops-lab setup --hybrid venv+uv")

        reader.situations |= {
            "a project of your own": project,
            "its files as they were": lambda: reader.type("git checkout --quiet ."),
        }
        reader.read()
        own = Path(reader.type("pwd").printed.strip())
    assert (checkout / ".venv" / "pyvenv.cfg").exists()
    (settings,) = [piece.text for piece in said("README.md") if piece.kind == "more"]
    wanted = tomllib.loads(settings)["tool"]["mlops-lab"]
    read = find(own).settings
    assert (read.hybrid, read.conda, read.leader) == (wanted["hybrid"], wanted["conda"], wanted["leader"])
    assert read.groups == tuple(wanted["groups"])
    assert read.tools.items() >= wanted["tools"].items()
    assert read.drift_ignore == tuple(wanted["drift"]["ignore"])
