"""Puts the inventory of an opened guest together."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from imagebuild.contents import derive
from imagebuild.contents.inventory import EnabledUnit, GuestAccount, Inventory, SystemRelease
from imagebuild.customise.contents import disk_layout, package_reader, survey
from imagebuild.customise.contents.guest_reader import ApplianceReader, GuestReader, HostReader
from imagebuild.customise.contents.listing import Listing
from imagebuild.customise.contents.package_reader import PackageReader
from imagebuild.errors import GuestError
from imagebuild.guest import GuestDisk
from imagebuild.guest.ext4.superblock import UnsupportedExt4Error
from imagebuild.log import logger

if TYPE_CHECKING:
    from imagebuild.customise.files import Files

_LARGEST_TEXT = 1 << 20
_LARGEST_DATABASE = 64 << 20
_NO_LOGIN = frozenset({"nologin", "false", "sync", "shutdown", "halt"})
"""Programs in the place of a shell that let nobody in."""
_IN_SHADOW = "x"
_MACHINES = {
    3: "i686", 8: "mips", 21: "ppc64le", 22: "s390x", 40: "armv7l", 62: "x86_64", 183: "aarch64", 243: "riscv64",
    258: "loongarch64",
}  # fmt: skip
"""``e_machine`` in the header of a program: elf(5)."""
_UNIT_FOLDERS = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
_LISTENS = re.compile(
    r"^[ \t]*(Listen(?:Stream|Datagram|SequentialPacket|FIFO|Special|Netlink))[ \t]*=[ \t]*(.*?)[ \t]*$", re.MULTILINE
)


def collect(files: Files, packages: Mapping[str, str] | None = None, *, all_digests: bool = False) -> Inventory:
    """The inventory of the guest. ``packages`` are its packages, if they are known already. With
    ``all_digests`` every file is read: nobody else may get such an inventory, see ``survey``.

    Raises GuestError if the appliance cannot list the guest's files.
    """
    if isinstance(files, GuestDisk):
        with files.root_at_rest() as read:
            if read is not None:
                try:
                    reader = HostReader(read, files.appliance_output(survey.DEVICES), all_digests=all_digests)
                    return _Collector(reader).inventory(packages)
                except UnsupportedExt4Error as error:
                    logger.debug("the appliance lists the guest: %s", error)
    return _Collector(ApplianceReader(files, all_digests=all_digests)).inventory(packages)


class _Collector:
    """Reads files of a guest whose paths are all known."""

    def __init__(self, reader: GuestReader) -> None:
        self._reader = reader
        self._survey = reader.survey
        self._listing = Listing(self._survey.files)

    def inventory(self, packages: Mapping[str, str] | None) -> Inventory:
        package_format = package_reader.package_format(self._listing)
        reader = PackageReader(self._reader, self._listing, self._bytes)
        installed, unowned = reader.installed(package_format)
        known = packages
        if known is None and (installed is not None or not package_format):
            known = {one.name: one.version for one in installed or ()}
        disks, volumes = disk_layout.layouts(self._survey)
        return Inventory(
            system=self._system(),
            package_format=package_format,
            # a package manager whose database cannot be read has packages that are not known, not none
            packages=None if known is None or (package_format and not known) else dict(sorted(known.items())),
            accounts=self._accounts(),
            units=tuple(self._with_addresses(one) for one in derive.units(self._survey.files)),
            kernels=derive.kernels(self._survey.files),
            folders=derive.folders(self._survey.blocks),
            disks=disks,
            volumes=volumes,
            files=self._survey.files,
            installed=installed,
            unowned=unowned,
        )

    def _text(self, path: str, limit: int = _LARGEST_TEXT) -> str:
        """The text of a file; empty if it does not exist, cannot be read or is larger than expected."""
        return self._bytes(path, limit).decode("utf-8", "surrogateescape")

    def _bytes(self, path: str, limit: int, first: int | None = None) -> bytes:
        real = self._listing.real_file(path)
        found = self._listing.stat(real) if real is not None else None
        if real is None or found is None or (first is None and found.size > limit):
            return b""
        try:
            return self._reader.read(real, limit if first is None else first)
        except GuestError as error:
            logger.debug("not read for the inventory: %s", error)
            return b""

    def _system(self) -> SystemRelease:
        text = self._text("/etc/os-release") or self._text("/usr/lib/os-release")
        values = dict(_assignment(line) for line in text.splitlines() if "=" in line)
        return SystemRelease(
            values.get("ID", ""),
            values.get("VERSION_ID", ""),
            values.get("VERSION_CODENAME", ""),
            values.get("PRETTY_NAME", "") or values.get("NAME", ""),
            self._architecture(),
        )

    def _architecture(self) -> str:
        """What the guest's shell is compiled for."""
        head = self._bytes("/bin/sh", _LARGEST_DATABASE, first=20)
        if head[:4] != b"\x7fELF" or len(head) < 20:
            return ""
        machine = int.from_bytes(head[18:20], "little" if head[5] == 1 else "big")
        return _MACHINES.get(machine, f"machine {machine}")

    def _accounts(self) -> tuple[GuestAccount, ...]:
        shadow = dict(line.split(":")[:2] for line in self._text("/etc/shadow").splitlines() if ":" in line)
        found: dict[str, GuestAccount] = {}
        for line in self._text("/etc/passwd").splitlines():
            fields = line.split(":")
            if len(fields) >= 7 and _is_id(fields[2]) and _is_id(fields[3]):
                name, field, uid, gid, _, home, shell = fields[:7]
                login = self._login(home, shell, shadow.get(name, "!") if field == _IN_SHADOW else field)
                found.setdefault(name, GuestAccount(name, int(uid), int(gid), home, shell, login))
        return tuple(found[name] for name in sorted(found))

    def _login(self, home: str, shell: str, field: str) -> tuple[str, ...]:
        """With what somebody can log in; ``field`` is that of shadow(5), of which nothing is kept."""
        if shell.rpartition("/")[2] in _NO_LOGIN:
            return ()
        with_password = {"": "empty password"}.get(field, "" if field[:1] in "!*" else "password")
        keys = (self._listing.real_file(f"{home}/.ssh/{name}") for name in ("authorized_keys", "authorized_keys2"))
        with_key = any((found := self._listing.stat(path)) and found.size for path in keys if path)
        return tuple(filter(None, (with_password, "key" if with_key else "")))

    def _with_addresses(self, unit: EnabledUnit) -> EnabledUnit:
        """A socket unit with the addresses in its file and in the files that add to it, which are
        read in systemd's order: systemd.unit(5)."""
        if not unit.is_listening:
            return unit
        template = re.sub(r"@[^@]+(\.\w+)$", r"@\1", unit.name)
        names = dict.fromkeys((unit.name, template))
        paths = [f"{folder}/{name}" for name in names for folder in _UNIT_FOLDERS]
        main = next((path for path in paths if self._listing.real_file(path)), None)
        additions: dict[str, str] = {}
        for path in paths:
            for one in self._listing.glob(f"{path}.d/*.conf"):
                additions.setdefault(one.rpartition("/")[2], one)
        addresses: list[str] = []
        for path in [*filter(None, [main]), *(additions[name] for name in sorted(additions))]:
            for _, value in _LISTENS.findall(self._text(path)):
                addresses = [*addresses, value] if value else []
        return replace(unit, listens=tuple(dict.fromkeys(addresses)))


def _assignment(line: str) -> tuple[str, str]:
    """A line of os-release(5); a value that is not quoted correctly is taken as it is."""
    name, _, value = line.strip().partition("=")
    try:
        return name, "".join(shlex.split(value))
    except ValueError:
        return name, value


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10
