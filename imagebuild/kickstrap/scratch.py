"""Where mmdebstrap works: a temporary folder, in memory if there is plenty of it.

Measured with a kernel, an initramfs and sshd over a base root, on ext4 and in memory alternately:
23.6 and 18.3 CPU seconds, 10.4 and 4.7 of them in the kernel. The archives were the same.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imagebuild.host import memory
from imagebuild.host.process import run

SIZE = 2 << 30
"""Bytes of a root in memory at most: three times a Debian server."""
_SPARED = 4 << 30
"""Bytes that must remain free beside it, for machines and other builds."""
# If mounting is not allowed, the plain folder will do.
_IN_MEMORY = 'mount -t tmpfs -o size={size},mode=0755 imagebuild "$0" || :; exec "$@"'


def has_memory() -> bool:
    """Whether a root may be made in memory now: for root only, who may mount."""
    return os.geteuid() == 0 and memory.available() >= SIZE + _SPARED


def prefix(folder: Path, *, in_memory: bool) -> list[str]:
    """A command prefix for a program that works in ``folder``: its mounts are removed when it ends, even
    if it is killed.

    Empty if that is not allowed (for an ordinary user, for whom mmdebstrap does it itself, and in
    some containers).
    """
    own = ["unshare", "--mount"]
    if os.geteuid() != 0 or run([*own, "true"], timeout=60, check=False).returncode != 0:
        return []
    return [*own, "sh", "-c", _IN_MEMORY.format(size=SIZE), str(folder)] if in_memory else own


@contextmanager
def working_folder(beside: Path) -> Iterator[Path]:
    """A temporary folder for mmdebstrap, with mode 0755: in a user namespace another user works in
    it. It is in ``beside``, if that user can reach it there.
    """
    parent = beside if _is_searchable(beside) else Path(tempfile.gettempdir())
    scratch = Path(tempfile.mkdtemp(prefix=".mmdebstrap-", dir=parent))
    try:
        scratch.chmod(0o755)
        yield scratch
    finally:
        if not _mounts_below(scratch):
            shutil.rmtree(scratch, ignore_errors=True)


def within_reach(archive: Path | None, scratch: Path) -> Path | None:
    """``archive``, or a copy in ``scratch`` if the user that mmdebstrap works as cannot read it."""
    if archive is None or (_is_searchable(archive.parent) and archive.stat().st_mode & 0o004):
        return archive
    copy = scratch / f"{archive.parent.name}-{archive.name}"
    if not copy.exists():
        shutil.copyfile(archive, copy)
        copy.chmod(0o644)
    return copy


def _is_searchable(folder: Path) -> bool:
    """Whether the user that mmdebstrap works as can reach what is in ``folder``."""
    place = folder.resolve()
    return os.geteuid() == 0 or all(one.stat().st_mode & 0o001 for one in (place, *place.parents))


def _mounts_below(folder: Path) -> list[str]:
    """Mount points in ``folder``: removing a tree with /dev or /sys mounted in it would empty
    those.
    """
    points = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    return [point for point in points if point.startswith(f"{folder.resolve()}/")]
