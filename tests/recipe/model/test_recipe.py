"""The recipe's keys: what is accepted, what is refused, and the messages."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from imagebuild.customise import registry
from imagebuild.errors import RecipeError, UsageError
from imagebuild.recipe.load import load, validate
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.schema.document import Document
from recipes import MINIMAL, problems, recipe

ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f admin@example"


def test_defaults() -> None:
    small = recipe()
    assert (small.os.version, small.os.codename, small.os.arch) == ("13", "trixie", "x86_64")
    assert (small.disk.size, small.disk.bus, small.extra_disks) == (4 * 1024**3, "virtio", ())
    assert (small.vm.memory.maximum, small.vm.vcpus.maximum, small.vm.timeout) == (1536 * 1024**2, 2, 1800)
    assert (small.vm.disk.cache, small.vm.networks[0].type, small.vm.balloon) == ("unsafe", "user", False)
    assert (small.machine.memory.maximum, small.machine.firmware, small.machine.networks[0].type) == (
        2 * 1024**3,
        "bios",
        "nat",
    )
    assert (small.installer.type, small.installer.payload, small.installer.mirror) == ("kickstrap", "host", None)
    assert (small.network.hostname, small.network.device, small.network.bootproto) == ("localhost", "eth0", "dhcp")
    assert small.root.password is None
    assert (small.output.format, small.output.compression) == (("qcow2",), "zstd")
    assert small.source == Path("small.yaml")


def test_values_do_not_change() -> None:
    with pytest.raises(ValidationError):
        recipe().name = "other"  # type: ignore[misc]


def test_a_dump_in_its_order_is_a_valid_recipe() -> None:
    more = """\
network: {bootproto: static, address: 192.0.2.10, netmask: 255.255.255.0, gateway: 192.0.2.1, nameservers: [192.0.2.53]}
root: {password: {env: PW}, ssh_keys: [{file: key.pub}]}
operations: [trim-free-space, install-packages: {packages: [vim]}]
variables: {a: 1, b: true, c: [x, y], d: text}
"""
    first = recipe(more)
    assert Recipe.model_validate(first.model_dump(mode="json")).model_dump() == first.model_dump()


@pytest.mark.parametrize(
    ("more", "route", "value"),
    [
        ("disk: {size: 1.5GiB}", "disk.size", 1536 * 1024**2),
        ("disk: {size: 512 MiB}", "disk.size", 512 * 1024**2),
        ("disk:", "disk.size", 4 * 1024**3),
        ("packages:\n  # - vim", "packages", ()),
        ("vm: {timeout: 1h30m}", "vm.timeout", 5400),
        ("vm: {timeout: 90s}", "vm.timeout", 90),
        ("vm: {vcpus: 0x4}", "vm.vcpus.maximum", 4),
        ("network: {hostname: 007}", "network.hostname", "007"),
        ("network: {hostname: no}", "network.hostname", "no"),
        ("description: 3.10", "description", "3.10"),
        ("locale: {keyboard: no}", "locale.keyboard", "no"),
        ("locale: {language: de_DE.UTF-8@euro}", "locale.language", "de_DE.UTF-8@euro"),
        ("locale: {timezone: America/Argentina/Buenos_Aires}", "locale.timezone", "America/Argentina/Buenos_Aires"),
        ("installer: {mirror: http://mirror.example/debian/}", "installer.mirror", "http://mirror.example/debian"),
        ("packages: [g++, libstdc++6, 0ad]", "packages", ("g++", "libstdc++6", "0ad")),
        ("kernel_arguments: ['console=ttyS0,115200n8', quiet]", "kernel_arguments",
            ("console=ttyS0,115200n8", "quiet")),
        ("output: {format: raw.zst}", "output.format", ("raw.zst",)),
        ("output: {format: [vmdk, qcow2]}", "output.primary", "qcow2"),
        ("output: {format: [vmdk, raw]}", "output.further", ("raw",)),
        ("network: {bootproto: static, address: 10.0.0.0, netmask: 255.255.255.254}", "network.address",
            IPv4Address("10.0.0.0")),
        (f"root: {{ssh_keys: ['{ED25519}']}}", "root.ssh_keys", (ED25519,)),
    ],
)  # fmt: skip
def test_accepted(more: str, route: str, value: object) -> None:
    found: object = recipe(more)
    for step in route.split("."):
        found = getattr(found, step)
    assert found == value


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("nework: {}", "nework: unknown key 'nework' [did you mean 'network'?]"),
        ("vm: {memry: 1GiB}", "vm.memry: unknown key 'memry' [did you mean 'memory'?]"),
        ("output: {x: 1}", "output.x: unknown key 'x' [known: format, compression]"),
        ("output: {format: qcow}", (
            "output.format[0]: expected 'qcow2', 'raw', 'raw.zst', 'vmdk' or 'vhdx', "
            "found 'qcow' [did you mean 'qcow2'?]"
        )),
        ("output: {format: []}", "output.format: expected a list of at least 1, found an empty list"),
        ("output: {format: [raw, vmdk, raw]}", "output.format[2]: 'raw' is listed twice [remove one of the two]"),
        ("disk: 4GiB", "disk: expected a mapping of keys, found '4GiB' [its keys are size, format, bus]"),
        ("disk: {size: 4}", (
            "disk.size: expected a size with a unit, such as 4GiB or 512MiB, found 4; the "
            "units are KiB, MiB, GiB and TiB"
        )),
        ("disk: {size: 4G}", (
            "disk.size: expected a size with a unit, such as 4GiB or 512MiB, found '4G'; did "
            "you mean 4GiB?"
        )),
        ("disk: {size: 1MiB}", "disk.size: expected 256MiB to 64TiB, found '1MiB'"),
        ("disk: {size: true}", "disk.size: expected text, found the boolean true; quote it if it is meant as text"),
        ("disk: {size: 300.0001KiB}", "disk.size: 300.0001KiB is not a multiple of 512 bytes"),
        ("disk: {size: -4GiB}", "disk.size: expected a size with a unit, such as 4GiB or 512MiB, found '-4GiB'"),
        ("disk: {bus: [a]}", "disk.bus: expected 'virtio', 'scsi', 'sata' or 'ide', found a list"),
        ("vm: {disk: {cache: unsave}}", (
            "vm.disk.cache: expected 'writethrough', 'writeback', 'none', "
            "'directsync' or 'unsafe', found 'unsave' [did you mean 'unsafe'?]"
        )),
        ("vm: {vcpus: two}", "vm.vcpus: expected a whole number, found 'two'"),
        ("vm: {vcpus: true}", "vm.vcpus: expected a whole number, found the boolean true"),
        ("vm: {vcpus: 0}", "vm.vcpus: expected 1 to 512, found 0"),
        ("vm: {memory: 300.5MiB}", "vm.memory: the memory of a VM must be a multiple of 1MiB"),
        ("vm: {timeout: 1800}", "vm.timeout: expected a time with a unit, such as 30m, 90s or 1h30m, found 1800"),
        ("vm: {timeout: '0s'}", "vm.timeout: expected 10s to 168h, found '0s'"),
        ("description: [a]", "description: expected text, found a list"),
        ('description: "a\\nb"', "description: expected a single line, found text with a line break"),
        ('description: "a\\u2028b"', (
            "description: the character U+2028 is not allowed here: it is invisible "
            "and can end a line"
        )),
        ('description: "a\\x85b"', (
            "description: the character U+0085 is not allowed here: it is invisible and "
            "can end a line"
        )),
        ("network: {hostname: web_1}", (
            "network.hostname: expected a host name such as web1.example.org, found "
            "'web_1'"
        )),
        ("network: {device: ../eth0}", "network.device: expected an interface such as eth0, found '../eth0'"),
        ("network: {bootproto: static}", "network.bootproto: a static network needs address and netmask"),
        ("network: {address: 192.0.2.1}", (
            "network.address: this key is not allowed with bootproto: dhcp [set "
            "bootproto: static, or remove the key]"
        )),
        ("network: {bootproto: static, address: 192.0.2.300, netmask: 255.255.0.255}",
            "network.address: expected an IPv4 address such as 192.0.2.10, found '192.0.2.300'"),
        ("network: {bootproto: static, address: 192.0.2.0, netmask: 255.255.255.0}",
            "network.address: 192.0.2.0 cannot be the address of a host in 192.0.2.0/24"),
        ("network: {bootproto: static, address: 192.0.2.9, netmask: 255.255.255.0, gateway: 192.0.3.1}",
            "network.gateway: the gateway 192.0.3.1 is not another host in 192.0.2.0/24"),
        ("network: {bootproto: static, address: 192.0.2.9, netmask: 255.0.255.0}",
            "network.netmask: expected a netmask such as 255.255.255.0, found '255.0.255.0'"),
        ("network: {nameservers: [fe80::1%eth0]}", (
            "network.nameservers[0]: expected an IP address such as "
            "192.0.2.53 or 2001:db8::53, found 'fe80::1%eth0'"
        )),
        ("installer: {mirror: mirror.example}", (
            "installer.mirror: expected a URL such as "
            "http://mirror.example/debian, found 'mirror.example'"
        )),
        ("installer: {mirror: 'http://u:p@mirror.example/'}", (
            "installer.mirror: a URL must not contain a user name or password: it would appear in logs and "
            "manifests"
        )),
        ("installer: {mirror: 'http://mirror.example/ x'}", (
            "installer.mirror: expected a URL such as "
            "http://mirror.example/debian, found 'http://mirror.example/ x'"
        )),
        ("installer: {mirror: 'http://[::1'}", (
            "installer.mirror: expected a URL such as "
            "http://mirror.example/debian, found 'http://[::1'"
        )),
        ("installer: {components: []}", "installer.components: expected a list of at least 1, found an empty list"),
        ("packages: vim", "packages: expected a list, found 'vim' [write packages: [vim]]"),
        ("packages: [Vim]", (
            "packages[0]: 'Vim' is not a Debian package name "
            "[such a name has lower-case letters, digits, '+', '-' and '.']"
        )),
        ("packages: ['vim ']", "packages[0]: expected the name of a package such as openssh-server, found 'vim '"),
        ("packages: [vim, vim]", "packages[1]: 'vim' is listed twice [remove one of the two]"),
        ("kernel_arguments: [a b]", (
            "kernel_arguments[0]: expected one kernel argument such as "
            "console=ttyS0,115200n8 (no space, quote, backslash or shell character), found 'a b'"
        )),
        ("kickstart: {template: ../../etc/x.ks.j2}", (
            "kickstart.template: expected the name of a kickstart "
            "template that ends in .ks.j2, such as debian.ks.j2, found '../../etc/x.ks.j2'"
        )),
        ("variables: {A: 1}", "variables.A: expected a variable name of lower-case letters, digits and '_', found 'A'"),
        ("variables: {a: {b: 1}}", "variables.a.b: unknown key 'b' [known: type, default, choices, description]"),
        ("variables: {a: }", (
            "variables.a: expected text, a whole number, true, false or a list of text "
            "values, found nothing"
        )),
        ("matrx: {a: [1]}", "matrx: unknown key 'matrx' [did you mean 'matrix'?]"),
        ("root: {password: hunter2}", (
            "root.password: this file must not contain a secret; use {env: NAME} or "
            "{file: PATH}"
        )),
        ("root: {password: {env: A, file: b}}", "root.password: expected exactly one of env and file"),
        ("root: {password: {}}", "root.password: expected exactly one of env and file"),
        ("root: {password: {enw: A}}", "root.password.enw: unknown key 'enw' [did you mean 'env'?]"),
        ("root: {ssh_keys: [{envv: A}]}", "root.ssh_keys[0].envv: unknown key 'envv' [did you mean 'env'?]"),
        ("root: {ssh_keys: [ssh-rsa AAAA]}", (
            "root.ssh_keys[0]: expected an SSH public key such as "
            "'ssh-ed25519 AAAA… name'; the base64 data is not a complete ssh-rsa key"
        )),
        ("root: {ssh_keys: [ssh-rsa !]}", (
            "root.ssh_keys[0]: expected an SSH public key such as 'ssh-ed25519 "
            "AAAA… name'; the part after ssh-rsa is not base64"
        )),
        ("root: {ssh_keys: [1]}", (
            "root.ssh_keys[0]: expected an SSH public key such as 'ssh-ed25519 AAAA… "
            "name', found '1'"
        )),
        ("operations: [trim-free-spce]", (
            "operations[0]: unknown operation 'trim-free-spce' [did you mean "
            "'trim-free-space'?]"
        )),
        ("operations: [{trim-free-spce: {}}]", (
            "operations[0].trim-free-spce: unknown operation "
            "'trim-free-spce' [did you mean 'trim-free-space'?]"
        )),
        ("operations: [{trim-free-space: {x: 1}}]", (
            "operations[0].trim-free-space.x: unknown key 'x' [no keys "
            "are allowed here]"
        )),
        ("operations: [{trim-free-space: now}]", (
            "operations[0].trim-free-space: expected a mapping of "
            "parameters, found 'now' [write trim-free-space]"
        )),
        ("operations: [{a: , b: }]", (
            "operations[0]: expected an operation's name, or one name with its "
            "parameters, found a mapping of 2 keys [begin a new item with `-` for each operation]"
        )),
        ("operations: [[]]", (
            "operations[0]: expected an operation's name, or one name with its parameters, "
            "found an empty list"
        )),
    ],
)  # fmt: skip
def test_refused(more: str, message: str) -> None:
    assert f"small.yaml:3: {message}" in problems(more)


def test_all_problems_are_reported_together_in_the_order_of_the_lines() -> None:
    more = """\
packages:
  - vim
  - a b
vm:
  memory: 4
  vcpu: 3
disk:
  size: 8GiB
  size: 9GiB
operations:
  - trim-free-space:
      wrong: 1
  - no-such-operation
"""
    lines = [problem.split(": ")[:2] for problem in problems(more)]
    assert lines == [
        ["small.yaml:5", "packages[1]"],
        ["small.yaml:7", "vm.memory"],
        ["small.yaml:8", "vm.vcpu"],
        ["small.yaml:11", "disk.size"],
        ["small.yaml:14", "operations[0].trim-free-space.wrong"],
        ["small.yaml:15", "operations[1]"],
    ]


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ("", "small.yaml:1: the file is empty: a recipe begins with `name:`"),
        ("# only a comment\n", "small.yaml:1: the file is empty: a recipe begins with `name:`"),
        ("- a\n", "small.yaml:1: expected a mapping of keys: a recipe begins with `name:`"),
        ("name: x\n", "small.yaml:1: os: this key is required but missing"),
        ("os: {family: debian, version: 13}\nname: x\n", (
            "small.yaml:1: os: the key 'codename' is missing; the "
            "Debian family needs it, such as trixie"
        )),
        ("name: x\nos: {family: redhat, version: 10}\n", (
            "small.yaml:1: installer: the key 'source' is "
            "missing: it says where Anaconda comes from"
        )),
        ("name: x\nos: {family: redhat, version: 10}\ninstaller: {type: kickstrap}\n",
            "small.yaml:3: installer.type: kickstrap installs the family debian, but this is redhat"),
        ("name: ../x\nos: {family: debian, version: 13, codename: trixie}\n",
            "small.yaml:1: name: expected a name of letters"),
        ("os:\n  family: debian\n  version: 13\n  codename: trixie\nname:\n",
            "small.yaml:5: name: expected text, found nothing"),
    ],
)  # fmt: skip
def test_files_that_are_not_recipes(base: str, message: str) -> None:
    assert any(problem.startswith(message) for problem in problems(base=base))


def test_operations_get_their_own_parameters() -> None:
    calls = recipe(
        "operations: [reset-machine-id, install-packages: {packages: [vim]}, {trim-free-space: }]"
    ).operations
    assert [call.name for call in calls] == ["reset-machine-id", "install-packages", "trim-free-space"]
    assert calls[1] == registry.call("install-packages", {"packages": ["vim"]})


def test_a_recipe_knows_where_its_values_are_written() -> None:
    found = recipe("root:\n  password:\n    env: PW\n").place(("root", "password"))
    assert (found.file, found.key) == ("small.yaml", 4)


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner,
        max_size=3) | st.dictionaries(st.sampled_from(sorted(Recipe.model_fields)) | st.text(max_size=5), inner,
        max_size=4),
    max_leaves=12,
))  # fmt: skip
def test_any_value_is_a_recipe_or_refused_with_problems(data: object) -> None:
    raw = {"os": data, "packages": data, "root": data, "vm": data, "operations": data}
    with pytest.raises(RecipeError) as caught:
        validate(Document.of("r.yaml", raw), Path("r.yaml"))
    assert caught.value.problems


def test_names_are_looked_up_and_paths_are_not(tmp_path: Path) -> None:
    folder = tmp_path / "recipes"
    folder.mkdir()
    (folder / "small.yaml").write_text(MINIMAL)
    assert load("small", search=[folder]).source == folder / "small.yaml"
    assert load(str(folder / "small.yaml"), search=[]).name == "small"
    assert load(folder / "small.yaml").name == "small"
    with pytest.raises(UsageError) as caught:
        load("smal", search=[folder])
    assert caught.value.hint == "did you mean 'small'?"
    with pytest.raises(UsageError) as caught:
        load("debian-12", search=[folder])
    assert caught.value.hint == "known: small"
    with pytest.raises(RecipeError, match="there is no such file"):
        load("small.yaml", search=[folder])


def test_an_image_with_encrypted_disks_cannot_be_verified() -> None:
    text = "encryption: {passphrase: {env: PHRASE}}\nverify: true\n"
    (problem,) = problems(text)
    assert "a clone of an image with encrypted disks waits for the passphrase" in problem
    assert recipe(text.replace("verify: true\n", "")).encryption.passphrase is not None
