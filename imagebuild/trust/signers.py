"""What signs provenance: a private key in a file or a variable, an SSH agent, a PKCS#11 token."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from imagebuild.errors import HostError, UsageError
from imagebuild.host.hints import command_line
from imagebuild.project.trust import SignWith, TokenKey
from imagebuild.recipe import secrets
from imagebuild.schema.section import SecretRef
from imagebuild.trust.keys import VerificationKey, of_public, public

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

_PKCS11_LIBRARY = "PYKCS11LIB"
"""The variable in which securesystemslib looks for the token's library."""


@contextmanager
def opened(sign: SignWith, folder: Path) -> Iterator[tuple[Signer, VerificationKey]]:
    """What signs, and its public key; ``folder`` is that of the project's file. Raises UsageError for a
    key that cannot be used, HostError for an agent or a token that does not sign.
    """
    if sign.agent is not None:
        from imagebuild.trust.agent_signer import AgentSigner

        found = public(sign.agent, "trust.sign.agent", folder)
        if found.key is None:
            raise UsageError("trust.sign.agent is an OpenPGP key, which an SSH agent does not have")
        yield AgentSigner(found), found
    elif sign.pkcs11 is not None:
        with _token(sign.pkcs11, folder) as pair:
            yield pair
    else:
        yield _in_memory(sign, folder)


def _in_memory(sign: SignWith, folder: Path) -> tuple[Signer, VerificationKey]:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key
    from securesystemslib.signer import CryptoSigner

    assert sign.key is not None
    for secret in (sign.key, sign.passphrase):
        _check_private(secret, folder)
    content = secrets.read(sign.key, folder).encode() + b"\n"
    word = None if sign.passphrase is None else secrets.read(sign.passphrase, folder).encode()
    load = load_ssh_private_key if b"BEGIN OPENSSH PRIVATE KEY" in content else load_pem_private_key
    try:
        private = load(content, word)
        key = of_public(private.public_key(), "trust.sign.key")
        return CryptoSigner(private, key.key), key
    except (TypeError, ValueError, UnsupportedAlgorithm) as error:
        # not the libraries' words, which may repeat a part of the key
        hint = "expected an unencrypted Ed25519 or ECDSA key as PEM (PKCS#8) or in OpenSSH's format"
        if word is None and (
            b"ENCRYPTED" in content or isinstance(error, TypeError) or "password" in str(error).lower()
        ):
            hint = "it is encrypted: set trust.sign.passphrase"
        elif isinstance(error, UnsupportedAlgorithm):
            hint = "if it is in OpenSSH's format and has a passphrase, add it to an SSH agent, and use trust.sign.agent"
        elif word is not None:
            hint = "is the passphrase right, and is it an Ed25519 or ECDSA key?"
        raise UsageError(f"the private key in {sign.key} cannot be used", hint) from None


def _check_private(secret: SecretRef | None, folder: Path) -> None:
    """Refuse the file of a secret that other users of this host may read or write, as ssh does: only if
    it is the user's own, since nobody else can change that of another.
    """
    if secret is None or secret.file is None:
        return
    with suppress(OSError, RuntimeError):  # reading it says what is wrong
        path = folder / Path(secret.file).expanduser()
        status = path.stat()
        if stat.S_ISREG(status.st_mode) and status.st_uid == os.getuid() and status.st_mode & 0o077:
            mode = stat.S_IMODE(status.st_mode)
            raise UsageError(
                f"other users may read or change {path}, which is secret: its mode is {mode:04o}; nothing was signed",
                f"{command_line('chmod', '600', path)}; if others have read it, make a new key",
            )


@contextmanager
def _token(token: TokenKey, folder: Path) -> Iterator[tuple[Signer, VerificationKey]]:
    """A key on a PKCS#11 token, whose library must be known until it has signed."""
    pin = secrets.read(token.pin, folder)
    before = os.environ.get(_PKCS11_LIBRARY)
    os.environ[_PKCS11_LIBRARY] = str(folder / Path(token.module).expanduser())
    try:
        yield _of_token(token, pin)
    finally:
        if before is None:
            del os.environ[_PKCS11_LIBRARY]
        else:
            os.environ[_PKCS11_LIBRARY] = before


def _of_token(token: TokenKey, pin: str) -> tuple[Signer, VerificationKey]:
    from securesystemslib.exceptions import UnsupportedLibraryError
    from securesystemslib.signer import HSMSigner

    try:
        _, key = HSMSigner.import_(token.id, token.token, lambda _what: pin)
        found = of_public(key._crypto_key(), "trust.sign.pkcs11")  # noqa: SLF001 - there is no other way to it
        return HSMSigner(token.id, key, lambda _what: pin, token.token), found
    except UnsupportedLibraryError as error:
        raise HostError(
            "keys on PKCS#11 tokens need the library python-pkcs11", "install imagebuild[pkcs11]"
        ) from error
    except (ValueError, OSError, RuntimeError) as error:
        raise HostError(f"the PKCS#11 token {token.token or token.module} cannot be used: {error}") from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] == "pkcs11":  # the library may not be there
            raise HostError(f"the PKCS#11 token does not sign: {type(error).__name__}") from error
        raise


def new_key(path: Path) -> VerificationKey:
    """Create an Ed25519 key pair: the private key in a new file (PEM, PKCS#8) that only its owner may
    read. A missing folder is made, for its owner only. Raises UsageError if there is such a file,
    HostError if it cannot be written.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    private = Ed25519PrivateKey.generate()
    content = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with suppress(FileNotFoundError):  # opening the file says it
        path.parent.mkdir(mode=0o700, exist_ok=True)
    try:
        _write_new(path, content)
    except FileExistsError as error:
        raise UsageError(
            f"{path} already exists", "choose another name: a key that is in use is not replaced"
        ) from error
    except OSError as error:
        raise HostError(
            f"the key cannot be written to {path}: {error.strerror or error}", "choose another file with --new-key"
        ) from error
    return of_public(private.public_key(), path.stem)


def _write_new(path: Path, content: bytes) -> None:
    """Write a file that is not there yet, for its owner only; nothing is left of half a file."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
