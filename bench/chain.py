"""Compare a full build from scratch, and a second recipe of the family, with the script that it
replaces.

    python -m bench.chain [--workdir DIR]

The script: virt-install with the same kickstart, whose VM fetches the packages from the same
mirror, as an installer does; virt-sysprep; virt-customize; virt-sparsify --in-place; qemu-img
convert -c. Its installer's kernel and runtime exist already, as a distribution's do, while
imagebuild builds its own within the measured time. Both start without packages or anything else
cached. The script's second image takes as long as its first.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from bench import rounds
from bench.customise import usual_chain
from imagebuild.host import accelerator, hypervisor

RECIPE = """\
extends: debian-13
name: {name}
{more}
"""
GOAL, GOAL_OF_SECOND = 0.6, 0.4


def measure(folder: Path) -> None:
    """Build with an empty store, then a second recipe, then run the script."""
    accel = accelerator.prove().accelerator
    recipes = folder / "project" / "recipes"
    recipes.mkdir(parents=True)
    for name, more in (("first", ""), ("second", ""), ("chain", "installer: {payload: in-vm}")):
        (recipes / f"{name}.yaml").write_text(RECIPE.format(name=name, more=more))

    def imagebuild(*words: str) -> float:
        begin = time.monotonic()
        argv = [sys.executable, "-m", "imagebuild", *words, "--store", str(folder / "store")]
        subprocess.run(argv, cwd=recipes.parent, check=True, stdout=subprocess.DEVNULL)
        return time.monotonic() - begin

    out = str(folder / "out")
    first = imagebuild("build", "first", "--quiet", "--output", out)
    second = imagebuild("build", "second", "--quiet", "--output", out)
    place = folder / "by-hand"
    imagebuild("render", "chain", "--into", str(place))
    installed = _installed(place)
    steps = {"virt-install": installed} | usual_chain(place / "disk.raw", folder / "chain.qcow2", accelerator=accel)
    whole = sum(steps.values())
    print(f"the script: {whole:.1f} s ({', '.join(f'{name} {seconds:.1f}' for name, seconds in steps.items())})")
    print(f"imagebuild, from scratch: {first:.1f} s, {first / whole:.2f} of the script's (goal: {GOAL})")
    print(f"a second recipe: {second:.1f} s, {second / whole:.2f} of the script's (goal: {GOAL_OF_SECOND})")


def _installed(place: Path) -> float:
    """Seconds that the script of `render --into` takes until the machine is off. RuntimeError if it fails."""
    begin = time.monotonic()
    with (
        hypervisor.connected(hide_kvm=True) as connection,
        subprocess.Popen(["sh", place / "virt-install.sh"], stdout=subprocess.PIPE, text=True) as process,
    ):
        assert process.stdout is not None
        try:
            succeeded = any("imagebuild-success:" in line for line in process.stdout)
            while succeeded and connection.state("imagebuild-chain").status != "gone":
                time.sleep(0.25)
        finally:
            process.kill()
            connection.end("imagebuild-chain")
    if not succeeded:
        raise RuntimeError((place / "console.log").read_text()[-2000:])
    return time.monotonic() - begin


if __name__ == "__main__":
    rounds.in_a_folder(__doc__ or "", "8 GiB", measure)
