"""Change the lines of a file that match a pattern.

Every line in which the (Python) regular expression matches is replaced by `line`. If no line
matches and `line` is not in the file yet, it is appended, or the operation fails if `missing` is
`fail`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

from imagebuild.customise.linux.text import with_line_at_end
from imagebuild.customise.operation import Params as BaseParams
from imagebuild.customise.operation import Phase
from imagebuild.customise.values import GuestPath, Line
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE

Missing = Literal["add", "fail"]


class Params(BaseParams):
    path: GuestPath = Field(description="the file in the guest")
    pattern: Line = Field(min_length=1, description="regular expression to search for in each line")
    line: Line = Field(description="the line that replaces a match")
    missing: Missing = Field(default="add", description="what to do if no line matches: `add` the line, or `fail`")

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"is not a valid regular expression: {error}") from error
        return pattern


def apply(guest: Guest, params: Params) -> None:
    pattern = re.compile(params.pattern)

    def edited(text: str) -> str:
        lines = text.split("\n")
        if any(line and pattern.search(line) for line in lines):
            return "\n".join(params.line if line and pattern.search(line) else line for line in lines)
        if params.line in lines:
            return text
        if params.missing == "fail":
            raise GuestError(f"no line of {params.path} in the guest matches {params.pattern!r}")
        return with_line_at_end(text, params.line)

    guest.edit(params.path, edited, f"line {params.line}")
