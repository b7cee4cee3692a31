"""The only module that prints: all output is redacted and made safe for a terminal.

Nothing else in the command line may print; ``tests/cli/test_output.py`` checks the source for that.
The exception is rich, which shows progress on a terminal (:mod:`imagebuild.cli.terminal`) with
texts that :func:`shown` has made safe.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click

from imagebuild.errors import OutputError
from imagebuild.log import redact
from imagebuild.printable import one_line, several_lines

_lock = threading.Lock()


def is_terminal(*, err: bool = False) -> bool:
    """Whether people read the output, or the errors, on a terminal."""
    return (sys.stderr if err else sys.stdout).isatty()


def terminal_size() -> tuple[int, int] | None:
    """Columns and rows of the terminal of standard output, asked for each time; None without one, or
    if it does not say (as one that a container's runtime made).
    """
    try:
        found = os.get_terminal_size(sys.stdout.fileno())
    except (OSError, ValueError):
        return None
    return (found.columns, found.lines) if found.columns > 0 and found.lines > 0 else None


def write_raw(data: bytes) -> None:
    """Write bytes of a console to the terminal as they are: only for a user who has asked for that
    console, whose escape sequences draw its screen.
    """
    sys.stdout.flush()
    with _lock:
        os.write(sys.stdout.fileno(), data)


def shown(text: object) -> str:
    """``text`` as it is printed on one line; for text that is padded, cut or joined before
    printing.
    """
    return one_line(redact(str(text)))


def echo(line: object = "", *, err: bool = False) -> None:
    """Print one line, on standard error with ``err``; line breaks in it are escaped."""
    _write(f"{shown(line)}\n", err=err)


def echo_lines(lines: Iterable[object], *, err: bool = False) -> None:
    """Print lines, each as :func:`echo` does."""
    _write("".join(f"{shown(line)}\n" for line in lines), err=err)


def echo_marker(marker: str, line: str) -> None:
    """Print a line after a marker that a CI system acts on; the marker is printed as it is, although
    there is no terminal.
    """
    _write(f"{marker}{shown(line)}\n", err=False, escapes=True)


def echo_text(text: str, *, err: bool = False) -> None:
    """Print a text and keep its line breaks: a diff, a help page."""
    _write(f"{several_lines(redact(text))}\n", err=err)


def echo_document(text: str) -> None:
    """Print a text for programs, such as a kickstart: byte for byte, except on a terminal, where
    people read it.
    """
    if sys.stdout.isatty():
        _write(several_lines(text), err=False)
    else:
        with _writing(err=False):
            click.echo(text.encode("utf-8", "surrogateescape"), nl=False)


def echo_bytes(data: bytes, *, err: bool = False) -> None:
    """Print what a program in a guest wrote: byte for byte, except on a terminal, where it is made
    safe.
    """
    stream = sys.stderr if err else sys.stdout
    if stream.isatty():
        _write(several_lines(data.decode("utf-8", "replace")), err=err)
    else:
        with _writing(err=err):
            click.echo(data, nl=False, err=err)


def echo_data(data: Any, *, indent: int | None = None) -> None:
    """Print JSON in pure ASCII: control and bidirectional characters become JSON escapes.

    Secrets are masked in texts only: one of digits may be part of a number, which must stay one.
    """
    _write(f"{json.dumps(_redacted(data), indent=indent, ensure_ascii=True)}\n", err=False)


def _redacted(data: Any) -> Any:
    if isinstance(data, str):
        return redact(data)
    if isinstance(data, dict):
        return {key: _redacted(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_redacted(value) for value in data]
    return data


def _write(text: str, *, err: bool, escapes: bool | None = None) -> None:
    encoding = getattr(sys.stderr if err else sys.stdout, "encoding", None) or "utf-8"
    with _writing(err=err):
        click.echo(text.encode(encoding, "backslashreplace").decode(encoding), nl=False, err=err, color=escapes)


@contextmanager
def _writing(*, err: bool) -> Iterator[None]:
    """Write alone. Raises OutputError, and BrokenPipeError if nobody reads any more."""
    try:
        with _lock:
            yield
    except BrokenPipeError:
        raise
    except OSError as error:
        name = "standard error" if err else "standard output"
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise OutputError(f"cannot write to {name}: {'no space left' if full else error.strerror}") from error


def discard_output() -> None:
    """Write nothing more to standard output: what is in its buffer would fail again at the exit."""
    with suppress(OSError, ValueError), Path(os.devnull).open("wb") as nothing:
        os.dup2(nothing.fileno(), sys.stdout.fileno())
