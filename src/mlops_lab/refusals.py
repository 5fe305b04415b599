"""Why one manager cannot take the other one's versions: the packages, both versions, and the manager's own words."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mlops_lab.errors import FOUND, LabError
from mlops_lab.manifests import pyproject
from mlops_lab.project import LOCKS
from mlops_lab.runner import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlops_lab.manifests.poetry_lock import LockedPackage
    from mlops_lab.project import Project

__all__ = ["Difference", "Step", "explain", "refusal"]

# What uv draws around its errors, and the words that it puts before them.
_FRAME = re.compile(r"^[\s\u00d7│├╰─▶|]*(?:(?:error|cause): )?")
_CAUSE = re.compile(r"\u00d7|^error: |not found|^No valid")
_SHOWN = 5


class Step(Protocol):
    """Runs a row of the guide with values for its placeholders."""

    def __call__(
        self, name: str, variant: str = "", *, by: str = "", cwd: Path | None = None, **values: str | Sequence[str]
    ) -> str | None:
        """Run it; returns what it printed."""


@dataclass(frozen=True)
class Difference:
    """One package that two files give at different versions.

    Attributes:
        package: Its normalised name.
        where: The Python and platform it differs for, such as `3.12 on linux`.
        first: Its version in the first file; empty when it is not there.
        second: Its version in the second file; empty when it is not there.
    """

    package: str
    where: str
    first: str
    second: str

    def __str__(self) -> str:
        """In words."""
        return f"{self.package} {self.first or '(none)'} ≠ {self.second or '(none)'} for Python {self.where}"


def refusal(
    project: Project,
    wrong: Sequence[Difference],
    led: Sequence[LockedPackage],
    leader: str,
    manager: str,
    step: Step,
) -> LabError:
    """The error for a lock that was made, but not with the leader's versions.

    Args:
        project: The project.
        wrong: Where the locks disagree.
        led: The packages of the leader's lock.
        leader: The manager whose lock has the versions.
        manager: The manager that does not take them.
        step: Runs a row of the guide, to ask why.
    """
    count = len({(each.package, each.first, each.second) for each in wrong})
    return LabError(
        f"{LOCKS[manager]} cannot take {count} of {LOCKS[leader]}'s versions: {_listed(wrong, leader)}"
        + (_reason(project, wrong, led, step) if manager == "poetry" else ""),
        f"lock anew with `invoke lock`; if that does not help, loosen the requirement that only {leader} can take",
        code=FOUND,
    )


def explain(error: CommandFailed, led: Sequence[LockedPackage], leader: str, manager: str) -> None:
    """Put the packages and the reason into the message of a failed alignment, where its output names them.

    Args:
        error: The failure.
        led: The packages of the leader's lock.
        leader: The manager whose lock has the versions.
        manager: The manager that does not take them.
    """
    said = "\n".join(error.said)
    named = [
        f"{package.name} {package.version}"
        for package in led
        if package.version and re.search(_mention(package), said, re.IGNORECASE)
    ]
    if not named:
        return
    packages = ", ".join(dict.fromkeys(named))
    error.message = f"{LOCKS[manager]} cannot take {packages} of {LOCKS[leader]}: {_because(error.said)}"
    error.hint = (
        f"lock anew with `invoke lock`; if that does not help, tell {manager} of the index that has it, "
        "or loosen the requirement"
    )


def _listed(wrong: Sequence[Difference], leader: str) -> str:
    """The packages, each with both versions and the first place, the leader's version first."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for each in wrong:
        pair = (each.first, each.second) if leader == "poetry" else (each.second, each.first)
        found.setdefault((each.package, *pair), []).append(each.where)
    words = [
        f"{name} {led or '(none)'} (it takes {taken or 'none'}) for Python {places[0]}"
        + (f" and {_more(len(places) - 1, 'place')}" if len(places) > 1 else "")
        for (name, led, taken), places in found.items()
    ]
    return "; ".join(words[:_SHOWN]) + (f"; and {_more(len(words) - _SHOWN, 'package')}" if len(words) > _SHOWN else "")


def _more(number: int, noun: str) -> str:
    return f"{number} more {noun}{'s' if number > 1 else ''}"


def _reason(project: Project, wrong: Sequence[Difference], led: Sequence[LockedPackage], step: Step) -> str:
    """What Poetry says when it must take them; uv has been made to, and would have said so."""
    names = {each.package for each in wrong}
    pins = [f"{each.name}=={each.version}" for each in led if each.name in names and each.kind == "index"]
    if len({pin.partition("==")[0] for pin in pins}) < len(pins):
        return "; Poetry takes one version for one requirement: declare one for each, with its marker"
    # A folder is named from where the manifest lies.
    said = "" if any(package.kind == "path" for package in led) or not pins else _demanded(project, pins, step)
    return f"; Poetry says: {said}" if said else ""


def _demanded(project: Project, pins: Sequence[str], step: Step) -> str:
    """Poetry's words for a scratch project that demands these versions besides; empty where it takes them."""
    import tomlkit

    manifest: Any = tomlkit.parse(pyproject.read_text(project.pyproject))
    if "dependencies" not in manifest.get("project", {}):
        return ""
    manifest["project"]["dependencies"].extend(pins)
    with tempfile.TemporaryDirectory(dir=project.state, prefix="scratch-") as name:
        (Path(name) / "pyproject.toml").write_text(tomlkit.dumps(manifest), encoding="utf-8")
        try:
            step("align", by="poetry", cwd=Path(name))
        except CommandFailed as error:
            return _because(error.said)
    return ""


def _mention(package: LockedPackage) -> str:
    """A package with its version, as uv (`a==1`) and Poetry (`a (1)`, `"a" version: "1"`) write it."""
    name = re.escape(package.name).replace(r"\-", "[-_.]")
    between = r"""(?:\[[^\]]*\])?(?: ?==| ?\(=*|@|" version: ")"""
    return rf"(?<![\w.-]){name}{between}{re.escape(package.version)}(?![\w+]|\.\d)"


def _because(lines: Sequence[str]) -> str:
    """The reason in a manager's output, as one line."""
    words = [_FRAME.sub("", line).strip() for line in lines]
    start = next((number for number, line in enumerate(words) if line.startswith("Because")), None)
    if start is None:
        start = next((number for number, line in enumerate(lines) if _CAUSE.search(line)), None)
    if start is None:
        return next((line for line in reversed(words) if line), "")
    end = next((number for number in range(start, len(words)) if not words[number]), len(words))
    hint = next((number for number in range(start, end) if words[number].startswith("hint:")), end)
    return " ".join(words[start : min(end, hint)]).removesuffix(".")
