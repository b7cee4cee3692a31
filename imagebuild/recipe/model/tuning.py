"""Settings of the guest besides its packages: services, kernel arguments, scheduler, tuned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from imagebuild.recipe.model.guest import Os
from imagebuild.schema import fields as f
from imagebuild.schema.findings import Finding, Refused
from imagebuild.schema.section import Section, without_nothing

_OLD_SCHEDULERS = ("noop", "deadline", "cfq")
_SCHEDULERS = ("none", "mq-deadline", "kyber", "bfq")
_LAST_WITH_ELEVATOR = 7
"""The last release of the RHEL family whose kernel (3.10) has ``elevator=`` and the schedulers that
belong to it.
"""

UnitName = Annotated[
    str,
    BeforeValidator(f.matching(r"[A-Za-z0-9][A-Za-z0-9:_.@-]{0,200}", "the name of a service such as sshd")),
    f.Kind("service", schema={"type": "string"}),
]
ProfileName = Annotated[
    str,
    BeforeValidator(f.matching(r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}", "the name of a profile such as virtual-guest")),
    f.Kind("profile", schema={"type": "string"}),
]


class Services(Section):
    """Services that start with the guest."""

    enabled: Annotated[tuple[UnitName, ...], BeforeValidator(without_nothing)] = Field(
        (), description="Services that start with the guest; their packages must be installed."
    )
    disabled: Annotated[tuple[UnitName, ...], BeforeValidator(without_nothing)] = Field(
        (), description="Services that do not start with the guest; a missing one is not an error."
    )

    @model_validator(mode="after")
    def _one_or_the_other(self) -> Self:
        wrong = [
            Finding(("disabled", at), f"{name!r} is enabled too", "remove one of the two")
            for at, name in enumerate(self.disabled)
            if name in self.enabled
        ]
        if wrong:
            raise Refused(wrong)
        return self


class Tuning(Section):
    """Settings of the guest for running in a virtual machine."""

    io_scheduler: Literal["none", "mq-deadline", "kyber", "bfq", "noop", "deadline", "cfq"] | None = Field(
        None,
        description="I/O scheduler of all disks, set by a udev rule. CentOS 7: `noop`, `deadline` or `cfq`, set by"
        " `elevator=`.",
    )
    transparent_huge_pages: Literal["always", "madvise", "never"] | None = Field(
        None, description="Transparent huge pages. Default: the kernel's default."
    )
    tuned_profile: ProfileName | None = Field(
        None, description="tuned profile, `virtual-guest`; the package and its service are added."
    )
    serial_console: bool = Field(
        default=False,
        description="Kernel messages and a login prompt on the first serial port as well as on the display.",
    )
    interface_names: Literal["classic", "predictable"] = Field(
        "predictable", description="`classic`: eth0, eth1, … on any hardware; `predictable`: the guest's default names."
    )

    def brought(self, os: Os) -> Iterator[tuple[str, str]]:
        """The arguments of the installed kernel that these settings add, each with the key that
        adds it.
        """
        if self.interface_names == "classic":
            yield "interface_names", "net.ifnames=0"
            yield "interface_names", "biosdevname=0"
        if self.serial_console:
            yield "serial_console", "console=tty0"
            yield "serial_console", "console=ttyAMA0" if os.arch == "aarch64" else "console=ttyS0,115200n8"
        if self.transparent_huge_pages:
            yield "transparent_huge_pages", f"transparent_hugepage={self.transparent_huge_pages}"
        if self.io_scheduler and has_elevator(os):
            yield "io_scheduler", f"elevator={self.io_scheduler}"

    def kernel_arguments(self, os: Os) -> tuple[str, ...]:
        """The arguments of the installed kernel that these settings add."""
        return tuple(argument for _, argument in self.brought(os))


def has_elevator(os: Os) -> bool:
    """Whether the guest's kernel reads its I/O scheduler from ``elevator=``.

    Linux 5.0 removed it.
    """
    return os.family == "redhat" and os.distribution != "fedora" and os.major <= _LAST_WITH_ELEVATOR


def tuning_findings(tuning: Tuning, services: Services, os: Os, by_hand: Sequence[str]) -> Iterator[Finding]:
    """Settings that conflict with the guest, its services, or the recipe's own kernel arguments
    (``by_hand``).
    """
    known = _OLD_SCHEDULERS if has_elevator(os) else _SCHEDULERS
    if tuning.io_scheduler and tuning.io_scheduler not in known:
        message = f"the kernel of this guest has no scheduler {tuning.io_scheduler!r}"
        yield Finding(("tuning", "io_scheduler"), message, f"it has {', '.join(known)}")
    if tuning.tuned_profile and "tuned" in services.disabled:
        at = services.disabled.index("tuned")
        yield Finding(("services", "disabled", at), "tuned is needed for tuning.tuned_profile", "remove one of the two")
    brought = {_subject(argument): argument for argument in tuning.kernel_arguments(os)}
    for at, argument in enumerate(by_hand):
        other = brought.get(_subject(argument), argument)
        if other != argument:
            message = f"{argument} conflicts with {other}, which tuning adds"
            yield Finding(("kernel_arguments", at), message, "remove one of the two")


def _subject(argument: str) -> str:
    """What an argument sets: there is one console per device, and one of any other argument."""
    name, _, value = argument.partition("=")
    return f"console={value.partition(',')[0]}" if name == "console" else name
