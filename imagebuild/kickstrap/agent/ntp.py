"""Where the guest gets the time from: chrony, or systemd-timesyncd if it has only that."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from .services import ServiceChanges

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .target import Target

UNITS = ("chrony", "systemd-timesyncd", "ntpsec", "openntpd")
"""Debian's services for the time."""
_CHRONY, _TIMESYNCD = "/etc/chrony/chrony.conf", "/lib/systemd/systemd-timesyncd"
_HOST = re.compile(r"[A-Za-z0-9.:-]{1,253}")


class TimeSource(NamedTuple):
    """A server, or a ``pool`` of them; with ``nts`` its answers are authenticated."""

    host: str
    pool: bool = False
    nts: bool = False


class TimeSources(NamedTuple):
    """The sources that replace the guest's own, if there are any; ``disabled``: it uses none."""

    sources: tuple[TimeSource, ...] = ()
    disabled: bool = False


def make(handler: Any) -> TimeSources:
    """The time sources of ``timesource`` and of ``timezone --ntpservers``, which is older."""
    found = [TimeSource(host) for host in handler.timezone.ntpservers or ()]
    disabled = bool(handler.timezone.nontp)
    for one in handler.timesource.timesource_list:
        disabled = disabled or bool(one.ntp_disable)
        if one.ntp_server or one.ntp_pool:
            found.append(TimeSource(one.ntp_server or one.ntp_pool, bool(one.ntp_pool), bool(one.nts)))
    return TimeSources(tuple(dict.fromkeys(found)), disabled)


def problems(handler: Any) -> Iterator[tuple[int, str, str | None]]:
    """Line, message and hint of each value that is not supported."""
    line = handler.timezone.lineno
    for one in make(handler).sources:
        if not _HOST.fullmatch(one.host):
            at = next((each.lineno for each in handler.timesource.timesource_list), line)
            yield at, f"timesource: {one.host!r} is not a host", None


def configure(target: Target, times: TimeSources) -> ServiceChanges:
    """Write the sources for the guest's service, and return the services to be switched off."""
    if times.disabled:
        return ServiceChanges(disabled=UNITS)
    if not times.sources:
        return ServiceChanges()
    if target.has(_CHRONY):
        lines = target.read(_CHRONY).splitlines()
        kept = [f"# {line}" if re.match(r"(pool|server|peer)\s", line) else line for line in lines]
        target.write(_CHRONY, "\n".join([*kept, *map(_of_chrony, times.sources)]) + "\n")
    elif target.has(_TIMESYNCD, f"/usr{_TIMESYNCD}"):
        hosts = " ".join(one.host for one in times.sources)
        target.write("/etc/systemd/timesyncd.conf.d/kickstart.conf", f"[Time]\nNTP={hosts}\n")
    else:
        target.log("the time sources have no effect: the target has neither chrony nor systemd-timesyncd")
    return ServiceChanges()


def _of_chrony(one: TimeSource) -> str:
    return f"{'pool' if one.pool else 'server'} {one.host} iburst{' nts' if one.nts else ''}"
