"""The tasks as a user calls them: what they refuse before anything starts, what they hand on, how they end."""

from __future__ import annotations

import importlib
import io
import json
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from mlops_lab import changes, ci, cli, noxfile, recipe, steps, tasks
from mlops_lab.choices import Request
from mlops_lab.environment import Stamp, read_stamp, write_stamp
from mlops_lab.errors import LabError
from mlops_lab.guide import HYBRIDS, ROWS, TOOL_KINDS
from mlops_lab.moves import Move
from mlops_lab.recipe import Outcome
from mlops_lab.report import pages
from mlops_lab.runner import CommandFailed, Runner, Terminated
from mlops_lab.tasks import face
from mlops_lab.toolbox import Tool, Toolbox

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PYPROJECT = """
[project]
name = "p"
version = "1"
[dependency-groups]
dev = []
lab = []
[tool.mlops-lab]
hybrid = "venv+uv"
leader = "uv"
"""
DONE = Outcome("venv+uv", "asked for", "/p/.venv", "3.12.1", ("dev",), {"a": "1"}, ("new",), 1.5)
HOSTILE = ["; rm -rf ~", "$(id)", "`id`", "--index-url=x", "-r x", "", " ", "a\nb", "a b", "../a", "a;b", "\x1b[31m"]
ADDRESS = "https://user:word@index.example/a.whl"


class Desk:
    """What came of a command: its exit code and what it printed, and what would have been started."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self.capsys = capsys
        self.out = ""
        self.err = ""
        self.ran: list[list[str]] = []
        self.given: list[tuple[list[str], Path, Mapping[str, str | None]]] = []
        self.changed: list[tuple[Any, ...]] = []
        self.options = changes.Options()

    def __call__(self, *words: str) -> int:
        code = cli.main(words)
        self.out, self.err = self.capsys.readouterr()
        return code

    def build(self) -> Path:
        prefix = self.root / ".venv"
        (prefix / "bin").mkdir(parents=True)
        (prefix / "pyvenv.cfg").write_text("version = 3.12.1\n", encoding="utf-8")
        (prefix / "bin" / "python").touch(mode=0o755)
        write_stamp(prefix, Stamp(str(self.root), "venv+uv", made_by=sys.executable))
        return prefix


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    """A small project to stand in; the runner, the tools and the change recipe are replaced."""
    (tmp_path / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    made = Desk(tmp_path, capsys)

    def run(_runner: Runner, argv: Sequence[str], **_: object) -> str:
        made.ran.append(list(argv))
        _runner.on_command(argv)
        _runner.on_line("a line")
        return ""

    def hand_over(_runner: Runner, argv: Sequence[str], *, cwd: Path, changes: Mapping[str, str | None]) -> int:
        made.given.append((list(argv), cwd, changes))
        return 7

    def change(
        opened: steps.Steps, row: str, packages: Sequence[str], group: str | None, options: changes.Options
    ) -> changes.Changed:
        made.changed.append((str(opened.hybrid), row, tuple(packages), group))
        made.options = options
        return changed(row)

    monkeypatch.setattr(Runner, "run", run)
    monkeypatch.setattr(Runner, "hand_over", hand_over)
    monkeypatch.setattr(Toolbox, "find", lambda _box, name: Tool(name, (f"/tools/{name}",), "1", "", ""))
    monkeypatch.setattr(Toolbox, "settings", lambda _box, _name: {})
    monkeypatch.setattr(Toolbox, "survey", lambda _box: dict.fromkeys(TOOL_KINDS, ("1.2", "PATH")))
    monkeypatch.setattr(changes, "change", change)
    monkeypatch.setattr(sys, "argv", ["mlops-lab"])
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    for name in ("GITHUB_ACTIONS", "VIRTUAL_ENV", "CONDA_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return made


def changed(title: str, *, installed: bool = True) -> changes.Changed:
    return changes.Changed(title, [Move("a", "1", "2", ("uv.lock",))], ["uv.lock"], installed, False, 1.2)


def reports(done: Outcome = DONE) -> Callable[..., Outcome]:
    return lambda _steps, _request: done


def fails(error: BaseException) -> Callable[..., Outcome]:
    def setup(_steps: object, _request: object) -> Outcome:
        raise error

    return setup


# --- which tasks there are ---


def test_every_row_of_the_guide_has_a_task() -> None:
    assert {row.part_of or row.name for row in ROWS} <= set(tasks.namespace.task_names)
    # pip takes neither a folder with hashes nor anything away.
    parts = {"install-project": "install", "prune": "install", "records": "doctor"}
    assert {row.name: row.part_of for row in ROWS if row.part_of} == parts


def test_these_are_the_tasks() -> None:
    assert sorted(tasks.namespace.task_names) == sorted(
        [
            *("create", "activate", "verify", "info", "add", "check", "doctor", "compat", "parity"),
            *("lock", "install", "update", "remove", "export", "setup", "undo", "history"),
            *("guide", "hybrids", "tools", "diagram", "run", "shell", "kernel", "clean", "drift"),
            *("build", "publish", "matrix"),
        ]
    )


def test_the_list_of_tasks_is_short_and_nothing_in_it_is_cut(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("invoke.program.pty_size", lambda: (80, 24))
    assert desk("--list") == 0
    listed = dict(re.findall(r"^  (\S+)\s+(.+)$", desk.out, re.MULTILINE))
    first_lines = {name: (task.__doc__ or "").splitlines()[0] for name, task in tasks.namespace.tasks.items()}
    assert listed == first_lines
    assert all(line.endswith((".", ')".', "CMD.")) for line in first_lines.values())


def test_a_row_and_its_task_have_the_same_number() -> None:
    for row in ROWS:
        if row.name in tasks.namespace.task_names:
            assert (tasks.namespace[row.name].__doc__ or "").startswith(f"Step {row.step}: ")


def test_every_flag_of_every_task_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    # Invoke takes a task's help away as soon as its arguments are asked for.
    for name in [name for name in sys.modules if name.startswith("mlops_lab.tasks")]:
        monkeypatch.delitem(sys.modules, name)
    fresh = importlib.import_module("mlops_lab.tasks").namespace
    for name, task in fresh.tasks.items():
        explained = dict(task.help)
        assert explained.keys() == {argument.name for argument in task.get_arguments()}, name
        assert all(explained.values()), name


def test_setup_has_the_flags_of_the_design() -> None:
    names = {argument.name for argument in tasks.namespace["setup"].get_arguments()}
    assert names == {"hybrid", "python", "prefix", "group", "conda", "force", "offline", "verbose", "json"}


# --- words that name packages ---


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("add a", ("venv+uv", "add", ("a",), None)),
        ("add a -- b c", ("venv+uv", "add", ("a", "b", "c"), None)),
        ("add a b", ("venv+uv", "add", ("a", "b"), None)),
        ("add a --group dev b 'c >= 1' --hybrid=pip+uv", ("pip+uv", "add", ("a", "b", "c >= 1"), "dev")),
        ("add --offline lock a lock --dev", ("venv+uv", "add", ("lock", "a"), "dev")),
        ("update a b", ("venv+uv", "update", ("a", "b"), None)),
        ("add -- b 'c >= 1'", ("venv+uv", "add", ("b", "c >= 1"), None)),
        ("add 'a[x]>=1' --group dev", ("venv+uv", "add", ("a[x]>=1",), "dev")),
        ("add --group dev a", ("venv+uv", "add", ("a",), "dev")),
        ("add --group dev a -- b", ("venv+uv", "add", ("a", "b"), "dev")),
        ("add --group=dev --offline -- a", ("venv+uv", "add", ("a",), "dev")),
        ("add --hybrid pip+uv -- a", ("pip+uv", "add", ("a",), None)),
        (f"add 'a @ {ADDRESS}'", ("venv+uv", "add", (f"a @ {ADDRESS}",), None)),
        ("add add", ("venv+uv", "add", ("add",), None)),
        ("remove a", ("venv+uv", "remove", ("a",), None)),
        ("remove a b", ("venv+uv", "remove", ("a", "b"), None)),
        ("remove -- a b a", ("venv+uv", "remove", ("a", "b"), None)),
        ("update", ("venv+uv", "update", (), None)),
        ("update --offline", ("venv+uv", "update", (), None)),
        ("update a", ("venv+uv", "update", ("a",), None)),
        ("update -- a b", ("venv+uv", "update", ("a", "b"), None)),
        ("update a -- b", ("venv+uv", "update", ("a", "b"), None)),
        ("update --hybrid pip+uv", ("pip+uv", "update", (), None)),
        ("update --hybrid pip+uv a", ("pip+uv", "update", ("a",), None)),
        ("update --hybrid=pip+uv a", ("pip+uv", "update", ("a",), None)),
        ("update --offline -h pip+uv -- a", ("pip+uv", "update", ("a",), None)),
    ],
)
def test_packages_may_stand_before_and_after_two_dashes(desk: Desk, words: str, expected: tuple[Any, ...]) -> None:
    assert desk(*shlex.split(words)) == 0, desk.err
    assert desk.changed == [expected]
    assert desk.out.splitlines()[-1].startswith(f"{expected[1]}: ")


@pytest.mark.parametrize("word", HOSTILE)
@pytest.mark.parametrize("row", ["add", "remove", "update"])
def test_a_hostile_word_is_refused_before_anything_is_started(desk: Desk, row: str, word: str) -> None:
    for words in ([row, "--", word], [row, "--", "a", word], *([] if word.startswith("-") else [[row, word]])):
        assert desk(*words) == 2
        assert re.fullmatch(r'error: ".*" is not a package: write .*\n', desk.err), desk.err
        assert desk.out == ""
    assert (desk.ran, desk.given, desk.changed) == ([], [], [])
    assert sorted(path.name for path in desk.root.iterdir()) == ["pyproject.toml"]


@pytest.mark.parametrize("row", ["remove", "update"])
def test_more_than_a_name_is_refused_where_names_are_meant(desk: Desk, row: str) -> None:
    assert desk(row, "a>=1") == 2
    assert desk.err == 'error: "a>=1" is more than the name of a package: write only the name, for example: numpy\n'


@pytest.mark.parametrize("row", ["add", "remove"])
def test_no_package_at_all_is_refused(desk: Desk, row: str) -> None:
    assert desk(row, "--") == 2
    assert desk.err == f"error: no package to {row} is named: name one: `mlops-lab {row} NAME`\n"


def test_hostile_words_elsewhere_are_refused_too(desk: Desk) -> None:
    for flag, message in {
        "hybrid": "there is no hybrid '$(id)'",
        "group": "there is no dependency group '$(id)'",
    }.items():
        assert desk("setup", f"--{flag}", "$(id)") == 2
        assert desk.err.startswith(f"error: {message}: ")
    assert desk.ran == []


def test_a_kernel_is_named_as_asked(desk: Desk) -> None:
    prefix = desk.build()
    assert desk("kernel", "--name", "my-kernel_1.0") == 0
    install = ["-m", "ipykernel", "install", "--user", "--name=my-kernel_1.0", "--display-name=p (venv+uv)"]
    assert desk.ran == [[str(prefix / "bin" / "python"), *install]]


@pytest.mark.parametrize("word", ["; rm -rf ~", "$(id)", "", "a\nb", "a/b"])
def test_a_kernel_has_a_name_that_jupyter_takes(desk: Desk, word: str) -> None:
    desk.build()
    assert desk("kernel", f"--name={word}") == 2
    assert desk.err == (
        f"error: {word!r} is no name for a kernel: write it with letters, digits, hyphens, periods and _\n"
    )
    assert desk.ran == []


# --- setup and how commands end ---


def test_setup_hands_on_what_was_asked(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Request] = []

    def setup(_steps: object, request: Request) -> Outcome:
        asked.append(request)
        return DONE

    monkeypatch.setattr(recipe, "setup", setup)
    assert (
        desk(
            *shlex.split("setup --hybrid pip+uv --python 3.12 --prefix 'a b' --group dev --group lab --force --offline")
        )
        == 0
    )
    assert asked == [Request("pip+uv", "3.12", "a b", ("dev", "lab"), force=True, offline=True)]
    assert desk.err == "   pip+uv: asked for\n"
    assert desk.out.startswith("ready\n  hybrid    venv+uv (asked for)\n")
    assert "  activate  " in desk.out
    assert desk("setup") == 0
    assert asked[1:] == [Request()]


def test_json_is_alone_on_standard_output(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "setup", reports())
    assert desk("setup", "--json", "--verbose") == 0
    assert json.loads(desk.out)["packages"] == {"a": "1"}
    assert desk.err == "   venv+uv: [tool.mlops-lab] says so\n"


FAILED = CommandFailed(["uv", "sync"], 1, ["no such package"], Path("/p/1.log"))
ENDINGS: dict[str, tuple[BaseException, int, str]] = {
    "wrong words": (LabError("wrong", "try this"), 2, "error: wrong: try this\n"),
    "a failed step": (FAILED, 1, "error: `uv sync` failed (exit code 1)\n  | no such package\n  log: /p/1.log\n"),
    "Ctrl-C": (
        KeyboardInterrupt(),
        130,
        "error: interrupted: the next `mlops-lab setup` repairs what was left unfinished\n",
    ),
    "a polite kill": (
        Terminated(),
        130,
        "error: interrupted: the next `mlops-lab setup` repairs what was left unfinished\n",
    ),
    "a full disk": (
        OSError(28, "No space left on device", "/p/x"),
        1,
        "error: [Errno 28] No space left on device: '/p/x': free some disk space, then run the command again\n",
    ),
    "another file": (IsADirectoryError(21, "Is a directory", "/p/x"), 1, "error: [Errno 21] Is a directory: '/p/x'\n"),
}


@pytest.mark.parametrize(("error", "code", "text"), ENDINGS.values(), ids=ENDINGS.keys())
def test_a_command_that_fails_says_why_and_ends_with_its_code(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, text: str
) -> None:
    monkeypatch.setattr(recipe, "setup", fails(error))
    chosen = "   venv+uv: [tool.mlops-lab] says so\n"
    assert desk("setup") == code
    assert (desk.out, desk.err) == ("", chosen + text)
    assert desk("setup", "--json") == code
    found = json.loads(desk.out)
    assert (found["ok"], found["code"]) == (False, code)
    assert desk.err == chosen + text


def test_an_error_of_ours_is_not_hidden(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "setup", fails(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        desk("setup")


def test_a_hybrid_that_the_files_do_not_allow_has_no_job(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = [ci.Session(f"check({hybrid})", hybrid.name) for hybrid in HYBRIDS]
    monkeypatch.setattr(noxfile, "of_hybrids", lambda _root, _environ: sessions)
    assert desk("matrix", "--json", "--size", "small") == 0
    names = {entry["hybrid"] for entry in json.loads(desk.out)["include"]}
    assert names == {hybrid.name for hybrid in HYBRIDS if not hybrid.by_conda}
    assert desk.err.startswith("check(conda+poetry) is left out: there is no conda.yml: write one with ")
    sessions[:] = [session for session in sessions if session.hybrid.startswith("conda")]
    assert desk("matrix", "--json") == 2
    assert json.loads(desk.out)["error"] == "no hybrid can run for this project"


@pytest.mark.usefixtures("desk")
def test_outputs_that_were_closed_from_the_start_are_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "setup", fails(LabError("wrong", "try this")))
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert cli.main(["setup", "--json"]) == 2


@pytest.mark.usefixtures("desk")
def test_a_reader_that_has_gone_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(recipe, "setup", fails(BrokenPipeError()))
    with (tmp_path / "out").open("w", encoding="utf-8") as file:
        monkeypatch.setattr(sys, "stdout", file)
        assert cli.main(["setup"]) == 141
        file.write("goes nowhere")
    assert (tmp_path / "out").read_text(encoding="utf-8") == ""


@pytest.mark.parametrize("words", ["setup", "create", "install", "add a", "update", "remove a", "clean"])
def test_what_changes_the_environment_leaves_it_first(desk: Desk, monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    left: list[list[str]] = []

    def leave(_steps: object, given: Sequence[str]) -> None:
        left.append(list(given))
        raise SystemExit(9)

    monkeypatch.setattr(steps, "leave_environment", leave)
    given = [*words.split(), "--hybrid", "pip+uv"]
    assert desk(*given) == 9
    assert left == [given]
    assert (desk.ran, desk.changed) == ([], [])


# --- the single steps ---


@pytest.mark.parametrize(
    ("task", "command"),
    [
        ("verify", "{env}/bin/python -m pip --version"),
        ("check", "/tools/uv lock --check"),
        ("compat", "{env}/bin/python -m pip check"),
    ],
)
def test_a_single_step_shows_its_command_and_what_it_prints(desk: Desk, task: str, command: str) -> None:
    text = command.format(env=desk.build())
    assert desk(task, "--hybrid", "venv+uv") == 0
    assert desk.ran == [shlex.split(text)]
    assert (desk.out, desk.err) == (f"$ {text}\na line\n", "")


def test_a_manager_that_names_no_environment_fails_the_step(desk: Desk) -> None:
    prefix = desk.build()
    assert desk("info") == 1
    assert f"uv would work on an environment that it does not name, not on {prefix}" in desk.err


@pytest.mark.parametrize("task", ["activate", "verify", "info", "doctor", "compat", "kernel", "run -- x", "shell"])
def test_without_an_environment_it_says_how_to_make_one(desk: Desk, task: str) -> None:
    assert desk(*task.split()) == 2
    assert desk.err == f"error: there is no environment at {desk.root / '.venv'}: make it with `mlops-lab setup`\n"
    assert (desk.out, desk.ran, desk.given) == ("", [], [])


@pytest.mark.usefixtures("desk")
def test_a_step_that_the_hybrid_does_not_need_is_refused() -> None:
    with pytest.raises(LabError, match=r"^venv\+uv needs no step 'prune': see `invoke guide --hybrid venv\+uv`$"):
        face.run_row("prune", "venv+uv", None)


def test_activate_prints_plain_assignments_for_the_shell_that_is_asked_for(desk: Desk) -> None:
    prefix = desk.build()
    assert desk("activate", "--shell", "bash") == 0
    assert f"export PATH='{prefix}/bin:/usr/bin:/bin'\n" in desk.out
    assert f"export VIRTUAL_ENV='{prefix}'\n" in desk.out
    assert desk("activate", "--shell", "tcsh") == 2
    assert "tcsh" in desk.err
    assert desk("activate") == 0
    assert str(prefix) in desk.out


# --- the recipes ---


def test_create_says_whether_it_made_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for made, text in ((True, "created"), (False, "there already")):
        monkeypatch.setattr(recipe, "create", lambda _steps, _request, made=made: made)
        assert desk("create", "--python", "3.12") == 0
        assert desk.out == f"{desk.root / '.venv'}: {text}\n"


def test_lock_install_export_and_clean_say_what_they_did(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []

    def export(opened: steps.Steps) -> Path:
        asked.append(opened.groups)
        return opened.requirements

    monkeypatch.setattr(changes, "lock", lambda *_, **__: changed("lock", installed=False))
    monkeypatch.setattr(recipe, "install", lambda _: None)
    monkeypatch.setattr(changes, "export", export)
    prefix = desk.root / ".venv"
    for words, text in (
        ("install", f"installed: {prefix}"),
        ("export", f"exported: {desk.root / 'requirements.txt'}"),
        ("export --group lab", f"exported: {desk.root / '.mlops-lab' / 'requirements.txt'}"),
        ("clean", f"removed: {desk.root / '.mlops-lab'}"),
        ("clean", "nothing to remove"),
    ):
        assert desk(*words.split()) == 0
        assert desk.out == f"{text}\n"
    assert asked == [("dev", "lab"), ("lab",)]
    desk.build()
    assert desk("clean") == 0
    assert desk.out == f"removed: {prefix}\n"
    assert read_stamp(prefix) is None


def test_a_change_is_shown_in_one_table(desk: Desk) -> None:
    assert desk("add", "a") == 0
    assert [line.split() for line in desk.out.splitlines() if line.strip()][0::2] == [
        ["package", "from", "to", "in"],
        ["a", "1", "2", "uv.lock"],
    ]
    took = "add: uv.lock changed, and the environment has followed (1.2 s); `mlops-lab undo` takes it back"
    assert desk.out.splitlines()[-1] == took
    assert desk("add", "a", "--json") == 0
    found = json.loads(desk.out)
    assert found["ok"] is True
    assert found["moves"] == [{"package": "a", "before": "1", "after": "2", "files": ["uv.lock"]}]


@pytest.mark.parametrize(
    ("words", "group", "options"),
    [
        ("add a", None, changes.Options()),
        ("add a --dev", "dev", changes.Options()),
        ("add a --dev --group dev", "dev", changes.Options()),
        ("add a --dry-run", None, changes.Options(dry_run=True)),
        ("add a --no-install", None, changes.Options(install=False)),
        ("add a --conda", None, changes.Options(conda=True)),
        ("remove a --dev --no-install", "dev", changes.Options(install=False)),
        ("update --dry-run", None, changes.Options(dry_run=True)),
        ("update a --no-install", None, changes.Options(install=False)),
    ],
)
def test_how_a_change_is_made(desk: Desk, words: str, group: str | None, options: changes.Options) -> None:
    assert desk(*words.split()) == 0
    assert (desk.changed[0][3], desk.options) == (group, options)


def test_two_groups_at_once_are_refused(desk: Desk) -> None:
    assert desk("add", "a", "--dev", "--group", "lab") == 2
    assert desk.err == "error: --dev is --group dev, and --group lab is another one: give one of the two\n"
    assert desk.changed == []


def test_history_and_undo_with_nothing_to_take_back(desk: Desk) -> None:
    assert desk("history") == 0
    assert desk.out == "no change to take back\n"
    assert desk("history", "--json") == 0
    assert json.loads(desk.out) == []
    assert desk("undo") == 2
    assert desk.err == "error: there is no change to take back: `mlops-lab history` lists those that there were\n"


# --- a command in the environment ---


def test_the_words_after_two_dashes_keep_their_boundaries(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    prefix = desk.build()
    below = desk.root / "below"
    below.mkdir()
    monkeypatch.chdir(below)
    words = ["-c", "print('a  b')", "$(id)", "; rm -rf ~", "", "*", "--", "--hybrid"]
    assert desk("run", "--", "python", *words) == 7
    ((argv, cwd, changes),) = desk.given
    assert (argv, cwd) == ([str(prefix / "bin" / "python"), *words], below)
    assert changes["PATH"] == f"{prefix}/bin:/usr/bin:/bin"
    assert changes["VIRTUAL_ENV"] == str(prefix)
    assert desk.out == ""


@pytest.mark.parametrize("words", [["run"], ["run", "--"]])
def test_no_command_to_run_is_refused(desk: Desk, words: list[str]) -> None:
    assert desk(*words) == 2
    assert desk.err == (
        "error: no command to run is given: write it after two dashes: `mlops-lab run -- python --version`\n"
    )


def test_a_command_that_is_nowhere_is_refused(desk: Desk) -> None:
    desk.build()
    assert desk("run", "--", "no-such-program") == 2
    assert desk.err == (
        "error: there is no command 'no-such-program' in the environment or on PATH: check its spelling\n"
    )
    assert desk.given == []


@pytest.mark.parametrize(
    ("environ", "expected"), [({"SHELL": "/bin/sh"}, "/bin/sh"), ({"COMSPEC": "/bin/sh"}, "/bin/sh"), ({}, "sh")]
)
def test_a_subshell_is_the_users_own(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], expected: str
) -> None:
    desk.build()
    for name in ("SHELL", "COMSPEC"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert desk("shell") == 7
    ((argv, _, _),) = desk.given
    assert [Path(argv[0]).name, *argv[1:]] == [Path(expected).name]


# --- the pages ---


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """What the pages would show on a wide terminal."""
    console = Console(width=200, record=True, file=io.StringIO())
    monkeypatch.setattr(pages, "show_page", console.print)
    return console.export_text


def test_the_guide_is_printed_and_nothing_of_it_is_run(desk: Desk, shown: Callable[[], str]) -> None:
    assert desk("guide", "--hybrid", "pip+uv") == 0
    text = shown()
    assert text.startswith("The guide with pip+uv, uv resolves")
    assert all(f"   {row.name:<16}" in text for row in ROWS)
    assert f"python -m venv {desk.root / '.venv'}" in text
    assert desk.ran == []


def test_the_guide_for_a_teams_page_is_the_same_wherever_the_project_lies(desk: Desk) -> None:
    assert desk("guide", "--hybrid", "pip+uv", "--markdown") == 0
    assert desk.out.startswith("# The environment of p\n\nWith pip+uv; uv resolves.")
    assert "\n```bash\npython -m venv .venv\n```\n\nWith Invoke: `invoke create`\n" in desk.out
    assert str(desk.root) not in desk.out
    assert desk.ran == []


def test_the_guide_has_one_form_at_a_time(desk: Desk) -> None:
    assert desk("guide", "--json", "--markdown") == 2
    assert "--json and --markdown are two forms of one page: choose one of them" in desk.err


def test_the_guide_for_programs(desk: Desk) -> None:
    assert desk("guide", "--json") == 0
    found = json.loads(desk.out)
    assert [row["name"] for row in found] == [row.name for row in ROWS]
    assert next(row["command"] for row in found if row["name"] == "lock") == ["uv", "lock"]
    assert desk.ran == []


def test_the_hybrids(desk: Desk, shown: Callable[[], str]) -> None:
    assert desk("hybrids", "--json") == 0
    assert [row["hybrid"] for row in json.loads(desk.out)] == [hybrid.name for hybrid in HYBRIDS]
    assert desk("hybrids") == 0
    assert all(hybrid.name in shown() for hybrid in HYBRIDS[2:3])


def test_the_tools(desk: Desk, shown: Callable[[], str]) -> None:
    assert desk("tools", "--json") == 0
    assert json.loads(desk.out) == {name: {"version": "1.2", "origin": "PATH"} for name in TOOL_KINDS}
    assert desk("tools") == 0
    assert shown().count("1.2 (PATH)") == len(TOOL_KINDS)


def test_the_diagram_has_the_versions_of_here(desk: Desk, shown: Callable[[], str]) -> None:
    assert desk("diagram", "--hybrid", "pip+uv") == 0
    first = shown()
    assert "uv 1.2 locks → uv.lock" in first
    assert "python (no environment yet)" in first
    desk.build()
    (desk.root / "uv.lock").write_text(
        'version = 1\nrequires-python = ">=3.12"\n[[package]]\nname = "a"\nversion = "1"\n'
        'source = { registry = "https://index.example/simple" }\n',
        encoding="utf-8",
    )
    assert desk("diagram") == 0
    second = shown()
    assert "python 3.12.1" in second
    assert "1 packages with hashes" in second
