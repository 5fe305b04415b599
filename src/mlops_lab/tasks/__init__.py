"""The guide as Invoke tasks: `from mlops_lab.tasks import namespace` makes a tasks.py.

A task is a face: it reads the user's words, calls the recipe and shows what came of it. Imports stand inside, so that
`invoke --list` stays as quick as an empty tasks.py.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from invoke.collection import Collection

from mlops_lab.tasks.changing import add, export, history, lock, remove, undo, update
from mlops_lab.tasks.comparing import parity
from mlops_lab.tasks.drifting import drift
from mlops_lab.tasks.following import activate, clean, compat, create, info, install, setup, verify
from mlops_lab.tasks.health import doctor
from mlops_lab.tasks.inside import kernel, run, shell
from mlops_lab.tasks.looking import faces
from mlops_lab.tasks.packages import PackageTask, flags_of
from mlops_lab.tasks.planning import matrix
from mlops_lab.tasks.proving import check
from mlops_lab.tasks.publishing import build, publish
from mlops_lab.tasks.showing import diagram, guide, hybrids, tools

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["namespace", "spread"]


namespace = Collection(
    setup,
    create,
    activate,
    verify,
    info,
    add,
    check,
    doctor,
    compat,
    drift,
    parity,
    lock,
    install,
    update,
    remove,
    undo,
    history,
    export,
    build,
    publish,
    guide,
    hybrids,
    tools,
    diagram,
    matrix,
    run,
    shell,
    kernel,
    clean,
)
"""Every task; a tasks.py is `from mlops_lab.tasks import namespace`."""
for _each in faces(namespace.tasks):
    namespace.add_task(_each)
namespace.configure({"auto_dash_names": True})


def spread(words: Sequence[str]) -> list[str]:
    """`add a b` as `add -- a b`, which is all that Invoke's parser can take of several packages.

    Args:
        words: The words after the program's name.
    """
    task = namespace.tasks.get(words[0]) if words else None
    if not isinstance(task, PackageTask) or "--" in words:
        return list(words)
    valued = flags_of(task.get_arguments())
    flags: list[str] = []
    names: list[str] = []
    rest = iter(words[1:])
    for word in rest:
        if not word.startswith("-"):
            names.append(word)
            continue
        flags.append(word)
        flags += itertools.islice(rest, 1) if word in valued else ()
    return [words[0], *flags, "--", *names] if len(names) > 1 else list(words)
