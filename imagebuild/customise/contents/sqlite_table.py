"""The rows of a table in an SQLite database file ("Database File Format", sqlite.org/fileformat2.html).

The file is a guest's, so it may be anything: SQLite itself is not used on it. Only what a table of
blobs needs is supported.
"""

from __future__ import annotations

from collections.abc import Iterator

_MAGIC = b"SQLite format 3\0"
_INTERIOR, _LEAF = 0x05, 0x0D
_HEADER = 100
_SIZES = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 7: 8, 8: 0, 9: 0}
"""The bytes of a value by its serial type, below 12."""
Value = bytes | int | None


class DamagedDatabaseError(ValueError):
    """A file is no such database, or it is damaged."""


def rows(database: bytes, table: str) -> Iterator[tuple[Value, ...]]:
    """The rows of a table; texts are bytes. DamagedDatabaseError if there is no such table."""
    try:
        pages = _Pages(database)
        for row in pages.rows(1):
            if row[:2] == (b"table", table.encode()) and isinstance(row[3], int):
                yield from pages.rows(row[3])
                return
    except (IndexError, ValueError) as error:
        raise DamagedDatabaseError(f"the database is damaged: {error}") from error
    raise DamagedDatabaseError(f"the database has no table {table}")


class _Pages:
    """The pages of a database, numbered from 1."""

    def __init__(self, database: bytes) -> None:
        if not database.startswith(_MAGIC) or len(database) < _HEADER:
            raise DamagedDatabaseError("it does not begin like one")
        size = int.from_bytes(database[16:18], "big")
        self._data = memoryview(database)
        self._left = len(database)
        self._size = 65536 if size == 1 else size
        self._usable = self._size - database[20]
        if self._size < 512 or self._usable < 480:
            raise DamagedDatabaseError("its pages have an impossible size")

    def _page(self, number: int) -> memoryview:
        page = self._data[(number - 1) * self._size : number * self._size] if number > 0 else self._data[:0]
        if len(page) < self._size:
            raise DamagedDatabaseError("a page is missing")
        return page

    def rows(self, root: int) -> Iterator[tuple[Value, ...]]:
        """The rows of the table whose first page is ``root``, in their order."""
        waiting, seen = [root], set()
        while waiting:
            number = waiting.pop()
            if number in seen:
                raise DamagedDatabaseError("its pages form a circle")
            seen.add(number)
            page = self._page(number)
            start = _HEADER if number == 1 else 0
            kind, count = page[start], _number(page[start + 3 : start + 5])
            head = start + (12 if kind == _INTERIOR else 8)
            cells = [_number(page[head + 2 * at : head + 2 * at + 2]) for at in range(count)]
            if kind == _LEAF:
                for cell in cells:
                    yield _record(self._payload(page, cell))
            elif kind == _INTERIOR:
                children = [_number(page[cell : cell + 4]) for cell in cells]
                waiting += reversed([*children, _number(page[start + 8 : start + 12])])
            else:
                raise DamagedDatabaseError("a page is no part of a table")

    def _payload(self, page: memoryview, cell: int) -> bytes:
        """The content of a cell of a leaf, with what is on overflow pages."""
        size, at = _varint(page, cell)
        _, at = _varint(page, at)
        self._left -= size
        if self._left < 0:  # also if several rows claim the same pages
            raise DamagedDatabaseError("its rows are larger than the database")
        local = self._local(size)
        parts, left = [bytes(page[at : at + local])], size - local
        following = _number(page[at + local : at + local + 4]) if left else 0
        while left > 0:
            overflow = self._page(following)
            following = _number(overflow[:4])
            part = bytes(overflow[4 : 4 + min(left, self._usable - 4)])
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def _local(self, size: int) -> int:
        """How much of a payload is on the leaf itself: section 1.6 of the specification."""
        most = self._usable - 35
        if size <= most:
            return size
        least = (self._usable - 12) * 32 // 255 - 23
        found = least + (size - least) % (self._usable - 4)
        return found if found <= most else least


def _record(payload: bytes) -> tuple[Value, ...]:
    data = memoryview(payload)
    length, at = _varint(data, 0)
    kinds = []
    while at < length:
        kind, at = _varint(data, at)
        kinds.append(kind)
    found: list[Value] = []
    for kind in kinds:
        size = (kind - 12) // 2 if kind >= 12 else _SIZES.get(kind, 0)
        content = bytes(data[at : at + size])
        if len(content) < size:
            raise DamagedDatabaseError("a row is truncated")
        at += size
        found.append(content if kind >= 12 else None if kind == 0 else _integer(kind, content))
    return tuple(found)


def _integer(kind: int, content: bytes) -> int:
    return kind - 8 if kind in (8, 9) else int.from_bytes(content, "big", signed=True)


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number of one to nine bytes, and where it ends."""
    value = 0
    for index in range(9):
        byte = data[at + index]
        if index == 8:
            return value << 8 | byte, at + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + index + 1
    raise AssertionError


def _number(data: memoryview) -> int:
    return int.from_bytes(data, "big")
