"""What `invoke drift` costs on projects with two large locks, beside tools that look at one of them. It judges nothing.

    python benchmarks/drift_cost.py [--rounds 7] [--packages 500] [--growth]

Run it with an interpreter that has mlops-lab; `poetry` and `uv` are taken from PATH where they are there. The projects
are generated: every package with the hashes of its files, a range for each of its requirements, and markers on some of
them. All commands take turns in each round, so that a busy machine slows them alike; medians are printed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EXPECTED = 0.35
GROWTH = (500, 1000, 2500, 5000, 10000)
_FILES = 17
_DIRECT = 40
_EDGES = 3
_MARKERS = ("", "", "", "", "sys_platform == 'win32'", "python_full_version < '3.12'", "platform_machine == 'x86_64'")


def name_of(number: int) -> str:
    """The name of a package."""
    return f"package-{number:05}"


def version_of(number: int) -> str:
    """The version that is locked."""
    return f"{number % 7 + 1}.{number % 13}.{number % 29}"


def edges_of(number: int, count: int) -> list[tuple[int, str]]:
    """What a package requires: number and marker; always later ones, so that it ends."""
    later = {min(count - 1, number * 2 + step + 1) for step in range(_EDGES)} | {min(count - 1, number + 1)}
    return [
        (other, _MARKERS[other % len(_MARKERS)] if other != number + 1 else "") for other in sorted(later - {number})
    ]


def files_of(number: int) -> list[tuple[str, str]]:
    """The files of a package with their hashes."""
    stem = f"{name_of(number).replace('-', '_')}-{version_of(number)}"
    tags = [f"cp3{minor}-cp3{minor}-manylinux_2_17_x86_64.manylinux2014_x86_64" for minor in range(_FILES - 2)]
    names = [f"{stem}.tar.gz", f"{stem}-py3-none-any.whl", *(f"{stem}-{tag}.whl" for tag in tags)]
    return [(name, hashlib.sha256(name.encode()).hexdigest()) for name in names]


def poetry_lock(count: int) -> str:
    """What Poetry would write."""
    parts = []
    for number in range(count):
        files = "".join(f'    {{file = "{name}", hash = "sha256:{digest}"}},\n' for name, digest in files_of(number))
        edges = "".join(
            f'{name_of(other)} = {{version = ">={version_of(other)}", markers = "{marker.replace("full_", "")}"}}\n'
            if marker
            else f'{name_of(other)} = ">={version_of(other)}"\n'
            for other, marker in edges_of(number, count)
        )
        parts.append(
            f'[[package]]\nname = "{name_of(number)}"\nversion = "{version_of(number)}"\ndescription = "A package."\n'
            f'optional = false\npython-versions = ">=3.9"\ngroups = ["main"]\nfiles = [\n{files}]\n'
            + (f"\n[package.dependencies]\n{edges}" if edges else "")
        )
    end = '[metadata]\nlock-version = "2.1"\npython-versions = ">=3.11,<3.14"\ncontent-hash = "0"\n'
    return "\n".join([*parts, end])


def uv_lock(count: int) -> str:
    """What uv would write."""
    parts = ['version = 1\nrevision = 3\nrequires-python = ">=3.11, <3.14"\n']
    for number in range(count):
        (sdist, digest), *wheels = files_of(number)
        address = "https://index.example/files"
        listed = "".join(
            f'    {{ url = "{address}/{name}", hash = "sha256:{each}", size = 123456 }},\n' for name, each in wheels
        )
        edges = "".join(
            f'    {{ name = "{name_of(other)}"' + (f', marker = "{marker}"' if marker else "") + " },\n"
            for other, marker in edges_of(number, count)
        )
        parts.append(
            f'[[package]]\nname = "{name_of(number)}"\nversion = "{version_of(number)}"\n'
            'source = { registry = "https://index.example/simple" }\n'
            + (f"dependencies = [\n{edges}]\n" if edges else "")
            + f'sdist = {{ url = "{address}/{sdist}", hash = "sha256:{digest}", size = 123456 }}\nwheels = [\n'
            f"{listed}]\n"
        )
    direct = range(min(_DIRECT, count))
    needed = "".join(f'    {{ name = "{name_of(number)}" }},\n' for number in direct)
    asked = "".join(
        f'    {{ name = "{name_of(number)}", specifier = ">={version_of(number)}" }},\n' for number in direct
    )
    parts.append(
        '[[package]]\nname = "subject"\nversion = "1"\nsource = { virtual = "." }\n'
        f"dependencies = [\n{needed}]\n\n[package.metadata]\nrequires-dist = [\n{asked}]\n"
    )
    return "\n".join(parts)


def make(root: Path, count: int) -> None:
    """Write a project of so many packages."""
    asked = "".join(f'    "{name_of(number)}>={version_of(number)}",\n' for number in range(min(_DIRECT, count)))
    (root / "pyproject.toml").write_text(
        '[project]\nname = "subject"\nversion = "1"\nrequires-python = ">=3.11,<3.14"\n'
        f"dependencies = [\n{asked}]\n\n[tool.poetry]\npackage-mode = false\n\n[tool.uv]\npackage = false\n",
        encoding="utf-8",
    )
    (root / "tasks.py").write_text(
        "from mlops_lab.tasks import namespace\n\n__all__ = ['namespace']\n", encoding="utf-8"
    )
    (root / "poetry.lock").write_text(poetry_lock(count), encoding="utf-8")
    (root / "uv.lock").write_text(uv_lock(count), encoding="utf-8")


def seconds(root: Path, argv: list[str]) -> tuple[float, float]:
    """How long a command takes, and how much of a processor's time.

    How the tools end does not matter, since nobody can resolve these packages.
    """
    environ = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environ |= {"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring", "UV_OFFLINE": "1"}
    before, started = os.times(), time.monotonic()
    subprocess.run(argv, cwd=root, env=environ, check=argv[0] == sys.executable, capture_output=True)
    took, after = time.monotonic() - started, os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return took, used


def measured(count: int, rounds: int, commands: dict[str, list[str]]) -> dict[str, tuple[float, float]]:
    """The medians of each command on a project of so many packages."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make(root, count)
        size = sum((root / name).stat().st_size for name in ("poetry.lock", "uv.lock")) / 1e6
        print(f"\n{count} packages in each of two locks, {size:.1f} MB together")
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for number in range(rounds + 1):
            for name, argv in commands.items():
                took = seconds(root, argv)
                found[name] += [took] if number else []  # the first one writes bytecode
    return {name: (_median(each, 0), _median(each, 1)) for name, each in found.items()}


def _median(pairs: list[tuple[float, float]], which: int) -> float:
    return statistics.median(pair[which] for pair in pairs)


def beyond(medians: dict[str, tuple[float, float]], count: int) -> str:
    """What drift costs more than the list of tasks does."""
    drift, listed = medians["invoke drift --json"], medians["invoke --list"]
    took, used = drift[0] - listed[0], drift[1] - listed[1]
    return f"  drift beyond the list  {took:>6.3f} s {used:>7.3f} s  {1000 * used / count:.3f} ms a package"


def main() -> int:
    """Print the medians side by side, then how they grow."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--rounds", type=int, default=7)
    words.add_argument("--packages", type=int, default=500)
    words.add_argument("--growth", action="store_true", help="also with 1000, 2500, 5000 and 10000 packages")
    asked = words.parse_args()
    invoke = [sys.executable, "-m", "mlops_lab"]
    commands = {"invoke --list": [*invoke, "--list"], "invoke drift --json": [*invoke, "drift", "--json"]}
    for words_of in (["uv", "lock", "--check"], ["poetry", "check", "--lock"]):
        if found := shutil.which(words_of[0]):
            commands[" ".join(words_of)] = [found, *words_of[1:]]
    medians = measured(asked.packages, asked.rounds, commands)
    print(f"  {'':<22} {'whole':>8} {'processor':>9}")
    for name, (took, used) in medians.items():
        print(f"  {name:<22} {took:>6.3f} s {used:>7.3f} s")
    print(f"{beyond(medians, asked.packages)}; expected at most {EXPECTED} s with 500 packages")
    for count in GROWTH[1:] if asked.growth else ():
        some = {name: commands[name] for name in ("invoke --list", "invoke drift --json")}
        print(beyond(measured(count, max(1, asked.rounds // 2), some), count))
    return 0


if __name__ == "__main__":
    sys.exit(main())
