"""cloud-init makes its own instance of a clone.

Where this check is listed, each clone gets a NoCloud seed with an instance id, a host name and an SSH key
that no other clone has. cloud-init must end without errors, and with this instance and this host name;
whoever has the key must be able to log in, as the account that cloud-init has created for it, and to
become root with sudo. With ``network``, cloud-init must also have written the network configuration. The
recipe's section ``cloud_init`` adds this check; ``reboot`` then checks that cloud-init keeps the instance.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator

from pydantic import Field

from imagebuild.errors import CommandFailed
from imagebuild.host import process
from imagebuild.verify import check
from imagebuild.verify.check import CloneSeed, NotCheckable, RunningGuest

FOLLOWS = {"network-interface": "nobody can log in.*"}
_PROGRAM = "command -v cloud-init >/dev/null && echo yes || echo no"
_STATUS = 'cloud-init status --wait --long; echo "exit $?"'
_INSTANCE = "cat /var/lib/cloud/data/instance-id"
_HOSTNAME = "cat /proc/sys/kernel/hostname"
_NETWORK = (
    "grep -Lsi 'imagebuild' /etc/network/interfaces.d/50-cloud-init* /etc/netplan/50-cloud-init.yaml"
    " /etc/NetworkManager/system-connections/cloud-init-*.nmconnection /etc/systemd/network/10-cloud-init-*.network;"
    " grep -ls '^# Created by cloud-init' /etc/sysconfig/network-scripts/ifcfg-*; true"
)
_ACCOUNT = re.compile(r"[a-z_][a-z0-9_.-]{0,31}")
_SHOWN = 300
"""Characters of the guest's output in a problem."""


class Params(check.Params):
    network: bool = Field(default=True, description="whether cloud-init must have configured the network")
    device: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_.-]{1,15}$",
        description="the interface for which the seed says DHCP with IPv4; without it, cloud-init decides",
    )
    limit: int = Field(default=120, gt=0, description="seconds that cloud-init may still run after the boot")
    emulated: int = Field(default=600, gt=0, description="the same where the host has no KVM")


def act(guest: RunningGuest, params: Params) -> Iterator[str]:
    if guest.seed is None:
        raise NotCheckable("the clone got no seed")
    if guest.run(_PROGRAM).text.strip() == "no":
        yield "cloud-init is not installed"
        return
    limit = params.emulated if guest.emulated else params.limit
    problem = status(guest.run(_STATUS, timeout=limit).text)
    if problem:
        yield problem
    found = guest.run(_INSTANCE).text.strip()
    if found != guest.seed.instance_id:
        yield f"cloud-init did not read the seed: its instance is {found[:_SHOWN]!r}"
        return
    name = guest.run(_HOSTNAME).text.strip()
    if name != guest.seed.hostname:
        yield f"the host name is {name[:_SHOWN]!r}, not {guest.seed.hostname!r} of the seed"
    if params.network and not guest.run(_NETWORK).lines:
        yield "cloud-init has not written the network configuration"
    yield from _login(guest, guest.seed, limit)


def status(text: str) -> str:
    """What is wrong, in the output of ``cloud-init status --long``; empty if it ended without errors."""
    found = re.search(r"^status: (.+)$", text, re.MULTILINE)
    if found is None:
        return f"the status of cloud-init could not be read: {text.strip()[:_SHOWN]!r}"
    if found[1] == "done" and re.search(r"^exit 0$", text, re.MULTILINE):
        return ""
    rest = text[found.end() :]
    said = " ".join(re.sub(r"^(?:boot_status_code|last_update|exit).*$", "", rest, flags=re.MULTILINE).split())
    return f"cloud-init ended with the status {found[1]!r}: {said[:_SHOWN]}"


def _login(guest: RunningGuest, seed: CloneSeed, limit: float) -> Iterator[str]:
    """What is wrong with the login as the account that has the key."""
    public = shlex.quote(seed.private_key.with_suffix(".pub").read_text().split()[1])
    found = guest.run(
        f'for f in /home/*/.ssh/authorized_keys; do grep -qsF {public} "$f" && stat -c %U "$f"; done; true'
    ).lines
    if len(found) != 1 or not _ACCOUNT.fullmatch(found[0]):
        yield "no account has the key of the seed" if not found else f"the key of the seed is in {len(found)} accounts"
        return
    if guest.ssh_port is None:
        return
    if not shutil.which("ssh"):
        raise NotCheckable("ssh is not installed on this host, so the login could not be tried")
    said = _said(guest.ssh_port, found[0], seed, limit)
    if said.splitlines()[-1:] != ["0"]:
        yield f"nobody can log in as {found[0]} with the key of the seed and use sudo: {said[:_SHOWN]!r}"


def _said(port: int, account: str, seed: CloneSeed, limit: float) -> str:
    """What the login and sudo print: 0 if they work."""
    options = {
        "BatchMode": "yes",
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "StrictHostKeyChecking": "no",
        "UserKnownHostsFile": "/dev/null",
        "GlobalKnownHostsFile": "/dev/null",
        "LogLevel": "ERROR",
        "ConnectTimeout": f"{limit:.0f}",
    }
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    argv = ["ssh", "-F", "none", *words, "-i", str(seed.private_key), "-p", str(port), f"{account}@127.0.0.1"]
    try:
        return process.run([*argv, "sudo -n id -u"], timeout=limit, check=False).stdout.strip()
    except CommandFailed as error:
        return error.message
