"""One command in a guest: its two streams and its exit status."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from imagebuild.errors import GuestError
from imagebuild.verify import command
from imagebuild.verify.check import Printed
from tests.verify.shell_guest import ShellGuest


@pytest.fixture
def guest(tmp_path: Path) -> Any:
    return ShellGuest(tmp_path)


@pytest.mark.parametrize(
    ("words", "result"),
    [
        (["printf", r"\000\377\n\n"], command.CommandResult(b"\0\xff\n\n", b"", 0)),
        (["sh", "-c", "echo out; echo err >&2; exit 7"], command.CommandResult(b"out\n", b"err\n", 7)),
        (["cat"], command.CommandResult(b"", b"", 0)),
        (["echo", "$HOME;", "a  b'"], command.CommandResult(b"$HOME; a  b'\n", b"", 0)),
    ],
    ids=["bytes", "both streams", "no input", "words"],
)
def test_a_command_keeps_its_streams_apart(guest: Any, words: list[str], result: command.CommandResult) -> None:
    assert command.run(guest, words, timeout=20) == result


@pytest.mark.parametrize("text", ["", "sh: 1: base64: not found", "abc"])
def test_a_guest_that_cannot_encode_the_output(text: str) -> None:
    class Mute:
        def run(self, script: str, *, timeout: float) -> Printed:
            mark = script.split("echo ")[1].split(";")[0]
            return Printed(f"{text}\n{mark}\n{mark}" if text else "", 0)

    guest: Any = Mute()
    with pytest.raises(GuestError, match="could not be read"):
        command.run(guest, ["true"], timeout=1)
