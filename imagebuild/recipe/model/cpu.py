"""Virtual CPUs: number, topology, placement and model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from imagebuild.recipe.model import machine_fields as mf
from imagebuild.schema.findings import Finding, Refused
from imagebuild.schema.section import Section

DEFAULT_VCPUS = 2


def _maximum(data: dict[str, Any]) -> int:
    """The maximum of vCPUs if the recipe does not set it: the topology's number, or the default."""
    topology = [data.get(key) for key in ("sockets", "cores", "threads")]
    if not any(topology):
        return DEFAULT_VCPUS
    product = 1
    for number in topology:
        product *= number or 1
    return product


def _current(data: dict[str, Any]) -> int:
    return int(data.get("maximum", DEFAULT_VCPUS))


class Vcpus(Section):
    """Virtual CPUs.

    ``topology`` is sockets, cores per socket and threads per core, or None if none of them is set.
    """

    sockets: mf.VcpuCount | None = Field(
        None, description="Topology: sockets. Each of sockets, cores and threads is 1 if it is not given."
    )
    cores: mf.VcpuCount | None = Field(None, description="Topology: cores per socket.")
    threads: mf.VcpuCount | None = Field(None, description="Topology: threads per core.")
    maximum: mf.VcpuCount = Field(
        default_factory=_maximum, description="Maximum of vCPUs. Default: the topology's number, otherwise 2."
    )
    current: mf.VcpuCount = Field(
        default_factory=_current,
        description="Number of vCPUs at the start; the others can be added at run time. Default: all.",
    )
    cpuset: mf.CpuSet | None = Field(None, description="Host CPUs that the vCPUs may run on: `0-3,^2`.")
    pin: dict[mf.VcpuNumber, mf.CpuSet] = Field(
        default_factory=dict, description="Host CPUs for individual vCPUs: `{0: 2, 1: 3-4}`."
    )

    @property
    def topology(self) -> tuple[int, int, int] | None:
        if not (self.sockets or self.cores or self.threads):
            return None
        return self.sockets or 1, self.cores or 1, self.threads or 1

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if wrong := list(self._findings()):
            raise Refused(wrong)
        return self

    def _findings(self) -> Iterator[Finding]:
        if self.current > self.maximum:
            yield Finding(("current",), f"{self.current} vCPUs at the start exceed the maximum of {self.maximum}")
        if self.topology is not None:
            sockets, cores, threads = self.topology
            there = sockets * cores * threads
            if there != self.maximum:
                counted = f"{sockets} × {cores} × {threads} (sockets × cores × threads)"
                message = f"{counted} is {there} vCPUs, but the maximum is {self.maximum}"
                yield Finding((), message, "they must be equal")
        allowed = set(mf.cpus(self.cpuset)) if self.cpuset else None
        for vcpu, cpus in self.pin.items():
            route = ("pin", str(vcpu))
            if vcpu >= self.maximum:
                message = f"there is no vCPU {vcpu}: the vCPUs are 0-{self.maximum - 1}"
                yield Finding(route, message, at_key=True)
            beyond = [cpu for cpu in mf.cpus(cpus) if allowed is not None and cpu not in allowed]
            if beyond:
                yield Finding(
                    route, f"vCPU {vcpu} is pinned to CPU {beyond[0]}, which is not in the cpuset {self.cpuset}"
                )


class NumaCell(Section):
    """A NUMA cell of the guest."""

    cpus: mf.CpuSet = Field(description="vCPUs of the cell: `0-1`.")
    memory: mf.Memory = Field(description="Memory of the cell, with a unit.")


def numa_findings(cells: tuple[NumaCell, ...], vcpus: int, memory: int, written: str) -> Iterator[Finding]:
    """Problems of cells for this number of vCPUs and bytes of memory; ``written`` is the memory as
    text.
    """
    owner: dict[int, int] = {}
    for at, cell in enumerate(cells):
        for cpu in mf.cpus(cell.cpus):
            if cpu >= vcpus:
                message = f"there is no vCPU {cpu}: the vCPUs are 0-{vcpus - 1}"
                yield Finding(("numa", at, "cpus"), message)
                break
            if cpu in owner:
                yield Finding(("numa", at, "cpus"), f"vCPU {cpu} is already in cell {owner[cpu]}")
                break
            owner[cpu] = at
        if cell.memory % mf.MIB:
            yield Finding(("numa", at, "memory"), "the memory of a cell must be a multiple of 1MiB")
    missing = [cpu for cpu in range(vcpus) if cpu not in owner]
    if cells and missing:
        yield Finding(("numa",), f"vCPU {missing[0]} is in no cell", f"the cells must contain all of 0-{vcpus - 1}")
    total = sum(cell.memory for cell in cells)
    if cells and total != memory:
        message = f"the cells have {total // mf.MIB}MiB of memory in total, but the machine has {written}"
        yield Finding(("numa",), message, "they must be equal")


class Cpu(Section):
    """The model of the virtual CPU."""

    model: mf.CpuModel = Field(
        description="`host-model` and `host-passthrough` follow the host, `maximum` has all features of the hypervisor;"
        " or the name of a model."
    )
    features: dict[mf.CpuFeature, Literal["force", "require", "optional", "disable", "forbid"]] = Field(
        default_factory=dict, description="Individual features, in libvirt's terms: `{vmx: require, hle: disable}`."
    )

    @property
    def mode(self) -> str:
        """libvirt's CPU mode: the model itself, or ``custom`` for a named model."""
        return self.model if self.model in ("host-model", "host-passthrough", "maximum") else "custom"
