"""One value, one token: for pykickstart's lines and for a shell."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagebuild.kickstart.encode import ValueRefused, token


@given(st.text(max_size=20))
def test_a_text_arrives_unchanged_or_is_refused(text: str) -> None:
    try:
        written = token(text)
    except ValueRefused:
        assert any(not c.isprintable() for c in text)
        return
    line = f"command --option={written} {written}\n"
    assert line.splitlines() == [line[:-1]]
    assert shlex.split(line, comments=True) == ["command", f"--option={text}", text]
    assert not written.startswith("%")


@pytest.mark.parametrize(
    "text", ["", "a b", "$(id)", "`id`", "a'b\"c", "\\", "#x", "~", "*", "!!", "%end", "é", "a;b&c|d<e>"]
)
def test_a_shell_reads_it_back(text: str) -> None:
    script = f"printf %s {token(text)}"
    assert subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True).stdout == text


@pytest.mark.parametrize(
    "text", ["a\nb", "a\rb", "a\x0bb", "a\x0cb", "a\x1cb", "a\x85b", "a\u2028b", "a\u2029b", "\x00", "\t", "\ud800"]
)
def test_what_could_end_a_line_is_refused(text: str) -> None:
    with pytest.raises(ValueRefused, match="cannot stand in a kickstart"):
        token(text)


@pytest.mark.parametrize(
    ("value", "told"),
    [(True, "a truth value"), (None, "nothing"), (["a"], "a list"), (("a",), "a list"), ({"a": 1}, "a mapping"), (1.5, "a float")],
)  # fmt: skip
def test_only_texts_and_numbers_are_values(value: object, told: str) -> None:
    with pytest.raises(ValueRefused, match=f"{told} cannot stand in a kickstart"):
        token(value)


def test_a_number() -> None:
    assert token(13) == "13"
