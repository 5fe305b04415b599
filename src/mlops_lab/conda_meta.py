"""What conda's own records say of a prefix, read from `conda-meta`; standard library only, and no conda is asked.

Source: https://docs.conda.io/projects/conda/en/stable/dev-guide/deep-dives/install.html (the records of a prefix).
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

__all__ = [
    "FOLDER",
    "Replaced",
    "channels",
    "digests",
    "folders",
    "has_marker",
    "needed",
    "owned",
    "packages",
    "python_version",
    "records",
    "replaced",
    "requested",
    "scripts",
    "specs_of",
    "variables",
]

FOLDER = "conda-meta"
"""The folder that makes a prefix a conda environment."""
# Directly in site-packages: setuptools carries others inside.
_RECORDED = re.compile(r"(?:^|/)site-packages/[^/]+\.(?:dist-info/METADATA|egg-info/PKG-INFO)$")
_SEPARATORS = re.compile(r"[-_.]+")
_NAME = re.compile(r"(?:\S+::)?(?P<name>[A-Za-z0-9_][A-Za-z0-9_.-]*)")
# https://github.com/conda/conda/blob/main/conda/history.py
_SAID = re.compile(r"#\s*(?P<what>cmd|\w+ specs)\s*:\s*(?P<text>.*)")
_MAKES = re.compile(r"\benv (?P<how>create|update)\b")
# With what may stand in front of a channel's path: user, password and token.
_HOST = re.compile(r"^\w+://[^/]*(?:/t/[^/]*)?")


@dataclass(frozen=True)
class Replaced:
    """A Python package of conda's that somebody else installed over.

    Attributes:
        name: Its normalised name.
        conda: The version that conda's record has.
        now: The version that is there; empty where it is gone.
    """

    name: str
    conda: str
    now: str

    def __str__(self) -> str:
        """In words."""
        return f"{self.name} {self.conda} (now {self.now or 'gone'})"


def packages(prefix: Path) -> dict[str, str]:
    """The packages that conda installed: name → version, as the records' file names have them."""
    return {name: version for name, version, _build in map(_parts, _records(prefix))}


def records(prefix: Path) -> dict[str, str]:
    """The packages that conda installed: name → its record, `name-version-build`."""
    return {_parts(path)[0]: path.stem for path in _records(prefix)}


def channels(prefix: Path) -> dict[str, str]:
    """The channels that conda's packages came from, by name alone: an address may hold a token, or be a folder here."""
    found = {_parts(path)[0]: _read(path).get("channel") for path in _records(prefix)}
    return {name: _channel(said) if isinstance(said, str) else "" for name, said in found.items()}


def _channel(address: str) -> str:
    """`conda-forge` of `https://me:password@host/t/TOKEN/conda-forge/linux-64`; empty where there is the host alone."""
    path = _HOST.sub("", address).partition("?")[0]
    *_, channel, last = ["", "", *(part for part in re.split(r"[/\\]", path) if part)]
    return channel if re.fullmatch(r"noarch|(?:linux|osx|win|emscripten|wasi|freebsd|zos)-\w+", last) else last


def needed(prefix: Path) -> set[str]:
    """The names of the packages that packages of conda's need."""
    depends = (_read(path).get("depends") for path in _records(prefix))
    return {name for each in depends if isinstance(each, list) for text in each if (name := _name(str(text)))}


def _name(spec: str) -> str:
    match = _NAME.match(spec.strip())
    return match["name"].lower() if match else ""


def python_version(prefix: Path) -> str:
    """The version of the Python that conda installed; empty where it installed none."""
    return packages(prefix).get("python", "")


def has_marker(prefix: Path) -> bool:
    """Whether the embedded conda says that the prefix is its own."""
    return (prefix / FOLDER / "mlops-lab").is_file()


def _records(prefix: Path) -> list[Path]:
    return sorted(path for path in (prefix / FOLDER).glob("*.json") if path.stem.count("-") > 1)


def _parts(path: Path) -> tuple[str, str, str]:
    name, version, build = path.stem.rsplit("-", 2)
    return name, version, build


def _read(path: Path) -> Mapping[str, Any]:
    """A record; an empty one where it cannot be read, which the doctor reports."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _files(path: Path) -> list[str]:
    files = _read(path).get("files")
    return [name for name in files if isinstance(name, str)] if isinstance(files, list) else []


def digests(prefix: Path) -> dict[str, str]:
    """How the files of each record are: a digest of their paths, sizes and modification times; bytecode apart.

    The files are looked at, not read.
    """
    return {path.stem: _digest(prefix, path) for path in _records(prefix)}


def _digest(prefix: Path, path: Path) -> str:
    base, found = str(prefix), [str(path.stat().st_size)]
    for name in _files(path):
        if name.endswith(".pyc"):
            continue
        try:
            status = os.lstat(os.path.join(base, name))  # noqa: PTH118 - thousands of these: a Path costs more
        except OSError:
            found.append(f"{name} is missing")
        else:
            found.append(f"{name} {status.st_size} {status.st_mtime_ns}")
    return hashlib.blake2b("\n".join(found).encode(errors="surrogateescape"), digest_size=12).hexdigest()


def owned(prefix: Path) -> dict[str, str]:
    """The Python distributions that conda installed, as its records have them: normalised name → version."""
    return {name: version for name, version, _folder in _distributions(prefix)}


def replaced(prefix: Path, now: Mapping[str, str]) -> list[Replaced]:
    """The Python distributions of conda's that are not there any more as conda installed them.

    Args:
        prefix: The prefix.
        now: What is installed: normalised name → version.
    """
    return [
        Replaced(name, version, now.get(name, ""))
        for name, version, folder in _distributions(prefix)
        if not (prefix / folder).exists() or not _is_condas(prefix / folder)
    ]


def _is_condas(folder: Path) -> bool:
    """Whether the distribution there is still conda's: an installer that takes the same version says so itself."""
    try:
        return (folder / "INSTALLER").read_text(encoding="utf-8").strip() == "conda"
    except OSError:
        return True


def _distributions(prefix: Path) -> Iterator[tuple[str, str, str]]:
    for path in _records(prefix):
        yield from _of_record(path)


def _of_record(path: Path) -> Iterator[tuple[str, str, str]]:
    """A record's Python distributions: normalised name, version, folder."""
    files = [file for file in _files(path) if _RECORDED.search(file)]
    for folder in sorted({file.rpartition("/")[0] for file in files}):
        name, _, version = Path(folder).stem.partition("-")
        yield _SEPARATORS.sub("-", name).lower(), version.partition("-")[0], folder


def specs_of(prefix: Path, distributions: Iterable[str]) -> list[str]:
    """The packages of conda's that hold these Python distributions, as exact specs: `name=version=build`."""
    wanted = set(distributions)
    found = [
        "=".join(_parts(path))
        for path in _records(prefix)
        if any(name in wanted for name, _version, _folder in _of_record(path))
    ]
    return sorted(found)


def folders(prefix: Path) -> set[Path]:
    """Where the distributions of conda's are recorded that are still there."""
    return {
        prefix / folder
        for _name, _version, folder in _distributions(prefix)
        if (prefix / folder).exists() and _is_condas(prefix / folder)
    }


def variables(prefix: Path) -> dict[str, str]:
    """The variables that activation sets: those of the packages, then the environment's own, which win.

    Source: `env_vars.d` and `state`, https://docs.conda.io/projects/conda/en/stable/dev-guide/deep-dives/activation.html
    """
    found: dict[str, str] = {}
    for path in sorted((prefix / "etc" / "conda" / "env_vars.d").glob("*")):
        found |= _texts(_read(path))
    own = _read(prefix / FOLDER / "state").get("env_vars")
    return {**found, **_texts(own)} if isinstance(own, dict) else found


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: value for name, value in values.items() if isinstance(value, str)}


def scripts(prefix: Path, when: str, suffix: str) -> list[Path]:
    """The scripts that packages want the shell to run.

    Args:
        prefix: The prefix.
        when: `activate` or `deactivate`.
        suffix: The shell's, such as `.sh`.
    """
    found = sorted((prefix / "etc" / "conda" / f"{when}.d").glob(f"*{suffix}"))
    # What was set up last is taken down first.
    return found if when == "activate" else found[::-1]


# --- the history ---------------------------------------------------------------------------------------------------


def requested(prefix: Path, files: Collection[str]) -> dict[str, str]:
    """What somebody asked conda for by name, and has not removed since: name → spec, as conda's history has it.

    What an environment was made from and what one of the files asked for is nobody's word: it stands in the file.

    Args:
        prefix: The prefix.
        files: The names of the project's environment files.
    """
    found: dict[str, str] = {}
    for entry in _history(prefix):
        for name in map(_name, entry.get("remove", [])):
            found.pop(name, None)
        specs = {_name(spec): spec for spec in entry.get("update", [])}
        if _is_from_file(" ".join(entry.get("cmd", [])), files):
            found = {name: spec for name, spec in found.items() if name not in specs}
        else:
            found |= {name: spec for name, spec in specs.items() if name}
    return found


def _is_from_file(command: str, files: Collection[str]) -> bool:
    made = _MAKES.search(command)
    return bool(made and (made["how"] == "create" or any(word in files for word in re.split(r"[\s/\\=]+", command))))


def _history(prefix: Path) -> Iterator[dict[str, list[str]]]:
    """The commands of the history: `cmd`, `update` and `remove` → what stands there."""
    try:
        lines = (prefix / FOLDER / "history").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    entry: dict[str, list[str]] = {}
    for line in lines:
        if line.startswith("==>"):
            yield entry
            entry = {}
        elif match := _SAID.match(line.strip()):
            what, text = match["what"], match["text"]
            action = what.partition(" ")[0]
            action = {"install": "update", "create": "update", "uninstall": "remove"}.get(action, action)
            entry[action] = [text] if what == "cmd" else _listed(text)
    yield entry


def _listed(text: str) -> list[str]:
    """Specs in the form of Python's lists, or with commas between them, as older condas wrote them."""
    if not text.startswith("["):
        return [spec.strip() for spec in text.split(",") if spec.strip()]
    try:
        specs = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return []
    return [spec for spec in specs if isinstance(spec, str)]
