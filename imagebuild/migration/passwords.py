"""Passwords in the options of virt-customize: selectors, and commands that set them.

A secret that is written in a command line becomes a reference. It is never repeated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from imagebuild.migration.translated import Call, Part, Remark

_CHPASSWD = re.compile(
    r"""\s*(?:echo|printf)\s+(?:-e\s+|'%s\\n'\s+|"%s\\n"\s+)?(["']?)(?P<user>[a-z_][a-z0-9_-]*):(?:(?!\1)[^|;&\n])+\1\s*"""
    r"""\|\s*(?:sudo\s+)?(?:/usr/s?bin/)?chpasswd\s*"""
)
_SECRET = re.compile(
    r"\bchpasswd\b|\bpasswd\s+--stdin|\b(?:useradd|usermod|adduser)\b[^;&|]*\s-p\s*\S|--pass(?:word|wd)?[= ]\s*\S"
    r"|\b(?!NOPASSWD|PasswordAuth)[A-Za-z_]*(?:PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY)[A-Za-z_]*\s*[=:]\s*[\"']?[^\s\"'$]"
    r"|://[^/\s:@]+:[^/\s@]+@|-----BEGIN [A-Z ]*PRIVATE KEY|\bcurl\b[^;&|]*\s-u\s*\S+:\S",
    re.IGNORECASE,
)


def of_selector(option: str, user: str, selector: str) -> Iterator[Part]:
    """The operations for ``--password USER:SELECTOR`` (virt-builder(1), "Users and passwords")."""
    locked = selector == "locked" or selector.startswith("locked:")
    kind, _, value = selector.removeprefix("locked").removeprefix(":").partition(":")
    if kind == "file":
        yield Call("set-password", {"user": user, "password": {"file": value}})
    elif kind == "password":
        yield set_from_environment(user)
    elif kind == "random":
        text = f"{option}: a random password would be the same in every clone; set-password takes one by reference"
        yield Remark(text, missing=True)
    elif kind != "disabled" and not locked:
        yield Remark(f"{option}: this form of the password is unknown", missing=True)
    if locked or kind == "disabled":
        yield Call("lock-password", {"user": user})


def set_from_environment(user: str) -> Call:
    """The operation that sets the password of ``user`` from an environment variable."""
    variable = f"{re.sub(r'[^A-Z0-9]', '_', user.upper())}_PASSWORD"
    variable = variable if variable[0].isalpha() else f"_{variable}"
    note = f"the password was not copied: put it, or its hash, into the environment variable {variable}"
    return Call("set-password", {"user": user, "password": {"env": variable}}, note)


def of_command(command: str) -> Call | None:
    """The operation for a command that only sets a password; None for any other command."""
    found = _CHPASSWD.fullmatch(command)
    return set_from_environment(found["user"]) if found else None


def has_secret(text: str) -> bool:
    """Whether a command or the content of a file seems to contain a secret."""
    return _SECRET.search(text) is not None
