"""libguestfs's calls with errors of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from collections.abc import Callable


class Translated:
    """libguestfs's calls, with its RuntimeError as GuestError."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = getattr(self._handle, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except RuntimeError as error:
                raise GuestError(f"libguestfs: {str(error).strip()}") from error
            except UnicodeError as error:
                raise GuestError(f"libguestfs: {name}: a file name in the guest is not UTF-8") from error

        return call
