"""The worked examples of CONTRIBUTING.md, applied to a copy of this repository: the table is all that they edit."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlops_lab.guide import HYBRIDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from support.conda_channel import Channel

pytestmark = pytest.mark.real

HERE = Path(__file__).parents[2]
COPIED = ("src", "docs", "noxfile.py", "tasks.py", "pyproject.toml", "poetry.lock", "requirements.txt", "conda.yml")
TABLE = "src/mlops_lab/guide.py"
CONTRIBUTING = (HERE / "CONTRIBUTING.md").read_text(encoding="utf-8")
_EXAMPLES = re.compile(r"^### (.+?)$(?:(?!^#).)*?^```diff\n(.+?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES: dict[str, str] = dict(_EXAMPLES.findall(CONTRIBUTING))
ADDED = ("virtualenv+poetry", "virtualenv+uv")
EVERY = [*(hybrid.name for hybrid in HYBRIDS), *ADDED]
NOXFILE = "from mlops_lab.sessions import check\n\n__all__ = ['check']\n"


@dataclass
class House:
    """A copy of this repository with the examples in it, and a small project beside it.

    Attributes:
        root: The copy.
        small: The project.
        environ: The variables under which the copy is what `mlops_lab` means.
        fresh: What the documentation's check said before the examples were applied: its exit code and words.
    """

    root: Path
    small: Path
    environ: Mapping[str, str]
    fresh: tuple[int, str] = (0, "")

    def start(self, *words: str, cwd: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a module of Python's, and wait."""
        return subprocess.run(
            [sys.executable, "-m", *words],
            cwd=cwd or self.root,
            env={**self.environ, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )

    def __call__(self, *words: str, cwd: Path | None = None, **environ: str) -> str:
        """What it prints; it has to end well."""
        done = self.start(*words, cwd=cwd, **environ)
        assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def completions(self, *words: str) -> list[str]:
        """What a TAB offers."""
        return self("mlops_lab", "--complete", "--", "mlops-lab", *words).split()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, workshop: dict[str, str]) -> House:
    root = tmp_path_factory.mktemp("house") / "mlops-lab"
    root.mkdir()
    for name in COPIED:
        if (HERE / name).is_dir():
            shutil.copytree(HERE / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(HERE / name, root / name)
    for page in HERE.glob("*.md"):
        shutil.copy(page, root)
    small = root.parent / "small"
    shutil.copytree(HERE / "tests" / "projects" / "small", small)
    (small / "noxfile.py").write_text(NOXFILE, encoding="utf-8")
    shutil.copy(HERE / "tasks.py", small)
    folders = f"{root / 'src'}:{root / 'docs'}"
    made = House(root, small, {**workshop, "PYTHONPATH": folders, "PYTHONDONTWRITEBYTECODE": "1"})
    made("rendering", "--text")
    fresh = made.start("rendering", "--check", "--text")
    made.fresh = fresh.returncode, fresh.stdout
    for patch in EXAMPLES.values():
        apply(root, patch, workshop)
    return made


def apply(root: Path, patch: str, environ: Mapping[str, str], *words: str) -> None:
    # Not as a part of a repository that the copy may lie in.
    given = {**environ, "GIT_CEILING_DIRECTORIES": str(root.parent)}
    argv = ["git", "apply", *words, "-"]
    done = subprocess.run(argv, cwd=root, env=given, input=patch, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_there_is_an_example_of_a_step_a_tool_and_a_hybrid() -> None:
    assert list(EXAMPLES) == ["A step", "A tool", "A hybrid"]
    assert CONTRIBUTING.count("```diff") == len(EXAMPLES)


@pytest.mark.parametrize("title", list(EXAMPLES))
def test_each_edits_nothing_but_the_table_and_applies_without_the_others(
    title: str, tmp_path: Path, workshop: dict[str, str]
) -> None:
    assert re.findall(r"^(?:---|\+\+\+) \w/(.+)$", EXAMPLES[title], re.MULTILINE) == [TABLE, TABLE]
    assert not re.search(r"^-(?!--)", EXAMPLES[title], re.MULTILINE), "it only adds"
    (tmp_path / TABLE).parent.mkdir(parents=True)
    shutil.copy(HERE / TABLE, tmp_path / TABLE)
    apply(tmp_path, EXAMPLES[title], workshop)
    assert (tmp_path / TABLE).read_text(encoding="utf-8") != (HERE / TABLE).read_text(encoding="utf-8")


# --- a hybrid ---


def test_nox_lists_the_hybrid(house: House) -> None:
    listed = json.loads(house("nox", "--script-mode", "none", "-l", "--json"))
    assert [each["session"] for each in listed if each["name"] == "check"] == [f"check({name})" for name in EVERY]


def test_the_workflows_matrix_has_it_on_every_system(house: House) -> None:
    entries = json.loads(house("mlops_lab", "matrix", "--json"))["include"]
    there = {name: {each["system"] for each in entries if each["hybrid"] == name} for name in EVERY}
    assert there[ADDED[1]] == {each["system"] for each in entries}
    assert there[ADDED[0]] == there["venv+poetry"]
    small = json.loads(house("mlops_lab", "matrix", "--json", "--size", "small"))["include"]
    assert set(ADDED) <= {each["hybrid"] for each in small}


def test_the_tasks_show_it(house: House) -> None:
    hybrids = json.loads(house("mlops_lab", "hybrids", "--json", cwd=house.small))
    assert [each["hybrid"] for each in hybrids] == EVERY
    assert all(each["runs"] for each in hybrids if each["hybrid"] in ADDED)
    guide = house("mlops_lab", "guide", "--hybrid", "virtualenv+uv", cwd=house.small)
    assert re.search(r"create +virtualenv --python=python \S+/small/\.venv\n", guide)
    assert re.search(r"compat +python -m pip check\n", guide)
    assert "virtualenv" in json.loads(house("mlops_lab", "tools", "--json", cwd=house.small))
    refused = house.start("mlops_lab", "setup", "--hybrid", "virtualenv+u", cwd=house.small)
    assert refused.returncode == 2
    assert "did you mean virtualenv+uv" in refused.stderr


def test_a_tab_offers_what_was_added(house: House) -> None:
    assert set(ADDED) <= set(house.completions("setup", "--hybrid", "v"))
    assert "team-conda" in house.completions("setup", "--conda", "t")
    assert "tree" in house.completions("tr")
    assert house.completions("tree", "--hy") == ["--hybrid"]


def test_the_documentation_is_stale_until_it_is_rendered_with_them(house: House) -> None:
    assert house.fresh == (0, "")
    stale = house.start("rendering", "--check", "--text")
    assert stale.returncode == 1
    assert {"stale: docs/guide.md", "stale: docs/reference/tasks.md"} <= set(stale.stdout.splitlines())
    house("rendering", "--text")
    page = (house.root / "docs" / "guide.md").read_text(encoding="utf-8")
    shown = re.findall(r'^=== "virtualenv\+uv"\n\n    ```bash\n    (.+)$', page, re.MULTILINE)
    assert "virtualenv --python=PYTHON ENV" in shown
    assert "uv tree --frozen" in shown
    assert "| `virtualenv+poetry`, `virtualenv+uv` | a venv | the manager, from its lock |" in page
    assert "## 10. See who brought what" in page
    assert "`team-conda env create" in page
    assert "\n## tree {" in (house.root / "docs" / "reference" / "tasks.md").read_text(encoding="utf-8")
    house("rendering", "--check", "--text")


def test_a_setup_makes_a_verified_environment_with_it(house: House) -> None:
    told = json.loads(house("mlops_lab", "setup", "--hybrid", "virtualenv+uv", "--json", cwd=house.small))
    assert told["hybrid"] == "virtualenv+uv"
    assert {"small", "cowsay", "iniconfig"} <= set(told["packages"])
    config = (house.small / ".venv" / "pyvenv.cfg").read_text(encoding="utf-8")
    assert re.search(r"^virtualenv = \d", config, re.MULTILINE)
    assert not json.loads(house("mlops_lab", "setup", "--json", cwd=house.small))["because"]
    assert "cowsay" in house(
        "mlops_lab", "run", "--", "python", "-c", "import cowsay; print(cowsay.__name__)", cwd=house.small
    )
    # The step, once as each program's task.
    assert re.search(r"^small v1\.2\.3\n.+ cowsay v6", house("mlops_lab", "tree", cwd=house.small), re.MULTILINE)
    assert re.search(r"^cowsay +6", house("invoke", "tree", "--hybrid", "venv+poetry", cwd=house.small), re.MULTILINE)
    assert "  tree " in house("invoke", "--list", cwd=house.small)


def test_its_session_runs_every_step_the_added_one_too(house: House) -> None:
    done = house.start("nox", "-s", "check(virtualenv+uv)", cwd=house.small)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    said = f"{done.stdout}\n{done.stderr}"
    steps = re.findall(r"^ok +(\d+) ", said, re.MULTILINE)
    assert {int(number) for number in steps} == set(range(1, 11))
    folder = house.small / ".mlops-lab" / "check" / "virtualenv+uv"
    assert json.loads((folder / "inventory.json").read_text(encoding="utf-8"))["hybrid"] == "virtualenv+uv"


# --- a tool ---


def test_a_program_acts_as_conda_by_its_row(
    house: House, conda_channel: Channel, tmp_path: Path, workshop: dict[str, str]
) -> None:
    program = tmp_path / "bin" / "team-conda"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m mlops_lab.conda "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    project = tmp_path / "small"
    shutil.copytree(HERE / "tests" / "projects" / "small", project)
    environ = {
        **conda_channel.environ,
        "CONDA_ENVS_DIRS": str(tmp_path / "envs"),
        "PATH": f"{program.parent}:{workshop['PATH']}",
    }
    told = json.loads(house("mlops_lab", "setup", "--hybrid", "conda+uv", "--json", cwd=project, **environ))
    assert (told["engine"], told["hybrid"]) == ("team-conda", "conda+uv")
    assert Path(told["prefix"]) == tmp_path / "envs" / "small"
    guide = house("mlops_lab", "guide", cwd=project, **environ)
    assert re.search(r"create +team-conda env update -n small -f conda\.yml --prune\n", guide)
    named: Sequence[str] = ("mlops_lab", "setup", "--conda", "team-conda", "--json")
    assert not json.loads(house(*named, cwd=project, **environ))["because"]
    gone = house.start("mlops_lab", "setup", cwd=project, **{**environ, "PATH": workshop["PATH"]})
    assert "was made by team-conda, which is not to be found now" in gone.stderr
