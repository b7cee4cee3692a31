"""The table of the data that agents and servers store about one machine:
``operations/reset_agents.yaml``, which describes its columns."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter

TABLE = Path(__file__).parent / "operations" / "reset_agents.yaml"

Change = Callable[[str], str]
"""A function that changes the text of a file."""
Pattern = Annotated[str, StringConstraints(pattern=r"^/[^/]")]
"""A shell pattern of absolute paths."""


def _compiles(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return text


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LinesToRemove(_Row):
    """Lines of text files to remove."""

    paths: tuple[Pattern, ...]
    line: Annotated[str, AfterValidator(_compiles)]


class Keys(_Row):
    """Members of JSON objects to remove."""

    paths: tuple[Pattern, ...]
    names: tuple[str, ...]


class Agent(_Row):
    """A row of the table."""

    product: str
    remove: tuple[Pattern, ...] = ()
    lines: LinesToRemove | None = None
    keys: Keys | None = None
    keep: tuple[Pattern, ...] = ()
    renewed: Literal["start", "register", "command", "never"]
    how: str
    source: Annotated[tuple[str, ...], Field(min_length=1)]

    @property
    def description(self) -> str:
        """The product, and what happens in a clone."""
        return f"{self.product}; {self.how}"


@cache
def table() -> tuple[Agent, ...]:
    """All rows, in the order of the file."""
    rows = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    return TypeAdapter(tuple[Agent, ...]).validate_python(rows)
