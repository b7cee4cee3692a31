"""Real servers on the loopback interface: OpenSSH's sshd, rclone's S3 server, and moto's."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

ACCESS, SECRET = "AKIDEXAMPLE", "not-a-secret-key"
BUCKET = "images"
_PATIENCE = 60.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Peer:
    """A server program; ``kill`` ends it like a power cut, ``start`` starts it again on its port. It
    serves at ``host``, which may be in a network namespace: ``within`` are the words that enter it.
    """

    def __init__(self, folder: Path, host: str = "127.0.0.1", within: Sequence[str] = ()) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.port = folder, free_port()
        self.host, self.within = host, within
        self.process: subprocess.Popen[bytes] | None = None

    def argv(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.within, *self.argv()],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, start_new_session=True,
            )  # fmt: skip
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            if self._serves():
                return
            assert self.process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.02)
        raise TimeoutError(self.argv())

    def _serves(self) -> bool:
        if self.within:
            connect = f"exec 3<>/dev/tcp/{self.host}/{self.port}"
            return subprocess.run([*self.within, "bash", "-c", connect], stderr=subprocess.DEVNULL).returncode == 0
        with suppress(OSError), socket.create_connection((self.host, self.port), 1):
            return True
        return False

    def signal(self, number: int) -> None:
        """Send a signal to the server and everything it started."""
        assert self.process is not None
        for pid in [self.process.pid, *descendants(self.process.pid)]:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self) -> None:
        if self.process is not None:
            self.signal(signal.SIGKILL)
            self.process.wait()
            self.process = None


def descendants(pid: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            stat = (folder / "stat").read_text().rpartition(")")[2].split()
            parents.setdefault(int(stat[1]), []).append(int(folder.name))
    found, todo = [], [pid]
    while todo:
        children = parents.get(todo.pop(), [])
        found += children
        todo += children
    return found


class Sshd(Peer):
    """OpenSSH's server, with a host key and a user key of its own."""

    def __init__(
        self, folder: Path, subsystem: str = "internal-sftp", host: str = "127.0.0.1", within: Sequence[str] = ()
    ) -> None:
        super().__init__(folder, host, within)
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        for name in ("host", "user", "other"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name],
                check=True,
                stdin=subprocess.DEVNULL,
            )
        shutil.copy(folder / "user.pub", folder / "authorized_keys")
        self.known_hosts("host")
        (folder / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress {self.host}\nHostKey {folder}/host\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\nPasswordAuthentication no\n"
            f"KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nMaxStartups 100\n"
            f"Subsystem sftp {subsystem}\n"
        )

    def known_hosts(self, key: str) -> None:
        kind, public, *_ = (self.folder / f"{key}.pub").read_text().split()
        (self.folder / "known_hosts").write_text(f"[{self.host}]:{self.port} {kind} {public}\n")

    def argv(self) -> list[str]:
        return ["/usr/sbin/sshd", "-D", "-e", "-f", str(self.folder / "sshd_config")]

    def entry(self, path: Path) -> dict[str, object]:
        return {
            "url": f"sftp://root@{self.host}:{self.port}{path}",
            "identity_file": str(self.folder / "user"),
            "known_hosts_file": str(self.folder / "known_hosts"),
        }


class S3Peer(Peer):
    """A server that speaks S3; credentials are in files beside it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (folder / "access").write_text(ACCESS + "\n")
        (folder / "secret").write_text(SECRET + "\n")

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> Any:
        return boto3.client(
            "s3", endpoint_url=self.endpoint, aws_access_key_id=ACCESS, aws_secret_access_key=SECRET,
            region_name="us-east-1", config=Config(s3={"addressing_style": "path"}),
        )  # fmt: skip

    def entry(self, prefix: str) -> dict[str, object]:
        return {
            "insecure": True,
            "url": f"s3://{BUCKET}/{prefix}",
            "endpoint": self.endpoint,
            "region": "us-east-1",
            "access_key": {"file": str(self.folder / "access")},
            "secret_key": {"file": str(self.folder / "secret")},
        }


class Rclone(S3Peer):
    """rclone's S3 server: it checks signatures and keeps objects in a folder, and ignores conditions."""

    def argv(self) -> list[str]:
        (self.folder / "root" / BUCKET).mkdir(parents=True, exist_ok=True)
        program = Path(sys.executable).with_name("rclone")
        return [
            str(program), "serve", "s3", "--config", "", "--addr", f"127.0.0.1:{self.port}", "--auth-key",
            f"{ACCESS},{SECRET}", str(self.folder / "root"),
        ]  # fmt: skip


class Moto(S3Peer):
    """moto's server: in memory, without signatures, and it keeps to conditions as Amazon's does."""

    def argv(self) -> list[str]:
        return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]

    def start(self) -> None:
        super().start()
        self.client().create_bucket(Bucket=BUCKET)
