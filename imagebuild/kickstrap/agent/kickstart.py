"""Reads the kickstart in the VM, with only the supported commands of pykickstart, so that it starts
fast.
"""

from __future__ import annotations

import importlib
import warnings
from typing import Any

from pykickstart.errors import KickstartError
from pykickstart.parser import KickstartParser

from .errors import InstallError
from .supported import KICKSTART_VERSION, PARSED, check


def read(text: str) -> Any:
    """pykickstart's handler after parsing ``text``. Raises InstallError for the first error or
    unsupported item.
    """
    handler = parse(text)
    for finding in check(handler, text):
        if finding.severity == "error":
            raise InstallError(f"kickstart line {finding.line}: {finding.message}")
    return handler


def parse(text: str) -> Any:
    """pykickstart's handler after parsing ``text``, without checking for support.

    Only the supported commands are registered: setting up the parsers of all eighty takes half a
    second under emulation. Raises InstallError if pykickstart cannot parse the text.
    """
    version = importlib.import_module(f"pykickstart.handlers.{KICKSTART_VERSION.lower()}")
    whole = getattr(version, f"{KICKSTART_VERSION}Handler")
    handler = whole(
        mapping={name: whole.commandMap[name] for name in PARSED & whole.commandMap.keys()},
        dataMapping=whole.dataMap,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            KickstartParser(handler, followIncludes=False).readKickstartFromString(text)
        except (KickstartError, ValueError) as error:
            raise InstallError(f"the kickstart cannot be read: {' '.join(str(error).split())}") from error
    return handler
