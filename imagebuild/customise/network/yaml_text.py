"""Changes of a YAML text at exact positions, so that comments, quotes and order are preserved.

A document is composed to nodes that contain their positions in the text. Every change is made
twice: to the nodes, and to the text. Then the text is composed again, and must be equal to the
nodes. If it is not (an anchor was removed together with its node, or a mapping begins on the line
of its list), the nodes are serialised again: comments are lost then, but nothing else.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, cast

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LARGEST = 256 << 10
"""The maximum length of a text in characters; a network configuration has some hundreds."""
_MOST_NODES = 20_000
"""The maximum number of nodes after expanding the aliases of a text."""

Structure = tuple[Any, ...]


class NotYamlError(Exception):
    """The text is not YAML, or exceeds the limits; the message says what is wrong."""


class _Composer(yaml.SafeLoader):
    """Composes aliases to copies, so that each use can be changed; ``place`` is the position of the
    alias."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.nodes = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        is_alias = self.check_event(yaml.AliasEvent)
        event = cast("Any", self).peek_event()
        node: Any = super().compose_node(parent, index)
        if is_alias:
            node = copy.deepcopy(node)
            node.place = (event.start_mark.index, event.end_mark.index)
        self.nodes += len(list(nodes_of(node))) if is_alias else 1
        if self.nodes > _MOST_NODES:
            raise NotYamlError("its aliases expand to too many nodes")
        return node


class YamlText:
    """A text of YAML documents that is being changed."""

    def __init__(self, text: str) -> None:
        """NotYamlError if the text cannot be composed."""
        self._text = text
        self._edits: dict[tuple[int, int], str] = {}
        self._exact = True
        self.documents = _composed(text)
        self._taken = sorted(
            {
                (start_of(node), end_of(node))
                for document in self.documents
                for node in nodes_of(document)
                if isinstance(node, yaml.ScalarNode)
            }
        )

    def result(self) -> str:
        """The changed text; NotYamlError if it cannot be written with the intended meaning."""
        if not self._edits and self._exact:
            return self._text
        wanted = [structure(node) for node in self.documents]
        if self._exact and _says(edited := self._edited(), wanted):
            return edited
        written = _written(self.documents)
        if not _says(written, wanted):
            raise NotYamlError("the changed text cannot be written as YAML")
        return written

    def flatten(self, mapping: yaml.MappingNode) -> None:
        """Expand a merge key (``<<``) into the mapping itself; existing keys of the mapping take
        precedence."""
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in mapping.value):
            try:
                yaml.SafeLoader("").flatten_mapping(mapping)
            except yaml.YAMLError as error:
                raise NotYamlError(f"it is not valid YAML: {_first_line(error)}") from error
            last = {repr(structure(key)): (key, value) for key, value in mapping.value}
            mapping.value = list(last.values())
            self._exact = False

    def remove(self, mapping: yaml.MappingNode, key: str) -> None:
        """Remove a key with its value from a mapping."""
        for pair in [pair for pair in mapping.value if pair[0].value == key and pair[0].start_mark is not None]:
            begin, end = self._range_of_flow(mapping, pair) if mapping.flow_style else self._range_of_block(pair)
            self._edit(begin, end, "")
            mapping.value.remove(pair)

    def replace(self, mapping: yaml.MappingNode, key: str, value: yaml.Node, text: str) -> None:
        """Replace the value of a key by ``text``, on the line of the key."""
        for at, (name, old) in enumerate(mapping.value):
            if name.value == key:
                mapping.value[at] = (name, value)
                self._replace(name, old, text)

    def _replace(self, name: yaml.Node, old: yaml.Node, text: str) -> None:
        if name.start_mark is None or old.start_mark is None:
            self._exact = False
            return
        begin, end = start_of(old), end_of(old)
        if isinstance(old, yaml.CollectionNode) and not old.flow_style and not hasattr(old, "place"):
            # On the lines after the key; a comment on its own line stays.
            colon = end_of(name) + self._text[end_of(name) :].find(":") + 1
            line = self._text.find("\n", colon)
            self._edit(colon, colon, f" {text}")
            self._edit(line, self._end_of_line(end), "\n" if self._end_of_line(end) > end else "")
            self._exact &= line < begin
        else:
            self._edit(begin, end, text if begin != end else f" {text}")

    def add(self, mapping: yaml.MappingNode, key: str, value: yaml.Node, text: str) -> None:
        """Insert a key and its value, which is ``text`` on one line, at the beginning of a mapping."""
        if mapping.value and mapping.value[0][0].start_mark is not None and not hasattr(mapping.value[0][0], "place"):
            first = start_of(mapping.value[0][0])
            indent = self._text[self._text.rfind("\n", 0, first) + 1 : first]
            if mapping.flow_style:
                self._edit(first, first, f"{key}: {text}, ")
            elif not indent.strip():
                self._edit(first, first, f"{key}: {text}\n{indent}")
            else:
                self._exact = False
        else:
            self._exact = False
        mapping.value.insert(0, (yaml.ScalarNode("tag:yaml.org,2002:str", key), value))

    def rename(self, scalar: yaml.ScalarNode, name: str) -> None:
        """Replace the value of a scalar that consists of single words."""
        if scalar.start_mark is None:
            scalar.value = name
            return
        quote = scalar.style if scalar.style in ("'", '"') and not hasattr(scalar, "place") else ""
        self._edit(start_of(scalar), end_of(scalar), f"{quote}{name}{quote}")
        scalar.value, scalar.tag = name, "tag:yaml.org,2002:str"

    def drop_comments(self, condition: Callable[[str], bool]) -> None:
        """Remove the comments for which ``condition`` is true."""
        at = 0
        for line in self._text.split("\n"):
            found = line.find("#")
            while found >= 0:
                place = at + found
                if (found == 0 or line[found - 1] in " \t") and not any(
                    begin <= place < end for begin, end in self._taken
                ):
                    self._drop_comment(at, line, found, condition)
                    break
                found = line.find("#", found + 1)
            at += len(line) + 1

    def _drop_comment(self, at: int, line: str, found: int, condition: Callable[[str], bool]) -> None:
        if condition(line[found:]) and not any(begin <= at + found < end for begin, end in self._edits):
            whole = not line[:found].strip()
            begin = at if whole else at + len(line[:found].rstrip())
            end = min(at + len(line) + (1 if whole else 0), len(self._text))
            self._edit(begin, end, "")

    def _edit(self, begin: int, end: int, text: str) -> None:
        if self._edits.get((begin, end), text) != text:
            self._exact = False
        self._edits[begin, end] = text

    def _edited(self) -> str:
        parts, at = [], 0
        for (begin, end), text in sorted(self._edits.items()):
            if begin < at:
                # Changes inside something that was removed, or overlapping with it.
                continue
            parts += [self._text[at:begin], text]
            at = end
        return "".join([*parts, self._text[at:]])

    def _range_of_block(self, pair: tuple[yaml.Node, yaml.Node]) -> tuple[int, int]:
        """The lines of a key and its value, with the comment after it."""
        begin = self._text.rfind("\n", 0, start_of(pair[0])) + 1
        if self._text[begin : start_of(pair[0])].strip():
            self._exact = False
        last = max(end_of(pair[0]), end_of(pair[1]))
        return begin, max(self._end_of_line(last), begin)

    def _end_of_line(self, at: int) -> int:
        """The beginning of the next line; a position at the beginning of a line, as after a block
        scalar, is returned unchanged."""
        if at > 0 and self._text[at - 1] == "\n":
            return at
        found = self._text.find("\n", at)
        return len(self._text) if found < 0 else found + 1

    def _range_of_flow(self, mapping: yaml.MappingNode, pair: tuple[yaml.Node, yaml.Node]) -> tuple[int, int]:
        """A pair in ``{a: 1, b: 2}``, with the comma that is no longer needed."""
        there = [one for one in mapping.value if one[0].start_mark is not None]
        at = there.index(pair)
        if at + 1 < len(there):
            return start_of(pair[0]), start_of(there[at + 1][0])
        begin = max(end_of(there[at - 1][0]), end_of(there[at - 1][1])) if at else start_of(pair[0])
        return begin, max(end_of(pair[0]), end_of(pair[1]))


def start_of(node: yaml.Node) -> int:
    """The position in the text where a node, or the alias that refers to it, begins."""
    place = getattr(node, "place", None)
    return place[0] if place else node.start_mark.index


def end_of(node: yaml.Node) -> int:
    """The position where a node ends in the text, without the comments and empty lines after it; -1
    for a new one."""
    if node.end_mark is None:
        return -1
    place = getattr(node, "place", None)
    if place:
        return cast("int", place[1])
    if isinstance(node, yaml.ScalarNode) or getattr(node, "flow_style", False):
        return node.end_mark.index
    inner = [one for pair in node.value for one in (pair if isinstance(pair, tuple) else (pair,))]
    return max((end_of(one) for one in inner), default=node.start_mark.index)


def nodes_of(node: yaml.Node) -> Iterator[yaml.Node]:
    """A node and all nodes in it."""
    yield node
    for one in node.value if isinstance(node, yaml.CollectionNode) else ():
        for inner in one if isinstance(one, tuple) else (one,):
            yield from nodes_of(inner)


def structure(node: yaml.Node) -> Structure:
    """The value of a node, without its position and style."""
    if isinstance(node, yaml.MappingNode):
        return (node.tag, tuple((structure(key), structure(value)) for key, value in node.value))
    if isinstance(node, yaml.SequenceNode):
        return (node.tag, tuple(structure(one) for one in node.value))
    return (node.tag, node.value)


def scalar(value: str) -> yaml.ScalarNode:
    """A string in double quotes."""
    return yaml.ScalarNode("tag:yaml.org,2002:str", value, style='"')


def mapping(pairs: dict[str, yaml.Node]) -> yaml.MappingNode:
    """A mapping in braces."""
    plain = [(yaml.ScalarNode("tag:yaml.org,2002:str", key), value) for key, value in pairs.items()]
    return yaml.MappingNode("tag:yaml.org,2002:map", plain, flow_style=True)


def get(node: yaml.Node | None, key: str) -> yaml.Node | None:
    """The value of a key of a mapping; the last one is used, as by every YAML parser."""
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for name, value in reversed(node.value) if name.value == key), None)


def _composed(text: str) -> list[yaml.Node]:
    if len(text) > _LARGEST:
        raise NotYamlError(f"it has more than {_LARGEST} characters")
    loader = None
    try:
        loader = _Composer(text)
        found: list[yaml.Node] = []
        while loader.check_node():
            found += [node] if (node := loader.get_node()) is not None else []
        return found
    except yaml.YAMLError as error:
        raise NotYamlError(f"it is not valid YAML: {_first_line(error)}") from error
    except RecursionError as error:
        raise NotYamlError("it is nested too deeply") from error
    finally:
        if loader is not None:
            loader.dispose()


def _first_line(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return str(error).split("\n", 1)[0]


def _says(text: str, wanted: list[Structure]) -> bool:
    try:
        return [structure(node) for node in _composed(text)] == wanted
    except NotYamlError:
        return False


def _written(documents: list[yaml.Node]) -> str:
    try:
        return yaml.serialize_all(documents, Dumper=_Separate, allow_unicode=True, width=1 << 20)
    except (yaml.YAMLError, RecursionError) as error:
        raise NotYamlError("the changed text cannot be written as YAML") from error


class _Separate(yaml.SafeDumper):
    """Serialises nodes that occur in two places twice, without anchors."""

    def anchor_node(self, node: yaml.Node) -> None:
        self.anchors.update((inner, None) for inner in nodes_of(node))
