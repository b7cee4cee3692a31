"""The file that a picture is written to."""

from __future__ import annotations

from pathlib import Path

import click

from imagebuild.cli.output import echo
from imagebuild.errors import HostError
from imagebuild.files import write_result


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


def write_plot(path: Path, text: str) -> None:
    """Write a picture, completely or not at all, and print its path. Raises HostError."""
    try:
        write_result(path, text)
    except OSError as error:
        raise HostError(f"cannot write {path}: {error.strerror}", "choose a file in a folder that exists") from error
    echo(path)
