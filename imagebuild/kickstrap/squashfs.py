"""Splits the runtime's tar archive: files that boot it, files that compile for it, and a squashfs
of the rest.

Everything is read from the archive as a stream, so that no files of other owners and no device
nodes have to be created on this host, and no root privileges are needed.
"""

from __future__ import annotations

import re
import tarfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from imagebuild.errors import CommandFailed
from imagebuild.host.process import pasteable, started

if TYPE_CHECKING:
    from io import BufferedWriter, TextIOWrapper
    from pathlib import Path

    from imagebuild.progress import Progress

# Files that the installer never reads. With them the runtime's archive is twice as large.
_DROPPED = re.compile(
    r"boot/|usr/share/(doc|man|info|locale|lintian|bash-completion|zoneinfo|pixmaps|icons|systemd)/"
    r"|usr/lib/(udev/hwdb|systemd/)|usr/lib/x86_64-linux-gnu/perl/[^/]+/CORE/|usr/lib/python3[^/]*/(test|"
    r"idlelib|ensurepip)/"
    r"|var/(cache|log)/.|var/lib/apt/lists/."
)
# Files that the host reads: the kernel, the initrd's content, and the interpreter that compiles the agent.
_KEPT = re.compile(
    r"boot/vmlinuz-|usr/bin/busybox$|usr/lib/modules/[^/]+/(kernel/.*\.ko|modules\.(dep|builtin)$)"
    r"|usr/bin/python3\.\d+$|usr/lib/python3\.\d+/(?!test/|__pycache__|.*/__pycache__).*\.py$"
    r"|usr/lib/x86_64-linux-gnu/(ld-linux-x86-64|libc|libm|libresolv|libz|libexpat)\.so[.\d]*$|var/lib/dpkg/status$"
)
_OPTIONS = (
    "-comp", "lz4", "-b", "128K", "-no-xattrs",
    "-root-uid", "0", "-root-gid", "0", "-root-mode", "0755",  # otherwise those of the user who runs sqfstar
    "-quiet", "-no-progress",
)  # fmt: skip


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


def pack(archive: Path, into: Path, progress: Progress) -> Parts:
    """Write the squashfs ``into`` from the tar archive ``archive``, without the files that the
    installer never reads.

    Needs sqfstar (squashfs-tools 4.5 or newer). Raises CommandFailed, HostError.
    """
    parts = Parts()
    argv = ["sqfstar", *_OPTIONS, str(into)]
    size = archive.stat().st_size
    with ExitStack() as opened:
        source = opened.enter_context(tarfile.open(archive))
        # sqfstar gives the root folder the current time; with this variable no time is later than its value
        newest = max((member.mtime for member in source.getmembers()), default=0)
        process = opened.enter_context(started(argv, stdin=True, env={"SOURCE_DATE_EPOCH": str(int(newest))}))
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with tarfile.open(
                fileobj=cast("TextIOWrapper[BufferedWriter]", process.stdin).buffer,
                mode="w|",
                format=tarfile.GNU_FORMAT,
            ) as packed:
                for member in source:
                    _copy(member, source, packed, parts)
                    progress.update("packing the installer's image", source.fileobj.tell() / size)
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
    path = member.name.removeprefix("./")
    if _KEPT.match(path):
        if member.issym():
            parts.links[path] = member.linkname
        elif member.isreg():
            content = source.extractfile(member)
            assert content is not None
            parts.files[path] = content.read()
    if not _DROPPED.match(path):
        packed.addfile(member, source.extractfile(member) if member.isreg() else None)
