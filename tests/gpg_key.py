"""gpg with its own new key, and without processes that keep running."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Signer:
    """A key in its own GnuPG home."""

    home: Path

    def gpg(self, *arguments: str | Path, content: bytes = b"") -> bytes:
        argv = ["gpg", "--homedir", self.home, "--batch", "--quiet", "--passphrase", "", *arguments]
        return subprocess.run(argv, input=content, capture_output=True, check=True).stdout

    def keys(self, path: Path, *, armoured: bool) -> Path:
        """The public key in a file."""
        path.write_bytes(self.gpg("--export", *(["--armor"] if armoured else [])))
        return path


@contextmanager
def signer(home: Path, name: str) -> Iterator[Signer]:
    """A new key; the agent that gpg starts automatically is stopped at the end of the block."""
    home.mkdir(mode=0o700)
    made = Signer(home)
    try:
        made.gpg("--quick-generate-key", name, "ed25519", "sign", "never")
        yield made
    finally:
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "gpg-agent"], check=True)
