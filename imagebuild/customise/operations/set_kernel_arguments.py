"""Add arguments to the kernel's command line, or remove some.

In every place where a distribution keeps them. For what boots next: ``grub.cfg``, GRUB's environment, Boot Loader Specification entries, extlinux,
syslinux, rEFInd, Limine, ``cmdline.txt`` of a Raspberry Pi and unified kernel images, in ``/boot``, ``/efi``, ``/boot/efi`` and on EFI system partitions
that are not mounted. For kernels to come: ``/etc/default/grub`` with ``/etc/default/grub.d``, ``/etc/kernel/cmdline`` and ``uki.conf``, and the
settings of dracut, u-boot-menu, flash-kernel, update-extlinux and kernelstub.

An argument takes the place of others of its name, whatever their value, and is never there twice. Some may be there several times, each
with a meaning of its own: ``console``, ``ip``, ``nameserver``, ``rd.luks.*``, ``rd.lvm.*``, ``module.dyndbg``, ``systemd.mask`` and the like; these are added to
the others, and so is every name that is given several times. ``console`` comes last, in the order given, since the last console is /dev/console;
one on the same device is replaced. A value with blanks stands in double quotes. A name to remove matches with any value. ``-`` and ``_`` in names are the same.

The operation fails before it changes anything if a place that counts cannot be changed: a signed unified kernel image, a guest that boots with LILO or
zipl or by a script of U-Boot's, a value in ``/etc/default/grub`` that a shell would have to compute. It also fails where it finds no command line at all.
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
    remove: tuple[Name, ...] = Field(default=(), description="names of arguments that go, whatever their value")


def apply(guest: Guest, params: Params) -> None:
    if not (params.add or params.remove):
        return
    if not kernel_cmdline.change(guest, Edit(params.add, params.remove)):
        raise GuestError(
            "no boot loader's configuration with a kernel command line was found in this guest",
            "if its kernel is started from outside, the arguments are set there",
        )
