"""The root that every other one continues from: Debian's required packages and the mirror's package
lists.

All root archives are made this way, whether a base is in the store already or not, so that the same
packages give the same bytes. The lists in it keep what follows at the mirror's state of one moment.
"""

from __future__ import annotations

import io
import shutil
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import zstandard

from imagebuild import files
from imagebuild.customise.linux import dpkg
from imagebuild.errors import ImageBuildError, from_os
from imagebuild.kickstrap import archive_times, bootstrap, release_file
from imagebuild.kickstrap.mirror import Mirror

if TYPE_CHECKING:
    from imagebuild.progress import Progress

STATUS = "./var/lib/dpkg/status"
CODE = ("archive_times", "base_root", "bootstrap", "mirror", "release_file", "scratch", "agent/without_sync")
"""The modules of this folder that determine a base."""
_LEVEL = 1
"""Of zstd: others take longer for little."""
_RELEASES = ("_InRelease", "_Release")


@dataclass(frozen=True)
class BaseSpec:
    """A base of ``suite``. Names in ``excluded`` are never installed; ``recommends`` adds recommended
    packages; ``arch`` is Debian's name; ``epoch`` is the mirror's date in seconds since 1970.
    ``left_out`` are options of dpkg that keep files from being unpacked.
    """

    suite: str
    mirror: Mirror = field(default_factory=Mirror)
    components: tuple[str, ...] = ("main",)
    excluded: tuple[str, ...] = ()
    recommends: bool = False
    arch: str = "amd64"
    epoch: int | None = None
    left_out: tuple[str, ...] = ()

    def bootstrap(self) -> bootstrap.Bootstrap:
        """The parts that a base has in common with what continues from it."""
        return bootstrap.Bootstrap(
            suite=self.suite,
            mirror=self.mirror,
            components=self.components,
            packages=tuple(f"{name}-" for name in sorted(self.excluded)),
            recommends=self.recommends,
            arch=self.arch,
            dpkg_options=self.left_out,
            epoch=int(time.time()) if self.epoch is None else self.epoch,
        )


@dataclass(frozen=True)
class BaseRoot:
    """The archive, its packages with versions, and the name of the mirror's state
    (``release_file.offered``); that is empty if it is not known.
    """

    path: Path
    packages: dict[str, str]
    offered: str


def build(spec: BaseSpec, into: Path, progress: Progress) -> BaseRoot:
    """Build the base of ``spec`` in the folder ``into``: an archive, and its description ``base.json``.

    The archive is compressed, because it is only unpacked: a third of the bytes are written. Raises HostError,
    CommandFailed.
    """
    into.mkdir(parents=True, exist_ok=True)
    plain = spec.bootstrap()
    root = bootstrap.streamed(replace(plain, keep_lists=True), into, progress, lambda pipe: io.BytesIO(pipe.read()))
    # settled here: what continues from it may have another mirror date with the same packages
    archive_times.settle_open(root, plain.epoch or 0, apart=bootstrap.LISTS)
    status, releases = _read(root)
    archive = _written(root, into)
    base = BaseRoot(archive, dpkg.versions(status), release_file.offered(releases, spec.components, spec.arch))
    files.write_record(into / "base.json", replace(base, path=Path(archive.name)))
    return base


def read(folder: Path) -> BaseRoot:
    """The result of ``build`` in ``folder``."""
    record = files.read_record(folder / "base.json", BaseRoot)
    return replace(record, path=folder / record.path.name)


def _written(root: io.BytesIO, into: Path) -> Path:
    """The file with the archive: with zstd(1), which tar(1) runs, if that is installed."""
    compressed = shutil.which("zstd") is not None
    archive = into / ("base.tar.zst" if compressed else "base.tar")
    try:
        with archive.open("wb") as file:
            content = root.getbuffer()
            file.write(zstandard.ZstdCompressor(level=_LEVEL).compress(content) if compressed else content)
    except OSError as error:
        archive.unlink(missing_ok=True)
        error.filename = str(archive)
        raise from_os(error) from error
    archive.chmod(0o644)
    return archive


def _read(archive: BinaryIO) -> tuple[str, list[str]]:
    """The dpkg database, and the Release files that apt has verified."""
    found = dict(_texts(archive))
    if STATUS not in found:
        raise ImageBuildError(f"the base's root archive does not contain a Debian system: {STATUS} is missing")
    return found.pop(STATUS), list(found.values())


def _texts(archive: BinaryIO) -> Iterator[tuple[str, str]]:
    archive.seek(0)
    with tarfile.open(fileobj=archive, mode="r:") as root:
        for member in root:
            is_release = member.name.startswith(f"{bootstrap.LISTS}/") and member.name.endswith(_RELEASES)
            if (is_release or member.name == STATUS) and (content := root.extractfile(member)) is not None:
                yield member.name, content.read().decode("utf-8", "replace")
