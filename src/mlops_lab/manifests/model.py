"""What the files of a project say, whatever their format: requirements, pins, Pythons, and what cannot be read.

Every reader makes a `Document` of one file. Names are normalised, versions and markers are as they are written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Document", "Export", "Pin", "PythonRange", "Requirement", "Role", "Unread"]

Role = Literal["manifest", "lock", "requirements"]
"""A manifest is written by people, a lock by a tool; requirements may be either, which their content tells."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """Something that a file asks for.

    Attributes:
        name: Normalised; for conda's packages conda's own name in small letters.
        specifier: A PEP 440 specifier set; empty: every version. Several that are joined by ` || ` are alternatives
            (Poetry and conda have them; PEP 440 does not). Poetry's and conda's own spellings are translated.
        path: The file, from the project's root and with `/`.
        line: Counted from 1.
        text: As it is written, without credentials.
        marker: Where it counts; None: everywhere.
        extras: The extras of the package that are asked for, normalised and sorted.
        group: The dependency group; empty: the project's own dependencies.
        extra: The project's own extra that brings it; empty: none has to be asked for.
        kind: Where it comes from: `index`, `git`, `url`, `path`, or `conda` for a package of conda's.
        source: The name or address of an index or channel, the address or path of anything else; empty: the default.
            Paths count from the project's root, not from the file.
        constrains: Whether it only limits the version, and asks for nothing (`-c`, `tool.uv.constraint-dependencies`,
            an optional dependency of Poetry's that no extra names).
        overrides: Whether it replaces what others ask for (`tool.uv.override-dependencies`).
        only: The manager that alone reads the table in which it stands (`poetry`, `uv`); empty: both do.
    """

    name: str
    specifier: str
    path: str
    line: int
    text: str
    marker: str | None = None
    extras: tuple[str, ...] = ()
    group: str = ""
    extra: str = ""
    kind: str = "index"
    source: str = ""
    constrains: bool = False
    overrides: bool = False
    only: str = ""


@dataclass(frozen=True, slots=True)
class Pin:
    """A package at one version, as a lock or exported requirements have it.

    Attributes:
        name: Normalised.
        version: Empty where the file names none (a folder, a repository, a project whose version is dynamic).
        path: The file, from the project's root and with `/`.
        line: Of its version, counted from 1.
        marker: Where it counts, as far as the file says so at the package; None: everywhere.
        groups: The groups that want it, `main` included; empty where the file does not say.
        optional: Whether only an extra of the project wants it.
        kind: `index`, `git`, `url`, `path` or `project` (the project itself and the members of its workspace).
        source: The address of an index, a repository, a file, or a folder; empty: the default index.
        commit: The commit, of a package from a repository.
        hashed: Whether hashes of its files are there.
        requires: What it needs, as the lock says: edges to other packages of the same file. The edges of uv.lock name
            no range: `==` and a version stand there where the name alone does not tell which package is meant.
        extra_requires: The same for each of its own extras: (extra, edge).
        group_requires: The same for each dependency group, of a project in uv.lock: (group, edge).
        group_markers: Where it counts for each of its groups, where they differ (Poetry): (group, marker).
        virtual: Whether it is never installed itself (a project that is no package).
        declared: Of a project in uv.lock, what its manifest asked for when the lock was made.
    """

    name: str
    version: str
    path: str
    line: int
    marker: str | None = None
    groups: tuple[str, ...] = ()
    optional: bool = False
    kind: str = "index"
    source: str = ""
    commit: str = ""
    hashed: bool = False
    requires: tuple[Requirement, ...] = ()
    extra_requires: tuple[tuple[str, Requirement], ...] = ()
    group_requires: tuple[tuple[str, Requirement], ...] = ()
    group_markers: tuple[tuple[str, str | None], ...] = ()
    virtual: bool = False
    declared: tuple[Requirement, ...] | None = None


@dataclass(frozen=True, slots=True)
class PythonRange:
    """Which Pythons a file allows.

    Attributes:
        specifier: As for `Requirement`; a version such as `3.12` of `.python-version` stands as `==3.12.*`.
        path: The file, from the project's root and with `/`.
        line: Counted from 1.
        text: As it is written.
        key: What says so, such as `project.requires-python`.
    """

    specifier: str
    path: str
    line: int
    text: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class Unread:
    """A part of a file that cannot be understood.

    Attributes:
        path: The file, from the project's root and with `/`.
        line: Counted from 1.
        message: What is the matter with it.
        hint: What to do about it.
    """

    path: str
    line: int
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Export:
    """What a generated file says of how it was made.

    Attributes:
        by: The tool: `uv`, `poetry`, `pip-compile`, `uv pip compile`, `pip freeze`; empty where nothing says so.
        command: The command of its header; empty without one.
        inputs: The files that it was made from, as the header or the lines `via -r` name them.
        groups: The groups that the command names, `*` for all; None where it says nothing of groups.
        extras: The extras that the command names, `*` for all.
        python: The Python that it was made for, such as `3.11`; empty: nothing says so.
        platform: The platform that it was made for; empty: nothing says so.
        without: The groups that the command leaves out.
        main: Whether the project's own dependencies are in it, as far as the command says.
    """

    by: str = ""
    command: str = ""
    inputs: tuple[str, ...] = ()
    groups: tuple[str, ...] | None = None
    extras: tuple[str, ...] = ()
    python: str = ""
    platform: str = ""
    without: tuple[str, ...] = ()
    main: bool = True


@dataclass(frozen=True, slots=True)
class Document:
    """One file, read.

    Attributes:
        path: From the project's root and with `/`.
        format: `pyproject.toml`, `conda`, `requirements`, `poetry.lock`, `uv.lock`, `pylock` or `python-version`.
        role: What it is.
        requirements: What it asks for, in the order of the file.
        pins: What it fixes, in the order of the file.
        pythons: Which Pythons it allows.
        unread: What cannot be understood.
        export: How it was made, of a generated file.
        includes: Files that it includes (`-r`), from the project's root and with `/`.
        name: The name of the project, or of the environment; empty where there is none.
        declared: What a lock says that its manifest asked for when it was made; None where it does not say.
        digest: What a lock says of its manifest's content (Poetry's content-hash); empty where it does not.
        members: Folders of a workspace's other members, from the project's root; of a manifest.
        environments: Markers of the places that are supported at all; empty: every one (`tool.uv.environments`).
        limits: Files that it takes limits from (`-c`), from the project's root and with `/`.
        groups: Every dependency group that it knows, normalised, those without packages too.
        optional_groups: Those of them that are installed only when they are asked for (Poetry).
        extras: The project's own extras with the packages that each brings, as far as the file names them.
        dynamic: The keys of [project] that something else fills in, such as `dependencies`.
        edition: The version of the format, of a lock that names it, such as `2.1`.
    """

    path: str
    format: str
    role: Role
    requirements: tuple[Requirement, ...] = ()
    pins: tuple[Pin, ...] = ()
    pythons: tuple[PythonRange, ...] = ()
    unread: tuple[Unread, ...] = ()
    export: Export | None = None
    includes: tuple[str, ...] = ()
    name: str = ""
    declared: tuple[Requirement, ...] | None = None
    digest: str = ""
    members: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    optional_groups: tuple[str, ...] = ()
    extras: tuple[tuple[str, tuple[str, ...]], ...] = ()
    dynamic: tuple[str, ...] = ()
    edition: str = ""
