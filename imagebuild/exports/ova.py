"""OVA for VMware and VirtualBox: an OVF descriptor, its manifest and vmdk disks in a tar.

The order is that of DSP0243 1.1.0, 5.3: descriptor, manifest, then the files in the order of
References. The archive is in the ustar format, as the standard requires. The manifest has lines as
``openssl sha256`` prints them, which all readers understand.
"""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path

from imagebuild.errors import UsageError
from imagebuild.exports import archive, disk_copies, ovf
from imagebuild.exports.export_source import ExportSource
from imagebuild.exports.ovf import OvfDisk
from imagebuild.progress import Progress


def fill(source: ExportSource, target: Path, progress: Progress) -> None:
    """Write the archive; the vmdk files are made beside it first, as its manifest comes before them.

    Raises UsageError for a vmdk of 8 GiB or more, which the standard's archive cannot hold.
    """
    stem = source.stem
    disks, digests = [], {}
    for number, disk in enumerate(source.disks, start=1):
        path = target.parent / f"{stem}-disk{number}.vmdk"
        digests[path.name] = disk_copies.write_vmdk(disk, path, progress)
        size = path.stat().st_size
        if size >= archive.UNDER_USTAR:
            raise UsageError(f"disk {number} of {source.name} takes {size >> 20} MiB; an OVA holds less than 8 GiB")
        disks.append(OvfDisk(path.name, size, disk.size))
    text = ovf.descriptor(source, disks)
    names = {f"{stem}.ovf": hashlib.sha256(text.encode()).hexdigest(), **digests}
    manifest = "".join(f"SHA256({name})= {digest}\n" for name, digest in names.items())
    with target.open("xb") as file, archive.opened(file, tarfile.USTAR_FORMAT) as package:
        archive.add_text(package, f"{stem}.ovf", text, source.time)
        archive.add_text(package, f"{stem}.mf", manifest, source.time)
        for one in disks:
            path = target.parent / one.name
            archive.add_file(package, archive.member(one.name, one.size, source.time), path, progress)
            path.unlink()


def temporary(source: ExportSource) -> int:
    """The bytes that are needed until the archive is finished: the vmdk files."""
    return sum(map(disk_copies.compressed_size, source.disks))


def result(source: ExportSource) -> int:
    """About the most bytes that the archive has."""
    return temporary(source)
