"""Certificates and proxies that several tools are told of in several places, and that disagree.

Only names and addresses without credentials are shown.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mlops_lab.doctor.subject import tell
from mlops_lab.errors import LabError, redact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlops_lab.doctor.subject import Subject
    from mlops_lab.findings import Finding

__all__ = ["certificates", "proxies"]

_BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT", "CONDA_SSL_VERIFY", "GIT_SSL_CAINFO")
_WORDS = frozenset({"true", "false", "truststore", "yes", "no", "on", "off", "0", "1"})
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


class Said(NamedTuple):
    """A setting, and who says it."""

    where: str
    value: str


def _pip(subject: Subject) -> tuple[str, str, str]:
    """The bundle and the proxy of pip's files, and why they cannot be read."""
    from mlops_lab.indexes import read_pip_config

    try:
        # The variables are looked at apart.
        own = {name: value for name, value in subject.environ.items() if name not in {"PIP_CERT", "PIP_PROXY"}}
        config = read_pip_config(own, subject.prefix)
    except (LabError, OSError) as error:
        return "", "", str(error)
    return config.cert or "", config.proxy or "", ""


def _conda(subject: Subject) -> tuple[str, Mapping[str, str], str]:
    """The bundle and the proxies of conda's files, and why they cannot be read; nothing where there are none."""
    from importlib.util import find_spec

    # Beside a conda that has no yaml of this name, conda reads its own files.
    if not subject.environment.conda or find_spec("yaml") is None:
        return "", {}, ""
    from mlops_lab.conda import config

    try:
        settings = config.load({**subject.environ, "CONDA_SSL_VERIFY": ""})
    except (LabError, OSError) as error:
        return "", {}, str(error)
    return settings.ssl_verify, settings.proxy_servers, ""


def certificates(subject: Subject) -> Iterator[Finding]:
    """Bundles that are not there, and tools that are told of different ones."""
    cert, _, broken = _pip(subject)
    verify, _, broken_too = _conda(subject)
    for why in filter(None, (broken, broken_too)):
        yield tell("configuration", redact(why), severity="warning")
    said = [Said(name, subject.environ.get(name, "")) for name in _BUNDLES]
    said += [Said("pip's configuration (cert)", cert), Said(".condarc (ssl_verify)", verify)]
    said = [each for each in said if each.value]
    for each in said:
        if each.value.lower() in {"false", "no", "off", "0"}:
            why = f"{each.where} is {each.value}: certificates are not checked"
            yield tell("certificate", why, _away(each.where), sides=[each], severity="warning")
    files = [each for each in said if each.value.lower() not in _WORDS]
    folder = subject.environ.get("SSL_CERT_DIR", "")
    folders = [Said("SSL_CERT_DIR", part) for part in folder.split(os.pathsep) if part]
    for each in (*files, *folders):
        if not _there(subject, each.value):
            why = f"{each.where} names {each.value}, which is not there"
            yield tell("certificate", why, _away(each.where), sides=[each], severity="warning")
    yield from _unlike(subject, [each for each in files if _there(subject, each.value)])


def _unlike(subject: Subject, said: list[Said]) -> Iterator[Finding]:
    """Bundles that differ; the one that fewest name gives way."""
    bundles: dict[str, list[Said]] = {}
    for each in said:
        bundles.setdefault(os.path.realpath(_expanded(subject, each.value)), []).append(each)
    usual, *others = sorted(bundles.values(), key=len, reverse=True) or [[]]
    if others:
        odd = others[-1][0]
        yield tell(
            "certificate",
            f"{usual[0].where} and {odd.where} name different bundles of certificates: "
            "one tool may trust an index that another refuses",
            _away(odd.where),
            sides=said,
            severity="warning",
        )


def _expanded(subject: Subject, path: str) -> Path:
    home = subject.environ.get("HOME", "")
    return Path(home, path[2:]) if path.startswith("~/") and home else Path(path)


def _there(subject: Subject, path: str) -> bool:
    try:
        return _expanded(subject, path).exists()
    except (OSError, ValueError):
        return False


def _away(where: str) -> str:
    if where.isupper():
        return f"unset {where}"
    return "pip config debug" if where.startswith("pip") else "conda config --show-sources"


def proxies(subject: Subject) -> Iterator[Finding]:
    """Proxies that are spelled twice and differ, or that pip or conda are told of otherwise than the rest."""
    environ = subject.environ
    for name in _PROXIES:
        upper, lower = environ.get(name, ""), environ.get(name.lower(), "")
        if upper and lower and _proxy(upper) != _proxy(lower):
            sides = [Said(name, _shown(upper)), Said(name.lower(), _shown(lower))]
            # Which of the two counts is another matter in every tool: curl and Python take the lower one.
            why = f"{name} and {name.lower()} differ{_in_credentials(sides)}: each tool takes another one"
            yield tell("proxy", why, f'export {name}="${name.lower()}"', sides=sides, severity="warning")
    yield from _against_files(subject)


def _against_files(subject: Subject) -> Iterator[Finding]:
    _, of_pip, _ = _pip(subject)
    _, of_conda, _ = _conda(subject)
    told = [Said("PIP_PROXY", subject.environ.get("PIP_PROXY", "")), Said("pip's configuration (proxy)", of_pip)]
    told += [Said(f".condarc (proxy_servers: {scheme})", address) for scheme, address in sorted(of_conda.items())]
    for said, scheme in itertools.product(told, ("https", "http")):
        name = f"{scheme}_proxy"
        general = subject.environ.get(name) or subject.environ.get(name.upper(), "")
        # A line of .condarc is for one scheme, pip's for both.
        fits = not said.where.startswith(".condarc") or said.where.endswith(f" {scheme})")
        if said.value and general and fits and _proxy(said.value) != _proxy(general):
            sides = [Said(said.where, _shown(said.value)), Said(name.upper(), _shown(general))]
            why = f"{said.where} and {name.upper()} name different proxies{_in_credentials(sides)}"
            yield tell("proxy", why, _away(said.where), sides=sides, severity="warning")
            break


def _proxy(text: str) -> str:
    """An address in the form in which two of them are compared."""
    text = text.strip().rstrip("/")
    return text if "://" in text else f"http://{text}"


def _shown(text: str) -> str:
    """Without credentials, which may stand there without a scheme before them."""
    shown = redact(_proxy(text))
    return shown if "://" in text else shown.removeprefix("http://")


def _in_credentials(sides: list[Said]) -> str:
    return " in their credentials" if _proxy(sides[0].value) == _proxy(sides[1].value) else ""
