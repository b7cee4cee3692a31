"""A value becomes one word by itself; inside quotes its own quotes would become part of it, or end them.

So ``--append="{{ arguments }}"`` is refused when the template is read, with its line.
"""

from __future__ import annotations

from collections.abc import Iterator

from jinja2 import TemplateSyntaxError
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream


class NoValueInQuotes(Extension):
    """Looks at the text before each ``{{`` on its line."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        """Jinja2 calls this with the tokens of each template."""
        before = ""
        for token in stream:
            if token.type == "data":
                before = (before + token.value).rpartition("\n")[2]
            elif token.type == "variable_begin" and (quote := open_quote(before)):
                message = f"a value stands inside quotes ({quote}): it is quoted by itself, so write it without them"
                raise TemplateSyntaxError(message, token.lineno, stream.name, stream.filename)
            elif token.type == "variable_end":
                before += "value"
            yield token


def open_quote(line: str) -> str | None:
    """The quote that is open at the end of ``line``, as shlex and a shell read it; None in a comment."""
    quote: str | None = None
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
