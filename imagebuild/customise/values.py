"""Types of parameter values. Anything that could end a line or escape from the guest is rejected
here."""

from __future__ import annotations

import posixpath
import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from imagebuild.customise.facts import ACCOUNTS
from imagebuild.customise.guest import Guest
from imagebuild.customise.operation import Params as BaseParams
from imagebuild.errors import GuestError
from imagebuild.schema.document import WrittenInt
from imagebuild.schema.findings import Finding, Refused
from imagebuild.schema.parameters import WrittenAs

_GROUP = "/etc/group"


def _single_line(text: str) -> str:
    if any(unicodedata.category(one) in ("Cc", "Zl", "Zp") and one != "\t" for one in text):
        raise ValueError("must be a single line without control characters")
    return text


def _absolute(path: str) -> str:
    _single_line(path)
    if not path.startswith("/") or posixpath.normpath(path) != path or path == "/":
        message = "must be an absolute path of the guest, written without '.', '..' and double slashes"
        meant = posixpath.normpath(f"/{path.lstrip('/')}")
        raise Refused([Finding((), message, f"write {meant}" if meant != "/" else None)])
    return path


def _mode(value: object) -> object:
    """The digits in a recipe are octal, with quotes or without, although YAML takes 0644 without
    quotes for the decimal number 644."""
    written = value.written if isinstance(value, WrittenInt) else value
    if isinstance(written, str):
        found = re.fullmatch(r"(?:0o)?([0-7]{3,4})", written)
        if found is None:
            raise ValueError('must be permission bits in octal, such as "0644"')
        return int(found[1], 8)
    return value


def _owner(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9_][a-z0-9_-]{0,31}(:[a-z0-9_][a-z0-9_-]{0,31})?", value):
        raise ValueError("must be a user, or a user and a group such as www-data:www-data")
    return value


Line = Annotated[str, AfterValidator(_single_line)]
HOST_PATH = "file or folder on the build host; a relative path is relative to the file it is written in"
"""The description of parameters of type HostPath."""
GuestPath = Annotated[str, AfterValidator(_absolute)]
Mode = Annotated[
    int,
    BeforeValidator(_mode),
    Field(ge=0, le=0o7777),
    WrittenAs(lambda mode: f"{mode:04o}"),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 0o7777}, {"type": "string", "pattern": "^[0-7]{3,4}$"}]}
    ),
]
Owner = Annotated[str, AfterValidator(_owner)]
PackageName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9+._:-]*$")]
Installable = Annotated[
    str,
    Field(
        pattern=r"^([A-Za-z0-9][A-Za-z0-9+._:()-]*|@\^?[A-Za-z0-9][A-Za-z0-9._-]*|(/[A-Za-z0-9_][A-Za-z0-9+._-]*)+)$"
    ),
]
"""A package, or something provided by packages; a group of packages; a file that a package
contains."""
UserName = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_-]{0,31}$")]
Unit = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9:_.@-]{0,200}$")]


class ServicesParams(BaseParams):
    """Parameters of the operations on services."""

    services: tuple[Unit, ...] = Field(
        min_length=1, description="names of services such as sshd, or of units such as fstrim.timer"
    )


def owner_ids(guest: Guest, owner: str) -> tuple[int, int]:
    """The user id and group id of ``user`` or ``user:group``, by the guest's own accounts; without
    a group the primary group of the user.

    GuestError if the guest does not know them.
    """
    user, _, group = owner.partition(":")
    users = {key: (one.uid, one.gid) for one in guest.accounts() for key in (str(one.uid), one.user)}
    uid, gid = _looked_up(users, user, "user", ACCOUNTS)
    return uid, _looked_up(_groups(guest), group, "group", _GROUP)[0] if group else gid


def _groups(guest: Guest) -> dict[str, tuple[int, int]]:
    lines = guest.read(_GROUP).splitlines() if guest.real_file(_GROUP) else []
    found = (line.split(":") for line in lines)
    ids = [(fields[0], int(fields[2])) for fields in found if len(fields) > 2 and fields[2].isdigit()]
    return {name: (gid, gid) for name, gid in ids}


def _looked_up(known: dict[str, tuple[int, int]], name: str, what: str, path: str) -> tuple[int, int]:
    if name in known:
        return known[name]
    if name.isdigit():
        return int(name), int(name)
    raise GuestError(f"the guest has no {what} {name!r}", f"create it first, or check {path} in the guest")
