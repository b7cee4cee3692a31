"""Set the I/O scheduler of disks.

Writes a udev rule to ``/etc/udev/rules.d``, for all disks or for those of one bus or kind. The more
specific rule always takes precedence, in any order. Linux 5.0 and later have `none`, `mq-deadline`,
`kyber` and `bfq`; older kernels have `noop`, `deadline` and `cfq`. A scheduler that is missing from
a kernel in ``/lib/modules`` is an error. tuned profiles may set another one later.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from imagebuild.customise.linux import io_scheduler
from imagebuild.customise.linux.io_scheduler import Disks
from imagebuild.customise.operation import Params as BaseParams
from imagebuild.customise.operation import Phase
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE

Scheduler = Literal["none", "mq-deadline", "kyber", "bfq", "noop", "deadline", "cfq"]
_MODULES: dict[Scheduler, str] = {
    "mq-deadline": "mq-deadline",
    "kyber": "kyber-iosched",
    "bfq": "bfq",
    "noop": "noop-iosched",
    "deadline": "deadline-iosched",
    "cfq": "cfq-iosched",
}
_LARGEST_LIST = 16 << 20
"""The size limit in bytes; modules.dep of a distribution kernel is smaller than 1 MiB."""


class Params(BaseParams):
    scheduler: Scheduler = Field(description="name of the scheduler, such as `mq-deadline`")
    disks: Disks = Field(
        default="all", description="`all`, or those of one bus: `virtio`, `scsi` (SATA too), `nvme`, `xen`"
    )
    rotational: bool | None = Field(
        default=None, description="only disks that report that they rotate (true), or that they do not (false)"
    )


def apply(guest: Guest, params: Params) -> None:
    for folder in guest.glob("/lib/modules/*"):
        if not _has(guest, folder, params.scheduler):
            kernel = posixpath.basename(folder)
            raise GuestError(
                f"the kernel {kernel} of the guest has no I/O scheduler {params.scheduler}",
                "kernels since 5.0 have none and mq-deadline, and usually kyber and bfq; "
                "older ones have noop, deadline and cfq",
            )
    path = io_scheduler.path(params.disks, rotational=params.rotational)
    guest.create(path, io_scheduler.rule(params.scheduler, params.disks, rotational=params.rotational) + "\n")


def _has(guest: Guest, folder: str, scheduler: Scheduler) -> bool:
    """Whether a kernel has a scheduler, built in or as a module. `none` is always available. A
    folder without module lists is not a kernel."""
    lists = guest.real_files(f"{folder}/modules.builtin", f"{folder}/modules.dep")
    module = f"/{_MODULES.get(scheduler)}.ko"
    return scheduler == "none" or not lists or any(module in guest.read(path, _LARGEST_LIST) for path in lists)
