"""Makes machines from templates on the host where these were published, and removes them again.

    NAME.qcow2        the system disk: an overlay over the version's volume, or a copy of it
    NAME-disk2.qcow2  a further disk
    NAME-seed.iso     what cloud-init takes at the first boot

All are volumes in the templates' pool. The domain's metadata say what it was made from; only domains
that have them are ever removed.
"""

from __future__ import annotations

import re
import secrets

from imagebuild.errors import BootFailed, HostError, UsageError
from imagebuild.host.hints import command_line
from imagebuild.log import logger
from imagebuild.printable import one_line
from imagebuild.publish import definition, instance_xml, names, signed, usable
from imagebuild.publish.instance_making import Making
from imagebuild.publish.instance_record import Instance, InstanceRequest, Usable
from imagebuild.publish.instance_xml import HardwareChoice
from imagebuild.publish.libvirt_target import LibvirtTarget
from imagebuild.publish.signed import Acceptance
from imagebuild.publish.state import Published
from imagebuild.publish.undo import all_or_nothing
from imagebuild.publish.usable import Update
from imagebuild.schema.findings import did_you_mean

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._]|-(?!-)){0,62}")
LIMIT, EMULATED_LIMIT = 300.0, 1200.0
"""Seconds within which a machine is usable, with KVM and without."""


def _silent(_detail: str) -> None:
    pass


def instantiate(
    target: LibvirtTarget,
    wanted: InstanceRequest,
    *,
    start: bool = False,
    update: Update = _silent,
    accepted: Acceptance | None = None,
) -> Instance:
    """Make a machine, and start it if wanted. If anything fails, nothing of it is left. The version must
    be signed if ``accepted`` says by whom.

    Raises NotTrusted for a version that is not, UsageError for what cannot be made, HostError if the
    host does not do it.
    """
    checked_name(wanted.name)
    with all_or_nothing() as undo:
        with target.lock():
            version = _version(target, wanted, accepted)
            made = Making(target, wanted, version, undo, update).made(start=start)
        if start:
            update("starting")
            _start(target, wanted.name)
    return made


def wait(target: LibvirtTarget, made: Instance, *, limit: float | None = None, update: Update = _silent) -> Usable:
    """Wait until a started machine is usable; then it no longer gets its first values at every boot.

    Raises BootFailed; the machine stays as it is.
    """
    limit = limit or (EMULATED_LIMIT if made.emulated else LIMIT)
    found = target.host.domain(made.name)
    if found is None:
        raise HostError(f"{target.name} no longer has the domain {made.name}")
    root = instance_xml.parsed(found.inactive)
    seen = usable.wait(target.host, made.name, root, limit, update)
    if (text := instance_xml.without_credentials(found.inactive)) is not None:
        target.host.define(text)
    return seen


def removed(target: LibvirtTarget, name: str, *, template: str = "") -> None:
    """End a machine that :func:`instantiate` made, undefine it, and delete its volumes.

    Raises UsageError if there is none, if it is not from a template (from ``template``, if that is
    given), if it has snapshots or checkpoints, or if other volumes are based on its disks.
    """
    host, pool = target.host, target.pool
    with target.lock():
        found = host.domain(name)
        if found is None:
            raise UsageError(f"{target.name} has no domain {one_line(name)}")
        metadata = host.metadata(name, definition.INSTANCE)
        if metadata is None:
            raise UsageError(f"{target.name}: the domain {name} was not made by `imagebuild instantiate`")
        origin = instance_xml.origin(metadata)
        if template and origin.template != template:
            raise UsageError(f"{target.name}: {name} was made from {one_line(origin.template)}, not from {template}")
        _refuse_kept(target, name)
        host.refresh(pool.name)
        paths = set(instance_xml.disks(found.inactive)) if found.inactive else set()
        volumes = host.volumes(pool.name)
        ours = [one for one in volumes if one.path in paths and _belongs(one.name, name)]
        used = {one.path for one in ours}
        if users := [one.name for one in volumes if one.backing in used and one.path not in used]:
            raise UsageError(f"{target.name}: the volume {users[0]} is based on a disk of {name}", "delete it first")
        host.destroy(name)
        host.undefine(name)
        for one in ours:
            host.delete_volume(pool.name, one.name)


def boots(
    target: LibvirtTarget, template: str, version: str, *, limit: float | None = None, update: Update = _silent
) -> None:
    """Check that a version boots here: a machine with a temporary name is made, started, awaited and
    removed. Raises ImageBuildError if it does not.
    """
    name = f"imagebuild-boot-{secrets.token_hex(4)}"
    machine = _networks(target, template, version)
    wanted = InstanceRequest(template, name, version, machine=machine, verify_stored=False)  # publishing has done so
    made = instantiate(target, wanted, start=True, update=update)
    with all_or_nothing() as undo:
        undo.before(f"the machine {name}", lambda: removed(target, name))
        try:
            wait(target, made, limit=limit, update=update)
        except BootFailed as error:
            for line in error.console:
                logger.error("%s: console of %s: %s", target.name, name, one_line(line))
            raise
    removed(target, name)


def _networks(target: LibvirtTarget, template: str, version: str) -> HardwareChoice:
    """The user network of QEMU, if the host lacks one that the template's machine is connected to."""
    state = target.state(template)
    found = state.version(version) if state is not None else None
    if found is None:
        return HardwareChoice()
    root = definition.checked(found.definition, f"the definition of version {version}")
    there = target.host.networks()
    bridged = root.find("devices/interface[@type='bridge']") is not None
    missing = not all(there.get(name) for name in instance_xml.networks(root))
    return HardwareChoice(networks=(instance_xml.USER,)) if missing or bridged else HardwareChoice()


def checked_name(name: str) -> str:
    """``name`` if a machine may have it. Raises UsageError."""
    if not _NAME.fullmatch(name) or name.endswith("-"):
        raise UsageError(
            f"{name!r} is not a valid name of a machine",
            "use up to 63 letters, digits, '.', '_' and single '-'; the first is a letter or a digit",
        )
    return name


def _start(target: LibvirtTarget, name: str) -> None:
    """Start a machine; if the host has not what the machine needs, the hint names the option."""
    try:
        target.host.start(name)
    except HostError as error:
        hint, said = error.hint, error.message.replace(name, "")
        if re.search(r"\bmemory\b", said, re.IGNORECASE):
            hint = "`imagebuild instantiate --memory SIZE` gives the machine less memory"
        elif re.search(r"\b(?:interface|bridge|network)\b", said, re.IGNORECASE):
            hint = (
                "choose a network or a bridge of this host with `imagebuild instantiate --network`, or `--network user`"
            )
        raise HostError(error.message, hint) from error


def _refuse_kept(target: LibvirtTarget, name: str) -> None:
    """libvirt keeps a domain with snapshots or checkpoints, which would only be known after its end."""
    for what, found in (("snapshot", target.host.snapshots(name)), ("checkpoint", target.host.checkpoints(name))):
        if found:
            listed = ", ".join(map(one_line, found[:10]))
            raise UsageError(
                f"{target.name}: {name} has {len(found)} {what}{'s' * (len(found) != 1)} ({listed}),"
                " with which libvirt does not undefine it",
                f"delete each {what} first: {command_line('virsh', f'{what}-delete', name, found[0])}",
            )


def _belongs(volume: str, name: str) -> bool:
    """Whether a volume's name is one of those that :func:`instantiate` gives."""
    return re.fullmatch(rf"{re.escape(name)}(?:(?:-disk[0-9]+)?\.qcow2|-seed\.iso)", volume) is not None


def _version(target: LibvirtTarget, wanted: InstanceRequest, accepted: Acceptance | None) -> Published:
    state = target.state(names.checked(wanted.template))
    if state is None:
        raise UsageError(
            f"{target.name} has no template {wanted.template}", did_you_mean(wanted.template, target.templates())
        )
    version = state.version(wanted.version or state.current)
    if version is None:
        raise UsageError(
            f"{target.name} has no version {one_line(wanted.version)} of {wanted.template}",
            did_you_mean(wanted.version, [one.version for one in state.versions]),
        )
    if accepted is None:
        return version
    if not wanted.version:
        signed.refuse_replay(state, target.name)
    return signed.verified(version, wanted.template, target.name, accepted)
