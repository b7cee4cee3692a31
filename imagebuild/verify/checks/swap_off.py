"""No swap is in use.

A template has no swap partition: the host decides about memory, and a clone would carry the pages
of the machine that the image was built on. Reads ``/proc/swaps``. Compressed memory (zram) is no
swap in this sense: it is not on a disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from imagebuild.verify.check import NoCheckParams, Printed

Params = NoCheckParams
PROBES = {"swaps": "cat /proc/swaps"}


def judge(seen: Mapping[str, Printed], _params: NoCheckParams) -> Iterator[str]:
    for line in seen["swaps"].lines[1:]:
        device = line.split()[0]
        if not device.startswith("/dev/zram"):
            yield f"swap is in use: {device}"
