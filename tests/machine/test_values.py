"""Every value of a machine's key arrives unchanged in our XML and in virt-install's, or is refused."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from ipaddress import ip_address
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from imagebuild.machine.domain_xml import definition
from imagebuild.recipe.model.recipe import Recipe
from tests.machine.machines import facts, import_command
from tests.virt_install_parser import parsed

BASE = {"name": "small", "os": {"family": "debian", "version": "13", "codename": "trixie"}}
MIB = 1024**2

ODD = st.text(max_size=12) | st.sampled_from(
    [
        "a,b",
        "x=y",
        "'",
        '"',
        "a b",
        "<x/>",
        "&amp;",
        "none",
        "default",
        "-",
        "--network",
        "RANDOM",
        "host",
        "br0,model=rtl8139",
        "br0'",
        "br0\\",
        "$(id)",
        "`id`",
        "]]>",
        "-->",
        "on",
        "~",
        "%n",
        "",
        "a\nb",
        "a\u2028",
        "\x00",
        "�",
    ]
)
"""Text that is special to a shell, to virt-install, or in XML."""
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,14}", fullmatch=True)
NUMBERS = st.integers(0, 40)
CPU_SETS = (
    st.lists(
        NUMBERS.map(str) | st.tuples(NUMBERS, NUMBERS).map(lambda ends: f"{min(ends)}-{max(ends)}"),
        min_size=1,
        max_size=4,
    ).map(",".join)
    | ODD
)
MACS = (
    st.lists(st.integers(0, 255), min_size=6, max_size=6).map(
        lambda octets: ":".join(f"{octet:02X}" for octet in octets)
    )
    | ODD
)
SIZES = (
    st.integers(256, 2**24).map(lambda size: f"{size}MiB")
    | st.integers(2**18, 2**22).map(lambda size: f"{size}KiB")
    | ODD
)
CARDS = st.fixed_dictionaries(
    {"type": st.sampled_from(["user", "nat", "network", "bridge", "none"])},
    optional={
        "network": NAMES | ODD,
        "bridge": NAMES | ODD,
        "mac": MACS,
        "model": st.sampled_from(["virtio", "e1000"]),
    },
)
FEATURES = st.dictionaries(NAMES.map(str.lower) | ODD, st.sampled_from(["force", "require", "disable"]), max_size=3)
KEYS: dict[str, st.SearchStrategy[Any]] = {
    "memory": SIZES | st.fixed_dictionaries({"maximum": SIZES, "current": SIZES}),
    "vcpus": st.integers(-1, 300)
    | st.fixed_dictionaries({},
        optional={"maximum": NUMBERS, "current": NUMBERS, "cpuset": CPU_SETS,
            "pin": st.dictionaries(NUMBERS.map(str) | ODD, CPU_SETS, max_size=3)}),
    "cpu": NAMES | ODD | st.fixed_dictionaries({"model": NAMES | ODD, "features": FEATURES}),
    "networks": st.lists(CARDS, max_size=3),
    "graphics": st.fixed_dictionaries(
        {"type": st.sampled_from(["vnc", "spice"])},
        optional={"listen": st.ip_addresses().map(str) | ODD, "port": st.integers(0, 70000) | ODD},
    ),
    "huge_pages": st.booleans() | st.sampled_from(["2MiB", "1GiB"]) | ODD,
    "firmware": st.sampled_from(["bios", "uefi", "uefi-secure"]) | ODD,
    "disk": st.fixed_dictionaries({},
        optional={"cache": st.sampled_from(["none", "unsafe"]) | ODD, "iothread": st.booleans(),
            "discard": ODD | st.just("unmap")}),
}  # fmt: skip


def accepted(machine: Any) -> Recipe | None:
    try:
        return Recipe.model_validate({**BASE, "machine": machine})
    except ValidationError:
        return None


def arrives(recipe: Recipe, folder: Path) -> None:
    """Check that our XML contains the values of ``recipe``'s machine, and that virt-install
    understands the same.
    """
    machine = recipe.machine
    macs = {card.mac for card in machine.networks if card.mac is not None}
    domain = ET.fromstring(definition(recipe, images=PurePosixPath(folder)))
    ours = facts(domain, macs)
    assert ours["memory"] == (machine.memory.maximum // 1024, machine.memory.current // 1024)
    assert ours["vcpus"] == (str(machine.vcpus.maximum), machine.vcpus.cpuset, str(machine.vcpus.current))
    assert {int(pin["vcpu"]): pin["cpuset"] for pin in ours["pins"]} == machine.vcpus.pin
    if machine.cpu is not None:
        assert {found["name"]: found["policy"] for found in ours["cpu features"]} == machine.cpu.features
        assert machine.cpu.model in (ours["cpu"][1], *(found["mode"] for found in ours["cpu"][0]))
    sources = {"nat": {"network": "default"}, "user": {}}
    assert ours["cards"] == [
        ("network" if card.type == "nat" else card.type,
            sources.get(card.type, {card.type: getattr(card, card.type, None)}), card.model, card.mac)
        for card in machine.networks
        if card.type != "none"
    ]  # fmt: skip
    if machine.graphics.type != "none":
        port = None if machine.graphics.port is None else str(machine.graphics.port)
        assert ours["display"] == [(machine.graphics.type, str(machine.graphics.listen), port)]
    theirs = facts(parsed(import_command(recipe, folder)), macs)
    assert ours == theirs


@pytest.mark.seconds
@pytest.mark.parametrize("key", KEYS)
@given(data=st.data())
def test_any_value_arrives_or_is_refused(key: str, data: st.DataObject, tmp_path: Path) -> None:
    value = data.draw(KEYS[key])
    recipe = accepted({key: value})
    if recipe is not None:
        arrives(recipe, tmp_path)


@pytest.mark.seconds
@given(st.fixed_dictionaries({}, optional=KEYS))
def test_any_machine_arrives_or_is_refused(tmp_path: Path, machine: dict[str, Any]) -> None:
    recipe = accepted(machine)
    if recipe is not None:
        arrives(recipe, tmp_path)


@given(ODD, st.sampled_from(["bridge", "network", "mac", "cpuset", "listen", "model", "feature"]))
def test_text_is_not_changed_by_validation(text: str, key: str) -> None:
    """Except that MAC addresses become lower case, and IP addresses get their shortest form."""
    machine: dict[str, Any] = {
        "bridge": {"networks": [{"type": "bridge", "bridge": text}]},
        "network": {"networks": [{"type": "network", "network": text}]},
        "mac": {"networks": [{"type": "nat", "mac": text}]},
        "cpuset": {"vcpus": {"cpuset": text}},
        "listen": {"graphics": {"type": "vnc", "listen": text}},
        "model": {"cpu": text},
        "feature": {"cpu": {"model": "EPYC", "features": {text: "require"}}},
    }[key]
    recipe = accepted(machine)
    if recipe is None:
        return
    made = recipe.machine
    found = {
        "bridge": lambda: made.networks[0].bridge,
        "network": lambda: made.networks[0].network,
        "mac": lambda: made.networks[0].mac,
        "cpuset": lambda: made.vcpus.cpuset,
        "listen": lambda: str(made.graphics.listen),
        "model": lambda: made.cpu.model if made.cpu else None,
        "feature": lambda: next(iter(made.cpu.features)) if made.cpu else None,
    }[key]()
    assert found == {"mac": text.lower(), "listen": str(ip_address(text)) if key == "listen" else ""}.get(key, text)
