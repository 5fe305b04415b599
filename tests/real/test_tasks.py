"""Every task on a real project, as a user types it: what it prints, what it answers to programs, what it leaves."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlops_lab import doctor

if TYPE_CHECKING:
    from collections.abc import Callable

    Lab = Callable[..., subprocess.CompletedProcess[str]]
    Case = Callable[..., Path]

pytestmark = pytest.mark.real

PROJECTS = Path(__file__).parents[1] / "projects"
SEEDS = {"pip", "setuptools", "wheel"}
STEPS = [
    *("create", "activate", "verify", "info", "add", "check", "doctor", "records", "compat"),
    *("lock", "export", "install", "install-project", "prune", "update", "remove"),
]


def set_up(project: Path, environ: dict[str, str], *words: str) -> Path:
    """A project with an environment; returns its folder."""
    argv = [sys.executable, "-m", "mlops_lab", "setup", *words]
    done = subprocess.run(argv, cwd=project, env=environ, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return project


@pytest.fixture(scope="module")
def ready(workshop: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished environment, which no test changes; its path has a space and a letter that is not ASCII."""
    project = tmp_path_factory.mktemp("ready") / "petit été"
    shutil.copytree(PROJECTS / "small", project)
    return set_up(project, workshop, "--hybrid", "venv+uv")


def logged(project: Path) -> list[str]:
    """Every command that was started, as the logs tell."""
    logs = sorted((project / ".mlops-lab" / "logs").glob("*.log"))
    return [line[2:] for log in logs for line in log.read_text().splitlines() if line.startswith("$ ")]


def paths(folder: Path) -> set[str]:
    """The files of a folder, logs left out."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if "logs" not in path.parts}


# --- what only tells -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hybrid", ["venv+poetry", "venv+uv", "pip+poetry", "pip+uv"])
def test_the_guide_shows_every_step_and_runs_none(hybrid: str, lab: Lab, case: Case) -> None:
    project = case("small")
    rows = json.loads(lab("guide", "--hybrid", hybrid, "--json", cwd=project).stdout)
    assert [row["name"] for row in rows] == STEPS
    commands = {row["name"]: row["command"] for row in rows}
    assert commands["create"] == ["python", "-m", "venv", f"{project}/.venv"]
    assert commands["add"] == ["poetry", "add", "--lock", "PACKAGE"]
    assert bool(commands["install-project"]) is hybrid.startswith("pip+")
    page = lab("guide", "--hybrid", hybrid, cwd=project).stdout
    assert page.startswith(f"The guide with {hybrid}, poetry resolves\n")
    assert all(re.search(rf"(?m)^   {name}\b", page) for name in STEPS)
    # Who leads is asked of git; nothing else is started, and nothing is made.
    assert set(logged(project)) == {"git ls-files poetry.lock uv.lock"}
    assert not (project / ".venv").exists()


def test_the_hybrids_and_what_to_do_about_those_that_cannot_run(lab: Lab, ready: Path) -> None:
    found = json.loads(lab("hybrids", "--json", cwd=ready).stdout)
    assert [each["hybrid"] for each in found][2:] == ["venv+poetry", "venv+uv", "pip+poetry", "pip+uv"]
    assert all(each["runs"] for each in found[2:])
    assert all(each["runs"] or (each["why_not"] and each["remedy"]) for each in found)
    page = lab("hybrids", cwd=ready).stdout
    assert re.search(r"(?m)^ *venv\+uv +yes +this project used it last +mlops-lab setup --hybrid venv\+uv *$", page)


def test_the_tools_with_their_versions(lab: Lab, ready: Path) -> None:
    found = json.loads(lab("tools", "--json", cwd=ready).stdout)
    assert list(found) == ["conda", "poetry", "uv", "pip"]
    assert re.fullmatch(r"\d+\.\d+\S*", found["uv"]["version"])
    page = lab("tools", cwd=ready).stdout
    assert found["uv"]["version"] in page
    assert "https://docs.astral.sh/uv/" in page


def test_the_diagram_of_the_chosen_hybrid(lab: Lab, ready: Path) -> None:
    page = lab("diagram", cwd=ready).stdout
    assert re.search(r"uv \d+\.\d+\S* locks → uv\.lock", page)
    assert f"venv  {ready}/.venv" in page
    assert "python 3." in page
    page = lab("diagram", "--hybrid", "pip+poetry", cwd=ready).stdout
    assert re.search(r"poetry( \d\S*)? exports → requirements\.txt", page)


def test_the_steps_that_look_at_the_environment(lab: Lab, ready: Path) -> None:
    assert re.search(r"(?m)^pip \d+\S* from .*/petit été/\.venv/", lab("verify", cwd=ready).stdout)
    assert "Would use project environment at: .venv" in lab("info", cwd=ready).stdout
    assert "Resolved 8 packages" in lab("check", cwd=ready).stdout
    assert lab("doctor", cwd=ready).stdout.count("✓") == len(doctor.CHECKS)
    assert lab("compat", cwd=ready).stdout.splitlines()[-1] == "No broken requirements found."


@pytest.mark.parametrize("task", ["verify", "info", "check", "doctor", "compat"])
def test_a_task_shows_its_command_first_and_finds_the_project_from_below(task: str, lab: Lab, ready: Path) -> None:
    done = lab(task, cwd=ready / "src" / "small")
    assert done.stdout.startswith("$ ")
    assert done.stderr == ""


# --- inside the environment ----------------------------------------------------------------------------------------


def test_run_keeps_the_boundaries_of_arguments_and_the_exit_code(lab: Lab, ready: Path) -> None:
    show = "import json, sys; print(json.dumps(sys.argv[1:]))"
    given = ["a b", "", "--json", "--", "-h", "é", "it's"]
    assert json.loads(lab("run", "--", "python", "-c", show, *given, cwd=ready).stdout) == given
    for code in (0, 1, 7, 130):
        lab("run", "--", "python", "-c", f"raise SystemExit({code})", cwd=ready, check=code)
    assert lab("run", "--", "small", cwd=ready).stdout
    # It runs where the user is, not where the project is.
    shown = lab("run", "--", "python", "-c", "import os; print(os.getcwd())", cwd=ready / "src").stdout
    assert shown == f"{ready}/src\n"


def test_a_signal_that_ends_the_command_is_told_as_shells_do(lab: Lab, ready: Path) -> None:
    lab("run", "--", "python", "-c", "import os; os.kill(os.getpid(), 9)", cwd=ready, check=128 + 9)


def test_shell_starts_the_users_own_inside_the_environment(lab: Lab, ready: Path, tmp_path: Path) -> None:
    script = tmp_path / "my shell"
    script.write_text('#!/bin/sh\necho "$VIRTUAL_ENV|$(command -v python)"\nexit 5\n', encoding="utf-8")
    script.chmod(0o755)
    done = lab("shell", cwd=ready, environ={"SHELL": str(script)}, check=5)
    assert done.stdout == f"{ready}/.venv|{ready}/.venv/bin/python\n"


@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_activation_in_a_shell_and_the_way_back(shell: str, ready: Path, workshop: dict[str, str]) -> None:
    script = (
        'before=$(env | sort); eval "$("$1" -m mlops_lab activate)" || exit 3\n'
        'printf "%s\\n" "$VIRTUAL_ENV" "$(command -v python)"; python -c "import small" || exit 4\n'
        'deactivate; [ "$before" = "$(env | sort)" ] && echo same\n'
    )
    # `_` is the shell's own, of the last command.
    argv = [shell, "-c", script.replace("env | sort", "env | grep -v ^_= | sort"), shell, sys.executable]
    done = subprocess.run(argv, cwd=ready, env=workshop, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (f"{ready}/.venv\n{ready}/.venv/bin/python\nsame\n", "")


def test_activation_for_a_shell_that_is_named(lab: Lab, ready: Path) -> None:
    assert f"set -gx VIRTUAL_ENV '{ready}/.venv'\n" in lab("activate", "--shell", "fish", cwd=ready).stdout
    assert f'set "VIRTUAL_ENV={ready}/.venv"\n' in lab("activate", "--shell", "cmd", cwd=ready).stdout
    assert lab("activate", "--shell", "tcsh", cwd=ready, check=2).stderr == (
        "error: no shell is called 'tcsh': did you mean sh? the shells are bash, zsh, sh, fish, powershell, cmd\n"
    )


# --- setup ---------------------------------------------------------------------------------------------------------


def test_setup_again_has_nothing_to_do_and_starts_no_tool(lab: Lab, ready: Path) -> None:
    before = logged(ready)
    done = lab("setup", cwd=ready)
    assert done.stdout.startswith("nothing to do: the environment is as the last setup left it\n  hybrid    venv+uv (")
    assert done.stderr == "   venv+uv: this project used it last\n"
    assert logged(ready) == before


def test_setup_tells_programs_the_same(lab: Lab, ready: Path) -> None:
    found: dict[str, Any] = json.loads(lab("setup", "--json", cwd=ready).stdout)
    assert found["ok"] is True
    assert (found["hybrid"], found["prefix"], found["groups"]) == ("venv+uv", f"{ready}/.venv", ["dev"])
    assert found["because"] == []
    assert set(found["packages"]) - SEEDS == {"cowsay", "iniconfig", "pyjokes", "small"}
    refused = lab("setup", "--json", "--group", "nope", cwd=ready, check=2)
    assert json.loads(refused.stdout) == {
        "ok": False,
        "error": "there is no dependency group 'nope'",
        "hint": "one of: dev",
        "code": 2,
    }


def test_the_guide_step_by_step(lab: Lab, case: Case) -> None:
    project = case("small")
    prefix = project / ".venv"
    assert lab("create", "--hybrid", "pip+uv", cwd=project).stdout == f"{prefix}: created\n"
    assert lab("create", "--hybrid", "pip+uv", cwd=project).stdout == f"{prefix}: there already\n"
    assert not list(prefix.glob("lib/*/site-packages/cowsay"))
    assert lab("install", "--hybrid", "pip+uv", cwd=project).stdout == f"installed: {prefix}\n"
    assert lab("run", "--hybrid", "pip+uv", "--", "python", "-c", "import cowsay, small", cwd=project).stderr == ""
    found = json.loads(lab("setup", "--hybrid", "pip+uv", "--json", cwd=project).stdout)
    assert set(found["packages"]) - SEEDS == {"cowsay", "iniconfig", "pyjokes", "small"}
    # Another hybrid's environment is not installed into.
    assert lab("install", "--hybrid", "venv+uv", cwd=project, check=2).stderr == (
        f"error: the environment at {prefix} was made with pip+uv: rebuild it with `mlops-lab setup --hybrid venv+uv`\n"
    )


def test_main_and_exactly_the_groups_that_are_asked_for(lab: Lab, case: Case) -> None:
    project = case("small")
    text = (project / "pyproject.toml").read_text(encoding="utf-8")
    more = text.replace('dev = ["iniconfig>=2"]', 'dev = ["iniconfig>=2"]\nextra = ["packaging"]')
    (project / "pyproject.toml").write_text(more, encoding="utf-8")
    lab("lock", cwd=project)

    def installed(*words: str) -> set[str]:
        found = json.loads(lab("setup", "--hybrid", "venv+uv", "--json", *words, cwd=project).stdout)
        return set(found["packages"]) - SEEDS - {"cowsay", "pyjokes", "small"}

    assert installed() == {"iniconfig", "packaging"}
    assert installed("--group", "extra") == {"packaging"}
    assert installed("--group", "dev", "--group", "extra") == {"iniconfig", "packaging"}
    assert installed("--group", "dev") == {"iniconfig"}


def test_a_prefix_is_remembered_wherever_the_next_command_is_typed(lab: Lab, case: Case) -> None:
    project = case("small")
    lab("setup", "--hybrid", "venv+uv", "--prefix", "env", cwd=project)
    for folder in (project, project / "src"):
        shown = lab("run", "--", "python", "-c", "import sys; print(sys.prefix)", cwd=folder).stdout
        assert shown == f"{project}/env\n"
        assert json.loads(lab("setup", "--json", cwd=folder).stdout)["because"] == []


# --- what changes the files ----------------------------------------------------------------------------------------


def test_lock_and_export_write_the_files_they_are_for(lab: Lab, case: Case) -> None:
    project = case("small")
    before = (project / "requirements.txt").read_bytes()
    (project / "requirements.txt").unlink()
    assert lab("export", "--hybrid", "venv+poetry", cwd=project).stdout == f"exported: {project}/requirements.txt\n"
    assert (project / "requirements.txt").read_bytes() == before
    (project / "poetry.lock").unlink()
    assert lab("lock", cwd=project).stdout.splitlines()[-1].startswith("lock: poetry.lock changed, ")
    assert (project / "poetry.lock").exists()
    only = lab("export", "--hybrid", "venv+uv", "--group", "dev", cwd=project).stdout
    assert only == f"exported: {project}/requirements.txt\n"


def test_add_update_and_remove_reach_every_file_and_the_environment(lab: Lab, case: Case) -> None:
    project = case("small")
    lab("setup", "--hybrid", "venv+uv", cwd=project)
    marks = {
        "pyproject.toml": b'"packaging',
        "poetry.lock": b'\nname = "packaging"\n',
        "uv.lock": b'\nname = "packaging"\n',
        "requirements.txt": b"\npackaging==",
    }

    def holding() -> set[str]:
        return {name for name, mark in marks.items() if mark in (project / name).read_bytes()}

    before = (project / "poetry.lock").read_bytes()
    shown = lab("add", "packaging", "--group", "dev", cwd=project).stdout
    assert re.search(r"packaging +- +\d+\.\d+ +pyproject.toml, requirements.txt, poetry.lock, uv.lock", shown)
    assert holding() == set(marks)
    assert lab("run", "--", "python", "-c", "import packaging", cwd=project).stderr == ""
    assert lab("update", "packaging", cwd=project).stdout == "update packaging: nothing to change\n"
    shown = lab("remove", "--group", "dev", "packaging", cwd=project).stdout
    assert re.search(r"packaging +\d+\.\d+ +- +pyproject.toml, requirements.txt, poetry.lock, uv.lock", shown)
    lab("run", "--", "python", "-c", "import packaging", cwd=project, check=1)
    assert (project / "poetry.lock").read_bytes() == before
    assert holding() == set()
    assert json.loads(lab("setup", "--json", cwd=project).stdout)["because"] == []


# --- health --------------------------------------------------------------------------------------------------------


def test_doctor_finds_a_deleted_file_and_setup_mends_it(lab: Lab, case: Case) -> None:
    project = case("small")
    lab("setup", "--hybrid", "venv+uv", cwd=project)
    (lost,) = (project / ".venv").glob("lib/*/site-packages/cowsay/__init__.py")
    lost.unlink()
    done = lab("doctor", cwd=project, check=1)
    assert "    cowsay 6.1: cowsay/__init__.py missing: invoke setup --force" in done.stdout.splitlines()
    assert re.search(r"(?m)^✗ missing +cowsay ", done.stdout)
    done = lab("setup", cwd=project)
    assert "   files of cowsay 6.1 have changed or are missing" in done.stderr.splitlines()
    assert lost.exists()
    lab("doctor", cwd=project)


def test_compat_finds_a_requirement_that_is_not_met(lab: Lab, case: Case) -> None:
    project = case("small")
    lab("setup", "--hybrid", "venv+uv", cwd=project)
    lab("run", "--", "python", "-m", "pip", "uninstall", "--yes", "cowsay", cwd=project)
    done = lab("compat", cwd=project, check=1)
    assert "small 1.2.3 requires cowsay, which is not installed." in done.stdout
    done = lab("setup", cwd=project)
    assert "   no longer installed: cowsay 6.1" in done.stderr.splitlines()
    lab("compat", cwd=project)


def test_clean_removes_only_what_is_ours(lab: Lab, case: Case) -> None:
    project = case("small")
    before = paths(project)
    lab("create", "--hybrid", "venv+uv", cwd=project)
    assert lab("clean", cwd=project).stdout == f"removed: {project}/.venv\nremoved: {project}/.mlops-lab\n"
    assert paths(project) == before
    assert lab("clean", cwd=project).stdout == "nothing to remove\n"
    (project / ".venv").mkdir()
    (project / ".venv" / "mine").touch()
    assert lab("clean", cwd=project, check=2).stderr == (
        f"error: {project}/.venv was not made by mlops-lab: remove it yourself if it is not needed\n"
    )
    assert (project / ".venv" / "mine").exists()


# --- the kernel ----------------------------------------------------------------------------------------------------

ASK = """
import sys
from jupyter_client.manager import start_new_kernel

manager, client = start_new_kernel(kernel_name=sys.argv[1], startup_timeout=60)
try:
    client.execute_interactive("import sys; print(1 + 1, sys.prefix)", timeout=60)
finally:
    client.stop_channels()
    manager.shutdown_kernel(now=True)
"""


def test_the_environment_as_a_jupyter_kernel(lab: Lab, case: Case, tmp_path: Path) -> None:
    project = case("notebook", git=False)
    environ = {"JUPYTER_DATA_DIR": str(tmp_path / "jupyter"), "IPYTHONDIR": str(tmp_path / "ipython")}
    lab("setup", cwd=project)
    assert lab("kernel", "--name", "$(id)", cwd=project, environ=environ, check=2).stderr == (
        "error: '$(id)' is no name for a kernel: write it with letters, digits, hyphens, periods and _\n"
    )
    lab("kernel", cwd=project, environ=environ)
    spec = json.loads((tmp_path / "jupyter" / "kernels" / "notebook-case" / "kernel.json").read_text())
    assert spec["argv"][0] == f"{project}/.venv/bin/python"
    assert spec["display_name"] == "notebook-case (venv+uv)"
    lab("kernel", "--name", "other", cwd=project, environ=environ)
    done = lab("run", "--", "python", "-c", ASK, "other", cwd=project, environ=environ)
    assert done.stdout == f"2 {project}/.venv\n"


def test_a_kernel_needs_ipykernel(lab: Lab, ready: Path) -> None:
    done = lab("kernel", cwd=ready, check=1)
    assert (
        done.stderr.splitlines()[-1] == "  try: the environment has no ipykernel: `mlops-lab add ipykernel --group dev`"
    )


# --- the same through invoke ---------------------------------------------------------------------------------------


def test_invoke_with_a_tasks_file_of_one_line(case: Case, workshop: dict[str, str]) -> None:
    project = case("small")
    (project / "tasks.py").write_text("from mlops_lab.tasks import namespace\n", encoding="utf-8")

    def invoke(*words: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "invoke", *words]
        return subprocess.run(argv, cwd=project, env=workshop, capture_output=True, text=True, check=False)

    listed = invoke("--list").stdout
    for name in (
        "setup",
        *(name for name in STEPS[:12] if name != "records"),
        "guide",
        "hybrids",
        "tools",
        "diagram",
        "run",
        "shell",
        "clean",
        "kernel",
    ):
        assert re.search(rf"(?m)^  {name} ", listed), name
    done = invoke("setup", "--hybrid", "venv+uv")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "ready"), done.stderr
    assert invoke("run", "--", "python", "-c", "import sys; print(sys.argv[1:])", "a b").stdout == "['a b']\n"
    assert invoke("run", "--", "false").returncode == 1
    assert json.loads(invoke("setup", "--json").stdout)["because"] == []
    # Inside a shell, as the guide says.
    script = f'eval "$("{sys.executable}" -m invoke activate)" && command -v python'
    done = subprocess.run(
        ["bash", "-c", script], cwd=project, env=workshop, capture_output=True, text=True, check=False
    )
    assert done.stdout == f"{project}/.venv/bin/python\n"
