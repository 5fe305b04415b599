"""Where a package is published to, and with whose credentials; every tool is told in its own variables.

Credentials come from variables or a keyring, and go on in variables only: a command line can be seen by every user of
the machine, a log by whoever is sent it.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit, urlunsplit

from mlops_lab import indexes
from mlops_lab.errors import LabError
from mlops_lab.guide import nearest
from mlops_lab.manifests.pyproject import normalized

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlops_lab.project import Project

__all__ = ["USUAL", "Credentials", "Repository", "chosen", "handed", "names", "spoken_of", "variables_to_set"]

USUAL = "pypi"
"""The repository that every tool knows by itself."""
_TOKEN_USER = "__token__"  # noqa: S105 - what stands in a user's place beside a token
_NO_KEYRING = "keyring.backends.null.Keyring"


@dataclass(frozen=True)
class Source:
    """Variables that may hold credentials; `{name}` is the repository's.

    Attributes:
        password: The variable of the password, or of the token.
        username: The variable of the user's name; empty for a token.
    """

    password: str
    username: str = ""


# https://python-poetry.org/docs/repositories/#configuring-credentials and
# https://docs.astral.sh/uv/guides/package/#publishing-your-package; those for one repository before those for any.
_SOURCES = (
    Source("POETRY_PYPI_TOKEN_{name}"),
    Source("POETRY_HTTP_BASIC_{name}_PASSWORD", "POETRY_HTTP_BASIC_{name}_USERNAME"),
    Source("UV_PUBLISH_TOKEN"),
    Source("UV_PUBLISH_PASSWORD", "UV_PUBLISH_USERNAME"),
)


@dataclass(frozen=True)
class Credentials:
    """Who publishes.

    Attributes:
        username: The user; empty where none is known.
        password: The password, or a token; empty where a keyring has to be asked.
        source: The variable that they come from, for people.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    source: str = ""


@dataclass(frozen=True)
class Repository:
    """Where a package is published to.

    Attributes:
        name: Its name, as the user writes it.
        upload: The address to upload to, without credentials; empty where every tool knows it.
        index: Its simple page, without credentials; empty where nobody said.
        credentials: Who publishes.
    """

    name: str
    upload: str = ""
    index: str = ""
    credentials: Credentials = Credentials()

    def __str__(self) -> str:
        """The name, with the address where there is one."""
        return f"{self.name} ({self.upload})" if self.upload else self.name


@dataclass(frozen=True)
class _Declared:
    """A repository as it was written: its addresses may hold credentials, which nothing in pyproject.toml may."""

    name: str
    upload: str = field(repr=False)
    index: str = field(default="", repr=False)
    in_pyproject: bool = True


def chosen(project: Project, name: str, environ: Mapping[str, str]) -> Repository:
    """The repository of a name: our own table's, uv's index with a `publish-url`, Poetry's, or the usual one.

    Raises:
        LabError: There is none, its address is none or holds a password in pyproject.toml, or a password has no user
            (code 2).
    """
    declared = _known(project, environ).get(normalized(name))
    if declared is None and normalized(name) != USUAL:
        raise LabError(f"there is no repository {name!r} to publish to", nearest(name, names(project, environ)))
    if declared is None:
        _refuse_detour(project, environ)
        return Repository(USUAL, credentials=_credentials(USUAL, environ))
    upload, held = _split(declared, declared.upload)
    index = _split(declared, declared.index)[0] if declared.index else ""
    given = _credentials(declared.name, environ, held.username)
    return Repository(declared.name, upload, index, given if given.password or not held.password else held)


def names(project: Project, environ: Mapping[str, str]) -> list[str]:
    """The names that a package can be published to, the usual one last."""
    return [*(each.name for each in _known(project, environ).values()), USUAL]


def _known(project: Project, environ: Mapping[str, str]) -> dict[str, _Declared]:
    # The strongest last.
    return {normalized(each.name): each for each in (*_poetry(project, environ), *_uv(project), *_own(project))}


def _own(project: Project) -> Iterator[_Declared]:
    for name, addresses in project.settings.repositories.items():
        yield _Declared(name, addresses["publish"], addresses.get("index", ""))


def _uv(project: Project) -> Iterator[_Declared]:
    for index in _tables(project.data, "uv", "index"):
        if isinstance(index.get("name"), str) and index.get("publish-url"):
            yield _Declared(index["name"], str(index["publish-url"]), str(index.get("url", "")))


def _poetry(project: Project, environ: Mapping[str, str]) -> Iterator[_Declared]:
    """Poetry's repositories; a source of the same name is where to look for what they have."""
    sources = {normalized(str(source.get("name", ""))): source for source in _tables(project.data, "poetry", "source")}
    for name, upload in indexes.poetry_repositories(environ).items():
        index = str(sources.get(normalized(name), {}).get("url", ""))
        yield _Declared(name, upload, index, in_pyproject=False)


def _tables(data: Mapping[str, Any], tool: str, key: str) -> list[dict[str, Any]]:
    found = data.get("tool", {}).get(tool, {}).get(key)
    return [table for table in (found if isinstance(found, list) else []) if isinstance(table, dict)]


def _refuse_detour(project: Project, environ: Mapping[str, str]) -> None:
    """Refuse to guess which one is meant when uv is configured to go elsewhere than its name says."""
    if indexes.uv_publishes_to(project.data, environ):
        raise LabError(
            f"uv's setting publish-url sends what is published to {USUAL} elsewhere",
            "declare that address under [tool.mlops-lab.repositories], and name it with --repository",
        )


# --- addresses ---


def _split(declared: _Declared, address: str) -> tuple[str, Credentials]:
    """An address without its credentials, and these."""
    parts = _parts(declared, address)
    if parts.password and declared.in_pyproject:
        raise LabError(
            f"pyproject.toml: the address of the repository {declared.name!r} holds a password",
            f"take it out, and set {_SOURCES[1].password.format(name=_variable(declared.name))} instead",
        )
    host = parts.netloc.rpartition("@")[2]
    held = Credentials(unquote(parts.username or ""), unquote(parts.password or ""), "its address")
    return urlunsplit(parts._replace(netloc=host)), held


def _parts(declared: _Declared, address: str) -> Any:  # noqa: ANN401 - typeshed's name for it is private
    try:
        parts = urlsplit(address)
        fit = parts.scheme in {"http", "https"} and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        fit = False
    if not fit:
        # It is not shown: it may hold a password.
        raise LabError(f"the repository {declared.name!r} has no address that can be used", 'write it as "https://…"')
    return parts


# --- credentials ---


def _variable(name: str) -> str:
    """A repository's name as a part of a variable's."""
    return normalized(name).replace("-", "_").upper()


def _sources(name: str) -> list[Source]:
    part = _variable(name)
    return [Source(each.password.format(name=part), each.username.format(name=part)) for each in _SOURCES]


def variables_to_set(repository: Repository) -> str:
    """The variables that may hold the credentials of a repository, for people."""
    named = [" and ".join(filter(None, (each.username, each.password))) for each in _sources(repository.name)]
    return ", or ".join(named)


def _credentials(name: str, environ: Mapping[str, str], username: str = "") -> Credentials:
    """The first credentials that the variables hold, whichever tool they were meant for."""
    for source in _sources(name):
        user = environ.get(source.username, "") if source.username else _TOKEN_USER
        password = environ.get(source.password, "")
        if not password and not (source.username and user):
            continue
        if not (user or username):
            raise LabError(f"{source.password} is set, and {source.username} is not", "set both")
        return Credentials(user or username, password, source.password if password else source.username)
    return Credentials(username)


def handed(repository: Repository, environ: Mapping[str, str]) -> dict[str, str | None]:
    """The variables that tell every tool where to publish to and as whom; each reads its own.

    They hold credentials: nothing may show them.
    """
    part = spoken_of(repository).upper().replace("-", "_")
    user, password = repository.credentials.username, repository.credentials.password
    given: dict[str, str | None] = {f"POETRY_REPOSITORIES_{part}_URL": repository.upload} if repository.upload else {}
    if user:
        # uv takes a token or a user, not both.
        given |= {f"POETRY_HTTP_BASIC_{part}_USERNAME": user, "UV_PUBLISH_USERNAME": user, "UV_PUBLISH_TOKEN": None}
        given["UV_PUBLISH_PASSWORD"] = password or None
    if password:
        given[f"POETRY_HTTP_BASIC_{part}_PASSWORD"] = password
        # Poetry would prefer the token that it may have stored for this name.
        given |= {f"POETRY_PYPI_TOKEN_{part}": "", "PYTHON_KEYRING_BACKEND": _NO_KEYRING}
        return given
    return given | _keyring(environ)


def _keyring(environ: Mapping[str, str]) -> dict[str, str | None]:
    """Let the tools ask the user's keyring; uv does it through a program."""
    there = shutil.which("keyring", path=environ.get("PATH")) and not environ.get("UV_KEYRING_PROVIDER")
    provider: dict[str, str | None] = {"UV_KEYRING_PROVIDER": "subprocess"} if there else {}
    return {"PYTHON_KEYRING_BACKEND": environ.get("PYTHON_KEYRING_BACKEND"), **provider}


def spoken_of(repository: Repository) -> str:
    """The name to use in front of a tool.

    Poetry reads back the names of variables with letters only, and makes hyphens of their underscores: with another
    name it would find the address, and not the password (`_get_environment_repositories`,
    https://github.com/python-poetry/poetry/blob/main/src/poetry/config/config.py). What lies in its keyring lies there
    under the real name.
    """
    if not repository.credentials.password:
        return repository.name
    return re.sub(r"[^a-z]+", "-", repository.name.lower())
