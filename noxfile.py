# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "filelock>=3.16",
#     "findpython>=0.6.3",
#     "invoke>=2.2",
#     "nox>=2026.10.20",
#     "packaging>=24.2",
#     "pip-requirements-parser>=32.0",
#     "platformdirs>=4.3",
#     "poetry-core>=2.1",
#     "py-rattler>=0.28,<0.29",
#     "pyyaml>=6.0.2",
#     "rich>=13.9",
#     "tomli>=2.4",
#     "tomlkit>=0.13",
#     "uv>=0.11",
# ]
# ///
"""The sessions of this repository: `nox -l`. Plain `nox` makes itself the environment above, then runs them all."""

from __future__ import annotations

import sys
from pathlib import Path

import nox

# A script's header cannot name its own project in a way that every installer understands.
sys.path.insert(0, str(Path(__file__).parent / "src"))

from mlops_lab.sessions import check, index_settings, parity

__all__ = ["check", "faults", "lint", "parity", "tests", "types"]

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = True
_GROUP = nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), "dev", "server")


def _install(session: nox.Session, *what: str) -> None:
    """Install with uv, from the index that pip is configured to use."""
    session.install(*what, env=index_settings())


@nox.session(allow_parallel=True)
def lint(session: nox.Session) -> None:
    """Check style and formatting with ruff."""
    _install(session, *(name for name in _GROUP if name.startswith("ruff")))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session(allow_parallel=True)
def types(session: nox.Session) -> None:
    """Check types with mypy, strictly."""
    _install(session, *_GROUP, "-e", ".")
    session.run("mypy")


@nox.session(allow_parallel=True)
def tests(session: nox.Session) -> None:
    """Run the unit tests and the real ones, and measure what they cover."""
    _install(session, *_GROUP, "-e", ".")
    # Not `session.create_tmp()`, which moves TMPDIR below this project: the tests' projects would lie in it.
    session.env["COVERAGE_FILE"] = str(Path(session.virtualenv.location) / "coverage")
    session.run("coverage", "erase")
    # In the order of tests/conftest.py: xdist would start with the files of most tests, which are the quick ones.
    spread = ("-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder")
    session.run("coverage", "run", "-m", "pytest", *spread, *session.posargs)
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")


@nox.session(default=False, allow_parallel=True)
def faults(session: nox.Session) -> None:
    """Stop changes of dependencies at every point in every way, under three hybrids; `tests` tries each point once."""
    _install(session, *_GROUP, "-e", ".")
    session.env["MLOPS_LAB_ALL_FAULTS"] = "1"
    # With what the tests that passed have printed: how many points and faults there were.
    session.run("pytest", "tests/real/test_faults.py", "-rP", "-n", "auto", *session.posargs)
