"""The section ``trust`` of ``imagebuild.yaml``: what signs artifacts, and whose signatures are accepted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from imagebuild.schema import fields as f
from imagebuild.schema.findings import Finding, Refused
from imagebuild.schema.section import SecretRef, Section, without_none, without_nothing
from imagebuild.schema.ssh_keys import public_key

_DAY = {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}


def _day(value: object) -> date:
    if isinstance(value, date):
        return value
    line = f.text(value)
    wrong = f"expected a date such as 2026-12-31, found {f.shown(line)}"
    if len(line) != len("2026-12-31"):
        raise ValueError(wrong)
    try:
        return date.fromisoformat(line)
    except ValueError as error:
        raise ValueError(wrong) from error


def _key(value: object) -> str:
    line = f.text(value)
    return public_key(line) if line.startswith(("ssh-", "ecdsa-", "sk-")) else f.file_path(line)


def _builder(value: object) -> str:
    line = f.text(value)
    if ":" not in line or any(char.isspace() for char in line):
        raise ValueError(f"expected a URI such as https://ci.example.org/images, found {f.shown(line)}")
    return line


Day = Annotated[
    date, BeforeValidator(_day), PlainSerializer(str, return_type=str), f.Kind("date", lambda day: str(day), _DAY)
]
PublicKey = Annotated[
    str, BeforeValidator(_key), f.Kind("public key or path", schema={"type": "string", "minLength": 1})
]
BuilderId = Annotated[str, BeforeValidator(_builder), f.Kind("URI", schema={"type": "string", "pattern": ":"})]


class KeyRevocation(Section):
    """Since when a key is not accepted any more."""

    on: Day = Field(description="From this day on (UTC) nothing that the key signed is accepted, whenever it did so.")
    reason: f.Text = Field("", description="Why, for messages.")


def _check_order(what: str, not_before: date | None, expires: date | None) -> None:
    """Raises Refused for what expires before it is valid."""
    if not_before and expires and expires < not_before:
        raise Refused([Finding(("expires",), f"the {what} expires before it is valid, which is on {not_before}")])


class AcceptedKey(Section):
    """A public key whose signatures are accepted."""

    name: f.Name = Field(description="The name of the key in messages.")
    key: PublicKey = Field(
        description="The public key: one line of OpenSSH (`ssh-ed25519 …`), or the path of a file with such a line, a"
        " PEM key or an OpenPGP key; relative to this file's folder. Ed25519 or ECDSA."
    )
    not_before: Day | None = Field(None, description="The first day (UTC) on which it is accepted.")
    expires: Day | None = Field(None, description="The last day (UTC) on which it is accepted.")
    revoked: KeyRevocation | None = Field(None, description="Since when it is not accepted any more, and why.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        _check_order("key", self.not_before, self.expires)
        return self


class AcceptedIdentity(Section):
    """An identity whose signatures by sigstore are accepted."""

    identity: f.Text = Field(
        min_length=1, description="Who signs, as the certificate says it: the URI of a workflow, or an e-mail address."
    )
    issuer: f.Text = Field(
        min_length=1,
        description="The identity provider that vouches for it, such as `https://token.actions.githubusercontent.com`.",
    )
    not_before: Day | None = Field(None, description="The first day (UTC) on which it is accepted.")
    expires: Day | None = Field(None, description="The last day (UTC) on which it is accepted.")
    revoked: KeyRevocation | None = Field(None, description="Since when it is not accepted any more, and why.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        _check_order("identity", self.not_before, self.expires)
        return self


class Sigstore(Section):
    """Signatures by sigstore: whose are accepted, and which instance of sigstore is used."""

    identities: Annotated[tuple[AcceptedIdentity, ...], BeforeValidator(without_nothing)] = Field(
        (), description="The identities whose signatures are accepted, beside those of `keys`."
    )
    sign: bool = Field(
        default=False,
        description="Whether `attest` and `nightly` sign with sigstore, by the identity of the CI job they run in.",
    )
    trusted_root: f.FilePath | None = Field(
        None,
        description="File with the authorities and logs of a sigstore instance (`trusted_root.json`). Default: those of"
        " sigstore's public instance.",
    )
    signing_config: f.FilePath | None = Field(
        None,
        description="File with the addresses of that instance (`signing_config.json`), which signing needs.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.signing_config is not None and self.trusted_root is None:
            raise Refused([Finding(("signing_config",), "this needs trusted_root of the same instance of sigstore")])
        seen: set[tuple[str, str]] = set()
        for number, one in enumerate(self.identities):
            if (one.identity, one.issuer) in seen:
                raise Refused([Finding(("identities", number), "this identity is there already")])
            seen.add((one.identity, one.issuer))
        return self


class TokenKey(Section):
    """A key on a PKCS#11 token: ECDSA on the curve P-256 or P-384."""

    module: f.FilePath = Field(description="The token's PKCS#11 library, such as `/usr/lib/softhsm/libsofthsm2.so`.")
    token: f.Text | None = Field(None, description="The label of the token; needed if there are several.")
    id: f.Whole = Field(2, ge=0, le=65535, description="The ID of the key on the token (CKA_ID).")
    pin: SecretRef = Field(description="The user PIN.")


class SignWith(Section):
    """What signs: exactly one of `key`, `agent` and `pkcs11`."""

    key: SecretRef | None = Field(
        None, description="The private key: PEM (PKCS#8) or OpenSSH's format; Ed25519 or ECDSA."
    )
    passphrase: SecretRef | None = Field(None, description="The passphrase of `key`.")
    agent: PublicKey | None = Field(
        None, description="The public key of a private key that the SSH agent of `SSH_AUTH_SOCK` has."
    )
    pkcs11: TokenKey | None = Field(None, description="A key on a PKCS#11 token.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(one is not None for one in (self.key, self.agent, self.pkcs11)) != 1:
            raise ValueError("expected exactly one of key, agent and pkcs11")
        if self.passphrase is not None and self.key is None:
            raise Refused([Finding(("passphrase",), "this is the passphrase of key, and there is no key")])
        return self


class SumsSignature(Section):
    """What signs `SHA256SUMS`: exactly one of `gpg` and `ssh`."""

    gpg: f.Text | None = Field(
        None, description="A secret key of GnuPG (fingerprint, ID or user ID), which makes `SHA256SUMS.asc`."
    )
    gpg_home: f.FilePath | None = Field(None, description="Folder of GnuPG with that key. Default: the user's.")
    passphrase_file: f.FilePath | None = Field(
        None, description="File with the passphrase of that key. Default: gpg's agent must know it."
    )
    ssh: f.FilePath | None = Field(
        None,
        description="A private key of OpenSSH without a passphrase, or a public key whose private key the SSH agent"
        " has; it makes `SHA256SUMS.sig`.",
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.gpg is None) == (self.ssh is None):
            raise ValueError("expected exactly one of gpg and ssh")
        if self.gpg is None and (self.gpg_home or self.passphrase_file):
            raise ValueError("gpg_home and passphrase_file are for gpg only")
        return self


class Trust(Section):
    """What signs artifacts, and whose signatures are accepted."""

    builder_id: BuilderId | None = Field(
        None, description="URI of what builds, for the provenance. Default: `urn:imagebuild:builder`."
    )
    sign: SignWith | None = Field(None, description="What signs the provenance of artifacts.")
    sums: SumsSignature | None = Field(None, description="What signs `SHA256SUMS`. Default: nothing.")
    keys: Annotated[tuple[AcceptedKey, ...], BeforeValidator(without_nothing)] = Field(
        (),
        description="The keys whose signatures are accepted. If there are any, nothing is published, put on a shelf or"
        " instantiated that they did not sign.",
    )
    sigstore: Sigstore = Field(default_factory=Sigstore, description="Signatures by sigstore.")
    threshold: f.Whole = Field(
        1, ge=1, le=20, description="How many of the keys must have signed the provenance; an identity counts as a key."
    )
    templates: Annotated[dict[f.Name, f.Name], BeforeValidator(without_none)] = Field(
        default_factory=dict,
        description="Templates that do not have the name of their recipe (`publish --as`), each with its recipe.",
    )

    @property
    def signs(self) -> bool:
        """Whether artifacts are signed without being asked for."""
        return self.sign is not None or self.sigstore.sign

    @property
    def is_enforced(self) -> bool:
        """Whether the project names anybody whose signatures are accepted, so that nothing else is."""
        return bool(self.keys or self.sigstore.identities)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if found := list(self._flaws()):
            raise Refused(found)
        return self

    def _flaws(self) -> Iterator[Finding]:
        names: set[str] = set()
        for number, one in enumerate(self.keys):
            if one.name in names:
                yield Finding(("keys", number, "name"), f"another key has the name {one.name!r}")
            names.add(one.name)
        most = len(self.keys) + bool(self.sigstore.identities)  # a bundle is signed by one identity
        if self.is_enforced and self.threshold > most:
            yield Finding(("threshold",), f"there are fewer keys: {most}")
