"""Kill verifications at random instants, and check that nothing is left and the image is unchanged.

    python -m bench.verify_kills FOLDER_OF_AN_ARTIFACT --count 20 [--limit SECONDS] [--seed N]

Each round starts `imagebuild verify`, kills its process (SIGKILL) within ``--limit`` seconds, runs
`imagebuild gc`, and looks for domains, work folders, programs and temporary files.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from imagebuild.host import hypervisor
from imagebuild.store.store import default_root


def main() -> None:
    """Run the rounds; exit with 1 if anything was left."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--limit", type=float, default=90.0, help="longest time until a kill, in seconds")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    before = _digests(arguments.folder)
    left = []
    for number in range(1, arguments.count + 1):
        after = chance.uniform(0.2, arguments.limit)
        last = _killed(arguments.folder, after)
        subprocess.run([sys.executable, "-m", "imagebuild", "gc"], check=True, stdout=subprocess.DEVNULL)
        found = _left()
        if _digests(arguments.folder) != before:
            found.append("the artifact has changed")
        left += found
        print(f"{number:3} killed after {after:4.0f} s, at {last!r}: left {found}", flush=True)
    sys.exit(1 if left else 0)


def _killed(folder: Path, after: float) -> str:
    """Start a verification and kill it; its last line of output."""
    with tempfile.TemporaryFile("w+") as output:
        argv = [sys.executable, "-m", "imagebuild", "verify", str(folder)]
        env = {**os.environ, "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(argv, env=env, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        time.sleep(after)
        process.kill()
        process.wait()
        output.seek(0)
        return (output.read().splitlines() or [""])[-1].strip()


def _left() -> list[str]:
    with hypervisor.connected(hide_kvm=True) as connection:
        found = [f"domain {name}" for name in connection.names() if name.startswith("imagebuild-verify-")]
    found += [str(path) for path in (default_root() / "work").glob("*")]
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if "imagebuild-verify-" in command:
            found.append(f"process {path.parent.name}: {command[:80]}")
    found += [str(path) for path in Path("/var/lib/libvirt/qemu/nvram").glob("imagebuild-*")]
    return found


def _digests(folder: Path) -> dict[str, tuple[str, int]]:
    """The digest and the owner of each file."""
    return {
        path.name: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_uid)
        for path in folder.iterdir()
        if path.is_file()
    }


if __name__ == "__main__":
    main()
