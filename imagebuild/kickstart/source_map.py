"""Maps each line of a kickstart to the template line that it came from.

Jinja2 does not report this. So the template is rendered a second time, in an environment that puts
a marker before each line of template text as it is read, and brackets around each expression and
include. The markers in the output then show where its lines come from. If that output without its
markers differs from the first one, no origin is reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream

from imagebuild.kickstart.rendered import Origin

_MARKER = re.compile("([\ue000\ue001])([0-9]+):([^\ue003]*)\ue003|\ue002")
_AT, _ENTER, _LEAVE, _STOP = "\ue000", "\ue001", "\ue002", "\ue003"


class Markers(Extension):
    """Inserts the markers into the input of Jinja2's parser."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        """Jinja2 calls this with the tokens of each template."""
        file = stream.filename or stream.name or "template"
        tokens = list(stream)
        closing: str | None = None
        for index, token in enumerate(tokens):
            if token.type == "data":
                yield Token(token.lineno, "data", _marked(token.value, file, token.lineno))
                continue
            block = tokens[index + 1].value if token.type == "block_begin" else None
            if token.type == "variable_begin" or block in ("include", "call"):
                yield Token(token.lineno, "data", f"{_ENTER}{token.lineno}:{file}{_STOP}")
            yield token
            if block in ("include", "endcall"):
                closing = "block_end"
            if token.type in (closing, "variable_end"):
                closing = None
                yield Token(token.lineno, "data", _LEAVE)


def _marked(text: str, file: str, line: int) -> str:
    lines = text.split("\n")
    return "\n".join(f"{_AT}{line + n}:{file}{_STOP}{part}" for n, part in enumerate(lines))


def origins(marked: str, text: str) -> tuple[Origin | None, ...]:
    """The origin of each line of ``text``, from the same text with markers."""
    if _MARKER.sub("", marked) != text:
        return tuple(None for _ in text.splitlines())
    return tuple(_origins(_MARKER.split(marked)))


def _origins(pieces: list[str | None]) -> Iterable[Origin | None]:
    """``pieces``: text, then the kind, line and file of each marker, and the text after it."""
    current: Origin | None = None
    calls: list[tuple[str, int]] = []
    line_open = False
    for index in range(0, len(pieces), 4):
        for part in (pieces[index] or "").splitlines(keepends=True):
            if not line_open:
                yield current
            line_open = not part.endswith("\n")
        if index + 3 >= len(pieces):
            return
        kind, line, file = pieces[index + 1 : index + 4]
        if kind is None:
            calls.pop()
            continue
        here = str(file), int(line or 0)
        current = Origin(*here, tuple(call for call in reversed(calls) if call != here))
        if kind == _ENTER:
            calls.append(here)
