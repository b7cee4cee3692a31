"""Reads a log file that grows."""

from __future__ import annotations

from pathlib import Path


class Tail:
    """Reads what was appended to a file since the last call, even if the log daemon rotates it.

    virtlogd renames a full log to NAME.0 and starts a new one; the unread rest of the old one is
    read first.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode: int | None = None
        self._at = 0

    def read(self) -> bytes:
        """The new bytes; empty if there are none."""
        rest = b""
        try:
            inode = self._path.stat().st_ino
            if self._inode is not None and inode != self._inode:
                rest = self._from(self._path.with_name(f"{self._path.name}.0"))
                self._at = 0
            self._inode = inode
            return rest + self._from(self._path)
        except FileNotFoundError:
            return rest

    def _from(self, path: Path) -> bytes:
        with path.open("rb") as file:
            file.seek(self._at)
            data = file.read()
        self._at += len(data)
        return data
