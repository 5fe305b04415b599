"""The certificate of a comparison: what was compared, what it was made from, and what came of it, under one digest.

It has a schema, `certificate.schema.json` beside this module. The digest shows that nobody has changed it by the way;
it is no signature: who can write the file can write another digest, too.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_lab.errors import LabError
from mlops_lab.findings import Finding, Findings, Source
from mlops_lab.inventories import fingerprint, load
from mlops_lab.parity.judging import VERDICTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mlops_lab.inventories import Inventory, Package
    from mlops_lab.parity import Comparison

__all__ = ["NAME", "SCHEMA", "certify", "read", "schema", "verify", "write"]

SCHEMA = "mlops-lab/parity-certificate"
VERSION = 1
NAME = "parity.json"
_MAKE = "make a new one with `invoke parity`"
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")


def schema() -> dict[str, Any]:
    """The JSON Schema of a certificate, as it is documented."""
    found: dict[str, Any] = json.loads(Path(__file__).with_name("certificate.schema.json").read_text(encoding="utf-8"))
    return found


# --- writing -------------------------------------------------------------------------------------------------------


def certify(comparison: Comparison) -> dict[str, Any]:
    """The certificate of a comparison, whatever came of it; equal comparisons give equal bytes."""
    there = comparison.inventories
    content = {
        "schema": SCHEMA,
        "version": VERSION,
        "verdict": comparison.verdict,
        "pairs": [{"first": each.first, "second": each.second, "verdict": each.verdict} for each in comparison.pairs],
        "platforms": sorted({str(each.platform) for each in there.values()}),
        "inputs": _inputs(there),
        "inventories": {label: _inventory(each) for label, each in there.items()},
        "packages": {name: _states(name, there) for name in comparison.packages},
        "classes": dict(comparison.classes),
    }
    return {**content, "digest": digest(content)}


def digest(content: Mapping[str, Any]) -> str:
    """The digest of a certificate without its digest: the SHA-256 of its JSON with sorted keys and no spaces."""
    bare = {key: value for key, value in content.items() if key != "digest"}
    text = json.dumps(bare, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def write(comparison: Comparison, path: Path) -> None:
    """Write the certificate in one piece.

    Raises:
        LabError: It cannot be written (code 2).
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(certify(comparison), indent=1) + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise LabError(
            f"{path}: cannot be written: {error.strerror}", "name another one: `--certificate FILE`"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _inputs(there: Mapping[str, Inventory]) -> dict[str, dict[str, list[str]]]:
    """File → hash → the inventories that were made from it; an empty hash: it had changed since."""
    found: dict[str, dict[str, list[str]]] = {}
    for label, inventory in there.items():
        for name, value in inventory.inputs.items():
            if name not in inventory.derived:
                found.setdefault(name, {}).setdefault(value, []).append(label)
    return dict(sorted(found.items()))


def _inventory(inventory: Inventory) -> dict[str, Any]:
    return {
        "sha256": fingerprint(inventory),
        "hybrid": inventory.hybrid,
        "engine": inventory.engine,
        "python": inventory.python,
        "platform": str(inventory.platform),
        "groups": list(inventory.groups),
        "extras": list(inventory.extras),
        "tools": dict(sorted(inventory.tools.items())),
    }


def _states(name: str, there: Mapping[str, Inventory]) -> list[dict[str, Any]]:
    """How a package is, and in which inventories: one entry for all that have the same version and contents."""
    found: dict[tuple[str, str], list[str]] = {}
    for label, inventory in there.items():
        if package := inventory.packages.get(name):
            found.setdefault((package.version, package.content), []).append(label)
    return [
        {"version": version, "content": content, "in": labels} for (version, content), labels in sorted(found.items())
    ]


# --- reading -------------------------------------------------------------------------------------------------------


def read(path: Path) -> dict[str, Any]:
    """A certificate whose digest is its own.

    Raises:
        LabError: It is none (code 2), or somebody has changed it (code 1).
    """
    data = load(path)
    if data.get("schema") != SCHEMA:
        raise LabError(f"{path}: no certificate: its schema is not {SCHEMA}", _MAKE)
    if data.get("version") != VERSION:
        raise LabError(
            f"{path}: a certificate of version {data.get('version')!r:.40}, and this mlops-lab knows 1", _MAKE
        )
    given = data.get("digest")
    if not isinstance(given, str) or not _SHA256.fullmatch(given):
        raise LabError(f"{path}: no certificate: it has no digest", _MAKE)
    if digest(data) != given:
        raise LabError(f"{path}: it was changed after it was made: its digest is not its own", _MAKE, code=1)
    if (wrong := _malformed(data)) is not None:
        raise LabError(f"{path}: no certificate: {wrong!r} is not as its schema has it", _MAKE)
    return data


def _malformed(data: Mapping[str, Any]) -> str | None:
    """The first field of a certificate that is not as it was written; None where it is sound."""
    inventories, packages, inputs = (data.get(key) for key in ("inventories", "packages", "inputs"))
    if data.get("verdict") not in VERDICTS:
        return "verdict"
    if not isinstance(inventories, dict) or not all(_is_inventory(each) for each in inventories.values()):
        return "inventories"
    if not isinstance(inputs, dict) or not all(_is_input(each) for each in inputs.values()):
        return "inputs"
    if not isinstance(packages, dict) or not all(_is_package(each) for each in packages.values()):
        return "packages"
    return None


def _is_inventory(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(key), str) for key in ("sha256", "hybrid", "python"))


def _is_input(value: object) -> bool:
    return isinstance(value, dict) and all(_are_texts(labels) for labels in value.values())


def _is_package(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(state, dict)
        and isinstance(state.get("version"), str)
        and isinstance(state.get("content"), str)
        and _are_texts(state.get("in"))
        for state in value
    )


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


# --- verifying -----------------------------------------------------------------------------------------------------


def verify(
    certificate: Mapping[str, Any],
    there: Sequence[Inventory],
    now: Mapping[str, str] | None,
    *,
    name: str,
    subject: str,
) -> Findings:
    """Whether what a certificate says is still so.

    Args:
        certificate: The certificate, as it was read.
        there: The inventories that are given, or at hand.
        now: The project's files now: name → SHA-256; None where there is no project to look at.
        name: What the certificate is called.
        subject: The folder of the project.
    """
    matched = _matched(certificate, there)
    found = [
        *_verdict(certificate, name),
        *(_moved_inputs(certificate, now, name) if now is not None else ()),
        *(finding for label, inventory in matched.items() for finding in _moved(certificate, label, inventory, name)),
        *_not_here(certificate, matched, name),
    ]
    examined = {name: f"{certificate['verdict']}, its digest is its own"}
    examined |= {label: f"{len(inventory.packages)} packages" for label, inventory in matched.items()}
    facts = {"certificate": certificate["digest"], "verdict": certificate["verdict"], "verified": sorted(matched)}
    return Findings("parity", subject, found, examined, facts=facts)


def _matched(certificate: Mapping[str, Any], there: Sequence[Inventory]) -> dict[str, Inventory]:
    """Label → the inventory that it means: the very same one, else the one of the same hybrid, Python and system."""
    found: dict[str, Inventory] = {}
    left = list(there)
    for fits in (_is_same, _is_alike):
        for label, said in certificate["inventories"].items():
            match = next((each for each in left if label not in found and fits(said, each)), None)
            if match is not None:
                found[label] = match
                left.remove(match)
    return found


def _is_same(said: Mapping[str, Any], inventory: Inventory) -> bool:
    return bool(said["sha256"] == fingerprint(inventory))


def _is_alike(said: Mapping[str, Any], inventory: Inventory) -> bool:
    return (said["hybrid"], said.get("platform")) == (inventory.hybrid, str(inventory.platform))


def _verdict(certificate: Mapping[str, Any], name: str) -> Iterator[Finding]:
    if certificate["verdict"] == VERDICTS[-1]:
        why = "it certifies that the environments diverge, not that they are the same"
        yield Finding("verdict", "", (Source(name, 0, VERDICTS[-1]),), why, "invoke parity")


def _moved_inputs(certificate: Mapping[str, Any], now: Mapping[str, str], name: str) -> Iterator[Finding]:
    for file, hashes in certificate["inputs"].items():
        if now.get(file, "") in hashes and now.get(file):
            continue
        state = "has changed since" if file in now else "is gone"
        sources = (
            Source(name, 0, f"{file} {' or '.join(value[:12] or 'of before' for value in hashes)}"),
            Source(file, 0, now[file][:12] if file in now else "not there"),
        )
        why = f"{file} {state}, so the certificate speaks of other files"
        yield Finding("inputs", "", sources, why, "nox -s check parity", otherwise="that makes a new certificate")


def _moved(certificate: Mapping[str, Any], label: str, inventory: Inventory, name: str) -> Iterator[Finding]:
    said = certificate["inventories"][label]
    if said["sha256"] == fingerprint(inventory):
        return
    if said["python"] != inventory.python:
        sources = (Source(name, 0, f"Python {said['python']}"), Source(label, 0, f"Python {inventory.python}"))
        yield Finding("python", "", sources, f"{label} has another Python now", "")
    then = {
        package: (state["version"], state["content"])
        for package, states in certificate["packages"].items()
        for state in states
        if label in state["in"]
    }
    for package in sorted({*then, *inventory.packages}):
        grouped = (
            certificate.get("classes", {}).get(package, "") if isinstance(certificate.get("classes"), dict) else ""
        )
        finding = _package(package, then.get(package), inventory.packages.get(package), grouped, label, name)
        if finding is not None:
            yield finding


def _package(
    package: str, then: tuple[str, str] | None, now: Package | None, grouped: str, label: str, name: str
) -> Finding | None:
    before, after = (then[0] if then else ""), (now.version if now else "")
    sources = (Source(name, 0, f"{package} {before or 'absent'}"), Source(label, 0, f"{package} {after or 'absent'}"))
    if before != after:
        kind = "version" if before and after else "absent"
        why = f"{package} was {before or 'absent'} in {label}, and is {after or 'absent'} now"
        return Finding(kind, package, sources, why, "invoke install")
    # What is built on each machine, or is the project itself, need not have the same files.
    if (
        then
        and now
        and then[1]
        and now.content
        and then[1] != now.content
        and grouped not in {"sdist", "project", "seed"}
    ):
        why = f"{package} {after} in {label} has other files than at that time"
        return Finding("content", package, sources, why, "invoke doctor")
    return None


def _not_here(certificate: Mapping[str, Any], matched: Mapping[str, Inventory], name: str) -> Iterator[Finding]:
    missing = [label for label in certificate["inventories"] if label not in matched]
    if missing:
        why = f"no inventory of {', '.join(missing)} is here, so nobody knows whether it still says the same"
        sources = tuple(Source(label, 0, "not at hand") for label in missing)
        hint = f"name the files behind two dashes: `invoke parity --verify {name} -- FILE`"
        yield Finding("unverified", "", sources, why, "", "note", hint)
