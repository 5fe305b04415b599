"""The inventory of an environment as a document: what is installed, what it was made from, and whose choice it was.

`inventory.json` has a schema, `inventories.schema.json` beside this module. Equal environments that were made from
equal files give equal bytes, so it says neither when it was taken nor where. The hashes of single files, which are
many, stand in `inventory.files.json` beside it: they name the file where two packages differ, and nothing else needs
them.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_lab.errors import FOUND, WRONG, LabError
from mlops_lab.hints import hint_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "NAME",
    "SCHEMA",
    "CondaPackage",
    "Inventory",
    "Package",
    "Platform",
    "as_json",
    "fingerprint",
    "gather",
    "inputs_of",
    "is_name",
    "load",
    "paths",
    "put",
    "read",
    "schema",
    "write",
]

SCHEMA = "mlops-lab/inventory"
VERSION = 2
"""The first form had names and versions alone, and no schema."""
NAME = "inventory.json"
_OWNERS = ("", "conda", "lock", "seed", "project", "other")
_FILES = "mlops-lab/inventory-files"
_SHORT = 16
"""Characters of a hash that tell two files apart."""
_LARGEST = 64 << 20
"""Bytes; a larger file is no inventory."""
_LONGEST = 4000
"""Characters of a text in it."""
# https://packaging.python.org/en/latest/specifications/name-normalization/
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_SYSTEMS: Mapping[str, str] = {"macosx": "darwin", "win": "win32"}
_MAKE = "make one with `nox -s check`, or with `invoke parity --inventory FILE`"


@dataclass(frozen=True, slots=True)
class Package:
    """A Python package of an environment.

    Attributes:
        version: As its record has it.
        owner: Whose choice it is: `conda`; `lock`, the lock's; `seed` (pip, setuptools, wheel); `project`, the project
            itself; `other`, installed behind the files' back. Empty where nobody knows.
        locked: What the lock gives instead; empty where that is this version, or nothing.
        installer: Who installed it.
        source: `index`, or what was installed instead: `wheel`, `sdist`, `folder`, `editable`, `repository`; `unknown`
            where its record cannot be read.
        built: `wheel`; `sdist` where it had to be built on the machine; empty where nobody knows.
        tags: The tags of its wheel, which tell one wheel of a version from another.
        content: A digest of its files; empty where it has no record of them, and for the project itself.
        files: How many files that is.
    """

    version: str
    owner: str = ""
    locked: str = ""
    installer: str = ""
    source: str = ""
    built: str = ""
    tags: str = ""
    content: str = ""
    files: int = 0


@dataclass(frozen=True, slots=True)
class CondaPackage:
    """A package that conda installed, as its record has it; the channel's name, without its address."""

    version: str
    build: str = ""
    channel: str = ""


@dataclass(frozen=True, slots=True)
class Platform:
    """A machine: `linux`, `x86_64`, `glibc 2.36`, `linux-x86_64`; no libc where Python cannot tell it."""

    sys_platform: str = ""
    machine: str = ""
    libc: str = ""
    sysconfig: str = ""

    def __str__(self) -> str:
        """In words."""
        libc = self.libc.partition(" ")[0].removeprefix("glibc")  # the usual one
        return " ".join(part for part in (self.sys_platform, self.machine, libc) if part)


@dataclass(frozen=True)
class Inventory:
    """What is installed in an environment.

    Attributes:
        hybrid: The hybrid that made it.
        engine: The program that acted as conda; empty for a venv.
        python: Its version.
        implementation: Its implementation, such as `cpython`.
        platform: The machine.
        groups: The dependency groups beside main, sorted.
        extras: The project's own extras.
        tools: Tool → version, of those that made it.
        inputs: Name → SHA-256 of each manifest and lock that it was made from, line ends apart; an empty one where the
            file has changed since.
        derived: The inputs that were made from the others, and may be written otherwise by another tool.
        packages: Normalised name → package.
        conda: conda's name → package.
        missing: What the lock gives it and is not there: name → version.
        form: The version of the document that it was read from.
        origin: The file that it was read from, or the prefix; it is not written.
        paths: Name → path → short hash, where they are at hand; they are written beside.
    """

    hybrid: str
    python: str
    platform: Platform
    packages: Mapping[str, Package]
    engine: str = ""
    implementation: str = ""
    groups: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    tools: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    derived: tuple[str, ...] = ()
    conda: Mapping[str, CondaPackage] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    form: int = VERSION
    origin: Path = Path()
    paths: Mapping[str, Mapping[str, str]] | None = field(default=None, repr=False)

    @property
    def place(self) -> tuple[str, ...]:
        """What a marker or a wheel can depend on: Python, its series, the system, the machine, the C library's name."""
        series, libc = ".".join(self.python.split(".")[:2]), self.platform.libc.partition(" ")[0]
        # The first form says nothing of either: there, the usual ones are meant.
        usual = "glibc" if self.form == 1 and self.platform.sys_platform == "linux" else ""
        implementation = self.implementation or "cpython"
        return implementation, series, self.platform.sys_platform, self.platform.machine, libc or usual

    @property
    def is_condas(self) -> bool:
        """Whether conda made the environment."""
        return bool(self.conda or self.engine) or self.hybrid.startswith("conda+")


def is_name(name: str) -> bool:
    """Whether it is the normalised name of a package."""
    return _NAME.fullmatch(name) is not None


def schema() -> dict[str, Any]:
    """The JSON Schema of the document, as it is documented."""
    found: dict[str, Any] = json.loads(Path(__file__).with_name("inventories.schema.json").read_text(encoding="utf-8"))
    return found


def inputs_of(files: Mapping[str, Path]) -> dict[str, str]:
    """Name → SHA-256 of files; git may give a text other line ends on another system."""
    return {
        name: hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()
        for name, path in sorted(files.items())
    }


# --- writing -------------------------------------------------------------------------------------------------------


def as_json(inventory: Inventory) -> str:
    """The document; fields of a package that say nothing are left out."""
    packages = {
        name: {key: value for key, value in asdict(package).items() if value or key == "version"}
        for name, package in sorted(inventory.packages.items())
    }
    content = {
        "schema": SCHEMA,
        "version": VERSION,
        "hybrid": inventory.hybrid,
        "engine": inventory.engine,
        "python": {"version": inventory.python, "implementation": inventory.implementation},
        "platform": asdict(inventory.platform),
        "groups": sorted(inventory.groups),
        "extras": sorted(inventory.extras),
        "tools": dict(sorted(inventory.tools.items())),
        "inputs": dict(sorted(inventory.inputs.items())),
        "derived": sorted(inventory.derived),
        "packages": packages,
        "conda": {name: asdict(package) for name, package in sorted(inventory.conda.items())},
        "missing": dict(sorted(inventory.missing.items())),
    }
    return json.dumps(content, indent=1) + "\n"


def fingerprint(inventory: Inventory) -> str:
    """The SHA-256 of the document."""
    return hashlib.sha256(as_json(inventory).encode()).hexdigest()


def write(inventory: Inventory, path: Path) -> None:
    """Write the document, and the hashes of the files beside it; a reader sees the old ones or the new ones.

    Raises:
        LabError: It cannot be written (code 2; 1 where the disk is full).
    """
    _refuse_folder(path)
    if inventory.paths is not None:
        known = {name: package.content for name, package in inventory.packages.items()}
        packages = {
            name: {"content": known.get(name, ""), "files": {file: short[:_SHORT] for file, short in files.items()}}
            for name, files in sorted(inventory.paths.items())
        }
        put(_beside(path), json.dumps({"schema": _FILES, "version": 1, "packages": packages}) + "\n")
    put(path, as_json(inventory))


def _refuse_folder(path: Path) -> None:
    if os.path.isdir(path):  # noqa: PTH112 - `Path.is_dir` raises for a name that is too long
        raise LabError(f"{path}: cannot be written: it is a folder", "name a file in it")


def put(path: Path, text: str) -> None:
    """Write a document in one piece; its folder is made.

    Raises:
        LabError: It cannot be written (code 2; 1 where the disk is full).
    """
    _refuse_folder(path)
    # Of its own name: two commands may end at the same time.
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        hint = hint_for(str(error)) if full else "name a file in a folder that you can write to"
        code = FOUND if full else WRONG
        raise LabError(f"{path}: cannot be written: {error.strerror or error}", hint, code=code) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.stem}.files.json")


# --- reading -------------------------------------------------------------------------------------------------------


def gather(path: Path) -> list[Path]:
    """The inventories that a path means: the file, or those of a folder.

    Raises:
        LabError: There is nothing, or the folder has none (code 2).
    """
    if os.path.isdir(path):  # noqa: PTH112 - `Path.is_dir` raises for a name that is too long
        found = [path / NAME] if (path / NAME).is_file() else sorted(path.glob(f"*/{NAME}"))
        if not found:
            raise LabError(f"{path}: neither the folder nor one in it has an {NAME}", _MAKE)
        return found
    if not os.path.lexists(path):
        raise LabError(f"{path}: there is no such file", _MAKE)
    return [path]


def read(path: Path) -> Inventory:
    """Read an inventory, also one of the first form.

    Raises:
        LabError: It cannot be read, or is none (code 2; the field that is wrong).
    """
    data = load(path)
    form = data.get("version")
    if data.get("schema") is None and isinstance(data.get("packages"), dict) and "hybrid" in data:
        return replace(_Reader(path).first(data), origin=path)
    if data.get("schema") != SCHEMA:
        raise LabError(f"{path}: no inventory: its schema is not {SCHEMA}", _MAKE)
    if form != VERSION:
        hint = "take it anew with this mlops-lab, or read it with the one that wrote it"
        raise LabError(f"{path}: an inventory of version {form!r:.40}, and this mlops-lab knows 1 and {VERSION}", hint)
    return replace(_Reader(path).second(data), origin=path)


def load(path: Path, what: str = "inventory", hint: str = _MAKE) -> dict[str, Any]:
    """The object of a JSON file that somebody may have sent.

    Args:
        path: The file.
        what: What it should be.
        hint: How to come by one.

    Raises:
        LabError: It cannot be read, or is no JSON object (code 2).
    """
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST + 1)
        if len(text) > _LARGEST:
            raise LabError(f"{path}: no {what}: too large for one", hint)
        data = json.loads(text)
    except OSError as error:
        raise LabError(f"{path}: cannot be read: {error.strerror or error}", hint) from error
    except ValueError as error:  # of JSON, of Unicode, of a number with more digits than Python reads
        raise LabError(f"{path}: no JSON: {error}", hint) from error
    except RecursionError as error:
        raise LabError(f"{path}: no JSON that could be read: too many brackets in each other", hint) from error
    if not isinstance(data, dict):
        raise LabError(f"{path}: no {what}: not an object of JSON", hint)
    return data


def paths(inventory: Inventory) -> Mapping[str, Mapping[str, str]]:
    """The short hashes of the files of each package, as far as they are at hand and belong to this inventory."""
    if inventory.paths is not None:
        return {name: {file: each[:_SHORT] for file, each in files.items()} for name, files in inventory.paths.items()}
    try:
        data = load(_beside(inventory.origin)).get("packages") if inventory.origin.name else None
    except LabError:
        return {}
    found = {}
    for name, package in inventory.packages.items():
        entry = data.get(name) if isinstance(data, dict) else None
        if isinstance(entry, dict) and entry.get("content") == package.content and isinstance(entry.get("files"), dict):
            found[name] = {file: short for file, short in entry["files"].items() if isinstance(short, str)}
    return found


def _platform_of(name: str) -> Platform:
    """A platform as sysconfig names it: `linux-x86_64`, `macosx-14.0-arm64`, `win-amd64`."""
    system, _, rest = name.partition("-")
    machine = rest.rpartition("-")[2]
    return Platform(_SYSTEMS.get(system, system), machine.upper() if system == "win" else machine, "", name)


@dataclass(frozen=True)
class _Reader:
    """Turns what a file holds into an inventory, and names the field that is none of one."""

    path: Path

    def wrong(self, where: str, what: str) -> LabError:
        return LabError(f"{self.path}: no inventory: {where[:200]!r} is {what}", _MAKE)

    def text(self, value: object, where: str, longest: int = _LONGEST) -> str:
        if not isinstance(value, str):
            raise self.wrong(where, "not a text")
        # Nothing of it shall work on a terminal; what is no Unicode cannot be printed at all.
        if len(value) > longest or not value.isprintable():
            raise self.wrong(where, "not a line of text")
        return value

    def table(self, value: object, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self.wrong(where, "not an object")
        for key in value:
            self.text(key, where, 200)
        return value

    def texts(self, value: object, where: str) -> dict[str, str]:
        return {key: self.text(each, f"{where}.{key}") for key, each in self.table(value, where).items()}

    def names(self, value: object, where: str) -> tuple[str, ...]:
        if not isinstance(value, list):
            raise self.wrong(where, "not a list")
        return tuple(sorted({self.text(each, where) for each in value}))

    def package(self, value: object, where: str) -> Package:
        table = self.table(value, where)
        count = table.get("files", 0)
        if type(count) is not int or count < 0:
            raise self.wrong(f"{where}.files", "not a number of files")
        keys = ("version", "owner", "locked", "installer", "source", "built", "tags", "content")
        texts = {key: self.text(table.get(key, ""), f"{where}.{key}") for key in keys}
        if texts["owner"] not in _OWNERS:
            raise self.wrong(f"{where}.owner", f"none of {', '.join(_OWNERS[1:])}")
        if "version" not in table:
            raise self.wrong(f"{where}.version", "not there")
        return Package(**texts, files=count)

    def packages(self, value: object, each: Callable[[object, str], Package]) -> dict[str, Package]:
        table = self.table(value, "packages")
        for name in table:
            if not is_name(name):
                raise self.wrong(f"packages.{name}", "no normalised name of a package")
        return {name: each(entry, f"packages.{name}") for name, entry in table.items()}

    def second(self, data: Mapping[str, Any]) -> Inventory:
        python = self.texts(data.get("python"), "python")
        platform = self.texts(data.get("platform"), "platform")
        known = ("sys_platform", "machine", "libc", "sysconfig")
        conda = {
            name: self.texts(each, f"conda.{name}") for name, each in self.table(data.get("conda"), "conda").items()
        }
        return Inventory(
            hybrid=self.text(data.get("hybrid"), "hybrid", 200),
            engine=self.text(data.get("engine"), "engine", 200),
            python=python.get("version", ""),
            implementation=python.get("implementation", ""),
            platform=Platform(**{key: platform.get(key, "") for key in known}),
            groups=self.names(data.get("groups"), "groups"),
            extras=self.names(data.get("extras"), "extras"),
            tools=self.texts(data.get("tools"), "tools"),
            inputs=self.texts(data.get("inputs"), "inputs"),
            derived=self.names(data.get("derived"), "derived"),
            packages=self.packages(data.get("packages"), self.package),
            conda={
                name: CondaPackage(each.get("version", ""), each.get("build", ""), each.get("channel", ""))
                for name, each in conda.items()
            },
            missing=self.texts(data.get("missing"), "missing"),
        )

    def first(self, data: Mapping[str, Any]) -> Inventory:
        """The first form: names and versions, and nothing of whose choice they were or what they hold."""
        versions = self.packages(data["packages"], lambda value, where: Package(self.text(value, where)))
        conda = self.texts(data.get("conda", {}), "conda")
        return Inventory(
            hybrid=self.text(data["hybrid"], "hybrid", 200),
            engine=self.text(data.get("engine", ""), "engine", 200),
            python=self.text(data.get("python", ""), "python", 200),
            platform=_platform_of(self.text(data.get("platform", ""), "platform", 200)),
            packages=versions,
            conda={name: CondaPackage(version) for name, version in conda.items()},
            form=1,
        )
