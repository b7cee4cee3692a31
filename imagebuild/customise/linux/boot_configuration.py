"""The kernel command lines in boot loader files: an edit applied to each kind of file. Pure
functions.

Each function takes a text and an edit, and returns the new text, or the same text if nothing has to
change.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from imagebuild.customise.linux.kernel_arguments import Edit
from imagebuild.errors import GuestError

Editor = Callable[[str, Edit], str]
_GRUB_LINE = re.compile(
    r"""^([ \t]*(?:linux(?:16|efi)?|(?:kernel|module2?)(?=[ \t]+\S*(?:vmlinu|bzImage)))[ \t]+(\S+))((?:\\\n|[^\n])*)""",
    re.MULTILINE,
)
"""A command that loads a kernel, its path, and the rest of the line. Under Xen, and in GRUB Legacy,
these commands also load other things than kernels."""
_KERNELOPTS = re.compile(r'^([ \t]*set[ \t]+(?:default_)?kernelopts=)"([^"\n]*)"', re.MULTILINE)
_REFERENCE = re.compile(r"\$(?:kernelopts\b|\{kernelopts\})")
_NO_LINUX = re.compile(r"memtest|\.lkrn$")


def holds_kernelopts(text: str) -> bool:
    """Whether a grubenv or grub.cfg sets the variable that the entries of Fedora and RHEL 8 refer
    to."""
    return bool(_KERNELOPTS.search(text) or re.search(r"^kernelopts=", text, re.MULTILINE))


def grub_cfg(text: str, edit: Edit) -> str:
    """grub.cfg, and menu.lst or grub.conf of GRUB Legacy."""

    def line(found: re.Match[str]) -> str:
        if _NO_LINUX.search(found[2]):
            return found[0]
        change = edit.without if _REFERENCE.search(found[3]) else edit
        return found[1] + _spaced(change(found[3], "grub"))

    def kernelopts(found: re.Match[str]) -> str:
        return f'{found[1]}"{edit(found[2])}"'

    text = re.sub(r"^(# kopt=)(.*)$", lambda found: found[1] + edit(found[2]), text, flags=re.MULTILINE)
    return _KERNELOPTS.sub(kernelopts, _GRUB_LINE.sub(line, text))


def _spaced(arguments: str) -> str:
    return arguments if not arguments or arguments[0] in " \t\\" else f" {arguments}"


def grubenv(text: str, edit: Edit) -> str:
    """GRUB's environment block, which is written in place: it keeps its size and is padded with #."""
    before = text.rstrip("#")
    after = re.sub(r"^(kernelopts=)(.*)$", lambda found: found[1] + edit(found[2]).lstrip(), before, flags=re.MULTILINE)
    if after == before:
        return text
    free = len(_bytes(text)) - len(_bytes(after))
    if free < 0:
        raise GuestError("the guest's grubenv has no room for another kernel argument")
    return after + "#" * free


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def bls_entry(text: str, edit: Edit, *, kernelopts: bool = False) -> str:
    """An entry of the Boot Loader Specification (type 1): its ``options``, of which there may be
    several lines.

    ``kernelopts`` says that GRUB has a variable of that name, so that an entry that refers to it
    needs nothing else.
    """
    if not re.search(r"^(?:linux|uki|options)[ \t]", text, re.MULTILINE):
        return text  # not a kernel
    lines = text.split("\n")
    at = [number for number, line in enumerate(lines) if re.match(r"options[ \t]", line)]
    whole = " ".join(re.sub(r"^options[ \t]+", "", lines[number]) for number in at)
    if kernelopts and _REFERENCE.search(whole):
        edit = Edit(remove=edit.remove)
    if edit(whole) == whole and all(edit.without(lines[number]) == lines[number] for number in at):
        return text
    for number in at:
        head, rest = _split(lines[number])
        rest = edit.cleared(rest) if number != at[-1] else edit(rest)
        lines[number] = head + rest
    if not at and edit.add:
        last = max(number for number, line in enumerate(lines) if line.strip())
        lines.insert(last + 1, f"options {edit('')}")
    return "\n".join(lines)


def _split(line: str) -> tuple[str, str]:
    """A key with the blanks after it, and the rest."""
    found = re.match(r"[ \t]*\S+[ \t]*", line)
    assert found is not None
    return found[0], line[found.end() :]


_LABEL = re.compile(r"^[ \t]*label[ \t]", re.IGNORECASE)
_KERNEL = re.compile(r"^[ \t]*(?:linux|kernel|fit)[ \t]+(\S+)", re.IGNORECASE)
_APPEND = re.compile(r"^[ \t]*append(?:[ \t]|$)", re.IGNORECASE)
_NO_KERNEL = re.compile(r"\.(?:c32|bin|bss|com|0|img|lkrn)$|memtest|memdisk", re.IGNORECASE)


def extlinux(text: str, edit: Edit) -> str:
    """The configuration of extlinux, syslinux and U-Boot's menu: APPEND of each label, or the one
    before all labels."""
    sections: list[list[str]] = [[]]
    for line in text.split("\n"):
        if _LABEL.match(line):
            sections.append([])
        sections[-1].append(line)
    common = any(_APPEND.match(line) for line in sections[0])
    changed = [_appended(sections[0], edit, needed=False)]
    for section in sections[1:]:
        kernels = [found[1] for line in section if (found := _KERNEL.match(line))]
        is_linux = bool(kernels) and not _NO_KERNEL.search(kernels[-1])
        changed.append(_appended(section, edit, needed=not common) if is_linux else section)
    return "\n".join(line for section in changed for line in section)


def _appended(section: list[str], edit: Edit, *, needed: bool) -> list[str]:
    """A section with its APPEND changed, or with a new one if it is ``needed`` and there is
    something to add."""
    at = [number for number, line in enumerate(section) if _APPEND.match(line)]
    lines = list(section)
    for number in at:
        head, rest = _split(lines[number])
        new = edit("" if rest.strip() == "-" else rest)
        if new != rest and (new or rest.strip() != "-"):
            lines[number] = f"{head.rstrip()} {new.strip()}"
    if not at and needed and edit.add:
        number = next(number for number, line in enumerate(lines) if _KERNEL.match(line))
        indent = lines[number][: len(lines[number]) - len(lines[number].lstrip())]
        lines.insert(number + 1, f"{indent}APPEND {edit('')}")
    return lines


def refind_linux(text: str, edit: Edit) -> str:
    """refind_linux.conf: each line contains a title and a command line, both in quotes; a quote
    inside them is doubled."""
    word = r'"(?:[^"\n]|"")*"'

    def line(found: re.Match[str]) -> str:
        old = found[2][1:-1].replace('""', '"')
        new = edit(old).replace('"', '""')
        return found[0] if new == found[2][1:-1] else f'{found[1]}"{new}"'

    return re.sub(rf"^([ \t]*(?:{word}|[^\s#\"]+)[ \t]+)({word})", line, text, flags=re.MULTILINE)


def refind(text: str, edit: Edit) -> str:
    """``options`` of the entries in refind.conf."""
    return re.sub(
        r'^([ \t]*options[ \t]+")([^"\n]*)(")',
        lambda found: found[1] + edit(found[2]) + found[3],
        text,
        flags=re.MULTILINE | re.IGNORECASE,
    )


def limine(text: str, edit: Edit) -> str:
    """``cmdline`` of the entries in limine.conf."""
    return re.sub(
        r"^([ \t]*(?:kernel_)?cmdline[ \t]*[:=][ \t]*)(.*)$",
        lambda found: found[1] + edit(found[2]).lstrip(),
        text,
        flags=re.MULTILINE | re.IGNORECASE,
    )


def command_line(text: str, edit: Edit) -> str:
    """A file that consists of one command line: /etc/kernel/cmdline, or a Raspberry Pi's
    cmdline.txt."""
    lines = text.split("\n")
    plain = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    new = edit(plain.strip())
    if new == plain.strip():
        return text
    comments = [line for line in lines if line.lstrip().startswith("#")]
    return "\n".join([*comments, new.strip()]) + "\n"


def uki_conf(text: str, edit: Edit) -> str:
    """``Cmdline`` in the configuration of ukify(1), unless it refers to a file."""
    return re.sub(
        r"^(Cmdline[ \t]*=[ \t]*)([^@\n].*)$", lambda found: found[1] + edit(found[2]), text, flags=re.MULTILINE
    )


def removing(text: str, edit: Edit) -> str:
    """A file with a part of the command line, from which arguments can only be removed."""
    return "\n".join(line if line.lstrip().startswith("#") else edit.without(line) for line in text.split("\n"))
