"""Refuses template values inside quotes and here-documents.

A value is always rendered as one quoted word. Inside quotes its own quotes would become part of the
value, or would end the outer ones; inside a here-document quotes have no effect, and the shell
would run what the value contains. So ``--append="{{ arguments }}"`` is refused, with its line, when
the template is read.
"""

from __future__ import annotations

from collections.abc import Iterator

from jinja2 import TemplateSyntaxError
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream

from imagebuild.kickstart import here_documents


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
                    here = here_documents.after(line, here)
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
