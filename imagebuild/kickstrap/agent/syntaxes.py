"""Which syntax a kickstart is read with, and what all of them have in common.

A kickstart may name an older syntax: ``#version=RHEL6`` before its first section. It is then read
with the commands of that syntax, and with those that only the own one has, such as ``liveimg``.
Afterwards the results are completed, so that the rest of the program sees the attributes of the own
syntax, whatever was read.
"""

from __future__ import annotations

import copy
import importlib
import re
from typing import Any

from pykickstart.errors import KickstartVersionError
from pykickstart.version import stringToVersion, versionMap, versionToString

KICKSTRAP = "F43"
"""Without another one. Fedora's, because RHEL's has had no btrfs since version 8."""
_OWN = re.compile(r"\s*#\s*version\s*=\s*(.*?)\s*$", re.IGNORECASE)


def named(text: str) -> str:
    """The syntax that ``#version=`` before all sections names, as pykickstart spells it; else the
    own one.
    """
    for line in text.splitlines() if "version" in text.lower() else ():
        if line.startswith("%"):
            break
        if match := _OWN.match(line):
            return _known(match[1])
    return KICKSTRAP


def given(command_line: str) -> str | None:
    """The syntax that the kernel's command line names, if any: that of the recipe."""
    found = re.search(r"(?:^|\s)kickstrap\.syntax=(\w+)(?=\s|$)", command_line)
    return _known(found[1]) if found else None


def _known(name: str) -> str:
    if name.upper() in versionMap:
        return KICKSTRAP if name.upper() == "DEVEL" else name.upper()
    try:
        return str(versionToString(stringToVersion(name), skipDevel=True))
    except KickstartVersionError:
        return KICKSTRAP


def handler_class(version: str) -> Any:
    """pykickstart's class for ``version``, with the commands that only the own syntax has added.

    Raises ImportError if pykickstart does not have it.
    """
    own = _class(KICKSTRAP)
    if version == KICKSTRAP:
        return own
    whole = _class(version)
    return type(
        f"{version}Joined",
        (whole,),
        {
            "commandMap": {**own.commandMap, **whole.commandMap},
            "dataMap": {**own.dataMap, **whole.dataMap},
        },
    )


def _class(version: str) -> Any:
    module = importlib.import_module(f"pykickstart.handlers.{version.lower()}")
    return getattr(module, f"{version}Handler")


def complete(handler: Any) -> None:
    """Give each command of ``handler``, and its data, the attributes that only the own syntax has,
    with their defaults.
    """
    if handler.version == versionMap[KICKSTRAP]:
        return
    own = _class(KICKSTRAP)
    newest = {_attribute(command): command for command in own.commandMap.values()}
    data = {key.lower(): its_class for key, its_class in own.dataMap.items()}
    for name, its_class in newest.items():
        command = copy.copy(getattr(handler, name, None))
        if command is not None and type(command) is not its_class and name != "method":  # which has only others' data
            setattr(handler, name, command)
            _fill(command, its_class)
            for item in command.dataList() or ():
                _fill(item, data[_attribute(type(item))])


def _attribute(its_class: type[Any]) -> str:
    """The name that all versions of a class of pykickstart share, such as ``bootloader``."""
    return its_class.__name__.rpartition("_")[2].lower()


def _fill(thing: Any, newest: type[Any]) -> None:
    for name, value in vars(newest()).items():
        if name not in vars(thing):
            setattr(thing, name, copy.copy(value))
