"""Refuses template values inside quotes and here-documents.

A value is always rendered as one quoted word. Inside quotes its own quotes would become part of the
value, or would end the outer ones; inside a here-document quotes have no effect, and the shell
would run what the value contains. So ``--append="{{ arguments }}"`` is refused, with its line, when
the template is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from jinja2 import TemplateSyntaxError
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream

_HERE = re.compile(r"(?<!<)<<(?!<)(-?)\s*(?:'([^']+)'|\"([^\"]+)\"|\\?([A-Za-z_]\w*))")
"""The start of a here-document, as a shell parses it."""


class NoValueInQuotes(Extension):
    """Checks whether a quote or a here-document is open before each ``{{``."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        """Jinja2 calls this with the tokens of each template."""
        before = ""
        quote: str | None = None
        here: list[str] = []
        for token in stream:
            if token.type == "data":
                *lines, before = (before + token.value).split("\n")
                for line in lines:
                    quote = None if here or line.startswith("%") else open_quote(line, quote)
                    here = _after(line, here)
            elif token.type == "variable_begin":
                message = _refusal(open_quote(before, quote), here)
                if message:
                    raise TemplateSyntaxError(message, token.lineno, stream.name, stream.filename)
            elif token.type == "variable_end":
                before += "value"
            yield token


def _refusal(quote: str | None, here: list[str]) -> str | None:
    if here:
        return (
            f"a value is inside a here-document ({here[0]}), where quoting has no effect and a shell would run "
            "what the "
            "value contains: assign it to a shell variable first, or write the line with printf"
        )
    return (
        f"a value is inside quotes ({quote}): values are quoted automatically, so remove the quotes" if quote else None
    )


def _after(line: str, here: list[str]) -> list[str]:
    """The here-documents that are open after ``line``, in the order in which they end."""
    if here:
        # Only <<-EOF allows tabs before the end; allowing them for all here-documents does no harm.
        return here[1:] if line.lstrip("\t") == here[0] or line.startswith("%end") else here
    if line.lstrip().startswith("#"):
        return []
    return [match[2] or match[3] or match[4] for match in _HERE.finditer(line)]


def open_here_documents(lines: Iterable[str]) -> list[str]:
    """The words that end the here-documents that are open after the lines of a script."""
    here: list[str] = []
    for line in lines:
        here = _after(line.rstrip("\r\n"), here)
    return here


def open_quote(line: str, quote: str | None = None) -> str | None:
    """The quote that is open at the end of ``line``, as shlex and a shell parse it; None in a
    comment.

    ``quote`` is the one that an earlier line left open.
    """
    characters = iter(enumerate(line))
    for at, character in characters:
        if character == "\\" and quote != "'":
            next(characters, None)
        elif quote is not None:
            quote = None if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character == "#" and (at == 0 or line[at - 1].isspace()):
            return None
    return quote
