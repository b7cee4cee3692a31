"""Parsing .treeinfo, in its two generations, and checksum files."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagebuild.anaconda import checksums, treeinfo
from imagebuild.fetch import Digest

ONE, TWO, THREE = (f"{number}" * 64 for number in (1, 2, 3))
PRODUCTMD = f"""\
[checksums]
images/boot.iso = sha256:{"9" * 64}
images/install.img = sha256:{THREE}
images/pxeboot/initrd.img = sha256:{TWO}
images/pxeboot/vmlinuz = sha256:{ONE}

[general]
; WARNING.0 = This section provides compatibility with pre-productmd treeinfos.
arch = x86_64
family = Example Linux
name = Example Linux 9.4
version = 9.4

[header]
type = productmd.treeinfo
version = 1.2

[images-x86_64]
boot.iso = images/boot.iso
initrd = images/pxeboot/initrd.img
kernel = images/pxeboot/vmlinuz

[release]
name = Example Linux
short = Example
version = 9.4

[stage2]
mainimage = images/install.img

[tree]
arch = x86_64
platforms = x86_64,xen
"""
OLDER = f"""\
[addon-HighAvailability]
name = High Availability
repository = addons/HighAvailability

[checksums]
LiveOS/squashfs.img = sha256:{THREE}
images/pxeboot/initrd.img = sha256:{TWO}
images/pxeboot/vmlinuz = sha256:{ONE}
images/product.img = sha256:{"8" * 64}
repodata/repomd.xml = sha256:{"9" * 64}

[general]
arch = x86_64
family = Example
timestamp = 1444904916.55
version = 7.9

[images-x86_64]
kernel = images/pxeboot/vmlinuz
initrd = images/pxeboot/initrd.img

[images-xen]
kernel = images/pxeboot/vmlinuz
initrd = images/pxeboot/initrd.img
"""


def test_productmd() -> None:
    info = treeinfo.parse(PRODUCTMD, "x86_64")
    assert (info.family, info.version) == ("Example Linux", "9.4")
    assert info.wanted == ("images/pxeboot/vmlinuz", "images/pxeboot/initrd.img", "images/install.img")
    assert info.without_digest() == ()
    assert info.checksums["images/install.img"] == Digest("sha256", THREE)


def test_the_older_generation_does_not_name_its_runtime_image() -> None:
    info = treeinfo.parse(OLDER, "x86_64")
    assert (info.family, info.version, info.stage2) == ("Example", "7.9", "LiveOS/squashfs.img")
    assert info.beside == ("images/product.img",)
    assert info.without_digest() == ()


def test_files_without_a_digest_and_with_a_weak_one() -> None:
    weak = OLDER.replace(f"vmlinuz = sha256:{ONE}", f"vmlinuz = md5:{'1' * 32}").replace(
        f"images/pxeboot/initrd.img = sha256:{TWO}\n", ""
    )
    assert treeinfo.parse(weak, "x86_64").without_digest() == ("images/pxeboot/vmlinuz", "images/pxeboot/initrd.img")
    assert treeinfo.parse(PRODUCTMD.replace(f"install.img = sha256:{THREE}", "install.img = sha256:1"),
        "x86_64").without_digest() == (
        "images/install.img",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "arch", "message"),
    [
        (PRODUCTMD, "aarch64", "it has no installer for aarch64, only for x86_64"),
        ("", "x86_64", "it has no installer for x86_64"),
        ("<html>", "x86_64", "it is not an INI file"),
        (PRODUCTMD.replace("kernel = images/pxeboot/vmlinuz", ""), "x86_64", "it names no kernel in"),
        (PRODUCTMD.replace("kernel = images", "kernel = ../../etc"), "x86_64",
            "its kernel is '../../etc/pxeboot/vmlinuz'"),
        (PRODUCTMD.replace("kernel = images", "kernel = /etc"), "x86_64", "not a path inside the tree"),
        (PRODUCTMD.replace("mainimage = images", "mainimage = http://x"), "x86_64", "its stage2 is 'http://x/install.img'"),
    ],
)  # fmt: skip
def test_an_invalid_treeinfo(text: str, arch: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        treeinfo.parse(text, arch)


@given(st.text(alphabet=st.sampled_from("[]=:;#\n images-x86_64kernelinitrdchecksums.%{}\t\0é")))
def test_any_text_produces_a_treeinfo_or_an_error(text: str) -> None:
    with suppress(ValueError):
        treeinfo.parse(f"[images-x86_64]\nkernel = k\ninitrd = i\n{text}", "x86_64")


def test_the_own_treeinfo_can_be_parsed() -> None:
    info = treeinfo.parse(treeinfo.own("x86_64"), "x86_64")
    assert (info.kernel, info.initrd, info.stage2) == (treeinfo.KERNEL, treeinfo.INITRD, "images/install.img")


LISTING = f"""\
# Example-9.4-x86_64-boot.iso: 1000 bytes
SHA256 (Example-9.4-x86_64-boot.iso) = {ONE.upper()}
SHA256 (Example-9.4-x86_64-dvd.iso) = {TWO}
{THREE}  minimal.iso
{ONE} *./binary.iso
MD5 (other.iso) = {"1" * 32}
{TWO}  twice.iso
{THREE}  twice.iso
{TWO}  strong.iso
{"5" * 128}  strong.iso
SHA512 (short.iso) = {ONE}
"""


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("Example-9.4-x86_64-boot.iso", Digest("sha256", ONE)),
        ("Example-9.4-x86_64-dvd.iso", Digest("sha256", TWO)),
        ("minimal.iso", Digest("sha256", THREE)),
        ("binary.iso", Digest("sha256", ONE)),
        ("strong.iso", Digest("sha512", "5" * 128)),
    ],
)
def test_a_listed_file(name: str, digest: Digest) -> None:
    assert checksums.find(LISTING.replace(f"SHA512 (short.iso) = {ONE}\n", ""), name) == digest


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Example-9.5-x86_64-boot.iso", (
            "it does not list Example-9.5-x86_64-boot.iso; it lists "
            "Example-9.4-x86_64-boot"
        )),
        ("other.iso", "it does not list other.iso"),
        ("twice.iso", "it lists twice.iso twice, with different digests"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_listed(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checksums.find(LISTING.replace(f"SHA512 (short.iso) = {ONE}\n", ""), name)
    with pytest.raises(ValueError, match=r"its line for short\.iso has a digest of the wrong length"):
        checksums.find(LISTING, name)
