"""What a check found, in every form: to the letter where it is ours, and nothing of a hostile file gets through."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from rich.console import Console

from mlops_lab.findings import Finding, Findings, Source
from mlops_lab.report import findings as report
from mlops_lab.report import pages

if TYPE_CHECKING:
    from pathlib import Path

CONFLICT = Finding(
    "conflict",
    "numpy",
    (Source("poetry.lock", 12, "numpy 2.1.0"), Source("uv.lock", 7, "numpy 2.0.0")),
    "poetry.lock has numpy 2.1.0, and uv.lock has numpy 2.0.0",
    "invoke lock",
    where=("3.11 on linux", "3.12 on linux"),
    mend="lock",
)
VARIABLE = Finding(
    "variable", "", (Source("PYTHONPATH", 0, "/x"),), "other packages come first", "unset PYTHONPATH", "warning"
)
CAP = Finding("conflict", "torch", (), "no version fits", "", otherwise="edit conda.yml:7 or pyproject.toml:9")
FOUND = Findings("drift", "/p", (CONFLICT, CAP, VARIABLE), {"poetry.lock": "2 pins", "uv.lock": ""}, (), 0.123)
NOTHING = Findings("drift", "/p", (), {"poetry.lock": "2 pins"}, ("`invoke lock`",), 0.5)


def told(found: Findings, form: report.Form = "text", **environ: str) -> tuple[str, str]:
    out, notes = io.StringIO(), io.StringIO()
    report.tell(found, form, environ=environ, out=out, notes=notes)
    return out.getvalue(), notes.getvalue()


def rendered(found: Findings, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, record=True)
    pages.show_page(report.page(found), console)
    return "\n".join(line.rstrip() for line in console.export_text().splitlines())


def test_the_page_names_both_sides_and_what_mends_it() -> None:
    assert (
        rendered(FOUND)
        == """\
drift: 3 findings in /p: conflict (2), variable

✗ conflict   numpy  poetry.lock has numpy 2.1.0, and uv.lock has numpy 2.0.0
    poetry.lock:12  numpy 2.1.0
    uv.lock:7       numpy 2.0.0
    on 3.11 on linux, 3.12 on linux
    → invoke lock

✗ conflict   torch  no version fits
    → edit conda.yml:7 or pyproject.toml:9

! variable   other packages come first
    PYTHONPATH  /x
    → unset PYTHONPATH

examined in 0.12 s: poetry.lock (2 pins), uv.lock
next: `invoke drift --fix` mends 1 of 3"""
    )


def test_nothing_found_is_said_with_what_was_examined_and_without_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlops_lab.report.pages", None)
    assert told(NOTHING) == (
        "drift: nothing found in /p\nmended: `invoke lock`\nexamined in 0.50 s: poetry.lock (2 pins)\n",
        "",
    )


def test_what_was_mended_is_told_in_the_words_that_were_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["mlops-lab", "drift", "--fix"])
    found = Findings("drift", "/p", (), {}, mended=["uv.lock; `invoke undo` takes it back"])
    assert "mended: uv.lock; `mlops-lab undo` takes it back\n" in told(found)[0]
    assert json.loads(report.as_json(found))["mended"] == ["uv.lock; `mlops-lab undo` takes it back"]


def test_an_empty_place_is_not_called_healthy() -> None:
    assert "examined in 0.00 s: nothing, since nothing is there" in told(Findings("drift", "/p", (), {}))[0]


@pytest.mark.parametrize("found", [FOUND, NOTHING], ids=["found", "nothing"])
def test_the_json_is_as_its_schema_says_and_alone(found: Findings) -> None:
    out, notes = told(found, "json")
    data: dict[str, Any] = json.loads(out)
    jsonschema.validate(data, report.schema(), cls=jsonschema.Draft202012Validator)
    assert notes == ""
    assert data["ok"] is (found is NOTHING)
    assert [each["package"] for each in data["findings"]] == [each.package for each in found.findings]


def test_the_schema_refuses_what_it_does_not_describe() -> None:
    jsonschema.Draft202012Validator.check_schema(report.schema())
    data = json.loads(report.as_json(FOUND))
    for wrong in ({**data, "more": 1}, {**data, "schema": "mlops-lab/findings/2"}, {**data, "findings": [{}]}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, report.schema())


def test_every_field_of_the_schema_is_described() -> None:
    schema = report.schema()
    fields = [schema["properties"], *(each["properties"] for each in schema["$defs"].values())]
    told_apart = {"schema", "severity"}  # their values say all
    assert all("description" in field for each in fields for name, field in each.items() if name not in told_apart)


def test_markdown_has_a_row_for_each_finding() -> None:
    sides = "`poetry.lock:12` numpy 2.1.0<br>`uv.lock:7` numpy 2.0.0"
    assert report.markdown(FOUND).splitlines() == [
        "### ❌ drift: 3 findings in /p: conflict (2), variable",
        "",
        "| error | package | where | why | what mends it |",
        "| --- | --- | --- | --- | --- |",
        f"| conflict | `numpy` | {sides} | {CONFLICT.why} (3.11 on linux, 3.12 on linux) | `invoke lock` |",
        "| conflict | `torch` |  | no version fits | edit conda.yml:7 or pyproject.toml:9 |",
        "",
        "| warning | package | where | why | what mends it |",
        "| --- | --- | --- | --- | --- |",
        "| variable |  | `PYTHONPATH` /x | other packages come first | `unset PYTHONPATH` |",
        "",
        "examined in 0.12 s: poetry.lock (2 pins), uv.lock  ",
        "next: `invoke drift --fix` mends 1 of 3  ",
    ]


def test_on_github_each_finding_stands_beside_its_line_and_in_the_summary(tmp_path: Path) -> None:
    summary = tmp_path / "summary"
    summary.write_text("before\n", encoding="utf-8")
    out, notes = told(
        Findings("drift", "/w/sub", FOUND.findings, {}),
        "json",
        GITHUB_ACTIONS="true",
        GITHUB_WORKSPACE="/w",
        GITHUB_STEP_SUMMARY=str(summary),
    )
    json.loads(out)
    assert notes.splitlines() == [
        f"::error file=sub/uv.lock,line=7,title=conflict numpy::{CONFLICT.why}; invoke lock",
        "::error title=conflict torch::no version fits",
        "::warning title=variable::other packages come first; unset PYTHONPATH",
    ]
    assert summary.read_text(encoding="utf-8").startswith("before\n### ❌ drift: 3 findings in /w/sub: conflict (2)")


def test_a_summary_that_github_would_refuse_is_cut(tmp_path: Path) -> None:
    many = Findings("drift", "/p", [CONFLICT] * 9000, {})
    told(many, "json", GITHUB_STEP_SUMMARY=str(tmp_path / "summary"))
    text = (tmp_path / "summary").read_text(encoding="utf-8")
    assert "| … |  |  | 8997 more |  |" in text
    assert len(text) < 10_000


HOSTILE = "\x1b[31m::error::x\r\n[bold]|`<b>* https://user:secret@index.example/x"


def test_what_a_hostile_file_says_works_nowhere() -> None:
    finding = Finding("conflict", HOSTILE, (Source(HOSTILE, 3, HOSTILE),), HOSTILE, "invoke lock")
    found = Findings("drift", "/p", (finding,), {HOSTILE: HOSTILE}, (HOSTILE,))
    shown = [rendered(found, 1000), report.markdown(found), *report.workflow_commands(found)]
    assert not any("secret" in text or "\x1b" in text or "\r" in text for text in shown)
    assert "secret" not in report.as_json(found)
    assert len(list(report.workflow_commands(found))) == 1
    assert all("\n" not in line for line in report.workflow_commands(found))
    assert not [line for line in shown[1].splitlines() if line.startswith("::")]
