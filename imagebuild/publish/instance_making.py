"""Makes the parts of a machine on the host of its template: disks, seed, definition."""

from __future__ import annotations

import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from imagebuild.errors import HostError, ImageBuildError, UsageError
from imagebuild.host.libvirt_host import LibvirtHost, VolumeExistsError
from imagebuild.host.pools import PoolVolume
from imagebuild.image import nocloud
from imagebuild.log import logger
from imagebuild.printable import one_line
from imagebuild.publish import definition, first_boot, instance_xml
from imagebuild.publish.instance_record import Instance, InstanceRequest
from imagebuild.publish.instance_xml import InstanceIdentity, InstanceOrigin
from imagebuild.publish.libvirt_target import LibvirtTarget
from imagebuild.publish.state import Published
from imagebuild.publish.transfer import repair_hint
from imagebuild.publish.undo import Undo
from imagebuild.publish.usable import Update

_RESERVE = 64 << 20
"""Bytes that must stay free in the pool."""
_DELETING = 3600.0
"""Seconds to wait until libvirt has ended a copy that was interrupted: it cannot be ended before."""


class Making:
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
        self._identity = InstanceIdentity(wanted.name, str(uuid.uuid4()))
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
            InstanceOrigin(wanted.template, version.version, version.files[0].sha256),
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
        capacities = [source.capacity for source in sources]
        if (wanted := self._wanted.disk_size) is not None:
            if wanted < capacities[0]:
                raise UsageError(
                    f"--disk-size: the template's disk has {capacities[0] >> 20} MiB, and cannot become smaller"
                )
            capacities[0] = wanted
        if self._wanted.verify_stored and self._target.reads_there:
            self._verify()
        for name, capacity, source in zip(self._disk_names(), capacities, sources, strict=True):
            self._make_disk(name, capacity, source)

    def _verify(self) -> None:
        """Read the version's files back. Raises ImageBuildError if one was altered."""
        for file in self._version.files:
            report = partial(self._reading, file.name)
            report()
            if self._target.digest(file, report) != file.sha256:
                raise self._unusable(file.name, "was altered: its SHA-256 is not that of what was published")

    def _reading(self, name: str, _done: int = 0, _total: int = 0) -> None:
        self._update(f"reading back {name}")

    def _make_disk(self, name: str, capacity: int, source: PoolVolume) -> None:
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

    def _source(self, name: str, size: int) -> PoolVolume:
        """The published volume, of which only the size is compared here."""
        found = self._host.volume(self._pool.name, name)
        if found is None or found.physical != size or found.format != "qcow2" or found.backing:
            what = "is missing" if found is None else "is not what was published"
            raise self._unusable(name, what)
        return found

    def _unusable(self, volume: str, what: str) -> ImageBuildError:
        version = self._version.version
        return ImageBuildError(
            f"{self._target.name}: the volume {volume} of version {version} {what}",
            f"{repair_hint(version)}; or use another version with --version",
        )

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
            image = Path(place) / name
            nocloud.make(image, files)
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
