"""Signs statements with sigstore: without a key, by an identity that the environment has.

The identity is a token of OpenID Connect. It is a secret while it is valid, some minutes. Nothing is ever
asked, and no browser opened.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from imagebuild.errors import HostError, ImageBuildError, UsageError
from imagebuild.log import hide
from imagebuild.printable import one_line
from imagebuild.project.trust import Sigstore
from imagebuild.recipe import secrets
from imagebuild.schema.section import SecretRef
from imagebuild.trust import bundle
from imagebuild.trust.keys import SignerIdentity

if TYPE_CHECKING:
    from sigstore.models import ClientTrustConfig
    from sigstore.oidc import IdentityToken

_LIMIT = 180.0
"""Seconds for a signature: the library sets no limit for its connections."""
_SHOWN = 200
_NOTHING = "nothing was signed"
Result = TypeVar("Result")


@dataclass(frozen=True)
class KeylessSigner:
    """Signs with the instance of sigstore that a project names; ``folder`` is that of its file. The token
    is read from ``token_file``, or detected, each time: it may expire while images are read.
    """

    sigstore: Sigstore
    folder: Path
    token_file: Path | None = None
    limit: float = _LIMIT

    def check(self) -> None:
        """Raise what :meth:`sign` would raise without an identity or the library. Signs nothing."""
        self._token()

    def sign(self, payload: bytes, accepted: tuple[SignerIdentity, ...]) -> bytes:
        """A bundle with the statement ``payload``, signed by one of the ``accepted`` identities; by any
        if there are none.

        Raises UsageError for an identity that cannot be used, HostError if there is none, or a server
        cannot be reached, ImageBuildError if one refuses.
        """
        token, config = self._token(), self._config()
        made = _limited(lambda: _signed(config, token, payload), self.limit)
        root = None if self.sigstore.trusted_root is None else self._path(self.sigstore.trusted_root)
        try:
            bundle.verified(made.encode(), accepted or (_signer(made),), root)
        except bundle.BundleError as error:
            raise ImageBuildError(
                f"what sigstore signed would not be accepted: {error}",
                "add the identity to trust.sigstore.identities, if it may sign images" if accepted else _NOTHING,
            ) from error
        return made.encode()

    def _path(self, written: str) -> Path:
        return self.folder / Path(written).expanduser()

    def _token(self) -> IdentityToken:
        try:
            from sigstore.oidc import IdentityError, IdentityToken, detect_credential
        except ImportError as error:
            raise HostError(
                f"signing with sigstore needs the Python package sigstore: {error}", bundle.EXTRA
            ) from error
        bundle.quiet()
        if self.token_file is not None:
            raw = secrets.read(SecretRef(file=str(self.token_file.absolute())), self.folder)
            where = f"the identity token in {self.token_file}"
        else:
            try:
                raw = _limited(detect_credential, self.limit) or ""
            except IdentityError as error:
                raise HostError(
                    f"the identity of this environment cannot be used: {_words(error)}",
                    "the job needs the permission to request an identity token; or use --identity-token-file",
                ) from error
            where = "the identity token of this environment"
        if not raw:
            raise HostError(
                "there is no identity to sign with: this environment offers no identity token",
                "run it in a CI job that may request one (in GitHub Actions, id-token: write), or write a token for the"
                " audience sigstore to a file and give it with --identity-token-file",
            )
        hide(raw)
        try:
            return IdentityToken(raw)
        except IdentityError:
            raise UsageError(
                f"{where} cannot be used: it is damaged, has expired, or is not for the audience sigstore",
                "request a new one: tokens are valid for some minutes only",
            ) from None  # not the library's words, which could repeat a part of it

    def _config(self) -> ClientTrustConfig:
        from sigstore.errors import TUFError
        from sigstore.models import ClientTrustConfig

        root, addresses = self.sigstore.trusted_root, self.sigstore.signing_config
        if root is None:
            try:
                return _limited(ClientTrustConfig.production, self.limit)
            except TUFError as error:
                raise HostError(
                    f"sigstore's public instance cannot be reached: {_words(error)}", _reach(_NOTHING)
                ) from error
        if addresses is None:
            raise UsageError(
                "trust.sigstore.trusted_root is of another instance of sigstore, and its addresses are not known",
                "name its signing_config.json with trust.sigstore.signing_config",
            )
        try:
            texts = {
                "mediaType": ClientTrustConfig.ClientTrustConfigType.CONFIG_0_1.value,
                "trustedRoot": json.loads(self._path(root).read_bytes()),
                "signingConfig": json.loads(self._path(addresses).read_bytes()),
            }
            return ClientTrustConfig.from_json(json.dumps(texts))
        except (OSError, ValueError) as error:
            raise UsageError(
                f"trust.sigstore: {root} and {addresses} cannot be used: {_words(error)}",
                "expected the trusted_root.json and the signing_config.json of one instance of sigstore",
            ) from error


def _signed(config: ClientTrustConfig, token: IdentityToken, payload: bytes) -> str:
    from requests import RequestException
    from sigstore.dsse import Statement
    from sigstore.sign import SigningContext

    try:
        # a certificate for each signature, as it is valid for minutes
        with SigningContext.from_trust_config(config).signer(token) as signer:
            return signer.sign_dsse(Statement(payload)).to_json()
    except RequestException as error:
        raise HostError(f"a server of sigstore cannot be reached: {_words(error)}", _reach(_NOTHING)) from error
    except Exception as error:  # its modules have exceptions of their own, without a common class
        cause = f": {_words(error.__cause__)}" if error.__cause__ is not None and not str(error) else ""
        raise ImageBuildError(f"sigstore does not sign: {_words(error)}{cause}", _NOTHING) from error


def _signer(made: str) -> SignerIdentity:
    """Who has signed a bundle that was just made, so that all else about it can be verified."""
    from sigstore.models import Bundle

    return bundle.signer(Bundle.from_json(made).signing_certificate)


def _limited(work: Callable[[], Result], seconds: float) -> Result:
    """What ``work`` returns or raises, within some seconds. Raises HostError; it then goes on in vain,
    until the program ends.
    """
    done: list[Result] = []
    failed: list[Exception] = []

    def run() -> None:
        try:
            done.append(work())
        except Exception as error:  # noqa: BLE001 - it is raised below
            failed.append(error)

    thread = threading.Thread(target=run, name="sigstore", daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise HostError(f"sigstore did not answer within {seconds:g} s", _reach(_NOTHING))
    return done[0]


def _reach(what: str) -> str:
    return f"{what}; try again later, or sign with a key, which needs no network"


def _words(error: BaseException) -> str:
    return one_line(str(error) or type(error).__name__)[:_SHOWN]
