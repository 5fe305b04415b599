"""Wrong words and files are refused with one line and exit code 2 before anything is touched; no shell reads them."""

from __future__ import annotations

import json
import os
import re
import shutil
import site
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Lab = Callable[..., subprocess.CompletedProcess[str]]
    Case = Callable[..., Path]

pytestmark = pytest.mark.real

SOURCE = Path(__file__).parents[2] / "src"
HYBRIDS = "conda+poetry, conda+uv, venv+poetry, venv+uv, pip+poetry, pip+uv"
EXAMPLES = 'write for example: numpy, "numpy>=2", "name @ https://host/name.whl"'
NAMES = "write only the name, for example: numpy"
HINTS = {"add": EXAMPLES, "remove": NAMES, "update": NAMES}


@pytest.fixture
def project(case: Case) -> Path:
    """A project without an environment."""
    return case("small", git=False)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, ours included, git's own left out."""
    paths = (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.relative_to(folder).parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def refuse(lab: Lab, folder: Path, *words: str, environ: dict[str, str | None] | None = None) -> str:
    """Run words that must be refused, without a trace on disk; returns the error without its first word."""
    before = contents(folder)
    done = lab(*words, cwd=folder, environ=environ, check=2)
    assert contents(folder) == before
    assert done.stdout == ""
    (error,) = [line for line in done.stderr.splitlines() if not line.startswith("   ")]
    return error.removeprefix("error: ")


# --- the choice ----------------------------------------------------------------------------------------------------

CHOICES = [
    (
        ["setup", "--hybrid", "venv+po"],
        f"there is no hybrid 'venv+po': did you mean venv+poetry or venv+uv? (one of: {HYBRIDS})",
    ),
    (["setup", "--hybrid", "pip-uv"], f"there is no hybrid 'pip-uv': did you mean pip+uv? (one of: {HYBRIDS})"),
    (["guide", "--hybrid", ""], f"there is no hybrid '': one of: {HYBRIDS}"),
    (["setup", "--group", "nope"], "there is no dependency group 'nope': one of: dev"),
    (["setup", "--group", "dev", "--group", ""], "there is no dependency group '': one of: dev"),
    (["export", "--group", "nope"], "there is no dependency group 'nope': one of: dev"),
    (["setup", "--prefix", ""], "--prefix '' names no folder: write its path, for example --prefix .venv"),
    (["create", "--prefix", "a\nb"], "--prefix 'a\\nb' names no folder: write its path, for example --prefix .venv"),
    (["run"], "no command to run is given: write it after two dashes: `mlops-lab run -- python --version`"),
    (["add"], "'add' did not receive required positional arguments: 'name': see `mlops-lab --list`"),
    (["add", "--"], "no package to add is named: name one: `mlops-lab add NAME`"),
    (["nosuch"], "No idea what 'nosuch' is!: see `mlops-lab --list`"),
    (["setup", "--nosuch"], "No idea what '--nosuch' is!: see `mlops-lab --list`"),
]


@pytest.mark.parametrize(("words", "error"), CHOICES, ids=lambda value: " ".join(value) if type(value) is list else "")
def test_a_wrong_choice_is_refused_with_the_valid_ones(words: list[str], error: str, lab: Lab, project: Path) -> None:
    assert refuse(lab, project, *words) == error


@pytest.mark.parametrize("task", ["verify", "info", "doctor", "compat", "activate", "kernel", "install"])
def test_a_task_that_needs_an_environment_names_the_one_that_makes_it(task: str, lab: Lab, project: Path) -> None:
    assert refuse(lab, project, task) == f"there is no environment at {project}/.venv: make it with `mlops-lab setup`"


PYTHONS = {
    "3.99": "there is no Python 3.99 on this machine",
    "python3.99.1": "there is no Python 3.99.1 on this machine",
    "three": "'three' is neither a Python version nor an interpreter's path",
    "": "'' is neither a Python version nor an interpreter's path",
    "~nosuch/python": "'~nosuch/python' is neither a Python version nor an interpreter's path",
    "pyproject.toml": "'pyproject.toml' does not run as a Python",
}


@pytest.mark.parametrize("task", ["setup", "create"])
@pytest.mark.parametrize("word", PYTHONS)
def test_an_unknown_or_unavailable_python_is_refused_with_those_there_are(
    word: str, task: str, lab: Lab, project: Path
) -> None:
    error = refuse(lab, project, task, "--python", word)
    assert re.fullmatch(re.escape(PYTHONS[word]) + r": on this machine: 3\.\d+\.\d+(, 3\.\d+\.\d+)*", error), error


def test_a_python_that_the_project_does_not_allow_is_refused(lab: Lab, tmp_path: Path) -> None:
    manifest = '[project]\nname = "future"\nversion = "1"\nrequires-python = ">=3.99"\n'
    (tmp_path / "pyproject.toml").write_text(manifest, encoding="utf-8")
    version = ".".join(map(str, sys.version_info[:3]))
    assert refuse(lab, tmp_path, "setup", "--python", sys.executable) == (
        f"Python {version} is not allowed: pyproject.toml requires >=3.99: "
        "install one, for example with `uv python install`"
    )
    assert refuse(lab, tmp_path, "setup").startswith("no Python on this machine is >=3.99: ")


def test_no_project_here_or_above(lab: Lab, tmp_path: Path) -> None:
    folder = tmp_path / "some" / "where"
    folder.mkdir(parents=True)
    for task in ("setup", "guide", "hybrids", "clean"):
        assert refuse(lab, folder, task) == (
            f"there is no pyproject.toml in {folder} or above it: "
            "go to the project's folder, or make one with `poetry init`"
        )


# --- the files -----------------------------------------------------------------------------------------------------

NOT_TOML = "correct the line: the file is not TOML"
NOT_YAML = "correct the line: the file is not YAML"
FILES = [
    ("pyproject.toml", "[project\n", f"pyproject.toml:1:9: Expected ']' at the end of a table declaration: {NOT_TOML}"),
    ("pyproject.toml", '[project]\nname = "x"\nversion = \n', f"pyproject.toml:3:11: Invalid value: {NOT_TOML}"),
    (
        "pyproject.toml",
        '[project]\nname = "x"\ntool = 3\n[tool]\nuv = 1\n',
        "pyproject.toml:5:1: tool.uv must be a table, not a number",
    ),
    (
        "pyproject.toml",
        '[project]\nname = "x"\nversion = "1"\nrequires-python = "new"\n',
        'pyproject.toml:4:1: project.requires-python = "new" is not a version constraint: write it as ">=3.11,<3.14"',
    ),
    ("conda.yml", "name: [x\n", f"conda.yml:2:1: expected ',' or ']', but got '<stream end>': {NOT_YAML}"),
    (
        "conda.yml",
        "dependencies:\n\t- python\n",
        (
            "conda.yml:2:1: found character '\\t' that cannot start any token: "
            "indent with spaces: YAML allows no tabs there"
        ),
    ),
    (
        "requirements.txt",
        "cowsay==6.1\n===bad\n",
        (
            'requirements.txt:2:1: "===bad" is nothing that pip takes '
            "(Expected package name at the start of dependency specifier): correct or remove the line"
        ),
    ),
    (
        "poetry.lock",
        "[[package]\n",
        (
            "poetry.lock:1:10: Expected ']]' at the end of an array declaration: "
            "take it as it was with `git checkout`, or delete it: `mlops-lab lock` makes it anew"
        ),
    ),
    (
        "poetry.lock",
        "version = 1\n<<<<<<< ours\n",
        (
            "poetry.lock:2:1: a merge conflict is not resolved: a merge left both sides in the file: "
            "keep one of them, as `git checkout --ours poetry.lock` does, then `mlops-lab lock`"
        ),
    ),
]


@pytest.mark.parametrize("words", [["setup"], ["add", "pyjokes"], ["lock"], ["export"]], ids=lambda words: words[0])
@pytest.mark.parametrize(("name", "text", "error"), FILES, ids=[f"{name}-{error[:30]}" for name, _, error in FILES])
def test_a_broken_file_is_refused_with_line_and_column(
    name: str, text: str, error: str, words: list[str], lab: Lab, project: Path
) -> None:
    (project / name).write_text(text, encoding="utf-8")
    assert refuse(lab, project, *words) == error


def test_a_version_of_python_that_conda_does_not_know_is_refused_with_its_line(lab: Lab, project: Path) -> None:
    (project / "conda.yml").write_text("name: a\ndependencies:\n  - python new\n", encoding="utf-8")
    for words in (["setup"], ["create"], ["add", "pyjokes"], ["lock"]):
        assert refuse(lab, project, *words) == (
            'conda.yml:3: python new: not a version of python: write it as "python >=3.11,<3.14" or "python =3.12"'
        )


# --- the packages --------------------------------------------------------------------------------------------------

PACKAGES = {
    '"; rm -rf ~"': '""; rm -rf ~"" is not a package',
    "; touch canary": '"; touch canary" is not a package',
    "$(touch canary)": '"$(touch canary)" is not a package',
    "`touch canary`": '"`touch canary`" is not a package',
    "a && touch canary": '"a && touch canary" is not a package',
    "a | touch canary": '"a | touch canary" is not a package',
    "a\ntouch canary": '"a\\ntouch canary" is not a package',
    "": '"" is not a package',
    " ": '" " is not a package',
    "a @ x$(touch canary)": '"a @ x$(touch canary)" is not a package',
    "../small": '"../small" is not a package',
    "small.whl": '"small.whl" is a file, not the name of a package',
}
OPTIONS = ["--index-url=x", "-e", "-r/etc/passwd", "--upgrade", "--"]


@pytest.mark.parametrize("dashes", [[], ["--"]], ids=["positional", "after-dashes"])
@pytest.mark.parametrize("word", PACKAGES)
def test_what_is_no_package_is_not_added(word: str, dashes: list[str], lab: Lab, project: Path) -> None:
    assert refuse(lab, project, "add", *dashes, word) == f"{PACKAGES[word]}: {EXAMPLES}"


@pytest.mark.parametrize("dashes", [[], ["--"]], ids=["positional", "after-dashes"])
@pytest.mark.parametrize("task", ["remove", "update"])
def test_what_is_no_package_is_neither_removed_nor_updated(
    task: str, dashes: list[str], lab: Lab, project: Path
) -> None:
    for word in ('"; rm -rf ~"', "$(touch canary)", "a\ntouch canary", ""):
        assert refuse(lab, project, task, *dashes, word) == f"{PACKAGES[word]}: {NAMES}"


@pytest.mark.parametrize("task", ["add", "remove", "update"])
@pytest.mark.parametrize("word", OPTIONS)
def test_an_option_is_no_package(word: str, task: str, lab: Lab, project: Path) -> None:
    assert refuse(lab, project, task, "--", word) == f'"{word}" is not a package: {HINTS[task]}'
    # A good name beside it does not help.
    assert refuse(lab, project, task, "cowsay", "--", word) == f'"{word}" is not a package: {HINTS[task]}'


def test_an_option_in_the_place_of_a_package_is_refused(lab: Lab, project: Path) -> None:
    for task, word in {"add": "x", "remove": "x", "update": "--index-url"}.items():
        assert refuse(lab, project, task, "--index-url=x") == f"No idea what '{word}' is!: see `mlops-lab --list`"


def test_only_names_are_removed_and_updated(lab: Lab, project: Path) -> None:
    for task in ("remove", "update"):
        assert refuse(lab, project, task, "cowsay>=6") == f'"cowsay>=6" is more than the name of a package: {NAMES}'


# --- the prefix ----------------------------------------------------------------------------------------------------

ELSEWHERE = "choose another one with --prefix"


@pytest.mark.parametrize("task", ["setup", "create"])
def test_a_prefix_in_the_way_of_something_is_refused(task: str, lab: Lab, project: Path) -> None:
    refused = {
        "pyproject.toml": f"{project}/pyproject.toml is a file, not a folder for an environment: {ELSEWHERE}",
        "pyproject.toml/x": f"{project}/pyproject.toml cannot be written: "
        "choose another place with --prefix, or make it writable",
        "src": f"{project}/src is a folder with other files in it: choose an empty or new one with --prefix",
        ".": f"{project} holds the project itself: choose a folder of its own with --prefix",
        "..": f"{project.parent} holds the project itself: choose a folder of its own with --prefix",
    }
    for prefix, error in refused.items():
        assert refuse(lab, project, task, "--prefix", prefix) == error


def test_an_environment_of_somebody_else_is_refused(lab: Lab, project: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "mine"], cwd=project, check=True)
    assert refuse(lab, project, "setup", "--prefix", "mine") == (
        f"{project}/mine is an environment that mlops-lab did not make: "
        "rebuild it with --force, or choose another one with --prefix"
    )
    assert refuse(lab, project, "clean", "--prefix", "mine") == (
        f"{project}/mine was not made by mlops-lab: remove it yourself if it is not needed"
    )


@pytest.fixture
def immutable(tmp_path: Path) -> Iterator[Path]:
    """A folder that nobody can write, root included."""
    folder = tmp_path / "immutable"
    folder.mkdir()
    if shutil.which("chattr") is None or subprocess.run(["chattr", "+i", folder], check=False).returncode:
        folder.chmod(0o555)
        if os.access(folder, os.W_OK):
            pytest.skip("root writes everywhere, and chattr +i does not work here")
    yield folder
    subprocess.run(["chattr", "-i", folder], check=False, capture_output=True)
    folder.chmod(0o755)


def test_a_prefix_that_cannot_be_written_is_refused(lab: Lab, project: Path, immutable: Path) -> None:
    for prefix in (immutable, immutable / "deep" / "env"):
        for task in ("setup", "create"):
            assert refuse(lab, project, task, "--prefix", str(prefix)) == (
                f"{immutable} cannot be written: choose another place with --prefix, or make it writable"
            )
    assert list(immutable.iterdir()) == []


def inside(prefix: Path, environ: dict[str, str], folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run mlops-lab with an environment's own interpreter, which finds our packages by PYTHONPATH."""
    folders = [str(SOURCE), sysconfig.get_path("purelib"), *site.getsitepackages()]
    return subprocess.run(
        [prefix / "bin" / "python", "-m", "mlops_lab", *words],
        cwd=folder,
        env={**environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(folders))},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_another_projects_environment_and_ones_own_interpreter(lab: Lab, case: Case, workshop: dict[str, str]) -> None:
    project, prefix = case("small"), case("small", "other").parent / "an environment"
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    lab("setup", "--hybrid", "venv+uv", "--python", version, "--prefix", str(prefix), cwd=project)

    # It belongs to the project that made it.
    other = project.parent / "other"
    left = contents(prefix)
    for words in (["setup"], ["setup", "--force"], ["create"], ["clean"]):
        assert refuse(lab, other, *words, "--prefix", str(prefix)) == (
            f"{prefix} belongs to the project {project}: {ELSEWHERE}"
        )
    assert contents(prefix) == left

    # Its own interpreter hands over to the one outside that made it, words and all.
    before = (prefix / "pyvenv.cfg").stat().st_mtime_ns
    done = inside(prefix, workshop, project, "setup", "--force", "--prefix", str(prefix))
    assert done.returncode == 0, done.stderr
    assert "   asked for with --force" in done.stderr.splitlines()
    assert (prefix / "pyvenv.cfg").stat().st_mtime_ns > before

    # Where there is none outside, it is refused with the command to type.
    stamp = prefix / "mlops-lab.json"
    stamp.write_text(json.dumps({**json.loads(stamp.read_text()), "made_by": "/nosuch/python"}), encoding="utf-8")
    left = contents(prefix)
    for words in (["setup", "--force"], ["add", "pyjokes"], ["clean"]):
        done = inside(prefix, workshop, project, *words)
        assert done.returncode == 2
        assert done.stderr == (
            f"error: this runs inside {prefix}, which it would change: "
            f"leave the environment (`deactivate`) and run it from another one: `mlops-lab {' '.join(words)}`\n"
        )
    assert {name: text for name, text in contents(prefix).items() if not name.endswith(".pyc")} == {
        name: text for name, text in left.items() if not name.endswith(".pyc")
    }


# --- no shell ------------------------------------------------------------------------------------------------------

HOSTILE = [
    "$(touch canary)",
    "`touch canary`",
    "; touch canary",
    "x && touch canary",
    "x\ntouch canary",
    "'; touch canary; '",
    'x" $(touch canary) "y',
    "--hybrid=$(touch canary)",
    "%PATH% & touch canary",
]


@pytest.mark.parametrize("word", HOSTILE)
@pytest.mark.parametrize(
    "words",
    [
        ["setup", "--hybrid"],
        ["setup", "--python"],
        ["setup", "--group"],
        ["activate", "--shell"],
        ["export", "--group"],
    ],
    ids=" ".join,
)
def test_a_hostile_word_is_refused_and_never_run(words: list[str], word: str, lab: Lab, project: Path) -> None:
    refuse(lab, project, *words, word)
    assert not list(project.rglob("canary"))


@pytest.fixture(scope="module")
def hostile_home(workshop: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project and an environment, both with names that a shell would run."""
    base = tmp_path_factory.mktemp("hostile")
    project = base / "p $(touch canary); `touch canary` 'q' été"
    shutil.copytree(Path(__file__).parents[1] / "projects" / "small", project)
    argv = [sys.executable, "-m", "mlops_lab", "setup", "--hybrid", "venv+uv", "--prefix", "e && touch canary; $(id)"]
    subprocess.run(argv, cwd=project, env=workshop, check=True, capture_output=True)
    return project


def test_hostile_folders_make_a_working_environment(hostile_home: Path, lab: Lab) -> None:
    done = lab("run", "--", "python", "-c", "import sys, small; print(sys.prefix)", cwd=hostile_home)
    assert done.stdout == f"{hostile_home}/e && touch canary; $(id)\n"
    for task in ("verify", "info", "check", "doctor", "compat", "guide", "diagram"):
        lab(task, cwd=hostile_home)
    assert not list(hostile_home.parent.rglob("canary"))


@pytest.mark.parametrize("word", HOSTILE)
def test_a_hostile_argument_reaches_the_command_whole(word: str, hostile_home: Path, lab: Lab) -> None:
    show = "import json, sys; print(json.dumps(sys.argv[1:]))"
    done = lab("run", "--", "python", "-c", show, word, "", "a b", word, cwd=hostile_home)
    assert json.loads(done.stdout) == [word, "", "a b", word]
    assert not list(hostile_home.parent.rglob("canary"))


def test_a_hostile_command_is_no_command(hostile_home: Path, lab: Lab) -> None:
    for word in HOSTILE:
        done = lab("run", "--", word, cwd=hostile_home, check=2)
        assert done.stderr.startswith(f"error: there is no command {word!r} in the environment or on PATH: ")
        done = lab("shell", cwd=hostile_home, environ={"SHELL": word}, check=2)
        assert done.stderr.startswith(f"error: there is no command {word!r} in the environment or on PATH: ")
    assert not list(hostile_home.parent.rglob("canary"))


@pytest.mark.parametrize("task", ["add", "remove"])
def test_a_hostile_group_is_refused(task: str, lab: Lab, project: Path) -> None:
    for word in (*HOSTILE, "", "-e", "a b", "é"):
        assert refuse(lab, project, task, "cowsay", f"--group={word}") == (
            f"{word!r} is no name for a dependency group: write it with letters, digits, - . and _"
        )
    assert not list(project.rglob("canary"))


def test_a_hostile_kernel_name_is_refused(hostile_home: Path, lab: Lab) -> None:
    for word in HOSTILE[:4]:
        assert lab("kernel", f"--name={word}", cwd=hostile_home, check=2).stderr == (
            f"error: {word!r} is no name for a kernel: write it with letters, digits, hyphens, periods and _\n"
        )
    done = lab("kernel", "--name=good-name.1", cwd=hostile_home, check=1)
    assert done.stderr.splitlines()[-1].startswith("  try: the environment has no ipykernel: ")
    assert not list(hostile_home.parent.rglob("canary"))


# --- the same through invoke ---------------------------------------------------------------------------------------


def test_invoke_itself_answers_the_same(project: Path, workshop: dict[str, str]) -> None:
    (project / "tasks.py").write_text("from mlops_lab.tasks import namespace\n", encoding="utf-8")
    answers = {
        ("setup", "--hybrid", "pip-uv"): f"there is no hybrid 'pip-uv': did you mean pip+uv? (one of: {HYBRIDS})",
        ("add", "--", "$(touch canary)"): f'"$(touch canary)" is not a package: {EXAMPLES}',
        ("update", "--", "--index-url=x"): f'"--index-url=x" is not a package: {NAMES}',
        ("remove", ""): f'"" is not a package: {NAMES}',
    }
    before = contents(project)
    environ = {**workshop, "PYTHONDONTWRITEBYTECODE": "1"}
    for words, error in answers.items():
        argv = [sys.executable, "-m", "invoke", *words]
        done = subprocess.run(argv, cwd=project, env=environ, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (2, f"error: {error}\n")
    assert contents(project) == before
