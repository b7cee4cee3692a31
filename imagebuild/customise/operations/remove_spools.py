"""Remove queued mail, print jobs and users' scheduled jobs.

Removes mailboxes and mail queues, undeliverable mail (``dead.letter``), jobs of at and batch,
users' crontabs and queued CUPS jobs. ``/etc/crontab`` and ``/etc/cron.d`` belong to the system and
stay, and so do the spool folders and at's own counter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebuild.customise.operation import NoParams, Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.SCRUB
CARRIES = "trace"
REPLACES = ("cron-spool", "mail-spool")
Params = NoParams

_QUEUES = (
    "active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "maildrop", "saved", "input",
    "msglog", "db",
)  # fmt: skip
_STAY = (".SEQ", ".placeholder", ".keep")
"""at's counter, and placeholders that packages put into empty folders."""
_SPOOLS = (
    "/var/mail",
    "/var/spool/mail",
    "/var/spool/mqueue",
    "/var/spool/clientmqueue",
    "/var/spool/cron",
    "/var/spool/cron/crontabs",
    "/var/spool/cron/tabs",
    "/var/spool/at",
    "/var/spool/atjobs",
    "/var/spool/cron/atjobs",
    "/var/spool/atspool",
    "/var/spool/cron/atspool",
    "/var/spool/at/spool",
    "/var/spool/anacron",
    "/var/spool/cups",
    "/var/spool/cups/tmp",
    "/var/spool/samba",
    "/var/spool/fcron",
    "/var/spool/incron",
    "/var/spool/nullmailer/queue",
    "/var/spool/nullmailer/failed",
    "/var/spool/dma",
    "/var/spool/smtpd/queue",
    "/var/spool/fax/incoming",
)
_EACH = ("/var/spool/cups-pdf/*/*", "/var/spool/lpd/*/*")
"""Files of users and printers."""
_HASHED = tuple(f"/var/spool/{mta}/{queue}" for mta in ("postfix", "exim4", "exim") for queue in _QUEUES)
"""Queues whose files are distributed over subfolders."""


def apply(guest: Guest, params: NoParams) -> None:
    for folder in _SPOOLS:
        if guest.sweepable(folder):
            entries = guest.listdir(folder)
            guest.remove(f"{folder}/{one.name}" for one in entries if one.kind == "file" and one.name not in _STAY)
    guest.remove_files(*_EACH)
    guest.remove(f"{home.path}/dead.letter" for home in guest.homes())
    for queue in _HASHED:
        guest.remove([path for path, entry in guest.walk(queue) if entry.kind == "file"])
