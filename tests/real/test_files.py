"""Files that others wrote, and changes that move no version, with the real tools."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    Lab = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.real


def test_a_package_that_is_locked_already_can_be_declared_as_well(lab: Lab, case: Callable[..., Path]) -> None:
    project = case("small")
    lab("setup", "--hybrid", "venv+uv", cwd=project)
    before = (project / "uv.lock").read_text(encoding="utf-8")
    # No version moves, so that only the manifests inside the locks tell the difference.
    lab("add", "iniconfig", cwd=project)
    assert "iniconfig" in (project / "pyproject.toml").read_text(encoding="utf-8").partition("[project.scripts]")[0]
    assert (project / "uv.lock").read_text(encoding="utf-8") != before
    lab("check", cwd=project)


def test_requirements_written_by_hand_stay(lab: Lab, case: Callable[..., Path]) -> None:
    project = case("small")
    by_hand = "# what we need\ncowsay>=5\n"
    (project / "requirements.txt").write_text(by_hand, encoding="utf-8")
    done = lab("setup", "--hybrid", "pip+uv", cwd=project)
    assert (
        "requirements.txt is written by hand and stays: .mlops-lab/requirements.txt is exported for pip" in done.stderr
    )
    refused = lab("export", cwd=project, check=2)
    assert refused.stderr == (
        "error: requirements.txt has no hashes: somebody wrote it by hand, and an export would replace it: "
        "rename it (requirements.in is usual), or delete it, then export again\n"
    )
    assert (project / "requirements.txt").read_text(encoding="utf-8") == by_hand
