"""The embedded conda on a real channel: environments come to be, change, heal, and look like conda's own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.conda_engine import Conda, contents, hashed_wheel, serving, wheel
from support.conda_package import File, Package

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.conda_channel import Channel

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(sys.platform == "win32", reason="the channel is made of this machine's Pythons"),
]

LAB = "name: lab\nchannels: [conda-forge]\ndependencies:\n  - python={}\n  - packaging=25.0\n"


@pytest.fixture
def conda(tmp_path: Path, workshop: dict[str, str], conda_channel: Channel) -> Conda:
    return Conda(tmp_path, {**workshop, **conda_channel.environ})


@pytest.fixture(scope="module")
def series(conda_channel: Channel) -> tuple[str, str]:
    """The oldest two series of Python in the channel."""
    found = [version.rpartition(".")[0] for version in conda_channel.pythons]
    return found[0], found[1]


@pytest.fixture(scope="module")
def shared(
    tmp_path_factory: pytest.TempPathFactory, workshop: dict[str, str], conda_channel: Channel, series: tuple[str, str]
) -> Conda:
    """A finished environment `lab`; its tests leave it as they found it."""
    made = Conda(tmp_path_factory.mktemp("shared"), {**workshop, **conda_channel.environ})
    made.file(LAB.format(series[0]))
    made.run("env", "create", "-f", "conda.yml")
    return made


def say(prefix: Path, code: str) -> str:
    done = subprocess.run([prefix / "bin/python", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


# --- create --------------------------------------------------------------------------------------------------------


def test_an_environment_runs_and_is_written_as_conda_writes_it(shared: Conda, series: tuple[str, str]) -> None:
    prefix = shared.envs / "lab"
    assert say(prefix, "import sys, packaging; print(sys.prefix, packaging.__version__)") == f"{prefix} 25.0"
    assert shared.left() == ["lab"]
    history = (prefix / "conda-meta/history").read_text()
    parts = history.splitlines()
    assert re.fullmatch(r"==> \d{4}-\d\d-\d\d \d\d:\d\d:\d\d <==", parts[0])
    assert parts[1:3] == ["# cmd: conda env create -f conda.yml", "# conda version: 0.0.0"]
    assert "+conda-forge/noarch::packaging-25.0-pyh0000000_0" in parts
    assert parts[-1] == f"# update specs: ['python={series[0]}', 'packaging=25.0']"
    assert (shared.home / ".conda/environments.txt").read_text() == f"{prefix}\n"


def test_its_records_have_the_fields_that_conda_reads(shared: Conda, conda_channel: Channel) -> None:
    # https://docs.conda.io/projects/conda/en/latest/dev-guide/api/conda/models/records/index.html
    prefix = shared.envs / "lab"
    data = json.loads(next((prefix / "conda-meta").glob("packaging-*.json")).read_text())
    wanted = {"name", "version", "build", "build_number", "channel", "subdir", "fn", "url", "depends", "files", "link"}
    assert wanted | {"paths_data", "requested_spec", "sha256", "md5", "size"} <= set(data)
    assert data["channel"].rstrip("/") == conda_channel.url
    assert data["requested_spec"] == "packaging=25.0"
    assert data["paths_data"]["paths_version"] == 1
    assert {entry["_path"] for entry in data["paths_data"]["paths"]} == set(data["files"])
    assert set(data["link"]) == {"source", "type"}
    for file in (prefix / "conda-meta").glob("*.json"):
        assert file.stat().st_mode & 0o044, "others may read what is installed"
        for entry in json.loads(file.read_text())["paths_data"]["paths"]:
            assert not (entry["path_type"] == "softlink" and "sha256_in_prefix" in entry)


def test_nothing_of_ours_lies_in_the_cache_that_conda_uses(shared: Conda) -> None:
    assert [path.name for path in (shared.home / ".conda/pkgs").iterdir()] == ["mlops-lab"]
    assert sorted(path.name for path in shared.home.iterdir()) == [".conda"]


def test_create_on_one_that_exists_wants_yes(shared: Conda) -> None:
    before = contents(shared.envs / "lab")
    done = shared.run("env", "create", "-f", "conda.yml", check=1)
    assert done.stderr.splitlines() == [
        f"error: {shared.envs}/lab exists already",
        "hint: `env update --prune` brings it up to date; --yes makes it anew",
    ]
    (shared.envs / "lab/stray").write_text("x")
    shared.run("env", "create", "-f", "conda.yml", "--yes")
    assert contents(shared.envs / "lab") == before
    assert shared.left() == ["lab"]


def test_the_command_line_beats_the_file(conda: Conda) -> None:
    conda.file("name: a\nprefix: /nowhere/b\nchannels: [conda-forge]\ndependencies: [libhello=1.0]\n")
    conda.run("env", "create", "-f", "conda.yml", "-p", "here")
    assert (conda.folder / "here/share/libhello/where.txt").read_text().startswith(f"prefix={conda.folder}/here")
    conda.run("env", "create", "-f", "conda.yml", "--name", "c")
    assert (conda.envs / "c/bin/hello").exists()
    assert conda.json("env", "list")["envs"] == [str(conda.envs / "c"), str(conda.folder / "here")]


def test_create_install_remove(conda: Conda) -> None:
    data = conda.json("create", "-n", "x", "libhello=1.0")
    assert (data["success"], data["prefix"]) == (True, str(conda.envs / "x"))
    assert [entry["dist_name"] for entry in data["actions"]["LINK"]] == ["libhello-1.0-0"]
    conda.run("install", "-n", "x", "hello-gpu")
    prefix = conda.envs / "x"
    assert conda.versions(prefix) == {"libhello": "1.0", "hello-gpu": "1.0"}, "what was asked for stays as it was"
    done = conda.run("remove", "-n", "x", "libhello")
    assert done.stderr.splitlines()[0] == "removed as well, because they need it: hello-gpu"
    assert conda.versions(prefix) == {}
    assert not (prefix / "bin/hello").exists()
    conda.run("install", "-n", "x", "libhello")
    assert "# remove specs: ['hello-gpu', 'libhello']" in (prefix / "conda-meta/history").read_text()
    conda.run("remove", "-n", "x", "--all")
    assert conda.left() == []
    assert (conda.home / ".conda/environments.txt").read_text() == ""
    done = conda.run("env", "remove", "-n", "x", check=2)
    assert done.stderr.startswith(f"error: {conda.envs}/x does not exist")


def test_a_dry_run_does_nothing(conda: Conda) -> None:
    data = conda.json("create", "-n", "x", "libhello", "--dry-run")
    assert (data["dry_run"], data["actions"]["LINK"][0]["version"]) == (True, "1.1")
    assert conda.left() == []


def test_json_shapes(shared: Conda) -> None:
    listed = shared.json("list", "-n", "lab")
    assert [entry["name"] for entry in listed] == ["packaging", "pip", "python", "setuptools", "wheel"]
    assert set(listed[0]) == {
        "base_url", "build_number", "build_string", "channel", "dist_name", "name", "platform", "version",
    }  # fmt: skip
    assert listed[0]["channel"] == "conda-forge"
    data = shared.json("env", "list")
    assert data["envs"] == [str(shared.envs / "lab")] == list(data["envs_details"])
    assert set(data["envs_details"][data["envs"][0]]) == {
        "name", "created", "last_modified", "active", "base", "frozen", "writable",
    }  # fmt: skip
    assert shared.json("info", "--envs") == data
    info = shared.json("info")
    assert info["envs_dirs"] == [str(shared.envs)]
    assert [package[0] for package in info["virtual_pkgs"]][:2] == ["__unix", "__linux"]
    assert shared.json("doctor", "-n", "lab")["healthy"] is True
    error = shared.json("list", "-n", "nope", check=2)
    assert (error["exit_code"], error["message"]) == (2, 'no environment is called "nope"')


# --- update --------------------------------------------------------------------------------------------------------


def test_an_update_creates_prunes_and_changes(conda: Conda, series: tuple[str, str]) -> None:
    conda.file(LAB.format(series[0]) + "  - libhello=1.0\nvariables: {A: 1}\n")
    conda.run("env", "update", "-f", "conda.yml")
    prefix = conda.envs / "lab"
    conda.file(LAB.format(series[0]) + "  - hello-gpu\nvariables: {B: x y}\n")
    conda.run("env", "update", "-f", "conda.yml")
    assert conda.versions(prefix).items() >= {"libhello": "1.0", "hello-gpu": "1.0"}.items()
    assert json.loads((prefix / "conda-meta/state").read_text()) == {"env_vars": {"A": "1", "B": "x y"}}
    conda.file(LAB.format(series[0]).replace("25.0", "24.2"))
    done = conda.run("env", "update", "-f", "conda.yml", "--prune")
    assert conda.versions(prefix)["packaging"] == "24.2"
    assert "libhello" not in conda.versions(prefix)
    assert not (prefix / "bin/hello").exists()
    assert done.stdout.splitlines()[-1] == f"{prefix}: changed: 1 in, 3 out"
    done = conda.run("env", "update", "-f", "conda.yml", "--prune")
    assert (done.stdout, done.stderr) == (f"{prefix}: up to date\n", "")
    assert conda.json("doctor", "-n", "lab")["healthy"]


def test_what_is_installed_stays_when_the_channel_has_newer(conda: Conda, conda_channel: Channel) -> None:
    conda.run("create", "-n", "x", "libhello=1.0")
    conda.file("name: x\nchannels: [conda-forge]\ndependencies: [libhello]\n")
    conda.run("env", "update", "-f", "conda.yml", "--prune")
    assert conda.versions(conda.envs / "x") == {"libhello": "1.0"}
    assert conda_channel.url


def test_a_repair_brings_back_deleted_and_altered_files(shared: Conda) -> None:
    prefix = shared.envs / "lab"
    before = contents(prefix)
    (record,) = (prefix / "conda-meta").glob("packaging-*.json")
    module = next((prefix / "lib").glob("python3*/site-packages/packaging/tags.py"))
    # In place: the file is the cache's too, through a hard link.
    with module.open("a") as file:
        file.write("broken(\n")
    module.with_name("version.py").unlink()
    done = shared.run("env", "update", "--prune", "-f", "conda.yml")
    assert "packaging: 1 file missing" in done.stderr
    assert contents(prefix) == before
    record.write_text('{"name": "packag')
    done = shared.run("env", "update", "--prune", "-f", "conda.yml")
    assert done.stderr.startswith(f"{record.name}: cannot be read; the package is installed again\n")
    assert contents(prefix) == before
    # As a copy does: another time, the same contents.
    os.utime(module, (1, 1))
    done = shared.run("env", "update", "--prune", "-f", "conda.yml")
    assert done.stdout == f"{prefix}: up to date\n"


def test_an_altered_file_is_not_handed_on_to_the_next_environment(conda: Conda) -> None:
    conda.run("create", "-n", "x", "libhello=1.1", "packaging=25.0")
    module = next((conda.envs / "x/lib").glob("python3*/site-packages/packaging/tags.py"))
    with module.open("a") as file:
        file.write("broken(\n")
    conda.run("create", "-n", "y", "packaging=25.0")
    assert conda.json("doctor", "-n", "y")["healthy"]
    found = conda.json("doctor", "-n", "x", check=1)["checks"]["altered-files"]
    assert [line.rpartition("/")[2] for line in found] == ["tags.py"]


def test_another_python_is_another_environment(conda: Conda, series: tuple[str, str]) -> None:
    conda.file(LAB.format(series[0]) + "variables: {A: 1}\n")
    conda.run("env", "create", "-f", "conda.yml")
    prefix = conda.envs / "lab"
    site = prefix / f"lib/python{series[0]}/site-packages"
    (site / "mine.py").write_text("")
    conda.file(LAB.format(series[1]))
    done = conda.run("env", "update", "--prune", "-f", "conda.yml")
    assert done.stderr.splitlines()[0] == (
        f"python {series[0]} → {series[1]}: made anew; "
        "what pip, Poetry or uv had installed there is to be installed again"
    )
    assert not site.exists()
    assert say(prefix, "import sys; print('%d.%d' % sys.version_info[:2])") == series[1]
    assert json.loads((prefix / "conda-meta/state").read_text()) == {"env_vars": {"A": "1"}}
    assert conda.left() == ["lab"]
    assert conda.json("doctor", "-n", "lab")["healthy"]


def test_what_another_installer_replaced_is_left_as_it_is(conda: Conda, series: tuple[str, str]) -> None:
    conda.file(LAB.format(series[0]))
    conda.run("env", "create", "-f", "conda.yml")
    prefix = conda.envs / "lab"
    made = wheel(conda.folder / "wheels", "packaging", "24.1")
    argv = [str(prefix / "bin/python"), "-m", "pip", "install", "-q", "--no-index", "--no-deps"]
    subprocess.run([*argv, str(made)], check=True, capture_output=True, env=conda.environ)
    mine = wheel(conda.folder / "wheels", "mine", "1.0")
    subprocess.run([*argv, str(mine)], check=True, capture_output=True, env=conda.environ)
    conda.file(LAB.format(series[0]) + "  - libhello\n")
    done = conda.run("env", "update", "--prune", "-f", "conda.yml")
    assert done.stderr.splitlines()[0] == (
        "replaced by pip, Poetry or uv, and left as it is: packaging (now packaging 24.1)"
    )
    assert say(prefix, "import packaging, mine; print(packaging.__version__, mine.__version__)") == "24.1 1.0"
    doctor = conda.json("doctor", "-n", "lab")
    assert (doctor["healthy"], doctor["checks"]["replaced"]) == (True, ["packaging: now packaging 24.1"])
    listed = {entry["name"]: (entry["version"], entry["channel"]) for entry in conda.json("list", "-n", "lab")}
    assert listed["packaging"] == ("24.1", "pypi")
    assert listed["mine"] == ("1.0", "pypi")


# --- the pip part --------------------------------------------------------------------------------------------------


def test_the_pip_part(conda: Conda, series: tuple[str, str]) -> None:
    one = wheel(conda.folder / "wheels", "one", "1.0")
    wheel(conda.folder / "wheels", "two", "2.0")
    package = conda.folder / "three"
    (package / "three").mkdir(parents=True)
    (package / "three/__init__.py").write_text("")
    (package / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "three"\nversion = "3"\n[tool.setuptools]\npackages = ["three"]\n'
    )
    (conda.folder / "more.txt").write_text(f"one==1.0 {hashed_wheel(one)}\n")
    text = (
        f"name: lab\nchannels: [conda-forge]\ndependencies:\n- python={series[0]}\n- pip:\n"
        "  - --no-index\n  - --find-links wheels\n  - -r more.txt\n"
    )
    conda.file(text)
    done = conda.run("env", "create", "-f", "conda.yml")
    prefix = conda.envs / "lab"
    assert "installing the pip part: 3 lines" in done.stderr
    assert say(prefix, "import one; print(one.__version__)") == "1.0"
    done = conda.run("env", "update", "--prune", "-f", "conda.yml")
    assert (done.stdout, done.stderr) == (f"{prefix}: up to date\n", "")
    (conda.folder / "more.txt").write_text("two\n")
    conda.run("env", "update", "--prune", "-f", "conda.yml")
    assert say(prefix, "import one, two; print(two.__version__)") == "2.0", "pip's packages are never pruned"
    conda.file(text + "  - --no-build-isolation\n  - -e ./three\n".replace("  - --no-build-isolation\n", ""))
    conda.run("env", "update", "-f", "conda.yml", environ={"PIP_NO_BUILD_ISOLATION": "0"})
    assert say(prefix, "import three; print(three.__file__)") == f"{package}/three/__init__.py"
    assert conda.left() == ["lab"]


def test_a_pip_part_that_fails_leaves_nothing(conda: Conda, series: tuple[str, str]) -> None:
    head = f"name: lab\nchannels: [conda-forge]\ndependencies:\n- python={series[0]}\n"
    conda.file(head + "- pip:\n  - --no-index\n  - nosuch\n")
    done = conda.run("env", "create", "-f", "conda.yml", check=1)
    assert done.stderr.splitlines()[-2:] == [
        "error: conda.yml: the pip part failed: No matching distribution found for nosuch",
        "hint: the index has no such package or version: check the spelling",
    ]
    assert conda.left() == []
    assert not (conda.home / ".conda/environments.txt").exists()
    conda.file(head)
    conda.run("env", "create", "-f", "conda.yml")
    before = contents(conda.envs / "lab")
    conda.file(head + "- libhello\n- pip:\n  - --no-index\n  - nosuch\n")
    conda.run("env", "create", "-f", "conda.yml", "--yes", check=1)
    assert contents(conda.envs / "lab") == before
    conda.run("env", "update", "-f", "conda.yml", check=1)
    conda.file(head + "- libhello\n")
    conda.run("env", "update", "-f", "conda.yml")
    assert conda.json("doctor", "-n", "lab")["healthy"]


# --- channels ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Channel:
    """Channels `hi` and `lo`: hi has only the old `thing`, lo has both, and what hi lacks."""
    from support.conda_channel import Channel

    root = tmp_path_factory.mktemp("two")

    def thing(name: str, version: str, *depends: str) -> Package:
        return Package(name, version, depends=depends, files={f"share/{name}": File(f"{name} {version}".encode())})

    Channel(root, "hi").add(thing("thing", "1.0"))
    return Channel(root, "lo").add(thing("thing", "1.0"), thing("thing", "2.0"), thing("other", "1.0", "thing >=2"))


@pytest.mark.parametrize(
    ("priority", "spec", "found"),
    [
        ("strict", "thing", "1.0"),
        ("strict", "thing>=2", None),
        ("strict", "lo::thing", "2.0"),
        ("strict", "lo/noarch::thing", None),
        ("flexible", "thing", "1.0"),
        ("flexible", "thing>=2", "2.0"),
        ("flexible", "other", "2.0"),
        ("disabled", "thing", "2.0"),
    ],
)
def test_channel_priorities(
    tmp_path: Path, workshop: dict[str, str], two: Channel, priority: str, spec: str, found: str | None
) -> None:
    conda = Conda(tmp_path, {**workshop, **two.environ, "CONDA_CHANNEL_PRIORITY": priority})
    conda.file(f"name: x\nchannels: [hi, lo, nodefaults]\ndependencies: ['{spec}']\n")
    done = conda.run("env", "create", "-f", "conda.yml", check=0 if found else 1)
    if found:
        assert conda.versions(conda.envs / "x")["thing"] == found
    elif spec == "thing>=2":
        assert "with channel_priority: flexible a version may come from a later channel" in done.stderr
    else:
        assert "error: conda.yml:3:16: thing 2.0 is in linux" in done.stderr


def test_defaults_are_what_condarc_says(conda: Conda, two: Channel) -> None:
    text = f"default_channels: [{two.root.as_uri()}/hi, {two.root.as_uri()}/lo]\nchannel_priority: disabled\n"
    (conda.home / ".condarc").write_text(text)
    conda.environ.pop("CONDARC")
    conda.file("name: x\nchannels: [defaults]\ndependencies: [thing]\n")
    conda.run("env", "create", "-f", "conda.yml")
    assert conda.versions(conda.envs / "x") == {"thing": "2.0"}


def test_cuda_can_be_named_without_a_gpu(conda: Conda) -> None:
    cuda = {"CONDA_OVERRIDE_CUDA": "12.4"}
    data = conda.json("create", "-n", "x", "hello-gpu", environ=cuda)
    assert data["actions"]["LINK"][0]["build_string"].startswith("cuda124")
    data = conda.json("create", "-n", "y", "hello-gpu", environ={"CONDA_OVERRIDE_CUDA": ""})
    assert data["actions"]["LINK"][0]["build_string"].startswith("cpu")


def test_a_script_of_a_package_is_named_not_run(conda: Conda) -> None:
    done = conda.run("create", "-n", "x", "postlink")
    assert (
        "postlink: its script bin/.postlink-post-link.sh was not run: this conda runs no code of packages\n"
        in done.stderr
    )
    assert not (conda.envs / "x/postlink.log").exists()


def everything(*folders: Path) -> Iterator[tuple[Path, bytes]]:
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink() and path.stat().st_size < 5_000_000:
                yield path, path.read_bytes()


@pytest.mark.parametrize("kind", ["login", "token"])
def test_credentials_reach_the_server_and_nothing_else(conda: Conda, two: Channel, kind: str) -> None:
    conda.environ.pop("CONDARC")
    conda.environ["TMPDIR"] = str(conda.root / "tmp")
    temporary(conda).mkdir()
    login, token = ("me:s3cr@t", "") if kind == "login" else ("", "s3cr-t0ken")
    with serving(two.root, login, token) as (port, asked):
        address = f"http://{login}@127.0.0.1:{port}/lo" if login else f"http://127.0.0.1:{port}/t/{token}/lo"
        (conda.home / ".condarc").write_text(f'channels: ["{address}"]\n')
        conda.file("name: x\ndependencies: [thing]\n")
        done = conda.run("env", "create", "-f", "conda.yml")
        again = conda.run("create", "-n", "y", "-c", address, f"{address}::other", "--json")
        listed = conda.run("list", "-n", "y", "--json")
        info = conda.run("info", "--json")
        refused = conda.run(
            "create", "-n", "z", "-c", address.replace("s3cr", "wrong-s3cr"), "thing", "--override-channels", check=1
        )
        missing = conda.run("create", "-n", "z", "-c", f"{address}/gone", "thing", "--override-channels", check=1)
    assert any("thing-2.0" in path for path in asked)
    part = "s3cr"
    for said in (done, again, listed, info, refused, missing):
        assert part not in said.stdout + said.stderr
    assert "the server wants credentials" in refused.stderr
    (conda.home / ".condarc").unlink()
    conda.file("")
    assert [path for path, data in everything(conda.root) if part.encode() in data] == []
    assert f"http://127.0.0.1:{port}/lo" in (conda.envs / "x/conda-meta/history").read_text()


def temporary(conda: Conda) -> Path:
    return Path(conda.environ["TMPDIR"])


def test_credentials_from_netrc(conda: Conda, two: Channel) -> None:
    with serving(two.root, "me:s3cret") as (port, _):
        (conda.home / ".netrc").write_text("machine 127.0.0.1 login me password s3cret\n")
        conda.run("create", "-n", "x", "-c", f"http://127.0.0.1:{port}/lo", "--override-channels", "thing")
    assert conda.versions(conda.envs / "x") == {"thing": "2.0"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_polite_kill_leaves_nothing(conda: Conda, series: tuple[str, str], number: signal.Signals) -> None:
    conda.file(LAB.format(series[0]))
    process = conda.start("env", "create", "-f", "conda.yml")
    assert process.stderr is not None
    process.stderr.readline()
    process.send_signal(number)
    process.communicate(timeout=60)
    assert (process.returncode, conda.left()) == (130, [])


def test_offline(conda: Conda, two: Channel) -> None:
    with serving(two.root) as (port, asked):
        channel = ["-c", f"http://127.0.0.1:{port}/lo", "--override-channels"]
        done = conda.run("create", "-n", "x", *channel, "thing", "--offline", check=1)
        assert done.stderr.splitlines()[-1] == "hint: run it once without --offline"
        assert asked == []
        conda.run("create", "-n", "x", *channel, "thing=1.0")
        count = len(asked)
        conda.run("create", "-n", "y", *channel, "thing=1.0", "--offline")
        done = conda.run("create", "-n", "z", *channel, "thing=2.0", environ={"CONDA_OFFLINE": "true"}, check=1)
        assert len(asked) == count
    assert "error: offline, and not in the cache: thing-2.0-" in done.stderr
    conda.run("create", "-n", "local", "libhello", "--offline")


def test_progress_is_told_on_standard_error(conda: Conda, two: Channel) -> None:
    with serving(two.root) as (port, _):
        done = conda.run("create", "-n", "x", "-c", f"http://127.0.0.1:{port}/lo", "--override-channels", "thing")
    assert re.search(r"^fetched thing \(\d+\.\d MB\)$", done.stderr, re.MULTILINE)
    assert "fetched" not in done.stdout


def test_a_host_that_never_answers_is_given_up_in_seconds(conda: Conda) -> None:
    # 192.0.2.0/24 is nobody's: https://www.rfc-editor.org/rfc/rfc5737
    started = time.monotonic()
    done = conda.run("create", "-n", "x", "-c", "http://192.0.2.1/c", "--override-channels", "thing", check=1)
    assert time.monotonic() - started < 15
    assert "error: channel http://192.0.2.1/c cannot be read: " in done.stderr


# --- whose prefix --------------------------------------------------------------------------------------------------


def test_a_prefix_that_is_not_ours_is_refused(conda: Conda) -> None:
    prefix = conda.folder / "foreign"
    (prefix / "conda-meta").mkdir(parents=True)
    (prefix / "conda-meta/history").write_text("==> 2026-01-01 00:00:00 <==\n# cmd: conda create\n")
    conda.file("channels: [conda-forge]\ndependencies: [libhello]\n")
    for words in (
        ["env", "create", "--yes", "-f", "conda.yml"],
        ["env", "update", "-f", "conda.yml"],
        ["env", "remove"],
    ):
        done = conda.run(*words, "-p", str(prefix), check=2)
        assert done.stderr.splitlines() == [
            f"error: {prefix} was made by another conda: two engines in one environment leave files behind",
            "hint: change it with the conda, mamba or micromamba that made it, or choose another --name or --prefix",
        ]
    assert conda.run("doctor", "-p", str(prefix), check=1).stdout.startswith("environment health report for")
    folder = conda.folder / "data"
    folder.mkdir()
    (folder / "precious").write_text("x")
    done = conda.run("env", "create", "-f", "conda.yml", "-p", str(folder), check=2)
    assert done.stderr.startswith(f"error: {folder} is no conda environment, and it is not empty\n")
    assert (folder / "precious").read_text() == "x"


def test_the_environment_of_a_conda_is_left_alone(conda: Conda) -> None:
    root = conda.folder / "miniforge"
    (root / "condabin").mkdir(parents=True)
    for words in (["-n", "base"], ["-n", "root"], ["-p", str(root)]):
        done = conda.run("install", *words, "libhello", check=2)
        assert done.stderr.splitlines()[0].endswith("is the environment that a conda itself lives in: it is left alone")


def test_two_updates_wait_for_each_other(conda: Conda, series: tuple[str, str]) -> None:
    conda.file(LAB.format(series[0]))
    conda.file(LAB.format(series[0]) + "  - libhello\n", "more.yml")
    both = [conda.start("env", "update", "-f", name) for name in ("conda.yml", "more.yml")]
    said = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert any(f"waiting: another process is changing {conda.envs}/lab" in err for _, err in said)
    assert "libhello" in conda.versions(conda.envs / "lab")
    assert conda.json("doctor", "-n", "lab")["healthy"]


def test_ctrl_c_leaves_nothing(conda: Conda, series: tuple[str, str]) -> None:
    conda.file(LAB.format(series[0]))
    process = conda.start("env", "create", "-f", "conda.yml")
    assert process.stderr is not None
    process.stderr.readline()
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said.splitlines()[-2:]) == (
        130, ["error: interrupted", "hint: the next run mends what is half done"],
    )  # fmt: skip
    assert conda.left() == []


# --- what it costs, and what it does not load ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["env", "list"],
        ["env", "create", "--bogus"],
        ["list", "-n", "a/b"],
        ["env", "update", "--prune", "-f", "conda.yml"],  # with nothing to do
    ],
)
def test_rattler_is_loaded_only_when_it_is_needed(shared: Conda, words: list[str]) -> None:
    shared.run("env", "update", "--prune", "-f", "conda.yml")
    argv = [sys.executable, "-X", "importtime", "-m", "mlops_lab.conda", *words]
    done = subprocess.run(argv, cwd=shared.folder, env=shared.environ, capture_output=True, text=True, check=False)
    assert "mlops_lab.conda" in done.stderr
    assert "rattler" not in done.stderr


# --- real condas, where there are any ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["conda", "mamba", "micromamba"])
def test_a_real_conda_accepts_what_was_made(shared: Conda, name: str) -> None:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no {name} on PATH")
    prefix = str(shared.envs / "lab")

    # With it conda's doctor asks a channel of its own: https://github.com/conda/conda/tree/main/conda/plugins/subcommands/doctor
    environ = {key: value for key, value in shared.environ.items() if key != "REQUESTS_CA_BUNDLE"}

    def ask(*words: str) -> Any:
        return subprocess.run([found, *words], env=environ, capture_output=True, text=True, check=True).stdout

    listed = {entry["name"] for entry in json.loads(ask("list", "-p", prefix, "--json"))}
    assert {"python", "packaging"} <= listed
    assert prefix in json.loads(ask("env", "list", "--json"))["envs"]
    assert "packaging=25.0" in ask("env", "export", "-p", prefix).replace("==", "=")
    if name == "conda":
        assert "❌" not in ask("doctor", "-p", prefix)
