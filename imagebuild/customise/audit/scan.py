"""What an audit finds in a guest's files in addition to the operations: one search for everything,
followed by an inspection of the matching files."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imagebuild.customise.audit import (
    CREDENTIALS,
    IDENTITIES,
    LIMITS,
    PRIVATE_KEYS,
    archives,
    credentials,
    private_keys,
    rules,
    scanned_folders,
)
from imagebuild.customise.audit.identities import Identity
from imagebuild.errors import GuestError
from imagebuild.schema.customised import Change

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

_MOST = 4 << 20
"""The size in bytes up to which a file is inspected."""
_MOST_FILES = 5000
_LARGEST_IMAGE = 256 << 20
_IMAGES = ("/boot/init*", "/boot/efi/*/init*", "/efi/*/init*", "/boot/*/*/initrd")
_COMMON = 25
"""The number of files up to which a name chosen by somebody counts as a name. If it is in more
files, it is an ordinary word."""


@dataclass
class _Report:
    """Findings by kind, each path and text once."""

    found: dict[str, list[Change]] = field(default_factory=dict)

    def add(self, kind: str, path: str, what: str) -> None:
        changes = self.found.setdefault(kind, [])
        path = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        if (change := Change(path, what)) not in changes:
            changes.append(change)

    def has(self, kind: str, path: str) -> bool:
        """Whether there is a finding of this kind at a path."""
        return any(change.path == path for change in self.found.get(kind, ()))


def look(guest: Guest, known: Sequence[Identity]) -> dict[str, list[Change]]:
    """Which of ``known`` are still in the guest, and its private keys and credentials. Changes
    nothing."""
    report = _Report()
    names, contents, links, complete = _searched(guest, known)
    if not complete:
        report.add(
            LIMITS, "/", "not all files could be inspected: there are too many to list, or the file system is damaged"
        )
    for path in scanned_folders.layers(guest):
        report.add(LIMITS, path, "not inspected: it contains other systems")
    images = list(dict.fromkeys(path for path in map(guest.real_file, guest.glob(*_IMAGES)) if path))
    by_name = [path for path in names if any(rule.name and rules.fits(rule.name, path) for rule in credentials.RULES)]
    by_name = [path for path in by_name if _is_filled(guest, path)]
    hit = [path for path in dict.fromkeys([*contents, *by_name]) if path not in images]
    if len(hit) > _MOST_FILES:
        report.add(LIMITS, "/", f"only {_MOST_FILES} of {len(hit)} files with possible findings were inspected")
    for path in hit[:_MOST_FILES]:
        content = _content(guest, path)
        if content is None:
            if path.isprintable():
                report.add(LIMITS, path, "not inspected: it cannot be read")
            else:
                report.add(
                    CREDENTIALS,
                    path,
                    "contains an identity or a secret; it was not inspected further because of its unprintable name",
                )
            continue
        _look_for_identities(path, content, known, report)
        _look_for_secrets(path, content, report)
    _look_at_names(guest, names, links, known, report)
    for change in credentials.referred(guest):
        if not report.has(CREDENTIALS, change.path):
            report.add(CREDENTIALS, change.path, change.what)
    for path in images:
        _look_into_image(guest, path, known, report)
    _sort_out(report)
    return report.found


def _searched(guest: Guest, known: Sequence[Identity]) -> tuple[list[str], list[str], list[tuple[str, str]], bool]:
    """Matches by file name, matches by content, and links; in all folders, including those that
    links lead to."""
    texts = [rules.literal(text.encode()) for one in known for text in one.spellings]
    patterns = (*private_keys.RULES, *credentials.RULES)
    texts += [rule.text for rule in patterns if not rule.name]
    named = [text for one in known for text in one.spellings if "/" not in text and "\n" not in text]
    named = [f".*{_literal(text)}.*" for text in named]
    named += [one.name for one in (*private_keys.NAMES, *credentials.NAMES)]
    named += [rule.name for rule in patterns if rule.name]
    # A single part of a path contains no slash; find compares the whole path.
    name = "|".join(named).replace(".*", "[^/]*")
    folders = scanned_folders.folders(guest)
    names: list[str] = []
    contents: list[str] = []
    links: list[tuple[str, str]] = []
    complete = True
    seen: list[str] = []
    while folders:
        found = guest.search(folders, texts, name, scanned_folders.LAYERS)
        names += found.names
        contents += found.contents
        links += found.links
        complete = complete and found.complete
        seen += folders
        folders = scanned_folders.beyond(guest, found.links, seen)
    return names, contents, links, complete


def _literal(text: str) -> str:
    return rules.literal(text.encode()).decode()


def _is_filled(guest: Guest, path: str) -> bool:
    """Whether there is a file that is not empty. A file that cannot be inspected counts as one."""
    try:
        entry = guest.stat(path)
    except (GuestError, UnicodeError):
        return True
    return entry is not None and entry.kind == "file" and entry.size > 0


def _content(guest: Guest, path: str) -> bytes | None:
    try:
        return guest.read_bytes(path, _MOST)
    except (GuestError, UnicodeError):
        return None


def _look_at_names(
    guest: Guest, names: Sequence[str], links: Sequence[tuple[str, str]], known: Sequence[Identity], report: _Report
) -> None:
    kinds = [(PRIVATE_KEYS, private_keys.NAMES), (CREDENTIALS, credentials.NAMES)]
    for path in names:
        last = posixpath.basename(path).encode("utf-8", "surrogateescape")
        for identity in known:
            if identity.pattern.search(last):
                report.add(IDENTITIES, path, f"{identity.what} in its name")
        for kind, patterns in kinds:
            for secret in patterns:
                known_already = report.has(kind, path) or scanned_folders.is_sample(path)
                if secret.is_at(path) and not known_already and _is_filled(guest, path):
                    report.add(kind, path, secret.what)
    for path, target in links:
        for one in known:
            if one.pattern.search(target.encode("utf-8", "surrogateescape")):
                report.add(IDENTITIES, path, f"{one.what} in the target of the link")


def _look_for_identities(
    path: str, content: bytes, known: Sequence[Identity], report: _Report, inside: str = ""
) -> None:
    binary = b"\0" in content
    for one in known:
        match = None if binary and one.name else one.pattern.search(content)
        if match:
            number = content.count(b"\n", 0, match.start()) + 1
            line = "" if binary else f" in line {number}"
            report.add(IDENTITIES, path, f"{one.what}{line}{inside}")


def _look_for_secrets(path: str, content: bytes, report: _Report) -> None:
    if scanned_folders.is_sample(path):
        return
    for kind, known in ((PRIVATE_KEYS, private_keys.RULES), (CREDENTIALS, credentials.RULES)):
        for what in rules.found_in(known, path, content):
            report.add(kind, path, what)


def _look_into_image(guest: Guest, path: str, known: Sequence[Identity], report: _Report) -> None:
    """The texts in an initramfs. Its contents are in the memory of every clone until the root file
    system is mounted, and are also in a backup of /boot."""
    if guest.size(path) > _LARGEST_IMAGE:
        report.add(LIMITS, path, "not inspected: this initramfs is too large")
        return
    try:
        for name, content in archives.texts(guest.read_bytes(path, _LARGEST_IMAGE)):
            place = f"/{name.lstrip('./')}"
            for one in known:
                if one.pattern.search(posixpath.basename(name).encode("utf-8", "surrogateescape")):
                    report.add(IDENTITIES, path, f"{one.what} in the name of {place} in the initramfs")
            if content:
                _look_for_identities(path, content, known, report, f" of {place} in the initramfs")
                for kind, patterns in ((PRIVATE_KEYS, private_keys.RULES), (CREDENTIALS, credentials.RULES)):
                    for what in rules.found_in(patterns, place, content):
                        report.add(kind, path, f"{what} of {place} in the initramfs")
    except GuestError as error:
        report.add(LIMITS, path, f"not inspected: {error.message}")


def _sort_out(report: _Report) -> None:
    """Drop identities that are common words."""
    found = report.found.get(IDENTITIES, [])
    for word in {what for what in map(_word, found) if what}:
        hits = [change for change in found if _word(change) == word]
        if len({change.path for change in hits}) > _COMMON:
            found = [change for change in found if change not in hits]
            report.add(LIMITS, "/", f"the hostname {word} is a common word: its {len(hits)} occurrences are not listed")
    report.found = {kind: changes for kind, changes in (report.found | {IDENTITIES: found}).items() if changes}


def _word(change: Change) -> str:
    """The hostname that a finding is about, if it consists of letters only."""
    match = re.match(r"hostname ([A-Za-z]+)(?= in )", change.what)
    return match[1] if match else ""
