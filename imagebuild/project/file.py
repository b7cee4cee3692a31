"""The name of the project's file, without what is needed to read it."""

from __future__ import annotations

from pathlib import Path

FILE = "imagebuild.yaml"


def is_there() -> bool:
    """Whether this folder has a project's file, if only a link to nothing."""
    file = Path(FILE)
    return file.exists() or file.is_symlink()
