"""The network configuration formats of Linux, one module per grammar: removing what belongs to one
machine.

Each module takes and returns texts, so that it can be tested without a guest. A text that does not
follow its grammar is left unchanged, because a repair could break a working configuration, and so
is anything that is ambiguous from the text alone; both are reported.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Edited:
    """Files by path with their new content, and problems: which file could not be changed, and why."""

    texts: Mapping[str, str]
    problems: tuple[tuple[str, str], ...] = field(default=())
