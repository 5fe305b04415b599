"""conda.yml edited as text: what changes, and that everything else stays to the byte, in every layout."""

from __future__ import annotations

import itertools
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlops_lab.errors import WRONG, LabError
from mlops_lab.manifests.conda_edit import added, pip_moved, pip_name, pip_removed, removed

if TYPE_CHECKING:
    from collections.abc import Callable

    Edit = Callable[[Path, str], str]

PATH = Path("conda.yml")


def adds(*specs: str) -> Edit:
    return partial(added, specs=specs)


def removes(*names: str) -> Edit:
    return partial(removed, names=names)


def moves(**versions: str) -> Edit:
    return partial(pip_moved, versions=versions)


def removes_pip(*names: str) -> Edit:
    return partial(pip_removed, names=names)


def refused(edit: Edit, text: str) -> str:
    with pytest.raises(LabError) as caught:
        edit(PATH, text)
    assert caught.value.code == WRONG
    return str(caught.value)


# --- before and after ----------------------------------------------------------------------------------------------

BLOCK = """\
# of the team

name: p   # its name
channels:
  - conda-forge

dependencies:
  # the interpreter
  - python >=3.11,<3.14   # as pyproject.toml has it

  - pip
  - "libhello >=1.0"  # a C library
  # what only pip has
  - pip:
      - cowsay==6.0   # a cow
      # colours
      - rich[jupyter]==13.0 ; python_version < "3.12"
      - -r requirements.txt

variables:
  A: "1"
# the end
"""
COLUMN_0 = "name: p\ndependencies:\n- python\n- numpy\n- pip:\n  - a==1\n  - b\nprefix: C:\\envs\\p\n"
ODD = "  name: p\n  dependencies:\n       -    python\n       -    'numpy'   # here\n  channels: [x]\n"
FLOW = "{name: p, dependencies: [python, pip, {pip: [a==1, b]}], channels: [conda-forge]} # c\n"
FLOWS = "name: p\ndependencies: [python, numpy, pip]   # all\nchannels: [x]\n"
LONG_FLOW = """\
dependencies: [
  python,  # the interpreter
  numpy,   # arrays
  pip      # last
]
"""
COMMAS_FIRST = "dependencies:\n  [ python\n  , numpy\n  , pip\n  ]\n"
SPACED = """\
dependencies:
- pip:
  - 'My_Pkg  ==  1.0 # c'
  - "a==1 ; python_version < \\"4\\""
"""
ANCHORS = "x: &n numpy\ndependencies: &d\n  - &p python >=3\n  - *n\n  - pip\ny: *p\n"

CASES: dict[str, tuple[str, Edit, list[tuple[str, str]]]] = {
    # What is put in stands behind the last plain entry.
    "below the last plain entry": (
        *(BLOCK, adds("numpy>=2")),
        [("# a C library\n", "# a C library\n  - numpy>=2\n")],
    ),
    "several": (
        *(BLOCK, adds("scipy", "conda-forge::numpy=2.1", "cudatoolkit=12.*")),
        [("# a C library\n", "# a C library\n  - scipy\n  - conda-forge::numpy=2.1\n  - cudatoolkit=12.*\n")],
    ),
    "the same twice": (BLOCK, adds("numpy", "numpy>=2"), [("# a C library\n", "# a C library\n  - numpy>=2\n")]),
    "at column 0": (COLUMN_0, adds("scipy"), [("- numpy\n", "- numpy\n- scipy\n")]),
    "odd indentation": (ODD, adds("scipy"), [("# here\n", "# here\n       -    scipy\n")]),
    "before a list of pip's alone": (
        *("dependencies:\n  # ours\n  - pip:\n    - a\n", adds("python")),
        [("  - pip:", "  - python\n  - pip:")],
    ),
    "behind a block of lines": (
        *("dependencies:\n  - python\n  - >-\n    numpy\n    >=2\n\n# end\n", adds("scipy")),
        [("    >=2\n\n", "    >=2\n\n  - scipy\n")],
    ),
    "behind lines of one entry": (
        *("dependencies:\n  - numpy\n    >=2\n# end\n", adds("scipy")),
        [("    >=2\n", "    >=2\n  - scipy\n")],
    ),
    "in brackets": (FLOWS, adds("scipy>=1,<2"), [("pip]", 'pip, "scipy>=1,<2"]')]),
    "in brackets, before pip's": (FLOW, adds("scipy"), [("pip, {", "pip, scipy, {")]),
    "in brackets, pip's alone": (
        *("dependencies: [ {pip: [a]} ]\n", adds("python")),
        [("[ {", "[python,  {")],
    ),
    "in brackets of many lines": (LONG_FLOW, adds("scipy"), [("  pip      # last\n", "  pip,      # last\n  scipy\n")]),
    "in brackets of many lines that end with a comma": (
        *(LONG_FLOW.replace("pip ", "pip,"), adds("scipy")),
        [("# last\n", "# last\n  scipy,\n")],
    ),
    "in brackets with commas first": (COMMAS_FIRST, adds("scipy"), [(", pip", ", pip, scipy")]),
    "in empty brackets": ("dependencies: []  # none\n", adds("python"), [("[]", "[python]")]),
    "under a key that holds nothing": (
        *("channels:\n- x\ndependencies:  # none yet\n# end\n", adds("python")),
        [("# none yet\n", "# none yet\n- python\n")],
    ),
    "under a key that holds nothing, no other list": (
        *("dependencies:\nname: p\n", adds("python")),
        [("dependencies:\n", "dependencies:\n  - python\n")],
    ),
    "under an anchor that holds nothing": (
        *("dependencies: &d\nname: p\n", adds("python")),
        [("&d\n", "&d\n  - python\n")],
    ),
    "in the place of null": ("dependencies: ~  # no\n", adds("python", "pip"), [("~", "[python, pip]")]),
    "with the key": (
        *("name: p\nchannels:\n    - x\n# end\n", adds("python")),
        [("# end\n", "# end\ndependencies:\n    - python\n")],
    ),
    "with the key, indented": (
        *("  name: p\n", adds("python")),
        [("p\n", "p\n  dependencies:\n    - python\n")],
    ),
    "what YAML would read otherwise is quoted": (
        *(COLUMN_0, adds("no", "y", "blas[version='>=2', build=x]")),
        [("- numpy\n", "- numpy\n- \"no\"\n- y\n- blas[version='>=2', build=x]\n")],
    ),
    # A package that is declared gets the new spec in its line.
    "another version": (
        *(BLOCK, adds("python=3.12")),
        [("python >=3.11,<3.14 ", "python=3.12 ")],
    ),
    "another version in quotes": (BLOCK, adds("libhello=1.1"), [('"libhello >=1.0"', '"libhello=1.1"')]),
    "another version in single quotes": (ODD, adds("NumPy >=2"), [("'numpy'", "'NumPy >=2'")]),
    "another version in every line": (
        *("dependencies:\n  - numpy\n  - numpy >=1  # c\n", adds("numpy=2")),
        [("- numpy\n", "- numpy=2\n"), ("numpy >=1", "numpy=2")],
    ),
    "another version in brackets": (FLOWS, adds("numpy>=2,<3"), [("numpy", '"numpy>=2,<3"')]),
    "another version behind an anchor": (
        *(ANCHORS.replace("y: *p\n", ""), adds("python=3.12")),
        [("&p python >=3", "&p python=3.12")],
    ),
    "another version of an alias": (ANCHORS, adds("numpy>=2"), [("- *n", "- numpy>=2")]),
    "quotes in quotes": (
        *('dependencies: ["numpy"]\n', adds("numpy[version='>=2',build=\"x\"]")),
        [('"numpy"', "'numpy[version=''>=2'',build=\"x\"]'")],
    ),
    "a bare name that is declared": (BLOCK, adds("libhello", "LIBHELLO", "python"), []),
    "what stands there already": (BLOCK, adds("libhello >=1.0"), []),
    # What is taken out goes with its own comment.
    "a line": (BLOCK, removes("libhello"), [('  - "libhello >=1.0"  # a C library\n', "")]),
    "several lines": (
        *(BLOCK, removes("PIP", "python")),
        [("  - pip\n", ""), ("  - python >=3.11,<3.14   # as pyproject.toml has it\n", "")],
    ),
    "a line at column 0": (COLUMN_0, removes("numpy"), [("- numpy\n", "")]),
    "lines of one entry": (
        *("dependencies:\n  - numpy\n    >=2  # c\n  - pip\n", removes("numpy")),
        [("  - numpy\n    >=2  # c\n", "")],
    ),
    "a hyphen on a line of its own": (
        *("dependencies:\n  -\n    numpy\n  - pip\n", removes("numpy")),
        [("  -\n    numpy\n", "")],
    ),
    "every line of a name": (
        *("dependencies:\n  - numpy\n  - pip\n  - numpy >=1\n", removes("numpy")),
        [("  - numpy\n", ""), ("  - numpy >=1\n", "")],
    ),
    "the last line": (
        *("dependencies:  # c\n  # the interpreter\n  - python\nname: p\n", removes("python")),
        [("dependencies:", "dependencies: []"), ("  - python\n", "")],
    ),
    "the last line behind an anchor": (
        *("dependencies: &d  # c\n- python\n", removes("python")),
        [("&d", "&d []"), ("- python\n", "")],
    ),
    "the last line but pip's": (
        *("dependencies:\n- python\n- pip:\n  - a\n", removes("python")),
        [("- python\n", "")],
    ),
    "the first in brackets": (FLOWS, removes("python"), [("python, ", "")]),
    "the last in brackets": (FLOWS, removes("pip"), [(", pip", "")]),
    "all in brackets": (FLOWS, removes("pip", "python", "numpy"), [("python, numpy, pip", "")]),
    "twice in brackets": ("dependencies: [a, a >1, b]\n", removes("a"), [("a, a >1, ", "")]),
    "before pip's in brackets": (FLOW, removes("pip"), [("pip, {", "{")]),
    "behind pip's in brackets": ("dependencies: [{pip: [a, b]}, c]\n", removes("c"), [(", c", "")]),
    "a line in brackets": (LONG_FLOW, removes("numpy"), [("  numpy,   # arrays\n", "")]),
    "the last line in brackets": (LONG_FLOW, removes("pip"), [("  pip      # last\n", "")]),
    "the first with commas first": (
        *(COMMAS_FIRST, removes("python")),
        [("[ python\n  , ", "[ ")],
    ),
    "one with commas first": (COMMAS_FIRST, removes("numpy"), [("  , numpy\n", "  \n")]),
    "the last with commas first": (COMMAS_FIRST, removes("pip"), [(", pip", "")]),
    "an alias": (ANCHORS, removes("numpy"), [("  - *n\n", "")]),
    # The pins of pip's part.
    "a pin": (BLOCK, moves(cowsay="6.1"), [("cowsay==6.0", "cowsay==6.1")]),
    "a pin with extras and a marker": (
        *(BLOCK, moves(Rich="14.0.0rc1", cowsay="6.1")),
        [("cowsay==6.0", "cowsay==6.1"), ("==13.0 ", "==14.0.0rc1 ")],
    ),
    "a pin that stands already": (BLOCK, moves(cowsay="6.0", absent="1"), []),
    "a pin in brackets": (FLOW, moves(a="2"), [("a==1", "a==2")]),
    "no exact pin": (
        *("dependencies:\n- pip:\n  - a>=1\n  - a==1.*\n  - a==1,<2\n  - a\n  - a==1 --hash=sha256:0\n", moves(a="3")),
        [],
    ),
    "pins with spaces, underscores and quotes": (
        *(SPACED, partial(pip_moved, versions={"my-pkg": "2.0", "a": "2"})),
        [("==  1.0", "==  2.0"), ("a==1", "a==2")],
    ),
    "a pin of an alias": (
        *("x: &a a==1\ndependencies:\n- pip:\n  - *a\n", moves(a="2")),
        [("- *a", "- a==2")],
    ),
    "a pin behind an anchor": ("dependencies:\n- pip:\n  - &a a==1\n", moves(a="2"), [("a==1", "a==2")]),
    "pins of two parts": (
        *("dependencies:\n- pip:\n  - a==1\n- python\n- pip: [b==1]\n", moves(a="2", b="2")),
        [("a==1", "a==2"), ("b==1", "b==2")],
    ),
    # What is taken out of pip's part.
    "a line of pip's": (BLOCK, removes_pip("Cowsay"), [("      - cowsay==6.0   # a cow\n", "")]),
    "a line of pip's with extras": (
        *(BLOCK, removes_pip("rich")),
        [('      - rich[jupyter]==13.0 ; python_version < "3.12"\n', "")],
    ),
    "all of pip's": (COLUMN_0, removes_pip("a", "b"), [("- pip:\n  - a==1\n  - b\n", "")]),
    "all of pip's, its comments stay": (
        *("dependencies:\n  - pip\n  - pip:  # here\n    # a cow\n    - cowsay\n    # none\n", removes_pip("cowsay")),
        [("  - pip:  # here\n", ""), ("    - cowsay\n", "")],
    ),
    "all of pip's and all there is": (
        *("dependencies:\n  - pip:\n    - cowsay\nname: p\n", removes_pip("cowsay")),
        [("dependencies:\n  - pip:\n    - cowsay\n", "dependencies: []\n")],
    ),
    "all of pip's in brackets": (FLOW, removes_pip("a", "b"), [(", {pip: [a==1, b]}", "")]),
    "all of pip's in brackets on a line": (
        *("dependencies:\n  - pip\n  - pip: [a, b]  # c\n", removes_pip("a", "b")),
        [("  - pip: [a, b]  # c\n", "")],
    ),
    "all of pip's in braces on a line": (
        *("dependencies:\n  - {pip: [a]}\n  - pip\n", removes_pip("a")),
        [("  - {pip: [a]}\n", "")],
    ),
    "one of pip's in brackets": (FLOW, removes_pip("b"), [(", b]", "]")]),
}


def after(text: str, replacements: list[tuple[str, str]]) -> str:
    for old, new in replacements:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


@pytest.mark.parametrize("case", CASES)
def test_only_what_was_asked_for_changes(case: str) -> None:
    before, edit, replacements = CASES[case]
    assert edit(PATH, before) == after(before, replacements)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("ends", ["\r\n", "\r"])
def test_other_line_ends_stay(case: str, ends: str) -> None:
    before, edit, replacements = CASES[case]
    assert edit(PATH, before.replace("\n", ends)) == after(before, replacements).replace("\n", ends)


@pytest.mark.parametrize("case", CASES)
def test_a_byte_order_mark_stays(case: str) -> None:
    before, edit, replacements = CASES[case]
    assert edit(PATH, f"\ufeff{before}") == f"\ufeff{after(before, replacements)}"


@pytest.mark.parametrize("case", CASES)
def test_a_file_without_a_last_line_end_stays_one(case: str) -> None:
    before, edit, replacements = CASES[case]
    assert edit(PATH, before.removesuffix("\n")) == after(before, replacements).removesuffix("\n")


# Nothing can stand beside brackets, and the key is put at the end.
AMIDST = [case for case, (before, _, _) in CASES.items() if before[0] != "{" and not case.startswith("with the key")]


@pytest.mark.parametrize("case", AMIDST)
def test_what_stands_around_it_stays(case: str) -> None:
    before, edit, replacements = CASES[case]
    head, tail = "%YAML 1.1\n---\n#\t# é \U0001f40d\n\n", "\n\n\n# end"
    top = "  " if before.startswith("  ") else ""
    tail = f"{top}notes: |\n{top}  - not: [a list\n{tail}"
    if "dependencies" in before:
        assert edit(PATH, head + before + tail) == head + after(before, replacements) + tail


# --- in every layout -----------------------------------------------------------------------------------------------

INDENTS = ("", " ", "  ", "        ")
GAPS = (" ", "    ")
COMMENTS = ("", "   # c", " #")
QUOTES = ("", "'", '"')
LAYOUTS = list(itertools.product(INDENTS, GAPS, COMMENTS, QUOTES))


def laid_out(indent: str, gap: str, comment: str, quote: str, *, with_new: bool = False) -> str:
    lead = f"{indent}-{gap}"
    lines = [f"{lead}{quote}{word}{quote}{comment}" for word in ("python >=3.11", "pip", "libhello")]
    new = [f"{lead}numpy >=2"] if with_new else []
    # A list that belongs to a key stands deeper than the key.
    inner = " " * (len(lead) + 2)
    part = [f"{lead}pip:{comment}", f"{inner}- {quote}a==1{quote}{comment}"]
    return "\n".join(["# c", f"dependencies:{comment}", *lines, *new, *part, "", "name: C:\\x", ""])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_put_in_and_taken_out_again_leaves_no_trace(layout: tuple[str, str, str, str]) -> None:
    text = laid_out(*layout)
    more = added(PATH, text, ["numpy >=2"])
    assert more == laid_out(*layout, with_new=True)
    assert removed(PATH, more, ["numpy"]) == text
    quote = layout[-1]
    assert added(PATH, text, ["libhello=1.0"]) == text.replace(f"{quote}libhello{quote}", f"{quote}libhello=1.0{quote}")
    assert pip_moved(PATH, text, {"a": "1.1"}) == text.replace("a==1", "a==1.1")
    assert pip_removed(PATH, text, ["a"]).splitlines() == [
        line for line in text.splitlines() if "a==1" not in line and "pip:" not in line
    ]


@pytest.mark.parametrize("count", range(1, 5))
@pytest.mark.parametrize("style", ["[{}]", "[ {} ]", "[{},]", "[\n  {},\n]", "[\n  {}\n]", "[\n  {}]"])
def test_any_entry_can_go_from_brackets_and_all_of_them(style: str, count: int) -> None:
    names = ["a", "b", "c", "d"][:count]
    separator = ",\n  " if "\n" in style else ", "
    text = f"dependencies: {style.format(separator.join(names))}  # end\n"
    for order in itertools.permutations(names):
        left = text
        for name in order:
            left = removed(PATH, left, [name])
            assert left.endswith("  # end\n")
        assert refused(removes("a"), left) == "conda.yml does not declare a: nothing is declared there"
        assert added(PATH, left, ["a"]).endswith("  # end\n")


# --- what is refused -----------------------------------------------------------------------------------------------

BAD_SPECS = (
    *(
        "",
        " ",
        "-",
        "-c",
        "--name",
        "num\tpy",
        "numpy\n- evil",
        "numpy\x00",
        "numpy\x1b[2J",
        "numpy=>1",
        "numpy>=",
        "=1",
    ),
    *(
        "pip install",
        "bad spec with words",
        "numpy #c",
        "numpy: 1",
        "[a]",
        "numpy[extra]",
        "numpy==1; python_version<'4'",
    ),
    *("git+https://host/x.git", "./x.conda", "a/b.conda", "*", "numpy>=2,", "numpy,scipy", "conda-forge::", "::numpy"),
    *("numpy[version=]", "numpy[version='>=2'", "num py", "é"),
)
GOOD_SPECS = (
    *(
        "numpy",
        "NumPy",
        "_libgcc_mutex",
        "numpy>=2",
        "numpy >=2,<3",
        "numpy >= 2, < 3",
        "numpy=2.1",
        "numpy=2.1=py311*",
    ),
    *(
        "numpy 2.1 py311_0",
        "numpy==2.1",
        "numpy~=2.1",
        "numpy!=2.1",
        "numpy=2.*",
        "numpy 2.*",
        "numpy *",
        "scipy 3.11.*|3.12.*",
    ),
    *(
        "conda-forge::numpy",
        "conda-forge/linux-64::numpy=2",
        "https://host:8080/channel::numpy",
        "numpy[version='>=2,<3']",
    ),
    *(
        "numpy[version='>=2', build=py*]",
        "numpy=*=*_cuda",
        "openssl=1.1.1w",
        "ca-certificates=2024.8.30",
        "x.y=1!2.0+cu121",
    ),
)


OTHERS = ("_libgcc_mutex", "openssl", "ca-certificates", "x.y")


@pytest.mark.parametrize("spec", BAD_SPECS)
def test_what_conda_could_not_read_is_refused(spec: str) -> None:
    message = refused(adds("scipy", spec), BLOCK)
    assert message.endswith(
        '" is no package spec: write for example: numpy, "numpy >=2,<3", numpy=2.1, '
        '"numpy=2.1=py311*", conda-forge::numpy'
    )
    assert message.isprintable()


@pytest.mark.parametrize("spec", GOOD_SPECS)
@pytest.mark.parametrize(
    "text", [BLOCK, ODD, FLOWS, FLOW, LONG_FLOW.replace("pip ", "pip,"), "dependencies: []\n", "dependencies: &d\n"]
)
def test_what_conda_can_read_is_taken_in_any_layout(spec: str, text: str) -> None:
    (name,) = {each for each in ("numpy", "scipy", *OTHERS) if each in spec.lower()}
    bare = text.replace("'numpy'", "blas").replace("numpy", "blas")
    emptied = {bare, bare.replace("&d", "&d []")}
    assert removed(PATH, added(PATH, bare, [spec]), [name]) in emptied


def test_credentials_of_a_bad_spec_are_not_shown() -> None:
    message = refused(adds("https://me:s3cret@host/channel::numpy =>"), BLOCK)
    assert "s3cret" not in message


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            removes("libhelo"),
            "conda.yml does not declare libhelo: did you mean libhello? (one of: libhello, pip, python)",
        ),
        (removes("python", "cowsay"), "conda.yml does not declare cowsay: one of: libhello, pip"),
        (removes(""), "conda.yml does not declare : one of: libhello, pip, python"),
        (
            removes_pip("cowsey"),
            "pip's part of conda.yml does not name cowsey: did you mean cowsay? (one of: cowsay, rich)",
        ),
        (moves(cowsay="six # no"), "cowsay: 'six # no' is not a version: write it as 2.1"),
    ],
)
def test_wrong_words_are_refused_with_the_valid_choices(edit: Edit, message: str) -> None:
    assert refused(edit, BLOCK) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "conda.yml:1:1: the file must hold a mapping, not nothing: "),
        ("name: [\n", "conda.yml:2:1: expected the node content"),
        ("dependencies:\n  - 3\n", "conda.yml:2:5: dependencies must be a list of texts, not a number"),
        ("dependencies: a\n", "conda.yml:1:15: dependencies must be a list, not text"),
        ("<<<<<<< HEAD\nname: p\n", "conda.yml:1:1: a merge conflict is not resolved"),
    ],
)
@pytest.mark.parametrize("edit", [adds("a"), removes("a"), moves(a="1"), removes_pip("a")])
def test_a_broken_file_is_refused_where_it_is_broken(edit: Edit, text: str, message: str) -> None:
    assert refused(edit, text).startswith(message)


@pytest.mark.parametrize(
    ("edit", "text", "where", "what"),
    [
        (adds("a"), "x: &d [python]\ndependencies: *d\n", "conda.yml:2", "a"),
        (adds("a"), "{name: p}\n", "conda.yml:1", "a"),
        (adds("a"), "name: p\n...\n", "conda.yml", "a"),
        (adds("python=3"), "dependencies:\n  - |-\n    python\n", "conda.yml:2", "python=3"),
        (adds("python=3"), "dependencies:\n  - &p python\n  - *p\nname: *p\n", "conda.yml", "python=3"),
        (removes("python"), "dependencies:\n  - >-\n    python\n", "conda.yml:2", "python"),
        (removes("python"), "dependencies:\n  - &p python\nname: *p\n", "conda.yml", "python"),
        (removes_pip("a"), "dependencies:\n  - ? pip\n    : - a\n", "conda.yml:3", "a"),
        (moves(a="2"), "dependencies:\n- pip:\n  - |-\n    a==1\n", "conda.yml:3", "a==2"),
        (moves(a="2"), "dependencies:\n- pip:\n  - &a a==1\nname: *a\n", "conda.yml", "the pins of pip's part"),
    ],
)
def test_what_cannot_be_edited_is_left_to_a_person(edit: Edit, text: str, where: str, what: str) -> None:
    assert refused(edit, text) == (
        f"{where}: this is written in a way in which {what} cannot be changed: change it by hand"
    )


@pytest.mark.parametrize(
    ("item", "name"),
    [
        ("a", "a"),
        ("My_Pkg[x]>=1", "my-pkg"),
        ("a @ git+https://host/a", "a"),
        ("a ; python_version < '3'", "a"),
        ("-r requirements.txt", ""),
        ("-e .", ""),
        ("./a", ""),
        ("a/b.whl", ""),
        ("a.whl", "a-whl"),
        (r"C:\pkgs\a.whl", ""),
        ("https://host/a.whl", ""),
        ("git+https://host/a", ""),
        ("", ""),
    ],
)
def test_the_name_that_a_line_of_pips_starts_with(item: str, name: str) -> None:
    assert pip_name(item) == name
