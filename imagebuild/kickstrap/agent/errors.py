"""The errors that the agent raises on purpose, with a sentence for the console."""

from __future__ import annotations


class InstallError(Exception):
    """The installation cannot continue; the message is a sentence for the console."""


class StorageError(InstallError):
    """The requested storage is not possible; ``line`` is the kickstart's, from 1."""

    def __init__(self, line: int, message: str, hint: str | None = None) -> None:
        super().__init__(f"kickstart line {line}: {message}")
        self.line = line
        self.sentence = message
        self.hint = hint


class TooManyPartitions(StorageError):
    """A disk label has no more partitions."""
