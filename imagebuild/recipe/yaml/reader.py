"""Reads YAML into documents.

Scalars follow the core schema of YAML 1.2, not YAML 1.1 as PyYAML does: ``no``, ``on`` and
``12:30`` are text, ``0o17`` is a number, only ``true`` and ``false`` are booleans. A number keeps
its spelling, so that a text field gets ``3.10`` or ``007`` as written. Decimal fractions are always
text: no field needs one.

If libyaml is available, it splits the text into events about twenty times as fast as PyYAML's own
parser. What libyaml rejects is parsed again by PyYAML, whose error messages are the ones reported.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import yaml

from imagebuild.errors import Problem, RecipeError
from imagebuild.host.looked_at import note_content, note_failure, note_place
from imagebuild.schema.document import MAX_BYTES, MAX_DEPTH, Document, Mark, Route, Value, WrittenInt, dotted

if TYPE_CHECKING:
    from pathlib import Path

_TAG = "tag:yaml.org,2002:"
_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")


def read(path: Path, shown: str | None = None) -> Document:
    """Read a file; ``shown`` is its name in messages.

    Raises RecipeError if it cannot be read at all.
    """
    name = shown or str(path)

    def refuse(message: str, hint: str | None = None) -> RecipeError:
        return RecipeError([Problem(name, None, "", message, hint)])

    note_place(path)
    try:
        if path.is_dir():
            raise refuse("this is a folder, not a file", "name a file in it")
        if path.exists() and not path.is_file():
            raise refuse("this is not a regular file")
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
        note_content(path, raw)
    except FileNotFoundError as error:
        raise refuse("there is no such file") from error
    except OSError as error:
        note_failure()
        raise refuse(f"the file cannot be read: {error.strerror}") from error
    if len(raw) > MAX_BYTES:
        note_failure()
        raise refuse(f"the file is larger than {MAX_BYTES // 1024} KiB, the limit for such a file")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        problem = Problem(name, line, "", "this is not UTF-8 text", "save the file as UTF-8")
        raise RecipeError([problem]) from error
    return parse(text, name)


@lru_cache(maxsize=256)
def parse(text: str, file: str) -> Document:
    """Parse one YAML document.

    Raises RecipeError if it is not YAML; lesser problems are in the result.
    """
    if yaml.__with_libyaml__ and "\t" not in text:  # the two parsers disagree on tabs
        try:
            return _DocumentBuilder(yaml.CSafeLoader(text), file).document()
        except (yaml.YAMLError, UnicodeError):
            pass  # PyYAML's own parser raises the error that is reported
    return parse_slowly(text, file)


def parse_slowly(text: str, file: str) -> Document:
    """``parse`` without libyaml."""
    try:
        return _DocumentBuilder(yaml.SafeLoader(text), file).document()
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        message = f"the character {chr(error.character)!r} is not allowed in YAML"
        raise RecipeError([Problem(file, line, "", message)]) from error
    except yaml.MarkedYAMLError as error:
        from imagebuild.recipe.yaml import mistakes  # most files are YAML

        raise RecipeError([mistakes.explained(error, text, file)]) from error


class _DocumentBuilder:
    """Converts YAML events to values and collects problems."""

    def __init__(self, events: Any, file: str) -> None:
        self._events = events
        self._file = file
        self._problems: list[Problem] = []
        self._anchors: dict[str, Value | None] = {}
        """None: the anchored value is still being read."""

    def document(self) -> Document:
        """The only document of the stream."""
        try:
            self._events.get_event()  # the stream's start
            root = None
            if not self._events.check_event(yaml.StreamEndEvent):
                self._events.get_event()  # the document's start
                event = self._events.get_event()
                root = self._value(event, (), event.start_mark.line + 1)
                self._events.get_event()  # the document's end
                if not self._events.check_event(yaml.StreamEndEvent):
                    line = self._events.get_event().start_mark.line + 1
                    message = "the file is one YAML document, and a second one begins here"
                    raise self._refuse(line, message, "remove the line `---`")
            return Document(self._file, root, tuple(self._problems))
        finally:
            self._events.dispose()

    def _refuse(self, line: int, message: str, hint: str | None = None) -> RecipeError:
        return RecipeError([*self._problems, Problem(self._file, line, "", message, hint)])

    def _problem(self, event: Any, route: Route, message: str, hint: str | None = None) -> None:
        self._problems.append(Problem(self._file, event.start_mark.line + 1, dotted(route), message, hint))

    def _value(self, event: Any, route: Route, key_line: int) -> Value:
        line = event.start_mark.line + 1
        mark = Mark(self._file, key_line, key_line)
        if isinstance(event, yaml.ScalarEvent):
            at = Mark(self._file, key_line, line) if line > key_line and event.value else mark
            value = Value.scalar(self._scalar(event, route), at)
        elif isinstance(event, yaml.AliasEvent):
            value = self._alias(event, route).at(mark)
        elif len(route) >= MAX_DEPTH:
            raise self._refuse(line, "the values are nested too deeply")
        else:
            if event.anchor:
                self._anchors[event.anchor] = None
            collection = self._mapping if isinstance(event, yaml.MappingStartEvent) else self._sequence
            value = collection(event, route, mark)
        if excess := value.excess():
            raise self._refuse(key_line, f"the file expands to {excess}")
        if not isinstance(event, yaml.AliasEvent) and event.anchor:
            self._anchors[event.anchor] = value
        return value

    def _alias(self, event: Any, route: Route) -> Value:
        if event.anchor not in self._anchors:
            raise self._refuse(event.start_mark.line + 1, f"found undefined alias {event.anchor!r}")
        value = self._anchors[event.anchor]
        if value is None:
            self._problem(event, route, "this anchor contains itself")
            return Value(None, Mark(self._file, 1, 1))
        return value

    def _mapping(self, event: yaml.MappingStartEvent, route: Route, mark: Mark) -> Value:
        if event.tag not in (None, "!", f"{_TAG}map"):
            self._problem(event, route, f"the tag {event.tag} is not allowed here")
        entries: dict[str, Value] = {}
        while not self._events.check_event(yaml.MappingEndEvent):
            key_event = self._events.get_event()
            line = key_event.start_mark.line + 1
            key = self._key(key_event, route)
            value = self._value(self._events.get_event(), (*route, "" if key is None else key), line)
            if key == "<<":
                self._problem(key_event, route, "merge keys (<<) are not supported", "write the keys out")
            elif key is not None and key in entries:
                message = f"duplicate key {key!r}; first in line {entries[key].mark.key}"
                self._problem(key_event, (*route, key), message, "remove one of the two")
            elif key is not None:
                entries[key] = value
        self._events.get_event()
        return Value.mapping(entries, mark)

    def _key(self, event: Any, route: Route) -> str | None:
        if isinstance(event, yaml.ScalarEvent):
            return str(event.value)
        self._value(event, (*route, ""), event.start_mark.line + 1)
        self._problem(event, route, "a key must be plain text, not a list or a mapping")
        return None

    def _sequence(self, event: yaml.SequenceStartEvent, route: Route, mark: Mark) -> Value:
        if event.tag not in (None, "!", f"{_TAG}seq"):
            self._problem(event, route, f"the tag {event.tag} is not allowed here")
        items: list[Value] = []
        while not self._events.check_event(yaml.SequenceEndEvent):
            item = self._events.get_event()
            items.append(self._value(item, (*route, len(items)), item.start_mark.line + 1))
        self._events.get_event()
        return Value.sequence(tuple(items), mark)

    def _scalar(self, event: yaml.ScalarEvent, route: Route) -> Any:
        text, tag = str(event.value), event.tag
        if tag is None:
            return scalar(text) if event.implicit[0] else text
        if tag == "!":
            return text
        known, kind = scalar(text), tag.removeprefix(_TAG)
        if kind == "str":
            return text
        if kind == {type(None): "null", bool: "bool", WrittenInt: "int"}.get(type(known)):
            return known
        self._problem(event, route, f"{text!r} with the tag {tag} is not a valid value")
        return None


def scalar(text: str) -> str | WrittenInt | bool | None:
    """The value of ``text`` without quotes."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if len(text) <= 40 and _INT.fullmatch(text):
        base = 8 if text.startswith("0o") else 16 if text.startswith("0x") else 10
        return WrittenInt(int(text, base), text)
    return text
