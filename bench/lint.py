"""Measure how long it takes to load, list and lint a project of many images.

    python -m bench.lint [--images N] [--workdir DIR]

The project: 10 recipe files that extend two bases each, each with a matrix of 2 × 5 × 10 images,
1,000 in total. Each command runs in its own process, as when a user starts it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from imagebuild.host.process import run
from imagebuild.recipe.load import load_all

IMAGES = 1000
_PER_FILE = 100
_LIMIT = 3600.0

_SYSTEM = """\
os: {family: debian, version: "${version}", codename: trixie}
description: Debian ${version}, ${flavour}, for ${site}
disk: {size: 4GiB}
network: {hostname: "${flavour}-${site}.example.org", device: eth0}
kernel_arguments: [net.ifnames=0, biosdevname=0, console=tty0, "console=ttyS0,115200n8"]
packages: [bash-completion, ca-certificates, curl, less, net-tools, screen, tree, vim, wget]
variables:
  site: {type: text, description: where the machine stands}
  contact: {type: text, default: admin@example.org}
"""
_SCRUBBED = """\
operations:
  - disable-selinux
  - disable-firewall
  - remove-network-identity
  - remove-udev-rules
  - reset-machine-id
  - remove-random-seed
  - remove-device-records
  - remove-ssh-host-keys
  - clean-package-caches
  - clean-logs
  - clean-temporary-files
  - trim-free-space
"""
_RECIPE = """\
extends: [base/system.yaml, base/scrubbed.yaml]
name: {name}-${{version}}-${{flavour}}-${{site}}
matrix:
  version: [13, 14]
  flavour:
    minimal: {{}}
    web: {{packages: {{append: [nginx]}}}}
    mail: {{packages: {{append: [postfix]}}, disk: {{size: 8GiB}}}}
    database: {{packages: {{append: [postgresql]}}, disk: {{size: 16GiB}}}}
    build: {{packages: {{append: [make, gcc]}}, kernel_arguments: {{append: [quiet]}}}}
  site: [{sites}]
"""


def main() -> None:
    """Write the project and measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=IMAGES, help="number of images; a multiple of 100")
    parser.add_argument("--workdir", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-", dir=arguments.workdir) as name:
        measure(Path(name), arguments.images)


def measure(folder: Path, images: int = IMAGES) -> None:
    """Create a project of ``images`` images in ``folder``; print how long loading, ``list`` and ``lint`` take."""
    recipes = write_project(folder, images)
    begin = time.monotonic()
    loaded = sum(len(load_all(path, search=[folder / "recipes"])) for path in recipes)
    print(f"{loaded} images of {len(recipes)} recipes: loaded in {time.monotonic() - begin:.1f} s")
    paths: list[str | Path] = list(recipes)
    for command, more in (("list", []), ("lint", ["--offline", *paths])):
        begin = time.monotonic()
        run([sys.executable, "-m", "imagebuild", command, *more], timeout=_LIMIT, cwd=folder)
        print(f"  imagebuild {command:<6} {time.monotonic() - begin:6.1f} s")


def write_project(folder: Path, images: int) -> list[Path]:
    """Write the recipes; returns the files that yield images."""
    base = folder / "recipes" / "base"
    base.mkdir(parents=True)
    (base / "system.yaml").write_text(_SYSTEM)
    (base / "scrubbed.yaml").write_text(_SCRUBBED)
    paths = []
    for number in range(images // _PER_FILE):
        sites = ", ".join(f"site{number}-{one}" for one in range(10))
        path = folder / "recipes" / f"debian{number}.yaml"
        path.write_text(_RECIPE.format(name=f"debian{number}", sites=sites))
        paths.append(path)
    return paths


if __name__ == "__main__":
    main()
