"""The task that plans what runs where on GitHub."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.context import Context  # noqa: TC002 - Invoke reads the signatures

from mlops_lab.errors import LabError
from mlops_lab.tasks.face import guide_task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlops_lab.ci import Session
    from mlops_lab.project import Project

__all__ = ["matrix"]


@guide_task(
    help={
        "size": "full: each hybrid on each system and Python; small: each of the three once, for pull requests",
        "tag": "The other sessions that have this tag, instead of those of the hybrids",
        "json": "Print GitHub's matrix in one line, alone on standard output",
    }
)
def matrix(_: Context, size: str = "full", tag: str | None = None, json: bool = False) -> None:
    """Plan which sessions run on which systems and Pythons.

    nox is asked for the sessions; what else there is stands in pyproject.toml, all of it optional:
    [tool.mlops-lab.ci] systems = ["ubuntu-24.04"], pythons = ["3.12"], exclude = [{ system = "windows-*", hybrid =
    "conda+*" }], engines = [{ engine = "embedded", python = "3.12" }]. A session with the tag `every-python`, beside
    the one that is asked for, runs on each Python, all others on the first.
    """
    from mlops_lab import ci, noxfile
    from mlops_lab.guide import nearest
    from mlops_lab.project import find

    sizes = {each: each for each in ci.SIZES}
    if size not in sizes:
        raise LabError(f"there is no size {size!r}", nearest(size, ci.SIZES))
    project = find(Path.cwd())
    settings, pythons = project.settings.ci, _pythons(project)
    if tag is None:
        listed = noxfile.of_hybrids(project.root, os.environ)
        found = ci.hybrids(_standing(project, listed), settings, pythons, sizes[size])
    else:
        found = ci.tagged(noxfile.with_tag(project.root, os.environ, tag), settings, pythons)
    if json:
        sys.stdout.write(ci.as_json(found) + "\n")
        return
    from mlops_lab.report import pages
    from mlops_lab.report.matrix import page

    pages.show_page(page(found))


def _standing(project: Project, sessions: Sequence[Session]) -> list[Session]:
    """The sessions of those hybrids that this project's files allow; the others would be skipped on every machine.

    Raises:
        LabError: It allows none (code 2).
    """
    from mlops_lab.choices import standing
    from mlops_lab.guide import hybrid_named

    found = []
    for session in sessions:
        stands = standing(project, hybrid_named(session.hybrid))
        if stands.why_not:
            sys.stderr.write(f"{session.name} is left out: {stands.why_not}: {stands.remedy}\n")
        else:
            found.append(session)
    if not found:
        raise LabError("no hybrid can run for this project", "the reasons stand above")
    return found


def _pythons(project: Project) -> tuple[str, ...]:
    """The Pythons that the project supports and mlops-lab runs on, which is installed there too."""
    from importlib.metadata import metadata

    from packaging.specifiers import SpecifierSet

    from mlops_lab import ci, locks

    own = metadata("mlops-lab")
    allowed = SpecifierSet(own["Requires-Python"])
    supported = [each for each in locks.supported(project) if f"{each}.99" in allowed]
    words = [text.rpartition(" :: ")[2] for text in own.get_all("Classifier", [])]
    return ci.pythons(project.settings.ci, supported, [word for word in words if word.startswith("3.")])
