"""Signatures by gpg, which never asks anybody.

gpg starts an agent that keeps running. An agent that was not there before is stopped again, and one of
the user, which may know a passphrase, is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from imagebuild.errors import CommandFailed, ImageBuildError, UsageError
from imagebuild.host.process import run

_TIMEOUT = 60.0
_HINT = "install the package gnupg, or run `make setup`"
_FINGERPRINT = re.compile(r"[0-9A-F]{40,64}")


@dataclass(frozen=True)
class SigningKey:
    """A key that can sign. ``home`` is the folder of GnuPG, None for the user's own; ``passphrase`` is
    a file with the key's passphrase.
    """

    home: Path | None
    fingerprint: str
    passphrase: Path | None

    def clear_sign(self, source: Path, result: Path) -> None:
        """Write the content of a text file with its signature to a new file. Raises ImageBuildError."""
        self._sign(["--clear-sign"], source, result)

    def detach_sign(self, source: Path, result: Path) -> None:
        """Write the armoured signature of a file to a new file. Raises ImageBuildError."""
        self._sign(["--armor", "--detach-sign"], source, result)

    def _sign(self, how: list[str], source: Path, result: Path) -> None:
        mode = ["--pinentry-mode", "error"]
        if self.passphrase is not None:
            mode = ["--pinentry-mode", "loopback", "--passphrase-file", str(self.passphrase.absolute())]
        argv = [*_gpg(self.home), *mode, "--local-user", self.fingerprint, "--output", result, *how, source]
        try:
            run(argv, timeout=_TIMEOUT, hint=_HINT)
        except CommandFailed as error:
            raise ImageBuildError(
                f"gpg did not sign with the key {self.fingerprint}: {error.message}",
                "if the key has a passphrase, give a file with it: --passphrase-file, or trust.sums.passphrase_file",
            ) from error

    def public(self, result: Path) -> None:
        """Write the public key, armoured, to a new file."""
        run(
            [*_gpg(self.home), "--armor", "--output", result, "--export", self.fingerprint],
            timeout=_TIMEOUT,
            hint=_HINT,
        )


@contextmanager
def signing_key(key: str, home: Path | None = None, passphrase: Path | None = None) -> Iterator[SigningKey]:
    """The secret key that ``key`` names (a fingerprint, an ID or a user ID) within the block. Raises
    UsageError if there is not exactly one, HostError without gpg.
    """
    if home is not None and not home.is_dir():
        raise UsageError(f"there is no folder of GnuPG {home}")
    if passphrase is not None and not passphrase.is_file():
        raise UsageError(f"there is no file with a passphrase {passphrase}")
    ours = not _has_agent(home)
    try:
        yield SigningKey(home, _fingerprint(key, home), passphrase)
    finally:
        if ours:
            run([*_for_home("gpgconf", home), "--kill", "gpg-agent"], timeout=_TIMEOUT, check=False, hint=_HINT)


def _fingerprint(key: str, home: Path | None) -> str:
    argv = [*_gpg(home), "--with-colons", "--list-secret-keys", "--", key]
    records = [line.split(":") for line in run(argv, timeout=_TIMEOUT, check=False, hint=_HINT).stdout.splitlines()]
    # a record `fpr` after `sec` has the primary key's fingerprint (GnuPG's doc/DETAILS)
    primary = [
        after[9]
        for one, after in pairwise(records)
        if one[0] == "sec" and after[0] == "fpr" and len(after) > 9 and _FINGERPRINT.fullmatch(after[9])
    ]
    if len(primary) != 1:
        found = f"{len(primary)} secret keys" if primary else "no secret key"
        raise UsageError(
            f"gpg knows {found} of the name {key}",
            "`gpg --list-secret-keys` shows the fingerprints; GNUPGHOME names another folder of GnuPG",
        )
    return primary[0]


def _has_agent(home: Path | None) -> bool:
    # the exit status is 0 in any case; only a running agent answers with a line of data
    argv = [*_for_home("gpg-connect-agent", home), "--no-autostart", "GETINFO pid", "/bye"]
    lines = run(argv, timeout=_TIMEOUT, check=False, hint=_HINT).stdout.splitlines()
    return any(line.startswith("D ") for line in lines)


def _gpg(home: Path | None) -> list[str | Path]:
    return [*_for_home("gpg", home), "--batch", "--no-tty", "--quiet"]


def _for_home(program: str, home: Path | None) -> list[str | Path]:
    return [program] if home is None else [program, "--homedir", home.absolute()]
