"""Interpreting the console, line by line."""

from __future__ import annotations

import pytest

from imagebuild.install.console import Console

NONCE = "f00d"


def heard(*lines: str) -> Console:
    console = Console(NONCE)
    console.feed("".join(f"{line}\r\n" for line in lines).encode())
    return console


def test_success_is_this_builds_nonce() -> None:
    assert heard("kickstrap: started", f"imagebuild-success:{NONCE}").success
    assert not heard("imagebuild-success:another").success
    assert not heard(f"echo imagebuild-success: {NONCE}").success


def test_a_kernel_message_before_the_marker_does_not_hide_it() -> None:
    assert heard(f"[   41.0] EXT4-fs: mountedimagebuild-success:{NONCE}").success


def test_a_marker_that_arrives_in_pieces_counts() -> None:
    console = Console(NONCE)
    for piece in ("imagebuild-", "success:", "f00d\r", "\n"):
        console.feed(piece.encode())
    assert console.success


def test_progress() -> None:
    console = heard("kickstrap: step 2/7 partition the disk", "kickstrap: progress 40 unpacking")
    assert console.doing == "unpacking"
    assert console.fraction == 0.4


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("kickstrap: failed: %post at line 12 ended with 3", "%post at line 12 ended with 3"),
        ("[  3.1] Kernel panic - not syncing: Attempted to kill init!", "the kernel panicked: Attempted to kill init!"),
        ("dracut-initqueue[412]: Warning: dracut-initqueue timeout", "the installer's initramfs did not find"),
        ("The following error occurred while installing the payload", "failed while installing the payload"),
        ("There was an error running the kickstart script at line 9.", "a kickstart script failed at line 9."),
        ("Pane is dead (status 1)", "the installer died: Pane is dead"),
        ("\x1b[1;31mEntering emergency mode\x1b[0m", "emergency shell"),
    ],
)
def test_signs_of_failure(line: str, sentence: str) -> None:
    console = heard("all was well", line)
    assert sentence in str(console.failure)
    assert not console.waiting


@pytest.mark.parametrize(
    "prompt",
    [
        "Please make a selection from the above ['b' to begin]: ",
        "[!!] Installation hub",
        "Would you like to continue? ",
        "Prompt: '?' for help, 'q' to quit ",
        "Give root password for maintenance",
    ],
)
def test_a_dialog_is_a_failure_immediately_although_its_line_has_no_end(prompt: str) -> None:
    console = Console(NONCE)
    console.feed(prompt.encode())
    assert console.waiting
    assert prompt.strip() in str(console.failure)


def test_the_first_failure_is_kept() -> None:
    console = heard("kickstrap: failed: no space", "Kernel panic - not syncing: later")
    assert console.failure == "no space"


def test_guest_output_after_success_is_not_a_dialog() -> None:
    console = heard(f"imagebuild-success:{NONCE}", "Please make a selection")
    assert console.failure is None


def test_invalid_utf8_and_control_characters() -> None:
    console = Console(NONCE)
    console.feed(b"\xff\xfe\x1b[2J\x07kickstrap: step 1/2 go\r\r\n")
    console.feed(b"kickstrap: step 1/2 go\r\r\n")
    assert console.doing == "go"
    assert "\x1b" not in "".join(console.lines)


def test_last_lines_are_not_empty() -> None:
    assert heard("one", "", "two", "   ").last_lines(1) == ("two",)


def test_an_endless_line_is_not_kept_completely() -> None:
    console = Console(NONCE)
    for _ in range(64):
        console.feed(b"x" * 65536)
    assert sum(map(len, console.last_lines())) <= 1 << 16
    console.feed(b"\nkickstrap: step 1/2 go\n")
    assert console.doing == "go"
