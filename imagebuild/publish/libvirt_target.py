"""A libvirt host as a target: versions are volumes of a directory pool, the record is in the metadata
of the pointer domain, an inactive domain with the template's name.

Files reach the host by the program ``agent`` where the host has a shell, Python, and a user who can
write to the pool's folder; else over a libvirt stream.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from imagebuild.errors import HostError, ImageBuildError, UsageError
from imagebuild.host.libvirt_host import LibvirtHost, connected_to
from imagebuild.host.pools import DefinedDomain, Pool
from imagebuild.host.process import run
from imagebuild.log import logger
from imagebuild.printable import one_line
from imagebuild.project.model import Host
from imagebuild.project.select import Destination
from imagebuild.publish import definition, lease, names, upload, users
from imagebuild.publish.agent_client import HostAgent
from imagebuild.publish.protocol import Progress
from imagebuild.publish.release import ReleaseFile
from imagebuild.publish.ssh import SshAddress, SshConnection, connected_by_ssh, on_host
from imagebuild.publish.state import StoredFile, TemplateState, decoded

_RESERVE = 64 << 20
"""Bytes that must stay free in the pool."""
_PATHS_TOGETHER = 500
"""Paths in one command line."""


@dataclass
class _Open:
    """What is open while the target is used."""

    host: LibvirtHost
    uri: str
    pool: Pool
    agent: HostAgent | None
    writes: bool
    """Whether the agent may write to the pool's folder."""
    connection: SshConnection | None
    lease: lease.Lease | None = None


class LibvirtTarget:
    """See :class:`imagebuild.publish.protocol.TemplateTarget`. To be used in a ``with`` statement."""

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

    @property
    def reads_there(self) -> bool:
        """Whether ``digest`` reads files on the host, where they need not cross the network for it."""
        return self._now.agent is not None

    def _open(self) -> _Open:
        uri, connection = self._entry.uri, None
        if self._entry.parsed.transport == "ssh":
            connection = self._stack.enter_context(connected_by_ssh(self.name, self._address()))
            uri = connection.libvirt_uri(uri)
        host = self._stack.enter_context(connected_to(self.name, uri))
        pool = self._pool(host)
        agent, writes = self._agent(connection, pool)
        return _Open(host, uri, pool, agent, writes, connection)

    def _address(self) -> SshAddress:
        entry, parts = self._entry, self._entry.parsed

        place = Destination(self.name, entry, self._folder)

        def path(written: str | None) -> Path | None:
            return place.path(written) if written else None

        insecure = "no_verify" in parts.parameters
        identity, known_hosts = path(entry.identity_file), path(entry.known_hosts_file)
        return SshAddress(parts.host, parts.user or None, parts.port, identity, known_hosts, insecure)

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
                f"name one with `pool`, or a folder for it with `path`, in imagebuild.yaml: {self._example()}",
            )
        if not found.active:
            raise HostError(
                f"{self.name}: the storage pool {wanted} is not active",
                f"start it: virsh -c {self._entry.uri} pool-start {wanted}",
            )
        if found.type not in users.FOLDERS:
            raise HostError(
                f"{self.name}: the storage pool {wanted} is of type {found.type}; templates need a folder (type dir)"
            )
        return found

    def _example(self) -> str:
        """An entry with a folder for the pool; of a URI that was given directly, one with a name."""
        name = "here" if "://" in self.name else self.name
        return f'hosts: {{{name}: {{uri: "{self._entry.uri}", path: /srv/templates}}}}'

    def _agent(self, connection: SshConnection | None, pool: Pool) -> tuple[HostAgent | None, bool]:
        """The program on the host as this user, if it can run there, and whether it may write."""
        if not self._entry.has_shell:
            return None, False
        sudo = ["sudo", "-n"] if self._entry.sudo else []
        agent = HostAgent(lambda words: on_host(connection, [*sudo, *words]), self.name)
        try:
            hello = agent.hello(pool.path)
        except ImageBuildError as error:
            logger.info("%s: files are sent over libvirt: %s", self.name, error)
            agent.close()
            return None, False
        if not hello.writable:
            logger.info("%s: files are sent over libvirt: this user cannot write to %s", self.name, pool.path)
        self._stack.callback(agent.close)
        return agent, hello.writable

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lock of the pool; see :mod:`imagebuild.publish.lease`."""
        # a connection of its own: libvirt's is not made for two threads, and the lock has one to show that it is alive
        with (
            connected_to(self.name, self._now.uri) as host,
            lease.leased(host, self._entry.uri, self.pool.name) as held,
        ):
            self._now.lease = held
            try:
                yield
            finally:
                self._now.lease = None

    def templates(self) -> list[str]:
        """The names of the pointer domains."""
        return sorted(found.name for found in self.host.domains() if self._is_pointer(found))

    def _is_pointer(self, domain: DefinedDomain, *, of_itself: bool = False) -> bool:
        """Whether a domain has a record; with ``of_itself``, one of a template with its name. A copy
        that virt-clone made of a pointer has that of another one, and uses the same volumes.
        """
        found = self.host.metadata(domain.name, definition.NAMESPACE) if domain.inactive else None
        return found is not None and (not of_itself or definition.named_in(found) == domain.name)

    def state(self, template: str) -> TemplateState | None:
        """The record in the pointer domain; raises HostError if that is somebody's machine."""
        found = self.host.metadata(template, definition.NAMESPACE)
        if found is not None:
            state = decoded(definition.record_in(found) or "", template)
            self._check_place(template)
            return state
        if self.host.domain(template) is not None:
            raise HostError(
                f"{self.name} has a domain {template} that is not a template of imagebuild",
                "publish under another name with --as, or rename the domain: virsh domrename",
            )
        return None

    def _check_place(self, template: str) -> None:
        """Raise HostError if the template's images are in another pool than the entry names: what is
        missing here would be taken for lost.
        """
        pointer = self.host.domain(template)
        paths = users.disks(pointer.inactive) if pointer is not None else []
        folders = {posixpath.normpath(posixpath.dirname(path)) for path in paths}
        if folders <= {posixpath.normpath(self.pool.path)}:
            return
        folder = min(folders - {posixpath.normpath(self.pool.path)})
        there = [pool.name for pool in self.host.pools() if posixpath.normpath(pool.path) == folder]
        raise HostError(
            f"{self.name}: the images of {template} are in {one_line(folder)}"
            f"{f' (the pool {one_line(there[0])})' if there else ''}, and the entry names the pool {self.pool.name}",
            "all projects name the same pool for a template; set `pool` in imagebuild.yaml",
        )

    def stored(self) -> Mapping[str, int]:
        """The volumes with published files' names, with their files' sizes; also incomplete ones."""
        self.host.refresh(self.pool.name)
        complete = {one.name: one.physical for one in self.host.volumes(self.pool.name) if names.parsed(one.name)}
        return {**{name: size for name, size in self._parts().items() if names.parsed(name)}, **complete}

    def _parts(self) -> Mapping[str, int]:
        """What interrupted transfers left, by the files' names, with their bytes on disk."""
        now = self._now
        return now.agent.parts(now.pool.path) if now.agent is not None and now.writes else {}

    def send(self, file: ReleaseFile, template: TemplateState | None, progress: Progress) -> int:
        """See the protocol: by the program on the host if it can write there, else by libvirt."""
        now, stored = self._now, file.stored
        self._check_room(file)
        if now.agent is not None and now.writes:
            olds = [one.files[0].name for one in reversed(template.versions)] if template is not None else []
            sent = now.agent.put(now.pool.path, stored.name, file.path, stored.size, stored.sha256, olds, progress)
            now.host.refresh(now.pool.name)
            return sent
        # the daemon of a session is not root, and could not write to a file without permission either
        mode = 0o644 if self._entry.parsed.is_session else 0o444
        return upload.uploaded(now.host, now.pool.name, file.path, stored, progress, mode=mode)

    def _check_room(self, file: ReleaseFile) -> None:
        now, stored = self._now, file.stored
        pool, there = now.host.pool(now.pool.name), now.host.volume(now.pool.name, stored.name)
        if there is not None or pool is None or pool.available >= stored.size + _RESERVE:
            return
        rest = stored.size - min(stored.size, self._parts().get(stored.name, 0))
        if pool.available < rest + _RESERVE:
            have, need, reserve = pool.available >> 20, rest >> 20, _RESERVE >> 20
            raise HostError(
                f"{self.name}: no room in the storage pool {pool.name}: {need} MiB are to be sent and {reserve} MiB"
                f" must stay free, and {have} MiB are free",
                "remove old versions with `imagebuild prune`",
            )

    def digest(self, file: StoredFile, progress: Progress) -> str:
        """Read by the program on the host if it may read the file, else over libvirt. What ``send`` has
        just written was read from the disk before it got its name.
        """
        now = self._now
        if now.agent is not None:
            if (known := now.agent.just_read_back(file.name)) is not None:
                return known
            try:
                return now.agent.digest(now.pool.path, file.name, progress)
            except ImageBuildError as error:
                logger.info("%s: %s is read over libvirt: %s", self.name, file.name, error)
        return upload.read_back(now.host, now.pool.name, file.name, file.size, progress)

    def switch(self, state: TemplateState) -> None:
        """Define the pointer domain, which is atomic on the host."""
        now = self._now
        self._check_lock()
        version = state.version(state.current)
        assert version is not None  # the record says so
        there = now.host.domain(state.template)
        kind, arch = definition.machine_type(version)
        kvm = kind != "kvm" or now.host.can("kvm", arch)
        paths = [f"{now.pool.path}/{one.name}" for one in version.files]
        now.host.define(definition.pointer(state, paths, uuid=there.uuid if there is not None else "", kvm=kvm))
        if self.state(state.template) != state:
            raise HostError(f"{self.name}: the definition of {state.template} is not what was sent to libvirt")

    def _check_lock(self) -> None:
        if self._now.lease is None:
            raise HostError(f"{self.name}: not locked")
        self._now.lease.check()

    def used(self, state: TemplateState) -> Mapping[str, str]:
        """What uses the files of a template; every one of them if that cannot be known."""
        files = [file.name for version in state.versions for file in version.files]
        files += [name for name in self.stored() if names.is_of(name, state.template)]
        seen = self._inventoried()
        if unknown := users.unknown_pools(seen):
            pool = one_line(unknown[0])
            why = f"possibly something in the pool {pool}, which is not active: virsh pool-start, or pool-undefine"
            return dict.fromkeys(files, why)
        try:
            seen = self._with_folders(seen, files)
        except ImageBuildError as error:
            return dict.fromkeys(files, f"possibly {error}")
        return users.users(files, seen, self._resolved(users.paths(seen)))

    def _inventoried(self) -> users.Inventoried:
        host = self.host
        pools, domains = host.pools(), host.domains()
        for pool in pools:
            if pool.active:
                host.refresh(pool.name)
        volumes = {pool.name: host.volumes(pool.name) for pool in pools if pool.active}
        pointers = frozenset(found.name for found in domains if self._is_pointer(found, of_itself=True))
        return users.Inventoried(pools, volumes, domains, pointers)

    def _with_folders(self, seen: users.Inventoried, files: list[str]) -> users.Inventoried:
        """The same with the folders of images that lie in no pool, and of their backing files."""
        volumes, looked = dict(seen.volumes), set[str]()
        while True:
            seen = replace(seen, volumes=volumes)
            unknown = users.unknown_files(seen, files)
            folders = {posixpath.dirname(path) or "/": by for path, by in unknown.items()}
            if folders.keys() <= looked:
                return seen
            for folder in sorted(folders.keys() - looked):
                looked.add(folder)
                try:
                    volumes[f"folder {folder}"] = self.host.look_in(folder)
                except HostError as error:
                    raise HostError(
                        f"{folders[folder]}, whose image in {folder} cannot be examined: {error}"
                    ) from error

    def _resolved(self, paths: Iterable[str]) -> dict[str, str]:
        """What paths on the host really are, where it has a shell; links may hide a name."""
        wanted = [path for path in paths if path.startswith("/") and "\n" not in path and "\0" not in path]
        now = self._now
        if now.agent is None or not wanted:
            return {}
        found: dict[str, str] = {}
        for at in range(0, len(wanted), _PATHS_TOGETHER):
            some = wanted[at : at + _PATHS_TOGETHER]
            done = run(on_host(now.connection, ["readlink", "-m", "--", *some]), timeout=60, check=False)
            real = done.stdout.splitlines()
            if done.returncode == 0 and len(real) == len(some):
                found.update(zip(some, real, strict=True))
        return found

    def remove(self, file: str) -> None:
        """Remove a volume, and what an unfinished publish left of it."""
        if names.parsed(file) is None:
            raise UsageError(f"{one_line(file)} is not the name of a published file")
        now = self._now
        self._check_lock()
        now.host.delete_volume(now.pool.name, file)
        now.host.delete_volume(now.pool.name, f".{file}.part")
        if now.agent is not None and now.writes:
            now.agent.remove(now.pool.path, file)
            now.host.refresh(now.pool.name)
