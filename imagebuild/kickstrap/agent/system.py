"""Configures the installed system: file systems, host name, language, keyboard, time, services."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from . import firewall, ntp
from .disks import mount_order
from .errors import InstallError
from .services import SUCCESSORS
from .target import set_variables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .disks import FileSystem
    from .filesystems import Mounted
    from .plan import InstallPlan, Keyboard
    from .services import ServiceChanges
    from .target import Target

_KEYMAP = "/etc/vconsole.conf"
_UNITS = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")


def fstab(mounted: Sequence[Mounted]) -> str:
    """The text of /etc/fstab, by UUID, so that the disks may have any name."""
    lines = ["# <file system> <mount point> <type> <options> <dump> <pass>"]
    by_mountpoint = {item.file_system.mountpoint: item for item in mounted}
    for fs in mount_order([item.file_system for item in mounted]):
        options = fs.options or _usual_options(fs)
        if fs.subvolume:
            options = f"{options},subvol={fs.subvolume}"
        check = 0 if fs.fstype != "ext4" else 1 if fs.mountpoint == "/" else 2
        lines.append(f"UUID={by_mountpoint[fs.mountpoint].uuid} {fs.mountpoint} {fs.fstype} {options} 0 {check}")
    swaps = [item for item in mounted if item.file_system.fstype == "swap"]
    lines += [f"UUID={item.uuid} none swap {item.file_system.options or 'sw'} 0 0" for item in swaps]
    return "\n".join(lines) + "\n"


def _usual_options(fs: FileSystem) -> str:
    if fs.fstype == "vfat":
        return "umask=0077"
    return "errors=remount-ro" if fs.fstype == "ext4" and fs.mountpoint == "/" else "defaults"


def configure(target: Target, plan: InstallPlan, mounted: Sequence[Mounted]) -> None:
    """Configure files and services; accounts, network and GRUB are configured elsewhere."""
    target.write("/etc/fstab", fstab(mounted))
    if plan.hostname:
        set_hostname(target, plan.hostname)
    if plan.languages:
        set_language(target, plan.languages)
    if plan.keyboard.layouts:
        set_keyboard(target, plan.keyboard)
    if plan.timezone:
        set_timezone(target, plan.timezone, utc=plan.utc)
    if plan.selinux:
        set_selinux(target, plan.selinux)
    present = [name for name in firewall.NAMES if has_unit(target, name)]
    times = ntp.configure(target, plan.times)
    for changes in (plan.services, times, firewall.configure(target, plan.firewall, present)):
        switch_services(target, changes)


def set_hostname(target: Target, hostname: str) -> None:
    target.write("/etc/hostname", hostname + "\n")
    names = hostname if "." not in hostname else f"{hostname} {hostname.partition('.')[0]}"
    lines = [line for line in target.read("/etc/hosts").splitlines() if not re.match(r"127\.0\.1\.1\s", line)]
    if not any(re.match(r"127\.0\.0\.1\s", line) for line in lines):
        lines[:0] = ["127.0.0.1 localhost"]
    if not any(re.match(r"::1\s", line) for line in lines):
        lines.append("::1 localhost ip6-localhost ip6-loopback")
    if hostname.partition(".")[0] != "localhost":
        lines.insert(1, f"127.0.1.1 {names}")
    target.write("/etc/hosts", "\n".join(lines) + "\n")


def set_language(target: Target, languages: Sequence[str]) -> None:
    """Generate all languages and make the first one the system's."""
    locales = [name if "." in name or name in {"C", "POSIX"} else f"{name}.UTF-8" for name in languages]
    wanted = [name for name in locales if name not in {"C", "POSIX", "C.UTF-8", "C.utf8"}]
    if wanted and not target.has("/usr/sbin/locale-gen"):
        raise InstallError(f"lang {wanted[0]} needs the package locales in the target: add it to %packages")
    if wanted:
        lines = target.read("/etc/locale.gen").splitlines()
        entries = [f"{name} {name.partition('.')[2].partition('@')[0]}" for name in wanted]
        lines += [entry for entry in entries if entry not in lines]
        target.write("/etc/locale.gen", "\n".join(lines) + "\n")
        target.commands.run(["locale-gen"])
    target.write("/etc/default/locale", f"LANG={locales[0]}\n")


def set_keyboard(target: Target, keyboard: Keyboard) -> None:
    """Set the keyboard: X layouts look like ``de`` or ``de (nodeadkeys)``, console keymaps like
    ``de-nodeadkeys``.
    """
    pairs = []
    for layout in keyboard.layouts:
        match = re.fullmatch(r"([A-Za-z0-9_]+)(?: ?\((.+)\)|-(.+))?", layout)
        pairs.append((match[1], match[2] or match[3] or "") if match else (layout, ""))
    values = {
        "XKBMODEL": '"pc105"',
        "XKBLAYOUT": f'"{",".join(name for name, _ in pairs)}"',
        "XKBVARIANT": f'"{",".join(variant for _, variant in pairs).strip(",") and ",".join(v for _, v in pairs)}"',
        "XKBOPTIONS": f'"{",".join(keyboard.options)}"',
        "BACKSPACE": '"guess"',
    }
    keymap = {"KEYMAP": shlex.quote(keyboard.console_keymap)} if keyboard.console_keymap else {}
    if target.path(_KEYMAP).is_symlink():
        # Debian 13 has one file for both, and makes the link again when the guest starts
        values |= keymap
    elif keymap:
        target.write(_KEYMAP, set_variables(target.read(_KEYMAP), keymap))
    target.write("/etc/default/keyboard", set_variables(target.read("/etc/default/keyboard"), values))


def set_timezone(target: Target, zone: str, *, utc: bool) -> None:
    """Set the time zone. ``utc``: the hardware clock is in UTC, which is also Debian's default."""
    if zone not in {"UTC", "Etc/UTC"} and not target.has(f"/usr/share/zoneinfo/{zone}"):
        raise InstallError(f"the target has no timezone {zone}: add tzdata to %packages, or check the name")
    link = target.path("/etc/localtime")
    link.unlink(missing_ok=True)
    link.symlink_to(f"/usr/share/zoneinfo/{zone}")
    target.write("/etc/timezone", zone + "\n")
    if not utc and zone not in {"UTC", "Etc/UTC"}:
        target.write("/etc/adjtime", "0.0 0 0.0\n0\nLOCAL\n")


def set_selinux(target: Target, mode: str) -> None:
    if target.has("/etc/selinux/config"):
        text = set_variables(target.read("/etc/selinux/config"), {"SELINUX": mode})
        target.write("/etc/selinux/config", text)
    else:
        target.log(f"selinux --{mode}: nothing to do, this system has no SELinux")


def has_unit(target: Target, name: str) -> bool:
    unit = name if "." in name else f"{name}.service"
    return target.has(*(f"{folder}/{unit}" for folder in _UNITS), f"/etc/init.d/{name}")


def switch_services(target: Target, services: ServiceChanges) -> None:
    """Enable and disable units; missing units need not be disabled."""
    enabled, disabled = (
        [current_name(target, name) for name in names] for names in (services.enabled, services.disabled)
    )
    for name in enabled:
        if not has_unit(target, name):
            raise InstallError(f"services --enabled={name}: the target has no such service")
    missing = [name for name in disabled if not has_unit(target, name)]
    for name in missing:
        target.log(f"services --disabled={name}: nothing to do, there is no such service")
    if len(disabled) > len(missing):
        target.commands.run(["systemctl", "disable", *(name for name in disabled if name not in missing)])
    if enabled:
        target.commands.run(["systemctl", "enable", *enabled])


def current_name(target: Target, name: str) -> str:
    """The successor of ``name`` if the target has only that, else ``name``."""
    successor = SUCCESSORS.get(name)
    return successor if successor and not has_unit(target, name) and has_unit(target, successor) else name
