"""A workflow of GitHub's as its runners read it: expressions, the matrix, and the steps that are commands.

Actions are stood in for by functions of the test. Of the expression language there is what the workflows here use; what
is not known is refused.
Source: https://docs.github.com/actions/reference/workflows-and-actions/expressions
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Context = Mapping[str, Any]

__all__ = ["Done", "Failed", "Machine", "evaluate", "expand", "filled", "found", "load", "run_job"]

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<text>'(?:[^']|'')*') | (?P<number>\d+) | (?P<sign>&&|\|\||==|!=|[!()\[\],.*]) | (?P<name>[\w-]+)
    )""",
    re.VERBOSE,
)
_FILL = re.compile(r"\$\{\{((?:(?!\}\}).)*)\}\}", re.DOTALL)


def load(path: Path) -> dict[str, Any]:
    """A workflow; what YAML 1.1 takes for a truth value is GitHub's key `on`."""
    data: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    data["on"] = data.pop(True)
    return data


# --- expressions ---------------------------------------------------------------------------------------------------


def filled(text: str, context: Context) -> Any:
    """A text with its expressions replaced; one that is nothing else keeps its type."""
    if whole := _FILL.fullmatch(text.strip()):
        return evaluate(whole[1], context)
    return _FILL.sub(lambda match: _as_text(evaluate(match[1], context)), text)


def evaluate(text: str, context: Context) -> Any:
    """The value of an expression."""
    reader = _Reader(text, context)
    value = reader.either()
    assert reader.ended, f"{text!r}: {reader.rest!r} is not understood"
    return value


def _as_text(value: Any) -> str:
    assert value is None or isinstance(value, str | int), f"{value!r} has no text"
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _same(first: Any, second: Any) -> bool:
    """Whether GitHub takes two values for one: texts without regard to case; of two types it makes numbers."""
    assert type(first) is type(second), f"{first!r} and {second!r} are not compared here"
    return bool(first.lower() == second.lower() if isinstance(first, str) else first == second)


@dataclass
class _Reader:
    """Reads an expression from left to right."""

    text: str
    context: Context
    at: int = 0

    @property
    def rest(self) -> str:
        return self.text[self.at :].strip()

    @property
    def ended(self) -> bool:
        return not self.rest

    def take(self, *signs: str) -> str:
        """The next sign, if it is one of these."""
        match = _TOKEN.match(self.text, self.at)
        if match and match["sign"] in signs:
            self.at = match.end()
            return str(match["sign"])
        return ""

    def either(self) -> Any:
        value = self.both()
        while self.take("||"):
            other = self.both()
            value = value or other
        return value

    def both(self) -> Any:
        value = self.compared()
        while self.take("&&"):
            other = self.compared()
            value = value and other
        return value

    def compared(self) -> Any:
        value = self.one()
        while sign := self.take("==", "!="):
            value = _same(value, self.one()) is (sign == "==")
        return value

    def one(self) -> Any:
        if self.take("!"):
            return not self.one()
        if self.take("("):
            value = self.either()
            assert self.take(")"), self.text
            return value
        match = _TOKEN.match(self.text, self.at)
        assert match, f"{self.text!r}: {self.rest!r} is not understood"
        assert not match["sign"], f"{self.text!r}: {self.rest!r} is not understood"
        self.at = match.end()
        if match["text"]:
            return match["text"][1:-1].replace("''", "'")
        return int(match["number"]) if match["number"] else self.named(match["name"])

    def named(self, name: str) -> Any:
        if self.take("("):
            values: list[Any] = []
            while not self.take(")"):
                assert not values or self.take(","), f"{self.text!r}: {self.rest!r} is not understood"
                values.append(self.either())
            return self.context["functions"][name](*values)
        value: Any = {"true": True, "false": False}[name] if name in {"true", "false"} else self.context[name]
        while self.take("."):
            if self.take("*"):
                value = _Each(value.values())
                continue
            match = _TOKEN.match(self.text, self.at)
            assert match, self.text
            self.at = match.end()
            # What is not there is empty, and no error.
            part = match["name"]
            value = [each.get(part) for each in value] if isinstance(value, _Each) else value.get(part, "")
        return value


class _Each(list[Any]):
    """What `.*` gives: the next name is taken of each."""


def _functions(state: Mapping[str, bool], workspace: Path) -> dict[str, Callable[..., Any]]:
    return {
        "always": lambda: True,
        "cancelled": lambda: False,
        "failure": lambda: state["failed"],
        "success": lambda: not state["failed"],
        "fromJSON": json.loads,
        "join": lambda values, between: between.join(map(_as_text, values)),
        "endsWith": lambda text, end: text.lower().endswith(end.lower()),
        "hashFiles": lambda *globs: "-".join(str(len(list(found(workspace, glob)))) for glob in globs),
    }


# --- the matrix ----------------------------------------------------------------------------------------------------


def expand(matrix: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The jobs of a matrix that consists of `include` alone: each of its entries is one.

    Source: https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idstrategymatrixinclude
    """
    assert set(matrix) == {"include"}, f"axes are not known here: {set(matrix)}"
    return [dict(entry) for entry in matrix["include"]]


# --- artifacts -----------------------------------------------------------------------------------------------------


def found(folder: Path, glob: str) -> Iterator[Path]:
    """The files of a glob, as @actions/glob finds them: hidden ones too."""
    parts = glob.strip().split("/")
    for path in sorted(folder.rglob("*")):
        if path.is_file() and _fits(path.relative_to(folder).parts, parts):
            yield path


def _fits(names: Sequence[str], parts: Sequence[str]) -> bool:
    if not parts:
        return not names
    if parts[0] == "**":
        return any(_fits(names[skipped:], parts[1:]) for skipped in range(len(names) + 1))
    return bool(names) and fnmatchcase(names[0], parts[0]) and _fits(names[1:], parts[1:])


def _root(workspace: Path, globs: Sequence[str]) -> Path:
    """The folder that an artifact's paths start from: what the globs have in common before their first pattern."""
    starts = []
    for glob in globs:
        parts = glob.strip().split("/")
        fixed = next((number for number, part in enumerate(parts) if re.search(r"[*?\[]", part)), len(parts) - 1)
        starts.append(str(workspace.joinpath(*parts[:fixed])))
    return Path(os.path.commonpath(starts))


# --- steps ---------------------------------------------------------------------------------------------------------


@dataclass
class Machine:
    """A runner: its folders, its variables, what it has of actions.

    Attributes:
        workspace: The checkout.
        temp: RUNNER_TEMP.
        artifacts: Where all jobs of the run leave their artifacts, each in a folder of its name.
        environ: The variables that every step starts from.
        actions: Action → what stands in for it; it is given the inputs, and returns variables for the steps behind it.
        timeout: Seconds for a step.
    """

    workspace: Path
    temp: Path
    artifacts: Path
    environ: Mapping[str, str]
    actions: Mapping[str, Callable[[Mapping[str, str]], Mapping[str, str]]] = field(default_factory=dict)
    timeout: float = 240

    def upload(self, given: Mapping[str, str]) -> Mapping[str, str]:
        """What actions/upload-artifact does: it fails where nothing is found, or an artifact has the name already.

        Either of the two can be asked for otherwise.
        """
        assert set(given) <= {"name", "path", "if-no-files-found", "include-hidden-files", "overwrite"}, given
        globs = [line for line in given["path"].splitlines() if line.strip()]
        root, files = _root(self.workspace, globs), [path for glob in globs for path in found(self.workspace, glob)]
        if given.get("include-hidden-files") != "true":
            files = [path for path in files if "/." not in f"/{path.relative_to(self.workspace).as_posix()}"]
        if not files and given.get("if-no-files-found") == "error":
            raise Failed(f"no files were found with {globs}")
        kept = self.artifacts / given["name"]
        if given.get("overwrite") == "true":
            shutil.rmtree(kept, ignore_errors=True)
        elif kept.exists():
            raise Failed(f"(409) Conflict: an artifact {given['name']} is there already")
        for path in files:
            target = kept / path.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
        return {}

    def download(self, given: Mapping[str, str]) -> Mapping[str, str]:
        """What actions/download-artifact does: one into the folder, several into a folder of its name each."""
        assert set(given) in ({"name"}, {"name", "path"}, {"pattern", "path"}), given
        to = self.workspace / given.get("path", "")
        wanted = given.get("name") or given["pattern"]
        meant = [folder for folder in sorted(self.artifacts.glob("*")) if fnmatchcase(folder.name, wanted)]
        if "name" in given and not meant:
            raise Failed(f"Artifact {wanted!r} not found")
        for folder in meant:
            shutil.copytree(folder, to if len(meant) == 1 else to / folder.name, dirs_exist_ok=True)
        return {}


_OF_A_JOB = {"environment", "if", "name", "needs", "outputs", "permissions", "runs-on", "steps", "strategy"}
_OF_AN_ACTION = {"id", "if", "name", "uses", "with"}
_OF_A_COMMAND = {"env", "id", "if", "name", "run"}
"""What is known here of a job and of its steps; how long a job may take is another thing on every machine."""
_FILES = ("OUTPUT", "ENV", "PATH", "STEP_SUMMARY")
"""What a step may write into: GITHUB_OUTPUT and so on."""


class Failed(Exception):
    """A step ended with an error."""


@dataclass
class Done:
    """What came of a job.

    Attributes:
        result: `success` or `failure`.
        outputs: The job's outputs.
        summary: What its steps wrote into the summary, one after the other.
        printed: What its steps printed.
        ran: The names of the steps that ran.
    """

    result: str = "success"
    outputs: dict[str, Any] = field(default_factory=dict)
    summary: str = ""
    printed: str = ""
    ran: list[str] = field(default_factory=list)


def run_job(workflow: Mapping[str, Any], name: str, machine: Machine, **contexts: Any) -> Done:
    """Run a job's steps as a runner does: every command in a bash of its own, with files for what it has to say.

    Args:
        workflow: The workflow.
        name: The job's id.
        machine: The runner.
        contexts: `github`, `matrix`, `needs`, as far as the job uses them.
    """
    job, done, state = workflow["jobs"][name], Done(), {"failed": False}
    _refuse_unknown(workflow, name)
    context = {
        "functions": _functions(state, machine.workspace),
        "runner": {"os": "Linux", "arch": "X64", "temp": str(machine.temp)},
        "steps": {},
        **contexts,
    }
    failed = any(need["result"] != "success" for need in contexts.get("needs", {}).values())
    needed = {**context, "functions": _functions({"failed": failed}, machine.workspace)}
    assert _wanted(job.get("if", "success()"), needed), f"{name} would be skipped"
    environ = {**machine.environ, **_texts(workflow.get("env", {}), context)}
    for number, step in enumerate(job["steps"]):
        if not _wanted(step.get("if", "success()"), context):
            continue
        done.ran.append(step["name"])
        outputs: dict[str, str] = {}
        try:
            if "uses" in step:
                given = _texts(step.get("with", {}), context)
                environ.update(machine.actions[step["uses"].partition("@")[0]](given))
            else:
                files = {each: machine.temp / f"{name}-{number}-{each}" for each in _FILES}
                try:
                    _bash(step, {**environ, **_texts(step.get("env", {}), context)}, files, machine, done)
                finally:
                    outputs, environ = _heard(files, environ, done)
        except Failed as error:
            done.printed += f"{step['name']}: {error}\n"
            done.result, state["failed"] = "failure", True
        context["steps"][step.get("id", str(number))] = {"outputs": outputs}
    done.outputs = {key: filled(value, context) for key, value in job.get("outputs", {}).items()}
    return done


def _refuse_unknown(workflow: Mapping[str, Any], name: str) -> None:
    """Refuse what would be left undone in silence."""
    job = workflow["jobs"][name]
    assert workflow["defaults"] == {"run": {"shell": "bash"}}
    assert not (unknown := set(job) - _OF_A_JOB - {"timeout-minutes"}), f"{name}: {unknown} is not known here"
    for step in job["steps"]:
        unknown = set(step) - (_OF_AN_ACTION if "uses" in step else _OF_A_COMMAND)
        assert not unknown, f"{step['name']}: {unknown} is not known here"
        assert "${{" not in step.get("run", ""), f"{step['name']}: values go through variables"


def _wanted(condition: str, context: Context) -> bool:
    text = condition.strip().removeprefix("${{").removesuffix("}}")
    # Without one of these, success() is meant as well.
    says = re.search(r"\b(?:always|failure|success|cancelled)\(", text)
    return bool(evaluate(text if says else f"success() && ({text})", context))


def _texts(table: Mapping[str, Any], context: Context) -> dict[str, str]:
    return {key: _as_text(filled(value, context) if isinstance(value, str) else value) for key, value in table.items()}


def _bash(
    step: Mapping[str, Any], environ: Mapping[str, str], files: Mapping[str, Path], machine: Machine, done: Done
) -> None:
    script = machine.temp / "step.sh"
    script.write_text(step["run"], encoding="utf-8")
    for path in files.values():
        path.write_text("", encoding="utf-8")
    given = {**environ, **{f"GITHUB_{name}": str(path) for name, path in files.items()}}
    # https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax#defaultsrunshell
    ended = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
        cwd=machine.workspace,
        env=given,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=machine.timeout,
        check=False,
    )
    done.printed += ended.stdout
    if ended.returncode:
        raise Failed(f"exit code {ended.returncode}")


def _heard(files: Mapping[str, Path], environ: dict[str, str], done: Done) -> tuple[dict[str, str], dict[str, str]]:
    """The outputs of a step, and the variables for those behind it."""
    said = {name: path.read_text(encoding="utf-8") for name, path in files.items()}
    outputs, variables = (dict(line.split("=", 1) for line in said[name].splitlines()) for name in ("OUTPUT", "ENV"))
    folders = [*reversed(said["PATH"].splitlines()), environ["PATH"]]
    done.summary += said["STEP_SUMMARY"]
    return outputs, {**environ, **variables, "PATH": os.pathsep.join(folders)}
