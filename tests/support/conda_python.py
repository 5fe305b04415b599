"""A CPython of this machine as the conda package `python`: found, judged, copied and made relocatable."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from findpython.providers import ALL_PROVIDERS

from .conda_package import PLACEHOLDER, File, Link, Package

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SERIES", "Build", "Found", "find", "python_package"]

SERIES = ("3.11", "3.12", "3.13", "3.14")

_ASK = """
import json, os, sys, sysconfig
print(json.dumps({
    "prefix": sys.base_prefix,
    "version": "%d.%d.%d" % sys.version_info[:3],
    "level": sys.version_info.releaselevel,
    "implementation": sys.implementation.name,
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "stdlib": sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix}),
    "purelib": sysconfig.get_path("purelib"),
    "library": sysconfig.get_config_var("INSTSONAME") or "",
    "libdir": sysconfig.get_config_var("LIBDIR") or "",
}))
"""
_LEFT_OUT = re.compile(
    r"(^|/)(__pycache__|tests?|idlelib|turtledemo|tkinter|lib2to3|site-packages|pydoc_data)/"
    r"|/config-3[^/]*/(?!Makefile$)"
    r"|/(_test|_ctypes_test|_tkinter|_xxtestfuzz|xxlimited)[^/]*\.so$"
)
# Made when Python was built: they know its prefix. Other texts may name it, as an example.
_BUILT = re.compile(r"/(_sysconfigdata_[^/]*\.py|_sysconfig_vars_[^/]*\.json|build-details\.json|Makefile)$")


@dataclass(frozen=True)
class Build:
    """A CPython that works wherever it is copied to."""

    version: str
    prefix: Path
    library: str
    libdir: str

    @property
    def series(self) -> str:
        """Such as `3.12`."""
        return self.version.rpartition(".")[0]

    @property
    def executable(self) -> Path:
        """The interpreter itself."""
        return self.prefix / "bin" / f"python{self.series}"

    @property
    def pip_wheel(self) -> Path:
        """The wheel of pip that Python brings along."""
        return next((self.prefix / f"lib/python{self.series}/ensurepip/_bundled").glob("pip-*.whl"))


@dataclass(frozen=True)
class Found:
    """The newest build of each series, the oldest series first; and why the others are of no use."""

    builds: tuple[Build, ...]
    refused: tuple[str, ...]


def find() -> Found:
    """Look at every CPython of the series that findpython finds; nothing is downloaded."""
    builds: dict[str, Build] = {}
    refused: list[str] = []
    for path in sorted(_candidates()):
        build = _judge(path)
        if isinstance(build, str):
            refused.append(f"{path}: {build}")
        elif build.series not in builds or _numbers(builds[build.series]) < _numbers(build):
            builds[build.series] = build
    return Found(tuple(sorted(builds.values(), key=_numbers)), tuple(refused))


def _numbers(build: Build) -> tuple[int, ...]:
    return tuple(int(number) for number in build.version.split("."))


def _candidates() -> set[Path]:
    """Real paths, by name: to ask every Python of the machine for its version takes seconds."""
    found = set()
    for kind in ALL_PROVIDERS.values():
        provider = kind.create()
        for python in provider.find_pythons() if provider is not None else ():
            path = python.executable.resolve()
            # A shim is a script that starts another one, which its own provider finds.
            if path.name.removeprefix("python") in SERIES and path.parent.name != "shims":
                found.add(path)
    return found


def _judge(path: Path) -> Build | str:
    """What can be made of an interpreter: a build, or why none."""
    try:
        done = subprocess.run(
            [path, "-I", "-S", "-c", _ASK], stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=True
        )
        facts = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return f"does not run ({type(error).__name__})"
    build = Build(facts["version"], Path(facts["prefix"]).resolve(), facts["library"], facts["libdir"])
    stdlib = build.prefix / f"lib/python{build.series}"
    objections = {
        "not CPython": facts["implementation"] != "cpython",
        "a pre-release": facts["level"] != "final",
        "free-threaded": facts["free_threaded"],
        "part of a conda environment": (build.prefix / "conda-meta").is_dir(),
        "no site-packages of its own": Path(facts["purelib"]).name != "site-packages",
        "its library lies elsewhere": Path(facts["stdlib"]).resolve() != stdlib or not build.executable.is_file(),
        "it has no ensurepip": not any(stdlib.glob("ensurepip/_bundled/pip-*.whl")),
    }
    return next((reason for reason, holds in objections.items() if holds), build)


def python_package(build: Build) -> Package:
    """Copy what an environment needs of a CPython: no tests, no Tk, no debug information, no other package."""
    sources = dict(_sources(build))
    read = {path: source.read_bytes() for path, source in sources.items()}
    binaries = {path: data for path, data in read.items() if data.startswith(b"\x7fELF")}
    made = {path: _relocatable(path, data, build) for path, data in _stripped(binaries).items()}
    built = {path: _with_placeholder(data, build) for path, data in read.items() if _BUILT.search(path)}
    files: dict[str, File | Link] = {
        path: File(data, 0o755 if os.access(sources[path], os.X_OK) else 0o644)
        for path, data in {**read, **made, **built}.items()
    }
    for name in ("python", "python3"):
        files[f"bin/{name}"] = Link(build.executable.name)
    files[f"lib/python{build.series}/site-packages/README.txt"] = File(b"For the packages of this environment.\n")
    return Package("python", build.version, "0_cpython", depends=("__glibc >=2.17",), files=files)


def _sources(build: Build) -> Iterator[tuple[str, Path]]:
    """Path in the package, and the file of this machine."""
    yield f"bin/{build.executable.name}", build.executable
    for name in ("libpython3.so", build.library):
        if name.endswith(".so") or ".so." in name:
            library = Path(build.libdir, name)
            if library.is_file():
                yield f"lib/{name}", library
    for root in (f"lib/python{build.series}", f"include/python{build.series}"):
        for source in (build.prefix / root).rglob("*"):
            path = source.relative_to(build.prefix).as_posix()
            if not _LEFT_OUT.search(path) and source.is_file():
                yield path, source


def _stripped(binaries: dict[str, bytes]) -> dict[str, bytes]:
    """Without debug information: a fifth of the size. All at once, since most of them are small."""
    if not (strip := shutil.which("strip")):
        return binaries
    with tempfile.TemporaryDirectory() as folder:
        copies = {path: Path(folder, str(number)) for number, path in enumerate(binaries)}
        for path, copy in copies.items():
            copy.write_bytes(binaries[path])
        # What it cannot read it leaves as it is.
        subprocess.run([strip, "--strip-debug", *copies.values()], capture_output=True, check=False)
        return {path: copy.read_bytes() for path, copy in copies.items()}


def _relocatable(path: str, data: bytes, build: Build) -> bytes:
    """A program or library that finds libpython from where it lies, and knows nothing of where it was built."""
    up = "/".join(".." for _ in Path(path).parent.parts)
    libdir = Path(build.libdir)
    data = _renamed(data, libdir, f"$ORIGIN/{up}") if libdir.name == "lib" else data
    # Otherwise a copy that does not find its own files would quietly take those of this machine.
    return _renamed(data, build.prefix, "/nowhere")


def _renamed(data: bytes, path: Path, parent: str) -> bytes:
    """A path with another parent, where there is room for it.

    Nothing in an ELF file may move: what is missing to the old length is made up with slashes. Nor may the last part
    change: a linker stores a string that is the end of another one only once (`--version` printed `Python ______`).
    """
    old, head = str(path).encode(), parent.encode()
    room = len(old) - len(path.name)
    if len(head) >= room:
        return data
    return re.sub(re.escape(old) + rb"(?=[:/\0])", lambda _: head.ljust(room, b"/") + path.name.encode(), data)


def _with_placeholder(data: bytes, build: Build) -> bytes:
    return data.replace(str(build.prefix).encode(), PLACEHOLDER.encode())
