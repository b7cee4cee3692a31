"""The errors the agent raises on purpose: a sentence for the console."""

from __future__ import annotations


class InstallError(Exception):
    """The installation cannot go on; the message is one sentence, told on the console."""


class StorageError(InstallError):
    """What is asked of the disks cannot be done; ``line`` is the kickstart's, from 1."""

    def __init__(self, line: int, message: str, hint: str | None = None) -> None:
        super().__init__(f"kickstart line {line}: {message}")
        self.line = line
        self.sentence = message
        self.hint = hint
