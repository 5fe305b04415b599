"""Tasks that take packages: one as a positional, or several after `--`."""

from __future__ import annotations

import itertools
import sys
from typing import TYPE_CHECKING, Any

from invoke.parser.argument import Argument

from mlops_lab.tasks.completing import CompletedTask

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ABSENT", "OptionalPackageTask", "PackageTask", "flags_of"]


ABSENT = "\0"
"""No package was named before `--`; a name cannot hold this character."""


class _Words(Argument):
    """A positional that may be absent: Invoke's own are required, and then `invoke add -- NAME` is refused."""

    task = ""
    required = True
    valued: frozenset[str] = frozenset()
    """The task's flags that take the next word for their value."""

    @property
    def value(self) -> Any:  # noqa: ANN401 - as in Invoke
        """The word; None asks Invoke's parser to look for one."""
        if self._value is not None:
            return self._value
        before = sys.argv[: sys.argv.index("--")] if "--" in sys.argv else sys.argv
        wanted = self.required and before is sys.argv
        return None if wanted or self._stands_in(before[1:]) else ABSENT

    @value.setter
    def value(self, word: str) -> None:
        self.set_value(word, cast=False)

    def _stands_in(self, words: Sequence[str]) -> bool:
        """Whether a word follows the task's name that is neither a flag nor a flag's value."""
        rest = itertools.dropwhile(lambda word: word != self.task, words)
        next(rest, None)
        for word in rest:
            if not word.startswith("-"):
                return True
            if word in self.valued:
                next(rest, None)
        return False


class PackageTask(CompletedTask):
    """A task whose positional `name` is a package; more of them stand after `--`."""

    required = True

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """The task's arguments, with ours for `name`."""
        found = super().get_arguments(ignore_unknown_help)
        for number, argument in enumerate(found):
            if argument.name == "name":
                words = _Words(name="name", positional=True, help=argument.help)
                words.task, words.required = self.name, self.required
                words.valued = frozenset(flags_of(found))
                found[number] = words
        return found


def flags_of(arguments: Sequence[Argument]) -> list[str]:
    """The flags, as they are typed, that take the next word for their value."""
    names = [name for argument in arguments if argument.takes_value for name in argument.names]
    return [f"-{name}" if len(name) == 1 else f"--{name}" for name in names]


class OptionalPackageTask(PackageTask):
    """A task that takes every package where none is named."""

    required = False
