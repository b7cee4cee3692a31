"""Boot entries and kernels named after the machine id: they are renamed to a name that every clone
can keep.

kernel-install(8) names entries, folders and unified kernel images by an *entry token*: the content
of /etc/kernel/entry-token, or the machine id if there is none. For images whose clones get their
ids at the first boot, systemd's "Building Images Safely" requires a token that is not a machine id,
such as IMAGE_ID or ID from os-release. Therefore everything is renamed to that, and the token is
written down. A clone then finds and removes what came with its template by the same name.

GRUB's plugin on Fedora and RHEL (``20-grub.install``) names its entries by the machine id whatever
the token is. There the entries are renamed, too, and a plugin removes them with their kernels.
dracut's ``51-dracut-rescue.install`` builds a rescue image for a new machine id with the next
kernel. In kernel-install's own layout, however, it fails if the token is not the machine id, and
the installation of that kernel fails with it: there it is masked.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from imagebuild.customise.linux import executable
from imagebuild.customise.linux.kernel_arguments import Edit
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

ID = re.compile(r"[0-9a-f]{32}")
_FOLDERS = ("/boot", "/boot/efi", "/efi")
_NAMED = ("", "/loader/entries", "/EFI/Linux")
"""Where names contain an id, below each of the folders."""
_LARGEST_PROGRAM = 256 << 20
_TEXTS = (
    "loader/entries/*.conf",
    "loader/loader.conf",
    "grub*/grubenv",
    "grub*/grub.cfg",
    "EFI/*/grubenv",
    "EFI/*/grub.cfg",
)
_TEXTS_OF_ETC = (
    "/etc/kernel/cmdline",
    "/etc/kernel/install.conf",
    "/etc/machine-info",
    "/etc/default/grub",
    "/etc/default/grub.d/*.cfg",
)
_ENTRY_NAME = "/etc/kernel/entry-token"
_MAKES_RESCUE = (
    "/usr/lib/kernel/install.d/51-dracut-rescue.install",
    "/etc/kernel/postinst.d/51-dracut-rescue-postinst.sh",
)
"""The program that builds a rescue image for the id of the machine, unless there is one, whenever a
kernel is installed (dracut-config-rescue)."""
_RESCUE = re.compile(r"\.?(?:vmlinuz|initramfs|initrd)-0-rescue-([0-9a-f]{32})(?:\.img|\.hmac)?")
_RESCUE_ENTRY = re.compile(r"([0-9a-f]{32})-0-rescue\.conf")
_MENU_ENTRY = re.compile(r"[ \t]*menuentry .*0-rescue-([0-9a-f]{32}).*\{$")
_MACHINE_ID_LINE = re.compile(r"^(?:machine-id[ \t]|(?:KERNEL_INSTALL_)?MACHINE_ID=).*\n?", re.MULTILINE)
_ARGUMENT = Edit(remove=("systemd.machine_id",))
_PLUGIN = "/etc/kernel/install.d/95-entries-of-the-template.install"
_PLUGIN_TEXT = """\
#!/bin/sh
# The boot entries of kernels that came with this machine's template have another name than those of its own.
[ "$1" = remove ] && [ -n "$2" ] && rm -f "/boot/loader/entries/{token}-$2.conf"
exit 0
"""


def ids(guest: Guest, *paths: str) -> set[str]:
    """The machine ids in the guest's files and boot entries. All zeros and all f are placeholders,
    not ids of a machine."""
    texts = [guest.read(path).strip() for path in (*paths, _ENTRY_NAME) if guest.real_file(path)]
    found = {text.replace("-", "").lower() for text in texts}
    if not any(ID.fullmatch(one) for one in found):
        # The id was removed earlier, but the entries were not.
        entries = [name for path in _FOLDERS for name in _listed(guest, f"{path}/loader/entries")]
        found |= {name[:32] for name in entries if name[32:33] == "-"}
    return {one for one in found if ID.fullmatch(one) and len(set(one)) > 1}


def rename(guest: Guest, known: set[str]) -> None:
    """Rename everything that is named after one of the machine ids ``known``, and remove the ids
    from whatever refers to it.

    GuestError, before anything is changed, if a new name already exists.
    """
    if not known:
        return
    token = _token(guest)
    with guest.boot_partitions() as partitions:
        folders = list(
            dict.fromkeys(guest.realpath(one) for one in (*_FOLDERS, *partitions) if guest.leads_to_folder(one))
        )
        gone = _rescue(guest, folders, known)
        names = {path: new for path, new in _names(guest, folders, known, token) if path not in gone}
        programs = _in_programs(guest, folders, known)
        for path, new in names.items():
            if guest.exists(posixpath.join(posixpath.dirname(path), new)):
                raise GuestError(f"{path} cannot be renamed to {new}, which already exists", "remove one of the two")
        texts = [
            path
            for path in guest.real_files(*(f"{folder}/{one}" for folder in folders for one in _TEXTS))
            if path not in gone
        ]
        by_grub = any(_is_of_grub(guest.read(path)) for path in texts if path in names)
        for path in (*texts, *guest.real_files(*_TEXTS_OF_ETC)):
            size = guest.size(path) if posixpath.basename(path) == "grubenv" else 0
            guest.edit(path, _without_ids(known, token, size, keeps_rescue=not gone), "removed the machine id")
        for path, content in programs.items():
            guest.replace(path, content, "removed the machine id")
        guest.remove(gone)
        for path, new in reversed(names.items()):
            guest.rename(path, posixpath.join(posixpath.dirname(path), new))
        by_token = any(ID.fullmatch(posixpath.basename(path)) or "/EFI/Linux/" in path for path in names)
    if by_token or guest.exists(_ENTRY_NAME):
        guest.create(_ENTRY_NAME, f"{token}\n", what=f"entry token {token}")
    if by_token and guest.exists(_MAKES_RESCUE[0]):
        guest.symlink("/dev/null", posixpath.join("/etc/kernel/install.d", posixpath.basename(_MAKES_RESCUE[0])))
    if by_grub:
        guest.create(
            _PLUGIN, _PLUGIN_TEXT.format(token=token), mode=0o755, what="removes the entries of the template's kernels"
        )


def _token(guest: Guest) -> str:
    """IMAGE_ID or ID from os-release, which must consist only of characters that are allowed in a
    file name (os-release(5))."""
    for path in guest.real_files("/etc/os-release", "/usr/lib/os-release"):
        text = guest.read(path)
        for key in ("IMAGE_ID", "ID"):
            if found := re.search(rf"""^{key}=["']?([a-z0-9][a-z0-9._-]{{0,30}})["']?$""", text, re.MULTILINE):
                return found[1]
    return "linux"


def _rescue(guest: Guest, folders: list[str], known: set[str]) -> list[str]:
    """Rescue kernels, images and entries of the old id, if a clone builds its own and another
    kernel boots."""
    names = [(folder, name) for folder in folders for name in _listed(guest, folder)]
    entries = [
        (f"{folder}/loader/entries", name) for folder in folders for name in _listed(guest, f"{folder}/loader/entries")
    ]
    others = any(name.startswith("vmlinuz-") and not _RESCUE.fullmatch(name) for _, name in names)
    if not others or not any(guest.exists(path) for path in _MAKES_RESCUE):
        return []
    found = [(folder, name, _RESCUE.fullmatch(name)) for folder, name in names]
    found += [
        (folder, name, _RESCUE_ENTRY.fullmatch(name))
        for folder, name in entries
        if _is_of_grub(guest.read(f"{folder}/{name}"))
    ]
    return [f"{folder}/{name}" for folder, name, one in found if one and one[1] in known]


def _names(guest: Guest, folders: list[str], known: set[str], token: str) -> Iterator[tuple[str, str]]:
    """Files with an id in their name, and their new names."""
    for folder in (folder + inner for folder in folders for inner in _NAMED):
        for entry in _listed(guest, folder):
            new = _replaced(entry, known, token)
            if new != entry:
                yield f"{folder}/{entry}", new


def _listed(guest: Guest, folder: str) -> list[str]:
    """The names in a folder, including hidden ones; empty if there is no such folder."""
    return [entry.name for entry in guest.listdir(folder)] if guest.leads_to_folder(folder) else []


def _in_programs(guest: Guest, folders: list[str], known: set[str]) -> dict[str, bytes]:
    """Unified kernel images that pass an old id to the kernel, with that argument removed.
    GuestError for a signed one."""
    found = {}
    for path in guest.real_files(*(f"{folder}/EFI/Linux/*.efi" for folder in folders)):
        content = guest.read_bytes(path, _LARGEST_PROGRAM)
        program = executable.parse(content)
        section = program.section(".cmdline") if program else None
        if program is None or section is None:
            continue
        line = executable.content_of(content, section).rstrip(b"\0").decode("utf-8", "surrogateescape")
        if any(f"systemd.machine_id={one}" in line for one in known):
            if program.signed:
                raise GuestError(
                    f"{path} is a signed unified kernel image that passes this machine's id to the system it boots",
                    "build and sign it again without the kernel argument systemd.machine_id",
                )
            new = _ARGUMENT.without(line).encode("utf-8", "surrogateescape")
            found[path] = executable.with_content(content, section, new)
    return found


def _replaced(text: str, known: set[str], token: str) -> str:
    for one in known:
        text = text.replace(one, token)
    return text


def _is_of_grub(entry: str) -> bool:
    """Whether an entry's kernel is outside the entry token's folder: kernel-install's layout
    ``other``, which GRUB uses."""
    found = re.search(r"^linux[ \t]+(\S+)", entry, re.MULTILINE)
    return found is not None and not any(ID.fullmatch(part) for part in found[1].split("/"))


def _without_menu_entries(text: str, known: set[str]) -> str:
    """grub.cfg without the rescue entries of these ids. Each entry ends with a brace on a line with
    the same indentation as its first line."""
    lines: list[str] = []
    end = ""
    for line in text.split("\n"):
        if end:
            end = "" if line == end else end
            continue
        if (found := _MENU_ENTRY.match(line)) and found[1] in known:
            end = line[: len(line) - len(line.lstrip())] + "}"
            continue
        lines.append(line)
    return text if end else "\n".join(lines)


def _without_ids(known: set[str], token: str, size: int, *, keeps_rescue: bool) -> Callable[[str], str]:
    """A change of a text: machine ids, and menu entries of removed kernels, are removed. ``size``
    is that of a grubenv, which keeps it."""

    def change(text: str) -> str:
        if not any(one in text for one in known):
            return text
        before = text.rstrip("#") if size else text
        if not keeps_rescue:
            before = _without_menu_entries(before, known)
        lines = []
        for line in _MACHINE_ID_LINE.sub("", before).split("\n"):
            # An entry that is named after the machine id also passes it to the kernel (90-loaderentry.install).
            is_argument = any(f"systemd.machine_id={one}" in line for one in known)
            lines.append(_replaced(_ARGUMENT.without(line) if is_argument else line, known, token))
        after = "\n".join(lines)
        if size:
            after += "#" * (size - len(after.encode("utf-8", "surrogateescape")))
        return after

    return change
