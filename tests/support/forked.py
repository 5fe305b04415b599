"""Processes of mlops-lab that are forked from one which has imported it: to import it takes longer than most commands.

Each is a process of its own all the same: with its own folder, variables, standard streams and exit code.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from multiprocessing import forkserver
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import mlops_lab

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["AT_START", "command", "run"]

AT_START = ("PYTHON", "LANG", "LC_")
"""How the names of variables begin that Python reads when it starts; what is forked has started already."""
_TESTS = Path(__file__).parents[1]
_PACKAGE = Path(mlops_lab.__path__[0])
# What they import on their way, when they need it.
_LATER = ("filelock", "invoke.program", "pip_requirements_parser", "rich.console", "rich.tree", "tomlkit", "uv", "yaml")
_APART = ("mlops_lab.conda.", "mlops_lab.conda_plugin", "mlops_lab.sessions")
_CONTEXT = multiprocessing.get_context("forkserver")


def run(
    target: Callable[[], int], words: Sequence[str], *, cwd: Path, environ: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Call a function in a process of its own, and wait for its end.

    Args:
        target: A module's function, which finds the words in `sys.argv` and returns the exit code.
        words: The command line after the program's name.
        cwd: The folder in which it runs.
        environ: All its variables.
        timeout: Seconds after which it is killed.

    Raises:
        subprocess.TimeoutExpired: It took longer.
    """
    with mock.patch.dict(os.environ, environ, clear=True):  # the first one starts what all are forked from
        _CONTEXT.set_forkserver_preload([*_own_modules(), *_LATER])
        forkserver.ensure_running()
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = _CONTEXT.Process(target=_become, args=(target, words, str(cwd), dict(environ), str(out), str(err)))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(list(words), timeout)
        said = (path.read_text(encoding="utf-8") for path in (out, err))
        return subprocess.CompletedProcess(words, process.exitcode, *said)


def command() -> int:
    """What `python -m mlops_lab` does."""
    runpy.run_module("mlops_lab", run_name="__main__", alter_sys=True)
    return 0


def _own_modules() -> Iterator[str]:
    """All but those that bring py-rattler, conda or nox along: they start threads, which are lost in a fork.

    Source: https://docs.python.org/3/library/os.html#os.fork
    """
    for path in sorted(_PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(_PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        if not name.startswith(_APART) and path.name != "__main__.py":
            yield name


def _become(
    target: Callable[[], int], words: Sequence[str], cwd: str, environ: Mapping[str, str], out: str, err: str
) -> None:
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(cwd)
    for number, path, flags in ((0, os.devnull, os.O_RDONLY), (1, out, os.O_WRONLY), (2, err, os.O_WRONLY)):
        opened = os.open(path, flags | os.O_CREAT, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    # `-m` puts the folder in front, and what pytest has put there is not for users.
    sys.path[:] = [cwd, *(path for path in sys.path if path and Path(path) not in {_TESTS, _TESTS.parent / "src"})]
    sys.argv = ["-m", *words]
    sys.exit(target())
