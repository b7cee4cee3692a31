"""The section ``store`` of ``imagebuild.yaml``: the store that machines share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from imagebuild.project import location
from imagebuild.project import storage_access as access
from imagebuild.schema import fields as f
from imagebuild.schema.findings import Finding, Refused
from imagebuild.schema.section import SecretRef, Section

_FOR_S3 = ("endpoint", "region", "access_key", "secret_key")
_FOR_SFTP = ("identity_file", "known_hosts_file")


def _is_web(line: str) -> bool:
    return line.casefold().startswith(("http://", "https://"))


def _remote(value: object) -> str:
    line = f.text(value)
    if not _is_web(line):
        location.located(line)
        return line
    if "@" in line or "?" in line or "#" in line:
        raise ValueError("the URL of a remote store has no user name or password, and nothing after '?' or '#'")
    return f.url(line).rstrip("/")


RemoteUrl = Annotated[str, BeforeValidator(_remote), f.Kind("URL or path", schema={"type": "string", "minLength": 1})]


class SharedStore(Section):
    """The store that machines share: results of steps are fetched from it, and put there."""

    insecure: bool = Field(
        default=False, description="Accept a `remote` or an `endpoint` that is not encrypted: `http://`."
    )
    remote: RemoteUrl | None = Field(
        None,
        description="A folder (relative to this file's folder), `sftp://[user@]host[:port]/path`, `s3://bucket/prefix`,"
        " or `https://host/path`, from which nothing but reading is possible. Default: what `--remote-store` says.",
    )
    push: Literal["always", "never"] = Field(
        "always", description="Whether builds put their results there: `always`, or `never`."
    )
    key: SecretRef | None = Field(
        None,
        description="The secret that entries are sealed with, of at least 32 characters, the same for all machines."
        " With a key, nothing is taken that it did not seal.",
    )
    keep: f.Whole = Field(
        2, ge=1, le=1000, description="How many results per image and kind `imagebuild store prune` keeps."
    )
    endpoint: access.Endpoint = None
    region: access.Region = None
    access_key: access.AccessKey = None
    secret_key: access.SecretKey = None
    identity_file: access.IdentityFile = None
    known_hosts_file: access.KnownHostsFile = None

    @property
    def kind(self) -> Literal["none", "folder", "sftp", "s3", "http"]:
        """What ``remote`` is; ``none`` if there is none."""
        if self.remote is None:
            return "none"
        return "http" if _is_web(self.remote) else location.located(self.remote).kind

    @property
    def parsed(self) -> location.Location:
        """The parts of ``remote``, which is no web server."""
        return location.located(self.remote)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if found := list(self._flaws()):
            raise Refused(found)
        return self

    def _flaws(self) -> Iterator[Finding]:
        if not self.insecure:
            for name in ("remote", "endpoint"):
                if str(getattr(self, name)).casefold().startswith("http://"):
                    yield Finding((name,), "http encrypts nothing; use https, or say insecure: true in this section")
            if self.known_hosts_file == access.NULL_FILE:
                yield Finding(("known_hosts_file",), access.ANY_MACHINE)
        if self.remote is not None:
            yield from self._foreign("s3", _FOR_S3)
            yield from self._foreign("sftp", _FOR_SFTP)
        if (self.access_key is None) != (self.secret_key is None):
            yield Finding(("access_key",), access.BOTH_KEYS)

    def _foreign(self, kind: str, names: tuple[str, ...]) -> Iterator[Finding]:
        given: dict[str, Any] = {name: getattr(self, name) for name in names}
        if self.kind != kind:
            for name, value in given.items():
                if value is not None:
                    yield Finding((name,), f"this is for {kind}:// only, and the remote store is another one")
