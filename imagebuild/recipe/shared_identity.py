"""Clones of the image would share an identity of the machine that it was installed on.

Installing a system gives it an identity: the machine id, SSH host keys, a random seed, and the
address of its network card in configuration and leases. Every clone of an image that still has them
is the same machine to DHCP servers, SSH clients and whatever else knows machines by these. The
operations in brackets remove them, and clones create their own. All shipped images have these
operations from `recipes/base/image.yaml`, which a recipe can extend. Some identities are reported
only if a package that has one is listed. A recipe whose image becomes exactly one machine, or that
removes them in another way, suppresses the rule in `lint.ignore`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from imagebuild.errors import Problem, Severity
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.schema import rule_names

NAME = rule_names.SHARED_IDENTITY
SEVERITY: Severity = "warning"
_KEY = "operations"


@dataclass(frozen=True)
class SharedIdentity:
    """What stays in an image unless ``operation`` removes it.

    It is there in every image, or in those with one of ``packages`` (a name that ends in ``*`` is
    the beginning of a name), and in those of the ``families``.
    """

    operation: str
    what: str
    packages: tuple[str, ...] = ()
    families: tuple[str, ...] = ()

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(name for name in self.packages if not name.endswith("*"))

    @cached_property
    def _beginnings(self) -> tuple[str, ...]:
        return tuple(name[:-1] for name in self.packages if name.endswith("*"))

    def is_in(self, packages: Sequence[str]) -> bool:
        """Whether one of ``packages`` brings it."""
        return not self._names.isdisjoint(packages) or any(one.startswith(self._beginnings) for one in packages)


IDENTITIES = (
    SharedIdentity("remove-ssh-host-keys", "SSH host keys"),
    SharedIdentity("reset-machine-id", "machine id"),
    SharedIdentity("remove-network-identity", "hardware addresses, UUIDs and DHCP leases of the network configuration"),
    SharedIdentity("remove-udev-rules", "udev rules for the network cards"),
    SharedIdentity("remove-random-seed", "random seed"),
    SharedIdentity("remove-device-records", "records of the devices"),
    SharedIdentity("remove-initramfs-identity", "copies of these in the initramfs", ("dracut",), ("redhat",)),
    SharedIdentity("reset-cloud-init", "cloud-init's instance", ("cloud-init",)),
    SharedIdentity(
        "remove-storage-initiator-names",
        "names of the storage initiators",
        ("open-iscsi", "iscsi-initiator-utils", "nvme-cli"),
    ),
    SharedIdentity("remove-subscriptions", "subscription", ("subscription-manager*", "rhsm*")),
    SharedIdentity(
        "remove-domain-membership",
        "membership of a domain",
        ("sssd*", "realmd", "adcli", "samba", "winbind", "freeipa-client", "ipa-client", "certmonger"),
    ),
    SharedIdentity(
        "remove-dhcp-server-leases",
        "leases given to others",
        ("isc-dhcp-server", "dhcp-server", "kea*", "dnsmasq"),
    ),
    SharedIdentity("remove-app-store-state", "registration with the store", ("snapd",)),
    SharedIdentity(
        "reset-agents",
        "identities of the agents",
        (
            "alloy", "amazon-ssm-agent", "ceph*", "cfengine3", "chef", "clamav-freshclam", "cockpit*", "consul",
            "containerd*", "docker-ce", "docker.io", "elastic-agent", "etcd*", "filebeat", "fwupd", "gitlab-runner",
            "glusterfs-server", "google-guest-agent", "icinga2", "insights-client", "kubelet", "landscape-client",
            "metricbeat", "monit", "mysql-server*", "nebula", "net-snmp", "netbird", "netdata", "nomad", "openvswitch*",
            "osquery", "ovn*", "popularity-contest", "rabbitmq-server", "salt-minion", "snmpd", "syncthing",
            "tailscale", "tang", "teleport", "venv-salt-minion", "waagent", "wazuh-agent", "WALinuxAgent",
            "zerotier-one",
        ),
    ),
)  # fmt: skip


def found_in(recipe: Recipe) -> Problem | None:
    """The warning about everything that clones of the recipe's image would share; None if nothing
    is left to share. Whether the recipe suppresses it is not looked at.
    """
    left = list(_left(recipe))
    if not left:
        return None
    mark = recipe.place((_KEY,))
    what = ", ".join(f"{one.what} ({one.operation})" for one in left)
    return Problem(
        mark.file,
        mark.key,
        _KEY,
        f"all clones of this image would have the same {what}",
        "add these operations, or say why in lint.ignore:"
        f" `{NAME}: …`; base/image.yaml, which the shipped recipes extend, has all of them",
        NAME,
        SEVERITY,
    )


def _left(recipe: Recipe) -> Iterator[SharedIdentity]:
    named = {call.name for call in recipe.all_operations}
    packages = _packages(recipe)
    for one in IDENTITIES:
        always = not (one.packages or one.families)
        if one.operation not in named and (always or recipe.os.family in one.families or one.is_in(packages)):
            yield one


def _packages(recipe: Recipe) -> list[str]:
    added = [
        name
        for call in recipe.operations
        if call.name == "install-packages"
        for name in getattr(call.params, "packages", ())
    ]
    return [*recipe.all_packages, *added]
