"""The embedded conda as its users run it: a child process with a home, caches and a channel of the test's own."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["Conda", "contents", "hashed_wheel", "serving", "wheel"]

_TIMEOUT = 120


@dataclass
class Conda:
    """Runs `python -m mlops_lab.conda` in a folder of its own.

    Attributes:
        root: Holds the home, the caches and the folder of the environment file.
        environ: The variables, HOME and the channel's among them.
    """

    root: Path
    environ: dict[str, str]
    folder: Path = field(init=False)

    def __post_init__(self) -> None:
        self.folder = self.root / "project"
        self.folder.mkdir(parents=True, exist_ok=True)
        home = self.root / "home"
        home.mkdir(exist_ok=True)
        own = {"HOME": str(home), "USERPROFILE": str(home), "MLOPS_LAB_CACHE_DIR": str(self.root / "lab")}
        # It runs in processes of its own alone, and is measured there.
        measured = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
        self.environ = {**self.environ, **own, **measured}

    @property
    def home(self) -> Path:
        """The user's home."""
        return self.root / "home"

    @property
    def envs(self) -> Path:
        """Where environments are made."""
        return self.home / ".conda" / "envs"

    def file(self, text: str, name: str = "conda.yml") -> Path:
        """Write an environment file."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def start(self, *words: str, environ: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start a command in a process group of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "mlops_lab.conda", *words],
            cwd=self.folder,
            env={**self.environ, **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(
        self, *words: str, environ: Mapping[str, str] | None = None, check: int | None = 0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; standard output and standard error are kept apart."""
        with self.start(*words, environ=environ) as process:
            out, err = process.communicate(timeout=_TIMEOUT)
        if check is not None:
            assert process.returncode == check, f"{words}: {process.returncode}\n{out}\n{err}"
        assert "Traceback" not in err, err
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def json(self, *words: str, environ: Mapping[str, str] | None = None, check: int = 0) -> Any:
        """Run a command with --json; standard output holds nothing else."""
        return json.loads(self.run(*words, "--json", environ=environ, check=check).stdout)

    def left(self) -> list[str]:
        """What lies in the folder of environments, and files that pip was handed."""
        envs = [path.name for path in self.envs.iterdir()] if self.envs.is_dir() else []
        return sorted(envs + [path.name for path in self.folder.glob("condaenv.*")])

    def versions(self, prefix: Path) -> dict[str, str]:
        """The packages that conda's records hold."""
        records = [json.loads(path.read_text()) for path in (prefix / "conda-meta").glob("*.json")]
        return {record["name"]: record["version"] for record in records}


def contents(prefix: Path) -> dict[str, str]:
    """Every file of an environment with a digest, apart from what Python compiles and what tells times."""
    found = {}
    for path in prefix.rglob("*"):
        name = path.relative_to(prefix).as_posix()
        if "__pycache__" in name or name in {"conda-meta/history", "conda-meta/mlops-lab"}:
            continue
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif name.startswith("conda-meta/") and name.endswith(".json"):
            data = json.loads(path.read_text(encoding="utf-8"))
            found[name] = json.dumps({key: data[key] for key in ("name", "version", "files", "paths_data")})
        elif path.is_file():
            found[name] = f"{path.stat().st_mode:o} {hashlib.sha256(path.read_bytes()).hexdigest()}"
    return found


def wheel(folder: Path, name: str, version: str, code: str = "") -> Path:
    """A wheel of one module, made without any tool."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}/__init__.py": f"__version__ = {version!r}\n{code}",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
    return path


def hashed_wheel(path: Path) -> str:
    """The `--hash` of a wheel."""
    return f"--hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


@contextmanager
def serving(folder: Path, login: str = "", token: str = "") -> Iterator[tuple[int, list[str]]]:
    """Serve a folder on this machine, to those who have the credentials only.

    Yields:
        The port, and the paths that were asked for.
    """
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, directory=str(folder), **kwargs)

        def do_GET(self) -> None:
            asked.append(self.path)
            wanted = f"Basic {base64.b64encode(login.encode()).decode()}"
            if (login and self.headers.get("Authorization") != wanted) or not self.path.startswith(
                f"/t/{token}/" if token else "/"
            ):
                self.send_response(401)
                self.end_headers()
                return
            self.path = self.path.removeprefix(f"/t/{token}") if token else self.path
            super().do_GET()

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_port, asked
        finally:
            server.shutdown()
