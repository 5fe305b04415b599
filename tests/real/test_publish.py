"""A package is built and published for real, to an index server of this machine that wants a user and a password."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import threading
import wsgiref.simple_server
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

pypiserver = pytest.importorskip("pypiserver", reason="the dependency group `server` is not installed")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    Lab = Callable[..., subprocess.CompletedProcess[str]]
    Case = Callable[..., Path]

pytestmark = pytest.mark.real

USER, SECRET, WRONG = "build-agent", "pa55-w0rd-of-the-index", "an0ther-w0rd"
DIRECT = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
"""A proxy of this machine knows nothing of the test's server."""
# Poetry reads no digits back from the names of variables.
NAME = "team-2"
FILES = ["small-1.2.3-py3-none-any.whl", "small-1.2.3.tar.gz"]


def poetrys(password: str = SECRET) -> dict[str, str]:
    return {"POETRY_HTTP_BASIC_TEAM_2_USERNAME": USER, "POETRY_HTTP_BASIC_TEAM_2_PASSWORD": password}


def uvs(password: str = SECRET) -> dict[str, str]:
    return {"UV_PUBLISH_USERNAME": USER, "UV_PUBLISH_PASSWORD": password}


# Each manager is given its password in the other one's variables.
HYBRIDS = {"venv+poetry": uvs, "venv+uv": poetrys}


# --- the server ------------------------------------------------------------------------------------------------------


class Quiet(wsgiref.simple_server.WSGIRequestHandler):
    """Nobody reads its log."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class' own word
        """Say nothing."""


@dataclass(frozen=True)
class Server:
    """A running pypiserver: its port, and the folder of what was uploaded."""

    port: int
    folder: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


@contextmanager
def serving(folder: Path, *guarded: str) -> Iterator[Server]:
    """Run pypiserver, which asks for a password for what is guarded: `update`, `list` and `download`."""
    folder.mkdir()
    app: Any = pypiserver.app(
        roots=[folder],
        authenticate=list(guarded),
        auther=lambda user, password: (user, password) == (USER, SECRET),  # codespell:ignore auther
        disable_fallback=True,
    )
    with wsgiref.simple_server.make_server("127.0.0.1", 0, app, handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield Server(server.server_port, folder)
        finally:
            server.shutdown()
            thread.join(timeout=10)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path / "packages", "update", "list", "download") as running:
        yield running


@pytest.fixture
def project(case: Case, workshop: dict[str, str], server: Server) -> Path:
    """A package, committed, with the server as one of its repositories."""
    root = case("small")
    declared = f'{{ publish = "{server.url}/", index = "{server.url}/simple/" }}'
    with (root / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(f"\n[tool.mlops-lab.repositories]\n{NAME} = {declared}\n")
    git(root, workshop, "commit", "-q", "-a", "-m", "where to publish to")
    return root


def git(root: Path, environ: Mapping[str, str], *words: str) -> None:
    subprocess.run(["git", *words], cwd=root, env=dict(environ), check=True, capture_output=True)


def holding(root: Path, *secrets: str) -> list[str]:
    """The files of a project that hold one of these words."""
    return [
        str(path.relative_to(root))
        for path in root.rglob("*")
        if path.is_file() and any(secret.encode() in path.read_bytes() for secret in secrets)
    ]


# --- publishing ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hybrid", HYBRIDS)
def test_what_is_published_can_be_installed_and_is_not_published_again(
    project: Path, server: Server, lab: Lab, hybrid: str, tmp_path: Path
) -> None:
    environ = {**DIRECT, **HYBRIDS[hybrid]()}
    words = ("publish", "--repository", NAME, "--hybrid", hybrid, "--verbose")
    first = lab(*words, cwd=project, environ=environ)
    assert first.stdout.splitlines() == [f"published: dist/{name} to {NAME} ({server.url}/)" for name in FILES]
    assert server.files == sorted(FILES)
    assert sorted(path.name for path in (project / "dist").iterdir()) == sorted([".gitignore", *FILES])

    index = f"http://{USER}:{SECRET}@127.0.0.1:{server.port}/simple/"
    target = tmp_path / "installed"
    install = [sys.executable, "-m", "pip", "--isolated", "install", "--no-deps", f"--index-url={index}"]
    subprocess.run([*install, f"--target={target}", "small"], check=True, capture_output=True)
    assert (target / "small" / "__init__.py").read_bytes() == (project / "src/small/__init__.py").read_bytes()

    uploaded = {name: (server.folder / name).read_bytes() for name in FILES}
    again = lab(*words, "--json", cwd=project, environ=environ, check=1)
    assert json.loads(again.stdout)["error"] == f"small 1.2.3 is in {NAME} already ({', '.join(FILES)})"
    assert json.loads(again.stdout)["hint"] == "raise the version in pyproject.toml: what is published is never changed"
    assert {name: (server.folder / name).read_bytes() for name in server.files} == uploaded

    printed = first.stdout + first.stderr + again.stdout + again.stderr
    assert (SECRET in printed, holding(project, SECRET)) == (False, [])


@pytest.mark.parametrize("hybrid", HYBRIDS)
def test_a_wrong_password_ends_with_what_to_correct_and_is_shown_nowhere(
    project: Path, server: Server, lab: Lab, hybrid: str
) -> None:
    given = HYBRIDS[hybrid](WRONG)
    words = ("publish", "--repository", NAME, "--hybrid", hybrid, "--verbose")
    done = lab(*words, cwd=project, environ={**DIRECT, **given}, check=1)
    (variable,) = [name for name, value in given.items() if value == WRONG]
    assert done.stderr.endswith(
        f"  try: {NAME} refuses the credentials of {variable}, or refuses them for this package\n"
    )
    assert "the upload has to tell: its index does not let us look\n" in done.stderr
    assert (done.stdout, server.files) == ("", [])
    assert (WRONG in done.stderr, holding(project, WRONG)) == (False, [])


@pytest.mark.parametrize("hybrid", HYBRIDS)
def test_without_a_password_the_variables_that_may_hold_it_are_named(
    project: Path, server: Server, lab: Lab, hybrid: str
) -> None:
    done = lab("publish", "--repository", NAME, "--hybrid", hybrid, cwd=project, environ=DIRECT, check=1)
    assert f"  try: {NAME} wants credentials: set POETRY_PYPI_TOKEN_TEAM_2, or " in done.stderr
    assert server.files == []


@pytest.mark.parametrize("hybrid", HYBRIDS)
def test_a_rehearsal_uploads_nothing(project: Path, server: Server, lab: Lab, hybrid: str) -> None:
    environ = {**DIRECT, **HYBRIDS[hybrid]()}
    words = ("publish", "--repository", NAME, "--dry-run", "--hybrid", hybrid)
    done = lab(*words, cwd=project, environ=environ)
    assert done.stdout.splitlines() == [f"would publish: dist/{name} to {NAME} ({server.url}/)" for name in FILES]
    assert server.files == []
    assert json.loads(lab(*words, "--json", cwd=project, environ=environ).stdout) == {
        "name": "small",
        "version": "1.2.3",
        "files": [f"dist/{name}" for name in FILES],
        "repository": NAME,
        "upload": f"{server.url}/",
        "uploaded": False,
        "ok": True,
    }


def test_an_index_of_uvs_is_a_repository_under_every_hybrid(
    case: Case, workshop: dict[str, str], server: Server, lab: Lab
) -> None:
    root = case("small")
    with (root / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(f'\n[[tool.uv.index]]\nname = "{NAME}"\nurl = "{server.url}/simple/"\n')
        file.write(f'publish-url = "{server.url}/"\nexplicit = true\n')
    git(root, workshop, "commit", "-q", "-a", "-m", "where to publish to")
    words = ("publish", "--repository", NAME, "--hybrid")
    lab(*words, "venv+poetry", cwd=root, environ={**DIRECT, **poetrys()})
    again = lab(*words, "venv+uv", cwd=root, environ={**DIRECT, **poetrys()}, check=1)
    assert again.stderr.startswith("error: small 1.2.3 is in", again.stderr.index("error:"))
    assert server.files == sorted(FILES)


# --- what is refused -------------------------------------------------------------------------------------------------


def test_what_git_does_not_know_is_not_published(project: Path, server: Server, lab: Lab) -> None:
    (project / "src" / "small" / "__init__.py").write_text("changed = True\n", encoding="utf-8")
    (project / "new é.py").touch()
    done = lab("publish", "--repository", NAME, cwd=project, environ={**DIRECT, **uvs()}, check=2)
    assert done.stderr == (
        "error: git does not have all that would be published: src/small/__init__.py, new é.py: "
        "commit these files, or let git ignore what belongs to nobody else\n"
    )
    assert (server.files, (project / "dist").exists()) == ([], False)


def test_an_unknown_repository_is_refused_with_those_that_there_are(project: Path, server: Server, lab: Lab) -> None:
    environ = {**DIRECT, "POETRY_REPOSITORIES_SHED_URL": server.url}
    done = lab("publish", "--repository", "team-3", cwd=project, environ=environ, check=2)
    assert done.stderr == (
        "error: there is no repository 'team-3' to publish to: did you mean team-2? (one of: shed, team-2, pypi)\n"
    )
    assert not (project / "dist").exists()


# --- building --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hybrid", HYBRIDS)
def test_a_build_leaves_what_older_builds_made(case: Case, lab: Lab, workshop: dict[str, str], hybrid: str) -> None:
    root = case("small")
    (root / "dist").mkdir()
    for name in ("small-9.9.9-py3-none-any.whl", "small-9.9.9.tar.gz"):
        (root / "dist" / name).write_text("of another day", encoding="utf-8")
    done = lab("build", "--hybrid", hybrid, cwd=root)
    assert done.stdout.splitlines() == [f"built: dist/{name}" for name in FILES]
    assert (root / "dist" / "small-9.9.9.tar.gz").read_text(encoding="utf-8") == "of another day"
    with tarfile.open(root / "dist" / FILES[1]) as archive:
        assert "small-1.2.3/src/small/__init__.py" in archive.getnames()
    assert [path.name for path in (root / ".mlops-lab").glob("dist-*")] == []
    # A build is a question of files: no environment is needed, nor made.
    assert not (root / ".venv").exists()
    git(root, workshop, "diff", "--exit-code")
