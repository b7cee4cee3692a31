"""A libvirt host as a target: versions are volumes of a directory pool, the record is in the metadata
of the pointer domain, an inactive domain with the template's name.

Files reach the host by the program ``agent`` where the host has a shell, Python, and a user who can
write to the pool's folder; else over a libvirt stream.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from imagebuild.errors import HostError, ImageBuildError, UsageError
from imagebuild.host.hypervisor import SESSION, SYSTEM
from imagebuild.host.libvirt_host import DefinedDomain, LibvirtHost, Pool, connected_to
from imagebuild.log import logger
from imagebuild.printable import one_line
from imagebuild.project.model import Host
from imagebuild.publish import definition, lease, names, upload, users
from imagebuild.publish.agent_client import Agent
from imagebuild.publish.release import ReleaseFile
from imagebuild.publish.ssh import SshAddress, SshConnection, connected_by_ssh, on_host
from imagebuild.publish.state import StoredFile, TemplateState, decoded
from imagebuild.publish.target import Progress

_FOLDERS = ("dir", "fs", "netfs")
"""Types of pools that are folders."""
_RESERVE = 64 << 20
"""Bytes that must stay free in the pool."""


@dataclass
class _Open:
    """What is open while the target is used."""

    host: LibvirtHost
    pool: Pool
    agent: Agent | None
    connection: SshConnection | None
    lease: lease.Lease | None = None


class LibvirtTarget:
    """See :class:`imagebuild.publish.target.Target`. To be used in a ``with`` statement."""

    def __init__(self, name: str, host: Host, folder: Path = Path()) -> None:
        self.name = name
        self._entry = host
        self._folder = folder
        self._stack = ExitStack()
        self._opened: _Open | None = None

    def __enter__(self) -> LibvirtTarget:
        try:
            self._opened = self._open()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._opened = None
        self._stack.close()

    @property
    def _now(self) -> _Open:
        assert self._opened is not None, "used outside of its with statement"
        return self._opened

    @property
    def host(self) -> LibvirtHost:
        """The open connection to libvirt."""
        return self._now.host

    @property
    def pool(self) -> Pool:
        """The pool that the templates are in."""
        return self._now.pool

    def _open(self) -> _Open:
        uri, connection = self._entry.uri, None
        if urlsplit(uri).scheme == "qemu+ssh":
            connection = self._stack.enter_context(connected_by_ssh(self.name, self._address()))
            uri = connection.libvirt_uri(uri)
        host = self._stack.enter_context(connected_to(self.name, uri))
        pool = self._pool(host)
        return _Open(host, pool, self._agent(connection, pool), connection)

    def _address(self) -> SshAddress:
        parts = urlsplit(self._entry.uri)
        if not parts.hostname:
            raise UsageError(f"{self.name}: {one_line(self._entry.uri)} names no host")
        entry = self._entry
        return SshAddress(
            parts.hostname,
            parts.username,
            parts.port,
            self._folder / entry.identity_file if entry.identity_file else None,
            self._folder / entry.known_hosts_file if entry.known_hosts_file else None,
            entry.insecure,
        )

    def _pool(self, host: LibvirtHost) -> Pool:
        wanted = self._entry.pool
        found = host.pool(wanted)
        if found is None and self._entry.path:
            host.make_pool(wanted, self._entry.path)
            found = host.pool(wanted)
        if found is None:
            known = ", ".join(one_line(pool.name) for pool in host.pools()) or "none"
            raise HostError(
                f"{self.name} has no storage pool {wanted}; its pools: {known}",
                "name one with `pool`, or the folder to make it in with `path`, in imagebuild.yaml",
            )
        if not found.active:
            raise HostError(
                f"{self.name}: the storage pool {wanted} is not active",
                f"start it: virsh -c {self._entry.uri} pool-start {wanted}",
            )
        if found.type not in _FOLDERS:
            raise HostError(
                f"{self.name}: the storage pool {wanted} is of type {found.type}; templates need a folder (type dir)"
            )
        return found

    def _agent(self, connection: SshConnection | None, pool: Pool) -> Agent | None:
        """The program on the host, if it can work there: in the pool's folder as this user."""
        local = self._entry.uri.split("?")[0] in (SYSTEM, SESSION)
        if not self._entry.shell or (connection is None and not local):
            return None
        sudo = ["sudo", "-n"] if self._entry.sudo else []
        agent = Agent(lambda words: on_host(connection, [*sudo, *words]), self.name)
        try:
            hello = agent.hello(pool.path)
        except ImageBuildError as error:
            logger.info("%s: files are sent over libvirt: %s", self.name, error)
            agent.close()
            return None
        if not hello.writable:
            logger.info("%s: files are sent over libvirt: this user cannot write to %s", self.name, pool.path)
        self._stack.callback(agent.close)
        self._writable = hello.writable
        return agent

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lock of the pool; see :mod:`imagebuild.publish.lease`."""
        with lease.leased(self.host, self._entry.uri, self.pool.name) as held:
            self._now.lease = held
            try:
                yield
            finally:
                self._now.lease = None

    def templates(self) -> list[str]:
        """The names of the pointer domains."""
        return sorted(found.name for found in self.host.domains() if self._is_pointer(found))

    def _is_pointer(self, domain: DefinedDomain) -> bool:
        return bool(domain.inactive) and self.host.metadata(domain.name, definition.NAMESPACE) is not None

    def state(self, template: str) -> TemplateState | None:
        """The record in the pointer domain; raises HostError if that is somebody's machine."""
        found = self.host.metadata(template, definition.NAMESPACE)
        if found is not None:
            return decoded(definition.record_in(found) or "", template)
        if self.host.domain(template) is not None:
            raise HostError(
                f"{self.name} has a domain {template} that is not a template of imagebuild",
                "publish under another name with --as, or rename the domain: virsh domrename",
            )
        return None

    def stored(self) -> Mapping[str, int]:
        """The volumes with published files' names; the size is what they occupy."""
        self.host.refresh(self.pool.name)
        found = self.host.volumes(self.pool.name)
        return {one.name: one.allocation for one in found if names.parsed(one.name)}
