"""A service sets the clock.

One of chronyd, systemd-timesyncd, ntpd (also NTPsec's) and openntpd is enabled and active. The
guest's own clock is not enough: kvm-clock is right when the guest starts, and nothing corrects it
after the host was suspended or the guest was moved.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from imagebuild.verify import printed
from imagebuild.verify.check import NoCheckParams, NothingToCheck, Printed

Params = NoCheckParams
PROBES = {
    "init": "if [ -d /run/systemd/system ]; then echo systemd; else echo other; fi",
    "services": (
        "for u in chronyd chrony systemd-timesyncd ntpd ntp ntpsec openntpd; do "
        'echo "$u,$(systemctl is-enabled $u.service 2>/dev/null),$(systemctl is-active $u.service 2>/dev/null)"; done'
    ),
}
_ENABLED = ("enabled", "enabled-runtime", "alias")


def judge(seen: Mapping[str, Printed], _params: NoCheckParams) -> Iterator[str]:
    if printed.text(seen, "init", "the init system").strip() != "systemd":
        raise NothingToCheck("the guest does not run systemd")
    states = {}
    for line in printed.lines(seen, "services", "the state of the clock's services"):
        match line.split(","):
            case [name, installed, state]:
                states[name] = (installed in _ENABLED, state == "active", state)
    # systemctl always says something about whether a unit is active.
    if not any(state for _, _, state in states.values()):
        raise printed.unreadable("the state of the clock's services")
    if any(enabled and active for enabled, active, _ in states.values()):
        return
    for name, (enabled, active, state) in states.items():
        if active:
            yield f"{name} is active, but not enabled: it will not start at the next boot"
        elif enabled:
            yield f"{name} is enabled, but {state}"
    if not any(enabled or active for enabled, active, _ in states.values()):
        yield "no service sets the clock: none of chronyd, systemd-timesyncd, ntpd and openntpd is enabled"
