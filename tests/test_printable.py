"""Untrusted text: what is escaped, what is kept, and that it stays readable."""

from __future__ import annotations

import logging
import subprocess
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imagebuild import log
from imagebuild.build import postmortem
from imagebuild.errors import CommandFailed
from imagebuild.host.process import pasteable, run
from imagebuild.printable import counted, one_line, several_lines, shell_word, transcript

ANY = st.text(st.characters(exclude_categories=()))
HOSTILE = "a\x1b]0;title\x07\x9b31m\x7f\u202egpj\u2066\u200f\u061c\u2028\u2029\u200b\ufeff\u3164\udcff\r\nb\tc"


def assert_printable(text: str, allowed: str = "") -> None:
    for character in text:
        category = unicodedata.category(character)
        assert character in allowed or category not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}, repr(character)


def test_each_kind_of_invisible_character() -> None:
    assert one_line(HOSTILE) == (
        "a\\x1b]0;"
        "title\\x07\\x9b31m\\x7f\\u202egpj\\u2066\\u200f\\u061c\\u2028\\u2029\\u200b\\ufeff\\u3164\\xff\\r\\nb"
        "\\tc"
    )
    assert one_line("\U000e0041\U0010ffff\xa0") == "\\U000e0041\\U0010ffff\\xa0"
    assert one_line("grün … 日本語 עברית é [red] \\x1b 😀") == "grün … 日本語 עברית é [red] \\x1b 😀"
    assert several_lines("a\tb\r\nc\x1b\n") == "a\tb\\r\nc\\x1b\n"


@given(ANY)
@example(HOSTILE)
def test_any_text_becomes_printable_and_is_not_changed_again(text: str) -> None:
    assert_printable(one_line(text))
    assert_printable(several_lines(text), "\n\t")
    assert_printable(transcript(text), "\n\t")
    assert one_line(one_line(text)) == one_line(text)
    assert several_lines(text).count("\n") == text.count("\n")
    assert "\\n".join("\\t".join(line.split("\t")) for line in several_lines(text).split("\n")) == one_line(text)


def test_a_session_of_a_terminal_becomes_a_text() -> None:
    session = "\x1b[0;1;31m[FAILED]\x1b[0m Mount\r\n\x1b]8;;http://x/\x1b\\link\x1b]8;;\x07\x1b(B\x1b[2J\x1bc\x9b1m\n"
    assert transcript(session) == "[FAILED] Mount\nlink\\x9b1m\n"


@given(
    st.lists(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]) | st.just("\x1b"), min_size=1),
        min_size=1,
        max_size=5,
    )
)
@example(["a'b\\", "\n\t\x1b1", "\u202e7", "~", "$x", "!"])
def test_a_command_for_a_shell_is_printable_and_the_same_command(words: list[str]) -> None:
    line = pasteable(["printf", "%s\\0", *words])
    assert_printable(line)
    printed = subprocess.run(["bash", "-c", line], capture_output=True, check=True).stdout
    assert printed.split(b"\0")[:-1] == [word.encode() for word in words]


def test_a_name_that_is_not_utf8_in_a_command(tmp_path: Path) -> None:
    printed = subprocess.run(
        ["bash", "-c", f"printf %s {shell_word('a' + chr(0xDCFF))}"], capture_output=True, check=True
    )
    assert printed.stdout == b"a\xff"


def test_the_build_log_is_safe_to_cat_and_keeps_its_lines(tmp_path: Path) -> None:
    # No lone surrogates: they crash a pytest-xdist worker if they are in captured log output.
    hostile = HOSTILE.encode("utf-8", "ignore").decode()
    path = tmp_path / "build.log"
    with log.to_file(path):
        log.logger.info("removed %s and %d more", hostile, 3)
        log.logger.info("a message\nof two lines")
        run(["printf", "\\033[31mred\\033[0m\\n\\302\\233two\\n"], timeout=10)
        log.logger.error("unexpected", exc_info=ValueError(hostile))
    text = path.read_text()
    assert_printable(text, "\n\t")
    assert f"removed {one_line(hostile)} and 3 more\n" in text
    assert "a message\nof two lines\n" in text
    assert "printf: \\x1b[31mred\\x1b[0m\n" in text
    assert "unexpected\nValueError: a\\x1b]0;title" in text


@pytest.mark.parametrize("secret", ["two\nlines of it", "tab\tand \x1b escape", "plain-secret"])
def test_a_secret_is_masked_in_every_spelling(secret: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_spellings", set())  # secrets of other tests may be part of the mask itself
    log.hide(secret)
    for text in (one_line(secret), several_lines(secret), shell_word(f"--password={secret}"), secret):
        assert "[secret]" in log.redact(text)
    path = tmp_path / "log"
    with log.to_file(path):
        log.logger.info("it is %s", secret)
    assert "it is [secret]\n" in path.read_text()


def test_what_a_failed_build_leaves_is_safe_to_cat(tmp_path: Path) -> None:
    work, folder = tmp_path / "work", tmp_path / "evidence"
    (work / "logs").mkdir(parents=True)
    folder.mkdir()
    (work / "logs/console.log").write_bytes(b"\x1b[32mOK\x1b[0m\r\n\x1b]0;owned\x07\xc2\x9b\xff\n")
    error = CommandFailed(f"qemu-img failed: {HOSTILE}", command="qemu-img", output="one\ntwo\x1b[0m")
    postmortem.keep(folder, work, error)
    postmortem.copy_logs(work / "logs", tmp_path)
    for path in (*folder.iterdir(), tmp_path / "console.log"):
        assert_printable(path.read_text(), "\n\t\ufffd")
    assert (tmp_path / "console.log").read_text().startswith("OK\n")
    assert (folder / "error.txt").read_text().endswith("one\ntwo\n")


def test_the_formatter_accepts_what_logging_accepts(caplog: pytest.LogCaptureFixture) -> None:
    handler = logging.Handler()
    lines: list[str] = []
    handler.emit = lambda record: lines.append(handler.format(record))  # type: ignore[method-assign]
    log.attach(handler)
    try:
        log.logger.info("%(a)s", {"a": "x\x1b"})
        log.logger.info("no arguments: 100%")
        log.logger.info("%5.1f %s %r", 1.25, Path("a\nb"), "c")
    finally:
        log.logger.removeHandler(handler)
    assert [line.rpartition("MainThread ")[2] for line in lines] == [
        "x\\x1b",
        "no arguments: 100%",
        "  1.2 a\\nb 'c'",
    ]


@pytest.mark.parametrize(
    ("number", "what", "several", "text"),
    [(0, "file", "", "0 files"), (1, "file", "", "1 file"), (2, "file", "", "2 files"),
     (2, "copy", "copies", "2 copies"), (1, "copy", "copies", "1 copy")],
)  # fmt: skip
def test_a_number_and_what_it_counts(number: int, what: str, several: str, text: str) -> None:
    assert counted(number, what, several) == text
