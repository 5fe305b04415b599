"""Which hybrid, groups and prefix a command works on, why, and what is refused before anything is touched."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlops_lab import choices, project
from mlops_lab.choices import Standing, choose_environment, choose_groups, choose_hybrid, refuse_prefix, standing
from mlops_lab.engines import Places
from mlops_lab.environment import Environment, Stamp, write_stamp
from mlops_lab.errors import WRONG, LabError
from mlops_lab.guide import HYBRIDS, hybrid_named

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlops_lab.guide import Hybrid
    from mlops_lab.project import Project

PLAIN = '[project]\nname = "My.Lab"\n[dependency-groups]\ndev = []\nlab = []\n'
OLD_GROUPS = f"{PLAIN}[tool.poetry.group.docs]\n[tool.poetry.group.extra]\noptional = true\n"
HIDDEN = "uv does not read Poetry's own groups (docs, extra)"
DECLARE = "declare them under [dependency-groups], which both managers read"
CONDA_YML = "name: env\ndependencies: [python]\n"
NO_FILE = "there is no conda.yml"
WRITE = "write one with `name:`, `channels:` and `dependencies:`, python among them, or take venv+poetry"
LISTED = "conda+poetry, conda+uv, venv+poetry, venv+uv, pip+poetry, pip+uv"


def made(root: Path, text: str = PLAIN) -> Project:
    root.mkdir(exist_ok=True)
    (root / "pyproject.toml").write_text(text, encoding="utf-8")
    return project.find(root)


@pytest.fixture
def plain(tmp_path: Path) -> Project:
    return made(tmp_path / "project")


def unasked() -> tuple[str, str]:
    raise AssertionError("nobody needs to know whether a conda is here")


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(LabError) as caught:
        call()
    assert caught.value.code == WRONG
    return str(caught.value)


# --- the hybrid ----------------------------------------------------------------------------------------------------


def test_without_a_conda_yml_every_hybrid_but_condas_can_run(plain: Project) -> None:
    able = [str(hybrid) for hybrid in HYBRIDS if not standing(plain, hybrid).why_not]
    assert able == ["venv+poetry", "venv+uv", "pip+poetry", "pip+uv"]


def test_what_cannot_run_says_why_and_what_to_do(tmp_path: Path) -> None:
    found = standing(made(tmp_path, OLD_GROUPS), hybrid_named("conda+uv"))
    assert (found.why_not, found.remedy) == (NO_FILE, WRITE)


@pytest.mark.parametrize(
    ("hybrid", "why_not", "remedy"),
    [("venv+uv", HIDDEN, DECLARE), ("pip+uv", HIDDEN, DECLARE), ("venv+poetry", "", ""), ("pip+poetry", "", "")],
)
def test_uv_cannot_see_poetrys_own_groups(tmp_path: Path, hybrid: str, why_not: str, remedy: str) -> None:
    found = standing(made(tmp_path, OLD_GROUPS), hybrid_named(hybrid))
    assert (str(found.hybrid), found.why_not, found.remedy) == (hybrid, why_not, remedy)


@pytest.mark.parametrize(
    ("asked", "last", "declared", "chosen"),
    [
        ("pip+uv", "venv+uv", "pip+poetry", ("pip+uv", "asked for")),
        (None, "venv+uv", "pip+poetry", ("venv+uv", "this project used it last")),
        (None, None, "pip+poetry", ("pip+poetry", "[tool.mlops-lab] says so")),
        (None, None, None, ("venv+poetry", NO_FILE)),
    ],
)
def test_a_hybrid_is_chosen_in_this_order(
    tmp_path: Path, asked: str | None, last: str | None, declared: str | None, chosen: tuple[str, str]
) -> None:
    found = made(tmp_path, f'{PLAIN}[tool.mlops-lab]\nhybrid = "{declared}"\n' if declared else PLAIN)
    if last:
        found.remember(hybrid=last)
    hybrid, reason = choose_hybrid(found, asked, unasked)
    assert (hybrid.name, reason) == chosen


def test_to_choose_a_hybrid_writes_nothing(plain: Project) -> None:
    choose_hybrid(plain, None, unasked)
    assert [path.name for path in plain.root.iterdir()] == ["pyproject.toml"]


@pytest.mark.parametrize(
    ("text", "asked", "message"),
    [
        (PLAIN, "venv+pip", f"there is no hybrid 'venv+pip': did you mean venv+uv or venv+poetry? (one of: {LISTED})"),
        (PLAIN, "", f"there is no hybrid '': one of: {LISTED}"),
        (PLAIN, "conda+poetry", f"conda+poetry cannot run here: {NO_FILE}: {WRITE}"),
        (OLD_GROUPS, "venv+uv", f"venv+uv cannot run here: {HIDDEN}: {DECLARE}"),
    ],
)
def test_a_hybrid_that_cannot_run_is_refused(tmp_path: Path, text: str, asked: str, message: str) -> None:
    found = made(tmp_path, text)
    assert refused(lambda: choose_hybrid(found, asked, unasked)) == message


def test_where_the_usual_hybrid_cannot_run_the_first_other_one_is_taken(
    plain: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def only_pip(_project: Project, hybrid: Hybrid) -> Standing:
        return Standing(hybrid, "" if hybrid.backend == "pip" else "not here")

    monkeypatch.setattr(choices, "standing", only_pip)
    hybrid, reason = choose_hybrid(plain, None, unasked)
    assert (hybrid.name, reason) == ("pip+poetry", "not here")


@pytest.mark.parametrize(
    ("answer", "chosen"),
    [
        (("conda is here", ""), ("conda+poetry", "conda is here")),
        (("", "the channel does not answer"), ("venv+poetry", "the channel does not answer")),
    ],
)
def test_where_nothing_says_otherwise_conda_decides(
    plain: Project, answer: tuple[str, str], chosen: tuple[str, str]
) -> None:
    (plain.root / "conda.yml").write_text(CONDA_YML, encoding="utf-8")
    hybrid, reason = choose_hybrid(plain, None, lambda: answer)
    assert (hybrid.name, reason) == chosen


# --- the groups ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [((), ("dev", "lab")), (("lab",), ("lab",)), (("lab", "dev", "lab"), ("lab", "dev"))],
)
def test_groups_are_main_and_exactly_these(plain: Project, asked: tuple[str, ...], chosen: tuple[str, ...]) -> None:
    assert choose_groups(plain, asked) == chosen


def test_an_optional_group_may_be_asked_for(tmp_path: Path) -> None:
    found = made(tmp_path, OLD_GROUPS)
    assert choose_groups(found, ()) == ("dev", "lab", "docs")
    assert choose_groups(found, ("extra",)) == ("extra",)


@pytest.mark.parametrize(
    ("text", "asked", "message"),
    [
        (PLAIN, ("dev", "labb"), "there is no dependency group 'labb': did you mean lab? (one of: dev, lab)"),
        (PLAIN, ("",), "there is no dependency group '': one of: dev, lab"),
        (PLAIN, ("--all",), "there is no dependency group '-all': one of: dev, lab"),
        ("", ("dev",), "there is no dependency group 'dev': pyproject.toml declares no groups"),
    ],
)
def test_an_unknown_group_is_refused(tmp_path: Path, text: str, asked: tuple[str, ...], message: str) -> None:
    found = made(tmp_path, text)
    assert refused(lambda: choose_groups(found, asked)) == message


# --- the environment -----------------------------------------------------------------------------------------------


def prefix_for(found: Project, asked: str | None = None) -> Path:
    return choose_environment(found, hybrid_named("venv+uv"), asked).prefix


def test_the_environment_is_the_projects_own(plain: Project) -> None:
    found = choose_environment(plain, hybrid_named("pip+poetry"), None)
    assert found == Environment(plain.root / ".venv", conda=False, name="my-lab")


def conda_place(root: Path, *envs_dirs: Path, content: str = CONDA_YML, base: str = "") -> Environment:
    (root / "conda.yml").write_text(content, encoding="utf-8")
    places = Places(base, tuple(str(folder) for folder in envs_dirs))
    return choose_environment(project.find(root), hybrid_named("conda+uv"), None, places)


def test_condas_is_where_conda_finds_the_name_of_conda_yml(plain: Project, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    found = conda_place(plain.root, first, second)
    assert found == Environment(first / "env", conda=True, name="env", by_name=True)
    (second / "env" / "conda-meta").mkdir(parents=True)
    (second / "env" / "conda-meta" / "history").touch()
    assert conda_place(plain.root, first, second).prefix == second / "env"
    assert conda_place(plain.root, first, content="dependencies: [python]\n").prefix == first / "my-lab"


def test_a_prefix_of_another_name_is_not_what_conda_finds_by_the_name(plain: Project, tmp_path: Path) -> None:
    (plain.root / "conda.yml").write_text(CONDA_YML, encoding="utf-8")
    places = Places("", (str(tmp_path),))
    for name in ("env", "other"):
        (tmp_path / name / "conda-meta").mkdir(parents=True)
        (tmp_path / name / "conda-meta" / "history").touch()
    here, conda = project.find(plain.root), hybrid_named("conda+uv")
    found = choose_environment(here, conda, str(tmp_path / "other"), places)
    assert found == Environment(tmp_path / "other", conda=True, name="other", by_name=False)
    assert choose_environment(here, conda, str(tmp_path / "env"), places).by_name


@pytest.mark.parametrize("name", ["base", "root"])
def test_condas_own_environment_is_refused(plain: Project, tmp_path: Path, name: str) -> None:
    why = (
        "is conda's own environment (base), which conda itself runs in: a project's packages would break it, "
        "and `--prune` would remove conda"
    )
    message = refused(lambda: conda_place(plain.root, tmp_path, content=f"name: {name}\ndependencies: [python]\n"))
    assert message == f"conda.yml: '{name}' {why}: write a name of the project's own, such as `name: my-lab`"
    message = refused(lambda: conda_place(plain.root, tmp_path, base=str(tmp_path / "env")))
    assert message == f"{tmp_path / 'env'} {why}: choose another one with --prefix"
    (tmp_path / "other" / "condabin").mkdir(parents=True)
    message = refused(lambda: refuse_prefix(plain, Environment(tmp_path / "other", conda=True), force=True))
    assert message == f"{tmp_path / 'other'} {why}: choose another one with --prefix"


@pytest.mark.parametrize("name", ["../x", "a b", "a:b", "a#b", ".hidden", "/absolute", '"a\\nb"'])
def test_a_name_that_is_none_for_an_environment_is_refused(plain: Project, tmp_path: Path, name: str) -> None:
    content = f"name: {name if name.startswith(chr(34)) else repr(name)}\ndependencies: [python]\n"
    message = refused(lambda: conda_place(plain.root, tmp_path, content=content))
    assert message.startswith("conda.yml: ")
    assert message.endswith(
        " is no name for an environment: write it without spaces, slashes, colons and #, and without a period in front"
    )


def test_without_a_folder_that_can_be_written_there_is_no_place(plain: Project) -> None:
    message = refused(lambda: conda_place(plain.root))
    assert message == (
        "none of conda's folders for environments can be written: (there is none): name another one in CONDA_ENVS_DIRS "
        f"or .condarc, or choose one with --prefix {plain.root / '.conda'}"
    )


def test_the_prefix_that_was_asked_for_is_taken_and_then_the_one_of_last_time(plain: Project, tmp_path: Path) -> None:
    plain.remember(prefix=str(tmp_path / "last"))
    assert prefix_for(plain) == tmp_path / "last"
    assert prefix_for(plain, str(tmp_path / "my env é")) == tmp_path / "my env é"


def test_a_prefix_is_made_absolute(plain: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert prefix_for(plain, "a/../b") == tmp_path / "b"
    assert prefix_for(plain, "~/e") == tmp_path / "home" / "e"
    assert prefix_for(plain, "~nobody-of-this-name/e") == tmp_path / "~nobody-of-this-name" / "e"
    assert prefix_for(plain, "$(id); {x}") == tmp_path / "$(id); {x}"


def test_a_link_to_a_folder_names_the_folder(plain: Project, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert prefix_for(plain, str(tmp_path / "link")) == tmp_path / "real"
    (plain.root / ".venv").symlink_to(tmp_path / "real")
    assert prefix_for(plain) == tmp_path / "real"


@pytest.mark.parametrize("asked", ["", "  ", "a\nb", "a\0b"])
def test_what_names_no_folder_is_refused(plain: Project, asked: str) -> None:
    message = f"--prefix {asked!r} names no folder: write its path, for example --prefix .venv"
    assert refused(lambda: prefix_for(plain, asked)) == message


def test_a_name_that_no_file_system_takes_is_refused(plain: Project, tmp_path: Path) -> None:
    long = tmp_path / ("a" * 300)
    message = f"{long} cannot be looked at: File name too long: choose another one with --prefix"
    assert refused(lambda: prefix_for(plain, str(long))) == message


def test_a_folder_that_may_not_be_looked_into_is_refused(
    plain: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(path: Path, **_: object) -> os.stat_result:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "resolve", lambda path: path)
        patch.setattr(Path, "stat", forbidden)
        message = refused(lambda: prefix_for(plain, str(tmp_path / "e")))
    assert message == f"{tmp_path / 'e'} cannot be looked at: Permission denied: choose another one with --prefix"


def test_links_in_a_circle_are_refused(plain: Project, tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    message = refused(lambda: prefix_for(plain, str(tmp_path / "a")))
    assert message.startswith(f"{tmp_path / 'a'} cannot be looked at: ")
    assert message.endswith(": choose another one with --prefix")


def test_a_path_through_a_file_is_left_to_the_refusal(plain: Project) -> None:
    prefix = plain.root / "pyproject.toml" / "e"
    assert prefix_for(plain, str(prefix)) == prefix
    message = (
        f"{plain.root / 'pyproject.toml'} cannot be written: choose another place with --prefix, or make it writable"
    )
    assert refused(lambda: refuse_prefix(plain, Environment(prefix), force=True)) == message


# --- a prefix that is not ours to change ---------------------------------------------------------------------------


def _new(_prefix: Path) -> None:
    """There is nothing yet."""


def _empty(prefix: Path) -> None:
    prefix.mkdir()


def _ours(prefix: Path) -> None:
    write_stamp(prefix, Stamp(str(prefix.parent / "project"), "venv+uv"))


def _ours_and_empty(prefix: Path) -> None:
    _ours(prefix)
    (prefix / "pyvenv.cfg").touch()


def _of_a_project_that_is_gone(prefix: Path) -> None:
    write_stamp(prefix, Stamp(str(prefix.parent / "gone"), "venv+uv"))


@pytest.mark.parametrize("make", [_new, _empty, _ours, _ours_and_empty])
@pytest.mark.parametrize("force", [False, True])
def test_what_is_ours_or_nobodys_may_be_changed(
    plain: Project, tmp_path: Path, make: Callable[[Path], None], force: bool
) -> None:
    prefix = tmp_path / "e"
    make(prefix)
    refuse_prefix(plain, Environment(prefix), force=force)


def test_an_environment_whose_project_is_gone_is_ours_where_it_moved_with_us_or_by_force(
    plain: Project, tmp_path: Path
) -> None:
    inside, outside = plain.root / "e", tmp_path / "e"
    for prefix in (inside, outside):
        _of_a_project_that_is_gone(prefix)
    refuse_prefix(plain, Environment(inside), force=False)
    refuse_prefix(plain, Environment(outside), force=True)
    with pytest.raises(LabError) as caught:
        refuse_prefix(plain, Environment(outside), force=False)
    assert caught.value.message == f"{outside} belongs to the project {tmp_path / 'gone'}"


def test_a_stamp_beside_other_files_makes_no_environment(plain: Project, tmp_path: Path) -> None:
    prefix = tmp_path / "letters"
    prefix.mkdir()
    (prefix / "thesis.tex").touch()
    write_stamp(prefix, Stamp(str(plain.root), "venv+uv"))
    with pytest.raises(LabError) as caught:
        refuse_prefix(plain, Environment(prefix), force=True)
    assert caught.value.message == f"{prefix} is a folder with other files in it"


def _file(prefix: Path) -> None:
    prefix.touch()


def _foreign(prefix: Path) -> None:
    made(prefix.parent / "other")
    write_stamp(prefix, Stamp(str(prefix.parent / "other"), "venv+uv"))


def _full(prefix: Path) -> None:
    prefix.mkdir()
    (prefix / "thesis.tex").touch()


def _readable_stamp_of_nobody(prefix: Path) -> None:
    prefix.mkdir()
    (prefix / "mlops-lab.json").write_text("{", encoding="utf-8")


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_file, "{e} is a file, not a folder for an environment: choose another one with --prefix"),
        (_foreign, "{e} belongs to the project {other}: choose another one with --prefix"),
        (_full, "{e} is a folder with other files in it: choose an empty or new one with --prefix"),
        (_readable_stamp_of_nobody, "{e} is a folder with other files in it: choose an empty or new one with --prefix"),
    ],
)
def test_what_is_somebody_elses_is_refused_by_force_too(
    plain: Project, tmp_path: Path, make: Callable[[Path], None], message: str, force: bool
) -> None:
    prefix = tmp_path / "e"
    make(prefix)
    before = sorted(tmp_path.rglob("*"))
    expected = message.format(e=prefix, other=tmp_path / "other")
    assert refused(lambda: refuse_prefix(plain, Environment(prefix), force=force)) == expected
    assert sorted(tmp_path.rglob("*")) == before


def test_an_environment_that_somebody_else_made_is_changed_by_force_only(plain: Project, tmp_path: Path) -> None:
    prefix = tmp_path / "e"
    prefix.mkdir()
    (prefix / "pyvenv.cfg").touch()
    message = (
        f"{prefix} is an environment that mlops-lab did not make: "
        "rebuild it with --force, or choose another one with --prefix"
    )
    assert refused(lambda: refuse_prefix(plain, Environment(prefix), force=False)) == message
    refuse_prefix(plain, Environment(prefix), force=True)


@pytest.mark.parametrize("above", [0, 1])
def test_a_folder_that_holds_the_project_is_refused(plain: Project, above: int) -> None:
    prefix = [plain.root, *plain.root.parents][above]
    message = f"{prefix} holds the project itself: choose a folder of its own with --prefix"
    assert refused(lambda: refuse_prefix(plain, Environment(prefix), force=True)) == message


def test_a_place_that_cannot_be_written_is_refused(
    plain: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Path, int]] = []

    def denied(path: Path, mode: int) -> bool:
        asked.append((path, mode))
        return False

    monkeypatch.setattr(os, "access", denied)
    message = f"{tmp_path} cannot be written: choose another place with --prefix, or make it writable"
    assert refused(lambda: refuse_prefix(plain, Environment(tmp_path / "a" / "b"), force=False)) == message
    assert asked == [(tmp_path, os.W_OK)]


# --- what uv cannot read -------------------------------------------------------------------------------------------


def test_poetrys_own_layout_is_nothing_for_uv(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.poetry]\nname = "x"\n', encoding="utf-8")
    found = standing(project.find(tmp_path), hybrid_named("pip+uv"))
    assert found.why_not == "uv does not read Poetry's own tables, and there is no [project]"
    assert not standing(project.find(tmp_path), hybrid_named("pip+poetry")).why_not


@pytest.mark.parametrize(("members", "member"), [('["packages/*"]', True), ('["others/*"]', False), ('"x"', False)])
def test_a_member_of_a_workspace_has_no_lock_of_its_own(tmp_path: Path, members: str, member: bool) -> None:
    top = '[project]\nname = "top"\n[tool.uv.workspace]\nmembers = '
    (tmp_path / "pyproject.toml").write_text(f"{top}{members}\n", encoding="utf-8")
    below = tmp_path / "packages" / "a"
    below.mkdir(parents=True)
    (below / "pyproject.toml").write_text('[project]\nname = "a"\n', encoding="utf-8")
    found = standing(project.find(below), hybrid_named("venv+uv"))
    assert bool(found.why_not) is member
    assert (str(tmp_path) in found.why_not) is member
    assert not standing(project.find(below), hybrid_named("venv+poetry")).why_not
