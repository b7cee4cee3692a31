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
from collections.abc import Iterable, Iterator, Mapping
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
    """A member of a root archive, without its time: what it is, its owner, mode and attributes, and for
    a file the digest of its content, or where a link points.
    """

    kind: bytes
    mode: int
    owner: tuple[int, int]
    attributes: tuple[tuple[str, str], ...]
    content: str


class _Span(NamedTuple):
    """The bytes of a member in its archive, headers included."""

    begin: int
    end: int


def write(common: Path, whole: Path, into: Path) -> Path:
    """Write the difference between the root archives ``common`` and ``whole`` to the folder ``into``, and
    return its archive. Raises NotShareable if the installer would have looked at one of its files.
    """
    before = {path: member for path, member, _ in _members(common)}
    after: dict[str, _Member] = {}
    spans: dict[str, _Span] = {}
    for path, member, span in _members(whole):
        after[path] = member
        spans[path] = span
    changed = [path for path in after if path in before and _differs(before[path], after[path])]
    added = [path for path in after if path not in before]
    removed = [path for path in before if path not in after]
    _check(before, after, changed, [*added, *removed])
    accounts = [path for path in changed if absolute(path) in ACCOUNTS]
    texts = [_texts(archive, accounts) for archive in (common, whole)]
    description = Additions(
        replaced={absolute(path): _content(before[path]) for path in changed if _has_content(before[path])},
        added=tuple(absolute(path) for path in added if after[path].kind != tarfile.DIRTYPE),
        removed={absolute(path): _content(before[path]) for path in removed},
        accounts=tuple(AccountFile(absolute(path), texts[0][path], texts[1][path]) for path in accounts),
    )
    files.write_record(into / DESCRIPTION, description)
    chosen = {*added, *changed} - set(accounts)
    # a hard link is made again if the file that it is a name of is replaced
    chosen |= {path for path, one in after.items() if one.kind == tarfile.LNKTYPE and one.content in chosen}
    _copy(whole, (spans[path] for path in after if path in chosen), into / ARCHIVE)
    return into / ARCHIVE


def _differs(one: _Member, other: _Member) -> bool:
    return one != other


def _has_content(member: _Member) -> bool:
    return member.kind in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.SYMTYPE)


def _content(member: _Member) -> str:
    """What is compared with a guest's file; empty if there is nothing to compare."""
    return member.content if _has_content(member) else ""


def _check(
    before: Mapping[str, _Member], after: Mapping[str, _Member], changed: Iterable[str], others: Iterable[str]
) -> None:
    for path in (*changed, *others):
        if DECIDING.match(path.removeprefix("./")):
            raise NotShareable(f"its packages have {absolute(path)}, which the installer looks at")
    for path in changed:
        kinds = {before[path].kind, after[path].kind}
        if len(kinds) > 1 and tarfile.DIRTYPE in kinds:
            raise NotShareable(f"its packages make something else of {absolute(path)}")


def _members(archive: Path) -> Iterator[tuple[str, _Member, _Span]]:
    """The members of a root archive: their paths, what they are, and where they are."""
    with tarfile.open(archive) as root, archive.open("rb") as content:
        for one in root:
            if one.name in _UNSPECIFIC:
                continue
            end = one.offset_data + ((one.size + _BLOCK - 1) // _BLOCK * _BLOCK if one.isreg() else 0)
            attributes = tuple(
                sorted((name, value) for name, value in one.pax_headers.items() if name.startswith(_XATTR))
            )
            if one.isreg():
                what = _digest(content, one.offset_data, one.size)
            else:
                what = one.linkname if one.issym() or one.islnk() else f"{one.devmajor}:{one.devminor}"
            member = _Member(one.type, one.mode, (one.uid, one.gid), attributes, what)
            yield one.name, member, _Span(one.offset, end)


def _digest(content: BinaryIO, begin: int, size: int) -> str:
    return hashlib.sha256(os.pread(content.fileno(), size, begin)).hexdigest()


def _texts(archive: Path, paths: Iterable[str]) -> dict[str, str]:
    left, found = set(paths), {}
    with tarfile.open(archive) as root:
        for member in root if left else ():
            if member.name in left and (content := root.extractfile(member)) is not None:
                found[member.name] = content.read().decode("utf-8", "surrogateescape")
                left.discard(member.name)
    return found


def _copy(archive: Path, spans: Iterable[_Span], target: Path) -> None:
    with archive.open("rb") as source, target.open("xb") as copy:
        for begin, end in spans:
            source.seek(begin)
            copy.write(source.read(end - begin))
        copy.write(_END)
