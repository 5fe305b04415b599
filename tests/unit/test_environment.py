"""A prefix read from its files: folders made here, in the shape that venv, pip, Poetry and conda leave them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import filelock
import pytest

from mlops_lab import environment as module
from mlops_lab.environment import (
    STAMP,
    Environment,
    Stamp,
    activation,
    altered_files,
    distributions,
    holding,
    identity,
    inventory,
    look,
    missing_files,
    normalise,
    read_stamp,
    user_cache,
    write_stamp,
)
from mlops_lab.errors import WRONG, LabError

if TYPE_CHECKING:
    from collections.abc import Sequence


def made(prefix: Path, python: str = "3.11") -> Environment:
    """A prefix with the files that a venv has."""
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "python").write_text("python", encoding="utf-8")
    (prefix / "pyvenv.cfg").write_text("home = /usr/bin\n", encoding="utf-8")
    (prefix / "lib" / f"python{python}" / "site-packages").mkdir(parents=True)
    return Environment(prefix)


def installed(environment: Environment, name: str, record: Sequence[str], *, files: Sequence[str] = ()) -> Path:
    """A distribution with these lines in its record, and these files."""
    site = environment.site_packages
    assert site is not None
    for file in files:
        (site / file).parent.mkdir(parents=True, exist_ok=True)
        (site / file).write_text(file, encoding="utf-8")
    folder = site / name
    folder.mkdir()
    (folder / "RECORD").write_text("".join(f"{line}\n" for line in record), encoding="utf-8")
    return folder


@pytest.fixture
def venv(tmp_path: Path) -> Environment:
    return made(tmp_path / "my env é")


# --- where things are ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("windows", "conda", "scripts", "python"),
    [
        (False, False, "bin", "bin/python"),
        (False, True, "bin", "bin/python"),
        (True, False, "Scripts", "Scripts/python.exe"),
        (True, True, "Scripts", "python.exe"),
    ],
)
def test_scripts_and_interpreter_lie_where_the_system_puts_them(
    monkeypatch: pytest.MonkeyPatch, windows: bool, conda: bool, scripts: str, python: str
) -> None:
    monkeypatch.setattr(module, "WINDOWS", windows)
    found = Environment(Path("/e"), conda=conda)
    assert (found.scripts, found.python) == (Path("/e", scripts), Path("/e", python))


@pytest.mark.parametrize(
    ("folders", "newest"),
    [
        (["python3.11"], "python3.11"),
        (["python3.9", "python3.10"], "python3.10"),
        (["python3.1", "python3.12"], "python3.12"),
        (["python3.13t"], "python3.13t"),
        ([], None),
    ],
)
def test_the_packages_lie_under_the_newest_python(tmp_path: Path, folders: list[str], newest: str | None) -> None:
    for folder in folders:
        (tmp_path / "lib" / folder / "site-packages").mkdir(parents=True)
    found = Environment(tmp_path).site_packages
    assert (found.parent.name if found else None) == newest


@pytest.mark.parametrize("there", [False, True])
def test_on_windows_the_packages_lie_under_lib(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, there: bool) -> None:
    monkeypatch.setattr(module, "WINDOWS", True)
    folder = tmp_path / "Lib" / "site-packages"
    if there:
        folder.mkdir(parents=True)
    assert Environment(tmp_path).site_packages == (folder if there else None)


@pytest.mark.parametrize("gone", ["pyvenv.cfg", "bin/python"])
def test_without_its_records_or_interpreter_it_does_not_exist(venv: Environment, gone: str) -> None:
    assert venv.exists
    (venv.prefix / gone).unlink()
    assert not venv.exists


def test_a_conda_environment_has_other_records(venv: Environment) -> None:
    conda = Environment(venv.prefix, conda=True)
    assert not conda.exists
    (venv.prefix / "conda-meta").mkdir()
    assert conda.exists


def test_a_file_lies_in_it_by_its_name_or_by_where_it_really_is(venv: Environment, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(venv.scripts)
    (venv.scripts / "tool").symlink_to("/usr/bin/env")
    assert venv.holds(venv.scripts / "tool")
    assert venv.holds(tmp_path / "link" / "tool")
    assert not venv.holds(tmp_path / "tool")
    assert not venv.holds(Path(f"{venv.prefix}-2") / "bin" / "tool")


@pytest.mark.parametrize(
    ("name", "normal"), [("NumPy", "numpy"), ("ruamel.yaml", "ruamel-yaml"), ("a__b--c.d", "a-b-c-d")]
)
def test_names_are_compared_as_indexes_do(name: str, normal: str) -> None:
    assert normalise(name) == normal


def test_the_cache_is_the_users_unless_it_is_moved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLOPS_LAB_CACHE_DIR", str(tmp_path / "c"))
    assert user_cache() == tmp_path / "c"
    monkeypatch.setenv("MLOPS_LAB_CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert user_cache().name == "mlops-lab"
    assert user_cache().is_relative_to(tmp_path) or sys.platform == "win32"


# --- activation ----------------------------------------------------------------------------------------------------


def test_activating_a_venv_takes_every_rival_away() -> None:
    environ = {"PATH": "/usr/bin:/bin", "CONDA_PREFIX": "/c", "CONDA_DEFAULT_ENV": "base", "PYTHONHOME": "/p"}
    assert activation(Environment(Path("/e")), environ) == {
        "PATH": "/e/bin:/usr/bin:/bin",
        "VIRTUAL_ENV": "/e",
        "VIRTUAL_ENV_PROMPT": "e",
        "CONDA_PREFIX": None,
        "CONDA_DEFAULT_ENV": None,
        "PYTHONHOME": None,
    }


@pytest.mark.parametrize(("by_name", "default"), [(True, "mlops_env"), (False, "/e")])
def test_activating_a_conda_environment_is_never_base(default: str, *, by_name: bool) -> None:
    environment = Environment(Path("/e"), conda=True, name="mlops_env", by_name=by_name)
    assert activation(environment, {"PATH": "/bin", "VIRTUAL_ENV": "/v"}) == {
        "PATH": "/e/bin:/bin",
        "VIRTUAL_ENV": None,
        "VIRTUAL_ENV_PROMPT": None,
        "CONDA_PREFIX": "/e",
        "CONDA_DEFAULT_ENV": default,
        "PYTHONHOME": None,
    }


def test_conda_on_windows_has_three_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WINDOWS", True)
    changes = activation(Environment(Path("/e"), conda=True), {"PATH": "/w"})
    assert changes["PATH"] == os.pathsep.join(["/e", "/e/Library/bin", "/e/Scripts", "/w"])


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        ({"PATH": "/e/bin:/bin"}, "/e/bin:/bin"),
        ({"PATH": "/bin:/e/bin:/usr/bin"}, "/e/bin:/bin:/usr/bin"),
        ({"PATH": "/v/bin:/bin", "VIRTUAL_ENV": "/v"}, "/e/bin:/v/bin:/bin"),
        ({}, f"/e/bin:{os.defpath}"),
    ],
)
def test_path_has_the_environment_first_and_once_before_the_one_that_our_own_tools_live_in(
    environ: dict[str, str], path: str
) -> None:
    assert activation(Environment(Path("/e")), environ)["PATH"] == path


def test_the_prompt_is_the_projects_name() -> None:
    assert activation(Environment(Path("/e"), name="lab"), {})["VIRTUAL_ENV_PROMPT"] == "lab"


# --- what is installed ---------------------------------------------------------------------------------------------


def test_the_inventory_has_normalised_names_and_whole_versions(venv: Environment) -> None:
    for name in ("Ruamel.YAML-0.18.dist-info", "torch-2.1.0+cu121.dist-info", "my_lab-1.0rc1.dist-info"):
        installed(venv, name, [])
    site = venv.site_packages
    assert site is not None
    (site / "old_one-1.2-py3.11.egg-info").write_text("", encoding="utf-8")
    (site / "older.egg-info").mkdir()
    (site / "numpy").mkdir()
    assert inventory(venv) == {
        "my-lab": "1.0rc1",
        "old-one": "1.2",
        "older": "",
        "ruamel-yaml": "0.18",
        "torch": "2.1.0+cu121",
    }


def test_before_it_has_packages_it_has_none(tmp_path: Path) -> None:
    assert inventory(Environment(tmp_path)) == {}
    assert distributions(Environment(tmp_path)) == []
    assert look(Environment(tmp_path)) == {"interpreter": None, "packages": {}, "conda": {}}


def test_missing_files_are_those_of_the_record_that_are_gone(venv: Environment, tmp_path: Path) -> None:
    absolute = tmp_path / "absolute.pth"
    absolute.touch()
    folder = installed(
        venv,
        "a-1.dist-info",
        [
            *("a/__init__.py,sha256=x,12", "a/gone.py,sha256=x,12", '"a/com,ma.py",sha256=x,1', '"a/qu""ote.py",,'),
            *(
                "a/__pycache__/x.cpython-311.pyc,,",
                '"a/__pycache__/com,ma.cpython-311.pyc",,',
                "",
                "../../../bin/tool,,",
            ),
            *(f"{absolute},,", '"a/gone, too.py",,'),
        ],
        files=["a/__init__.py", "a/com,ma.py", 'a/qu"ote.py', "../../../bin/tool"],
    )
    assert missing_files(folder) == ["a/gone.py", "a/gone, too.py"]


def test_without_a_readable_record_nothing_is_missing(venv: Environment) -> None:
    folder = installed(venv, "a-1.dist-info", [])
    (folder / "RECORD").write_bytes(b"\xff\xfe")
    assert missing_files(folder) == []
    (folder / "RECORD").unlink()
    assert missing_files(folder) == []


def test_what_is_no_file_is_never_read(venv: Environment) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows knows no pipes in folders")
    content = "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
    lines = [f"a.py,{content},0", f"pipe.py,{content},0", "b.py,shake_128=x,0", "a\0b,,", "x/__pycache__,,"]
    folder = installed(venv, "a-1.dist-info", lines, files=["b.py"])
    (folder.parent / "a.py").touch()
    os.mkfifo(folder.parent / "pipe.py")
    assert [file.path for file in altered_files(folder)] == ["pipe.py"]
    assert missing_files(folder) == ["a\0b"]
    (folder / "RECORD").unlink()
    os.mkfifo(folder / "RECORD")
    assert altered_files(folder) == []
    assert missing_files(folder) == []
    assert look(venv)["packages"].keys() == {folder.name}


def _touch_record(site: Path) -> None:
    (site / "a.py").write_text("longer than before", encoding="utf-8")


def _same_size(site: Path) -> None:
    os.utime(site / "a.py", ns=(1, 1))


def _remove(site: Path) -> None:
    (site / "a.py").unlink()


def _bytecode(site: Path) -> None:
    (site / "__pycache__" / "a.pyc").write_text("new bytecode", encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "seen"), [(_touch_record, True), (_same_size, True), (_remove, True), (_bytecode, False)]
)
def test_a_look_sees_every_change_but_bytecode(venv: Environment, change: object, seen: bool) -> None:
    files = ["a.py", "__pycache__/a.pyc"]
    installed(venv, "a-1.dist-info", [f"{file},," for file in files], files=files)
    before = look(venv)
    assert look(venv) == before
    assert venv.site_packages is not None
    assert callable(change)
    change(venv.site_packages)
    assert (look(venv) != before) is seen


def test_a_look_is_the_same_after_it_was_written_as_json(venv: Environment) -> None:
    installed(venv, "a-1.dist-info", ["a.py,,"], files=["a.py"])
    assert json.loads(json.dumps(look(venv))) == look(venv)


def test_a_distribution_without_a_record_is_looked_at_itself(venv: Environment) -> None:
    folder = installed(venv, "a-1.dist-info", [])
    (folder / "RECORD").unlink()
    before = look(venv)
    os.utime(folder, ns=(1, 1))
    assert look(venv) != before


def test_an_identity_follows_links_to_the_file(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.write_text("abc", encoding="utf-8")
    os.utime(real, ns=(5, 7))
    (tmp_path / "link").symlink_to(real)
    assert identity(tmp_path / "link") == [str(real.resolve()), 3, 7]
    assert identity(str(tmp_path / "nothing")) is None


# --- the stamp -----------------------------------------------------------------------------------------------------

FULL = Stamp("/p", "venv+uv", "mamba", ("dev", "lab"), "/usr/bin/python3", {"a": "1"}, {"complete": True})


@pytest.mark.parametrize("stamp", [FULL, Stamp("/p", "conda+uv")], ids=["finished", "unfinished"])
def test_a_stamp_is_read_as_it_was_written(tmp_path: Path, stamp: Stamp) -> None:
    write_stamp(tmp_path / "new" / "folder", stamp)
    assert read_stamp(tmp_path / "new" / "folder") == stamp
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == [STAMP]


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"\xff", b"[]", b"null", b"1"),
        *(b'{"project": "/p", "hybrid": "venv+uv"}', b'{"groups": [], "nothing": "known"}', b'{"groups": 1}'),
    ],
)
def test_of_a_stamp_that_cannot_be_read_nothing_is_known(tmp_path: Path, content: bytes) -> None:
    (tmp_path / STAMP).write_bytes(content)
    assert read_stamp(tmp_path) is None


def test_where_there_is_no_stamp_nothing_is_known(tmp_path: Path) -> None:
    assert read_stamp(tmp_path) is None
    assert read_stamp(tmp_path / "nothing") is None


def test_a_stamp_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_stamp(tmp_path, FULL)

    def full(path: Path, _text: str, encoding: str) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device", encoding)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(OSError, match="No space left"):
            write_stamp(tmp_path, Stamp("/q", "pip+uv"))
    assert read_stamp(tmp_path) == FULL
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(STAMP)] == [STAMP]


# --- the lock of a prefix ------------------------------------------------------------------------------------------


def _lock_file() -> Path:
    (path,) = (user_cache() / "locks").iterdir()
    return path


def _is_free(path: Path) -> bool:
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        return False
    lock.release()
    return True


def test_a_prefix_is_held_until_the_end(tmp_path: Path) -> None:
    said: list[str] = []
    with holding(tmp_path / "e", said.append) as descriptor:
        assert not _is_free(_lock_file())
        assert descriptor is not None or sys.platform == "win32"
    assert _is_free(_lock_file())
    assert said == []
    assert not (tmp_path / "e").exists()


def test_the_descriptor_is_the_locks_own(tmp_path: Path) -> None:
    with holding(tmp_path / "e", print) as descriptor:
        if descriptor is not None:
            assert os.path.samestat(os.fstat(descriptor), _lock_file().stat())


def test_a_prefix_is_free_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), holding(tmp_path / "e", print):
        raise KeyboardInterrupt
    assert _is_free(_lock_file())


def test_whoever_has_to_wait_says_so_once(tmp_path: Path) -> None:
    with holding(tmp_path / "e", print):
        pass
    other = filelock.FileLock(_lock_file())
    other.acquire()
    said: list[str] = []

    def waiting(text: str) -> None:
        said.append(text)
        other.release()

    with holding(tmp_path / "e", waiting):
        assert said == [f"waiting: another process is changing {tmp_path / 'e'}"]


def test_every_name_of_a_prefix_has_the_same_lock_and_another_prefix_another(tmp_path: Path) -> None:
    (tmp_path / "e").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "e")
    for name in ("e", "link"):
        with holding(tmp_path / name, print):
            pass
    assert len(list((user_cache() / "locks").iterdir())) == 1
    with holding(tmp_path / "other", print):
        pass
    assert len(list((user_cache() / "locks").iterdir())) == 2


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MLOPS_LAB_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(LabError) as caught, holding(tmp_path / "e", print):
        pytest.fail("nothing shall be changed without the lock")
    assert caught.value.message.startswith(f"cannot lock {tmp_path / 'e'}: ")
    assert caught.value.hint == "make the folder writable, or name another one in MLOPS_LAB_CACHE_DIR"
    assert caught.value.code == WRONG
