"""The guide as Invoke tasks: `from mlops_lab.tasks import namespace` makes a tasks.py.

A task is a face: it reads the user's words, calls the recipe and shows what came of it. Imports stand inside, so that
`invoke --list` stays as quick as an empty tasks.py.
"""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from invoke.collection import Collection
from invoke.context import Context  # noqa: TC002 - Invoke reads the signatures
from invoke.parser.argument import Argument
from invoke.tasks import Task, task

from mlops_lab.errors import FOUND, INTERRUPTED, PIPE_CLOSED, LabError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mlops_lab.changes import Changed, Options
    from mlops_lab.choices import Request
    from mlops_lab.steps import Steps

__all__ = ["namespace", "spread"]

_Body = TypeVar("_Body", bound="Callable[..., Any]")

_HELP = {
    "hybrid": "BACKEND+MANAGER, such as venv+uv; default: the one used last, else the project's (see `invoke hybrids`)",
    "prefix": "The environment's folder; default: .venv, for conda the one that conda.yml names",
    "python": "A version such as 3.12, or an interpreter's path",
    "group": "A dependency group; repeat it for several. Main and exactly these; default: every group",
    "conda": "The program that acts as conda: conda, mamba, micromamba or embedded; default: the first that is there",
    "force": "Rebuild the environment even where it looks finished",
    "offline": "Fetch nothing",
    "verbose": "Show every command and all that it prints",
    "json": "Print JSON, alone on standard output",
    "dry_run": "Show what would change, and change nothing",
    "no_install": "Change the files only; `invoke install` brings the environment along",
}


def _face(body: _Body) -> _Body:
    """End with the exit code of the design, and never with a traceback for a user's mistake."""

    @functools.wraps(body)
    def wrapped(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - it stands for any task
        from mlops_lab.runner import interruptible

        for stream in (sys.stdout, sys.stderr):
            # A pipe of another encoding shall not end in a traceback for the want of a tick.
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")
        try:
            with interruptible():
                return body(*args, **kwargs)
        except LabError as error:
            _complain(error, as_json=bool(kwargs.get("json")))
            sys.exit(error.code)
        except KeyboardInterrupt:
            hint = "the next `invoke setup` repairs what was left unfinished"
            _complain(LabError("interrupted", hint, code=INTERRUPTED), as_json=bool(kwargs.get("json")))
            sys.exit(INTERRUPTED)
        except BrokenPipeError:
            # The reader has gone (`invoke guide | head`); Python would complain once more at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(PIPE_CLOSED)
        except OSError as error:
            # A full disk, or a file that cannot be written: wherever it happens, it is no fault of ours.
            from mlops_lab.hints import hint_for

            _complain(LabError(str(error), hint_for(str(error)), code=FOUND), as_json=bool(kwargs.get("json")))
            sys.exit(FOUND)

    return wrapped  # type: ignore[return-value] # the same signature, by functools.wraps


def _task(*, help: Mapping[str, str] | None = None, **options: Any) -> Callable[[Callable[..., None]], Task[Any]]:  # noqa: A002, ANN401 - Invoke's own words
    """A task with the help of those options that it has."""

    def decorate(body: Callable[..., None]) -> Task[Any]:
        names = body.__code__.co_varnames[: body.__code__.co_argcount]
        known = {**_HELP, **(help or {})}
        made: Task[Any] = task(help={name: known[name] for name in names if name in known}, **options)(_face(body))
        return made

    return decorate


def _complain(error: LabError, *, as_json: bool) -> None:
    from mlops_lab.report import outcome

    if as_json:
        sys.stdout.write(outcome.error_as_json(error) + "\n")
    sys.stderr.write(outcome.error_text(error) + "\n")


def _remainder() -> list[str]:
    """What stands after the first `--`; Invoke itself hands it over as one text, its boundaries lost."""
    return sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []


def _open(request: Request, *, verbose: bool = False, changes: bool = False, to_run: bool = True) -> Steps:
    from mlops_lab.report.progress import watching
    from mlops_lab.steps import leave_environment, open_steps

    observer = watching(os.environ, sys.stderr, verbose=verbose)
    steps = open_steps(request, start=Path.cwd(), environ=os.environ, observer=observer, to_run=to_run)
    if changes:
        leave_environment(steps, sys.argv[1:])
    elif to_run:
        _recover(steps)
    return steps


def _recover(steps: Steps) -> None:
    """Whatever comes after a killed change works on whole files; those that make changes see to it themselves."""
    from mlops_lab import recipe

    with contextlib.suppress(LabError):  # what cannot be put right by the way is told by the command itself
        recipe.recover(steps, wait=False)


def _one(name: str, hybrid: str | None, prefix: str | None, *more: str, kernel: str | None = None) -> None:
    """Run one row and show what its command prints; then those of `more` that the hybrid needs."""
    from mlops_lab.report.progress import Echo
    from mlops_lab.runner import CommandFailed
    from mlops_lab.steps import open_steps

    observer = Echo(sys.stdout, sys.stderr)
    steps = open_steps(_request(hybrid, prefix), start=Path.cwd(), environ=os.environ, observer=observer)
    _recover(steps)
    values: dict[str, Any] = {} if kernel is None else {"kernel": kernel}
    failed: list[LabError] = []
    for row in (name, *more):
        try:
            if steps.step(row, **values) is None and row == name:
                hint = f"see `invoke guide --hybrid {steps.hybrid}`"
                raise LabError(f"{steps.hybrid} needs no step {name!r}", hint)
        except CommandFailed as error:
            failed.append(error)  # the others may find something too
    if failed:
        raise failed[0]


@_task(iterable=["group"])
def setup(
    _: Context,
    hybrid: str | None = None,
    python: str | None = None,
    prefix: str | None = None,
    group: Sequence[str] | None = None,
    conda: str | None = None,
    force: bool = False,
    offline: bool = False,
    verbose: bool = False,
    json: bool = False,
) -> None:
    """Set the environment up: the guide, from creation to health checks."""
    from mlops_lab import recipe, shells
    from mlops_lab.choices import Request
    from mlops_lab.report import outcome

    request = Request(hybrid, python, prefix, tuple(group or ()), force, offline, conda)
    steps = _open(request, verbose=verbose, changes=True)
    steps.observer.say(f"{steps.hybrid}: {steps.reason}")
    if steps.engine is not None:
        steps.observer.say(f"{steps.engine.word} acts as conda: {steps.engine.reason}")
    done = recipe.setup(steps, request)
    if json:
        sys.stdout.write(outcome.as_json(done) + "\n")
    else:
        shell = shells.detect(os.environ, shells.parent_names())
        sys.stdout.write(outcome.summary(done, shells.how_to(shell)) + "\n")


@_task()
def create(
    _: Context,
    hybrid: str | None = None,
    python: str | None = None,
    prefix: str | None = None,
    conda: str | None = None,
    force: bool = False,
    verbose: bool = False,
) -> None:
    """Step 1: create the environment, without packages."""
    from mlops_lab import recipe
    from mlops_lab.choices import Request

    request = Request(hybrid, python, prefix, force=force, conda=conda)
    steps = _open(request, verbose=verbose, changes=True)
    made = recipe.create(steps, request)
    text = "created" if made else "there already"
    sys.stdout.write(f"{steps.environment.prefix}: {text}\n")


@_task(help={"shell": "bash, zsh, sh, fish, powershell or cmd; default: yours"})
def activate(_: Context, shell: str | None = None, hybrid: str | None = None, prefix: str | None = None) -> None:
    """Step 2: print what activates it: eval "$(invoke activate)"."""
    from mlops_lab import shells
    from mlops_lab.choices import Request
    from mlops_lab.environment import activation

    chosen = shell or shells.detect(os.environ, shells.parent_names())
    steps = _open(Request(hybrid=hybrid, prefix=prefix))
    steps.require_environment()
    changes = activation(steps.environment, shells.original(os.environ))
    sourced = shells.scripts(chosen, steps.environment.prefix) if steps.environment.conda else None
    text = shells.render(chosen, changes, os.environ, prompt=steps.environment.name, scripts=sourced)
    sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape", newline="\n")  # type: ignore[union-attr]
    sys.stdout.write(text)


@_task()
def verify(_: Context, hybrid: str | None = None, prefix: str | None = None) -> None:
    """Step 3: verify that the environment is there."""
    _one("verify", hybrid, prefix)


@_task()
def info(_: Context, hybrid: str | None = None, prefix: str | None = None) -> None:
    """Step 4: show which environment the manager uses."""
    _one("info", hybrid, prefix)


@_task()
def check(_: Context, hybrid: str | None = None, prefix: str | None = None) -> None:
    """Step 6: check that manifest, lock and environment agree."""
    from mlops_lab.runner import CommandFailed

    failed = None
    try:
        _one("check", hybrid, prefix)
    except CommandFailed as error:
        failed = error  # what is in the environment is another question
    found = _show_behind(_open(_request(hybrid, prefix), to_run=False))
    if failed:
        raise failed
    if found:
        hint = "each line above names the command that makes it official, or undoes it"
        raise LabError(f"the environment is not as the files have it: {', '.join(found)}", hint, code=FOUND)


def _show_behind(steps: Steps) -> list[str]:
    """Tell what was installed behind the files' back, and what to do about it; returns the packages."""
    from mlops_lab import behind
    from mlops_lab.report import outcome

    found = behind.found(steps)
    sys.stdout.write("".join(f"{line}\n" for line in outcome.behind(found)))
    return list(dict.fromkeys(finding.package for finding in found))


@_task()
def doctor(_: Context, hybrid: str | None = None, prefix: str | None = None) -> None:
    """Step 7: examine the environment's health."""
    _one("doctor", hybrid, prefix, "records")


@_task()
def compat(_: Context, hybrid: str | None = None, prefix: str | None = None) -> None:
    """Step 8: check that the installed packages fit together."""
    _one("compat", hybrid, prefix)


_ABSENT = "\0"
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
        return None if wanted or self._stands_in(before[1:]) else _ABSENT

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


class _PackageTask(Task[Any]):
    """A task whose positional `name` is a package; more of them stand after `--`."""

    required = True

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """The task's arguments, with ours for `name`."""
        found = super().get_arguments(ignore_unknown_help)
        for number, argument in enumerate(found):
            if argument.name == "name":
                words = _Words(name="name", positional=True, help=argument.help)
                words.task, words.required = self.name, self.required
                words.valued = frozenset(_flags(found))
                found[number] = words
        return found


def _flags(arguments: Sequence[Argument]) -> list[str]:
    names = [name for argument in arguments if argument.takes_value for name in argument.names]
    return [f"-{name}" if len(name) == 1 else f"--{name}" for name in names]


class _OptionalPackageTask(_PackageTask):
    required = False


def spread(words: Sequence[str]) -> list[str]:
    """`add a b` as `add -- a b`, which is all that Invoke's parser can take of several packages.

    Args:
        words: The words after the program's name.
    """
    task = namespace.tasks.get(words[0]) if words else None
    if not isinstance(task, _PackageTask) or "--" in words:
        return list(words)
    valued = _flags(task.get_arguments())
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


_PACKAGES = {
    "name": "A package; several stand after `--`: -- NAME NAME…",
    "group": "The dependency group to change; default: the project's own dependencies",
    "dev": "The same as --group dev",
    "conda": "A package of conda's, in conda.yml",
}


def _change(
    row: str, name: str, group: str | None, how: Options, request: Request, *, verbose: bool, json: bool
) -> None:
    from mlops_lab import changes
    from mlops_lab.manifests import requirements

    asked = [*([] if name == _ABSENT else [name]), *_remainder()]
    if not asked and row != "update":
        raise LabError(f"no package to {row} is named", f"name one: `invoke {row} NAME`")
    # What conda takes is no requirement of Python's; its own reader judges it.
    packages = tuple(dict.fromkeys(asked)) if how.conda else requirements.parse_words(asked, names_only=row != "add")
    # https://packaging.python.org/specifications/name-normalization/#name-format
    if group is not None and not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", group):
        raise LabError(f"{group!r} is no name for a dependency group", "write it with letters, digits, - . and _")
    _show(changes.change(_open(request, verbose=verbose, changes=True), row, packages, group, how), json=json)


def _show(done: Changed, *, json: bool) -> None:
    from mlops_lab.report import changed, pages

    if json:
        sys.stdout.write(changed.as_json(done) + "\n")
    else:
        pages.show_page(changed.page(done))


def _options(*, conda: bool = False, dry_run: bool = False, no_install: bool = False) -> Options:
    from mlops_lab.changes import Options

    return Options(conda=conda, dry_run=dry_run, install=not no_install)


def _group(group: str | None, *, dev: bool) -> str | None:
    if dev and group not in {None, "dev"}:
        raise LabError(f"--dev is --group dev, and --group {group} is another one", "give one of the two")
    return "dev" if dev else group


@_task(klass=_PackageTask, help=_PACKAGES)
def add(
    _: Context,
    name: str,
    group: str | None = None,
    dev: bool = False,
    conda: bool = False,
    dry_run: bool = False,
    no_install: bool = False,
    hybrid: str | None = None,
    prefix: str | None = None,
    offline: bool = False,
    verbose: bool = False,
    json: bool = False,
) -> None:
    """Step 5: add packages to manifest, locks and environment."""
    how = _options(conda=conda, dry_run=dry_run, no_install=no_install)
    request = _request(hybrid, prefix, offline=offline)
    _change("add", name, _group(group, dev=dev), how, request, verbose=verbose, json=json)


@_task(help={"check": "Only check that every lock says the same; change nothing", "leader": "Let this manager lead"})
def lock(
    _: Context,
    check: bool = False,
    leader: str | None = None,
    dry_run: bool = False,
    hybrid: str | None = None,
    offline: bool = False,
    verbose: bool = False,
    json: bool = False,
) -> None:
    """Step 9: lock every version; the other files follow."""
    from mlops_lab import changes
    from mlops_lab.report import outcome

    if check and (leader or dry_run):
        raise LabError("--check changes nothing", "leave out --leader and --dry-run, or --check")
    steps = _open(_request(hybrid, None, offline=offline), verbose=verbose)
    if check:
        changes.check_locks(steps)
        sys.stdout.write(outcome.locks_in_step(as_json=json) + "\n")
    else:
        _show(changes.lock(steps, leader, dry_run=dry_run), json=json)


@_task()
def install(
    _: Context,
    hybrid: str | None = None,
    prefix: str | None = None,
    offline: bool = False,
    verbose: bool = False,
) -> None:
    """Step 9: install exactly what is locked."""
    from mlops_lab import recipe

    steps = _open(_request(hybrid, prefix, offline=offline), verbose=verbose, changes=True)
    recipe.install(steps)
    sys.stdout.write(f"installed: {steps.environment.prefix}\n")


@_task(klass=_OptionalPackageTask, help=_PACKAGES)
def update(
    _: Context,
    name: str,
    dry_run: bool = False,
    no_install: bool = False,
    hybrid: str | None = None,
    prefix: str | None = None,
    offline: bool = False,
    verbose: bool = False,
    json: bool = False,
) -> None:
    """Step 9: move to newer versions, all packages or the named ones."""
    how = _options(dry_run=dry_run, no_install=no_install)
    _change("update", name, None, how, _request(hybrid, prefix, offline=offline), verbose=verbose, json=json)


@_task(klass=_PackageTask, help=_PACKAGES)
def remove(
    _: Context,
    name: str,
    group: str | None = None,
    dev: bool = False,
    conda: bool = False,
    dry_run: bool = False,
    no_install: bool = False,
    hybrid: str | None = None,
    prefix: str | None = None,
    offline: bool = False,
    verbose: bool = False,
    json: bool = False,
) -> None:
    """Step 9: remove packages from manifest, locks and environment."""
    how = _options(conda=conda, dry_run=dry_run, no_install=no_install)
    request = _request(hybrid, prefix, offline=offline)
    _change("remove", name, _group(group, dev=dev), how, request, verbose=verbose, json=json)


@_task()
def undo(
    _: Context,
    dry_run: bool = False,
    no_install: bool = False,
    hybrid: str | None = None,
    prefix: str | None = None,
    offline: bool = False,
    verbose: bool = False,
    json: bool = False,
) -> None:
    """Take the last change of add, remove, update, lock or export back."""
    from mlops_lab import changes

    steps = _open(_request(hybrid, prefix, offline=offline), verbose=verbose, changes=True)
    _show(changes.undo(steps, install=not no_install, dry_run=dry_run), json=json)


@_task()
def history(_: Context, json: bool = False) -> None:
    """List the changes that `undo` can take back, the last first."""
    from mlops_lab import changes
    from mlops_lab.report import changed, pages

    entries = changes.history(_open(_request(None, None)))
    if json:
        sys.stdout.write(changed.history_as_json(entries) + "\n")
    else:
        pages.show_page(changed.history_page(entries))


@_task(iterable=["group"])
def export(_: Context, hybrid: str | None = None, group: Sequence[str] | None = None, verbose: bool = False) -> None:
    """Step 9: export hashed requirements for pip."""
    from mlops_lab import changes
    from mlops_lab.choices import Request

    path = changes.export(_open(Request(hybrid=hybrid, groups=tuple(group or ())), verbose=verbose))
    sys.stdout.write(f"exported: {path}\n")


@_task()
def build(_: Context, hybrid: str | None = None, verbose: bool = False, json: bool = False) -> None:
    """Build a wheel and an sdist into dist/."""
    from mlops_lab import publish as publishing
    from mlops_lab.report import outcome

    made = publishing.build(_open(_request(hybrid, None), verbose=verbose))
    text = outcome.as_json(made) if json else "\n".join(f"built: {file}" for file in made.files)
    sys.stdout.write(text + "\n")


_PUBLISH = {
    "repository": "Where to: a name of [tool.mlops-lab.repositories], of uv's or of Poetry's; default: pypi",
    "dry_run": "Do everything but the upload",
}


@_task(help=_PUBLISH)
def publish(
    _: Context,
    repository: str = "pypi",
    dry_run: bool = False,
    hybrid: str | None = None,
    verbose: bool = False,
    json: bool = False,
) -> None:
    """Build the package and upload it."""
    from mlops_lab import publish as publishing
    from mlops_lab.report import outcome

    done = publishing.publish(_open(_request(hybrid, None), verbose=verbose), repository, dry_run=dry_run)
    sys.stdout.write((outcome.as_json(done) if json else outcome.published(done)) + "\n")


@_task()
def guide(_: Context, hybrid: str | None = None, prefix: str | None = None, json: bool = False) -> None:
    """Print every step as it would run here and now; runs none."""
    from mlops_lab.guide import ROWS
    from mlops_lab.report import outcome, pages
    from mlops_lab.runner import show

    steps = _open(_request(hybrid, prefix), to_run=False)
    commands = [(row, steps.preview(row)) for row in ROWS]
    if json:
        sys.stdout.write(outcome.guide_as_json(commands) + "\n")
    else:
        lines = [(row, show(command) if command else "") for row, command in commands]
        pages.show_page(pages.guide_page(steps.hybrid, steps.leader, lines))


@_task()
def hybrids(_: Context, json: bool = False) -> None:
    """Show which hybrids can run here, which not, and what to do."""
    from mlops_lab import engines
    from mlops_lab.guide import HYBRIDS
    from mlops_lab.report import outcome, pages

    request = _request(None, None)
    steps = _open(request)
    found = engines.standings(HYBRIDS, steps.project, request, os.environ)
    if json:
        sys.stdout.write(outcome.hybrids_as_json(found) + "\n")
    else:
        pages.show_page(pages.hybrids_page(found, steps.hybrid, steps.reason))


@_task()
def tools(_: Context, json: bool = False) -> None:
    """Show conda, poetry, uv and pip: role, strength, version, link."""
    from mlops_lab.report import outcome, pages

    found = _open(_request(None, None)).toolbox.survey()
    if json:
        sys.stdout.write(outcome.tools_as_json(found) + "\n")
    else:
        pages.show_page(pages.tools_page(found))


@_task()
def diagram(_: Context, hybrid: str | None = None, prefix: str | None = None) -> None:
    """Draw who owns the environment, who locks and who installs."""
    from mlops_lab import locks
    from mlops_lab.environment import config, inventory
    from mlops_lab.report import pages

    steps = _open(_request(hybrid, prefix))
    versions = {name: version for name, (version, _origin) in steps.toolbox.survey().items()}
    versions["python"] = config(steps.environment.prefix).get("version", "(no environment yet)")
    locked = locks.count(steps.project, steps.hybrid.manager) or locks.count(steps.project, steps.leader)
    counts = {"locked": locked, "installed": len(inventory(steps.environment))}
    pages.show_page(pages.diagram_page(steps.hybrid, versions, str(steps.environment.prefix), counts))


@_task()
def run(_: Context, hybrid: str | None = None, prefix: str | None = None) -> None:
    """Run a command in the environment: invoke run -- CMD."""
    command = _remainder()
    if not command:
        raise LabError("no command to run is given", "write it after two dashes: `invoke run -- python --version`")
    sys.exit(_inside(command, hybrid, prefix))


@_task()
def shell(_: Context, hybrid: str | None = None, prefix: str | None = None) -> None:
    """Start a subshell in the environment; `exit` leaves it."""
    command = os.environ.get("SHELL") or os.environ.get("COMSPEC") or "sh"
    sys.exit(_inside([command], hybrid, prefix))


def _inside(command: Sequence[str], hybrid: str | None, prefix: str | None) -> int:
    import shutil

    steps = _open(_request(hybrid, prefix))
    steps.require_environment()
    changes = steps.activated()
    found = shutil.which(command[0], path=changes["PATH"])
    if found is None:
        raise LabError(f"there is no command {command[0]!r} in the environment or on PATH", "check its spelling")
    return steps.runner.hand_over([found, *command[1:]], cwd=Path.cwd(), changes=changes)


@_task(help={"name": "The kernel's name; default: the project's"})
def kernel(_: Context, name: str | None = None, hybrid: str | None = None, prefix: str | None = None) -> None:
    """Register the environment as a Jupyter kernel."""
    # What Jupyter takes: https://jupyter-client.readthedocs.io/en/stable/kernels.html#kernel-specs
    if name is not None and not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        raise LabError(f"{name!r} is no name for a kernel", "write it with letters, digits, hyphens, periods and _")
    _one("kernel", hybrid, prefix, kernel=name)


@_task()
def clean(_: Context, hybrid: str | None = None, prefix: str | None = None) -> None:
    """Remove the environment and mlops-lab's own state of the project."""
    from mlops_lab import recipe

    removed = recipe.clean(_open(_request(hybrid, prefix), changes=True))
    sys.stdout.write("".join(f"removed: {path}\n" for path in removed) or "nothing to remove\n")


def _request(hybrid: str | None, prefix: str | None, *, offline: bool = False) -> Request:
    from mlops_lab.choices import Request

    return Request(hybrid=hybrid, prefix=prefix, offline=offline)


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
    run,
    shell,
    kernel,
    clean,
)
"""Every task; a tasks.py is `from mlops_lab.tasks import namespace`."""
namespace.configure({"auto_dash_names": True})
