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
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from imagebuild.anaconda import iso
from imagebuild.errors import HostError, ImageBuildError, UsageError
from imagebuild.host.libvirt_host import LibvirtHost, Volume, VolumeExistsError
from imagebuild.log import logger
from imagebuild.printable import one_line
from imagebuild.publish import definition, first_boot, instance_xml, names, usable
from imagebuild.publish.instance_record import Instance, InstanceRequest, Usable
from imagebuild.publish.instance_xml import Identity, MachineChoice, Origin
from imagebuild.publish.libvirt_target import LibvirtTarget
from imagebuild.publish.state import Published
from imagebuild.publish.usable import Update
from imagebuild.schema.findings import did_you_mean

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._]|-(?!-)){0,62}")
_RESERVE = 64 << 20
"""Bytes that must stay free in the pool."""
_LABEL = "cidata"
_DELETING = 3600.0
"""Seconds to wait until libvirt has ended a copy that was interrupted: it cannot be ended before."""
LIMIT, EMULATED_LIMIT = 300.0, 1200.0
"""Seconds within which a machine is usable, with KVM and without."""


class Undo:
    """What removes the parts again that were made so far."""

    def __init__(self) -> None:
        self._parts: list[tuple[str, Callable[[], None]]] = []

    def before(self, what: str, remove: Callable[[], None]) -> None:
        """Call this before making a part: it may be there even if making it fails."""
        self._parts.append((what, remove))

    def forget(self) -> None:
        """The last part is not ours."""
        self._parts.pop()

    def all(self) -> list[str]:
        """Remove all parts, and return those that could not be removed."""
        left = []
        while self._parts:
            what, remove = self._parts.pop()
            try:
                remove()
            except ImageBuildError as error:
                logger.error("%s was not removed: %s", what, error)
                left.append(what)
        return left


@contextmanager
def all_or_nothing() -> Iterator[Undo]:
    """Remove what was made if the block fails or is interrupted."""
    undo = Undo()
    try:
        yield undo
    except BaseException as error:
        left = undo.all()
        if left and isinstance(error, ImageBuildError):
            error.hint = f"what could not be removed again: {', '.join(left)}"
        raise


def _silent(_detail: str) -> None:
    pass


def instantiate(
    target: LibvirtTarget, wanted: InstanceRequest, *, start: bool = False, update: Update = _silent
) -> Instance:
    """Make a machine, and start it if wanted. If anything fails, nothing of it is left.

    Raises UsageError for what cannot be made, HostError if the host does not do it.
    """
    checked_name(wanted.name)
    with all_or_nothing() as undo:
        with target.lock():
            version = _version(target, wanted)
            made = _Making(target, wanted, version, undo, update).made(start=start)
        if start:
            update("starting")
            target.host.start(wanted.name)
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
    given), or if other volumes are based on its disks.
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
    wanted = InstanceRequest(template, name, version, machine=_networks(target, template, version))
    made = instantiate(target, wanted, start=True, update=update)
    with all_or_nothing() as undo:
        undo.before(f"the machine {name}", lambda: removed(target, name))
        wait(target, made, limit=limit, update=update)
    removed(target, name)


def _networks(target: LibvirtTarget, template: str, version: str) -> MachineChoice:
    """The user network of QEMU, if the host lacks one that the template's machine is connected to."""
    state = target.state(template)
    found = state.version(version) if state is not None else None
    if found is None:
        return MachineChoice()
    root = definition.checked(found.definition, f"the definition of version {version}")
    there = target.host.networks()
    bridged = root.find("devices/interface[@type='bridge']") is not None
    missing = not all(there.get(name) for name in instance_xml.networks(root))
    return MachineChoice(networks=(instance_xml.USER,)) if missing or bridged else MachineChoice()


def checked_name(name: str) -> str:
    """``name`` if a machine may have it. Raises UsageError."""
    if not _NAME.fullmatch(name) or name.endswith("-"):
        raise UsageError(
            f"{name!r} is not a valid name of a machine",
            "use up to 63 letters, digits, '.', '_' and single '-'; the first is a letter or a digit",
        )
    return name


def _belongs(volume: str, name: str) -> bool:
    """Whether a volume's name is one of those that :func:`instantiate` gives."""
    return re.fullmatch(rf"{re.escape(name)}(?:(?:-disk[0-9]+)?\.qcow2|-seed\.iso)", volume) is not None


def _version(target: LibvirtTarget, wanted: InstanceRequest) -> Published:
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
    return version


class _Making:
    """One machine while it is made; ``undo`` gets what removes each part of it again."""

    def __init__(
        self, target: LibvirtTarget, wanted: InstanceRequest, version: Published, undo: Undo, update: Update
    ) -> None:
        self._target = target
        self._host: LibvirtHost = target.host
        self._pool = target.pool
        self._wanted = wanted
        self._version = version
        self._undo = undo
        self._update = update
        self._identity = Identity(wanted.name, str(uuid.uuid4()))
        self._volumes: list[str] = []

    def made(self, *, start: bool) -> Instance:
        wanted, version, host = self._wanted, self._version, self._host
        way = first_boot.way(version, wanted.values)
        host_name = first_boot.host_name(wanted.values, wanted.name) if way else ""
        systemd = version.first_boot.systemd if version.first_boot is not None else 0
        strings = first_boot.credentials(wanted.values, wanted.name, systemd) if way == "credentials" else []
        seed = first_boot.seed_files(wanted.values, wanted.name, self._identity.uuid) if way == "cloud-init" else None
        self._refuse_existing()
        kind, arch = definition.machine_type(version)
        kvm = kind == "kvm" and host.can("kvm", arch)
        paths = [f"{self._pool.path}/{name}" for name in self._disk_names()]
        root = instance_xml.defined(
            version,
            self._identity,
            Origin(wanted.template, version.version, version.files[0].sha256),
            paths,
            wanted.machine,
            taken=instance_xml.addresses_in(text for domain in host.domains() for text in domain.texts),
            kvm=kvm,
            seed=f"{self._pool.path}/{self._seed_name}" if seed is not None else "",
            credentials=strings,
        )
        self._check_networks(instance_xml.networks(root), start=start)
        self._make_disks()
        if seed is not None:
            self._make_seed(seed)
        self._update("defining the machine")
        self._undo.before(f"the domain {wanted.name}", self._undefine)
        host.define(instance_xml.text(root))  # fails if somebody else has defined one of this name since
        return Instance(
            wanted.name, self._identity.uuid, wanted.template, version.version, tuple(self._volumes),
            tuple(instance_xml.cards(root)), host_name, way, emulated=root.get("type") == "qemu",
        )  # fmt: skip

    @property
    def _seed_name(self) -> str:
        return f"{self._wanted.name}-seed.iso"

    def _disk_names(self) -> list[str]:
        name = self._wanted.name
        return [
            f"{name}{f'-disk{number}' if number > 1 else ''}.qcow2" for number in range(1, len(self._version.files) + 1)
        ]

    def _refuse_existing(self) -> None:
        name, where = self._wanted.name, self._target.name
        if self._host.domain(name) is not None:
            if self._host.metadata(name, definition.NAMESPACE) is not None:
                raise UsageError(f"{where}: {name} is a template", "give the machine another name")
            raise UsageError(f"{where} already has a domain {name}", "give the machine another name")
        self._host.refresh(self._pool.name)
        there = {one.name for one in self._host.volumes(self._pool.name)}
        for one in (*self._disk_names(), self._seed_name):
            if one in there:
                raise self._taken(one)

    def _taken(self, volume: str) -> UsageError:
        return UsageError(
            f"{self._target.name}: there is already a volume {volume} in the storage pool {self._pool.name}",
            "give the machine another name, or delete the volume: virsh vol-delete",
        )

    def _check_networks(self, wanted: list[str], *, start: bool) -> None:
        there = self._host.networks()
        for name in wanted:
            if name not in there:
                listed = ", ".join(map(one_line, there)) or "none"
                raise HostError(
                    f"{self._target.name} has no network {one_line(name)}; its networks: {listed}",
                    "choose one with --network, or `--network user`",
                )
            if start and not there[name]:
                raise HostError(
                    f"{self._target.name}: the network {one_line(name)} is not active",
                    f"start it: virsh net-start {one_line(name)}",
                )

    def _make_disks(self) -> None:
        sources = [self._source(file.name, file.size) for file in self._version.files]
        self._check_room()
        for number, (name, source) in enumerate(zip(self._disk_names(), sources, strict=True)):
            capacity = source.capacity
            if number == 0 and self._wanted.disk_size is not None:
                capacity = self._wanted.disk_size
                if capacity < source.capacity:
                    raise UsageError(
                        f"--disk-size: the template's disk has {source.capacity >> 20} MiB, and cannot become smaller"
                    )
            self._make_disk(name, capacity, source)

    def _make_disk(self, name: str, capacity: int, source: Volume) -> None:
        host, pool = self._host, self._pool.name
        if not self._wanted.copy:
            self._update(f"creating {name}")
            with self._undone_volume(name):
                host.create_overlay(pool, name, capacity, source.path)
            return
        self._update(f"copying the disk to {name}")
        with self._undone_volume(name):
            host.create_copy(pool, name, capacity, source.name)
            made = host.volume(pool, name)
            if made is not None and made.capacity < capacity:
                host.resize(pool, name, capacity)

    def _source(self, name: str, size: int) -> Volume:
        """The published volume. Its content is not read: ``imagebuild templates`` does that."""
        found = self._host.volume(self._pool.name, name)
        if found is None or found.physical != size or found.format != "qcow2" or found.backing:
            what = "is missing" if found is None else "is not what was published"
            raise ImageBuildError(
                f"{self._target.name}: the volume {name} of version {self._version.version} {what}",
                "publish the version again, or use another one with --version",
            )
        return found

    def _check_room(self) -> None:
        pool = self._host.pool(self._pool.name)
        need = _RESERVE + (sum(file.size for file in self._version.files) if self._wanted.copy else 0)
        if pool is not None and pool.available < need:
            raise HostError(
                f"{self._target.name}: no room in the storage pool {pool.name}: {need >> 20} MiB are needed,"
                f" {pool.available >> 20} MiB are free",
                "remove old versions with `imagebuild prune`",
            )

    def _make_seed(self, files: dict[str, bytes]) -> None:
        name, pool = self._seed_name, self._pool.name
        self._update(f"creating {name}")
        with tempfile.TemporaryDirectory(prefix="imagebuild-seed-") as place:
            folder, image = Path(place) / "seed", Path(place) / name
            folder.mkdir(mode=0o700)
            for file, content in files.items():
                (folder / file).write_bytes(content)
            iso.make(image, _LABEL, folder)
            data = image.read_bytes()
        with self._undone_volume(name):
            self._host.create_file(pool, name, len(data), 0o600)
            for _ in self._host.upload(pool, name, 0, [data], len(data)):
                pass

    @contextmanager
    def _undone_volume(self, name: str) -> Iterator[None]:
        """Delete a volume if what makes it fails, or anything after that; not one that was there."""
        self._undo.before(f"the volume {name}", lambda: _deleted(self._host, self._pool.name, name))
        try:
            yield
        except VolumeExistsError as error:
            self._undo.forget()
            raise self._taken(name) from error
        self._volumes.append(name)

    def _undefine(self) -> None:
        """End and undefine the domain, unless it is another one of the same name."""
        found = self._host.domain(self._wanted.name)
        if found is not None and found.uuid == self._identity.uuid:
            self._host.destroy(found.name)
            self._host.undefine(found.name)


def _deleted(host: LibvirtHost, pool: str, name: str) -> None:
    """Delete a volume that may still be written: libvirt refuses that until the copy is complete."""
    until = time.monotonic() + _DELETING
    while True:
        try:
            host.delete_volume(pool, name)
            return
        except HostError as error:
            if time.monotonic() > until or "still being allocated" not in error.message:
                raise
            logger.info("%s", error)
        time.sleep(1)
