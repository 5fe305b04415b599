"""Drift: the files of a project, and its environment, that disagree. Nothing is resolved, started or written."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from shlex import quote
from typing import TYPE_CHECKING

from mlops_lab.errors import LabError
from mlops_lab.findings import SEVERITIES, Findings
from mlops_lab.guide import LEADER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from mlops_lab.environment import Environment
    from mlops_lab.findings import Finding
    from mlops_lab.manifests.model import Document

__all__ = ["Subject", "compare", "examine", "subject_at"]

_WHAT: Mapping[str, str] = {
    "conda": "asked of conda",
    "poetry.lock": "locked by Poetry",
    "pylock": "locked",
    "pyproject.toml": "the manifest",
    "python-version": "the Python",
    "requirements": "asked of pip",
    "uv.lock": "locked by uv",
}
_NAMES = "name files such as pyproject.toml, conda.yml, requirements.txt, poetry.lock, uv.lock"


@dataclass(frozen=True)
class Subject:
    """What is examined.

    Attributes:
        root: The project's folder.
        leader: The manager that resolves.
        ignore: Globs of files and packages that are left alone.
        names: What the project says of conda's names: conda's name → the index' name, or nothing.
        environment: The project's environment; None where there is none.
        prefix: The folder that was asked for, which the commands then have to name; None: the project's usual one.
    """

    root: Path
    leader: str = LEADER
    ignore: Sequence[str] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    environment: Environment | None = None
    prefix: str | None = None


def subject_at(start: Path, environ: Mapping[str, str], prefix: str | None = None) -> Subject:
    """What is to be examined, seen from a folder: the project that it lies in, else the folder itself.

    Args:
        start: The folder.
        environ: The user's variables.
        prefix: The environment's folder; None: where the project's is.

    Raises:
        LabError: `[tool.mlops-lab]` says something wrong (code 2).
    """
    from mlops_lab.drift.installed import environment_of
    from mlops_lab.drift.leading import leader_at
    from mlops_lab.project import LOCKS, Settings, find

    root = next((folder for folder in (start, *start.parents) if (folder / "pyproject.toml").is_file()), start)
    settings, remembered = Settings(), None
    try:
        project = find(root)
        settings, remembered = project.settings, project.remembered("prefix")
    except LabError as error:
        # What is broken in the file has a line, and is a finding; what it says to us, and says wrongly, is an error.
        if error.message.startswith("pyproject.toml: "):
            raise
    there = environment_of(root, prefix, remembered, environ)
    if prefix is not None and there is None:
        raise LabError(
            f"there is no environment of this project at {prefix}", "name another one with --prefix, or leave it out"
        )
    leader = settings.leader or leader_at(root, LOCKS)
    return Subject(root, leader, settings.drift_ignore, settings.conda_names, there, prefix)


def examine(subject: Subject, files: Sequence[Path] = ()) -> Findings:
    """Read the files and compare them.

    Args:
        subject: What is examined.
        files: Only these: one is compared with all of the project's, several with each other.

    Raises:
        LabError: One of the files is not there, or is none that can be compared here, or there is none at all (code 2).
    """
    started = time.perf_counter()
    files = _each_once(files)
    read = [*_read(subject, files)]
    _refuse_others_locks(subject, read, files)
    if not (read or subject.environment):
        raise LabError(f"there is no file that names packages in {subject.root}", f"go to the project, or {_NAMES}")
    documents = [document for document in read if not _ignored(subject, document.path)]
    found = [each for each in compare(subject, documents) if not _ignored(subject, each.package)]
    if len(files) == 1:
        asked = _real(files[0])
        path = next((each.path for each in documents if _real(subject.root / each.path) == asked), "")
        found = [each for each in found if any(source.path == path for source in each.sources)]
    order = {document.path: number for number, document in enumerate(documents)}
    found.sort(key=lambda each: (SEVERITIES.index(each.severity), _place(each, order)))
    examined = {document.path: _what(document) for document in documents}
    if subject.environment and subject.environment.exists and not files[1:]:
        examined[str(subject.environment.prefix)] = "the environment"
    return Findings("drift", str(subject.root), found, examined, seconds=time.perf_counter() - started)


def _refuse_others_locks(subject: Subject, read: Sequence[Document], files: Sequence[Path]) -> None:
    """A lock is compared with the manifest beside it; elsewhere it would be read, and nothing said of it."""
    from mlops_lab.drift.files import LOCKS

    asked = {_real(path) for path in files}
    for document in read:
        if document.format in LOCKS and "/" in document.path and _real(subject.root / document.path) in asked:
            raise LabError(
                f"{document.path} is no lock of the project in {subject.root}",
                f"go to its own folder: cd {quote(document.path.rpartition('/')[0])}",
            )


def compare(subject: Subject, documents: Sequence[Document]) -> list[Finding]:
    """Every finding among these documents, one for each cause."""
    from mlops_lab.drift import declared, exported, installed, pythons, ranges, siblings, unread, whole
    from mlops_lab.drift.files import side_by_side
    from mlops_lab.drift.scope import is_of_a_release

    names = {each.name for each in documents if each.format == "pyproject.toml"}
    compared = [each for each in documents if _says_something(each) and not is_of_a_release(each, names)]
    files = side_by_side(compared, subject.leader, subject.names)
    leader = files.locks[0].manager if files.locks else subject.leader
    found = [*unread.found(documents, subject.root), *pythons.found(files, leader), *declared.found(files, leader)]
    found += whole.found(files, leader)
    files.behind |= {path for path, _ in files.told} & {lock.path for lock in files.locks}
    found += siblings.found(files, leader)
    found += exported.found(files, leader)
    found += ranges.found(files)
    if subject.environment is not None:
        found += installed.found(files, subject.environment, subject.root, subject.prefix)
    return found if (subject.root / "pyproject.toml").is_file() else [_without_recipes(each) for each in found]


def _without_recipes(finding: Finding) -> Finding:
    """A finding where there is no pyproject.toml, and so nothing that our own commands could work on."""
    last = finding.sources[-1].path
    otherwise = f"make {last} anew with the tool that made it" if finding.command else finding.otherwise
    return replace(finding, command="", otherwise=otherwise, mend="")


def _says_something(document: Document) -> bool:
    """Whether there is anything to compare in a file: one that is broken as a whole asks for nothing, as it seems."""
    return not document.unread or bool(document.requirements or document.pins or document.pythons)


def _ignored(subject: Subject, name: str) -> bool:
    return bool(name) and any(fnmatchcase(name, pattern) for pattern in subject.ignore)


def _read(subject: Subject, files: Sequence[Path]) -> Iterator[Document]:
    from mlops_lab.manifests import documents

    for path in files:
        if not path.is_file():
            raise LabError(f"there is no file {path}", _NAMES)
        if not documents.format_of(path):
            raise LabError(f"{path} is no file that names packages", _NAMES)
    paths = files if files[1:] else _each_once([*documents.discover(subject.root), *files])
    for path in paths:
        yield documents.read_lenient(path, subject.root)


def _each_once(paths: Iterable[Path]) -> list[Path]:
    found: dict[str, Path] = {}
    for path in paths:
        found.setdefault(_real(path), path)
    return [*found.values()]


def _real(path: Path) -> str:
    """A file, whatever it is called; `Path.resolve` refuses links that lead in a circle."""
    return os.path.realpath(path)


def _what(document: Document) -> str:
    count = len(document.pins) or len(document.requirements)
    number = f", {count} package{'s' if count != 1 else ''}" if count else ""
    return f"{_WHAT.get(document.format, document.format)}{number}"


def _place(finding: Finding, order: Mapping[str, int]) -> tuple[int, int, str]:
    last = finding.sources[-1]
    return order.get(last.path, len(order)), last.line, finding.package
