"""What may differ between two builds of the same inputs, and why: everything else is not expected.

docs/reproducible.md has this list too; a test compares them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Condition = Literal["", "mirror", "packages in the VM", "secrets"]


@dataclass(frozen=True)
class ExpectedDifference:
    """Paths that match ``pattern`` entirely may have another content or size, for this ``reason``; if
    ``only`` is set, only in such a rebuild.
    """

    pattern: str
    reason: str
    only: Condition = ""

    def covers(self, path: str) -> bool:
        """Whether it is about this path."""
        return re.fullmatch(self.pattern, path) is not None


EXPECTED = (
    ExpectedDifference(
        r"/etc/apt/sources\.list(\.d/.*\.(sources|list))?",
        "it names the mirror of this rebuild",
        only="mirror",
    ),
    ExpectedDifference(
        r"/etc/shadow-?",
        "a password in plain text gets another salt, and so another hash, in each build",
        only="secrets",
    ),
    ExpectedDifference(
        r"/etc/ssh/ssh_host_\w+_key(\.pub)?",
        "SSH host keys are random; remove-ssh-host-keys removes them",
    ),
    ExpectedDifference(
        r"/etc/lvm/(archive|backup)/.*",
        "LVM chooses random identifiers of its own",
    ),
    ExpectedDifference(
        r"/etc/machine-id|/var/lib/dbus/machine-id|/var/lib/systemd/random-seed",
        "it is random; reset-machine-id and remove-random-seed remove it",
    ),
    ExpectedDifference(
        r"/var/log/.*|/var/cache/ldconfig/aux-cache|/var/cache/debconf/.*|/var/lib/apt/.*",
        "it has times of the build; clean-logs and clean-package-caches remove it",
    ),
    ExpectedDifference(
        r"/boot/initrd\.img-.*|/etc/mdadm/mdadm\.conf|/var/lib/systemd/catalog/database",
        "mmdebstrap in the VM gives it the time of the build",
        only="packages in the VM",
    ),
)
BLOCKS = "file systems record when and in which order files were written"
RANDOM_IDENTIFIERS = "the original has random identifiers: it was built by an earlier version or by Anaconda"


def reason_for(path: str, conditions: frozenset[Condition]) -> str:
    """Why the file at ``path`` may differ; empty if it may not."""
    found = (one for one in EXPECTED if (not one.only or one.only in conditions) and one.covers(path))
    return next((one.reason for one in found), "")
