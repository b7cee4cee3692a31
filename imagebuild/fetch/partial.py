"""A file while it is being downloaded, and what the next attempt must know to go on with it."""

from __future__ import annotations

import hashlib
import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from imagebuild.fetch.limits import BLOCK, Passing
from imagebuild.files import sync, write_atomically

if TYPE_CHECKING:
    import requests


class Part:
    """NAME.part beside the file NAME that it is to become, with its size in bytes and its digest so far."""

    def __init__(self, target: Path, url: str, algorithm: str) -> None:
        self.target, self.url = target, url
        self.path = target.with_name(f"{target.name}.part")
        self._about = target.with_name(f"{target.name}.part.json")
        self._algorithm = algorithm
        self._forget()

    def _forget(self) -> None:
        self.size = 0
        self._hash = hashlib.new(self._algorithm)
        self._validator = ""

    @property
    def digest(self) -> str:
        """The digest of what is there, in hexadecimal."""
        return self._hash.hexdigest()

    def take_up(self) -> None:
        """Go on with what an earlier attempt left, if it knew which version of the file that was."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            about = json.loads(self._about.read_text())
            if about["url"] == self.url and about["validator"]:
                with self.path.open("rb") as file:
                    while block := file.read(BLOCK):
                        self.add(block)
                self._validator = str(about["validator"])
                return
        self.discard()

    def range(self) -> dict[str, str]:
        """The headers that ask for the rest, or for the whole should the file have changed."""
        return {"Range": f"bytes={self.size}-", "If-Range": self._validator} if self.size and self._validator else {}

    def begin(self, answer: requests.Response) -> int | None:
        """Make ready for the bytes of an answer; returns the size of the whole file, if the server tells it."""
        if answer.status_code == 200:
            return self._begin_anew(answer)
        found = re.fullmatch(r"bytes ([0-9]+)-[0-9]+/([0-9]+|\*)", answer.headers.get("Content-Range", ""))
        if answer.status_code != 206 or found is None or int(found[1]) != self.size:
            self.discard()
            raise Passing("the server has not the part that is missing")
        return None if found[2] == "*" else int(found[2])

    def _begin_anew(self, answer: requests.Response) -> int | None:
        self.discard()
        tag = answer.headers.get("ETag", "")
        # a weak tag does not promise the same bytes
        self._validator = tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified", "")
        write_atomically(self._about, json.dumps({"url": self.url, "validator": self._validator}))
        length = answer.headers.get("Content-Length", "")
        return int(length) if length.isdecimal() else None

    def add(self, block: bytes) -> None:
        """Count bytes that are in the file."""
        self._hash.update(block)
        self.size += len(block)

    def discard(self) -> None:
        """Remove what is there."""
        for path in (self.path, self._about):
            path.unlink(missing_ok=True)
        self._forget()

    def finish(self) -> None:
        """Give the file its name, durably."""
        with self.path.open("rb") as file:
            os.fsync(file.fileno())
        self.path.chmod(0o644)
        self.path.rename(self.target)
        self._about.unlink(missing_ok=True)
        sync(self.target.parent)
