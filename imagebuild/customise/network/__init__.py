"""The network configurations of Linux, one module per grammar, without what belongs to one machine.

Each module takes texts and gives texts: no guest is needed to try one. A text that does not follow its grammar is left as
it is, since a repair could break what works, and so is what cannot be told from the text alone; both are reported.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Edited:
    """Files by their path as they are to be, and what could not be done to which, and why."""

    texts: Mapping[str, str]
    problems: tuple[tuple[str, str], ...] = field(default=())
