"""The programs for ext4 of the guest's suite, which run on this host: a file system that this host prepares
must be the one that the VM would make.

They run through the loader and the libraries of their suite, as the runtime's Python does. mke2fs reads tar
archives since version 1.47.1, if libarchive is there.
"""

from __future__ import annotations

import io
import re
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from imagebuild.errors import CommandFailed
from imagebuild.host.process import pasteable, run
from imagebuild.log import logger

if TYPE_CHECKING:
    from imagebuild.kickstrap.squashfs import Parts

_WITHOUT_SYNC = Path(__file__).with_name("agent") / "without_sync.py"
LIBRARIES = "usr/lib/x86_64-linux-gnu"
_LOADER = "ld-linux-x86-64.so.2"
_PROGRAMS = {"mkfs.ext4": "usr/sbin/mke2fs", "debugfs": "usr/sbin/debugfs", "e2fsck": "usr/sbin/e2fsck"}
"""mke2fs knows by its name which file system to make."""
_CONFIGURATION = "etc/mke2fs.conf"
_NEEDED = (
    "ld-linux-x86-64", "libc", "libm",
    "libext2fs", "libe2p", "libcom_err", "libss", "libblkid", "libuuid",
    "libarchive", "libacl", "libbz2", "liblz4", "liblzma", "libnettle", "libxml2", "libz", "libzstd",
)  # fmt: skip
"""The libraries of these programs, and those of libarchive, which mke2fs opens when it needs it."""
KEPT = "|".join(
    [*map(re.escape, (*_PROGRAMS.values(), _CONFIGURATION)), rf"{LIBRARIES}/({'|'.join(_NEEDED)})\.so[.\d]*"]
)
"""The paths that ``unpack`` needs, as a regular expression."""
_LIMIT = 3600.0


@dataclass(frozen=True)
class E2fsprogs:
    """The programs in ``folder``, which ``unpack`` has filled; ``epoch`` is their time in seconds since 1970, or
    empty for the current one.
    """

    folder: Path
    epoch: str = ""

    def run(self, argv: Sequence[str | Path], *, statuses: Sequence[int] = (0,), into: Path | None = None) -> str:
        """The output of the program ``argv[0]``. Raises CommandFailed if its exit status is none of ``statuses``.

        It does not sync: what is lost in a crash of this host is made again. With ``into`` all output goes to that
        file, and not to the log.
        """
        program, *words = argv
        env = {"MKE2FS_CONFIG": str(self.folder / Path(_CONFIGURATION).name)}
        if self.epoch:
            env |= {"SOURCE_DATE_EPOCH": self.epoch, "E2FSCK_TIME": self.epoch}
        loader: list[str | Path] = [self.folder / _LOADER, "--library-path", self.folder, self.folder / program]
        quiet: list[str | Path] = ["sh", "-c", 'exec "$@" >"$0" 2>&1', into] if into else []
        whole = [*quiet, sys.executable, "-I", _WITHOUT_SYNC, *loader, *words]
        done = run(whole, timeout=_LIMIT, env=env, check=False)
        if done.returncode not in statuses:
            output = (into.read_text(encoding="utf-8", errors="replace") if into else done.stdout).strip()
            message = f"{program} ended with exit status {done.returncode}: {output[-300:]}"
            raise CommandFailed(message, command=pasteable(done.argv, env), output=output)
        return done.stdout

    def reads_archives(self) -> bool:
        """Whether this mke2fs makes file systems from tar archives: it tries, which takes some milliseconds."""
        if not (self.folder / _LOADER).exists():
            return False
        with TemporaryDirectory(prefix="imagebuild-") as scratch:
            archive, disk = Path(scratch) / "one.tar", Path(scratch) / "disk"
            with tarfile.open(archive, "w") as out:
                member = tarfile.TarInfo("./file")
                member.size = 1
                out.addfile(member, io.BytesIO(b"1"))
            try:
                self.run(["mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-d", archive, disk, "1024k"])
            except CommandFailed as error:
                logger.info("mke2fs cannot read archives: %s", error.message)
                return False
        return True


def unpack(parts: Parts, into: Path) -> None:
    """Write the programs and their libraries to the folder ``into``; nothing if the runtime lacks one."""
    into.mkdir()
    wanted = {**_PROGRAMS, Path(_CONFIGURATION).name: _CONFIGURATION}
    wanted |= {Path(path).name: path for path in _libraries(parts)}
    if not {*_PROGRAMS.values(), _CONFIGURATION} <= parts.files.keys():
        return
    for name, path in wanted.items():
        (into / name).write_bytes(parts.read(path))
    for name in (*_PROGRAMS, _LOADER):
        (into / name).chmod(0o755)


def _libraries(parts: Parts) -> list[str]:
    """The paths of the libraries under the names by which programs open them."""
    known = re.compile(rf"{LIBRARIES}/({'|'.join(_NEEDED)})\.so(\.\d+){{1,2}}$")
    return sorted(path for path in (*parts.files, *parts.links) if known.match(path))
