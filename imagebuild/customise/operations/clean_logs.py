"""Clear the logs, login records and what the installer left behind.

Log files below ``/var/log`` are emptied, so that their owner and mode stay right; rotated ones, the
journal and the installer's logs are removed, and so are its copies of the kickstart, which may
hold passwords.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from imagebuild.customise.operation import NoParams, Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.SCRUB
Params = NoParams

_INSTALLER = (
    "/var/log/anaconda",
    "/var/log/installer",
    "/var/log/bootstrap.log",
    "/var/log/kickstrap*",
    "/root/anaconda-ks.cfg",
    "/root/original-ks.cfg",
    "/root/initial-setup-ks.cfg",
    "/root/ks-*.log",
    "/root/install.log*",
)
_JOURNALS = ("/var/log/journal/*", "/run/log/journal/*")
_LOGIN_RECORDS = ("/var/lib/wtmpdb/*", "/var/lib/lastlog/*")
_ROTATED = re.compile(r"\.(\d+|old)(\.(gz|xz|bz2|zst))?$|\.(gz|xz|bz2|zst)$|-\d{8}(-\d+)?$")


def apply(guest: Guest, params: NoParams) -> None:
    guest.remove(guest.glob(*_INSTALLER, *_JOURNALS, *_LOGIN_RECORDS))
    for path, entry in guest.walk("/var/log"):
        if entry.kind == "file" and _ROTATED.search(posixpath.basename(path)):
            guest.remove(path)
        elif entry.kind == "file":
            guest.empty(path)
