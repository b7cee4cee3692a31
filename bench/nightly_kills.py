"""Kill nightly runs at random instants, and check that the next run completes each.

    python -m bench.nightly_kills FOLDER [--count 10] [--limit SECONDS] [--seed N] [--store STORE] [--artifacts DIR]

A project of four small images, published to two folders. In each round one recipe changes, a nightly run
is killed (SIGKILL) at a random instant, and another one must end as if nothing had happened: exit code 0,
one new version of that image, which is good, and is current at both places; no other version; nothing
left in the folders. Everything is real, also the installations. FOLDER is made, and is not removed.
``--store`` and ``--artifacts`` start with copies of what an earlier run left there.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

IMAGES = ("alpha", "beta", "gamma", "delta")
BASE = """\
os: {family: debian, version: 13, codename: trixie}
disk: {size: 2GiB}
vm: {timeout: 40m, vcpus: 1}
kernel_arguments: ["console=ttyS0,115200n8"]
packages: [tree]
"""
RECIPE = """\
extends: base/small.yaml
name: {name}
verify: {{enabled: false}}
network: {{hostname: small}}
operations:
  - reset-machine-id
  - write-file: {{path: /etc/motd, text: "{motd}\\n"}}
"""
PROJECT = """\
targets:
  one: {url: one}
  two: {url: two}
nightly:
  if_changed: false
  images: [alpha, beta, gamma, delta]
  gates: [size-growth=10%, package-removed]
  publish: {to: [all], canary: 1, canary_check: "true", unverified: true}
  keep: {versions: 2, templates: 2}
  page: {folder: public}
  metrics: images.prom
"""


@dataclass
class NightlyKills:
    """The rounds, in the project in ``folder``."""

    folder: Path
    chance: random.Random
    limit: float
    wrong: list[str] = field(default_factory=list)

    def prepare(self, artifacts: Path | None, store: Path | None) -> None:
        """Write the project, and run it until nothing is to be done."""
        (self.folder / "recipes/base").mkdir(parents=True)
        (self.folder / "recipes/base/small.yaml").write_text(BASE)
        (self.folder / "imagebuild.yaml").write_text(PROJECT)
        for name in ("one", "two"):
            (self.folder / name).mkdir()
        for given, name in ((artifacts, "artifacts"), (store, "store")):
            if given is not None:
                subprocess.run(["cp", "-a", "--sparse=always", given, self.folder / name], check=True)
        for name in IMAGES:
            self.write(name, name)
        self.expect(self.run().wait(), 0, "the first run")

    def write(self, name: str, motd: str) -> None:
        (self.folder / f"recipes/{name}.yaml").write_text(RECIPE.format(name=name, motd=motd))

    def run(self) -> subprocess.Popen[bytes]:
        """A nightly run."""
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "imagebuild", "nightly", "--store", self.folder / "store"],
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])},
            )  # fmt: skip

    def round(self, number: int) -> None:
        """Change a recipe, kill a run, complete it, and look."""
        name = self.chance.choice(IMAGES)
        before = self.versions()
        self.write(name, f"round {number}")
        process, delay = self.run(), self.chance.uniform(0, self.limit)
        try:
            process.wait(delay)
            how = "ended before"
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            how = "killed"
        self.expect(self.run().wait(), 0, f"round {number}: the run after it")
        after = self.versions()
        new = {one: sorted(set(after[one]) - set(before[one])) for one in IMAGES}
        self.expect({one: len(found) for one, found in new.items()}, {one: int(one == name) for one in IMAGES}, "new")
        self.look(number)
        print(f"{number:3} {how:12} after {delay:5.1f} s; new: {name} {new[name]}; wrong so far: {len(self.wrong)}")
        sys.stdout.flush()

    def look(self, number: int) -> None:
        """Check that all agree on the newest version, and that nothing is left."""
        out = self.folder / "artifacts"
        for name in IMAGES:
            latest, good = ((out / name / link).readlink().name for link in ("latest", "good"))
            places = [
                json.loads((self.folder / place / f"{name}.json").read_text())["current"] for place in ("one", "two")
            ]
            self.expect([good, *places], [latest] * 3, f"round {number}: {name}")
            folder = out / name / latest
            done = subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=folder, check=False)
            self.expect(done.returncode, 0, f"round {number}: checksums of {name}")
        left = [str(path) for path in (*out.glob("*/.*"), *(self.folder / "store/work").glob("*"))]
        left += [str(path) for path in (self.folder / "reports").glob(".*")]
        self.expect(left, [], f"round {number}: left over")
        result = json.loads((self.folder / "reports/nightly.json").read_text())
        self.expect((result["outcome"], result["failed"]), ("success", []), f"round {number}: nightly.json")
        page = (self.folder / "public/index.html").read_text()
        missing = [name for name in IMAGES if (out / name / "latest").readlink().name not in page]
        self.expect(missing, [], f"round {number}: missing from the page")

    def versions(self) -> dict[str, list[str]]:
        """The versions of each image that are or were there: numbers only rise."""
        return {
            name: [path.name for path in (self.folder / "artifacts" / name).glob("2*") if not path.is_symlink()]
            for name in IMAGES
        }

    def expect(self, found: object, wanted: object, what: str) -> None:
        if found != wanted:
            self.wrong.append(f"{what}: {found}, not {wanted}")
            print(self.wrong[-1], flush=True)


def main() -> int:
    """Run the rounds and report; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--limit", type=float, default=60.0, help="longest wait before a kill, in seconds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--artifacts", type=Path)
    given = parser.parse_args()
    given.folder.mkdir(mode=0o755)
    rounds = NightlyKills(given.folder.absolute(), random.Random(given.seed), given.limit)
    begin = time.monotonic()
    rounds.prepare(given.artifacts, given.store)
    for number in range(1, given.count + 1):
        rounds.round(number)
    print(f"{given.count} rounds in {time.monotonic() - begin:.0f} s; wrong: {len(rounds.wrong)}")
    return bool(rounds.wrong)


if __name__ == "__main__":
    sys.exit(main())
