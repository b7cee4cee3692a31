"""What becomes of an option of another tool: operations, and what people should know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Call:
    """An operation with its parameters; ``note`` is a comment above it."""

    name: str
    params: Mapping[str, Any]
    note: str = ""


@dataclass(frozen=True)
class Remark:
    """An option that becomes no operation: because nothing needs to be done, or, with ``missing``,
    because there is no equivalent; ``draft`` is an operation to be completed. It contains no secret."""

    text: str
    missing: bool = False
    draft: Call | None = None


Part = Call | Remark
