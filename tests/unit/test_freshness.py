"""Every reason for which a finished environment is rebuilt or brought up to date, from real folders."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from mlops_lab import freshness, project
from mlops_lab.environment import STAMP, Environment, Stamp, config, read_stamp, write_stamp
from mlops_lab.guide import Hybrid, hybrid_named

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlops_lab.engines import Engine
    from mlops_lab.steps import Steps

MANIFEST = """
[project]
name = "small"
requires-python = ">=3.11,<3.14"
[dependency-groups]
dev = []
lab = []
"""
VENV = "home = {base}\nversion = 3.12.1\nexecutable = {base}/python3.12\n"


@dataclass
class FakeToolbox:
    """The tools that were used, and those that have changed since."""

    used: dict[str, Any] = field(default_factory=lambda: {"poetry": {"path": "/t/poetry"}, "uv": {"path": "/t/uv"}})
    other: set[str] = field(default_factory=set)

    def changed(self, name: str, mark: Mapping[str, Any]) -> bool:
        assert mark == self.used[name]
        return name in self.other


@dataclass
class FakeSteps:
    """As much of the steps as the fingerprint needs."""

    project: project.Project
    environment: Environment
    hybrid: Hybrid = field(default_factory=lambda: hybrid_named("venv+uv"))
    groups: tuple[str, ...] = ("dev",)
    toolbox: FakeToolbox = field(default_factory=FakeToolbox)
    engine: Engine | None = None


class World:
    """A project with an environment that was just finished."""

    def __init__(self, folder: Path) -> None:
        self.base = folder / "base"
        self.base.mkdir()
        (self.base / "python3.12").touch()
        self.root = folder / "my project é"
        self.root.mkdir()
        self.write("pyproject.toml", MANIFEST)
        self.write("uv.lock", "version = 1\n")
        self.prefix = self.root / ".venv"
        self.site = self.prefix / "lib" / "python3.12" / "site-packages"
        self.site.mkdir(parents=True)
        (self.prefix / "bin").mkdir()
        (self.prefix / "bin" / "python").symlink_to(self.base / "python3.12")
        (self.prefix / "pyvenv.cfg").write_text(VENV.format(base=self.base), encoding="utf-8")
        self.install("numpy-2.0", "numpy.py")
        self.install("my_lab-1.0rc1", "my_lab.py")
        self.toolbox = FakeToolbox()
        self.hybrid = "venv+uv"
        self.groups: tuple[str, ...] = ("dev",)
        self.seal()

    def write(self, name: str, text: str) -> None:
        (self.root / name).write_text(text, encoding="utf-8")

    def install(self, distribution: str, file: str) -> None:
        folder = self.site / f"{distribution}.dist-info"
        folder.mkdir()
        (folder / "RECORD").write_text(f"{file},,\n", encoding="utf-8")
        (self.site / file).write_text(file, encoding="utf-8")

    def seal(self, *, complete: bool = True) -> None:
        made = freshness.fingerprint(self.steps, freshness.digests(self.steps.project), complete=complete)
        write_stamp(self.prefix, Stamp(str(self.root), self.hybrid, groups=self.groups, fingerprint=made))

    def restamp(self, **changes: Any) -> None:
        stamp = read_stamp(self.prefix)
        assert stamp is not None
        write_stamp(self.prefix, dataclasses.replace(stamp, **changes))

    @property
    def steps(self) -> Steps:
        found = project.find(self.root)
        made = FakeSteps(found, Environment(self.prefix), hybrid_named(self.hybrid), self.groups, self.toolbox)
        return cast("Steps", made)

    def reasons(self, python: str | None = None) -> tuple[list[str], list[str]]:
        rebuild, renew = freshness.reasons(self.steps, python)
        return list(rebuild), list(renew)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_what_was_just_finished_is_fresh(world: World) -> None:
    assert world.reasons() == ([], [])


def test_the_fingerprint_says_what_it_was_made_from(world: World) -> None:
    stamp = read_stamp(world.prefix)
    assert stamp is not None
    assert stamp.fingerprint is not None
    parts = {"format", "complete", "files", "tools", "python", "interpreter", "packages", "conda"}
    assert set(stamp.fingerprint) == parts
    assert set(stamp.fingerprint["files"]) == {"pyproject.toml", "uv.lock"}
    assert set(stamp.fingerprint["packages"]) == {"numpy-2.0.dist-info", "my_lab-1.0rc1.dist-info"}
    assert stamp.fingerprint["tools"] == world.toolbox.used
    assert stamp.fingerprint["python"] == {
        "version": "3.12.1",
        "path": str(world.base / "python3.12"),
        "declared": "",
    }


# --- rebuilt, whatever else is true --------------------------------------------------------------------------------


def _no_stamp(world: World) -> None:
    (world.prefix / STAMP).unlink()


def _broken_stamp(world: World) -> None:
    (world.prefix / STAMP).write_text("{", encoding="utf-8")


def _no_prefix(world: World) -> None:
    shutil.rmtree(world.prefix)


def _no_config(world: World) -> None:
    (world.prefix / "pyvenv.cfg").unlink()


def _no_base(world: World) -> None:
    (world.base / "python3.12").unlink()


def _unfinished(world: World) -> None:
    world.restamp(fingerprint=None)


def _another_format(world: World) -> None:
    world.restamp(fingerprint={"format": 0})


def _no_format(world: World) -> None:
    world.restamp(fingerprint={})


def _another_hybrid(world: World) -> None:
    world.hybrid = "venv+poetry"


def _moved(world: World) -> None:
    world.restamp(project="/elsewhere")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_no_stamp, "there is no environment yet"),
        (_broken_stamp, "there is no environment yet"),
        (_no_prefix, "there is no environment yet"),
        (_no_config, "there is no environment yet"),
        (_no_base, "there is no environment yet"),
        (_unfinished, "the last setup of this environment was not finished"),
        (_another_format, "the environment was finished by another version of mlops-lab"),
        (_no_format, "the environment was finished by another version of mlops-lab"),
        (_another_hybrid, "the environment was made with venv+uv"),
        (_moved, "the project has moved here from /elsewhere"),
    ],
)
def test_it_is_rebuilt_for_this_alone(world: World, change: Callable[[World], None], reason: str) -> None:
    world.write("pyproject.toml", MANIFEST + "# changed too\n")
    change(world)
    assert world.reasons() == ([reason], [])


# --- the interpreter -----------------------------------------------------------------------------------------------


def _upgraded(world: World) -> None:
    (world.base / "python3.12").write_text("upgraded in place", encoding="utf-8")


def _replaced(world: World) -> None:
    (world.base / "other").touch()
    (world.prefix / "bin" / "python").unlink()
    (world.prefix / "bin" / "python").symlink_to(world.base / "other")


@pytest.mark.parametrize("change", [_upgraded, _replaced])
def test_another_interpreter_under_the_environment(world: World, change: Callable[[World], None]) -> None:
    change(world)
    assert world.reasons() == (["the environment's interpreter has changed"], [])
    assert world.reasons("3.11") == (["the environment's interpreter has changed"], [])


@pytest.mark.parametrize("asked", ["3", "3.12", "3.12.1", "python3.12"])
def test_the_version_that_it_has_may_be_asked_for(world: World, asked: str) -> None:
    assert world.reasons(asked) == ([], [])


@pytest.mark.parametrize("asked", ["3.1", "3.11", "3.12.11", "2", "3.12.10", "", "/usr/bin/nothing"])
def test_another_version_rebuilds(world: World, asked: str) -> None:
    assert world.reasons(asked) == ([f"the environment has Python 3.12.1, and {asked} is asked for"], [])


def test_the_interpreter_that_it_was_made_with_may_be_asked_for_by_any_name(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(world.base / "python3.12")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(world.base)
    for asked in (str(world.base / "python3.12"), str(tmp_path / "link"), "~/base/python3.12", "./python3.12"):
        assert world.reasons(asked) == ([], [])


def test_a_venv_that_names_no_executable_names_its_home(world: World) -> None:
    (world.prefix / "pyvenv.cfg").write_text(f"home = {world.base}\nversion = 3.12.1\n", encoding="utf-8")
    world.seal()
    assert world.reasons(str(world.base / "python3")) == ([], [])


# --- a Python that the files no longer mean ------------------------------------------------------------------------

CONDA = "name: x\ndependencies:\n  - python {}\n"


@pytest.mark.parametrize(
    ("name", "before", "after", "reason"),
    [
        (".python-version", "3.12\n", "3.11\n", ".python-version says ==3.11.*"),
        (".python-version", None, "3.12.2\n", ".python-version says ==3.12.2"),
        ("conda.yml", CONDA.format("=3.12"), CONDA.format(">=3.13"), "conda.yml:3 says >=3.13"),
        (
            *("pyproject.toml", MANIFEST, MANIFEST.replace("<3.14", "<3.12")),
            "pyproject.toml requires >=3.11,<3.12",
        ),
    ],
)
def test_files_that_came_to_mean_another_python_rebuild(
    world: World, name: str, before: str | None, after: str, reason: str
) -> None:
    if before is not None:
        world.write(name, before)
    world.seal()
    world.write(name, after)
    rebuild, renew = world.reasons()
    assert rebuild == [f"the environment has Python 3.12.1, and {reason}"]
    assert renew == [f"{name} changed since the last setup"]
    assert world.reasons("3.12")[0] == []


@pytest.mark.parametrize(
    ("name", "after"),
    [
        (".python-version", "3.12\n"),
        ("conda.yml", CONDA.format(">=3.11,<3.14")),
        ("conda.yml", "name: x\ndependencies: [pip]\n"),
        ("pyproject.toml", MANIFEST.replace("3.14", "3.13")),
        ("pyproject.toml", '[project]\nname = "small"\n'),
    ],
)
def test_files_that_still_mean_this_python_do_not(world: World, name: str, after: str) -> None:
    world.write(name, after)
    assert world.reasons() == ([], [f"{name} changed since the last setup"])


def test_a_python_chosen_against_the_file_stays_while_the_file_says_the_same(world: World) -> None:
    world.write(".python-version", "3.11\n")
    world.seal()
    world.write("uv.lock", "version = 2\n")
    assert world.reasons() == ([], ["uv.lock changed since the last setup"])


# --- damage --------------------------------------------------------------------------------------------------------


def _deleted(world: World) -> None:
    (world.site / "numpy.py").unlink()


def _altered(world: World) -> None:
    (world.site / "numpy.py").write_text("altered by hand", encoding="utf-8")


def _touched(world: World) -> None:
    os.utime(world.site / "numpy.py", ns=(1, 1))


@pytest.mark.parametrize("change", [_deleted, _altered, _touched])
def test_a_file_that_is_not_as_it_was_left(world: World, change: Callable[[World], None]) -> None:
    change(world)
    assert world.reasons() == (["files of numpy 2.0 have changed or are missing"], [])


def test_of_a_setup_that_was_not_finished_every_package_may_be_damaged(world: World) -> None:
    names = {"numpy-2.0.dist-info", "my_lab-1.0rc1.dist-info"}
    assert freshness.damaged(world.steps.environment) == []
    world.restamp(fingerprint=None)
    assert {folder.name for folder in freshness.damaged(world.steps.environment)} == names
    (world.prefix / STAMP).unlink()
    assert freshness.damaged(world.steps.environment) == []


def test_what_an_installation_left_as_it_found_it_stays_reported(world: World) -> None:
    steps = world.steps
    _altered(world)
    foreign = freshness.disowned(steps.environment)
    assert foreign.keys() == {"numpy-2.0.dist-info"}
    made = freshness.fingerprint(steps, freshness.digests(steps.project), foreign=foreign)
    world.restamp(fingerprint=made)
    assert world.reasons() == (["files of numpy 2.0 have changed or are missing"], [])
    # What the installation has put in its place is its own.
    (world.site / "numpy.py").write_text("from the index", encoding="utf-8")
    world.restamp(fingerprint=freshness.fingerprint(steps, freshness.digests(steps.project), foreign=foreign))
    assert world.reasons() == ([], [])


def test_of_what_was_not_finished_nothing_is_known_to_be_foreign(world: World) -> None:
    _altered(world)
    world.restamp(fingerprint=None)
    assert freshness.disowned(world.steps.environment) == {}


def _record(world: World, content: str) -> Path:
    checksum = base64.urlsafe_b64encode(hashlib.sha256(content.encode()).digest()).decode()
    folder = world.site / "numpy-2.0.dist-info"
    (folder / "RECORD").write_text(f"numpy.py,sha256={checksum},0\nspare.py,,\n", encoding="utf-8")
    (world.site / "numpy.py").write_text(content, encoding="utf-8")
    (world.site / "spare.py").touch()
    return folder


def test_a_cache_may_have_what_was_edited_in_place(world: World) -> None:
    folder = _record(world, "edited with its record")
    assert not freshness.may_be_cached(folder)
    os.link(world.site / "spare.py", world.root / "cache")
    # All of it agrees with the record: any file may be the wrong one.
    assert freshness.may_be_cached(folder)
    (world.site / "numpy.py").write_text("edited alone, with a name of its own", encoding="utf-8")
    assert not freshness.may_be_cached(folder)
    os.link(world.site / "numpy.py", world.root / "cache too")
    assert freshness.may_be_cached(folder)


def test_a_cache_still_has_what_was_deleted(world: World) -> None:
    folder = _record(world, "as it was installed")
    os.link(world.site / "spare.py", world.root / "cache")
    _deleted(world)
    assert not freshness.may_be_cached(folder)


def test_every_damaged_package_is_named(world: World) -> None:
    _deleted(world)
    (world.site / "my_lab.py").unlink()
    assert world.reasons() == (["files of my_lab 1.0rc1, numpy 2.0 have changed or are missing"], [])


# --- brought up to date --------------------------------------------------------------------------------------------


def test_what_came_and_what_went_behind_its_back(world: World) -> None:
    world.install("cowsay-6.1", "cowsay.py")
    world.install("attrs-25.1", "attrs.py")
    shutil.rmtree(world.site / "numpy-2.0.dist-info")
    assert world.reasons() == (
        [],
        ["installed behind the lock's back: attrs 25.1, cowsay 6.1", "no longer installed: numpy 2.0"],
    )


def test_another_version_is_one_that_came_and_one_that_went(world: World) -> None:
    (world.site / "numpy-2.0.dist-info").rename(world.site / "numpy-2.1.dist-info")
    assert world.reasons() == (
        [],
        ["installed behind the lock's back: numpy 2.1", "no longer installed: numpy 2.0"],
    )


@pytest.mark.parametrize(
    "name", ["conda.yml", "environment.yaml", "requirements.txt", ".python-version", "poetry.lock", "uv.lock"]
)
def test_every_file_counts_when_it_comes_changes_or_goes(world: World, name: str) -> None:
    text = {".python-version": "3.12\n"}.get(name, "# a comment\nname: x\n")
    expected: tuple[list[str], list[str]] = ([], [f"{name} changed since the last setup"])
    (world.root / name).unlink(missing_ok=True)
    world.seal()
    world.write(name, text)
    assert world.reasons() == expected
    world.seal()
    assert world.reasons() == ([], [])
    world.write(name, f"{text}\n")
    assert world.reasons() == expected
    (world.root / name).unlink()
    assert world.reasons() == expected


def test_the_same_bytes_written_again_change_nothing(world: World) -> None:
    os.utime(world.root / "uv.lock", ns=(1, 1))
    world.write("README.md", "not a manifest")
    assert world.reasons() == ([], [])


def test_other_tools(world: World) -> None:
    world.toolbox.other = {"uv"}
    assert world.reasons() == ([], ["another uv than at the last setup"])
    world.toolbox.other = {"uv", "poetry"}
    assert world.reasons() == ([], ["another poetry and uv than at the last setup"])


@pytest.mark.parametrize(
    ("groups", "reasons"),
    [
        (("dev",), []),
        (("dev", "dev"), []),
        (("lab", "dev"), ["other groups: lab, dev"]),
        ((), ["other groups: main alone"]),
    ],
)
def test_other_groups(world: World, groups: tuple[str, ...], reasons: list[str]) -> None:
    world.groups = groups
    assert world.reasons() == ([], reasons)


def test_an_environment_without_its_packages(world: World) -> None:
    world.seal(complete=False)
    assert world.reasons() == ([], ["its packages are not installed yet"])


def test_all_reasons_are_given_at_once(world: World) -> None:
    world.write("pyproject.toml", MANIFEST + "# changed\n")
    world.write("uv.lock", "")
    world.toolbox.other = {"poetry"}
    world.groups = ("lab",)
    world.install("attrs-25.1", "attrs.py")
    _deleted(world)
    assert world.reasons("3.11") == (
        [
            "the environment has Python 3.12.1, and 3.11 is asked for",
            "files of numpy 2.0 have changed or are missing",
        ],
        [
            "pyproject.toml, uv.lock changed since the last setup",
            "another poetry than at the last setup",
            "other groups: lab",
            "installed behind the lock's back: attrs 25.1",
        ],
    )


# --- pyvenv.cfg ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"home = /usr/bin\nversion=3.12.1\n", {"home": "/usr/bin", "version": "3.12.1"}),
        ("command = /a b/é -m venv x=y\r\n".encode(), {"command": "/a b/é -m venv x=y"}),
        (b"no equals sign\n\n", {}),
        (b"\xff\xfe", {}),
        (None, {}),
    ],
)
def test_a_venv_says_what_it_was_made_from(tmp_path: Path, content: bytes | None, said: dict[str, str]) -> None:
    if content is not None:
        (tmp_path / "pyvenv.cfg").write_bytes(content)
    assert config(tmp_path) == said


def test_the_stamp_is_json_that_other_programs_read(world: World) -> None:
    data = json.loads(Path(world.prefix, STAMP).read_text(encoding="utf-8"))
    assert (data["project"], data["hybrid"], data["groups"]) == (str(world.root), "venv+uv", ["dev"])
