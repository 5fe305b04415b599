"""How py-rattler reaches channels: certificates, proxy, credentials, caches, and patience with a dead host."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from mlops_lab.conda import prefixes
from mlops_lab.errors import FOUND, LabError, redact

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from mlops_lab.conda.channels import Channel
    from mlops_lab.conda.config import Settings

__all__ = ["Access", "access", "failure", "forget", "patiently"]

PATIENCE = 5.0
"""Seconds without an answer after which the hosts are looked at."""
FOLDER = "mlops-lab"
"""Our subfolder of pkgs_dirs: another engine's extracted packages look alike and are not."""
_T = TypeVar("_T")
_HELD: list[Path] = []


@dataclass(frozen=True)
class Access:
    """What is needed to fetch.

    Attributes:
        gateway: py-rattler's gateway to the indexes of channels.
        client: py-rattler's client for packages.
        cache: The folder of extracted packages.
        offline: Whether nothing may be fetched.
    """

    gateway: Any
    client: Any
    cache: Path
    offline: bool


def access(settings: Settings, channels: Sequence[Channel]) -> Access:
    """Set up caches and clients.

    Raises:
        LabError: No packages folder can be written, or two channels of one host come with different credentials.
    """
    from rattler import Gateway, SourceConfig
    from rattler.config import Config
    from rattler.networking import Client

    cache = prefixes.writable_folder(settings.pkgs_dirs, "pkgs_dirs") / FOLDER
    config = Config.from_toml(_toml(settings, channels))
    source = SourceConfig(cache_action="force-cache-only" if settings.offline else "cache-or-fetch")
    # The index is asked for with little patience, a package of 500 MB with more.
    index = Client.from_config(config, max_retries=1)
    gateway = Gateway(cache_dir=cache / "repodata", default_config=source, client=index)
    return Access(gateway, Client.from_config(config, max_retries=3), cache / "packages", settings.offline)


def _toml(settings: Settings, channels: Sequence[Channel]) -> str:
    """The configuration of py-rattler's clients.

    Source: https://pixi.sh/latest/reference/pixi_configuration/, whose keys they share.
    """
    lines: list[tuple[str, Any]] = []
    if settings.ssl_verify == "false":
        lines.append(("tls-no-verify", True))
    elif settings.ssl_verify not in {"true", "truststore"}:
        # rustls reads the bundle from here: https://docs.rs/rustls-native-certs
        os.environ["SSL_CERT_FILE"] = settings.ssl_verify
        lines.append(("tls-root-certs", "system"))
    elif settings.ssl_verify == "truststore" or os.environ.get("SSL_CERT_FILE"):
        lines.append(("tls-root-certs", "system"))
    elif bundle := os.environ.get("REQUESTS_CA_BUNDLE"):
        os.environ["SSL_CERT_FILE"] = bundle
        lines.append(("tls-root-certs", "system"))
    if held := _credentials(channels):
        lines.append(("authentication-override-file", held))
    if mirrors := {f"{_plain(channel)}": [_with_token(channel)] for channel in channels if channel.token}:
        lines.append(("mirrors", mirrors))
    lines += [
        (f"proxy-config.{scheme}", settings.proxy_servers[scheme])
        for scheme in ("http", "https")
        if settings.proxy_servers.get(scheme)
    ]
    # JSON's text, lists and numbers are TOML's; a table in one line is not.
    return "".join(f"{key} = {_value(value)}\n" for key, value in lines)


def _value(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {json.dumps(entry)}" for key, entry in value.items()) + " }"
    return json.dumps(value)


def _plain(channel: Channel) -> str:
    return channel.url.rstrip("/")


def _with_token(channel: Channel) -> str:
    """The address that is really asked for; the clean one is what is recorded."""
    scheme, _, rest = _plain(channel).partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host}/t/{channel.token}{slash}{path}"


def _credentials(channels: Sequence[Channel]) -> str:
    """Hand user names and passwords over without a file that somebody could find.

    Source: https://rattler.prefix.dev/py-rattler/middleware/ (the authentication file)
    """
    found: dict[str, dict[str, Any]] = {}
    for channel in channels:
        if not channel.user:
            continue
        login = {"BasicHTTP": {"username": channel.user, "password": channel.password}}
        if found.setdefault(channel.host, login) != login:
            hint = "give all channels of a host the same user, or put the credentials into ~/.netrc"
            raise LabError(f"two channels of {channel.host} come with different credentials", hint)
    if not found:
        return ""
    return _hidden(json.dumps(found))


def _hidden(text: str) -> str:
    """A file that only this process can open, and that ends with it."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("credentials")
        os.write(descriptor, text.encode())
        return f"/proc/{os.getpid()}/fd/{descriptor}"
    import tempfile

    descriptor, name = tempfile.mkstemp()
    os.write(descriptor, text.encode())
    os.close(descriptor)
    _HELD.append(Path(name))
    return name


def forget() -> None:
    """Delete what held credentials; the process ends without Python's own farewell, so nobody else would."""
    while _HELD:
        _HELD.pop().unlink(missing_ok=True)


async def patiently(work: Awaitable[_T], channels: Sequence[Channel], settings: Settings) -> _T:
    """Wait for an answer, but not for a host that does not even take a connection.

    Raises:
        LabError: A host cannot be connected to (code 1).
    """
    task = asyncio.ensure_future(work)
    done, _ = await asyncio.wait({task}, timeout=PATIENCE)
    if not done and not settings.proxy_servers and not settings.offline and not _proxied():
        for channel in channels:
            if channel.remote and (reason := await asyncio.to_thread(_dead, channel.url)):
                task.cancel()
                raise unreachable(channel, reason)
    return await task


def _proxied() -> bool:
    return any(os.environ.get(name) for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"))


def _dead(url: str) -> str:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=3).close()
    except OSError as error:
        return str(error)
    return ""


def unreachable(channel: Channel, reason: str) -> LabError:
    """The error about a channel that cannot be read."""
    hint = (
        "check its spelling, the network and the proxy; `channels:` of the file and `conda info` name what is searched"
    )
    if "offline" in reason or "cache" in reason:
        hint = "run it once without --offline"
    elif any(code in reason for code in ("401", "403")):
        hint = "the server wants credentials: put them into ~/.netrc, or into the channel's address in ~/.condarc"
    elif "certificate" in reason.lower():
        hint = "set ssl_verify in ~/.condarc to the file of your certificates, or SSL_CERT_FILE"
    where = f"{channel.where}: " if channel.where else ""
    return LabError(f"{where}channel {channel.name} cannot be read: {reason}", hint, code=FOUND)


def failure(error: Exception, channels: Sequence[Channel]) -> LabError:
    """What py-rattler says of a failed request, in one line about the channel."""
    lines = [redact(line.strip()) for line in str(error).splitlines() if line.strip()]
    text = " ".join(lines)
    reason = lines[-1].removeprefix("Caused by: ") if lines else type(error).__name__
    channel = next((channel for channel in channels if _plain(channel) in text), None)
    if channel is None:
        channel = next((channel for channel in channels if channel.remote), None) or channels[0]
    return unreachable(channel, reason)
