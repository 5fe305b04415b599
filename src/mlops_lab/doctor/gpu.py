"""The driver of this machine's GPU against the CUDA that the installed packages expect; nothing of it is an error.

Source: https://docs.nvidia.com/deploy/cuda-compatibility/ (minimum drivers of a CUDA major version).
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_lab import conda_meta
from mlops_lab.doctor.subject import listed, tell
from mlops_lab.runner import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlops_lab.doctor.subject import Subject
    from mlops_lab.findings import Finding

__all__ = ["MINIMUM", "find"]

MINIMUM: Mapping[int, str] = {11: "450.80.02", 12: "525.60.13", 13: "580.65.06"}
"""CUDA's major version → the oldest driver for Linux that runs programs made for it."""
DRIVER = Path("/proc/driver/nvidia/version")
LIBRARIES = (
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/lib/wsl/lib",
    "/usr/local/cuda/compat",
    "/usr/local/nvidia/lib64",
)
"""Where a driver puts libcuda; containers and WSL have places of their own."""

_VERSION = re.compile(r"(?:Kernel Module\D*?|^)(?:for \S+)?\s*(\d{3,}\.\d+(?:\.\d+)?)", re.MULTILINE)
_LOCAL = re.compile(r"\+cu(\d\d)\d?")
_NAMED = re.compile(r"(?:.*[-_])?(?:cu|cuda)(\d\d)(?:x)?(?:[-_].*)?")
_ASKED = re.compile(r"__cuda\s*[<>=~!]*\s*(\d+)")
_TOOLKITS = ("cudatoolkit", "cuda-version", "pytorch-cuda", "cuda-toolkit", "cuda-runtime", "cuda-cudart")


def find(subject: Subject) -> Iterator[Finding]:
    """Whether the driver is new enough for what is installed."""
    expected = _expected(subject)
    if not expected:
        return
    driver, newest = _driver(subject), max(expected)
    asks = f"{listed(expected[newest], 2)} expect{'s' if len(expected[newest]) == 1 else ''} CUDA {newest}"
    if not driver:
        why = f"{asks}, and this machine has no driver of NVIDIA's: it runs on the CPU here, as far as it can"
        yield tell("gpu", why, severity="note", otherwise="nothing, unless a GPU is meant to be here")
        return
    sides = [("the driver", driver), *((each, f"CUDA {newest}") for each in expected[newest][:2])]
    minimum = MINIMUM.get(newest, "")
    if minimum and _numbers(driver) < _numbers(minimum):
        why = f"{asks}, which needs a driver from {minimum} on, and this machine has {driver}"
        command = f"install NVIDIA's driver {minimum} or newer, or packages for an older CUDA"
        yield tell("gpu", why, severity="warning", otherwise=command, sides=sides)
    if not _library(subject):
        why = f"{asks}, and libcuda, which belongs to the driver {driver}, is nowhere on this machine"
        yield tell("gpu", why, severity="warning", otherwise="in a container: start it with the GPU", sides=sides)
    if len(expected) > 1:
        both = "; ".join(f"CUDA {major}: {listed(names, 3)}" for major, names in sorted(expected.items()))
        yield tell("gpu", f"packages for several CUDAs are installed: {both}", severity="note")


def _expected(subject: Subject) -> dict[int, list[str]]:
    """CUDA's major version → the packages that are made for it, the first by name first."""
    found: dict[int, list[str]] = {}
    condas = conda_meta.packages(subject.prefix) if subject.environment.conda else {}
    for name, version in condas.items():
        if name in _TOOLKITS and (major := version.partition(".")[0]).isdigit():
            found.setdefault(int(major), []).append(f"{name} {version}")
    for name, asked in _constrained(subject):
        found.setdefault(asked, []).append(name)
    for name, version in sorted(subject.names.items()):
        match = _LOCAL.search(version) or _NAMED.fullmatch(name)
        if match:
            found.setdefault(int(match[1]), []).append(f"{name} {version}")
    return found


def _constrained(subject: Subject) -> Iterator[tuple[str, int]]:
    """The packages of conda's that ask for `__cuda`, which stands for the driver, and which major version of it."""
    if not subject.environment.conda:
        return
    from mlops_lab.conda import records

    for record in records.read(subject.prefix)[0]:
        for text in record.data.get("depends") or ():
            if match := _ASKED.match(str(text)):
                yield f"{record.name} {record.version}", int(match[1])


def _driver(subject: Subject) -> str:
    """The version of the driver; empty without one. Only where the kernel does not say is a program asked."""
    if match := _VERSION.search(subject.text(DRIVER)):
        return match[1]
    program = shutil.which("nvidia-smi", path=subject.environ.get("PATH", ""))
    if program is None:
        return ""
    try:
        answer = subject.ask([program, "--query-gpu=driver_version", "--format=csv,noheader"])
    except CommandFailed:
        return ""
    return match[1] if (match := _VERSION.search(answer)) else ""


def _library(subject: Subject) -> bool:
    folders = (*LIBRARIES, *subject.environ.get("LD_LIBRARY_PATH", "").split(":"), str(subject.prefix / "lib"))
    return any(Path(folder, "libcuda.so.1").exists() for folder in folders if folder)


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]
