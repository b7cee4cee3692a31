"""Applies operations to an opened guest: by phase, then in the given order."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from imagebuild.customise import detectors, packages, registry
from imagebuild.customise.guest import Guest
from imagebuild.customise.operation import NoParams, NotApplicable, OperationCall, Phase
from imagebuild.customise.result import CustomiseResult, OperationResult, Status
from imagebuild.errors import GuestError
from imagebuild.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from imagebuild.customise.files import Files


class OpenGuest(Protocol):
    """Starts an appliance with the guest's disk."""

    def __call__(self, *, network: bool) -> AbstractContextManager[Files]: ...


def customise(
    open_guest: OpenGuest,
    calls: Sequence[OperationCall],
    *,
    network: bool,
    tell: Callable[[str, float], None],
    differences: bool = False,
) -> CustomiseResult:
    """Apply ``calls`` in one launch without a network card, or in a second one with it if one needs it.

    A template's packages come with its installation, so nearly always nothing is missing; then no
    code of the guest ever meets a network. ``network=False`` forbids it: a GuestError then says what
    would have been downloaded for. ``tell`` gets what is being done and how much is done (0 to 1).
    """
    tell("starting the appliance", 0.0)
    with open_guest(network=False) as files:
        downloading = _downloading(files, calls)
        if not downloading:
            return apply_all(files, calls, tell, differences=differences)
    if not network:
        raise GuestError(
            f"{', '.join(downloading)} would have to use the network, and that is switched off",
            "let the installation bring what is missing, or allow the network while customising",
        )
    tell("starting the appliance with a network card", 0.0)
    with open_guest(network=True) as files:
        return apply_all(files, calls, tell, differences=differences)


def _downloading(files: Files, calls: Sequence[OperationCall]) -> list[str]:
    found = []
    for call in calls:
        asks = registry.get(call.name).needs_network
        if asks is not None and asks(Guest(files, call.supplies), call.params):
            found.append(call.name)
    return found


def apply_all(
    files: Files, calls: Sequence[OperationCall], tell: Callable[[str, float], None], *, differences: bool = False
) -> CustomiseResult:
    """Apply ``calls`` to an opened guest; GuestError names the operation that failed.

    ``differences`` are on record for texts that everybody in the guest may read.
    """
    ordered = sorted(calls, key=lambda call: registry.get(call.name).phase)
    before_seal = [call for call in ordered if registry.get(call.name).phase < Phase.SEAL]
    results = []
    for done, call in enumerate(before_seal):
        tell(call.name, done / len(ordered))
        results.append(apply_one(files, call, differences=differences))
    installed = _installed(files)
    if any(result.changes for result in results):
        relabelling = apply_one(files, OperationCall("relabel-selinux", NoParams()))
        results += [relabelling] if relabelling.changes else []
    for done, call in enumerate(ordered[len(before_seal) :], start=len(before_seal)):
        tell(call.name, done / len(ordered))
        results.append(apply_one(files, call, differences=differences))
    return CustomiseResult(tuple(results), installed)


def audit(open_guest: OpenGuest, *, tell: Callable[[str, float], None]) -> CustomiseResult:
    """What every scrubbing operation would find to do, and what is told besides; the disk must be one to throw away."""
    tell("starting the appliance", 0.0)
    names = [name for name in registry.names() if registry.get(name).carries]
    with open_guest(network=False) as files:
        guest = Guest(files)
        # First: what is told besides must not have been scrubbed by the operations.
        beside = [
            OperationResult(name, "changed", "", found, 0.0) for name, found in detectors.look(guest).items() if found
        ]
        results = []
        for done, name in enumerate(names):
            tell(name, done / len(names))
            results.append(apply_one(files, registry.call(name)))
    return CustomiseResult((*results, *beside), {})


def _installed(files: Files) -> dict[str, str]:
    """The guest's packages, as far as they can be found out: a guest whose rpm does not run here is no error."""
    try:
        return packages.installed(Guest(files)).versions
    except GuestError as error:
        logger.debug("the guest's packages are not known: %s", error)
        return {}


def apply_one(files: Files, call: OperationCall, *, differences: bool = False) -> OperationResult:
    """Apply one operation; GuestError names it."""
    guest = Guest(files, call.supplies, differences=differences)
    begin = time.monotonic()
    status: Status = "nothing to do"
    reason = ""
    try:
        registry.get(call.name).apply(guest, call.params)
    except NotApplicable as error:
        status, reason = "not applicable", str(error)
    except GuestError as error:
        raise GuestError(f"{call.name}: {error.message}", error.hint) from error
    if guest.changes:
        status = "changed"
    return OperationResult(call.name, status, reason, tuple(guest.changes), time.monotonic() - begin)
