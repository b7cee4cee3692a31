"""Runs a program as an ordinary user who may not make user namespaces, as in many containers.

    python without_namespaces.py UID PROGRAM...

It works on a host that allows them, for root: the program gets a child namespace with the limit 0.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

CLONE_NEWUSER = 0x10000000
CLONE_NEWNS = 0x00020000
USERS = 65536


def main(uid: int, argv: list[str]) -> int:
    separated, mapped = os.pipe(), os.pipe()
    process = os.fork()
    if process == 0:
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER | CLONE_NEWNS):
            raise OSError(ctypes.get_errno(), "unshare")
        os.write(separated[1], b"x")
        os.read(mapped[0], 1)
        Path("/proc/sys/user/max_user_namespaces").write_text("0")
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        os.execvp(argv[0], argv)
    os.close(separated[1])
    if os.read(separated[0], 1):
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{process}/{name}").write_text(f"0 0 {USERS}\n")
        os.write(mapped[1], b"x")
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
