"""The certificate of a comparison: what was compared, what it was made from, and what came of it, under one digest.

It has a schema, `certificate.schema.json` beside this module. The digest shows that nobody has changed it by the way;
it is no signature: who can write the file can write another digest, too.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_lab.errors import FOUND, LabError
from mlops_lab.inventories import fingerprint, load, put
from mlops_lab.parity.judging import CLASSES, VERDICTS, worst

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from mlops_lab.inventories import Inventory
    from mlops_lab.parity import Comparison

__all__ = ["NAME", "SCHEMA", "certify", "digest", "read", "schema", "write"]

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
        "conda": {name: _builds(name, there) for name in sorted(set().union(*(each.conda for each in there.values())))},
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
        LabError: It cannot be written (code 2; 1 where the disk is full).
    """
    put(path, json.dumps(certify(comparison), indent=1) + "\n")


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


def _builds(name: str, there: Mapping[str, Inventory]) -> list[dict[str, Any]]:
    """The same of a package of conda's, by its version and build."""
    found: dict[tuple[str, str], list[str]] = {}
    for label, inventory in there.items():
        if package := inventory.conda.get(name):
            found.setdefault((package.version, package.build), []).append(label)
    return [{"version": version, "build": build, "in": labels} for (version, build), labels in sorted(found.items())]


# --- reading -------------------------------------------------------------------------------------------------------


def read(path: Path) -> dict[str, Any]:
    """A certificate whose digest is its own.

    Raises:
        LabError: It is none (code 2), or somebody has changed it (code 1).
    """
    data = load(path, "certificate", _MAKE)
    if data.get("schema") != SCHEMA:
        raise LabError(f"{path}: no certificate: its schema is not {SCHEMA}", _MAKE)
    if data.get("version") != VERSION:
        known = f"this mlops-lab knows {VERSION}"
        raise LabError(f"{path}: a certificate of version {data.get('version')!r:.40}, and {known}", _MAKE)
    given = data.get("digest")
    if not isinstance(given, str) or not _SHA256.fullmatch(given):
        raise LabError(f"{path}: no certificate: it has no digest", _MAKE)
    if digest(data) != given:
        raise LabError(f"{path}: it was changed after it was made: its digest is not its own", _MAKE, code=FOUND)
    if (wrong := _malformed(data)) is not None:
        raise LabError(f"{path}: no certificate: {wrong!r} is not as its schema has it", _MAKE)
    return data


def _malformed(data: Mapping[str, Any]) -> str | None:
    """The first field of a certificate that is not as it was written; None where it is sound."""
    inventories: Any = data.get("inventories")
    if not _is_table(inventories, _is_inventory) or len(inventories) < 2:  # noqa: PLR2004 - a pair
        return "inventories"
    if not _are_pairs(data.get("pairs"), inventories):
        return "pairs"
    if data.get("verdict") != worst(pair["verdict"] for pair in data["pairs"]):
        return "verdict"
    tables: Mapping[str, Callable[[object], bool]] = {
        "inputs": lambda value: _is_table(value, _are_texts),
        "packages": lambda value: _is_states(value, "content"),
        "conda": lambda value: _is_states(value, "build"),
        "classes": lambda value: isinstance(value, str) and value in CLASSES,
    }
    return next((name for name, is_sound in tables.items() if not _is_table(data.get(name), is_sound)), None)


def _is_table(value: Any, is_sound: Callable[[object], bool]) -> bool:  # noqa: ANN401 - of a file that anybody may have written
    return isinstance(value, dict) and all(is_sound(each) for each in value.values())


def _is_inventory(value: object) -> bool:
    keys = ("sha256", "hybrid", "python", "platform")
    return isinstance(value, dict) and all(isinstance(value.get(key), str) for key in keys)


def _are_pairs(value: object, inventories: Collection[str]) -> bool:
    """Whether there is a verdict on each two of the inventories."""
    if not isinstance(value, list) or not all(isinstance(each, dict) and _is_pair(each) for each in value):
        return False
    told = sorted(tuple(sorted((each["first"], each["second"]))) for each in value)
    return told == sorted(itertools.combinations(sorted(inventories), 2))


def _is_pair(value: Mapping[str, Any]) -> bool:
    return all(isinstance(value.get(key), str) for key in ("first", "second")) and value.get("verdict") in VERDICTS


def _is_states(value: object, key: str) -> bool:
    return isinstance(value, list) and all(
        isinstance(state, dict)
        and isinstance(state.get("version"), str)
        and isinstance(state.get(key), str)
        and _are_texts(state.get("in"))
        for state in value
    )


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
