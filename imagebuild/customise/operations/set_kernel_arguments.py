"""Add arguments to the kernel's command line, or remove some.

In every place where a distribution keeps them: ``/etc/default/grub``, ``/etc/kernel/cmdline``, Boot Loader Specification entries, GRUB's environment and
``grub.cfg``. An argument `name=value` replaces one of the same name; a name to remove matches with any value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from imagebuild.customise import kernel_cmdline
from imagebuild.customise.operation import Params as BaseParams
from imagebuild.customise.operation import Phase

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

PHASE = Phase.CUSTOMISE

Argument = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+(=[^\s\"'`$\\\\]*)?$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]


class Params(BaseParams):
    add: tuple[Argument, ...] = Field(default=(), description="arguments such as quiet or elevator=none")
    remove: tuple[Name, ...] = Field(default=(), description="names of arguments that go, whatever their value")


def apply(guest: Guest, params: Params) -> None:
    for name in params.remove:
        kernel_cmdline.remove_argument(guest, name)
    for argument in params.add:
        name, equals, value = argument.partition("=")
        kernel_cmdline.set_argument(guest, name, value if equals else None)
