"""Reading an rpm database without rpm: databases that SQLite wrote, and damaged ones."""

from __future__ import annotations

import random
import sqlite3
import struct
from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagebuild.customise.contents import sqlite_table
from imagebuild.customise.contents.rpm_packages import packages
from imagebuild.customise.contents.sqlite_table import DamagedDatabaseError


def header(name: str, version: str, release: str, epoch: int | None = None, padding: int = 0) -> bytes:
    """The header of a package as rpm stores it."""
    store, entries = b"", []
    for tag, kind, value in (
        (1000, 6, name.encode() + b"\0"),
        (1001, 6, version.encode() + b"\0"),
        (1002, 6, release.encode() + b"\0"),
        (1003, 4, struct.pack(">I", epoch or 0)),
        (1005, 6, b"d" * padding + b"\0"),
    ):
        if tag != 1003 or epoch is not None:
            entries.append(struct.pack(">IIII", tag, kind, len(store), 1))
            store += value
    return struct.pack(">II", len(entries), len(store)) + b"".join(entries) + store


def database(blobs: Sequence[bytes], page_size: int = 4096) -> bytes:
    """The file of a database with these headers."""
    connection = sqlite3.connect(":memory:")
    connection.execute(f"PRAGMA page_size={page_size}")
    connection.execute("CREATE TABLE Other (name TEXT)")
    connection.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)")
    connection.executemany("INSERT INTO Packages (blob) VALUES (?)", [(blob,) for blob in blobs])
    connection.commit()
    content = connection.serialize()
    connection.close()
    return content


SMALL = database([header(f"p{number}", "1", "1", padding=number * 50) for number in range(60)], 1024)


@pytest.mark.parametrize("page_size", [512, 4096, 65536])
def test_every_package(page_size: int) -> None:
    wanted = {f"package{number}": f"{number}.0-1.el9" for number in range(400)}
    sizes = random.Random(1)
    blobs = [
        header(name, *version.split("-"), padding=sizes.choice((0, 300, 5000, 90000)))
        for name, version in wanted.items()
    ]
    blobs += [header("bind", "9.16", "2", 32), header("gpg-pubkey", "1", "2")]
    assert packages(database(blobs, page_size)) == wanted | {"bind": "32:9.16-2"}


def test_no_packages() -> None:
    assert packages(database([])) == {}


@pytest.mark.parametrize("blob", [b"", b"\xff" * 100, header("a", "1", "2")[:-1], struct.pack(">II", 0, 0)])
def test_damaged_headers(blob: bytes) -> None:
    with pytest.raises(DamagedDatabaseError, match="header"):
        packages(database([blob]))


def test_what_is_no_database() -> None:
    for content in (b"", b"SQLite format 3\0", bytes(4096)):
        with pytest.raises(DamagedDatabaseError):
            packages(content)


def test_a_database_without_the_table() -> None:
    content = database([]).replace(b"Packages", b"Pockages")
    with pytest.raises(DamagedDatabaseError, match="no table Packages"):
        packages(content)


def test_pages_in_a_circle() -> None:
    content = bytearray(database([header(f"p{n}", "1", "1", padding=200) for n in range(300)], 512))
    interior = next(at for at in range(512, len(content), 512) if content[at] == 0x05)
    content[interior + 8 : interior + 12] = (interior // 512 + 1).to_bytes(4, "big")
    with pytest.raises(DamagedDatabaseError, match="circle"):
        packages(bytes(content))


@given(st.lists(st.tuples(st.integers(0, 20000), st.integers(0, 255)), min_size=1, max_size=30))
def test_random_damage_is_an_error_or_nothing(changes: list[tuple[int, int]]) -> None:
    content = bytearray(SMALL)
    for at, byte in changes:
        content[at % len(content)] = byte
    with suppress(DamagedDatabaseError):
        list(sqlite_table.rows(bytes(content), "Packages"))


def test_rows_that_claim_the_same_pages() -> None:
    content = bytearray(database([header(name, "1", "1", padding=200_000) for name in "abcdefgh"], 512))
    chains = [at for at in range(512, len(content), 512) if content[at] == 0x0D]
    for at in chains[1:]:
        content[at : at + 512] = content[chains[0] : chains[0] + 512]
    with suppress(DamagedDatabaseError):
        assert len(packages(bytes(content))) <= 8
