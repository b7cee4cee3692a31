"""Splits the runtime's tar archive: files that boot it, files that compile for it, and a squashfs
of the rest.

Everything is read from the archive as a stream, so that no files of other owners and no device
nodes have to be created on this host, and no root privileges are needed.
"""

from __future__ import annotations

import io
import re
import tarfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, cast

from imagebuild.errors import CommandFailed
from imagebuild.host.process import pasteable, started
from imagebuild.kickstrap import e2fsprogs

if TYPE_CHECKING:
    from io import BufferedWriter, TextIOWrapper
    from pathlib import Path

# Files that the installer never reads. With them the runtime's archive is twice as large.
_DROPPED = re.compile(
    r"boot/|usr/share/(doc|man|info|locale|lintian|bash-completion|zoneinfo|pixmaps|icons|systemd)/"
    r"|usr/lib/(udev/hwdb|systemd/)|usr/lib/x86_64-linux-gnu/perl/[^/]+/CORE/|usr/lib/python3[^/]*/(test|"
    r"idlelib|ensurepip)/"
    r"|var/(cache|log)/.|var/lib/apt/lists/."
)
# Files that the host reads: the kernel, the initrd's content, the interpreter that compiles the agent, and the
# programs that write the root file system.
_KEPT = re.compile(
    r"boot/vmlinuz-|usr/bin/busybox$|usr/lib/modules/[^/]+/(kernel/.*\.ko|modules\.(dep|builtin)$)"
    r"|usr/bin/python3\.\d+$|usr/lib/python3\.\d+/(?!test/|__pycache__|.*/__pycache__).*\.py$"
    r"|usr/lib/x86_64-linux-gnu/(ld-linux-x86-64|libc|libm|libresolv|libz|libexpat)\.so[.\d]*$|var/lib/dpkg/status$"
    rf"|({e2fsprogs.KEPT})$"
)
_OPTIONS = (
    "-comp", "lz4", "-b", "128K", "-no-xattrs",
    "-root-uid", "0", "-root-gid", "0", "-root-mode", "0755",  # otherwise those of the user who runs sqfstar
    "-quiet", "-no-progress",
)  # fmt: skip


_BUFFER = 1 << 20


@dataclass
class Parts:
    """Files read from the archive: path -> bytes; and symbolic links: path -> target."""

    files: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def read(self, path: str) -> bytes:
        """The bytes of ``path``; a symbolic link to a file in the same folder is followed. Raises
        KeyError.
        """
        if path in self.links:
            return self.read(f"{path.rpartition('/')[0]}/{self.links[path]}")
        return self.files[path]

    def matching(self, pattern: str) -> list[str]:
        """Sorted paths of files that the regular expression matches at their start."""
        return sorted(path for path in self.files if re.match(pattern, path))


def is_kept(path: str) -> bool:
    """Whether the host reads the file with this path in the archive."""
    return _KEPT.match(path) is not None


def pack(archive: IO[bytes], into: Path, newest: int) -> Parts:
    """Write the squashfs ``into`` from the tar archive that is read from ``archive``, without the files
    that the installer never reads. No time in it is later than ``newest``, in seconds since 1970.

    Needs sqfstar (squashfs-tools 4.5 or newer). Raises CommandFailed, HostError.
    """
    parts = Parts()
    argv = ["sqfstar", *_OPTIONS, str(into)]
    into.unlink(missing_ok=True)
    with ExitStack() as opened:
        source = opened.enter_context(tarfile.open(fileobj=archive, mode="r|", bufsize=_BUFFER))
        # sqfstar gives the root folder the current time; with this variable no time is later than its value
        process = opened.enter_context(started(argv, stdin=True, env={"SOURCE_DATE_EPOCH": str(newest)}))
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with tarfile.open(
                fileobj=cast("TextIOWrapper[BufferedWriter]", process.stdin).buffer,
                mode="w|",
                bufsize=_BUFFER,
                format=tarfile.GNU_FORMAT,
            ) as packed:
                for member in source:
                    _copy(member, source, packed, parts)
            process.stdin.close()
        except BrokenPipeError:
            pass  # sqfstar has ended early: its output contains the reason
        output = process.stdout.read()
        status = process.wait()
    if status != 0:
        into.unlink(missing_ok=True)
        raise CommandFailed(
            f"sqfstar ended with exit status {status}: {output.strip()[-300:]}", command=pasteable(argv), output=output
        )
    return parts


def _copy(member: tarfile.TarInfo, source: tarfile.TarFile, packed: tarfile.TarFile, parts: Parts) -> None:
    """Read a member once, for both: ``source`` is a stream."""
    path = member.name.removeprefix("./")
    content: IO[bytes] | None = source.extractfile(member) if member.isreg() else None
    if is_kept(path):
        if member.issym():
            parts.links[path] = member.linkname
        elif content is not None:
            parts.files[path] = content.read()
            content = io.BytesIO(parts.files[path])
    if not _DROPPED.match(path):
        packed.addfile(member, content)
