"""Adds the files of further packages to an installed guest.

A recipe may share an installed disk with others (``imagebuild.kickstrap.shared``). What its own packages
have in addition is a tar archive with a description of what its files replace. Everything is compared
with the guest before anything is changed: a file that the installation has changed, too, means that the
recipe needs a disk of its own. Accounts are merged, because both may create some.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from imagebuild import files as host_files
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.files import Files

_LISTS = ("passwd", "group", "shadow", "gshadow", "subuid", "subgid")
ACCOUNTS = frozenset(f"/etc/{name}{backup}" for name in _LISTS for backup in ("", "-"))
"""Files with one entry on each line, whose first field is a name: passwd(5) and its kind."""
_LIMIT = 1 << 20
"""Bytes of a file with accounts."""
_KINDS = """\
for path; do
    if [ -L "$path" ]; then printf 'link %s\\0' "$(readlink "$path" | base64 -w0)"
    elif [ -f "$path" ]; then printf 'file %s\\0' "$(sha256sum <"$path" | cut -c1-64)"
    elif [ -e "$path" ]; then printf 'other\\0'
    else printf 'nothing\\0'; fi
done"""


class GuestDiffers(GuestError):
    """The guest's files are not those that the additions were made for."""


@dataclass(frozen=True)
class AccountFile:
    """A file with accounts: its text in the root archive that the guest was installed from, and in the
    one with all packages.
    """

    path: str
    before: str = field(repr=False)
    after: str = field(repr=False)


@dataclass(frozen=True)
class Additions:
    """``replaced`` and ``removed`` have the SHA-256 of each file, or where a link points, before; empty
    for what is neither. ``added`` must not be there yet.
    """

    replaced: dict[str, str]
    added: tuple[str, ...]
    removed: dict[str, str]
    accounts: tuple[AccountFile, ...] = ()


def absolute(name: str) -> str:
    """The path in the guest of a member of a root archive."""
    return f"/{name.removeprefix('./').strip('/')}"


def apply(files: Files, archive: Path, description: Path) -> None:
    """Add ``archive`` to the guest. Raises GuestDiffers before anything is changed if the guest has other
    files than ``description`` says, and GuestError.
    """
    wanted = host_files.read_record(description, Additions)
    merged = {one.path: _merged(one, files) for one in wanted.accounts}
    _compare(files, wanted)
    files.unpack(archive)
    for path, text in merged.items():
        files.write(path, text.encode("utf-8", "surrogateescape"))
    if wanted.removed:
        # what is in a folder goes before the folder
        left = files.remove(sorted(wanted.removed, reverse=True))
        if left:
            path, why = next(iter(left.items()))
            raise GuestError(f"{path} cannot be removed: {why}")


def _compare(files: Files, wanted: Additions) -> None:
    there = {**wanted.replaced, **wanted.removed}
    expected = {path: content for path, content in there.items() if content and path not in ACCOUNTS}
    expected |= dict.fromkeys(wanted.added, "nothing")
    if not expected:
        return
    paths = sorted(expected)
    words = files.appliance_output(_KINDS, paths).split(b"\0")
    for path, word in zip(paths, words, strict=False):
        if _seen(word.decode()) != expected[path]:
            raise GuestDiffers(f"the installation has changed {path}, which further packages replace")


def _seen(word: str) -> str:
    """What ``_KINDS`` says about a file, as ``Additions`` does."""
    kind, _, value = word.partition(" ")
    if kind == "link":
        return base64.b64decode(value).decode("utf-8", "surrogateescape").removesuffix("\n")
    return value if kind == "file" else kind


def _merged(one: AccountFile, files: Files) -> str:
    if files.stat(one.path) is None:
        raise GuestDiffers(f"the installation has removed {one.path}")
    return merged(one, files.read(one.path, _LIMIT).decode("utf-8", "surrogateescape"))


def merged(one: AccountFile, now: str) -> str:
    """The text ``now`` of a file with accounts, with what further packages have changed in it.

    Their accounts are at the place where they would be without the installation's; an entry that both
    have changed raises GuestDiffers.
    """
    before, after, current = (_entries(text) for text in (one.before, one.after, now))
    result: dict[str, str] = {}
    for name, line in after.items():
        if name not in before:
            if name in current:
                raise GuestDiffers(f"the installation has created {name} in {one.path}, and a package does, too")
            result[name] = line
        elif name in current:
            by_package = not _same(one.path, before[name], line)
            if by_package and current[name] not in (before[name], line):
                raise GuestDiffers(f"the installation has changed {name} in {one.path}, and a package does, too")
            result[name] = line if by_package else current[name]
    # those that the installation has created
    result |= {name: line for name, line in current.items() if name not in before and name not in result}
    _check_numbers(one.path, result, current.keys() - before.keys())
    return "".join(f"{line}\n" for line in result.values())


def _same(path: str, one: str, other: str) -> bool:
    """Whether two entries are equal, except for the day on which a password was set: that is the day of
    the newest package.
    """
    if not path.startswith("/etc/shadow"):
        return one == other
    first, second = one.split(":"), other.split(":")
    return [*first[:2], *first[3:]] == [*second[:2], *second[3:]]


def _entries(text: str) -> dict[str, str]:
    return {line.partition(":")[0]: line for line in text.splitlines() if line}


def _check_numbers(path: str, entries: Mapping[str, str], created: set[str]) -> None:
    """Raise GuestDiffers if an account that the installation has created has the number of another one."""
    if not path.rstrip("-").endswith(("/passwd", "/group")):
        return
    numbers = {name: line.split(":")[2] for name, line in entries.items() if line.count(":") > 2}
    for name in created & numbers.keys():
        if any(other != name and number == numbers[name] for other, number in numbers.items()):
            raise GuestDiffers(f"{name} has the number of another account in {path}")
