"""Nothing is left half done on a host: what was made is removed again when a later part fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from imagebuild.errors import ImageBuildError
from imagebuild.log import logger


class Undo:
    """What removes the parts again that were made so far."""

    def __init__(self) -> None:
        self._parts: list[tuple[str, Callable[[], None]]] = []

    def before(self, what: str, remove: Callable[[], None]) -> None:
        """Call this before making a part: it may be there even if making it fails."""
        self._parts.append((what, remove))

    def forget(self) -> None:
        """The last part is not ours."""
        self._parts.pop()

    def all(self) -> list[str]:
        """Remove all parts, and return those that could not be removed."""
        left = []
        while self._parts:
            what, remove = self._parts.pop()
            try:
                remove()
            except ImageBuildError as error:
                logger.error("%s was not removed: %s", what, error)
                left.append(what)
        return left


@contextmanager
def all_or_nothing() -> Iterator[Undo]:
    """Remove what was made if the block fails or is interrupted."""
    undo = Undo()
    try:
        yield undo
    except BaseException as error:
        left = undo.all()
        if left and isinstance(error, ImageBuildError):
            error.hint = f"what could not be removed again: {', '.join(left)}"
        raise
