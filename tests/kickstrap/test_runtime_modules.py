"""The modules in the initrd, and the order in which they are loaded."""

from __future__ import annotations

import lzma

import pytest

from imagebuild.errors import ImageBuildError
from imagebuild.kickstrap.modules import name_of, parse_index, plain

DEP = """\
kernel/drivers/block/virtio_blk.ko.xz:
kernel/drivers/net/virtio_net.ko.xz: kernel/drivers/net/net_failover.ko.xz kernel/net/core/failover.ko.xz
kernel/drivers/net/net_failover.ko.xz: kernel/net/core/failover.ko.xz
kernel/net/core/failover.ko.xz:
kernel/fs/overlayfs/overlay.ko.xz:
kernel/crypto/crc32c-generic.ko:
"""
INDEX = parse_index(DEP, "kernel/drivers/virtio/virtio_pci.ko\nkernel/fs/ext4/ext4.ko\n")


def test_dependencies_come_first() -> None:
    assert INDEX.load_order(["virtio_net"]) == [
        "kernel/net/core/failover.ko.xz",
        "kernel/drivers/net/net_failover.ko.xz",
        "kernel/drivers/net/virtio_net.ko.xz",
    ]


def test_a_module_is_loaded_once() -> None:
    order = INDEX.load_order(["net_failover", "virtio_net", "virtio_net"])
    assert len(order) == len(set(order)) == 3


def test_a_built_in_module_is_not_loaded() -> None:
    assert INDEX.load_order(["virtio_pci", "ext4", "overlay"]) == ["kernel/fs/overlayfs/overlay.ko.xz"]


def test_a_missing_module_is_an_error() -> None:
    with pytest.raises(ImageBuildError, match="no module squashfs"):
        INDEX.load_order(["squashfs"])


def test_what_a_kernel_has() -> None:
    assert INDEX.has("ext4")
    assert INDEX.has("overlay")
    assert not INDEX.has("ahci")


def test_hyphens_are_underscores() -> None:
    assert name_of("kernel/crypto/crc32c-generic.ko") == "crc32c_generic"
    assert INDEX.load_order(["crc32c_generic"]) == ["kernel/crypto/crc32c-generic.ko"]


def test_modules_are_unpacked() -> None:
    assert plain("a.ko", b"ELF") == b"ELF"
    assert plain("a.ko.xz", lzma.compress(b"ELF")) == b"ELF"
    with pytest.raises(ImageBuildError, match=r"a\.ko\.gz"):
        plain("a.ko.gz", b"")
