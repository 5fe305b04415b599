"""Match specs: conda's spellings are taken, rubbish is refused with its place."""

from __future__ import annotations

import pytest

from mlops_lab.conda import specs
from mlops_lab.conda.config import Settings
from mlops_lab.errors import LabError

SETTINGS = Settings(channel_alias="https://a.example")


@pytest.mark.parametrize(
    ("text", "match", "recorded"),
    [
        ("NumPy", "numpy", "numpy"),
        ("numpy >=2,<3", "numpy >=2,<3", "numpy >=2,<3"),
        ("numpy=2.1", "numpy 2.1.*", "numpy=2.1"),
        ("python=3.11.*=*_cpython", "python 3.11.* *_cpython", "python=3.11.*=*_cpython"),
        ("numpy 2.1 py311h_0", "numpy ==2.1 py311h_0", "numpy 2.1 py311h_0"),
        ("numpy=2.1=py311*", "numpy ==2.1 py311*", "numpy=2.1=py311*"),
        ("numpy!=2.1", "numpy !=2.1", "numpy!=2.1"),
        ("tzdata 2024a|2025b", "tzdata ==2024a|==2025b", "tzdata 2024a|2025b"),
        ("c::numpy", 'numpy[channel="https://a.example/c/"]', "c::numpy"),
        ("c/linux-64::numpy>=2", 'numpy >=2[channel="https://a.example/c/"]', "c/linux-64::numpy>=2"),
        ("numpy[version='>=2', channel=c]", 'numpy >=2[channel="https://a.example/c/"]', "c::numpy[version='>=2']"),
        ("numpy[channel='c',build=py*]", 'numpy[channel="https://a.example/c/", build="py*"]', "c::numpy[build=py*]"),
        ("numpy[channel=c]", 'numpy[channel="https://a.example/c/"]', "c::numpy"),
    ],
)
def test_what_is_taken(text: str, match: str, recorded: str) -> None:
    found = specs.parse(text, SETTINGS)
    got = str(found.match())
    assert (found.name, found.recorded) == (match.partition(" ")[0].partition("[")[0], recorded)
    if "build=" not in match:
        assert got == match


def test_credentials_stay_out_of_what_is_recorded() -> None:
    found = specs.parse("https://me:s3cr@h.example/t/tok/c::numpy", SETTINGS)
    assert found.recorded == "https://h.example/c::numpy"
    assert found.text == "https://***@h.example/t/***/c::numpy"
    assert found.channel is not None
    assert (found.channel.password, found.channel.token) == ("s3cr", "tok")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("numpy=>1", "unable to parse version spec: =>1"),
        ("numpy=", "unable to parse version spec: ="),
        ("numpy >=1,,<2", "unable to parse version spec: >=1,,<2"),
        ("=1", "missing package name"),
        ("bad spec with words", '"with words" is no build'),
        ("pip install", '"install" is no version'),
        ("*", '"*" looks like a glob'),
        ("x[a]", "invalid bracket"),
    ],
)
def test_what_is_refused(text: str, reason: str) -> None:
    with pytest.raises(LabError) as caught:
        specs.parse(text, SETTINGS, "conda.yml:3:5")
    assert caught.value.message.startswith(f'conda.yml:3:5: "{text}" is no package spec ({reason}')
    assert (caught.value.code, caught.value.hint) == (2, specs.HINT)


def test_a_file_is_no_spec() -> None:
    with pytest.raises(LabError, match="is a file: this conda takes packages from channels"):
        specs.parse("https://h.example/c/noarch/a-1-0.conda", SETTINGS)
