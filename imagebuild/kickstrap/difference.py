"""What a root archive has that another one does not have: the files of further packages.

It is added to a disk that was installed from the other archive (``imagebuild.customise.additions``). A
difference is a tar archive with the new and the changed files, each exactly as in its root archive, and
a description of what they replace.
"""

from __future__ import annotations

import hashlib
import os
import re
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from imagebuild import files
from imagebuild.customise.additions import ACCOUNTS, AccountFile, Additions, absolute
from imagebuild.errors import NotShareable

ARCHIVE, DESCRIPTION = "difference.tar", "difference.json"
_BLOCK = 512
_XATTR = "SCHILY.xattr."
_END = bytes(2 * _BLOCK)
_UNSPECIFIC = ("", ".")
DECIDING = re.compile(
    r"(boot|home|root|etc/(grub\.d|skel|selinux)|(usr/)?lib/(modules|grub))/"
    r"|etc/(default/(grub|useradd|keyboard|locale)|login\.defs|adduser\.conf|deluser\.conf|selinux/config|vconsole\.conf"
    r"|crypttab|locale\.gen)(/|$)|etc/default/grub\.d/"
    r"|(usr/)?s?bin/(NetworkManager|ifup|resolvconf|netplan|locale-gen|grub-[a-z]+|os-prober|mdadm|dhclient|udhcpc|dhcpcd"
    r"|firewalld|update-initramfs)$"
    r"|((usr/)?lib/systemd/system|etc/init\.d)/(firewalld|nftables|ufw|netfilter-persistent|chrony|ntpsec|openntpd)"
    r"(\.service)?$|etc/chrony/"
)
"""Files that the installer looks at, or that it makes others of: a package that has one is installed with
the rest.
"""


class _Member(NamedTuple):
    """A member of a root archive, without its time and content: what it is, its owner, mode and
    attributes; for a file its size, for a link where it points.
    """

    kind: bytes
    mode: int
    owner: tuple[int, int]
    attributes: tuple[tuple[str, str], ...]
    what: str


class _Span(NamedTuple):
    """Where a member is in its archive: all its bytes, headers included, and its content."""

    begin: int
    end: int
    content: int
    size: int


@dataclass(frozen=True)
class Contents:
    """The members of a root archive by name, in its order, and where they are."""

    path: Path
    members: dict[str, _Member]
    places: dict[str, _Span]


@dataclass(frozen=True)
class _Root:
    """An open root archive."""

    archive: BinaryIO
    contents: Contents

    @property
    def members(self) -> dict[str, _Member]:
        return self.contents.members

    @property
    def places(self) -> dict[str, _Span]:
        return self.contents.places

    def content(self, path: str) -> bytes:
        place = self.places[path]
        return os.pread(self.archive.fileno(), place.size, place.content)

    def is_file(self, path: str) -> bool:
        return self.members[path].kind in (tarfile.REGTYPE, tarfile.AREGTYPE)

    def seen(self, path: str) -> str:
        """What ``Additions`` says about a file: its digest, or where a link points."""
        if self.is_file(path):
            return hashlib.sha256(self.content(path)).hexdigest()
        return self.members[path].what if self.members[path].kind == tarfile.SYMTYPE else ""

    def equals(self, path: str, other: _Root) -> bool:
        """Whether a member is the same in the other archive."""
        same = self.members[path] == other.members[path]
        return same and (not self.is_file(path) or self.content(path) == other.content(path))


def write(common: Contents, whole: Contents, into: Path) -> Path:
    """Write the difference between the root archives ``common`` and ``whole`` to the folder ``into``, and
    return its archive. Raises NotShareable if the installer would have looked at one of its files.
    """
    with common.path.open("rb") as first, whole.path.open("rb") as second:
        before, after = _Root(first, common), _Root(second, whole)
        changed = [path for path in after.members if path in before.members and not after.equals(path, before)]
        added = [path for path in after.members if path not in before.members]
        removed = [path for path in before.members if path not in after.members]
        _check(before, after, changed, [*added, *removed])
        accounts = [path for path in changed if absolute(path) in ACCOUNTS]
        description = Additions(
            replaced={absolute(path): seen for path in changed if (seen := before.seen(path))},
            added=tuple(absolute(path) for path in added if after.members[path].kind != tarfile.DIRTYPE),
            removed={absolute(path): before.seen(path) for path in removed},
            accounts=tuple(
                AccountFile(absolute(path), *(_text(root.content(path)) for root in (before, after)))
                for path in accounts
            ),
        )
        files.write_record(into / DESCRIPTION, description)
        chosen = {*added, *changed} - set(accounts)
        # a hard link is made again if the file that it is a name of is replaced
        chosen |= {path for path, one in after.members.items() if one.kind == tarfile.LNKTYPE and one.what in chosen}
        with (into / ARCHIVE).open("xb") as copy:
            for path in after.members:
                if path in chosen:
                    place = after.places[path]
                    copy.write(os.pread(after.archive.fileno(), place.end - place.begin, place.begin))
            copy.write(_END)
    return into / ARCHIVE


def _check(before: _Root, after: _Root, changed: Iterable[str], others: Iterable[str]) -> None:
    for path in (*changed, *others):
        if DECIDING.match(path.removeprefix("./")):
            raise NotShareable(f"its packages have {absolute(path)}, which the installer looks at")
    for path in changed:
        kinds = {before.members[path].kind, after.members[path].kind}
        if len(kinds) > 1 and tarfile.DIRTYPE in kinds:
            raise NotShareable(f"its packages make something else of {absolute(path)}")


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")


def contents(path: Path) -> Contents:
    """The members of the root archive at ``path``."""
    members: dict[str, _Member] = {}
    places: dict[str, _Span] = {}
    with tarfile.open(path) as root:
        for one in root:
            if one.name in _UNSPECIFIC:
                continue
            size = one.size if one.isreg() else 0
            end = one.offset_data + (size + _BLOCK - 1) // _BLOCK * _BLOCK
            xattrs = tuple(sorted(pair for pair in one.pax_headers.items() if pair[0].startswith(_XATTR)))
            what = one.linkname if one.issym() or one.islnk() else str(size)
            if one.isdev():
                what = f"{one.devmajor}:{one.devminor}"
            members[one.name] = _Member(one.type, one.mode, (one.uid, one.gid), xattrs, what)
            places[one.name] = _Span(one.offset, end, one.offset_data, size)
    return Contents(path, members, places)
