"""netplan's files: in any notation they remain YAML, keep their other settings, and contain no
address of a card."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from imagebuild.customise.network import addresses, netplan

ADDRESSES = [f"52:54:00:aa:bb:{number:02x}" for number in range(1, 7)]
_CARDS = ("ens3", "eth0", "enp1s0f0np0", "lan0", "id0", "wan", "enx525400aabb01")


@st.composite
def _definitions(draw: st.DrawFn) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in draw(st.lists(st.sampled_from(_CARDS), unique=True, max_size=4)):
        one: dict[str, Any] = {}
        match = {
            key: draw(value)
            for key, value in {
                "macaddress": st.sampled_from(ADDRESSES),
                "name": st.sampled_from(["en*", "eth0"]),
                "driver": st.sampled_from(["virtio_net", "e1000"]),
            }.items()
            if draw(st.booleans())
        }
        if match:
            one["match"] = match
            if draw(st.booleans()):
                one["set-name"] = draw(st.sampled_from(["lan0", "eth0", name]))
        one |= draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "dhcp4": st.booleans(),
                    "addresses": st.just(["192.0.2.7/24", "2001:db8::1/64"]),
                    "macaddress": st.sampled_from([*ADDRESSES, "random"]),
                    "nameservers": st.just({"search": ["example.com"], "addresses": ["192.0.2.1"]}),
                    "mtu": st.integers(1280, 9000),
                },
            )
        )
        found[name] = one
    return found


@st.composite
def _written(draw: st.DrawFn, value: Any, indent: int = 0, *, flow: bool = False) -> str:
    """A value as YAML in one of the common styles, from the end of the key on."""
    if isinstance(value, dict):
        keys = {key: f'"{key}"' if draw(st.booleans()) else key for key in value}
        if not value:
            return " {}"
        if flow or draw(st.booleans()):
            inner = ", ".join(f"{keys[key]}:{draw(_written(one, flow=True))}" for key, one in value.items())
            return f" {{{inner}}}"
        comment = draw(st.sampled_from(["", "", "  # a comment", f"  # {ADDRESSES[0]}"]))
        lines = [comment]
        for key, one in value.items():
            lines += [" " * indent + "# another"] if draw(st.integers(0, 4)) == 0 else []
            lines.append(f"{' ' * indent}{keys[key]}:{draw(_written(one, indent + 2))}")
        return "\n".join(lines)
    if isinstance(value, list):
        if flow or draw(st.booleans()):
            return f" [{', '.join(draw(_written(one, flow=True)).strip() for one in value)}]"
        return "\n" + "\n".join(f"{' ' * indent}-{draw(_written(one))}" for one in value)
    if isinstance(value, str):
        return f" {draw(st.sampled_from(['{!r}', '{}'])).format(value)}" if "*" not in value else f' "{value}"'
    return f" {str(value).lower()}"


@st.composite
def _files(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    ethernets = draw(_definitions())
    data = {"network": {"version": 2, "ethernets": ethernets}}
    if ethernets and draw(st.booleans()):
        data["network"]["bonds"] = {"bond0": {"interfaces": list(ethernets), "macaddress": ADDRESSES[5]}}
        first = next(iter(ethernets))
        data["network"]["vlans"] = {"vlan7": {"id": 7, "link": first}}
    return "network:" + draw(_written(data["network"], 2)) + "\n", data


def _rest(data: Mapping[str, Any]) -> list[Any]:
    """The settings of definitions apart from matches, names and addresses of cards."""
    hidden = {"match", "set-name", "macaddress", "interfaces", "link"}
    return [
        [section, [{key: value for key, value in one.items() if key not in hidden} for one in definitions.values()]]
        for section, definitions in data["network"].items()
        if isinstance(definitions, dict)
    ]


@pytest.mark.seconds
@given(_files(), st.booleans())
def test_any_file(written: tuple[str, dict[str, Any]], kernel_names: bool) -> None:
    text, data = written
    assert yaml.safe_load(text) == data, "the YAML written by the test must be equivalent"
    edited = netplan.without_addresses({"a": text}, kernel_names=kernel_names)
    result = edited.texts["a"]
    after = yaml.safe_load(result)
    assert not addresses.names_address(result)
    assert _rest(after) == _rest(data)
    assert netplan.without_addresses(edited.texts, kernel_names=kernel_names).texts == edited.texts
    before_by_place = list(data["network"]["ethernets"].items())
    for (name, one), (old_name, old) in zip(after["network"]["ethernets"].items(), before_by_place, strict=True):
        assert one.get("match") != {}
        if "match" not in one and "match" in old:
            assert addresses.is_cards_name(name, kernel_names=True)
        if "set-name" in one:
            assert one["match"], "set-name needs a match"
        if "match" not in old and not addresses.is_named_after_address(old_name):
            assert (name, "match" in one) == (old_name, False)
    bond = after["network"].get("bonds", {}).get("bond0")
    if bond:
        assert bond["interfaces"] == list(after["network"]["ethernets"])
        assert after["network"]["vlans"]["vlan7"]["link"] == bond["interfaces"][0]


@given(st.text(max_size=200) | st.text(st.sampled_from("network: {}[]\n-&*a!'\"#|>\t52"), max_size=200))
def test_any_text_is_kept_or_stays_yaml(text: str) -> None:
    edited = netplan.without_addresses({"a": text})
    assert edited.texts["a"] == text or list(yaml.safe_load_all(edited.texts["a"])) is not None


def _one(text: str, *, kernel_names: bool = True) -> str:
    edited = netplan.without_addresses({"a": text}, kernel_names=kernel_names)
    assert not edited.problems
    assert netplan.without_addresses(edited.texts, kernel_names=kernel_names).texts == edited.texts
    return edited.texts["a"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (  # Aliases: an anchor is removed together with its node.
            (
                "network:\n  ethernets:\n    eth0:\n      match: &m {macaddress: 52:54:00:aa:bb:01}\n    eth1:\n   "
                "   match: *m\n"
            ),
            "network:\n  ethernets:\n    eth0: {}\n    eth1: {}\n",
        ),
        (
            (
                "network:\n  ethernets:\n    eth0: &e\n      match: {macaddress: 52:54:00:aa:bb:01}\n      "
                "dhcp4: true\n"
                "    eth1:\n      <<: *e\n      match: {macaddress: 52:54:00:aa:bb:02}\n"
            ),
            "network:\n  ethernets:\n    eth0:\n      dhcp4: true\n    eth1:\n      dhcp4: true\n",
        ),
        ("network: {ethernets: {eth0: {match: {macaddress: 52:54:00:aa:bb:01}}}}", "network: {ethernets: {eth0: {}}}"),
        (  # Windows line breaks.
            (
                "network:\r\n  ethernets:\r\n    eth0:\r\n      match:\r\n        macaddress: 52:54:00:aa:bb:01\r\n"
                "      dhcp4: true\r\n"
            ),
            "network:\r\n  ethernets:\r\n    eth0:\r\n      dhcp4: true\r\n",
        ),
        (  # Several documents, and a flow mapping over several lines.
            (
                "---\nnetwork:\n  ethernets:\n    eth0: {match: {\n      macaddress: 52:54:00:aa:bb:01,\n      "
                "driver: e1000}}\n---\na: 1\n"
            ),
            "---\nnetwork:\n  ethernets:\n    eth0: {match: {\n      driver: e1000}}\n---\na: 1\n",
        ),
        (  # NetworkManager's part of the configuration.
            (
                "network:\n  ethernets:\n    eth0:\n      networkmanager:\n        uuid: "
                "27afa607-ee36-43f0-b8c3-9d245cdc4bb3\n"
                '        passthrough:\n          ethernet.mac-address: "52:54:00:AA:BB:01"\n          '
                'connection.autoconnect: "true"\n'
            ),
            (
                "network:\n  ethernets:\n    eth0:\n      networkmanager:\n        passthrough:\n"
                '          connection.autoconnect: "true"\n'
            ),
        ),
        (  # As NetworkManager stores a connection in netplan's files.
            (
                "network:\n  nm-devices:\n    NM-27afa607-ee36-43f0-b8c3-9d245cdc4bb3:\n      networkmanager:\n"
                '        uuid: "27afa607-ee36-43f0-b8c3-9d245cdc4bb3"\n        name: vpn\n        passthrough:\n'
                '          ipv4.dhcp-client-id: "01:52:54:00:aa:bb:01"\n          ipv4.dhcp-iaid: mac\n'
            ),
            (
                "network:\n  nm-devices:\n    interface0:\n      networkmanager:\n        name: vpn\n        "
                "passthrough:\n"
                "          ipv4.dhcp-iaid: mac\n"
            ),
        ),
        (
            "network: {ethernets: {eth0: {dhcp-identifier: mac}}}\n",
            "network: {ethernets: {eth0: {dhcp-identifier: mac}}}\n",
        ),
        (  # A name that is derived from the address.
            (
                "network:\n  ethernets:\n    enx525400aabb01:\n      dhcp4: true\n  bridges:\n    br0: "
                "{interfaces: [enx525400aabb01]}\n"
            ),
            (
                'network:\n  ethernets:\n    ethernet0:\n      match: {name: "e*"}\n      dhcp4: true\n  bridges:\n'
                "    br0: {interfaces: [ethernet0]}\n"
            ),
        ),
        (  # Another definition already has its name: matched by name, under its own id.
            (
                "network:\n  ethernets:\n    id0: {match: {macaddress: 52:54:00:aa:bb:01}, set-name: eth0}\n  "
                "dummy-devices:\n    eth0: {}\n"
            ),
            'network:\n  ethernets:\n    id0: {match: {name: "e*"}, set-name: eth0}\n  dummy-devices:\n    eth0: {}\n',
        ),
        (  # The same driver for two cards that differ only in their addresses.
            (
                "network:\n  ethernets:\n    a: {match: {driver: d, macaddress: 52:54:00:aa:bb:01}, set-name: eth0}\n"
                "    b: {match: {driver: d, macaddress: 52:54:00:aa:bb:02}, set-name: eth1}\n"
            ),
            "network:\n  ethernets:\n    eth0: {}\n    eth1: {}\n",
        ),
        (  # A different kind of list, and an address that is a time of day in YAML 1.1.
            "network:\n  ethernets:\n    eth0:\n      macaddress: 52:54:00:12:34:56\n      wakeonlan: true\n",
            "network:\n  ethernets:\n    eth0:\n      wakeonlan: true\n",
        ),
    ],
)
def test_written_as(before: str, after: str) -> None:
    assert _one(before) == after


def test_references_follow_into_other_files() -> None:
    edited = netplan.without_addresses(
        {
            "10-cards.yaml": "network: {ethernets: {id0: {match: {macaddress: 52:54:00:aa:bb:01}}}}\n",
            "20-names.yaml": "network: {ethernets: {id0: {set-name: eth3, mtu: 9000}}}\n",
            "30-bond.yaml": (
                "network:\n  bonds:\n    bond0:\n      interfaces:\n      - id0 # the first\n      "
                "parameters: {primary: id0}\n"
            ),
            "40-bridge.yaml": "network: {bridges: {br0: {interfaces: [bond0], parameters: {path-cost: {id0: 7}}}}}\n",
        }
    )
    assert edited.problems == ()
    assert list(edited.texts.values()) == [
        "network: {ethernets: {eth3: {}}}\n",
        "network: {ethernets: {eth3: {mtu: 9000}}}\n",
        (
            "network:\n  bonds:\n    bond0:\n      interfaces:\n      - eth3 # the first\n      parameters: "
            "{primary: eth3}\n"
        ),
        "network: {bridges: {br0: {interfaces: [bond0], parameters: {path-cost: {eth3: 7}}}}}\n",
    ]


def test_several_without_names() -> None:
    text = "network:\n  ethernets:\n" + "".join(
        f"    id{number}: {{match: {{macaddress: {ADDRESSES[number]}}}, set-name: lan{number}}}\n"
        for number in range(2)
    )
    assert re.findall(r'name: "(\S+)"', _one(text)) == ["eth0", "eth1"]
    edited = netplan.without_addresses({"a": text}, kernel_names=False)
    assert re.findall(r'name: "(\S+)"', edited.texts["a"]) == ["e*", "e*"]
    assert edited.problems == (
        ("a", "these cards differed only in their hardware addresses, which were removed: id0, id1"),
    )


@pytest.mark.seconds
@pytest.mark.parametrize(
    "text",
    [
        "network:\n  ethernets:\n\teth0: {match: {macaddress: 52:54:00:aa:bb:01}}\n",
        "network: {ethernets: {eth0: {match: {macaddress: 52:54:00:aa:bb:01}}\n",
        "network: " + "[" * 3000 + "52:54:00:aa:bb:01" + "]" * 3000,
        "a: &a [52:54:00:aa:bb:01]\n" + "".join(f"b{n}: &b{n} [*{p}, *{p}, *{p}]\n" for n,
            p in enumerate(["a", *(f"b{m}" for m in range(20))])),
        "network: {ethernets: {eth0: {match: {macaddress: 52:54:00:aa:bb:01}}}}\udcff\n",
    ],
    ids=["tab", "cut off", "deep", "aliases of aliases", "no UTF-8"],
)  # fmt: skip
def test_invalid_yaml_is_left_and_reported(text: str) -> None:
    edited = netplan.without_addresses({"a": text})
    assert edited.texts["a"] == text
    ((path, why),) = edited.problems
    assert path == "a"
    assert why.startswith("contains hardware addresses, and ")
