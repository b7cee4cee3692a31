"""The recipe: what image is wanted. Every key of the YAML file is a field here; its description is the manual's text."""

from __future__ import annotations

from ipaddress import IPv4Interface
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from imagebuild.recipe import fields as f
from imagebuild.recipe import ssh_keys
from imagebuild.recipe.document import Document, Mark, Route
from imagebuild.recipe.findings import Finding, Refused, findings
from imagebuild.recipe.operations import Operation

GIB = 1024**3
MIB = 1024**2


class Section(BaseModel):
    """Base of every mapping in a recipe: unknown keys are errors, values do not change."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _without_none(value: Any) -> Any:
    """A key with nothing behind it means the section's defaults."""
    return {} if value is None else value


def _without_nothing(value: Any) -> Any:
    """A list whose items are all commented out is empty."""
    return () if value is None else value


class SecretRef(Section):
    """Where a secret is to be read when it is needed: an environment variable or a file."""

    env: f.EnvironmentName | None = Field(None, description="Environment variable that holds the value.")
    file: f.Text | None = Field(None, description="File that holds the value; relative to the recipe's folder.")

    @model_validator(mode="before")
    @classmethod
    def _no_plain_text(cls, value: Any) -> Any:
        if isinstance(value, str):
            raise ValueError("a secret does not stand in a recipe; write {env: NAME} or {file: PATH}")
        return value

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.env is None) == (self.file is None):
            raise ValueError("expected exactly one of env and file")
        if self.file == "":
            raise Refused([Finding(("file",), "expected the path of a file, found ''")])
        return self

    def __str__(self) -> str:
        return f"environment variable {self.env}" if self.env else f"file {self.file}"


class Os(Section):
    """The operating system that gets installed."""

    family: Literal["debian", "redhat"] = Field(description="Family; decides installer, package names and operations.")
    version: f.Version = Field(description="The release, as the distribution counts it: `13`.")
    codename: f.Codename | None = Field(None, description="Debian family: the suite's name, `trixie`. Needed there.")
    arch: Literal["x86_64"] = Field("x86_64", description="Architecture.")
    osinfo: f.Osinfo | None = Field(
        None, description="Short id of libosinfo, `debian13`; virt-install detects without."
    )

    @model_validator(mode="after")
    def _codename(self) -> Self:
        if self.family == "debian" and self.codename is None:
            raise Refused([Finding((), "the key 'codename' is missing; the Debian family needs it, such as trixie")])
        return self


class Disk(Section):
    """The disk of the template."""

    size: f.DiskSize = Field(4 * GIB, description="Size of the disk, with a unit: `4GiB`, `512MiB`.")
    format: Literal["raw"] = Field("raw", description="Format while the image is being built.")
    bus: Literal["virtio", "scsi", "sata", "ide"] = Field("virtio", description="Bus in the install VM.")
    cache: Literal["writethrough", "writeback", "none", "directsync", "unsafe"] = Field(
        "unsafe",
        description="Host cache mode in the install VM. `unsafe` is right for a disk that is thrown away on failure.",
    )


class Vm(Section):
    """The virtual machine that installs; nothing of it is in the image."""

    virt_type: Literal["auto", "kvm", "qemu"] = Field("auto", description="`auto` takes KVM where it really works.")
    memory: f.MemorySize = Field(1536 * MIB, description="Memory of the VM, with a unit.")
    vcpus: Annotated[f.Whole, Field(ge=1, le=512)] = Field(2, description="Virtual CPUs of the VM.")
    network: Literal["user"] = Field("user", description="`user` is QEMU's own network; it needs nothing of the host.")
    graphics: Literal["none"] = Field("none", description="No display; the console is a log.")
    timeout: f.Timeout = Field(1800, description="The installation is ended after this time: `30m`, `90s`, `1h30m`.")

    @model_validator(mode="after")
    def _whole_megabytes(self) -> Self:
        if self.memory % MIB:
            raise Refused([Finding(("memory",), "the memory of a VM must be a multiple of 1MiB")])
        return self


class Installer(Section):
    """What installs the system."""

    type: Literal["kickstrap"] = Field("kickstrap", description="`kickstrap` is built in and installs Debian systems.")
    payload: Literal["host", "in-vm"] = Field(
        "host", description="Where packages are unpacked: on the host into a root archive (fast, cached), or in the VM."
    )
    mirror: f.Url | None = Field(None, description="Package mirror. Without it: what the host's own apt uses.")
    components: Annotated[tuple[f.Component, ...], Field(min_length=1)] = Field(
        ("main",), description="Components of the archive."
    )


def _variable(value: Any) -> str | int | bool | tuple[str, ...]:
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, list | tuple):
        return tuple(f.text(item) for item in value)
    if isinstance(value, str):
        return f.text(value)
    raise ValueError(f"expected text, a whole number, true, false or a list of texts, found {f.shown(value)}")


Variable = Annotated[
    str | int | bool | tuple[str, ...],
    PlainValidator(_variable),
    PlainSerializer(lambda value: list(value) if isinstance(value, tuple) else value, return_type=Any),
    f.Kind("text, number, true, false or [text, …]"),
]


class Kickstart(Section):
    """The kickstart template and what it is told."""

    template: f.TemplateName = Field(
        "debian.ks.j2",
        description="A Jinja2 template, sought in the project's `kickstart/`, then among the shipped ones.",
    )
    variables: dict[f.VariableName, Variable] = Field(
        default_factory=dict, description="Values of your own; the template sees them as `variables.NAME`."
    )


class Locale(Section):
    """Language, keyboard and time zone of the guest."""

    language: f.Language = Field("C.UTF-8", description="Locale.")
    keyboard: f.Keyboard = Field("us", description="Keyboard layout.")
    timezone: f.Timezone = Field("UTC", description="Time zone; the hardware clock always runs in UTC.")


class Network(Section):
    """The guest's network."""

    hostname: f.HostName = Field("localhost", description="Host name in the template.")
    device: f.DeviceName = Field("eth0", description="Interface.")
    bootproto: Literal["dhcp", "static"] = Field("dhcp", description="How the interface gets its address.")
    address: f.Ipv4 | None = Field(None, description="Static: IPv4 address.")
    netmask: f.Netmask | None = Field(None, description="Static: netmask, `255.255.255.0`.")
    gateway: f.Ipv4 | None = Field(None, description="Static: default gateway.")
    nameservers: tuple[f.AnyIp, ...] = Field((), description="Static: name servers.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        wrong = list(self._static_findings() if self.bootproto == "static" else self._dhcp_findings())
        if wrong:
            raise Refused(wrong)
        return self

    def _dhcp_findings(self) -> list[Finding]:
        given = [key for key in ("address", "netmask", "gateway", "nameservers") if getattr(self, key)]
        hint = "write bootproto: static, or remove the key"
        return [Finding((key,), "this has no meaning with bootproto: dhcp", hint, at_key=True) for key in given]

    def _static_findings(self) -> list[Finding]:
        if self.address is None or self.netmask is None:
            absent = [key for key in ("address", "netmask") if getattr(self, key) is None]
            return [Finding(("bootproto",), f"a static network needs {' and '.join(absent)}")]
        interface = IPv4Interface(f"{self.address}/{self.netmask}")
        network = interface.network
        ends = (network.network_address, network.broadcast_address) if network.prefixlen < 31 else ()
        if self.address in ends or self.address.is_multicast or self.address.is_loopback or self.address.is_unspecified:
            return [Finding(("address",), f"{self.address} cannot be the address of a host in {network}")]
        if self.gateway is not None and (self.gateway not in network or self.gateway == self.address):
            return [Finding(("gateway",), f"the gateway {self.gateway} is not another host in {network}")]
        return []


def _ssh_key(value: Any) -> str | SecretRef:
    if isinstance(value, dict | SecretRef):
        try:
            return SecretRef.model_validate(value)
        except ValidationError as error:
            raise Refused(findings(error, SecretRef)) from error
    return ssh_keys.public_key(value)


SshKey = Annotated[
    str | SecretRef,
    PlainValidator(_ssh_key),
    PlainSerializer(lambda key: key.model_dump() if isinstance(key, SecretRef) else key, return_type=Any),
    f.Kind("public key or reference"),
]


class Root(Section):
    """The account root. Without a password it is locked."""

    password: SecretRef | None = Field(
        None, description="Reference to the password, plain or crypted: `{env: NAME}` or `{file: PATH}`."
    )
    ssh_keys: tuple[SshKey, ...] = Field(
        (), description="Public keys that may log in as root; each in full or as a reference."
    )


class Output(Section):
    """The finished image."""

    format: Literal["qcow2"] = Field("qcow2", description="Format of the image.")
    compression: Literal["zstd", "zlib"] = Field(
        "zstd", description="`zstd` is faster and smaller; `zlib` is readable by QEMU before 5.1."
    )


class Recipe(Section):
    """A recipe, checked. ``source`` is its file; ``place`` tells where a value stands in it."""

    name: f.Name = Field(description="Name of the image; a file's and a folder's name too.")
    description: f.Text = Field("", description="One line for people.")
    os: Os = Field(description="The operating system.")
    disk: Annotated[Disk, BeforeValidator(_without_none)] = Field(default_factory=Disk, description="The disk.")
    vm: Annotated[Vm, BeforeValidator(_without_none)] = Field(default_factory=Vm, description="The install VM.")
    installer: Annotated[Installer, BeforeValidator(_without_none)] = Field(
        default_factory=Installer, description="What installs, and from where."
    )
    kickstart: Annotated[Kickstart, BeforeValidator(_without_none)] = Field(
        default_factory=Kickstart, description="The kickstart template."
    )
    locale: Annotated[Locale, BeforeValidator(_without_none)] = Field(default_factory=Locale, description="Locale.")
    network: Annotated[Network, BeforeValidator(_without_none)] = Field(default_factory=Network, description="Network.")
    root: Annotated[Root, BeforeValidator(_without_none)] = Field(default_factory=Root, description="The account root.")
    kernel_arguments: Annotated[tuple[f.KernelArgument, ...], BeforeValidator(_without_nothing)] = Field(
        (), description="Arguments of the installed kernel, one per item."
    )
    packages: Annotated[tuple[f.PackageName, ...], BeforeValidator(_without_nothing)] = Field(
        (), description="Packages beside those that the template names."
    )
    operations: Annotated[tuple[Operation, ...], BeforeValidator(_without_nothing)] = Field(
        (), description="What is done to the installed disk, offline: a name, or a name with its parameters."
    )
    output: Annotated[Output, BeforeValidator(_without_none)] = Field(
        default_factory=Output, description="The finished image."
    )

    _document: Document = PrivateAttr(default_factory=lambda: Document("recipe", None))
    _source: Path | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        wrong = [*self._package_findings(), *self._repeated()]
        if self.installer.type == "kickstrap" and self.os.family != "debian":
            wrong.append(Finding(("installer", "type"), "kickstrap installs the Debian family only"))
        if wrong:
            raise Refused(wrong)
        return self

    def _package_findings(self) -> list[Finding]:
        if self.os.family != "debian":
            return []
        return [
            Finding(("packages", i), f"{name!r} is no name of a Debian package")
            for i, name in enumerate(self.packages)
            if not f.DEBIAN_PACKAGE.fullmatch(name)
        ]

    def _repeated(self) -> list[Finding]:
        wrong = []
        for key in ("packages", "kernel_arguments"):
            values = getattr(self, key)
            wrong += [
                Finding((key, i), f"{value!r} stands here twice", "remove one of the two")
                for i, value in enumerate(values)
                if value in values[:i]
            ]
        return wrong

    @property
    def source(self) -> Path:
        """The file that the recipe was read from."""
        return self._source or Path("recipe.yaml")

    def place(self, route: Route) -> Mark:
        """Where the value at ``route``, such as ("root", "password"), was written."""
        return self._document.mark(route)

    def attach(self, document: Document, source: Path) -> Self:
        """Remember where the recipe came from; for the loader."""
        self._document = document
        self._source = source
        return self
