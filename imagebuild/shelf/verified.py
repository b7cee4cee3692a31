"""Checks a shelf as its clients get it: who signed its indexes, whether its files are those, and whether
it is older than what was seen before.

virt-builder and simplestreams check signatures, but remember nothing: whoever can replace the files that
a server sends can offer an older shelf, signed correctly at its time. The shelf may be anybody's: nothing
of an index is used before its signature is valid, and only names of files of a shelf are opened.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from imagebuild import fetch
from imagebuild.errors import ImageBuildError, UsageError
from imagebuild.host import gpgv
from imagebuild.printable import one_line
from imagebuild.progress import SILENT, Progress
from imagebuild.shelf import streams
from imagebuild.shelf.documents import CHECKSUMS, INDEX
from imagebuild.shelf.on_disk import IMAGES
from imagebuild.shelf.record import is_file_name
from imagebuild.store import beside
from imagebuild.trust import memory
from imagebuild.trust.keys import Policy, VerificationKey
from imagebuild.trust.signatures import NotTrusted

_LARGEST = 16 << 20
_REVISIONS = "revisions"
_SECTION = re.compile(r"\[([-A-Za-z0-9._]+)\]")
_LINE = re.compile(rf"([0-9a-f]{{64}})  {IMAGES}/([A-Za-z0-9._-]+)")
_SIGNED = (
    (f"{INDEX}.asc", INDEX),
    (f"{CHECKSUMS}.asc", CHECKSUMS),
    (streams.signed(streams.INDEX), ""),
    (streams.signed(streams.PRODUCTS), streams.PRODUCTS),
)
"""Signed documents, each with the plain one that says the same."""


@dataclass(frozen=True)
class OfferedTemplate:
    """A template in virt-builder's index: its current image, and its revision, which rises."""

    name: str
    revision: int
    image: str


@dataclass(frozen=True)
class VerifiedShelf:
    """What was checked: ``key`` is the name of the key that signed everything, ``files`` counts the files
    that were read and have the signed digests, ``unread`` those that were not read."""

    key: str
    templates: tuple[OfferedTemplate, ...]
    files: int
    unread: int


def verify(
    where: str, accepted: Policy, *, seen: Mapping[str, int], today: date | None = None, progress: Progress = SILENT
) -> VerifiedShelf:
    """Check the shelf in a folder, or at an address (``https://…``), of which only the indexes are read.

    ``seen`` is template → newest revision that was seen. Raises NotTrusted with one sentence, UsageError
    without an OpenPGP key, HostError if the shelf cannot be read.
    """
    remote = where.startswith(("http://", "https://"))
    get = _of_url(where) if remote else _of_folder(Path(where))
    keys = [one for one in accepted.keys if one.openpgp]
    if not keys:
        raise UsageError(
            "there is no OpenPGP key to check the shelf with",
            "give the public key of the shelf, its key.asc by a way that you trust, with --key",
        )
    shelf = _Verification(where, get, keys, today or datetime.now(UTC).date())
    texts = {name: shelf.signed(name, plain) for name, plain in _SIGNED}
    templates = shelf.offered(texts[f"{INDEX}.asc"])
    for one in templates:
        if one.revision < seen.get(one.name, 0):
            raise shelf.refused(
                f"it offers revision {one.revision} of {one.name}, and revision {seen[one.name]} was seen before",
                "an old index may have been put in the place of a new one",
            )
    digests = shelf.listed(texts[f"{CHECKSUMS}.asc"])
    if missing := [one.image for one in templates if one.image not in digests]:
        raise shelf.refused(f"{INDEX} names {missing[0]}, which {CHECKSUMS} does not list")
    if remote:
        return VerifiedShelf(shelf.key, templates, 0, len(digests))
    for number, (name, digest) in enumerate(digests.items()):
        progress.update(f"reading {name}", number / len(digests))
        shelf.check_file(Path(where) / IMAGES / name, digest)
    return VerifiedShelf(shelf.key, templates, len(digests), 0)


class _Verification:
    def __init__(
        self, where: str, get: Callable[[str], bytes | None], keys: Sequence[VerificationKey], today: date
    ) -> None:
        self._where, self._get, self._keys, self._today = where, get, keys, today
        self.key = ""

    def refused(self, why: str, hint: str | None = None) -> NotTrusted:
        return NotTrusted(one_line(f"the shelf {self._where} cannot be trusted: {why}"), hint)

    def signed(self, name: str, plain: str) -> str:
        """The text of a signed document, by the key that signed the others."""
        content = self._get(name)
        if content is None:
            raise self.refused(f"it is not signed: there is no {name}", "`imagebuild shelf build --sign` signs it")
        text, key = self._opened(name, content)
        if self.key and key.name != self.key:
            raise self.refused(f"{name} is signed by {key.name}, and other indexes by {self.key}")
        self.key = key.name
        unsigned = self._get(plain) if plain else None
        if unsigned is not None and unsigned.rstrip() != text.rstrip():
            raise self.refused(f"{plain} does not say what {name} says", "clients that check no signature read it")
        return text.decode("utf-8", "replace")

    def _opened(self, name: str, content: bytes) -> tuple[bytes, VerificationKey]:
        why = ""
        for key in self._keys:
            try:
                text = gpgv.signed_inside(content, key.openpgp)
            except ImageBuildError as error:
                # what only says that another key has signed is of less interest
                why = error.message if not why or "invalid" in error.message else why
                continue
            if refusal := key.refusal(self._today):
                raise self.refused(refusal)
            return text, key
        raise self.refused(f"{name}: {why}")

    def offered(self, text: str) -> tuple[OfferedTemplate, ...]:
        """The current templates of virt-builder's index; hidden ones are older versions."""
        found, name = [], ""
        fields: dict[str, str] = {}
        for line in [*text.splitlines(), "[end]"]:
            if section := _SECTION.fullmatch(line):
                if name and fields.get("hidden") != "true":
                    found.append(self._template(name, fields))
                name, fields = section[1], {}
            elif not line.startswith((" ", "\t")) and "=" in line:
                key, _, value = line.partition("=")
                fields[key] = value
        return tuple(found)

    def _template(self, name: str, fields: Mapping[str, str]) -> OfferedTemplate:
        folder, _, image = fields.get("file", "").rpartition("/")
        revision = fields.get("revision", "")
        if folder != IMAGES or not is_file_name(image) or not re.fullmatch(r"[0-9]{1,15}", revision):
            raise self.refused(f"{INDEX} has no image and revision for {name}, as a shelf's has")
        return OfferedTemplate(name, int(revision), image)

    def listed(self, text: str) -> dict[str, str]:
        """Name → SHA-256 of all files."""
        found = {}
        for line in text.splitlines():
            match = _LINE.fullmatch(line)
            if match is None or not is_file_name(match[2]):
                raise self.refused(f"{CHECKSUMS} is not as a shelf's: {line[:100]}")
            found[match[2]] = match[1]
        return found

    def check_file(self, path: Path, digest: str) -> None:
        """Refuse a file that is missing, or has other bytes."""
        if path.is_symlink() or not path.is_file():
            raise self.refused(f"{path.name} is missing", "get the shelf again; copy images first and indexes last")
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise self.refused(f"{path.name} was changed after it was signed")


def _of_folder(folder: Path) -> Callable[[str], bytes | None]:
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}", "give the folder of a shelf, or its address: https://…")

    def get(name: str) -> bytes | None:
        try:
            return beside.content_of(folder / name, _LARGEST)
        except ValueError as error:
            raise NotTrusted(f"{folder / name} cannot be used: {error}") from error

    return get


def _of_url(address: str) -> Callable[[str], bytes | None]:
    def get(name: str) -> bytes | None:
        try:
            return fetch.text(f"{address.rstrip('/')}/{name}", largest=_LARGEST)
        except fetch.NotThere:
            return None

    return get


def seen(path: Path) -> dict[str, int]:
    """Template → newest revision, from a file that need not exist. Raises UsageError for one that is damaged."""
    return memory.read(path, _REVISIONS, int)


def remember(path: Path, shelf: VerifiedShelf) -> None:
    """Write the revisions of a shelf to the file; those of templates that it does not have stay."""
    known = seen(path)
    new = known | {one.name: one.revision for one in shelf.templates}
    if new != known or not path.exists():
        memory.write(path, _REVISIONS, new)
