"""What runs where on GitHub: the sessions that nox lists, over systems and Pythons, as the matrix of a workflow.

Nothing is started or read here: `noxfile.py` asks nox, and `[tool.mlops-lab.ci]` is handed in by `project.py`.
"""

from __future__ import annotations

import itertools
import json
import re
import shlex
from dataclasses import asdict, dataclass, fields, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

from mlops_lab.errors import LabError
from mlops_lab.guide import EMBEDDED, ENGINES, HYBRIDS, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = [
    "EVERY_PYTHON",
    "LIMIT",
    "SIZES",
    "Ci",
    "Entry",
    "Rule",
    "Session",
    "as_json",
    "hybrids",
    "pythons",
    "read",
    "tagged",
]

Size = Literal["small", "full"]
SIZES: tuple[Size, ...] = ("small", "full")
LIMIT = 256
"""https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idstrategymatrix"""
EVERY_PYTHON = "every-python"
"""The tag of a session that a workflow runs on each Python; it says nothing to nox."""
_SYSTEMS = ("ubuntu-24.04", "macos-15", "windows-2025")
_CONDA, *_ = ENGINES
_PROVIDED = (_CONDA, EMBEDDED)
"""The engines that a workflow can have: the one that an action installs, and our own."""
_WHERE = "pyproject.toml: tool.mlops-lab.ci"


@dataclass(frozen=True)
class Rule:
    """Globs of what it is about; a rule with an engine says which program acts as conda there."""

    system: str = "*"
    hybrid: str = "*"
    python: str = "*"
    engine: str = ""

    def fits(self, system: str, hybrid: str, python: str) -> bool:
        """Whether a job is meant."""
        pairs = ((system, self.system), (hybrid, self.hybrid), (python, self.python))
        return all(fnmatchcase(value, pattern) for value, pattern in pairs)


@dataclass(frozen=True)
class Ci:
    """The table `[tool.mlops-lab.ci]`.

    Attributes:
        systems: GitHub's names of the machines, the usual one first.
        pythons: The Pythons, the usual one first; without it each that the project and mlops-lab support.
        exclude: What shall not run: tables with globs of `system`, `hybrid` and `python`, or some of the three.
        engines: Which `engine` acts as conda, `conda` or `embedded`, where such globs fit, the first one first; without
            it conda everywhere, and the embedded one in one job.
    """

    systems: tuple[str, ...] = _SYSTEMS
    pythons: tuple[str, ...] | None = None
    exclude: tuple[Rule, ...] = ()
    engines: tuple[Rule, ...] | None = None


@dataclass(frozen=True)
class Session:
    """A session, as nox lists it.

    Attributes:
        name: What `nox -s` takes, such as `check(venv+uv)`.
        hybrid: The hybrid that it runs; empty where it is about none.
        python: The one Python that it is declared for; empty where it is declared for none.
        tags: Its tags.
    """

    name: str
    hybrid: str = ""
    python: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """A job of the matrix.

    Attributes:
        session: What `nox -s` takes.
        hybrid: The hybrid; empty where the session is about none.
        system: The machine that it runs on.
        python: The Python that it runs with.
        conda: The program that acts as conda; empty without conda.
        forced: The Python that nox is told to use; empty where the session itself says it.
        id: Letters, digits and -._ alone, for names of artifacts; no other entry has it.
        name: The job's title.
        command: The line that does the same on another machine.
    """

    session: str
    hybrid: str
    system: str
    python: str
    conda: str
    forced: str
    id: str
    name: str
    command: str


# --- [tool.mlops-lab.ci] -------------------------------------------------------------------------------------------


def read(table: object) -> Ci:
    """What the table says.

    Raises:
        LabError: It has another key, or a value that is none (code 2; the valid choices).
    """
    known = [each.name for each in fields(Ci)]
    if not isinstance(table, dict):
        raise LabError(f"{_WHERE} is not a table", "write it as [tool.mlops-lab.ci]")
    for key in table:
        if key not in known:
            raise LabError(f"{_WHERE} has a key {key!r}", nearest(key, known))
    usual = Ci()
    return Ci(
        _names(table, "systems", r"[\w.-]+") or usual.systems,
        _names(table, "pythons", r"3\.\d+"),
        _rules(table, "exclude", ("system", "hybrid", "python")) or (),
        _rules(table, "engines", ("system", "hybrid", "python", "engine")),
    )


_EXAMPLES: Mapping[str, str] = {
    "systems": f'systems = ["{_SYSTEMS[0]}"]',
    "pythons": 'pythons = ["3.11", "3.12"]',
    "exclude": 'exclude = [{ system = "windows-*", hybrid = "conda+*", python = "3.11" }], each of the three or fewer',
    "engines": f'engines = [{{ engine = "{EMBEDDED}", system = "ubuntu-*" }}]',
}


def _wrong(key: str, what: str) -> LabError:
    return LabError(f"{_WHERE}.{key} {what}", f"write {_EXAMPLES[key]}")


def _names(table: Mapping[str, Any], key: str, form: str) -> tuple[str, ...] | None:
    value = table.get(key)
    if value is None:
        return None
    if not isinstance(value, list) or not value:
        raise _wrong(key, "is not a list of names")
    for each in value:
        if not isinstance(each, str) or not re.fullmatch(form, each):
            raise _wrong(key, f"names {each!r}")
    return tuple(dict.fromkeys(value))


def _rules(table: Mapping[str, Any], key: str, known: Sequence[str]) -> tuple[Rule, ...] | None:
    value = table.get(key)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(each, dict) and each for each in value):
        raise _wrong(key, "is not a list of tables that say something")
    return tuple(_rule(each, key, known) for each in value)


def _rule(rule: Mapping[str, Any], key: str, known: Sequence[str]) -> Rule:
    for name, value in rule.items():
        if name not in known:
            raise LabError(f"{_WHERE}.{key} has a key {name!r}", nearest(name, known))
        if not isinstance(value, str) or not value:
            raise _wrong(key, f"says {value!r} of the {name}")
    if "engine" in known and rule.get("engine") not in _PROVIDED:
        what = repr(rule["engine"]) if "engine" in rule else "nothing"
        raise LabError(f"{_WHERE}.{key} names {what} for an engine", nearest(str(rule.get("engine")), _PROVIDED))
    return Rule(**rule)


def pythons(ci: Ci, supported: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """The Pythons of the matrix.

    Args:
        ci: The settings.
        supported: Those that the project supports, and mlops-lab can run on.
        known: Those that mlops-lab is tried on, which are taken where the settings say nothing.

    Raises:
        LabError: One is not supported, or none is (code 2).
    """
    for each in ci.pythons or ():
        if each not in supported:
            raise LabError(f"{_WHERE}.pythons names {each}, which is not supported here", nearest(each, supported))
    found = ci.pythons or tuple(each for each in known if each in supported) or tuple(supported[:1])
    if not found:
        raise LabError(
            "the project supports no Python that mlops-lab can run on", f"mlops-lab runs on {', '.join(known)}"
        )
    return found


# --- the matrix ----------------------------------------------------------------------------------------------------


def hybrids(sessions: Sequence[Session], ci: Ci, chosen: Sequence[str], size: Size) -> tuple[Entry, ...]:
    """The jobs that run a session for each hybrid.

    Args:
        sessions: The sessions, one for each hybrid.
        ci: The settings.
        chosen: The Pythons.
        size: `full`: each session on each system and Python. `small`: each session, each system and each Python once.

    Raises:
        LabError: Nothing is left of it, a rule means nothing, or it is more than GitHub takes (code 2).
    """
    _refuse_idle(ci, chosen)
    places = [
        (system, python, session)
        for system, python, session in itertools.product(ci.systems, chosen, sessions)
        if session.python in {"", python} and not any(rule.fits(system, session.hybrid, python) for rule in ci.exclude)
    ]
    condas = [place for place in places if _by_conda(place[2])]
    usual = [place for place in condas if place[:2] == condas[0][:2]][-1:]

    def engine(place: tuple[str, str, Session]) -> str:
        system, python, session = place
        if not _by_conda(session):
            return ""
        if ci.engines is None:
            return EMBEDDED if place in usual else _CONDA
        fitting = (rule.engine for rule in ci.engines if rule.fits(system, session.hybrid, python))
        return next(fitting, _CONDA)

    taken = places if size == "full" else _covering(places, ci, chosen, sessions)
    return _entries(((*place, engine(place)) for place in taken), size)


def tagged(sessions: Sequence[Session], ci: Ci, chosen: Sequence[str]) -> tuple[Entry, ...]:
    """The jobs that run other sessions: on the first system, with the first Python; some ask for each Python.

    Args:
        sessions: The sessions.
        ci: The settings.
        chosen: The Pythons.

    Raises:
        LabError: It is more than GitHub takes (code 2).
    """
    found = (
        (ci.systems[0], python, session, "")
        for session in sessions
        for python in ([session.python] if session.python else chosen if EVERY_PYTHON in session.tags else chosen[:1])
    )
    return _entries(found, "tagged")


def as_json(entries: Iterable[Entry]) -> str:
    """The matrix as `fromJSON` takes it, in one line."""
    return json.dumps({"include": [asdict(entry) for entry in entries]}, separators=(",", ":"))


def _by_conda(session: Session) -> bool:
    return any(hybrid.by_conda for hybrid in HYBRIDS if hybrid.name == session.hybrid)


def _covering(
    places: Sequence[tuple[str, str, Session]], ci: Ci, chosen: Sequence[str], sessions: Sequence[Session]
) -> list[tuple[str, str, Session]]:
    """Of each session, each system and each Python one; the further ones take turns, from the last session on."""
    found = [next((place for place in places if place[2] == session), None) for session in sessions]
    taken = [place for place in found if place is not None]
    turns = itertools.cycle(reversed(sessions))
    for part, value in [*((0, system) for system in ci.systems), *((1, python) for python in chosen)]:
        fitting = [place for place in places if place[part] == value]
        if fitting and not any(place[part] == value for place in taken):
            turn = next(turns)
            # With all else as usual: what fails then tells why.
            first = [place for place in fitting if place[:2] == fitting[0][:2]]
            taken.append(next((place for place in first if place[2] == turn), first[-1]))
    return taken


def _entries(jobs: Iterable[tuple[str, str, Session, str]], what: str) -> tuple[Entry, ...]:
    found = tuple(_unique(_entry(*job) for job in jobs))
    if not found:
        raise LabError(f"nothing is left of the {what} matrix", "exclude less in [tool.mlops-lab.ci]")
    if len(found) > LIMIT:
        raise LabError(
            f"the {what} matrix has {len(found)} entries, and GitHub takes {LIMIT}",
            "name fewer systems or Pythons in [tool.mlops-lab.ci], or exclude some of them together",
        )
    return found


def _entry(system: str, python: str, session: Session, conda: str) -> Entry:
    forced = "" if session.hybrid or session.python else python
    words = ["nox", "-s", session.name]
    if session.hybrid:
        words += ["--", "--python", python, *(["--conda", conda] if conda else [])]
    elif forced:
        words += ["--force-python", forced]
    title = [session.hybrid or session.name, python, system]
    return Entry(
        session=session.name,
        hybrid=session.hybrid,
        system=system,
        python=python,
        conda=conda,
        forced=forced,
        id=re.sub(r"[^A-Za-z0-9._]+", "-", f"{session.name} {system} {python}").strip("-."),
        name=", ".join([*title, *([f"{EMBEDDED} conda"] if conda == EMBEDDED else [])]),
        command=_typed(words),
    )


def _typed(words: Sequence[str]) -> str:
    """A command as it can be typed into every shell: those of Windows know no single quotes."""
    return " ".join(map(_quoted, words))


def _quoted(word: str) -> str:
    """A word in double quotes, where it needs some; in single ones where a shell would read something into it."""
    safely = shlex.quote(word)
    return safely if safely == word or re.search(r'["$`\\!]', word) else f'"{word}"'


def _unique(entries: Iterable[Entry]) -> Iterator[Entry]:
    """The entries, with a number behind an id that is there already."""
    taken: set[str] = set()
    for entry in entries:
        names = itertools.chain([entry.id], (f"{entry.id}-{number}" for number in itertools.count(2)))
        name = next(each for each in names if each not in taken)
        taken.add(name)
        yield replace(entry, id=name)


def _refuse_idle(ci: Ci, chosen: Sequence[str]) -> None:
    """Refuse a rule that can mean nothing: it would be a slip."""
    known = {"system": ci.systems, "hybrid": [hybrid.name for hybrid in HYBRIDS], "python": chosen}
    for key, rule in [*(("exclude", rule) for rule in ci.exclude), *(("engines", rule) for rule in ci.engines or ())]:
        for part, values in known.items():
            pattern = getattr(rule, part)
            if not any(fnmatchcase(value, pattern) for value in values):
                raise LabError(f"{_WHERE}.{key} means no {part} with {pattern!r}", nearest(pattern, values))
