"""A text that differs in one line from another one is parsed to the same as alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from test_kept_lines import HEAD, OTHERS, PACKAGES, SCRIPT, WHOLE
from test_kept_lines import described as described_whole

from imagebuild.kickstart import divide, kept_lines, neighbours
from imagebuild.kickstart.parse import parse
from imagebuild.kickstart.parsed import Kickstart

FIRST = WHOLE.replace("rootpw", "url --url=https://os.example/os\ntimesource --ntp-server=a.example\nrootpw")
LINES = (
    "",
    "# a comment",
    "lang de_DE.UTF-8",
    "keyboard --vckeymap=de",
    "timezone --isUtc UTC",
    "timezone --wrong UTC",
    "network --device=eth0 --bootproto=dhcp --hostname=two.example.org",
    "network --hostname='two words'",
    "network --hostname='an open quote",
    "network --hostname=two # imagebuild: ignore syntax: a test",
    "network --hostname=two*.example.org",
    "network --hostname=%two",
    f"network --hostname={'x' * divide.MAX_LINE}",
    "network --hostname=two\0",
    "network --hostname=two\x0c",
    "  network --hostname=two",
    "network",
    "netwrk --hostname=two",
    "rootpw --iscrypted $6$a$b",
    "part /home --size=10",
    "partition / --size=10",
    "autopart",
    "liveimg --url=file:///run/payload",
    "poweroff --wrong",
    "reboot",
    "%packages",
    "%end",
    "%include /tmp/more",
    "%ksappend https://one.example",
    "vim",
    "",
)


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    forget()
    yield
    forget()


def forget() -> None:
    neighbours.forget()
    kept_lines.forget()


def described(kickstart: Kickstart) -> dict[str, Any]:
    """All that is known about a parsed text, or why it was not parsed."""
    return {"wrong": kickstart.wrong} if kickstart.handler is None else described_whole(kickstart)


def same_as_alone(first: str, other: str, version: str) -> None:
    forget()
    alone = described(parse(other, version))
    forget()
    before = described(parsed := parse(first, version))
    for _ in range(2):
        assert described(parse(other, version)) == alone
    assert described(parsed) == before
    assert described(parse(first, version)) == before


@pytest.mark.parametrize("version", ["F43", "RHEL7", "RHEL6+F43"])
@pytest.mark.parametrize("name", OTHERS)
def test_another_text(name: str, version: str) -> None:
    same_as_alone(WHOLE, OTHERS[name], version)


@pytest.mark.parametrize("version", ["F43", "RHEL6"])
@pytest.mark.parametrize("number", range(len(FIRST.splitlines())))
def test_another_line(number: int, version: str) -> None:
    lines = FIRST.splitlines()
    for line in LINES:
        same_as_alone(FIRST, "\n".join([*lines[:number], line, *lines[number + 1 :]]) + "\n", version)


@pytest.mark.parametrize(
    "first",
    [
        HEAD + "network --device=eth1 --bootproto=dhcp\n" + PACKAGES,
        HEAD + "repo --name=a --baseurl=https://b.example\n" + PACKAGES,
        HEAD + "user --name=ann\nuser --name=bob\n" + PACKAGES,
        HEAD + "reboot\npoweroff\n" + PACKAGES,
    ],
)
def test_a_text_whose_lines_may_depend_on_each_other(first: str) -> None:
    for before, after in (("eth0", "eth1"), ("eth1", "eth0"), ("one.", "two."), ("=bob", "=ann"), ("reboot", "halt")):
        same_as_alone(first, first.replace(before, after), "F43")


@pytest.mark.parametrize("whole", [WHOLE, FIRST])
def test_only_the_line_that_differs_is_parsed(whole: str) -> None:
    first = parse(whole, "F43")
    second = parse(whole.replace("hostname=one.", "hostname=two."), "F43")
    third = parse(whole.replace("hostname=one.", "hostname=three."), "F43")
    assert first.handler.packages is second.handler.packages is third.handler.packages
    assert first.sections is second.sections
    hosts = [one.handler.network.network[0].hostname for one in (first, second, third)]
    assert hosts == [f"{name}.example.org" for name in ("one", "two", "three")]
    assert parse(whole, "F42").handler.packages is not first.handler.packages


def test_the_last_ones_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "MOST", 2)
    texts = [WHOLE + f"%post\n{number}\n%end\n" for number in range(3)]
    first, second, third = (parse(text, "F43") for text in texts)
    assert parse(texts[1].replace("one.", "two."), "F43").handler.packages is second.handler.packages
    assert parse(texts[2].replace("one.", "two."), "F43").handler.packages is third.handler.packages
    assert parse(texts[0].replace("one.", "two."), "F43").handler.packages is not first.handler.packages


def test_a_text_that_is_too_large() -> None:
    most = divide.MAX_BYTES - len(SCRIPT) - len(HEAD)
    first = HEAD + SCRIPT.replace("true", "#" * most)
    assert not parse(first, "F43").wrong
    [said] = parse(first.replace("--hostname=one", f"--hostname=one{'x' * 100}"), "F43").wrong
    assert "larger than" in said.message


def test_commands_that_look_at_others_are_parsed_again() -> None:
    first = HEAD + "repo --name=a --baseurl=https://b.example\n" + PACKAGES
    one, other = parse(first, "F43"), parse(first.replace("one.", "two."), "F43")
    assert not other.wrong
    assert other.handler.packages is not one.handler.packages
