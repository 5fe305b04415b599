"""The workflows, as GitHub would run them: their matrix is what nox lists, and every command of theirs is executed.

Actions are stood in for: there is a Python, artifacts are kept in a folder. All else is the checked-in files, bash,
pip, nox and mlops-lab.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uv
from conftest import HERE, PROJECTS
from support.trusted_index import serve
from support.workflow import Machine, expand, filled, found, load, run_job

from mlops_lab import interpreters
from mlops_lab.guide import HYBRIDS
from mlops_lab.runner import Runner
from mlops_lab.workcopy import copy_project

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from support.workflow import Done

    Lab = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.real

WORKFLOWS = HERE / ".github" / "workflows"
ENVIRONMENTS, CI, RELEASE = (load(WORKFLOWS / f"{name}.yml") for name in ("environments", "ci", "release"))
SERIES = ".".join(map(str, sys.version_info[:2]))
GITHUB = {"workflow": "environments", "ref": "refs/heads/main", "event_name": "push"}


# --- the matrix ----------------------------------------------------------------------------------------------------


def nox_lists(environ: Mapping[str, str], *words: str) -> list[dict[str, Any]]:
    argv = [sys.executable, "-m", "nox", "--script-mode", "none", "--list", "--json", *words]
    done = subprocess.run(argv, cwd=HERE, env=dict(environ), capture_output=True, text=True, check=True, timeout=60)
    listed: list[dict[str, Any]] = json.loads(done.stdout)
    return listed


def jobs(workflow: Mapping[str, Any], name: str, matrix: str) -> list[dict[str, Any]]:
    """The jobs that GitHub makes of a matrix: entry, machine, title, and the variables of the step that runs nox."""
    job = workflow["jobs"][name]
    (step,) = (each for each in job["steps"] if each.get("run", "").startswith("nox "))
    made = []
    for entry in expand(filled(job["strategy"]["matrix"], _context(matrix, {}))):
        context = _context(matrix, entry)
        variables = {key: filled(value, context) for key, value in step["env"].items()}
        made.append(
            {
                "entry": entry,
                "system": filled(job["runs-on"], context),
                "title": filled(job["name"], context),
                "variables": variables,
                "run": step["run"],
            }
        )
    return made


def _context(matrix: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    needs = {"plan": {"result": "success", "outputs": {"matrix": matrix}}}
    return {"functions": {"fromJSON": json.loads}, "needs": needs, "matrix": entry}


@pytest.mark.parametrize("size", ["small", "full"])
def test_the_matrix_of_the_environments_is_what_nox_lists(lab: Lab, workshop: dict[str, str], size: str) -> None:
    sessions = {each["session"]: each["call_spec"]["hybrid"] for each in nox_lists(workshop, "-s", "check")}
    assert list(sessions.values()) == [hybrid.name for hybrid in HYBRIDS]
    made = jobs(ENVIRONMENTS, "check", lab("matrix", "--json", "--size", size, cwd=HERE).stdout.strip())
    systems, pythons = ("ubuntu-24.04", "macos-15", "windows-2025"), ("3.11", "3.12", "3.13")
    if size == "full":
        wanted = [(system, python, name) for system in systems for python in pythons for name in sessions]
        assert [(job["system"], job["entry"]["python"], job["variables"]["SESSION"]) for job in made] == wanted
    for job in made:
        entry, variables = job["entry"], job["variables"]
        assert sessions[variables["SESSION"]] == entry["hybrid"]
        assert (variables["PYTHON"], variables["CONDA"]) == (entry["python"], entry["conda"])
        assert (job["system"], job["title"]) == (entry["system"], entry["name"])
    for part, values in (("session", sessions), ("system", systems), ("python", pythons)):
        assert {job["entry"][part] for job in made} == {*values}, part


def test_the_matrix_of_ci_is_what_nox_lists_with_the_tag(lab: Lab, workshop: dict[str, str]) -> None:
    listed = nox_lists(workshop, "-t", "ci")
    made = jobs(CI, "session", lab("matrix", "--tag", "ci", "--json", cwd=HERE).stdout.strip())
    wanted = [
        (each["session"], python)
        for each in listed
        for python in (["3.11", "3.12", "3.13"] if "every-python" in each["tags"] else ["3.11"])
    ]
    assert [(job["variables"]["SESSION"], job["variables"]["PYTHON"]) for job in made] == wanted
    assert {job["system"] for job in made} == {"ubuntu-24.04"}
    # Every session that plain nox runs has its job, in the one workflow or in the other.
    others = {each["session"] for each in nox_lists(workshop)} - {session for session, _ in wanted}
    assert others == {*(f"check({hybrid})" for hybrid in HYBRIDS), "parity"}


@pytest.mark.parametrize(
    ("workflow", "job", "words"), [(ENVIRONMENTS, "check", ("--size", "full")), (CI, "session", ("--tag", "ci"))]
)
def test_the_line_that_is_shown_is_what_the_step_runs(
    workflow: Mapping[str, Any], job: str, words: tuple[str, ...], lab: Lab, workshop: dict[str, str], tmp_path: Path
) -> None:
    recorder = tmp_path / "bin" / "nox"
    recorder.parent.mkdir()
    recorder.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n', encoding="utf-8")
    recorder.chmod(0o755)
    path = f"{recorder.parent}{os.pathsep}{workshop['PATH']}"
    for made in jobs(workflow, job, lab("matrix", *words, "--json", cwd=HERE).stdout.strip()):
        environ = {**workshop, "PATH": path, **made["variables"]}
        argv = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", made["run"]]
        printed = subprocess.run(argv, env=environ, capture_output=True, text=True, check=True, timeout=20).stdout
        assert ["nox", *printed.splitlines()] == shlex.split(made["entry"]["command"])


@pytest.mark.parametrize("name", ["environments", "ci"])
def test_no_session_is_named_in_a_workflow(name: str, workshop: dict[str, str]) -> None:
    text = (WORKFLOWS / f"{name}.yml").read_text(encoding="utf-8")
    assert text.count("nox -s") == (2 if name == "environments" else 1)  # one is in the comment at its top
    assert text.count('nox -s "$SESSION"') == 1
    parametrized = [each["session"] for each in nox_lists(workshop) if each["call_spec"]]
    assert not [word for word in (*parametrized, *map(str, HYBRIDS)) if word in text]


# --- the steps -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("github")


@pytest.fixture(scope="module")
def environ(workshop: dict[str, str]) -> dict[str, str]:
    """What a machine of GitHub's has in every step, on the network of this one."""
    index = {"UV_DEFAULT_INDEX": workshop["PIP_INDEX_URL"]} if "PIP_INDEX_URL" in workshop else {}
    return {
        **workshop,
        **index,
        "PIP_NO_COMPILE": "1",
        "CI": "true",
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": "push",
        "GITHUB_REF_NAME": "main",
        "GITHUB_REPOSITORY": "somebody/something",
        "GITHUB_RUN_ID": "4711",
        "RUNNER_ARCH": "X64",
        "RUNNER_OS": "Linux",
    }


@pytest.fixture(scope="module")
def clone(base: Path, workshop: dict[str, str]) -> Path:
    """A clean clone of this repository, with the working tree's files committed."""
    made = copy_project(HERE, base / "clone", Runner(None, workshop).ask)
    _commit(made, workshop)
    return made


def _commit(folder: Path, environ: Mapping[str, str]) -> None:
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "--allow-empty", "-m", "all of it"]):
        subprocess.run(["git", *words], cwd=folder, env=dict(environ), check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def machine(base: Path, environ: dict[str, str]) -> Callable[[Path], Machine]:
    """A machine with a checkout; all of them have the same Python, as actions/setup-python would give it."""
    python = base / "python"
    argv = [uv.find_uv_bin(), "venv", "--quiet", "--seed", "--python", sys.executable, str(python)]
    subprocess.run(argv, env=environ, check=True, timeout=60)
    path = f"{python / 'bin'}{os.pathsep}{environ['PATH']}"

    def make(workspace: Path) -> Machine:
        temp = base / f"temp-{workspace.name}"
        temp.mkdir(exist_ok=True)
        given = {**environ, "GITHUB_WORKSPACE": str(workspace), "RUNNER_TEMP": str(temp)}
        made = Machine(workspace, temp, base / f"artifacts-{workspace.name}", given)
        actions = {
            "actions/checkout": lambda _: {},
            "actions/setup-python": lambda _: {"PATH": path},
            "actions/cache": lambda given: _restored(Path(given["path"]), environ),
            "actions/upload-artifact": made.upload,
            "actions/download-artifact": made.download,
            "astral-sh/setup-uv": lambda _: {},
        }
        return replace(made, actions=actions)

    return make


def _restored(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The caches of an earlier run: those that all tests share."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, variable in (("uv", "UV_CACHE_DIR"), ("pip", "PIP_CACHE_DIR"), ("mlops-lab", "MLOPS_LAB_CACHE_DIR")):
        if not (folder / name).exists():
            (folder / name).symlink_to(environ[variable])
    return {}


def steps_of(workflow: Mapping[str, Any], job: str) -> list[str]:
    return [step["name"] for step in workflow["jobs"][job]["steps"]]


LAST = "How to do the same elsewhere"
PLANNED = {"plan": {"result": "success"}}


@pytest.fixture(scope="module")
def built(clone: Path, machine: Callable[[Path], Machine]) -> Path:
    """The wheel of the clone, as the release builds it."""
    workflow = {**RELEASE, "jobs": {"build": _only(RELEASE["jobs"]["build"], "Set up", "Build", "Keep the files")}}
    at = machine(clone)
    done = run_job(workflow, "build", at, github={"ref_name": "v0.1.0"})
    assert done.result == "success", done.printed
    files = sorted(path.name for path in (at.artifacts / "dist").iterdir())
    assert [Path(name).suffix for name in files] == [".whl", ".gz"]
    return at.artifacts / "dist" / files[0]


def _only(job: Mapping[str, Any], *beginnings: str) -> dict[str, Any]:
    return {**job, "steps": [step for step in job["steps"] if step["name"].startswith(beginnings)]}


def test_the_plan_of_a_clean_clone_is_a_matrix(
    clone: Path, built: Path, machine: Callable[[Path], Machine], lab: Lab
) -> None:
    assert built.is_file()  # mlops-lab is installed by now: once more takes less time
    done = run_job(ENVIRONMENTS, "plan", machine(clone), github=GITHUB)
    assert done.ran == steps_of(ENVIRONMENTS, "plan")[:-1]
    _is_planned(done, lab, "full")
    # What is installed is the same for a pull request.
    job = _only(ENVIRONMENTS["jobs"]["plan"], "Set up Python", "Turn")
    workflow = {**ENVIRONMENTS, "jobs": {"plan": job}}
    asked = {**GITHUB, "event_name": "pull_request"}
    _is_planned(run_job(workflow, "plan", machine(clone), github=asked), lab, "small")


def _is_planned(done: Done, lab: Lab, size: str) -> None:
    assert (done.result, done.summary) == ("success", ""), done.printed
    assert done.outputs == {"matrix": lab("matrix", "--json", "--size", size, cwd=HERE).stdout.strip()}
    assert f"{len(json.loads(done.outputs['matrix'])['include'])} entries of the 256" in done.printed


def test_a_plan_that_fails_says_how_to_see_it_elsewhere(
    base: Path, built: Path, machine: Callable[[Path], Machine]
) -> None:
    root = base / "without"
    shutil.copytree(PROJECTS / "small", root)
    done = run_job(_installing(built), "plan", machine(root), github=GITHUB)
    assert (done.result, done.outputs["matrix"]) == ("failure", "")
    assert "write one with these two lines:\n\nfrom mlops_lab.sessions import check, parity" in done.printed
    assert done.summary.endswith("\n\n    mlops-lab matrix --size full\n")


def _installing(wheel: Path) -> dict[str, Any]:
    """The workflow in somebody else's project: one line is another."""
    assert ENVIRONMENTS["env"] == {"MLOPS_LAB": "."}
    return {**ENVIRONMENTS, "env": {"MLOPS_LAB": str(wheel)}}


# --- check, parity and pass in another project ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def project(base: Path, workshop: dict[str, str]) -> Path:
    """Somebody's small project, with the two lines of a noxfile.py and this repository's workflow."""
    root = base / "small"
    shutil.copytree(PROJECTS / "small", root)
    (root / ".gitignore").write_text("/.mlops-lab/\n/uv.lock\n/inventories/\n", encoding="utf-8")
    lines = 'from mlops_lab.sessions import check, parity\n__all__ = ["check", "parity"]\n'
    (root / "noxfile.py").write_text(lines, encoding="utf-8")
    _commit(root, workshop)
    return root


@pytest.fixture(scope="module")
def checked(project: Path, built: Path, machine: Callable[[Path], Machine]) -> tuple[dict[str, Any], Done]:
    """An entry of the project's matrix with what came of it."""
    workflow = _installing(built)
    planned = run_job(workflow, "plan", machine(project), github=GITHUB)
    assert planned.result == "success", planned.printed
    entries = expand(json.loads(planned.outputs["matrix"]))
    entry = next(each for each in entries if (each["hybrid"], each["python"]) == ("venv+uv", SERIES))
    needs = {"plan": {"result": "success", "outputs": planned.outputs}}
    return entry, run_job(workflow, "check", machine(project), matrix=entry, needs=needs)


@pytest.fixture(scope="module")
def another(
    checked: tuple[dict[str, Any], Done],
    project: Path,
    machine: Callable[[Path], Machine],
    workshop: dict[str, str],
    lab: Lab,
) -> tuple[str, Path]:
    """A second inventory among the artifacts, and its Python: another one than the first, where one is here."""
    assert checked[1].result == "success", checked[1].printed
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLOPS_LAB_CACHE_DIR", workshop["MLOPS_LAB_CACHE_DIR"])
        here = [each.minor for each in interpreters.installed() if each.minor in {"3.11", "3.12", "3.13"}]
    python = next((each for each in here if each != SERIES), SERIES)
    kept = machine(project).artifacts / f"inventory-of-{python}-elsewhere" / "inventory.json"
    kept.parent.mkdir()
    # Without the session, which changes things afterwards: its inventory is from before that.
    prefix = str(kept.parent.with_name("environment"))
    lab("setup", "--hybrid", "venv+uv", "--python", python, "--prefix", prefix, cwd=project)
    lab("parity", "--prefix", prefix, "--inventory", str(kept), cwd=project)
    return python, kept


def test_check_runs_the_entry_and_leaves_its_inventory_and_logs(
    checked: tuple[dict[str, Any], Done], project: Path, machine: Callable[[Path], Machine]
) -> None:
    entry, done = checked
    assert (done.result, done.summary) == ("success", ""), done.printed
    # Every step but those for another case.
    assert done.ran == [name for name in steps_of(ENVIRONMENTS, "check") if name not in {"Set up conda", LAST}]
    assert f"Session {entry['session']} was successful" in done.printed
    artifact = machine(project).artifacts / f"inventory-{entry['id']}"
    files = {path.name for path in artifact.iterdir()}
    assert {"inventory.json", "inventory.files.json", "inventory-after.json"} <= files
    taken = json.loads((artifact / "inventory.json").read_text(encoding="utf-8"))
    assert taken["hybrid"] == entry["hybrid"]
    assert taken["python"]["version"].startswith(f"{entry['python']}.")
    logs = list(found(artifact, "**/*.log"))
    assert any("sync --locked" in path.read_text(encoding="utf-8") for path in logs)


@pytest.mark.usefixtures("checked")
def test_the_tools_use_the_folder_that_is_kept(project: Path, machine: Callable[[Path], Machine]) -> None:
    at = machine(project)
    named: dict[str, str] = {}
    for variables in at.temp.glob("check-*-ENV"):
        named |= dict(line.split("=", 1) for line in variables.read_text(encoding="utf-8").splitlines())
    (step,) = (each for each in ENVIRONMENTS["jobs"]["check"]["steps"] if "actions/cache@" in each.get("uses", ""))
    folder = filled(step["with"]["path"], {"runner": {"temp": str(at.temp)}})
    assert set(named) == {"MLOPS_LAB_CACHE_DIR", "CONDA_PKGS_DIRS", "PIP_CACHE_DIR", "POETRY_CACHE_DIR", "UV_CACHE_DIR"}
    assert {str(Path(path).parent) for path in named.values()} == {folder}


def test_parity_compares_what_was_left_and_passes(
    another: tuple[str, Path], project: Path, built: Path, machine: Callable[[Path], Machine]
) -> None:
    at = machine(project)
    done = run_job(_installing(built), "parity", at, needs=PLANNED)
    assert done.result == "success", done.printed
    assert done.ran == steps_of(ENVIRONMENTS, "parity")[:-1]
    assert done.summary.startswith("### ✅ parity: ")
    assert "2 environments" in done.summary
    # Of two Pythons the lock itself has other packages: markers say so, and that is no divergence.
    assert ("**equivalent**" if another[0] != SERIES else "**identical**") in done.summary
    certificate = json.loads((at.artifacts / "parity" / "parity.json").read_text(encoding="utf-8"))
    assert len(certificate["inventories"]) == 2


def test_parity_fails_on_a_divergence_and_the_summary_names_the_package(
    another: tuple[str, Path], project: Path, built: Path, machine: Callable[[Path], Machine]
) -> None:
    at, kept = machine(project), another[1]
    before = kept.read_text(encoding="utf-8")
    forged = json.loads(before)
    forged["packages"]["cowsay"]["version"] = "5.0"
    kept.write_text(json.dumps(forged), encoding="utf-8")
    try:
        # A check that has failed does not keep the others from being compared.
        done = run_job(_installing(built), "parity", at, needs={**PLANNED, "check": {"result": "failure"}})
    finally:
        kept.write_text(before, encoding="utf-8")
    assert done.result == "failure"
    assert done.summary.startswith("### ❌ parity: ")
    assert "| version | `cowsay` |" in done.summary
    assert "| cowsay | 6.1 | 5.0 |" in done.summary
    assert done.summary.endswith(
        "\n\n    gh run download 4711 -p 'inventory-*' -D inventories && mlops-lab parity -- inventories\n"
    )
    assert (at.artifacts / "parity" / "parity.json").is_file()


def test_a_hybrid_that_cannot_run_there_is_no_success(
    project: Path, built: Path, machine: Callable[[Path], Machine]
) -> None:
    entry = {
        "session": "check(conda+uv)",
        "hybrid": "conda+uv",
        "system": "ubuntu-24.04",
        "python": SERIES,
        "conda": "embedded",
        "id": "check-conda-uv",
        "command": f'nox -s "check(conda+uv)" -- --python {SERIES} --conda embedded',
    }
    # No channel answers here, so the session is skipped, which nox takes for a success.
    done = run_job(_installing(built), "check", machine(project), matrix=entry)
    assert (
        "Session check(conda+uv) skipped: asked for with --conda, and the channel conda-forge does not" in done.printed
    )
    assert done.result == "failure"
    assert "Keep the inventory and the logs: no files were found" in done.printed
    assert done.summary.endswith(f"\n\n    {entry['command']}\n")


@pytest.mark.parametrize("workflow", [ENVIRONMENTS, CI])
@pytest.mark.parametrize("other", ["success", "failure", "cancelled", "skipped"])
def test_pass_wants_every_job_to_be_a_success(
    workflow: dict[str, Any], other: str, clone: Path, machine: Callable[[Path], Machine]
) -> None:
    job = workflow["jobs"]["pass"]
    assert job["if"] == "always()"
    assert {*job["needs"]} == {*workflow["jobs"]} - {"pass"}
    for bad in job["needs"]:
        needs = {name: {"result": other if name == bad else "success"} for name in job["needs"]}
        done = run_job(workflow, "pass", machine(clone), needs=needs)
        assert done.result == ("success" if other == "success" else "failure")


# --- the release ---------------------------------------------------------------------------------------------------

CHANGELOG = """# Changelog

## [Unreleased]

### Added

- Not yet.

## [0.1.0] - 2026-11-22

### Added

- All of [it](https://example.org).

## [0.1.0rc1] - 2026-11-01

- Less of it.

[0.1.0]: https://example.org/0.1.0
"""


@pytest.mark.parametrize(
    ("tag", "notes"),
    [
        ("v0.1.0", "\n### Added\n\n- All of [it](https://example.org).\n\n"),
        ("v0.1.0rc1", "\n- Less of it.\n\n"),
        ("v0.1", ""),
    ],
)
def test_the_notes_of_a_release_are_its_section_of_the_changelog(
    tag: str, notes: str, tmp_path: Path, machine: Callable[[Path], Machine]
) -> None:
    root = tmp_path / f"notes-{tag}"
    root.mkdir()
    (root / "CHANGELOG.md").write_text(CHANGELOG, encoding="utf-8")
    workflow = {**RELEASE, "jobs": {"build": _only(RELEASE["jobs"]["build"], "Cut", "Keep the notes")}}
    at = machine(root)
    done = run_job(workflow, "build", at, github={"ref_name": tag})
    if notes:
        assert done.result == "success", done.printed
        assert (at.artifacts / "notes" / "notes.md").read_text(encoding="utf-8") == notes
    else:
        assert done.result == "failure"
        assert "::error file=CHANGELOG.md::nothing is said of 0.1\n" in done.printed


def test_the_changelog_has_the_headings_that_are_looked_for() -> None:
    lines = (HERE / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("## ") and not line.startswith("## [")] == []
    assert "## [Unreleased]" in lines


def test_what_was_built_is_installed_and_has_the_version_of_the_tag(
    base: Path, built: Path, machine: Callable[[Path], Machine]
) -> None:
    root = base / "fitting"
    root.mkdir()
    at = machine(root)
    # The wheel itself is what the other tests install; of the sdist, pip makes one first.
    shutil.copytree(built.parent, at.artifacts / "dist", ignore=shutil.ignore_patterns("*.whl"))
    done = run_job(RELEASE, "check", at, github={"ref_name": "v0.1.0"})
    assert (done.result, done.ran) == ("success", steps_of(RELEASE, "check")), done.printed
    assert done.printed.count("Successfully installed ") == 1
    assert done.printed.count("\nSubcommands:\n") == 1


def test_the_first_that_says_another_version_than_the_tag_ends_it(
    base: Path, machine: Callable[[Path], Machine]
) -> None:
    root = base / "unfitting"
    root.mkdir()
    at = machine(root)
    (at.artifacts / "dist").mkdir(parents=True)
    (at.artifacts / "dist" / "mlops_lab-0.2.0.tar.gz").touch()
    wheel = at.artifacts / "dist" / "mlops_lab-0.2.0-py3-none-any.whl"
    info = "mlops_lab-0.2.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("other.py", "def main():\n    print('mlops-lab 0.1.9')\n")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: mlops-lab\nVersion: 0.2.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/entry_points.txt", "[console_scripts]\nmlops-lab = other:main\n")
        archive.writestr(f"{info}/RECORD", "")
    done = run_job(RELEASE, "check", at, github={"ref_name": "v0.2.0"})
    assert done.result == "failure"
    assert f"::error::dist/{wheel.name} says mlops-lab 0.1.9, and the tag v0.2.0\n" in done.printed
    assert ".tar.gz" not in done.printed


def test_publishing_shows_who_it_is_and_uploads_the_attestations(
    tmp_path: Path, built: Path, machine: Callable[[Path], Machine]
) -> None:
    if not (openssl := shutil.which("openssl")):
        pytest.skip("there is no openssl to make a certificate with")
    at = machine(tmp_path)
    shutil.copytree(built.parent, at.artifacts / "dist")

    def sign(_: Mapping[str, str]) -> dict[str, str]:
        """As the action names them; what stands in them is the action's, and the index's to judge."""
        for path in [*(tmp_path / "dist").iterdir()]:
            made = {"version": 1, "verification_material": {"certificate": "YQ==", "transparency_entries": [{}]}}
            envelope = {"statement": "YQ==", "signature": "YQ=="}
            text = json.dumps({**made, "envelope": envelope})
            path.with_name(f"{path.name}.publish.attestation").write_text(text, encoding="utf-8")
        return {}

    with serve(tmp_path, openssl) as (index, variables):
        path = os.pathsep.join([str(Path(uv.find_uv_bin()).parent), at.environ["PATH"]])
        actions = {**at.actions, "astral-sh/attest-action": sign}
        at = replace(at, environ={**at.environ, **variables, "PATH": path}, actions=actions)
        done = run_job(RELEASE, "publish", at)
    assert (done.result, done.ran) == ("success", steps_of(RELEASE, "publish")), done.printed
    assert ("GET", "/id", "Bearer of the job") in index.asked
    assert [path for _, path, _ in index.asked].count("/_/oidc/mint-token") == 1
    assert len(index.uploads) == 2
    for body in index.uploads:
        assert b'name="attestations"' in body
        assert b'"signature":"YQ=="' in body


def test_the_release_has_the_files_and_the_notes(
    tmp_path: Path, built: Path, machine: Callable[[Path], Machine]
) -> None:
    root = tmp_path / "release"
    gh = tmp_path / "bin" / "gh"
    root.mkdir()
    gh.parent.mkdir()
    gh.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\ncat notes.md\necho "$GH_REPO $GH_TOKEN"\n', encoding="utf-8")
    gh.chmod(0o755)
    at = machine(root)
    shutil.copytree(built.parent, at.artifacts / "dist")
    (at.artifacts / "notes").mkdir()
    (at.artifacts / "notes" / "notes.md").write_text("- All of it.\n", encoding="utf-8")
    at = replace(at, environ={**at.environ, "PATH": f"{gh.parent}{os.pathsep}{at.environ['PATH']}"})
    github = {"ref_name": "v0.1.0", "repository": "somebody/something", "token": "secret"}
    done = run_job(RELEASE, "release", at, github=github)
    files = sorted(f"dist/{path.name}" for path in built.parent.iterdir())
    assert done.result == "success", done.printed
    assert done.printed.splitlines() == [
        *("release", "create", "v0.1.0", "--verify-tag", "--title", "v0.1.0", "--notes-file", "notes.md"),
        *files,
        "- All of it.",
        "somebody/something secret",
    ]
