"""Which packages satisfy the specs: py-rattler's solver with conda's three channel priorities."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from mlops_lab.conda import network
from mlops_lab.errors import FOUND, LabError, redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rattler import ChannelPriority

    from mlops_lab.conda.channels import Channel
    from mlops_lab.conda.config import Settings
    from mlops_lab.conda.network import Access
    from mlops_lab.conda.specs import Spec

__all__ = ["solve", "virtual_packages"]

_NOTHING = re.compile(r"No candidates were found for (?P<name>[^\s\[]+)")
_LISTED = 8
OVERRIDE = "write for example CONDA_OVERRIDE_CUDA=12.4; an empty value hides the package"


def virtual_packages() -> list[Any]:
    """What this machine offers (`__glibc`, `__cuda`, …); CONDA_OVERRIDE_* changes it.

    Raises:
        LabError: An override is no version.
    """
    from rattler import VirtualPackage, VirtualPackageOverrides
    from rattler.exceptions import DetectVirtualPackageError, InvalidVersionError, VirtualPackageOverrideError

    for name in ("CUDA", "GLIBC", "OSX"):
        given = os.environ.get(f"CONDA_OVERRIDE_{name}", "")
        # py-rattler takes any text for a version.
        if given and not re.fullmatch(r"\d+(\.\w+)*", given):
            raise LabError(f'CONDA_OVERRIDE_{name}: "{given}" is no version', OVERRIDE)
    try:
        return list(VirtualPackage.detect(VirtualPackageOverrides.from_env()))
    except (DetectVirtualPackageError, InvalidVersionError, VirtualPackageOverrideError) as error:
        reason = str(error).splitlines()[0]
        raise LabError(f"a CONDA_OVERRIDE_ variable is no version: {reason}", OVERRIDE) from error


async def solve(
    specs: Sequence[Spec],
    channels: Sequence[Channel],
    settings: Settings,
    access: Access,
    *,
    installed: Iterable[Any] = (),
    wished: Sequence[str] = (),
) -> list[Any]:
    """The packages of an environment.

    Args:
        specs: What is asked for.
        channels: The channels, the first one first.
        settings: The configuration.
        access: Gateway and caches.
        installed: py-rattler's records of what is there, which is kept where it can be.
        wished: Names to keep if that is possible at all.

    Returns:
        py-rattler's records, without an order.

    Raises:
        LabError: No set of packages fits, or a channel cannot be read (code 1).
    """
    from rattler.exceptions import GatewayError, SolverError

    searched = [*channels, *(spec.channel for spec in specs if spec.channel and spec.channel not in channels)]
    attempt = _Attempt(searched, settings, access, list(installed), virtual_packages())
    try:
        if wished:
            try:
                return _of_subdirs(specs, await attempt.run(specs, wished))
            except SolverError:
                pass
        return _of_subdirs(specs, await attempt.run(specs))
    except SolverError as error:
        try:
            explained = await _explained(error, specs, attempt)
        except GatewayError as unreadable:
            raise network.failure(unreadable, searched) from unreadable
        raise explained from error
    except GatewayError as error:
        raise network.failure(error, searched) from error


class _Attempt:
    """A solve with everything but the specs."""

    def __init__(
        self, channels: Sequence[Channel], settings: Settings, access: Access, installed: list[Any], virtual: list[Any]
    ) -> None:
        from rattler import Channel as RattlerChannel

        self.channels = channels
        self.settings = settings
        self.access = access
        self.installed = installed
        self.virtual = virtual
        self.sources = [RattlerChannel(channel.url) for channel in channels]

    async def run(self, specs: Sequence[Spec], wished: Sequence[str] = ()) -> list[Any]:
        """Solve as the channel priority says.

        Strict: a package comes from the first channel that has it in any version. The gateway returns only the
        records that match a spec, which would let a version be found further down: it is asked by name, and the
        version stands as a constraint. Flexible: strict if that is possible, then from the first channel that has
        what is asked for, then from any.
        """
        from rattler import ChannelPriority
        from rattler.exceptions import SolverError

        if self.settings.channel_priority == "disabled":
            return await self.once(specs, wished, ChannelPriority.Disabled)
        try:
            return await self.once(specs, wished, ChannelPriority.Strict, by_name=True)
        except SolverError:
            if self.settings.channel_priority == "strict":
                raise
        try:
            return await self.once(specs, wished, ChannelPriority.Strict)
        except SolverError:
            return await self.once(specs, wished, ChannelPriority.Disabled)

    async def once(
        self, specs: Sequence[Spec], wished: Sequence[str], priority: ChannelPriority, *, by_name: bool = False
    ) -> list[Any]:
        from rattler import MatchSpec
        from rattler import solve as solved

        named = {spec.name for spec in specs}
        wanted = [MatchSpec(name) for name in wished if name not in named]
        bounds = []
        for spec in specs:
            if by_name and spec.channel is None and not spec.simple:
                wanted.append(MatchSpec(spec.name))
                bounds.append(spec.match())
            else:
                wanted.append(spec.match())
        work = solved(
            self.sources,
            wanted,
            gateway=self.access.gateway,
            constraints=bounds,
            locked_packages=self.installed,
            virtual_packages=self.virtual,
            channel_priority=priority,
            add_pip_as_python_dependency=True,
        )
        return list(await network.patiently(work, self.channels, self.settings))


def _of_subdirs(specs: Sequence[Spec], records: list[Any]) -> list[Any]:
    """`channel/subdir::name` binds the subfolder, which py-rattler's matching does not look at."""
    for spec in specs:
        for record in records:
            if spec.subdir and record.name.normalized == spec.name and record.subdir != spec.subdir:
                reason = f"{spec.name} {record.version} is in {record.subdir}, not in {spec.subdir} as {spec.text} asks"
                raise spec.refusal(reason, "leave the subfolder out of the spec", code=FOUND)
    return records


async def _explained(error: Exception, specs: Sequence[Spec], attempt: _Attempt) -> LabError:
    """The solver's own explanation, with the place in the file where one spec alone is to blame."""
    text = redact(str(error)).strip()
    searched = ", ".join(channel.name for channel in attempt.channels)
    if (match := _NOTHING.search(text)) and (spec := next((s for s in specs if s.name == match["name"]), None)):
        versions = await _versions(spec.name, attempt)
        if not versions:
            reason = f'no channel has a package "{spec.name}" (searched: {searched})'
            return spec.refusal(reason, "check its spelling, or add the channel that has it", code=FOUND)
        reason = f"no channel has {spec.text} (searched: {searched})"
        return spec.refusal(reason, f"there is {spec.name} {', '.join(versions)}", code=FOUND)
    text = text.removeprefix("Cannot solve the request because of: ")
    where = next((spec.where.split(":")[0] for spec in specs if spec.where), "")
    reason = f"no set of packages fits what is asked for (searched: {searched})\n{text}"
    hint = "loosen one of the specs named above"
    if "__cuda" in text:
        hint += "; without a GPU here, CONDA_OVERRIDE_CUDA=12.4 says what the target machine has"
    if attempt.settings.channel_priority == "strict":
        hint += "; with channel_priority: flexible a version may come from a later channel"
    return LabError(f"{where}: {reason}" if where else reason, hint, code=FOUND)


async def _versions(name: str, attempt: _Attempt) -> list[str]:
    """The versions of a package that the channels have, the newest first."""
    from rattler import Subdir

    platforms = [Subdir.current(), Subdir("noarch")]
    found = await attempt.access.gateway.query(attempt.sources, platforms, [name], recursive=False)
    versions = sorted({record.version for records in found for record in records}, reverse=True)
    shown = [str(version) for version in versions[:_LISTED]]
    return [*shown, "…"] if len(versions) > _LISTED else shown
