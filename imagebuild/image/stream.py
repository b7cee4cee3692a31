"""A file that is written from front to back while its digest is computed."""

from __future__ import annotations

import hashlib
from pathlib import Path

from imagebuild.image.formats import created

_ZEROS = bytes(1 << 20)


class Stream:
    """A new file; ``length`` is its current length in bytes."""

    def __init__(self, path: Path) -> None:
        self.length = 0
        self._digest = hashlib.sha256()
        self._file = created(path)

    def write(self, data: bytes) -> None:
        """Append ``data``."""
        self._file.write(data)
        self._digest.update(data)
        self.length += len(data)

    def skip_to(self, length: int) -> None:
        """Extend the file to ``length`` with zeros that take no space."""
        for at in range(self.length, length, len(_ZEROS)):
            self._digest.update(memoryview(_ZEROS)[: length - at])
        self._file.seek(length)
        self.length = length

    def finish(self) -> str:
        """Close the complete file and return its SHA-256."""
        self._file.truncate(self.length)
        self._file.close()
        return self._digest.hexdigest()

    def close(self) -> None:
        """Close the file, complete or not."""
        self._file.close()
