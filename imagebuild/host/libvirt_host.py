"""A libvirt host that templates are published to: its storage pools, volumes and definitions.

Nothing is started here, and no daemon: the host must answer. What libvirt reports about a stream is
not relied on: it takes more and fewer bytes than were announced without an error (seen with libvirt
9.0 and 11.3), so bytes are counted here.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from xml.sax.saxutils import escape

import libvirt

from imagebuild.errors import HostError, ImageBuildError
from imagebuild.host.connection_hints import connection_hint
from imagebuild.host.hypervisor import start_event_loop
from imagebuild.host.pools import DefinedDomain, Pool, PoolVolume, pool_of, volume_of
from imagebuild.log import logger
from imagebuild.printable import one_line

T = TypeVar("T")

BLOCK = 4 << 20
"""Bytes of one write to a stream. Small ones are slow: each is acknowledged."""
_KEEPALIVE = (5, 4)
"""Seconds between two questions whether the host is there, and how many may stay unanswered."""
_CONNECT = 60.0
_CALL = 300.0
"""Seconds that one call may take; a stopped storage daemon answers keepalives, but no call."""
_GRACE = 5.0
"""Seconds for a call to end after an interruption, which does not end it."""
_QUESTION = 60.0
"""Seconds for a question about a running domain."""
_REFRESH_TRIES = 5


class VolumeExistsError(ImageBuildError):
    """There is a volume or a file of this name."""


class LibvirtHost:
    """A connection to a libvirt daemon, on this host or another; see :func:`connected_to`.

    Every method raises HostError, with libvirt's reason, if the host does not do what is asked.
    """

    def __init__(self, name: str, connection: Any) -> None:
        self.name = name
        self._connection = connection

    def pool(self, name: str) -> Pool | None:
        """A storage pool by name, or None."""
        with self._translated(f"look up the storage pool {name}"):
            found = self._found(libvirt.VIR_ERR_NO_STORAGE_POOL, lambda: self._connection.storagePoolLookupByName(name))
            return None if found is None else pool_of(found)

    def pools(self) -> list[Pool]:
        """All storage pools, active or not."""
        with self._translated("list the storage pools"):
            return [pool_of(found) for found in self._call(lambda: self._connection.listAllStoragePools())]

    def make_pool(self, name: str, path: str) -> None:
        """Define a directory pool that starts with the host, make its folder, and start it."""
        text = f"<pool type='dir'><name>{escape(name)}</name><target><path>{escape(path)}</path></target></pool>"
        with self._translated(f"make the storage pool {name} in {path}"):
            pool = self._call(lambda: self._connection.storagePoolDefineXML(text, 0))
            try:
                self._call(lambda: pool.build(0))
                self._call(lambda: pool.create(0))
                pool.setAutostart(1)
            except BaseException:
                with suppress(libvirt.libvirtError):
                    pool.undefine()
                raise

    def refresh(self, pool: str) -> None:
        """Read a pool's folder again. libvirt refuses that while a volume is written, and a refresh that
        fails makes the pool inactive, so it is started again then.
        """
        with self._translated(f"refresh the storage pool {pool}"):
            found = self._connection.storagePoolLookupByName(pool)
            for attempt in range(_REFRESH_TRIES):
                try:
                    self._call(lambda: found.refresh(0))
                    break
                except libvirt.libvirtError:
                    if attempt == _REFRESH_TRIES - 1:
                        raise
                    time.sleep(0.5 * (attempt + 1))
                    if not found.isActive():
                        self._call(lambda: found.create(0))
            if not found.isActive():
                self._call(lambda: found.create(0))

    def look_in(self, folder: str) -> list[PoolVolume]:
        """The volumes in a folder that is no pool: a transient pool shows them for a moment."""
        name = f"imagebuild-look-{secrets.token_hex(4)}"
        text = f"<pool type='dir'><name>{name}</name><target><path>{escape(folder)}</path></target></pool>"
        with self._translated(f"look for images in {folder}"):
            pool = self._call(lambda: self._connection.storagePoolCreateXML(text, 0))
        try:
            return self.volumes(name)
        finally:
            with suppress(libvirt.libvirtError, HostError):
                self._call(pool.destroy)

    def volumes(self, pool: str) -> list[PoolVolume]:
        """The volumes that libvirt knows in an active pool."""
        with self._translated(f"list the volumes of the storage pool {pool}"):
            found = self._connection.storagePoolLookupByName(pool)
            listed = []
            for one in self._call(lambda: found.listAllVolumes(0)):
                with suppress(libvirt.libvirtError):  # it is gone since
                    listed.append(volume_of(one))
            return listed

    def volume(self, pool: str, name: str) -> PoolVolume | None:
        """A volume by name, or None."""
        with self._translated(f"look up the volume {name}"):
            found = self._found(libvirt.VIR_ERR_NO_STORAGE_VOL, lambda: self._volume(pool, name))
            return None if found is None else volume_of(found)

    def create_file(self, pool: str, name: str, size: int, mode: int) -> None:
        """Claim a name: a file of ``size`` zero bytes that occupies no space. Raises VolumeExistsError."""
        text = (
            f"<volume><name>{escape(name)}</name><capacity>{size}</capacity><allocation>0</allocation>"
            f"<target><format type='raw'/><permissions><mode>{mode:04o}</mode></permissions></target></volume>"
        )
        self._create(pool, name, text)

    def create_overlay(self, pool: str, name: str, capacity: int, backing: str) -> str:
        """A qcow2 volume over the qcow2 image ``backing``; returns its path. Raises VolumeExistsError."""
        text = (
            f"<volume><name>{escape(name)}</name><capacity>{capacity}</capacity><allocation>0</allocation>"
            f"<target><format type='qcow2'/><compat>1.1</compat><permissions><mode>0600</mode></permissions></target>"
            f"<backingStore><path>{escape(backing)}</path><format type='qcow2'/></backingStore></volume>"
        )
        return self._create(pool, name, text)

    def create_copy(self, pool: str, name: str, capacity: int, source: str) -> str:
        """A qcow2 volume with the content of the volume ``source``; returns its path."""
        text = (
            f"<volume><name>{escape(name)}</name><capacity>{capacity}</capacity>"
            f"<target><format type='qcow2'/><compat>1.1</compat><permissions><mode>0600</mode></permissions></target>"
            "</volume>"
        )
        return self._create(pool, name, text, source)

    def _create(self, pool: str, name: str, text: str, source: str = "") -> str:
        with self._translated(f"create the volume {name} in the storage pool {pool}"):
            found = self._connection.storagePoolLookupByName(pool)
            try:
                if source:
                    original = found.storageVolLookupByName(source)
                    # copies a whole disk, which takes its time
                    made = self._call(lambda: found.createXMLFrom(text, original, 0), limit=3600)
                else:
                    made = self._call(lambda: found.createXML(text, 0))
            except libvirt.libvirtError as error:
                exists = (libvirt.VIR_ERR_STORAGE_VOL_EXIST, libvirt.VIR_ERR_OPERATION_INVALID)
                if error.get_error_code() in exists and "exists" in str(error):
                    raise VolumeExistsError(f"{self.name}: there is already a volume {name}") from error
                raise
            return str(made.path())

    def resize(self, pool: str, name: str, capacity: int) -> None:
        """Make the disk in a volume larger, to ``capacity`` bytes."""
        with self._translated(f"resize the volume {name}"):
            self._call(lambda: self._volume(pool, name).resize(capacity, 0))

    def delete_volume(self, pool: str, name: str) -> None:
        """Delete a volume; no error if there is none."""
        with self._translated(f"delete the volume {name}"):
            self._found(libvirt.VIR_ERR_NO_STORAGE_VOL, lambda: self._volume(pool, name).delete(0))

    def upload(self, pool: str, name: str, offset: int, blocks: Iterable[bytes], length: int) -> Iterator[int]:
        """Write ``length`` bytes at ``offset``; yields the bytes that were passed on so far."""
        with self._translated(f"write to the volume {name}"):
            stream = self._connection.newStream(0)
            self._volume(pool, name).upload(stream, offset, length, 0)
            done = 0
            try:
                for block in blocks:
                    rest = block
                    while rest:
                        sent = stream.send(rest)
                        rest = rest[sent:]
                        done += sent
                    yield done
                self._complete(name, done, length)
            except BaseException:
                with suppress(libvirt.libvirtError):
                    stream.abort()
                raise
            self._call(stream.finish)

    def _complete(self, volume: str, done: int, length: int) -> None:
        if done != length:
            raise HostError(f"{self.name}: {done} bytes of {length} were written to {volume}")

    def download(self, pool: str, name: str, offset: int = 0, length: int = 0) -> Iterator[bytes]:
        """The bytes of a volume from ``offset``, in pieces; all of them without ``length``."""
        with self._translated(f"read the volume {name}"):
            stream = self._connection.newStream(0)
            self._volume(pool, name).download(stream, offset, length, 0)
            try:
                while block := stream.recv(BLOCK):
                    yield block
            except BaseException:
                with suppress(libvirt.libvirtError):
                    stream.abort()
                raise
            self._call(stream.finish)

    def domains(self) -> list[DefinedDomain]:
        """All domains, running or not."""
        with self._translated("list the domains"):
            listed = []
            for found in self._call(lambda: self._connection.listAllDomains(0)):
                with suppress(libvirt.libvirtError):  # it is gone since
                    listed.append(_domain(found))
            return listed

    def domain(self, name: str) -> DefinedDomain | None:
        """A domain by name, or None."""
        with self._translated(f"look up the domain {name}"):
            found = self._found(libvirt.VIR_ERR_NO_DOMAIN, lambda: self._connection.lookupByName(name))
            return None if found is None else _domain(found)

    def snapshots(self, domain: str) -> list[str]:
        """The names of a domain's snapshots. libvirt does not undefine an inactive one that has some."""
        return self._kept(domain, "snapshots", lambda found: found.listAllSnapshots(0))

    def checkpoints(self, domain: str) -> list[str]:
        """The names of a domain's checkpoints, which prevent the same."""
        return self._kept(domain, "checkpoints", lambda found: found.listAllCheckpoints(0))

    def _kept(self, domain: str, what: str, listed: Callable[[Any], list[Any]]) -> list[str]:
        with self._translated(f"list the {what} of the domain {domain}"):
            found = self._found(libvirt.VIR_ERR_NO_SUPPORT, lambda: listed(self._connection.lookupByName(domain)))
            return [str(one.getName()) for one in found or ()]

    def metadata(self, domain: str, namespace: str) -> str | None:
        """The element of this namespace in the metadata of a domain's persistent definition, or None."""
        config = libvirt.VIR_DOMAIN_AFFECT_CONFIG

        def read() -> str:
            found = self._connection.lookupByName(domain)
            return str(found.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, namespace, config))

        with self._translated(f"read the metadata of the domain {domain}"):
            try:
                return self._call(read)
            except libvirt.libvirtError as error:
                # a transient domain has no persistent definition
                nothing = (
                    libvirt.VIR_ERR_NO_DOMAIN,
                    libvirt.VIR_ERR_NO_DOMAIN_METADATA,
                    libvirt.VIR_ERR_OPERATION_INVALID,
                )
                if error.get_error_code() in nothing:
                    return None
                raise

    def networks(self) -> dict[str, bool]:
        """The virtual networks, each with whether it is active; empty if this daemon has none."""
        try:
            found = self._call(lambda: self._connection.listAllNetworks(0))
            return {str(one.name()): bool(one.isActive()) for one in found}
        except libvirt.libvirtError:
            return {}

    def of(self, name: str, question: Callable[[Any], T]) -> T:
        """The domain's answer to ``question``; raises libvirtError if there is no such domain, and
        HostError if there is no answer.
        """
        return self._call(lambda: question(self._connection.lookupByName(name)), limit=_QUESTION)

    def define(self, text: str) -> None:
        """Define a domain, or replace its definition: atomic and durable on the host."""
        with self._translated("define the domain"):
            self._call(lambda: self._connection.defineXMLFlags(text, 0))

    def undefine(self, name: str) -> None:
        """Remove a domain's definition with its UEFI variables; no error if there is none."""
        flags = libvirt.VIR_DOMAIN_UNDEFINE_NVRAM | libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
        with self._translated(f"undefine the domain {name}"):
            self._found(libvirt.VIR_ERR_NO_DOMAIN, lambda: self._connection.lookupByName(name).undefineFlags(flags))

    def start(self, name: str) -> None:
        """Start a defined domain."""
        with self._translated(f"start the domain {name}"):
            self._call(lambda: self._connection.lookupByName(name).create())

    def destroy(self, name: str) -> None:
        """End a domain at once, if it runs."""
        with self._translated(f"end the domain {name}"), suppress(libvirt.libvirtError):
            self._connection.lookupByName(name).destroy()

    def can(self, virt_type: str, arch: str) -> bool:
        """Whether domains of this type (kvm, qemu, xen) and architecture can be defined."""
        try:
            self._call(lambda: self._connection.getDomainCapabilities(None, arch, None, virt_type))
        except libvirt.libvirtError:
            return False
        return True

    def _volume(self, pool: str, name: str) -> Any:
        return self._connection.storagePoolLookupByName(pool).storageVolLookupByName(name)

    def _found(self, missing: int, look: Callable[[], T]) -> T | None:
        """The result of a call, or None if libvirt says ``missing``."""
        try:
            return self._call(look)
        except libvirt.libvirtError as error:
            if error.get_error_code() == missing:
                return None
            raise

    def _call(self, function: Callable[[], T], limit: float = _CALL) -> T:
        return _within(limit, function, f"{self.name}: libvirt did not answer within {limit:.0f} s")

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            yield
        except libvirt.libvirtError as error:
            raise HostError(f"{self.name}: cannot {one_line(what)}: {one_line(error)}") from error


@contextmanager
def connected_to(name: str, uri: str) -> Iterator[LibvirtHost]:
    """A connection to the libvirt at ``uri``; ``name`` is the host's in messages. Never asks anything.

    Raises HostError.
    """
    start_event_loop()
    try:
        late = f"{name}: libvirt did not answer within {_CONNECT:.0f} s"
        connection = _within(_CONNECT, lambda: libvirt.open(uri), late)
    except libvirt.libvirtError as error:
        said = one_line(error)
        raise HostError(f"{name}: cannot connect to libvirt: {said}", connection_hint(said)) from error
    try:
        with suppress(libvirt.libvirtError):
            connection.setKeepAlive(*_KEEPALIVE)
        yield LibvirtHost(name, connection)
    finally:
        with suppress(libvirt.libvirtError, HostError):
            _within(10, connection.close, "")


def _within(seconds: float, function: Callable[[], T], late: str) -> T:
    """The result of a call that may never return; its thread is left behind then."""
    results: list[T] = []
    errors: list[BaseException] = []

    def call() -> None:
        try:
            results.append(function())
        except BaseException as error:  # noqa: BLE001 - raised again by the waiting thread
            errors.append(error)

    thread = threading.Thread(target=call, daemon=True, name="libvirt-call")
    thread.start()
    try:
        thread.join(seconds)
    except BaseException:  # an interruption: what is made by this call should be there when it is undone
        thread.join(_GRACE)
        raise
    if errors:
        raise errors[0]
    if not results:
        logger.error("%s", late)
        raise HostError(late, "is the host overloaded, or its libvirt daemon stuck?")
    return results[0]


def _domain(found: Any) -> DefinedDomain:
    active = bool(found.isActive())
    inactive = str(found.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)) if found.isPersistent() else ""
    texts = [inactive] if inactive else []
    if active:
        texts.append(str(found.XMLDesc(0)))
    texts += [str(one.getXMLDesc(0)) for one in found.listAllSnapshots(0)]
    if found.hasManagedSaveImage(0):
        texts.append(str(found.managedSaveGetXMLDesc(0)))
    return DefinedDomain(str(found.name()), str(found.UUIDString()), active, inactive, tuple(texts))
