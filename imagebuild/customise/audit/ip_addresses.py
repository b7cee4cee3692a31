"""The IP addresses that network configurations and leases assign to the guest, but not those of
name servers and gateways."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_YAML = re.compile(r"/etc/(netplan|cloud)/|/var/lib/cloud/")
_LARGEST_YAML = 256 << 10
_IP = r"([0-9A-Fa-f:.]+)"
_STATIC = re.compile(
    r"^[ \t]*(?:IPADDR\d*|IPV6ADDR\w*|LOCAL_IPADDR|address\d*|Address|fixed-address6?|ADDRESS|ip_address)"
    rf"[ \t:=]+[\"']*{_IP}(?:/\d+)?[\"',; \t]*",
    re.MULTILINE,
)
"""Addresses in ifcfg files, keyfiles, systemd-networkd and ifupdown files, and leases."""
_LISTS, _SINGLE = ("addresses",), ("address", "ip_address")
"""Keys of the network configurations of netplan and cloud-init (docs: "Networking config Version 1"
and "Version 2")."""
_OF_OTHERS = ("nameservers", "routes", "routing-policy", "dns_nameservers", "nameserver")
"""Keys below which these keys refer to other machines; cloud-init's version 1 has a ``type:
nameserver``, too."""


def given_in(path: str, text: str) -> set[Address]:
    """The addresses in the text of one file that a person or a server assigned to this machine."""
    found = set()
    words = _in_yaml(text) if _YAML.match(path) else (match[1] for match in _STATIC.finditer(text))
    for word in words:
        try:
            address = ipaddress.ip_address(word)
        except ValueError:
            continue
        if not (address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast):
            found.add(address)
    return found


def _in_yaml(text: str) -> Iterator[str]:
    if len(text) > _LARGEST_YAML:
        return
    try:
        waiting = list(yaml.compose_all(text, yaml.SafeLoader))
    except (yaml.YAMLError, RecursionError):
        return
    seen: set[int] = set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))  # an alias may refer to a mapping that contains it
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            pairs = [(key.value, value) for key, value in node.value if isinstance(key, yaml.ScalarNode)]
            if any(key == "type" and value.value in _OF_OTHERS for key, value in pairs):
                continue
            for key, value in pairs:
                yield from _addresses(key, value)
            waiting += [value for key, value in pairs if key not in _OF_OTHERS]


def _addresses(key: str, value: yaml.Node) -> Iterator[str]:
    if key in _LISTS and isinstance(value, yaml.SequenceNode):
        for one in value.value:
            # netplan: an address with options is a mapping whose key is the address.
            words = [key for key, _ in one.value] if isinstance(one, yaml.MappingNode) else [one]
            yield from (word.value.partition("/")[0] for word in words if isinstance(word, yaml.ScalarNode))
    elif key in _SINGLE and isinstance(value, yaml.ScalarNode):
        yield value.value.partition("/")[0]
