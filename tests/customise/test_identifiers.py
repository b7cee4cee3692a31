"""New identifiers in every place and spelling, and inside initramfs images."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from imagebuild.customise import registry
from imagebuild.customise.identifiers import Renaming, fresh
from imagebuild.customise.linux import compressed, initramfs
from imagebuild.customise.runner import apply_one
from imagebuild.errors import GuestError
from imagebuild.guest.block import Identifier
from imagebuild.kernel import lz4_legacy
from tests.operations.memory import MemoryDisk, Node, with_folders

ROOT = "5b2844d4-1449-4f8b-95ae-38a06d1bd955"
ESP = "7B77-95E7"
MBR = "c2d1c03e"
DEVICES = [
    Identifier("/dev/sda1", "file systems", "vfat", ESP),
    Identifier("/dev/sda2", "file systems", "ext4", ROOT),
    Identifier("/dev/sda", "partitions", "mbr", MBR),
]


def cpio(name: str, content: bytes) -> bytes:
    """A cpio archive (newc) of one file."""

    def entry(name: str, content: bytes) -> bytes:
        fields = [1, 0o100644, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0]
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        return _padded(_padded(head) + content)

    return entry(name, content) + entry("TRAILER!!!", b"")


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


EARLY = cpio("kernel/x86/microcode/AuthenticAMD.bin", b"\1\2\3").ljust(1024, b"\0")
MAIN = cpio("etc/cmdline.d/95root.conf", f"root=UUID={ROOT}\n".encode())
CHANGED = MAIN.replace(ROOT.encode(), b"0" * 36)
PACK: dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {
    "plain": (lambda data: data, lambda data: data),
    "gzip": (gzip.compress, gzip.decompress),
    "xz": (lambda data: lzma.compress(data, check=lzma.CHECK_CRC32), lzma.decompress),
    "bzip2": (bz2.compress, bz2.decompress),
    "lzma": (lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE), lzma.decompress),
    "lz4": (
        lambda data: lz4_legacy.pack(data),
        lambda data: compressed._unlz4(data, 1 << 20)[0],
    ),
    "zstd": (
        zstandard.ZstdCompressor().compress,
        lambda data: zstandard.ZstdDecompressor().decompress(data, max_output_size=1 << 20),
    ),
}


def rename(data: bytes) -> bytes:
    return data.replace(ROOT.encode(), b"0" * 36)


@pytest.mark.parametrize("kind", PACK)
@pytest.mark.parametrize("early", [b"", EARLY], ids=["alone", "behind microcode"])
def test_an_initramfs_is_changed_inside(kind: str, early: bytes) -> None:
    pack, unpack = PACK[kind]
    content = early + pack(MAIN)
    changed = initramfs.rewritten(content, rename)
    assert changed.startswith(early)
    assert unpack(changed[len(early) :]) == CHANGED
    assert initramfs.rewritten(changed, rename) == changed


@pytest.mark.parametrize("kind", PACK)
def test_an_initramfs_without_identifiers_stays_identical(kind: str) -> None:
    content = EARLY + PACK[kind][0](cpio("init", b"#!/bin/sh\n"))
    assert initramfs.rewritten(content, rename) is content


@pytest.mark.parametrize(
    "content",
    [b"\x89LZO\0\r\n\x1a\n", b"\x02!L\x18\x40\0\0\0cut", EARLY + b"what", gzip.compress(MAIN)[:-30], EARLY[:130]],
)
def test_an_initramfs_that_cannot_be_read_is_an_error(content: bytes) -> None:
    with pytest.raises(GuestError, match="initramfs"):
        initramfs.rewritten(content, rename)


@pytest.mark.parametrize("one", DEVICES, ids=lambda one: one.type)
def test_a_new_identifier_looks_like_the_old_one(one: Identifier) -> None:
    new = fresh(one)
    assert len(new) == len(one.value)
    assert new != one.value
    assert re.sub("[0-9A-Fa-f]", "x", new) == re.sub("[0-9A-Fa-f]", "x", one.value)


def test_every_spelling_is_found() -> None:
    renaming = Renaming({ROOT: "0" * 8 + "-0000-0000-0000-" + "0" * 12})
    text = f"{ROOT} {ROOT.upper()} {ROOT.replace('-', '')} dev-disk-by\\x2duuid-" + ROOT.replace("-", "\\x2d")
    assert not re.search(rb"[1-9a-wyzA-F]{4}", renaming(text.encode()).replace(b"dev-disk-by\\x2duuid", b""))
    assert renaming.names(text.encode())
    assert not renaming.names(b"5b2844d4-1449-4f8b-95ae-38a06d1bd95")


RENAMING = Renaming({ROOT: ROOT[::-1], "ABCD-1234": "1234-ABCD", "deadbeef": "cafebabe"})
PIECES = [*RENAMING._spellings, b"ABCD-1234", b"deadbeef", b"0", b"deadbe", b"\\x2d", b" ", b"\0", ROOT[:9].encode()]


@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=4), max_size=12).map(b"".join))
def test_it_finds_what_its_regular_expression_would(content: bytes) -> None:
    expected = RENAMING._pattern.sub(lambda found: RENAMING._spellings[found[0]], content)
    assert RENAMING(content) == expected
    assert RENAMING.names(content) == (RENAMING._pattern.search(content) is not None)


def test_spellings_of_volumes() -> None:
    group, volume = "7CL8Vb-0cKS-PLwP-MJZr-tkol-2da6-Ng1i2u", "a3CPjx-KGPh-52L1-YFaZ-S1vA-dISM-UQ3Kot"
    pairs = {one: fresh(Identifier("data", "volumes", "vg", one)) for one in (group, volume)} | {ROOT: ROOT[::-1]}
    new_group, new_volume = pairs[group], pairs[volume]
    assert [len(part) for part in new_group.split("-")] == [6, 4, 4, 4, 4, 4, 6]
    renaming = Renaming(pairs)
    plain = (group + volume).replace("-", "").encode()
    assert renaming(b"dm-uuid-LVM-" + plain) == b"dm-uuid-LVM-" + (new_group + new_volume).replace("-", "").encode()
    assert renaming(f"lvmid/{group}/{volume}".encode()) == f"lvmid/{new_group}/{new_volume}".encode()
    assert (
        renaming(b"rd.md.uuid=5b2844d4:14494f8b:95ae38a0:6d1bd955") == b"rd.md.uuid=559db1d6:0a83ea59:b8f49441:4d4482b5"
    )
    assert renaming(f"luks-{ROOT}".encode()) == f"luks-{ROOT[::-1]}".encode()


def guest() -> MemoryDisk:
    escaped = ROOT.replace("-", "\\x2d")
    texts = {
        "/etc/fstab": f"UUID={ROOT} / ext4 defaults 0 1\nUUID={ESP} /boot/efi vfat umask=0077 0 1\n",
        "/etc/default/grub": f'GRUB_CMDLINE_LINUX="resume=UUID={ROOT}"\n',
        "/boot/grub2/grubenv": f"# GRUB Environment Block\nkernelopts=root=UUID={ROOT} ro\n".ljust(1024, "#"),
        "/boot/loader/entries/one.conf": f"options root=UUID={ROOT} ro\n",
        "/boot/efi/EFI/debian/grub.cfg": f"search.fs_uuid {ROOT} root\n",
        f"/etc/systemd/system/dev-disk-by\\x2duuid-{escaped}.device.d/own.conf": "[Unit]\n",
        "/etc/hostname": "template\n",
    }
    files = {path: Node("file", 0o644, text.encode()) for path, text in texts.items()}
    files["/boot/initrd.img-6.1"] = Node("file", 0o600, EARLY + gzip.compress(MAIN))
    disk = MemoryDisk(with_folders(files))
    disk.devices = list(DEVICES)
    return disk


def test_nothing_in_etc_and_boot_contains_an_old_identifier_afterwards() -> None:
    disk = guest()
    before = dict(disk.tree)
    result = apply_one(disk, registry.call("renew-disk-identifiers"))
    assert result.status == "changed"
    new = {one.type: one.value for one in disk.devices}
    assert set(new.values()).isdisjoint({ROOT, ESP, MBR})
    assert disk.tree["/etc/fstab"].content.startswith(f"UUID={new['ext4']} / ext4".encode())
    assert f"UUID={new['vfat']} /boot/efi".encode() in disk.tree["/etc/fstab"].content
    assert len(disk.tree["/boot/grub2/grubenv"].content) == 1024
    assert disk.tree["/boot/initrd.img-6.1"].mode == 0o600
    image = disk.tree["/boot/initrd.img-6.1"].content
    assert new["ext4"].encode() in gzip.decompress(image[len(EARLY) :])
    for path, node in disk.tree.items():
        assert ROOT.encode() not in node.content
        assert ROOT.replace("-", "\\x2d") not in path
    assert disk.tree["/etc/hostname"] == before["/etc/hostname"]


ON_THE_ESP = {
    "/EFI/debian/grub.cfg": f"search.fs_uuid {ROOT} root\n".encode(),
    "/loader/entries/one.conf": f"options root=UUID={ROOT} ro\n".encode(),
    "/EFI/refind/refind.conf": f'volume "{ROOT}"\n'.encode(),
    "/4fb1a1c2/6.1/initrd": EARLY + gzip.compress(MAIN),
    "/booster-linux.img": lz4_legacy.pack(MAIN),
}


@pytest.mark.parametrize("fstab", ["/efi", "/boot/efi", "/mnt/esp", ""])
def test_an_esp_is_searched_wherever_it_is(fstab: str) -> None:
    disk = guest()
    tree = with_folders({path: Node("file", 0o755, content) for path, content in ON_THE_ESP.items()})
    if fstab:
        disk.boot_places[fstab] = "/dev/sda1"
        disk.tree |= with_folders({fstab + path: node for path, node in tree.items()})
    else:
        disk.partitions["/dev/sda1"] = tree
    result = apply_one(disk, registry.call("renew-disk-identifiers"))
    new = {one.type: one.value for one in disk.devices}["ext4"].encode()
    after = disk.tree if fstab else disk.partitions["/dev/sda1"]
    contents = {path: after[fstab + path].content for path in ON_THE_ESP}
    plain = {path: b"".join(initramfs_of(one)) if initramfs.is_one(one) else one for path, one in contents.items()}
    assert [path for path, content in plain.items() if ROOT.encode() in content] == []
    assert [path for path, content in plain.items() if new not in content] == []
    shown = {change.path for change in result.changes}
    assert (f"{fstab}/EFI/debian/grub.cfg" if fstab else "/dev/sda1:/EFI/debian/grub.cfg") in shown
    assert not any(path.startswith("/.imagebuild") for path in {*disk.tree, *shown})


def initramfs_of(content: bytes) -> list[bytes]:
    """The contents of all files of an initramfs."""
    found: list[bytes] = []

    def look(one: bytes) -> bytes:
        found.append(one)
        return one

    initramfs.rewritten(content, look)
    return found


def test_what_cannot_be_changed_on_an_esp_is_reported_before_anything_changes() -> None:
    disk = guest()
    disk.partitions["/dev/sda1"] = with_folders({"/initrd.img": Node("file", 0o755, b"\x89LZO\0")})
    before = dict(disk.tree)
    with pytest.raises(GuestError, match=r"/dev/sda1:/initrd.img: .*an unsupported compression"):
        apply_one(disk, registry.call("renew-disk-identifiers"))
    assert disk.tree == before


@pytest.mark.parametrize("core", ["/boot/grub/i386-pc/load.cfg", "/grub/i386-pc/load.cfg"])
def test_a_core_image_that_is_mentioned_on_a_partition_that_is_not_mounted(core: str) -> None:
    disk = guest()
    disk.partitions["/dev/sda3"] = with_folders({core: Node("file", 0o644, f"search.fs_uuid {ROOT}\n".encode())})
    with pytest.raises(GuestError, match="compiled in"):
        apply_one(disk, registry.call("renew-disk-identifiers"))


@pytest.mark.parametrize(
    "path",
    [
        "/usr/lib/kernel/cmdline",
        "/usr/lib/dracut/dracut.conf.d/50-own.conf",
        "/var/lib/kdump/fstab",
        "/data/boot/x.conf",
    ],
)
def test_other_places_that_contain_an_identifier(path: str) -> None:
    disk = guest()
    disk.tree = {one: node for one, node in disk.tree.items() if not f"{one}/".startswith("/boot/")}
    disk.tree |= with_folders({path: Node("file", 0o644, f"root=UUID={ROOT}\n".encode())})
    disk.tree["/boot"] = Node("symlink", 0o777, b"/data/boot")
    apply_one(disk, registry.call("renew-disk-identifiers"))
    assert ROOT.encode() not in disk.tree[path].content


def test_links_to_what_is_renamed_lead_there() -> None:
    disk = guest()
    unit = f"dev-disk-by\\x2duuid-{ROOT.replace('-', chr(92) + 'x2d')}.swap"
    disk.tree |= with_folders(
        {
            f"/etc/systemd/system/{unit}": Node("file", 0o644, b"[Swap]\n"),
            f"/etc/systemd/system/swap.target.wants/{unit}": Node("symlink", 0o777, f"../{unit}".encode()),
        }
    )
    apply_one(disk, registry.call("renew-disk-identifiers"))
    (link,) = [path for path in disk.tree if "/swap.target.wants/" in path]
    assert disk.realpath(link) in disk.tree
    assert disk.tree[link].content == f"../{link.rpartition('/')[2]}".encode()


def test_a_number_that_only_looks_like_a_signature_stays() -> None:
    renaming = Renaming({"00000001": "abcdef01"})
    assert renaming(MAIN) == MAIN
    assert renaming(b"root=PARTUUID=00000001-02") == b"root=PARTUUID=abcdef01-02"


def test_only_what_is_asked_for() -> None:
    disk = guest()
    apply_one(disk, registry.call("renew-disk-identifiers", {"kinds": ["partitions"]}))
    assert [one.value for one in disk.devices[:2]] == [ESP, ROOT]
    assert disk.devices[2].value != MBR


@pytest.mark.parametrize(
    ("path", "content", "said"),
    [
        ("/boot/grub/i386-pc/load.cfg", f"search.fs_uuid {ROOT} root\n".encode(), "compiled in"),
        ("/boot/initrd.img-6.2", b"\x89LZO\0\r\n\x1a\n", "/boot/initrd.img-6.2: .*an unsupported compression"),
        ("/etc/lilo.conf", b"boot=/dev/sda\n", "boots with LILO"),
        ("/boot/bootmap", b"zIPL", "boots with zipl"),
        ("/boot/grub2/powerpc-ieee1275/load.cfg", f"search.fs_uuid {ROOT} root\n".encode(), "compiled in"),
        ("/boot/large.img", b"\0" * ((256 << 20) + 1), "larger than 268435456 bytes"),
    ],
    ids=["in GRUB's core", "lzo", "LILO", "zipl", "on PowerPC", "large"],
)
def test_what_cannot_be_done_is_reported_before_anything_changes(path: str, content: bytes, said: str) -> None:
    disk = guest()
    disk.tree |= with_folders({path: Node("file", 0o644, content), "/boot/map": Node("file", 0o600, b"LILO")})
    before = dict(disk.tree)
    with pytest.raises(GuestError, match=said):
        apply_one(disk, registry.call("renew-disk-identifiers"))
    assert disk.tree == before
    assert disk.devices == DEVICES


@pytest.mark.parametrize("device", ["/dev/system/boot", "/dev/md127", "/dev/mapper/luks-1"])
def test_boot_on_a_volume_that_grubs_core_image_refers_to(device: str) -> None:
    disk = guest()
    disk.devices += [Identifier("system/boot", "volumes", "lv", "7CL8Vb-0cKS-PLwP-MJZr-tkol-2da6-Ng1i2u")]
    disk.tree |= with_folders({"/boot/grub/i386-pc/core.img": Node("file", 0o644, b"compressed")})
    disk.boot_device = device
    with pytest.raises(GuestError, match=r"compiled in \(/boot/grub/i386-pc/core.img\)"):
        apply_one(disk, registry.call("renew-disk-identifiers"))
    apply_one(disk, registry.call("renew-disk-identifiers", {"kinds": ["file systems", "partitions"]}))
    disk.boot_device = "/dev/sda1"
    apply_one(disk, registry.call("renew-disk-identifiers"))


@pytest.mark.parametrize(
    "copy", [Identifier("/dev/sdb2", "file systems", "ext4", ROOT), Identifier("/dev/sdb", "partitions", "mbr", MBR)]
)
def test_a_disk_together_with_its_copy_is_an_error(copy: Identifier) -> None:
    disk = guest()
    disk.devices = [*DEVICES, copy]
    before = dict(disk.tree)
    with pytest.raises(GuestError, match=f"and {copy.device} both have the {copy.type} identifier {copy.value}"):
        apply_one(disk, registry.call("renew-disk-identifiers"))
    assert disk.tree == before


def test_btrfs_on_several_devices_is_one_file_system() -> None:
    disk = guest()
    disk.devices = [Identifier(f"/dev/sd{letter}", "file systems", "btrfs", ROOT) for letter in "ab"]
    apply_one(disk, registry.call("renew-disk-identifiers"))
    assert sum(one.value != ROOT for one in disk.devices) == 1, "it is listed once, for all its devices"
