"""What an operation is: the words that its file, the registry and the worker share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from imagebuild.customise.host_inputs import NOTHING, Supplies

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest


Carries = Literal["identity", "secret", "trace", ""]
"""What a guest has that a template must not have: what tells one machine from another, what must stay
unknown, what was left behind by using or building it; or nothing of the kind."""


class Phase(IntEnum):
    """When an operation runs: all of one phase before any of the next, in the given order within it."""

    CUSTOMISE = 1
    """What the recipe adds: packages, files, accounts, commands. The only phase that may need the network."""
    CONFIGURE = 2
    """Settings that hold whatever was added before, such as no firewall."""
    SCRUB = 3
    """What belongs to one machine, or was left behind by building it, goes away."""
    SEAL = 4
    """After the last file has changed."""


class Params(BaseModel):
    """Base of every operation's parameters: unknown keys are errors, values do not change."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class NoParams(Params):
    """The operation takes no parameters."""


class NotApplicable(Exception):
    """Raised by an operation for a guest that has nothing of what it is about; the text says why."""


@dataclass(frozen=True)
class Operation:
    """One operation as the registry knows it.

    ``summary`` and ``description`` are the first line and the rest of its file's docstring.
    ``apply`` changes a guest; it raises NotApplicable or GuestError. ``needs_network`` looks at
    a guest, without changing it, and says whether ``apply`` would have to use the network.
    ``carries`` is what a template still has as long as the operation finds something to do; ``replaces``
    are the operations of virt-sysprep that it does the work of.
    """

    name: str
    summary: str
    description: str
    phase: Phase
    params: type[Params]
    apply: Callable[[Guest, Any], None]
    needs_network: Callable[[Guest, Any], bool] | None = None
    carries: Carries = ""
    replaces: tuple[str, ...] = ()


@dataclass(frozen=True)
class OperationCall:
    """An operation's name with its validated parameters: what a recipe asks for, and what stands behind their names."""

    name: str
    params: Params
    supplies: Supplies = NOTHING
