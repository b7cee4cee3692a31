"""Swap: memory pages stay in it until they are overwritten.

The header is the first page (mkswap(8), ``union swap_header`` in the kernel's
include/linux/swap.h); its signature is at the end of the page, which shows the size of a page.
"""

from __future__ import annotations

from base64 import b64decode
from typing import Any

from imagebuild.errors import GuestError
from imagebuild.guest.shell import Shell
from imagebuild.guest.unused.zeros import punch

_SIGNATURE = b"SWAPSPACE2"
_PAGES = (4096, 8192, 16384, 65536)
_CHUNK = 2 << 20


def wipe_area(shell: Shell, device: str) -> None:
    """Zero a swap area, by the kernel's name, after its header. GuestError if it has no header
    where one is required."""
    size, _, head = shell.line(f"blockdev --getsize64 {device}; head -c {_PAGES[-1]} {device} | base64 -w0").partition(
        "\n"
    )
    content = b64decode(head)
    page = _page(lambda length, at: content[at : at + length])
    if page is None:
        raise GuestError(f"the swap area {device} has no header of a known page size")
    punch(shell, device, [(page, int(size) - page)])


def wipe_file(guestfs: Any, path: str) -> None:
    """Overwrite a swap file with zeros after its header; it stays allocated, because a swap file
    must not have holes."""
    if not guestfs.is_file(path, followsymlinks=True):
        return
    page = _page(lambda size, at: guestfs.pread(path, size, at))
    if page is None:
        return
    size = guestfs.filesize(path)
    for at in range(page, size, _CHUNK):
        length = min(_CHUNK, size - at)
        # Reading existing zeros costs less than writing them, and occupies no space in the image.
        if any(guestfs.pread(path, length, at)):
            guestfs.pwrite(path, bytes(length), at)


def _page(read: Any) -> int | None:
    return next((page for page in _PAGES if read(len(_SIGNATURE), page - len(_SIGNATURE)) == _SIGNATURE), None)
