"""What the lines of a requirements file come to, one after the other; those that are more than a name wait."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from mlops_lab.errors import LabError, redact
from mlops_lab.manifests.model import Pin, Requirement
from mlops_lab.manifests.pep508 import Asked, commit_of, parse
from mlops_lab.manifests.unread import Notes, from_root

__all__ = ["Asking", "exact"]

_HASH = re.compile(r"\s+--hash[=\s]\s*\S+")
_INCLUDE = re.compile(
    r"(?P<flag>-r|--requirement|-c|--constraint)(?:\s+|=|\s*(?<=-[rc]))(?P<file>[^\s'\"\\=-][^\s'\"\\]*)"
)
_INDEX = re.compile(
    r"(?:-i|--index-url|--extra-index-url|-f|--find-links|--trusted-host|--no-binary|--only-binary|--use-feature)[=\s]\s*"
    r"[^\s'\"]+|--no-index|--pre|--prefer-binary|--require-hashes"
)
_EXACT = re.compile(r"(?:===|==)(?P<version>[^,*\s]+)")


@dataclass
class Asking:
    """What the lines of a file, or of conda's list for pip, came to.

    Attributes:
        path: The file, from the project's root.
        notes: What could not be understood.
        constrains: Whether everything only limits versions.
        requirements: What is asked for.
        pins: What is fixed; those of a file without hashes and without a header count only if it was generated.
        includes: Files after `-r`, with their lines.
        limits: Files after `-c`, with their lines.
        odd: Lines that are left to the parser, with their numbers and whether they have hashes.
    """

    path: str
    notes: Notes
    constrains: bool = False
    requirements: list[Requirement] = field(default_factory=list)
    pins: list[Pin] = field(default_factory=list)
    includes: dict[str, int] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)
    odd: list[tuple[int, str, bool]] = field(default_factory=list)

    def take(self, line: int, text: str, *, hashed: bool = False) -> None:
        """One line without its comment; its continuations are part of it."""
        plain = _HASH.sub("", text).strip() if "--hash" in text else text
        hashed = hashed or "--hash" in text
        if plain.startswith("-"):
            self._option(line, plain)
        elif " -" in plain or "://" in plain or plain.startswith(("/", ".", "git+", "file:")):
            self._named(line, plain, hashed=hashed)
        else:
            try:
                self.note(line, plain, parse(plain, self.path), hashed=hashed)
            except LabError:
                # A path, a file, or rubbish, for which the parser has pip's own words.
                self.odd.append((line, plain, hashed))

    def note(self, line: int, text: str, asked: Asked, *, hashed: bool, commit: str = "") -> None:
        """A requirement, and a pin if it is an exact one."""
        if not self.notes.marker(asked.marker, line):
            return
        self.requirements.append(
            Requirement(
                name=asked.name,
                specifier=asked.specifier,
                path=self.path,
                line=line,
                text=redact(text),
                marker=asked.marker,
                extras=asked.extras,
                kind=asked.kind,
                source=asked.source,
                constrains=self.constrains,
            )
        )
        version = exact(asked.specifier)
        if version or asked.kind != "index":
            self.pins.append(
                Pin(
                    name=asked.name,
                    version=version,
                    path=self.path,
                    line=line,
                    marker=asked.marker,
                    kind=asked.kind,
                    source=asked.source,
                    commit=commit,
                    hashed=hashed,
                )
            )

    def _option(self, line: int, plain: str) -> None:
        if match := _INCLUDE.fullmatch(plain):
            files = self.includes if "r" in match["flag"] else self.limits
            if "://" not in match["file"]:
                files.setdefault(from_root(self.path, match["file"]), line)
        elif _INDEX.fullmatch(plain) or plain in {"-e .", "--editable .", "--editable=."}:
            pass
        else:
            self.odd.append((line, plain, False))

    def _named(self, line: int, plain: str, *, hashed: bool) -> None:
        """A line with an address that is named in the standard's way: `name @ address`."""
        before, at, address = plain.partition("@")
        commit = commit_of(plain.partition(" ;")[0])
        if at and re.fullmatch(r"[\w.-]+\s*(?:\[[\w.,\s-]*\])?\s*", before) and " -" not in plain and address.strip():
            try:
                self.note(line, plain, parse(plain, self.path), hashed=hashed, commit=commit)
            except LabError:
                self.odd.append((line, plain, hashed))
        else:
            self.odd.append((line, plain, hashed))


def exact(specifier: str) -> str:
    """The one version that a specifier allows; empty where there are more."""
    match = _EXACT.fullmatch(specifier)
    return match["version"] if match else ""
