"""Whether an environment stands as the last update left it, and the same is asked for: then nothing is solved.

What is installed is kept as long as it fits, so the solver would find what is there; what a channel has by now does not
matter. Nothing slow is imported here.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from mlops_lab.conda import history, marker, pip, prefixes, records

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mlops_lab.conda.config import Settings
    from mlops_lab.conda.marker import Marker
    from mlops_lab.manifests.conda_env import CondaEnv

__all__ = ["digest", "stands"]


def digest(file: CondaEnv, settings: Settings, environ: Mapping[str, str], *, prune: bool) -> str:
    """A digest of everything that decides which packages an update wants."""
    overrides = {name: value for name, value in sorted(environ.items()) if name.startswith("CONDA_OVERRIDE_")}
    searched = (settings.channels, settings.channel_alias, settings.channel_priority, settings.default_channels)
    named = (sorted(settings.custom_channels.items()), sorted(settings.custom_multichannels.items()))
    asked = [[item.text for item in items] for items in (file.dependencies, file.channel_items, file.pip)]
    text = json.dumps([asked, prune, searched, named, overrides])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def stands(prefix: Path, inputs: str, variables: Mapping[str, str], part: pip.Part | None) -> Marker | None:
    """The marker of an environment to which nothing is to be done; None when somebody has to look closer."""
    known = marker.read(prefix)
    # What stands in the place of a replaced package may be gone again: its files are not in our ledger.
    if (
        known is None
        or known.replaced
        or known.state != marker.COMPLETE
        or known.inputs != inputs
        or prefix not in history.registered()
    ):
        return None
    if part and not pip.stands(prefix, part, known.pip):
        return None
    left = any(prefixes.beside(prefix, role).exists() for role in (prefixes.NEW, prefixes.OLD, prefixes.TRASH))
    same = history.variables(prefix).items() >= variables.items()
    return known if same and not left and records.untouched(prefix, known.files) else None
