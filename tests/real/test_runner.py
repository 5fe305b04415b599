"""The runner with real processes: this interpreter is the command."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlops_lab import runner
from mlops_lab.environment import holding
from mlops_lab.errors import FOUND, WRONG, LabError
from mlops_lab.runner import QUIET, CommandFailed, Runner, Terminated, changed, interruptible, show

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.name == "nt", reason="signals and descriptors are POSIX's"),
]

PATIENCE = 20.0
SRC = Path(runner.__file__).parents[1]
ADDRESS = "https://user:word@index.example/simple"


def python(code: str, *words: str) -> list[str]:
    return [sys.executable, "-c", code, *words]


def wait_for(path: Path) -> str:
    """What a file says, as soon as it says something."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if path.exists() and (text := path.read_text(encoding="utf-8")):
            return text
        time.sleep(0.01)
    raise AssertionError(f"{path} did not come")


def is_alive(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until_gone(number: int) -> None:
    end = time.monotonic() + PATIENCE
    while is_alive(number):
        assert time.monotonic() < end, f"process {number} lives on"
        time.sleep(0.01)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "20261121-1.log"


@pytest.fixture
def bare(log: Path) -> Runner:
    """A runner that gives its children PATH and nothing else."""
    return Runner(log, {"PATH": os.defpath})


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a script that uses the runner, as the first process of a group that ends with the test."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str, environ: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        given = {**os.environ, "PYTHONPATH": str(SRC), **(environ or {})}
        process = subprocess.Popen(
            python(code, str(tmp_path)),
            env=given,
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


# --- what a command is given and what comes of it ---


def test_the_output_of_both_streams_comes_back_in_order(bare: Runner, tmp_path: Path) -> None:
    code = "import sys; print('one'); print('two', file=sys.stderr); print('three  ')"
    assert bare.run(python(code), cwd=tmp_path) == "one\ntwo\nthree"
    assert bare.started == 1


def test_a_line_is_shown_while_the_command_still_runs(log: Path, tmp_path: Path) -> None:
    code = """
import pathlib, sys, time
print("one")
for _ in range(2000):
    if pathlib.Path("seen").exists():
        print("two")
        break
    time.sleep(0.01)
"""
    lines: list[str] = []

    def on_line(line: str) -> None:
        lines.append(line)
        (tmp_path / "seen").touch()

    Runner(log, {}, on_line).run(python(code), cwd=tmp_path)
    assert lines == ["one", "two"]


def test_a_blank_line_is_kept_but_not_shown(log: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    assert Runner(log, {}, lines.append).run(python("print('a\\n  \\nb')"), cwd=tmp_path) == "a\n\nb"
    assert lines == ["a", "b"]


def test_the_command_is_announced_before_it_starts(log: Path, tmp_path: Path) -> None:
    events: list[Any] = []
    Runner(log, {}, events.append, events.append).run(python("print(1)"), cwd=tmp_path)
    assert events == [python("print(1)"), "1"]


def test_a_question_is_answered_by_standard_output_alone(log: Path, tmp_path: Path) -> None:
    events: list[Any] = []
    asker = Runner(log, {}, events.append, events.append)
    code = "import sys; print('warning', file=sys.stderr); print('answer')"
    assert asker.ask(python(code), tmp_path) == "answer\n"
    assert events == []


def test_a_question_that_fails_says_what_its_command_said(log: Path, tmp_path: Path) -> None:
    with pytest.raises(CommandFailed) as caught:
        Runner(log, {}).ask(python("raise SystemExit('no')"), tmp_path)
    assert (caught.value.returncode, caught.value.tail) == (1, ["no"])
    with pytest.raises(CommandFailed) as caught:
        Runner(log, {}).ask(["/nowhere/git"], tmp_path)
    assert caught.value.returncode == 127


@pytest.fixture
def typed(tmp_path: Path) -> Iterator[None]:
    """Somebody has typed something."""
    (tmp_path / "typed").write_text("yes\n", encoding="utf-8")
    kept = os.dup(0)
    with (tmp_path / "typed").open(encoding="utf-8") as file:
        os.dup2(file.fileno(), 0)
    yield
    os.dup2(kept, 0)
    os.close(kept)


@pytest.mark.usefixtures("typed")
def test_standard_input_is_empty(bare: Runner, tmp_path: Path) -> None:
    code = "import sys; sys.exit(bool(sys.stdin.read()))"
    assert bare.run(python(code), cwd=tmp_path) == ""
    assert bare.hand_over(python(code), cwd=tmp_path, changes={}) == 1


def test_no_shell_reads_the_words(bare: Runner, tmp_path: Path) -> None:
    words = ["; touch injected", "$(touch injected)", "`touch injected`", "a b", "*", "", "\n", "--x=&|<>"]
    assert bare.run(python("import sys; print(sys.argv[1:])", *words), cwd=tmp_path) == str(words)
    assert not (tmp_path / "injected").exists()


def test_the_folder_and_the_variables_are_the_given_ones(tmp_path: Path) -> None:
    folder = tmp_path / "with a space é"
    folder.mkdir()
    given = {"PATH": os.defpath, "KEEP": "k", "GONE": "g", "PYTHONPATH": "/elsewhere", "FORCE_COLOR": "1"}
    code = "import os; print(os.getcwd()); print(sorted(os.environ))"
    where, names = (
        Runner(None, given)
        .run(python(code), cwd=folder, changes={"GONE": None, "NEW": "n", "PIP_NO_INPUT": None})
        .split("\n")
    )
    assert Path(where) == folder.resolve()
    expected = {"PATH", "KEEP", "NEW", *(name for name, value in QUIET.items() if value)} - {"PIP_NO_INPUT"}
    assert set(eval(names)) - {"LC_CTYPE"} == expected  # noqa: S307 - a list of our own making


def test_later_changes_win() -> None:
    assert changed({"A": "1", "B": "1"}, {"A": None, "C": "2"}, {"A": "3", "D": None}) == {"A": "3", "B": "1", "C": "2"}


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        (r"b'a\x00b\n'", "a\0b"),
        (r"b'caf\xe9 \xff\n'", "caf� �"),  # codespell:ignore caf
        (r"'é 環境 😀\n'.encode()", "é 環境 😀"),
        (r"b'1 %\r2 %\r\n'", "1 %\n2 %"),
        (r"b'no end'", "no end"),
        (r"b''", ""),
    ],
)
def test_output_of_any_bytes_is_read(bare: Runner, log: Path, tmp_path: Path, printed: str, expected: str) -> None:
    assert bare.run(python(f"import sys; sys.stdout.buffer.write({printed})"), cwd=tmp_path) == expected
    assert expected in log.read_text(encoding="utf-8")


# --- the log ---


def test_the_log_holds_the_command_its_lines_and_its_end(bare: Runner, log: Path, tmp_path: Path) -> None:
    code = "print('hello')"
    bare.run(python(code), cwd=tmp_path)
    command, line, end = log.read_text(encoding="utf-8").splitlines()
    assert command == f"$ {show(python(code))}"
    assert line == "hello"
    assert end.startswith("[0, ")
    assert end.endswith(" s]")


def test_every_command_is_added_to_the_log(bare: Runner, log: Path, tmp_path: Path) -> None:
    for word in ("one", "two"):
        bare.run(python(f"print({word!r})"), cwd=tmp_path)
    lines = log.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line in {"one", "two"}] == ["one", "two"]


def test_credentials_reach_neither_the_log_nor_the_screen_nor_the_error(log: Path, tmp_path: Path) -> None:
    shown: list[str] = []
    code = "import sys; print('looking in', sys.argv[1]); sys.exit(3)"
    with pytest.raises(CommandFailed) as caught:
        Runner(log, {}, shown.append).run(python(code, ADDRESS), cwd=tmp_path)
    everything = [str(caught.value), *caught.value.tail, *shown, log.read_text(encoding="utf-8")]
    assert shown == ["looking in https://***@index.example/simple"]
    assert not any("user:word" in text for text in everything)


def test_git_does_not_see_the_logs(bare: Runner, log: Path, tmp_path: Path) -> None:
    bare.run(python(""), cwd=tmp_path)
    assert (log.parent / ".gitignore").read_text(encoding="utf-8") == "*\n"


def test_only_the_newest_logs_are_kept(bare: Runner, log: Path, tmp_path: Path) -> None:
    log.parent.mkdir()
    for number in range(40):
        (log.parent / f"20250101-{number:02}.log").touch()
    bare.run(python(""), cwd=tmp_path)
    bare.run(python(""), cwd=tmp_path)
    kept = sorted(path.name for path in log.parent.glob("*.log"))
    assert kept == [*(f"20250101-{number}.log" for number in range(11, 40)), log.name]


def test_without_a_log_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed) as caught:
        Runner(None, {}).run(python("raise SystemExit(1)"), cwd=tmp_path)
    assert caught.value.log is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's full device")
def test_a_full_disk_under_the_log_does_not_hide_what_a_command_says(tmp_path: Path) -> None:
    full = Runner(Path("/dev/full"), {})
    assert full.run(python("print('x' * 100_000)"), cwd=tmp_path) == "x" * 100_000


def test_a_log_that_cannot_be_made_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    blocked = Runner(tmp_path / "file" / "a.log", {})
    assert blocked.run(python("print('still')"), cwd=tmp_path) == "still"
    with pytest.raises(CommandFailed) as caught:
        blocked.run(python("raise SystemExit(1)"), cwd=tmp_path)
    assert caught.value.log is None


# --- failure ---


def test_a_failure_carries_its_code_last_lines_log_and_hint(bare: Runner, log: Path, tmp_path: Path) -> None:
    code = "print('\\n\\n'.join(f'line {n}' for n in range(20))); print('No space left on device'); raise SystemExit(7)"
    with pytest.raises(CommandFailed) as caught:
        bare.run(python(code), cwd=tmp_path)
    error = caught.value
    assert (error.returncode, error.code, error.log, error.argv) == (7, FOUND, log, python(code))
    assert error.tail == [*(f"line {number}" for number in range(9, 20)), "No space left on device"]
    assert error.message == f"`{show(python(code))}` failed (exit code 7)"
    assert error.hint == "free some disk space, then run the command again"


def test_a_command_that_a_signal_ended_says_which(bare: Runner, tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match=r"failed \(signal 9\)$") as caught:
        bare.run(python("import os; os.kill(os.getpid(), 9)"), cwd=tmp_path)
    assert caught.value.returncode == -9


@pytest.mark.parametrize(
    ("argv", "reason"), [(["no-such-program"], "No such file or directory"), (["/"], "Permission denied")]
)
def test_a_program_that_cannot_be_started_is_a_failure(
    bare: Runner, log: Path, tmp_path: Path, argv: list[str], reason: str
) -> None:
    with pytest.raises(CommandFailed) as caught:
        bare.run(argv, cwd=tmp_path)
    assert caught.value.returncode == 127
    assert reason in caught.value.tail[0]
    assert reason in log.read_text(encoding="utf-8")


def test_an_error_of_the_one_who_watches_is_not_taken_for_the_commands(log: Path, tmp_path: Path) -> None:
    def gone(_line: str) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        Runner(log, {}, gone).run(python("print(1)"), cwd=tmp_path)


# --- how a child ends ---

CHILD = """
import os, pathlib, signal, sys, time
from signal import SIG_IGN, SIGINT, SIGTERM
def told(number, _):
    pathlib.Path("told").write_text(signal.Signals(number).name)
    sys.exit(0)
def on(**handlers):
    for name, handler in handlers.items():
        signal.signal(getattr(signal, name), handler)
def wait():
    while True:
        time.sleep(0.05)
{handlers}
print(os.getpid())
{rest}
"""
ENDINGS = {
    "by itself": ("", "", ""),
    "by SIGINT": ("on(SIGINT=told, SIGTERM=told)", "wait()", "SIGINT"),
    "by SIGTERM": ("on(SIGINT=SIG_IGN, SIGTERM=told)", "wait()", "SIGTERM"),
    "by force": ("on(SIGINT=SIG_IGN, SIGTERM=SIG_IGN)", "wait()", ""),
}


@pytest.mark.parametrize(("handlers", "rest", "told"), ENDINGS.values(), ids=ENDINGS.keys())
def test_no_child_survives_an_interruption(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, handlers: str, rest: str, told: str
) -> None:
    monkeypatch.setattr(runner, "_PATIENCE", 0.3)
    numbers: list[int] = []

    def interrupt(line: str) -> None:
        numbers.append(int(line))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Runner(log, {}, interrupt).run(python(CHILD.format(handlers=handlers, rest=rest)), cwd=tmp_path)
    assert not is_alive(numbers[0])
    assert [path.read_text(encoding="utf-8") for path in tmp_path.glob("told")] == [told] * bool(told)


RUN_A_CHILD = """
import os, signal, sys
from pathlib import Path
from mlops_lab.runner import Runner, interruptible
signal.signal(signal.SIGINT, signal.default_int_handler)
folder = Path(sys.argv[1])
child = '''
import os, pathlib, signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)
pathlib.Path("child").write_text(str(os.getpid()))
while True:
    time.sleep(0.05)
'''
try:
    with interruptible():
        Runner(folder / "a.log", dict(os.environ)).run([sys.executable, "-c", child], cwd=folder)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_parent_alone_ends_the_child(
    parent: Callable[..., subprocess.Popen[str]], tmp_path: Path, number: signal.Signals
) -> None:
    process = parent(RUN_A_CHILD)
    child = int(wait_for(tmp_path / "child"))
    process.send_signal(number)
    assert process.communicate(timeout=PATIENCE)[0] == "interrupted\n"
    assert not is_alive(child)


HOLD_AND_RUN = """
import os, sys
from pathlib import Path
from mlops_lab.environment import holding
from mlops_lab.runner import Runner
folder = Path(sys.argv[1])
child = '''
import os, pathlib, time
pathlib.Path("child").write_text(str(os.getpid()))
while not pathlib.Path("enough").exists():
    time.sleep(0.02)
'''
with holding(folder / "env", print) as descriptor:
    runner = Runner(None, dict(os.environ))
    runner.inherited = (descriptor,)
    runner.run([sys.executable, "-c", child], cwd=folder)
"""


class Busy(Exception):
    pass


def _busy(_text: str) -> None:
    raise Busy


def test_the_child_of_a_killed_parent_still_holds_the_environment(
    parent: Callable[..., subprocess.Popen[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_LAB_CACHE_DIR", str(tmp_path / "cache"))
    process = parent(HOLD_AND_RUN)
    child = int(wait_for(tmp_path / "child"))
    process.kill()
    process.wait()
    assert is_alive(child)
    with pytest.raises(Busy), holding(tmp_path / "env", _busy):
        pass
    (tmp_path / "enough").touch()
    wait_until_gone(child)
    with holding(tmp_path / "env", _busy):
        pass


def test_a_descriptor_that_is_not_named_is_not_inherited(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    code = (
        "import os, sys\ntry:\n    os.fstat(int(sys.argv[1]))\n    print('there')\nexcept OSError:\n    print('closed')"
    )
    asker = Runner(None, {})
    try:
        assert asker.run(python(code, str(writing)), cwd=tmp_path) == "closed"
        asker.inherited = (writing,)
        assert asker.run(python(code, str(writing)), cwd=tmp_path) == "there"
    finally:
        os.close(reading)
        os.close(writing)


# --- the terminal handed over ---


@pytest.mark.parametrize(
    ("ending", "code"), [("pass", 0), ("raise SystemExit(5)", 5), ("os.kill(os.getpid(), 15)", 143)]
)
def test_handing_over_returns_the_exit_code(bare: Runner, tmp_path: Path, ending: str, code: int) -> None:
    assert bare.hand_over(python(f"import os; {ending}"), cwd=tmp_path, changes={}) == code


def test_a_command_that_is_handed_the_terminal_gets_the_users_variables_and_no_others(tmp_path: Path) -> None:
    names, expected = ("KEEP", "GONE", "NEW", "NO_COLOR"), ["k", None, "n", None]
    code = f"import os, sys; sys.exit([os.environ.get(name) for name in {names}] != {expected})"
    given = Runner(None, {"KEEP": "k", "GONE": "g"})
    assert given.hand_over(python(code), cwd=tmp_path, changes={"GONE": None, "NEW": "n"}) == 0


def test_handing_over_to_a_missing_program_is_refused(bare: Runner, tmp_path: Path) -> None:
    with pytest.raises(LabError) as caught:
        bare.hand_over(["no-such-program"], cwd=tmp_path, changes={})
    assert str(caught.value) == (
        "cannot start 'no-such-program': No such file or directory: check its spelling, or install it"
    )
    assert caught.value.code == WRONG


HAND_OVER = """
import os, signal, sys
from pathlib import Path
from mlops_lab.runner import Runner, interruptible
signal.signal(signal.SIGINT, signal.default_int_handler)
folder = Path(sys.argv[1])
child = '''
import os, pathlib, signal, sys, time
def told(number, _):
    sys.exit(number + 20)
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, told)
pathlib.Path("child").write_text(str(os.getpid()))
while True:
    time.sleep(0.05)
'''
with interruptible():
    sys.exit(Runner(None, dict(os.environ)).hand_over([sys.executable, "-c", child], cwd=folder, changes={}))
"""


@pytest.mark.parametrize(("number", "whole_group"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_a_signal_is_the_handed_over_commands_business(
    parent: Callable[..., subprocess.Popen[str]], tmp_path: Path, number: signal.Signals, *, whole_group: bool
) -> None:
    process = parent(HAND_OVER)
    child = int(wait_for(tmp_path / "child"))
    if whole_group:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    assert process.wait(PATIENCE) == number + 20
    assert not is_alive(child)


QUICK_END = """
import os, sys
from pathlib import Path
from mlops_lab.runner import Runner, interruptible
child = '''
import os, signal, time
signal.signal(signal.SIGINT, lambda *_: os._exit(9))
print(1, flush=True)
while True:
    time.sleep(0.02)
'''
with interruptible():
    sys.exit(Runner(None, dict(os.environ)).hand_over([sys.executable, "-c", child], cwd=Path(sys.argv[1]), changes={}))
"""


def test_the_exit_code_is_not_lost_to_a_signal_that_comes_with_it(parent: Callable[..., subprocess.Popen[str]]) -> None:
    """In a crowd about half lose it where the signal's handler raises."""
    for _ in range(3):
        crowd = [parent(QUICK_END) for _ in range(8)]
        assert [process.stdout.readline() for process in crowd if process.stdout] == ["1\n"] * 8
        for process in crowd:
            os.killpg(process.pid, signal.SIGINT)
        assert [process.wait(PATIENCE) for process in crowd] == [9] * 8


# --- a polite kill ---


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_polite_kill_interrupts_and_the_old_handler_comes_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Terminated), interruptible():
        signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_outside_the_main_thread_no_handler_is_set() -> None:
    seen: list[object] = []

    def work() -> None:
        with interruptible():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]
