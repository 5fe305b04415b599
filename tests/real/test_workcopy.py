"""The copy of a project, made with the real git."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlops_lab.errors import LabError
from mlops_lab.workcopy import LARGEST, MARKER, copy_project

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.real

IDENTITY = {
    f"GIT_{who}_{what}": text
    for who in ("AUTHOR", "COMMITTER")
    for what, text in {"NAME": "Ada", "EMAIL": "ada@example.com", "DATE": "2026-01-02T03:04:05Z"}.items()
}


def run(argv: Sequence[str], cwd: Path) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    settings = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(argv, cwd=cwd, env=clean | settings | IDENTITY, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"{argv[0]} failed", done.stderr)
    return done.stdout


def no_git(argv: Sequence[str], cwd: Path) -> str:
    raise LabError(f"{argv[0]}: not found in {cwd}")


def git(where: Path, *words: str) -> str:
    return run(["git", *words], where)


def put(path: Path, text: str = "x\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def repository(where: Path, files: dict[str, str]) -> Path:
    where.mkdir(parents=True)
    for name, text in files.items():
        put(where / name, text)
    git(where, "init", "--quiet", "--initial-branch=main")
    git(where, "add", "--all")
    git(where, "commit", "--quiet", "--message=first")
    return where


def names(where: Path) -> list[str]:
    found = [path.relative_to(where) for path in where.rglob("*") if path.is_symlink() or path.is_file()]
    return sorted(path.as_posix() for path in found if path.parts[0] != ".git")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with a space and an umlaut in its path, and every kind of change."""
    files = {
        "pyproject.toml": "",
        ".gitignore": "*.log\n/.venv/\n",
        "same": "1",
        "changed": "1",
        "gone": "1",
        "staged": "1",
    }
    root = repository(tmp_path / "meine Übung" / "demo", files)
    put(root / "changed", "2")
    put(root / "neu ä\tb.txt", "new")
    put(root / "staged", "2")
    git(root, "add", "staged")
    put(root / "some.log")
    put(root / ".venv" / "pyvenv.cfg")
    (root / "gone").unlink()
    return root


def test_the_copy_is_the_working_tree_of_a_clone(project: Path, tmp_path: Path) -> None:
    git(project, "tag", "v1.2")
    copy = copy_project(project, tmp_path / "copy here", run)
    assert copy == tmp_path / "copy here" / "demo"
    assert names(copy) == [".gitignore", "changed", "neu ä\tb.txt", "pyproject.toml", "same", "staged"]
    assert (copy / "changed").read_text() == "2"
    assert git(copy, "describe", "--tags").strip() == "v1.2"
    assert git(copy, "status", "--porcelain=v1", "-z") == " M changed\0 D gone\0 M staged\0?? neu ä\tb.txt\0"


def test_the_checkout_stays_as_it_is(project: Path, tmp_path: Path) -> None:
    before = git(project, "status", "--porcelain")
    copy = copy_project(project, tmp_path / "copy", run)
    put(copy / "same", "changed in the copy")
    git(copy, "commit", "--quiet", "--all", "--message=second")
    assert git(project, "status", "--porcelain") == before
    assert git(project, "log", "--format=%s") == "first\n"
    assert (project / "same").read_text() == "1"


def test_mtime_mode_and_links_are_kept(project: Path, tmp_path: Path) -> None:
    os.utime(project / "same", (1_000_000_000, 1_000_000_000))
    (project / "same").chmod(0o755)
    (project / "inside").symlink_to("same")
    (project / "out").symlink_to("../../elsewhere")
    put(tmp_path / "elsewhere")
    copy = copy_project(project, tmp_path / "copy", run)
    assert (copy / "same").stat().st_mtime == 1_000_000_000
    assert (copy / "same").stat().st_mode & 0o777 == 0o755
    assert (copy / "inside").readlink() == Path("same")
    assert (copy / "out").read_text() == "x\n"


def test_a_subfolder_brings_its_whole_repository(tmp_path: Path) -> None:
    root = (
        repository(tmp_path / "mono", {"apps/one/pyproject.toml": "", "lib/pyproject.toml": "", "top": ""}) / "apps/one"
    )
    copy = copy_project(root, tmp_path / "copy", run)
    assert copy == tmp_path / "copy/mono/apps/one"
    assert names(tmp_path / "copy/mono") == ["apps/one/pyproject.toml", "lib/pyproject.toml", "top"]


def test_a_repository_without_a_commit(tmp_path: Path) -> None:
    root = put(tmp_path / "new/pyproject.toml").parent
    git(root, "init", "--quiet", "--initial-branch=main")
    copy = copy_project(root, tmp_path / "copy", run)
    assert git(copy, "status", "--porcelain") == "?? pyproject.toml\n"


@pytest.mark.parametrize("kind", ["detached", "worktree", "shallow"])
def test_unusual_repositories(project: Path, tmp_path: Path, kind: str) -> None:
    git(project, "commit", "--quiet", "--all", "--message=second")
    head, root = git(project, "rev-parse", "HEAD"), project
    if kind == "detached":
        git(project, "checkout", "--quiet", "--detach")
    if kind == "worktree":
        git(project, "worktree", "add", "--quiet", "-b", "other", str(tmp_path / "tree"))
        root = tmp_path / "tree"
    if kind == "shallow":
        git(tmp_path, "clone", "--quiet", "--depth=1", project.as_uri(), "shallow")
        root = tmp_path / "shallow"
    copy = copy_project(root, tmp_path / "copy", run)
    assert git(copy, "rev-parse", "HEAD") == head
    assert git(copy, "status", "--porcelain") == git(root, "status", "--porcelain")


def test_submodules_and_repositories_inside_come_as_files(tmp_path: Path) -> None:
    library = repository(tmp_path / "library", {"lib.py": "", ".gitignore": "*.log\n"})
    root = repository(tmp_path / "demo", {"pyproject.toml": ""})
    git(root, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library), "vendor/library")
    put(root / "vendor/library/changed.py")
    put(root / "vendor/library/some.log")
    repository(root / "nested", {"inner.py": ""})
    copy = copy_project(root, tmp_path / "copy", run)
    library_files = [f"vendor/library/{name}" for name in (".gitignore", "changed.py", "lib.py")]
    assert names(copy) == [".gitmodules", "nested/inner.py", "pyproject.toml", *library_files]


def test_an_environment_that_git_does_not_ignore_is_left_out(project: Path, tmp_path: Path) -> None:
    put(project / "env/conda-meta/history")
    put(project / "env/bin/python")
    put(project / "src/__pycache__/a.pyc")
    assert "env/bin/python" not in names(copy := copy_project(project, tmp_path / "copy", run))
    assert not (copy / "src").exists()


def test_a_project_that_its_repository_ignores_is_copied_without_git(tmp_path: Path) -> None:
    home = repository(tmp_path / "home", {".gitignore": "/work/\n", "secret": ""})
    copy = copy_project(put(home / "work/demo/pyproject.toml").parent, tmp_path / "copy", run)
    assert names(tmp_path / "copy") == [MARKER, "demo/pyproject.toml"]
    assert not (copy / ".git").exists()


def test_without_git_what_matters_is_copied(tmp_path: Path) -> None:
    root = put(tmp_path / "demo/pyproject.toml").parent
    for name in (
        ".venv/pyvenv.cfg",
        ".nox/a",
        "env/conda-meta/history",
        "src/__pycache__/a.pyc",
        ".git/HEAD",
        "src/a.py",
    ):
        put(root / name)
    (root / "data.bin").write_bytes(b"")
    os.truncate(root / "data.bin", LARGEST + 1)
    (root / "link").symlink_to("src")
    os.mkfifo(root / "pipe")
    copy = copy_project(root, root / "build/copy", no_git)
    assert names(copy) == ["link", "pyproject.toml", "src/a.py"]
    assert names(copy_project(root, root / "build/copy", no_git)) == ["link", "pyproject.toml", "src/a.py"]


POETRY_PATH = '[tool.poetry.dependencies]\nlib = { path = "../lib", develop = true }\n'
UV_PATH = '[tool.uv.sources]\nlib = [{ path = "../../far/lib", editable = true }]\n'
PEP508_PATH = '[project]\ndependencies = ["lib @ file:../lib"]\nreadme = "../README.md"\n'
WINDOWS_PATH = "[tool.poetry.dependencies]\nlib = { path = '..\\lib' }\n"


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("pyproject.toml", POETRY_PATH, ["../lib/lib.py"]),
        ("pyproject.toml", UV_PATH, ["../../far/lib/lib.py"]),
        ("pyproject.toml", PEP508_PATH, ["../lib/lib.py", "../README.md"]),
        ("pyproject.toml", WINDOWS_PATH, ["../lib/lib.py"]),
        ("requirements-dev.txt", "-e ../lib[extra]\n--find-links=../wheels # x\n", ["../lib/lib.py", "../wheels/w"]),
        ("requirements.txt", '-e "../my lib"\n-r../base.txt\n', ["../my lib/lib.py", "../base.txt"]),
        ("conda.yml", "dependencies:\n- pip:\n  - -e ../lib\n", ["../lib/lib.py"]),
    ],
)
@pytest.mark.parametrize("start", [run, no_git])
def test_what_lies_outside_is_linked_at_the_same_place(
    tmp_path: Path, name: str, text: str, wanted: list[str], start: object
) -> None:
    for file in (
        "work/lib/lib.py",
        "work/my lib/lib.py",
        "far/lib/lib.py",
        "work/README.md",
        "work/wheels/w",
        "work/base.txt",
    ):
        put(tmp_path / file)
    root = repository(tmp_path / "work" / "demo", {"pyproject.toml": "", name: text})
    copy = copy_project(root, tmp_path / "copy", start)  # type: ignore[arg-type]
    assert (copy / name).read_bytes() == (root / name).read_bytes()
    for path in wanted:
        assert (copy / path).read_text() == "x\n"
        assert not (copy / path).resolve().is_relative_to(tmp_path / "copy")
    assert copy.is_relative_to(tmp_path / "copy")
    copy_project(root, tmp_path / "copy", start)  # type: ignore[arg-type]
    assert (tmp_path / "work/lib/lib.py").read_text() == "x\n"


def test_the_folder_above_as_a_dependency(tmp_path: Path) -> None:
    put(tmp_path / "work/setup.py")
    root = put(tmp_path / "work/demo/requirements.txt", "-e ..\n").parent
    copy = copy_project(root, tmp_path / "copy", no_git)
    assert copy == tmp_path / "copy/work/demo"
    assert not copy.is_symlink()
    assert (copy / "../setup.py").resolve() == tmp_path / "work/setup.py"


def test_an_ignored_dependency_inside_the_repository_is_linked(tmp_path: Path) -> None:
    text = '[tool.uv.sources]\nlib = { path = "vendor/lib" }\n'
    root = repository(tmp_path / "demo", {"pyproject.toml": text, ".gitignore": "vendor\n"})
    put(root / "vendor/lib/lib.py")
    copy = copy_project(root, tmp_path / "copy", run)
    assert (copy / "vendor/lib").readlink() == root / "vendor/lib"


def test_an_old_copy_is_emptied(project: Path, tmp_path: Path) -> None:
    copy = copy_project(project, tmp_path / "copy", run)
    put(copy / "left over")
    (tmp_path / "copy/link").symlink_to(project)
    assert copy_project(project, tmp_path / "copy", run) == copy
    assert names(tmp_path / "copy")[:1] == [MARKER]
    assert not (copy / "left over").exists()
    assert (project / "same").exists()


def test_a_folder_that_is_not_ours_is_refused(project: Path, tmp_path: Path) -> None:
    put(tmp_path / "mine/thesis.tex")
    with pytest.raises(LabError) as caught:
        copy_project(project, tmp_path / "mine", run)
    assert caught.value.message == f"{tmp_path / 'mine'} holds something that is not ours"
    assert caught.value.hint == "choose another folder, or empty it yourself"
    assert names(tmp_path / "mine") == ["thesis.tex"]


def test_a_file_a_link_and_the_project_itself_are_refused(project: Path, tmp_path: Path) -> None:
    put(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    for name in ("file", "link"):
        with pytest.raises(LabError) as caught:
            copy_project(project, tmp_path / name, run)
        assert caught.value.message == f"{tmp_path / name} is not a folder"
    with pytest.raises(LabError) as caught:
        copy_project(project, project.parent, run)
    assert caught.value.message == f"{project.parent} holds the project itself and cannot be emptied"


def test_a_copy_of_a_copy(project: Path, tmp_path: Path) -> None:
    first = copy_project(project, tmp_path / "copy", run)
    assert names(copy_project(first, tmp_path / "second", run)) == names(first)
    shutil.rmtree(tmp_path / "copy")
    assert git(tmp_path / "second/demo", "show", "--format=%s", "--name-only").split()[0] == "first"


def test_git_that_fails_is_told(project: Path, tmp_path: Path) -> None:
    def broken(argv: Sequence[str], cwd: Path) -> str:
        return no_git(argv, cwd) if "clone" in argv else run(argv, cwd)

    with pytest.raises(LabError, match="git: not found"):
        copy_project(project, tmp_path / "copy", broken)
