"""What one command in the appliance reports about a guest: all its files, and its disks.

Measured under emulation with Debian's 16,000 files: 2 s. A libguestfs call for each folder would
take minutes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from imagebuild.contents.inventory import FileRecord
from imagebuild.errors import GuestError
from imagebuild.guest.shell import LIST_DISKS, disks

_COLUMNS = "NAME,KNAME,TYPE,SIZE,PTTYPE,PARTTYPE,PARTLABEL,FSTYPE,LABEL,MOUNTPOINT,FSUSED,FSSIZE"
_RECORD = r"%y %m %U %G %s %b %n %D:%i\0%P\0%l\0"
_LARGEST_READ, _READABLE_BY_ALL = 256 << 10, 0o004
_READ = f"-type f -perm -{_READABLE_BY_ALL:03o} -size -{(_LARGEST_READ >> 10) + 1}k"
"""Which files in /etc are digested: small ones that everybody in the guest may read. The digest of
a file with secrets would be a way to guess them."""
DEVICES = (
    rf"{LIST_DISKS}; printf '\0'; "
    rf"lsblk --json --list --bytes --output {_COLUMNS}; printf '\0'; "
    r"grep -H . /sys/class/block/*/start /sys/class/block/*/partition; printf '\0'"
)
"""Prints three of the parts of ``SCRIPT``, which are about the disks."""
SCRIPT = (
    'exec 2>/dev/null; cd "$1" || exit 0; t=$(mktemp -d); '
    # beside find, on the appliance's other processor
    r"{ getfattr -R -P -h -d -e hex -m '^security\.capability$' .; printf '\0'; "
    rf"find -P etc {_READ} -print0 | xargs -0 -r sha256sum -z --; printf '\0'; }} "
    '>"$t/read" & '
    rf"""find -P . -mindepth 1 -printf '{_RECORD}' >"$t/all"; """
    f"{DEVICES}; "
    'wait; cat "$t/read" "$t/all"; rm -r "$t"'
)
"""Its parameter is the folder where the guest is mounted."""
DIGESTS = 'exec 2>/dev/null; cd "$1" || exit 0; find -P . -type f -print0 | xargs -0 -r sha256sum -z --'
"""The digests of all files, a script of its own: if the output of a script is large, it runs twice."""
_CAPABILITY = re.compile(rb"^# file: (.*)\nsecurity\.capability=0x([0-9a-f]+)$", re.MULTILINE)
_OCTAL = re.compile(rb"\\([0-7]{3})")
_NUMBER = re.compile(r"^/sys/class/block/([^/]+)/(start|partition):(\d+)$", re.MULTILINE)
_BLOCK = 512


@dataclass(frozen=True)
class Survey:
    """``devices`` is what lsblk reports, ``order`` are the kernel's names of the guest's disks in
    their order, and ``numbers`` has the start in sectors and the number of each partition.

    ``blocks`` are the bytes that each path occupies; a file with several names has them once.
    """

    files: tuple[FileRecord, ...]
    blocks: dict[str, int]
    devices: list[dict[str, Any]]
    order: list[str]
    numbers: dict[tuple[str, str], int]


def parsed(output: bytes) -> Survey:
    """The survey in the output of ``SCRIPT``. GuestError if the appliance did not run it."""
    fields = output.split(b"\0")
    try:
        attributes, end = fields[3], fields.index(b"", 4)
    except (ValueError, IndexError) as error:
        raise GuestError("the appliance cannot list the guest's files and disks") from error
    digests = _digests(fields[4:end])
    capabilities = {_path(_unescaped(name)): value.decode() for name, value in _CAPABILITY.findall(attributes)}
    return put_together(fields[:3], _files(fields[end + 1 :], capabilities, digests))


def put_together(parts: Sequence[bytes], found: Iterable[tuple[FileRecord, int, bytes]]) -> Survey:
    """The survey with what ``DEVICES`` prints, split at the zero bytes, and of each path its record, the
    bytes that it occupies, and what is the same for all names of a file; that is empty if it has one name.
    GuestError if the appliance did not run the script.

    A file with several names is counted with the first one.
    """
    try:
        listed, blocks, numbers = parts
        devices = json.loads(blocks.decode("utf-8", "surrogateescape") or "{}").get("blockdevices", [])
    except (ValueError, AttributeError) as error:
        raise GuestError("the appliance cannot list the guest's files and disks") from error
    files: list[FileRecord] = []
    occupied: dict[str, int] = {}
    counted: set[bytes] = set()
    for one, size, place in sorted(found):
        files.append(one)
        if place not in counted:
            occupied[one.path] = size
            counted |= {place} if place else set()
    return Survey(
        tuple(files),
        occupied,
        devices,
        disks(listed.decode()),
        {(name, what): int(value) for name, what, value in _NUMBER.findall(numbers.decode())},
    )


def is_digested(one: FileRecord) -> bool:
    """Whether ``SCRIPT`` digests a file."""
    return (
        one.kind == "f"
        and one.path.startswith("/etc/")
        and one.size <= _LARGEST_READ
        and one.mode & _READABLE_BY_ALL == _READABLE_BY_ALL
    )


def with_digests(found: Survey, output: bytes) -> Survey:
    """The survey with the digests in the output of ``DIGESTS``."""
    digests = _digests(output.split(b"\0")[:-1])
    return replace(found, files=tuple(one._replace(sha256=digests.get(one.path, one.sha256)) for one in found.files))


def _digests(lines: list[bytes]) -> dict[str, str]:
    return {_path(name): digest.decode() for digest, _, name in (one.partition(b"  ") for one in lines)}


def _files(
    fields: list[bytes], capabilities: dict[str, str], digests: dict[str, str]
) -> Iterator[tuple[FileRecord, int, bytes]]:
    for record, path, target in _threes(fields):
        kind, mode, uid, gid, size, blocks, names, place = record.split(b" ", 7)
        one = FileRecord(
            _path(path),
            kind.decode(),
            int(mode, 8),
            int(uid),
            int(gid),
            int(size) if kind == b"f" else 0,
            target.decode("utf-8", "surrogateescape"),
        )
        if kind == b"f" and (one.path in capabilities or one.path in digests):
            one = one._replace(capabilities=capabilities.get(one.path, ""), sha256=digests.get(one.path, ""))
        yield one, int(blocks) * _BLOCK, b"" if kind == b"d" or names == b"1" else place


def _threes(fields: list[bytes]) -> Iterator[tuple[bytes, bytes, bytes]]:
    values = iter(fields)
    return zip(values, values, values, strict=False)


def _path(name: bytes) -> str:
    return "/" + name.decode("utf-8", "surrogateescape").removeprefix("./")


def _unescaped(name: bytes) -> bytes:
    """A name as getfattr writes it: special characters as three octal digits (getfattr(1))."""
    return _OCTAL.sub(lambda found: bytes([int(found[1], 8) & 0xFF]), name)
