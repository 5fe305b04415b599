"""What runs where on GitHub: the settings, both sizes, and every entry; and that the workflows run what they say."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Any

import pytest

from mlops_lab import ci, noxfile, project
from mlops_lab.ci import Ci, Rule, Session
from mlops_lab.errors import LabError
from mlops_lab.guide import EMBEDDED, HYBRIDS, hybrid_named
from mlops_lab.runner import CommandFailed, Runner

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

SESSIONS = [Session(f"check({hybrid})", hybrid.name) for hybrid in HYBRIDS]
PYTHONS = ("3.11", "3.12", "3.13")
SYSTEMS = Ci().systems
FIRST = [hybrid.name for hybrid in HYBRIDS]
CONDAS = [hybrid.name for hybrid in HYBRIDS if hybrid.by_conda]


def places(entries: Sequence[ci.Entry]) -> list[tuple[str, str, str]]:
    return [(entry.system, entry.python, entry.hybrid) for entry in entries]


# --- sizes ---------------------------------------------------------------------------------------------------------


def test_full_is_each_hybrid_on_each_system_and_python() -> None:
    found = ci.hybrids(SESSIONS, Ci(), PYTHONS, "full")
    assert places(found) == [(system, python, name) for system in SYSTEMS for python in PYTHONS for name in FIRST]


def test_small_has_each_hybrid_each_system_and_each_python_once() -> None:
    found = places(ci.hybrids(SESSIONS, Ci(), PYTHONS, "small"))
    usual, further = found[: len(HYBRIDS)], found[len(HYBRIDS) :]
    assert usual == [(SYSTEMS[0], PYTHONS[0], name) for name in FIRST]
    # What fails then differs from the usual in one thing, and in the hybrid that is tried there too.
    assert [place[:2] for place in further] == [
        *((system, PYTHONS[0]) for system in SYSTEMS[1:]),
        *((SYSTEMS[0], python) for python in PYTHONS[1:]),
    ]
    assert len({name for *_, name in further}) == len(further)


def test_one_system_and_one_python_are_a_matrix_too() -> None:
    alone = Ci(systems=("ubuntu-24.04",))
    assert ci.hybrids(SESSIONS, alone, ("3.12",), "small") == ci.hybrids(SESSIONS, alone, ("3.12",), "full")


def test_a_hybrid_that_the_first_system_excludes_is_in_the_small_matrix_all_the_same() -> None:
    found = places(ci.hybrids(SESSIONS, Ci(exclude=(Rule("ubuntu-*", "conda+*"),)), PYTHONS, "small"))
    assert {name for *_, name in found} == set(FIRST)
    assert (SYSTEMS[1], PYTHONS[0], CONDAS[0]) in found
    # macOS is there with them; one more would be for nothing.
    assert [place for place in found if place[0] == SYSTEMS[1] and place[2] not in CONDAS] == []


def test_what_is_excluded_does_not_run() -> None:
    rules = (Rule("windows-*", "conda+*"), Rule(python="3.13", hybrid="*+poetry"))
    found = ci.hybrids(SESSIONS, Ci(exclude=rules), PYTHONS, "full")
    assert len(found) == 54 - 2 * 3 - (3 * 3 - 1)  # conda+poetry on Windows and 3.13 is in both
    assert not [each for each in found if each.system.startswith("windows") and each.hybrid.startswith("conda")]
    assert not [each for each in found if each.python == "3.13" and each.hybrid.endswith("poetry")]


@pytest.mark.parametrize("size", ci.SIZES)
def test_nothing_left_is_an_error(size: Any) -> None:
    with pytest.raises(LabError) as caught:
        ci.hybrids(SESSIONS, Ci(exclude=(Rule(),)), PYTHONS, size)
    assert str(caught.value) == f"nothing is left of the {size} matrix: exclude less in [tool.mlops-lab.ci]"


def test_more_than_github_takes_is_an_error() -> None:
    systems = tuple(f"machine-{number}" for number in range(15))
    with pytest.raises(LabError) as caught:
        ci.hybrids(SESSIONS, Ci(systems), PYTHONS, "full")
    assert str(caught.value) == (
        "the full matrix has 270 entries, and GitHub takes 256: name fewer systems or Pythons in [tool.mlops-lab.ci], "
        "or exclude some of them together"
    )
    assert len(ci.hybrids(SESSIONS, Ci(systems), PYTHONS, "small")) == 6 + 14 + 2


# --- conda ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", ci.SIZES)
def test_one_job_has_the_embedded_conda_and_the_others_conda(size: Any) -> None:
    found = ci.hybrids(SESSIONS, Ci(), PYTHONS, size)
    assert [place for place, each in zip(places(found), found, strict=True) if each.conda == EMBEDDED] == [
        (SYSTEMS[0], PYTHONS[0], CONDAS[-1])
    ]
    assert {each.conda for each in found if each.hybrid in CONDAS} == {"conda", EMBEDDED}
    assert {each.conda for each in found if each.hybrid not in CONDAS} == {""}


def test_where_the_usual_one_is_excluded_another_has_the_embedded_conda() -> None:
    found = ci.hybrids(SESSIONS, Ci(exclude=(Rule("ubuntu-*"),)), PYTHONS, "full")
    assert places([each for each in found if each.conda == EMBEDDED]) == [(SYSTEMS[1], PYTHONS[0], CONDAS[-1])]


def test_the_first_engine_that_fits_is_taken() -> None:
    rules = (Rule("ubuntu-*", python="3.11", engine="conda"), Rule("ubuntu-*", engine=EMBEDDED))
    found = ci.hybrids(SESSIONS, Ci(engines=rules), PYTHONS, "full")
    embedded = {(each.system, each.python) for each in found if each.conda == EMBEDDED}
    assert embedded == {(SYSTEMS[0], "3.12"), (SYSTEMS[0], "3.13")}
    assert not [each for each in ci.hybrids(SESSIONS, Ci(engines=()), PYTHONS, "full") if each.conda == EMBEDDED]


# --- entries -------------------------------------------------------------------------------------------------------


def test_an_entry_says_all_that_a_job_needs() -> None:
    entry = ci.hybrids(SESSIONS, Ci(), PYTHONS, "small")[1]
    assert json.loads(ci.as_json([entry])) == {
        "include": [
            {
                "session": "check(conda+uv)",
                "hybrid": "conda+uv",
                "system": "ubuntu-24.04",
                "python": "3.11",
                "conda": "embedded",
                "forced": "",
                "id": "check-conda-uv-ubuntu-24.04-3.11",
                "name": "conda+uv, 3.11, ubuntu-24.04, embedded conda",
                "command": 'nox -s "check(conda+uv)" -- --python 3.11 --conda embedded',
            }
        ]
    }


def test_the_matrix_is_one_line() -> None:
    text = ci.as_json(ci.hybrids(SESSIONS, Ci(), PYTHONS, "full"))
    assert "\n" not in text
    assert len(json.loads(text)["include"]) == 54


def test_ids_are_unique_and_safe_for_the_names_of_artifacts() -> None:
    odd = [Session(name, "venv+uv") for name in ("check(a+b)", "check(a b)", "check a/b:*?", 'check("a", b)')]
    found = [each.id for each in ci.hybrids([*SESSIONS, *odd], Ci(), PYTHONS, "full")]
    assert len(set(found)) == len(found) == 90
    assert not [each for each in found if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", each)]


def test_a_session_that_is_declared_for_pythons_runs_on_those_alone() -> None:
    own = [Session(f"check-{python}(venv+uv)", "venv+uv", python) for python in ("3.9", "3.11", "3.12")]
    for size in ci.SIZES:
        found = {each.python: each.session for each in ci.hybrids(own, Ci(SYSTEMS[:1]), PYTHONS, size)}
        assert found == {python: f"check-{python}(venv+uv)" for python in ("3.11", "3.12")}


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("lint", "lint"),
        ("check(a, b='c')", "\"check(a, b='c')\""),
        ('the "x"', "'the \"x\"'"),
        ("$(id)", "'$(id)'"),
        ("`id`", "'`id`'"),
        ("a\\b !c", "'a\\b !c'"),
        ("it's $HOME", "'it'\"'\"'s $HOME'"),
        ("日本", '"日本"'),
    ],
)
def test_a_shell_reads_nothing_into_a_sessions_name(name: str, typed: str) -> None:
    (entry,) = ci.tagged([Session(name)], Ci(), ("3.11",))
    assert entry.command == f"nox -s {typed} --force-python 3.11"
    assert shlex.split(entry.command)[2] == name


@pytest.mark.parametrize("name", [hybrid.name for hybrid in HYBRIDS])
def test_the_command_is_one_that_the_session_understands(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlops_lab import sessions

    (entry,) = ci.hybrids([Session(f"check({name})", name)], Ci(("ubuntu-24.04",)), ("3.12",), "small")
    nox, flag, session, dashes, *words = shlex.split(entry.command)
    assert (nox, flag, session, dashes) == ("nox", "-s", f"check({name})", "--")
    asked: list[Any] = []
    monkeypatch.setattr(sessions, "_check", lambda _session, hybrid, request: asked.append((hybrid, request)))
    body: Callable[..., None] = sessions.check.func
    body(type("Session", (), {"posargs": words})(), name)
    ((hybrid, request),) = asked
    conda = EMBEDDED if hybrid_named(name).by_conda else None
    assert (hybrid.name, request.python, request.conda) == (name, "3.12", conda)


# --- other sessions ------------------------------------------------------------------------------------------------


def test_sessions_with_a_tag_run_once_and_some_on_each_python() -> None:
    listed = [
        Session("lint", tags=("ci",)),
        Session("tests", tags=("ci", ci.EVERY_PYTHON)),
        Session("old-3.9", python="3.9", tags=("ci",)),
    ]
    found = ci.tagged(listed, Ci(), PYTHONS)
    assert [each.command for each in found] == [
        "nox -s lint --force-python 3.11",
        *(f"nox -s tests --force-python {python}" for python in PYTHONS),
        # nox knows it already.
        "nox -s old-3.9",
    ]
    assert [each.python for each in found] == ["3.11", *PYTHONS, "3.9"]
    assert {(each.system, each.hybrid, each.conda) for each in found} == {(SYSTEMS[0], "", "")}


# --- settings ------------------------------------------------------------------------------------------------------

HEAD = '[project]\nname = "p"\nversion = "1"\nrequires-python = ">=3.11,<3.14"\n'


def settings(tmp_path: Path, text: str) -> Ci:
    (tmp_path / "pyproject.toml").write_text(HEAD + text, encoding="utf-8")
    return project.find(tmp_path).settings.ci


@pytest.mark.parametrize("text", ["", "[tool.mlops-lab]\n", "[tool.mlops-lab.ci]\n"])
def test_all_of_it_is_optional(text: str, tmp_path: Path) -> None:
    assert settings(tmp_path, text) == Ci()


def test_everything_can_be_said(tmp_path: Path) -> None:
    found = settings(
        tmp_path,
        '[tool.mlops-lab.ci]\nsystems = ["ubuntu-24.04", "my.machine_1"]\npythons = ["3.12"]\n'
        'exclude = [{ system = "my.*", hybrid = "conda+*", python = "3.12" }, { hybrid = "pip+uv" }]\n'
        'engines = [{ engine = "embedded" }]\n',
    )
    assert found == Ci(
        ("ubuntu-24.04", "my.machine_1"),
        ("3.12",),
        (Rule("my.*", "conda+*", "3.12"), Rule(hybrid="pip+uv")),
        (Rule(engine="embedded"),),
    )


WRONG = {
    "ci = 1": "ci is not a table: write it as [tool.mlops-lab.ci]",
    "ci.system = []": "ci has a key 'system': did you mean systems? (one of: systems, pythons, exclude, engines)",
    'ci.systems = "ubuntu-24.04"': 'ci.systems is not a list of names: write systems = ["ubuntu-24.04"]',
    "ci.systems = []": 'ci.systems is not a list of names: write systems = ["ubuntu-24.04"]',
    'ci.systems = ["a b"]': "ci.systems names 'a b': write systems = [\"ubuntu-24.04\"]",
    "ci.pythons = [3.11]": 'ci.pythons names 3.11: write pythons = ["3.11", "3.12"]',
    'ci.pythons = ["3"]': 'ci.pythons names \'3\': write pythons = ["3.11", "3.12"]',
    'ci.exclude = { system = "x" }': "ci.exclude is not a list of tables that say something: write exclude = [{ system",
    "ci.exclude = [{}]": "ci.exclude is not a list of tables that say something: write exclude = [{ system",
    'ci.exclude = [{ os = "x" }]': "ci.exclude has a key 'os': one of: system, hybrid, python",
    'ci.exclude = [{ engine = "conda" }]': "ci.exclude has a key 'engine': one of: system, hybrid, python",
    'ci.exclude = [{ system = "" }]': "ci.exclude says '' of the system: write exclude = [{ system",
    "ci.exclude = [{ python = 3.11 }]": "ci.exclude says 3.11 of the python: write exclude = [{ system",
    'ci.engines = [{ system = "*" }]': "ci.engines names nothing for an engine: one of: conda, embedded",
    'ci.engines = [{ engine = "conda2" }]': "ci.engines names 'conda2' for an engine: did you mean conda?",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_setting_is_told_with_the_valid_ones(text: str, tmp_path: Path) -> None:
    with pytest.raises(LabError) as caught:
        settings(tmp_path, f"[tool.mlops-lab]\n{text}\n")
    assert str(caught.value).startswith(f"pyproject.toml: tool.mlops-lab.{WRONG[text]}")
    assert caught.value.code == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            Ci(exclude=(Rule("window-*"),)),
            "exclude means no system with 'window-*': did you mean windows-2025? (one of: ubuntu-24.04, ",
        ),
        (Ci(exclude=(Rule(hybrid="conda"),)), "exclude means no hybrid with 'conda': did you mean conda+uv"),
        (Ci(exclude=(Rule(python="3.9"),)), "exclude means no python with '3.9': did you mean 3.1"),
        (Ci(engines=(Rule("bsd", engine=EMBEDDED),)), "engines means no system with 'bsd': "),
    ],
)
def test_a_rule_that_means_nothing_is_a_slip(given: Ci, message: str) -> None:
    with pytest.raises(LabError) as caught:
        ci.hybrids(SESSIONS, given, PYTHONS, "full")
    assert str(caught.value).startswith(f"pyproject.toml: tool.mlops-lab.ci.{message}")


def test_the_pythons_are_those_that_the_project_and_mlops_lab_support() -> None:
    known = ["3.11", "3.12", "3.13"]
    assert ci.pythons(Ci(), ["3.12", "3.13", "3.14"], known) == ("3.12", "3.13")
    assert ci.pythons(Ci(), ["3.14", "3.15"], known) == ("3.14",)
    assert ci.pythons(Ci(pythons=("3.14", "3.12")), ["3.12", "3.13", "3.14"], known) == ("3.14", "3.12")


def test_a_python_that_is_not_supported_is_refused() -> None:
    with pytest.raises(LabError) as caught:
        ci.pythons(Ci(pythons=("3.10",)), ["3.11", "3.12"], ["3.11"])
    what = "pyproject.toml: tool.mlops-lab.ci.pythons names 3.10, which is not supported here"
    assert str(caught.value).startswith(f"{what}: did you mean 3.1")
    with pytest.raises(LabError, match=r"^the project supports no Python .*: mlops-lab runs on 3\.11, 3\.12$"):
        ci.pythons(Ci(), [], ["3.11", "3.12"])


# --- what nox lists ------------------------------------------------------------------------------------------------


def answer(monkeypatch: pytest.MonkeyPatch, said: str | CommandFailed | Callable[[Sequence[str]], str]) -> list[Any]:
    """Let nox say something; returns what it was asked."""
    asked: list[Any] = []

    def ask(_: Runner, argv: Sequence[str], cwd: Path, changes: Mapping[str, str | None]) -> str:
        asked.append((argv[1:], cwd, changes))
        if isinstance(said, CommandFailed):
            raise said
        return said if isinstance(said, str) else said(argv)

    monkeypatch.setattr(Runner, "ask", ask)
    return asked


def listed(*sessions: tuple[str, dict[str, str], list[str]]) -> str:
    return json.dumps(
        [
            {"session": name, "name": name, "description": "", "python": None, "tags": tags, "call_spec": spec}
            for name, spec, tags in sessions
        ]
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "noxfile.py").write_text("import nox\n", encoding="utf-8")
    return tmp_path


def test_nox_is_asked_for_the_sessions_of_the_hybrids(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answer(monkeypatch, listed(("check(venv+uv)", {"hybrid": "venv+uv"}, []), ("check", {}, [])))
    found = noxfile.of_hybrids(root, {"NOXSESSION": "lint", "NOX_ENV": "x", "A": "b"})
    assert found == [Session("check(venv+uv)", "venv+uv")]
    file = str(root / "noxfile.py")
    words = ["-m", "nox", "--noxfile", file, "--script-mode", "none", "--list", "--json", "--session", "check"]
    assert asked == [(words, root, {"NOXSESSION": None, "NOX_ENV": None})]


def test_without_a_noxfile_its_two_lines_are_shown(tmp_path: Path) -> None:
    with pytest.raises(LabError) as caught:
        noxfile.of_hybrids(tmp_path, {})
    assert str(caught.value) == (
        f"there is no noxfile.py in {tmp_path}: write one with these two lines:\n\n"
        'from mlops_lab.sessions import check, parity\n__all__ = ["check", "parity"]\n'
    )


def test_a_noxfile_without_the_session_is_told_what_to_write(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, listed(("check", {}, [])))
    with pytest.raises(LabError, match=r"noxfile\.py has no session 'check' for a hybrid: write into it:\n\nfrom "):
        noxfile.of_hybrids(root, {})


@pytest.mark.parametrize("said", ["Sessions not found: check", "No sessions found in noxfile.py."])
def test_a_noxfile_that_names_no_such_session_is_told_the_same(
    root: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    answer(monkeypatch, CommandFailed(["nox"], 3, ["nox > Error while collecting sessions.", f"nox > {said}"], None))
    with pytest.raises(LabError, match=r"noxfile\.py has no session 'check' for a hybrid: write into it:\n\nfrom "):
        noxfile.of_hybrids(root, {})
    with pytest.raises(LabError, match=r"^no session of .* has the tag 'ci': write @nox"):
        noxfile.with_tag(root, {}, "ci")


def test_a_session_for_what_is_no_hybrid_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, listed(("check(venv+uw)", {"hybrid": "venv+uw"}, [])))
    with pytest.raises(
        LabError, match=r"noxfile\.py has a session check\(venv\+uw\) for 'venv\+uw', which is no hybrid: did"
    ):
        noxfile.of_hybrids(root, {})


def test_what_a_noxfile_prints_is_not_taken_for_the_answer(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "hello\n[1]\n" + listed(("lint", {}, ["ci"])) + "\n")
    assert noxfile.with_tag(root, {}, "ci") == [Session("lint", tags=("ci",))]


def test_the_sessions_of_the_hybrids_are_not_among_those_of_a_tag(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, listed(("lint", {}, ["ci"]), ("check(venv+uv)", {"hybrid": "venv+uv"}, ["ci"])))
    assert [each.name for each in noxfile.with_tag(root, {}, "ci")] == ["lint"]


@pytest.mark.parametrize(
    ("tags", "hint"),
    [(["ci", "slow"], r"did you mean ci\? \(one of: ci, slow\)"), ([], r'write @nox\.session\(tags=\["cj"\]\)')],
)
def test_a_tag_that_no_session_has_is_told_with_those_that_are_there(
    root: Path, monkeypatch: pytest.MonkeyPatch, tags: list[str], hint: str
) -> None:
    answer(monkeypatch, lambda argv: "[]" if "--tags" in argv else listed(("lint", {}, tags)))
    with pytest.raises(LabError, match=rf"^no session of .*noxfile\.py has the tag 'cj': {hint}$"):
        noxfile.with_tag(root, {}, "cj")


def test_a_noxfile_that_nox_cannot_read_is_told_with_the_cause(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, CommandFailed(["nox"], 1, ["Traceback", "ModuleNotFoundError: No module named 'x'"], None))
    with pytest.raises(LabError) as caught:
        noxfile.of_hybrids(root, {})
    what = f"nox cannot list the sessions of {root / 'noxfile.py'}: ModuleNotFoundError: No module named 'x'"
    assert str(caught.value) == f"{what}: look at it with `nox --script-mode none --list --session check`"


@pytest.mark.parametrize("said", ["", "no JSON", '{"sessions": []}', '[{"session": "x"}]', "[1]", "null"])
def test_an_answer_in_another_form_is_no_traceback(said: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, said)
    with pytest.raises(LabError, match=r"in a form that is not known: nox >= "):
        noxfile.of_hybrids(root, {})
