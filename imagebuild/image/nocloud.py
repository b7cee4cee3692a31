"""The seed that cloud-init reads at the first boot of a machine, as an ISO image on a CD-ROM.

The format is NoCloud's (https://docs.cloud-init.io, "NoCloud"): files of fixed names in a file system
with the label ``cidata``.
"""

from __future__ import annotations

import string
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path

from imagebuild.image import iso

_LABEL = "cidata"


def make(path: Path, files: Mapping[str, bytes]) -> None:
    """Make the image, which only its owner can read: user data may contain passwords. Raises CommandFailed."""
    with tempfile.TemporaryDirectory(prefix=".seed-", dir=path.parent) as place:
        folder, image = Path(place) / "seed", Path(place) / "seed.iso"
        folder.mkdir(mode=0o700)
        for name, content in files.items():
            (folder / name).write_bytes(content)
        iso.make(image, _LABEL, folder)
        image.chmod(0o600)
        image.replace(path)


def attach(domain: ET.Element, path: str) -> None:
    """Add the image at ``path`` to a domain definition, as the last disk, so that no disk gets another name."""
    devices, kind = domain.find("devices"), domain.find("os/type")
    assert devices is not None
    used = {target.get("dev") for target in devices.findall("disk/target")}
    name = next(name for letter in string.ascii_lowercase if (name := f"sd{letter}") not in used)
    x86 = kind is None or kind.get("arch", "x86_64") in ("x86_64", "i686")
    disk = ET.Element("disk", type="file", device="cdrom")
    ET.SubElement(disk, "driver", name="qemu", type="raw")
    ET.SubElement(disk, "source", file=path)
    ET.SubElement(disk, "target", dev=name, bus="sata" if x86 else "scsi")
    ET.SubElement(disk, "readonly")
    devices.insert(len(devices.findall("disk")), disk)
