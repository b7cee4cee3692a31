"""A target as the command line names it, opened by the thread that works on it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from imagebuild.publish.protocol import TemplateTarget


@dataclass(frozen=True)
class TargetPlace:
    """A name of the project's file; ``open`` connects to its target, and leaving the context closes
    it. ``uri`` is for those who check what was published there.
    """

    name: str
    open: Callable[[], AbstractContextManager[TemplateTarget]]
    uri: str = ""
