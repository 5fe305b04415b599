"""Conda's words: the commands and options that are understood."""

from __future__ import annotations

import argparse

__all__ = ["parser"]


def parser() -> argparse.ArgumentParser:
    """The command line, with conda's own option names.

    Source: https://docs.conda.io/projects/conda/en/stable/commands/index.html
    """
    top = argparse.ArgumentParser(
        prog="mlops-lab-conda",
        description="Conda's environments without conda: the same words, done with py-rattler.",
    )
    top.add_argument("-V", "--version", action="store_true", help="show the versions")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    _env(commands.add_parser("env", help="environments from a file: create, update, list, remove"))
    for name, text in (
        ("create", "make an environment from specs"),
        ("install", "add packages to an environment"),
        ("remove", "remove packages, or with --all the environment"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        _target(command)
        _changing(command)
        command.add_argument("specs", nargs="*", metavar="SPEC", help="a package, such as numpy or 'numpy >=2'")
        if name == "remove":
            command.add_argument("--all", action="store_true", help="remove the whole environment")
        else:
            _channels(command)
    listing = commands.add_parser("list", help="show what is installed")
    _target(listing)
    _output(listing)
    listing.add_argument("pattern", nargs="?", metavar="REGEX", help="only packages whose name matches")
    doctor = commands.add_parser("doctor", help="check the health of an environment")
    _target(doctor)
    _output(doctor)
    doctor.add_argument("-v", "--verbose", action="store_true", help="name every file")
    channels = commands.add_parser("channels", help="ask whether the channels of a file answer")
    channels.add_argument("-f", "--file", default="environment.yml", help="the file (default: environment.yml)")
    channels.add_argument("--timeout", type=float, default=10.0, help="seconds that each may take (default: 10)")
    _output(channels)
    info = commands.add_parser("info", help="show the configuration")
    info.add_argument("-e", "--envs", action="store_true", help="show the environments")
    _output(info)
    return top


def _env(env: argparse.ArgumentParser) -> None:
    commands = env.add_subparsers(dest="subcommand", metavar="COMMAND", required=True)
    for name, text in (("create", "make an environment from a file"), ("update", "bring an environment to a file")):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("-f", "--file", default="environment.yml", help="the file (default: environment.yml)")
        _target(command)
        _changing(command)
        if name == "update":
            command.add_argument("--prune", action="store_true", help="remove what the file does not ask for")
    _output(commands.add_parser("list", help="show the environments"))
    remove = commands.add_parser("remove", help="remove an environment")
    _target(remove)
    _changing(remove)


def _target(command: argparse.ArgumentParser) -> None:
    target = command.add_mutually_exclusive_group()
    target.add_argument("-n", "--name", help="the environment's name")
    target.add_argument("-p", "--prefix", help="the environment's folder")


def _output(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="tell a program: JSON alone on standard output")
    command.add_argument("-q", "--quiet", action="store_true", help="say only results and errors")


def _changing(command: argparse.ArgumentParser) -> None:
    _output(command)
    command.add_argument("-y", "--yes", action="store_true", help="replace an environment that exists")
    command.add_argument("-d", "--dry-run", action="store_true", help="only tell what would be done")
    command.add_argument("--offline", action="store_true", help="fetch nothing")


def _channels(command: argparse.ArgumentParser) -> None:
    command.add_argument("-c", "--channel", action="append", default=[], help="search this channel first")
    command.add_argument("--override-channels", action="store_true", help="search no channel of the configuration")
    command.add_argument(
        "--strict-channel-priority", action="store_const", dest="priority", const="strict", help="first channel only"
    )
    command.add_argument(
        "--no-channel-priority", action="store_const", dest="priority", const="disabled", help="any channel"
    )
