"""The inventory of an environment: what is taken from folders as installers leave them, and what can be read again."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_lab import contents, freshness, inventories, project, taking
from mlops_lab.environment import Environment, Stamp, write_stamp
from mlops_lab.environment import inventory as installed
from mlops_lab.errors import FOUND, WRONG, LabError
from mlops_lab.guide import hybrid_named
from mlops_lab.inventories import CondaPackage, Inventory, Package, Platform
from mlops_lab.runner import Runner
from mlops_lab.toolbox import Tool, Toolbox

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlops_lab.guide import Hybrid
    from mlops_lab.steps import Steps

SITE = "lib/python3.12/site-packages"
MANIFEST = """
[build-system]
requires = ["poetry-core"]
build-backend = "poetry.core.masonry.api"
[project]
name = "my_lab"
version = "1"
dependencies = ["numpy"]
[dependency-groups]
dev = ["pytest"]
"""
FILES: dict[str, list[str]] = {
    "numpy": ["numpy-2.1-cp312-cp312-{}.whl", "numpy-2.1.tar.gz"],
    "old": ["old-1.0-cp27-none-win32.whl", "not a wheel.whl", "old-1.0.tar.gz"],
    "pytest": [],
    "gone": ["gone-1.0-py3-none-any.whl"],
}
LOCKED = {"numpy": "2.1", "old": "1.0", "pytest": "9.0", "gone": "1.0"}


def poetry_lock() -> str:
    groups = {"pytest": "dev"}
    packages = "".join(
        f'[[package]]\nname = "{name}"\nversion = "{version}"\noptional = false\n'
        f'groups = ["{groups.get(name, "main")}"]\n'
        f"files = {json.dumps([{'file': file} for file in files(name)]).replace(': ', ' = ')}\n"
        for name, version in LOCKED.items()
    ).replace('"file" =', "file =")
    return f'{packages}[metadata]\nlock-version = "2.1"\npython-versions = "*"\ncontent-hash = "0"\n'


def uv_lock() -> str:
    at, index = "https://index.example/files/", "https://index.example/simple"
    packages = ""
    for name, version in LOCKED.items():
        wheels = ", ".join(f"{{ url = {json.dumps(at + file)} }}" for file in files(name) if file.endswith("whl"))
        packages += f'[[package]]\nname = "{name}"\nversion = "{version}"\nsource = {{ registry = "{index}" }}\n'
        packages += f'wheels = [{wheels}]\nsdist = {{ url = "{at}{name}.tar.gz" }}\n'
    needs = ", ".join(f'{{ name = "{name}" }}' for name in LOCKED)
    return (
        f'version = 1\nrequires-python = ">=3.11"\n{packages}[[package]]\nname = "my-lab"\nversion = "1"\n'
        f'source = {{ editable = "." }}\ndependencies = [{needs}]\n'
    )


def files(name: str) -> list[str]:
    from packaging.tags import platform_tags

    return [file.format(next(iter(platform_tags()))) for file in FILES[name]]


class FakeToolbox:
    used: Mapping[str, Any] = {}
    versions: Mapping[str, str] = {"uv": "0.13"}


@dataclass
class FakeSteps:
    """As much of the steps as looking needs."""

    project: project.Project
    environment: Environment
    hybrid: Hybrid
    leader: str = "poetry"
    groups: tuple[str, ...] = ("dev",)
    toolbox: FakeToolbox = field(default_factory=FakeToolbox)
    engine: None = None

    @property
    def requirements(self) -> Path:
        return self.project.requirements

    def require_environment(self) -> None:
        assert self.environment.exists


class World:
    """A project with an environment of a hybrid, as its installer leaves it."""

    def __init__(self, folder: Path, hybrid: str) -> None:
        self.root, self.hybrid = folder / "p", hybrid
        self.root.mkdir(parents=True)
        self.prefix = (folder / "env").resolve()
        for name in (SITE, "bin"):
            (self.prefix / name).mkdir(parents=True)
        (self.prefix / "bin" / "python").touch()
        if hybrid.startswith("conda"):
            (self.root / "conda.yml").write_text("name: p\ndependencies:\n  - python =3.12\n", encoding="utf-8")
            (self.prefix / "conda-meta").mkdir()
            self.record("python", "3.12.1")
        else:
            (self.prefix / "pyvenv.cfg").write_text("version = 3.12.1\n", encoding="utf-8")
        (self.root / "pyproject.toml").write_text(MANIFEST, encoding="utf-8")
        (self.root / "poetry.lock").write_text(poetry_lock(), encoding="utf-8")

    def record(self, name: str, version: str, *held: str, channel: str = "conda-forge") -> None:
        data = {"files": list(held), "channel": channel}
        path = self.prefix / "conda-meta" / f"{name}-{version}-0.json"
        path.write_text(json.dumps(data), encoding="utf-8")

    def install(self, name: str, version: str, *, by: str = "uv", url: str = "", **held: str) -> Path:
        folder = self.prefix / SITE / f"{name}-{version}.dist-info"
        folder.mkdir()
        (folder / "INSTALLER").write_text(f"{by}\n", encoding="utf-8")
        (folder / "WHEEL").write_text("Wheel-Version: 1.0\nTag: py3-none-any\nTag: py2-none-any\n", encoding="utf-8")
        if url:
            (folder / "direct_url.json").write_text(url, encoding="utf-8")
        lines = [f"{folder.name}/INSTALLER,,", f"{folder.name}/RECORD,,"]
        for path, content in (held or {f"{name}/__init__.py": f"# {name}\n"}).items():
            whole = self.prefix / SITE / path
            whole.parent.mkdir(parents=True, exist_ok=True)
            whole.write_text(content, encoding="utf-8")
            lines.append(f"{path},,")
        (folder / "RECORD").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return folder

    @property
    def steps(self) -> Steps:
        environment = Environment(self.prefix, conda=self.hybrid.startswith("conda"))
        return cast("Steps", FakeSteps(project.find(self.root), environment, hybrid_named(self.hybrid)))

    def seal(self, **changes: Any) -> None:
        made = freshness.fingerprint(self.steps, freshness.digests(self.steps.project))
        stamp = Stamp(str(self.root), self.hybrid, groups=("dev",), installed=self.now, fingerprint=made)
        write_stamp(self.prefix, dataclasses.replace(stamp, **changes))

    @property
    def now(self) -> dict[str, str]:
        return installed(self.steps.environment)

    def take(self, made_from: Mapping[str, str] | None = None) -> Inventory:
        return taking.take(self.steps, made_from)


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path, "venv+poetry")
    for name, version in {"numpy": "2.1", "old": "1.0", "pytest": "9.0", "gone": "1.0", "pip": "26.0"}.items():
        made.install(name, version)
    made.install("my_lab", "1", url='{"url": "file:///somewhere", "dir_info": {"editable": true}}')
    made.seal()
    return made


# --- whose choice --------------------------------------------------------------------------------------------------


def test_every_package_has_an_owner(world: World) -> None:
    world.install("cowsay", "6.1", by="pip")
    taken = world.take()
    assert {name: package.owner for name, package in taken.packages.items()} == {
        "cowsay": "other",
        "gone": "lock",
        "my-lab": "project",
        "numpy": "lock",
        "old": "lock",
        "pip": "seed",
        "pytest": "lock",
    }
    assert (taken.packages["cowsay"].installer, taken.packages["numpy"].installer) == ("pip", "uv")
    assert (taken.hybrid, taken.python, taken.implementation, taken.groups) == (
        "venv+poetry",
        "3.12.1",
        "cpython",
        ("dev",),
    )
    assert (taken.tools, taken.missing, taken.conda) == ({"uv": "0.13"}, {}, {})


def test_another_version_than_the_locks_is_somebody_elses_choice(world: World) -> None:
    (world.prefix / SITE / "numpy-2.1.dist-info").rename(world.prefix / SITE / "numpy-1.26.dist-info")
    package = world.take().packages["numpy"]
    assert (package.version, package.owner, package.locked) == ("1.26", "other", "2.1")


def test_a_version_that_is_written_otherwise_is_the_locks(world: World) -> None:
    (world.prefix / SITE / "numpy-2.1.dist-info").rename(world.prefix / SITE / "numpy-2.1.0.dist-info")
    package = world.take().packages["numpy"]
    assert (package.owner, package.locked, package.built) == ("lock", "", "wheel")


def test_what_the_lock_gives_and_is_not_there_is_missing(world: World) -> None:
    for path in (world.prefix / SITE / "gone-1.0.dist-info").iterdir():
        path.unlink()
    (world.prefix / SITE / "gone-1.0.dist-info").rmdir()
    assert world.take().missing == {"gone": "1.0"}


def test_a_lock_that_has_changed_since_is_not_asked(world: World) -> None:
    path = world.root / "poetry.lock"
    path.write_text(path.read_text(encoding="utf-8").replace('"2.1"\noptional', '"2.2"\noptional'), encoding="utf-8")
    taken = world.take()
    assert (taken.packages["numpy"].owner, taken.missing) == ("lock", {})
    assert taken.inputs["poetry.lock"] == ""
    assert len(taken.inputs["pyproject.toml"]) == 64


@pytest.mark.parametrize("manager", ["poetry", "uv"])
def test_what_no_wheel_of_the_lock_fits_was_built_from_source(tmp_path: Path, manager: str) -> None:
    world = World(tmp_path, f"venv+{manager}")
    (world.root / "uv.lock").write_text(uv_lock(), encoding="utf-8")
    for name in ("numpy", "old", "gone"):
        world.install(name, LOCKED[name])
    world.install("pytest", "9.0")
    built = {name: package.built for name, package in world.take().packages.items()}
    # poetry.lock lists no file of pytest at all, uv.lock an sdist.
    assert built == {
        "numpy": "wheel",
        "old": "sdist",
        "gone": "wheel",
        "pytest": "" if manager == "poetry" else "sdist",
    }


@pytest.mark.parametrize(
    ("url", "source", "built"),
    [
        ('{"url": "file:///w/x", "dir_info": {"editable": true}}', "editable", "sdist"),
        ('{"url": "file:///w/x", "dir_info": {}}', "folder", "sdist"),
        ('{"url": "https://me:s3cret@h/x.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}}', "repository", "sdist"),
        ('{"url": "https://h/x-1-py3-none-any.whl#sha256=0", "archive_info": {}}', "wheel", "wheel"),
        ('{"url": "https://h/x-1.tar.gz", "archive_info": {}}', "sdist", "sdist"),
        ("[", "unknown", "wheel"),
        ("[]", "unknown", "wheel"),
        ("", "index", "wheel"),
    ],
)
def test_where_a_package_came_from_is_said_in_a_word(tmp_path: Path, url: str, source: str, built: str) -> None:
    world = World(tmp_path, "venv+poetry")
    world.install("numpy", "2.1", url=url)
    taken = world.take()
    assert (taken.packages["numpy"].source, taken.packages["numpy"].built) == (source, built)
    text = inventories.as_json(taken)
    assert "s3cret" not in text
    assert str(tmp_path) not in text


def test_condas_own_are_condas_until_somebody_installs_over_them(tmp_path: Path) -> None:
    world = World(tmp_path, "conda+poetry")
    world.install("six", "1.16", by="conda")
    world.install("numpy", "2.1", by="Poetry 2.5.1")
    world.record("six", "1.16", f"{SITE}/six-1.16.dist-info/METADATA", channel="https://h/t/s3cret/conda-forge/noarch")
    world.record("numpy", "1.26", f"{SITE}/numpy-1.26.dist-info/METADATA", channel="file:///w/channel/linux-64")
    taken = world.take()
    assert {name: package.owner for name, package in taken.packages.items()} == {"six": "conda", "numpy": "lock"}
    assert taken.conda == {
        "numpy": CondaPackage("1.26", "0", "channel"),
        "python": CondaPackage("3.12.1", "0", "conda-forge"),
        "six": CondaPackage("1.16", "0", "conda-forge"),
    }
    assert "s3cret" not in inventories.as_json(taken)


@pytest.mark.parametrize(
    ("address", "channel"),
    [
        ("https://me:s3cret@h/noarch", ""),
        ("https://me:s3cret@h", ""),
        ("https://h/t/s3cret", ""),
        ("https://h/t/s3cret/team/win-64", "team"),
        ("https://h/team/label/dev/linux-64?token=s3cret", "dev"),
        ("C:\\w\\team\\win-64", "team"),
    ],
)
def test_of_a_channel_there_is_its_name_alone(tmp_path: Path, address: str, channel: str) -> None:
    world = World(tmp_path, "conda+poetry")
    world.record("six", "1.16", channel=address)
    assert world.take().conda["six"].channel == channel


def test_what_the_pip_part_of_conda_yml_brings_is_condas_choice(tmp_path: Path) -> None:
    world = World(tmp_path, "conda+poetry")
    pip = "name: p\ndependencies:\n  - python =3.12\n  - pip:\n    - cowsay\n"
    (world.root / "conda.yml").write_text(pip, encoding="utf-8")
    (world.install("cowsay", "6.1", by="pip") / "METADATA").write_text("Requires-Dist: six\n\n", encoding="utf-8")
    world.install("six", "1.16", by="pip")
    world.install("stray", "1.0", by="pip")
    world.seal(installed={})
    taken = world.take()
    owners = {name: package.owner for name, package in taken.packages.items()}
    assert owners == {"cowsay": "conda", "six": "conda", "stray": "other"}
    assert list(taken.inputs) == ["conda.yml", "poetry.lock", "pyproject.toml"]


def test_the_python_is_the_one_that_any_maker_of_environments_writes_down(world: World) -> None:
    said = "implementation = PyPy\nuv = 0.13.9\nversion_info = 3.12.7.final.0\n"
    (world.prefix / "pyvenv.cfg").write_text(said, encoding="utf-8")
    taken = world.take()
    assert (taken.python, taken.implementation) == ("3.12.7", "pypy")
    assert taken.packages["numpy"].owner == "lock"


def test_a_folder_that_is_called_like_no_package_is_none(world: World, tmp_path: Path) -> None:
    # Such names can be made on some systems only.
    odd = ("esc\x1b[31m-1.0", "cow\udcff-1.0", "numpy-\udcff") if sys.platform == "linux" else ()
    for name in ("foo bar-1.0", "_x-1.0", "-1.0", *odd):
        (world.prefix / SITE / f"{name}.dist-info").mkdir()
    (world.prefix / SITE / "old.egg-info").write_text("Name: old", encoding="utf-8")
    taken = world.take()
    assert sorted(taken.packages) == ["gone", "my-lab", "numpy", "old", "pip", "pytest"]
    assert taken.packages["old"] == Package("", "other", "1.0", source="index")
    inventories.write(taken, tmp_path / "inventory.json")
    assert inventories.read(tmp_path / "inventory.json").packages == taken.packages


def test_what_is_changed_meanwhile_gives_no_inventory(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = contents.hashes

    def slow(environment: Environment, folder: Path) -> dict[str, str] | None:
        if not (world.prefix / SITE / "new-1.0.dist-info").exists():
            world.install("new", "1.0")
        return hashes(environment, folder)

    monkeypatch.setattr(contents, "hashes", slow)
    with pytest.raises(LabError, match=r"was changed while it was read: run it again") as caught:
        world.take()
    assert caught.value.code == FOUND
    assert "new" in world.take().packages


# --- what it was made from -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hybrid", "names", "derived"),
    [
        ("venv+poetry", ["poetry.lock", "pyproject.toml"], ()),
        ("venv+uv", ["poetry.lock", "pyproject.toml", "uv.lock"], ("uv.lock",)),
        ("pip+poetry", ["poetry.lock", "pyproject.toml", "requirements.txt"], ("requirements.txt",)),
    ],
)
def test_the_inputs_are_the_files_that_count_for_the_hybrid(
    tmp_path: Path, hybrid: str, names: list[str], derived: tuple[str, ...]
) -> None:
    world = World(tmp_path, hybrid)
    (world.root / "uv.lock").write_text(uv_lock(), encoding="utf-8")
    (world.root / "requirements.txt").write_text("numpy==2.1 --hash=sha256:00\n", encoding="utf-8")
    world.seal()
    taken = world.take()
    assert (sorted(taken.inputs), taken.derived) == (names, derived)
    expected = hashlib.sha256((world.root / "pyproject.toml").read_bytes()).hexdigest()
    assert taken.inputs["pyproject.toml"] == expected


def test_line_ends_make_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x\r\ny\r\n")
    (tmp_path / "b").write_bytes(b"x\ny\n")
    found = inventories.inputs_of({name: tmp_path / name for name in "ab"})
    assert found["a"] == found["b"]


def test_without_a_stamp_nobody_knows_what_it_was_made_from(tmp_path: Path) -> None:
    world = World(tmp_path, "venv+poetry")
    assert world.take().inputs == {}
    assert world.take({"pyproject.toml": "0" * 64}).inputs == {"pyproject.toml": "0" * 64}
    world.seal()
    (world.root / "pyproject.toml").write_text(MANIFEST + "# more\n", encoding="utf-8")
    (world.root / "poetry.lock").unlink()
    assert world.take().inputs == {"poetry.lock": "", "pyproject.toml": ""}


def test_the_tools_are_those_that_were_used(world: World) -> None:
    box = Toolbox(project.find(world.root), Runner(None, {}), avoid=(), environ={})
    assert box.versions == {}
    box._found = {name: Tool(name, (name,), version, "", "") for name, version in (("uv", "0.13.8"), ("conda", ""))}
    assert box.versions == {"uv": "0.13.8"}


# --- contents ------------------------------------------------------------------------------------------------------


def content(world: World, name: str = "numpy") -> tuple[str, int]:
    package = world.take().packages[name]
    return package.content, package.files


def test_what_an_installer_writes_itself_is_no_content(tmp_path: Path) -> None:
    first, second = World(tmp_path / "a", "venv+poetry"), World(tmp_path / "b", "venv+uv")
    held = {"numpy/a.py": "a", "numpy/data/b.txt": "b", "../../../share/numpy/c": "c"}
    first.install("numpy", "2.1", by="uv", **held)
    second.install(
        "numpy",
        "2.1",
        by="Poetry 2.5.1",
        **held,
        **{"../../../bin/f2py": f"#!{second.prefix}/bin/python\n", "numpy/__pycache__/a.cpython-312.pyc": "x"},
    )
    assert content(first) == content(second)
    assert content(first)[1] == 3
    second.install("pytest", "9.0", **{"../../../bin/tool": "\x7fELF"})
    assert content(second, "pytest")[1] == 1  # a program is what the package is


def test_headers_are_the_same_wherever_an_installer_puts_them(tmp_path: Path) -> None:
    found = set()
    for name, folder in (("a", "include/site/python3.12"), ("b", "include/python3.12")):
        world = World(tmp_path / name, "venv+poetry")
        world.install("numpy", "2.1", **{f"../../../{folder}/numpy/x.h": "x"})
        found.add(content(world))
    assert len(found) == 1


@pytest.mark.parametrize("change", ["edit", "delete", "rename"])
def test_one_changed_file_changes_the_content(world: World, change: str) -> None:
    before, path = content(world), world.prefix / SITE / "numpy" / "__init__.py"
    if change == "edit":
        path.write_text("# other\n", encoding="utf-8")
    elif change == "delete":
        path.unlink()
    else:
        path.unlink()
        path.mkdir()
    after = content(world)
    assert before != after
    assert before[1] == after[1]


@pytest.mark.parametrize(
    "record",
    [
        "../../../../../../etc/hostname,,\n/etc/hostname,,\n",
        "\0,,\nno commas at all\n,,,,\n\n",
        '"quoted, with ""marks""",,\n',
        "x" * 5000 + ",,\n",
        "\udcff,,\n",
    ],
)
def test_a_hostile_record_is_read_no_further_than_the_environment(world: World, record: str) -> None:
    folder = world.prefix / SITE / "numpy-2.1.dist-info"
    (folder / "RECORD").write_text(record, encoding="utf-8", errors="surrogateescape")
    found = contents.hashes(world.steps.environment, folder)
    assert found is not None
    assert set(found.values()) <= {contents.MISSING}
    assert not any("hostname" in name for name in found)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes among its files")
def test_a_pipe_in_the_place_of_a_record_is_not_waited_for(world: World) -> None:
    folder = world.prefix / SITE / "numpy-2.1.dist-info"
    for name in ("RECORD", "INSTALLER", "WHEEL", "direct_url.json"):
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)
    package = world.take().packages["numpy"]
    assert (package.installer, package.tags, package.source, package.content) == ("", "", "unknown", "")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the name of a file is Unicode")
def test_a_file_that_is_named_in_another_encoding_is_read_too(world: World, tmp_path: Path) -> None:
    folder = world.prefix / SITE / "numpy-2.1.dist-info"
    with (folder / "RECORD").open("ab") as record:
        record.write(b"numpy/\xff.py,,\n")
    path = world.prefix / SITE / "numpy" / "\udcff.py"
    found = set()
    for text in ("one", "two"):
        path.write_text(text, encoding="utf-8")
        taken = world.take()
        found.add(taken.packages["numpy"].content)
    assert len(found) == 2
    inventories.write(taken, tmp_path / "inventory.json")
    assert "numpy/\udcff.py" in inventories.paths(inventories.read(tmp_path / "inventory.json"))["numpy"]


@pytest.mark.parametrize("barred", ["open", "stat"])
def test_of_a_file_that_may_not_be_read_nobody_knows_what_it_holds(
    world: World, monkeypatch: pytest.MonkeyPatch, barred: str
) -> None:
    def refuse(path: Any, *args: Any) -> Any:
        if str(path).endswith("numpy/__init__.py"):
            raise PermissionError(13, "Permission denied")
        return real(path, *args)

    real: Any = {"open": open, "stat": os.stat}[barred]
    if barred == "open":
        monkeypatch.setattr(contents, "open", refuse, raising=False)
    else:
        monkeypatch.setattr(contents, "os", SimpleNamespace(path=os.path, sep=os.sep, stat=refuse))
    assert content(world) == ("", 0)
    assert content(world, "old")[1] == 1


def test_contents_can_be_left_alone(world: World, tmp_path: Path) -> None:
    taken = taking.take(world.steps, whole=False)
    assert {package.content for package in taken.packages.values()} == {""}
    inventories.write(taken, tmp_path / "inventory.json")
    assert not (tmp_path / "inventory.files.json").exists()


def test_a_package_without_a_record_has_no_content(world: World) -> None:
    for name in ("RECORD", "WHEEL", "INSTALLER"):
        (world.prefix / SITE / "numpy-2.1.dist-info" / name).unlink()
    assert content(world) == ("", 0)
    package = world.take().packages["numpy"]
    assert (package.owner, package.installer, package.tags) == ("lock", "", "")


# --- the document --------------------------------------------------------------------------------------------------


def test_where_the_project_lies_makes_no_other_inventory(tmp_path: Path) -> None:
    found = set()
    for name in ("a", "b"):
        world = World(tmp_path / name, "venv+poetry")
        world.install("my_lab", "1", **{"my_lab.pth": str(world.root)})
        found.add(inventories.as_json(world.take({})))
    assert len(found) == 1


def test_equal_environments_give_equal_bytes_and_read_back(world: World, tmp_path: Path) -> None:
    first, second = world.take(), world.take()
    assert inventories.as_json(first) == inventories.as_json(second)
    jsonschema.validate(json.loads(inventories.as_json(first)), inventories.schema())
    path = tmp_path / "inventory.json"
    inventories.write(first, path)
    read = inventories.read(path)
    assert inventories.as_json(read) == inventories.as_json(first)
    assert inventories.fingerprint(read) == inventories.fingerprint(first)
    assert inventories.paths(read) == inventories.paths(first)
    assert list(inventories.paths(read)["numpy"]) == ["numpy/__init__.py"]
    assert str(world.prefix) not in path.read_text("utf-8")
    assert str(world.prefix) not in path.with_name("inventory.files.json").read_text("utf-8")


def test_hashes_of_files_count_only_for_the_package_that_they_are_of(world: World, tmp_path: Path) -> None:
    inventories.write(world.take(), tmp_path / "inventory.json")
    read = inventories.read(tmp_path / "inventory.json")
    other = dataclasses.replace(read.packages["numpy"], content="0" * 64)
    assert "numpy" not in inventories.paths(dataclasses.replace(read, packages={**read.packages, "numpy": other}))
    whole = json.loads((tmp_path / "inventory.files.json").read_text("utf-8"))
    whole["packages"]["numpy"]["files"] |= {"x": ["no hash"]}
    (tmp_path / "inventory.files.json").write_text(json.dumps(whole), encoding="utf-8")
    assert list(inventories.paths(read)["numpy"]) == ["numpy/__init__.py"]
    (tmp_path / "inventory.files.json").write_text("[", encoding="utf-8")
    assert inventories.paths(read) == {}


@pytest.mark.parametrize("place", [".", "folder", "file/inventory.json"])
def test_what_cannot_be_written_is_refused_and_leaves_nothing(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    (tmp_path / "w" / "folder").mkdir(parents=True)
    (tmp_path / "w" / "file").touch()
    monkeypatch.chdir(tmp_path / "w")
    with pytest.raises(LabError, match="cannot be written: ") as caught:
        inventories.write(world.take(), Path(place))
    assert (caught.value.code, bool(caught.value.hint)) == (WRONG, True)
    assert sorted(path.name for path in (tmp_path / "w").rglob("*")) == ["file", "folder"]


def test_a_full_disk_is_no_wrong_word(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    taken, before = world.take(), sorted(tmp_path.iterdir())
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(LabError, match=r"No space left on device: free some disk space") as caught:
        inventories.write(taken, tmp_path / "inventory.json")
    assert caught.value.code == FOUND
    assert sorted(tmp_path.iterdir()) == before


def test_the_first_form_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "inventory.json"
    old = {
        "hybrid": "conda+uv",
        "python": "3.12.1",
        "platform": "macosx-14.0-arm64",
        "packages": {"numpy": "2.1"},
        "engine": "embedded",
        "conda": {"openssl": "3.3"},
    }
    path.write_text(json.dumps(old), encoding="utf-8")
    read = inventories.read(path)
    assert read.form == 1
    assert read.packages == {"numpy": Package("2.1")}
    assert read.conda == {"openssl": CondaPackage("3.3")}
    assert read.place == ("cpython", "3.12", "darwin", "arm64", "")
    assert read.is_condas


GOOD: dict[str, Any] = json.loads(
    inventories.as_json(
        Inventory(
            hybrid="venv+uv",
            python="3.12.1",
            platform=Platform("linux", "x86_64", "glibc 2.36", "linux-x86_64"),
            packages={"numpy": Package("2.1", "lock", content="0" * 64, files=1)},
            inputs={"pyproject.toml": "0" * 64},
            conda={"openssl": CondaPackage("3.3", "0", "conda-forge")},
        )
    )
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no JSON"),
        ("{", "no JSON"),
        ("[1]", "not an object of JSON"),
        ("[" * 100_000, "too many brackets"),
        ("1" * 5000, "no JSON"),
        ("{}", "its schema is not mlops-lab/inventory"),
        ('{"packages": {}}', "its schema is not mlops-lab/inventory"),
        (json.dumps({**GOOD, "version": 3}), "an inventory of version 3, and this mlops-lab knows 1 and 2"),
        (json.dumps({**GOOD, "packages": []}), "'packages' is not an object"),
        (json.dumps({**GOOD, "packages": {"A_b": {}}}), "'packages.A_b' is no normalised name"),
        (json.dumps({**GOOD, "packages": {"@team": {"version": "1"}}}), "'packages.@team' is no normalised name"),
        (json.dumps({**GOOD, "packages": {"-a": {"version": "1"}}}), "'packages.-a' is no normalised name"),
        (json.dumps({**GOOD, "packages": {"a": {}}}), "'packages.a.version' is not there"),
        (json.dumps({**GOOD, "packages": {"a": {"version": 1}}}), "'packages.a.version' is not a text"),
        (json.dumps({**GOOD, "packages": {"a": {"version": "1", "owner": "me"}}}), "'packages.a.owner' is none of"),
        (json.dumps({**GOOD, "packages": {"a": {"version": "1", "files": True}}}), "is not a number of files"),
        (json.dumps({**GOOD, "hybrid": "\x1b[31m"}), "'hybrid' is not a line of text"),
        (json.dumps({**GOOD, "hybrid": "\ud800"}), "'hybrid' is not a line of text"),
        (json.dumps({**GOOD, "groups": {"a": 1}}), "'groups' is not a list"),
        (json.dumps({"hybrid": 3, "packages": {}}), "'hybrid' is not a text"),
    ],
)
def test_what_is_no_inventory_is_refused_with_the_field(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(LabError) as caught:
        inventories.read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert caught.value.code == WRONG
    assert caught.value.hint


def test_a_folder_means_the_inventories_in_it(tmp_path: Path) -> None:
    root = tmp_path / "check"
    for name in ("venv+uv", "pip+uv", "empty"):
        (root / name).mkdir(parents=True)
    for name in ("venv+uv", "pip+uv"):
        (root / name / "inventory.json").write_text("{}", encoding="utf-8")
    assert inventories.gather(root) == [root / name / "inventory.json" for name in ("pip+uv", "venv+uv")]
    assert inventories.gather(root / "pip+uv") == [root / "pip+uv" / "inventory.json"]
    for path, message in ((root / "empty", "has an inventory.json"), (root / "x", "there is no such file")):
        with pytest.raises(LabError, match=message):
            inventories.gather(path)
    with pytest.raises(LabError, match=r"no such file|cannot be read"):
        list(map(inventories.read, inventories.gather(tmp_path / ("x" * 5000))))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*GOOD, *GOOD["packages"]["numpy"], "a", "", "\x00"]), inner, max_size=4)
    ),
    max_leaves=12,
)
BOUNDED = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@BOUNDED
@given(data=JSON, key=st.sampled_from(list(GOOD)), inner=st.sampled_from(["", "numpy", "openssl", "version"]))
def test_nothing_but_an_error_comes_of_any_structure(tmp_path: Path, data: Any, key: str, inner: str) -> None:
    path = tmp_path / "x.json"
    nested = {**GOOD[key], inner: data} if inner and isinstance(GOOD[key], dict) else data
    for content in (data, {**GOOD, key: data}, {**GOOD, key: nested}, {"hybrid": "venv+uv", "packages": data}):
        path.write_text(json.dumps(content), encoding="utf-8")
        try:
            read = inventories.read(path)
        except LabError:
            continue
        jsonschema.validate(json.loads(inventories.as_json(read)), {"type": "object"})


@BOUNDED
@given(data=st.binary(max_size=60))
def test_nothing_but_an_error_comes_of_any_bytes(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.json").write_bytes(data)
    with pytest.raises(LabError):
        inventories.read(tmp_path / "x.json")
