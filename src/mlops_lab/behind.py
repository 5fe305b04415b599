"""What was installed into an environment, changed in it or taken out of it without the files knowing.

Only files are read: the stamp says how the last setup or installation left it, the lock what belongs there. What the
files came to say since then is no finding here: the next installation brings that in.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_lab import conda_meta
from mlops_lab.condafile import COPY
from mlops_lab.environment import SEEDS, config, distributions, inventory, named, normalise, read_stamp, same_version
from mlops_lab.errors import redact
from mlops_lab.freshness import FORMAT
from mlops_lab.manifests import pyproject
from mlops_lab.project import LOCKS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from mlops_lab.environment import Environment, Stamp
    from mlops_lab.manifests.conda_env import CondaEnv
    from mlops_lab.steps import Steps

__all__ = ["Finding", "found", "pip_part"]


@dataclass(frozen=True)
class Finding:
    """A package that is not as the files have it.

    Attributes:
        package: Its name.
        there: Its version in the environment; empty where it is gone.
        expected: Its version in the lock, or at the last setup; empty where nobody asked for it.
        message: What is the matter, in a sentence.
        command: The command that makes it official, or undoes it.
        otherwise: What else can be done, in words; empty where there is nothing.
    """

    package: str
    there: str
    expected: str
    message: str
    command: str
    otherwise: str = ""


@dataclass(frozen=True)
class _Known:
    """What is known of the environment's Python packages; all names are normalised.

    Attributes:
        now: What is installed: name → version.
        then: What was, when the last setup or installation ended.
        ours: What that had installed.
        locked: What the lock gives; an empty version fits every one.
        condas: What conda installed.
        part: What the pip part of conda.yml brings.
        replaced: What somebody installed over packages of conda's.
        file: The name of the environment file.
    """

    now: Mapping[str, str]
    then: Mapping[str, str]
    ours: Mapping[str, str]
    locked: Mapping[str, str]
    condas: Collection[str] = ()
    part: Collection[str] = ()
    replaced: Sequence[conda_meta.Replaced] = ()
    file: str = ""


def found(steps: Steps) -> list[Finding]:
    """What came, changed and went behind the files' back; nothing where there is no finished environment.

    Raises:
        LabError: A file of the project is broken (code 2; file, line and column).
    """
    stamp = read_stamp(steps.environment.prefix)
    if stamp is None or not _is_finished(steps, stamp):
        return []
    findings = _conda(steps, stamp) if steps.environment.conda else []
    if _same_series(steps, stamp):
        known = _known(steps, stamp)
        findings += [*_changed(known), *_gone(known), *_replaced(known), *_strays(steps, stamp, known)]
    return sorted(findings, key=lambda finding: (finding.package, finding.message))


def pip_part(steps: Steps) -> Collection[str]:
    """The Python packages of a conda environment that the pip part of conda.yml brings beside the lock."""
    stamp, env = read_stamp(steps.environment.prefix), steps.project.conda_env
    asked = stamp is not None and env is not None and env.pip and _same_series(steps, stamp)
    return _known(steps, stamp).part if stamp and asked else ()


def _is_finished(steps: Steps, stamp: Stamp) -> bool:
    """Whether the stamp speaks of this environment as it was left."""
    return (
        steps.environment.exists
        and stamp.fingerprint is not None
        and stamp.fingerprint.get("format") == FORMAT
        and stamp.hybrid == steps.hybrid.name
        and Path(stamp.project) == steps.project.root
    )


def _fingerprint(stamp: Stamp, part: str) -> Mapping[str, Any]:
    said = (stamp.fingerprint or {}).get(part)
    return said if isinstance(said, dict) else {}


def _same_series(steps: Steps, stamp: Stamp) -> bool:
    """Whether the packages are still in the folder of the same Python; otherwise every one of them would be gone."""
    versions = (config(steps.environment.prefix).get("version", ""), _fingerprint(stamp, "python").get("version", ""))
    first, second = (str(version).split(".")[:2] for version in versions)
    return first == second != [""]


# --- what is known -------------------------------------------------------------------------------------------------


def _known(steps: Steps, stamp: Stamp) -> _Known:
    environment, env = steps.environment, steps.project.conda_env
    now = inventory(environment)
    known = _Known(now, _inventory_then(stamp), stamp.installed, _locked(steps, stamp))
    if not environment.conda or env is None:
        return known
    condas = conda_meta.owned(environment.prefix).keys()
    replaced = conda_meta.replaced(environment.prefix, now)
    part = _pip_part(environment, env, known) - condas
    return replace(known, condas=condas, part=part, replaced=replaced, file=env.path.name)


def _inventory_then(stamp: Stamp) -> dict[str, str]:
    """What was installed when the stamp was written."""
    return dict(named(Path(folder)) for folder in _fingerprint(stamp, "packages"))


def _locked(steps: Steps, stamp: Stamp) -> dict[str, str]:
    """What the lock gives this environment, and the project; what was installed stands for a lock that is not there."""
    from mlops_lab import locks

    project, manager = steps.project, steps.hybrid.manager
    locked = dict(stamp.installed)
    if project.lock(manager).exists():
        locked = locks.wanted(project, manager, _python(steps), _groups(steps, stamp))
    own = {normalise(project.name): ""} if pyproject.is_package(project.data, manager) else {}
    return {**locked, **own}


def _groups(steps: Steps, stamp: Stamp) -> list[str]:
    """The groups of the environment, as far as the project still has them."""
    known = pyproject.all_group_names(steps.project.data)
    return [group for group in stamp.groups if group in known]


def _python(steps: Steps) -> str:
    return config(steps.environment.prefix)["version"]


def _pip_part(environment: Environment, env: CondaEnv, known: _Known) -> set[str]:
    """What the pip part of conda.yml brings beside the lock: what it names, and what that requires."""
    from mlops_lab.manifests.conda_edit import pip_name

    names = [pip_name(item.text) for item in env.pip]
    if not all(names):
        # A path, an address or another file: nobody can tell what it brought, so all that was there counts.
        return known.then.keys() - known.locked.keys() - known.ours.keys()
    needs = _requirements(environment, {**known.then, **known.now}) if names else {}
    return {each for name in names for each in _reached(name, needs)} - known.locked.keys()


# --- Python packages -----------------------------------------------------------------------------------------------


def _changed(known: _Known) -> list[Finding]:
    return [
        Finding(
            package=name,
            there=there,
            expected=locked,
            message=f"{name} {there} is installed, {name} {locked} is locked",
            command="invoke install",
            otherwise=f'`invoke add "{name}=={there}"` keeps it',
        )
        for name, locked in known.locked.items()
        if locked
        and (there := known.now.get(name, ""))
        and not same_version(there, locked)
        # As it was left, it is the lock that has changed.
        and there != known.then.get(name)
    ]


def _gone(known: _Known) -> list[Finding]:
    locked = [
        Finding(
            package=name,
            there="",
            expected=version,
            message=f"{name} {version} was installed, and is gone",
            command="invoke install",
        )
        for name, version in known.ours.items()
        if name in known.locked and name not in known.now
    ]
    part = [
        Finding(
            package=name,
            there=known.now.get(name, ""),
            expected=known.then[name],
            message=f"{name} {known.then[name]} was installed for the pip part of {known.file}, and "
            + (f"{name} {known.now[name]} is in its place" if name in known.now else "is gone"),
            command="invoke setup",
        )
        for name in known.part
        if name in known.then and known.now.get(name) != known.then[name]
    ]
    return [*locked, *part]


def _replaced(known: _Known) -> list[Finding]:
    """Packages of conda's that somebody installed over, or took away with pip."""
    return [
        Finding(
            package=each.name,
            there=each.now,
            expected=each.conda,
            message=f"{each.name} {each.conda} is conda's, and "
            + (f"{each.name} {each.now} is in its place" if each.now else "is gone"),
            command=f'invoke add "{each.name}=={each.now}"' if each.now else "invoke setup --force",
            otherwise="`invoke setup --force` brings conda's back" if each.now else "",
        )
        for each in known.replaced
        if each.name not in {*known.locked, *SEEDS} and each.now != known.then.get(each.name, "")
    ]


def _strays(steps: Steps, stamp: Stamp, known: _Known) -> list[Finding]:
    """What no file asks for: each package that no other one of them requires, with its requirements."""
    expected = {*known.locked, *known.condas, *known.part, *SEEDS}
    strays = {
        name: version for name, version in known.now.items() if name not in expected and known.ours.get(name) != version
    }
    if not strays:
        return []
    needs = _requirements(steps.environment, strays)
    why = _reasons(steps, stamp, strays)
    findings = []
    for name in _tops(needs):
        others = sorted(_reached(name, needs) - {name})
        message, command = why(name)
        brought = f" with its requirements ({', '.join(f'{other} {strays[other]}' for other in others)})"
        findings.append(
            Finding(
                package=name,
                there=strays[name],
                expected="",
                message=f"{name} {strays[name]} is installed{brought if others else ''}, and {message}",
                command=command,
                otherwise=_taken_away(steps, [name, *others]),
            )
        )
    return findings


def _reasons(steps: Steps, stamp: Stamp, strays: Collection[str]) -> Callable[[str], tuple[str, str]]:
    """Why a package does not belong in this environment, and what makes it belong there."""
    manager, chosen = steps.hybrid.manager, _groups(steps, stamp)
    lock = LOCKS[manager]
    declared, elsewhere = pyproject.declared(steps.project.data), _other_groups(steps, chosen)
    urls = _addresses(steps.environment, strays)

    def why(name: str) -> tuple[str, str]:
        if name in elsewhere:
            words = " ".join(f"--group {group}" for group in (*chosen, elsewhere[name]))
            text = f"only the group {elsewhere[name]} has it, which this environment was made without"
            return text, f"invoke setup {words}"
        if name in declared:
            return f"{lock} does not give it to this environment, although pyproject.toml declares it", "invoke lock"
        return "no file declares it", f'invoke add "{name} @ {urls[name]}"' if name in urls else f"invoke add {name}"

    return why


def _other_groups(steps: Steps, chosen: Collection[str]) -> dict[str, str]:
    """What the lock gives to groups that the environment was made without: name → group."""
    from mlops_lab import locks

    project, manager = steps.project, steps.hybrid.manager
    if not project.lock(manager).exists():
        return {}
    others = [group for group in pyproject.all_group_names(project.data) if group not in chosen]
    return {
        name: group for group in reversed(others) for name in locks.wanted(project, manager, _python(steps), [group])
    }


def _taken_away(steps: Steps, names: Sequence[str]) -> str:
    # Neither conda nor `invoke install` takes away there what another installer has brought.
    command = "invoke install"
    if steps.environment.conda:
        command = f"invoke run -- python -m pip uninstall {' '.join(names)}"
    return f"`{command}` takes {'it' if len(names) == 1 else 'them'} away again"


# --- what requires what --------------------------------------------------------------------------------------------


def _requirements(environment: Environment, names: Iterable[str]) -> dict[str, set[str]]:
    """Which of these packages each of them requires, as their METADATA says.

    A requirement of an extra counts where nobody asked for that package by name: it has come along.
    """
    folders = {named(each)[0]: each for each in distributions(environment)}
    asked = {name for name in names if name in folders and (folders[name] / "REQUESTED").exists()}
    found: dict[str, set[str]] = {}
    version = config(environment.prefix).get("version", "")
    for name in sorted(names):
        firm, extra = _required(folders[name], version) if name in folders else (set(), set())
        found[name] = {each for each in firm | (extra - asked) if each in names and each != name}
    return found


def _required(folder: Path, python: str) -> tuple[set[str], set[str]]:
    """What a distribution requires in any case, and what for one of its extras.

    Source: https://packaging.python.org/en/latest/specifications/core-metadata/#requires-dist-multiple-use
    """
    from packaging.requirements import Requirement

    from mlops_lab.manifests.markers import marker_environment

    variables = {**marker_environment(python), "extra": ""}
    firm, extra = set(), set()
    for text in _requires(folder):
        with contextlib.suppress(ValueError):  # what older tools wrote there
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate(dict(variables)):
                firm.add(normalise(requirement.name))
            elif "extra" in str(requirement.marker):
                extra.add(normalise(requirement.name))
    return firm, extra


def _requires(folder: Path) -> list[str]:
    try:
        text = (folder / "METADATA").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    key, lines = "Requires-Dist:", text.splitlines()
    head = lines[: lines.index("")] if "" in lines else lines
    return [line.removeprefix(key).strip() for line in head if line.startswith(key)]


def _reached(name: str, needs: Mapping[str, Collection[str]]) -> set[str]:
    """A package and all that it requires."""
    todo, seen = [name], set[str]()
    while todo:
        each = todo.pop()
        if each not in seen:
            seen.add(each)
            todo += needs.get(each, ())
    return seen


def _tops(needs: Mapping[str, Collection[str]]) -> list[str]:
    """The packages that no other one requires; of packages that require each other, the first by name."""
    reached = {name: _reached(name, needs) for name in needs}
    return [
        name
        for name in sorted(needs)
        if not any(name in reached[other] and (other not in reached[name] or other < name) for other in needs)
    ]


def _addresses(environment: Environment, names: Collection[str]) -> dict[str, str]:
    """Where packages were installed from that did not come from an index: another one there may have the same name.

    Source: https://packaging.python.org/en/latest/specifications/direct-url-data-structure/
    """
    folders = {named(each)[0]: each for each in distributions(environment)}
    addresses = {name: _address(folders[name]) for name in names if name in folders}
    return {name: address for name, address in addresses.items() if address}


def _address(folder: Path) -> str:
    try:
        said = json.loads((folder / "direct_url.json").read_text(encoding="utf-8"))
        address, vcs = redact(str(said["url"])), said.get("vcs_info")
        where = f"#subdirectory={said['subdirectory']}" if said.get("subdirectory") else ""
        return f"{vcs['vcs']}+{address}@{vcs['commit_id']}{where}" if vcs else f"{address}{where}"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""


# --- conda's own ---------------------------------------------------------------------------------------------------


def _conda(steps: Steps, stamp: Stamp) -> list[Finding]:
    """What was installed and removed with conda itself."""
    env, prefix = steps.project.conda_env, steps.environment.prefix
    if env is None:
        return []
    declared = _declared(env)
    there, then = conda_meta.records(prefix), set(_fingerprint(stamp, "conda"))
    before = {name: version for name, version, _ in (stem.rsplit("-", 2) for stem in then)}
    asked = conda_meta.requested(prefix, {env.path.name, COPY})
    asked = {name: spec for name, spec in asked.items() if name in there}
    came = {name: spec for name, spec in asked.items() if there[name] not in then}
    stayed = asked.keys() - came.keys() - declared
    # What another package needs is there with or without somebody's word.
    asked = {**came, **{name: asked[name] for name in stayed - (conda_meta.needed(prefix) if stayed else set())}}
    return [
        *(_undeclared(env, there[name], spec, name in came) for name, spec in asked.items() if name not in declared),
        *(
            _other_version(there[name], before[name], spec)
            for name, spec in came.items()
            # A bare name leaves it to conda.yml which versions will do.
            if name in declared & before.keys() and spec.lower() != name
        ),
        *(_taken_out(env, name, before[name]) for name in declared & before.keys() - there.keys()),
    ]


def _declared(env: CondaEnv) -> set[str]:
    from mlops_lab.manifests.conda_env import name_of

    names = {name_of(item.text).lower() for item in env.dependencies}
    # Every conda sees to it that a pip part can be installed.
    return {*names, "pip"} if env.pip else names


def _undeclared(env: CondaEnv, record: str, spec: str, came: bool) -> Finding:  # noqa: FBT001 - one of two words
    name, version, _ = record.rsplit("-", 2)
    # A setup that finds nothing to do takes nothing away.
    command = "invoke setup" if came else "invoke setup --force"
    return Finding(
        package=name,
        there=version,
        expected="",
        message=f"{name} {version} was installed with conda, and {env.path.name} does not declare it",
        command=_added(name, spec),
        otherwise=f"`{command}` takes it away again",
    )


def _other_version(record: str, before: str, spec: str) -> Finding:
    name, version, _ = record.rsplit("-", 2)
    return Finding(
        package=name,
        there=version,
        expected=before,
        message=f"{name} {version} was installed with conda, {name} {before} was there at the last setup",
        command=_added(name, spec),
        otherwise="`invoke setup --force` makes the environment as the files have it",
    )


def _taken_out(env: CondaEnv, name: str, before: str) -> Finding:
    message = f"{name} {before} was installed, and is gone, although {env.path.name} declares it"
    return Finding(name, "", before, message, "invoke setup")


def _added(name: str, spec: str) -> str:
    bare = spec.lower() == name or '"' in spec
    return f"invoke add --conda {name}" if bare else f'invoke add --conda "{redact(spec)}"'
