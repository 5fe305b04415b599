"""What people and programs are shown, to the letter where it is ours; the pages hold every row of the table."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from mlops_lab.choices import Standing
from mlops_lab.errors import LabError
from mlops_lab.guide import HYBRIDS, ROWS, TOOL_KINDS, Hybrid, hybrid_named, row_named, spelling
from mlops_lab.recipe import Outcome
from mlops_lab.report import outcome, pages, progress, spoken
from mlops_lab.report.progress import Counting, Echo, Folded, Live, Plain, Quiet, watching
from mlops_lab.runner import CommandFailed

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mlops_lab.steps import Observer

ADDRESS = "https://user:word@index.example/simple"
CREATE, CHECK = row_named("create"), row_named("check")
FOUR = tuple(hybrid for hybrid in HYBRIDS if hybrid.backend != "conda")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Gone(io.StringIO):
    def write(self, _text: str, /) -> int:
        raise BrokenPipeError


def play(observer: Observer) -> None:
    """One step that ends well, and one that does not."""
    observer.say("venv+uv: asked for")
    observer.start(CREATE)
    observer.command(["python", "-m", "venv", "/a b/.venv"])
    observer.line("first")
    observer.line("  last  ")
    observer.finish(CREATE, 2.345, ok=True)
    observer.start(CHECK)
    observer.command(["uv", "add", ADDRESS])
    observer.finish(CHECK, 61.0, ok=False)


def rendered(page: RenderableType, width: int = 160) -> str:
    console = Console(file=io.StringIO(), width=width, record=True)
    pages.show_page(page, console)
    return console.export_text()


# --- progress ---

PLAIN = """\
   venv+uv: asked for
ok 1  Create the environment                               2.3 s  last
!! 6  Check manifest and lock                             61.0 s
"""
VERBOSE = """\
   venv+uv: asked for
-- 1  Create the environment: An environment of its own keeps the project's packages apart from every other project's.
   $ python -m venv '/a b/.venv'
   | first
   |   last\x20\x20
ok 1  Create the environment                               2.3 s
-- 6  Check manifest and lock: A lock that is older than its manifest installs what nobody declared.
   $ uv add https://***@index.example/simple
!! 6  Check manifest and lock                             61.0 s
"""
FOLDED = """\
   venv+uv: asked for
::group::1  Create the environment
   $ python -m venv '/a b/.venv'
   | first
   |   last\x20\x20
::endgroup::
ok 1  Create the environment                               2.3 s
::group::6  Check manifest and lock
   $ uv add https://***@index.example/simple
::endgroup::
!! 6  Check manifest and lock                             61.0 s
"""


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (Plain, PLAIN),
        (lambda stream: Plain(stream, verbose=True), VERBOSE),
        (Folded, FOLDED),
        (Quiet, "venv+uv: asked for\n"),
    ],
)
def test_lines_are_written_as_the_steps_go_by(make: Any, expected: str) -> None:
    stream = io.StringIO()
    play(make(stream))
    assert stream.getvalue() == expected


def test_a_row_beyond_the_nine_steps_has_a_dot_for_a_number() -> None:
    stream = io.StringIO()
    Plain(stream).finish(row_named("align"), 1.0, ok=True)
    assert stream.getvalue() == "ok ·  Lock the very versions of the other lock             1.0 s\n"


def test_a_long_last_line_is_cut_and_the_next_step_starts_without_it() -> None:
    stream = io.StringIO()
    plain = Plain(stream)
    plain.line("x" * 200)
    plain.finish(CREATE, 0.0, ok=True)
    plain.start(CHECK)
    plain.finish(CHECK, 0.0, ok=True)
    first, second = stream.getvalue().splitlines()
    assert first.endswith(f"  0.0 s  {'x' * 71}…")
    assert second.endswith("  0.0 s")


@pytest.mark.parametrize("make", [Quiet, Plain, Folded])
def test_a_reader_that_has_gone_does_not_stop_the_steps(make: Any) -> None:
    play(make(Gone()))


def test_a_single_step_shows_its_command_and_output_and_keeps_notes_apart() -> None:
    stream, notes = io.StringIO(), io.StringIO()
    play(Echo(stream, notes))
    assert (
        stream.getvalue()
        == "$ python -m venv '/a b/.venv'\nfirst\n  last  \n$ uv add https://***@index.example/simple\n"
    )
    assert notes.getvalue() == "venv+uv: asked for\n"


def test_counting_passes_everything_on_and_keeps_what_ended_well() -> None:
    stream = io.StringIO()
    counting = Counting(Plain(stream, verbose=True))
    play(counting)
    assert stream.getvalue() == VERBOSE
    assert counting.seen == {"create"}


def test_a_terminal_keeps_one_line_for_each_step() -> None:
    console = Console(file=io.StringIO(), width=100, record=True, force_terminal=True)
    live = Live(console)
    play(live)
    lines = [line.rstrip() for line in console.export_text().splitlines() if line.startswith(("✓", "✗", "   v"))]
    assert lines == [
        "   venv+uv: asked for",
        "✓ 1  Create the environment                              2.3 s",
        "✗ 6  Check manifest and lock                            61.0 s",
    ]
    assert live.status is None


def test_the_moving_line_names_the_step_its_time_and_the_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 107.25)
    moving = progress._Running("1  Create the environment", 100.0)
    moving.last = "Installing [bold] numpy " + "x" * 200
    (line,) = rendered(moving, width=90).splitlines()
    assert line == f"{'1  Create the environment':<52}   7.2 s  Installing [bold] numpy xxx…"


def test_what_a_terminal_says_is_no_markup() -> None:
    console = Console(file=io.StringIO(), width=100, record=True)
    Live(console).say("[tool.mlops-lab] says so")
    assert console.export_text() == "   [tool.mlops-lab] says so\n"


def test_a_line_or_an_end_without_a_start_does_no_harm() -> None:
    console = Console(file=io.StringIO(), width=100)
    live = Live(console)
    live.line("early")
    live.finish(CREATE, 1.0, ok=True)
    assert live.running is None


@pytest.mark.parametrize(
    ("environ", "stream", "verbose", "kind"),
    [
        ({"GITHUB_ACTIONS": "true"}, Terminal(), False, Folded),
        ({"GITHUB_ACTIONS": ""}, io.StringIO(), False, Plain),
        ({}, io.StringIO(), False, Plain),
        ({}, Terminal(), True, Plain),
        ({}, Terminal(), False, Live),
    ],
)
def test_the_observer_fits_where_the_output_goes(
    environ: dict[str, str], stream: io.StringIO, verbose: bool, kind: type
) -> None:
    chosen = watching(environ, stream, verbose=verbose)
    assert type(chosen) is kind
    assert getattr(chosen, "verbose", verbose) is (verbose or kind is Folded)


# --- how a command ended ---

DONE = Outcome(
    hybrid="pip+uv",
    reason="asked for",
    prefix="/a b/.venv",
    python="3.12.1",
    groups=("dev", "lab"),
    packages={"cowsay": "6.1", "pip": "26"},
    because=("there is no environment yet",),
    seconds=12.345,
)
SUMMARY_TEXT = """\
ready
  hybrid    pip+uv (asked for)
  python    3.12.1
  prefix    /a b/.venv
  groups    main, dev, lab
  packages  2 installed
  health    manifest and lock agree, every file is as it was recorded, every requirement is met
  time      12.3 s
  activate  eval it
  next      `invoke run -- python`, `invoke add NAME`, `invoke guide`"""


def test_the_summary_of_a_setup() -> None:
    assert outcome.summary(DONE, "eval it") == SUMMARY_TEXT


def test_the_summary_where_nothing_had_to_be_done() -> None:
    idle = Outcome(**{**vars(DONE), "because": (), "seconds": 0.0784, "groups": ()})
    first, *rest = outcome.summary(idle, "eval it").splitlines()
    assert first == "nothing to do: the environment is as the last setup left it"
    assert "  time      78 ms" in rest
    assert "  groups    main" in rest


def test_a_setup_for_programs() -> None:
    assert json.loads(outcome.as_json(DONE)) == {
        "ok": True,
        "hybrid": "pip+uv",
        "reason": "asked for",
        "prefix": "/a b/.venv",
        "python": "3.12.1",
        "groups": ["dev", "lab"],
        "packages": {"cowsay": "6.1", "pip": "26"},
        "because": ["there is no environment yet"],
        "seconds": 12.345,
        "engine": "",
        "replaced": [],
    }


WRONG_WORDS = LabError("there is no hybrid 'x'", "one of: venv+uv")
FAILED = CommandFailed(["uv", "sync", ADDRESS], 2, ["hash mismatch", "giving up"], Path("/p/.mlops-lab/logs/1.log"))
NO_LOG = CommandFailed(["uv", "sync"], -15, [], None)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (WRONG_WORDS, "error: there is no hybrid 'x': one of: venv+uv"),
        (LabError("only this"), "error: only this"),
        (NO_LOG, "error: `uv sync` failed (signal 15)"),
    ],
)
def test_an_error_for_people(error: LabError, expected: str) -> None:
    assert outcome.error_text(error) == expected


def test_a_failed_command_shows_its_last_lines_its_log_and_what_to_try() -> None:
    first, *rest = outcome.error_text(FAILED).splitlines()
    assert first == "error: `uv sync https://***@index.example/simple` failed (exit code 2)"
    assert rest[:3] == ["  | hash mismatch", "  | giving up", "  log: /p/.mlops-lab/logs/1.log"]
    (hint,) = rest[3:]
    assert hint.startswith("  try: ")
    assert "invoke lock" in hint


def test_an_error_for_programs() -> None:
    assert json.loads(outcome.error_as_json(WRONG_WORDS)) == {
        "ok": False,
        "error": "there is no hybrid 'x'",
        "hint": "one of: venv+uv",
        "code": 2,
    }


def test_a_failed_command_for_programs() -> None:
    found = json.loads(outcome.error_as_json(FAILED))
    assert found["tail"] == ["hash mismatch", "giving up"]
    assert found["log"] == "/p/.mlops-lab/logs/1.log"
    assert found["code"] == 1
    assert json.loads(outcome.error_as_json(NO_LOG))["log"] is None


def test_no_error_shows_credentials() -> None:
    assert "word" not in outcome.error_text(FAILED) + outcome.error_as_json(FAILED)


def test_the_guide_for_programs() -> None:
    found = json.loads(outcome.guide_as_json([(CREATE, ["python", "-m", "venv", "/é"]), (CHECK, [])]))
    assert found[0] == {
        "step": 1,
        "name": "create",
        "title": CREATE.title,
        "why": CREATE.why,
        "command": ["python", "-m", "venv", "/é"],
    }
    assert found[1]["command"] == []


def test_the_hybrids_and_the_tools_for_programs() -> None:
    standings = [Standing(hybrid_named("venv+uv")), Standing(hybrid_named("conda+uv"), "no conda", "take another")]
    assert json.loads(outcome.hybrids_as_json(standings)) == [
        {"hybrid": "venv+uv", "runs": True, "why_not": "", "remedy": ""},
        {"hybrid": "conda+uv", "runs": False, "why_not": "no conda", "remedy": "take another"},
    ]
    assert json.loads(outcome.tools_as_json({"uv": ("1.2", "PATH"), "conda": ("", "")})) == {
        "uv": {"version": "1.2", "origin": "PATH"},
        "conda": {"version": "", "origin": ""},
    }


# --- pages ---


@pytest.mark.parametrize("hybrid", HYBRIDS, ids=str)
def test_the_guide_shows_every_row_with_its_command(hybrid: Hybrid) -> None:
    commands = [(row, f"{row.name}-command --with [brackets]") for row in ROWS]
    page = rendered(pages.guide_page(hybrid, "poetry", commands))
    assert page.startswith(f"The guide with {hybrid.name}, poetry resolves\n")
    for row, command in commands:
        assert f"   {row.name:<16}{command}\n{'':19}{row.why}\n" in page
    for step in range(1, 10):
        title = "Keep it up to date" if step == 9 else next(row.title for row in ROWS if row.step == step)
        assert page.count(f"\n{step}  {title}\n") == 1


def test_a_row_that_a_hybrid_does_not_need_says_so() -> None:
    page = rendered(pages.guide_page(hybrid_named("venv+uv"), "uv", [(row_named("prune"), "")]))
    assert "   prune           (not needed with this hybrid)\n" in page


@pytest.mark.parametrize("hybrid", HYBRIDS, ids=str)
def test_exceptions_and_alternatives_are_shown_with_their_reasons(hybrid: Hybrid) -> None:
    page = rendered(pages.guide_page(hybrid, "uv", [(row, "command") for row in ROWS]))
    install = spelling(row_named("install"), hybrid, "uv")
    assert install is not None
    assert (install.reason in page) is True
    assert ("would remove the packages that conda itself needs" in page) is (hybrid.backend == "conda")
    tool = "conda" if hybrid.backend == "conda" else "pip"
    assert f"({tool} install PACKAGE…: behind the files' back)" in page


def test_the_hybrids_page_says_which_run_why_and_what_to_do() -> None:
    chosen = hybrid_named("venv+uv")
    standings = [
        Standing(chosen),
        Standing(hybrid_named("pip+uv")),
        Standing(hybrid_named("conda+uv"), "no conda", "declare it under [dependency-groups]"),
    ]
    lines = rendered(pages.hybrids_page(standings, chosen, "[tool.mlops-lab] says so")).splitlines()
    rows = [line.split("  ") for line in lines if "+" in line]
    assert [[cell.strip() for cell in row if cell.strip()] for row in rows] == [
        ["venv+uv", "yes", "[tool.mlops-lab] says so", "invoke setup --hybrid venv+uv"],
        ["pip+uv", "yes", "invoke setup --hybrid pip+uv"],
        ["conda+uv", "no", "no conda", "declare it under [dependency-groups]"],
    ]


def test_the_tools_page_is_the_guides_summary_with_versions() -> None:
    page = rendered(pages.tools_page({"uv": ("1.2.3", "PATH"), "pip": ("", "")}), width=250)
    for name, tool in TOOL_KINDS.items():
        (line,) = (line for line in page.splitlines() if line.strip().startswith(name))
        version = "1.2.3 (PATH)" if name == "uv" else "not here"
        assert all(text in line for text in (tool.role, tool.strength, version, tool.link))


@pytest.mark.parametrize("hybrid", HYBRIDS, ids=str)
def test_the_diagram_shows_who_owns_locks_and_installs(hybrid: Hybrid) -> None:
    versions = {"poetry": "2.5", "uv": "1.2", "pip": "26.0", "python": "3.12.1"}
    page = rendered(pages.diagram_page(hybrid, versions, "/p/[x]/.venv", {"locked": 7, "installed": 9}))
    manager = f"{hybrid.manager} {versions[hybrid.manager]}"
    assert f"{manager} locks → {hybrid.manager}.lock" in page
    assert "7 packages with hashes" in page
    assert "9 packages are installed, the project itself among them" in page
    assert f"{'conda' if hybrid.backend == 'conda' else 'venv'}  /p/[x]/.venv" in page
    assert "python 3.12.1" in page
    by_pip = hybrid.backend == "pip"
    assert (f"{manager} exports → requirements.txt" in page) is by_pip
    assert ("pip 26.0 installs ↓" in page) is by_pip
    assert (f"{manager} installs ↓" in page) is not by_pip
    assert ("libraries that are not Python" in page) is (hybrid.backend == "conda")


def test_the_diagram_without_versions_still_names_the_tools() -> None:
    page = rendered(pages.diagram_page(hybrid_named("pip+uv"), {}, "/p", {}))
    assert "uv locks → uv.lock" in page
    assert "0 packages with hashes" in page


def test_what_is_too_long_for_the_terminal_goes_on_where_it_began() -> None:
    command = " ".join(["uv", *(f"--option-{number}" for number in range(9))])
    lines = rendered(pages.guide_page(FOUR[0], "poetry", [(CREATE, command)]), width=60).splitlines()[3:]
    assert lines[0] == "   create          uv --option-0 --option-1 --option-2"
    assert lines[1] == f"{'':<19}--option-3 --option-4 --option-5"
    assert all(line.startswith(" " * 19) and line == line.rstrip() for line in lines[1:])
    assert " ".join(" ".join(lines).split()) == f"create {command} {CREATE.why}"


def test_a_page_that_is_piped_is_not_folded_at_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    pages.show_page(pages.guide_page(FOUR[0], "poetry", [(CREATE, "x" * 120)]))
    assert f"create          {'x' * 120}\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("/usr/bin/invoke", 'run `invoke setup --force`, or eval "$(invoke activate)"'),
        ("inv", 'run `invoke setup --force`, or eval "$(invoke activate)"'),
        ("nox", 'run `invoke setup --force`, or eval "$(invoke activate)"'),
        ("/usr/bin/mlops-lab", 'run `mlops-lab setup --force`, or eval "$(mlops-lab activate)"'),
        ("/x/mlops_lab/__main__.py", 'run `mlops-lab setup --force`, or eval "$(mlops-lab activate)"'),
    ],
)
def test_a_hint_is_a_command_that_can_be_typed(program: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [program])
    assert spoken.as_typed('run `invoke setup --force`, or eval "$(invoke activate)"') == expected
    for other in ("No module named 'invoke'", "python -m invoke setup", "pip-invoke x"):
        assert spoken.as_typed(other) == other
