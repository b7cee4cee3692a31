"""Programs of the appliance, working on a guest's files.

libguestfs takes and gives only names that are UTF-8, and each of its calls is about one file. Where that is not enough,
the appliance's own find, rm and the like are run by its ``debug`` call. They do not know that the guest's root is not theirs:
so they get nothing but paths without links in their folders.
"""

from __future__ import annotations

import base64
import gzip
import shlex
import tempfile
from typing import TYPE_CHECKING, Any

from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_ROOT = "/sysroot"
"""Where libguestfs mounts a guest in the appliance."""
_LONGEST_COMMAND = 96 << 10
"""Bytes; Linux takes no argument that is longer than 128 KiB."""
_LONGEST_PATH = 3000
"""Bytes; Linux takes no path that is longer than 4096."""
_PIECE = 2 << 20
"""Bytes that are fetched together; a message of libguestfs's holds less than 4 MiB, and base64 makes them a third more."""
DATA = "/tmp/imagebuild-data"  # noqa: S108 - of the appliance
_WORDS = "/tmp/imagebuild-words"  # noqa: S108 - of the appliance
_OUTPUT = "/tmp/imagebuild-output"  # noqa: S108


class Appliance:
    """Runs programs in the appliance of the handle that ``handle`` gives."""

    def __init__(self, handle: Callable[[], Any]) -> None:
        self._handle = handle

    def run(self, command: str, words: Sequence[str] = ()) -> None:
        """Run a program on any number of words. GuestError with what it said on standard error if it fails.

        With too many words for one command it is run several times; if any of them fails, the others run all the same.
        """
        self._sh(self._with_words(command, words))

    def output(self, script: str, words: Sequence[str] = ()) -> bytes:
        """The standard output of a script of the shell that gets ``words`` as its parameters; its exit status does not count."""
        plain = shlex.join(words)
        if is_utf8(plain) and len(plain) < _LONGEST_COMMAND:
            command = f"set -- {plain}; {{ {script}; }}"  # one program less to start
        else:
            command = self._with_words(f"sh -c {shlex.quote(script)} sh", words)
        try:
            return base64.b64decode(self._sh(f"{command} | base64 -w0"))
        except GuestError:  # too much for one message
            self._sh(f"{command} | gzip -1 >{_OUTPUT}")
        parts: list[bytes] = []
        while part := self._sh(f"tail -c +{len(parts) * _PIECE + 1} {_OUTPUT} | head -c {_PIECE} | base64 -w0"):
            parts.append(base64.b64decode(part))
        return gzip.decompress(b"".join(parts))

    def put(self, content: bytes, name: str = DATA) -> None:
        """Put a file into the appliance."""
        handle = self._handle()
        with tempfile.NamedTemporaryFile(dir=handle.get_tmpdir()) as file:
            file.write(content)
            file.flush()
            handle.debug_upload(file.name, name, 0o600)

    def _with_words(self, command: str, words: Sequence[str]) -> str:
        if not words:
            return command
        plain = f"{command} {shlex.join(words)}"
        if is_utf8(plain) and len(plain) < _LONGEST_COMMAND:
            return plain
        self.put("".join(f"{word}\0" for word in words).encode("utf-8", "surrogateescape"), _WORDS)
        return f"xargs -0 -r -a {_WORDS} {command}"

    def _sh(self, command: str) -> str:
        return str(self._handle().debug("sh", [command]))


def path(real: str) -> str:
    """The appliance's own name for a path of the guest that has no links in its folders."""
    return f"{_ROOT}{real}"


def steps(real: str) -> list[str]:
    """The same for a folder, however long: to be gone step by step, since Linux takes no path that is longer than 4 KiB."""
    found = [_ROOT]
    for part in real.strip("/").split("/"):
        if is_long(f"{found[-1]}/{part}"):
            found.append(f"./{part}")
        else:
            found[-1] += f"/{part}"
    return found


def is_long(real: str) -> bool:
    """Whether a path can be named only step by step."""
    return len(real.encode("utf-8", "surrogateescape")) > _LONGEST_PATH


def is_utf8(text: str) -> bool:
    """Whether a text can be given to libguestfs."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
