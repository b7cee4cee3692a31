"""The disks that are worked on: raw copies, whatever the format of the image, and the new images
created from them.

Only in a raw file can each freed block be discarded separately. In a qcow2 it keeps its bytes while
something else in its cluster is in use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from imagebuild.image import qemu_img
from imagebuild.image.conversion import convert
from imagebuild.image.formats import CLUSTER
from imagebuild.progress import Progress
from imagebuild.scrub.images import ImageToScrub


@dataclass(frozen=True)
class Style:
    """How a qcow2 was written, so that its replacement is written in the same way."""

    compat: str
    cluster_size: int
    compression: Literal["zstd", "zlib"]
    compressed: bool
    extended_l2: bool
    refcount_bits: int

    @property
    def is_our_own(self) -> bool:
        """Whether this is the way in which imagebuild itself always writes a qcow2."""
        usual = self.compat == "1.1" and self.cluster_size == CLUSTER and self.refcount_bits == 16
        return usual and self.compressed and not self.extended_l2

    @property
    def options(self) -> dict[str, str]:
        """The qemu-img options for such an image."""
        known = {
            "compat": self.compat,
            "cluster_size": str(self.cluster_size),
            "refcount_bits": str(self.refcount_bits),
        }
        if self.extended_l2:
            known["extended_l2"] = "on"
        if self.compression != "zlib":
            known["compression_type"] = self.compression
        return known


def copies(images: Sequence[ImageToScrub], folder: Path, progress: Progress) -> list[Path]:
    """A raw copy of every image in ``folder``, readable only by its owner."""
    progress.update("copying the image")
    made = [folder / f"{number}.raw" for number in range(len(images))]
    for image, copy in zip(images, made, strict=True):
        copy.touch(mode=0o600)
        if image.format == "raw":
            qemu_img.copy_file(image.path, copy)
        else:
            qemu_img.to_raw(image.path, image.format, copy)
    return made


def style(image: ImageToScrub) -> Style | None:
    """How a qcow2 was written; None for a raw image."""
    if image.format == "raw":
        return None
    found = qemu_img.info(image.path, image.format)
    details = found["format-specific"]["data"]
    return Style(
        compat=details["compat"],
        cluster_size=found["cluster-size"],
        compression=details.get("compression-type", "zlib"),
        compressed=qemu_img.clusters(image.path).compressed > 0,
        extended_l2=details.get("extended-l2", False),
        refcount_bits=details["refcount-bits"],
    )


def finished(copy: Path, as_it_was: Style | None, done: Path, progress: Progress) -> None:
    """Create the new image ``done`` from a raw copy, which is removed."""
    if as_it_was is None:
        copy.rename(done)
        return
    if as_it_was.is_our_own:
        convert(copy, {"qcow2": done}, compression=as_it_was.compression, progress=progress)
    else:
        qemu_img.convert(
            copy, done, "qcow2", options=as_it_was.options, compressed=as_it_was.compressed, progress=progress
        )
        qemu_img.check(done, "qcow2")
    done.chmod(0o600)
    copy.unlink()
