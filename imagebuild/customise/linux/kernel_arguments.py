"""Kernel command lines: words as parsed by the kernel and GRUB, and edits of them. Pure functions.

The kernel splits at blanks outside double quotes, treats ``-`` and ``_`` in names as equal, and
passes everything after ``--`` to init (kernel documentation, "The kernel's command-line
parameters"). GRUB also supports single quotes and backslashes (GRUB manual, "Quoting").
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from imagebuild.errors import GuestError

Syntax = Literal["kernel", "grub"]
_WORDS = {
    "kernel": re.compile(r'(?:"[^"]*"?|[^\s"])+'),
    "grub": re.compile(r"""(?:\\[^\n]|"(?:\\[\s\S]|[^"\\])*"?|'[^']*'?|[^\s"'\\])+"""),
}
_QUOTED = re.compile(r"[\s;|&<>{}]")
# fmt: off
_REPEATED = frozenset([
    "acpi_osi", "bond", "bridge", "btrfs.devices", "cgroup_disable", "console", "dyndbg", "earlycon",
    "earlyprintk", "ifname", "ip", "memmap", "modprobe.blacklist", "nameserver", "netconsole", "netroot",
    "pci", "rd.break", "rd.cmdline", "rd.dasd", "rd.driver.blacklist", "rd.driver.post", "rd.driver.pre", "rd.route",
    "rd.zfcp", "rd.znet", "systemd.mask", "systemd.mount_extra", "systemd.set_credential",
    "systemd.set_credential_binary", "systemd.setenv", "systemd.swap_extra",
    "systemd.wants", "team", "trace_event", "usbcore.quirks", "video", "vlan",
])
# fmt: on
"""Arguments that may appear several times with different meanings (kernel-parameters,
dracut.cmdline(7), systemd(1), systemd-debug-generator(8))."""
_REPEATED_FAMILIES = ("rd.luks.", "luks.", "rd.lvm.", "rd.md.", "rd.dm.", "rd.iscsi.", "rd.nvmf.")
_PAIRS = frozenset(["hugepages", "hugepagesz"])
"""Arguments whose relative order matters: a number of pages belongs to the size before it."""


@dataclass(frozen=True)
class Edit:
    """Arguments to add, each ``NAME`` or ``NAME=VALUE``, and names of arguments to remove.

    An added argument replaces those with the same name. If the name may appear several times, the
    argument is added to the others instead, but nothing appears twice. ``console=`` comes last, in
    the given order, because the last one becomes /dev/console. A console on the same device is
    replaced, because the kernel keeps the options of the first one it reads
    (``__add_preferred_console`` in kernel/printk/printk.c).
    """

    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()

    def __str__(self) -> str:
        removed = f"no kernel argument {' '.join(self.remove)}" if self.remove else ""
        return ", ".join(one for one in (removed, f"kernel argument {' '.join(self.add)}" if self.add else "") if one)

    def __call__(self, line: str, syntax: Syntax = "kernel") -> str:
        """The edited ``line``; the same text if nothing has to change."""
        return self._changed(line, syntax, self.add)

    def without(self, line: str, syntax: Syntax = "kernel") -> str:
        """``line`` with the arguments to remove taken out, and nothing added."""
        return self._changed(line, syntax, ())

    def cleared(self, line: str, syntax: Syntax = "kernel") -> str:
        """``line`` without the arguments to remove, and without those that an added one after it
        would replace or repeat."""
        return self._changed(line, syntax, (), clear=self.add)

    def ordered(self, line: str) -> list[str]:
        """The words of ``line`` whose order relative to the added arguments matters."""
        return [
            word for word in _words(line, "kernel") if _name(word) == "console" and "console" in map(_name, self.add)
        ]

    def _changed(self, line: str, syntax: Syntax, add: tuple[str, ...], clear: tuple[str, ...] = ()) -> str:
        spans = [found.span() for found in _WORDS[syntax].finditer(line)]
        words = [line[start:end] for start, end in spans]
        if "--" in words:
            spans = spans[: words.index("--")]
            words = words[: len(spans)]
        end = spans[-1][1] if spans else 0
        plain = [_plain(word, syntax) for word in words]
        names = {_same(name) for name in self.remove}
        drop = {at for at, word in enumerate(plain) if _name(word) in names}
        for one in clear:
            drop |= {at for at, word in enumerate(plain) if _replaced(one, word, clear)}
        kept = [(at, word) for at, word in enumerate(plain) if at not in drop]
        more: list[str] = []
        for group in _groups(add):
            gone, new = _added(group, kept)
            drop |= gone
            more += new
        if not drop and not more:
            return line
        if more and words and words[-1].count('"') % 2:
            raise GuestError(f"a kernel command line has an unclosed quote: {line.strip()[:200]}", "correct it first")
        return _joined(line, [span for at, span in enumerate(spans) if at in drop], end, more)


def _joined(line: str, gone: list[tuple[int, int]], end: int, more: list[str]) -> str:
    """``line`` without the ranges in ``gone``, with ``more`` after its last word, which ends at
    ``end``."""
    head = line[:end]
    for start, stop in reversed(gone):
        blanks = re.match(r"(?:\s|\\\n)*", head[stop:])
        head = head[:start] + head[stop + (blanks.end() if blanks else 0) :]
    tail = line[end:].lstrip(" \t")
    bare = head.rstrip()
    while bare.endswith("\\") and head.startswith("\n", len(bare)):  # a line that continues
        bare = bare[:-1].rstrip()
    words = [bare, *map(_written, more)] if bare else [head + " ".join(map(_written, more))]
    return " ".join(words) + (f" {tail}" if tail.startswith("--") else tail)


def _groups(add: tuple[str, ...]) -> list[list[str]]:
    """The added arguments, by name; pairs are kept together."""
    found: dict[str, list[str]] = {}
    for one in add:
        key = "hugepages" if _name(one) in _PAIRS else _name(one)
        found.setdefault(key, []).append(_plain(one, "kernel"))
    return list(found.values())


def _added(group: list[str], kept: list[tuple[int, str]]) -> tuple[set[int], list[str]]:
    """Which words are removed for the arguments of one name, and what is appended."""
    names = {_name(one) for one in group}
    group = group if names & _PAIRS else list(dict.fromkeys(group))
    there = [(at, word) for at, word in kept if _name(word) in (_PAIRS if names & _PAIRS else names)]
    values = [word for _, word in there]
    if names == {"console"}:
        if values[-len(group) :] == group and not any(
            _replaced(new, old) for new in group for old in values[: -len(group)]
        ):
            return set(), []
        return {at for at, word in there if any(_replaced(one, word) for one in group)}, group
    if names & _PAIRS or not (_is_repeated(next(iter(names))) or len(group) > 1):
        wanted = group if names & _PAIRS else group[-1:]
        return (set(), []) if values == wanted else ({at for at, _ in there}, wanted)
    twice = {at for nth, (at, word) in enumerate(there) if word in group and word in values[:nth]}
    return twice, [one for one in group if one not in values]


def _replaced(new: str, old: str, among: tuple[str, ...] = ()) -> bool:
    """Whether ``old`` is replaced by ``new``, one of the added arguments."""
    name = _name(new)
    if name in _PAIRS:
        return _name(old) in _PAIRS
    if name != _name(old):
        return False
    if name == "console":
        return _device(new) == _device(old)
    several = _is_repeated(name) or len({one for one in among if _name(one) == name}) > 1
    return not several or _plain(new, "kernel") == old


def _is_repeated(name: str) -> bool:
    return name in _REPEATED or name.startswith(_REPEATED_FAMILIES) or name.endswith(".dyndbg")


def _device(console: str) -> str:
    return _plain(console, "kernel").partition("=")[2].partition(",")[0]


def _words(line: str, syntax: Syntax) -> list[str]:
    return _WORDS[syntax].findall(line)


def _plain(word: str, syntax: Syntax) -> str:
    """A word without its quotes."""
    if syntax == "kernel":
        return word.replace('"', "")
    return re.sub(r"""\\([\s\S])|["']""", lambda found: found[1] or "", word)


def _written(argument: str) -> str:
    """An argument as it is written in a line, with quotes if its value contains a blank or a
    character that is special to GRUB."""
    name, equals, value = argument.partition("=")
    return f'{name}{equals}"{value}"' if _QUOTED.search(value) else argument


def _name(argument: str) -> str:
    return _same(argument.replace('"', "").partition("=")[0])


def _same(name: str) -> str:
    return name.replace("-", "_")
