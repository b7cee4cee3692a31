"""What a check is: the terms shared by its file, the registry and the verification.

A check looks at a booted guest. Most declare shell commands, their *probes*: all probes of all
checks run as one script, because each call into an emulated guest costs a second. Others act on the
machine: they add a CPU or shut the guest down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from imagebuild.verify.clones import Clones

Status = Literal["passed", "failed", "not applicable", "not checkable"]
Turn = Literal["running", "reboot", "shutdown"]
"""When an acting check has its turn: while the guest runs, or as the one that ends it."""


class Params(BaseModel):
    """Base class of the parameters of all checks: unknown keys are errors, and values are
    immutable."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    def for_manifest(self) -> dict[str, Any]:
        """The parameters as an artifact's manifest records them."""
        return self.model_dump(mode="json")


class NoCheckParams(Params):
    """The check takes no parameters."""


class NothingToCheck(Exception):
    """Raised by a check for a guest that has nothing it applies to; the text gives the reason."""


class NotCheckable(Exception):
    """Raised by a check that cannot know here whether the guest is right; the text gives the reason."""


@dataclass(frozen=True)
class Printed:
    """What a probe printed, without the last line end, and its exit status."""

    text: str
    status: int

    @property
    def lines(self) -> list[str]:
        """The lines that are not blank."""
        return [line for line in self.text.splitlines() if line.strip()]


@dataclass(frozen=True)
class CloneSeed:
    """What the cloud-init of one clone is given. The public key, beside the private one, has its name with
    ``.pub``.
    """

    instance_id: str
    hostname: str
    private_key: Path


class RunningGuest(Protocol):
    """A running guest as acting checks see it. Sizes are in bytes, times in seconds."""

    emulated: bool
    seconds_to_login: float
    """From the start of the machine to the state in which it is used."""
    ssh_port: int | None
    """The port on 127.0.0.1 that is forwarded to the guest's port 22; None without a network card."""
    seed: CloneSeed | None
    """What its cloud-init was given; None if nothing."""

    @property
    def vcpus(self) -> tuple[int, int]:
        """The domain's virtual CPUs: current and maximum."""

    @property
    def memory(self) -> tuple[int, int]:
        """The domain's memory: current and maximum."""

    def run(self, script: str, *, timeout: float = 60.0) -> Printed:
        """The output (both streams) and exit status of a POSIX shell script, run as root."""

    def upload(self, data: bytes, path: str) -> None:
        """Write a file into the guest, with mode 0700."""

    def set_vcpus(self, count: int) -> None:
        """Plug CPUs in, up to the maximum."""

    def set_memory(self, size: int) -> None:
        """Set the size that the balloon leaves to the guest."""

    def reboot(self, *, timeout: float) -> float:
        """Reboot on request and wait until the guest is usable again: the seconds it took.

        Raises TimeoutError.
        """

    def shut_down(self, *, timeout: float) -> float:
        """Ask the guest to shut down, as by the power button: the seconds until it was off.

        Raises TimeoutError.
        """

    @property
    def console(self) -> str:
        """The text of the serial console since the machine started; empty without one."""


Judge = Callable[[Mapping[str, Printed], Any], Iterable[str]]
Act = Callable[[RunningGuest, Any], Iterable[str]]
Compare = Callable[["Clones", Any], Iterable[str]]


@dataclass(frozen=True)
class Check:
    """One check as the registry knows it.

    ``summary`` and ``description`` are the first line and the rest of its file's docstring.
    ``probes`` are shell commands by name, and ``judge`` gets their outputs and the parameters and
    returns the problems, each one sentence; none means that the check has passed. A check without
    probes has ``act`` instead, which has its ``turn``, or ``compare``, which looks at two clones.
    All of them may raise NothingToCheck and NotCheckable. ``follows`` has, by the name of another
    check, a regular expression of problems that only follow from those of the other one.
    """

    name: str
    summary: str
    description: str
    params: type[Params]
    version: str
    """The first 12 digits of a SHA-256 over its code."""
    probes: Mapping[str, str]
    judge: Judge | None = None
    act: Act | None = None
    compare: Compare | None = None
    follows: Mapping[str, str] = field(default_factory=dict)
    turn: Turn = "running"


@dataclass(frozen=True)
class CheckCall:
    """The name of a check with its validated parameters, as a recipe requests it."""

    name: str
    params: Params


@dataclass(frozen=True)
class CheckResult:
    """What a check found: ``problems`` if it failed, ``reason`` if it is not applicable or not
    checkable. ``version`` is that of the check's code."""

    name: str
    status: Status
    problems: tuple[str, ...] = ()
    reason: str = ""
    seconds: float = 0.0
    version: str = ""
