"""Lines of a requirements file that are more than a name and a version: options, addresses, paths; and rubbish."""

from __future__ import annotations

import codecs
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pip_requirements_parser import (
    IncorrectRequirementLine,
    InstallRequirement,
    InvalidRequirementLine,
    OptionLine,
    RequirementsFile,
)

from mlops_lab.errors import LabError
from mlops_lab.manifests.constraints import from_pep440
from mlops_lab.manifests.pep508 import MOST, Asked, commit_of, direct, shown
from mlops_lab.manifests.pyproject import normalized
from mlops_lab.manifests.unread import from_root

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlops_lab.manifests.asking import Asking

__all__ = ["read_odd"]

HINT = "correct or remove the line"
MANY = 20
"""How many lines that cannot be understood are told one by one."""
MANY_LINES = 500
"""How many odd lines are read: a file with more of them is none of requirements."""

# Options of today's pip that the parser, a copy of an older pip, does not know:
# https://pip.pypa.io/en/stable/reference/requirements-file-format/#supported-options
_NEWER = re.compile(r"(?:^|\s)(?:-C|--config-settings?|--only-final|--all-releases|--uploaded-prior-to)[=\s]\s*\S+")


def read_odd(asking: Asking) -> None:
    """Read the lines that were put aside, and note those that pip refuses too."""
    lines = [(line, _NEWER.sub("", text).rstrip("\\").strip(), hashed) for line, text, hashed in asking.odd]
    for line, text, _ in lines:
        if len(text) > MOST:
            asking.notes.add(line, f"{shown(text)} is nothing that pip takes ({len(text)} characters)", HINT)
    lines = [each for each in lines if 0 < len(each[1]) <= MOST]
    refused = 0
    for parsed in _parsed(text for _, text, _ in lines[:MANY_LINES]):
        line, text, hashed = lines[parsed.line_number - 1]
        if isinstance(parsed, InstallRequirement):
            try:
                _take(asking, line, text, parsed, hashed=hashed)
            except LabError as error:
                asking.notes.add(line, error.message, error.hint)
        elif isinstance(parsed, OptionLine):
            _options(asking, line, parsed)
        elif not (isinstance(parsed, IncorrectRequirementLine) and "trailing" in parsed.error_message):
            # Words behind an option on a line of its own are passed over by pip too.
            refused += 1
            if refused <= MANY:
                asking.notes.add(line, _reason(text, parsed), HINT)
    more = max(0, refused - MANY) + max(0, len(lines) - MANY_LINES)
    if more:
        asking.notes.add(lines[-1][0], f"{more} more lines are nothing that pip takes", HINT)


def _parsed(lines: Iterable[str]) -> list[InstallRequirement | OptionLine | InvalidRequirementLine]:
    # The parser reads files only: its own `from_string` misses an import in 32.0.1.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "requirements.txt")
        path.write_bytes(codecs.BOM_UTF8 + "\n".join(lines).encode(errors="replace"))
        found = RequirementsFile.from_file(str(path))
    every = [*found.requirements, *found.options, *found.invalid_lines]
    return sorted(every, key=lambda each: int(each.line_number))


def _take(asking: Asking, line: int, text: str, parsed: InstallRequirement, *, hashed: bool) -> None:
    """A requirement that has a name; a folder without one is named by its own manifest, which pip has to build."""
    if not parsed.name:
        return
    address = str(parsed.link.url) if parsed.link else ""
    kind, source = direct(address, asking.path) if address else ("index", "")
    asked = Asked(
        name=normalized(parsed.name),
        specifier=from_pep440(str(parsed.specifier or "")),
        extras=tuple(sorted({normalized(str(extra)) for extra in parsed.extras})),
        marker=str(parsed.marker) if parsed.marker else None,
        kind=kind,
        source=source,
    )
    asking.note(line, text, asked, hashed=hashed or bool(parsed.hash_options), commit=commit_of(address))


def _options(asking: Asking, line: int, parsed: OptionLine) -> None:
    for key, files in (("requirements", asking.includes), ("constraints", asking.limits)):
        names = parsed.options.get(key, ())
        for name in names:
            if "://" not in name:
                files.setdefault(from_root(asking.path, str(name)), line)


def _reason(text: str, parsed: InvalidRequirementLine) -> str:
    reason = re.sub(r"^(?:Invalid requirement: ?:? ?|\w+: error: )", "", parsed.error_message).splitlines()
    told = f" ({shown(reason[0])[1:-1]})" if reason else ""
    return f"{shown(text)} is nothing that pip takes{told}"
