"""The guide's table, read as data: which tool answers which row for which hybrid, with the whole argv."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest

from mlops_lab import guide
from mlops_lab.errors import WRONG, LabError
from mlops_lab.guide import EXTRAS, HYBRIDS, ROWS, Hybrid, Row, Spelling, hybrid_named, label, nearest, row_named, words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

VALUES: Mapping[str, str | Sequence[str]] = {
    "prefix": "/e",
    "python": "/e/bin/python",
    "interpreter": "/usr/bin/python3.12",
    "name": "mlops_env",
    "where": ["-n", "mlops_env"],
    "channels": ["conda-forge"],
    "conda_yml": "conda.yml",
    "requirements": "requirements.txt",
    "groups": ["lab", "dev"],
    "packages": ["numpy", "pandas>=2"],
    "group": ["lab"],
    "pins": ["numpy==2.0 ; python_version < '3.12'", "pandas==2.2"],
    "kernel": "mlops-lab",
    "title": "mlops-lab (venv+uv)",
    "dist": "dist",
    "files": ["dist/p-1.tar.gz"],
    "repository": ["team"],
    "upload": ["https://index.example/legacy/"],
}

CONDA = ("conda+poetry", "conda+uv")
VENV = ("venv+poetry", "venv+uv")
PIP = ("pip+poetry", "pip+uv")
POETRY = ("conda+poetry", "venv+poetry", "pip+poetry")
UV = ("conda+uv", "venv+uv", "pip+uv")
EVERY = (*CONDA, *VENV, *PIP)

PYTHON_SAYS = ["python", "-c", "import sys; print(sys.prefix)"]
KERNEL = [
    *("python", "-m", "ipykernel", "install", "--user"),
    *("--name=mlops-lab", "--display-name=mlops-lab (venv+uv)"),
]
UV_EXPORT = [
    *("uv", "export", "--locked", "--no-emit-project", "--no-annotate", "--no-header", "--no-default-groups"),
    *("--group=lab", "--group=dev", "--output-file=requirements.txt"),
]
POETRY_EXPORT = [
    *("poetry", "export", "--format=requirements.txt", "--only=main", "--only=lab", "--only=dev"),
    "--output=requirements.txt",
]
PIP_UNINSTALL = ["pip", "--python", "/e/bin/python", "uninstall", "--yes", "numpy", "pandas>=2"]
ALIGN_UV = [
    *("uv", "lock", "--upgrade-package=numpy==2.0 ; python_version < '3.12'"),
    "--upgrade-package=pandas==2.2",
]

# The row, the hybrids that answer it so, and the whole argv.
ANSWERS: tuple[tuple[str, tuple[str, ...], list[str]], ...] = (
    ("create", CONDA, ["conda", "env", "create", "-n", "mlops_env", "-f", "conda.yml"]),
    ("create", (*VENV, *PIP), ["python", "-m", "venv", "/e"]),
    ("activate", CONDA, ["conda", "activate", "mlops_env"]),
    ("activate", (*VENV, *PIP), ["source", "/e/bin/activate"]),
    ("verify", CONDA, ["conda", "env", "list"]),
    ("verify", (*VENV, *PIP), ["python", "-m", "pip", "--version"]),
    ("info", POETRY, ["poetry", "env", "info"]),
    ("info", UV, ["uv", "sync", "--frozen", "--inexact", "--dry-run"]),
    ("check", POETRY, ["poetry", "check", "--lock"]),
    ("check", UV, ["uv", "lock", "--check"]),
    ("doctor", CONDA, ["conda", "doctor", "-n", "mlops_env"]),
    ("doctor", (*VENV, *PIP), ["mlops-lab", "doctor", "--prefix", "/e"]),
    ("records", CONDA, ["mlops-lab", "doctor", "--prefix", "/e"]),
    ("compat", EVERY, ["python", "-m", "pip", "check"]),
    ("export", POETRY, POETRY_EXPORT),
    ("export", UV, UV_EXPORT),
    ("install", ("conda+poetry",), ["poetry", "install", "--only=main", "--only=lab", "--only=dev"]),
    (
        "install",
        ("conda+uv",),
        ["uv", "sync", "--locked", "--inexact", "--no-default-groups", "--group=lab", "--group=dev"],
    ),
    ("install", ("venv+poetry",), ["poetry", "sync", "--only=main", "--only=lab", "--only=dev"]),
    ("install", ("venv+uv",), ["uv", "sync", "--locked", "--no-default-groups", "--group=lab", "--group=dev"]),
    (
        "install",
        PIP,
        [
            *("pip", "--python", "/e/bin/python", "install"),
            *("--no-compile", "--require-hashes", "--no-deps", "-r", "requirements.txt"),
        ],
    ),
    (
        "install-project",
        PIP,
        ["pip", "--python", "/e/bin/python", "install", "--no-compile", "--no-deps", "-e", "."],
    ),
    ("prune", (*CONDA, *PIP), PIP_UNINSTALL),
    ("align", POETRY, ["poetry", "lock"]),
    ("align", UV, ALIGN_UV),
    ("refetch", UV, ["uv", "cache", "clean", "numpy", "pandas>=2"]),
    (
        "restore",
        CONDA,
        [
            *("conda", "install", "--yes", "--force-reinstall", "--no-deps", "-n", "mlops_env"),
            *("--override-channels", "--channel=conda-forge", "numpy", "pandas>=2"),
        ],
    ),
    ("discard", CONDA, ["conda", "env", "remove", "--yes", "-n", "mlops_env"]),
    ("kernel", EVERY, KERNEL),
    ("interpreter", EVERY, PYTHON_SAYS),
    ("build", POETRY, ["poetry", "build", "--output=dist"]),
    ("build", UV, ["uv", "build", "--out-dir=dist"]),
    ("publish", POETRY, ["poetry", "publish", "--repository=team", "--dist-dir=dist"]),
    ("publish", UV, ["uv", "publish", "--publish-url=https://index.example/legacy/", "dist/p-1.tar.gz"]),
)

# Rows that the leader answers, the same for every hybrid.
LED: tuple[tuple[str, str, list[str]], ...] = (
    ("add", "poetry", ["poetry", "add", "--lock", "--group=lab", "numpy", "pandas>=2"]),
    ("add", "uv", ["uv", "add", "--no-sync", "--group=lab", "numpy", "pandas>=2"]),
    ("lock", "poetry", ["poetry", "lock"]),
    ("lock", "uv", ["uv", "lock"]),
    ("update", "poetry", ["poetry", "update", "--lock", "numpy", "pandas>=2"]),
    ("update", "uv", ["uv", "lock", "--upgrade"]),
    ("remove", "poetry", ["poetry", "remove", "--lock", "--group=lab", "numpy", "pandas>=2"]),
    ("remove", "uv", ["uv", "remove", "--no-sync", "--group=lab", "numpy", "pandas>=2"]),
)

VARIANTS: tuple[tuple[str, str, str, str, list[str]], ...] = (
    ("create", "existing", "conda+uv", "", ["conda", "env", "update", "-n", "mlops_env", "-f", "conda.yml", "--prune"]),
    ("create", "existing", "venv+uv", "", ["python", "-m", "venv", "/e"]),
    (
        *("update", "named", "venv+uv", "uv"),
        ["uv", "lock", "--upgrade-package=numpy", "--upgrade-package=pandas>=2"],
    ),
    ("update", "named", "venv+uv", "poetry", ["poetry", "update", "--lock", "numpy", "pandas>=2"]),
    (
        *("publish", "rehearsal", "pip+poetry", ""),
        ["poetry", "publish", "--dry-run", "--repository=team", "--dist-dir=dist"],
    ),
    (
        *("publish", "rehearsal", "conda+uv", ""),
        ["uv", "publish", "--dry-run", "--publish-url=https://index.example/legacy/", "dist/p-1.tar.gz"],
    ),
)

# Step, row, flags (by the leader, in the environment, in the shell), and the alternatives that are shown, never run.
SHAPE: tuple[tuple[int, str, str, dict[str, str]], ...] = (
    (1, "create", "", {}),
    (2, "activate", "environment shell", {}),
    (3, "verify", "environment", {}),
    (4, "info", "environment", {}),
    (
        *(5, "add", "leader"),
        {"conda": "conda install {packages}", "pip": "pip install {packages}", "venv": "pip install {packages}"},
    ),
    (6, "check", "", {}),
    (7, "doctor", "environment", {}),
    (7, "records", "environment", {}),
    (8, "compat", "environment", {}),
    (9, "lock", "leader", {}),
    (9, "export", "", {}),
    (9, "install", "environment", {}),
    (9, "install-project", "environment", {}),
    (9, "prune", "environment", {}),
    (9, "update", "leader", {"conda": "conda env update {where} -f {conda_yml} --prune"}),
    (
        *(9, "remove", "leader"),
        {"conda": "conda remove {packages}", "pip": "pip uninstall {packages}", "venv": "pip uninstall {packages}"},
    ),
    (0, "align", "", {}),
    (0, "refetch", "", {}),
    (0, "restore", "environment", {}),
    (0, "discard", "environment", {}),
    (0, "kernel", "environment", {}),
    (0, "interpreter", "environment", {}),
    (0, "build", "", {}),
    (0, "publish", "", {}),
)


def _argv(row: Row, hybrid: Hybrid, leader: str = "none", variant: str = "") -> list[str] | None:
    spelled = guide.spelling(row, hybrid, leader)
    return None if spelled is None else words(spelled.text(variant), VALUES)


def _commands() -> Iterator[str]:
    """Every command of the table, variants and alternatives included."""
    for row in (*ROWS, *EXTRAS):
        for spelled in row.spellings.values():
            yield from (spelled.command, *spelled.variants.values())
        yield from row.alternatives.values()


def _spellings() -> list[tuple[str, str, Spelling]]:
    return [(row.name, tool, spelled) for row in (*ROWS, *EXTRAS) for tool, spelled in row.spellings.items()]


# --- the table -----------------------------------------------------------------------------------------------------


def test_the_hybrids_are_every_backend_with_every_manager() -> None:
    assert tuple(str(hybrid) for hybrid in HYBRIDS) == EVERY
    assert [(hybrid.backend, hybrid.manager) for hybrid in HYBRIDS] == [tuple(name.split("+")) for name in EVERY]


def _flags(row: Row) -> str:
    flags = {"leader": row.by_leader, "environment": row.needs_environment, "shell": row.in_shell}
    return " ".join(name for name, on in flags.items() if on)


def test_the_rows_are_these_in_this_order() -> None:
    found = [(row.step, row.name, _flags(row), dict(row.alternatives)) for row in (*ROWS, *EXTRAS)]
    assert found == list(SHAPE)


def test_the_nine_steps_are_all_there() -> None:
    assert sorted({row.step for row in ROWS}) == list(range(1, 10))
    assert {row.step for row in EXTRAS} == {0}


@pytest.mark.parametrize("row", [*ROWS, *EXTRAS], ids=lambda row: row.name)
def test_a_row_says_what_and_why(row: Row) -> None:
    assert row.title
    assert not row.title.endswith(".")
    assert re.fullmatch(r"(?:[A-Z`]|pip ).+\.", row.why)


@pytest.mark.parametrize("hybrid", HYBRIDS, ids=str)
@pytest.mark.parametrize("row", [row for row in (*ROWS, *EXTRAS) if not row.by_leader], ids=lambda row: row.name)
def test_each_hybrid_answers_each_row_with_this_command_or_not_at_all(row: Row, hybrid: Hybrid) -> None:
    expected = [argv for name, hybrids, argv in ANSWERS if name == row.name and hybrid.name in hybrids]
    found = _argv(row, hybrid)
    assert ([] if found is None else [found]) == expected


@pytest.mark.parametrize("hybrid", HYBRIDS, ids=str)
@pytest.mark.parametrize(("name", "leader", "argv"), LED, ids=lambda value: value if isinstance(value, str) else "")
def test_the_leader_answers_its_rows_under_every_hybrid(
    name: str, leader: str, argv: list[str], hybrid: Hybrid
) -> None:
    assert _argv(row_named(name), hybrid, leader) == argv


@pytest.mark.parametrize(
    ("name", "leader", "argv"),
    [
        ("add", "poetry", ["poetry", "add", "--lock", "numpy"]),
        ("add", "uv", ["uv", "add", "--no-sync", "numpy"]),
        ("remove", "poetry", ["poetry", "remove", "--lock", "numpy"]),
        ("remove", "uv", ["uv", "remove", "--no-sync", "numpy"]),
    ],
)
def test_without_a_group_none_is_named(name: str, leader: str, argv: list[str]) -> None:
    command = row_named(name).spellings[leader].command
    assert words(command, {"group": [], "packages": ["numpy"]}) == argv


@pytest.mark.parametrize(
    ("hybrid", "argv"),
    [
        ("venv+poetry", ["poetry", "sync", "--only=main"]),
        ("venv+uv", ["uv", "sync", "--locked", "--no-default-groups"]),
    ],
)
def test_without_groups_main_alone_is_installed(hybrid: str, argv: list[str]) -> None:
    spelled = guide.spelling(row_named("install"), hybrid_named(hybrid), "poetry")
    assert spelled is not None
    assert words(spelled.command, {"groups": []}) == argv


def test_every_row_of_the_leader_is_in_the_table_above() -> None:
    assert {row.name for row in (*ROWS, *EXTRAS) if row.by_leader} == {name for name, _, _ in LED}


@pytest.mark.parametrize(("name", "variant", "hybrid", "leader", "argv"), VARIANTS)
def test_a_circumstance_has_its_own_command_where_the_tool_has_one(
    name: str, variant: str, hybrid: str, leader: str, argv: list[str]
) -> None:
    assert _argv(row_named(name), hybrid_named(hybrid), leader, variant) == argv


def test_there_are_no_other_variants() -> None:
    found = {(row, tool, variant) for row, tool, spelled in _spellings() for variant in spelled.variants}
    existing = {("create", engine, "existing") for engine in ("conda", "mamba", "micromamba")}
    rehearsal = {(row, engine, "rehearsal") for row, engine, _ in existing}
    rehearsal |= {("publish", manager, "rehearsal") for manager in guide.MANAGERS}
    others = {("create", "conda", "rebuild"), ("update", "uv", "named"), ("add", "uv", "as-is")}
    assert found == {*existing, *rehearsal, *others}


def test_only_a_conda_prefix_makes_an_exception_and_gives_its_reason() -> None:
    exceptions = {(row, tool): spelled.reason for row, tool, spelled in _spellings() if "+" in tool}
    assert exceptions == {
        ("install", "conda+poetry"): "`poetry sync` would remove the packages that conda itself needs.",
        ("install", "conda+uv"): "Without --inexact uv would remove the packages that conda itself needs.",
    }


def test_a_spelling_belongs_to_a_backend_a_manager_or_a_hybrid() -> None:
    known = {*EVERY, *guide.ENGINES, *guide.BACKENDS, *guide.MANAGERS}
    assert {tool for _, tool, _ in _spellings()} <= known
    assert {tool for row in ROWS for tool in row.alternatives} <= known


def test_no_command_can_wait_for_an_answer_that_nobody_gives() -> None:
    asking = [
        command for command in _commands() if "pip " in command and "uninstall" in command and "{python}" in command
    ]
    assert asking
    assert all("--yes" in shlex.split(command) for command in asking)


@pytest.mark.parametrize("name", [*VENV, *PIP])
def test_setup_runs_these_rows_in_this_order(name: str) -> None:
    answered = [row for row in guide.SETUP if _argv(row_named(row), hybrid_named(name)) is not None]
    pip = ["install-project", "prune"] if name in PIP else []
    assert answered == ["create", "activate", "verify", "info", "check", "install", *pip, "doctor", "compat"]


@pytest.mark.parametrize(
    ("manager", "printed", "named"),
    [
        (
            "poetry",
            "Virtualenv\nPython:         3.11.7\nPath:           /my env/é\nExecutable:     /x/python\n\nPath: no",
            "/my env/é",
        ),
        ("poetry", "Path: NA\n", "NA"),
        ("uv", "Would use project environment at: .venv\nFound up-to-date lockfile\n", ".venv"),
        ("uv", "Would create project environment at: /my env/é\n", "/my env/é"),
        ("uv", "Would replace project environment at: /e\r\n", "/e"),
    ],
)
def test_step_4_names_the_environment_that_the_manager_would_change(manager: str, printed: str, named: str) -> None:
    pattern = row_named("info").spellings[manager].names_environment
    match = re.search(pattern, printed)
    assert match is not None
    assert match[1] == named


def test_step_4_names_the_environment_and_conda_lists_it() -> None:
    assert {(row, tool) for row, tool, spelled in _spellings() if spelled.names_environment} == {
        ("info", "poetry"),
        ("info", "uv"),
        ("verify", "conda"),
    }


def test_the_summary_has_the_four_tools_of_the_guide() -> None:
    assert list(guide.TOOL_KINDS) == ["conda", "poetry", "uv", "pip"]
    for tool in guide.TOOL_KINDS.values():
        assert tool.role
        assert tool.strength
        assert re.fullmatch(r"https://\S+", tool.link)


# --- the commands --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", sorted(set(_commands())))
def test_a_command_splits_fills_and_can_be_read(command: str) -> None:
    assert shlex.split(command)
    assert all(word for word in words(command, VALUES))
    assert "{" not in " ".join(words(command, VALUES))
    assert "{" not in label(command)


@pytest.mark.parametrize("command", sorted(set(_commands())))
def test_no_command_needs_a_shell(command: str) -> None:
    assert not re.search(r"(?<!\S)[;&|<>]|\$|`|\*|~", command)


@pytest.mark.parametrize("command", sorted(set(_commands())))
def test_a_word_holds_one_list_at_most(command: str) -> None:
    lists = {name for name, value in VALUES.items() if not isinstance(value, str)}
    for word in shlex.split(command):
        assert sum(name in lists for name in re.findall(r"\{(\w+)\}", word)) <= 1


def test_every_placeholder_has_a_label_and_every_label_a_placeholder() -> None:
    used = {name for command in _commands() for name in re.findall(r"\{(\w+)\}", command)}
    # Ours are made by the interpreter itself; CONTRIBUTING.md has a backend whose tool has to be told of it.
    assert used | {"interpreter"} == set(guide._LABELS) == set(VALUES)


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("python -m venv {prefix}", "python -m venv ENV"),
        ("pip --python {python} install -r {requirements}", "pip --python ENV install -r requirements.txt"),
        ("uv lock --upgrade-package={pins}", "uv lock --upgrade-package=PACKAGE==VERSION…"),
        ("poetry add --group={group} {packages}", "poetry add --group=GROUP PACKAGE…"),
        ("conda env list", "conda env list"),
    ],
)
def test_a_label_is_what_the_guide_prints(command: str, text: str) -> None:
    assert label(command) == text


HOSTILE = [
    "a b",
    "it's",
    'say "x"',
    "$(id)",
    "`id`",
    "; rm -rf ~",
    "a && b | c > d",
    "{prefix}",
    "{}",
    "{0} {packages}",
    "%PATH%",
    "a\nb",
    "",
    "\\",
    r"\1\g<0>",
    "-e",
    "päck/ö",
    "*",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_stays_one_argument_as_it_is(value: str) -> None:
    given = {"prefix": value, "packages": [value, "x"]}
    assert words("tool {prefix} --at={prefix}/bin", given) == ["tool", value, f"--at={value}/bin"]
    assert words("tool {packages} --add={packages}", given) == ["tool", value, "x", f"--add={value}", "--add=x"]


@pytest.mark.parametrize("command", sorted(set(_commands())))
def test_in_every_command_a_hostile_value_is_one_argument(command: str) -> None:
    plain = words(command, {name: "X" if isinstance(value, str) else ["X"] for name, value in VALUES.items()})
    value = "$(id) {prefix} ' \" ;"
    hostile = words(command, {name: value if isinstance(known, str) else [value] for name, known in VALUES.items()})
    assert hostile == [word.replace("X", value) for word in plain]


@pytest.mark.parametrize(
    ("values", "argv"),
    [
        ([], ["tool", "end"]),
        (["a"], ["tool", "a", "--x=a", "end"]),
        (("a", "b c"), ["tool", "a", "b c", "--x=a", "--x=b c", "end"]),
    ],
)
def test_a_word_with_a_list_is_repeated_for_each_value(values: Sequence[str], argv: list[str]) -> None:
    assert words("tool {list} --x={list} end", {"list": values}) == argv


def test_a_list_beside_a_text_in_one_word() -> None:
    assert words("{text}={list}", {"text": "{}", "list": ["a", "{text}"]}) == ["{}=a", "{}={text}"]


def test_quoted_words_of_a_command_are_one_argument() -> None:
    assert words('python -c "import sys; print(1)"', {}) == ["python", "-c", "import sys; print(1)"]


def test_a_placeholder_without_a_value_is_a_mistake_of_ours() -> None:
    with pytest.raises(KeyError, match="prefix"):
        words("python -m venv {prefix}", {})


# --- names ---------------------------------------------------------------------------------------------------------

LISTED = "conda+poetry, conda+uv, venv+poetry, venv+uv, pip+poetry, pip+uv"


@pytest.mark.parametrize("name", EVERY)
def test_a_hybrid_is_found_by_its_name(name: str) -> None:
    assert hybrid_named(name).name == name


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("venv+uvv", f"did you mean venv+uv or venv+poetry? (one of: {LISTED})"),
        ("zzz", f"one of: {LISTED}"),
        ("", f"one of: {LISTED}"),
    ],
)
def test_an_unknown_hybrid_is_refused_with_the_nearest_names(word: str, hint: str) -> None:
    with pytest.raises(LabError) as caught:
        hybrid_named(word)
    assert (caught.value.message, caught.value.hint, caught.value.code) == (f"there is no hybrid {word!r}", hint, WRONG)


@pytest.mark.parametrize("row", [*ROWS, *EXTRAS], ids=lambda row: row.name)
def test_a_row_is_found_by_its_name(row: Row) -> None:
    assert row_named(row.name) is row


def test_an_unknown_step_is_refused_with_the_nearest_names() -> None:
    with pytest.raises(LabError) as caught:
        row_named("instal")  # codespell:ignore instal
    listed = ", ".join(name for _, name, _, _ in SHAPE)
    assert caught.value.message == "the guide has no step 'instal'"
    assert caught.value.hint == f"did you mean install or install-project? (one of: {listed})"
    assert caught.value.code == WRONG


def test_choices_without_a_near_one_are_listed() -> None:
    assert nearest("q", ["alpha", "beta"]) == "one of: alpha, beta"
    assert nearest("alpa", ["alpha", "beta"]) == "did you mean alpha? (one of: alpha, beta)"
