"""Secrets of a recipe: read only when a kickstart is rendered, masked in every log, never in a
fingerprint.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from imagebuild.errors import HostError, Problem, RecipeError, UsageError
from imagebuild.host.hints import command_line
from imagebuild.host.process import TimeoutExpired, started
from imagebuild.log import hide
from imagebuild.schema.document import Mark
from imagebuild.schema.fields import forbidden_character
from imagebuild.schema.section import SecretRef
from imagebuild.schema.ssh_keys import public_key

_MAX_BYTES = 64 * 1024
_LONGEST_PASSWORD = 256
"""In bytes; `openssl passwd` truncates a longer one with only a warning."""
_SHORTEST_PASSPHRASE = 8
"""In characters; much shorter ones are not masked in logs either."""
_LONGEST_PASSPHRASE = 512
"""In bytes; cryptsetup reads no more from a terminal."""
_CRYPTED = re.compile(r"\$(?:5|6|y|gy|7|2[abxy])\$[A-Za-z0-9./$=,]{20,200}")


class Secrets(Protocol):
    """Provides a kickstart with the secrets that its recipe refers to.

    ``at`` is the place of the reference in the recipe. Every method raises RecipeError if a secret
    is missing or invalid.
    """

    def password_hash(self, ref: SecretRef, at: Mark) -> str:
        """The password in crypt(5) form."""

    def ssh_keys(self, ref: SecretRef, at: Mark) -> tuple[str, ...]:
        """The public keys, one line each."""

    def passphrase(self, ref: SecretRef, at: Mark) -> str:
        """The passphrase of encrypted disks as it is: it has no hashed form."""


class RealSecrets:
    """The real values, for the kickstart that is installed."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ
        self._hashes: dict[str, str] = {}

    def password_hash(self, ref: SecretRef, at: Mark) -> str:
        value = _password(ref, at, self._environ)
        if _CRYPTED.fullmatch(value):
            return value
        if value not in self._hashes:
            self._hashes[value] = sha512_crypt(value)
            hide(self._hashes[value])
        return self._hashes[value]

    def ssh_keys(self, ref: SecretRef, at: Mark) -> tuple[str, ...]:
        return _ssh_keys(ref, at, self._environ)

    def passphrase(self, ref: SecretRef, at: Mark) -> str:
        return _passphrase(ref, at, self._environ)


class FingerprintSecrets:
    """Placeholders that change when the value changes and reveal nothing about it without ``key``."""

    def __init__(self, key: bytes, environ: Mapping[str, str] | None = None) -> None:
        self._key = key
        self._environ = os.environ if environ is None else environ

    def _digest(self, kind: str, value: str) -> str:
        digest = hmac.new(self._key, f"{kind}\n{value}".encode(), hashlib.sha256)
        return f"{kind}-{digest.hexdigest()}"

    def password_hash(self, ref: SecretRef, at: Mark) -> str:
        return self._digest("password", _password(ref, at, self._environ))

    def ssh_keys(self, ref: SecretRef, at: Mark) -> tuple[str, ...]:
        keys = _ssh_keys(ref, at, self._environ)
        return tuple(f"ssh-ed25519 {self._digest('key', key)}" for key in keys)

    def passphrase(self, ref: SecretRef, at: Mark) -> str:
        return self._digest("passphrase", _passphrase(ref, at, self._environ))


class SampleSecrets:
    """Placeholders that do not read the values, for lint and for showing a kickstart without access
    to the secrets.
    """

    def password_hash(self, ref: SecretRef, at: Mark) -> str:
        return "password-hash"

    def ssh_keys(self, ref: SecretRef, at: Mark) -> tuple[str, ...]:
        return ("ssh-ed25519 public-key",)

    def passphrase(self, ref: SecretRef, at: Mark) -> str:
        return "passphrase-sample"


def sha512_crypt(password: str) -> str:
    """``password`` in the ``$6$`` form of crypt(5), hashed by OpenSSL with a new salt."""
    with started(["openssl", "passwd", "-6", "-stdin"], stdin=True) as process:  # not run(): that logs the output
        try:
            output, _ = process.communicate(password + "\n", timeout=30)
        except TimeoutExpired as error:
            raise HostError("openssl did not hash a password within 30 s") from error
    crypted = output.strip()
    if process.returncode != 0 or not _CRYPTED.fullmatch(crypted):
        raise HostError("openssl cannot create a SHA-512 password hash", "OpenSSL 1.1.1 or newer is needed")
    return crypted


def _password(ref: SecretRef, at: Mark, environ: Mapping[str, str]) -> str:
    value = _read(ref, at, environ)
    if forbidden_character(value):
        raise _problem(at, f"the password in {ref} contains a line break or a control character")
    if value.startswith("$") and re.match(r"\$[0-9a-z]+\$", value) and not _CRYPTED.fullmatch(value):
        raise _problem(
            at, f"the password in {ref} looks like a crypt(5) hash but is incomplete", "see crypt(5) for the formats"
        )
    if len(value.encode()) > _LONGEST_PASSWORD:
        raise _problem(at, f"the password in {ref} is longer than {_LONGEST_PASSWORD} bytes")
    return value


def _passphrase(ref: SecretRef, at: Mark, environ: Mapping[str, str]) -> str:
    value = _read(ref, at, environ)
    if forbidden_character(value):
        raise _problem(at, f"the passphrase in {ref} contains a line break or a control character")
    if len(value) < _SHORTEST_PASSPHRASE:
        raise _problem(at, f"the passphrase in {ref} has fewer than {_SHORTEST_PASSPHRASE} characters")
    if len(value.encode()) > _LONGEST_PASSPHRASE:
        raise _problem(at, f"the passphrase in {ref} is longer than {_LONGEST_PASSPHRASE} bytes")
    return value


def _ssh_keys(ref: SecretRef, at: Mark, environ: Mapping[str, str]) -> tuple[str, ...]:
    lines = [line.strip() for line in _read(ref, at, environ).splitlines()]
    try:
        return tuple(public_key(line) for line in lines if line and not line.startswith("#"))
    except ValueError as error:
        message = str(error).split(", found", 1)[0]  # the rest of the message shows the secret
        raise _problem(at, f"the SSH key in {ref}: {message}") from error


def _read(ref: SecretRef, at: Mark, environ: Mapping[str, str]) -> str:
    try:
        return read(ref, Path(at.file).parent, environ)
    except UsageError as error:
        raise _problem(at, error.message, error.hint) from error


def read(ref: SecretRef, folder: Path, environ: Mapping[str, str] | None = None) -> str:
    """The value without trailing line breaks; it is masked in every log from now on.

    Files are relative to ``folder``. Raises UsageError if the value is missing or empty.
    """
    value = (
        _from_environment(ref.env, os.environ if environ is None else environ)
        if ref.env
        else _from_file(folder, ref.file or "")
    )
    value = value.rstrip("\r\n")
    if not value:
        raise UsageError(f"{ref} is empty")
    hide(value)
    return value


def _from_environment(name: str, environ: Mapping[str, str]) -> str:
    if name not in environ:
        raise UsageError(f"the environment variable {name} is not set", f"set it first: export {command_line(name)}=…")
    return environ[name]


def _from_file(folder: Path, written: str) -> str:
    try:
        path = folder / Path(written).expanduser()
    except RuntimeError as error:  # ~user
        raise UsageError(f"the file {written} cannot be read: there is no such user") from error
    try:
        with path.open("rb") as stream:
            raw = stream.read(_MAX_BYTES + 1)
        if len(raw) > _MAX_BYTES:
            raise UsageError(f"the file {path} is larger than {_MAX_BYTES // 1024} KiB, the limit for a secret")
        return raw.decode()
    except OSError as error:
        raise UsageError(f"the file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"the file {path} is not UTF-8 text") from error


def _problem(at: Mark, message: str, hint: str | None = None) -> RecipeError:
    return RecipeError([Problem(at.file, at.value, "", message, hint)])
