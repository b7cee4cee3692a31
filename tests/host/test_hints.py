"""Commands in hints: a shell passes exactly the intended words to the program, whatever a name
contains.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagebuild.host.hints import command_line, shown

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)


@pytest.mark.seconds
@settings(max_examples=60, deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=3))
def test_a_shell_reads_the_intended_words(words: list[str]) -> None:
    line = command_line("printf", "%s\\0", *words)
    assert line.isprintable()
    done = subprocess.run(["bash", "-c", line], check=True, capture_output=True)
    assert done.stdout.decode().split("\0")[:-1] == words


@pytest.mark.parametrize(
    ("path", "word"),
    [("-rf", "./-rf"), ("nbd:x", "./nbd:x"), ("a/b", "a/b"), ("/a:b", "/a:b"), ("~", "'~'"), ("a b", "'a b'")],
)
def test_a_path_is_not_mistaken_for_an_option_or_an_address(path: str, word: str) -> None:
    assert command_line("rm", Path(path)) == f"rm {word}"


@pytest.mark.parametrize(
    ("name", "as_shown"),
    [
        ("plain", "plain"),
        (b"\xff\n", "\\xff\\n"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\u202ex", "\\u202ex"),
        ("é", "é"),
    ],
)
def test_an_untrusted_name_is_printable(name: str | bytes, as_shown: str) -> None:
    assert shown(name) == as_shown


def test_an_untrusted_name_is_shortened() -> None:
    assert len(shown("x" * 10**6)) == 201
