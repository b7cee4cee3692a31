"""Storing and checking files with the agent, on this host or another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from imagebuild.errors import ImageBuildError
from imagebuild.log import logger
from imagebuild.printable import one_line
from imagebuild.publish.agent_channel import STALL, Channel
from imagebuild.publish.delta_transfer import Pieces, read_exactly, rebuilt_from_olds
from imagebuild.publish.disk_map import mapped

Bytes = Callable[[int, int], None]
"""Called with the bytes that are already there and those that will be."""
_BLOCK = 1 << 20
_WORTH_IT = 4 << 20
"""Bytes of a file for which a host is asked what it has."""
_LOCK_SECONDS = 30
_MODE = 0o444
"""Nobody writes to a published file, not even a machine that was started with it by mistake."""


def _ignored(_done: int, _size: int) -> None:
    pass


class DigestMismatchError(ImageBuildError):
    """What was read back from a host's disk is not what was sent."""


@dataclass(frozen=True)
class AgentFacts:
    """What an agent says about its host: the version of Python, the bytes that are free in a folder,
    and whether its user may create files there.
    """

    python: str
    free: int
    writable: bool


class HostAgent(AbstractContextManager["HostAgent"]):
    """An agent on a host. ``command`` turns the words of a program into those of the command that runs
    it on the host; they are the same for this host. ``name`` is what messages call the host, ``stall``
    how many seconds it may be silent. The agent is started when it is needed.

    All methods raise HostError if the host, the connection or the folder cannot be used. A folder is
    locked from the first change in it until another folder is used, or the agent is closed.
    """

    def __init__(
        self,
        command: Callable[[Sequence[str]], list[str]] = lambda words: [*words],
        name: str = "this host",
        stall: float = STALL,
    ) -> None:
        self._name = name
        self._start: Callable[[], Channel] = partial(Channel, command, name, stall)
        self._running: Channel | None = None
        self._folder = ""
        self._locked = False
        self._read_back: dict[str, str] = {}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the agent, and release the lock of its folder. It is started again when it is needed."""
        if self._running is not None:
            self._running.close()
        self._running, self._folder, self._locked = None, "", False

    @property
    def _channel(self) -> Channel:
        if self._running is None:
            self._running = self._start()
        return self._running

    def hello(self, folder: str) -> AgentFacts:
        """What the host has; raises NoAgentError if no agent can run there."""
        python = str(self._call({"request": "hello"})[0]["python"])
        found = self._call({"request": "open", "folder": folder})[0]
        self._folder, self._locked = folder, False
        return AgentFacts(one_line(python), int(found["free"]), bool(found["writable"]))

    def put(
        self,
        folder: str,
        name: str,
        path: Path,
        size: int,
        sha256: str,
        olds: Sequence[str] = (),
        progress: Bytes = _ignored,
    ) -> int:
        """Make the file ``name`` in ``folder`` complete, with what ``path`` has here, and return how
        many bytes crossed the connection.

        What an interrupted transfer left is used where it is right. A file of this size that has its
        name already is kept as it is: ask for its digest. ``olds`` are names of files there that may
        have parts in common with it. Raises DigestMismatchError if the disk there has other bytes in
        the end; then the file did not get its name.
        """
        before = self._channel.moved
        self._open(folder, change=True)
        there = self._prepared(name, size, progress)
        if there is None:
            return self._channel.moved - before
        with path.open("rb") as file:
            rebuilt = bool(olds) and self._rebuilt(file, size, sha256, olds, there, progress)
            if not rebuilt:
                self._send_pieces(file, size, there, progress)
            found = self._finished(sha256, size, progress)
            if rebuilt and found != sha256:  # two blocks with one digest, or an old file that changed
                logger.info("%s: %s is sent as a whole: it was rebuilt with other bytes", self._name, name)
                self._send_pieces(file, size, self._prepared(name, size, progress) or Pieces(size, b""), progress)
                found = self._finished(sha256, size, progress)
        if found != sha256:
            raise DigestMismatchError(
                f"{self._name}: the disk does not have the bytes of {name} that were written to it",
                "publish again; if it happens again, check the disk and the memory of the host, and this one's",
            )
        self._read_back[name] = found
        return self._channel.moved - before

    def just_read_back(self, name: str) -> str | None:
        """The SHA-256 of a file that ``put`` read back from the disk; each only once."""
        return self._read_back.pop(name, None)

    def digest(self, folder: str, name: str, progress: Bytes = _ignored) -> str:
        """The SHA-256 of a file, read from the disk there; empty if there is none of this name."""
        self._open(folder)
        return str(self._call({"request": "digest", "name": name}, progress)[0]["sha256"])

    def remove(self, folder: str, name: str) -> None:
        """Remove a file, and what an interrupted transfer left of it; no error if there is neither."""
        self._open(folder, change=True)
        self._call({"request": "remove", "name": name})

    def files(self, folder: str) -> dict[str, int]:
        """The files in a folder, complete ones only, with their sizes in bytes."""
        self._open(folder)
        return self._listed("files")

    def parts(self, folder: str) -> dict[str, int]:
        """What interrupted transfers left in a folder, by the files' names, with their bytes on disk."""
        self._open(folder)
        return self._listed("parts")

    def _listed(self, what: str) -> dict[str, int]:
        found = self._call({"request": "list"})[0][what]
        return {str(name): int(size) for name, size in found.items()}

    def _open(self, folder: str, *, change: bool = False) -> None:
        if folder != self._folder:
            self._call({"request": "open", "folder": folder})
            self._folder, self._locked = folder, False
        if change and not self._locked:
            self._call({"request": "lock", "seconds": _LOCK_SECONDS})
            self._locked = True

    def _prepared(self, name: str, size: int, progress: Bytes) -> Pieces | None:
        """What is there of the file; None if it is complete."""
        header, digests = self._call({"request": "prepare", "name": name, "size": size}, progress, size)
        complete = header["complete"]
        if complete is None:
            return Pieces(int(header["piece"]), digests)
        if complete != size:
            raise ImageBuildError(
                f"{self._name} has a file {name} of another size, which was not published by imagebuild",
                "remove it if nothing needs it",
            )
        return None

    def _rebuilt(
        self, file: IO[bytes], size: int, sha256: str, olds: Sequence[str], there: Pieces, progress: Bytes
    ) -> bool:
        disk = mapped(Path(file.name), size, sha256) if size >= _WORTH_IT else None
        if disk is None:
            return False
        pieces = there.right(file, size)

        def right(offset: int, length: int) -> bool:
            return pieces.issuperset(range(offset // there.length, (offset + length - 1) // there.length + 1))

        return rebuilt_from_olds(self._channel, file, disk, olds, right, lambda done: progress(done, size))

    def _send_pieces(self, file: IO[bytes], size: int, there: Pieces, progress: Bytes) -> None:
        """Send each piece that the host does not have."""
        right = there.right(file, size)
        for number, at in enumerate(range(0, size, there.length)):
            if number in right:
                continue
            for begin in range(at, min(at + there.length, size), _BLOCK):
                block = read_exactly(file, begin, min(_BLOCK, at + there.length - begin, size - begin))
                self._channel.send({"request": "data", "offset": begin}, block)
                progress(begin + len(block), size)

    def _finished(self, sha256: str, size: int, progress: Bytes) -> str:
        request = {"request": "finish", "sha256": sha256, "mode": _MODE}
        return str(self._channel.call(request, progress=lambda _done: progress(size, size))[0]["sha256"])

    def _call(self, header: dict[str, Any], progress: Bytes = _ignored, size: int = 0) -> tuple[dict[str, Any], bytes]:
        return self._channel.call(header, progress=lambda done: progress(done, size))
