"""The accounts that may log in to the guest: root and users."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, PlainSerializer, PlainValidator, ValidationError, model_validator

from imagebuild.schema import fields as f
from imagebuild.schema import ssh_keys
from imagebuild.schema.findings import Finding, Refused, findings, twice
from imagebuild.schema.section import KeysRef, SecretRef, Section, without_nothing

_HIGHEST_ID = 2**31 - 2
"""The highest id that all tools accept: some treat a uid as a signed 32-bit number."""


def _ssh_key(value: Any) -> str | SecretRef:
    if isinstance(value, dict | SecretRef):
        try:
            return KeysRef.model_validate(value)
        except ValidationError as error:
            raise Refused(findings(error, KeysRef)) from error
    return ssh_keys.public_key(value)


def _ssh_key_schema() -> dict[str, Any]:
    return {"anyOf": [{"type": "string", "pattern": "^(ssh|ecdsa|sk)-"}, SecretRef.model_json_schema()]}


SshKey = Annotated[
    str | SecretRef,
    PlainValidator(_ssh_key),
    PlainSerializer(lambda key: key.model_dump() if isinstance(key, SecretRef) else key, return_type=Any),
    f.Kind("public key or reference", schema=_ssh_key_schema),
]

AccountName = Annotated[
    str,
    BeforeValidator(
        f.matching(
            r"[a-z_][a-z0-9_-]{0,31}",
            "an account name of lower-case letters, digits, '_' and '-' (at most 32 characters) such as ops",
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
    """The root account. It is locked without a password."""

    password: SecretRef | None = Field(
        None, description="Reference to the password, in plain text or hashed: `{env: NAME}` or `{file: PATH}`."
    )
    ssh_keys: tuple[SshKey, ...] = Field(
        (), description="Public keys that may log in as root; each is a full key or a reference."
    )


class User(Section):
    """An account other than root.

    Without a password, password login is locked; key login still works.
    """

    name: AccountName = Field(description="Name of the account.")
    password: SecretRef | None = Field(None, description="Reference to the password. Default: the account is locked.")
    ssh_keys: Annotated[tuple[SshKey, ...], BeforeValidator(without_nothing)] = Field(
        (), description="Public keys that may log in; each is a full key or a reference."
    )
    groups: Annotated[tuple[AccountName, ...], BeforeValidator(without_nothing)] = Field(
        (), description="Additional groups; missing ones are created."
    )
    sudo: bool = Field(
        default=False,
        description="May become root with `sudo`: with its password, or without one if the account has none.",
    )
    uid: AccountId | None = Field(None, description="User id. Default: the next free one.")
    gid: AccountId | None = Field(None, description="Id of the account's primary group. Default: the next free one.")
    shell: Shell = Field("/bin/bash", description="Login shell.")
    gecos: Gecos = Field("", description="Comment in `/etc/passwd`, usually the full name.")

    @model_validator(mode="after")
    def _groups(self) -> Self:
        wrong = twice(self.groups, ("groups",))
        wrong += [
            Finding(("groups", at), "this is the account's primary group; it is already a member")
            for at, group in enumerate(self.groups)
            if group == self.name
        ]
        if wrong:
            raise Refused(wrong)
        return self


def user_findings(users: Sequence[User]) -> Iterator[Finding]:
    """Problems that concern several users."""
    for at, user in enumerate(users):
        if user.name == "root":
            yield Finding(("users", at, "name"), "root exists in every guest", "use the section root: instead")
        for key in ("name", "uid", "gid"):
            value = getattr(user, key)
            if value is not None and value in [getattr(other, key) for other in users[:at]]:
                yield Finding(("users", at, key), f"another user has the {key} {value!r}")
