"""Whether cloud-init runs in a guest and whether it writes its network configuration, by
cloud-init's own rules.

Based on its sources and documentation: the generator (systemd/cloud-init-generator: the kernel
command line takes precedence over the files /etc/cloud/cloud-init.enabled and .disabled),
``stages.py`` (``_find_networking_config``: the command line, then /etc/cloud, then the data source)
and ``util.py`` (``read_conf_with_confd``: the last file that contains a key sets it, mappings are
merged).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import yaml

from imagebuild.customise.linux import init_scripts, units
from imagebuild.customise.network import kernel_lines
from imagebuild.customise.network.yaml_text import NotYamlError, YamlText, get

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

_PROGRAMS = ("/usr/bin/cloud-init", "/usr/local/bin/cloud-init", "/bin/cloud-init")
_UNITS = (
    "cloud-init-local.service", "cloud-init-main.service", "cloud-init.service", "cloud-init-network.service",
    "cloud-init.target",
)  # fmt: skip
CONFIGURATION = "/etc/cloud/cloud.cfg"
_DPKG = "/var/lib/dpkg/status"
DATASOURCES = ("NoCloud", "ConfigDrive", "OpenStack", "Ec2")
"""What ``set-up-cloud-init`` configures by default. ConfigDrive and NoCloud are Proxmox's, too."""
IFUPDOWN = "/etc/network/interfaces.d/50-cloud-init"
"""What cloud-init writes for ifupdown."""
FALLBACK = "# DHCP until cloud-init replaces this file (imagebuild)"
"""The first line of ``IFUPDOWN`` as ``set-up-cloud-init`` writes it: nothing of one instance."""


def look(guest: Guest) -> str:
    """Why cloud-init in a clone will not write the network configuration; empty if it will. Changes
    nothing."""
    lines = kernel_lines.read(guest)
    return _not_installed(guest) or _switched_off(guest, lines) or _leaves_the_network(guest, lines)


def is_there(guest: Guest) -> bool:
    """Whether the guest has the program."""
    return any(guest.real_file(path) for path in _PROGRAMS)


def _not_installed(guest: Guest) -> str:
    if not is_there(guest):
        return "cloud-init is not installed"
    if guest.real_file(_DPKG):
        stanza = re.search(r"^Package: cloud-init\n(?:.+\n)*?Status: (.+)$", guest.read(_DPKG, 64 << 20), re.MULTILINE)
        if stanza and not stanza[1].endswith(" installed"):
            return "cloud-init was removed"
    return ""


def _switched_off(guest: Guest, lines: kernel_lines.KernelLines) -> str:
    words = lines.values("cloud-init")
    if "disabled" in words:
        return "the kernel command line disables cloud-init"
    enabled = "enabled" in words or guest.exists("/etc/cloud/cloud-init.enabled")
    if not enabled and guest.exists("/etc/cloud/cloud-init.disabled"):
        return "/etc/cloud/cloud-init.disabled disables cloud-init"
    if any(units.is_masked(guest, unit) for unit in _UNITS):
        return "cloud-init's unit is masked"
    if not _is_started_without_systemd(guest):
        return "nothing starts cloud-init"
    services = [unit for unit in _UNITS if unit.endswith(".service")]
    there = any(guest.exists(f"{folder}/{unit}") for folder in units.FOLDERS for unit in services)
    wanted = guest.glob(*(f"{folder}/*.wants/cloud-init*.service" for folder in units.FOLDERS))
    return "cloud-init's units are disabled" if there and not wanted else ""


def _is_started_without_systemd(guest: Guest) -> bool:
    """False if OpenRC or System V init scripts start the guest but not cloud-init; True if that is
    not known."""
    if guest.is_dir(init_scripts.OPENRC):
        return bool(guest.glob(f"{init_scripts.OPENRC}/*/cloud-init*"))
    if units.has_systemd(guest) or not guest.exists("/etc/init.d/cloud-init"):
        return True
    return bool(guest.glob("/etc/rc[2345].d/S*cloud-init*", "/etc/rc.d/rc[2345].d/S*cloud-init*"))


def _leaves_the_network(guest: Guest, lines: kernel_lines.KernelLines) -> str:
    if "disabled" in lines.values("network-config"):
        return "the kernel command line disables cloud-init's network configuration"
    if not guest.real_file(CONFIGURATION) and not configurations(guest):
        return "cloud-init has no configuration"
    if guest.exists("/var/lib/cloud/data/upgraded-network"):
        return "/var/lib/cloud/data/upgraded-network disables cloud-init's network configuration"
    if _word(_setting(guest, "network", "config")) == "disabled":
        return "cloud-init's configuration leaves the network alone"
    if _setting(guest, "network", "version") is not None:
        return "cloud-init's configuration contains the network, so the network does not belong to an instance"
    return ""


def configurations(guest: Guest) -> list[str]:
    """The files that cloud-init merges, the last one first, which takes precedence."""
    folder = "/etc/cloud/cloud.cfg.d"
    main = [CONFIGURATION] if guest.real_file(CONFIGURATION) else []
    return [*sorted(guest.real_files(f"{folder}/*.cfg"), reverse=True), *main]


def _setting(guest: Guest, *keys: str) -> yaml.Node | None:
    for path in configurations(guest):
        for document in documents(guest, path):
            node: yaml.Node | None = document
            for key in keys:
                node = get(node, key)
            if node is not None:
                return node
    return None


def documents(guest: Guest, path: str) -> list[yaml.Node]:
    """The documents of a configuration; none if it is not YAML, which cloud-init ignores as well."""
    try:
        return YamlText(guest.read(path)).documents
    except NotYamlError:
        return []


def _word(node: yaml.Node | None) -> str:
    return node.value if isinstance(node, yaml.ScalarNode) else ""
