"""What an operation is: the terms shared by its file, the registry and the worker."""

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
"""What a guest has that a template must not have: what distinguishes one machine from another, what
must stay secret, or what was left behind by using or building the guest; empty if it is none of
these."""


class Phase(IntEnum):
    """When an operation runs: all operations of one phase run before the next phase, in the given
    order."""

    CUSTOMISE = 1
    """What the recipe adds: packages, files, accounts, commands. The only phase that may need the
    network."""
    CONFIGURE = 2
    """Settings that apply to everything added before, such as no firewall."""
    SCRUB = 3
    """Removal of everything that belongs to one machine, or was left behind by building it."""
    SEAL = 4
    """After the last file has changed."""


class Params(BaseModel):
    """Base class of the parameters of all operations: unknown keys are errors, and values are
    immutable."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class NoParams(Params):
    """The operation takes no parameters."""


class NotApplicable(Exception):
    """Raised by an operation for a guest that has nothing it could apply to; the text gives the
    reason."""


@dataclass(frozen=True)
class Operation:
    """One operation as the registry knows it.

    ``summary`` and ``description`` are the first line and the rest of its file's docstring.
    ``apply`` changes a guest; it raises NotApplicable or GuestError. ``needs_network`` inspects a
    guest, without changing it, and says whether ``apply`` would have to use the network.
    ``carries`` is what a template still has as long as the operation finds something to do.
    ``replaces`` are the operations of virt-sysprep that it replaces.
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
    """The name of an operation with its validated parameters, as requested by a recipe, and the
    host inputs that these refer to."""

    name: str
    params: Params
    supplies: Supplies = NOTHING
