"""Which recipes share an installed disk: those whose kickstarts differ only in packages beyond the
foundation's.

The disk is then installed with the foundation's packages, and the others are added to it
(``difference``). That gives what installing all of them would give only if nothing that the installer
does, or a script, depends on the others: everything in a kickstart that could is a reason against it.
It is decided by the kickstart alone, never by what a store contains, so that a recipe gives the same
image on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from imagebuild.kickstart.check import ParsedKickstart
from imagebuild.kickstrap import foundation
from imagebuild.kickstrap.agent import needed_packages, package_names
from imagebuild.kickstrap.payload import PayloadSpec

MARK = "# imagebuild: independent of packages"
"""A %post with this line does the same whichever further packages are there."""
COMMANDS = frozenset({
    "autopart", "bootloader", "btrfs", "clearpart", "cmdline", "eula", "firewall", "firstboot", "graphical", "group",
    "halt", "ignoredisk", "keyboard", "lang", "liveimg", "logvol", "network", "part", "partition", "poweroff", "raid",
    "reboot", "reqpart", "rootpw", "selinux", "services", "shutdown", "skipx", "sshkey", "text", "timezone", "user",
    "url", "volgroup", "zerombr",
})  # fmt: skip
"""Commands whose effect depends on no packages but those that they need, and files that ``difference`` refuses."""
SERVICES = frozenset({"networking", "qemu-guest-agent", "ssh", "sshd", "systemd-timesyncd"})
"""Services of the foundation; a test compares them."""
GROUPS = frozenset({
    "adm", "audio", "backup", "cdrom", "dialout", "dip", "disk", "fax", "floppy", "games", "kmem", "lp", "mail", "man",
    "news", "operator", "plugdev", "proxy", "root", "sasl", "shadow", "src", "staff", "sudo", "sys", "tape", "tty",
    "users", "utmp", "uucp", "video", "voice", "www-data",
})  # fmt: skip
"""Groups that every Debian has: those of base-passwd (/usr/share/base-passwd/group.master)."""
SHELLS = frozenset({"", "/bin/bash", "/bin/dash", "/bin/sh", "/usr/sbin/nologin", "/sbin/nologin", "/bin/false"})


def installed_first(kickstart: ParsedKickstart, text: str, spec: PayloadSpec, firmware: str) -> tuple[str, ...]:
    """The packages of ``spec`` that the shared disk of a machine with this firmware is installed with,
    sorted; empty if the recipe has a disk of its own, or names no more than them.
    """
    first = foundation.part(spec.packages)
    if not first or spec.core:
        return ()
    needed = needed_packages.needed(kickstart.handler, firmware)
    if not all(set(one.packages) & set(first) for one in needed):
        return ()
    return () if next(obstacles(kickstart.handler, text), "") else first


def is_installed(names: frozenset[str], line: str) -> bool:
    """Whether a line of %packages is about the packages ``names`` of a root archive, or leaves some out."""
    found = None if line.startswith("-") else package_names.counterpart(line.split()[0])
    return found is None or names.issuperset(found.packages)


def obstacles(handler: Any, text: str) -> Iterator[str]:
    """What in a kickstart may depend on packages."""
    for line in _outside(text):
        word = line.split()[0]
        if word not in COMMANDS and word not in ("%packages", "%post"):
            yield word
    for script in handler.scripts:
        if MARK not in (line.strip() for line in script.script.splitlines()):
            yield "%post"
    named = {one.removesuffix(".service") for one in (*handler.services.enabled, *handler.services.disabled)}
    yield from sorted(named - SERVICES)
    own = {group.name for group in handler.group.groupList}
    for user in handler.user.userList:
        yield from sorted(set(user.groups) - GROUPS - own - {user.name})
        if user.shell not in SHELLS:
            yield user.shell
    if handler.firewall.enabled:
        yield "firewall"
    if handler.timezone.ntpservers or handler.timezone.nontp:
        yield "timezone"


def _outside(text: str) -> Iterator[str]:
    """The commands, and the headers of sections."""
    inside = False
    for line in text.splitlines():
        if line.startswith("%"):
            inside = not line.startswith("%end")
            if inside:
                yield line
        elif not inside and line.strip() and not line.strip().startswith("#"):
            yield line
