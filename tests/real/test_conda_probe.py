"""`mlops-lab-conda channels`: whether they answer, in time."""

from __future__ import annotations

import socket
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from support.conda_engine import Conda

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.conda_channel import Channel

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(sys.platform == "win32", reason="the channel is made of this machine's Pythons"),
]


@pytest.fixture
def conda(tmp_path: Path, workshop: dict[str, str], conda_channel: Channel) -> Conda:
    return Conda(tmp_path, {**workshop, **conda_channel.environ})


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and says nothing."""
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    held.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/x"
    for connection in held:
        connection.close()


def test_a_channel_in_a_folder_answers(conda: Conda) -> None:
    conda.file("name: lab\nchannels: [conda-forge]\ndependencies: [python]\n")
    assert conda.run("channels", "-f", "conda.yml").stdout == "conda-forge\n"


@pytest.mark.parametrize(
    ("channel", "reason"),
    [
        ("/nowhere/at-all", "there is no folder /nowhere/at-all"),
        ("http://127.0.0.1:9/x", "[Errno 111] Connection refused"),
        ("http://me:s3cret@127.0.0.1:9/x", "[Errno 111] Connection refused"),
    ],
)
def test_one_that_does_not_is_named_with_the_reason(conda: Conda, channel: str, reason: str) -> None:
    conda.file(f"name: lab\nchannels: [conda-forge, '{channel}']\ndependencies: [python]\n")
    done = conda.run("channels", "-f", "conda.yml", check=1)
    assert f" does not answer: {reason}\n" in done.stderr
    assert "hint: look at the network and the proxy, or map the channel to a mirror in .condarc\n" in done.stderr
    assert "s3cret" not in done.stdout + done.stderr


def test_a_host_that_says_nothing_is_not_waited_for(conda: Conda, silent: str) -> None:
    conda.file(f"name: lab\nchannels: ['{silent}', '{silent}/y']\ndependencies: [python]\n")
    started = time.monotonic()
    done = conda.run("channels", "-f", "conda.yml", "--timeout", "1", check=1)
    # urllib would wait for each address, and for each channel, one after the other.
    assert time.monotonic() - started < 20
    assert f"the channel {silent} does not answer: " in done.stderr
