"""What ``attest --json`` and ``verify-signature --json`` print."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from imagebuild.events import JsonLine
from imagebuild.trust.checking import SumsChecked
from imagebuild.trust.statement import Dependency


@dataclass(frozen=True, kw_only=True)
class ArtifactSigned(JsonLine):
    """A signed artifact; ``written`` has the files that are new, and is empty if all were there. ``keyid``
    is empty if only sigstore signed.
    """

    event: Literal["attested"] = "attested"
    recipe: str
    version: str
    provenance: str
    keyid: str
    written: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class KeyCreated(JsonLine):
    """A new key pair: the file of the private key, and the public key as OpenSSH writes it."""

    event: Literal["key created"] = "key created"
    file: str
    public: str
    keyid: str


@dataclass(frozen=True)
class SigningKeyFound:
    """A key that has signed."""

    name: str
    keyid: str


@dataclass(frozen=True)
class SigningIdentityFound:
    """An identity that has signed with sigstore, and who vouches for it. ``time`` is when the log recorded
    that (UTC, ISO 8601), empty if it does not say it.
    """

    identity: str
    issuer: str
    time: str


@dataclass(frozen=True, kw_only=True)
class SignatureChecked(JsonLine):
    """An artifact that is what was signed. ``digests`` has the SHA-256 of each signed file, ``files`` those
    that were read, ``absent`` those that are not there, ``uncovered`` what is there and not signed.
    ``problem`` says why a signature that was not needed is not accepted. ``builder``, ``started`` and
    ``finished`` are empty, and ``dependencies`` too, without provenance.
    """

    event: Literal["trusted"] = "trusted"
    recipe: str
    version: str
    keys: tuple[SigningKeyFound, ...]
    identities: tuple[SigningIdentityFound, ...]
    problem: str
    sums: tuple[SumsChecked, ...]
    digests: dict[str, str]
    files: tuple[str, ...]
    absent: tuple[str, ...]
    uncovered: tuple[str, ...]
    builder: str
    started: str
    finished: str
    dependencies: tuple[Dependency, ...]
