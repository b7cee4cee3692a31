"""SSH public keys, checked so that no image is built that nobody can log in to."""

from __future__ import annotations

import base64
import binascii

from imagebuild.schema.fields import shown, text

KEY_TYPES = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)


def public_key(value: object) -> str:
    """One line of an authorized_keys file without options: type, base64, comment."""
    line = text(value).strip()
    kind, _, rest = line.partition(" ")
    expected = "expected an SSH public key such as 'ssh-ed25519 AAAA… name'"
    if kind not in KEY_TYPES:
        if "PRIVATE KEY" in line:
            raise ValueError(f"this is a private key; {expected}")
        raise ValueError(f"{expected}, found {shown(line)}")
    blob = rest.split(" ", 1)[0]
    try:
        data = base64.b64decode(blob, validate=True)
    except binascii.Error as error:
        raise ValueError(f"{expected}; the part after {kind} is not base64") from error
    name = kind.encode()
    if data[: 4 + len(name)] != len(name).to_bytes(4, "big") + name or len(data) < 4 + len(name) + 32:
        raise ValueError(f"{expected}; the base64 data is not a complete {kind} key")
    return line
