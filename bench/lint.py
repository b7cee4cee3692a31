"""Measure how much processor time it takes to list, lint and plan a project of many images.

    git worktree add --detach /var/tmp/before 526c021
    python -m bench.lint [/var/tmp/before] [--images N] [--single] [--rounds N] [--workdir DIR]

The project: 10 recipe files that extend two bases each, each with a matrix of 2 × 5 × 10 images,
1,000 in total; with --single, 1,000 files of one image each. Each command runs in its own process,
as when a user starts it; two versions run alternately. Names of packages are not looked up.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.startup import HERE, STORES, Short, measured

IMAGES = 1000
_PER_FILE = 100

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
_SINGLE = """\
extends: [base/system.yaml, base/scrubbed.yaml]
name: server{number}
variables: {{site: site{number}, version: "13", flavour: server}}
"""


def main() -> None:
    """Write the project and measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("before", type=Path, nargs="?", help="a work tree of the version to compare with")
    parser.add_argument("--images", type=int, default=IMAGES, help="number of images; a multiple of 100")
    parser.add_argument("--single", action="store_true", help="a file for each image, without a matrix")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workdir", type=Path)
    arguments = parser.parse_args()
    trees = [tree.resolve() for tree in (arguments.before, HERE) if tree]
    with tempfile.TemporaryDirectory(prefix="bench-", dir=arguments.workdir) as name:
        write = write_single if arguments.single else write_project
        measure(Path(name), write(Path(name), arguments.images), trees, arguments.rounds)


def measure(folder: Path, paths: Sequence[Path], trees: Sequence[Path] = (HERE,), rounds: int = 1) -> None:
    """Print the processor seconds of each command in ``folder``, whose recipes are ``paths``: medians,
    and the ratio of the last version to the first one.
    """
    STORES.mkdir(mode=0o700)
    try:
        _measure(folder, paths, trees, rounds)
    finally:
        shutil.rmtree(STORES)


def _measure(folder: Path, paths: Sequence[Path], trees: Sequence[Path], rounds: int) -> None:
    # IMAGEBUILD_OFFLINE, and not --offline, which older versions do not have
    os.environ["IMAGEBUILD_OFFLINE"] = "1"
    files = tuple(str(path.relative_to(folder)) for path in paths)
    for one in (Short("list", ("list",)), Short("lint", ("lint", *files)), Short("plan", ("plan", *files))):
        for tree in trees:
            measured(one, tree, folder)  # its modules are compiled now
        taken = [[measured(one, tree, folder).processor for tree in trees] for _ in range(rounds)]
        medians = [statistics.median(each) for each in zip(*taken, strict=True)]
        shown = ", ".join(f"{seconds:.2f}" for seconds in medians)
        print(f"imagebuild {one.name}: {shown} CPU s, ratio {medians[-1] / medians[0]:.2f}", flush=True)


def write_single(folder: Path, images: int) -> list[Path]:
    """Write ``images`` recipes of one image each; returns their files."""
    base = folder / "recipes" / "base"
    base.mkdir(parents=True)
    (base / "system.yaml").write_text(_SYSTEM)
    (base / "scrubbed.yaml").write_text(_SCRUBBED)
    paths = []
    for number in range(images):
        path = folder / "recipes" / f"server{number}.yaml"
        path.write_text(_SINGLE.format(number=number))
        paths.append(path)
    return paths


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
