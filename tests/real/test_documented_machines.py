"""The pages about a machine's way are done as they are written: its proxy, its index, no network, CUDA, an image."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.conda_package import Package
from support.dockerfile import Build
from support.documented import said
from support.index_server import Indexes, certificate, proxy, serving, wheel
from support.reader import reading

from mlops_lab import locks
from mlops_lab.doctor.gpu import DRIVER
from mlops_lab.guide import TOOL_KINDS
from mlops_lab.project import find
from mlops_lab.runner import Runner
from mlops_lab.toolbox import Toolbox

if TYPE_CHECKING:
    from support.conda_channel import Channel
    from support.reader import Reader

pytestmark = pytest.mark.real

PROJECTS = Path(__file__).parent.parent / "projects"
HOST = "index.example"
PIPS = ("PIP_CONFIG_FILE", "PIP_INDEX_URL", "PIP_CERT", "PIP_PROXY", "PIP_TRUSTED_HOST")
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
CACHES = ("PIP_CACHE_DIR", "UV_CACHE_DIR", "POETRY_CACHE_DIR", "MLOPS_LAB_CACHE_DIR")
ROUTES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
PYPROJECT = """[project]
name = "report"
version = "0.1.0"
requires-python = ">=3.11,<3.14"
dependencies = ["tabulate"]

[tool.poetry]
package-mode = false
"""


@pytest.fixture(scope="module")
def tools(workshop: dict[str, str]) -> None:
    """Every tool is on this machine before its index is changed."""
    toolbox = Toolbox(find(PROJECTS / "grouped"), Runner(None, workshop), avoid=(), environ=workshop)
    for name in [name for name, kind in TOOL_KINDS.items() if kind.parts]:
        toolbox.find(name)


@pytest.fixture(scope="module")
def wheels(workshop: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What the indexes have: a package of the real one, one of the team's own, and its build for a GPU."""
    root = tmp_path_factory.mktemp("wheels")
    fetch = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        f"--dest={root / 'all'}",
        "tabulate",
        "poetry-core",
    ]
    subprocess.run(fetch, env=workshop, check=True, capture_output=True)
    wheel(root / "team", "accelerated", "1.0")
    wheel(root / "cu121", "accelerated", "1.0+cu121")
    return {"": root / "all", "team": root / "team", "cu121": root / "cu121"}


@pytest.mark.usefixtures("tools")
def test_behind_a_proxy(tmp_path: Path, workshop: dict[str, str], wheels: dict[str, Path]) -> None:
    try:
        certified = certificate(tmp_path / "certificates", HOST)
    except FileNotFoundError:
        pytest.skip("there is no openssl to make a certificate")
    with (
        serving(Indexes(wheels), certified) as indexes,
        proxy(HOST, indexes.port) as way,
        reading("docs/how-to/proxy.md", tmp_path, workshop) as reader,
    ):
        reader.stands_for |= {
            "http://proxy.example:3128": f"http://127.0.0.1:{way.port}",
            "/etc/ssl/certs/company.pem": str(certified.authority),
        }
        reader.type(f"unset {' '.join((*PIPS, *CERTIFICATES, *ROUTES))}")

        def project() -> None:
            (reader.empty() / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")

        def ask() -> None:
            indexes.user = ("you", "secret")

        def open_again() -> None:
            indexes.user = None
            reader.empty()

        reader.situations |= {
            "a project": project,
            "the index asks for a password": ask,
            "an empty folder": open_again,
        }
        reader.read()
    assert way.asked == {f"{HOST}:443"}
    assert indexes.asked == {("you", "secret")}
    holding = [path for path in reader.home.rglob("*") if path.is_file() and b":secret@" in path.read_bytes()]
    assert holding == []


def test_without_a_network(tmp_path: Path, workshop: dict[str, str], conda_channel: Channel) -> None:
    with reading("docs/how-to/air-gapped.md", tmp_path, workshop) as reader:
        reader.stands_for |= {
            "--python 3.11": f"--python 3.{sys.version_info.minor}",
            "/home/you": str(reader.home),
            "/srv/channels": str(conda_channel.root),
        }
        reader.situations |= {
            "a project": lambda: reader.committed("small"),
            "another machine, without a network": lambda: _moved(reader),
        }
        reader.read()


def _moved(reader: Reader) -> None:
    """Nothing is in a cache, and nothing answers; Python is here, and the tools' environment is not."""
    dead = " ".join(f"{name}=http://127.0.0.1:9" for name in ROUTES)
    reader.type(f"unset {' '.join((*PIPS, *CACHES))}; export {dead} NO_PROXY= no_proxy=")
    reader.type("git clean -q -d -x -f --exclude=/uv.lock")


@pytest.mark.skipif(DRIVER.exists(), reason="there is a driver of NVIDIA's: the page shows a machine without one")
def test_cuda(tmp_path: Path, workshop: dict[str, str], conda_channel: Channel, wheels: dict[str, Path]) -> None:
    # As the real ones: the build for CUDA asks for the driver.
    channel = conda_channel.copy(tmp_path / "channels").add(
        Package("cuda-version", "12.6", constrains=("__cuda >=12",)),
        Package("pytorch", "2.5.1", "cuda126_generic_200", depends=("__cuda", "cuda-version >=12.6,<13")),
    )
    with (
        serving(Indexes(wheels)) as indexes,
        reading("docs/how-to/cuda.md", tmp_path, workshop, channel) as reader,
    ):
        reader.type("export NO_PROXY=127.0.0.1 no_proxy=127.0.0.1")
        reader.stands_for[f"https://{HOST}"] = f"http://127.0.0.1:{indexes.port}"
        reader.read()
        assert locks.differences(find(Path(reader.type("pwd").printed.strip()))) == []


def test_the_image(tmp_path: Path, workshop: dict[str, str]) -> None:
    with reading("docs/how-to/docker.md", tmp_path, workshop) as reader:
        reader.read()
        root = tmp_path / "image"
        root.mkdir()
        context = Path(reader.type("pwd").printed.strip())
        build = Build(context, root, lambda command: reader.type(command).printed)
        printed = build.make((context / "Dockerfile").read_text(encoding="utf-8"))
    (shown,) = [piece.text for piece in said("docs/how-to/docker.md") if piece.kind == "output"]
    assert printed.strip() == shown.strip()
    assert build.user != "root"
    assert sorted(build.copied) == ["dist/greeter-0.1.0-py3-none-any.whl", "requirements-image.txt"]
    installed = {path.name.partition("-")[0] for path in root.glob("opt/venv/lib/*/site-packages/*.dist-info")}
    assert installed - {"pip", "setuptools"} == {"greeter", "tabulate"}
    assert build.base.removeprefix("python:").removesuffix("-slim") in locks.supported(find(context))
