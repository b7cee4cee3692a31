"""Statements that sigstore signed: bundles, https://docs.sigstore.dev/about/bundle/.

A bundle has the signed statement, a certificate that names who signed it and lived for minutes, and the
entry of a public log that recorded the signature in that time. It is verified offline, by sigstore's own
library, which is an extra: only this module and :mod:`imagebuild.trust.keyless` import it.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from imagebuild.errors import HostError, UsageError
from imagebuild.printable import one_line
from imagebuild.trust.envelope import LARGEST, PAYLOAD_TYPE
from imagebuild.trust.keys import SignerIdentity

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from sigstore.models import Bundle, TrustedRoot

EXTRA = "install imagebuild with its extra sigstore: pip install 'imagebuild[sigstore]'"
_SHOWN = 300
_OTHER = "it is signed by another identity"
_NO_TIME = "no log or timestamp authority that the trusted root names says when it was signed"
_MEANINGS = (
    ("DSSE: invalid signature", "the signature does not fit: it was changed after it was signed"),
    ("log entry payload hash", "its entry in the log is about something else: it was changed after it was signed"),
    ("log entry signatures", "its entry in the log is about another signature"),
    ("invalid log entry", "its entry in the log is not valid, or of a log that the trusted root does not name"),
    ("failed to verify SCT", "its certificate is in no certificate log that the trusted root names"),
    ("failed to build timestamp certificate chain",
     "its certificate is not valid, or of an authority that the trusted root does not name"),
    ("cannot perform DSSE verification", "it is about a file, and has no statement"),
    ("not enough sources of verified time", _NO_TIME),
    ("no Timestamp Authorities", _NO_TIME),
)  # fmt: skip
"""The beginnings of what the library says, with what that means. Others are shown as they are."""


class BundleError(ValueError):
    """A bundle cannot be used, or is not valid; the message is a clause that says why."""


@dataclass(frozen=True)
class VerifiedBundle:
    """What a bundle proves: ``identity`` has signed ``payload`` while its certificate was valid, from
    ``began`` to ``ended``, and a log recorded it at ``time`` (all UTC; None if only a timestamp authority
    says when). ``text`` is the bundle without anything else that its file may have.
    """

    text: bytes
    payload: bytes
    identity: SignerIdentity
    began: datetime
    ended: datetime
    time: datetime | None


def verified(content: bytes, identities: Sequence[SignerIdentity], trusted_root: Path | None) -> VerifiedBundle:
    """What the bundle in a text that anybody could have written proves. No network is used.

    ``trusted_root`` is a file; None is the root of sigstore's public instance, as the library has it.
    Raises BundleError, also if none of these identities has signed it; UsageError for a root that cannot
    be used; HostError without the library.
    """
    if len(content) > LARGEST:
        raise BundleError("it is too large")
    root = trusted(trusted_root)
    from sigstore.errors import VerificationError
    from sigstore.models import Bundle
    from sigstore.verify import Verifier

    judge = _Judge(identities)
    try:
        bundle = Bundle.from_json(content)
    except Exception as error:  # the library lets those of its parsers through
        raise BundleError("it is truncated or damaged: it is no bundle of sigstore") from error
    try:
        kind, payload = Verifier(trusted_root=root).verify_dsse(bundle, judge)
    except VerificationError as error:
        raise BundleError(_meaning(bundle, error)) from error
    except Exception as error:
        raise BundleError(f"it is damaged: {one_line(f'{type(error).__name__}: {error}')[:_SHOWN]}") from error
    if kind != PAYLOAD_TYPE:
        raise BundleError(f"its payload is of the type {kind!r}, not {PAYLOAD_TYPE!r}")
    assert judge.found is not None
    valid = bundle.signing_certificate
    return VerifiedBundle(
        bundle.to_json().encode(),
        payload,
        judge.found,
        valid.not_valid_before_utc,
        valid.not_valid_after_utc,
        _recorded(bundle),
    )


def payload(content: bytes) -> bytes | None:
    """What a bundle says, without checking anything; None if it is no bundle with a statement."""
    try:
        return base64.b64decode(json.loads(content)["dsseEnvelope"]["payload"], validate=True)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def trusted(path: Path | None) -> TrustedRoot:
    """The root of trust in a file; without one that of the public instance, which comes with the library,
    or is newer if something was signed here. Raises UsageError, HostError.
    """
    try:
        from sigstore.models import ClientTrustConfig, TrustedRoot
    except ImportError as error:
        raise HostError(f"bundles of sigstore need the Python package sigstore: {error}", EXTRA) from error
    quiet()
    try:
        if path is None:
            return ClientTrustConfig.production(offline=True).trusted_root
        return TrustedRoot.from_file(str(path))
    except FileNotFoundError as error:
        raise UsageError(f"trust.sigstore.trusted_root: there is no file {error.filename}") from error
    except Exception as error:
        where = f"the trusted root {path}" if path is not None else "the trusted root of sigstore's public instance"
        raise UsageError(
            f"{where} cannot be used: {one_line(f'{type(error).__name__}: {error}')[:_SHOWN]}",
            "name a trusted_root.json of the instance of sigstore with trust.sigstore.trusted_root",
        ) from error


def quiet() -> None:
    """Keep the library from writing to standard error: what is wrong is raised, and shown once."""
    logging.getLogger("sigstore").setLevel(logging.CRITICAL)


class _Judge:
    """A policy of the library: one of the accepted identities; ``found`` is the one."""

    def __init__(self, identities: Sequence[SignerIdentity]) -> None:
        self._identities = identities
        self.found: SignerIdentity | None = None

    def verify(self, cert: Certificate) -> None:
        """Raises VerificationError for the certificate of somebody else."""
        from sigstore.errors import VerificationError
        from sigstore.verify.policy import Identity

        for one in self._identities:
            try:
                Identity(identity=one.identity, issuer=one.issuer).verify(cert)
            except VerificationError:
                continue
            self.found = one
            return
        other = signer(cert)
        raise VerificationError(f"{_OTHER}: {other.identity or 'without a name'} (issuer {other.issuer})")


def signer(certificate: Certificate) -> SignerIdentity:
    """Whom a certificate names, and who vouches for it; nothing is checked. Raises what the library
    cryptography does for a certificate without these.
    """
    from cryptography.x509 import ObjectIdentifier, RFC822Name, SubjectAlternativeName, UniformResourceIdentifier

    extensions = certificate.extensions
    names = extensions.get_extension_for_class(SubjectAlternativeName).value
    found = [*names.get_values_for_type(UniformResourceIdentifier), *names.get_values_for_type(RFC822Name)]
    # https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md
    issuer = extensions.get_extension_for_oid(ObjectIdentifier("1.3.6.1.4.1.57264.1.1")).value.public_bytes()
    return SignerIdentity(", ".join(found), issuer.decode("utf-8", "replace"))


def _recorded(bundle: Bundle) -> datetime | None:
    """When the log promises that it recorded the entry."""
    entry = bundle.log_entry._inner  # noqa: SLF001 - there is no other way to it
    if not entry.inclusion_promise or not entry.integrated_time:
        return None
    return datetime.fromtimestamp(entry.integrated_time, UTC)


def _meaning(bundle: Bundle, error: Exception) -> str:
    """Why the library refuses a bundle, as a clause."""
    said = one_line(str(error))
    certificate, when = bundle.signing_certificate, _recorded(bundle)
    if when is not None and "certificate" in said and when > certificate.not_valid_after_utc:
        expired = certificate.not_valid_after_utc.isoformat()
        return f"its certificate expired at {expired}, before the log recorded the signature at {when.isoformat()}"
    if said.startswith(_OTHER):
        return said[:_SHOWN]
    return next((meaning for start, meaning in _MEANINGS if said.startswith(start)), f"sigstore says: {said[:_SHOWN]}")
