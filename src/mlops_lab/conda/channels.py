"""Channels: what a name stands for, where it lies, and the credentials in its address, which go no further."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from mlops_lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mlops_lab.conda.config import Settings

__all__ = ["Channel", "canonical", "chosen", "resolve"]

FALLBACK = "conda-forge"
"""What is searched when neither a file nor the configuration names a channel."""
DEFAULTS = ("main", "r")
"""What `defaults` stands for when the configuration does not say: the vendor's two channels."""
_SUBDIR = re.compile(r"/(noarch|(?:linux|osx|win|emscripten|wasi|freebsd|zos)-[\w]+)/?$")
_TOKEN = re.compile(r"^/t/([^/]+)(?=/|$)")


@dataclass(frozen=True)
class Channel:
    """A channel where it really lies.

    Attributes:
        name: What people and conda's history call it: its name, or its address where it has none.
        url: Its address without credentials, ending in `/`.
        user: The user's name in its address.
        password: The password in its address.
        token: The token in its address, `/t/TOKEN/`.
        where: Where a file names it, such as `conda.yml:2:5`.
    """

    name: str
    url: str
    user: str = ""
    password: str = ""
    token: str = ""
    where: str = field(default="", compare=False)

    @property
    def remote(self) -> bool:
        """Whether a network is needed to reach it."""
        return not self.url.startswith("file:")

    @property
    def host(self) -> str:
        """The host, without a port."""
        return urlsplit(self.url).hostname or ""


def chosen(named: Iterable[str], settings: Settings, *, override: bool = False) -> list[Channel]:
    """The channels to search, the first one first.

    Args:
        named: Those of the file or of the command line; `nodefaults` shuts out those of the configuration.
        settings: The configuration.
        override: Whether those of the configuration are shut out.

    Raises:
        LabError: One of them is no channel.
    """
    names = list(named)
    # https://github.com/conda/conda/blob/main/conda/env/installers/conda.py
    if not override and "nodefaults" not in names:
        names += settings.channels
    names = [name for name in names if name != "nodefaults"] or [FALLBACK]
    found = [channel for name in names for channel in resolve(name, settings)]
    return list({channel.url: channel for channel in reversed(found)}.values())[::-1]


def resolve(name: str, settings: Settings) -> list[Channel]:
    """What a name in a channel list stands for; `defaults` and other multichannels are several.

    Raises:
        LabError: It is no channel.
    """
    name = os.path.expandvars(name.strip())
    bare = _SUBDIR.sub("", name).rstrip("/")
    if not bare or bare.endswith(":") or re.search(r"[\s<>\"]", bare):
        raise LabError(f'"{name}" is no channel', "write a name such as conda-forge, an address or ./a/folder")
    if bare in settings.custom_multichannels:
        return [_located(part, settings) for part in settings.custom_multichannels[bare]]
    if bare == "defaults":
        return [_located(part, settings) for part in settings.default_channels or DEFAULTS]
    return [_located(bare, settings)]


def _located(name: str, settings: Settings) -> Channel:
    if "://" in name:
        return _address(name, "")
    if name.startswith(("./", "../", "/", "~")) or name in {".", ".."} or re.match(r"[A-Za-z]:[\\/]", name):
        return _address(Path(name).expanduser().resolve().as_uri(), "")
    # A custom channel also covers what lies below it: `pkgs` covers `pkgs/main`.
    for known, base in settings.custom_channels.items():
        if name == known or name.startswith(f"{known}/"):
            return _address(f"{base.rstrip('/')}/{name}", name)
    return _address(f"{settings.channel_alias.rstrip('/')}/{name}" if settings.channel_alias else _default(name), name)


def _default(name: str) -> str:
    """The address that py-rattler gives to a name; no address of a server is written down here."""
    import rattler

    return rattler.Channel(name).base_url


def _address(text: str, name: str) -> Channel:
    """Take an address apart: what is kept of it holds no credentials."""
    scheme, _, rest = text.partition("://")
    authority, slash, path = rest.partition("/")
    # Up to the last @: a password may hold one that nobody encoded.
    login, _, host = authority.rpartition("@")
    user, _, password = login.partition(":")
    path = slash + path
    token = ""
    if scheme != "file" and (match := _TOKEN.match(path)):
        token, path = match[1], path[match.end() :]
    try:
        port = urlsplit(f"{scheme}://{host}").port
    except ValueError:
        port = -1
    if not scheme or (scheme != "file" and not host) or port == -1:
        raise LabError(f'"{text}" is no address of a channel', "write it as https://host/channel or file:///folder")
    url = f"{scheme}://{host}{quote(path, safe='/%:@!$&()*+,;=~-._')}".rstrip("/")
    return Channel(name or url, f"{url}/", unquote(user), unquote(password), token)


def canonical(url: str, known: Sequence[Channel]) -> str:
    """What conda's history calls the channel of a record: its name, else its address.

    Args:
        url: The record's channel; conda writes it with a subfolder, py-rattler without.
        known: The channels that were searched.
    """
    plain = _SUBDIR.sub("", url.rstrip("/"))
    return next((channel.name for channel in known if channel.url.rstrip("/") == plain), plain)
