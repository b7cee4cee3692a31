"""The packets of SFTP version 3 (draft-ietf-secsh-filexfer-02, with OpenSSH's extensions as in its
file PROTOCOL), as far as they are needed here. Pure.
"""

from __future__ import annotations

import stat
import struct
from dataclasses import dataclass
from enum import IntEnum

VERSION = 3
LONGEST = 256 * 1024
"""The most bytes of a packet, as in OpenSSH's sftp-common.h."""
DATA = 32 * 1024
"""The most bytes of data that every server takes or gives in one packet (draft, section 3)."""

OPEN_READ, OPEN_WRITE, OPEN_CREATE, OPEN_EXCLUSIVE = 0x01, 0x02, 0x08, 0x20
_SIZE, _OWNER, _MODE, _TIMES, _EXTENDED = 0x01, 0x02, 0x04, 0x08, 0x80000000


class PacketType(IntEnum):
    """The types of packets (draft, section 3)."""

    INIT = 1
    VERSION = 2
    OPEN = 3
    CLOSE = 4
    READ = 5
    WRITE = 6
    LSTAT = 7
    FSTAT = 8
    SETSTAT = 9
    FSETSTAT = 10
    OPENDIR = 11
    READDIR = 12
    REMOVE = 13
    MKDIR = 14
    RENAME = 18
    STATUS = 101
    HANDLE = 102
    DATA = 103
    NAME = 104
    ATTRS = 105
    EXTENDED = 200


class Code(IntEnum):
    """The codes of a status (draft, section 7)."""

    OK = 0
    EOF = 1
    NO_SUCH_FILE = 2
    PERMISSION_DENIED = 3
    FAILURE = 4
    UNSUPPORTED = 8


class Malformed(ValueError):
    """A packet that the protocol does not allow."""


@dataclass(frozen=True)
class Attributes:
    """What a server says about a file; None for what it does not say. ``mode`` has the type of the
    file, ``modified`` is in seconds since 1970 by the server's clock.
    """

    size: int | None = None
    mode: int | None = None
    modified: int | None = None

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file, as far as the server says."""
        return self.mode is not None and stat.S_ISREG(self.mode)

    def encoded(self) -> bytes:
        """As in a request: only size and mode."""
        flags = (_SIZE if self.size is not None else 0) | (_MODE if self.mode is not None else 0)
        size = b"" if self.size is None else struct.pack(">Q", self.size)
        mode = b"" if self.mode is None else struct.pack(">I", self.mode)
        return struct.pack(">I", flags) + size + mode


def string(value: str | bytes) -> bytes:
    """A string with its length; names that are not UTF-8 are as Python decodes them."""
    data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    return struct.pack(">I", len(data)) + data


def number(value: int) -> bytes:
    """A number of 32 bits."""
    return struct.pack(">I", value)


def offset(value: int) -> bytes:
    """A number of 64 bits."""
    return struct.pack(">Q", value)


def packet(kind: int, *parts: bytes) -> bytes:
    """A packet with its length and its type."""
    body = b"".join(parts)
    return struct.pack(">IB", len(body) + 1, kind) + body


class Fields:
    """The fields of a packet from a server, one after another. Each method raises Malformed."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def _take(self, length: int) -> bytes:
        taken = self._data[self._at : self._at + length]
        if len(taken) != length:
            raise Malformed("a packet is shorter than it says")
        self._at += length
        return taken

    def number(self) -> int:
        """A number of 32 bits."""
        return int.from_bytes(self._take(4))

    def offset(self) -> int:
        """A number of 64 bits."""
        return int.from_bytes(self._take(8))

    def string(self) -> bytes:
        """A string without its length."""
        return self._take(self.number())

    def name(self) -> str:
        """A file name, decoded as Python does it."""
        return self.string().decode("utf-8", "surrogateescape")

    def attributes(self) -> Attributes:
        """The attributes of a file (draft, section 5)."""
        flags = self.number()
        size = self.offset() if flags & _SIZE else None
        if flags & _OWNER:
            self._take(8)
        mode = self.number() if flags & _MODE else None
        modified = None
        if flags & _TIMES:
            self._take(4)
            modified = self.number()
        if flags & _EXTENDED:
            for _ in range(self.number()):
                self.string(), self.string()
        return Attributes(size, mode, modified)

    def rest(self) -> bool:
        """Whether there is more."""
        return self._at < len(self._data)
