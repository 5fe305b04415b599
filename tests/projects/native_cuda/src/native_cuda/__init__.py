"""A project that needs a CUDA build: conda gives it one only where there is a CUDA driver, or is said to be."""

from __future__ import annotations

import sys
from pathlib import Path

import cowsay


def kind() -> str:
    """Which build of hello-gpu the environment has: `cpu` or `cuda`."""
    return Path(sys.prefix, "share", "hello-gpu", "kind").read_text(encoding="utf-8").strip()


def main() -> None:
    """Say which build was found."""
    cowsay.cow(kind())
