"""A real conda channel in a folder, made in seconds from the interpreters and wheels at hand.

    python -m tests.support.conda_channel OUT

writes the channel to OUT/conda-forge, and to OUT/condarc a configuration in which `conda-forge` means that folder.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Relative, since the package is `support` for pytest and `tests.support` on the command line.
from .conda_package import SUBDIR, write
from .conda_packages import native_packages, wheel_package
from .conda_python import SERIES, find, python_package

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Future

    from .conda_package import Package
    from .conda_python import Build

__all__ = ["Channel", "ChannelError", "Missing", "make"]

# What one call of pip can fetch; conda-forge's pip depends on the two others. One package in two versions.
_WHEELS = (("pip", "setuptools", "wheel", "packaging==25.0"), ("packaging==24.2",))
_MORE = {"pip": ("setuptools", "wheel")}


class ChannelError(Exception):
    """The channel cannot be made, or not be changed."""


class Missing(ChannelError):
    """This machine lacks what the channel is made of: Linux, Pythons that can be copied, a C compiler."""


@dataclass(frozen=True)
class Channel:
    """A channel in a folder of its own below `root`; channels of one root share a .condarc.

    Attributes:
        root: Holds the channels' folders and `condarc`.
        name: What the channel is called in conda.yml.
        sealed: Whether it is shared, so that nothing may be added.
    """

    root: Path
    name: str = "conda-forge"
    sealed: bool = False

    @property
    def path(self) -> Path:
        """The folder that holds the subdirs."""
        return self.root / self.name

    @property
    def url(self) -> str:
        """The address of that folder."""
        return self.path.as_uri()

    @property
    def condarc(self) -> Path:
        """A .condarc in which this channel's name, and its neighbours', mean their folders."""
        return self.root / "condarc"

    @property
    def environ(self) -> dict[str, str]:
        """What every conda, and what acts as one, is told it with."""
        return {"CONDARC": str(self.condarc)}

    @property
    def pythons(self) -> tuple[str, ...]:
        """The versions of Python in it, the oldest first."""
        versions = {record["version"] for record in self.records() if record["name"] == "python"}
        return tuple(sorted(versions, key=lambda version: [int(part) for part in version.split(".")]))

    def records(self) -> list[dict[str, Any]]:
        """What its index says of every package, with the file's name as `fn`."""
        return [{**record, "fn": name} for subdir in ("noarch", SUBDIR) for name, record in self._index(subdir).items()]

    def add(self, *packages: Package) -> Channel:
        """Write packages into it and into its index; the channel comes to be with its first one."""
        return self.extend(packages)

    def extend(self, packages: Iterable[Package]) -> Channel:
        """Add packages one after the other; the index, then .condarc are written last."""
        if self.sealed:
            raise ChannelError(f"{self.path} is shared by all tests: add to a copy() of it")
        indexes = {subdir: self._index(subdir) for subdir in ("noarch", SUBDIR)}
        for package in packages:
            indexes[package.subdir][f"{package.stem}.conda"] = write(package, self.path / package.subdir)
        for subdir, index in indexes.items():
            text = {"info": {"subdir": subdir}, "packages": {}, "packages.conda": index, "repodata_version": 1}
            _replace(self.path / subdir / "repodata.json", json.dumps(text, indent=1, sort_keys=True))
        names = sorted(path.parent.parent.name for path in self.root.glob("*/noarch/repodata.json"))
        # JSON is YAML; a channel's folder is its address here and its name.
        _replace(self.condarc, json.dumps({"custom_channels": dict.fromkeys(names, self.root.as_uri())}, indent=1))
        return self

    def copy(self, root: Path) -> Channel:
        """The same channel below another root, to which more may be added; the packages' bytes are shared."""
        copied = Channel(root, self.name)
        shutil.copytree(self.path, copied.path, copy_function=_link)
        return copied.add()

    def _index(self, subdir: str) -> dict[str, Any]:
        path = self.path / subdir / "repodata.json"
        return json.loads(path.read_text(encoding="utf-8"))["packages.conda"] if path.exists() else {}


def _replace(path: Path, text: str) -> None:
    """Write a file anew: the old one may be a hard link to another channel's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.part")
    temporary.write_text(f"{text}\n", encoding="utf-8")
    temporary.replace(path)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def make(root: Path, *, environ: Mapping[str, str] | None = None, at_least: int = 1) -> Channel:
    """Make the channel with everything that the tests know of; what is there is replaced.

    Args:
        root: Gets the channel's folder and `condarc`.
        environ: The variables for pip, which fetches the wheels; None for this process' own.
        at_least: How many versions of Python are needed.

    Raises:
        Missing: The machine lacks Pythons that can be copied, or a C compiler.
        ChannelError: The wheels cannot be fetched.
    """
    if not sys.platform.startswith("linux"):
        raise Missing("the test channel is made of Linux programs")
    found = find()
    if len(found.builds) < at_least:
        here = ", ".join(build.version for build in found.builds) or "none"
        why = "".join(f"; {reason}" for reason in found.refused)
        wanted = ", ".join(SERIES)
        raise Missing(f"{at_least} CPythons of {wanted} that can be copied are needed, here: {here}{why}")
    try:
        native = list(native_packages())
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        raise Missing(f"the C library of the test channel cannot be compiled: {error}") from error
    channel = Channel(root)
    channel.condarc.unlink(missing_ok=True)
    shutil.rmtree(channel.path, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor() as pool:
        given = os.environ if environ is None else environ
        fetches = [pool.submit(_fetch, found.builds[0], words, Path(folder), given) for words in _WHEELS]
        pythons = (python_package(build) for build in found.builds)
        return channel.extend(itertools.chain(native, pythons, _wheels(fetches, Path(folder))))


def _wheels(fetches: Iterable[Future[None]], folder: Path) -> Iterator[Package]:
    for fetch in fetches:
        fetch.result()
    for wheel in sorted(folder.iterdir()):
        yield wheel_package(wheel, *_MORE.get(wheel.name.partition("-")[0], ()))


def _fetch(build: Build, requirements: Sequence[str], folder: Path, environ: Mapping[str, str]) -> None:
    """Download wheels from the index that the machine is configured to use, with the pip that every CPython brings."""
    argv = [
        str(build.executable),
        "-I",
        str(build.pip_wheel / "pip"),
        "download",
        "--quiet",
        "--no-deps",
        "--retries=2",
    ]
    done = subprocess.run(
        [*argv, "--only-binary", ":all:", "--dest", str(folder), *requirements],
        env={**environ, "PIP_REQUIRE_VIRTUALENV": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise ChannelError(f"pip cannot fetch {', '.join(requirements)}: {'; '.join(said)}")


def main(argv: Sequence[str] | None = None) -> int:
    """Make the channel in a folder; 1 where it cannot be made."""
    parser = argparse.ArgumentParser(description="Make a local conda channel from the Pythons and wheels at hand.")
    parser.add_argument("out", type=Path, help="gets conda-forge/ and condarc")
    started = time.monotonic()
    try:
        channel = make(parser.parse_args(argv).out.resolve())
    except ChannelError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    size = sum(record["size"] for record in channel.records())
    sys.stderr.write(
        f"{channel.path}: {len(channel.records())} packages, {size / 1e6:.0f} MB, Python {', '.join(channel.pythons)}, "
        f"in {time.monotonic() - started:.1f} s\nexport CONDARC={channel.condarc}\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
