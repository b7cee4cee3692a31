"""Checks the values of supported options. Pure, on pykickstart's parsed objects."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, Protocol

from . import firewall, grub_password, needed_packages, network_values, ntp, package_names, rules, sources

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .machine import TargetMachine

Problem = tuple[int, str, str | None] | tuple[int, str, str | None, Literal["error", "warning"]]
"""Line, message, hint, and the severity if it is no error."""

_SELINUX_DISABLED = 0
"""pykickstart.constants.SELINUX_DISABLED"""
_ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


ValuesCheck = Callable[[Any, "TargetMachine | None", bool], "Iterable[Problem]"]
"""A check of pykickstart's handler for a machine; if the kickstart is not complete, included files may
have the rest.
"""
CHECKS: tuple[ValuesCheck, ...] = (
    lambda handler, machine, complete: rules.problems(handler, machine, complete=complete),
    lambda handler, _machine, _complete: _bootloader(handler.bootloader),
    lambda handler, _machine, _complete: network_values.problems(handler.network.network),
    lambda handler, _machine, _complete: firewall.problems(handler.firewall),
    lambda handler, _machine, _complete: ntp.problems(handler),
    lambda handler, _machine, complete: _payload(handler, complete=complete),
    lambda handler, machine, _: needed_packages.problems(handler, machine.firmware if machine is not None else "bios"),
    lambda handler, _machine, _complete: _without_packages(handler),
    lambda handler, _machine, _complete: _accounts(handler),
    lambda handler, _machine, _complete: _locale(handler),
)
"""Each depends on nothing but what it reads of the handler."""


class Run(Protocol):
    """Runs a check of ``CHECKS``, or returns what it found before."""

    def __call__(
        self, check: ValuesCheck, handler: Any, machine: TargetMachine | None, *, complete: bool
    ) -> Iterable[Problem]: ...


def run_now(check: ValuesCheck, handler: Any, machine: TargetMachine | None, *, complete: bool) -> Iterable[Problem]:
    """Run the check."""
    return check(handler, machine, complete)


def problems(
    handler: Any, machine: TargetMachine | None, *, complete: bool = True, run: Run = run_now
) -> Iterator[Problem]:
    """Every value that kickstrap does not support, and everything required that is missing. If the
    kickstart is not ``complete``, included files may have the rest.
    """
    for check in CHECKS:
        yield from run(check, handler, machine, complete=complete)


def _bootloader(bootloader: Any) -> Iterator[Problem]:
    if bootloader.location not in {"mbr", "none", None}:
        yield (
            bootloader.lineno,
            f"bootloader: --location={bootloader.location} is not supported by kickstrap",
            ("use mbr or none"),
        )
    if bootloader.timeout is not None and bootloader.timeout < 0:
        yield bootloader.lineno, "bootloader: --timeout is negative", None
    if bootloader.isCrypted and bootloader.password and not grub_password.HASH.fullmatch(bootloader.password):
        hint = "make one with grub-mkpasswd-pbkdf2; it begins with grub.pbkdf2.sha512"
        yield bootloader.lineno, "bootloader: --password is not a hash that GRUB 2 reads", hint


def _payload(handler: Any, *, complete: bool) -> Iterator[Problem]:
    liveimg, url, repos = handler.liveimg, handler.url, handler.repo.repoList
    found = [(url.lineno, "url", url.url)] * bool(url.seen) + [(repo.lineno, "repo", repo.baseurl) for repo in repos]
    if liveimg.seen:
        if not (liveimg.url or "").startswith("file:///"):
            yield liveimg.lineno, f"liveimg: {liveimg.url} is not supported by kickstrap", "use file:///PATH"
        if liveimg.checksum and not re.fullmatch("[0-9a-fA-F]{64}", liveimg.checksum):
            yield liveimg.lineno, "liveimg: --checksum is not a SHA-256 digest", "it has 64 hexadecimal digits"
        if line := next((line for line, _, text in found if sources.is_debian(text)), 0):
            yield line, "liveimg and url or repo exclude each other", None
    elif not url.seen and complete:
        yield 1, "there is nothing to install", "add liveimg, or url with %packages"
    for line, name, text in found:
        if (liveimg.seen or name == "repo") and not sources.is_debian(text):
            yield line, f"{name} has no effect: {text!r} is not a package source of Debian", None, "warning"
            continue
        try:
            sources.parse(text or "")
        except ValueError as error:
            yield line, f"{name}: {error}", 'write it as "http://mirror.example/debian trixie main"'


def _without_packages(handler: Any) -> Iterator[Problem]:
    """A firewall and SELinux without their packages, if the kickstart lists its packages."""
    packages = handler.packages
    if not packages.seen:
        return
    named = set(package_names.choose(packages).packages)
    mode, selinux = handler.selinux.selinux, {"selinux-basics", "selinux-policy-default"}
    if handler.selinux.seen and mode != _SELINUX_DISABLED and not named & selinux:
        message = "selinux has no effect: Debian has AppArmor, and SELinux only with the package selinux-basics"
        yield handler.selinux.lineno, message, None, "warning"
    wanted = firewall.make(handler.firewall).enabled and handler.packages.nocore
    if wanted and not named & {*firewall.NAMES, "iptables-persistent"}:
        yield handler.firewall.lineno, "firewall needs the package nftables in the guest", "add nftables to %packages"


def _accounts(handler: Any) -> Iterator[Problem]:
    known = {"root"}
    for user in handler.user.userList:
        known.add(user.name)
        if not _ACCOUNT.fullmatch(user.name or ""):
            yield user.lineno, f"user: {user.name!r} is not a Debian account name", None
        for group in user.groups or ():
            if not _ACCOUNT.fullmatch(group):
                yield user.lineno, f"user {user.name}: {group!r} is not a Debian group name", None
        if any(char in (user.gecos or "") + (user.homedir or "") for char in ":\n"):
            yield user.lineno, f"user {user.name}: a field in /etc/passwd cannot contain a colon", None
        if user.homedir and not user.homedir.startswith("/"):
            yield user.lineno, f"user {user.name}: --homedir={user.homedir} is not an absolute path", None
    for group in handler.group.groupList:
        if not _ACCOUNT.fullmatch(group.name or ""):
            yield group.lineno, f"group: {group.name!r} is not a Debian group name", None
    for key in handler.sshkey.sshUserList:
        if not re.match(r"(\S+ )?(ssh|ecdsa|sk)-\S+ \S+", key.key.strip()) or "PRIVATE" in key.key:
            yield key.lineno, f"sshkey: the key of {key.username} is not a public SSH key", None


def _locale(handler: Any) -> Iterator[Problem]:
    for name in [handler.lang.lang, *(handler.lang.addsupport or [])]:
        if name and not re.fullmatch(r"[A-Za-z]+(_[A-Z]+)?(\.[A-Za-z0-9-]+)?(@[a-z]+)?", name):
            yield handler.lang.lineno, f"lang: {name!r} is not a locale", "write it as en_US.UTF-8"
    zone = handler.timezone.timezone or ""
    if zone and (not re.fullmatch(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*", zone)):
        yield handler.timezone.lineno, f"timezone: {zone!r} is not a time zone", "write it as Europe/Berlin"
    keyboard = handler.keyboard
    for layout in [keyboard.keyboard, *keyboard.x_layouts]:
        if layout and not re.fullmatch(r"[A-Za-z0-9_-]+( ?\([A-Za-z0-9_-]+\))?", layout):
            yield keyboard.lineno, f"keyboard: {layout!r} is not a layout", "write it as us, or as 'de (nodeadkeys)'"
    for option in keyboard.switch_options:
        if not re.fullmatch(r"[A-Za-z0-9_]+:[A-Za-z0-9_-]+", option):
            yield keyboard.lineno, f"keyboard: {option!r} is not an XKB option", None
