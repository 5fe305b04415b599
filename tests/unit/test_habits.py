"""What contributors are asked for: hooks that can run, forms that name what there is, editors that agree with ruff."""

from __future__ import annotations

import configparser
import re
import shlex
import tomllib
from functools import cache
from importlib.metadata import distribution
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from invoke.exceptions import ParseError
from invoke.parser import Parser
from invoke.program import Program
from packaging.requirements import Requirement
from packaging.version import Version
from pre_commit.clientlib import load_config, load_manifest

from mlops_lab.tasks import namespace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parents[2]
PYPROJECT: Mapping[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FORMS = sorted(path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
TEXTS = [ROOT / name for name in ("CHANGELOG.md", "SECURITY.md", ".github/PULL_REQUEST_TEMPLATE.md")]
# https://docs.github.com/en/issues/using-labels-and-milestones-to-track-work/managing-labels#about-default-labels
LABELS = frozenset(
    [
        "bug",
        "documentation",
        "duplicate",
        "enhancement",
        "good first issue",
        "help wanted",
        "invalid",
        "question",
        "wontfix",
    ]
)


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


# --- hooks ---------------------------------------------------------------------------------------------------------


def hooks() -> dict[str, dict[str, Any]]:
    """Our own, as pre-commit reads them."""
    (local,) = (repo for repo in load_config(ROOT / ".pre-commit-config.yaml")["repos"] if repo["repo"] == "local")
    return {hook["id"]: hook for hook in local["hooks"]}


@cache
def programs() -> dict[str, str]:
    """Program → who brings it: the group of the checkers, or this project."""
    group = [Requirement(text).name for text in PYPROJECT["dependency-groups"]["dev"]]
    found = {
        PurePath(file).stem: name
        for name in group
        for file in distribution(name).files or ()
        if PurePath(file).parent.name in {"bin", "Scripts"}
    }
    return {**found, **dict.fromkeys(PYPROJECT["project"]["scripts"], PYPROJECT["project"]["name"])}


@pytest.mark.parametrize("name", hooks())
def test_a_hook_starts_a_program_of_the_locked_environment_or_none(name: str) -> None:
    hook = hooks()[name]
    assert hook["language"] in {"pygrep", "unsupported"}
    assert not hook.get("additional_dependencies")
    if hook["language"] == "unsupported":
        assert hook["entry"].split()[0] in programs()


def test_no_hook_is_fetched_and_no_version_typed() -> None:
    repos = load_config(ROOT / ".pre-commit-config.yaml")["repos"]
    assert [repo["repo"] for repo in repos] == ["local", "meta"]
    assert not re.search(r"^\s*rev:", text_of(ROOT / ".pre-commit-config.yaml"), re.MULTILINE)


def test_every_checker_of_the_group_is_a_hook() -> None:
    """Those that check files, and not behaviour."""
    checkers = {"check-jsonschema", "codespell", "import-linter", "mypy", "pyproject-fmt", "ruff", "zizmor"}
    used = {programs()[hook["entry"].split()[0]] for hook in hooks().values() if hook["language"] == "unsupported"}
    assert used == checkers | {"mlops-lab"}


def test_the_session_lint_runs_them_all_but_what_another_session_runs() -> None:
    body = text_of(ROOT / "noxfile.py").partition("def lint(")[2].partition("\n@nox.session")[0]
    assert 'session.run("pre-commit", "run", "--all-files", "--show-diff-on-failure")' in body
    (skipped,) = re.findall(r'session\.env\["SKIP"\] = "(.*)"', body)
    assert skipped == "mypy"
    assert hooks()[skipped]["entry"] == "mypy"
    assert re.search(r'def types\(.*\n(?:    .*\n)+?    session\.run\("mypy"\)', text_of(ROOT / "noxfile.py"))


def test_the_hook_for_others_is_the_one_that_is_used_here() -> None:
    (theirs,) = load_manifest(ROOT / ".pre-commit-hooks.yaml")
    ours = hooks()["drift"]
    assert theirs["language"] == "python"
    for key in ("entry", "name", "pass_filenames", "always_run"):
        assert theirs[key] == ours[key]
    assert is_command(theirs["entry"])


# --- forms and texts -----------------------------------------------------------------------------------------------


def form(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text_of(path))
    return found


def test_there_are_forms() -> None:
    assert [path.stem for path in FORMS] == ["bug", "false-alarm", "new-tool"]


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_has_labels_that_github_makes_and_fields_that_can_be_told_apart(path: Path) -> None:
    found = form(path)
    assert {*found["labels"]} <= LABELS
    fields = [element for element in found["body"] if element["type"] != "markdown"]
    for key in ("id", "label"):
        values = [element["attributes"][key] if key == "label" else element[key] for element in fields]
        assert len(values) == len({*values})


def test_the_bug_form_asks_for_what_helps_and_warns_of_credentials() -> None:
    body = form(ROOT / ".github" / "ISSUE_TEMPLATE" / "bug.yml")["body"]
    required = {each["id"] for each in body if each.get("validations", {}).get("required")}
    assert required == {"happened", "hybrid", "version"}
    (doctor,) = (each for each in body if each.get("id") == "doctor")
    assert "`mlops-lab doctor --json`" in doctor["attributes"]["description"]
    (log,) = (each for each in body if each.get("id") == "log")
    assert "`.mlops-lab/logs`" in log["attributes"]["description"]
    # GitHub takes no file in a field that is rendered as code.
    assert "render" not in log["attributes"]
    (looked,) = (each["attributes"]["options"] for each in body if each["type"] == "checkboxes")
    assert [each["required"] for each in looked] == [True]
    assert "passwords" in looked[0]["label"]


def test_a_false_alarm_is_one_of_the_checks_that_report_findings() -> None:
    body = form(ROOT / ".github" / "ISSUE_TEMPLATE" / "false-alarm.yml")["body"]
    (options,) = (each["attributes"]["options"] for each in body if each.get("id") == "check")
    assert [name for name in options if not is_command(f"mlops-lab {name} --json")] == []
    asked = next(each["attributes"]["description"] for each in body if each.get("id") == "finding")
    assert {*re.findall(r"`mlops-lab (\w+) --json`", asked)} == {*options}


@cache
def parser() -> tuple[Parser, Parser]:
    """What takes `mlops-lab …`, and what takes the words of Invoke itself."""
    program = Program(namespace=namespace, version="0")
    return Parser(contexts=namespace.to_contexts()), Parser(initial=program.initial_context)


def is_command(text: str) -> bool:
    """Whether a command that is told to people would be understood; its values are not looked at."""
    program, *words = shlex.split(text)
    words = words[: words.index("--")] if "--" in words else words
    if program == "nox":
        return _is_noxs(words)
    tasks, core = parser()
    try:
        (core if words[0].startswith("-") else tasks).parse_argv(words)
    except ParseError:
        return False
    return program in {"invoke", "mlops-lab"}


def _is_noxs(words: list[str]) -> bool:
    sessions = {*re.findall(r"^def ([a-z]\w*)\(session", text_of(ROOT / "noxfile.py"), re.MULTILINE), "check", "parity"}
    return not words or (words[0] == "-s" and {word.partition("(")[0] for word in words[1:]} <= sessions)


def commands() -> Iterator[tuple[str, str]]:
    """What stands in backquotes and begins with a program's name: the file, the command."""
    for path in (*FORMS, *TEXTS):
        for text in re.findall(r"`((?:mlops-lab|invoke|nox)(?: [^`]+)?)`", text_of(path)):
            if text != "mlops-lab":
                yield path.name, text


@pytest.mark.parametrize(("where", "command"), [*commands()])
def test_every_command_that_is_named_is_one(where: str, command: str) -> None:
    assert is_command(command), f"{where}: {command}"


@pytest.mark.parametrize(
    "text", ["mlops-lab nosuch", "mlops-lab doctor --nosuch", "mlops-lab --nosuch", "nox -s nosuch", "other doctor"]
)
def test_a_command_that_is_none_is_told_from_one(text: str) -> None:
    assert not is_command(text)


# --- the changelog -------------------------------------------------------------------------------------------------


def test_the_changelog_is_one_that_a_release_can_be_cut_from() -> None:
    """As https://keepachangelog.com/en/1.1.0/ has it: the newest on top, what is not released above all."""
    text = text_of(ROOT / "CHANGELOG.md")
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    releases = [re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d", heading) for heading in headings[1:]]
    versions = [Version(match[1]) for match in releases if match]
    assert len(versions) == len(releases)
    assert versions == sorted(versions, reverse=True)
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert {*re.findall(r"^### (.+)$", text, re.MULTILINE)} <= kinds
    # What has not been released yet is told as such.
    if Version(PYPROJECT["project"]["version"]) not in versions:
        assert "\n- " in text.partition("## [Unreleased]")[2].partition("\n## ")[0]


# --- .editorconfig -------------------------------------------------------------------------------------------------


def editors() -> configparser.ConfigParser:
    found = configparser.ConfigParser(interpolation=None)
    found.read_string("[top]\n" + text_of(ROOT / ".editorconfig"))
    return found


def test_editors_agree_with_what_formats_the_files() -> None:
    top, every = editors()["top"], editors()["*"]
    assert top["root"] == "true"
    tools = PYPROJECT["tool"]
    assert int(every["max_line_length"]) == tools["ruff"]["line-length"]
    # ruff's own width, which nothing here changes: https://docs.astral.sh/ruff/settings/#indent-width
    assert int(every["indent_size"]) == tools["ruff"].get("indent-width", 4) == tools["pyproject-fmt"]["indent"]
    assert (every["end_of_line"], every["charset"]) == ("lf", "utf-8")


def test_editors_do_what_the_hooks_demand() -> None:
    every = editors()["*"]
    assert every["trim_trailing_whitespace"] == every["insert_final_newline"] == "true"
    assert {"whitespace", "end-of-file"} <= hooks().keys()
    excluded = load_config(ROOT / ".pre-commit-config.yaml")["exclude"]
    (left,) = (name for name in editors().sections() if "unset" in editors()[name].values())
    assert re.search(excluded, left.removesuffix("**") + "any")
