"""Content that an operation takes: a text in the recipe, or a file on the build host.

In every such operation ``text`` is the content itself and ``file`` is the path of a file that
contains it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from pydantic import model_validator

from imagebuild.customise.host_inputs import HostPath
from imagebuild.customise.operation import Params as BaseParams
from imagebuild.customise.view import LARGEST_TEXT
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

FILE = "instead of `text`: a file on the build host; a relative path is relative to the file it is written in"
"""The description of the parameter ``file``."""


class ContentParams(BaseParams):
    """Parameters of the operations that take content; subclasses have the fields ``text`` and
    ``file``."""

    @model_validator(mode="after")
    def _one_of_text_and_file(self) -> Self:
        given = [name for name in ("text", "file") if getattr(self, name) is not None]
        if len(given) != 1:
            found = "both" if given else "neither"
            raise ValueError(f"expected exactly one of text (the content) and file (a path), found {found}")
        return self


def of(guest: Guest, params: Any) -> bytes:
    """The content that ``params``, a subclass of ContentParams, asks for.

    Raises GuestError if the file is not a regular file or too large, and HostError if it has
    changed since the work was planned.
    """
    name: HostPath | None = params.file
    if name is None:
        return str(params.text).encode()
    path = guest.supplies.path(name)
    if not path.is_file():
        raise GuestError(f"{path} is a folder, but a file is needed", "copy-in copies folders")
    if path.stat().st_size > LARGEST_TEXT:
        raise GuestError(
            f"{path} is larger than {LARGEST_TEXT} bytes, the limit for such a file", "copy-in copies larger files"
        )
    return path.read_bytes()


def text(guest: Guest, params: Any) -> str:
    """The same as text; GuestError if it is not UTF-8."""
    try:
        return of(guest, params).decode()
    except UnicodeDecodeError as error:
        raise GuestError(f"{guest.supplies.path(params.file)} is not UTF-8 text") from error


def name(guest: Guest, params: Any) -> str:
    """What messages call the content."""
    return "the text" if params.file is None else str(guest.supplies.path(params.file))
