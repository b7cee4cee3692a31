"""One running domain: its guest agent, its serial console, its addresses, hot-plugging, power, and the
frames that it sends. Uses libvirt, with a connection of hypervisor.py or libvirt_host.py.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from typing import Any, Literal, Protocol, TypeVar

import libvirt
import libvirt_qemu

from imagebuild.errors import HostError
from imagebuild.host.hypervisor import Hypervisor

T = TypeVar("T")

_LONGEST_FRAME = 65536
_FRAMES = 20_000
_FRAME_BYTES = 64 << 20
"""The most frames, and bytes of them, that are kept: a guest may send forever."""
_CHUNK = 65536
_NETDEV = "hostnet0"
"""libvirt's name of the backend of the first network card in QEMU."""
_HUMAN = libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP


class AgentSilent(Exception):
    """The guest agent does not answer, or refuses the command; the text is libvirt's."""


class HasDomains(Protocol):
    """A connection to libvirt."""

    def of(self, name: str, question: Callable[[Any], T]) -> T:
        """The domain's answer to ``question``; raises libvirtError if there is no such domain."""


class RunningDomain:
    """A domain that runs, here or on another host."""

    def __init__(self, connection: HasDomains, name: str) -> None:
        self.connection = connection
        self.name = name

    def _ask(self, what: str, question: Callable[[Any], T]) -> T:
        try:
            return self.connection.of(self.name, question)
        except libvirt.libvirtError as error:
            raise HostError(f"cannot {what}: {error}") from error

    def agent(self, command: str, arguments: dict[str, Any] | None = None, *, timeout: int = 10) -> Any:
        """The guest agent's answer to a command. Raises AgentSilent."""
        text = json.dumps({"execute": command, "arguments": arguments or {}})
        try:
            answer = self.connection.of(self.name, lambda one: libvirt_qemu.qemuAgentCommand(one, text, timeout, 0))
            return json.loads(answer)["return"]
        except (libvirt.libvirtError, ValueError, KeyError, TypeError) as error:
            raise AgentSilent(str(error)) from error

    def status(self) -> Literal["running", "stopped", "crashed", "I/O error", "paused"]:
        """What it does; ``I/O error`` is a machine that QEMU has paused, as when the disk is full."""
        state, reason = self._ask("ask for the machine's state", lambda domain: domain.state())
        if state == libvirt.VIR_DOMAIN_SHUTOFF:
            return "crashed" if reason == libvirt.VIR_DOMAIN_SHUTOFF_CRASHED else "stopped"
        if state == libvirt.VIR_DOMAIN_PAUSED:
            return "I/O error" if reason == libvirt.VIR_DOMAIN_PAUSED_IOERROR else "paused"
        return "crashed" if state == libvirt.VIR_DOMAIN_CRASHED else "running"

    def addresses(self, source: Literal["lease", "agent"]) -> list[str]:
        """The addresses that others reach the guest at, IPv4 first: by the leases of libvirt's networks
        or by the guest agent. Empty if they are not known.
        """
        kind = {
            "lease": libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE,
            "agent": libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT,
        }[source]
        try:
            cards = self.connection.of(self.name, lambda domain: domain.interfaceAddresses(kind, 0))
            found = {
                ip_address(str(one["addr"]).partition("%")[0]) for card in cards.values() for one in card["addrs"] or ()
            }
        except (libvirt.libvirtError, ValueError, KeyError, TypeError):  # a guest can say anything
            return []
        usable = [one for one in found if not (one.is_loopback or one.is_link_local or one.is_unspecified)]
        return [str(one) for one in sorted(usable, key=lambda one: (one.version, int(one)))]

    @contextmanager
    def serial(self, alias: str) -> Iterator[SerialStream]:
        """A connection to a serial port, by libvirt's alias, such as ``serial1``."""

        def opened(domain: Any) -> Any:
            stream = domain.connect().newStream(libvirt.VIR_STREAM_NONBLOCK)
            domain.openConsole(alias, stream, libvirt.VIR_DOMAIN_CONSOLE_FORCE)
            return stream

        stream = SerialStream(self._ask(f"open the serial port {alias}", opened))
        try:
            yield stream
        finally:
            stream.close()


class Domain(RunningDomain):
    """A transient domain that this process has started. libvirt ends it when the connection closes,
    even if this process is killed.
    """

    def __init__(self, hypervisor: Hypervisor, name: str) -> None:
        super().__init__(hypervisor, name)
        self.hypervisor = hypervisor

    def resume(self) -> None:
        """Let a domain run that was started paused."""
        self._ask("start the machine", lambda domain: domain.resume())

    def forward(self, port: int, to: int) -> None:
        """Forward ``port`` on 127.0.0.1 to a port of the guest, which must use QEMU's user network."""
        said = self._monitor(f"hostfwd_add {_NETDEV} tcp:127.0.0.1:{port}-:{to}", _HUMAN)
        if said.strip():
            raise HostError(f"cannot forward port {port} to the guest: {said.strip()}")

    def _monitor(self, command: str, flags: int) -> str:
        return str(self._ask("ask QEMU's monitor", lambda one: libvirt_qemu.qemuMonitorCommand(one, command, flags)))

    @contextmanager
    def mirrored(self) -> Iterator[list[bytes]]:
        """The Ethernet frames of the first network card while the block runs, as they come.

        QEMU writes them to a socket, so that no file has to be accessible to its user. The list
        stays empty if QEMU cannot do that, as where a security module forbids it.
        """
        frames: list[bytes] = []
        ours, theirs = socket.socketpair()
        with ours:
            try:
                self._mirror(theirs)
            except (HostError, ValueError):
                yield frames
                return
            finally:
                theirs.close()
            reader = threading.Thread(target=_read_frames, args=(ours, frames), daemon=True)
            reader.start()
            try:
                yield frames
            finally:
                with suppress(HostError, ValueError):
                    self._qmp("object-del", {"id": "imagebuild-mirror"})
                with suppress(OSError):
                    ours.shutdown(socket.SHUT_RDWR)
                reader.join()

    def _mirror(self, theirs: socket.socket) -> None:
        def give(domain: Any) -> Any:
            command = json.dumps({"execute": "getfd", "arguments": {"fdname": "imagebuild-frames"}})
            return libvirt_qemu.qemuMonitorCommandWithFiles(domain, command, [theirs.fileno()], 0)

        self._ask("pass a socket to QEMU", give)
        address = {"type": "fd", "data": {"str": "imagebuild-frames"}}
        backend = {"type": "socket", "data": {"addr": address, "server": False}}
        self._qmp("chardev-add", {"id": "imagebuild-frames", "backend": backend})
        options = {"netdev": _NETDEV, "queue": "all", "outdev": "imagebuild-frames"}
        self._qmp("object-add", {"qom-type": "filter-mirror", "id": "imagebuild-mirror", **options})

    def _qmp(self, command: str, arguments: dict[str, Any]) -> None:
        """Raises ValueError with QEMU's reason."""
        answer = json.loads(self._monitor(json.dumps({"execute": command, "arguments": arguments}), 0))
        if "error" in answer:
            raise ValueError(str(answer["error"].get("desc")))

    def vcpus(self) -> tuple[int, int]:
        """The virtual CPUs: current and maximum."""

        def counted(domain: Any) -> tuple[int, int]:
            live = libvirt.VIR_DOMAIN_AFFECT_LIVE
            return domain.vcpusFlags(live), domain.vcpusFlags(live | libvirt.VIR_DOMAIN_VCPU_MAXIMUM)

        return self._ask("ask for the machine's CPUs", counted)

    def set_vcpus(self, count: int) -> None:
        """Plug CPUs in, as ``virsh setvcpus --live`` does."""
        live = libvirt.VIR_DOMAIN_AFFECT_LIVE
        self._ask(f"set the machine's CPUs to {count}", lambda domain: domain.setVcpusFlags(count, live))

    def memory(self) -> tuple[int, int]:
        """The memory in bytes: current and maximum."""
        info = self._ask("ask for the machine's memory", lambda domain: domain.info())
        return int(info[2]) * 1024, int(info[1]) * 1024

    def set_memory(self, size: int) -> None:
        """Set the balloon's target in bytes, as ``virsh setmem --live`` does."""
        live = libvirt.VIR_DOMAIN_AFFECT_LIVE
        self._ask("change the machine's memory", lambda domain: domain.setMemoryFlags(size // 1024, live))

    def press_power(self) -> None:
        """Press the power button (ACPI)."""
        acpi = libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN
        self._ask("shut the machine down", lambda domain: domain.shutdownFlags(acpi))

    def screenshot(self) -> bytes | None:
        """The display as a PPM image, or None without a display."""

        def taken(domain: Any) -> bytes:
            stream = domain.connect().newStream()
            domain.screenshot(stream, 0)
            data = bytearray()
            while chunk := stream.recv(_CHUNK):
                data += chunk
            stream.finish()
            return bytes(data)

        try:
            return self.hypervisor.of(self.name, taken)
        except libvirt.libvirtError:
            return None


class SerialStream:
    """A serial port of a running guest. Reading and writing never block."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.ended = False

    def read(self) -> bytes:
        """What the guest has written since; empty if nothing."""
        data = bytearray()
        while not self.ended:
            try:
                chunk = self._stream.recv(_CHUNK)
            except libvirt.libvirtError:
                self.ended = True
                break
            if chunk == -2:  # it would block
                break
            if not chunk:
                self.ended = True
                break
            data += chunk
        return bytes(data)

    def write(self, data: bytes, *, timeout: float = 30.0) -> None:
        """Write all of ``data``. Raises HostError if the guest does not take it."""
        deadline = time.monotonic() + timeout
        while data:
            try:
                sent = self._stream.send(data)
            except libvirt.libvirtError as error:
                raise HostError(f"the serial port is closed: {error}") from error
            if sent > 0:
                data = data[sent:]
            elif time.monotonic() > deadline:
                raise HostError("the guest does not read its serial port")
            else:
                time.sleep(0.02)

    def close(self) -> None:
        """Close the connection; the port stays."""
        with suppress(libvirt.libvirtError):
            self._stream.abort()


def _read_frames(ours: socket.socket, frames: list[bytes]) -> None:
    """Read frames until the socket is closed. Before each, QEMU writes its length in 4 bytes."""
    kept = 0
    with ours.makefile("rb") as stream, suppress(OSError):
        while len(header := stream.read(4)) == 4:
            length = int.from_bytes(header, "big")
            if length > _LONGEST_FRAME:
                return
            frame = stream.read(length)
            if len(frame) < length:
                return
            if len(frames) < _FRAMES and kept + length <= _FRAME_BYTES:
                frames.append(frame)
                kept += length
