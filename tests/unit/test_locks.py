"""One lock leads, the other follows with the very same versions; the steps are replaced, so no tool runs."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from mlops_lab import locks, project
from mlops_lab.errors import FOUND, WRONG, LabError
from mlops_lab.locks import Difference

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from mlops_lab.project import Project

INDEX = "https://index.example/simple"
SECOND = "https://second.example/simple"
PYPROJECT = """
[project]
name = "p"
version = "1"
requires-python = ">=3.11,<3.13"
dependencies = ["a>=1", "c ; python_version < '3.12'"]
[dependency-groups]
dev = ["b"]
"""


def poetry_lock(a: str = "1.0", more: str = "") -> str:
    return f"""
[[package]]
name = "a"
version = "{a}"
optional = false
groups = ["main"]
files = [{{ file = "a.whl", hash = "sha256:{"0" * 64}" }}]

[[package]]
name = "b"
version = "2.0"
optional = false
groups = ["dev"]
files = []

[[package]]
name = "c"
version = "3.0"
optional = false
groups = ["main"]
markers = "python_version < \\"3.12\\""
files = []
{more}
[metadata]
lock-version = "2.1"
python-versions = ">=3.11,<3.13"
content-hash = "0"
"""


def uv_lock(a: str = "1.0") -> str:
    registry = f'source = {{ registry = "{INDEX}" }}'
    return f"""
version = 1
requires-python = ">=3.11"

[[package]]
name = "a"
version = "{a}"
{registry}

[[package]]
name = "b"
version = "2.0"
{registry}

[[package]]
name = "c"
version = "3.0"
{registry}

[[package]]
name = "p"
version = "1"
source = {{ virtual = "." }}
dependencies = [{{ name = "a" }}, {{ name = "c", marker = "python_full_version < '3.12'" }}]

[package.dev-dependencies]
dev = [{{ name = "b" }}]
"""


def requirements(a: str = "1.0", c: str = "3.0", *, hashed: bool = True) -> str:
    mark = " --hash=sha256:" + "0" * 64 if hashed else ""
    return f'a=={a}{mark}\nb==2.0{mark}\nc=={c} ; python_version < "3.12"{mark}\n'


@dataclass
class Ran:
    """Stands in for the steps: keeps what is asked of them, and writes what a tool would have written."""

    writes: Callable[[Ran], None] = lambda _: None
    calls: list[dict[str, Any]] = field(default_factory=list)

    def __call__(
        self, name: str, variant: str = "", *, by: str = "", cwd: Path | None = None, **values: str | Sequence[str]
    ) -> str | None:
        self.calls.append({"name": name, "variant": variant, "by": by, "cwd": cwd, **values})
        self.writes(self)
        return ""


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Project]:
    """A project with these files."""

    def made(text: str = PYPROJECT, files: Mapping[str, str] | None = None) -> Project:
        for name, content in {"pyproject.toml": text, **(files or {})}.items():
            (tmp_path / name).write_text(content, encoding="utf-8")
        return project.find(tmp_path)

    return made


BOTH = {"poetry.lock": poetry_lock(), "uv.lock": uv_lock()}


# --- what is supported, what differs ---


@pytest.mark.parametrize(
    ("requires", "expected"),
    [
        (">=3.11,<3.13", ["3.11", "3.12"]),
        (">=3.11.4,<3.12", ["3.11"]),
        (">3.11.4,<=3.12.0", ["3.11", "3.12"]),
        ("==3.12.*", ["3.12"]),
        (">=3.99", list(locks._MINORS)),
    ],
)
def test_the_supported_pythons(make: Callable[..., Project], requires: str, expected: list[str]) -> None:
    text = f'[project]\nname = "p"\nversion = "1"\nrequires-python = "{requires}"\n'
    assert locks.supported(make(text)) == expected


def test_without_a_word_about_pythons_every_one_is_supported(make: Callable[..., Project]) -> None:
    assert locks.supported(make('[project]\nname = "p"\nversion = "1"\n')) == list(locks._MINORS)


def test_equal_locks_do_not_differ(make: Callable[..., Project]) -> None:
    assert locks.differences(make(files=BOTH)) == []


def test_a_difference_names_package_python_platform_and_both_versions(make: Callable[..., Project]) -> None:
    found = locks.differences(make(files={**BOTH, "uv.lock": uv_lock("1.1")}))
    assert len(found) == 2 * 3
    assert found[0] == Difference("a", "3.11 on linux", "1.0", "1.1")
    assert str(found[0]) == "a 1.0 ≠ 1.1 for Python 3.11 on linux"


def test_a_package_that_one_lock_lacks_is_a_difference(make: Callable[..., Project]) -> None:
    more = '[[package]]\nname = "d"\nversion = "4"\noptional = false\ngroups = ["main"]\n'
    found = locks.differences(make(files={**BOTH, "poetry.lock": poetry_lock(more=more)}))
    assert str(found[0]) == "d 4 ≠ (none) for Python 3.11 on linux"
    assert str(Difference("e", "3.12 on darwin", "", "5")) == "e (none) ≠ 5 for Python 3.12 on darwin"


def test_groups_that_uv_does_not_see_are_not_compared(make: Callable[..., Project]) -> None:
    text = f'{PYPROJECT}[tool.poetry.group.only.dependencies]\nd = "*"\n'
    more = '[[package]]\nname = "d"\nversion = "4"\noptional = false\ngroups = ["only"]\n'
    assert locks.differences(make(text, {**BOTH, "poetry.lock": poetry_lock(more=more)})) == []


# --- following ---


def test_uv_is_told_the_leaders_versions_with_their_markers(make: Callable[..., Project], tmp_path: Path) -> None:
    def writes(_: Ran) -> None:
        (tmp_path / "uv.lock").write_text(uv_lock(), encoding="utf-8")

    ran = Ran(writes)
    locks.follow(make(files={"poetry.lock": poetry_lock()}), "poetry", "uv", ran, lambda: True)
    pins = ["a==1.0", "b==2.0", 'c==3.0 ; python_version < "3.12"']
    assert ran.calls == [{"name": "align", "variant": "", "by": "uv", "cwd": None, "pins": pins}]


def test_packages_from_elsewhere_than_an_index_are_not_pinned(tmp_path: Path) -> None:
    more = (
        '[[package]]\nname = "d"\nversion = "4"\noptional = false\ngroups = ["main"]\n'
        f'[package.source]\ntype = "git"\nurl = "{INDEX}"\nreference = "main"\nresolved_reference = "1"\n'
    )
    (tmp_path / "poetry.lock").write_text(poetry_lock(more=more), encoding="utf-8")
    assert [pin.split("==")[0] for pin in locks.pins_of(tmp_path / "poetry.lock")] == ["a", "b", "c"]


def test_a_lock_that_agrees_already_is_left_alone(make: Callable[..., Project]) -> None:
    ran = Ran()
    locks.follow(make(files=BOTH), "poetry", "uv", ran, lambda: True)
    assert ran.calls == []


def test_a_lock_that_agrees_but_does_not_fit_the_manifest_follows_anew(make: Callable[..., Project]) -> None:
    ran = Ran()
    locks.follow(make(files=BOTH), "poetry", "uv", ran, lambda: False)
    assert [call["name"] for call in ran.calls] == ["align"]


def test_a_lock_that_differs_is_not_asked_whether_it_fits(make: Callable[..., Project], tmp_path: Path) -> None:
    def writes(_: Ran) -> None:
        (tmp_path / "uv.lock").write_text(uv_lock(), encoding="utf-8")

    here = make(files={**BOTH, "uv.lock": uv_lock("1.1")})
    locks.follow(here, "poetry", "uv", Ran(writes), lambda: pytest.fail("it was asked"))


def test_that_locks_agree_is_remembered_until_a_file_changes(
    make: Callable[..., Project], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = make(files=BOTH)
    ran = Ran()
    locks.follow(here, "poetry", "uv", ran, lambda: True)
    compared: list[object] = []

    def differences(_: Project) -> list[Difference]:
        compared.append(1)
        return []

    monkeypatch.setattr(locks, "differences", differences)
    locks.follow(here, "poetry", "uv", ran, lambda: True)
    assert compared == []
    (tmp_path / "uv.lock").write_text(uv_lock() + "\n", encoding="utf-8")
    locks.follow(here, "poetry", "uv", ran, lambda: True)
    assert compared == [1]
    assert ran.calls == []


def test_a_lock_that_cannot_take_the_versions_is_an_error_that_names_the_first(make: Callable[..., Project]) -> None:
    with pytest.raises(LabError) as caught:
        locks.follow(make(files={**BOTH, "uv.lock": uv_lock("1.1")}), "poetry", "uv", Ran(), lambda: True)
    assert caught.value.message == (
        "uv.lock cannot take 6 of poetry.lock's versions, the first: a 1.0 ≠ 1.1 for Python 3.11 on linux"
    )
    assert caught.value.hint == (
        "lock anew with `invoke lock`; if that does not help, loosen the requirement that only poetry can take"
    )
    assert caught.value.code == FOUND


def test_poetry_takes_the_versions_in_a_scratch_project_first(make: Callable[..., Project], tmp_path: Path) -> None:
    manifests: list[dict[str, Any]] = []

    def writes(ran: Ran) -> None:
        if (folder := ran.calls[-1]["cwd"]) is not None:
            manifests.append(tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8")))
            (folder / "poetry.lock").write_text(poetry_lock(), encoding="utf-8")

    ran = Ran(writes)
    locks.follow(make(files={"uv.lock": uv_lock()}), "uv", "poetry", ran, lambda: True)
    first, second = ran.calls
    assert first["cwd"].parent == tmp_path / ".mlops-lab"
    assert not first["cwd"].exists()
    assert second == {"name": "align", "variant": "", "by": "poetry", "cwd": None}
    assert (tmp_path / "poetry.lock").read_text(encoding="utf-8") == poetry_lock()
    places = " or ".join(
        f"(python_version == '3.11' and sys_platform == '{platform}')" for platform in ("linux", "darwin", "win32")
    )
    assert manifests == [
        {
            "project": {
                "name": "scratch",
                "version": "0",
                "requires-python": ">=3.11,<3.13",
                "dependencies": ["a==1.0", "b==2.0", f"c==3.0 ; {places}"],
            },
            "tool": {"poetry": {"package-mode": False, "dependencies": {}}},
        }
    ]


def test_the_scratch_project_has_the_pythons_and_second_indexes_of_the_project(make: Callable[..., Project]) -> None:
    text = (
        f'{PYPROJECT}[tool.poetry.dependencies]\npython = ">=3.11,<3.13"\n'
        f'[[tool.poetry.source]]\nname = "second"\nurl = "{SECOND}"\npriority = "explicit"\n'
    )
    made = locks._pinned_project(make(text), ["a==1.0"])
    assert made["tool"]["poetry"] == {
        "package-mode": False,
        "dependencies": {"python": ">=3.11,<3.13"},
        "source": [{"name": "second", "url": SECOND, "priority": "explicit"}],
    }


def test_a_failed_scratch_lock_leaves_the_projects_own_alone(make: Callable[..., Project], tmp_path: Path) -> None:
    def fails(_: Ran) -> None:
        raise LabError("no")

    before = poetry_lock("0.9")
    here = make(files={"uv.lock": uv_lock(), "poetry.lock": before})
    with pytest.raises(LabError, match=r"^no$"):
        locks.follow(here, "uv", "poetry", Ran(fails), lambda: True)
    assert (tmp_path / "poetry.lock").read_text(encoding="utf-8") == before
    assert list((tmp_path / ".mlops-lab").glob("scratch-*")) == []


# --- exported requirements ---


@pytest.mark.parametrize(
    ("text", "in_step"),
    [
        (requirements(), True),
        (requirements(a="1.1"), False),
        (requirements(c="3.1"), False),
        (requirements(hashed=False), False),
        (requirements().replace("0" * 64, "f" * 64), False),
        (requirements() + "d==4 --hash=sha256:" + "0" * 64 + "\n", False),
        (None, False),
    ],
)
def test_requirements_are_in_step_when_they_pin_the_lock(
    make: Callable[..., Project], text: str | None, in_step: bool
) -> None:
    here = make(files={**BOTH, **({} if text is None else {"requirements.txt": text})})
    for manager in ("poetry", "uv"):
        assert locks.exported_in_step(here, manager, ("dev",), here.requirements) is in_step


def test_requirements_of_other_groups_are_not_in_step(make: Callable[..., Project]) -> None:
    here = make(files={**BOTH, "requirements.txt": requirements()})
    assert locks.exported_in_step(here, "uv", ("dev",), here.requirements)
    assert not locks.exported_in_step(here, "uv", (), here.requirements)


def test_that_they_are_in_step_is_remembered_until_a_file_changes(
    make: Callable[..., Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = make(files={**BOTH, "requirements.txt": requirements()})
    assert locks.exported_in_step(here, "uv", ("dev",), here.requirements)
    monkeypatch.setattr(locks, "_compare", lambda *_: ["anything"])
    assert locks.exported_in_step(here, "uv", ("dev",), here.requirements)
    here.requirements.write_text(requirements() + "# edited\n", encoding="utf-8")
    assert not locks.exported_in_step(here, "uv", ("dev",), here.requirements)


def test_an_export_is_written_in_one_piece_with_the_second_indexes(
    make: Callable[..., Project], tmp_path: Path
) -> None:
    new = tmp_path / ".mlops-lab" / "requirements.new"
    named = "https://named.example/simple"

    def writes(_: Ran) -> None:
        new.write_text(f"--extra-index-url {named}\n{requirements()}", encoding="utf-8")

    text = "".join(
        f'[[tool.uv.index]]\nname = "{name}"\nurl = "{url}"\nexplicit = true\n'
        for name, url in (("second", SECOND), ("named", named))
    )
    here = make(PYPROJECT + text, BOTH)
    ran = Ran(writes)
    locks.write_requirements(here, here.requirements, ran)
    assert ran.calls == [{"name": "export", "variant": "", "by": "", "cwd": None, "requirements": str(new)}]
    assert here.requirements.read_text(encoding="utf-8") == (
        f"--extra-index-url {SECOND}\n--extra-index-url {named}\n{requirements()}"
    )
    assert not new.exists()


def test_a_failed_export_leaves_the_old_requirements(make: Callable[..., Project]) -> None:
    def fails(ran: Ran) -> None:
        (here.state / "requirements.new").write_text("half", encoding="utf-8")
        raise LabError(str(len(ran.calls)))

    here = make(files={**BOTH, "requirements.txt": "old\n"})
    with pytest.raises(LabError, match=r"^1$"):
        locks.write_requirements(here, here.requirements, Ran(fails))
    assert here.requirements.read_text(encoding="utf-8") == "old\n"
    assert not (here.state / "requirements.new").exists()


# --- counting and reading ---


def test_the_project_itself_is_not_counted(make: Callable[..., Project]) -> None:
    here = make(files=BOTH)
    assert [locks.count(here, manager) for manager in ("poetry", "uv")] == [3, 3]


def test_a_lock_that_is_not_there_holds_nothing_and_is_no_error(make: Callable[..., Project]) -> None:
    here = make()
    assert locks.count(here, "uv") == 0
    locks.read_all(here)


@pytest.mark.parametrize("name", ["poetry.lock", "uv.lock"])
def test_a_broken_lock_is_refused_with_its_line(make: Callable[..., Project], name: str) -> None:
    here = make(files={**BOTH, name: "ok = 1\n<<<<<<< HEAD\n"})
    with pytest.raises(LabError, match=rf"^{name}:2:1: ") as caught:
        locks.read_all(here)
    assert caught.value.code == WRONG
