"""The compression of clusters, by the libraries that the host has anyway: QEMU needs the same ones.

The same data and level give the same bytes only if the library's versions agree; the caller checks that.
"""

import ctypes
import threading
import zlib
from typing import Any, Optional

CLUSTER = 1 << 16
_LIBRARY = "libzstd.so.1"
_WINDOW = -12
"""QEMU inflates with a window of 4 KiB, and without zlib's header."""
_MEMORY = 9


class DamagedCluster(Exception):
    """Compressed data is not what it should be."""


class Zlib:
    """Deflated clusters."""

    def compress(self, data: bytes, level: int) -> bytes:
        """A cluster as our images have it."""
        squeezer = zlib.compressobj(level, zlib.DEFLATED, _WINDOW, _MEMORY)
        return squeezer.compress(data) + squeezer.flush()

    def decompress(self, data: bytes, length: int = CLUSTER) -> bytes:
        """``length`` bytes; ``data`` may have more at its end. Raises DamagedCluster."""
        inflater = zlib.decompressobj(_WINDOW)
        try:
            found = inflater.decompress(data, length)
        except zlib.error as error:
            raise DamagedCluster(str(error)) from None
        if len(found) != length:
            raise DamagedCluster("the length is wrong")
        return found


class Zstd:
    """Clusters that are frames of Zstandard (RFC 8878)."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self._contexts = threading.local()

    def compress(self, data: bytes, level: int) -> bytes:
        """A cluster as our images have it."""
        if not hasattr(self._contexts, "compressing"):
            self._contexts.compressing = self._library.ZSTD_createCCtx()
            self._contexts.buffer = ctypes.create_string_buffer(2 * CLUSTER)
        buffer = self._contexts.buffer
        length = self._library.ZSTD_compressCCtx(
            self._contexts.compressing, buffer, len(buffer), data, len(data), level
        )
        if self._library.ZSTD_isError(length):
            raise DamagedCluster("the cluster cannot be compressed")
        return ctypes.string_at(buffer, length)

    def decompress(self, data: bytes, length: int = CLUSTER) -> bytes:
        """``length`` bytes; ``data`` may have more at its end. Raises DamagedCluster."""
        library, buffer = self._library, ctypes.create_string_buffer(length)
        size = library.ZSTD_findFrameCompressedSize(data, len(data))
        if library.ZSTD_isError(size) or library.ZSTD_decompress(buffer, length, data, size) != length:
            raise DamagedCluster("this is not a frame of that length")
        return buffer.raw


def zstd() -> Optional[Zstd]:
    """The library of this host, if there is one."""
    try:
        library = ctypes.CDLL(_LIBRARY)
        size, data, context = ctypes.c_size_t, ctypes.c_char_p, ctypes.c_void_p
        for name, result, arguments in (
            ("ZSTD_isError", ctypes.c_uint, [size]),
            ("ZSTD_createCCtx", context, []),
            ("ZSTD_compressCCtx", size, [context, data, size, data, size, ctypes.c_int]),
            ("ZSTD_decompress", size, [data, size, data, size]),
            ("ZSTD_findFrameCompressedSize", size, [data, size]),
        ):
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError):
        return None
    return Zstd(library)
