"""What came, changed and went behind the files' back, from folders laid out as the installers leave them."""

from __future__ import annotations

import dataclasses
import json
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from mlops_lab import behind, conda_meta, freshness, project
from mlops_lab.behind import Finding
from mlops_lab.environment import STAMP, Environment, Stamp, inventory, read_stamp, write_stamp
from mlops_lab.errors import WRONG, LabError
from mlops_lab.guide import hybrid_named

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mlops_lab.guide import Hybrid
    from mlops_lab.steps import Steps

MANIFEST = """
[build-system]
requires = ["poetry-core"]
build-backend = "poetry.core.masonry.api"
[project]
name = "my_lab"
version = "1"
requires-python = ">=3.11,<3.14"
dependencies = ["numpy", "old ; python_version < '3'"]
[dependency-groups]
dev = ["pytest"]
lab = ["pandas"]
"""
LOCKED = {"numpy": ("1.26", "main"), "pytest": ("9.0.0", "dev"), "pandas": ("2.2", "lab")}
CONDA_YML = """\
name: p
dependencies:
  - python =3.12
  - pip
  - libhello >=1.0
"""
HISTORY = """\
==> 2026-11-21 12:41:33 <==
# cmd: /opt/conda/condabin/conda env create -p /envs/p -f conda.yml
# conda version: 26.7.1
+conda-forge/linux-64::libhello-1.1-0
# update specs: ["python[version='=3.12']", "libhello[version='>=1.0']", 'pip', 'by-default']
"""
SITE = "lib/python3.12/site-packages"


def poetry_lock(**locked: tuple[str, str]) -> str:
    packages = "".join(
        f'[[package]]\nname = "{name}"\nversion = "{version}"\noptional = false\ngroups = ["{group}"]\n'
        for name, (version, group) in locked.items()
    )
    return f'{packages}[metadata]\nlock-version = "2.1"\npython-versions = "*"\ncontent-hash = "0"\n'


class FakeToolbox:
    used: Mapping[str, Any] = {}


@dataclass
class FakeSteps:
    """As much of the steps as looking needs."""

    project: project.Project
    environment: Environment
    hybrid: Hybrid
    groups: tuple[str, ...] = ()
    toolbox: FakeToolbox = field(default_factory=FakeToolbox)
    engine: None = None


class World:
    """A project with an environment that was just finished."""

    def __init__(self, folder: Path, hybrid: str) -> None:
        self.root = folder / "my project é"
        self.root.mkdir()
        self.hybrid = hybrid
        self.conda = hybrid.startswith("conda")
        self.prefix = folder / "envs" / "p" if self.conda else self.root / ".venv"
        self.write("pyproject.toml", MANIFEST)
        self.lock()
        for folder_name in (SITE, "bin"):
            (self.prefix / folder_name).mkdir(parents=True)
        (self.prefix / "bin" / "python").touch()
        self.mine = {"numpy": "1.26", "pytest": "9.0.0", "my-lab": "1"}
        for name, version in {"numpy": "1.26", "pytest": "9.0.0", "my_lab": "1"}.items():
            self.install(name, version)
        if self.conda:
            self.write("conda.yml", CONDA_YML)
            (self.prefix / "conda-meta").mkdir()
            self.history(HISTORY)
            self.record("python-3.12.1-0", depends=["openssl >=3,<4.0a0", "__glibc >=2.17"])
            self.record("openssl-3.3-0")
            self.record("libhello-1.1-0")
            self.record("by-default-1.0-0", depends=["openssl"])
            self.conda_install("pip", "26.0")
        else:
            (self.prefix / "pyvenv.cfg").write_text(f"version = 3.12.1\nhome = {folder}\n", encoding="utf-8")
            self.install("pip", "26.0")
        self.seal()

    def write(self, name: str, text: str) -> None:
        (self.root / name).write_text(text, encoding="utf-8")

    def lock(self, **changes: tuple[str, str] | None) -> None:
        locked = {name: each for name, each in {**LOCKED, **changes}.items() if each}
        self.write("poetry.lock", poetry_lock(**locked))

    def install(self, name: str, version: str, *requires: str, asked: bool = True, url: str = "") -> None:
        self.uninstall(name)
        folder = self.prefix / SITE / f"{name}-{version}.dist-info"
        folder.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", *(f"Requires-Dist: {each}" for each in requires)]
        text = "\n".join([*lines, "", "Requires-Dist: in-the-description"])
        (folder / "METADATA").write_text(text, encoding="utf-8")
        (folder / "RECORD").write_text("", encoding="utf-8")
        (folder / "INSTALLER").write_text("pip\n", encoding="utf-8")
        if asked:
            (folder / "REQUESTED").touch()
        if url:
            (folder / "direct_url.json").write_text(url, encoding="utf-8")

    def uninstall(self, name: str) -> None:
        for folder in (self.prefix / SITE).glob(f"{name}-*"):
            shutil.rmtree(folder)

    def record(self, stem: str, *files: str, depends: list[str] | None = None) -> None:
        name = stem.rsplit("-", 2)[0]
        for path in (self.prefix / "conda-meta").glob(f"{name}-*.json"):
            if path.stem.rsplit("-", 2)[0] == name:
                path.unlink()
        data = {"files": files, "depends": depends or []}
        (self.prefix / "conda-meta" / f"{stem}.json").write_text(json.dumps(data), encoding="utf-8")

    def conda_install(self, name: str, version: str) -> None:
        self.install(name, version)
        folder = f"{SITE}/{name}-{version}.dist-info"
        (self.prefix / folder / "INSTALLER").write_text("conda\n", encoding="utf-8")
        self.record(f"{name}-{version}-0", f"{folder}/METADATA", f"{folder}/INSTALLER")

    def history(self, text: str) -> None:
        with (self.prefix / "conda-meta" / "history").open("a", encoding="utf-8") as file:
            file.write(text)

    def asked(self, command: str, *update: str, remove: tuple[str, ...] = ()) -> None:
        """What conda adds to its history."""
        lines = ["==> 2026-11-22 12:41:33 <==", f"# cmd: {command}", "# conda version: 26.7.1"]
        lines += [f"# remove specs: {list(remove)}"] if remove else []
        lines += [f"# update specs: {list(update)}"] if update else []
        self.history("\n".join(lines) + "\n")

    def seal(self) -> None:
        made = freshness.fingerprint(self.steps, freshness.digests(self.steps.project))
        there = inventory(self.steps.environment)
        installed = {name: version for name, version in there.items() if name in self.mine}
        write_stamp(
            self.prefix,
            Stamp(str(self.root), self.hybrid, groups=("dev",), installed=installed, fingerprint=made),
        )

    def restamp(self, **changes: Any) -> None:
        stamp = read_stamp(self.prefix)
        assert stamp is not None
        write_stamp(self.prefix, dataclasses.replace(stamp, **changes))

    @property
    def steps(self) -> Steps:
        environment = Environment(self.prefix, conda=self.conda)
        return cast("Steps", FakeSteps(project.find(self.root), environment, hybrid_named(self.hybrid)))

    @property
    def found(self) -> list[Finding]:
        return behind.found(self.steps)

    @property
    def told(self) -> list[tuple[str, str, str]]:
        return [(each.message, each.command, each.otherwise) for each in self.found]


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., World]:
    return lambda hybrid="venv+poetry": World(tmp_path, hybrid)


@pytest.fixture
def venv(make: Callable[..., World]) -> World:
    return make()


@pytest.fixture
def conda(make: Callable[..., World]) -> World:
    return make("conda+poetry")


EVERY = ["venv+poetry", "pip+poetry", "conda+poetry"]


# --- nothing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hybrid", EVERY)
def test_nothing_is_found_in_what_was_just_finished(make: Callable[..., World], hybrid: str) -> None:
    assert make(hybrid).found == []


def _no_stamp(world: World) -> None:
    (world.prefix / STAMP).unlink()


def _unfinished(world: World) -> None:
    world.restamp(fingerprint=None)


def _another_hybrid(world: World) -> None:
    world.hybrid = "pip+poetry"


def _another_format(world: World) -> None:
    world.restamp(fingerprint={"format": 0})


def _another_project(world: World) -> None:
    world.restamp(project="/elsewhere")


def _no_environment(world: World) -> None:
    shutil.rmtree(world.prefix)


def _no_python(world: World) -> None:
    (world.prefix / "bin" / "python").unlink()


@pytest.mark.parametrize(
    "change",
    [_no_stamp, _unfinished, _another_hybrid, _another_format, _another_project, _no_environment, _no_python],
)
def test_nothing_is_found_where_nothing_is_known(venv: World, change: Callable[[World], None]) -> None:
    venv.install("cowsay", "6.1")
    change(venv)
    assert venv.found == []


@pytest.mark.parametrize("hybrid", EVERY)
def test_what_the_files_came_to_say_is_no_finding(make: Callable[..., World], hybrid: str) -> None:
    world = make(hybrid)
    world.lock(numpy=("2.0", "main"), pytest=None, new=("1.0", "main"))
    if world.conda:
        world.write("conda.yml", CONDA_YML.replace("  - libhello >=1.0\n", "  - more\n"))
    assert world.found == []


@pytest.mark.parametrize("hybrid", EVERY)
def test_what_somebody_installed_as_the_files_have_it_is_no_finding(make: Callable[..., World], hybrid: str) -> None:
    world = make(hybrid)
    world.lock(numpy=("2.0.0", "main"), new=("1.0", "main"))
    world.install("numpy", "2.0")
    world.install("new", "1.0")
    assert world.found == []


def test_another_pip_in_a_venv_is_nobodys_business(venv: World) -> None:
    venv.install("pip", "27.0")
    venv.install("setuptools", "80")
    assert venv.found == []


def test_a_broken_lock_is_refused_with_its_place(venv: World) -> None:
    venv.write("poetry.lock", "[[package]\n")
    with pytest.raises(LabError, match=r"^poetry\.lock:1") as caught:
        _ = venv.found
    assert caught.value.code == WRONG


# --- came ----------------------------------------------------------------------------------------------------------


def away(hybrid: str, *names: str) -> str:
    what = "it" if len(names) == 1 else "them"
    if hybrid.startswith("conda"):
        return f"`invoke run -- python -m pip uninstall {' '.join(names)}` takes {what} away again"
    return f"`invoke install` takes {what} away again"


@pytest.mark.parametrize("hybrid", EVERY)
def test_a_package_that_nobody_declares(make: Callable[..., World], hybrid: str) -> None:
    world = make(hybrid)
    world.install("Cow_Say", "6.1")
    message = "cow-say 6.1 is installed, and no file declares it"
    assert world.found == [Finding("cow-say", "6.1", "", message, "invoke add cow-say", away(hybrid, "cow-say"))]
    # Where no installation takes it away, it is not forgotten by the next one.
    world.seal()
    if world.conda:
        assert [each.message for each in world.found] == [message]


@pytest.mark.parametrize("hybrid", EVERY)
def test_what_a_package_requires_is_named_with_it(make: Callable[..., World], hybrid: str) -> None:
    world = make(hybrid)
    world.install(
        *("uvicorn", "0.30", "h11>=0.8", "Click (>=7)", "numpy", "absent", "gone ; python_version < '3'"),
        "httptools>=0.6 ; extra == 'standard'",
        "cowsay ; extra == 'fun'",
        "not a requirement at all",
    )
    world.install("h11", "0.14", "deeper", asked=False)
    world.install("deeper", "1", asked=False)
    world.install("click", "8.1")
    world.install("httptools", "0.6", asked=False)
    world.install("cowsay", "6.1")
    assert world.told == [
        ("cowsay 6.1 is installed, and no file declares it", "invoke add cowsay", away(hybrid, "cowsay")),
        (
            (
                "uvicorn 0.30 is installed with its requirements (click 8.1, deeper 1, h11 0.14, httptools 0.6), "
                "and no file declares it"
            ),
            "invoke add uvicorn",
            away(hybrid, "uvicorn", "click", "deeper", "h11", "httptools"),
        ),
    ]


def test_of_packages_that_require_each_other_the_first_is_named(venv: World) -> None:
    venv.install("b", "1", "a")
    venv.install("a", "1", "b", "c")
    venv.install("c", "1", "d")
    venv.install("d", "1", "c", "d")
    assert [(each.package, each.command) for each in venv.found] == [("a", "invoke add a")]


@pytest.mark.parametrize(
    ("url", "command"),
    [
        ('{"url": "file:///w/lib", "dir_info": {"editable": true}}', 'invoke add "lib @ file:///w/lib"'),
        (
            '{"url": "https://me:s3cret@h/x.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}, "subdirectory": "s"}',
            'invoke add "lib @ git+https://***@h/x.git@abc#subdirectory=s"',
        ),
        ('{"url": "https://h/lib.whl", "archive_info": {}}', 'invoke add "lib @ https://h/lib.whl"'),
        ("{}", "invoke add lib"),
        ("[", "invoke add lib"),
        ('{"url": "https://h/x", "vcs_info": 3}', "invoke add lib"),
    ],
)
def test_what_came_from_no_index_is_added_from_where_it_came(venv: World, url: str, command: str) -> None:
    venv.install("lib", "1", url=url)
    assert [each.command for each in venv.found] == [command]


def test_what_only_another_group_has_comes_with_that_group(venv: World) -> None:
    venv.install("pandas", "2.2", "numpy", "tzdata")
    venv.install("tzdata", "2026.1")
    assert venv.told == [
        (
            (
                "pandas 2.2 is installed with its requirements (tzdata 2026.1), and only the group lab has it, "
                "which this environment was made without"
            ),
            "invoke setup --group dev --group lab",
            "`invoke install` takes them away again",
        )
    ]


def test_what_is_declared_and_not_locked_here_is_locked(venv: World) -> None:
    venv.install("old", "1")
    assert venv.told == [
        (
            (
                "old 1 is installed, and poetry.lock does not give it to this environment, "
                "although pyproject.toml declares it"
            ),
            "invoke lock",
            "`invoke install` takes it away again",
        )
    ]


def test_without_the_managers_lock_the_stamp_tells(venv: World) -> None:
    (venv.root / "poetry.lock").unlink()
    assert venv.found == []
    venv.install("numpy", "2.0")
    venv.install("cowsay", "6.1")
    assert [each.message for each in venv.found] == [
        "cowsay 6.1 is installed, and no file declares it",
        "numpy 2.0 is installed, numpy 1.26 is locked",
    ]


# --- changed and gone ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hybrid", EVERY)
def test_another_version_than_the_locked_one(make: Callable[..., World], hybrid: str) -> None:
    world = make(hybrid)
    world.install("numpy", "2.0")
    message, otherwise = "numpy 2.0 is installed, numpy 1.26 is locked", '`invoke add "numpy==2.0"` keeps it'
    assert world.found == [Finding("numpy", "2.0", "1.26", message, "invoke install", otherwise)]


@pytest.mark.parametrize("hybrid", EVERY)
def test_what_was_taken_out(make: Callable[..., World], hybrid: str) -> None:
    world = make(hybrid)
    world.uninstall("numpy")
    world.uninstall("my_lab")
    assert world.found == [
        Finding("my-lab", "", "1", "my-lab 1 was installed, and is gone", "invoke install"),
        Finding("numpy", "", "1.26", "numpy 1.26 was installed, and is gone", "invoke install"),
    ]


def test_an_environment_that_was_only_created_lacks_nothing(venv: World) -> None:
    for name in ("numpy", "pytest", "my_lab"):
        venv.uninstall(name)
    venv.seal()
    assert venv.found == []
    venv.install("cowsay", "6.1")
    assert [each.package for each in venv.found] == ["cowsay"]


# --- the pip part of conda.yml ---------------------------------------------------------------------------------------


def test_what_the_pip_part_brought_belongs_there(conda: World) -> None:
    conda.write("conda.yml", CONDA_YML + "  - pip:\n      - pyjokes==0.8\n")
    conda.install("pyjokes", "0.8", "humour")
    conda.install("humour", "1", asked=False)
    conda.seal()
    assert conda.found == []
    conda.install("pyjokes", "0.7", "humour")
    conda.uninstall("humour")
    assert conda.told == [
        (
            "humour 1 was installed for the pip part of conda.yml, and is gone",
            "invoke setup",
            "",
        ),
        (
            "pyjokes 0.8 was installed for the pip part of conda.yml, and pyjokes 0.7 is in its place",
            "invoke setup",
            "",
        ),
    ]


def test_where_nobody_can_tell_what_the_pip_part_brings_all_that_was_there_belongs_there(conda: World) -> None:
    conda.write("conda.yml", CONDA_YML + "  - pip:\n      - -r more.txt\n")
    conda.install("pyjokes", "0.8")
    conda.seal()
    assert conda.found == []
    conda.install("cowsay", "6.1")
    conda.uninstall("pyjokes")
    assert [each.message for each in conda.found] == [
        "cowsay 6.1 is installed, and no file declares it",
        "pyjokes 0.8 was installed for the pip part of conda.yml, and is gone",
    ]


# --- conda's own -----------------------------------------------------------------------------------------------------

ASKED = "==> d <==\n# cmd: conda install x\n# update specs: ['libmore']\n"
BY_CONDA = ("libmore 2.0 was installed with conda, and conda.yml does not declare it", "`{}` takes it away again")


@pytest.mark.parametrize(
    ("spec", "command"),
    [
        ("libmore", "invoke add --conda libmore"),
        ("libmore=2", 'invoke add --conda "libmore=2"'),
        ("conda-forge::libmore[version='>=2']", "invoke add --conda \"conda-forge::libmore[version='>=2']\""),
        ("https://me:s3cret@h/t/t0k/c::libmore", 'invoke add --conda "https://***@h/t/***/c::libmore"'),
    ],
)
def test_what_somebody_asked_conda_for(conda: World, spec: str, command: str) -> None:
    conda.record("libmore-2.0-0")
    conda.record("its-own-1.0-0")
    conda.asked("conda install -p /envs/p libmore", spec)
    message, otherwise = BY_CONDA
    assert conda.found == [Finding("libmore", "2.0", "", message, command, otherwise.format("invoke setup"))]
    # After an installation, which takes nothing of conda's away, a setup finds nothing to do.
    conda.seal()
    assert [each.otherwise for each in conda.found] == [otherwise.format("invoke setup --force")]
    conda.write("conda.yml", CONDA_YML + "  - LibMore\n")
    assert conda.found == []


@pytest.mark.parametrize(
    "history",
    [
        "==> d <==\n# cmd: conda install libmore\n# update specs: [\"libmore\", 'other']\n",
        "==> d <==\n# cmd: mamba install libmore\n# install specs: libmore,other >=1\n",
        "==> d <==\n# update specs: ['libmore']\n",
        "==> d <==\n# cmd: conda env update -f other.yml\n# update specs: ['libmore']\n",
    ],
)
def test_however_conda_wrote_it_down(conda: World, history: str) -> None:
    conda.record("libmore-2.0-0")
    conda.history(history)
    assert [each.package for each in conda.found] == ["libmore"]


@pytest.mark.parametrize(
    "history",
    [
        "",
        "==> d <==\n# cmd: conda install libmore\n# update specs: [libmore\n",
        "==> d <==\n# cmd: conda install libmore\n# update specs: 3\n",
        "==> d <==\n# cmd: conda install libmore\n# neutered specs: ['libmore']\n",
        "==> d <==\n# cmd: conda env create -f other.yml\n# update specs: ['libmore']\n",
        "==> d <==\n# cmd: conda env update -p /e/p -f conda.yml --prune\n# update specs: ['libmore']\n",
        "==> d <==\n# cmd: conda env update --file=/w/.mlops-lab.conda.yml\n# update specs: ['libmore']\n",
        ASKED + "==> d <==\n# cmd: conda remove x\n# remove specs: ['libmore']\n",
        ASKED + '==> d <==\n# cmd: micromamba env update -f conda.yml --prune\n# update specs: ["libmore >=1"]\n',
        "==> d <==\n# cmd: conda install gone\n# update specs: ['gone']\n",
    ],
)
def test_what_nobody_asked_conda_for_is_no_finding(conda: World, history: str) -> None:
    conda.record("libmore-2.0-0")
    conda.history(history)
    assert conda.found == []


def test_what_was_asked_for_once_and_is_needed_anyway_is_no_finding(conda: World) -> None:
    conda.asked("conda install openssl", "openssl")
    assert conda.found == []
    conda.record("openssl-3.4-0")
    assert [each.package for each in conda.found] == ["openssl"]


def test_a_package_of_condas_that_was_asked_for_brings_no_finding_of_pips(conda: World) -> None:
    conda.conda_install("pandas", "2.2")
    conda.conda_install("tzdata", "2026")
    conda.asked("conda install pandas", "pandas")
    assert [each.command for each in conda.found] == ["invoke add --conda pandas"]


def test_what_was_removed_with_conda_and_is_declared(conda: World) -> None:
    (conda.prefix / "conda-meta" / "libhello-1.1-0.json").unlink()
    conda.asked("conda remove libhello", remove=("libhello",))
    message = "libhello 1.1 was installed, and is gone, although conda.yml declares it"
    assert conda.found == [Finding("libhello", "", "1.1", message, "invoke setup")]


def test_another_version_that_was_asked_for_by_name(conda: World) -> None:
    conda.record("libhello-1.0-0")
    conda.asked("conda update libhello", "libhello")
    assert conda.found == []
    conda.asked("conda install libhello=1.0", "libhello=1.0")
    assert conda.told == [
        (
            "libhello 1.0 was installed with conda, libhello 1.1 was there at the last setup",
            'invoke add --conda "libhello=1.0"',
            "`invoke setup --force` makes the environment as the files have it",
        )
    ]


def test_another_series_of_python_is_one_finding(conda: World) -> None:
    conda.record("python-3.13.0-0")
    (conda.prefix / SITE).parent.rename(conda.prefix / "lib" / "python3.13")
    for folder in list((conda.prefix / "lib" / "python3.13" / "site-packages").iterdir()):
        shutil.rmtree(folder)
    conda.asked("conda install python=3.13", "python=3.13")
    assert [each.message for each in conda.found] == [
        "python 3.13.0 was installed with conda, python 3.12.1 was there at the last setup"
    ]


def test_a_package_of_condas_that_pip_replaced_or_took_away(conda: World) -> None:
    conda.conda_install("packaging", "24.2")
    conda.conda_install("idna", "3.10")
    conda.seal()
    assert conda.found == []
    conda.install("packaging", "25.0")
    conda.install("pip", "27.0")
    conda.uninstall("idna")
    assert conda.found == [
        Finding("idna", "", "3.10", "idna 3.10 is conda's, and is gone", "invoke setup --force"),
        Finding(
            *("packaging", "25.0", "24.2", "packaging 24.2 is conda's, and packaging 25.0 is in its place"),
            'invoke add "packaging==25.0"',
            "`invoke setup --force` brings conda's back",
        ),
    ]
    conda.seal()
    assert conda.found == []


def test_the_locks_version_of_a_package_of_condas_is_the_locks(conda: World) -> None:
    conda.lock(packaging=("25.0", "main"))
    conda.conda_install("packaging", "24.2")
    conda.install("packaging", "25.0")
    conda.mine["packaging"] = "25.0"
    conda.seal()
    assert conda.found == []
    conda.install("packaging", "26.0")
    assert [each.message for each in conda.found] == ["packaging 26.0 is installed, packaging 25.0 is locked"]


def test_pip_belongs_to_a_pip_part(conda: World) -> None:
    conda.write("conda.yml", CONDA_YML.replace("  - pip\n", "") + "  - pip: [numpy]\n")
    conda.asked("conda install pip", "pip")
    assert conda.found == []


def test_without_a_conda_yml_conda_is_not_judged(conda: World) -> None:
    (conda.root / "conda.yml").unlink()
    conda.record("libmore-2.0-0")
    conda.asked("conda install libmore", "libmore")
    assert conda.found == []


def test_a_prefix_without_a_history_was_asked_for_nothing(tmp_path: Path) -> None:
    assert conda_meta.requested(tmp_path, {"conda.yml"}) == {}
    assert conda_meta.needed(tmp_path) == set()
    assert conda_meta.records(tmp_path) == {}
