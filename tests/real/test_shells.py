"""The real shells read what `render` writes: every variable arrives as it was asked, and everything comes back."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from mlops_lab import shells

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[2]
PROMPT = "we$(id)`x`ird%n\\u"
SHOWN = "(we__id__x_ird_n_u) "

HOSTILE = {
    "AMPERSANDS": "a & b && c | d ; e > f < g ( h ) # i",
    "BACKSLASHES": "C:\\new\\table \\\\ \\' \\",
    "BACKTICKS": "`touch injected`",
    "BANGS": "a!b !! !$ !1",
    "BRACES": "{a,b} {0} {name} {}",
    "DOLLARS": "$HOME ${HOME} $(touch injected) $$ $'x'",
    "EMPTY": "",
    "EQUALS": "=ls",
    "GLOBS": "* ? [a-z] **",
    "TWO_LINES": "one\ntwo\n\n",
    "WINDOWS_LINES": "one\r\ntwo\ttab",
    "PERCENTS": "%PATH% %%i %",
    "QUOTES": "it's \"quoted\" '' \"\" '\"'\"'",
    "SPACES": "  a  b ",
    "TILDES": "~root:~:~/x",
    "WORDS": "dossier été 環境 😀 \u2018curly\u2019 \u201cquotes\u201d",
}
OLD = {
    **{f"OLD_{name}": value for name, value in HOSTILE.items()},
    "VIRTUAL_ENV": "/some/old env",
}
FIRST: dict[str, str | None] = {
    **HOSTILE,
    **{f"OLD_{name}": None for name in HOSTILE},
    "NEVER_SET": None,
    "PATH": "/opt/it's $HOME/bin:/usr/bin:/bin",
    "VIRTUAL_ENV": "/opt/it's $HOME",
}
SECOND: dict[str, str | None] = {
    "CONDA_PREFIX": "/opt/conda & co",
    "OLD_QUOTES": "changed now only",
    "PATH": "/opt/conda & co/bin:/usr/bin:/bin",
    "VIRTUAL_ENV": None,
}

# Run by the shell under test: prints what `mlops-lab activate` would print, or writes down what a child process gets.
HELPER = """
import json, os, sys
from pathlib import Path
from mlops_lab import shells
if sys.argv[1] == "dump":
    with Path("dump").open("a", encoding="utf-8") as file:
        print(json.dumps(dict(os.environ)), file=file)
else:
    changes = json.loads(Path(sys.argv[3]).read_text(encoding="utf-8"))
    sys.stdout.buffer.write(shells.render(sys.argv[2], changes, os.environ, prompt=sys.argv[4]).encode())
"""


@dataclass(frozen=True)
class Case:
    """A program, the shell that it is, and how a script says things there ($1 is Python, $2 the helper)."""

    shell: str
    argv: tuple[str, ...]
    start: str = "set -eu"
    activate: str = 'eval "$("$1" "$2" render {shell} {changes} "$3")"'
    dump: str = '"$1" "$2" dump'
    gone: str = "if command -v deactivate; then exit 9; fi"
    prompt: str = "printf '%s|' \"$PS1\""


FISH = Case(
    "fish",
    ("fish", "--no-config", "-c"),
    start="",
    activate="$argv[1] $argv[2] render {shell} {changes} $argv[3] | source",
    dump="$argv[1] $argv[2] dump",
    gone="if functions -q deactivate _mlops_lab_fish_prompt; exit 9; end",
    prompt="fish_prompt; printf '|'",
)
BASH = ("bash", "--norc", "--noprofile", "-c")
CASES = {
    "bash": Case("bash", (*BASH,)),
    "bash-posix-nohash": Case("bash", (*BASH,), start="set -eu +h -o posix"),
    "sh": Case("sh", ("sh", "-c")),
    "dash": Case("sh", ("dash", "-c")),
    "zsh": Case("zsh", ("zsh", "-f", "-c")),
    "zsh-options": Case(
        "zsh",
        ("zsh", "-f", "-c"),
        start="setopt nounset errexit rc_quotes ksh_arrays sh_word_split glob_subst extended_glob magic_equal_subst",
    ),
    "fish": FISH,
}


@dataclass(frozen=True)
class Player:
    """Plays steps in a shell, in a folder of its own."""

    case: Case
    folder: Path

    def play(self, *steps: str, environ: dict[str, str] | None = None, prompt: str = "") -> str:
        (self.folder / "dump").unlink(missing_ok=True)
        script = "\n".join([self.case.start, *(self._say(step) for step in steps)])
        argv = [*self.case.argv, script, *self._name(), sys.executable, "helper.py", prompt]
        done = subprocess.run(
            argv, cwd=self.folder, env=environ or self.environ(), capture_output=True, encoding="utf-8", check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def environ(self) -> dict[str, str]:
        clean = {"PATH": "/usr/bin:/bin", "HOME": str(self.folder), "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT / "src")}
        return {**clean, **OLD, "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1"}

    def dumps(self) -> list[dict[str, str]]:
        lines = (self.folder / "dump").read_text(encoding="utf-8").splitlines()
        # The shell's own notes: what it runs, and how deep it is, which a last command run in its place does not count.
        return [{k: v for k, v in json.loads(line).items() if k not in {"_", "SHLVL"}} for line in lines]

    def _say(self, step: str) -> str:
        says = {"dump": self.case.dump, "gone": self.case.gone, "prompt": self.case.prompt}
        if step in {"first", "second"}:
            return self.case.activate.format(shell=self.case.shell, changes=f"{step}.json")
        return says.get(step, step)

    def _name(self) -> list[str]:
        return [] if self.case.shell == "fish" else ["test"]  # $0, which fish does not take


def asked(before: dict[str, str], changes: dict[str, str | None]) -> dict[str, str]:
    after = {name: value for name, value in before.items() if changes.get(name, "") is not None}
    return {**after, **{name: value for name, value in changes.items() if value is not None}}


def visible(environ: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if not name.startswith(shells.SAVED)}


@pytest.fixture(params=CASES)
def player(request: pytest.FixtureRequest, tmp_path: Path) -> Player:
    case = CASES[request.param]
    if not shutil.which(case.argv[0]):
        pytest.skip(f"{case.argv[0]} is not on this machine")
    (tmp_path / "helper.py").write_text(HELPER, encoding="utf-8")
    (tmp_path / "first.json").write_text(json.dumps(FIRST), encoding="utf-8")
    (tmp_path / "second.json").write_text(json.dumps(SECOND), encoding="utf-8")
    return Player(case, tmp_path)


def test_every_value_arrives_and_every_old_one_comes_back(player: Player) -> None:
    assert player.play("dump", "first", "dump", "deactivate", "dump", "gone") == ""
    before, active, after = player.dumps()
    assert visible(active) == asked(before, FIRST)
    assert after == before
    assert sorted(path.name for path in player.folder.iterdir() if "injected" in path.name) == []


def test_the_saved_values_tell_the_original(player: Player) -> None:
    player.play("dump", "first", "second", "dump")
    before, active = player.dumps()
    assert shells.original(active) == before


def test_the_same_environment_twice(player: Player) -> None:
    assert player.play("dump", "first", "first", "dump", "deactivate", "dump", "gone") == ""
    before, active, after = player.dumps()
    assert visible(active) == asked(before, FIRST)
    assert after == before


def test_another_environment_replaces_the_first(player: Player) -> None:
    assert player.play("dump", "first", "second", "dump", "deactivate", "dump", "gone") == ""
    before, active, after = player.dumps()
    assert visible(active) == asked(before, SECOND)
    assert after == before


def test_back_and_forth(player: Player) -> None:
    player.play("dump", "first", "deactivate", "second", "dump", "deactivate", "first", "deactivate", "dump", "gone")
    before, active, after = player.dumps()
    assert visible(active) == asked(before, SECOND)
    assert after == before


def test_a_shell_within_an_active_one_finds_the_way_back(player: Player) -> None:
    player.play("dump", "first", "dump")
    before, active = player.dumps()
    player.play("second", "dump", "deactivate", "dump", "gone", environ=active)
    second, after = player.dumps()
    assert visible(second) == asked(before, SECOND)
    assert after == before


def test_the_prompt_shows_the_name_and_comes_back(player: Player) -> None:
    set_prompt = "function fish_prompt; printf '%s$ ' $status; end; false" if player.case is FISH else "PS1='0$ '"
    old = "1$ " if player.case is FISH else "0$ "  # the prompt sees the status of the command before it
    same = "false" if player.case is FISH else "true"
    shown = player.play(
        set_prompt,
        "prompt",
        "first",
        same,
        "prompt",
        "second",
        same,
        "prompt",
        "deactivate",
        same,
        "prompt",
        prompt=PROMPT,
    )
    assert shown == f"{old}|{SHOWN}{old}|{SHOWN}{old}|{old}|"


def test_the_prompt_is_left_alone_on_request(player: Player) -> None:
    set_prompt = "function fish_prompt; printf '$ '; end" if player.case is FISH else "PS1='$ '"
    environ = {**player.environ(), "VIRTUAL_ENV_DISABLE_PROMPT": "1"}
    shown = player.play(set_prompt, "first", "prompt", "deactivate", "prompt", prompt=PROMPT, environ=environ)
    assert shown == "$ |$ |"


@pytest.mark.parametrize("player", ["bash", "bash-posix-nohash", "sh", "dash"], indirect=True)
def test_no_prompt_is_made_where_there_is_none(player: Player) -> None:
    assert player.play("unset PS1", "first", 'echo "${PS1-none}"', "deactivate", 'echo "${PS1-none}"', prompt="x") == (
        "none\nnone\n"
    )


@pytest.mark.parametrize(
    ("player", "expand"),
    [("bash", "printf '%s' \"${PS1@P}\""), ("zsh", 'setopt prompt_subst; print -nP "$PS1"')],
    indirect=["player"],
)
def test_what_a_prompt_interprets_is_not_in_it(player: Player, expand: str) -> None:
    assert player.play("PS1='> '", "first", expand, prompt=PROMPT) == f"{SHOWN}> "


def test_commands_are_looked_up_again(player: Player) -> None:
    bin_ = player.folder / "bin"
    bin_.mkdir()
    program = bin_ / "uname"
    program.write_text("#!/bin/sh\necho ours\n", encoding="utf-8")
    program.chmod(0o755)
    path = {"PATH": f"{bin_}:/usr/bin:/bin"}
    (player.folder / "first.json").write_text(json.dumps(path), encoding="utf-8")
    theirs = subprocess.run(["uname"], capture_output=True, text=True, check=True).stdout
    assert player.play("uname", "first", "uname", "deactivate", "uname") == f"{theirs}ours\n{theirs}"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc that names the parent processes")
def test_the_shell_is_detected_from_its_processes(player: Player) -> None:
    program = player.folder / "detect.py"
    program.write_text(
        "import os\nfrom mlops_lab import shells\nprint(shells.detect(os.environ, shells.parent_names()))\n",
        encoding="utf-8",
    )
    python = player.case.dump.split()[0]
    assert player.play(f"{python} detect.py", "true") == f"{player.case.shell}\n"
