"""Building and publishing, with nobody behind it: what is chosen, handed on, refused and said."""

from __future__ import annotations

import base64
import io
import json
import ssl
import sys
import tarfile
import urllib.error
import urllib.request
import zipfile
from dataclasses import dataclass, field
from email.message import Message
from typing import TYPE_CHECKING, Any

import pytest

from mlops_lab import cli, indexes, project, publish, repositories, simple_index
from mlops_lab.environment import Environment
from mlops_lab.errors import FOUND, WRONG, LabError
from mlops_lab.guide import EXTRAS, hybrid_named, row_named, words
from mlops_lab.interpreters import Interpreter
from mlops_lab.publish import Built, Published
from mlops_lab.report import outcome
from mlops_lab.repositories import Credentials, Repository, chosen, handed
from mlops_lab.runner import CommandFailed, Runner
from mlops_lab.steps import Steps
from mlops_lab.toolbox import Tool, Toolbox

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from mlops_lab.guide import Row

UPLOAD, INDEX = "https://index.example/legacy/", "https://index.example/simple"
PACKAGE = """
[build-system]
requires = []
build-backend = "backend"
[project]
name = "P_q"
version = "1.0"
"""
TEAM = f"[tool.mlops-lab.repositories]\nteam = {{ publish = '{UPLOAD}', index = '{INDEX}' }}\n"
SECRET = "pa55-w0rd"  # noqa: S105 - it opens nothing
WHEEL, SDIST = "p_q-1.0-py3-none-any.whl", "p_q-1.0.tar.gz"
NOTHING = indexes.PipConfig(None, (), (), None, None, (), no_index=False)


def made(folder: Path, text: str = "") -> project.Project:
    (folder / "pyproject.toml").write_text(PACKAGE + text, encoding="utf-8")
    return project.find(folder)


def refusal(action: Callable[[], object], code: int = WRONG) -> str:
    with pytest.raises(LabError) as caught:
        action()
    assert caught.value.code == code
    return str(caught.value)


# --- which repository ------------------------------------------------------------------------------------------------


def source(name: str, url: str) -> str:
    return f"[[tool.poetry.source]]\nname = '{name}'\nurl = '{url}'\n"


def uv_index(name: str, upload: str, url: str = INDEX) -> str:
    return f"[[tool.uv.index]]\nname = '{name}'\nurl = '{url}'\npublish-url = '{upload}'\n"


@pytest.mark.parametrize(
    ("text", "environ", "name", "expected"),
    [
        ("", {}, "pypi", Repository("pypi")),
        ("", {}, "PyPI", Repository("pypi")),
        (TEAM, {}, "team", Repository("team", UPLOAD, INDEX)),
        (TEAM, {}, "Team", Repository("team", UPLOAD, INDEX)),
        (uv_index("shed", UPLOAD), {}, "shed", Repository("shed", UPLOAD, INDEX)),
        ("", {"POETRY_REPOSITORIES_MY_SHED_URL": UPLOAD}, "my-shed", Repository("my-shed", UPLOAD)),
        (
            *(source("my_shed", INDEX), {"POETRY_REPOSITORIES_MY_SHED_URL": UPLOAD}, "My.Shed"),
            Repository("my-shed", UPLOAD, INDEX),
        ),
        # The order: our own table, uv's, Poetry's, what every tool knows.
        (
            TEAM + uv_index("team", "https://uv.example/"),
            {"POETRY_REPOSITORIES_TEAM_URL": "https://poetry.example/"},
            "team",
            Repository("team", UPLOAD, INDEX),
        ),
        (
            uv_index("team", UPLOAD),
            {"POETRY_REPOSITORIES_TEAM_URL": "https://poetry.example/"},
            "team",
            Repository("team", UPLOAD, INDEX),
        ),
        (uv_index("pypi", UPLOAD), {}, "pypi", Repository("pypi", UPLOAD, INDEX)),
    ],
)
def test_a_repository_is_looked_up(
    tmp_path: Path, text: str, environ: dict[str, str], name: str, expected: Repository
) -> None:
    assert chosen(made(tmp_path, text), name, {"POETRY_CONFIG_DIR": str(tmp_path), **environ}) == expected


def test_poetrys_own_configuration_has_repositories_too(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(f"[repositories]\nx = 1\n[repositories.Shed_2]\nurl = '{UPLOAD}'\n")
    environ = {"POETRY_CONFIG_DIR": str(tmp_path)}
    assert chosen(made(tmp_path), "shed-2", environ) == Repository("Shed_2", UPLOAD)


@pytest.mark.parametrize("name", ["tean", "../x", "", "a b", "; rm -rf ~"])
def test_an_unknown_repository_is_refused_with_the_valid_ones(tmp_path: Path, name: str) -> None:
    environ = {"POETRY_CONFIG_DIR": str(tmp_path), "POETRY_REPOSITORIES_SHED_URL": UPLOAD}
    message = refusal(lambda: chosen(made(tmp_path, TEAM), name, environ))
    assert message.startswith(f"there is no repository {name!r} to publish to: ")
    assert "one of: shed, team, pypi" in message


@pytest.mark.parametrize(
    "text",
    [
        f"[tool.mlops-lab.repositories]\nteam = {{ publish = 'https://me:{SECRET}@index.example/' }}",
        TEAM.replace("simple", "x").replace("index = 'https://", f"index = 'https://me:{SECRET}@"),
        uv_index("team", f"https://me:{SECRET}@index.example/"),
        uv_index("team", UPLOAD, f"https://me:{SECRET}@index.example/"),
    ],
)
def test_a_password_in_the_manifest_is_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    assert refusal(lambda: chosen(made(tmp_path, text), "team", {})) == (
        "pyproject.toml: the address of the repository 'team' holds a password: "
        "take it out, and set POETRY_HTTP_BASIC_TEAM_PASSWORD instead"
    )


def test_a_user_in_an_address_is_the_user(tmp_path: Path) -> None:
    text = "[tool.mlops-lab.repositories]\nteam = { publish = 'https://me@index.example:8080/x' }"
    found = chosen(made(tmp_path, text), "team", {})
    assert found == Repository("team", "https://index.example:8080/x", "", Credentials("me"))


def test_a_variables_address_may_hold_a_password_which_goes_on_without_it(tmp_path: Path) -> None:
    environ = {"POETRY_REPOSITORIES_TEAM_URL": f"https://m%40e:{SECRET}%2F@index.example/x"}
    found = chosen(made(tmp_path), "team", environ)
    assert found == Repository("team", "https://index.example/x", "", Credentials("m@e", f"{SECRET}/", "its address"))
    assert SECRET not in repr(found)


@pytest.mark.parametrize(
    "address", ["ftp://index.example/", "index.example", "https://", "https://[x/", "https://x:y/"]
)
def test_what_is_no_address_is_refused(tmp_path: Path, address: str) -> None:
    environ = {"POETRY_REPOSITORIES_TEAM_URL": address}
    assert refusal(lambda: chosen(made(tmp_path), "team", environ)) == (
        "the repository 'team' has no address that can be used: write it as \"https://…\""
    )


def test_a_detour_of_uvs_is_refused(tmp_path: Path) -> None:
    text = f"[tool.uv]\npublish-url = '{UPLOAD}'\n"
    assert refusal(lambda: chosen(made(tmp_path, text), "pypi", {})) == (
        "uv's setting publish-url sends what is published to pypi elsewhere: "
        "declare that address under [tool.mlops-lab.repositories], and name it with --repository"
    )
    assert chosen(made(tmp_path, text + TEAM), "team", {}).upload == UPLOAD


# --- whose credentials -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, Credentials()),
        ({"POETRY_PYPI_TOKEN_TEAM": "t"}, Credentials("__token__", "t", "POETRY_PYPI_TOKEN_TEAM")),
        ({"UV_PUBLISH_TOKEN": "t"}, Credentials("__token__", "t", "UV_PUBLISH_TOKEN")),
        (
            {"POETRY_HTTP_BASIC_TEAM_USERNAME": "u", "POETRY_HTTP_BASIC_TEAM_PASSWORD": "p"},
            Credentials("u", "p", "POETRY_HTTP_BASIC_TEAM_PASSWORD"),
        ),
        (
            {"UV_PUBLISH_USERNAME": "u", "UV_PUBLISH_PASSWORD": "p"},
            Credentials("u", "p", "UV_PUBLISH_PASSWORD"),
        ),
        # What is for this repository before what is for any.
        (
            {"UV_PUBLISH_TOKEN": "t", "POETRY_HTTP_BASIC_TEAM_USERNAME": "u", "POETRY_HTTP_BASIC_TEAM_PASSWORD": "p"},
            Credentials("u", "p", "POETRY_HTTP_BASIC_TEAM_PASSWORD"),
        ),
        ({"POETRY_PYPI_TOKEN_OTHER": "t", "POETRY_PYPI_TOKEN_TEAM": ""}, Credentials()),
        ({"UV_PUBLISH_USERNAME": "u"}, Credentials("u", "", "UV_PUBLISH_USERNAME")),
    ],
)
def test_either_tools_variables_hold_the_credentials(
    tmp_path: Path, environ: dict[str, str], expected: Credentials
) -> None:
    assert chosen(made(tmp_path, TEAM), "team", environ).credentials == expected


def test_a_password_without_a_user_is_refused(tmp_path: Path) -> None:
    environ = {"UV_PUBLISH_PASSWORD": SECRET}
    assert refusal(lambda: chosen(made(tmp_path, TEAM), "team", environ)) == (
        "UV_PUBLISH_PASSWORD is set, and UV_PUBLISH_USERNAME is not: set both"
    )


KNOWN = Credentials("u", "p", "X")


@pytest.mark.parametrize(
    ("place", "name", "expected"),
    [
        (
            *(Repository("team", UPLOAD, INDEX, KNOWN), "team"),
            {
                "POETRY_REPOSITORIES_TEAM_URL": UPLOAD,
                "POETRY_HTTP_BASIC_TEAM_USERNAME": "u",
                "POETRY_HTTP_BASIC_TEAM_PASSWORD": "p",
                "POETRY_PYPI_TOKEN_TEAM": "",
                "UV_PUBLISH_USERNAME": "u",
                "UV_PUBLISH_PASSWORD": "p",
                "UV_PUBLISH_TOKEN": None,
                "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
            },
        ),
        (
            *(Repository("pypi", credentials=Credentials("__token__", "t")), "pypi"),
            {
                "POETRY_HTTP_BASIC_PYPI_USERNAME": "__token__",
                "POETRY_HTTP_BASIC_PYPI_PASSWORD": "t",
                "POETRY_PYPI_TOKEN_PYPI": "",
                "UV_PUBLISH_USERNAME": "__token__",
                "UV_PUBLISH_PASSWORD": "t",
                "UV_PUBLISH_TOKEN": None,
                "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
            },
        ),
        (
            *(Repository("team", UPLOAD, "", Credentials("u")), "team"),
            {
                "POETRY_REPOSITORIES_TEAM_URL": UPLOAD,
                "POETRY_HTTP_BASIC_TEAM_USERNAME": "u",
                "UV_PUBLISH_USERNAME": "u",
                "UV_PUBLISH_PASSWORD": None,
                "UV_PUBLISH_TOKEN": None,
                "PYTHON_KEYRING_BACKEND": None,
            },
        ),
        (
            *(Repository("team-2", UPLOAD), "team-2"),
            {"POETRY_REPOSITORIES_TEAM_2_URL": UPLOAD, "PYTHON_KEYRING_BACKEND": None},
        ),
    ],
)
def test_every_tool_is_told_in_its_own_variables(
    place: Repository, name: str, expected: dict[str, str | None], tmp_path: Path
) -> None:
    assert handed(place, {"PATH": str(tmp_path)}) == expected
    assert repositories.spoken_of(place) == name


@pytest.mark.parametrize(
    ("name", "spoken", "part"),
    [("team-2", "team-", "TEAM_"), ("My_Repo.X", "my-repo-x", "MY_REPO_X"), ("7", "-", "_")],
)
def test_poetry_is_given_a_name_that_it_reads_back(name: str, spoken: str, part: str) -> None:
    place = Repository(name, UPLOAD, "", KNOWN)
    assert repositories.spoken_of(place) == spoken
    given = handed(place, {})
    assert given[f"POETRY_REPOSITORIES_{part}_URL"] == UPLOAD
    assert given[f"POETRY_HTTP_BASIC_{part}_PASSWORD"] == "p"


def test_a_keyring_is_asked_where_there_is_one_and_as_the_user_says(tmp_path: Path) -> None:
    program = tmp_path / "keyring"
    program.touch(mode=0o755)
    environ = {"PATH": str(tmp_path)}
    assert handed(Repository("pypi"), environ)["UV_KEYRING_PROVIDER"] == "subprocess"
    assert "UV_KEYRING_PROVIDER" not in handed(Repository("pypi"), {**environ, "UV_KEYRING_PROVIDER": "disabled"})
    assert handed(Repository("pypi"), {"PYTHON_KEYRING_BACKEND": "mine"})["PYTHON_KEYRING_BACKEND"] == "mine"


# --- what an index has -----------------------------------------------------------------------------------------------

HTML = f'<!DOCTYPE html><a HREF="../../packages/{WHEEL}#sha256=0">x</a><a>no</a><a href="p_q-1.1%2Bc.tar.gz">y</a><b>'
JSON = json.dumps({"files": [{"filename": WHEEL}, {"filename": "p_q-1.1+c.tar.gz"}, {}, 1]})


@dataclass
class Web:
    """Answers of a server, by address; keeps what it was asked."""

    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def open(self, request: urllib.request.Request, timeout: float) -> io.BytesIO:
        assert timeout > 0
        shown = request.get_header("Authorization")
        assert (shown is None) == ("Authorization" not in request.unredirected_hdrs)
        self.asked.append((request.full_url, shown))
        answer = self.answers[request.full_url]
        answer = answer(shown) if callable(answer) else answer
        if isinstance(answer, Exception):
            raise answer
        return io.BytesIO(answer.encode())


def status(code: int, url: str) -> urllib.error.HTTPError:
    return urllib.error.HTTPError(url, code, "no", Message(), None)


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Web:
    made = Web()
    monkeypatch.setattr(simple_index, "_opener", lambda *_: made)
    return made


PAGE = f"{INDEX}/p-q/"


def look(login: tuple[str, str] | None = None, index: str = INDEX) -> tuple[str, ...] | None:
    return simple_index.files(index, "p-q", config=NOTHING, environ={}, login=login)


@pytest.mark.parametrize("page", [HTML, JSON])
@pytest.mark.parametrize("index", [INDEX, f"{INDEX}/"])
def test_an_index_speaks_json_or_html(web: Web, page: str, index: str) -> None:
    web.answers[PAGE] = page
    assert look(index=index) == (WHEEL, "p_q-1.1+c.tar.gz")
    assert web.asked == [(PAGE, None)]


@pytest.mark.parametrize("page", ["[]", "{}", "1", "", "<html>", "\x00"])
def test_a_page_without_files_has_none(web: Web, page: str) -> None:
    web.answers[PAGE] = page
    assert look() == ()


@pytest.mark.parametrize(("code", "expected"), [(404, ()), (410, ()), (401, None), (403, None)])
def test_no_page_is_no_files_and_a_closed_door_is_no_answer(web: Web, code: int, expected: object) -> None:
    web.answers[PAGE] = status(code, PAGE)
    assert look() == expected


def test_credentials_are_shown_when_they_are_wanted(web: Web) -> None:
    token = "Basic " + base64.b64encode(f"u:{SECRET}".encode()).decode()
    web.answers[PAGE] = lambda shown: JSON if shown == token else status(401, PAGE)
    assert look(("u", SECRET)) == (WHEEL, "p_q-1.1+c.tar.gz")
    assert web.asked == [(PAGE, None), (PAGE, token)]


def test_credentials_are_shown_to_no_other_host(web: Web) -> None:
    web.answers[PAGE] = status(401, "https://other.example/simple/p-q/")
    assert look(("u", SECRET)) is None
    assert web.asked == [(PAGE, None)]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (status(500, PAGE), f"the index {INDEX} does not answer: HTTP status 500: try again later, or ask who runs it"),
        (
            urllib.error.URLError(ConnectionRefusedError(111, "Connection refused")),
            (
                f"the index {INDEX} does not answer: [Errno 111] Connection refused: the package index cannot be "
                "reached: check the network, the proxy and pip's index-url (`pip config list`)"
            ),
        ),
        (
            ValueError("a bad line"),
            f"the index {INDEX} does not answer: a bad line: try again later, or ask who runs it",
        ),
    ],
)
def test_an_index_that_does_not_answer_ends_it(web: Web, answer: Exception, message: str) -> None:
    web.answers[PAGE] = answer
    assert refusal(look, FOUND) == message


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1.0.0", [WHEEL, SDIST]),
        ("1", [WHEEL, SDIST]),
        ("1.1+c", ["p_q-1.1+c.tar.gz"]),
        ("1.1", []),
        ("2", ["P-q-2.0.zip"]),
    ],
)
def test_a_version_is_found_however_it_is_written(version: str, expected: list[str]) -> None:
    names = [SDIST, WHEEL, "p_q-1.1+c.tar.gz", "p_q-1.0.exe", "p_q-x-1.whl", "P-q-2.0.zip", ""]
    assert simple_index.of_version(names, version) == expected


def test_pips_certificates_proxy_and_trusted_hosts_are_heeded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    contexts: list[tuple[Any, Any]] = []

    usual = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    def context(cafile: Any = None, capath: Any = None) -> ssl.SSLContext:
        contexts.append((cafile, capath))
        return usual

    monkeypatch.setattr("ssl.create_default_context", context)
    config = indexes.PipConfig(None, (), (), str(tmp_path / "x.pem"), None, ("h:8080", "t"), no_index=False)
    simple_index._context("index.example", config, {})
    simple_index._context("index.example", NOTHING, {"REQUESTS_CA_BUNDLE": str(tmp_path)})
    simple_index._context("index.example", NOTHING, {})
    assert contexts == [(tmp_path / "x.pem", None), (None, tmp_path), (None, None)]
    for netloc in ("h:8080", "t:1", "t"):
        assert simple_index._context(netloc, config, {}).check_hostname is False
    assert simple_index._context("h:1", config, {}) is usual


def test_pips_proxy_is_used_where_no_variable_names_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.getproxies", lambda: {"http": "http://env.example"})
    config = indexes.PipConfig(None, (), (), None, "http://pip.example", (), no_index=False)
    opener = simple_index._opener("index.example", config, {})
    (proxies,) = [each for each in vars(opener)["handlers"] if isinstance(each, urllib.request.ProxyHandler)]
    assert vars(proxies)["proxies"] == {"http": "http://env.example", "https": "http://pip.example"}


# --- building --------------------------------------------------------------------------------------------------------


def pack(folder: Path, *names: str, inside: str = "p_q/__init__.py") -> None:
    """Make files as a build would, each with one file in it."""
    for name in names:
        if name.endswith(".whl"):
            with zipfile.ZipFile(folder / name, "w") as archive:
                archive.writestr(inside, "")
        else:
            with tarfile.open(folder / name, "w:gz") as tar:
                tar.addfile(tarfile.TarInfo(f"p_q-1.0/{inside}"))


class Desk(Runner):
    """Builds what it is told to, answers for git, keeps what it was given."""

    def __init__(self) -> None:
        super().__init__(None, {})
        self.makes: tuple[str, ...] = (WHEEL, SDIST)
        self.inside = "p_q/__init__.py"
        self.status: str | CommandFailed = ""
        self.upload: CommandFailed | None = None
        self.ran: list[tuple[list[str], dict[str, str | None]]] = []

    def run(
        self, argv: Sequence[str], *, cwd: Path, changes: Mapping[str, str | None] | None = None, quiet: bool = False
    ) -> str:
        assert not quiet
        self.ran.append((list(argv), dict(changes or {})))
        if "build" in argv:
            pack(cwd / argv[-1].partition("=")[2], *self.makes, inside=self.inside)
        elif self.upload is not None:
            raise self.upload
        return ""

    def ask(self, argv: Sequence[str], cwd: Path, changes: Mapping[str, str | None] | None = None) -> str:
        assert (list(argv[:2]), cwd.name, changes) == (["git", "status"], "project", None)
        if isinstance(self.status, CommandFailed):
            raise self.status
        return self.status


class Tools(Toolbox):
    """Every tool is there."""

    def find(self, name: str) -> Tool:
        return Tool(name, (name,), "1", "", "PATH")

    def settings(self, name: str) -> dict[str, str]:  # noqa: ARG002 - as in Toolbox
        return {"PYTHON_KEYRING_BACKEND": "null", "USUAL": "1"}

    def default_index(self) -> str:
        return "https://default.example/simple"

    @property
    def pip_config(self) -> indexes.PipConfig:
        return NOTHING


class Watcher:
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def start(self, row: Row) -> None:
        """Nobody looks."""

    def command(self, argv: Sequence[str]) -> None:
        """Nobody looks."""

    def line(self, text: str) -> None:
        """Nobody looks."""

    def finish(self, row: Row, seconds: float, *, ok: bool) -> None:
        """Nobody looks."""


@dataclass
class Bench:
    """A project, and those who would build and publish it."""

    steps: Steps
    desk: Desk
    watcher: Watcher

    @property
    def root(self) -> Path:
        return self.steps.project.root

    @property
    def dist(self) -> list[str]:
        folder = self.root / "dist"
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []

    def publish(self, repository: str = "team", *, dry_run: bool = False) -> Published:
        return publish.publish(self.steps, repository, dry_run=dry_run)


@pytest.fixture
def bench(tmp_path: Path) -> Callable[..., Bench]:
    def maker(hybrid: str = "venv+uv", text: str = TEAM, environ: Mapping[str, str] | None = None) -> Bench:
        root = tmp_path / "project"
        root.mkdir(exist_ok=True)
        found, desk, watcher = made(root, text), Desk(), Watcher()
        stand_in = root / ".mlops-lab" / "stand-in" / "3.12.1"
        (stand_in / "bin").mkdir(parents=True)
        (stand_in / "pyvenv.cfg").write_text("version = 3.12.1\n", encoding="utf-8")
        (stand_in / "bin" / "python").touch(mode=0o755)
        given = {"PATH": "/usr/bin", "POETRY_CONFIG_DIR": str(tmp_path), **(environ or {})}
        steps = Steps(
            project=found,
            hybrid=hybrid_named(hybrid),
            reason="",
            environment=Environment(root / ".venv", name="p-q"),
            groups=(),
            toolbox=Tools(found, desk, avoid=(), environ=given),
            runner=desk,
            observer=watcher,
            environ=given,
            interpreter=Interpreter("/usr/bin/python3.12", "3.12.1"),
        )
        return Bench(steps, desk, watcher)

    return maker


@pytest.mark.parametrize(("hybrid", "option"), [("venv+uv", "--out-dir"), ("pip+poetry", "--output")])
def test_a_build_makes_one_wheel_and_one_sdist(bench: Callable[..., Bench], hybrid: str, option: str) -> None:
    it = bench(hybrid)
    assert publish.build(it.steps) == Built("p-q", "1.0", (f"dist/{WHEEL}", f"dist/{SDIST}"))
    ((argv, _),) = it.desk.ran
    assert argv[:2] == [hybrid.partition("+")[2], "build"]
    assert argv[2].startswith(f"{option}=.mlops-lab/dist-")
    assert it.dist == sorted([".gitignore", WHEEL, SDIST])
    assert list((it.root / ".mlops-lab").glob("dist-*")) == []


def test_a_folder_of_distributions_that_is_there_is_not_changed_otherwise(bench: Callable[..., Bench]) -> None:
    it = bench()
    (it.root / "dist").mkdir()
    (it.root / "dist" / "p_q-9.tar.gz").touch()
    publish.build(it.steps)
    assert it.dist == sorted(["p_q-9.tar.gz", WHEEL, SDIST])


@pytest.mark.parametrize(
    ("makes", "message"),
    [
        ((), "the build made nothing, and not one wheel and one sdist"),
        ((WHEEL,), f"the build made {WHEEL}, and not one wheel and one sdist"),
        (
            (WHEEL, "p_q-1.0-py2-none-any.whl", SDIST),
            f"the build made p_q-1.0-py2-none-any.whl, {WHEEL}, {SDIST}, and not one wheel and one sdist",
        ),
        ((WHEEL, "p_q-1.1.tar.gz"), f"the build made {WHEEL} and p_q-1.1.tar.gz, and not p-q 1.0"),
        (
            ("p_q-1.1-py3-none-any.whl", "p_q-1.1.tar.gz"),
            "the build made p_q-1.1-py3-none-any.whl and p_q-1.1.tar.gz, and not p-q 1.0",
        ),
        (
            ("other-1.0-py3-none-any.whl", "other-1.0.tar.gz"),
            "the build made other-1.0-py3-none-any.whl and other-1.0.tar.gz, and not p-q 1.0",
        ),
    ],
)
def test_a_build_that_made_something_else_is_refused(
    bench: Callable[..., Bench], makes: tuple[str, ...], message: str
) -> None:
    it = bench()
    it.desk.makes = makes
    text = refusal(lambda: publish.build(it.steps), FOUND)
    assert text == f"{message}: look at [build-system] and at the settings of its backend"
    assert it.dist == []


def test_a_file_without_a_version_in_its_name_is_refused(bench: Callable[..., Bench]) -> None:
    it = bench()
    it.desk.makes = ("p_q-1.0.whl", SDIST)
    assert refusal(lambda: publish.build(it.steps), FOUND).startswith("Invalid wheel filename")


def test_a_version_that_the_backend_finds_out_is_the_files(bench: Callable[..., Bench]) -> None:
    it = bench()
    text = PACKAGE.replace('version = "1.0"', 'dynamic = ["version"]')
    (it.root / "pyproject.toml").write_text(text, encoding="utf-8")
    it.steps.project = project.find(it.root)
    it.desk.makes = ("p_q-7.post1-py3-none-any.whl", "p_q-7.post1.tar.gz")
    assert publish.build(it.steps).version == "7.post1"


@pytest.mark.parametrize("own", [".mlops-lab", ".venv"])
def test_logs_and_environments_are_not_packed(bench: Callable[..., Bench], own: str) -> None:
    it = bench()
    it.desk.inside = f"{own}/logs/x.log"
    assert refusal(lambda: publish.build(it.steps), FOUND) == (
        f"{WHEEL} would hold {own}: logs, or an environment: add these lines to .gitignore: /{own}/"
    )
    it.desk.makes = (WHEEL, SDIST)
    it.desk.inside = f"tests/{own}/x"
    assert publish.build(it.steps).version == "1.0"


@pytest.mark.parametrize(
    "text",
    [
        "[tool.poetry]\npackage-mode = false\n",
        "[tool.uv]\npackage = false\n",
    ],
)
@pytest.mark.parametrize("hybrid", ["venv+uv", "venv+poetry"])
def test_what_is_no_package_is_neither_built_nor_published(bench: Callable[..., Bench], text: str, hybrid: str) -> None:
    it = bench(hybrid, text + TEAM)
    for action in (lambda: publish.build(it.steps), it.publish):
        assert refusal(action) == (
            "this project is no package: it has no [build-system], or says that it is none: declare a [build-system], "
            "without package-mode = false ([tool.poetry]) or package = false ([tool.uv])"
        )
    assert it.desk.ran == []


def test_without_a_build_system_it_is_no_package(bench: Callable[..., Bench]) -> None:
    it = bench()
    (it.root / "pyproject.toml").write_text("[project]\nname = 'p-q'\n", encoding="utf-8")
    it.steps.project = project.find(it.root)
    assert refusal(lambda: publish.build(it.steps)).startswith("this project is no package: ")


# --- publishing ------------------------------------------------------------------------------------------------------

PASSWORD = {"UV_PUBLISH_USERNAME": "u", "UV_PUBLISH_PASSWORD": SECRET}


@pytest.mark.parametrize(
    ("hybrid", "dry_run", "command"),
    [
        ("venv+uv", False, ["uv", "publish", f"--publish-url={UPLOAD}", f"D/{WHEEL}", f"D/{SDIST}"]),
        ("conda+uv", True, ["uv", "publish", "--dry-run", f"--publish-url={UPLOAD}", f"D/{WHEEL}", f"D/{SDIST}"]),
        ("venv+poetry", False, ["poetry", "publish", "--repository=team", "--dist-dir=D"]),
        ("pip+poetry", True, ["poetry", "publish", "--dry-run", "--repository=team", "--dist-dir=D"]),
    ],
)
def test_what_was_built_is_uploaded_as_the_user(
    bench: Callable[..., Bench], web: Web, hybrid: str, dry_run: bool, command: list[str]
) -> None:
    it = bench(hybrid, environ=PASSWORD)
    web.answers[PAGE] = status(404, PAGE)
    done = it.publish(dry_run=dry_run)
    assert done == Published("p-q", "1.0", (f"dist/{WHEEL}", f"dist/{SDIST}"), "team", UPLOAD, uploaded=not dry_run)
    (built, before), (argv, after) = it.desk.ran
    folder = built[-1].partition("=")[2]
    assert [word.replace(folder, "D") for word in argv] == command
    assert (before["USUAL"], before["PYTHON_KEYRING_BACKEND"], "UV_PUBLISH_USERNAME" in before) == ("1", "null", False)
    assert (after["USUAL"], after["UV_PUBLISH_PASSWORD"], after["UV_PUBLISH_TOKEN"]) == ("1", SECRET, None)
    assert after["POETRY_HTTP_BASIC_TEAM_PASSWORD"] == SECRET
    assert it.watcher.said == [f"to team ({UPLOAD}); credentials: UV_PUBLISH_PASSWORD"]


@pytest.mark.parametrize(
    ("hybrid", "command"),
    [
        ("venv+uv", ["uv", "publish", f"D/{WHEEL}", f"D/{SDIST}"]),
        ("venv+poetry", ["poetry", "publish", "--dist-dir=D"]),
    ],
)
def test_the_usual_repository_needs_no_address(
    bench: Callable[..., Bench], web: Web, hybrid: str, command: list[str]
) -> None:
    it = bench(hybrid)
    web.answers["https://default.example/simple/p-q/"] = HTML.replace("1.0", "0.9")
    assert it.publish("pypi").upload == ""
    (built, _), (argv, given) = it.desk.ran
    assert [word.replace(built[-1].partition("=")[2], "D") for word in argv] == command
    # A keyring has to be asked: what keeps tools from it elsewhere is taken back.
    assert given["PYTHON_KEYRING_BACKEND"] is None
    assert it.watcher.said == ["to pypi; credentials: none in the environment, a keyring is asked"]


def test_nothing_sends_uv_to_another_repository(bench: Callable[..., Bench], web: Web) -> None:
    it = bench()
    web.answers[PAGE] = "{}"
    it.publish()
    assert {
        name: it.desk.ran[-1][1][name] for name in ("UV_PUBLISH_URL", "UV_PUBLISH_INDEX", "UV_PUBLISH_CHECK_URL")
    } == {
        "UV_PUBLISH_URL": None,
        "UV_PUBLISH_INDEX": None,
        "UV_PUBLISH_CHECK_URL": None,
    }


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_version_that_is_there_is_refused(bench: Callable[..., Bench], web: Web, dry_run: bool) -> None:
    it = bench()
    web.answers[PAGE] = HTML
    assert refusal(lambda: it.publish(dry_run=dry_run), FOUND) == (
        f"p-q 1.0 is in team already ({WHEEL}): raise the version in pyproject.toml: what is published is never changed"
    )
    assert (len(it.desk.ran), it.dist) == (1, [])


def test_where_nobody_can_look_the_upload_tells(bench: Callable[..., Bench], web: Web) -> None:
    it = bench(text=f"[tool.mlops-lab.repositories]\nteam = {{ publish = '{UPLOAD}' }}\n")
    it.publish()
    assert it.watcher.said[1:] == [
        (
            "whether team has 1.0 already, the upload has to tell: "
            "no index is declared for it (`index` under [tool.mlops-lab.repositories.team])"
        )
    ]
    assert web.asked == []


def test_where_an_index_is_closed_the_upload_tells(bench: Callable[..., Bench], web: Web) -> None:
    it = bench()
    web.answers[PAGE] = status(403, PAGE)
    it.publish()
    assert it.watcher.said[1:] == [
        "whether team has 1.0 already, the upload has to tell: its index does not let us look"
    ]


@pytest.mark.parametrize(
    ("environ", "said", "hint"),
    [
        (
            PASSWORD,
            "HTTP Error 403: Forbidden",
            "team refuses the credentials of UV_PUBLISH_PASSWORD, or refuses them for this package",
        ),
        (
            *({}, "Server returned status code 401 Unauthorized"),
            (
                "team wants credentials: set POETRY_PYPI_TOKEN_TEAM, or POETRY_HTTP_BASIC_TEAM_USERNAME and "
                "POETRY_HTTP_BASIC_TEAM_PASSWORD, or UV_PUBLISH_TOKEN, or UV_PUBLISH_USERNAME and UV_PUBLISH_PASSWORD"
            ),
        ),
        ({}, "No space left on device", "free some disk space, then run the command again"),
    ],
)
def test_a_failed_upload_says_what_to_correct(
    bench: Callable[..., Bench], web: Web, environ: dict[str, str], said: str, hint: str
) -> None:
    it = bench(environ=environ)
    web.answers[PAGE] = "{}"
    it.desk.upload = CommandFailed(["uv", "publish"], 2, [said], None, [said])
    with pytest.raises(CommandFailed) as caught:
        it.publish()
    assert (caught.value.code, caught.value.hint) == (FOUND, hint)
    assert it.dist == sorted([".gitignore", WHEEL, SDIST])


# --- git -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "names"),
    [
        ("?? new é.py\0", "new é.py"),
        (" M a\nb\0D  c\0", "a\nb, c"),
        ("".join(f"?? {number}\0" for number in range(8)), "0, 1, 2, 3, 4 and 3 more"),
    ],
)
def test_what_git_does_not_know_is_not_published(bench: Callable[..., Bench], status: str, names: str) -> None:
    it = bench()
    it.desk.status = status
    assert refusal(it.publish) == (
        f"git does not have all that would be published: {names}: "
        "commit these files, or let git ignore what belongs to nobody else"
    )
    assert it.desk.ran == []


def test_without_git_it_is_said(bench: Callable[..., Bench], web: Web) -> None:
    it = bench()
    web.answers[PAGE] = "{}"
    it.desk.status = CommandFailed(["git"], 128, ["fatal: not a git repository"], None)
    assert it.publish().uploaded
    assert it.watcher.said[0] == ("this is no git repository: nobody can look up what this version was made from")


def test_a_repository_that_git_cannot_read_is_refused(bench: Callable[..., Bench]) -> None:
    it = bench()
    (it.root / ".git").mkdir()
    it.desk.status = CommandFailed(["git"], 128, ["fatal: dubious ownership"], None)
    assert refusal(it.publish) == "git cannot tell what has changed: fatal: dubious ownership: mend that first"


# --- the faces -------------------------------------------------------------------------------------------------------

DONE = Published("p-q", "1.0", (f"dist/{WHEEL}", f"dist/{SDIST}"), "team", UPLOAD, uploaded=True)


def test_a_line_for_each_file() -> None:
    assert outcome.published(DONE) == (
        f"published: dist/{WHEEL} to team ({UPLOAD})\npublished: dist/{SDIST} to team ({UPLOAD})"
    )
    rehearsed = Published("p-q", "1.0", (f"dist/{WHEEL}",), "pypi", "", uploaded=False)
    assert outcome.published(rehearsed) == f"would publish: dist/{WHEEL} to pypi"


@pytest.mark.parametrize(
    ("argv", "asked"),
    [
        (["publish"], ("pypi", False)),
        (["publish", "--repository", "team", "--dry-run"], ("team", True)),
        (["publish", "--repository=x", "--hybrid", "venv+uv", "--json"], ("x", False)),
    ],
)
def test_the_words_are_handed_on(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    argv: list[str],
    asked: tuple[str, bool],
) -> None:
    found: list[tuple[str, bool]] = []

    def record(_steps: Steps, repository: str, *, dry_run: bool) -> Published:
        found.append((repository, dry_run))
        return DONE

    made(tmp_path, '[tool.mlops-lab]\nhybrid = "venv+uv"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["mlops-lab"])
    monkeypatch.setattr(publish, "publish", record)
    assert cli.main(argv) == 0
    assert found == [asked]
    printed = capsys.readouterr().out
    if "--json" in argv:
        assert json.loads(printed) == {**vars(DONE), "files": list(DONE.files), "ok": True}
    else:
        assert printed == outcome.published(DONE) + "\n"


@pytest.mark.parametrize("as_json", [False, True])
def test_a_build_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    made(tmp_path, '[tool.mlops-lab]\nhybrid = "venv+uv"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["mlops-lab"])
    monkeypatch.setattr(publish, "build", lambda _steps: Built("p-q", "1.0", ("dist/a", "dist/b")))
    assert cli.main(["build", *(["--json"] if as_json else [])]) == 0
    printed = capsys.readouterr().out
    expected = {"name": "p-q", "version": "1.0", "files": ["dist/a", "dist/b"], "ok": True}
    assert (json.loads(printed) if as_json else printed) == (expected if as_json else "built: dist/a\nbuilt: dist/b\n")


def test_without_an_address_none_is_named() -> None:
    publishing = row_named("publish")
    assert publishing in EXTRAS
    empty = {"repository": [], "upload": [], "files": ["a"], "dist": "d"}
    found = {tool: words(spelled.command, empty) for tool, spelled in publishing.spellings.items()}
    assert found == {"poetry": ["poetry", "publish", "--dist-dir=d"], "uv": ["uv", "publish", "a"]}
