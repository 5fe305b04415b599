"""A prefix on disk: its interpreter, what activates it, what is installed in it, its stamp and its lock.

Nothing here starts a process: an environment is read from its files.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import re
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mlops_lab import conda_meta
from mlops_lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = [
    "BYTECODE",
    "SEEDS",
    "STAMP",
    "Environment",
    "Stamp",
    "activation",
    "altered_files",
    "config",
    "distributions",
    "has_checksum",
    "holding",
    "inventory",
    "is_held",
    "is_regular",
    "look",
    "missing_files",
    "named",
    "normalise",
    "read_stamp",
    "recorded_files",
    "same_version",
    "user_cache",
    "write_stamp",
]

WINDOWS = os.name == "nt"
STAMP = "mlops-lab.json"
SEEDS = frozenset({"pip", "setuptools", "wheel"})
"""What `python -m venv` puts into a new environment; no lock has to know of it."""
BYTECODE = (".pyc", "__pycache__")
"""How the paths of what Python writes by itself end; virtualenv, and so Poetry, records the folders beforehand."""

_SEPARATORS = re.compile(r"[-_.]+")
_NUMBER = re.compile(r"\d+")


def normalise(name: str) -> str:
    """A distribution's name as indexes compare it (https://packaging.python.org/specifications/name-normalization/)."""
    return _SEPARATORS.sub("-", name).lower()


def same_version(first: str, second: str) -> bool:
    """Whether two versions are one: `1.0` is `1.0.0`."""
    from packaging.utils import canonicalize_version

    return first == second or canonicalize_version(first) == canonicalize_version(second)


def user_cache() -> Path:
    """The user's cache folder of mlops-lab; the variable MLOPS_LAB_CACHE_DIR moves it."""
    if chosen := os.environ.get("MLOPS_LAB_CACHE_DIR"):
        return Path(chosen)
    from platformdirs import user_cache_path

    return user_cache_path("mlops-lab", appauthor=False)


@dataclass(frozen=True)
class Environment:
    """A prefix, which need not exist yet.

    Attributes:
        prefix: Its absolute path.
        conda: Whether conda owns it.
        name: What people call it.
        by_name: Whether conda finds it by that name.
    """

    prefix: Path
    conda: bool = False
    name: str = ""
    by_name: bool = False

    @property
    def scripts(self) -> Path:
        """The folder of its commands."""
        return self.prefix / ("Scripts" if WINDOWS else "bin")

    @property
    def python(self) -> Path:
        """Its interpreter."""
        if WINDOWS:
            return self.prefix / "python.exe" if self.conda else self.scripts / "python.exe"
        return self.scripts / "python"

    @property
    def site_packages(self) -> Path | None:
        """The folder of its packages; None before it has one."""
        if WINDOWS:
            folder = self.prefix / "Lib" / "site-packages"
            return folder if folder.is_dir() else None
        folders = self.prefix.glob("lib/python3*/site-packages")
        # By number: 3.10 comes after 3.9.
        return max(folders, key=lambda folder: [int(n) for n in _NUMBER.findall(folder.parent.name)], default=None)

    @property
    def exists(self) -> bool:
        """Whether there is an environment: a folder with an interpreter and its records."""
        marker = self.prefix / (conda_meta.FOLDER if self.conda else "pyvenv.cfg")
        return marker.exists() and self.python.exists()

    def holds(self, path: Path) -> bool:
        """Whether a file lies in the prefix, by the way it is named or by where its folder really is."""
        folders = (path.absolute().parent, path.parent.resolve())
        return any(folder.is_relative_to(self.prefix) for folder in folders)


def activation(environment: Environment, environ: Mapping[str, str]) -> dict[str, str | None]:
    """The variables that make an environment the active one; None deletes a variable.

    Poetry prefers VIRTUAL_ENV to CONDA_PREFIX, and ignores both when CONDA_DEFAULT_ENV is `base`. What uv reads is not
    among them: in the user's shell UV_PROJECT_ENVIRONMENT would send `uv sync` of every other project here.
    """
    prefix = str(environment.prefix)
    folders = [str(environment.scripts)]
    own = conda_meta.variables(environment.prefix) if environment.conda else {}
    if environment.conda and WINDOWS:
        folders = [prefix, str(environment.prefix / "Library" / "bin"), *folders]
    # An environment that was active before stays behind ours on PATH: mlops-lab itself may live in it.
    path = [part for part in environ.get("PATH", os.defpath).split(os.pathsep) if part not in folders]
    return {
        **own,
        "PATH": os.pathsep.join([*folders, *path]),
        "VIRTUAL_ENV": None if environment.conda else prefix,
        "VIRTUAL_ENV_PROMPT": None if environment.conda else environment.name or environment.prefix.name,
        "CONDA_PREFIX": prefix if environment.conda else None,
        "CONDA_DEFAULT_ENV": (environment.name if environment.by_name else prefix) if environment.conda else None,
        "PYTHONHOME": None,
    }


def inventory(environment: Environment) -> dict[str, str]:
    """What is installed: normalised name → version, read from the names of the `.dist-info` folders.

    Source: https://packaging.python.org/specifications/recording-installed-packages/
    """
    return dict(sorted(map(named, distributions(environment))))


def named(folder: Path) -> tuple[str, str]:
    """The normalised name and the version in the name of a folder that records a distribution."""
    name, _, rest = folder.stem.partition("-")
    return normalise(name), rest.split("-")[0] if folder.suffix == ".egg-info" else rest


def distributions(environment: Environment) -> list[Path]:
    """The folders in which installed packages are recorded (`.dist-info`, and the older `.egg-info`)."""
    site = environment.site_packages
    if site is None:
        return []
    with os.scandir(site) as entries:
        names = [entry.name for entry in entries if entry.name.endswith((".dist-info", ".egg-info"))]
    # What an interrupted pip had set aside is not installed.
    names = [name for name in names if not name.startswith("~")]
    return [site / name for name in sorted(names)]


def config(prefix: Path) -> dict[str, str]:
    """What an environment says of its Python: a venv's pyvenv.cfg, or conda's record; empty for any other prefix.

    Source: https://docs.python.org/3/library/venv.html
    """
    try:
        lines = (prefix / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        version = conda_meta.python_version(prefix)
        return {"version": version, "home": str(Environment(prefix, conda=True).python.parent)} if version else {}
    pairs = (line.partition("=") for line in lines)
    found = {key.strip(): value.strip() for key, equals, value in pairs if equals}
    if "version_info" in found:  # as uv and virtualenv have it, such as 3.12.1.final.0
        found.setdefault("version", ".".join(found["version_info"].split(".")[:3]))
    return found


@dataclass(frozen=True)
class Stamp:
    """What a finished environment says of itself; without a fingerprint it was never finished.

    Attributes:
        project: The project's folder.
        hybrid: The hybrid that made it.
        engine: The program that acted as conda; empty for a venv.
        groups: The dependency groups that were asked for.
        made_by: The interpreter that ran the recipe, outside the environment.
        installed: What the recipe installed: normalised name → version.
        fingerprint: What the environment was made from and how it was left.
    """

    project: str
    hybrid: str
    engine: str = ""
    groups: tuple[str, ...] = ()
    made_by: str = ""
    installed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    fingerprint: Mapping[str, Any] | None = None


def read_stamp(prefix: Path) -> Stamp | None:
    """The stamp of a prefix; None where there is none, or one that cannot be read (then nothing is known of it)."""
    try:
        data = json.loads((prefix / STAMP).read_text(encoding="utf-8"))
        stamp = Stamp(**{**data, "groups": tuple(data["groups"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    texts = (stamp.project, stamp.hybrid, stamp.engine, stamp.made_by, *stamp.groups)
    sound = all(isinstance(text, str) for text in texts) and isinstance(stamp.installed, dict)
    return stamp if sound and isinstance(stamp.fingerprint, dict | None) else None


def write_stamp(prefix: Path, stamp: Stamp) -> None:
    """Write the stamp in one piece: a reader sees the old one or the new one."""
    prefix.mkdir(parents=True, exist_ok=True)
    temporary = prefix / f"{STAMP}.{os.getpid()}"
    try:
        temporary.write_text(json.dumps(dataclasses.asdict(stamp)), encoding="utf-8")
        temporary.replace(prefix / STAMP)
    finally:
        temporary.unlink(missing_ok=True)


def look(environment: Environment) -> dict[str, Any]:
    """How the environment is now: its interpreter, and a digest of each distribution's recorded files.

    The files are looked at, not read (path, size and modification time): 12,000 of them take less than 0.1 s.
    """
    return {
        "interpreter": identity(environment.python),
        "packages": {folder.name: _digest(folder) for folder in distributions(environment)},
        "conda": conda_meta.digests(environment.prefix) if environment.conda else {},
    }


def identity(path: Path | str) -> list[str | int] | None:
    """A file's real path, size and modification time in nanoseconds; None when it is not there."""
    try:
        real = os.path.realpath(path)
        status = os.stat(real)  # noqa: PTH116 - thousands of these are made; a Path costs more than the call
    except OSError:
        return None
    return [real, status.st_size, status.st_mtime_ns]


class Recorded(NamedTuple):
    """A file that a distribution's RECORD names.

    Attributes:
        path: Its path as the record has it.
        checksum: Its checksum as the record has it, such as `sha256=…` in URL-safe base 64; empty where it has none.
        status: What the file is now; None when it is missing.
    """

    path: str
    checksum: str
    status: os.stat_result | None


def _recorded(distribution: Path) -> Iterator[Recorded]:
    """The recorded files of a distribution, as far as nobody is expected to write them anew.

    Raises:
        OSError: There is no RECORD.
        UnicodeDecodeError: It is not a text.
    """
    record = distribution / "RECORD"
    if not is_regular(record):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(record))
    lines = record.read_text(encoding="utf-8").splitlines()
    site = str(distribution.parent)
    for line in lines:
        path, _, rest = line.rpartition(",")[0].rpartition(",")
        if path.startswith('"'):
            path = path[1:-1].replace('""', '"')
        if path.endswith(BYTECODE) or not path:
            continue
        try:
            # Poetry records its own editable files by their absolute paths.
            yield Recorded(path, rest, os.stat(os.path.join(site, path)))  # noqa: PTH116, PTH118 - see `identity`
        except (OSError, ValueError):
            yield Recorded(path, rest, None)


def recorded_files(distribution: Path) -> list[Recorded]:
    """The recorded files of a distribution, but for bytecode; none where there is no record."""
    try:
        return list(_recorded(distribution))
    except (OSError, UnicodeDecodeError):
        return []


def altered_files(distribution: Path) -> list[Recorded]:
    """The recorded files of a distribution whose content is not the recorded one; every file is read.

    Source: https://packaging.python.org/specifications/recording-installed-packages/#the-record-file
    """
    site, files = distribution.parent, recorded_files(distribution)
    return [file for file in files if file.status and not has_checksum(site / file.path, file.checksum)]


def has_checksum(path: Path, checksum: str) -> bool:
    """Whether a file has the content of a record's checksum, as far as the record has one; the file is read."""
    name, _, expected = checksum.partition("=")
    if name not in hashlib.algorithms_guaranteed or not expected:
        return True
    if not is_regular(path):
        return False
    try:
        with path.open("rb") as content:
            found = hashlib.file_digest(content, name).digest()
    except OSError:
        return False
    except TypeError:  # a digest of no fixed length, which no record uses
        return True
    return base64.urlsafe_b64encode(found).rstrip(b"=").decode() == expected.rstrip("=")


def is_regular(path: Path) -> bool:
    """Whether a path is a file that can be read to its end: no pipe, no device."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def missing_files(distribution: Path) -> list[str]:
    """The recorded files of a distribution that are gone; none where there is no record."""
    return [file.path for file in recorded_files(distribution) if file.status is None]


def _digest(distribution: Path) -> str:
    try:
        found = [
            f"{file.path} {file.status.st_size} {file.status.st_mtime_ns}" if file.status else f"{file.path} is missing"
            for file in _recorded(distribution)
        ]
    except (OSError, UnicodeDecodeError):
        return str(identity(distribution))
    return hashlib.blake2b("\n".join(found).encode(), digest_size=12).hexdigest()


def is_held(prefix: Path) -> bool:
    """Whether another process is changing what lies under a prefix, or a project's files."""
    import filelock

    try:
        with filelock.FileLock(_lock_of(prefix), timeout=0):
            return False
    except (filelock.Timeout, OSError):
        return True


def _lock_of(prefix: Path) -> Path:
    # Not in the prefix, which is deleted by a rebuild, nor beside it, where a project would have to ignore it in git.
    name = hashlib.blake2b(os.fsencode(prefix.resolve()), digest_size=12).hexdigest()
    return user_cache() / "locks" / f"{name}.lock"


@contextlib.contextmanager
def holding(prefix: Path, waiting: Callable[[str], None]) -> Iterator[int | None]:
    """Hold the lock of a prefix; one process at a time changes it.

    Args:
        prefix: The environment's prefix, which need not exist.
        waiting: Called once with a sentence when another process holds the lock.

    Yields:
        The lock's descriptor, for the children to inherit: a killed recipe then holds the lock until its last child
        has ended. None where the system has no such locks.

    Raises:
        LabError: The user's cache folder cannot be written (code 2).
    """
    import filelock

    path = _lock_of(prefix)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            waiting(f"waiting: another process is changing {prefix}")
            lock.acquire()
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise  # no wrong word or file: the faces say what to do
        raise LabError(
            f"cannot lock {prefix}: {error}", "make the folder writable, or name another one in MLOPS_LAB_CACHE_DIR"
        ) from error
    try:
        # filelock offers no public way to its descriptor (https://github.com/tox-dev/filelock).
        yield None if sys.platform == "win32" else lock._context.lock_file_fd  # noqa: SLF001
    finally:
        lock.release()
