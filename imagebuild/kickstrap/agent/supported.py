"""The part of the kickstart language that this installer supports, and the check for anything else.

It is an allow-list of commands and sections with their supported options. Anything else is an
error, so an option that a later pykickstart adds cannot go unnoticed. ``check`` runs on the host
before anything boots, and again in the VM.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pykickstart.parser import KickstartParser
from pykickstart.sections import Section

from . import values

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .machine import TargetMachine

KICKSTART_VERSION = "F43"
"""Fedora's syntax: RHEL's has had no btrfs since version 8."""

COMMANDS: dict[str, frozenset[str]] = {
    name: frozenset(options.split())
    for name, options in {
        "autopart": "--type --nolvm --fstype --noboot --nohome --noswap",
        "bootloader": "--append --timeout --location --boot-drive",
        "btrfs": "--label --data --metadata --subvol --name",
        "clearpart": "--all --initlabel --disklabel --drives",
        "cmdline": "--non-interactive",
        "eula": "--agreed --agree --accepted --accept",
        "firewall": "--enable --enabled --disable --disabled",
        "firstboot": "--disable --disabled",
        "graphical": "--non-interactive",
        "group": "--name --gid",
        "halt": "",
        "ignoredisk": "--only-use --drives",
        "keyboard": "--vckeymap --xlayouts --switch",
        "lang": "--addsupport",
        "liveimg": "--url --checksum",
        "logvol": "--vgname --name --size --grow --maxsize --percent --fstype --label --fsoptions",
        "network": "--device --bootproto --ip --netmask --gateway --nameserver --hostname --onboot"
        " --activate --no-activate",
        "part": "--size --grow --maxsize --fstype --type --label --fsoptions --asprimary --ondisk --ondrive",
        "partition": "--size --grow --maxsize --fstype --type --label --fsoptions --asprimary --ondisk --ondrive",
        "poweroff": "",
        "raid": "--device --level --fstype --label --fsoptions",
        "reboot": "",
        "repo": "--name --baseurl --install",
        "reqpart": "--add-boot",
        "rootpw": "--iscrypted --plaintext --lock",
        "selinux": "--disabled --enforcing --permissive",
        "services": "--enabled --disabled",
        "shutdown": "",
        "skipx": "",
        "sshkey": "--username",
        "text": "--non-interactive",
        "timezone": "--utc",
        "url": "--url",
        "user": "--name --password --iscrypted --plaintext --lock --uid --gid --groups --homedir --shell --gecos",
        "volgroup": "--pesize",
        "zerombr": "",
    }.items()
}

SECTIONS: dict[str, frozenset[str]] = {
    "%packages": frozenset({"--nocore", "--exclude-weakdeps"}),
    "%pre": frozenset({"--interpreter", "--erroronfail", "--log", "--logfile"}),
    "%post": frozenset({"--interpreter", "--erroronfail", "--log", "--logfile", "--nochroot"}),
}

_INSTEAD = {
    "mount": "the disks are new: create file systems with part, logvol, raid or btrfs",
    **dict.fromkeys(
        ("bootc", "cdrom", "harddrive", "nfs", "ostreecontainer", "ostreesetup"),
        "install from a root archive (liveimg) or from a mirror (url, repo)",
    ),
    **dict.fromkeys(("%onerror", "%pre-install", "%traceback"), "only %pre and %post scripts are run"),
    **dict.fromkeys(("--linux", "--none", "--list"), "write clearpart --all: whole disks are used"),
    **dict.fromkeys(
        ("--thin", "--thinpool", "--poolname", "--chunksize", "--metadatasize"),
        "thin pools are not supported: give each volume a --size, or --grow",
    ),
    **dict.fromkeys(
        ("--encrypted", "--passphrase"),
        "every clone of an image would have the same key: encrypt the host's storage instead",
    ),
    **dict.fromkeys(("--recommended", "--hibernation"), "set --size in MiB: the guest's memory is not known here"),
    **dict.fromkeys(
        ("--onpart", "--usepart", "--noformat", "--useexisting", "--resize"),
        "the disks are new: there is nothing to reuse on them",
    ),
    "--spares": "name all disks as members",
    "--mkfsoptions": "file systems are created so that older hosts can read them",
    "%addon": "add-ons are programs of Anaconda: use a %post instead",
    "%anaconda": "it is only for Anaconda: remove it",
    "%include": "put the text into the kickstart template itself",
    "%ksappend": "put the text into the kickstart template itself",
}


class Unsupported(NamedTuple):
    """Something that kickstrap does not support, at a line of the kickstart (from 1)."""

    line: int
    message: str
    hint: str | None = None


def check(
    handler: Any,
    text: str,
    machine: TargetMachine | None = None,
    scanned: Iterable[tuple[int, Sequence[str]]] | None = None,
) -> list[Unsupported]:
    """Everything in the kickstart ``text`` that is not supported, in the order of its lines.

    ``handler`` is pykickstart's, after parsing ``text`` without errors. With ``machine`` it is also
    checked that everything fits its disks and firmware. ``scanned`` are the line numbers and words
    of all commands and section headers, if the caller knows them: the text is not read again.
    """
    if scanned is None:
        scanner = _Scanner(handler)
        scanner.readKickstartFromString(text)
        scanned = scanner.scanned
    findings = [finding for line, words in scanned for finding in _of_line(line, words)] + _inclusions(text)
    findings += [Unsupported(*problem) for problem in values.problems(handler, text, machine)]
    return sorted(set(findings), key=lambda finding: (finding.line, finding.message))


def _of_line(line: int, words: Sequence[str]) -> list[Unsupported]:
    name = words[0]
    allowed = (SECTIONS if name.startswith("%") else COMMANDS).get(name)
    return [_unsupported(line, name)] if allowed is None else _options(line, name, allowed, words[1:])


def _inclusions(text: str) -> list[Unsupported]:
    if "%include" not in text and "%ksappend" not in text:
        return []
    return [
        _unsupported(number, line.split()[0])
        for number, line in enumerate(text.splitlines(), 1)
        if line.split()[:1] in (["%include"], ["%ksappend"])
    ]


def _unsupported(line: int, name: str) -> Unsupported:
    hint = _INSTEAD.get(name)
    if hint is None:
        known = SECTIONS if name.startswith("%") else COMMANDS
        hint = f"supported: {', '.join(sorted(known))}"
    return Unsupported(line, f"{name} is not supported by kickstrap", hint)


def _options(line: int, name: str, allowed: frozenset[str], words: Sequence[str]) -> list[Unsupported]:
    """A finding for each option that is not in the list; abbreviations are not in it either."""
    findings = []
    for word in words:
        option = word.partition("=")[0]
        if word.startswith("-") and option not in allowed:
            known = " ".join(sorted(allowed)) or "no options"
            hint = _INSTEAD.get(option, f"supported for {name}: {known}")
            findings.append(Unsupported(line, f"{name}: {option} is not supported by kickstrap", hint))
    return findings


class _Scanner(KickstartParser):  # type: ignore[misc]  # pykickstart has no types
    """Scans the lines with pykickstart's parser, and only records commands and section headers."""

    def __init__(self, handler: Any) -> None:
        self.scanned: list[tuple[int, Sequence[str]]] = []
        super().__init__(handler, followIncludes=False, unknownSectionIsFatal=False)

    def handleCommand(self, lineno: int, args: list[str]) -> None:  # noqa: N802 - pykickstart's name
        self.scanned.append((lineno, args))

    def setupSections(self) -> None:  # noqa: N802 - pykickstart's name
        super().setupSections()
        for name, section in list(self._sections.items()):
            self.registerSection(_ScannedSection(self, name, all_lines=section.allLines))


class _ScannedSection(Section):  # type: ignore[misc]  # pykickstart has no types
    def __init__(self, scanner: _Scanner, name: str, *, all_lines: bool) -> None:
        super().__init__(scanner.handler)
        self.sectionOpen = name
        self.allLines = all_lines
        self._scanned = scanner.scanned

    def handleHeader(self, lineno: int, args: list[str]) -> None:  # noqa: N802 - pykickstart's name
        self._scanned.append((lineno, args))
