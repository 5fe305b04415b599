"""What people do to an environment, found by `doctor` with package and command, and mended by `doctor --fix`."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlops_lab.environment import Environment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Lab = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.real

PROJECTS = Path(__file__).parent.parent / "projects"
EVIL = b"\n# written here\n"


@dataclass(frozen=True)
class Site:
    """A project that is set up with a cache of its own: its files are the environment's by another name."""

    root: Path
    environ: Mapping[str, str]
    workshop: Mapping[str, str]
    lab: Lab

    @property
    def packages(self) -> Path:
        found = Environment(self.root / ".venv").site_packages
        assert found is not None
        return found

    def code(self, name: str) -> Path:
        return self.packages / name / "__init__.py"

    def info(self, name: str) -> Path:
        return next(self.packages.glob(f"{name}-*.dist-info"))

    def doctor(self, *words: str, check: int) -> dict[str, Any]:
        done = self.lab("doctor", *words, "--json", cwd=self.root, environ=self.environ, check=check)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def contents(self) -> dict[str, str]:
        """Every file of the packages with its digest, but for what installers write of themselves."""
        return {
            path.relative_to(self.packages).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.packages.rglob("*"))
            if path.is_file() and "__pycache__" not in path.parts and not path.parts[-2].endswith(".dist-info")
        }

    def uv(self, *words: str) -> None:
        argv = [sys.executable, "-m", "uv", "pip", *words, "--python", str(self.root / ".venv" / "bin" / "python")]
        subprocess.run(argv, env={**self.workshop, **self.environ}, check=True, capture_output=True, timeout=120)


@pytest.fixture(scope="module")
def site(lab: Lab, workshop: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("doctor")
    root = folder / "small"
    shutil.copytree(PROJECTS / "small", root)
    made = Site(root, {"UV_CACHE_DIR": str(folder / "uv")}, workshop, lab)
    lab("setup", "--hybrid", "venv+uv", cwd=root, environ=made.environ)
    return made


def agreeing(record: str, file: str, old: bytes, new: bytes) -> str:
    """A RECORD that agrees with the new content of a file."""
    before, after = (
        f"{file},sha256={base64.urlsafe_b64encode(hashlib.sha256(each).digest()).rstrip(b'=').decode()},{len(each)}"
        for each in (old, new)
    )
    assert before in record
    return record.replace(before, after)


def edit(site: Site, name: str, *, consistent: bool = False) -> None:
    """Edit an installed file in place: with uv, the cache's file is this one."""
    code, record = site.code(name), site.info(name) / "RECORD"
    old = code.read_bytes()
    with code.open("ab") as file:
        file.write(EVIL)
    if consistent:
        text = agreeing(record.read_text(encoding="utf-8"), f"{name}/__init__.py", old, old + EVIL)
        record.write_text(text, encoding="utf-8")


def tampered(site: Site, name: str, folder: Path, *, consistent: bool) -> Path:
    """A wheel of an installed package, its code changed; its RECORD agrees with that, or not."""
    info = site.info(name)
    names = [line.split(",")[0] for line in (info / "RECORD").read_text(encoding="utf-8").splitlines()]
    # What an installer has added is left out.
    own = ("..", f"{info.name}/INSTALLER", f"{info.name}/REQUESTED", f"{info.name}/uv_", f"{info.name}/direct")
    files = {each: (site.packages / each).read_bytes() for each in names if not each.startswith(own)}
    code, record = f"{name}/__init__.py", f"{info.name}/RECORD"
    if consistent:
        files[record] = agreeing(files[record].decode(), code, files[code], files[code] + EVIL).encode()
    files[code] += EVIL
    wheel = folder / f"{info.stem}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for each, content in files.items():
            archive.writestr(each, content)
    return wheel


def test_what_was_done_to_it_is_found_and_mended(site: Site, tmp_path: Path) -> None:
    assert site.doctor(check=0)["summary"]["error"] == 0
    before = site.contents()
    # Whose content is not what its own record says, from a folder.
    site.uv("install", "--reinstall", "--no-deps", str(tampered(site, "cowsay", tmp_path, consistent=False)))
    edit(site, "pyjokes")
    shutil.rmtree(site.info("iniconfig"))
    site.uv("install", "colorama==0.4.6")

    found = site.doctor(check=1)["findings"]
    told = {(each["kind"], each["package"], each["command"]) for each in found if each["package"]}
    assert told >= {
        ("altered", "cowsay", "mlops-lab setup --force"),
        ("provenance", "cowsay", "mlops-lab setup --force"),
        ("altered", "pyjokes", "mlops-lab setup --force"),
        ("gone", "iniconfig", "mlops-lab install"),
        ("stray", "colorama", "mlops-lab add colorama"),
    }

    mended = site.doctor("--fix", check=0)
    assert len(mended["mended"]) >= len(told)
    assert mended["summary"] | {"note": 0} == {"error": 0, "warning": 0, "note": 0}
    assert site.contents() == before


def test_what_agrees_with_its_own_record_is_found_too(site: Site, tmp_path: Path) -> None:
    before = site.contents()
    wheel = tampered(site, "cowsay", tmp_path, consistent=True)
    # As from an index: nothing in the environment says where it came from.
    words = ("--no-index", "--find-links", str(tmp_path), f"cowsay=={wheel.name.split('-')[1]}")
    site.uv("install", "--reinstall", "--no-deps", *words)
    edit(site, "pyjokes", consistent=True)
    # To which both are as good as any.
    site.lab("install", cwd=site.root, environ=site.environ)

    found = site.doctor(check=1)["findings"]
    told = {(each["kind"], each["package"], each["command"]) for each in found if each["package"]}
    assert told == {
        ("reinstalled", "cowsay", "mlops-lab setup --force"),
        ("reinstalled", "pyjokes", "mlops-lab setup --force"),
    }
    site.doctor("--fix", check=0)
    assert site.contents() == before


def test_what_the_guides_own_command_prints_comes_first(site: Site) -> None:
    lines = site.lab("doctor", cwd=site.root, environ=site.environ).stdout.splitlines()
    assert "doctor --prefix" in lines[0]
    prefix = str(site.root / ".venv")
    alone = site.lab("doctor", "--prefix", prefix, cwd=site.root.parent, environ=site.environ).stdout.splitlines()
    assert alone[0] == "✓ the interpreter starts, and is the one that is meant"
    assert lines[1 : 1 + len(alone)] == alone
    assert lines[1 + len(alone)].startswith("doctor: ")
