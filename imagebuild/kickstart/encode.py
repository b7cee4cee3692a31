"""Encodes every value in a kickstart as a single token that pykickstart reads back unchanged.

pykickstart splits lines by shlex's rules, which are also those of a POSIX shell; so the same
encoding works for a command's option and for a word in a %post script.
"""

from __future__ import annotations

import re
import shlex

from jinja2 import Undefined
from markupsafe import Markup

from imagebuild.schema.fields import forbidden_character

_KINDS = {bool: "a boolean", type(None): "nothing", list: "a list", tuple: "a list", dict: "a mapping"}


class ValueRefused(ValueError):
    """A value that cannot be written into a kickstart."""


def token(value: object) -> str:
    """``value`` as one kickstart token. Raises ValueRefused unless it is a single line of text or a
    number.
    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        kind = _KINDS.get(type(value), f"a {type(value).__name__}")
        raise ValueRefused(
            f"{kind} cannot be written into a kickstart; test it with 'if', or write its parts one by one"
        )
    text = str(value)
    bad = forbidden_character(text)
    if bad is not None:
        raise ValueRefused(
            f"a value with the character U+{ord(bad):04X} cannot be written into a kickstart: it could end the line"
        )
    # A line that starts with % starts or ends a section, even inside a script.
    return f"'{text}'" if text.startswith("%") and shlex.quote(text) == text else shlex.quote(text)


def ini(value: object) -> str:
    """``value`` as the text after ``key=`` in an INI file, which all parsers of the format read
    back unchanged.

    A shell still has to write it, so it becomes a token afterwards. Raises ValueRefused for what
    parsers treat differently: white space at the ends, quotes, backslashes, and characters that
    start a comment.
    """
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else None
    if text is None or forbidden_character(text):
        token(value)  # says what is wrong
        raise ValueRefused("a value in an INI file must be text or a number")
    if text != text.strip() or re.search(r"""[\\"';#]""", text):
        raise ValueRefused(
            "a value in an INI file must not start or end with a space, nor contain a quote, backslash, ';' or '#': "
            "parsers treat them differently"
        )
    return text


def finalize(value: object) -> Markup:
    """Called by Jinja2 for every ``{{ … }}``: the output of macros stays as it is, anything else
    becomes a token.
    """
    if isinstance(value, Markup):
        return value
    if isinstance(value, Undefined):
        str(value)  # StrictUndefined names what is undefined
    return Markup(token(value))  # noqa: S704 - this is the encoder
