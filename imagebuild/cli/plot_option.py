"""The file that a picture is written to."""

from __future__ import annotations

from pathlib import Path

import click


class PlotFile(click.Path):
    """A file whose ending says what it contains."""

    def __init__(self, *endings: str) -> None:
        super().__init__(path_type=Path, dir_okay=False)
        self._endings = endings

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path = Path(super().convert(value, param, ctx))  # type: ignore[arg-type]  # click's own type is narrower
        if path.suffix not in self._endings:
            self.fail(f"{str(value)!r} does not end with {' or '.join(self._endings)}", param, ctx)
        return path
