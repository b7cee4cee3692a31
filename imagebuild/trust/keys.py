"""The keys whose signatures a project accepts, and whether it does today.

A signature has no time that can be trusted: whoever has a key can put any date into what it signs. So a
key that has expired or was revoked is not accepted any more, whenever it signed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from imagebuild.errors import HostError, UsageError
from imagebuild.host.gpgv import dearmoured
from imagebuild.project.trust import AcceptedIdentity, AcceptedKey, Trust
from imagebuild.schema.ssh_keys import KEY_TYPES
from imagebuild.store import beside

if TYPE_CHECKING:
    from securesystemslib.signer import SSlibKey

_LARGEST = 1 << 20
_EXPECTED = "expected an Ed25519 or ECDSA key as PEM or as one line of OpenSSH, or an OpenPGP key"


@dataclass(frozen=True)
class VerificationKey:
    """A public key. ``key`` verifies provenance, ``openssh`` (type and base64) signatures by ssh-keygen;
    an OpenPGP key has only ``openpgp``, in gpgv's format. ``keyid`` is what an envelope calls it.
    """

    name: str
    keyid: str = ""
    key: SSlibKey | None = None
    openssh: str = ""
    openpgp: bytes = b""
    not_before: date | None = None
    expires: date | None = None
    revoked: date | None = None
    reason: str = ""

    def refusal(self, today: date) -> str:
        """Why the key is not accepted on this day, as a clause; empty if it is."""
        return _refusal(f"the key {self.name}", self, today)


@dataclass(frozen=True)
class SignerIdentity:
    """Who may have signed with sigstore: the identity in the certificate, and the provider that vouches
    for it.
    """

    identity: str
    issuer: str
    not_before: date | None = None
    expires: date | None = None
    revoked: date | None = None
    reason: str = ""

    def refusal(self, today: date) -> str:
        """Why the identity is not accepted on this day, as a clause; empty if it is."""
        return _refusal(f"the identity {self.identity}", self, today)


def _refusal(what: str, signer: VerificationKey | SignerIdentity, today: date) -> str:
    if signer.revoked is not None and signer.revoked <= today:
        why = f" ({signer.reason})" if signer.reason else ""
        return f"{what} was revoked on {signer.revoked}{why}"
    if signer.expires is not None and signer.expires < today:
        return f"{what} expired on {signer.expires}"
    if signer.not_before is not None and today < signer.not_before:
        return f"{what} is not valid before {signer.not_before}"
    return ""


@dataclass(frozen=True)
class Policy:
    """What is accepted: signatures of ``threshold`` different keys of these on the provenance, where an
    identity counts as a key. ``sums`` says that SHA256SUMS must be signed too, and by what: gpg, ssh, or
    empty. ``trusted_root`` is a file for sigstore; None for its public instance.
    """

    keys: tuple[VerificationKey, ...]
    threshold: int = 1
    sums: str = ""
    identities: tuple[SignerIdentity, ...] = ()
    trusted_root: Path | None = None

    @property
    def provenance_keys(self) -> tuple[VerificationKey, ...]:
        """Those that can have signed provenance."""
        return tuple(one for one in self.keys if one.key is not None)

    @property
    def checks_provenance(self) -> bool:
        """Whether somebody is accepted who can have signed provenance."""
        return bool(self.provenance_keys or self.identities)


def policy(trust: Trust, folder: Path) -> Policy:
    """What a project accepts; ``folder`` is that of its file. Raises UsageError for a key that cannot be
    used.
    """
    loaded = tuple(_accepted(one, folder) for one in trust.keys)
    _refuse_twice(loaded)
    sums = "" if trust.sums is None else "gpg" if trust.sums.gpg else "ssh"
    root = trust.sigstore.trusted_root
    return Policy(
        loaded,
        trust.threshold,
        sums,
        tuple(map(_identity, trust.sigstore.identities)),
        None if root is None else folder / Path(root).expanduser(),
    )


def of_files(paths: Sequence[Path]) -> Policy:
    """What is accepted if only the keys in these files are. Raises UsageError."""
    loaded = tuple(public(str(path), path.name, Path()) for path in paths)
    _refuse_twice(loaded)
    return Policy(loaded)


def _accepted(entry: AcceptedKey, folder: Path) -> VerificationKey:
    found = public(entry.key, entry.name, folder)
    revoked = entry.revoked
    return VerificationKey(
        entry.name, found.keyid, found.key, found.openssh, found.openpgp, entry.not_before, entry.expires,
        revoked.on if revoked else None, revoked.reason if revoked else "",
    )  # fmt: skip


def _identity(entry: AcceptedIdentity) -> SignerIdentity:
    revoked = entry.revoked
    return SignerIdentity(
        entry.identity, entry.issuer, entry.not_before, entry.expires,
        revoked.on if revoked else None, revoked.reason if revoked else "",
    )  # fmt: skip


def _refuse_twice(keys: Sequence[VerificationKey]) -> None:
    """One key with two names would count twice."""
    seen: dict[object, str] = {}
    for one in keys:
        if (other := seen.setdefault(one.keyid or one.openpgp, one.name)) != one.name:
            raise UsageError(f"the keys {other} and {one.name} are the same key", "remove one of the two")


def public(written: str, name: str, folder: Path) -> VerificationKey:
    """The public key in a text, or in the file that it names. Raises UsageError."""
    if written.startswith(KEY_TYPES):
        return _loaded(written.encode(), name, "")
    try:
        path = folder / Path(written).expanduser()
        content = beside.content_of(path.resolve(), _LARGEST)
    except (RuntimeError, ValueError, OSError) as error:
        raise UsageError(f"the key {name}: {written} cannot be read: {error}") from error
    if content is None:
        raise UsageError(f"the key {name}: there is no file {path}")
    return _loaded(content, name, str(path))


def _loaded(content: bytes, name: str, where: str) -> VerificationKey:
    place = f" in {where}" if where else ""
    if b"PRIVATE KEY" in content:
        raise UsageError(f"the key {name}{place} is a private key", f"{_EXPECTED}; keep the private one secret")
    if b"-----BEGIN PGP" in content:
        try:
            return VerificationKey(name, openpgp=dearmoured(content, Path(where or name)))
        except HostError as error:
            raise UsageError(f"the key {name}: {error.message}") from error
    from cryptography.exceptions import UnsupportedAlgorithm  # takes its time, and most commands check nothing
    from cryptography.hazmat.primitives.serialization import load_pem_public_key, load_ssh_public_key

    try:
        if b"-----BEGIN PUBLIC KEY" in content:
            loaded = load_pem_public_key(content)
        else:
            loaded = load_ssh_public_key(_one_line(content))
        return of_public(loaded, name)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(f"the key {name}{place} cannot be used", _EXPECTED) from error


def _one_line(content: bytes) -> bytes:
    lines = [line for line in content.splitlines() if line.strip() and not line.startswith(b"#")]
    if len(lines) != 1:
        raise ValueError("expected one key")
    return lines[0]


def of_public(loaded: object, name: str) -> VerificationKey:
    """The key for a public key of the library cryptography. Raises ValueError for one that is neither
    Ed25519 nor ECDSA on a NIST curve.
    """
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    from securesystemslib.signer import SSlibKey

    if not isinstance(loaded, Ed25519PublicKey | EllipticCurvePublicKey):
        raise ValueError("neither Ed25519 nor ECDSA")  # noqa: TRY004 - as the libraries say it
    key = SSlibKey.from_crypto(loaded)
    return VerificationKey(name, key.keyid, key, loaded.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode())


def short(keyid: str) -> str:
    """An identifier as messages show it."""
    return keyid if re.fullmatch(r"[0-9a-zA-Z._-]{1,16}", keyid) else f"{keyid[:16]}…"
