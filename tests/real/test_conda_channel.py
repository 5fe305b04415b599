"""The test channel is a real one: its files are what its index says, and environments made of it work."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from support import conda_channel as channels
from support.conda_channel import Channel, ChannelError, Missing, make
from support.conda_package import PLACEHOLDER, SUBDIR, File, Link, Package
from support.conda_python import SERIES, _judge, find

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[2]
PROJECTS = ROOT / "tests" / "projects"

CUDA = {"CONDA_OVERRIDE_CUDA": "12.4"}
NO_CUDA = {"CONDA_OVERRIDE_CUDA": ""}

# A process of its own, which ends at once: Python's usual way out sometimes aborts after py-rattler was used.
INSTALL = """
import asyncio, json, os, sys
from pathlib import Path
from rattler import Channel, Gateway, MatchSpec, VirtualPackage, VirtualPackageOverrides, install, solve
from rattler.exceptions import SolverError

async def main(prefix, scripts, channels, specs):
    matches = [MatchSpec(spec) for spec in specs]
    virtual = VirtualPackage.detect(VirtualPackageOverrides.from_env())
    channels = [Channel(url) for url in channels]
    records = await solve(channels, matches, gateway=Gateway(), virtual_packages=virtual)
    await install(records, Path(prefix), show_progress=False, execute_link_scripts=scripts, cache_dir=Path("cache"))
    print(json.dumps({record.name.normalized: [str(record.version), str(record.build)] for record in records}))

code = 0
try:
    asyncio.run(main(*json.loads(sys.argv[1])))
except SolverError as error:
    print(error, file=sys.stderr)
    code = 1
sys.stdout.flush()
os._exit(code)
"""

# What the interpreter itself can import; the standard library of a copy has to be as complete.
MODULES = ("_bz2", "_ctypes", "_curses", "_decimal", "_lzma", "_sqlite3", "_ssl", "_uuid", "readline", "zlib")
IMPORTABLE = "import importlib.util, sys; print(*(name for name in sys.argv[1:] if importlib.util.find_spec(name)))"
LOOK = """
import json, ssl, sys, sysconfig
print(json.dumps([sys.prefix, sys.base_prefix, sys.path, sysconfig.get_paths(), sysconfig.get_config_vars()]))
"""


@dataclass(frozen=True)
class Made:
    """An environment that was made of the channel: its prefix, and name → version and build."""

    prefix: Path
    packages: Mapping[str, list[str]]

    def run(self, program: str, *words: str, **more: str) -> str:
        """What a program of the environment prints, given no help to find its own files."""
        environ = {"PATH": "/usr/bin:/bin", "HOME": str(self.prefix.parent), "PYTHONDONTWRITEBYTECODE": "1", **more}
        argv = [str(self.prefix / "bin" / program), *words]
        done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=False, cwd=self.prefix.parent)
        assert done.returncode == 0, f"{argv}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def install(
    tmp_path_factory: pytest.TempPathFactory, workshop: dict[str, str], conda_channel: Channel
) -> Callable[..., Made]:
    """Solve and install with py-rattler into a prefix of the test's own."""
    pytest.importorskip("rattler")
    folder = tmp_path_factory.mktemp("environments")

    def run(
        name: str, *specs: str, channels: tuple[Channel, ...] = (conda_channel,), scripts: bool = False, **more: str
    ) -> Made:
        given = json.dumps([str(folder / name), scripts, [channel.url for channel in channels], specs])
        done = subprocess.run(
            [sys.executable, "-c", INSTALL, given],
            cwd=folder,
            env={**workshop, **NO_CUDA, **more},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        return Made(folder / name, json.loads(done.stdout))

    return run


@pytest.fixture(scope="module", params=SERIES)
def environment(request: pytest.FixtureRequest, conda_channel: Channel, install: Callable[..., Made]) -> Made:
    """An environment with each Python, pip and the C library."""
    series: str = request.param
    if not any(version.startswith(f"{series}.") for version in conda_channel.pythons):
        pytest.skip(f"there is no Python {series} on this machine that can be copied")
    return install(f"python-{series}", f"python={series}", "pip", "libhello")


# --- the files -----------------------------------------------------------------------------------------------------


def frames(data: bytes) -> bytes:
    """What a zstd frame of blocks as they are holds, read independently of what wrote it."""
    assert data[:4] == bytes.fromhex("28b52ffd")
    assert data[4] == 0b1100_0000  # 8 bytes of length, a window, neither checksum nor dictionary
    size, at, out = int.from_bytes(data[6:14], "little"), 14, bytearray()
    while True:
        header = int.from_bytes(data[at : at + 3], "little")
        assert header >> 1 & 0b11 == 0  # as it is
        out += data[at + 3 : at + 3 + (header >> 3)]
        at += 3 + (header >> 3)
        if header & 1:
            assert (len(out), at) == (size, len(data))
            return bytes(out)


def unpacked(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The members of a package's two archives: path → bytes, or the target of a link."""
    with zipfile.ZipFile(path) as archive:
        assert sorted(archive.namelist()) == sorted(
            ["metadata.json", f"info-{path.stem}.tar.zst", f"pkg-{path.stem}.tar.zst"]
        )
        assert all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist())
        assert json.loads(archive.read("metadata.json")) == {"conda_pkg_format_version": 2}
        info, files = (_members(frames(archive.read(f"{kind}-{path.stem}.tar.zst"))) for kind in ("info", "pkg"))
    return info, files


def _members(data: bytes) -> dict[str, Any]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {
            member.name: member.linkname if member.issym() else _read(archive.extractfile(member))
            for member in archive.getmembers()
        }


def _read(file: Any) -> bytes:
    data: bytes = file.read()
    return data


def test_the_index_tells_the_truth_about_every_file(conda_channel: Channel) -> None:
    seen = set()
    for subdir in ("noarch", SUBDIR):
        index = json.loads((conda_channel.path / subdir / "repodata.json").read_text(encoding="utf-8"))
        assert (index["info"], index["packages"], index["repodata_version"]) == ({"subdir": subdir}, {}, 1)
        folder = conda_channel.path / subdir
        assert sorted(index["packages.conda"]) == sorted(path.name for path in folder.glob("*.conda"))
        for name, record in index["packages.conda"].items():
            data = (folder / name).read_bytes()
            assert record["size"] == len(data)
            assert record["md5"] == hashlib.md5(data, usedforsecurity=False).hexdigest()
            assert record["sha256"] == hashlib.sha256(data).hexdigest()
            assert name == f"{record['name']}-{record['version']}-{record['build']}.conda"
            assert record["subdir"] == subdir
            seen.add(record["name"])
    native = {"cuda-hello", "hello-gpu", "libhello", "postlink"}
    assert seen == native | {"packaging", "pip", "python", "setuptools", "wheel"}


def test_every_package_describes_its_own_files(conda_channel: Channel) -> None:
    for record in conda_channel.records():
        info, files = unpacked(conda_channel.path / record["subdir"] / record["fn"])
        index = json.loads(info["info/index.json"])
        assert index == {key: value for key, value in record.items() if key not in {"fn", "md5", "sha256", "size"}}
        assert {"build", "build_number", "depends", "name", "subdir", "version"} <= set(index)
        assert index.get("noarch") == ("python" if record["subdir"] == "noarch" else None)
        assert info["info/files"].decode().splitlines() == sorted(files)
        listed = json.loads(info["info/paths.json"])
        assert listed["paths_version"] == 1
        assert [entry["_path"] for entry in listed["paths"]] == sorted(files)
        for entry in listed["paths"]:
            assert_described(entry, files)
        if record["subdir"] == "noarch":
            link = json.loads(info["info/link.json"])
            assert (link["noarch"]["type"], link["package_metadata_version"]) == ("python", 1)


def assert_described(entry: dict[str, Any], files: dict[str, Any]) -> None:
    path = entry["_path"]
    if isinstance(files[path], str):
        assert entry["path_type"] == "softlink"
        target = str(Path(path).parent / files[path])
        assert isinstance(files[target], bytes)
        path = target
    else:
        assert entry["path_type"] == "hardlink"
        told = PLACEHOLDER.encode() in files[path]
        assert entry.get("prefix_placeholder") == (PLACEHOLDER if told else None)
        assert entry.get("file_mode") == (None if not told else "binary" if b"\0" in files[path] else "text")
    assert entry["size_in_bytes"] == len(files[path])
    assert entry["sha256"] == hashlib.sha256(files[path]).hexdigest()


def test_the_placeholder_is_as_long_as_conda_builds() -> None:
    assert len(PLACEHOLDER) == 255


def test_the_same_contents_make_the_same_package(tmp_path: Path) -> None:
    package = Package("same", "1.0", files={"share/a": File(b"a"), "share/b": Link("a")})
    one, two = (Channel(tmp_path / name).add(package) for name in ("one", "two"))
    assert one.records() == two.records()


def test_no_package_names_a_folder_of_this_machine(conda_channel: Channel) -> None:
    prefixes = [f"{build.prefix}/".encode() for build in find().builds]
    for record in conda_channel.records():
        _, files = unpacked(conda_channel.path / record["subdir"] / record["fn"])
        for path, data in files.items():
            assert isinstance(data, str) or not any(prefix in data for prefix in prefixes), path


# --- the Pythons -----------------------------------------------------------------------------------------------------


def test_a_venvs_python_leads_to_the_one_it_was_made_of(conda_channel: Channel, tmp_path: Path) -> None:
    for build in find().builds:
        folder = tmp_path / build.version
        argv = [str(build.executable), "-m", "venv", "--copies", "--without-pip", str(folder)]
        subprocess.run(argv, check=True, capture_output=True)
        assert _judge(folder / "bin" / build.executable.name) == build
        assert build.version in conda_channel.pythons


def test_a_python_that_cannot_be_copied_is_refused(environment: Made, tmp_path: Path) -> None:
    assert _judge(environment.prefix / "bin/python") == "part of a conda environment"
    assert _judge(tmp_path / "none") == "does not run (FileNotFoundError)"
    no_python = tmp_path / "python3.11"
    no_python.write_text("#!/bin/sh\necho hello\n", encoding="utf-8")
    no_python.chmod(0o755)
    assert _judge(no_python) == "does not run (JSONDecodeError)"


# --- channels that tests make ---------------------------------------------------------------------------------------


def test_the_shared_channel_takes_nothing_more(conda_channel: Channel) -> None:
    with pytest.raises(ChannelError, match=r"is shared by all tests: add to a copy\(\) of it"):
        conda_channel.add(Package("more", "1.0"))


def test_a_copy_takes_more_and_leaves_the_shared_one_alone(conda_channel: Channel, tmp_path: Path) -> None:
    before = conda_channel.records()
    copied = conda_channel.copy(tmp_path).add(Package("more", "1.0"), Package("libhello", "1.1", depends=("more",)))
    assert conda_channel.records() == before
    names = {(record["name"], record["version"]): record for record in copied.records()}
    assert names["libhello", "1.1"]["depends"] == ["more"]
    assert ("more", "1.0") in names
    assert len(names) == len({(record["name"], record["version"]) for record in before}) + 1
    theirs = {record["fn"]: record["sha256"] for record in before}
    file = conda_channel.path / SUBDIR / "libhello-1.1-0.conda"
    assert hashlib.sha256(file.read_bytes()).hexdigest() == theirs["libhello-1.1-0.conda"]
    assert json.loads(copied.condarc.read_text()) == {"custom_channels": {"conda-forge": tmp_path.as_uri()}}


def test_channels_of_one_root_share_a_condarc(tmp_path: Path) -> None:
    first, second = (Channel(tmp_path, name).add(Package("x", "1.0", name)) for name in ("first", "second"))
    assert first.environ == second.environ == {"CONDARC": str(tmp_path / "condarc")}
    assert json.loads(first.condarc.read_text()) == {
        "custom_channels": {"first": tmp_path.as_uri(), "second": tmp_path.as_uri()}
    }
    assert second.url == f"{tmp_path.as_uri()}/second"


def test_the_command_line_makes_the_same_channel(
    conda_channel: Channel, workshop: dict[str, str], tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.conda_channel", str(tmp_path)],
        cwd=ROOT,
        env={**workshop, "HOME": str(Path.home())},  # where pyenv and uv keep their Pythons
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    made = Channel(tmp_path)
    assert done.stderr.splitlines()[-1] == f"export CONDARC={made.condarc}"
    assert made.pythons == conda_channel.pythons
    assert made.records() == conda_channel.records()


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(Missing, match=r"^99 CPythons of 3\.11, .* that can be copied are needed, here: 3\."):
        make(tmp_path, at_least=99)
    assert not (tmp_path / "condarc").exists()


def test_a_machine_without_a_compiler_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: None)
    with pytest.raises(Missing, match=r"cannot be compiled: no C compiler: install gcc"):
        make(tmp_path)


def test_an_index_that_cannot_be_reached_is_no_reason_to_skip(
    workshop: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "python_package", lambda build: Package("python", build.version))
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_CACHE_DIR": str(tmp_path / "pip")}
    with pytest.raises(ChannelError, match=r"^pip cannot fetch pip, setuptools, .*No matching distribution") as caught:
        make(tmp_path, environ={**workshop, **nowhere})
    assert not isinstance(caught.value, Missing)
    assert not (tmp_path / "condarc").exists()


# --- environments ---------------------------------------------------------------------------------------------------


def test_an_environment_has_what_was_asked_for(environment: Made) -> None:
    assert set(environment.packages) == {"libhello", "packaging", "pip", "python", "setuptools", "wheel"}
    assert environment.packages["libhello"] == ["1.1", "0"]
    assert environment.packages["packaging"][0] == "25.0"
    (record,) = (environment.prefix / "conda-meta").glob("python-*.json")
    for path in json.loads(record.read_text(encoding="utf-8"))["files"]:
        assert (environment.prefix / path).exists(), path


def test_python_works_from_where_it_lies(environment: Made) -> None:
    version = environment.packages["python"][0]
    prefix, base, path, paths, config = json.loads(environment.run("python", "-I", "-c", LOOK))
    assert prefix == base == str(environment.prefix)
    assert environment.run("python3", "--version") == f"Python {version}\n"
    own = [entry for entry in path if not entry.endswith(".zip")]
    assert all(Path(entry).is_relative_to(environment.prefix) and Path(entry).is_dir() for entry in own)
    assert all(Path(entry).is_relative_to(environment.prefix) for entry in paths.values())
    assert Path(paths["include"], "Python.h").is_file()
    said = json.dumps([prefix, base, path, paths, config])
    assert "_placehold" not in said
    assert not [str(build.prefix) for build in find().builds if str(build.prefix) in said]


def test_python_loads_its_own_library(environment: Made) -> None:
    maps = environment.run("python", "-I", "-c", "import ctypes; print(open('/proc/self/maps').read())")
    loaded = {line.split()[-1] for line in maps.splitlines() if "python" in line}
    assert loaded
    assert all(Path(path).is_relative_to(environment.prefix) for path in loaded)


def test_python_has_every_module_of_the_one_it_was_made_of(environment: Made) -> None:
    version = environment.packages["python"][0]
    (build,) = (build for build in find().builds if build.version == version)
    argv = [str(build.executable), "-I", "-c", IMPORTABLE, *MODULES]
    modules = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    assert "_ssl" in modules
    assert "zlib" in modules
    environment.run("python", "-I", "-c", f"import {', '.join(modules)}, asyncio, ssl; ssl.create_default_context()")


def test_pip_works(environment: Made) -> None:
    pip = environment.packages["pip"][0]
    for program in (("pip",), ("python", "-m", "pip")):
        said = environment.run(*program, "--version")
        assert said.startswith(f"pip {pip} from {environment.prefix}/lib/python"), said
    assert environment.run("python", "-m", "pip", "check") == "No broken requirements found.\n"
    listed = json.loads(environment.run("python", "-m", "pip", "list", "--format=json"))
    packages = {package["name"]: package["version"] for package in listed}
    names = ("packaging", "pip", "setuptools", "wheel")
    assert packages == {name: environment.packages[name][0] for name in names}


def test_the_c_library_knows_its_prefix(environment: Made) -> None:
    assert environment.run("hello") == f"hello 1.1 from {environment.prefix}\n"
    where = (environment.prefix / "share/libhello/where.txt").read_text(encoding="utf-8")
    assert where == f"prefix={environment.prefix}\n"


def test_a_venv_can_be_made_with_it(environment: Made, tmp_path: Path) -> None:
    environment.run("python", "-m", "venv", str(tmp_path / "venv"))
    argv = [str(tmp_path / "venv/bin/python"), "-c", "import pip, sys; print(sys.prefix, sys.base_prefix)"]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert said == f"{tmp_path}/venv {environment.prefix}\n"


# --- what a solver has to choose ------------------------------------------------------------------------------------


def test_a_cuda_build_is_chosen_only_with_cuda(install: Callable[..., Made]) -> None:
    assert install("cpu", "hello-gpu").packages["hello-gpu"] == ["1.0", "cpu_0"]
    made = install("gpu", "hello-gpu", "cuda-hello", **CUDA)
    assert made.packages["hello-gpu"] == ["1.0", "cuda124_100"]
    assert made.packages["cuda-hello"] == ["12.4", "0"]
    with pytest.raises(RuntimeError, match="__cuda"):
        install("none", "cuda-hello")


def wanted(project: str) -> list[str]:
    """The dependencies that a project's conda.yml names."""
    text = (PROJECTS / project / "conda.yml").read_text(encoding="utf-8")
    specs: list[str] = yaml.safe_load(text)["dependencies"]
    return specs


def imported(made: Made, workshop: dict[str, str], project: str, expression: str) -> str:
    """What an expression gives in an environment, after the project's locked packages were installed there."""
    settings = {name: value for name, value in workshop.items() if name.startswith("PIP_")}
    requirements = PROJECTS / project / "requirements.txt"
    flags = ("--require-hashes", "--root-user-action=ignore")
    made.run("python", "-m", "pip", "install", *flags, "-r", str(requirements), **settings)
    source = f"import {project}; print(*{expression})"
    return made.run("python", "-c", source, PYTHONPATH=str(PROJECTS / project / "src")).strip()


def test_a_project_finds_its_c_library(install: Callable[..., Made], workshop: dict[str, str]) -> None:
    made = install("native", *wanted("native"))
    assert imported(made, workshop, "native", "native.hello()") == f"1.1 {made.prefix}"


def test_a_project_gets_its_cuda_build(install: Callable[..., Made], workshop: dict[str, str]) -> None:
    with pytest.raises(RuntimeError, match="__cuda"):
        install("native_cuda", *wanted("native_cuda"))
    made = install("native_cuda", *wanted("native_cuda"), **CUDA)
    assert imported(made, workshop, "native_cuda", "[native_cuda.kind()]") == "cuda"


def test_an_older_version_can_be_asked_for(install: Callable[..., Made]) -> None:
    made = install("older", "libhello=1.0", "packaging=24.2", "python")
    assert made.packages["libhello"][0] == "1.0"
    assert made.packages["packaging"][0] == "24.2"
    assert made.run("hello") == f"hello 1.0 from {made.prefix}\n"


def test_a_post_link_script_runs_where_it_may(install: Callable[..., Made]) -> None:
    made = install("linked", "postlink", scripts=True)
    log = (made.prefix / "postlink.log").read_text(encoding="utf-8")
    assert log == f"linked postlink 1.0 in {made.prefix}\n"
    assert not (install("unlinked", "postlink").prefix / "postlink.log").exists()


def test_a_pair_that_cannot_be_installed(install: Callable[..., Made], tmp_path: Path) -> None:
    channel = Channel(tmp_path).add(
        Package("left", "1.0", depends=("shared <2",)),
        Package("right", "1.0", depends=("shared >=2",)),
        Package("shared", "1.0"),
        Package("shared", "2.0"),
    )
    assert install("left", "left", channels=(channel,)).packages["shared"] == ["1.0", "0"]
    with pytest.raises(RuntimeError, match="shared"):
        install("both", "left", "right", channels=(channel,))


def test_the_first_channel_that_has_a_package_wins(install: Callable[..., Made], tmp_path: Path) -> None:
    first = Channel(tmp_path, "first").add(Package("tool", "1.0", "first"))
    second = Channel(tmp_path, "second").add(Package("tool", "2.0", "second"))
    assert install("first", "tool", channels=(first, second)).packages["tool"] == ["1.0", "first"]
    assert install("second", "tool", channels=(second, first)).packages["tool"] == ["2.0", "second"]
