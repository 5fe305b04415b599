"""Channels: what a name stands for, and the credentials in an address."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops_lab.conda import channels, network
from mlops_lab.conda.channels import Channel
from mlops_lab.conda.config import Settings
from mlops_lab.errors import LabError, redact

SETTINGS = Settings(
    channel_alias="https://me:p%40ss@alias.example/t/tok/conda/",
    custom_channels={"mine": "file:///srv/channels", "pkgs": "https://pkgs.example"},
    custom_multichannels={"all": ("mine", "far")},
    default_channels=("pkgs/main", "https://r.example/r"),
)


@pytest.mark.parametrize(
    ("name", "urls"),
    [
        ("mine", ["file:///srv/channels/mine/"]),
        ("pkgs/main", ["https://pkgs.example/pkgs/main/"]),
        ("pkgs/main/linux-64", ["https://pkgs.example/pkgs/main/"]),
        ("far", ["https://alias.example/conda/far/"]),
        ("all", ["file:///srv/channels/mine/", "https://alias.example/conda/far/"]),
        ("defaults", ["https://pkgs.example/pkgs/main/", "https://r.example/r/"]),
        ("https://h.example:8080/a/b/noarch/", ["https://h.example:8080/a/b/"]),
        ("/srv/some where", None),
        ("./here", [f"{Path.cwd().as_uri()}/here/"]),
    ],
)
def test_what_a_name_stands_for(name: str, urls: list[str] | None) -> None:
    if urls is None:
        with pytest.raises(LabError, match="is no channel"):
            channels.resolve(name, SETTINGS)
    else:
        assert [channel.url for channel in channels.resolve(name, SETTINGS)] == urls


def test_what_a_bare_name_stands_for_by_default() -> None:
    (found,) = channels.resolve("conda-forge", Settings())
    assert (found.name, found.url.rpartition("/conda-forge")[2]) == ("conda-forge", "/")
    assert [channel.name for channel in channels.resolve("defaults", Settings())] == ["main", "r"]


def test_credentials_are_taken_out_of_an_address() -> None:
    (found,) = channels.resolve("https://me:s3:cr@t@h.example/t/tok-1/a", SETTINGS)
    assert found == Channel("https://h.example/a", "https://h.example/a/", "me", "s3:cr@t", "tok-1")
    (alias,) = channels.resolve("far", SETTINGS)
    assert (alias.user, alias.password, alias.token) == ("me", "p@ss", "tok")
    assert redact("see https://me:s3:cr@t@h.example/t/tok-1/a") == "see https://***@h.example/t/***/a"
    assert redact("/home/t/me/file and https://h/a/t") == "/home/t/me/file and https://h/a/t"


@pytest.mark.parametrize("name", ["", "a b", "https://", "http://h:port/x", "<x>"])
def test_what_is_no_channel(name: str) -> None:
    with pytest.raises(LabError) as caught:
        channels.resolve(name, SETTINGS)
    assert caught.value.code == 2
    assert caught.value.hint.startswith("write")


def test_which_channels_are_searched() -> None:
    settings = Settings(channel_alias="https://a.example", channels=("x", "y"))

    def names(*named: str, **how: bool) -> list[str]:
        return [channel.name for channel in channels.chosen(named, settings, **how)]

    assert names("b", "x") == ["b", "x", "y"]
    assert names("b", "nodefaults") == ["b"]
    assert names("b", override=True) == ["b"]
    assert [c.name for c in channels.chosen([], Settings(channel_alias="https://a.example"))] == ["conda-forge"]


def test_names_for_the_history() -> None:
    known = [Channel("forge", "https://a.example/forge/")]
    assert channels.canonical("https://a.example/forge/linux-64", known) == "forge"
    assert channels.canonical("https://a.example/other/", known) == "https://a.example/other"


def test_two_logins_on_one_host_are_refused() -> None:
    both = [Channel("a", "https://h/a/", "me", "x"), Channel("b", "https://h/b/", "you", "y")]
    with pytest.raises(LabError, match="two channels of h come with different credentials"):
        network._credentials(both)


def test_the_configuration_of_the_clients() -> None:
    settings = Settings(ssl_verify="false", proxy_servers={"https": "http://proxy:1"})
    text = network._toml(settings, [Channel("a", "https://h/a/", token="tok")])  # noqa: S106
    assert text.splitlines() == [
        "tls-no-verify = true",
        'mirrors = { "https://h/a" = ["https://h/t/tok/a"] }',
        'proxy-config.https = "http://proxy:1"',
    ]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("HTTP status client error (403 Forbidden) for url (https://h/a/x)", "the server wants credentials"),
        ("error for https://h/a/x\nCaused by: invalid peer certificate", "set ssl_verify in ~/.condarc"),
        ("error for https://h/a/x\nCaused by: not in the cache", "run it once without --offline"),
        ("error for https://h/a/x\nCaused by: Connection refused", "check its spelling"),
    ],
)
def test_what_is_said_of_a_failed_request(text: str, hint: str) -> None:
    known = [Channel("b", "https://h/b/"), Channel("a", "https://h/a/", where="conda.yml:2:3")]
    error = network.failure(OSError(text), known)
    assert error.message.startswith("conda.yml:2:3: channel a cannot be read: ")
    assert (error.code, error.hint.startswith(hint)) == (1, True)
