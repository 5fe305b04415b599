"""The documentation has every row, task, option and setting of the code, and what is stale is found."""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from support.drift_projects import expected, names

from mlops_lab import errors, project
from mlops_lab.doctor import CHECKS
from mlops_lab.drift.saying import KINDS
from mlops_lab.errors import LabError
from mlops_lab.guide import CIRCUMSTANCES, ENGINES, EXTRAS, HYBRIDS, ROWS, Hybrid, Spelling, label, spelling
from mlops_lab.tasks import namespace
from rendering import browser, captures, guide, parts, picture, reference, regions, schemas

ROOT = Path(__file__).parents[2]
PAGE = Path("docs/page.md")
PARTS = {"one": lambda: "first\nsecond\n", "two": lambda: "third"}
STALE = "# Page\n\n<!-- rendered: one -->\nold\n<!-- /rendered -->\n\nby hand | as it is\n"
FRESH = "# Page\n\n<!-- rendered: one -->\n\nfirst\nsecond\n\n<!-- /rendered -->\n\nby hand | as it is\n"


# --- regions -------------------------------------------------------------------------------------------------------


def test_a_region_is_rendered_and_nothing_else_is_touched() -> None:
    assert regions.rendered(PAGE, STALE, PARTS) == FRESH
    assert regions.rendered(PAGE, FRESH, PARTS) == FRESH


@pytest.mark.parametrize("text", ["", "no end of line", "a\n\n\nb\n", "in a line: <!-- rendered: one --> of its own\n"])
def test_a_page_without_regions_stays_as_it_is(text: str) -> None:
    assert regions.rendered(PAGE, text, PARTS) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "a\n<!-- rendered: one -->\nb\n",
            "docs/page.md:2: the region one has no end: write <!-- /rendered --> behind it",
        ),
        ("a\n\n<!-- /rendered -->\n", "docs/page.md:3: a region ends here that has not begun"),
        ("<!-- rendered: three -->\n<!-- /rendered -->", "docs/page.md:1: nothing renders three; one of: one, two"),
        (
            "<!-- rendered: one -->\n<!-- rendered: two -->\n<!-- /rendered -->\n",
            "docs/page.md:1: the region one has no end: write <!-- /rendered --> behind it",
        ),
        (
            "<!-- rendered: one -->\n<!-- /rendered -->\n<!-- /rendered -->\n",
            "docs/page.md:3: a region ends here that has not begun",
        ),
        *(
            (f"a\n{slip}\n", "docs/page.md:2: write <!-- rendered: NAME --> or <!-- /rendered -->, on one line")
            for slip in ("<!--rendered:one-->", "<!-- rendered one -->", "<!-- Rendered: one", "<!--/rendered-->")
        ),
    ],
)
def test_markers_that_say_nothing_are_told_with_their_line(text: str, said: str) -> None:
    with pytest.raises(regions.Broken) as caught:
        regions.rendered(PAGE, text, PARTS)
    assert str(caught.value) == said


def test_a_stale_region_is_found_and_named_and_made_anew(tmp_path: Path) -> None:
    page = tmp_path / "docs" / "how-to" / "page.md"
    page.parent.mkdir(parents=True)
    page.write_text(STALE + "<!-- rendered: two -->\n\nthird\n\n<!-- /rendered -->\n", encoding="utf-8")
    (tmp_path / "README.md").write_text("# Nothing is rendered here\n", encoding="utf-8")
    told = ["docs/how-to/page.md\n    regions: one"]
    assert parts.refresh(write=False, root=tmp_path, parts=PARTS) == told
    assert page.read_text(encoding="utf-8").startswith(STALE), "a check changes nothing"
    assert parts.refresh(write=True, root=tmp_path, parts=PARTS) == told
    assert page.read_text(encoding="utf-8").startswith(FRESH)
    assert parts.refresh(write=False, root=tmp_path, parts=PARTS) == []


def test_no_page_is_written_when_the_markers_of_another_say_nothing(tmp_path: Path) -> None:
    (tmp_path / "A.md").write_text(STALE, encoding="utf-8")
    (tmp_path / "B.md").write_text("<!-- rendered: one -->\n", encoding="utf-8")
    with pytest.raises(regions.Broken, match=r"^B\.md:1: "):
        parts.refresh(write=True, root=tmp_path, parts=PARTS)
    assert (tmp_path / "A.md").read_text(encoding="utf-8") == STALE


def test_a_page_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "A.md").write_bytes(b"gr\xfc\xdfe\n")
    with pytest.raises(regions.Broken, match=r"^A\.md: save it as UTF-8: invalid start byte at byte 2$"):
        parts.refresh(write=True, root=tmp_path, parts=PARTS)


def test_every_part_has_a_place_on_a_page() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in parts.pages())
    assert [name for name in parts.PARTS if f"<!-- rendered: {name} -->" not in text] == []


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")), ids=lambda page: page.name)
def test_a_page_beside_the_site_links_to_files_that_are_there(page: Path) -> None:
    links = re.findall(r"\]\((?![a-z]+:|#)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (ROOT / link).exists()] == []


# --- the guide -----------------------------------------------------------------------------------------------------


def section(page: str, title: str) -> str:
    """What stands below a heading."""
    return page.split(f" {title}", 1)[1].split("\n#", 1)[0]


def tab(page: str, title: str, hybrid: str) -> str:
    """What a row's tab for a hybrid holds."""
    return section(page, title).split(f'=== "{hybrid}"\n', 1)[1].split("\n===", 1)[0]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_has_a_tab_with_the_command_of_every_hybrid(row: Any) -> None:
    page = guide.guide()
    assert row.why.split("`", maxsplit=1)[0] in section(page, row.title)
    for hybrid in HYBRIDS:
        spelled = spelling(row, hybrid, hybrid.manager)
        shown = tab(page, row.title, hybrid.name)
        if spelled is None:
            assert "Not needed with this hybrid" in shown
            continue
        assert f"    ```bash\n    {label(spelled.command)}\n    ```" in shown
        for name, text in spelled.variants.items():
            assert f"Where {CIRCUMSTANCES[name]}:" in shown
            assert f"        {label(text)}\n" in shown


def test_every_row_beyond_the_steps_is_there_with_its_commands() -> None:
    page = guide.beyond()
    for row in EXTRAS:
        shown = section(page, row.title)
        assert all(f"`{label(found.command)}`" in shown for found in row.spellings.values()), row.name


def test_a_reason_and_what_is_behind_the_files_back_are_told() -> None:
    page = guide.guide()
    assert "`poetry sync` would remove" in tab(page, "Install exactly the lock", "conda+poetry")
    assert "Not `conda install PACKAGE…`" in tab(page, "Add packages", "conda+uv")
    assert "Not `pip install PACKAGE…`" in tab(page, "Add packages", "pip+poetry")


def test_every_program_that_acts_as_conda_has_its_command() -> None:
    shown = tab(guide.guide(), "Create the environment", "conda+uv")
    assert [
        line.strip() for line in shown.splitlines() if line.lstrip().startswith(tuple(f"| {e} " for e in ENGINES))
    ] == [
        "| mamba | `mamba env create --yes -n NAME -f conda.yml` |",
        "| micromamba | `micromamba env create --yes -n NAME -f conda.yml` |",
        "| embedded | `mlops-lab-conda env create -n NAME -f conda.yml` |",
    ]
    assert "acts as conda" not in tab(guide.guide(), "Create the environment", "venv+uv")


def test_a_hybrid_that_is_added_appears_also_where_it_has_no_command(monkeypatch: pytest.MonkeyPatch) -> None:
    added = Hybrid("venv", "pdm")
    monkeypatch.setattr(guide, "HYBRIDS", (*HYBRIDS, added))
    row = dataclasses.replace(
        ROWS[0], spellings={**ROWS[0].spellings, "venv+pdm": Spelling("pdm venv create {prefix}")}
    )
    monkeypatch.setattr(guide, "ROWS", (row, *ROWS[1:]))
    page = guide.guide()
    assert "pdm venv create ENV" in tab(page, ROWS[0].title, "venv+pdm")
    assert "Not needed with this hybrid" in tab(page, "Lock every version", "venv+pdm")
    assert page.count('=== "venv+pdm"') == len(ROWS)
    assert "`venv+uv`, " not in guide.hybrids().split("`pip+poetry`")[1]
    assert "`venv+pdm`" in guide.hybrids()


def test_the_table_of_hybrids_says_who_makes_and_who_installs() -> None:
    assert guide.hybrids().splitlines()[2:] == [
        "| `conda+poetry`, `conda+uv` | a conda environment made from `conda.yml` | the manager, from its lock |",
        "| `venv+poetry`, `venv+uv` | a venv | the manager, from its lock |",
        "| `pip+poetry`, `pip+uv` | a venv | pip, from the hashed `requirements.txt` that the manager exports |",
    ]


def test_a_row_is_linked_to_the_task_that_runs_it() -> None:
    page = guide.guide()
    assert "As a task: [`invoke lock`](reference/tasks.md#lock)" in section(page, "Lock every version")
    assert "A part of [`invoke install`](reference/tasks.md#install)" in section(page, "Uninstall what left the lock")


# --- tasks and sessions --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(namespace.tasks))
def test_every_task_is_told_with_every_option(name: str) -> None:
    shown = reference.tasks().split(f"## {name} {{ #{name} }}", 1)[1].split("\n## ", 1)[0]
    task = namespace.tasks[name]
    assert " ".join((task.body.__doc__ or "").split()[:4]).split("`")[0] in shown
    for argument in reference.arguments(task):
        for flag in argument.names if not argument.positional else []:
            assert f"`--{flag}" in shown or f"`-{flag}`" in shown, flag
        assert argument.help, argument.names
        assert argument.help in shown.replace("\\", ""), argument.names
    assert f"[`{name}`](#{name})" in reference.task_list()


def test_an_option_names_its_value_and_a_flag_none() -> None:
    shown = reference.tasks()
    assert "| `--hybrid HYBRID`, `-h` | BACKEND+MANAGER, such as venv+uv;" in shown
    assert "| `--force`, `-f` | Rebuild the environment" in shown


def test_an_option_with_a_value_of_its_own_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from invoke.collection import Collection
    from invoke.tasks import task

    @task(help={"size": "How many"})
    def grow(_: Any, size: int = 3) -> None:
        """Grow."""

    monkeypatch.setattr(reference, "namespace", Collection(grow))
    assert "| `--size SIZE`, `-s` | How many; default: `3` |" in reference.tasks()


def test_every_session_of_the_noxfile_is_told() -> None:
    shown = reference.session_words(ROOT / "noxfile.py")
    for hybrid in HYBRIDS:
        assert f"`check({hybrid})`" in shown
    assert "| `--conda CONDA` | The program that acts as conda" in reference.session_options()
    assert "| `docs` | Check that what is rendered is fresh" in shown
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in shown.splitlines()}
    assert rows["`faults`"].endswith("| no |")
    assert rows["`tests`"].endswith("| yes |")


# --- settings ------------------------------------------------------------------------------------------------------


def example() -> str:
    """The settings that the page shows."""
    page = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    return page.split('```toml title="pyproject.toml"\n', 1)[1].split("```", 1)[0]


def read(folder: Path, text: str) -> project.Settings:
    (folder / "pyproject.toml").write_text(f"{text}\n[dependency-groups]\ndev = []\n", encoding="utf-8")
    return project.find(folder).settings


def test_the_example_of_the_settings_has_all_of_them_and_is_accepted(tmp_path: Path) -> None:
    table: Any = tomllib.loads(example())["tool"]["mlops-lab"]
    for each in reference.described(project.Settings):
        found = table
        for word in each.key.split("."):
            assert word in found, each.key
            found = found[word]
    settings, usual = read(tmp_path, example()), project.Settings()
    same = [
        each.name for each in dataclasses.fields(usual) if getattr(settings, each.name) == getattr(usual, each.name)
    ]
    assert same in ([], ["tools"]), "an example that changes nothing shows nothing"


def test_every_setting_is_told_with_what_it_means_its_choices_and_its_default() -> None:
    shown = reference.settings()
    keys = [each.key for each in reference.described(project.Settings)]
    assert {"hybrid", "drift.ignore", "conda-names", "ci.systems"} <= set(keys)
    for each in reference.described(project.Settings):
        line = next(line for line in shown.splitlines() if line.startswith(f"| `{each.key}` |"))
        assert each.meaning.split("`")[0] in line
        assert all(f"`{choice}`" in line for choice in each.choices)
    assert all(f'`{name} = "{versions}"`' in shown for name, versions in project.PINS.items())


@pytest.mark.parametrize(
    ("key", "choice"), [(each.key, choice) for each in reference.described(project.Settings) for choice in each.choices]
)
def test_a_choice_that_is_told_is_accepted_and_another_is_not(key: str, choice: str, tmp_path: Path) -> None:
    assert getattr(read(tmp_path, f'[tool.mlops-lab]\n{key} = "{choice}"'), key) == choice
    with pytest.raises(LabError, match=rf"no .*'{re.escape(choice)}x'"):
        read(tmp_path, f'[tool.mlops-lab]\n{key} = "{choice}x"')


# --- findings, codes, schemas --------------------------------------------------------------------------------------


def test_the_kinds_of_drift_are_those_that_real_projects_have() -> None:
    found = {each.kind for name in names() for each in expected(name)}
    # An environment, which those files do not have, is what the remaining kind needs.
    assert found == {*KINDS} - {"installed"}
    assert all(f"| `{kind}` | {meaning} |" in reference.drift_kinds() for kind, meaning in KINDS.items())


def test_every_check_of_doctor_and_every_class_of_parity_is_told() -> None:
    assert all(f"| `{check.name}` | {check.title} |" in reference.check_titles() for check in CHECKS)
    assert "| `place` | what the lock gives to one Python" in reference.parity_classes()
    assert "| `PYTHONPATH` | other packages come before" in reference.variables()


def test_every_exit_code_is_told() -> None:
    shown = reference.exit_codes()
    for code in (0, errors.FOUND, errors.WRONG, errors.INTERRUPTED, errors.PIPE_CLOSED):
        assert f"| `{code}` | " in shown


@pytest.mark.parametrize(
    "path", sorted((ROOT / "src" / "mlops_lab").rglob("*.schema.json")), ids=lambda path: path.stem
)
def test_every_field_of_a_schema_is_told(path: Path) -> None:
    shown = schemas.schema(path)

    def fields(node: Any) -> list[str]:
        inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else []
        mine = list(node.get("properties", {})) if isinstance(node, dict) else []
        return [*mine, *(name for each in inner for name in fields(each))]

    told = {line.split("`")[1].rpartition(".")[2] for line in shown.splitlines() if line.startswith("| `")}
    assert told - {"*"} == set(fields(json.loads(path.read_text(encoding="utf-8"))))


# --- captures ------------------------------------------------------------------------------------------------------

SHOWN = "\x1b[1;32m$\x1b[0m invoke setup\nready <& in>   1.2 s, Python 3.12.1, 5 installed\n"


@pytest.mark.parametrize(
    "other",
    [
        "ready <& in>  61.0 s, Python 3.12.1, 5 installed",
        "ready <& in> 8 ms, Python 3.12.1, 5 installed",
        "ready <& in>   1.2 s, Python 3.13.0, 5 installed",
        "ready <& in>   1.2 s, Python 3.12.1, 6 installed",
    ],
)
def test_times_and_machines_make_no_capture_stale(other: str) -> None:
    first = SHOWN.splitlines()[1]
    assert first != other
    assert picture.alike(first, other)


@pytest.mark.parametrize(
    ("first", "other"),
    [
        ("nox > Session parity was successful in 26 seconds.", "nox > Session parity was successful in a minute."),
        ("packages (5), recorded files (508)", "packages (6), recorded files (1508)"),
        ("  pip: build tools that", "  pip, setuptools: build tools that"),
        ("Python 3.13.0 on linux x86_64", "Python 3.12.1 on darwin arm64"),
        (".venv/lib/python3.13/site-packages", ".venv/lib/python3.11/site-packages"),
    ],
)
def test_nor_do_nox_and_what_a_venv_begins_with(first: str, other: str) -> None:
    assert picture.alike(first, other)


@pytest.mark.parametrize(
    ("old", "new"), [("ready", "done"), ("\x1b[1;32m", "\x1b[1;31m"), ("installed", "missing"), ("1.2 s, ", "")]
)
def test_everything_else_does(old: str, new: str) -> None:
    assert not picture.alike(SHOWN, SHOWN.replace(old, new, 1))


def test_what_differs_is_told_in_lines() -> None:
    assert picture.difference(SHOWN, SHOWN.replace("ready", "done").replace("1.2 s", "9.9 s")) == [
        "-ready <& in> TIME, Python PYTHON, MANY",
        "+done <& in> TIME, Python PYTHON, MANY",
    ]


def test_equal_text_gives_an_equal_picture_which_asks_no_other_host() -> None:
    svg = picture.drawn("setup", "~/forecast", SHOWN)
    assert svg == picture.drawn("setup", "~/forecast", SHOWN)
    assert "ready" in svg
    assert "&lt;&amp;" in svg
    assert svg.count("://") == svg.count("http://www.w3.org/2000/svg") + svg.count("https://www.textualize.io")
    assert "url(" not in svg.replace("url(#capture-setup-", "")


def test_the_variables_of_whoever_draws_a_picture_have_no_word_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    svg = picture.drawn("setup", "~/forecast", SHOWN)
    for name, value in {"NO_COLOR": "1", "FORCE_COLOR": "0", "TERM": "dumb", "COLUMNS": "40", "LINES": "9"}.items():
        monkeypatch.setenv(name, value)
    assert picture.drawn("setup", "~/forecast", SHOWN) == svg


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for name in ("setup", "drift"):
        captures.draw(tmp_path, name, SHOWN)
    return tmp_path


def test_pictures_that_are_as_the_commands_say_are_fresh(pictures: Path) -> None:
    assert captures.stale(pictures, {"setup": SHOWN, "drift": SHOWN.replace("1.2 s", "3.4 s")}) == []


def test_a_capture_is_stale_when_the_command_says_something_else(pictures: Path) -> None:
    assert captures.stale(pictures, {"setup": SHOWN, "drift": SHOWN.replace("ready", "done")}) == ["drift"]


def test_a_picture_that_is_not_what_its_text_gives_is_stale(pictures: Path) -> None:
    (pictures / "setup.svg").write_text("<svg/>", encoding="utf-8")
    assert captures.stale(pictures, {"setup": SHOWN, "drift": SHOWN}) == ["setup"]


def test_a_scene_without_a_picture_and_a_picture_without_a_scene_are_stale(pictures: Path) -> None:
    assert captures.stale(pictures, {"drift": SHOWN, "doctor": SHOWN}) == ["doctor", "setup"]
    captures.draw(pictures, "setup", None)
    assert captures.stale(pictures, {"drift": SHOWN, "doctor": SHOWN}) == ["doctor"]


def test_a_stale_capture_says_why(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("doctor", "parity"):
        captures.draw(pictures, name, SHOWN)
    (pictures / "setup.svg").write_text("<svg/>", encoding="utf-8")
    played = {
        "setup": SHOWN,
        "drift": SHOWN.replace("ready", "done"),
        "doctor": SHOWN.replace("[1;32m", "[1;31m"),
        "guide": SHOWN,
    }
    monkeypatch.setattr(captures, "FOLDER", pictures)
    monkeypatch.setattr(captures, "_played", lambda: played)
    told = {
        "doctor": "the colours are others",
        "drift": "-ready <& in> TIME, Python PYTHON, MANY\n    +done <& in> TIME, Python PYTHON, MANY",
        "guide": "there is none yet",
        "parity": "no scene has it any more",
        "setup": "the picture is not what its text gives",
    }
    expected = [f"docs/captures/{name}.svg\n    {why}" for name, why in told.items()]
    assert captures.refresh(write=False) == expected
    assert captures.refresh(write=True) == expected
    assert captures.refresh(write=False) == []


@pytest.mark.parametrize(
    "ourselves",
    [
        "/home/me/bin/python3.12 /home/me/src/mlops_lab/__main__.py",
        "'/home/my self/bin/python3.12' '/home/my self/src/mlops_lab/__main__.py'",
    ],
)
def test_nothing_of_this_machine_is_kept(ourselves: str) -> None:
    shown = f"$ invoke doctor\n$ {ourselves} doctor --prefix /var/docs-x/forecast/.venv\n"
    assert captures.without("/var/docs-x", shown) == ("$ invoke doctor\n$ mlops-lab doctor --prefix ~/forecast/.venv\n")


def test_each_capture_that_is_kept_has_a_scene_and_the_other_way_round() -> None:
    scenes = {scene.name for story in captures.STORIES for scene in story}
    assert {path.stem for path in (ROOT / "docs" / "captures").glob("*.svg")} == scenes
    assert {path.stem for path in (ROOT / "docs" / "captures").glob("*.ansi")} == scenes


def test_every_picture_is_shown_somewhere() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in parts.pages())
    assert [
        scene.name for story in captures.STORIES for scene in story if f"captures/{scene.name}.svg)" not in text
    ] == []


def test_the_pictures_are_what_their_texts_give() -> None:
    folder = ROOT / "docs" / "captures"
    texts = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.ansi")}
    assert captures.stale(folder, texts) == []


# --- the browser ---------------------------------------------------------------------------------------------------

BASE = "http://127.0.0.1:1/"


def test_a_link_has_to_lead_to_a_page_a_file_or_an_anchor(tmp_path: Path) -> None:
    (tmp_path / "a file.svg").touch()
    seen: dict[str, tuple[list[str], list[str]]] = {
        "": ([f"{BASE}guide/#create", f"{BASE}guide/#nowhere", f"{BASE}a%20file.svg"], ["top"]),
        "guide/": ([BASE, f"{BASE}gone/", f"{BASE}none.svg", "https://example.org/#x", f"{BASE}#top"], ["create"]),
    }
    assert list(browser.dead_links(BASE, seen, tmp_path)) == [
        "/: guide/#nowhere has no such anchor",
        "guide/: gone/ leads nowhere",
        "guide/: none.svg leads nowhere",
    ]


def program(folder: Path, name: str) -> str:
    path = folder / name
    path.write_text("#!/bin/sh\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_the_browser_of_the_system_is_found_or_the_one_that_is_named(tmp_path: Path) -> None:
    found, named = program(tmp_path, "chromium-browser"), program(tmp_path, "mine")
    assert browser.browser_at({"PATH": str(tmp_path)}) == found
    assert browser.browser_at({"PATH": str(tmp_path), browser.VARIABLE: named}) == named


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "the site is looked at in Chromium: `apt-get install chromium`, or set MLOPS_LAB_BROWSER to one's path"),
        ({"MLOPS_LAB_BROWSER": "/no/such"}, "MLOPS_LAB_BROWSER names /no/such, which is no program: name a Chromium"),
    ],
)
def test_where_there_is_no_browser_it_is_said_how_to_get_one(
    tmp_path: Path, variables: dict[str, str], said: str
) -> None:
    with pytest.raises(browser.Missing) as caught:
        browser.browser_at({"PATH": str(tmp_path), **variables})
    assert str(caught.value) == said
