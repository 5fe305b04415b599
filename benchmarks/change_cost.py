"""What `mlops-lab add` of one small package costs beside the commands that it runs. It reports; it judges nothing.

    python benchmarks/change_cost.py [--rounds 5] [--hybrid venv+poetry] [--project FOLDER] [--package NAME]

Run it with an interpreter that has mlops-lab. The project is copied to a temporary folder and stays as it is. Each
command's own time is in the log of the change, which is where the sum comes from; the whole is timed from outside.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
COPIED = ("pyproject.toml", "poetry.lock", "requirements.txt", "conda.yml", "README.md", "LICENSE", "src")
HYBRIDS = ("venv+poetry", "venv+uv", "pip+poetry", "pip+uv")
EXPECTED = 1.15
_TOOK = re.compile(r"^\[-?\d+, (\d+\.\d+) s\]$", re.MULTILINE)


def run(root: Path, *words: str) -> float:
    """Run mlops-lab; the seconds that it took."""
    environ = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    started = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "mlops_lab", *words], cwd=root, env=environ, check=True, stdout=subprocess.DEVNULL
    )
    return time.monotonic() - started


def commands(root: Path) -> list[float]:
    """The seconds of each command of the last change, from its log."""
    log = max((root / ".mlops-lab" / "logs").glob("*.log"), key=lambda path: path.stat().st_mtime_ns)
    return [float(seconds) for seconds in _TOOK.findall(log.read_text(encoding="utf-8"))]


def measure(project: Path, hybrid: str, package: str, rounds: int) -> list[tuple[float, list[float]]]:
    """Add the package and take it back again: the whole, and the commands, of each round."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "project"
        root.mkdir()
        for name in COPIED if project == CHECKOUT else [path.name for path in project.iterdir()]:
            source = project / name
            (shutil.copytree if source.is_dir() else shutil.copy2)(source, root / name)
        run(root, "setup", "--hybrid", hybrid)
        found = []
        for number in range(rounds + 1):
            whole = run(root, "add", package)
            # The first one fetches what is not cached.
            found += [(whole, commands(root))] if number else []
            run(root, "undo")
        return found


def main() -> int:
    """Print a line for each hybrid."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--hybrid", action="append", choices=HYBRIDS)
    words.add_argument("--project", type=Path, default=CHECKOUT)
    words.add_argument("--package", default="cowsay", help="one that the project does not have")
    asked = words.parse_args()
    print(f"{'hybrid':<12} {'whole':>7} {'commands':>9}  number  ratio (lowest, highest), expected at most {EXPECTED}")
    for hybrid in asked.hybrid or HYBRIDS:
        found = measure(asked.project.resolve(), hybrid, asked.package, asked.rounds)
        ratios = sorted(whole / sum(parts) for whole, parts in found)
        whole, parts = (statistics.median(each) for each in zip(*((w, sum(p)) for w, p in found), strict=True))
        ratio = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}, {ratios[-1]:.2f})"
        print(f"{hybrid:<12} {whole:>5.2f} s {parts:>7.2f} s  {len(found[0][1]):>6}  {ratio}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
