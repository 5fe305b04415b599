"""`conda doctor` with our checks in it, where there is a conda."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import mlops_lab

pytestmark = pytest.mark.real

SOURCE = Path(mlops_lab.__file__).parent.parent
ENTRY_POINTS = "[conda]\nmlops-lab = mlops_lab.conda_plugin\n"


@pytest.fixture(scope="module")
def python() -> str:
    """The Python that conda runs on."""
    conda = shutil.which("conda")
    if conda is None:
        pytest.skip("there is no conda on PATH")
    found = Path(os.path.realpath(conda)).parents[1] / "bin" / "python"
    asked = subprocess.run([found, "-c", "import conda, tomllib"], capture_output=True, check=False, timeout=60)
    if asked.returncode:
        pytest.skip("conda runs on a Python that mlops-lab does not")
    return str(found)


def test_conda_shows_our_checks(python: str, workshop: dict[str, str], tmp_path: Path) -> None:
    # As if it were installed beside conda, which stays as it is.
    info = tmp_path / "mlops_lab-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mlops-lab\nVersion: 0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(ENTRY_POINTS, encoding="utf-8")
    prefix = tmp_path / "an env"
    site = prefix / "lib" / "python3.12" / "site-packages"
    (site / "numpy-2.0.dist-info").mkdir(parents=True)
    (site / "numpy-2.0.dist-info" / "RECORD").write_text("numpy.py,,\n", encoding="utf-8")
    (prefix / "conda-meta").mkdir()
    (prefix / "conda-meta" / "history").touch()
    environ = {**workshop, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(SOURCE)])}

    def conda(*words: str) -> str:
        argv = [python, "-m", "conda", "doctor", *words]
        done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=True, timeout=120)
        return done.stdout

    assert "mlops-lab-missing: Detect missing files of what pip, Poetry or uv installed" in conda("--list")
    shown = conda("-p", str(prefix), "mlops-lab-missing", "mlops-lab-records", "mlops-lab-duplicates")
    assert "❌ Not so: every recorded file is there.\n\nnumpy 2.0: numpy.py missing" in shown
    assert "numpy-2.0.dist-info has no METADATA" in shown
    assert "✅ No package is recorded twice." in shown
