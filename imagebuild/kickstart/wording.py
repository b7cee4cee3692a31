"""pykickstart's messages in plain words.

Many of them come from Python's argparse and name neither the command nor what is expected; others
name a line of the rendered text, which is not the template's.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable

from imagebuild.log import redact

_LINE = re.compile(r"\s*\b(?:on|at|in|from) line (?:\d+|None)(?: of the kickstart file)?")
_SECRET = ("rootpw", "user", "sshpw", "bootloader", "vnc", "rdp", "iscsi", "realm")
"""Commands of which no words are repeated in a message: a misplaced word may be a password."""


def sentence(message: str) -> str:
    """pykickstart's message on one line, without the number of a rendered line and without secrets."""
    return redact(_LINE.sub("", " ".join(message.split())))


def of_defect(command: str) -> str:
    """The message for an error inside pykickstart that bad input causes."""
    return f"{command}: pykickstart cannot read this line" if command else "pykickstart cannot read this line"


def of_error(message: str, command: str, syntax: str) -> tuple[str, str | None]:
    """The message and the hint for one of pykickstart's errors in ``command``."""
    for pattern, plain in _PLAIN:
        match = pattern.fullmatch(message)
        if match:
            text, hint = plain(match, command)
            return (f"{text} (syntax {syntax})" if " does not take -" in text else text), hint
    if message.endswith("has been removed."):
        name = message.partition(" ")[0]
        return f"{name} has been removed; the kickstart was read with the syntax {syntax}", _READ_AS
    if message.startswith("Unknown command: "):
        return message, None
    return message.replace("---", "--") or "this is not a kickstart", None


_READ_AS = "remove it, or choose the release's syntax; `imagebuild lint --list-syntaxes` lists them"


def of_deprecation(message: str) -> str:
    """pykickstart's warning about a command or an option, without its claims about the effect.

    It says of every deprecated option that it has no effect, and still carries some out.
    """
    text = sentence(message)
    match = re.match(r"Ignoring deprecated option: The (\S+) option has been deprecated", text)
    if match:
        return f"{match[1]} is deprecated, and a later release may refuse it"
    match = re.match(r"Ignoring deprecated command: The (\S+) command has been deprecated", text)
    if match:
        return f"{match[1]} is deprecated: it has no effect, and a later release may refuse it"
    match = re.match(r"The (\S+) option will be deprecated in .* alias (\S+?)\.?$", text)
    if match:
        return f"{match[1]} will be deprecated: write {match[2]}"
    return text


def _option(match: re.Match[str], command: str) -> str:
    """The command and an option that argparse names with all its aliases: --type/--fstype."""
    return f"{command} {match[1].partition('/')[0]}"


def _value(match: re.Match[str], command: str) -> str:
    return "the value" if command in _SECRET else match[2]


def _refused(words: list[str], command: str) -> str:
    options = [word.partition("=")[0] for word in words if word.startswith("-")]
    if command in _SECRET and len(options) < len(words):
        options += ["a further word"]
    shown = options if command in _SECRET else [word or "''" for word in words]
    return f"{command} does not take {', '.join(shown)}" if shown else f"{command} has too many words"


def _unrecognized(match: re.Match[str], command: str) -> tuple[str, str | None]:
    return _refused(match[1].split() or [""], command), None


def _unexpected(match: re.Match[str], _: str) -> tuple[str, str | None]:
    try:
        words = [str(word) for word in ast.literal_eval(match[2])]
    except (ValueError, SyntaxError):
        words = []
    return _refused(words, match[1]), None


_NAMED = {"mntpoint": "mount point", "partitions": "list of partitions"}


def _missing(match: re.Match[str], command: str) -> tuple[str, str | None]:
    names = [name.strip("<>*") for name in match[1].split(", ")]
    needed = [name if name.startswith("-") else f"a {_NAMED.get(name, name)}" for name in names]
    return f"{command} needs {' and '.join(needed)}", None


def _choice(match: re.Match[str], command: str) -> tuple[str, str | None]:
    possible = ", ".join(one.strip("' ") for one in match[3].split(","))
    return f"{_option(match, command)}: {_value(match, command)} is not possible", f"possible: {possible}"


def _invalid(match: re.Match[str], command: str) -> tuple[str, str | None]:
    what = {"int": "a whole number", "float": "a number", "boolean": "yes or no"}.get(match[2], "a valid value")
    value = "the value" if command in _SECRET else match[3]
    return f"{_option(match, command)}: {value} is not {what}", None


def _ambiguous(match: re.Match[str], command: str) -> tuple[str, str | None]:
    short = match[1].partition("=")[0]
    return f"{command} {short} is short for several options: {match[2]}", "write the option in full"


_Plain = Callable[[re.Match[str], str], tuple[str, str | None]]
_PLAIN: tuple[tuple[re.Pattern[str], _Plain], ...] = (
    (re.compile(r"unrecognized arguments:(.*)"), _unrecognized),
    (re.compile(r"Unexpected arguments to (\S+) command: (\[.*\])"), _unexpected),
    (re.compile(r"the following arguments are required: (.*)"), _missing),
    (
        re.compile(r"argument (\S+): ignored explicit argument (.*)"),
        lambda m, c: (f"{_option(m, c)} takes no value", None),
    ),
    (
        re.compile(r"argument (\S+): expected (?:one|at least one) argument"),
        lambda m, c: (f"{_option(m, c)} needs a value", None),
    ),
    (re.compile(r"argument (\S+): invalid (\w+) value: ('.*'|\".*\")"), _invalid),
    (re.compile(r"argument (\S+): invalid choice: ('.*?'|\S+) \(choose from (.*)\)"), _choice),
    (
        re.compile(r"argument (\S+): not allowed with argument (\S+)"),
        lambda m, c: (f"{_option(m, c)} cannot be used together with {m[2].partition('/')[0]}", None),
    ),
    (re.compile(r"ambiguous option: (\S+) could match (.*)"), _ambiguous),
)
