"""What a command asks for, put together from its words and from the file that it names."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mlops_lab.conda import pip, specs
from mlops_lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mlops_lab.conda.channels import Channel
    from mlops_lab.conda.config import Settings
    from mlops_lab.conda.specs import Spec
    from mlops_lab.manifests.conda_env import CondaEnv

__all__ = ["Request", "from_file", "from_words"]


@dataclass(frozen=True)
class Request:
    """What is to be done to a prefix.

    Attributes:
        prefix: The environment.
        command: What the user typed, for the history.
        specs: What is asked for.
        channels: The channels to search, the first one first.
        prune: Whether what is not asked for is removed.
        drop: Names to remove.
        replace: Whether an environment that is there is made anew.
        dry_run: Whether it is only told what would be done.
        variables: What activation is to set.
        pip: Pip's part of the file.
        inputs: A digest of the file, as far as conda is concerned, and of the configuration.
    """

    prefix: Path
    command: str
    specs: tuple[Spec, ...] = ()
    channels: tuple[Channel, ...] = ()
    prune: bool = False
    drop: tuple[str, ...] = ()
    replace: bool = False
    dry_run: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)
    pip: pip.Part | None = None
    inputs: str = ""


def from_file(file: CondaEnv, settings: Settings) -> tuple[tuple[Spec, ...], tuple[Channel, ...], pip.Part | None]:
    """The specs, the channels and pip's part of an environment file.

    Raises:
        LabError: Something in it is malformed, with line and column.
    """
    from mlops_lab.conda import channels

    places = {}
    for item in file.channel_items:
        where = f"{file.path.name}:{item.line}:{item.column}"
        try:
            named = [] if item.text == "nodefaults" else channels.resolve(item.text, settings)
        except LabError as error:
            raise LabError(f"{where}: {error.message}", error.hint) from error
        places.update({channel.url: where for channel in named})
    found = [
        specs.parse(item.text, settings, f"{file.path.name}:{item.line}:{item.column}") for item in file.dependencies
    ]
    part = pip.part(file.path, file.pip)
    if part and not any(spec.name == "pip" for spec in found):
        # As conda does; there the user is warned that it should stand in the file.
        found.append(specs.parse("pip", settings, file.path.name))
    searched = [replace(c, where=places.get(c.url, "")) for c in channels.chosen(file.channels, settings)]
    return tuple(found), tuple(searched), part


def from_words(words: Sequence[str], settings: Settings) -> tuple[Spec, ...]:
    """The specs on a command line.

    Raises:
        LabError: One of them is malformed.
    """
    return tuple(specs.parse(word, settings) for word in words)
