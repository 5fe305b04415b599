"""Activation as text: what `eval "$(invoke activate)"` reads, for every shell, with a way back.

The text is plain assignments and one function, `deactivate`; it runs no script, but for those that conda packages bring
for that purpose (`etc/conda/activate.d`). What was there
before is also kept in variables (`_MLOPS_LAB_WAS_PATH` holds `PATH=…`, or `PATH` alone where it was not set), so that a
second activation, even in a shell started inside the first, still finds the way back to the very beginning.
"""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from mlops_lab import conda_meta
from mlops_lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = [
    "ALIASES",
    "SAVED",
    "SHELLS",
    "Scripts",
    "Shell",
    "detect",
    "how_to",
    "original",
    "parent_names",
    "render",
    "scripts",
]

SAVED = "_MLOPS_LAB_WAS_"
"""Prefix of the variables that hold the values of before the activation."""
FALLBACK = "bash"
"""The answer when nothing tells which shell it is: its text is plain POSIX and right for most of them."""


@dataclass(frozen=True)
class Scripts:
    """What the packages of a conda environment want the shell to run."""

    activate: tuple[Path, ...] = ()
    deactivate: tuple[Path, ...] = ()


_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Prompts interpret `\`, `$`, backticks (bash), `%`, `!` (zsh) and `$` (cmd): only what no prompt interprets is shown.
_INTERPRETED = re.compile(r"[^\w .,:/@+=-]")


@dataclass(frozen=True)
class Shell:
    """How one shell says things; templates for `str.format`, in which {value} and {prompt} are already quoted.

    Args:
        quote: Turns any text into one literal word.
        assign: Sets and exports {name} to {value}.
        delete: Unsets {name}; not an error where it is not set.
        define: Defines `deactivate`, which does {back} (lines) and removes itself.
        how: What the user types; {command} is the command that prints the text.
        show: Puts {prompt} in front of the prompt and saves the old one in the shell.
        hide: Puts the old prompt back and forgets it; nothing happens where there is none.
        after: What makes the shell forget where it found commands.
        define_first: `define` comes before the assignments, while PATH still leads to the shell's own programs.
        prompt_variable: The environment variable that is the prompt, if it is one: saved like the others.
        prompt_default: Its value where it is not set.
        nothing: What follows the name in a saved value when the variable was not set.
        one_line: No value may hold a line break.
        longest: Characters of the longest line that the shell reads; 0 is any.
        source: Runs the script {value} in the shell itself; empty where `deactivate` could not.
        suffix: Of the scripts that it can run.
    """

    quote: Callable[[str], str]
    assign: str
    delete: str
    define: str
    how: str
    show: str = ""
    hide: str = ""
    after: str = ""
    define_first: bool = False
    prompt_variable: str = ""
    prompt_default: str = ""
    nothing: str = ""
    one_line: bool = False
    longest: int = 0
    source: str = ""
    suffix: str = ""


def _quote_posix(text: str) -> str:
    # As `shlex.quote`, but always quoted: shlex takes `=` for safe, and zsh expands a leading one (`=ls`).
    # https://zsh.sourceforge.io/Doc/Release/Expansion.html#g_t_0060_003d_0027-expansion
    return "'" + text.replace("'", "'\"'\"'") + "'"


def _quote_fish(text: str) -> str:
    # https://fishshell.com/docs/current/language.html#quotes: in single quotes only \\ and \' mean something.
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _quote_powershell(text: str) -> str:
    # Typographic quotes close a literal too (about_Quoting_Rules), the pipe's encoding is the console's, and Out-String
    # rewrites line ends: so all that is not printable ASCII is written as a number, in UTF-16 units as .NET counts.
    # https://learn.microsoft.com/powershell/module/microsoft.powershell.core/about/about_quoting_rules
    if text.isascii() and text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    return "(" + " + ".join(_powershell_parts(text)) + ")"


def _powershell_parts(text: str) -> list[str]:
    parts = ["''"]  # a string comes first: character + character would not be text
    for piece in re.findall(r"[ -~]+|[^ -~]", text):
        if " " <= piece[0] <= "~":
            parts.append("'" + piece.replace("'", "''") + "'")
        else:
            units = piece.encode("utf-16-be", "surrogatepass")
            parts += [f"[char]0x{units[i : i + 2].hex()}" for i in range(0, len(units), 2)]
    return parts


def _quote_cmd(text: str) -> str:
    # `for /f` puts the whole line in place of %i after percent expansion and after `&|<>^"` have been read, so the text
    # of `set "X=…"` is literal and needs no escape; `set` takes all up to the last quote. The exception is a cmd that
    # runs with /V:ON: it expands `!…!` after that, and nothing that could stand here would be right in both modes.
    # https://stackoverflow.com/questions/4094699 (phases 1, 2, 4, 5 and 7)
    return text


_POSIX = Shell(
    quote=_quote_posix,
    assign="export {name}={value}",
    delete="unset -v {name}",
    define="deactivate() {{\n{back}\n    unset -f deactivate\n}}",
    how='eval "$({command})"',
    # The prompt is the shell's own variable, not exported, so it is saved there; no prompt (a script): nothing to do.
    show='if [ -n "${{PS1+x}}" ]; then _MLOPS_LAB_PS1=$PS1; PS1={prompt}$PS1; fi',
    hide='if [ -n "${_MLOPS_LAB_PS1+x}" ]; then PS1=$_MLOPS_LAB_PS1; unset -v _MLOPS_LAB_PS1; fi',
    # bash fails here after `set +h`, which must not end a shell with `set -e`.
    after="hash -r 2>/dev/null || :",
    source=". {value}",
    suffix=".sh",
)

_FISH = Shell(
    quote=_quote_fish,
    assign="set -gx {name} {value}",
    delete="set -eg {name}",
    define="function deactivate\n{back}\n    functions -e deactivate\nend",
    how="{command} --shell fish | source",
    # The prompt sees the status of the user's last command, as in venv's own activate.fish.
    show="""\
if functions -q fish_prompt
    functions -c fish_prompt _mlops_lab_fish_prompt
    function fish_prompt
        set -l last $status
        printf '%s' {prompt}
        echo "exit $last" | source
        _mlops_lab_fish_prompt
    end
end""",
    hide="""\
if functions -q _mlops_lab_fish_prompt
    functions -e fish_prompt
    functions -c _mlops_lab_fish_prompt fish_prompt
    functions -e _mlops_lab_fish_prompt
end""",
    source="source {value}",
    suffix=".fish",
)

_POWERSHELL = Shell(
    quote=_quote_powershell,
    assign="$env:{name} = {value}",
    # Not Remove-Item, which fails where there is nothing: assigning $null removes it in every version.
    delete="$env:{name} = $null",
    define="function global:deactivate {{\n{back}\n    Remove-Item -Path function:deactivate\n}}",
    how="{command} --shell powershell | Out-String | Invoke-Expression",
    show="""\
$global:_MLOPS_LAB_PROMPT = $function:prompt
function global:prompt {{ {prompt} + (& $global:_MLOPS_LAB_PROMPT) }}""",
    hide="""\
if (Test-Path -Path variable:global:_MLOPS_LAB_PROMPT) {
    Set-Item -Path function:global:prompt -Value $global:_MLOPS_LAB_PROMPT
    Remove-Item -Path variable:global:_MLOPS_LAB_PROMPT
}""",
    source=". {value}",
    suffix=".ps1",
)

# cmd has no functions: `deactivate` is a doskey macro, which works at the prompt but not in a batch file (there
# `setlocal` and `endlocal` are the way back). A macro's text is read as if typed, so no value may stand in it: it
# copies the saved variables, through `for /f`, which does not interpret what it reads. $T separates commands.
# A variable without a value does not exist in cmd, hence `nothing` and `set "X="` for both.
# https://learn.microsoft.com/windows-server/administration/windows-commands/doskey
# https://learn.microsoft.com/windows-server/administration/windows-commands/for
_CMD = Shell(
    quote=_quote_cmd,
    assign='set "{name}={value}"',
    delete='set "{name}="',
    define=(
        f'doskey deactivate=for /f "tokens=1* delims==" %a in (\'set {SAVED}\') do @set "%b"'
        f' $T for /f "delims==" %a in (\'set {SAVED}\') do @set "%a="'
        " $T doskey deactivate="
    ),
    how="for /f \"delims=\" %i in ('{command} --shell cmd') do @%i",
    define_first=True,
    prompt_variable="PROMPT",
    prompt_default="$P$G",
    nothing="=",
    one_line=True,
    # https://learn.microsoft.com/troubleshoot/windows-client/shell-experience/command-line-string-limitation
    longest=8191,
)

SHELLS: Mapping[str, Shell] = MappingProxyType(
    {"bash": _POSIX, "zsh": _POSIX, "sh": _POSIX, "fish": _FISH, "powershell": _POWERSHELL, "cmd": _CMD}
)
"""The shells that `render` writes for."""
ALIASES: Mapping[str, str] = MappingProxyType(
    {"pwsh": "powershell", "dash": "sh", "ash": "sh", "busybox": "sh", "ksh": "sh", "mksh": "sh"}
)
"""Other names of them, as programs are called."""


def detect(environ: Mapping[str, str], parents: Iterable[str] = ()) -> str:
    r"""Name the shell that the user types in.

    Args:
        environ: The environment, in which `SHELL`, `PSModulePath` and `COMSPEC` tell.
        parents: Names or paths of the parent processes, nearest first (`-zsh`, `/bin/bash` and `pwsh.exe` are fine).

    Returns:
        A key of `SHELLS`; `bash` when nothing tells, or a shell that is not among them.
    """
    for program in (*parents, environ.get("SHELL", "")):
        if name := _shell_of(program):
            return name
    return _detect_windows({name.upper(): value for name, value in environ.items()})


def _shell_of(program: str) -> str:
    """Return the key of `SHELLS` for a process name or path, or nothing."""
    name = re.split(r"[/\\]", program.strip())[-1].lower().removeprefix("-").removesuffix(".exe")
    name = ALIASES.get(name, name)
    return name if name in SHELLS else ""


def _detect_windows(environ: Mapping[str, str]) -> str:
    """Tell PowerShell from cmd: PSModulePath is the machine's, and PowerShell adds the user's own folder to it.

    https://learn.microsoft.com/powershell/module/microsoft.powershell.core/about/about_psmodulepath
    """
    modules = environ.get("PSMODULEPATH", "").lower()
    home = environ.get("USERPROFILE", "").lower()
    if modules and ("COMSPEC" not in environ or (home and home in modules)):
        return "powershell"
    return _shell_of(environ.get("COMSPEC", "")) or FALLBACK


def parent_names() -> tuple[str, ...]:
    """Name the parent processes, nearest first, as /proc tells; nothing where there is no /proc. Starts no process."""
    names: list[str] = []
    pid = os.getppid()
    while pid > 0:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            break
        # "pid (name) state parent …", and a name may hold parentheses: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
        start, _, rest = stat.rpartition(")")
        names.append(start.partition("(")[2])
        pid = int(rest.split()[1])
    return tuple(names)


def original(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment as it was before the activation; what to put in front of its PATH is the caller's work.

    Args:
        environ: The environment, active or not.

    Returns:
        A copy with every saved value brought back and without the variables that held them.
    """
    before = {name: value for name, value in environ.items() if not name.startswith(SAVED)}
    for name, value in _saved(environ).items():
        before.pop(name, None)
        if value is not None:
            before[name] = value
    return before


def _saved(environ: Mapping[str, str]) -> dict[str, str | None]:
    """Return what an activation saved: variable -> old value, None for one that was not set."""
    saved: dict[str, str | None] = {}
    for holder, record in sorted(environ.items()):
        name, equals, value = record.partition("=")
        # Windows has one spelling for a variable and shows it in capitals.
        if _NAME.fullmatch(name) and holder.upper() == (SAVED + name).upper():
            saved[name] = value if equals else None
    return saved


def scripts(shell: str, prefix: Path) -> Scripts:
    """The scripts that the packages of a conda environment bring for a shell; none for one that cannot undo them.

    Raises:
        LabError: No such shell (2).
    """
    row = _row(shell)
    if not row.source:
        return Scripts()
    return Scripts(*(tuple(conda_meta.scripts(prefix, when, row.suffix)) for when in ("activate", "deactivate")))


def render(
    shell: str,
    changes: Mapping[str, str | None],
    environ: Mapping[str, str],
    *,
    prompt: str = "",
    scripts: Scripts | None = None,
) -> str:
    r"""Write the text that activates an environment in a shell, and defines `deactivate` there.

    Activating while active keeps the saved originals, and brings back what the first activation changed and this one
    does not.

    Args:
        shell: A key of `SHELLS`, or of `ALIASES`.
        changes: Variable -> new value; None deletes it. PATH is given whole.
        environ: The environment of the shell, as `os.environ` gives it.
        prompt: Short name to show in front of the prompt; what a prompt would interpret in it is shown as `_`.
        scripts: What conda's packages want to be run.

    Returns:
        Lines that end with "\n", which must reach a POSIX shell as it is (Git Bash too: no "\r\n"). They are written
        with `errors="surrogateescape"`, as the values were read; cmd reads them in the console's code page.

    Raises:
        LabError: No such shell (2), a name that is not a variable's, or a value that the shell cannot hold.
    """
    row = _row(shell)
    before = _saved(environ)
    label = "" if environ.get("VIRTUAL_ENV_DISABLE_PROMPT") else _label(prompt)
    wanted = {**before, **changes, **_prompt_change(row, label, original(environ))}
    olds = {name: before[name] if name in before else environ.get(name) for name in wanted}
    _refuse(shell, row, wanted, olds)
    sourced = scripts or Scripts()
    define = row.define.format(back=_back(row, olds, _sourced(row, sourced.deactivate)))
    lines = [
        *(_line(row, name, value) for name, value in wanted.items()),
        *(_line(row, SAVED + name, _record(row, name, old)) for name, old in olds.items()),
        row.hide,
        row.show.format(prompt=row.quote(label)) if label else "",
        row.after,
        *_sourced(row, sourced.activate),
    ]
    lines = [define, *lines] if row.define_first else [*lines, define]
    return _checked(shell, row, "".join(f"{line}\n" for line in lines if line))


def _row(shell: str) -> Shell:
    """Return the shell's row, or name the valid ones."""
    name = shell.lower()
    if row := SHELLS.get(ALIASES.get(name, name)):
        return row
    near = difflib.get_close_matches(name, [*SHELLS, *ALIASES], n=1)
    guess = f"did you mean {near[0]}? " if near else ""
    raise LabError(f"no shell is called {shell!r}", f"{guess}the shells are {', '.join(SHELLS)}")


def _label(prompt: str) -> str:
    return f"({_INTERPRETED.sub('_', prompt)}) " if prompt else ""


def _prompt_change(row: Shell, label: str, before: Mapping[str, str]) -> dict[str, str | None]:
    """Return the change to the variable that is the prompt, for a shell where it is one."""
    if not (row.prompt_variable and label):
        return {}
    return {row.prompt_variable: label + (before.get(row.prompt_variable) or row.prompt_default)}


def _record(row: Shell, name: str, old: str | None) -> str:
    """Write a saved value: `_saved` reads it."""
    return f"{name}{row.nothing}" if old is None else f"{name}={old}"


def _line(row: Shell, name: str, value: str | None) -> str:
    if value is None:
        return row.delete.format(name=name)
    return row.assign.format(name=name, value=row.quote(value))


def _sourced(row: Shell, paths: Iterable[Path]) -> list[str]:
    return [row.source.format(value=row.quote(str(path))) for path in paths]


def _back(row: Shell, olds: Mapping[str, str | None], scripts: Iterable[str]) -> str:
    """Write the lines of `deactivate`; a value's second line is its own and is not indented."""
    lines = [
        *scripts,
        *(_line(row, name, old) for name, old in olds.items()),
        *(_line(row, SAVED + name, None) for name in olds),
        *row.hide.splitlines(),
        row.after,
    ]
    return "\n".join("    " + line for line in lines if line)


def _refuse(shell: str, row: Shell, *sets: Mapping[str, str | None]) -> None:
    """Refuse what cannot be written literally in this shell."""
    bad = "\0\r\n" if row.one_line else "\0"
    for name, value in (item for some in sets for item in some.items()):
        if not _NAME.fullmatch(name):
            raise LabError(f"{name!r} is not the name of a variable", "letters, digits and _, no digit first")
        if any(character in bad for character in value or ""):
            what = "a line break or a zero byte" if row.one_line else "a zero byte"
            raise LabError(
                f"{shell} cannot hold the value of {name}: it has {what}",
                "take it out of the value, or use another shell",
            )


def _checked(shell: str, row: Shell, text: str) -> str:
    """Return the text, if the shell can read its longest line."""
    line = max(text.split("\n"), key=len)
    if row.longest and len(line) > row.longest:
        start = line.partition("=")[0]  # not the value, which may be a secret
        raise LabError(
            f"{shell} reads no line of more than {row.longest} characters, and one has {len(line)}: {start}=…",
            "shorten the variable, or activate in PowerShell: " + how_to("powershell"),
        )
    return text


def how_to(shell: str, command: str = "invoke activate") -> str:
    """Return the one line that a user types in that shell to activate.

    Args:
        shell: A key of `SHELLS`, or of `ALIASES`.
        command: The command that prints the text of `render`.

    Raises:
        LabError: No such shell (2).
    """
    return _row(shell).how.format(command=command)
