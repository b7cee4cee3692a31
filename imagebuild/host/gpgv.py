"""Verifies signatures by GnuPG with gpgv and a given keyring, without the user's own keyrings."""

from __future__ import annotations

import base64
import binascii
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from imagebuild.errors import HostError, ImageBuildError
from imagebuild.host.process import run

_SIGNED_INSIDE = (b"-----BEGIN PGP SIGNED MESSAGE-----", b"-----BEGIN PGP MESSAGE-----")
_ARMOUR = re.compile(rb"-----BEGIN PGP [A-Z ]+-----\r?\n(.*?)-----END PGP [A-Z ]+-----", re.DOTALL)
_HINT = "install the package gpgv, or run `make setup`"


def is_signed_inside(content: bytes) -> bool:
    """Whether the text includes its signature."""
    return content.lstrip().startswith(_SIGNED_INSIDE)


def keyring(candidates: Sequence[Path]) -> Path:
    """The first of these keyrings that exists. Raises HostError if none does."""
    for path in candidates:
        if path.is_file():
            return path
    raise HostError(
        f"the keyring for verifying the signature is not on this system: {', '.join(map(str, candidates))}",
        "get it from the distribution, or from a package of its keys, and compare its fingerprint; see docs/sources.md",
    )


def verified(content: bytes, signature: bytes | None, keys: Path, what: str) -> bytes:
    """The signed content, without any text around it, verified with the keyring ``keys``, armoured
    or not.

    ``signature`` is the detached one, or None if ``content`` includes it. Raises ImageBuildError if
    it is not valid.
    """
    with tempfile.TemporaryDirectory(prefix="imagebuild-signature-") as scratch:
        folder = Path(scratch)
        output = _checked(folder, content, signature, dearmoured(keys.read_bytes(), keys))
        if not _is_good(output):
            raise ImageBuildError(f"{what}: {_reason(output)} ({keys})", "the file is not used")
        return (folder / "signed").read_bytes() if signature is None else content


def signed_inside(content: bytes, keys: bytes) -> bytes:
    """The text that includes its signature by one of ``keys`` (in gpgv's format), without anything around
    it. Raises ImageBuildError with the reason if it is not valid.
    """
    with tempfile.TemporaryDirectory(prefix="imagebuild-signature-") as scratch:
        folder = Path(scratch)
        output = _checked(folder, content, None, keys)
        if not _is_good(output):
            raise ImageBuildError(_reason(output))
        return (folder / "signed").read_bytes()


def signer(content: bytes, signature: bytes, keys: bytes) -> str:
    """The fingerprint of the primary key, one of ``keys`` (in gpgv's format), whose detached signature
    this is. Raises ImageBuildError with the reason if it is not valid.
    """
    with tempfile.TemporaryDirectory(prefix="imagebuild-signature-") as scratch:
        output = _checked(Path(scratch), content, signature, keys)
    found = re.search(r"^\[GNUPG:\] VALIDSIG .* ([0-9A-F]{40,64})$", output, re.MULTILINE)
    if found is None or not _is_good(output):
        raise ImageBuildError(_reason(output))
    return found[1]


def _checked(folder: Path, content: bytes, signature: bytes | None, keys: bytes) -> str:
    """The output of gpgv, with its status lines; ``folder`` is an empty one for its files."""
    (folder / "keys.gpg").write_bytes(keys)
    (folder / "content").write_bytes(content)
    argv: list[str | Path] = ["gpgv", "--homedir", folder, "--status-fd", "1", "--keyring", folder / "keys.gpg"]
    if signature is None:
        argv += ["--output", folder / "signed", folder / "content"]
    else:
        (folder / "signature").write_bytes(signature)
        argv += [folder / "signature", folder / "content"]
    done = run(argv, timeout=60, check=False, hint=_HINT)
    return done.stdout if done.returncode == 0 else f"{done.stdout}\n[GNUPG:] ERRSIG"


def _is_good(output: str) -> bool:
    words = {line.split()[1] for line in output.splitlines() if line.startswith("[GNUPG:] ") and len(line.split()) > 1}
    return "VALIDSIG" in words and not words & {"BADSIG", "ERRSIG", "REVKEYSIG", "EXPSIG"}


def _reason(output: str) -> str:
    if "[GNUPG:] BADSIG" in output:
        return "its signature is invalid: the file was changed after it was signed"
    if "[GNUPG:] REVKEYSIG" in output:
        return "it is signed with a key that was revoked"
    if "[GNUPG:] NO_PUBKEY" in output:
        signer = output.partition("[GNUPG:] NO_PUBKEY ")[2].split()[0]
        return f"it is signed with the key {signer}, which is not in the keyring"
    return "it has no valid signature by a key in the keyring"


def dearmoured(content: bytes, where: Path) -> bytes:
    """Keys in gpgv's format, from a file that may be armoured (RFC 9580, section 6). Raises
    HostError if it is damaged.
    """
    if b"-----BEGIN PGP" not in content:
        return content
    blocks = []
    for found in _ARMOUR.finditer(content):
        headers, blank, body = found[1].replace(b"\r\n", b"\n").partition(b"\n\n")
        lines = (body if blank else headers).strip().splitlines()
        try:
            blocks.append(
                base64.b64decode(b"".join(line for line in lines if not line.startswith(b"=")), validate=True)
            )
        except binascii.Error as error:
            raise HostError(f"the keyring {where} is damaged: its armour is not base64") from error
    if not blocks:
        raise HostError(f"the keyring {where} is damaged: its armour has no end")
    return b"".join(blocks)
