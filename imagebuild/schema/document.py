"""The content of a recipe file as plain values, with the file and line of every key and value."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from imagebuild.errors import Problem

Key = str | int
Route = tuple[Key, ...]
"""The path of a value in a document: ("vm", "memory"), ("packages", 0)."""

MAX_BYTES = 1024 * 1024
MAX_VALUES = 20_000
"""The limit of values that a recipe may expand to; an alias bomb exceeds it quickly."""
MAX_DEPTH = 50
"""The limit of nested mappings and lists."""


class WrittenInt(int):
    """A whole number that remembers how it was written."""

    written: str

    def __new__(cls, value: int, written: str) -> WrittenInt:
        number = super().__new__(cls, value)
        number.written = written
        return number


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a value is written: its file, the line of its key, the line of the value itself."""

    file: str
    key: int
    value: int


@dataclass(frozen=True, slots=True)
class Value:
    """A value with its mark, and the values inside it. Values are immutable, so documents can share
    them.

    ``data`` is the plain value: text, WrittenInt, bool, None, or a dict or list of these. ``inner``
    holds the parts of a mapping or a list. ``size`` counts the values including this one,
    ``length`` the characters of all text. ``refers`` says whether a text in it may refer to a
    variable.
    """

    data: Any
    mark: Mark
    inner: dict[str, Value] | tuple[Value, ...] | None = None
    size: int = 1
    length: int = 0
    refers: bool = False

    @classmethod
    def mapping(cls, entries: dict[str, Value], mark: Mark) -> Value:
        data = {key: value.data for key, value in entries.items()}
        size, length, refers = _sums(entries.values())
        return cls(data, mark, entries, size, length + sum(map(len, entries)), refers)

    @classmethod
    def sequence(cls, items: tuple[Value, ...], mark: Mark) -> Value:
        data = [item.data for item in items]
        return cls(data, mark, items, *_sums(items))

    @classmethod
    def scalar(cls, data: Any, mark: Mark) -> Value:
        if isinstance(data, str):
            return cls(data, mark, None, 1, len(data), "${" in data)
        return cls(data, mark)

    @classmethod
    def of(cls, data: Any, mark: Mark) -> Value:
        """A plain value as a Value, with the same mark everywhere."""
        if isinstance(data, dict):
            return cls.mapping({key: cls.of(inner, mark) for key, inner in data.items()}, mark)
        if isinstance(data, list | tuple):
            return cls.sequence(tuple(cls.of(item, mark) for item in data), mark)
        return cls.scalar(data, mark)

    @property
    def entries(self) -> Mapping[str, Value]:
        """The entries of a mapping; none for anything else."""
        return self.inner if isinstance(self.inner, dict) else {}

    @property
    def items(self) -> tuple[Value, ...]:
        """The items of a list; none for anything else."""
        return self.inner if isinstance(self.inner, tuple) else ()

    def at(self, mark: Mark) -> Value:
        """The same value with another mark."""
        return Value(self.data, mark, self.inner, self.size, self.length, self.refers)

    def excess(self) -> str | None:
        """What exceeds the limits of a recipe, if anything."""
        if self.size > MAX_VALUES:
            return f"more than {MAX_VALUES} values"
        return f"more than {MAX_BYTES // 1024} KiB of text" if self.length > MAX_BYTES else None


def _sums(inner: Collection[Value]) -> tuple[int, int, bool]:
    """``size``, ``length`` and ``refers`` of a value that contains ``inner``."""
    return 1 + sum(v.size for v in inner), sum(v.length for v in inner), any(v.refers for v in inner)


@dataclass(frozen=True)
class Document:
    """The content of a file with its marks. ``root`` is None if the file is empty."""

    file: str
    root: Value | None = None
    problems: tuple[Problem, ...] = field(default=())

    @classmethod
    def of(cls, file: str, data: Any) -> Document:
        """A document of plain values, as if all of it were in the first line of ``file``."""
        return cls(file, Value.of(data, Mark(file, 1, 1)))

    @property
    def data(self) -> Any:
        """The whole document as a plain value."""
        return None if self.root is None else self.root.data

    def mark(self, route: Route) -> Mark:
        """The mark of the value at ``route``, or of the nearest enclosing value."""
        mark = Mark(self.file, 1, 1)
        value = self.root
        for step in (None, *route):
            value = value if step is None else _inner(value, step)
            if value is None:
                break
            mark = value.mark
        return mark

    def value(self, route: Route) -> Value | None:
        """The value at ``route``."""
        value = self.root
        for step in route:
            value = _inner(value, step)
        return value


def _inner(value: Value | None, step: Key) -> Value | None:
    if value is None:
        return None
    if isinstance(step, int):
        return value.items[step] if 0 <= step < len(value.items) else None
    return value.entries.get(step)


def dotted(route: Route) -> str:
    """A route in readable form: ``operations[2].remove-udev-rules``."""
    text = ""
    for step in route:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text
