"""What the doctor finds in a venv, from folders that are ill in one way each."""

from __future__ import annotations

import io
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from mlops_lab import doctor
from mlops_lab.doctor import CHECKS, Finding, examine
from mlops_lab.environment import Environment
from mlops_lab.errors import FOUND, WRONG, LabError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

REBUILD = "invoke setup --force"
TITLES = [
    "the interpreter and where it comes from",
    "every recorded file is there",
    "every recorded file is as it was installed",
    "no package is recorded twice",
    "no leftovers of an interrupted installation",
    "no variables that bring other packages in",
]


class Venv:
    """A healthy venv with one package."""

    def __init__(self, folder: Path) -> None:
        self.base = folder / "base"
        self.base.mkdir()
        self.prefix = folder / "my env é"
        self.site = self.prefix / "lib" / "python3.12" / "site-packages"
        self.site.mkdir(parents=True)
        self.python = self.prefix / "bin" / "python"
        self.python.parent.mkdir()
        self.python.touch(mode=0o755)
        self.config = self.prefix / "pyvenv.cfg"
        self.config.write_text(f"home = {self.base}\n", encoding="utf-8")
        self.numpy = self.install("numpy-2.0", "numpy/a.py", "numpy/b.py")

    def install(self, name: str, *files: str) -> Path:
        folder = self.site / f"{name}.dist-info"
        folder.mkdir()
        for file in files:
            (self.site / file).parent.mkdir(exist_ok=True)
            (self.site / file).touch()
        (folder / "METADATA").touch()
        (folder / "RECORD").write_text("".join(f"{file},,\n" for file in files), encoding="utf-8")
        return folder

    def findings(self, **environ: str) -> dict[str, list[Finding]]:
        return {title: found for title, found in examine(Environment(self.prefix), environ) if found}


@pytest.fixture
def venv(tmp_path: Path) -> Venv:
    return Venv(tmp_path)


def test_a_healthy_venv_passes_every_check(venv: Venv) -> None:
    assert examine(Environment(venv.prefix), {"PATH": "/bin", "PYTHONPATH": ""}) == [(title, []) for title in TITLES]
    assert [title for title, _ in CHECKS] == TITLES


def _no_config(venv: Venv) -> str:
    venv.config.unlink()
    return f"{venv.prefix} has no readable pyvenv.cfg"


def _bad_config(venv: Venv) -> str:
    venv.config.write_bytes(b"\xff")
    return f"{venv.prefix} has no readable pyvenv.cfg"


def _no_python(venv: Venv) -> str:
    venv.python.unlink()
    return f"{venv.python} is missing or cannot be started"


def _dead_link(venv: Venv) -> str:
    venv.python.unlink()
    venv.python.symlink_to(venv.base / "gone")
    return f"{venv.python} is missing or cannot be started"


def _not_executable(venv: Venv) -> str:
    venv.python.chmod(0o644)
    return f"{venv.python} is missing or cannot be started"


def _no_home(venv: Venv) -> str:
    shutil.rmtree(venv.base)
    return f"the Python that it was made from is gone: {venv.base}"


def _home_not_named(venv: Venv) -> str:
    venv.config.write_text("version = 3.12\n", encoding="utf-8")
    return "the Python that it was made from is gone: (not named)"


def _no_record(venv: Venv) -> str:
    (venv.numpy / "RECORD").unlink()
    return "numpy-2.0.dist-info has no RECORD"


def _no_metadata(venv: Venv) -> str:
    (venv.numpy / "METADATA").unlink()
    return "numpy-2.0.dist-info has no METADATA"


def _one_file_gone(venv: Venv) -> str:
    (venv.site / "numpy" / "b.py").unlink()
    return "numpy-2.0: numpy/b.py missing"


def _files_gone(venv: Venv) -> str:
    shutil.rmtree(venv.site / "numpy")
    return "numpy-2.0: numpy/a.py and 1 more missing"


def _altered(venv: Venv) -> str:
    (venv.numpy / "RECORD").write_text(
        "numpy/a.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n"
        "numpy/b.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n"
        "numpy/c.py,sha257=unknown,0\n",
        encoding="utf-8",
    )
    (venv.site / "numpy" / "b.py").write_text("edited", encoding="utf-8")
    (venv.site / "numpy" / "c.py").touch()
    return "numpy-2.0: numpy/b.py altered"


def _twice(venv: Venv) -> str:
    venv.install("NumPy-1.9")
    return "numpy is recorded 2 times"


def _leftover(venv: Venv) -> str:
    (venv.site / "~umpy").mkdir()
    return "~umpy is what an interrupted pip left behind"


@pytest.mark.parametrize(
    ("title", "harm"),
    [
        *((TITLES[0], harm) for harm in (_no_config, _bad_config, _no_python, _dead_link, _not_executable)),
        *((TITLES[0], harm) for harm in (_no_home, _home_not_named)),
        *((TITLES[1], harm) for harm in (_no_record, _no_metadata, _one_file_gone, _files_gone)),
        (TITLES[2], _altered),
        (TITLES[3], _twice),
        (TITLES[4], _leftover),
    ],
)
def test_one_illness_is_one_finding(venv: Venv, title: str, harm: Callable[[Venv], str]) -> None:
    if harm is _not_executable and sys.platform == "win32":
        pytest.skip("Windows knows no such permission")
    what = harm(venv)
    assert venv.findings() == {title: [Finding(what, REBUILD)]}


@pytest.mark.parametrize("name", ["PYTHONPATH", "PYTHONHOME"])
def test_a_variable_that_brings_other_packages_in(venv: Venv, name: str) -> None:
    what = f"{name} is set: other packages come before the environment's own"
    assert venv.findings(**{name: "/x"}) == {TITLES[5]: [Finding(what, f"unset {name}")]}


def test_an_egg_info_has_no_record_to_look_at(venv: Venv) -> None:
    (venv.site / "old-1.egg-info").touch()
    assert venv.findings() == {}


def test_without_a_folder_for_packages_nothing_is_left_over(venv: Venv) -> None:
    shutil.rmtree(venv.prefix / "lib")
    assert venv.findings() == {}


# --- the command ---------------------------------------------------------------------------------------------------


def test_the_command_prints_every_check(
    venv: Venv, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.delenv("PYTHONHOME", raising=False)
    assert doctor.main([f"--prefix={venv.prefix}"]) == 0
    assert capsys.readouterr().out == "".join(f"✓ {title}\n" for title in TITLES)


def test_the_command_prints_what_is_wrong_and_what_mends_it(
    venv: Venv, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/x")
    monkeypatch.delenv("PYTHONHOME", raising=False)
    _leftover(venv)
    assert doctor.main(["--prefix", str(venv.prefix)]) == FOUND
    assert capsys.readouterr().out.splitlines()[4:] == [
        f"✗ {TITLES[4]}",
        f"    ~umpy is what an interrupted pip left behind: {REBUILD}",
        f"✗ {TITLES[5]}",
        "    PYTHONPATH is set: other packages come before the environment's own: unset PYTHONPATH",
    ]


def test_the_prefix_may_be_relative(venv: Venv, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.delenv("PYTHONHOME", raising=False)
    monkeypatch.chdir(venv.prefix.parent)
    assert doctor.main(["--prefix", venv.prefix.name]) == 0


@pytest.mark.parametrize("make", [lambda _: None, lambda path: path.mkdir(), lambda path: path.touch()])
def test_what_is_no_environment_is_refused(tmp_path: Path, make: Callable[[Path], None]) -> None:
    prefix = tmp_path / "x"
    make(prefix)
    with pytest.raises(LabError) as caught:
        doctor.main(["--prefix", str(prefix)])
    assert str(caught.value) == f"{prefix} is not an environment: make it with `invoke setup`"
    assert caught.value.code == WRONG


def test_without_a_prefix_the_words_are_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        doctor.main([])
    assert caught.value.code == WRONG
    assert "the following arguments are required: --prefix" in capsys.readouterr().err


def test_a_reader_that_has_gone_is_no_error(venv: Venv, monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Closed())
    assert doctor.main(["--prefix", str(venv.prefix)]) == 0
