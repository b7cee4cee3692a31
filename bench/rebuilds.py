"""What an edit costs, beside the whole build: nothing changed, the last operation, the disk's size, a second recipe of the family, several at once.

python -m bench.rebuilds [--workdir DIR]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RECIPE = """\
extends: debian-13
name: {name}
disk: {{size: {size}}}
operations:
  append:
    - run-command: {{command: "find / -xdev -type f -exec sha256sum {{}} + >/dev/null"}}
    - write-file: {{path: /etc/motd, text: "{text}"}}
"""


def measure(folder: Path) -> None:
    """Build in a project of its own in ``folder``, and tell the ratios."""
    store, out = folder / "rebuilds-store", folder / "rebuilds-out"
    recipes = folder / "project" / "recipes"
    recipes.mkdir(parents=True, exist_ok=True)

    def write(name: str, size: str = "4GiB", text: str = "one") -> None:
        (recipes / f"{name}.yaml").write_text(RECIPE.format(name=name, size=size, text=text))

    def build(*words: str) -> float:
        begin = time.monotonic()
        argv = [sys.executable, "-m", "imagebuild", "build", *words, "--quiet", "--store", store, "--output", out]
        subprocess.run(argv, cwd=recipes.parent, env=os.environ, check=True, stdout=subprocess.DEVNULL)
        return time.monotonic() - begin

    write("first")
    whole = build("first")
    print(f"from nothing: {whole:.1f} s")

    def tell(what: str, seconds: float, beside: float = whole) -> None:
        print(f"{what:<44} {seconds:7.1f} s  {seconds / beside:.3f}", flush=True)

    tell("nothing changed", build("first"))
    write("first", text="two")
    tell("the last operation edited", build("first"))
    write("first", text="two", size="5GiB")
    tell("the disk's size edited", build("first"))
    write("second")
    tell("a second recipe of the family", build("second"))
    names = [f"recipe-{number}" for number in range(8)]
    for name in names:
        write(name)
    serial = sum(build(name) for name in names[:4])
    tell("4 recipes, one after the other", serial)
    tell("4 others, --jobs 2; beside the former", build(*names[4:], "--jobs", "2"), serial)


def main() -> None:
    """Measure, and leave nothing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workdir", type=Path, default=Path("/var/tmp"), help="needs about 12 GiB")
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} processors, load before: {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="bench-", dir=arguments.workdir) as name:
        Path(name).chmod(0o711)  # QEMU's own user must reach the disks
        measure(Path(name))


if __name__ == "__main__":
    main()
