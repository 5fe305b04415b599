"""A small project: it has a command and needs what it declares."""

from __future__ import annotations

import cowsay
import pyjokes


def main() -> None:
    """Say a joke."""
    cowsay.cow(pyjokes.get_joke())
