"""Merging of any values: lists add up, other later values take precedence, and the grouping of
files does not matter.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagebuild.recipe.compose.merge import Merger
from imagebuild.schema.document import Document, Mark, Value

KEYS = st.sampled_from("abcd")
SCALAR = st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from("xyz")
LIST = st.lists(SCALAR, max_size=3)


def tree(depth: int) -> st.SearchStrategy[Any]:
    """Mappings of one shape: a is a scalar, b a list, c and d are again mappings."""
    leaf = {"a": SCALAR, "b": LIST}
    inner = {"c": tree(depth - 1), "d": tree(depth - 1)} if depth else {}
    return st.fixed_dictionaries({}, optional={**leaf, **inner})


PARTS = st.sampled_from(["append", "prepend", "remove", "replace"])
ANY = st.recursive(
    SCALAR,
    lambda i: st.lists(i, max_size=3) | st.dictionaries(KEYS | PARTS, i),
)


def merged(*documents: Any) -> Any:
    made: Value | None = None
    for number, data in enumerate(documents):
        over = data if isinstance(data, Value) else Value.of(data, Mark(str(number), 1, 1))
        made = Merger().merge(made, over)
    assert made is not None
    return made


@given(tree(2), tree(2), tree(2))
def test_the_grouping_does_not_matter(a: Any, b: Any, c: Any) -> None:
    assert merged(a, b, c).data == merged(a, merged(b, c)).data == merged(merged(a, b), c).data


@given(tree(2))
def test_nothing_and_itself_change_nothing(a: Any) -> None:
    assert merged(a, {}).data == merged({}, a).data == a
    assert merged(a, a).data == _doubled(a)


def _doubled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _doubled(inner) for key, inner in value.items()}
    return value * 2 if isinstance(value, list) else value


@given(tree(2), tree(2))
def test_every_value_has_the_mark_of_its_file(a: Any, b: Any) -> None:
    made = merged(a, b)
    assert made.size == Value.of(made.data, made.mark).size
    _check(made, a, b)


def _check(value: Value, a: Any, b: Any) -> None:
    for key, inner in value.entries.items():
        in_a, in_b = (isinstance(one, dict) and key in one for one in (a, b))
        assert inner.mark.file == ("1" if in_b else "0")
        assert in_a or in_b
        _check(inner, a[key] if in_a else None, b[key] if in_b else None)


@pytest.mark.seconds
@given(st.dictionaries(KEYS, ANY, max_size=4), st.dictionaries(KEYS, ANY, max_size=4))
def test_any_two_mappings_are_merged_or_refused_with_a_place(a: Any, b: Any) -> None:
    merger = Merger()
    made = merger.merge(Merger().merge(None, Value.of(a, Mark("a", 1, 1))), Value.of(b, Mark("b", 2, 2)))
    assert set(made.entries) == set(a) | set(b)
    assert all(problem.file == "b" and problem.line == 2 for problem in merger.problems)


def test_what_is_not_changed_is_shared() -> None:
    base = Value.of({"os": {"family": "debian"}, "packages": ["vim"]}, Mark("a", 1, 1))
    made = Merger().merge(base, Value.of({"packages": ["tree"]}, Mark("b", 1, 1)))
    assert made.entries["os"] is base.entries["os"]
    assert Document("a", base).data == {"os": {"family": "debian"}, "packages": ["vim"]}
