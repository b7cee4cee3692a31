"""What the host decides about identifiers and times, on the kernel's command line, so that the same
inputs install the same system again.

``kickstrap.identity=`` is what the identifiers of file systems and partitions are derived from,
``kickstrap.epoch=`` a time in seconds since 1970 for tools that know SOURCE_DATE_EPOCH,
``kickstrap.ssh_host_keys=no`` says that the host removes the keys anyway, and ``kickstrap.payload=`` is the
digest of the root archive that the host has computed just before. ``kickstrap.prepared=`` is in ``prepared``.
"""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import NamedTuple

_NAMESPACE = uuid.UUID("5e1a5f6c-0a36-4f0a-9d55-5c1f5f1f7d0b")
_GIVEN = {
    "seed": re.compile(r"(?:^|\s)kickstrap\.identity=([0-9a-f]{64})(?=\s|$)"),
    "epoch": re.compile(r"(?:^|\s)kickstrap\.epoch=([0-9]{1,12})(?=\s|$)"),
    "payload": re.compile(r"(?:^|\s)kickstrap\.payload=([0-9a-f]{64})(?=\s|$)"),
    "prepared": re.compile(r"(?:^|\s)kickstrap\.prepared=([0-9a-f]{64})(?=\s|$)"),
    "keys": re.compile(r"(?:^|\s)kickstrap\.ssh_host_keys=(no)(?=\s|$)"),
}


class DiskIdentity(NamedTuple):
    """Without a ``seed`` each installation has identifiers of its own; ``epoch`` may be empty."""

    seed: str = ""
    epoch: str = ""
    host_keys: bool = True
    payload: str = ""
    """The SHA-256 of the root archive, if the host has computed it: under emulation that takes 7 of the
    25 CPU seconds of unpacking it.
    """
    prepared: str = ""
    """The digest of the root file system that the host has written into the disk; empty if it has not."""

    @property
    def environment(self) -> dict[str, str]:
        """The variables for tools."""
        return {"SOURCE_DATE_EPOCH": self.epoch} if self.epoch else {}

    def uuid(self, *what: object) -> str:
        """The identifier of ``what``: the same for the same seed."""
        if not self.seed:
            return Path("/proc/sys/kernel/random/uuid").read_text().strip()
        return str(uuid.uuid5(_NAMESPACE, " ".join([self.seed, *map(str, what)])))


RANDOM = DiskIdentity()


def given(command_line: str) -> DiskIdentity:
    """What the kernel's command line says."""
    found = {name: pattern.search(command_line) for name, pattern in _GIVEN.items()}
    seed, epoch, payload, prepared = (
        match[1] if (match := found[name]) else "" for name in ("seed", "epoch", "payload", "prepared")
    )
    return DiskIdentity(seed, epoch, found["keys"] is None, payload, prepared)
