"""The small packages of the test channel: wheels, a C library, its CUDA variants, one with a script."""

from __future__ import annotations

import base64
import configparser
import hashlib
import json
import shutil
import subprocess
import tempfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name, parse_wheel_filename

from .conda_package import PLACEHOLDER, File, Link, Package

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["native_packages", "wheel_package"]

_HELLO = """
static const char prefix[] = "PLACEHOLDER";
const char *hello_prefix(void) { return prefix; }
const char *hello_version(void) { return "VERSION"; }
"""
_MAIN = """
#include <stdio.h>
const char *hello_prefix(void);
const char *hello_version(void);
int main(void) { return printf("hello %s from %s\\n", hello_version(), hello_prefix()) < 0; }
"""
_POST_LINK = '#!/bin/sh\necho "linked $PKG_NAME $PKG_VERSION in $PREFIX" > "$PREFIX/postlink.log"\n'


def wheel_package(wheel: Path, *depends: str) -> Package:
    """A pure Python wheel as a noarch package, as conda-forge has it.

    Args:
        wheel: A wheel for every Python and platform.
        depends: What it depends on besides its own requirements; those under a marker are left out.
    """
    with zipfile.ZipFile(wheel) as archive:
        contents = {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    name, version, *_ = parse_wheel_filename(wheel.name)
    (record,) = (path for path in contents if path.count("/") == 1 and path.endswith(".dist-info/RECORD"))
    folder = record.removesuffix("/RECORD")
    metadata = HeaderParser().parsestr(contents[f"{folder}/METADATA"].decode())
    installer = b"conda\n"
    digest = base64.urlsafe_b64encode(hashlib.sha256(installer).digest()).rstrip(b"=").decode()
    contents[record] += f"{folder}/INSTALLER,sha256={digest},{len(installer)}\n".encode()
    contents[f"{folder}/INSTALLER"] = installer
    python = SpecifierSet(metadata.get("Requires-Python", ""))
    return Package(
        canonicalize_name(name),
        str(version),
        "pyh0000000_0",
        depends=(f"python {python}".strip(), *_requirements(metadata.get_all("Requires-Dist", [])), *depends),
        noarch="python",
        files={f"site-packages/{path}": File(data) for path, data in contents.items()},
        entry_points=tuple(_scripts(contents.get(f"{folder}/entry_points.txt", b"").decode())),
    )


def _requirements(lines: list[str]) -> Iterator[str]:
    for requirement in map(Requirement, lines):
        if requirement.marker is None:
            yield f"{canonicalize_name(requirement.name)} {requirement.specifier}".strip()


def _scripts(text: str) -> Iterator[str]:
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # a script's name keeps its case
    parser.read_string(text)
    if parser.has_section("console_scripts"):
        yield from (f"{name} = {target}" for name, target in parser.items("console_scripts"))


def native_packages() -> Iterator[Package]:
    """What only conda brings: a C library in two versions, what needs it and CUDA, and a post-link script.

    Raises:
        FileNotFoundError: There is no C compiler.
    """
    yield from (_libhello(version) for version in ("1.0", "1.1"))
    cuda, hello = "__cuda >=12", "libhello"
    yield Package("cuda-hello", "12.4", depends=(cuda, hello), files=_marker("cuda-hello", "12.4"))
    yield Package("hello-gpu", "1.0", "cpu_0", depends=(hello,), files=_marker("hello-gpu", "cpu"))
    yield Package("hello-gpu", "1.0", "cuda124_100", 100, depends=(hello, cuda), files=_marker("hello-gpu", "cuda"))
    script = File(_POST_LINK.encode(), 0o755)
    yield Package("postlink", "1.0", files={"bin/.postlink-post-link.sh": script, **_marker("postlink", "1.0")})


def _marker(name: str, text: str) -> dict[str, File]:
    return {f"share/{name}/kind": File(f"{text}\n".encode())}


def _libhello(version: str) -> Package:
    library, program = _compiled(version)
    return Package(
        "libhello",
        version,
        depends=("__glibc >=2.17",),
        files={
            "bin/hello": File(program, 0o755),
            "lib/libhello.so": Link("libhello.so.1"),
            "lib/libhello.so.1": File(library, 0o755),
            "share/libhello/where.txt": File(f"prefix={PLACEHOLDER}\n".encode()),
            "etc/conda/activate.d/libhello.sh": File(b'export HELLO_HOME="$CONDA_PREFIX/share/libhello"\n'),
            "etc/conda/activate.d/libhello.fish": File(b'set -gx HELLO_HOME "$CONDA_PREFIX/share/libhello"\n'),
            "etc/conda/deactivate.d/libhello.sh": File(b"unset HELLO_HOME\n"),
            "etc/conda/deactivate.d/libhello.fish": File(b"set -e HELLO_HOME\n"),
            "etc/conda/env_vars.d/libhello.json": File(json.dumps({"HELLO_MODE": "test"}).encode()),
        },
    )


def _compiled(version: str) -> tuple[bytes, bytes]:
    """The library, and the program that finds it from where it lies."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise FileNotFoundError("no C compiler: install gcc, or set PATH to where cc is")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        library, program = folder / "libhello.so.1", folder / "hello"
        (folder / "hello.c").write_text(_HELLO.replace("PLACEHOLDER", PLACEHOLDER).replace("VERSION", version))
        (folder / "main.c").write_text(_MAIN)
        # Relative names: a path of this folder in the result would change its hash.
        for words in (
            ["-shared", "-fPIC", "-Wl,-soname,libhello.so.1", "-o", library.name, "hello.c"],
            ["-Wl,-rpath,$ORIGIN/../lib", "-o", program.name, "main.c", library.name],
        ):
            subprocess.run([compiler, "-s", *words], cwd=folder, check=True, capture_output=True)
        return library.read_bytes(), program.read_bytes()
