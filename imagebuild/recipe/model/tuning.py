"""What is set in the guest beside its packages: services, kernel arguments, scheduler, tuned."""

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
"""The last release of RHEL's family whose kernel (3.10) has ``elevator=`` and the schedulers that belong to it."""

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
    """Which services start with the guest."""

    enabled: Annotated[tuple[UnitName, ...], BeforeValidator(without_nothing)] = Field(
        (), description="Services that start with the guest; their packages must be there."
    )
    disabled: Annotated[tuple[UnitName, ...], BeforeValidator(without_nothing)] = Field(
        (), description="Services that do not; one that is not there is no error."
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
    """How the guest is set up to run in a virtual machine."""

    io_scheduler: Literal["none", "mq-deadline", "kyber", "bfq", "noop", "deadline", "cfq"] | None = Field(
        None,
        description="I/O scheduler of all disks, set by a udev rule. CentOS 7: `noop`, `deadline` or `cfq`, set by `elevator=`.",
    )
    transparent_huge_pages: Literal["always", "madvise", "never"] | None = Field(
        None, description="Transparent huge pages. Without it: the kernel's default."
    )
    tuned_profile: ProfileName | None = Field(
        None, description="Profile of tuned, `virtual-guest`; the package and its service come with it."
    )
    serial_console: bool = Field(
        default=False, description="Kernel messages and a login on the first serial port too, and on the display."
    )
    interface_names: Literal["classic", "predictable"] = Field(
        "predictable", description="`classic`: eth0, eth1, … on any hardware; `predictable`: the guest's own choice."
    )

    def brought(self, os: Os) -> Iterator[tuple[str, str]]:
        """The arguments of the installed kernel that these settings bring, each with the key that brings it."""
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
        """The arguments of the installed kernel that these settings bring."""
        return tuple(argument for _, argument in self.brought(os))


def has_elevator(os: Os) -> bool:
    """Whether the guest's kernel takes its I/O scheduler from ``elevator=``. Linux 5.0 has dropped it."""
    return os.family == "redhat" and os.distribution != "fedora" and os.major <= _LAST_WITH_ELEVATOR


def tuning_findings(tuning: Tuning, services: Services, os: Os, by_hand: Sequence[str]) -> Iterator[Finding]:
    """What does not fit the guest, its services, or the kernel arguments that the recipe names itself (``by_hand``)."""
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
            message = f"{argument} contradicts {other}, which tuning brings"
            yield Finding(("kernel_arguments", at), message, "remove one of the two")


def _subject(argument: str) -> str:
    """What an argument is about: there is one console for each device, and one of anything else."""
    name, _, value = argument.partition("=")
    return f"console={value.partition(',')[0]}" if name == "console" else name
