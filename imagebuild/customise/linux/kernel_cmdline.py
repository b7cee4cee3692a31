"""The kernel command line of an installed guest, in every place where a distribution stores it.

The command line for the next boot is in the boot loader's own files, on /boot, on /efi or on a
partition that may not even be mounted. The one for kernels that are installed later is in /etc.
Either both are changed or neither.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from imagebuild.customise.linux import boot_configuration as files
from imagebuild.customise.linux import command_line_variables, executable, uboot
from imagebuild.customise.linux.command_line_variables import Variables
from imagebuild.customise.linux.kernel_arguments import Edit
from imagebuild.errors import GuestError

if TYPE_CHECKING:
    from imagebuild.customise.guest import Guest

_LARGEST_PROGRAM = 256 << 20
_FOLDERS = ("/boot", "/boot/efi", "/efi", "/boot/firmware")
_GRUB_CFG = (
    "grub/grub.cfg",
    "grub2/grub.cfg",
    "grub*/custom.cfg",
    "EFI/*/grub.cfg",
    "grub/grub.conf",
    "grub/menu.lst",
    "EFI/*/grub.conf",
)
_GRUBENV = ("grub/grubenv", "grub2/grubenv", "EFI/*/grubenv")
_ENTRIES = ("loader/entries/*.conf",)
_LOADERS: tuple[tuple[tuple[str, ...], files.Editor], ...] = (
    (_GRUB_CFG, files.grub_cfg),
    (_GRUBENV, files.grubenv),
    (
        ("extlinux/*.c[of][ng]*", "extlinux.conf", "syslinux/*.c[of][ng]*", "syslinux.cfg", "EFI/*/syslinux.cfg"),
        files.extlinux,
    ),
    (("refind_linux.conf", "EFI/*/refind_linux.conf"), files.refind_linux),
    (("EFI/*/refind.conf",), files.refind),
    (("limine.conf", "limine.cfg", "limine/limine.c[of][ng]*", "EFI/*/limine.c[of][ng]*"), files.limine),
    (("cmdline.txt", "current/cmdline.txt", "new/cmdline.txt", "old/cmdline.txt"), files.command_line),
)
"""The command lines for the next boot: patterns below each folder with a boot loader's files."""
_PROGRAMS = ("EFI/Linux/*.efi",)
_ADDONS = ("EFI/Linux/*.efi.extra.d/*.addon.efi", "loader/addons/*.addon.efi")
_SCRIPTS = ("boot.scr", "*/boot.scr")
_ETC: tuple[tuple[tuple[str, ...], files.Editor], ...] = (
    (("/etc/grub.d/4[0-9]_custom*",), files.grub_cfg),
    (("/etc/kernel/cmdline",), files.command_line),
    (("/etc/kernel/uki.conf",), files.uki_conf),
    (("/etc/cmdline.d/*.conf", "/etc/kernel/cmdline.d/*.conf"), files.removing),
)
_GRUB_DEFAULTS = "/etc/default/grub"
_GRUB = Variables("GRUB_CMDLINE_LINUX", ("GRUB_CMDLINE_LINUX_DEFAULT", "GRUB_CMDLINE_LINUX_RECOVERY"))
_GRUB_UNDER_XEN = Variables("GRUB_CMDLINE_LINUX_XEN_REPLACE", ("GRUB_CMDLINE_LINUX_XEN_REPLACE_DEFAULT",))
"""Replaces the other variable under Xen, if it is set (GRUB manual, "Simple configuration
handling")."""
_VARIABLES: tuple[tuple[tuple[str, ...], Variables, str], ...] = (
    (
        ("/etc/default/u-boot", "/etc/u-boot-menu/conf.d/*.conf"),
        Variables("U_BOOT_PARAMETERS", default="ro quiet"),
        "/usr/sbin/u-boot-update",
    ),
    (("/etc/default/flash-kernel",), Variables("LINUX_KERNEL_CMDLINE", ("LINUX_KERNEL_CMDLINE_DEFAULTS",)), ""),
    (("/etc/update-extlinux.conf",), Variables("default_kernel_opts"), ""),
    (("/etc/sysconfig/bootloader",), Variables("DEFAULT_APPEND"), ""),
    (("/etc/dracut.conf", "/etc/dracut.conf.d/*.conf"), Variables("kernel_cmdline"), ""),
)
"""Files of shell assignments with a command line for kernels that are installed later, and the
program that has a default if none is set."""
_KERNELSTUB = "/etc/kernelstub/configuration"
_MAKE_GRUB_CFG = ("/usr/sbin/grub-mkconfig", "/usr/sbin/grub2-mkconfig", "/usr/bin/grub-mkconfig")
_BY_PLACE = {"LILO": ("/etc/lilo.conf",), "zipl": ("/etc/zipl.conf", "/boot/bootmap")}


def set_argument(guest: Guest, name: str, value: str | None) -> None:
    """Make every kernel that is installed now or later boot with ``name=value``, or with ``name``
    without a value."""
    change(guest, Edit(add=(name if value is None else f"{name}={value}",)))


def remove_argument(guest: Guest, name: str) -> None:
    """Make no kernel boot with the argument ``name``, whatever its value."""
    change(guest, Edit(remove=(name,)))


def change(guest: Guest, edit: Edit) -> int:
    """Apply ``edit`` everywhere. Returns the number of places that contain a command line.

    GuestError, before anything is changed, if one cannot be changed: it is signed, is in a boot
    loader's own map of the disk, or is computed.
    """
    for loader, paths in _BY_PLACE.items():
        if any(guest.exists(path) for path in paths):
            raise GuestError(
                f"this guest boots with {loader}, which stores the kernel command line outside any file system",
                f"change it in the running guest, and then run {loader.lower()} there",
            )
    with guest.boot_partitions() as partitions:
        plan = _Plan(guest, edit, [*_folders(guest, partitions)])
        plan.make()
        for path, text in plan.texts.items():
            if guest.exists(path):
                guest.edit(path, partial(_same, text), str(edit))
            else:
                guest.create(path, text, what=str(edit))
        for path, content in plan.programs.items():
            guest.replace(path, content, str(edit))
    return plan.places


def _same(text: str, _: str) -> str:
    return text


def _folders(guest: Guest, partitions: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Each folder that may contain a boot loader's files, once, and its contents."""
    seen = set()
    for folder in (*_FOLDERS, *partitions, *(f"{one}/boot" for one in partitions)):
        if guest.leads_to_folder(folder) and (real := guest.realpath(folder)) not in seen:
            seen.add(real)
            yield real, [entry.name.lower() for entry in guest.listdir(real)]


@dataclass
class _Plan:
    """The planned changes: new texts and new programs, by path; ``places`` counts the files with a
    command line."""

    guest: Guest
    edit: Edit
    folders: list[tuple[str, list[str]]]
    texts: dict[str, str] = field(default_factory=dict)
    programs: dict[str, bytes] = field(default_factory=dict)
    places: int = 0

    def make(self) -> None:
        cfgs = [self.guest.read(path) for path in self._found(*_GRUB_CFG, *_GRUBENV)]
        kernelopts = any(map(files.holds_kernelopts, cfgs))
        entry: files.Editor = partial(files.bls_entry, kernelopts=kernelopts)
        for patterns, editor in (*_LOADERS, (_ENTRIES, entry)):
            for path in self._found(*patterns):
                self._edit(path, editor)
        for path in self._found(*_PROGRAMS):
            self._program(path, self.edit)
        for path in self._found(*_ADDONS):
            self._program(path, Edit(remove=self.edit.remove))
        booted = self.places
        for patterns, editor in _ETC:
            for path in self.guest.real_files(*patterns):
                self._edit(path, editor)
        self._vendor()
        self._grub_defaults()
        for patterns, variables, program in _VARIABLES:
            self._variables(patterns, variables, program)
        self._kernelstub()
        if not booted:
            self._scripts()

    def _found(self, *patterns: str) -> list[str]:
        """The files that match ``patterns`` in any of the folders. Only names that may exist are
        looked up, because each lookup takes time."""
        return self.guest.real_files(*(
            f"{folder}/{pattern}"
            for folder, names in self.folders
            for pattern in patterns
            if any(fnmatch.fnmatchcase(name, pattern.partition("/")[0].lower()) for name in names)
        ))  # fmt: skip

    def _edit(self, path: str, editor: Callable[[str, Edit], str]) -> None:
        real = self.guest.realpath(path)
        if real in self.texts:
            return
        old = self.guest.read(real)
        try:
            new = editor(old, self.edit)
        except GuestError as error:
            raise GuestError(f"{error.message} ({path})", error.hint) from error
        # A place is a file that would accept an argument.
        self.places += editor(old, Edit(add=("imagebuild.probe",))) != old
        if new != old:
            self.texts[real] = new

    def _program(self, path: str, edit: Edit) -> None:
        """A unified kernel image: its command line is one of its sections, and may be signed with
        it (systemd-stub(7))."""
        content = self.guest.read_bytes(path, _LARGEST_PROGRAM)
        program = executable.parse(content)
        section = program.section(".cmdline") if program else None
        if program is None or section is None:
            return
        self.places += 1
        old = executable.content_of(content, section).rstrip(b"\0").decode("utf-8", "surrogateescape")
        new = edit(old)
        if new == old:
            return
        if program.signed or program.section(".pcrsig"):
            raise GuestError(
                f"{path} is a signed unified kernel image: changing its command line would invalidate the signature",
                "rebuild and sign it with these arguments",
            )
        try:
            changed = executable.with_content(content, section, new.encode("utf-8", "surrogateescape"))
        except GuestError as error:
            raise GuestError(f"{path}: {error.message}", "rebuild it with these arguments") from error
        self.programs[path] = changed

    def _vendor(self) -> None:
        """/usr/lib/kernel/cmdline is read if there is none in /etc (kernel-install(8)): in that
        case the change is made in /etc."""
        vendor, own = "/usr/lib/kernel/cmdline", "/etc/kernel/cmdline"
        if self.guest.real_file(vendor) and not self.guest.exists(own):
            old = self.guest.read(vendor)
            self.places += 1
            if (new := files.command_line(old, self.edit)) != old:
                self.texts[own] = new

    def _grub_defaults(self) -> None:
        paths = self.guest.real_files(_GRUB_DEFAULTS, "/etc/default/grub.d/*.cfg")
        if paths or any(self.guest.exists(path) for path in _MAKE_GRUB_CFG):
            paths.sort(key=lambda path: path != _GRUB_DEFAULTS)
            self._in_variables(paths, _GRUB, _GRUB_DEFAULTS)
            if any(f"{_GRUB_UNDER_XEN.main}=" in self.guest.read(path) for path in paths):
                self._in_variables(paths, _GRUB_UNDER_XEN, _GRUB_DEFAULTS)

    def _variables(self, patterns: tuple[str, ...], variables: Variables, program: str) -> None:
        paths = self.guest.real_files(*patterns)
        names = [f"{variables.main}=", f"{variables.main}+="]
        is_set = any(name in self.guest.read(path) for path in paths for name in names)
        if is_set or (program and self.guest.exists(program) and not self.guest.exists("/etc/kernel/cmdline")):
            self._in_variables(paths, variables, patterns[0])

    def _in_variables(self, paths: list[str], variables: Variables, home: str) -> None:
        real = {path: self.guest.realpath(path) for path in paths}
        texts = {real[path]: self.texts.get(real[path]) or self.guest.read(path) for path in paths}
        self.places += 1
        self.texts |= command_line_variables.edited(texts, variables, self.edit, real.get(home, home))

    def _kernelstub(self) -> None:
        """Pop!_OS regenerates its entries from this file: the list ``kernel_options`` of each of
        its sections."""
        if not self.guest.real_file(_KERNELSTUB):
            return
        try:
            self.places += 1
            before, after = (json.loads(self.guest.read(_KERNELSTUB)) for _ in range(2))
            for section in after.values():
                if isinstance(section, dict) and "kernel_options" in section:
                    section["kernel_options"] = self.edit(" ".join(section["kernel_options"])).split()
        except (ValueError, TypeError, AttributeError) as error:
            raise GuestError(f"{_KERNELSTUB} is not in kernelstub's format", "correct it in the guest first") from error
        if after != before:
            self.texts[_KERNELSTUB] = json.dumps(after, indent=2) + "\n"

    def _scripts(self) -> None:
        """GuestError for a U-Boot script that sets the arguments itself, if they are set nowhere
        else."""
        for path in self._found(*_SCRIPTS):
            image = uboot.parse(self.guest.read_bytes(path))
            if image is not None and b"bootargs" in image.data:
                raise GuestError(
                    f"this guest boots with the U-Boot script {path}, which sets the kernel command line itself",
                    "change the source of the script, and rebuild it in the running guest",
                )
