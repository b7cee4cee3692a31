"""Which services of the guest are switched on and off."""

from __future__ import annotations

from typing import Any, NamedTuple

UNITS = {
    "chronyd": "chrony",
    "crond": "cron",
    "httpd": "apache2",
    "iptables": "netfilter-persistent",
    "kdump": "kdump-tools",
    "mysqld": "mariadb",
    "network": "networking",
    "nfs": "nfs-server",
    "ntpd": "ntpsec",
    "smartd": "smartmontools",
    "sshd": "ssh",
    "syslog": "rsyslog",
    "vmtoolsd": "open-vm-tools",
}
"""Services of the RHEL family that have another name in Debian. systemctl(1) enables no aliases."""

SUCCESSORS = {"cloud-init": "cloud-init-network"}
"""Services that newer releases of Debian have by another name: 13 has split that of cloud-init."""


class ServiceChanges(NamedTuple):
    """Units by name, with or without ``.service``."""

    enabled: tuple[str, ...] = ()
    disabled: tuple[str, ...] = ()


def named_services(command: Any) -> ServiceChanges:
    """The services of pykickstart's ``command``, by Debian's names."""
    return ServiceChanges(tuple(map(_debian, command.enabled)), tuple(map(_debian, command.disabled)))


def _debian(name: str) -> str:
    plain = name.removesuffix(".service")
    return UNITS.get(plain, name)
