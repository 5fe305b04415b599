"""The command line of the embedded conda: words in, an exit code out."""

from __future__ import annotations

import dataclasses
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_lab.conda.talk import Talk
from mlops_lab.conda.words import parser
from mlops_lab.errors import FOUND, INTERRUPTED, WRONG, LabError, redact
from mlops_lab.hints import hint_for
from mlops_lab.runner import interruptible

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from mlops_lab.conda.config import Settings
    from mlops_lab.conda.request import Request
    from mlops_lab.manifests.conda_env import CondaEnv

__all__ = ["main"]


def main(argv: Sequence[str]) -> int:
    """Run a command.

    Returns:
        The exit code: 0 fine, 1 something was found or failed, 2 wrong words or files, 130 interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        # A pipe of another encoding shall not end in a traceback for the want of a tick.
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        args = parser().parse_args(argv)
    except SystemExit as end:
        return _flushed(end.code if isinstance(end.code, int) else WRONG)
    talk = Talk(json=getattr(args, "json", False), quiet=getattr(args, "quiet", False))
    try:
        with interruptible():
            code = _run(args, argv, talk)
    except LabError as error:
        talk.error(error)
        code = error.code
    except OSError as error:
        text = redact(str(error))
        talk.error(LabError(text, hint_for(text) or "run the command again when that is mended", code=FOUND))
        code = FOUND
    except KeyboardInterrupt:
        talk.error(LabError("interrupted", "the next run mends what is half done", code=INTERRUPTED))
        code = INTERRUPTED
    finally:
        _forget_credentials()
    return _flushed(code)


def _forget_credentials() -> None:
    # Whoever has not fetched anything has not imported it.
    if network := sys.modules.get("mlops_lab.conda.network"):
        network.forget()


def _flushed(code: int) -> int:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            continue
    return code


def _run(args: argparse.Namespace, argv: Sequence[str], talk: Talk) -> int:
    if args.version:
        from importlib.metadata import version

        talk.result(None, f"mlops-lab {version('mlops-lab')} (py-rattler {version('py-rattler')})")
        return 0
    if args.command is None:
        parser().print_help(sys.stderr)
        return WRONG
    from mlops_lab.conda import config

    settings = config.load(os.environ)
    if getattr(args, "offline", False):
        settings = dataclasses.replace(settings, offline=True)
    if getattr(args, "priority", None):
        settings = dataclasses.replace(settings, channel_priority=args.priority)
    words = f"{args.command} {args.subcommand}" if args.command == "env" else args.command
    looking = {
        "env list": _environments,
        "info": _info,
        "list": _list,
        "doctor": _doctor,
        "channels": _answering,
    }
    if words in looking:
        return looking[words](args, settings, talk)
    return _change(words, args, argv, settings, talk)


# --- looking -------------------------------------------------------------------------------------------------------


def _environments(_: argparse.Namespace, settings: Settings, talk: Talk) -> int:
    from mlops_lab.conda import listing

    data = listing.environments(settings, os.environ)
    talk.result(data, listing.show_environments(data))
    return 0


def _info(args: argparse.Namespace, settings: Settings, talk: Talk) -> int:
    from mlops_lab.conda import listing

    if args.envs:
        return _environments(args, settings, talk)
    data = listing.info(settings, os.environ)
    talk.result(data, listing.show_info(data))
    return 0


def _list(args: argparse.Namespace, settings: Settings, talk: Talk) -> int:
    from mlops_lab.conda import listing

    prefix = _prefix(args, settings)
    found = listing.packages(prefix, settings, args.pattern)
    talk.result(found, listing.show_packages(prefix, found))
    return 0


def _answering(args: argparse.Namespace, settings: Settings, talk: Talk) -> int:
    from mlops_lab.conda import channels, probe
    from mlops_lab.manifests import conda_env

    found = channels.chosen(conda_env.read(Path(args.file).absolute()).channels, settings)
    probe.assert_answering(found, settings, args.timeout)
    names = [channel.name for channel in found]
    talk.result(names, "\n".join(names))
    return 0


def _doctor(args: argparse.Namespace, settings: Settings, talk: Talk) -> int:
    from mlops_lab.conda import doctor

    prefix = _prefix(args, settings)
    checks = doctor.examine(prefix)
    ill = [check for check in checks if check.found and check.counts]
    data = {"prefix": str(prefix), "healthy": not ill, "checks": {check.name: check.found for check in checks}}
    talk.result(data, doctor.show(prefix, checks, verbose=args.verbose))
    return FOUND if ill else 0


def _prefix(args: argparse.Namespace, settings: Settings, file: CondaEnv | None = None) -> Path:
    """The environment that is meant: the command line beats the file, the file beats the active one."""
    from mlops_lab.conda import prefixes

    name, prefix = args.name, args.prefix
    environ = dict(os.environ)
    if file is not None:
        # A file without a name never means the environment that happens to be active.
        environ.pop("CONDA_PREFIX", None)
        if name is None and prefix is None:
            prefix = os.path.expandvars(file.prefix) if file.prefix else None
            name = None if prefix else file.name
    looking = args.command in {"list", "doctor"}
    return prefixes.locate(name, prefix, settings, environ, looking=looking)


# --- changing ------------------------------------------------------------------------------------------------------


def _change(words: str, args: argparse.Namespace, argv: Sequence[str], settings: Settings, talk: Talk) -> int:
    command = f"conda {redact(shlex.join(argv))}"
    if words == "env remove" or (words == "remove" and args.all):
        from mlops_lab.conda import engine

        prefix = _prefix(args, settings)
        data = engine.remove_environment(prefix, talk, dry_run=args.dry_run)
        talk.result(data, f"{prefix}: {'would be ' if args.dry_run else ''}removed")
        return 0
    if args.command == "env":
        file, prefix = _file(args, settings)
        if words == "env update" and (nothing := _standing(args, file, prefix, settings)):
            talk.result(nothing, f"{prefix}: up to date")
            return 0
        request = _from_file(args, command, file, prefix, settings)
    else:
        request = _from_words(args, command, settings)
    from mlops_lab.conda import engine, prefixes

    if words == "install" and not prefixes.exists(request.prefix):
        raise LabError(f"there is no environment at {request.prefix}", "make it with `create`, or look at `env list`")
    work = engine.create if words in {"env create", "create"} else engine.update
    data = work(request, settings, talk)
    if args.dry_run:
        data["dry_run"] = True
    talk.result(data, _summary(request, data))
    return 0


def _file(args: argparse.Namespace, settings: Settings) -> tuple[CondaEnv, Path]:
    from mlops_lab.manifests import conda_env

    file = conda_env.read(Path(args.file).absolute())
    return file, _prefix(args, settings, file)


def _standing(args: argparse.Namespace, file: CondaEnv, prefix: Path, settings: Settings) -> dict[str, Any] | None:
    """The answer when there is nothing to do, which is known in a fraction of a second; else None."""
    from mlops_lab.conda import pip, plan, standing

    inputs = standing.digest(file, settings, os.environ, prune=args.prune)
    known = standing.stands(prefix, inputs, file.variables, pip.part(file.path, file.pip))
    if known is None:
        return None
    return plan.actions(prefix, [], [], [])


def _from_file(args: argparse.Namespace, command: str, file: CondaEnv, prefix: Path, settings: Settings) -> Request:
    from mlops_lab.conda import pip, request, standing

    if not args.dry_run:
        pip.sweep(file.path.parent)
    prune = getattr(args, "prune", False)
    specs, channels, part = request.from_file(file, settings)
    return request.Request(
        prefix=prefix,
        command=command,
        specs=specs,
        channels=channels,
        prune=prune,
        replace=args.yes,
        dry_run=args.dry_run,
        variables=file.variables,
        pip=part,
        # A create is an update that prunes: nothing else is there.
        inputs=standing.digest(file, settings, os.environ, prune=prune or args.subcommand == "create"),
    )


def _from_words(args: argparse.Namespace, command: str, settings: Settings) -> Request:
    from mlops_lab.conda import channels, request

    prefix = _prefix(args, settings)
    if not args.specs and args.command != "create":
        raise LabError("no package is named", f"{args.command} numpy, or 'numpy >=2'")
    found = request.from_words(args.specs, settings)
    if args.command == "remove" and (more := next((spec for spec in found if not spec.simple), None)):
        raise LabError(f'"{more.text}" is more than the name of a package', f"remove {more.name}")
    removing = args.command == "remove"
    named, override = ([], False) if removing else (args.channel, args.override_channels)
    if override and not named:
        raise LabError("--override-channels leaves no channel to search", "name one with --channel")
    return request.Request(
        prefix=prefix,
        command=command,
        specs=() if removing else found,
        channels=tuple(channels.chosen(named, settings, override=override)),
        drop=tuple(spec.name for spec in found) if removing else (),
        replace=args.yes,
        dry_run=args.dry_run,
    )


def _summary(request: Request, data: dict[str, Any]) -> str:
    coming, going = data["actions"]["LINK"], data["actions"]["UNLINK"]
    if not coming and not going:
        return f"{request.prefix}: up to date"
    lines = [f"  - {entry['dist_name']}" for entry in going] + [f"  + {entry['dist_name']}" for entry in coming]
    would = "would be " if request.dry_run else ""
    return "\n".join([*lines, f"{request.prefix}: {would}changed: {len(coming)} in, {len(going)} out"])
