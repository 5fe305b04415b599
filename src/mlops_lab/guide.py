"""The guide as a table: every step once, with each tool's spelling side by side, one row per command.

A row is answered by one tool, never by the pair: `spelling` looks up the hybrid itself (a real exception, with its
reason), then the engine that acts as conda, then the backend, then the manager. Tasks, sessions, documentation and
`invoke guide` are rendered from here.
A new hybrid is a word, a new step is a row: CONTRIBUTING.md has a worked example of each. This module imports the
standard library only.
"""

from __future__ import annotations

import difflib
import re
import shlex
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from mlops_lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

__all__ = [
    "BACKENDS",
    "CIRCUMSTANCES",
    "EMBEDDED",
    "ENGINES",
    "ENGINE_KINDS",
    "EXTRAS",
    "HYBRIDS",
    "LEADER",
    "LISTED",
    "MANAGERS",
    "ROWS",
    "SETUP",
    "TOOL_KINDS",
    "USUAL",
    "WITHOUT_CONDA",
    "Backend",
    "EngineKind",
    "Hybrid",
    "Manager",
    "Row",
    "Spelling",
    "ToolKind",
    "hybrid_named",
    "label",
    "nearest",
    "row_named",
    "spelling",
    "step_title",
    "words",
]


@dataclass(frozen=True)
class Backend:
    """What has to be known of a backend, beside its column.

    Attributes:
        by_conda: A program that acts as conda makes its environments; those of the others are venvs.
        by_pip: pip installs into them what the manager exports; into those of the others the manager installs.
    """

    by_conda: bool = False
    by_pip: bool = False


BACKENDS: Mapping[str, Backend] = MappingProxyType(
    {
        "conda": Backend(by_conda=True),
        "venv": Backend(),
        "pip": Backend(by_pip=True),
    }
)
_VENVS = tuple(name for name, backend in BACKENDS.items() if not backend.by_conda)


@dataclass(frozen=True)
class Manager:
    """What has to be known of a manager, beside its column.

    Attributes:
        lock: Its lock's file name.
        reads_poetry: It reads Poetry's own tables; `[project]` and `[dependency-groups]` are read by every one.
        workspaces: All members of a workspace above share one lock.
    """

    lock: str
    reads_poetry: bool = False
    workspaces: bool = False


MANAGERS: Mapping[str, Manager] = MappingProxyType(
    {
        "poetry": Manager("poetry.lock", reads_poetry=True),
        "uv": Manager("uv.lock", workspaces=True),
    }
)
LEADER = "poetry"
"""The manager that resolves where nothing says otherwise."""


@dataclass(frozen=True)
class Hybrid:
    """A backend, which owns the environment, and a manager, which locks and installs."""

    backend: str
    manager: str

    @property
    def name(self) -> str:
        """The hybrid as the user writes it, such as `venv+poetry`."""
        return f"{self.backend}+{self.manager}"

    @property
    def by_conda(self) -> bool:
        """Whether a program that acts as conda makes the environment."""
        return BACKENDS[self.backend].by_conda

    @property
    def by_pip(self) -> bool:
        """Whether pip installs what the manager exports."""
        return BACKENDS[self.backend].by_pip

    def __str__(self) -> str:
        """The name."""
        return self.name


HYBRIDS = tuple(Hybrid(backend, manager) for backend in BACKENDS for manager in MANAGERS)
USUAL, WITHOUT_CONDA = Hybrid("conda", LEADER), Hybrid("venv", LEADER)
"""What is taken where nothing is chosen: the first, and where no conda can work the other one."""
EMBEDDED = "embedded"


@dataclass(frozen=True)
class EngineKind:
    """What has to be known of a program that acts as conda, beside a column where its own words differ.

    Attributes:
        program: Its name on PATH; empty for the embedded one, which is always there.
        command: What a user types for it.
        variable: Where its shell hook says which program it stands for; there it is a function, and PATH may not have
            it.
        repairs: Its `env update` puts deleted and altered files back.
        swaps: It replaces an environment only when the new one is finished.
        nodefaults: It knows that channel; others take it for one that they have to find.
    """

    program: str
    command: str
    variable: str = ""
    repairs: bool = False
    swaps: bool = False
    nodefaults: bool = False


ENGINE_KINDS: Mapping[str, EngineKind] = MappingProxyType(
    {
        "conda": EngineKind("conda", "conda", "CONDA_EXE"),
        "mamba": EngineKind("mamba", "mamba", "MAMBA_EXE"),
        "micromamba": EngineKind("micromamba", "micromamba", "MAMBA_EXE"),
        EMBEDDED: EngineKind("", "mlops-lab-conda", repairs=True, swaps=True, nodefaults=True),
    }
)
ENGINES = tuple(ENGINE_KINDS)
"""The programs that can act as conda; the first one that a machine has is taken."""


@dataclass(frozen=True)
class ToolKind:
    """What has to be known of a tool: a line of the guide's summary, and how it is found or provisioned.

    Attributes:
        role: What it is for.
        strength: What it does better than the others.
        link: Its documentation.
        parts: The distributions that it consists of, itself first, then its plugins → the versions that will do where
            the project says nothing; none for what acts as conda.
        provisioned: Its argv inside an environment of its own; the first word is a file of that environment's scripts.
        binary: Whether it is a program that can only be asked for its version, not a script of a Python.
    """

    role: str
    strength: str
    link: str
    parts: Mapping[str, str] = field(default_factory=dict)
    provisioned: tuple[str, ...] = ()
    binary: bool = False


TOOL_KINDS: Mapping[str, ToolKind] = MappingProxyType(
    {
        "conda": ToolKind(
            "environments, Python itself and libraries that are not Python",
            "brings CUDA, compilers and C libraries as ready-made packages",
            "https://docs.conda.io",
        ),
        "poetry": ToolKind(
            "dependencies, lock, packaging and publishing",
            "one cross-platform lock, with groups and a resolver that explains itself",
            "https://python-poetry.org/docs/",
            {"poetry": ">=2.2,<3", "poetry-plugin-export": ">=1.9", "poetry-plugin-pypi-mirror": ">=0.6"},
            ("poetry",),
        ),
        "uv": ToolKind(
            "dependencies, lock, environments and Pythons",
            "the same work in a fraction of the time, from one binary",
            "https://docs.astral.sh/uv/",
            {"uv": ">=0.11"},
            ("uv",),
            binary=True,
        ),
        "pip": ToolKind(
            "installation from an index, a file or a folder",
            "is there wherever Python is, and checks every hash",
            "https://pip.pypa.io",
            {"pip": ">=25.3"},
            ("python", "-m", "pip"),
        ),
    }
)


LISTED = "listed"
"""The tool lists every environment that it knows, ours among them, with its prefix at the end of a line."""


CIRCUMSTANCES: Mapping[str, str] = MappingProxyType(
    {
        "existing": "the environment is there already",
        "rebuild": "the environment is to be replaced",
        "rehearsal": "it is only to be seen whether it would work",
        "named": "packages were named",
        "as-is": "the requirements shall stand as they are given",
    }
)
"""When a tool has another command for a step than the usual one."""


@dataclass(frozen=True)
class Spelling:
    """A tool's command for a step, as the guide prints it.

    Attributes:
        command: The command with `{placeholders}`; it is split before they are filled, so a value stays one argument.
        variants: The command where one of the `CIRCUMSTANCES` asks for another one.
        reason: Why a hybrid has a spelling of its own.
        names_environment: A pattern whose only group is the environment the tool says it would work on; `LISTED` where
            it is to be one of several that the tool lists.
        not_installed: A pattern for a line that is no failure where a package of conda's own (the first group) lacks
            one that conda has never installed under that name (the second).
        without: Variables that lead the tool astray, and why they do stands beside them.
    """

    command: str
    variants: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    names_environment: str = ""
    not_installed: str = ""
    without: tuple[str, ...] = ()

    def text(self, variant: str = "") -> str:
        """The command for a circumstance; the usual one where the tool has none of its own for it."""
        return self.variants.get(variant, self.command)


@dataclass(frozen=True)
class Row:
    """One command of the guide.

    Attributes:
        step: The step's number in the guide; 0 for what goes beyond it.
        name: The task's name.
        title: What the step does, in a few words.
        why: One sentence of why.
        spellings: Tool, backend or hybrid → the command that is run.
        alternatives: Tool → what the guide shows beside it; never run.
        by_leader: Answered by the project's leader, under every hybrid, instead of the hybrid's own manager.
        needs_environment: Runs inside the environment: before it exists the command is refused.
        in_shell: The user's shell does it (activation); as a process it would change nothing.
        makes_environment: After it there is an environment.
        looks: It changes neither a file nor the environment: its command is all that a task and a session need.
        part_of: The task that runs it; empty for the one of its name.
    """

    step: int
    name: str
    title: str
    why: str
    spellings: Mapping[str, Spelling]
    alternatives: Mapping[str, str] = field(default_factory=dict)
    by_leader: bool = False
    needs_environment: bool = False
    in_shell: bool = False
    makes_environment: bool = False
    looks: bool = False
    part_of: str = ""


def _same(text: str, *tools: str) -> dict[str, Spelling]:
    return {tool: Spelling(text) for tool in tools}


ROWS: tuple[Row, ...] = (
    Row(
        1,
        "create",
        "Create the environment",
        "An environment of its own keeps the project's packages apart from every other project's.",
        {
            "conda": Spelling(
                "conda env create {where} -f {conda_yml}",
                # `env create` on an existing name deletes that environment without asking.
                {
                    "existing": "conda env update {where} -f {conda_yml} --prune",
                    "rebuild": "conda env create --yes {where} -f {conda_yml}",
                    "rehearsal": "conda env create --dry-run -p {prefix}.rehearsal -f {conda_yml}",
                },
            ),
            # These two ask before they change anything, and nobody is there to answer.
            **{
                engine: Spelling(
                    "conda env create --yes {where} -f {conda_yml}",
                    {
                        "existing": "conda env update --yes {where} -f {conda_yml} --prune",
                        "rehearsal": "conda env create --yes --dry-run -p {prefix}.rehearsal -f {conda_yml}",
                    },
                )
                for engine in ("mamba", "micromamba")
            },
            **_same("python -m venv {prefix}", "venv", "pip"),
        },
        makes_environment=True,
    ),
    Row(
        2,
        "activate",
        "Activate it",
        "From here on `python` and the packages' commands are the environment's.",
        {
            "conda": Spelling("conda activate {name}"),
            # A program cannot change the shell that starts it; this one prints what the shell has to do.
            EMBEDDED: Spelling("mlops-lab activate"),
            **_same("source {prefix}/bin/activate", *_VENVS),
        },
        needs_environment=True,
        in_shell=True,
    ),
    Row(
        3,
        "verify",
        "Verify that it is there",
        "A command that reports success is not yet an environment that works.",
        {
            "conda": Spelling("conda env list", names_environment=LISTED),
            **_same("python -m pip --version", *_VENVS),
        },
        needs_environment=True,
        looks=True,
    ),
    Row(
        4,
        "info",
        "See which environment the manager uses",
        "A manager that targets another environment would change that one.",
        {
            "poetry": Spelling("poetry env info", names_environment=r"(?m)^Path:\s+(.+?)\s*$"),
            "uv": Spelling(
                "uv sync --frozen --inexact --dry-run",
                names_environment=r"(?m)^Would (?:use|create|replace) project environment at: (.+?)\s*$",
            ),
        },
        needs_environment=True,
        looks=True,
    ),
    Row(
        5,
        "add",
        "Add packages",
        "A package that is declared and locked is there on every machine.",
        {
            "poetry": Spelling("poetry add --lock --group={group} {packages}"),
            "uv": Spelling(
                "uv add --no-sync --group={group} {packages}",
                # It writes the indexes of its variables into the manifest, unless a requirement is to stand as it is.
                {"as-is": "uv add --raw --no-sync --group={group} {packages}"},
            ),
        },
        alternatives={
            "conda": "conda install {packages}",
            **dict.fromkeys(_VENVS, "pip install {packages}"),
        },
        by_leader=True,
    ),
    Row(
        6,
        "check",
        "Check manifest and lock",
        "A lock that is older than its manifest installs what nobody declared.",
        {"poetry": Spelling("poetry check --lock"), "uv": Spelling("uv lock --check")},
        looks=True,
    ),
    Row(
        7,
        "doctor",
        "Examine the environment's health",
        "Missing and altered files break an import long after the installation.",
        {
            # With REQUESTS_CA_BUNDLE it reaches for the network; its checks need none.
            "conda": Spelling("conda doctor {where}", without=("REQUESTS_CA_BUNDLE",)),
            # These two have no doctor; conda's own records are the same for all of them.
            **_same("mlops-lab-conda doctor -p {prefix}", "mamba", "micromamba"),
            **_same("mlops-lab doctor --prefix {prefix}", *_VENVS),
        },
        needs_environment=True,
        looks=True,
    ),
    Row(
        7,
        "records",
        "Examine what the manager installed",
        "The doctor of conda knows the packages of conda, and none of those that Poetry or uv put beside them.",
        {"conda": Spelling("mlops-lab doctor --prefix {prefix}")},
        needs_environment=True,
        looks=True,
        part_of="doctor",
    ),
    Row(
        8,
        "compat",
        "Check that the installed packages fit together",
        "Two installers in one environment do not know of each other's requirements.",
        {
            # conda gives some packages other names than the index does, and has checked what its own need.
            "conda": Spelling(
                "python -m pip check", not_installed=r"(\S+) \S+ requires (\S+), which is not installed\."
            ),
            **_same("python -m pip check", *_VENVS),
        },
        needs_environment=True,
        looks=True,
    ),
    Row(
        9,
        "lock",
        "Lock every version",
        "The lock is what makes two machines the same.",
        {"poetry": Spelling("poetry lock"), "uv": Spelling("uv lock")},
        by_leader=True,
    ),
    Row(
        9,
        "export",
        "Export hashed requirements",
        "With them pip alone installs exactly the lock, on a machine that has neither Poetry nor uv.",
        {
            "poetry": Spelling(
                "poetry export --format=requirements.txt --only=main --only={groups} --output={requirements}"
            ),
            "uv": Spelling(
                "uv export --locked --no-emit-project --no-annotate --no-header "
                "--no-default-groups --group={groups} --output-file={requirements}"
            ),
        },
    ),
    Row(
        9,
        "install",
        "Install exactly the lock",
        "The environment follows the lock, in both directions.",
        {
            "conda+poetry": Spelling(
                "poetry install --only=main --only={groups}",
                reason="`poetry sync` would remove the packages that conda itself needs.",
            ),
            "conda+uv": Spelling(
                "uv sync --locked --inexact --no-default-groups --group={groups}",
                reason="Without --inexact uv would remove the packages that conda itself needs.",
            ),
            "pip": Spelling(
                "pip --python {python} install --no-compile --require-hashes --no-deps -r {requirements}",
            ),
            "poetry": Spelling("poetry sync --only=main --only={groups}"),
            "uv": Spelling("uv sync --locked --no-default-groups --group={groups}"),
        },
        needs_environment=True,
    ),
    Row(
        9,
        "install-project",
        "Install the project itself",
        "Hashes cannot cover a folder, so the project follows its requirements.",
        {"pip": Spelling("pip --python {python} install --no-compile --no-deps -e .")},
        needs_environment=True,
        part_of="install",
    ),
    Row(
        9,
        "prune",
        "Uninstall what left the lock",
        "pip installs what is missing and never takes anything away.",
        {tool: Spelling("pip --python {python} uninstall --yes {packages}") for tool in ("conda", "pip")},
        needs_environment=True,
        part_of="install",
    ),
    Row(
        9,
        "update",
        "Move to newer versions",
        "Small steps, often, each of them locked and checked.",
        {
            "poetry": Spelling("poetry update --lock {packages}"),
            "uv": Spelling("uv lock --upgrade", {"named": "uv lock --upgrade-package={packages}"}),
        },
        alternatives={"conda": "conda env update {where} -f {conda_yml} --prune"},
        by_leader=True,
    ),
    Row(
        9,
        "remove",
        "Remove packages",
        "What nobody imports any more still has to be updated, checked and trusted.",
        {
            "poetry": Spelling("poetry remove --lock --group={group} {packages}"),
            "uv": Spelling("uv remove --no-sync --group={group} {packages}"),
        },
        alternatives={
            "conda": "conda remove {packages}",
            **dict.fromkeys(_VENVS, "pip uninstall {packages}"),
        },
        by_leader=True,
    ),
)

EXTRAS: tuple[Row, ...] = (
    Row(
        0,
        "align",
        "Lock the very versions of the other lock",
        "Two locks of one project are worth nothing when they disagree.",
        {"poetry": Spelling("poetry lock"), "uv": Spelling("uv lock --upgrade-package={pins}")},
    ),
    Row(
        0,
        "refetch",
        "Forget altered files of the cache",
        "Files may be links into uv's cache: who edits one in an environment has edited the cache's too.",
        {"uv": Spelling("uv cache clean {packages}")},
    ),
    Row(
        0,
        "restore",
        "Put conda's own packages back",
        "What replaced them has left the lock, and a conda takes its records' word for what is there.",
        {
            "conda": Spelling(
                "conda install --yes --force-reinstall --no-deps {where} --override-channels "
                "--channel={channels} {packages}"
            ),
        },
        needs_environment=True,
    ),
    Row(
        0,
        "discard",
        "Remove the environment",
        "What conda made it also lists: deleting the folder alone leaves its name behind.",
        {"conda": Spelling("conda env remove --yes {where}")},
        needs_environment=True,
    ),
    Row(
        0,
        "kernel",
        "Register a Jupyter kernel",
        "The guide can be followed in a notebook, on the environment that it made.",
        _same("python -m ipykernel install --user --name={kernel} --display-name={title}", *BACKENDS),
        needs_environment=True,
    ),
    Row(
        0,
        "interpreter",
        "Ask the activated environment for its interpreter",
        "Activation has worked when the first `python` of PATH is the environment's.",
        _same('python -c "import sys; print(sys.prefix)"', *BACKENDS),
        needs_environment=True,
    ),
    Row(
        0,
        "build",
        "Build the package",
        "A wheel is installed without running any code of the project, and an sdist is what it was made from.",
        {
            "poetry": Spelling("poetry build --output={dist}"),
            "uv": Spelling("uv build --out-dir={dist}"),
        },
    ),
    Row(
        0,
        "publish",
        "Publish the package",
        "What others install is the very pair of files that was built and checked here.",
        {
            "poetry": Spelling(
                "poetry publish --repository={repository} --dist-dir={dist}",
                {"rehearsal": "poetry publish --dry-run --repository={repository} --dist-dir={dist}"},
            ),
            "uv": Spelling(
                "uv publish --publish-url={upload} {files}",
                {"rehearsal": "uv publish --dry-run --publish-url={upload} {files}"},
                # They lead to another repository, or pass over without a word what is in its index already.
                without=("UV_PUBLISH_INDEX", "UV_PUBLISH_URL", "UV_PUBLISH_CHECK_URL"),
            ),
        },
    ),
)
"""Commands beyond the nine steps; they stand here because a command stands nowhere else."""

SETUP: tuple[str, ...] = (
    "create",
    "activate",
    "verify",
    "info",
    "check",
    "install",
    "install-project",
    "prune",
    "doctor",
    "records",
    "compat",
)
"""The rows that `setup` runs, in this order; a row that no tool of the hybrid answers is passed over.

`check` stands before `install`, as in the guide: a lock that does not fit is found before it is installed.
"""


_TITLES: Mapping[int, str] = MappingProxyType({9: "Keep it up to date"})
"""The steps that are more than their first row."""
_LABELS: Mapping[str, str] = MappingProxyType(
    {
        "prefix": "ENV",
        "python": "ENV",
        "interpreter": "PYTHON",
        "name": "NAME",
        "where": "-n NAME",
        "channels": "CHANNEL",
        "conda_yml": "conda.yml",
        "requirements": "requirements.txt",
        "packages": "PACKAGE…",
        "groups": "GROUP…",
        "group": "GROUP",
        "pins": "PACKAGE==VERSION…",
        "kernel": "NAME",
        "title": "NAME",
        "dist": "DIST",
        "files": "FILE…",
        "repository": "REPOSITORY",
        "upload": "ADDRESS",
    }
)
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


def nearest(word: str, choices: Collection[str]) -> str:
    """The valid choices as a hint, those that look like `word` first."""
    close = difflib.get_close_matches(word, choices, n=2, cutoff=0.5)
    listed = ", ".join(choices)
    return f"did you mean {' or '.join(close)}? (one of: {listed})" if close else f"one of: {listed}"


def hybrid_named(name: str) -> Hybrid:
    """The hybrid of that name.

    Raises:
        LabError: There is none; the hint offers the nearest names (code 2).
    """
    for hybrid in HYBRIDS:
        if hybrid.name == name:
            return hybrid
    raise LabError(f"there is no hybrid {name!r}", nearest(name, [hybrid.name for hybrid in HYBRIDS]))


def row_named(name: str) -> Row:
    """The row of that name, of the nine steps or beyond them.

    Raises:
        LabError: There is none (code 2).
    """
    rows = {row.name: row for row in (*ROWS, *EXTRAS)}
    if name not in rows:
        raise LabError(f"the guide has no step {name!r}", nearest(name, list(rows)))
    return rows[name]


def step_title(step: int) -> str:
    """What a step does, where it has several rows."""
    return _TITLES.get(step) or next(row.title for row in ROWS if row.step == step)


def spelling(row: Row, hybrid: Hybrid, leader: str, engine: str = "") -> Spelling | None:
    """The command that answers a row: the hybrid's own, its engine's, its backend's or its manager's.

    Args:
        row: The row.
        hybrid: The hybrid.
        leader: The manager that resolves.
        engine: The program that acts as conda; empty where the backend is another one.

    Returns:
        The spelling; None when no tool answers the row.
    """
    keys = (leader,) if row.by_leader else (hybrid.name, engine, hybrid.backend, hybrid.manager)
    return next((row.spellings[key] for key in keys if key in row.spellings), None)


def words(text: str, values: Mapping[str, str | Sequence[str]]) -> list[str]:
    """The argv of a command: split first, filled afterwards, so that no value is ever split or interpreted.

    A word that holds a list is repeated for each of the list's values, and left out when the list is empty.

    Args:
        text: The command as the guide prints it, with `{placeholders}`.
        values: Placeholder → its value, or its values.

    Raises:
        KeyError: A placeholder has no value.
    """
    argv: list[str] = []
    for word in shlex.split(text):
        argv.extend(_filled(word, values))
    return argv


def _filled(word: str, values: Mapping[str, str | Sequence[str]]) -> list[str]:
    names = _PLACEHOLDER.findall(word)
    lists = [name for name in names if not isinstance(values[name], str)]
    if not lists:
        return [_PLACEHOLDER.sub(lambda match: str(values[match[1]]), word)]
    # One list in a word is enough for every spelling of the guide.
    (name,) = lists
    return [_filled(word, {**values, name: value})[0] for value in values[name]]


def label(text: str) -> str:
    """A command for people to read: placeholders as the guide prints them, such as ENV."""
    return _PLACEHOLDER.sub(lambda match: _LABELS[match[1]], text)
