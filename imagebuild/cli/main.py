"""The command ``imagebuild``: parse, call, print, exit code."""

from __future__ import annotations

import gc
import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType, TracebackType

import click

import imagebuild
from imagebuild.cli.commands import CommandGroup, CommandTable
from imagebuild.cli.output import discard_output, echo_data, echo_lines, echo_text
from imagebuild.errors import (
    HostError,
    ImageBuildError,
    InstallFailed,
    Interrupted,
    OutputError,
    RecipeError,
    UsageError,
    from_os,
)
from imagebuild.printable import one_line

_SHOWN_CONSOLE = 12


@click.group(
    cls=CommandGroup,
    commands=CommandTable(),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit codes: 0 success, 1 failure, 2 invalid recipe or usage, 3 host requirements not met, 130 interrupted.",
)
@click.version_option(imagebuild.__version__, prog_name="imagebuild")
def cli() -> None:
    """Golden images for KVM: from a recipe to a compressed qcow2 that boots.

    \b
    imagebuild doctor              show what this host can do, and what is missing
    imagebuild build debian-13     build the image of a recipe
    imagebuild plan debian-13      show what a build would do, and why
    imagebuild history             show past builds and how they ended
    imagebuild scrub IMAGE         turn an existing image into a template
    imagebuild audit IMAGE         report the identities and secrets that an image still contains
    imagebuild inspect IMAGE       show what is in an image
    imagebuild diff A B            show how the contents of two images differ
    """


_GARBAGE = 50_000
"""Objects between two collections: with Python's 700, importing and planning take a tenth longer."""


def main() -> None:
    """The entry point: every outcome becomes an exit code, and every expected error a message."""
    os.umask(os.umask(0o077) | 0o022)  # only the owner may write to a store and to what is in it
    gc.set_threshold(_GARBAGE)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    sys.excepthook = _show_defect
    threading.excepthook = lambda args: _show_defect(
        args.exc_type, args.exc_value or args.exc_type(), args.exc_traceback
    )
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    try:
        _call(as_json=_wants_json(sys.argv[1:]))
    except OutputError as error:  # also of what the handlers of other errors print
        discard_output()
        with suppress(OutputError, OSError):
            _print_error(as_json=False, error=error)
        sys.exit(error.exit_code)


def _call(*, as_json: bool) -> None:
    """Call the command. Raises OutputError; every other error ends the process."""
    try:
        code = _command()
        if isinstance(code, int) and code:
            sys.exit(code)
    except click.ClickException as error:
        if as_json and not isinstance(error, click.exceptions.NoArgsIsHelpError):
            _print_error(as_json, UsageError(error.format_message()))
        else:
            _show_usage_error(error)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _print_error(as_json, Interrupted("interrupted; only finished steps were kept"))
        sys.exit(Interrupted.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OutputError:
        raise
    except (ImageBuildError, OSError) as error:
        failure = from_os(error, options=_places(sys.argv[1:])) if isinstance(error, OSError) else error
        _print_error(as_json, failure)
        sys.exit(failure.exit_code)
    except ModuleNotFoundError as error:
        missing = _missing_binding(error)
        _print_error(as_json, missing)
        sys.exit(missing.exit_code)


def _command() -> object:
    """Call the command: click returns the code of an Exit instead of raising it. An unchanged build is
    reported without planning it again.
    """
    words = sys.argv[1:]
    if words[:1] == ["build"] and "_IMAGEBUILD_COMPLETE" not in os.environ:
        from imagebuild.cli import unchanged_build

        if unchanged_build.is_plain(words):
            if unchanged_build.reported():
                return None
            with unchanged_build.watching():
                return _root().main(standalone_mode=False)
    return _root().main(standalone_mode=False)


def _places(words: Sequence[str]) -> list[str]:
    """The options of a command with which it can use another file system."""
    command: click.Command | None = cli
    for word in words:
        if not isinstance(command, click.Group):
            break
        command = command.get_command(click.Context(command), word) or command
    known = {option for one in command.params for option in one.opts} if command is not None else set()
    return [option for option in ("--store", "--output") if option in known]


def _root() -> click.Group:
    """All commands; to complete a command line, what has their options and arguments."""
    if "_IMAGEBUILD_COMPLETE" not in os.environ:
        return cli
    from imagebuild.cli import completion_table

    return completion_table.light(cli)


def _missing_binding(error: ModuleNotFoundError) -> HostError:
    """The error for a binding that only the distribution has. Any other missing module is a defect."""
    from imagebuild.host.system_packages import BINDINGS, install_binding

    name = (error.name or "").partition("_")[0]  # libvirt's binding has a second module, libvirt_qemu
    if name not in BINDINGS:
        raise error
    return HostError(f"this Python cannot import {name}, the binding of its library", install_binding(name))


def _wants_json(words: Sequence[str]) -> bool:
    """Whether errors are printed as JSON. The words of a command in a guest are its own."""
    own = words[: words.index("--")] if "--" in words else words
    return "--json" in own and "run" not in own[:1]


def _interrupt(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _show_usage_error(error: click.ClickException) -> None:
    """Print the error as click does, with the user's arguments made safe for a terminal."""
    if not isinstance(error, click.exceptions.NoArgsIsHelpError):  # its message is the help page
        error.message = one_line(error.message)  # type: ignore[misc]  # what its show() prints
    text = io.StringIO()
    error.show(file=text)
    echo_text(text.getvalue().rstrip("\n"), err=True)


def _show_defect(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print the traceback of an unexpected exception; its message may contain anything."""
    echo_text("".join(traceback.format_exception(kind, error, trace)).rstrip("\n"), err=True)


def _print_error(as_json: bool, error: ImageBuildError) -> None:
    """Print the error on standard error, or with --json as the last object on standard output."""
    from imagebuild import events  # pydantic takes its time, and most commands end well
    from imagebuild.cli import problems

    event = events.ErrorReported(
        message=error.message,
        exit_code=error.exit_code,
        hint=error.hint or None,
        problems=tuple(error.problems) if isinstance(error, RecipeError) else (),
        console=tuple(error.console[-_SHOWN_CONSOLE:]) if isinstance(error, InstallFailed) else (),
        evidence=str(error.evidence) if error.evidence else None,
    )
    if as_json:
        echo_data(events.data(event))
    else:
        echo_lines(problems.described(event), err=True)
