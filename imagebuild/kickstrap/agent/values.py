"""Which values of the supported options are carried out. Pure, on pykickstart's parsed objects."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any

from . import sources

if TYPE_CHECKING:
    from collections.abc import Iterator

Problem = tuple[int, str, str | None]
"""Line, message, hint."""

MOST_PARTITIONS = 4
"""What a DOS label holds without an extended partition."""
_LONGEST_LABEL = {"ext4": 16, "xfs": 12}
_NOT_FOR_FILES = ("/dev", "/proc", "/run", "/sys")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_DEVICE = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,14}")
_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*")


def problems(handler: Any, text: str) -> Iterator[Problem]:
    """Every value that kickstrap cannot do, and everything that must be there and is not.

    ``text`` is the kickstart itself: pykickstart keeps no lines of what %packages names.
    """
    yield from _storage(handler)
    yield from _bootloader(handler.bootloader)
    yield from _network(handler.network.network)
    yield from _payload(handler)
    yield from _packages(handler.packages, text)
    yield from _accounts(handler)
    yield from _locale(handler)


def _storage(handler: Any) -> Iterator[Problem]:
    clearpart, parts = handler.clearpart, handler.partition.partitions
    if not clearpart.seen or clearpart.type != 1:  # pykickstart.constants.CLEARPART_TYPE_ALL
        yield clearpart.lineno or 1, "clearpart --all is missing: kickstrap takes the whole disk", None
    if clearpart.disklabel not in {"", None, "msdos", "dos"}:
        yield (
            clearpart.lineno,
            f"clearpart: --disklabel={clearpart.disklabel} is not carried out by kickstrap",
            ("only msdos is, for a BIOS boot"),
        )
    mountpoints = [part.mountpoint for part in parts]
    if "/" not in mountpoints:
        line = parts[0].lineno if parts else 1
        yield line, "there is no root partition", "add: part / --fstype=ext4 --size=1024 --grow"
    if len(parts) > MOST_PARTITIONS:
        yield parts[MOST_PARTITIONS].lineno, f"part: there are more than {MOST_PARTITIONS} partitions", None
    for index, part in enumerate(parts):
        for message, hint in _partition(part):
            yield part.lineno, f"part {part.mountpoint}: {message}", hint
        if part.mountpoint in mountpoints[:index]:
            yield part.lineno, f"part {part.mountpoint}: this mount point is already taken", None


def _partition(part: Any) -> Iterator[tuple[str, str | None]]:
    fstype = part.fstype or "ext4"
    if not re.fullmatch(r"/|(/[A-Za-z0-9._-]+)+", part.mountpoint) or ".." in part.mountpoint.split("/"):
        yield "this mount point is not carried out by kickstrap", "it makes file systems with a path like /var"
        return
    if any(part.mountpoint == place or part.mountpoint.startswith(place + "/") for place in _NOT_FOR_FILES):
        yield "this mount point belongs to the kernel", None
    if fstype not in _LONGEST_LABEL:
        yield f"--fstype={fstype} is not carried out by kickstrap", "ext4 and xfs are"
    elif len((part.label or "").encode()) > _LONGEST_LABEL[fstype]:
        yield f"--label is longer than the {_LONGEST_LABEL[fstype]} bytes that {fstype} holds", None
    if not part.size or part.size < 1:
        yield "--size is missing", "give its size in MiB, and --grow to take what is left"
    if part.maxSizeMB and part.maxSizeMB < (part.size or 0):
        yield "--maxsize is smaller than --size", None
    if re.search(r"\s", part.fsopts or ""):
        yield "--fsoptions holds a space", "separate mount options by commas"


def _bootloader(bootloader: Any) -> Iterator[Problem]:
    if bootloader.location not in {"mbr", "none", None}:
        yield (
            bootloader.lineno,
            f"bootloader: --location={bootloader.location} is not carried out by kickstrap",
            ("mbr and none are"),
        )
    if bootloader.timeout is not None and bootloader.timeout < 0:
        yield bootloader.lineno, "bootloader: --timeout is negative", None


def _network(networks: list[Any]) -> Iterator[Problem]:
    for net in networks:
        for message, hint in _interface(net):
            yield net.lineno, f"network: {message}", hint


def _interface(net: Any) -> Iterator[tuple[str, str | None]]:
    if net.hostname and not _HOSTNAME.fullmatch(net.hostname):
        yield f"{net.hostname!r} is no host name", None
    if not net.device:
        if net.ip or net.gateway or net.nameserver or not net.hostname:
            yield "--device is missing", "name the interface as the guest will see it, for example eth0"
        return
    if not _DEVICE.fullmatch(net.device) or net.device in {"link", "bootif", "ibft"}:
        yield f"--device={net.device} is not carried out by kickstrap", "name the interface, for example eth0"
    if net.bootProto not in {"dhcp", "static"}:
        yield f"--bootproto={net.bootProto} is not carried out by kickstrap", "dhcp and static are"
    if net.bootProto == "static" and not (net.ip and net.netmask):
        yield "--bootproto=static needs --ip and --netmask", None
    if net.netmask and not _is_netmask(net.netmask):
        yield f"--netmask={net.netmask} is no IPv4 netmask", None
    for address in [net.ip, net.gateway]:
        if address and not _is_address(address, 4):
            yield f"{address} is no IPv4 address", None
    for address in (net.nameserver or "").split(","):
        if address.strip() and not _is_address(address.strip()):
            yield f"{address} is no IP address", None


def _is_address(text: str, version: int | None = None) -> bool:
    try:
        return version in {None, ipaddress.ip_address(text).version}
    except ValueError:
        return False


def _is_netmask(text: str) -> bool:
    try:
        return _is_address(text, 4) and bool(ipaddress.IPv4Network(f"0.0.0.0/{text}"))
    except ValueError:
        return False


def _payload(handler: Any) -> Iterator[Problem]:
    liveimg, url, repos = handler.liveimg, handler.url, handler.repo.repoList
    if liveimg.seen and (url.seen or repos):
        line = url.lineno if url.seen else repos[0].lineno
        yield line, "liveimg and url or repo exclude each other", None
    elif liveimg.seen:
        if not (liveimg.url or "").startswith("file:///"):
            yield liveimg.lineno, f"liveimg: {liveimg.url} is not carried out by kickstrap", "file:///PATH is"
        if liveimg.checksum and not re.fullmatch("[0-9a-fA-F]{64}", liveimg.checksum):
            yield liveimg.lineno, "liveimg: --checksum is no SHA-256 digest", "it has 64 hexadecimal digits"
    elif not url.seen:
        yield 1, "nothing says what to install", "add liveimg, or url with %packages"
    for command, text in [(url, url.url)] * url.seen + [(repo, repo.baseurl) for repo in repos]:
        try:
            sources.parse(text or "")
        except ValueError as error:
            name = "url" if command is url else "repo"
            yield command.lineno, f"{name}: {error}", 'write it as "http://mirror.example/debian trixie main"'


def _packages(packages: Any, text: str) -> Iterator[Problem]:
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]

    def line_of(name: str) -> int:
        return next((i for i, line in enumerate(lines, 1) if line in {name, f"-{name}"}), 1)

    groups = [f"@{group.name}" for group in [*packages.groupList, *packages.excludedGroupList]]
    if packages.environment:
        groups.append(f"@^{packages.environment}")
    for name in groups:
        yield line_of(name), f"%packages: {name}: Debian has no package groups", "name a package instead"
    for name in [*packages.packageList, *packages.excludedList]:
        if not _PACKAGE.fullmatch(name):
            yield line_of(name), f"%packages: {name!r} is no Debian package name", None


def _accounts(handler: Any) -> Iterator[Problem]:
    known = {"root"}
    for user in handler.user.userList:
        known.add(user.name)
        if not _ACCOUNT.fullmatch(user.name or ""):
            yield user.lineno, f"user: {user.name!r} is no Debian account name", None
        for group in user.groups or ():
            if not _ACCOUNT.fullmatch(group):
                yield user.lineno, f"user {user.name}: {group!r} is no Debian group name", None
        if any(char in (user.gecos or "") + (user.homedir or "") for char in ":\n"):
            yield user.lineno, f"user {user.name}: a colon cannot stand in /etc/passwd", None
        if user.homedir and not user.homedir.startswith("/"):
            yield user.lineno, f"user {user.name}: --homedir={user.homedir} is no full path", None
    for group in handler.group.groupList:
        if not _ACCOUNT.fullmatch(group.name or ""):
            yield group.lineno, f"group: {group.name!r} is no Debian group name", None
    for key in handler.sshkey.sshUserList:
        if not re.match(r"(\S+ )?(ssh|ecdsa|sk)-\S+ \S+", key.key.strip()) or "PRIVATE" in key.key:
            yield key.lineno, f"sshkey: the key of {key.username} is no public SSH key", None


def _locale(handler: Any) -> Iterator[Problem]:
    for name in [handler.lang.lang, *(handler.lang.addsupport or [])]:
        if name and not re.fullmatch(r"[A-Za-z]+(_[A-Z]+)?(\.[A-Za-z0-9-]+)?(@[a-z]+)?", name):
            yield handler.lang.lineno, f"lang: {name!r} is no locale", "write it as en_US.UTF-8"
    zone = handler.timezone.timezone or ""
    if zone and (not re.fullmatch(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*", zone)):
        yield handler.timezone.lineno, f"timezone: {zone!r} is no time zone", "write it as Europe/Berlin"
    keyboard = handler.keyboard
    for layout in [keyboard.keyboard, *keyboard.x_layouts]:
        if layout and not re.fullmatch(r"[A-Za-z0-9_-]+( ?\([A-Za-z0-9_-]+\))?", layout):
            yield keyboard.lineno, f"keyboard: {layout!r} is no layout", "write it as us, or as 'de (nodeadkeys)'"
    for option in keyboard.switch_options:
        if not re.fullmatch(r"[A-Za-z0-9_]+:[A-Za-z0-9_-]+", option):
            yield keyboard.lineno, f"keyboard: {option!r} is no XKB option", None
