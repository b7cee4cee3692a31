"""What the project's file ``imagebuild.yaml`` may contain.

A later section of the file is a field of :class:`Project`. Keys that others depend on come first, so
that one wrong value does not hide the next.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, PrivateAttr, ValidationInfo, field_validator, model_validator

from imagebuild.project import location
from imagebuild.project import storage_access as access
from imagebuild.project import uri as uris
from imagebuild.project.farm import Farm
from imagebuild.project.file import FILE
from imagebuild.project.groups import conflicts
from imagebuild.project.nightly import Nightly
from imagebuild.project.shared_store import SharedStore
from imagebuild.project.trust import Trust
from imagebuild.schema import fields as f
from imagebuild.schema.document import Document, Mark, Route
from imagebuild.schema.findings import Finding, Refused
from imagebuild.schema.section import Section, without_none, without_nothing


def _uri(value: object) -> str:
    return str(uris.parsed(value))


def _location(value: object) -> str:
    location.located(value)
    return f.text(value)


def _absolute(value: object) -> str:
    return location.checked_path(f.text(value))


Uri = Annotated[
    str, BeforeValidator(_uri), f.Kind("libvirt URI", schema={"type": "string", "pattern": r"^qemu(\+[a-z]+)?://"})
]
Place = Annotated[str, BeforeValidator(_location), f.Kind("URL or path", schema={"type": "string", "minLength": 1})]
AbsolutePath = Annotated[
    str, BeforeValidator(_absolute), f.Kind("absolute path", schema={"type": "string", "pattern": "^/"})
]
Names = Annotated[tuple[f.Name, ...], BeforeValidator(without_nothing)]


class Host(Section):
    """A machine with a libvirt daemon, and the pool on it that templates are published to."""

    insecure: bool = Field(
        default=False,
        description="Accept connections that are neither encrypted nor verified: `qemu+tcp`, `no_verify=1`.",
    )
    uri: Uri = Field(
        description="The daemon: `qemu+ssh://[user@]host[:port]/system`, `qemu+tls://host/system`, `qemu:///system`"
        " or `qemu:///session` on this machine."
    )
    pool: f.Name = Field("default", description="The storage pool for the templates, of type directory.")
    path: AbsolutePath | None = Field(
        None,
        description="The folder in which the pool is made if the host does not have it, such as"
        " `/var/lib/libvirt/images`. Default: a missing pool is an error.",
    )
    labels: Names = Field((), description="Words that select several hosts: `--to label=WORD`.")
    shell: bool = Field(
        default=True,
        description="Whether programs may be run on the host, by ssh or on this machine: faster than libvirt.",
    )
    sudo: bool = Field(
        default=False, description="Run programs on the host with `sudo -n`, because the user is not root."
    )
    identity_file: f.FilePath | None = Field(
        None, description="The private key for ssh; relative to this file's folder."
    )
    known_hosts_file: f.FilePath | None = Field(
        None, description="The host keys that ssh accepts; relative to this file's folder. Default: those of the user."
    )

    @property
    def parsed(self) -> uris.LibvirtUri:
        """The parts of ``uri``."""
        return uris.parsed(self.uri)

    @property
    def has_shell(self) -> bool:
        """Whether programs can and may be run on the host."""
        return self.shell and self.parsed.transport in ("unix", "ssh")

    @field_validator("uri")
    @classmethod
    def _secure(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("insecure") is False and (found := uris.parsed(value).insecurities):
            raise ValueError(f"{found[0]}; use qemu+ssh or qemu+tls, or say insecure: true in this entry")
        return value

    @field_validator("identity_file", "known_hosts_file")
    @classmethod
    def _for_ssh(cls, value: str | None, info: ValidationInfo) -> str | None:
        uri = info.data.get("uri")
        if value is not None and uri is not None and uris.parsed(uri).transport != "ssh":
            raise ValueError("this is for qemu+ssh only, and the URI of this host is another one")
        return _known_hosts(value, info)

    @field_validator("sudo")
    @classmethod
    def _sudo(cls, value: Any, info: ValidationInfo) -> Any:
        if not value or "uri" not in info.data:
            return value
        uri = uris.parsed(info.data["uri"])
        if uri.transport not in ("unix", "ssh") or info.data.get("shell") is False:
            raise ValueError("sudo needs a shell on the host: a qemu+ssh or a local URI, and not shell: false")
        if uri.is_session:
            raise ValueError("sudo is not for a session: its pool belongs to the user")
        return value


class StorageTarget(Section):
    """A folder, an SFTP server or object storage that templates are published to."""

    insecure: bool = Field(default=False, description="Accept an `endpoint` that is not encrypted.")
    url: Place = Field(
        description="A folder (relative to this file's folder), `file:///path`, `sftp://[user@]host[:port]/path` or"
        " `s3://bucket/prefix`."
    )
    labels: Names = Field((), description="Words that select several targets: `--to label=WORD`.")
    endpoint: access.Endpoint = None
    region: access.Region = None
    access_key: access.AccessKey = None
    secret_key: access.SecretKey = None
    identity_file: access.IdentityFile = None
    known_hosts_file: access.KnownHostsFile = None

    @property
    def parsed(self) -> location.Location:
        """The parts of ``url``."""
        return location.located(self.url)

    @field_validator("endpoint")
    @classmethod
    def _encrypted(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and value.startswith("http:") and info.data.get("insecure") is False:
            raise ValueError("http encrypts nothing; use https, or say insecure: true in this entry")
        return value

    @field_validator("endpoint", "region", "access_key", "secret_key")
    @classmethod
    def _for_s3(cls, value: Any, info: ValidationInfo) -> Any:
        return _only_for("s3", value, info)

    @field_validator("identity_file", "known_hosts_file")
    @classmethod
    def _for_sftp(cls, value: str | None, info: ValidationInfo) -> str | None:
        return _known_hosts(_only_for("sftp", value, info), info)

    @model_validator(mode="after")
    def _both_keys(self) -> Self:
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError(access.BOTH_KEYS)
        return self


def _only_for(kind: str, value: Any, info: ValidationInfo) -> Any:
    url = info.data.get("url")
    if value is not None and url is not None and location.located(url).kind != kind:
        raise ValueError(f"this is for {kind}:// only, and the URL of this target is another one")
    return value


def _known_hosts(value: str | None, info: ValidationInfo) -> str | None:
    if info.field_name == "known_hosts_file" and value == access.NULL_FILE and info.data.get("insecure") is False:
        raise ValueError(access.ANY_MACHINE)
    return value


class Project(Section):
    """The content of ``imagebuild.yaml``; empty if there is no such file."""

    hosts: Annotated[dict[f.Name, Host], BeforeValidator(without_none)] = Field(
        default_factory=dict, description="The libvirt hosts, by name."
    )
    targets: Annotated[dict[f.Name, StorageTarget], BeforeValidator(without_none)] = Field(
        default_factory=dict, description="Other places to publish to, by name."
    )
    groups: Annotated[dict[f.Name, Names], BeforeValidator(without_none)] = Field(
        default_factory=dict, description="Names for several hosts and targets: lists of names, also of other groups."
    )
    nightly: Annotated[Nightly, BeforeValidator(without_none)] = Field(
        default_factory=Nightly, description="What `imagebuild nightly` builds, and what it does with it."
    )
    farm: Annotated[Farm, BeforeValidator(without_none)] = Field(
        default_factory=Farm, description="Where builds on several machines are handed out; see [farm](farm.md)."
    )
    store: SharedStore | None = Field(
        None, description="The store that machines share; see [the remote store](remote-store.md)."
    )
    trust: Trust | None = Field(
        None, description="What signs artifacts, and whose signatures are accepted; see [provenance](provenance.md)."
    )

    _document: Document = PrivateAttr(default_factory=lambda: Document(FILE, None))
    _path: Path = PrivateAttr(default=Path(FILE))
    _exists: bool = PrivateAttr(default=False)

    @model_validator(mode="after")
    def _names(self) -> Self:
        found = [*conflicts(self.hosts, self.targets, self.groups), *self._twice()]
        if found:
            raise Refused(found)
        return self

    def _twice(self) -> Iterator[Finding]:
        """Places that have two names: a copied entry that was not changed."""
        first: dict[tuple[str, ...], str] = {}
        for name, host in self.hosts.items():
            if (same := first.setdefault((host.uri, host.pool), name)) != name:
                yield Finding(("hosts", name, "uri"), f"this is the same host and pool as {same!r}")
        for name, target in self.targets.items():
            if (same := first.setdefault((target.url, target.endpoint or ""), name)) != name:
                yield Finding(("targets", name, "url"), f"this is the same place as {same!r}")

    def attach(self, document: Document, path: Path) -> Self:
        """Store where the project came from; called by the loader."""
        self._document, self._path, self._exists = document, path, True
        return self

    def missing(self, path: Path) -> Self:
        """Store which file does not exist; called by the loader."""
        self._path = path
        return self

    @property
    def file(self) -> Path:
        """The project's file, which need not exist."""
        return self._path

    @property
    def exists(self) -> bool:
        """Whether there is such a file."""
        return self._exists

    @property
    def folder(self) -> Path:
        """The folder that relative paths in the file are relative to."""
        return self._path.absolute().parent

    @cached_property
    def entries(self) -> dict[str, Host | StorageTarget]:
        """All hosts and targets by name, in the order of the file."""
        return {**self.hosts, **self.targets}

    def place(self, *route: str | int) -> Mark:
        """Where a value is written."""
        inner: Route = route
        return self._document.mark(inner)
