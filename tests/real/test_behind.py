"""What people do behind the files' back with the installers themselves, and that nothing is found where nobody did."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from mlops_lab import behind
from mlops_lab.choices import Request
from mlops_lab.engines import embedded
from mlops_lab.steps import open_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from support.conda_channel import Channel

    from mlops_lab.behind import Finding
    from mlops_lab.guide import Row

    Lab = Callable[..., subprocess.CompletedProcess[str]]
    Case = Callable[..., Path]

pytestmark = pytest.mark.real


class Nobody:
    """Watches, and tells nobody."""

    def say(self, text: str) -> None: ...

    def start(self, row: Row) -> None: ...

    def command(self, argv: Sequence[str]) -> None: ...

    def line(self, text: str) -> None: ...

    def finish(self, row: Row, seconds: float, *, ok: bool) -> None: ...


def found(root: Path, environ: Mapping[str, str]) -> list[Finding]:
    return behind.found(open_steps(Request(), start=root, environ=environ, observer=Nobody()))


def told(root: Path, environ: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(each.message, each.command) for each in found(root, environ)]


@pytest.mark.parametrize("hybrid", ["venv+uv", "pip+uv"])
def test_what_pip_and_uv_did_to_a_venv(lab: Lab, case: Case, workshop: dict[str, str], hybrid: str) -> None:
    root = case("small", "petit été")
    lab("setup", "--hybrid", hybrid, cwd=root)
    assert found(root, workshop) == []
    lab("run", "--", "python", "-m", "pip", "install", "jinja2==3.1.6", "cowsay==6.0", cwd=root)
    lab("run", "--", "python", "-m", "pip", "uninstall", "--yes", "iniconfig", "small", cwd=root)
    there = found(root, workshop)
    assert [(each.package, each.command) for each in there] == [
        ("cowsay", "invoke install"),
        ("iniconfig", "invoke install"),
        ("jinja2", "invoke add jinja2"),
        ("small", "invoke install"),
    ]
    assert there[0].message == "cowsay 6.0 is installed, cowsay 6.1 is locked"
    assert there[2].message.startswith("jinja2 3.1.6 is installed with its requirements (markupsafe ")
    assert there[2].otherwise == "`invoke install` takes them away again"
    # And so it does.
    lab("install", cwd=root)
    assert found(root, workshop) == []
    installed = lab("run", "--", "python", "-m", "pip", "freeze", cwd=root).stdout
    assert "cowsay==6.1" in installed
    assert "Jinja2" not in installed


def test_what_somebody_installed_is_made_official(lab: Lab, case: Case, workshop: dict[str, str]) -> None:
    root = case("small")
    lab("setup", "--hybrid", "venv+uv", cwd=root)
    lab("run", "--", "python", "-m", "pip", "install", "jinja2", cwd=root)
    (finding,) = found(root, workshop)
    told = lab("check", cwd=root, check=1)
    assert f"{finding.message}: `mlops-lab add jinja2`; `mlops-lab install` takes them away again\n" in told.stdout
    assert told.stderr.startswith("error: the environment is not as the files have it: jinja2: each line above names ")
    lab(*finding.command.split()[1:], cwd=root)
    assert found(root, workshop) == []
    lab("check", cwd=root)


@pytest.mark.parametrize("hybrid", ["conda+uv"])
def test_what_pip_and_conda_did_to_a_conda_environment(
    lab: Lab, case: Case, conda_channel: Channel, tmp_path: Path, workshop: dict[str, str], hybrid: str
) -> None:
    root = case("native")
    given = {**conda_channel.environ, "CONDA_ENVS_DIRS": str(tmp_path / "envs")}
    environ, prefix = {**workshop, **given}, tmp_path / "envs" / "native"

    def run(*words: str) -> None:
        lab(*words, cwd=root, environ=given)

    def conda(*words: str) -> None:
        subprocess.run([*embedded().argv, *words], cwd=root, env=environ, check=True, capture_output=True)

    run("setup", "--hybrid", hybrid, "--conda", "embedded")
    assert told(root, environ) == []
    conda("install", "-p", str(prefix), "packaging=24.2", "libhello=1.0")
    run("run", "--", "python", "-m", "pip", "install", "pyjokes==0.8.3")
    libhello = (
        "libhello 1.0 was installed with conda, libhello 1.1 was there at the last setup",
        'invoke add --conda "libhello=1.0"',
    )
    packaging = (
        "packaging 24.2 was installed with conda, and conda.yml does not declare it",
        'invoke add --conda "packaging=24.2"',
    )
    pyjokes = ("pyjokes 0.8.3 is installed, and no file declares it", "invoke add pyjokes")
    assert told(root, environ) == [libhello, packaging, pyjokes]
    # An installation makes none of it right.
    run("install")
    assert pyjokes in told(root, environ)
    assert found(root, environ)[-1].otherwise.startswith("`invoke run -- python -m pip uninstall pyjokes`")
    run("run", "--", "python", "-m", "pip", "uninstall", "--yes", "pyjokes", "cowsay")
    conda("remove", "-p", str(prefix), "libhello")
    assert [each.command for each in found(root, environ) if each.package in {"cowsay", "libhello", "pyjokes"}] == [
        "invoke install",
        "invoke setup",
    ]
    run("setup")
    assert told(root, environ) == []


def test_what_a_real_conda_did_to_an_environment(
    lab: Lab, case: Case, conda_channel: Channel, tmp_path: Path, workshop: dict[str, str]
) -> None:
    conda = shutil.which("conda")
    if conda is None:
        pytest.skip("there is no conda on PATH")
    root = case("native")
    given = {**conda_channel.environ, "CONDA_ENVS_DIRS": str(tmp_path / "envs"), "PATH": os.environ["PATH"]}
    environ, prefix = {**workshop, **given}, tmp_path / "envs" / "native"
    lab("setup", "--hybrid", "conda+uv", "--conda", "conda", cwd=root, environ=given)
    assert told(root, environ) == []
    argv = [conda, "install", "--yes", "-p", str(prefix), "packaging=24.2"]
    subprocess.run(argv, cwd=root, env=environ, check=True, capture_output=True)
    (finding,) = found(root, environ)
    assert finding.message == "packaging 24.2 was installed with conda, and conda.yml does not declare it"
    lab("setup", "--conda", "conda", cwd=root, environ=given)
    assert told(root, environ) == []
