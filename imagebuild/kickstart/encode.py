"""The one way by which a value gets into a kickstart: as a single token that pykickstart reads back unchanged.

pykickstart splits lines by shlex's rules, which are also a POSIX shell's; so the same encoding serves a command's
option and a word in a %post script.
"""

from __future__ import annotations

import re
import shlex

from jinja2 import Undefined
from markupsafe import Markup

from imagebuild.schema.fields import forbidden_character

_KINDS = {bool: "a truth value", type(None): "nothing", list: "a list", tuple: "a list", dict: "a mapping"}


class ValueRefused(ValueError):
    """A value that cannot stand in a kickstart."""


def token(value: object) -> str:
    """``value`` as one kickstart token. Raises ValueRefused for what is no single line of text and no number."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        kind = _KINDS.get(type(value), f"a {type(value).__name__}")
        raise ValueRefused(f"{kind} cannot stand in a kickstart; test it with 'if', or write its parts one by one")
    text = str(value)
    bad = forbidden_character(text)
    if bad is not None:
        raise ValueRefused(
            f"a value with the character U+{ord(bad):04X} cannot stand in a kickstart: it could end the line"
        )
    # A line that begins with a % is a section's begin or end, even inside a script.
    return f"'{text}'" if text.startswith("%") and shlex.quote(text) == text else shlex.quote(text)


def ini(value: object) -> str:
    """``value`` as the text behind ``key=`` in an INI file, which readers of that format give back unchanged.

    It still has to be written by a shell, so it becomes a token afterwards. What the readers do not agree on is refused:
    white space at the ends, quotes and backslashes, and what begins a comment. Raises ValueRefused.
    """
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else None
    if text is None or forbidden_character(text):
        token(value)  # says what is wrong
        raise ValueRefused("a value for an INI file is text or a number")
    if text != text.strip() or re.search(r"""[\\"';#]""", text):
        raise ValueRefused(
            "a value in an INI file has no space at its ends and no quote, backslash, ';' or '#': readers differ about them"
        )
    return text


def finalize(value: object) -> Markup:
    """What Jinja2 does with the value of every ``{{ … }}``: macros' output stays, everything else becomes a token."""
    if isinstance(value, Markup):
        return value
    if isinstance(value, Undefined):
        str(value)  # StrictUndefined says which name it is
    return Markup(token(value))  # noqa: S704 - this is the encoder
