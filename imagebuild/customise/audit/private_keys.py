"""Private keys, recognised by the content of a file rather than by its path.

Text formats have a line that identifies them. Binary formats begin with characteristic bytes: Java
key stores (JKS 0xFEEDFEED, JCEKS 0xCECECECE), MIT keytabs (0x0502), PKCS #12 (RFC 7292: version 3,
then the content type ``data``) and PKCS #8 (RFC 5958: version 0, then the algorithm). Certificates
and public keys are not private keys.
"""

from __future__ import annotations

import posixpath
import re

from imagebuild.customise.audit.rules import B, Named, SecretRule, literal

_ONLY_KEY = re.compile(rb"\s*[A-Za-z0-9+/]{43}=\s*")
_PUBLIC = re.compile("pub", re.IGNORECASE)
_BODY = re.compile(rb"(\r?\n|\\r\\n|\\n)[ \t>|\"']*[A-Za-z0-9+/=-]")


def _has_a_body(path: str, content: bytes, match: re.Match[bytes]) -> bool:
    """Whether something follows the header: programs and manuals contain the header alone."""
    return _BODY.match(content, match.end()) is not None


def _at_the_start(path: str, content: bytes, match: re.Match[bytes]) -> bool:
    return match.start() == 0


def _is_all(path: str, content: bytes, match: re.Match[bytes]) -> bool:
    return _ONLY_KEY.fullmatch(content) is not None and not _PUBLIC.search(posixpath.basename(path))


def _is_no_place(path: str, content: bytes, match: re.Match[bytes]) -> bool:
    """NetworkManager's ``private-key`` may refer to a file or a token instead of containing the
    key."""
    return not match[match.lastindex or 0].startswith((b"/", b"file:", b"pkcs11:"))


def _is_pkcs12(path: str, content: bytes, match: re.Match[bytes]) -> bool:
    return content[:1] == b"\x30" and b"\x02\x01\x03\x30" in content[:10]


def _is_pkcs8(path: str, content: bytes, match: re.Match[bytes]) -> bool:
    return content[:1] == b"\x30" and b"\x02\x01\x00\x30" in content[:9] and match.start() < 20


def _is_sealed_pkcs8(path: str, content: bytes, match: re.Match[bytes]) -> bool:
    return content[:1] == b"\x30" and match.start() < 20


def _is_private_jwk(path: str, content: bytes, match: re.Match[bytes]) -> bool:
    return re.search(rb'"(d|k)"[ \t\r\n]*:[ \t\r\n]*"[^"]', content) is not None


_DATA = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01"
_RSA = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"
_EC = b"\x2a\x86\x48\xce\x3d\x02\x01"
_ED25519 = b"\x06\x03\x2b\x65\x70\x04"
_PBES2 = b"\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0d"
"""Object identifiers in DER. The fourth one includes its tag, and the octet string that follows it
in a private key."""

RULES = (
    SecretRule("private key", r"-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY( BLOCK)?-----", holds=_has_a_body),
    SecretRule("private key", "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----", holds=_has_a_body),
    SecretRule(
        "OpenVPN shared key",
        r"-----BEGIN OpenVPN (Static key V1|tls-crypt-v2 (server|client) key)-----",
        holds=_has_a_body,
    ),
    SecretRule("PuTTY private key", "^PuTTY-User-Key-File-[0-9]+:"),
    SecretRule("age private key", "AGE-(SECRET-KEY|PLUGIN-[A-Z0-9]+)-1[A-Z0-9]{20,}", comments=True),
    SecretRule(
        "WireGuard private key",
        f"^{B}*(PrivateKey|PresharedKey|private-key|preshared-key){B}*={B}*([^ \t#]+)",
        only=r"/wireguard/|/systemd/network/|/system-connections/|/netplan/|wg[^/]*\.conf$|\.netdev$",
        holds=_is_no_place,
    ),
    SecretRule("WireGuard private key", f"^{B}*PrivateKey{B}*={B}*([A-Za-z0-9+/]{{43}}=)"),
    SecretRule("private key", rf'"(PrivateKey|private_key|privateKey)"{B}*:{B}*"([^"/][^"]*)"'),
    SecretRule("32-byte key, as stored by WireGuard", "^[A-Za-z0-9+/]{43}=", holds=_is_all),
    SecretRule("minisign or signify private key", "^untrusted comment:.*secret key"),
    SecretRule("DNS update secret (TSIG)", rf'^{B}*(key{B}.*)?secret{B}+"?([A-Za-z0-9+/=]{{8,}})"?{B}*;'),
    SecretRule("DNSSEC private key", "^Private-key-format:"),
    SecretRule("GnuPG private key", r"\((21:protected-private-key|11:private-key)|^Key: *\((protected-)?private-key"),
    SecretRule("onion service private key", "^== ed25519v1-secret"),
    SecretRule("Ceph key", rf"^{B}*key{B}*={B}*(A[A-Za-z0-9+/]{{37}}==)"),
    SecretRule("Kubernetes client key", rf"client-key-data:{B}*\"?([A-Za-z0-9+/=]+)"),
    SecretRule("Tailscale private key", r"privkey:[0-9a-f]{16,}|\"_machinekey\""),
    SecretRule("private key (JSON Web Key)", r'"kty"', holds=_is_private_jwk),
    SecretRule("Java key store", b"^" + literal(b"\xfe\xed\xfe\xed"), holds=_at_the_start, comments=True),
    SecretRule("Java key store", b"^" + literal(b"\xce\xce\xce\xce"), holds=_at_the_start, comments=True),
    SecretRule("Kerberos keytab", b"^\x05\x02", holds=_at_the_start, comments=True),
    SecretRule("key store (PKCS #12)", literal(_DATA), holds=_is_pkcs12, comments=True),
    *(
        SecretRule("private key (PKCS #8)", literal(oid), holds=_is_pkcs8, comments=True)
        for oid in (_RSA, _EC, _ED25519)
    ),
    SecretRule("private key (PKCS #8)", literal(_PBES2), holds=_is_sealed_pkcs8, comments=True),
)

NAMES = (
    Named("GnuPG private keys", r"secring\.gpg"),
    Named("Dropbear private host key", "dropbear_[a-z0-9]+_host_key"),
    Named("PuTTY private key", r".*\.ppk"),
    Named("WireGuard private key", r".*private.*|.*\.(key|psk)", "/wireguard/"),
    Named("KDE wallet", r".*\.kwl"),
    Named("GNOME keyring", r".*\.(keyring|keystore)", "/share/keyrings/"),
    Named("disk encryption key", r".*\.key", r"/cryptsetup-keys\.d/"),
    Named("Kerberos keytab", r".*\.keytab"),
)
