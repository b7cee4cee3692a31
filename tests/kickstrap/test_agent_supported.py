"""The allow-list: nothing that kickstrap does not carry out gets past it, whatever pykickstart
knows.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pykickstart.version import makeVersion

from imagebuild.kickstrap.agent.supported import COMMANDS, KICKSTART_VERSION, SECTIONS, check
from imagebuild.kickstrap.agent.treatment import DONE, NOTED, REFUSED, UNKNOWN, CommandOutcome
from tests.kickstrap.kickstarts import GOOD, KNOWN, findings, replaced

BLANK = makeVersion(KICKSTART_VERSION)
"""A handler that parses nothing: creating one takes long."""


def test_everything_supported_passes() -> None:
    assert findings(GOOD) == []


def test_a_liveimg_needs_no_mirror() -> None:
    text = replaced("url", f"liveimg --url=file:///run/kickstrap/payload --checksum={'0a' * 32}")
    assert findings(text.replace("repo --name", "#")) == []


def known_options() -> Iterator[tuple[str, str]]:
    """Every option of every command in pykickstart's parsers."""
    for name, command in BLANK.commands.items():
        for action in command.op._actions if hasattr(command, "op") else ():
            yield from ((name, option) for option in action.option_strings)


def scan(line: str) -> list[str]:
    """The messages about one line, which need not be valid otherwise."""
    return [finding.message for finding in check(BLANK, line + "\n")]


def said(what: str, outcome: CommandOutcome) -> str | None:
    """The message about something with this outcome."""
    if outcome.kind == NOTED:
        return f"{what} has no effect on Debian: {outcome.why}"
    return f"{what} is not supported by kickstrap" if outcome.kind == REFUSED else None


@pytest.mark.parametrize("command", sorted(BLANK.commands))
def test_every_command_is_carried_out_noted_or_refused(command: str) -> None:
    outcome = COMMANDS[command].itself
    expected = said(command, outcome)
    found = [finding for finding in check(BLANK, command + "\n") if finding.message == expected]
    assert [finding.severity for finding in found] == {DONE: [], NOTED: ["warning"], REFUSED: ["error"]}[outcome.kind]


@pytest.mark.parametrize(("command", "option"), sorted(known_options()))
def test_every_option_is_carried_out_noted_or_refused(command: str, option: str) -> None:
    treatment = COMMANDS[command]
    if treatment.itself.kind == DONE:
        expected = said(f"{command}: {option}", treatment.of(option))
        assert {one for one in scan(f"{command} {option}=1") if one.startswith(f"{command}: {option} ")} == (
            {expected} - {None}
        )
    else:
        assert said(command, treatment.itself) in scan(f"{command} {option}=1")


def test_an_option_that_no_table_has_is_an_error() -> None:
    assert COMMANDS["url"].of("--new") is UNKNOWN
    assert "url: --new is not supported by kickstrap" in scan("url --new=1")


@pytest.mark.parametrize(
    "name", ["%addon x", "%anaconda", "%certificate --filename=a --dir=/b", "%onerror", "%traceback"]
)
def test_other_sections_are_noted_or_refused(name: str) -> None:
    word = name.split()[0]
    (found,) = findings(f"{GOOD}{name}\ntext\n%end\n")
    assert found.message == said(word, SECTIONS[word].itself)


def test_an_abbreviated_option_is_the_one_that_it_stands_for() -> None:
    assert findings(GOOD.replace("--label=root", "--lab=root")) == []
    assert "part: --noform is not supported by kickstrap" in scan("part / --noform")
    assert "part: --q is not supported by kickstrap" in scan("part / --q")


def test_the_line_is_right_after_a_script() -> None:
    text = "%pre\nmount\n%end\n" + GOOD + "skipx --fast\n"
    found = check(BLANK, text)
    assert (len(text.splitlines()), "skipx: --fast is not supported by kickstrap") in [f[:2] for f in found]
    assert not any("mount" in f.message for f in found)


@pytest.mark.parametrize("where", ["{} \n{}", "{1}%packages\n{0}\n%end\n"])
def test_an_appended_file_is_an_error_anywhere(where: str) -> None:
    found = check(BLANK, where.format("%ksappend /tmp/more", GOOD))
    assert "%ksappend is not supported by kickstrap" in [finding.message for finding in found]


@pytest.mark.parametrize(
    ("start", "line", "message"),
    [
        ("part /var", "part prepboot --size=5", "part prepboot: this mount point is not supported by kickstrap"),
        ("part /var", "part pv.01 --size=512", "pv.01 is not used"),
        ("part /var", "part swap --size=512 --fstype=ext4", "part swap: --fstype=ext4 is not swap space"),
        ("part /var", "part /var --size=5 --fstype=efi", "part /var: --fstype=efi and /boot/efi belong together"),
        ("part /var", "part /boot/efi --size=5", "part /boot/efi: --fstype=efi and /boot/efi belong together"),
        ("part /var", "part biosboot --size=1", "part biosboot needs a GPT"),
        ("part /var", "part /boot/efi --fstype=efi --size=50", "an EFI system partition needs a GPT"),
        ("part /var", "part /var --size=5 --ondisk=vda1", "part /var: --ondisk: 'vda1' is not a known disk"),
        ("skipx", "ignoredisk --only-use=nvme0n1", "ignoredisk: 'nvme0n1' is not a known disk"),
        ("clearpart", "clearpart --all --drives=dm-0", "clearpart: --drives: 'dm-0' is not a known disk"),
        ("bootloader", "bootloader --boot-drive=x", "bootloader: --boot-drive: 'x' is not a known disk"),
        ("part /var", "part /var --size=512 --fstype=jfs", "part /var: --fstype=jfs is not supported by kickstrap"),
        ("part /var", "part / --size=9 --mkfsoptions='-m \"0'", "part /: --mkfsoptions has a quote that does not end"),
        ("part /var", "part /proc/x --size=5", "part /proc/x: this mount point belongs to the kernel"),
        ("part /var", "part / --size=5", "part /: this mount point is already taken"),
        ("part / ", "part /srv --size=5", "there is no root partition"),
        ("part /var", "part /var --size=9 --maxsize=5", "part /var: --maxsize is smaller than --size"),
        (
            "part /var",
            "part /var --size=9 --fstype=xfs --label=thirteenchars",
            "part /var: --label is longer than 12 bytes, the limit of xfs",
        ),
        ("part /var", "part /var --size=9 --fsoptions='a, b'", "part /var: --fsoptions contains a space"),
        ("clearpart", "clearpart --all --disklabel=mac", "clearpart: --disklabel=mac is not supported by kickstrap"),
        ("clearpart", "clearpart --all --disklabel=dasd", "clearpart: --disklabel=dasd is not supported by kickstrap"),
        ("bootloader", "bootloader --location=boot", "bootloader: --location=boot is not supported by kickstrap"),
        ("network --host", "network --bondslaves=eth1,eth2",
            "network: --device is missing: the name of the bond or bridge"),
        ("network --host", "network --device=00:11:22:33:44:55",
            "network: --device=00:11:22:33:44:55 is not supported by kickstrap"),
        ("network --host", "network --device=eth1 --vlanid=4095", "network: --vlanid=4095 is not from 1 to 4094"),
        ("network --host", "network --device=eth1 --mtu=9", "network: --mtu=9 is not from 68 to 65536"),
        ("network --host", "network --device=eth1 --ipv6=2001:db8::7",
            "network: --ipv6=2001:db8::7 is not an IPv6 address with its prefix"),
        ("network --host", "network --device=bond0 --bondslaves=eth1 --bondopts='mode=1 x'",
            "network: mode=1 x is not an option of a bond or bridge"),
        (
            "network --host",
            "network --device=eth1 --bootproto=query",
            "network: --bootproto=query is not supported by kickstrap",
        ),
        (
            "network --host",
            "network --device=eth1 --bootproto=static --ip=192.0.2.7",
            "network: --bootproto=static needs --ip and --netmask",
        ),
        ("network --host", "network --hostname=a_b", "network: 'a_b' is not a host name"),
        ("url", "url --url=http://mirror.example/debian", "url: 'http://mirror.example/debian' has no suite"),
        ("url", "url --url='ftp://mirror.example/d trixie'",
            "url: 'ftp://mirror.example/d' is not an http or https address"),
        ("vim", "vim*", "%packages: vim*: Debian has no such package name"),
        ("vim", "@kde", "%packages: @kde: Debian has no such package group"),
        ("vim", "@^server", "%packages: @^server: Debian has no such package group"),
        ("sshkey", 'sshkey --username=root "hello"', "sshkey: the key of root is not a public SSH key"),
        ("user", "user --name=Big", "user: 'Big' is not a Debian account name"),
        ("lang", "lang 'en US'", "lang: 'en US' is not a locale"),
        ("timezone", "timezone ../../etc/passwd", "timezone: '../../etc/passwd' is not a time zone"),
        ("keyboard", "keyboard 'us;reboot'", "keyboard: 'us;reboot' is not a layout"),
    ],
)  # fmt: skip
def test_values_that_are_not_supported(start: str, line: str, message: str) -> None:
    text = replaced(start, line)
    number = text.splitlines().index(line) + 1
    found = [finding for finding in findings(text) if finding.message == message]
    assert len(found) == 1
    assert found[0].line == number or "missing" in message or "no root" in message


def test_two_payloads_exclude_each_other() -> None:
    found = findings(f"{GOOD}liveimg --url=file:///p --checksum={'0' * 64}\n")
    assert [finding.message for finding in found] == ["liveimg and url or repo exclude each other"]


def test_the_version_is_the_one_whose_handler_is_used() -> None:
    assert {name: type(command) for name, command in BLANK.commands.items()} == KNOWN


def test_all_findings_are_reported_together_in_the_order_of_lines() -> None:
    lines = [finding.line for finding in check(BLANK, "cdrom\nlogging --host=a\nnetwork --essid=9\n")]
    assert lines == sorted(lines)
    assert set(lines) >= {1, 2, 3}
