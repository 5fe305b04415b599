"""Any file of a project that names packages or Pythons, read to the same shape: `Document`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mlops_lab.errors import LabError
from mlops_lab.manifests.model import Document, Pin, PythonRange
from mlops_lab.manifests.pyproject import at, read_bytes, read_toml
from mlops_lab.manifests.unread import Notes, as_unread

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mlops_lab.manifests.model import Role

__all__ = ["FORMATS", "discover", "format_of", "locked", "read", "read_lenient"]

FORMATS: Mapping[str, re.Pattern[str]] = {
    "pyproject.toml": re.compile(r"pyproject\.toml"),
    "poetry.lock": re.compile(r"poetry\.lock"),
    "uv.lock": re.compile(r"uv\.lock"),
    "pylock": re.compile(r"pylock(?:\.[^.]+)?\.toml"),
    "conda": re.compile(r"(?:(?:conda|environment)(?!-?lock)[\w.+-]*|[\w.+-]*[-_.]environment)\.ya?ml", re.IGNORECASE),
    "python-version": re.compile(r"\.python-version"),
    "requirements": re.compile(r"(?:[\w.+-]*[-_.])?(?:requirements?|constraints?)[\w.+-]*\.(?:txt|in)", re.IGNORECASE),
}
"""Format → the names of its files."""

FOLDERS = ("requirements", "reqs")
"""Folders that hold nothing but requirements."""
_ROLES: Mapping[str, Role] = {
    "poetry.lock": "lock",
    "uv.lock": "lock",
    "pylock": "lock",
    "requirements": "requirements",
}
_LOCKED = {"conda-lock.yml", "conda-lock.yaml"}
# `-r`, `-c` and their long forms; in UTF-16 there are NULs between the letters.
_LEADS_ON = re.compile(rb"""(?:\A|[\s\0'"\[,])-\0?-?\0?[rc]""")
_PLAIN = {".txt", ".in", ".pip", ".req", ".reqs"}
# Behind a slash stands an environment of that Python: https://github.com/pyenv/pyenv-virtualenv
_PYTHON = re.compile(r"(?:c?python[-@]?)?(?P<version>\d+(?:\.\d+)*(?:(?:a|b|rc)\d+)?)t?(?:/envs/\S+)?", re.IGNORECASE)


# --- which files ---------------------------------------------------------------------------------------------------


def discover(root: Path) -> list[Path]:
    """The files of a project that name packages or Pythons; quick, without a walk through its folders.

    Args:
        root: The project's folder.

    Returns:
        Those of the folder itself, those in `requirements/`, the manifests of the members of its workspace and of
        folders that it depends on, and what all of these include; in the order in which they are found, each once.
    """
    found: dict[Path, None] = {}
    for path in [*_in_folder(root), *(path for name in FOLDERS for path in _listed_in(root / name))]:
        _follow(path, root, found)
    return list(found)


def _in_folder(folder: Path) -> list[Path]:
    order = list(FORMATS)
    named = [(order.index(name), path) for path in _files(folder) if (name := _by_name(path.name))]
    return [path for _, path in sorted(named)]


def _listed_in(folder: Path) -> list[Path]:
    return sorted(path for path in _files(folder) if path.suffix in {".txt", ".in"} and not path.name.startswith("."))


def _files(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if _is_there(path)]
    except OSError:
        return []


def _is_there(path: Path) -> bool:
    """Whether something stands there that has to be read: a link that leads nowhere is told, not passed over."""
    return path.is_file() or (path.is_symlink() and not path.exists())


def _follow(path: Path, root: Path, found: dict[Path, None]) -> None:
    """A file, what it includes, and the members that it names."""
    if path in found or not _is_there(path):
        return
    found[path] = None
    if not _may_lead_on(path):
        return
    document = read_lenient(path, root)
    for name in (*document.includes, *document.limits):
        _follow(root / name, root, found)
    folders = [each.source for each in document.requirements if each.kind == "path" and "://" not in each.source]
    for folder in dict.fromkeys((*document.members, *folders)):
        member = root / folder / "pyproject.toml"
        if not folder.startswith((".", "/")):
            _follow(member, root, found)


def _may_lead_on(path: Path) -> bool:
    """Whether a file can name others: one look at its bytes spares reading most of them twice."""
    format_ = format_of(path)
    if format_ not in {"conda", "requirements"}:
        return format_ == "pyproject.toml"
    try:
        return _LEADS_ON.search(read_bytes(path)) is not None
    except LabError:
        return False


# --- reading -------------------------------------------------------------------------------------------------------


def format_of(path: Path) -> str:
    """The format of a file, by its name, or by its content where the name says nothing; empty: none of ours."""
    if name := _by_name(path.name):
        return name
    if path.name in _LOCKED:
        return ""
    if path.suffix in _PLAIN or (not path.suffix and "req" in path.name):
        return "requirements"
    if path.suffix in {".yml", ".yaml"}:
        return "conda"
    if path.suffix in {".toml", ".lock"}:
        return _by_content(path)
    return ""


def _by_name(name: str) -> str:
    if name in _LOCKED:
        return ""
    return next((format_ for format_, pattern in FORMATS.items() if pattern.fullmatch(name)), "")


def _by_content(path: Path) -> str:
    head = path.read_bytes()[:100_000] if path.is_file() else b""
    if b"lock-version" in head and b"[[packages]]" in head:
        return "pylock"
    if b"[[package]]" in head:
        return "poetry.lock" if b"generated by Poetry" in head or b"content-hash" in head else "uv.lock"
    return "pyproject.toml" if path.suffix == ".toml" else ""


def read(path: Path, root: Path) -> Document:
    """What a file says.

    Args:
        path: The file; its format is told by its name, or by its content where the name does not tell.
        root: The project's folder, from which all paths of the document count.

    Returns:
        The document; parts that cannot be understood are left out of it and stand in `unread`.

    Raises:
        LabError: The file as a whole cannot be read, with line and column (code 2).
    """
    name = _relative(path, root)
    format_ = format_of(path)
    if format_ == "requirements":
        from mlops_lab.manifests import requirements_document

        return requirements_document.document(read_bytes(path), name)
    if format_ == "conda":
        from mlops_lab.manifests import conda_document

        return conda_document.document(path, name)
    if format_ == "python-version":
        return _python_version(path, name)
    if not format_:
        hint = f"name one of: {', '.join(['*requirements*.txt', 'environment.yml', *list(FORMATS)[:4]])}"
        raise LabError(f"{path.name}: no file that names packages", hint)
    return _from_toml(format_, path, name)


def _from_toml(format_: str, path: Path, name: str) -> Document:
    if format_ == "pyproject.toml":
        from mlops_lab.manifests import project_document

        data, text = read_toml(path)
        return project_document.document(data, name, text, path.parent)
    from mlops_lab.manifests import lock_lines, poetry_lock, pylock, uv_lock

    data, text = lock_lines.tables(path)
    reader = {"poetry.lock": poetry_lock, "uv.lock": uv_lock, "pylock": pylock}[format_]
    reader.checked(path, data)
    found: Document = reader.document(data, name, text)
    return found


def read_lenient(path: Path, root: Path) -> Document:
    """What a file says; one that cannot be read at all is a document in which that is noted.

    Args:
        path: The file.
        root: The project's folder.
    """
    try:
        return read(path, root)
    except LabError as error:
        name = _relative(path, root)
        format_ = _by_name(path.name) or "requirements"
        role = _ROLES.get(format_, "manifest")
        return Document(path=name, format=format_, role=role, unread=(as_unread(error, name),))


def _relative(path: Path, root: Path) -> str:
    """A path from the root, with `/`; also of a file outside of it."""
    import os

    return os.path.relpath(path, root).replace(os.sep, "/")


def _python_version(path: Path, name: str) -> Document:
    """The file of pyenv and uv: https://docs.astral.sh/uv/concepts/python-versions/#python-version-files."""
    notes = Notes(name)
    from mlops_lab.manifests.requirements_document import decoded, numbered

    text = decoded(read_bytes(path), name, notes)
    pythons = []
    for number, line in numbered(text):
        words = line.partition("#")[0].strip()
        if not words:
            continue
        if match := _PYTHON.fullmatch(words):
            version = match["version"]
            specifier = f"=={version}" if version.count(".") > 1 or not version[-1].isdigit() else f"=={version}.*"
            pythons.append(PythonRange(specifier, name, number, words, "version"))
        else:
            notes.add(number, f'"{words}" is no version of Python', "write one such as 3.12")
    if not pythons and not notes.found:
        raise at(path, 1, 1, "no version of Python stands there", "write one such as 3.12, or delete the file")
    return Document(path=name, format="python-version", role="manifest", pythons=tuple(pythons), unread=notes.sorted())


# --- what a lock installs ------------------------------------------------------------------------------------------


def locked(
    document: Document, environment: Mapping[str, str], groups: Sequence[str], extras: Sequence[str] = ()
) -> dict[str, Pin]:
    """What a lock installs, by name.

    Args:
        document: A lock, or exported requirements, in which groups and extras have been decided already.
        environment: Every marker variable (`markers.marker_environment`).
        groups: Those beside the main dependencies, which always count.
        extras: The project's own extras that are asked for.

    Raises:
        LabError: It is no lock.
    """
    from mlops_lab.manifests import poetry_lock, pylock, uv_lock

    if document.format == "poetry.lock":
        return poetry_lock.pins_for(document, environment, groups, extras)
    if document.format == "uv.lock":
        return uv_lock.pins_for(document, environment, groups, extras)
    if document.format == "pylock":
        return pylock.pins_for(document, environment, groups, extras)
    if document.format == "requirements":
        passes = poetry_lock.Passing(environment, set())
        found: dict[str, Pin] = {}
        for pin in document.pins:
            if pin.name not in found and passes(pin.marker):
                found[pin.name] = pin
        return found
    raise LabError(f"{document.path}: no lock", "name poetry.lock, uv.lock, pylock.toml or exported requirements")
