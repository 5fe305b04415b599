"""What people get wrong: every case is one clear error with its place and the next thing to try, and leaves nothing."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from support.conda_engine import Conda

if TYPE_CHECKING:
    from pathlib import Path

    from support.conda_channel import Channel

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(sys.platform == "win32", reason="the channel is made of this machine's Pythons"),
]

HEAD = "name: lab\nchannels: [conda-forge]\ndependencies:\n"
SPEC = 'write for example: numpy, "numpy >=2,<3", numpy=2.1, "numpy=2.1=py311*", conda-forge::numpy'
REACH = "check its spelling, the network and the proxy; `channels:` of the file and `conda info` name what is searched"
LOOSEN = "loosen one of the specs named above"
OVERRIDE = "write for example CONDA_OVERRIDE_CUDA=12.4; an empty value hides the package"


@pytest.fixture(scope="module")
def conda(tmp_path_factory: pytest.TempPathFactory, workshop: dict[str, str], conda_channel: Channel) -> Conda:
    return Conda(tmp_path_factory.mktemp("input"), {**workshop, **conda_channel.environ})


@pytest.mark.parametrize(
    ("text", "code", "message", "hint"),
    [
        ("", 2, "conda.yml:1:1: the file must hold a mapping, not nothing", "write `name:`"),
        ("- a\n", 2, "conda.yml:1:1: the file must hold a mapping, not a list", "write `name:`"),
        ("name: [\n", 2, "conda.yml:2:1: expected the node content", "correct the line: the file is not YAML"),
        (HEAD + "  - 3\n", 2, "conda.yml:4:5: dependencies must be a list of texts, not a number", ""),
        (HEAD + "  - npm: [x]\n", 2, 'conda.yml:4:5: "npm:" is no list that conda hands to', "conda knows only pip"),
        (HEAD + "  - numpy=>1\n", 2, 'conda.yml:4:5: "numpy=>1" is no package spec (unable to parse', SPEC),
        (HEAD + "  - bad spec with words\n", 2, 'conda.yml:4:5: "bad spec with words" is no package spec', SPEC),
        (HEAD + "  - pip install\n", 2, 'conda.yml:4:5: "pip install" is no package spec', SPEC),
        (HEAD + "  - nosuch >=1\n", 1, 'conda.yml:4:5: no channel has a package "nosuch" (searched: conda-forge)', ""),
        (HEAD + "  - python=3.9\n", 1, "conda.yml:4:5: no channel has python=3.9 (searched: conda-forge)", "there is"),
        (HEAD + "  - libhello=1.0\n  - libhello=1.1\n", 1, "conda.yml: no set of packages fits", LOOSEN),
        (HEAD + "  - cuda-hello\n", 1, "conda.yml: no set of packages fits", LOOSEN + "; without a GPU here, CONDA_"),
        (HEAD + "  - a/b.conda\n", 2, 'conda.yml:4:5: "a/b.conda" is a file: this conda takes', SPEC),
        ("name: lab\nchannels: [a b]\n", 2, 'conda.yml:2:12: "a b" is no channel', "write a name such as"),
        ("name: lab\nchannels: ['http://h:x/']\n", 2, 'conda.yml:2:12: "http://h:x" is no address', "write it as"),
        (
            "name: lab\nchannels: ['http://127.0.0.1:9/x']\ndependencies: [a]\n",
            1,
            "conda.yml:2:12: channel http://127.0.0.1:9/x cannot be read: Connection refused",
            REACH,
        ),
        (
            "name: lab\nchannels: ['http://me:s3cret@127.0.0.1:9/t/t0ken/x']\ndependencies: [a]\n",
            1,
            "conda.yml:2:12: channel http://127.0.0.1:9/x cannot be read: Connection refused",
            REACH,
        ),
        (
            "name: lab\nchannels: ['file:///nowhere']\ndependencies: [a]\n",
            1,
            "conda.yml:2:12: channel file:///nowhere cannot be read: failed to open file",
            REACH,
        ),
        ("dependencies: []\n", 2, "no environment is named", "add --name NAME or --prefix FOLDER"),
        ("name: base\n", 2, "base is the environment that a conda itself lives in", "name another environment"),
        ("name: a/b\n", 2, '"a/b" cannot be the name of an environment', "use neither"),
        (HEAD + "  - pip:\n    - -r no.txt\n", 2, "conda.yml:5:7: -r no.txt: No such file", "correct the path"),
        (HEAD + "variables: {PATH: x}\n", 2, "conda.yml:4:19: PATH cannot be a variable", "conda sets it"),
    ],
)
def test_a_file(conda: Conda, text: str, code: int, message: str, hint: str) -> None:
    conda.file(text)
    # An update of what is missing is a create: every other case takes that way.
    words = ["create"] if len(text) % 2 else ["update", "--prune"]
    done = conda.run("env", *words, "-f", "conda.yml", check=code)
    lines = done.stderr.splitlines()
    assert lines[0].startswith(f"error: {message}"), done.stderr
    assert lines[-1].startswith(f"hint: {hint}"), done.stderr
    assert "s3cret" not in done.stderr
    assert "t0ken" not in done.stderr
    assert done.stdout == ""
    assert conda.left() == []
    assert not (conda.home / ".conda/environments.txt").exists()


def test_a_file_that_is_not_there(conda: Conda) -> None:
    done = conda.run("env", "create", "-f", "gone.yml", check=2)
    assert done.stderr.startswith(f"error: gone.yml: no such file in {conda.folder}\n")
    assert conda.run("env", "update", check=2).stderr.startswith("error: environment.yml: no such file in ")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("channels: {a: b}\n", ":1:11: channels must be a list, not a mapping", "start each line with a hyphen"),
        ("a: [\n", ":2:1: expected the node content", "correct the line"),
        ("\nchannel_priority: best\n", ':2: no channel priority "best"', "choose from strict, flexible, disabled"),
        ("offline: maybe\n", ':1: "maybe" is neither true nor false', "write true or false"),
        ("channel_alias: h.example\n", ':1: "h.example" is no address', "write it with its scheme"),
        ("ssl_verify: /no/bundle\n", ":1: no file of certificates /no/bundle", "write true, false, or the path"),
    ],
)
def test_a_condarc(tmp_path: Path, conda: Conda, text: str, message: str, hint: str) -> None:
    path = tmp_path / "condarc"
    path.write_text(text)
    lines = conda.run("env", "list", environ={"CONDARC": str(path)}, check=2).stderr.splitlines()
    assert lines[0].startswith(f"error: {path}{message}")
    assert lines[1].startswith(f"hint: {hint}")


@pytest.mark.parametrize(
    ("words", "environ", "message"),
    [
        (["create", "-n", "x", "libhello"], {"CONDA_OVERRIDE_CUDA": "new"}, 'CONDA_OVERRIDE_CUDA: "new" is no version'),
        (["create", "-n", "x", "a>"], {}, '"a>" is no package spec'),
        (["create", "-n", "x", "a", "--override-channels"], {}, "--override-channels leaves no channel to search"),
        (["install", "-n", "x"], {}, "no package is named"),
        (["remove", "-n", "x", "a=1"], {}, '"a=1" is more than the name of a package'),
        (["remove", "-n", "x", "a"], {}, "{envs}/x does not exist"),
        (["env", "remove", "-n", "x"], {}, "{envs}/x does not exist"),
        (["list", "-n", "x"], {}, 'no environment is called "x"'),
        (["doctor", "-p", "/no/where"], {}, "/no/where is no conda environment"),
        (["list"], {}, "no environment is named"),
        (["env", "list"], {"CONDA_CHANNEL_PRIORITY": "x"}, 'CONDA_CHANNEL_PRIORITY: no channel priority "x"'),
        (["create", "-n", "x", "a"], {"CONDA_PKGS_DIRS": "/proc/no", "HOME": "/proc/no"}, "none of the folders of"),
    ],
)
def test_words(conda: Conda, words: list[str], environ: dict[str, str], message: str) -> None:
    done = conda.run(*words, environ=environ, check=2)
    assert done.stderr.startswith(f"error: {message.format(envs=conda.envs)}"), done.stderr
    assert "\nhint: " in done.stderr
    assert conda.left() == []


@pytest.mark.parametrize(
    "words", [["bogus"], ["env"], ["env", "bogus"], ["create", "--bogus"], ["list", "-n", "a", "-p", "b"]]
)
def test_words_that_argparse_refuses(conda: Conda, words: list[str]) -> None:
    assert conda.run(*words, check=2).stderr.startswith("usage: ")


def test_nothing_at_all(conda: Conda) -> None:
    assert conda.run(check=2).stderr.startswith("usage: ")
    assert conda.run("--version").stdout.startswith("mlops-lab ")
