"""CONTRIBUTING.md is done as it is written, in a copy of this repository; test_table.py has its worked examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.documented import ROOT
from support.reader import reading

from mlops_lab.runner import Runner
from mlops_lab.workcopy import copy_project

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.real


def test_contributing(tmp_path: Path, workshop: dict[str, str]) -> None:
    with reading("CONTRIBUTING.md", tmp_path, workshop) as reader:
        checkout = copy_project(ROOT, reader.home / "work" / "mlops-lab", Runner(None, workshop).ask)
        # The pytest that is typed there would clean up what others have left, and that may be much.
        reader.type(f"export TMPDIR={tmp_path} && cd {checkout}")
        seconds = reader.read()
        # Whoever follows the page goes on with the environment that it has made.
        scripts = checkout / ".venv" / "bin"
        for program in ("pytest", "pre-commit", "nox", "invoke"):
            assert reader.type(f"command -v {program}").printed.strip() == str(scripts / program)
    assert "pytest tests/unit/test_guide.py" in seconds
