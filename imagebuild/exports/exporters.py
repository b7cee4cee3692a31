"""The formats of exports, by name, behind one interface."""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from imagebuild.errors import UsageError, from_os
from imagebuild.exports import azure, container_disk, gce, ova, placing, vagrant
from imagebuild.exports.export_source import ExportSource
from imagebuild.progress import SILENT, Progress

Fill = Callable[[ExportSource, Path, Progress], None]
Estimate = Callable[[ExportSource], int]


@dataclass(frozen=True)
class Exporter:
    """A format. ``suffix`` ends the names of its files, or of its folders, which contain the file
    ``marker``. ``several`` is whether it holds all disks of a guest.
    """

    name: str
    suffix: str
    summary: str
    fill: Fill
    result: Estimate
    temporary: Estimate
    several: bool = True
    marker: str = ""

    def write(self, source: ExportSource, folder: Path, *, force: bool = False, progress: Progress = SILENT) -> Path:
        """Export a source into ``folder``, which is made if it does not exist; the file, or the
        folder of a layout. An existing one is replaced only with ``force``.

        It is complete or absent, and the same source gives the same bytes. Raises UsageError for a
        source that the format cannot hold, HostError if there is not enough space.
        """
        if len(source.disks) != 1 and not self.several:
            raise UsageError(f"the format {self.name} holds one disk, and {source.name} has {len(source.disks)}")
        name = f"{source.stem}{self.suffix}"
        try:
            with placing.placed(folder, name, force=force, marker=self.marker) as path:
                extra = self.temporary(source)
                placing.check_room(folder, self.result(source) + extra, extra)
                self.fill(source, path, progress)
                _set_modes(path, private=source.private)
        except OSError as error:
            raise from_os(error, str(folder)) from error
        return folder / name

    def write_all(
        self, source: ExportSource, folder: Path, *, force: bool = False, progress: Progress = SILENT
    ) -> tuple[Path, ...]:
        """The same for a source of any number of disks: one file, or one for each of them."""
        parts = (source,) if self.several else tuple(source.each_disk())
        return tuple(self.write(part, folder, force=force, progress=progress) for part in parts)


def size_of(path: Path) -> int:
    """The bytes of an export: of a file, or of all files in a folder."""
    if path.is_dir():
        return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())
    return path.stat().st_size


def get(name: str) -> Exporter:
    """The format of this name. Raises UsageError if there is none."""
    try:
        return EXPORTERS[name]
    except KeyError as error:
        raise UsageError(f"there is no export format {name!r}", f"formats: {', '.join(EXPORTERS)}") from error


def _set_modes(path: Path, *, private: bool) -> None:
    """Make the result readable for all users if the images are."""
    for one in (path, *path.rglob("*")):
        if stat.S_ISDIR(one.stat().st_mode):
            one.chmod(0o700 if private else 0o755)
        else:
            one.chmod(0o600 if private else 0o644)


EXPORTERS = {
    one.name: one
    for one in (
        Exporter("ova", ".ova", "VMware, VirtualBox: OVF descriptor and vmdk", ova.fill, ova.result, ova.temporary),
        Exporter(
            "vagrant", ".box", "Vagrant box for libvirt", vagrant.fill, vagrant.result, vagrant.temporary
        ),
        Exporter(
            "container-disk", ".oci", "KubeVirt: containerDisk as an OCI layout",
            container_disk.fill, container_disk.result, container_disk.temporary, marker=container_disk.MARKER,
        ),
        Exporter(
            "gce", ".tar.gz", "Google Compute Engine: disk.raw in a tar.gz",
            gce.fill, gce.result, gce.temporary, several=False,
        ),
        Exporter(
            "azure", ".vhd", "Azure: VHD of the fixed type", azure.fill, azure.result, azure.temporary, several=False
        ),
    )
}  # fmt: skip
