"""A text is parsed to the same whether results of its lines were kept or not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pykickstart.version import versionMap

from imagebuild.kickstart import kept_lines, neighbours
from imagebuild.kickstart.handler import handler_class
from imagebuild.kickstart.parse import parse
from imagebuild.kickstart.parsed import Kickstart

HEAD = """\
lang en_US.UTF-8
keyboard us
timezone UTC
network --device=eth0 --bootproto=dhcp --hostname=one.example.org
rootpw --lock
part / --fstype=ext4 --size=1024 --grow
"""
PACKAGES = "%packages --nocore\nvim\n-nano\n@core\n%end\n"
SCRIPT = "%post --erroronfail\ntrue\n%end\n"
WHOLE = HEAD + "poweroff\n" + PACKAGES + SCRIPT
OTHERS = {
    "the same": WHOLE,
    "another host name": WHOLE.replace("one.example", "two.example"),
    "a line more at the beginning": "cmdline\n" + WHOLE,
    "a second partition": HEAD + "part /home --fstype=ext4 --size=1024\n" + PACKAGES,
    "a second card": HEAD + "network --device=eth1 --bootproto=dhcp\n" + PACKAGES,
    "the same card again": HEAD + "network --device=eth0 --bootproto=dhcp\n" + PACKAGES,
    "a command of the same kind": WHOLE.replace("poweroff\n", "poweroff\nreboot\n"),
    "rootpw again": HEAD + "rootpw --iscrypted $6$a$b\n",
    "a conflict": HEAD + "autopart\npoweroff\n" + PACKAGES,
    "a conflict, then the command again": HEAD + "autopart\npart /home --size=10\n",
    "a command that looks at others": HEAD + "url --url=https://one.example\nmethod https://two.example\n",
    "repo after url": HEAD + "url --url=https://one.example\nrepo --name=a --baseurl=https://b.example\n",
    "a deprecated option": HEAD.replace("timezone UTC", "timezone --isUtc UTC"),
    "a wrong line": WHOLE.replace("keyboard us", "keyboard --wrong us"),
    "an unknown command": WHOLE.replace("keyboard us", "keybord us"),
    "other options of the packages": WHOLE.replace("--nocore", "--excludedocs"),
    "two sections of packages": WHOLE + "%packages\nless\n-vim\n%end\n",
    "the same packages twice": WHOLE + PACKAGES,
    "a wrong group": WHOLE.replace("@core", "@core --nodefaults --optional"),
    "packages without an end": WHOLE.replace("@core\n%end\n", "@core\n"),
    "an end with a comment": WHOLE.replace("@core\n%end\n", "@core\n%end # of packages\n"),
    "an included file": WHOLE.replace("vim\n", "%include /tmp/more\nvim\n"),
}


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    neighbours.forget()
    monkeypatch.setattr(neighbours, "MOST", 0)  # every text is parsed line by line
    kept_lines.forget()
    yield
    kept_lines.forget()


def described(kickstart: Kickstart) -> dict[str, Any]:
    """All that is known about a parsed text."""
    handler = kickstart.handler
    commands = {name: _plain(command) for name, command in sorted(handler.commands.items())}
    unused = {name: _plain(getattr(handler, name)) for name in ("autopart", "firewall", "repo", "user", "bootloader")}
    return {
        "wrong": kickstart.wrong,
        "deprecated": kickstart.deprecated,
        "repetitions": kickstart.repetitions,
        "given": [(one.line, one.words, dict(one.given.values), _plain(one.data)) for one in kickstart.commands],
        "commands": commands,
        "unused": unused,
        "packages": _plain(handler.packages),
        "scripts": [_plain(one) for one in handler.scripts],
        "sections": [(one.line, one.words, one.body, dict(one.given.values)) for one in kickstart.sections],
    }


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if not hasattr(value, "__dict__") or isinstance(value, type):
        return value
    return type(value).__name__, {key: _plain(one) for key, one in vars(value).items() if key not in ("handler", "op")}


@pytest.mark.parametrize("version", ["F43", "RHEL7", "RHEL6+F43"])
@pytest.mark.parametrize("name", OTHERS)
def test_a_text_is_parsed_as_without_kept_results(name: str, version: str) -> None:
    fresh = described(parse(OTHERS[name], version))
    kept_lines.forget()
    first = parse(WHOLE, version)
    before = described(first)
    assert described(parse(OTHERS[name], version)) == fresh
    assert described(parse(OTHERS[name], version)) == fresh
    assert described(first) == before
    assert described(parse(WHOLE, version)) == before


def test_a_command_that_is_refused_has_no_options_of_an_earlier_text() -> None:
    parse(HEAD.replace("part / --fstype=ext4 --size=1024 --grow", "autopart --noswap --nohome"), "F43")
    refused = parse(HEAD + "autopart --noswap\n", "F43")
    assert refused.wrong
    assert [dict(one.given.values) for one in refused.named("autopart")] == [{}]


def test_results_are_kept() -> None:
    first, second = parse(WHOLE, "F43"), parse(OTHERS["another host name"], "F43")
    assert first.handler.lang is second.handler.lang
    assert first.handler.network is not second.handler.network
    assert first.handler.packages.packageList is not second.handler.packages.packageList


def test_commands_that_look_at_others_are_known() -> None:
    """``method`` and ``repo`` use the handler of their text; most commands do not."""
    known = handler_class("F43").commandMap
    assert not kept_lines.stands_alone(known["method"])
    assert not kept_lines.stands_alone(known["repo"])
    assert kept_lines.stands_alone(known["lang"])
    assert kept_lines.stands_alone(known["network"])


def test_no_syntax_has_a_command_that_cannot_be_judged() -> None:
    for version in versionMap:
        for command in set(handler_class(version).commandMap.values()):
            assert kept_lines.stands_alone(command) in (True, False)
