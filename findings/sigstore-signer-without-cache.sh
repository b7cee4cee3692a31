#!/bin/bash
# sigstore-python, told not to keep its key, signs with another key than the one that was certified.
#
# Needs Python 3.11 or newer with venv, and an index of Python packages that pip is configured with. Nothing is sent
# to a sigstore instance.
set -eu

packages=("sigstore==4.5.1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check "${packages[@]}"

echo "${packages[*]}"
cat <<'END'
SigningContext.signer(token, cache=False) is documented not to use the key and the certificate again for the next
artifact. But the key is made anew each time that it is looked at: once for the request of the certificate, and once
for the signature. So the signature does not match the certificate that was requested for it, and no bundle that is
made this way can be verified. With the default, cache=True, it matches.

Below, an authority of this script certifies what is asked for, without a log of certificates, and a log of this script
takes the signed entry. Everything else is the library's own.
END

cat >"$work/sign.py" <<'END'
import base64
import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from sigstore import sign
from sigstore.oidc import IdentityToken

NOW = datetime.now(UTC)
sign.verify_sct = lambda *_: None


def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def certify(request, _token):
    name = x509.Name([])
    builder = x509.CertificateBuilder(name, name, request.public_key(), 1, NOW, NOW + timedelta(minutes=10))
    return SimpleNamespace(cert=builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()), chain=[])


class Taken(Exception):
    """The log has what it is to take."""


def take(*, hashed_input, signature, certificate):
    raise Taken(signature, certificate)


def matches(cache):
    now = int(NOW.timestamp())
    claims = {"iss": "https://issuer.example", "aud": "sigstore", "sub": "x", "iat": now, "nbf": now, "exp": now + 600}
    token = IdentityToken(f"{part({'alg': 'none'})}.{part(claims)}.{part('')}")
    context = SimpleNamespace(
        _fulcio=SimpleNamespace(signing_cert=SimpleNamespace(post=certify)),
        _trusted_root=SimpleNamespace(ct_keyring=lambda _purpose: None),
        _rekor=SimpleNamespace(_build_hashed_rekord_request=take),
        _tsa_clients=[],
    )
    try:
        sign.Signer(token, context, cache=cache).sign_artifact(b"an artifact")
    except Taken as entry:
        signature, certificate = entry.args
    with suppress(InvalidSignature):
        certificate.public_key().verify(signature, b"an artifact", ec.ECDSA(hashes.SHA256()))
        return "matches"
    return "does not match"


for cache in (True, False):
    print(f"cache={cache}: the signature {matches(cache)} the certificate")
END

said=$("$work/venv/bin/python" "$work/sign.py")
echo "$said"
[ "$said" = "cache=True: the signature matches the certificate
cache=False: the signature does not match the certificate" ] || { echo "The behaviour has changed." >&2; exit 1; }
