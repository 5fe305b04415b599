"""What README and docs tell a reader to do: their commands, their files and what they say is printed, in order.

A page's words for the tests are those for its readers, as far as there are any: a fence's title names the file that it
is, or says `exits with 1`. `<!-- here: NAME -->` is where the reader's situation changes.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .claims import CLAIMS

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PROGRAMS", "READ", "ROOT", "Piece", "alike", "missing", "pages", "pieces", "said", "told", "typed"]

ROOT = Path(__file__).parents[2]
PROGRAMS = frozenset(
    [
        *(
            "invoke",
            "mlops-lab",
            "mlops-lab-conda",
            "nox",
            "pre-commit",
            "pytest",
            "coverage",
            "mypy",
            "ruff",
            "mkdocs",
        ),
        *("conda", "mamba", "micromamba", "poetry", "uv", "uvx", "pip", "python", "pipx", "docker", "git", "npm"),
        *("bash", "cd", "cp", "eval", "export", "mkdir", "mv", "rm", "sed", "source", "tar", "unset"),
    ]
)
"""What begins a command; alone, such a word is the name of the program."""
READ = (
    "README.md",
    "docs/tutorial.md",
    "docs/how-to/your-project.md",
    "docs/how-to/poetry-and-uv.md",
    "docs/how-to/proxy.md",
    "docs/how-to/air-gapped.md",
    "docs/how-to/cuda.md",
    "docs/how-to/docker.md",
    "docs/how-to/completion.md",
    "docs/explanation/hybrids.md",
    "docs/explanation/parity.md",
    "docs/explanation/all-or-nothing.md",
    "CONTRIBUTING.md",
)
"""The pages that are done from the first line to the last; the others speak of commands that these have."""
_SHELLS = frozenset({"bash", "console", "shell", "sh"})
_FILES = frozenset({"diff", "dockerfile", "ini", "python", "text", "toml", "yaml"})
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_RENDERED = re.compile(r"<!-- rendered: .*?<!-- /rendered -->", re.DOTALL)
_HERE = re.compile(r"<!-- here: (.+?) -->")
_FENCE = re.compile(r"(?P<indent>[ >]*)(?P<marks>`{3,}|~{3,}) *(?P<kind>[\w+-]*)(?P<rest>[^`]*)")
_TITLE = re.compile(r'\btitle="([^"]*)"')
_EXITS = re.compile(r"exits with (\d+)")
_AT_THE_END = ", at the end"
_SPAN = re.compile(r"(?<!`)(`+)(?!`)((?:(?!\n[ >]*\n).)+?)(?<!`)\1(?!`)(?:[ \n]+\(exits with (\d+)\))?", re.DOTALL)
_INDENTED = re.compile(r"(?m)^(?: {4,}|\t+) *(\S.*)$")
_HTML = re.compile(r"<(?:code|kbd|pre|samp)\b.*")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=\S*\s+(?=\S)")
# A terminal shows a tick; elsewhere the line goes on with the last words of the tool.
_STEP = re.compile(r"(?:ok|✓) (\S+ +\S.* \d+\.\d s)(?: .*)?")
_NUMBER = re.compile(r"\d+(?:[.:]\d+)*")


@dataclass(frozen=True)
class Piece:
    """One thing that a page says.

    Attributes:
        kind: `command`, `file`, `more` (for the end of a file), `output` (of the command before), `here`, or `words`,
            which are set as code and are nothing of these.
        text: The command, the content, the output, the situation's name, or the words.
        line: The page's line.
        title: A file's path.
        inline: It stands in a sentence.
        exits: A command's exit code.
    """

    kind: str
    text: str
    line: int
    title: str = ""
    inline: bool = False
    exits: int = 0


def pages(root: Path = ROOT) -> list[str]:
    """Every page with commands for people, as paths below the project's folder."""
    first = [name for name in ("README.md", "CONTRIBUTING.md") if (root / name).exists()]
    return [*first, *sorted(path.relative_to(root).as_posix() for path in (root / "docs").rglob("*.md"))]


def pieces(text: str) -> list[Piece]:
    """What a page says, in its order; what is rendered from something else is left out."""
    found: list[Piece] = []
    prose: list[str] = []
    lines = _RENDERED.sub(_blank, text).splitlines()
    number = 0
    while number < len(lines):
        match = _FENCE.fullmatch(lines[number])
        if match is None:
            prose.append(lines[number])
            number += 1
            continue
        found += _of_prose(prose, number - len(prose) + 1)
        prose, start = [], number + 1
        end = next((n for n in range(start, len(lines)) if lines[n].strip(" >") == match["marks"]), len(lines))
        body = textwrap.dedent("\n".join(line[len(match["indent"]) :] for line in lines[start:end]))
        found += _of_fence(match["kind"], match["rest"], body, start + 1)
        number = end + 1
    return [*found, *_of_prose(prose, number - len(prose) + 1)]


def said(page: str) -> list[Piece]:
    """What a page of this repository says."""
    return pieces((ROOT / page).read_text(encoding="utf-8"))


def alike(command: str) -> str:
    """A command as others that do the same: the tasks are the same ones, however they are called."""
    return re.sub(r"\binvoke (?=[a-z])", "mlops-lab ", command)


def typed(page: str) -> list[Piece]:
    """What the reader of a page does, in its order.

    A command in a sentence is typed once: not where any page has it in a block, nor where an earlier sentence has it.
    What cannot be typed is left out: `claims` says why.
    """
    found = {each: said(each) for each in READ}
    in_blocks = [piece for each in READ for piece in found[each] if piece.kind == "command" and not piece.inline]
    earlier = [piece for each in READ[: READ.index(page)] for piece in found[each] if piece.inline]
    known = {*map(alike, CLAIMS), *(alike(piece.text) for piece in (*in_blocks, *earlier))}
    wanted: list[Piece] = []
    skipped = False
    for piece in found[page]:
        if piece.kind == "command" and (piece.inline or piece.text in CLAIMS):
            skipped = skipped or not piece.inline
            if alike(piece.text) in known:
                continue
            known.add(alike(piece.text))
        elif piece.kind == "command":
            skipped = False
        elif piece.kind == "words" or (piece.kind == "output" and skipped):
            continue
        wanted.append(piece)
    return wanted


def _blank(match: re.Match[str]) -> str:
    return "\n" * match[0].count("\n")


def _of_fence(kind: str, rest: str, body: str, line: int) -> Iterator[Piece]:
    title = match[1] if (match := _TITLE.search(rest)) else ""
    if kind in _SHELLS:
        commands = list(_commands(body, line))
        exits = int(match[1]) if (match := _EXITS.search(title)) else 0
        for number, (command, at) in enumerate(commands, start=1):
            yield Piece("command", command, at, exits=exits if number == len(commands) else 0)
    elif kind == "text" and not title:
        yield Piece("output", body, line)
    elif kind not in _FILES:
        yield Piece("words", body, line)
    else:
        more = title.endswith(_AT_THE_END)
        yield Piece("more" if more else "file", f"{body}\n", line, title.removesuffix(_AT_THE_END))


def _commands(body: str, line: int) -> Iterator[tuple[str, int]]:
    """The commands of a block, one for each line that does not go on."""
    command = ""
    start = line
    for number, text in enumerate(body.splitlines(), start=line):
        start = start if command else number
        command += text if not command else f"\n{text}"
        if not text.endswith("\\"):
            if (shown := command.strip()) and not shown.startswith("#"):
                yield shown, start
            command = ""
    if command:
        yield command.strip(), start


def _of_prose(lines: list[str], first: int) -> Iterator[Piece]:
    text = "\n".join(lines)
    found = [Piece("here", match[1], first + text.count("\n", 0, match.start())) for match in _HERE.finditer(text)]
    shown = _COMMENT.sub(_blank, text)
    for match in _SPAN.finditer(shown):
        words = " ".join(match[2].replace(r"\|", "|").split())
        at = first + text.count("\n", 0, match.start())
        if _is_command(words):
            found.append(Piece("command", words, at, inline=True, exits=int(match[3] or 0)))
        elif " " in words:
            found.append(Piece("words", words, at))
    # Blocks of another kind than a fence: nobody would type what stands there.
    found += [Piece("words", match[1], first) for match in _INDENTED.finditer(shown) if _is_command(match[1])]
    found += [Piece("words", match[0], first) for match in _HTML.finditer(shown)]
    yield from sorted(found, key=lambda piece: piece.line)


def _is_command(text: str) -> bool:
    while match := _ASSIGNMENT.match(text):
        text = text[match.end() :]
    first, *more = text.split(" ")
    return first in PROGRAMS and bool(more)


# --- what is printed -------------------------------------------------------------------------------------------------


def told(text: str) -> str:
    """A line without what differs from run to run: the numbers, how much space there is, and a step's details."""
    text = match[1] if (match := _STEP.fullmatch(text)) else text
    return " ".join(_NUMBER.sub("#", text).split())


def missing(shown: str, printed: str) -> str:
    """The first line that a page shows and that is not printed, in this order; empty where all of them are.

    `…` stands for any text of a line; alone on a line it tells readers that lines are left out, which may be anywhere.
    """
    rest = [told(line) for line in printed.splitlines()]
    for line in shown.splitlines():
        if told(line) == "…":
            continue
        wanted = re.compile(".*".join(re.escape(part) for part in told(line).split("…")))
        place = next((place for place, each in enumerate(rest) if wanted.fullmatch(each)), None)
        if place is None:
            return line
        rest = rest[place + 1 :]
    return ""
