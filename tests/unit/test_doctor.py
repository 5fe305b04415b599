"""What the doctor finds in a venv, from folders that are ill in one way each."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlops_lab import cli, doctor
from mlops_lab.doctor import CHECKS, Subject, examine, gpu, is_environment
from mlops_lab.environment import STAMP, Environment, Stamp, write_stamp
from mlops_lab.errors import FOUND, INTERRUPTED, WRONG, LabError
from mlops_lab.runner import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mlops_lab.findings import Finding

REBUILD = "invoke setup --force"
NAMES = [check.name for check in CHECKS]


def checksum(content: bytes) -> str:
    return f"sha256={base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b'=').decode()}"


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
        self.config.write_text(f"home = {self.base}\nversion = 3.12.1\n", encoding="utf-8")
        self.answer: Any = {"version": "3.12.1", "prefix": str(self.prefix), "base": "/"}
        self.home = folder / "home"
        self.numpy = self.install("numpy-2.0", "numpy/a.py", "numpy/b.py")

    def install(self, name: str, *files: str, content: bytes = b"") -> Path:
        folder = self.site / f"{name}.dist-info"
        folder.mkdir()
        for file in files:
            (self.site / file).parent.mkdir(exist_ok=True)
            (self.site / file).write_bytes(content)
        title, _, version = name.partition("-")
        (folder / "METADATA").write_text(f"Name: {title}\nVersion: {version}\n\nName: a lie\n", encoding="utf-8")
        record = "".join(f"{file},{checksum(content)},{len(content)}\n" for file in files)
        (folder / "RECORD").write_text(f"{record}{folder.name}/RECORD,,\n", encoding="utf-8")
        return folder

    def ask(self, argv: Sequence[str]) -> str:
        if isinstance(self.answer, Exception):
            raise self.answer
        if not argv[0].endswith("python"):
            return "535.104.05\n"
        assert list(argv[:3]) == [str(self.python), "-I", "-c"]
        return self.answer if isinstance(self.answer, str) else json.dumps(self.answer)

    def subject(self, **environ: str) -> Subject:
        return Subject(
            Environment(self.prefix), {"PIP_CONFIG_FILE": os.devnull, "HOME": str(self.home), **environ}, self.ask
        )

    def findings(self, **environ: str) -> dict[str, list[Finding]]:
        return {check.name: found for check, found in examine(self.subject(**environ)) if found}

    def said(self, **environ: str) -> dict[str, list[tuple[str, str, str]]]:
        return {
            name: [(each.severity, each.why, each.command) for each in found]
            for name, found in self.findings(**environ).items()
        }


@pytest.fixture
def venv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Venv:
    monkeypatch.setattr(gpu, "DRIVER", tmp_path / "no driver")
    return Venv(tmp_path)


def test_a_healthy_venv_passes_every_check(venv: Venv) -> None:
    assert venv.findings(PATH="/nowhere", PYTHONPATH="") == {}
    assert len(set(NAMES)) == len(CHECKS)


# --- one illness, one finding --------------------------------------------------------------------------------------


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
    venv.config.write_text("version = 3.12.1\n", encoding="utf-8")
    return "the Python that it was made from is gone: (not named)"


def _does_not_start(venv: Venv) -> str:
    venv.answer = CommandFailed([], 1, ["first", "ModuleNotFoundError: No module named 'encodings'"], None)
    return f"{venv.python} does not start: first / ModuleNotFoundError: No module named 'encodings'"


def _no_answer(venv: Venv) -> str:
    venv.answer = "hello"
    return f"{venv.python} is no Python: it does not answer as one"


def _odd_answer(venv: Venv) -> str:
    venv.answer = "[]"
    return f"{venv.python} is no Python: it does not answer as one"


def _another_prefix(venv: Venv) -> str:
    venv.answer["prefix"] = "/usr"
    return f"{venv.python} works on /usr, not on {venv.prefix}"


def _another_version(venv: Venv) -> str:
    venv.answer["version"] = "3.13.0"
    return "it runs Python 3.13.0, and its own record says 3.12.1"


def _another_than_stamped(venv: Venv) -> str:
    fingerprint = {"python": {"version": "3.11.2"}, "packages": {}}
    write_stamp(venv.prefix, Stamp("/p", "venv+uv", fingerprint=fingerprint))
    return "it runs Python 3.12.1, and the stamp of the last setup says 3.11.2"


def _no_record(venv: Venv) -> str:
    (venv.numpy / "RECORD").unlink()
    return "numpy-2.0.dist-info has no RECORD"


def _no_metadata(venv: Venv) -> str:
    (venv.numpy / "METADATA").unlink()
    return "numpy-2.0.dist-info has no METADATA"


def _empty_metadata(venv: Venv) -> str:
    (venv.numpy / "METADATA").write_text("\nName: numpy\n", encoding="utf-8")
    return "numpy-2.0.dist-info has a METADATA without Name and Version"


def _another_metadata(venv: Venv) -> str:
    (venv.numpy / "METADATA").write_text("Name: numpy\nVersion: 2.1\n", encoding="utf-8")
    return "numpy-2.0.dist-info has the METADATA of numpy 2.1"


def _metadata_is_a_folder(venv: Venv) -> str:
    (venv.numpy / "METADATA").unlink()
    (venv.numpy / "METADATA").mkdir()
    return "numpy-2.0.dist-info has a METADATA that is no file"


def _record_is_a_pipe(venv: Venv) -> str:
    (venv.numpy / "RECORD").unlink()
    os.mkfifo(venv.numpy / "RECORD")
    return "numpy-2.0.dist-info has a RECORD that is no file"


def _record_of_bytes(venv: Venv) -> str:
    (venv.numpy / "RECORD").write_bytes(b"\xff\xfe,\n")
    return "numpy-2.0.dist-info has a RECORD that is no UTF-8"


def _strange_lines(venv: Venv) -> str:
    with (venv.numpy / "RECORD").open("a", encoding="utf-8") as record:
        record.write("no comma\n,,\na\0b,,\n\n")
    return "numpy-2.0.dist-info has a RECORD with 3 lines that are no records"


def _names_files_outside(venv: Venv) -> str:
    with (venv.numpy / "RECORD").open("a", encoding="utf-8") as record:
        record.write("/etc/passwd,,\n../../../../../../../etc/shadow,sha256=x,0\n")
    return "numpy-2.0.dist-info has a RECORD that names files outside of it: '/etc/passwd' and 1 more"


def _one_file_gone(venv: Venv) -> str:
    (venv.site / "numpy" / "b.py").unlink()
    return "numpy 2.0: numpy/b.py missing"


def _files_gone(venv: Venv) -> str:
    shutil.rmtree(venv.site / "numpy")
    return "numpy 2.0: numpy/a.py and 1 more missing"


def _a_link_to_itself(venv: Venv) -> str:
    (venv.site / "numpy" / "b.py").unlink()
    (venv.site / "numpy" / "b.py").symlink_to("b.py")
    return "numpy 2.0: numpy/b.py missing"


def _altered(venv: Venv) -> str:
    (venv.site / "numpy" / "b.py").write_text("edited", encoding="utf-8")
    return "numpy 2.0: numpy/b.py altered"


def _a_pipe_for_a_file(venv: Venv) -> str:
    (venv.site / "numpy" / "b.py").unlink()
    os.mkfifo(venv.site / "numpy" / "b.py")
    return "numpy 2.0: numpy/b.py altered"


def _a_link_to_a_device(venv: Venv) -> str:
    (venv.site / "numpy" / "b.py").unlink()
    (venv.site / "numpy" / "b.py").symlink_to("/dev/zero")
    return "numpy 2.0: numpy/b.py altered"


def _twice(venv: Venv) -> str:
    venv.install("NumPy-1.9")
    return "numpy is recorded 2 times"


def _leftover(venv: Venv) -> str:
    (venv.site / "~umpy").mkdir()
    return "~umpy is what an interrupted pip left behind"


ILLNESSES = [
    *(("interpreter", harm) for harm in (_no_config, _bad_config, _no_python, _dead_link, _not_executable)),
    *(("interpreter", harm) for harm in (_no_home, _home_not_named, _does_not_start, _no_answer, _odd_answer)),
    *(("interpreter", harm) for harm in (_another_prefix, _another_version, _another_than_stamped)),
    *(("records", harm) for harm in (_no_record, _no_metadata, _empty_metadata, _another_metadata)),
    *(("records", harm) for harm in (_metadata_is_a_folder, _record_is_a_pipe, _record_of_bytes)),
    *(("records", harm) for harm in (_strange_lines, _names_files_outside)),
    *(("missing", harm) for harm in (_one_file_gone, _files_gone, _a_link_to_itself)),
    *(("altered", harm) for harm in (_altered, _a_pipe_for_a_file, _a_link_to_a_device)),
    ("duplicates", _twice),
    ("leftovers", _leftover),
]


@pytest.mark.parametrize(("name", "harm"), ILLNESSES)
def test_one_illness_is_one_finding(venv: Venv, name: str, harm: Callable[[Venv], str]) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows knows neither these permissions nor pipes in folders")
    why = harm(venv)
    assert venv.said() == {name: [("error", why, REBUILD)]}


def test_a_new_patch_release_of_the_same_python_is_worth_a_look(venv: Venv) -> None:
    venv.answer["version"] = "3.12.9"
    assert venv.said() == {
        "interpreter": [("warning", "it runs Python 3.12.9, and its own record says 3.12.1", REBUILD)]
    }


def test_what_a_path_file_prints_is_no_answer(venv: Venv) -> None:
    venv.answer = f"hello\n{json.dumps(venv.answer)}\n"
    assert venv.findings() == {}


def test_the_name_and_the_version_may_be_spelled_in_another_way(venv: Venv) -> None:
    folder = venv.install("Foo_Bar-1.0+cu.121")
    (folder / "METADATA").write_bytes(b"Author: Andr\xe9\nName: foo.bar\nVersion: 01.0+CU.121\n\n\xff")
    assert venv.findings() == {}


def test_a_record_of_ten_megabytes_in_one_line_is_no_record(venv: Venv) -> None:
    (venv.numpy / "RECORD").write_text("x" * 10_000_000, encoding="utf-8")
    assert [why for _, why, _ in venv.said()["records"]] == [
        "numpy-2.0.dist-info has a RECORD with a line that is no record"
    ]


def test_what_a_record_names_is_quoted_for_the_terminal(venv: Venv) -> None:
    with (venv.numpy / "RECORD").open("a", encoding="utf-8") as record:
        record.write('"numpy/\x1b[31m ""x"", y.py",sha256=x,0\n')
    assert venv.said()["missing"][0][1] == 'numpy 2.0: numpy/\\x1b[31m "x", y.py missing'


def test_names_that_are_no_text_are_examined_all_the_same(venv: Venv) -> None:
    folder = os.fsencode(venv.site) + b"/bad\xff-1.dist-info"
    Path(os.fsdecode(folder)).mkdir()
    found = json.dumps([each.why for each in venv.findings()["records"]])
    assert "bad\\\\udcff-1.dist-info has no METADATA" in found
    assert "\\udcff" not in found.replace("\\\\udcff", "")


def test_a_check_that_cannot_work_says_so(venv: Venv) -> None:
    shutil.rmtree(venv.prefix / "lib")
    assert venv.findings() == {}
    venv.site.parent.mkdir(parents=True)
    venv.site.touch()
    found = venv.findings()
    assert {each.kind for each in found["missing"]} == {"unexamined"}
    assert found["missing"][0].why.startswith("not examined: NotADirectoryError: ")


def test_what_nobody_may_look_at_is_a_finding(venv: Venv, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root looks at everything, whatever its permissions are.
    real = os.stat

    def stat(path: Any, **options: Any) -> os.stat_result:
        if str(path).endswith(("b.py", "METADATA")):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, **options)

    monkeypatch.setattr(os, "stat", stat)
    assert [why for _, why, _ in venv.said()["records"]] == [
        "numpy-2.0.dist-info has a METADATA that cannot be read (Permission denied)",
        "numpy 2.0: numpy/b.py cannot be looked at: permission denied",
    ]


def test_a_folder_that_nobody_may_look_at_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(_: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor, "is_environment", denied)
    with pytest.raises(LabError, match="cannot be looked at: Permission denied: make the folder readable"):
        doctor.of_prefix(tmp_path, {})


def test_bytecode_is_not_missed_whatever_the_record_says(venv: Venv) -> None:
    # virtualenv, and so Poetry, records the folders that Python may make.
    with (venv.numpy / "RECORD").open("a", encoding="utf-8") as record:
        record.write("numpy/__pycache__/a.cpython-312.pyc,,\nnumpy/inner/__pycache__,,\n")
    assert venv.findings() == {}


def test_an_environment_of_uv_or_virtualenv_records_its_python_in_its_own_way(venv: Venv) -> None:
    venv.config.write_text(f"home = {venv.base}\nversion_info = 3.12.1.final.0\n", encoding="utf-8")
    assert venv.subject().version == "3.12.1"
    assert venv.findings() == {}


def test_a_record_may_have_another_name_of_the_environment(venv: Venv, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(venv.prefix)
    (venv.site / "mine.pth").write_text("/home/me/src\n", encoding="utf-8")
    for prefix in (venv.prefix, link):
        folder = venv.install("mine-1")
        with (folder / "RECORD").open("a", encoding="utf-8") as record:
            record.write(f"{prefix}/lib/python3.12/site-packages/mine.pth,,\n")
        for environment in (Environment(venv.prefix), Environment(link)):
            subject = Subject(environment, {"PIP_CONFIG_FILE": os.devnull}, venv.ask)
            assert [found for _, found in examine(subject, CHECKS[1:]) if found] == []
        shutil.rmtree(folder)


def test_a_deprecated_egg_is_its_own_record(venv: Venv) -> None:
    (venv.site / "old-1.0-py3.12.egg" / "old").mkdir(parents=True)
    (venv.site / "old-1.0-py3.12.egg" / "old" / "__init__.py").touch()
    (venv.site / "easy-install.pth").write_text("./old-1.0-py3.12.egg\n/home/me/src\n", encoding="utf-8")
    assert venv.findings() == {}


def test_an_egg_info_has_no_record_to_look_at(venv: Venv) -> None:
    (venv.site / "old-1.egg-info").touch()
    (venv.site / "old.py").touch()
    assert venv.findings() == {}


# --- code without a record -----------------------------------------------------------------------------------------


def test_a_record_that_was_deleted_is_told_by_the_stamp(venv: Venv) -> None:
    packages = {"numpy-2.0.dist-info": "x", "idna-3.1.dist-info": "x"}
    write_stamp(venv.prefix, Stamp("/p", "venv+uv", fingerprint={"packages": packages}))
    shutil.rmtree(venv.numpy)
    gone = "was there after the last setup, and nothing records it now"
    assert sorted(venv.said()["lost"]) == [
        ("error", f"idna 3.1 {gone}", "invoke install"),
        ("error", f"numpy 2.0 {gone}, and its files are still there: its dist-info was deleted", "invoke install"),
    ]
    assert {each.package: each.mend for each in venv.findings()["lost"]} == {"idna": "install", "numpy": "install"}


def test_code_that_nobody_records_is_not_thrown_away_unasked(venv: Venv) -> None:
    for name in ("evil.py", "numpy/extra.py", "spare/inner/deep.so", "data/only.txt", "numpy/__pycache__/a.pyc"):
        (venv.site / name).parent.mkdir(parents=True, exist_ok=True)
        (venv.site / name).touch()
    (venv.site / "_virtualenv.py").touch()
    (venv.site / "loop").symlink_to(venv.site)
    (venv.site / "mine").symlink_to(venv.base)
    found = venv.findings()["lost"]
    assert [(each.package, each.severity, each.mend) for each in sorted(found, key=lambda each: each.package)] == [
        (name, "warning", "") for name in ("evil", "mine", "numpy", "spare")
    ]
    assert found[0].why.endswith(" can be imported, and no installed package records it")


def test_a_file_of_two_records_is_told(venv: Venv) -> None:
    venv.install("other-1", "numpy/a.py")
    ((severity, why, _),) = venv.said()["overwritten"]
    assert (severity, why) == (
        "note",
        "numpy and other both record numpy/a.py: the one that was installed last is there",
    )


def test_the_packages_of_an_older_python_are_left_over(venv: Venv) -> None:
    (venv.prefix / "lib" / "python3.9" / "site-packages" / "a-1.dist-info").mkdir(parents=True)
    assert venv.said() == {
        "leftovers": [
            (
                "warning",
                "lib/python3.9/site-packages has packages of a Python that is not the environment's any more",
                REBUILD,
            )
        ]
    }


# --- what runs at every start --------------------------------------------------------------------------------------


def test_what_runs_at_every_start(venv: Venv) -> None:
    (venv.site / "evil.pth").write_text(
        f"# a remark\nimport os\n/opt/other\n{venv.site}/numpy\nnumpy\n", encoding="utf-8"
    )
    (venv.site / "_virtualenv.pth").write_text("import _virtualenv\n", encoding="utf-8")
    (venv.site / "usercustomize.py").touch()
    unrecorded = "and no installed package records it"
    site = "lib/python3.12/site-packages"
    assert venv.said() == {
        "startup": [
            ("warning", f"{site}/evil.pth runs code at every start, {unrecorded}: import os", REBUILD),
            ("warning", f"{site}/evil.pth brings another folder in, {unrecorded}: /opt/other", REBUILD),
            ("warning", f"{site}/usercustomize.py runs at every start, {unrecorded}", REBUILD),
        ]
    }


def test_a_path_file_of_a_package_is_its_own_business(venv: Venv) -> None:
    venv.install("editable-1", "editable.pth", content=b"/elsewhere/src\n")
    assert venv.findings() == {}


def test_the_users_own_packages_come_first_where_they_are_let_in(venv: Venv) -> None:
    folder = venv.home / ".local" / "lib" / "python3.12" / "site-packages"
    (folder / "numpy-1.0.dist-info").mkdir(parents=True)
    assert venv.findings() == {}
    with venv.config.open("a", encoding="utf-8") as config:
        config.write("include-system-site-packages = true\n")
    found = venv.said()["startup"]
    assert found[0][0] == "note"
    assert found[1] == (
        "warning",
        f"numpy 1.0 of {folder} comes before the environment's 2.0",
        "export PYTHONNOUSERSITE=1",
    )
    assert len(venv.said(PYTHONNOUSERSITE="1")["startup"]) == 1
    (folder / "numpy-1.0.dist-info").rename(folder / "rich-1.0.dist-info")
    assert venv.said()["startup"][1][:2] == ("note", f"1 packages of {folder} can be imported too: rich")


# --- variables -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["PYTHONPATH", "PYTHONHOME"])
def test_a_variable_that_brings_other_packages_in(venv: Venv, name: str) -> None:
    why = f"{name} is set: other packages come before the environment's own"
    assert venv.said(**{name: "/x"}) == {"variables": [("error", why, f"unset {name}")]}


@pytest.mark.parametrize(
    ("environ", "command"),
    [
        ({"PIP_USER": "1"}, "unset PIP_USER"),
        ({"PIP_USER": "no"}, ""),
        ({"PIP_TARGET": "/x"}, "unset PIP_TARGET"),
        ({"PIP_PREFIX": "/x"}, "unset PIP_PREFIX"),
        ({"PIP_REQUIRE_VIRTUALENV": "1"}, ""),
        ({"VIRTUAL_ENV": "/other"}, "deactivate"),
        ({"VIRTUAL_ENV": "{prefix}"}, ""),
        ({"VIRTUAL_ENV": sys.prefix}, ""),
        ({"CONDA_DEFAULT_ENV": "tools", "CONDA_PREFIX": sys.prefix}, ""),
        ({"VIRTUAL_ENV": "{prefix}", "CONDA_DEFAULT_ENV": "base", "CONDA_PREFIX": "/conda"}, "conda deactivate"),
        ({"CONDA_DEFAULT_ENV": "base", "CONDA_PREFIX": "/conda"}, ""),
        ({"CONDA_DEFAULT_ENV": "other", "CONDA_PREFIX": "/conda/envs/other"}, "conda deactivate"),
        ({"UV_PROJECT_ENVIRONMENT": "/x"}, "unset UV_PROJECT_ENVIRONMENT"),
        ({"UV_PROJECT_ENVIRONMENT": "{prefix}"}, ""),
        ({"POETRY_VIRTUALENVS_CREATE": "false"}, "unset POETRY_VIRTUALENVS_CREATE"),
        ({"POETRY_VIRTUALENVS_CREATE": "false", "VIRTUAL_ENV": "{prefix}"}, ""),
    ],
)
def test_a_variable_that_sends_a_tool_elsewhere(venv: Venv, environ: dict[str, str], command: str) -> None:
    given = {name: value.format(prefix=venv.prefix) for name, value in environ.items()}
    found = venv.said(**given).get("variables", [])
    assert [(severity, each) for severity, _, each in found] == ([("warning", command)] if command else [])


# --- certificates and proxies --------------------------------------------------------------------------------------


def test_bundles_that_are_not_there_or_differ(venv: Venv) -> None:
    first, second = venv.base / "a.pem", venv.base / "b.pem"
    first.touch()
    second.touch()
    assert venv.findings(SSL_CERT_FILE=str(first), PIP_CERT=str(first), CONDA_SSL_VERIFY="truststore") == {}
    found = venv.said(
        SSL_CERT_FILE=str(first), REQUESTS_CA_BUNDLE=str(second), CURL_CA_BUNDLE="/no", SSL_CERT_DIR="/not"
    )
    assert found["certificates"] == [
        ("warning", "CURL_CA_BUNDLE names /no, which is not there", "unset CURL_CA_BUNDLE"),
        ("warning", "SSL_CERT_DIR names /not, which is not there", "unset SSL_CERT_DIR"),
        (
            "warning",
            (
                "SSL_CERT_FILE and REQUESTS_CA_BUNDLE name different bundles of certificates: "
                "one tool may trust an index that another refuses"
            ),
            "unset REQUESTS_CA_BUNDLE",
        ),
    ]
    odd = venv.said(SSL_CERT_FILE=str(second), REQUESTS_CA_BUNDLE=str(first), PIP_CERT=str(first))["certificates"]
    assert [command for *_, command in odd] == ["unset SSL_CERT_FILE"]


def test_pips_configuration_counts_and_a_broken_one_is_told(venv: Venv) -> None:
    config = venv.base / "pip.conf"
    config.write_text("[global]\ncert = /no\nproxy = me:word@one.example:1\n", encoding="utf-8")
    found = venv.said(PIP_CONFIG_FILE=str(config), https_proxy="http://two.example:2")
    assert found["certificates"] == [
        ("warning", "pip's configuration (cert) names /no, which is not there", "pip config debug")
    ]
    assert found["proxies"] == [
        ("warning", "pip's configuration (proxy) and HTTPS_PROXY name different proxies", "pip config debug")
    ]
    config.write_text("nonsense", encoding="utf-8")
    assert venv.findings(PIP_CONFIG_FILE=str(config))["certificates"][0].kind == "configuration"


def test_certificates_that_are_not_checked(venv: Venv) -> None:
    ((_, why, command),) = venv.said(CONDA_SSL_VERIFY="false")["certificates"]
    assert (why, command) == ("CONDA_SSL_VERIFY is false: certificates are not checked", "unset CONDA_SSL_VERIFY")


def test_proxies_that_differ_are_shown_without_credentials(venv: Venv) -> None:
    assert venv.findings(HTTP_PROXY="http://p:1/", http_proxy="p:1", PIP_PROXY="http://p:1") == {}
    found = venv.findings(HTTPS_PROXY="http://me:first@p.example:1", https_proxy="me:second@p.example:1")["proxies"]
    assert found[0].why == "HTTPS_PROXY and https_proxy differ in their credentials: each tool takes another one"
    assert [str(side) for side in found[0].sources] == [
        "HTTPS_PROXY: http://***@p.example:1",
        "https_proxy: ***@p.example:1",
    ]
    text = repr(found)
    assert "first" not in text
    assert "second" not in text


# --- the GPU -------------------------------------------------------------------------------------------------------

OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {}  Release Build\nGCC version:  gcc 12.3.0\n"
CLOSED = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  {}  Sat Aug 19 01:15:15 UTC 2023\nGCC version:  gcc 12.3.0\n"


@pytest.mark.parametrize(
    ("package", "major"),
    [
        ("torch-2.5.1+cu121", 12),
        ("torch-2.1.0+cu118", 11),
        ("nvidia_cublas_cu12-12.4.5.8", 12),
        ("jax_cuda12_plugin-0.4.35", 12),
        ("cupy_cuda13x-13.0", 13),
        ("torch-2.5.1+cpu", 0),
        ("barracuda-1.0", 0),
    ],
)
def test_what_expects_a_cuda(
    venv: Venv, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, package: str, major: int
) -> None:
    venv.install(package)
    name = package.replace("_", "-").replace("-", " ").rsplit(" ", 1)[0].replace(" ", "-")
    expects = f"{name} {package.rpartition('-')[2]} expects CUDA {major}, and this machine has no driver of NVIDIA's"
    note = [("note", f"{expects}: it runs on the CPU here, as far as it can", "")]
    assert venv.said(PATH="/nowhere").get("gpu", []) == (note if major else [])
    driver = tmp_path / "driver"
    monkeypatch.setattr(gpu, "DRIVER", driver)
    monkeypatch.setattr(gpu, "LIBRARIES", [str(tmp_path)])
    (tmp_path / "libcuda.so.1").touch()
    for text in (OPEN, CLOSED):
        driver.write_text(text.format("440.33.01"), encoding="utf-8")
        found = venv.said().get("gpu", [])
        assert [severity for severity, *_ in found] == (["warning"] if major else [])
        assert (
            not major or f"needs a driver from {gpu.MINIMUM[major]} on, and this machine has 440.33.01" in found[0][1]
        )
        driver.write_text(text.format("580.82.09"), encoding="utf-8")
        assert venv.findings() == {}


def test_a_driver_without_its_library_and_packages_for_two_cudas(
    venv: Venv, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    venv.install("torch-2.1.0+cu118")
    venv.install("nvidia_cublas_cu12-12.4.5.8")
    program = tmp_path / "nvidia-smi"
    program.touch(mode=0o755)
    monkeypatch.setattr(gpu, "LIBRARIES", [])
    found = venv.said(PATH=str(tmp_path))["gpu"]
    assert [severity for severity, *_ in found] == ["warning", "note"]
    assert "libcuda, which belongs to the driver 535.104.05, is nowhere on this machine" in found[0][1]
    assert found[1][1].endswith("CUDA 11: torch 2.1.0+cu118; CUDA 12: nvidia-cublas-cu12 12.4.5.8")


# --- the command ---------------------------------------------------------------------------------------------------


@pytest.fixture
def command(venv: Venv, monkeypatch: pytest.MonkeyPatch) -> Venv:
    for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "CONDA_PREFIX", "UV_PROJECT_ENVIRONMENT", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(doctor, "subject_of", lambda _environment, environ: venv.subject(**environ))
    return venv


def test_the_command_prints_every_check(command: Venv, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", f"--prefix={command.prefix}"]) == 0
    titles = [line[2:] for line in capsys.readouterr().out.splitlines() if not line.startswith("    ")]
    assert titles == [check.title for check in CHECKS]


def test_the_command_prints_what_is_wrong_and_what_mends_it(
    command: Venv, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_USER", "1")
    _leftover(command)
    (command.prefix / STAMP).touch()
    assert cli.main(["doctor", "--prefix", str(command.prefix)]) == FOUND
    out = capsys.readouterr().out
    assert (
        f"✗ no leftovers of an interrupted installation\n    ~umpy is what an interrupted pip left behind: {REBUILD}\n"
        in out
    )
    assert (
        "! no variables that lead an import or a tool astray\n"
        "    PIP_USER is set: pip installs into the user's own folder: unset PIP_USER\n"
    ) in out


def test_the_command_prints_json_alone(command: Venv, capsys: pytest.CaptureFixture[str]) -> None:
    _leftover(command)
    (command.prefix / STAMP).touch()
    assert cli.main(["doctor", "--prefix", str(command.prefix), "--json"]) == FOUND
    found = json.loads(capsys.readouterr().out)
    assert (found["check"], found["subject"], found["ok"]) == ("doctor", str(command.prefix), False)
    assert [(each["kind"], each["mend"]) for each in found["findings"] if each["severity"] == "error"] == [
        ("leftover", "sweep")
    ]
    assert found["examined"]["packages"] == "1"
    assert list(found["facts"]["checks"]) == NAMES


def test_the_prefix_may_be_relative(
    command: Venv, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(command.base)
    assert cli.main(["doctor", "--prefix", f"../{command.prefix.name}", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["subject"], found["findings"]) == (str(command.prefix), [])


def test_an_environment_that_somebody_made_is_not_to_be_made_anew_by_us(
    command: Venv, capsys: pytest.CaptureFixture[str]
) -> None:
    _leftover(command)
    assert cli.main(["doctor", "--prefix", str(command.prefix)]) == FOUND
    assert "left behind: put it right with what made the environment\n" in capsys.readouterr().out
    cli.main(["doctor", "--prefix", str(command.prefix), "--json"])
    (found,) = json.loads(capsys.readouterr().out)["findings"]
    assert (found["command"], found["mend"]) == ("", "")


def test_a_command_that_is_stopped_says_so(
    command: Venv, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(doctor, "examine", stop)
    assert cli.main(["doctor", "--prefix", str(command.prefix), "--json"]) == INTERRUPTED
    out, err = capsys.readouterr()
    assert json.loads(out)["error"] == "interrupted"
    assert err == "error: interrupted\n"


@pytest.mark.parametrize("make", [lambda _: None, lambda path: path.mkdir(), lambda path: path.touch()])
def test_what_is_no_environment_is_refused(
    tmp_path: Path, make: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    prefix = tmp_path / "x"
    make(prefix)
    assert not is_environment(prefix)
    assert cli.main(["doctor", "--prefix", str(prefix), "--json"]) == WRONG
    out, err = capsys.readouterr()
    assert err == f"error: {prefix} is not an environment: make it with `invoke setup`\n"
    assert json.loads(out)["error"] == f"{prefix} is not an environment"


def test_a_reader_that_has_gone_is_no_error(command: Venv, monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(io.TextIOWrapper):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Closed(io.BytesIO()))
    assert cli.main(["doctor", "--prefix", str(command.prefix)]) == 0
