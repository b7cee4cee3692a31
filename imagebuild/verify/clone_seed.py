"""What cloud-init in a clone is given: the seed of an instance that only this clone is."""

from __future__ import annotations

import json
import os
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from imagebuild.host import process
from imagebuild.image import nocloud
from imagebuild.verify.check import CloneSeed

CHECK = "cloud-init-seed"
"""The check that needs a clone with a seed: where it is asked for, all clones get one."""
USER_DATA = b"#cloud-config\n{}\n"


@dataclass(frozen=True)
class SeedImage:
    """The seed of a clone as an ISO image that QEMU's user can read."""

    path: Path
    values: CloneSeed


def new(work: Path, clone: str, uid: int, device: str | None = None) -> SeedImage:
    """A seed in ``work`` with a new instance, host name and SSH key, as no other clone has them.

    ``uid`` is QEMU's user; ``device`` the interface to be configured, if it is known. Raises HostError if a
    program for it is missing.
    """
    key = work / f"{clone}-key"
    hint = "install an OpenSSH client, or leave the check out with --without"
    for path in (key, key.with_suffix(".pub")):
        path.unlink(missing_ok=True)
    process.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", clone, "-f", key], timeout=60, hint=hint)
    values = CloneSeed(str(uuid.uuid4()), f"{clone}-{secrets.token_hex(4)}", key)
    return SeedImage(made(work, clone, seed_files(values, device), uid), values)


def seed_files(values: CloneSeed, device: str | None = None) -> dict[str, bytes]:
    """The files of a seed. JSON is YAML, too.

    Without a network configuration cloud-init asks for IPv6 addresses by DHCP, too. QEMU's user network gives
    none, and ifupdown then reports the interface as failed.
    """
    meta = {
        "instance-id": values.instance_id,
        "local-hostname": values.hostname,
        "public-keys": [values.private_key.with_suffix(".pub").read_text().strip()],
    }
    found = {"meta-data": json.dumps(meta).encode(), "user-data": USER_DATA}
    if device is not None:
        card = {"type": "physical", "name": device, "subnets": [{"type": "dhcp4"}]}
        found["network-config"] = json.dumps({"version": 1, "config": [card]}).encode()
    return found


def made(work: Path, clone: str, files: Mapping[str, bytes], uid: int) -> Path:
    """The ISO image of a seed in ``work``. Only QEMU's user, and root, can read it."""
    path = work / f"{clone}-seed.iso"
    nocloud.make(path, files)
    os.chown(path, uid, -1)
    return path
