"""Reads the kickstart in the VM, with only those commands of pykickstart that it needs, so that it
starts fast.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

from pykickstart.errors import KickstartError
from pykickstart.parser import KickstartParser

from . import inclusion, needed_packages, package_names, syntaxes
from .errors import InstallError
from .supported import PARSED, check

if TYPE_CHECKING:
    from collections.abc import Callable


class ReadKickstart(NamedTuple):
    """pykickstart's handler, and the origin of each line; without included files there are none."""

    handler: Any
    origins: tuple[inclusion.LineOrigin, ...] = ()


def read(text: str, syntax: str | None = None, log: Callable[[str], None] = lambda _: None) -> Any:
    """pykickstart's handler after parsing ``text``, without the files that it includes; what is only
    noted goes to ``log``. Raises InstallError for the first error, or what is refused.
    """
    return _checked(text, syntax or syntaxes.named(text), log, ())


def read_again(
    text: str,
    before: Any,
    firmware: str = "bios",
    syntax: str | None = None,
    log: Callable[[str], None] = lambda _: None,
) -> ReadKickstart:
    """Read ``text`` with the files that it includes, after %pre. ``before`` is the handler without them.

    Raises InstallError also if the host has made the packages, and an included file needs others.
    """
    whole = inclusion.whole(text)
    handler = _checked(whole.text, syntax or syntaxes.named(text), log, whole.origins)
    if handler.liveimg.seen:
        _check_packages(whole, handler, before, firmware)
    return ReadKickstart(handler, whole.origins)


def _checked(text: str, syntax: str, log: Callable[[str], None], origins: tuple[inclusion.LineOrigin, ...]) -> Any:
    handler = parse(text, syntax, origins)
    for finding in check(handler, text):
        message = f"{inclusion.place(origins, finding.line)}: {finding.message}"
        if finding.severity == "error":
            raise InstallError(message)
        log(message)
    return handler


def _check_packages(whole: inclusion.WholeText, handler: Any, before: Any, firmware: str) -> None:
    """Compare the packages with those that the host knew when it made the root archive."""
    why = "the root archive was made before: set installer.payload: in-vm in the recipe"
    origin = inclusion.packages_in_files(whole)
    if origin is not None and package_names.choose(handler.packages) != package_names.choose(before.packages):
        raise InstallError(f"{origin}: %packages in an included file has no effect: {why}")
    there = {*needed_packages.added(before, firmware), *package_names.choose(before.packages).packages}
    for one in needed_packages.needed(handler, firmware):
        if not there & {*one.packages}:
            what = f"{one.what} needs the package {one.packages[0]} in the guest"
            raise InstallError(f"{inclusion.place(whole.origins, one.line)}: {what}: add it to %packages")


def parse(text: str, syntax: str | None = None, origins: tuple[inclusion.LineOrigin, ...] = ()) -> Any:
    """pykickstart's handler after parsing ``text`` with ``syntax``, or that which it names itself,
    without checking for support, and without reading what it includes. ``origins`` are those of its lines.

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
            raise InstallError(f"the kickstart cannot be read: {_explained(error, origins)}") from error
    syntaxes.complete(handler)
    return handler


def _explained(error: KickstartError | ValueError, origins: tuple[inclusion.LineOrigin, ...]) -> str:
    """pykickstart's sentence; with the line of the file that it is about, if files are included."""
    line, message = getattr(error, "lineno", None), getattr(error, "message", "")
    if origins and line and message:
        return f"{inclusion.place(origins, line)}: {' '.join(message.split())}"
    return " ".join(str(error).split())
