"""Reads the kickstart in the VM, with only those commands of pykickstart that it needs, so that it
starts fast.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from pykickstart.errors import KickstartError
from pykickstart.parser import KickstartParser

from . import syntaxes
from .errors import InstallError
from .supported import PARSED, check

if TYPE_CHECKING:
    from collections.abc import Callable


def read(text: str, syntax: str | None = None, log: Callable[[str], None] = lambda _: None) -> Any:
    """pykickstart's handler after parsing ``text``; what is only noted goes to ``log``. Raises
    InstallError for the first error, or what is refused.
    """
    handler = parse(text, syntax)
    for finding in check(handler, text):
        message = f"kickstart line {finding.line}: {finding.message}"
        if finding.severity == "error":
            raise InstallError(message)
        log(message)
    return handler


def parse(text: str, syntax: str | None = None) -> Any:
    """pykickstart's handler after parsing ``text`` with ``syntax``, or that which it names itself,
    without checking for support.

    Only the commands that are carried out are registered, and those that the text has: setting up
    the parsers of all eighty takes half a second under emulation. Raises InstallError if pykickstart
    cannot parse the text.
    """
    whole = syntaxes.handler_class(syntax or syntaxes.named(text))
    first = {line.split()[0] for line in text.splitlines() if line.strip()}
    handler = whole(
        mapping={name: command for name, command in whole.commandMap.items() if name in PARSED or name in first},
        dataMapping=whole.dataMap,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            KickstartParser(handler, followIncludes=False).readKickstartFromString(text)
        except (KickstartError, ValueError) as error:
            raise InstallError(f"the kickstart cannot be read: {' '.join(str(error).split())}") from error
    syntaxes.complete(handler)
    return handler
