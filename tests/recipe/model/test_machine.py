"""The machine's keys: short and long forms, and combinations that cannot work."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagebuild.recipe.model import machine_fields as mf
from imagebuild.recipe.model.recipe import Recipe
from recipes import problems, recipe

GIB = 1024**3
ARM = "machine: {firmware: uefi}\n"


def on_arm(more: str) -> list[str]:
    base = "name: small\nos: {family: debian, version: 13, codename: trixie, arch: aarch64}\n"
    return [problem for problem in problems(more, base) if "kickstrap installs x86_64 only" not in problem]


@pytest.mark.parametrize("section", ["machine", "vm"])
@pytest.mark.parametrize(
    ("more", "route", "value"),
    [
        ("memory: 3GiB", "memory.maximum", 3 * GIB),
        ("memory: 3GiB", "memory.current", 3 * GIB),
        ("memory: {maximum: 4GiB}", "memory.current", 4 * GIB),
        ("memory: {current: 1GiB, maximum: 4GiB}, balloon: true", "memory.current", GIB),
        ("vcpus: 3", "vcpus.current", 3),
        ("vcpus:", "vcpus.maximum", 2),
        ("vcpus: {}", "vcpus.maximum", 2),
        ("vcpus: {current: 1}", "vcpus.maximum", 2),
        ("vcpus: {cores: 3, threads: 2}", "vcpus.maximum", 6),
        ("vcpus: {sockets: 2, cores: 2, threads: 1, maximum: 4, current: 1}", "vcpus.topology", (2, 2, 1)),
        ("vcpus: {maximum: 4}", "vcpus.topology", None),
        ("vcpus: {cpuset: '0-3,^2'}", "vcpus.cpuset", "0-3,^2"),
        ("vcpus: {pin: {0: 2, 1: 3-4}}", "vcpus.pin", {0: "2", 1: "3-4"}),
        ("cpu: host-model", "cpu.mode", "host-model"),
        ("cpu: EPYC-Rome", "cpu.mode", "custom"),
        ("cpu:", "cpu", None),
        ("cpu: {model: EPYC, features: {svm: disable}}", "cpu.features", {"svm": "disable"}),
        ("huge_pages: true", "huge_pages", True),
        ("huge_pages: 2MiB", "huge_pages", 2 * 1024**2),
        ("graphics: vnc", "graphics.type", "vnc"),
        ("graphics: {type: spice, listen: '::1', port: auto}", "graphics.port", None),
        ("graphics: {type: vnc, port: 5901}", "graphics.port", 5901),
        ("networks: [user, {type: nat, mac: 52:54:00:AB:cd:01}]", "networks.1.mac", "52:54:00:ab:cd:01"),
        ("networks: [none]", "networks.0.type", "none"),
        ("networks:", "networks", ()),
        ("virt_type: xen, networks: [nat]", "rng", False),
        ("virt_type: xen, networks: [nat]", "balloon", True),
        ("disk: {cache: none, io: native}", "disk.io", "native"),
    ],
)
def test_accepted(section: str, more: str, route: str, value: object) -> None:
    found: object = getattr(recipe(f"{section}: {{{more}}}\n"), section)
    for step in route.split("."):
        found = found[int(step)] if step.isdigit() else getattr(found, step)  # type: ignore[index]
    assert found == value


WRONG = [
    ("memory: {current: 3GiB, maximum: 2GiB}", "memory.current: 3GiB at the start exceeds the maximum of 2GiB"),
    ("memory: {current: 1GiB}", "memory.maximum: this key is required but missing"),
    ("memory: 300.5MiB", "memory: the memory of a VM must be a multiple of 1MiB"),
    ("memory: {maximum: 300.5MiB}", "memory.maximum: the memory of a VM must be a multiple of 1MiB"),
    ("memory: 2", (
        "memory: expected a size with a unit, such as 4GiB or 512MiB, found 2; the units are KiB, "
        "MiB, GiB and TiB"
    )),
    ("memory: {current: 1GiB, maximum: 2GiB}, balloon: false", (
        "balloon: without the balloon the guest has all its memory from the start: current must equal maximum [set "
        "balloon: true, or give one memory size]"
    )),
    ("vcpus: two", "vcpus: expected a whole number, found 'two'"),
    ("vcpus: 513", "vcpus: expected 1 to 512, found 513"),
    ("vcpus: {current: 4, maximum: 2}", "vcpus.current: 4 vCPUs at the start exceed the maximum of 2"),
    ("vcpus: {sockets: 2, cores: 2, maximum: 6}", (
        "vcpus: 2 × 2 × 1 (sockets × cores × threads) is 4 vCPUs, "
        "but the maximum is 6 [they must be equal]"
    )),
    ("vcpus: {cpuset: 3-1}", "vcpus.cpuset: the range 3-1 is reversed"),
    ("vcpus: {cpuset: '0,1,'}", "vcpus.cpuset: expected a set of CPUs such as 0-3,^2 or 4,6, found '0,1,'"),
    ("vcpus: {cpuset: '^1'}", "vcpus.cpuset: ^1 removes a CPU that is not in the set before it"),
    ("vcpus: {cpuset: '0-3,^1-2'}", "vcpus.cpuset: expected a set of CPUs such as 0-3,^2 or 4,6, found '0-3,^1-2'"),
    ("vcpus: {cpuset: '1,^1'}", "vcpus.cpuset: the set 1,^1 contains no CPU"),
    ("vcpus: {cpuset: 0-4096}", "vcpus.cpuset: there is no CPU 4096: the last is 4095"),
    ("vcpus: {pin: {2: 0}}", "vcpus.pin.2: there is no vCPU 2: the vCPUs are 0-1"),
    ("vcpus: {pin: {0: 0, 0: 1}}", "vcpus.pin.0: duplicate key '0'; first in line 3 [remove one of the two]"),
    ("vcpus: {pin: {00: 0}}", "vcpus.pin.00: expected a vCPU number, counted from 0, found '00'"),
    ("vcpus: {cpuset: 0-3, pin: {1: '3,5'}}", "vcpus.pin.1: vCPU 1 is pinned to CPU 5, which is not in the cpuset 0-3"),
    ("numa: [{cpus: 0, memory: 1GiB}], memory: 1GiB", "numa: vCPU 1 is in no cell [the cells must contain all of 0-1]"),
    ("numa: [{cpus: 0-1, memory: 1GiB}, {cpus: 1, memory: 1GiB}], memory: 2GiB",
        "numa[1].cpus: vCPU 1 is already in cell 0"),
    ("numa: [{cpus: 0-2, memory: 2GiB}], memory: 2GiB", "numa[0].cpus: there is no vCPU 2: the vCPUs are 0-1"),
    ("numa: [{cpus: 0-1, memory: 1GiB}], memory: 2GiB", (
        "numa: the cells have 1024MiB of memory in total, but "
        "the machine has 2GiB [they must be equal]"
    )),
    ("numa: [{cpus: 0-1, memory: 1048577KiB}], memory: 2GiB",
        "numa[0].memory: the memory of a cell must be a multiple of 1MiB"),
    ("cpu: host", "cpu.model: expected a CPU model, found 'host'; libvirt's names are host-model and host-passthrough"),
    ("cpu: none", "cpu.model: expected a CPU model, found 'none'; omit the key for the default"),
    ("cpu: 'a,b'", "cpu.model: expected a CPU model such as host-model, EPYC-Rome or maximum, found 'a,b'"),
    ("cpu: {model: EPYC, features: {vmx: on}}", (
        "cpu.features.vmx: expected 'force', 'require', 'optional', "
        "'disable' or 'forbid', found 'on'"
    )),
    ("cpu: {model: EPYC, features: {'a=b': disable}}", (
        "cpu.features.a=b: expected a CPU feature such as vmx "
        "or avx2, found 'a=b'"
    )),
    ("virt_type: qemu, cpu: host-passthrough", (
        "cpu: an emulated CPU cannot be the host's CPU [set cpu: "
        "maximum, or virt_type: kvm]"
    )),
    ("huge_pages: 1GiB, memory: 1536MiB", "huge_pages: 1536MiB of memory cannot be divided into pages of 1GiB"),
    ("huge_pages: 2", "huge_pages: expected true, false or the size of a page such as 2MiB or 1GiB, found 2"),
    ("huge_pages: 64KiB", "huge_pages: x86_64 has no pages of 64KiB [available: 2MiB, 1GiB]"),
    ("vcpus: 256", "vcpus: an x86_64 machine has at most 255 vCPUs, found 256"),
    ("disk: {io: native}", "disk.io: native I/O bypasses the host's page cache, but"),
    ("disk: {io: native, cache: writeback}", (
        "disk.io: native I/O bypasses the host's page cache, but cache: "
        "writeback uses it [set cache: none or cache: directsync]"
    )),
    ("networks: [{type: bridge}]", "networks[0]: the key 'bridge' is missing; type: bridge needs it, such as br0"),
    ("networks: [bridge]", "networks[0]: expected 'user', 'nat', 'none' or a mapping of keys, found 'bridge'"),
    ("networks: [{type: nat, bridge: br0}]", (
        "networks[0].bridge: this key is not allowed with type: nat [set "
        "type: bridge]"
    )),
    ("networks: [{type: network}]", (
        "networks[0]: the key 'network' is missing; type: network needs it, such "
        "as default"
    )),
    ("networks: [{type: nat, mac: 53:54:00:00:00:01}]", (
        "networks[0].mac: 53:54:00:00:00:01 is a multicast "
        "address (its first octet is odd); a network card needs a unicast address"
    )),
    ("networks: [{type: nat, mac: '00:00:00:00:00:00'}]", "networks[0].mac: 00:00:00:00:00:00 is not a valid address"),
    ("networks: [{type: nat, mac: 52-54-00-00-00-01}]", (
        "networks[0].mac: expected a MAC address such as "
        "52:54:00:12:34:56, found '52-54-00-00-00-01'"
    )),
    ("networks: [{type: nat, mac: 52:54:00:00:00:0a}, {type: nat, mac: 52:54:00:00:00:0A}]",
        "networks[1].mac: another card has the address 52:54:00:00:00:0a [addresses must be unique]"),
    ("networks: [none, user]", "networks[0]: type: none means no network, but there are other cards"),
    ("networks: [{type: none, mac: 52:54:00:00:00:0a}]", (
        "networks[0].mac: with type: none there is no card "
        "for this address"
    )),
    ("graphics: {type: vnc, port: 80}", "graphics.port: expected auto or a port from 5900 to 65535, found 80"),
    ("graphics: {type: vnc, port: 5899}", "graphics.port: expected auto or a port from 5900 to 65535, found 5899"),
    ("graphics: {type: vnc, listen: localhost}", (
        "graphics.listen: expected an IP address such as 192.0.2.53 "
        "or 2001:db8::53, found 'localhost'"
    )),
    ("graphics: {type: none, port: 5900}", "graphics.port: this key is not allowed with type: none"),
    ("graphics: x11", "graphics: expected 'none', 'vnc' or 'spice', found 'x11'"),
    ("virt_type: xen, tpm: true, networks: [nat]", "tpm: Xen has no emulated TPM in libvirt [set tpm: false]"),
    ("virt_type: xen, balloon: false, networks: [nat]", (
        "balloon: Xen's balloon cannot be switched off [set "
        "balloon: true]"
    )),
    ("virt_type: xen, rng: true, networks: [nat]", "rng: Xen has no virtio random number generator [set rng: false]"),
    ("virt_type: xen, cpu: EPYC, networks: [nat]", (
        "cpu: Xen has no CPU models [set cpu: host-passthrough, or "
        "omit the key]"
    )),
    ("virt_type: xen, networks: [user]", (
        "networks[0]: Xen has no network of type user: that is QEMU's own "
        "[use nat or a bridge]"
    )),
    ("virt_type: xen, networks: [{type: nat, model: igb}]", (
        "networks[0].model: Xen has no network card igb "
        "[virtio selects Xen's own card]"
    )),
    ("virt_type: xen, networks: [nat], disk: {iothread: true}", "disk.iothread: Xen has no I/O threads"),
    ("virt_type: xen, networks: [nat], disk: {io: threads}",
        "disk.io: Xen has no choice of QEMU's I/O mode [omit the key]"),
    ("virt_type: xen, networks: [nat], huge_pages: true", (
        "huge_pages: Xen has no huge pages of the host for a "
        "guest [set huge_pages: false]"
    )),
    ("virt_type: xen, networks: [nat], memory_sharing: false",
        "memory_sharing: Xen has no KSM that could merge pages [omit the key]"),
]  # fmt: skip


@pytest.mark.parametrize("section", ["machine", "vm"])
@pytest.mark.parametrize(("more", "message"), WRONG)
def test_refused(section: str, more: str, message: str) -> None:
    found = problems(f"{section}: {{{more}}}\n")
    assert any(problem.startswith(f"small.yaml:3: {section}.{message}") for problem in found), found


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("vm: {firmware: uefi}", (
            "vm.firmware: the install VM uses the machine's firmware [set "
            "machine.firmware instead]"
        )),
        ("vm: {serial: false}", "vm.serial: the install VM needs it to follow the installer's console"),
        ("machine: {firmware: efi}", (
            "machine.firmware: expected 'bios', 'uefi' or 'uefi-secure', found 'efi' "
            "[did you mean 'uefi'?]"
        )),
        ("machine: {firmware: uefi-secure}\ndisk: {bus: ide}",
            "disk.bus: Secure Boot needs the machine q35, which has no IDE [use virtio, scsi or sata]"),
        ("machine: {disk: {iothread: true}}\ndisk: {bus: sata}",
            "machine.disk.iothread: I/O threads need disks on the virtio or scsi bus, but one is on sata"),
        ("machine: {disk: {iothread: true}}\nextra_disks: [{size: 1GiB, bus: ide}]",
            "machine.disk.iothread: I/O threads need disks on the virtio or scsi bus, but one is on ide"),
        ("machine: {virt_type: xen}\ndisk: {bus: sata}", (
            "disk.bus: Xen has no SATA controller [virtio selects "
            "Xen's own disk]"
        )),
        ("machine: {virt_type: xen, firmware: uefi-secure}",
            "machine.firmware: libvirt supports Secure Boot with QEMU and KVM only [set firmware: uefi]"),
        ((
            "disk: {bus: ide}\nextra_disks: [{size: 1GiB, bus: ide}, {size: 1GiB, bus: ide}, {size: 1GiB, bus: "
            "ide}, {size: 1GiB, bus: ide}]"
        ), "extra_disks[3].bus: IDE supports at most 4 disks [use virtio, scsi or sata]"),
        ("extra_disks: [{bus: ide}]", "extra_disks[0].size: this key is required but missing"),
        ("extra_disks: [{size: 1GiB, bsu: ide}]", "extra_disks[0].bsu: unknown key 'bsu' [did you mean 'bus'?]"),
    ],
)  # fmt: skip
def test_refused_in_combination_with_other_sections(more: str, message: str) -> None:
    found = problems(f"{more}\n")
    assert [problem.split(": ", 1)[1] for problem in found] == [message]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("", "os.arch: aarch64 machines have no BIOS [set machine.firmware: uefi]"),
        ("machine: {firmware: bios}", "machine.firmware: aarch64 machines have no BIOS [set machine.firmware: uefi]"),
        ("machine: {firmware: uefi-secure}", (
            "machine.firmware: libvirt supports Secure Boot on x86_64 only "
            "[set firmware: uefi]"
        )),
        (f"{ARM}disk: {{bus: ide}}", "disk.bus: aarch64 machines have no IDE [use virtio, scsi or sata]"),
        ("machine: {firmware: uefi, cpu: host-model}", (
            "machine.cpu: libvirt does not support host-model on "
            "aarch64 [set cpu: host-passthrough]"
        )),
        ("machine: {firmware: uefi, huge_pages: 4MiB}", (
            "machine.huge_pages: aarch64 has no pages of 4MiB "
            "[available: 64KiB, 2MiB, 32MiB, 512MiB, 1GiB, 16GiB]"
        )),
    ],
)  # fmt: skip
def test_refused_on_aarch64(more: str, message: str) -> None:
    assert [problem.split(": ", 1)[1] for problem in on_arm(f"{more}\n")] == [message]


def test_aarch64_with_what_it_has() -> None:
    assert on_arm("machine: {firmware: uefi, huge_pages: 32MiB, vcpus: 300, cpu: host-passthrough}\n") == []


def test_what_depends_on_a_wrong_key_is_not_reported_again() -> None:
    assert problems("machine: {memory: {maximum: x}, vcpus: 0}\n") == [
        "small.yaml:3: machine.memory.maximum: expected a size with a unit, such as 4GiB or 512MiB, found 'x'",
        "small.yaml:3: machine.vcpus: expected 1 to 512, found 0",
    ]


def test_a_dump_is_a_valid_recipe() -> None:
    first = recipe(
        "machine: {virt_type: xen, vcpus: {cores: 2, pin: {0: 1}}, graphics: {type: vnc, listen: '::'}}\n"
        "vm: {cpu: {model: EPYC, features: {svm: disable}}, huge_pages: 2MiB}\nextra_disks: [{size: 1GiB}]\n"
    )
    assert Recipe.model_validate(first.model_dump(mode="json")).model_dump() == first.model_dump()


@given(st.sets(st.integers(0, 4095), min_size=1, max_size=30), st.data())
def test_a_set_of_cpus_means_what_it_says(cpus: set[int], data: st.DataObject) -> None:
    """Written as ranges with holes, in any order."""
    parts = []
    for cpu in data.draw(st.permutations(sorted(cpus))):
        end = data.draw(st.integers(cpu, min(cpu + 4, 4095)))
        holes = [hole for hole in range(cpu, end + 1) if hole not in cpus]
        parts += [f"{cpu}-{end}" if end > cpu else str(cpu), *(f"^{hole}" for hole in holes)]
    assert mf.cpus(",".join(parts)) == tuple(sorted(cpus))


def test_findings_are_reported_at_their_line() -> None:
    more = """\
machine:
  memory:
    maximum: 2GiB
    current: 3GiB
  vcpus:
    maximum: 2
    pin:
      0: 1
      5: 2
  networks:
    - nat
    - type: bridge
      mac: 53:54:00:00:00:01
extra_disks:
  - size: 1GiB
    bus: virtoi
"""
    assert [problem.split(": ")[:2] for problem in problems(more)] == [
        ["small.yaml:6", "machine.memory.current"],
        ["small.yaml:11", "machine.vcpus.pin.5"],
        ["small.yaml:15", "machine.networks[1].mac"],
        ["small.yaml:18", "extra_disks[0].bus"],
    ]
