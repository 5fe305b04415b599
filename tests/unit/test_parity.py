"""Inventories compared: every class and verdict, whose choice a difference is, and the certificate of it all."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_lab import certificate, inventories, project, verifying
from mlops_lab.errors import FOUND, WRONG, LabError
from mlops_lab.inventories import CondaPackage, Inventory, Package, Platform
from mlops_lab.parity import Comparison, compare, labelled
from mlops_lab.parity.here import Here
from mlops_lab.parity.telling import told
from mlops_lab.report import findings as report
from mlops_lab.report import parity as tables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlops_lab.findings import Finding, Findings

LINUX = Platform("linux", "x86_64", "glibc 2.36", "linux-x86_64")
WINDOWS = Platform("win32", "AMD64", "", "win-amd64")
INPUTS = {"poetry.lock": "1" * 64, "pyproject.toml": "2" * 64}


def wheel(version: str = "1.0", **changes: Any) -> Package:
    usual = Package(version, "lock", "", "uv", "index", "wheel", "py3-none-any", f"{version:0<64}", 3)
    return dataclasses.replace(usual, **changes)


USUAL = {
    "a": wheel(),
    "b": wheel("2.0"),
    "p": wheel("1", owner="project", source="editable", built="sdist", content=""),
    "pip": wheel("26.0", owner="seed", built=""),
}


def made(hybrid: str = "venv+uv", changes: Mapping[str, Package | None] | None = None, **fields: Any) -> Inventory:
    packages = {name: each for name, each in {**USUAL, **(changes or {})}.items() if each is not None}
    usual = Inventory(hybrid, "3.12.1", LINUX, packages, groups=("dev",), inputs=INPUTS, origin=Path(hybrid))
    return dataclasses.replace(usual, **fields)


def compared(*there: Inventory, gives: Callable[[Inventory], Mapping[str, str] | None] = lambda _: None) -> Comparison:
    return compare(labelled(there, Path.cwd()), gives)


def findings(*there: Inventory, here: Here | None = None) -> list[Finding]:
    here = here or Here()
    return list(told(compared(*there, gives=here.gives), here).findings)


def brief(*there: Inventory) -> list[tuple[str, str, str]]:
    return [(each.severity, each.kind, each.package) for each in findings(*there)]


# --- verdicts ------------------------------------------------------------------------------------------------------


def test_the_same_everywhere_is_identical() -> None:
    comparison = compared(made(), made("pip+uv"), made("venv+poetry"))
    assert comparison.verdict == "identical"
    assert [(pair.first, pair.second, pair.verdict) for pair in comparison.pairs] == [
        ("venv+uv", "pip+uv", "identical"),
        ("venv+uv", "venv+poetry", "identical"),
        ("pip+uv", "venv+poetry", "identical"),
    ]
    assert comparison.classes == {"p": "project", "pip": "seed"}
    assert told(comparison).findings == []


def test_other_files_of_the_same_version_are_equivalent_and_named() -> None:
    one = made(paths={"a": {"a/x.py": "1", "a/y.py": "2", "a/z.py": "3"}})
    other = made("pip+uv", {"a": wheel(content="f" * 64)}, paths={"a": {"a/x.py": "9", "a/y.py": "2", "a/new.py": "3"}})
    assert compared(one, other).verdict == "equivalent"
    (finding,) = findings(one, other, made("venv+poetry"))
    assert (finding.kind, finding.package, finding.severity) == ("content", "a", "warning")
    assert finding.why == "it is 1.0 everywhere, and its files are not the same: a/new.py, a/x.py and a/z.py"
    assert [str(source) for source in finding.sources] == [
        f"venv+uv, venv+poetry: a 1.0 {'1.0' + '0' * 9}",
        f"pip+uv: a 1.0 {'f' * 12}",
    ]


def test_another_version_diverges_and_the_worst_pair_counts() -> None:
    comparison = compared(made(), made("pip+uv"), made("venv+poetry", {"a": wheel("1.1")}))
    assert comparison.verdict == "divergent"
    assert [pair.verdict for pair in comparison.pairs] == ["identical", "divergent", "divergent"]
    assert comparison.divergent == ["a"]


def test_one_package_is_one_finding_however_many_there_are() -> None:
    there = [made(), made("pip+uv"), made("venv+poetry", {"a": wheel("1.1")}), made("pip+poetry", {"a": None})]
    (finding,) = findings(*there)
    assert (finding.kind, finding.severity) == ("version", "error")
    assert finding.why.startswith("1.0 in venv+uv and pip+uv, 1.1 in venv+poetry, none in pip+poetry: ")
    assert [source.path for source in finding.sources] == ["venv+uv, pip+uv", "venv+poetry", "pip+poetry"]


def test_a_version_that_is_written_otherwise_is_the_same() -> None:
    assert compared(made(), made("pip+uv", {"a": wheel("1.0.0", content=USUAL["a"].content)})).verdict == "identical"
    assert compared(made(), made("pip+uv", {"a": wheel("1.0+cpu")})).verdict == "divergent"


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_are_refused(count: int) -> None:
    with pytest.raises(
        LabError, match=r"^parity needs two inventories, and (none|only that of venv\+uv) is here: "
    ) as caught:
        compared(*[made()][:count])
    assert caught.value.code == WRONG


# --- classes -------------------------------------------------------------------------------------------------------

CONDA = {"openssl": CondaPackage("3.3", "h1", "conda-forge"), "python": CondaPackage("3.12.1", "h2", "conda-forge")}


@pytest.mark.parametrize(
    ("package", "other", "grouped"),
    [
        pytest.param(wheel(owner="project"), wheel("2.0", owner="project"), "project", id="the project itself"),
        pytest.param(wheel(owner="project"), None, "project", id="the project where it is no package"),
        pytest.param(wheel(owner="seed"), wheel("2.0", owner="seed"), "seed", id="another build tool"),
        pytest.param(wheel(owner="seed"), None, "seed", id="no build tool"),
        pytest.param(wheel(built="sdist"), wheel(built="sdist", content="f" * 64), "sdist", id="built on each machine"),
        pytest.param(wheel(owner="conda"), None, "conda", id="conda's own"),
        pytest.param(wheel(owner="conda"), wheel(content="f" * 64), "conda", id="conda's at the lock's version"),
    ],
)
def test_what_is_put_into_a_class_does_not_count(package: Package, other: Package | None, grouped: str) -> None:
    comparison = compared(made("conda+uv", {"x": package}, conda=CONDA), made("venv+uv", {"x": other}))
    assert (comparison.verdict, comparison.classes["x"]) == ("identical", grouped)
    assert told(comparison).findings == []
    facts: Any = told(comparison).facts
    assert facts["classes"][grouped].count("x") == 1


def test_a_version_counts_although_it_was_built_on_each_machine() -> None:
    one, other = made(changes={"x": wheel(built="sdist")}), made("pip+uv", {"x": wheel("2.0", built="sdist")})
    assert compared(one, other).verdict == "divergent"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"platform": WINDOWS}, id="platform"),
        pytest.param({"python": "3.13.0"}, id="python"),
        pytest.param({"python": "3.12.1 ", "implementation": "pypy"}, id="implementation"),
    ],
)
def test_what_the_lock_gives_to_one_place_alone_does_not_count(changes: dict[str, Any]) -> None:
    one, other = made(changes={"x": wheel()}), made("pip+uv", {"a": wheel("1.1")}, **changes)
    comparison = compared(one, other)
    assert (comparison.verdict, comparison.classes["x"], comparison.classes["a"]) == ("equivalent", "place", "place")
    (note,) = told(comparison).findings
    assert (note.severity, note.kind) == ("note", next(iter(changes)))


def test_the_lock_at_hand_is_asked_whether_it_says_so() -> None:
    one, other = made(changes={"x": wheel()}), made("pip+uv", platform=WINDOWS)
    gives = {"linux": {"x": "1.0"}, "win32": {"x": "1.0"}}
    comparison = compared(one, other, gives=lambda each: gives[each.platform.sys_platform])
    assert (comparison.verdict, comparison.divergent) == ("divergent", ["x"])
    gives["win32"] = {}
    assert compared(one, other, gives=lambda each: gives[each.platform.sys_platform]).verdict == "equivalent"


def test_another_wheel_for_another_platform_does_not_count() -> None:
    other = made("pip+uv", {"a": wheel(tags="cp312-cp312-win_amd64", content="f" * 64)}, platform=WINDOWS)
    assert (compared(made(), other).verdict, brief(made(), other)) == ("equivalent", [("note", "platform", "")])
    edited = made("pip+uv", {"a": wheel(content="f" * 64)}, platform=WINDOWS)
    assert ("warning", "content", "a") in brief(made(), edited)


def test_another_wheel_on_the_same_platform_is_told() -> None:
    (finding,) = findings(made(), made("pip+uv", {"a": wheel(tags="cp312-cp312-linux_x86_64", content="f" * 64)}))
    assert finding.why == "it is 1.0 everywhere, and its files are not the same: they are other wheels of it"


def test_another_patch_of_python_is_no_other_place() -> None:
    one, other = made(), made("pip+uv", {"a": wheel("1.1")}, python="3.12.9")
    assert brief(one, other) == [("error", "version", "a"), ("note", "python", "")]


def test_condas_packages_are_compared_with_each_other() -> None:
    newer = {**CONDA, "openssl": CondaPackage("3.4", "h1", "conda-forge")}
    built = {**CONDA, "openssl": CondaPackage("3.3", "h9", "conda-forge")}
    one, other = made("conda+uv", conda=CONDA), made("conda+poetry", conda=newer)
    assert brief(one, other, made()) == [("error", "conda", "openssl")]
    assert compared(one, other).verdict == "divergent"
    assert brief(one, made("conda+poetry", conda=built)) == [("warning", "build", "openssl")]
    assert compared(one, made("conda+poetry", conda=built)).verdict == "equivalent"
    assert brief(one, made("conda+poetry", conda=newer, platform=WINDOWS)) == [("note", "platform", "")]


# --- whose choice --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("other", "kind", "why"),
    [
        pytest.param(
            made("pip+uv", {"a": wheel("1.1", owner="other", locked="1.0")}),
            "version",
            "1.0 in venv+uv, 1.1 in pip+uv: it was installed behind the lock's back in pip+uv",
            id="installed behind the back in its place",
        ),
        pytest.param(
            made("pip+uv", {"a": wheel(), "x": wheel(owner="other")}),
            "absent",
            "none in venv+uv, 1.0 in pip+uv: it was installed behind the lock's back in pip+uv",
            id="installed behind the back",
        ),
        pytest.param(
            made("pip+uv", {"a": None}, missing={"a": "1.0"}),
            "absent",
            "1.0 in venv+uv, none in pip+uv: the lock gives it to pip+uv, where it is not installed",
            id="not installed",
        ),
        pytest.param(
            made("conda+uv", {"a": wheel("0.9", owner="conda")}, conda=CONDA),
            "version",
            "1.0 in venv+uv, 0.9 in conda+uv: conda chose it from conda.yml for conda+uv",
            id="conda's",
        ),
        pytest.param(
            made("pip+poetry", {"a": wheel("1.1")}),
            "version",
            "1.0 in venv+uv, 1.1 in pip+poetry: the locks of poetry and uv do not agree",
            id="two locks",
        ),
        pytest.param(
            made("pip+uv", {"a": wheel("1.1")}),
            "version",
            "1.0 in venv+uv, 1.1 in pip+uv: the locks of uv do not agree",
            id="a lock that moved",
        ),
    ],
)
def test_whose_choice_a_difference_is(other: Inventory, kind: str, why: str) -> None:
    found = findings(made(), other)
    assert [(each.severity, each.kind, each.why) for each in found] == [("error", kind, why)]
    assert found[0].command or found[0].otherwise


def test_other_input_files_are_named_at_once_and_as_the_reason() -> None:
    other = made("pip+uv", {"a": wheel("1.1")}, inputs={**INPUTS, "poetry.lock": "9" * 64})
    version, inputs = findings(made(), other)
    assert version.why == "1.0 in venv+uv, 1.1 in pip+uv: they were made from another poetry.lock"
    assert (inputs.kind, inputs.severity, inputs.why.split(":")[0]) == (
        "inputs",
        "warning",
        "they were made from another poetry.lock each",
    )
    assert [source.said for source in inputs.sources] == ["poetry.lock 111111111111", "poetry.lock 999999999999"]


def test_a_file_that_is_only_in_one_of_them_is_another_input() -> None:
    other = made("pip+uv", inputs={**INPUTS, "conda.yml": "3" * 64})
    assert brief(made(), other) == [("warning", "inputs", "")]
    assert compared(made(), other).verdict == "identical"


def test_a_derived_file_may_be_written_otherwise() -> None:
    one = made(inputs={**INPUTS, "uv.lock": "3" * 64}, derived=("uv.lock",))
    other = made("pip+uv", inputs={**INPUTS, "uv.lock": "4" * 64}, derived=("uv.lock",))
    assert brief(one, other, made("venv+poetry")) == []


def test_a_file_that_has_changed_since_is_told() -> None:
    one = made(inputs={**INPUTS, "poetry.lock": ""})
    (finding,) = findings(one, made("pip+uv"), here=Here(environment=one.origin))
    assert finding.why == "poetry.lock has changed since venv+uv was made from it"
    assert finding.command == "invoke install"


def test_other_groups_are_one_finding_for_all_that_they_bring() -> None:
    more = {f"x{number}": wheel() for number in range(9)}
    (finding,) = findings(made(changes=more, groups=("dev", "lab")), made("pip+uv"))
    assert (finding.severity, finding.kind) == ("error", "groups")
    assert finding.why == "other groups were asked for, so x0, x1, x2, x3, x4 and 4 more are not in all of them"
    assert compared(made(changes=more, groups=("dev", "lab")), made("pip+uv")).verdict == "divergent"
    assert brief(made(groups=()), made("pip+uv")) == [("warning", "groups", "")]


def test_the_same_version_from_elsewhere_is_told() -> None:
    other = made("pip+uv", {"a": wheel(source="wheel", content="f" * 64)})
    assert brief(made(), other) == [("warning", "source", "a")]
    built = made("pip+uv", {"a": wheel(source="folder", built="sdist", content="f" * 64)})
    (finding,) = findings(made(), built)
    assert finding.why == "it is 1.0 everywhere, and came from elsewhere than the index in pip+uv"
    assert compared(made(), built).verdict == "equivalent"


def first_form(inventory: Inventory) -> Inventory:
    packages = {name: Package(each.version) for name, each in inventory.packages.items()}
    return dataclasses.replace(inventory, packages=packages, inputs={}, groups=(), form=1)


def test_of_the_first_form_only_versions_are_known() -> None:
    one, other = made(), first_form(made("pip+uv"))
    assert compared(one, other).verdict == "equivalent"
    (finding,) = findings(one, other)
    assert (finding.severity, finding.kind) == ("note", "unrecorded")
    assert finding.why == "nobody knows what the files of a and b hold, so only versions are compared"
    moved = first_form(made("pip+uv", {"a": wheel("1.1"), "b": None}))
    assert [each[1:] for each in brief(one, moved) if each[0] == "error"] == [("version", "a"), ("absent", "b")]
    assert compared(one, dataclasses.replace(moved, platform=WINDOWS)).divergent == ["a"]


def test_an_inventory_that_knows_no_contents_hides_no_difference_of_others() -> None:
    edited = made("pip+uv", {"a": wheel(content="f" * 64)})
    assert brief(made(), edited, first_form(made("venv+poetry"))) == [
        ("warning", "content", "a"),
        ("note", "unrecorded", ""),
    ]


def test_no_version_is_not_the_same_as_no_package() -> None:
    nameless = made("pip+uv", {"x": wheel("", owner="other")})
    (finding,) = findings(made(), nameless)
    assert finding.why.startswith("none in venv+uv, no version in pip+uv: ")
    (finding,) = findings(made(changes={"x": wheel()}), nameless)
    assert finding.why.startswith("1.0 in venv+uv, no version in pip+uv: ")


def test_what_an_environment_was_made_from_may_be_unknown() -> None:
    one, other = made(), made("pip+uv", {"a": wheel("1.1", owner="")}, inputs={}, derived=())
    version, note = findings(one, other)
    assert version.why.endswith(": the inventories do not say whose choice that is")
    assert (note.severity, note.kind, note.why) == (
        "note",
        "inputs",
        "nobody knows which files pip+uv was made from",
    )


# --- the project at hand -------------------------------------------------------------------------------------------

LOCK = """\
[[package]]
name = "A"
version = "1.0"
optional = false
groups = ["main"]
markers = "sys_platform == 'linux'"
files = []

[[package]]
name = "b"
version = "2.0"
optional = false
groups = ["dev"]
files = []

[metadata]
lock-version = "2.1"
python-versions = "*"
content-hash = "0"
"""


@pytest.fixture
def here(tmp_path: Path) -> Here:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "p"\nversion = "1"\n', encoding="utf-8")
    (tmp_path / "poetry.lock").write_text(LOCK, encoding="utf-8")
    (tmp_path / "conda.yml").write_text("name: p\ndependencies:\n  - python\n  - a <1\n", encoding="utf-8")
    return Here(project.find(tmp_path))


def of_here(here: Here, inventory: Inventory) -> Inventory:
    assert here.project is not None
    return dataclasses.replace(inventory, inputs=inventories.inputs_of({"poetry.lock": here.project.lock("poetry")}))


def test_the_lock_gives_each_place_its_own_packages(here: Here) -> None:
    assert here.gives(of_here(here, made())) == {"a": "1.0", "b": "2.0"}
    assert here.gives(of_here(here, made(platform=WINDOWS, groups=()))) == {}
    assert here.gives(made()) is None
    assert here.gives(of_here(here, made(platform=Platform("haiku")))) is None
    assert Here().gives(made()) is None


def test_the_lines_of_lock_and_conda_yml_are_named(here: Here) -> None:
    other = made("conda+uv", {"a": wheel("0.9", owner="conda")}, conda=CONDA)
    (finding,) = findings(made(), other, here=here)
    assert [str(source) for source in finding.sources] == [
        "poetry.lock:3: a 1.0",
        "conda.yml:4: a <1",
        "venv+uv: a 1.0",
        "conda+uv: a 0.9, conda's",
    ]


def test_the_environment_of_the_project_is_mended_by_a_command(here: Here) -> None:
    odd = made("pip+uv", {"a": wheel("1.1", owner="other", locked="1.0")})
    (finding,) = findings(made(), odd, here=dataclasses.replace(here, environment=odd.origin))
    assert finding.command == "invoke install"
    assert finding.sources[-1].said == "a 1.1, and its lock has 1.0"


# --- labels --------------------------------------------------------------------------------------------------------


def test_labels_tell_the_inventories_apart_and_name_no_folder_of_the_machine(tmp_path: Path) -> None:
    there = [
        made(origin=tmp_path / "w" / "mine" / "inventory.json"),
        made(origin=Path("/somewhere/else/theirs/inventory.json")),
        made(origin=Path("/somewhere/more/theirs/inventory.json")),
        made("pip+uv", origin=tmp_path / "x.json"),
        made("pip+uv", origin=tmp_path / "y.json", platform=WINDOWS),
        made("pip+uv", origin=tmp_path / "x.json"),
    ]
    assert list(labelled(there, tmp_path / "w")) == [
        "venv+uv (mine/inventory.json)",
        "venv+uv (theirs/inventory.json)",
        "venv+uv (theirs/inventory.json) #2",
        "pip+uv (3.12.1 on linux x86_64)",
        "pip+uv (3.12.1 on win32 AMD64)",
    ]


def test_no_inventory_takes_the_label_of_another_and_none_counts_twice(tmp_path: Path) -> None:
    real = tmp_path / "real.json"
    real.touch()
    (tmp_path / "link.json").symlink_to(real)
    there = [
        made("a", origin=Path("/x/s/i.json")),
        made("a (s/i.json) #2", origin=real),
        made("a", origin=Path("/y/s/i.json")),
        made("a (s/i.json) #2", origin=tmp_path / "link.json"),
        made("a (s/i.json) #2", origin=tmp_path / "sub" / ".." / "real.json", python="", platform=Platform()),
    ]
    assert list(labelled(there, tmp_path)) == ["a (s/i.json)", "a (s/i.json) #2", "a (s/i.json) #3"]
    nowhere = [made("b", origin=Path("/p")), made("b", origin=Path("/q"), python="", platform=Platform())]
    assert list(labelled(nowhere, tmp_path)) == ["b (3.12.1 on linux x86_64)", "b (? on ?)"]


# --- reports -------------------------------------------------------------------------------------------------------


def test_the_findings_and_the_table_are_in_every_form() -> None:
    comparison = compared(made(), made("pip+uv", {"a": wheel("1.1")}), made("venv+poetry"))
    found = told(comparison, subject="/p")
    jsonschema.validate(json.loads(report.as_json(found)), report.schema())
    facts: Any = found.facts
    assert facts["verdict"] == "divergent"
    assert facts["pairs"][0] == {
        "first": "venv+uv",
        "second": "pip+uv",
        "verdict": "divergent",
        "divergent": ["a"],
    }
    text = tables.markdown(comparison)
    assert "| package | venv+uv | pip+uv | venv+poetry |\n| --- | --- | --- | --- |\n| a | 1.0 | 1.1 | 1.0 |" in text
    assert tables.lines(comparison)[0] == "divergent: 3 environments, 4 packages; not the same versions"
    assert "  identical  venv+uv and venv+poetry" in tables.lines(comparison)


# A matrix of many machines: all of it cannot be shown.
MANY = [made(f"venv+uv-{number}", {"a": wheel("1.0" if number else "9.0")}) for number in range(20)]


def test_of_many_pairs_their_number_is_shown_and_the_first_that_diverge() -> None:
    first, *rest = (line for line in tables.lines(compared(*MANY)) if not line.endswith(("itself", "begins with")))
    assert first == "divergent: 20 environments, 4 packages; not the same versions"
    assert rest[:3] == [
        "  identical  171 of 190 pairs",
        "  divergent  19 of 190 pairs",
        "  divergent  venv+uv-0 and venv+uv-1",
    ]
    assert rest[-1] == "  divergent  7 more"


def test_of_many_environments_those_that_are_alike_share_a_column() -> None:
    text = tables.markdown(compared(*MANY))
    assert "| package | venv+uv-0 | venv+uv-1, venv+uv-2, venv+uv-3, 16 more |\n" in text
    assert "| a | 9.0 | 1.0 |\n" in text


def test_of_many_environments_a_finding_names_the_first() -> None:
    (finding,) = findings(*MANY)
    assert finding.sources[0].path.endswith("venv+uv-6, 13 more")
    assert finding.why.startswith("1.0 in venv+uv-1, venv+uv-2, ")
    assert "and 13 more, 9.0 in venv+uv-0: " in finding.why
    ends = report.markdown(told(compared(*MANY), Here())).splitlines()[-1]
    assert ends.count("venv") == 12
    assert ends.rstrip().endswith(", 8 more")


def test_what_an_inventory_says_is_no_markup() -> None:
    text = tables.markdown(compared(made("<b>|[x](y)"), made("pip+uv", {"a": wheel("|<i>")})))
    assert "| package | \\<b\\>\\|\\[x\\](y) | pip+uv |" in text
    assert "| a | 1.0 | \\|\\<i\\> |" in text


def test_the_table_shows_which_contents_differ(capsys: pytest.CaptureFixture[str]) -> None:
    from mlops_lab.report.pages import show_page

    show_page(tables.page(compared(made(), made("pip+uv", {"a": wheel(content="f" * 64)}))))
    shown = capsys.readouterr().out
    assert "equivalent: 2 environments, 4 packages; the same versions, as far as the lock means them to be" in shown
    assert "1.0 1.000000" in shown
    assert "1.0 ffffffff" in shown


# --- the certificate -----------------------------------------------------------------------------------------------


def certified(tmp_path: Path, *there: Inventory) -> Path:
    path = tmp_path / "parity.json"
    certificate.write(compared(*there), path)
    return path


def verified(path: Path, *there: Inventory, now: Mapping[str, str] | None = None) -> Findings:
    known = certificate.read(path)
    return verifying.verify(known, there, INPUTS if now is None else now, name="parity.json", subject="/p")


def test_a_certificate_is_as_its_schema_has_it_and_equal_for_equal_comparisons(tmp_path: Path) -> None:
    there = (made(), made("pip+uv", {"a": wheel("1.1")}))
    path = certified(tmp_path, *there)
    first = path.read_bytes()
    jsonschema.validate(json.loads(first), certificate.schema())
    assert certified(tmp_path, *there).read_bytes() == first
    content = json.loads(first)
    assert content["packages"]["a"] == [
        {"version": "1.0", "content": USUAL["a"].content, "in": ["venv+uv"]},
        {"version": "1.1", "content": wheel("1.1").content, "in": ["pip+uv"]},
    ]
    assert content["inputs"]["poetry.lock"] == {"1" * 64: ["venv+uv", "pip+uv"]}
    assert content["verdict"] == "divergent"
    assert list(tmp_path.iterdir()) == [path]


def test_what_has_not_changed_is_verified(tmp_path: Path) -> None:
    path = certified(tmp_path, made(), made("pip+uv"))
    found = verified(path, made(), made("pip+uv"))
    assert (found.findings, found.facts["verified"]) == ([], ["pip+uv", "venv+uv"])


def test_each_thing_that_has_changed_is_a_line_of_its_own(tmp_path: Path) -> None:
    path = certified(tmp_path, made(changes={"x": wheel()}), made("pip+uv", {"x": wheel()}))
    now = made(changes={"a": wheel("1.1"), "b": wheel("2.0", content="f" * 64), "new": wheel()}, python="3.12.2")
    found = verified(path, now, now=INPUTS | {"pyproject.toml": "8" * 64})
    assert [(each.kind, each.package, each.why) for each in found.findings] == [
        ("inputs", "", "pyproject.toml has changed since, so the certificate speaks of other files"),
        ("python", "", "venv+uv has another Python now"),
        ("version", "a", "a was 1.0 in venv+uv, and is 1.1 now"),
        ("content", "b", "b 2.0 in venv+uv has other files than at that time"),
        ("absent", "new", "new was absent in venv+uv, and is 1.0 now"),
        ("absent", "x", "x was 1.0 in venv+uv, and is absent now"),
        ("unverified", "", "no inventory of pip+uv is here, so nobody knows whether it still says the same"),
    ]
    assert found.errors == 6
    gone = verified(path, made(changes={"x": wheel()}), now={})
    assert [each.why.split(",")[0] for each in gone.findings if each.kind == "inputs"] == [
        "poetry.lock is gone",
        "pyproject.toml is gone",
    ]


def test_what_is_built_on_each_machine_may_have_other_files_later(tmp_path: Path) -> None:
    path = certified(tmp_path, made(changes={"a": wheel(built="sdist")}), made("pip+uv", {"a": wheel(built="sdist")}))
    assert (
        verified(
            path,
            made(changes={"a": wheel(built="sdist", content="f" * 64)}),
            made("pip+uv", {"a": wheel(built="sdist")}),
        ).errors
        == 0
    )


def test_condas_packages_are_certified_too(tmp_path: Path) -> None:
    newer = {**CONDA, "openssl": CondaPackage("3.4", "h1", "conda-forge"), "zlib": CondaPackage("1.3", "h0")}
    both = made("conda+uv", conda=CONDA), made("conda+poetry", conda=CONDA)
    path = certified(tmp_path, *both)
    assert json.loads(path.read_text("utf-8"))["conda"]["openssl"] == [
        {"version": "3.3", "build": "h1", "in": ["conda+uv", "conda+poetry"]}
    ]
    assert verified(path, *both).findings == []
    assert [(each.kind, each.why) for each in verified(path, made("conda+uv", conda=newer), both[1]).findings] == [
        ("conda", "openssl was 3.3 h1 in conda+uv, and is 3.4 h1 now"),
        ("conda", "zlib was absent in conda+uv, and is 1.3 h0 now"),
    ]


def test_of_the_same_hybrid_the_one_with_the_same_python_is_meant(tmp_path: Path) -> None:
    old, new = (made(python=version, origin=Path(version)) for version in ("3.11.7", "3.12.1"))
    path = certified(tmp_path, old, new)
    moved = [dataclasses.replace(each, tools={"uv": "0.14"}) for each in (new, old)]
    assert verified(path, *moved).findings == []
    (finding, unverified) = verified(path, dataclasses.replace(old, python="3.13.0")).findings
    assert (finding.kind, unverified.kind) == ("python", "unverified")


def test_outside_of_a_project_the_files_are_not_verified_and_that_is_said(tmp_path: Path) -> None:
    known = certificate.read(certified(tmp_path, made(), made("pip+uv")))
    found = verifying.verify(known, [made(), made("pip+uv")], None, name="parity.json", subject="/p")
    assert [(each.severity, each.kind) for each in found.findings] == [("note", "unverified")]
    assert "whether poetry.lock, pyproject.toml are still the same" in found.findings[0].why


def recertified(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text("utf-8"))
    change(content)
    path.write_text(json.dumps({**content, "digest": certificate.digest(content)}), encoding="utf-8")


def test_a_verdict_that_the_inventories_do_not_bear_out_is_found_under_any_digest(tmp_path: Path) -> None:
    there = (made(), made("pip+uv", {"a": wheel("1.1")}))
    path = certified(tmp_path, *there)
    recertified(path, lambda content: content.update(verdict="identical"))
    with pytest.raises(LabError, match="'verdict' is not as its schema has it"):
        certificate.read(path)
    recertified(path, lambda content: content["pairs"][0].update(verdict="identical"))
    (finding,) = verified(path, *there).findings
    assert (finding.kind, finding.why) == (
        "verdict",
        "venv+uv and pip+uv are divergent, and it says that they are identical",
    )
    recertified(path, lambda content: content["packages"].update(a=[{**content["packages"]["a"][0], "in": ["pip+uv"]}]))
    assert {each.kind for each in verified(path, *there).findings} == {"verdict", "absent", "version"}


def test_a_certificate_of_a_divergence_certifies_no_parity(tmp_path: Path) -> None:
    there = (made(), made("pip+uv", {"a": wheel("1.1")}))
    assert [each.kind for each in verified(certified(tmp_path, *there), *there).findings] == ["verdict"]


@pytest.mark.parametrize("key", ["verdict", "packages", "inputs", "inventories", "digest", "new"])
def test_whatever_is_changed_in_a_certificate_is_found(tmp_path: Path, key: str) -> None:
    path = certified(tmp_path, made(), made("pip+uv"))
    content = json.loads(path.read_text("utf-8"))
    content[key] = "sha256:" + "0" * 64 if key == "digest" else "identical " if key == "verdict" else {}
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(LabError, match="it was changed after it was made") as caught:
        certificate.read(path)
    assert caught.value.code == FOUND


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": "x"}, "no certificate: its schema is not mlops-lab/parity-certificate"),
        ({"version": 2}, "a certificate of version 2"),
        ({"digest": None}, "no certificate: it has no digest"),
        ({"verdict": "fine"}, "'verdict' is not as its schema has it"),
        ({"inventories": {}, "pairs": []}, "'inventories' is not as its schema has it"),
        ({"pairs": []}, "'pairs' is not as its schema has it"),
        ({"pairs": [{"first": "venv+uv", "second": [], "verdict": "identical"}]}, "'pairs' is not as its schema"),
        ({"conda": {"openssl": [{"version": "3"}]}}, "'conda' is not as its schema has it"),
        ({"classes": {"a": "x"}}, "'classes' is not as its schema has it"),
        ({"inventories": {"a": {}}}, "'inventories' is not as its schema has it"),
        ({"inputs": {"a": []}}, "'inputs' is not as its schema has it"),
        ({"packages": {"a": [{"version": 1}]}}, "'packages' is not as its schema has it"),
    ],
)
def test_what_is_no_certificate_is_refused_even_under_a_digest_of_its_own(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = certified(tmp_path, made(), made("pip+uv"))
    content = {**json.loads(path.read_text("utf-8")), **changes}
    if "digest" not in changes:
        content["digest"] = certificate.digest(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(LabError, match=r"parity\.json: ") as caught:
        certificate.read(path)
    assert message in caught.value.message
    assert caught.value.code == WRONG


def test_what_is_no_json_is_called_no_certificate(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text("[]", encoding="utf-8")
    with pytest.raises(LabError, match=r"no certificate: .*make a new one with `invoke parity`$"):
        certificate.read(tmp_path / "list.json")


def test_a_certificate_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LabError, match="cannot be written"):
        certificate.write(compared(made(), made("pip+uv")), tmp_path / "file" / "parity.json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=JSON, key=st.sampled_from([*certificate.schema()["properties"], "a"]))
def test_nothing_but_an_error_comes_of_any_certificate(tmp_path: Path, data: Any, key: str) -> None:
    path = tmp_path / "parity.json"
    content = {**certificate.certify(compared(made(), made("pip+uv"))), key: data}
    if key != "digest":
        content["digest"] = certificate.digest(content)
    for each in (data, content):
        path.write_text(json.dumps(each), encoding="utf-8")
        try:
            known = certificate.read(path)
        except LabError:
            continue
        found = verifying.verify(known, [made(), made("pip+poetry")], INPUTS, name="parity.json", subject="/p")
        assert report.as_json(found)
        assert report.markdown(found)
