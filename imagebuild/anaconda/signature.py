"""Who signed a text: asked of gpgv, with one file of keys and nothing of the user's own keyrings."""

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
_HINT = "the package gpgv brings it; run `make setup`"


def is_signed_inside(content: bytes) -> bool:
    """Whether the text brings its signature itself."""
    return content.lstrip().startswith(_SIGNED_INSIDE)


def keyring(candidates: Sequence[Path]) -> Path:
    """The first of these files of keys that is there. Raises HostError when none is."""
    for path in candidates:
        if path.is_file():
            return path
    raise HostError(
        f"the key to check the signature with is not on this system: {', '.join(map(str, candidates))}",
        "get it from the distribution, or from a package of its keys, and compare its fingerprint; docs/sources.md",
    )


def verified(content: bytes, signature: bytes | None, keys: Path, what: str) -> bytes:
    """What was signed, and nothing that stands around it: by a key in the file ``keys``, armoured or not.

    ``signature`` is the detached one, or None where ``content`` brings it. Raises ImageBuildError where it is no good.
    """
    with tempfile.TemporaryDirectory(prefix="imagebuild-signature-") as scratch:
        folder = Path(scratch)
        (folder / "keys.gpg").write_bytes(dearmoured(keys.read_bytes(), keys))
        (folder / "content").write_bytes(content)
        argv: list[str | Path] = [
            "gpgv", "--homedir", folder, "--status-fd", "1", "--keyring", folder / "keys.gpg",
        ]  # fmt: skip
        if signature is None:
            argv += ["--output", folder / "signed", folder / "content"]
        else:
            (folder / "signature").write_bytes(signature)
            argv += [folder / "signature", folder / "content"]
        told = run(argv, timeout=60, check=False, hint=_HINT)
        if told.returncode != 0 or not _is_good(told.stdout):
            raise ImageBuildError(f"{what}: {_reason(told.stdout)} ({keys})", "nothing of it is used")
        return (folder / "signed").read_bytes() if signature is None else content


def _is_good(output: str) -> bool:
    words = {line.split()[1] for line in output.splitlines() if line.startswith("[GNUPG:] ") and len(line.split()) > 1}
    return "VALIDSIG" in words and not words & {"BADSIG", "ERRSIG", "REVKEYSIG", "EXPSIG"}


def _reason(output: str) -> str:
    if "[GNUPG:] BADSIG" in output:
        return "its signature is wrong: it was changed after it was signed"
    if "[GNUPG:] REVKEYSIG" in output:
        return "it is signed with a key that was revoked"
    if "[GNUPG:] NO_PUBKEY" in output:
        signer = output.partition("[GNUPG:] NO_PUBKEY ")[2].split()[0]
        return f"it is signed with the key {signer}, which is not among the keys that were named"
    return "it has no valid signature by the keys that were named"


def dearmoured(content: bytes, where: Path) -> bytes:
    """Keys as gpgv reads them, from a file that may be armoured (RFC 9580, section 6). Raises HostError for no keys."""
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
            raise HostError(f"the file of keys {where} is damaged: its armour is no base64") from error
    if not blocks:
        raise HostError(f"the file of keys {where} is damaged: its armour has no end")
    return b"".join(blocks)
