"""A private instance of sigstore on the loopback interface: an authority that certifies identities
(Fulcio's API), a certificate log and a transparency log (Rekor's API, version 1), with keys of its own.

It believes every identity token, so it is for tests only. What it signs is what sigstore's library
verifies: RFC 6962 for certificates and the tree, Rekor's promises and checkpoints for entries.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

IDENTITY = "https://ci.example.org/images/nightly.yml@refs/heads/main"
ISSUER = "https://token.ci.example.org"
_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
_SCTS = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_ISSUER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")


def token(identity: str = IDENTITY, *, audience: str = "sigstore", valid: int = 300, issuer: str = ISSUER) -> str:
    """An identity token, which nobody signed: neither the library nor this instance looks at that."""
    now = int(time.time())
    claims = {"aud": audience, "sub": identity, "iss": issuer, "iat": now, "exp": now + valid}
    parts = (json.dumps({"alg": "ES256", "typ": "JWT"}), json.dumps(claims), "signature")
    return ".".join(base64.urlsafe_b64encode(one.encode()).decode().rstrip("=") for one in parts)


class SigstoreInstance:
    """The authority and the logs. ``late`` is how long after a certificate expires the log says that it
    recorded an entry; None for at once. ``status`` is what the servers answer if not 200.
    """

    def __init__(self) -> None:
        self.authority, self.certificates, self.log = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
        self.late: timedelta | None = None
        self.status = 200
        self.requests: list[str] = []
        self.url = ""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self.root = (
            x509.CertificateBuilder()
            .subject_name(name).issuer_name(name).public_key(self.authority.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(_BEGAN).not_valid_after(_BEGAN + timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(sign_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.authority.public_key()), critical=False)
            .sign(self.authority, hashes.SHA256())
        )  # fmt: skip

    def write(self, folder: Path) -> dict[str, str]:
        """Write the trusted root and the signing config; returns the keys of ``trust.sigstore``."""
        folder.mkdir(exist_ok=True)
        (folder / "trusted_root.json").write_text(json.dumps(self._trusted_root()))
        (folder / "signing_config.json").write_text(json.dumps(self._signing_config()))
        return {"trusted_root": "trusted_root.json", "signing_config": "signing_config.json"}

    def _trusted_root(self) -> dict[str, Any]:
        valid = {"start": _BEGAN.isoformat().replace("+00:00", "Z")}

        def log(key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
            public = _public(key)
            return {
                "baseUrl": self.url or "http://127.0.0.1:9", "hashAlgorithm": "SHA2_256",
                "publicKey": {"rawBytes": _b64(public), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": valid},
                "logId": {"keyId": _b64(hashlib.sha256(public).digest())},
            }  # fmt: skip

        certificates = [{"rawBytes": _b64(self.root.public_bytes(Encoding.DER))}]
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log(self.log)],
            "ctlogs": [log(self.certificates)],
            "certificateAuthorities": [
                {"subject": {"organization": "test", "commonName": "test authority"}, "uri": self.url or "http://ca",
                 "certChain": {"certificates": certificates}, "validFor": valid}
            ],
            "timestampAuthorities": [],
        }  # fmt: skip

    def _signing_config(self) -> dict[str, Any]:
        service = {"url": self.url, "majorApiVersion": 1, "operator": "test",
                   "validFor": {"start": _BEGAN.isoformat().replace("+00:00", "Z")}}  # fmt: skip
        return {
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": [service], "oidcUrls": [service], "rekorTlogUrls": [service], "tsaUrls": [],
            "rekorTlogConfig": {"selector": "ANY"}, "tsaConfig": {"selector": "ANY"},
        }  # fmt: skip

    def certificate(self, request: bytes, token: str) -> x509.Certificate:
        """A certificate for the key of a request and the identity of a token, with the promise of the
        certificate log in it.
        """
        middle = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
        now = datetime.now(UTC).replace(microsecond=0)
        key_identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.authority.public_key())
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([])).issuer_name(self.root.subject)
            .public_key(x509.load_pem_x509_csr(request).public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now).not_valid_after(now + timedelta(minutes=10))
            .add_extension(_usage(sign_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(key_identifier, critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(claims["sub"])]), critical=True)
            .add_extension(x509.UnrecognizedExtension(_ISSUER, claims["iss"].encode()), critical=False)
        )  # fmt: skip
        unpromised = builder.sign(self.authority, hashes.SHA256()).tbs_certificate_bytes
        promises = x509.UnrecognizedExtension(_SCTS, self._promise(unpromised))
        return builder.add_extension(promises, critical=False).sign(self.authority, hashes.SHA256())

    def _promise(self, certificate: bytes) -> bytes:
        """The list of signed certificate timestamps with one for these bytes: RFC 6962, section 3.3."""
        when = int(time.time()) * 1000
        issuer = hashlib.sha256(_public(self.authority)).digest()
        size = struct.pack("!I", len(certificate))[1:]
        signed = struct.pack("!BBQH", 0, 0, when, 1) + issuer + size + certificate + struct.pack("!H", 0)
        signature = self.certificates.sign(signed, ec.ECDSA(hashes.SHA256()))
        name = hashlib.sha256(_public(self.certificates)).digest()
        one = struct.pack("!B32sQHBBH", 0, name, when, 0, 4, 3, len(signature)) + signature
        content = struct.pack("!HH", len(one) + 2, len(one)) + one
        assert len(content) < 256
        return (b"\x04" + (bytes([0x81]) if len(content) > 127 else b"") + bytes([len(content)])) + content

    def entry(self, proposed: dict[str, Any]) -> dict[str, Any]:
        """The entry of the log for a signed envelope; the second of two leaves of its tree."""
        content = proposed["spec"]["proposedContent"]
        envelope, verifier = json.loads(content["envelope"]), content["verifiers"][0]
        body = rfc8785.dumps(
            {
                "apiVersion": "0.0.1", "kind": "dsse",
                "spec": {
                    "envelopeHash": _hash(content["envelope"].encode()),
                    "payloadHash": _hash(base64.b64decode(envelope["payload"])),
                    "signatures": [{"signature": envelope["signatures"][0]["sig"], "verifier": verifier}],
                },
            }
        )  # fmt: skip
        expires = x509.load_pem_x509_certificate(base64.b64decode(verifier)).not_valid_after_utc
        when = int(time.time()) if self.late is None else int((expires + self.late).timestamp())
        other = hashlib.sha256(b"\0another entry").digest()
        root = hashlib.sha256(b"\1" + other + hashlib.sha256(b"\0" + body).digest()).digest()
        name = hashlib.sha256(_public(self.log)).digest()
        promise = {"body": _b64(body), "integratedTime": when, "logID": name.hex(), "logIndex": 1}
        note = f"test log\n2\n{_b64(root)}\n"
        signed = _b64(name[:4] + self.log.sign(note.encode(), ec.ECDSA(hashes.SHA256())))
        return {
            **promise,
            "verification": {
                "signedEntryTimestamp": _b64(self.log.sign(rfc8785.dumps(promise), ec.ECDSA(hashes.SHA256()))),
                "inclusionProof": {
                    "logIndex": 1, "treeSize": 2, "rootHash": root.hex(), "hashes": [other.hex()],
                    "checkpoint": f"{note}\n— log {signed}\n",
                },
            },
        }  # fmt: skip

    def answer(self, path: str, content: bytes, authorization: str) -> Any:
        """What the servers answer to a request."""
        self.requests.append(path)
        if path == "/api/v2/signingCert":
            request = base64.b64decode(json.loads(content)["certificateSigningRequest"])
            made = self.certificate(request, authorization.removeprefix("Bearer "))
            chain = [one.public_bytes(Encoding.PEM).decode() for one in (made, self.root)]
            return {"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}}
        assert path == "/api/v1/log/entries"
        return {"0" * 64: self.entry(json.loads(content))}

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Answer requests at ``url`` meanwhile."""
        instance = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                answer: Any = {"code": 3, "message": "this identity may not sign"}
                if instance.status == 200:
                    answer = instance.answer(self.path, content, self.headers.get("Authorization", ""))
                text = json.dumps(answer).encode()
                self.send_response(instance.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates, key_cert_sign=sign_certificates, crl_sign=sign_certificates,
        content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _public(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _hash(content: bytes) -> dict[str, str]:
    return {"algorithm": "sha256", "value": hashlib.sha256(content).hexdigest()}
