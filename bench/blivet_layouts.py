"""Records the layouts that blivet, the library with which Anaconda partitions, makes of storage sections.

    python bench/blivet_layouts.py tests/kickstrap/data/storage.ks > tests/kickstrap/data/blivet.json

This needs blivet, pykickstart, and blivet's libraries (libblockdev 3 with its plugins, pyparted, udev's and
SELinux's bindings), which are no dependencies of imagebuild: run it as root in a root file system of Debian 13
or Fedora that has them. Disks are sparse files, and nothing is written into them but their labels.

blivet knows no kickstarts: what Anaconda 41 makes of the commands (``pyanaconda/modules/storage/partitioning``)
is done here in short. Swap space that the installer suggests has the size that Anaconda gives it on a machine
with 16 GiB of memory: a tenth of the free space, at most 8 GiB.
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import blivet
import parted
from blivet.devices import DiskFile, LUKSDevice, StorageDevice
from blivet.devices.btrfs import BTRFSDevice
from blivet.devices.lvm import DEFAULT_THPOOL_RESERVE
from blivet.formats import get_format
from blivet.formats.fs import FS
from blivet.partitioning import do_partitioning, grow_lvm
from blivet.size import Size
from pykickstart.parser import KickstartParser
from pykickstart.version import makeVersion

GIB = 1024
SWAP_MOST = 8 * GIB
MEMBERS = {"pv": "lvmpv", "raid": "mdmember", "btrfs": "btrfs"}


def cases(text: str) -> list[tuple[dict[str, str], str]]:
    """The sections of a file: the words of each heading ``# case NAME KEY=VALUE …``, and its lines."""
    found: list[tuple[dict[str, str], list[str]]] = []
    for line in text.splitlines():
        if line.startswith("# case "):
            name, *words = line.removeprefix("# case ").split()
            found.append(({"name": name, **dict(word.split("=", 1) for word in words)}, []))
        elif found and line and not line.startswith("#"):
            found[-1][1].append(line)
    return [(heading, "\n".join(lines) + "\n") for heading, lines in found]


def pretend() -> None:
    """Let blivet plan what this machine could not create: nothing is created."""
    BTRFSDevice._external_dependencies = []  # noqa: SLF001 - its plugin asks the kernel for btrfs
    StorageDevice.is_name_valid = lambda *_: True  # a partition's name has the folder of its disk's file in it
    FS.mountable = property(lambda _: True)  # else an EFI system partition is placed like any other
    blivet.blockdev.dm.map_exists = lambda *_: False  # the kernel may lack a device mapper


class Storage:
    """One section on disks of its own."""

    def __init__(self, heading: dict[str, str], text: str, folder: Path) -> None:
        self.uefi = heading.get("firmware") == "uefi"
        self.handler = makeVersion("F43")
        KickstartParser(self.handler).readKickstartFromString(text)
        self.blivet = blivet.Blivet()
        label = self.handler.clearpart.disklabel or heading["label"]
        self.disks = [self._disk(folder, at, int(size), label) for at, size in enumerate(heading["disks"].split(","))]
        self.free = sum((disk.size for disk in self.disks), Size(0))
        self.boot = (
            self._named(self.handler.bootloader.bootDrive) if self.handler.bootloader.bootDrive else self.disks[0]
        )

    def _disk(self, folder: Path, at: int, mib: int, label: str) -> Any:
        path = folder / f"vd{chr(ord('a') + at)}"
        with path.open("wb") as file:
            file.truncate(mib << 20)
        disk = DiskFile(str(path), exists=True, size=Size(f"{mib} MiB"))
        self.blivet.devicetree._add_device(disk)  # noqa: SLF001 - as blivet's own tests do
        disk.format = get_format("disklabel", device=disk.path, label_type=label)
        return disk

    def _named(self, name: str) -> Any:
        return self.disks[ord(name[-1]) - ord("a")]

    def _usable(self) -> list[Any]:
        only, ignored = self.handler.ignoredisk.onlyuse, self.handler.ignoredisk.ignoredisk
        names = [disk for disk in self.disks if not only or disk in [self._named(one) for one in only]]
        return [disk for disk in names if disk not in [self._named(one) for one in ignored or ()]]

    def make(self) -> None:
        usable = self._usable()
        for disk in set(self.disks) - set(usable):
            self.blivet.devicetree._remove_device(disk, force=True)  # noqa: SLF001
        if self.boot not in usable:
            self.boot = usable[0]
        if self.handler.reqpart.seen:
            self._platform(usable, boot=self.handler.reqpart.addBoot)
        if self.handler.autopart.seen:
            self._autopart(self.handler.autopart, usable)
            return
        for part in self.handler.partition.partitions:
            self._partition(part)
        do_partitioning(self.blivet, boot_disk=self.boot)
        for raid in self.handler.raid.raidList:
            self._array(raid)
        for group in self.handler.volgroup.vgList:
            self._group(group)
        for volume in self.handler.logvol.lvList:
            self._volume(volume)
        if self.handler.logvol.lvList:
            grow_lvm(self.blivet)
        for volume in self.handler.btrfs.btrfsList:
            self._btrfs(volume)

    def _suggested(self) -> Any:
        return min(Size(f"{SWAP_MOST} MiB"), Size(int(self.free) // 10))

    def _size(self, item: Any) -> Any:
        if item.mountpoint == "swap" and (item.recommended or item.hibernation):
            item.grow = False
            return self._suggested()
        return Size(f"{item.size} MiB") if item.size else None

    def _create(self, device: Any, item: Any = None) -> Any:
        """Create a device, and LUKS on it."""
        self.blivet.create_device(device)
        if item is not None and item.encrypted:
            inner = device.format
            device.format = get_format("luks", passphrase="for this only", luks_version="luks2")
            device = LUKSDevice(f"luks{self.blivet.next_id}", fmt=inner, parents=[device])
            self.blivet.create_device(device)
        return device

    def _format(self, item: Any) -> Any:
        word = item.mountpoint.partition(".")[0]
        kind = "swap" if item.mountpoint == "swap" else MEMBERS.get(word) or item.fstype or "ext4"
        mountpoint = item.mountpoint if item.mountpoint.startswith("/") else ""
        return get_format("biosboot" if word == "biosboot" else kind, mountpoint=mountpoint, label=item.label)

    def _partition(self, part: Any) -> None:
        name = {"name": part.mountpoint} if part.mountpoint.partition(".")[0] in MEMBERS else {}
        device = self.blivet.new_partition(
            fmt=self._format(part),
            size=self._size(part),
            grow=part.grow,
            maxsize=Size(f"{part.maxSizeMB} MiB") if part.maxSizeMB else None,
            primary=part.primOnly,
            parents=[self._named(part.disk)] if part.disk else None,
            **name,
        )
        device.said = part.mountpoint
        self._create(device, part)

    def _member(self, name: str) -> Any:
        for device in self.blivet.devices:
            if name in (getattr(device, "req_name", None), getattr(device, "said", None)):
                return device.children[0] if device.format.type == "luks" else device
        raise LookupError(name)

    def _array(self, raid: Any) -> None:
        members = [self._member(name) for name in raid.members]
        device = self.blivet.new_mdarray(
            fmt=self._format(raid),
            name=raid.device,
            level=raid.level.lower(),
            parents=members,
            member_devices=len(members) - raid.spares,
            total_devices=len(members),
            **({"chunk_size": Size(f"{raid.chunk_size} KiB")} if raid.chunk_size else {}),
        )
        device.said = raid.mountpoint
        self._create(device, raid)

    def _group(self, group: Any) -> None:
        members = [self._member(name) for name in group.physvols]
        device = self.blivet.new_vg(parents=members, name=group.vgname, pe_size=Size(f"{group.pesize or 4096} KiB"))
        self._create(device)
        if group.reserved_space:
            device.reserved_space = Size(f"{group.reserved_space} MiB")
        elif group.reserved_percent:
            device.reserved_percent = group.reserved_percent

    def _volume(self, volume: Any) -> None:
        group = next(one for one in self.blivet.vgs if one.name == volume.vgname)
        parent, pool = group, {}
        if volume.thin_volume:
            parent = next(one for one in self.blivet.lvs if one.name == f"{group.name}-{volume.pool_name}")
        if volume.thin_pool and volume.metadata_size:
            pool["metadata_size"] = Size(f"{volume.metadata_size} MiB")
        if volume.thin_pool and volume.chunk_size:
            pool["chunk_size"] = Size(f"{volume.chunk_size} KiB")
        device = self.blivet.new_lv(
            fmt=None if volume.thin_pool else self._format(volume),
            name=volume.name,
            parents=[parent],
            size=Size(0) if volume.percent else self._size(volume),
            thin_pool=volume.thin_pool,
            thin_volume=volume.thin_volume,
            grow=volume.grow,
            maxsize=Size(f"{volume.maxSizeMB} MiB") if volume.maxSizeMB else None,
            percent=volume.percent,
            **pool,
        )
        self._create(device, volume)

    def _btrfs(self, volume: Any) -> None:
        if volume.subvol:
            label = " ".join(volume.devices).removeprefix("LABEL=")
            parents = [one for one in self.blivet.btrfs_volumes if one.name == label]
        else:
            parents = [self._member(name) for name in volume.devices]
        self._create(
            self.blivet.new_btrfs(
                name=volume.name if volume.subvol else volume.label or None,
                subvol=volume.subvol,
                mountpoint="" if volume.mountpoint == "none" else volume.mountpoint,
                metadata_level=volume.metaDataLevel,
                data_level=volume.dataLevel,
                parents=parents,
            )
        )

    # -- autopart and reqpart: Anaconda's automatic/utils.py, platform.py and its default configuration

    def _platform(self, disks: list[Any], fstype: str = "ext4", *, boot: bool) -> None:
        if self.uefi:
            self._plain("/boot/efi", "efi", 500, disks, maxsize=600)
        elif self.boot.format.label_type == "gpt":
            self._plain("biosboot", "biosboot", 1, [self.boot])
        if boot:
            self._plain("/boot", fstype, GIB, disks)

    def _plain(
        self, said: str, fstype: str, size: Any, disks: list[Any], *, maxsize: int = 0, grow: bool = False,
        encrypted: bool = False,
    ) -> Any:  # fmt: skip
        device = self.blivet.new_partition(
            fmt_type="luks" if encrypted else fstype,
            size=size if isinstance(size, Size) else Size(f"{size} MiB"),
            grow=grow or bool(maxsize),
            maxsize=Size(f"{maxsize} MiB") if maxsize else None,
            mountpoint=said if said.startswith("/") and not encrypted else None,
            parents=disks,
        )
        device.said = said
        self.blivet.create_device(device)
        if encrypted:
            inner = get_format(fstype, mountpoint=said if said.startswith("/") else None)
            self.blivet.create_device(LUKSDevice(f"luks-{device.name}", fmt=inner, size=device.size, parents=[device]))
        return device

    def _autopart(self, auto: Any, disks: list[Any]) -> None:
        scheme = {None: "lvm", 0: "plain", 1: "btrfs", 2: "lvm", 3: "thinp"}[auto.type]
        fstype = auto.fstype or "ext4"
        requests = [("/", GIB, True, 70 * GIB, 0)]
        requests += [] if auto.nohome else [("/home", 500, True, 0, 50 * GIB)]
        requests += [] if auto.noswap else [("swap", self._suggested(), False, 0, 0)]
        members = (
            [] if scheme == "plain" else [self._implicit(disk, scheme, encrypted=auto.encrypted) for disk in disks]
        )
        free = sum(sorted((disk.size for disk in disks), reverse=True)[:2], Size(0))
        boot_type = "ext4" if scheme == "btrfs" else fstype
        self._platform(disks, boot_type, boot=not auto.noboot)
        for name, size, grow, most, needs in requests:
            own = scheme == "plain" or (scheme == "btrfs" and name == "swap")
            if own and not (needs and Size(f"{needs} MiB") > free):
                kind = "swap" if name == "swap" else fstype
                self._plain(name, kind, size, disks, maxsize=most, grow=grow, encrypted=auto.encrypted)
        do_partitioning(self.blivet, boot_disk=self.boot)
        if scheme != "plain":
            self._volumes(scheme, members, requests, fstype, encrypted=auto.encrypted)
            grow_lvm(self.blivet)

    def _implicit(self, disk: Any, scheme: str, *, encrypted: bool) -> Any:
        kind = "luks" if encrypted else "btrfs" if scheme == "btrfs" else "lvmpv"
        device = self.blivet.new_partition(fmt_type=kind, grow=True, parents=[disk])
        device.said = f"{'btrfs' if scheme == 'btrfs' else 'pv'}.{self.disks.index(disk) + 1}"
        self.blivet.create_device(device)
        return device

    def _volumes(self, scheme: str, members: list[Any], requests: list[Any], fstype: str, *, encrypted: bool) -> None:
        if encrypted:
            inner = "btrfs" if scheme == "btrfs" else "lvmpv"
            members = [
                self._create(LUKSDevice(f"luks-{one.name}", fmt=get_format(inner), size=one.size, parents=[one]))
                for one in members
            ]
        new = self.blivet.new_btrfs if scheme == "btrfs" else self.blivet.new_vg
        container = self._create(new(parents=members, name="system"))
        pool = None
        for name, size, grow, most, needs in requests:
            size = size if isinstance(size, Size) else Size(f"{size} MiB")
            if scheme == "btrfs":
                if name != "swap":
                    word = "root" if name == "/" else name.strip("/")
                    self._create(self.blivet.new_btrfs(parents=[container], subvol=True, mountpoint=name, name=word))
                continue
            thin = scheme == "thinp" and name != "swap"
            if thin and pool is None:
                pool = self._create(self.blivet.new_lv(parents=[container], thin_pool=True, grow=True, name="pool00"))
                container.thpool_reserve = DEFAULT_THPOOL_RESERVE
            if needs and Size(f"{needs} MiB") > container.size:
                continue
            self._create(
                self.blivet.new_lv(
                    parents=[pool if thin else container],
                    name="root" if name == "/" else name.strip("/"),
                    mountpoint=name if name.startswith("/") else None,
                    fmt_type="swap" if name == "swap" else fstype,
                    grow=grow,
                    maxsize=Size(f"{most} MiB") if most else None,
                    size=size,
                    thin_volume=thin,
                )
            )

    def result(self) -> dict[str, Any]:
        """The layout: partitions in sectors of 512 bytes, everything else in bytes."""
        partitions = []
        for disk in self.disks:
            for one in sorted(self.blivet.partitions, key=lambda one: int(one.parted_partition.geometry.start)):
                if one.disk is disk and not one.is_extended:
                    geometry = one.parted_partition.geometry
                    said = getattr(one, "said", "") or getattr(one.format, "mountpoint", "") or one.format.type
                    flag = parted.partitionFlag.get(one.format.parted_flag, "")
                    partitions.append([self.disks.index(disk), said, geometry.start, geometry.length, flag])
        volumes = {}
        for one in self.blivet.lvs:
            volumes[one.name] = [int(one.size), *([int(one.metadata_size)] if one.is_thin_pool else [])]
        return {
            "partitions": partitions,
            "logical": sorted(one.said for one in self.blivet.partitions if one.is_logical),
            "arrays": {one.name: int(one.size) for one in self.blivet.mdarrays},
            "groups": {one.name: [int(one.pe_size), one.extents, one.free_extents] for one in self.blivet.vgs},
            "volumes": volumes,
            "btrfs": {
                one.name: [len(one.parents), str(one.data_level or ""), str(one.metadata_level or "")]
                for one in self.blivet.btrfs_volumes
            },
        }


def recorded(heading: dict[str, str], text: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        storage = Storage(heading, text, Path(folder))
        try:
            storage.make()
        except Exception as error:  # noqa: BLE001 - whatever Anaconda would fail with
            return {"refused": f"{type(error).__name__}: {error}".replace(folder, "").splitlines()[0]}
        return storage.result()


def main() -> None:
    warnings.simplefilter("ignore")
    pretend()
    text = Path(sys.argv[1]).read_text()
    layouts = {heading["name"]: recorded(heading, lines) for heading, lines in cases(text)}
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(layout)}" for name, layout in layouts.items())
    print(f'{{"blivet": "{blivet.__version__}",\n "layouts": {{\n{lines}\n}}}}')


main()
