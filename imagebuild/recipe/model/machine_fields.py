"""The types of the machine's fields: sets of CPUs, models, addresses of network cards."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

from imagebuild.schema import fields as f
from imagebuild.schema.document import WrittenInt

MIB = 1024**2
GIB = 1024**3
_MOST_CPUS = 4096
"""Host CPU numbers are below this limit (CONFIG_NR_CPUS of the distributions on x86_64: 8192)."""


def cpus(text: str) -> tuple[int, ...]:
    """The CPUs of a set such as ``0-3,^2`` in libvirt's syntax: ranges and single numbers; ``^``
    removes one.

    Raises ValueError with the problem.
    """
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"(\^?)(0|[1-9][0-9]{0,4})(?:-(0|[1-9][0-9]{0,4}))?", part)
        if match is None or (match[1] and match[3]):
            raise ValueError(f"expected a set of CPUs such as 0-3,^2 or 4,6, found {f.shown(text)}")
        first, last = int(match[2]), int(match[3] or match[2])
        if last < first:
            raise ValueError(f"the range {part} is reversed")
        if last >= _MOST_CPUS:
            raise ValueError(f"there is no CPU {last}: the last is {_MOST_CPUS - 1}")
        if match[1]:
            if first not in found:
                raise ValueError(f"{part} removes a CPU that is not in the set before it")
            found.discard(first)
        else:
            found |= set(range(first, last + 1))
    if not found:
        raise ValueError(f"the set {text} contains no CPU")
    return tuple(sorted(found))


def _cpu_set(value: object) -> str:
    line = f.text(value)
    cpus(line)
    return line


def _vcpu_number(value: object) -> int:
    if isinstance(value, str) and re.fullmatch(r"0|[1-9][0-9]{0,3}", value):
        return int(value)
    if type(value) is int and value >= 0:
        return value
    raise ValueError(f"expected a vCPU number, counted from 0, found {f.shown(value)}")


def _mac(value: object) -> str:
    """A unicast MAC address, in lower case as libvirt writes it."""
    line = f.text(value)
    if not re.fullmatch(r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}", line):
        raise ValueError(f"expected a MAC address such as 52:54:00:12:34:56, found {f.shown(line)}")
    if int(line[:2], 16) & 1:
        raise ValueError(
            f"{line} is a multicast address (its first octet is odd); a network card needs a unicast address"
        )
    if set(line) <= {"0", ":"}:
        raise ValueError(f"{line} is not a valid address")
    return line.lower()


def _cpu_model(value: object) -> str:
    line = f.text(value)
    if line in ("host", "host-copy", "host-model-only"):
        raise ValueError(
            f"expected a CPU model, found {f.shown(line)}; libvirt's names are host-model and host-passthrough"
        )
    if line in ("none", "default", "clear", "hv-default", "hypervisor-default"):  # virt-install's names
        raise ValueError(f"expected a CPU model, found {f.shown(line)}; omit the key for the default")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}", line):
        raise ValueError(f"expected a CPU model such as host-model, EPYC-Rome or maximum, found {f.shown(line)}")
    return line


def _port(value: object) -> int | None:
    """A display's TCP port: VNC ports start at 5900, and virt-install requires the same of SPICE."""
    if value is None or value == "auto":
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 5900 <= value <= 65535:
        raise ValueError(f"expected auto or a port from 5900 to 65535, found {f.shown(value)}")
    return int(value)


def _huge_pages(value: object) -> bool | int:
    if isinstance(value, bool):
        return value
    if isinstance(value, WrittenInt):
        raise ValueError(f"expected true, false or the size of a page such as 2MiB or 1GiB, found {f.shown(value)}")
    return f.byte_size(value)


def _written_pages(value: bool | int) -> str:  # noqa: FBT001 - the value of a field
    return str(value).lower() if isinstance(value, bool) else f.size_text(value)


_CPUS = {"type": ["string", "integer"], "pattern": r"^\^?[0-9]+(-[0-9]+)?(,\^?[0-9]+(-[0-9]+)?)*$"}

CpuSet = Annotated[str, BeforeValidator(_cpu_set), f.Kind("CPUs", schema=_CPUS)]
VcpuNumber = Annotated[int, BeforeValidator(_vcpu_number), f.Kind("vCPU", schema={"type": "string"})]
VcpuCount = Annotated[
    int,
    BeforeValidator(f.sized(1, 512, f.whole_number, str)),
    f.Kind("number", schema={"type": "integer", "minimum": 1, "maximum": 512}),
]
Memory = Annotated[
    int,
    BeforeValidator(f.sized(MIB, 16 * 1024 * GIB, f.byte_size, f.size_text)),
    f.Kind("size", f.size_text, f.SIZE),
]
Mac = Annotated[str, BeforeValidator(_mac), f.Kind("MAC address")]
CpuModel = Annotated[str, BeforeValidator(_cpu_model), f.Kind("`host-model`, `host-passthrough`, `maximum` or a model")]
CpuFeature = Annotated[
    str,
    BeforeValidator(f.matching(r"(?=[0-9._-]*[a-z])[a-z0-9][a-z0-9._-]{0,63}", "a CPU feature such as vmx or avx2")),
    f.Kind("feature"),
]
NetworkName = Annotated[
    str,
    BeforeValidator(f.matching(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "the name of a libvirt network such as default")),
    f.Kind("name"),
]
Port = Annotated[
    int | None,
    BeforeValidator(_port),
    f.Kind(
        "`auto` or number",
        schema={"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 5900, "maximum": 65535}]},
    ),
]
HugePages = Annotated[
    bool | int,
    BeforeValidator(_huge_pages),
    f.Kind("true, false or size", _written_pages, {"anyOf": [{"type": "boolean"}, f.SIZE]}),
]
Address = Annotated[
    IPv4Address | IPv6Address,
    BeforeValidator(f.any_ip),
    PlainSerializer(str, return_type=str),
    f.Kind("IP address", schema={"type": "string"}),
]
