"""Runs a program for which syncing to disk is a no-op: ``without_sync.py PROGRAM ARGUMENT…``

dpkg syncs every package and its database, which on a busy disk takes longer than everything else;
grub-install does so with each of its 280 modules. What is built here is thrown away if the host
crashes; the store syncs the result once. A seccomp filter returns success for the system calls, as
``systemd-nspawn --suppress-sync`` does: programs in any root file system are covered, and nothing
has to be installed in it. The result does not change.

A separate program of the standard library alone, on the host: a filter stays until its process ends.
Without the right to install one (only root has it; others would lose newuidmap) the program runs as it
is. The installer in its VM installs it in a thread, for the programs that this thread starts.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

# asm/unistd_64.h: fsync, fdatasync, sync, syncfs, sync_file_range, msync
_CALLS = (74, 75, 162, 306, 277, 26)
# linux/audit.h, linux/bpf_common.h, linux/seccomp.h, linux/prctl.h
_X86_64 = 0xC000003E
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBER, _ARCHITECTURE = 0, 4
"""Offsets in struct seccomp_data."""
_ALLOW, _SUCCEED = 0x7FFF0000, 0x00050000
"""Carry the call out; return errno 0 instead."""
_SET_SECCOMP, _MODE_FILTER = 22, 2


def program() -> bytes:
    """The filter, in the format of struct sock_filter: 8 bytes per instruction."""
    last = len(_CALLS)
    lines = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_IF_EQUAL, 0, last + 1, _X86_64),
        (_LOAD, 0, 0, _NUMBER),
        *((_JUMP_IF_EQUAL, last - place, 0, call) for place, call in enumerate(_CALLS)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _SUCCEED),
    ]
    return b"".join(struct.pack("HBBI", *line) for line in lines)


def install() -> bool:
    """Install the filter for this thread and the processes that it starts. Whether that was allowed."""
    if os.uname().machine != "x86_64" or os.geteuid() != 0:
        return False
    code = ctypes.create_string_buffer(program())
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(code)))
    done: int = ctypes.CDLL(None).prctl(_SET_SECCOMP, _MODE_FILTER, ctypes.byref(header), 0, 0)
    return done == 0


if __name__ == "__main__":
    install()
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - the caller's own argument list
