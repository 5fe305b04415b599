"""What `.condarc` and the variables say: places, order, expansion, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlops_lab.conda import config
from mlops_lab.errors import LabError
from mlops_lab.manifests import condarc

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own; what the machine's administrator says is left out."""
    monkeypatch.setattr(config, "SEARCH", tuple(place for place in config.SEARCH if not place.startswith("/")))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_without_any_file(home: Path) -> None:
    found = config.load({"HOME": str(home)})
    assert found == config.Settings(
        envs_dirs=(home / ".conda/envs",), pkgs_dirs=(home / ".conda/pkgs",), channel_priority="flexible"
    )


def test_the_order_of_the_files_is_condas(home: Path, tmp_path: Path) -> None:
    active, xdg, named = tmp_path / "active", tmp_path / "xdg", tmp_path / "rc"
    paths = [
        put(xdg / "conda/.condarc", "channels: [xdg]\n"),
        put(home / ".config/conda/condarc", "channels: [config]\n"),
        put(home / ".conda/.condarc", "channels: [own]\nchannel_alias: https://own.example\n"),
        put(home / ".conda/condarc.d/a.yml", "channels: [a]\n"),
        put(home / ".conda/condarc.d/b.yaml", "channels: [b]\n"),
        put(home / ".condarc", "channels: [home, own]\nchannel_alias: https://home.example\n"),
        put(active / ".condarc", "channels: [active]\n"),
        put(named, "channels: [named]\n"),
    ]
    put(home / ".conda/condarc.d/README", "not: [\n")
    environ = {"HOME": str(home), "XDG_CONFIG_HOME": str(xdg), "CONDA_PREFIX": str(active), "CONDARC": str(named)}
    assert list(config.files(environ)) == paths
    found = config.load({**environ, "CONDA_CHANNELS": "first, second"})
    assert found.channels == (
        "first", "second", "named", "active", "home", "own", "b", "a", "config", "xdg",
    )  # fmt: skip
    assert found.channel_alias == "https://home.example"
    assert found.sources == tuple(paths)


def test_every_key(home: Path, tmp_path: Path) -> None:
    text = """\
channel_alias: https://${HOST}/conda
channels: conda-forge
default_channels: [main, "https://$HOST/r"]
custom_channels: {mine: "file://$HOME/channels", other: ~}
custom_multichannels: {all: [mine, conda-forge]}
envs_dirs: [~/envs, $UNKNOWN/envs]
pkgs_dirs: ["~/pkgs"]
channel_priority: STRICT
offline: yes
verify_ssl: off
proxy_servers: {http: "http://me:pw@proxy:1"}
unknown: {anything: [1]}
"""
    put(home / ".condarc", text)
    found = config.load({"HOME": str(home), "HOST": "h.example"})
    assert found == config.Settings(
        channel_alias="https://h.example/conda",
        channels=("conda-forge",),
        default_channels=("main", "https://h.example/r"),
        custom_channels={"mine": f"file://{home}/channels"},
        custom_multichannels={"all": ("mine", "conda-forge")},
        envs_dirs=(home / "envs", (tmp_path.cwd() / "$UNKNOWN/envs"), home / ".conda/envs"),
        pkgs_dirs=(home / "pkgs", home / ".conda/pkgs"),
        channel_priority="strict",
        offline=True,
        ssl_verify="false",
        proxy_servers={"http": "http://me:pw@proxy:1"},
        sources=(home / ".condarc",),
    )


def test_the_variables(home: Path) -> None:
    bundle = put(home / "ca.pem", "")
    environ = {
        "HOME": str(home),
        "CONDA_ENVS_DIRS": "/a:~/b",
        "CONDA_PKGS_DIRS": "/p,/q",
        "CONDA_CHANNEL_PRIORITY": "disabled",
        "CONDA_OFFLINE": "1",
        "CONDA_SSL_VERIFY": str(bundle),
        "CONDA_CHANNEL_ALIAS": "https://v.example",
    }
    found = config.load(environ)
    assert [str(path) for path in found.envs_dirs] == ["/a", f"{home}/b", f"{home}/.conda/envs"]
    assert [str(path) for path in found.pkgs_dirs[:2]] == ["/p", "/q"]
    assert (found.channel_priority, found.offline) == ("disabled", True)
    assert (found.ssl_verify, found.channel_alias) == (str(bundle), "https://v.example")
    assert config.load({"HOME": str(home), "CONDA_ENVS_PATH": "/old"}).envs_dirs[0].name == "old"


def test_an_old_priority(home: Path) -> None:
    put(home / ".condarc", "channel_priority: true\n")
    assert config.load({"HOME": str(home)}).channel_priority == "flexible"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("channels:\n- 1\n", "/.condarc:2:3: channels must be a list of texts, not a number"),
        ("offline: perhaps\n", '/.condarc:1: "perhaps" is neither true nor false'),
        ("offline: [a]\n", "/.condarc:1:10: offline must be a single value, not a list"),
        ("custom_channels: {a: [b]}\n", "/.condarc:1:22: custom_channels: a must be text, not a list"),
        ("custom_multichannels: [a]\n", "/.condarc:1:23: custom_multichannels must hold a mapping, not a list"),
        ("channel_alias: h\n", '/.condarc:1: "h" is no address'),
        ("- a\n", "/.condarc:1:1: the file must hold a mapping, not a list"),
        ("\nssl_verify: /no\n", "/.condarc:2: no file of certificates /no"),
    ],
)
def test_a_broken_condarc(home: Path, text: str, message: str) -> None:
    put(home / ".condarc", text)
    with pytest.raises(LabError) as caught:
        config.load({"HOME": str(home)})
    assert caught.value.message == f"{home}{message}"
    assert caught.value.code == 2
    assert caught.value.hint


def test_an_empty_condarc(tmp_path: Path) -> None:
    path = put(tmp_path / ".condarc", "# nothing\n")
    assert condarc.read(path) == condarc.Condarc(path)
