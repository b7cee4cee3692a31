"""The build log, with secrets taken out of every line that reaches it."""

from __future__ import annotations

import base64
import json
import logging
import re
import shlex
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote

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
    """Never let ``secret`` through again: not raw, shell-quoted, JSON, base64 or URL-encoded.

    Values shorter than four characters are not masked: they would hide half the log.
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
                    json.dumps(text)[1:-1],
                    base64.b64encode(raw).decode().rstrip("="),
                    base64.urlsafe_b64encode(raw).decode().rstrip("="),
                    quote(text),
                    quote(text, safe=""),
                }
            )


def redact(text: str) -> str:
    """``text`` with every known secret replaced, in one pass: a secret may be part of the mask itself."""
    with _lock:
        spellings = sorted(_spellings, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, spellings)), _MASK, text) if spellings else text


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def attach(handler: logging.Handler) -> None:
    """Send the log to ``handler``, redacted."""
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)-7s %(threadName)s %(message)s"))
    logger.addHandler(handler)


@contextmanager
def to_file(path: Path) -> Iterator[None]:
    """Write everything logged inside the block to ``path`` too (appended, mode 0600 when new)."""
    path.touch(mode=0o600, exist_ok=True)
    handler = logging.FileHandler(path, encoding="utf-8")
    attach(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()
