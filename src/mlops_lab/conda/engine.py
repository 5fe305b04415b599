"""Create, update, install, remove: look, solve, then let `transaction` do it; one process at a time per prefix."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any

from mlops_lab.conda import history, marker, network, pip, plan, prefixes, records, specs, transaction
from mlops_lab.conda.marker import Marker
from mlops_lab.conda.solve import solve
from mlops_lab.conda.transaction import Order
from mlops_lab.environment import holding
from mlops_lab.errors import FOUND, LabError, redact

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from rattler import RepoDataRecord

    from mlops_lab.conda.channels import Channel
    from mlops_lab.conda.config import Settings
    from mlops_lab.conda.network import Access
    from mlops_lab.conda.records import Findings
    from mlops_lab.conda.request import Request
    from mlops_lab.conda.specs import Spec
    from mlops_lab.conda.talk import Talk

__all__ = ["create", "remove_environment", "update"]

EXISTS = "`env update --prune` brings it up to date; --yes makes it anew"
LISTED = "`env list` shows what there is"


def create(request: Request, settings: Settings, talk: Talk) -> dict[str, Any]:
    """Make an environment; one that is there is replaced only when that was asked for.

    Returns:
        What was done, in conda's JSON shape.

    Raises:
        LabError: It exists, it is not ours, or it could not be made; then everything is as it was before.
    """
    with _held(request.prefix, talk) as lock:
        _prepare(request, talk)
        if marker.read(request.prefix) is not None and not request.replace:
            raise LabError(f"{request.prefix} exists already", EXISTS, code=FOUND)
        return asyncio.run(_create(request, settings, talk, lock))


def update(request: Request, settings: Settings, talk: Talk) -> dict[str, Any]:
    """Bring an environment to what is asked for; one that is missing is made.

    Returns:
        What was done, in conda's JSON shape.

    Raises:
        LabError: It is not ours, nothing fits what is asked for, or it could not be changed.
    """
    with _held(request.prefix, talk) as lock:
        _prepare(request, talk)
        if marker.read(request.prefix) is not None:
            return asyncio.run(_Update(request, settings, talk, lock).run())
        if request.drop:
            raise LabError(f"{request.prefix} does not exist", LISTED)
        return asyncio.run(_create(request, settings, talk, lock))


def remove_environment(prefix: Path, talk: Talk, *, dry_run: bool = False) -> dict[str, Any]:
    """Delete an environment and take it off the user's list.

    Raises:
        LabError: There is none, or it is not ours (code 2).
    """
    with _held(prefix, talk):
        if not dry_run:
            prefixes.recover(prefix, talk)
        prefixes.assert_ours(prefix)
        if marker.read(prefix) is None:
            history.unregister(prefix)
            raise LabError(f"{prefix} does not exist", LISTED)
        found, _ = records.read(prefix)
        if not dry_run:
            prefixes.discard(prefix)
            history.unregister(prefix)
    return plan.actions(prefix, found, [], [])


@contextlib.contextmanager
def _held(prefix: Path, talk: Talk) -> Iterator[int | None]:
    # Not the lock of the prefix itself: a recipe holds that one while it runs us.
    with holding(prefix / "conda-meta", lambda _: talk.say(f"waiting: another process is changing {prefix}")) as lock:
        yield lock


def _prepare(request: Request, talk: Talk) -> None:
    if not request.dry_run:
        prefixes.recover(request.prefix, talk)
    prefixes.assert_ours(request.prefix)


async def _create(request: Request, settings: Settings, talk: Talk, lock: int | None) -> dict[str, Any]:
    searched = _searched(request.specs, request)
    access = network.access(settings, searched)
    wanted = await solve(request.specs, request.channels, settings, access)
    if not request.dry_run:
        await transaction.build(_order(request, request.specs, lock), wanted, access, talk)
    return plan.actions(request.prefix, [], wanted, searched)


def _searched(wanted: Sequence[Spec], request: Request) -> tuple[Channel, ...]:
    """The channels of the request, then those that a spec names."""
    named = [spec.channel for spec in wanted if spec.channel]
    return tuple({channel.url: channel for channel in (*request.channels, *named)}.values())


def _order(request: Request, wanted: Sequence[Spec], lock: int | None, dropped: Sequence[str] = ()) -> Order:
    return Order(
        prefix=request.prefix,
        command=request.command,
        specs={spec.name: spec.recorded for spec in wanted},
        dropped=tuple(dropped),
        channels=_searched(wanted, request),
        variables=request.variables,
        pip=request.pip,
        inputs=request.inputs,
        lock=lock,
    )


class _Update:
    """An update of an environment that is there.

    Args:
        request: What is asked for.
        settings: The configuration.
        talk: Where words go.
        lock: The descriptor of the prefix' lock.
    """

    def __init__(self, request: Request, settings: Settings, talk: Talk, lock: int | None) -> None:
        self.request = request
        self.settings = settings
        self.talk = talk
        self.lock = lock
        self.prefix = request.prefix
        self.known = marker.read(self.prefix) or Marker(marker.CHANGING)
        self.current, broken = records.read(self.prefix)
        unsure = self.known.state != marker.COMPLETE
        self.findings: Findings = records.inspect(self.prefix, self.current, self.known.files, thorough=unsure)
        self.findings.broken = broken
        self.asked = history.requested(self.prefix)

    async def run(self) -> dict[str, Any]:
        from rattler import PrefixRecord

        request = self.request
        going = self._going()
        wanted_specs = self._specs(going)
        searched = _searched(wanted_specs, request)
        access = network.access(self.settings, searched)
        installed = [_read(PrefixRecord, record.file) for record in self.current]
        named = {spec.name for spec in wanted_specs}
        wished = [] if request.prune else [r.name for r in self.current if r.name not in named | going]
        wanted = await solve(wanted_specs, request.channels, self.settings, access, installed=installed, wished=wished)
        self._assert_gone(wanted)
        for note in plan.notes(self.findings):
            self.talk.say(note)
        result = plan.actions(self.prefix, self.current, wanted, searched, self.findings.replaced)
        if not request.dry_run:
            order = _order(request, wanted_specs, self.lock, sorted(set(self.asked) - named))
            await self._apply(order, wanted, installed, access)
        return result

    def _going(self) -> set[str]:
        """The packages to remove, and those that need them."""
        names = {record.name for record in self.current}
        if absent := [name for name in self.request.drop if name not in names]:
            raise LabError(f"not installed in {self.prefix}: {', '.join(absent)}", "`list` shows what is")
        going = plan.dependents(self.current, self.request.drop)
        if more := sorted(going - set(self.request.drop)):
            self.talk.say(f"removed as well, because they need it: {', '.join(more)}")
        return going

    def _specs(self, going: set[str]) -> list[Spec]:
        """What is asked for now, and unless it is pruned what was asked for before."""
        found = list(self.request.specs)
        if not self.request.prune:
            names = {spec.name for spec in found} | going
            there = {record.name for record in self.current}
            earlier = [text for name, text in self.asked.items() if name in there - names]
            found += [specs.parse(text, self.settings, "conda-meta/history") for text in earlier]
        return found

    def _assert_gone(self, wanted: Sequence[RepoDataRecord]) -> None:
        left = sorted({record.name.normalized for record in wanted} & set(self.request.drop))
        if left:
            hint = "remove what needs it as well"
            raise LabError(f"other packages need {', '.join(left)}", hint, code=FOUND)

    async def _apply(
        self, order: Order, wanted: Sequence[RepoDataRecord], installed: Sequence[Any], access: Access
    ) -> None:
        if series := plan.new_python(self.current, wanted):
            self.talk.say(f"{series}: made anew; what pip, Poetry or uv had installed there is to be installed again")
            order = dataclasses.replace(order, variables={**history.variables(self.prefix), **order.variables})
            await transaction.build(order, wanted, access, self.talk)
            return
        if dirty := self._dirty(order, wanted):
            await transaction.change(
                order,
                wanted,
                installed,
                access,
                self.talk,
                again=self.findings.damaged & {record.name.normalized for record in wanted},
                left_alone=self.findings.replaced,
            )
        history.set_variables(self.prefix, order.variables)
        if self._pip(order) or dirty or self._news(order):
            transaction.settle(order, self.findings.replaced)
        else:
            history.register(self.prefix)

    def _news(self, order: Order) -> bool:
        """Whether the marker is to say something else from now on, although nothing was to be done."""
        files = records.ledger(self.prefix, self.current, self.findings.replaced)
        said = (self.known.files, self.known.inputs, self.known.replaced)
        return said != (files, order.inputs, self.findings.replaced)

    def _dirty(self, order: Order, wanted: Sequence[RepoDataRecord]) -> bool:
        """Whether anything differs, apart from what another installer replaced."""
        going, coming = plan.differing(self.current, wanted)
        changed = {name for name, _, _ in (*going, *coming)} - set(self.findings.replaced)
        respecified = any(self.asked.get(name) != text for name, text in order.specs.items())
        unfinished = self.known.state != marker.COMPLETE
        return bool(
            changed or self.findings.damaged or self.findings.broken or order.dropped or respecified or unfinished
        )

    def _pip(self, order: Order) -> bool:
        """Run pip's part unless it ran on the same lines and nothing changed since."""
        if not order.pip or pip.stands(self.prefix, order.pip, self.known.pip):
            return False
        earlier = marker.read(self.prefix) or Marker()
        marker.write(self.prefix, Marker(marker.CHANGING, earlier.files))
        pip.install(self.prefix, order.pip, order.lock, self.talk)
        return True


def _read(kind: Any, file: Path) -> Any:  # noqa: ANN401 - py-rattler's class and its record
    try:
        return kind.from_path(file)
    except Exception as error:  # its own errors share no base that could be named
        hint = "make the environment anew with `env create --yes`"
        raise LabError(f"{file} is no record of a package: {redact(str(error))}", hint, code=FOUND) from error
