"""The pages about a project's way are done as they are written, from the tutorial's empty folder to a move to uv."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.reader import reading

if TYPE_CHECKING:
    from pathlib import Path

    from support.conda_channel import Channel

pytestmark = pytest.mark.real


def test_tutorial(tmp_path: Path, workshop: dict[str, str]) -> None:
    with reading("docs/tutorial.md", tmp_path, workshop) as reader:
        reader.read()


@pytest.mark.parametrize("page", ["your-project", "poetry-and-uv", "completion"])
def test_how_to(page: str, tmp_path: Path, workshop: dict[str, str], conda_channel: Channel) -> None:
    with reading(f"docs/how-to/{page}.md", tmp_path, workshop, conda_channel) as reader:
        reader.read()


@pytest.mark.parametrize("page", ["hybrids", "parity", "all-or-nothing"])
def test_explanation(page: str, tmp_path: Path, workshop: dict[str, str], conda_channel: Channel) -> None:
    with reading(f"docs/explanation/{page}.md", tmp_path, workshop, conda_channel) as reader:
        reader.situations["the other machine's inventory"] = lambda: reader.type("cp mine.json theirs.json")
        reader.read()
