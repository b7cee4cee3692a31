"""References ``${name}`` in the text of a recipe: each is replaced by the variable's value."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping

from imagebuild.errors import Problem, RecipeError
from imagebuild.schema.document import MAX_BYTES, Route, Value, WrittenInt, dotted
from imagebuild.schema.findings import did_you_mean

_REFERENCE = re.compile(r"\$\$\{|\$\{(?P<name>[a-z][a-z0-9_]*)\}|\$\{")
"""An escaped ``${``, a variable, or a ``${`` that is neither."""


def names_in(text: str) -> list[str]:
    """The variables that a text refers to."""
    return [match["name"] for match in _REFERENCE.finditer(text) if match["name"]]


class References:
    """Replaces references with the values of variables, and collects problems.

    ``broken`` are variables without a value, which are already reported: references to them are
    kept.
    """

    def __init__(self, values: Mapping[str, Value], broken: Container[str] = ()) -> None:
        self._values = values
        self._broken = broken
        self._left = MAX_BYTES
        self.problems: list[Problem] = []

    def replaced(self, value: Value, route: Route = ()) -> Value:
        """``value`` with all references replaced; itself if it has none.

        Raises RecipeError if it expands too far.
        """
        if not value.refers:
            return value
        if isinstance(value.inner, dict):
            entries = {key: self.replaced(inner, (*route, key)) for key, inner in value.inner.items()}
            made = Value.mapping(entries, value.mark)
        elif isinstance(value.inner, tuple):
            # Nobody finds an item by its number if the list has items of several files.
            of_one_file = len({item.mark.file for item in value.inner}) < 2
            items = tuple(
                self.replaced(item, (*route, at) if of_one_file else route) for at, item in enumerate(value.inner)
            )
            made = Value.sequence(items, value.mark)
        else:
            return self._text(value, route)
        if excess := made.excess():
            raise self._too_large(value, excess)
        return made

    def _text(self, value: Value, route: Route) -> Value:
        text = str(value.data)
        whole = _REFERENCE.fullmatch(text)
        if whole and whole["name"]:
            found = self._look_up(whole["name"], value, route)
            return value if found is None else found.at(value.mark)
        parts: list[str] = []
        end = 0
        for match in _REFERENCE.finditer(text):
            part = self._part(match, value, route)
            parts += [text[end : match.start()], match[0] if part is None else part]
            self._left -= len(parts[-1])
            if self._left < 0:
                raise self._too_large(value, f"more than {MAX_BYTES // 1024} KiB of text")
            end = match.end()
        return Value.scalar("".join([*parts, text[end:]]), value.mark)

    def _part(self, match: re.Match[str], value: Value, route: Route) -> str | None:
        """The replacement of a reference in the middle of a text; None if there is none."""
        if match[0] == "$${":
            return "${"
        if not match["name"]:
            self._report(value, route, "expected ${name} with the name of a variable", "a literal ${ is written $${")
            return None
        found = self._look_up(match["name"], value, route)
        if found is None:
            return None
        if isinstance(found.data, bool):
            return str(found.data).lower()
        if isinstance(found.data, WrittenInt):
            return found.data.written
        if isinstance(found.data, list):
            message = f"the list {match['name']} cannot be used inside a text"
            self._report(value, route, message, "use it as the whole value")
            return None
        return str(found.data)

    def _look_up(self, name: str, value: Value, route: Route) -> Value | None:
        found = self._values.get(name)
        if found is None and name not in self._broken:
            declared = f"declare it: variables: {{{name}: …}}; a literal ${{ is written $${{"
            hint = did_you_mean(name, self._values) or declared
            self._report(value, route, f"there is no variable {name!r}", hint)
        return found

    def _report(self, value: Value, route: Route, message: str, hint: str) -> None:
        self.problems.append(Problem(value.mark.file, value.mark.value, dotted(route), message, hint))

    def _too_large(self, value: Value, excess: str) -> RecipeError:
        message = f"with its variables replaced, the recipe has {excess}"
        return RecipeError([Problem(value.mark.file, value.mark.value, "", message)])
