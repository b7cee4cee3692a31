"""libguestfs calls that raise imagebuild's errors."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from imagebuild.errors import GuestError, GuestFileError, ImageBuildError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_OURS = "libguestfs: "


class ApplianceGone(ImageBuildError):
    """The appliance has ended, so that no further call will work. Not a GuestError, which may
    concern only one file."""


class Translated:
    """libguestfs calls, with RuntimeError translated to GuestError."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = getattr(self._handle, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except RuntimeError as error:
                gone = name not in _BEFORE_LAUNCH and not self._handle.is_ready()
                raise (ApplianceGone if gone else GuestError)(f"{_OURS}{str(error).strip()}") from error
            except UnicodeError as error:
                raise GuestError(f"{_OURS}{name}: a file name in the guest is not UTF-8") from error

        return call


_BEFORE_LAUNCH = ("add_drive_opts", "get_tmpdir", "shutdown", "close")


@contextmanager
def about(path: str) -> Iterator[None]:
    """Turn libguestfs errors in the block into errors about one file of the guest."""
    try:
        yield
    except GuestFileError:
        raise
    except GuestError as error:
        raise GuestFileError(path, reason(error), error.hint) from error


def reason(error: GuestError) -> str:
    """Why a program or a call failed, without the names with which the message begins."""
    first = error.message.removeprefix(_OURS).splitlines()[0]
    return first.rpartition(": ")[2]
