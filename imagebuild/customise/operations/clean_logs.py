"""Clear the logs and login records.

Log files below ``/var/log``, including those of audit, login and process accounting, are emptied,
so that they keep their owner and mode. Rotated logs and the journal are removed, and so are the
logs that databases and other programs store elsewhere. The following state is removed as well: the
positions that log readers have reached in their logs, the hosts that they have banned, and the
times when systemd timers last ran. Links to logs and folders outside ``/var/log`` are followed, but
not into system folders.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from imagebuild.customise import system_folders
from imagebuild.customise.operation import NoParams, Phase
from imagebuild.guest import literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imagebuild.customise.guest import Guest

PHASE = Phase.SCRUB
CARRIES = "trace"
REPLACES = ("logfiles", "pacct-log", "utmp")
Params = NoParams

_LOGS = "/var/log"
_JOURNALS = ("/var/log/journal/*", "/run/log/journal/*")
_LOGIN_RECORDS = ("/var/lib/wtmpdb/*", "/var/lib/lastlog/*", "/run/utmp", "/var/run/utmp")
_ELSEWHERE = (
    "/var/account/pacct*",
    "/var/lib/logrotate.status",
    "/var/lib/logrotate/*status*",
    "/var/named/data/named.run*",
    "/var/named/data/*_dump.db",
    "/var/named/data/named_*.txt",
    "/var/lib/mysql/*.err",
    "/var/lib/mysql/*-slow.log",
    "/var/lib/pgsql/data/log/*",
    "/var/lib/pgsql/initdb_postgresql.log",
    "/var/opt/mssql/log/*",
    "/opt/splunk/var/log/*/*",
    "/opt/splunkforwarder/var/log/*/*",
    "/var/lib/rsyslog/im*",
    "/var/spool/rsyslog/*",
    "/var/lib/syslog-ng/syslog-ng.persist",
    "/var/lib/logcheck/offset*",
    "/var/lib/systemd/journal-upload/state",
    "/var/lib/systemd/timers/stamp-*",
    "/var/lib/fail2ban/fail2ban.sqlite3",
    "/var/lib/sshguard/blacklist.db",
)
"""Logs, the positions of log readers in them, the times when timers last ran, and the bans of
programs that read logs."""
_OTHERS = ("/var/ossec/logs/*", "/var/ossec/logs/*/*/*/*")
"""Logs whose files must not be removed."""
_ROTATED = re.compile(r"\.(\d+|old)(\.(gz|xz|bz2|zst))?$|\.(gz|xz|bz2|zst)$|-\d{8}(-\d+)?$")


def apply(guest: Guest, params: NoParams) -> None:
    sessions = (f"{literal(home.path)}/.xsession-errors*" for home in guest.homes())
    guest.remove(guest.sweep(*_JOURNALS, *_LOGIN_RECORDS, *_ELSEWHERE, *sessions))
    guest.empty(guest.sweep(*_OTHERS))
    files = list(_logs(guest))
    rotated = [path for path in files if _ROTATED.search(posixpath.basename(path))]
    guest.remove(rotated)
    guest.empty(sorted({*files}.difference(rotated)))


def _logs(guest: Guest) -> Iterator[str]:
    """All files below /var/log, and the logs and folders elsewhere that links in there point to;
    each folder once."""
    waiting, seen = [_LOGS], set()
    while waiting:
        folder = waiting.pop(0)
        if (top := guest.sweepable(folder)) is None or top in seen:
            continue
        seen.add(top)
        for path, entry in guest.walk(folder):
            if entry.kind == "file":
                yield path
            elif entry.kind == "dir":
                seen.add(top + path.removeprefix(folder))
            elif entry.kind == "symlink":
                log = guest.real_file(path)
                if (
                    log
                    and "log" in posixpath.basename(log)
                    and not system_folders.leads_astray(_LOGS, posixpath.dirname(log))
                ):
                    yield log
                elif guest.leads_to_folder(path) and not system_folders.leads_astray(_LOGS, guest.realpath(path)):
                    waiting.append(path)
