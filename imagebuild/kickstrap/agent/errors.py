"""The one error the agent raises on purpose: a sentence for the console."""

from __future__ import annotations


class InstallError(Exception):
    """The installation cannot go on; the message is one sentence, told on the console."""
