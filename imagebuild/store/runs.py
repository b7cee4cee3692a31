"""The runs of builds that use one store: a folder for each, locked while its process is alive.

That lock shows whether a run is alive: it is released when the process ends, for any reason.
Process IDs are not trusted.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from imagebuild.files import remove_tree
from imagebuild.host import locks
from imagebuild.log import logger

if TYPE_CHECKING:
    from imagebuild.host.hypervisor import Hypervisor

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_DESCRIBED = re.compile(r"imagebuild run (?P<run>\S+) of process \d+, runs of (?P<root>\S+)")


def domain_name(run: str) -> str:
    """The name of the libvirt domain of a run."""
    return f"imagebuild-{run}"


class Runs:
    """The runs whose folders are in ``root``."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @contextmanager
    def workdir(self, run: str, *, shared: bool) -> Iterator[Path]:
        """This run's folder, removed at the end of the block.

        ``shared`` lets another user (QEMU's) pass through it to a known file; that user cannot list
        it.
        """
        folder = self._root / run
        with self._locked():  # otherwise it would look like a dead run's folder until it is locked
            folder.mkdir()
            folder.chmod(0o711 if shared else 0o700)
            descriptor = os.open(folder, os.O_RDONLY)
            locks.exclusive(descriptor)
        try:
            yield folder
        finally:
            remove_tree(folder)
            os.close(descriptor)

    def dead(self) -> list[str]:
        """The runs whose process died without removing its folder."""
        with self._locked():
            return [folder.name for folder in self._root.iterdir() if _is_free(folder)]

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._root.mkdir(exist_ok=True, mode=0o755)
        descriptor = os.open(self._root, os.O_RDONLY)
        try:
            locks.exclusive(descriptor)
            yield
        finally:
            os.close(descriptor)

    def living(self) -> list[str]:
        """The runs that are alive."""
        with self._locked():
            return [folder.name for folder in self._root.iterdir() if not _is_free(folder)]

    def is_living(self, run: str) -> bool:
        """Whether a run is alive. Another user's, which cannot be inspected, is assumed to be."""
        folder = self._root / run
        try:
            if not folder.is_dir():
                return False
            with self._locked():
                return folder.is_dir() and not _is_free(folder)
        except PermissionError:
            return True

    def described(self, run: str) -> str:
        """A description that marks an object outside the store as this run's; the process ID is
        only informative.
        """
        return f"imagebuild run {run} of process {os.getpid()}, runs of {self._identity()}"

    def orphans(self, connection: Hypervisor) -> list[str]:
        """The domains of runs that are no longer alive, including those whose folder is gone."""
        found = []
        for name, description in connection.descriptions().items():
            match = _DESCRIBED.fullmatch(description.strip())
            if match is not None and match["root"] == self._identity() and not self.is_living(match["run"]):
                found.append(name)
        return found

    def _identity(self) -> str:
        """Distinguishes these runs from all others on this host since its boot; no domain is older
        than that.

        The folder's name is not enough: containers may share a libvirt daemon and have different
        stores at the same path.
        """
        self._root.mkdir(exist_ok=True, mode=0o755)
        status = self._root.stat()
        return f"{_BOOT_ID.read_text().strip()}:{status.st_dev:x}:{status.st_ino:x}"

    def bury(self, run: str) -> None:
        """Remove the folder of a dead run."""
        logger.info("removing the leftovers of the dead run %s", run)
        remove_tree(self._root / run)


def _is_free(folder: Path) -> bool:
    """Whether nobody has locked the folder."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            return True  # not a run's folder at all: a file, or a link
        raise
    try:
        return locks.free(descriptor)
    finally:
        os.close(descriptor)


def new_run(recipe: str) -> str:
    """A unique name for a run."""
    return f"{recipe}-{datetime.now(UTC):%Y%m%d%H%M%S}-{secrets.token_hex(4)}"
