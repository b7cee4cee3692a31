"""A remote store behind a web server, from which nothing but reading is possible."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from imagebuild import fetch
from imagebuild.errors import HostError, ImageBuildError
from imagebuild.fetch import Limits, NotThere
from imagebuild.remote.place import STALL, StoredObject, cannot_write, too_large

_LIMITS = Limits(connect=10.0, read=STALL, attempts=2, total=600.0)


class HttpPlace:
    """The folder at a URL, which the web server need not list."""

    writable = False
    threads = 8

    def __init__(self, name: str) -> None:
        self._name = name

    def read(self, name: str, limit: int) -> bytes | None:
        try:
            return fetch.text(f"{self._name}/{quote(name)}", _LIMITS, largest=limit)
        except NotThere:
            return None
        except HostError:
            raise
        except ImageBuildError as error:
            if "is larger than" in error.message:
                raise too_large(name, limit) from error
            raise HostError(error.message, error.hint) from error

    def size(self, name: str) -> int | None:
        raise cannot_write(self._name)

    def write(self, name: str, content: bytes) -> None:
        raise cannot_write(self._name)

    def listing(self, prefix: str) -> Iterator[StoredObject]:
        raise HostError(
            f"the web server of the remote store {self._name} has no list of it",
            "use the folder or the server behind it for that",
        )

    def remove(self, name: str) -> None:
        raise cannot_write(self._name)

    def close(self) -> None:
        pass
