"""A value becomes one word by itself; inside quotes its own quotes would become part of it, or end them.

In a here-document they mean nothing, and the shell would run what stands in the value. So ``--append="{{ arguments }}"`` is refused when the template is read, with its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from jinja2 import TemplateSyntaxError
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream

_HERE = re.compile(r"(?<!<)<<(?!<)(-?)\s*(?:'([^']+)'|\"([^\"]+)\"|\\?([A-Za-z_]\w*))")
"""The begin of a here-document, as a shell has it."""


class NoValueInQuotes(Extension):
    """Looks at the text before each ``{{``: whether a quote or a here-document is open there."""

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
            f"a value stands inside a here-document ({here[0]}), where its quotes do not hold and a shell would run what is "
            "in it: give it to a variable of the shell before, or write the line with printf"
        )
    return (
        f"a value stands inside quotes ({quote}): it is quoted by itself, so write it without them" if quote else None
    )


def _after(line: str, here: list[str]) -> list[str]:
    """The here-documents that are open after ``line``, the first one to end first."""
    if here:
        # Of <<-EOF the tabs before the end do not count; to be strict with all of them costs nothing.
        return here[1:] if line.lstrip("\t") == here[0] or line.startswith("%end") else here
    if line.lstrip().startswith("#"):
        return []
    return [match[2] or match[3] or match[4] for match in _HERE.finditer(line)]


def open_quote(line: str, quote: str | None = None) -> str | None:
    """The quote that is open at the end of ``line``, as shlex and a shell read it; None in a comment.

    ``quote`` is the one that an earlier line has left open.
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
