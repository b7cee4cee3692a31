"""What a machine gets at its first boot: its host name, SSH keys, and what cloud-init takes.

Guests with cloud-init get a NoCloud seed (https://docs.cloud-init.io, "NoCloud"). Others get
credentials of systemd in SMBIOS strings of type 11 (systemd.system-credentials(7); since version 252,
which also reads ``tmpfiles.extra``). These are on QEMU's command line on the host, so nothing secret
may be among them.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from imagebuild.errors import UsageError
from imagebuild.printable import one_line
from imagebuild.publish.state import Published
from imagebuild.schema import fields
from imagebuild.schema.ssh_keys import public_key

Way = Literal["cloud-init", "credentials", ""]
CREDENTIAL = "io.systemd.credential"
_LARGEST = 1 << 20
"""Bytes of a file that is given; cloud-init has no limit, and no use for more."""
_LARGEST_STRINGS = 16 << 10
"""Bytes of all credentials: they are part of QEMU's command line, and SMBIOS tables are small."""
_LONGEST_NAME = 64
"""Linux's limit for a host name."""
_CREDENTIALS = 252
_SYSTEM_HOSTNAME = 254
"""The versions of systemd that read credentials from SMBIOS, and ``system.hostname`` among them."""
_HEADINGS = (
    b"#!", b"#cloud-config", b"#cloud-boothook", b"#include", b"#part-handler", b"## template:", b"#upstart-job",
    b"Content-Type:", b"MIME-Version:", b"From ", b"\x1f\x8b",
)  # fmt: skip
"""How user data begins (cloud-init's documentation, "User data formats"); others are ignored by it."""
_HOST_NAME = fields.matching(
    rf"(?=.{{1,{_LONGEST_NAME}}}$)[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*",
    f"a host name such as web1.example.org, of at most {_LONGEST_NAME} characters",
)


@dataclass(frozen=True)
class FirstBootValues:
    """``hostname`` is empty for the machine's name; ``ssh_keys`` are lines as in authorized_keys. The
    others are for cloud-init only, and may contain passwords.
    """

    hostname: str = ""
    ssh_keys: tuple[str, ...] = ()
    user_data: bytes = field(default=b"", repr=False)
    meta_data: Mapping[str, Any] = field(default_factory=dict, repr=False)
    network_config: bytes = field(default=b"", repr=False)

    @property
    def for_cloud_init(self) -> bool:
        """Whether there is something that only cloud-init takes."""
        return bool(self.user_data or self.meta_data or self.network_config)


def read(
    hostname: str | None = None,
    ssh_keys: Sequence[Path] = (),
    user_data: Path | None = None,
    meta_data: Path | None = None,
    network_config: Path | None = None,
) -> FirstBootValues:
    """The values that the user gives, checked. Raises UsageError, which repeats nothing secret."""
    name = "" if hostname is None else _host_name(hostname, "--hostname")
    keys = tuple(dict.fromkeys(key for path in ssh_keys for key in _keys(path)))
    users = b"" if user_data is None else _user_data(user_data)
    meta = {} if meta_data is None else _mapping(_content(meta_data, "--meta-data"), f"--meta-data {meta_data}")
    if "instance-id" in meta:
        raise UsageError("--meta-data: the instance-id is the UUID of the new machine", "remove it from the file")
    if name and not {"local-hostname", "hostname"}.isdisjoint(meta):
        raise UsageError("--hostname and the host name in the file of --meta-data are mutually exclusive")
    network = b"" if network_config is None else _content(network_config, "--network-config")
    if network_config is not None:
        _mapping(network, f"--network-config {network_config}")
    return FirstBootValues(name, keys, users, meta, network)


def way(version: Published, values: FirstBootValues) -> Way:
    """How the guest of this version takes values; empty if it takes none.

    Raises UsageError if ``values`` has something that it does not take.
    """
    support = version.first_boot
    if support is not None and support.cloud_init:
        return "cloud-init"
    if values.for_cloud_init:
        what = "it was published without a list of its packages" if support is None else "it has no cloud-init"
        raise UsageError(
            f"version {version.version} takes no user data: {what}",
            "add the package cloud-init to the recipe, or use only --hostname and --ssh-key",
        )
    if support is not None and support.systemd >= _CREDENTIALS:
        if values.ssh_keys and support.root_keys:
            raise UsageError(
                f"--ssh-key: root has SSH keys in version {version.version} already, and systemd adds none to them",
                "add the package cloud-init to the recipe, or the key",
            )
        return "credentials"
    if values.hostname or values.ssh_keys:
        raise UsageError(
            f"version {version.version} takes neither a host name nor SSH keys: it has no cloud-init, and no systemd"
            f" {_CREDENTIALS} or later",
            "add the package cloud-init to the recipe",
        )
    return ""


def host_name(values: FirstBootValues, machine: str) -> str:
    """The host name: the one that was given, or the machine's name."""
    return values.hostname or _host_name(machine, f"the machine's name {one_line(machine)} as its host name")


def seed_files(values: FirstBootValues, machine: str, instance_id: str) -> dict[str, bytes]:
    """The files of a NoCloud seed."""
    meta: dict[str, Any] = {"instance-id": instance_id, **values.meta_data}
    if "hostname" not in meta:
        meta.setdefault("local-hostname", "" if "local-hostname" in meta else host_name(values, machine))
    if values.ssh_keys:
        meta["public-keys"] = [*_listed(meta.get("public-keys")), *values.ssh_keys]
    found = {
        "meta-data": yaml.safe_dump(meta, sort_keys=False).encode(),
        "user-data": values.user_data or b"#cloud-config\n{}\n",
    }
    if values.network_config:
        found["network-config"] = values.network_config
    return found


def credentials(values: FirstBootValues, machine: str, systemd: int) -> list[str]:
    """The SMBIOS strings. Raises UsageError if they are too long.

    A template has a static host name, which has precedence over ``system.hostname``, so that
    systemd-tmpfiles also writes the file, and sets the name.
    """
    name = host_name(values, machine)
    lines = [
        f"f+ /etc/hostname 0644 root root - {name}\\n",  # the escape is one of tmpfiles.d(5)
        f"w /proc/sys/kernel/hostname - - - - {name}",
    ]
    found = [_encoded("tmpfiles.extra", lines)]
    if systemd >= _SYSTEM_HOSTNAME:
        found.insert(0, f"{CREDENTIAL}:system.hostname={name}")
    if values.ssh_keys:
        found.append(_encoded("ssh.authorized_keys.root", values.ssh_keys))
    if sum(map(len, found)) > _LARGEST_STRINGS:
        raise UsageError("--ssh-key: these are too many keys for systemd's credentials", "give fewer keys")
    return found


def _encoded(name: str, lines: Sequence[str]) -> str:
    text = "".join(f"{line}\n" for line in lines)
    return f"{CREDENTIAL}.binary:{name}={base64.b64encode(text.encode()).decode()}"


def _host_name(text: str, what: str) -> str:
    try:
        return _HOST_NAME(text)
    except ValueError as error:
        raise UsageError(f"{what}: {error}", None if what.startswith("--") else "give one with --hostname") from error


def _keys(path: Path) -> list[str]:
    """The public keys in a file like those of ssh-keygen, or authorized_keys without options."""
    try:
        lines = _content(path, "--ssh-key").decode().splitlines()
    except UnicodeDecodeError as error:
        raise UsageError(f"--ssh-key {path}: this is not text") from error
    found = []
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                found.append(public_key(line))
            except ValueError as error:
                if "PRIVATE KEY" in line:
                    raise UsageError(f"--ssh-key {path}: this is a private key", f"give {path}.pub") from error
                raise UsageError(f"--ssh-key {path}:{number}: {error}") from error
    if not found:
        raise UsageError(f"--ssh-key {path}: there is no key in it")
    return found


def _user_data(path: Path) -> bytes:
    data = _content(path, "--user-data")
    heading = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not heading.startswith(_HEADINGS):
        raise UsageError(
            f"--user-data {path}: cloud-init would ignore it, because of its first line",
            "it begins with #cloud-config for YAML, or with #! for a script",
        )
    if heading.startswith(b"#cloud-config") and not heading.startswith(b"#cloud-config-archive"):
        _mapping(data, f"--user-data {path}")
    return data


def _mapping(data: bytes, what: str) -> dict[str, Any]:
    """The mapping in a YAML file; messages show no part of it."""
    try:
        found = yaml.safe_load(data)
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f" (line {error.problem_mark.line + 1})"
        raise UsageError(f"{what}: this is not YAML{line}") from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise UsageError(f"{what}: this is not YAML") from None
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise UsageError(f"{what}: this is not a mapping of names to values")
    return found


def _listed(keys: Any) -> list[str]:
    """The keys in meta-data: a list, or one text (cloud-init's ``normalize_pubkey_data``)."""
    if keys is None:
        return []
    if isinstance(keys, str):
        return keys.splitlines()
    if isinstance(keys, list) and all(isinstance(one, str) for one in keys):
        return keys
    raise UsageError("--meta-data: public-keys is not a list of keys")


def _content(path: Path, what: str) -> bytes:
    """A regular file's bytes."""
    if path.exists() and not path.is_file():
        raise UsageError(f"{what} {path}: this is not a regular file")
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise UsageError(f"{what} {path}: {error.strerror}") from error
    if len(data) > _LARGEST:
        raise UsageError(f"{what} {path}: the file is larger than {_LARGEST >> 20} MiB")
    if not data.strip():
        raise UsageError(f"{what} {path}: the file is empty")
    return data
