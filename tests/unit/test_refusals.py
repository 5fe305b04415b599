"""Why one manager cannot take the other's versions, in the words of what the tools print."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlops_lab import project, refusals
from mlops_lab.locks import Difference
from mlops_lab.manifests.poetry_lock import LockedPackage
from mlops_lab.runner import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Sequence


def package(name: str = "my-lib", version: str = "1.0", kind: str = "index") -> LockedPackage:
    return LockedPackage(name, version, None, ("main",), optional=False, source=None, kind=kind)


def failure(text: str) -> CommandFailed:
    return CommandFailed(["lock"], 1, text.splitlines(), Path("the.log"), text.splitlines())


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            "Using CPython\nerror: No solution found\n  cause: Because there is no my-lib==1.0.\nhint: x\n",
            "Because there is no my-lib==1.0",
        ),
        (
            "  \u00d7 No solution:\n  ╰─▶ Because my-lib==1.0 needs\n      Python>=3.12, no.\n\n      hint: x\n",
            "Because my-lib==1.0 needs Python>=3.12, no",
        ),
        ("  \u00d7 Failed to build `my_lib==1.0`\n  ├─▶ no compiler\n", "Failed to build `my_lib==1.0` no compiler"),
        (
            "Resolving\n\nBecause p depends on My_Lib (1.0) which doesn't match any versions, it failed.\n",
            "Because p depends on My_Lib (1.0) which doesn't match any versions, it failed",
        ),
        ("Resolving\n\nPackage my-lib (1.0) not found.\n", "Package my-lib (1.0) not found"),
        (
            'Resolving\n\nNo valid distribution links found for package: "my-lib" version: "1.0"\n',
            'No valid distribution links found for package: "my-lib" version: "1.0"',
        ),
        ("my-lib==1.0 is odd\n", "my-lib==1.0 is odd"),
    ],
)
def test_the_package_and_the_reason_are_read_from_the_output(said: str, reason: str) -> None:
    error = failure(said)
    refusals.explain(error, [package(), package("lib"), package("my-lib", "1.0.1")], "poetry", "uv")
    assert error.message == f"uv.lock cannot take my-lib 1.0 of poetry.lock: {reason}"
    assert error.hint == (
        "lock anew with `invoke lock`; if that does not help, tell uv of the index that has it, or loosen the "
        "requirement"
    )


@pytest.mark.parametrize("said", ["tcp connect error: my-lib", "my-lib==1.0.1", "not-my-lib==1.0", "my-lib==1.0+cpu"])
def test_a_failure_that_names_no_version_of_the_lock_stays_as_it_is(said: str) -> None:
    error = failure(said)
    before = (error.message, error.hint)
    refusals.explain(error, [package()], "poetry", "uv")
    assert (error.message, error.hint) == before


@pytest.fixture
def here(tmp_path: Path) -> project.Project:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "p"\ndependencies = ["six"]\n', encoding="utf-8")
    return project.find(tmp_path)


def refused(here: project.Project, led: Sequence[LockedPackage], said: str | None) -> tuple[str, list[str]]:
    """The message, and what was demanded of Poetry."""
    asked: list[str] = []

    def step(
        name: str, variant: str = "", *, by: str = "", cwd: Path | None = None, **_values: str | Sequence[str]
    ) -> str | None:
        assert (name, variant, by) == ("align", "", "poetry")
        assert cwd is not None
        asked.extend(tomllib.loads((cwd / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"])
        if said is not None:
            raise failure(said)
        return ""

    wrong = [Difference("my-lib", "3.11 on linux", "0.9", "1.0"), Difference("my-lib", "3.12 on linux", "0.9", "1.0")]
    return refusals.refusal(here, wrong, led, "uv", "poetry", step).message, asked


START = (
    "poetry.lock cannot take 1 of uv.lock's versions: "
    "my-lib 1.0 (it takes 0.9) for Python 3.11 on linux and 1 more place"
)


def test_poetry_is_asked_why(here: project.Project) -> None:
    found = refused(here, [package()], "Because it cannot.\n")
    assert found == (f"{START}; Poetry says: Because it cannot", ["six", "my-lib==1.0"])


def test_poetry_may_have_nothing_to_say(here: project.Project) -> None:
    assert refused(here, [package()], None) == (START, ["six", "my-lib==1.0"])
    assert refused(here, [package(), package("there", kind="path")], "no") == (START, [])
    assert refused(here, [package(kind="git")], "no") == (START, [])


def test_a_project_without_dependencies_of_its_own_words_is_not_asked(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "p"\ndynamic = ["dependencies"]\n', encoding="utf-8")
    assert refused(project.find(tmp_path), [package()], "no") == (START, [])


def test_two_versions_for_one_requirement_are_a_reason_of_their_own(here: project.Project) -> None:
    way_out = "; Poetry takes one version for one requirement: declare one for each, with its marker"
    assert refused(here, [package(), package(version="0.9")], None) == (START + way_out, [])


def test_many_packages_are_named_up_to_a_few(here: project.Project) -> None:
    wrong = [Difference(f"lib{number}", "3.11 on linux", f"{number}", "") for number in range(7)]
    told = refusals.refusal(here, wrong, [], "poetry", "uv", lambda *_a, **_k: None).message
    assert told.startswith(
        "uv.lock cannot take 7 of poetry.lock's versions: lib0 0 (it takes none) for Python 3.11 on "
    )
    assert told.endswith("lib4 4 (it takes none) for Python 3.11 on linux; and 2 more packages")
