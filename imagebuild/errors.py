"""The errors a user can meet: what happened in one sentence, and a hint how to mend it.

The command line prints ``message`` and ``hint`` and ends with ``exit_code``:
1 failed, 2 wrong recipe or usage, 3 this host cannot. (0 is success, 130 interrupted.)
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

Severity = Literal["error", "warning"]


class ImageBuildError(Exception):
    """Base of every error that imagebuild raises on purpose."""

    exit_code: ClassVar[int] = 1
    evidence: Path | None = None
    """The folder with what a failed build left to read."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class UsageError(ImageBuildError):
    """The command line asks for something that makes no sense."""

    exit_code = 2


class HostError(ImageBuildError):
    """This host cannot do what is asked: something is missing, full or out of reach."""

    exit_code = 3


@dataclass(frozen=True)
class Problem:
    """One finding in a recipe or a kickstart, at a place the user can open.

    ``rule`` is the name of the kickstart rule that found it, if it was one. A warning is told and hinders nothing.
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


def from_os(error: OSError, near: str = "") -> ImageBuildError:
    """The operating system's refusal as an error that a user can act on; a full file system is the host's fault.

    ``near`` tells where it must have been if the error itself names no file, as that of a write does not.
    """
    place = f" ({error.filename or near})" if error.filename or near else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return HostError(
            f"no space left{place}", "free some space, or use another file system with --store or --output"
        )
    message = f"{error.strerror or error}{place}"
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return HostError(message, "this user must be able to write the store and the folder for artifacts")
    return ImageBuildError(message)


class RecipeError(ImageBuildError):
    """Everything that is wrong with a recipe or its kickstart, told together."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(p) for p in self.problems))


class Interrupted(ImageBuildError):
    """The user, or whoever started the command, ended it."""

    exit_code = 130


class CommandFailed(ImageBuildError):
    """A program that imagebuild started ended badly or not in time."""

    def __init__(self, message: str, *, command: str, output: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint)
        self.command = command
        self.output = output


class GuestError(ImageBuildError):
    """libguestfs refused something, or an operation could not be done on this guest."""


class GuestFileError(GuestError):
    """The file at ``path`` of a guest could not be looked at or changed. Others can: what does not depend on it may go on."""

    def __init__(self, path: str, reason: str, hint: str | None = None) -> None:
        super().__init__(f"{path} in the guest{' ' if reason.startswith('is ') else ': '}{reason}", hint)
        self.path = path
        self.reason = reason


class GuestStuck(GuestError):
    """libguestfs's appliance did nothing any more."""


class InstallFailed(ImageBuildError):
    """The installation in the VM did not succeed; ``console`` holds its last lines."""

    def __init__(self, message: str, *, console: Sequence[str] = (), hint: str | None = None) -> None:
        super().__init__(message, hint)
        self.console = tuple(console)


class InstallStalled(InstallFailed):
    """The VM did nothing any more."""
