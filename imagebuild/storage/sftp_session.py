"""A connection to an SFTP server by OpenSSH's ssh, and the file operations on it.

ssh does everything that security depends on; the file protocol is spoken here, because the program
sftp can neither give a file to a reader piece by piece nor create one that must not exist.
"""

from __future__ import annotations

import os
import select
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO

from imagebuild.errors import HostError
from imagebuild.host.process import PIPE, Process, TimeoutExpired, started
from imagebuild.log import logger
from imagebuild.printable import one_line
from imagebuild.storage import sftp_packets as wire
from imagebuild.storage.sftp_packets import Attributes, Code, Fields, Malformed, PacketType
from imagebuild.storage.ssh_command import failure

STALL = 60.0
"""Seconds without a byte in either direction after which a server is given up."""
_SAID = 8 << 10
_MOST_NAMES = 10_000
"""Packets of names that are read of one folder; OpenSSH puts 100 names into one."""
Request = tuple[PacketType, bytes]


class SftpError(HostError):
    """The server refused something; ``code`` is its reason."""

    def __init__(self, message: str, code: int, hint: str | None = None) -> None:
        super().__init__(message, hint)
        self.code = code


@contextmanager
def connected(argv: Sequence[str], place: str, stall: float = STALL) -> Iterator[SftpSession]:
    """A session over the program ``argv``, which is ended with the block. Raises HostError."""
    with started(argv, stdin=True, stderr=PIPE, hint="install OpenSSH's client", grace=2.0) as process:
        session = SftpSession(process, place, stall)
        session.begin()
        yield session


class SftpSession:
    """The connection. Every method raises SftpError for what the server refuses, and HostError if the
    connection ends or the server stops answering. Several threads may use one session.
    """

    def __init__(self, process: Process, place: str, stall: float) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._process, self._place, self._stall = process, place, stall
        self._in, self._out = process.stdin.fileno(), process.stdout.fileno()
        os.set_blocking(self._in, False)
        os.set_blocking(self._out, False)
        self._buffer = bytearray()
        self._next = 1
        self._turn = threading.RLock()
        self._said: list[str] = []
        self._listener = threading.Thread(target=self._listen, args=(process.stderr,), daemon=True)
        self._listener.start()
        self.extensions: frozenset[str] = frozenset()
        self.usable = True

    def _listen(self, pipe: IO[str]) -> None:
        with suppress(OSError, ValueError):
            for line in pipe:
                logger.debug("ssh: %s", line.rstrip("\n"))
                if sum(map(len, self._said)) < _SAID:
                    self._said.append(line)

    def begin(self) -> None:
        """Agree on the version of the protocol, and learn which extensions there are."""
        with self._turn, self._strict():
            self._put(wire.packet(PacketType.INIT, wire.number(wire.VERSION)))
            fields = self._packet()
            if fields[0] != PacketType.VERSION or Fields(fields[1:5]).number() != wire.VERSION:
                raise Malformed("it speaks another version of SFTP")
            rest, names = Fields(fields[5:]), set()
            while rest.rest():
                names.add(rest.name())
                rest.string()
            self.extensions = frozenset(names)

    def listing(self, folder: str) -> Iterator[tuple[str, Attributes]]:
        """The names in a folder, with what the server says about them."""
        with self._handle(PacketType.OPENDIR, wire.string(folder), folder) as handle:
            for _ in range(_MOST_NAMES):
                kind, fields = self._one(PacketType.READDIR, wire.string(handle))
                if kind == PacketType.STATUS:
                    self._check(fields, folder, allowed=Code.EOF)
                    return
                with self._strict(kind, PacketType.NAME):
                    found = []
                    for _ in range(fields.number()):
                        name, _long = fields.name(), fields.string()
                        found.append((name, fields.attributes()))
                yield from found
        raise HostError(f"the listing of {one_line(folder)} at {self._place} does not end", "check the server")

    def attributes(self, path: str) -> Attributes | None:
        """About a file, or a link itself; None if there is nothing."""
        kind, fields = self._one(PacketType.LSTAT, wire.string(path))
        if kind == PacketType.STATUS:
            self._check(fields, path, allowed=Code.NO_SUCH_FILE)
            return None
        with self._strict(kind, PacketType.ATTRS):
            return fields.attributes()

    def size(self, handle: bytes, path: str) -> int:
        """The bytes of an open file."""
        kind, fields = self._one(PacketType.FSTAT, handle)
        if kind == PacketType.STATUS:
            self._check(fields, path)
        with self._strict(kind, PacketType.ATTRS):
            return fields.attributes().size or 0

    def file(self, path: str) -> Attributes | None:
        """The same, but only about a regular file: HostError for anything else."""
        found = self.attributes(path)
        if found is not None and not found.is_file:
            raise HostError(f"{one_line(path)} at {self._place} is not a regular file", "remove it")
        return found

    @contextmanager
    def opened(self, path: str, flags: int, mode: int = 0o600) -> Iterator[SftpFile]:
        """An open file; ``mode`` is for a new one."""
        body = wire.string(path) + wire.number(flags) + Attributes(mode=mode).encoded()
        with self._handle(PacketType.OPEN, body, path) as handle:
            yield SftpFile(self, handle, path)

    def remove(self, path: str) -> None:
        """Remove a file; no error if there is none."""
        self._done(PacketType.REMOVE, wire.string(path), path, allowed=Code.NO_SUCH_FILE)

    def make_folder(self, path: str) -> None:
        """Make a folder; no error if there is one already."""
        try:
            self._done(PacketType.MKDIR, wire.string(path) + Attributes(mode=0o777).encoded(), path)
        except SftpError:  # a server has no code for a name that is taken (draft, section 7)
            found = self.attributes(path)
            if found is None or found.mode is None or not stat.S_ISDIR(found.mode):
                raise

    def rename(self, old: str, new: str) -> None:
        """Rename a file; refused if the new name exists (draft, section 6.5)."""
        self._done(PacketType.RENAME, wire.string(old) + wire.string(new), new)

    def replace(self, old: str, new: str) -> None:
        """Rename a file atomically, also over an existing one. HostError if the server cannot."""
        if "posix-rename@openssh.com" not in self.extensions:
            raise HostError(
                f"the server of {self._place} cannot replace a file atomically",
                "use a server with posix-rename@openssh.com, such as OpenSSH's",
            )
        self._done(PacketType.EXTENDED, b"".join(map(wire.string, ("posix-rename@openssh.com", old, new))), new)

    def room(self, folder: str) -> int | None:
        """The free bytes for this user; None if the server does not say."""
        if "statvfs@openssh.com" not in self.extensions:
            return None
        kind, fields = self._one(PacketType.EXTENDED, wire.string("statvfs@openssh.com") + wire.string(folder))
        if kind == PacketType.STATUS:
            return None
        with self._strict():
            _block, fragment, blocks, _free, available = (fields.offset() for _ in range(5))
        return fragment * available if blocks else None

    @contextmanager
    def _handle(self, kind: PacketType, body: bytes, path: str) -> Iterator[bytes]:
        answer, fields = self._one(kind, body)
        if answer == PacketType.STATUS:
            self._check(fields, path)
        with self._strict(answer, PacketType.HANDLE):
            handle = fields.string()
        try:
            yield handle
        except BaseException:
            with suppress(HostError):
                self._done(PacketType.CLOSE, wire.string(handle), path)
            raise
        self._done(PacketType.CLOSE, wire.string(handle), path)

    def _done(self, kind: PacketType, body: bytes, path: str, allowed: Code = Code.OK) -> None:
        self.done([(kind, body)], path, allowed)

    def done(self, requests: Sequence[Request], path: str, allowed: Code = Code.OK) -> None:
        """Send requests whose answers are a status, and check each."""
        for kind, fields in self.ask(requests):
            with self._strict(kind, PacketType.STATUS):
                pass
            self._check(fields, path, allowed)

    def _one(self, kind: PacketType, body: bytes) -> tuple[int, Fields]:
        return self.ask([(kind, body)])[0]

    def _check(self, fields: Fields, path: str, allowed: Code = Code.OK) -> None:
        with self._strict():
            code = fields.number()
            text = fields.string().decode("utf-8", "replace") if fields.rest() else ""
        if code in (Code.OK, allowed):
            return
        about = f"{one_line(path)} at {self._place}"
        if code == Code.PERMISSION_DENIED:
            raise SftpError(f"{about}: permission denied", code, "make sure that the user may write there")
        if code == Code.NO_SUCH_FILE:
            raise SftpError(f"{about} does not exist", code, "create the folder; it is never created by itself")
        why = one_line(text) or f"status {code}"
        raise SftpError(f"the SFTP server refused {about}: {why}", code, "see whether there is room on the server")

    def data(self, kind: int, fields: Fields, size: int, path: str) -> bytes:
        """The data in the answer to a request for ``size`` bytes; empty at the end of the file."""
        if kind == PacketType.STATUS:
            self._check(fields, path, allowed=Code.EOF)
            return b""
        with self._strict(kind, PacketType.DATA):
            found = fields.string()
            if not 0 < len(found) <= size:
                raise Malformed("it gave another number of bytes than it was asked for")
            return found

    def ask(self, requests: Sequence[Request]) -> list[tuple[int, Fields]]:
        """Send requests together, and return the type and the fields of each answer, in their order."""
        with self._turn, self._strict():
            first = self._next
            self._next += len(requests)
            rest = memoryview(
                b"".join(
                    wire.packet(kind, wire.number(first + index & 0xFFFFFFFF), body)
                    for index, (kind, body) in enumerate(requests)
                )
            )
            waiting = {first + index & 0xFFFFFFFF: index for index in range(len(requests))}
            answers: list[tuple[int, Fields]] = [(0, Fields(b""))] * len(requests)
            while waiting:
                while waiting and (data := self._whole()) is not None:
                    fields = Fields(data[1:])
                    index = waiting.pop(fields.number(), None)
                    if index is None:
                        raise Malformed("an answer has no question")
                    answers[index] = data[0], fields
                if waiting:
                    rest = self._transfer(rest)
            return answers

    def _put(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = self._transfer(rest)

    def _packet(self) -> bytes:
        while (data := self._whole()) is None:
            self._transfer(memoryview(b""))
        return data

    def _whole(self) -> bytes | None:
        """The next whole packet that has arrived, without its length."""
        if len(self._buffer) < 4:
            return None
        length = int.from_bytes(self._buffer[:4])
        if not 5 <= length <= wire.LONGEST:
            raise Malformed("the length of a packet is impossible")
        if len(self._buffer) < 4 + length:
            return None
        data = bytes(self._buffer[4 : 4 + length])
        del self._buffer[: 4 + length]
        return data

    def _transfer(self, rest: memoryview) -> memoryview:
        """Send and receive what is possible now; returns what is still to be sent."""
        poll = select.poll()
        poll.register(self._out, select.POLLIN)
        if rest:
            poll.register(self._in, select.POLLOUT)
        ready = dict(poll.poll(self._stall * 1000))
        if not ready:
            self.usable = False
            raise HostError(
                f"the SFTP server of {self._place} did not answer for {self._stall:.0f} s",
                "run the command again; what was sent is used again",
            )
        try:
            if self._out in ready:
                data = os.read(self._out, 1 << 20)
                if not data:
                    raise self._ended()
                self._buffer += data
            if self._in in ready:
                rest = rest[os.write(self._in, rest[: 1 << 16]) :]
        except BlockingIOError:
            pass
        except OSError as error:
            raise self._ended() from error
        return rest

    def _ended(self) -> HostError:
        self.usable = False
        with suppress(TimeoutExpired):
            self._process.wait(2)
        self._listener.join(2)
        return failure(self._place, "".join(self._said))

    @contextmanager
    def _strict(self, kind: int = 0, expected: int = 0) -> Iterator[None]:
        try:
            _expect(kind, expected)
            yield
        except Malformed as error:
            self.usable = False
            raise HostError(f"the SFTP server of {self._place} does not keep to the protocol: {error}") from error


def _expect(kind: int, expected: int) -> None:
    if kind != expected:
        raise Malformed(f"an answer has the type {kind}")


class SftpFile:
    """An open file of a server."""

    def __init__(self, session: SftpSession, handle: bytes, path: str) -> None:
        self._session, self._handle, self._path = session, wire.string(handle), path

    def size(self) -> int:
        """Its bytes."""
        return self._session.size(self._handle, self._path)

    def read(self, at: int, length: int) -> bytes:
        """At most ``length`` bytes from ``at``; fewer only at the end of the file."""
        pieces = [(at + begin, min(wire.DATA, length - begin)) for begin in range(0, length, wire.DATA)]
        questions = [(PacketType.READ, self._handle + wire.offset(begin) + wire.number(size)) for begin, size in pieces]
        taken: list[bytes] = []
        for (begin, size), (kind, fields) in zip(pieces, self._session.ask(questions), strict=True):
            data = self._session.data(kind, fields, size, self._path)
            while 0 < len(data) < size:  # allowed (draft, section 6.4): ask for the rest
                more = self._read_one(begin + len(data), size - len(data))
                if not more:
                    break
                data += more
            taken.append(data)
            if len(data) < size:
                break
        return b"".join(taken)

    def _read_one(self, at: int, size: int) -> bytes:
        question = (PacketType.READ, self._handle + wire.offset(at) + wire.number(size))
        kind, fields = self._session.ask([question])[0]
        return self._session.data(kind, fields, size, self._path)

    def write(self, at: int, block: bytes) -> None:
        """Write all of a block."""
        view = memoryview(block)
        self._session.done(
            [
                (
                    PacketType.WRITE,
                    self._handle + wire.offset(at + begin) + wire.string(bytes(view[begin : begin + wire.DATA])),
                )
                for begin in range(0, len(block), wire.DATA)
            ],
            self._path,
        )

    def cut(self, size: int) -> None:
        """Remove everything after ``size`` bytes."""
        self._set(Attributes(size=size))

    def mode(self, mode: int) -> None:
        """Set the permissions."""
        self._set(Attributes(mode=mode))

    def _set(self, attributes: Attributes) -> None:
        self._session.done([(PacketType.FSETSTAT, self._handle + attributes.encoded())], self._path)

    def sync(self) -> None:
        """Write everything to the server's disk, if it has this extension."""
        if "fsync@openssh.com" in self._session.extensions:
            body = wire.string("fsync@openssh.com") + self._handle
            self._session.done([(PacketType.EXTENDED, body)], self._path)
