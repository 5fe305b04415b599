"""A prefix as the embedded conda reads and writes it: records, ledger, marker, history, the user's list."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from mlops_lab.conda import history, listing, marker, pip, plan, prefixes, records, standing
from mlops_lab.conda.channels import Channel
from mlops_lab.conda.config import Settings
from mlops_lab.conda.marker import Marker
from mlops_lab.conda.talk import Talk
from mlops_lab.errors import LabError
from mlops_lab.manifests import conda_env
from mlops_lab.manifests.marked import Item

SITE = "lib/python3.11/site-packages"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    return tmp_path / "home"


def package(prefix: Path, name: str, version: str, files: dict[str, str], **more: Any) -> None:
    entries = []
    for path, text in files.items():
        (prefix / path).parent.mkdir(parents=True, exist_ok=True)
        (prefix / path).write_text(text)
        entries.append({"_path": path, "path_type": "hardlink", "sha256": hashlib.sha256(text.encode()).hexdigest()})
    data = {
        "name": name, "version": version, "build": "0", "build_number": 0, "subdir": "noarch",
        "channel": "https://a.example/c/", "depends": [], "files": list(files),
        "paths_data": {"paths_version": 1, "paths": entries}, **more,
    }  # fmt: skip
    (prefix / "conda-meta").mkdir(parents=True, exist_ok=True)
    (prefix / f"conda-meta/{name}-{version}-0.json").write_text(json.dumps(data))
    (prefix / "conda-meta/history").touch()


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    made = tmp_path / "envs" / "lab"
    info = f"{SITE}/idna-3.11.dist-info"
    package(made, "idna", "3.11", {f"{SITE}/idna.py": "x", f"{info}/METADATA": "m", f"{info}/INSTALLER": "conda\n"})
    package(made, "tool", "1", {"bin/tool": "t", "lib/x.pyc": "c"}, depends=["idna >=3", "__glibc"])
    return made


def look(prefix: Path, *, thorough: bool = False, known: dict[str, list[int]] | None = None) -> records.Findings:
    found, _ = records.read(prefix)
    return records.inspect(prefix, found, known or {}, thorough=thorough)


def test_missing_and_altered_files(prefix: Path) -> None:
    assert look(prefix) == records.Findings()
    (prefix / "lib/x.pyc").unlink()
    assert look(prefix) == records.Findings(), "what Python compiles is nobody's business"
    (prefix / "bin/tool").unlink()
    (prefix / SITE / "idna.py").write_text("y")
    found = look(prefix)
    assert (found.missing, found.altered) == ({"tool": ["bin/tool"]}, {"idna": [f"{SITE}/idna.py"]})
    assert found.damaged == {"idna", "tool"}
    assert list(plan.notes(found)) == [
        "tool: 1 file missing (bin/tool); installed again",
        f"idna: 1 file altered ({SITE}/idna.py); installed again",
    ]


def test_the_ledger_saves_reading(prefix: Path) -> None:
    known = records.ledger(prefix, records.read(prefix)[0])
    file = prefix / "bin/tool"
    before = file.stat()
    file.write_text("u")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert look(prefix, known=known) == records.Findings()
    assert look(prefix, known=known, thorough=True).altered == {"tool": ["bin/tool"]}
    os.utime(file, (1, 1))
    assert look(prefix, known=known).altered == {"tool": ["bin/tool"]}


def test_a_link_that_became_a_file(prefix: Path) -> None:
    package(prefix, "link", "1", {})
    (prefix / "bin/link").symlink_to("tool")
    file = prefix / "conda-meta/link-1-0.json"
    data = json.loads(file.read_text())
    entry = {"_path": "bin/link", "path_type": "softlink", "sha256": "of the target", "sha256_in_prefix": "of the text"}
    file.write_text(json.dumps({**data, "files": ["bin/link"], "paths_data": {"paths_version": 1, "paths": [entry]}}))
    assert look(prefix) == records.Findings()
    history.settle(records.read(prefix)[0], {"link": "link >=1"})
    settled = json.loads(file.read_text())
    assert "sha256_in_prefix" not in settled["paths_data"]["paths"][0]
    assert (settled["requested_spec"], settled["requested_specs"]) == ("link >=1", ["link >=1"])
    (prefix / "bin/link").unlink()
    (prefix / "bin/link").write_text("t")
    assert look(prefix).altered == {"link": ["bin/link"]}


@pytest.mark.parametrize("by", ["version", "installer"])
def test_what_another_installer_replaced(prefix: Path, by: str) -> None:
    info = prefix / SITE / "idna-3.11.dist-info"
    (prefix / SITE / "idna.py").write_text("y")
    if by == "version":
        info.rename(info.with_name("idna-3.10.dist-info"))
    else:
        (info / "INSTALLER").write_text("uv")
    found = look(prefix)
    assert found.replaced == {"idna": "idna 3.10" if by == "version" else "idna 3.11"}
    assert found.damaged == set()


def test_a_distribution_that_is_gone_is_missing(prefix: Path) -> None:
    for file in (prefix / SITE / "idna-3.11.dist-info").iterdir():
        file.unlink()
    assert look(prefix).damaged == {"idna"}


def test_records_that_cannot_be_read(prefix: Path) -> None:
    broken = prefix / "conda-meta/half-1-0.json"
    broken.write_text('{"name": ')
    assert [record.name for record in records.read(prefix)[0]] == ["idna", "tool"]
    assert records.read(prefix)[1] == [broken]


def test_the_marker(prefix: Path) -> None:
    assert marker.read(prefix) is None
    made = Marker(marker.CHANGING, {"a": [1, 2]}, {"digest": "x"}, "i", {"r": "r 1"}, ("b",), ("c-1-0",))
    marker.write(prefix, made)
    assert marker.read(prefix) == made
    marker.path(prefix).write_text("{")
    assert marker.read(prefix) == Marker(marker.CHANGING), "ours, but nothing is known of it"
    marker.path(prefix).write_text('{"format": 99, "journal": [], "linking": []}')
    assert marker.read(prefix) == Marker(marker.CHANGING)


def test_the_history(prefix: Path) -> None:
    known = [Channel("c", "https://a.example/c/")]
    names = {history.distribution(record, known) for record in records.read(prefix)[0]}
    assert names == {"c/noarch::idna-3.11-0", "c/noarch::tool-1-0"}
    command = "conda create -c https://me:pw@h/x tool"
    history.append(prefix, set(), names, command=command, update=["tool", "c::idna>=3"], remove=())
    history.append(prefix, names, {"c/noarch::tool-1-0"}, command="conda remove idna", update=[], remove=["idna"])
    text = (prefix / "conda-meta/history").read_text().splitlines()
    assert text[1:6] == [
        "# cmd: conda create -c https://***@h/x tool",
        "# conda version: 0.0.0",
        "+c/noarch::idna-3.11-0",
        "+c/noarch::tool-1-0",
        "# update specs: ['tool', 'c::idna>=3']",
    ]
    assert text[-2:] == ["-c/noarch::idna-3.11-0", "# remove specs: ['idna']"]
    assert history.requested(prefix) == {"tool": "tool"}
    (prefix / "conda-meta/history").write_text("# update specs: [\n# update specs: 3\n# update specs: ['a b', 3]\n")
    assert history.requested(prefix) == {"a": "a b"}
    assert history.requested(prefix / "gone") == {}


def test_the_users_list_of_environments(prefix: Path, home: Path, tmp_path: Path) -> None:
    assert history.registered() == []
    history.register(prefix)
    history.register(prefix)
    history.register(tmp_path / "other")
    file = home / ".conda/environments.txt"
    assert file.read_text() == f"{prefix}\n{tmp_path}/other\n"
    history.unregister(prefix)
    history.unregister(prefix)
    assert file.read_text() == f"{tmp_path}/other\n"
    assert [path.name for path in file.parent.iterdir()] == ["environments.txt"]


def test_variables(prefix: Path) -> None:
    history.set_variables(prefix, {})
    assert not (prefix / "conda-meta/state").exists()
    history.set_variables(prefix, {"A": "1"})
    history.set_variables(prefix, {"B": "ü"})
    text = (prefix / "conda-meta/state").read_text(encoding="utf-8")
    assert text == '{"env_vars": {"A": "1", "B": "ü"}}'


# --- whose prefix, and where ---------------------------------------------------------------------------------------


def test_where_an_environment_is(prefix: Path, tmp_path: Path) -> None:
    settings = Settings(envs_dirs=(tmp_path / "first", prefix.parent))
    assert prefixes.locate("lab", None, settings, {}) == prefix
    assert prefixes.locate("new", None, settings, {}) == tmp_path / "first/new"
    assert prefixes.locate(None, "a/../b", settings, {}) == Path.cwd() / "b"
    assert prefixes.locate(None, None, settings, {"CONDA_PREFIX": str(prefix)}) == prefix
    assert prefixes.name_of(prefix, settings) == "lab"
    assert prefixes.name_of(tmp_path, settings) == ""
    for environ in ({"MAMBA_ROOT_PREFIX": str(prefix)}, {"CONDA_EXE": f"{prefix}/bin/conda"}):
        with pytest.raises(LabError, match="is the environment that a conda itself lives in"):
            prefixes.locate("lab", None, settings, environ)
        assert prefixes.locate("lab", None, settings, environ, looking=True) == prefix


def test_every_environment(prefix: Path, tmp_path: Path, home: Path) -> None:
    settings = Settings(envs_dirs=(prefix.parent,))
    marker.write(prefix.with_name(".x.mlops-lab-new"), Marker())
    (prefix.with_name(".x.mlops-lab-new") / "conda-meta/history").touch()
    package(tmp_path / "far", "a", "1", {})
    (home / ".conda").mkdir(parents=True)
    (home / ".conda/environments.txt").write_text(f"{tmp_path}/far\n/gone\n\n")
    data = listing.environments(settings, {"CONDA_PREFIX": str(prefix)})
    assert data["envs"] == [str(prefix), str(tmp_path / "far")]
    detail = data["envs_details"][str(prefix)]
    assert (detail["name"], detail["active"], detail["base"]) == ("lab", True, False)
    assert listing.show_environments(data).splitlines()[3] == f"lab   * {prefix}"


def test_the_list(prefix: Path) -> None:
    settings = Settings(channel_alias="https://a.example", channels=("c",))
    (prefix / SITE / "mine-1.0.dist-info").mkdir()
    found = listing.packages(prefix, settings)
    assert [(entry["name"], entry["channel"], entry["base_url"]) for entry in found] == [
        ("idna", "c", "https://a.example/c"),
        ("mine", "pypi", "https://a.example/pypi"),
        ("tool", "c", "https://a.example/c"),
    ]
    assert listing.show_packages(prefix, found).splitlines()[3] == "idna  3.11     0       c"
    assert [entry["name"] for entry in listing.packages(prefix, settings, "^T")] == ["tool"]
    with pytest.raises(LabError, match="is no regular expression"):
        listing.packages(prefix, settings, "(")
    with pytest.raises(LabError, match="is no conda environment"):
        listing.packages(prefix / "gone", settings)


def test_what_is_not_ours(prefix: Path, tmp_path: Path) -> None:
    with pytest.raises(LabError, match="was made by another conda"):
        prefixes.assert_ours(prefix)
    marker.write(prefix, Marker())
    prefixes.assert_ours(prefix)
    prefixes.assert_ours(tmp_path / "new")
    (tmp_path / "empty").mkdir()
    prefixes.assert_ours(tmp_path / "empty")
    (tmp_path / "empty/mlops-lab.json").touch()
    prefixes.assert_ours(tmp_path / "empty")
    (tmp_path / "file").write_text("")
    with pytest.raises(LabError, match="is a file"):
        prefixes.assert_ours(tmp_path / "file")


def test_this_very_environment_is_not_changed(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.prefix", str(prefix))
    with pytest.raises(LabError, match="this command runs from"):
        prefixes.assert_ours(prefix)


@pytest.mark.parametrize(
    ("new", "old", "state", "left"),
    [
        (True, True, None, "old"),
        (True, False, marker.COMPLETE, "now"),
        (False, True, marker.COMPLETE, "now"),
        (False, True, marker.BUILDING, "old"),
        (False, False, marker.BUILDING, None),
        (False, False, marker.CHANGING, "now"),
    ],
)
def test_what_a_killed_run_left(tmp_path: Path, *, new: bool, old: bool, state: str | None, left: str | None) -> None:
    place = tmp_path / "envs/x"

    def make(path: Path, text: str, kind: str) -> None:
        marker.write(path, Marker(kind))
        (path / "text").write_text(text)

    if new:
        make(prefixes.beside(place, "new"), "new", marker.BUILDING)
    if old:
        make(prefixes.beside(place, "old"), "old", marker.COMPLETE)
    if state:
        make(place, "now", state)
    prefixes.recover(place, Talk(quiet=True))
    assert [path.name for path in place.parent.iterdir()] == (["x"] if left else [])
    if left:
        assert (place / "text").read_text() == left


# --- the pip part --------------------------------------------------------------------------------------------------


def part(folder: Path, *lines: str) -> pip.Part | None:
    return pip.part(folder / "conda.yml", tuple(Item(line, 7, 5) for line in lines))


def test_the_digest_of_a_pip_part(tmp_path: Path) -> None:
    assert part(tmp_path) is None
    (tmp_path / "a.txt").write_text("x==1\n-r b.txt\n-r a.txt\n")
    (tmp_path / "b.txt").write_text("y\n")
    first = part(tmp_path, "-r a.txt", "z")
    assert first is not None
    assert (first.folder, first.lines, bool(first.digest)) == (tmp_path, ("-r a.txt", "z"), True)
    assert part(tmp_path, "-r a.txt", "z") == first
    (tmp_path / "b.txt").write_text("y==2\n")
    assert part(tmp_path, "-r a.txt", "z") != first
    for local in ("-e .", "./folder", "../x", "name @ file:///x"):
        found = part(tmp_path, local)
        assert found is not None
        assert found.digest == "", "a folder may change without a word"
    with pytest.raises(LabError) as caught:
        part(tmp_path, "-c gone.txt")
    assert caught.value.message.startswith("conda.yml:7:5: -c gone.txt: No such file or directory")


def test_requirements_files_of_killed_runs(tmp_path: Path) -> None:
    alive, dead, other = (tmp_path / f"condaenv.{name}.requirements.txt" for name in (os.getpid(), 2**22 + 1, "ab"))
    for path in (alive, dead, other):
        path.touch()
    pip.sweep(tmp_path)
    assert (alive.exists(), dead.exists(), other.exists()) == (True, False, True)


def test_what_needs_what(prefix: Path) -> None:
    found, _ = records.read(prefix)
    assert plan.dependents(found, ["idna"]) == {"idna", "tool"}
    assert plan.dependents(found, ["tool"]) == {"tool"}
    assert plan.dependents(found, ["gone"]) == set()


def test_an_environment_that_stands_as_it_was_left(prefix: Path, tmp_path: Path) -> None:
    found, _ = records.read(prefix)
    ledger = records.ledger(prefix, found)
    marker.write(prefix, Marker(files=ledger, inputs="i"))
    assert standing.stands(prefix, "i", {}, None) is None, "it is not registered"
    history.register(prefix)
    assert standing.stands(prefix, "i", {}, None) is not None
    assert standing.stands(prefix, "j", {}, None) is None
    assert standing.stands(prefix, "i", {"A": "1"}, None) is None
    assert standing.stands(prefix, "i", {}, part(tmp_path, "x")) is None
    history.set_variables(prefix, {"A": "1"})
    assert standing.stands(prefix, "i", {"A": "1"}, None) is not None
    prefixes.beside(prefix, prefixes.NEW).mkdir()
    assert standing.stands(prefix, "i", {}, None) is None
    prefixes.beside(prefix, prefixes.NEW).rmdir()
    (prefix / "conda-meta/new-1-0.json").write_text("{}")
    assert standing.stands(prefix, "i", {}, None) is None
    (prefix / "conda-meta/new-1-0.json").unlink()
    (prefix / "bin/tool").unlink()
    assert standing.stands(prefix, "i", {}, None) is None
    apart = records.ledger(prefix, found, {"tool"})
    assert "conda-meta/tool-1-0.json" in apart
    assert records.untouched(prefix, apart)


def test_what_an_update_depends_on(tmp_path: Path) -> None:
    path = tmp_path / "conda.yml"
    path.write_text("name: a\nchannels: [c]\ndependencies: [x]\n")
    file, settings = conda_env.read(path), Settings()
    first = standing.digest(file, settings, {}, prune=True)
    path.write_text("# a remark\nname: b\nchannels: [c]\ndependencies: [x]\n")
    assert standing.digest(conda_env.read(path), settings, {"HOME": "x"}, prune=True) == first
    others = {
        standing.digest(file, settings, {}, prune=False),
        standing.digest(file, Settings(channel_priority="strict"), {}, prune=True),
        standing.digest(file, Settings(channels=("d",)), {}, prune=True),
        standing.digest(file, settings, {"CONDA_OVERRIDE_CUDA": "12"}, prune=True),
    }
    assert len(others - {first}) == 4
