"""Every rendered region by its name, and every page that may have one."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import mlops_lab
from rendering import guide, reference, schemas
from rendering.regions import Broken, differing, rendered

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["PARTS", "ROOT", "pages", "refresh"]

ROOT = Path(__file__).parents[2]
_PACKAGE = Path(mlops_lab.__path__[0])

PARTS: Mapping[str, Callable[[], str]] = {
    "guide": guide.guide,
    "guide-beyond": guide.beyond,
    "hybrids": guide.hybrids,
    "setup-rows": guide.setup_rows,
    "tools": guide.tools,
    "task-list": reference.task_list,
    "tasks": reference.tasks,
    "sessions": partial(reference.session_words, ROOT / "noxfile.py"),
    "session-options": reference.session_options,
    "settings": reference.settings,
    "manifests": reference.manifests,
    "drift-kinds": reference.drift_kinds,
    "doctor-checks": reference.check_titles,
    "parity-classes": reference.parity_classes,
    "variables": reference.variables,
    "exit-codes": reference.exit_codes,
    "schema-findings": partial(schemas.schema, _PACKAGE / "report" / "findings.schema.json"),
    "schema-inventory": partial(schemas.schema, _PACKAGE / "inventories.schema.json"),
    "schema-certificate": partial(schemas.schema, _PACKAGE / "certificate.schema.json"),
}
"""Name of a region → what renders it; a new one is a row."""


def pages(root: Path = ROOT) -> list[Path]:
    """The pages that may have regions."""
    return [*sorted(root.glob("*.md")), *sorted((root / "docs").rglob("*.md"))]


def refresh(*, write: bool, root: Path = ROOT, parts: Mapping[str, Callable[[], str]] = PARTS) -> list[str]:
    """Find the pages that are not as the code would render them.

    Args:
        write: Whether they are rendered anew.
        root: The repository's folder.
        parts: Name of a region → what renders it.

    Returns:
        Those pages, each with a further line that names the regions that are stale.

    Raises:
        Broken: Markers that say nothing that can be done, or a page that cannot be read.
    """
    found, pending = [], {}
    for path in pages(root):
        page = path.relative_to(root)
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise Broken(f"{page}: save it as UTF-8: {error.reason} at byte {error.start}") from error
        fresh = rendered(page, text, parts)
        if fresh != text:
            found.append(f"{page.as_posix()}\n    regions: {', '.join(differing(page, text, fresh, parts))}")
            pending[path] = fresh
    # Not before every page has been read: markers of the last one may say nothing.
    for path, fresh in pending.items() if write else ():
        path.write_text(fresh, encoding="utf-8")
    return found
