"""The system being installed, in a folder: its files, and tools that run inside it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .command import CommandRunner


class Target:
    """``root`` is the folder with the mounted target; ``commands`` run inside it (chrooted)."""

    def __init__(self, root: Path, commands: CommandRunner) -> None:
        self.root = root
        self.commands = commands

    def path(self, name: str) -> Path:
        return self.root / name.lstrip("/")

    def has(self, *names: str) -> bool:
        """Whether one of these files exists (a link counts, wherever it points)."""
        return any(self.path(name).is_symlink() or self.path(name).exists() for name in names)

    def read(self, name: str) -> str:
        """The text of the file; empty if it does not exist."""
        path = self.path(name)
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    def write(self, name: str, text: str, mode: int = 0o644) -> None:
        """Write a file; replaces a link in its place, which could lead outside the target."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():
            path.unlink()
        if not path.exists():
            path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)

    def log(self, text: str) -> None:
        self.commands.log(text)


def set_variables(text: str, values: Mapping[str, str]) -> str:
    """A file of shell variables with ``values`` (already quoted) set.

    A variable that is already set, or is commented out, is replaced in place; others are added at
    the end.
    """
    lines = text.splitlines()
    for name, value in values.items():
        assignment = f"{name}={value}"
        places = [i for i, line in enumerate(lines) if re.match(rf"\s*(export\s+)?{re.escape(name)}=", line)]
        if not places:
            places = [i for i, line in enumerate(lines) if re.match(rf"#\s*{re.escape(name)}=", line)][:1]
        if places:
            lines[places[-1]] = assignment
            for place in reversed(places[:-1]):
                del lines[place]
        else:
            lines.append(assignment)
    return "\n".join(lines) + "\n"
