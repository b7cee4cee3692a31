"""Who has signed a statement: accepted keys in an envelope, an accepted identity in a bundle of sigstore."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

from imagebuild.errors import HostError, ImageBuildError
from imagebuild.printable import one_line
from imagebuild.store.artifact import BUNDLE, PROVENANCE
from imagebuild.trust import bundle as bundles
from imagebuild.trust import envelope as envelopes
from imagebuild.trust import statement as statements
from imagebuild.trust.bundle import BundleError, VerifiedBundle
from imagebuild.trust.keys import Policy, VerificationKey
from imagebuild.trust.statement import Statement

if TYPE_CHECKING:
    from securesystemslib.dsse import Envelope


SIGN_IT = "`imagebuild attest` signs it where it was built"


class NotTrusted(ImageBuildError):
    """An artifact, or a version of a template, is not what an accepted key signed; the message says why."""


@dataclass(frozen=True)
class SignedFiles:
    """The files with a signed statement, as they are: an envelope and a bundle, each empty if there is none."""

    envelope: bytes = b""
    bundle: bytes = b""


@dataclass(frozen=True)
class SignedStatement:
    """A statement and who has signed it. ``files`` has the accepted signatures, without anything else
    that the files they are from may have. ``problem`` says why a signature that was not needed is not
    accepted: its file and a clause, or empty.
    """

    files: SignedFiles
    statement: Statement
    keys: tuple[VerificationKey, ...]
    bundle: VerifiedBundle | None = None
    problem: str = ""


@dataclass(frozen=True)
class _Side:
    """What one file says, and its accepted signers; ``why`` is why it has no more, ``missing`` the name of
    a file that is not there.
    """

    payload: bytes | None
    envelope: bytes = b""
    keys: tuple[VerificationKey, ...] = ()
    bundle: VerifiedBundle | None = None
    why: str = ""
    missing: str = ""

    @property
    def count(self) -> int:
        return len(self.keys) + (self.bundle is not None)


def signed_statement(files: SignedFiles, accepted: Policy, what: str, today: date) -> SignedStatement:
    """What was signed by as many of the accepted keys and identities as are needed. Raises NotTrusted,
    HostError if the library for bundles is missing and what is needed.
    """
    envelope = _envelope(files.envelope, accepted, today) if accepted.provenance_keys else _Side(None)
    try:
        bundle = _bundle(files.bundle, accepted, today) if accepted.identities else _Side(None)
    except HostError as error:
        if envelope.count < accepted.threshold:
            raise
        bundle = _Side(None, why=f"{BUNDLE}: {error.message}")
    for one in _together(envelope, bundle):
        if one.payload is None or one.count < accepted.threshold:
            continue
        try:
            said = statements.read(one.payload)
        except ValueError as error:
            raise NotTrusted(one_line(f"{what} cannot be trusted: what was signed cannot be used: {error}")) from error
        problem = "; ".join(side.why for side in (envelope, bundle) if not side.count and side.why)
        signed = SignedFiles(one.envelope if one.keys else b"", one.bundle.text if one.bundle else b"")
        return SignedStatement(signed, said, one.keys, one.bundle, one_line(problem))
    raise NotTrusted(
        one_line(f"{what} cannot be trusted: {_too_few(envelope, bundle, accepted)}"),
        SIGN_IT if envelope.missing or bundle.missing else None,
    )


def _together(envelope: _Side, bundle: _Side) -> Iterator[_Side]:
    """The sides whose signers count together, as those of the same statement do."""
    if envelope.payload is not None and envelope.payload == bundle.payload:
        yield replace(envelope, bundle=bundle.bundle)
    else:
        yield from (envelope, bundle)


def _envelope(content: bytes, accepted: Policy, today: date) -> _Side:
    if not content:
        return _Side(None, missing=PROVENANCE)
    try:
        found = envelopes.parsed(content)
    except envelopes.EnvelopeError as error:
        return _Side(None, why=f"{PROVENANCE} cannot be used: {error}")
    valid = envelopes.valid(found, accepted.provenance_keys)
    good = tuple(one for one in valid if not one.refusal(today))
    return _Side(found.payload, envelopes.text(found), good, why=_why_no_more(found, valid, good, accepted, today))


def _why_no_more(
    found: Envelope,
    valid: Sequence[VerificationKey],
    good: Sequence[VerificationKey],
    accepted: Policy,
    today: date,
) -> str:
    if refusals := [reason for one in valid if (reason := one.refusal(today))]:
        return refusals[0]
    return "" if good else f"{PROVENANCE}: {envelopes.why_not(found, accepted.provenance_keys)}"


def _bundle(content: bytes, accepted: Policy, today: date) -> _Side:
    if not content:
        return _Side(None, missing=BUNDLE)
    try:
        found = bundles.verified(content, accepted.identities, accepted.trusted_root)
    except BundleError as error:
        return _Side(None, why=f"{BUNDLE}: {error}")
    if refusal := found.identity.refusal(today):
        return _Side(None, why=refusal)
    return _Side(found.payload, bundle=found)


def _too_few(envelope: _Side, bundle: _Side, accepted: Policy) -> str:
    sides = (envelope, bundle)
    reasons = [one.why for one in sides if one.why]
    best = max(_together(envelope, bundle), key=lambda one: one.count)
    if best.count:
        names = [one.name for one in best.keys] + ([best.bundle.identity.identity] if best.bundle else [])
        more = f"; {reasons[0]}" if reasons else ""
        return (
            f"only {best.count} of the {accepted.threshold} keys that are needed have signed it:"
            f" {', '.join(names)}{more}"
        )
    return (
        "; ".join(reasons)
        or f"it is not signed: there is no {' or '.join(one.missing for one in sides if one.missing)}"
    )
