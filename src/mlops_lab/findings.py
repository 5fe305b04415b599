"""What a check found: the sides that disagree, why, and the command that mends it; the same for every check."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["SEVERITIES", "Finding", "Findings", "Severity", "Source"]

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""An error ends with exit code 1; a warning is worth a look; a note explains why something is no finding."""


@dataclass(frozen=True, slots=True)
class Source:
    """One side of a finding: who says what.

    Attributes:
        path: The file, from the project's root and with `/`; a prefix, or the name of a variable or a program.
        line: Counted from 1; 0 where there is no line.
        said: What stands there, as it is written: `numpy>=2`, `2.1.0`, `not locked`.
    """

    path: str
    line: int
    said: str

    def __str__(self) -> str:
        """As compilers write places: `poetry.lock:12: numpy 2.1.0`."""
        return f"{self.path}:{self.line}: {self.said}" if self.line else f"{self.path}: {self.said}"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        kind: The kind of finding, one word, such as `conflict` or `altered`.
        package: The normalised name of the package that it is about; empty where it is about none.
        sources: The sides, the one that gives way last.
        why: What is wrong, in one sentence with both versions.
        command: The command that mends it, as it is typed; empty where only a person can decide.
        severity: How much it matters.
        otherwise: What else can be done, in words.
        where: The Pythons and platforms that it is true for, such as `3.11 on linux`; empty: everywhere.
        mend: The recipe of ours that mends it safely (a key of whoever mends); empty where none does.
    """

    kind: str
    package: str
    sources: tuple[Source, ...]
    why: str
    command: str
    severity: Severity = "error"
    otherwise: str = ""
    where: tuple[str, ...] = ()
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Findings:
    """What a check came to, for every report.

    Attributes:
        check: Which check: `drift`, `parity` or `doctor`.
        subject: What was examined: a project's or an environment's folder.
        findings: What was found, the gravest first.
        examined: What was looked at → what it is: files, environments, checks. It stands in the report, so that
            "nothing was found" can be judged.
        mended: What has been mended by the same command, in words.
        seconds: How long it took.
        facts: What else the check has to say to programs.
    """

    check: str
    subject: str
    findings: Sequence[Finding]
    examined: Mapping[str, str]
    mended: Sequence[str] = ()
    seconds: float = 0.0
    facts: Mapping[str, object] = field(default_factory=dict)

    @property
    def errors(self) -> int:
        """How many findings end with exit code 1."""
        return sum(finding.severity == "error" for finding in self.findings)
