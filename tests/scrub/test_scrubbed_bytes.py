"""Data removed by scrubbing is gone from the bytes of the image, whatever its format and the size
of its blocks."""

from __future__ import annotations

import mmap
import posixpath
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from imagebuild.customise import registry
from imagebuild.scrub import recognised, scrub
from imagebuild.scrub.working_copy import style
from tests import ext4
from tests.operations import families
from tests.operations.memory import Node, Tree, with_folders

MIB = 1 << 20
ROOT, ROOT_SIZE, SWAP_SIZE = 1, 60, 30
"""Start of the root file system, and sizes, in MiB."""
IN_SWAP = b"SWAPPED-OUT-PASSWORD"
CLEARED = ("/etc/pki/consumer", "/etc/pki/entitlement")
"""Folders of a registration that are emptied, whatever they contain."""
WORDS = re.compile(b"|".join(re.escape(word.encode()) for word in families.GONE) + b"|" + IN_SWAP)


def guest(family: families.Family) -> Tree:
    """The family's guest, with files that stay next to those that are removed, as an installation
    writes them."""
    tree = dict(family.tree())
    for folder in {posixpath.dirname(path) for path, node in tree.items() if node.kind == "file"}:
        if not folder.startswith("/etc") or folder in CLEARED:
            continue  # much of the rest is removed together with its folder
        tree |= with_folders({f"{folder}/stays-{number}.conf": Node("file", 0o644, b"STAYS\n") for number in range(2)})
    tree["/etc/fstab"] = Node("file", 0o644, b"/dev/vda1 / ext4 defaults 0 1\n/dev/vda2 none swap sw 0 0\n")
    return tree


def disk(tree: Tree, folder: Path, block: int) -> Path:
    """A raw disk with an MBR, the tree on an ext4 and a swap area that was in use."""
    root = folder / "tree"
    for path, node in sorted(tree.items()):
        place = root / path.strip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if node.kind == "dir":
            place.mkdir(exist_ok=True)
        elif node.kind == "symlink":
            place.symlink_to(node.content.decode())
        else:
            place.write_bytes(node.content)
            place.chmod(node.mode)
    system, swap, whole = folder / "system", folder / "swap", folder / "disk.raw"
    for image, size in ((system, ROOT_SIZE), (swap, SWAP_SIZE), (whole, ROOT_SIZE + SWAP_SIZE + 2)):
        with image.open("wb") as file:
            file.truncate(size * MIB)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-b", str(block), "-d", root, system], check=True)
    subprocess.run(["mkswap", "-q", swap], check=True)
    with swap.open("r+b") as file:
        file.seek(4 * MIB)
        file.write(IN_SWAP * 1000)
    table = f"label: dos\nstart=2048,size={ROOT_SIZE * 2048},type=83\nsize={SWAP_SIZE * 2048},type=82\n"
    subprocess.run(["sfdisk", "-q", whole], input=table.encode(), check=True)
    for image, at in ((system, ROOT), (swap, ROOT + ROOT_SIZE)):
        subprocess.run(
            ["dd", f"if={image}", f"of={whole}", "bs=1M", f"seek={at}", "conv=notrunc,sparse", "status=none"],
            check=True,
        )
    return whole


def words(image: Path, image_format: str) -> Counter[bytes]:
    """How often each word that must be gone occurs in the bytes of an image's disk, and of its
    file."""
    raw = image.with_suffix(".look")
    subprocess.run(["qemu-img", "convert", "-f", image_format, "-O", "raw", image, raw], check=True)
    found: Counter[bytes] = Counter()
    for path in (raw, image):
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            found += Counter(match[0] for match in WORDS.finditer(data))
    return found


@pytest.mark.guestfs
@pytest.mark.parametrize(
    ("family", "block", "image_format", "options", "way"),
    [
        (families.DEBIAN, 1024, "qcow2", ("-c", "-o", "compression_type=zstd"), "in-place"),
        (families.RHEL9, 4096, "qcow2", ("-o", "compat=0.10,cluster_size=2M"), "swap"),
        (families.UBUNTU, 1024, "raw", (), "swap"),
    ],
)
def test_no_word_is_left(
    family: families.Family, block: int, image_format: str, options: tuple[str, ...], way: str, tmp_path: Path
) -> None:
    tree = guest(family)
    whole = disk(tree, tmp_path, block)
    image = tmp_path / f"image.{image_format}"
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", image_format, *options, whole, image], check=True)
    images = recognised([image])
    before = style(images[0])
    assert len(words(image, image_format)) > 2
    calls = [registry.call(name) for name in registry.TEMPLATE]
    result = scrub(images, calls, accel="tcg", way=way)  # type: ignore[arg-type]
    assert [(one.name, one.failed) for one in result.operations if one.failed] == []
    assert words(image, image_format) == Counter()
    assert style(recognised([image])[0]) == before
    scrubbed = image.with_suffix(".look")
    stays = [path for path in tree if "stays-" in path]
    assert len(stays) > 8
    assert [path for path in stays if ext4.content(scrubbed, ROOT, path) != b"STAYS\n"] == []
