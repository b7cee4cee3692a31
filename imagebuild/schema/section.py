"""What every mapping of a file has in common, and references to secrets."""

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
    """Base class of every mapping in a file of the user: unknown keys are errors, values are immutable."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


def without_none(value: Any) -> Any:
    """A key without a value means the section's defaults."""
    return {} if value is None else value


def without_nothing(value: Any) -> Any:
    """A key without a value, such as a list whose items are all commented out, is an empty list."""
    return () if value is None else value


@dataclass(frozen=True)
class Short:
    """A validator that accepts a plain value instead of a section: ``read`` converts it to the
    section's keys.

    ``kind`` describes that value for the manual and the schema; its ``written`` is called with the
    section.
    """

    read: Callable[[object], dict[str, Any] | None]
    kind: f.Kind

    def __call__(self, value: Any) -> Any:
        return value if isinstance(value, dict | Section) else self.read(value)


class SecretRef(Section):
    """Where to read a secret when it is needed: an environment variable or a file."""

    env: f.EnvironmentName | None = Field(None, description="Environment variable that contains the value.")
    file: f.FilePath | None = Field(
        None, description="File that contains the value; relative to the folder of this file."
    )

    @model_validator(mode="before")
    @classmethod
    def _no_plain_text(cls, value: Any) -> Any:
        if isinstance(value, str):
            raise ValueError("this file must not contain a secret; use {env: NAME} or {file: PATH}")
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
    """Where to read public SSH keys, one per line.

    They are not secret, but are referenced in the same way.
    """
