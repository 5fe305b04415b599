"""The hook that other projects take from here: pre-commit installs it, and git commits what agrees and nothing else."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import HERE, PROJECTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.real

NEEDED = ("pyproject.toml", "README.md", "LICENSE", ".pre-commit-hooks.yaml")
HEADING = "manifests, locks and exports agree (mlops-lab)"


class Project:
    """A project that commits with the hook; as everywhere, git's words are its argv."""

    def __init__(self, root: Path, environ: dict[str, str]) -> None:
        self.root = root
        self.environ = environ

    def run(self, *argv: str, check: int = 0) -> str:
        done = subprocess.run(
            argv, cwd=self.root, env=self.environ, capture_output=True, text=True, timeout=240, check=False
        )
        assert done.returncode == check, f"{argv}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def commit(self, *, refused: bool = False) -> str:
        self.run("git", "add", "--all")
        return self.run("git", "commit", "--message=change", check=int(refused))

    def commits(self) -> int:
        return int(self.run("git", "rev-list", "--count", "HEAD"))

    def line(self, name: str, text: str) -> int:
        lines = (self.root / name).read_text(encoding="utf-8").splitlines()
        return next(number for number, line in enumerate(lines, 1) if text in line)


def repository(folder: Path, environ: dict[str, str]) -> Project:
    made = Project(folder, environ)
    made.run("git", "init", "--quiet")
    made.run("git", "add", "--all")
    made.run("git", "commit", "--quiet", "--message=start")
    return made


@pytest.fixture(scope="module")
def hooked(tmp_path_factory: pytest.TempPathFactory, workshop: dict[str, str]) -> Project:
    base = tmp_path_factory.mktemp("hook")
    environ = {**workshop, "PRE_COMMIT_HOME": str(base / "pre-commit"), "PRE_COMMIT_COLOR": "never"}
    ours = base / "mlops-lab"
    shutil.copytree(HERE / "src", ours / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in NEEDED:
        shutil.copy2(HERE / name, ours)
    revision = repository(ours, environ).run("git", "rev-parse", "HEAD").strip()
    shutil.copytree(PROJECTS / "small", base / "small")
    (base / "small" / ".pre-commit-config.yaml").write_text(
        f"repos:\n  - repo: {ours}\n    rev: {revision}\n    hooks:\n      - id: mlops-lab-drift\n", encoding="utf-8"
    )
    made = repository(base / "small", environ)
    made.run(sys.executable, "-m", "pre_commit", "install", "--install-hooks")
    return made


@pytest.fixture
def project(hooked: Project) -> Iterator[Project]:
    """The project, which is afterwards what it was before."""
    before = hooked.run("git", "rev-parse", "HEAD").strip()
    yield hooked
    hooked.run("git", "reset", "--hard", "--quiet", before)


def test_a_commit_passes_where_all_files_agree(project: Project) -> None:
    before = project.commits()
    (project.root / "notes.md").write_text("nothing about packages\n", encoding="utf-8")
    said = project.commit()
    assert re.search(rf"^{re.escape(HEADING)}\.+Passed$", said, re.MULTILINE)
    assert project.commits() == before + 1


def _edited(project: Project) -> tuple[str, str]:
    """The manifest asks for what the lock has not; both lines."""
    manifest = project.root / "pyproject.toml"
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(text.replace('"cowsay>=6"', '"cowsay>=7"'), encoding="utf-8")
    asked, locked = project.line("pyproject.toml", "cowsay>=7"), project.line("poetry.lock", 'version = "6.1"')
    return rf"pyproject\.toml:{asked} +cowsay>=7", rf"poetry\.lock:{locked} +cowsay 6\.1"


def _removed(project: Project) -> tuple[str, str]:
    """A file goes that another one names, and nothing else changes: git has only a deletion to tell."""
    (project.root / "requirements-dev.txt").write_text("-r requirements.txt\n", encoding="utf-8")
    project.commit()
    (project.root / "requirements.txt").unlink()
    return r"requirements-dev\.txt:1 ", r"includes requirements\.txt, which is not there"


@pytest.mark.parametrize("change", [_edited, _removed])
def test_a_commit_is_refused_where_they_do_not(project: Project, change: Callable[[Project], tuple[str, str]]) -> None:
    expected = change(project)
    before = project.commits()
    said = project.commit(refused=True)
    assert re.search(rf"^{re.escape(HEADING)}\.+Failed$", said, re.MULTILINE)
    for pattern in expected:
        assert re.search(pattern, said), said
    assert "Traceback" not in said
    assert project.commits() == before


def test_it_needs_no_network_once_it_is_installed(project: Project) -> None:
    """Whatever would be fetched would be asked of a port where nobody answers."""
    nobody = "http://127.0.0.1:9"
    deaf = {"PIP_INDEX_URL": nobody, "UV_INDEX_URL": nobody, "HTTPS_PROXY": nobody, "HTTP_PROXY": nobody}
    here = Project(project.root, {**project.environ, **deaf, "PATH": os.fspath(Path(shutil.which("git") or "").parent)})
    assert "Passed" in here.run(sys.executable, "-m", "pre_commit", "run", "mlops-lab-drift", "--all-files")
