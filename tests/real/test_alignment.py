"""uv.lock follows poetry.lock and the other way round: markers, extras, groups, second indexes, and what cannot be."""

from __future__ import annotations

import base64
import hashlib
import http.server
import shutil
import subprocess
import threading
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlops_lab import locks
from mlops_lab.project import LOCKS, find

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Lab = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.real

PROJECTS = Path(__file__).parent.parent / "projects"
DIRECT = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
"""A proxy of this machine knows nothing of the test's server."""


def versions(root: Path, manager: str) -> dict[str, set[str]]:
    """Every version in a lock, by name."""
    found: dict[str, set[str]] = {}
    for package in locks.packages(find(root), manager):
        found.setdefault(package.name, set()).add(package.version)
    return found


def led_by(root: Path, leader: str) -> None:
    path = root / "pyproject.toml"
    text = path.read_text(encoding="utf-8").partition("\n[tool.mlops-lab]")[0]
    path.write_text(f'{text}\n[tool.mlops-lab]\nleader = "{leader}"\n', encoding="utf-8")


def assert_aligned(lab: Lab, root: Path) -> None:
    """The locks agree, and each manager calls its own up to date."""
    assert locks.differences(find(root)) == []
    for hybrid in ("venv+poetry", "venv+uv"):
        lab("check", "--hybrid", hybrid, cwd=root, environ=DIRECT)


def follow(lab: Lab, root: Path, manager: str, check: int = 0) -> subprocess.CompletedProcess[str]:
    """Let a manager's lock follow: an export is the smallest command that needs it."""
    return lab("export", "--hybrid", f"venv+{manager}", cwd=root, environ=DIRECT, check=check)


# --- markers, extras and groups ------------------------------------------------------------------------------------

OLD = {
    "extras": {
        "colorama": {"0.4.5"},
        "cowsay": {"6.0"},
        "iniconfig": {"2.0.0"},
        "jinja2": {"3.1.2"},
        "markupsafe": {"2.1.1"},
        "pyjokes": {"0.7.2", "0.8.2"},
        "six": {"1.16.0"},
    },
    "markers": {
        "cowsay": {"6.0"},
        "iniconfig": {"2.0.0", "2.1.0"},
        "pyjokes": {"0.7.2", "0.8.2"},
        "six": {"1.16.0"},
        "toml": {"0.10.1"},
        "zipp": {"3.20.0"},
    },
}
"""What is locked, none of it the newest; the Windows of `markers` is Poetry's alone."""


@pytest.mark.parametrize("name", ["extras", "markers"])
def test_each_lock_follows_the_other_one_and_keeps_its_versions(name: str, lab: Lab, tmp_path: Path) -> None:
    root = tmp_path / name
    shutil.copytree(PROJECTS / name, root)
    committed = (root / "poetry.lock").read_bytes()
    follow(lab, root, "uv")
    assert_aligned(lab, root)
    assert versions(root, "uv") == OLD[name]
    assert (root / "poetry.lock").read_bytes() == committed

    followed = (root / "uv.lock").read_bytes()
    (root / "poetry.lock").unlink()
    led_by(root, "uv")
    follow(lab, root, "poetry")
    assert_aligned(lab, root)
    assert {name: found for name, found in versions(root, "poetry").items() if name in OLD[root.name]} == OLD[name]
    assert (root / "uv.lock").read_bytes() == followed


# --- second indexes, of which only one manager is told -------------------------------------------------------------


@dataclass
class Index:
    """Indexes on this machine: folder → the files of the one package that each of them has."""

    files: dict[str, list[Path]] = field(default_factory=dict)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answer(self, path: str) -> tuple[str, bytes] | None:
        """The page or file that a path means."""
        folder, _, rest = path.strip("/").replace("%2B", "+").partition("/")
        files = {file.name: file for file in self.files.get(folder, [])}
        if rest in files:
            return "application/octet-stream", files[rest].read_bytes()
        if rest != "gpudemo":
            return None
        links = [
            f'<a href="/{folder}/{name.replace("+", "%2B")}#sha256={hashlib.sha256(file.read_bytes()).hexdigest()}">'
            f"{name}</a><br>"
            for name, file in files.items()
        ]
        return "text/html", f"<!DOCTYPE html>{''.join(links)}".encode()


@contextmanager
def serving() -> Iterator[Index]:
    """Serve indexes as https://packaging.python.org/specifications/simple-repository-api/ has them, in HTML."""
    index = Index()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, body = index.answer(self.path) or ("", b"")
            self.send_response(HTTPStatus.OK if kind else HTTPStatus.NOT_FOUND)
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
        index.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield index
        finally:
            server.shutdown()
            thread.join(timeout=10)


def wheel(folder: Path, version: str, python: str = ">=3.8", needs: str = "six") -> Path:
    """A pure-Python package whose version may name an accelerator, as PyTorch's do."""
    info = f"gpudemo-{version}.dist-info"
    files = {
        "gpudemo.py": f"version = '{version}'\n",
        f"{info}/METADATA": (
            f"Metadata-Version: 2.1\nName: gpudemo\nVersion: {version}\nRequires-Python: {python}\n"
            + (f"Requires-Dist: {needs}\n" if needs else "")
        ),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = [f"{name},sha256={_digest(text)},{len(text)}\n" for name, text in files.items()]
    path = folder / f"gpudemo-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**files, f"{info}/RECORD": "".join([*lines, f"{info}/RECORD,,\n"])}.items():
            # The same bytes wherever it is built: Poetry's cache tells packages apart by name and version.
            archive.writestr(zipfile.ZipInfo(name), text)
    return path


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def made(name: str, root: Path, index: Index) -> Path:
    root.mkdir()
    template = (PROJECTS / name / "pyproject.toml.template").read_text(encoding="utf-8")
    (root / "pyproject.toml").write_text(template.replace("{index}", index.url), encoding="utf-8")
    return root


UV_ALONE = [
    "pyproject.toml: Poetry is told of the index cpu, which uv has (gpudemo comes from there)",
    "pyproject.toml: Poetry is told of the index gpu, which uv has (gpudemo comes from there)",
]
POETRY_ALONE = ["pyproject.toml: uv is told of the index accelerated, which Poetry has (gpudemo comes from there)"]


@pytest.mark.parametrize(
    ("name", "leader", "follower", "told", "expected"),
    [
        ("torch_poetry", "poetry", "uv", POETRY_ALONE, {"1.0+cu121"}),
        ("torch_uv", "uv", "poetry", UV_ALONE, {"1.0+cpu", "1.0+cu121"}),
        ("torch_extras", "uv", "poetry", UV_ALONE, {"1.0+cpu", "1.0+cu121"}),
    ],
)
def test_what_one_manager_alone_is_told_of_an_index_reaches_both_locks(
    name: str, leader: str, follower: str, told: list[str], expected: set[str], lab: Lab, tmp_path: Path
) -> None:
    with serving() as index:
        index.files = {"cpu": [wheel(tmp_path, "1.0+cpu")], "gpu": [wheel(tmp_path, "1.0+cu121")]}
        root = made(name, tmp_path / name, index)
        led_by(root, leader)
        lab("lock", "--hybrid", f"venv+{leader}", cwd=root, environ=DIRECT)
        for folder, version in (("cpu", "1.1+cpu"), ("gpu", "1.1+cu121")):
            index.files[folder].append(wheel(tmp_path, version))
        said = follow(lab, root, follower).stderr.splitlines()
        assert [sentence for sentence in told if f"   {sentence}" not in said] == []
        assert_aligned(lab, root)
        assert versions(root, follower)["gpudemo"] == expected

        (root / LOCKS[leader]).unlink()
        lab("lock", "--leader", follower, "--hybrid", f"venv+{follower}", cwd=root, environ=DIRECT)
        assert not any("is told of the index" in line for line in follow(lab, root, leader).stderr.splitlines())
        assert_aligned(lab, root)
        assert versions(root, leader)["gpudemo"] == expected


# --- folders and repositories --------------------------------------------------------------------------------------

SOURCES = """\
[project]
name = "sources"
version = "0.1.0"
requires-python = ">=3.11,<3.14"
dependencies = ["here", "there"]

[tool.poetry]
package-mode = false

[tool.poetry.dependencies]
here = {{ path = "here" }}
there = {{ git = "{there}", branch = "main" }}

[tool.uv.sources]
here = {{ path = "here" }}
there = {{ git = "{there}", branch = "main" }}
"""
LIBRARY = """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "{name}"
version = "1.0"
dependencies = ["{needs}"]
"""


def library(folder: Path, needs: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "pyproject.toml").write_text(LIBRARY.format(name=folder.name, needs=needs), encoding="utf-8")
    (folder / f"{folder.name}.py").touch()


def committed(folder: Path, environ: dict[str, str]) -> str:
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "a change"]):
        subprocess.run(["git", *words], cwd=folder, env=environ, check=True, capture_output=True)
    asked = ["git", "rev-parse", "HEAD"]
    return subprocess.run(asked, cwd=folder, env=environ, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize(("leader", "follower"), [("poetry", "uv"), ("uv", "poetry")])
def test_a_folder_stays_a_folder_and_a_commit_the_same_commit(
    leader: str, follower: str, lab: Lab, workshop: dict[str, str], tmp_path: Path
) -> None:
    root, there = tmp_path / "sources", tmp_path / "there"
    root.mkdir()
    library(root / "here", "six>=1.16")
    library(there, "iniconfig>=2")
    (root / "pyproject.toml").write_text(SOURCES.format(there=there.as_uri()), encoding="utf-8")
    led_by(root, leader)
    commit = committed(there, workshop)
    lab("lock", "--hybrid", f"venv+{leader}", cwd=root)
    # The branch goes on, to a version that needs something else.
    library(there, "cowsay>=6")
    assert committed(there, workshop) != commit
    follow(lab, root, follower)
    assert_aligned(lab, root)
    found = {package.name: (package.kind, package.commit) for package in locks.packages(find(root), follower)}
    assert found.keys() == {"here", "there", "six", "iniconfig"}
    assert (found["here"], found["there"]) == (("path", ""), ("git", commit))
    text = (root / LOCKS[follower]).read_text(encoding="utf-8")
    assert "iniconfig" in text
    assert "cowsay" not in text


# --- what the other manager cannot take ----------------------------------------------------------------------------

APART = """\
[project]
name = "apart"
version = "0.1.0"
requires-python = ">=3.11,<3.14"
dependencies = ["gpudemo>=1.0"]

[tool.poetry]
package-mode = false

[tool.poetry.dependencies]
gpudemo = {{ source = "accelerated" }}

[[tool.poetry.source]]
name = "accelerated"
url = "{poetry}"
priority = "explicit"

[tool.uv.sources]
gpudemo = {{ index = "accelerated" }}

[[tool.uv.index]]
name = "accelerated"
url = "{uv}"
explicit = true
"""
"""Two managers that are told of different indexes of one name."""


def apart(root: Path, leader: str, poetry: str, uv: str) -> Path:
    root.mkdir()
    (root / "pyproject.toml").write_text(APART.format(poetry=poetry, uv=uv), encoding="utf-8")
    led_by(root, leader)
    return root


@pytest.mark.parametrize(
    ("leader", "follower", "message", "reason"),
    [
        (
            "poetry",
            "uv",
            "uv.lock cannot take gpudemo 1.0+mine of poetry.lock: ",
            "there is no version of gpudemo==1.0+mine",
        ),
        (
            "uv",
            "poetry",
            "poetry.lock cannot take 1 of uv.lock's versions: gpudemo 1.0+mine (it takes 1.0+yours) for Python ",
            "; Poetry says: Because apart depends on gpudemo (1.0+mine) which doesn't match any versions",
        ),
    ],
)
def test_a_version_that_only_one_manager_finds_is_named_with_the_others_reason(
    leader: str, follower: str, message: str, reason: str, lab: Lab, tmp_path: Path
) -> None:
    with serving() as index:
        index.files = {leader: [wheel(tmp_path, "1.0+mine")], follower: [wheel(tmp_path, "1.0+yours")]}
        root = apart(tmp_path / "apart", leader, f"{index.url}/poetry", f"{index.url}/uv")
        lab("lock", "--hybrid", f"venv+{leader}", cwd=root, environ=DIRECT)
        failed = follow(lab, root, follower, check=1)
    (error,) = [line for line in failed.stderr.splitlines() if line.startswith("error: ")]
    assert error.startswith(f"error: {message}")
    assert reason in error
    assert "lock anew with `mlops-lab lock`" in failed.stderr
    assert not (root / LOCKS[follower]).exists()


def test_versions_that_poetry_cannot_tell_apart_are_named_with_the_way_out(lab: Lab, tmp_path: Path) -> None:
    with serving() as index:
        index.files = {"both": [wheel(tmp_path, "1.0"), wheel(tmp_path, "2.0", ">=3.12")]}
        root = apart(tmp_path / "apart", "uv", f"{index.url}/both", f"{index.url}/both")
        lab("lock", "--hybrid", "venv+uv", cwd=root, environ=DIRECT)
        failed = follow(lab, root, "poetry", check=1)
    assert (
        "error: poetry.lock cannot take 1 of uv.lock's versions: gpudemo 2.0 (it takes 1.0) for Python 3.12 on linux "
        "and 5 more places; Poetry takes one version for one requirement: declare one for each, with its marker: "
    ) in failed.stderr


def test_a_version_that_has_left_the_index_is_named(lab: Lab, tmp_path: Path) -> None:
    with serving() as index:
        # One that no other test has: Poetry remembers what it has seen.
        index.files = {"both": [wheel(tmp_path, "3.0")]}
        root = apart(tmp_path / "apart", "uv", f"{index.url}/both", f"{index.url}/both")
        lab("lock", "--hybrid", "venv+uv", cwd=root, environ=DIRECT)
        index.files = {"both": [wheel(tmp_path, "4.0")]}
        failed = follow(lab, root, "poetry", check=1)
    assert "error: poetry.lock cannot take gpudemo 3.0 of uv.lock: " in failed.stderr
    assert "\n  log: " in failed.stderr
    assert not (root / "poetry.lock").exists()
