"""The text for every shell, to the letter; what the real shells make of it is in tests/real/test_shells.py."""

from __future__ import annotations

import re

import pytest

from mlops_lab import shells
from mlops_lab.errors import LabError

POSIX = """\
export PATH='/e/bin:/bin'
unset -v GONE
export _MLOPS_LAB_WAS_PATH='PATH=/bin'
export _MLOPS_LAB_WAS_GONE='GONE'
if [ -n "${_MLOPS_LAB_PS1+x}" ]; then PS1=$_MLOPS_LAB_PS1; unset -v _MLOPS_LAB_PS1; fi
if [ -n "${PS1+x}" ]; then _MLOPS_LAB_PS1=$PS1; PS1='(my env) '$PS1; fi
hash -r 2>/dev/null || :
deactivate() {
    export PATH='/bin'
    unset -v GONE
    unset -v _MLOPS_LAB_WAS_PATH
    unset -v _MLOPS_LAB_WAS_GONE
    if [ -n "${_MLOPS_LAB_PS1+x}" ]; then PS1=$_MLOPS_LAB_PS1; unset -v _MLOPS_LAB_PS1; fi
    hash -r 2>/dev/null || :
    unset -f deactivate
}
"""
FISH = """\
set -gx PATH '/e/bin:/bin'
set -eg GONE
set -gx _MLOPS_LAB_WAS_PATH 'PATH=/bin'
set -gx _MLOPS_LAB_WAS_GONE 'GONE'
if functions -q _mlops_lab_fish_prompt
    functions -e fish_prompt
    functions -c _mlops_lab_fish_prompt fish_prompt
    functions -e _mlops_lab_fish_prompt
end
if functions -q fish_prompt
    functions -c fish_prompt _mlops_lab_fish_prompt
    function fish_prompt
        set -l last $status
        printf '%s' '(my env) '
        echo "exit $last" | source
        _mlops_lab_fish_prompt
    end
end
function deactivate
    set -gx PATH '/bin'
    set -eg GONE
    set -eg _MLOPS_LAB_WAS_PATH
    set -eg _MLOPS_LAB_WAS_GONE
    if functions -q _mlops_lab_fish_prompt
        functions -e fish_prompt
        functions -c _mlops_lab_fish_prompt fish_prompt
        functions -e _mlops_lab_fish_prompt
    end
    functions -e deactivate
end
"""
POWERSHELL = """\
$env:PATH = '/e/bin:/bin'
$env:GONE = $null
$env:_MLOPS_LAB_WAS_PATH = 'PATH=/bin'
$env:_MLOPS_LAB_WAS_GONE = 'GONE'
if (Test-Path -Path variable:global:_MLOPS_LAB_PROMPT) {
    Set-Item -Path function:global:prompt -Value $global:_MLOPS_LAB_PROMPT
    Remove-Item -Path variable:global:_MLOPS_LAB_PROMPT
}
$global:_MLOPS_LAB_PROMPT = $function:prompt
function global:prompt { '(my env) ' + (& $global:_MLOPS_LAB_PROMPT) }
function global:deactivate {
    $env:PATH = '/bin'
    $env:GONE = $null
    $env:_MLOPS_LAB_WAS_PATH = $null
    $env:_MLOPS_LAB_WAS_GONE = $null
    if (Test-Path -Path variable:global:_MLOPS_LAB_PROMPT) {
        Set-Item -Path function:global:prompt -Value $global:_MLOPS_LAB_PROMPT
        Remove-Item -Path variable:global:_MLOPS_LAB_PROMPT
    }
    Remove-Item -Path function:deactivate
}
"""
CMD_MACRO = (
    'doskey deactivate=for /f "tokens=1* delims==" %a in (\'set _MLOPS_LAB_WAS_\') do @set "%b"'
    ' $T for /f "delims==" %a in (\'set _MLOPS_LAB_WAS_\') do @set "%a="'
    " $T doskey deactivate=\n"
)
CMD = f"""\
{CMD_MACRO}\
set "PATH=/e/bin:/bin"
set "GONE="
set "PROMPT=(my env) $P$G"
set "_MLOPS_LAB_WAS_PATH=PATH=/bin"
set "_MLOPS_LAB_WAS_GONE=GONE="
set "_MLOPS_LAB_WAS_PROMPT=PROMPT="
"""


@pytest.mark.parametrize(
    ("shell", "text"),
    [
        ("bash", POSIX),
        ("zsh", POSIX),
        ("sh", POSIX),
        ("dash", POSIX),
        ("fish", FISH),
        ("powershell", POWERSHELL),
        ("pwsh", POWERSHELL),
        ("PowerShell", POWERSHELL),
        ("cmd", CMD),
    ],
)
def test_the_whole_text(shell: str, text: str) -> None:
    changes = {"PATH": "/e/bin:/bin", "GONE": None}
    assert shells.render(shell, changes, {"PATH": "/bin"}, prompt="my env") == text


@pytest.mark.parametrize(
    ("shell", "value", "line"),
    [
        ("bash", "it's", "export X='it'\"'\"'s'"),
        ("bash", '"$HOME" `id` !! \\ %', "export X='\"$HOME\" `id` !! \\ %'"),
        ("zsh", "=ls", "export X='=ls'"),
        ("sh", "", "export X=''"),
        ("fish", "it's \\ $HOME (id)", "set -gx X 'it\\'s \\\\ $HOME (id)'"),
        ("powershell", 'it\'s $env:PATH `n $(id) "q" \\', "$env:X = 'it''s $env:PATH `n $(id) \"q\" \\'"),
        ("powershell", "é", "$env:X = ('' + [char]0x00e9)"),
        ("powershell", "a\nb's", "$env:X = ('' + 'a' + [char]0x000a + 'b''s')"),
        ("powershell", "\u2018; id\u2019", "$env:X = ('' + [char]0x2018 + '; id' + [char]0x2019)"),
        ("powershell", "😀", "$env:X = ('' + [char]0xd83d + [char]0xde00)"),
        ("powershell", "\udcff", "$env:X = ('' + [char]0xdcff)"),
        ("cmd", 'a & "b" %PATH% %i ^ !x! | é', 'set "X=a & "b" %PATH% %i ^ !x! | é"'),
        ("cmd", "", 'set "X="'),
    ],
)
def test_a_value_is_quoted_as_the_shell_needs(shell: str, value: str, line: str) -> None:
    assert line in shells.render(shell, {"X": value}, {}).split("\n")


@pytest.mark.parametrize("shell", shells.SHELLS)
def test_a_value_is_no_template(shell: str) -> None:
    text = shells.render(shell, {"X": "{name} {value} {0} {"}, {"X": "{back}"}, prompt="p")
    assert text.count("{name} {value} {0} {") == 1
    assert text.count("{back}") == (1 if shell == "cmd" else 2)


def test_a_line_break_in_an_old_value_stays_as_it_is() -> None:
    text = shells.render("bash", {"X": "new"}, {"X": "one\ntwo"})
    assert "    export X='one\ntwo'\n" in text


@pytest.mark.parametrize(
    ("changes", "environ", "message"),
    [
        ({"X": "a\nb"}, {}, "cmd cannot hold the value of X: it has a line break or a zero byte"),
        ({"X": "a\rb"}, {}, "cmd cannot hold the value of X: it has a line break or a zero byte"),
        ({"X": "new"}, {"X": "old\nvalue"}, "cmd cannot hold the value of X: it has a line break or a zero byte"),
    ],
)
def test_cmd_refuses_line_breaks(changes: dict[str, str], environ: dict[str, str], message: str) -> None:
    with pytest.raises(LabError) as caught:
        shells.render("cmd", changes, environ)
    assert str(caught.value) == f"{message}: take it out of the value, or use another shell"
    assert caught.value.code == 2


def test_cmd_refuses_a_line_that_it_would_cut() -> None:
    assert f'set "X={"v" * 8183}"\n' in shells.render("cmd", {"X": "v" * 8183}, {})
    with pytest.raises(LabError) as caught:
        shells.render("cmd", {"X": "v" * 8184}, {})
    assert str(caught.value) == (
        'cmd reads no line of more than 8191 characters, and one has 8192: set "X=…: '
        "shorten the variable, or activate in PowerShell: "
        "invoke activate --shell powershell | Out-String | Invoke-Expression"
    )


@pytest.mark.parametrize("shell", ["bash", "fish", "powershell"])
def test_no_shell_holds_a_zero_byte(shell: str) -> None:
    with pytest.raises(LabError, match=f"^{shell} cannot hold the value of X: it has a zero byte: "):
        shells.render(shell, {"X": "a\0b"}, {})


@pytest.mark.parametrize("name", ["", "A B", "A;id", "1A", "A=B", "$(id)", "É", "A\n"])
def test_a_name_is_never_interpreted(name: str) -> None:
    message = f"{name!r} is not the name of a variable: letters, digits and _, no digit first"
    with pytest.raises(LabError, match=f"^{re.escape(message)}$"):
        shells.render("sh", {name: "x"}, {})


@pytest.mark.parametrize(
    ("shell", "message"),
    [
        ("fsh", "no shell is called 'fsh': did you mean fish? the shells are bash, zsh, sh, fish, powershell, cmd"),
        ("qqqq", "no shell is called 'qqqq': the shells are bash, zsh, sh, fish, powershell, cmd"),
    ],
)
def test_an_unknown_shell_is_told_the_valid_ones(shell: str, message: str) -> None:
    with pytest.raises(LabError) as rendering:
        shells.render(shell, {}, {})
    with pytest.raises(LabError) as telling:
        shells.how_to(shell)
    for caught in (rendering, telling):
        assert (str(caught.value), caught.value.code) == (message, 2)


ACTIVE = {
    "PATH": "/e/bin:/bin",
    "VIRTUAL_ENV": "/e",
    "_MLOPS_LAB_WAS_PATH": "PATH=/bin",
    "_MLOPS_LAB_WAS_VIRTUAL_ENV": "VIRTUAL_ENV",
    "_MLOPS_LAB_WAS_EMPTY": "EMPTY=",
}


def test_a_second_activation_keeps_the_originals_and_undoes_the_first() -> None:
    text = shells.render("sh", {"PATH": "/f/bin:/bin", "CONDA_PREFIX": "/f"}, ACTIVE)
    assert text.partition("if ")[0].splitlines() == [
        "export EMPTY=''",
        "export PATH='/f/bin:/bin'",
        "unset -v VIRTUAL_ENV",
        "export CONDA_PREFIX='/f'",
        "export _MLOPS_LAB_WAS_EMPTY='EMPTY='",
        "export _MLOPS_LAB_WAS_PATH='PATH=/bin'",
        "export _MLOPS_LAB_WAS_VIRTUAL_ENV='VIRTUAL_ENV'",
        "export _MLOPS_LAB_WAS_CONDA_PREFIX='CONDA_PREFIX'",
    ]
    assert text.partition("deactivate() {\n")[2].splitlines()[:4] == [
        "    export EMPTY=''",
        "    export PATH='/bin'",
        "    unset -v VIRTUAL_ENV",
        "    unset -v CONDA_PREFIX",
    ]


def test_the_original_environment() -> None:
    assert shells.original({**ACTIVE, "HOME": "/h"}) == {"PATH": "/bin", "EMPTY": "", "HOME": "/h"}
    assert shells.original({"PATH": "/bin"}) == {"PATH": "/bin"}


def test_what_is_no_saved_value_is_not_taken_for_one() -> None:
    environ = {"_MLOPS_LAB_WAS_X": "Y=1", "_MLOPS_LAB_WAS_": "=1", "_MLOPS_LAB_WAS_A;id": "A;id=1"}
    assert shells.render("sh", {"Z": "1"}, environ) == shells.render("sh", {"Z": "1"}, {})


def test_windows_shows_names_in_capitals() -> None:
    assert shells.original({"PATH": "new", "_MLOPS_LAB_WAS_PATH": "Path=old"}) == {"PATH": "new", "Path": "old"}


@pytest.mark.parametrize(
    ("prompt", "shown"),
    [("conda+uv", "(conda+uv) "), ("été.1-2", "(été.1-2) "), ("$(id)`x`%n\\u!'\"\n$P", "(__id__x__n_u_____P) ")],
)
def test_only_what_no_prompt_interprets_is_shown(prompt: str, shown: str) -> None:
    assert f"PS1='{shown}'$PS1;" in shells.render("bash", {}, {}, prompt=prompt)
    assert f'set "PROMPT={shown}$G"\n' in shells.render("cmd", {}, {"PROMPT": "$G"}, prompt=prompt)


def test_the_prompt_of_cmd_does_not_grow() -> None:
    active = {"PROMPT": "(one) $P", "_MLOPS_LAB_WAS_PROMPT": "PROMPT=$P"}
    assert shells.render("cmd", {}, active, prompt="two").splitlines() == [
        CMD_MACRO.rstrip("\n"),
        'set "PROMPT=(two) $P"',
        'set "_MLOPS_LAB_WAS_PROMPT=PROMPT=$P"',
    ]
    assert 'set "PROMPT=$P"\n' in shells.render("cmd", {}, active)


@pytest.mark.parametrize("shell", shells.SHELLS)
def test_the_prompt_is_left_alone_on_request(shell: str) -> None:
    environ = {"VIRTUAL_ENV_DISABLE_PROMPT": "1"}
    assert shells.render(shell, {"X": "1"}, environ, prompt="p") == shells.render(shell, {"X": "1"}, {})


@pytest.mark.parametrize(
    ("environ", "parents", "shell"),
    [
        ({}, (), "bash"),
        ({"SHELL": "/usr/bin/zsh"}, (), "zsh"),
        ({"SHELL": "/usr/bin/zsh"}, ("python3", "fish", "bash"), "fish"),
        ({"SHELL": "/bin/tcsh"}, ("python3", "tcsh", "sshd"), "bash"),
        ({}, ("-zsh",), "zsh"),
        ({}, ("/opt/homebrew/bin/fish",), "fish"),
        ({}, ("dash",), "sh"),
        ({}, ("ksh",), "sh"),
        ({}, ("pwsh",), "powershell"),
        ({}, ("invoke.exe", "PowerShell.exe"), "powershell"),
        ({"COMSPEC": "C:\\Windows\\system32\\cmd.exe"}, ("C:\\Program Files\\PowerShell\\7\\pwsh.exe",), "powershell"),
        ({"SHELL": "C:\\Program Files\\Git\\usr\\bin\\bash.exe", "COMSPEC": "C:\\cmd.exe"}, (), "bash"),
        ({"ComSpec": "C:\\Windows\\system32\\cmd.exe"}, (), "cmd"),
        ({"COMSPEC": "C:\\cmd.exe", "USERPROFILE": "C:\\Users\\A", "PSModulePath": "C:\\Windows\\Modules"}, (), "cmd"),
        (
            {"COMSPEC": "C:\\cmd.exe", "USERPROFILE": "C:\\Users\\A", "PSMODULEPATH": "c:\\users\\a\\Documents;C:\\M"},
            (),
            "powershell",
        ),
        ({"PSModulePath": "/opt/powershell/Modules"}, (), "powershell"),
        ({"COMSPEC": "C:\\4nt.exe"}, (), "bash"),
    ],
)
def test_detect(environ: dict[str, str], parents: tuple[str, ...], shell: str) -> None:
    assert shells.detect(environ, parents) == shell


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("bash", 'eval "$(invoke activate)"'),
        ("zsh", 'eval "$(invoke activate)"'),
        ("sh", 'eval "$(invoke activate)"'),
        ("fish", "invoke activate --shell fish | source"),
        ("powershell", "invoke activate --shell powershell | Out-String | Invoke-Expression"),
        ("pwsh", "invoke activate --shell powershell | Out-String | Invoke-Expression"),
        ("cmd", "for /f \"delims=\" %i in ('invoke activate --shell cmd') do @%i"),
    ],
)
def test_how_to(shell: str, line: str) -> None:
    assert shells.how_to(shell) == line
    assert shells.how_to(shell, "mlops-lab activate") == line.replace("invoke", "mlops-lab")


def test_every_other_name_is_of_a_shell() -> None:
    assert {name: target in shells.SHELLS for name, target in shells.ALIASES.items()} == dict.fromkeys(
        shells.ALIASES, True
    )


def test_parents_are_named_nearest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    stats = {
        "/proc/30/stat": "30 (odd) name)) S 20 1 1",
        "/proc/20/stat": "20 (-zsh) S 1 1 1",
        "/proc/1/stat": "1 (systemd) S 0 1 1",
    }
    monkeypatch.setattr("os.getppid", lambda: 30)
    monkeypatch.setattr("pathlib.Path.read_text", lambda path, **_: stats[path.as_posix()])
    assert shells.parent_names() == ("odd) name)", "-zsh", "systemd")


def test_no_parents_are_named_where_there_is_no_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(path: object, **_: str) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr("pathlib.Path.read_text", missing)
    assert shells.parent_names() == ()
