"""Grow the root file system to the size of the disk when a clone boots.

A unit of systemd, `grow-root.service`, grows the last partition of the disk and the file system on
it, early at boot and without cloud-init. It runs at every boot, because a disk may be enlarged at
any time; what fills the disk already is left alone. With ``every_boot: false`` it disables itself
once it has succeeded. What it does is in the journal.

The partition is grown by growpart, where it is installed, or else by sfdisk (util-linux 2.26 or
newer; on Debian in the package fdisk); on a GPT this also moves the backup table to the end of the
disk. The file system may be ext4, XFS or btrfs, on a partition, on a whole disk, or on a logical
volume on one of these. A root file system on RAID or LUKS is not supported. A root partition that is
not the last one of its disk cannot grow: the journal says so.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydantic import Field

from imagebuild.customise.linux import units
from imagebuild.customise.operation import NotApplicable, Phase
from imagebuild.customise.operation import Params as BaseParams
from imagebuild.errors import GuestError
from imagebuild.guest import fstab

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE
_SCRIPT = "/usr/local/sbin/grow-root"
_NAME = "grow-root.service"
_TARGET = "basic.target"
_PROGRAMS = ("/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/local/bin")
_LIBRARIES = ("/usr/lib64", "/lib64", "/usr/lib", "/lib", "/usr/lib/*-linux-gnu*", "/lib/*-linux-gnu*")
_RESIZERS = {
    "ext2": ("resize2fs", "e2fsprogs"),
    "ext3": ("resize2fs", "e2fsprogs"),
    "ext4": ("resize2fs", "e2fsprogs"),
    "xfs": ("xfs_growfs", "xfsprogs"),
    "btrfs": ("btrfs", "btrfs-progs"),
}
"""The program that grows a mounted file system of a type, and the package that it is in."""
_UNIT = """\
[Unit]
Description=Grow the root file system to the size of its disk
DefaultDependencies=no
Conflicts=shutdown.target
After=local-fs.target
Before=basic.target shutdown.target
ConditionVirtualization=!container

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={script}
{once}TimeoutStartSec=10min

[Install]
WantedBy={target}
"""
TEXT = r"""#!/bin/sh
# Grow the partition and the file system of / to the size of the disk.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
sys=/sys/class/block

fail() {
    echo "$*" >&2
    exit 1
}

is_last() {
    for other in "$sys/$disk/$disk"*; do
        if [ -e "$other/start" ] && [ "$(cat "$other/start")" -gt "$start" ]; then
            return 1
        fi
    done
}

# With all other lines of the table as they are; without last-lba, a GPT gets the size of the disk.
grow_with_sfdisk() {
    table=$(sfdisk -d "/dev/$disk") || fail "sfdisk cannot read the partition table of $disk"
    echo "$table" | grep -q "^/dev/$name *:.*size=" || fail "sfdisk does not list $name"
    echo "$table" | sed "/^last-lba/d; s|^\(/dev/$name *:.*\)size= *[0-9]*, *|\1|" |
        sfdisk -q --no-reread --force "/dev/$disk" || fail "sfdisk cannot grow $name"
    partx -u --nr "$number" "/dev/$disk" || fail "the kernel does not take the new size of $name until the next boot"
}

grow_partition() {
    number=$(cat "$sys/$name/partition")
    disk=$(readlink -f "$sys/$name/..")
    disk=${disk##*/}
    start=$(cat "$sys/$name/start")
    size=$(cat "$sys/$name/size")
    end=$(cat "$sys/$disk/size")
    kind=$(blkid -p -s PTTYPE -o value "/dev/$disk")
    # A DOS partition table counts sectors with 32 bits.
    if [ "$kind" = dos ] && [ "$end" -gt 4294967295 ]; then
        end=4294967295
    fi
    # Less than 2 MiB is left to the backup of a GPT and to alignment.
    if [ $((end - start - size)) -lt 4096 ]; then
        echo "$name reaches to the end of $disk"
    elif ! is_last; then
        echo "$name is not the last partition of $disk: it cannot grow"
    elif [ "$kind" = dos ] && [ "$number" -gt 4 ]; then
        echo "$name is a logical partition: it is not grown"
    else
        if command -v growpart >/dev/null; then
            growpart "/dev/$disk" "$number"
            # 1: it could not be changed
            [ $? -le 1 ] || fail "growpart cannot grow $name"
        else
            grow_with_sfdisk
        fi
        new=$(cat "$sys/$name/size")
        [ "$new" -gt "$size" ] || fail "$name has not grown"
        echo "$name has grown from $((size / 2048)) to $((new / 2048)) MiB"
    fi
}

grow_volume() {
    pvresize "/dev/$name" || fail "pvresize cannot grow $name"
    free=$(lvs --noheadings -o vg_free_count "$source") || fail "lvs cannot find $source"
    if [ $((free)) -gt 0 ]; then
        lvextend -l +100%FREE "$source" || fail "lvextend cannot grow $source"
    fi
}

grow_file_system() {
    case $type in
        ext[234]) set -- resize2fs "$device" ;;
        xfs) set -- xfs_growfs / ;;
        btrfs) set -- btrfs filesystem resize max / ;;
        *) fail "a root file system of type $type cannot be grown" ;;
    esac
    command -v "$1" >/dev/null || set -- /usr/lib/systemd/systemd-growfs /
    "$@" || fail "$1 cannot grow the root file system"
}

# If several are mounted over each other, the last one is seen. btrfs has its subvolume in brackets.
source=$(findmnt -n -o SOURCE / | tail -n 1)
source=${source%%\[*}
type=$(findmnt -n -o FSTYPE / | tail -n 1)
device=$(readlink -f "$source")
name=${device##*/}
[ -n "$name" ] && [ -e "$sys/$name" ] || fail "the root file system is not on a disk: ${source:-it is unknown}"

volume=no
case $(cat "$sys/$name/dm/uuid" 2>/dev/null) in
    LVM-*)
        volume=yes
        set -- "$sys/$name/slaves"/*
        [ $# = 1 ] || fail "the root volume is on several disks: it is not grown"
        name=${1##*/}
        ;;
esac
case $name in
    dm-* | md*) fail "the root file system is on encryption or RAID ($name): it is not grown" ;;
esac
if [ -e "$sys/$name/partition" ]; then
    grow_partition
fi
if [ $volume = yes ]; then
    grow_volume
fi
grow_file_system
"""


class Params(BaseParams):
    every_boot: bool = Field(
        default=True, description="grow at every boot; false: until it has succeeded for the first time"
    )


def apply(guest: Guest, params: Params) -> None:
    if not units.has_systemd(guest):
        raise NotApplicable("no systemd")
    if re.match(r"/dev/(md|mapper/luks)", guest.device("/")):
        raise GuestError("the root file system of this guest is on RAID or LUKS, which this operation does not support")
    # sfdisk can change one partition of a used disk since it is a client of libfdisk.
    can_partition = _has(guest, "growpart") or (
        _has(guest, "sfdisk") and guest.glob(*(f"{folder}/libfdisk.so.1" for folder in _LIBRARIES))
    )
    if not can_partition:
        raise GuestError(
            "the guest has nothing that grows a partition: neither growpart nor sfdisk of util-linux 2.26 or newer",
            "install a package first: install-packages: {packages: [fdisk]} on Debian and Ubuntu, "
            "{packages: [cloud-utils-growpart]} on RHEL 7",
        )
    _check_file_system(guest)
    once = f"ExecStartPost=/bin/rm -f {units.OWN}/{_TARGET}.wants/{_NAME}\n"
    text = _UNIT.format(script=_SCRIPT, once="" if params.every_boot else once, target=_TARGET)
    guest.create(_SCRIPT, TEXT, mode=0o755)
    guest.create(f"{units.OWN}/{_NAME}", text)
    units.enable(guest, _NAME, _TARGET)


def _check_file_system(guest: Guest) -> None:
    """GuestError if nothing in the guest can grow its root file system, as far as fstab knows it."""
    text = guest.read("/etc/fstab") if guest.real_file("/etc/fstab") else ""
    kinds = [entry.fstype for entry in fstab.parse(text) if entry.mountpoint == "/"]
    if not kinds or kinds[0] == "auto":
        return
    if kinds[0] not in _RESIZERS:
        raise GuestError(f"the root file system of this guest is {kinds[0]}; only ext4, XFS and btrfs can be grown")
    program, package = _RESIZERS[kinds[0]]
    if not _has(guest, program) and not guest.real_file("/usr/lib/systemd/systemd-growfs"):
        raise GuestError(
            f"the guest has no {program}, which grows its root file system",
            f"install its package first: install-packages: {{packages: [{package}]}}",
        )


def _has(guest: Guest, program: str) -> bool:
    return any(guest.real_file(f"{folder}/{program}") for folder in _PROGRAMS)
