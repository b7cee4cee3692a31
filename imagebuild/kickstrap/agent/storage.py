"""Partitions, assembles, formats and mounts the target's disks, and releases them at the end."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from . import autopart, btrfs, devices, filesystems, firmware, layout, luks, lvm, prepared, raid, readable, volumes
from .disks import mount_order
from .errors import InstallError
from .filesystems import Mounted
from .identity import RANDOM
from .machine import TargetMachine
from .machine import firmware as named_firmware

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .command import CommandRunner
    from .disks import Storage
    from .identity import DiskIdentity
    from .layout import Placed
    from .plan import InstallPlan
    from .target import Target


class TargetDisks:
    """The disks of one installation. ``prepare`` only inspects them; other methods change them."""

    def __init__(self, commands: CommandRunner, wanted: Storage, root: Path, identity: DiskIdentity = RANDOM) -> None:
        self._identity = identity
        self._commands = commands
        self._wanted = wanted
        self._root = root
        self._disks: list[str] = []
        self._placed: list[Placed] = []
        self._devices: dict[str, str] = {}
        self._encrypted: dict[str, str] = {}
        """The UUID of the encryption of each encrypted item."""
        self._prepared: prepared.PreparedRoot | None = None
        self.mounted: list[Mounted] = []
        self.start = firmware.BootLoaders((), efi=False)

    @property
    def boot_disks(self) -> list[str]:
        """The disks that get GRUB for BIOS."""
        return [self._disks[number] for number in self.start.bios]

    def prepare(self, command_line: str = "") -> None:
        """Find the disks and compute the layout. Raises InstallError."""
        self._disks = devices.find_disks()
        sizes = tuple(devices.disk_size(disk) for disk in self._disks)
        machine = TargetMachine(sizes, named_firmware(command_line), devices.find_partitions(self._disks))
        self._wanted = autopart.complete(self._wanted, machine)
        self._placed = layout.place(self._wanted, machine)
        volumes.check_fits(self._wanted, self._placed)
        self.start = firmware.start(self._wanted, self._placed, machine)

    @property
    def adopted(self) -> bool:
        """Whether the host's root file system is used."""
        return self._prepared is not None

    def adopt(self, plan: InstallPlan) -> None:
        """Use the root file system that the host has prepared, if it is the one that ``make`` would create."""
        if not self._identity.prepared:
            return
        found = prepared.root(plan, self._wanted, self._placed, self._identity)
        version = readable.version(self._commands, "ext4")
        if found is None:
            self._commands.log("a prepared root file system cannot be used for this kickstart")
        elif prepared.digest(found, self._identity, version) != self._identity.prepared:
            self._commands.log("the prepared root file system is for another kickstart, archive or mkfs")
        elif not prepared.is_on(self._disks[found.placed.disk], found, self._identity):
            self._commands.log("the prepared root file system is not on the disk")
        else:
            self._commands.log("using the prepared root file system")
            self._prepared = found

    def make(self) -> None:
        """Create partitions, arrays, volume groups and file systems; mount them below the root."""
        wanted, commands = self._wanted, self._commands
        self._partition()
        self._encrypt([part.name for part in wanted.partitions])
        if wanted.arrays:
            raid.make(commands, wanted.arrays, self._devices, self._identity)
            self._encrypt([array.name for array in wanted.arrays])
        if wanted.groups:
            lvm.make(commands, wanted.groups, wanted.volumes, self._devices)
            self._encrypt([volume.name for volume in wanted.volumes])
        self._format()
        self._mount()

    def _encrypt(self, names: Sequence[str]) -> None:
        """Encrypt those of ``names`` that must be, before anything is put on them."""
        chosen = [one for one in self._wanted.encrypted if one.on in names]
        self._encrypted |= luks.make(self._commands, chosen, self._devices, self._identity)

    def _partition(self) -> None:
        """Write a new label to each disk that gets partitions, and empty those that %pre has created."""
        made = [one for one in self._placed if one.partition.existing]
        for one in made:
            self._devices[one.partition.name] = devices.partition_device(self._disks[one.disk], one.number)
        if made:
            self._commands.run(["wipefs", "--all", "--quiet", *self._devices.values()])
        boot = "/boot" if "/boot" in self._wanted.mountpoints else "/"
        for number, disk in enumerate(self._disks):
            mine = [one for one in self._placed if one.disk == number and not one.partition.existing]
            if not mine:
                continue
            named = (f"disk {number + 1}", *(f"disk {number + 1} partition {one.number}" for one in mine))
            script = layout.sfdisk_script(mine, self._wanted.label, boot, [self._identity.uuid(one) for one in named])
            # a partition is wiped unless what is to be used is on this new disk
            kept = self._prepared is not None and self._prepared.placed.disk == number
            wipe = ["--wipe", "always", "--wipe-partitions", "never" if kept else "always"]
            self._commands.run(["sfdisk", "--quiet", *wipe, "--no-reread", disk], input=script)
            for one in mine:
                self._devices[one.partition.name] = devices.partition_device(disk, one.number)
        devices.wait_for(list(self._devices.values()))

    def _format(self) -> None:
        wanted, commands = self._wanted, self._commands
        uuids: dict[str, str] = {}
        there = self._prepared.file_system if self._prepared else None
        made = {fs.fstype for fs in wanted.file_systems if fs != there}
        features = {fstype: readable.options(commands, fstype) for fstype in made}
        for volume in wanted.btrfs:
            uuids[volume.name] = self._identity.uuid("btrfs", volume.name)
            members = [self._devices[name] for name in volume.members]
            commands.run(btrfs.mkfs_command(volume, members, uuids[volume.name], features.get("btrfs", ())))
            btrfs.scan(commands, members)
            self._devices[volume.name] = members[0]
            subvolumes = [fs for fs in wanted.file_systems if fs.on == volume.name and fs.subvolume]
            btrfs.make_subvolumes(commands, members[0], subvolumes)
        for fs in wanted.file_systems:
            device = self._devices[fs.on]
            if fs.on not in uuids:
                uuids[fs.on], mkfs = filesystems.identified(fs, device, features.get(fs.fstype, ()), self._identity)
                if fs != there:
                    commands.run(mkfs)
            if fs.mountpoint != "none":
                self.mounted.append(Mounted(fs, device, uuids[fs.on]))
            devices.link_by_uuid(device, uuids[fs.on])

    def _mount(self) -> None:
        by_mountpoint = {item.file_system.mountpoint: item for item in self.mounted}
        for fs in mount_order([item.file_system for item in self.mounted]):
            place = self._root / fs.mountpoint.lstrip("/")
            place.mkdir(parents=True, exist_ok=True)
            options = filesystems.mount_options(fs)
            self._commands.run(["mount", "-t", fs.fstype, "-o", options, by_mountpoint[fs.mountpoint].device, place])

    def describe(self, target: Target) -> None:
        """Configure the target's arrays and encryption, in its initramfs too: the root may be on them."""
        if self._wanted.arrays:
            if not target.has("/usr/sbin/mdadm", "/sbin/mdadm"):
                raise InstallError("raid needs the package mdadm in the target: add it to %packages")
            target.write(raid.CONFIGURATION, raid.describe(self._commands, self._wanted.arrays))
            if not self._encrypted:
                raid.tell_initramfs(target)
        if self._encrypted:
            # this builds the initramfs again, with all that it needs
            luks.describe(target, self._encrypted.values())

    def free_bytes(self) -> int:
        """The total free space on all file systems of the target."""
        total = 0
        places = {
            item.device: item.file_system.mountpoint for item in self.mounted if item.file_system.fstype != "swap"
        }
        for mountpoint in places.values():
            stat = os.statvfs(self._root / mountpoint.lstrip("/"))
            total += stat.f_bavail * stat.f_frsize
        return total

    def release(self) -> None:
        """Release everything, so that the guest finds it clean."""
        wanted, commands = self._wanted, self._commands
        unmount(commands, self._root)
        lvm.take_snapshots(commands, wanted.snapshots)
        self._lock([volume.name for volume in wanted.volumes])
        if wanted.groups:
            lvm.release(commands, wanted.groups)
        self._lock([array.name for array in wanted.arrays])
        if wanted.arrays:
            raid.release(commands, wanted.arrays)
        self._lock([part.name for part in wanted.partitions])

    def _lock(self, names: Sequence[str]) -> None:
        luks.release(self._commands, [self._encrypted[name] for name in names if name in self._encrypted])


def bind_kernel(commands: CommandRunner, root: Path) -> None:
    """Provide /dev, /proc, /sys and an empty /run for tools inside the target."""
    for name in ("dev", "proc", "sys", "run"):
        (root / name).mkdir(exist_ok=True)
    commands.run(["mount", "--rbind", "/dev", root / "dev"])
    commands.run(["mount", "-t", "proc", "proc", root / "proc"])
    commands.run(["mount", "-t", "sysfs", "sysfs", root / "sys"])
    commands.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", root / "run"])


def unmount(commands: CommandRunner, root: Path) -> None:
    """Unmount everything below ``root``, after ending the processes that still run in it."""
    for process in processes_inside(root):
        commands.log(f"ending process {process}, left behind in the target")
        try:
            os.kill(process, 9)
        except OSError:
            continue
    for attempt in range(10):
        result = commands.run(["umount", "-R", root], check=attempt == 9)
        if result.status == 0:
            return
        time.sleep(0.5)


def processes_inside(root: Path) -> list[int]:
    """Processes whose root or working directory is in ``root``."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        for link in ("root", "cwd"):
            try:
                place = str((entry / link).readlink())
            except OSError:
                continue
            if place == str(root) or place.startswith(f"{root}/"):
                found.append(int(entry.name))
                break
    return found
