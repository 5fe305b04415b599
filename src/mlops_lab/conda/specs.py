"""Match specs: what a dependency of a file or a word of the command line asks for, checked before anything runs.

Source: https://docs.conda.io/projects/conda-build/en/latest/resources/package-spec.html#package-match-specifications
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_lab.conda import channels
from mlops_lab.errors import LabError, redact

if TYPE_CHECKING:
    from rattler import MatchSpec

    from mlops_lab.conda.channels import Channel
    from mlops_lab.conda.config import Settings

__all__ = ["Spec", "parse"]

HINT = 'write for example: numpy, "numpy >=2,<3", numpy=2.1, "numpy=2.1=py311*", conda-forge::numpy'
_CHANNEL = re.compile(r"(?P<channel>[^\s\[\]]+)::(?P<rest>.+)", re.DOTALL)
_BRACKET = re.compile(
    r"""(?P<before>[\[,]\s*)channel\s*=\s*(?P<quote>['"]?)(?P<channel>[^'",\]]+)(?P=quote)\s*(?P<end>,?)"""
)
_BUILD = re.compile(r"[\w.+*^$()|\\\[\]?-]+")
_SUBDIR = re.compile(r"(?P<channel>.+)/(?P<subdir>noarch|(?:linux|osx|win|emscripten|wasi|freebsd|zos)-\w+)")


@dataclass(frozen=True)
class Spec:
    """One thing that is asked for.

    Attributes:
        text: As written, without credentials.
        name: The package, as conda normalises it.
        where: Where it stands, such as `conda.yml:7:5`; empty for a word of the command line.
        plain: The spec without its channel.
        channel: The channel that it must come from.
        subdir: The subfolder of that channel.
    """

    text: str
    name: str
    where: str = ""
    plain: str = ""
    channel: Channel | None = None
    subdir: str = ""

    @property
    def simple(self) -> bool:
        """Whether it is a bare name, which every version satisfies."""
        return self.plain == self.name

    @property
    def recorded(self) -> str:
        """How the history keeps it: with the channel's address where it has no name, and never with credentials."""
        if self.channel is None:
            return self.plain
        subdir = f"/{self.subdir}" if self.subdir else ""
        return f"{self.channel.name.rstrip('/')}{subdir}::{self.plain}"

    def match(self) -> MatchSpec:
        """What py-rattler solves with."""
        from rattler import MatchSpec

        if self.channel is None:
            return MatchSpec(self.plain)
        inner = f'channel="{self.channel.url}"'
        if self.plain.endswith("]"):
            return MatchSpec(f"{self.plain[:-1]},{inner}]")
        return MatchSpec(f"{self.plain}[{inner}]")

    def refusal(self, reason: str, hint: str = HINT, *, code: int = 2) -> LabError:
        """An error about this spec, with its place."""
        return LabError(f"{self.where}: {reason}" if self.where else reason, hint, code=code)


def parse(text: str, settings: Settings, where: str = "") -> Spec:
    """Check a spec; py-rattler's lenient parser takes conda's older spellings, and rubbish too.

    Raises:
        LabError: It is malformed.
    """
    from rattler import MatchSpec
    from rattler.exceptions import InvalidChannelError, InvalidMatchSpecError

    written = text.strip()
    channel, subdir, plain = _apart(written)
    shown = redact(written)
    draft = Spec(shown, "", where)
    if plain.endswith((".conda", ".tar.bz2")):
        raise draft.refusal(f'"{shown}" is a file: this conda takes packages from channels', HINT)
    try:
        match = MatchSpec(plain)
    except (InvalidMatchSpecError, InvalidChannelError) as error:
        reason = redact(str(error).splitlines()[0])
        raise draft.refusal(f'"{shown}" is no package spec ({reason})') from error
    name = match.name.normalized if match.name is not None else ""
    version, build = match.version or "", match.build or ""
    if not name:
        raise draft.refusal(f'"{shown}" is no package spec (it names no package)')
    if build and not _BUILD.fullmatch(build):
        raise draft.refusal(f'"{shown}" is no package spec ("{build}" is no build)')
    if version and not re.search(r"[\d*]", version):
        raise draft.refusal(f'"{shown}" is no package spec ("{version.lstrip("=")}" is no version)')
    found = channels.resolve(channel, settings) if channel else []
    # `defaults::numpy` names several channels: the first is the one that conda prefers.
    return Spec(shown, name, where, _tidy(plain, name), found[0] if found else None, subdir)


def _tidy(plain: str, name: str) -> str:
    return name if plain.lower() == name else plain


def _apart(text: str) -> tuple[str, str, str]:
    """The channel, its subfolder, and the rest."""
    channel, rest = "", text
    if match := _CHANNEL.fullmatch(text):
        channel, rest = match["channel"], match["rest"].strip()
    elif match := _BRACKET.search(text):
        channel = match["channel"]
        rest = (text[: match.start()] + (match["before"] if match["end"] else "") + text[match.end() :]).strip()
        rest = rest.replace("[]", "") if "[" in rest else rest.rstrip("]")
    if split := _SUBDIR.fullmatch(channel):
        return split["channel"], split["subdir"], rest
    return channel, "", rest
