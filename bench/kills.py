"""Kill builds at random instants, and check that nothing is left and nothing is damaged.

    python -m bench.kills --count 100 [--way kill|full|daemon] [--workdir DIR] [--seed N] [--store STORE]

Each round starts a build of one of two recipes and disturbs it at a random instant, or just when a
step begins or ends: ``kill`` kills its process (SIGKILL, as the kernel does when memory is short),
``full`` fills its file system (a tmpfs, which needs root), and ``daemon`` stops libvirt's daemon,
which must have no effect. Then it runs `imagebuild gc` and checks what is left. Every few rounds a
build is not disturbed: it must succeed. Everything is real: virt-install, libguestfs, mmdebstrap.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from imagebuild.host import daemons, hypervisor
from imagebuild.host.process import MARK

RECIPE = """\
extends: debian-13
name: {name}
kernel_arguments: {{append: [round={installation}]}}
operations:
  append:
    - run-command: {{command: "sleep 6; echo {number} >/etc/number"}}
"""
UNDISTURBED_EVERY = 12
"""Number of rounds after which a build is not disturbed."""
FULL = "12g"
"""Size of the file system that is filled."""
Way = Literal["kill", "full", "daemon"]


@dataclass
class Rounds:
    """The rounds, with a project and its store below ``folder``."""

    folder: Path
    random: random.Random
    limit: float
    """Longest wait before the disturbance, in seconds."""
    way: Way = "kill"
    killed_at: Counter[str] = field(default_factory=Counter)
    left: list[str] = field(default_factory=list)
    before: frozenset[str] = frozenset()

    def go(self, count: int) -> None:
        """Run ``count`` disturbed builds, with undisturbed ones between them."""
        (self.folder / "out").mkdir()
        self.before = frozenset(self._temporary())
        self._edit(0)
        self._undisturbed(0)  # otherwise most kills would hit the packages' download
        for number in range(1, count + 1):
            if number % 3 == 1 or self.way != "kill":
                self._edit(number)
            self._strike()
            self._look(number)
            if number % UNDISTURBED_EVERY == 0:
                self._undisturbed(number)
        self._undisturbed(count)

    def _edit(self, number: int) -> None:
        """Change what the next build must do.

        Always an operation; the installation every few rounds, or each time if nothing is killed.
        """
        installation = number // UNDISTURBED_EVERY if self.way == "kill" else number
        for name in ("one", "two"):
            path = self.folder / "recipes" / f"{name}.yaml"
            path.parent.mkdir(exist_ok=True)
            path.write_text(RECIPE.format(name=name, installation=installation, number=number))

    def _start(self, *names: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "imagebuild", "build", *names, "--json"],
            cwd=self.folder, env=self._environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "IMAGEBUILD_STORE": str(self.folder / "store"),
            "IMAGEBUILD_OUTPUT": str(self.folder / "out"),
        }

    def _strike(self) -> None:
        process = self._start(self.random.choice(("one", "two")))
        boundary = self.random.random() < 0.4
        steps = self.random.randint(1, 6)
        struck = threading.Event()

        def strike() -> None:
            if not struck.is_set() and process.poll() is None:
                struck.set()
                {"kill": process.kill, "full": self._fill, "daemon": _end_daemon}[self.way]()

        timer = threading.Timer(self.random.uniform(0, self.limit), strike)
        timer.start()
        at, seen, message = "the start", 0, ""
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line) if line.startswith("{") else {}
            message = event.get("message", message)
            if event.get("event") == "step" and not struck.is_set():
                at = f"{event['step']} {event['state'] if event['state'] != 'running' else ''}".strip()
                seen += event["state"] != "running"
            if boundary and seen >= steps:
                strike()
        timer.cancel()
        process.wait()
        (self.folder / "ballast").unlink(missing_ok=True)
        self.killed_at[at if struck.is_set() else "ended before"] += 1
        expected = {"kill": (0, -signal.SIGKILL), "full": (0, 3), "daemon": (0,)}[self.way]
        if process.returncode not in expected:
            self.left.append(f"a build with {self.way} at {at} ended with {process.returncode}: {message}")
            print(self.left[-1], flush=True)
        elif message:
            print(f"     {message}", flush=True)

    def _fill(self) -> None:
        """Fill the file system, and again whenever others free some space."""
        with (self.folder / "ballast").open("ab") as ballast, suppress(OSError):
            while True:
                ballast.write(bytes(1 << 20))
                ballast.flush()

    def _look(self, number: int) -> None:
        subprocess.run(
            [sys.executable, "-m", "imagebuild", "gc", "--keep", "2", "--output", self.folder / "out"],
            cwd=self.folder, env=self._environment(), check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        found = [*self._domains(), *self._processes(), *self._files(), *(set(self._temporary()) - self.before)]
        self.left += [f"round {number}: {one}" for one in found]
        print(f"{number:4} killed at {dict(self.killed_at)}, left: {found}", flush=True)

    def _domains(self) -> list[str]:
        with hypervisor.connected(hide_kvm=True) as connection:
            return [
                f"domain {name}"
                for name in connection.names()
                if name.startswith(("imagebuild-one-", "imagebuild-two-"))
            ]

    def _processes(self) -> list[str]:
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                environ = path.read_bytes()
                if any(f"{MARK}={name}-".encode() in environ for name in ("one", "two")):
                    command = (path.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    found.append(f"process {path.parent.name}: {command}")
            except OSError:
                continue
        return found

    def _files(self) -> list[str]:
        store, out = self.folder / "store", self.folder / "out"
        hidden = list(out.glob("*/.*"))
        return [
            str(path) for path in (*store.glob("work/*"), *store.glob("locks/*"), *store.glob("damaged/*"), *hidden)
        ]

    def _temporary(self) -> list[str]:
        used = Path("/proc/net/unix").read_text(errors="replace")
        return [str(path) for path in Path(tempfile.gettempdir()).glob("libguestfs*") if f"{path}/" not in used]

    def _undisturbed(self, number: int) -> None:
        begin = time.monotonic()
        process = self._start("one", "two")
        output, _ = process.communicate()
        images = [json.loads(line)["image"] for line in output.splitlines() if '"event": "artifact"' in line]
        if process.returncode or len(images) != 2:
            errors = [line for line in output.splitlines() if '"event": "error"' in line] or [output[-2000:]]
            self.left.append(f"round {number}: the undisturbed build failed: {errors}")
            print(self.left[-1], flush=True)
        for image in images:
            path = self.folder / image
            subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=path.parent, check=True)
            subprocess.run(["qemu-img", "check", "-q", "-f", "qcow2", path], check=True)
        print(f"{number:4} undisturbed: {time.monotonic() - begin:.0f} s, {len(images)} images intact", flush=True)


def _end_daemon() -> None:
    """Stop libvirt's daemon, if a build started it: nobody would restart another one."""
    if (daemon := daemons.private_daemon()) is not None:
        os.kill(daemon, signal.SIGTERM)
        while Path(f"/proc/{daemon}").exists():
            time.sleep(0.05)


def main() -> int:
    """Run the rounds and report; 1 if anything was left or damaged."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--way", choices=get_args(Way), default="kill")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=float, default=40.0, help="longest wait before a kill, in seconds")
    parser.add_argument("--store", type=Path, help="start with a copy of this store")
    parser.add_argument("--workdir", type=Path, default=Path("/var/tmp"), help="needs about 8 GiB")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kills-", dir=arguments.workdir) as name, ExitStack() as held:
        if arguments.way == "full":
            _end_daemon()  # a running one would not see the new mount
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={FULL}", "imagebuild-kills", name], check=True)
            held.callback(subprocess.run, ["umount", name], check=True)
        Path(name).chmod(0o711)  # QEMU's own user must be able to access the disks
        if arguments.store:
            subprocess.run(["cp", "-a", "--sparse=always", arguments.store, Path(name) / "store"], check=True)
        rounds = Rounds(Path(name), random.Random(arguments.seed), arguments.limit, arguments.way)
        rounds.go(arguments.count)
    print(f"{arguments.way}: {sum(rounds.killed_at.values())} times at {dict(rounds.killed_at)}")
    print("\n".join(rounds.left) or "nothing was left, nothing was damaged")
    return bool(rounds.left)


if __name__ == "__main__":
    sys.exit(main())
