"""The requests, one after another; replies go to the standard output.

A reply has the key ``error`` if the request failed; replies with the key ``progress`` come before it.
"""

import errno
import os
import platform
import struct
import time
from typing import IO, Any, Callable, Dict, Optional

from . import framing, readback
from .clusters import UnusableImage
from .codec import DamagedCluster
from .folder import Folder, RequestRefused, checked, part_of
from .oldimages import OldImage, OldImages, codec_of, reproduces
from .rebuild import BadPlan, Blocks, rebuild, unpacked

VERSION = 1
PIECE = 8 << 20
"""Bytes that are sent again together if one of them is wrong."""
LITERAL = 8 << 20
"""The most bytes of a message called literal."""
_ADVANCE = 1 << 22
_TICK = 1.0
"""Seconds between two signs of life."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class IncompleteFile:
    """The incomplete file that is being written."""

    def __init__(self, name: str, descriptor: int, size: int) -> None:
        self.name = name
        self.descriptor = descriptor
        self.size = size
        self.end = 0
        """Everything before this offset is written."""
        self.check: Optional[readback.ReadBack] = None

    def write(self, offset: int, data: bytes) -> None:
        """Write at ``offset``; what is before it is right already."""
        if not self.end <= offset <= self.size - len(data):
            raise RequestRefused("refused", "data for an impossible place")
        view, at = memoryview(data), offset
        while view:
            count = os.pwrite(self.descriptor, view, at)
            view, at = view[count:], at + count
        self.reached(at)

    def reached(self, end: int) -> None:
        """Everything before ``end`` is right."""
        self.end = end
        if self.check is None:
            self.check = readback.ReadBack(self.descriptor, self.size)
        self.check.advance(end)


class Literals:
    """The blocks that are sent, in messages called ``literal`` of so many bytes (``length``), compressed."""

    def __init__(self, source: IO[bytes], codec: Any) -> None:
        self._source = source
        self._codec = codec
        self._data = bytearray()

    def take(self, length: int) -> bytes:
        """The next bytes. Raises BrokenMessage if the plan and what is sent do not agree."""
        while len(self._data) < length:
            message = framing.received(self._source)
            if message is None or message[0].get("request") != "literal":
                raise framing.BrokenMessage("a rebuild was cut off")
            self._data += self._codec.decompress(message[1], min(int(message[0]["length"]), LITERAL))
        found = bytes(self._data[:length])
        del self._data[:length]
        return found


class Requests:
    """Carries out requests until the input ends."""

    def __init__(self, source: IO[bytes], replies: IO[bytes]) -> None:
        self._source = source
        self._replies = replies
        self._folder: Optional[Folder] = None
        self._path = ""
        self._part: Optional[IncompleteFile] = None
        self._told = time.monotonic()
        self._olds: Optional[OldImages] = None
        self._requests: Dict[str, Callable[[Dict[str, Any], bytes], None]] = {
            "hello": self._hello,
            "open": self._open,
            "lock": self._lock,
            "prepare": self._prepare,
            "olds": self._find_olds,
            "rebuild": self._rebuild,
            "literal": lambda _header, _body: None,  # of a rebuild that failed
            "data": self._data,
            "finish": self._finish,
            "digest": self._digest,
            "remove": self._remove,
            "list": self._list,
        }

    def serve(self) -> None:
        """Until the input ends, or a request fails: then the other end decides what to do."""
        while True:
            message = framing.received(self._source)
            if message is None:
                return
            header, body = message
            try:
                self._requests[header["request"]](header, body)
            except RequestRefused as error:
                self._reply({"error": str(error), "kind": error.kind})
            except OSError as error:
                kind = "full" if error.errno in _FULL else "failed"
                self._reply({"error": "%s" % (error.strerror or error), "kind": kind})
            except (BadPlan, DamagedCluster, KeyError, TypeError, ValueError) as error:
                self._reply({"error": "bad request: %r" % error, "kind": "refused"})

    def _reply(self, header: Dict[str, Any], body: bytes = b"") -> None:
        framing.sent(self._replies, header, body)
        self._told = time.monotonic()

    def _progress(self, done: int) -> None:
        if time.monotonic() - self._told > _TICK:
            self._reply({"progress": done})

    def _in(self) -> Folder:
        if self._folder is None:
            raise RequestRefused("refused", "no folder is open")
        return self._folder

    def _hello(self, _header: Dict[str, Any], _body: bytes) -> None:
        self._reply({"version": VERSION, "python": platform.python_version()})

    def _open(self, header: Dict[str, Any], _body: bytes) -> None:
        """``folder``. Replies with its ``free`` bytes, and whether it is ``writable``."""
        path = header["folder"]
        if not os.path.isabs(path):
            raise RequestRefused("refused", "the folder %s is not an absolute path" % path)
        self._leave()
        if self._folder is not None and self._path != path:
            self._folder.close()
            self._folder = None
        if self._folder is None:
            self._folder, self._path = Folder(path), path
        self._reply({"free": self._folder.free(), "writable": self._folder.is_writable()})

    def _lock(self, header: Dict[str, Any], _body: bytes) -> None:
        """``seconds`` to wait for the lock of the folder."""
        self._in().lock(header["seconds"])
        self._reply({})

    def _prepare(self, header: Dict[str, Any], _body: bytes) -> None:
        """``name``, ``size``. Replies with ``complete``, the size of the file if it is there already,
        or with digests of the pieces that an earlier transfer left.
        """
        folder, name, size = self._in(), checked(header["name"]), int(header["size"])
        self._leave()
        if folder.exists(name):
            folder.removed(part_of(name))
            self._reply({"complete": folder.size(name)})
            return
        descriptor = folder.opened_part(name)
        self._part = IncompleteFile(name, descriptor, size)
        there = os.fstat(descriptor).st_size
        if there > size:
            os.ftruncate(descriptor, size)
            there = size
        missing = size - os.fstat(descriptor).st_blocks * 512
        if missing > folder.free():
            raise RequestRefused("full", "%d MiB are missing" % (missing - folder.free() >> 20))
        found = readback.pieces(descriptor, there, PIECE, self._progress)
        self._reply({"complete": None, "piece": PIECE, "there": there}, found)

    def _data(self, header: Dict[str, Any], body: bytes) -> None:
        """``offset``; not acknowledged. Offsets rise, and what lies between is right already."""
        if self._part is not None:
            try:
                self._part.write(header["offset"], body)
            except BaseException:
                self._leave()  # what is on its way is dropped, so that there is one error
                raise

    def _find_olds(self, header: Dict[str, Any], body: bytes) -> None:
        """``names`` of older versions, the most clusters that are read (``most``), and samples: clusters as
        the new file has them, in ``body``, with their ``lengths``, ``compression`` and possible ``levels``.
        Replies with the level at which this host makes the same bytes, or null, with the number of the
        old blocks, and a description of them (see OldImages.described).
        """
        if self._olds is not None:
            self._olds.close()
            self._olds = None
        ends = [sum(header["lengths"][: n + 1]) for n in range(len(header["lengths"]))]
        samples = [body[end - length : end] for end, length in zip(ends, header["lengths"])]
        codec = codec_of(header["compression"])
        level = reproduces(codec, samples, header["levels"]) if codec is not None else None
        images = []
        for name in header["names"] if level is not None else ():
            try:
                images.append(OldImage(*self._in().opened(name), header["most"]))
            except (UnusableImage, RequestRefused):
                continue
        self._olds = OldImages(images)
        self._reply({"level": level, "blocks": self._olds.blocks}, self._olds.described(self._progress))

    def _rebuild(self, header: Dict[str, Any], body: bytes) -> None:
        """``compression`` and ``level``; the plan is the body, what it needs follows in requests called
        ``literal``. Replies with the numbers of the segments that could not be made.
        """
        part, olds, codec = self._part, self._olds, codec_of(header["compression"])
        if part is None or olds is None or codec is None:
            raise RequestRefused("refused", "nothing was prepared")
        level, target = int(header["level"]), part
        literals = Literals(self._source, codec)
        plan = unpacked(body, part.size)

        def right(offset: int) -> None:
            if offset - target.end >= _ADVANCE or offset == target.size:
                target.reached(offset)

        blocks = Blocks(plan.runs, olds, literals.take)

        def squeeze(data: bytes) -> bytes:
            found: bytes = codec.compress(data, level)
            return found

        wrong = rebuild(part.descriptor, plan, blocks, literals.take, squeeze, right, self._progress)
        self._reply({}, struct.pack(">%dI" % len(wrong), *wrong))

    def _finish(self, header: Dict[str, Any], _body: bytes) -> None:
        """``sha256``, ``mode``: the file gets its name if what is on the disk has this digest. Replies
        with the digest.
        """
        folder, part = self._in(), self._part
        if part is None:
            raise RequestRefused("refused", "nothing was prepared")
        part.reached(part.size)
        assert part.check is not None
        found = part.check.result(_TICK)
        while found is None:
            self._progress(part.check.at)
            found = part.check.result(_TICK)
        if found == header["sha256"]:
            os.fchmod(part.descriptor, header["mode"])
            os.fsync(part.descriptor)
            folder.complete(part.name)
        self._leave()
        self._reply({"sha256": found})

    def _digest(self, header: Dict[str, Any], _body: bytes) -> None:
        """``name``. Replies with the digest of the file, empty if there is none."""
        try:
            descriptor, size = self._in().opened(header["name"])
        except RequestRefused as error:
            if error.kind != "absent":
                raise
            self._reply({"sha256": ""})
            return
        try:
            self._reply({"sha256": readback.digest(descriptor, size, self._progress)})
        finally:
            os.close(descriptor)

    def _remove(self, header: Dict[str, Any], _body: bytes) -> None:
        """``name``: the file, and what an interrupted transfer left of it."""
        name = checked(header["name"])
        self._leave()
        self._in().removed(name)
        self._in().removed(part_of(name))
        self._reply({})

    def _list(self, _header: Dict[str, Any], _body: bytes) -> None:
        self._reply({"files": self._in().sizes(), "parts": self._in().parts()})

    def _leave(self) -> None:
        """Leave the incomplete file as it is, and the old ones."""
        if self._part is not None:
            if self._part.check is not None:
                self._part.check.stop()
            os.close(self._part.descriptor)
            self._part = None
        if self._olds is not None:
            self._olds.close()
            self._olds = None
