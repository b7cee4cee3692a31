"""The format of an image file, and headers that are refused."""

from __future__ import annotations

import io
import shlex
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagebuild.errors import UsageError
from imagebuild.image.disk_image import _OTHERS, check, recognise


def made(path: Path, *options: str | Path) -> Path:
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *options, path, "16M"], check=True)
    return path


def patched(path: Path, at: int, content: bytes) -> Path:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)
    return path


def test_formats(tmp_path: Path) -> None:
    raw = tmp_path / "disk.raw"
    raw.write_bytes(b"\0" * 4096)
    assert recognise(raw) == "raw"
    assert recognise(made(tmp_path / "disk.qcow2")) == "qcow2"
    assert recognise(made(tmp_path / "old.qcow2", "-o", "compat=0.10")) == "qcow2"
    assert recognise(made(tmp_path / "zstd.qcow2", "-o", "compression_type=zstd,extended_l2=on")) == "qcow2"


@pytest.mark.parametrize("content", [b"name: web\n", "#!/bin/sh\necho für\n".encode(), b"<domain>" + b" " * 9000])
def test_a_text_is_no_disk(tmp_path: Path, content: bytes) -> None:
    """It was found out late, by an appliance that could not start with it."""
    text = tmp_path / "image"
    text.write_bytes(content)
    with pytest.raises(UsageError, match="is a text file, not a disk image"):
        recognise(text)


@pytest.mark.parametrize("start", [b"", b"XFSB", b"LUKS\xba\xbe", b"LABELONE", b"\xeb\x63\x90"])
def test_disks_without_a_partition_table(tmp_path: Path, start: bytes) -> None:
    raw = tmp_path / "disk.raw"
    raw.write_bytes(start.ljust(4096, b"\0"))
    assert recognise(raw) == "raw"


def test_a_format_that_is_given_is_not_guessed(tmp_path: Path) -> None:
    image = made(tmp_path / "disk.qcow2")
    assert recognise(image, "raw") == "raw"
    raw = tmp_path / "disk.raw"
    raw.write_bytes(b"\0" * 4096)
    with pytest.raises(UsageError, match="is not a qcow2 image"):
        recognise(raw, "qcow2")


def converted(error: UsageError) -> list[str]:
    """Run the command in a hint in a shell, as a user would, and return its words."""
    hint = str(error.hint)
    line = hint[hint.index("qemu-img convert") :]
    subprocess.run(["sh", "-c", line], check=True, cwd="/")
    return shlex.split(line)


@pytest.mark.parametrize("kind", ["vmdk", "vhdx", "vdi", "qed", "vpc"])
@pytest.mark.parametrize("name", ["disk.{}", "-o a=b.{}", "nbd:x.{}", "it's; touch canary.qcow2", "line\nbreak.{}"])
def test_other_formats_are_refused_with_a_command_that_converts_them(tmp_path: Path, kind: str, name: str) -> None:
    image = tmp_path / name.format(kind)
    subprocess.run(["qemu-img", "create", "-q", "-f", kind, image, "16M"], check=True)
    with pytest.raises(UsageError, match=f"is a {kind} image") as caught:
        recognise(image)
    before = set(tmp_path.iterdir())
    words = converted(caught.value) if "\n" not in name else []
    made = set(tmp_path.iterdir()) - before
    if words:
        assert words[3] == kind
        assert made == {Path(words[-1])}
        assert recognise(made.pop()) == "qcow2"


def test_the_suggested_target_name_is_unused(tmp_path: Path) -> None:
    image = tmp_path / "disk.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "vmdk", image, "16M"], check=True)
    (tmp_path / "disk-2.qcow2").touch()
    with pytest.raises(UsageError) as caught:
        recognise(image)
    assert str(caught.value.hint).endswith(f"{image} {tmp_path}/disk-3.qcow2")


def assert_only_a_warning(error: UsageError, name: str) -> None:
    """The message shows the named file, on one line; the hint warns, and contains no command that
    reads it.
    """
    assert name in error.message
    assert error.message.isprintable()
    assert "copies the content" in str(error.hint)
    assert "/" not in str(error.hint)


@pytest.mark.parametrize("name", ["secret", "/nowhere/secret", "json:{}", "nbd:host:1", "a" * 500, "\x1b[2Jx", "‮x"])
def test_a_backing_file_is_refused(tmp_path: Path, name: str) -> None:
    overlay = made(tmp_path / "overlay.qcow2")
    backed = struct.pack(">QI", 4096, len(name.encode()))
    patched(patched(overlay, 8, backed), 4096, name.encode())
    with pytest.raises(UsageError, match="is incomplete without its backing file") as caught:
        recognise(overlay)
    assert_only_a_warning(caught.value, name[:200] if name.isprintable() else "x’")


def test_a_backing_file_whose_name_is_out_of_range(tmp_path: Path) -> None:
    for offset, size in ((1 << 63, 100), (1 << 40, 0xFFFFFFFF), (2**64 - 1, 0)):
        overlay = patched(made(tmp_path / "overlay.qcow2"), 8, struct.pack(">QI", offset, size))
        with pytest.raises(UsageError, match="is incomplete without its backing file"):
            recognise(overlay)


def test_an_external_data_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="stores its data in another file") as caught:
        recognise(made(tmp_path / "disk.qcow2", "-o", f"data_file={tmp_path / 'data.raw'}"))
    assert_only_a_warning(caught.value, f"‘{tmp_path}/data.raw’")


def test_a_qed_with_a_backing_file(tmp_path: Path) -> None:
    base, overlay = tmp_path / "base.raw", tmp_path / "overlay.qed"
    base.write_bytes(bytes(1 << 20))
    subprocess.run(["qemu-img", "create", "-q", "-f", "qed", "-F", "raw", "-b", base, overlay], check=True)
    with pytest.raises(UsageError, match="is a qed image that reads its content from") as caught:
        recognise(overlay)
    assert_only_a_warning(caught.value, f"‘{base}’")


DESCRIPTOR = """# Disk DescriptorFile
version=1
CID=12345678
parentCID=ffffffff
createType="monolithicFlat"

RW 2048 FLAT "%s" 0
"""


@pytest.mark.parametrize("name", ["/etc/hostname", "disk-flat.vmdk", "../x", "/proc/self/environ"])
def test_a_vmdk_descriptor_that_names_files(tmp_path: Path, name: str) -> None:
    image = tmp_path / "disk.vmdk"
    image.write_text(DESCRIPTOR % name)
    with pytest.raises(UsageError, match="is a vmdk image that reads its content from") as caught:
        recognise(image)
    assert_only_a_warning(caught.value, f"‘{name}’")


def test_many_names_are_counted(tmp_path: Path) -> None:
    image = tmp_path / "disk.vmdk"
    image.write_text(DESCRIPTOR % "0" + "".join(f'RW 1 FLAT "{number}" 0\n' for number in range(1, 9)))
    with pytest.raises(UsageError, match="‘0’, ‘1’, ‘2’ and 6 more"):
        recognise(image)


@pytest.mark.parametrize("kind", ["monolithicSparse", "streamOptimized"])
def test_a_vmdk_of_one_file_with_a_parent(tmp_path: Path, kind: str) -> None:
    image = tmp_path / "disk.vmdk"
    subprocess.run(["qemu-img", "create", "-q", "-f", "vmdk", "-o", f"subformat={kind}", image, "16M"], check=True)
    with pytest.raises(UsageError, match="only raw and qcow2 are supported") as caught:
        recognise(image)
    assert "qemu-img convert" in str(caught.value.hint), "its own extent is no other file"
    text = image.read_bytes().index(b"# Disk DescriptorFile")
    patched(image, text + len(b"# Disk DescriptorFile\n"), b'parentFileNameHint="/nowhere/base.vmdk"\n')
    with pytest.raises(UsageError) as caught:
        recognise(image)
    assert_only_a_warning(caught.value, "‘/nowhere/base.vmdk’")


def test_a_vmdk_without_capacity_is_its_descriptor(tmp_path: Path) -> None:
    """QEMU opens the extents of one, as of a text (vmdk_open_vmdk4 in block/vmdk.c)."""
    image = tmp_path / "disk.vmdk"
    subprocess.run(["qemu-img", "create", "-q", "-f", "vmdk", image, "16M"], check=True)
    patched(image, 12, bytes(8))
    with pytest.raises(UsageError, match=r"reads its content from ‘disk\.vmdk’"):
        recognise(image)


@pytest.mark.parametrize("kind", ["vmdk", "qed"])
def test_a_header_that_is_cut(tmp_path: Path, kind: str) -> None:
    image = tmp_path / "disk"
    subprocess.run(["qemu-img", "create", "-q", "-f", kind, image, "16M"], check=True)
    with image.open("r+b") as file:
        file.truncate(20)
    with pytest.raises(UsageError, match=f"is a {kind} image with a damaged header") as caught:
        recognise(image)
    assert "convert" not in str(caught.value.hint)


@pytest.mark.parametrize(("program", "suffix"), [("zstd", ".zst"), ("gzip", ".gz"), ("xz", ".xz"), ("bzip2", ".bz2")])
@pytest.mark.parametrize("name", ["disk.raw", "it's a disk", "-c"])
def test_compressed_files_are_refused_with_a_command_that_unpacks_them(
    tmp_path: Path, program: str, suffix: str, name: str
) -> None:
    """Including raw.zst, one of imagebuild's own formats."""
    image = tmp_path / f"{name}{suffix}"
    content = b"a disk" * 1000
    packed = subprocess.run([program, "-c"], input=content, check=True, capture_output=True)
    image.write_bytes(packed.stdout)
    with pytest.raises(UsageError, match=f"is compressed with {program}") as caught:
        recognise(image)
    subprocess.run(["sh", "-c", str(caught.value.hint).removeprefix("unpack it: ")], check=True, cwd="/")
    assert (tmp_path / name).read_bytes() == content
    assert recognise(image, "raw") == "raw"


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_archives_are_named(tmp_path: Path, kind: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "disk.raw").write_bytes(bytes(4096))
    archive = Path(shutil.make_archive(str(tmp_path / "disk"), kind, tmp_path / "in"))
    with pytest.raises(UsageError, match=f"is a {kind} archive"):
        recognise(archive)


@given(head=st.sampled_from([*_OTHERS, b"QFI\xfb\0\0\0\x03", b"QFI\xfb\0\0\0\x02"]), rest=st.binary(max_size=700))
def test_any_data_after_a_magic_number_is_recognised_or_refused(head: bytes, rest: bytes) -> None:
    with io.BytesIO(head + rest) as file:
        try:
            check(file, Path("image"))
        except UsageError as error:
            assert error.message.isprintable()  # noqa: PT017 - there may be no error


def test_snapshots_are_refused(tmp_path: Path) -> None:
    image = made(tmp_path / "disk.qcow2")
    subprocess.run(["qemu-img", "snapshot", "-c", "one", image], check=True)
    with pytest.raises(UsageError, match="1 internal snapshots"):
        recognise(image)


@pytest.mark.parametrize(
    ("at", "content", "said"),
    [
        (4, struct.pack(">I", 9), "version 9"),
        (72, struct.pack(">Q", 1), "not closed cleanly"),
        (72, struct.pack(">Q", 2), "not closed cleanly"),
        (72, struct.pack(">Q", 1 << 40), "unknown qcow2 features: 0x10000000000"),
        (32, struct.pack(">I", 2), "encrypted"),
    ],
)
def test_other_headers_that_are_refused(tmp_path: Path, at: int, content: bytes, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        recognise(patched(made(tmp_path / "disk.qcow2"), at, content))


@pytest.mark.parametrize("length", [0, 4, 40, 80])
def test_short_files(tmp_path: Path, length: int) -> None:
    image = made(tmp_path / "disk.qcow2")
    short = tmp_path / "short.qcow2"
    short.write_bytes(image.read_bytes()[:length])
    with pytest.raises(UsageError):
        recognise(short)
