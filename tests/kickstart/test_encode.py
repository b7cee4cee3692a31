"""Every value is one token, for pykickstart and for a shell."""

from __future__ import annotations

import configparser
import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagebuild.kickstart.encode import ValueRefused, ini, token


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
    with pytest.raises(ValueRefused, match="cannot be written into a kickstart"):
        token(text)


@pytest.mark.parametrize(
    ("value", "kind"),
    [(True, "a boolean"), (None, "nothing"), (["a"], "a list"), (("a",), "a list"), ({"a": 1}, "a mapping"),
        (1.5, "a float")],
)  # fmt: skip
def test_only_texts_and_numbers_are_values(value: object, kind: str) -> None:
    with pytest.raises(ValueRefused, match=f"{kind} cannot be written into a kickstart"):
        token(value)


def test_a_number() -> None:
    assert token(13) == "13"


@given(st.text(st.characters() | st.sampled_from("'\"\\;#=[]% \n\t$`"), max_size=12))
def test_a_value_of_an_ini_file_arrives_unchanged_or_is_refused(tmp_path: Path, text: str) -> None:
    try:
        line = token("key=" + ini(text))
    except ValueRefused:
        return
    written = tmp_path / "x.ini"
    subprocess.run(["/bin/sh", "-c", f"printf '%s\\n' [a] {line} >\"$0\"", written], check=True)
    for inline in (None, (";", "#")):
        reader = configparser.RawConfigParser(inline_comment_prefixes=inline)
        reader.read_string(written.read_text(encoding="utf-8"))
        assert dict(reader["a"]) == {"key": text}


@pytest.mark.parametrize("value", ["a;b", "#a", " a", "a ", "'a'", '"', "a\\b", "a\nb", True, None, ["a"]])
def test_what_parsers_of_ini_files_treat_differently_is_refused(value: object) -> None:
    with pytest.raises(ValueRefused):
        ini(value)
