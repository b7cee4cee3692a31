"""LVM's thin pools: what has been discarded is on the disk when the appliance ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagebuild.guest import launch, thin_pools
from imagebuild.guest.shell import Shell

MIB = 1024 * 1024
_MAKE = """
    modprobe -q dm-thin-pool; disk=$1
    lvm pvcreate -qq $disk && lvm vgcreate -qq g $disk &&
    lvm lvcreate -qq --type thin-pool -L 64M -Zn -n pool g && lvm lvcreate -qq -V 48M --thinpool pool -n one g &&
    dd if=/dev/urandom of=/dev/g/one bs=1M count=40 oflag=direct status=none && sync && sleep 2
"""
_USED = "set -- $(dmsetup status g-pool-tpool); echo ${6%/*}"
"""Prints how many blocks of the pool are in use."""


class Killed(Exception):
    """The end of an appliance that is not shut down."""


def test_names_of_pools() -> None:
    assert list(thin_pools._names("g-pool-tpool\t(254:2)\nb--x-p-tpool\t(254:9)\n")) == ["g-pool-tpool", "b--x-p-tpool"]
    assert list(thin_pools._names("No devices found\n")) == []


@pytest.mark.guestfs
def test_a_discard_is_on_the_disk_when_the_appliance_is_killed(tmp_path: Path) -> None:
    image = tmp_path / "disk.raw"
    with image.open("wb") as file:
        file.truncate(96 * MIB)
    with pytest.raises(Killed), launch.started([image], "raw", accel="tcg", tmpdir=tmp_path) as session:
        shell = Shell(session.g)
        shell.line(f"set -- {shell.device('/dev/sda')}; {_MAKE}")
        assert shell.line(_USED).strip() == "640"
        shell.line("blkdiscard /dev/g/one")
        thin_pools.settle(shell)
        raise Killed  # which ends the appliance at once, without a shutdown
    with launch.started([image], "raw", accel="tcg", tmpdir=tmp_path) as session:
        assert Shell(session.g).line(_USED).strip() == "0"
