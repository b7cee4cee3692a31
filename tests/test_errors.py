"""Errors of the operating system become sentences."""

from __future__ import annotations

import errno
import os

import pytest

from imagebuild.errors import from_os


@pytest.mark.parametrize(
    ("number", "code", "sentence"),
    [
        (errno.ENOSPC, 3, "no space left (/store/x)"),
        (errno.EDQUOT, 3, "no space left (/store/x)"),
        (errno.EROFS, 3, "Read-only file system (/store/x)"),
        (errno.EIO, 1, "Input/output error (/store/x)"),
    ],
)
def test_errors_of_the_operating_system(number: int, code: int, sentence: str) -> None:
    error = from_os(OSError(number, os.strerror(number), "/store/x"))
    assert (error.exit_code, error.message) == (code, sentence)


def test_the_hint_fits_every_place() -> None:
    """A key, a page and a project are neither in the store nor among the artifacts."""
    hint = from_os(OSError(errno.EACCES, os.strerror(errno.EACCES), "secrets/images.pem")).hint or ""
    assert "write there" in hint
    assert "store" not in hint


def test_an_error_without_a_file_name_gets_the_possible_folders() -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert from_os(full, "in /store or /out").message == "no space left (in /store or /out)"
    assert from_os(full).message == "no space left"


def test_only_options_that_the_command_has_are_in_the_hint() -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert from_os(full).hint == "free some space, or use another file system with --store or --output"
    assert from_os(full, options=["--output"]).hint == "free some space, or use another file system with --output"
    assert from_os(full, options=[]).hint == "free some space, or use another file system"
