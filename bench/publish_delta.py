"""Publish a version to a host that has an older one, compared with the usual tools.

    python -m bench.publish_delta OLD.qcow2 NEW.qcow2 [--workdir DIR]

Prints the bytes that cross the network, in both directions, for the whole file; for the agent with the
older version on the host; for rsync -z of the raw disk over its older version; and, as far as they are
installed, for rsync and rdiff on the images, rdiff and casync on the raw disks, and xdelta3, which needs
the older version at both ends. The goals: at most 0.15 of the whole file, and 0.7 of rsync -z. All of
them run on this machine; elapsed and CPU seconds are those of both ends together.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from imagebuild.files import allocated, sha256
from imagebuild.host.process import run
from imagebuild.publish.agent_client import HostAgent

GOALS = (0.15, 0.7)
_LIMIT = 7200.0
_NAME = "web--2--0.qcow2"


class Pair:
    """An older and a newer image, and their raw disks, in a folder for results."""

    def __init__(self, old: Path, new: Path, folder: Path) -> None:
        self.old, self.new, self.folder = old, new, folder
        self.old_raw, self.new_raw = folder / "old.raw", folder / "new.raw"
        for image, raw in ((old, self.old_raw), (new, self.new_raw)):
            run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", image, raw], timeout=_LIMIT)

    def agent(self) -> int:
        """The agent, with a pool that has the older version."""
        pool = self.folder / "pool"
        pool.mkdir()
        shutil.copy(self.old, pool / "web--1--0.qcow2")
        with HostAgent() as agent:
            return agent.put(str(pool), _NAME, self.new, self.new.stat().st_size, sha256(self.new), ["web--1--0.qcow2"])

    def rsync(self, old: Path, new: Path, *options: str) -> int:
        """rsync onto a copy of the older file."""
        copy = self.folder / "copy"
        run(["cp", "--sparse=always", old, copy], timeout=_LIMIT)
        argv = ["rsync", "--no-whole-file", "--inplace", "--stats", *options, new, copy]
        said = run(argv, timeout=_LIMIT).stdout
        copy.unlink()
        return sum(int(n.replace(",", "")) for n in re.findall(r"Total bytes (?:sent|received): ([\d,]+)", said))

    def rdiff(self, old: Path, new: Path, *options: str) -> int:
        """librsync's signature and delta; the delta is compressed, as rsync -z would."""
        signature, delta = self.folder / "signature", self.folder / "delta"
        run(["rdiff", *options, "signature", old, signature], timeout=_LIMIT)
        run(["rdiff", "delta", signature, new, delta], timeout=_LIMIT)
        run(["zstd", "-q", "-3", delta, "-o", self.folder / "delta.zst"], timeout=_LIMIT)
        made = (signature, self.folder / "delta.zst")
        found = sum(path.stat().st_size for path in made)
        for path in (*made, delta):
            path.unlink()
        return found

    def casync(self, size: int) -> int:
        """The chunks that the store of the older disk does not have, and the index."""
        store, index = self.folder / "store", self.folder / "new.caibx"
        argv = ["casync", "make", f"--chunk-size={size}", f"--store={store}"]
        run([*argv, self.folder / "old.caibx", self.old_raw], timeout=_LIMIT)
        before = _sizes(store)
        run([*argv, index, self.new_raw], timeout=_LIMIT)
        found = sum(_sizes(store).values()) - sum(before.values()) + index.stat().st_size
        shutil.rmtree(store)
        return found

    def xdelta3(self, old: Path, new: Path) -> int:
        """xdelta3, which may look at all of the older file."""
        made = self.folder / "delta"
        window = str(min(old.stat().st_size, 1 << 31))
        run(["xdelta3", "-e", "-B", window, "-s", old, "-f", new, made], timeout=_LIMIT)
        found = made.stat().st_size
        made.unlink()
        return found


def main() -> None:
    """Measure all of them, one after the other."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--workdir", type=Path, default=Path("/var/tmp"), help="needs three times the disk's data")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-", dir=arguments.workdir) as name:
        pair = Pair(arguments.old, arguments.new, Path(name))
        whole = pair.new.stat().st_size
        print(f"{whole} bytes; {allocated(pair.new_raw) >> 20} MiB of data; load {os.getloadavg()[0]:.1f}")
        ours = _report("agent", whole, pair.agent)
        theirs = _report("rsync -z, raw", whole, lambda: pair.rsync(pair.old_raw, pair.new_raw, "-z"))
        print(f"agent: {ours / whole:.3f} of the file, {ours / theirs:.3f} of rsync -z; goals {GOALS[0]}, {GOALS[1]}")
        others: list[tuple[str, str, Callable[[], int]]] = [
            ("rsync", "rsync -z -B 4096, raw", lambda: pair.rsync(pair.old_raw, pair.new_raw, "-z", "-B", "4096")),
            ("rsync", "rsync, qcow2", lambda: pair.rsync(pair.old, pair.new)),
            ("rdiff", "rdiff, qcow2", lambda: pair.rdiff(pair.old, pair.new)),
            ("rdiff", "rdiff -b 4096, raw", lambda: pair.rdiff(pair.old_raw, pair.new_raw, "-b", "4096")),
            ("casync", "casync, raw, 64 KiB", lambda: pair.casync(65536)),
            ("casync", "casync, raw, 16 KiB", lambda: pair.casync(16384)),
            ("casync", "casync, raw, 4 KiB", lambda: pair.casync(4096)),
            ("xdelta3", "xdelta3, qcow2", lambda: pair.xdelta3(pair.old, pair.new)),
        ]
        for program, what, work in others:
            if shutil.which(program):
                _report(what, whole, work)


def _report(what: str, whole: int, work: Callable[[], int]) -> int:
    begin, before = time.monotonic(), sum(os.times()[:4])
    found = work()
    clock, processors = time.monotonic() - begin, sum(os.times()[:4]) - before
    print(f"  {what:<22} {found:>11} bytes ({found / whole:.3f}), {clock:6.1f} s, CPU {processors:6.1f} s", flush=True)
    return found


def _sizes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in folder.rglob("*") if path.is_file()}


if __name__ == "__main__":
    main()
