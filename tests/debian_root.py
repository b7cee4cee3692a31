"""A real Debian from the host's mirror, for tests that run programs of a guest."""

from __future__ import annotations

from pathlib import Path

from imagebuild.host.process import run
from imagebuild.kickstrap.mirror import host_mirror
from tests.appliance import appliance


def archive(folder: Path, *options: str) -> Path:
    """The smallest root with apt, and what the mmdebstrap ``options`` add, as a tar archive in
    ``folder``.
    """
    made = folder / "root.tar"
    mirror = host_mirror().main
    run(["mmdebstrap", "--variant=apt", *options, "trixie", made, *([mirror] if mirror else [])], timeout=900)
    return made


def disk(root: Path, folder: Path) -> Path:
    """A raw disk in ``folder`` with this root and without a partition table."""
    with appliance(folder, 3 << 30) as (g, (made,)):
        g.mkfs("ext4", "/dev/sda")
        g.mount("/dev/sda", "/")
        g.tar_in(str(root), "/")
        g.write("/etc/fstab", "/dev/vda / ext4 defaults 0 1\n")
    return made
