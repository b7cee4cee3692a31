"""Signs an artifact: its provenance, and SHA256SUMS if the project wants that."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagebuild.errors import ImageBuildError, UsageError
from imagebuild.files import write_atomically
from imagebuild.project.trust import SumsSignature, Trust
from imagebuild.store import beside
from imagebuild.store.artifact import BUNDLE, CHECKSUMS, GPG_SIGNATURE, MANIFEST, PROVENANCE, SSH_SIGNATURE, Artifact
from imagebuild.trust import bundle as bundles
from imagebuild.trust import envelope as envelopes
from imagebuild.trust import signers, statement, sums, sums_signature
from imagebuild.trust.keyless import KeylessSigner
from imagebuild.trust.keys import Policy, VerificationKey, policy

if TYPE_CHECKING:
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import Signer

_NOTHING = "nothing was signed"


@dataclass(frozen=True)
class Attested:
    """A signed artifact: its provenance, the key's ID (empty if only sigstore signed), and the files that
    were written; empty if all were there already.
    """

    provenance: Path
    keyid: str
    written: tuple[str, ...]


def attest(artifact: Artifact, trust: Trust, folder: Path) -> Path:
    """Sign an artifact as a project says, and return the path of its provenance; ``folder`` is that of
    the project's file. What is signed by the same key already stays.

    Raises UsageError for what cannot be signed, ImageBuildError for an artifact that was changed.
    """
    return attested(artifact, trust, folder).provenance


def attested(artifact: Artifact, trust: Trust, folder: Path, keyless: KeylessSigner | None = None) -> Attested:
    """The same, with what was done; ``keyless`` signs, too, and alone if the project names no key."""
    if trust.sign is None and keyless is None:
        raise UsageError(
            "the project does not say what signs artifacts: trust.sign is missing in imagebuild.yaml",
            "`imagebuild attest --new-key FILE` makes a key, and prints what to write there",
        )
    if keyless is not None and not (artifact.folder / BUNDLE).exists():
        keyless.check()  # before images are read
    accepted = policy(trust, folder)
    written, keyid = [], ""
    with nullcontext() if trust.sign is None else signers.opened(trust.sign, folder) as signing:
        if signing is not None:
            keyid = signing[1].keyid
            _check_accepted(signing[1], accepted)
        content, digests = _unchanged(artifact)
        payload = statement.text(_manifest(artifact), digests, trust.builder_id or "")
        if signing is not None and _sign(artifact.folder / PROVENANCE, payload, *signing, accepted):
            written.append(PROVENANCE)
    if _sign_bundle(artifact.folder / BUNDLE, payload, keyless, accepted):
        written.append(BUNDLE)
    if trust.sums is not None and (name := _sign_sums(artifact, trust.sums, folder, content, accepted)):
        written.append(name)
    return Attested(artifact.folder / (BUNDLE if trust.sign is None else PROVENANCE), keyid, tuple(written))


def _sign(path: Path, payload: bytes, signer: Signer, key: VerificationKey, accepted: Policy) -> bool:
    """Add a signature to the envelope in a file; returns False if the key has signed it already."""
    found = _still_good(path, payload, (*accepted.provenance_keys, key))
    if key.keyid in found.signatures:
        return False
    try:
        found.sign(signer)
    except ImageBuildError:
        raise
    except Exception as error:  # of a token's library, which has its own
        raise ImageBuildError(f"the key does not sign: {type(error).__name__}: {error}", _NOTHING) from error
    if not envelopes.valid(found, [key]):
        raise ImageBuildError("the signature does not fit the public key", _NOTHING)
    write_atomically(path, envelopes.text(found))
    return True


def _sign_bundle(path: Path, payload: bytes, keyless: KeylessSigner | None, accepted: Policy) -> bool:
    """Write a bundle, unless an accepted identity has signed this; returns whether it was written. One
    about something else, which would only be refused, is removed.
    """
    try:
        content = beside.content_of(path, envelopes.LARGEST)
    except ValueError:
        content = b""
    if content is not None and bundles.payload(content) != payload:
        path.unlink()
        content = None
    if keyless is None:
        return False
    if content is not None and accepted.identities:
        try:
            found = bundles.verified(content, accepted.identities, accepted.trusted_root)
            if not found.identity.refusal(datetime.now(UTC).date()):
                return False
        except bundles.BundleError:
            pass  # it is replaced
    write_atomically(path, keyless.sign(payload, accepted.identities))
    return True


def _check_accepted(key: VerificationKey, accepted: Policy) -> None:
    """Refuse a key whose signatures the project itself would not accept."""
    if not accepted.keys:
        return
    known = next((one for one in accepted.keys if one.keyid == key.keyid), None)
    if known is None:
        raise UsageError(
            "the key of trust.sign is not among trust.keys, so that nothing that it signs would be accepted",
            f"add it there: {key.openssh}",
        )
    if refusal := known.refusal(datetime.now(UTC).date()):
        raise UsageError(f"{refusal}, so that nothing that it signs would be accepted", "sign with another key")


def _unchanged(artifact: Artifact) -> tuple[bytes, dict[str, str]]:
    """SHA256SUMS and what it lists, all of which is read. Raises ImageBuildError if a file is another."""
    try:
        content = beside.content_of(artifact.folder / CHECKSUMS, sums.LARGEST)
        listed = {} if content is None else dict(sums.parsed(content))
    except ValueError as error:
        raise UsageError(f"{artifact.folder / CHECKSUMS} cannot be used: {error}", "build the image again") from error
    if content is None:
        raise UsageError(f"{artifact.folder} has no {CHECKSUMS}", "give the folder of a finished build")
    for name, sha256 in listed.items():
        try:
            found = sums.digest(artifact.folder / name)
        except OSError as error:
            raise ImageBuildError(f"{artifact.folder / name} cannot be read: {error.strerror or error}") from error
        if found != sha256:
            how = "is missing" if found is None else f"is not what {CHECKSUMS} says"
            raise ImageBuildError(f"{artifact.folder / name} {how}; {_NOTHING}", "build the image again")
    needed = {MANIFEST: "", **{image.file: image.sha256 for image in artifact.manifest().images}}
    for name, sha256 in needed.items():
        if name not in listed or (sha256 and listed[name] != sha256):
            raise ImageBuildError(f"{name} in {artifact.folder} is not what {MANIFEST} says; {_NOTHING}")
    return content, listed


def _manifest(artifact: Artifact) -> dict[str, Any]:
    content = beside.content_of(artifact.folder / MANIFEST, beside.LARGEST_MANIFEST)
    data: dict[str, Any] = json.loads(content or b"{}")
    if (data["name"], data["version"]) != (artifact.recipe, artifact.version):
        raise UsageError(f"{artifact.folder / MANIFEST} is of {data['name']} {data['version']}")
    return data


def _still_good(path: Path, payload: bytes, keys: Sequence[VerificationKey]) -> Envelope:
    """The envelope that is there, with the signatures of these keys that are valid; a new one if it says
    something else, or cannot be used.
    """
    made = envelopes.new(payload)
    try:
        content = beside.content_of(path, envelopes.LARGEST)
        there = None if content is None else envelopes.parsed(content)
    except ValueError:
        return made
    if there is not None and there.payload == payload:
        for one in envelopes.valid(there, keys):
            made.signatures[one.keyid] = there.signatures[one.keyid]
    return made


def _sign_sums(artifact: Artifact, how: SumsSignature, folder: Path, content: bytes, accepted: Policy) -> str:
    """Sign SHA256SUMS unless an accepted key has done so; returns the name of the file, if it was written."""
    name = GPG_SIGNATURE if how.gpg is not None else SSH_SIGNATURE
    check = sums_signature.gpg_signer if how.gpg is not None else sums_signature.ssh_signer
    path = artifact.folder / name
    try:
        there = beside.content_of(path, 1 << 20)
        if there is not None and not check(content, there, accepted.keys).refusal(datetime.now(UTC).date()):
            return ""
    except (ValueError, ImageBuildError):
        pass  # it is replaced
    write_atomically(path, sums_signature.signed(content, how, folder))
    return name
