"""A mount point, user, network device or repository is defined twice.

pykickstart warns about it, and the installer uses the last one or both. Keep one of them. Several
SSH keys of a user, several VLANs on a device and a line that only sets the host name are not
reported.
"""

from __future__ import annotations

from collections.abc import Iterator

from imagebuild.errors import Severity
from imagebuild.kickstart.parsed import Command, Kickstart, Said
from imagebuild.kickstart.rule import KickstartTarget

SEVERITY: Severity = "warning"


def find(kickstart: Kickstart, target: KickstartTarget) -> Iterator[Said]:
    """pykickstart's warnings about duplicates."""
    seen: dict[tuple[object, ...], int] = {}
    different = set()
    for command in kickstart.named("network", "sshkey"):
        key = _what(command)
        if key is None or key not in seen:
            different.add(command.line)
        if key is not None:
            seen.setdefault(key, command.line)
    for said, name in kickstart.repetitions:
        if name not in ("network", "sshkey") or said.line not in different:
            yield said


def _what(command: Command) -> tuple[object, ...] | None:
    """What a line defines, where pykickstart compares too little; None if it may be repeated.

    pykickstart 3.78 compares only the users of SSH keys, and only the devices of `network`, which
    is empty in a line that only sets the host name, and the parent's in that of a VLAN.
    """
    if command.name == "sshkey":
        return command.name, command.option("--username"), str(command.given.values.get("sshkey"))
    device = command.option("--device")
    if device is None and command.has("--hostname") and not command.has("--ip", "--bootproto"):
        return None
    return command.name, device, command.option("--vlanid"), command.option("--interfacename")
