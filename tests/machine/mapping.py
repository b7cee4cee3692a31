"""Maps each key to its virt-install option and its element in the domain's XML, by changing the
key.
"""

from __future__ import annotations

import itertools
import re
import shlex
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from imagebuild.machine.domain_xml import definition
from tests.machine.machines import import_command, recipe

SAMPLES = {
    "machine.virt_type": "machine: {virt_type: qemu, cpu: maximum}",
    "machine.memory.maximum": "machine: {memory: {maximum: 4GiB, current: 2GiB}}",
    "machine.memory.current": "machine: {memory: {maximum: 2GiB, current: 1GiB}}",
    "machine.vcpus.sockets": "machine: {vcpus: {sockets: 2, cores: 2, threads: 2}}",
    "machine.vcpus.cores": "machine: {vcpus: {sockets: 2, cores: 2, threads: 2}}",
    "machine.vcpus.threads": "machine: {vcpus: {sockets: 2, cores: 2, threads: 2}}",
    "machine.vcpus.maximum": "machine: {vcpus: {maximum: 3}}",
    "machine.vcpus.current": "machine: {vcpus: {current: 1}}",
    "machine.vcpus.cpuset": "machine: {vcpus: {cpuset: 0-3}}",
    "machine.vcpus.pin": "machine: {vcpus: {pin: {0: 2}}}",
    "machine.numa[].cpus": "machine: {numa: [{cpus: 0-1, memory: 2GiB}]}",
    "machine.numa[].memory": "machine: {numa: [{cpus: 0-1, memory: 2GiB}]}",
    "machine.cpu.model": "machine: {cpu: EPYC}",
    "machine.cpu.features": "machine: {cpu: {model: host-model, features: {vmx: require}}}",
    "machine.huge_pages": "machine: {huge_pages: 2MiB}",
    "machine.memory_sharing": "machine: {memory_sharing: false}",
    "machine.tpm": "machine: {tpm: true}",
    "machine.disk.cache": "machine: {disk: {cache: none}}",
    "machine.disk.io": "machine: {disk: {io: threads}}",
    "machine.disk.discard": "machine: {disk: {discard: ignore}}",
    "machine.disk.iothread": "machine: {disk: {iothread: true}}",
    "machine.networks[].type": "machine: {networks: [user]}",
    "machine.networks[].network": "machine: {networks: [{type: network, network: lan}]}",
    "machine.networks[].bridge": "machine: {networks: [{type: bridge, bridge: br0}]}",
    "machine.networks[].model": "machine: {networks: [{type: nat, model: e1000}]}",
    "machine.networks[].mac": "machine: {networks: [{type: nat, mac: 52:54:00:00:00:01}]}",
    "machine.graphics.type": "machine: {graphics: spice}",
    "machine.graphics.listen": "machine: {graphics: {type: vnc, listen: 0.0.0.0}}",
    "machine.graphics.port": "machine: {graphics: {type: vnc, port: 5901}}",
    "machine.serial": "machine: {serial: false}",
    "machine.guest_agent": "machine: {guest_agent: false}",
    "machine.rng": "machine: {rng: false}",
    "machine.balloon": "machine: {balloon: false}",
    "machine.firmware": "machine: {firmware: uefi-secure}",
    "disk.bus": "disk: {bus: sata}",
    "extra_disks[].bus": "extra_disks: [{size: 1GiB, bus: virtio}]",
}
"""A value for each key that makes a difference."""
_BASES = {
    "machine.graphics.type": "",
    "machine.graphics": "machine: {graphics: vnc}",
    "machine.vcpus.sockets": "machine: {vcpus: {cores: 2, threads: 2}}",
    "machine.vcpus.cores": "machine: {vcpus: {sockets: 2, threads: 2}}",
    "machine.vcpus.threads": "machine: {vcpus: {sockets: 2, cores: 2}}",
    "machine.numa[].memory": "machine: {memory: 1GiB, numa: [{cpus: 0-1, memory: 1GiB}]}",
    "machine.numa[].cpus": "machine: {vcpus: 1, numa: [{cpus: '0', memory: 2GiB}]}",
}
"""What a key is compared with, if not with the recipe without it."""
_NUMBERED = re.compile(r"(?<=[a-z])\d(?=\.)")
_COUNTS = {"--vcpus vcpu=", "--memory memory=", "--memory currentMemory=", "vcpu", "memory", "currentMemory"}
"""Changes that are needed only to match the number of vCPUs or the memory."""


def rows(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Rows of key, options and elements; empty images are created in ``folder``."""
    for key, sample in SAMPLES.items():
        base = _BASES.get(key, _BASES.get(key.rpartition(".")[0], ""))
        counts = (
            set() if key in ("machine.vcpus.maximum", "machine.memory.maximum", "machine.memory.current") else _COUNTS
        )
        options = _difference(list(_options(base, folder)), list(_options(sample, folder)), counts)
        elements = _difference(list(_elements(base)), list(_elements(sample)), counts)
        yield key, ", ".join(f"`{option}`" for option in options), ", ".join(f"`{element}`" for element in elements)


def table(folder: Path) -> str:
    """The rows as a Markdown table."""
    head = ["| key | option of virt-install | in the domain's XML |", "|---|---|---|"]
    return "\n".join([*head, *(f"| `{key}` | {option} | {element} |" for key, option, element in rows(folder))]) + "\n"


def _difference(before: list[tuple[str, str]], after: list[tuple[str, str]], but: set[str]) -> list[str]:
    """The names that are new or have another value; if there are none, those that are gone."""
    changed = [name for name, value in after if (name, value) not in before]
    gone = [name for name, value in before if (name, value) not in after]
    return [name for name in dict.fromkeys(changed or gone) if name not in but]


def _options(more: str, folder: Path) -> Iterator[tuple[str, str]]:
    argv = import_command(recipe(more), folder)
    for option, value in itertools.pairwise(argv):
        if not option.startswith("--") or value.startswith("--") or option == "--connect":
            continue
        parts = shlex.shlex(value, posix=True)
        parts.whitespace, parts.whitespace_split, parts.commenters = ",", True, ""
        for part in parts:
            key, equals, text = part.partition("=")
            name = f"{option} {_NUMBERED.sub('N', key)}=" if equals else option
            yield name, text if equals else key


def _elements(more: str) -> Iterator[tuple[str, str]]:
    root = ET.fromstring(definition(recipe(more), images=PurePosixPath("/images")))

    def walk(element: ET.Element, path: str) -> Iterator[tuple[str, str]]:
        for key, value in element.attrib.items():
            yield f"{path}/@{key}", value
        if (element.text or "").strip() or not (len(element) or element.attrib):
            yield path, (element.text or "").strip()
        for child in element:
            yield from walk(child, f"{path}/{child.tag}" if path else child.tag)

    yield from ((name.lstrip("/"), value) for name, value in walk(root, ""))
