"""All the ways in which programs write a machine id, a hardware address or a key. Pure functions.

A spelling is a literal text. Comparisons ignore case.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
import uuid


def of_machine_id(value: str) -> list[str]:
    """32 hexadecimal digits: as they are, as a UUID, with the bytes of its first three fields
    reversed as in DMI, and hashed.

    Programs that must not reveal the id itself hash its text, with or without the line break.
    """
    plain = value.lower()
    found = [plain, *_uuids(uuid.UUID(plain)), *_uuids(uuid.UUID(bytes_le=bytes.fromhex(plain)))]
    for text in (plain, f"{plain}\n"):
        found += [hashlib.new(name, text.encode()).hexdigest() for name in ("md5", "sha1", "sha256", "sha512")]
    return list(dict.fromkeys(found))


def of_uuid(value: str) -> list[str]:
    """A UUID with and without hyphens, and with the hyphens escaped as systemd does it in unit
    names."""
    return [*_uuids(uuid.UUID(value)), uuid.UUID(value).hex]


def _uuids(value: uuid.UUID) -> list[str]:
    return [str(value), str(value).replace("-", r"\x2d"), value.hex]


def of_address(value: bytes) -> list[str]:
    """The six bytes of a hardware address: separated by colons, hyphens, dots or nothing, as
    numbers, and in derived forms.

    Numbers with semicolons are NetworkManager's. The last forms are the modified EUI-64 at the end
    of IPv6 addresses (RFC 4291, appendix A), and the quoted bytes in which ISC's dhclient writes
    its DUID.
    """
    pairs = [f"{byte:02x}" for byte in value]
    plain = "".join(pairs)
    found = [":".join(pairs), "-".join(pairs), plain, ".".join(plain[at : at + 4] for at in (0, 4, 8))]
    found += [between.join(str(byte) for byte in value) for between in (";", ",", ", ")]
    eui64 = bytes([value[0] ^ 2, *value[1:3], 0xFF, 0xFE, *value[3:]])
    groups = [eui64[at : at + 2].hex() for at in range(0, 8, 2)]
    found += [":".join(f"{byte:02x}" for byte in eui64), eui64.hex()]
    found += [":".join(groups), ":".join(f"{int(group, 16):x}" for group in groups)]
    return list(dict.fromkeys([*found, "".join(_quoted(byte) for byte in value)]))


def _quoted(byte: int) -> str:
    if not 0x20 <= byte < 0x7F:
        return f"\\{byte:03o}"
    return f"\\{chr(byte)}" if chr(byte) in "\"'\\" else chr(byte)


def of_ip(value: str) -> list[str]:
    """An IP address as it is, and an IPv6 address in its short and its long form."""
    address = ipaddress.ip_address(value)
    return list(dict.fromkeys([value, address.compressed, address.exploded]))


_BODY = 64
"""The number of characters at the end of a public key that distinguish it from any other."""


def of_public_key(body: str) -> list[str]:
    """The base64 of an SSH public key: its last part, its fingerprints as printed by ssh-keygen,
    and those of SSHFP records (RFC 4255, RFC 6594)."""
    found = [body.rstrip("=")[-_BODY:]]
    try:
        blob = base64.b64decode(body, validate=True)
    except binascii.Error:
        return found
    md5, sha1, sha256 = (hashlib.new(name, blob) for name in ("md5", "sha1", "sha256"))
    found += [
        base64.b64encode(sha256.digest()).decode().rstrip("="),
        ":".join(f"{byte:02x}" for byte in md5.digest()),
        sha1.hexdigest(),
        sha256.hexdigest(),
    ]
    return found
