"""Versions, ranges, places and conda's names: what `drift` compares with."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_lab.drift.conda_names import COUNTED, NAMES, NO_PYTHON, on_index
from mlops_lab.drift.graph import reached, tops
from mlops_lab.drift.places import Places, places, told
from mlops_lab.drift.versions import allows, meaning, meet
from mlops_lab.environment import same_version
from mlops_lab.manifests.markers import holds
from mlops_lab.manifests.pyproject import normalized


@pytest.mark.parametrize(
    ("specifier", "version", "answer"),
    [
        ("", "2.1", True),
        ("*", "2.1", True),
        (">=2", "2.1.0+cu121", True),
        ("==2.1.0", "2.1.0+cu121", True),
        ("==2.1.0+cpu", "2.1.0+cu121", False),
        ("==2.1.0+cu121", "2.1.0", False),
        ("==1.26.*", "1.26.4", True),
        ("<2", "2.0.0", False),
        (">=2,<3", "2.0.0rc1", False),
        (">=2.0.0rc1", "2.0.0rc2", True),
        ("<2 || >=3", "3.1", True),
        ("<2 || >=3", "2.5", False),
        ("===1.0-odd", "1.0-odd", True),
        ("===1.0", "1.0.0", False),
        (">=1!1.0", "2.0", False),
        (">=1!1.0", "1!2.0", True),
        ("what is this", "1.0", True),
        (">=1", "2004d", True),
    ],
)
def test_whether_a_range_allows_a_version(specifier: str, version: str, answer: bool) -> None:
    assert allows(specifier, version) is answer


@pytest.mark.parametrize(
    ("first", "second", "answer"),
    [
        ("", "<2", True),
        ("<2", ">=2", False),
        ("<2", ">=1.26", True),
        (">1.0,<1.1", ">=1.0.5", True),
        (">=1.5,<1.6", ">=1.6", False),
        ("==1.26.*", "==1.26.4", True),
        ("==1.26.*", ">=1.27", False),
        ("==1.26", "==1.26.0", True),
        ("==2.1.0", "==2.1.1", False),
        ("~=1.4", "<1.5", True),
        ("~=1.4.2", ">=1.5", False),
        ("<1 || >=3", ">=1,<3", False),
        ("<1 || >=3", ">=2,<4", True),
        ("===1.0", ">=2", False),
        ("!=1.5", "==1.5", False),
        (">=1!0", "<5", False),
        ("gibberish", "<2", True),
    ],
)
def test_whether_ranges_meet(first: str, second: str, answer: bool) -> None:
    assert meet(first, second) is answer
    assert meet(second, first) is answer


_NUMBERS = st.lists(st.integers(0, 4), min_size=1, max_size=3).map(lambda parts: ".".join(map(str, parts)))
_CLAUSES = st.builds(
    lambda sign, number: f"{sign}{number}", st.sampled_from([">=", "<", "==", "!=", "<=", ">"]), _NUMBERS
)
_RANGES = st.lists(_CLAUSES, min_size=1, max_size=3).map(",".join)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(first=_RANGES, second=_RANGES, version=_NUMBERS)
def test_what_one_version_satisfies_meets(first: str, second: str, version: str) -> None:
    if allows(first, version) and allows(second, version):
        assert meet(first, second)


def test_versions_and_ranges_in_another_spelling_are_the_same() -> None:
    assert same_version("1.0", "1.0.0")
    assert not same_version("1.0", "1.0.1")
    assert not same_version("2.1.0", "2.1.0+cu121")
    assert meaning(">=1.0, <2") == meaning("<2.0,>=1")
    assert meaning("==1.0.*") != meaning("==1.*")
    assert meaning(">=1") != meaning(">1")
    assert meaning("no range") == "norange"


def test_the_places_are_those_that_the_project_supports() -> None:
    some = places([">=3.11", "<3.13"], [])
    assert [place.name for place in some.every] == [
        f"{python} on {platform}" for python in ("3.11", "3.12") for platform in ("linux", "darwin", "win32")
    ]


def test_a_marker_can_make_more_places() -> None:
    patches = places(["==3.11.*"], ["python_full_version < '3.11.4'"])
    assert {place.python for place in patches.every} == {"3.11", "3.11.4", "3.11.5"}
    machines = places(["==3.11.*"], ["platform_machine == 'aarch64'"])
    assert "3.11 on linux aarch64" in {place.name for place in machines.every}


def test_places_can_be_limited() -> None:
    limited = places(["==3.12.*"], [], ["sys_platform == 'linux'"])
    assert [place.name for place in limited.every] == ["3.12 on linux"]
    # A limit that leaves nothing out of nothing would hide every finding.
    assert places(["==3.12.*"], [], ["python_version < '3'"]).every


@pytest.mark.parametrize(
    ("marker", "extras"),
    [
        ("python_version < '3.12'", ()),
        ("sys_platform == 'win32' and python_version >= '3.12'", ()),
        ("os_name == 'nt' or platform_system == 'Darwin'", ()),
        ("platform_machine != 'x86_64'", ()),
        ("implementation_name == 'cpython'", ()),
        ("'linux' in sys_platform", ()),
    ],
)
def test_a_remembered_marker_says_what_the_marker_says(marker: str, extras: tuple[str, ...]) -> None:
    some = places([">=3.11", "<3.14"], ["platform_machine"])
    for _ in range(2):
        assert [some.holds(marker, place, extras) for place in some.every] == [
            holds(marker, place.variables) for place in some.every
        ]


def test_extras_of_a_marker_are_decided() -> None:
    some = places(["==3.12.*"], [])
    place = some.every[0]
    assert some.holds("extra == 'plot'", place, ["plot"])
    assert not some.holds("extra == 'plot'", place)
    assert some.holds("no marker at all", place)


def test_places_that_no_marker_tells_apart_are_looked_at_once() -> None:
    some = places([">=3.11", "<3.14"], [])
    groups = some.alike(["python_version < '3.12'", "extra == 'plot' and sys_platform == 'win32'"])
    assert sorted(len(group) for group in groups) == [1, 2, 2, 4]
    assert len(some.alike([])) == 1


def test_places_are_told_in_few_words() -> None:
    some = places([">=3.11", "<3.14"], [])
    by_name = {place.name: place for place in some.every}
    assert told(some, some.every) == ()
    assert told(some, [place for place in some.every if place.platform == "win32"]) == ("win32",)
    assert told(some, [place for place in some.every if place.python in {"3.11", "3.12"}]) == ("3.11", "3.12")
    assert told(some, [by_name["3.11 on linux"], by_name["3.12 on win32"]]) == ("3.11 on linux", "3.12 on win32")
    assert told(Places([]), []) == ()


@pytest.mark.parametrize(
    ("conda", "index"),
    [
        ("pytorch", "torch"),
        ("pytorch_geometric", "torch-geometric"),
        ("matplotlib-base", "matplotlib"),
        ("msgpack-python", "msgpack"),
        ("python-graphviz", "graphviz"),
        ("graphviz", ""),
        ("redis", ""),
        ("redis-py", "redis"),
        ("zstd", ""),
        ("cmake", ""),
        ("nodejs", ""),
        ("cudatoolkit", ""),
        ("mkl", ""),
        ("_libgcc_mutex", ""),
        ("r-ggplot2", ""),
        ("gxx_linux-64", ""),
        ("NumPy", "numpy"),
        ("ruamel.yaml", "ruamel-yaml"),
        ("my-torch", "torch"),
        ("our-tools", ""),
    ],
)
def test_what_conda_calls_otherwise(conda: str, index: str) -> None:
    assert on_index(conda, {"my-torch": "torch", "our-tools": ""}) == index


def test_the_table_of_names_is_sound() -> None:
    assert len(NAMES) + len(NO_PYTHON) >= 100
    assert not NAMES.keys() & NO_PYTHON
    assert all(normalized(name) == name for name in (*NAMES, *NAMES.values(), *COUNTED))
    assert all(normalized(name) == name or name == "python.app" for name in NO_PYTHON)
    assert not [name for name, index in NAMES.items() if name == index], "what is the same needs no entry"


def test_what_came_with_another_package_is_no_top() -> None:
    requires = {"pandas": {"numpy", "dateutil"}, "dateutil": {"six"}, "one": {"other"}, "other": {"one"}}
    assert tops({"pandas", "numpy", "dateutil", "six"}, requires) == ["pandas"]
    assert tops({"six", "numpy"}, requires) == ["numpy", "six"]
    assert tops({"one", "other"}, requires) == ["one"]
    assert reached(["pandas"], requires) == {"pandas", "numpy", "dateutil", "six"}
