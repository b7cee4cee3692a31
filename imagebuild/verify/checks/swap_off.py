"""No swap is in use.

A template has no swap partition: the host decides about memory, and a clone would carry the pages
of the machine that the image was built on. Reads ``/proc/swaps``. Compressed memory (zram) is no
swap in this sense: it is not on a disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from imagebuild.verify import printed
from imagebuild.verify.check import NoCheckParams, Printed

Params = NoCheckParams
# A kernel without swap has no such file.
PROBES = {"swaps": "if [ -e /proc/swaps ]; then cat /proc/swaps; elif [ -e /proc/meminfo ]; then echo Filename; fi"}


def judge(seen: Mapping[str, Printed], _params: NoCheckParams) -> Iterator[str]:
    head, *swaps = printed.lines(seen, "swaps", "/proc/swaps")
    if not head.startswith("Filename"):
        raise printed.unreadable("/proc/swaps")
    for line in swaps:
        device = line.split()[0]
        if not device.startswith("/dev/zram"):
            yield f"swap is in use: {device}"
