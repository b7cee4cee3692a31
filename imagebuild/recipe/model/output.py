"""The finished image in a recipe: its formats and their compression."""

from __future__ import annotations

from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BeforeValidator, Field

from imagebuild.image.formats import Compression, Format
from imagebuild.schema.fields import Kind
from imagebuild.schema.findings import Refused, twice
from imagebuild.schema.section import Section

_NAMES = get_args(Format)


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _distinct(value: tuple[Format, ...]) -> tuple[Format, ...]:
    if wrong := twice(value):
        raise Refused(wrong)
    return value


def _written(value: tuple[Format, ...]) -> str:
    return value[0] if len(value) == 1 else f"[{', '.join(value)}]"


def _schema() -> dict[str, Any]:
    one = {"enum": list(_NAMES)}
    return {"anyOf": [one, {"type": "array", "items": one, "minItems": 1, "uniqueItems": True}]}


Formats = Annotated[
    tuple[Format, ...],
    BeforeValidator(_listed),
    AfterValidator(_distinct),
    Field(min_length=1),
    Kind(f"{', '.join(f'`{name}`' for name in _NAMES)}, or a list of them", _written, _schema),
]


class Output(Section):
    """The finished image."""

    format: Formats = Field(
        ("qcow2",), description="Format of the image; with several formats, each disk is written in all of them."
    )
    compression: Compression = Field(
        "zstd",
        description="Compression of qcow2: `zstd` is faster and smaller; `zlib` is readable by QEMU before 5.1.",
    )

    @property
    def primary(self) -> Format:
        """The format that a build reports: qcow2, or the first one in the recipe."""
        return "qcow2" if "qcow2" in self.format else self.format[0]

    @property
    def further(self) -> tuple[Format, ...]:
        """The other formats."""
        return tuple(name for name in self.format if name != self.primary)
