"""What is examined: an environment, the variables around it, and how its interpreter is asked; each is read once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mlops_lab import conda_meta
from mlops_lab.doctor.distribution import Distribution
from mlops_lab.doctor.distribution import read as read_distribution
from mlops_lab.environment import STAMP, config, distributions, is_regular, read_stamp
from mlops_lab.findings import Finding, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from mlops_lab.environment import Environment, Stamp
    from mlops_lab.findings import Severity

__all__ = ["INSTALL", "REBUILD", "Check", "Subject", "listed", "plain", "tell"]

_LONG = 160
"""Characters of a name that are shown: who makes longer ones means ill."""
REBUILD = "invoke setup --force"
INSTALL = "invoke install"


@dataclass(frozen=True)
class Subject:
    """An environment under examination.

    Attributes:
        environment: The environment.
        environ: The user's variables.
        ask: Starts a command and returns what it prints; raises CommandFailed.
    """

    environment: Environment
    environ: Mapping[str, str]
    ask: Callable[[Sequence[str]], str]

    @property
    def prefix(self) -> Path:
        """The environment's folder."""
        return self.environment.prefix

    @cached_property
    def config(self) -> dict[str, str]:
        """What the environment says of its Python."""
        return config(self.prefix)

    @cached_property
    def stamp(self) -> Stamp | None:
        """The stamp; None without one."""
        return read_stamp(self.prefix)

    @property
    def is_ours(self) -> bool:
        """Whether a recipe of ours made it."""
        return (self.prefix / STAMP).exists()

    @cached_property
    def distributions(self) -> list[Distribution]:
        """Every recorded distribution, those of conda's too."""
        return [read_distribution(folder, self.prefix) for folder in distributions(self.environment)]

    @cached_property
    def condas(self) -> set[Path]:
        """The folders of conda's own distributions, which conda's doctor knows."""
        return conda_meta.folders(self.prefix) if self.environment.conda else set()

    @cached_property
    def others(self) -> list[Distribution]:
        """The distributions that conda's doctor does not know."""
        return [each for each in self.distributions if each.folder not in self.condas]

    @cached_property
    def names(self) -> dict[str, str]:
        """What is installed: normalised name → version."""
        return {each.name: each.version for each in self.distributions}

    @property
    def version(self) -> str:
        """The Python's version as the environment records it; empty where it does not."""
        # uv and virtualenv have a word of their own for it, and virtualenv more behind it: `3.12.1.final.0`.
        return self.config.get("version") or ".".join(self.config.get("version_info", "").split(".")[:3])

    @property
    def series(self) -> str:
        """The Python's minor version, such as `3.12`; empty where nobody knows."""
        site = self.environment.site_packages
        return ".".join(self.version.split(".")[:2]) or (site.parent.name.removeprefix("python") if site else "")

    @property
    def sees_base(self) -> bool:
        """Whether the packages of the base interpreter can be imported too."""
        return self.config.get("include-system-site-packages", "").lower() == "true"

    @cached_property
    def condas_files(self) -> set[str]:
        """Where every file is that conda's records name."""
        from mlops_lab.conda import records

        files = records.files_of(records.read(self.prefix)[0]) if self.environment.conda else ()
        return {os.path.normpath(self.prefix / path) for path in files}

    def short(self, path: Path | str) -> str:
        """A path as reports have it: from the prefix where it lies in it."""
        if path == self.prefix:
            return "the environment"
        path = Path(path)
        return plain((path.relative_to(self.prefix) if path.is_relative_to(self.prefix) else path).as_posix())

    def text(self, path: Path) -> str:
        """A small file of the user's; empty where there is none that can be read. Pipes and devices are not opened."""
        try:
            return path.read_bytes()[: 1 << 20].decode("utf-8", "replace") if is_regular(path) else ""
        except OSError:
            return ""


class Check(NamedTuple):
    """A row of what is examined.

    Attributes:
        name: A word for programs; conda lists the check under it.
        title: What is as it should be when nothing is found.
        find: Yields what is wrong.
    """

    name: str
    title: str
    find: Callable[[Subject], Iterator[Finding]]


def tell(
    kind: str,
    why: str,
    command: str = "",
    *,
    package: str = "",
    sides: Iterable[tuple[str, str]] = (),
    severity: Severity = "error",
    otherwise: str = "",
    mend: str = "",
) -> Finding:
    """A finding whose texts can be shown, whatever the files hold that they come from.

    Args:
        kind: Its kind.
        why: What is wrong.
        command: What mends it.
        package: The package.
        sides: Who says what: a path, a variable or a program, and its words.
        severity: How much it matters.
        otherwise: What else can be done.
        mend: Which recipe of ours mends it.
    """
    sources = tuple(Source(plain(where), 0, plain(said)) for where, said in sides)
    return Finding(kind, plain(package), sources, plain(why), plain(command), severity, plain(otherwise), mend=mend)


def plain(text: str) -> str:
    """A text without characters that would work on a terminal, break a line, or cannot be encoded."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def listed(names: Sequence[str], shown: int = 1) -> str:
    """The first names, and how many more there are."""
    more = len(names) - shown
    return ", ".join(name if len(name) < _LONG else f"{name[:_LONG]}…" for name in names[:shown]) + (
        f" and {more} more" if more > 0 else ""
    )
