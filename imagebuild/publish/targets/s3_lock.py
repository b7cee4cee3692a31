"""The lock of object storage: an object that is only ever replaced if it is still the one that was
read, where the server keeps to conditions (If-Match, If-None-Match) of a PUT.

A server that ignores them is found out, since it accepts what it must refuse. There the lock keeps
others away only if they do not begin within the same moment; the record is compared before it is
replaced all the same.
"""

from __future__ import annotations

import time

from imagebuild.errors import ImageBuildError
from imagebuild.log import logger
from imagebuild.publish.targets import lease
from imagebuild.storage.s3_client import Conflict, S3Client

_FREE = b"{}\n"
_SETTLE = 1.0
"""Seconds after which a lock is read again where the server ignores conditions."""


class S3Lock:
    """The lock object at ``key``; raises HostError."""

    def __init__(self, client: S3Client, key: str, place: str) -> None:
        self._client, self._key, self._place = client, key, place
        self._identity = lease.this_process()
        self._owner = self._identity.encoded()
        self._tag = ""
        self.conditional = True
        """Whether the server keeps to conditions; known once the lock is taken."""

    def take(self, patience: float) -> None:
        """Wait for the lock at most ``patience`` seconds, and take it."""
        end = time.monotonic() + patience
        while True:
            found = self._client.content(self._key, lease.LARGEST_LOCK)
            content = found[0] if found else _FREE
            if found is None or content == _FREE or lease.is_stale(content, found[2]):
                if self._put(self._owner, found[1] if found else "") and self._is_ours():
                    return
            elif time.monotonic() > end:
                raise lease.taken(self._place, content, patience)
            time.sleep(lease.POLL)

    def _put(self, content: bytes, tag: str) -> bool:
        condition = {"IfMatch": tag} if tag else {"IfNoneMatch": "*"}
        try:
            answer = self._client.call("put_object", Key=self._key, Body=content, **condition)
        except Conflict:
            return False
        self._tag = str(answer.get("ETag", ""))
        return True

    def _is_ours(self) -> bool:
        try:
            self._client.call("put_object", Key=self._key, Body=self._owner, IfNoneMatch="*")
        except Conflict:
            self.conditional = True
            return True
        self.conditional = False
        logger.warning(
            "%s ignores If-None-Match: its lock is not safe against a publisher that begins now", self._place
        )
        time.sleep(_SETTLE)
        found = self._client.content(self._key, lease.LARGEST_LOCK)
        self._tag = found[1] if found else ""
        return found is not None and found[0] == self._owner

    def renew(self) -> bool:
        """Renew it; False if somebody else has it."""
        found = self._client.content(self._key, lease.LARGEST_LOCK)
        return found is not None and found[0] == self._owner and self._put(self._owner, found[1])

    def release(self) -> None:
        """Give it back, if it is still ours; it stays as an object that says so."""
        try:
            found = self._client.content(self._key, lease.LARGEST_LOCK)
            if found is not None and found[0] == self._owner:
                self._put(_FREE, found[1])
        except ImageBuildError as error:
            logger.info("the lock of %s was not given back: %s", self._place, error)
        finally:
            lease.given_up(self._identity)
