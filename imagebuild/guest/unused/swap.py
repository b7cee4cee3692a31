"""Swap: pages of memory stay in it until something overwrites them.

The header is the first page (mkswap(8), ``union swap_header`` in the kernel's include/linux/swap.h); its signature, at the end of the
page, says how long a page is.
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
    """Zero a swap area, by the kernel's name, behind its header. GuestError if it has none where one belongs."""
    size, _, head = shell.line(f"blockdev --getsize64 {device}; head -c {_PAGES[-1]} {device} | base64 -w0").partition(
        "\n"
    )
    content = b64decode(head)
    page = _page(lambda length, at: content[at : at + length])
    if page is None:
        raise GuestError(f"the swap area {device} has no header of a known page size")
    punch(shell, device, [(page, int(size) - page)])


def wipe_file(guestfs: Any, path: str) -> None:
    """Overwrite a swap file with zeros behind its header; it stays allocated, since a swap file may have no holes."""
    if not guestfs.is_file(path, followsymlinks=True):
        return
    page = _page(lambda size, at: guestfs.pread(path, size, at))
    if page is None:
        return
    size = guestfs.filesize(path)
    for at in range(page, size, _CHUNK):
        length = min(_CHUNK, size - at)
        # Reading what is zero already costs less than writing, and takes no room in the image.
        if any(guestfs.pread(path, length, at)):
            guestfs.pwrite(path, bytes(length), at)


def _page(read: Any) -> int | None:
    return next((page for page in _PAGES if read(len(_SIGNATURE), page - len(_SIGNATURE)) == _SIGNATURE), None)
