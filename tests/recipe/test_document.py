"""YAML files become values with lines, or a problem with a line; never anything else."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagebuild.errors import RecipeError
from imagebuild.recipe.yaml.reader import parse, parse_slowly, read
from imagebuild.schema.document import MAX_BYTES, WrittenInt, dotted


def problems(text: str) -> list[str]:
    try:
        return [str(problem) for problem in parse(text, "r.yaml").problems]
    except RecipeError as error:
        return [str(problem) for problem in error.problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("on", "on"), ("Yes", "Yes"), ("off", "off"), ("true", True), ("False", False),
        ("12:30", "12:30"), ("1:2:3", "1:2:3"), ("010", 10), ("0o10", 8), ("0x1F", 31), ("-3", -3), ("+3", 3),
        ("1_000", "1_000"), ("3.10", "3.10"), ("1e3", "1e3"), (".inf", ".inf"), ("2026-11-22", "2026-11-22"),
        ("~", None), ("null", None), ("", None), ("'13'", "13"), ("=", "="), ("!!str 13", "13"), ("0b11", "0b11"),
    ],
)  # fmt: skip
def test_scalars_are_those_of_the_core_schema(text: str, value: object) -> None:
    found = parse(f"key: {text}\n", "r.yaml").data["key"]
    assert found == value
    assert isinstance(found, type(value)) or value is None


def test_a_number_keeps_its_spelling() -> None:
    number = parse("key: 007\n", "r.yaml").data["key"]
    assert isinstance(number, WrittenInt)
    assert (number, number.written) == (7, "007")


def test_lines_of_keys_and_values() -> None:
    document = parse("# a\na:\n  b: 1\n  c:\n    - x\n    - y: 2\n  d:\n    later\n  e: |\n    text\n", "r.yaml")
    assert document.mark(("a",)).key == 2
    assert document.mark(("a", "b")).value == 3
    assert document.mark(("a", "c", 0)).value == 5
    assert document.mark(("a", "c", 1, "y")).value == 6
    assert (document.mark(("a", "d")).key, document.mark(("a", "d")).value) == (7, 8)
    assert document.mark(("a", "e")).value == 9
    assert document.mark(("a", "c", 1, "absent", 7)).value == 6
    assert document.mark(("absent",)).value == 2


def test_anchors_are_followed() -> None:
    document = parse("a: &x [1, 2]\nb:\n  c: *x\n", "r.yaml")
    assert document.data == {"a": [1, 2], "b": {"c": [1, 2]}}
    assert document.mark(("b", "c")).value == 3


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: 2\na: 3\n", "r.yaml:3: a: duplicate key 'a'; first in line 1"),
        ("a:\n\tb: 1\n", "r.yaml:2: a tab cannot indent YAML"),
        ("a: [1, 2\n", "r.yaml:1: the '[' in this line is not closed, or a comma is missing"),
        ("a: b: c\n", "r.yaml:1: a colon is not allowed in this value"),
        ("a: 1\n---\nb: 2\n", "r.yaml:2: the file is one YAML document, and a second one begins here"),
        ("a: *nowhere\n", "r.yaml:1: found undefined alias 'nowhere'"),
        ("a: &a [*a]\n", "r.yaml:1: a[0]: this anchor contains itself"),
        ("a: !!python/object/apply:os.system [x]\n", (
            "r.yaml:1: a: the tag "
            "tag:yaml.org,2002:python/object/apply:os.system is not allowed here"
        )),
        ("a: !secret x\n", "r.yaml:1: a: 'x' with the tag !secret is not a valid value"),
        ("a: !!int x\n", "r.yaml:1: a: 'x' with the tag tag:yaml.org,2002:int is not a valid value"),
        ("? [a, b]\n: 1\n", "r.yaml:1: a key must be plain text, not a list or a mapping"),
        ("a: &a {x: 1}\nb:\n  <<: *a\n", "r.yaml:3: b: merge keys (<<) are not supported"),
        ("ok: 1\na: \x07\n", "r.yaml:2: the character '\\x07' is not allowed in YAML"),
        ("[" * 500, "r.yaml:1: the values are nested too deeply"),
        ("a: 'x\n", "r.yaml:1: the quoted text that begins here has no end"),
    ],
)  # fmt: skip
def test_problems_are_reported_with_their_line(text: str, problem: str) -> None:
    assert problems(text) == [problem]


def test_all_duplicates_are_reported() -> None:
    assert len(problems("a: 1\na: 2\nb: {c: 1, c: 2}\n")) == 2


def test_an_alias_bomb_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    (problem,) = problems("\n".join(lines))
    assert "expands to more than 20000 values" in problem
    (problem,) = problems(f"a: &a {'x' * 10_000}\nb: [{'*a, ' * 200}]\n")
    assert problem == "r.yaml:2: the file expands to more than 1024 KiB of text"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: \xff\n", ":1: this is not UTF-8 text"),
        (b"ok: 1\na: \xe9t\xe9\n", ":2: this is not UTF-8 text"),
        (b"#" * (MAX_BYTES + 1), "the file is larger than 1024 KiB"),
    ],
)
def test_files_that_cannot_be_recipes(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(content)
    with pytest.raises(RecipeError) as caught:
        read(path)
    assert message in str(caught.value)


def test_a_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert read(path).data == {"a": 1, "b": 2}


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="there is no such file"):
        read(tmp_path / "absent.yaml")
    with pytest.raises(RecipeError, match="this is a folder"):
        read(tmp_path)
    with pytest.raises(RecipeError, match="not a regular file"):
        read(Path("/dev/zero"))


@given(st.text(alphabet=st.sampled_from("ab:-[]{}&*!|>'\"%@`#,? \n\t\\<=~0.\x00\ud800\u2028é"), max_size=60))
def test_any_text_is_a_document_or_a_problem(text: str) -> None:
    with suppress(RecipeError):
        assert parse(text, "r.yaml").file == "r.yaml"


YAMLISH = st.lists(
    st.sampled_from([
        "a: ", "b:\n", "\n", "  ", " ", "- ", "\n- ", "? ", "[", "]", "{", "}", "&x ", "*x", "|\n", ">-\n", "'x'",
        '"y"', " #c\n",
        "1", "true", "~", ", ", ": ", "---\n", "!t ", "!!int ", "!!str ", "! ", "...\n", "é",
    ]), max_size=12,
).map("".join)  # fmt: skip


@given(YAMLISH)
def test_libyaml_and_pyyaml_read_the_same(text: str) -> None:
    with suppress(RecipeError):
        slowly, quickly = parse_slowly(text, "r.yaml"), parse(text, "r.yaml")
        assert (slowly.data, slowly.problems) == (quickly.data, quickly.problems)
        if slowly.data:
            assert slowly == quickly


@pytest.mark.parametrize("bomb", ["[", "- ", "{a: ", "? ", "[[{a: "])
def test_deep_nesting_is_refused_early(bomb: str) -> None:
    (problem,) = problems(bomb * 50_000)
    assert problem.endswith("nested too deeply")


def test_dotted() -> None:
    assert dotted(("operations", 2, "remove-udev-rules", "keep")) == "operations[2].remove-udev-rules.keep"
