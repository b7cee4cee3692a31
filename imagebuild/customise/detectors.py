"""What an audit tells of a guest although no operation removes it: it may be meant, and only its owner knows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from imagebuild.customise.files import Change
from imagebuild.guest import literal

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

CREDENTIALS = "credentials"
LOGINS = "logins"
KINDS = {CREDENTIALS: "secret", LOGINS: "note"}
"""What each detector finds: a secret, or something worth a look that is no fault."""

_IN_HOMES = (
    ".aws/credentials",
    ".azure/accessTokens.json",
    ".azure/msal_token_cache.json",
    ".config/gcloud/credentials.db",
    ".config/gcloud/application_default_credentials.json",
    ".config/gh/hosts.yml",
    ".docker/config.json",
    ".git-credentials",
    ".kube/config",
    ".my.cnf",
    ".netrc",
    ".npmrc",
    ".pgpass",
    ".pypirc",
    ".vault-token",
)
_KEY_PLACES = ("/etc/pki/tls/private/*", "/etc/ssl/private/*", "/etc/wireguard/*.conf", "/etc/openvpn/*/*.key")
_PRIVATE = re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----|^PrivateKey[ \t]*=", re.MULTILINE)
_SECRET_WORD = re.compile(r"auth|password|passwd|token|secret|key|login", re.IGNORECASE)
_MOST = 256 << 10
"""Bytes of the largest file that is looked into."""


def look(guest: Guest) -> dict[str, tuple[Change, ...]]:
    """What each detector finds, with its place. Changes nothing."""
    return {CREDENTIALS: tuple(_credentials(guest)), LOGINS: tuple(_logins(guest))}


def _credentials(guest: Guest) -> list[Change]:
    found = []
    for home in guest.homes():
        for name in _IN_HOMES:
            path = f"{home.path}/{name}"
            if _SECRET_WORD.search(_text(guest, path)):
                found.append(Change(path, f"credentials of {home.user}"))
        gnupg = guest.glob(f"{literal(home.path)}/.gnupg/private-keys-v1.d/*.key")
        found += [Change(path, f"private key of {home.user}") for path in gnupg]
    found += [Change(path, "private key") for path in guest.glob(*_KEY_PLACES) if _PRIVATE.search(_text(guest, path))]
    return found


def _logins(guest: Guest) -> list[Change]:
    found = []
    for home in guest.homes():
        for name in ("authorized_keys", "authorized_keys2"):
            path = f"{home.path}/.ssh/{name}"
            keys = [line for line in _text(guest, path).splitlines() if line.strip() and not line.startswith("#")]
            if keys:
                found.append(Change(path, f"{len(keys)} keys may log in as {home.user}"))
    for line in _text(guest, "/etc/shadow").splitlines():
        fields = line.split(":")
        if len(fields) > 1 and (fields[1] == "" or fields[1].startswith("$")):
            found.append(Change("/etc/shadow", f"{fields[0]} has {'a' if fields[1] else 'an empty'} password"))
    return found


def _text(guest: Guest, path: str) -> str:
    """A file's text; nothing if it is not there or too large to be what is looked for."""
    real = guest.real_file(path)
    return guest.read(real, _MOST) if real and guest.size(real) <= _MOST else ""
