"""A guest's disks through libguestfs: the only place that imports ``guestfs``.

Whatever a guest's disk holds is read by the appliance's kernel, never by the host's, and every path
is resolved inside the guest.
"""

from __future__ import annotations

import posixpath
import stat as stat_bits
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from imagebuild import fstab
from imagebuild.accel import EMULATED_KERNEL_ARGUMENTS
from imagebuild.errors import GuestError, HostError
from imagebuild.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

Kind = Literal["file", "dir", "symlink", "other"]
_KINDS: dict[int, Kind] = {stat_bits.S_IFREG: "file", stat_bits.S_IFDIR: "dir", stat_bits.S_IFLNK: "symlink"}
_CHUNK = 1 << 20
"""Bytes per read; libguestfs's messages hold less than 4 MiB."""
_NO_FILE_SYSTEM = frozenset({"LVM2_member", "linux_raid_member", "swap", "crypto_LUKS"})
"""blkid's names of what is on a partition and cannot be mounted."""


@dataclass(frozen=True)
class Entry:
    """What is at a path of a guest, links not followed: its last name, kind, permission bits, size in bytes."""

    name: str
    kind: Kind
    mode: int
    size: int


class Root(NamedTuple):
    """Where a guest's root file system is: a device of the appliance's, and the mount options it takes."""

    device: str
    options: str = ""


@contextmanager
def opened(
    disk: Path,
    fmt: Literal["raw", "qcow2"],
    *,
    accel: Literal["kvm", "tcg"],
    tmpdir: Path,
    network: bool = False,
    more: Sequence[Path] = (),
) -> Iterator[GuestDisk]:
    """The guest on ``disk`` and its further disks ``more``, mounted for writing as its /etc/fstab says, in an appliance.

    They must be copies that may be thrown away: nothing is flushed to them before the end, and after an
    exception their content is undefined. Temporary files go to ``tmpdir``. Raises HostError when the
    appliance does not start, GuestError when there is no guest or it cannot be written.
    """
    handle = _handle()
    try:
        guestfs = _Translated(handle)
        handle.set_backend("direct")
        handle.set_tmpdir(str(tmpdir))
        if accel == "tcg":
            handle.set_backend_setting("force_tcg", "1")
            handle.set_append(" ".join(EMULATED_KERNEL_ARGUMENTS))
            # Measured under emulation: 8.2 s to start with two processors, 9.4 s with one.
            handle.set_smp(2)
        handle.set_network(network)
        for path in (disk, *more):
            guestfs.add_drive_opts(str(path), format=fmt, discard="enable", cachemode="unsafe")
        _launch(handle)
        _mount(guestfs, find_root(guestfs))
        yield GuestDisk(guestfs, (disk, *more))
        # Only a shutdown tells whether the last writes arrived; close() would hide that.
        guestfs.shutdown()
    finally:
        handle.close()


def _handle() -> Any:
    try:
        import guestfs
    except ImportError as error:
        raise HostError(
            "libguestfs's Python binding is not there",
            "run `make setup`; the virtual environment must see the system's packages (python3-guestfs)",
        ) from error
    return guestfs.GuestFS(python_return_dict=True)


def _launch(handle: Any) -> None:
    try:
        handle.launch()
    except RuntimeError as error:
        told = str(error).strip().splitlines() or ["no reason given"]
        raise HostError(
            f"libguestfs's appliance did not start: {told[0]}",
            "it needs a kernel that is readable in /boot, and its modules; `libguestfs-test-tool` tells more",
        ) from error


class _Translated:
    """libguestfs's calls, with its RuntimeError as GuestError."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = getattr(self._handle, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except RuntimeError as error:
                raise GuestError(f"libguestfs: {str(error).strip()}") from error
            except UnicodeError as error:
                raise GuestError(f"libguestfs: {name}: a file name in the guest is not UTF-8") from error

        return call


def find_root(guestfs: Any) -> Root:
    """The only root file system on the disks, found by looking for /etc/fstab or os-release.

    Partitions, logical volumes, RAID arrays and subvolumes of a btrfs are looked at. libguestfs's own inspection finds
    out much more, and takes 30 s under emulation. GuestError if there is no root file system, or more than one.
    """
    candidates = guestfs.list_partitions() or guestfs.list_devices()
    roots: dict[str, Root] = {}
    refused = []
    for device in [*candidates, *guestfs.list_md_devices(), *guestfs.lvs()]:
        fstype = guestfs.vfs_type(device)
        if fstype in _NO_FILE_SYSTEM:
            continue  # a mount would try every type there is
        try:
            guestfs.mount_ro(device, "/")
        except GuestError as error:
            refused.append(str(error))
            continue
        # a btrfs is found once on each of its devices
        name = guestfs.vfs_uuid(device) if fstype == "btrfs" else device
        roots |= {f"{name} {options}": Root(device, options) for options in _roots_in(guestfs, fstype)}
        guestfs.umount_all()
    if len(roots) > 1:
        found = ", ".join(f"{root.device} {root.options}".strip() for root in roots.values())
        raise GuestError(f"this guest has more than one root file system: {found}")
    if not roots:
        for reason in refused:
            logger.debug("no root file system: %s", reason)
        raise GuestError(
            "there is no root file system on this disk",
            "none of its partitions has an /etc/fstab; encrypted ones are not opened",
        )
    return next(iter(roots.values()))


def _roots_in(guestfs: Any, fstype: str) -> list[str]:
    """The mount options of each root file system in the one that is mounted just now."""
    places = {"": ""}
    if fstype == "btrfs":
        paths = [found["btrfssubvolume_path"] for found in guestfs.btrfs_subvolume_list("/")]
        places |= {f"/{path}": f"subvol={path}" for path in paths}
    marks = ("/etc/fstab", "/etc/os-release", "/usr/lib/os-release")
    return [options for place, options in places.items() if any(guestfs.exists(place + mark) for mark in marks)]


def _mount(guestfs: Any, root: Root) -> None:
    """Mount ``root`` and what its fstab names, writable."""
    guestfs.mount_options(root.options, root.device, "/")
    text = guestfs.pread("/etc/fstab", _CHUNK, 0) if guestfs.is_file("/etc/fstab", followsymlinks=True) else b""
    for entry in fstab.parse(text.decode("utf-8", "replace")):
        if not entry.on_a_local_disk or entry.mountpoint == "/":
            continue
        try:
            place = guestfs.realpath(entry.mountpoint)
            guestfs.mount_options(entry.subvolume, _find(guestfs, entry.spec), place)
        except GuestError as error:
            if "nofail" in entry.options:
                logger.debug("not mounted: %s: %s", entry.mountpoint, error)
                continue
            raise GuestError(
                f"cannot mount {entry.spec} on {entry.mountpoint}, as the guest's /etc/fstab says: {error}",
                "every file system that the guest mounts at boot must be on the disks of its image",
            ) from error


def _find(guestfs: Any, spec: str) -> str:
    """The appliance's device for the first field of an fstab line."""
    kind, value = fstab.identifier(spec)
    if kind == "UUID":
        return str(guestfs.findfs_uuid(value))
    if kind == "LABEL":
        return str(guestfs.findfs_label(value))
    if kind == "device":
        return value
    tag = {"PARTUUID": "PART_ENTRY_UUID", "PARTLABEL": "PART_ENTRY_NAME"}[kind]
    for device in guestfs.list_partitions():
        if guestfs.blkid(device).get(tag, "").lower() == value.lower():
            return str(device)
    raise GuestError(f"no partition has {kind} {value}")


class GuestDisk:
    """The primitives that ``imagebuild.customise.guest.Guest`` builds on; see its ``Files`` protocol."""

    def __init__(self, guestfs: Any, disks: Sequence[Path]) -> None:
        self._g = guestfs
        self._disks = tuple(disks)

    def stat(self, path: str) -> Entry | None:
        folder, name = posixpath.split(path)
        if not name:
            return Entry("", "dir", 0o755, 0)
        try:
            found = self._entries(folder, [name])
        except GuestError:
            if self._g.is_dir(folder, followsymlinks=True):
                raise
            return None
        return found[0] if found else None

    def _entries(self, folder: str, names: list[str]) -> list[Entry]:
        stats = self._g.lstatnslist(folder, names)
        return [
            Entry(
                name,
                _KINDS.get(stat_bits.S_IFMT(found["st_mode"]), "other"),
                stat_bits.S_IMODE(found["st_mode"]),
                found["st_size"],
            )
            for name, found in zip(names, stats, strict=True)
            if found["st_ino"] != -1
        ]

    def listdir(self, path: str) -> list[Entry]:
        names = self._g.ls(path)
        return self._entries(path, names) if names else []

    def realpath(self, path: str) -> str:
        return str(self._g.realpath(path))

    def readlink(self, path: str) -> str:
        return str(self._g.readlink(path))

    def read(self, path: str, limit: int) -> bytes:
        # Not read_file(): that takes 138 ms under emulation where pread() takes 3.
        content = b""
        while len(content) < limit:
            more = self._g.pread(path, min(_CHUNK, limit - len(content)), len(content))
            if not more:
                break
            content += more
        return content

    def glob(self, pattern: str) -> list[str]:
        return list(self._g.glob_expand(pattern, directoryslash=False))

    def write(self, path: str, content: bytes) -> None:
        self._g.write(path, content)

    def chmod(self, mode: int, path: str) -> None:
        self._g.chmod(mode, path)

    def mkdir(self, path: str) -> None:
        self._g.mkdir_p(path)

    def symlink(self, target: str, path: str) -> None:
        self._g.ln_s(target, path)

    def remove(self, path: str) -> None:
        self._g.rm_rf(path)

    def truncate(self, path: str) -> None:
        self._g.truncate(path)

    def run(self, argv: Sequence[str], env: Mapping[str, str]) -> str:
        variables = [f"{name}={value}" for name, value in env.items()]
        try:
            return str(self._g.command([*(["env", *variables] if variables else []), *argv]))
        except GuestError as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            raise GuestError(f"{argv[0]} failed in the guest: {' | '.join(lines[-3:])}") from error

    def mountpoints(self) -> list[str]:
        return sorted(self._g.mountpoints().values())

    def trim(self, mountpoint: str) -> int:
        self._g.sync()
        before = self._blocks()
        self._g.fstrim(mountpoint)
        return max(0, before - self._blocks()) * 512

    def _blocks(self) -> int:
        return sum(disk.stat().st_blocks for disk in self._disks)
