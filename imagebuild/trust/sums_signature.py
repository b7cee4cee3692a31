"""Signatures of SHA256SUMS, for clients that know nothing of provenance: GnuPG's, or OpenSSH's.

The format of OpenSSH is PROTOCOL.sshsig, under the namespace ``imagebuild``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from imagebuild.errors import CommandFailed, ImageBuildError, UsageError
from imagebuild.host import gpgv
from imagebuild.host.gpg import signing_key
from imagebuild.host.process import run
from imagebuild.project.trust import SumsSignature
from imagebuild.trust.keys import VerificationKey

NAMESPACE = "imagebuild"
_IDENTITY = "imagebuild"
_TIMEOUT = 60.0
_HINT = "install the package openssh-client"


def signed(content: bytes, sums: SumsSignature, folder: Path) -> bytes:
    """A signature of SHA256SUMS; ``folder`` is that of the project's file. Raises ImageBuildError."""
    with tempfile.TemporaryDirectory(prefix="imagebuild-sign-") as scratch:
        source, result = Path(scratch) / "SHA256SUMS", Path(scratch) / "SHA256SUMS.sig"
        source.write_bytes(content)
        if sums.gpg is not None:
            with signing_key(sums.gpg, _path(sums.gpg_home, folder), _path(sums.passphrase_file, folder)) as key:
                key.detach_sign(source, result)
        else:
            path = _path(sums.ssh, folder)
            assert path is not None
            if not path.is_file():
                raise UsageError(f"trust.sums.ssh: there is no file {path}")
            try:
                argv: list[str | Path] = ["ssh-keygen", "-q", "-Y", "sign", "-n", NAMESPACE, "-f", path, source]
                # without a terminal and a program that asks, a key with a passphrase is an error
                run(argv, timeout=_TIMEOUT, hint=_HINT, env={"SSH_ASKPASS_REQUIRE": "never"})
            except CommandFailed as error:
                raise ImageBuildError(
                    f"ssh-keygen did not sign with the key {path}: {error.message}",
                    "a key with a passphrase must be in the SSH agent: ssh-add",
                ) from error
        return result.read_bytes()


def _path(written: str | None, folder: Path) -> Path | None:
    return None if written is None else folder / Path(written).expanduser()


def gpg_signer(content: bytes, signature: bytes, keys: Sequence[VerificationKey]) -> VerificationKey:
    """Whose signature this is. Raises ImageBuildError with a clause that says what is wrong."""
    said = "there is no OpenPGP key to check it with"
    for one in keys:
        if not one.openpgp:
            continue
        try:
            gpgv.signer(content, signature, one.openpgp)
            return one
        except ImageBuildError as error:
            # what only says that another key has signed is of less interest
            said = error.message if "invalid" in error.message or "no Open" in said else said
    raise ImageBuildError(said)


def ssh_signer(content: bytes, signature: bytes, keys: Sequence[VerificationKey]) -> VerificationKey:
    """Whose signature this is. Raises ImageBuildError with a clause that says what is wrong."""
    with tempfile.TemporaryDirectory(prefix="imagebuild-signature-") as scratch:
        allowed, path = Path(scratch) / "allowed_signers", Path(scratch) / "signature"
        path.write_bytes(signature)
        for one in keys:
            if not one.openssh:
                continue
            allowed.write_text(f'{_IDENTITY} namespaces="{NAMESPACE}" {one.openssh}\n')
            argv: list[str | Path] = [
                "ssh-keygen", "-q", "-Y", "verify", "-n", NAMESPACE, "-f", allowed, "-I", _IDENTITY, "-s", path,
            ]  # fmt: skip
            if run(argv, timeout=_TIMEOUT, check=False, input=content.decode(), hint=_HINT).returncode == 0:
                return one
    raise ImageBuildError("it is no signature of this file by an accepted key")
