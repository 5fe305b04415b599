"""A project that needs a C library, which only conda brings: it lies in the environment's own lib folder."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import cowsay


def hello() -> tuple[str, str]:
    """The version of libhello, and the prefix that it was told when it was installed."""
    library = ctypes.CDLL(str(Path(sys.prefix, "lib", "libhello.so")))
    library.hello_version.restype = library.hello_prefix.restype = ctypes.c_char_p
    return library.hello_version().decode(), library.hello_prefix().decode()


def main() -> None:
    """Say which library was found, and where."""
    cowsay.cow(" ".join(hello()))
