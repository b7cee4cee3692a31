"""Who may log in to the guest: root, and users."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, PlainSerializer, PlainValidator, ValidationError, model_validator

from imagebuild.schema import fields as f
from imagebuild.schema import ssh_keys
from imagebuild.schema.findings import Finding, Refused, findings
from imagebuild.schema.section import KeysRef, SecretRef, Section, without_nothing

_HIGHEST_ID = 2**31 - 2
"""The most that tools agree upon: some take a uid for a signed number of 32 bits."""


def _ssh_key(value: Any) -> str | SecretRef:
    if isinstance(value, dict | SecretRef):
        try:
            return KeysRef.model_validate(value)
        except ValidationError as error:
            raise Refused(findings(error, KeysRef)) from error
    return ssh_keys.public_key(value)


SshKey = Annotated[
    str | SecretRef,
    PlainValidator(_ssh_key),
    PlainSerializer(lambda key: key.model_dump() if isinstance(key, SecretRef) else key, return_type=Any),
    f.Kind(
        "public key or reference",
        schema={"anyOf": [{"type": "string", "pattern": "^(ssh|ecdsa|sk)-"}, SecretRef.model_json_schema()]},
    ),
]

AccountName = Annotated[
    str,
    BeforeValidator(
        f.matching(
            r"[a-z_][a-z0-9_-]{0,31}",
            "an account's name of small letters, digits, '_' and '-' (at most 32) such as ops",
        )
    ),
    f.Kind("account", schema={"type": "string"}),
]
Shell = Annotated[
    str,
    BeforeValidator(f.matching(r"(?:/[A-Za-z0-9._+-]+)+", "the path of a shell such as /bin/bash")),
    f.Kind("path", schema={"type": "string"}),
]
Gecos = Annotated[
    str,
    BeforeValidator(f.matching(r"[^:]{0,200}", "a comment without ':' (at most 200 characters)")),
    f.Kind("text", schema={"type": "string"}),
]
AccountId = Annotated[f.Whole, Field(ge=1, le=_HIGHEST_ID)]


class Root(Section):
    """The account root. Without a password it is locked."""

    password: SecretRef | None = Field(
        None, description="Reference to the password, plain or crypted: `{env: NAME}` or `{file: PATH}`."
    )
    ssh_keys: tuple[SshKey, ...] = Field(
        (), description="Public keys that may log in as root; each in full or as a reference."
    )


class User(Section):
    """An account beside root. Without a password no password opens it; a key still does."""

    name: AccountName = Field(description="Name of the account.")
    password: SecretRef | None = Field(None, description="Reference to the password. Without it: locked.")
    ssh_keys: Annotated[tuple[SshKey, ...], BeforeValidator(without_nothing)] = Field(
        (), description="Public keys that may log in; each in full or as a reference."
    )
    groups: Annotated[tuple[AccountName, ...], BeforeValidator(without_nothing)] = Field(
        (), description="Further groups; those that are missing are made."
    )
    sudo: bool = Field(
        default=False,
        description="May become root with `sudo`: with the password, or without one where the account has none.",
    )
    uid: AccountId | None = Field(None, description="User id. Without it: the next that is free.")
    gid: AccountId | None = Field(None, description="Id of the account's own group. Without it: the next that is free.")
    shell: Shell = Field("/bin/bash", description="Login shell.")
    gecos: Gecos = Field("", description="Comment in `/etc/passwd`, as a rule the full name.")

    @model_validator(mode="after")
    def _groups(self) -> Self:
        wrong = [
            Finding(("groups", at), f"{group!r} stands here twice", "remove one of the two")
            for at, group in enumerate(self.groups)
            if group in self.groups[:at]
        ]
        wrong += [
            Finding(("groups", at), "this is the account's own group: it is a member of it anyway")
            for at, group in enumerate(self.groups)
            if group == self.name
        ]
        if wrong:
            raise Refused(wrong)
        return self


def user_findings(users: Sequence[User]) -> Iterator[Finding]:
    """What is wrong with users beside each other."""
    for at, user in enumerate(users):
        if user.name == "root":
            yield Finding(("users", at, "name"), "root is there in every guest", "write its keys under root:")
        for key in ("name", "uid", "gid"):
            value = getattr(user, key)
            if value is not None and value in [getattr(other, key) for other in users[:at]]:
                yield Finding(("users", at, key), f"another user has the {key} {value!r}")
