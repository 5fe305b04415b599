"""Environment markers: for which Pythons and platforms a requirement counts."""

from __future__ import annotations

import platform as machine
import sys
from functools import lru_cache
from typing import TYPE_CHECKING

from packaging.markers import InvalidMarker, Marker

from mlops_lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PLATFORMS", "holds", "marker_environment", "parsed"]

PLATFORMS: dict[str, dict[str, str]] = {
    "linux": {"os_name": "posix", "platform_system": "Linux", "platform_machine": "x86_64"},
    "darwin": {"os_name": "posix", "platform_system": "Darwin", "platform_machine": "arm64"},
    "win32": {"os_name": "nt", "platform_system": "Windows", "platform_machine": "AMD64"},
}
"""What the markers say on each platform, by `sys_platform`; the machine is the usual one."""


def marker_environment(python: str, platform: str | None = None) -> dict[str, str]:
    """The marker variables of a CPython.

    Args:
        python: `3.12` (which stands for 3.12.0) or `3.12.1`; pass the full version of a real interpreter, because
            markers such as `python_full_version < "3.11.3"` exist.
        platform: `linux`, `darwin` or `win32`; default: this machine, with its own architecture.

    Returns:
        The eleven variables of https://packaging.python.org/en/latest/specifications/dependency-specifiers/.

    Raises:
        LabError: An unknown platform.
    """
    name = platform or sys.platform
    if name not in PLATFORMS:
        raise LabError(f'unknown platform "{name}"', f"choose from {', '.join(PLATFORMS)}")
    here = name == sys.platform
    full = python if python.count(".") > 1 else f"{python}.0"
    variables = {
        "implementation_name": "cpython",
        "implementation_version": full,
        "platform_python_implementation": "CPython",
        "platform_release": machine.release() if here else "",
        "platform_version": machine.version() if here else "",
        "python_full_version": full,
        "python_version": ".".join(full.split(".")[:2]),
        "sys_platform": name,
    } | PLATFORMS[name]
    return variables | {"platform_machine": machine.machine()} if here else variables


@lru_cache(maxsize=4096)
def parsed(marker: str) -> Marker:
    """A marker.

    Raises:
        LabError: The text is none.
    """
    try:
        return Marker(marker)
    except (InvalidMarker, RecursionError) as error:
        raise LabError(f'"{marker}" is not an environment marker: {str(error).splitlines()[0]}') from error


def holds(marker: str | None, environment: Mapping[str, str]) -> bool:
    """Whether a marker is true in an environment; no marker always is.

    Raises:
        LabError: The text is not a marker.
    """
    return not marker or parsed(marker).evaluate(dict(environment))
