"""ifupdown's interfaces, dhclient.conf, dhcpcd.conf and udev rules."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from imagebuild.customise.network import addresses, dhcp_clients, interfaces, udev_rules

ADDRESS = "52:54:00:aa:bb:0d"
_ANY = st.text(max_size=150) | st.text(st.sampled_from("a;{}\"'#\\\n =,$"), max_size=80)


@given(_ANY)
def test_any_text_is_kept(text: str) -> None:
    assert "".join(line.raw for line in interfaces.parse(text)) == text
    assert dhcp_clients.dhclient_without_identity(text) == text
    assert dhcp_clients.dhcpcd_without_identity(text) == text
    assert udev_rules.without_addresses(text, lambda _: False) == text


_OPTIONS = {
    "address 192.0.2.1/24": True, f"hwaddress ether {ADDRESS}": False, f"hwaddress {ADDRESS}": False,
    "hwaddress random": True,
    f"client 01:{ADDRESS}": False, "client no": True, "# a comment": True, f"# {ADDRESS}": False, "mtu \\\n 9000": True,
    f"post-up ip link set dev $IFACE address {ADDRESS}": False, "up echo \\\n  'hwaddress'": True,
    f"pre-up ifconfig eth0 hw ether {ADDRESS}": False,
    f"hwaddress \\\n  ether {ADDRESS}": False, "": True,
}  # fmt: skip


@given(st.lists(st.sampled_from(list(_OPTIONS))), st.sampled_from(["", "  ", "\t"]))
def test_interfaces(options: list[str], indent: str) -> None:
    text = "iface eth0 inet static\n" + "".join(f"{indent}{option}\n" for option in options)
    edited = interfaces.without_identity({"a": text})
    assert edited.problems == ()
    assert edited.texts["a"] == "iface eth0 inet static\n" + "".join(
        f"{indent}{one}\n" for one in options if _OPTIONS[one]
    )
    assert interfaces.without_identity(edited.texts).texts == edited.texts


_STATEMENTS = {
    f"send dhcp-client-identifier 01:{ADDRESS};": False, 'send dhcp-client-identifier "a;b{c}";': False,
    "send dhcp-client-identifier = hardware;": True, "request subnet-mask, host-name;": True,
    "# send dhcp-client-identifier 1;": True,
    'lease {\n  interface "eth0";\n  option x { y; }\n}': False, "send dhcp6.client-id 00:01;": False,
    "timeout 60;": True,
    'option x "send dhcp-client-identifier 1;";': True, "send\n  dhcp-client-identifier\n  1:2 ;": False,
    'alias { interface "eth0"; fixed-address 192.0.2.5; }': True,
}  # fmt: skip


@given(st.lists(st.sampled_from(list(_STATEMENTS))), st.booleans())
def test_dhclient(statements: list[str], in_block: bool) -> None:
    begin, end = ('interface "eth0" {\n', "}\n") if in_block else ("", "")
    text = begin + "".join(f"  {one}\n" for one in statements) + end
    after = dhcp_clients.dhclient_without_identity(text)
    assert after == begin + "".join(f"  {one}\n" for one in statements if _STATEMENTS[one]) + end


_RULES = {
    f'SUBSYSTEM=="net", ACTION=="add", ATTR{{address}}=="{ADDRESS}", NAME="wan0"': False,
    f'SUBSYSTEM=="net",ATTR{{address}}=="{ADDRESS.upper()}",NAME="eth0"': False,
    f'SUBSYSTEM=="net", \\\n  ATTRS{{address}}=="{ADDRESS}", \\\n  NAME="eth0"': False,
    'SUBSYSTEM=="net", ENV{ID_NET_NAME_MAC}=="enx525400aabb0d", NAME="lan0"': False,
    'SUBSYSTEM=="net", ATTR{address}=="?*", RUN+="/bin/true"': True,
    'KERNEL=="sdz", MODE="0660"': True,
    f"# {ADDRESS}": False,
    "# a comment, with ATTR{address}": True,
    "": True,
}


@given(st.lists(st.sampled_from(list(_RULES))))
def test_udev(rules: list[str]) -> None:
    text = "".join(f"{one}\n" for one in rules)
    after = udev_rules.without_addresses(text, lambda _: False)
    assert after == "".join(f"{one}\n" for one in rules if _RULES[one])
    used = udev_rules.without_addresses(text, lambda name: name == "wan0")
    assert not addresses.names_address(used)
    assert used.count('NAME="wan0"') == text.count('NAME="wan0"')
    assert udev_rules.without_addresses(used, lambda name: name == "wan0") == used
