"""Identifiers in the files that boot a guest: texts, initramfs images, UEFI programs and U-Boot's images. Pure."""

from __future__ import annotations

import posixpath
import re

from imagebuild.customise.identifiers import Renaming
from imagebuild.customise.linux import executable, initramfs, uboot
from imagebuild.errors import GuestError

_CALLED_INITRAMFS = re.compile(r"(?:u?init(?:rd|ramfs)|ramdisk)", re.IGNORECASE)
_WITH_INITRAMFS = (".initrd", ".ucode")
_AGAIN = "`kinds` can leave it out; else it must be built again"


def renamed(path: str, content: bytes, renaming: Renaming) -> bytes:
    """What a file of a boot partition, or of /boot, has with new identifiers; the same object if it names no old one.

    GuestError, with its path, for what names one and cannot be changed: what is signed, or holds what cannot be read.
    """
    try:
        return _renamed(posixpath.basename(path), content, renaming)
    except GuestError as error:
        raise GuestError(f"{path}: {error.message}", error.hint) from error


def _renamed(name: str, content: bytes, renaming: Renaming) -> bytes:
    if (program := executable.parse(content)) is not None:
        return _in_program(content, program, renaming)
    if (image := uboot.parse(content)) is not None:
        data = initramfs.rewritten(image.data, renaming) if image.is_ramdisk else renaming(image.data)
        return content if data is image.data else image.with_data(data).packed()
    if initramfs.is_one(content) or _CALLED_INITRAMFS.match(name):
        return initramfs.rewritten(content, renaming)
    new = renaming(content)
    if new is not content and content.startswith(uboot.FIT) and (b"hash" in content or b"signature" in content):
        raise GuestError("it names an old identifier, and has checksums of what is in it", _AGAIN)
    return new


def _in_program(content: bytes, program: executable.Executable, renaming: Renaming) -> bytes:
    """A UEFI program, such as GRUB with a configuration in it or a unified kernel image (systemd-stub(7)), with new identifiers."""
    new = content
    for section in program.sections:
        if section.name in _WITH_INITRAMFS:
            inside = executable.content_of(content, section)
            changed = initramfs.rewritten(inside, renaming)
            if changed is not inside:
                new = executable.with_content(new, section, changed)
    # Also what is compressed: none of it is there by chance.
    new = renaming(new)
    if new is not content and (program.signed or program.section(".pcrsig")):
        raise GuestError(
            "it is signed, and names an identifier that would be renewed: Secure Boot would refuse it then", _AGAIN
        )
    return new
