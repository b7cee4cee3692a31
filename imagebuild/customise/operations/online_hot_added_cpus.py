"""Bring CPUs and memory online that are added to a running guest.

The kernel leaves added CPUs offline, and Debian has nothing that brings them online (seen with
Debian 12); the RHEL family has a udev rule for it. Writes such a rule to ``/etc/udev/rules.d``; where
the distribution has one too, both do the same. Needed where the maximum of ``machine.vcpus``
is above the current number, or memory modules will be attached. Memory that a balloon returns needs
no rule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagebuild.customise.operation import NoParams, NotApplicable, Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE
Params = NoParams
_RULE = "/etc/udev/rules.d/60-imagebuild-hot-added.rules"
_TEXT = """\
SUBSYSTEM=="cpu", ACTION=="add", TEST=="online", ATTR{online}=="0", ATTR{online}="1"
SUBSYSTEM=="memory", ACTION=="add", TEST=="state", ATTR{state}=="offline", ATTR{state}="online"
"""
"""udev(7); the files are those of the kernel's Documentation/ABI/testing/sysfs-devices-system-cpu
and sysfs-devices-memory."""


def apply(guest: Guest, params: NoParams) -> None:
    if not any(guest.is_dir(folder) for folder in ("/etc/udev", "/usr/lib/udev", "/lib/udev")):
        raise NotApplicable("no udev")
    guest.create(_RULE, _TEXT)
