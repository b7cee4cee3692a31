"""What every mapping of a recipe has in common, and references to secrets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from imagebuild.schema import fields as f
from imagebuild.schema.findings import Finding, Refused

GIB = 1024**3
MIB = 1024**2


class Section(BaseModel):
    """Base of every mapping in a recipe: unknown keys are errors, values do not change."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


def without_none(value: Any) -> Any:
    """A key with nothing behind it means the section's defaults."""
    return {} if value is None else value


def without_nothing(value: Any) -> Any:
    """A list whose items are all commented out is empty."""
    return () if value is None else value


@dataclass(frozen=True)
class Short:
    """A validator that takes a plain value where a section may stand: ``read`` makes the section's keys of it.

    ``kind`` tells the manual and the schema what that value is; its ``written`` gets the section.
    """

    read: Callable[[object], dict[str, Any] | None]
    kind: f.Kind

    def __call__(self, value: Any) -> Any:
        return value if isinstance(value, dict | Section) else self.read(value)


class SecretRef(Section):
    """Where a secret is to be read when it is needed: an environment variable or a file."""

    env: f.EnvironmentName | None = Field(None, description="Environment variable that holds the value.")
    file: f.FilePath | None = Field(None, description="File that holds the value; relative to the recipe's folder.")

    @model_validator(mode="before")
    @classmethod
    def _no_plain_text(cls, value: Any) -> Any:
        if isinstance(value, str):
            raise ValueError("a secret does not stand in a recipe; write {env: NAME} or {file: PATH}")
        return value

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.env is None) == (self.file is None):
            raise ValueError("expected exactly one of env and file")
        if self.file == "":
            raise Refused([Finding(("file",), "expected the path of a file, found ''")])
        return self

    def __str__(self) -> str:
        return f"environment variable {self.env}" if self.env else f"file {self.file}"


class KeysRef(SecretRef):
    """Where public SSH keys are to be read, one per line. They are no secret, but come the same way."""
