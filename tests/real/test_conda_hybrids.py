"""conda+poetry and conda+uv on a real channel: made, updated, repaired, and what they refuse."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.conda_package import Package

from mlops_lab import conda_meta
from mlops_lab.engines import embedded
from mlops_lab.environment import Environment, inventory, read_stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from support.conda_channel import Channel
    from support.processes import Started

    Lab = Callable[..., subprocess.CompletedProcess[str]]
    Case = Callable[..., Path]

pytestmark = pytest.mark.real

PROGRAMS = ("conda", "mamba", "micromamba")
ENGINES = ("embedded", *PROGRAMS)
HYBRIDS = ("conda+poetry", "conda+uv")


@dataclass
class Site:
    """A project whose environments live in a folder of the test's own.

    Attributes:
        root: The project.
        lab: Runs mlops-lab.
        workshop: The variables of every real test.
        environ: What maps the channel in, and where environments go.
        engine: The program that acts as conda.
    """

    root: Path
    lab: Lab
    workshop: dict[str, str]
    environ: dict[str, str | None]
    engine: str = "embedded"
    words: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.words = ("--conda", self.engine)

    @property
    def prefix(self) -> Path:
        return self.root.parent / "envs" / self.root.name

    @property
    def installed(self) -> dict[str, str]:
        return inventory(Environment(self.prefix, conda=True))

    @property
    def condas(self) -> dict[str, str]:
        return conda_meta.packages(self.prefix)

    @property
    def conda_yml(self) -> str:
        return (self.root / "conda.yml").read_text(encoding="utf-8")

    def __call__(self, *words: str, check: int | None = 0) -> subprocess.CompletedProcess[str]:
        return self.lab(*words, cwd=self.root, environ=self.environ, check=check)

    def embedded(self, *words: str) -> None:
        """Run the embedded conda itself, as a user might."""
        given = {name: value for name, value in {**self.workshop, **self.environ}.items() if value is not None}
        subprocess.run([*embedded().argv, *words], cwd=self.root, env=given, check=True, capture_output=True)

    def setup(self, *words: str, check: int | None = 0) -> subprocess.CompletedProcess[str]:
        return self("setup", *self.words, *words, check=check)

    def outcome(self, *words: str) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.setup(*words, "--json").stdout)
        return told

    def edit(self, old: str, new: str, name: str = "conda.yml") -> None:
        text = (self.root / name).read_text(encoding="utf-8")
        assert old in text
        (self.root / name).write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture
def site(case: Case, lab: Lab, conda_channel: Channel, tmp_path: Path, workshop: dict[str, str]) -> Callable[..., Site]:
    """A copy of a case on the channel."""

    def make(name: str = "native", engine: str = "embedded", environ: Mapping[str, str] | None = None) -> Site:
        if engine in PROGRAMS and not shutil.which(engine):
            pytest.skip(f"there is no {engine} on PATH")
        path = {"PATH": os.environ["PATH"]} if engine in PROGRAMS else {}
        given = {**conda_channel.environ, "CONDA_ENVS_DIRS": str(tmp_path / "envs"), **path, **(environ or {})}
        return Site(case(name), lab, workshop, dict(given), engine)

    return make


def contents(prefix: Path) -> dict[str, bytes]:
    """Every file that is not bytecode or a record of times; a link by its target."""
    timed = {"mlops-lab.json", "conda-meta/history", "conda-meta/mlops-lab"}
    found = {}
    for path in sorted(prefix.rglob("*")):
        name = str(path.relative_to(prefix))
        if path.is_dir() or name in timed or "__pycache__" in path.parts or ".dist-info" in name:
            continue
        found[name] = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        if name.startswith("conda-meta/") and path.suffix == ".json":
            record = json.loads(found[name])
            # An update keeps the series of the Python that is there, and says so.
            asked = {key for key in record if key.startswith("requested_spec")}
            found[name] = json.dumps({key: value for key, value in record.items() if key not in asked}).encode()
    return found


# --- made and brought up to date -----------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("hybrid", HYBRIDS)
def test_a_c_library_of_conda_and_the_packages_of_the_lock(site: Callable[..., Site], hybrid: str, engine: str) -> None:
    here = site(engine=engine)
    done = here.outcome("--hybrid", hybrid)
    assert (done["hybrid"], done["engine"], done["prefix"]) == (hybrid, engine, str(here.prefix))
    assert done["packages"]["cowsay"] == "6.1"
    assert here.condas["libhello"] == "1.1"
    stamp = read_stamp(here.prefix)
    assert stamp is not None
    assert (stamp.engine, sorted(stamp.installed)) == (engine, ["cowsay", "iniconfig", "native"])
    assert here("run", "--", "native").stdout.strip()
    code = "import os, native; print(*native.hello(), os.environ['HELLO_HOME'], os.environ['HELLO_MODE'])"
    shown = here("run", "--", "python", "-c", code).stdout.split()
    assert shown == ["1.1", str(here.prefix), str(here.prefix / "share" / "libhello"), "test"]
    # Again: nothing is started, and nobody has to name the hybrid or the engine.
    again = json.loads(here("setup", "--json").stdout)
    assert (again["hybrid"], again["engine"], again["because"]) == (hybrid, engine, [])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("hybrid", HYBRIDS)
def test_what_leaves_a_file_leaves_the_environment_and_condas_own_stay(
    site: Callable[..., Site], hybrid: str, engine: str
) -> None:
    here = site(engine=engine)
    here.setup("--hybrid", hybrid)
    kept = here.prefix / "a note of the user.txt"
    kept.write_text("still here", encoding="utf-8")
    own = here.condas.keys() - {"libhello"}
    here.edit("  - libhello >=1.0\n", "")
    done = here("remove", "iniconfig", "--group", "dev", check=None)
    assert done.returncode == 0, done.stderr
    assert "iniconfig" not in here.installed
    done = here.setup()
    assert done.stdout.startswith("nothing to do"), done.stderr
    assert here.condas.keys() == own
    assert {"pip", "cowsay", "native"} <= here.installed.keys()
    assert kept.read_text(encoding="utf-8") == "still here"


@pytest.mark.parametrize(
    ("hybrid", "engine"), [("conda+poetry", "embedded"), ("conda+uv", "embedded"), ("conda+uv", "conda")]
)
def test_a_package_of_condas_that_the_lock_replaces_is_reported_and_comes_back(
    site: Callable[..., Site], hybrid: str, engine: str
) -> None:
    here = site(engine=engine)
    here.edit("  - pip\n", "  - pip\n  - packaging =24.2\n")
    done = here.outcome("--hybrid", hybrid)
    assert (here.installed["packaging"], done["replaced"]) == ("24.2", [])
    added = here("add", "packaging>=25,<26")
    assert here.installed["packaging"].startswith("25")
    assert "installed in the place of packages of conda's own: packaging 24.2 (now 25.0)" in added.stderr
    assert here.outcome()["replaced"] == ["packaging 24.2 (now 25.0)"]
    assert here("doctor").returncode == 0
    here("remove", "packaging")
    assert here.installed["packaging"] == "24.2"
    assert here.outcome()["replaced"] == []
    assert here("doctor").returncode == 0


def test_the_pip_part_of_conda_yml_is_condas_and_stays(site: Callable[..., Site]) -> None:
    here = site()
    here.edit("  - pip\n", "  - pip\n  - pip:\n      - pyjokes==0.8.3\n")
    here.setup("--hybrid", "conda+poetry")
    assert here.installed["pyjokes"] == "0.8.3"
    here("remove", "iniconfig", "--group", "dev")
    assert here.installed["pyjokes"] == "0.8.3"
    assert "iniconfig" not in here.installed


def test_another_hybrid_on_the_same_prefix_starts_anew(site: Callable[..., Site]) -> None:
    here = site()
    here.setup("--hybrid", "conda+uv")
    done = here.setup("--hybrid", "conda+poetry")
    assert "the environment was made with conda+uv" in done.stderr
    assert here.outcome()["because"] == []


# --- the Python ----------------------------------------------------------------------------------------------------


def test_conda_yml_gives_the_python_and_an_update_keeps_it(site: Callable[..., Site], conda_channel: Channel) -> None:
    oldest, newest = conda_channel.pythons[0], conda_channel.pythons[-1]
    here = site()
    assert here.outcome("--hybrid", "conda+uv")["python"] == newest
    series = ".".join(oldest.split(".")[:2])
    assert here.outcome("--python", series)["python"] == oldest
    # conda.yml allows a newer one; what is there stays, and so do the packages in it.
    here.edit("libhello >=1.0", "libhello =1.0")
    done = here.outcome()
    assert (done["python"], here.condas["libhello"]) == (oldest, "1.0")
    assert "cowsay" in here.installed
    assert not (here.root / ".mlops-lab.conda.yml").exists()
    newer = ".".join(newest.split(".")[:2])
    here.edit("python >=3.11,<3.14", f"python ={newer}")
    done = here.outcome()
    assert (done["python"], "cowsay" in here.installed) == (newest, True)


def test_a_python_that_the_project_excludes_is_refused_with_both_lines(site: Callable[..., Site]) -> None:
    here = site()
    here.edit("python >=3.11,<3.14", "python =3.10")
    done = here.setup("--hybrid", "conda+uv", check=2)
    assert done.stderr.strip().splitlines()[-1] == (
        "error: conda.yml:5 asks for python 3.10, but pyproject.toml:8 allows >=3.11,<3.14: change one of the two"
    )
    here.edit('requires-python = ">=3.11"', 'requires-python = ">=3.9"', "pyproject.toml")
    here.edit('python = ">=3.11,<3.14"', 'python = ">=3.9,<3.14"', "pyproject.toml")
    done = here.setup("--hybrid", "conda+uv", check=2)
    line = next(
        number
        for number, text in enumerate((here.root / "poetry.lock").read_text(encoding="utf-8").splitlines(), 1)
        if text.startswith("python-versions = ")
        and number > (here.root / "poetry.lock").read_text(encoding="utf-8").splitlines().index("[metadata]")
    )
    assert done.stderr.strip().splitlines()[-1] == (
        f"error: conda.yml:5 asks for python 3.10, but poetry.lock:{line} allows >=3.11,<3.14: "
        "change conda.yml, or lock again for that Python with `mlops-lab lock`"
    )
    assert not here.prefix.exists()


# --- repaired ------------------------------------------------------------------------------------------------------


def _deleted_of_conda(prefix: Path) -> None:
    (prefix / "share" / "libhello" / "where.txt").unlink()


def _altered_of_conda(prefix: Path) -> None:
    library = prefix / "lib" / "libhello.so.1"
    content = library.read_bytes()
    library.unlink()  # a hard link into the cache of packages, which is not to be altered
    library.write_bytes(content[:-1] + b"!")


def _half_removed_of_conda(prefix: Path) -> None:
    for name in ("lib/libhello.so.1", "bin/hello"):
        (prefix / name).unlink()


def _half_removed_record(prefix: Path) -> None:
    next((prefix / "conda-meta").glob("libhello-*.json")).unlink()


def _site(prefix: Path) -> Path:
    found = Environment(prefix, conda=True).site_packages
    assert found is not None
    return found


def _deleted_of_the_lock(prefix: Path) -> None:
    (_site(prefix) / "cowsay" / "main.py").unlink()


def _altered_of_the_lock(prefix: Path) -> None:
    file = _site(prefix) / "cowsay" / "main.py"
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content + b"\n# altered\n")


def _half_removed_of_the_lock(prefix: Path) -> None:
    next(_site(prefix).glob("cowsay-*.dist-info/RECORD")).unlink()


DAMAGE = {
    "a deleted file of conda's": _deleted_of_conda,
    "an altered file of conda's": _altered_of_conda,
    "a half removed package of conda's": _half_removed_of_conda,
    "a package of conda's without its record": _half_removed_record,
    "a deleted file of the lock's": _deleted_of_the_lock,
    "an altered file of the lock's": _altered_of_the_lock,
    "a half removed package of the lock's": _half_removed_of_the_lock,
}


def test_damage_is_found_by_the_doctor_and_repaired_by_setup(site: Callable[..., Site]) -> None:
    here = site()
    here.setup("--hybrid", "conda+uv")
    whole = contents(here.prefix)
    for what, damage in DAMAGE.items():
        damage(here.prefix)
        if what != "a package of conda's without its record":  # which nobody can know of but the stamp
            here("doctor", check=1)
        done = here.outcome()
        assert done["because"], what
        assert here("doctor").returncode == 0, what
        assert contents(here.prefix) == whole, what


MOMENTS = (
    (" env create ", 0.05),
    (" env create ", 0.25),
    (" env list", 0.0),
    (" sync --locked ", 0.05),
    (" doctor -p ", 0.1),
    (" env update ", 0.05),
    (" env update ", 0.15),
)


def test_a_setup_that_is_killed_is_healed_by_the_next_one(
    site: Callable[..., Site], start: Callable[..., Started]
) -> None:
    here = site()
    here.setup("--hybrid", "conda+uv")
    whole = contents(here.prefix)
    for number, (line, later) in enumerate(MOMENTS):
        words = [] if "update" in line else ["--force"]
        conda_yml = here.root / "conda.yml"
        conda_yml.write_text(conda_yml.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
        run = start("setup", *here.words, "--verbose", *words, cwd=here.root, environ=here.environ)
        run.until(line)
        time.sleep(later)
        if number % 2:
            os.kill(run.process.pid, signal.SIGKILL)  # its children live on for a while
        else:
            os.killpg(run.process.pid, signal.SIGKILL)
        run.process.wait()
        here.outcome()
        assert contents(here.prefix) == whole, (line, later)
        assert here("doctor").returncode == 0
        assert here.outcome()["because"] == []


# --- what is refused -----------------------------------------------------------------------------------------------

ROOM = "dependencies:\n"
BAD: dict[str, tuple[str, int, str]] = {
    "empty": ("", 2, "conda.yml:1:1: the file must hold a mapping, not nothing: "),
    "a list": ("- a\n", 2, "conda.yml:1:1: the file must hold a mapping, not a list: "),
    "without python": (
        "name: native\ndependencies:\n  - libhello\n",
        2,
        "conda.yml: no python among its dependencies, so there is nothing to install packages for: add a line such as ",
    ),
    "base": (
        "name: base\ndependencies:\n  - python\n",
        2,
        "conda.yml: 'base' is conda's own environment (base), which conda itself runs in: ",
    ),
    "a malformed spec": ("name: native\ndependencies:\n  - python\n  - numpy=>1\n", 2, "conda.yml:4"),
    "words": ("name: native\ndependencies:\n  - python\n  - bad spec with words\n", 2, "conda.yml:4"),
    "an unknown package": ("name: native\ndependencies:\n  - python\n  - notthere-at-all\n", 1, "notthere-at-all"),
    "an unsatisfiable pair": (
        "name: native\ndependencies:\n  - python\n  - libhello =1.0\n  - needs-newer-hello\n",
        1,
        "libhello",
    ),
    "an unreachable channel": (
        "name: native\nchannels:\n  - http://127.0.0.1:9/nowhere\ndependencies:\n  - python\n",
        1,
        "127.0.0.1:9/nowhere",
    ),
    "a channel with a password": (
        "name: native\nchannels:\n  - http://user:s3cret@127.0.0.1:9/nowhere\ndependencies:\n  - python\n",
        1,
        "127.0.0.1:9/nowhere",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_one_clear_message_and_nothing_is_made(
    site: Callable[..., Site], conda_channel: Channel, tmp_path: Path, what: str
) -> None:
    text, code, message = BAD[what]
    channel = conda_channel.copy(tmp_path / "channels").add(
        Package("needs-newer-hello", "1.0", depends=("libhello >=1.1",))
    )
    here = site(environ=channel.environ)
    (here.root / "conda.yml").write_text(text, encoding="utf-8")
    started = time.monotonic()
    done = here.setup("--hybrid", "conda+uv", check=code)
    assert message in done.stderr
    assert done.stderr.count("error: ") <= 2, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert time.monotonic() - started < 30
    assert not here.prefix.exists()
    everything = (
        done.stdout
        + done.stderr
        + "".join(
            path.read_text(encoding="utf-8", errors="replace")
            for path in (here.root / ".mlops-lab").rglob("*")
            if path.is_file()
        )
    )
    assert "s3cret" not in everything
    # And once it is mended, everything works.
    shutil.copy(Path(__file__).parents[1] / "projects" / "native" / "conda.yml", here.root / "conda.yml")
    here.setup("--hybrid", "conda+uv")


def test_without_a_conda_and_a_channel_it_fails_at_once_and_says_what_to_do(case: Case, lab: Lab) -> None:
    root = case("native")
    started = time.monotonic()
    done = lab("setup", "--hybrid", "conda+poetry", "--conda", "embedded", cwd=root, check=1)
    assert time.monotonic() - started < 10
    assert "the channel conda-forge does not answer: " in done.stderr
    assert (
        done.stderr.strip()
        .splitlines()[-1]
        .endswith("install one of them, map the channel to a mirror in .condarc, or take venv+poetry")
    )
    assert not (root / ".mlops-lab" / "conda.yml").exists()
    assert json.loads(lab("setup", "--json", cwd=root).stdout)["hybrid"] == "venv+poetry"


def test_where_the_channel_answers_conda_is_the_first_choice(site: Callable[..., Site]) -> None:
    here = site()
    done = here.outcome()
    assert (done["hybrid"], done["reason"]) == ("conda+poetry", "the channel conda-forge answers")


def test_what_another_conda_made_is_not_touched(site: Callable[..., Site]) -> None:
    here = site()
    here.setup("--hybrid", "conda+uv")
    (here.prefix / "mlops-lab.json").unlink()
    (here.prefix / "conda-meta" / "mlops-lab").unlink()
    whole = contents(here.prefix)
    done = here.setup(check=2)
    assert f"error: {here.prefix} is an environment that mlops-lab did not make" in done.stderr
    assert contents(here.prefix) == whole
    done = here.setup("--force")
    assert here.outcome()["because"] == []


def test_an_environment_of_another_name_is_not_taken_for_the_one_that_conda_yml_names(
    site: Callable[..., Site],
) -> None:
    here = site()
    made = here.prefix
    here.embedded("create", "-n", here.root.name, "libhello")
    (made / "work.txt").write_text("of the user", encoding="utf-8")
    other = made.with_name("other")
    assert here.outcome("--hybrid", "conda+uv", "--prefix", str(other))["prefix"] == str(other)
    here("clean", "--prefix", str(other))
    assert not other.exists()
    assert (made / "work.txt").read_text(encoding="utf-8") == "of the user"


def test_a_setup_that_failed_gives_no_right_to_what_is_made_by_hand_later(site: Callable[..., Site]) -> None:
    here = site()
    here.edit("libhello >=1.0", "libhello >=7")
    here.setup("--hybrid", "conda+uv", check=1)
    here.embedded("create", "-n", here.root.name, "libhello")
    (here.prefix / "work.txt").write_text("of the user", encoding="utf-8")
    here.edit("libhello >=7", "libhello >=1.0")
    done = here.setup(check=2)
    assert f"error: {here.prefix} is an environment that mlops-lab did not make" in done.stderr
    assert (here.prefix / "work.txt").exists()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_mistake_costs_nothing_however_often_it_is_made(site: Callable[..., Site], engine: str) -> None:
    here = site(engine=engine)
    here.setup("--hybrid", "conda+uv")
    whole = contents(here.prefix)
    here.edit("libhello >=1.0", "libhello >=7")
    for _ in range(2):
        here.setup(check=1)
        assert contents(here.prefix) == whole
    here.setup("--python", "3.11.99", check=1)
    here.setup("--force", check=1)
    assert contents(here.prefix) == whole
    here.edit("libhello >=7", "libhello >=1.0")
    here.setup()
    assert here.outcome()["because"] == []


def test_a_lock_that_loses_what_had_replaced_condas_own(site: Callable[..., Site]) -> None:
    here = site()
    before = {name: (here.root / name).read_bytes() for name in ("pyproject.toml", "poetry.lock", "requirements.txt")}
    here.edit('"cowsay>=6"', '"cowsay>=6", "packaging>=25,<26"', "pyproject.toml")
    here("lock", "--hybrid", "conda+uv")
    here.edit("  - pip\n", "  - pip\n  - packaging =24.2\n")
    here.setup("--hybrid", "conda+uv")
    assert here.installed["packaging"] == "25.0"
    for name, content in before.items():
        (here.root / name).write_bytes(content)
    here.setup()
    assert here.installed["packaging"] == "24.2"
    here("run", "--", "python", "-c", "import packaging")
    assert here("doctor").returncode == 0


@pytest.mark.parametrize("why", ["the channel is gone", "nothing fits"])
def test_a_rebuild_that_cannot_be_leaves_what_is_there(site: Callable[..., Site], why: str) -> None:
    here = site()
    here.setup("--hybrid", "conda+uv")
    whole = contents(here.prefix)
    if why == "nothing fits":
        here.edit("libhello >=1.0", "libhello >=7")
    else:
        here.environ["CONDARC"] = str(here.root / "nothing")
        here.environ["CONDA_CHANNEL_ALIAS"] = "http://127.0.0.1:9"
    here.setup("--force", check=1)
    assert contents(here.prefix) == whole
    assert here("run", "--", "python", "-c", "import native").returncode == 0


def test_no_other_engine_goes_on_with_an_environment(site: Callable[..., Site]) -> None:
    here = site()
    here.setup("--hybrid", "conda+uv")
    stamp = here.prefix / "mlops-lab.json"
    stamp.write_text(stamp.read_text(encoding="utf-8").replace('"embedded"', '"micromamba"'), encoding="utf-8")
    done = here("remove", "iniconfig", "--group", "dev", check=2)
    assert (
        f"error: the environment at {here.prefix} was made by micromamba, and embedded acts as conda now" in done.stderr
    )
    assert "iniconfig" in here.installed
    done = here("setup", check=2)
    assert done.stderr.endswith(
        f"error: the environment at {here.prefix} was made by micromamba, which is not to be found now: "
        "put micromamba on PATH, or rebuild the environment with `--conda embedded`\n"
    )
    done = here.setup()
    assert "the environment was made by micromamba, not by embedded" in done.stderr
    assert here.outcome()["because"] == []


def test_an_engine_that_is_not_here_is_refused(site: Callable[..., Site], workshop: dict[str, str]) -> None:
    here = site()
    done = here("setup", "--hybrid", "conda+uv", "--conda", "conad", check=2)
    assert "error: there is no conda engine 'conad': did you mean conda" in done.stderr
    absent = next((name for name in PROGRAMS if not shutil.which(name, path=workshop["PATH"])), None)
    if absent:
        done = here("setup", "--hybrid", "conda+uv", "--conda", absent, check=2)
        assert f"error: there is no {absent} on this machine: install it, or take one of: " in done.stderr


# --- CUDA ----------------------------------------------------------------------------------------------------------


def test_cuda_is_solved_where_there_is_one_and_refused_clearly_where_not(site: Callable[..., Site]) -> None:
    here = site("native_cuda")
    done = here.setup("--hybrid", "conda+uv", check=1)
    assert "__cuda" in done.stderr
    assert not here.prefix.exists()
    here.environ["CONDA_OVERRIDE_CUDA"] = "12.4"
    assert here.outcome("--hybrid", "conda+uv")["engine"] == "embedded"
    assert here.condas["cuda-hello"] == "12.4"
    assert (here.prefix / "share" / "hello-gpu" / "kind").read_text(encoding="utf-8").strip() == "cuda"


# --- changes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_a_package_of_condas_comes_and_goes_by_conda_yml(site: Callable[..., Site], engine: str) -> None:
    here = site(engine=engine)
    here.setup("--hybrid", "conda+uv")
    before, condas, installed = here.conda_yml, here.condas, here.installed
    shown = json.loads(here("add", "--conda", "hello-gpu>=1", "--dry-run", "--json").stdout)
    assert (here.conda_yml, here.condas) == (before, condas)
    done = json.loads(here("add", "--conda", "hello-gpu>=1", "--json").stdout)
    assert done["moves"] == shown["moves"]
    assert done["moves"] == [{"package": "hello-gpu", "before": "", "after": "hello-gpu>=1", "files": ["conda.yml"]}]
    assert here.conda_yml == before + "  - hello-gpu>=1\n"
    assert here.condas == {**condas, "hello-gpu": "1.0"}
    here("check")
    here("add", "pyjokes")
    assert here.installed.keys() - installed.keys() == {"pyjokes"}
    assert here.condas == {**condas, "hello-gpu": "1.0"}
    here("remove", "pyjokes")
    here("remove", "--conda", "hello-gpu")
    assert (here.conda_yml, here.condas, here.installed) == (before, condas, installed)
    here("undo")
    assert here.condas == {**condas, "hello-gpu": "1.0"}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_package_of_condas_that_there_is_not_changes_nothing(site: Callable[..., Site], engine: str) -> None:
    here = site(engine=engine)
    before = here.conda_yml
    # Whether there is such a package is known before there is an environment.
    first = ("--hybrid", "conda+uv", "--no-install")
    here("add", "--conda", "no-such-package", *first, check=1)
    here("add", "--conda", "hello-gpu", *first)
    here("undo", "--hybrid", "conda+uv")
    assert (here.conda_yml, here.prefix.exists()) == (before, False)
    here.setup("--hybrid", "conda+uv")
    files = contents(here.prefix)
    for words in (["no-such-package"], ["libhello>=7"], ["no-such-package", "--dry-run"], ["x", "--no-install"]):
        done = here("add", "--conda", *words, check=1)
        assert words[0].partition(">")[0] in done.stderr
        assert "Traceback" not in done.stderr
        assert here.conda_yml == before
    here("add", "--conda", "hello >= ", check=2)
    here("remove", "--conda", "hello-gpu", check=2)
    assert here.conda_yml == before
    assert contents(here.prefix) == files
    assert json.loads(here.setup("--json").stdout)["because"] == []
