"""An SSH server on the loopback interface for measurements, with keys of its own."""

from __future__ import annotations

import getpass
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from imagebuild.host.process import run, started
from imagebuild.printable import shell_word

_CONFIG = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
Subsystem sftp internal-sftp
"""


@dataclass(frozen=True)
class LoopbackSsh:
    """How to reach the server."""

    port: int
    folder: Path
    process: int

    @property
    def options(self) -> list[str]:
        """Options of ssh and scp, without the port."""
        known = ["-o", f"UserKnownHostsFile={self.folder}/known", "-o", "StrictHostKeyChecking=yes"]
        return ["-F", "/dev/null", "-i", f"{self.folder}/user", "-o", "BatchMode=yes", *known]

    def command(self, words: Sequence[str]) -> list[str]:
        """The command that runs another one there."""
        line = " ".join(map(shell_word, words))
        return ["ssh", *self.options, "-p", str(self.port), f"{getpass.getuser()}@127.0.0.1", line]

    def processor_seconds(self) -> float:
        """CPU seconds of the connections that have ended, on the server's side."""
        fields = Path(f"/proc/{self.process}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def loopback_ssh(folder: Path) -> Iterator[LoopbackSsh]:
    """A server that runs until the block ends; ``folder`` is for its keys."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name in ("host", "user"):
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], timeout=60)
    (folder / "known").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    (folder / "config").write_text(_CONFIG.format(port=port, folder=folder))
    Path("/run/sshd").mkdir(exist_ok=True)  # sshd insists on it
    with started(["/usr/sbin/sshd", "-D", "-e", "-f", folder / "config"]) as process:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield LoopbackSsh(port, folder, process.pid)
