"""What pip is configured to use, handed to uv and Poetry as environment variables: one default index for all tools."""

from __future__ import annotations

import configparser
import locale
import os
import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from mlops_lab.errors import WRONG, LabError, redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = [
    "Handed",
    "PipConfig",
    "declares_default_index",
    "for_pip",
    "for_poetry",
    "for_uv",
    "poetry_repositories",
    "project_indexes",
    "read_pip_config",
    "uv_publishes_to",
]

# Names of their own, so that a test can stand on another system.
_PLATFORM: str = sys.platform
_ETC = Path("/etc")
_MAC_SYSTEM = Path("/Library/Application Support")

_YES = {"y", "yes", "t", "true", "on", "1"}
_NO = {"n", "no", "f", "false", "off", "0"}

_USER_ONLY = re.compile(r"://[^/\s@:]+@")


@dataclass(frozen=True)
class PipConfig:
    """What pip is configured to use.

    Attributes:
        index_url: The main index; None means pip's default.
        extra_index_urls: Further indexes, whose files pip merges with the main one's.
        find_links: Folders, HTML pages and addresses with plain links to files, as pip was given them.
        cert: A CA bundle (a file, or a folder of certificates).
        proxy: `scheme://[user:password@]host:port`, the scheme may be missing.
        trusted_hosts: `host` or `host:port` without certificate checks.
        no_index: Ask no index at all, only `find_links`.
    """

    index_url: str | None
    extra_index_urls: tuple[str, ...]
    find_links: tuple[str, ...]
    cert: str | None
    proxy: str | None
    trusted_hosts: tuple[str, ...]
    no_index: bool


@dataclass(frozen=True)
class Handed:
    """What a tool is handed.

    Attributes:
        variables: Environment variables to add; they may hold credentials, so show them through `redact` only.
        notes: One line for each thing that the tool cannot take, without credentials.
    """

    variables: dict[str, str]
    notes: tuple[str, ...]


def read_pip_config(environ: Mapping[str, str], site_prefix: Path | None = None) -> PipConfig:
    """Read what pip would: `PIP_*` over `[install]` over `[global]`, in each section the later file over the earlier.

    Args:
        environ: The environment that pip would see.
        site_prefix: The prefix whose own `pip.conf` counts too; None for none.

    Raises:
        LabError: A configuration file cannot be parsed (file and line are named), or no-index is neither yes nor no.

    Source: https://pip.pypa.io/en/stable/topics/configuration/ and pip's `_internal/configuration.py`.
    """
    values = _values(environ, _pip_files(environ, site_prefix))
    return PipConfig(
        index_url=values.get("index-url"),
        extra_index_urls=tuple(values.get("extra-index-url", "").split()),
        find_links=tuple(values.get("find-links", "").split()),
        cert=values.get("cert"),
        proxy=values.get("proxy"),
        trusted_hosts=tuple(values.get("trusted-host", "").split()),
        no_index=_boolean("no-index", values.get("no-index", "no")),
    )


def for_uv(
    config: PipConfig, environ: Mapping[str, str], *, default_index: Callable[[], str], declares_default: bool
) -> Handed:
    """Say in uv's variables what pip is configured to use; what the user set for uv (UV_*, uv.toml) wins.

    Args:
        config: What pip is configured to use.
        environ: The environment that uv would see.
        default_index: Gives the default index' address; asked only where it has to be written out.
        declares_default: The project declares its default index for uv, which then stays.

    Source: https://docs.astral.sh/uv/reference/environment/
    """
    own = _uv_toml(environ)
    links, notes = _uv_links(config, environ)
    variables = _proxies(config, environ) | _uv_cert(config, environ, own)
    if not _set(environ, own, ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL"), _UV_INDEX_KEYS):
        if config.no_index:
            indexes = {} if declares_default else _empty_index(links)
            notes += [] if indexes else ["uv cannot take pip's no-index: set no-index = true under [tool.uv]"]
        else:
            indexes = _uv_indexes(config, default_index, declares_default=declares_default)
        variables |= indexes
    if _set(environ, own, ("UV_INDEX_STRATEGY",), ("index-strategy",)):
        variables.pop("UV_INDEX_STRATEGY", None)
    if links and not _set(environ, own, ("UV_FIND_LINKS",), ("find-links",)):
        variables["UV_FIND_LINKS"] = ",".join(links)
    if not _set(environ, own, ("UV_INSECURE_HOST",), ("allow-insecure-host", "trusted-host")):
        hosts, more = _uv_hosts(config)
        variables |= {"UV_INSECURE_HOST": " ".join(hosts)} if hosts else {}
        notes += more
    return Handed(variables, tuple(notes))


def for_poetry(config: PipConfig, environ: Mapping[str, str], *, mirror: Callable[[], str | None]) -> Handed:
    """Say in Poetry's variables what pip is configured to use; what the user set for Poetry wins.

    Args:
        config: What pip is configured to use.
        environ: The environment that Poetry would see.
        mirror: Gives the address of the simple index to use when Poetry's default index has not the JSON that
            Poetry reads, else None; asked only when nobody named an index.

    Source: https://python-poetry.org/docs/configuration/ and https://github.com/arcesium/poetry-plugin-pypi-mirror
    """
    folders = _poetry_folders(environ)
    own = environ.get("POETRY_PYPI_MIRROR_URL") or _mirror_setting(folders)
    address = None if own else config.index_url or mirror()
    notes = []
    if address and _scheme(address) not in {"http", "https"}:
        notes.append(f"Poetry cannot take pip's index-url {redact(address)}: it needs an http or https address")
        address = None
    variables = _proxies(config, environ)
    if address:
        variables["POETRY_PYPI_MIRROR_URL"] = address
    if config.cert and not _set(environ, {}, ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")):
        variables["REQUESTS_CA_BUNDLE"] = str(_path(config.cert, environ))
    if not environ.get("PYTHON_KEYRING_BACKEND") and not _needs_keyring(environ, address or own, folders):
        # A keyring without a desktop waits for a password that nobody types:
        # https://python-poetry.org/docs/repositories/#configuring-credentials
        variables["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"
    return Handed(variables, (*notes, *_poetry_notes(config)))


def for_pip(config: PipConfig, environ: Mapping[str, str], pyproject: Mapping[str, Any]) -> Handed:
    """Give pip the second indexes that the project declares, beside those that pip is configured to use.

    A variable of pip's replaces its configuration's list, so pip's own are repeated. uv's indexes of `format = "flat"`
    are what pip calls find-links.

    Args:
        config: What pip is configured to use.
        environ: The environment that pip would see, from which `config` was read.
        pyproject: The project's `pyproject.toml`, parsed.
    """
    extra = dict.fromkeys((*config.extra_index_urls, *project_indexes(pyproject)))
    extra.pop(config.index_url or "", None)
    flat = [url for url in _flat_indexes(pyproject) if url not in config.find_links]
    lists = {
        "PIP_EXTRA_INDEX_URL": list(extra),
        "PIP_FIND_LINKS": [*config.find_links, *flat] if flat else [],
    }
    joined = {name: " ".join(addresses) for name, addresses in lists.items() if addresses}
    return Handed({name: value for name, value in joined.items() if environ.get(name) != value}, ())


def project_indexes(pyproject: Mapping[str, Any]) -> tuple[str, ...]:
    """List the addresses of the second indexes that a project declares, each once, in their order.

    These are `[[tool.poetry.source]]` (a source without an address is Poetry's own default index), `[[tool.uv.index]]`
    and `tool.uv.extra-index-url`; not the default index, nor uv's `format = "flat"`, which is a list of files.
    """
    poetry = (
        source.get("url")
        for source in _tables(_table(pyproject, "tool", "poetry"), "source")
        if str(source.get("priority", "primary")).lower() != "default" and source.get("default") is not True
    )
    uv = (
        index.get("url")
        for index in _tables(_table(pyproject, "tool", "uv"), "index")
        if index.get("default") is not True and index.get("format") != "flat"
    )
    extra = _table(pyproject, "tool", "uv").get("extra-index-url")
    found = (*poetry, *uv, *(extra if isinstance(extra, list) else ()))
    return tuple(dict.fromkeys(url for url in found if isinstance(url, str) and url))


def declares_default_index(pyproject: Mapping[str, Any]) -> bool:
    """Tell whether the project itself says what uv's default index is (or that there is none)."""
    uv = _table(pyproject, "tool", "uv")
    return bool(uv.get("index-url") or uv.get("no-index")) or any(
        index.get("default") is True for index in _tables(uv, "index")
    )


def poetry_repositories(environ: Mapping[str, str]) -> dict[str, str]:
    """List the repositories that Poetry is configured to publish to: name → upload address; variables before files.

    The addresses may hold credentials.

    Source: https://python-poetry.org/docs/repositories/#publishable-repositories
    """
    found: dict[str, str] = {}
    for folder in reversed(_poetry_folders(environ)):
        tables = _table(_toml(folder / "config.toml"), "repositories")
        urls = {name: table.get("url") for name, table in tables.items() if isinstance(table, dict)}
        found |= {name: url for name, url in urls.items() if isinstance(url, str) and url}
    for variable, url in environ.items():
        if url and (match := re.fullmatch(r"POETRY_REPOSITORIES_(\w+)_URL", variable)):
            found[match[1].lower().replace("_", "-")] = url
    return found


def uv_publishes_to(pyproject: Mapping[str, Any], environ: Mapping[str, str]) -> str:
    """Tell where uv publishes to when nobody tells it; empty where it is not configured.

    Source: https://docs.astral.sh/uv/reference/settings/#publish-url
    """
    set_here = _table(pyproject, "tool", "uv").get("publish-url")
    return str(set_here or _uv_toml(environ).get("publish-url") or "")


# pip's configuration


def _pip_files(environ: Mapping[str, str], site_prefix: Path | None) -> list[Path]:
    """List pip's configuration files, the weakest first."""
    own = environ.get("PIP_CONFIG_FILE", "")
    if own == os.devnull:
        return []
    name = "pip.ini" if _PLATFORM == "win32" else "pip.conf"
    files = [folder / name for folder in _pip_system_folders(environ)]
    if not (own and Path(own).exists()):  # pip leaves the user's files out when PIP_CONFIG_FILE is there
        files += [folder / name for folder in _pip_user_folders(environ)]
    if site_prefix is not None:
        files.append(site_prefix / name)
    return [*files, Path(own)] if own else files


def _pip_system_folders(environ: Mapping[str, str]) -> list[Path]:
    if _PLATFORM == "darwin":
        return [_MAC_SYSTEM / "pip"]
    folders = [folder / "pip" for folder in _system_folders(environ)]
    return folders if _PLATFORM == "win32" else [*folders, _ETC]


def _pip_user_folders(environ: Mapping[str, str]) -> list[Path]:
    home = _home(environ)
    if _PLATFORM == "win32":
        return [home / "pip", _user_folder(environ) / "pip"]
    if _PLATFORM == "darwin":
        mac = home / "Library" / "Application Support" / "pip"
        return [home / ".pip", mac if mac.is_dir() else home / ".config" / "pip"]
    return [home / ".pip", _user_folder(environ) / "pip"]


def _values(environ: Mapping[str, str], files: Iterable[Path]) -> dict[str, str]:
    """Merge the configuration as pip does: an empty value takes back what an earlier file said."""
    sections: dict[str, dict[str, str]] = {"global": {}, "install": {}}
    for file in files:
        parser = _parse(file)
        for section, options in sections.items():
            if parser.has_section(section):
                options.update((_option(name), value.strip()) for name, value in parser.items(section))
    variables = {_option(name[4:]): value.strip() for name, value in environ.items() if name.startswith("PIP_")}
    return {name: value for layer in (*sections.values(), variables) for name, value in layer.items() if value}


def _parse(file: Path) -> configparser.RawConfigParser:
    """Parse one configuration file; one that is absent or cannot be opened counts as empty, as pip has it."""
    parser = configparser.RawConfigParser()
    try:
        data = file.read_bytes()
    except OSError:
        return parser
    try:
        parser.read_string(data.decode(locale.getpreferredencoding(do_setlocale=False)), str(file))
    except UnicodeDecodeError as error:
        raise _broken(file, data.count(b"\n", 0, error.start) + 1) from error
    except configparser.Error as error:
        # The parser's own message quotes the line, which may hold a password.
        raise _broken(file, _line(error)) from None
    return parser


def _line(error: configparser.Error) -> int:
    errors = getattr(error, "errors", None)  # a ParsingError collects them, the others are about one line
    return int(errors[0][0] if errors else getattr(error, "lineno", None) or 1)


def _broken(file: Path, line: int) -> LabError:
    return LabError(
        f"{file}, line {line}: this configuration of pip cannot be read",
        "mend the line (sections are [global] and [install], settings NAME = VALUE, each once), "
        f"or set PIP_CONFIG_FILE={os.devnull} to do without pip's files",
        code=WRONG,
    )


def _option(name: str) -> str:
    return name.lower().replace("_", "-").removeprefix("--")


def _boolean(name: str, value: str) -> bool:
    if value.lower() not in _YES | _NO:
        raise LabError(
            f"pip's {name} is {value!r}",
            "write yes or no, true or false, 1 or 0 (`pip config debug` shows where it is set)",
            code=WRONG,
        )
    return value.lower() in _YES


# What is the same for both tools


def _set(environ: Mapping[str, str], own: Mapping[str, Any], names: Iterable[str], keys: Iterable[str] = ()) -> bool:
    """Tell whether the user set one of these variables, or one of these keys in the tool's own configuration."""
    return any(environ.get(name) for name in names) or any(key in own for key in keys)


def _proxies(config: PipConfig, environ: Mapping[str, str]) -> dict[str, str]:
    if not config.proxy or _set(environ, {}, ("ALL_PROXY", "all_proxy")):
        return {}
    # pip, too, takes a proxy without a scheme as an HTTP one.
    proxy = config.proxy if "://" in config.proxy else f"http://{config.proxy}"
    return {name: proxy for name in ("HTTP_PROXY", "HTTPS_PROXY") if not _set(environ, {}, (name, name.lower()))}


def _path(text: str, environ: Mapping[str, str]) -> Path:
    """Make a path of pip's configuration absolute, because a tool may be started in another folder."""
    path = Path(text)
    return _home(environ).joinpath(*path.parts[1:]) if path.parts[:1] == ("~",) else path.absolute()


def _home(environ: Mapping[str, str]) -> Path:
    home = environ.get("USERPROFILE" if _PLATFORM == "win32" else "HOME")
    return Path(home) if home else Path.home()


def _user_folder(environ: Mapping[str, str]) -> Path:
    """Find the folder of the user's configurations."""
    if _PLATFORM == "win32":
        return Path(environ.get("APPDATA") or _home(environ) / "AppData" / "Roaming")
    return Path(environ.get("XDG_CONFIG_HOME", "").strip() or _home(environ) / ".config")


def _system_folders(environ: Mapping[str, str]) -> list[Path]:
    """List the folders of the machine's configurations."""
    if _PLATFORM == "win32":
        return [Path(environ.get("PROGRAMDATA") or environ.get("ProgramData") or "C:/ProgramData")]
    given = [Path(folder) for folder in environ.get("XDG_CONFIG_DIRS", "").split(os.pathsep) if folder.strip()]
    return given or [_ETC / "xdg"]


def _toml(file: Path) -> dict[str, Any]:
    """Read a tool's own configuration; what is wrong with it, the tool itself says best."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _table(data: object, *keys: str) -> dict[str, Any]:
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data if isinstance(data, dict) else {}


def _tables(data: Mapping[str, Any], key: str) -> Iterator[dict[str, Any]]:
    found = data.get(key)
    return (table for table in (found if isinstance(found, list) else ()) if isinstance(table, dict))


def _scheme(address: str) -> str:
    return address.partition("://")[0].lower() if "://" in address else ""


# uv

_UV_INDEX_KEYS = ("index", "index-url", "extra-index-url", "no-index")


def _uv_toml(environ: Mapping[str, str]) -> dict[str, Any]:
    """Read the user's and the machine's uv.toml, as https://docs.astral.sh/uv/concepts/configuration-files/ has it."""
    if given := environ.get("UV_CONFIG_FILE"):
        return _toml(Path(given))
    if environ.get("UV_NO_CONFIG", "").lower() in _YES:
        return {}
    system = [folder / "uv" / "uv.toml" for folder in _system_folders(environ)]
    system += [] if _PLATFORM == "win32" else [_ETC / "uv" / "uv.toml"]
    first = next((file for file in system if file.is_file()), None)
    return (_toml(first) if first else {}) | _toml(_user_folder(environ) / "uv" / "uv.toml")


def _uv_cert(config: PipConfig, environ: Mapping[str, str], own: Mapping[str, Any]) -> dict[str, str]:
    names = ("SSL_CERT_FILE", "SSL_CERT_DIR", "UV_SYSTEM_CERTS", "UV_NATIVE_TLS")
    if not config.cert or _set(environ, own, names, ("system-certs", "native-tls")):
        return {}
    path = _path(config.cert, environ)
    return {"SSL_CERT_DIR" if path.is_dir() else "SSL_CERT_FILE": str(path)}


def _uv_indexes(config: PipConfig, default_index: Callable[[], str], *, declares_default: bool) -> dict[str, str]:
    """Order the indexes for uv, the main one first.

    Of two indexes that have a version uv takes the files of the first only, where pip merges them: an extra index with
    a wheel for one Python would hide the main index' files. The default index is always uv's last, so the last extra
    index plays its part: https://docs.astral.sh/uv/concepts/indexes/#searching-across-multiple-indexes
    """
    extras = [url for url in dict.fromkeys(config.extra_index_urls) if url != config.index_url]
    if declares_default:
        return {"UV_INDEX": " ".join(extras), "UV_INDEX_STRATEGY": "unsafe-best-match"} if extras else {}
    if not extras:
        return {"UV_DEFAULT_INDEX": config.index_url} if config.index_url else {}
    *before, last = dict.fromkeys((config.index_url or default_index(), *extras))
    several = {"UV_INDEX": " ".join(before), "UV_INDEX_STRATEGY": "unsafe-best-match"}
    return {"UV_DEFAULT_INDEX": last} | (several if before else {})


def _empty_index(links: Iterable[str]) -> dict[str, str]:
    """Stand in for no-index, for which uv has an option and a setting, but no variable.

    A folder of wheels, read as an index, has no package: an index has a folder for each.
    """
    folder = next((link for link in links if "://" not in link and Path(link).is_dir()), None)
    return {"UV_DEFAULT_INDEX": Path(folder).as_uri()} if folder else {}


def _uv_links(config: PipConfig, environ: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Write find-links for uv, and say what it cannot take.

    uv fails on a folder that is not there, which pip only warns of, and splits the list at commas.
    """
    links, refused = [], 0
    for link in config.find_links:
        if "://" in link and _scheme(link) != "file":
            links.append(link.replace(",", "%2C"))
            continue
        path = _file_path(link) if "://" in link else _path(link, environ)
        if path.is_dir() or path.suffix.lower() in {".html", ".htm"}:
            links += [path.as_uri() if "," in str(path) else str(path)] if path.exists() else []
        else:
            refused += path.exists()
    note = f"uv cannot take pip's find-links to a single file ({refused}): name the folder that it lies in"
    return list(dict.fromkeys(links)), [note] if refused else []


def _file_path(link: str) -> Path:
    """Read a file:// address; `urllib.request` has a function for it, but every command would load its HTTP client."""
    path = unquote(urlsplit(link).path)
    return Path(path.lstrip("/") if _PLATFORM == "win32" else path)


def _uv_hosts(config: PipConfig) -> tuple[list[str], list[str]]:
    """Leave out IPv6 addresses: uv takes their colons for a port, and fails."""
    hosts = [host for host in config.trusted_hosts if host.count(":") <= 1]
    left = len(config.trusted_hosts) - len(hosts)
    return hosts, [f"uv cannot take pip's trusted-host by IPv6 address ({left}): give the host a name"] if left else []


# Poetry


def _poetry_folders(environ: Mapping[str, str]) -> list[Path]:
    """List where Poetry's config.toml and auth.toml may be: https://python-poetry.org/docs/configuration/."""
    if given := environ.get("POETRY_CONFIG_DIR"):
        return [Path(given)]
    mac = [_home(environ) / "Library" / "Application Support"] if _PLATFORM == "darwin" else []
    return [folder / "pypoetry" for folder in (*mac, _user_folder(environ))]


def _mirror_setting(folders: Iterable[Path]) -> str | None:
    urls = (_table(_toml(folder / "config.toml"), "plugins", "pypi_mirror").get("url") for folder in folders)
    return next((url for url in urls if isinstance(url, str) and url), None)


def _needs_keyring(environ: Mapping[str, str], address: str | None, folders: Iterable[Path]) -> bool:
    """Tell whether a password may lie in a keyring: the user gave Poetry credentials, or an address half of them."""
    prefixes = ("POETRY_HTTP_BASIC_", "POETRY_PYPI_TOKEN_", "POETRY_KEYRING_")
    return (
        any(value and name.startswith(prefixes) for name, value in environ.items())
        or bool(address and _USER_ONLY.search(address))
        or any({"http-basic", "pypi-token"} & _toml(folder / "auth.toml").keys() for folder in folders)
    )


def _poetry_notes(config: PipConfig) -> Iterator[str]:
    rows = (
        ("extra-index-url", config.extra_index_urls, "address", "declare them as [[tool.poetry.source]]"),
        ("find-links", config.find_links, "location", "serve those files as a [[tool.poetry.source]]"),
        ("trusted-host", config.trusted_hosts, "host", "use `poetry config certificates.NAME.cert false`"),
    )
    for option, values, noun, hint in rows:
        if values:
            yield f"Poetry cannot take pip's {option} ({_count(len(values), noun)}): {hint}"
    if config.no_index:
        yield "Poetry cannot take pip's no-index: it goes on asking its indexes"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}{'es' if noun.endswith('s') else 's'}"


def _flat_indexes(pyproject: Mapping[str, Any]) -> list[str]:
    """List uv's indexes that are plain lists of files."""
    indexes = _tables(_table(pyproject, "tool", "uv"), "index")
    urls = (index.get("url") for index in indexes if index.get("format") == "flat")
    return [url for url in dict.fromkeys(urls) if isinstance(url, str) and url]
