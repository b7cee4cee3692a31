"""Identifiers in the files that boot a guest: texts, initramfs images, UEFI programs and U-Boot
images. Pure functions."""

from __future__ import annotations

import posixpath
import re

from imagebuild.customise.identifiers import Renaming
from imagebuild.customise.linux import executable, initramfs, uboot
from imagebuild.errors import GuestError

_CALLED_INITRAMFS = re.compile(r"(?:u?init(?:rd|ramfs)|ramdisk)", re.IGNORECASE)
_WITH_INITRAMFS = (".initrd", ".ucode")
_AGAIN = "leave this kind out of `kinds`, or build the file again"


def renamed(path: str, content: bytes, renaming: Renaming) -> bytes:
    """The content of a file of a boot partition, or of /boot, with new identifiers; the same object
    if it contains no old one.

    GuestError, with its path, for a file that contains one but cannot be changed: it is signed, or
    cannot be parsed.
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
        raise GuestError("it contains an old identifier and checksums of its contents", _AGAIN)
    return new


def _in_program(content: bytes, program: executable.Executable, renaming: Renaming) -> bytes:
    """A UEFI program, such as GRUB with a built-in configuration or a unified kernel image
    (systemd-stub(7)), with new identifiers."""
    new = content
    for section in program.sections:
        if section.name in _WITH_INITRAMFS:
            inside = executable.content_of(content, section)
            changed = initramfs.rewritten(inside, renaming)
            if changed is not inside:
                new = executable.with_content(new, section, changed)
    # Compressed parts too: no identifier is there by chance.
    new = renaming(new)
    if new is not content and (program.signed or program.section(".pcrsig")):
        raise GuestError(
            "it is signed and contains an identifier to renew: Secure Boot would reject the changed file", _AGAIN
        )
    return new
