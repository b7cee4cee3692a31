"""Programs of the appliance that work on a guest's files.

libguestfs accepts and returns only names that are UTF-8, and each of its calls is about one file.
Where that is not enough, the appliance's own find, rm and the like are run by its ``debug`` call.
These programs do not know that the guest's root is not theirs, so they are given only paths without
links in their folders.
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
"""The folder of the appliance where libguestfs mounts a guest."""
_LONGEST_COMMAND = 96 << 10
"""In bytes: Linux does not accept an argument longer than 128 KiB."""
_LONGEST_PATH = 3000
"""In bytes: Linux does not accept a path longer than 4096."""
_PIECE = 2 << 20
"""The number of bytes fetched at a time: a libguestfs message holds less than 4 MiB, and base64
adds a third."""
DATA = "/tmp/imagebuild-data"  # noqa: S108 - of the appliance
_WORDS = "/tmp/imagebuild-words"  # noqa: S108 - of the appliance
_OUTPUT = "/tmp/imagebuild-output"  # noqa: S108


class Appliance:
    """Runs programs in the appliance of the handle returned by ``handle``."""

    def __init__(self, handle: Callable[[], Any]) -> None:
        self._handle = handle

    def run(self, command: str, words: Sequence[str] = ()) -> None:
        """Run a program on any number of words. GuestError with its standard error if it fails.

        If there are too many words for one command, it is run several times; if one of these runs
        fails, the others are still run.
        """
        self._sh(self._with_words(command, words))

    def output(self, script: str, words: Sequence[str] = ()) -> bytes:
        """The standard output of a shell script that gets ``words`` as its parameters; its exit
        status is ignored."""
        plain = shlex.join(words)
        if is_utf8(plain) and len(plain) < _LONGEST_COMMAND:
            command = f"set -- {plain}; {{ {script}; }}"  # saves starting one program
        else:
            command = self._with_words(f"sh -c {shlex.quote(script)} sh", words)
        try:
            return base64.b64decode(self._sh(f"{command} | base64 -w0"))
        except GuestError:  # too large for one message
            self._sh(f"{command} | gzip -1 >{_OUTPUT}")
        parts: list[bytes] = []
        while part := self._sh(f"tail -c +{len(parts) * _PIECE + 1} {_OUTPUT} | head -c {_PIECE} | base64 -w0"):
            parts.append(base64.b64decode(part))
        return gzip.decompress(b"".join(parts))

    def put(self, content: bytes, name: str = DATA) -> None:
        """Copy a file into the appliance."""
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
    """The appliance's own name of a guest path that has no links in its folders."""
    return f"{_ROOT}{real}"


def steps(real: str) -> list[str]:
    """The same for a folder of any depth, as steps to be entered one after the other: Linux does
    not accept a path longer than 4 KiB."""
    found = [_ROOT]
    for part in real.strip("/").split("/"):
        if is_long(f"{found[-1]}/{part}"):
            found.append(f"./{part}")
        else:
            found[-1] += f"/{part}"
    return found


def is_long(real: str) -> bool:
    """Whether a path can be reached only step by step."""
    return len(real.encode("utf-8", "surrogateescape")) > _LONGEST_PATH


def is_utf8(text: str) -> bool:
    """Whether a text can be passed to libguestfs."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
