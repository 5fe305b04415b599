"""Whether channels answer: one small question to each, for those who have to choose before anything is made."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from mlops_lab.errors import FOUND, LabError, redact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlops_lab.conda.channels import Channel
    from mlops_lab.conda.config import Settings

__all__ = ["assert_answering"]

_INDEX = "noarch/repodata.json"
"""Every channel has it: https://docs.conda.io/projects/conda/en/stable/user-guide/concepts/channels.html"""
_TROUBLED = 500
"""The first HTTP status that says the server itself is in trouble; below it, somebody has answered."""


def assert_answering(channels: Sequence[Channel], settings: Settings, seconds: float) -> None:
    """Ask every channel, all at once.

    Args:
        channels: Where they lie.
        settings: For the certificates and the proxies.
        seconds: How long each may take.

    Raises:
        LabError: One does not answer (code 1).
    """
    # A host of several addresses has this patience for each, and a name server has one of its own: nobody waits longer
    # than this, and the process ends without them.
    crowd = ThreadPoolExecutor(max(len(channels), 1))
    asked = [crowd.submit(_silent, channel, settings, seconds) for channel in channels]
    wait(asked, timeout=seconds)
    crowd.shutdown(wait=False, cancel_futures=True)
    for channel, answer in zip(channels, asked, strict=True):
        if reason := answer.result() if answer.done() else f"nothing within {seconds:g} s":
            hint = "look at the network and the proxy, or map the channel to a mirror in .condarc"
            raise LabError(f"the channel {channel.name} does not answer: {redact(reason)}", hint, code=FOUND)


def _silent(channel: Channel, settings: Settings, seconds: float) -> str:
    """Why a channel gives no answer; empty when it does."""
    if not channel.remote:
        folder = Path(unquote(urlsplit(channel.url).path))
        return "" if folder.is_dir() else f"there is no folder {folder}"
    if settings.offline:
        return "offline"
    openers = [urllib.request.HTTPSHandler(context=_context(settings.ssl_verify))]
    proxies = [urllib.request.ProxyHandler(dict(settings.proxy_servers))] if settings.proxy_servers else []
    request = urllib.request.Request(channel.url + _INDEX, method="HEAD")  # noqa: S310 - http or https: not remote else
    try:
        with urllib.request.build_opener(*openers, *proxies).open(request, timeout=seconds):
            return ""
    except urllib.error.HTTPError as error:
        return f"HTTP status {error.code}" if error.code >= _TROUBLED else ""
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))


def _context(verify: str) -> ssl.SSLContext:
    if verify == "false":
        return ssl._create_unverified_context()  # noqa: S323, SLF001 - the user's own `ssl_verify: false`
    return ssl.create_default_context(cafile=None if verify in {"true", "truststore"} else verify)
