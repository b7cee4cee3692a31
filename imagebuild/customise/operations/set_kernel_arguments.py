"""Add arguments to the kernel command line, or remove them.

Changes every place where a distribution stores them. For the next boot these are ``grub.cfg``,
GRUB's environment, Boot Loader Specification entries, extlinux, syslinux, rEFInd, Limine,
``cmdline.txt`` of a Raspberry Pi and unified kernel images, in ``/boot``, ``/efi``, ``/boot/efi``
and on EFI system partitions that are not mounted. For kernels that are installed later these are
``/etc/default/grub`` with ``/etc/default/grub.d``, ``/etc/kernel/cmdline`` and ``uki.conf``, and
the settings of dracut, u-boot-menu, flash-kernel, update-extlinux and kernelstub.

An argument replaces all others with the same name, whatever their value, and never appears twice.
Some arguments may appear several times with different meanings: ``console``, ``ip``,
``nameserver``, ``rd.luks.*``, ``rd.lvm.*``, ``module.dyndbg``, ``systemd.mask`` and the like. These
are added to the existing ones, and so is every name that is given several times. ``console``
arguments come last, in the order given, because the last console is /dev/console; one for the same
device is replaced. A value with blanks must be in double quotes. A name to remove matches any
value. ``-`` and ``_`` in names are equivalent.

The operation fails before it changes anything if a place that matters cannot be changed: a signed
unified kernel image, a guest that boots with LILO or zipl or with a U-Boot script, or a value in
``/etc/default/grub`` that only a shell could evaluate. It also fails if it finds no command line at
all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from imagebuild.customise.linux import kernel_cmdline
from imagebuild.customise.linux.kernel_arguments import Edit
from imagebuild.customise.operation import Params as BaseParams
from imagebuild.customise.operation import Phase
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE

_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
Argument = Annotated[str, Field(pattern=rf"^{_NAME}(=([^\s\"'`$\\]*|\"[^\"'`$\\\x00-\x1f]*\"))?$")]
Name = Annotated[str, Field(pattern=rf"^{_NAME}$")]


class Params(BaseParams):
    add: tuple[Argument, ...] = Field(default=(), description="arguments such as quiet or elevator=none")
    remove: tuple[Name, ...] = Field(default=(), description="names of arguments to remove, whatever their value")


def apply(guest: Guest, params: Params) -> None:
    if not (params.add or params.remove):
        return
    if not kernel_cmdline.change(guest, Edit(params.add, params.remove)):
        raise GuestError(
            "no boot loader configuration with a kernel command line was found in this guest",
            "if its kernel is loaded from outside the guest, set the arguments there",
        )
