"""The kernel command line of an installed guest, in every place a distribution keeps it.

``/etc/default/grub`` and ``/etc/kernel/cmdline`` are for kernels to come. What boots next stands in
Boot Loader Specification entries (Fedora, RHEL 8 and later), in ``kernelopts`` of grubenv that the
entries of RHEL 8 refer to, or in grub.cfg.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from imagebuild.customise.text import with_line_at_end
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from collections.abc import Callable

    from imagebuild.customise.guest import Guest

_GRUB_FOLDERS = ("/boot/grub2", "/boot/grub", "/boot/efi/EFI/*")
_GRUBENV_SIZE = 1024
"""GRUB writes its environment block in place: it is always this long, filled up with #."""


def set_argument(guest: Guest, name: str, value: str | None) -> None:
    """Make every kernel that is installed or will be installed boot with ``name=value``, or ``name`` without a value."""
    argument = name if value is None else f"{name}={value}"
    _change(guest, lambda line: _with_argument(line, name, argument), f"kernel argument {argument}", argument)


def remove_argument(guest: Guest, name: str) -> None:
    """Let no kernel boot with the argument ``name``, whatever its value."""
    _change(guest, lambda line: _without_argument(line, name), f"no kernel argument {name}")


def _change(guest: Guest, words: Callable[[str], str], what: str, default: str = "") -> None:
    """Change command lines everywhere; ``default`` is what GRUB_CMDLINE_LINUX gets where it is not set."""
    if guest.real_file("/etc/default/grub"):
        guest.edit("/etc/default/grub", lambda text: _edit_default_grub(text, words, default), what)
    if guest.real_file("/etc/kernel/cmdline"):
        guest.edit("/etc/kernel/cmdline", lambda text: words(text.strip()) + "\n", what)
    for path in guest.glob("/boot/loader/entries/*.conf"):
        guest.edit(path, lambda text: _edit_lines(text, r"options\s", words), what)
    for path in guest.real_files(*(f"{folder}/grubenv" for folder in _GRUB_FOLDERS)):
        guest.edit(path, lambda text: _edit_grubenv(text, words), what)
    for path in guest.real_files(*(f"{folder}/grub.cfg" for folder in _GRUB_FOLDERS)):
        guest.edit(path, lambda text: _edit_lines(text, r"\s*linux(16|efi)?\s", words), what)


def _with_argument(line: str, name: str, argument: str) -> str:
    there = re.search(rf"(?<!\S){re.escape(argument)}(?!\S)", line)
    return line if there else f"{_without_argument(line, name).rstrip()} {argument}"


def _without_argument(line: str, name: str) -> str:
    pattern = rf"(?<!\S){re.escape(name)}(=\S*)?(?!\S)[ \t]*"
    return re.sub(pattern, "", line).rstrip() if re.search(pattern, line) else line


def _edit_lines(text: str, start: str, words: Callable[[str], str]) -> str:
    def edited(line: str) -> str:
        # An entry that only says $kernelopts gets its arguments from grubenv.
        return words(line) if re.match(start, line) and "$kernelopts" not in line else line

    return "\n".join(edited(line) for line in text.split("\n"))


def _edit_default_grub(text: str, words: Callable[[str], str], default: str) -> str:
    """What is added is added to GRUB_CMDLINE_LINUX; what is removed is removed from GRUB_CMDLINE_LINUX_DEFAULT too."""
    keys = "GRUB_CMDLINE_LINUX" if default else "GRUB_CMDLINE_LINUX(?:_DEFAULT)?"
    pattern = re.compile(rf"""^({keys}=)(["']?)(.*?)\2[ \t]*$""", re.MULTILINE)

    def edited(found: re.Match[str]) -> str:
        quote, changed = found[2] or '"', words(found[3])
        return found[0] if changed == found[3] else f"{found[1]}{quote}{changed.strip()}{quote}"

    if default and not pattern.search(text):
        return with_line_at_end(text, f'GRUB_CMDLINE_LINUX="{default}"')
    return pattern.sub(edited, text)


def _edit_grubenv(text: str, words: Callable[[str], str]) -> str:
    before = text.rstrip("#")
    edited = _edit_lines(before, "kernelopts=", words)
    if edited == before:
        return text
    free = _GRUBENV_SIZE - len(edited.encode("utf-8", "surrogateescape"))
    if free < 0:
        raise GuestError("the guest's grubenv has no room for another kernel argument")
    return edited + "#" * free
