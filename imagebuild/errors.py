"""The errors that a user can see: one sentence that says what happened, and a hint how to fix it.

The command line prints ``message`` and ``hint`` and exits with ``exit_code``:
1 failure, 2 invalid recipe or usage, 3 host requirements not met. (0 is success, 130 interrupted.)
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

Severity = Literal["error", "warning"]


class ImageBuildError(Exception):
    """Base class of every error that imagebuild raises deliberately."""

    exit_code: ClassVar[int] = 1
    evidence: Path | None = None
    """The folder with the logs of a failed build."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class UsageError(ImageBuildError):
    """The command line asks for something that makes no sense."""

    exit_code = 2


class NotShareable(ImageBuildError):
    """A recipe cannot be made of the installed disk that others use: it needs one of its own. The message
    says why.
    """


class HostError(ImageBuildError):
    """This host does not meet the requirements: something is missing, full or unreachable."""

    exit_code = 3


@dataclass(frozen=True)
class Problem:
    """One finding in a recipe or a kickstart, at a place that the user can open.

    ``rule`` is the name of the kickstart rule that reported it, if any. A warning is printed and
    blocks nothing.
    """

    file: str
    line: int | None
    where: str
    message: str
    hint: str | None = None
    rule: str | None = None
    severity: Severity = "error"

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        warning = "warning: " if self.severity == "warning" else ""
        where = f"{self.where}: " if self.where else ""
        return f"{place}: {warning}{where}{self.message}"


def from_os(error: OSError, near: str = "", *, options: Sequence[str] = ("--store", "--output")) -> ImageBuildError:
    """An OSError as an error that a user can act on; a full file system is a HostError.

    ``near`` says where it must have happened if the error names no file, as an error from write()
    does not. ``options`` are those of the command with which another file system can be named.
    """
    place = f" ({error.filename or near})" if error.filename or near else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        with_options = f" with {' or '.join(options)}" if options else ""
        return HostError(f"no space left{place}", f"free some space, or use another file system{with_options}")
    message = f"{error.strerror or error}{place}"
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return HostError(message, "make sure that this user may write there, or name another place")
    return ImageBuildError(message)


class RecipeError(ImageBuildError):
    """All problems in a recipe or its kickstart, reported together."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(p) for p in self.problems))


class OutputError(ImageBuildError):
    """Nothing more can be printed on standard output, or on standard error."""


class Interrupted(ImageBuildError):
    """The user, or whoever started the command, ended it."""

    exit_code = 130


class CommandFailed(ImageBuildError):
    """A program that imagebuild started failed or timed out."""

    def __init__(self, message: str, *, command: str, output: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint)
        self.command = command
        self.output = output


class GuestError(ImageBuildError):
    """libguestfs refused something, or an operation cannot be applied to this guest."""


class GuestFileError(GuestError):
    """The guest's file at ``path`` could not be read or changed.

    Whatever does not depend on it can continue.
    """

    def __init__(self, path: str, reason: str, hint: str | None = None) -> None:
        super().__init__(f"{path} in the guest{' ' if reason.startswith('is ') else ': '}{reason}", hint)
        self.path = path
        self.reason = reason


class GuestStuck(GuestError):
    """libguestfs's appliance stopped making progress."""


class InstallFailed(ImageBuildError):
    """The installation in the VM failed; ``console`` contains the last lines of its console."""

    def __init__(self, message: str, *, console: Sequence[str] = (), hint: str | None = None) -> None:
        super().__init__(message, hint)
        self.console = tuple(console)


class InstallStalled(InstallFailed):
    """The VM stopped making progress."""


class BootFailed(InstallFailed):
    """A guest did not boot; ``console`` contains the last lines of its console."""


class BootStalled(BootFailed):
    """A booting guest stopped making progress."""


class EmulatorFault(BootStalled):
    """A guest failed for a reason that lies in QEMU's emulation, and says nothing about the guest."""


class VerificationFailed(InstallFailed):
    """A booted image did not pass its checks; ``console`` has its last lines if it did not boot."""
