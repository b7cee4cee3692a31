"""The build log: secrets are removed from every line and control characters escaped, so that it is
safe to `cat`.
"""

from __future__ import annotations

import base64
import copy
import json
import logging
import re
import shlex
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import quote

from imagebuild.printable import one_line, several_lines, shell_word

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

logger = logging.getLogger("imagebuild")
logger.setLevel(logging.DEBUG)
logger.addHandler(logging.NullHandler())

_MASK = "[secret]"
_lock = threading.Lock()
_spellings: set[str] = set()


def hide(secret: str) -> None:
    """Mask ``secret`` in the log from now on: raw, shell-quoted, in JSON, base64 and URL-encoded.

    Values shorter than four characters are not masked, because that would mask half the log.
    """
    value = secret.strip("\n")
    if len(value) < 4:
        return
    with _lock:
        for text in {secret, value}:
            raw = text.encode()
            _spellings.update(
                {
                    text,
                    shlex.quote(text),
                    shell_word(text).removeprefix("$'").removesuffix("'"),
                    one_line(text),
                    several_lines(text),
                    json.dumps(text)[1:-1],
                    base64.b64encode(raw).decode().rstrip("="),
                    base64.urlsafe_b64encode(raw).decode().rstrip("="),
                    quote(text),
                    quote(text, safe=""),
                }
            )


def is_hidden(text: str) -> bool:
    """Whether ``text`` as a whole is a secret that is masked."""
    return redact(text) == _MASK


def redact(text: str) -> str:
    """``text`` with every known secret masked, in one pass because a secret may be part of the mask
    itself.
    """
    with _lock:
        spellings = sorted(_spellings, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, spellings)), _MASK, text) if spellings else text


class _Formatter(logging.Formatter):
    """Keeps imagebuild's own line breaks, in the message's format and in tracebacks, and escapes
    those in arguments.
    """

    def format(self, record: logging.LogRecord) -> str:
        if isinstance(record.args, tuple):
            record = copy.copy(record)
            record.args = tuple(_put_in(value) for value in record.args or ())
        return several_lines(redact(super().format(record)))


def _put_in(value: object) -> object:
    return value if isinstance(value, int | float) else one_line(redact(str(value)))


def attach(handler: logging.Handler) -> None:
    """Send the log to ``handler``, redacted."""
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)-7s %(threadName)s %(message)s"))
    logger.addHandler(handler)


class _LogFile(logging.FileHandler):
    """Loses what a full file system does not take: neither a traceback of logging on standard error
    nor an error from closing the log may hide what the build itself has to say.
    """

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)

    def close(self) -> None:
        with suppress(OSError):  # it flushes what could not be written before, and closes the file all the same
            super().close()


@contextmanager
def to_file(path: Path) -> Iterator[None]:
    """Also write everything that is logged inside the block to ``path`` (appended, mode 0600 when
    new), as far as there is room.
    """
    path.touch(mode=0o600, exist_ok=True)
    handler = _LogFile(path, encoding="utf-8")
    attach(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()
