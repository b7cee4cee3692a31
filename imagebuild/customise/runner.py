"""Applies operations to an opened guest: by phase, and within a phase in the given order."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from imagebuild.customise import password_hashes, registry
from imagebuild.customise.audit import LOGINS, identities, logins, scan
from imagebuild.customise.guest import Guest
from imagebuild.customise.linux import packages
from imagebuild.customise.operation import NoParams, NotApplicable, OperationCall
from imagebuild.errors import GuestError, GuestFileError
from imagebuild.log import logger
from imagebuild.schema.customised import CustomiseResult, OperationResult, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from imagebuild.customise.files import Files


_WIPES = "trim-free-space"
LAYER_PAYS = 5.0
"""Seconds spent on operations after which a checkpoint is worthwhile. Copying a disk of 500 MiB
takes about one second, mostly in parallel to the next operation."""


class OpenGuest(Protocol):
    """Starts an appliance with the guest's disk."""

    def __call__(self, *, network: bool) -> AbstractContextManager[Files]: ...


class Look(Protocol):
    """Looks at the finished guest; gets its packages."""

    def __call__(self, files: Files, packages: Mapping[str, str]) -> None: ...


class First(Protocol):
    """Changes the guest before any operation."""

    def __call__(self, files: Files) -> None: ...


class Layer(Protocol):
    """Makes a checkpoint: stores the guest's disks as they are, and the results of the operations
    so far."""

    def __call__(self, files: Files, results: Sequence[OperationResult]) -> None: ...


def customise(
    open_guest: OpenGuest,
    calls: Sequence[OperationCall],
    *,
    network: bool,
    tell: Callable[[str, float], None],
    differences: bool = False,
    before: Sequence[OperationResult] = (),
    first: First | None = None,
    layer: Layer | None = None,
    look: Look | None = None,
) -> CustomiseResult:
    """Apply ``calls`` in one launch without a network card, or in a second one with it if one of
    them needs it.

    The packages of a template are part of its installation, so usually nothing is missing, and no
    code of the guest ever has access to a network. ``network=False`` forbids it: a GuestError then
    says what would have been downloaded and for which operation. ``tell`` receives the current
    action and the completed fraction (0 to 1). ``first`` is called before anything else. The others
    are those of ``apply_all``.
    """
    tell("starting the appliance", 0.0)
    with open_guest(network=False) as files:
        if first is not None:
            first(files)
        downloading = _downloading(files, calls)
        if not downloading:
            return apply_all(files, calls, tell, differences=differences, before=before, layer=layer, look=look)
    if not network:
        raise GuestError(
            f"{', '.join(downloading)} would need the network, which is switched off",
            "install the missing packages during the installation, or allow the network while customising",
        )
    tell("starting the appliance with a network card", 0.0)
    with open_guest(network=True) as files:
        return apply_all(files, calls, tell, differences=differences, before=before, layer=layer, look=look)


def _downloading(files: Files, calls: Sequence[OperationCall]) -> list[str]:
    found = []
    for call in calls:
        asks = registry.get(call.name).needs_network
        if asks is not None and asks(Guest(files, call.supplies), call.params):
            found.append(call.name)
    return found


def apply_all(
    files: Files,
    calls: Sequence[OperationCall],
    tell: Callable[[str, float], None],
    *,
    differences: bool = False,
    before: Sequence[OperationResult] = (),
    layer: Layer | None = None,
    look: Look | None = None,
) -> CustomiseResult:
    """Apply ``calls`` to an opened guest; GuestError names the operation that failed.

    ``differences`` are recorded for texts that everybody in the guest may read. ``before`` are the
    results of operations that were already applied. ``layer`` receives the results so far whenever
    the new ones took long enough to make a checkpoint worthwhile. ``look`` is called when the files
    have changed for the last time.
    """
    before_seal, sealing = registry.ordered(calls)
    results, kept = list(before), len(before)
    for done, call in enumerate(before_seal):
        tell(call.name, done / len(calls))
        results.append(apply_one(files, call, differences=differences))
        if layer is not None and sum(one.seconds for one in results[kept:]) >= LAYER_PAYS:
            tell("making a checkpoint of the disk", (done + 1) / len(calls))
            layer(files, results)
            kept = len(results)
    _try_again(files, before_seal, results, len(before), differences=differences)
    installed = _installed(files)
    if any(result.changes for result in results):
        relabelling = apply_one(files, OperationCall("relabel-selinux", NoParams()))
        results += [relabelling] if relabelling.changes else []
    hashes = password_hashes.found(files)
    # Wiping unmounts the file systems, and mounting them again would write to them: so look before it.
    wiping = next((at for at, call in enumerate(sealing) if call.name == _WIPES), len(sealing))
    for done, last in enumerate([*sealing, None]):
        fraction = (len(before_seal) + done) / max(1, len(calls))
        if done == wiping and look is not None:
            tell("listing the contents", fraction)
            look(files, installed)
        if last is not None:
            tell(last.name, fraction)
            results.append(apply_one(files, last, differences=differences))
    return CustomiseResult(tuple(results), installed, hashes)


def _try_again(
    files: Files, calls: Sequence[OperationCall], results: list[OperationResult], first: int, *, differences: bool
) -> None:
    """Apply incomplete operations once more: on a full file system others may have freed space
    since."""
    for at, call in enumerate(calls, start=first):
        if results[at].failed:
            again = apply_one(files, call, differences=differences)
            results[at] = replace(
                again,
                status="incomplete" if again.failed else "changed" if results[at].changes else again.status,
                changes=results[at].changes + again.changes,
                seconds=results[at].seconds + again.seconds,
            )


def audit(open_guest: OpenGuest, *, tell: Callable[[str, float], None]) -> CustomiseResult:
    """What every scrubbing operation would remove, and the other findings; the disks must be
    throwaway copies."""
    tell("starting the appliance", 0.0)
    with open_guest(network=False) as files:
        return audit_guest(files, tell)


def audit_guest(files: Files, tell: Callable[[str, float], None]) -> CustomiseResult:
    """Audit an opened guest, which is changed by it: what is found after the operations is what
    they leave behind."""
    guest = Guest(files)
    known = identities.gather(guest)
    found = {LOGINS: logins.look(guest)}
    results = []
    names = [name for name in registry.names() if registry.get(name).carries]
    for done, name in enumerate(names):
        tell(name, done / (len(names) + 1))
        results.append(_carried(apply_one(files, registry.call(name))))
    tell("searching for remaining findings", len(names) / (len(names) + 1))
    found |= scan.look(guest, known)
    results += [OperationResult(kind, "changed", "", tuple(changes), 0.0) for kind, changes in found.items() if changes]
    return CustomiseResult(tuple(results), {})


def _carried(result: OperationResult) -> OperationResult:
    """The machine-specific findings of an operation: what it could not renew is included, what it
    only added or tidied is not."""
    return replace(result, changes=(*(change for change in result.changes if change.carried), *result.left))


def _installed(files: Files) -> dict[str, str]:
    """The guest's packages, as far as they can be determined: a guest whose rpm does not run here
    is not an error."""
    try:
        return packages.installed(Guest(files)).versions
    except GuestError as error:
        logger.debug("the guest's packages could not be determined: %s", error)
        return {}


def apply_one(files: Files, call: OperationCall, *, differences: bool = False) -> OperationResult:
    """Apply one operation; GuestError names it.

    An operation that removes things is incomplete if a file cannot be removed. Its files are
    independent of each other, so it continues with the others.
    """
    guest = Guest(files, call.supplies, differences=differences)
    begin = time.monotonic()
    status: Status = "nothing to do"
    reason = ""
    try:
        registry.get(call.name).apply(guest, call.params)
    except NotApplicable as error:
        status, reason = "not applicable", str(error)
    except GuestError as error:
        if not isinstance(error, GuestFileError) or not registry.get(call.name).carries:
            raise GuestError(f"{call.name}: {error.message}", error.hint) from error
        guest.not_done(error.path, error.reason)
    if guest.changes or guest.failed:
        status = "incomplete" if guest.failed else "changed"
    seconds = time.monotonic() - begin
    return OperationResult(
        call.name, status, reason, tuple(guest.changes), seconds, tuple(guest.failed), tuple(guest.left)
    )
