"""What of the kickstart language this installer carries out, and the check that nothing else is asked.

It is an allow-list: each command and each section with the options that are carried out. What
is not written here is an error, so an option that a later pykickstart learns cannot pass
unseen. ``check`` runs on the host before anything boots, and once more in the VM.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pykickstart.parser import KickstartParser
from pykickstart.sections import Section

from . import values

if TYPE_CHECKING:
    from collections.abc import Sequence

KICKSTART_VERSION = "RHEL10"

COMMANDS: dict[str, frozenset[str]] = {
    name: frozenset(options.split())
    for name, options in {
        "bootloader": "--append --timeout --location",
        "clearpart": "--all --initlabel --disklabel",
        "cmdline": "--non-interactive",
        "eula": "--agreed --agree --accepted --accept",
        "firewall": "--enable --enabled --disable --disabled",
        "firstboot": "--disable --disabled",
        "graphical": "--non-interactive",
        "group": "--name --gid",
        "halt": "",
        "keyboard": "--vckeymap --xlayouts --switch",
        "lang": "--addsupport",
        "liveimg": "--url --checksum",
        "network": "--device --bootproto --ip --netmask --gateway --nameserver --hostname --onboot"
        " --activate --no-activate",
        "part": "--size --grow --maxsize --fstype --type --label --fsoptions --asprimary",
        "partition": "--size --grow --maxsize --fstype --type --label --fsoptions --asprimary",
        "poweroff": "",
        "reboot": "",
        "repo": "--name --baseurl --install",
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
        "zerombr": "",
    }.items()
}

SECTIONS: dict[str, frozenset[str]] = {
    "%packages": frozenset({"--nocore", "--exclude-weakdeps"}),
    "%pre": frozenset({"--interpreter", "--erroronfail", "--log", "--logfile"}),
    "%post": frozenset({"--interpreter", "--erroronfail", "--log", "--logfile", "--nochroot"}),
}

_INSTEAD = {
    **dict.fromkeys(
        ("autopart", "btrfs", "logvol", "mount", "raid", "reqpart", "volgroup"),
        "write plain partitions: part / --fstype=ext4 --size=1024 --grow",
    ),
    **dict.fromkeys(
        ("bootc", "cdrom", "harddrive", "nfs", "ostreecontainer", "ostreesetup"),
        "install from a root archive (liveimg) or from a mirror (url, repo)",
    ),
    **dict.fromkeys(("%onerror", "%pre-install", "%traceback"), "only %pre and %post scripts are run"),
    "ignoredisk": "leave it out: the VM has one disk to install on",
    "--ondisk": "leave it out: the VM has one disk to install on",
    "--ondrive": "leave it out: the VM has one disk to install on",
    "--boot-drive": "leave it out: the VM has one disk to install on",
    "--drives": "leave it out: the VM has one disk to install on",
    "--linux": "write clearpart --all: the whole disk is taken",
    "--none": "write clearpart --all: the whole disk is taken",
    "%addon": "it belongs to Anaconda; leave it out",
    "%anaconda": "it belongs to Anaconda; leave it out",
    "%include": "put the text into the kickstart template itself",
    "%ksappend": "put the text into the kickstart template itself",
}


class Finding(NamedTuple):
    """Something that kickstrap does not carry out, at a line of the kickstart (from 1)."""

    line: int
    message: str
    hint: str | None = None


def check(handler: Any, text: str) -> list[Finding]:
    """Everything in the kickstart ``text`` that is not carried out, in the order of its lines.

    ``handler`` is pykickstart's, after it has parsed ``text`` without an error.
    """
    scanner = _Scanner(handler)
    scanner.readKickstartFromString(text)
    findings = scanner.findings + _inclusions(text)
    findings += [Finding(*problem) for problem in values.problems(handler, text)]
    return sorted(set(findings), key=lambda finding: (finding.line, finding.message))


def _inclusions(text: str) -> list[Finding]:
    return [
        _unsupported(number, line.split()[0])
        for number, line in enumerate(text.splitlines(), 1)
        if line.split()[:1] in (["%include"], ["%ksappend"])
    ]


def _unsupported(line: int, name: str) -> Finding:
    hint = _INSTEAD.get(name)
    if hint is None:
        known = SECTIONS if name.startswith("%") else COMMANDS
        hint = f"it carries out {', '.join(sorted(known))}"
    return Finding(line, f"{name} is not carried out by kickstrap", hint)


def _options(line: int, name: str, allowed: frozenset[str], words: Sequence[str]) -> list[Finding]:
    """One finding per option that is not in the list; an abbreviation is not in it either."""
    findings = []
    for word in words:
        option = word.partition("=")[0]
        if word.startswith("-") and option not in allowed:
            known = " ".join(sorted(allowed)) or "no options"
            hint = _INSTEAD.get(option, f"of {name} it knows {known}")
            findings.append(Finding(line, f"{name}: {option} is not carried out by kickstrap", hint))
    return findings


class _Scanner(KickstartParser):  # type: ignore[misc]  # pykickstart has no types
    """pykickstart's own reading of the lines, with nothing done about them but writing down."""

    def __init__(self, handler: Any) -> None:
        self.findings: list[Finding] = []
        super().__init__(handler, followIncludes=False, unknownSectionIsFatal=False)

    def handleCommand(self, lineno: int, args: list[str]) -> None:  # noqa: N802 - pykickstart's name
        allowed = COMMANDS.get(args[0])
        if allowed is None:
            self.findings.append(_unsupported(lineno, args[0]))
        else:
            self.findings += _options(lineno, args[0], allowed, args[1:])

    def setupSections(self) -> None:  # noqa: N802 - pykickstart's name
        super().setupSections()
        for name, section in list(self._sections.items()):
            self.registerSection(_ScannedSection(self, name, all_lines=section.allLines))


class _ScannedSection(Section):  # type: ignore[misc]  # pykickstart has no types
    def __init__(self, scanner: _Scanner, name: str, *, all_lines: bool) -> None:
        super().__init__(scanner.handler)
        self.sectionOpen = name
        self.allLines = all_lines
        self._findings = scanner.findings

    def handleHeader(self, lineno: int, args: list[str]) -> None:  # noqa: N802 - pykickstart's name
        allowed = SECTIONS.get(args[0])
        if allowed is None:
            self._findings.append(_unsupported(lineno, args[0]))
        else:
            self._findings.extend(_options(lineno, args[0], allowed, args[1:]))
