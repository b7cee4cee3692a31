"""A guest whose commands run on this host."""

from __future__ import annotations

import subprocess
from pathlib import Path

from imagebuild.verify.check import Printed


class ShellGuest:
    """A guest that runs scripts with this host's shell, and keeps its files in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.scripts: list[str] = []

    def run(self, script: str, *, timeout: float = 60.0) -> Printed:
        self.scripts.append(script)
        script = script.replace("/run/imagebuild-", f"{self.folder}/imagebuild-")
        done = subprocess.run(
            ["/bin/sh", "-s"], input=f"exec 2>&1\n{script}", capture_output=True, text=True, check=False,
            timeout=timeout,
        )  # fmt: skip
        return Printed(done.stdout.removesuffix("\n"), done.returncode)
