"""Measure builds on this machine: with empty caches, with nothing changed, and against the usual
tools.

Before that, measure listing, linting and planning a project of 1,000 images.

    python -m bench [RECIPE] [--workdir DIR]

Nothing is asserted: the figures depend on the machine and on its load.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench import convert, customise, lint
from imagebuild.host.process import run
from imagebuild.machine.install_vm import disk_names
from imagebuild.recipe.load import load

_LIMIT = 7200.0


def main() -> None:
    """Lint a large project, build twice into a new store, then convert and customise the installed disk."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("recipe", nargs="?", default="debian-13")
    parser.add_argument("--workdir", type=Path, default=Path("/var/tmp"), help="needs about 6 GiB")
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} processors, load before: {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="bench-", dir=arguments.workdir) as name:
        folder = Path(name)
        lint.measure(folder / "project", lint.write_project(folder / "project", lint.IMAGES))
        folder.chmod(0o711)  # QEMU's own user must be able to access the disks
        manifest = _build(arguments.recipe, folder, "empty caches")
        _build(arguments.recipe, folder, "nothing changed")
        for step, made in manifest["steps"].items():
            print(f"  {step:<10} {made['seconds']:6.1f} s")
        machine = manifest["built"]["machine"]
        print(
            f"  install VM {machine['seconds']:6.1f} s, {machine['seconds_to_installer']:.1f} s of it until "
            "the installer ran"
        )
        print(f"  image      {manifest['image']['size'] / (1 << 20):6.1f} MiB")
        installed = folder / "store" / "installed" / manifest["steps"]["install"]["fingerprint"]
        disk = installed / disk_names(load(arguments.recipe))[0]
        convert.measure(disk, folder, 1)
        customise.measure(disk, folder, 1)


def _build(recipe: str, folder: Path, what: str) -> dict[str, Any]:
    """Build, print how long it took, and return the manifest."""
    begin = time.monotonic()
    argv = [sys.executable, "-m", "imagebuild", "build", recipe, "--json"]
    done = run([*argv, "--store", folder / "store", "--output", folder / "artifacts"], timeout=_LIMIT)
    print(f"{recipe}, {what}: {time.monotonic() - begin:.1f} s")
    manifest: dict[str, Any] = json.loads(Path(json.loads(done.stdout.splitlines()[-1])["manifest"]).read_text())
    return manifest


if __name__ == "__main__":
    main()
