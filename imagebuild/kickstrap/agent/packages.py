"""Installs the target from packages of a mirror, with mmdebstrap."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .errors import InstallError

if TYPE_CHECKING:
    from collections.abc import Callable

    from .command import CommandRunner
    from .plan import Packages

_DHCP = """#!/bin/sh
# udhcpc passes the lease in the environment.
case "$1" in
bound|renew)
    ip addr flush dev "$interface"
    ip addr add "$ip/${mask:-24}" dev "$interface"
    [ -z "$router" ] || ip route replace default via "${router%% *}"
    : > /etc/resolv.conf
    for server in $dns; do echo "nameserver $server" >> /etc/resolv.conf; done ;;
esac
"""


def mmdebstrap_command(packages: Packages, root: str) -> list[str]:
    """The command that installs into the mounted folder ``root``.

    Without --nocore the target gets Debian's standard packages (priority important), with it only
    the required ones (priority required). Weak dependencies are Debian's Recommends.
    """
    chosen = [*packages.packages, *(f"{name}-" for name in packages.excluded)]
    recommends = "true" if packages.weak_dependencies else "false"
    return [
        "mmdebstrap",
        "--mode=root",
        f"--variant={'important' if packages.core else 'required'}",
        f'--aptopt=APT::Install-Recommends "{recommends}"',
        '--aptopt=Acquire::Languages "none"',
        "--aptopt=Acquire::Retries 3",
        *(f"--dpkgopt={option}" for option in packages.left_out),
        *([f"--include={','.join(chosen)}"] if chosen else []),
        # mmdebstrap copies both from its own system; a stale resolv.conf breaks name resolution in the guest
        '--customize-hook=rm -f "$1/etc/resolv.conf" "$1/etc/hostname"',
        # the target is a mounted file system, which has lost+found
        "--skip=check/empty",
        packages.sources[0].suite,
        root,
        *(str(source) for source in packages.sources),
    ]


def install(commands: CommandRunner, packages: Packages, root: Path, progress: Callable[[float], None]) -> None:
    """Bring the network up and install; ``progress`` is called with an estimate from 0.0 to 1.0."""
    network_up(commands)
    lines = 0

    def count(_: str) -> None:
        nonlocal lines
        lines += 1
        progress(1 - 1 / (1 + lines / 400))

    result = commands.run(mmdebstrap_command(packages, str(root)), check=False, on_line=count)
    if result.status != 0:
        errors = [line for line in result.output.splitlines() if line.startswith("E: ")]
        detail = f": {errors[0][3:]}" if errors else ""
        raise InstallError(f"cannot install the packages{detail}")


def network_up(commands: CommandRunner, interfaces: Path = Path("/sys/class/net")) -> None:
    """Get an address by DHCP on the first Ethernet interface."""
    commands.run(["modprobe", "-q", "virtio_net"], check=False)
    names = sorted(path.name for path in interfaces.iterdir() if (path / "device").exists())
    if not names:
        raise InstallError("packages come from a mirror, but the VM has no network interface")
    script = Path("/run/kickstrap/dhcp")
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(_DHCP)
    script.chmod(0o755)
    commands.run(["ip", "link", "set", names[0], "up"])
    udhcpc = ["busybox", "udhcpc", "-i", names[0], "-n", "-q", "-t", "10", "-s", str(script)]
    if commands.run(udhcpc, check=False).status != 0:
        raise InstallError(f"packages come from a mirror, but {names[0]} got no address from DHCP")
