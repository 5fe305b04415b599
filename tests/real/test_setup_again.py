"""A second setup: nothing to do where nothing has changed; after any single change it works, and ends right."""

from __future__ import annotations

import functools
import io
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlops_lab import locks, recipe
from mlops_lab.choices import Request
from mlops_lab.environment import SEEDS, STAMP, Environment, inventory, read_stamp
from mlops_lab.manifests import poetry_lock, requirements
from mlops_lab.manifests.markers import marker_environment
from mlops_lab.project import find
from mlops_lab.report.progress import Quiet
from mlops_lab.steps import open_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Lab = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.real

PROJECTS = Path(__file__).parent.parent / "projects"
HYBRIDS = ("venv+poetry", "venv+uv", "pip+poetry", "pip+uv")


@dataclass(frozen=True)
class Settled:
    """A clone of the small project that is set up."""

    root: Path
    lab: Lab
    environ: Mapping[str, str]
    first: Mapping[str, Any]

    @property
    def prefix(self) -> Path:
        return self.root / ".venv"

    @property
    def site(self) -> Path:
        site = Environment(self.prefix).site_packages
        assert site is not None
        return site

    @property
    def logs(self) -> list[str]:
        return sorted(path.name for path in (self.root / ".mlops-lab" / "logs").iterdir())

    def setup(self, *words: str, **options: Any) -> dict[str, Any]:
        outcome: dict[str, Any] = json.loads(self.lab("setup", *words, "--json", cwd=self.root, **options).stdout)
        return outcome

    def git(self, *words: str) -> None:
        subprocess.run(["git", *words], cwd=self.root, env=dict(self.environ), check=True, capture_output=True)

    def pip(self, *words: str) -> None:
        argv = [str(Environment(self.prefix).python), "-m", "pip", *words]
        subprocess.run(argv, env=dict(self.environ), check=True, capture_output=True, timeout=120)


def cloned(lab: Lab, environ: Mapping[str, str], folder: Path, hybrid: str = "") -> Settled:
    shutil.copytree(PROJECTS / "small", folder)
    (folder / ".gitignore").write_text(".venv/\n/uv.lock\n", encoding="utf-8")
    clone = Settled(folder, lab, environ, {})
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "start"]):
        clone.git(*words)
    return Settled(folder, lab, environ, clone.setup("--hybrid", hybrid)) if hybrid else clone


def restored(clone: Settled) -> Settled:
    """The clone as it was at first, whatever the last test did to its files."""
    clone.git("checkout", "-q", ".")
    clone.git("clean", "-q", "-d", "-f")
    outcome = clone.setup("--python", clone.first["python"])
    assert outcome["packages"] == clone.first["packages"]
    return clone


# --- in every hybrid -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=HYBRIDS)
def clone(
    request: pytest.FixtureRequest, lab: Lab, workshop: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Settled:
    return cloned(lab, workshop, tmp_path_factory.mktemp("clone") / "small", request.param)


@pytest.fixture
def settled(clone: Settled) -> Settled:
    return restored(clone)


def test_nothing_changed_starts_no_tool_and_writes_no_log(
    settled: Settled, workshop: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, stamp = settled.logs, (settled.prefix / STAMP).read_bytes()
    again = settled.setup()
    assert again["because"] == []
    assert {**settled.first, **dict.fromkeys(("because", "reason", "seconds"))} == {
        **again,
        **dict.fromkeys(("because", "reason", "seconds")),
    }
    assert settled.logs == before
    assert (settled.prefix / STAMP).read_bytes() == stamp

    monkeypatch.setenv("MLOPS_LAB_CACHE_DIR", workshop["MLOPS_LAB_CACHE_DIR"])
    steps = open_steps(Request(), start=settled.root, environ=workshop, observer=Quiet(io.StringIO()))
    assert recipe.setup(steps, Request()).because == ()
    assert steps.runner.started == 0


def test_a_setup_with_nothing_to_do_says_so(settled: Settled) -> None:
    done = settled.lab("setup", cwd=settled.root)
    assert done.stdout.splitlines()[0] == "nothing to do: the environment is as the last setup left it"


def test_what_pip_changed_behind_its_back_is_put_right(settled: Settled) -> None:
    settled.pip("install", "colorama==0.4.6", "cowsay==6.0")
    outcome = settled.setup()
    assert outcome["because"] == [
        "installed behind the lock's back: colorama 0.4.6, cowsay 6.0",
        "no longer installed: cowsay 6.1",
    ]
    assert outcome["packages"] == settled.first["packages"]
    assert settled.setup()["because"] == []


@pytest.fixture(scope="module")
def upstream(lab: Lab, workshop: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second clone, in which a colleague has taken one package out and another one in."""
    clone = cloned(lab, workshop, tmp_path_factory.mktemp("upstream") / "small")
    lab("remove", "cowsay", "--hybrid", "venv+poetry", cwd=clone.root)
    lab("add", "six", "--hybrid", "venv+poetry", cwd=clone.root)
    assert not clone.prefix.exists()
    return clone.root


def test_a_pulled_lock_is_followed_and_what_left_it_is_gone(settled: Settled, upstream: Path) -> None:
    # The exported requirements stay behind: their turn comes with the setup.
    for name in ("pyproject.toml", "poetry.lock"):
        shutil.copy(upstream / name, settled.root / name)
    outcome = settled.setup()
    assert outcome["because"] == ["poetry.lock, pyproject.toml changed since the last setup"]
    python = marker_environment(outcome["python"])
    expected = poetry_lock.versions_for(upstream / "poetry.lock", python, ["dev"])
    assert {"cowsay", "six"} & expected.keys() == {"six"}
    installed = {name: version for name, version in outcome["packages"].items() if name not in SEEDS}
    assert installed == {**expected, "small": "1.2.3"}
    if outcome["hybrid"].startswith("pip+"):
        assert requirements.pins_for(requirements.read(settled.root / "requirements.txt"), python) == expected
    if outcome["hybrid"].endswith("+uv"):
        assert locks.differences(find(settled.root)) == []
    assert settled.setup()["because"] == []


# --- single changes, under the quickest hybrid -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def quick_clone(lab: Lab, workshop: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Settled:
    folder = tmp_path_factory.mktemp("quick")
    # Files in an environment are links into uv's cache: what is altered here would be altered for every other test.
    own = {"UV_CACHE_DIR": str(folder / "uv")}
    return cloned(functools.partial(lab, environ=own), {**workshop, **own}, folder / "small", "venv+uv")


@pytest.fixture
def quick(quick_clone: Settled) -> Settled:
    return restored(quick_clone)


def appended(name: str, text: str) -> Callable[[Settled], None]:
    def change(clone: Settled) -> None:
        with (clone.root / name).open("a", encoding="utf-8") as file:
            file.write(text)

    return change


def removed(*names: str) -> Callable[[Settled], None]:
    def change(clone: Settled) -> None:
        for name in names:
            path = clone.root / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return change


def in_site(name: str, text: str | None) -> Callable[[Settled], None]:
    """A file of a package, with another text, or gone."""

    def change(clone: Settled) -> None:
        path = clone.site / name
        if text is None:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        else:
            path.write_text(text, encoding="utf-8")

    return change


def without_a_pin(clone: Settled) -> None:
    path = clone.root / "requirements.txt"
    before, _, rest = path.read_text(encoding="utf-8").partition("cowsay==")
    path.write_text(before + rest[rest.index("importlib-metadata==") :], encoding="utf-8")


UNCHANGED = (
    ("manifest", appended("pyproject.toml", "# a word\n"), "pyproject.toml changed since the last setup"),
    ("leader's lock", appended("poetry.lock", "# a word\n"), "poetry.lock changed since the last setup"),
    ("other lock", removed("uv.lock"), "uv.lock changed since the last setup"),
    ("export", appended("requirements.txt", "# a word\n"), "requirements.txt changed since the last setup"),
    ("conda's manifest", appended("conda.yml", "# a word\n"), "conda.yml changed since the last setup"),
    ("pinned Python", appended(".python-version", "3\n"), ".python-version changed since the last setup"),
    ("missing file", in_site("cowsay/main.py", None), "files of cowsay 6.1 have changed or are missing"),
    ("altered file", in_site("cowsay/main.py", "cow = None\n"), "files of cowsay 6.1 have changed or are missing"),
    ("missing script", removed(".venv/bin/small"), "files of small 1.2.3 have changed or are missing"),
    ("missing record", in_site("cowsay-6.1.dist-info", None), "no longer installed: cowsay 6.1"),
    ("missing interpreter", removed(".venv/bin/python"), "there is no environment yet"),
)


@pytest.mark.parametrize(
    ("change", "because"), [row[1:] for row in UNCHANGED], ids=[row[0].replace(" ", "-") for row in UNCHANGED]
)
def test_a_change_that_asks_for_no_other_package_ends_as_before(
    change: Callable[[Settled], None], because: str, quick: Settled
) -> None:
    code = quick.site.joinpath("cowsay", "main.py").read_bytes()
    change(quick)
    outcome = quick.setup()
    assert outcome["because"] == [because]
    assert {name: outcome[name] for name in ("packages", "python")} == {
        name: quick.first[name] for name in ("packages", "python")
    }
    assert quick.site.joinpath("cowsay", "main.py").read_bytes() == code
    assert locks.differences(find(quick.root)) == []
    assert quick.setup()["because"] == []
    quick.lab("doctor", cwd=quick.root)


def pins(clone: Settled) -> Mapping[str, str]:
    return requirements.pins_for(requirements.read(clone.root / "requirements.txt"), marker_environment("3.11"))


@pytest.mark.parametrize("clone", ["pip+uv"], indirect=True)
def test_an_export_that_lost_a_pin_is_made_anew_where_pip_installs(settled: Settled) -> None:
    whole = pins(settled)
    without_a_pin(settled)
    assert pins(settled).keys() == whole.keys() - {"cowsay"}
    outcome = settled.setup()
    assert outcome["because"] == ["requirements.txt changed since the last setup"]
    assert outcome["packages"] == settled.first["packages"]
    assert pins(settled) == whole


def test_an_export_that_lost_a_pin_is_a_file_like_any_other_where_pip_does_not_install(quick: Settled) -> None:
    without_a_pin(quick)
    written = (quick.root / "requirements.txt").read_bytes()
    outcome = quick.setup()
    assert outcome["because"] == ["requirements.txt changed since the last setup"]
    assert outcome["packages"] == quick.first["packages"]
    assert (quick.root / "requirements.txt").read_bytes() == written


# --- another Python --------------------------------------------------------------------------------------------------


def pinned_by_conda(clone: Settled) -> None:
    path = clone.root / "conda.yml"
    path.write_text(path.read_text(encoding="utf-8").replace("python >=3.11,<3.14", "python 3.11"), encoding="utf-8")


def pinned_by_file(clone: Settled) -> None:
    (clone.root / "conda.yml").unlink()
    (clone.root / ".python-version").write_text("3.11\n", encoding="utf-8")


def narrowed(clone: Settled) -> None:
    """Only the manifest: its lock is made again, as a colleague would have done."""
    path = clone.root / "pyproject.toml"
    text = path.read_text(encoding="utf-8")
    text = text.replace('requires-python = ">=3.11"', 'requires-python = ">=3.11,<3.12"')
    # uv never finds a lock up to date whose environments are all that requires-python allows anyway.
    text = text.replace("environments = [\"python_version < '3.14'\"]\n", "")
    path.write_text(text.replace('python = ">=3.11,<3.14"', 'python = ">=3.11,<3.12"'), encoding="utf-8")
    clone.lab("lock", cwd=clone.root)


PYTHONS = (
    (pinned_by_conda, (), "and conda.yml:5 says ==3.11.*"),
    (pinned_by_file, (), "and .python-version says ==3.11.*"),
    (narrowed, (), "and pyproject.toml requires >=3.11,<3.12"),
    (lambda _: None, ("--python", "3.11"), "and 3.11 is asked for"),
)


@pytest.fixture(scope="module")
def two_pythons(quick_clone: Settled, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Python 3.11, and the newer one that is taken where nobody asks."""
    words = ("create", "--python", "3.11", "--prefix", str(tmp_path_factory.mktemp("older") / "env"))
    root = tmp_path_factory.mktemp("probe") / "small"
    shutil.copytree(PROJECTS / "small", root)
    found = quick_clone.lab(*words, cwd=root, check=None)
    if found.returncode or quick_clone.first["python"].startswith("3.11."):
        pytest.skip("this machine has no Python 3.11 beside a newer one")


@pytest.fixture
def rebuilt(quick: Settled) -> Iterator[Settled]:
    """The clone, whose first environment comes back afterwards as it was, without being made anew."""
    aside = quick.root.with_name("aside")
    # The very files, which may not be altered in their place.
    shutil.copytree(quick.prefix, aside, symlinks=True, copy_function=os.link)
    yield quick
    shutil.rmtree(quick.prefix)
    aside.rename(quick.prefix)


@pytest.mark.usefixtures("two_pythons")
@pytest.mark.parametrize(
    ("change", "words", "because"), PYTHONS, ids=["conda.yml", ".python-version", "pyproject.toml", "--python"]
)
def test_another_python_rebuilds_the_environment_with_it(
    change: Callable[[Settled], None], words: tuple[str, ...], because: str, rebuilt: Settled
) -> None:
    first = rebuilt.first["python"]
    change(rebuilt)
    outcome = rebuilt.setup(*words)
    assert outcome["because"][0] == f"the environment has Python {first}, {because}"
    assert outcome["python"].startswith("3.11.")
    expected = poetry_lock.versions_for(rebuilt.root / "poetry.lock", marker_environment(outcome["python"]), ["dev"])
    installed = {name: version for name, version in outcome["packages"].items() if name not in SEEDS}
    assert installed == {**expected, "small": "1.2.3"}
    assert rebuilt.setup(*words)["because"] == []


@pytest.mark.usefixtures("two_pythons")
def test_a_python_that_was_asked_for_stays_until_the_files_ask_for_another(rebuilt: Settled) -> None:
    asked = rebuilt.setup("--python", "3.11")
    appended("conda.yml", "# a word\n")(rebuilt)
    outcome = rebuilt.setup()
    assert outcome["because"] == ["conda.yml changed since the last setup"]
    assert outcome["python"] == asked["python"]


# --- the stamp, and the tools -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [None, "{"], ids=["deleted", "cut off"])
def test_an_environment_without_its_stamp_is_rebuilt_only_when_asked(content: str | None, quick: Settled) -> None:
    stamp = quick.prefix / STAMP
    stamp.unlink() if content is None else stamp.write_text(content, encoding="utf-8")
    installed = inventory(Environment(quick.prefix))
    refused = quick.lab("setup", cwd=quick.root, check=2)
    assert refused.stderr.splitlines()[-1] == (
        f"error: {quick.prefix} is an environment that mlops-lab did not make: "
        "rebuild it with --force, or choose another one with --prefix"
    )
    assert inventory(Environment(quick.prefix)) == installed
    outcome = quick.setup("--force")
    assert outcome["because"] == ["asked for with --force", "there is no environment yet"]
    assert outcome["packages"] == quick.first["packages"]


def test_another_program_for_a_tool_makes_it_work_again(quick: Settled, tmp_path: Path) -> None:
    stamp = read_stamp(quick.prefix)
    assert stamp is not None
    assert stamp.fingerprint is not None
    shutil.copy(stamp.fingerprint["tools"]["uv"]["path"], tmp_path / "uv")
    environ = {"PATH": f"{tmp_path}:{quick.environ['PATH']}"}
    outcome = quick.setup(environ=environ)
    assert outcome["because"] == ["another uv than at the last setup"]
    assert outcome["packages"] == quick.first["packages"]
    assert quick.setup(environ=environ)["because"] == []


def pip_of(clone: Settled) -> Any:
    stamp = read_stamp(clone.prefix)
    assert stamp is not None
    assert stamp.fingerprint is not None
    return stamp.fingerprint["tools"]["pip"]


@pytest.mark.parametrize("clone", ["pip+uv"], indirect=True)
def test_another_version_of_a_tool_is_fetched_and_used(settled: Settled) -> None:
    before = pip_of(settled)
    appended("pyproject.toml", '\n[tool.mlops-lab.tools]\npip = "==25.3"\n')(settled)
    assert settled.setup()["because"] == ["pyproject.toml changed since the last setup"]
    assert json.loads(settled.lab("tools", "--json", cwd=settled.root).stdout)["pip"]["version"] == "25.3"
    assert pip_of(settled) != before
    assert settled.setup()["because"] == []
