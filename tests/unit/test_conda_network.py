"""What is handed to py-rattler's clients, and what is left of it afterwards."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from mlops_lab.conda import network
from mlops_lab.conda.channels import Channel
from mlops_lab.errors import LabError

LOGIN = Channel("http://host.example/x", "http://host.example/x/", user="u", password="s3cret")  # noqa: S106 - of nobody


@pytest.mark.parametrize("in_memory", [True, False], ids=["in memory", "in a file"])
def test_credentials_go_with_the_command(monkeypatch: pytest.MonkeyPatch, *, in_memory: bool) -> None:
    if not in_memory:
        monkeypatch.delattr(os, "memfd_create", raising=False)
    elif not hasattr(os, "memfd_create"):
        pytest.skip("this system has no files in memory")
    name = network._credentials([LOGIN])
    assert json.loads(Path(name).read_text("utf-8")) == {
        "host.example": {"BasicHTTP": {"username": "u", "password": "s3cret"}}
    }
    assert name.startswith("/proc/") is in_memory
    network.forget()
    assert Path(name).exists() is in_memory  # what is in memory ends with the process
    network.forget()


def test_one_host_has_one_login() -> None:
    other = Channel("http://host.example/y", "http://host.example/y/", user="u", password="other")  # noqa: S106 - of nobody
    with pytest.raises(LabError, match=r"^two channels of host.example come with different credentials: "):
        network._credentials([LOGIN, other])
