"""Clear the logs and login records.

Log files below ``/var/log`` are emptied, so that their owner and mode stay right, those of audit, login and process
accounting too; rotated ones and the journal are removed, and so are the few logs that are kept elsewhere.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from imagebuild.customise.operation import NoParams, Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.SCRUB
CARRIES = "trace"
REPLACES = ("logfiles", "pacct-log", "utmp")
Params = NoParams

_JOURNALS = ("/var/log/journal/*", "/run/log/journal/*")
_LOGIN_RECORDS = ("/var/lib/wtmpdb/*", "/var/lib/lastlog/*", "/run/utmp", "/var/run/utmp")
_ELSEWHERE = (
    "/var/account/pacct*",
    "/var/lib/logrotate.status",
    "/var/lib/logrotate/*status*",
    "/var/named/data/named.run*",
    "/home/*/.xsession-errors*",
    "/root/.xsession-errors*",
)
_ROTATED = re.compile(r"\.(\d+|old)(\.(gz|xz|bz2|zst))?$|\.(gz|xz|bz2|zst)$|-\d{8}(-\d+)?$")


def apply(guest: Guest, params: NoParams) -> None:
    guest.remove(guest.glob(*_JOURNALS, *_LOGIN_RECORDS, *_ELSEWHERE))
    for path, entry in guest.walk("/var/log"):
        if entry.kind == "file" and _ROTATED.search(posixpath.basename(path)):
            guest.remove(path)
        elif entry.kind == "file":
            guest.empty(path)
