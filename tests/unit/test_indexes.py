"""Tables of what pip is configured to use, and of what uv, Poetry and pip are then handed."""

from __future__ import annotations

import configparser
import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlops_lab import indexes
from mlops_lab.errors import WRONG, LabError, redact
from mlops_lab.indexes import PipConfig

if TYPE_CHECKING:
    from collections.abc import Callable

MAIN = "https://index.example/simple"
DEFAULT = "https://default.example/simple"
ONE, TWO = "https://one.example/simple", "https://two.example/simple"
NULL = {"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}
BEST = {"UV_INDEX_STRATEGY": "unsafe-best-match"}


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of its own: no file of the real one counts."""
    monkeypatch.setattr(indexes, "_PLATFORM", "linux")
    monkeypatch.setattr(indexes, "_ETC", tmp_path / "etc")
    monkeypatch.setattr(indexes, "_MAC_SYSTEM", tmp_path / "Library")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pip_config(**values: Any) -> PipConfig:
    empty: dict[str, Any] = {"index_url": None, "extra_index_urls": (), "find_links": (), "cert": None, "proxy": None}
    return PipConfig(**(empty | {"trusted_hosts": (), "no_index": False} | values))


def environment(machine: Path, **variables: str) -> dict[str, str]:
    return {"HOME": str(machine / "home"), **variables}


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def never() -> str:
    raise AssertionError("nobody needs the default index")


def for_uv(
    config: PipConfig,
    environ: dict[str, str],
    default_index: Callable[[], str] = never,
    *,
    declares_default: bool = False,
) -> indexes.Handed:
    return indexes.for_uv(config, environ, default_index=default_index, declares_default=declares_default)


def for_poetry(
    config: PipConfig, environ: dict[str, str], mirror: Callable[[], str | None] = lambda: None
) -> indexes.Handed:
    return indexes.for_poetry(config, environ, mirror=mirror)


# pip's configuration


def test_nothing_configured(machine: Path) -> None:
    assert indexes.read_pip_config(environment(machine)) == pip_config()


def test_every_variable(machine: Path) -> None:
    environ = environment(
        machine,
        PIP_INDEX_URL=f" {MAIN} ",
        PIP_EXTRA_INDEX_URL=f"{ONE}\n{TWO}",
        PIP_FIND_LINKS="/wheels  ~/more",
        PIP_CERT="/ca.pem",
        PIP_PROXY="proxy.example:8080",
        PIP_TRUSTED_HOST="a.example b.example:8080",
        PIP_NO_INDEX="1",
    )
    assert indexes.read_pip_config(environ) == PipConfig(
        index_url=MAIN,
        extra_index_urls=(ONE, TWO),
        find_links=("/wheels", "~/more"),
        cert="/ca.pem",
        proxy="proxy.example:8080",
        trusted_hosts=("a.example", "b.example:8080"),
        no_index=True,
    )


# The files of each system, the weakest first; `{}` is the machine.
FILES = {
    "linux": [
        "etc/xdg/pip/pip.conf",
        "etc/pip.conf",
        "home/.pip/pip.conf",
        "home/.config/pip/pip.conf",
        "env/pip.conf",
    ],
    "darwin": ["Library/pip/pip.conf", "home/.pip/pip.conf", "home/.config/pip/pip.conf", "env/pip.conf"],
    "win32": ["data/pip/pip.ini", "home/pip/pip.ini", "roaming/pip/pip.ini", "env/pip.ini"],
}


@pytest.mark.parametrize("platform", FILES)
def test_later_files_win(machine: Path, monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    monkeypatch.setattr(indexes, "_PLATFORM", platform)
    home = str(machine / "home")
    environ = {"HOME": home, "USERPROFILE": home}
    environ |= {"APPDATA": str(machine / "roaming"), "PROGRAMDATA": str(machine / "data")}
    for name in FILES[platform]:
        write(machine / name, f"[global]\nindex-url = https://index.example/{name}\n")
        config = indexes.read_pip_config(environ, machine / "env")
        assert config.index_url == f"https://index.example/{name}"
    assert indexes.read_pip_config(environ).index_url == f"https://index.example/{FILES[platform][-2]}"


def test_macos_prefers_application_support_when_it_is_there(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexes, "_PLATFORM", "darwin")
    write(machine / "home/.config/pip/pip.conf", f"[global]\nindex-url = {ONE}\n")
    write(machine / "home/Library/Application Support/pip/pip.conf", f"[global]\nindex-url = {MAIN}\n")
    assert indexes.read_pip_config(environment(machine)).index_url == MAIN


def test_windows_without_its_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexes, "_PLATFORM", "win32")
    monkeypatch.setattr(Path, "home", lambda: Path("/h"))
    assert indexes._pip_files({}, None) == [
        Path("C:/ProgramData/pip/pip.ini"),
        Path("/h/pip/pip.ini"),
        Path("/h/AppData/Roaming/pip/pip.ini"),
    ]


def test_xdg_folders(machine: Path) -> None:
    environ = environment(
        machine, XDG_CONFIG_DIRS=os.pathsep.join(["/x", "", "/y"]), XDG_CONFIG_HOME=str(machine / "own")
    )
    assert indexes._pip_files(environ, None) == [
        Path("/x/pip/pip.conf"),
        Path("/y/pip/pip.conf"),
        machine / "etc/pip.conf",
        machine / "home/.pip/pip.conf",
        machine / "own/pip/pip.conf",
    ]


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ("", ("etc", "user")),
        (os.devnull, (None, None)),
        ("absent.conf", ("etc", "user")),
        ("own.conf", ("own", None)),  # an existing one takes the user's files' place
    ],
)
def test_pip_config_file(machine: Path, own: str, expected: tuple[str | None, str | None]) -> None:
    write(machine / "etc/pip.conf", "[global]\nindex-url = etc\n")
    write(machine / "home/.config/pip/pip.conf", "[global]\ncert = user\n")
    write(machine / "own.conf", "[global]\nindex-url = own\n")
    config = indexes.read_pip_config(environment(machine, PIP_CONFIG_FILE=own))
    assert (config.index_url, config.cert) == expected


@pytest.mark.parametrize(
    ("first", "second", "variables", "expected"),
    [
        ("[global]\nindex-url = a", "", {}, "a"),
        ("[install]\nindex-url = a", "[global]\nindex-url = b", {}, "a"),  # the section counts before the file
        ("[global]\nindex-url = a", "[global]\nindex-url =", {}, None),  # an empty value takes it back
        ("[global]\nindex-url = a", "[install]\nindex-url =", {}, "a"),
        ("[global]\nindex-url = a", "", {"PIP_INDEX_URL": ""}, "a"),
        ("[install]\nindex-url = a", "", {"PIP_INDEX_URL": "e"}, "e"),
        ("[global]\nINDEX_URL = a", "", {}, "a"),
        ("[global]\n--index-url = a", "", {}, "a"),
        ("[global]\nindex-url = https://${USER}:%(x)s@h", "", {}, "https://${USER}:%(x)s@h"),
        ("[download]\nindex-url = a", "", {}, None),
    ],
)
def test_precedence(machine: Path, first: str, second: str, variables: dict[str, str], expected: str | None) -> None:
    write(machine / "etc/pip.conf", first)
    write(machine / "home/.config/pip/pip.conf", second)
    assert indexes.read_pip_config(environment(machine, **variables)).index_url == expected


def test_a_folder_in_a_files_place_counts_as_empty(machine: Path) -> None:
    (machine / "etc/pip.conf").mkdir(parents=True)
    assert indexes.read_pip_config(environment(machine)) == pip_config()


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"index-url = https://user:secret@h\n", 1),
        (b"[global]\n\nhttps//user.secret\n", 3),
        (b"[global]\ncert = a\ncert = secret\n", 3),
        (b"[global]\n[global]\n", 2),
        (b"[global]\ncert = a\nproxy = \xff\n", 3),
    ],
)
def test_a_broken_file_is_named_with_its_line(machine: Path, data: bytes, line: int) -> None:
    file = write(machine / "etc/pip.conf", "")
    file.write_bytes(data)
    with pytest.raises(LabError) as caught:
        indexes.read_pip_config(environment(machine))
    assert caught.value.code == WRONG
    assert caught.value.message == f"{file}, line {line}: this configuration of pip cannot be read"
    assert caught.value.hint == (
        "mend the line (sections are [global] and [install], settings NAME = VALUE, each once), "
        f"or set PIP_CONFIG_FILE={os.devnull} to do without pip's files"
    )


def test_the_line_of_an_error_that_names_none() -> None:
    assert indexes._line(configparser.Error("something else")) == 1


@pytest.mark.parametrize(
    ("text", "expected"), [("yes", True), ("ON", True), ("0", False), ("False", False), ("", False)]
)
def test_no_index(machine: Path, text: str, expected: bool) -> None:
    assert indexes.read_pip_config(environment(machine, PIP_NO_INDEX=text)).no_index is expected


def test_no_index_that_is_neither_yes_nor_no(machine: Path) -> None:
    with pytest.raises(LabError) as caught:
        indexes.read_pip_config(environment(machine, PIP_NO_INDEX="maybe"))
    assert str(caught.value) == (
        "pip's no-index is 'maybe': write yes or no, true or false, 1 or 0 (`pip config debug` shows where it is set)"
    )


# uv


@pytest.mark.parametrize(
    ("config", "declares_default", "expected"),
    [
        ({}, False, {}),
        ({"index_url": MAIN}, False, {"UV_DEFAULT_INDEX": MAIN}),
        ({"index_url": MAIN}, True, {}),
        ({"index_url": MAIN, "extra_index_urls": (MAIN,)}, False, {"UV_DEFAULT_INDEX": MAIN}),
        ({"index_url": MAIN, "extra_index_urls": (ONE,)}, False, {"UV_DEFAULT_INDEX": ONE, "UV_INDEX": MAIN, **BEST}),
        (
            {"index_url": MAIN, "extra_index_urls": (ONE, TWO, ONE)},
            False,
            {"UV_DEFAULT_INDEX": TWO, "UV_INDEX": f"{MAIN} {ONE}", **BEST},
        ),
        ({"extra_index_urls": (ONE,)}, False, {"UV_DEFAULT_INDEX": ONE, "UV_INDEX": DEFAULT, **BEST}),
        ({"extra_index_urls": (DEFAULT,)}, False, {"UV_DEFAULT_INDEX": DEFAULT}),
        ({"index_url": MAIN, "extra_index_urls": (ONE, TWO)}, True, {"UV_INDEX": f"{ONE} {TWO}", **BEST}),
    ],
)
def test_indexes_for_uv(
    machine: Path, config: dict[str, Any], declares_default: bool, expected: dict[str, str]
) -> None:
    asked = []

    def default_index() -> str:
        asked.append(True)
        return DEFAULT

    handed = for_uv(pip_config(**config), environment(machine), default_index, declares_default=declares_default)
    assert handed == indexes.Handed(expected, ())
    assert bool(asked) is ("extra_index_urls" in config and "index_url" not in config)


FULL = pip_config(
    index_url=MAIN,
    extra_index_urls=(ONE,),
    find_links=("https://links.example/",),
    cert="/ca.pem",
    proxy="proxy.example:8080",
    trusted_hosts=("a.example", "b.example:8080"),
)
FULL_UV = {
    "UV_DEFAULT_INDEX": ONE,
    "UV_INDEX": MAIN,
    "UV_INDEX_STRATEGY": "unsafe-best-match",
    "UV_FIND_LINKS": "https://links.example/",
    "UV_INSECURE_HOST": "a.example b.example:8080",
    "SSL_CERT_FILE": "/ca.pem",
    "HTTP_PROXY": "http://proxy.example:8080",
    "HTTPS_PROXY": "http://proxy.example:8080",
}
INDEXES = {"UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_STRATEGY"}
PROXIES = {"HTTP_PROXY", "HTTPS_PROXY"}


@pytest.mark.parametrize(
    ("name", "left_out"),
    [
        ("OTHER", set()),
        ("UV_DEFAULT_INDEX", INDEXES),
        ("UV_INDEX_URL", INDEXES),
        ("UV_INDEX", INDEXES),
        ("UV_EXTRA_INDEX_URL", INDEXES),
        ("UV_INDEX_STRATEGY", {"UV_INDEX_STRATEGY"}),
        ("UV_FIND_LINKS", {"UV_FIND_LINKS"}),
        ("UV_INSECURE_HOST", {"UV_INSECURE_HOST"}),
        ("SSL_CERT_FILE", {"SSL_CERT_FILE"}),
        ("SSL_CERT_DIR", {"SSL_CERT_FILE"}),
        ("UV_SYSTEM_CERTS", {"SSL_CERT_FILE"}),
        ("UV_NATIVE_TLS", {"SSL_CERT_FILE"}),
        ("HTTP_PROXY", {"HTTP_PROXY"}),
        ("https_proxy", {"HTTPS_PROXY"}),
        ("ALL_PROXY", PROXIES),
        ("all_proxy", PROXIES),
    ],
)
def test_the_users_own_variable_wins(machine: Path, name: str, left_out: set[str]) -> None:
    expected = {key: value for key, value in FULL_UV.items() if key not in left_out}
    assert for_uv(FULL, environment(machine, **{name: "own"})) == indexes.Handed(expected, ())
    assert for_uv(FULL, environment(machine, **{name: ""})) == indexes.Handed(FULL_UV, ())


@pytest.mark.parametrize(
    ("text", "left_out"),
    [
        ("offline = false", set()),
        ("index = [", set()),  # broken: uv says so itself
        ("[[index]]\nurl = 'https://own.example'", INDEXES),
        ("index-url = 'https://own.example'", INDEXES),
        ("extra-index-url = ['https://own.example']", INDEXES),
        ("no-index = true", INDEXES),
        ("index-strategy = 'first-index'", {"UV_INDEX_STRATEGY"}),
        ("find-links = []", {"UV_FIND_LINKS"}),
        ("allow-insecure-host = []", {"UV_INSECURE_HOST"}),
        ("system-certs = true", {"SSL_CERT_FILE"}),
    ],
)
def test_the_users_own_uv_toml_wins(machine: Path, text: str, left_out: set[str]) -> None:
    write(machine / "home/.config/uv/uv.toml", text)
    expected = {key: value for key, value in FULL_UV.items() if key not in left_out}
    assert for_uv(FULL, environment(machine)) == indexes.Handed(expected, ())


@pytest.mark.parametrize(
    ("file", "variables", "counts"),
    [
        ("etc/uv/uv.toml", {}, True),
        ("etc/xdg/uv/uv.toml", {}, True),
        ("own/uv/uv.toml", {"XDG_CONFIG_HOME": "own"}, True),
        ("given.toml", {"UV_CONFIG_FILE": "given.toml"}, True),
        ("given.toml", {"UV_CONFIG_FILE": "given.toml", "UV_NO_CONFIG": "1"}, True),
        ("home/.config/uv/uv.toml", {"UV_CONFIG_FILE": "other.toml"}, False),
        ("home/.config/uv/uv.toml", {"UV_NO_CONFIG": "true"}, False),
        ("home/.config/uv/uv.toml", {"UV_NO_CONFIG": "0"}, True),
    ],
)
def test_where_uv_toml_is(machine: Path, file: str, variables: dict[str, str], counts: bool) -> None:
    write(machine / file, "index-url = 'https://own.example'")
    handed = for_uv(pip_config(index_url=MAIN), environment(machine, **variables))
    assert handed.variables == ({} if counts else {"UV_DEFAULT_INDEX": MAIN})


def test_uv_toml_on_windows(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexes, "_PLATFORM", "win32")
    write(machine / "data/uv/uv.toml", "index-url = 'https://own.example'")
    environ = {"PROGRAMDATA": str(machine / "data"), "APPDATA": str(machine / "roaming")}
    assert for_uv(pip_config(index_url=MAIN), environ).variables == {}


def test_find_links_for_uv(machine: Path) -> None:
    for folder in ("wheels", "a,b", "home/more"):
        (machine / folder).mkdir(parents=True)
    page = write(machine / "page.html", "")
    file = write(machine / "name-1.0-py3-none-any.whl", "")
    links = (
        "wheels",
        str(machine / "wheels"),
        "absent",
        "absent.html",
        "~/more",
        str(machine / "a,b"),
        page.as_uri(),
        (machine / "absent").as_uri(),
        str(file),
        "https://links.example/a,b",
    )
    handed = for_uv(pip_config(find_links=links), environment(machine))
    assert handed.variables["UV_FIND_LINKS"].split(",") == [
        str(machine / "wheels"),
        str(machine / "home/more"),
        f"{machine.as_uri()}/a%2Cb",
        str(page),
        "https://links.example/a%2Cb",
    ]
    assert handed.notes == ("uv cannot take pip's find-links to a single file (1): name the folder that it lies in",)


@pytest.mark.parametrize(
    ("platform", "link", "expected"),
    [
        ("linux", "file:///a%20b/c", "/a b/c"),
        ("linux", "file://localhost/a", "/a"),
        ("win32", "file:///C:/a%20b", "C:/a b"),
    ],
)
def test_a_file_address(monkeypatch: pytest.MonkeyPatch, platform: str, link: str, expected: str) -> None:
    monkeypatch.setattr(indexes, "_PLATFORM", platform)
    assert indexes._file_path(link) == Path(expected)


NO_INDEX_NOTE = "uv cannot take pip's no-index: set no-index = true under [tool.uv]"


@pytest.mark.parametrize(
    ("links", "declares_default", "index", "notes"),
    [
        (("https://links.example/", "a,b", "wheels"), False, "wheels", ()),
        (("https://links.example/",), False, None, (NO_INDEX_NOTE,)),
        (("wheels",), True, None, (NO_INDEX_NOTE,)),
        ((), False, None, (NO_INDEX_NOTE,)),
    ],
)
def test_no_index_is_an_index_without_packages(
    machine: Path, links: tuple[str, ...], declares_default: bool, index: str | None, notes: tuple[str, ...]
) -> None:
    (machine / "wheels").mkdir()
    (machine / "a,b").mkdir()
    config = pip_config(no_index=True, index_url=MAIN, extra_index_urls=(ONE,), find_links=links)
    handed = for_uv(config, environment(machine), declares_default=declares_default)
    assert handed.variables.get("UV_DEFAULT_INDEX") == (index and (machine / index).as_uri())
    assert not {"UV_INDEX", "UV_INDEX_STRATEGY"} & handed.variables.keys()
    assert handed.notes == notes


def test_the_users_own_index_beats_no_index(machine: Path) -> None:
    handed = for_uv(pip_config(no_index=True), environment(machine, UV_DEFAULT_INDEX=TWO))
    assert handed == indexes.Handed({}, ())


def test_uv_gets_no_ipv6_host(machine: Path) -> None:
    config = pip_config(trusted_hosts=("[::1]:80", "a.example:80"))
    assert for_uv(config, environment(machine)) == indexes.Handed(
        {"UV_INSECURE_HOST": "a.example:80"},
        ("uv cannot take pip's trusted-host by IPv6 address (1): give the host a name",),
    )


@pytest.mark.parametrize(
    ("cert", "name", "expected"),
    [
        ("certs", "SSL_CERT_DIR", "certs"),
        ("ca.pem", "SSL_CERT_FILE", "ca.pem"),
        ("~/ca.pem", "SSL_CERT_FILE", "home/ca.pem"),
    ],
)
def test_cert_for_uv(machine: Path, cert: str, name: str, expected: str) -> None:
    (machine / "certs").mkdir()
    assert for_uv(pip_config(cert=cert), environment(machine)).variables == {name: str(machine / expected)}


def test_a_proxy_keeps_its_scheme(machine: Path) -> None:
    proxy = "socks5://user:password@proxy.example:1080"
    assert for_uv(pip_config(proxy=proxy), environment(machine)).variables == dict.fromkeys(PROXIES, proxy)


# Poetry


def test_everything_for_poetry(machine: Path) -> None:
    assert for_poetry(FULL, environment(machine), never) == indexes.Handed(
        {
            "POETRY_PYPI_MIRROR_URL": MAIN,
            "REQUESTS_CA_BUNDLE": "/ca.pem",
            "HTTP_PROXY": "http://proxy.example:8080",
            "HTTPS_PROXY": "http://proxy.example:8080",
            **NULL,
        },
        (
            "Poetry cannot take pip's extra-index-url (1 address): declare them as [[tool.poetry.source]]",
            "Poetry cannot take pip's find-links (1 location): serve those files as a [[tool.poetry.source]]",
            "Poetry cannot take pip's trusted-host (2 hosts): use `poetry config certificates.NAME.cert false`",
        ),
    )


def test_what_poetry_cannot_take_is_counted(machine: Path) -> None:
    config = pip_config(extra_index_urls=(ONE, TWO), find_links=("a", "b"), no_index=True)
    assert for_poetry(config, environment(machine)).notes == (
        "Poetry cannot take pip's extra-index-url (2 addresses): declare them as [[tool.poetry.source]]",
        "Poetry cannot take pip's find-links (2 locations): serve those files as a [[tool.poetry.source]]",
        "Poetry cannot take pip's no-index: it goes on asking its indexes",
    )


@pytest.mark.parametrize(
    ("index_url", "shown"),
    [
        ("file:///srv/simple", "file:///srv/simple"),
        ("/srv/simple", "/srv/simple"),
        ("ftp://user:secret@h/simple", "ftp://***@h/simple"),
    ],
)
def test_an_index_that_poetry_cannot_take(machine: Path, index_url: str, shown: str) -> None:
    assert for_poetry(pip_config(index_url=index_url), environment(machine), never) == indexes.Handed(
        NULL, (f"Poetry cannot take pip's index-url {shown}: it needs an http or https address",)
    )


@pytest.mark.parametrize("found", [MAIN, None])
def test_the_mirror_is_asked_when_nobody_named_an_index(machine: Path, found: str | None) -> None:
    handed = for_poetry(pip_config(), environment(machine), lambda: found)
    assert handed.variables == NULL | ({"POETRY_PYPI_MIRROR_URL": found} if found else {})


SETTING = f"[plugins.pypi_mirror]\nurl = '{TWO}'\n"


@pytest.mark.parametrize(
    ("file", "text", "variables", "wins"),
    [
        (None, "", {"POETRY_PYPI_MIRROR_URL": TWO}, True),
        ("home/.config/pypoetry/config.toml", SETTING, {}, True),
        ("own/pypoetry/config.toml", SETTING, {"XDG_CONFIG_HOME": "own"}, True),
        ("given/config.toml", SETTING, {"POETRY_CONFIG_DIR": "given"}, True),
        ("home/.config/pypoetry/config.toml", SETTING, {"POETRY_CONFIG_DIR": "given"}, False),
        ("home/.config/pypoetry/config.toml", "[plugins]\npypi_mirror = 1\n", {}, False),
        ("home/.config/pypoetry/config.toml", "[plugins.pypi_mirror]\nurl = ''\n", {}, False),
    ],
)
def test_the_users_own_mirror_wins(
    machine: Path, file: str | None, text: str, variables: dict[str, str], wins: bool
) -> None:
    if file:
        write(machine / file, text)
    handed = for_poetry(pip_config(index_url=MAIN), environment(machine, **variables), never)
    assert handed.variables == NULL | ({} if wins else {"POETRY_PYPI_MIRROR_URL": MAIN})


def test_poetrys_settings_on_macos(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexes, "_PLATFORM", "darwin")
    write(machine / "home/Library/Application Support/pypoetry/config.toml", SETTING)
    assert for_poetry(pip_config(index_url=MAIN), environment(machine), never).variables == NULL


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_the_users_own_bundle_wins(machine: Path, name: str) -> None:
    assert for_poetry(pip_config(cert="/ca.pem"), environment(machine, **{name: "own"})).variables == NULL


@pytest.mark.parametrize(
    ("index_url", "variables", "auth", "quiet"),
    [
        (MAIN, {}, "", True),
        ("https://user:password@index.example/simple", {}, "", True),
        ("https://user@index.example/simple", {}, "", False),
        (MAIN, {"POETRY_PYPI_MIRROR_URL": "https://user@index.example/simple"}, "", False),
        (MAIN, {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}, "", False),
        (MAIN, {"POETRY_HTTP_BASIC_PRIVATE_USERNAME": "user"}, "", False),
        (MAIN, {"POETRY_HTTP_BASIC_PRIVATE_USERNAME": ""}, "", True),
        (MAIN, {"POETRY_PYPI_TOKEN_PRIVATE": "token"}, "", False),
        (MAIN, {"POETRY_KEYRING_ENABLED": "true"}, "", False),
        (MAIN, {}, "[http-basic.private]\nusername = 'user'\n", False),
        (MAIN, {}, "[other]\n", True),
    ],
)
def test_a_keyring_is_asked_only_for_credentials(
    machine: Path, index_url: str, variables: dict[str, str], auth: str, quiet: bool
) -> None:
    write(machine / "home/.config/pypoetry/auth.toml", auth)
    handed = for_poetry(pip_config(index_url=index_url), environment(machine, **variables))
    assert ("PYTHON_KEYRING_BACKEND" in handed.variables) is quiet


# The project

SEVERAL = f"""
[[tool.uv.index]]
url = "{ONE}"
[[tool.uv.index]]
url = "{MAIN}"
[[tool.poetry.source]]
name = "b"
url = "{TWO}"
[[tool.poetry.source]]
name = "a"
url = "{ONE}"
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("[tool]\npoetry = 1\nuv = []\n", ()),
        ("[tool.poetry]\nsource = 1\n[tool.uv]\nindex = [1]\nextra-index-url = 1\n", ()),
        (f"[[tool.poetry.source]]\nname = 'a'\nurl = '{ONE}'\npriority = 'explicit'\n", (ONE,)),
        (f"[[tool.poetry.source]]\nname = 'a'\nurl = '{ONE}'\npriority = 'supplemental'\n", (ONE,)),
        (f"[[tool.poetry.source]]\nname = 'a'\nurl = '{ONE}'\n", (ONE,)),
        (f"[[tool.poetry.source]]\nname = 'a'\nurl = '{ONE}'\npriority = 'Default'\n", ()),
        (f"[[tool.poetry.source]]\nname = 'a'\nurl = '{ONE}'\ndefault = true\n", ()),
        ("[[tool.poetry.source]]\nname = 'PyPI'\npriority = 'primary'\n", ()),
        (f"[[tool.uv.index]]\nurl = '{ONE}'\nexplicit = true\n", (ONE,)),
        (f"[[tool.uv.index]]\nurl = '{ONE}'\ndefault = true\n", ()),
        (f"[[tool.uv.index]]\nurl = '{ONE}'\nformat = 'flat'\n", ()),
        (f"[tool.uv]\nextra-index-url = ['{ONE}', '', 1]\n", (ONE,)),
        (SEVERAL, (TWO, ONE, MAIN)),
    ],
)
def test_project_indexes(text: str, expected: tuple[str, ...]) -> None:
    assert indexes.project_indexes(tomllib.loads(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", False),
        ("tool = 1\n", False),
        ("[tool.uv]\nno-index = false\n", False),
        ("[tool.uv]\nno-index = true\n", True),
        (f"[tool.uv]\nindex-url = '{ONE}'\n", True),
        (f"[[tool.uv.index]]\nurl = '{ONE}'\n", False),
        (f"[[tool.uv.index]]\nurl = '{TWO}'\n[[tool.uv.index]]\nurl = '{ONE}'\ndefault = true\n", True),
    ],
)
def test_declares_default_index(text: str, expected: bool) -> None:
    assert indexes.declares_default_index(tomllib.loads(text)) is expected


PYPROJECT = f"[[tool.uv.index]]\nurl = '{ONE}'\n"
FLAT = "[[tool.uv.index]]\nurl = 'https://links.example/'\nformat = 'flat'\n"


@pytest.mark.parametrize(
    ("config", "variables", "text", "expected"),
    [
        ({}, {}, "", {}),
        ({"find_links": ("/wheels",)}, {}, "", {}),
        ({}, {}, PYPROJECT, {"PIP_EXTRA_INDEX_URL": ONE}),
        ({"index_url": ONE}, {}, PYPROJECT, {}),
        ({"extra_index_urls": (TWO,)}, {}, "", {"PIP_EXTRA_INDEX_URL": TWO}),
        ({"extra_index_urls": (TWO,)}, {"PIP_EXTRA_INDEX_URL": TWO}, "", {}),
        (
            {"extra_index_urls": (TWO,)},
            {"PIP_EXTRA_INDEX_URL": TWO},
            PYPROJECT,
            {"PIP_EXTRA_INDEX_URL": f"{TWO} {ONE}"},
        ),
        ({"extra_index_urls": (ONE, TWO)}, {}, PYPROJECT, {"PIP_EXTRA_INDEX_URL": f"{ONE} {TWO}"}),
        ({"find_links": ("/wheels",)}, {}, FLAT, {"PIP_FIND_LINKS": "/wheels https://links.example/"}),
        ({"find_links": ("https://links.example/",)}, {}, FLAT, {}),
    ],
)
def test_for_pip(config: dict[str, Any], variables: dict[str, str], text: str, expected: dict[str, str]) -> None:
    handed = indexes.for_pip(pip_config(**config), variables, tomllib.loads(text))
    assert handed == indexes.Handed(expected, ())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        (MAIN, MAIN),
        ("mail me@index.example", "mail me@index.example"),
        ("https://user:password@index.example/simple", "https://***@index.example/simple"),
        ("https://token@index.example", "https://***@index.example"),
        ("https://user:p@ss:w@rd@index.example/a@b", "https://***@index.example/a@b"),
        ("https://user:p#w?d@index.example/", "https://***@index.example/"),
        ("https://$" + "{USER}:$" + "{PASSWORD}@index.example", "https://***@index.example"),
        ("a git+ssh://git@h/x, b https://u:p@h/y.", "a git+ssh://***@h/x, b https://***@h/y."),
        ("https://u:p@h,https://v:q@h", "https://***@h,https://***@h"),
        (f'{{"url": "{MAIN}", "mail": "me@h"}}', f'{{"url": "{MAIN}", "mail": "me@h"}}'),
        ('["https://h","me@h"]', '["https://h","me@h"]'),
        ("index https://h\nme@h", "index https://h\nme@h"),
    ],
)
def test_redact(text: str, expected: str) -> None:
    assert redact(text) == expected
