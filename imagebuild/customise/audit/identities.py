"""Everything that distinguishes this guest from others, collected from where a system stores it.

UUIDs of file systems are not included: clones of one disk share them, and
``renew-disk-identifiers`` changes them where they must differ.
"""

from __future__ import annotations

import ipaddress
import json
import posixpath
import re
import uuid
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from imagebuild.customise.audit import hostnames, ip_addresses, spellings
from imagebuild.customise.audit.text import text_of

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

MACHINE_ID = "machine id"
_MACHINE_IDS = ("/etc/machine-id", "/var/lib/dbus/machine-id")
_NAMED_AFTER_IT = {
    "/var/log/journal/*": r"([0-9a-f]{32})",
    "/boot/loader/entries/*.conf": r"([0-9a-f]{32})-.*\.conf",
    "/efi/loader/entries/*.conf": r"([0-9a-f]{32})-.*\.conf",
    "/boot/efi/loader/entries/*.conf": r"([0-9a-f]{32})-.*\.conf",
    "/boot/*0-rescue-*": r".*0-rescue-([0-9a-f]{32})(\.img)?",
}
"""Places where systemd's journal, kernel-install and dracut's rescue image use the id as a name: it
can be found there when the id itself is gone."""
_TOKENS = ("/etc/kernel/entry-token", "/etc/kernel/install.conf")

_NETWORK = (
    "/etc/sysconfig/network-scripts/ifcfg-*",
    "/etc/sysconfig/network/ifcfg-*",
    "/etc/NetworkManager/NetworkManager.conf",
    "/etc/NetworkManager/conf.d/*",
    "/etc/NetworkManager/system-connections/*",
    "/etc/netplan/*.yaml",
    "/etc/systemd/network/*",
    "/etc/systemd/network/*/*.conf",
    "/etc/network/interfaces",
    "/etc/network/interfaces.d/*",
    "/etc/udev/rules.d/*",
    "/etc/conf.d/net",
    "/etc/dhcp/dhclient*.conf",
    "/etc/dhcpcd.conf",
    "/etc/default/grub",
    "/etc/kernel/cmdline",
    "/boot/loader/entries/*.conf",
    "/boot/grub/grub.cfg",
    "/boot/grub2/grub.cfg",
    "/etc/cloud/cloud.cfg.d/*",
)
_LEASES = (
    "/var/lib/dhcp/*",
    "/var/lib/dhclient/*",
    "/var/lib/dhcpcd/*",
    "/var/lib/NetworkManager/*",
    "/var/lib/systemd/network/*",
    "/var/lib/wicked/*",
    "/var/lib/cloud/instances/*/network-config*",
    "/var/lib/cloud/instances/*/vendor-data*",
    "/var/log/cloud-init-output.log",
)
_OTHERS_STATIONS = ("/seen-bssids", "/timestamps")
_ADDRESS = re.compile(
    r"(?<![0-9A-Fa-f:-])[0-9A-Fa-f]{2}(?:([:-])[0-9A-Fa-f]{2})(?:\1[0-9A-Fa-f]{2}){4,14}(?![0-9A-Fa-f:-])"
)
_CARD_IN_LOG = re.compile(r"^.*\b(?:eth\d+|en[opsx]\w+|wl\w+)\b.*$", re.MULTILINE)
_OF_EVERY_QEMU = ipaddress.ip_address("10.0.2.15")
_BY_ID = re.compile(r"/dev/disk/by-id/([A-Za-z0-9][\w.:+-]*)")
_DEVICE = re.compile(r"\bIDTYPE=(?:sys_serial|sys_wwid|mpath_uuid|scsi_\w+)[ \t]+IDNAME=(\S+)")
_DISKS = (
    "/etc/fstab", "/etc/crypttab", "/etc/default/grub", "/etc/kernel/cmdline", "/etc/mdadm.conf",
    "/etc/mdadm/mdadm.conf",
    "/etc/zfs/vdev_id.conf", "/etc/smartd.conf", "/boot/grub/grub.cfg", "/boot/grub2/grub.cfg", "/boot/grub/device.map",
    "/etc/lvm/devices/system.devices", "/etc/lvm/backup/*",
)  # fmt: skip
_MOST_OF_A_KIND = 32
Some = TypeVar("Some", str, bytes)
_NO_INSTANCE = re.compile(r"iid-datasource-none|nocloud|iid-local\d*|i-default", re.IGNORECASE)


@dataclass(frozen=True)
class Identity:
    """An identity of this one guest: what it is, how it may be written, and what may surround it.

    ``alone`` lists the characters, as inside a bracket expression of a regular expression, that
    must not come before or after it. ``name`` marks a word that somebody chose, which is compared
    only in texts; in that case ``by_case`` makes the comparison case-sensitive.
    """

    what: str
    spellings: tuple[str, ...]
    alone: str = "0-9A-Fa-f"
    name: bool = False
    by_case: bool = False

    @cached_property
    def pattern(self) -> re.Pattern[bytes]:
        """The pattern that finds it in a text."""
        spellings = [re.escape(one) for one in sorted(self.spellings, key=len, reverse=True)]
        around = (f"(?<![{self.alone}])", f"(?![{self.alone}])") if self.alone else ("", "")
        # Next to a backslash there may be any character that was escaped.
        text = "|".join(one if "\\\\" in one else one.join(around) for one in spellings)
        return re.compile(text.encode(), 0 if self.by_case else re.IGNORECASE)


def gather(guest: Guest) -> list[Identity]:
    """All identities of the guest that can be found in its files. Changes nothing."""
    found = [Identity(MACHINE_ID, tuple(spellings.of_machine_id(one))) for one in _some(_machine_ids(guest))]
    found += [
        Identity(f"hardware address {one.hex(':')}", tuple(spellings.of_address(one)))
        for one in _some(_addresses(guest))
    ]
    found += [
        Identity(f"IP address {one}", tuple(spellings.of_ip(one)), r"0-9A-Fa-f:" if ":" in one else "0-9.", name=True)
        for one in _some(_ips(guest))
    ]
    for one in hostnames.gather(guest)[:_MOST_OF_A_KIND]:
        word = one.isalpha()
        around = "0-9A-Za-z_-" if word else "0-9A-Za-z"
        found.append(Identity(f"hostname {one}", (one,), around, name=True, by_case=word))
    found += [Identity(what, tuple(spellings.of_public_key(body)), "") for what, body in _host_keys(guest)]
    found += [Identity("cloud instance id", (one,), "0-9A-Za-z") for one in _some(_instances(guest))]
    found += [Identity(f"disk serial number {one}", (one,), "0-9A-Za-z") for one in _some(_serials(guest))]
    found += [Identity(what, tuple(texts), "0-9A-Za-z") for what, texts in _storage_names(guest)]
    return found


def _some(found: Collection[Some]) -> list[Some]:
    """The findings of one kind, sorted and limited: no machine has more, and a search accepts only
    so many."""
    return sorted(found)[:_MOST_OF_A_KIND]


def current_machine_id(guest: Guest) -> str:
    """The id in /etc/machine-id; empty if the guest has none."""
    value = text_of(guest, _MACHINE_IDS[0]).strip().lower()
    return value if re.fullmatch("[0-9a-f]{32}", value) else ""


def _machine_ids(guest: Guest) -> set[str]:
    found = {text_of(guest, path).strip().lower().replace("-", "") for path in _MACHINE_IDS}
    for pattern, name in _NAMED_AFTER_IT.items():
        matches = (re.fullmatch(name, posixpath.basename(path)) for path in guest.glob(pattern))
        found |= {match[1] for match in matches if match}
    for path in _TOKENS:
        found.update(re.findall(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])", text_of(guest, path)))
    return {one for one in found if re.fullmatch("[0-9a-f]{32}", one) and len(set(one)) > 1}


def _network(guest: Guest) -> Iterator[tuple[str, str]]:
    for path in guest.real_files(*_NETWORK, *_LEASES):
        if not path.endswith(_OTHERS_STATIONS):
            text = text_of(guest, path)
            # A log also contains the addresses of other machines' cards.
            yield path, "\n".join(_CARD_IN_LOG.findall(text)) if path.startswith("/var/log/") else text


def _addresses(guest: Guest) -> set[bytes]:
    found = set()
    for _, text in _network(guest):
        for match in _ADDRESS.finditer(text):
            value = bytes.fromhex(match[0].replace(":", "").replace("-", ""))
            # A DUID ends with the address (RFC 8415, 11.2 and 11.4), and so does a client identifier of type 1.
            if (
                len(value) == 6
                or (len(value) == 14 and value[:2] == b"\0\1")
                or (len(value) == 10 and value[:2] == b"\0\3")
            ):
                found.add(value[-6:])
            elif len(value) == 7 and value[0] == 1:
                found.add(value[1:])
    return {one for one in found if any(one) and not one[0] & 1}


def _ips(guest: Guest) -> set[str]:
    found: set[ip_addresses.Address] = set()
    for path, text in _network(guest):
        if path.startswith(("/etc/udev/", "/boot/", "/var/log/")):
            continue
        found |= ip_addresses.given_in(path, text)
    return {str(one) for one in found if one != _OF_EVERY_QEMU and one.packed[-1] not in (0, 255)}


def _host_keys(guest: Guest) -> Iterator[tuple[str, str]]:
    for path in guest.real_files("/etc/ssh/ssh_host_*.pub"):
        fields = text_of(guest, path).split()
        if len(fields) > 1 and len(fields[1]) > 30:
            yield f"public SSH host key ({fields[0]})", fields[1]


def _instances(guest: Guest) -> set[str]:
    texts = {
        text_of(guest, path).strip()
        for path in ("/var/lib/cloud/data/instance-id", "/var/lib/cloud/data/previous-instance-id")
    }
    texts |= {posixpath.basename(path) for path in guest.glob("/var/lib/cloud/instances/*")}
    for path in guest.real_files("/run/cloud-init/instance-data.json"):
        texts |= _instance_of(text_of(guest, path))
    return {
        one
        for one in texts
        if len(one) >= 6 and " " not in one and not _NO_INSTANCE.fullmatch(one) and not one.isalpha()
    }


def _instance_of(text: str) -> set[str]:
    try:
        found = json.loads(text)["v1"]["instance_id"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return set()
    return {found} if isinstance(found, str) else set()


def _serials(guest: Guest) -> set[str]:
    found: set[str] = set()
    for path in guest.real_files(*_DISKS):
        text = text_of(guest, path)
        found.update(_DEVICE.findall(text))
        found.update(_serial(name) for name in _BY_ID.findall(text))
    for path in guest.real_files("/etc/multipath/wwids", "/var/lib/multipath/wwids"):
        found.update(re.findall(r"^/(\S+)/$", text_of(guest, path), re.MULTILINE))
    return {one for one in found if len(one) >= 6 and not one.isalpha()}


def _serial(name: str) -> str:
    """The serial number in a name below /dev/disk/by-id; empty for a name that refers to a file
    system, or that is the same in every QEMU guest."""
    bus, _, rest = re.sub(r"-part\d+$", "", name).partition("-")
    if bus in ("dm", "lvm", "md", "usb") or re.search(r"QM0000\d|drive-|QEMU_DVD", rest):
        return ""
    return rest.rpartition("_")[2]


def _storage_names(guest: Guest) -> Iterator[tuple[str, Iterable[str]]]:
    for name in re.findall(r"^InitiatorName=(\S+)", text_of(guest, "/etc/iscsi/initiatorname.iscsi"), re.MULTILINE):
        yield "iSCSI initiator name", [name]
    for path in ("/etc/nvme/hostid", "/etc/nvme/hostnqn"):
        value = text_of(guest, path).strip().rpartition(":")[2]
        try:
            yield "NVMe host id", spellings.of_uuid(value) if uuid.UUID(value).int else []
        except ValueError:
            continue
