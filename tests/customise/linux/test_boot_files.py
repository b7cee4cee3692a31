"""Boot files other than texts: UEFI programs, unified kernel images, U-Boot images, archives in an
initramfs."""

from __future__ import annotations

import gzip
import shutil
import struct
import subprocess
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagebuild.customise.identifiers import Renaming
from imagebuild.customise.linux import boot_files, cpio, executable, initramfs, uboot
from imagebuild.errors import GuestError

OLD, NEW = "5b2844d4-1449-4f8b-95ae-38a06d1bd955", "11111111-2222-4333-8444-555555555555"
RENAMING = Renaming({OLD: NEW})


def pe(sections: dict[str, bytes], *, signed: bool = False, directories: int = 16) -> bytes:
    """A PE32+ file with these sections, each with space up to the next multiple of 512."""
    optional = struct.pack("<H106x", 0x20B) + struct.pack("<I", directories)
    table = b"".join(
        struct.pack("<II", 0x9000, 0x200) if signed and number == 4 else bytes(8) for number in range(directories)
    )
    head = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x80)
    head = head.ljust(0x80, b"\0") + b"PE\0\0"
    head += struct.pack("<HHIIIHH", 0x8664, len(sections), 0, 0, 0, len(optional + table), 0x22) + optional + table
    at = (len(head) + 40 * len(sections) + 511) // 512 * 512
    bodies = []
    for name, content in sections.items():
        space = (len(content) + 511) // 512 * 512
        head += struct.pack("<8sIIII16x", name.encode(), len(content), at, space, at)
        bodies.append(content.ljust(space, b"\0"))
        at += space
    return head.ljust((len(head) + 511) // 512 * 512, b"\0") + b"".join(bodies)


def archive(files: dict[str, bytes], magic: bytes = b"070701") -> bytes:
    """A cpio archive."""
    found = b""
    for inode, (name, content) in enumerate([*files.items(), ("TRAILER!!!", b"")], start=1):
        checksum = sum(content) if magic == b"070702" else 0
        fields = [inode, 0o100644, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, checksum]
        head = magic + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        found += head + bytes(-len(head) % 4) + content + bytes(-len(content) % 4)
    return found


INITRAMFS = gzip.compress(archive({"etc/cmdline.d/root.conf": f"root=UUID={OLD}\n".encode() * 50}))
UKI = {".linux": b"kernel", ".cmdline": f"root=UUID={OLD} ro".encode(), ".initrd": INITRAMFS}


def section(content: bytes, name: str) -> bytes:
    program = executable.parse(content)
    assert program is not None
    found = program.section(name)
    assert found is not None
    return executable.content_of(content, found)


def test_a_unified_kernel_image_is_changed_in_place() -> None:
    new = boot_files.renamed("/boot/efi/EFI/Linux/one.efi", pe(UKI), RENAMING)
    assert len(new) == len(pe(UKI))
    assert section(new, ".cmdline") == f"root=UUID={NEW} ro".encode()
    assert NEW.encode() in gzip.decompress(section(new, ".initrd"))
    assert section(new, ".linux") == b"kernel"
    assert boot_files.renamed("/boot/efi/EFI/Linux/one.efi", new, RENAMING) is new


def test_grub_with_a_configuration_in_it() -> None:
    content = pe({"mods": f"search.fs_uuid {OLD} root\n".encode()}, directories=6)
    assert section(boot_files.renamed("/x/grubx64.efi", content, RENAMING), "mods") == (
        f"search.fs_uuid {NEW} root\n".encode()
    )


@pytest.mark.parametrize(
    "content",
    [pe(UKI, signed=True), pe({**UKI, ".pcrsig": b"{}"}), pe({".initrd": INITRAMFS}, signed=True)],
    ids=["signed", "signed measurements", "in the initramfs only"],
)
def test_what_is_signed_is_not_changed(content: bytes) -> None:
    with pytest.raises(GuestError, match=r"^/efi/EFI/Linux/a.efi: it is signed and contains an identifier"):
        boot_files.renamed("/efi/EFI/Linux/a.efi", content, RENAMING)


def test_what_is_signed_and_contains_no_identifier_stays() -> None:
    content = pe({".linux": b"kernel", ".cmdline": b"root=/dev/vda1"}, signed=True)
    assert boot_files.renamed("/efi/a.efi", content, RENAMING) is content


def test_an_initramfs_that_has_no_room_in_its_section() -> None:
    tight = initramfs.rewritten(INITRAMFS, lambda data: data)
    content = pe({".initrd": tight[: len(tight) // 512 * 512] or tight})
    program = executable.parse(content)
    assert program is not None
    found = program.section(".initrd")
    assert found is not None
    with pytest.raises(GuestError, match=r"section .initrd of a UEFI program has room for \d+ bytes"):
        executable.with_content(content, found, bytes(found.space + 1))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_program_or_not(content: bytes) -> None:
    executable.parse(content)
    executable.parse(pe({".cmdline": b"x"})[:200] + content)
    uboot.parse(b"\x27\x05\x19\x56" + content)


def uimage(kind: int, data: bytes) -> bytes:
    """An image as created by U-Boot's mkimage."""
    rest = bytes([5, 22, kind, 0]) + b"name".ljust(32, b"\0")
    fields = struct.pack(">IIIII", 0, len(data), 0, 0, zlib.crc32(data))
    bare = b"\x27\x05\x19\x56" + bytes(4) + fields + rest
    return bare[:4] + struct.pack(">I", zlib.crc32(bare)) + bare[8:] + data


def test_a_script_of_uboot() -> None:
    text = f"setenv bootargs root=UUID={OLD}\n".encode()
    new = boot_files.renamed("/boot/boot.scr", uimage(6, text), RENAMING)
    assert new == uimage(6, text.replace(OLD.encode(), NEW.encode()))


def test_an_initramfs_of_uboot() -> None:
    new = boot_files.renamed("/boot/uInitrd", uimage(3, INITRAMFS), RENAMING)
    image = uboot.parse(new)
    assert image is not None, "its checksums are right"
    assert NEW.encode() in gzip.decompress(image.data)


def test_a_tree_with_checksums_is_not_changed() -> None:
    content = uboot.FIT + b"\0\0\1\0" + f"bootargs root=UUID={OLD} hash-1".encode()
    with pytest.raises(GuestError, match="contains an old identifier and checksums of its contents"):
        boot_files.renamed("/boot/image.itb", content, RENAMING)
    assert NEW.encode() in boot_files.renamed("/boot/board.dtb", content.replace(b"hash-1", b""), RENAMING)


def test_checksums_of_files_in_an_archive() -> None:
    content = archive({"a": f"UUID={OLD}".encode()}, b"070702")
    assert boot_files.renamed("/boot/initrd.img", content, RENAMING) == archive(
        {"a": f"UUID={NEW}".encode()}, b"070702"
    )


NAMES = st.text("abcdefgh./-", min_size=1, max_size=12).filter(lambda name: name != "TRAILER!!!")
FILES = st.dictionaries(NAMES, st.binary(max_size=40), max_size=6)


@given(FILES, st.sets(NAMES, max_size=3))
def test_files_are_removed_from_an_archive(files: dict[str, bytes], gone: set[str]) -> None:
    content = archive({f"x/{name}": text for name, text in files.items()})
    paths = {initramfs._path(cpio.Member(b"", f"x/{name}".encode(), b"")) for name in gone}
    kept = {f"x/{name}" for name in files} - {f"x/{one}" for one in files if _normal(f"x/{one}") in paths}
    new = initramfs.without(content + b"\0" * 16 + gzip.compress(content), paths)
    assert initramfs.names(new) == {_normal(name) for name in kept}
    assert initramfs.without(new, paths) is new


def _normal(name: str) -> str:
    return initramfs._path(cpio.Member(b"", name.encode(), b""))


@pytest.mark.skipif(shutil.which("cpio") is None, reason="no cpio here")
def test_cpio_reads_what_is_left() -> None:
    content = archive({"a": b"1\n", "b": b"22\n", "c": b"333\n"})
    new = initramfs.without(content, {"b"})
    said = subprocess.run(["cpio", "-t", "--quiet"], input=new, capture_output=True, check=True)
    assert said.stdout.split() == [b"a", b"c"]


def test_a_file_with_two_names_is_removed_with_both() -> None:
    def entry(name: bytes, content: bytes, links: int, inode: int) -> bytes:
        fields = [inode, 0o100644, 0, 0, links, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0]
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + name + b"\0"
        return head + bytes(-len(head) % 4) + content + bytes(-len(content) % 4)

    content = entry(b"one", b"", 2, 7) + entry(b"two", b"secret", 2, 7) + entry(b"three", b"", 1, 8)
    content += entry(b"TRAILER!!!", b"", 1, 0)
    assert initramfs.names(initramfs.without(content, {"one"})) == {"three"}


@pytest.mark.skipif(shutil.which("lz4") is None, reason="no lz4 here")
def test_lz4_as_its_own_program_writes_and_reads_it() -> None:
    plain = archive({"a": f"UUID={OLD}\n".encode(), "b": bytes(range(256)) * 40000})
    packed = subprocess.run(["lz4", "-l", "-9", "-c"], input=plain, capture_output=True, check=True).stdout
    new = boot_files.renamed("/boot/initrd.img", packed + bytes(300), RENAMING)
    assert new.endswith(bytes(300))
    said = subprocess.run(["lz4", "-d", "-c"], input=new[:-300], capture_output=True, check=True)
    assert said.stdout == plain.replace(OLD.encode(), NEW.encode())
