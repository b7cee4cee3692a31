"""The network of a farm: each machine is a network namespace with one link to a bridge, which is in the
namespace of the machine ``hub``. The network of this machine is not touched.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

HUB = "hub"
_HOLD = "import sys; print('ready', flush=True); sys.stdin.read()"
"""A namespace is there as long as this program: until the test, or whoever runs it, ends."""


@dataclass
class FarmNetwork:
    """Machines by name; those that are not asked for are not made."""

    holders: dict[str, subprocess.Popen[str]] = field(default_factory=dict)

    def address(self, name: str) -> str:
        return f"10.77.0.{1 + list(self.holders).index(name)}"

    def within(self, name: str) -> tuple[str, ...]:
        """The words in front of a command that runs on a machine."""
        return ("nsenter", f"--net=/proc/{self.holders[name].pid}/ns/net", "--")

    def run(self, name: str, *argv: str) -> None:
        done = subprocess.run([*self.within(name), *argv], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{argv}: {done.stderr}"

    def add(self, name: str) -> None:
        """Make a machine, and plug its link in."""
        self._hold(name)
        self.run(name, "ip", "link", "set", "lo", "up")
        if name == HUB:
            self.run(HUB, "ip", "link", "add", "farm", "type", "bridge")
            self.run(HUB, "ip", "address", "add", f"{self.address(HUB)}/24", "dev", "farm")
            self.run(HUB, "ip", "link", "set", "farm", "up")
            return
        pid = str(self.holders[name].pid)
        self.run(HUB, "ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", pid)
        self.run(HUB, "ip", "link", "set", name, "master", "farm", "up")
        self.run(name, "ip", "address", "add", f"{self.address(name)}/24", "dev", "eth0")
        self.run(name, "ip", "link", "set", "eth0", "up")

    def cut(self, name: str) -> None:
        """Pull the link of a machine out: nobody is told that connections have ended."""
        self.run(HUB, "ip", "link", "set", name, "nomaster")

    def join(self, name: str) -> None:
        """Plug it in again."""
        self.run(HUB, "ip", "link", "set", name, "master", "farm")

    def _hold(self, name: str) -> None:
        argv = ["unshare", "--net", "--", sys.executable, "-c", _HOLD]
        holder = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert holder.stdout is not None
        if holder.stdout.readline() != "ready\n":
            _, said = holder.communicate()
            pytest.skip(f"network namespaces are not allowed here: {said.strip()}")
        self.holders[name] = holder

    def close(self) -> None:
        for holder in self.holders.values():
            holder.communicate()


@contextmanager
def joined(names: Sequence[str]) -> Iterator[FarmNetwork]:
    """A network with the machine ``hub`` and others. Skips the test where that is not allowed."""
    if os.geteuid() != 0:
        pytest.skip("only root may make network namespaces")
    network = FarmNetwork()
    try:
        network.add(HUB)
        for name in names:
            network.add(name)
        yield network
    finally:
        network.close()
