"""What the tests share: unit tests may start no process; real tests work in a home and caches of their own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock
from hypothesis.configuration import set_hypothesis_home_dir
from support import conda_channel as channels
from support import forked
from support.processes import Started

from mlops_lab import indexes
from mlops_lab.guide import ENGINE_KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

PROJECTS = Path(__file__).parent / "projects"
HERE = Path(__file__).parent.parent
_TIMEOUT = 300

# A shell without job control starts what runs in the background with Ctrl-C ignored, `nohup` ignores a closed terminal,
# and children inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_configure(config: pytest.Config) -> None:
    """What Hypothesis keeps goes where pytest keeps its own, and not into a folder of the tree."""
    set_hypothesis_home_dir(config.rootpath / ".pytest_cache" / "hypothesis")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The real tests first: the quick ones then fill the workers' time until the last slow file has ended."""
    items.sort(key=lambda item: item.get_closest_marker("real") is None)


@pytest.fixture(autouse=True)
def no_stray_process(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit test that starts a process is no unit test."""
    if request.node.get_closest_marker("real"):
        return

    def stray(*args: Any, **_kwargs: Any) -> None:
        raise AssertionError(f"a unit test started {args[0] if args else 'a process'}")

    monkeypatch.setattr(subprocess, "Popen", stray)


@pytest.fixture(autouse=True)
def own_cache(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test reads or writes the user's cache."""
    if not request.node.get_closest_marker("real"):
        monkeypatch.setenv("MLOPS_LAB_CACHE_DIR", str(tmp_path / "cache-of-mlops-lab"))


def _shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this run share: a tool is provisioned and a package fetched once."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "shared"


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The variables for real tools: a home, configuration and caches of this run, the index of the machine."""
    shared = _shared(tmp_path_factory)
    dropped = (
        "PIP_",
        "UV_",
        "POETRY_",
        "CONDA",
        "MAMBA",
        "VIRTUAL_ENV",
        "XDG_",
        "GIT_",
        "PYTHON",
        "NOX_",
        "MLOPS_LAB_",
        "GITHUB_",
        # What all of them run is measured in the unit tests, but for the embedded conda: see `support.conda_engine`.
        "COVERAGE_",
    )
    environ = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    config = indexes.read_pip_config(os.environ, Path(sys.prefix))
    settings = {
        "PIP_INDEX_URL": config.index_url,
        "PIP_CERT": config.cert,
        "PIP_PROXY": config.proxy,
        "PIP_TRUSTED_HOST": " ".join(config.trusted_hosts),
    }
    for name in ("home", "uv", "pip", "poetry", "lab"):
        (shared / name).mkdir(parents=True, exist_ok=True)
    # Nobody answers there: no test asks a real channel, and those that need one map it to a folder.
    (shared / "home" / ".condarc").write_text("channel_alias: http://127.0.0.1:9\n", encoding="utf-8")
    return {
        **environ,
        **{name: value for name, value in settings.items() if value},
        "PATH": _without_conda(environ["PATH"]),
        "HOME": str(shared / "home"),
        "USERPROFILE": str(shared / "home"),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_CACHE_DIR": str(shared / "pip"),
        "UV_CACHE_DIR": str(shared / "uv"),
        "UV_NO_CONFIG": "1",
        "POETRY_CACHE_DIR": str(shared / "poetry"),
        "POETRY_CONFIG_DIR": str(shared / "home" / "pypoetry"),
        "MLOPS_LAB_CACHE_DIR": str(shared / "lab"),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Test",
        "GIT_AUTHOR_EMAIL": "test@example.org",
        "GIT_COMMITTER_NAME": "Test",
        "GIT_COMMITTER_EMAIL": "test@example.org",
        "TERM": "dumb",
        "SHELL": "/bin/bash",
    }


def _without_conda(path: str) -> str:
    """A PATH on which no conda is found, so that every machine chooses alike; the tests of conda name theirs."""
    system = {"/bin", "/usr/bin", "/usr/local/bin"}
    folders = [folder for folder in path.split(os.pathsep) if folder]
    programs = [kind.program for kind in ENGINE_KINDS.values() if kind.program]
    return os.pathsep.join(
        folder
        for folder in folders
        if folder in system or not any(shutil.which(name, path=folder) for name in programs)
    )


@pytest.fixture(scope="session")
def conda_channel(tmp_path_factory: pytest.TempPathFactory, workshop: dict[str, str]) -> channels.Channel:
    """A local channel with several Pythons, made once per run; `environ` of it makes conda-forge mean it.

    It is shared: add to a `copy()` of it.
    """
    shared = channels.Channel(_shared(tmp_path_factory) / "conda", sealed=True)
    with FileLock(f"{shared.root}.lock"):
        if not shared.condarc.exists():  # which is written last
            try:
                channels.make(shared.root, environ=workshop, at_least=2)
            except channels.Missing as error:
                pytest.skip(str(error))
    return shared


@pytest.fixture(scope="session")
def lab(workshop: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `mlops-lab` as a user would, in a folder and a process of its own; its two outputs are kept apart."""

    def run(
        *words: str, cwd: Path, environ: Mapping[str, str | None] | None = None, check: int | None = 0
    ) -> subprocess.CompletedProcess[str]:
        given = {name: value for name, value in {**workshop, **(environ or {})}.items() if value is not None}
        other = {name for name in {*given, *workshop} if given.get(name) != workshop.get(name)}
        assert not [name for name in other if name.startswith(forked.AT_START)], "such a process has to be started"
        done = forked.run(forked.command, words, cwd=cwd, environ=given, timeout=_TIMEOUT)
        if check is not None:
            assert done.returncode == check, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return run


@pytest.fixture
def start(workshop: dict[str, str]) -> Iterator[Callable[..., Started]]:
    """Start mlops-lab; whatever of its group is left at the end of the test is ended."""
    running: list[Started] = []

    def run(*words: str, cwd: Path, environ: Mapping[str, str | None] | None = None) -> Started:
        given = {**workshop, **(environ or {})}
        process = subprocess.Popen(
            [sys.executable, "-m", "mlops_lab", *words],
            cwd=cwd,
            env={name: value for name, value in given.items() if value is not None},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        running.append(Started(process))
        return running[-1]

    yield run
    for started in running:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.process.pid, signal.SIGKILL)
        started.process.wait()


@pytest.fixture
def case(tmp_path: Path, workshop: dict[str, str]) -> Callable[..., Path]:
    """Copy one of tests/projects into a folder of the test's own, as a git repository."""

    def copy(name: str, folder: str = "", *, git: bool = True) -> Path:
        target = tmp_path / (folder or name)
        shutil.copytree(PROJECTS / name, target)
        if git:
            (target / ".gitignore").write_text(".venv/\n.mlops-lab/\n/uv.lock\n", encoding="utf-8")
            for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "start"]):
                _git(target, workshop, words)
        return target

    return copy


def _git(folder: Path, environ: Mapping[str, str], words: Sequence[str]) -> None:
    subprocess.run(["git", *words], cwd=folder, env=dict(environ), check=True, capture_output=True)
