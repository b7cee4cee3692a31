"""A YAML file as plain values, with the line of every key and value.

The scalars follow YAML 1.2's core schema and not YAML 1.1 as PyYAML reads it: ``no``, ``on`` and ``12:30`` are
text, ``0o17`` is a number, only ``true`` and ``false`` are truth values. A number keeps its spelling, so that a
field of text gets ``3.10`` or ``007`` as written. Decimal fractions are always text: no field wants one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from imagebuild.errors import Problem, RecipeError

if TYPE_CHECKING:
    from pathlib import Path

Key = str | int
Route = tuple[Key, ...]
"""The way to a value inside a document: ("vm", "memory"), ("packages", 0)."""

MAX_BYTES = 1024 * 1024
MAX_VALUES = 20_000
"""Values that a file may expand to; a bomb of aliases reaches it quickly."""


class WrittenInt(int):
    """A whole number that remembers how it was written."""

    written: str

    def __new__(cls, value: int, written: str) -> WrittenInt:
        number = super().__new__(cls, value)
        number.written = written
        return number


@dataclass(frozen=True)
class Mark:
    """Where a value stands: its file, the line of its key, the line of the value itself."""

    file: str
    key: int
    value: int


@dataclass(frozen=True)
class Document:
    """What a file says, and where it says so."""

    file: str
    data: Any
    marks: dict[Route, Mark] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def mark(self, route: Route) -> Mark:
        """The mark of ``route``, or of the nearest thing around it."""
        for length in range(len(route), -1, -1):
            if route[:length] in self.marks:
                return self.marks[route[:length]]
        return Mark(self.file, 1, 1)


class _CoreLoader(yaml.SafeLoader):
    """PyYAML's reader with the core schema's scalars."""


_CoreLoader.yaml_implicit_resolvers = {}
_CoreLoader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_CoreLoader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_CoreLoader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$"), list("-+0123456789")
)


def read(path: Path, shown: str | None = None) -> Document:
    """Read a file; ``shown`` is how messages name it. Raises RecipeError when it cannot be read at all."""
    name = shown or str(path)

    def refuse(message: str, hint: str | None = None) -> RecipeError:
        return RecipeError([Problem(name, None, "", message, hint)])

    try:
        if path.is_dir():
            raise refuse("this is a folder, not a recipe", "name a file in it")
        if path.exists() and not path.is_file():
            raise refuse("this is not a regular file")
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise refuse("there is no such file") from error
    except OSError as error:
        raise refuse(f"the file cannot be read: {error.strerror}") from error
    if len(raw) > MAX_BYTES:
        raise refuse(f"the file is larger than {MAX_BYTES // 1024} KiB: this is no recipe")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        problem = Problem(name, line, "", "this is not UTF-8 text", "save the file as UTF-8")
        raise RecipeError([problem]) from error
    return parse(text, name)


def parse(text: str, file: str) -> Document:
    """Parse one YAML document. Raises RecipeError when it is no YAML; lesser problems are in the result."""
    try:
        loader = _CoreLoader(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
        return _Converter(file).document(node)
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        message = f"the character {chr(error.character)!r} is not allowed in YAML"
        raise RecipeError([Problem(file, line, "", message)]) from error
    except yaml.MarkedYAMLError as error:
        raise RecipeError([_syntax_problem(error, file)]) from error
    except RecursionError as error:
        raise RecipeError([Problem(file, None, "", "the values are nested too deeply")]) from error


def _syntax_problem(error: yaml.MarkedYAMLError, file: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    said = error.problem or "this is not YAML"
    hint = None
    if "'\\t'" in said:
        said, hint = "a tab cannot indent YAML", "indent with spaces"
    elif "expected a single document" in (error.context or ""):
        said, hint = "a recipe is one YAML document, and a second one begins here", "remove the line `---`"
    elif "mapping values are not allowed" in said:
        said = "a colon is not allowed here"
        hint = "check the indentation, or put the value in quotes"
    elif error.context:
        said = f"{error.context}: {said}"
    return Problem(file, mark.line + 1 if mark else None, "", said, hint)


class _Converter:
    """Turns PyYAML's nodes into values and collects marks and problems on the way."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._marks: dict[Route, Mark] = {}
        self._problems: list[Problem] = []
        self._open: set[int] = set()
        self._left = MAX_VALUES

    def document(self, node: yaml.Node | None) -> Document:
        data = None
        if node is not None:
            data = self._value(node, (), node.start_mark.line + 1)
        return Document(self._file, data, self._marks, tuple(self._problems))

    def _problem(self, node: yaml.Node, route: Route, message: str, hint: str | None = None) -> None:
        self._problems.append(Problem(self._file, node.start_mark.line + 1, dotted(route), message, hint))

    def _value(self, node: yaml.Node, route: Route, key_line: int) -> Any:
        self._left -= 1
        if self._left < 0:
            problem = Problem(self._file, key_line, "", f"the file expands to more than {MAX_VALUES} values")
            raise RecipeError([problem])
        value_line = node.start_mark.line + 1 if isinstance(node, yaml.ScalarNode) else key_line
        # An alias stands elsewhere than its anchor; PyYAML tells only the anchor's line.
        self._marks[route] = Mark(self._file, key_line, max(value_line, key_line))
        if id(node) in self._open:
            self._problem(node, route, "this anchor contains itself")
            return None
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, route)
            if isinstance(node, yaml.SequenceNode):
                return self._sequence(node, route)
            assert isinstance(node, yaml.ScalarNode)
            return self._scalar(node, route)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, route: Route) -> dict[str, Any]:
        if node.tag != "tag:yaml.org,2002:map":
            self._problem(node, route, f"the tag {node.tag} is not allowed here")
        result: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(key_node, route, "a key must be plain text, not a list or a mapping")
                continue
            key = str(key_node.value)
            if key == "<<":
                self._problem(key_node, route, "merge keys (<<) are not part of the language", "write the keys out")
            elif key in result:
                message = f"the key {key!r} stands here twice; first in line {first[key]}"
                self._problem(key_node, (*route, key), message, "remove one of the two")
            else:
                first[key] = line
                result[key] = self._value(value_node, (*route, key), line)
        return result

    def _sequence(self, node: yaml.SequenceNode, route: Route) -> list[Any]:
        if node.tag != "tag:yaml.org,2002:seq":
            self._problem(node, route, f"the tag {node.tag} is not allowed here")
        return [self._value(item, (*route, i), item.start_mark.line + 1) for i, item in enumerate(node.value)]

    def _scalar(self, node: yaml.ScalarNode, route: Route) -> Any:
        text = str(node.value)
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        if kind == "str":
            return text
        if kind == "null":
            return None
        if kind == "bool" and text.lower() in ("true", "false"):
            return text.lower() == "true"
        if kind == "int" and len(text) <= 40:
            try:
                base = 8 if text.startswith("0o") else 16 if text.startswith("0x") else 10
                return WrittenInt(int(text, base), text)
            except ValueError:
                pass
        self._problem(node, route, f"{text!r} with the tag {node.tag} is not a value of the language")
        return None


def dotted(route: Route) -> str:
    """A route as people write it: ``operations[2].remove-udev-rules``."""
    text = ""
    for step in route:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text
