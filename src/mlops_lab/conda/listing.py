"""`list`, `env list` and `info`: what there is, for people and in conda's JSON shapes. Nothing here starts anything."""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_lab.conda import channels, prefixes, records
from mlops_lab.environment import Environment, inventory, normalise
from mlops_lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlops_lab.conda.config import Settings

__all__ = ["environments", "info", "packages", "show_environments", "show_info", "show_packages"]


def packages(prefix: Path, settings: Settings, pattern: str | None = None) -> list[dict[str, Any]]:
    """What is installed, conda's packages and those of other installers, as `conda list --json` tells it.

    Raises:
        LabError: There is no environment, or the pattern is none (code 2).
    """
    if not prefixes.exists(prefix):
        raise LabError(f"{prefix} is no conda environment", "`env list` shows what there is")
    found, _ = records.read(prefix)
    # Nothing is looked up on a network here: only channels that the configuration names have a name.
    named = [channel for name in settings.channels for channel in channels.resolve(name, settings)]
    named += [channel for name in settings.custom_channels for channel in channels.resolve(name, settings)]
    listed = [_conda(record, named) for record in found]
    owned = _distributions(found)
    for name, number in inventory(Environment(prefix, conda=True)).items():
        if owned.get(name) == number:
            continue
        listed = [entry for entry in listed if normalise(entry["name"]) != name or name not in owned]
        listed.append(_foreign(name, number, settings))
    return sorted(_matching(listed, pattern), key=lambda entry: str(entry["name"]))


def _matching(listed: list[dict[str, Any]], pattern: str | None) -> list[dict[str, Any]]:
    if not pattern:
        return listed
    try:
        wanted = re.compile(pattern, re.IGNORECASE)
    except re.error as error:
        raise LabError(
            f'"{pattern}" is no regular expression: {error}', "a name, or ^name$ for exactly that"
        ) from error
    return [entry for entry in listed if wanted.search(entry["name"])]


def _conda(record: records.Record, named: list[channels.Channel]) -> dict[str, Any]:
    return {
        "base_url": record.channel.rstrip("/"),
        "build_number": record.data.get("build_number", 0),
        "build_string": record.build,
        "channel": channels.canonical(record.channel, named).rpartition("/")[2],
        "dist_name": f"{record.name}-{record.version}-{record.build}",
        "name": record.name,
        "platform": record.subdir,
        "version": record.version,
    }


def _foreign(name: str, number: str, settings: Settings) -> dict[str, Any]:
    """A package of another installer, as conda lists it."""
    return {
        "base_url": channels.resolve("pypi", settings)[0].url.rstrip("/"),
        "build_number": 0,
        "build_string": "pypi_0",
        "channel": "pypi",
        "dist_name": f"{name}-{number}-pypi_0",
        "name": name,
        "platform": "pypi",
        "version": number,
    }


def _distributions(found: list[records.Record]) -> dict[str, str]:
    """The distributions that conda's packages brought: name → version."""
    owned = {}
    for record in found:
        for path in record.data["files"]:
            folder, _, file = path.rpartition("/")
            site, _, distribution = folder.rpartition("/")
            # Not what setuptools and pip carry in folders of their own.
            if file == "METADATA" and distribution.endswith(".dist-info") and site.endswith("site-packages"):
                name, _, number = distribution.removesuffix(".dist-info").partition("-")
                owned[normalise(name)] = number
    return owned


def show_packages(prefix: Path, listed: list[dict[str, Any]]) -> str:
    """The table of `conda list`."""
    rows = [("Name", "Version", "Build", "Channel")]
    rows += [(e["name"], e["version"], e["build_string"], e["channel"]) for e in listed]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]) for row in rows
    ]
    return "\n".join(
        [f"# packages in environment at {prefix}:", "#", f"# {lines[0]}", *(line.rstrip() for line in lines[1:])]
    )


def environments(settings: Settings, environ: Mapping[str, str]) -> dict[str, Any]:
    """Every environment that is known, as `conda env list --json` tells it."""
    found = prefixes.known(settings)
    active = environ.get("CONDA_PREFIX")
    details = {}
    for prefix in found:
        created = (prefix / "conda-meta").stat().st_ctime
        changed = (prefix / "conda-meta" / "history").stat().st_mtime
        details[str(prefix)] = {
            "name": prefixes.name_of(prefix, settings),
            "created": _moment(created),
            "last_modified": _moment(changed),
            "active": str(prefix) == active,
            "base": (prefix / "condabin").is_dir(),
            "frozen": (prefix / "conda-meta" / "frozen").exists(),
            "writable": os.access(prefix / "conda-meta" / "history", os.W_OK),
        }
    return {"envs": [str(prefix) for prefix in found], "envs_details": details}


def _moment(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat()


def show_environments(data: Mapping[str, Any]) -> str:
    """The table of `conda env list`."""
    details: dict[str, dict[str, Any]] = data["envs_details"]
    width = max([len(detail["name"]) for detail in details.values()], default=0) + 2
    lines = ["", "# conda environments:", "#"]
    lines += [
        f"{detail['name']:<{width}} {'*' if detail['active'] else ' '} {prefix}" for prefix, detail in details.items()
    ]
    return "\n".join([*lines, ""])


def info(settings: Settings, environ: Mapping[str, str]) -> dict[str, Any]:
    """What `conda info --json` tells, as far as it means anything here."""
    from mlops_lab.conda.solve import virtual_packages

    virtual = [package.into_generic() for package in virtual_packages()]
    active = environ.get("CONDA_PREFIX")
    searched = channels.chosen([], settings)
    subdir = _subdir()
    return {
        "active_prefix": active,
        "active_prefix_name": environ.get("CONDA_DEFAULT_ENV") if active else None,
        "channels": [f"{channel.url}{part}" for channel in searched for part in (subdir, "noarch")],
        "conda_version": "0.0.0",
        "config_files": [str(path) for path in settings.sources],
        "engine": f"mlops-lab {version('mlops-lab')} (py-rattler {version('py-rattler')})",
        "envs_dirs": [str(path) for path in settings.envs_dirs],
        "offline": settings.offline,
        "pkgs_dirs": [str(path) for path in settings.pkgs_dirs],
        "platform": subdir,
        "python_version": platform.python_version(),
        "root_prefix": None,
        "sys.executable": sys.executable,
        "sys.prefix": sys.prefix,
        "user_rc_path": str(Path("~/.condarc").expanduser()),
        "virtual_pkgs": [[str(p.name.normalized), str(p.version), str(p.build_string)] for p in virtual],
        **environments(settings, environ),
    }


def _subdir() -> str:
    from rattler import Subdir

    return str(Subdir.current())


def show_info(data: Mapping[str, Any]) -> str:
    """The lines of `conda info`."""
    rows = {
        "engine": [data["engine"]],
        "active environment": [data["active_prefix"] or "none"],
        "populated config files": data["config_files"],
        "virtual packages": ["=".join(package) for package in data["virtual_pkgs"]],
        "channel URLs": data["channels"],
        "package cache": data["pkgs_dirs"],
        "envs directories": data["envs_dirs"],
        "platform": [data["platform"]],
        "offline mode": [str(data["offline"])],
    }
    width = max(map(len, rows))
    lines = [
        f"{title if not at else '':>{width}} {':' if not at else ' '} {value}"
        for title, values in rows.items()
        for at, value in enumerate(values or [""])
    ]
    return "\n".join(["", *lines, ""])
