"""What `.condarc` and the variables of the environment say: conda's places, conda's order, conda's words."""

from __future__ import annotations

import dataclasses
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_lab.errors import LabError
from mlops_lab.manifests import condarc

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from mlops_lab.manifests.condarc import Condarc

__all__ = ["PRIORITIES", "SEARCH", "Settings", "files", "load"]

# In conda's order; a later file beats an earlier one.
# https://github.com/conda/conda/blob/main/conda/base/constants.py (SEARCH_PATH)
_SYSTEM = ("C:/ProgramData/conda",) if os.name == "nt" else ("/etc/conda", "/var/lib/conda")
_NAMES = (".condarc", "condarc", "condarc.d")
SEARCH: tuple[str, ...] = (
    *(f"{folder}/{name}" for folder in (*_SYSTEM, "$CONDA_ROOT", "$XDG_CONFIG_HOME/conda") for name in _NAMES),
    *(f"{folder}/{name}" for folder in ("~/.config/conda", "~/.conda") for name in _NAMES),
    "~/.condarc",
    *(f"$CONDA_PREFIX/{name}" for name in _NAMES),
    "$CONDARC",
)
PRIORITIES = ("strict", "flexible", "disabled")
_TRUE, _FALSE = frozenset({"true", "yes", "on", "1", "y"}), frozenset({"false", "no", "off", "0", "n"})


@dataclass(frozen=True)
class Settings:
    """What conda would work with.

    Attributes:
        channel_alias: What a bare channel name is appended to; empty for py-rattler's own default.
        channels: The channels of the configuration, which stand behind those of a file.
        default_channels: What `defaults` stands for; empty when nothing says so.
        custom_channels: Channel name → the address that the name is appended to.
        custom_multichannels: A name → the channels that it stands for.
        envs_dirs: Where environments live; the first is where new ones are made.
        pkgs_dirs: Where packages are kept; the first that can be written is used.
        channel_priority: `strict`, `flexible` or `disabled`.
        offline: Whether nothing may be fetched.
        ssl_verify: `true`, `false`, `truststore`, or the path of a bundle of certificates.
        proxy_servers: Scheme (or scheme and host) → the proxy's address.
        sources: The files that were read.
    """

    channel_alias: str = ""
    channels: tuple[str, ...] = ()
    default_channels: tuple[str, ...] = ()
    custom_channels: Mapping[str, str] = field(default_factory=dict)
    custom_multichannels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    envs_dirs: tuple[Path, ...] = ()
    pkgs_dirs: tuple[Path, ...] = ()
    channel_priority: str = "flexible"
    offline: bool = False
    ssl_verify: str = "true"
    proxy_servers: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[Path, ...] = ()


def files(environ: Mapping[str, str]) -> Iterator[Path]:
    """The configuration files that are there, the strongest last."""
    seen: set[Path] = set()
    for place in SEARCH:
        variable = place.partition("/")[0].removeprefix("$") if place.startswith("$") else ""
        if variable and not environ.get(variable):
            continue
        path = Path(_expand(place, environ))
        found = sorted(path.glob("*.y*ml")) if path.is_dir() else [path]
        for file in found:
            if file.is_file() and file not in seen:
                seen.add(file)
                yield file


def load(environ: Mapping[str, str]) -> Settings:
    """Everything that the configuration files and the variables say.

    Raises:
        LabError: A file is broken (with line and column), or a value is none of the valid ones.
    """
    read = [_read(path) for path in files(environ)]
    strongest = [*reversed(read)]
    settings = Settings(
        channel_alias=_text(strongest, "channel_alias", environ),
        channels=_merged(strongest, "channels", environ, ",", "CONDA_CHANNELS"),
        default_channels=_merged(strongest, "default_channels", environ, ",", "CONDA_DEFAULT_CHANNELS"),
        custom_channels=_mapping(read, "custom_channels", environ),
        custom_multichannels={
            name: tuple(_expand(part, environ) for part in parts)
            for rc in read
            for name, parts in rc.multichannels.items()
        },
        envs_dirs=_folders(strongest, "envs_dirs", environ, ("CONDA_ENVS_DIRS", "CONDA_ENVS_PATH"), "~/.conda/envs"),
        pkgs_dirs=_folders(strongest, "pkgs_dirs", environ, ("CONDA_PKGS_DIRS",), "~/.conda/pkgs"),
        channel_priority=_text(strongest, "channel_priority", environ).lower() or "flexible",
        ssl_verify=_text(strongest, "ssl_verify", environ) or "true",
        proxy_servers=_mapping(read, "proxy_servers", environ),
        sources=tuple(rc.path for rc in read),
    )
    offline = _boolean(_text(strongest, "offline", environ) or "false", _where(strongest, "offline"))
    return _checked(dataclasses.replace(settings, offline=offline), strongest)


def _read(path: Path) -> Condarc:
    try:
        return condarc.read(path)
    except LabError as error:
        # There may be a .condarc in half a dozen folders.
        raise LabError(f"{path.parent}{os.sep}{error.message}", error.hint) from error


def _checked(settings: Settings, strongest: Sequence[Condarc]) -> Settings:
    # Older files say true for strict: https://docs.conda.io/projects/conda/en/latest/user-guide/tasks/manage-channels.html
    old = {"true": "flexible", "false": "disabled"}
    settings = dataclasses.replace(
        settings, channel_priority=old.get(settings.channel_priority, settings.channel_priority)
    )
    if settings.channel_priority not in PRIORITIES:
        where = _where(strongest, "channel_priority")
        raise LabError(
            f'{where}: no channel priority "{settings.channel_priority}"', f"choose from {', '.join(PRIORITIES)}"
        )
    if settings.channel_alias and "://" not in settings.channel_alias:
        where = _where(strongest, "channel_alias")
        raise LabError(f'{where}: "{settings.channel_alias}" is no address', "write it with its scheme: https://…")
    verify = settings.ssl_verify
    if verify not in {"true", "false", "truststore"} and not Path(verify).exists():
        where = _where(strongest, "ssl_verify")
        raise LabError(f"{where}: no file of certificates {verify}", "write true, false, or the path of a bundle")
    return settings


def _where(strongest: Sequence[Condarc], key: str) -> str:
    if os.environ.get(_variable(key)):
        return _variable(key)
    return next((f"{rc.path}:{rc.lines[key]}" for rc in strongest if key in rc.lines), ".condarc")


def _variable(key: str) -> str:
    return f"CONDA_{key.upper()}"


def _text(strongest: Sequence[Condarc], key: str, environ: Mapping[str, str]) -> str:
    given = environ.get(_variable(key)) or next((rc.texts[key] for rc in strongest if key in rc.texts), "")
    given = _expand(given, environ)
    if key == "ssl_verify" and given.lower() in _TRUE | _FALSE | {"truststore"}:
        return "true" if given.lower() in _TRUE else "false" if given.lower() in _FALSE else "truststore"
    return given


def _boolean(given: str, where: str) -> bool:
    if given.lower() not in _TRUE | _FALSE:
        raise LabError(f'{where}: "{given}" is neither true nor false', "write true or false")
    return given.lower() in _TRUE


def _merged(
    strongest: Sequence[Condarc], key: str, environ: Mapping[str, str], separator: str, *variables: str
) -> tuple[str, ...]:
    """A list of the configuration: what is said closer to the user comes first."""
    given = [part.strip() for name in variables for part in environ.get(name, "").split(separator)]
    given += [part for rc in strongest for part in rc.lists.get(key, ())]
    return tuple(dict.fromkeys(_expand(part, environ) for part in given if part))


def _mapping(read: Iterable[Condarc], key: str, environ: Mapping[str, str]) -> dict[str, str]:
    return {name: _expand(value, environ) for rc in read for name, value in rc.maps.get(key, {}).items()}


def _folders(
    strongest: Sequence[Condarc], key: str, environ: Mapping[str, str], variables: tuple[str, ...], default: str
) -> tuple[Path, ...]:
    # CONDA_PKGS_DIRS takes commas, CONDA_ENVS_DIRS what PATH takes.
    separator = os.pathsep if key == "envs_dirs" else ","
    found = [*_merged(strongest, key, environ, separator, *variables), _expand(default, environ)]
    return tuple(dict.fromkeys(Path(part).absolute() for part in found))


def _expand(text: str, environ: Mapping[str, str]) -> str:
    """`~`, `$NAME` and `${NAME}` as conda expands them: a variable that is not set stays as it is written."""
    expanded = re.sub(r"\$(?:(\w+)|\{(\w+)\})", lambda found: environ.get(found[1] or found[2], found[0]), text)
    home = environ.get("HOME") or environ.get("USERPROFILE") or str(Path.home())
    return home + expanded[1:] if expanded == "~" or expanded.startswith(("~/", "~\\")) else expanded
