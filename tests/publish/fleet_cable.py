"""The cable of a test host: while it is pulled, the host's TCP sockets drop every packet that arrives,
so that nothing is answered, confirmed, refused or closed.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27
_PIDFD_GETFD = 438
"""Linux's system call, 5.6 and newer; the number is the same on all architectures."""
_RETURN = 0x06
"""Berkeley Packet Filter's instruction (BPF_RET | BPF_K): how many bytes of the packet to keep."""


def processes(namespace: int) -> list[int]:
    """All processes in the process namespace of a process."""
    own = Path(f"/proc/{namespace}/ns/pid").readlink()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if (entry / "ns/pid").readlink() == own:
                    found.append(int(entry.name))
    return found


def pull(namespace: int, ports: set[int]) -> None:
    # What its SSH servers write would arrive, because only the confirmations are lost; and they must
    # not accept connections any more.
    _signal(namespace, signal.SIGSTOP)
    nothing = ctypes.create_string_buffer(struct.pack("HBBI", _RETURN, 0, 0, 0))
    program = struct.pack("HL", 1, ctypes.addressof(nothing))
    for process in processes(namespace):
        for one in _sockets(process, ports):
            one.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def plug(namespace: int, ports: set[int]) -> None:
    for process in processes(namespace):
        for one in _sockets(process, ports):
            with suppress(FileNotFoundError):
                one.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
    _signal(namespace, signal.SIGCONT)


def _signal(namespace: int, number: signal.Signals) -> None:
    for process in processes(namespace):
        with suppress(OSError):
            if Path(f"/proc/{process}/comm").read_text().startswith("sshd"):
                os.kill(process, number)


def _sockets(process: int, ports: set[int]) -> Iterator[socket.socket]:
    """The TCP sockets of a process that are bound to the ports; they are the same, not copies."""
    with suppress(OSError), _pidfd(process) as pidfd:
        for link in Path(f"/proc/{process}/fd").iterdir():
            with suppress(OSError):
                if link.readlink().name.startswith("socket:"):
                    with socket.socket(fileno=_fd_of(pidfd, int(link.name))) as one:
                        if one.family == socket.AF_INET and one.getsockname()[1] in ports:
                            yield one


@contextmanager
def _pidfd(process: int) -> Iterator[int]:
    pidfd = os.pidfd_open(process)
    try:
        yield pidfd
    finally:
        os.close(pidfd)


def _fd_of(pidfd: int, number: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.syscall(_PIDFD_GETFD, pidfd, number, 0)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "pidfd_getfd")
    return int(fd)
