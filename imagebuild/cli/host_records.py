"""What ``hosts --json`` prints: a line for each host, target and group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from imagebuild.events import JsonLine


@dataclass(frozen=True)
class SecretSource:
    """Where a secret is read when it is needed: the secret itself is in no file and no output."""

    env: str | None = None
    file: str | None = None


@dataclass(frozen=True, kw_only=True)
class PlaceListed(JsonLine):
    """``file`` and ``line`` say where the entry is written; they are missing for a place that was
    given directly.
    """

    name: str
    file: str | None = None
    line: int | None = None


@dataclass(frozen=True, kw_only=True)
class HostListed(PlaceListed):
    """A libvirt host. Keys that are not set are missing, and so are ``file`` and ``line`` if the host
    is not in the project's file.
    """

    event: Literal["host"] = "host"
    kind: Literal["host"] = "host"
    uri: str
    insecure: bool
    pool: str
    path: str | None = None
    labels: tuple[str, ...]
    groups: tuple[str, ...]
    shell: bool
    sudo: bool
    identity_file: str | None = None
    known_hosts_file: str | None = None


@dataclass(frozen=True, kw_only=True)
class TargetListed(PlaceListed):
    """A folder, SFTP server or bucket. Keys that are not set are missing."""

    event: Literal["target"] = "target"
    kind: Literal["target"] = "target"
    url: str
    insecure: bool
    labels: tuple[str, ...]
    groups: tuple[str, ...]
    endpoint: str | None = None
    region: str | None = None
    access_key: SecretSource | None = None
    secret_key: SecretSource | None = None
    identity_file: str | None = None
    known_hosts_file: str | None = None


@dataclass(frozen=True, kw_only=True)
class GroupListed(PlaceListed):
    """A group, with the hosts and targets in it."""

    event: Literal["group"] = "group"
    kind: Literal["group"] = "group"
    members: tuple[str, ...]
