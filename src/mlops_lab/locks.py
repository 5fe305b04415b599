"""The leader's lock, the other lock that follows it with the very same versions, and the exported requirements."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from mlops_lab import indexes, refusals
from mlops_lab.manifests import poetry_lock, pyproject, uv_lock
from mlops_lab.manifests.markers import holds, marker_environment
from mlops_lab.project import LOCKS
from mlops_lab.refusals import Difference
from mlops_lab.runner import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from mlops_lab.manifests.poetry_lock import LockedPackage
    from mlops_lab.project import Project
    from mlops_lab.refusals import Step

__all__ = [
    "Difference",
    "differences",
    "exported_in_step",
    "follow",
    "hand_over_indexes",
    "own_paths",
    "pins_of",
    "read_all",
    "supported",
    "wanted",
    "write_requirements",
]

_HASH = re.compile(rb"sha(?:256|384|512):[0-9a-f]+")
_FROM_GIT = re.compile(rb'resolved_reference = "|source = \{ git = "')
_PLATFORMS = ("linux", "darwin", "win32")
_MACHINES = (("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"), ("darwin", "x86_64"), ("win32", "AMD64"))
_PATCH = re.compile(r"""python_full_version\s*[<>=!~]+\s*\\?["']((3\.\d+)\.[1-9]\d*)\\?["']""")
_WITH = " with the extra "
_MINORS = tuple(f"3.{minor}" for minor in range(8, 17))
_LOAD: Mapping[str, Callable[[Path], dict[str, Any]]] = {"poetry": poetry_lock.load, "uv": uv_lock.load}
_VERSIONS_FOR: Mapping[str, Callable[..., dict[str, str]]] = {
    "poetry": poetry_lock.versions_for,
    "uv": uv_lock.versions_for,
}
_READ: Mapping[str, Callable[[Path], Sequence[LockedPackage]]] = {"poetry": poetry_lock.read, "uv": uv_lock.read}


def supported(project: Project) -> list[str]:
    """The Pythons that a project supports, such as `3.12`, as far as any lock can know them today."""
    from packaging.specifiers import SpecifierSet

    # A minor version counts when some release of it is allowed: ">=3.11.4" allows 3.11.
    allowed = SpecifierSet(pyproject.requires_python(project.data) or ">=3.8")
    found = [minor for minor in _MINORS if f"{minor}.99" in allowed or f"{minor}.0" in allowed]
    return found or list(_MINORS)


def _environments(project: Project) -> dict[str, dict[str, str]]:
    """Every place that a lock can tell from another one: name → marker variables.

    Those beside the usual one of a Python and platform count where a lock speaks of them; those that the project
    excludes for uv (https://docs.astral.sh/uv/concepts/resolution/#limited-resolution-environments) do not.
    """
    texts = [path.read_text(encoding="utf-8") for each in LOCKS if (path := project.lock(each)).exists()]
    patches = {match[1] for text in texts for match in _PATCH.finditer(text)}
    machines = any("platform_machine" in text for text in texts)
    limits = project.data.get("tool", {}).get("uv", {}).get("environments", [])
    markers = [limits] if isinstance(limits, str) else limits
    return {
        where: environment
        for name, python in _pythons(project, patches)
        for where, environment in _platforms(name, python, machines=machines)
        if not markers or any(holds(marker, environment) for marker in markers)
    }


def _pythons(project: Project, patches: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Every Python to look at, with its full version: the first release of a minor one that is allowed, and more."""
    from packaging.specifiers import SpecifierSet

    allowed = SpecifierSet(pyproject.requires_python(project.data) or "")
    for minor in supported(project):
        yield minor, next((full for patch in range(30) if (full := f"{minor}.{patch}") in allowed), minor)
        for patch in sorted(patches):
            # Markers name the first release that is otherwise, or the last one that is not.
            bound = int(patch.rpartition(".")[2])
            for full in (f"{minor}.{bound}", f"{minor}.{bound + 1}"):
                if patch.startswith(f"{minor}.") and full in allowed:
                    yield full, full


def _platforms(name: str, python: str, *, machines: bool) -> Iterator[tuple[str, dict[str, str]]]:
    for platform in _PLATFORMS:
        usual = marker_environment(python, platform)
        yield f"{name} on {platform}", usual
        for system, machine in _MACHINES if machines else ():
            if system == platform and machine != usual["platform_machine"]:
                yield f"{name} on {platform} {machine}", usual | {"platform_machine": machine}


def _compare(where: str, first: Mapping[str, str], second: Mapping[str, str]) -> list[Difference]:
    return [
        Difference(name, where, first.get(name, ""), second.get(name, ""))
        for name in sorted({*first, *second})
        if first.get(name) != second.get(name)
    ]


def _versions(
    project: Project, manager: str, groups: Sequence[str], extras: Sequence[str] = ()
) -> dict[str, dict[str, str]]:
    """What a lock gives for every supported Python and platform: place → name → version.

    Each extra makes places of its own.
    """
    data, versions_for = _LOAD[manager](project.lock(manager)), _VERSIONS_FOR[manager]
    environments = _environments(project)
    plain = {where: versions_for(data, environment, groups) for where, environment in environments.items()}
    return plain | {
        f"{where}{_WITH}{extra}": versions_for(data, environment, groups, [extra])
        for extra in extras
        for where, environment in environments.items()
    }


def wanted(project: Project, manager: str, python: str, groups: Sequence[str]) -> dict[str, str]:
    """What a manager installs on this machine: name → version.

    Args:
        project: The project.
        manager: The manager, for its lock.
        python: The full version of the environment's Python.
        groups: The dependency groups beside main.
    """
    return _VERSIONS_FOR[manager](_LOAD[manager](project.lock(manager)), marker_environment(python), groups)


def differences(project: Project) -> list[Difference]:
    """Where the two locks disagree: for every supported Python and platform.

    Compared are the project's own dependencies, the groups that both managers see, and what each extra adds.
    """
    alone = set(pyproject.poetry_only_groups(project.data))
    groups = [group for group in pyproject.all_group_names(project.data) if group not in alone]
    first, second = (_with_commits(project, manager, groups) for manager in LOCKS)
    found = [each for where in first for each in _compare(where, first[where], second[where])]
    plain = {(each.package, each.where, each.first, each.second) for each in found if _WITH not in each.where}
    return [
        each
        for each in found
        if _WITH not in each.where
        or (each.package, each.where.partition(_WITH)[0], each.first, each.second) not in plain
    ]


def _with_commits(project: Project, manager: str, groups: Sequence[str]) -> dict[str, dict[str, str]]:
    """The versions, with the commit of what comes from a repository."""
    found = packages(project, manager) if _FROM_GIT.search(project.lock(manager).read_bytes()) else ()
    commits = {package.name: f" at {package.commit[:10]}" for package in found if package.commit}
    return {
        where: {name: version + commits.get(name, "") for name, version in versions.items()}
        for where, versions in _versions(project, manager, groups, _extras(project)).items()
    }


def _extras(project: Project) -> list[str]:
    """The extras that both managers see, https://python-poetry.org/docs/pyproject/#optional-dependencies."""
    table = project.data.get("project", {})
    extras = table.get("optional-dependencies", {})
    if not extras and not table.get("dependencies"):
        # Of a project that says its dependencies in Poetry's words, uv asks the build backend.
        extras = project.data.get("tool", {}).get("poetry", {}).get("extras", {})
    return [pyproject.normalized(name) for name in extras]


def hand_over_indexes(project: Project, to: str) -> list[str]:
    """Tell a manager, in pyproject.toml, of the second indexes that only the other one is told of.

    Args:
        project: The project; read it again when something was said.
        to: The manager that is to be told.

    Returns:
        A sentence for each declaration that was added, or that the manager cannot take.

    Raises:
        LabError: Nothing can be added to the file as it is written (code 2).
    """
    data = project.data.get("tool", {})
    if not (
        data.get("poetry", {}).get("source") or {"index", "index-url", "extra-index-url"} & data.get("uv", {}).keys()
    ):
        return []
    from mlops_lab.manifests import index_declarations

    text = pyproject.read_text(project.pyproject)
    new, said = index_declarations.handed_over(text, to)
    if new != text:
        project.pyproject.write_bytes(new.encode())
    return said


def pins_of(path: Path, environments: Iterable[Mapping[str, str]] = ()) -> list[str]:
    """What makes uv take a poetry.lock's very versions: `name==version ; marker`, one for each locked package.

    Without the markers uv fails, or chooses otherwise, as soon as a package is locked at two versions. Extras are left
    out of them: uv would not apply the pin to what an extra needs indirectly.

    Args:
        path: The poetry.lock.
        environments: The places at which no more than one version of a package may be pinned.
    """
    found: dict[str, list[tuple[str, str | None]]] = {}
    for package in poetry_lock.read(path):
        if package.kind == "index":
            found.setdefault(package.name, []).append((package.version, poetry_lock.without_extras(package.marker)))
    return [
        f"{name}=={version}" + (f" ; {marker}" if marker else "")
        for name, versions in found.items()
        for version, marker in _told_apart(versions, list(environments))
    ]


def _told_apart(
    versions: list[tuple[str, str | None]], environments: Sequence[Mapping[str, str]]
) -> list[tuple[str, str | None]]:
    """Versions that are left when those that only an extra tells from another one are taken for one.

    `==1.0` allows 1.0+cpu and 1.0+cu121 alike: https://packaging.python.org/specifications/version-specifiers/.
    """
    if not any(sum(holds(marker, each) for _, marker in versions) > 1 for each in environments):
        return versions
    public = {version.partition("+")[0] for version, _ in versions}
    return [(public.pop(), poetry_lock.joined([marker for _, marker in versions]))] if len(public) == 1 else []


def follow(project: Project, leader: str, manager: str, step: Step, fresh: Callable[[], bool]) -> None:
    """Bring the other manager's lock to the leader's versions, if it is not there already.

    Args:
        project: The project.
        leader: The manager whose lock has the versions.
        manager: The manager whose lock follows.
        step: Runs a row of the guide.
        fresh: Tells whether the lock that follows fits the manifest: equal versions do not say so, when a package
            that was locked already is now declared as well.

    Raises:
        LabError: It cannot take them: the packages are named, with both versions and the reason (code 1).
    """
    path = project.lock(manager)
    known = _digest(*(project.lock(each) for each in LOCKS), project.pyproject)
    if path.exists() and (project.remembered("aligned") == known or (not differences(project) and fresh())):
        project.remember(aligned=known)
        return
    try:
        _ALIGN[manager](project, leader, step)
    except CommandFailed as error:
        refusals.explain(error, packages(project, leader), leader, manager)
        raise
    if wrong := differences(project):
        raise refusals.refusal(project, wrong, packages(project, leader), leader, manager, step)
    project.remember(aligned=_digest(*(project.lock(each) for each in LOCKS), project.pyproject))


def _align_uv(project: Project, leader: str, step: Step) -> None:
    pins = pins_of(project.lock(leader), _environments(project).values())
    step("align", by="uv", pins=pins)
    if moved := _other_commits(project, leader, "uv"):
        # uv keeps the commit that it finds locked, and reads all else about it again.
        path = project.lock("uv")
        text = path.read_text(encoding="utf-8")
        for old, new in moved.values():
            text = text.replace(f"#{old}", f"#{new}")
        path.write_text(text, encoding="utf-8")
        step("align", by="uv", pins=pins)


def _align_poetry(project: Project, leader: str, step: Step) -> None:
    """Lock beside a lock that has the leader's versions and nothing else.

    `poetry lock` keeps what is locked already and still fits; it has no way to be told versions.
    """
    path = project.lock("poetry")
    before = path.read_bytes() if path.exists() else None
    try:
        path.write_text(poetry_lock.seed(_kept(project, leader)), encoding="utf-8")
        step("align", by="poetry")
        if moved := _other_commits(project, leader, "poetry"):
            path.write_text(poetry_lock.seed(_moved(project, leader, moved, step)), encoding="utf-8")
            step("align", by="poetry")
    except BaseException:
        if before is None:
            path.unlink(missing_ok=True)
        else:
            path.write_bytes(before)
        raise


def _other_commits(project: Project, leader: str, manager: str) -> dict[str, tuple[str, str]]:
    """Of what comes from a repository, the commits that are not the leader's: name → this one, the leader's."""
    led = {package.name: package.commit for package in packages(project, leader) if package.commit}
    return {
        package.name: (package.commit, led[package.name])
        for package in packages(project, manager)
        if package.commit and led.get(package.name, package.commit) != package.commit
    }


def _moved(
    project: Project, leader: str, moved: Mapping[str, tuple[str, str]], step: Step
) -> Iterator[Mapping[str, Any]]:
    """What Poetry has locked, with other commits: it believes a lock what a repository's package needs.

    So that is asked of a scratch project that declares these commits.
    """
    import tomlkit

    poetry = project.data.get("tool", {}).get("poetry", {})
    addresses = {package.name: str(package.source) for package in packages(project, leader)}
    manifest = {
        "project": {
            "name": "scratch",
            "version": "0",
            "requires-python": pyproject.requires_python(project.data) or ">=3.8",
            "dependencies": [_requirement(name, addresses[name]) for name in moved],
        },
        "tool": {"poetry": {"package-mode": False, **{key: poetry[key] for key in ("source",) if key in poetry}}},
    }
    with tempfile.TemporaryDirectory(dir=project.state, prefix="scratch-") as name:
        (Path(name) / "pyproject.toml").write_text(tomlkit.dumps(manifest), encoding="utf-8")
        (Path(name) / LOCKS["poetry"]).write_text(poetry_lock.seed(_kept(project, leader)), encoding="utf-8")
        step("align", by="poetry", cwd=Path(name))
        asked = poetry_lock.load(Path(name) / LOCKS["poetry"])["package"]
    known = {pyproject.normalized(entry["name"]): entry for entry in asked}
    for entry in poetry_lock.load(project.lock("poetry"))["package"]:
        package = pyproject.normalized(entry["name"])
        if package in moved:
            source = {**entry["source"], "resolved_reference": moved[package][1]}
            yield {**known[package], **{key: entry[key] for key in ("groups", "optional")}, "source": source}
        else:
            yield entry


def _requirement(name: str, address: str) -> str:
    """A package at a commit of uv.lock: `https://host/r.git?branch=main&subdirectory=s#commit`."""
    place, _, commit = address.partition("#")
    url, _, query = place.partition("?")
    folder = dict(parse_qsl(query)).get("subdirectory")
    return f"{name} @ git+{url}@{commit}" + (f"#subdirectory={folder}" if folder else "")


def _kept(project: Project, leader: str) -> Iterator[Mapping[str, Any]]:
    """What Poetry is to find locked: the leader's versions, and of its own lock what the leader does not know.

    What comes from elsewhere than an index, Poetry finds by the project's own declaration. A repository is asked again
    unless the commit is the leader's: it may have another one by now.
    """
    sources = project.data.get("tool", {}).get("poetry", {}).get("source", [])
    names = {str(source.get("url")).rstrip("/"): source.get("name") for source in sources}
    led = packages(project, leader)
    for package in led:
        if package.kind == "index":
            url = str(package.source).rstrip("/")
            source = {"type": "legacy", "url": url, "reference": names[url]} if url in names else None
            yield {"name": package.name, "version": package.version, **({"source": source} if source else {})}
    path = project.lock("poetry")
    if not path.exists():
        return
    commits = {package.name: package.commit for package in led}
    for entry, package in zip(poetry_lock.load(path).get("package", []), poetry_lock.read(path), strict=True):
        if package.name not in commits or (package.commit and package.commit == commits[package.name]):
            yield entry


_ALIGN: Mapping[str, Callable[[Project, str, Step], None]] = {"uv": _align_uv, "poetry": _align_poetry}


# --- exported requirements -----------------------------------------------------------------------------------------


def exported_in_step(project: Project, manager: str, groups: Sequence[str], path: Path) -> bool:
    """Whether exported requirements pin exactly what a lock gives, for every supported Python and platform.

    A hash that no lock knows would let pip install a file that nobody has locked.
    """
    if not path.exists():
        return False
    known = _digest(*(project.lock(each) for each in LOCKS), project.pyproject, path) + f"{manager} {','.join(groups)}"
    if project.remembered(f"exported {path.name}") == known:
        return True
    from mlops_lab.manifests import requirements

    pins = requirements.read(path)
    if any(pin.version and not pin.hashed for pin in pins) or not _hashes(path) <= _locked_hashes(project):
        return False
    environments = _environments(project)
    # What is no file of an index stands there by its address, which says no version.
    loose = {package.name: package for package in packages(project, manager) if package.kind != "index"}
    text = path.read_text(encoding="utf-8")
    if any(package.commit and package.commit not in text for package in loose.values()):
        return False
    for where, versions in _versions(project, manager, groups).items():
        pinned = requirements.pins_for(pins, environments[where])
        if _compare(where, *({name: each[name] for name in each.keys() - loose.keys()} for each in (versions, pinned))):
            return False
    project.remember(**{f"exported {path.name}": known})
    return True


def _hashes(path: Path) -> set[bytes]:
    return set(_HASH.findall(path.read_bytes()))


def _locked_hashes(project: Project) -> set[bytes]:
    """Of both locks: each manager leaves out files that the other one lists."""
    return set().union(*(_hashes(project.lock(each)) for each in LOCKS if project.lock(each).exists()))


def write_requirements(project: Project, path: Path, step: Step) -> None:
    """Export hashed requirements into a file, in one piece.

    Second indexes that the project declares are named in it: `uv export` leaves them out, and pip would not find what
    is pinned to them.
    """
    new = project.state / "requirements.new"
    try:
        step("export", requirements=str(new))
        text = _at_home(project, new.read_text(encoding="utf-8"))
        named = {line.rpartition(" ")[2] for line in text.splitlines() if line.startswith("--extra-index-url")}
        missing = [url for url in map(_public, indexes.project_indexes(project.data)) if url not in named]
        new.write_text("".join(f"--extra-index-url {url}\n" for url in missing) + text, encoding="utf-8")
        # Resolved: requirements that are a symbolic link stay one; the file behind it may lie on another disk.
        shutil.move(new, path.resolve())
    finally:
        new.unlink(missing_ok=True)


def _at_home(project: Project, text: str) -> str:
    """An export with the project's own folders by relative paths: Poetry writes where they are, which is the draft."""
    here = re.escape(project.root.as_uri())
    text = re.sub(rf"^(-e )?{here}/", lambda match: f"{match[1] or ''}./", text, flags=re.MULTILINE)
    return text.replace(f"{project.root.as_uri()}/", f"{(project.home or project.root).as_uri()}/")


def own_paths(project: Project) -> None:
    """Name what lies in the project by its path in it, in a poetry.lock that was made on a draft beside the project."""
    path, home = project.lock("poetry"), project.home
    if home is None or project.root.parent != home.parent or not path.exists():
        return
    content = path.read_bytes()
    again = content.replace(f'url = "../{home.name}/'.encode(), b'url = "')
    if again != content:
        path.write_bytes(again)


def _public(url: str) -> str:
    """An address without credentials: the file goes into git, and pip is handed the whole address apart."""
    return re.sub(r"(?<=://)[^/]*@", "", url)


def packages(project: Project, manager: str) -> Sequence[LockedPackage]:
    """Every package of a lock, the project itself left out; none where there is no lock."""
    path = project.lock(manager)
    return [package for package in _READ[manager](path) if package.kind != "project"] if path.exists() else []


def count(project: Project, manager: str) -> int:
    """How many packages a lock holds; 0 where there is none."""
    return len(packages(project, manager))


def read_all(project: Project) -> None:
    """Read every lock that is there.

    Raises:
        LabError: One is broken (code 2; file, line and column).
    """
    for manager, read in _READ.items():
        if project.lock(manager).exists():
            read(project.lock(manager))


def _digest(*paths: Path) -> str:
    content = b"\0".join(path.read_bytes() if path.exists() else b"" for path in paths)
    return hashlib.blake2b(content, digest_size=16).hexdigest()
