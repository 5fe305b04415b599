"""A requirements file as what it asks for and fixes, https://pip.pypa.io/en/stable/reference/requirements-file-format/.

Plain lines are read here; whatever else pip takes is left to the parser, which is slow and imported only then.
"""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING

from mlops_lab.errors import LabError
from mlops_lab.manifests.asking import Asking
from mlops_lab.manifests.exports import export_of, is_poetrys
from mlops_lab.manifests.model import Document, Export
from mlops_lab.manifests.pyproject import CONFLICT, both_sides
from mlops_lab.manifests.unread import Notes

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["asked", "decoded", "document", "finish", "numbered"]

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# https://peps.python.org/pep-0263/, which pip follows
_CODING = re.compile(rb"#.*coding[:=]\s*([-\w.]+)")
_RARE_BREAKS = re.compile("[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_CONDAS = re.compile(r"^# \$ conda create --name <env> --file <this file>", re.MULTILINE)
_COMMENT = re.compile(r"(?:^|\s)#(.*)$")


def document(data: bytes, path: str) -> Document:
    """A requirements file as what it says; what cannot be understood in it is left out and noted.

    Args:
        data: Its bytes.
        path: The file, from the project's root.

    Raises:
        LabError: It is no text at all, or a merge conflict is not resolved in it (code 2).
    """
    comments = list[str]()
    asking = asked(data, path, comments)
    pinned = [pin.name for pin in asking.pins if pin.version]
    only_pins = len(pinned) == len(asking.requirements) and not asking.includes and not asking.limits
    export = export_of(path, comments, pinned, only_pins=only_pins and not any(pin.marker for pin in asking.pins))
    hashed = [pin for pin in asking.pins if pin.hashed]
    if export is None and hashed and len(hashed) == len(asking.requirements):
        export = Export()
    if export is None and only_pins and is_poetrys([pin.marker for pin in asking.pins]):
        export = Export(by="poetry")
    return Document(
        path=path,
        format="requirements",
        role="requirements",
        requirements=tuple(sorted(asking.requirements, key=lambda each: each.line)),
        pins=tuple(sorted(asking.pins if export else hashed, key=lambda each: each.line)),
        unread=asking.notes.sorted(),
        export=export,
        includes=tuple(asking.includes),
        limits=tuple(asking.limits),
    )


def asked(data: bytes, path: str, comments: list[str] | None = None) -> Asking:
    """What the lines of a requirements file came to.

    Args:
        data: Its bytes.
        path: The file, from the project's root.
        comments: Receives its comments, without `#`.

    Raises:
        LabError: It is no text at all, or a merge conflict is not resolved in it (code 2).
    """
    notes = Notes(path)
    text = decoded(data, path, notes)
    asking = Asking(path, notes, constrains=path.rpartition("/")[2].startswith("constraint"))
    for line, words, hashed in _lines(text, comments if comments is not None else []):
        asking.take(line, words, hashed=hashed)
    finish(asking)
    return asking


def finish(asking: Asking) -> None:
    """Read the lines that were left to the parser."""
    if asking.odd:
        from mlops_lab.manifests.pip_lines import read_odd

        read_odd(asking)


def decoded(data: bytes, path: str, notes: Notes) -> str:
    """The text of a file in the encoding that pip takes it for.

    Raises:
        LabError: It is no text, names an encoding that there is not, or a merge conflict is not resolved in it.
    """
    name = path.rpartition("/")[2]
    hint = "save the file as UTF-8, or name its encoding in the first line: # -*- coding: … -*-"
    bom, encoding = next(((bom, encoding) for bom, encoding in _BOMS if data.startswith(bom)), (b"", "utf-8"))
    named = None if bom else next((found for line in data.split(b"\n")[:2] if (found := _CODING.match(line))), None)
    encoding = named[1].decode("ascii") if named else encoding
    content = data[len(bom) :]
    try:
        text = content.decode(encoding)
    except LookupError as error:
        raise LabError(f"{name}:1:1: {error}", "save the file as UTF-8") from error
    except UnicodeDecodeError as error:
        notes.add(data.count(b"\n", 0, error.start) + 1, f"not {encoding.upper()}", hint)
        text = content.decode(encoding, errors="replace")
    except (UnicodeError, ValueError, TypeError, AssertionError) as error:
        # Such as `idna` or `undefined`, which are no encodings of files.
        raise LabError(f"{name}:1:1: not {encoding}", "save the file as UTF-8") from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise LabError(f"{name}:{line}:1: this is no text (there is a NUL in it)", "save the file as UTF-8")
    if _CONDAS.search(text):
        hint = "write requirements for pip, or keep it under a name such as conda-packages.txt"
        raise LabError(f"{name}:1:1: this is a list of conda's, as `conda list --export` writes it", hint)
    if unresolved := CONFLICT.search(text):
        line = text.count("\n", 0, unresolved.start()) + 1
        raise LabError(f"{name}:{line}:1: a merge conflict is not resolved", both_sides(name))
    return text


def numbered(text: str) -> Iterator[tuple[int, str]]:
    """The lines as pip tells them apart, with the numbers that editors give them."""
    if not _RARE_BREAKS.search(text):
        return enumerate(text.splitlines(), 1)
    rows = enumerate(re.split(r"\r\n|\n|\r", text), 1)
    return ((number, line) for number, row in rows for line in row.splitlines())


def _lines(text: str, comments: list[str]) -> Iterator[tuple[int, str, bool]]:
    """Each line with what follows on others after a backslash: its number, its words, and whether hashes were there."""
    begun, words, hashed = 0, list[str](), False
    for number, line in numbered(text):
        if begun and line.lstrip().startswith("--hash="):
            # Most lines of a lock, which say only that there are hashes.
            hashed = True
            if line.endswith("\\"):
                continue
            rest, follows = "", False
        else:
            rest, follows = line, line.endswith("\\") and not line.lstrip().startswith("#")
        begun = begun or number
        words.append(rest.strip("\\") if follows else rest)
        if follows:
            continue
        whole = "".join(words)
        if found := _COMMENT.search(whole):
            comments.append(found[1])
            whole = whole[: found.start()]
        if whole := whole.strip():
            yield begun, whole, hashed
        begun, words, hashed = 0, [], False
    if whole := "".join(words).strip():
        yield begun, whole, hashed
