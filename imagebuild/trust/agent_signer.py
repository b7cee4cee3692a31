"""Signs with a key that an SSH agent has, for which the agent signs the bytes as they are.

The messages are those of draft-ietf-sshm-ssh-agent, the signatures those of RFC 8709 (Ed25519) and RFC
5656 (ECDSA). The private key never leaves the agent.
"""

from __future__ import annotations

import base64
import os
import socket
import struct
from typing import TYPE_CHECKING, Any

from securesystemslib.signer import Signature, Signer

from imagebuild.errors import HostError

if TYPE_CHECKING:
    from securesystemslib.signer import SSlibKey

    from imagebuild.trust.keys import VerificationKey

_SIGN_REQUEST, _SIGN_RESPONSE = 13, 14
_TIMEOUT = 60.0
"""Seconds: an agent may ask its user."""
_LARGEST = 1 << 16
_HINT = "`ssh-add -L` shows the keys that it has, `ssh-add FILE` adds one"


class AgentSigner(Signer):
    """Signs with the private key of ``key``, which the agent has."""

    def __init__(self, key: VerificationKey) -> None:
        assert key.key is not None
        self._key = key
        self._public = key.key

    @property
    def public_key(self) -> SSlibKey:
        """The key that verifies what this signs."""
        return self._public

    @classmethod
    def from_priv_key_uri(cls, priv_key_uri: str, public_key: Any, secrets_handler: Any = None) -> AgentSigner:
        """Not supported: the key is found by its public part."""
        raise NotImplementedError(priv_key_uri, public_key, secrets_handler)

    def sign(self, payload: bytes) -> Signature:
        """The signature of these bytes. Raises HostError if the agent does not sign."""
        kind, _, blob = self._key.openssh.partition(" ")
        request = bytes([_SIGN_REQUEST]) + _string(base64.b64decode(blob)) + _string(payload) + struct.pack(">I", 0)
        try:
            answer = _asked(request)
            if answer[:1] != bytes([_SIGN_RESPONSE]):
                raise HostError(f"the SSH agent does not sign with the key {self._key.name}", _HINT)
            signature, _ = _first(answer[1:])
            name, rest = _first(signature)
            raw, _ = _first(rest)
            sig = raw if kind == "ssh-ed25519" else _der(raw)
        except (OSError, ValueError, struct.error) as error:
            raise HostError(f"the SSH agent cannot be used: {error}", _HINT) from error
        if name != kind.encode():
            raise HostError("the SSH agent has signed with another algorithm", _HINT)
        return Signature(self._public.keyid, sig.hex())


def _asked(request: bytes) -> bytes:
    path = os.environ.get("SSH_AUTH_SOCK")
    if not path:
        raise HostError("there is no SSH agent: SSH_AUTH_SOCK is not set", "start one, for example with `ssh-agent`")
    with socket.socket(socket.AF_UNIX) as agent:
        agent.settimeout(_TIMEOUT)
        agent.connect(path)
        agent.sendall(_string(request))
        (size,) = struct.unpack(">I", _received(agent, 4))
        if size > _LARGEST:
            raise ValueError("its answer is too large")
        return _received(agent, size)


def _received(agent: socket.socket, size: int) -> bytes:
    content = b""
    while len(content) < size:
        if not (piece := agent.recv(size - len(content))):
            raise ValueError("it closed the connection")
        content += piece
    return content


def _string(content: bytes) -> bytes:
    """The type string of RFC 4251, section 5."""
    return struct.pack(">I", len(content)) + content


def _first(content: bytes) -> tuple[bytes, bytes]:
    """The first string in a text, and the rest."""
    (size,) = struct.unpack(">I", content[:4])
    if size > len(content) - 4:
        raise ValueError("its answer is damaged")
    return content[4 : 4 + size], content[4 + size :]


def _der(raw: bytes) -> bytes:
    """An ECDSA signature in the form that envelopes have."""
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    r, rest = _first(raw)
    s, _ = _first(rest)
    return encode_dss_signature(int.from_bytes(r), int.from_bytes(s))
