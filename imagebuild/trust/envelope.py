"""The signed envelope of a statement: DSSE, https://github.com/secure-systems-lab/dsse."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from imagebuild.trust.keys import VerificationKey, short

if TYPE_CHECKING:
    from securesystemslib.dsse import Envelope

PAYLOAD_TYPE = "application/vnd.in-toto+json"
LARGEST = 8 << 20
"""Bytes of an envelope."""
_MOST_SIGNATURES = 100


class EnvelopeError(ValueError):
    """An envelope cannot be used; the message is a clause that says why."""


def new(payload: bytes) -> Envelope:
    """An envelope that nobody has signed."""
    from securesystemslib.dsse import Envelope

    return Envelope(payload, PAYLOAD_TYPE, {})


def parsed(content: bytes) -> Envelope:
    """The envelope in a text that anybody could have written. Raises EnvelopeError."""
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import FormatError

    if len(content) > LARGEST:
        raise EnvelopeError("it is too large")
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise EnvelopeError("it is truncated or damaged: it is not JSON") from error
    if not isinstance(data, dict) or not all(isinstance(data.get(key), str) for key in ("payload", "payloadType")):
        raise EnvelopeError("it is not a DSSE envelope")
    if data["payloadType"] != PAYLOAD_TYPE:
        raise EnvelopeError(f"its payload is of the type {data['payloadType']!r}, not {PAYLOAD_TYPE!r}")
    try:
        base64.b64decode(data["payload"], validate=True)
        return Envelope.from_dict({**data, "signatures": list(map(_signature, _list(data.get("signatures"))))})
    except (KeyError, TypeError, ValueError, FormatError) as error:
        raise EnvelopeError("its payload or a signature in it is damaged") from error


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) > _MOST_SIGNATURES:
        raise TypeError("not a list")
    return value


def _signature(data: Any) -> dict[str, str]:
    """A signature without fields that nobody reads; one without a key ID matches no key."""
    keyid, sig = data.get("keyid", ""), data["sig"]
    if not isinstance(keyid, str) or not isinstance(sig, str):
        raise TypeError("not a text")
    base64.b64decode(sig, validate=True)
    return {"keyid": keyid, "sig": sig}


def text(envelope: Envelope) -> bytes:
    """The envelope as JSON."""
    return json.dumps(envelope.to_dict(), indent=1, sort_keys=True).encode() + b"\n"


def valid(envelope: Envelope, keys: Sequence[VerificationKey]) -> tuple[VerificationKey, ...]:
    """Those of the keys that have signed the envelope, whether they are accepted today or not."""
    from securesystemslib.exceptions import UnverifiedSignatureError

    found = []
    for one in keys:
        signature = envelope.signatures.get(one.keyid)
        if one.key is None or signature is None:
            continue
        try:
            one.key.verify_signature(signature, envelope.pae())
        except UnverifiedSignatureError:
            continue
        found.append(one)
    return tuple(found)


def why_not(envelope: Envelope, keys: Sequence[VerificationKey]) -> str:
    """Why none of the keys has signed an envelope, as a clause."""
    known = {one.keyid: one.name for one in keys if one.key is not None}
    if not envelope.signatures:
        return "it has no signature"
    if found := [known[keyid] for keyid in envelope.signatures if keyid in known]:
        return f"the signature by the key {found[0]} does not fit: it was changed after it was signed"
    unknown = ", ".join(short(keyid) for keyid in list(envelope.signatures)[:3] if keyid)
    return f"it is signed with an unknown key ({unknown})" if unknown else "its signature names no key"


def packed(envelope: bytes, machine: bytes, bundle: bytes = b"") -> str:
    """A signed statement and a domain definition for the record of a template: compressed, in base64.
    The envelope, as :func:`text` writes it, or the bundle may be empty. A payload is in base64 already,
    which would not compress well, so it is stored as it is.
    """
    texts = [_opened(envelope), machine.decode(), *([_opened(bundle)] if bundle else [])]
    return base64.b64encode(zlib.compress(json.dumps(texts).encode(), 9)).decode()


def unpacked(text: str) -> tuple[bytes, bytes, bytes]:
    """The texts of :func:`packed`. Raises EnvelopeError."""
    try:
        unpacker = zlib.decompressobj()
        content = unpacker.decompress(base64.b64decode(text, validate=True), LARGEST)
        if not unpacker.eof:
            raise EnvelopeError("it is damaged")
        envelope, machine, *others = json.loads(content)
        (bundle,) = others or [""]
        return _closed(envelope), machine.encode(), _closed(bundle)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, zlib.error) as error:
        raise EnvelopeError("it is damaged") from error


def _opened(content: bytes) -> str:
    if not content:
        return ""
    data = json.loads(content)
    _with_payload(data, lambda payload: base64.b64decode(payload).decode())
    return json.dumps(data, sort_keys=True)


def _closed(text: str) -> bytes:
    if not text:
        return b""
    data = json.loads(text)
    _with_payload(data, lambda payload: base64.b64encode(payload.encode()).decode())
    return json.dumps(data).encode()


def _with_payload(data: Any, change: Callable[[str], str]) -> None:
    """Change the payload of an envelope, which is a part of a bundle."""
    inner = data.get("dsseEnvelope", data)
    inner["payload"] = change(inner["payload"])
