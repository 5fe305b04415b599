"""Files that disagree: each kind of finding, what mends it, and what is none; written out in small projects."""

from __future__ import annotations

import contextlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_lab import drift
from mlops_lab.environment import Environment, Stamp, write_stamp
from mlops_lab.errors import WRONG, LabError
from mlops_lab.findings import Finding, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PYPROJECT = """\
[project]
name = "lab"
version = "1"
requires-python = ">=3.11,<3.14"
dependencies = [
    "numpy>=2",
    "six",
]

[dependency-groups]
dev = ["pytest>=8"]

[tool.poetry]
package-mode = false

[tool.uv]
package = false
"""
POETRY_LOCK = """\
[[package]]
name = "iniconfig"
version = "2.0"
optional = false
python-versions = ">=3.8"
groups = ["dev"]
files = []

[[package]]
name = "numpy"
version = "2.1.0"
optional = false
python-versions = ">=3.10"
groups = ["main"]
files = []

[[package]]
name = "pytest"
version = "8.3"
optional = false
python-versions = ">=3.8"
groups = ["dev"]
files = []

[package.dependencies]
iniconfig = ">=1"

[[package]]
name = "six"
version = "1.16"
optional = false
python-versions = "*"
groups = ["main"]
files = []

[metadata]
lock-version = "2.1"
python-versions = ">=3.11,<3.14"
content-hash = "0"
"""
UV_LOCK = """\
version = 1
revision = 3
requires-python = ">=3.11, <3.14"

[[package]]
name = "iniconfig"
version = "2.0"
source = { registry = "https://index.example/simple" }

[[package]]
name = "lab"
version = "1"
source = { virtual = "." }
dependencies = [
    { name = "numpy" },
    { name = "six" },
]

[package.dev-dependencies]
dev = [
    { name = "pytest" },
]

[package.metadata]
requires-dist = [
    { name = "numpy", specifier = ">=2" },
    { name = "six" },
]

[package.metadata.requires-dev]
dev = [{ name = "pytest", specifier = ">=8" }]

[[package]]
name = "numpy"
version = "2.1.0"
source = { registry = "https://index.example/simple" }

[[package]]
name = "pytest"
version = "8.3"
source = { registry = "https://index.example/simple" }
dependencies = [
    { name = "iniconfig" },
]

[[package]]
name = "six"
version = "1.16"
source = { registry = "https://index.example/simple" }
"""
HASH = f"sha256:{'0' * 64}"
REQUIREMENTS = f"""\
iniconfig==2.0 \\
    --hash={HASH}
numpy==2.1.0 \\
    --hash={HASH}
pytest==8.3 \\
    --hash={HASH}
six==1.16 \\
    --hash={HASH}
"""
CONDA_YML = """\
name: lab
channels:
  - conda-forge
dependencies:
  - python >=3.11,<3.14
  - numpy >=2
  - cmake
"""
FILES = {
    "pyproject.toml": PYPROJECT,
    "poetry.lock": POETRY_LOCK,
    "uv.lock": UV_LOCK,
    "requirements.txt": REQUIREMENTS,
    "conda.yml": CONDA_YML,
    ".python-version": "3.12\n",
}


class World:
    """A project in a folder, in step until a test moves something."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write(**FILES)

    def write(self, **files: str) -> None:
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.root / name).read_text(encoding="utf-8")
        assert old in text
        self.write(**{name: text.replace(old, new, 1)})

    def only(self, *names: str) -> None:
        for name in FILES:
            if name not in names:
                (self.root / name).unlink()

    def line(self, name: str, text: str) -> int:
        lines = (self.root / name).read_text(encoding="utf-8").splitlines()
        return next(number for number, line in enumerate(lines, 1) if text in line)

    def install(self, packages: Mapping[str, str], *, stamped: bool = True) -> Path:
        """An environment with these packages, as it looks from outside."""
        prefix = self.root / ".venv"
        site = prefix / "lib" / "python3.12" / "site-packages"
        site.mkdir(parents=True)
        (prefix / "pyvenv.cfg").write_text("version = 3.12.4\n", encoding="utf-8")
        (prefix / "bin").mkdir()
        (prefix / "bin" / "python").touch(mode=0o755)
        for name, version in packages.items():
            (site / f"{name}-{version}.dist-info").mkdir()
        if stamped:
            write_stamp(prefix, Stamp(str(self.root), "venv+poetry", groups=("dev",), fingerprint={}))
        return site

    def found(self, *names: str) -> Sequence[Finding]:
        return drift.examine(drift.subject_at(self.root, {}), [self.root / name for name in names]).findings

    def one(self, *names: str) -> Finding:
        findings = self.found(*names)
        assert len(findings) == 1, findings
        return findings[0]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "nobody")
    (tmp_path / "lab").mkdir()
    return World(tmp_path / "lab")


INSTALLED = {"iniconfig": "2.0", "numpy": "2.1.0", "pytest": "8.3", "six": "1.16", "pip": "25.0"}


def test_files_in_step_have_no_finding(world: World) -> None:
    world.install(INSTALLED)
    found = drift.examine(drift.subject_at(world.root, {}))
    assert found.findings == []
    assert found.examined.keys() == {*FILES, str(world.root / ".venv")}
    assert found.examined["poetry.lock"] == "locked by Poetry, 4 packages"
    assert not found.errors


def test_this_repository_has_no_finding() -> None:
    found = drift.examine(drift.Subject(Path(__file__).parents[2]))
    assert found.findings == []
    assert {"pyproject.toml", "conda.yml", "poetry.lock", "requirements.txt"} <= found.examined.keys()


# --- one move in each file -----------------------------------------------------------------------------------------

MOVES: dict[str, tuple[str, str, str, str, str]] = {
    # case: file, old, new, the kinds (uv.lock alone remembers what it was asked for), package
    "pyproject.toml, a range": ("pyproject.toml", '"numpy>=2"', '"numpy>=2.2"', "violation stale", "numpy"),
    "pyproject.toml, a group": ("pyproject.toml", '"pytest>=8"', '"pytest>=8.4"', "violation stale", "pytest"),
    "pyproject.toml, python": ("pyproject.toml", ">=3.11,<3.14", ">=3.12,<3.14", "stale", ""),
    "conda.yml, a cap": ("conda.yml", "numpy >=2", "numpy <2", "conflict", "numpy"),
    "conda.yml, a pin": ("conda.yml", "numpy >=2", "numpy =2.0", "conflict", "numpy"),
    "conda.yml, python": ("conda.yml", "python >=3.11,<3.14", "python =3.10", "python", ""),
    "poetry.lock, a version": ("poetry.lock", 'version = "2.1.0"', 'version = "2.1.1"', "conflict", "numpy"),
    "poetry.lock, indirectly": ("poetry.lock", 'version = "2.0"', 'version = "2.0.1"', "conflict", "iniconfig"),
    "uv.lock, a version": ("uv.lock", 'version = "2.1.0"', 'version = "2.1.1"', "conflict", "numpy"),
    "uv.lock, indirectly": ("uv.lock", 'version = "2.0"', 'version = "2.0.1"', "conflict", "iniconfig"),
    "requirements.txt, a version": ("requirements.txt", "six==1.16", "six==1.15", "conflict", "six"),
    ".python-version": (".python-version", "3.12", "3.10", "python", ""),
}


@pytest.mark.parametrize("case", MOVES)
def test_a_single_move_is_found_and_named(world: World, case: str) -> None:
    name, old, new, kinds, package = MOVES[case]
    world.edit(name, old, new)
    line = world.line(name, new)
    findings = world.found()
    assert {finding.kind for finding in findings} == {*kinds.split()}
    for finding in findings:
        assert finding.package == package
        assert finding.severity == "error"
        assert finding.command or finding.otherwise
    # Where the leader has moved, each follower is told; whoever moved is a side of each.
    assert all(any((side.path, side.line) == (name, line) for side in finding.sources) for finding in findings)


@pytest.mark.parametrize(
    ("old", "new", "package", "said"),
    [
        ("numpy-2.1.0", "numpy-2.0.0", "numpy", "numpy 2.0.0"),
        ("six-1.16", "", "six", "not installed"),
        ("", "left_over-1.0", "left-over", "left-over 1.0"),
    ],
)
def test_a_move_in_the_environment_is_found_and_named(
    world: World, old: str, new: str, package: str, said: str
) -> None:
    site = world.install(INSTALLED)
    if old:
        (site / f"{old}.dist-info").rmdir()
    if new:
        (site / f"{new}.dist-info").mkdir()
    finding = world.one()
    assert (finding.kind, finding.package) == ("installed", package)
    assert finding.sources[-1] == Source(".venv", 0, said)
    assert finding.sources[0].path == "poetry.lock"
    assert (finding.command, finding.mend) == ("invoke install", "install")


def test_an_interpreter_that_no_file_means_is_found(world: World) -> None:
    world.install(INSTALLED)
    (world.root / ".venv" / "pyvenv.cfg").write_text("version = 3.10.1\n", encoding="utf-8")
    finding = next(each for each in world.found() if each.kind == "python")
    assert finding.sources[-1] == Source(".venv", 0, "Python 3.10.1")
    assert finding.command == "invoke setup --force"


# --- the environment -----------------------------------------------------------------------------------------------


def test_no_environment_is_no_finding(world: World) -> None:
    assert drift.subject_at(world.root, {}).environment is None
    assert world.found() == []


def test_of_an_environment_without_a_stamp_nobody_knows_the_groups(world: World) -> None:
    world.install({"numpy": "2.1.0", "six": "1.16", "stray": "1"}, stamped=False)
    finding = world.one()
    assert (finding.package, finding.severity, finding.mend) == ("stray", "warning", "")
    assert (finding.command, finding.otherwise) == ("", "`invoke add stray` makes it official, or uninstall it")


def test_what_somebody_else_has_made_is_rebuilt_only_on_request(world: World) -> None:
    """`invoke install` refuses it, and `invoke setup` does so too without --force."""
    world.install({"numpy": "2.0.0"}, stamped=False)
    (world.root / ".venv" / "pyvenv.cfg").write_text("version = 3.10.1\n", encoding="utf-8")
    found = world.found()
    assert {(each.kind, each.package) for each in found} == {
        ("installed", "numpy"),
        ("installed", "six"),
        ("python", ""),
    }
    assert {(each.command, each.mend) for each in found} == {("invoke setup --force", "")}
    yourself = "install it yourself: mlops-lab did not make .venv, and makes it anew"
    assert {each.otherwise.partition(";")[0] for each in found if each.package} == {yourself}
    (world.root / ".venv").rename(world.root / "my env")
    every = drift.examine(drift.subject_at(world.root, {}, str(world.root / "my env"))).findings
    name = str(world.root / "my env")
    assert {each.command for each in every} == {f"invoke setup --force --prefix '{name}'"}


def test_the_commands_name_the_environment_that_was_asked_for(world: World) -> None:
    world.install({**INSTALLED, "numpy": "2.0.0"})
    (world.root / ".venv").rename(world.root / "other")
    (finding,) = drift.examine(drift.subject_at(world.root, {}, str(world.root / "other"))).findings
    assert (finding.package, finding.command) == ("numpy", f"invoke install --prefix {world.root / 'other'}")


def test_what_was_never_finished_is_finished(world: World) -> None:
    world.install({"numpy": "2.1.0"})
    write_stamp(world.root / ".venv", Stamp(str(world.root), "venv+poetry"))
    finding = world.one()
    assert (finding.package, finding.command, finding.mend) == ("six", "invoke setup", "setup")


def test_an_environment_of_something_else_is_told_once(world: World) -> None:
    world.install({"numpy": "2.0.0"})
    packages = "".join(
        f'[[package]]\nname = "p{number}"\nversion = "1"\ngroups = ["main"]\nfiles = []\n\n' for number in range(20)
    )
    world.edit("poetry.lock", "[metadata]", f"{packages}[metadata]")
    (finding,) = (each for each in world.found() if each.kind == "installed")
    assert (finding.package, finding.command, finding.mend) == ("", "invoke install", "install")
    assert finding.why == (
        ".venv has 24 of the 24 packages of poetry.lock not at all or otherwise (iniconfig, numpy, pytest, …)"
    )


def test_an_environment_without_its_interpreter_is_not_said_to_be_examined(world: World) -> None:
    world.install(INSTALLED)
    (world.root / ".venv" / "bin" / "python").unlink()
    found = drift.examine(drift.subject_at(world.root, {}))
    assert found.findings == []
    assert found.examined.keys() == {*FILES}


def test_groups_that_the_environment_was_made_without_are_not_missed(world: World) -> None:
    world.install({"numpy": "2.1.0", "six": "1.16"})
    write_stamp(world.root / ".venv", Stamp(str(world.root), "venv+poetry", fingerprint={}))
    assert world.found() == []


def test_a_local_version_is_the_version(world: World) -> None:
    world.install({**INSTALLED, "numpy": "2.1.0+cu121"})
    assert world.found() == []


def test_the_environment_of_another_project_is_left_alone(world: World, tmp_path: Path) -> None:
    world.install(INSTALLED)
    other = tmp_path / "elsewhere"
    (world.root / ".venv").rename(other)
    write_stamp(other, Stamp("/another/project", "venv+poetry", fingerprint={}))
    with pytest.raises(LabError, match="there is no environment of this project at") as caught:
        drift.subject_at(world.root, {}, str(other))
    assert caught.value.code == WRONG


def test_what_was_installed_is_no_stray_where_the_manifest_cannot_be_read(world: World) -> None:
    world.install({**INSTALLED, "demo": "0.1", "stray": "1"})
    installed = {**INSTALLED, "demo": "0.1"}
    stamp = Stamp(str(world.root), "venv+poetry", groups=("dev",), installed=installed, fingerprint={})
    write_stamp(world.root / ".venv", stamp)
    (world.root / "pyproject.toml").write_text("x = [\n", encoding="utf-8")
    assert [(each.kind, each.package) for each in world.found()] == [("unreadable", ""), ("installed", "stray")]


def test_what_a_stray_brought_along_is_told_with_it(world: World) -> None:
    site = world.install({**INSTALLED, "stray": "1", "brought": "2"})
    (site / "stray-1.dist-info" / "METADATA").write_text(
        "Name: stray\nRequires-Dist: Brought>=1\nRequires-Dist: six\n\nRequires-Dist: not-a-header\n", encoding="utf-8"
    )
    finding = world.one()
    assert finding.package == "stray"
    assert "with its requirements (brought)" in finding.why


def test_what_the_pip_part_of_a_conda_environment_brought_belongs_there(world: World) -> None:
    site = world.install({**INSTALLED, "tool": "1", "brought": "2", "stray": "1"})
    (site / "tool-1.dist-info" / "METADATA").write_text("Requires-Dist: brought\n", encoding="utf-8")
    prefix = world.root / ".venv"
    (prefix / "pyvenv.cfg").unlink()
    (prefix / "conda-meta").mkdir()
    record = {"name": "python", "version": "3.12.4", "build": "0", "files": []}
    (prefix / "conda-meta" / "python-3.12.4-0.json").write_text(json.dumps(record), encoding="utf-8")
    write_stamp(prefix, Stamp(str(world.root), "conda+poetry", groups=("dev",), fingerprint={}))
    world.edit("conda.yml", "  - cmake\n", "  - cmake\n  - pip:\n      - tool\n")
    finding = world.one()
    assert finding.package == "stray"
    assert finding.command == "invoke run -- python -m pip uninstall stray"
    assert finding.mend == ""


def test_a_conda_environment_is_found_by_its_stamp(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    home = world.root / "home"
    prefix = home / "envs" / "lab"
    (prefix / "conda-meta").mkdir(parents=True)
    write_stamp(prefix, Stamp(str(world.root), "conda+poetry", fingerprint={}))
    (home / ".conda").mkdir()
    (home / ".conda" / "environments.txt").write_text(f"/gone\n{prefix}\n", encoding="utf-8")
    monkeypatch.setattr(Path, "home", lambda: home)
    assert drift.subject_at(world.root, {}).environment == Environment(prefix, conda=True)


# --- manifest and locks --------------------------------------------------------------------------------------------


def test_a_lock_that_is_older_is_told_once_for_each_package(world: World) -> None:
    world.only("pyproject.toml", "uv.lock")
    world.edit("pyproject.toml", '"six",', '"six>=2",\n    "rich",')
    findings = {finding.package: finding for finding in world.found()}
    assert {name: finding.kind for name, finding in findings.items()} == {"six": "stale", "rich": "stale"}
    assert findings["six"].sources == (
        Source("pyproject.toml", 7, "six>=2"),
        Source("uv.lock", world.line("uv.lock", '{ name = "six" },\n]'.partition("\n")[0]) + 11, "six"),
    )
    assert "when pyproject.toml asked for six; now it asks for six>=2" in findings["six"].why


def test_what_nothing_asks_for_any_more_is_told_with_what_it_brought(world: World) -> None:
    world.only("pyproject.toml", "poetry.lock")
    world.edit("pyproject.toml", '"pytest>=8"', "")
    finding = world.one()
    assert (finding.kind, finding.package) == ("stale", "pytest")
    assert "with iniconfig" in finding.why


def test_what_moved_to_another_group_is_stale(world: World) -> None:
    world.only("pyproject.toml", "poetry.lock")
    world.edit("pyproject.toml", '    "six",\n', "")
    world.edit("pyproject.toml", '"pytest>=8"', '"pytest>=8", "six"')
    finding = world.one()
    assert (finding.kind, finding.package) == ("stale", "six")
    assert "for main only" in finding.why


def test_a_marker_says_where_something_is_missing(world: World) -> None:
    world.only("pyproject.toml", "poetry.lock")
    world.edit("pyproject.toml", '"six",', '"six",\n    "rich ; sys_platform == \'win32\'",')
    finding = world.one()
    assert (finding.kind, finding.package, finding.where) == ("missing", "rich", ("win32",))


def test_a_requirement_for_nowhere_is_no_finding(world: World) -> None:
    world.only("pyproject.toml", "poetry.lock")
    world.edit("pyproject.toml", '"six",', '"six",\n    "rich ; python_version < \'3.9\'",')
    assert world.found() == []


def test_two_origins_are_a_conflict(world: World) -> None:
    world.only("pyproject.toml", "poetry.lock", "uv.lock")
    world.edit(
        "uv.lock",
        'version = "1.16"\nsource = { registry = "https://index.example/simple" }',
        'version = "1.16"\nsource = { git = "https://git.example/six#0123456789abcdef" }',
    )
    finding = world.one()
    assert (finding.kind, finding.package) == ("conflict", "six")
    assert finding.sources[-1].said == "six 1.16 from git at 0123456789"


def test_what_came_with_another_package_is_told_with_it(world: World) -> None:
    """One lock has gone on to a pytest that brings nothing: iniconfig went with it."""
    world.only("pyproject.toml", "poetry.lock", "uv.lock")
    text = (world.root / "poetry.lock").read_text(encoding="utf-8")
    text = text[text.index("[[package]]", 5) :].replace('\n[package.dependencies]\niniconfig = ">=1"\n', "")
    world.write(**{"poetry.lock": text.replace('version = "8.3"', 'version = "8.4"')})
    assert [(each.kind, each.package) for each in world.found()] == [("conflict", "pytest")]


def test_the_follower_gives_way(world: World) -> None:
    world.only("pyproject.toml", "poetry.lock", "uv.lock")
    world.edit("uv.lock", 'version = "1.16"', 'version = "1.15"')
    finding = world.one()
    assert [side.path for side in finding.sources] == ["poetry.lock", "uv.lock"]
    assert (finding.command, finding.mend) == ("invoke lock", "follow")
    world.write(**{"pyproject.toml": PYPROJECT + '\n[tool.mlops-lab]\nleader = "uv"\n'})
    finding = world.one()
    assert [side.path for side in finding.sources] == ["uv.lock", "poetry.lock"]
    assert finding.mend == "follow"


def index(*paths: str, version: int = 2) -> bytes:
    """What Git tracks, each entry with the length of its path before it: https://git-scm.com/docs/index-format."""
    entries = (bytes(60) + len(path).to_bytes(2, "big") + path.encode() + b"\0" for path in paths)
    return b"DIRC" + version.to_bytes(4, "big") + len(paths).to_bytes(4, "big") + b"".join(entries)


def test_the_lock_that_git_tracks_leads(world: World) -> None:
    (world.root / ".git").mkdir()
    tracked = world.root / ".git" / "index"
    for content, leader in (
        (index("uv.lock", "pyproject.toml"), "uv"),
        (index("poetry.lock", "sub/uv.lock"), "poetry"),
        (index("sub/uv.lock"), "poetry"),
        (index("uv.lock", "poetry.lock"), "poetry"),
        (index("uv.lock", version=4), "poetry"),
        (b"", "poetry"),
    ):
        tracked.write_bytes(content)
        assert drift.subject_at(world.root, {}).leader == leader
    tracked.unlink()
    (world.root / "poetry.lock").unlink()
    assert drift.subject_at(world.root, {}).leader == "uv"


def test_the_lock_that_git_tracks_leads_below_the_top_and_in_a_worktree(world: World) -> None:
    above = world.root.parent
    (above / ".git").write_text("gitdir: elsewhere/worktrees/lab\n", encoding="utf-8")
    (above / "elsewhere" / "worktrees" / "lab").mkdir(parents=True)
    tracked = above / "elsewhere" / "worktrees" / "lab" / "index"
    tracked.write_bytes(index("uv.lock"))
    assert drift.subject_at(world.root, {}).leader == "poetry"
    tracked.write_bytes(index("lab/uv.lock"))
    assert drift.subject_at(world.root, {}).leader == "uv"


# --- exports -------------------------------------------------------------------------------------------------------


def test_an_export_that_is_older_is_told_for_each_package(world: World) -> None:
    world.edit("requirements.txt", f"six==1.16 \\\n    --hash={HASH}\n", f"rich==13.0 \\\n    --hash={HASH}\n")
    findings = world.found()
    assert [(each.kind, each.package) for each in findings] == [("missing", "six"), ("stale", "rich")]
    assert {each.command for each in findings} == {"invoke export"}
    assert {each.mend for each in findings} == {"export"}


def test_an_export_of_long_ago_is_told_once(world: World) -> None:
    names = [f"package-{number}" for number in range(30)]
    asked = "".join(f'    "{name}",\n' for name in names)
    world.only("pyproject.toml")
    world.edit("pyproject.toml", '    "numpy>=2",\n    "six",\n', asked)
    world.edit("pyproject.toml", 'dev = ["pytest>=8"]', "dev = []")
    entry = '[[package]]\nname = "{}"\nversion = "2"\noptional = false\npython-versions = "*"\ngroups = ["main"]\n'
    end = POETRY_LOCK[POETRY_LOCK.index("[metadata]") :]
    world.write(
        **{
            "poetry.lock": "\n".join([*(entry.format(name) for name in names), end]),
            "requirements.txt": "".join(f"{name}==1 \\\n    --hash={HASH}\n" for name in names),
        }
    )
    finding = world.one()
    assert (finding.kind, finding.package, finding.command) == ("stale", "", "invoke export")
    assert "30 of its 30 packages are at other versions" in finding.why


def test_an_export_that_agrees_with_one_of_two_locks_is_not_at_fault(world: World) -> None:
    world.edit("uv.lock", 'version = "1.16"', 'version = "1.15"')
    world.edit("requirements.txt", "six==1.16", "six==1.15")
    assert [[side.path for side in each.sources] for each in world.found()] == [["poetry.lock", "uv.lock"]]


# --- what people write ---------------------------------------------------------------------------------------------


def test_what_only_a_person_can_decide_has_no_command(world: World) -> None:
    world.only("pyproject.toml", "conda.yml")
    world.edit("conda.yml", "numpy >=2", "numpy <2")
    finding = world.one()
    assert finding.sources == (Source("pyproject.toml", 6, "numpy>=2"), Source("conda.yml", 6, "numpy <2"))
    assert (finding.command, finding.mend) == ("", "")
    assert finding.otherwise == "edit pyproject.toml:6 or conda.yml:6"


def test_conda_is_compared_where_its_python_is(world: World) -> None:
    world.only("pyproject.toml", "conda.yml")
    world.edit("pyproject.toml", '"numpy>=2"', "\"numpy>=2 ; python_version >= '3.13'\"")
    world.edit("conda.yml", "numpy >=2", "numpy <2")
    assert world.one().where == ("3.13",)
    world.edit("conda.yml", "python >=3.11,<3.14", "python =3.12")
    assert world.found() == []


def test_own_names_of_conda(world: World) -> None:
    world.only("pyproject.toml", "conda.yml")
    world.edit("conda.yml", "numpy >=2", "our-numpy <2")
    assert world.found() == []
    world.write(**{"pyproject.toml": PYPROJECT + '\n[tool.mlops-lab.conda-names]\n"our-numpy" = "numpy"\n'})
    assert world.one().package == "numpy"
    world.edit("conda.yml", "our-numpy <2", "numpy <2")
    world.write(**{"pyproject.toml": PYPROJECT + '\n[tool.mlops-lab.conda-names]\nnumpy = ""\n'})
    assert world.found() == []


def test_files_and_packages_can_be_left_alone(world: World) -> None:
    world.edit("conda.yml", "numpy >=2", "numpy <2")
    world.edit("requirements.txt", "six==1.16", "six==1.15")
    assert len(world.found()) == 2
    world.write(**{"pyproject.toml": PYPROJECT + '\n[tool.mlops-lab.drift]\nignore = ["conda.*", "s?x"]\n'})
    found = drift.examine(drift.subject_at(world.root, {}))
    assert found.findings == []
    assert "conda.yml" not in found.examined


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("conda-names = 3", "tool.mlops-lab.conda-names is not a table"),
        ('conda-names = { torch = "no name!" }', "says 'no name!' of torch, which is no name of a package"),
        ("conda-names = { torch = 1 }", "says 1 of torch"),
        ("drift = 3", "tool.mlops-lab.drift is not a table"),
        ("drift = { ignored = [] }", "tool.mlops-lab.drift has a key 'ignored'"),
        ('drift = { ignore = "six" }', "tool.mlops-lab.drift.ignore is not a list"),
        ("drift = { ignore = [1] }", "tool.mlops-lab.drift.ignore is not a list"),
    ],
)
def test_settings_that_are_wrong_are_refused(world: World, table: str, message: str) -> None:
    world.write(**{"pyproject.toml": f"{PYPROJECT}\n[tool.mlops-lab]\n{table}\n"})
    with pytest.raises(LabError) as caught:
        drift.subject_at(world.root, {})
    assert message in caught.value.message
    assert caught.value.hint
    assert caught.value.code == WRONG


# --- which files ---------------------------------------------------------------------------------------------------


def test_a_project_need_not_have_a_pyproject(world: World) -> None:
    world.only("conda.yml", "requirements.txt")
    world.write(**{"requirements.txt": "numpy==1.26\n"})
    finding = world.one()
    assert (finding.kind, finding.package) == ("conflict", "numpy")
    assert finding.otherwise == "edit conda.yml:6 or requirements.txt:1"


def test_one_file_is_compared_with_all_others(world: World) -> None:
    world.edit("conda.yml", "numpy >=2", "numpy <2")
    world.edit("requirements.txt", "six==1.16", "six==1.15")
    assert [each.package for each in world.found("conda.yml")] == ["numpy"]
    assert [each.package for each in world.found("requirements.txt")] == ["six"]
    assert world.found(".python-version") == []


def test_several_files_are_compared_with_each_other(world: World) -> None:
    world.edit("conda.yml", "numpy >=2", "numpy <2")
    world.edit("requirements.txt", "six==1.16", "six==1.15")
    finding = world.one("conda.yml", "uv.lock")
    assert [side.path for side in finding.sources] == ["uv.lock", "conda.yml"]
    assert world.found(".python-version", "uv.lock") == []


def test_a_file_that_is_not_there_is_refused(world: World) -> None:
    with pytest.raises(LabError, match=r"there is no file .*absent\.lock") as caught:
        world.found("absent.lock")
    assert caught.value.code == WRONG


def test_a_folder_with_nothing_in_it_is_not_called_sound(tmp_path: Path) -> None:
    with pytest.raises(LabError) as caught:
        drift.examine(drift.subject_at(tmp_path, {}))
    assert (caught.value.message, caught.value.code) == (f"there is no file that names packages in {tmp_path}", 2)
    assert caught.value.hint.startswith("go to the project, or name files such as pyproject.toml")


def test_a_link_that_leads_nowhere_is_told(tmp_path: Path) -> None:
    (tmp_path / "conda.yml").symlink_to("gone.yml")
    (tmp_path / "requirements.txt").symlink_to("requirements.txt")
    (tmp_path / "requirements-dev.txt").write_text("six\n", encoding="utf-8")
    every = drift.examine(drift.subject_at(tmp_path, {})).findings
    assert [(each.sources[0].path, each.why) for each in every] == [
        ("conda.yml", "leads to gone.yml, which is not there"),
        ("requirements.txt", "cannot be read: Too many levels of symbolic links"),
    ]
    assert [each.otherwise for each in every] == ["mend the link", f"see `ls -l {tmp_path / 'requirements.txt'}`"]
    with pytest.raises(LabError, match="there is no file "):
        drift.examine(drift.subject_at(tmp_path, {}), [tmp_path / "requirements.txt"])


def test_a_file_that_is_named_twice_is_one(world: World) -> None:
    world.edit("uv.lock", 'name = "six"\nversion = "1.16"', 'name = "six"\nversion = "1.17"')
    assert world.one("uv.lock", "./uv.lock") == world.one("uv.lock")


def test_a_lock_of_another_folder_is_not_passed_over(tmp_path: Path) -> None:
    inner = tmp_path / "in ner"
    inner.mkdir()
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "outer"\nversion = "1"\n', encoding="utf-8")
    (inner / "pyproject.toml").write_text('[project]\nname = "inner"\nversion = "1"\n', encoding="utf-8")
    (inner / "poetry.lock").write_text('[[package]]\nname = "six"\nversion = "1.16"\n', encoding="utf-8")
    outside = drift.subject_at(tmp_path, {})
    for named in ([inner / "poetry.lock"], [inner / "pyproject.toml", inner / "poetry.lock"]):
        with pytest.raises(LabError) as caught:
            drift.examine(outside, named)
        assert caught.value.message == f"in ner/poetry.lock is no lock of the project in {tmp_path}"
        assert caught.value.hint == "go to its own folder: cd 'in ner'"
        assert drift.examine(drift.subject_at(inner, {}), named).examined


def test_a_header_that_was_written_in_a_folder_is_followed_there(tmp_path: Path) -> None:
    (tmp_path / "requirements").mkdir()
    header = (
        "#\n# This file is autogenerated by pip-compile with Python 3.12\n# by the following command:\n#\n#    {}\n#\n"
    )
    (tmp_path / "requirements" / "dev.in").write_text("six>=1.17\n", encoding="utf-8")
    for command, told in (
        ("pip-compile dev.in --output-file=dev.txt", "`pip-compile dev.in --output-file=dev.txt` in requirements"),
        ("pip-compile requirements/dev.in -o requirements/dev.txt", "-o requirements/dev.txt`"),
    ):
        text = header.format(command) + "six==1.16\n    # via -r dev.in\n"
        (tmp_path / "requirements" / "dev.txt").write_text(text, encoding="utf-8")
        (found,) = drift.examine(drift.subject_at(tmp_path, {})).findings
        assert (found.kind, found.package) == ("violation", "six")
        assert found.otherwise.startswith("make it again with `pip-compile ")
        assert found.otherwise.endswith(told)


BROKEN: dict[str, Callable[[World], None]] = {
    "pyproject.toml": lambda world: world.edit("pyproject.toml", '"six",', '"six,'),
    "poetry.lock": lambda world: world.edit("poetry.lock", "[[package]]", "<<<<<<< HEAD\n[[package]]"),
    "conda.yml": lambda world: world.edit("conda.yml", "  - numpy", "\t- numpy"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_cannot_be_read_is_the_only_finding(world: World, name: str) -> None:
    BROKEN[name](world)
    finding = world.one()
    assert (finding.kind, finding.severity) == ("unreadable", "error")
    assert finding.sources[0].path == name
    assert finding.sources[0].line
    assert finding.otherwise


def test_what_is_included_and_is_not_there_is_told(world: World) -> None:
    world.only()
    world.write(**{"requirements.txt": "six\n-r more/base.txt\n"})
    finding = world.one()
    assert finding.sources == (Source("requirements.txt", 2, "-r more/base.txt"),)
    assert "includes more/base.txt, which is not there" in finding.why


@settings(max_examples=80, deadline=None, derandomize=True, database=None)
@given(
    name=st.sampled_from(sorted(FILES)),
    place=st.floats(0, 1),
    cut=st.integers(0, 40),
    put=st.sampled_from(
        ["", "\0", "[[package]]\n", "= 3\n", '"', "- pip:\n", "==", "||", "1!2", "<<<<<<< HEAD\n", "{}", "\n"]
    ),
)
def test_whatever_stands_in_the_files_is_told_and_never_a_traceback(
    name: str, place: float, cut: int, put: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        text = FILES[name]
        at = int(place * len(text))
        world.write(**{name: text[:at] + put + text[at + cut :]})
        with contextlib.suppress(LabError):  # what it says to us is refused
            for finding in drift.examine(drift.subject_at(world.root, {})).findings:
                assert finding.why
                assert finding.sources
                assert finding.severity != "error" or finding.command or finding.otherwise
