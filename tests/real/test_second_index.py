"""An index of the team's own beside the default one, or in its place, served from this machine."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import shutil
import threading
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlops_lab import locks
from mlops_lab.project import find

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    Lab = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.real

PROJECTS = Path(__file__).parent.parent / "projects"
HYBRIDS = ("venv+poetry", "venv+uv", "pip+poetry", "pip+uv")
VERSION = "1.0+cu121"
WHEEL = "cudademo-1.0+cu121-py3-none-any.whl"
USER, SECRET = "build-agent", "pa55-w0rd-of-the-index"


# --- the index -----------------------------------------------------------------------------------------------------


def wheel(folder: Path) -> Path:
    """A pure-Python package whose version names an accelerator, as PyTorch's do."""
    files = {
        "cudademo.py": "accelerator = 'cu121'\n",
        "cudademo-1.0+cu121.dist-info/METADATA": f"Metadata-Version: 2.1\nName: cudademo\nVersion: {VERSION}\n",
        "cudademo-1.0+cu121.dist-info/WHEEL": (
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        ),
    }
    lines = [f"{name},sha256={_digest(text)},{len(text)}\n" for name, text in files.items()]
    record = "cudademo-1.0+cu121.dist-info/RECORD"
    path = folder / WHEEL
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**files, record: "".join([*lines, f"{record},,\n"])}.items():
            # The same bytes wherever it is built: Poetry's cache tells packages apart by name and version.
            archive.writestr(zipfile.ZipInfo(name), text)
    return path


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@dataclass(frozen=True)
class Index:
    """A running index: its address without credentials, and the answers that it gave."""

    port: int
    answers: list[tuple[str, int]]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/simple"

    @property
    def with_credentials(self) -> str:
        return f"http://{USER}:{SECRET}@127.0.0.1:{self.port}/simple"


@contextmanager
def serving(file: Path, *, guarded: bool = False) -> Iterator[Index]:
    """Serve one package as https://packaging.python.org/specifications/simple-repository-api/ has it, in HTML."""
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    link = f'<a href="/files/{file.name.replace("+", "%2B")}#sha256={sha256}">{file.name}</a>'
    pages = {
        "/simple/": ("text/html", b'<!DOCTYPE html><a href="/simple/cudademo/">cudademo</a>'),
        "/simple/cudademo/": ("text/html", f"<!DOCTYPE html>{link}".encode()),
        f"/files/{file.name.replace('+', '%2B')}": ("application/octet-stream", file.read_bytes()),
    }
    expected = "Basic " + base64.b64encode(f"{USER}:{SECRET}".encode()).decode()
    answers: list[tuple[str, int]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, body = pages.get(self.path.replace("+", "%2B"), ("", b""))
            status = HTTPStatus.OK if kind else HTTPStatus.NOT_FOUND
            if guarded and self.headers.get("Authorization") != expected:
                status, body = HTTPStatus.UNAUTHORIZED, b""
            answers.append((self.path, status))
            self.send_response(status)
            if status == HTTPStatus.UNAUTHORIZED:
                self.send_header("WWW-Authenticate", 'Basic realm="index"')
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class' own word
            """Nobody reads it."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield Index(server.server_address[1], answers)
        finally:
            server.shutdown()
            thread.join(timeout=10)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheel(tmp_path_factory.mktemp("wheels"))


DIRECT = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
"""A proxy of this machine knows nothing of the test's server."""


# --- a second index, for what is pinned to it -----------------------------------------------------------------------


@dataclass(frozen=True)
class Pinned:
    """A project with a second index, after its setup under one hybrid."""

    root: Path
    index: str
    packages: dict[str, str]
    exported: str


@pytest.fixture(scope="module", params=HYBRIDS)
def pinned(
    request: pytest.FixtureRequest, lab: Lab, package: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pinned]:
    root = tmp_path_factory.mktemp("second-index")
    template = (PROJECTS / "second_index" / "pyproject.toml.template").read_text(encoding="utf-8")
    with serving(package) as index:
        (root / "pyproject.toml").write_text(template.replace("{index}", index.url), encoding="utf-8")
        done = lab("setup", "--hybrid", request.param, "--json", cwd=root, environ=DIRECT)
        if not (root / "requirements.txt").exists():
            lab("export", cwd=root, environ=DIRECT)
        exported = _text(root / "requirements.txt")
        if not (root / "uv.lock").exists():
            lab("export", "--hybrid", "venv+uv", cwd=root, environ=DIRECT)
        yield Pinned(root, index.url, json.loads(done.stdout)["packages"], exported)


def test_what_is_pinned_to_a_second_index_is_installed_from_there(pinned: Pinned, lab: Lab) -> None:
    assert pinned.packages["cudademo"] == VERSION
    assert pinned.packages["cowsay"].startswith("6.")
    code = "import cowsay, cudademo; print(cudademo.accelerator)"
    assert lab("run", "--", "python", "-c", code, cwd=pinned.root).stdout == "cu121\n"


def test_every_lock_and_the_export_name_the_second_index(pinned: Pinned) -> None:
    assert f'\n[package.source]\ntype = "legacy"\nurl = "{pinned.index}"\n' in _text(pinned.root / "poetry.lock")
    assert f'version = "{VERSION}"\nsource = {{ registry = "{pinned.index}" }}\n' in _text(pinned.root / "uv.lock")
    assert pinned.exported.splitlines().count(f"--extra-index-url {pinned.index}") == 1
    assert f"\ncudademo=={VERSION} " in pinned.exported
    assert locks.differences(find(pinned.root)) == []


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


# --- an index of the team's own in the default one's place -----------------------------------------------------------


@dataclass(frozen=True)
class Handed:
    """A project whose only dependency is on a guarded index, all that was printed on the way, and what was asked."""

    root: Path
    outcome: dict[str, Any]
    printed: str
    answers: list[tuple[str, int]]


@pytest.fixture(scope="module")
def tools(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Every tool is on this machine before its index is changed."""
    root = tmp_path_factory.mktemp("tools") / "project"
    shutil.copytree(PROJECTS / "grouped", root)
    lab("setup", "--hybrid", "pip+poetry", cwd=root)


@pytest.fixture(scope="module", params=HYBRIDS)
def handed(
    request: pytest.FixtureRequest,
    lab: Lab,
    package: Path,
    tools: None,  # noqa: ARG001 - for what it leaves behind
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Handed]:
    root = tmp_path_factory.mktemp("default-index") / "project"
    shutil.copytree(PROJECTS / "default_index", root)
    with serving(package, guarded=True) as index:
        environ = {**DIRECT, "PIP_INDEX_URL": index.with_credentials}
        words = ("setup", "--hybrid", request.param, "--verbose")
        done = lab(*words, "--json", cwd=root, environ=environ)
        runs = [done]
        # A failure shows the last lines of a tool.
        runs.append(lab("add", "no-such-package", "--verbose", cwd=root, environ=environ, check=1))
        runs.append(lab("lock", "--verbose", cwd=root, environ=environ))
        runs.append(lab("export", "--verbose", cwd=root, environ=environ))
        runs.append(lab("info", cwd=root, environ=environ))
        printed = "".join(run.stdout + run.stderr for run in runs)
        yield Handed(root, json.loads(done.stdout), printed, index.answers)


def test_pips_index_is_the_default_index_of_every_tool(handed: Handed) -> None:
    assert handed.outcome["packages"]["cudademo"] == VERSION
    assert ("/files/cudademo-1.0%2Bcu121-py3-none-any.whl", HTTPStatus.OK) in {
        (path.replace("+", "%2B"), status) for path, status in handed.answers
    }


def test_credentials_stay_in_the_variable_that_holds_them(handed: Handed) -> None:
    assert "no-such-package" in handed.printed
    assert [word for word in (USER, SECRET) if word in handed.printed] == []
    holding = [
        str(path.relative_to(handed.root))
        for path in handed.root.rglob("*")
        if path.is_file() and (USER.encode() in (content := path.read_bytes()) or SECRET.encode() in content)
    ]
    assert holding == []


def test_credentials_stay_out_of_our_own_cache(handed: Handed, workshop: dict[str, str]) -> None:
    assert handed.root.exists()
    cache = Path(workshop["MLOPS_LAB_CACHE_DIR"])
    kept = [path for path in cache.rglob("*") if path.is_file() and path.suffix in {".json", ".lock", ".toml"}]
    assert kept
    assert [path for path in kept if SECRET.encode() in path.read_bytes()] == []
