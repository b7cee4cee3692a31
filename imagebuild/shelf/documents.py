"""The documents of a shelf: all indexes and checksums, signed if there is a key."""

from __future__ import annotations

import hashlib
from pathlib import Path

from imagebuild.host.gpg import SigningKey
from imagebuild.shelf import streams, virt_builder
from imagebuild.shelf.on_disk import IMAGES, Shelf
from imagebuild.shelf.record import ShelfRecord, ShelvedFile

INDEX = "index"
CHECKSUMS = "SHA256SUMS"
PUBLIC_KEY = "key.asc"
_SIGNED = (streams.signed(streams.INDEX), streams.signed(streams.PRODUCTS), f"{CHECKSUMS}.asc", f"{INDEX}.asc")


def described(item: str, content: bytes) -> ShelvedFile:
    """A small file, whose name is not known yet."""
    return ShelvedFile(item, "", len(content), hashlib.sha256(content).hexdigest(), hashlib.sha512(content).hexdigest())


def checksums(record: ShelfRecord) -> str:
    """The text for ``sha256sum -c SHA256SUMS``, sha256sum(1)."""
    return "".join(f"{file.sha256}  {IMAGES}/{file.name}\n" for file in sorted(record.files, key=lambda one: one.name))


def texts(record: ShelfRecord) -> dict[str, tuple[str, str]]:
    """For each document the text of its plain and of its signed variant, in the order in which they are
    replaced: what names another document comes after it.
    """
    products = streams.products(record, IMAGES)
    return {
        streams.PRODUCTS: (products, products),
        streams.INDEX: (streams.index(record), streams.index(record, streams.signed(streams.PRODUCTS))),
        CHECKSUMS: (checksums(record),) * 2,
        INDEX: (virt_builder.index(record, IMAGES),) * 2,
    }


def write(shelf: Shelf, record: ShelfRecord, key: SigningKey | None) -> list[tuple[Path, str]]:
    """Write all documents to ``incoming``; returns each with its final name, in the order in which they
    are to be replaced.
    """
    written = []
    for number, (name, (plain, text)) in enumerate(texts(record).items()):
        written.append((shelf.write(f"{number}.plain", plain), name))
        if key is not None:
            result = shelf.incoming / f"{number}.signed"
            key.clear_sign(shelf.write(f"{number}.text", text), result)
            written.append((result, streams.signed(name) if name.endswith(".json") else f"{name}.asc"))
    if key is not None:
        public = shelf.incoming / PUBLIC_KEY
        key.public(public)
        written.insert(0, (public, PUBLIC_KEY))
    return written


def remove_signed(shelf: Shelf) -> None:
    """Remove the signed documents of a shelf that has no signatures any more."""
    for name in (*_SIGNED, PUBLIC_KEY):
        shelf.remove(name)
