"""One lock leads, the other follows with the very same versions; the steps are replaced, so no tool runs."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlops_lab import locks, project
from mlops_lab.errors import FOUND, WRONG, LabError
from mlops_lab.locks import Difference
from mlops_lab.runner import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

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


def test_a_lock_that_cannot_take_the_versions_is_an_error_that_names_both(make: Callable[..., Project]) -> None:
    with pytest.raises(LabError) as caught:
        locks.follow(make(files={**BOTH, "uv.lock": uv_lock("1.1")}), "poetry", "uv", Ran(), lambda: True)
    assert caught.value.message == (
        "uv.lock cannot take 1 of poetry.lock's versions: "
        "a 1.0 (it takes 1.1) for Python 3.11 on linux and 5 more places"
    )
    assert caught.value.hint == (
        "lock anew with `invoke lock`; if that does not help, loosen the requirement that only poetry can take"
    )
    assert caught.value.code == FOUND


def failure(*said: str) -> CommandFailed:
    return CommandFailed(["uv", "lock"], 1, said[-2:], Path("the.log"), said)


def test_a_failed_alignment_names_the_package_the_reason_and_the_log(make: Callable[..., Project]) -> None:
    def fails(_: Ran) -> None:
        raise failure("error: No solution found", "  cause: Because there is no version of a==1.0, no.", "", "hint: x")

    with pytest.raises(CommandFailed) as caught:
        locks.follow(make(files={"poetry.lock": poetry_lock()}), "poetry", "uv", Ran(fails), lambda: True)
    message = "uv.lock cannot take a 1.0 of poetry.lock: Because there is no version of a==1.0, no"
    assert (caught.value.message, caught.value.code, caught.value.log) == (message, FOUND, Path("the.log"))


def test_poetry_finds_the_leaders_versions_locked(make: Callable[..., Project], tmp_path: Path) -> None:
    found: list[dict[str, Any]] = []

    def writes(_: Ran) -> None:
        found.append(tomllib.loads((tmp_path / "poetry.lock").read_text(encoding="utf-8")))
        (tmp_path / "poetry.lock").write_text(poetry_lock(), encoding="utf-8")

    ran = Ran(writes)
    locks.follow(make(files={"uv.lock": uv_lock()}), "uv", "poetry", ran, lambda: True)
    assert ran.calls == [{"name": "align", "variant": "", "by": "poetry", "cwd": None}]
    empty = {"optional": False, "python-versions": "*", "groups": ["main"], "files": []}
    versions = (("a", "1.0"), ("b", "2.0"), ("c", "3.0"))
    assert found[0]["package"] == [{**empty, "name": name, "version": version} for name, version in versions]
    assert found[0]["metadata"] == {"lock-version": "2.1", "python-versions": "*", "content-hash": ""}


def test_poetry_keeps_what_the_leader_does_not_know_and_where_packages_come_from(make: Callable[..., Project]) -> None:
    text = f'{PYPROJECT}[[tool.poetry.source]]\nname = "second"\nurl = "{INDEX}/"\npriority = "explicit"\n'
    more = '[[package]]\nname = "own"\nversion = "4"\noptional = false\ngroups = ["own"]\n'
    here = make(text, {"uv.lock": uv_lock("1.1"), "poetry.lock": poetry_lock(more=more)})
    kept = list(locks._kept(here, "uv"))
    assert [(entry["name"], entry["version"]) for entry in kept] == [
        ("a", "1.1"),
        ("b", "2.0"),
        ("c", "3.0"),
        ("own", "4"),
    ]
    assert kept[0]["source"] == {"type": "legacy", "url": INDEX, "reference": "second"}


@pytest.mark.parametrize("before", [None, poetry_lock("0.9")])
def test_a_failed_poetry_lock_leaves_the_one_that_was_there(
    make: Callable[..., Project], tmp_path: Path, before: str | None
) -> None:
    def fails(_: Ran) -> None:
        raise LabError("no")

    here = make(files={"uv.lock": uv_lock(), **({"poetry.lock": before} if before else {})})
    with pytest.raises(LabError, match=r"^no$"):
        locks.follow(here, "uv", "poetry", Ran(fails), lambda: True)
    path = tmp_path / "poetry.lock"
    assert (path.read_text(encoding="utf-8") if path.exists() else None) == before


# --- extras, places, repositories ---

EXTRAS = f"""{PYPROJECT}
[project.optional-dependencies]
Web_UI = ["d"]
"""
POETRY_EXTRA = """
[[package]]
name = "d"
version = "4.0"
optional = true
groups = ["main"]
markers = "python_version >= \\"3.12\\" and extra == \\"web-ui\\""
"""


def uv_extra(version: str = "4.0", marker: str = "python_full_version >= '3.12'") -> str:
    edge = f'[package.optional-dependencies]\nweb-ui = [{{ name = "d", marker = "{marker}" }}]\n\n'
    package = f'\n[[package]]\nname = "d"\nversion = "{version}"\nsource = {{ registry = "{INDEX}" }}\n'
    return uv_lock().replace("[package.dev-dependencies]", f"{edge}[package.dev-dependencies]") + package


def test_what_only_an_extra_wants_is_compared_and_not_installed(make: Callable[..., Project]) -> None:
    files = {"poetry.lock": poetry_lock(more=POETRY_EXTRA), "uv.lock": uv_extra()}
    assert locks.differences(make(EXTRAS, files)) == []
    assert "d" not in locks.wanted(make(EXTRAS, files), "poetry", "3.12.1", ())
    assert "d" not in locks.wanted(make(EXTRAS, files), "uv", "3.12.1", ())
    found = locks.differences(make(EXTRAS, {**files, "uv.lock": uv_extra("4.1")}))
    assert [str(each) for each in found] == [
        f"d 4.0 ≠ 4.1 for Python 3.12 on {platform} with the extra web-ui" for platform in ("linux", "darwin", "win32")
    ]


def test_what_differs_anyway_is_not_told_again_for_each_extra(make: Callable[..., Project]) -> None:
    files = {"poetry.lock": poetry_lock("1.1", POETRY_EXTRA), "uv.lock": uv_extra()}
    found = locks.differences(make(EXTRAS, files))
    assert {(each.package, each.where.partition(" with")[2]) for each in found} == {("a", "")}


def test_the_extras_of_poetrys_own_tables_count_where_uv_sees_them(make: Callable[..., Project]) -> None:
    legacy = '[tool.poetry.extras]\nOld_One = ["d"]\n'
    dynamic = '[project]\nname = "p"\nversion = "1"\ndynamic = ["dependencies", "optional-dependencies"]\n'
    assert locks._extras(make(dynamic + legacy)) == ["old-one"]
    assert locks._extras(make(PYPROJECT + legacy)) == []


def test_uv_is_pinned_whatever_the_extra(tmp_path: Path) -> None:
    (tmp_path / "poetry.lock").write_text(poetry_lock(more=POETRY_EXTRA), encoding="utf-8")
    assert locks.pins_of(tmp_path / "poetry.lock")[-1] == 'd==4.0 ; python_version >= "3.12"'


@pytest.mark.parametrize(
    ("versions", "expected"),
    [(("4.0+cpu", "4.0+cu121"), ["d==4.0"]), (("4.0", "4.1"), []), (("4.0",), ["d==4.0"])],
)
def test_versions_that_only_an_extra_tells_apart_are_one_pin_or_none(
    make: Callable[..., Project], versions: tuple[str, ...], expected: list[str]
) -> None:
    entry = '[[package]]\nname = "d"\nversion = "{}"\noptional = true\ngroups = ["main"]\nmarkers = "extra == \'{}\'"\n'
    more = "".join(entry.format(version, f"e{number}") for number, version in enumerate(versions))
    here = make(EXTRAS, {"poetry.lock": poetry_lock(more=more)})
    pins = locks.pins_of(here.lock("poetry"), locks._environments(here).values())
    assert [pin for pin in pins if pin.startswith("d")] == expected


def test_only_the_places_count_that_the_project_names_for_uv(make: Callable[..., Project]) -> None:
    text = f"{PYPROJECT}[tool.uv]\nenvironments = [\"sys_platform == 'linux'\", \"sys_platform == 'darwin'\"]\n"
    assert list(locks._environments(make(text))) == [
        f"{python} on {platform}" for python in ("3.11", "3.12") for platform in ("linux", "darwin")
    ]


def test_machines_and_patch_releases_count_where_a_lock_speaks_of_them(make: Callable[..., Project]) -> None:
    markers = "\"python_full_version < '3.11.3' and platform_machine == 'aarch64'\""
    more = f'[[package]]\nname = "d"\nversion = "4"\noptional = false\ngroups = ["main"]\nmarkers = {markers}\n'
    text = PYPROJECT.replace(">=3.11,", ">=3.11.3,")
    found = locks._environments(make(text, {"poetry.lock": poetry_lock(more=more)}))
    assert [where for where in found if where.endswith("on linux")] == [
        "3.11 on linux",
        "3.11.3 on linux",
        "3.11.4 on linux",
        "3.12 on linux",
    ]
    assert found["3.11 on linux"]["python_full_version"] == "3.11.3"
    assert {where.partition(" on ")[2] for where in found} >= {"darwin", "win32"}
    assert len({where.partition(" on ")[2] for where in found}) == 5


def from_git(commit: str, needs: str = "") -> str:
    return (
        '[[package]]\nname = "d"\nversion = "4"\noptional = false\ngroups = ["main"]\npython-versions = "*"\n'
        f'{needs}[package.source]\ntype = "git"\nurl = "https://code.example/d.git"\nreference = "main"\n'
        f'resolved_reference = "{commit}"\n'
    )


def uv_from_git(commit: str) -> str:
    package = '\n[[package]]\nname = "d"\nversion = "4"\nsource = {{ git = "https://code.example/d.git?{}#{}" }}\n'
    query = "subdirectory=lib&branch=main"
    edges = uv_lock().replace('[{ name = "a" }', '[{ name = "a" }, { name = "d" }')
    return edges + package.format(query, commit)


OLD, NEW = "1" * 40, "2" * 40


def test_another_commit_is_a_difference_and_uv_follows_it(make: Callable[..., Project], tmp_path: Path) -> None:
    def writes(ran: Ran) -> None:
        if len(ran.calls) == 1:
            (tmp_path / "uv.lock").write_text(uv_from_git(NEW), encoding="utf-8")

    files = {"poetry.lock": poetry_lock(more=from_git(OLD)), "uv.lock": uv_from_git(NEW)}
    here = make(files=files)
    assert str(locks.differences(here)[0]) == "d 4 at 1111111111 ≠ 4 at 2222222222 for Python 3.11 on linux"
    ran = Ran(writes)
    locks.follow(here, "poetry", "uv", ran, lambda: True)
    assert len(ran.calls) == 2
    assert (tmp_path / "uv.lock").read_text(encoding="utf-8") == uv_from_git(OLD)


def test_poetry_follows_another_commit_with_what_that_one_needs(make: Callable[..., Project], tmp_path: Path) -> None:
    scratch: list[str] = []

    def writes(ran: Ran) -> None:
        folder = ran.calls[-1]["cwd"]
        if folder is not None:
            scratch.append((folder / "pyproject.toml").read_text(encoding="utf-8"))
            needs = '[package.dependencies]\na = ">=1"\n'
            (folder / "poetry.lock").write_text(poetry_lock(more=from_git(OLD, needs)), encoding="utf-8")
        elif len(ran.calls) == 1:
            (tmp_path / "poetry.lock").write_text(poetry_lock(more=from_git(NEW)), encoding="utf-8")

    ran = Ran(writes)
    here = make(files={"uv.lock": uv_from_git(OLD)})
    locks.follow(here, "uv", "poetry", ran, lambda: True)
    assert [call["cwd"] is None for call in ran.calls] == [True, False, True]
    declared = tomllib.loads(scratch[0])["project"]["dependencies"]
    assert declared == [f"d @ git+https://code.example/d.git@{OLD}#subdirectory=lib"]
    (entry,) = [each for each in tomllib.loads(_text(here, "poetry"))["package"] if each["name"] == "d"]
    assert entry["source"]["reference"] == "main"
    assert entry["source"]["resolved_reference"] == OLD
    assert entry["dependencies"] == {"a": ">=1"}


def _text(project: Project, manager: str) -> str:
    return project.lock(manager).read_text(encoding="utf-8")


def test_a_manager_is_told_of_indexes_in_the_manifest(make: Callable[..., Project]) -> None:
    source = f'[[tool.poetry.source]]\nname = "second"\nurl = "{SECOND}"\npriority = "explicit"\n'
    assert locks.hand_over_indexes(make(), "uv") == []
    here = make(PYPROJECT + source)
    assert locks.hand_over_indexes(here, "poetry") == []
    assert here.pyproject.read_text(encoding="utf-8") == PYPROJECT + source
    told = ["pyproject.toml: uv is told of the index second, which Poetry has"]
    assert locks.hand_over_indexes(here, "uv") == told
    assert tomllib.loads(here.pyproject.read_text(encoding="utf-8"))["tool"]["uv"]["index"][0]["url"] == SECOND
    assert locks.hand_over_indexes(project.find(here.root), "uv") == []


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
