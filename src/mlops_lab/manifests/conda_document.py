"""conda.yml as what it asks for: of conda, and of pip in the list that conda hands to it."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

import yaml

from mlops_lab.errors import LabError, redact
from mlops_lab.manifests.asking import Asking
from mlops_lab.manifests.conda_env import is_python
from mlops_lab.manifests.constraints import from_conda
from mlops_lab.manifests.marked import composed, item, mapping, sequence, text
from mlops_lab.manifests.model import Document, PythonRange, Requirement
from mlops_lab.manifests.requirements_document import finish
from mlops_lab.manifests.unread import Notes

if TYPE_CHECKING:
    from pathlib import Path

    from mlops_lab.manifests.marked import Item

__all__ = ["document"]

# What conda and its like read; anything else is most often a slip.
KEYS = frozenset(
    {"name", "prefix", "channels", "dependencies", "variables", "platforms", "category", "channel_priority"}
)
SPEC = re.compile(
    r"(?:(?P<channel>[^\s\[\]]+)::)?(?P<name>[A-Za-z0-9_][A-Za-z0-9_.-]*)(?P<rest>$|[\s=<>!~\[*].*)", re.DOTALL
)
HINT = 'write for example: numpy, "numpy >=2,<3", numpy=2.1, conda-forge::numpy'


def document(file: Path, path: str) -> Document:
    """An environment file as what it says; what cannot be understood in it is left out and noted.

    Args:
        file: The file.
        path: The same, from the project's root.

    Raises:
        LabError: It is no YAML or holds no mapping, with line and column (code 2).
    """
    notes = Notes(path)
    root = composed(file)
    top = mapping(file, root, "the file", "write `name:`, `channels:` and `dependencies:`") if root else {}
    for key, node in top.items():
        if key not in KEYS:
            hint = f"choose from {', '.join(sorted(KEYS))}"
            notes.add(node.start_mark.line + 1, f'conda does not know "{key}:"', hint)
    requirements, pythons = list[Requirement](), list[PythonRange]()
    pip = Asking(path, notes)
    for entry in notes.attempt(1, partial(sequence, file, "dependencies", top.get("dependencies"))) or []:
        line = entry.start_mark.line + 1
        if isinstance(entry, yaml.MappingNode):
            notes.attempt(line, partial(_handed_on, file, entry, pip))
        elif said := notes.attempt(line, partial(item, file, "dependencies", entry)):
            notes.attempt(line, partial(_take, said, path, requirements, pythons))
    finish(pip)
    name = notes.attempt(1, lambda: text(file, "name", top.get("name")) or "")
    return Document(
        path=path,
        format="conda",
        role="manifest",
        requirements=(*requirements, *sorted(pip.requirements, key=lambda each: each.line)),
        pythons=tuple(pythons),
        unread=notes.sorted(),
        includes=tuple(pip.includes),
        limits=tuple(pip.limits),
        name=name or "",
    )


def _handed_on(file: Path, entry: yaml.Node, pip: Asking) -> None:
    """Conda's list for pip."""
    for key, value in mapping(file, entry, "dependencies").items():
        if key != "pip":
            hint = 'conda knows only pip there; quote a text that holds a colon and a space: "…"'
            line = entry.start_mark.line + 1
            pip.notes.add(line, f'"{key}:" is no list that conda hands to another installer', hint)
            continue
        for node in sequence(file, key, value):
            said = pip.notes.attempt(node.start_mark.line + 1, partial(item, file, "pip", node))
            words = re.sub(r"(?:^|\s)#.*", "", said.text).strip() if said else ""
            if said and words:
                pip.take(said.line, words)


def _take(said: Item, path: str, requirements: list[Requirement], pythons: list[PythonRange]) -> None:
    """One spec of conda's."""
    written = redact(" ".join(said.text.split()))
    match = SPEC.fullmatch(said.text.strip())
    if not match:
        raise LabError(f'"{written}" is no package spec', HINT)
    rest = match["rest"]
    if is_python(said.text):
        specifier = from_conda(rest, series=True)
        if specifier or rest.strip():
            pythons.append(PythonRange(specifier, path, said.line, written, "dependencies"))
        return
    requirements.append(
        Requirement(
            name=match["name"].lower(),
            specifier=from_conda(rest),
            path=path,
            line=said.line,
            text=written,
            kind="conda",
            source=redact(match["channel"] or ""),
        )
    )
