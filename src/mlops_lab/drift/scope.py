"""What a file is for: its name and its header may say less than every Python and platform of the project."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from mlops_lab.drift.versions import allows

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from mlops_lab.drift.places import Place, Places
    from mlops_lab.manifests.model import Document

__all__ = ["is_of_a_release", "scope_of"]

_RELEASE = re.compile(r"(?<![a-z0-9.])v?\d+\.\d+")
"""A version in a file's name: requirements of one release, or for one version of something else."""
_PYTHON = re.compile(r"(?:^|[^a-z])(?:py|python|cp)-?(3)[._-]?(\d{1,2})(?![0-9])|(?<![a-z0-9.])(3)\.(\d{1,2})(?![.\d])")
_PLATFORMS: Mapping[str, str] = {
    **dict.fromkeys(("linux", "manylinux", "ubuntu"), "linux"),
    **dict.fromkeys(("darwin", "mac", "macos", "osx"), "darwin"),
    **dict.fromkeys(("win", "win32", "win64", "windows"), "win32"),
}


def scope_of(document: Document, found: Places) -> list[Place]:
    """The places that a file is for."""
    python, platform = _named_for(document)
    here = [
        place
        for place in found.every
        if python in {"", place.variables["python_version"]} and platform in {"", place.variables["sys_platform"]}
    ]
    pythons = [each.specifier for each in document.pythons] if document.format == "conda" else []
    return [place for place in here if _fits(pythons, place)] or here


def _fits(pythons: Sequence[str], place: Place) -> bool:
    full = place.variables["python_full_version"]
    return all(any(allows(specifier, each) for each in (full, f"{place.python}.99")) for specifier in pythons)


def _named_for(document: Document) -> tuple[str, str]:
    """The Python and the platform that the header of a file, or else its name, says; empty for every one."""
    stem = PurePosixPath(document.path).stem.lower()
    match, python, platform = _PYTHON.search(stem), "", ""
    if document.export:
        python, platform = ".".join(document.export.python.split(".")[:2]), _platform(document.export.platform)
    named = f"3.{match[2] or match[4]}" if match else ""
    return python or named, platform or _platform(stem)


def _platform(text: str) -> str:
    """What a name or a header calls a platform, such as `x86_64-unknown-linux-gnu` or `windows`."""
    return next((_PLATFORMS[word] for word in re.split(r"[^a-z0-9]+", text.lower()) if word in _PLATFORMS), "")


def is_of_a_release(document: Document, own: Collection[str]) -> bool:
    """Whether a requirements file is of one release of the project, or for one version of something else.

    Args:
        document: The file.
        own: What the project itself is called: who pins that installs a release, and not this checkout.
    """
    if document.format != "requirements":
        return False
    stem = PurePosixPath(document.path).stem.lower()
    named = bool(_RELEASE.search(stem)) and not _PYTHON.search(stem)
    return named or any(each.name in own and "==" in each.specifier for each in document.requirements)
